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
//   4. Offsets have no gaps. Retention takes whole sealed segments, oldest first, each unlinked durably before the next.
import type { StreamError } from '../base/index.ts'
import type { Durability, ProducerInfo, RecoveryReport, TopicConfig } from './contract.ts'
import { type Disk, ignoreFailure, ignoreMissing } from './disk.ts'
import { logErrors, writeError } from './errors.ts'
import { PARTITION_CLOSED, PARTITION_DELETED, PARTITION_OPEN, PartitionState } from './partitionState.ts'
import { Producers } from './producers.ts'
import {
  ATTRIBUTES_AT,
  LAST_OFFSET_DELTA_AT,
  LEADER_EPOCH_AT,
  RECORD_COUNT_AT,
  readInt32,
  verifyBatch,
  writeInt32,
  writeInt64,
} from './recordBatch.ts'
import { RecordIndex, validateBatch } from './recordIndex.ts'
import { type Cut, openSealed, type SealedSegment, Segment } from './segment.ts'
import { indexPath, listSegments, logPath } from './segmentIndex.ts'

/** For looking at foreign batches; what it points to is let go with the next one. */
const scratch = new RecordIndex()
/** So much may have to be read again on start to know the producers. */
const SAVE_PRODUCERS_BYTES = 16 * 1024 * 1024

/** One batch on its way. After `write` and `sync` it has either its offsets or its error. */
export class Append {
  readonly bytes: Uint8Array
  first = -1
  last = -1
  error: StreamError | undefined
  /** Takes back what `Producers` noted. */
  undo: (() => void) | undefined

  /** Each record is looked at. */
  readonly isForeign: boolean

  constructor(bytes: Uint8Array, isForeign = false) {
    this.bytes = bytes
    this.isForeign = isForeign
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

  /** Makes the first, empty segment of a new partition in its folder, which exists. */
  static create(disk: Disk, folder: string): void {
    Segment.create(disk, folder, 0, true).close()
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
        append.error = this.check(append)
        const sent = append.error ?? this.sentBefore(append)
        if (sent === undefined) {
          if (this.mustRoll(segment, groupBytes, append.bytes.length, nowMs)) {
            this.writeGroup(segment, group, nowMs)
            group = []
            groupBytes = 0
            this.roll()
            segment = this.openActive(nowMs)
          }
          setOffsets(append, nextOffset)
          append.undo = this.producers.note(append.bytes, nowMs)
          nextOffset = append.last + 1
          group.push(append)
          groupBytes += append.bytes.length
        }
        done++
      }
      this.writeGroup(segment, group, nowMs)
    } catch (thrown) {
      const error = writeError(thrown, this.folder)
      for (const append of [...group, ...appends.slice(done)]) append.error ??= error
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

  /** Makes what was written durable and shows it to readers, or gives each append since the last sync its error. */
  sync(): void {
    if (this.unsynced.length === 0 || this.active === undefined) return
    try {
      this.makeDurable(this.active)
    } catch {
      // The appends have their error.
    }
  }

  /** Deletes sealed segments that are too old or too much. Returns their bytes. */
  enforceRetention(nowMs: number): number {
    this.producers.forgetOld(nowMs)
    if (this.failed) return 0
    this.retryAborted()
    const isKept = this.config['cleanup.policy'] !== 'delete'
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
      this.startOffset = Math.max(this.startOffset, oldest.nextOffset)
      // Published first: a reader that finds the file gone knows why. One that has it open reads it to its end.
      this.publish(PARTITION_OPEN)
      this.deleteFiles(oldest.baseOffset)
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
    this.publish(PARTITION_DELETED)
  }

  private recover(nowMs: number): RecoveryReport[] {
    const { disk, folder } = this
    const reports: RecoveryReport[] = []
    const bases = listSegments(disk, folder)
    const lastBase = bases.at(-1)
    if (lastBase === undefined) throw logErrors('LOG_METADATA_DAMAGED', { path: folder, reason: 'the partition has no segment' })
    for (const [i, baseOffset] of bases.slice(0, -1).entries()) {
      const { sealed, damage } = openSealed(disk, folder, baseOffset)
      const nextBase = bases[i + 1]
      if (damage) reports.push(this.report('damaged', logPath(folder, baseOffset), damage))
      else if (sealed.nextOffset !== nextBase) {
        const reason = `offsets ${sealed.nextOffset} to ${nextBase - 1} are missing`
        reports.push(this.report('damaged', folder, { reason, position: 0, offset: sealed.nextOffset }))
      }
      this.addSealed({ ...sealed, nextOffset: nextBase })
    }
    const { segment, cut } = Segment.open(disk, folder, lastBase, { synced: this.synced, nowMs })
    this.active = segment
    if (cut) reports.push(this.report(cut.missingBytes > 0 ? 'damaged' : 'cut', cut.path, cut))
    for (const name of disk.list(folder)) {
      if (/^\d{20}\.index$/.test(name) && !bases.includes(Number(name.slice(0, 20)))) ignoreMissing(() => disk.unlink(`${folder}/${name}`))
    }
    disk.syncFolder(folder)
    this.durableOffset = segment.nextOffset
    this.startOffset = Math.min(Math.max(bases[0], this.options.startOffset ?? 0), this.durableOffset)
    this.durablePosition = segment.sizeBytes
    this.producers.load(this.startOffset, this.durableOffset, nowMs)
    this.publish(PARTITION_OPEN)
    return reports
  }

  private report(kind: RecoveryReport['kind'], path: string, found: Partial<Cut> & { reason: string; position: number; offset: number }) {
    const { topic, partition } = this.options
    const { reason, position, offset, cutBytes = 0 } = found
    return { topic, partition, path, kind, cutBytes, position, offset, reason }
  }

  private check({ bytes, isForeign }: Append): StreamError | undefined {
    const limitBytes = this.config['max.message.bytes']
    if (bytes.length > limitBytes) {
      return logErrors('LOG_BATCH_TOO_LARGE', { topic: this.options.topic, sizeBytes: bytes.length, limitBytes })
    }
    try {
      if (isForeign) {
        if (validateBatch(bytes, scratch) > scratch.count) {
          return logErrors('LOG_BATCH_INVALID', { position: ATTRIBUTES_AT, reason: "control batches are the log's to write" })
        }
        return undefined
      }
      // A damaged batch in the log would make recovery cut off everything behind it.
      const sizeBytes = verifyBatch(bytes, 0, bytes.length)
      const recordCount = readInt32(bytes, RECORD_COUNT_AT)
      if (sizeBytes === bytes.length && recordCount > 0 && recordCount === readInt32(bytes, LAST_OFFSET_DELTA_AT) + 1) return undefined
      return logErrors('LOG_BATCH_INVALID', { position: 0, reason: `not one batch of ${recordCount} records in ${bytes.length} bytes` })
    } catch (error) {
      return error as StreamError
    }
  }

  private mustRoll(segment: Segment, groupBytes: number, appendBytes: number, nowMs: number): boolean {
    const sizeBytes = segment.sizeBytes + groupBytes
    if (sizeBytes === 0) return false
    if (sizeBytes + appendBytes > this.config['segment.bytes']) return true
    return segment.firstAppendMs !== undefined && nowMs - segment.firstAppendMs >= this.config['segment.ms']
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
    this.makeDurable(segment, true)
    segment.seal()
    const { baseOffset, sizeBytes, nextOffset, maxTimestampMs } = segment
    this.addSealed({ baseOffset, sizeBytes, nextOffset, maxTimestampMs })
    segment.close()
    this.active = undefined
  }

  private makeDurable(segment: Segment, always = false): void {
    if (this.synced || always) {
      try {
        segment.sync()
      } catch (error) {
        const failure = logErrors('LOG_SYNC_FAILED', { path: logPath(this.folder, segment.baseOffset), reason: (error as Error).message })
        this.fail(failure)
        throw failure
      }
    }
    this.unsynced = []
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

  private saveProducers(): void {
    this.producers.save(this.durableOffset)
    this.unsavedBytes = 0
  }

  private fail(error: StreamError): void {
    for (const append of this.unsynced) append.error = error
    undo(this.unsynced)
    this.unsynced = []
    if (this.active === undefined) return
    this.failed = { baseOffset: this.active.baseOffset, durablePosition: this.durablePosition }
    this.active.close()
    this.active = undefined
  }

  private deleteFiles(baseOffset: number): void {
    ignoreMissing(() => this.disk.unlink(logPath(this.folder, baseOffset)))
    ignoreMissing(() => this.disk.unlink(indexPath(this.folder, baseOffset)))
    this.disk.syncFolder(this.folder)
  }

  private addSealed(segment: SealedSegment): void {
    this.sealed.push(segment)
    this.sealedBytes += segment.sizeBytes
  }

  private publish(status: number): void {
    const { startOffset, durableOffset: endOffset, durablePosition } = this
    const growing = this.active ?? this.failed
    const activeBaseOffset = growing?.baseOffset ?? this.sealed.at(-1)?.baseOffset ?? 0
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

function setOffsets(append: Append, first: number): void {
  const { bytes } = append
  append.first = first
  append.last = first + readInt32(bytes, LAST_OFFSET_DELTA_AT)
  writeInt64(bytes, 0, first)
  writeInt32(bytes, LEADER_EPOCH_AT, 0)
}
