// A topic that is made when it is first needed, by whoever needs it first.
import { isStreamError } from '../base/index.ts'
import type { Log, TopicConfig } from './contract.ts'

/** Makes a topic that is missing; that somebody else makes it meanwhile is no failure. @throws StreamError  of createTopic, but LOG_TOPIC_EXISTS */
export async function ensureTopic(log: Pick<Log, 'topic' | 'createTopic'>, name: string, config: Partial<TopicConfig> = {}): Promise<void> {
  if (log.topic(name)) return
  await log.createTopic(name, config).catch((error: unknown) => {
    if (!isStreamError(error) || error.code !== 'LOG_TOPIC_EXISTS') throw error
  })
}
