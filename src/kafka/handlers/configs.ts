// DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources.
import { checkTopicConfig, defaultTopicConfig, type TopicConfig, type TopicInfo } from '../../log/index.ts'
import { type Broker, handler, NODE_ID, type RequestContext } from '../broker.ts'
import { ERROR, KafkaError } from '../errors.ts'
import { alterConfigsApi } from '../messages/alterConfigs.ts'
import { describeConfigsApi } from '../messages/describeConfigs.ts'
import { incrementalAlterConfigsApi } from '../messages/incrementalAlterConfigs.ts'
import { listConfigResourcesApi } from '../messages/listConfigResources.ts'
import { answerError } from './partitions.ts'
import { alterResource, describeResource, givenFor, namesWithSettings } from './resourceConfigs.ts'
import {
  changedSetting,
  DELETE,
  type DescribedConfig,
  describeTopicConfig,
  parseTopicConfigs,
  RESOURCE,
  SOURCE,
  TYPE,
} from './topicConfigs.ts'

export const describeConfigsHandler = (broker: Broker) =>
  handler(describeConfigsApi, async ({ resources, includeSynonyms }, context) => ({
    results: await context.turns.map(resources, ({ resourceType, resourceName, configurationKeys: keys }) => {
      try {
        const configs = configsOf(broker, context, { resourceType, resourceName, keys })
        const shown = configs.map((config) => ({ ...config, synonyms: includeSynonyms ? config.synonyms : [] }))
        return { resourceType, resourceName, errorMessage: null, configs: shown }
      } catch (error) {
        return { resourceType, resourceName, configs: [], ...answerError(broker, 'DescribeConfigs', error) }
      }
    }),
  }))

function configsOf(
  broker: Broker,
  context: RequestContext,
  { resourceType, resourceName, keys }: { resourceType: number; resourceName: string; keys: readonly string[] | null },
): DescribedConfig[] {
  if (resourceType === RESOURCE.topic)
    return describeTopicConfig(topicOf(broker, resourceName).config, keys, givenFor(broker, resourceName))
  // The broker's loggers can be set in Kafka; here there are none.
  if (resourceType === RESOURCE.brokerLogger) return []
  const described = describeResource(broker, resourceType, resourceName)
  if (resourceType === RESOURCE.broker && resourceName !== '') described.push(...fixedConfigs(broker, context))
  return described
    .filter(({ name }) => keys === null || keys.length === 0 || keys.includes(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

export const listConfigResourcesHandler = (broker: Broker) =>
  handler(listConfigResourcesApi, ({ resourceTypes }, { version }) => {
    const namesOf: Record<number, () => string[]> = {
      [RESOURCE.topic]: () => broker.log.topics().map(({ name }) => name),
      [RESOURCE.broker]: () => [String(NODE_ID)],
      [RESOURCE.brokerLogger]: () => [String(NODE_ID)],
      [RESOURCE.clientMetrics]: () => namesWithSettings(broker, RESOURCE.clientMetrics),
      [RESOURCE.group]: () => namesWithSettings(broker, RESOURCE.group),
    }
    const all = Object.keys(namesOf).map(Number)
    const asked = version === 0 ? [RESOURCE.clientMetrics] : resourceTypes.length > 0 ? [...new Set(resourceTypes)] : all
    if (!asked.every((type) => namesOf[type])) return { errorCode: ERROR.UNSUPPORTED_VERSION }
    return { configResources: asked.flatMap((type) => namesOf[type]().map((resourceName) => ({ resourceName, resourceType: type }))) }
  })

export const alterConfigsHandler = (broker: Broker) =>
  handler(alterConfigsApi, async ({ resources, validateOnly }) => {
    const twice = namedTwice(resources)
    return { responses: await Promise.all(resources.map((one) => alter(broker, one, twice, { isWhole: true, validateOnly }))) }
  })

export const incrementalAlterConfigsHandler = (broker: Broker) =>
  handler(incrementalAlterConfigsApi, async ({ resources, validateOnly }) => {
    const twice = namedTwice(resources)
    return { responses: await Promise.all(resources.map((one) => alter(broker, one, twice, { isWhole: false, validateOnly }))) }
  })

interface Resource {
  resourceType: number
  resourceName: string
  configs: readonly { name: string; value: string | null; configOperation?: number }[]
}
const keyOf = ({ resourceType, resourceName }: Resource): string => `${resourceType} ${resourceName}`

function namedTwice(resources: readonly Resource[]): Set<string> {
  const [once, twice] = [new Set<string>(), new Set<string>()]
  for (const key of resources.map(keyOf)) (once.has(key) ? twice : once).add(key)
  return twice
}

interface AlterOptions {
  /** What is not named goes back to its default. */
  isWhole: boolean
  validateOnly: boolean
}

async function alter(broker: Broker, resource: Resource, twice: ReadonlySet<string>, options: AlterOptions) {
  const { resourceType, resourceName } = resource
  try {
    checkShape(resource, twice)
    const isTopic = resourceType === RESOURCE.topic
    await broker.inTurn(() => (isTopic ? alterTopic : alterResource)(broker, resource, options))
    return { resourceType, resourceName, errorMessage: null }
  } catch (error) {
    return { resourceType, resourceName, ...answerError(broker, 'AlterConfigs', error) }
  }
}

async function alterTopic(broker: Broker, { resourceName, configs }: Resource, { isWhole, validateOnly }: AlterOptions): Promise<void> {
  const { name, config } = topicOf(broker, resourceName)
  const changes: Partial<TopicConfig> = isWhole
    ? { ...defaultTopicConfig, partitionCount: config.partitionCount, ...parseTopicConfigs(configs) }
    : parseTopicConfigs(
        configs.map(({ name: key, configOperation, value }) => ({
          name: key,
          value: changedSetting(config, key, configOperation!, value),
        })),
        config,
      )
  if (validateOnly) checkTopicConfig(config, changes)
  else await broker.log.alterTopic(name, changes)
}

/** What Kafka refuses before it looks at the settings. @throws KafkaError INVALID_REQUEST */
function checkShape(resource: Resource, twice: ReadonlySet<string>): void {
  const { configs } = resource
  if (twice.has(keyOf(resource))) throw new KafkaError(ERROR.INVALID_REQUEST, 'Each resource must appear at most once.')
  if (new Set(configs.map(({ name }) => name)).size < configs.length) {
    throw new KafkaError(ERROR.INVALID_REQUEST, 'Error due to duplicate config keys')
  }
  const empty = configs.filter(({ value, configOperation }) => value === null && configOperation !== DELETE).map(({ name }) => name)
  if (empty.length > 0) throw new KafkaError(ERROR.INVALID_REQUEST, `Null value not supported for : ${empty.join(', ')}`)
}

function topicOf(broker: Broker, name: string): TopicInfo {
  const topic = broker.log.topic(name)
  if (!topic) throw new KafkaError(ERROR.UNKNOWN_TOPIC_OR_PARTITION, `topic ${name} does not exist`)
  return topic
}

/** What clients look at: none of it is changed over the protocol. */
function fixedConfigs(broker: Broker, { host, port }: RequestContext): DescribedConfig[] {
  const { staticBroker: source } = SOURCE
  const protocol = `${broker.security.isLoginRequired ? 'SASL_' : ''}${broker.isTls ? 'SSL' : 'PLAINTEXT'}`
  const listener = `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`
  const { groupMembers, sessionMinMs, sessionMaxMs, firstRebalanceMs } = broker.limits
  const settings: [name: string, value: string, configType: number][] = [
    ['advertised.listeners', listener, TYPE.list],
    ['auto.create.topics.enable', String(broker.autoCreateTopics), TYPE.boolean],
    ['broker.id', String(NODE_ID), TYPE.int],
    ['default.replication.factor', '1', TYPE.int],
    ['delete.topic.enable', 'true', TYPE.boolean],
    ['group.initial.rebalance.delay.ms', String(firstRebalanceMs), TYPE.int],
    ['group.max.session.timeout.ms', String(sessionMaxMs), TYPE.int],
    ['group.max.size', String(groupMembers), TYPE.int],
    ['group.min.session.timeout.ms', String(sessionMinMs), TYPE.int],
    ['listeners', listener, TYPE.list],
    ['log.cleaner.enable', 'true', TYPE.boolean],
    ['log.dirs', broker.log.folder, TYPE.string],
    ['node.id', String(NODE_ID), TYPE.int],
    ['num.partitions', String(broker.limits.partitions), TYPE.int],
    ['offsets.retention.minutes', String(broker.limits.offsetsRetentionMs / 60_000), TYPE.int],
    ['offsets.topic.num.partitions', '1', TYPE.int],
    ['offsets.topic.replication.factor', '1', TYPE.int],
  ]
  return settings.map(([name, value, configType]) => {
    const synonyms = [{ name, value, source }]
    return { name, value, readOnly: true, configSource: source, configType, synonyms, documentation: null }
  })
}
