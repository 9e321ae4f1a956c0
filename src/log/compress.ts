// Compression of batches that compaction writes again, in the codec that their producer chose; `decompress.ts` is the other way.
//
// LZ4 and Snappy find repeats with one hash table of the last place of each four bytes, as their reference encoders do at their fastest.
// Sources: as in decompress.ts. The LZ4 header is constant, so its checksum is too.
import { gzipSync, zstdCompressSync } from 'node:zlib'

/** @param codec  1 gzip, 2 snappy, 3 lz4, 4 zstd */
export function compress(source: Uint8Array, codec: number): Uint8Array {
  switch (codec) {
    case 1:
      return gzipSync(source)
    case 2:
      return snappy(source)
    case 3:
      return lz4Frame(source)
    default:
      return zstdCompressSync(source)
  }
}

const HASH_BITS = 14
const MATCH_BYTES_MIN = 4
const table = new Int32Array(1 << HASH_BITS)

/**
 * Cuts a block into literals and repeats.
 *
 * @param end       a repeat ends before it; what lies behind the last repeat is for the caller to write
 * @param emit      literal `[from … at)`, then `size` bytes that stand `distance` bytes before `at` too
 * @returns         where the last literal begins
 */
function findRepeats(
  source: Uint8Array,
  start: number,
  end: number,
  distanceMax: number,
  emit: (from: number, at: number, distance: number, size: number) => void,
): number {
  table.fill(-1)
  let from = start
  for (let at = start; at + MATCH_BYTES_MIN <= end; ) {
    const word = source[at] | (source[at + 1] << 8) | (source[at + 2] << 16) | (source[at + 3] << 24)
    const hash = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS)
    const found = table[hash]
    table[hash] = at
    let size = 0
    if (found >= 0 && at - found <= distanceMax) while (at + size < end && source[found + size] === source[at + size]) size++
    if (size < MATCH_BYTES_MIN) {
      at++
      continue
    }
    emit(from, at, at - found, size)
    at += size
    from = at
  }
  return from
}

class Output {
  at = 0
  bytes: Uint8Array

  constructor(bytesMax: number) {
    this.bytes = new Uint8Array(bytesMax)
  }

  byte(value: number): void {
    this.bytes[this.at++] = value
  }
  copy(source: Uint8Array, from: number, to: number): void {
    this.bytes.set(source.subarray(from, to), this.at)
    this.at += to - from
  }
  finish(): Uint8Array {
    return this.bytes.subarray(0, this.at)
  }
}

const LZ4_BLOCK_BYTES = 64 * 1024
/** Magic, version 1 with independent blocks and no checksums, blocks of 64 KiB, the header's checksum. */
const LZ4_HEADER = Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82)
/** The format wants the last five bytes to be literals, and no repeat to begin in the last twelve. */
const LZ4_TAIL_BYTES = 12

function lz4Frame(source: Uint8Array): Uint8Array {
  const out = new Output(LZ4_HEADER.length + source.length + Math.ceil(source.length / 128) + 64)
  out.copy(LZ4_HEADER, 0, LZ4_HEADER.length)
  for (let start = 0; start < source.length; start += LZ4_BLOCK_BYTES) {
    const end = Math.min(start + LZ4_BLOCK_BYTES, source.length)
    const sizeAt = out.at
    out.at += 4
    lz4Block(source, start, end, out)
    let size = out.at - sizeAt - 4
    const isStored = size >= end - start
    if (isStored) {
      out.at = sizeAt + 4
      out.copy(source, start, end)
      size = end - start
    }
    new DataView(out.bytes.buffer).setUint32(sizeAt, (isStored ? 0x80000000 : 0) + size, true)
  }
  // What was stored may have been written over by a longer attempt to compress it.
  out.bytes.fill(0, out.at, out.at + 4)
  out.at += 4
  return out.finish()
}

function lz4Block(source: Uint8Array, start: number, end: number, out: Output): void {
  const long = (rest: number) => {
    for (; rest >= 255; rest -= 255) out.byte(255)
    out.byte(rest)
  }
  const sequence = (from: number, at: number, repeatBytes: number) => {
    const literalBytes = at - from
    out.byte((Math.min(literalBytes, 15) << 4) | Math.min(repeatBytes, 15))
    if (literalBytes >= 15) long(literalBytes - 15)
    out.copy(source, from, at)
  }
  const last = findRepeats(source, start, end - LZ4_TAIL_BYTES, 65_535, (from, at, distance, size) => {
    sequence(from, at, size - MATCH_BYTES_MIN)
    out.byte(distance)
    out.byte(distance >> 8)
    if (size - MATCH_BYTES_MIN >= 15) long(size - MATCH_BYTES_MIN - 15)
  })
  sequence(last, end, 0)
}

const SNAPPY_BLOCK_BYTES = 64 * 1024

/** Without the framing of snappy-java: all clients read that, some do not know the framing. */
function snappy(source: Uint8Array): Uint8Array {
  const out = new Output(source.length + Math.ceil(source.length / 6) + 64)
  let rest = source.length
  for (; rest > 127; rest >>>= 7) out.byte((rest & 127) | 128)
  out.byte(rest)
  for (let start = 0; start < source.length; start += SNAPPY_BLOCK_BYTES) {
    snappyBlock(source, start, Math.min(start + SNAPPY_BLOCK_BYTES, source.length), out)
  }
  return out.finish()
}

function snappyBlock(source: Uint8Array, start: number, end: number, out: Output): void {
  const literal = (from: number, to: number) => {
    const size = to - from
    if (size === 0) return
    if (size <= 60) out.byte((size - 1) << 2)
    else {
      // A block has at most 64 KiB, so two bytes of length are enough.
      out.byte(61 << 2)
      out.byte(size - 1)
      out.byte((size - 1) >> 8)
    }
    out.copy(source, from, to)
  }
  const last = findRepeats(source, start, end, 65_535, (from, at, distance, size) => {
    literal(from, at)
    for (let left = size; left > 0; left -= 64) {
      out.byte(((Math.min(left, 64) - 1) << 2) | 2)
      out.byte(distance)
      out.byte(distance >> 8)
    }
  })
  literal(last, end)
}
