// The index file beside each segment: sparse offset index, sparse time index and checksums in one, because all three are per chunk.
//
// A chunk is a run of whole batches that ends with the first batch at or beyond 64 KiB. Its entry has 32 bytes, big-endian:
//   0 nextOffset i64 | 8 endPosition u32 | 12 chunkCrc u32 | 16 maxTimestamp i64 | 24 flags u32 | 28 entryCrc u32
// A chunk begins where the one before it ended. The last entry of a sealed segment is the seal: its positions and timestamp are those of
// the whole segment, its chunkCrc is that of all entries before it.
//
// Invariants
//   1. chunkCrc covers every byte of the chunk, also base offset and leader epoch, which a batch's own CRC leaves out.
//   2. An entry without UNSYNCED is written only after its chunk is durable: on start the log is trusted up to the last such entry.
//   3. entryCrc is seeded with the segment's base offset, so an index of another segment is not taken for this one's.
//   4. A seal is written with all entries, also those that the file has: after a failed sync it may have them in memory only.
//   5. The file can be lost: it is made again from the segment, whose batches then are checked one by one.
import { crc32c, joinCrc32c } from './crc32c.ts'
import type { Disk, FileHandle } from './disk.ts'
import { ATTRIBUTES_AT, CRC_AT, MAX_TIMESTAMP_AT, nextOffsetOf, readInt64, readUint32, writeInt32, writeInt64 } from './recordBatch.ts'

export const CHUNK_BYTES_MIN = 64 * 1024
export const INDEX_ENTRY_BYTES = 32
const SEAL = 1
const UNSYNCED = 2

export interface Chunk {
  nextOffset: number
  endPosition: number
  crc: number
  maxTimestampMs: number
  synced: boolean
}
export interface SegmentIndex {
  chunks: Chunk[]
  /** The seal, its checksum checked against the entries; absent if the segment is not sealed or the index is not whole. */
  seal: Chunk | undefined
}

/**
 * Which file a segment is. One that was compacted has gaps, so its name says where it ends: `<base offset>-<next offset>-<generation>`.
 * It takes the place of all segments in its range; as long as their files are still there too, `listSegmentFiles` leaves them out.
 */
export interface SegmentFile {
  baseOffset: number
  /** Of compacted segments; 0 and undefined of others. */
  generation: number
  nextOffset: number | undefined
}

const padded = (offset: number): string => String(offset).padStart(20, '0')
export const segmentName = (segment: number | SegmentFile): string => {
  if (typeof segment === 'number') return padded(segment)
  const { baseOffset, generation, nextOffset } = segment
  return nextOffset === undefined ? padded(baseOffset) : `${padded(baseOffset)}-${padded(nextOffset)}-${generation}`
}
/** Paths by base offset are those of segments that were not compacted. */
export const logPath = (folder: string, segment: number | SegmentFile): string => `${folder}/${segmentName(segment)}.log`
export const indexPath = (folder: string, segment: number | SegmentFile): string => `${folder}/${segmentName(segment)}.index`

const LOG_NAME = /^(\d{20})(?:-(\d{20})-(\d+))?\.log$/
export const SEGMENT_INDEX_NAME = /^(\d{20}(?:-\d{20}-\d+)?)\.index$/

/** All segment files in a folder: ascending, a compacted one before those that it replaces. */
export function listAllSegmentFiles(disk: Disk, folder: string): SegmentFile[] {
  const files: SegmentFile[] = []
  for (const name of disk.list(folder)) {
    const [, base, next, generation = '0'] = LOG_NAME.exec(name) ?? []
    if (base) files.push({ baseOffset: Number(base), nextOffset: next ? Number(next) : undefined, generation: Number(generation) })
  }
  return files.sort((a, b) => a.baseOffset - b.baseOffset || b.generation - a.generation)
}

/** The segments that count, ascending. */
export function listSegmentFiles(disk: Disk, folder: string): SegmentFile[] {
  let coveredOffset = 0
  return listAllSegmentFiles(disk, folder).filter(({ baseOffset, nextOffset }) => {
    if (baseOffset < coveredOffset) return false
    if (nextOffset !== undefined) coveredOffset = nextOffset
    return true
  })
}

/** Base offsets of the segments in a folder, ascending. */
export const listSegments = (disk: Disk, folder: string): number[] => listSegmentFiles(disk, folder).map(({ baseOffset }) => baseOffset)

function encodeEntry(baseOffset: number, chunk: Chunk, seal = false): Uint8Array {
  const bytes = new Uint8Array(INDEX_ENTRY_BYTES)
  writeInt64(bytes, 0, chunk.nextOffset)
  writeInt32(bytes, 8, chunk.endPosition)
  writeInt32(bytes, 12, chunk.crc)
  writeInt64(bytes, 16, chunk.maxTimestampMs)
  writeInt32(bytes, 24, (seal ? SEAL : 0) | (chunk.synced ? 0 : UNSYNCED))
  writeInt32(bytes, 28, crc32c(bytes.subarray(0, 28), baseOffset >>> 0))
  return bytes
}

/** The entries up to the first one that is torn, damaged, out of order or behind a seal. */
export function decodeIndex(bytes: Uint8Array, baseOffset: number): SegmentIndex {
  const index: SegmentIndex = { chunks: [], seal: undefined }
  let last: Chunk = { nextOffset: baseOffset, endPosition: 0, crc: 0, maxTimestampMs: -1, synced: true }
  for (let at = 0; at + INDEX_ENTRY_BYTES <= bytes.length; at += INDEX_ENTRY_BYTES) {
    if (crc32c(bytes.subarray(at, at + 28), baseOffset >>> 0) !== readUint32(bytes, at + 28)) break
    const flags = readUint32(bytes, at + 24)
    const chunk = {
      nextOffset: readInt64(bytes, at),
      endPosition: readUint32(bytes, at + 8),
      crc: readUint32(bytes, at + 12),
      maxTimestampMs: readInt64(bytes, at + 16),
      synced: (flags & UNSYNCED) === 0,
    }
    if (flags & SEAL) {
      const whole = chunk.endPosition === last.endPosition && chunk.nextOffset === last.nextOffset
      if (whole && chunk.crc === crc32c(bytes.subarray(0, at))) index.seal = chunk
      break
    }
    if (chunk.endPosition <= last.endPosition || chunk.nextOffset <= last.nextOffset) break
    index.chunks.push(chunk)
    last = chunk
  }
  return index
}

/** Reads a segment's index; an empty one if the file is missing or cannot be read: whoever asks then looks into the segment itself. */
export function readIndex(disk: Disk, folder: string, segment: number | SegmentFile): SegmentIndex {
  let file: FileHandle | undefined
  try {
    file = disk.open(indexPath(folder, segment), 'read')
    const bytes = new Uint8Array(disk.size(file))
    const baseOffset = typeof segment === 'number' ? segment : segment.baseOffset
    return decodeIndex(bytes.subarray(0, disk.read(file, bytes, 0, bytes.length, 0)), baseOffset)
  } catch {
    return { chunks: [], seal: undefined }
  } finally {
    if (file !== undefined) disk.close(file)
  }
}

/** From here on joining checksums is cheaper than looking at the bytes once more. */
const JOINED_BYTES_MIN = 4 * 1024

/** The checksum of all of a batch, continued from that of what is before it: its own has what is behind it. */
export function wholeCrc(batch: Uint8Array, seed: number): number {
  if (batch.length < JOINED_BYTES_MIN) return crc32c(batch, seed)
  return joinCrc32c(crc32c(batch.subarray(0, ATTRIBUTES_AT), seed), readUint32(batch, CRC_AT), batch.length - ATTRIBUTES_AT)
}

/** Counts batches into chunks and makes their entries: for the segment that grows and for an index that is made again. */
export class IndexBuilder {
  sizeBytes = 0
  nextOffset: number
  maxTimestampMs = -1
  private readonly baseOffset: number
  private readonly synced: boolean
  private chunkStart = 0
  private chunkCrc = 0
  private chunkMaxTimestampMs = -1
  /** All entries; the file has `writtenCount` of them. */
  private readonly entries: Uint8Array[] = []
  private writtenCount = 0

  /** `synced`: whether entries are written only after their chunk was made durable. */
  constructor(baseOffset: number, synced: boolean) {
    this.baseOffset = baseOffset
    this.nextOffset = baseOffset
    this.synced = synced
  }

  /** Takes a batch into account that is in the segment behind the last one, and whose own checksum was found right. */
  note(batch: Uint8Array): void {
    const maxTimestampMs = readInt64(batch, MAX_TIMESTAMP_AT)
    this.sizeBytes += batch.length
    this.nextOffset = nextOffsetOf(batch, 0)
    this.chunkCrc = wholeCrc(batch, this.chunkCrc)
    this.chunkMaxTimestampMs = Math.max(this.chunkMaxTimestampMs, maxTimestampMs)
    this.maxTimestampMs = Math.max(this.maxTimestampMs, maxTimestampMs)
    if (this.sizeBytes - this.chunkStart >= CHUNK_BYTES_MIN) this.endChunk()
  }

  /** Takes over an entry that the file has. */
  adopt(chunk: Chunk): void {
    this.addChunk(chunk)
    this.writtenCount = this.entries.length
  }

  /** Writes entries of complete chunks into the index file; throws the disk's error, and then they stay pending. */
  write(disk: Disk, file: FileHandle): void {
    const { entries, writtenCount } = this
    if (entries.length === writtenCount) return
    disk.write(file, entries.slice(writtenCount), writtenCount * INDEX_ENTRY_BYTES)
    this.writtenCount = entries.length
  }

  /** Cuts the file to the entries that were taken over. */
  cut(disk: Disk, file: FileHandle): void {
    disk.truncate(file, this.writtenCount * INDEX_ENTRY_BYTES)
  }

  /** Ends the last chunk, writes all entries and the seal, and makes the file durable. After an error it can be called again. */
  seal(disk: Disk, file: FileHandle): void {
    if (this.sizeBytes > this.chunkStart) this.endChunk()
    const { entries, nextOffset, sizeBytes, maxTimestampMs } = this
    const crc = entries.reduce((sum, entry) => crc32c(entry, sum), 0)
    const seal = { nextOffset, endPosition: sizeBytes, crc, maxTimestampMs, synced: true }
    disk.write(file, [...entries, encodeEntry(this.baseOffset, seal, true)], 0)
    disk.sync(file)
  }

  private endChunk(): void {
    const { nextOffset, sizeBytes, chunkCrc, chunkMaxTimestampMs, synced } = this
    this.addChunk({ nextOffset, endPosition: sizeBytes, crc: chunkCrc, maxTimestampMs: chunkMaxTimestampMs, synced })
  }

  private addChunk(chunk: Chunk): void {
    this.entries.push(encodeEntry(this.baseOffset, chunk))
    this.sizeBytes = chunk.endPosition
    this.nextOffset = chunk.nextOffset
    this.maxTimestampMs = Math.max(this.maxTimestampMs, chunk.maxTimestampMs)
    this.chunkStart = chunk.endPosition
    this.chunkCrc = 0
    this.chunkMaxTimestampMs = -1
  }
}
