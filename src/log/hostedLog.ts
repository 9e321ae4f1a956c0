// The log for who runs in its writer's thread: what it asks for is done here and now, and what it appends is of the next group.
//
// Invariants
//   1. The main side learns of each topic that is made, changed or deleted here; what was appended before is written before.
//   2. Appends to a partition reach the log in the order of their calls, also where one of them is compressed again, or grows large when its records
//      are looked at: that is done in another thread, and those behind it wait.
//   3. Between two changes of topics, of which one request may want a thousand, and between the steps of one, what else waits for the thread has its
//      turn.
import { randomUUID } from 'node:crypto'
import { HelperThread, type StreamError } from '../base/index.ts'
import type { Prepared, ToPrepare } from './batchThread.ts'
import { growsLarge } from './claimedBytes.ts'
import type {
  AppendOptions,
  AppendResult,
  BrokerLog,
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
import { logMetrics } from './logMetrics.ts'
import { Append, type Partition } from './partition.ts'
import { asTopicWants, checkSize, codecWanted } from './recompress.ts'
import { BATCH_HEADER_BYTES, batchHeaderOf, batchOfRecords, RECORD_COUNT_AT, readInt32 } from './recordBatch.ts'
import { inOneStep, type RecordDeletion, type StoredTopic } from './store.ts'
import type { Writer } from './writer.ts'

/** Smaller batches are compressed again here. */
const INLINE_BYTES_MAX = 16 * 1024

export class HostedLog implements BrokerLog {
  readonly folder: string
  private readonly writer: Writer
  private readonly batches = new HelperThread<ToPrepare, Prepared>(new URL('./batchThread.ts', import.meta.url), 'log-batches', (reason) =>
    logErrors('LOG_WRITE_FAILED', { path: 'log-batches', reason }),
  )
  /** Resolves when the newest append that is not in a group yet is. */
  private readonly behind = new WeakMap<Partition, Promise<unknown>>()
  /** By topic, what its next change will delete: what one request asks for, of many partitions, takes one write. */
  private readonly deletions = new Map<string, { wanted: RecordDeletion[]; starts: Promise<(number | StreamError)[]> }>()
  private readonly descriptors = new WeakMap<StoredTopic, TopicDescriptor>()

  constructor(writer: Writer) {
    this.writer = writer
    this.folder = writer.folder
  }

  async createTopic(name: string, config: Partial<TopicConfig> = {}): Promise<TopicInfo> {
    return this.changed(await this.writer.change((store) => store.creation(name, randomUUID(), config, Date.now())))
  }

  async alterTopic(name: string, config: Partial<TopicConfig>): Promise<TopicInfo> {
    return this.changed(await this.writer.change((store) => store.alteration(name, config, Date.now())))
  }

  async alterDefaults(defaults: TopicDefaults): Promise<void> {
    for (const topic of await this.writer.change((store) => inOneStep(() => store.alterDefaults(defaults)))) this.changed(topic)
  }

  async deleteTopic(name: string): Promise<void> {
    await this.writer.change(() => this.writer.deletion(name))
    this.writer.tellGone(name)
  }

  async deleteRecords(name: string, partition: number, beforeOffset: number): Promise<number> {
    let next = this.deletions.get(name)
    if (!next) {
      const wanted: RecordDeletion[] = []
      const starts = this.writer.change((store) =>
        inOneStep(() => {
          this.deletions.delete(name)
          return store.moveStarts(name, wanted)
        }),
      )
      this.deletions.set(name, (next = { wanted, starts }))
    }
    const index = next.wanted.push({ partition, beforeOffset }) - 1
    const start = (await next.starts)[index]
    if (typeof start !== 'number') throw start
    return start
  }

  async describeProducers(name: string, partition: number): Promise<ProducerInfo[]> {
    this.writer.commit()
    return this.partitionOf(name, partition).describeProducers()
  }

  topics(): TopicInfo[] {
    return [...this.writer.store.topics.values()].map(infoOf)
  }

  topicId(name: string): string | undefined {
    return this.writer.store.topics.get(name)?.id
  }

  topicName(id: string): string | undefined {
    return this.writer.store.topicsById.get(id)?.name
  }

  topic(name: string): TopicInfo | undefined {
    const topic = this.writer.store.topics.get(name)
    return topic && infoOf(topic)
  }

  partition(name: string, partition: number): PartitionInfo | undefined {
    const found = this.writer.store.topics.get(name)?.partitions[partition]
    return found && partitionInfoOf(found, partition)
  }

  async append(
    name: string,
    index: number,
    sent: Uint8Array,
    { recordCount, isForeign = false }: AppendOptions = {},
  ): Promise<AppendResult> {
    const topic = this.writer.store.topic(name)
    const partition = this.partitionOf(name, index)
    if (sent.length < BATCH_HEADER_BYTES) {
      throw logErrors('LOG_BATCH_INVALID', { position: 0, reason: `${sent.length} bytes are less than a batch header` })
    }
    const said = readInt32(sent, RECORD_COUNT_AT)
    if (recordCount !== undefined && recordCount !== said) {
      const reason = `its header says ${said} records, the caller ${recordCount}`
      throw logErrors('LOG_BATCH_INVALID', { position: RECORD_COUNT_AT, reason })
    }
    const before = this.behind.get(partition)
    const codec = codecWanted(topic, sent, isForeign)
    const isSame = codec === undefined || batchHeaderOf(sent, 0).codec === codec
    const isLarge = isForeign && growsLarge(sent)
    if (!before && !isLarge && (isSame || sent.length <= INLINE_BYTES_MAX))
      return this.post(topic, index, new Append(asTopicWants(topic, sent, isForeign), isForeign))
    const ready = isSame && !isLarge ? new Append(sent, isForeign) : this.prepare(topic, partition, sent, codec, isForeign)
    const posted = Promise.allSettled([before, ready]).then(async () => {
      // Kept for those behind it until it is in a group.
      const append = await ready
      if (this.partitionOf(name, index) !== partition) throw logErrors('LOG_TOPIC_DELETED', { topic: name })
      return { done: this.post(topic, index, append) }
    })
    this.behind.set(partition, posted)
    try {
      return await (await posted).done
    } finally {
      if (this.behind.get(partition) === posted) this.behind.delete(partition)
    }
  }

  async appendRecords(topic: string, partition: number, records: readonly RecordInput[]): Promise<AppendResult> {
    return this.append(topic, partition, batchOfRecords(records))
  }

  descriptor(name: string): TopicDescriptor {
    const topic = this.writer.store.topic(name)
    const { id, partitions } = topic
    const known = this.descriptors.get(topic)
    if (known?.partitions.length === partitions.length) return known
    const descriptor = {
      topic: name,
      id,
      partitions: partitions.map(({ folder, state }, partition) => ({ partition, folder, state: state.shared })),
    }
    this.descriptors.set(topic, descriptor)
    return descriptor
  }

  noteDamage(report: RecoveryReport): void {
    this.writer.noteDamage(report)
  }

  private async prepare(
    topic: StoredTopic,
    partition: Partition,
    sent: Uint8Array,
    codec: number | undefined,
    isForeign: boolean,
  ): Promise<Append> {
    checkSize(topic, sent)
    const rules = isForeign ? partition.rulesAt(Date.now(), true) : undefined
    const copy = new Uint8Array(sent)
    const answer = await this.batches.ask({ batch: copy, codec: codec ?? batchHeaderOf(sent, 0).codec, rules }, [copy.buffer])
    if ('failure' in answer) {
      logMetrics.rejected.inc({ code: answer.failure.code })
      throw reviveLogError(answer.failure)
    }
    checkSize(topic, answer.batch)
    return new Append(answer.batch, isForeign, rules)
  }

  private post({ name, partitions }: StoredTopic, index: number, append: Append): Promise<AppendResult> {
    const batch = append.bytes
    return new Promise((resolve, reject) => {
      const settle = () => {
        const { error, first, last, logAppendTimeMs } = append
        if (error) {
          logMetrics.rejected.inc({ code: error.code })
          return reject(error)
        }
        logMetrics.appendedBytes.inc(name, batch.length)
        logMetrics.appendedRecords.inc(name, readInt32(batch, RECORD_COUNT_AT))
        resolve(Number.isNaN(logAppendTimeMs) ? { partition: index, first, last } : { partition: index, first, last, logAppendTimeMs })
      }
      this.writer.append({ partition: partitions[index], append, topic: name, index, settle }, Date.now())
    })
  }

  private changed(topic: StoredTopic): TopicInfo {
    this.writer.tell(topic)
    return infoOf(topic)
  }

  private partitionOf(name: string, index: number): Partition {
    const { partitions } = this.writer.store.topic(name)
    const partition = partitions[index] as Partition | undefined
    if (!partition) throw logErrors('LOG_PARTITION_NOT_FOUND', { topic: name, partition: index, partitionCount: partitions.length })
    return partition
  }
}

const infoOf = ({ name, id, config, partitions }: StoredTopic): TopicInfo => ({
  name,
  id,
  config,
  partitions: partitions.map(partitionInfoOf),
})

/** As this thread has published it: nothing needs to be read from shared memory. */
function partitionInfoOf({ state: { published } }: Partition, partition: number): PartitionInfo {
  const { startOffset, endOffset, lastStableOffset, sizeBytes } = published
  return { partition, startOffset, endOffset, lastStableOffset, sizeBytes }
}
