// One open transaction of a sink: its appends, with the sequence numbers that the log checks.
import type { AppendResult, BrokerLog, RecordInput } from '../contract.ts'
import { type BatchBuilder, builderOf, TRANSACTIONAL_FLAG } from '../recordBatch.ts'
import type { TopicPartition, Transaction, TransactionRef } from './contract.ts'

/** After the greatest i32 comes 0. */
const SEQUENCES = 2 ** 31

/** Makes the batches of a transaction, one after another for each partition. */
export abstract class SequencedTransaction implements Transaction {
  readonly ref: TransactionRef
  private readonly nextSequences = new Map<string, number>()

  constructor(ref: TransactionRef) {
    this.ref = ref
  }

  async append(topic: string, partition: number, builder: BatchBuilder): Promise<AppendResult> {
    this.check()
    const key = `${partition} ${topic}`
    const { recordCount } = builder
    const baseSequence = this.nextSequences.get(key) ?? 0
    this.nextSequences.set(key, (baseSequence + recordCount) % SEQUENCES)
    const { producerId, producerEpoch } = this.ref
    const batch = builder.finish({ producerId, producerEpoch, baseSequence, attributes: TRANSACTIONAL_FLAG })
    return this.appendBatch(topic, partition, batch, recordCount)
  }

  appendRecords(topic: string, partition: number, records: readonly RecordInput[]): Promise<AppendResult> {
    return this.append(topic, partition, builderOf(records))
  }

  /** @throws if an append failed already */
  protected abstract check(): void

  /** Appends a batch that has its sequence number. Its bytes are the transaction's until the promise is settled. */
  abstract appendBatch(topic: string, partition: number, batch: Uint8Array, recordCount: number): Promise<AppendResult>
}

interface Owner {
  addPartitions(ref: TransactionRef, partitions: readonly TopicPartition[]): Promise<void>
  verifyPartitions(ref: TransactionRef, partitions: readonly TopicPartition[]): void
  /** An append failed: what follows would leave a gap, so the transaction must not be committed. */
  spoil(ref: TransactionRef): void
}

export class OpenTransaction extends SequencedTransaction {
  private readonly log: Pick<BrokerLog, 'append'>
  private readonly owner: Owner
  /** By topic and partition: resolves when it belongs to the transaction. */
  private readonly added = new Map<string, Promise<void>>()
  private failure: unknown

  constructor(ref: TransactionRef, log: Pick<BrokerLog, 'append'>, owner: Owner) {
    super(ref)
    this.log = log
    this.owner = owner
  }

  async appendBatch(topic: string, partition: number, batch: Uint8Array, recordCount: number): Promise<AppendResult> {
    const key = `${partition} ${topic}`
    try {
      this.check()
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

  protected check(): void {
    if (this.failure) throw this.failure
  }
}
