// Topics by their names, as requests give them.
import { nearestName } from '../base/index.ts'
import { isSecretTopic, lettersTopicOf, type TopicInfo } from '../log/index.ts'
import type { ServeDeps } from './deps.ts'
import { serveErrors } from './errors.ts'

/** Topics in which the server keeps what it needs for itself. */
export const isInternalTopic = (topic: string): boolean => topic.startsWith('__')

/** @throws StreamError SERVE_TOPIC_NOT_FOUND, SERVE_TOPIC_INTERNAL, SERVE_LETTERS_NONE */
export function findTopic(log: Pick<ServeDeps['log'], 'topic' | 'topics'>, topic: string): TopicInfo {
  if (isSecretTopic(topic)) refuseInternal(topic)
  const info = log.topic(topic)
  if (info) return info
  const owner = log.topics().find(({ name }) => lettersTopicOf(name) === topic)?.name
  if (owner !== undefined) throw serveErrors('SERVE_LETTERS_NONE', { topic, owner })
  const nearest = nearestName(
    topic,
    log.topics().map(({ name }) => name),
  )
  throw serveErrors('SERVE_TOPIC_NOT_FOUND', { topic, nearest })
}

/** @throws StreamError SERVE_TOPIC_INTERNAL */
export function refuseInternal(topic: string): void {
  if (isInternalTopic(topic)) throw serveErrors('SERVE_TOPIC_INTERNAL', { topic })
}
