// Entries of a row store on their way out, and whether two of them are equal rows.
import { type Column, gatherAll, INSERT, valueAt } from '../../data/index.ts'
import type { SortKey } from '../../sql/index.ts'
import { compareValues } from '../aggregates/index.ts'
import type { OperatorContext } from '../operator.ts'
import { canonicalText, halves } from '../state/columns.ts'
import { batchRowCountMax } from './emission.ts'

/** Entries to emit with their kinds and, for Top-N, their ranks. `seenMs` is the watermark that the next entries see, `arrival` theirs if they have one. */
export class EntryOutput {
  seenMs = Number.NEGATIVE_INFINITY
  arrival = -1
  private arrivals = new Int32Array(64)
  private seen = new Float64Array(64)
  private hasSeen = false
  private count = 0
  private entries = new Int32Array(64)
  private kinds = new Uint8Array(64)
  private ranks = new Int32Array(64)

  put(entry: number, kind: number, rank = 0): void {
    if (this.count === this.entries.length) this.grow()
    this.entries[this.count] = entry
    this.kinds[this.count] = kind
    this.seen[this.count] = this.seenMs
    this.arrivals[this.count] = this.arrival
    if (this.seenMs !== Number.NEGATIVE_INFINITY) this.hasSeen = true
    this.ranks[this.count++] = rank
  }

  private grow(): void {
    const { entries, kinds, ranks, seen, arrivals } = this
    this.arrivals = new Int32Array(arrivals.length * 2)
    this.arrivals.set(arrivals)
    this.seen = new Float64Array(seen.length * 2)
    this.seen.set(seen)
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
    const { memory } = context
    for (let from = 0; from < total; from += batchRowCountMax) {
      const rowCount = Math.min(batchRowCountMax, total - from)
      const mark = memory.mark()
      const taken = gatherAll(columns, this.entries.subarray(from, from + rowCount), rowCount, memory)
      if (withRank) {
        const ranks = memory.i64(rowCount)
        const words = halves(ranks)
        for (let i = 0; i < rowCount; i++) {
          words[2 * i] = this.ranks[from + i]
          words[2 * i + 1] = 0
        }
        taken.push({ lane: 'i64', data: ranks })
      }
      let changes = 0
      for (let i = from; i < from + rowCount; i++) changes |= this.kinds[i]
      context.emit({
        rowCount,
        columns: taken,
        kinds: changes === INSERT ? undefined : this.kinds.subarray(from, from + rowCount),
        watermarksBefore: this.hasSeen ? this.seen.subarray(from, from + rowCount) : undefined,
        watermarkAfter: this.hasSeen ? this.seen[from + rowCount - 1] : Number.NEGATIVE_INFINITY,
        arrivals: this.arrival < 0 ? undefined : this.arrivals.subarray(from, from + rowCount),
        processingTimeMs,
      })
      memory.release(mark)
    }
    this.hasSeen = false
    this.arrival = -1
  }
}

/** Order of row `a` of some columns and row `b` of others; 0 for ties. */
export type EntryOrder = (a: number, b: number) => number

/** The order of two rows by sort keys, by column: no value becomes a JS value where it is a number. */
export function entryOrder(orderBy: readonly SortKey[], left: readonly Column[], right: readonly Column[]): EntryOrder {
  const orders = orderBy.map((key) => columnOrder(key, left[key.column], right[key.column]))
  const [first] = orders
  if (orders.length === 1) return first
  return (a, b) => {
    for (const order of orders) {
      const compared = order(a, b)
      if (compared !== 0) return compared
    }
    return 0
  }
}

function columnOrder({ descending, nullsFirst }: SortKey, left: Column, right: Column): EntryOrder {
  const values = valueOrder(left, right)
  const order: EntryOrder = descending ? (a, b) => -values(a, b) : values
  const { nulls } = left
  const { nulls: otherNulls } = right
  if (nulls === undefined && otherNulls === undefined && left.lane !== 'any' && right.lane !== 'any') return order
  const isNull = (column: Column, row: number) =>
    column.nulls?.[row] === 1 || (column.lane === 'any' && (column.data[row] === null || column.data[row] === undefined))
  return (a, b) => {
    const leftNull = isNull(left, a)
    const rightNull = isNull(right, b)
    if (!leftNull && !rightNull) return order(a, b)
    return leftNull === rightNull ? 0 : leftNull === nullsFirst ? -1 : 1
  }
}

function valueOrder(left: Column, right: Column): EntryOrder {
  if (left.lane === 'i64' && right.lane === 'i64') {
    const [x, y] = [halves(left.data), halves(right.data)]
    return (a, b) => x[2 * a + 1] - y[2 * b + 1] || (x[2 * a] >>> 0) - (y[2 * b] >>> 0)
  }
  if (left.lane === 'f64' && right.lane === 'f64') {
    const [x, y] = [left.data, right.data]
    return (a, b) => (x[a] < y[b] ? -1 : x[a] > y[b] ? 1 : compareValues(x[a], y[b]))
  }
  if (left.lane === 'i32' && right.lane === 'i32') {
    const [x, y] = [left.data, right.data]
    return (a, b) => x[a] - y[b]
  }
  return (a, b) => compareValues(valueAt(left, a), valueAt(right, b))
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
