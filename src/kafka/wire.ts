// Kafka's primitive types: a reader that never leaves its bytes, and a writer of frames.
//
// Invariants
//   1. Every length and count is checked against the bytes that are left before anything is allocated for it.
//   2. `bytes` and `records` are views into the request: whoever keeps them beyond the request copies them.
//   3. What the writer got as large `bytes` goes out without a copy; it must not change until the frame is sent.
// Source: Kafka's protocol guide, "Protocol Primitive Types".
import { kafkaErrors } from './errors.ts'

export const ZERO_UUID = '00000000-0000-0000-0000-000000000000'

/** The id that was read last: a producer names one topic again and again, and the text costs a microsecond to make and as much to write. */
let lastUuid = { text: ZERO_UUID, bytes: Buffer.alloc(16) }

export class WireReader {
  at: number
  private readonly bytes: Buffer
  private readonly end: number

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.at = at
    this.end = end
  }

  get left(): number {
    return this.end - this.at
  }

  bool(): boolean {
    return this.int8() !== 0
  }
  int8(): number {
    return this.bytes.readInt8(this.take(1))
  }
  int16(): number {
    return this.bytes.readInt16BE(this.take(2))
  }
  uint16(): number {
    return this.bytes.readUInt16BE(this.take(2))
  }
  int32(): number {
    return this.bytes.readInt32BE(this.take(4))
  }
  /** Exact within ±2^53; what is beyond is rounded and stays beyond. */
  int64(): number {
    const at = this.take(8)
    return this.bytes.readInt32BE(at) * 2 ** 32 + this.bytes.readUInt32BE(at + 4)
  }
  float64(): number {
    return this.bytes.readDoubleBE(this.take(8))
  }
  uuid(): string {
    const at = this.take(16)
    const { bytes } = this
    if (bytes.compare(lastUuid.bytes, 0, 16, at, at + 16) === 0) return lastUuid.text
    const hex = bytes.toString('hex', at, at + 16)
    const text = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
    lastUuid = { text, bytes: Buffer.from(bytes.subarray(at, at + 16)) }
    return text
  }
  /** An unsigned varint of at most 32 bits. */
  uvarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes[this.take(1)]
      value += (byte & 127) * 2 ** shift
      if (byte < 128) {
        if (value > 0xffffffff) break
        return value
      }
    }
    throw invalid('a number has more than 32 bits')
  }
  string(isCompact: boolean): string | null {
    const size = isCompact ? this.uvarint() - 1 : this.int16()
    if (size < 0) return null
    const at = this.take(size)
    return this.bytes.toString('utf8', at, at + size)
  }
  byteString(isCompact: boolean): Uint8Array | null {
    const size = isCompact ? this.uvarint() - 1 : this.int32()
    if (size < 0) return null
    const at = this.take(size)
    return this.bytes.subarray(at, at + size)
  }
  /** The count of an array whose elements take `elementBytesMin` or more; -1 is null. */
  count(isCompact: boolean, elementBytesMin: number): number {
    const count = isCompact ? this.uvarint() - 1 : this.int32()
    if (count < 0) return -1
    if (count * elementBytesMin > this.left) throw invalid(`${count} elements do not fit into ${this.left} bytes`)
    return count
  }
  /** A reader of the next `size` bytes alone. */
  slice(size: number): WireReader {
    const at = this.take(size)
    return new WireReader(this.bytes, at, at + size)
  }
  skip(size: number): void {
    this.take(size)
  }

  private take(size: number): number {
    const { at } = this
    if (size > this.end - at) throw invalid(`${size} bytes are wanted, ${this.end - at} are left`)
    this.at = at + size
    return at
  }
}

/** Below it, bytes are copied into the frame: one more part for the socket costs more. */
const COPY_BYTES_MAX = 1024
const FRAME_PREFIX_BYTES = 4

export class WireWriter {
  private buffer = Buffer.allocUnsafe(512)
  private at = FRAME_PREFIX_BYTES
  /** Where the bytes begin that are in no part yet. */
  private start = 0
  private readonly parts: Uint8Array[] = []
  private partBytes = 0

  bool(value: boolean): void {
    this.int8(value ? 1 : 0)
  }
  int8(value: number): void {
    const at = this.room(1)
    this.buffer[at] = value
  }
  int16(value: number): void {
    const at = this.room(2)
    this.buffer[at] = value >> 8
    this.buffer[at + 1] = value
  }
  uint16(value: number): void {
    this.int16(value)
  }
  int32(value: number): void {
    const at = this.room(4)
    this.buffer.writeInt32BE(value, at)
  }
  int64(value: number): void {
    const at = this.room(8)
    this.buffer.writeInt32BE(Math.floor(value / 2 ** 32), at)
    this.buffer.writeInt32BE((value % 2 ** 32) | 0, at + 4)
  }
  float64(value: number): void {
    const at = this.room(8)
    this.buffer.writeDoubleBE(value, at)
  }
  uuid(value: string): void {
    const at = this.room(16)
    if (value === lastUuid.text) this.buffer.set(lastUuid.bytes, at)
    else this.buffer.write(value.replaceAll('-', ''), at, 16, 'hex')
  }
  uvarint(value: number): void {
    const at = this.room(5)
    let end = at
    for (; value > 127; value = Math.floor(value / 128)) this.buffer[end++] = (value & 127) | 128
    this.buffer[end++] = value
    this.at = end
  }
  string(value: string | null, isCompact: boolean): void {
    const size = value === null ? -1 : Buffer.byteLength(value)
    if (isCompact) this.uvarint(size + 1)
    else this.int16(size)
    if (value) {
      const at = this.room(size)
      this.buffer.write(value, at, size, 'utf8')
    }
  }
  byteString(value: Uint8Array | null, isCompact: boolean): void {
    const size = value === null ? -1 : value.length
    if (isCompact) this.uvarint(size + 1)
    else this.int32(size)
    if (value) this.raw(value)
  }
  /** The count of an array; -1 is null. */
  count(count: number, isCompact: boolean): void {
    if (isCompact) this.uvarint(count + 1)
    else this.int32(count)
  }
  raw(bytes: Uint8Array): void {
    if (bytes.length <= COPY_BYTES_MAX) {
      const at = this.room(bytes.length)
      this.buffer.set(bytes, at)
      return
    }
    this.flush()
    this.parts.push(bytes)
    this.partBytes += bytes.length
  }

  /** The frame with its length in front, in as few parts as it takes. */
  frame(): Uint8Array[] {
    this.flush()
    Buffer.from(this.parts[0].buffer, this.parts[0].byteOffset, FRAME_PREFIX_BYTES).writeInt32BE(this.partBytes - FRAME_PREFIX_BYTES)
    return this.parts
  }
  /** What was written, without a frame, in one piece. */
  bytes(): Buffer {
    this.flush()
    return Buffer.concat(this.parts).subarray(FRAME_PREFIX_BYTES)
  }

  private flush(): void {
    if (this.at === this.start) return
    this.parts.push(this.buffer.subarray(this.start, this.at))
    this.partBytes += this.at - this.start
    this.start = this.at
  }

  private room(size: number): number {
    const { at } = this
    if (at + size > this.buffer.length) {
      const pending = this.buffer.subarray(this.start, at)
      const grown = Buffer.allocUnsafe(Math.max(1024, (pending.length + size) * 2))
      grown.set(pending)
      this.buffer = grown
      this.start = 0
      this.at = pending.length + size
      return pending.length
    }
    this.at = at + size
    return at
  }
}

const invalid = (reason: string) => kafkaErrors('KAFKA_REQUEST_INVALID', { reason })
