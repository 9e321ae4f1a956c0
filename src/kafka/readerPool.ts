// Readers of partitions between two fetches: who goes on where the last read ended finds the file open. And who waits for new records.
//
// Invariants
//   1. At most READERS_MAX readers are kept, each with one open file at most; the one that was idle longest goes first. None is kept for longer
//      than two IDLE_MS: what a deleted file takes of the disk is free only when nobody has it open.
//   2. A partition that somebody waits for has one watcher, however many wait.

import type { BufferPool } from '../base/index.ts'
import {
  type AbortedTransaction,
  type BrokerLog,
  type Disk,
  type FilePartitionReader,
  openPartitionReader,
  type RecordPlace,
  type TopicDescriptor,
  type TopicInfo,
} from '../log/index.ts'
import { withoutBuiltLz4 } from './handlers/fetchPlain.ts'

const READERS_MAX = 256
const IDLE_MS = 30_000
const WATCH_MS = 30_000
/** Who is so near to the end of the log reads what was just written, for which no other thread is asked. */
const TAIL_BYTES = 128 * 1024

/** One partition of a fetch. */
export interface Read {
  /** With this partition. */
  descriptor: TopicDescriptor
  partition: number
  offset: number
  maxBytes: number
  /** Batches that begin at or behind it are not returned. */
  endOffset?: number
  /** The client does not know the codec of what the front door has written. */
  isPlain: boolean
}
export interface Run {
  /** Whole batches. */
  records: Uint8Array
  /** Where the next read goes on. */
  nextOffset: number
  aborted: AbortedTransaction[]
}
/** Undefined: nothing is there, or there was no room. */
export type ReadOutcome = Run | { error: unknown } | undefined

/** Reads partitions, in the thread that it is in. */
export class Readers {
  /** By topic id, partition and next offset; oldest first. */
  private readonly idle = new Map<string, { reader: FilePartitionReader; sinceMs: number }>()
  private readonly timer: NodeJS.Timeout
  private readonly disk: Disk
  private readonly buffers: BufferPool

  constructor(disk: Disk, buffers: BufferPool, idleMs = IDLE_MS) {
    this.disk = disk
    this.buffers = buffers
    this.timer = setInterval(() => this.closeIdle(performance.now() - idleMs), idleMs).unref()
  }

  /**
   * One after another, as many whole batches as fit into `maxBytes`; the first that has something gives at least one batch.
   */
  readAll(reads: readonly Read[], maxBytes: number): ReadOutcome[] {
    let leftBytes = maxBytes
    let isFirst = true
    return reads.map((read) => {
      if (leftBytes <= 0 && !isFirst) return undefined
      try {
        const limitBytes = Math.min(leftBytes, read.maxBytes)
        const run = this.read(read, limitBytes, isFirst ? Number.POSITIVE_INFINITY : limitBytes)
        if (!run) return undefined
        leftBytes -= run.records.length
        isFirst = false
        return run
      } catch (error) {
        return { error }
      }
    })
  }

  /** Whether a reader is there that has next to nothing left to read. */
  isAtTail({ descriptor, partition, offset }: Read): boolean {
    return (this.idle.get(keyOf(descriptor.id, partition, offset))?.reader.tailBytes ?? Number.POSITIVE_INFINITY) <= TAIL_BYTES
  }

  /** Records that nobody looks at any more: their memory is used again. Need not be called. */
  release(records: Uint8Array): void {
    this.buffers.give(records)
  }

  close(): void {
    clearInterval(this.timer)
    this.closeIdle(Number.POSITIVE_INFINITY)
  }

  /** Those that were idle before then. */
  private closeIdle(beforeMs: number): void {
    for (const [key, { reader, sinceMs }] of this.idle) {
      if (sinceMs > beforeMs) return
      reader.close()
      this.idle.delete(key)
    }
  }

  /** @param atMost  more bytes than that are not returned, not even one batch */
  private read({ descriptor, partition, offset, endOffset, isPlain }: Read, maxBytes: number, atMost: number): Run | undefined {
    const { id } = descriptor
    const key = keyOf(id, partition, offset)
    const reader = this.idle.get(key)?.reader ?? openPartitionReader(descriptor, partition, offset, this.disk)
    this.idle.delete(key)
    let run: Run | undefined
    const taken: Uint8Array[] = []
    const allocate = (sizeBytes: number) => {
      const buffer = this.buffers.take(sizeBytes)
      taken.push(buffer)
      return buffer
    }
    try {
      const found = reader.read(maxBytes, endOffset, allocate)
      if (found && found.end - found.start > atMost) reader.seek(offset)
      else if (found) {
        // Only who stops at the last stable offset asks for what was aborted before it.
        const aborted = endOffset === undefined ? [] : reader.abortedBetween(offset, Math.min(endOffset, found.nextOffset))
        const stored = found.bytes.subarray(found.start, found.end)
        const records = isPlain ? withoutBuiltLz4(stored, maxBytes) : stored
        run = { records, nextOffset: found.nextOffset, aborted }
      }
    } catch (error) {
      reader.close()
      throw error
    } finally {
      for (const buffer of taken) if (buffer.buffer !== run?.records.buffer) this.buffers.give(buffer)
    }
    this.keep(keyOf(id, partition, reader.nextOffset), reader)
    return run
  }

  private keep(key: string, reader: FilePartitionReader): void {
    this.idle.get(key)?.reader.close()
    this.idle.delete(key)
    this.idle.set(key, { reader, sinceMs: performance.now() })
    if (this.idle.size <= READERS_MAX) return
    const [oldest, { reader: old }] = this.idle.entries().next().value!
    old.close()
    this.idle.delete(oldest)
  }
}

/** Where in a partition a time is. */
export interface TimeQuestion {
  /** With this partition. */
  descriptor: TopicDescriptor
  partition: number
  startOffset: number
  /** The first record of that time or later; undefined: the first of those that have the greatest timestamp. */
  timeMs: number | undefined
}

/** @throws the errors of `PartitionReader.read` */
export function findTime({ descriptor, partition, startOffset, timeMs }: TimeQuestion, disk: Disk): RecordPlace | undefined {
  const reader = openPartitionReader(descriptor, partition, startOffset, disk)
  try {
    return timeMs === undefined ? reader.findMaxTimestamp() : reader.findTime(timeMs)
  } finally {
    reader.close()
  }
}

/** What is far from the end of the log is read by another thread, if there is one. */
export interface FarReaders {
  /** False while it starts, which the first look at this sets off. */
  readonly isReady: boolean
  readAll(reads: readonly Read[], maxBytes: number): Promise<ReadOutcome[]>
  findTime(question: TimeQuestion): Promise<RecordPlace | undefined>
  /** Records that nobody looks at any more; false if they are not from here. */
  release(records: Uint8Array): boolean
}

export class ReaderPool {
  private readonly log: BrokerLog
  private readonly disk: Disk
  private readonly near: Readers
  private readonly far: FarReaders | undefined
  private readonly watchers = new Map<string, Watcher>()

  constructor(log: BrokerLog, disk: Disk, buffers: BufferPool, far?: FarReaders) {
    this.log = log
    this.disk = disk
    this.near = new Readers(disk, buffers)
    this.far = far
  }

  /** @param isNear  all of them were at the end of the log a moment ago */
  readAll(reads: readonly Read[], maxBytes: number, isNear: boolean): ReadOutcome[] | Promise<ReadOutcome[]> {
    const { near, far } = this
    // Nobody waits for a thread that starts, which takes a second on a busy machine: until then small pieces are read here.
    if (far && !isNear && !reads.every((read) => near.isAtTail(read)) && far.isReady) return far.readAll(reads, maxBytes)
    return near.readAll(reads, far ? Math.min(maxBytes, TAIL_BYTES) : maxBytes)
  }

  async findTime(question: TimeQuestion): Promise<RecordPlace | undefined> {
    return this.far ? this.far.findTime(question) : findTime(question, this.disk)
  }

  release(records: Uint8Array): void {
    if (!this.far?.release(records)) this.near.release(records)
  }

  /** Calls back once, when the partition has more than `endOffset` or is gone. Returns what ends the wait. */
  watch(topic: TopicInfo, partition: number, endOffset: number, wake: () => void): () => void {
    const key = `${topic.id}:${partition}`
    let watcher = this.watchers.get(key)
    if (!watcher) {
      watcher = new Watcher(openPartitionReader(this.log.descriptor(topic.name), partition, endOffset, this.disk), () =>
        this.watchers.delete(key),
      )
      this.watchers.set(key, watcher)
    }
    return watcher.add(wake, endOffset)
  }

  close(): void {
    this.near.close()
    for (const watcher of this.watchers.values()) watcher.end()
  }
}

const keyOf = (id: string, partition: number, offset: number): string => `${id}:${partition}:${offset}`

class Watcher {
  private readonly reader: FilePartitionReader
  private readonly onIdle: () => void
  private readonly waiting = new Map<() => void, number>()
  private isRunning = false

  constructor(reader: FilePartitionReader, onIdle: () => void) {
    this.reader = reader
    this.onIdle = onIdle
  }

  add(wake: () => void, endOffset: number): () => void {
    this.waiting.set(wake, endOffset)
    if (this.reader.range.endOffset > endOffset) queueMicrotask(() => this.notify())
    if (!this.isRunning) void this.run()
    return () => this.waiting.delete(wake)
  }

  end(): void {
    for (const wake of [...this.waiting.keys()]) wake()
    this.waiting.clear()
  }

  private async run(): Promise<void> {
    this.isRunning = true
    try {
      while (this.waiting.size > 0) {
        const { endOffset } = this.reader.range
        this.reader.seek(endOffset)
        const startMs = performance.now()
        const isNews = await this.reader.waitForData(WATCH_MS)
        // News without records: the topic was deleted. No news and no wait: the log was closed.
        if (isNews ? this.reader.range.endOffset === endOffset : performance.now() - startMs < WATCH_MS / 2) this.end()
        else if (isNews) this.notify()
      }
    } finally {
      this.isRunning = false
      this.onIdle()
    }
  }

  private notify(): void {
    const { endOffset } = this.reader.range
    for (const [wake, known] of [...this.waiting]) {
      if (endOffset === known) continue
      this.waiting.delete(wake)
      wake()
    }
  }
}
