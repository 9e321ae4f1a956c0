// Which way a client wants to say who it is. After version 0 follow bare tokens instead of SaslAuthenticate.
// Source: Kafka's protocol guide.
import { api, array, int16, string } from '../schema.ts'

export const saslHandshakeApi = api({
  key: 17,
  name: 'SaslHandshake',
  versions: [0, 1],
  request: { mechanism: string() },
  response: { errorCode: int16(), mechanisms: array('0+', string()) },
})
