// One open transaction of a sink: its appends, with the sequence numbers that the log checks.
import type { AppendResult, Log, RecordInput } from '../contract.ts'
import { BatchBuilder, encodeHeaders, noHeaders, TRANSACTIONAL_FLAG } from '../recordBatch.ts'
import type { TopicPartition, Transaction, TransactionRef } from './contract.ts'

/** After the greatest i32 comes 0. */
const SEQUENCES = 2 ** 31

interface Owner {
  addPartitions(ref: TransactionRef, partitions: readonly TopicPartition[]): Promise<void>
  verifyPartitions(ref: TransactionRef, partitions: readonly TopicPartition[]): void
  /** An append failed: what follows would leave a gap, so the transaction must not be committed. */
  spoil(ref: TransactionRef): void
}

export class OpenTransaction implements Transaction {
  readonly ref: TransactionRef
  private readonly log: Log
  private readonly owner: Owner
  /** By topic and partition: resolves when it belongs to the transaction. */
  private readonly added = new Map<string, Promise<void>>()
  private readonly nextSequences = new Map<string, number>()
  private failure: unknown

  constructor(ref: TransactionRef, log: Log, owner: Owner) {
    this.ref = ref
    this.log = log
    this.owner = owner
  }

  async append(topic: string, partition: number, builder: BatchBuilder): Promise<AppendResult> {
    if (this.failure) throw this.failure
    const key = `${partition} ${topic}`
    const { recordCount } = builder
    const baseSequence = this.nextSequences.get(key) ?? 0
    this.nextSequences.set(key, (baseSequence + recordCount) % SEQUENCES)
    const { producerId, producerEpoch } = this.ref
    const batch = builder.finish({ producerId, producerEpoch, baseSequence, attributes: TRANSACTIONAL_FLAG })
    try {
      let added = this.added.get(key)
      if (!added) this.added.set(key, (added = this.owner.addPartitions(this.ref, [{ topic, partition }])))
      await added
      this.owner.verifyPartitions(this.ref, [{ topic, partition }])
      return await this.log.append(topic, partition, batch, { recordCount })
    } catch (error) {
      this.failure ??= error
      this.owner.spoil(this.ref)
      throw error
    }
  }

  appendRecords(topic: string, partition: number, records: readonly RecordInput[]): Promise<AppendResult> {
    const builder = new BatchBuilder()
    for (const { key, value, headers, timestampMs } of records) {
      const template = headers && headers.length > 0 ? encodeHeaders(headers) : noHeaders
      builder.appendRecord(key, value, 0, value?.length ?? 0, template, timestampMs)
    }
    return this.append(topic, partition, builder)
  }
}
