// Deletes topics, by name or (since version 6) by id.
// Source: Kafka's protocol guide.
import { api, array, int16, int32, string, uuid } from '../schema.ts'

export const deleteTopicsApi = api({
  key: 20,
  name: 'DeleteTopics',
  versions: [1, 6],
  flexibleFrom: 4,
  request: {
    topics: array('6+', {
      name: string('6+', { nullable: '6+', default: null }),
      topicId: uuid('6+'),
    }),
    topicNames: array('1-5', string()),
    timeoutMs: int32(),
  },
  response: {
    throttleTimeMs: int32(),
    responses: array('0+', {
      name: string('0+', { nullable: '6+' }),
      topicId: uuid('6+'),
      errorCode: int16(),
      errorMessage: string('5+', { nullable: '5+', default: null }),
    }),
  },
})
