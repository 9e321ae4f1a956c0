// Which users have which SCRAM credentials; never the credentials.
// Source: Kafka's protocol guide.
import { api, array, int8, int16, int32, string } from '../schema.ts'

export const describeUserScramCredentialsApi = api({
  key: 50,
  name: 'DescribeUserScramCredentials',
  versions: [0, 0],
  flexibleFrom: 0,
  request: { users: array('0+', { name: string() }, { nullable: '0+' }) },
  response: {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    results: array('0+', {
      user: string(),
      errorCode: int16(),
      errorMessage: string('0+', { nullable: '0+', default: null }),
      credentialInfos: array('0+', { mechanism: int8(), iterations: int32() }),
    }),
  },
})
