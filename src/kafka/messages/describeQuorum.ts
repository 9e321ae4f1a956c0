// Who votes for the controller.
// Source: Kafka's protocol guide.
import { api, array, int16, int32, int64, string, uint16, uuid } from '../schema.ts'

const replicas = () =>
  array('0+', {
    replicaId: int32(),
    replicaDirectoryId: uuid('2+'),
    logEndOffset: int64(),
    lastFetchTimestamp: int64('1+', { default: -1 }),
    lastCaughtUpTimestamp: int64('1+', { default: -1 }),
  })

export const describeQuorumApi = api({
  key: 55,
  name: 'DescribeQuorum',
  versions: [0, 2],
  flexibleFrom: 0,
  request: {
    topics: array('0+', { topicName: string(), partitions: array('0+', { partitionIndex: int32() }) }),
  },
  response: {
    errorCode: int16(),
    errorMessage: string('2+', { nullable: '2+', default: null }),
    topics: array('0+', {
      topicName: string(),
      partitions: array('0+', {
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string('2+', { nullable: '2+', default: null }),
        leaderId: int32(),
        leaderEpoch: int32(),
        highWatermark: int64(),
        currentVoters: replicas(),
        observers: replicas(),
      }),
    }),
    nodes: array('2+', {
      nodeId: int32('2+'),
      listeners: array('2+', { name: string('2+'), host: string('2+'), port: uint16('2+') }),
    }),
  },
})
