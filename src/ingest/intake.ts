// A body's events, checked, as record batches for the log: the hot path of the front door. No I/O.
//
//   body --> split --> check --ok--> key, partition, headers --> batches of the topic
//                        `--not--> raw bytes and the reason --> batches of <topic>.invalid
//
// Invariants
//   1. Each event of the body is in exactly one batch. Values are the client's bytes, unchanged.
//   2. No batch is larger than its topic's max.message.bytes; an event that cannot fit is rejected by rule `size`.
//   3. The same body with the same schema, partition count and first partition makes the same batches, but for times, ids and trace:
//      a request that is sent again can be compared with what is stored (idempotency.ts).
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type BufferPool, copyBytes } from '../base/index.ts'
import type { BodyForm, EventChecker, EventSplitter, RowFailure } from '../formats/index.ts'
import {
  BatchBuilder,
  encodeHeaders,
  type HeaderTemplate,
  Lz4BatchBuilder,
  lettersTopicOf,
  partitionOf,
  recompressed,
} from '../log/index.ts'
import type { IngestLimits, Rejection, TopicSchema } from './contract.ts'
import { ID_BYTES, type IdSource } from './enrich.ts'
import { ingestErrors } from './errors.ts'
import { bodiesOf, makeChecker, makeSplitter } from './forms.ts'
import { rawKeyOf } from './rawKey.ts'

/** Where the body came from and what is noted of it in each record. */
export interface EventContext {
  nowMs: number
  traceId: string
  /** How it came: http or websocket. */
  source: string
  /** Address of the sender. */
  client: string
  /** Marks the first record of each batch, with the batch's ordinal; absent without Idempotency-Key. */
  mark?: string
}
/** Name of the header that carries `mark:ordinal`. */
export const MARK_HEADER = 'idempotency'

/** One batch to append. */
export interface Part {
  topic: string
  partition: number
  recordCount: number
  bytes: Uint8Array
}
export interface Taken {
  parts: Part[]
  eventCount: number
  acceptedCount: number
  rejected: Rejection[]
  rejectedCount: number
  rejectedByRule: Map<string, number>
}

/** Where a topic's records go, and how: what the log and the table that declares it say. */
export interface Target {
  topic: string
  partitionCount: number
  batchBytesMax: number
  /** What batches are compressed in: Kafka's number, 0 is none. */
  codec: number
}

/** Events between two pauses: a large body must not hold up everything else on this thread. */
const SLICE_EVENTS = 2_000
/** Of a client's own `id`; a longer one stays in the value only. */
const CLIENT_ID_BYTES_MAX = 128
/** A record's own bytes besides key, value and headers, and what the mark adds to a first one. */
const RECORD_BYTES_MAX = 40
const MARK_BYTES_MAX = 80
/** A batch's own bytes. */
const BATCH_BYTES = 61
const LZ4 = 3
/** Of a body with fewer events for each partition the batches are not compressed: one record repeats nothing. */
const COMPRESSED_RECORDS_MIN = 8

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

/** Takes bodies for one topic, one at a time: it owns a checker and builders. */
export class Intake {
  readonly schema: TopicSchema
  private readonly limits: IngestLimits
  private readonly ids: IdSource
  private readonly buffers: BufferPool
  private readonly checker: EventChecker
  private readonly splitter: EventSplitter
  private readonly idCapture: number
  private readonly keyNames: Buffer[]
  private readonly isKeyJson: boolean
  /** Of a raw key that is no text. */
  private readonly rawKey: ((text: Uint8Array) => Uint8Array) | undefined
  private readonly keyIsText: boolean[]
  /** By partition. */
  private readonly plainBuilders: BatchBuilder[] = []
  private readonly lz4Builders: Lz4BatchBuilder[] = []
  /** Of the body that is taken. */
  private codec = 0
  /** By partition: the builder that has records. */
  private builders: (BatchBuilder | undefined)[] = []
  /** By partition: the ordinal of the part that its builder is at. */
  private readonly openParts: number[] = []

  /**
   * @param buffers  of the batches; whoever appends a part gives its bytes back
   * @throws StreamError FORMAT_COLUMNS, FORMAT_OPTION
   */
  constructor(schema: TopicSchema, limits: IngestLimits, ids: IdSource, buffers: BufferPool) {
    this.schema = schema
    this.buffers = buffers
    this.limits = limits
    this.ids = ids
    const { keyFields } = schema
    this.idCapture = keyFields.includes('id') ? keyFields.indexOf('id') : keyFields.length
    this.checker = makeChecker(schema, keyFields.includes('id') ? keyFields : [...keyFields, 'id'])
    this.splitter = makeSplitter(schema)
    this.isKeyJson = (schema.keyFormat ?? (keyFields.length === 1 ? 'raw' : 'json')) === 'json'
    if (schema.keyFormat === 'raw') this.rawKey = rawKeyOf(schema.fields.find(({ name }) => name === keyFields[0])?.type.kind)
    this.keyNames = (schema.keyNames ?? keyFields).map((name, i) => Buffer.from(`${i === 0 ? '{' : ','}${JSON.stringify(name)}:`))
    this.keyIsText = keyFields.map((name) => isQuotedKind(schema.fields.find((field) => field.name === name)?.type.kind))
  }

  /** Whether no record of an earlier body is left in the builders. */
  get isEmpty(): boolean {
    return this.builders.every((builder) => builder === undefined)
  }

  /**
   * @param form            one of those that the schema's format has
   * @param firstPartition  where events without key go
   * @throws StreamError    INGEST_BODY_EMPTY, INGEST_EVENTS_TOO_MANY; then nothing is kept of the body
   */
  async take(body: Uint8Array, form: BodyForm, target: Target, firstPartition: number, context: EventContext): Promise<Taken> {
    const { eventCount: eventCountMax } = this.limits
    const { starts, ends, count } = this.splitter.split(body, form, eventCountMax)
    if (count === 0) throw ingestErrors('INGEST_BODY_EMPTY', { bodies: bodiesOf(this.schema) })
    if (count > eventCountMax) throw ingestErrors('INGEST_EVENTS_TOO_MANY', { limit: eventCountMax })
    const taken: Taken = { parts: [], eventCount: count, acceptedCount: 0, rejected: [], rejectedCount: 0, rejectedByRule: new Map() }
    const headers = new HeaderSet(context)
    const letters = new DeadLetters(lettersTopicOf(target.topic), body, context, this.limits, this.buffers, taken)
    this.builders = new Array(target.partitionCount).fill(undefined)
    this.codec = count >= COMPRESSED_RECORDS_MIN * target.partitionCount ? target.codec : 0
    for (let from = 0; from < count; from += SLICE_EVENTS) {
      if (from > 0) await nextTurn()
      this.slice(body, starts, ends, from, Math.min(count, from + SLICE_EVENTS), target, firstPartition, context, headers, letters, taken)
    }
    for (let partition = 0; partition < target.partitionCount; partition++) this.finish(taken, partition)
    letters.finish()
    return taken
  }

  private slice(
    body: Uint8Array,
    starts: Int32Array,
    ends: Int32Array,
    from: number,
    to: number,
    target: Target,
    firstPartition: number,
    context: EventContext,
    headers: HeaderSet,
    letters: DeadLetters,
    taken: Taken,
  ): void {
    const { checker, idCapture } = this
    const { captures, sources } = checker
    const isKeyed = this.schema.keyFields.length > 0
    checker.begin(body)
    for (let i = from; i < to; i++) {
      const start = starts[i]
      const end = ends[i]
      if (end - start > target.batchBytesMax) {
        letters.add(i, start, end, { rule: 'size', path: '', message: `${end - start} bytes, a record may have ${target.batchBytesMax}` })
        continue
      }
      const failure = checker.check(start, end)
      if (failure !== undefined) {
        letters.add(i, start, end, failure)
        continue
      }
      let key: Uint8Array | null = null
      let keyStart = 0
      let keyEnd = 0
      if (isKeyed) {
        if (this.isKeyJson) {
          key = this.jsonKey()
          keyEnd = key?.length ?? 0
        } else if (captures[0] >= 0 && this.rawKey) {
          key = this.rawKey(sources[0].subarray(captures[0], captures[1]))
          keyEnd = key.length
        } else if (captures[0] >= 0) {
          key = sources[0]
          keyStart = captures[0]
          keyEnd = captures[1]
        }
      }
      const partition =
        key === null ? firstPartition : target.partitionCount === 1 ? 0 : partitionOf(key, target.partitionCount, keyStart, keyEnd)
      const idStart = captures[2 * idCapture]
      const idSize = captures[2 * idCapture + 1] - idStart
      const template =
        idStart >= 0 && idSize > 0 && idSize <= CLIENT_ID_BYTES_MAX
          ? headers.withClientId(sources[idCapture], idStart, idSize)
          : headers.withId(this.ids)
      const sizeMax = RECORD_BYTES_MAX + MARK_BYTES_MAX + end - start + keyEnd - keyStart + template.bytes.length
      if (BATCH_BYTES + sizeMax > target.batchBytesMax) {
        letters.add(i, start, end, { rule: 'size', path: '', message: `the record would have more than ${target.batchBytesMax} bytes` })
        continue
      }
      const isLz4 = this.codec === LZ4 && Lz4BatchBuilder.takes(sizeMax, target.batchBytesMax)
      let builder = this.builders[partition]
      if (builder && (!builder.hasRoom(sizeMax, target.batchBytesMax) || (builder instanceof Lz4BatchBuilder && !isLz4))) {
        this.finish(taken, partition)
        builder = undefined
      }
      let recordHeaders = template
      if (builder === undefined) {
        builder = this.builders[partition] = this.builderOf(partition, isLz4, Math.min(target.batchBytesMax, 16 * 1024 + 2 * body.length))
        const ordinal = taken.parts.push({ topic: target.topic, partition, recordCount: 0, bytes: body }) - 1
        this.openParts[partition] = ordinal
        recordHeaders = headers.marked(template, ordinal)
      }
      builder.appendRecord(key, body, start, end, recordHeaders, context.nowMs, keyStart, keyEnd)
      taken.acceptedCount++
    }
  }

  private builderOf(partition: number, isLz4: boolean, capacityBytes: number): BatchBuilder {
    if (isLz4) return (this.lz4Builders[partition] ??= new Lz4BatchBuilder(capacityBytes, this.buffers))
    return (this.plainBuilders[partition] ??= new BatchBuilder(capacityBytes, this.buffers))
  }

  private compressed(builder: BatchBuilder): Uint8Array {
    const batch = builder.finish()
    if (this.codec === 0 || this.codec === LZ4) return batch
    const compressed = recompressed(batch, this.codec)
    // Larger, it might be too large for the topic.
    if (compressed.length >= batch.length) return batch
    this.buffers.give(batch)
    return compressed
  }

  private finish(taken: Taken, partition: number): void {
    const builder = this.builders[partition]
    if (builder === undefined) return
    const part = taken.parts[this.openParts[partition]]
    part.recordCount = builder.recordCount
    part.bytes = this.compressed(builder)
    this.builders[partition] = undefined
  }

  /** The key fields as a JSON object, as Flink's key.format json has it; null if all of them are. */
  private jsonKey(): Uint8Array | null {
    const { captures, sources } = this.checker
    const pieces: Uint8Array[] = []
    let isNull = true
    for (let k = 0; k < this.keyNames.length; k++) {
      pieces.push(this.keyNames[k])
      const start = captures[2 * k]
      if (start < 0) {
        pieces.push(latin1('null'))
        continue
      }
      isNull = false
      const text = sources[k].subarray(start, captures[2 * k + 1])
      pieces.push(this.keyIsText[k] ? Buffer.from(JSON.stringify(Buffer.from(text).toString())) : text)
    }
    pieces.push(latin1('}'))
    return isNull ? null : Buffer.concat(pieces)
  }
}

const isQuotedKind = (kind: string | undefined): boolean =>
  kind !== undefined && /^(CHAR|VARCHAR|BINARY|VARBINARY|DATE|TIME|TIMESTAMP|TIMESTAMP_LTZ)$/.test(kind)

/** The headers of a request's records, encoded once for each length of an id. */
class HeaderSet {
  private readonly context: EventContext
  private readonly ofIdSize: (HeaderTemplate | undefined)[] = []

  constructor(context: EventContext) {
    this.context = context
  }

  withId(ids: IdSource): HeaderTemplate {
    ids.next(this.context.nowMs)
    const template = (this.ofIdSize[ID_BYTES] ??= this.encode(new Uint8Array(ID_BYTES)))
    copyBytes(ids.text, ids.view, 0, ID_BYTES, template.bytes, template.view, template.patchStart)
    return template
  }

  withClientId(source: Uint8Array, start: number, size: number): HeaderTemplate {
    const template = (this.ofIdSize[size] ??= this.encode(new Uint8Array(size)))
    const { bytes, patchStart } = template
    for (let i = 0; i < size; i++) bytes[patchStart + i] = source[start + i]
    return template
  }

  /** The headers of a batch's first record. */
  marked(template: HeaderTemplate, ordinal: number): HeaderTemplate {
    const { mark } = this.context
    if (mark === undefined) return template
    return this.encode(template.bytes.subarray(template.patchStart, template.patchEnd), [[MARK_HEADER, latin1(`${mark}:${ordinal}`)]])
  }

  private encode(id: Uint8Array, more: [string, Uint8Array][] = []): HeaderTemplate {
    const { nowMs, traceId, source } = this.context
    const headers: [string, Uint8Array][] = [
      ['id', id],
      ['ingested_at', latin1(String(nowMs))],
      ['trace_id', latin1(traceId)],
      ['source', latin1(source)],
      ...more,
    ]
    return encodeHeaders(headers, 'id')
  }
}

/** Rejected events as records of `<topic>.invalid`. */
class DeadLetters {
  private readonly topic: string
  private readonly body: Uint8Array
  private readonly context: EventContext
  private readonly limits: IngestLimits
  private readonly buffers: BufferPool
  private readonly taken: Taken
  private builder: BatchBuilder | undefined
  private ordinal = -1

  constructor(topic: string, body: Uint8Array, context: EventContext, limits: IngestLimits, buffers: BufferPool, taken: Taken) {
    this.buffers = buffers
    this.topic = topic
    this.body = body
    this.context = context
    this.limits = limits
    this.taken = taken
  }

  add(index: number, start: number, end: number, failure: RowFailure): void {
    const { taken, body, context, limits } = this
    taken.rejectedCount++
    taken.rejectedByRule.set(failure.rule, (taken.rejectedByRule.get(failure.rule) ?? 0) + 1)
    if (taken.rejected.length < limits.rejectedListed) taken.rejected.push({ index, ...failure })
    const kept = Math.min(end, start + limits.rawBytes)
    if (this.builder && this.builder.sizeBytes + kept - start > 512 * 1024) this.finish()
    const headers: [string, Uint8Array][] = [
      ['rule', Buffer.from(failure.rule)],
      ['path', Buffer.from(failure.path)],
      ['message', Buffer.from(failure.message)],
      ['length', latin1(String(end - start))],
      ['sha256', latin1(createHash('sha256').update(body.subarray(start, end)).digest('hex'))],
      ['source', latin1(context.source)],
      ['client', Buffer.from(context.client)],
      ['ingested_at', latin1(String(context.nowMs))],
      ['trace_id', latin1(context.traceId)],
    ]
    if (this.builder === undefined) {
      this.builder = new BatchBuilder(64 * 1024, this.buffers)
      this.ordinal = taken.parts.push({ topic: this.topic, partition: 0, recordCount: 0, bytes: body }) - 1
      if (context.mark !== undefined) headers.push([MARK_HEADER, latin1(`${context.mark}:${this.ordinal}`)])
    }
    this.builder.appendRecord(null, body, start, kept, encodeHeaders(headers), context.nowMs)
  }

  finish(): void {
    if (this.builder === undefined) return
    const part = this.taken.parts[this.ordinal]
    part.recordCount = this.builder.recordCount
    part.bytes = this.builder.finish()
    this.builder = undefined
  }
}
