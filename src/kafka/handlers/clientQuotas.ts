// DescribeClientQuotas, AlterClientQuotas.
import { isIP } from 'node:net'
import { type Broker, handler } from '../broker.ts'
import { ERROR, type ErrorCode, KafkaError } from '../errors.ts'
import { alterClientQuotasApi } from '../messages/alterClientQuotas.ts'
import { describeClientQuotasApi } from '../messages/describeClientQuotas.ts'
import {
  CONNECTION_RATE,
  entityKey,
  type QuotaEntity,
  type QuotaEntityType,
  type QuotaKey,
  quotaEntityTypes,
  quotaKeys,
} from '../security/quotas.ts'
import { answerError } from './partitions.ts'

const MATCH = { exact: 0, default: 1, any: 2 } as const
type Component = { entityType: string; matchType: number; match: string | null }

function typeOf(entityType: string, code: ErrorCode = ERROR.INVALID_REQUEST): QuotaEntityType {
  const type = quotaEntityTypes.find((one) => one === entityType)
  if (!type) throw new KafkaError(code, `entities of type ${entityType} have no quotas: there are ${quotaEntityTypes.join(', ')}`)
  return type
}
/** @throws KafkaError INVALID_REQUEST: users and client ids have other quotas than addresses */
function checkTypes(types: readonly QuotaEntityType[]): void {
  if (types.includes('ip') && types.some((type) => type !== 'ip'))
    throw new KafkaError(ERROR.INVALID_REQUEST, 'an address is not named together with a user or client id')
}

function fits(entity: QuotaEntity, components: readonly Component[], isStrict: boolean): boolean {
  if (isStrict && Object.keys(entity).length !== components.length) return false
  return components.every(({ entityType, matchType, match }) => {
    const name = entity[entityType as QuotaEntityType]
    if (name === undefined) return false
    return matchType === MATCH.any || name === (matchType === MATCH.default ? null : match)
  })
}

export const describeClientQuotasHandler = (broker: Broker) =>
  handler(describeClientQuotasApi, ({ components, strict }) => {
    try {
      const types = components.map(({ entityType }) => typeOf(entityType, ERROR.UNSUPPORTED_VERSION))
      checkTypes(types)
      if (new Set(types).size < types.length) throw new KafkaError(ERROR.INVALID_REQUEST, 'an entity type is in the filter twice')
      for (const { matchType, match } of components) {
        const isWhole =
          matchType === MATCH.exact ? match !== null : match === null && (matchType === MATCH.default || matchType === MATCH.any)
        if (!isWhole) throw new KafkaError(ERROR.INVALID_REQUEST, `match type ${matchType}`)
      }
      const found = [...broker.security.store.quotas.values()].filter(({ entity }) => fits(entity, components, strict))
      const entries = found.map(({ entity, values }) => ({
        entity: Object.entries(entity).map(([entityType, entityName]) => ({ entityType, entityName: entityName as string | null })),
        values: Object.entries(values).map(([key, value]) => ({ key, value })),
      }))
      return { entries }
    } catch (error) {
      return { ...answerError(broker, 'DescribeClientQuotas', error), entries: null }
    }
  })

interface Alteration {
  entity: readonly { entityType: string; entityName: string | null }[]
  ops: readonly { key: string; value: number; remove: boolean }[]
}

export const alterClientQuotasHandler = (broker: Broker) =>
  handler(alterClientQuotasApi, async ({ entries, validateOnly }) => ({
    entries: await Promise.all(
      entries.map(async (one) => {
        try {
          // One after another: each begins with what the entity has after the one before.
          await broker.inTurn(() => alter(broker, one, validateOnly))
          return { entity: one.entity }
        } catch (error) {
          return { ...answerError(broker, 'AlterClientQuotas', error), entity: one.entity }
        }
      }),
    ),
  }))

async function alter(broker: Broker, { entity: parts, ops }: Alteration, validateOnly: boolean): Promise<void> {
  const entity: QuotaEntity = {}
  for (const { entityType, entityName } of parts) {
    const type = typeOf(entityType)
    if (entity[type] !== undefined || entityName === '') throw new KafkaError(ERROR.INVALID_REQUEST, `entity type ${type}: ${entityName}`)
    entity[type] = entityName
  }
  if (parts.length === 0) throw new KafkaError(ERROR.INVALID_REQUEST, 'an entity without parts')
  checkTypes(Object.keys(entity) as QuotaEntityType[])
  if (typeof entity.ip === 'string' && isIP(entity.ip) === 0)
    throw new KafkaError(ERROR.INVALID_REQUEST, `${entity.ip} is not an IP address`)
  if (new Set(ops.map(({ key }) => key)).size < ops.length) throw new KafkaError(ERROR.INVALID_REQUEST, 'a quota is in the request twice')
  const known: readonly QuotaKey[] = entity.ip === undefined ? quotaKeys : [CONNECTION_RATE]
  const key = entityKey(entity)
  const values = { ...broker.security.store.quotas.get(key)?.values }
  for (const { key: name, value, remove } of ops) {
    const quotaKey = known.find((one) => one === name)
    if (!quotaKey) throw new KafkaError(ERROR.INVALID_REQUEST, `${name} is none of ${known.join(', ')}`)
    if (remove) delete values[quotaKey]
    else values[quotaKey] = checkValue(quotaKey, value)
  }
  const isEmpty = Object.keys(values).length === 0
  if (!validateOnly) await broker.security.store.write([{ key: ['quota', key], value: isEmpty ? null : values }])
}

function checkValue(key: QuotaKey, value: number): number {
  const isWhole = key === 'request_percentage' || key === 'controller_mutation_rate' || Number.isSafeInteger(value)
  if (!Number.isFinite(value) || value <= 0 || !isWhole)
    throw new KafkaError(ERROR.INVALID_REQUEST, `${key} = ${value} must be a number above 0`)
  return value
}
