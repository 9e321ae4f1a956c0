// The records of compressed batches, in the four codecs of Kafka.
//
// Invariants
//   1. Whatever the bytes are, nothing is read or written outside the buffers, and the output never exceeds `bytesMax`: a bomb is an error.
//   2. Sizes that a frame claims allocate nothing beyond `bytesMax`.
// Checksums inside LZ4 frames are not looked at: the batch's CRC covers the same bytes.
// Sources: the LZ4 frame and block formats, the Snappy format, and the framing of snappy-java, which Kafka's Java client puts around it.
import { constants, gunzipSync, zstdDecompressSync } from 'node:zlib'

/**
 * @param codec     1 gzip, 2 snappy, 3 lz4, 4 zstd
 * @param bytesMax  an output beyond it is an error
 * @throws          Error, with a text that says what is wrong
 */
export function decompress(source: Uint8Array, codec: number, bytesMax: number): Uint8Array {
  switch (codec) {
    case 1:
      return gunzipSync(source, { maxOutputLength: bytesMax })
    case 2:
      return snappy(source, bytesMax)
    case 3:
      return lz4Frame(source, bytesMax)
    default:
      return zstdDecompressSync(source, { maxOutputLength: bytesMax, params: { [constants.ZSTD_d_windowLogMax]: 27 } })
  }
}

/** Bytes that grow at the end, and copies of what was written before: all that both LZ4 and Snappy do. */
class Output {
  at = 0
  private bytes: Uint8Array
  private readonly bytesMax: number

  constructor(sizeBytes: number, bytesMax: number) {
    this.bytesMax = bytesMax
    this.bytes = new Uint8Array(Math.min(sizeBytes, bytesMax))
  }

  literal(source: Uint8Array, start: number, size: number): void {
    if (size > source.length - start) throw new Error('a literal is cut off')
    this.reserve(size)
    const { bytes } = this
    if (size <= 32) for (let i = 0; i < size; i++) bytes[this.at + i] = source[start + i]
    else bytes.set(source.subarray(start, start + size), this.at)
    this.at += size
  }

  /** Repeats what lies `distance` bytes back; it may overlap what is being written. */
  copy(distance: number, size: number): void {
    if (distance < 1 || distance > this.at) throw new Error(`a copy from ${distance} bytes back, and there are ${this.at}`)
    this.reserve(size)
    const { bytes, at } = this
    if (distance >= size && size > 32) bytes.copyWithin(at, at - distance, at - distance + size)
    else for (let i = 0; i < size; i++) bytes[at + i] = bytes[at + i - distance]
    this.at += size
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.at)
  }

  private reserve(size: number): void {
    const need = this.at + size
    if (need <= this.bytes.length) return
    if (need > this.bytesMax) throw new Error(`more than ${this.bytesMax} bytes`)
    const grown = new Uint8Array(Math.min(this.bytesMax, Math.max(need, this.bytes.length * 2)))
    grown.set(this.bytes.subarray(0, this.at))
    this.bytes = grown
  }
}

const LZ4_MAGIC = 0x184d2204
const LZ4_UNCOMPRESSED = 0x80000000

function lz4Frame(source: Uint8Array, bytesMax: number): Uint8Array {
  const view = new DataView(source.buffer, source.byteOffset, source.length)
  if (source.length < 7 || view.getUint32(0, true) !== LZ4_MAGIC) throw new Error('no LZ4 frame')
  const flags = source[4]
  if (flags >> 6 !== 1) throw new Error(`LZ4 frame version ${flags >> 6}`)
  if (flags & 1) throw new Error('an LZ4 dictionary')
  const blockChecksumBytes = flags & 0x10 ? 4 : 0
  let at = flags & 0x08 ? 15 : 7
  const out = new Output(source.length * 4, bytesMax)
  for (;;) {
    if (at + 4 > source.length) throw new Error('an LZ4 frame is cut off')
    const word = view.getUint32(at, true)
    at += 4
    if (word === 0) return out.finish()
    const size = word & ~LZ4_UNCOMPRESSED
    if (size > source.length - at) throw new Error('an LZ4 block is cut off')
    if (word >= LZ4_UNCOMPRESSED) out.literal(source, at, size)
    else lz4Block(source.subarray(at, at + size), out)
    at += size + blockChecksumBytes
  }
}

function lz4Block(source: Uint8Array, out: Output): void {
  let at = 0
  const long = (size: number): number => {
    if (size < 15) return size
    for (;;) {
      if (at >= source.length) throw new Error('an LZ4 length is cut off')
      const byte = source[at++]
      size += byte
      if (byte < 255) return size
    }
  }
  while (at < source.length) {
    const token = source[at++]
    const literalBytes = long(token >> 4)
    out.literal(source, at, literalBytes)
    at += literalBytes
    if (at === source.length) return
    if (at + 2 > source.length) throw new Error('an LZ4 distance is cut off')
    const distance = source[at] | (source[at + 1] << 8)
    at += 2
    out.copy(distance, long(token & 15) + 4)
  }
}

const XERIAL_MAGIC = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0)
const XERIAL_HEADER_BYTES = 16

function snappy(source: Uint8Array, bytesMax: number): Uint8Array {
  const out = new Output(source.length * 4, bytesMax)
  if (!XERIAL_MAGIC.every((byte, i) => source[i] === byte)) {
    snappyBlock(source, out)
    return out.finish()
  }
  const view = new DataView(source.buffer, source.byteOffset, source.length)
  for (let at = XERIAL_HEADER_BYTES; at < source.length; ) {
    const size = at + 4 <= source.length ? view.getUint32(at) : Number.POSITIVE_INFINITY
    at += 4
    if (size > source.length - at) throw new Error('a Snappy block is cut off')
    snappyBlock(source.subarray(at, at + size), out)
    at += size
  }
  return out.finish()
}

function snappyBlock(source: Uint8Array, out: Output): void {
  let at = 0
  let claimed = 0
  for (let shift = 0; ; shift += 7) {
    if (at >= source.length || shift > 28) throw new Error('no Snappy block')
    const byte = source[at++]
    claimed += (byte & 127) * 2 ** shift
    if (byte < 128) break
  }
  const start = out.at
  const little = (size: number): number => {
    if (at + size > source.length) throw new Error('a Snappy element is cut off')
    let value = 0
    for (let i = 0; i < size; i++) value += source[at++] * 2 ** (8 * i)
    return value
  }
  // A copy refers to its own block only.
  const copy = (distance: number, size: number) => {
    if (distance > out.at - start) throw new Error('a Snappy copy from before its block')
    out.copy(distance, size)
  }
  while (at < source.length) {
    const tag = source[at++]
    const rest = tag >> 2
    if ((tag & 3) === 0) {
      const size = (rest < 60 ? rest : little(rest - 59)) + 1
      out.literal(source, at, size)
      at += size
    } else if ((tag & 3) === 1) copy(((tag >> 5) << 8) | little(1), (rest & 7) + 4)
    else copy(little((tag & 3) === 2 ? 2 : 4), rest + 1)
  }
  if (out.at - start !== claimed) throw new Error(`${out.at - start} bytes in a Snappy block of ${claimed}`)
}
