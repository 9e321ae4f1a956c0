// Entries of a row store on their way out, and whether two of them are equal rows.
import { type Column, gather, INSERT } from '../../data/index.ts'
import type { OperatorContext } from '../operator.ts'
import { canonicalText } from '../state/columns.ts'
import { batchRowCountMax } from './emission.ts'

/** Entries to emit with their kinds and, for Top-N, their ranks. */
export class EntryOutput {
  private count = 0
  private entries = new Int32Array(64)
  private kinds = new Uint8Array(64)
  private ranks = new Int32Array(64)

  put(entry: number, kind: number, rank = 0): void {
    if (this.count === this.entries.length) this.grow()
    this.entries[this.count] = entry
    this.kinds[this.count] = kind
    this.ranks[this.count++] = rank
  }

  private grow(): void {
    const { entries, kinds, ranks } = this
    this.entries = new Int32Array(entries.length * 2)
    this.entries.set(entries)
    this.kinds = new Uint8Array(kinds.length * 2)
    this.kinds.set(kinds)
    this.ranks = new Int32Array(ranks.length * 2)
    this.ranks.set(ranks)
  }

  flush(columns: readonly Column[], withRank: boolean, processingTimeMs: number, context: OperatorContext): void {
    const { count: total } = this
    this.count = 0
    for (let from = 0; from < total; from += batchRowCountMax) {
      const rowCount = Math.min(batchRowCountMax, total - from)
      const entries = this.entries.subarray(from, from + rowCount)
      const kinds = this.kinds.slice(from, from + rowCount)
      const taken = columns.map((column) => gather(column, entries, rowCount))
      if (withRank) taken.push({ lane: 'i64', data: BigInt64Array.from(this.ranks.subarray(from, from + rowCount), BigInt) })
      context.emit({
        rowCount,
        columns: taken,
        kinds: kinds.every((kind) => kind === INSERT) ? undefined : kinds,
        watermarkAfter: -Infinity,
        processingTimeMs,
      })
    }
  }
}

/** Whether two rows of the columns are equal: NULL equals NULL, NaN equals NaN. */
export function sameEntries(columns: readonly Column[], a: number, b: number): boolean {
  for (const column of columns) {
    const { nulls } = column
    if (nulls !== undefined && (nulls[a] === 1 || nulls[b] === 1)) {
      if (nulls[a] !== nulls[b]) return false
      continue
    }
    if (column.lane === 'utf8') {
      if (!sameBytes(column, a, b)) return false
      continue
    }
    const { data } = column
    if (Object.is(data[a], data[b])) continue
    if (typeof data[a] !== 'object' || data[a] === null || canonicalText(data[a]) !== canonicalText(data[b])) return false
  }
  return true
}

function sameBytes({ bytes, starts, ends }: Column & { lane: 'utf8' }, a: number, b: number): boolean {
  const size = ends[a] - starts[a]
  if (size !== ends[b] - starts[b]) return false
  for (let i = 0, at = starts[a], other = starts[b]; i < size; i++) if (bytes[at + i] !== bytes[other + i]) return false
  return true
}
