// Records of topics: read, filtered, followed, exported, and sent.
//
// Invariants
//   1. A live topic costs one look at the log per tick and set of parameters, however many clients watch and however many records arrive.
//   2. An export holds one page in memory, and makes the next when the client has taken it.
import { Readable } from 'node:stream'
import type { Static } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { toStreamError } from '../base/index.ts'
import { type Field, formatType } from '../data/index.ts'
import type { BoundRecordQuery } from '../jobs/index.ts'
import { partitionOf, type RecordInput, type TopicInfo } from '../log/index.ts'
import type { ColumnInfo, ProduceRequest as ProduceBody } from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { serveErrors } from './errors.ts'
import { exportWriter, messageWriter, type RecordWriter } from './recordText.ts'
import { type ScanRequest, scanPage } from './scan.ts'
import { TopicParams } from './schemas.ts'
import type { LiveSocket, LiveSockets } from './sockets.ts'
import { sendJson, upgradeRequired } from './tables.ts'
import { findTopic, refuseInternal } from './topicNames.ts'
import {
  ExportQuery,
  MessagesPage,
  MessagesQuery,
  ProduceRequest,
  ProduceResponse,
  TopicLiveFrame,
  TopicLiveQuery,
} from './topicSchemas.ts'
import { cursorOf, parseCursor, queryOf, type Start, startOf } from './topicSeek.ts'

const MESSAGES = 50
const SCAN = 50_000
const EXPORT = 100_000
const EXPORTS_MAX = 4
const RATE = 50
const TICK_MS = 200
/** Of a filtered tail: records that one tick looks at. */
const TICK_SCAN_MAX = 20_000
/** A client that has not taken this much gets no more for now. */
const BUFFERED_BYTES_MAX = 262_144

const columnsOf = (fields: readonly Field[]): ColumnInfo[] => fields.map(({ name, type }) => ({ name, type: formatType(type) }))

interface TailOptions {
  rate: number
  partition?: number
  query?: BoundRecordQuery
  write: RecordWriter
}

/** Clients of one topic with the same parameters. */
class Tail {
  readonly clients = new Map<LiveSocket, { missed: number }>()
  private readonly log: ServeDeps['log']
  private readonly topic: string
  private readonly options: TailOptions
  private readonly countMax: number
  private readonly seen = new Map<number, number>()
  private readonly timer: NodeJS.Timeout
  private isBusy = false

  constructor(log: ServeDeps['log'], topic: TopicInfo, options: TailOptions) {
    this.log = log
    this.topic = topic.name
    this.options = options
    this.countMax = Math.max(1, Math.round((options.rate * TICK_MS) / 1000))
    for (const { partition, lastStableOffset: endOffset } of topic.partitions) this.seen.set(partition, endOffset)
    this.timer = setInterval(() => void this.tick(), TICK_MS)
  }

  private async tick(): Promise<void> {
    if (this.isBusy) return
    this.isBusy = true
    try {
      const ranges = this.newRanges()
      const newCount = ranges.reduce((sum, { start, end }) => sum + end - start, 0)
      if (newCount > 0) await this.show(ranges, newCount)
    } catch (error) {
      for (const socket of this.clients.keys()) socket.end(toStreamError(error))
    } finally {
      this.isBusy = false
    }
  }

  private newRanges(): Start['ranges'] {
    const info = this.log.topic(this.topic)
    if (!info) throw serveErrors('SERVE_TOPIC_NOT_FOUND', { topic: this.topic })
    return info.partitions
      .filter(({ partition }) => this.options.partition === undefined || partition === this.options.partition)
      .map(({ partition, startOffset, lastStableOffset: endOffset }) => {
        const start = Math.max(startOffset, this.seen.get(partition) ?? 0)
        this.seen.set(partition, endOffset)
        return { partition, start, end: endOffset }
      })
  }

  private async show(ranges: Start['ranges'], newCount: number): Promise<void> {
    const { query, write } = this.options
    const descriptor = this.log.descriptor(this.topic)
    const page = await scanPage({ descriptor, ranges, direction: 'backward', query, limit: this.countMax, scanMax: TICK_SCAN_MAX })
    const messages = page.records.toReversed().map(write).join(',')
    const frameOf = (skipped: number) => Buffer.from(`{"type":"messages","messages":[${messages}],"skipped":${skipped}}`)
    const skipped = page.remainingCount
    // A filter that nothing new passes is silent, unless records were left out.
    if (page.records.length === 0 && skipped === 0) return
    const common = frameOf(skipped)
    for (const [socket, client] of this.clients) {
      if (socket.bufferedBytes() > BUFFERED_BYTES_MAX) {
        client.missed += newCount
        continue
      }
      socket.send(client.missed === 0 ? common : frameOf(skipped + client.missed))
      client.missed = 0
    }
  }

  close(): void {
    clearInterval(this.timer)
  }
}

export function registerMessages(app: FastifyInstance, deps: ServeDeps, sockets: LiveSockets): void {
  const { log } = deps
  const tails = new Map<string, Tail>()
  let exportCount = 0
  let turn = 0

  app.get('/v1/topics/:topic/messages', {
    schema: {
      summary: 'Records of a topic, the newest first, or from the oldest, an offset or a time on; through a filter in SQL.',
      description: 'A page looks at a bounded number of records: with a filter it may be empty and yet not the last. Go on with `next`.',
      params: TopicParams,
      querystring: MessagesQuery,
      response: { 200: MessagesPage },
    },
    handler: async (request, reply) => {
      const { topic } = request.params as Static<typeof TopicParams>
      const { limit = MESSAGES, scan = SCAN, decode = 'auto', cursor, ...seek } = request.query as Static<typeof MessagesQuery>
      const info = findTopic(log, topic)
      const query = queryOf(deps, topic, seek)
      const start = cursor === undefined ? await startOf(log, info, seek) : parseCursor(cursor, info)
      const gone = goneSignal(reply.raw)
      const page = await scanPage({ descriptor: log.descriptor(topic), ...start, query, limit, scanMax: scan, signal: gone })
      const messages = page.records.map(messageWriter(decode, page.fields)).join(',')
      const columns = page.fields.length > 0 ? `"columns":${JSON.stringify(columnsOf(page.fields))},` : ''
      return sendJson(
        reply,
        `{"messages":[${messages}],${columns}"scanned":${page.scannedCount},"remaining":${page.remainingCount},` +
          `"undecoded":${page.undecodedCount},"failed":${page.failedCount},"next":${JSON.stringify(cursorOf(start.direction, page.rest))}}`,
      )
    },
  })

  app.get('/v1/topics/:topic/export', {
    schema: {
      summary: 'Records of a topic as NDJSON or CSV, oldest first unless from=newest, streamed, up to `limit`.',
      description: 'The header millrace-records says how many records are there from the start that was asked for, before any filter.',
      params: TopicParams,
      querystring: ExportQuery,
    },
    handler: async (request, reply) => {
      const { topic } = request.params as Static<typeof TopicParams>
      const { format = 'ndjson', limit = EXPORT, decode = 'auto', ...seek } = request.query as Static<typeof ExportQuery>
      const info = findTopic(log, topic)
      const query = queryOf(deps, topic, seek)
      const start = await startOf(log, info, seek, true)
      if (exportCount >= EXPORTS_MAX) throw serveErrors('SERVE_EXPORTS_LIMIT', { max: EXPORTS_MAX })
      exportCount++
      const { head, type, write } = exportWriter(format, decode, query?.fields ?? [])
      const stream = Readable.from(exportChunks({ descriptor: log.descriptor(topic), ...start, query }, limit, head, write))
      stream.once('close', () => exportCount--)
      return reply
        .header('content-type', type)
        .header('millrace-records', String(start.ranges.reduce((sum, range) => sum + range.end - range.start, 0)))
        .header('content-disposition', `attachment; filename="${topic.replace(/[^\w.-]/g, '_')}.${format}"`)
        .send(stream)
    },
  })

  app.post<{ Params: Static<typeof TopicParams>; Body: ProduceBody }>(
    '/v1/topics/:topic/messages',
    {
      config: { role: 'writer' },
      schema: {
        summary: 'Appends records as a Kafka client would: key, value, headers, partition. Nothing is checked; POST …/events does that.',
        params: TopicParams,
        body: ProduceRequest,
        response: { 201: ProduceResponse },
      },
    },
    async ({ params: { topic }, body: { messages } }, reply) => {
      const info = findTopic(log, topic)
      refuseInternal(topic)
      const partitionCount = info.partitions.length
      const unkeyed = turn++ % partitionCount
      const records = messages.map((message) => recordOf(message, Date.now()))
      const targets = messages.map(({ partition }, i) => {
        if (partition !== undefined && partition >= partitionCount)
          throw serveErrors('SERVE_PARTITION_NOT_FOUND', { topic, partition, partitionCount })
        const { key } = records[i]
        return partition ?? (key === null ? unkeyed : partitionOf(key, partitionCount))
      })
      const offsets: { partition: number; offset: number }[] = new Array(messages.length)
      for (const [partition, ordinals] of Map.groupBy(targets.keys(), (i) => targets[i])) {
        const { first } = await log.appendRecords(
          topic,
          partition,
          ordinals.map((i) => records[i]),
        )
        ordinals.forEach((ordinal, i) => {
          offsets[ordinal] = { partition, offset: first + i }
        })
      }
      return reply.code(201).send({ offsets })
    },
  )

  app.route({
    method: 'GET',
    url: '/v1/topics/:topic/live',
    attachValidation: true,
    schema: {
      summary: 'WebSocket: the newest records as they come, through a filter, at most `rate` per second; `skipped` counts the others.',
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
        const { rate = RATE, partition, where, select, decode = 'auto' } = request.query as Static<typeof TopicLiveQuery>
        const info = findTopic(log, topic)
        if (partition !== undefined && !info.partitions[partition])
          throw serveErrors('SERVE_PARTITION_NOT_FOUND', { topic, partition, partitionCount: info.partitions.length })
        const key = JSON.stringify([topic, rate, partition, where, select, decode])
        let tail = tails.get(key)
        if (!tail) {
          const query = queryOf(deps, topic, { where, select })
          tail = new Tail(log, info, { rate, partition, query, write: messageWriter(decode, query?.fields ?? []) })
          tails.set(key, tail)
        }
        const shared = tail
        shared.clients.set(socket, { missed: 0 })
        return () => {
          shared.clients.delete(socket)
          if (shared.clients.size > 0) return
          shared.close()
          tails.delete(key)
        }
      }),
  })
  app.addHook('onClose', async () => {
    for (const tail of tails.values()) tail.close()
  })
}

/** Aborted when the client has gone before it had its answer. */
export function goneSignal(response: NodeJS.EventEmitter): AbortSignal {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  return gone.signal
}

async function* exportChunks(
  scan: Pick<ScanRequest, 'descriptor' | 'ranges' | 'direction' | 'query'>,
  limit: number,
  head: string,
  write: RecordWriter,
): AsyncGenerator<string> {
  if (head) yield head
  let { ranges } = scan
  for (let left = limit; left > 0 && ranges.length > 0; ) {
    const page = await scanPage({ ...scan, ranges, limit: Math.min(left, 1_000), scanMax: SCAN })
    if (page.records.length > 0) yield page.records.map(write).join('')
    left -= page.records.length
    ranges = page.rest
  }
}

type NewMessage = ProduceBody['messages'][number]

/** @throws StreamError SERVE_BYTES_INVALID */
function recordOf({ key = null, value, encoding = 'text', headers = {}, timestampMs }: NewMessage, nowMs: number): RecordInput {
  const bytes = (text: string | null) => (text === null ? null : bytesOf(text, encoding))
  const encoded = Object.entries(headers).map(([name, text]): [string, Uint8Array] => [name, Buffer.from(text)])
  return { key: bytes(key), value: bytes(value), headers: encoded, timestampMs: timestampMs ?? nowMs }
}

function bytesOf(text: string, encoding: NonNullable<NewMessage['encoding']>): Uint8Array {
  if (encoding === 'hex' && !/^(?:[0-9a-f]{2})*$/i.test(text)) throw serveErrors('SERVE_BYTES_INVALID', { encoding })
  if (encoding === 'base64' && !/^[\w+/-]*={0,2}$/.test(text)) throw serveErrors('SERVE_BYTES_INVALID', { encoding })
  return Buffer.from(text, encoding === 'text' ? 'utf8' : encoding)
}
