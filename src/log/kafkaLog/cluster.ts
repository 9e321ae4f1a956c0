// A Kafka cluster as one thread knows it: who leads which partition, a connection to that broker, and what its errors mean to us.
//
// The client library does connections, TLS, SASL, metadata and administration. Records go past its own encoders: what is produced and fetched
// are whole record batches, as everywhere else in this process (batches.ts).
import { Admin, type Broker, Connection, initProducerIdV4 } from '@platformatic/kafka'
import { isStreamError, type StreamError } from '../../base/index.ts'
import type { ClusterOptions } from '../contract.ts'
import { logErrors } from '../errors.ts'

export const CLIENT_ID = 'millrace'
const CONNECT_MS = 5_000
/** Longer than any of our requests may take at a broker. */
const REQUEST_MS = 30_000
/** Requests on their way to one broker. */
const IN_FLIGHT_MAX = 64

/** Kafka's error codes that mean something of their own here. */
export const CODE = {
  OFFSET_OUT_OF_RANGE: 1,
  CORRUPT_MESSAGE: 2,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  MESSAGE_TOO_LARGE: 10,
  INVALID_TOPIC_EXCEPTION: 17,
  RECORD_LIST_TOO_LARGE: 18,
  TOPIC_AUTHORIZATION_FAILED: 29,
  TOPIC_ALREADY_EXISTS: 36,
  INVALID_PARTITIONS: 37,
  INVALID_CONFIG: 40,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  INVALID_PRODUCER_EPOCH: 47,
  UNKNOWN_PRODUCER_ID: 59,
  INVALID_RECORD: 87,
  UNKNOWN_TOPIC_ID: 100,
} as const
/** Another leader, or none for now: ask for metadata and try again. */
const RETRIED = new Set([3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 51, 56, 74, 75, 76, 78, 100, 103, 106])
export const isRetried = (code: number): boolean => RETRIED.has(code)

/** Kafka's code in an error of the client library. */
export function codeIn(error: unknown): number | undefined {
  const found = error as { apiCode?: number; errors?: unknown[]; cause?: unknown } | undefined
  if (typeof found?.apiCode === 'number') return found.apiCode
  for (const inner of found?.errors ?? []) {
    const code = codeIn(inner)
    if (code !== undefined) return code
  }
  return found?.cause ? codeIn(found.cause) : undefined
}

/** The innermost message: the library's outer ones only count attempts. */
function reasonOf(error: unknown): string {
  const { message, errors, cause } = error as { message?: string; errors?: unknown[]; cause?: unknown }
  const inner = errors?.at(-1) ?? cause
  return inner ? reasonOf(inner) : (message ?? String(error))
}

export class Cluster {
  readonly admin: Admin
  readonly name: string
  private readonly connectionOptions: ConstructorParameters<typeof Connection>[1]

  constructor({ bootstrap, tls, sasl }: ClusterOptions) {
    const security = { ...(tls && { tls: tls === true ? {} : tls }), ...(sasl && { sasl: sasl as never }) }
    const times = { connectTimeout: CONNECT_MS, requestTimeout: REQUEST_MS }
    this.name = bootstrap.join(',')
    this.connectionOptions = { ...times, ...security, maxInflights: IN_FLIGHT_MAX }
    this.admin = new Admin({ clientId: CLIENT_ID, bootstrapBrokers: [...bootstrap], retries: 1, retryDelay: 200, ...times, ...security })
  }

  /**
   * The broker that leads a partition.
   *
   * @param fresh  ask the cluster, whatever is known
   * @throws       the library's errors
   */
  async leader(topic: string, partition: number, fresh = false): Promise<Broker> {
    const metadata = await this.admin.metadata({ topics: [topic], forceUpdate: fresh, autocreateTopics: false })
    const found = metadata.topics.get(topic)?.partitions[partition]
    const broker = found && metadata.brokers.get(found.leader)
    if (!broker) throw logErrors('LOG_REMOTE_UNAVAILABLE', { cluster: this.name, reason: `${topic}/${partition} has no leader now` })
    return broker
  }

  /** A producer id that nobody had, or the one of a transactional id with the next epoch. @throws the library's errors */
  async initProducerId(transactionalId: string | null, timeoutMs = 60_000): Promise<{ producerId: number; producerEpoch: number }> {
    const metadata = await this.admin.metadata({ topics: [] })
    const [broker] = metadata.brokers.values()
    const connection = await this.connect(broker)
    try {
      const { producerId, producerEpoch } = await initProducerIdV4.api.async(connection, transactionalId, timeoutMs)
      return { producerId: Number(producerId), producerEpoch }
    } finally {
      connection.close().catch(() => {})
    }
  }

  async connect({ host, port }: Broker): Promise<Connection> {
    const connection = new Connection(CLIENT_ID, this.connectionOptions)
    // An error is also that of the requests that wait; without a listener it would end the process.
    connection.on('error', () => {})
    await connection.connect(host, port)
    return connection
  }

  /** An error of the library or of Kafka as one of ours. */
  error(error: unknown, topic: string): StreamError {
    if (isStreamError(error)) return error
    const code = codeIn(error)
    const reason = reasonOf(error)
    switch (code) {
      case undefined:
        return logErrors('LOG_REMOTE_UNAVAILABLE', { cluster: this.name, reason }, { cause: error })
      case CODE.UNKNOWN_TOPIC_OR_PARTITION:
      case CODE.UNKNOWN_TOPIC_ID:
        return logErrors('LOG_TOPIC_NOT_FOUND', { topic }, { cause: error })
      case CODE.TOPIC_ALREADY_EXISTS:
        return logErrors('LOG_TOPIC_EXISTS', { topic }, { cause: error })
      case CODE.INVALID_TOPIC_EXCEPTION:
        return logErrors('LOG_TOPIC_NAME_INVALID', { topic, reason }, { cause: error })
      default:
        if (isRetried(code)) return logErrors('LOG_REMOTE_UNAVAILABLE', { cluster: this.name, reason }, { cause: error })
        return logErrors('LOG_REMOTE_REFUSED', { cluster: this.name, topic, code, reason }, { cause: error })
    }
  }

  async close(): Promise<void> {
    await this.admin.close()
  }
}

/** One for each cluster and thread. */
const clusters = new Map<string, Cluster>()
export function clusterOf(options: ClusterOptions): Cluster {
  const key = JSON.stringify(options)
  let cluster = clusters.get(key)
  if (!cluster) clusters.set(key, (cluster = new Cluster(options)))
  return cluster
}
export async function forgetCluster(options: ClusterOptions): Promise<void> {
  const key = JSON.stringify(options)
  const cluster = clusters.get(key)
  clusters.delete(key)
  await cluster?.close()
}
