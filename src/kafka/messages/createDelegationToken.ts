// Asks for a delegation token.
// Source: Kafka's protocol guide.
import { api, array, bytes, int16, int32, int64, string } from '../schema.ts'

export const createDelegationTokenApi = api({
  key: 38,
  name: 'CreateDelegationToken',
  versions: [1, 3],
  flexibleFrom: 2,
  request: {
    ownerPrincipalType: string('3+', { nullable: '3+', default: null }),
    ownerPrincipalName: string('3+', { nullable: '3+', default: null }),
    renewers: array('0+', { principalType: string(), principalName: string() }),
    maxLifetimeMs: int64(),
  },
  response: {
    errorCode: int16(),
    principalType: string(),
    principalName: string(),
    tokenRequesterPrincipalType: string('3+'),
    tokenRequesterPrincipalName: string('3+'),
    issueTimestampMs: int64(),
    expiryTimestampMs: int64(),
    maxTimestampMs: int64(),
    tokenId: string(),
    hmac: bytes(),
    throttleTimeMs: int32(),
  },
})
