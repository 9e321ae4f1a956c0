// Deletes groups without members.
// Source: Kafka's protocol guide.
import { api, array, int16, int32, string } from '../schema.ts'

export const deleteGroupsApi = api({
  key: 42,
  name: 'DeleteGroups',
  versions: [0, 2],
  flexibleFrom: 2,
  request: {
    groupsNames: array('0+', string()),
  },
  response: {
    throttleTimeMs: int32(),
    results: array('0+', {
      groupId: string(),
      errorCode: int16(),
    }),
  },
})
