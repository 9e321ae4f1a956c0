// Sets and deletes SCRAM credentials. The client has salted the password: it does not cross the network.
// Source: Kafka's protocol guide.
import { api, array, bytes, int8, int16, int32, string } from '../schema.ts'

export const alterUserScramCredentialsApi = api({
  key: 51,
  name: 'AlterUserScramCredentials',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    deletions: array('0+', { name: string(), mechanism: int8() }),
    upsertions: array('0+', {
      name: string(),
      mechanism: int8(),
      iterations: int32(),
      salt: bytes(),
      saltedPassword: bytes(),
    }),
  },
  response: {
    throttleTimeMs: int32(),
    results: array('0+', {
      user: string(),
      errorCode: int16(),
      errorMessage: string('0+', { nullable: '0+', default: null }),
    }),
  },
})
