// What producers, consumers and administrators say of transactions. The coordinator is the log's (`log/transactions`); offsets are the groups'.
import type { TopicPartition, TransactionRef, TransactionState } from '../../log/index.ts'
import { type Broker, handler, OFFSETS_TOPIC } from '../broker.ts'
import { ERROR, KafkaError, kafkaCodeOf } from '../errors.ts'
import type { Groups } from '../groups/coordinator.ts'
import { addOffsetsToTxnApi } from '../messages/addOffsetsToTxn.ts'
import { addPartitionsToTxnApi } from '../messages/addPartitionsToTxn.ts'
import { describeTransactionsApi } from '../messages/describeTransactions.ts'
import { endTxnApi } from '../messages/endTxn.ts'
import { listTransactionsApi } from '../messages/listTransactions.ts'
import { txnOffsetCommitApi } from '../messages/txnOffsetCommit.ts'
import { writeTxnMarkersApi } from '../messages/writeTxnMarkers.ts'
import { Pattern } from '../pattern.ts'
import { entriesOf } from './offsets.ts'
import { answerError, partitionOf } from './partitions.ts'

/** Since this version of AddPartitionsToTxn, AddOffsetsToTxn and EndTxn clients know PRODUCER_FENCED. */
const FENCED_VERSION = 2
/** Since this version AddPartitionsToTxn has several transactions, and its sender does not need a client's version. */
const BATCHED_VERSION = 4
/** Since this version of EndTxn and TxnOffsetCommit a transaction is one of KIP-890. */
const EPOCH_VERSION = 5
const OFFSETS_PARTITION: TopicPartition = { topic: OFFSETS_TOPIC, partition: 0 }
const TIMEOUT_MS_MAX = 2 ** 31 - 1
const STATES = new Set<string>([
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'Dead',
  'PrepareEpochFence',
] satisfies TransactionState[])

/** Kafka's code for an error of the coordinator: what the disk did is one that clients retry. */
export function coordinatorError(broker: Broker, api: string, error: unknown, knowsFenced = true): number {
  const { errorCode } = answerError(broker, api, error)
  if (errorCode === ERROR.PRODUCER_FENCED && !knowsFenced) return ERROR.INVALID_PRODUCER_EPOCH
  return errorCode === ERROR.KAFKA_STORAGE_ERROR || errorCode === ERROR.REQUEST_TIMED_OUT ? ERROR.COORDINATOR_NOT_AVAILABLE : errorCode
}

interface AddedTopics {
  name: string
  partitions: number[]
}

/** Adds or verifies, and gives a code for each partition: all get the same one, but where some do not exist the others are not tried. */
async function addPartitions(
  broker: Broker,
  ref: TransactionRef,
  topics: readonly AddedTopics[],
  verifyOnly: boolean,
  knowsFenced: boolean,
) {
  const codeOf = (name: string, partition: number) => {
    if (broker.isInternal(name)) return ERROR.TOPIC_AUTHORIZATION_FAILED
    return broker.log.partition(name, partition) === undefined ? ERROR.UNKNOWN_TOPIC_OR_PARTITION : ERROR.NONE
  }
  const targets = topics.flatMap(({ name, partitions }) => partitions.map((partition) => ({ topic: name, partition })))
  const areAllThere = targets.every(({ topic, partition }) => codeOf(topic, partition) === ERROR.NONE)
  let errorCode: number = areAllThere ? ERROR.NONE : ERROR.OPERATION_NOT_ATTEMPTED
  try {
    if (areAllThere && verifyOnly) broker.transactions.verifyPartitions(ref, targets)
    else if (areAllThere) await broker.transactions.addPartitions(ref, targets)
  } catch (error) {
    errorCode = coordinatorError(broker, 'AddPartitionsToTxn', error, knowsFenced)
  }
  return topics.map(({ name, partitions }) => ({
    name,
    resultsByPartition: partitions.map((partitionIndex) => ({
      partitionIndex,
      partitionErrorCode: codeOf(name, partitionIndex) || errorCode,
    })),
  }))
}

export const addPartitionsToTxnHandler = (broker: Broker) =>
  handler(addPartitionsToTxnApi, async ({ transactions, topics, ...ref }, { version }) => {
    if (version < BATCHED_VERSION) {
      return { resultsByTopic: await addPartitions(broker, ref, topics, false, version >= FENCED_VERSION) }
    }
    const resultsByTransaction = await Promise.all(
      transactions.map(async ({ topics: some, verifyOnly, ...one }) => {
        return { transactionalId: one.transactionalId, topicResults: await addPartitions(broker, one, some, verifyOnly, true) }
      }),
    )
    return { resultsByTransaction }
  })

export const addOffsetsToTxnHandler = (broker: Broker, groups: Groups) =>
  handler(addOffsetsToTxnApi, async ({ groupId, ...ref }, { version }) => {
    try {
      if (groupId === '') throw new KafkaError(ERROR.INVALID_GROUP_ID, 'no group id')
      await groups.offsets.makeTopic()
      await broker.transactions.addPartitions(ref, [OFFSETS_PARTITION])
      return {}
    } catch (error) {
      return { errorCode: coordinatorError(broker, 'AddOffsetsToTxn', error, version >= FENCED_VERSION) }
    }
  })

export const endTxnHandler = (broker: Broker) =>
  handler(endTxnApi, async ({ committed, ...ref }, { version }) => {
    try {
      return { ...(await broker.transactions.end(ref, committed, { bumpsEpoch: version >= EPOCH_VERSION })) }
    } catch (error) {
      return { errorCode: coordinatorError(broker, 'EndTxn', error, version >= FENCED_VERSION) }
    }
  })

export const txnOffsetCommitHandler = (broker: Broker, groups: Groups) =>
  handler(txnOffsetCommitApi, async ({ transactionalId, groupId, producerId, producerEpoch, topics, ...member }, { version }) => {
    const { generationId, memberId, groupInstanceId } = member
    const ref = { transactionalId, producerId, producerEpoch }
    const { entries, answers } = entriesOf(broker, 'TxnOffsetCommit', topics, () => {
      if (groupId === '') throw new KafkaError(ERROR.INVALID_GROUP_ID, 'no group id')
      // A producer that does not say for which member it acts is believed.
      if (generationId >= 0 || memberId !== '' || groupInstanceId !== null) {
        groups.checkCommit(groupId, memberId, groupInstanceId, generationId, ERROR.ILLEGAL_GENERATION)
      }
    })
    try {
      if (entries.length > 0) {
        await groups.offsets.makeTopic()
        if (version >= EPOCH_VERSION) await broker.transactions.addPartitions(ref, [OFFSETS_PARTITION])
        const verify = () => broker.transactions.verifyPartitions(ref, [OFFSETS_PARTITION])
        await groups.offsets.commitInTransaction(groupId, entries, { producerId, producerEpoch }, verify)
      }
    } catch (error) {
      // Clients know the fencing of producers here by the older code.
      const errorCode = coordinatorError(broker, 'TxnOffsetCommit', error, false)
      for (const { partitions } of answers) for (const one of partitions) one.errorCode ||= errorCode
    }
    return { topics: answers }
  })

export const writeTxnMarkersHandler = (broker: Broker) =>
  handler(writeTxnMarkersApi, async ({ markers }) => ({
    markers: await Promise.all(
      markers.map(async ({ producerId, producerEpoch, transactionResult, coordinatorEpoch, topics }) => ({
        producerId,
        topics: await Promise.all(
          topics.map(async ({ name, partitionIndexes }) => ({
            name,
            partitions: await Promise.all(
              partitionIndexes.map(async (partitionIndex) => {
                try {
                  const target = { topic: name, partition: partitionIndex }
                  if (!broker.log.partition(name, partitionIndex)) partitionOf(undefined, partitionIndex)
                  await broker.transactions.writeMarker(target, { producerId, producerEpoch }, transactionResult, coordinatorEpoch)
                  return { partitionIndex }
                } catch (error) {
                  return { partitionIndex, errorCode: answerError(broker, 'WriteTxnMarkers', error).errorCode }
                }
              }),
            ),
          })),
        ),
      })),
    ),
  }))

export const describeTransactionsHandler = (broker: Broker) =>
  handler(describeTransactionsApi, ({ transactionalIds }) => ({
    transactionStates: transactionalIds.map((transactionalId) => {
      const found = broker.transactions.describe(transactionalId)
      if (!found) return { transactionalId, errorCode: ERROR.TRANSACTIONAL_ID_NOT_FOUND }
      const topics = new Map<string, number[]>()
      for (const { topic, partition } of found.partitions) topics.set(topic, [...(topics.get(topic) ?? []), partition])
      return {
        transactionalId,
        transactionState: found.state,
        transactionTimeoutMs: Math.min(found.timeoutMs, TIMEOUT_MS_MAX),
        transactionStartTimeMs: found.startMs,
        producerId: found.producerId,
        producerEpoch: found.producerEpoch,
        topics: [...topics].map(([topic, partitions]) => ({ topic, partitions })),
      }
    }),
  }))

export const listTransactionsHandler = (broker: Broker) =>
  handler(listTransactionsApi, ({ stateFilters, producerIdFilters, durationFilter, transactionalIdPattern }) => {
    try {
      const pattern = transactionalIdPattern ? new Pattern(transactionalIdPattern) : undefined
      const nowMs = broker.now()
      const transactionStates = broker.transactions
        .list()
        .filter(({ transactionalId, state, producerId, startMs }) => {
          if (stateFilters.length > 0 && !stateFilters.includes(state)) return false
          if (producerIdFilters.length > 0 && !producerIdFilters.includes(producerId)) return false
          // A transaction that is over does not run.
          if (durationFilter >= 0 && (startMs < 0 || nowMs - startMs <= durationFilter)) return false
          return pattern === undefined || pattern.matches(transactionalId)
        })
        .map(({ transactionalId, producerId, state }) => ({ transactionalId, producerId, transactionState: state }))
      return { unknownStateFilters: stateFilters.filter((state) => !STATES.has(state)), transactionStates }
    } catch (error) {
      return { errorCode: kafkaCodeOf(error).code }
    }
  })
