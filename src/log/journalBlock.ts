// One block of the commit journal: the bytes of one group commit, and where in which segment files they are.
//
//   0 magic u32 | 4 crc u32, of all behind it | 8 sizeBytes u32 | 12 entryCount u32 | 16 sequence i64 | 24 neededSequence i64 | 32 id i64
//   for each entry: position i64 | sizeBytes u32 | pathBytes u32 | path, below the data folder | bytes
//
// A block begins where the one before it ends, or at the beginning of the file, always at a multiple of PAGE_BYTES. Numbers are big-endian.
import { copyNative } from '../base/index.ts'
import { crc32c } from './crc32c.ts'
import { readInt64, readUint32, writeInt32, writeInt64 } from './recordBatch.ts'
import { wholeCrc } from './segmentIndex.ts'

/** What disks write as a whole, and direct writes must be aligned to. */
export const PAGE_BYTES = 4096

const MAGIC = 0x4d6a726e
const CRC_AT = 4
const COVERED_AT = 8
const SIZE_AT = 8
const COUNT_AT = 12
const SEQUENCE_AT = 16
const NEEDED_AT = 24
const ID_AT = 32
const HEADER_BYTES = 40
const ENTRY_HEADER_BYTES = 16
const PATH = /^topics\/[^/]+\/\d+\/\d{20}\.log$/

/** Bytes that were written to a segment file. */
export interface JournalEntry {
  /** Below the data folder. */
  path: string
  position: number
  /** Whole batches, whose checksums were found right. */
  buffers: readonly Uint8Array[]
  sizeBytes: number
}

export interface BlockHeader {
  /** Of the journal: another one each time that the file is made. */
  id: number
  /** One more than that of the block before it. */
  sequence: number
  /** The oldest block whose entries may not all be in their files. */
  neededSequence: number
}

export interface Block extends BlockHeader {
  position: number
  sizeBytes: number
  entries: { path: string; position: number; bytes: Uint8Array }[]
}

export const padded = (bytes: number): number => Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES

const unpaddedBytes = (entries: readonly JournalEntry[]): number =>
  entries.reduce((sum, { path, sizeBytes }) => sum + ENTRY_HEADER_BYTES + Buffer.byteLength(path) + sizeBytes, HEADER_BYTES)

/** So many bytes a block takes of the journal. */
export const blockBytes = (entries: readonly JournalEntry[]): number => padded(unpaddedBytes(entries))

/** Writes a block to the beginning of `target`, with zeros up to the end of its last page. Returns the bytes of it all. */
export function encodeBlock(
  target: Uint8Array,
  { id, sequence, neededSequence }: BlockHeader,
  entries: readonly JournalEntry[],
): Uint8Array {
  writeInt32(target, 0, MAGIC)
  writeInt32(target, SIZE_AT, unpaddedBytes(entries))
  writeInt32(target, COUNT_AT, entries.length)
  writeInt64(target, SEQUENCE_AT, sequence)
  writeInt64(target, NEEDED_AT, neededSequence)
  writeInt64(target, ID_AT, id)
  let at = HEADER_BYTES
  let crc = crc32c(target.subarray(COVERED_AT, at))
  for (const { path, position, buffers, sizeBytes } of entries) {
    const pathBytes = Buffer.from(path).copy(target, at + ENTRY_HEADER_BYTES)
    writeInt64(target, at, position)
    writeInt32(target, at + 8, sizeBytes)
    writeInt32(target, at + 12, pathBytes)
    const bytesAt = at + ENTRY_HEADER_BYTES + pathBytes
    crc = crc32c(target.subarray(at, bytesAt), crc)
    at = bytesAt
    for (const buffer of buffers) {
      copyNative(buffer, 0, buffer.length, target, at)
      crc = wholeCrc(buffer, crc)
      at += buffer.length
    }
  }
  writeInt32(target, CRC_AT, crc)
  const end = padded(at)
  target.fill(0, at, end)
  return target.subarray(0, end)
}

/** The block at `position` of `bytes`; undefined if there is none, or not all of it. */
export function decodeBlock(bytes: Uint8Array, position: number): Block | undefined {
  if (position + HEADER_BYTES > bytes.length || readUint32(bytes, position) !== MAGIC) return undefined
  const sizeBytes = readUint32(bytes, position + SIZE_AT)
  if (sizeBytes < HEADER_BYTES || position + sizeBytes > bytes.length) return undefined
  const block = bytes.subarray(position, position + sizeBytes)
  if (crc32c(block.subarray(COVERED_AT)) !== readUint32(block, CRC_AT)) return undefined
  const entries: Block['entries'] = []
  let at = HEADER_BYTES
  for (let left = readUint32(block, COUNT_AT); left > 0; left--) {
    const [entryBytes, pathBytes] = [readUint32(block, at + 8), readUint32(block, at + 12)]
    const pathAt = at + ENTRY_HEADER_BYTES
    const path = Buffer.from(block.subarray(pathAt, pathAt + pathBytes)).toString()
    // The checksum fits: a newer version's, or somebody made it so.
    if (!PATH.test(path)) return undefined
    entries.push({ path, position: readInt64(block, at), bytes: block.subarray(pathAt + pathBytes, pathAt + pathBytes + entryBytes) })
    at = pathAt + pathBytes + entryBytes
  }
  return { ...headerAt(bytes, position), position, sizeBytes, entries }
}

const headerAt = (bytes: Uint8Array, position: number): BlockHeader => ({
  id: readInt64(bytes, position + ID_AT),
  sequence: readInt64(bytes, position + SEQUENCE_AT),
  neededSequence: readInt64(bytes, position + NEEDED_AT),
})

/** All whole blocks of a journal, whatever their lap, by their sequence; `torn` is where the next one was begun and is not whole. */
export function findBlocks(bytes: Uint8Array): { blocks: Block[]; torn: number | undefined } {
  const blocks: Block[] = []
  for (let position = 0; position < bytes.length; ) {
    const block = decodeBlock(bytes, position)
    // The first one is of the newest lap, or the one before it.
    if (block && block.id === (blocks[0]?.id ?? block.id)) blocks.push(block)
    position += block ? padded(block.sizeBytes) : PAGE_BYTES
  }
  blocks.sort((a, b) => a.sequence - b.sequence)
  const last = blocks.at(-1)
  const next = last ? last.position + padded(last.sizeBytes) : 0
  const torn = [next, 0].find((position) => isBegun(bytes, position, blocks, last))
  return { blocks, torn }
}

/** Whether a block that follows `last` was begun at a position: of its marks one may have been changed by what made it unreadable. */
function isBegun(bytes: Uint8Array, position: number, blocks: readonly Block[], last: Block | undefined): boolean {
  if (position + HEADER_BYTES > bytes.length || blocks.some((block) => block.position === position)) return false
  if (!last) return bytes.subarray(position, position + HEADER_BYTES).some((byte) => byte !== 0)
  const { id, sequence } = headerAt(bytes, position)
  const marks = [readUint32(bytes, position) === MAGIC, id === last.id, sequence === last.sequence + 1]
  return marks.filter(Boolean).length >= 2
}
