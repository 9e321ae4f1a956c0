// Access control lists: what an entry is, which entries fit a filter, and whether somebody may do something.
//
// Invariants
//   1. A denial that fits wins over all that allow. Super users are asked nothing.
//   2. As long as there is no entry at all, everybody who may connect may do everything (but see roles in principal.ts); from the first one on,
//      what nothing allows is refused, as with Kafka's authorizer.
// Source: Kafka's documentation, "Authorization and ACLs"; KIP-11, KIP-290.

export const RESOURCE = { any: 1, topic: 2, group: 3, cluster: 4, transactionalId: 5 } as const
export const PATTERN = { any: 1, match: 2, literal: 3, prefixed: 4 } as const
export const OPERATION = {
  any: 1,
  all: 2,
  read: 3,
  write: 4,
  create: 5,
  delete: 6,
  alter: 7,
  describe: 8,
  clusterAction: 9,
  describeConfigs: 10,
  alterConfigs: 11,
  idempotentWrite: 12,
} as const
export const PERMISSION = { any: 1, deny: 2, allow: 3 } as const
export const CLUSTER_NAME = 'kafka-cluster'
const ANYTHING = '*'
const EVERYBODY = 'User:*'

export interface Acl {
  resourceType: number
  resourceName: string
  patternType: number
  /** `User:name`. */
  principal: string
  /** An address, or `*`. */
  host: string
  operation: number
  permissionType: number
}
export interface AclFilter {
  resourceTypeFilter: number
  resourceNameFilter: string | null
  patternTypeFilter: number
  principalFilter: string | null
  hostFilter: string | null
  operation: number
  permissionType: number
}

export const aclKey = ({ resourceType, resourceName, patternType, principal, host, operation, permissionType }: Acl): string =>
  JSON.stringify([resourceType, resourceName, patternType, principal, host, operation, permissionType])

/** Why an entry or filter makes no sense; undefined if it does. */
export function aclFault({ resourceType, resourceName, patternType, principal, host, operation, permissionType }: Acl): string | undefined {
  if (!([RESOURCE.topic, RESOURCE.group, RESOURCE.cluster, RESOURCE.transactionalId] as number[]).includes(resourceType)) {
    return `resources of type ${resourceType} have no ACLs here`
  }
  if (patternType !== PATTERN.literal && patternType !== PATTERN.prefixed) return `pattern type ${patternType} is only for filters`
  if (resourceName === '') return 'the resource has no name'
  if (resourceType === RESOURCE.cluster && resourceName !== CLUSTER_NAME) return `the cluster is called ${CLUSTER_NAME}`
  if (!/^[^:]+:./.test(principal)) return `${principal} is not a principal: write User:name`
  if (host === '') return 'the host is empty: write * for all'
  if (operation < OPERATION.all || operation > OPERATION.idempotentWrite) return `operation ${operation} is not known`
  if (permissionType !== PERMISSION.deny && permissionType !== PERMISSION.allow) return `permission ${permissionType} is only for filters`
  return undefined
}

const covers = ({ resourceName, patternType }: Acl, name: string): boolean =>
  patternType === PATTERN.prefixed ? name.startsWith(resourceName) : resourceName === name || resourceName === ANYTHING

export function fits(acl: Acl, filter: AclFilter): boolean {
  const isOf = (wanted: number, value: number) => wanted === 1 || wanted === value
  const isNamed = (wanted: string | null, value: string) => wanted === null || wanted === value
  if (!isOf(filter.resourceTypeFilter, acl.resourceType) || !isOf(filter.operation, acl.operation)) return false
  if (!isOf(filter.permissionType, acl.permissionType)) return false
  if (!isNamed(filter.principalFilter, acl.principal) || !isNamed(filter.hostFilter, acl.host)) return false
  const { patternTypeFilter: pattern, resourceNameFilter: name } = filter
  // MATCH: all that would count for a resource of that name.
  if (pattern === PATTERN.match) return name === null || covers(acl, name)
  return (pattern === PATTERN.any || pattern === acl.patternType) && isNamed(name, acl.resourceName)
}

/** Who may do this may do that too. */
const implied: Record<number, readonly number[]> = {
  [OPERATION.describe]: [OPERATION.read, OPERATION.write, OPERATION.delete, OPERATION.alter],
  [OPERATION.describeConfigs]: [OPERATION.alterConfigs],
}

export interface Question {
  principal: string
  host: string
  operation: number
  resourceType: number
  resourceName: string
}

/** What the entries say: allow, deny, or nothing. */
export function decide(acls: Iterable<Acl>, { principal, host, operation, resourceType, resourceName }: Question): boolean | undefined {
  let isAllowed: true | undefined
  for (const acl of acls) {
    if (acl.resourceType !== resourceType || !covers(acl, resourceName)) continue
    if (acl.principal !== principal && acl.principal !== EVERYBODY) continue
    if (acl.host !== host && acl.host !== ANYTHING) continue
    const isSame = acl.operation === operation || acl.operation === OPERATION.all
    if (acl.permissionType === PERMISSION.deny) {
      if (isSame) return false
    } else if (isSame || implied[operation]?.includes(acl.operation)) isAllowed = true
  }
  return isAllowed
}

/** Whether somebody may do an operation with at least one resource of a type: for idempotent producers, before they name a topic. */
export function mayWithAny(acls: readonly Acl[], { principal, host, operation, resourceType }: Omit<Question, 'resourceName'>): boolean {
  return acls.some((acl) => {
    if (acl.resourceType !== resourceType || acl.permissionType !== PERMISSION.allow) return false
    // The name that an entry allows may be denied by another one.
    return decide(acls, { principal, host, operation, resourceType, resourceName: acl.resourceName }) === true
  })
}
