// millrace topics: what is in the log, and what arrives.
import type { TopicFrame, TopicMessage, TopicSummary } from '../../serve/contract.ts'
import { frames, getJson, type Target } from '../client.ts'
import { byteText, plainText, tableText } from '../output.ts'

export async function listTopics(target: Target, json: boolean): Promise<void> {
  const topics = await getJson<TopicSummary[]>(target, '/v1/topics')
  if (json) for (const topic of topics) console.log(JSON.stringify(topic))
  else
    console.log(
      tableText(
        ['topic', 'partitions', 'records', 'size'],
        topics.map(({ name, partitionCount, recordCount, sizeBytes }) => [name, partitionCount, recordCount, byteText(sizeBytes)]),
      ),
    )
}

export async function describeTopic(target: Target, name: string, json: boolean): Promise<void> {
  const topics = await getJson<TopicSummary[]>(target, '/v1/topics')
  const topic =
    topics.find((candidate) => candidate.name === name) ?? (await getJson<TopicSummary>(target, `/v1/topics/${encodeURIComponent(name)}`))
  if (json) {
    console.log(JSON.stringify(topic))
    return
  }
  console.log(`${topic.name}: ${topic.recordCount} records, ${byteText(topic.sizeBytes)}, ${topic.partitionCount} partitions\n`)
  console.log(
    tableText(
      ['column', 'type'],
      topic.columns.map((column) => [column.name, column.type]),
    ),
  )
  console.log(`\n${tableText(['setting', 'value'], Object.entries(topic.config))}`)
}

export interface ReadOptions {
  limit: number
  follow: boolean
  offset?: number
  partition?: number
}

export async function readTopic(
  target: Target,
  name: string,
  { limit, follow, offset, partition }: ReadOptions,
  json: boolean,
  signal: AbortSignal,
): Promise<void> {
  const print = (message: TopicMessage) => {
    const { partition: at, offset: number, timestampMs, key, value, headers } = message
    if (json) console.log(JSON.stringify(message))
    else
      console.log(
        `${new Date(timestampMs).toISOString()} ${at}/${number} ${plainText(`${key ?? '—'} ${typeof value === 'string' ? value : JSON.stringify(value)}${headers.rule ? ` (${headers.rule} ${headers.path ?? ''}: ${headers.message ?? ''})` : ''}`)}`,
      )
  }
  const path = `/v1/topics/${encodeURIComponent(name)}`
  const query = new URLSearchParams({ limit: String(limit) })
  if (offset !== undefined) query.set('offset', String(offset))
  if (partition !== undefined) query.set('partition', String(partition))
  const { messages } = await getJson<{ messages: TopicMessage[] }>(target, `${path}/messages?${query}`)
  for (const message of offset === undefined ? messages.toReversed() : messages) print(message)
  if (messages.length === 0 && !json && !follow)
    console.error(offset === undefined ? 'no record yet' : `no record from offset ${offset} on`)
  if (!follow) return
  for await (const frame of frames<TopicFrame>(target, `${path}/live`, signal)) {
    if (frame.type !== 'messages') continue
    for (const message of frame.messages) print(message)
    if (frame.skipped > 0 && !json) console.log(`… ${frame.skipped} more in between`)
  }
}
