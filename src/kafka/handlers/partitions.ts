// What the handlers of partition-wise requests share.
import type { PartitionInfo, TopicInfo } from '../../log/index.ts'
import type { Broker } from '../broker.ts'
import { ERROR, KafkaError, kafkaCodeOf } from '../errors.ts'
import { kafkaMetrics } from '../limits.ts'

/** The partition of a request's topic. @throws KafkaError UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID */
export function partitionOf(topic: TopicInfo | undefined, partition: number, byId = false): { topic: TopicInfo; info: PartitionInfo } {
  if (!topic) throw new KafkaError(byId ? ERROR.UNKNOWN_TOPIC_ID : ERROR.UNKNOWN_TOPIC_OR_PARTITION, 'the topic does not exist')
  const info = topic.partitions[partition]
  if (!info) throw new KafkaError(ERROR.UNKNOWN_TOPIC_OR_PARTITION, `topic ${topic.name} has no partition ${partition}`)
  return { topic, info }
}

/** Kafka's code for an error of one partition or resource, counted; what is our fault is logged. */
export function answerError(broker: Broker, api: string, error: unknown): { errorCode: number; errorMessage: string } {
  const { code, message } = kafkaCodeOf(error)
  kafkaMetrics.errors.inc({ api, code })
  if (code === ERROR.UNKNOWN_SERVER_ERROR) broker.logger.error({ api, err: error }, `${api} of a Kafka client failed`)
  return { errorCode: code, errorMessage: message }
}
