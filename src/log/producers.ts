// What a partition knows of its idempotent producers: the newest sequences of each, so that a batch sent twice is in the log once.
//
// Invariants
//   1. A batch whose sequence is one of the last five of its producer gets the offsets that it had; one that leaves a gap is refused; one of
//      an older epoch is refused.
//   2. The state follows from the log alone: a snapshot (`<end offset>.producers`) only saves reading all of it on start. One that is torn,
//      damaged or beyond the end of the log is not used.
//   3. An entry never changes, it is replaced: undoing an append puts the old one back.
// Source: KIP-98; Kafka keeps five batches too, because a client has at most five requests in flight.
import { readFile } from './checkedFile.ts'
import { crc32c } from './crc32c.ts'
import { type Disk, ignoreFailure } from './disk.ts'
import { logErrors } from './errors.ts'
import {
  BASE_SEQUENCE_AT,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchSizeOf,
  LAST_OFFSET_DELTA_AT,
  nextOffsetOf,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  readInt16,
  readInt32,
  readInt64,
} from './recordBatch.ts'
import { listSegments, logPath, readIndex, segmentName } from './segmentIndex.ts'

const BATCHES_KEPT = 5
const SEQUENCE_MAX = 2 ** 31 - 1
/** A producer that is silent longer is forgotten, as with Kafka. */
const FORGET_MS = 24 * 3600 * 1000
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
  /** The newest ones, oldest first. */
  batches: readonly SentBatch[]
}

export class Producers {
  private byId = new Map<number, Producer>()

  /**
   * What a batch is to its producer: new (undefined), or one that is in the log already.
   *
   * @throws LOG_PRODUCER_FENCED, LOG_PRODUCER_SEQUENCE
   */
  check(batch: Uint8Array): SentBatch | undefined {
    const producerId = readInt64(batch, PRODUCER_ID_AT)
    if (producerId < 0) return undefined
    const known = this.byId.get(producerId)
    const epoch = readInt16(batch, PRODUCER_EPOCH_AT)
    const [first, last] = sequencesOf(batch)
    if (!known) return undefined
    if (epoch < known.epoch) throw logErrors('LOG_PRODUCER_FENCED', { producerId, epoch, knownEpoch: known.epoch })
    if (epoch > known.epoch) {
      if (first !== 0) throw logErrors('LOG_PRODUCER_SEQUENCE', { producerId, sequence: first, expected: 0 })
      return undefined
    }
    const same = known.batches.find((one) => one.firstSequence === first && one.lastSequence === last)
    if (same) return same
    const newest = known.batches.at(-1)!
    const expected = newest.lastSequence === SEQUENCE_MAX ? 0 : newest.lastSequence + 1
    if (first !== expected) throw logErrors('LOG_PRODUCER_SEQUENCE', { producerId, sequence: first, expected })
    return undefined
  }

  /** Remembers a batch that is appended, its offsets set. Returns what takes that back; the newest must be taken back first. */
  note(batch: Uint8Array, nowMs: number): (() => void) | undefined {
    const producerId = readInt64(batch, PRODUCER_ID_AT)
    if (producerId < 0) return undefined
    const before = this.byId.get(producerId)
    const epoch = readInt16(batch, PRODUCER_EPOCH_AT)
    const [firstSequence, lastSequence] = sequencesOf(batch)
    const sent = { firstSequence, lastSequence, firstOffset: baseOffsetOf(batch, 0), lastOffset: nextOffsetOf(batch, 0) - 1 }
    const kept = before?.epoch === epoch ? before.batches.slice(1 - BATCHES_KEPT) : []
    this.byId.set(producerId, { epoch, lastMs: nowMs, batches: [...kept, sent] })
    return () => {
      if (before) this.byId.set(producerId, before)
      else this.byId.delete(producerId)
    }
  }

  forgetOld(nowMs: number): void {
    for (const [producerId, { lastMs }] of this.byId) if (nowMs - lastMs > FORGET_MS) this.byId.delete(producerId)
  }

  /** Writes the state as it is at `endOffset`, where all is durable. A failure only means more reading on the next start. */
  save(disk: Disk, folder: string, endOffset: number): void {
    ignoreFailure(() => {
      const text = new TextEncoder().encode(JSON.stringify([...this.byId]))
      const line = `${crc32c(text).toString(16).padStart(8, '0')} `
      const file = disk.open(`${folder}/${segmentName(endOffset)}${SUFFIX}`, 'create')
      try {
        disk.truncate(file, 0)
        disk.write(file, [new TextEncoder().encode(line), text], 0)
      } finally {
        disk.close(file)
      }
      for (const old of listSnapshots(disk, folder).slice(0, -SNAPSHOTS_KEPT)) disk.unlink(`${folder}/${segmentName(old)}${SUFFIX}`)
    })
  }

  /** The state at the end of a log: the newest usable snapshot, and what follows it. Snapshots beyond the end are removed. */
  load(disk: Disk, folder: string, endOffset: number, nowMs: number): void {
    let from = 0
    for (const offset of listSnapshots(disk, folder).toReversed()) {
      const path = `${folder}/${segmentName(offset)}${SUFFIX}`
      const saved = offset <= endOffset ? readSnapshot(disk, path) : undefined
      if (saved) {
        this.byId = saved
        from = offset
        break
      }
      ignoreFailure(() => disk.unlink(path))
    }
    if (from === endOffset) return
    scanHeaders(disk, folder, from, endOffset, (header) => this.note(header, nowMs))
    this.save(disk, folder, endOffset)
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

function readSnapshot(disk: Disk, path: string): Map<number, Producer> | undefined {
  try {
    const bytes = readFile(disk, path)
    const body = bytes.subarray(9)
    if (crc32c(body) !== Number.parseInt(new TextDecoder().decode(bytes.subarray(0, 8)), 16)) return undefined
    return new Map(JSON.parse(new TextDecoder().decode(body)))
  } catch {
    return undefined
  }
}

/** Shows the header of each batch in `[fromOffset … endOffset)`. What cannot be read is left out: recovery has reported it. */
function scanHeaders(disk: Disk, folder: string, fromOffset: number, endOffset: number, visit: (header: Uint8Array) => void): void {
  const bases = listSegments(disk, folder)
  for (const [i, baseOffset] of bases.entries()) {
    if (baseOffset >= endOffset || (bases[i + 1] ?? Number.POSITIVE_INFINITY) <= fromOffset) continue
    const skipped = readIndex(disk, folder, baseOffset).chunks.findLast((chunk) => chunk.nextOffset <= fromOffset)
    const file = disk.open(logPath(folder, baseOffset), 'read')
    try {
      const window = new Uint8Array(SCAN_BYTES)
      let windowAt = 0
      let windowBytes = 0
      for (let position = skipped?.endPosition ?? 0; ; ) {
        if (position + BATCH_HEADER_BYTES > windowAt + windowBytes) {
          windowAt = position
          windowBytes = disk.read(file, window, 0, SCAN_BYTES, position)
          if (windowBytes < BATCH_HEADER_BYTES) break
        }
        const at = position - windowAt
        const sizeBytes = batchSizeOf(window, at)
        if (sizeBytes < BATCH_HEADER_BYTES || baseOffsetOf(window, at) >= endOffset) break
        if (baseOffsetOf(window, at) >= fromOffset) visit(window.subarray(at, at + BATCH_HEADER_BYTES))
        position += sizeBytes
      }
    } finally {
      disk.close(file)
    }
  }
}
