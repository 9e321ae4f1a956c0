// The writing side of one segment: `<base offset>.log` with batches one after another, and its index.
//
// Invariants
//   1. `sizeBytes` counts whole batches; what a failed write left behind it is cut off again (or the partition fails, see partition.ts).
//   2. Index entries are written after the log is durable. A failure to do so is no failure of the append: the index can be made again.
//   3. After `seal` nothing is appended.
//   4. What is taken over on start without having been confirmed is written once more before it is synced: after a sync that failed, in this
//      process or in the one that was killed, the kernel may show lost pages as clean, and a sync would confirm nothing.
import { type Disk, type FileHandle, ignoreFailure } from './disk.ts'
import { logErrors } from './errors.ts'
import { baseOffsetOf, batchSizeOf, nextOffsetOf, verifyBatch } from './recordBatch.ts'
import { IndexBuilder, indexPath, logPath, readIndex, type SegmentFile } from './segmentIndex.ts'

const SCAN_BYTES = 4 * 1024 * 1024

/** What opening a segment had to cut off. */
export interface Cut {
  path: string
  /** Bytes taken off the end, and where the file ends now. */
  cutBytes: number
  position: number
  /** The offset that the next record will get. */
  offset: number
  reason: string
  /** Bytes that had been made durable and are gone: more than a torn write. */
  missingBytes: number
}

interface OpenOptions {
  /** Whether appends are made durable before index entries are written. */
  synced: boolean
  nowMs: number
  /** Nothing behind it is kept: after a failed sync, the last position that the disk had confirmed. */
  limitPosition?: number
}

export class Segment {
  readonly baseOffset: number
  /** When the first batch was appended, epoch ms; undefined while the segment is empty. */
  firstAppendMs: number | undefined
  private lastAppendMs = -1
  private readonly disk: Disk
  private readonly file: FileHandle
  private readonly indexFile: FileHandle
  private readonly index: IndexBuilder
  /** Batches at the end that are not durable yet. */
  unconfirmed: Uint8Array[] = []

  private constructor(disk: Disk, folder: string, baseOffset: number, file: FileHandle, synced: boolean) {
    this.disk = disk
    this.baseOffset = baseOffset
    this.file = file
    this.index = new IndexBuilder(baseOffset, synced)
    try {
      this.indexFile = disk.open(indexPath(folder, baseOffset), 'create')
    } catch (error) {
      ignoreFailure(() => disk.close(file))
      throw error
    }
  }

  get sizeBytes(): number {
    return this.index.sizeBytes
  }
  get nextOffset(): number {
    return this.index.nextOffset
  }
  /** The newest CreateTime, epoch ms; where no record has one, when the last one was appended. */
  get maxTimestampMs(): number {
    return this.index.maxTimestampMs >= 0 ? this.index.maxTimestampMs : this.lastAppendMs
  }

  /** Makes an empty segment, durable in its folder. An attempt that failed can be repeated. */
  static create(disk: Disk, folder: string, baseOffset: number, synced: boolean): Segment {
    const path = logPath(folder, baseOffset)
    const segment = new Segment(disk, folder, baseOffset, disk.open(path, 'create'), synced)
    try {
      const sizeBytes = disk.size(segment.file)
      if (sizeBytes > 0) throw logErrors('LOG_WRITE_FAILED', { path, reason: `a new segment, and it has ${sizeBytes} bytes` })
      segment.index.cut(disk, segment.indexFile)
      disk.syncFolder(folder)
      return segment
    } catch (error) {
      segment.close()
      throw error
    }
  }

  /**
   * Opens the last segment after a stop, a crash or a failed disk: checks what is behind the last trusted entry of its index, batch by
   * batch, cuts at the first one that is torn or damaged, and makes all that is kept durable.
   */
  static open(disk: Disk, folder: string, baseOffset: number, options: OpenOptions): { segment: Segment; cut: Cut | undefined } {
    const path = logPath(folder, baseOffset)
    const segment = new Segment(disk, folder, baseOffset, disk.open(path, 'create'), options.synced)
    const { index, file, indexFile } = segment
    try {
      const fileBytes = disk.size(file)
      segment.lastAppendMs = disk.modifiedMs(file)
      const endPosition = Math.min(fileBytes, options.limitPosition ?? fileBytes)
      let missingBytes = 0
      for (const chunk of readIndex(disk, folder, baseOffset).chunks) {
        if (!chunk.synced) break
        if (chunk.endPosition > endPosition) missingBytes = chunk.endPosition - endPosition
        else index.adopt(chunk)
      }
      const confirmedBytes = index.sizeBytes
      const reason = scanBatches(disk, file, index.sizeBytes, endPosition, index.nextOffset, (batch) => index.note(batch))
      if (index.sizeBytes < fileBytes) disk.truncate(file, index.sizeBytes)
      if (options.synced) rewrite(disk, file, confirmedBytes, index.sizeBytes)
      disk.sync(file)
      index.cut(disk, indexFile)
      segment.writeIndex()
      if (index.sizeBytes > 0) segment.firstAppendMs = Math.min(segment.maxTimestampMs, options.nowMs)
      const cutBytes = fileBytes - index.sizeBytes
      if (cutBytes === 0 && missingBytes === 0) return { segment, cut: undefined }
      const why = reason ?? (missingBytes > 0 ? 'the end of the file is missing' : 'the disk had not confirmed it')
      return { segment, cut: { path, cutBytes, position: index.sizeBytes, offset: index.nextOffset, reason: why, missingBytes } }
    } catch (error) {
      segment.close()
      throw error
    }
  }

  /** Writes batches, whose offsets are set, behind the last one. If it throws, the file may have bytes behind `sizeBytes`: see `cutBack`. */
  append(batches: readonly Uint8Array[], nowMs: number): void {
    this.disk.write(this.file, batches, this.sizeBytes)
    this.firstAppendMs ??= nowMs
    this.lastAppendMs = nowMs
    for (const batch of batches) {
      this.index.note(batch)
      this.unconfirmed.push(batch)
    }
  }

  /** Takes away what a failed write left, or what a failed sync did not confirm. */
  cutBack(sizeBytes = this.sizeBytes): void {
    this.disk.truncate(this.file, sizeBytes)
  }

  sync(): void {
    this.disk.sync(this.file)
  }

  /** What `append` was given since the last call is durable. */
  confirm(): void {
    this.unconfirmed = []
  }

  /** Writes the index entries of complete chunks. Those that cannot be written now go with the next: until then a seek reads more. */
  writeIndex(): void {
    ignoreFailure(() => this.index.write(this.disk, this.indexFile))
  }

  /** Makes the index durable and says in it that the segment is complete; the log itself must be durable. Can be repeated after an error. */
  seal(): void {
    this.index.seal(this.disk, this.indexFile)
  }

  close(): void {
    ignoreFailure(() => this.disk.close(this.file))
    ignoreFailure(() => this.disk.close(this.indexFile))
  }
}

/**
 * Walks the batches of a segment file and checks each: header, CRC, and that offsets go on, without a gap unless the segment was compacted.
 *
 * @returns why it stopped before `endPosition`; undefined if all is well
 */
function scanBatches(
  disk: Disk,
  file: FileHandle,
  position: number,
  endPosition: number,
  nextOffset: number,
  visit: (batch: Uint8Array) => void,
  mayHaveGaps = false,
): string | undefined {
  let window = new Uint8Array(Math.min(SCAN_BYTES, endPosition - position))
  let windowPosition = position
  let windowBytes = 0
  const need = (bytes: number): boolean => {
    if (windowPosition + windowBytes - position >= bytes) return true
    if (endPosition - position < bytes) return false
    if (window.length < bytes) window = new Uint8Array(bytes)
    windowPosition = position
    windowBytes = disk.read(file, window, 0, Math.min(window.length, endPosition - position), position)
    return windowBytes >= bytes
  }
  while (position < endPosition) {
    if (!need(12)) return 'a batch header is cut off'
    const sizeBytes = batchSizeOf(window, position - windowPosition)
    if (sizeBytes < 12 || !need(sizeBytes)) return `a batch of ${sizeBytes} bytes is cut off`
    const at = position - windowPosition
    try {
      verifyBatch(window, at, at + sizeBytes)
    } catch (error) {
      return (error as Error).message
    }
    const baseOffset = baseOffsetOf(window, at)
    if (mayHaveGaps ? baseOffset < nextOffset : baseOffset !== nextOffset)
      return `a batch begins at offset ${baseOffset}, not ${nextOffset}`
    nextOffset = nextOffsetOf(window, at)
    visit(window.subarray(at, at + sizeBytes))
    position += sizeBytes
  }
  return undefined
}

/** Makes pages dirty again. */
function rewrite(disk: Disk, file: FileHandle, from: number, to: number): void {
  const window = new Uint8Array(Math.min(SCAN_BYTES, to - from))
  for (let position = from; position < to; ) {
    const sizeBytes = disk.read(file, window, 0, Math.min(window.length, to - position), position)
    if (sizeBytes === 0) return
    disk.write(file, [window.subarray(0, sizeBytes)], position)
    position += sizeBytes
  }
}

/** What is known of a sealed segment without reading its records. */
export interface SealedSegment {
  file: SegmentFile
  sizeBytes: number
  nextOffset: number
  /** The newest CreateTime, epoch ms; where no record has one, when the file was written: else retention would take for old what just came. */
  maxTimestampMs: number
}

/**
 * Looks at a sealed segment on start: the seal must be there and fit the file. An index that is missing or bad is made again from the
 * segment, each batch of which is then checked; the segment itself is never changed.
 *
 * @returns `damage` says why the segment is not whole, at which position, and what is the first offset that cannot be read
 */
export function openSealed(
  disk: Disk,
  folder: string,
  segmentFile: SegmentFile,
): { sealed: SealedSegment; damage: { reason: string; position: number; offset: number } | undefined } {
  const { baseOffset, nextOffset: coveredOffset } = segmentFile
  const { seal, chunks } = readIndex(disk, folder, segmentFile)
  const file = disk.open(logPath(folder, segmentFile), 'read')
  try {
    const fileBytes = disk.size(file)
    const timeOf = (newestMs: number) => (newestMs >= 0 ? newestMs : disk.modifiedMs(file))
    if (seal !== undefined) {
      const { endPosition: sizeBytes } = seal
      const maxTimestampMs = timeOf(seal.maxTimestampMs)
      const sealed = { file: segmentFile, sizeBytes, nextOffset: coveredOffset ?? seal.nextOffset, maxTimestampMs }
      if (fileBytes === sizeBytes) return { sealed, damage: undefined }
      const offset = chunks.findLast((chunk) => chunk.endPosition <= fileBytes)?.nextOffset ?? baseOffset
      return { sealed, damage: { reason: `it has ${fileBytes} bytes, ${sizeBytes} were sealed`, position: fileBytes, offset } }
    }
    const index = new IndexBuilder(baseOffset, true)
    const reason = scanBatches(disk, file, 0, fileBytes, baseOffset, (batch) => index.note(batch), coveredOffset !== undefined)
    const { nextOffset } = index
    const maxTimestampMs = timeOf(index.maxTimestampMs)
    if (reason === undefined) writeWholeIndex(disk, folder, segmentFile, index)
    const damage = reason === undefined ? undefined : { reason, position: index.sizeBytes, offset: nextOffset }
    return { sealed: { file: segmentFile, sizeBytes: fileBytes, nextOffset: coveredOffset ?? nextOffset, maxTimestampMs }, damage }
  } finally {
    disk.close(file)
  }
}

function writeWholeIndex(disk: Disk, folder: string, segmentFile: SegmentFile, index: IndexBuilder): void {
  const file = disk.open(indexPath(folder, segmentFile), 'create')
  try {
    index.cut(disk, file)
    index.seal(disk, file)
  } finally {
    disk.close(file)
  }
  disk.syncFolder(folder)
}
