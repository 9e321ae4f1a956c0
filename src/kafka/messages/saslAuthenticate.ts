// The tokens of the mechanism that was agreed on.
// Source: Kafka's protocol guide.
import { api, bytes, int16, int64, string } from '../schema.ts'

export const saslAuthenticateApi = api({
  key: 36,
  name: 'SaslAuthenticate',
  versions: [0, 2],
  flexibleFrom: 2,
  request: { authBytes: bytes() },
  response: {
    errorCode: int16(),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    authBytes: bytes(),
    sessionLifetimeMs: int64('1+'),
  },
})
