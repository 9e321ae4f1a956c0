// Partitions that the records of a transaction will go to. Up to version 3 from clients, from 4 on between brokers, several at once.
// Source: Kafka's protocol guide.
import { api, array, bool, int16, int32, int64, string } from '../schema.ts'

const topics = { name: string(), partitions: array('0+', int32()) }
const results = { name: string(), resultsByPartition: array('0+', { partitionIndex: int32(), partitionErrorCode: int16() }) }

export const addPartitionsToTxnApi = api({
  key: 24,
  name: 'AddPartitionsToTxn',
  versions: [0, 5],
  flexibleFrom: 3,
  request: {
    transactions: array('4+', {
      transactionalId: string('4+'),
      producerId: int64('4+'),
      producerEpoch: int16('4+'),
      verifyOnly: bool('4+'),
      topics: array('4+', topics),
    }),
    transactionalId: string('0-3'),
    producerId: int64('0-3'),
    producerEpoch: int16('0-3'),
    topics: array('0-3', topics),
  },
  response: {
    throttleTimeMs: int32(),
    errorCode: int16('4+'),
    resultsByTransaction: array('4+', {
      transactionalId: string('4+'),
      topicResults: array('4+', results),
    }),
    resultsByTopic: array('0-3', results),
  },
})
