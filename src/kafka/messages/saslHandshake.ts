// Which way a client wants to say who it is. Version 0, after which bare tokens would follow, is listed, because librdkafka asks for it, and
// refused.
// Source: Kafka's protocol guide.
import { api, array, int16, string } from '../schema.ts'

export const saslHandshakeApi = api({
  key: 17,
  name: 'SaslHandshake',
  versions: [0, 1],
  request: { mechanism: string() },
  response: { errorCode: int16(), mechanisms: array('0+', string()) },
})
