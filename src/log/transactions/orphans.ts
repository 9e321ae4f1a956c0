// Transactions that are open in a partition and that nobody would end: their end marker, or what the coordinator wrote about them, is gone,
// because the tail of one file was torn or damaged and that of the other was not. Readers of committed records would wait for them for ever.
//
// What becomes of one, by what the records of `__transaction_state` still say of its producer id and epoch:
//
//   an end was decided           its marker is written again
//   it is the id's present one   the partition is added to it again: its holder ends it, its timeout, or the next InitProducerId
//   nothing                      it is aborted, as Kafka's operators do by hand (kafka-transactions abort); the start says so
//
// Source: Kafka's coordinator sends the markers of PrepareCommit and PrepareAbort again when it is elected; hanging transactions are KIP-664.
import type { BrokerLog } from '../contract.ts'
import type { ProducerIdAndEpoch, TopicPartition } from './contract.ts'
import type { TransactionRecord } from './stateRecords.ts'

export interface OpenInPartition extends TopicPartition, ProducerIdAndEpoch {
  /** Of its first record. */
  firstOffset: number
}

/** `awaited`: the coordinator ends it already. */
export type Verdict = 'awaited' | 'adopt' | 'commit' | 'abort'

/** Partitions that hold back readers of committed records. */
export const heldBack = (log: BrokerLog): TopicPartition[] =>
  log
    .topics()
    .flatMap(({ name, partitions }) =>
      partitions
        .filter(({ lastStableOffset, endOffset }) => lastStableOffset < endOffset)
        .map(({ partition }) => ({ topic: name, partition })),
    )

/** What is open in these partitions. @throws the log's errors */
export async function openIn(log: BrokerLog, targets: readonly TopicPartition[]): Promise<OpenInPartition[]> {
  const found: OpenInPartition[] = []
  for (const { topic, partition } of targets) {
    // It may have been deleted since.
    if (!log.topic(topic)?.partitions[partition]) continue
    for (const { producerId, producerEpoch, transactionStartOffset } of await log.describeProducers(topic, partition))
      if (transactionStartOffset >= 0) found.push({ topic, partition, producerId, producerEpoch, firstOffset: transactionStartOffset })
  }
  return found
}

/**
 * @param record   what is known now of the id that has the producer id
 * @param history  all records that are still there of ids that have, or had, the producer id, oldest first
 */
export function judge(
  { topic, partition, producerId, producerEpoch }: OpenInPartition,
  record: TransactionRecord | undefined,
  history: readonly TransactionRecord[],
): Verdict {
  const has = ({ partitions }: TransactionRecord) => partitions.get(topic)?.has(partition) ?? false
  // An end may have raised the epoch.
  const isAt = (one: TransactionRecord) =>
    one.producerId === producerId && (one.producerEpoch === producerEpoch + 1 || (one.producerEpoch === producerEpoch && !raises(one)))
  if (record && has(record) && isAt(record)) return 'awaited'
  const commits = history.filter(
    ({ lastCommitted }) => lastCommitted?.producerId === producerId && lastCommitted.producerEpoch === producerEpoch,
  )
  // A fence goes from one epoch to the abort of the next: where the next one had a life of its own, its abort is its own, too.
  const isNextUsed = history.some(
    (one) => one.producerId === producerId && one.producerEpoch === producerEpoch + 1 && (one.state === 'Empty' || one.state === 'Ongoing'),
  )
  const aborts = history.filter(
    (one) =>
      (one.state === 'PrepareAbort' || one.state === 'CompleteAbort') &&
      isAt(one) &&
      (one.producerEpoch === producerEpoch || raises(one) || !isNextUsed),
  )
  // A client that keeps its epoch has several transactions of it: the one that is known to be committed may be another, of other partitions.
  const decided = commits.filter(({ state, bumpsEpoch }) => state === 'PrepareCommit' && !bumpsEpoch)
  if (commits.length > 0 && aborts.length === 0 && (decided.length === 0 || decided.some(has))) return 'commit'
  if (commits.length > 0 && aborts.length > 0) {
    // Several transactions of one epoch, of an old client: those that had this partition.
    const [isCommitted, isAborted] = [commits, aborts].map((all) => all.some(has))
    return isCommitted && !isAborted ? 'commit' : 'abort'
  }
  if (aborts.length > 0) return 'abort'
  // The record of its first partition is gone, and with it perhaps that of its epoch.
  const isItsOwn = record?.producerId === producerId && record.producerEpoch <= producerEpoch
  return isItsOwn && !record.state.startsWith('Prepare') ? 'adopt' : 'abort'
}

/** Whether what ended had the epoch before, and no other. */
const raises = ({ state, bumpsEpoch }: TransactionRecord): boolean => bumpsEpoch && state !== 'Empty' && state !== 'Ongoing'
