// A log over a fake disk in this thread, for tests that crash it at any call of the disk: what the coordinator of transactions uses, no more.
import type { AppendResult, LocalLog, ProducerInfo, RecordInput, RecoveryReport, TopicConfig, TopicDescriptor } from './contract.ts'
import type { Disk } from './disk.ts'
import { logErrors } from './errors.ts'
import { Append } from './partition.ts'
import { BatchBuilder, noHeaders } from './recordBatch.ts'
import { LogStore } from './store.ts'

export class TestLog {
  readonly folder = '/data'
  /** What was noted of damage. */
  readonly reports: RecoveryReport[] = []
  private readonly store: LogStore
  private queue: { topic: string; partition: number; append: Append; resolve(result: AppendResult): void; reject(error: Error): void }[] =
    []
  private isStopped = false

  /** @throws what the disk throws */
  constructor(disk: Disk) {
    if (!disk.list('/').includes('data')) {
      disk.makeFolder(this.folder)
      disk.syncFolder('/')
    }
    this.store = LogStore.open({ disk, folder: this.folder, durability: 'fsync' }, 0)
  }

  get asLog(): LocalLog {
    return this as unknown as LocalLog
  }

  /** The process is gone: nothing is written any more. */
  stop(): void {
    this.isStopped = true
  }

  topic(name: string) {
    const topic = this.store.topics.get(name)
    return topic && { ...topic, partitions: topic.partitions.map((one, partition) => ({ partition, ...one.state.read() })) }
  }

  noteDamage(report: RecoveryReport): void {
    this.reports.push(report)
  }

  topics() {
    return [...this.store.topics.keys()].map((name) => this.topic(name)!)
  }

  async describeProducers(topic: string, partition: number): Promise<ProducerInfo[]> {
    return this.store.topic(topic).partitions[partition].describeProducers()
  }

  descriptor(name: string): TopicDescriptor {
    const { id, partitions } = this.store.topic(name)
    return { topic: name, id, partitions: partitions.map(({ folder, state }, partition) => ({ partition, folder, state: state.shared })) }
  }

  async createTopic(name: string, config: Partial<TopicConfig>): Promise<void> {
    this.store.createTopic(name, crypto.randomUUID(), config, 0)
  }

  /** As the log does it: what is appended in one tick is one group. */
  append(topic: string, partition: number, batch: Uint8Array): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      if (this.queue.length === 0) setImmediate(() => this.commit())
      this.queue.push({ topic, partition, append: new Append(batch), resolve, reject })
    })
  }

  appendRecords(topic: string, partition: number, records: readonly RecordInput[]): Promise<AppendResult> {
    const builder = new BatchBuilder()
    for (const { key, value, timestampMs } of records) builder.appendRecord(key, value, 0, value?.length ?? 0, noHeaders, timestampMs)
    return this.append(topic, partition, builder.finish())
  }

  private commit(): void {
    const group = this.queue
    this.queue = []
    const closed = logErrors('LOG_CLOSED', { folder: this.folder })
    try {
      if (this.isStopped) throw closed
      const routed = group.map(({ topic, partition, append }) => ({ partition: this.store.topic(topic).partitions[partition], append }))
      this.store.commit(routed, 0)
    } catch (error) {
      for (const { append } of group) append.error ??= closed
      if (!this.isStopped) throw error
    }
    for (const { partition, append, resolve, reject } of group) {
      if (append.error) reject(append.error)
      else resolve({ partition, first: append.first, last: append.last })
    }
  }
}
