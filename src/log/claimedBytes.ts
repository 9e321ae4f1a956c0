// So many bytes come out of compressed records, by what their frames say: found without decompressing them, in a time that grows with their blocks.
// Who lies is found when they are opened (decompress.ts). Sources: RFC 1952, RFC 8878, the LZ4 frame and the Snappy format.
import { viewOf } from '../base/index.ts'
import { LZ4_UNCOMPRESSED, snappyBlocks, snappyClaim } from './decompress.ts'
import { BATCH_HEADER_BYTES, batchHeaderOf } from './recordBatch.ts'

/** To open more takes so long that others should not wait for it: tens of milliseconds. */
const LARGE_BYTES = 4 * 1024 * 1024
const GZIP_BYTES_MIN = 18
const LZ4_GROWTH_MAX = 255
const ZSTD_MAGIC = 0xfd2fb528
const ZSTD_BLOCK_BYTES_MAX = 128 * 1024
const ZSTD_COMPRESSED = 2

/** Whether a batch is a compressed one that grows to more than 4 MiB. One that cannot be read does not. */
export function growsLarge(batch: Uint8Array): boolean {
  const { codec } = batchHeaderOf(batch, 0)
  return codec !== 0 && claimedBytes(batch.subarray(BATCH_HEADER_BYTES), codec) > LARGE_BYTES
}

/**
 * Bytes that come out at the most; of what is cut off or of another form, as far as it was understood.
 *
 * @param codec  1 gzip, 2 snappy, 3 lz4, 4 zstd
 */
export function claimedBytes(source: Uint8Array, codec: number): number {
  const view = viewOf(source)
  if (codec === 1) return source.length < GZIP_BYTES_MIN ? 0 : view.getUint32(source.length - 4, true)
  if (codec === 2) return snappyBytes(source)
  return codec === 3 ? lz4Bytes(source, view) : zstdBytes(source, view)
}

function snappyBytes(source: Uint8Array): number {
  let sum = 0
  try {
    for (const block of snappyBlocks(source)) sum += snappyClaim(block).bytes
  } catch {
    // Those before it count.
  }
  return sum
}

function lz4Bytes(source: Uint8Array, view: DataView): number {
  const [flags, sizes] = [source[4], source[5]]
  const blockBytesMax = 2 ** (8 + 2 * ((sizes >> 4) & 7))
  const checksumBytes = flags & 0x10 ? 4 : 0
  let sum = 0
  for (let at = flags & 0x08 ? 15 : 7; at + 4 <= source.length; ) {
    const word = view.getUint32(at, true)
    const size = word & ~LZ4_UNCOMPRESSED
    if (size === 0) break
    sum += word >= LZ4_UNCOMPRESSED ? size : Math.min(blockBytesMax, size * LZ4_GROWTH_MAX)
    at += 4 + size + checksumBytes
  }
  return sum
}

function zstdBytes(source: Uint8Array, view: DataView): number {
  let sum = 0
  for (let at = 0; at + 8 <= source.length; ) {
    const magic = view.getUint32(at, true)
    if (magic >>> 4 === 0x184d2a5) {
      at += 8 + view.getUint32(at + 4, true)
      continue
    }
    if (magic !== ZSTD_MAGIC) break
    const flags = source[at + 4]
    const isSingle = (flags & 0x20) !== 0
    const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][flags >> 6]
    at += 5 + (isSingle ? 0 : 1) + [0, 1, 2, 4][flags & 3] + sizeBytes
    for (let isLast = false; !isLast && at + 3 <= source.length; ) {
      const header = source[at] | (source[at + 1] << 8) | (source[at + 2] << 16)
      const [kind, size] = [(header >> 1) & 3, header >>> 3]
      isLast = (header & 1) === 1
      sum += kind === ZSTD_COMPRESSED ? ZSTD_BLOCK_BYTES_MAX : size
      // A repeated byte stands there once.
      at += 3 + (kind === 1 ? 1 : size)
    }
    if (flags & 4) at += 4
  }
  return sum
}
