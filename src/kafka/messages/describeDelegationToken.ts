// Lists delegation tokens.
// Source: Kafka's protocol guide.
import { api, array, bytes, int16, int32, int64, string } from '../schema.ts'

export const describeDelegationTokenApi = api({
  key: 41,
  name: 'DescribeDelegationToken',
  versions: [1, 3],
  flexibleFrom: 2,
  request: {
    owners: array('0+', { principalType: string(), principalName: string() }, { nullable: '0+', default: null }),
  },
  response: {
    errorCode: int16(),
    tokens: array('0+', {
      principalType: string(),
      principalName: string(),
      tokenRequesterPrincipalType: string('3+'),
      tokenRequesterPrincipalName: string('3+'),
      issueTimestamp: int64(),
      expiryTimestamp: int64(),
      maxTimestamp: int64(),
      tokenId: string(),
      hmac: bytes(),
      renewers: array('0+', { principalType: string(), principalName: string() }),
    }),
    throttleTimeMs: int32(),
  },
})
