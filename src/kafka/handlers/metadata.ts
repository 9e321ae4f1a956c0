// Metadata and DescribeTopicPartitions: which topics there are. This broker leads every partition.
import { checkTopicName, type TopicInfo } from '../../log/index.ts'
import { type Broker, handler, LEADER_EPOCH, NODE_ID } from '../broker.ts'
import { ERROR, kafkaCodeOf } from '../errors.ts'
import { describeTopicPartitionsApi } from '../messages/describeTopicPartitions.ts'
import { metadataApi } from '../messages/metadata.ts'
import { ZERO_UUID } from '../wire.ts'

const NODES = [NODE_ID]

export const metadataHandler = (broker: Broker) =>
  handler(metadataApi, async (request, { version, host, port, turns }) => {
    const { topics: wanted, allowAutoTopicCreation } = request
    // In version 0 an empty list means all topics, since then null does.
    const isAll = wanted === null || (version === 0 && wanted.length === 0)
    const topics = isAll
      ? await turns.map(broker.log.topics(), (topic) => describe(broker, topic))
      : await turns.all(wanted, ({ name, topicId }) => find(broker, name, topicId, allowAutoTopicCreation))
    return { brokers: [{ nodeId: NODE_ID, host, port }], clusterId: broker.clusterId, controllerId: NODE_ID, topics }
  })

async function find(broker: Broker, name: string | null, id: string, mayCreate: boolean) {
  const byId = id !== ZERO_UUID
  let topic = broker.topic(name, id)
  if (!topic && !byId && name !== null && mayCreate && broker.autoCreateTopics) {
    try {
      await broker.log.createTopic(name, { partitionCount: broker.limits.partitions })
    } catch (error) {
      // Two clients may ask at once: what counts is whether it is there now.
      const { code } = kafkaCodeOf(error)
      if (code !== ERROR.TOPIC_ALREADY_EXISTS) return { errorCode: code, name }
    }
    topic = broker.log.topic(name)
  }
  if (topic) return describe(broker, topic)
  return byId ? { errorCode: ERROR.UNKNOWN_TOPIC_ID, name: null, topicId: id } : { errorCode: codeOfMissing(name ?? ''), name }
}

/** A client waits for a topic that is unknown; of a name that none can have it is told so. */
function codeOfMissing(name: string): number {
  try {
    checkTopicName(name)
    return ERROR.UNKNOWN_TOPIC_OR_PARTITION
  } catch (error) {
    return kafkaCodeOf(error).code
  }
}

const describe = (broker: Broker, { name, id, partitions }: TopicInfo) => ({
  errorCode: ERROR.NONE,
  name,
  topicId: id,
  isInternal: broker.isInternal(name),
  partitions: partitions.map(({ partition }) => ({
    partitionIndex: partition,
    leaderId: NODE_ID,
    leaderEpoch: LEADER_EPOCH,
    replicaNodes: NODES,
    isrNodes: NODES,
  })),
})

const PAGE_PARTITIONS_MAX = 2_000

export const describeTopicPartitionsHandler = (broker: Broker) =>
  handler(describeTopicPartitionsApi, ({ topics, responsePartitionLimit, cursor }) => {
    const all = topics.length > 0 ? topics.map(({ name }) => name) : broker.log.topics().map(({ name }) => name)
    const names = [...new Set(all)].sort().filter((name) => !cursor || name >= cursor.topicName)
    let left = Math.min(Math.max(1, responsePartitionLimit), PAGE_PARTITIONS_MAX)
    const described = []
    for (const name of names) {
      if (left <= 0) return { topics: described, nextCursor: { topicName: name, partitionIndex: 0 } }
      const topic = broker.log.topic(name)
      if (!topic) {
        described.push({ errorCode: codeOfMissing(name), name })
        continue
      }
      const from = cursor?.topicName === name ? Math.max(0, cursor.partitionIndex) : 0
      const whole = describe(broker, topic)
      const partitions = whole.partitions.slice(from, from + left)
      described.push({ ...whole, partitions: partitions.map((one) => ({ ...one, eligibleLeaderReplicas: [], lastKnownElr: [] })) })
      left -= partitions.length
      const next = from + partitions.length
      if (next < whole.partitions.length) return { topics: described, nextCursor: { topicName: name, partitionIndex: next } }
    }
    return { topics: described }
  })
