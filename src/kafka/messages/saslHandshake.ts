// Which way a client wants to say who it is. Version 0, where bare tokens follow, is not spoken.
// Source: Kafka's protocol guide.
import { api, array, int16, string } from '../schema.ts'

export const saslHandshakeApi = api({
  key: 17,
  name: 'SaslHandshake',
  versions: [1, 1],
  request: { mechanism: string() },
  response: { errorCode: int16(), mechanisms: array('0+', string()) },
})
