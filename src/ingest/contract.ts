// What the front door needs from the rest, what bounds it, and what it answers.
import type { RowField } from '../data/index.ts'
import type { Disk, Log } from '../log/index.ts'

export interface TopicSchema {
  /** The physical columns of the table that declares the topic. */
  fields: readonly RowField[]
  /** Names of the fields that make the record's key; none: records have no key. */
  keyFields: readonly string[]
  /** The names that they have in a JSON key; their own unless given. */
  keyNames?: readonly string[]
  /** Flink's key.format: raw is one field, numbers in bytes; json an object of the key fields. Default: one field's text, json for more. */
  keyFormat?: 'raw' | 'json'
  /** What values are; json unless given. */
  valueFormat?: 'json' | 'csv' | 'raw'
  /** Of csv and raw: the table's options. */
  formatOptions?: Readonly<Record<string, string>>
  /** The key's fields are in the key only: JSON brings them beside the value's, other formats have no place for them, and the topic no door. */
  isKeyApart?: boolean
  /** What batches are compressed in, by Kafka's name for its producers; default `lz4`. A topic whose own `compression.type` says otherwise wins. */
  compression?: string
}

export interface IngestLimits {
  /** Size of a body, without compression. */
  bodyBytes: number
  /** Events in one body. */
  eventCount: number
  /** Raw bytes of a rejected event that `<topic>.invalid` keeps. */
  rawBytes: number
  /** Rejected events that one answer lists; `rejectedCount` counts all. */
  rejectedListed: number
  /** Bytes that the log has not confirmed yet: above it requests get 429. */
  pendingBytes: number
  requestsInFlight: number
  /** Bytes set aside for the bodies of requests in flight. */
  bytesInFlight: number
  /** How long an Idempotency-Key is remembered, and how many are. */
  idempotencyMs: number
  idempotencyKeys: number
  /** Messages of one WebSocket that wait to be handled; then it is not read from. */
  webSocketMessages: number
}

export const ingestLimits: IngestLimits = {
  bodyBytes: 16 * 1024 * 1024,
  eventCount: 100_000,
  rawBytes: 64 * 1024,
  rejectedListed: 1_000,
  pendingBytes: 48 * 1024 * 1024,
  requestsInFlight: 1_024,
  bytesInFlight: 256 * 1024 * 1024,
  idempotencyMs: 24 * 3600 * 1000,
  idempotencyKeys: 100_000,
  webSocketMessages: 8,
}

export interface IngestDeps {
  log: Log
  /** Called for each request: return the same object while nothing has changed. */
  topicSchema(topic: string): TopicSchema | undefined
  topicNames(): string[]
  limits?: Partial<IngestLimits>
  /** Wall clock, epoch ms. */
  now?: () => number
  /** Where the log's files are; the real one unless said. */
  disk?: Disk
}

export interface OffsetRange {
  partition: number
  first: number
  last: number
}
export interface Rejection {
  /** Ordinal in the body, from 0. */
  index: number
  rule: string
  path: string
  message: string
}
/** 202, or 422 if nothing was accepted. */
export interface IngestAnswer {
  accepted: number
  offsets: OffsetRange[]
  /** The first `rejectedListed` of them. */
  rejected: Rejection[]
  rejectedCount: number
}
