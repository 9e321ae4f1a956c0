// The log as the rest of the process sees it: topics, appends, reads. The writer thread does the writing.
//
// Invariants
//   1. `pendingBytes` is what was handed over and not answered; above the limit an append is refused at once, so memory is bounded.
//   2. What arrives in one tick goes to the writer at its end (appendRing.ts), as far as the ring has room, and what is answered makes room for
//      the next: when a sync ends, all that came meanwhile is one group.
//   3. If the writer stops, every waiting and later append is refused with LOG_WRITER_STOPPED: none hangs.
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { realpathSync } from 'node:fs'
import { type MessagePort, Worker } from 'node:worker_threads'
import type { ErrorBody, StreamError } from '../base/index.ts'
import { RING_BATCH_BYTES_MAX, type RingAnswer, type RingAppend, RingPoster } from './appendRing.ts'
import { browse } from './browse.ts'
import { Cleaner } from './cleaner.ts'
import type {
  AppendOptions,
  AppendResult,
  BrowsedRecord,
  BrowseOptions,
  LocalLog,
  LogLimits,
  LogOptions,
  LogStats,
  PartitionInfo,
  ProducerInfo,
  RecordInput,
  RecoveryReport,
  TopicConfig,
  TopicDefaults,
  TopicDescriptor,
  TopicInfo,
} from './contract.ts'
import { logErrors, reviveLogError } from './errors.ts'
import { lockFolder } from './folderLock.ts'
import { logMetrics } from './logMetrics.ts'
import { PartitionState } from './partitionState.ts'
import type { PinnedLog } from './pin.ts'
import { asTopicWants } from './recompress.ts'
import { BATCH_HEADER_BYTES, batchOfRecords, RECORD_COUNT_AT, readInt32 } from './recordBatch.ts'
import type { CallName, Calls, FromWriter, TopicHandle, ToWriter, WriterOptions } from './writerMessages.ts'

const defaultLimits: LogLimits = {
  pendingBytesMax: 64 * 1024 * 1024,
  retentionCheckMs: 30_000,
  compactionCheckMs: 15_000,
  compactionKeysMax: 2_000_000,
}
const SYNCS_KEPT = 1024
/** How often the writer is asked for a sign that it is there. */
const BEAT_MS = 1_000

interface Waiting extends RingAppend {
  topicName: string
  recordCount: number
  resolve: (result: AppendResult) => void
  reject: (error: Error) => void
}
interface KnownTopic extends TopicHandle {
  views: PartitionState[]
}

/**
 * Opens the log in a data folder, alone: locks the folder, mends what a crash left (see `stats().recovery`), starts the writer thread.
 *
 * @throws DATA_FOLDER_LOCKED, DATA_FOLDER_NOT_WRITABLE, LOG_METADATA_DAMAGED, LOG_READ_FAILED, LOG_WRITE_FAILED, LOG_DISK_FULL
 */
export async function openLog(options: LogOptions): Promise<LocalLog> {
  const unlock = lockFolder(options.folder)
  try {
    const folder = realpathSync(options.folder)
    const clock = options.clock ?? Date.now
    const ring = new RingPoster()
    const { host } = options
    const workerData: WriterOptions = {
      folder,
      durability: options.durability ?? 'fsync',
      nowMs: clock(),
      ring: ring.shared,
      host: host?.port,
    }
    const worker = new Worker(host?.thread ?? new URL('./writerThread.ts', import.meta.url), {
      workerData,
      transferList: host ? [host.port as MessagePort] : [],
      name: 'log-writer',
    })
    const [first] = (await once(worker, 'message')) as [FromWriter]
    if (first.kind === 'failed') {
      await once(worker, 'exit')
      throw reviveLogError(first.error)
    }
    if (first.kind !== 'ready') throw logErrors('LOG_WRITER_STOPPED', { reason: `it began with ${first.kind}` })
    return new WriterLog(folder, clock, { ...defaultLimits, ...options.limits }, worker, ring, unlock, first.topics, first.recovery)
  } catch (error) {
    unlock()
    throw error
  }
}

class WriterLog implements LocalLog {
  readonly folder: string
  pendingBytes = 0
  private readonly clock: () => number
  private readonly limits: LogLimits
  private readonly worker: Worker
  private readonly ring: RingPoster
  private readonly unlock: () => void
  private readonly recovery: RecoveryReport[]
  private readonly known = new Map<string, KnownTopic>()
  /** By topic and partition. */
  private readonly refusing = new Map<string, LogStats['refusing'][number]>()
  private readonly retentionTimer: NodeJS.Timeout
  private readonly cleaner: Cleaner
  private readonly beatTimer: NodeJS.Timeout
  private isBeatAwaited = false
  /** For how long, by looks of this thread: one that was suspended with its process has heard nobody. */
  private silentMs = 0
  /** Appends that are not in the ring yet, oldest first. */
  private queue: Waiting[] = []
  /** Appends in the ring, oldest first. */
  private inFlight: Waiting[] = []
  /** Of the next appends in the ring that failed, oldest first. */
  private readonly errors: ErrorBody[] = []
  private readonly calls = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  private lastCallId = 0
  private flushPlanned = false
  private stopped: StreamError | undefined
  private closing: Promise<void> | undefined
  private readonly syncsMs: number[] = []
  private syncCount = 0

  constructor(
    folder: string,
    clock: () => number,
    limits: LogLimits,
    worker: Worker,
    ring: RingPoster,
    unlock: () => void,
    topics: TopicHandle[],
    recovery: RecoveryReport[],
  ) {
    this.folder = folder
    this.clock = clock
    this.limits = limits
    this.worker = worker
    this.ring = ring
    this.unlock = unlock
    this.recovery = recovery
    for (const topic of topics) this.remember(topic)
    for (const { kind, cutBytes } of recovery) {
      if (kind === 'cut') logMetrics.cutBytes.inc(cutBytes)
      else if (kind === 'damaged') logMetrics.damages.inc()
    }
    worker.on('message', (message: FromWriter) => this.receive(message))
    worker.on('error', (error) => this.stop(error.message))
    worker.on('exit', () => this.stop('it ended'))
    // The process may end while the log is idle; it stays while an append or a call waits for its answer.
    worker.unref()
    void this.listen()
    this.retentionTimer = setInterval(() => this.enforceRetention().catch(() => {}), limits.retentionCheckMs)
    this.retentionTimer.unref()
    this.beatTimer = setInterval(() => this.askForBeat(), BEAT_MS)
    this.beatTimer.unref()
    this.cleaner = new Cleaner((name, ...args) => this.call(name, ...args), limits)
  }

  async createTopic(name: string, config: Partial<TopicConfig> = {}): Promise<TopicInfo> {
    return this.remember(await this.call('createTopic', name, randomUUID(), config))
  }

  async alterTopic(name: string, config: Partial<TopicConfig>): Promise<TopicInfo> {
    return this.remember(await this.call('alterTopic', name, config))
  }

  async alterDefaults(defaults: TopicDefaults): Promise<void> {
    for (const topic of await this.call('alterDefaults', defaults)) this.remember(topic)
  }

  async deleteTopic(name: string): Promise<void> {
    await this.call('deleteTopic', name)
    this.known.delete(name)
  }

  async deleteRecords(name: string, partition: number, beforeOffset: number): Promise<number> {
    this.checkPartition(this.find(name), partition)
    return this.call('deleteRecords', name, partition, beforeOffset)
  }

  async describeProducers(name: string, partition: number): Promise<ProducerInfo[]> {
    this.checkPartition(this.find(name), partition)
    return this.call('describeProducers', name, partition)
  }

  async pin(folder: string): Promise<PinnedLog> {
    return this.call('pin', folder)
  }

  topics(): TopicInfo[] {
    return [...this.known.values()].map(infoOf)
  }

  topic(name: string): TopicInfo | undefined {
    const topic = this.known.get(name)
    return topic && infoOf(topic)
  }

  topicId(name: string): string | undefined {
    return this.known.get(name)?.id
  }

  topicName(id: string): string | undefined {
    return [...this.known.values()].find((topic) => topic.id === id)?.name
  }

  partition(name: string, partition: number): PartitionInfo | undefined {
    const view = this.known.get(name)?.views[partition]
    return view && partitionInfoOf(view, partition)
  }

  append(topicName: string, partition: number, sent: Uint8Array, options: AppendOptions = {}): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      const topic = this.find(topicName)
      this.checkPartition(topic, partition)
      this.checkOpen()
      if (sent.length < BATCH_HEADER_BYTES) {
        throw logErrors('LOG_BATCH_INVALID', { position: 0, reason: `${sent.length} bytes are less than a batch header` })
      }
      const batch = asTopicWants(topic, sent, options.isForeign === true)
      const sizeBytes = batch.length
      const pendingBytes = this.pendingBytes + sizeBytes
      // A single batch may be larger than the limit: refusing it would never end.
      if (this.pendingBytes > 0 && pendingBytes > this.limits.pendingBytesMax) {
        logMetrics.rejected.inc({ code: 'LOG_OVERLOADED' })
        throw logErrors('LOG_OVERLOADED', { pendingBytes: this.pendingBytes, limitBytes: this.limits.pendingBytesMax })
      }
      const recordCount = readInt32(batch, RECORD_COUNT_AT)
      if (options.recordCount !== undefined && options.recordCount !== recordCount) {
        const reason = `its header says ${recordCount} records, the caller ${options.recordCount}`
        throw logErrors('LOG_BATCH_INVALID', { position: RECORD_COUNT_AT, reason })
      }
      const isForeign = options.isForeign === true
      this.queue.push({
        topic: topic.number,
        partition,
        batch,
        isForeign,
        nowMs: this.clock(),
        topicName,
        recordCount,
        resolve,
        reject,
      })
      this.pendingBytes = pendingBytes
      this.planFlush()
    })
  }

  async appendRecords(topic: string, partition: number, records: readonly RecordInput[]): Promise<AppendResult> {
    return this.append(topic, partition, batchOfRecords(records))
  }

  async readMessages(name: string, options: BrowseOptions = {}): Promise<BrowsedRecord[]> {
    const topic = this.find(name)
    if (options.partition !== undefined) this.checkPartition(topic, options.partition)
    return browse(this.descriptor(name), infoOf(topic).partitions, options)
  }

  descriptor(name: string): TopicDescriptor {
    const { id, folder, states } = this.find(name)
    return { topic: name, id, partitions: states.map((state, partition) => ({ partition, folder: `${folder}/${partition}`, state })) }
  }

  async enforceRetention(): Promise<number> {
    return this.call('enforceRetention')
  }

  async compact(): Promise<number> {
    return this.cleaner.run()
  }

  /** Nobody else writes here. */
  async refresh(): Promise<void> {}

  stats(): LogStats {
    const syncs = this.syncsMs.toSorted((a, b) => a - b)
    const quantile = (q: number) => syncs[Math.min(syncs.length - 1, Math.floor(syncs.length * q))] ?? 0
    let sizeBytes = 0
    for (const topic of this.known.values()) for (const view of topic.views) sizeBytes += view.read().sizeBytes
    return {
      pendingBytes: this.pendingBytes + this.ring.ownBytes,
      sizeBytes,
      syncCount: this.syncCount,
      syncMsP50: quantile(0.5),
      syncMsP99: quantile(0.99),
      cutBytes: this.recovery.reduce((sum, report) => sum + report.cutBytes, 0),
      recovery: this.recovery,
      writer: { stopped: this.stopped, silentMs: this.silentMs },
      refusing: [...this.refusing.values()].filter(({ topic }) => this.known.has(topic)),
    }
  }

  noteDamage(report: RecoveryReport): void {
    this.recovery.push(report)
    if (report.kind === 'damaged') logMetrics.damages.inc()
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown()
    return this.closing
  }

  private async shutDown(): Promise<void> {
    clearInterval(this.retentionTimer)
    clearInterval(this.beatTimer)
    try {
      await this.cleaner.stop()
      if (!this.stopped) {
        const ended = new Promise((resolve) => this.worker.once('exit', resolve))
        await this.send('close', [])
        this.worker.ref()
        await ended
      }
    } finally {
      this.stop('the log was closed')
      this.unlock()
    }
  }

  private find(name: string): KnownTopic {
    const topic = this.known.get(name)
    if (!topic) throw logErrors('LOG_TOPIC_NOT_FOUND', { topic: name })
    return topic
  }

  private checkPartition(topic: KnownTopic, partition: number): void {
    const partitionCount = topic.states.length
    if (topic.states[partition] === undefined) throw logErrors('LOG_PARTITION_NOT_FOUND', { topic: topic.name, partition, partitionCount })
  }

  private checkOpen(): void {
    if (this.stopped) throw this.stopped
    if (this.closing) throw logErrors('LOG_CLOSED', { folder: this.folder })
  }

  private remember(topic: TopicHandle): TopicInfo {
    const known = { ...topic, views: topic.states.map((state) => new PartitionState(state)) }
    this.known.set(topic.name, known)
    return infoOf(known)
  }

  private planFlush(): void {
    if (this.flushPlanned) return
    this.flushPlanned = true
    queueMicrotask(() => {
      this.flushPlanned = false
      this.flush()
    })
  }

  /** Moves what has room into the ring and wakes the writer. */
  private flush(): void {
    if (this.stopped) return
    const { inFlight, queue, ring, worker } = this
    let posted = 0
    for (const waiting of queue) {
      if (!ring.put(waiting)) break
      const { batch } = waiting
      if (batch.length > RING_BATCH_BYTES_MAX) worker.postMessage({ kind: 'batch', bytes: batch } satisfies ToWriter)
      inFlight.push(waiting)
      posted++
    }
    if (posted === 0) return
    queue.splice(0, posted)
    worker.ref()
    ring.signal()
  }

  private async call<N extends CallName>(name: N, ...args: Calls[N]['args']): Promise<Calls[N]['result']> {
    this.checkOpen()
    return this.send(name, args)
  }

  private askForBeat(): void {
    this.measure()
    if (this.isBeatAwaited) this.silentMs += BEAT_MS
    if (this.isBeatAwaited || this.stopped || this.closing) return
    this.isBeatAwaited = true
    const done = () => {
      this.isBeatAwaited = false
      this.silentMs = 0
    }
    this.send('beat', []).then(done, done)
  }

  /** What was appended before the call is written before it. */
  private send<N extends CallName>(name: N, args: Calls[N]['args']): Promise<Calls[N]['result']> {
    const id = ++this.lastCallId
    this.flush()
    // What does not fit into the ring is posted later, but with a number that is known.
    const afterAppends = this.ring.postedCount + this.queue.length
    const message: ToWriter = { kind: 'call', nowMs: this.clock(), afterAppends, id, name, args }
    return new Promise((resolve, reject) => {
      this.calls.set(id, { resolve: resolve as (result: unknown) => void, reject })
      this.worker.ref()
      this.worker.postMessage(message)
      this.ring.signal()
    })
  }

  private receive(message: FromWriter): void {
    if (message.kind === 'errors') {
      this.errors.push(...message.errors)
      this.acknowledge()
    }
    if (message.kind === 'failed') this.stop(message.error.message)
    if (message.kind === 'topic') this.remember(message.topic)
    if (message.kind === 'topicGone') this.known.delete(message.name)
    if (message.kind === 'damage') this.noteDamage(message.report)
    if (message.kind === 'refusing') {
      const { topic, partition, error } = message
      if (error) this.refusing.set(placeOf(topic, partition), { topic, partition, error: reviveLogError(error) })
      else this.refusing.delete(placeOf(topic, partition))
    }
    if (message.kind === 'reply') {
      const call = this.calls.get(message.id)
      this.calls.delete(message.id)
      if (message.error) call?.reject(reviveLogError(message.error))
      else call?.resolve(message.result)
    }
    this.rest()
  }

  private async listen(): Promise<void> {
    while (!this.stopped) {
      await this.ring.waitForAnswers()
      if (this.stopped) return
      this.acknowledge()
      this.rest()
    }
  }

  /** Lets the process end if nothing waits for the writer. */
  private rest(): void {
    if (this.inFlight.length === 0 && this.calls.size === 0 && this.queue.length === 0) this.worker.unref()
  }

  /** What the writer did, also for appends of its own thread. */
  private measure(): void {
    this.ring.syncs((syncMs) => {
      this.syncsMs[this.syncCount++ % SYNCS_KEPT] = syncMs
      logMetrics.syncSeconds.observe(syncMs / 1000)
    })
    logMetrics.pendingBytes.set(this.pendingBytes + this.ring.ownBytes)
  }

  private acknowledge(): void {
    let count = 0
    this.ring.answers((answer) => {
      const isFailed = Number.isNaN(answer.first)
      // Its message is on its way.
      if (isFailed && this.errors.length === 0) return false
      this.settle(this.inFlight[count++], answer, isFailed ? this.errors.shift() : undefined)
      return true
    })
    this.inFlight.splice(0, count)
    this.measure()
    if (this.queue.length > 0) this.flush()
  }

  private settle(waiting: Waiting, { first, last, logAppendTimeMs }: RingAnswer, failure: ErrorBody | undefined): void {
    const { partition, batch, topicName: topic } = waiting
    const place = placeOf(topic, partition)
    this.pendingBytes -= batch.length
    if (failure) {
      const error = reviveLogError(failure)
      if (error.kind === 'external') this.refusing.set(place, { topic, partition, error })
      logMetrics.rejected.inc({ code: error.code })
      waiting.reject(error)
      return
    }
    this.refusing.delete(place)
    logMetrics.appendedBytes.inc(topic, batch.length)
    logMetrics.appendedRecords.inc(topic, waiting.recordCount)
    waiting.resolve(Number.isNaN(logAppendTimeMs) ? { partition, first, last } : { partition, first, last, logAppendTimeMs })
  }

  /** The writer is gone: nothing that waits may wait forever. */
  private stop(reason: string): void {
    if (this.stopped) return
    const stopped = this.closing ? logErrors('LOG_CLOSED', { folder: this.folder }) : logErrors('LOG_WRITER_STOPPED', { reason })
    this.stopped = stopped
    // What the writer has answered before it ended may not have been looked at yet.
    this.acknowledge()
    clearInterval(this.retentionTimer)
    clearInterval(this.beatTimer)
    for (const waiting of [...this.inFlight, ...this.queue]) waiting.reject(stopped)
    for (const call of this.calls.values()) call.reject(stopped)
    this.calls.clear()
    this.inFlight = []
    this.queue = []
    this.pendingBytes = 0
    logMetrics.pendingBytes.set(0)
    this.ring.wake()
  }
}

const placeOf = (topic: string, partition: number): string => `${topic}/${partition}`

const infoOf = ({ name, id, config, views }: KnownTopic): TopicInfo => ({ name, id, config, partitions: views.map(partitionInfoOf) })

function partitionInfoOf(view: PartitionState, partition: number): PartitionInfo {
  const { startOffset, endOffset, lastStableOffset, sizeBytes } = view.read()
  return { partition, startOffset, endOffset, lastStableOffset, sizeBytes }
}
