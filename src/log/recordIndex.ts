// Reading record batches: positions of keys, values and headers in typed arrays, without an object for each record.
//
// Invariants
//   1. Whatever the bytes are, nothing is read outside the batch: each length is checked against its end, or LOG_BATCH_INVALID is thrown.
//   2. A position is valid in `RecordIndex.bytes`: the batches' own buffer where the records stand in it as they are, or the decompressed records
//      of one compressed batch, or of several where the index lends bytes to them.
//   3. An index that failed to take a batch keeps the records it had before.
import type { LogRecord } from './contract.ts'
import { decompressInto, LZ4_REPEAT_BYTES_MIN, LZ4_UNCOMPRESSED, Output, storedLz4 } from './decompress.ts'
import { logErrors } from './errors.ts'
import { builtLz4Blocks, LZ4 } from './lz4BatchBuilder.ts'
import {
  ATTRIBUTES_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchSizeOf,
  COMPRESSION_MASK,
  CONTROL_FLAG,
  LAST_OFFSET_DELTA_AT,
  LOG_APPEND_TIME_FLAG,
  MAX_TIMESTAMP_AT,
  RECORD_COUNT_AT,
  readInt16,
  readInt32,
  readInt64,
  TIMESTAMP_MS_MAX,
  verifyBatch,
} from './recordBatch.ts'

/** A compressed batch that grows beyond this is refused: a small request must not take the memory. */
const DECOMPRESSED_BYTES_MAX = 128 * 1024 * 1024
/** What an index with lent bytes keeps at most for the records of compressed batches. */
const LENT_BYTES_MAX = 4 * 1024 * 1024
const noBytes = new Uint8Array(0)
/** length, attributes, timestamp, offset, key, value, header count: one byte each. */
const RECORD_BYTES_MIN = 7

/** Where the records of one or more batches are; row i of each array belongs to record i, for `count` records. */
export class RecordIndex {
  count = 0
  /** What the positions point into. */
  bytes: Uint8Array = noBytes
  /** (count) first byte of the value; -1 is a null value, and its end is -1 too. */
  valueStarts: Int32Array
  valueEnds: Int32Array
  /** (count) first byte of the key; -1 is a null key. */
  keyStarts: Int32Array
  keyEnds: Int32Array
  /** (count) the header count's varint, then the headers: for `findHeader` and `readHeaders`. */
  headersStarts: Int32Array
  headersEnds: Int32Array
  /** (count) CreateTime or LogAppendTime, epoch ms. */
  timestampsMs: Float64Array
  /** (count) offsets in the log. */
  offsets: Float64Array
  /** Where the records of compressed batches are written to, one batch behind the other; undefined: each gets bytes of its own. */
  lent: Uint8Array | undefined
  lentEnd = 0
  /** Whether batches of our own builder are read where they lie, without their headers. */
  readsInPlace: boolean

  /**
   * @param isLent      whether nobody looks at `bytes` any more after the next `reset`: then those of compressed batches are used again
   * @param hasHeaders  whether somebody looks at headers; if not, `headersStarts` and `headersEnds` may be -1, and a batch that repeats nothing
   *                    but headers (lz4BatchBuilder.ts) is not decompressed at all: its keys and values stand in it as they are
   */
  constructor(capacity = 1024, isLent = false, hasHeaders = true) {
    if (isLent) this.lent = noBytes
    this.readsInPlace = !hasHeaders
    this.valueStarts = new Int32Array(capacity)
    this.valueEnds = new Int32Array(capacity)
    this.keyStarts = new Int32Array(capacity)
    this.keyEnds = new Int32Array(capacity)
    this.headersStarts = new Int32Array(capacity)
    this.headersEnds = new Int32Array(capacity)
    this.timestampsMs = new Float64Array(capacity)
    this.offsets = new Float64Array(capacity)
  }

  /** Forgets the records, keeps the arrays. Columns that still point into `bytes` are not affected, unless those are lent. */
  reset(): void {
    this.count = 0
  }

  /** Makes room for `count` records. */
  reserve(count: number): void {
    const size = this.offsets.length
    if (count <= size) return
    const grown = new RecordIndex(Math.max(count, size * 2))
    grown.valueStarts.set(this.valueStarts)
    grown.valueEnds.set(this.valueEnds)
    grown.keyStarts.set(this.keyStarts)
    grown.keyEnds.set(this.keyEnds)
    grown.headersStarts.set(this.headersStarts)
    grown.headersEnds.set(this.headersEnds)
    grown.timestampsMs.set(this.timestampsMs)
    grown.offsets.set(this.offsets)
    const { count: had, bytes, lent, lentEnd, readsInPlace } = this
    Object.assign(this, grown, { count: had, bytes, lent, lentEnd, readsInPlace })
  }
}

/**
 * Adds the records of the batch at `start` to `out`. The checksum is not looked at: `verifyBatch` does that, and a reader has done it.
 * Control batches (the marks of transactions) add nothing.
 *
 * @param fromOffset  records below it are skipped: a reader that starts inside a batch gets the whole batch
 * @returns           where the batch ends; `start` itself if `out` is not empty and the positions of this batch would point into another
 *                    buffer, because it is compressed: take what `out` has, reset it, and come again
 * @throws            LOG_BATCH_INVALID, LOG_COMPRESSION_UNSUPPORTED
 */
export function indexBatch(bytes: Uint8Array, start: number, out: RecordIndex, fromOffset = 0): number {
  if (bytes.length - start < BATCH_HEADER_BYTES) throw invalid(start, 'the batch header is cut off')
  const sizeBytes = batchSizeOf(bytes, start)
  const end = start + sizeBytes
  if (sizeBytes < BATCH_HEADER_BYTES || end > bytes.length) throw invalid(start, `a batch of ${sizeBytes} bytes does not fit`)
  const attributes = readInt16(bytes, start + ATTRIBUTES_AT)
  if (attributes & CONTROL_FLAG) return end
  const codec = attributes & COMPRESSION_MASK
  if (codec === 0) {
    if (out.count > 0 && out.bytes !== bytes) return start
    out.bytes = bytes
    indexRecords(bytes, start + BATCH_HEADER_BYTES, end, bytes, start, out, fromOffset)
    return end
  }
  if (out.readsInPlace && (out.count === 0 || out.bytes === bytes) && indexInPlace(bytes, start, end, out, fromOffset)) return end
  const source = bytes.subarray(start + BATCH_HEADER_BYTES, end)
  const stored = codec === LZ4 && (out.count === 0 || out.bytes === bytes) ? storedLz4(source) : undefined
  if (stored) {
    const at = stored.byteOffset - bytes.byteOffset
    out.bytes = bytes
    indexRecords(bytes, at, at + stored.length, bytes, start, out, fromOffset)
    return end
  }
  const { lent } = out
  if (out.count > 0 && out.bytes !== lent) return start
  const from = out.count > 0 ? out.lentEnd : 0
  const records = new Output(lent ?? noBytes, from, DECOMPRESSED_BYTES_MAX)
  decompressRecords(source, codec, start, records)
  out.bytes = records.bytes
  if (lent && records.bytes.length <= LENT_BYTES_MAX) {
    out.lent = records.bytes
    out.lentEnd = records.at
  }
  indexRecords(records.bytes, from, records.at, bytes, start, out, fromOffset)
  return end
}

function indexRecords(
  bytes: Uint8Array,
  start: number,
  end: number,
  header: Uint8Array,
  headerAt: number,
  out: RecordIndex,
  fromOffset: number,
): void {
  const recordCount = readInt32(header, headerAt + RECORD_COUNT_AT)
  if (recordCount < 0 || recordCount > (end - start) / RECORD_BYTES_MIN) throw invalid(start, `${recordCount} records do not fit`)
  const baseOffset = baseOffsetOf(header, headerAt)
  const baseTimestampMs = readInt64(header, headerAt + BASE_TIMESTAMP_AT)
  const appendTimeMs =
    readInt16(header, headerAt + ATTRIBUTES_AT) & LOG_APPEND_TIME_FLAG ? readInt64(header, headerAt + MAX_TIMESTAMP_AT) : undefined
  const lastOffsetDelta = readInt32(header, headerAt + LAST_OFFSET_DELTA_AT)
  const had = out.count
  out.reserve(had + recordCount)
  const { valueStarts, valueEnds, keyStarts, keyEnds, headersStarts, headersEnds, timestampsMs, offsets } = out
  let row = had
  let lastDelta = -1
  cursor = start
  for (let record = 0; record < recordCount; record++) {
    const length = readVarint(bytes, end)
    const recordEnd = cursor + length
    if (length < RECORD_BYTES_MIN - 1 || recordEnd > end) throw invalid(cursor, `a record of ${length} bytes does not fit`)
    cursor++
    const timestampDelta = readVarint(bytes, recordEnd)
    const offsetDelta = readVarint(bytes, recordEnd)
    if (offsetDelta <= lastDelta || offsetDelta > lastOffsetDelta) throw invalid(cursor, `offset delta ${offsetDelta}`)
    lastDelta = offsetDelta
    const keySize = readVarint(bytes, recordEnd)
    if (keySize < -1 || keySize > recordEnd - cursor) throw invalid(cursor, `a key of ${keySize} bytes does not fit`)
    const keyStart = keySize < 0 ? -1 : cursor
    if (keySize > 0) cursor += keySize
    const keyEnd = keySize < 0 ? -1 : cursor
    const valueSize = readVarint(bytes, recordEnd)
    if (valueSize < -1 || valueSize > recordEnd - cursor) throw invalid(cursor, `a value of ${valueSize} bytes does not fit`)
    const valueStart = valueSize < 0 ? -1 : cursor
    if (valueSize > 0) cursor += valueSize
    if (cursor >= recordEnd) throw invalid(cursor, 'a record without its header count')
    if (baseOffset + offsetDelta >= fromOffset) {
      keyStarts[row] = keyStart
      keyEnds[row] = keyEnd
      valueStarts[row] = valueStart
      valueEnds[row] = valueSize < 0 ? -1 : cursor
      headersStarts[row] = cursor
      headersEnds[row] = recordEnd
      timestampsMs[row] = appendTimeMs ?? baseTimestampMs + timestampDelta
      offsets[row++] = baseOffset + offsetDelta
    }
    cursor = recordEnd
  }
  if (cursor !== end) throw invalid(cursor, `${end - cursor} bytes after the last record`)
  out.count = row
}

/**
 * Adds the records of a batch in LZ4 whose keys and values are literals, without decompressing it: what is repeated between a record's value
 * and its end are headers, which nobody looks at here.
 *
 * @returns  whether it is such a batch; if not, nothing was added
 */
function indexInPlace(bytes: Uint8Array, start: number, end: number, out: RecordIndex, fromOffset: number): boolean {
  const recordCount = readInt32(bytes, start + RECORD_COUNT_AT)
  const blocksAt = builtLz4Blocks(bytes, start)
  if (recordCount < 0 || recordCount > end - start || blocksAt === undefined || blocksAt > end) return false
  let at = blocksAt
  const baseOffset = baseOffsetOf(bytes, start)
  const baseTimestampMs = readInt64(bytes, start + BASE_TIMESTAMP_AT)
  const appendTimeMs =
    readInt16(bytes, start + ATTRIBUTES_AT) & LOG_APPEND_TIME_FLAG ? readInt64(bytes, start + MAX_TIMESTAMP_AT) : undefined
  const lastOffsetDelta = readInt32(bytes, start + LAST_OFFSET_DELTA_AT)
  out.reserve(out.count + recordCount)
  const { valueStarts, valueEnds, keyStarts, keyEnds, headersStarts, headersEnds, timestampsMs, offsets } = out
  let row = out.count
  let record = 0
  let lastDelta = -1
  // Bytes of the record that are still to be passed.
  let skip = 0
  let blockEnd = at
  let literalsEnd = at
  let token = 0
  try {
    for (;;) {
      if (skip < literalsEnd - at) {
        if (record++ === recordCount) return false
        cursor = at + skip
        const size = readVarint(bytes, literalsEnd)
        const recordEnd = cursor + size
        cursor++
        const timestampDelta = readVarint(bytes, literalsEnd)
        const offsetDelta = readVarint(bytes, literalsEnd)
        if (offsetDelta <= lastDelta || offsetDelta > lastOffsetDelta) return false
        lastDelta = offsetDelta
        const keySize = readVarint(bytes, literalsEnd)
        const keyStart = cursor
        if (keySize > 0) cursor += keySize
        const keyEnd = cursor
        const valueSize = readVarint(bytes, literalsEnd)
        const valueStart = cursor
        if (valueSize > 0) cursor += valueSize
        if (keySize < -1 || valueSize < -1 || cursor > literalsEnd || cursor >= recordEnd) return false
        if (baseOffset + offsetDelta >= fromOffset) {
          keyStarts[row] = keySize < 0 ? -1 : keyStart
          keyEnds[row] = keySize < 0 ? -1 : keyEnd
          valueStarts[row] = valueSize < 0 ? -1 : valueStart
          valueEnds[row] = valueSize < 0 ? -1 : cursor
          headersStarts[row] = headersEnds[row] = -1
          timestampsMs[row] = appendTimeMs ?? baseTimestampMs + timestampDelta
          offsets[row++] = baseOffset + offsetDelta
        }
        at = cursor
        skip = recordEnd - cursor
        continue
      }
      skip -= literalsEnd - at
      at = literalsEnd
      if (at < blockEnd) {
        at += 2
        let repeated = token & 15
        if (repeated === 15) for (let byte = 255; byte === 255 && at < blockEnd; repeated += byte) byte = bytes[at++]
        skip -= repeated + LZ4_REPEAT_BYTES_MIN
        // A record that begins with what is repeated.
        if (skip < 0) return false
      } else {
        if (at + 4 > end) return false
        const word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
        at += 4
        if (word === 0) break
        blockEnd = at + (word & ~LZ4_UNCOMPRESSED)
        if (blockEnd > end) return false
        if (word < 0) {
          literalsEnd = blockEnd
          continue
        }
      }
      if (at >= blockEnd) return false
      token = bytes[at++]
      let literals = token >> 4
      if (literals === 15) for (let byte = 255; byte === 255 && at < blockEnd; literals += byte) byte = bytes[at++]
      literalsEnd = at + literals
      if (literalsEnd > blockEnd) return false
    }
  } catch {
    // A number that is cut off by the end of literals.
    return false
  }
  if (record !== recordCount || skip > 0 || at !== end) return false
  out.count = row
  out.bytes = bytes
  return true
}

/**
 * Checks everything about the single batch that `bytes` should be: header, checksum, each record and each header of it.
 * For batches of clients; what `BatchBuilder` made needs no check.
 *
 * @returns  the number of records
 * @throws   LOG_BATCH_INVALID, LOG_BATCH_CHECKSUM, LOG_COMPRESSION_UNSUPPORTED, LOG_TIMESTAMP_TOO_FAR
 */
export function validateBatch(bytes: Uint8Array, scratch = new RecordIndex()): number {
  if (verifyBatch(bytes, 0, bytes.length) !== bytes.length) throw invalid(0, 'bytes after the batch')
  const recordCount = readInt32(bytes, RECORD_COUNT_AT)
  const lastOffsetDelta = readInt32(bytes, LAST_OFFSET_DELTA_AT)
  if (recordCount === 0 || recordCount !== lastOffsetDelta + 1) throw invalid(0, `${recordCount} records in ${lastOffsetDelta + 1} offsets`)
  scratch.reset()
  indexBatch(bytes, 0, scratch)
  for (let row = 0; row < scratch.count; row++) {
    const timestampMs = scratch.timestampsMs[row]
    if (Math.abs(timestampMs) > TIMESTAMP_MS_MAX) throw logErrors('LOG_TIMESTAMP_TOO_FAR', { timestampMs })
    checkHeaders(scratch.bytes, scratch.headersStarts[row], scratch.headersEnds[row])
  }
  return recordCount
}

// The header that `readHeader` read last; like `cursor`, so that nothing is allocated for a header.
let nameStart = 0
let nameEnd = 0
let headerStart = 0
let headerEnd = 0

/** Places the cursor at a record's headers and returns how many there are. */
function openHeaders(bytes: Uint8Array, start: number, end: number): number {
  cursor = start
  const count = readVarint(bytes, end)
  if (count < 0 || count > (end - cursor) / 2) throw invalid(cursor, `${count} headers do not fit`)
  return count
}

function readHeader(bytes: Uint8Array, end: number): void {
  const nameSize = readVarint(bytes, end)
  if (nameSize < 0 || nameSize > end - cursor) throw invalid(cursor, `a header name of ${nameSize} bytes does not fit`)
  nameStart = cursor
  nameEnd = cursor += nameSize
  const valueSize = readVarint(bytes, end)
  if (valueSize < -1 || valueSize > end - cursor) throw invalid(cursor, `a header value of ${valueSize} bytes does not fit`)
  headerStart = valueSize < 0 ? -1 : cursor
  if (valueSize > 0) cursor += valueSize
  headerEnd = valueSize < 0 ? -1 : cursor
}

function closeHeaders(end: number): void {
  if (cursor !== end) throw invalid(cursor, `${end - cursor} bytes after the last header`)
}

function checkHeaders(bytes: Uint8Array, start: number, end: number): void {
  for (let rest = openHeaders(bytes, start, end); rest > 0; rest--) readHeader(bytes, end)
  closeHeaders(end)
}

/** Headers of one record, from `headersStarts[i]` to `headersEnds[i]`. Values are views into `bytes`. */
export function readHeaders(bytes: Uint8Array, start: number, end: number): LogRecord['headers'] {
  const headers: LogRecord['headers'] = []
  for (let rest = openHeaders(bytes, start, end); rest > 0; rest--) {
    readHeader(bytes, end)
    const name = textDecoder.decode(bytes.subarray(nameStart, nameEnd))
    headers.push([name, headerStart < 0 ? null : bytes.subarray(headerStart, headerEnd)])
  }
  closeHeaders(end)
  return headers
}
const textDecoder = new TextDecoder()

/**
 * Finds one header's value without an object for each header.
 *
 * @param name   the header's name in UTF-8
 * @param found  (2) set to the value's start and end, -1 where it is null
 * @returns      whether the record has the header; the last of that name counts, as for Kafka's `lastHeader`
 */
export function findHeader(bytes: Uint8Array, start: number, end: number, name: Uint8Array, found: Int32Array): boolean {
  let hit = false
  for (let rest = openHeaders(bytes, start, end); rest > 0; rest--) {
    readHeader(bytes, end)
    if (nameEnd - nameStart !== name.length) continue
    let same = 0
    while (same < name.length && bytes[nameStart + same] === name[same]) same++
    if (same < name.length) continue
    found[0] = headerStart
    found[1] = headerEnd
    hit = true
  }
  closeHeaders(end)
  return hit
}

/** The records of all batches in `bytes[start … end)` as objects, for browsing and tests; values are views. */
export function* readRecords(bytes: Uint8Array, start = 0, end = bytes.length, fromOffset = 0): Generator<LogRecord> {
  const index = new RecordIndex()
  for (let at = start; at < end; ) {
    index.reset()
    at = indexBatch(bytes, at, index, fromOffset)
    const view = (from: number, to: number) => (from < 0 ? null : index.bytes.subarray(from, to))
    for (let row = 0; row < index.count; row++) {
      yield {
        offset: index.offsets[row],
        timestampMs: index.timestampsMs[row],
        key: view(index.keyStarts[row], index.keyEnds[row]),
        value: view(index.valueStarts[row], index.valueEnds[row]),
        headers: readHeaders(index.bytes, index.headersStarts[row], index.headersEnds[row]),
      }
    }
  }
}

export const codecNames = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** The records of a batch, as they are without compression. @throws LOG_BATCH_INVALID, LOG_COMPRESSION_UNSUPPORTED */
export function recordsOf(batch: Uint8Array): Uint8Array {
  const records = batch.subarray(BATCH_HEADER_BYTES)
  const codec = readInt16(batch, ATTRIBUTES_AT) & COMPRESSION_MASK
  if (codec === 0) return records
  const out = new Output(noBytes, 0, DECOMPRESSED_BYTES_MAX)
  decompressRecords(records, codec, 0, out)
  return out.finish()
}

function decompressRecords(records: Uint8Array, codec: number, position: number, out: Output): void {
  if (codec >= codecNames.length) throw logErrors('LOG_COMPRESSION_UNSUPPORTED', { codec: `codec ${codec}` })
  try {
    decompressInto(out, records, codec)
  } catch (error) {
    throw invalid(position, `its ${codecNames[codec]} data cannot be read: ${(error as Error).message}`)
  }
}

// The position of the varint reader. A module variable, because returning a value and a position would allocate for each number.
let cursor = 0

function readVarint(bytes: Uint8Array, end: number): number {
  if (cursor < end) {
    const byte = bytes[cursor]
    if (byte < 128) {
      cursor++
      return (byte >>> 1) ^ -(byte & 1)
    }
    // Lengths of records and values, mostly.
    if (cursor + 1 < end && bytes[cursor + 1] < 128) {
      const zigzag = (byte & 127) | (bytes[cursor + 1] << 7)
      cursor += 2
      return (zigzag >>> 1) ^ -(zigzag & 1)
    }
  }
  return readLongVarint(bytes, end)
}

function readLongVarint(bytes: Uint8Array, end: number): number {
  let zigzag = 0
  let factor = 1
  const start = cursor
  for (let i = 0; i < 10; i++) {
    if (cursor >= end) throw invalid(start, 'a number is cut off')
    const byte = bytes[cursor++]
    zigzag += (byte & 127) * factor
    if (byte < 128) {
      if (zigzag > Number.MAX_SAFE_INTEGER) throw invalid(start, 'a number is out of range')
      return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2
    }
    factor *= 128
  }
  throw invalid(start, 'a number has more than ten bytes')
}

const invalid = (position: number, reason: string) => logErrors('LOG_BATCH_INVALID', { position, reason })
