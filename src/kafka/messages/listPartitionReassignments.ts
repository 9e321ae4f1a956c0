// The partitions that are on their way to other brokers.
// Source: Kafka's protocol guide.
import { api, array, int16, int32, string } from '../schema.ts'

export const listPartitionReassignmentsApi = api({
  key: 46,
  name: 'ListPartitionReassignments',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    timeoutMs: int32('0+', { default: 60_000 }),
    topics: array('0+', { name: string(), partitionIndexes: array('0+', int32()) }, { nullable: '0+', default: null }),
  },
  response: {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    topics: array('0+', {
      name: string(),
      partitions: array('0+', {
        partitionIndex: int32(),
        replicas: array('0+', int32()),
        addingReplicas: array('0+', int32()),
        removingReplicas: array('0+', int32()),
      }),
    }),
  },
})
