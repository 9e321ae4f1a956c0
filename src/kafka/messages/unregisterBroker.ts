// A broker that does not come back.
// Source: Kafka's protocol guide.
import { api, int16, int32, string } from '../schema.ts'

export const unregisterBrokerApi = api({
  key: 64,
  name: 'UnregisterBroker',
  versions: [0, 0],
  flexibleFrom: 0,
  request: { brokerId: int32() },
  response: {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string('0+', { nullable: '0+', default: null }),
  },
})
