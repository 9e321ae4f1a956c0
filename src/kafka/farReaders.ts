// Reads what is far from the end of the log in a thread of its own: the thread of the log's writer, where the Kafka port runs, waits for no
// disk but for its own syncs.
//
// While what was read is on its way to the client, what it is likely to ask for next is read: one piece, for AHEAD_MAX partitions at most, and only
// from the page cache. Where the disk has to be asked, a reader that is always one piece ahead keeps it so busy that syncs wait behind it.
//
// Invariants
//   1. What was read ahead is what a read would give: whole batches of durable records, which never change, as many as the same request takes.
//   2. Memory of records is used again only when they were sent, or nobody asked for them.
import { HelperThread } from '../base/index.ts'
import { logErrors, type RecordPlace, reviveLogError } from '../log/index.ts'
import type { FarReaders, Read, ReadOutcome, TimeQuestion } from './readerPool.ts'
import type { FromReader, ToReader } from './readerThread.ts'

const AHEAD_MAX = 8
/** Who asks for less is not reading a whole topic. */
const AHEAD_BYTES_MIN = 256 * 1024
/** Larger pieces would hold too much memory. */
const AHEAD_BYTES_MAX = 2 * 1024 * 1024
/** A piece that took longer did not come from the page cache, or the machine is busy. */
const AHEAD_MS_MAX = 3

interface Reading {
  outcomes: ReadOutcome[]
  tookMs: number
}

export class ReaderThread implements FarReaders {
  private readonly thread = new HelperThread<ToReader, FromReader>(
    new URL('./readerThread.ts', import.meta.url),
    'kafka-reader',
    (reason) => logErrors('LOG_READ_FAILED', { path: 'kafka-reader', reason }),
  )
  /** By what was asked, oldest first. */
  private readonly ahead = new Map<string, Promise<Reading>>()
  /** Memory of records that came from there. */
  private readonly lent = new WeakSet<ArrayBufferLike>()
  private starting: Promise<void> | undefined
  private hasStarted = false

  get isReady(): boolean {
    this.starting ??= this.read([], 0).then(() => {
      this.hasStarted = true
    })
    return this.hasStarted
  }

  async readAll(reads: readonly Read[], maxBytes: number): Promise<ReadOutcome[]> {
    const key = keyOf(reads, maxBytes)
    const ahead = this.ahead.get(key)
    // One asks for it, or nobody: its memory is used again after that.
    this.ahead.delete(key)
    let reading = await (ahead ?? this.read(reads, maxBytes))
    // There was nothing at that time, or trouble.
    if (ahead && !reading.outcomes.some((one) => one && 'records' in one)) reading = await this.read(reads, maxBytes)
    const { outcomes, tookMs } = reading
    const [outcome] = outcomes
    if (reads.length === 1 && outcome && 'records' in outcome && tookMs <= AHEAD_MS_MAX)
      this.readAhead(reads[0], maxBytes, outcome.nextOffset, outcome.records.length)
    return outcomes
  }

  async findTime(question: TimeQuestion): Promise<RecordPlace | undefined> {
    const answer = (await this.thread.ask({ kind: 'time', question })) as RecordPlace | { failure: never } | undefined
    if (answer && 'failure' in answer) throw reviveLogError(answer.failure)
    return answer
  }

  release({ buffer }: Uint8Array): boolean {
    if (!this.lent.delete(buffer)) return false
    const memory = buffer as ArrayBuffer
    this.thread.tell({ kind: 'release', memory }, [memory])
    return true
  }

  async close(): Promise<void> {
    await this.thread.close()
  }

  private async read(reads: readonly Read[], maxBytes: number): Promise<Reading> {
    const startMs = performance.now()
    const done = (outcomes: ReadOutcome[]): Reading => ({ outcomes, tookMs: performance.now() - startMs })
    try {
      const answer = (await this.thread.ask({ kind: 'read', reads, maxBytes })) as Extract<FromReader, unknown[]>
      for (const one of answer) if (one && 'records' in one) this.lent.add(one.records.buffer)
      return done(answer.map((one) => (one && 'failure' in one ? { error: reviveLogError(one.failure) } : one)))
    } catch (error) {
      return done(reads.map(() => ({ error })))
    }
  }

  private readAhead(read: Read, maxBytes: number, offset: number, gotBytes: number): void {
    const wantedBytes = Math.min(maxBytes, read.maxBytes)
    // Less than half of it: the end is near.
    if (wantedBytes < AHEAD_BYTES_MIN || wantedBytes > AHEAD_BYTES_MAX || gotBytes < wantedBytes / 2) return
    const next = [{ ...read, offset }]
    this.ahead.set(keyOf(next, maxBytes), this.read(next, maxBytes))
    if (this.ahead.size <= AHEAD_MAX) return
    const [oldest, unused] = this.ahead.entries().next().value!
    this.ahead.delete(oldest)
    void unused.then(({ outcomes }) => {
      for (const one of outcomes) if (one && 'records' in one) this.release(one.records)
    })
  }
}

/** Of what does not change while nobody asks: the last stable offset only moves on. */
const keyOf = (reads: readonly Read[], maxBytes: number): string =>
  reads
    .map(({ descriptor, partition, offset, maxBytes: ofPartition, endOffset, isPlain }) =>
      [descriptor.id, partition, offset, Math.min(maxBytes, ofPartition), endOffset !== undefined, isPlain].join(':'),
    )
    .join(' ')
