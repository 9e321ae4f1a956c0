// CreateTopics, DeleteTopics, CreatePartitions, DeleteRecords.
import { checkTopicConfig, checkTopicName, defaultTopicConfig, PARTITION_COUNT_MAX, type TopicConfig } from '../../log/index.ts'
import { type Broker, handler, METADATA_TOPIC, NODE_ID } from '../broker.ts'
import { ERROR, KafkaError } from '../errors.ts'
import { createPartitionsApi } from '../messages/createPartitions.ts'
import { createTopicsApi } from '../messages/createTopics.ts'
import { deleteRecordsApi } from '../messages/deleteRecords.ts'
import { deleteTopicsApi } from '../messages/deleteTopics.ts'
import { ZERO_UUID } from '../wire.ts'
import { answerError, partitionOf } from './partitions.ts'
import { givenFor } from './resourceConfigs.ts'
import { describeTopicConfig, parseTopicConfigs } from './topicConfigs.ts'

interface NewTopic {
  name: string
  numPartitions: number
  replicationFactor: number
  assignments: { partitionIndex: number; brokerIds: number[] }[]
  configs: { name: string; value: string | null }[]
}

export const createTopicsHandler = (broker: Broker) =>
  handler(createTopicsApi, async ({ topics, validateOnly }) => {
    const counts = countsOf(topics.map(({ name }) => name))
    // Kafka's metrics would mix them up: such a topic could not move to a cluster.
    const taken = new Map(broker.log.topics().map(({ name }) => [metricName(name), name]))
    const answers = await Promise.all(
      topics.map(async (wanted) => {
        try {
          if (counts.get(wanted.name)! > 1) {
            throw new KafkaError(ERROR.INVALID_REQUEST, `topic ${wanted.name} is in the request twice`)
          }
          return await create(broker, wanted, taken, validateOnly)
        } catch (error) {
          return { name: wanted.name, configs: null, ...answerError(broker, 'CreateTopics', error) }
        }
      }),
    )
    return { topics: answers }
  })

/** @param taken  the topics that were there before the request, by the names that metrics have for them */
async function create(
  broker: Broker,
  { name, numPartitions, replicationFactor, assignments, configs }: NewTopic,
  taken: ReadonlyMap<string, string>,
  validateOnly: boolean,
) {
  checkTopicName(name)
  if (broker.log.topicId(name) !== undefined) throw new KafkaError(ERROR.TOPIC_ALREADY_EXISTS, `topic ${name} exists already`)
  if (name === METADATA_TOPIC) throw new KafkaError(ERROR.INVALID_REQUEST, `topic ${name} is internal`)
  const other = taken.get(metricName(name))
  if (other !== undefined) throw new KafkaError(ERROR.INVALID_TOPIC_EXCEPTION, `Topic '${name}' collides with existing topic: ${other}`)
  if (assignments.length > 0 && (numPartitions !== -1 || replicationFactor !== -1)) {
    throw new KafkaError(ERROR.INVALID_REQUEST, 'both a replica assignment and a number of partitions or replicas')
  }
  checkAssignments(assignments)
  if (replicationFactor !== -1 && replicationFactor !== 1) {
    throw new KafkaError(ERROR.INVALID_REPLICATION_FACTOR, `replication factor ${replicationFactor}: there is one broker`)
  }
  const partitionCount = assignments.length || (numPartitions === -1 ? broker.limits.partitions : numPartitions)
  if (partitionCount < 1) throw new KafkaError(ERROR.INVALID_PARTITIONS, `${partitionCount} partitions`)
  if (partitionCount > PARTITION_COUNT_MAX) throw new KafkaError(ERROR.INVALID_PARTITIONS, tooMany(partitionCount))
  const empty = configs.filter(({ value }) => value === null).map((config) => config.name)
  if (empty.length > 0) throw new KafkaError(ERROR.INVALID_CONFIG, `Null value not supported for topic configs: ${empty.join(', ')}`)
  const changes: Partial<TopicConfig> = { partitionCount, ...(configs.length > 0 && parseTopicConfigs(configs)) }
  const config = checkTopicConfig(defaultTopicConfig, changes)
  const topicId = validateOnly ? ZERO_UUID : (await broker.log.createTopic(name, changes)).id
  const described = describeTopicConfig(config, null, givenFor(broker, name))
  return { name, topicId, errorMessage: null, numPartitions: partitionCount, replicationFactor: 1, configs: described }
}

function countsOf<T>(names: readonly T[]): Map<T, number> {
  const counts = new Map<T, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

const tooMany = (count: number): string => `${count} partitions: a topic has at most ${PARTITION_COUNT_MAX}`

const metricName = (topic: string): string => topic.replaceAll('.', '_')

function checkAssignments(assignments: NewTopic['assignments']): void {
  const indexes = assignments.map(({ partitionIndex }) => partitionIndex).sort((a, b) => a - b)
  const isWhole = indexes.every((index, i) => index === i)
  if (!isWhole || assignments.some(({ brokerIds }) => brokerIds.length !== 1 || brokerIds[0] !== NODE_ID)) {
    throw new KafkaError(ERROR.INVALID_REPLICA_ASSIGNMENT, `every partition from 0 on belongs to broker ${NODE_ID}`)
  }
}

export const deleteTopicsHandler = (broker: Broker, onDeleted: (topic: string) => Promise<void>) =>
  handler(deleteTopicsApi, async ({ topics, topicNames }, { version }) => {
    const wanted = version < 6 ? topicNames.map((name) => ({ name, topicId: ZERO_UUID })) : topics
    const counts = countsOf(wanted.map(({ name, topicId }) => name ?? broker.topic(null, topicId)?.name))
    const responses = await Promise.all(
      wanted.map(async ({ name, topicId }) => {
        try {
          if ((name !== null) === (topicId !== ZERO_UUID)) throw new KafkaError(ERROR.INVALID_REQUEST, 'a topic has either a name or an id')
          const topic = broker.topic(name, topicId)
          if (topic && counts.get(topic.name)! > 1) {
            throw new KafkaError(ERROR.INVALID_REQUEST, `topic ${topic.name} is in the request twice`)
          }
          if (!topic)
            throw new KafkaError(topicId === ZERO_UUID ? ERROR.UNKNOWN_TOPIC_OR_PARTITION : ERROR.UNKNOWN_TOPIC_ID, 'no such topic')
          if (broker.isInternal(topic.name)) throw new KafkaError(ERROR.INVALID_TOPIC_EXCEPTION, `topic ${topic.name} is internal`)
          await broker.log.deleteTopic(topic.name)
          await onDeleted(topic.name)
          return { name: topic.name, topicId: topic.id, errorMessage: null }
        } catch (error) {
          return { name, topicId, ...answerError(broker, 'DeleteTopics', error) }
        }
      }),
    )
    return { responses }
  })

export const createPartitionsHandler = (broker: Broker) =>
  handler(createPartitionsApi, async ({ topics, validateOnly }) => ({
    results: await Promise.all(
      topics.map(async ({ name, count, assignments }) => {
        try {
          const topic = broker.log.topic(name)
          if (!topic) throw new KafkaError(ERROR.UNKNOWN_TOPIC_OR_PARTITION, `topic ${name} does not exist`)
          const had = topic.partitions.length
          if (count <= had)
            throw new KafkaError(ERROR.INVALID_PARTITIONS, `topic ${name} has ${had} partitions, and the number can only grow`)
          if (count > PARTITION_COUNT_MAX) throw new KafkaError(ERROR.INVALID_PARTITIONS, tooMany(count))
          if (assignments !== null && assignments.length !== count - had) {
            throw new KafkaError(ERROR.INVALID_REPLICA_ASSIGNMENT, `${assignments.length} assignments for ${count - had} new partitions`)
          }
          checkAssignments((assignments ?? []).map(({ brokerIds }, partitionIndex) => ({ partitionIndex, brokerIds })))
          if (!validateOnly) await broker.log.alterTopic(name, { partitionCount: count })
          return { name }
        } catch (error) {
          return { name, ...answerError(broker, 'CreatePartitions', error) }
        }
      }),
    ),
  }))

const TO_THE_END = -1

export const deleteRecordsHandler = (broker: Broker) =>
  handler(deleteRecordsApi, async ({ topics }, { turns }) => ({
    topics: await turns.map(topics, async ({ name, partitions }) => {
      const found = broker.log.topic(name)
      return {
        name,
        partitions: await turns.all(partitions, async ({ partitionIndex, offset }) => {
          try {
            const { topic, info } = partitionOf(found, partitionIndex)
            if (broker.isInternal(topic.name)) throw new KafkaError(ERROR.INVALID_TOPIC_EXCEPTION, `topic ${topic.name} is internal`)
            if (topic.config['cleanup.policy'] === 'compact') {
              throw new KafkaError(ERROR.POLICY_VIOLATION, `topic ${name} is compacted only: nothing is deleted by offset`)
            }
            const before = offset === TO_THE_END ? info.endOffset : offset
            return { partitionIndex, lowWatermark: await broker.log.deleteRecords(name, partitionIndex, before) }
          } catch (error) {
            return { partitionIndex, lowWatermark: -1, ...answerError(broker, 'DeleteRecords', error) }
          }
        }),
      }
    }),
  }))
