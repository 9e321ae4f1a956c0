// Columnar batches of a changelog: what flows between operators.
//
// Invariants
//   1. Every column of a batch has `rowCount` rows; arrays may be longer, never shorter.
//   2. `nulls` is absent or has one byte for each row, 1 where the value is NULL; the data at a NULL row is meaningless.
//   3. A batch is not changed while it is handed on: operators share columns freely. Its memory is used again once the call that handed
//      it on has returned (memory.ts): who keeps rows copies them.
//   4. `kinds` is absent where every row is an insert.
//   5. `watermarksBefore` (epoch ms) is the watermark in force when each row arrived: lateness is decided row by row,
//      so how rows are cut into batches changes nothing. It never decreases. Absent means -Infinity for all rows.
//      `watermarkAfter` is the watermark after the last row, also of rows that a filter removed.
//   6. `arrivals` says for each row which one of its source's batch it has come of, and never decreases: there where rows that took
//      several ways are put back into one order (arrivalOrder.ts), and absent elsewhere.
import { type Arrays, newArrays } from './memory.ts'
import type { Field, SqlType } from './types.ts'
import { laneOf } from './types.ts'

/** Change kinds, with the numbers used in `Batch.kinds`. */
export const INSERT = 0
export const UPDATE_BEFORE = 1
export const UPDATE_AFTER = 2
export const DELETE = 3
export type ChangeKind = 0 | 1 | 2 | 3
export const changeKindTexts = ['+I', '-U', '+U', '-D'] as const
/** True for -U and -D: the row is taken away. */
export const isRetraction = (kind: number): boolean => (kind & 1) === 1

interface Nullable {
  nulls?: Uint8Array
}
export type Column =
  | ({ lane: 'u8'; data: Uint8Array } & Nullable)
  | ({ lane: 'i32'; data: Int32Array } & Nullable)
  | ({ lane: 'i64'; data: BigInt64Array } & Nullable)
  | ({ lane: 'f64'; data: Float64Array } & Nullable)
  /** Row i is the UTF-8 text `bytes[starts[i] … ends[i])`; the bytes may be a source's own buffer. */
  | ({ lane: 'utf8'; bytes: Uint8Array; starts: Int32Array; ends: Int32Array } & Nullable)
  /** Plain JS values as `types.ts` says (JS strings for text). */
  | ({ lane: 'any'; data: unknown[] } & Nullable)

export interface Batch {
  rowCount: number
  columns: Column[]
  kinds?: Uint8Array
  watermarksBefore?: Float64Array
  watermarkAfter: number
  arrivals?: Int32Array
  /** Processing time of the batch, epoch ms: given by the runtime, so that no operator reads a clock. */
  processingTimeMs: number
}

/** The text at `bytes[start … end)`. Short ASCII text, the usual case, is put together here; what is no UTF-8 becomes U+FFFD. */
export function readUtf8(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > 24) return slice.call(bytes, start, end)
  let text = ''
  for (let i = start; i < end; i++) {
    const byte = bytes[i]
    if (byte > 127) return slice.call(bytes, start, end)
    text += String.fromCharCode(byte)
  }
  return text
}
/** Works on any Uint8Array, without a view of the part. */
const slice = (Buffer.prototype as unknown as { utf8Slice(this: Uint8Array, start: number, end: number): string }).utf8Slice

/** The value of one row as `types.ts` defines it; null for NULL. For edges and tests: kernels read the arrays. */
export function valueAt(column: Column, row: number): unknown {
  if (column.nulls !== undefined && column.nulls[row] === 1) return null
  switch (column.lane) {
    case 'u8':
      return column.data[row] === 1
    case 'utf8':
      return readUtf8(column.bytes, column.starts[row], column.ends[row])
    default:
      return column.data[row]
  }
}

/** All values of one row. */
export const rowAt = (batch: Batch, row: number): unknown[] => batch.columns.map((column) => valueAt(column, row))

/**
 * Builds one column row by row from JS values; used at edges and by operators that emit few rows. Text goes to lane `any`.
 *
 * @example const b = new ColumnBuilder(t.bigint(), 2); b.append(1n); b.append(null); b.finish()
 */
export class ColumnBuilder {
  private readonly lane: Column['lane']
  private data: Uint8Array | Int32Array | BigInt64Array | Float64Array | unknown[]
  private nulls: Uint8Array | undefined
  private capacity: number
  rowCount = 0

  constructor(type: SqlType, capacity = 64) {
    const lane = laneOf(type)
    this.lane = lane === 'utf8' ? 'any' : lane
    this.capacity = Math.max(capacity, 1)
    this.data = makeLane(this.lane, this.capacity)
  }

  append(value: unknown): void {
    if (this.rowCount === this.capacity) this.grow()
    const row = this.rowCount++
    if (value === null || value === undefined) {
      this.nulls ??= new Uint8Array(this.capacity)
      this.nulls[row] = 1
      if (this.lane === 'any') (this.data as unknown[])[row] = null
    } else if (this.lane === 'u8') {
      ;(this.data as Uint8Array)[row] = value ? 1 : 0
    } else {
      ;(this.data as unknown[])[row] = value
    }
  }

  finish(): Column {
    return { lane: this.lane, data: this.data, nulls: this.nulls } as Column
  }

  private grow(): void {
    this.capacity *= 2
    const { data } = this
    if (!Array.isArray(data)) {
      this.data = makeLane(this.lane, this.capacity)
      ;(this.data as Float64Array).set(data as Float64Array)
    }
    if (this.nulls) {
      const nulls = new Uint8Array(this.capacity)
      nulls.set(this.nulls)
      this.nulls = nulls
    }
  }
}

function makeLane(lane: Column['lane'], capacity: number) {
  switch (lane) {
    case 'u8':
      return new Uint8Array(capacity)
    case 'i32':
      return new Int32Array(capacity)
    case 'i64':
      return new BigInt64Array(capacity)
    case 'f64':
      return new Float64Array(capacity)
    default:
      return []
  }
}

/** A batch from rows of JS values: for tests, VALUES and small results. */
export function batchOf(fields: readonly Field[], rows: readonly unknown[][], options: Partial<Batch> = {}): Batch {
  const builders = fields.map((field) => new ColumnBuilder(field.type, rows.length))
  for (const row of rows) for (let i = 0; i < builders.length; i++) builders[i].append(row[i])
  return {
    watermarkAfter: -Infinity,
    processingTimeMs: 0,
    ...options,
    rowCount: rows.length,
    columns: builders.map((builder) => builder.finish()),
  }
}

/** The rows at `indices[0 … count)` of a column, in that order; without `nulls` if none of them is NULL. In memory of their own unless other is given. */
export function gather(column: Column, indices: Int32Array | Uint32Array, count: number, arrays: Arrays = newArrays): Column {
  const nulls = column.nulls && gatherNulls(column.nulls, indices, count, arrays)
  switch (column.lane) {
    case 'u8': {
      const data = arrays.u8(count)
      for (let i = 0; i < count; i++) data[i] = column.data[indices[i]]
      return { lane: 'u8', data, nulls }
    }
    case 'i32': {
      const data = arrays.i32(count)
      for (let i = 0; i < count; i++) data[i] = column.data[indices[i]]
      return { lane: 'i32', data, nulls }
    }
    case 'i64': {
      const data = arrays.i64(count)
      for (let i = 0; i < count; i++) data[i] = column.data[indices[i]]
      return { lane: 'i64', data, nulls }
    }
    case 'f64': {
      const data = arrays.f64(count)
      for (let i = 0; i < count; i++) data[i] = column.data[indices[i]]
      return { lane: 'f64', data, nulls }
    }
    case 'utf8': {
      const starts = arrays.i32(count)
      const ends = arrays.i32(count)
      for (let i = 0; i < count; i++) {
        starts[i] = column.starts[indices[i]]
        ends[i] = column.ends[indices[i]]
      }
      return { lane: 'utf8', bytes: column.bytes, starts, ends, nulls }
    }
    case 'any': {
      const data = new Array<unknown>(count)
      for (let i = 0; i < count; i++) data[i] = column.data[indices[i]]
      return { lane: 'any', data, nulls }
    }
  }
}

/** As `gather`, of columns that may share a bitmap: that is gathered once. */
export function gatherAll(
  columns: readonly Column[],
  indices: Int32Array | Uint32Array,
  count: number,
  arrays: Arrays = newArrays,
): Column[] {
  const known = new Map<Uint8Array, Uint8Array | undefined>()
  return columns.map((column) => {
    const { nulls } = column
    if (nulls === undefined) return gather(column, indices, count, arrays)
    if (!known.has(nulls)) known.set(nulls, gatherNulls(nulls, indices, count, arrays))
    return { ...gather({ ...column, nulls: undefined }, indices, count, arrays), nulls: known.get(nulls) }
  })
}

function gatherNulls(nulls: Uint8Array, indices: Int32Array | Uint32Array, count: number, arrays: Arrays): Uint8Array | undefined {
  let first = 0
  while (first < count && nulls[indices[first]] === 0) first++
  if (first === count) return undefined
  const taken = arrays.u8(count)
  for (let i = 0; i < count; i++) taken[i] = nulls[indices[i]]
  return taken
}
