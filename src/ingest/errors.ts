// Errors of the front door, and its metrics.
import { Counter, Gauge } from 'prom-client'
import { defineErrors, metrics, spec } from '../base/index.ts'

const user = { kind: 'user', retry: 'never' } as const

export const ingestErrors = defineErrors({
  INGEST_TOPIC_NOT_DECLARED: spec<{ topic: string; nearest?: string }>({
    ...user,
    httpStatus: 404,
    message: (p) => `no table declares topic "${p.topic}"`,
    hint: (p) => (p.nearest ? `Did you mean "${p.nearest}"?` : 'Declare it with CREATE TABLE; GET /v1/topics lists the topics.'),
  }),
  INGEST_BODY_EMPTY: spec<{ bodies: string }>({
    ...user,
    httpStatus: 400,
    message: () => 'the body holds no event',
    hint: (p) => `Send ${p.bodies}.`,
  }),
  INGEST_BODY_TOO_LARGE: spec<{ limitBytes: number }>({
    ...user,
    httpStatus: 413,
    message: (p) => `the body is larger than ${p.limitBytes} bytes, counted without compression`,
    hint: () => 'Send smaller batches: 1,000 to 10,000 events each are fast.',
  }),
  INGEST_EVENTS_TOO_MANY: spec<{ limit: number }>({
    ...user,
    httpStatus: 413,
    message: (p) => `the body holds more than ${p.limit} events`,
    hint: () => 'Send smaller batches: 1,000 to 10,000 events each are fast.',
  }),
  INGEST_MEDIA_TYPE: spec<{ mediaType: string; bodies: string }>({
    ...user,
    httpStatus: 415,
    message: (p) => `a body of type "${p.mediaType}" is not taken here`,
    hint: (p) => `Send it with the Content-Type ${p.bodies}.`,
  }),
  INGEST_FORMAT: spec<{ topic: string; format: string; mediaType: string; bodies: string }>({
    ...user,
    httpStatus: 415,
    message: (p) => `values of topic "${p.topic}" are ${p.format}, and the body is "${p.mediaType}"`,
    hint: (p) => `Send it with the Content-Type ${p.bodies}.`,
  }),
  INGEST_MEDIA_PARAMETER: spec<{ topic: string; parameter: string; expected: string }>({
    ...user,
    httpStatus: 415,
    message: (p) => `a body with ${p.parameter} is not taken for topic "${p.topic}"`,
    hint: (p) => p.expected,
  }),
  INGEST_KEY_APART: spec<{ topic: string; format: string; columns: string }>({
    ...user,
    httpStatus: 409,
    message: (p) => `records of topic "${p.topic}" have ${p.columns} in the key only, which a body of ${p.format} has no place for`,
    hint: (p) =>
      `Send them with a Kafka client or \`millrace topics produce ${p.topic} --key …\`, or declare 'value.fields-include' = 'ALL'.`,
  }),
  INGEST_CONTENT_ENCODING: spec<{ encoding: string }>({
    ...user,
    httpStatus: 415,
    message: (p) => `content encoding "${p.encoding}" is not taken here`,
    hint: () => 'Use gzip, zstd or no Content-Encoding.',
  }),
  INGEST_COMPRESSION_DAMAGED: spec<{ encoding: string; reason: string }>({
    ...user,
    httpStatus: 400,
    message: (p) => `the body is no whole ${p.encoding} stream: ${p.reason}`,
    hint: () => 'Compress the whole body as one stream. Nothing of it was stored.',
  }),
  INGEST_OVERLOADED: spec<{ what: string; limit: number }>({
    kind: 'external',
    httpStatus: 429,
    retry: 'later',
    message: (p) => `too much at once: ${p.what} are over the limit of ${p.limit}`,
    hint: () => 'Nothing of the request was stored. Send it again after Retry-After seconds.',
  }),
  INGEST_PARTLY_STORED: spec<{ code: string; reason: string; offsets: { partition: number; first: number; last: number }[] }>({
    kind: 'external',
    httpStatus: 503,
    retry: 'later',
    message: (p) => `only part of the events was stored: ${p.reason}`,
    hint: () => 'Send the request again; with an Idempotency-Key only what is missing is stored, without one all of it again.',
  }),
  INGEST_KEY_INVALID: spec<Record<string, never>>({
    ...user,
    httpStatus: 400,
    message: () => 'Idempotency-Key must have 1 to 255 visible ASCII characters',
    hint: () => 'Use a UUID.',
  }),
  INGEST_KEY_REUSED: spec<{ key: string }>({
    ...user,
    httpStatus: 422,
    message: (p) => `Idempotency-Key "${p.key}" came before with another body`,
    hint: () => 'Use a new key for each request, the same one only to send the same body again.',
  }),
  INGEST_KEY_UNFINISHED: spec<{ key: string }>({
    ...user,
    httpStatus: 409,
    message: (p) => `the first request with Idempotency-Key "${p.key}" was stored in part, and the topic has changed since`,
    hint: () => 'Look into the topic for what is there, and send the rest with a new key.',
  }),
  INGEST_CLOSED: spec<Record<string, never>>({
    kind: 'external',
    httpStatus: 503,
    retry: 'later',
    message: () => 'the server is stopping',
    hint: () => 'Send it again in a moment.',
  }),
})

const counter = (name: string, help: string, labelNames: string[] = []) =>
  new Counter({ name: `millrace_ingest_${name}`, help, labelNames, registers: [metrics] })

export const ingestMetrics = {
  requests: counter('requests_total', 'Requests and WebSocket messages with events, by what became of them.', ['outcome']),
  accepted: counter('events_accepted_total', 'Events that are in the log.', ['topic']),
  rejected: counter('events_rejected_total', 'Events that went to <topic>.invalid, by the rule that they broke.', ['topic', 'rule']),
  bytes: counter('bytes_total', 'Bytes of events received, without compression.', ['topic']),
  tooLarge: counter('body_too_large_total', 'Bodies over the limit; nothing of them is stored.'),
  overloaded: counter('overloaded_total', 'Requests refused with 429.'),
  replayed: counter('idempotent_replays_total', 'Answers that were repeated for an Idempotency-Key.'),
  forgotten: counter('idempotency_forgotten_total', 'Keys forgotten before their time, as there were too many.'),
  unnoted: counter(
    'idempotency_unnoted_total',
    'Answers that could not be noted in the log; after a restart they are found by their records.',
  ),
  inFlight: new Gauge({
    name: 'millrace_ingest_in_flight',
    help: 'Requests being handled, and the bytes set aside for their bodies.',
    labelNames: ['what'],
    registers: [metrics],
  }),
}
