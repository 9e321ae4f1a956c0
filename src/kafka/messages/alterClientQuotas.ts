// Sets and removes quotas.
// Source: Kafka's protocol guide.
import { api, array, bool, float64, int16, int32, string } from '../schema.ts'

export const alterClientQuotasApi = api({
  key: 49,
  name: 'AlterClientQuotas',
  versions: [0, 1],
  flexibleFrom: 1,
  request: {
    entries: array('0+', {
      entity: array('0+', { entityType: string(), entityName: string('0+', { nullable: '0+' }) }),
      ops: array('0+', { key: string(), value: float64(), remove: bool() }),
    }),
    validateOnly: bool(),
  },
  response: {
    throttleTimeMs: int32(),
    entries: array('0+', {
      errorCode: int16(),
      errorMessage: string('0+', { nullable: '0+', default: null }),
      entity: array('0+', { entityType: string(), entityName: string('0+', { nullable: '0+' }) }),
    }),
  },
})
