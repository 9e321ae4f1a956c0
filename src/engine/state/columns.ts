// Columns in the two forms that hash tables read: fixed-width values as 32-bit words, and everything else as bytes.
import { viewOf } from '../../base/index.ts'
import type { Column, SqlType } from '../../data/index.ts'
import { isTextKind, laneOf } from '../../data/index.ts'

/** Width of a key: 1 or 2 words, or bytes. */
export type KeyForm = 'u8' | 'i32' | 'i64' | 'f64' | 'bytes'

export const keyFormOf = (type: SqlType): KeyForm => {
  const lane = laneOf(type)
  return lane === 'utf8' || lane === 'any' ? 'bytes' : lane
}

/** Values that are neither numbers nor text are compared by a canonical text and kept beside it. */
export const keepsValues = (type: SqlType): boolean => laneOf(type) === 'any' && !isTextKind(type.kind)

/** One column as a kernel reads it. `words` is the data itself (u8, i32) or its 32-bit halves, low half first (i64, f64). */
export interface KeyInput {
  words: Int32Array | Uint8Array
  bytes: Uint8Array
  view: DataView
  starts: Int32Array
  ends: Int32Array
  nulls: Uint8Array | undefined
  column: Column
}

const noBytes = new Uint8Array(0)
const noView = new DataView(noBytes.buffer)
const noWords = new Int32Array(0)

/** The 32-bit halves of a column of 8-byte values. */
export const halves = (data: BigInt64Array | Float64Array): Int32Array => new Int32Array(data.buffer, data.byteOffset, data.length * 2)

/**
 * Prepares a column for a kernel; JS strings and other values are encoded for the given rows.
 *
 * @param scratchIndex  which scratch memory encoded text takes: inputs that are used together need different ones
 */
export function keyInput(column: Column, type: SqlType, scratchIndex: number, rowCount: number, rows?: Int32Array): KeyInput {
  const input: KeyInput = {
    words: noWords,
    bytes: noBytes,
    view: noView,
    starts: noWords,
    ends: noWords,
    nulls: column.nulls,
    column,
  }
  switch (column.lane) {
    case 'u8':
    case 'i32':
      input.words = column.data
      return input
    case 'i64':
    case 'f64':
      if (keyFormOf(type) !== 'bytes') {
        input.words = halves(column.data)
        return input
      }
      // Decimals of a type beyond 64 bits that happened to fit into them.
      Object.assign(
        input,
        encodeValues(
          { lane: 'any', data: Array.from(column.data as ArrayLike<unknown>), nulls: column.nulls },
          false,
          scratchIndex,
          rowCount,
          rows,
        ),
      )
      break
    case 'utf8':
      input.bytes = column.bytes
      input.starts = column.starts
      input.ends = column.ends
      break
    case 'any': {
      Object.assign(input, encodeValues(column, isTextKind(type.kind), scratchIndex, rowCount, rows))
    }
  }
  input.view = viewOf(input.bytes)
  return input
}

const encoder = new TextEncoder()
/** Valid until the next input with the same scratch index is prepared; tables copy what they keep. */
const scratches: Uint8Array[] = []

function encodeValues(column: Column & { lane: 'any' }, isText: boolean, scratchIndex: number, rowCount: number, rows?: Int32Array) {
  const { data, nulls } = column
  let scratch = (scratches[scratchIndex] ??= new Uint8Array(1 << 14))
  const starts = new Int32Array(data.length)
  const ends = new Int32Array(data.length)
  const outNulls = nulls ?? new Uint8Array(data.length)
  let size = 0
  let last: unknown
  let lastStart = 0
  for (let i = 0; i < rowCount; i++) {
    const row = rows === undefined ? i : rows[i]
    const value = data[row]
    if (value === last && typeof value === 'string' && outNulls[row] === 0) {
      // Texts that were made from times, for instance, stay the same for many rows.
      starts[row] = lastStart
      ends[row] = size
      continue
    }
    starts[row] = ends[row] = size
    if (outNulls[row] === 1) continue
    if (value === null || value === undefined) {
      // A value may say NULL without a bitmap only where none was given, so this array is ours.
      outNulls[row] = 1
      continue
    }
    last = value
    lastStart = size
    const text = isText ? (value as string) : canonicalText(value)
    if (size + text.length * 3 > scratch.length) {
      const larger = new Uint8Array(Math.max(scratch.length * 2, size + text.length * 3))
      larger.set(scratch.subarray(0, size))
      scratches[scratchIndex] = scratch = larger
    }
    size = writeText(text, scratch, size)
    ends[row] = size
  }
  return { bytes: scratch, starts, ends, nulls: outNulls }
}

/** Writes text as UTF-8 at `at`; room for three bytes per UTF-16 unit is given. Returns the end. */
export function writeText(text: string, bytes: Uint8Array, at: number): number {
  const { length } = text
  if (length > 64) return at + encoder.encodeInto(text, bytes.subarray(at)).written
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 127) return at + encoder.encodeInto(text, bytes.subarray(at)).written
    bytes[at + i] = unit
  }
  return at + length
}

/**
 * A text that is equal for equal SQL values of one type, and for no others: 0.0 and -0.0 differ, NaN equals NaN, maps are unordered.
 *
 * @example canonicalText([1, null, 'a']) // '[n1,~,s1:a]'
 */
export function canonicalText(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return `s${value.length}:${value}`
    case 'number':
      return Object.is(value, -0) ? 'n-0' : `n${value}`
    case 'bigint':
      return `i${value}`
    case 'boolean':
      return value ? 'T' : 'F'
    default:
      if (value === null || value === undefined) return '~'
      if (value instanceof Uint8Array) return `x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`
      if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`
      if (value instanceof Map)
        return `{${Array.from(value, ([key, entry]) => `${canonicalText(key)}=${canonicalText(entry)}`)
          .sort()
          .join(',')}}`
      throw new TypeError(`no canonical text for ${Object.prototype.toString.call(value)}`)
  }
}
