// Readers of partitions between two fetches: who goes on where the last read ended finds the file open. And who waits for new records.
//
// Invariants
//   1. At most READERS_MAX readers are kept, each with one open file at most; the one that was idle longest goes first.
//   2. A partition that somebody waits for has one watcher, however many wait.

import type { BufferPool } from '../base/index.ts'
import {
  type AbortedTransaction,
  type Disk,
  type FilePartitionReader,
  type Log,
  openPartitionReader,
  type ReadResult,
  type TopicInfo,
} from '../log/index.ts'

const READERS_MAX = 256
const WATCH_MS = 1_000

interface ReadLimits {
  maxBytes: number
  atMost: number
  endOffset?: number
}
interface PooledRead extends ReadResult {
  aborted: AbortedTransaction[]
  /** To be called once nobody looks at the bytes any more: they are overwritten. Need not be called. */
  release: () => void
}

export class ReaderPool {
  private readonly log: Log
  private readonly disk: Disk
  /** By topic id, partition and next offset; oldest first. */
  private readonly idle = new Map<string, FilePartitionReader>()
  private readonly watchers = new Map<string, Watcher>()
  private readonly buffers: BufferPool

  constructor(log: Log, disk: Disk, buffers: BufferPool) {
    this.buffers = buffers
    this.log = log
    this.disk = disk
  }

  /**
   * Whole batches from `offset` on, as many as fit into `maxBytes`, at least one.
   *
   * @param atMost     more bytes than that are not returned, not even one batch
   * @param endOffset  batches that begin at or behind it are not returned
   * @throws           the errors of `PartitionReader.read`
   */
  read(topic: TopicInfo, partition: number, offset: number, { maxBytes, atMost, endOffset }: ReadLimits): PooledRead | undefined {
    const key = keyOf(topic.id, partition, offset)
    const reader = this.idle.get(key) ?? openPartitionReader(this.log.descriptor(topic.name), partition, offset, this.disk)
    this.idle.delete(key)
    let run: PooledRead | undefined
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
        const release = () => this.buffers.give(found.bytes)
        run = { ...found, aborted, release }
      }
    } catch (error) {
      reader.close()
      throw error
    } finally {
      for (const buffer of taken) if (buffer.buffer !== run?.bytes.buffer) this.buffers.give(buffer)
    }
    this.keep(keyOf(topic.id, partition, reader.nextOffset), reader)
    return run
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
    for (const reader of this.idle.values()) reader.close()
    this.idle.clear()
    for (const watcher of this.watchers.values()) watcher.end()
  }

  private keep(key: string, reader: FilePartitionReader): void {
    this.idle.get(key)?.close()
    this.idle.set(key, reader)
    if (this.idle.size <= READERS_MAX) return
    const [oldest, old] = this.idle.entries().next().value!
    old.close()
    this.idle.delete(oldest)
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
