// The records of compressed batches, in the four codecs of Kafka.
//
// Invariants
//   1. Whatever the bytes are, nothing is read or written outside the buffers, and the output never exceeds `bytesMax`: a bomb is an error.
//   2. Sizes that a frame claims allocate nothing beyond `bytesMax`.
// Checksums inside LZ4 frames are not looked at: the batch's CRC covers the same bytes.
// Sources: the LZ4 frame and block formats, the Snappy format, and the framing of snappy-java, which Kafka's Java client puts around it.
import { constants, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { copyBytes, copyNative, viewOf } from '../base/index.ts'

/**
 * @param codec     1 gzip, 2 snappy, 3 lz4, 4 zstd
 * @param bytesMax  an output beyond it is an error
 * @throws          Error, with a text that says what is wrong
 */
export function decompress(source: Uint8Array, codec: number, bytesMax: number): Uint8Array {
  const out = new Output(new Uint8Array(0), 0, bytesMax)
  decompressInto(out, source, codec)
  return out.finish()
}

/** As `decompress`, behind what `out` has. */
export function decompressInto(out: Output, source: Uint8Array, codec: number): void {
  switch (codec) {
    case 1:
      out.append(gunzipSync(source, { maxOutputLength: out.bytesLeft }))
      break
    case 2:
      out.expect(source.length * 4)
      snappy(source, out)
      break
    case 3:
      out.expect(source.length * 4)
      lz4Frame(source, out)
      break
    default:
      out.append(zstdDecompressSync(source, { maxOutputLength: out.bytesLeft, params: { [constants.ZSTD_d_windowLogMax]: 27 } }))
  }
}

/** Bytes that grow at the end, and copies of what was written before: all that both LZ4 and Snappy do. */
export class Output {
  at: number
  bytes: Uint8Array
  view: DataView
  /** What was there before: nothing refers to it. */
  private readonly start: number
  private readonly bytesMax: number

  /**
   * @param bytes     where to write, from `start` on; where they do not suffice others take their place, with what was before `start`
   * @param bytesMax  from `start` on
   */
  constructor(bytes: Uint8Array, start: number, bytesMax: number) {
    this.bytes = bytes
    this.view = viewOf(bytes)
    this.at = this.start = start
    this.bytesMax = start + bytesMax
  }

  get bytesLeft(): number {
    return this.bytesMax - this.at
  }

  /** Takes bytes that nobody else has. */
  append(source: Uint8Array): void {
    if (this.bytes.length > 0) this.literal(source, 0, source.length)
    else {
      this.bytes = source
      this.view = viewOf(source)
      this.at = source.length
    }
  }

  /** Makes room at once for what will probably come. */
  expect(size: number): void {
    if (this.bytes.length === 0) this.reserve(Math.min(size, this.bytesMax))
  }

  literal(source: Uint8Array, start: number, size: number): void {
    if (size > source.length - start) throw new Error('a literal is cut off')
    this.reserve(size)
    const { bytes } = this
    if (size <= 32) for (let i = 0; i < size; i++) bytes[this.at + i] = source[start + i]
    else copyNative(source, start, start + size, bytes, this.at)
    this.at += size
  }

  /** Repeats what lies `distance` bytes back; it may overlap what is being written. */
  copy(distance: number, size: number): void {
    if (distance < 1 || distance > this.at - this.start)
      throw new Error(`a copy from ${distance} bytes back, and there are ${this.at - this.start}`)
    this.reserve(size)
    const { bytes, at } = this
    if (distance >= size && size > 32) bytes.copyWithin(at, at - distance, at - distance + size)
    else for (let i = 0; i < size; i++) bytes[at + i] = bytes[at + i - distance]
    this.at += size
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.at)
  }

  /** Makes room for `size` more; `bytes` may be others afterwards. */
  reserve(size: number): void {
    const need = this.at + size
    if (need <= this.bytes.length) return
    if (need > this.bytesMax) throw new Error(`more than ${this.bytesMax - this.start} bytes`)
    const grown = new Uint8Array(Math.min(this.bytesMax, Math.max(need, this.bytes.length * 2)))
    grown.set(this.bytes.subarray(0, this.at))
    this.bytes = grown
    this.view = viewOf(grown)
  }
}

const LZ4_MAGIC = 0x184d2204
export const LZ4_UNCOMPRESSED = 0x80000000
export const LZ4_REPEAT_BYTES_MIN = 4
/** A loop over words is faster than a call up to so many bytes. */
const WORDS_BYTES_MAX = 256

/** Checks the beginning of a frame of `source`. Returns where its blocks begin. */
function openLz4Frame(source: Uint8Array, view: DataView): number {
  if (source.length < 7 || view.getUint32(0, true) !== LZ4_MAGIC) throw new Error('no LZ4 frame')
  const flags = source[4]
  if (flags >> 6 !== 1) throw new Error(`LZ4 frame version ${flags >> 6}`)
  if (flags & 1) throw new Error('an LZ4 dictionary')
  return flags & 0x08 ? 15 : 7
}
const blockChecksumBytesOf = (source: Uint8Array): number => (source[4] & 0x10 ? 4 : 0)

/**
 * The bytes of an LZ4 frame that has one block, stored as it was because it could not be made smaller; undefined if it is another, or none.
 * Most producers write one block for a batch of 64 KiB or less, and what they cannot compress costs nothing to read.
 */
export function storedLz4(source: Uint8Array): Uint8Array | undefined {
  try {
    const view = viewOf(source)
    const start = openLz4Frame(source, view) + 4
    const word = view.getUint32(start - 4, true)
    const end = start + (word & ~LZ4_UNCOMPRESSED)
    if (word < LZ4_UNCOMPRESSED || view.getUint32(end + blockChecksumBytesOf(source), true) !== 0) return undefined
    return source.subarray(start, end)
  } catch {
    return undefined
  }
}

function lz4Frame(source: Uint8Array, out: Output): void {
  const view = viewOf(source)
  let at = openLz4Frame(source, view)
  const blockChecksumBytes = blockChecksumBytesOf(source)
  const start = out.at
  for (;;) {
    if (at + 4 > source.length) throw new Error('an LZ4 frame is cut off')
    const word = view.getUint32(at, true)
    at += 4
    if (word === 0) return
    const size = word & ~LZ4_UNCOMPRESSED
    if (size > source.length - at) throw new Error('an LZ4 block is cut off')
    if (word >= LZ4_UNCOMPRESSED) out.literal(source, at, size)
    else lz4Block(source, view, at, at + size, out, start)
    at += size + blockChecksumBytes
  }
}

/** The hot one: every batch in LZ4 goes through it, byte by byte. So it keeps its state in variables, and calls nothing for a short copy. */
function lz4Block(source: Uint8Array, sourceView: DataView, start: number, end: number, out: Output, outStart: number): void {
  let from = start
  let { bytes, view, at } = out
  while (from < end) {
    const token = source[from++]
    let size = token >> 4
    if (size === 15) {
      for (let byte = 255; byte === 255; size += byte) {
        if (from >= end) throw new Error('an LZ4 length is cut off')
        byte = source[from++]
      }
    }
    if (size > end - from) throw new Error('a literal is cut off')
    if (at + size > bytes.length) {
      out.at = at
      out.reserve(size)
      ;({ bytes, view } = out)
    }
    // Up to seven bytes more than asked for, where that does no harm: they are written over.
    if (size <= WORDS_BYTES_MAX && from + size + 8 <= source.length && at + size + 8 <= bytes.length) {
      for (let i = 0; i < size; i += 8) view.setBigInt64(at + i, sourceView.getBigInt64(from + i))
    } else copyBytes(source, sourceView, from, from + size, bytes, view, at)
    from += size
    at += size
    if (from === end) break
    if (from + 2 > end) throw new Error('an LZ4 distance is cut off')
    const distance = source[from] | (source[from + 1] << 8)
    from += 2
    size = token & 15
    if (size === 15) {
      for (let byte = 255; byte === 255; size += byte) {
        if (from >= end) throw new Error('an LZ4 length is cut off')
        byte = source[from++]
      }
    }
    size += LZ4_REPEAT_BYTES_MIN
    if (distance < 1 || distance > at - outStart) throw new Error(`a copy from ${distance} bytes back, and there are ${at - outStart}`)
    if (at + size > bytes.length) {
      out.at = at
      out.reserve(size)
      ;({ bytes, view } = out)
    }
    if (distance >= 8 && size <= WORDS_BYTES_MAX && at + size + 8 <= bytes.length) {
      for (let i = 0; i < size; i += 8) view.setBigInt64(at + i, view.getBigInt64(at + i - distance))
    } else if (distance >= size && size > WORDS_BYTES_MAX) bytes.copyWithin(at, at - distance, at - distance + size)
    else for (let i = at; i < at + size; i++) bytes[i] = bytes[i - distance]
    at += size
  }
  out.at = at
}

const XERIAL_MAGIC = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0)
const XERIAL_HEADER_BYTES = 16

function snappy(source: Uint8Array, out: Output): void {
  for (const block of snappyBlocks(source)) snappyBlock(block, out)
}

/** @throws Error, after those that are whole */
export function* snappyBlocks(source: Uint8Array): Generator<Uint8Array> {
  if (!XERIAL_MAGIC.every((byte, i) => source[i] === byte)) {
    yield source
    return
  }
  const view = viewOf(source)
  for (let at = XERIAL_HEADER_BYTES; at < source.length; ) {
    const size = at + 4 <= source.length ? view.getUint32(at) : Number.POSITIVE_INFINITY
    at += 4
    if (size > source.length - at) throw new Error('a Snappy block is cut off')
    yield source.subarray(at, at + size)
    at += size
  }
}

/** What a block says that it grows to, and where its elements begin. */
export function snappyClaim(source: Uint8Array): { bytes: number; at: number } {
  let bytes = 0
  for (let at = 0; ; at++) {
    if (at >= source.length || at > 4) throw new Error('no Snappy block')
    bytes += (source[at] & 127) * 2 ** (7 * at)
    if (source[at] < 128) return { bytes, at: at + 1 }
  }
}

function snappyBlock(source: Uint8Array, out: Output): void {
  const claim = snappyClaim(source)
  let { at } = claim
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
  if (out.at - start !== claim.bytes) throw new Error(`${out.at - start} bytes in a Snappy block of ${claim.bytes}`)
}
