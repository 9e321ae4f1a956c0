// Committed offsets, and what is kept of groups: durable records of an internal topic, in Kafka's own format, and maps that are
// made from them on start.
//
// Invariants
//   1. A commit is acknowledged when its record is durable. What a fetch of offsets shows is durable too.
//   2. The newest record of a key counts, null is a deletion; so the order in which commits reach the log is the order in the map.
//   3. What a transaction commits is appended as part of it, counts once its commit marker is durable, and until then the offset is unstable.
//      Where another commit of the same partition came behind it in the log, that one stays.
//   4. What is kept of a group is what its newest record says; of a classic one it replaces what was kept of one of KIP-848, and the other way.
//   5. The topic stays small because it is compacted, as any topic with that policy.
import {
  BatchBuilder,
  type BrokerLog,
  batchHeaderOf,
  type Disk,
  damageTeller,
  noHeaders,
  openPartitionReader,
  type ProducerIdAndEpoch,
  type RecordInput,
  readMarker,
  readPastDamage,
  readRecords,
  realDisk,
  TRANSACTIONAL_FLAG,
  type Transactions,
} from '../../log/index.ts'
import { OFFSETS_TOPIC } from '../broker.ts'
import { codecs, decodeMessage, encodeMessage, int16, int32, int64, string } from '../schema.ts'
import { SavedConsumerGroups } from './consumerGroupRecords.ts'
import { GROUP_KEY_VERSION, type GroupRecord, groupRecordOf, readGroupRecord } from './groupRecords.ts'

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
const BATCH_BYTES = 512 * 1024
const SEGMENT_BYTES = 4 * 1024 * 1024

/** With the place of its record in the log. */
interface Stored extends CommittedOffset {
  recordOffset: number
}
type ByPartition = Map<number, Stored>
/** One entry of an open transaction. */
interface Pending {
  entry: OffsetEntry
  recordOffset: number
}

export class Offsets {
  /** Classic groups as they were when the log was opened. */
  readonly savedGroups = new Map<string, GroupRecord>()
  /** And those of KIP-848. */
  readonly savedConsumerGroups = new SavedConsumerGroups()
  /** By group, topic, partition. */
  private readonly groups = new Map<string, Map<string, ByPartition>>()
  private readonly log: BrokerLog
  private topicMade: Promise<unknown> | undefined
  /** By producer id, group and place: of each place what its transaction has committed last. */
  private readonly pending = new Map<number, Map<string, Map<string, Pending>>>()
  /** Commits on their way to the log, by group. */
  private readonly committing = new Map<string, number>()

  constructor(log: BrokerLog, transactions: Transactions, disk: Disk = realDisk) {
    this.log = log
    this.load(disk)
    transactions.onMarker(({ topic }, { producerId }, isCommit) => {
      if (topic === OFFSETS_TOPIC) this.decide(producerId, isCommit)
    })
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

  /** Whether an open transaction commits the offset of this partition. */
  isUnstable(group: string, topic: string, partition: number): boolean {
    const place = placeOf(topic, partition)
    for (const pending of this.pending.values()) if (pending.get(group)?.has(place)) return true
    return false
  }

  hasOpenTransaction(group: string): boolean {
    for (const pending of this.pending.values()) if (pending.has(group)) return true
    return false
  }
  /** Whether somebody commits offsets of the group right now. */
  isCommitting(group: string): boolean {
    return this.committing.has(group)
  }

  /**
   * Appends the offsets as part of a transaction that the offsets' partition belongs to.
   *
   * @param verify  called in the same tick as each append; what it throws is thrown
   * @throws        the log's errors
   */
  async commitInTransaction(
    group: string,
    entries: readonly OffsetEntry[],
    producer: ProducerIdAndEpoch,
    verify: () => void,
  ): Promise<void> {
    await this.inParts(group, entries, async (some) => {
      const builder = new BatchBuilder(4096)
      for (const { key, value, timestampMs } of some.map((entry) => recordOf(group, entry))) {
        builder.appendRecord(key, value, 0, value?.length ?? 0, noHeaders, timestampMs)
      }
      verify()
      const { first } = await this.log.append(OFFSETS_TOPIC, 0, builder.finish({ ...producer, attributes: TRANSACTIONAL_FLAG }))
      for (const [i, entry] of some.entries()) this.note(producer.producerId, group, { entry, recordOffset: first + i })
    })
  }

  /** @throws the log's errors; then nothing changed */
  async commit(group: string, entries: readonly OffsetEntry[]): Promise<void> {
    if (entries.length === 0) return
    await this.inParts(group, entries, async (some) => {
      const records = some.map((entry) => recordOf(group, entry))
      const { first } = await this.log.appendRecords(OFFSETS_TOPIC, 0, records)
      for (const [i, entry] of some.entries()) this.apply(group, entry, first + i)
    })
  }

  private async inParts(group: string, entries: readonly OffsetEntry[], append: (some: readonly OffsetEntry[]) => Promise<void>) {
    this.committing.set(group, (this.committing.get(group) ?? 0) + 1)
    try {
      await this.makeTopic()
      for (let from = 0; from < entries.length; from += RECORDS_PER_BATCH) await append(entries.slice(from, from + RECORDS_PER_BATCH))
    } finally {
      const left = this.committing.get(group)! - 1
      if (left > 0) this.committing.set(group, left)
      else this.committing.delete(group)
    }
  }

  /** Keeps what a classic group is now, for the next start; null: nothing. @throws the log's errors */
  async saveGroup(group: string, record: GroupRecord | null): Promise<void> {
    await this.makeTopic()
    await this.log.appendRecords(OFFSETS_TOPIC, 0, [groupRecordOf(group, record, Date.now())])
  }

  /**
   * Keeps other records of groups. Those that belong together are cut where they are too many for one append.
   *
   * @returns  what is too large for a record, whose keys were deleted instead
   * @throws   the log's errors
   */
  async saveRecords(records: readonly RecordInput[]): Promise<RecordInput[]> {
    await this.makeTopic()
    const tooLarge: RecordInput[] = []
    const done: Promise<unknown>[] = []
    let some: RecordInput[] = []
    let sizeBytes = 0
    for (const record of records) {
      const ofRecord = (record.key?.length ?? 0) + (record.value?.length ?? 0)
      if (sizeBytes + ofRecord > BATCH_BYTES && some.length > 0) {
        done.push(this.log.appendRecords(OFFSETS_TOPIC, 0, some))
        some = []
        sizeBytes = 0
      }
      const isTooLarge = ofRecord > BATCH_BYTES
      if (isTooLarge) tooLarge.push(record)
      some.push(isTooLarge ? { ...record, value: null } : record)
      sizeBytes += isTooLarge ? 0 : ofRecord
    }
    if (some.length > 0) done.push(this.log.appendRecords(OFFSETS_TOPIC, 0, some))
    await Promise.all(done)
    return tooLarge
  }

  /** Makes the topic if it is missing, as clients ask for it by adding offsets to a transaction. */
  makeTopic(): Promise<unknown> {
    if (this.log.topic(OFFSETS_TOPIC)) return Promise.resolve()
    this.topicMade ??= this.log
      .createTopic(OFFSETS_TOPIC, { 'cleanup.policy': 'compact', 'segment.bytes': SEGMENT_BYTES })
      .finally(() => (this.topicMade = undefined))
    return this.topicMade
  }

  /** Forgets all offsets of a group. */
  async deleteGroup(group: string): Promise<void> {
    const open = [...this.pending.values()].flatMap((pending) => [...(pending.get(group)?.values() ?? [])])
    const known = [...this.of(group), ...open.map(({ entry }) => entry)]
    await this.commit(
      group,
      known.map(({ topic, partition }) => ({ topic, partition, committed: null })),
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

  private load(disk: Disk): void {
    const topic = this.log.topic(OFFSETS_TOPIC)
    if (!topic) return
    const { startOffset } = topic.partitions[0]
    const reader = openPartitionReader(this.log.descriptor(OFFSETS_TOPIC), 0, startOffset, disk)
    try {
      const read = () => readPastDamage(reader, damageTeller(this.log, OFFSETS_TOPIC, 0))
      for (let run = read(); run; run = read()) {
        for (let position = run.start; position < run.end; ) {
          const batch = run.bytes.subarray(position, run.end)
          const { isTransactional, isControl, producerId, sizeBytes } = batchHeaderOf(batch, 0)
          position += sizeBytes
          if (isControl) this.decide(producerId, readMarker(batch).isCommit)
          else this.loadBatch(batch.subarray(0, sizeBytes), run.fromOffset, isTransactional ? producerId : undefined)
        }
      }
    } finally {
      reader.close()
    }
  }

  private loadBatch(batch: Uint8Array, fromOffset: number, producerId: number | undefined): void {
    for (const { key, value, offset } of readRecords(batch, 0, batch.length, fromOffset)) {
      const keyVersion = key?.[0] === 0 ? key[1] : undefined
      if (keyVersion === GROUP_KEY_VERSION) this.loadGroup(key!, value)
      else if (keyVersion !== undefined) this.savedGroups.delete(this.savedConsumerGroups.add(keyVersion, key!, value) ?? '')
      // Other kinds of records are none of ours.
      if (keyVersion !== KEY_VERSION) continue
      const { group, topic, partition } = decodeMessage(keyCodec, key!)
      const entry = { topic, partition, committed: value === null ? null : decodeMessage(valueCodec, value) }
      if (producerId === undefined) this.apply(group, entry, offset)
      else this.note(producerId, group, { entry, recordOffset: offset })
    }
  }

  private loadGroup(key: Uint8Array, value: Uint8Array | null): void {
    const { group, value: record } = readGroupRecord(key, value)
    if (record) {
      this.savedGroups.set(group, record)
      this.savedConsumerGroups.delete(group)
    } else this.savedGroups.delete(group)
  }

  private note(producerId: number, group: string, one: Pending): void {
    const pending = this.pending.get(producerId) ?? new Map<string, Map<string, Pending>>()
    const ofGroup = pending.get(group) ?? new Map<string, Pending>()
    ofGroup.set(placeOf(one.entry.topic, one.entry.partition), one)
    pending.set(group, ofGroup)
    this.pending.set(producerId, pending)
  }

  /** The end of a producer's transaction. */
  private decide(producerId: number, isCommit: boolean): void {
    const pending = this.pending.get(producerId)
    this.pending.delete(producerId)
    if (!pending || !isCommit) return
    for (const [group, ofGroup] of pending) {
      for (const { entry, recordOffset } of ofGroup.values()) {
        const newest = this.groups.get(group)?.get(entry.topic)?.get(entry.partition)?.recordOffset ?? -1
        if (recordOffset > newest) this.apply(group, entry, recordOffset)
      }
    }
  }

  /** A deletion also takes back what open transactions committed before it. */
  private forgetPending(group: string, topic: string, partition: number, beforeOffset: number): void {
    const place = placeOf(topic, partition)
    for (const [producerId, pending] of this.pending) {
      const ofGroup = pending.get(group)
      const one = ofGroup?.get(place)
      if (!ofGroup || !one || one.recordOffset > beforeOffset) continue
      ofGroup.delete(place)
      if (ofGroup.size === 0) pending.delete(group)
      if (pending.size === 0) this.pending.delete(producerId)
    }
  }

  private apply(group: string, { topic, partition, committed }: OffsetEntry, recordOffset: number): void {
    const topics = this.groups.get(group) ?? new Map<string, ByPartition>()
    const partitions: ByPartition = topics.get(topic) ?? new Map()
    if (committed) partitions.set(partition, { ...committed, recordOffset })
    else {
      partitions.delete(partition)
      this.forgetPending(group, topic, partition, recordOffset)
    }
    if (partitions.size > 0) topics.set(topic, partitions)
    else topics.delete(topic)
    if (topics.size > 0) this.groups.set(group, topics)
    else this.groups.delete(group)
  }
}

const placeOf = (topic: string, partition: number): string => `${topic}:${partition}`

function recordOf(group: string, { topic, partition, committed }: OffsetEntry): RecordInput {
  return {
    key: encodeMessage(keyCodec, { version: KEY_VERSION, group, topic, partition }),
    value: committed && encodeMessage(valueCodec, { version: VALUE_VERSION, ...committed }),
    timestampMs: committed?.commitMs ?? Date.now(),
  }
}
