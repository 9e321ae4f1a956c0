// A Kafka client's side of the protocol, written from Kafka's protocol guide alone: it shares no code with the product, so that a mistake
// there is not made here too. Versions before the flexible ones: Produce 7, Fetch 11, ListOffsets 1, InitProducerId 1, OffsetCommit 2, OffsetFetch 1,
// AddPartitionsToTxn 1, EndTxn 1.

export const API = {
  PRODUCE: 0,
  FETCH: 1,
  LIST_OFFSETS: 2,
  OFFSET_COMMIT: 8,
  OFFSET_FETCH: 9,
  INIT_PRODUCER_ID: 22,
  ADD_PARTITIONS_TO_TXN: 24,
  END_TXN: 26,
} as const
const VERSION: Record<number, number> = { 0: 7, 1: 11, 2: 1, 8: 2, 9: 1, 22: 1, 24: 1, 26: 1 }

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc >>> 0
})
/** CRC32C, Castagnoli. */
export function checksum(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = crcTable[(crc ^ byte) & 255] ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}

export class Out {
  private readonly parts: Buffer[] = []
  private put(sizeBytes: number, write: (buffer: Buffer) => void): this {
    const buffer = Buffer.alloc(sizeBytes)
    write(buffer)
    this.parts.push(buffer)
    return this
  }
  int8 = (value: number) => this.put(1, (buffer) => buffer.writeInt8(value))
  int16 = (value: number) => this.put(2, (buffer) => buffer.writeInt16BE(value))
  int32 = (value: number) => this.put(4, (buffer) => buffer.writeInt32BE(value))
  uint32 = (value: number) => this.put(4, (buffer) => buffer.writeUInt32BE(value))
  int64 = (value: number) => this.put(8, (buffer) => buffer.writeBigInt64BE(BigInt(value)))
  raw(bytes: Uint8Array): this {
    this.parts.push(Buffer.from(bytes))
    return this
  }
  string(text: string | null): this {
    if (text === null) return this.int16(-1)
    const bytes = Buffer.from(text)
    return this.int16(bytes.length).raw(bytes)
  }
  bytes = (bytes: Uint8Array) => this.int32(bytes.length).raw(bytes)
  /** A signed number in zigzag form, seven bits a byte. */
  varint(value: number): this {
    let rest = BigInt(value) * 2n
    if (rest < 0n) rest = -rest - 1n
    const bytes: number[] = []
    for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
    bytes.push(Number(rest))
    return this.raw(Uint8Array.from(bytes))
  }
  done = (): Buffer => Buffer.concat(this.parts)
}

export class In {
  at = 0
  readonly buffer: Buffer
  constructor(bytes: Uint8Array) {
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }
  private get<T>(sizeBytes: number, read: (at: number) => T): T {
    const value = read(this.at)
    this.at += sizeBytes
    return value
  }
  int8 = () => this.get(1, (at) => this.buffer.readInt8(at))
  int16 = () => this.get(2, (at) => this.buffer.readInt16BE(at))
  int32 = () => this.get(4, (at) => this.buffer.readInt32BE(at))
  uint32 = () => this.get(4, (at) => this.buffer.readUInt32BE(at))
  int64 = () => Number(this.get(8, (at) => this.buffer.readBigInt64BE(at)))
  bytes(sizeBytes: number): Buffer {
    if (sizeBytes < 0 || this.at + sizeBytes > this.buffer.length) throw new Error(`${sizeBytes} bytes are not there`)
    return this.get(sizeBytes, (at) => this.buffer.subarray(at, at + sizeBytes))
  }
  string = () => this.bytes(this.int16()).toString()
  nullableString(): string | null {
    const sizeBytes = this.int16()
    return sizeBytes < 0 ? null : this.bytes(sizeBytes).toString()
  }
  array<T>(item: () => T): T[] {
    return Array.from({ length: Math.max(0, this.int32()) }, item)
  }
  varint(): number {
    let result = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.buffer[this.at++]
      result |= BigInt(byte & 127) << shift
      if (byte < 128) break
    }
    return Number(result & 1n ? -(result + 1n) / 2n : result / 2n)
  }
}

export function request(api: number, correlationId: number, clientId: string, body: Out): Buffer {
  const bytes = body.done()
  const head = new Out().int16(api).int16(VERSION[api]).int32(correlationId).string(clientId).done()
  return new Out()
    .int32(head.length + bytes.length)
    .raw(head)
    .raw(bytes)
    .done()
}

/** Cuts a stream of bytes into frames. */
export class Frames {
  private pending: Buffer = Buffer.alloc(0)

  /** The frames that are whole with this chunk. */
  public *take(chunk: Uint8Array): Generator<In> {
    this.pending = Buffer.concat([this.pending, chunk])
    while (this.pending.length >= 4) {
      const sizeBytes = this.pending.readInt32BE(0)
      if (this.pending.length < 4 + sizeBytes) return
      const frame = this.pending.subarray(4, 4 + sizeBytes)
      this.pending = this.pending.subarray(4 + sizeBytes)
      yield new In(frame)
    }
  }
}

export interface Sent {
  key: string | null
  value: string
}
export interface ProducerState {
  producerId: number
  epoch: number
  sequence: number
  isTransactional?: boolean
}
const NO_PRODUCER: ProducerState = { producerId: -1, epoch: -1, sequence: -1 }
const TRANSACTIONAL = 0x10
const CONTROL = 0x20

/** A record batch of magic 2. */
export function recordBatch(records: readonly Sent[], timestampMs: number, state = NO_PRODUCER): Buffer {
  const { producerId, epoch, sequence, isTransactional } = state
  const body = new Out()
  records.forEach(({ key, value }, i) => {
    const record = new Out().int8(0).varint(0).varint(i)
    if (key === null) record.varint(-1)
    else record.varint(Buffer.byteLength(key)).raw(Buffer.from(key))
    record.varint(Buffer.byteLength(value)).raw(Buffer.from(value)).varint(0)
    const bytes = record.done()
    body.varint(bytes.length).raw(bytes)
  })
  const checked = new Out()
    .int16(isTransactional ? TRANSACTIONAL : 0)
    .int32(records.length - 1)
    .int64(timestampMs)
    .int64(timestampMs)
    .int64(producerId)
    .int16(epoch)
    .int32(sequence)
    .int32(records.length)
    .raw(body.done())
    .done()
  const behindLength = new Out().int32(0).int8(2).uint32(checksum(checked)).raw(checked).done()
  return new Out().int64(0).int32(behindLength.length).raw(behindLength).done()
}

export interface Received {
  offset: number
  key: string | null
  value: string | null
  /** Of the batch. */
  producerId: number
  isTransactional: boolean
  /** A marker of a transaction: `value` says how it ended. */
  isControl: boolean
}
/** The records of batches one after another, and the offset behind them; a batch cut off at the end is left out. @throws Error if one is not whole or its checksum is wrong */
export function readBatches(bytes: Uint8Array): { records: Received[]; nextOffset: number } {
  const records: Received[] = []
  let nextOffset = 0
  for (let start = 0; start + 61 <= bytes.length; ) {
    const batch = new In(bytes.subarray(start))
    const baseOffset = batch.int64()
    const sizeBytes = 12 + batch.int32()
    if (start + sizeBytes > bytes.length) break
    batch.int32()
    if (batch.int8() !== 2) throw new Error('magic is not 2')
    const expected = batch.uint32()
    const checked = bytes.subarray(start + 21, start + sizeBytes)
    if (checksum(checked) !== expected) throw new Error(`the batch at offset ${baseOffset} has a wrong checksum`)
    const attributes = batch.int16()
    const isControl = (attributes & CONTROL) !== 0
    const isTransactional = (attributes & TRANSACTIONAL) !== 0
    nextOffset = baseOffset + batch.int32() + 1
    batch.at = 43
    const producerId = batch.int64()
    batch.at = 57
    const count = batch.int32()
    for (let i = 0; i < count; i++) {
      const end = batch.varint() + batch.at
      batch.at++
      batch.varint()
      const offset = baseOffset + batch.varint()
      const part = () => {
        const length = batch.varint()
        return length < 0 ? null : batch.bytes(length)
      }
      const key = part()
      const value = part()
      // The key of a marker: version, then 0 for an abort and 1 for a commit, two bytes each.
      const text = isControl ? (key?.readInt16BE(2) === 1 ? 'commit' : 'abort') : (value?.toString() ?? null)
      records.push({ offset, key: key?.toString() ?? null, value: text, producerId, isTransactional, isControl })
      batch.at = end
    }
    start += sizeBytes
  }
  return { records, nextOffset }
}

/** Of an answer with committed records only: those whose transactions were aborted are left out, by Kafka's rule for its clients. */
export class CommittedFilter {
  private waiting: { producerId: number; firstOffset: number }[] = []
  private readonly aborted = new Set<number>()

  /** The aborted transactions of an answer to Fetch. */
  constructor(aborted: readonly { producerId: number; firstOffset: number }[]) {
    this.waiting = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset)
  }

  isVisible({ offset, producerId, isTransactional, isControl, value }: Received): boolean {
    while (this.waiting.length > 0 && this.waiting[0].firstOffset <= offset) this.aborted.add(this.waiting.shift()!.producerId)
    if (isControl) {
      if (value === 'abort') this.aborted.delete(producerId)
      return false
    }
    return !(isTransactional && this.aborted.has(producerId))
  }
}

/** What an answer to PRODUCE says of its one partition. */
export function readProduced(answer: In): { errorCode: number; baseOffset: number } {
  const said = { errorCode: 0, baseOffset: -1 }
  answer.array(() => {
    answer.string()
    answer.array(() => {
      answer.int32()
      said.errorCode = answer.int16()
      said.baseOffset = answer.int64()
      answer.int64()
      answer.int64()
    })
  })
  return said
}
