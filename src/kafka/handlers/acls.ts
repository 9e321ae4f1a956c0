// DescribeAcls, CreateAcls, DeleteAcls.
import { type Broker, handler } from '../broker.ts'
import { ERROR, KafkaError } from '../errors.ts'
import { createAclsApi } from '../messages/createAcls.ts'
import { deleteAclsApi } from '../messages/deleteAcls.ts'
import { describeAclsApi } from '../messages/describeAcls.ts'
import { type Acl, type AclFilter, aclFault, aclKey, fits } from '../security/acls.ts'
import { answerError } from './partitions.ts'

function checkFilter({ resourceTypeFilter, patternTypeFilter, operation, permissionType }: AclFilter): void {
  if ([resourceTypeFilter, patternTypeFilter, operation, permissionType].some((value) => value <= 0)) {
    throw new KafkaError(ERROR.INVALID_REQUEST, 'the filter has an unknown value')
  }
}

export const describeAclsHandler = (broker: Broker) =>
  handler(describeAclsApi, (filter) => {
    try {
      checkFilter(filter)
    } catch (error) {
      return { ...answerError(broker, 'DescribeAcls', error), resources: [] }
    }
    const found = Map.groupBy(
      [...broker.security.store.acls.values()].filter((acl) => fits(acl, filter)),
      ({ resourceType, resourceName, patternType }) => JSON.stringify([resourceType, resourceName, patternType]),
    )
    const resources = [...found.values()].map((acls) => {
      const [{ resourceType, resourceName, patternType }] = acls
      return { resourceType, resourceName, patternType, acls }
    })
    return { resources }
  })

export const createAclsHandler = (broker: Broker) =>
  handler(createAclsApi, async ({ creations }) => {
    const wanted = creations.map(({ resourcePatternType: patternType, ...rest }): Acl => {
      const { resourceType, resourceName, principal, host, operation, permissionType } = rest
      return { resourceType, resourceName, patternType, principal, host, operation, permissionType }
    })
    const faults = wanted.map(aclFault)
    const good = wanted.filter((_, i) => faults[i] === undefined)
    let failure: { errorCode: number; errorMessage: string } | undefined
    try {
      await broker.security.store.write(good.map((acl) => ({ key: ['acl', aclKey(acl)], value: acl })))
    } catch (error) {
      failure = answerError(broker, 'CreateAcls', error)
    }
    return {
      results: faults.map((fault) => (fault === undefined ? (failure ?? {}) : { errorCode: ERROR.INVALID_REQUEST, errorMessage: fault })),
    }
  })

export const deleteAclsHandler = (broker: Broker) =>
  handler(deleteAclsApi, async ({ filters }) => ({
    filterResults: await Promise.all(
      filters.map(async (filter) => {
        try {
          checkFilter(filter)
          const { store } = broker.security
          const matchingAcls = [...store.acls.values()].filter((acl) => fits(acl, filter))
          await store.write(matchingAcls.map((acl) => ({ key: ['acl', aclKey(acl)], value: null })))
          return { matchingAcls }
        } catch (error) {
          return { ...answerError(broker, 'DeleteAcls', error), matchingAcls: [] }
        }
      }),
    ),
  }))
