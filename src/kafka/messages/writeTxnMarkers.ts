// Markers into partitions, whatever the coordinator knows: how an administrator ends a transaction that hangs.
// Source: Kafka's protocol guide.
import { api, array, bool, int8, int16, int32, int64, string } from '../schema.ts'

export const writeTxnMarkersApi = api({
  key: 27,
  name: 'WriteTxnMarkers',
  versions: [1, 2],
  flexibleFrom: 1,
  request: {
    markers: array('0+', {
      producerId: int64(),
      producerEpoch: int16(),
      transactionResult: bool(),
      topics: array('0+', {
        name: string(),
        partitionIndexes: array('0+', int32()),
      }),
      coordinatorEpoch: int32(),
      transactionVersion: int8('2+'),
    }),
  },
  response: {
    markers: array('0+', {
      producerId: int64(),
      topics: array('0+', {
        name: string(),
        partitions: array('0+', {
          partitionIndex: int32(),
          errorCode: int16(),
        }),
      }),
    }),
  },
})
