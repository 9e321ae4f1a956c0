// Access control entries that fit a filter.
// Source: Kafka's protocol guide.
import { api, array, int8, int16, int32, string } from '../schema.ts'

export const describeAclsApi = api({
  key: 29,
  name: 'DescribeAcls',
  versions: [1, 3],
  flexibleFrom: 2,
  request: {
    resourceTypeFilter: int8(),
    resourceNameFilter: string('0+', { nullable: '0+' }),
    patternTypeFilter: int8('1+', { default: 3 }),
    principalFilter: string('0+', { nullable: '0+' }),
    hostFilter: string('0+', { nullable: '0+' }),
    operation: int8(),
    permissionType: int8(),
  },
  response: {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    resources: array('0+', {
      resourceType: int8(),
      resourceName: string(),
      patternType: int8('1+', { default: 3 }),
      acls: array('0+', {
        principal: string(),
        host: string(),
        operation: int8(),
        permissionType: int8(),
      }),
    }),
  },
})
