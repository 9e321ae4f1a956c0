// Makes a delegation token live longer.
// Source: Kafka's protocol guide.
import { api, bytes, int16, int32, int64 } from '../schema.ts'

export const renewDelegationTokenApi = api({
  key: 39,
  name: 'RenewDelegationToken',
  versions: [1, 2],
  flexibleFrom: 2,
  request: { hmac: bytes(), renewPeriodMs: int64() },
  response: { errorCode: int16(), expiryTimestampMs: int64(), throttleTimeMs: int32() },
})
