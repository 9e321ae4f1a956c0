// What has settings, by type; version 0 knew resources of client metrics only.
// Source: Kafka's protocol guide.
import { api, array, int8, int16, int32, string } from '../schema.ts'

export const listConfigResourcesApi = api({
  key: 74,
  name: 'ListConfigResources',
  versions: [0, 1],
  flexibleFrom: 0,
  request: { resourceTypes: array('1+', int8('1+')) },
  response: {
    throttleTimeMs: int32(),
    errorCode: int16(),
    configResources: array('0+', { resourceName: string(), resourceType: int8('1+', { default: 16 }) }),
  },
})
