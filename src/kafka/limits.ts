// What the server counts and where it stops: every limit has a number, and what goes over it is refused, closed or waits.
import { Counter, Gauge } from 'prom-client'
import { HotCounter, metrics } from '../base/index.ts'

export interface KafkaLimits {
  /** No more than half of the files that the system lets the process open. */
  connections: number
  /** A Produce request. */
  produceBytes: number
  /** Any other request. */
  requestBytes: number
  /** A request of somebody who has to log in and has not yet. */
  loginBytes: number
  /** Requests of one connection that are being answered; more wait in the socket. */
  requestsInFlight: number
  /** Bytes of requests of one connection that are being answered; one request may be larger. */
  bytesInFlight: number
  /** Bytes handed to the log by all connections and not durable yet; Produce requests beyond wait. */
  appendBytes: number
  /** Records in one Fetch response. */
  fetchBytes: number
  /** Bytes of responses that clients have not taken yet, all connections; when it is used up, fetches get little. */
  responseBytes: number
  /** How long one request goes on before others have their turn. */
  turnMs: number
  /** How long a connection may be silent, or leave a response unread. */
  idleMs: number
  /** How long a TLS handshake may take. */
  tlsHandshakeMs: number
  /** How often it is looked whether the certificate was renewed. */
  tlsLookMs: number
  /** Members of one group, and groups in all. */
  groupMembers: number
  groups: number
  /** Bytes of what one member says of itself: subscriptions, metadata. */
  memberBytes: number
  fetchSessions: number
  /** What a classic member may ask for, as with Kafka. */
  sessionMinMs: number
  sessionMaxMs: number
  /** How long the first member of a group waits for others. */
  firstRebalanceMs: number
  /** Members of KIP-848 groups: how long they may be silent, and how often they are asked to show up. */
  consumerSessionMs: number
  consumerHeartbeatMs: number
  offsetMetadataBytes: number
  /** Of a topic for which nobody says it. */
  partitions: number
  /** How long committed offsets stay when nobody needs them any more, and how often that is looked at. */
  offsetsRetentionMs: number
  offsetsRetentionCheckMs: number
}
export const kafkaLimits: KafkaLimits = {
  connections: 20_000,
  produceBytes: 100 * 1024 * 1024,
  requestBytes: 16 * 1024 * 1024,
  loginBytes: 64 * 1024,
  requestsInFlight: 64,
  bytesInFlight: 8 * 1024 * 1024,
  appendBytes: 32 * 1024 * 1024,
  fetchBytes: 16 * 1024 * 1024,
  responseBytes: 256 * 1024 * 1024,
  // As long as a step of a change of a topic (log/writer.ts).
  turnMs: 2,
  idleMs: 10 * 60_000,
  tlsHandshakeMs: 10_000,
  tlsLookMs: 5_000,
  groupMembers: 1_000,
  groups: 10_000,
  memberBytes: 1024 * 1024,
  fetchSessions: 1_000,
  sessionMinMs: 6_000,
  sessionMaxMs: 30 * 60_000,
  // Kafka waits 3 s, for fleets that start together. Here one consumer is the rule, and it should start at once.
  firstRebalanceMs: 0,
  consumerSessionMs: 45_000,
  consumerHeartbeatMs: 5_000,
  offsetMetadataBytes: 4_096,
  partitions: 1,
  offsetsRetentionMs: 7 * 24 * 3600 * 1000,
  offsetsRetentionCheckMs: 10 * 60_000,
}

const registers = [metrics]
export const kafkaMetrics = {
  connections: new Gauge({ name: 'millrace_kafka_connections', help: 'Open connections of Kafka clients.', registers }),
  requests: new HotCounter({ name: 'millrace_kafka_requests_total', help: 'Requests of Kafka clients, by API.', label: 'api' }),
  closed: new Counter({
    name: 'millrace_kafka_connections_refused_total',
    help: 'Connections of Kafka clients that were refused or cut, by reason.',
    labelNames: ['code'],
    registers,
  }),
  errors: new Counter({
    name: 'millrace_kafka_partition_errors_total',
    help: 'Error codes answered for single partitions, by API and code.',
    labelNames: ['api', 'code'],
    registers,
  }),
  uncaught: new Counter({
    name: 'millrace_kafka_uncaught_errors_total',
    help: 'Errors in the Kafka port that belong to no request: each has a line in the log, and the port goes on.',
    registers,
  }),
  logins: new Counter({
    name: 'millrace_kafka_logins_total',
    help: 'Logins of Kafka clients, by mechanism and result.',
    labelNames: ['mechanism', 'result'],
    registers,
  }),
  throttled: new Counter({
    name: 'millrace_kafka_throttled_seconds_total',
    help: 'Time that quotas made Kafka clients wait, by user.',
    labelNames: ['user'],
    registers,
  }),
  certificateExpires: new Gauge({
    name: 'millrace_tls_certificate_expires_timestamp_seconds',
    help: 'When the certificate that a port uses expires, epoch seconds; none without TLS.',
    labelNames: ['listener'],
    registers,
  }),
  renewals: new Counter({
    name: 'millrace_kafka_tls_renewals_total',
    help: 'Changes of the files of the certificate, its key and the CA, by result: taken, or refused because they cannot be used.',
    labelNames: ['result'],
    registers,
  }),
  expiredOffsets: new Counter({
    name: 'millrace_kafka_offsets_expired_total',
    help: 'Committed offsets that were forgotten because nobody needed them any more.',
    registers,
  }),
  groups: new Gauge({ name: 'millrace_kafka_groups', help: 'Consumer groups known to this process.', registers }),
}

/** Counts bytes; who would exceed the limit waits until others are done. First come, first served; one alone may exceed it. */
export class Gate {
  used = 0
  private readonly limit: number
  private readonly waiting: { size: number; enter: () => void }[] = []

  constructor(limit: number) {
    this.limit = limit
  }

  /** Undefined if there is room now. */
  enter(size: number): Promise<void> | undefined {
    if (this.waiting.length === 0 && this.fits(size)) {
      this.used += size
      return undefined
    }
    return new Promise((resolve) => this.waiting.push({ size, enter: resolve }))
  }

  leave(size: number): void {
    this.used -= size
    while (this.waiting.length > 0 && this.fits(this.waiting[0].size)) {
      const next = this.waiting.shift()!
      this.used += next.size
      next.enter()
    }
  }

  private fits(size: number): boolean {
    return this.used === 0 || this.used + size <= this.limit
  }
}
