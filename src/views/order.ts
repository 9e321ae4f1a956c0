// Orders over rows, and a sorted collection that stays cheap while it changes.
//
// Invariants
//   1. An order always ends with the primary key: no two rows of a table are equal in it, so a row's place is a cursor.
//   2. NULL is lowest (first when ascending), as in Flink; NaN is highest. Text compares by UTF-16 units.
//   3. Chunks are never empty, hold at most CHUNK_ROWS_MAX rows, and are in order.
//
// Why chunks: one array of a million rows moves 8 MB for an insert in its middle; a chunk moves 4 KB.
import type { Row } from './keys.ts'

export interface OrderColumn {
  column: number
  descending: boolean
}
export type Order = readonly OrderColumn[]
export type Compare = (a: Row, b: Row) => number

export const orderText = (order: Order): string => order.map(({ column, descending }) => `${descending ? '-' : '+'}${column}`).join()

/** -1, 0 or 1; total over the values of one type, NULL lowest, NaN highest. */
export function compareValues(a: unknown, b: unknown): number {
  if (a === b) return 0
  if (a === null) return -1
  if (b === null) return 1
  if (typeof a === 'object') return Buffer.compare(a as Uint8Array, b as Uint8Array)
  if ((a as number) < (b as number)) return -1
  if ((a as number) > (b as number)) return 1
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : 1
  return Number.isNaN(b) ? -1 : 0
}

export function compareOrders(order: Order): Compare {
  const columns = order.map((part) => part.column)
  const signs = order.map((part) => (part.descending ? -1 : 1))
  return (a, b) => {
    for (let i = 0; i < columns.length; i++) {
      const result = compareValues(a[columns[i]], b[columns[i]])
      if (result !== 0) return signs[i] * result
    }
    return 0
  }
}

/** The order asked for, made total by the primary key's columns that it lacks. */
export const totalOrder = (order: Order, primaryKey: readonly number[]): Order => [
  ...order,
  ...primaryKey.filter((column) => !order.some((part) => part.column === column)).map((column) => ({ column, descending: false })),
]

/**
 * Rows in an order, as a new array. If its first column holds numbers, those are copied out and compared first:
 * three times faster at a million rows than looking into the rows for each comparison.
 */
export function sortRows(rows: readonly Row[], order: Order): Row[] {
  const compare = compareOrders(order)
  if (order.length === 0 || rows.length < 1_000) return rows.slice().sort(compare)
  const [{ column, descending }] = order
  const keys = new Float64Array(rows.length)
  for (let i = 0; i < rows.length; i++) {
    const value = rows[i][column]
    if (typeof value === 'number') keys[i] = value
    else if (typeof value === 'bigint') keys[i] = Number(value)
    else if (value === null) keys[i] = -Infinity
    else return rows.slice().sort(compare)
  }
  const sign = descending ? -1 : 1
  const places = Uint32Array.from(keys, (_, i) => i)
  // A difference of 0 or NaN (equal, or NULL and NaN, or equal only as doubles) is decided by the rows.
  places.sort((a, b) => sign * (keys[a] - keys[b]) || compare(rows[a], rows[b]))
  return Array.from(places, (place) => rows[place])
}

const CHUNK_ROWS_MAX = 512

export class SortedRows {
  private readonly chunks: Row[][] = []
  private readonly compare: Compare

  constructor(order: Order, rows: readonly Row[]) {
    this.compare = compareOrders(order)
    const sorted = sortRows(rows, order)
    for (let i = 0; i < rows.length; i += CHUNK_ROWS_MAX / 2) this.chunks.push(sorted.slice(i, i + CHUNK_ROWS_MAX / 2))
  }

  insert(row: Row): void {
    const { chunks } = this
    if (chunks.length === 0) {
      chunks.push([row])
      return
    }
    const chunkIndex = Math.min(this.chunkOf(row), chunks.length - 1)
    const chunk = chunks[chunkIndex]
    chunk.splice(this.placeIn(chunk, row), 0, row)
    if (chunk.length > CHUNK_ROWS_MAX) chunks.splice(chunkIndex + 1, 0, chunk.splice(CHUNK_ROWS_MAX / 2))
  }

  remove(row: Row): void {
    const { chunks } = this
    const chunkIndex = this.chunkOf(row)
    const chunk = chunks[chunkIndex]
    if (chunk === undefined) return
    const place = this.placeIn(chunk, row)
    if (place === chunk.length || this.compare(chunk[place], row) !== 0) return
    chunk.splice(place, 1)
    const next = chunks[chunkIndex + 1]
    if (chunk.length === 0) chunks.splice(chunkIndex, 1)
    else if (next && chunk.length + next.length < CHUNK_ROWS_MAX / 4) {
      chunk.push(...next)
      chunks.splice(chunkIndex + 1, 1)
    }
  }

  /** Calls `visit` for each row in order, from the first that is not before `from` (or from the start), until it returns false. */
  visit(visit: (row: Row) => boolean, from?: (row: Row) => boolean): void {
    const { chunks } = this
    let chunkIndex = from ? firstIndex(chunks.length, (i) => from(chunks[i][chunks[i].length - 1])) : 0
    if (chunkIndex >= chunks.length) return
    let chunk = chunks[chunkIndex]
    let place = from ? firstIndex(chunk.length, (i) => from(chunk[i])) : 0
    for (;;) {
      for (; place < chunk.length; place++) if (!visit(chunk[place])) return
      if (++chunkIndex >= chunks.length) return
      chunk = chunks[chunkIndex]
      place = 0
    }
  }

  private chunkOf(row: Row): number {
    const { chunks, compare } = this
    return firstIndex(chunks.length, (i) => compare(chunks[i][chunks[i].length - 1], row) >= 0)
  }

  private placeIn(chunk: Row[], row: Row): number {
    const { compare } = this
    return firstIndex(chunk.length, (i) => compare(chunk[i], row) >= 0)
  }
}

/** The first index in [0, length) for which `test` holds, where it holds for all after the first; else length. */
function firstIndex(length: number, test: (index: number) => boolean): number {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (test(middle)) high = middle
    else low = middle + 1
  }
  return low
}
