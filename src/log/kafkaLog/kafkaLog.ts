// The log in a real Kafka: the same interface as our own files, over a cluster that others may use too.
//
// Metadata and offsets are kept here and asked for again every TOPICS_MS and OFFSETS_MS, for topics in use; `refresh` does it at once. What this
// process appends is known as soon as it is acknowledged.
//
// Invariants
//   1. `pendingBytes` is what was handed over and not acknowledged; above the limit an append is refused at once, so memory is bounded.
//   2. An acknowledgement means acks=all: on all replicas in sync.
//   3. Internal topics of the cluster are not shown.
import type { Connection } from '@platformatic/kafka'
import { browse } from '../browse.ts'
import type {
  AppendOptions,
  AppendResult,
  BrowsedRecord,
  BrowseOptions,
  ClusterOptions,
  KafkaLogOptions,
  Log,
  LogStats,
  RecordInput,
  TopicConfig,
  TopicDescriptor,
  TopicInfo,
} from '../contract.ts'
import { logErrors } from '../errors.ts'
import { logMetrics } from '../logMetrics.ts'
import { PARTITION_CLOSED, PARTITION_DELETED, PARTITION_OPEN, type PartitionSnapshot, PartitionState } from '../partitionState.ts'
import { BATCH_HEADER_BYTES, batchOfRecords, RECORD_COUNT_AT, readInt32, verifyBatch } from '../recordBatch.ts'
import { checkTopicConfig, checkTopicName, defaultTopicConfig } from '../topicMeta.ts'
import { type Cluster, CODE, clusterOf, codeIn, forgetCluster } from './cluster.ts'
import { PartitionSender, type ProducerId } from './sender.ts'

const PENDING_BYTES_MAX = 64 * 1024 * 1024
const OFFSETS_MS = 500
const TOPICS_MS = 10_000
/** A topic that nobody asked for since is looked at with all others. */
const IN_USE_MS = 60_000
const SETTLE_MS_MAX = 15_000
const SETTLE_PAUSE_MS = 50
const EARLIEST = -2n
const LATEST = -1n
const READ_UNCOMMITTED = 0
const READ_COMMITTED = 1
const TOPIC_RESOURCE = 2
const SET = 0
const configNames = Object.keys(defaultTopicConfig).filter((name) => name !== 'partitionCount') as (keyof Omit<
  TopicConfig,
  'partitionCount'
>)[]

interface KnownTopic {
  name: string
  id: string
  config: TopicConfig
  states: PartitionState[]
  senders: (PartitionSender | undefined)[]
  usedMs: number
}

/** @throws LOG_REMOTE_UNAVAILABLE, LOG_REMOTE_REFUSED */
export async function openKafkaLog(options: KafkaLogOptions): Promise<Log> {
  const log = new KafkaLog(options)
  try {
    await log.refreshTopics()
  } catch (error) {
    await log.close()
    throw error
  }
  return log
}

class KafkaLog implements Log {
  pendingBytes = 0
  private readonly options: ClusterOptions
  private readonly pendingBytesMax: number
  private readonly cluster: Cluster
  private readonly known = new Map<string, KnownTopic>()
  private readonly connections = new Map<string, Promise<Connection>>()
  private readonly timers: NodeJS.Timeout[]
  private producerId: Promise<ProducerId> | undefined
  private isClosed = false
  private isRefreshing = false

  constructor({ pendingBytesMax = PENDING_BYTES_MAX, ...options }: KafkaLogOptions) {
    this.options = options
    this.pendingBytesMax = pendingBytesMax
    this.cluster = clusterOf(options)
    const every = (ms: number, work: () => Promise<void>) =>
      setInterval(() => {
        if (this.isRefreshing) return
        this.isRefreshing = true
        // An outage shows where somebody wants something; here the next round tries again.
        work()
          .catch(() => {})
          .finally(() => (this.isRefreshing = false))
      }, ms).unref()
    this.timers = [
      every(OFFSETS_MS, () => this.refreshOffsets([...this.known.values()].filter(({ usedMs }) => Date.now() - usedMs < IN_USE_MS))),
      every(TOPICS_MS, () => this.refreshTopics()),
    ]
  }

  topics(): TopicInfo[] {
    return [...this.known.values()].map(infoOf)
  }

  topic(name: string): TopicInfo | undefined {
    const topic = this.known.get(name)
    if (topic) topic.usedMs = Date.now()
    return topic && infoOf(topic)
  }

  async createTopic(name: string, config: Partial<TopicConfig> = {}): Promise<TopicInfo> {
    checkTopicName(name)
    checkTopicConfig(defaultTopicConfig, config)
    const { partitionCount = defaultTopicConfig.partitionCount, own: _, ...settings } = config
    const configs = Object.entries(settings).map(([key, value]) => ({ name: key, value: String(value) }))
    await this.ask(name, () => this.cluster.admin.createTopics({ topics: [name], partitions: partitionCount, replicas: -1, configs }))
    return this.settle(name, (topic) => topic?.states.length === partitionCount)
  }

  async deleteTopic(name: string): Promise<void> {
    const topic = this.find(name)
    await this.ask(name, () => this.cluster.admin.deleteTopics({ topics: [name] }))
    this.forget(topic)
    const deadlineMs = performance.now() + SETTLE_MS_MAX
    while ((await this.names()).includes(name) && performance.now() < deadlineMs) await sleep(SETTLE_PAUSE_MS)
  }

  async alterTopic(name: string, config: Partial<TopicConfig>): Promise<TopicInfo> {
    const topic = this.find(name)
    const wanted = checkTopicConfig(topic.config, config)
    const { partitionCount, own: _, ...settings } = config
    const { admin } = this.cluster
    if (partitionCount !== undefined && partitionCount !== topic.states.length) {
      if (partitionCount < topic.states.length) {
        const reason = `it has ${topic.states.length}, and partitions cannot be taken away`
        throw logErrors('LOG_TOPIC_CONFIG_INVALID', { key: 'partitionCount', value: partitionCount, reason })
      }
      await this.ask(name, () => admin.createPartitions({ topics: [{ name, count: partitionCount, assignments: null as never }] }))
    }
    const configs = Object.entries(settings).map(([key, value]) => ({ name: key, configOperation: SET, value: String(value) }))
    if (configs.length > 0) {
      const resources = [{ resourceType: TOPIC_RESOURCE, resourceName: name, configs }]
      await this.ask(name, () => admin.incrementalAlterConfigs({ resources: resources as never }))
    }
    return this.settle(
      name,
      (now) => now?.states.length === wanted.partitionCount && configNames.every((key) => now.config[key] === wanted[key]),
    )
  }

  async append(name: string, partition: number, batch: Uint8Array, options: AppendOptions = {}): Promise<AppendResult> {
    const topic = this.find(name)
    const state = this.partition(topic, partition)
    if (this.isClosed) throw logErrors('LOG_CLOSED', { folder: this.cluster.name })
    const sizeBytes = batch.length
    // A single batch may be larger than the limit: refusing it would never end.
    if (this.pendingBytes > 0 && this.pendingBytes + sizeBytes > this.pendingBytesMax) {
      logMetrics.rejected.inc({ code: 'LOG_OVERLOADED' })
      throw logErrors('LOG_OVERLOADED', { pendingBytes: this.pendingBytes, limitBytes: this.pendingBytesMax })
    }
    if (sizeBytes < BATCH_HEADER_BYTES || verifyBatch(batch, 0, sizeBytes) !== sizeBytes) {
      throw logErrors('LOG_BATCH_INVALID', { position: 0, reason: `not one batch in ${sizeBytes} bytes` })
    }
    const recordCount = readInt32(batch, RECORD_COUNT_AT)
    if (options.recordCount !== undefined && options.recordCount !== recordCount) {
      const reason = `its header says ${recordCount} records, the caller ${options.recordCount}`
      throw logErrors('LOG_BATCH_INVALID', { position: RECORD_COUNT_AT, reason })
    }
    topic.senders[partition] ??= this.makeSender(name, partition)
    const sender = topic.senders[partition]
    this.pendingBytes += sizeBytes
    logMetrics.pendingBytes.set(this.pendingBytes)
    try {
      const first = await sender.append(batch)
      const last = first + recordCount - 1
      const seen = state.read()
      if (last >= seen.endOffset) {
        const isStable = seen.lastStableOffset === seen.endOffset
        publish(state, { ...seen, endOffset: last + 1, lastStableOffset: isStable ? last + 1 : seen.lastStableOffset })
      }
      logMetrics.appendedBytes.inc(name, sizeBytes)
      logMetrics.appendedRecords.inc(name, recordCount)
      return { partition, first, last }
    } catch (error) {
      const failure = this.cluster.error(error, name)
      logMetrics.rejected.inc({ code: failure.code })
      throw failure
    } finally {
      this.pendingBytes -= sizeBytes
      logMetrics.pendingBytes.set(this.pendingBytes)
    }
  }

  async appendRecords(topic: string, partition: number, records: readonly RecordInput[]): Promise<AppendResult> {
    return this.append(topic, partition, batchOfRecords(records))
  }

  async readMessages(name: string, options: BrowseOptions = {}): Promise<BrowsedRecord[]> {
    const topic = this.find(name)
    if (options.partition !== undefined) this.partition(topic, options.partition)
    await this.refreshOffsets([topic])
    return browse(this.descriptor(name), infoOf(topic).partitions, options)
  }

  descriptor(name: string): TopicDescriptor {
    const { id, states } = this.find(name)
    const partitions = states.map(({ shared }, partition) => ({ partition, folder: '', state: shared }))
    return { topic: name, id, cluster: this.options, partitions }
  }

  async deleteRecords(name: string, partition: number, beforeOffset: number): Promise<number> {
    const topic = this.find(name)
    const state = this.partition(topic, partition)
    try {
      const topics = [{ name, partitions: [{ partition, offset: BigInt(beforeOffset) }] }]
      const [deleted] = await this.cluster.admin.deleteRecords({ topics })
      const startOffset = Number(deleted.partitions[0].lowWatermark)
      publish(state, { ...state.read(), startOffset })
      return startOffset
    } catch (error) {
      if (codeIn(error) !== CODE.OFFSET_OUT_OF_RANGE) throw this.cluster.error(error, name)
      const { startOffset, endOffset } = state.read()
      throw logErrors('LOG_OFFSET_OUT_OF_RANGE', { offset: beforeOffset, startOffset, endOffset }, { cause: error })
    }
  }

  /** The cluster does that by itself. */
  async enforceRetention(): Promise<number> {
    return 0
  }

  /** The cluster does that by itself. */
  async compact(): Promise<number> {
    return 0
  }

  async refresh(names?: readonly string[]): Promise<void> {
    if (!names || names.some((name) => !this.known.has(name))) await this.refreshTopics()
    else await this.refreshOffsets(names.map((name) => this.find(name)))
  }

  stats(): LogStats {
    return {
      pendingBytes: this.pendingBytes,
      sizeBytes: 0,
      syncCount: 0,
      syncMsP50: 0,
      syncMsP99: 0,
      cutBytes: 0,
      recovery: [],
      refusing: [],
    }
  }

  async close(): Promise<void> {
    if (this.isClosed) return
    this.isClosed = true
    for (const timer of this.timers) clearInterval(timer)
    const deadlineMs = performance.now() + SETTLE_MS_MAX
    while (this.pendingBytes > 0 && performance.now() < deadlineMs) await sleep(SETTLE_PAUSE_MS)
    const closed = logErrors('LOG_CLOSED', { folder: this.cluster.name })
    for (const { states, senders } of this.known.values()) {
      for (const sender of senders) sender?.stop(closed)
      for (const state of states) publish(state, { ...state.read(), status: PARTITION_CLOSED })
    }
    for (const connection of this.connections.values()) await connection.then((open) => open.close()).catch(() => {})
    await forgetCluster(this.options)
  }

  /** Asks for all topics, their settings and offsets. */
  async refreshTopics(): Promise<void> {
    const names = await this.names()
    for (const topic of [...this.known.values()]) if (!names.includes(topic.name)) this.forget(topic)
    if (names.length === 0) return
    await this.ask(names[0], async () => {
      const { admin } = this.cluster
      const metadata = await admin.metadata({ topics: names, forceUpdate: true, autocreateTopics: false })
      const resources = names.map((name) => ({ resourceType: TOPIC_RESOURCE, resourceName: name, configurationKeys: configNames }))
      const described = await admin.describeConfigs({ resources: resources as never })
      for (const [name, { id, partitions }] of metadata.topics) {
        const settings = described.find(({ resourceName }) => resourceName === name)?.configs ?? []
        const config: Record<string, unknown> = { ...defaultTopicConfig, partitionCount: partitions.length }
        for (const { name: key, value } of settings) {
          if (key in defaultTopicConfig && value !== null) config[key] = configValue(key as keyof TopicConfig, String(value))
        }
        let topic = this.known.get(name)
        if (topic && topic.id !== id) {
          this.forget(topic)
          topic = undefined
        }
        topic ??= { name, id, config: defaultTopicConfig, states: [], senders: [], usedMs: 0 }
        topic.config = config as unknown as TopicConfig
        while (topic.states.length < partitions.length) topic.states.push(newState())
        this.known.set(name, topic)
      }
    })
    await this.refreshOffsets([...this.known.values()])
  }

  private async refreshOffsets(topics: readonly KnownTopic[]): Promise<void> {
    if (topics.length === 0 || this.isClosed) return
    const at = async (timestamp: bigint, isolationLevel: 0 | 1) => {
      const wanted = topics.map(({ name, states }) => ({
        name,
        partitions: states.map((_, partitionIndex) => ({ partitionIndex, timestamp })),
      }))
      const listed = await this.cluster.admin.listOffsets({ topics: wanted, isolationLevel })
      return new Map(
        listed.flatMap(({ name, partitions }) => partitions.map((one) => [`${name}/${one.partitionIndex}`, Number(one.offset)] as const)),
      )
    }
    await this.ask(topics[0].name, async () => {
      const [starts, ends, stables] = await Promise.all([
        at(EARLIEST, READ_UNCOMMITTED),
        at(LATEST, READ_UNCOMMITTED),
        at(LATEST, READ_COMMITTED),
      ])
      for (const { name, states } of topics) {
        for (const [partition, state] of states.entries()) {
          const seen = state.read()
          const of = (offsets: Map<string, number>) => offsets.get(`${name}/${partition}`)
          const startOffset = of(starts) ?? seen.startOffset
          // What was appended from here is known before the cluster's answer, which may be older.
          const endOffset = Math.max(of(ends) ?? 0, seen.endOffset)
          const stable = of(stables) ?? seen.lastStableOffset
          const lastStableOffset = stable >= (of(ends) ?? 0) ? endOffset : stable
          if (startOffset === seen.startOffset && endOffset === seen.endOffset && lastStableOffset === seen.lastStableOffset) continue
          publish(state, { status: seen.status, startOffset, endOffset, lastStableOffset })
        }
      }
    })
  }

  private names(): Promise<string[]> {
    return this.ask('', () => this.cluster.admin.listTopics({ includeInternals: false }))
  }

  /** Waits until the cluster shows what was changed: its brokers learn of it one after the other. */
  private async settle(name: string, isThere: (topic: KnownTopic | undefined) => boolean): Promise<TopicInfo> {
    const deadlineMs = performance.now() + SETTLE_MS_MAX
    for (;;) {
      let failure: unknown
      try {
        await this.refreshTopics()
        if (isThere(this.known.get(name))) return this.topic(name)!
      } catch (error) {
        failure = error
      }
      if (performance.now() > deadlineMs) {
        throw (
          failure ??
          logErrors('LOG_REMOTE_UNAVAILABLE', { cluster: this.cluster.name, reason: `topic ${name} did not appear as it was asked for` })
        )
      }
      await sleep(SETTLE_PAUSE_MS)
    }
  }

  private async ask<T>(topic: string, call: () => Promise<T>): Promise<T> {
    if (this.isClosed) throw logErrors('LOG_CLOSED', { folder: this.cluster.name })
    try {
      return await call()
    } catch (error) {
      throw this.cluster.error(error, topic)
    }
  }

  private makeSender(topic: string, partition: number): PartitionSender {
    return new PartitionSender({
      cluster: this.cluster,
      topic,
      partition,
      connect: (fresh) => this.connectToLeader(topic, partition, fresh),
      producer: (fresh) => {
        if (fresh) return this.newProducerId()
        this.producerId ??= this.newProducerId().catch((error) => {
          this.producerId = undefined
          throw error
        })
        return this.producerId
      },
    })
  }

  private async connectToLeader(topic: string, partition: number, fresh: boolean): Promise<Connection> {
    const broker = await this.cluster.leader(topic, partition, fresh)
    const key = `${broker.host}:${broker.port}`
    const known = await this.connections.get(key)?.catch(() => undefined)
    if (known?.isConnected()) return known
    const made = this.cluster.connect(broker)
    this.connections.set(key, made)
    made.catch(() => this.connections.delete(key))
    return made
  }

  private async newProducerId(): Promise<ProducerId> {
    const { producerId, producerEpoch } = await this.cluster.initProducerId(null)
    return { id: producerId, epoch: producerEpoch }
  }

  private forget(topic: KnownTopic): void {
    this.known.delete(topic.name)
    for (const sender of topic.senders) sender?.stop(logErrors('LOG_TOPIC_DELETED', { topic: topic.name }))
    for (const state of topic.states) publish(state, { ...state.read(), status: PARTITION_DELETED })
  }

  private find(name: string): KnownTopic {
    const topic = this.known.get(name)
    if (!topic) throw logErrors('LOG_TOPIC_NOT_FOUND', { topic: name })
    topic.usedMs = Date.now()
    return topic
  }

  private partition(topic: KnownTopic, partition: number): PartitionState {
    const state = topic.states[partition]
    if (!state) throw logErrors('LOG_PARTITION_NOT_FOUND', { topic: topic.name, partition, partitionCount: topic.states.length })
    return state
  }
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

function configValue(key: keyof TopicConfig, text: string): string | number {
  if (key === 'cleanup.policy') return text.split(',').sort().join(',')
  // Kafka's "never" is beyond what a number holds.
  return typeof defaultTopicConfig[key] === 'number' ? Math.min(Number(text), Number.MAX_SAFE_INTEGER) : text
}

function newState(): PartitionState {
  const state = new PartitionState()
  publish(state, { status: PARTITION_OPEN, startOffset: 0, endOffset: 0, lastStableOffset: 0 })
  return state
}

type Known = Pick<PartitionSnapshot, 'status' | 'startOffset' | 'endOffset' | 'lastStableOffset'>
/** Of what the writer of our own files publishes, a cluster has only this. */
function publish(state: PartitionState, { status, startOffset, endOffset, lastStableOffset }: Known): void {
  const files = { durablePosition: 0, activeBaseOffset: 0, sizeBytes: 0, abortedCount: 0 }
  state.publish({ status, startOffset, endOffset, lastStableOffset, ...files })
}

const infoOf = ({ name, id, config, states }: KnownTopic): TopicInfo => ({
  name,
  id,
  config,
  partitions: states.map((state, partition) => {
    const { startOffset, endOffset, lastStableOffset, sizeBytes } = state.read()
    return { partition, startOffset, endOffset, lastStableOffset, sizeBytes }
  }),
})
