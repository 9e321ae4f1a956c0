// New topics.
// Source: Kafka's protocol guide.
import { api, array, bool, int8, int16, int32, string, uuid } from '../schema.ts'

export const createTopicsApi = api({
  key: 19,
  name: 'CreateTopics',
  versions: [2, 7],
  flexibleFrom: 5,
  request: {
    topics: array('0+', {
      name: string(),
      numPartitions: int32(),
      replicationFactor: int16(),
      assignments: array('0+', {
        partitionIndex: int32(),
        brokerIds: array('0+', int32()),
      }),
      configs: array('0+', {
        name: string(),
        value: string('0+', { nullable: '0+' }),
      }),
    }),
    timeoutMs: int32('0+', { default: 60000 }),
    validateOnly: bool(),
  },
  response: {
    throttleTimeMs: int32(),
    topics: array('0+', {
      name: string(),
      topicId: uuid('7+'),
      errorCode: int16(),
      errorMessage: string('0+', { nullable: '0+' }),
      topicConfigErrorCode: int16('5+', { tag: 0 }),
      numPartitions: int32('5+', { default: -1 }),
      replicationFactor: int16('5+', { default: -1 }),
      configs: array(
        '5+',
        {
          name: string('5+'),
          value: string('5+', { nullable: '5+' }),
          readOnly: bool('5+'),
          configSource: int8('5+', { default: -1 }),
          isSensitive: bool('5+'),
        },
        { nullable: '5+' },
      ),
    }),
  },
})
