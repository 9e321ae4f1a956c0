// Transactions over the log: what was appended in one becomes visible to `read_committed` readers at once, in all partitions, or never.
//
//                addPartitions                    end (commit)               markers durable in all partitions
//   Empty ------------------> Ongoing ------------------------> PrepareCommit ------------------> CompleteCommit --.
//     ^                        |   |   end (abort), timeout,                                                        |
//     |                        |   `--> PrepareAbort ------------------------------------------> CompleteAbort ----.|
//     `--- initProducerId -----+--------------------------------------------------------------------------------<---'
//
// Two ways in, one coordinator, one state:
//   - `begin`, `commit`, `abort`: for sinks of the engine, which prepare with a checkpoint and commit after it, also after a restart.
//   - `initProducerId`, `addPartitions`, `verifyPartitions`, `end`: what Kafka clients ask for, in Kafka's terms.
//
// Two-phase commit of a sink, with a checkpoint as the decision:
//
//   const transactions = openTransactions(log)
//   const transaction = await transactions.begin('orders-sink-0')      // aborts what an earlier holder of the id left open
//   await transaction.append('orders', 0, builder)                      // not visible yet; all appends awaited before the next line
//   checkpoint.save({ ..., ref: transaction.ref })                      // phase 1: from here on it must be committed
//   await transactions.commit(transaction.ref)                          // phase 2: again after each restart, until it says so
//
// While one transaction waits for its checkpoint the next records need a transaction with another id: use two ids in turn.
// After a restart: `commit` every ref of the checkpoint, then `begin` (or `abort`) each id that the sink may have used: what was not in the
// checkpoint is aborted by that. A transaction without a timeout that nobody ends holds back `read_committed` readers of its partitions.
import type { AppendResult, RecordInput } from '../contract.ts'
import type { BatchBuilder } from '../recordBatch.ts'

export interface ProducerIdAndEpoch {
  producerId: number
  producerEpoch: number
}

/** Names one transaction for good: JSON of it belongs into a checkpoint. */
export interface TransactionRef extends ProducerIdAndEpoch {
  transactionalId: string
}

export interface TopicPartition {
  topic: string
  partition: number
}

/** Kafka's names. */
export type TransactionState =
  | 'Empty'
  | 'Ongoing'
  | 'PrepareCommit'
  | 'PrepareAbort'
  | 'CompleteCommit'
  | 'CompleteAbort'
  | 'Dead'
  | 'PrepareEpochFence'

export interface TransactionInfo extends TransactionRef {
  state: TransactionState
  /** Infinity: it waits for its end however long that takes. */
  timeoutMs: number
  /** When the transaction got its first partition, epoch ms; -1 if it has none. */
  startMs: number
  lastUpdateMs: number
  partitions: TopicPartition[]
}

/** One open transaction of a sink. */
export interface Transaction {
  readonly ref: TransactionRef
  /**
   * Appends what the builder holds as one batch of the transaction. Appends of one partition may be on their way together; they keep their order.
   * After one that failed, `append` and `Transactions.commit` of it fail: abort it.
   *
   * @throws LOG_TRANSACTION_FENCED  another holder of the id began, or the transaction timed out; and the errors of `Log.append`
   */
  append(topic: string, partition: number, builder: BatchBuilder): Promise<AppendResult>
  appendRecords(topic: string, partition: number, records: readonly RecordInput[]): Promise<AppendResult>
}

export interface InitProducerIdOptions {
  /** How long a transaction may stay open. Infinity (for two-phase commit) is not for clients. */
  timeoutMs: number
  /** What the client had before: it goes on with the next epoch, unless somebody else took over. */
  expected?: ProducerIdAndEpoch
}
export interface EndOptions {
  /** KIP-890: every transaction has an epoch of its own; the answer has the next one. */
  bumpsEpoch: boolean
}

/** What a sink needs of it, in any thread. */
export interface SinkTransactions {
  /**
   * Begins a transaction under an id; one that was open under it is aborted, and its holder fenced.
   *
   * @param options.timeoutMs  after that it is aborted; default Infinity, because a prepared transaction must survive any restart
   * @throws                   LOG_TRANSACTION_CONCURRENT while an earlier end of the id is still being written (retry); the log's errors
   */
  begin(transactionalId: string, options?: { timeoutMs?: number }): Promise<Transaction>
  /**
   * Commits; resolves when the records are visible to `read_committed`. Can be repeated, also after a restart, with the same result.
   *
   * @returns  whether this call committed it; false: it had been committed before, or nothing was ever appended in it
   * @throws   LOG_TRANSACTION_ABORTED  it was aborted, or its id is at a later transaction and this one's end is no longer known;
   *           LOG_TRANSACTION_CONCURRENT (retry); the log's errors: decided or not, repeat
   */
  commit(ref: TransactionRef): Promise<boolean>
  /**
   * Aborts; can be repeated. Does nothing if the id is at a later transaction.
   *
   * @throws LOG_TRANSACTION_COMMITTED  it was committed; LOG_TRANSACTION_CONCURRENT (retry); the log's errors
   */
  abort(ref: TransactionRef): Promise<void>
  /** All ids, or those that begin with `prefix`. */
  list(prefix?: string): TransactionInfo[] | Promise<TransactionInfo[]>
  /** Resolves when nothing is being written; no timeout fires afterwards. The log stays open. */
  close(): Promise<void>
}

export interface Transactions extends SinkTransactions {
  /** Aborts whatever is open under an id, fences its holder and forgets the id: for a sink that is gone. Unknown ids are no error. */
  forget(transactionalId: string): Promise<void>

  /** InitProducerId of a transactional producer. @throws LOG_TRANSACTION_FENCED, LOG_TRANSACTION_TIMEOUT_INVALID, LOG_TRANSACTION_CONCURRENT */
  initProducerId(transactionalId: string, options: InitProducerIdOptions): Promise<ProducerIdAndEpoch>
  /** A producer id that no producer of this log had before, also after a crash. */
  newProducerId(): Promise<number>
  /** Producer ids below `end` are somebody's already. */
  reserveProducerIds(end: number): void
  /**
   * Adds partitions to the open transaction, or begins one with them; resolves when that is durable.
   * An append in the same tick after it, and only there, is safe from a marker of an end that overtakes it.
   *
   * @throws LOG_TRANSACTION_UNKNOWN_ID, LOG_TRANSACTION_FENCED, LOG_TRANSACTION_CONCURRENT, LOG_PARTITION_NOT_FOUND
   */
  addPartitions(ref: TransactionRef, partitions: readonly TopicPartition[]): Promise<void>
  /** Whether all these partitions belong to the open transaction. @throws as `addPartitions`, and LOG_TRANSACTION_STATE if not */
  verifyPartitions(ref: TransactionRef, partitions: readonly TopicPartition[]): void
  /** EndTxn. Returns what the producer goes on with. @throws LOG_TRANSACTION_UNKNOWN_ID, _FENCED, _STATE, _CONCURRENT */
  end(ref: TransactionRef, isCommit: boolean, options: EndOptions): Promise<ProducerIdAndEpoch>
  /** Writes a marker whatever the coordinator knows: for WriteTxnMarkers, which ends transactions that nobody coordinates any more. */
  writeMarker(target: TopicPartition, producer: ProducerIdAndEpoch, isCommit: boolean, coordinatorEpoch: number): Promise<void>

  list(prefix?: string): TransactionInfo[]
  describe(transactionalId: string): TransactionInfo | undefined
  /** Calls back when a marker is durable, before the end of the transaction is answered. Returns what ends that. */
  onMarker(listener: (target: TopicPartition, producer: ProducerIdAndEpoch, isCommit: boolean) => void): () => void
}
