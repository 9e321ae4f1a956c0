// Committed offsets: durable records of an internal topic, in Kafka's own format, and a map that is made from them on start.
//
// Invariants
//   1. A commit is acknowledged when its record is durable. What a fetch of offsets shows is durable too.
//   2. The newest record of a key counts, null is a deletion; so the order in which commits reach the log is the order in the map.
//   3. The topic stays small: when most of it is old, all that counts is written again and what lies before is deleted. While that is
//      written no commit is on its way, so no old value comes behind a new one.
import { type Disk, type Log, openPartitionReader, type RecordInput, readRecords, realDisk } from '../../log/index.ts'
import { OFFSETS_TOPIC } from '../broker.ts'
import { codecs, decodeMessage, encodeMessage, int16, int32, int64, string } from '../schema.ts'

export interface CommittedOffset {
  offset: number
  leaderEpoch: number
  metadata: string
  commitMs: number
}
export interface OffsetEntry {
  topic: string
  partition: number
  /** Null forgets. */
  committed: CommittedOffset | null
}

const KEY_VERSION = 1
const VALUE_VERSION = 3
const keyCodec = codecs({ version: int16(), group: string(), topic: string(), partition: int32() }, Number.POSITIVE_INFINITY)(0)
const valueCodec = codecs(
  { version: int16(), offset: int64(), leaderEpoch: int32(), metadata: string(), commitMs: int64() },
  Number.POSITIVE_INFINITY,
)(0)
const RECORDS_PER_BATCH = 1_000
/** Below it the topic is not written anew. */
const OLD_RECORDS_MAX = 20_000
const SEGMENT_BYTES = 4 * 1024 * 1024

type ByPartition = Map<number, CommittedOffset>

export class Offsets {
  /** By group, topic, partition. */
  private readonly groups = new Map<string, Map<string, ByPartition>>()
  private readonly log: Log
  private liveCount = 0
  private recordCount = 0
  private writing = 0
  private onIdle: (() => void) | undefined
  private rewriting: Promise<void> | undefined
  private topicMade: Promise<unknown> | undefined

  constructor(log: Log, disk: Disk = realDisk) {
    this.log = log
    this.load(disk)
  }

  groupIds(): Iterable<string> {
    return this.groups.keys()
  }
  get(group: string, topic: string, partition: number): CommittedOffset | undefined {
    return this.groups.get(group)?.get(topic)?.get(partition)
  }
  /** All offsets of a group. */
  *of(group: string): Generator<{ topic: string; partition: number; committed: CommittedOffset }> {
    for (const [topic, partitions] of this.groups.get(group) ?? []) {
      for (const [partition, committed] of partitions) yield { topic, partition, committed }
    }
  }

  /** @throws the log's errors; then nothing changed */
  async commit(group: string, entries: readonly OffsetEntry[]): Promise<void> {
    if (entries.length === 0) return
    await this.makeTopic()
    while (this.rewriting) await this.rewriting
    this.writing++
    try {
      for (let from = 0; from < entries.length; from += RECORDS_PER_BATCH) {
        const some = entries.slice(from, from + RECORDS_PER_BATCH)
        await this.log.appendRecords(
          OFFSETS_TOPIC,
          0,
          some.map((entry) => recordOf(group, entry)),
        )
        for (const entry of some) this.apply(group, entry)
        this.recordCount += some.length
      }
    } finally {
      this.writing--
      if (this.writing === 0) this.onIdle?.()
    }
    if (!this.rewriting && this.recordCount - this.liveCount > Math.max(OLD_RECORDS_MAX, this.liveCount)) {
      this.rewriting = this.rewrite().finally(() => (this.rewriting = undefined))
    }
  }

  /** Forgets all offsets of a group. */
  async deleteGroup(group: string): Promise<void> {
    await this.commit(
      group,
      [...this.of(group)].map(({ topic, partition }) => ({ topic, partition, committed: null })),
    )
  }

  /** Forgets a deleted topic in all groups. */
  async deleteTopic(topic: string): Promise<void> {
    for (const [group, topics] of [...this.groups]) {
      const partitions = topics.get(topic)
      if (partitions)
        await this.commit(
          group,
          [...partitions.keys()].map((partition) => ({ topic, partition, committed: null })),
        )
    }
  }

  /** Resolves when nothing is being written. */
  async settle(): Promise<void> {
    await this.rewriting
  }

  private async rewrite(): Promise<void> {
    if (this.writing > 0) await new Promise<void>((resolve) => (this.onIdle = resolve))
    this.onIdle = undefined
    const from = this.log.topic(OFFSETS_TOPIC)!.partitions[0].endOffset
    let written = 0
    let records: RecordInput[] = []
    const flush = async () => {
      if (records.length > 0) await this.log.appendRecords(OFFSETS_TOPIC, 0, records)
      written += records.length
      records = []
    }
    try {
      for (const group of this.groups.keys()) {
        for (const entry of this.of(group)) {
          records.push(recordOf(group, entry))
          if (records.length === RECORDS_PER_BATCH) await flush()
        }
      }
      await flush()
      await this.log.deleteRecords(OFFSETS_TOPIC, 0, from)
      this.recordCount = written
    } catch {
      // The old records are still there, and what was written again says the same: it is tried again with a later commit.
      this.recordCount += written
    }
  }

  private load(disk: Disk): void {
    const topic = this.log.topic(OFFSETS_TOPIC)
    if (!topic) return
    const { startOffset } = topic.partitions[0]
    const reader = openPartitionReader(this.log.descriptor(OFFSETS_TOPIC), 0, startOffset, disk)
    try {
      for (let run = reader.read(); run; run = reader.read()) {
        for (const { key, value } of readRecords(run.bytes, run.start, run.end, run.fromOffset)) {
          this.recordCount++
          // Other kinds of records are none of ours.
          if (key === null || key[0] !== 0 || key[1] !== KEY_VERSION) continue
          const { group, topic: name, partition } = decodeMessage(keyCodec, key)
          const committed = value === null ? null : decodeMessage(valueCodec, value)
          this.apply(group, { topic: name, partition, committed })
        }
      }
    } finally {
      reader.close()
    }
  }

  private makeTopic(): Promise<unknown> {
    if (this.log.topic(OFFSETS_TOPIC)) return Promise.resolve()
    this.topicMade ??= this.log
      .createTopic(OFFSETS_TOPIC, { 'cleanup.policy': 'compact', 'segment.bytes': SEGMENT_BYTES })
      .finally(() => (this.topicMade = undefined))
    return this.topicMade
  }

  private apply(group: string, { topic, partition, committed }: OffsetEntry): void {
    const topics = this.groups.get(group) ?? new Map<string, ByPartition>()
    const partitions = topics.get(topic) ?? new Map<number, CommittedOffset>()
    const had = partitions.size
    if (committed) partitions.set(partition, committed)
    else partitions.delete(partition)
    this.liveCount += partitions.size - had
    if (partitions.size > 0) topics.set(topic, partitions)
    else topics.delete(topic)
    if (topics.size > 0) this.groups.set(group, topics)
    else this.groups.delete(group)
  }
}

function recordOf(group: string, { topic, partition, committed }: OffsetEntry): RecordInput {
  return {
    key: encodeMessage(keyCodec, { version: KEY_VERSION, group, topic, partition }),
    value: committed && encodeMessage(valueCodec, { version: VALUE_VERSION, ...committed }),
    timestampMs: committed?.commitMs ?? Date.now(),
  }
}
