// Into which of a broker's folders replicas shall move.
// Source: Kafka's protocol guide.
import { api, array, int16, int32, string } from '../schema.ts'

export const alterReplicaLogDirsApi = api({
  key: 34,
  name: 'AlterReplicaLogDirs',
  versions: [1, 2],
  flexibleFrom: 2,
  request: {
    dirs: array('0+', {
      path: string(),
      topics: array('0+', { name: string(), partitions: array('0+', int32()) }),
    }),
  },
  response: {
    throttleTimeMs: int32(),
    results: array('0+', {
      topicName: string(),
      partitions: array('0+', { partitionIndex: int32(), errorCode: int16() }),
    }),
  },
})
