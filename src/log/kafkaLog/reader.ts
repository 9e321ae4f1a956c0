// Reading a partition of a real Kafka, in any thread: fetches ahead of its reader.
//
//   read / waitForData --> fetch, if little is buffered --> checked, aborted records taken out --> buffered runs --> read
//
// Invariants
//   1. Runs are handed out in offset order, each once; at most BUFFER_BYTES and one answer more are held.
//   2. Control records are never handed out, with `read_committed` neither are those of aborted transactions. A run of which nothing is left still moves `nextOffset` on.
//   3. An outage of the cluster is no error of the reader: it tries again until it is closed. What cannot get better is thrown by `read`.
//   4. After `seek` nothing comes that was asked for before.
//
// Each reader has a connection of its own: a fetch that waits for records at the broker would hold up the answers to all others on it.
import type { Connection } from '@platformatic/kafka'
import { isStreamError, type StreamError } from '../../base/index.ts'
import type { ClusterOptions, Isolation, PartitionReader, ReadResult } from '../contract.ts'
import { logErrors } from '../errors.ts'
import { PARTITION_CLOSED, PARTITION_DELETED, PartitionState } from '../partitionState.ts'
import {
  ATTRIBUTES_AT,
  BATCH_PREFIX_BYTES,
  baseOffsetOf,
  batchHeaderOf,
  batchSizeOf,
  nextOffsetOf,
  PRODUCER_ID_AT,
  readInt64,
  verifyBatch,
} from '../recordBatch.ts'
import { readRecords } from '../recordIndex.ts'
import type { Fetched } from './batches.ts'

const FETCH_BYTES = 1 << 20
const FETCH_WAIT_MS = 500
const BUFFER_BYTES = 4 << 20
const RETRY_PAUSE_MS = 100
const RETRY_PAUSE_MAX_MS = 5_000
const READ_BYTES_DEFAULT = 1 << 20

/** Loaded when the first reader of a thread fetches: who has no cluster does not pay for the client. */
const load = async () => ({ ...(await import('./batches.ts')), ...(await import('./cluster.ts')) })

export class KafkaPartitionReader implements PartitionReader {
  private readonly topic: string
  private readonly partition: number
  private readonly options: ClusterOptions
  private readonly state: PartitionState
  private readonly isolation: Isolation
  private wanted: number
  private fetchOffset: number
  private buffered: ReadResult[] = []
  private bufferedBytes = 0
  private startOffset = 0
  private endOffset = 0
  private failure: StreamError | undefined
  private waiting: (() => void)[] = []
  private connection: Connection | undefined
  private isFetching = false
  private isClosed = false
  /** Changes with each seek: what was asked for before is dropped. */
  private turn = 0

  constructor(
    topic: string,
    partition: number,
    options: ClusterOptions,
    state: SharedArrayBuffer,
    fromOffset: number,
    isolation: Isolation = 'read_uncommitted',
  ) {
    this.isolation = isolation
    this.topic = topic
    this.partition = partition
    this.options = options
    this.state = new PartitionState(state)
    this.wanted = this.fetchOffset = fromOffset
  }

  get nextOffset(): number {
    return this.wanted
  }
  get range(): { startOffset: number; endOffset: number } {
    const { startOffset, endOffset, lastStableOffset } = this.state.read()
    const end = this.isolation === 'read_committed' ? lastStableOffset : endOffset
    return { startOffset: Math.max(startOffset, this.startOffset), endOffset: Math.max(end, this.endOffset) }
  }

  read(maxBytes = READ_BYTES_DEFAULT): ReadResult | undefined {
    if (this.state.read().status === PARTITION_DELETED) throw logErrors('LOG_TOPIC_DELETED', { topic: this.topic })
    const { failure } = this
    if (this.buffered.length === 0 && failure) {
      this.failure = undefined
      throw failure
    }
    const run = this.take(maxBytes)
    if (this.bufferedBytes < BUFFER_BYTES) this.fetch()
    return run
  }

  async waitForData(timeoutMs: number): Promise<boolean> {
    const hasNews = () => this.buffered.length > 0 || this.failure !== undefined || this.state.read().status === PARTITION_DELETED
    if (hasNews()) return true
    const { status, version } = this.state.read()
    if (status === PARTITION_CLOSED || this.isClosed) return false
    this.fetch()
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs)
      timer.unref()
      this.waiting.push(() => {
        clearTimeout(timer)
        resolve()
      })
      // The topic may be deleted meanwhile.
      void this.state.waitForChange(version, timeoutMs).then(() => this.state.read().status !== 0 && this.wake())
    })
    return hasNews()
  }

  seek(offset: number): void {
    if (offset === this.wanted && this.failure === undefined) return
    this.turn++
    this.wanted = this.fetchOffset = offset
    this.buffered = []
    this.bufferedBytes = 0
    this.failure = undefined
  }

  async seekTime(timeMs: number): Promise<number> {
    const { clusterOf } = await load()
    const cluster = clusterOf(this.options)
    try {
      const partitions = [{ partitionIndex: this.partition, timestamp: BigInt(Math.max(0, Math.ceil(timeMs))) }]
      const [found] = await cluster.admin.listOffsets({ topics: [{ name: this.topic, partitions }] })
      const offset = Number(found.partitions[0].offset)
      this.seek(offset < 0 ? this.range.endOffset : offset)
    } catch (error) {
      throw cluster.error(error, this.topic)
    }
    return this.wanted
  }

  close(): void {
    this.isClosed = true
    this.turn++
    this.buffered = []
    this.disconnect()
    this.wake()
  }

  private take(maxBytes: number): ReadResult | undefined {
    const [run] = this.buffered
    if (!run) return undefined
    let end = run.start
    while (end < run.end) {
      const next = end + batchSizeOf(run.bytes, end)
      if (end > run.start && next - run.start > maxBytes) break
      end = next
    }
    if (end < run.end) {
      const nextOffset = baseOffsetOf(run.bytes, end)
      this.buffered[0] = { ...run, start: end, fromOffset: nextOffset }
      this.bufferedBytes -= end - run.start
      this.wanted = nextOffset
      return { ...run, end, nextOffset }
    }
    this.buffered.shift()
    this.bufferedBytes -= run.end - run.start
    this.wanted = run.nextOffset
    return run
  }

  private fetch(): void {
    if (this.isFetching || this.isClosed || this.failure) return
    this.isFetching = true
    void this.run().finally(() => (this.isFetching = false))
  }

  private async run(): Promise<void> {
    const { clusterOf, fetchBatches, isRetried, CODE } = await load()
    const cluster = clusterOf(this.options)
    let pauseMs = 0
    while (!this.isClosed && this.bufferedBytes < BUFFER_BYTES && !this.failure) {
      const { turn, fetchOffset } = this
      try {
        if (pauseMs > 0) {
          await pause(pauseMs)
          if (this.isClosed) return
        }
        this.connection ??= await cluster.connect(await cluster.leader(this.topic, this.partition, pauseMs > 0))
        if (this.isClosed) return this.disconnect()
        const fetched = await fetchBatches(this.connection, this.topic, this.partition, fetchOffset, {
          isolation: this.isolation,
          maxWaitMs: FETCH_WAIT_MS,
          maxBytes: FETCH_BYTES,
        })
        if (turn !== this.turn) continue
        if (fetched.errorCode === 0) {
          pauseMs = 0
          this.accept(fetched)
        } else if (fetched.errorCode === CODE.OFFSET_OUT_OF_RANGE) {
          const { startOffset, endOffset } = this.range
          this.fail(logErrors('LOG_OFFSET_OUT_OF_RANGE', { offset: fetchOffset, startOffset, endOffset }))
        } else if (isRetried(fetched.errorCode)) {
          this.disconnect()
          pauseMs = nextPause(pauseMs)
        } else {
          const params = { cluster: cluster.name, topic: this.topic, code: fetched.errorCode, reason: 'the fetch was refused' }
          this.fail(logErrors('LOG_REMOTE_REFUSED', params))
        }
      } catch (error) {
        this.disconnect()
        if (turn === this.turn && isStreamError(error) && error.code !== 'LOG_REMOTE_UNAVAILABLE') this.fail(error)
        else pauseMs = nextPause(pauseMs)
      }
    }
  }

  /** Takes what is whole and committed out of an answer. @throws LOG_BATCH_INVALID, LOG_BATCH_CHECKSUM */
  private accept({ records, aborted, highWatermark, lastStableOffset, logStartOffset }: Fetched): void {
    this.startOffset = Math.max(this.startOffset, logStartOffset)
    this.endOffset = Math.max(this.endOffset, this.isolation === 'read_committed' ? lastStableOffset : highWatermark)
    let end = 0
    let nextOffset = this.fetchOffset
    const dropped: [start: number, end: number][] = []
    const open = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset)
    const isAborted = new Set<number>()
    while (end + BATCH_PREFIX_BYTES <= records.length && end + batchSizeOf(records, end) <= records.length) {
      const sizeBytes = verifyBatch(records, end, records.length)
      const last = nextOffsetOf(records, end)
      const { isTransactional, isControl } = batchHeaderOf(records, end)
      const producerId = readInt64(records, end + PRODUCER_ID_AT)
      while (open.length > 0 && open[0].firstOffset < last) isAborted.add(open.shift()!.producerId)
      if (isControl) {
        if (isAbortMarker(records, end, end + sizeBytes)) isAborted.delete(producerId)
        dropped.push([end, end + sizeBytes])
      } else if (isTransactional && isAborted.has(producerId)) dropped.push([end, end + sizeBytes])
      end += sizeBytes
      nextOffset = last
    }
    // Nothing whole: a batch larger than a fetch would come alone and whole, so nothing is there.
    if (end === 0) return
    const kept = dropped.length === 0 ? { bytes: records, end } : without(records, end, dropped)
    this.buffered.push({ bytes: kept.bytes, start: 0, end: kept.end, fromOffset: this.fetchOffset, nextOffset })
    this.bufferedBytes += kept.end
    this.fetchOffset = nextOffset
    this.wake()
  }

  private fail(error: StreamError): void {
    this.failure = error
    this.wake()
  }

  private wake(): void {
    for (const wake of this.waiting.splice(0)) wake()
  }

  private disconnect(): void {
    this.connection?.close().catch(() => {})
    this.connection = undefined
  }
}

const nextPause = (pauseMs: number): number => Math.min(RETRY_PAUSE_MAX_MS, Math.max(RETRY_PAUSE_MS, pauseMs * 2))
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref())

/** A control record's key is version and type, both int16; type 0 is an abort. */
function isAbortMarker(bytes: Uint8Array, start: number, end: number): boolean {
  // Seen as an ordinary batch, its records can be read.
  const copy = bytes.slice(start, end)
  copy[ATTRIBUTES_AT + 1] &= ~0x20
  for (const { key } of readRecords(copy, 0, copy.length)) return key !== null && key[3] === 0
  return false
}

function without(bytes: Uint8Array, end: number, dropped: readonly [number, number][]): { bytes: Uint8Array; end: number } {
  const kept = Buffer.allocUnsafeSlow(end)
  let at = 0
  let from = 0
  for (const [start, stop] of [...dropped, [end, end]]) {
    kept.set(bytes.subarray(from, start), at)
    at += start - from
    from = stop
  }
  return { bytes: kept, end: at }
}
