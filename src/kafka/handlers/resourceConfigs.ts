// Settings of groups, of the broker and of clients' metrics: which there are, what each may be, and what holds.
//
// Invariants
//   1. A setting that is accepted either takes effect or can make no difference here, as numbers of threads and throttles of replication do.
//      Everything else is refused: nothing is promised and then not done.
//   2. What was set is durable (security/store.ts) and described as it was set.
// Source: Kafka 4.3.1, GroupConfig, DynamicBrokerConfig, ClientMetricsConfigs.
import { type Broker, NODE_ID } from '../broker.ts'
import { ERROR, KafkaError } from '../errors.ts'
import { kafkaLimits } from '../limits.ts'
import { changedValue, DELETE, type DescribedConfig, INT_MAX, isLong, LONG_MAX, partsOf, RESOURCE, SOURCE, TYPE } from './topicConfigs.ts'

export type ResourceSettings = Readonly<Record<string, string>>

interface Setting {
  /** What holds if it is not set; undefined where Kafka tells of it only if it is set. */
  value: string | undefined
  type: number
  /** Kafka's bounds of a number, or a test of a text. */
  valid: [min: number | bigint, max: number | bigint] | ((text: string) => boolean)
  /** The code of a wrong value, where it is not that of the kind. */
  refusal?: Kind['refusal']
}
interface Kind {
  settings: Readonly<Record<string, Setting>>
  /** What Kafka answers a wrong value and an unknown name with. */
  refusal: typeof ERROR.INVALID_CONFIG | typeof ERROR.INVALID_REQUEST
  /** Where a value of this resource comes from. */
  source: (name: string) => number
  /** The broker's name of a setting, to which a default is due; none are told of where this is missing. */
  brokerName?: (setting: string) => string
  isName: (name: string) => boolean
}

const { int, long, list } = TYPE
const number = (type: number, value: number | bigint, ...valid: [min: number | bigint, max: number | bigint]): Setting => {
  return { value: String(value), type, valid }
}
const rate: Setting = { value: undefined, type: long, valid: [0, LONG_MAX] }
const threads = (count: number) => number(int, count, 1, INT_MAX)

const CLIENT_PARTS = ['instance_id', 'id', 'software_name', 'software_version', 'source_address', 'source_port']
const MATCH = new RegExp(`^client_(${CLIENT_PARTS.join('|')})=(.+)$`)
function isMatch(text: string): boolean {
  return partsOf(text).every((part) => {
    const pattern = MATCH.exec(part)?.[2]
    try {
      return pattern !== undefined && Boolean(new RegExp(pattern))
    } catch {
      return false
    }
  })
}

const kinds: Record<number, Kind> = {
  [RESOURCE.group]: {
    settings: {
      // The broker assigns with the heartbeat that needs it: there is nothing to gather.
      'consumer.assignment.interval.ms': number(int, 1_000, 0, 15_000),
      'consumer.heartbeat.interval.ms': number(int, kafkaLimits.consumerHeartbeatMs, 5_000, 15_000),
      'consumer.session.timeout.ms': number(int, kafkaLimits.consumerSessionMs, 45_000, 60_000),
    },
    refusal: ERROR.INVALID_CONFIG,
    source: () => SOURCE.group,
    brokerName: (setting) => `group.${setting}`,
    isName: (name) => name !== '',
  },
  [RESOURCE.broker]: {
    // What Kafka changes while it runs and what only tunes another machine than this one.
    settings: {
      'background.threads': threads(10),
      'follower.replication.throttled.rate': rate,
      'leader.replication.throttled.rate': rate,
      'log.cleaner.backoff.ms': number(long, 15_000, 0, LONG_MAX),
      'log.cleaner.dedupe.buffer.size': number(long, 128 * 1024 * 1024, 1024 * 1024, LONG_MAX),
      'log.cleaner.io.buffer.size': number(int, 512 * 1024, 0, INT_MAX),
      'log.cleaner.threads': threads(1),
      'num.io.threads': threads(8),
      'num.network.threads': threads(3),
      'num.recovery.threads.per.data.dir': threads(2),
      'num.replica.fetchers': threads(1),
      'replica.alter.log.dirs.io.max.bytes.per.second': rate,
      'sasl.kerberos.min.time.before.relogin': number(long, 60_000, 0, LONG_MAX),
    },
    refusal: ERROR.INVALID_REQUEST,
    source: (name) => (name === '' ? SOURCE.dynamicDefaultBroker : SOURCE.dynamicBroker),
    brokerName: (setting) => setting,
    isName: (name) => name === '' || name === String(NODE_ID),
  },
  [RESOURCE.clientMetrics]: {
    settings: {
      'interval.ms': number(int, 300_000, 100, 3_600_000),
      match: { value: '', type: list, valid: isMatch, refusal: ERROR.INVALID_CONFIG },
      metrics: { value: '', type: list, valid: () => true },
    },
    refusal: ERROR.INVALID_REQUEST,
    source: () => SOURCE.clientMetrics,
    isName: (name) => name !== '',
  },
}

const typeNames: Record<number, string> = { 4: 'the broker', 8: 'loggers', 16: 'client metrics', 32: 'groups' }

/** @throws KafkaError INVALID_REQUEST */
function kindOf(type: number, name: string): Kind {
  const kind = kinds[type]
  const typeName = typeNames[type] ?? `resources of type ${type}`
  if (!kind) throw new KafkaError(ERROR.INVALID_REQUEST, `settings of ${typeName} cannot be changed here`)
  if (!kind.isName(name)) throw new KafkaError(ERROR.INVALID_REQUEST, `"${name}" is no name for settings of ${typeName} here`)
  return kind
}

/** What was set of a resource. */
const settingsOf = (broker: Broker, type: number, name: string): ResourceSettings =>
  broker.security.store.settings.get(type)?.get(name) ?? {}

/** The names of the resources of a kind of which something was set. */
export const namesWithSettings = (broker: Broker, type: number): string[] => [...(broker.security.store.settings.get(type)?.keys() ?? [])]

/** What holds for a group of KIP-848, in ms. */
export function groupTimes(broker: Broker, group: string): { sessionMs: number; heartbeatMs: number } {
  const settings = settingsOf(broker, RESOURCE.group, group)
  const { consumerSessionMs, consumerHeartbeatMs } = broker.limits
  return {
    sessionMs: Number(settings['consumer.session.timeout.ms'] ?? consumerSessionMs),
    heartbeatMs: Number(settings['consumer.heartbeat.interval.ms'] ?? consumerHeartbeatMs),
  }
}

/** All settings of a resource; of the brokers in all (the empty name), those that were set. @throws KafkaError INVALID_REQUEST */
export function describeResource(broker: Broker, type: number, name: string): DescribedConfig[] {
  const { settings, source, brokerName } = kindOf(type, name)
  const given = settingsOf(broker, type, name)
  const ofAll = type === RESOURCE.broker && name !== '' ? settingsOf(broker, type, '') : {}
  const isSet = (setting: string) => Object.hasOwn(given, setting) || Object.hasOwn(ofAll, setting)
  const isTold = (setting: string) => isSet(setting) || (name !== '' && settings[setting].value !== undefined)
  return Object.entries(settings)
    .filter(([setting]) => isTold(setting))
    .map(([setting, { value: standard, type: configType }]) => {
      const synonyms: DescribedConfig['synonyms'] = []
      if (Object.hasOwn(given, setting)) synonyms.push({ name: setting, value: given[setting], source: source(name) })
      if (Object.hasOwn(ofAll, setting)) synonyms.push({ name: setting, value: ofAll[setting], source: source('') })
      const byDefault = { name: brokerName?.(setting) ?? setting, value: standard!, source: SOURCE.default }
      const [{ value, source: configSource }] = [...synonyms, byDefault]
      if (brokerName && standard !== undefined) synonyms.push(byDefault)
      return { name: setting, value, readOnly: false, configSource, configType, synonyms, documentation: null }
    })
}

interface Change {
  name: string
  value: string | null
  configOperation?: number
}

/**
 * Changes settings of a resource that is no topic.
 *
 * @param isWhole  what is not named goes back to its default, and there are no operations
 * @throws         KafkaError INVALID_CONFIG, INVALID_REQUEST; the log's errors
 */
export async function alterResource(
  broker: Broker,
  { resourceType: type, resourceName: name, configs }: { resourceType: number; resourceName: string; configs: readonly Change[] },
  { isWhole, validateOnly }: { isWhole: boolean; validateOnly: boolean },
): Promise<void> {
  const { settings, refusal } = kindOf(type, name)
  const values: Record<string, string> = isWhole ? {} : { ...settingsOf(broker, type, name) }
  for (const { name: setting, value, configOperation } of configs) {
    const known: Setting | undefined = Object.hasOwn(settings, setting) ? settings[setting] : undefined
    // What cannot be set is taken back easily, as kafka-reassign-partitions does.
    if (!known && configOperation === DELETE) continue
    if (!known) throw new KafkaError(refusal, `${setting} cannot be set here`)
    const isList = known.type === TYPE.list
    const changed = isWhole ? value : changedValue(values[setting], { name: setting, isList }, configOperation!, value)
    if (changed === null) delete values[setting]
    else if (isValid(known, changed)) values[setting] = changed.trim()
    else throw new KafkaError(known.refusal ?? refusal, `${setting} = ${changed} is not valid${rangeOf(known)}`)
  }
  if (validateOnly) return
  const isEmpty = Object.keys(values).length === 0
  await broker.security.store.write([{ key: ['settings', type, name], value: isEmpty ? null : values }])
}

function isValid({ valid }: Setting, text: string): boolean {
  if (!Array.isArray(valid)) return valid(text)
  const trimmed = text.trim()
  return isLong(trimmed) && BigInt(trimmed) >= BigInt(valid[0]) && BigInt(trimmed) <= BigInt(valid[1])
}
const rangeOf = ({ valid }: Setting): string => (Array.isArray(valid) ? `: it is a whole number from ${valid[0]} to ${valid[1]}` : '')
