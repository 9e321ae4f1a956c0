// What operators share when they emit: ranges of groups as columns, constant columns, batches that carry the right watermark.
import { type Arrays, type Batch, type Column, gather, gatherAll } from '../../data/index.ts'
import type { Accumulators } from '../aggregates/index.ts'
import type { KeyTable } from '../state/keyTable.ts'

/** Larger results leave in several batches. */
export const batchRowCountMax = 8192

export const constantTimes = (timeMs: number, rowCount: number): Column => ({ lane: 'f64', data: new Float64Array(rowCount).fill(timeMs) })

/** A batch of rows that see the watermark `seenMs`. */
export function batchSeeing(seenMs: number, processingTimeMs: number, rowCount: number, columns: Column[], kinds?: Uint8Array): Batch {
  return {
    rowCount,
    columns,
    kinds,
    watermarksBefore: seenMs === -Infinity ? undefined : new Float64Array(rowCount).fill(seenMs),
    watermarkAfter: seenMs,
    processingTimeMs,
  }
}

/** Gives the groups of a table chunk by chunk, as key columns and result columns. Without groups that are empty after retractions. */
export function eachGroupChunk(
  table: KeyTable,
  accumulators: Accumulators,
  retracts: boolean,
  take: (keys: Column[], results: Column[], rowCount: number) => void,
): void {
  const results = Array.from({ length: accumulators.resultCount }, (_, i) => i)
  const live = retracts ? liveGroups(table.count, accumulators) : undefined
  const total = live === undefined ? table.count : live.length
  for (let from = 0; from < total; from += batchRowCountMax) {
    const count = Math.min(batchRowCountMax, total - from)
    const groups = live?.subarray(from, from + count)
    const keys = table.types.map((_, i) =>
      groups === undefined ? table.range(i, from, count) : gather(table.column(i), groups as Int32Array, count),
    )
    take(
      keys,
      results.map((i) => accumulators.column(i, { groups, from, count })),
      count,
    )
  }
}

function liveGroups(count: number, accumulators: Accumulators): Int32Array {
  const groups = new Int32Array(count)
  let live = 0
  for (let group = 0; group < count; group++) if (accumulators.rowCountOf(group) > 0) groups[live++] = group
  return groups.subarray(0, live)
}

/** The first `count` ordinals. */
export function ordinals(count: number, from = 0): Int32Array {
  const rows = new Int32Array(count)
  for (let i = 0; i < count; i++) rows[i] = from + i
  return rows
}

/** Rows of columns, with NULL for ordinal -1. In memory of their own unless other is given. */
export function gatherOrNull(columns: readonly Column[], ordinalsOrNull: Int32Array, arrays?: Arrays): Column[] {
  const count = ordinalsOrNull.length
  if (!ordinalsOrNull.includes(-1)) return gatherAll(columns, ordinalsOrNull, count, arrays)
  const missing = Uint8Array.from(ordinalsOrNull, (at) => (at < 0 ? 1 : 0))
  const picks = ordinalsOrNull.map((at) => Math.max(at, 0))
  return columns.map((column) => {
    // No row of this side is wanted, and there may be none to stand in for it.
    const taken = missing.includes(0) ? gather(column, picks, count) : blank(column.lane, count)
    const nulls = taken.nulls ?? new Uint8Array(count)
    for (let i = 0; i < count; i++) if (missing[i] === 1) nulls[i] = 1
    return { ...taken, nulls }
  })
}

function blank(lane: Column['lane'], count: number): Column {
  switch (lane) {
    case 'u8':
      return { lane, data: new Uint8Array(count) }
    case 'i32':
      return { lane, data: new Int32Array(count) }
    case 'i64':
      return { lane, data: new BigInt64Array(count) }
    case 'f64':
      return { lane, data: new Float64Array(count) }
    case 'utf8':
      return { lane, bytes: new Uint8Array(0), starts: new Int32Array(count), ends: new Int32Array(count) }
    default:
      return { lane: 'any', data: new Array<unknown>(count).fill(null) }
  }
}
