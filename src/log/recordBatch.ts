// Kafka's record batch v2, byte for byte: its layout, and the builder of the hot path.
//
//    0 baseOffset i64 | 8 batchLength i32 | 12 partitionLeaderEpoch i32 | 16 magic i8 = 2 | 17 crc u32
//   21 attributes i16 | 23 lastOffsetDelta i32 | 27 baseTimestamp i64 | 35 maxTimestamp i64
//   43 producerId i64 | 51 producerEpoch i16 | 53 baseSequence i32 | 57 recordCount i32 | 61 records
// record: length, attributes i8, timestampDelta, offsetDelta, keyLength, key, valueLength, value, headerCount, headers
//   (every number but the attributes is a zigzag varint; a length of -1 is null). All else is big-endian.
//
// Invariants
//   1. The CRC32C covers bytes 21 to the end: base offset and leader epoch are the log's to set.
//   2. `batchLength` counts the bytes after itself, so a batch takes 12 + batchLength bytes.
//   3. Appending a record allocates nothing, except when the buffer must grow.
// Source: Kafka's documentation, "Message Format".
import assert from 'node:assert'
import { type BufferPool, copyBytes, viewOf } from '../base/index.ts'
import type { RecordInput } from './contract.ts'
import { crc32c } from './crc32c.ts'
import { logErrors } from './errors.ts'

export const BATCH_HEADER_BYTES = 61
export const BATCH_LENGTH_AT = 8
export const LEADER_EPOCH_AT = 12
export const MAGIC_AT = 16
export const CRC_AT = 17
export const ATTRIBUTES_AT = 21
export const LAST_OFFSET_DELTA_AT = 23
export const BASE_TIMESTAMP_AT = 27
export const MAX_TIMESTAMP_AT = 35
export const PRODUCER_ID_AT = 43
export const PRODUCER_EPOCH_AT = 51
export const BASE_SEQUENCE_AT = 53
export const RECORD_COUNT_AT = 57
/** Bytes before those that `batchLength` counts. */
export const BATCH_PREFIX_BYTES = 12

export const COMPRESSION_MASK = 0x07
export const LOG_APPEND_TIME_FLAG = 0x08
export const TRANSACTIONAL_FLAG = 0x10
export const CONTROL_FLAG = 0x20

export const readInt16 = (bytes: Uint8Array, at: number): number => ((bytes[at] << 24) >> 16) | bytes[at + 1]
export const readInt32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
export const readUint32 = (bytes: Uint8Array, at: number): number => readInt32(bytes, at) >>> 0
/** A big-endian int64; exact within ±2^53, so check where the bytes are not trusted. */
export const readInt64 = (bytes: Uint8Array, at: number): number => readInt32(bytes, at) * 2 ** 32 + readUint32(bytes, at + 4)

export function writeInt16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8
  bytes[at + 1] = value
}
export function writeInt32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}
export function writeInt64(bytes: Uint8Array, at: number, value: number): void {
  writeInt32(bytes, at, Math.floor(value / 2 ** 32))
  writeInt32(bytes, at + 4, (value % 2 ** 32) | 0)
}

/** Offset of the batch's first record. */
export const baseOffsetOf = (bytes: Uint8Array, start: number): number => readInt64(bytes, start)
/** Offset after the batch's last record. */
export const nextOffsetOf = (bytes: Uint8Array, start: number): number =>
  readInt64(bytes, start) + readInt32(bytes, start + LAST_OFFSET_DELTA_AT) + 1
/** Bytes of the whole batch, as its header says. */
export const batchSizeOf = (bytes: Uint8Array, start: number): number => BATCH_PREFIX_BYTES + readInt32(bytes, start + BATCH_LENGTH_AT)

/** What a batch's header says; nothing is checked. The bytes must hold a whole header. */
export interface BatchHeader {
  sizeBytes: number
  magic: number
  /** 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd. */
  codec: number
  isLogAppendTime: boolean
  isTransactional: boolean
  isControl: boolean
  leaderEpoch: number
  /** -1: none. */
  producerId: number
  producerEpoch: number
}
export function batchHeaderOf(bytes: Uint8Array, start: number): BatchHeader {
  const attributes = readInt16(bytes, start + ATTRIBUTES_AT)
  return {
    sizeBytes: batchSizeOf(bytes, start),
    magic: bytes[start + MAGIC_AT],
    codec: attributes & COMPRESSION_MASK,
    isLogAppendTime: (attributes & LOG_APPEND_TIME_FLAG) !== 0,
    isTransactional: (attributes & TRANSACTIONAL_FLAG) !== 0,
    isControl: (attributes & CONTROL_FLAG) !== 0,
    leaderEpoch: readInt32(bytes, start + LEADER_EPOCH_AT),
    producerId: readInt64(bytes, start + PRODUCER_ID_AT),
    producerEpoch: readInt16(bytes, start + PRODUCER_EPOCH_AT),
  }
}

/**
 * Checks the header and checksum of the batch at `start`; its records are not walked.
 *
 * @param end  where the readable bytes end
 * @returns    the batch's size in bytes
 * @throws     LOG_BATCH_INVALID, LOG_BATCH_CHECKSUM, LOG_TIMESTAMP_TOO_FAR
 */
export function verifyBatch(bytes: Uint8Array, start: number, end: number): number {
  const fail = (reason: string) => logErrors('LOG_BATCH_INVALID', { position: start, reason })
  if (end - start < BATCH_HEADER_BYTES) throw fail(`${end - start} bytes are less than a batch header`)
  const sizeBytes = batchSizeOf(bytes, start)
  if (sizeBytes < BATCH_HEADER_BYTES) throw fail(`a batch length of ${sizeBytes - BATCH_PREFIX_BYTES} is too small`)
  if (sizeBytes > end - start) throw fail(`the batch has ${sizeBytes} bytes, only ${end - start} are there`)
  if (bytes[start + MAGIC_AT] !== 2) throw fail(`magic ${bytes[start + MAGIC_AT]} is not 2`)
  const expected = readUint32(bytes, start + CRC_AT)
  const actual = crc32c(bytes.subarray(start + ATTRIBUTES_AT, start + sizeBytes))
  if (expected !== actual) throw logErrors('LOG_BATCH_CHECKSUM', { position: start, expected, actual })
  const baseOffset = baseOffsetOf(bytes, start)
  const lastOffsetDelta = readInt32(bytes, start + LAST_OFFSET_DELTA_AT)
  const recordCount = readInt32(bytes, start + RECORD_COUNT_AT)
  if (!Number.isSafeInteger(baseOffset) || baseOffset < 0) throw fail(`base offset ${baseOffset}`)
  if (lastOffsetDelta < 0) throw fail(`last offset delta ${lastOffsetDelta}`)
  // Compaction may leave fewer records than offsets.
  if (recordCount < 0 || recordCount > lastOffsetDelta + 1) throw fail(`${recordCount} records in ${lastOffsetDelta + 1} offsets`)
  for (const at of [BASE_TIMESTAMP_AT, MAX_TIMESTAMP_AT]) {
    const timestampMs = readInt64(bytes, start + at)
    if (Math.abs(timestampMs) > TIMESTAMP_MS_MAX) throw logErrors('LOG_TIMESTAMP_TOO_FAR', { timestampMs })
  }
  return sizeBytes
}

/**
 * Headers encoded once for many records: the count and all headers as they stand in a record.
 * To vary one header's value, write into `bytes[patchStart … patchEnd)` before each `appendRecord`, which copies them.
 */
export interface HeaderTemplate {
  bytes: Uint8Array
  view: DataView
  patchStart: number
  patchEnd: number
}

const noHeaderBytes = Uint8Array.of(0)
export const noHeaders: HeaderTemplate = { bytes: noHeaderBytes, view: viewOf(noHeaderBytes), patchStart: 1, patchEnd: 1 }
const textEncoder = new TextEncoder()

/**
 * Encodes headers for `appendRecord`.
 *
 * @param patched  name of the header whose value differs from record to record, in the same number of bytes
 * @example const template = encodeHeaders([['trace_id', trace], ['id', new Uint8Array(16)]], 'id')
 *          template.bytes.set(id, template.patchStart); builder.appendRecord(key, body, start, end, template, nowMs)
 */
export function encodeHeaders(headers: readonly (readonly [name: string, value: Uint8Array | null])[], patched?: string): HeaderTemplate {
  let capacity = 5
  const names = headers.map(([name]) => textEncoder.encode(name))
  for (let i = 0; i < headers.length; i++) capacity += names[i].length + 10 + (headers[i][1]?.length ?? 0)
  const bytes = new Uint8Array(capacity)
  let at = writeVarint(bytes, 0, headers.length)
  let patchStart = 0
  let patchEnd = 0
  headers.forEach(([name, value], i) => {
    at = writeVarint(bytes, at, names[i].length)
    bytes.set(names[i], at)
    at = writeVarint(bytes, at + names[i].length, value ? value.length : -1)
    if (value) bytes.set(value, at)
    if (name === patched) {
      patchStart = at
      patchEnd = at + (value?.length ?? 0)
    }
    at += value?.length ?? 0
  })
  const exact = bytes.slice(0, at)
  return { bytes: exact, view: viewOf(exact), patchStart, patchEnd }
}

/** Writes a zigzag varint (int32 range fast, beyond it exact to ±2^52) and returns the position after it. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  if (value >= -0x40000000 && value < 0x40000000) {
    let rest = (value << 1) ^ (value >> 31)
    while (rest > 127) {
      bytes[at++] = (rest & 127) | 128
      rest >>>= 7
    }
    bytes[at++] = rest
    return at
  }
  let rest = value < 0 ? -2 * value - 1 : 2 * value
  while (rest > 127) {
    bytes[at++] = (rest % 128) | 128
    rest = Math.floor(rest / 128)
  }
  bytes[at++] = rest
  return at
}

/** Bytes that `writeVarint` takes. */
export function varintSize(value: number): number {
  if (value >= -0x40000000 && value < 0x40000000) {
    const zigzag = (value << 1) ^ (value >> 31)
    return zigzag < 0x80 ? 1 : zigzag < 0x4000 ? 2 : zigzag < 0x200000 ? 3 : zigzag < 0x10000000 ? 4 : 5
  }
  let rest = value < 0 ? -2 * value - 1 : 2 * value
  let size = 1
  for (; rest > 127; size++) rest = Math.floor(rest / 128)
  return size
}

export interface BatchOptions {
  producerId?: number
  producerEpoch?: number
  baseSequence?: number
  /** Attribute bits other than compression, which is the builder's. */
  attributes?: number
}

/** A batch that was finished in another thread, to be finished again with another producer: as a builder would give it. */
export const finishedBatch = (batch: Uint8Array, recordCount: number): Pick<BatchBuilder, 'recordCount' | 'finish'> => ({
  recordCount,
  finish({ producerId = -1, producerEpoch = -1, baseSequence = -1, attributes = 0 } = {}) {
    writeInt16(batch, ATTRIBUTES_AT, attributes | (readInt16(batch, ATTRIBUTES_AT) & COMPRESSION_MASK))
    writeInt64(batch, PRODUCER_ID_AT, producerId)
    writeInt16(batch, PRODUCER_EPOCH_AT, producerEpoch)
    writeInt32(batch, BASE_SEQUENCE_AT, baseSequence)
    writeInt32(batch, CRC_AT, crc32c(batch.subarray(ATTRIBUTES_AT)))
    return batch
  },
})

const noBytes = new Uint8Array(0)
export const RECORD_OVERHEAD_BYTES_MAX = 40
/** Beyond this (the year 37,000) a difference of two timestamps could lose digits in a double. */
export const TIMESTAMP_MS_MAX = 2 ** 50

/** An array and the view of it that `copyBytes` needs. */
class ViewedSource {
  private source: Uint8Array = noBytes
  private view: DataView = viewOf(noBytes)

  viewOf(source: Uint8Array): DataView {
    if (source !== this.source) {
      this.source = source
      this.view = viewOf(source)
    }
    return this.view
  }

  forget(): void {
    this.source = noBytes
    this.view = viewOf(noBytes)
  }
}

/** What a record's own length says. A size of -1 is null. */
export const recordLength = (
  timestampDelta: number,
  offsetDelta: number,
  keySize: number,
  valueSize: number,
  headersSize: number,
): number =>
  1 +
  varintSize(timestampDelta) +
  varintSize(offsetDelta) +
  varintSize(keySize) +
  Math.max(keySize, 0) +
  varintSize(valueSize) +
  Math.max(valueSize, 0) +
  headersSize

/**
 * Builds one record batch after another.
 *
 * @example const builder = new BatchBuilder()
 *          builder.appendRecord(null, body, start, end, template, nowMs)
 *          const { recordCount } = builder
 *          await log.append(topic, 0, builder.finish(), { recordCount })
 */
export class BatchBuilder {
  recordCount = 0
  /** Empty until the first record: finished bytes are transferred to the writer, so each batch has a buffer of its own. */
  protected bytes: Uint8Array = noBytes
  protected view: DataView = viewOf(noBytes)
  /** What a record was last copied from: the keys and values of a body are all in one array each. A new view costs as much as copying them. */
  private readonly keySource = new ViewedSource()
  private readonly valueSource = new ViewedSource()
  private capacityBytes: number
  private readonly pool: BufferPool | undefined
  protected at = BATCH_HEADER_BYTES
  protected baseTimestampMs = 0
  protected maxTimestampMs = 0

  /** @param pool  where its buffers come from; whoever appends a batch gives it back once that is answered */
  constructor(capacityBytes = 64 * 1024, pool?: BufferPool) {
    this.capacityBytes = Math.max(capacityBytes, 256)
    this.pool = pool
  }

  /** Size of the batch as it would be now. */
  get sizeBytes(): number {
    return this.at
  }

  /** Whether a record of at most so many bytes fits into a batch of at most so many. */
  hasRoom(recordBytesMax: number, batchBytesMax: number): boolean {
    return this.sizeBytes + recordBytesMax <= batchBytesMax
  }

  /**
   * Adds one record.
   *
   * @param key          null is Kafka's null key
   * @param value        bytes that hold the value at `[start … end)`; null is a tombstone
   * @param timestampMs  CreateTime, epoch ms, a whole number
   * @throws             LOG_BATCH_INVALID for a timestamp beyond `TIMESTAMP_MS_MAX`; the record is then not added
   */
  appendRecord(
    key: Uint8Array | null,
    value: Uint8Array | null,
    start: number,
    end: number,
    headers: HeaderTemplate,
    timestampMs: number,
    keyStart = 0,
    keyEnd = key === null ? 0 : key.length,
  ): void {
    const timestampDelta = this.admit(timestampMs)
    const offsetDelta = this.recordCount++
    const keySize = key === null ? -1 : keyEnd - keyStart
    const valueSize = value === null ? -1 : end - start
    const headersSize = headers.bytes.length
    const most = RECORD_OVERHEAD_BYTES_MAX + keySize + valueSize + headersSize
    if (this.at + most > this.bytes.length) this.grow(most)
    this.at = writeVarint(this.bytes, this.at, recordLength(timestampDelta, offsetDelta, keySize, valueSize, headersSize))
    this.writeKeyAndValue(timestampDelta, offsetDelta, key, keyStart, keySize, value, start, valueSize)
    this.writeHeaders(headers)
  }

  /** Takes a record's timestamp, in ms; returns what it is behind the first. */
  protected admit(timestampMs: number): number {
    if (!Number.isInteger(timestampMs) || Math.abs(timestampMs) > TIMESTAMP_MS_MAX) {
      throw logErrors('LOG_BATCH_INVALID', { position: this.at, reason: `${timestampMs} is no timestamp` })
    }
    if (this.recordCount === 0) {
      this.baseTimestampMs = timestampMs
      this.maxTimestampMs = timestampMs
    } else if (timestampMs > this.maxTimestampMs) this.maxTimestampMs = timestampMs
    return timestampMs - this.baseTimestampMs
  }

  /** All of a record between its length and its headers, for which there is room. */
  protected writeKeyAndValue(
    timestampDelta: number,
    offsetDelta: number,
    key: Uint8Array | null,
    keyStart: number,
    keySize: number,
    value: Uint8Array | null,
    valueStart: number,
    valueSize: number,
  ): void {
    const { bytes, view } = this
    bytes[this.at] = 0
    let at = writeVarint(bytes, this.at + 1, timestampDelta)
    at = writeVarint(bytes, at, offsetDelta)
    at = writeVarint(bytes, at, keySize)
    if (key !== null) at = copyBytes(key, this.keySource.viewOf(key), keyStart, keyStart + keySize, bytes, view, at)
    at = writeVarint(bytes, at, valueSize)
    if (value !== null) at = copyBytes(value, this.valueSource.viewOf(value), valueStart, valueStart + valueSize, bytes, view, at)
    this.at = at
  }

  protected writeHeaders({ bytes: from, view }: HeaderTemplate): void {
    this.at = copyBytes(from, view, 0, from.length, this.bytes, this.view, this.at)
  }

  /**
   * The finished batch, alone in an ArrayBuffer that may be larger; the builder begins anew, in another one.
   * Base offset and leader epoch are 0 until the log sets them.
   */
  finish(options: BatchOptions = {}): Uint8Array {
    assert(this.recordCount > 0, 'a batch has at least one record')
    const codec = this.close()
    const { bytes, at } = this
    writeInt64(bytes, 0, 0)
    writeInt32(bytes, BATCH_LENGTH_AT, at - BATCH_PREFIX_BYTES)
    writeInt32(bytes, LEADER_EPOCH_AT, 0)
    bytes[MAGIC_AT] = 2
    writeInt16(bytes, ATTRIBUTES_AT, (options.attributes ?? 0) | codec)
    writeInt32(bytes, LAST_OFFSET_DELTA_AT, this.recordCount - 1)
    writeInt64(bytes, BASE_TIMESTAMP_AT, this.baseTimestampMs)
    writeInt64(bytes, MAX_TIMESTAMP_AT, this.maxTimestampMs)
    writeInt64(bytes, PRODUCER_ID_AT, options.producerId ?? -1)
    writeInt16(bytes, PRODUCER_EPOCH_AT, options.producerEpoch ?? -1)
    writeInt32(bytes, BASE_SEQUENCE_AT, options.baseSequence ?? -1)
    writeInt32(bytes, RECORD_COUNT_AT, this.recordCount)
    const batch = bytes.subarray(0, at)
    writeInt32(bytes, CRC_AT, crc32c(batch.subarray(ATTRIBUTES_AT)))
    this.bytes = noBytes
    this.view = viewOf(noBytes)
    this.keySource.forget()
    this.valueSource.forget()
    // The next batch will be about as large.
    this.capacityBytes = Math.max(256, Math.ceil(at * 1.1))
    this.at = BATCH_HEADER_BYTES
    this.recordCount = 0
    return batch
  }

  /** Ends the records. Gives the codec that they are compressed in. */
  protected close(): number {
    return 0
  }

  protected grow(neededBytes: number): void {
    const had = this.bytes
    const sizeBytes = Math.max(this.capacityBytes, had.length * 2, this.at + neededBytes)
    const grown = this.pool?.take(sizeBytes) ?? Buffer.allocUnsafeSlow(sizeBytes)
    if (had.length > 0) {
      grown.set(had.subarray(0, this.at))
      this.pool?.give(had)
    }
    this.bytes = grown
    this.view = viewOf(grown)
  }
}

/** A builder that holds some records. */
export function builderOf(records: readonly RecordInput[]): BatchBuilder {
  const builder = new BatchBuilder(4096)
  for (const { key, value, headers, timestampMs } of records) {
    const template = headers && headers.length > 0 ? encodeHeaders(headers) : noHeaders
    builder.appendRecord(key, value, 0, value?.length ?? 0, template, timestampMs)
  }
  return builder
}

/** One batch of some records. @throws LOG_BATCH_INVALID if there are none */
export function batchOfRecords(records: readonly RecordInput[]): Uint8Array {
  if (records.length === 0) throw logErrors('LOG_BATCH_INVALID', { position: 0, reason: 'no records' })
  return builderOf(records).finish()
}
