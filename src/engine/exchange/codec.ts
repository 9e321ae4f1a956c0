// Batches as messages between subtasks.
//
// message: [length, kind, edge, rowCount] [processing time, watermark after] [watermark runs] [kinds] [column: lane, nulls?, size, data …] …
//
// Invariants
//   1. Every section begins at a multiple of 8 bytes: decoded columns are views of the message, not copies.
//   2. A decoded batch equals the rows that were encoded, with the watermark that each saw. Text that came as JS strings is UTF-8 afterwards.
//   2 is held by codec.property.test.ts.
import { deserialize, serialize } from 'node:v8'
import { copyBytes, viewOf } from '../../base/index.ts'
import { type Arrays, type Batch, type Column, type Field, isTextKind, newArrays } from '../../data/index.ts'
import { halves, writeText } from '../state/columns.ts'

const BATCH = 0
const lanes = ['u8', 'i32', 'i64', 'f64', 'utf8', 'any'] as const

/** Writes messages into memory of its own, which the next one overwrites. */
export class MessageEncoder {
  bytes = new Uint8Array(1 << 16)
  private ints = new Int32Array(this.bytes.buffer)
  private doubles = new Float64Array(this.bytes.buffer)
  private at = 0

  /** Rows `rows[0 … count)` of a batch; returns the length of the message. */
  batch(edge: number, batch: Batch, fields: readonly Field[], rows: Int32Array, count: number): number {
    this.begin(BATCH, edge, count)
    this.doubles[2] = batch.processingTimeMs
    this.doubles[3] = batch.watermarkAfter
    this.at = 32
    this.watermarks(batch.watermarksBefore, rows, count)
    this.reserve(count + 16)
    this.ints[this.at >> 2] = batch.kinds === undefined ? 0 : 1
    this.at += 8
    if (batch.kinds !== undefined) this.octets(batch.kinds, rows, count)
    for (let i = 0; i < fields.length; i++) this.column(batch.columns[i], fields[i], rows, count)
    return this.end()
  }

  private begin(kind: number, edge: number, rowCount: number): void {
    this.ints[1] = kind
    this.ints[2] = edge
    this.ints[3] = rowCount
  }

  private end(): number {
    this.ints[0] = this.at
    return this.at
  }

  /** Room for `size` more bytes. */
  private reserve(size: number): void {
    const needed = this.at + size + 64
    if (needed <= this.bytes.length) return
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, (needed + 7) & ~7))
    larger.set(this.bytes.subarray(0, this.at))
    this.bytes = larger
    this.ints = new Int32Array(larger.buffer)
    this.doubles = new Float64Array(larger.buffer)
  }

  /** Watermarks stand still for many rows: (first row, value) of each run. */
  private watermarks(before: Float64Array | undefined, rows: Int32Array, count: number): void {
    const countAt = this.at >> 2
    this.reserve(16)
    this.at += 8
    let runs = 0
    let last = -Infinity
    if (before !== undefined) {
      for (let i = 0; i < count; i++) {
        const seenMs = before[rows[i]]
        if (seenMs === last) continue
        last = seenMs
        runs++
        this.reserve(32)
        this.ints[this.at >> 2] = i
        this.doubles[(this.at >> 3) + 1] = seenMs
        this.at += 16
      }
    }
    this.ints[countAt] = runs
  }

  private octets(data: Uint8Array, rows: Int32Array, count: number): void {
    const { bytes, at } = this
    for (let i = 0; i < count; i++) bytes[at + i] = data[rows[i]]
    this.at = aligned(at + count)
  }

  private column(column: Column, { type }: Field, rows: Int32Array, count: number): void {
    const asText = column.lane === 'any' && isTextKind(type.kind)
    const nulls = asText ? nullsOfTexts(column, rows, count) : column.nulls
    this.reserve(16 * count + 32)
    const head = this.at >> 2
    this.ints[head] = lanes.indexOf(asText ? 'utf8' : column.lane)
    this.ints[head + 1] = nulls === undefined ? 0 : 1
    this.ints[head + 2] = 0
    this.at += 16
    if (nulls !== undefined) this.octets(nulls, rows, count)
    const { ints } = this
    const into = this.at >> 2
    switch (column.lane) {
      case 'u8':
        this.octets(column.data, rows, count)
        return
      case 'i32': {
        const { data } = column
        for (let i = 0; i < count; i++) ints[into + i] = data[rows[i]]
        this.at = aligned(this.at + 4 * count)
        return
      }
      case 'i64':
      case 'f64':
        copyPairs(halves(column.data), ints, into, rows, count)
        this.at += 8 * count
        return
      default: {
        const size =
          column.lane === 'utf8'
            ? this.slices(column, nulls, rows, count)
            : asText
              ? this.texts(column.data, nulls, rows, count)
              : this.values(column.data, rows, count)
        // Only now: the memory may have moved.
        this.ints[head + 2] = size
      }
    }
  }

  /** Ends of all texts, then their bytes. */
  private slices(
    { bytes, starts, ends }: Column & { lane: 'utf8' },
    nulls: Uint8Array | undefined,
    rows: Int32Array,
    count: number,
  ): number {
    const endsAt = this.at >> 2
    let size = 0
    for (let i = 0; i < count; i++) {
      const row = rows[i]
      if (nulls === undefined || nulls[row] === 0) size += ends[row] - starts[row]
      this.ints[endsAt + i] = size
    }
    this.at = aligned(this.at + 4 * count)
    this.reserve(size)
    const [from, into] = [viewOf(bytes), viewOf(this.bytes)]
    let at = this.at
    for (let i = 0; i < count; i++) {
      const row = rows[i]
      if (nulls === undefined || nulls[row] === 0) at = copyBytes(bytes, from, starts[row], ends[row], this.bytes, into, at)
    }
    this.at = aligned(at)
    return size
  }

  private texts(data: unknown[], nulls: Uint8Array | undefined, rows: Int32Array, count: number): number {
    const endsAt = this.at >> 2
    this.at = aligned(this.at + 4 * count)
    const start = this.at
    for (let i = 0; i < count; i++) {
      const row = rows[i]
      if (nulls === undefined || nulls[row] === 0) {
        const text = data[row] as string
        this.reserve(text.length * 3)
        this.at = writeText(text, this.bytes, this.at)
      }
      this.ints[endsAt + i] = this.at - start
    }
    const size = this.at - start
    this.at = aligned(this.at)
    return size
  }

  private values(data: unknown[], rows: Int32Array, count: number): number {
    const stored = serialize(Array.from({ length: count }, (_, i) => data[rows[i]]))
    this.reserve(stored.length)
    this.bytes.set(stored, this.at)
    this.at = aligned(this.at + stored.length)
    return stored.length
  }
}

const aligned = (at: number): number => (at + 7) & ~7

function copyPairs(from: Int32Array, to: Int32Array, first: number, rows: Int32Array, count: number): void {
  for (let i = 0; i < count; i++) {
    const row = 2 * rows[i]
    to[first + 2 * i] = from[row]
    to[first + 2 * i + 1] = from[row + 1]
  }
}

/** A text may say NULL without a bitmap. */
function nullsOfTexts({ data, nulls }: Column & { lane: 'any' }, rows: Int32Array, count: number): Uint8Array | undefined {
  let found = nulls
  for (let i = 0; i < count; i++) {
    const row = rows[i]
    if ((data[row] !== null && data[row] !== undefined) || found?.[row] === 1) continue
    if (found === undefined || found === nulls) {
      found = new Uint8Array(data.length)
      if (nulls !== undefined) found.set(nulls.subarray(0, data.length))
    }
    found[row] = 1
  }
  return found
}

/** The batch in the message at the beginning of a buffer; its columns are views of it, or memory of `arrays`. */
export function decodeMessage(buffer: ArrayBuffer, fields: readonly Field[], arrays: Arrays = newArrays): Batch {
  const ints = new Int32Array(buffer)
  const doubles = new Float64Array(buffer)
  const [, , , rowCount] = ints
  let at = 32
  const runs = ints[at >> 2]
  at += 8
  let watermarksBefore: Float64Array | undefined
  if (runs > 0) {
    watermarksBefore = arrays.f64(rowCount).fill(-Infinity, 0, ints[at >> 2])
    for (let run = 0; run < runs; run++, at += 16) {
      const end = run + 1 < runs ? ints[(at + 16) >> 2] : rowCount
      watermarksBefore.fill(doubles[(at >> 3) + 1], ints[at >> 2], end)
    }
  }
  const hasKinds = ints[at >> 2] === 1
  at += 8
  let kinds: Uint8Array | undefined
  if (hasKinds) {
    kinds = new Uint8Array(buffer, at, rowCount)
    at = aligned(at + rowCount)
  }
  const columns = fields.map((): Column => {
    const head = at >> 2
    const lane = lanes[ints[head]]
    const size = ints[head + 2]
    at += 16
    let nulls: Uint8Array | undefined
    if (ints[head + 1] === 1) {
      nulls = new Uint8Array(buffer, at, rowCount)
      at = aligned(at + rowCount)
    }
    const start = at
    switch (lane) {
      case 'u8':
        at = aligned(at + rowCount)
        return { lane, data: new Uint8Array(buffer, start, rowCount), nulls }
      case 'i32':
        at = aligned(at + 4 * rowCount)
        return { lane, data: new Int32Array(buffer, start, rowCount), nulls }
      case 'i64':
        at += 8 * rowCount
        return { lane, data: new BigInt64Array(buffer, start, rowCount), nulls }
      case 'f64':
        at += 8 * rowCount
        return { lane, data: new Float64Array(buffer, start, rowCount), nulls }
      case 'utf8': {
        const ends = new Int32Array(buffer, start, rowCount)
        at = aligned(at + 4 * rowCount)
        const bytes = new Uint8Array(buffer, at, size)
        at = aligned(at + size)
        const starts = arrays.i32(rowCount)
        starts[0] = 0
        for (let i = 1; i < rowCount; i++) starts[i] = ends[i - 1]
        return { lane, bytes, starts, ends, nulls }
      }
      default:
        at = aligned(at + size)
        // A copy: byte strings among the values are views, and the message's memory is used again.
        return { lane: 'any', data: deserialize(new Uint8Array(new Uint8Array(buffer, start, size))), nulls }
    }
  })
  return { rowCount, columns, kinds, watermarksBefore, processingTimeMs: doubles[2], watermarkAfter: doubles[3] }
}
