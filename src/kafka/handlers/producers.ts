// InitProducerId and DescribeProducers. Sequences and epochs of producers are checked by the log's writer, transactions by the coordinator.
import { type Broker, handler } from '../broker.ts'
import { ERROR, KafkaError } from '../errors.ts'
import { describeProducersApi } from '../messages/describeProducers.ts'
import { initProducerIdApi } from '../messages/initProducerId.ts'
import { answerError, partitionOf } from './partitions.ts'
import { coordinatorError } from './transactions.ts'

/** Since this version clients know PRODUCER_FENCED. */
const FENCED_VERSION = 4

export const initProducerIdHandler = (broker: Broker) =>
  handler(initProducerIdApi, async ({ transactionalId, transactionTimeoutMs, producerId, producerEpoch }, { version }) => {
    try {
      if ((producerId === -1) !== (producerEpoch === -1)) throw new KafkaError(ERROR.INVALID_REQUEST, 'a producer id without an epoch')
      // Also an idempotent producer that asks again because it lost count gets a new id: nothing that it sent before can be taken for what follows.
      if (transactionalId === null) return { producerId: await broker.transactions.newProducerId(), producerEpoch: 0 }
      if (transactionalId === '') throw new KafkaError(ERROR.INVALID_REQUEST, 'the transactional id is empty')
      const expected = producerId < 0 ? undefined : { producerId, producerEpoch }
      return { ...(await broker.transactions.initProducerId(transactionalId, { timeoutMs: transactionTimeoutMs, expected })) }
    } catch (error) {
      return { errorCode: coordinatorError(broker, 'InitProducerId', error, version >= FENCED_VERSION), producerId: -1, producerEpoch: -1 }
    }
  })

export const describeProducersHandler = (broker: Broker) =>
  handler(describeProducersApi, async ({ topics }, { turns }) => ({
    topics: await turns.map(topics, async ({ name, partitionIndexes }) => ({
      name,
      partitions: await turns.map(partitionIndexes, async (partitionIndex) => {
        try {
          // If it is not there, the other way says why.
          if (!broker.log.partition(name, partitionIndex)) partitionOf(broker.log.topic(name), partitionIndex)
          const producers = await broker.log.describeProducers(name, partitionIndex)
          const activeProducers = producers.map(({ lastTimestampMs, transactionStartOffset, ...producer }) => {
            return { ...producer, lastTimestamp: lastTimestampMs, currentTxnStartOffset: transactionStartOffset }
          })
          return { partitionIndex, activeProducers }
        } catch (error) {
          return { partitionIndex, ...answerError(broker, 'DescribeProducers', error) }
        }
      }),
    })),
  }))
