// Which brokers are to have a partition; null replicas end a reassignment that goes on.
// Source: Kafka's protocol guide.
import { api, array, bool, int16, int32, string } from '../schema.ts'

export const alterPartitionReassignmentsApi = api({
  key: 45,
  name: 'AlterPartitionReassignments',
  versions: [0, 1],
  flexibleFrom: 0,
  request: {
    timeoutMs: int32('0+', { default: 60_000 }),
    allowReplicationFactorChange: bool('1+', { default: true }),
    topics: array('0+', {
      name: string(),
      partitions: array('0+', { partitionIndex: int32(), replicas: array('0+', int32(), { nullable: '0+', default: null }) }),
    }),
  },
  response: {
    throttleTimeMs: int32(),
    allowReplicationFactorChange: bool('1+', { default: true }),
    errorCode: int16(),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    responses: array('0+', {
      name: string(),
      partitions: array('0+', {
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string('0+', { nullable: '0+', default: null }),
      }),
    }),
  },
})
