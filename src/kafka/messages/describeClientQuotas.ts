// Quotas of users and client ids.
// Source: Kafka's protocol guide.
import { api, array, bool, float64, int8, int16, int32, string } from '../schema.ts'

export const describeClientQuotasApi = api({
  key: 48,
  name: 'DescribeClientQuotas',
  versions: [0, 1],
  flexibleFrom: 1,
  request: {
    components: array('0+', {
      entityType: string(),
      matchType: int8(),
      match: string('0+', { nullable: '0+' }),
    }),
    strict: bool(),
  },
  response: {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    entries: array(
      '0+',
      {
        entity: array('0+', { entityType: string(), entityName: string('0+', { nullable: '0+' }) }),
        values: array('0+', { key: string(), value: float64() }),
      },
      { nullable: '0+' },
    ),
  },
})
