// A new leader for partitions: the preferred one, or any that is left. Null topics: all partitions.
// Source: Kafka's protocol guide.
import { api, array, int8, int16, int32, string } from '../schema.ts'

export const electLeadersApi = api({
  key: 43,
  name: 'ElectLeaders',
  versions: [0, 2],
  flexibleFrom: 2,
  request: {
    electionType: int8('1+'),
    topicPartitions: array('0+', { topic: string(), partitions: array('0+', int32()) }, { nullable: '0+' }),
    timeoutMs: int32('0+', { default: 60_000 }),
  },
  response: {
    throttleTimeMs: int32(),
    errorCode: int16('1+'),
    replicaElectionResults: array('0+', {
      topic: string(),
      partitionResult: array('0+', {
        partitionId: int32(),
        errorCode: int16(),
        errorMessage: string('0+', { nullable: '0+', default: null }),
      }),
    }),
  },
})
