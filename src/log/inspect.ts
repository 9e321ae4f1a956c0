// Reads the segments of a partition byte by byte: what is damaged, what of it can be made whole again, and what takes its place.
//
// A chunk whose checksum is wrong (without an index: all of the segment) is looked at batch by batch:
//   whole batches stay | headers that the log itself has set are set again | bytes of a backup, if the checksum then fits
//   | what is left is lost: an empty batch over the same offsets takes its place, so that readers go on
//
// Invariants
//   1. Nothing is kept that its checksum does not fit; nothing is lost that it fits.
//   2. Offsets stay: a repaired segment covers those that it covered before.
//   3. A copy of the file that is replaced stays beside, as `<name>.damaged`; the new one is durable before it has the name. A repair that is
//      killed loses nothing: the next one goes on.
// Source for empty batches: Kafka keeps them for a producer's last sequence, with `lastOffsetDelta` and without records.
import { readFile, writeFile } from './checkedFile.ts'
import { crc32c } from './crc32c.ts'
import { type Disk, ignoreMissing, realDisk } from './disk.ts'
import { logErrors } from './errors.ts'
import type { PinnedFile } from './pin.ts'
import {
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_AT,
  BATCH_PREFIX_BYTES,
  baseOffsetOf,
  CRC_AT,
  LAST_OFFSET_DELTA_AT,
  LEADER_EPOCH_AT,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  nextOffsetOf,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  readInt32,
  verifyBatch,
  writeInt16,
  writeInt32,
  writeInt64,
} from './recordBatch.ts'
import { indexPath, listSegmentFiles, logPath, readIndex, type SegmentFile } from './segmentIndex.ts'
import { listTopicMetas } from './topicMeta.ts'

/** What takes the place of a damaged range. */
type Remedy = 'healed' | 'restored' | 'lost'

export interface DamagedRange {
  topic: string
  partition: number
  /** Of the segment; where a whole file is missing, the one that it should have. */
  path: string
  position: number
  endPosition: number
  firstOffset: number
  nextOffset: number
  /** Event times are between these, epoch ms; absent where nothing says so. */
  fromMs?: number
  toMs?: number
  reason: string
  /** healed: only what the log itself has set was damaged. restored: the backup's bytes fit. lost: an empty batch takes the place of it. */
  remedy: Remedy
}

/** Bytes of a segment file from a backup; fewer or none if it has not so many. */
export type SpareBytes = (path: string, position: number, endPosition: number) => Uint8Array | undefined

/** Some bytes of a segment; with `damage`, those that take the place of damaged ones. */
type Piece = { bytes: Uint8Array; damage?: Omit<DamagedRange, 'topic' | 'partition' | 'path'> }

interface PieceOptions {
  disk: Disk
  /** So many bytes of the file count. */
  limitBytes?: number
  /** The offset that a sealed segment must reach; absent for the one that grows. */
  endOffset?: number
  spare?: (position: number, endPosition: number) => Uint8Array | undefined
}

/** A segment as it should be, from its first to its last byte, piece by piece. */
function* piecesOf(folder: string, segment: SegmentFile, { disk, limitBytes, endOffset, spare }: PieceOptions): Generator<Piece> {
  const file = disk.open(logPath(folder, segment), 'read')
  try {
    const fileBytes = Math.min(disk.size(file), limitBytes ?? Number.MAX_SAFE_INTEGER)
    const { chunks, seal } = readIndex(disk, folder, segment)
    let [position, offset] = [0, segment.baseOffset]
    let fromMs: number | undefined
    const read = (from: number, to: number): Uint8Array => {
      const bytes = new Uint8Array(Math.max(0, Math.min(to, fileBytes) - from))
      return bytes.subarray(0, disk.read(file, bytes, 0, bytes.length, from))
    }
    for (const { endPosition, nextOffset, crc, maxTimestampMs, synced } of chunks) {
      // What was not confirmed is the business of the start, which cuts it off.
      if ((!synced && !seal) || (limitBytes !== undefined && endPosition > limitBytes)) break
      const bytes = read(position, endPosition)
      if (bytes.length === endPosition - position && crc32c(bytes) === crc) yield { bytes }
      else {
        const times = { fromMs, toMs: maxTimestampMs }
        yield* mend({
          bytes,
          position,
          endPosition,
          offset,
          endOffset: nextOffset,
          crc,
          mayHaveGaps: segment.nextOffset !== undefined,
          times,
          spare,
        })
      }
      position = endPosition
      offset = nextOffset
      fromMs = maxTimestampMs
    }
    // Of a sealed segment without a whole index, and of the end of the one that grows.
    if (seal) return
    const bytes = read(position, fileBytes)
    const mayHaveGaps = segment.nextOffset !== undefined
    for (const piece of mend({
      bytes,
      position,
      endPosition: position + bytes.length,
      offset,
      endOffset,
      mayHaveGaps,
      times: { fromMs },
      spare,
    })) {
      const { damage } = piece
      // A torn end: nobody has confirmed it, and the start cuts it off.
      const isTorn = damage && endOffset === undefined && limitBytes === undefined && damage.firstOffset === damage.nextOffset
      yield isTorn ? { bytes: bytes.subarray(damage.position - position) } : piece
    }
  } finally {
    disk.close(file)
  }
}

interface Stretch {
  bytes: Uint8Array
  position: number
  endPosition: number
  offset: number
  /** Where its offsets end; unknown at the end of the segment that grows. */
  endOffset: number | undefined
  /** Of all its bytes, if an index says. */
  crc?: number
  mayHaveGaps: boolean
  times: { fromMs?: number; toMs?: number }
  spare: PieceOptions['spare']
}

/** Batches of a stretch that is not as it was written, or of which nobody knows. */
function* mend(stretch: Stretch): Generator<Piece> {
  const { bytes, position, endPosition, offset, endOffset, crc, times, spare } = stretch
  const found = [...walk(stretch)]
  const lost = found.filter(({ damage }) => damage)
  if (crc === undefined && lost.length === 0) return yield* found
  const range = { position, endPosition, firstOffset: offset, nextOffset: endOffset ?? offset, ...times }
  const reason = lost[0]?.damage?.reason ?? 'its checksum is wrong'
  const fits = (candidate: Uint8Array | undefined): candidate is Uint8Array =>
    candidate !== undefined &&
    (crc === undefined
      ? [...walk({ ...stretch, bytes: candidate })].every(({ damage }) => !damage)
      : candidate.length === endPosition - position && crc32c(candidate) === crc)
  const healed = crc === undefined ? undefined : withOwnHeaders(bytes, offset)
  if (fits(healed)) return yield { bytes: healed, damage: { ...range, reason, remedy: 'healed' } }
  // Without an index the end of a file that is too short is not known; of one that grows the backup has only the beginning.
  const spared =
    endOffset === undefined ? spliced(stretch, lost) : spare?.(position, crc === undefined ? Number.MAX_SAFE_INTEGER : endPosition)
  if (fits(spared)) return yield { bytes: spared, damage: { ...range, reason, remedy: 'restored' } }
  if (lost.length > 0) return yield* found
  // Every batch is whole for itself, and yet they are not those that were written.
  yield { bytes: emptyBatches(offset, endOffset ?? offset, times.toMs), damage: { ...range, reason, remedy: 'lost' } }
}

/** The bytes of a stretch, with those of the backup where it is damaged; undefined if the backup has not all of these. */
function spliced({ bytes, position, spare }: Stretch, lost: readonly Piece[]): Uint8Array | undefined {
  const copy = bytes.slice()
  for (const { damage } of lost) {
    const good = damage && spare?.(damage.position, damage.endPosition)
    if (!good) return undefined
    copy.set(good, damage.position - position)
  }
  return copy
}

function* walk({ bytes, position, offset, endOffset, mayHaveGaps, times }: Stretch): Generator<Piece> {
  let at = 0
  let next = offset
  while (at < bytes.length) {
    const problem = problemAt(bytes, at, next, endOffset, mayHaveGaps)
    if (problem === undefined) {
      const sizeBytes = BATCH_PREFIX_BYTES + readInt32(bytes, at + BATCH_LENGTH_AT)
      yield { bytes: bytes.subarray(at, at + sizeBytes) }
      next = nextOffsetOf(bytes, at)
      at += sizeBytes
      continue
    }
    // The next whole batch, wherever it begins.
    let resumed = at + 1
    while (resumed < bytes.length && !(bytes[resumed + MAGIC_AT] === 2 && !problemAt(bytes, resumed, next, endOffset, true))) resumed++
    const nextOffset = resumed < bytes.length ? baseOffsetOf(bytes, resumed) : (endOffset ?? next)
    yield lostPiece(position + at, position + resumed, next, nextOffset, problem, times)
    next = nextOffset
    at = resumed
  }
  if (endOffset !== undefined && next < endOffset && !mayHaveGaps)
    yield lostPiece(position + at, position + at, next, endOffset, 'the end of the file is missing', times)
}

const lostPiece = (
  position: number,
  endPosition: number,
  firstOffset: number,
  nextOffset: number,
  reason: string,
  times: Stretch['times'],
): Piece => ({
  bytes: emptyBatches(firstOffset, nextOffset, times.toMs ?? times.fromMs),
  damage: { position, endPosition, firstOffset, nextOffset, reason, remedy: 'lost', ...times },
})

function problemAt(bytes: Uint8Array, at: number, offset: number, endOffset: number | undefined, mayHaveGaps: boolean): string | undefined {
  try {
    verifyBatch(bytes, at, bytes.length)
  } catch (error) {
    return (error as Error).message
  }
  const base = baseOffsetOf(bytes, at)
  if (mayHaveGaps ? base < offset : base !== offset) return `a batch begins at offset ${base}, not ${offset}`
  if (endOffset !== undefined && nextOffsetOf(bytes, at) > endOffset)
    return `a batch ends at offset ${nextOffsetOf(bytes, at)}, behind ${endOffset}`
  return undefined
}

/** The bytes with base offsets and leader epochs as the log sets them: no batch's own checksum covers these. */
function withOwnHeaders(bytes: Uint8Array, offset: number): Uint8Array | undefined {
  const copy = bytes.slice()
  let next = offset
  for (let at = 0; at < copy.length; ) {
    if (copy.length - at < BATCH_HEADER_BYTES) return undefined
    const sizeBytes = BATCH_PREFIX_BYTES + readInt32(copy, at + BATCH_LENGTH_AT)
    if (sizeBytes < BATCH_HEADER_BYTES) return undefined
    writeInt64(copy, at, next)
    writeInt32(copy, at + LEADER_EPOCH_AT, 0)
    next = nextOffsetOf(copy, at)
    at += sizeBytes
  }
  return copy
}

/** Batches without a record over the offsets `[firstOffset … nextOffset)`. */
function emptyBatches(firstOffset: number, nextOffset: number, timestampMs = -1): Uint8Array {
  const batches: Uint8Array[] = []
  for (let first = firstOffset; first < nextOffset; ) {
    const next = Math.min(nextOffset, first + 2 ** 31 - 1)
    const bytes = new Uint8Array(BATCH_HEADER_BYTES)
    writeInt64(bytes, 0, first)
    writeInt32(bytes, BATCH_LENGTH_AT, BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES)
    bytes[MAGIC_AT] = 2
    writeInt32(bytes, LAST_OFFSET_DELTA_AT, next - first - 1)
    writeInt64(bytes, BASE_TIMESTAMP_AT, timestampMs)
    writeInt64(bytes, MAX_TIMESTAMP_AT, timestampMs)
    writeInt64(bytes, PRODUCER_ID_AT, -1)
    writeInt16(bytes, PRODUCER_EPOCH_AT, -1)
    writeInt32(bytes, BASE_SEQUENCE_AT, -1)
    writeInt32(bytes, CRC_AT, crc32c(bytes.subarray(ATTRIBUTES_AT)))
    batches.push(bytes)
    first = next
  }
  return Buffer.concat(batches)
}

export interface InspectOptions {
  disk?: Disk
  /** Repairs what is damaged; nobody may run on the folder. */
  repairs?: boolean
  spare?: SpareBytes
  onProgress?: (done: { bytes: number }) => void
}

/**
 * Looks at every byte of every segment of a data folder, whether or not somebody runs on it, and mends what is damaged if asked to.
 *
 * @throws LOG_READ_FAILED, LOG_WRITE_FAILED
 */
export function inspectLog(dataFolder: string, options: InspectOptions = {}): DamagedRange[] {
  const { disk = realDisk } = options
  const found: DamagedRange[] = []
  for (const { name, id, config } of listTopicMetas(disk, dataFolder)) {
    for (let partition = 0; partition < config.partitionCount; partition++) {
      const folder = `${dataFolder}/topics/${id}/${partition}`
      ignoreMissing(() => inspectPartition(folder, { topic: name, partition }, options, found))
    }
  }
  return found
}

function inspectPartition(
  folder: string,
  place: { topic: string; partition: number },
  { disk = realDisk, repairs = false, spare, onProgress }: InspectOptions,
  found: DamagedRange[],
): void {
  if (repairs) takeBack(disk, folder)
  const files = listSegmentFiles(disk, folder)
  for (const [i, file] of files.entries()) {
    const path = logPath(folder, file)
    const next = files[i + 1]
    const isLast = next === undefined && file.nextOffset === undefined
    const { seal } = readIndex(disk, folder, file)
    const endOffset = isLast ? undefined : (file.nextOffset ?? seal?.nextOffset ?? next.baseOffset)
    const pieces = () => piecesOf(folder, file, { disk, endOffset, spare: spare && ((from, to) => spare(path, from, to)) })
    let isDamaged = false
    let sizeBytes = 0
    // Retention or compaction may take the file meanwhile.
    ignoreMissing(() => {
      for (const { damage, bytes } of pieces()) {
        sizeBytes += bytes.length
        if (!damage) continue
        isDamaged = true
        found.push({ ...place, path, ...damage })
      }
    })
    if (isDamaged && repairs)
      writeSegment(
        disk,
        folder,
        file,
        [...pieces()].map(({ bytes }) => bytes),
        true,
      )
    onProgress?.({ bytes: sizeBytes })
    const reached = file.nextOffset ?? endOffset
    if (next === undefined || reached === undefined || reached >= next.baseOffset) continue
    const missing = { baseOffset: reached, generation: 0, nextOffset: undefined }
    const missingPath = logPath(folder, missing)
    const restored = spare?.(missingPath, 0, Number.MAX_SAFE_INTEGER)
    const isWhole = restored !== undefined && coversExactly(restored, reached, next.baseOffset)
    const range = { position: 0, endPosition: 0, firstOffset: reached, nextOffset: next.baseOffset, reason: 'the segment is missing' }
    found.push({ ...place, path: missingPath, ...range, remedy: isWhole ? 'restored' : 'lost' })
    if (repairs) writeSegment(disk, folder, missing, [isWhole ? restored : emptyBatches(reached, next.baseOffset)])
  }
}

function coversExactly(bytes: Uint8Array, offset: number, endOffset: number): boolean {
  const stretch = { bytes, position: 0, endPosition: bytes.length, offset, endOffset, mayHaveGaps: false, times: {}, spare: undefined }
  return [...walk(stretch)].every(({ damage }) => !damage)
}

/**
 * Puts a segment in the place of another. Its index goes before: the start makes it again, and then checks every batch. Until the last rename
 * it is only set aside, because without it a repair that begins anew could not tell as much of the old segment.
 */
function writeSegment(disk: Disk, folder: string, file: SegmentFile, buffers: Uint8Array[], keepsOld = false): void {
  const path = logPath(folder, file)
  const index = indexPath(folder, file)
  try {
    ignoreMissing(() => disk.unlink(asideOf(index)))
    if (keepsOld) writeFile(disk, `${path}.damaged`, [readFile(disk, path)])
    writeFile(
      disk,
      `${path}.new`,
      buffers.filter(({ length }) => length > 0),
    )
    ignoreMissing(() => disk.rename(index, asideOf(index)))
    disk.rename(`${path}.new`, path)
    disk.syncFolder(folder)
    ignoreMissing(() => disk.unlink(asideOf(index)))
  } catch (error) {
    throw logErrors('LOG_WRITE_FAILED', { path, reason: (error as Error).message }, { cause: error })
  }
}

const asideOf = (index: string): string => `${index}.aside`

/** A repair was killed when its segment was not in place yet: the old one gets its index back. */
function takeBack(disk: Disk, folder: string): void {
  const names = new Set(disk.list(folder))
  for (const file of listSegmentFiles(disk, folder)) {
    const index = indexPath(folder, file)
    const isThere = (path: string) => names.has(path.slice(folder.length + 1))
    if (isThere(`${logPath(folder, file)}.new`) && isThere(asideOf(index)) && !isThere(index)) disk.rename(asideOf(index), index)
  }
}

const SEGMENT_PATH = /^(topics\/[^/]+\/\d+)\/(\d{20})(?:-(\d{20})-(\d+))?\.log$/

/** What is wrong with a segment that was pinned; undefined if nothing, or if the file is no segment. */
export function inspectSegment(root: string, { path, sizeBytes }: PinnedFile, disk: Disk = realDisk): string | undefined {
  const [, folder, base, next, generation = '0'] = SEGMENT_PATH.exec(path) ?? []
  if (folder === undefined) return undefined
  const segment = { baseOffset: Number(base), nextOffset: next ? Number(next) : undefined, generation: Number(generation) }
  for (const { damage } of piecesOf(`${root}/${folder}`, segment, { disk, limitBytes: sizeBytes })) {
    if (!damage) continue
    return `${path}: offsets ${damage.firstOffset} to ${damage.nextOffset - 1}: ${damage.reason}`
  }
  return undefined
}
