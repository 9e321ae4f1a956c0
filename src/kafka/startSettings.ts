// Settings of the broker that are given when it starts, under Kafka's names, as in its server.properties: `kafkaSettings` of millrace.config.ts.
//
// Invariant: what is not in the list here is refused: nothing is promised and then not done.
import { kafkaErrors } from './errors.ts'
import { isLong, isTopicDefault, topicDefaults } from './handlers/topicConfigs.ts'
import type { KafkaLimits } from './limits.ts'

export type StartSettings = Readonly<Record<string, string | number | boolean>>

const MINUTE_MS = 60_000
/** Settings with their bounds, and the limit that each is. */
const numbers: Record<string, [min: number, max: number, limit: (value: number) => Partial<KafkaLimits>]> = {
  'group.initial.rebalance.delay.ms': [0, 2 ** 31 - 1, (value) => ({ firstRebalanceMs: value })],
  'group.max.session.timeout.ms': [0, 2 ** 31 - 1, (value) => ({ sessionMaxMs: value })],
  'group.max.size': [1, 2 ** 31 - 1, (value) => ({ groupMembers: value })],
  'group.min.session.timeout.ms': [0, 2 ** 31 - 1, (value) => ({ sessionMinMs: value })],
  'num.partitions': [1, 1024, (value) => ({ partitions: value })],
  'offsets.retention.minutes': [1, 2 ** 31 - 1, (value) => ({ offsetsRetentionMs: value * MINUTE_MS })],
}

/**
 * What the settings mean.
 *
 * @returns  `topics`: what topics have by default, as text, under the broker's names
 * @throws   KAFKA_SETTING_INVALID
 */
export function parseStartSettings(settings: StartSettings): {
  limits: Partial<KafkaLimits>
  autoCreateTopics: boolean | undefined
  topics: Record<string, string>
} {
  const limits: Partial<KafkaLimits> = {}
  const topics: Record<string, string> = {}
  let autoCreateTopics: boolean | undefined
  for (const [name, value] of Object.entries(settings)) {
    const text = String(value).trim()
    const refuse = (reason: string) => kafkaErrors('KAFKA_SETTING_INVALID', { name, value: text, reason })
    const ofTopics = topicDefaults.find(({ brokerName }) => brokerName === name)
    if (Object.hasOwn(numbers, name)) {
      const [min, max, limitOf] = numbers[name]
      if (!isLong(text) || Number(text) < min || Number(text) > max) throw refuse(`it is a whole number from ${min} to ${max}`)
      Object.assign(limits, limitOf(Number(text)))
    } else if (name === 'auto.create.topics.enable') {
      if (text !== 'true' && text !== 'false') throw refuse('it is true or false')
      autoCreateTopics = text === 'true'
    } else if (!ofTopics) throw refuse('there is no such setting here')
    else if (isTopicDefault(ofTopics.topicName, text)) topics[name] = text
    else throw refuse('topics cannot have this')
  }
  return { limits, autoCreateTopics, topics }
}
