// New access control entries.
// Source: Kafka's protocol guide.
import { api, array, int8, int16, int32, string } from '../schema.ts'

export const createAclsApi = api({
  key: 30,
  name: 'CreateAcls',
  versions: [1, 3],
  flexibleFrom: 2,
  request: {
    creations: array('0+', {
      resourceType: int8(),
      resourceName: string(),
      resourcePatternType: int8('1+', { default: 3 }),
      principal: string(),
      host: string(),
      operation: int8(),
      permissionType: int8(),
    }),
  },
  response: {
    throttleTimeMs: int32(),
    results: array('0+', {
      errorCode: int16(),
      errorMessage: string('0+', { nullable: '0+', default: null }),
    }),
  },
})
