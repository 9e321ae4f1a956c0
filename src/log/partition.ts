// One partition on the disk: appends in groups, rolls segments, deletes old ones, recovers. Synchronous and without threads or clock,
// so that a simulator can run it.
//
//            write ok            sync ok
//   open ------------> written ------------> durable, published, acknowledged
//    ^ \                  |
//    |  `- write fails:   | sync fails: what was written since the last sync is refused, its bytes are cut off again
//    |     cut back,      v
//    `---- refused     failed --- next append: cut to the durable position, open again, sync ---> open
//
// Invariants
//   1. An append is acknowledged only if the sync after its write succeeded. A sync that failed is never repeated for the same bytes:
//      after a failure the kernel may call lost pages clean, and a second sync would confirm nothing.
//   2. Readers are shown durable bytes only. Neither they nor their offsets ever change.
//   3. The active segment is the last one. A segment is sealed, with all its bytes and its index durable, before the next is made.
//   4. Offsets have no gaps but those that compaction leaves. Retention takes whole sealed segments, oldest first, each unlinked durably
//      before the next.
//   5. Compaction replaces sealed segments by one with its own name: it is durable, with its index, before it is named, and named durably
//      before those that it replaces are unlinked. A start that finds both takes the new one.
import type { StreamError } from '../base/index.ts'
import { COMPACTING_SUFFIX, type CompactedSegment, type CompactionJob, type CompactionOutcome } from './compaction.ts'
import { CompactionProgress } from './compactionProgress.ts'
import type { Durability, ProducerInfo, RecoveryReport, TopicConfig, TopicDescriptor } from './contract.ts'
import { crc32c } from './crc32c.ts'
import { type Disk, ignoreFailure, ignoreMissing } from './disk.ts'
import { logErrors, writeError } from './errors.ts'
import type { Journal } from './journal.ts'
import type { JournalEntry } from './journalBlock.ts'
import { PARTITION_CLOSED, PARTITION_DELETED, PARTITION_OPEN, PartitionState } from './partitionState.ts'
import { Producers } from './producers.ts'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  batchHeaderOf,
  CRC_AT,
  LAST_OFFSET_DELTA_AT,
  LEADER_EPOCH_AT,
  LOG_APPEND_TIME_FLAG,
  MAX_TIMESTAMP_AT,
  RECORD_COUNT_AT,
  readInt16,
  readInt32,
  verifyBatch,
  writeInt16,
  writeInt32,
  writeInt64,
} from './recordBatch.ts'
import { checkRecords, type RecordRules } from './recordChecks.ts'
import { type Cut, openSealed, type SealedSegment, Segment } from './segment.ts'
import {
  indexPath,
  listAllSegmentFiles,
  listSegmentFiles,
  logPath,
  SEGMENT_INDEX_NAME,
  type SegmentFile,
  segmentName,
} from './segmentIndex.ts'

/** So much may have to be read again on start to know the producers. */
const SAVE_PRODUCERS_BYTES = 16 * 1024 * 1024

/** One batch on its way. After `write` and `sync` it has either its offsets or its error. */
export class Append {
  readonly bytes: Uint8Array
  first = -1
  last = -1
  error: StreamError | undefined
  /** The time that the log gave it; NaN where the producer's counts. */
  logAppendTimeMs = Number.NaN
  /** When it was written, epoch ms. */
  atMs = 0
  /** Takes back what `Producers` noted. */
  undo: (() => void) | undefined

  /** Each record is looked at. */
  readonly isForeign: boolean
  /** What its records were found to follow. */
  readonly checked: RecordRules | undefined

  constructor(bytes: Uint8Array, isForeign = false, checked?: RecordRules) {
    this.bytes = bytes
    this.isForeign = isForeign
    this.checked = checked
  }
}

export interface PartitionOptions {
  disk: Disk
  folder: string
  topic: string
  partition: number
  durability: Durability
  /** Records below it were deleted on request. */
  startOffset?: number
  /** What makes groups durable, if not the segment's own file. */
  journal?: Journal
}

export class Partition {
  readonly state = new PartitionState()
  readonly folder: string
  config: TopicConfig
  private readonly disk: Disk
  private readonly options: PartitionOptions
  private readonly synced: boolean
  private sealed: SealedSegment[] = []
  private sealedBytes = 0
  /** Absent between a seal and the next append, and while failed. */
  private active: Segment | undefined
  /** Where the active segment was durable when the disk failed. */
  private failed: { baseOffset: number; durablePosition: number } | undefined
  private startOffset = 0
  private durableOffset = 0
  private durablePosition = 0
  private readonly producers: Producers
  private readonly compaction = new CompactionProgress()
  /** Bytes appended since the producers were saved. */
  private unsavedBytes = 0
  /** Written and not yet synced. */
  private unsynced: Append[] = []

  private constructor(options: PartitionOptions, config: TopicConfig) {
    this.options = options
    this.disk = options.disk
    this.folder = options.folder
    this.config = config
    this.synced = options.durability === 'fsync'
    this.producers = new Producers(options.disk, options.folder)
  }

  /** A new partition with its first, empty segment, durable in its folder, which exists. */
  static create(options: PartitionOptions, config: TopicConfig, nowMs: number): Partition {
    const partition = new Partition(options, config)
    partition.producers.load(0, 0, nowMs)
    partition.active = Segment.create(options.disk, options.folder, 0, partition.synced)
    partition.publish(PARTITION_OPEN)
    return partition
  }

  /** Opens a partition, mends its tail and its indexes, and reports what it found. */
  static open(options: PartitionOptions, config: TopicConfig, nowMs: number): { partition: Partition; reports: RecoveryReport[] } {
    const partition = new Partition(options, config)
    try {
      return { partition, reports: partition.recover(nowMs) }
    } catch (error) {
      partition.active?.close()
      throw writeError(error, options.folder)
    }
  }

  /** The offset after the last durable record. */
  get endOffset(): number {
    return this.durableOffset
  }

  /** The file that grows, and how much of it is durable. */
  get growing(): { name: string; durablePosition: number } | undefined {
    const segment = this.active ?? this.failed
    return segment && { name: `${segmentName(segment.baseOffset)}.log`, durablePosition: this.durablePosition }
  }

  get range(): { startOffset: number; endOffset: number } {
    return { startOffset: this.startOffset, endOffset: this.durableOffset }
  }

  /** The producers that the partition knows, with what is durable of them: call it between two commits. */
  describeProducers(): ProducerInfo[] {
    return this.producers.describe()
  }

  /** Forgets the records below an offset, which the caller has made durable. Whole segments go with the next look at retention. */
  deleteRecords(beforeOffset: number): void {
    this.startOffset = Math.max(this.startOffset, beforeOffset)
    this.publish(PARTITION_OPEN)
    this.producers.forgetBefore(this.startOffset)
  }

  /** Assigns offsets to the appends and writes them; those that cannot be written get their error. Call `sync` next. */
  write(appends: readonly Append[], nowMs: number): void {
    let group: Append[] = []
    let groupBytes = 0
    let done = 0
    try {
      let segment = this.openActive(nowMs)
      let { nextOffset } = segment
      for (const append of appends) {
        append.error = this.check(append, nowMs)
        const sent = append.error ?? this.sentBefore(append)
        if (sent === undefined) {
          if (this.mustRoll(segment, groupBytes, append.bytes.length, nowMs)) {
            this.writeGroup(segment, group, nowMs)
            group = []
            groupBytes = 0
            this.roll()
            segment = this.openActive(nowMs)
          }
          if (this.config['message.timestamp.type'] === 'LogAppendTime') setAppendTime(append, nowMs)
          setOffsets(append, nextOffset)
          append.undo = this.producers.note(append.bytes, nowMs)
          append.atMs = nowMs
          nextOffset = append.last + 1
          group.push(append)
          groupBytes += append.bytes.length
        }
        done++
      }
      this.writeGroup(segment, group, nowMs)
    } catch (thrown) {
      const error = writeError(thrown, this.folder)
      for (const append of [...group, ...appends.slice(done)]) {
        append.error ??= error
        this.producers.refuse(append.bytes, nowMs)
      }
      // Of batches that were sent twice, the first is not in the log either.
      const endOffset = this.active?.nextOffset ?? this.durableOffset
      for (const append of appends) if (append.first >= endOffset) append.error ??= error
    }
  }

  /** Whether its producer sent the batch before: then it has the offsets that it got then, or an error. */
  private sentBefore(append: Append): true | undefined {
    try {
      const sent = this.producers.check(append.bytes)
      if (!sent) return undefined
      append.first = sent.firstOffset
      append.last = sent.lastOffset
      // Acknowledged when the first one is.
      if (append.first >= this.durableOffset) this.unsynced.push(append)
    } catch (error) {
      append.error = error as StreamError
    }
    return true
  }

  /** What `sync` would make durable, for the journal; undefined: nothing. */
  get unconfirmed(): JournalEntry | undefined {
    const { active, durablePosition: position } = this
    if (!active || active.sizeBytes === position) return undefined
    return { path: this.journalName(active), position, buffers: active.unconfirmed, sizeBytes: active.sizeBytes - position }
  }

  private journalName({ baseOffset }: { baseOffset: number }): string {
    return this.options.journal?.nameOf(logPath(this.folder, baseOffset)) ?? ''
  }

  /**
   * Makes what was written durable and shows it to readers, or gives each append since the last sync its error.
   *
   * @param isJournaled  it is durable already
   */
  sync(isJournaled = false): void {
    if (this.unsynced.length === 0 || this.active === undefined) return
    try {
      this.makeDurable(this.active, isJournaled ? 'journaled' : 'as needed')
    } catch {
      // The appends have their error.
    }
  }

  /** Deletes sealed segments that are too old or too much. Returns their bytes. */
  enforceRetention(nowMs: number): number {
    this.producers.forgetOld(nowMs)
    if (this.failed) return 0
    this.retryAborted()
    const isKept = this.config['cleanup.policy'] === 'compact'
    const retentionMs = isKept ? -1 : this.config['retention.ms']
    const retentionBytes = isKept ? -1 : this.config['retention.bytes']
    const isOld = (segment: { maxTimestampMs: number }) => retentionMs >= 0 && nowMs - segment.maxTimestampMs > retentionMs
    const { active } = this
    // Kafka's meaning: a segment that grows is sealed when even its newest record is too old, so that a quiet topic empties too.
    if (active && active.sizeBytes > 0 && this.unsynced.length === 0 && isOld(active) && this.sealed.every(isOld)) {
      // On a full disk this fails, and the space comes from the sealed ones.
      ignoreFailure(() => {
        this.roll()
        this.openActive(nowMs)
      })
    }
    let freedBytes = 0
    // One segment always stays: the name of the last one is what remembers the next offset.
    while (this.sealed.length > (this.active ? 0 : 1)) {
      const [oldest] = this.sealed
      const totalBytes = this.sealedBytes + (this.active?.sizeBytes ?? 0)
      const tooMuch = retentionBytes >= 0 && totalBytes - oldest.sizeBytes >= retentionBytes
      const isDeleted = oldest.nextOffset <= this.startOffset
      if (!tooMuch && !isDeleted && !isOld(oldest)) break
      // What a producer may send again has to be known without the segment. Where that cannot be written now, it stays until it can.
      if (freedBytes === 0 && !this.producers.isEmpty && !this.saveProducers(true)) break
      this.startOffset = Math.max(this.startOffset, oldest.nextOffset)
      // Published first: a reader that finds the file gone knows why. One that has it open reads it to its end.
      this.publish(PARTITION_OPEN)
      this.deleteFiles([oldest.file])
      this.sealed.shift()
      this.sealedBytes -= oldest.sizeBytes
      freedBytes += oldest.sizeBytes
    }
    if (freedBytes > 0) {
      this.publish(PARTITION_OPEN)
      this.producers.forgetBefore(this.startOffset)
    }
    return freedBytes
  }

  /** What compaction has to do here now, if anything. */
  compactionJob(topic: TopicDescriptor, nowMs: number, keysMax: number): CompactionJob | undefined {
    if (!this.isCompacted || this.failed) return undefined
    const { active, compaction, config, options, startOffset } = this
    if (active && active.sizeBytes > 0 && this.unsynced.length === 0 && nowMs - (active.firstAppendMs ?? nowMs) >= this.segmentMs) {
      ignoreFailure(() => {
        this.roll()
        this.openActive(nowMs)
      })
    }
    // The last file stays as it is: its name is what remembers the next offset.
    const sealed = this.active ? this.sealed : this.sealed.slice(0, -1)
    const sources = compaction.due(this.disk, this.folder, sealed, config, nowMs)
    if (!sources) return undefined
    return {
      topic,
      partition: options.partition,
      sources: sources.map(({ file, nextOffset, sizeBytes }) => ({ file, nextOffset, sizeBytes })),
      startOffset,
      firstDirtyOffset: compaction.firstDirtyOffset,
      horizonMs: compaction.horizonMs,
      limitOffset: sources.at(-1)!.nextOffset,
      producers: this.producers.lastOffsets(),
      nowMs,
      deleteRetentionMs: config['delete.retention.ms'],
      segmentBytes: config['segment.bytes'],
      keysMax,
    }
  }

  /**
   * Puts a compacted segment in the place of its sources. Returns the bytes that this freed; undefined if retention took a source
   * meanwhile: the compacted segment is then thrown away.
   */
  replaceSegments({ file, sources, sizeBytes, maxTimestampMs }: CompactedSegment): number | undefined {
    const { disk, folder, sealed } = this
    const paths = [indexPath(folder, file), logPath(folder, file)]
    const at = sealed.findIndex((one) => segmentName(one.file) === segmentName(sources[0]))
    if (at < 0 || !sources.every((source, i) => sealed[at + i] && segmentName(sealed[at + i].file) === segmentName(source))) {
      for (const path of paths) ignoreFailure(() => disk.unlink(path + COMPACTING_SUFFIX))
      return undefined
    }
    // The index first: who finds the log finds its index too.
    for (const path of paths) disk.rename(path + COMPACTING_SUFFIX, path)
    const last = sealed[at + sources.length - 1]
    const newestMs = maxTimestampMs >= 0 ? maxTimestampMs : last.maxTimestampMs
    const replaced = sealed.splice(at, sources.length, { file, sizeBytes, nextOffset: last.nextOffset, maxTimestampMs: newestMs })
    const freedBytes = replaced.reduce((sum, one) => sum + one.sizeBytes, 0) - sizeBytes
    this.sealedBytes -= freedBytes
    this.publish(PARTITION_OPEN)
    // Should this fail, both stay until the next start, which takes the new one.
    disk.syncFolder(folder)
    this.deleteFiles(sources)
    return freedBytes
  }

  finishCompaction(outcome: CompactionOutcome): void {
    this.compaction.finish(this.disk, this.folder, outcome)
  }

  /** Makes everything durable, whatever the durability option, and closes the files. Readers keep what there is. */
  close(): void {
    this.sync()
    if (this.active && !this.synced) ignoreFailure(() => this.active?.sync())
    if (this.unsavedBytes > 0) this.saveProducers()
    this.active?.close()
    this.active = undefined
    this.publish(PARTITION_CLOSED)
  }

  /** Tells readers that the topic is gone and closes the files; the folder is the caller's to remove. */
  markDeleted(): void {
    this.active?.close()
    this.active = undefined
    this.options.journal?.forget(this.folder)
    this.publish(PARTITION_DELETED)
  }

  private recover(nowMs: number): RecoveryReport[] {
    const { disk, folder } = this
    const reports: RecoveryReport[] = []
    const files = listSegmentFiles(disk, folder)
    const last = files.at(-1)
    if (last === undefined) throw logErrors('LOG_METADATA_DAMAGED', { path: folder, reason: 'the partition has no segment' })
    const lastBase = last.nextOffset ?? last.baseOffset
    for (const [i, file] of files.entries()) {
      if (i === files.length - 1 && last.nextOffset === undefined) break
      const { sealed, damage } = openSealed(disk, folder, file)
      const nextBase = files[i + 1]?.baseOffset ?? lastBase
      if (damage) reports.push(this.report('damaged', logPath(folder, file), damage))
      else if (sealed.nextOffset !== nextBase) {
        const reason = `offsets ${sealed.nextOffset} to ${nextBase - 1} are missing`
        reports.push(this.report('damaged', folder, { reason, position: 0, offset: sealed.nextOffset }))
      }
      this.addSealed({ ...sealed, nextOffset: nextBase })
    }
    const { segment, cut } = Segment.open(disk, folder, lastBase, { synced: this.synced, nowMs })
    this.active = segment
    if (cut) reports.push(this.report(cut.missingBytes > 0 ? 'damaged' : 'cut', cut.path, cut))
    const kept = new Set([...files.map(segmentName), segmentName(lastBase)])
    disk.syncFolder(folder)
    for (const file of listAllSegmentFiles(disk, folder)) {
      // Replaced by a compacted one, whose name is durable now: only the unlinking is left.
      if (!kept.has(segmentName(file))) ignoreMissing(() => disk.unlink(logPath(folder, file)))
    }
    for (const name of disk.list(folder)) {
      const [, ofSegment] = SEGMENT_INDEX_NAME.exec(name) ?? []
      const isStray = name.endsWith(COMPACTING_SUFFIX) || (ofSegment !== undefined && !kept.has(ofSegment))
      if (isStray) ignoreMissing(() => disk.unlink(`${folder}/${name}`))
    }
    disk.syncFolder(folder)
    this.durableOffset = segment.nextOffset
    this.startOffset = Math.min(Math.max(files[0].baseOffset, this.options.startOffset ?? 0), this.durableOffset)
    this.durablePosition = segment.sizeBytes
    this.producers.load(this.startOffset, this.durableOffset, nowMs)
    this.compaction.load(disk, folder)
    this.publish(PARTITION_OPEN)
    return reports
  }

  private report(kind: RecoveryReport['kind'], path: string, found: Partial<Cut> & { reason: string; position: number; offset: number }) {
    const { topic, partition } = this.options
    const { reason, position, offset, cutBytes = 0 } = found
    return { topic, partition, path, kind, cutBytes, position, offset, reason }
  }

  /** What is wanted of the records of a batch. */
  rulesAt(nowMs: number, isForeign: boolean): RecordRules {
    const { config, isCompacted } = this
    const { topic } = this.options
    const rules = { topic, isForeign, isCompacted, earliestMs: Number.NEGATIVE_INFINITY, latestMs: Number.POSITIVE_INFINITY }
    if (config['message.timestamp.type'] === 'LogAppendTime') return rules
    rules.earliestMs = nowMs - config['message.timestamp.before.max.ms']
    rules.latestMs = nowMs + config['message.timestamp.after.max.ms']
    return rules
  }

  private check({ bytes, isForeign, checked }: Append, nowMs: number): StreamError | undefined {
    const limitBytes = this.config['max.message.bytes']
    if (bytes.length > limitBytes) {
      return logErrors('LOG_BATCH_TOO_LARGE', { topic: this.options.topic, sizeBytes: bytes.length, limitBytes })
    }
    try {
      const isControl = bytes.length >= BATCH_HEADER_BYTES && batchHeaderOf(bytes, 0).isControl
      const isChecked = checked !== undefined && checked.isCompacted === this.isCompacted
      if (!isChecked && (isForeign || (this.isCompacted && !isControl))) return checkRecords(bytes, this.rulesAt(nowMs, isForeign))
      // A damaged batch in the log would make recovery cut off everything behind it.
      const sizeBytes = verifyBatch(bytes, 0, bytes.length)
      const recordCount = readInt32(bytes, RECORD_COUNT_AT)
      if (sizeBytes === bytes.length && recordCount > 0 && recordCount === readInt32(bytes, LAST_OFFSET_DELTA_AT) + 1) return undefined
      return logErrors('LOG_BATCH_INVALID', { position: 0, reason: `not one batch of ${recordCount} records in ${bytes.length} bytes` })
    } catch (error) {
      return error as StreamError
    }
  }

  /** After which age a segment is sealed: what grows cannot be compacted. */
  private get segmentMs(): number {
    return this.isCompacted ? Math.min(this.config['segment.ms'], this.config['max.compaction.lag.ms']) : this.config['segment.ms']
  }

  private get isCompacted(): boolean {
    return this.config['cleanup.policy'] !== 'delete'
  }

  private mustRoll(segment: Segment, groupBytes: number, appendBytes: number, nowMs: number): boolean {
    const sizeBytes = segment.sizeBytes + groupBytes
    if (sizeBytes === 0) return false
    if (sizeBytes + appendBytes > this.config['segment.bytes']) return true
    return segment.firstAppendMs !== undefined && nowMs - segment.firstAppendMs >= this.segmentMs
  }

  private writeGroup(segment: Segment, group: Append[], nowMs: number): void {
    if (group.length === 0) return
    try {
      segment.append(
        group.map((append) => append.bytes),
        nowMs,
      )
      this.unsynced.push(...group)
      for (const { bytes } of group) this.unsavedBytes += bytes.length
    } catch (thrown) {
      const error = writeError(thrown, this.folder)
      undo(group)
      try {
        segment.cutBack()
        // Else a power cut could bring back, whole, a batch that is refused now, even behind others that come in its place.
        this.syncFile(segment)
      } catch {
        // The file may now have half a batch behind its end: nothing may be written after it.
        this.fail(error)
      }
      throw error
    }
  }

  /** The segment to append to: made, or after a failure of the disk mended, if need be. */
  private openActive(nowMs: number): Segment {
    if (this.active) return this.active
    if (this.failed) {
      const { baseOffset, durablePosition: limitPosition } = this.failed
      try {
        this.options.journal?.restore(this.journalName(this.failed))
        const { segment } = Segment.open(this.disk, this.folder, baseOffset, { synced: this.synced, nowMs, limitPosition })
        if (segment.sizeBytes !== limitPosition) {
          segment.close()
          throw new Error(`only ${segment.sizeBytes} of ${limitPosition} durable bytes can be read`)
        }
        this.active = segment
        this.failed = undefined
      } catch (error) {
        const reason = (error as Error).message
        throw logErrors('LOG_PARTITION_FAILED', { path: this.folder, reason }, { cause: error })
      }
      return this.active
    }
    this.active = Segment.create(this.disk, this.folder, this.durableOffset, this.synced)
    this.durablePosition = 0
    this.publish(PARTITION_OPEN)
    return this.active
  }

  /** Seals the active segment. The next one is made by `openActive`. */
  private roll(): void {
    const segment = this.active
    if (segment === undefined) return
    this.makeDurable(segment, 'always')
    try {
      segment.seal()
    } catch (error) {
      // Its index may say already that it ends here: nothing may be written behind that, before the index is made again.
      const failure = writeError(error, this.folder)
      this.fail(failure)
      throw failure
    }
    const { baseOffset, sizeBytes, nextOffset, maxTimestampMs } = segment
    this.addSealed({ file: { baseOffset, generation: 0, nextOffset: undefined }, sizeBytes, nextOffset, maxTimestampMs })
    segment.close()
    this.active = undefined
  }

  private syncFile(segment: Segment): void {
    const { journal } = this.options
    if (journal) journal.sync(this.journalName(segment), () => segment.sync())
    else segment.sync()
  }

  private makeDurable(segment: Segment, how: 'as needed' | 'always' | 'journaled'): void {
    if (how !== 'journaled' && (this.synced || how === 'always')) {
      try {
        this.syncFile(segment)
      } catch (error) {
        const failure = logErrors('LOG_SYNC_FAILED', { path: logPath(this.folder, segment.baseOffset), reason: (error as Error).message })
        this.fail(failure)
        throw failure
      }
    }
    this.unsynced = []
    segment.confirm()
    this.durableOffset = segment.nextOffset
    this.durablePosition = segment.sizeBytes
    segment.writeIndex()
    this.producers.writeAborted()
    if (this.unsavedBytes >= SAVE_PRODUCERS_BYTES) this.saveProducers()
    this.publish(PARTITION_OPEN)
  }

  /** Entries of the index of aborted transactions that could not be written when they were due. */
  private retryAborted(): void {
    if (this.producers.writeAborted()) this.publish(PARTITION_OPEN)
  }

  /** Whether it is written. */
  private saveProducers(isDurable = false): boolean {
    this.unsavedBytes = 0
    return this.unsynced.length === 0 && this.producers.save(this.durableOffset, isDurable)
  }

  private fail(error: StreamError): void {
    for (const append of this.unsynced) append.error = error
    undo(this.unsynced)
    for (const append of this.unsynced) this.producers.refuse(append.bytes, append.atMs)
    this.unsynced = []
    if (this.active === undefined) return
    const { active, durablePosition } = this
    this.failed = { baseOffset: active.baseOffset, durablePosition }
    // At once, so that a process that is killed now does not leave what its writers were told is refused.
    ignoreFailure(() => active.cutBack(durablePosition))
    this.active.close()
    this.active = undefined
  }

  private deleteFiles(files: readonly SegmentFile[]): void {
    for (const file of files) {
      ignoreMissing(() => this.disk.unlink(logPath(this.folder, file)))
      ignoreMissing(() => this.disk.unlink(indexPath(this.folder, file)))
    }
    this.disk.syncFolder(this.folder)
  }

  private addSealed(segment: SealedSegment): void {
    this.sealed.push(segment)
    this.sealedBytes += segment.sizeBytes
  }

  private publish(status: number): void {
    const { startOffset, durableOffset: endOffset, durablePosition } = this
    const growing = this.active ?? this.failed
    const activeBaseOffset = growing?.baseOffset ?? this.sealed.at(-1)?.file.baseOffset ?? 0
    const sizeBytes = this.sealedBytes + (growing ? durablePosition : 0)
    const lastStableOffset = Math.max(startOffset, Math.min(endOffset, this.producers.firstUnstableOffset))
    const { abortedCount } = this.producers
    this.state.publish({
      status,
      endOffset,
      durablePosition,
      activeBaseOffset,
      startOffset,
      sizeBytes,
      lastStableOffset,
      abortedCount,
    })
  }
}

/** Takes back, newest first, what the producers of these appends are known for. */
function undo(appends: readonly Append[]): void {
  for (const append of appends.toReversed()) append.undo?.()
}

/** The attribute and the time are under the batch's CRC; the records' own times stay, and no longer count. */
function setAppendTime(append: Append, nowMs: number): void {
  const { bytes } = append
  writeInt16(bytes, ATTRIBUTES_AT, readInt16(bytes, ATTRIBUTES_AT) | LOG_APPEND_TIME_FLAG)
  writeInt64(bytes, MAX_TIMESTAMP_AT, nowMs)
  writeInt32(bytes, CRC_AT, crc32c(bytes.subarray(ATTRIBUTES_AT)))
  append.logAppendTimeMs = nowMs
}

function setOffsets(append: Append, first: number): void {
  const { bytes } = append
  append.first = first
  append.last = first + readInt32(bytes, LAST_OFFSET_DELTA_AT)
  writeInt64(bytes, 0, first)
  writeInt32(bytes, LEADER_EPOCH_AT, 0)
}
