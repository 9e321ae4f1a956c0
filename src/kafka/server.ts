// The TCP server that Kafka clients connect to.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, isIP, type Server, Socket, type SocketConstructorOpts } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { isStreamError, type StreamError, type TokenStore } from '../base/index.ts'
import { type BrokerLog, realDisk } from '../log/index.ts'
import { Broker, type KafkaLogger } from './broker.ts'
import { Connection, plainAddress } from './connection.ts'
import { kafkaErrors } from './errors.ts'
import { FrameInput } from './frameInput.ts'
import { GroupAdmin, type GroupsForPeople } from './groups/admin.ts'
import { Groups } from './groups/coordinator.ts'
import { makeHandlers } from './handlers/index.ts'
import { type KafkaLimits, kafkaLimits, kafkaMetrics } from './limits.ts'
import type { FarReaders } from './readerPool.ts'
import { subjectOf } from './security/distinguishedName.ts'
import { type PrincipalMapping, parsePrincipalRules } from './security/principalMapping.ts'
import { Security } from './security/security.ts'
import { UserAdmin, type UsersForPeople } from './security/userAdmin.ts'
import { parseStartSettings, type StartSettings } from './startSettings.ts'
import { createTlsServer, type KafkaTls } from './tls.ts'

/** Plain data: it may go to another thread. */
export interface HostedOptions {
  /** Address to listen on; 127.0.0.1 unless said. */
  host?: string
  /** 0 takes a free one. */
  port?: number
  /** Lets everybody in who can connect, also from other machines. */
  insecure?: boolean
  tls?: KafkaTls
  /** Users who may do everything, whatever the ACLs say. */
  superUsers?: readonly string[]
  /** Settings of the broker under Kafka's names, as in its server.properties: see startSettings.ts. */
  settings?: StartSettings
  /** Whether asking for an unknown topic makes it, with one partition; default true, as with Kafka. */
  autoCreateTopics?: boolean
  limits?: Partial<KafkaLimits>
}

export interface KafkaOptions extends HostedOptions {
  log: BrokerLog
  logger: KafkaLogger
  /** Beyond loopback, and once there are users, clients log in: with SCRAM, or with PLAIN, whose password may be one of these tokens. */
  tokens?: TokenStore
  /** Who reads what is far from the end of the log, if not this thread. */
  far?: FarReaders
  /** Called between two pieces of longer work, where the thread is the one that writes the log. */
  breathe?: () => void
  /** Called when what `trouble` gives changes. */
  onTrouble?: (trouble: StreamError | undefined) => void
  /** Wall clock, epoch ms. */
  now?: () => number
}
export interface KafkaServer {
  host: string
  port: number
  /** Consumer groups, for people: as they are now. */
  groups(): Promise<GroupsForPeople>
  users: UsersForPeople
  /** Why a renewed certificate is not used: KAFKA_TLS_INVALID, while the one before goes on. */
  trouble(): StreamError | undefined
  /** Cuts all connections and frees the port. The log stays open. */
  close(): Promise<void>
}

/**
 * Lets Kafka clients use the log as a broker.
 *
 * @throws StreamError KAFKA_PORT_IN_USE, KAFKA_ADDRESS_UNAVAILABLE, KAFKA_HOST_NOT_LOOPBACK, KAFKA_SETTING_INVALID
 */
export async function startKafka(options: KafkaOptions): Promise<KafkaServer & { admin: GroupAdmin }> {
  const { log, logger, host = '127.0.0.1', port = 0, insecure = false, now = Date.now } = options
  const settings = parseStartSettings(options.settings ?? {})
  const autoCreateTopics = options.autoCreateTopics ?? settings.autoCreateTopics ?? true
  const { tokens, tls, superUsers = [] } = options
  const isAlwaysRequired = !isLoopback(host) && !insecure
  const security = new Security({ log, disk: realDisk, tokens, isAlwaysRequired, isInsecure: insecure, superUsers })
  const clientAuth = tls?.clientAuth ?? 'none'
  const nameOf = parsePrincipalRules(tls?.principalRules ?? 'DEFAULT')
  const canLogIn = clientAuth !== 'none' || security.store.users.size > 0 || (tokens?.list().length ?? 0) > 0
  if (isAlwaysRequired && !canLogIn) throw kafkaErrors('KAFKA_HOST_NOT_LOOPBACK', { host })
  const limits = { ...kafkaLimits, ...settings.limits, ...options.limits }
  limits.connections = connectionsMax(limits.connections, openFilesMax())
  const broker = new Broker({
    log,
    logger,
    limits,
    autoCreateTopics,
    now,
    security,
    topicDefaults: settings.topics,
    isTls: tls !== undefined,
    far: options.far,
    breathe: options.breathe,
  })
  const groups = new Groups(broker)
  const handlers = makeHandlers(broker, groups)
  const connections = new Set<Connection>()
  const keep = (connection: Connection, socket: Socket) => {
    connections.add(connection)
    kafkaMetrics.connections.set(connections.size)
    socket.once('close', () => {
      connections.delete(connection)
      kafkaMetrics.connections.set(connections.size)
    })
  }
  const isFull = (socket: Socket): boolean => {
    if (connections.size + held.size < limits.connections) return false
    kafkaMetrics.closed.inc({ code: 'CONNECTIONS' })
    socket.destroy()
    return true
  }
  /** Connections that came too often from one address: left alone, and closed when the next one may come, as in Kafka. */
  const held = new Map<Socket, NodeJS.Timeout>()
  const isTooOften = (socket: Socket): boolean => {
    const waitMs = security.quotas.connect(plainAddress(socket.remoteAddress), performance.now())
    if (waitMs === 0) return false
    kafkaMetrics.closed.inc({ code: 'CONNECTION_RATE' })
    held.set(
      socket,
      setTimeout(() => socket.destroy(), waitMs),
    )
    socket.on('error', () => {})
    socket.once('close', () => {
      clearTimeout(held.get(socket))
      held.delete(socket)
    })
    return true
  }
  const accept = (accepted: Socket) => {
    if (isFull(accepted) || isTooOften(accepted)) return
    const input = new FrameInput(broker.buffers)
    const callback = (sizeBytes: number) => {
      connection.received(sizeBytes)
      return true
    }
    const socket = withOwnBuffers(accepted, { buffer: () => input.room(), callback })
    const connection = new Connection(broker, handlers, socket, input)
    keep(connection, socket)
    socket.read(0)
  }
  const acceptTls = (socket: TLSSocket) => {
    if (isFull(socket) || isTooOften(socket)) return
    const shown = clientAuth === 'none' ? undefined : principalShown(socket, nameOf)
    if (typeof shown === 'string') {
      kafkaMetrics.closed.inc({ code: 'TLS' })
      logger.warn({ client: socket.remoteAddress }, `connection of a Kafka client closed: ${shown}`)
      socket.destroy()
      return
    }
    const principal = shown && security.principalOf(shown.name)
    const connection = new Connection(broker, handlers, socket, new FrameInput(broker.buffers), principal)
    socket.on('data', (chunk: Buffer) => connection.receive(chunk))
    keep(connection, socket)
  }
  /** With TLS, also those that are not through the handshake: the server ends when they have. */
  const sockets = new Set<Socket>()
  let server: Server
  let trouble: StreamError | undefined
  const onTrouble = (error: StreamError | undefined) => {
    trouble = error
    options.onTrouble?.(error)
  }
  try {
    server = tls ? createTlsServer(tls, limits, logger, onTrouble, acceptTls) : createServer({ pauseOnConnect: true }, accept)
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      kafkaMetrics.closed.inc({ code: 'TLS' })
      logger.warn({ client: socket.remoteAddress, code: error.code }, 'a Kafka client did not get through the TLS handshake')
      // Node leaves one open that has not ended its handshake in time.
      socket.destroy()
    })
    if (tls)
      server.on('connection', (socket: Socket) => {
        sockets.add(socket)
        socket.once('close', () => sockets.delete(socket))
      })
    server.listen({ host, port })
    await once(server, 'listening')
  } catch (error) {
    // Without a port no group is kept.
    groups.close()
    broker.close()
    const { code, message } = error as NodeJS.ErrnoException
    if (isStreamError(error)) throw error
    if (code === 'EADDRINUSE') throw kafkaErrors('KAFKA_PORT_IN_USE', { host, port }, { cause: error })
    throw kafkaErrors('KAFKA_ADDRESS_UNAVAILABLE', { host, port, reason: message }, { cause: error })
  }
  const address = server.address()
  const listening = typeof address === 'object' && address !== null ? address.port : port
  const admin = new GroupAdmin(broker, groups, listening)
  return {
    host,
    port: listening,
    admin,
    groups: async () => admin,
    users: new UserAdmin(security),
    trouble: () => trouble,
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const connection of connections) connection.close()
      for (const socket of [...held.keys(), ...sockets]) socket.destroy()
      await closed
      groups.close()
      broker.close()
    },
  }
}

/** Files that are left to the log where many may be open. */
const FILES_OF_LOG = 8_192
/** Half of the files that the process may have open, or all but `FILES_OF_LOG`: the log needs the rest, and a write that finds none fails. */
export const connectionsMax = (connections: number, openFiles: number): number =>
  Math.min(connections, openFiles - Math.min(FILES_OF_LOG, Math.ceil(openFiles / 2)))

/** What the system allows this process, where it tells (Linux). Node has raised the soft limit to the hard one when it started. */
function openFilesMax(): number {
  try {
    return Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Number.POSITIVE_INFINITY)
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

/**
 * The same connection as a socket that reads into the buffers it is given. Node offers that (`onread`) to sockets that connect, and has no way
 * to ask a server for it; so the accepted socket, which has not begun to read, hands its handle over.
 */
function withOwnBuffers(accepted: Socket, onread: NonNullable<SocketConstructorOpts['onread']>): Socket {
  const holder = accepted as unknown as { _handle: unknown }
  const options = { handle: holder._handle, onread, manualStart: true } as SocketConstructorOpts
  const socket = new Socket(options)
  holder._handle = null
  accepted.destroy()
  return socket
}

/** Who a client is by its certificate; undefined if it showed none; a text that says why it may not go on. */
function principalShown(socket: TLSSocket, nameOf: PrincipalMapping): { name: string } | string | undefined {
  const { raw } = socket.getPeerCertificate() as { raw?: Buffer }
  if (!raw) return undefined
  if (!socket.authorized) return `its certificate is not good: ${socket.authorizationError}`
  try {
    const subject = subjectOf(raw)
    const name = nameOf(subject)
    return name === undefined ? `no rule fits the subject of its certificate: ${subject}` : { name }
  } catch (error) {
    return `the subject of its certificate cannot be read: ${(error as Error).message}`
  }
}
