// More partitions for a topic.
// Source: Kafka's protocol guide.
import { api, array, bool, int16, int32, string } from '../schema.ts'

export const createPartitionsApi = api({
  key: 37,
  name: 'CreatePartitions',
  versions: [0, 3],
  flexibleFrom: 2,
  request: {
    topics: array('0+', {
      name: string(),
      count: int32(),
      assignments: array(
        '0+',
        {
          brokerIds: array('0+', int32()),
        },
        { nullable: '0+' },
      ),
    }),
    timeoutMs: int32(),
    validateOnly: bool(),
  },
  response: {
    throttleTimeMs: int32(),
    results: array('0+', {
      name: string(),
      errorCode: int16(),
      errorMessage: string('0+', { nullable: '0+', default: null }),
    }),
  },
})
