// /v1/topics: what is in the log, and its newest records as they come.
//
// Invariants
//   1. A JSON value is passed on as the text that was stored, once it has proved to be JSON: no numeral loses a digit.
//   2. A live topic costs one look at the log per tick and rate, however many clients watch and however many records arrive.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { StreamError } from '../base/index.ts'
import { nearestName } from '../base/index.ts'
import type { BrowsedRecord, TopicInfo } from '../log/index.ts'
import type { TopicSummary } from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { serveErrors } from './errors.ts'
import {
  MessagesQuery,
  NoQuery,
  TopicLiveFrame,
  TopicLiveQuery,
  TopicMessage,
  TopicParams,
  TopicSummary as TopicSummarySchema,
} from './schemas.ts'
import type { LiveSocket, LiveSockets } from './sockets.ts'
import { sendJson, upgradeRequired } from './tables.ts'

const MESSAGES = 50
const RATE = 50
const TICK_MS = 200
/** A client that has not taken this much gets no more for now. */
const BUFFERED_BYTES_MAX = 262_144

const decoder = new TextDecoder()
const textOf = (bytes: Uint8Array | null): string | null => (bytes === null ? null : decoder.decode(bytes))

function valueJson(bytes: Uint8Array | null): string {
  if (bytes === null) return 'null'
  const text = decoder.decode(bytes)
  try {
    JSON.parse(text)
    return text
  } catch {
    return JSON.stringify(text)
  }
}

function messageJson({ partition, offset, timestampMs, key, value, headers }: BrowsedRecord): string {
  const headerTexts = Object.fromEntries(headers.map(([name, bytes]) => [name, textOf(bytes) ?? '']))
  return `{"partition":${partition},"offset":${offset},"timestampMs":${timestampMs},"key":${JSON.stringify(textOf(key))},"value":${valueJson(value)},"headers":${JSON.stringify(headerTexts)}}`
}

/** Clients of one topic at one rate. */
class Tail {
  readonly clients = new Map<LiveSocket, { missed: number }>()
  private readonly log: ServeDeps['log']
  private readonly topic: string
  private readonly countMax: number
  private readonly seen = new Map<number, number>()
  private readonly timer: NodeJS.Timeout
  private isReading = false

  constructor(log: ServeDeps['log'], topic: TopicInfo, rate: number) {
    this.log = log
    this.topic = topic.name
    this.countMax = Math.max(1, Math.round((rate * TICK_MS) / 1000))
    for (const { partition, endOffset } of topic.partitions) this.seen.set(partition, endOffset)
    this.timer = setInterval(() => void this.tick(), TICK_MS)
  }

  private async tick(): Promise<void> {
    if (this.isReading) return
    this.isReading = true
    const info = this.log.topic(this.topic)
    try {
      if (!info) throw serveErrors('SERVE_TOPIC_NOT_FOUND', { topic: this.topic })
      const from = new Map(this.seen)
      let newCount = 0
      for (const { partition, endOffset } of info.partitions) {
        newCount += endOffset - (from.get(partition) ?? 0)
        this.seen.set(partition, endOffset)
      }
      if (newCount <= 0) return
      const newest = await this.log.readMessages(this.topic, { newest: true, limit: this.countMax })
      const records = newest.filter(
        ({ partition, offset }) => offset >= (from.get(partition) ?? 0) && offset < (this.seen.get(partition) ?? 0),
      )
      const messages = records.map(messageJson).join(',')
      const frameOf = (skipped: number) => Buffer.from(`{"type":"messages","messages":[${messages}],"skipped":${skipped}}`)
      const skipped = newCount - records.length
      const common = frameOf(skipped)
      for (const [socket, client] of this.clients) {
        if (socket.bufferedBytes() > BUFFERED_BYTES_MAX) {
          client.missed += newCount
          continue
        }
        socket.send(client.missed === 0 ? common : frameOf(skipped + client.missed))
        client.missed = 0
      }
    } catch (error) {
      for (const socket of this.clients.keys()) socket.end(error as StreamError)
    } finally {
      this.isReading = false
    }
  }

  close(): void {
    clearInterval(this.timer)
  }
}

export function registerTopics(app: FastifyInstance, { log, topicColumns }: ServeDeps, sockets: LiveSockets): void {
  const tails = new Map<string, Tail>()

  const find = (topic: string): TopicInfo => {
    const info = log.topic(topic)
    if (info) return info
    const nearest = nearestName(
      topic,
      log.topics().map(({ name }) => name),
    )
    throw serveErrors('SERVE_TOPIC_NOT_FOUND', { topic, nearest })
  }
  const summaryOf = ({ name, config, partitions }: TopicInfo): TopicSummary => ({
    name,
    partitionCount: partitions.length,
    recordCount: partitions.reduce((sum, { startOffset, endOffset }) => sum + endOffset - startOffset, 0),
    sizeBytes: partitions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    columns: topicColumns(name),
    config: { ...config },
  })

  app.get(
    '/v1/topics',
    { schema: { summary: 'All topics of the log.', querystring: NoQuery, response: { 200: Type.Array(TopicSummarySchema) } } },
    () => log.topics().map(summaryOf),
  )
  app.get(
    '/v1/topics/:topic',
    { schema: { summary: 'One topic.', params: TopicParams, querystring: NoQuery, response: { 200: TopicSummarySchema } } },
    (request) => summaryOf(find((request.params as Static<typeof TopicParams>).topic)),
  )
  app.get('/v1/topics/:topic/messages', {
    schema: {
      summary: 'Records of a topic: the newest first, or from an offset on.',
      params: TopicParams,
      querystring: MessagesQuery,
      response: { 200: Type.Object({ messages: Type.Array(TopicMessage) }) },
    },
    handler: async (request, reply) => {
      const { topic } = request.params as Static<typeof TopicParams>
      const { limit = MESSAGES, partition, offset } = request.query as Static<typeof MessagesQuery>
      const { partitions } = find(topic)
      if (offset !== undefined && partition === undefined && partitions.length > 1)
        throw serveErrors('SERVE_OFFSET_NEEDS_PARTITION', { topic, partitionCount: partitions.length })
      const records = await log.readMessages(topic, {
        partition,
        limit,
        ...(offset === undefined ? { newest: true } : { fromOffset: offset }),
      })
      if (offset === undefined) records.sort((a, b) => b.timestampMs - a.timestampMs || b.offset - a.offset)
      return sendJson(reply, `{"messages":[${records.map(messageJson).join(',')}]}`)
    },
  })
  app.route({
    method: 'GET',
    url: '/v1/topics/:topic/live',
    attachValidation: true,
    schema: {
      summary: 'WebSocket: the newest records as they come, at most `rate` per second; `skipped` counts the others.',
      params: TopicParams,
      querystring: TopicLiveQuery,
      response: { 101: TopicLiveFrame },
    },
    handler: (request) => {
      throw upgradeRequired(request)
    },
    wsHandler: (webSocket, request) =>
      sockets.open(webSocket, request, (socket) => {
        const { topic } = request.params as Static<typeof TopicParams>
        const { rate = RATE } = request.query as Static<typeof TopicLiveQuery>
        const info = find(topic)
        const key = `${rate} ${topic}`
        const tail = tails.get(key) ?? new Tail(log, info, rate)
        tails.set(key, tail)
        tail.clients.set(socket, { missed: 0 })
        return () => {
          tail.clients.delete(socket)
          if (tail.clients.size > 0) return
          tail.close()
          tails.delete(key)
        }
      }),
  })
  app.addHook('onClose', async () => {
    for (const tail of tails.values()) tail.close()
  })
}
