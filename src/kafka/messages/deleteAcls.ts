// Deletes the access control entries that fit a filter, and says which they were.
// Source: Kafka's protocol guide.
import { api, array, int8, int16, int32, string } from '../schema.ts'

export const deleteAclsApi = api({
  key: 31,
  name: 'DeleteAcls',
  versions: [1, 3],
  flexibleFrom: 2,
  request: {
    filters: array('0+', {
      resourceTypeFilter: int8(),
      resourceNameFilter: string('0+', { nullable: '0+' }),
      patternTypeFilter: int8('1+', { default: 3 }),
      principalFilter: string('0+', { nullable: '0+' }),
      hostFilter: string('0+', { nullable: '0+' }),
      operation: int8(),
      permissionType: int8(),
    }),
  },
  response: {
    throttleTimeMs: int32(),
    filterResults: array('0+', {
      errorCode: int16(),
      errorMessage: string('0+', { nullable: '0+', default: null }),
      matchingAcls: array('0+', {
        errorCode: int16(),
        errorMessage: string('0+', { nullable: '0+', default: null }),
        resourceType: int8(),
        resourceName: string(),
        patternType: int8('1+', { default: 3 }),
        principal: string(),
        host: string(),
        operation: int8(),
        permissionType: int8(),
      }),
    }),
  },
})
