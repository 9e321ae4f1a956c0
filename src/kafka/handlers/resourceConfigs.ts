// Settings of groups, of the broker and of clients' metrics: which there are, what each may be, and what holds.
//
// Invariants
//   1. A setting that is accepted either takes effect or can make no difference here, as numbers of threads and throttles of replication do.
//      Everything else is refused: nothing is promised and then not done.
//   2. What topics have by default is kept twice: here as it was set, and by the log as what follows from it. It is written here first; a
//      start tells it to the log again.
//   3. What was set is durable (security/store.ts) and described as it was set.
// Source: Kafka 4.3.1, GroupConfig, DynamicBrokerConfig, ClientMetricsConfigs.
import { followsDefaults } from '../../log/index.ts'
import { type Broker, NODE_ID } from '../broker.ts'
import { ERROR, KafkaError } from '../errors.ts'
import { kafkaLimits } from '../limits.ts'
import {
  changedValue,
  DELETE,
  type DescribedConfig,
  defaultsOf,
  type GivenSynonyms,
  INT_MAX,
  isLong,
  isTopicDefault,
  LONG_MAX,
  partsOf,
  RESOURCE,
  SOURCE,
  synonymsOf,
  TYPE,
  topicDefaults,
} from './topicConfigs.ts'

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

const ofTopics = topicDefaults.map(({ topicName, brokerName, value, type }): [string, Setting] => {
  return [brokerName, { value, type, valid: (text) => isTopicDefault(topicName, text) }]
})

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
      ...Object.fromEntries(ofTopics),
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

/** Where a setting of the broker was given: for it by name, for all, or at the start. */
function givenOf(broker: Broker, ofOne: ResourceSettings, ofAll: ResourceSettings): GivenSynonyms {
  return (name) => {
    const given = []
    if (Object.hasOwn(ofOne, name)) given.push({ name, value: ofOne[name], source: SOURCE.dynamicBroker })
    if (Object.hasOwn(ofAll, name)) given.push({ name, value: ofAll[name], source: SOURCE.dynamicDefaultBroker })
    const { topicDefaults: atStart } = broker
    if (Object.hasOwn(atStart, name)) given.push({ name, value: atStart[name], source: SOURCE.staticBroker })
    return given
  }
}
/** What a topic follows where it was not given a setting. */
export function givenFor(broker: Broker, topic: string): GivenSynonyms {
  if (!followsDefaults(topic)) return () => []
  return givenOf(broker, settingsOf(broker, RESOURCE.broker, String(NODE_ID)), settingsOf(broker, RESOURCE.broker, ''))
}

/** Tells the log what topics have by default, as it was set. */
export async function applyTopicDefaults(broker: Broker): Promise<void> {
  await broker.log.alterDefaults(defaultsOf(givenFor(broker, '')))
}

/** All settings of a resource; of the brokers in all (the empty name), those that were set. @throws KafkaError INVALID_REQUEST */
export function describeResource(broker: Broker, type: number, name: string): DescribedConfig[] {
  const { settings, source, brokerName } = kindOf(type, name)
  const set = settingsOf(broker, type, name)
  const isBroker = type === RESOURCE.broker
  const given: GivenSynonyms =
    isBroker && name !== ''
      ? givenOf(broker, set, settingsOf(broker, type, ''))
      : (setting) => (Object.hasOwn(set, setting) ? [{ name: setting, value: set[setting], source: source(name) }] : [])
  return Object.entries(settings)
    .filter(([setting, { value }]) => given(setting).length > 0 || (name !== '' && value !== undefined))
    .map(([setting, { value: standard, type: configType }]): DescribedConfig => {
      const hasDefault = brokerName !== undefined && standard !== undefined && !(isBroker && name === '')
      const synonyms = hasDefault ? synonymsOf(brokerName(setting), standard, given(setting)) : given(setting)
      // Kafka tells nothing of a setting that is only another way to say one in hours.
      const isNull = hasDefault && synonyms.length === 0
      const { value, source: configSource } = synonyms[0] ?? { value: isNull ? null : standard!, source: SOURCE.default }
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
  if (type === RESOURCE.broker) checkTogether(broker, name, values, refusal)
  if (validateOnly) return
  const isEmpty = Object.keys(values).length === 0
  await broker.security.store.write([{ key: ['settings', type, name], value: isEmpty ? null : values }])
  if (type === RESOURCE.broker) await applyTopicDefaults(broker)
}

/** What each may be does not say that all go together. */
function checkTogether(broker: Broker, name: string, values: ResourceSettings, refusal: Kind['refusal']): void {
  const other = settingsOf(broker, RESOURCE.broker, name === '' ? String(NODE_ID) : '')
  try {
    defaultsOf(name === '' ? givenOf(broker, other, values) : givenOf(broker, values, other))
  } catch (error) {
    throw new KafkaError(refusal, (error as Error).message)
  }
}

function isValid({ valid }: Setting, text: string): boolean {
  if (!Array.isArray(valid)) return valid(text)
  const trimmed = text.trim()
  return isLong(trimmed) && BigInt(trimmed) >= BigInt(valid[0]) && BigInt(trimmed) <= BigInt(valid[1])
}
const rangeOf = ({ valid }: Setting): string => (Array.isArray(valid) ? `: it is a whole number from ${valid[0]} to ${valid[1]}` : '')
