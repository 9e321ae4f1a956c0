// What the writer publishes of one partition to all threads: 64 bytes of shared memory, written by the writer alone.
//
//   0 version i32 (odd while being written; what waiters wait on) | 4 status i32
//   8 endOffset i64 | 16 durablePosition i64 | 24 activeBaseOffset i64 | 32 startOffset i64 | 40 sizeBytes i64
//   48 lastStableOffset i64 | 56 abortedCount i64
//
// Invariants
//   1. A snapshot is of one moment: `version` is even and the same before and after it was read.
//   2. Bytes of the active segment below `durablePosition` and offsets below `endOffset` are durable and never change.
//   3. A segment whose base offset is not `activeBaseOffset` is sealed: it never changes, it can only be deleted.
//   4. Below `lastStableOffset` every transaction is decided, and the index of aborted ones has all that were aborted.
import { logErrors } from './errors.ts'

export const PARTITION_OPEN = 0
/** The log was closed; what is there can still be read. */
export const PARTITION_CLOSED = 1
export const PARTITION_DELETED = 2

const STATE_BYTES = 64
const SNAPSHOT_TRIES_MAX = 10_000_000

export interface PartitionSnapshot {
  version: number
  status: number
  endOffset: number
  durablePosition: number
  activeBaseOffset: number
  startOffset: number
  /** Bytes of all segments' records. */
  sizeBytes: number
  /** The end for readers of committed records: `endOffset`, or where the first open transaction begins. */
  lastStableOffset: number
  /** How many aborted transactions were written to the index; 0: there is none to look for. */
  abortedCount: number
}

const nothing = {
  status: PARTITION_OPEN,
  endOffset: 0,
  durablePosition: 0,
  activeBaseOffset: 0,
  startOffset: 0,
  sizeBytes: 0,
  lastStableOffset: 0,
  abortedCount: 0,
}

export class PartitionState {
  readonly shared: SharedArrayBuffer
  /** What this thread has published; nothing in other threads. */
  published: Omit<PartitionSnapshot, 'version'> = { ...nothing }
  private readonly words: Int32Array
  private readonly longs: BigInt64Array

  constructor(shared = new SharedArrayBuffer(STATE_BYTES)) {
    this.shared = shared
    this.words = new Int32Array(shared, 0, 2)
    this.longs = new BigInt64Array(shared, 8)
  }

  publish(snapshot: Omit<PartitionSnapshot, 'version'>): void {
    const { words, longs } = this
    this.published = snapshot
    Atomics.add(words, 0, 1)
    Atomics.store(words, 1, snapshot.status)
    Atomics.store(longs, 0, BigInt(snapshot.endOffset))
    Atomics.store(longs, 1, BigInt(snapshot.durablePosition))
    Atomics.store(longs, 2, BigInt(snapshot.activeBaseOffset))
    Atomics.store(longs, 3, BigInt(snapshot.startOffset))
    Atomics.store(longs, 4, BigInt(snapshot.sizeBytes))
    Atomics.store(longs, 5, BigInt(snapshot.lastStableOffset))
    Atomics.store(longs, 6, BigInt(snapshot.abortedCount))
    Atomics.add(words, 0, 1)
    Atomics.notify(words, 0)
  }

  read(): PartitionSnapshot {
    const { words, longs } = this
    for (let tries = 0; tries < SNAPSHOT_TRIES_MAX; tries++) {
      const version = Atomics.load(words, 0)
      if (version & 1) continue
      const snapshot = {
        version,
        status: Atomics.load(words, 1),
        endOffset: Number(Atomics.load(longs, 0)),
        durablePosition: Number(Atomics.load(longs, 1)),
        activeBaseOffset: Number(Atomics.load(longs, 2)),
        startOffset: Number(Atomics.load(longs, 3)),
        sizeBytes: Number(Atomics.load(longs, 4)),
        lastStableOffset: Number(Atomics.load(longs, 5)),
        abortedCount: Number(Atomics.load(longs, 6)),
      }
      if (Atomics.load(words, 0) === version) return snapshot
    }
    throw logErrors('LOG_WRITER_STOPPED', { reason: 'it stopped while it published a position' })
  }

  /** Resolves when something newer than `version` was published, or after `timeoutMs`. Does not keep Node alive by itself. */
  async waitForChange(version: number, timeoutMs: number): Promise<void> {
    const wait = Atomics.waitAsync(this.words, 0, version, timeoutMs)
    if (wait.async) await wait.value
  }
}
