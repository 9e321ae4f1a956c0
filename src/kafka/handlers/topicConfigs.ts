// Kafka's topic settings and which of them the log has.
//
// Invariants
//   1. A setting that is accepted is either the log's own and takes effect, or one that can make no difference here, or has the value
//      that always holds. Everything else is INVALID_CONFIG: nothing is promised and then not done.
//   2. What was set is described as it was set, also where it is the default or makes no difference: tools compare it with what they want.
//   3. What a topic was not given follows the broker's settings, under the names that those have, and is described with where it comes from.
import { checkDefaults, defaultTopicConfig, type TopicConfig, type TopicDefaults } from '../../log/index.ts'
import { ERROR, KafkaError } from '../errors.ts'

/** Kafka's numbers for types of settings. */
export const TYPE = { boolean: 1, string: 2, int: 3, long: 5, double: 6, list: 7 } as const
export const SOURCE = {
  topic: 1,
  dynamicBroker: 2,
  dynamicDefaultBroker: 3,
  staticBroker: 4,
  default: 5,
  clientMetrics: 7,
  group: 8,
} as const
export const RESOURCE = { topic: 2, broker: 4, brokerLogger: 8, clientMetrics: 16, group: 32 } as const

type LogKey = keyof TopicDefaults
const own: Record<LogKey, number> = {
  'cleanup.policy': TYPE.list,
  'compression.type': TYPE.string,
  'delete.retention.ms': TYPE.long,
  'max.compaction.lag.ms': TYPE.long,
  'max.message.bytes': TYPE.int,
  'message.timestamp.after.max.ms': TYPE.long,
  'message.timestamp.before.max.ms': TYPE.long,
  'message.timestamp.type': TYPE.string,
  'min.cleanable.dirty.ratio': TYPE.double,
  'min.compaction.lag.ms': TYPE.long,
  'retention.bytes': TYPE.long,
  'retention.ms': TYPE.long,
  'segment.bytes': TYPE.int,
  'segment.ms': TYPE.long,
}
/** What the broker's setting is called that Kafka's tools name as the origin of a default. */
const brokerNames: Record<string, string> = {
  'cleanup.policy': 'log.cleanup.policy',
  'delete.retention.ms': 'log.cleaner.delete.retention.ms',
  'file.delete.delay.ms': 'log.segment.delete.delay.ms',
  'flush.messages': 'log.flush.interval.messages',
  'flush.ms': 'log.flush.interval.ms',
  'index.interval.bytes': 'log.index.interval.bytes',
  'local.retention.bytes': 'log.local.retention.bytes',
  'local.retention.ms': 'log.local.retention.ms',
  'max.compaction.lag.ms': 'log.cleaner.max.compaction.lag.ms',
  'max.message.bytes': 'message.max.bytes',
  'message.timestamp.after.max.ms': 'log.message.timestamp.after.max.ms',
  'message.timestamp.before.max.ms': 'log.message.timestamp.before.max.ms',
  'message.timestamp.type': 'log.message.timestamp.type',
  'min.cleanable.dirty.ratio': 'log.cleaner.min.cleanable.ratio',
  'min.compaction.lag.ms': 'log.cleaner.min.compaction.lag.ms',
  preallocate: 'log.preallocate',
  'retention.bytes': 'log.retention.bytes',
  'retention.ms': 'log.retention.ms',
  'segment.bytes': 'log.segment.bytes',
  'segment.index.bytes': 'log.index.size.max.bytes',
  'segment.jitter.ms': 'log.roll.jitter.ms',
  'segment.ms': 'log.roll.ms',
}
/** Kafka's settings in hours and the like: it tells a default of the one by the other, and only where somebody has set something before it. */
const behind: Record<string, [name: string, value: string]> = {
  'log.flush.interval.ms': ['log.flush.scheduler.interval.ms', '9223372036854775807'],
  'log.retention.ms': ['log.retention.hours', '168'],
  'log.roll.jitter.ms': ['log.roll.jitter.hours', '0'],
  'log.roll.ms': ['log.roll.hours', '168'],
}
/** What always holds here. */
const fixed: Record<string, [value: string, type: number]> = {
  'min.insync.replicas': ['1', TYPE.int],
  'remote.storage.enable': ['false', TYPE.boolean],
}
const BOOLEAN = /^(true|false)$/i
/** As of reassignments: every replica, or `partition:broker` of each. */
const REPLICAS = {
  test: (text: string): boolean => text === '*' || text.split(',').every((one) => /^(\d+:\d+)?$/.test(one.trim())),
}
export const INT_MAX = 2 ** 31 - 1
export const LONG_MAX = 2n ** 63n - 1n
/** What tunes a machine that works differently: kept for who asks, none has an effect. `valid`: the least and greatest number, or the text. */
const ignored: Record<string, [value: string, type: number, valid: Pick<RegExp, 'test'> | [min: number, max: number]]> = {
  'compression.gzip.level': ['-1', TYPE.int, /^(-1|[1-9])$/],
  'compression.lz4.level': ['9', TYPE.int, [1, 17]],
  'compression.zstd.level': ['3', TYPE.int, [-131_072, 22]],
  'file.delete.delay.ms': ['0', TYPE.long, [0, Number.POSITIVE_INFINITY]],
  'flush.messages': ['1', TYPE.long, [1, Number.POSITIVE_INFINITY]],
  'flush.ms': ['0', TYPE.long, [0, Number.POSITIVE_INFINITY]],
  'follower.replication.throttled.replicas': ['', TYPE.list, REPLICAS],
  'index.interval.bytes': ['65536', TYPE.int, [0, INT_MAX]],
  'leader.replication.throttled.replicas': ['', TYPE.list, REPLICAS],
  'local.retention.bytes': ['-2', TYPE.long, [-2, Number.POSITIVE_INFINITY]],
  'local.retention.ms': ['-2', TYPE.long, [-2, Number.POSITIVE_INFINITY]],
  preallocate: ['false', TYPE.boolean, BOOLEAN],
  'remote.log.copy.disable': ['false', TYPE.boolean, BOOLEAN],
  'remote.log.delete.on.disable': ['false', TYPE.boolean, BOOLEAN],
  'segment.index.bytes': ['10485760', TYPE.int, [4, INT_MAX]],
  'segment.jitter.ms': ['0', TYPE.long, [0, Number.POSITIVE_INFINITY]],
  'unclean.leader.election.enable': ['false', TYPE.boolean, BOOLEAN],
}

/** The log's "forever" is the greatest exact number, Kafka's the greatest long. */
const FOREVER = '9223372036854775807'
const textOf = (value: unknown): string => (value === Number.MAX_SAFE_INTEGER ? FOREVER : String(value))

export interface Synonym {
  name: string
  value: string
  source: number
}
export interface DescribedConfig {
  name: string
  value: string | null
  readOnly: boolean
  configSource: number
  configType: number
  synonyms: Synonym[]
  documentation: null
}
/** Where a setting of the broker was given, the one that counts first. */
export type GivenSynonyms = (brokerName: string) => Synonym[]

export interface TopicDefault {
  topicName: string
  brokerName: string
  type: number
  value: string
}
/** Of these the broker has no setting. */
const ofTopicsOnly = (name: string): boolean => name.startsWith('remote.') || name.endsWith('.throttled.replicas')
const standards: [name: string, value: string, type: number][] = [
  ...(Object.entries(own) as [LogKey, number][]).map(
    ([name, type]) => [name, textOf(defaultTopicConfig[name]), type] as [string, string, number],
  ),
  ...Object.entries({ ...fixed, ...ignored }).map(([name, [value, type]]) => [name, value, type] as [string, string, number]),
]
/** What topics have unless they are told otherwise: settings of the broker. */
export const topicDefaults: TopicDefault[] = standards
  .filter(([name]) => !ofTopicsOnly(name))
  .map(([topicName, value, type]) => ({ topicName, brokerName: brokerNames[topicName] ?? topicName, type, value }))

/** Where a setting of the broker comes from: where it was given, and its default. */
export function synonymsOf(brokerName: string, standard: string, given: Synonym[]): Synonym[] {
  const last = behind[brokerName]
  if (last && given.length === 0) return []
  const [name, value] = last ?? [brokerName, standard]
  return [...given, { name, value, source: SOURCE.default }]
}

/** Whether topics may have this by default. */
export function isTopicDefault(topicName: string, text: string): boolean {
  try {
    checkDefaults(parseTopicConfig(topicName, text))
    return true
  } catch {
    return false
  }
}

/** What topics have by the settings of the broker. @throws LOG_TOPIC_CONFIG_INVALID: they do not go together */
export function defaultsOf(given: GivenSynonyms): TopicDefaults {
  const defaults: Partial<TopicConfig> = {}
  for (const { topicName, brokerName } of topicDefaults) {
    const [first] = given(brokerName)
    if (first) Object.assign(defaults, parseTopicConfig(topicName, first.value))
  }
  checkDefaults(defaults)
  return defaults
}

/** @param given  of the broker's settings; of a topic that does not follow them: nothing */
export function describeTopicConfig(config: TopicConfig, keys: readonly string[] | null, given: GivenSynonyms): DescribedConfig[] {
  const set = config.clientSettings ?? {}
  const owned = new Set(config.own)
  return standards
    .filter(([name]) => keys === null || keys.length === 0 || keys.includes(name))
    .map(([name, standard, configType]): DescribedConfig => {
      const isOwn = owned.has(name) || Object.hasOwn(set, name)
      const brokerName = brokerNames[name] ?? name
      const ofBroker = ofTopicsOnly(name) ? [] : synonymsOf(brokerName, standard, given(brokerName))
      const ownValue =
        name === 'cleanup.policy' ? policyAsSet(config) : Object.hasOwn(own, name) ? textOf(config[name as LogKey]) : set[name]
      const synonyms = isOwn ? [{ name, value: ownValue, source: SOURCE.topic as number }, ...ofBroker] : ofBroker
      const { value, source: configSource } = synonyms[0] ?? { value: standard, source: SOURCE.default }
      return { name, value, readOnly: false, configSource, configType, synonyms, documentation: null }
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Settings in Kafka's text form, on top of what clients have set already; null lets the default count again. @throws KafkaError INVALID_CONFIG */
export function parseTopicConfigs(
  settings: readonly { name: string; value: string | null }[],
  { clientSettings: given = {}, own: owned = [] }: Pick<TopicConfig, 'clientSettings' | 'own'> = {},
): Partial<TopicConfig> {
  const clientSettings = { ...given }
  const names = new Set(owned)
  const changes: Partial<TopicConfig> = {}
  for (const { name, value } of settings) {
    Object.assign(changes, parseTopicConfig(name, value))
    if (value === null) {
      delete clientSettings[name]
      names.delete(name)
    } else {
      clientSettings[name] = value
      if (Object.hasOwn(own, name)) names.add(name)
    }
  }
  return { ...changes, clientSettings, own: [...names] }
}

/** A whole number that Kafka's 64 bits hold. */
export const isLong = (text: string): boolean => /^-?\d{1,19}$/.test(text) && BigInt(text) <= LONG_MAX && BigInt(text) >= -LONG_MAX - 1n

function parseTopicConfig(name: string, value: string | null): Partial<TopicConfig> {
  if (Object.hasOwn(ignored, name)) {
    const [, , valid] = ignored[name]
    const text = (value ?? ignored[name][0]).trim()
    const isValid = Array.isArray(valid) ? isLong(text) && Number(text) >= valid[0] && Number(text) <= valid[1] : valid.test(text)
    if (!isValid) throw new KafkaError(ERROR.INVALID_CONFIG, `${name} = ${value} is not valid`)
    return {}
  }
  if (Object.hasOwn(fixed, name)) {
    const [always] = fixed[name]
    if (value === null || value === always) return {}
    throw new KafkaError(ERROR.INVALID_CONFIG, `${name} is always ${always} here`)
  }
  // What nobody can have set is taken back easily.
  if (!Object.hasOwn(own, name) && value === null) return {}
  if (!Object.hasOwn(own, name)) throw new KafkaError(ERROR.INVALID_CONFIG, `${name} is not a setting of topics here`)
  const key = name as LogKey
  if (value === null) return { [key]: defaultTopicConfig[key] }
  if (key === 'cleanup.policy') return { [key]: policyOf(value.split(',')) }
  const text = value.trim()
  if (own[key] === TYPE.string) return { [key]: text }
  const isNumber = own[key] === TYPE.double ? text !== '' && Number.isFinite(Number(text)) : isLong(text)
  if (!isNumber) throw new KafkaError(ERROR.INVALID_CONFIG, `${name} = ${value} is not a ${own[key] === TYPE.double ? '' : 'whole '}number`)
  // Clients say "forever" with the greatest long.
  return { [key]: Math.min(Number(text), Number.MAX_SAFE_INTEGER) }
}

/** In the order in which a client has named them, if it was a client. */
function policyAsSet({ clientSettings, 'cleanup.policy': policy }: TopicConfig): string {
  const parts = [...new Set(partsOf(clientSettings?.['cleanup.policy']))]
  return parts.toSorted().join(',') === policy ? parts.join(',') : policy
}

/** The log checks what each is. @throws KafkaError INVALID_CONFIG */
function policyOf(parts: readonly string[]): TopicConfig['cleanup.policy'] {
  const named = [...new Set(parts.map((part) => part.trim()))].sort()
  if (parts.length > 1 && named.includes('')) throw new KafkaError(ERROR.INVALID_CONFIG, 'cleanup.policy has an empty value')
  if (named.join() === '') throw new KafkaError(ERROR.INVALID_CONFIG, 'cleanup.policy is empty: it is delete, compact, or both')
  return named.join(',') as TopicConfig['cleanup.policy']
}

export const SET = 0
export const DELETE = 1
export const APPEND = 2
export const SUBTRACT = 3

/** One operation of IncrementalAlterConfigs as the value that it leads to; null is the default. @throws KafkaError INVALID_CONFIG, INVALID_REQUEST */
export function changedSetting(config: TopicConfig, name: string, operation: number, value: string | null): string | null {
  const isPolicy = name === 'cleanup.policy'
  const isList = isPolicy || ignored[name]?.[1] === TYPE.list
  const changed = changedValue(isPolicy ? policyAsSet(config) : config.clientSettings?.[name], { name, isList }, operation, value)
  if (isPolicy && operation > DELETE) policyOf(partsOf(changed))
  return changed
}

/** The same of any resource. @param had  undefined if it is not set */
export function changedValue(
  had: string | undefined,
  { name, isList }: { name: string; isList: boolean },
  operation: number,
  value: string | null,
): string | null {
  if (operation === SET) return value
  if (operation === DELETE) return null
  if (operation !== APPEND && operation !== SUBTRACT) throw new KafkaError(ERROR.INVALID_REQUEST, `operation ${operation}`)
  if (!isList) throw new KafkaError(ERROR.INVALID_CONFIG, `${name} is not a list`)
  const [parts, named] = [partsOf(had), partsOf(value)]
  return (operation === APPEND ? [...new Set([...parts, ...named])] : parts.filter((one) => !named.includes(one))).join(',')
}

/** The elements of a list. */
export const partsOf = (text: string | null = null): string[] =>
  (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)
