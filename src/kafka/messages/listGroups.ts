// All groups of this broker.
// Source: Kafka's protocol guide.
import { api, array, int16, int32, string } from '../schema.ts'

export const listGroupsApi = api({
  key: 16,
  name: 'ListGroups',
  versions: [0, 5],
  flexibleFrom: 3,
  request: {
    statesFilter: array('4+', string()),
    typesFilter: array('5+', string()),
  },
  response: {
    throttleTimeMs: int32('1+'),
    errorCode: int16(),
    groups: array('0+', {
      groupId: string(),
      protocolType: string(),
      groupState: string('4+'),
      groupType: string('5+'),
    }),
  },
})
