// The log as the rest of the process sees it, in one thread: what `log.ts` and the writer thread are in the product, over the real LogStore.
// What is appended waits for the next group commit, which is an event of the world.

import { toStreamError } from '../../src/base/index.ts'
import { type CompactedSegment, compact } from '../../src/log/compaction.ts'
import type { Disk } from '../../src/log/disk.ts'
import {
  type AppendOptions,
  type AppendResult,
  BatchBuilder,
  encodeHeaders,
  type LocalLog,
  type LogStats,
  logErrors,
  noHeaders,
  type PartitionInfo,
  type ProducerInfo,
  type RecordInput,
  type RecoveryReport,
  type TopicConfig,
  type TopicDefaults,
  type TopicDescriptor,
  type TopicInfo,
} from '../../src/log/index.ts'
import { Append, type Partition } from '../../src/log/partition.ts'
import type { LogStore, StoredTopic } from '../../src/log/store.ts'
import type { World } from './world.ts'

const KEYS_MAX = 10_000

interface Waiting {
  target: Partition
  /** Its number in the topic. */
  partition: number
  append: Append
  resolve(result: AppendResult): void
  reject(error: Error): void
}

export interface SimLogOptions {
  store: LogStore
  disk: Disk
  folder: string
  world: World
  /** Wall clock of the machine: it may jump. */
  clock: () => number
  newId: () => string
  /** What was found after the start. */
  onNoted(kind: RecoveryReport['kind'], reason: string): void
  /** Plans the next group commit. */
  planCommit: (commit: () => void) => void
}

export class SimLog implements LocalLog {
  readonly folder: string
  readonly store: LogStore
  pendingBytes = 0
  /** Set when the process is dead: nothing is answered any more. */
  isDead = false
  private wasFull = false
  private readonly options: SimLogOptions
  private waiting: Waiting[] = []

  constructor(options: SimLogOptions) {
    this.options = options
    this.store = options.store
    this.folder = options.folder
  }

  async createTopic(name: string, config: Partial<TopicConfig> = {}): Promise<TopicInfo> {
    return infoOf(this.store.createTopic(name, this.options.newId(), config, this.options.clock()))
  }
  async deleteTopic(name: string): Promise<void> {
    this.store.deleteTopic(name)
  }
  async alterTopic(name: string, config: Partial<TopicConfig>): Promise<TopicInfo> {
    return infoOf(this.store.alterTopic(name, config, this.options.clock()))
  }
  async alterDefaults(defaults: TopicDefaults): Promise<void> {
    this.store.alterDefaults(defaults)
  }
  topics(): TopicInfo[] {
    return [...this.store.topics.values()].map(infoOf)
  }
  topic(name: string): TopicInfo | undefined {
    const topic = this.store.topics.get(name)
    return topic && infoOf(topic)
  }

  topicId(name: string): string | undefined {
    return this.store.topics.get(name)?.id
  }

  topicName(id: string): string | undefined {
    return this.store.topicsById.get(id)?.name
  }

  partition(name: string, partition: number): PartitionInfo | undefined {
    return this.topic(name)?.partitions[partition]
  }

  append(topic: string, partition: number, batch: Uint8Array, { isForeign = false }: AppendOptions = {}): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      const target = this.store.topics.get(topic)?.partitions[partition]
      if (!target) throw logErrors('LOG_TOPIC_NOT_FOUND', { topic })
      if (this.waiting.length === 0) this.options.planCommit(() => this.commit())
      this.pendingBytes += batch.length
      this.waiting.push({ target, partition, append: new Append(batch.slice(), isForeign), resolve, reject })
    })
  }

  appendRecords(topic: string, partition: number, records: readonly RecordInput[]): Promise<AppendResult> {
    const builder = new BatchBuilder(4096)
    for (const { key, value, headers, timestampMs } of records) {
      const template = headers && headers.length > 0 ? encodeHeaders(headers) : noHeaders
      builder.appendRecord(key, value, 0, value?.length ?? 0, template, timestampMs)
    }
    return this.append(topic, partition, builder.finish())
  }

  descriptor(name: string): TopicDescriptor {
    const topic = this.store.topic(name)
    const partitions = topic.partitions.map(({ folder, state }, partition) => ({ partition, folder, state: state.shared }))
    return { topic: name, id: topic.id, partitions }
  }

  async deleteRecords(topic: string, partition: number, beforeOffset: number): Promise<number> {
    return this.store.deleteRecords(topic, partition, beforeOffset)
  }
  async enforceRetention(): Promise<number> {
    return this.store.enforceRetention(this.options.clock())
  }
  noteDamage({ kind, reason }: RecoveryReport): void {
    this.options.onNoted(kind, reason)
  }
  async describeProducers(topic: string, partition: number): Promise<ProducerInfo[]> {
    return this.store.topic(topic).partitions[partition].describeProducers()
  }
  async pin(): Promise<never> {
    throw new Error('hard links are of the real disk alone')
  }
  async refresh(): Promise<void> {}
  /** What the cleaner and its thread do: segments are written beside all else, and put in their place some time later. */
  async compact(): Promise<number> {
    const { store, disk, clock, world } = this.options
    const skipped = new Set<string>()
    let freedBytes = 0
    for (;;) {
      const job = this.isDead ? undefined : store.nextCompaction(clock(), KEYS_MAX, skipped)
      if (!job) return freedBytes
      const { topic, partition } = job
      // Once in each round: what it leaves is due in the next.
      skipped.add(`${topic.id} ${partition}`)
      try {
        const segments: CompactedSegment[] = []
        const outcome = compact(disk, job, (segment) => segments.push(segment))
        await new Promise<void>((resolve) => world.after(world.random.int(0, 30), resolve))
        if (this.isDead) return freedBytes
        for (const segment of segments) freedBytes += store.replaceSegments(topic.id, partition, segment) ?? 0
        store.finishCompaction(topic.id, partition, outcome)
        world.hit('compaction')
        if (outcome.recordsOut < outcome.recordsIn) world.hit(`records compacted away of ${topic.topic.replace(/\d/, '')}`)
        world.trace(`compacted ${topic.topic} ${partition}: ${outcome.recordsOut} of ${outcome.recordsIn} records`)
      } catch (error) {
        if (this.isDead) return freedBytes
        world.hit('compaction failed')
        world.trace(`compaction of ${topic.topic} ${partition}: ${toStreamError(error).code}`)
      }
    }
  }
  readMessages(): never {
    throw new Error('people do not look into a simulation')
  }
  stats(): LogStats {
    const sync = { syncCount: 0, syncMsP50: 0, syncMsP99: 0 }
    return {
      pendingBytes: this.pendingBytes,
      sizeBytes: 0,
      ...sync,
      cutBytes: 0,
      recovery: [],
      refusing: [],
    }
  }
  async close(): Promise<void> {
    this.commit()
    this.store.close()
  }

  private commit(): void {
    const group = this.waiting
    this.waiting = []
    if (this.isDead || group.length === 0) return
    const routed = group.map(({ target, append }) => ({ partition: target, append }))
    this.store.commit(routed, this.options.clock())
    if (this.isDead) return
    if (group.some(({ append }) => append.error?.code === 'LOG_DISK_FULL')) this.wasFull = true
    else if (this.wasFull && group.every(({ append }) => !append.error)) {
      this.wasFull = false
      this.options.world.hit('writes go on after a full disk, without a restart')
    }
    for (const { append, partition, resolve, reject } of group) {
      this.pendingBytes -= append.bytes.length
      if (append.error) reject(append.error)
      else resolve({ partition, first: append.first, last: append.last })
    }
  }
}

const infoOf = ({ name, id, config, partitions }: StoredTopic): TopicInfo => ({
  name,
  id,
  config,
  partitions: partitions.map((one, partition) => {
    const { startOffset, endOffset, lastStableOffset, sizeBytes } = one.state.read()
    return { partition, startOffset, endOffset, lastStableOffset, sizeBytes }
  }),
})
