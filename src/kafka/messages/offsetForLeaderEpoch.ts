// Where the records of a leader epoch end.
// Source: Kafka's protocol guide.
import { api, array, int16, int32, int64, string } from '../schema.ts'

export const offsetForLeaderEpochApi = api({
  key: 23,
  name: 'OffsetForLeaderEpoch',
  versions: [2, 4],
  flexibleFrom: 4,
  request: {
    replicaId: int32('3+', { default: -2 }),
    topics: array('0+', {
      topic: string(),
      partitions: array('0+', {
        partition: int32(),
        currentLeaderEpoch: int32('0+', { default: -1 }),
        leaderEpoch: int32(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32(),
    topics: array('0+', {
      topic: string(),
      partitions: array('0+', {
        errorCode: int16(),
        partition: int32(),
        leaderEpoch: int32('0+', { default: -1 }),
        endOffset: int64('0+', { default: -1 }),
      }),
    }),
  },
})
