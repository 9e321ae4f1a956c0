// What the handlers share: the log, the limits, the readers, and who this broker is.

import { randomUUID } from 'node:crypto'
import { BufferPool } from '../base/index.ts'
import {
  type BrokerLog,
  checkedLine,
  type Disk,
  ensureFolder,
  errorCodeOf,
  openTransactions,
  readLine,
  realDisk,
  replaceFile,
  type TopicDescriptor,
  type TopicInfo,
  TRANSACTIONS_TOPIC,
  type Transactions,
} from '../log/index.ts'
import { ERROR, KafkaError } from './errors.ts'
import { Gate, type KafkaLimits } from './limits.ts'
import { type FarReaders, ReaderPool } from './readerPool.ts'
import type { Api, Encodable } from './schema.ts'
import type { SaslSession } from './security/saslSession.ts'
import type { Security } from './security/security.ts'
import type { Turns } from './turns.ts'
import { ZERO_UUID } from './wire.ts'

/** The part of pino's logger that is used. */
export interface KafkaLogger {
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** The one broker there is: node 1, leader of everything, leader epoch 0, which is also what the log writes into batches. */
export const NODE_ID = 1
export const LEADER_EPOCH = 0
export const OFFSETS_TOPIC = '__consumer_offsets'
/** Kafka's log of metadata, which there is none of. */
export const METADATA_TOPIC = '__cluster_metadata'
const INTERNAL_TOPICS = new Set([OFFSETS_TOPIC, TRANSACTIONS_TOPIC])
/** Topics of our own bookkeeping begin so. */
const INTERNAL_PREFIX = '__millrace_'
const META_FILE = 'broker.json'

interface BrokerMeta {
  clusterId: string
  /** Producer ids below it were given out by a version that remembered them here. */
  producerIdsEnd?: number
}

/** What a handler knows of the connection that a request came on. */
/** What the client at the other end of a connection said of itself. */
export interface ClientSoftware {
  /** As in its newest ApiVersions; empty: it has not said it. */
  name: string
}

export interface RequestContext {
  version: number
  clientId: string
  clientHost: string
  /** The address under which the client reached this broker: what metadata tells it to connect to. */
  host: string
  port: number
  /** Aborted when the connection is gone. */
  signal: AbortSignal
  /** Whether who is logged in may do an operation; the cluster, without a name. See security/acls.ts for the numbers. */
  may(operation: number, resourceType: number, name?: string): boolean
  sasl: SaslSession
  client: ClientSoftware
  /** For what grows with the topics and partitions that the request names. */
  turns: Turns
  /** Calls back once, when the answer was handed to the system whole or the connection has ended, so that its bytes may be overwritten. */
  afterAnswer(callback: () => void): void
  /** The connection ends once this request is answered. */
  endAfterAnswer(): void
}

export interface Handler {
  api: Api
  /** May run while earlier requests of the same kind on the connection are not answered; answers stay in order. */
  isPipelined: boolean
  /** Undefined: no answer is sent. */
  handle(request: never, context: RequestContext): unknown
}

export function handler<Q, S>(
  api: Api<Q, S>,
  handle: (request: Q, context: RequestContext) => Encodable<S> | undefined | Promise<Encodable<S> | undefined>,
  isPipelined = false,
): Handler {
  return { api: api as Api, isPipelined, handle: handle as Handler['handle'] }
}

export interface BrokerOptions {
  log: BrokerLog
  logger: KafkaLogger
  limits: KafkaLimits
  /** Whether asking for an unknown topic makes it, as `auto.create.topics.enable` of Kafka. */
  autoCreateTopics: boolean
  now: () => number
  /** Where the log's files are. */
  disk?: Disk
  security: Security
  /** What topics have by default, as it was said at the start: settings of the broker. */
  topicDefaults?: Readonly<Record<string, string>>
  /** Whether the port speaks TLS. */
  isTls?: boolean
  /** Who reads what is far from the end of the log. */
  far?: FarReaders
  /** Called between two pieces of longer work, in the thread of the log's writer. */
  breathe?: () => void
}

export class Broker {
  readonly log: BrokerLog
  readonly logger: KafkaLogger
  readonly limits: KafkaLimits
  readonly autoCreateTopics: boolean
  readonly now: () => number
  readonly clusterId: string
  /** For what is received and what is sent. */
  readonly buffers = new BufferPool()
  readonly readers: ReaderPool
  readonly appendGate: Gate
  /** Bytes of responses that clients have not taken yet. */
  responseBytes = 0
  readonly disk: Disk
  readonly transactions: Transactions
  readonly security: Security
  readonly topicDefaults: Readonly<Record<string, string>>
  readonly isTls: boolean
  readonly breathe: () => void
  private readonly folder: string
  private turn: Promise<unknown> = Promise.resolve()

  constructor({
    log,
    logger,
    limits,
    autoCreateTopics,
    now,
    disk = realDisk,
    security,
    topicDefaults = {},
    isTls = false,
    far,
    breathe = () => {},
  }: BrokerOptions) {
    this.isTls = isTls
    this.breathe = breathe
    this.topicDefaults = topicDefaults
    this.security = security
    this.log = log
    this.logger = logger
    this.limits = limits
    this.autoCreateTopics = autoCreateTopics
    this.now = now
    this.disk = disk
    this.readers = new ReaderPool(log, disk, this.buffers, far)
    this.appendGate = new Gate(limits.appendBytes)
    this.folder = ensureFolder(disk, log.folder, 'kafka')
    const meta = this.readMeta()
    this.clusterId = meta?.clusterId ?? Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')
    if (!meta) replaceFile(disk, this.folder, META_FILE, checkedLine({ clusterId: this.clusterId } satisfies BrokerMeta))
    this.transactions = openTransactions(log, { disk, now })
    this.transactions.reserveProducerIds(meta?.producerIdsEnd ?? 0)
  }

  /** A topic by its name, or by its id where requests use ids. */
  topic(name: string | null, id: string = ZERO_UUID): TopicInfo | undefined {
    if (id !== ZERO_UUID) {
      const found = this.log.topicName(id)
      return found === undefined ? undefined : this.log.topic(found)
    }
    return name === null ? undefined : this.log.topic(name)
  }

  /** Where one partition of a topic is. */
  descriptor(topic: string, partition: number): TopicDescriptor {
    const { partitions, ...descriptor } = this.log.descriptor(topic)
    if (!partitions[partition])
      throw new KafkaError(ERROR.UNKNOWN_TOPIC_OR_PARTITION, `topic ${topic} has no partition ${partition} any more`)
    return { ...descriptor, partitions: [partitions[partition]] }
  }

  /** One after another, for what begins with what the one before has led to. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.turn.then(work)
    this.turn = done.catch(() => {})
    return done
  }

  isInternal(topic: string): boolean {
    return INTERNAL_TOPICS.has(topic) || topic.startsWith(INTERNAL_PREFIX)
  }

  /** Checks the leader epoch that a client believes in; -1 is no belief. */
  checkLeaderEpoch(epoch: number): void {
    if (epoch > LEADER_EPOCH) throw new KafkaError(ERROR.UNKNOWN_LEADER_EPOCH, `leader epoch ${epoch} is not known`)
  }

  close(): void {
    this.readers.close()
  }

  /** Undefined if there is none, or one that is damaged: the cluster then gets a new id. */
  private readMeta(): BrokerMeta | undefined {
    const path = `${this.folder}/${META_FILE}`
    try {
      return readLine(this.disk, path)
    } catch (error) {
      if (errorCodeOf(error) === 'ENOENT') return undefined
      if (errorCodeOf(error) !== 'LOG_METADATA_DAMAGED') throw error
      this.logger.warn({ path }, `${path} is damaged and made anew: ${(error as Error).message}`)
      return undefined
    }
  }
}
