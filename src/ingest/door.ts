// The front door: takes a body, answers when its events are in the log.
//
// Invariants
//   1. An answer of 202 or 422 is given after the log has confirmed every batch, rejected events included.
//   2. A request that is refused (404, 413, 429 …) has stored nothing. One whose batches were stored in part says so: INGEST_PARTLY_STORED.
//   3. Memory is bounded: by requests and bytes in flight, and by what the log has not confirmed. Above that requests are refused, none waits.
import { createHash } from 'node:crypto'
import { BufferPool, nearestName, type StreamError, toStreamError } from '../base/index.ts'
import type { BodyForm } from '../formats/index.ts'
import { codecOf, defaultTopicConfig, ensureTopic, type Log, type TopicConfig } from '../log/index.ts'
import { type IngestAnswer, type IngestDeps, type IngestLimits, ingestLimits, type OffsetRange, type TopicSchema } from './contract.ts'
import { IdSource } from './enrich.ts'
import { ingestErrors, ingestMetrics } from './errors.ts'
import { bodiesOf, formOf } from './forms.ts'
import { type KeyEntry, KeyStore, markOf, type StoredAnswer } from './idempotency.ts'
import { type EventContext, Intake, type Part, type Taken, type Target } from './intake.ts'

export interface EventsRequest {
  topic: string
  /** Without compression. */
  body: Uint8Array
  form: BodyForm
  traceId: string
  /** How it came. */
  source: 'http' | 'websocket' | 'repair'
  /** Address of the sender. */
  client: string
  idempotencyKey?: string
}
export interface EventsAnswer extends StoredAnswer {
  isReplayed: boolean
}

const keyForm = /^[\x21-\x7e]{1,255}$/
const INTAKES_KEPT = 4

interface KnownTopic {
  schema: TopicSchema
  schemaText: string
  idle: Intake[]
}

export class Door {
  readonly limits: IngestLimits
  private readonly deps: IngestDeps
  private readonly log: Log
  private readonly now: () => number
  private readonly ids = new IdSource()
  /** Of bodies and of batches. */
  readonly buffers = new BufferPool()
  private readonly keys: KeyStore
  private readonly known = new Map<string, KnownTopic>()
  private readonly creating = new Map<string, Promise<unknown>>()
  private turn = 0
  private requestCount = 0
  private reservedBytes = 0
  private isClosed = false
  private idle: (() => void) | undefined

  constructor(deps: IngestDeps) {
    this.deps = deps
    this.log = deps.log
    this.limits = { ...ingestLimits, ...deps.limits }
    this.now = deps.now ?? Date.now
    this.keys = new KeyStore(deps.log, this.limits, this.now, deps.disk)
  }

  /** Reads the idempotency keys; requests come after it. */
  start(): Promise<void> {
    return this.keys.start()
  }

  /** Refuses what comes, and resolves when what is being handled is answered. */
  async close(): Promise<void> {
    this.isClosed = true
    if (this.requestCount > 0) await new Promise<void>((resolve) => (this.idle = resolve))
  }

  /**
   * What a body for the topic is; undefined for a type that no topic takes.
   *
   * @param contentType   the header; undefined for events that come without one
   * @throws StreamError  INGEST_TOPIC_NOT_DECLARED, INGEST_FORMAT, INGEST_MEDIA_PARAMETER, INGEST_KEY_APART
   */
  formOf(topic: string, contentType: string): BodyForm | undefined
  formOf(topic: string): BodyForm
  formOf(topic: string, contentType?: string): BodyForm | undefined {
    return formOf(topic, this.schemaOf(topic), contentType)
  }

  /** The types that the topic takes, as hints have them. @throws StreamError INGEST_TOPIC_NOT_DECLARED */
  bodiesOf(topic: string): string {
    return bodiesOf(this.schemaOf(topic))
  }

  /** Why no request may come in now; undefined if one may. */
  refusal(): StreamError | undefined {
    const { limits } = this
    if (this.isClosed) return ingestErrors('INGEST_CLOSED', {})
    if (this.log.pendingBytes > limits.pendingBytes) return overloaded('bytes that wait for the disk', limits.pendingBytes)
    if (this.requestCount >= limits.requestsInFlight) return overloaded('requests in flight', limits.requestsInFlight)
    return undefined
  }

  /**
   * Sets memory aside for a request, before its body is read.
   *
   * @param sizeBytes  what its body may take, at most
   * @returns          gives it back; to be called once, when the request is answered or gone
   * @throws StreamError  INGEST_TOPIC_NOT_DECLARED, INGEST_OVERLOADED, INGEST_CLOSED
   */
  admit(topic: string, sizeBytes: number): () => void {
    this.schemaOf(topic)
    const { limits } = this
    const refusal =
      this.refusal() ??
      (this.requestCount > 0 && this.reservedBytes + sizeBytes > limits.bytesInFlight
        ? overloaded('bytes of requests in flight', limits.bytesInFlight)
        : undefined)
    if (refusal) {
      if (refusal.httpStatus === 429) ingestMetrics.overloaded.inc()
      throw refusal
    }
    this.occupy(1, sizeBytes)
    return () => this.occupy(-1, -sizeBytes)
  }

  private occupy(requestCount: number, sizeBytes: number): void {
    this.requestCount += requestCount
    this.reservedBytes += sizeBytes
    ingestMetrics.inFlight.set({ what: 'requests' }, this.requestCount)
    ingestMetrics.inFlight.set({ what: 'bytes' }, this.reservedBytes)
    if (this.requestCount === 0) this.idle?.()
  }

  /** @throws StreamError INGEST_…, and the log's errors */
  async accept(request: EventsRequest): Promise<EventsAnswer> {
    try {
      const answer = await (request.idempotencyKey === undefined
        ? this.acceptOnce(request)
        : this.acceptKeyed(request, request.idempotencyKey))
      ingestMetrics.requests.inc({ outcome: answer.isReplayed ? 'replayed' : answer.status === 202 ? 'accepted' : 'rejected' })
      return answer
    } catch (error) {
      const failure = toStreamError(error)
      if (failure.httpStatus === 429) ingestMetrics.overloaded.inc()
      if (failure.httpStatus === 413) ingestMetrics.tooLarge.inc()
      ingestMetrics.requests.inc({ outcome: 'failed' })
      throw failure
    }
  }

  /**
   * What `accept` would say of a body, storing nothing.
   *
   * @throws StreamError INGEST_…
   */
  async check(topic: string, body: Uint8Array): Promise<Pick<IngestAnswer, 'accepted' | 'rejected' | 'rejectedCount'>> {
    const leave = this.admit(topic, body.length)
    try {
      const request: EventsRequest = { topic, body, form: this.formOf(topic), traceId: '', source: 'repair', client: '' }
      const { partitions, config } = this.log.topic(topic) ?? { partitions: [0], config: defaultTopicConfig }
      const schema = this.schemaOf(topic)
      const target = targetOf(topic, schema, partitions.length, config)
      const { acceptedCount, rejected, rejectedCount } = await this.take(request, schema, target, 0, undefined)
      return { accepted: acceptedCount, rejected, rejectedCount }
    } finally {
      leave()
    }
  }

  private async acceptOnce(request: EventsRequest): Promise<EventsAnswer> {
    const schema = this.schemaOf(request.topic)
    const target = await this.targetOf(request.topic, schema)
    const firstPartition = this.turn++ % target.partitionCount
    const taken = await this.take(request, schema, target, firstPartition, undefined)
    const { ranges, error } = await this.append(request.topic, taken.parts, new Map())
    if (error) throw ranges.length === 0 ? error : partlyStored(error, ranges)
    return { ...this.answer(request, taken, ranges), isReplayed: false }
  }

  private async acceptKeyed(request: EventsRequest, key: string): Promise<EventsAnswer> {
    if (!keyForm.test(key)) throw ingestErrors('INGEST_KEY_INVALID', {})
    const { topic } = request
    const hash = createHash('sha256').update(request.body).digest('base64url')
    let entry = this.keys.get(topic, key)
    if (entry && entry.hash !== hash) throw ingestErrors('INGEST_KEY_REUSED', { key })
    if (entry?.answer || entry?.running) {
      const answer = entry.answer ?? (await entry.running!)
      ingestMetrics.replayed.inc()
      return { ...answer, isReplayed: true }
    }
    entry ??= this.keys.add(topic, key, hash)
    const isResumed = entry.begin !== undefined
    entry.running = this.settle(request, key, entry)
    // Whoever waits for it gets its error; if nobody does, it is not unhandled.
    entry.running.catch(() => {})
    try {
      return { ...(await entry.running), isReplayed: isResumed }
    } finally {
      entry.running = undefined
      // Nothing was appended: the next request with the key may have any body.
      if (entry.answer === undefined && entry.begin === undefined) this.keys.drop(topic, key)
    }
  }

  private async settle(request: EventsRequest, key: string, entry: KeyEntry): Promise<StoredAnswer> {
    const { topic } = request
    const schema = this.schemaOf(topic)
    const target = await this.targetOf(topic, schema)
    const firstPartition = entry.begin?.firstPartition ?? this.turn++ % target.partitionCount
    const taken = await this.take(request, schema, target, firstPartition, markOf(topic, key))
    await this.makeTopics(taken.parts)
    if (entry.begin === undefined) {
      await this.keys.begin(entry, topic, key, firstPartition, taken.parts)
    } else {
      const isSame =
        JSON.stringify(entry.begin.parts) ===
        JSON.stringify(taken.parts.map(({ topic: to, partition, recordCount }) => ({ topic: to, partition, recordCount })))
      if (!isSame) throw ingestErrors('INGEST_KEY_UNFINISHED', { key })
    }
    const { ranges, error } = await this.append(topic, taken.parts, entry.stored)
    if (error) throw entry.stored.size === 0 ? error : partlyStored(error, ranges)
    const answer = this.answer(request, taken, ranges)
    this.keys.end(entry, topic, key, answer)
    return answer
  }

  private async take(
    request: EventsRequest,
    schema: TopicSchema,
    target: Target,
    firstPartition: number,
    mark: string | undefined,
  ): Promise<Taken> {
    const { topic, body, form, traceId, source, client } = request
    const context: EventContext = { nowMs: Math.floor(this.now()), traceId, source, client, mark }
    const known = this.known.get(topic)!
    const intake = known.idle.pop() ?? new Intake(schema, this.limits, this.ids, this.buffers)
    try {
      return await intake.take(body, form, target, firstPartition, context)
    } finally {
      // One that failed half-way has records left: it is not used again.
      if (intake.isEmpty && intake.schema === known.schema && known.idle.length < INTAKES_KEPT) known.idle.push(intake)
    }
  }

  /** Appends the batches that are not in `stored`, and notes there those that then are. */
  private async append(
    topic: string,
    parts: readonly Part[],
    stored: Map<number, OffsetRange>,
  ): Promise<{ ranges: OffsetRange[]; error?: StreamError }> {
    await this.makeTopics(parts)
    let error: StreamError | undefined
    const appends = parts.map(async (part, ordinal) => {
      if (stored.has(ordinal)) return
      try {
        const { partition, first, last } = await this.log.append(part.topic, part.partition, part.bytes, { recordCount: part.recordCount })
        stored.set(ordinal, { partition, first, last })
      } catch (thrown) {
        error ??= toStreamError(thrown)
      } finally {
        this.buffers.give(part.bytes)
      }
    })
    await Promise.all(appends)
    if (error?.code === 'LOG_OVERLOADED') error = overloaded('bytes that wait for the disk', this.limits.pendingBytes)
    const ranges: OffsetRange[] = []
    for (let ordinal = 0; ordinal < parts.length; ordinal++) {
      const range = stored.get(ordinal)
      if (range && parts[ordinal].topic === topic) addRange(ranges, range)
    }
    return { ranges, error }
  }

  private answer({ topic, body }: EventsRequest, taken: Taken, offsets: OffsetRange[]): StoredAnswer {
    const { acceptedCount, rejected, rejectedCount, rejectedByRule } = taken
    ingestMetrics.accepted.inc({ topic }, acceptedCount)
    ingestMetrics.bytes.inc({ topic }, body.length)
    for (const [rule, count] of rejectedByRule) ingestMetrics.rejected.inc({ topic, rule }, count)
    const answer: IngestAnswer = { accepted: acceptedCount, offsets, rejected, rejectedCount }
    return { status: acceptedCount > 0 ? 202 : 422, text: JSON.stringify(answer) }
  }

  /** @throws StreamError INGEST_TOPIC_NOT_DECLARED */
  private schemaOf(topic: string): TopicSchema {
    const schema = this.deps.topicSchema(topic)
    if (schema === undefined)
      throw ingestErrors('INGEST_TOPIC_NOT_DECLARED', { topic, nearest: nearestName(topic, this.deps.topicNames()) })
    const known = this.known.get(topic)
    if (known?.schema === schema) return schema
    const schemaText = JSON.stringify(schema)
    if (known?.schemaText === schemaText) return known.schema
    this.known.set(topic, { schema, schemaText, idle: [] })
    return schema
  }

  private async targetOf(topic: string, schema: TopicSchema): Promise<Target> {
    const info = this.log.topic(topic) ?? (await this.makeTopic(topic))
    return targetOf(topic, schema, info.partitions.length, info.config)
  }

  private async makeTopics(parts: readonly Part[]): Promise<void> {
    for (const { topic } of parts) if (!this.log.topic(topic)) await this.makeTopic(topic)
  }

  /** Makes a topic that is missing, once however many requests need it. */
  private async makeTopic(topic: string) {
    let making = this.creating.get(topic)
    if (making === undefined) {
      making = ensureTopic(this.log, topic)
      this.creating.set(topic, making)
      making.finally(() => this.creating.delete(topic)).catch(() => {})
    }
    await making
    return this.log.topic(topic)!
  }
}

/** The topic's own codec is the log's to see to, but for LZ4, which the intake has at no cost. */
function targetOf(topic: string, { compression = 'lz4' }: TopicSchema, partitionCount: number, config: TopicConfig): Target {
  const ofTopic = config['compression.type']
  const codec = codecOf(ofTopic === 'producer' ? compression : ofTopic)
  return { topic, partitionCount, batchBytesMax: config['max.message.bytes'], codec }
}

const overloaded = (what: string, limit: number): StreamError => ingestErrors('INGEST_OVERLOADED', { what, limit })
const partlyStored = (error: StreamError, offsets: OffsetRange[]): StreamError =>
  ingestErrors('INGEST_PARTLY_STORED', { code: error.code, reason: error.message, offsets }, { cause: error })

/** Adds a range; to the last one if it goes on from there. */
function addRange(ranges: OffsetRange[], { partition, first, last }: OffsetRange): void {
  const open = ranges.findLast((range) => range.partition === partition)
  if (open && open.last + 1 === first) open.last = last
  else ranges.push({ partition, first, last })
}
