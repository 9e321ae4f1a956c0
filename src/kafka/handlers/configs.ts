// DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources.
import { checkTopicConfig, defaultTopicConfig, type TopicConfig, type TopicInfo } from '../../log/index.ts'
import { type Broker, handler, NODE_ID } from '../broker.ts'
import { ERROR, KafkaError } from '../errors.ts'
import { alterConfigsApi } from '../messages/alterConfigs.ts'
import { describeConfigsApi } from '../messages/describeConfigs.ts'
import { incrementalAlterConfigsApi } from '../messages/incrementalAlterConfigs.ts'
import { listConfigResourcesApi } from '../messages/listConfigResources.ts'
import { answerError } from './partitions.ts'
import { changedSetting, DELETE, type DescribedConfig, describeTopicConfig, parseTopicConfigs, RESOURCE, SOURCE } from './topicConfigs.ts'

export const describeConfigsHandler = (broker: Broker) =>
  handler(describeConfigsApi, ({ resources, includeSynonyms }) => ({
    results: resources.map(({ resourceType, resourceName, configurationKeys: keys }) => {
      try {
        const configs = configsOf(broker, resourceType, resourceName, keys)
        const shown = configs.map((config) => ({ ...config, synonyms: includeSynonyms ? config.synonyms : [] }))
        return { resourceType, resourceName, errorMessage: null, configs: shown }
      } catch (error) {
        return { resourceType, resourceName, configs: [], ...answerError(broker, 'DescribeConfigs', error) }
      }
    }),
  }))

function configsOf(broker: Broker, resourceType: number, resourceName: string, keys: readonly string[] | null): DescribedConfig[] {
  if (resourceType === RESOURCE.broker) return brokerConfigs(broker, resourceName, keys)
  // Groups, metrics of clients and the loggers of the broker can have settings of their own in Kafka; here none are.
  const isEmpty = resourceType === RESOURCE.group || resourceType === RESOURCE.clientMetrics || resourceType === RESOURCE.brokerLogger
  return isEmpty ? [] : describeTopicConfig(topicOf(broker, resourceType, resourceName).config, keys)
}

export const listConfigResourcesHandler = (broker: Broker) =>
  handler(listConfigResourcesApi, ({ resourceTypes }, { version }) => {
    const namesOf: Record<number, () => string[]> = {
      [RESOURCE.topic]: () => broker.log.topics().map(({ name }) => name),
      [RESOURCE.broker]: () => [String(NODE_ID)],
      [RESOURCE.brokerLogger]: () => [String(NODE_ID)],
      // There are no metrics of clients, and no groups with settings of their own.
      [RESOURCE.clientMetrics]: () => [],
      [RESOURCE.group]: () => [],
    }
    const all = Object.keys(namesOf).map(Number)
    const asked = version === 0 ? [RESOURCE.clientMetrics] : resourceTypes.length > 0 ? [...new Set(resourceTypes)] : all
    if (!asked.every((type) => namesOf[type])) return { errorCode: ERROR.UNSUPPORTED_VERSION }
    return { configResources: asked.flatMap((type) => namesOf[type]().map((resourceName) => ({ resourceName, resourceType: type }))) }
  })

export const alterConfigsHandler = (broker: Broker) =>
  handler(alterConfigsApi, async ({ resources, validateOnly }) => {
    const twice = namedTwice(resources)
    const responses = await Promise.all(
      resources.map((resource) =>
        alter(broker, resource, twice, validateOnly, ({ config }) => {
          // What is not named goes back to its default.
          return { ...defaultTopicConfig, partitionCount: config.partitionCount, ...parseTopicConfigs(resource.configs) }
        }),
      ),
    )
    return { responses }
  })

export const incrementalAlterConfigsHandler = (broker: Broker) =>
  handler(incrementalAlterConfigsApi, async ({ resources, validateOnly }) => {
    const twice = namedTwice(resources)
    const responses = await Promise.all(
      resources.map(async (resource) => {
        const { resourceType, resourceName, configs } = resource
        // Tools take back what they never set, as kafka-reassign-partitions does with throttles of brokers.
        const isNothing = resourceType !== RESOURCE.topic && configs.every(({ configOperation }) => configOperation === DELETE)
        if (isNothing) return { resourceType, resourceName, errorMessage: null }
        return alter(broker, resource, twice, validateOnly, ({ config }) => {
          const settings = configs.map(({ name, configOperation, value }) => {
            return { name, value: changedSetting(config, name, configOperation, value) }
          })
          return parseTopicConfigs(settings, config.clientSettings)
        })
      }),
    )
    return { responses }
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

async function alter(
  broker: Broker,
  resource: Resource,
  twice: ReadonlySet<string>,
  validateOnly: boolean,
  changesOf: (topic: TopicInfo) => Partial<TopicConfig>,
) {
  const { resourceType, resourceName } = resource
  try {
    checkShape(resource, twice)
    await broker.inTurn(async () => {
      const topic = topicOf(broker, resourceType, resourceName)
      const changes = changesOf(topic)
      if (validateOnly) checkTopicConfig(topic.config, changes)
      else await broker.log.alterTopic(topic.name, changes)
    })
    return { resourceType, resourceName, errorMessage: null }
  } catch (error) {
    return { resourceType, resourceName, ...answerError(broker, 'AlterConfigs', error) }
  }
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

const typeName: Record<number, string> = { 4: 'brokers', 8: 'loggers', 16: 'client metrics', 32: 'groups' }

function topicOf(broker: Broker, resourceType: number, name: string): TopicInfo {
  if (resourceType !== RESOURCE.topic)
    throw new KafkaError(
      ERROR.INVALID_REQUEST,
      `settings of ${typeName[resourceType] ?? `resources of type ${resourceType}`} cannot be changed here: topics have settings`,
    )
  const topic = broker.log.topic(name)
  if (!topic) throw new KafkaError(ERROR.UNKNOWN_TOPIC_OR_PARTITION, `topic ${name} does not exist`)
  return topic
}

/** What clients look at: none of it is changed over the protocol. */
function brokerConfigs(broker: Broker, name: string, keys: readonly string[] | null): DescribedConfig[] {
  if (name !== '' && name !== String(NODE_ID)) throw new KafkaError(ERROR.INVALID_REQUEST, `there is no broker ${name}`)
  // The defaults of the whole cluster can be set in Kafka; here none are.
  if (name === '') return []
  const settings: [string, string, number][] = [
    ['auto.create.topics.enable', String(broker.autoCreateTopics), 1],
    ['compression.type', 'producer', 2],
    ['default.replication.factor', '1', 3],
    ['log.dirs', broker.log.folder, 2],
    ['log.retention.ms', String(defaultTopicConfig['retention.ms']), 5],
    ['log.segment.bytes', String(defaultTopicConfig['segment.bytes']), 3],
    ['message.max.bytes', String(defaultTopicConfig['max.message.bytes']), 3],
    ['min.insync.replicas', '1', 3],
    ['node.id', String(NODE_ID), 3],
    ['num.partitions', String(defaultTopicConfig.partitionCount), 3],
  ]
  return settings
    .filter(([key]) => keys === null || keys.length === 0 || keys.includes(key))
    .map(([key, value, configType]) => {
      const source = SOURCE.staticBroker
      return {
        name: key,
        value,
        readOnly: true,
        configSource: source,
        configType,
        synonyms: [{ name: key, value, source }],
        documentation: null,
      }
    })
}
