// What a partition knows of its producers: the newest sequences of each, so that a batch sent twice is in the log once, and where its open
// transaction begins.
//
// Invariants
//   1. A batch whose sequence is one of the last five of its producer gets the offsets that it had; one that leaves a gap is refused; one of
//      an older epoch is refused. That holds also behind a batch that the disk refused.
//   2. The state follows from the log alone: a snapshot (`<end offset>.producers`) only saves reading all of it on start. One that is torn,
//      damaged or beyond the end of the log is not used; one that the disk refuses to read is tried again first. Before retention takes a part
//      of the log, one is made durable.
//   3. An entry never changes, it is replaced: undoing an append puts the old one back.
//   4. A transaction begins with the first transactional batch of its producer and ends with the next marker of that producer. Nothing below
//      `firstUnstableOffset` belongs to an open transaction, or to an aborted one that the index does not have yet.
// Source: KIP-98, KIP-890; Kafka keeps five batches too, because a client has at most five requests in flight.

import { isStreamError } from '../base/index.ts'
import { type AbortedFile, AbortedIndex, type AbortedTransaction } from './abortedIndex.ts'
import { readAgain, readFile } from './checkedFile.ts'
import type { ProducerInfo } from './contract.ts'
import { crc32c } from './crc32c.ts'
import { type Disk, ignoreFailure } from './disk.ts'
import { logErrors, readError } from './errors.ts'
import { MARKER_BYTES, readMarker } from './marker.ts'
import {
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchSizeOf,
  CONTROL_FLAG,
  LAST_OFFSET_DELTA_AT,
  nextOffsetOf,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  readInt16,
  readInt32,
  readInt64,
  TRANSACTIONAL_FLAG,
} from './recordBatch.ts'
import { listSegmentFiles, logPath, readIndex, segmentName } from './segmentIndex.ts'

const BATCHES_KEPT = 5
const SEQUENCE_MAX = 2 ** 31 - 1
/** Of batches that our own coordinators write for a producer. */
const NO_SEQUENCE = -1
/** A producer that is silent longer is forgotten, as with Kafka; but only where there are many: a clock that is set forward forgets nobody. */
const FORGET_MS = 24 * 3600 * 1000
const PRODUCERS_KEPT = 1_000
const SNAPSHOTS_KEPT = 2
const SCAN_BYTES = 1024 * 1024
const SUFFIX = '.producers'

interface SentBatch {
  firstSequence: number
  lastSequence: number
  firstOffset: number
  lastOffset: number
}
interface Producer {
  epoch: number
  lastMs: number
  /** The newest ones, oldest first; none after a marker that raised the epoch. */
  batches: readonly SentBatch[]
  /** Offset of the open transaction's first record. */
  openOffset?: number
  /** Of the newest marker's writer. */
  coordinatorEpoch?: number
  /** Of one that has nothing in the log because its first batch was refused: the sequence that must come first. */
  expected?: number
}

export class Producers {
  private byId = new Map<number, Producer>()
  /** Where the open transactions begin, by producer. */
  private readonly open = new Map<number, number>()
  /** Aborted, in the order of their markers, and not in the index yet. */
  private aborted: AbortedTransaction[] = []
  private readonly index: AbortedIndex
  private readonly disk: Disk
  private readonly folder: string
  /** The newest snapshot that is written. It is never written over: a crash could leave neither it nor the log that it stands for. */
  private saved: { endOffset: number; isDurable: boolean } | undefined

  constructor(disk: Disk, folder: string) {
    this.disk = disk
    this.folder = folder
    this.index = new AbortedIndex(disk, folder)
  }

  /** How many aborted transactions the index has, or has had. */
  get abortedCount(): number {
    return this.index.totalCount
  }

  /** Readers of committed records must stop here. Infinity: nothing is open. */
  get firstUnstableOffset(): number {
    let first = Number.POSITIVE_INFINITY
    for (const { firstOffset } of this.aborted) first = Math.min(first, firstOffset)
    for (const offset of this.open.values()) first = Math.min(first, offset)
    return first
  }

  /**
   * What a batch is to its producer: new (undefined), or one that is in the log already.
   *
   * @throws LOG_PRODUCER_FENCED, LOG_PRODUCER_SEQUENCE, LOG_PRODUCER_IN_TRANSACTION
   */
  check(batch: Uint8Array): SentBatch | undefined {
    const producerId = readInt64(batch, PRODUCER_ID_AT)
    if (producerId < 0) return undefined
    const known = this.byId.get(producerId)
    const epoch = readInt16(batch, PRODUCER_EPOCH_AT)
    if (!known) return undefined
    if (epoch < known.epoch) throw logErrors('LOG_PRODUCER_FENCED', { producerId, epoch, knownEpoch: known.epoch })
    const attributes = readInt16(batch, ATTRIBUTES_AT)
    if (attributes & CONTROL_FLAG) return undefined
    const [first, last] = sequencesOf(batch)
    const same =
      first !== NO_SEQUENCE &&
      epoch === known.epoch &&
      known.batches.find((one) => one.firstSequence === first && one.lastSequence === last)
    if (same) return same
    if (known.openOffset !== undefined && (attributes & TRANSACTIONAL_FLAG) === 0) {
      throw logErrors('LOG_PRODUCER_IN_TRANSACTION', { producerId, openOffset: known.openOffset })
    }
    if (first === NO_SEQUENCE) return undefined
    const newest = epoch === known.epoch ? known.batches.at(-1) : undefined
    const awaited = epoch === known.epoch ? (known.expected ?? 0) : 0
    const expected = !newest ? awaited : newest.lastSequence === SEQUENCE_MAX ? 0 : newest.lastSequence + 1
    if (first !== expected) throw logErrors('LOG_PRODUCER_SEQUENCE', { producerId, sequence: first, expected })
    return undefined
  }

  /** Remembers a batch that is appended, its offsets set. Returns what takes that back; the newest must be taken back first. */
  note(batch: Uint8Array, nowMs: number): (() => void) | undefined {
    const producerId = readInt64(batch, PRODUCER_ID_AT)
    if (producerId < 0) return undefined
    const before = this.byId.get(producerId)
    const epoch = readInt16(batch, PRODUCER_EPOCH_AT)
    const attributes = readInt16(batch, ATTRIBUTES_AT)
    const [firstOffset, lastOffset] = [baseOffsetOf(batch, 0), nextOffsetOf(batch, 0) - 1]
    const batches = before?.epoch === epoch ? before.batches : []
    let aborted: AbortedTransaction | undefined
    if (attributes & CONTROL_FLAG) {
      const { isCommit, coordinatorEpoch } = readMarker(batch)
      this.set(producerId, { epoch, lastMs: nowMs, batches, coordinatorEpoch })
      if (!isCommit && before?.openOffset !== undefined) {
        let lastStableOffset = lastOffset + 1
        for (const offset of this.open.values()) lastStableOffset = Math.min(lastStableOffset, offset)
        aborted = { producerId, firstOffset: before.openOffset, lastOffset, lastStableOffset }
        this.aborted.push(aborted)
      }
    } else {
      const [firstSequence, lastSequence] = sequencesOf(batch)
      const sent = { firstSequence, lastSequence, firstOffset, lastOffset }
      const openOffset = before?.openOffset ?? (attributes & TRANSACTIONAL_FLAG ? firstOffset : undefined)
      const { coordinatorEpoch } = before ?? {}
      const kept = firstSequence === NO_SEQUENCE ? batches : [...batches.slice(1 - BATCHES_KEPT), sent]
      this.set(producerId, { epoch, lastMs: nowMs, batches: kept, openOffset, coordinatorEpoch })
    }
    return () => {
      if (aborted) this.aborted.pop()
      this.set(producerId, before)
    }
  }

  /**
   * Remembers of a producer that is not known that this batch could not be appended: those behind it, which may be on their way already, must
   * not come before it is sent again.
   */
  refuse(batch: Uint8Array, nowMs: number): void {
    const producerId = readInt64(batch, PRODUCER_ID_AT)
    if (producerId < 0 || this.byId.has(producerId) || readInt16(batch, ATTRIBUTES_AT) & CONTROL_FLAG) return
    const [expected] = sequencesOf(batch)
    if (expected === NO_SEQUENCE) return
    this.byId.set(producerId, { epoch: readInt16(batch, PRODUCER_EPOCH_AT), lastMs: nowMs, batches: [], expected })
  }

  /**
   * Puts what was aborted into the index; the markers must be durable. If it fails, readers of committed records wait: call it again.
   *
   * @returns  whether there was something to write, and it was written
   */
  writeAborted(): boolean {
    if (this.aborted.length === 0) return false
    ignoreFailure(() => {
      this.index.write(this.aborted)
      this.aborted = []
    })
    return this.aborted.length === 0
  }

  /** There is nothing that a start would have to know of producers. */
  get isEmpty(): boolean {
    return this.byId.size === 0 && this.aborted.length === 0
  }

  /** Records below were deleted. */
  forgetBefore(startOffset: number): void {
    ignoreFailure(() => this.index.forgetBefore(startOffset))
  }

  describe(): ProducerInfo[] {
    return [...this.byId].map(([producerId, { epoch, lastMs, batches, openOffset, coordinatorEpoch }]) => ({
      producerId,
      producerEpoch: epoch,
      lastSequence: batches.at(-1)?.lastSequence ?? -1,
      lastTimestampMs: lastMs,
      coordinatorEpoch: coordinatorEpoch ?? -1,
      transactionStartOffset: openOffset ?? -1,
    }))
  }

  /** By id, the last offset of each batch that may be sent again. Compaction keeps them, without their records, so that invariant 2 holds. */
  lastOffsets(): [producerId: number, lastOffsets: number[]][] {
    return [...this.byId].map(([producerId, { batches }]) => [producerId, batches.map(({ lastOffset }) => lastOffset)])
  }

  forgetOld(nowMs: number): void {
    for (const [producerId, { lastMs, openOffset }] of this.byId) {
      if (this.byId.size <= PRODUCERS_KEPT) return
      if (nowMs - lastMs > FORGET_MS && openOffset === undefined) this.byId.delete(producerId)
    }
  }

  /**
   * Writes the state as it is at `endOffset`, where all is durable. A failure only means more reading on the next start.
   *
   * @param isDurable  the log that it follows from is to be deleted: it is synced
   * @returns          whether it is written
   */
  save(endOffset: number, isDurable = false): boolean {
    const { disk, folder, index } = this
    // What waits for its entry in the index would be missing.
    if (this.aborted.length > 0) return false
    const { saved } = this
    const isThere = saved?.endOffset === endOffset
    if (isThere && (saved.isDurable || !isDurable)) return true
    this.saved = undefined
    ignoreFailure(() => {
      const path = `${folder}/${segmentName(endOffset)}${SUFFIX}`
      if (isThere) {
        syncFile(disk, folder, path)
        this.saved = { endOffset, isDurable }
        return
      }
      // On a full disk the oldest makes room for the new one; the one before it stays until then.
      const others = listSnapshots(disk, folder).filter((offset) => offset !== endOffset)
      for (const old of others.slice(0, 1 - SNAPSHOTS_KEPT)) disk.unlink(`${folder}/${segmentName(old)}${SUFFIX}`)
      index.sync()
      const producers = [...this.byId].filter(([, { expected }]) => expected === undefined)
      const text = new TextEncoder().encode(JSON.stringify({ producers, aborted: index.files }))
      const line = `${crc32c(text).toString(16).padStart(8, '0')} `
      const file = disk.open(path, 'create')
      try {
        disk.truncate(file, 0)
        disk.write(file, [new TextEncoder().encode(line), text], 0)
      } finally {
        disk.close(file)
      }
      if (isDurable) syncFile(disk, folder, path)
      this.saved = { endOffset, isDurable }
    })
    return this.saved !== undefined
  }

  /** The state at the end of a log: the newest usable snapshot, and what follows it. Snapshots beyond the end are removed. */
  load(startOffset: number, endOffset: number, nowMs: number): void {
    const { disk, folder, index } = this
    let from: number | undefined
    for (const offset of listSnapshots(disk, folder).toReversed()) {
      const path = `${folder}/${segmentName(offset)}${SUFFIX}`
      const saved = offset <= endOffset ? readSnapshot(disk, path) : undefined
      if (saved && index.adopt(saved.aborted, startOffset)) {
        for (const [producerId, producer] of saved.producers) this.set(producerId, producer)
        from = offset
        break
      }
      ignoreFailure(() => disk.unlink(path))
    }
    if (from === undefined) index.clear()
    from ??= 0
    if (from === endOffset) {
      this.saved = { endOffset, isDurable: false }
      return
    }
    scanHeaders(disk, folder, from, endOffset, (header) => this.note(header, nowMs))
    this.writeAborted()
    this.save(endOffset)
  }

  private set(producerId: number, producer: Producer | undefined): void {
    if (producer) this.byId.set(producerId, producer)
    else this.byId.delete(producerId)
    if (producer?.openOffset === undefined) this.open.delete(producerId)
    else this.open.set(producerId, producer.openOffset)
  }
}

function sequencesOf(batch: Uint8Array): [first: number, last: number] {
  const first = readInt32(batch, BASE_SEQUENCE_AT)
  const delta = readInt32(batch, LAST_OFFSET_DELTA_AT)
  return [first, first > SEQUENCE_MAX - delta ? delta - (SEQUENCE_MAX - first) - 1 : first + delta]
}

/** End offsets of the snapshots in a folder, ascending. */
const listSnapshots = (disk: Disk, folder: string): number[] =>
  disk
    .list(folder)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => Number(name.slice(0, -SUFFIX.length)))
    .sort((a, b) => a - b)

interface Snapshot {
  producers: [producerId: number, producer: Producer][]
  aborted: AbortedFile[]
}

/** Undefined: it is damaged. @throws LOG_READ_FAILED: with retention the log may no longer have what it says, so it is not passed over */
function readSnapshot(disk: Disk, path: string): Snapshot | undefined {
  try {
    const bytes = readAgain(
      () => readFile(disk, path),
      (error) => readError(error, path),
    )
    const body = bytes.subarray(9)
    if (crc32c(body) !== Number.parseInt(new TextDecoder().decode(bytes.subarray(0, 8)), 16)) return undefined
    const saved = JSON.parse(new TextDecoder().decode(body))
    // One without transactions is of an older version: the log is read instead.
    return saved.aborted ? saved : undefined
  } catch (error) {
    if (isStreamError(error)) throw error
    return undefined
  }
}

function syncFile(disk: Disk, folder: string, path: string): void {
  const file = disk.open(path, 'create')
  try {
    disk.sync(file)
  } finally {
    disk.close(file)
  }
  disk.syncFolder(folder)
}

/** Shows the header (of a marker, all) of each batch in `[fromOffset … endOffset)`. What cannot be read is left out: recovery has reported it. */
function scanHeaders(disk: Disk, folder: string, fromOffset: number, endOffset: number, visit: (header: Uint8Array) => void): void {
  const segments = listSegmentFiles(disk, folder)
  for (const [i, segment] of segments.entries()) {
    if (segment.baseOffset >= endOffset || (segments[i + 1]?.baseOffset ?? Number.POSITIVE_INFINITY) <= fromOffset) continue
    const skipped = readIndex(disk, folder, segment).chunks.findLast((chunk) => chunk.nextOffset <= fromOffset)
    const file = disk.open(logPath(folder, segment), 'read')
    try {
      const window = new Uint8Array(SCAN_BYTES)
      let windowAt = 0
      let windowBytes = 0
      for (let position = skipped?.endPosition ?? 0; ; ) {
        if (position + MARKER_BYTES > windowAt + windowBytes) {
          windowAt = position
          windowBytes = disk.read(file, window, 0, SCAN_BYTES, position)
          if (windowBytes < BATCH_HEADER_BYTES) break
        }
        const at = position - windowAt
        const sizeBytes = batchSizeOf(window, at)
        if (sizeBytes < BATCH_HEADER_BYTES || baseOffsetOf(window, at) >= endOffset) break
        if (baseOffsetOf(window, at) >= fromOffset) visit(window.subarray(at, at + MARKER_BYTES))
        position += sizeBytes
      }
    } finally {
      disk.close(file)
    }
  }
}
