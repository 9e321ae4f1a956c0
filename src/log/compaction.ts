// Compaction of one partition: of each key only the newest record stays. Synchronous and without threads or clock, for the simulator.
//
//   sealed segments, oldest first:   | compacted before | not yet |   then the active one, which is never touched
//                                                       ^ firstDirtyOffset      ^ limitOffset
//   1. Markers of transactions behind firstDirtyOffset tell which batches were aborted, and where the first undecided one is.
//   2. A table key -> newest offset is filled from firstDirtyOffset on, until it is full, or at an undecided batch: that is `endOffset`.
//   3. All segments below endOffset are written again in groups, without what the table knows a newer record of.
//
// Invariants
//   1. A record keeps its offset, key, value, headers and timestamp; a batch keeps its base offset, sequence and codec. CRCs are made anew.
//   2. The newest record of a key goes only if it is a deletion whose time (`delete.retention.ms` after it was first compacted) is over.
//      That time stands in the batch as in Kafka: attribute bit 6, and the base timestamp is the time.
//   3. Records of aborted transactions go, whatever their key, and count for no key. Nothing is decided about an undecided transaction.
//      The mark of a commit stays as long as a record before it, and then `delete.retention.ms` more; marks of aborts, and the last mark
//      of a producer that is known, stay.
//   4. The last batch of each producer that is known stays, if need be empty, so that its sequence can be read from the log.
//   5. Source segments are read through a reader, so every byte is checked; damage ends the compaction and stays where it is.
//   6. Memory: the table has at most `keysMax` places of 24 bytes; beside it one read and one batch.
//   7. What is written is made durable piece by piece, at most WRITE_BYTES each: a sync of an appended batch waits for whatever else the file
//      system has to write at that moment. Between two pieces the caller may pause.
// Sources: Kafka's documentation, "Log Compaction"; KIP-58, KIP-98, KIP-280, KIP-354, KIP-534.
import { hash } from 'node:crypto'
import { compress } from './compress.ts'
import type { TopicDescriptor } from './contract.ts'
import { crc32c } from './crc32c.ts'
import { type Disk, type FileHandle, ignoreFailure } from './disk.ts'
import { readMarker } from './marker.ts'
import { FilePartitionReader } from './reader.ts'
import {
  ATTRIBUTES_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_AT,
  BATCH_PREFIX_BYTES,
  baseOffsetOf,
  batchHeaderOf,
  batchSizeOf,
  CRC_AT,
  MAX_TIMESTAMP_AT,
  nextOffsetOf,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  readInt16,
  readInt32,
  readInt64,
  TIMESTAMP_MS_MAX,
  varintSize,
  writeInt16,
  writeInt32,
  writeInt64,
  writeVarint,
} from './recordBatch.ts'
import { indexBatch, RecordIndex } from './recordIndex.ts'
import { IndexBuilder, indexPath, logPath, type SegmentFile } from './segmentIndex.ts'

export const COMPACTING_SUFFIX = '.compacting'
export const DELETE_HORIZON_FLAG = 0x40
const READ_BYTES = 1024 * 1024
const WRITE_BYTES = 512 * 1024

/** What there is to do; can be sent to any thread. */
export interface CompactionJob {
  topic: TopicDescriptor
  partition: number
  /** Sealed segments from the first one on, with where each ends. */
  sources: { file: SegmentFile; nextOffset: number; sizeBytes: number }[]
  /** Records below it were deleted on request. */
  startOffset: number
  firstDirtyOffset: number
  /** When the time of a deletion in what was compacted before is over. */
  horizonMs: number
  /** Nothing at or beyond it is looked at. */
  limitOffset: number
  /** The producers that are known, each with the last offsets of its newest batches. */
  producers: [producerId: number, lastOffsets: number[]][]
  nowMs: number
  deleteRetentionMs: number
  segmentBytes: number
  keysMax: number
}

/** A segment that was written, under names with `COMPACTING_SUFFIX`, and is durable. */
export interface CompactedSegment {
  file: SegmentFile
  sources: SegmentFile[]
  sizeBytes: number
  maxTimestampMs: number
}

export interface CompactionOutcome {
  /** All below it is compacted. */
  endOffset: number
  /** When the next deletion's time is over, epoch ms; Infinity if none waits. */
  horizonMs: number
  recordsIn: number
  recordsOut: number
}

/**
 * Does a job. Each group of segments is handed over when it is written, so that its space is freed before the next is.
 *
 * @param replace  puts a group in the place of its sources
 * @param pause    called after each piece of work, some milliseconds of it
 * @throws         LOG_SEGMENT_DAMAGED and what the disk throws; what was handed over before stays good
 */
export function compact(disk: Disk, job: CompactionJob, replace: (segment: CompactedSegment) => void, pause = () => {}): CompactionOutcome {
  const reader = new FilePartitionReader(job.topic.topic, job.topic.partitions[job.partition], 0, disk, 'read_uncommitted')
  try {
    return new Compactor(disk, job, reader, pause).run(replace)
  } finally {
    reader.close()
  }
}

class Compactor {
  private readonly disk: Disk
  private readonly job: CompactionJob
  private readonly folder: string
  private readonly reader: FilePartitionReader
  private readonly pause: () => void
  private readonly newest: OffsetTable
  private readonly marks = new Map<number, { offset: number; isCommit: boolean }[]>()
  private readonly index = new RecordIndex()
  /** Last offsets of the newest batches. */
  private readonly producers: Map<number, number[]>
  /** Producers of which a record was kept since their last mark. */
  private readonly openProducers = new Set<number>()
  private endOffset: number
  private horizonMs = Number.POSITIVE_INFINITY
  private recordsIn = 0
  private recordsOut = 0

  constructor(disk: Disk, job: CompactionJob, reader: FilePartitionReader, pause: () => void) {
    this.pause = pause
    this.disk = disk
    this.job = job
    this.reader = reader
    this.folder = job.topic.partitions[job.partition].folder
    this.endOffset = job.limitOffset
    this.newest = new OffsetTable(Math.min(job.keysMax, Math.max(0, job.limitOffset - job.firstDirtyOffset)))
    this.producers = new Map(job.producers)
  }

  run(replace: (segment: CompactedSegment) => void): CompactionOutcome {
    const { firstDirtyOffset, nowMs } = this.job
    this.readMarks()
    this.fillTable()
    // A transaction that is open for long must not make us write everything again and again.
    const isStuck = this.endOffset <= firstDirtyOffset && nowMs < this.job.horizonMs
    if (isStuck) return { endOffset: firstDirtyOffset, horizonMs: this.job.horizonMs, recordsIn: 0, recordsOut: 0 }
    for (const group of this.groups()) {
      const segment = this.writeGroup(group)
      if (segment) replace(segment)
    }
    const { endOffset, horizonMs, recordsIn, recordsOut } = this
    return { endOffset: Math.max(endOffset, firstDirtyOffset), horizonMs, recordsIn, recordsOut }
  }

  /** Shows each batch of `[fromOffset … toOffset)`; the bytes are valid until the next one. Stops when `visit` says false. */
  private walk(fromOffset: number, toOffset: number, visit: (bytes: Uint8Array, start: number, end: number) => boolean | undefined): void {
    const { reader } = this
    reader.seek(fromOffset)
    while (reader.nextOffset < toOffset) {
      const run = reader.read(READ_BYTES)
      if (!run) return
      for (let start = run.start; start < run.end; ) {
        const end = start + batchSizeOf(run.bytes, start)
        if (baseOffsetOf(run.bytes, start) >= toOffset || visit(run.bytes, start, end) === false) return
        start = end
      }
      this.pause()
    }
  }

  private readMarks(): void {
    const { firstDirtyOffset, limitOffset } = this.job
    const undecided = new Map<number, number>()
    this.walk(firstDirtyOffset, limitOffset, (bytes, start) => {
      const { isControl, isTransactional } = batchHeaderOf(bytes, start)
      const offset = baseOffsetOf(bytes, start)
      const producerId = readInt64(bytes, start + PRODUCER_ID_AT)
      if (isControl) {
        const list = this.marks.get(producerId) ?? []
        this.marks.set(producerId, list)
        list.push({ offset, isCommit: readMarker(bytes.subarray(start)).isCommit })
        undecided.delete(producerId)
      } else if (isTransactional && !undecided.has(producerId)) undecided.set(producerId, offset)
      return undefined
    })
    for (const offset of undecided.values()) this.endOffset = Math.min(this.endOffset, offset)
  }

  /** A batch of a transaction that is known to have been aborted. What was compacted before has none. */
  private isAborted(bytes: Uint8Array, start: number): boolean {
    const { isControl, isTransactional } = batchHeaderOf(bytes, start)
    const offset = baseOffsetOf(bytes, start)
    if (!isTransactional || isControl || offset < this.job.firstDirtyOffset) return false
    const list = this.marks.get(readInt64(bytes, start + PRODUCER_ID_AT)) ?? []
    let [low, high] = [0, list.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (list[middle].offset > offset) high = middle
      else low = middle + 1
    }
    return low < list.length && !list[low].isCommit
  }

  private fillTable(): void {
    const { index, newest } = this
    this.walk(this.job.firstDirtyOffset, this.endOffset, (bytes, start) => {
      if (this.isAborted(bytes, start)) return undefined
      index.reset()
      indexBatch(bytes, start, index)
      for (let row = 0; row < index.count; row++) {
        if (index.keyStarts[row] < 0 || index.offsets[row] < this.job.firstDirtyOffset) continue
        if (newest.set(index.bytes.subarray(index.keyStarts[row], index.keyEnds[row]), index.offsets[row])) continue
        this.endOffset = index.offsets[row]
        return false
      }
      return undefined
    })
  }

  /** Runs of segments that are written into one each, as many as fit. */
  private *groups(): Generator<CompactionJob['sources']> {
    let group: CompactionJob['sources'] = []
    let groupBytes = 0
    for (const source of this.job.sources) {
      if (source.file.baseOffset >= this.endOffset) break
      if (group.length > 0 && groupBytes + source.sizeBytes > this.job.segmentBytes) {
        yield group
        group = []
        groupBytes = 0
      }
      group.push(source)
      groupBytes += source.sizeBytes
    }
    if (group.length > 0) yield group
  }

  private writeGroup(group: CompactionJob['sources']): CompactedSegment | undefined {
    const { disk, folder } = this
    const sources = group.map(({ file }) => file)
    const [{ baseOffset }] = sources
    const { nextOffset } = group.at(-1)!
    const file = { baseOffset, nextOffset, generation: 1 + Math.max(...sources.map(({ generation }) => generation)) }
    const paths = [logPath(folder, file), indexPath(folder, file)].map((path) => path + COMPACTING_SUFFIX)
    const writer = new SegmentWriter(disk, paths, baseOffset, this.pause)
    let isChanged = sources.length > 1
    let isDone = false
    try {
      this.walk(baseOffset, nextOffset, (bytes, start, end) => {
        const kept = this.filter(bytes, start, end)
        if (kept !== UNCHANGED) isChanged = true
        if (kept === UNCHANGED) writer.add(bytes.subarray(start, end))
        else if (kept) writer.add(kept)
        return undefined
      })
      if (isChanged) writer.finish()
      isDone = isChanged
    } finally {
      writer.close()
      if (!isDone) for (const path of paths) ignoreFailure(() => disk.unlink(path))
    }
    const { sizeBytes, maxTimestampMs } = writer.index
    return isChanged ? { file, sources, sizeBytes, maxTimestampMs } : undefined
  }

  /** What stays of a batch: all, other bytes, or nothing. */
  private filter(bytes: Uint8Array, start: number, end: number): typeof UNCHANGED | Uint8Array | undefined {
    const header = batchHeaderOf(bytes, start)
    const producerId = readInt64(bytes, start + PRODUCER_ID_AT)
    const recordCount = readInt32(bytes, start + RECORD_COUNT_AT)
    this.recordsIn += recordCount
    if (header.isControl) return this.filterMark(bytes, start, end, producerId)
    if (this.isAborted(bytes, start)) return this.empty(bytes, start)
    const { index, newest } = this
    const { startOffset, nowMs } = this.job
    index.reset()
    indexBatch(bytes, start, index)
    const horizonMs = horizonOf(bytes, start)
    const isDecided = baseOffsetOf(bytes, start) < this.endOffset
    const rows: number[] = []
    let hasDeletions = false
    for (let row = 0; row < index.count; row++) {
      const offset = index.offsets[row]
      const isDeletion = index.valueStarts[row] < 0
      const isOver = isDeletion && horizonMs !== undefined && nowMs >= horizonMs
      const [keyStart, keyEnd] = [index.keyStarts[row], index.keyEnds[row]]
      // From the time before the topic was compacted there may be records without a key: Kafka throws them away too.
      const isNewest = keyStart >= 0 && offset >= newest.get(index.bytes.subarray(keyStart, keyEnd))
      if (!isNewest || isOver || offset < startOffset) continue
      hasDeletions ||= isDeletion
      rows.push(row)
    }
    this.recordsOut += rows.length
    if (header.isTransactional && rows.length > 0) this.openProducers.add(producerId)
    if (rows.length === 0) return recordCount === 0 && this.isOneOfTheLast(bytes, start) ? UNCHANGED : this.empty(bytes, start)
    const needsHorizon = hasDeletions && isDecided && horizonMs === undefined
    const newHorizonMs = needsHorizon ? this.nextHorizon() : horizonMs
    if (hasDeletions && newHorizonMs !== undefined) this.noteHorizon(newHorizonMs)
    if (rows.length === recordCount && !needsHorizon) return UNCHANGED
    return rebuild(bytes, start, index, rows, newHorizonMs)
  }

  private filterMark(bytes: Uint8Array, start: number, end: number, producerId: number): typeof UNCHANGED | Uint8Array | undefined {
    const offset = baseOffsetOf(bytes, start)
    const hadRecords = this.openProducers.delete(producerId)
    const isDecided = offset < this.endOffset
    const isLast = this.producers.has(producerId) && !((this.marks.get(producerId)?.at(-1)?.offset ?? -1) > offset)
    const horizonMs = horizonOf(bytes, start)
    // An aborted transaction is told to consumers by its producer and first offset: without its mark they would skip what follows.
    const mayGo = !hadRecords && isDecided && !isLast && readMarker(bytes.subarray(start, end)).isCommit
    if (mayGo && horizonMs !== undefined && this.job.nowMs >= horizonMs) return undefined
    this.recordsOut++
    if (!mayGo) return UNCHANGED
    this.noteHorizon(horizonMs ?? this.nextHorizon())
    if (horizonMs !== undefined) return UNCHANGED
    const marked = bytes.slice(start, end)
    setHorizon(marked, this.nextHorizon())
    writeInt32(marked, CRC_AT, crc32c(marked.subarray(ATTRIBUTES_AT)))
    return marked
  }

  private nextHorizon(): number {
    return Math.min(this.job.nowMs + this.job.deleteRetentionMs, TIMESTAMP_MS_MAX)
  }

  private noteHorizon(horizonMs: number): void {
    this.horizonMs = Math.min(this.horizonMs, horizonMs)
  }

  /** Its producer may send it again. */
  private isOneOfTheLast(bytes: Uint8Array, start: number): boolean {
    return this.producers.get(readInt64(bytes, start + PRODUCER_ID_AT))?.includes(nextOffsetOf(bytes, start) - 1) ?? false
  }

  /** A batch without records where its producer's sequence must stay readable, else nothing. */
  private empty(bytes: Uint8Array, start: number): Uint8Array | undefined {
    if (!this.isOneOfTheLast(bytes, start)) return undefined
    const batch = bytes.slice(start, start + BATCH_HEADER_BYTES)
    // Transactional and control stay; no codec, no horizon.
    writeInt16(batch, ATTRIBUTES_AT, readInt16(batch, ATTRIBUTES_AT) & 0x38)
    writeInt64(batch, BASE_TIMESTAMP_AT, -1)
    writeInt64(batch, MAX_TIMESTAMP_AT, -1)
    writeInt32(batch, RECORD_COUNT_AT, 0)
    return sealBatch(batch)
  }
}

const UNCHANGED = Symbol('unchanged')

const horizonOf = (bytes: Uint8Array, start: number): number | undefined =>
  readInt16(bytes, start + ATTRIBUTES_AT) & DELETE_HORIZON_FLAG ? readInt64(bytes, start + BASE_TIMESTAMP_AT) : undefined

function setHorizon(batch: Uint8Array, horizonMs: number): void {
  writeInt16(batch, ATTRIBUTES_AT, readInt16(batch, ATTRIBUTES_AT) | DELETE_HORIZON_FLAG)
  writeInt64(batch, BASE_TIMESTAMP_AT, horizonMs)
}

/** The batch with some of its records; with a horizon their timestamps count from there. */
function rebuild(bytes: Uint8Array, start: number, index: RecordIndex, rows: readonly number[], horizonMs: number | undefined): Uint8Array {
  const { codec, isLogAppendTime } = batchHeaderOf(bytes, start)
  const baseOffset = baseOffsetOf(bytes, start)
  const baseTimestampMs = horizonMs ?? readInt64(bytes, start + BASE_TIMESTAMP_AT)
  let maxTimestampMs = -1
  let capacity = 0
  for (const row of rows) capacity += 45 + recordBytes(index, row)
  const body = Buffer.allocUnsafe(capacity)
  let at = 0
  for (const row of rows) {
    maxTimestampMs = Math.max(maxTimestampMs, index.timestampsMs[row])
    at = writeRecord(body, at, index, row, index.timestampsMs[row] - baseTimestampMs, index.offsets[row] - baseOffset)
  }
  const records = codec === 0 ? body.subarray(0, at) : compress(body.subarray(0, at), codec)
  const batch = new Uint8Array(BATCH_HEADER_BYTES + records.length)
  batch.set(bytes.subarray(start, start + BATCH_HEADER_BYTES))
  batch.set(records, BATCH_HEADER_BYTES)
  if (horizonMs !== undefined) setHorizon(batch, horizonMs)
  if (!isLogAppendTime) writeInt64(batch, MAX_TIMESTAMP_AT, maxTimestampMs)
  writeInt32(batch, RECORD_COUNT_AT, rows.length)
  return sealBatch(batch)
}

const span = (from: number, to: number): number => (from < 0 ? 0 : to - from)
const recordBytes = ({ keyStarts, keyEnds, valueStarts, valueEnds, headersStarts, headersEnds }: RecordIndex, row: number): number =>
  span(keyStarts[row], keyEnds[row]) + span(valueStarts[row], valueEnds[row]) + headersEnds[row] - headersStarts[row]

function writeRecord(body: Buffer, at: number, index: RecordIndex, row: number, timestampDelta: number, offsetDelta: number): number {
  const source = index.bytes
  const parts = [
    [index.keyStarts[row], index.keyEnds[row]],
    [index.valueStarts[row], index.valueEnds[row]],
  ]
  const sizes = parts.map(([from, to]) => (from < 0 ? -1 : to - from))
  const numberBytes = 1 + varintSize(timestampDelta) + varintSize(offsetDelta) + varintSize(sizes[0]) + varintSize(sizes[1])
  at = writeVarint(body, at, numberBytes + recordBytes(index, row))
  body[at++] = 0
  at = writeVarint(body, at, timestampDelta)
  at = writeVarint(body, at, offsetDelta)
  for (const [i, [from, to]] of parts.entries()) {
    at = writeVarint(body, at, sizes[i])
    if (from < 0) continue
    body.set(source.subarray(from, to), at)
    at += to - from
  }
  body.set(source.subarray(index.headersStarts[row], index.headersEnds[row]), at)
  return at + index.headersEnds[row] - index.headersStarts[row]
}

function sealBatch(batch: Uint8Array): Uint8Array {
  writeInt32(batch, BATCH_LENGTH_AT, batch.length - BATCH_PREFIX_BYTES)
  writeInt32(batch, CRC_AT, crc32c(batch.subarray(ATTRIBUTES_AT)))
  return batch
}

/** Writes a segment and its index, and makes both durable. */
class SegmentWriter {
  readonly index: IndexBuilder
  private readonly disk: Disk
  private readonly file: FileHandle
  private readonly indexFile: FileHandle
  private readonly pause: () => void
  private pending: Uint8Array[] = []
  private pendingBytes = 0
  private writtenBytes = 0

  constructor(disk: Disk, [path, indexPathname]: string[], baseOffset: number, pause: () => void) {
    this.disk = disk
    this.pause = pause
    this.index = new IndexBuilder(baseOffset, true)
    this.file = disk.open(path, 'create')
    try {
      this.indexFile = disk.open(indexPathname, 'create')
    } catch (error) {
      disk.close(this.file)
      throw error
    }
  }

  /** The bytes must not change until they are written. */
  add(batch: Uint8Array): void {
    this.index.note(batch)
    this.pending.push(batch)
    this.pendingBytes += batch.length
    if (this.pendingBytes < WRITE_BYTES) return
    this.flush()
    this.disk.sync(this.file)
    this.pause()
  }

  finish(): void {
    const { disk, file, indexFile } = this
    this.flush()
    // An attempt that was cut off may have left more.
    disk.truncate(file, this.writtenBytes)
    disk.sync(file)
    this.index.cut(disk, indexFile)
    this.index.seal(disk, indexFile)
  }

  close(): void {
    ignoreFailure(() => this.disk.close(this.file))
    ignoreFailure(() => this.disk.close(this.indexFile))
  }

  private flush(): void {
    if (this.pending.length > 0) this.disk.write(this.file, this.pending, this.writtenBytes)
    this.writtenBytes += this.pendingBytes
    this.pending = []
    this.pendingBytes = 0
  }
}

const HASH_WORDS = 4
const FILL_MAX = 0.75

/** Key -> newest offset, by 128 bits of the key's SHA-256: open addressing in typed arrays. */
class OffsetTable {
  private readonly hashes: Uint32Array
  /** -1: free. */
  private readonly offsets: Float64Array
  private readonly mask: number
  private readonly countMax: number
  private count = 0

  constructor(keysMax: number) {
    let size = 16
    while (size * FILL_MAX < keysMax) size *= 2
    this.mask = size - 1
    this.countMax = keysMax
    this.hashes = new Uint32Array(size * HASH_WORDS)
    this.offsets = new Float64Array(size).fill(-1)
  }

  get(key: Uint8Array): number {
    return this.offsets[this.find(key)]
  }

  /** Offsets come ascending. False if there is no room for a new key. */
  set(key: Uint8Array, offset: number): boolean {
    const at = this.find(key)
    if (this.offsets[at] < 0) {
      if (this.count === this.countMax) return false
      this.count++
      this.hashes.set(words, at * HASH_WORDS)
    }
    this.offsets[at] = offset
    return true
  }

  private find(key: Uint8Array): number {
    const digest = hash('sha256', key, 'buffer')
    for (let i = 0; i < HASH_WORDS; i++) words[i] = digest.readUInt32LE(4 * i)
    const { hashes, offsets, mask } = this
    for (let at = words[0] & mask; ; at = (at + 1) & mask) {
      if (offsets[at] < 0) return at
      const place = at * HASH_WORDS
      if (hashes[place] === words[0] && hashes[place + 1] === words[1] && hashes[place + 2] === words[2] && hashes[place + 3] === words[3])
        return at
    }
  }
}
const words = new Uint32Array(HASH_WORDS)
