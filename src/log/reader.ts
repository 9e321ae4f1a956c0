// Reading a partition from any thread: from the files, up to what the writer has published.
//
// Invariants
//   1. Only whole batches that are durable are returned, in order; a gap between them is one that compaction left. A buffer is new for each
//      read and never touched again, unless the caller brings its own.
//   2. Bytes are checked before they are returned: a sealed segment by the checksums of its chunks, which cover every byte; the active
//      one by each batch's CRC, and that offsets go on without a gap. What does not fit is LOG_SEGMENT_DAMAGED, and nothing of it is returned.
//   3. With `read_committed` nothing at or behind the last stable offset is returned, and in what is returned the batches of aborted
//      transactions are marked as control batches, whose records nobody sees.
//   4. The open file is the pin: retention and compaction may unlink the segment that is being read, its bytes stay until the reader has
//      moved on. A compacted segment has a name of its own, so a log and an index that were opened by one name always belong together.
import { AbortedReader, type AbortedTransaction } from './abortedIndex.ts'
import type { Isolation, PartitionDescriptor, PartitionReader, ReadResult, TopicDescriptor } from './contract.ts'
import { crc32c } from './crc32c.ts'
import { type Disk, errorCodeOf, type FileHandle, realDisk } from './disk.ts'
import { logErrors, readError } from './errors.ts'
import { PARTITION_CLOSED, PARTITION_DELETED, type PartitionSnapshot, PartitionState } from './partitionState.ts'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchSizeOf,
  CONTROL_FLAG,
  MAX_TIMESTAMP_AT,
  nextOffsetOf,
  PRODUCER_ID_AT,
  readInt16,
  readInt64,
  TRANSACTIONAL_FLAG,
  verifyBatch,
} from './recordBatch.ts'
import { indexBatch, RecordIndex } from './recordIndex.ts'
import { type Chunk, listSegmentFiles, logPath, readIndex, type SegmentFile, type SegmentIndex } from './segmentIndex.ts'

/** Where a record is that was looked for by time. */
export interface RecordPlace {
  offset: number
  timestampMs: number
}

const READ_BYTES_DEFAULT = 1024 * 1024
/** A listed segment may be gone when it is opened, because compaction has replaced it: so often the folder is looked at again. */
const OPEN_TRIES_MAX = 20

/** The segment being read. */
interface OpenSegment {
  source: SegmentFile
  baseOffset: number
  path: string
  file: FileHandle
  /** Where the next batch begins, and its offset. */
  position: number
  offset: number
  /** Known once the segment is sealed. */
  sealed: { sizeBytes: number; chunks: Chunk[] } | undefined
}

/**
 * A reader of one partition, in any thread.
 *
 * @param fromOffset  the first record wanted; the first batch returned may begin before it
 * @throws            LOG_PARTITION_NOT_FOUND
 */
export function openPartitionReader(
  descriptor: TopicDescriptor,
  partition: number,
  fromOffset: number,
  disk: Disk = realDisk,
  isolation: Isolation = 'read_uncommitted',
): FilePartitionReader {
  const found = descriptor.partitions.find((one) => one.partition === partition)
  if (!found) {
    const partitionCount = descriptor.partitions.length
    throw logErrors('LOG_PARTITION_NOT_FOUND', { topic: descriptor.topic, partition, partitionCount })
  }
  return new FilePartitionReader(descriptor.topic, found, fromOffset, disk, isolation)
}

const placeOf = (bytes: Uint8Array, position: number): RecordPlace => ({
  offset: baseOffsetOf(bytes, position),
  timestampMs: readInt64(bytes, position + MAX_TIMESTAMP_AT),
})

export class FilePartitionReader implements PartitionReader {
  private readonly topic: string
  private readonly folder: string
  private readonly disk: Disk
  private readonly state: PartitionState
  private wanted: number
  private segment: OpenSegment | undefined
  /** Where the present read must stop. */
  private limitOffset = 0
  private readonly isCommitted: boolean
  private readonly aborted: AbortedReader
  private allocate: (sizeBytes: number) => Uint8Array = Buffer.allocUnsafeSlow

  constructor(topic: string, { folder, state }: PartitionDescriptor, fromOffset: number, disk: Disk, isolation: Isolation) {
    this.isCommitted = isolation === 'read_committed'
    this.aborted = new AbortedReader(disk, folder)
    this.topic = topic
    this.folder = folder
    this.state = new PartitionState(state)
    this.disk = disk
    this.wanted = fromOffset
  }

  /** The next record that a read returns. */
  get nextOffset(): number {
    return this.wanted
  }
  /** First and next offset of the partition now, as far as this reader's isolation sees it. */
  get range(): { startOffset: number; endOffset: number } {
    const state = this.state.read()
    return { startOffset: state.startOffset, endOffset: this.endOf(state) }
  }

  /** Bytes up to the end of the log, where the next read is in the file that grows; Infinity, where that is not known without looking. */
  get tailBytes(): number {
    const { durablePosition, activeBaseOffset } = this.state.read()
    return this.segment?.baseOffset === activeBaseOffset ? durablePosition - this.segment.position : Number.POSITIVE_INFINITY
  }

  /**
   * The next whole batches: up to `maxBytes`, but at least one. Undefined if there is nothing new.
   *
   * @param endOffset  batches that begin at or behind it are not returned
   * @param allocate   gives a buffer of so many bytes to read into; it may be asked more than once
   * @throws LOG_OFFSET_OUT_OF_RANGE  also after retention took what was wanted
   * @throws LOG_SEGMENT_DAMAGED      its `nextOffset` is where one can go on with `seek`
   * @throws LOG_TOPIC_DELETED, LOG_READ_FAILED
   */
  read(
    maxBytes = READ_BYTES_DEFAULT,
    endOffset = Number.POSITIVE_INFINITY,
    allocate: (sizeBytes: number) => Uint8Array = Buffer.allocUnsafeSlow,
  ): ReadResult | undefined {
    maxBytes = Math.max(maxBytes, 1)
    this.allocate = allocate
    for (;;) {
      const state = this.state.read()
      this.limitOffset = Math.min(endOffset, this.endOf(state))
      if (state.status === PARTITION_DELETED) {
        this.close()
        throw logErrors('LOG_TOPIC_DELETED', { topic: this.topic })
      }
      if (this.wanted > state.endOffset || this.wanted < 0) throw this.outOfRange(state)
      if (this.wanted >= this.limitOffset) return undefined
      const segment = this.segment ?? this.openSegment(state)
      try {
        if (segment.baseOffset < state.activeBaseOffset && !segment.sealed) this.loadSeal(segment)
        const sizeBytes = segment.sealed?.sizeBytes ?? state.durablePosition
        if (segment.position >= sizeBytes) {
          this.leaveSegment(segment, state)
          continue
        }
        const result = segment.sealed
          ? this.readSealed(segment, segment.sealed, maxBytes)
          : this.readActive(segment, sizeBytes, maxBytes, state)
        if (result) return this.isCommitted && state.abortedCount > 0 ? this.hideAborted(result) : result
      } catch (error) {
        throw readError(error, segment.path)
      }
    }
  }

  /**
   * Resolves to true when `read` has something to say, to false after `timeoutMs` or once the log is closed.
   * It does not keep Node alive by itself.
   */
  async waitForData(timeoutMs: number): Promise<boolean> {
    const deadlineMs = performance.now() + timeoutMs
    for (;;) {
      const state = this.state.read()
      const { version, status } = state
      // Also where `read` has an error to throw.
      const isOutside = this.wanted > state.endOffset || this.wanted < 0
      if (this.endOf(state) > this.wanted || isOutside || status === PARTITION_DELETED) return true
      const restMs = deadlineMs - performance.now()
      if (status === PARTITION_CLOSED || restMs <= 0) return false
      await this.state.waitForChange(version, restMs)
    }
  }

  seek(offset: number): void {
    this.closeSegment()
    this.wanted = offset
  }

  /**
   * Moves to the first record whose timestamp is `timeMs` or later, as Kafka's ListOffsets finds it.
   *
   * @returns  its offset; without such a record the end of the log
   */
  seekTime(timeMs: number): number {
    const state = this.state.read()
    const found = this.find(timeMs, state)?.offset ?? this.endOf(state)
    this.seek(found)
    return found
  }

  /** The first record whose timestamp is `timeMs` or later. The reader's place is lost: `seek` before the next read. */
  findTime(timeMs: number): RecordPlace | undefined {
    return this.find(timeMs, this.state.read())
  }

  /** The first record that has the greatest timestamp of all. The reader's place is lost: `seek` before the next read. */
  findMaxTimestamp(): RecordPlace | undefined {
    const state = this.state.read()
    let maxMs = Number.NEGATIVE_INFINITY
    let tailOffset = state.startOffset
    for (const source of this.list(state)) {
      for (const { nextOffset, maxTimestampMs } of readIndex(this.disk, this.folder, source).chunks) {
        if (nextOffset <= state.startOffset || nextOffset > state.endOffset) continue
        maxMs = Math.max(maxMs, maxTimestampMs)
        tailOffset = nextOffset
      }
    }
    // What no entry speaks of yet has to be read.
    this.seek(tailOffset)
    for (let run = this.read(); run; run = this.read()) {
      for (let position = run.start; position < run.end; position += batchSizeOf(run.bytes, position)) {
        maxMs = Math.max(maxMs, readInt64(run.bytes, position + MAX_TIMESTAMP_AT))
      }
    }
    return maxMs === Number.NEGATIVE_INFINITY ? undefined : this.find(maxMs, state)
  }

  /**
   * The aborted transactions that may have records in `[fromOffset … toOffset)`, all of it below the last stable offset.
   *
   * @throws LOG_OFFSET_OUT_OF_RANGE if retention took what they were; LOG_SEGMENT_DAMAGED, LOG_READ_FAILED
   */
  abortedBetween(fromOffset: number, toOffset: number): AbortedTransaction[] {
    if (this.state.read().abortedCount === 0) return []
    let found: AbortedTransaction[]
    try {
      found = this.aborted.between(fromOffset, toOffset)
    } catch (error) {
      throw readError(error, this.folder)
    }
    // The index forgets what is before the start of the log. It is looked at afterwards: by then nothing can be missing.
    const state = this.state.read()
    if (fromOffset < state.startOffset) throw logErrors('LOG_OFFSET_OUT_OF_RANGE', { ...state, offset: fromOffset })
    return found
  }

  close(): void {
    this.closeSegment()
  }

  private endOf({ endOffset, lastStableOffset }: PartitionSnapshot): number {
    return this.isCommitted ? lastStableOffset : endOffset
  }

  /** Marks the batches of aborted transactions in a run as control batches; the bytes are this reader's own copy. */
  private hideAborted(run: ReadResult): ReadResult {
    const { bytes, start, end } = run
    let aborted: AbortedTransaction[] | undefined
    let first = 0
    for (let position = start; position < end; position += batchSizeOf(bytes, position)) {
      const attributes = readInt16(bytes, position + ATTRIBUTES_AT)
      if ((attributes & (TRANSACTIONAL_FLAG | CONTROL_FLAG)) !== TRANSACTIONAL_FLAG) continue
      const offset = baseOffsetOf(bytes, position)
      aborted ??= this.abortedBetween(Math.max(offset, run.fromOffset), run.nextOffset)
      while (first < aborted.length && aborted[first].lastOffset < offset) first++
      const producerId = readInt64(bytes, position + PRODUCER_ID_AT)
      for (let i = first; i < aborted.length; i++) {
        const one = aborted[i]
        if (one.producerId === producerId && one.firstOffset <= offset && offset < one.lastOffset) {
          bytes[position + ATTRIBUTES_AT + 1] |= CONTROL_FLAG
          break
        }
        // All that ended later began later than that.
        if (one.lastStableOffset > offset) break
      }
    }
    return run
  }

  private find(timeMs: number, state: PartitionSnapshot): RecordPlace | undefined {
    const index = new RecordIndex()
    for (const source of this.list(state)) {
      const { baseOffset } = source
      const { chunks, seal } = readIndex(this.disk, this.folder, source)
      if (seal && seal.maxTimestampMs < timeMs) continue
      const at = chunks.findIndex((chunk) => chunk.maxTimestampMs >= timeMs)
      // What no entry speaks of yet, the end of the active segment, has to be read.
      const from = at < 0 ? (chunks.at(-1)?.nextOffset ?? baseOffset) : (chunks[at - 1]?.nextOffset ?? baseOffset)
      if (from >= this.endOf(state)) continue
      this.seek(Math.max(from, state.startOffset))
      for (let run = this.read(); run; run = this.read()) {
        for (let position = run.start; position < run.end; ) {
          const sizeBytes = batchSizeOf(run.bytes, position)
          if (readInt64(run.bytes, position + MAX_TIMESTAMP_AT) >= timeMs) {
            index.reset()
            indexBatch(run.bytes, position, index)
            // A marker, or what was hidden: it has a place in time as well.
            if (index.count === 0) return placeOf(run.bytes, position)
            for (let row = 0; row < index.count; row++) {
              const [offset, timestampMs] = [index.offsets[row], index.timestampsMs[row]]
              if (timestampMs >= timeMs && offset >= state.startOffset) return { offset, timestampMs }
            }
          }
          position += sizeBytes
        }
        if (run.nextOffset >= this.endOf(state)) break
      }
    }
    return undefined
  }

  private list(state: PartitionSnapshot): SegmentFile[] {
    return listSegmentFiles(this.disk, this.folder).filter(({ baseOffset }) => baseOffset <= state.activeBaseOffset)
  }

  /** Opens the segment that holds the wanted record and places the reader at a batch at or before it. */
  private openSegment(state: PartitionSnapshot): OpenSegment {
    for (let tries = 1; ; tries++) {
      try {
        return this.openListed(state)
      } catch (error) {
        this.closeSegment()
        if (errorCodeOf(error) !== 'ENOENT') throw readError(error, this.folder)
        if (tries === OPEN_TRIES_MAX) throw this.gone(undefined, 'the segment is missing')
      }
    }
  }

  private openListed(state: PartitionSnapshot): OpenSegment {
    const sources = this.list(state)
    const at = sources.findLastIndex(({ baseOffset }) => baseOffset <= this.wanted)
    if (at < 0) throw this.gone(sources[0]?.baseOffset, 'the segment is missing')
    const source = sources[at]
    const { baseOffset } = source
    if (source.nextOffset !== undefined && source.nextOffset <= this.wanted)
      throw this.gone(sources[at + 1]?.baseOffset, 'the segment is missing')
    const path = logPath(this.folder, source)
    const file = this.disk.open(path, 'read')
    const segment: OpenSegment = { source, baseOffset, path, file, position: 0, offset: baseOffset, sealed: undefined }
    this.segment = segment
    const index = baseOffset < state.activeBaseOffset ? this.loadSeal(segment) : readIndex(this.disk, this.folder, source)
    if (index.seal && source.nextOffset === undefined && index.seal.nextOffset <= this.wanted) {
      throw this.gone(sources[at + 1]?.baseOffset, 'the segment is missing')
    }
    for (const chunk of index.chunks) {
      if (chunk.nextOffset > this.wanted || (!segment.sealed && chunk.endPosition > state.durablePosition)) break
      segment.position = chunk.endPosition
      segment.offset = chunk.nextOffset
    }
    return segment
  }

  /** Why there is no segment for the wanted record: retention, or damage. */
  private gone(nextBase: number | undefined, reason: string) {
    const state = this.state.read()
    if (state.status === PARTITION_DELETED) return logErrors('LOG_TOPIC_DELETED', { topic: this.topic })
    if (this.wanted < state.startOffset) return this.outOfRange(state)
    const nextOffset = nextBase ?? state.endOffset
    return logErrors('LOG_SEGMENT_DAMAGED', { path: this.folder, position: 0, firstOffset: this.wanted, nextOffset, reason })
  }

  private outOfRange({ startOffset, endOffset }: PartitionSnapshot) {
    return logErrors('LOG_OFFSET_OUT_OF_RANGE', { offset: this.wanted, startOffset, endOffset })
  }

  /** Loads what a sealed segment is checked with. Without a whole index its batches are checked one by one, and the file's size counts. */
  private loadSeal(segment: OpenSegment): SegmentIndex {
    const index = readIndex(this.disk, this.folder, segment.source)
    const sizeBytes = index.seal?.endPosition ?? this.disk.size(segment.file)
    segment.sealed = { sizeBytes, chunks: index.seal ? index.chunks : [] }
    return index
  }

  private readSealed(segment: OpenSegment, sealed: { sizeBytes: number; chunks: Chunk[] }, maxBytes: number): ReadResult | undefined {
    const { chunks, sizeBytes } = sealed
    if (chunks.length === 0) return this.readActive(segment, sizeBytes, maxBytes, this.state.read())
    const first = chunks.findIndex((chunk) => chunk.endPosition > segment.position)
    const runStart = chunks[first - 1]?.endPosition ?? 0
    let last = first
    while (last + 1 < chunks.length && chunks[last + 1].endPosition - segment.position <= maxBytes) last++
    const bytes = this.readBytes(segment, runStart, chunks[last].endPosition)
    let start = 0
    for (let i = first; i <= last; i++) {
      const end = chunks[i].endPosition - runStart
      if (end > bytes.length || crc32c(bytes.subarray(start, end)) !== chunks[i].crc) {
        const firstOffset = Math.max(this.wanted, chunks[i - 1]?.nextOffset ?? segment.baseOffset)
        // The chunks before it are good: they are returned first.
        if (i > first) return this.take(segment, bytes, segment.position - runStart, start, maxBytes)
        const reason = end > bytes.length ? 'the end of the file is missing' : 'its checksum is wrong'
        throw this.damaged(segment, runStart + start, firstOffset, chunks[i].nextOffset, reason)
      }
      start = end
    }
    return this.take(segment, bytes, segment.position - runStart, start, maxBytes)
  }

  private readActive(segment: OpenSegment, sizeBytes: number, maxBytes: number, state: PartitionSnapshot): ReadResult | undefined {
    const available = sizeBytes - segment.position
    let bytes = this.readBytes(segment, segment.position, segment.position + Math.min(available, maxBytes))
    const firstBytes = bytes.length >= BATCH_HEADER_BYTES ? batchSizeOf(bytes, 0) : BATCH_HEADER_BYTES
    if (firstBytes > bytes.length && bytes.length < available) {
      const need = bytes.length >= BATCH_HEADER_BYTES ? firstBytes : this.firstBatchBytes(segment)
      bytes = this.readBytes(segment, segment.position, segment.position + Math.min(available, need))
    }
    let end = 0
    let offset = segment.offset
    // Once also where the file has no byte left, so that this is an error.
    while (end < bytes.length || end === 0) {
      const batchBytes = bytes.length - end >= BATCH_HEADER_BYTES ? batchSizeOf(bytes, end) : Number.POSITIVE_INFINITY
      const isCut = end + batchBytes > bytes.length
      if (isCut && end > 0) break
      try {
        verifyBatch(bytes, end, bytes.length)
        const baseOffset = baseOffsetOf(bytes, end)
        const goesOn = segment.source.nextOffset === undefined ? baseOffset === offset : baseOffset >= offset
        if (!goesOn) throw new Error(`a batch begins at offset ${baseOffset}, not ${offset}`)
      } catch (error) {
        if (end > 0) break
        const nextGood = readIndex(this.disk, this.folder, segment.source).chunks.find((chunk) => chunk.endPosition > segment.position)
        const nextBase = segment.sealed && this.list(state).find(({ baseOffset }) => baseOffset > segment.baseOffset)?.baseOffset
        const nextOffset = nextGood?.nextOffset ?? nextBase ?? state.endOffset
        throw this.damaged(segment, segment.position, Math.max(this.wanted, offset), nextOffset, (error as Error).message)
      }
      offset = nextOffsetOf(bytes, end)
      end += batchBytes
    }
    return this.take(segment, bytes, 0, end, maxBytes)
  }

  private firstBatchBytes(segment: OpenSegment): number {
    const header = this.readBytes(segment, segment.position, segment.position + BATCH_HEADER_BYTES)
    return header.length < BATCH_HEADER_BYTES ? BATCH_HEADER_BYTES : batchSizeOf(header, 0)
  }

  /** Skips checked batches before the wanted record, takes as many as fit, and moves on. Undefined if none was left. */
  private take(segment: OpenSegment, bytes: Uint8Array, start: number, end: number, maxBytes: number): ReadResult | undefined {
    let position = start
    while (position < end && nextOffsetOf(bytes, position) <= this.wanted) position += batchSizeOf(bytes, position)
    const fromOffset = this.wanted
    const runStart = position
    while (position < end) {
      const next = position + batchSizeOf(bytes, position)
      if (position > runStart && next - runStart > maxBytes) break
      if (baseOffsetOf(bytes, position) >= this.limitOffset) {
        // Nothing between here and the limit: compaction took it.
        if (position === runStart) this.wanted = this.limitOffset
        break
      }
      this.wanted = nextOffsetOf(bytes, position)
      position = next
    }
    segment.position += position - start
    if (position > start) segment.offset = position > runStart ? this.wanted : this.offsetAt(bytes, start, position, segment.offset)
    return position > runStart ? { bytes, start: runStart, end: position, fromOffset, nextOffset: this.wanted } : undefined
  }

  /** The offset after the batches of `bytes[start … end)`. */
  private offsetAt(bytes: Uint8Array, start: number, end: number, offset: number): number {
    for (let position = start; position < end; position += batchSizeOf(bytes, position)) offset = nextOffsetOf(bytes, position)
    return offset
  }

  /** Bytes of the file; fewer where it ends too early. */
  private readBytes(segment: OpenSegment, from: number, to: number): Uint8Array {
    const bytes = this.allocate(to - from)
    return bytes.subarray(0, this.disk.read(segment.file, bytes, 0, to - from, from))
  }

  private damaged(segment: OpenSegment, position: number, firstOffset: number, nextOffset: number, reason: string) {
    return logErrors('LOG_SEGMENT_DAMAGED', { path: segment.path, position, firstOffset, nextOffset, reason })
  }

  /** At the end of a sealed segment: the next one must begin with the wanted record, or have it inside if it was compacted meanwhile. */
  private leaveSegment({ source }: OpenSegment, state: PartitionSnapshot): void {
    this.closeSegment()
    if (source.nextOffset !== undefined) this.wanted = Math.max(this.wanted, source.nextOffset)
    if (this.wanted >= state.endOffset) return
    const sources = this.list(state)
    const next = sources.findLast(({ baseOffset }) => baseOffset <= this.wanted)
    const isSame = next?.baseOffset === source.baseOffset && next.generation === source.generation
    if (next && !isSame && (next.nextOffset !== undefined || next.baseOffset === this.wanted)) return
    throw this.gone(sources.find(({ baseOffset }) => baseOffset > this.wanted)?.baseOffset, 'records are missing between two segments')
  }

  private closeSegment(): void {
    if (this.segment) this.disk.close(this.segment.file)
    this.segment = undefined
  }
}
