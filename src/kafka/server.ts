// The TCP server that Kafka clients connect to.
import { once } from 'node:events'
import { createServer, isIP } from 'node:net'
import type { LocalLog } from '../log/index.ts'
import { Broker, type KafkaLogger } from './broker.ts'
import { Connection } from './connection.ts'
import { kafkaErrors } from './errors.ts'
import { GroupAdmin } from './groups/admin.ts'
import { Groups } from './groups/coordinator.ts'
import { makeHandlers } from './handlers/index.ts'
import { type KafkaLimits, kafkaLimits, kafkaMetrics } from './limits.ts'

export interface KafkaOptions {
  log: LocalLog
  logger: KafkaLogger
  /** Address to listen on; 127.0.0.1 unless said. */
  host?: string
  /** 0 takes a free one. */
  port?: number
  /** Lets everybody in who can connect, also from other machines. */
  insecure?: boolean
  /** Whether asking for an unknown topic makes it, with one partition; default true, as with Kafka. */
  autoCreateTopics?: boolean
  limits?: Partial<KafkaLimits>
  /** Wall clock, epoch ms. */
  now?: () => number
}
export interface KafkaServer {
  host: string
  port: number
  /** Consumer groups, for people. */
  groups: GroupAdmin
  /** Cuts all connections and frees the port. The log stays open. */
  close(): Promise<void>
}

/**
 * Lets Kafka clients use the log as a broker.
 *
 * @throws StreamError KAFKA_PORT_IN_USE, KAFKA_ADDRESS_UNAVAILABLE, KAFKA_HOST_NOT_LOOPBACK
 */
export async function startKafka(options: KafkaOptions): Promise<KafkaServer> {
  const { log, logger, host = '127.0.0.1', port = 0, insecure = false, autoCreateTopics = true, now = Date.now } = options
  if (!isLoopback(host) && !insecure) throw kafkaErrors('KAFKA_HOST_NOT_LOOPBACK', { host })
  const limits = { ...kafkaLimits, ...options.limits }
  const broker = new Broker({ log, logger, limits, autoCreateTopics, now })
  const groups = new Groups(broker)
  const handlers = makeHandlers(broker, groups)
  const connections = new Set<Connection>()
  const server = createServer((socket) => {
    if (connections.size >= limits.connections) {
      kafkaMetrics.closed.inc({ code: 'CONNECTIONS' })
      socket.destroy()
      return
    }
    const connection = new Connection(broker, handlers, socket)
    connections.add(connection)
    kafkaMetrics.connections.set(connections.size)
    socket.once('close', () => {
      connections.delete(connection)
      kafkaMetrics.connections.set(connections.size)
    })
  })
  try {
    server.listen({ host, port })
    await once(server, 'listening')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE') throw kafkaErrors('KAFKA_PORT_IN_USE', { host, port }, { cause: error })
    throw kafkaErrors('KAFKA_ADDRESS_UNAVAILABLE', { host, port, reason: message }, { cause: error })
  }
  const address = server.address()
  const listening = typeof address === 'object' && address !== null ? address.port : port
  return {
    host,
    port: listening,
    groups: new GroupAdmin(broker, groups, listening),
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const connection of connections) connection.close()
      await closed
      await groups.close()
      broker.close()
    },
  }
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
