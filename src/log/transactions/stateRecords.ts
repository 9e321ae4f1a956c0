// What is remembered of a transactional id: records of `__transaction_state`, in Kafka's own format.
//
//   key    version i16 = 0, transactionalId string
//   value  version i16 = 1, producerId i64, producerEpoch i16, timeoutMs i32, status i8, partitions [topic, [partition i32]], lastUpdateMs i64,
//          startMs i64, tagged fields. Lengths are compact. Tags 0 to 2 are Kafka's (previous and next producer id, the client's version),
//          100 is ours: producer id and epoch of the last transaction that was committed.
//
// One more key, version 32767, has the end of the producer ids that were given out, an i64. Kafka's readers skip versions that they do not know.
// Source: TransactionLogKey and TransactionLogValue of Kafka.
import { logErrors } from '../errors.ts'
import { readInt16, readInt32, readInt64, writeInt16, writeInt32, writeInt64 } from '../recordBatch.ts'
import type { ProducerIdAndEpoch, TransactionState } from './contract.ts'

export interface TransactionRecord extends ProducerIdAndEpoch {
  transactionalId: string
  state: TransactionState
  /** Infinity is stored as the greatest i32. */
  timeoutMs: number
  /** Partitions by topic. */
  partitions: ReadonlyMap<string, ReadonlySet<number>>
  /** -1: no transaction. */
  startMs: number
  lastUpdateMs: number
  /** Before the epochs of the present one were used up; -1: none. */
  previousProducerId: number
  /** What comes after the end that is being written, where the epochs are used up; -1: the same. */
  nextProducerId: number
  /** Whether the transaction was ended with an epoch of its own (KIP-890). */
  bumpsEpoch: boolean
  lastCommitted: ProducerIdAndEpoch | undefined
}

const STATES: TransactionState[] = [
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'Dead',
  'PrepareEpochFence',
]
const KEY_VERSION = 0
const PRODUCER_IDS_VERSION = 32_767
const VALUE_VERSION = 1
const FOREVER_MS = 2 ** 31 - 1
const TAG = { previousProducerId: 0, nextProducerId: 1, clientVersion: 2, lastCommitted: 100 }
const EPOCH_VERSION = 2

/** Numbers, strings and lengths, one after another. */
class Bytes {
  private readonly parts: Uint8Array[] = []

  fixed(size: number, write: (bytes: Uint8Array) => void): this {
    const bytes = new Uint8Array(size)
    write(bytes)
    this.parts.push(bytes)
    return this
  }
  int8 = (value: number) => this.fixed(1, (bytes) => void (bytes[0] = value))
  int16 = (value: number) => this.fixed(2, (bytes) => writeInt16(bytes, 0, value))
  int32 = (value: number) => this.fixed(4, (bytes) => writeInt32(bytes, 0, value))
  int64 = (value: number) => this.fixed(8, (bytes) => writeInt64(bytes, 0, value))
  uvarint(value: number): this {
    const bytes: number[] = []
    for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128)
    this.parts.push(Uint8Array.of(...bytes, value))
    return this
  }
  text(value: Uint8Array): this {
    this.parts.push(value)
    return this
  }
  end = (): Uint8Array => Buffer.concat(this.parts)
}

export function encodeKey(transactionalId: string): Uint8Array {
  const text = Buffer.from(transactionalId)
  return new Bytes().int16(KEY_VERSION).int16(text.length).text(text).end()
}
export const producerIdsKey = (): Uint8Array => new Bytes().int16(PRODUCER_IDS_VERSION).end()
export const encodeProducerIds = (end: number): Uint8Array => new Bytes().int64(end).end()

export function encodeValue(record: TransactionRecord): Uint8Array {
  const bytes = new Bytes().int16(VALUE_VERSION).int64(record.producerId).int16(record.producerEpoch)
  bytes.int32(Math.min(record.timeoutMs, FOREVER_MS)).int8(STATES.indexOf(record.state))
  bytes.uvarint(record.partitions.size + 1)
  for (const [topic, partitions] of record.partitions) {
    const text = Buffer.from(topic)
    bytes
      .uvarint(text.length + 1)
      .text(text)
      .uvarint(partitions.size + 1)
    for (const partition of partitions) bytes.int32(partition)
    bytes.uvarint(0)
  }
  bytes.int64(record.lastUpdateMs).int64(record.startMs)
  const tags: [tag: number, value: Uint8Array][] = []
  const { previousProducerId, nextProducerId, lastCommitted } = record
  if (previousProducerId >= 0) tags.push([TAG.previousProducerId, new Bytes().int64(previousProducerId).end()])
  if (nextProducerId >= 0) tags.push([TAG.nextProducerId, new Bytes().int64(nextProducerId).end()])
  if (record.bumpsEpoch) tags.push([TAG.clientVersion, new Bytes().int16(EPOCH_VERSION).end()])
  if (lastCommitted) tags.push([TAG.lastCommitted, new Bytes().int64(lastCommitted.producerId).int16(lastCommitted.producerEpoch).end()])
  bytes.uvarint(tags.length)
  for (const [tag, value] of tags) bytes.uvarint(tag).uvarint(value.length).text(value)
  return bytes.end()
}

class Cursor {
  private readonly bytes: Uint8Array
  private at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
  private take(size: number): number {
    const { at } = this
    this.at += size
    if (size < 0 || this.at > this.bytes.length) {
      throw logErrors('LOG_METADATA_DAMAGED', { path: '__transaction_state', reason: 'a record is cut off' })
    }
    return at
  }
  int8 = () => this.bytes[this.take(1)]
  int16 = () => readInt16(this.bytes, this.take(2))
  int32 = () => readInt32(this.bytes, this.take(4))
  int64 = () => readInt64(this.bytes, this.take(8))
  uvarint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.int8()
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  text(size: number): string {
    const at = this.take(size)
    return Buffer.from(this.bytes.subarray(at, at + size)).toString()
  }
  inside(size: number): Cursor {
    const at = this.take(size)
    return new Cursor(this.bytes.subarray(at, at + size))
  }
}

/** What a record of the topic speaks of; undefined: a key that is not known here. */
export function decodeKey(key: Uint8Array): { transactionalId: string } | 'producer ids' | undefined {
  const cursor = new Cursor(key)
  const version = cursor.int16()
  if (version === PRODUCER_IDS_VERSION) return 'producer ids'
  return version === KEY_VERSION ? { transactionalId: cursor.text(cursor.int16()) } : undefined
}
export const decodeProducerIds = (value: Uint8Array): number => new Cursor(value).int64()

export function decodeValue(transactionalId: string, value: Uint8Array): TransactionRecord {
  const cursor = new Cursor(value)
  const version = cursor.int16()
  if (version !== VALUE_VERSION) {
    throw logErrors('LOG_METADATA_DAMAGED', { path: '__transaction_state', reason: `a record has version ${version}` })
  }
  const [producerId, producerEpoch, timeoutMs, status] = [cursor.int64(), cursor.int16(), cursor.int32(), cursor.int8()]
  const partitions = new Map<string, Set<number>>()
  for (let rest = cursor.uvarint(); rest > 1; rest--) {
    const topic = cursor.text(cursor.uvarint() - 1)
    const indexes = new Set<number>()
    for (let more = cursor.uvarint(); more > 1; more--) indexes.add(cursor.int32())
    skipTags(cursor)
    partitions.set(topic, indexes)
  }
  const [lastUpdateMs, startMs] = [cursor.int64(), cursor.int64()]
  const record: TransactionRecord = {
    transactionalId,
    producerId,
    producerEpoch,
    state: STATES[status] ?? 'Dead',
    timeoutMs: timeoutMs === FOREVER_MS ? Number.POSITIVE_INFINITY : timeoutMs,
    partitions,
    startMs,
    lastUpdateMs,
    previousProducerId: -1,
    nextProducerId: -1,
    bumpsEpoch: false,
    lastCommitted: undefined,
  }
  for (let rest = cursor.uvarint(); rest > 0; rest--) {
    const tag = cursor.uvarint()
    const inside = cursor.inside(cursor.uvarint())
    if (tag === TAG.previousProducerId) record.previousProducerId = inside.int64()
    if (tag === TAG.nextProducerId) record.nextProducerId = inside.int64()
    if (tag === TAG.clientVersion) record.bumpsEpoch = inside.int16() >= EPOCH_VERSION
    if (tag === TAG.lastCommitted) record.lastCommitted = { producerId: inside.int64(), producerEpoch: inside.int16() }
  }
  return record
}

function skipTags(cursor: Cursor): void {
  for (let rest = cursor.uvarint(); rest > 0; rest--) {
    cursor.uvarint()
    cursor.inside(cursor.uvarint())
  }
}
