// One client's connection: frames in, answers out in order.
//
//   socket --> frames --> header --> handler --> answer waits for those before it --> socket
//
// Invariants
//   1. Answers go out in the order of their requests. Requests run one after another, but pipelined ones (Produce) run beside each other,
//      and begin in their order.
//   2. A frame is collected only as its bytes arrive (frameInput.ts): a length alone allocates nothing, and one above the limit ends the
//      connection. Only Produce looks into the received bytes themselves, and is done with them when it is answered; others get a copy.
//   3. While too many requests or bytes are in flight, or the client does not take its answers, nothing more is read from the socket.
//   4. Nobody who has to log in is answered before, but for what a login needs; and nobody gets what the table of guards does not allow.
//   5. Who used up a quota is answered, and not read from until the time is over.
//   6. Whatever a client sends ends its own connection at worst, with one line in the log.
import type { Socket } from 'node:net'
import { isStreamError } from '../base/index.ts'
import type { Broker, ClientSoftware, Handler, RequestContext } from './broker.ts'
import { ERROR, KafkaError, kafkaErrors } from './errors.ts'
import type { Frame, FrameInput } from './frameInput.ts'
import { kafkaMetrics } from './limits.ts'
import { fetchApi } from './messages/fetch.ts'
import { type Access, guards } from './security/guards.ts'
import type { QuotaKey } from './security/quotas.ts'
import { SaslSession } from './security/saslSession.ts'
import { ANONYMOUS, type Principal } from './security/security.ts'
import { Turns } from './turns.ts'
import { WireReader, WireWriter } from './wire.ts'

const LENGTH_BYTES = 4
/**
 * What leaves in one write, of a size that most fetches ask for: a tenth to a quarter of a millisecond. The thread may be the one that writes the
 * log, for which others wait; smaller pieces wake the client for each of them, which costs all more.
 */
const PIECE_BYTES = 1024 * 1024
/** Length, API key and version: from them on the limit for the frame is known. */
const HEAD_BYTES = 8
/** What came before bytes that are no request has so long to be answered: a fetch may wait for records, a member for its group. */
const BROKEN_MS = 1_000
const API_VERSIONS_KEY = 18
const PRODUCE_KEY = 0
/** SaslHandshake, ApiVersions, SaslAuthenticate. */
const LOGIN_KEYS = new Set([17, API_VERSIONS_KEY, 36])
/** CreateTopics, DeleteTopics, CreatePartitions: what `controller_mutation_rate` counts. */
const MUTATION_KEYS = new Set([19, 20, 37])

interface Request {
  handler: Handler
  version: number
  correlationId: number
  context: RequestContext
  body: WireReader
  /** The client asked for a version of ApiVersions that is not known. */
  isFallback: boolean
  frameBytes: number
  /** The connection ends when it is answered. */
  isLast: boolean
  afterAnswer: (() => void) | undefined
  /** How long the client has to wait after it, ms. */
  throttleMs: number
}

export class Connection {
  private readonly broker: Broker
  private readonly handlers: ReadonlyMap<number, Handler>
  private readonly socket: Socket
  private readonly abort = new AbortController()
  private readonly clientHost: string
  private readonly host: string
  private readonly port: number
  private readonly input: FrameInput
  private inFlight = 0
  private inFlightBytes = 0
  /** Of those in flight, the ones that must be alone. */
  private serialInFlight = 0
  private tail: Promise<void> = Promise.resolve()
  private isDraining = false
  private isCorked = false
  private isClosed = false
  /** Bytes came that are no request: nothing more is taken. */
  private isBroken = false
  private readonly sasl: SaslSession
  private readonly client: ClientSoftware = { name: '' }
  /** Of a quota, or because a login failed: no further frame is taken. */
  private isMuted = false
  private muteTimer: NodeJS.Timeout | undefined

  /**
   * @param input  what the socket reads into, if it tells `received` itself; a socket with `data` events is copied from
   * @param shown  who the client is by its certificate
   */
  constructor(broker: Broker, handlers: ReadonlyMap<number, Handler>, socket: Socket, input: FrameInput, shown?: Principal) {
    this.input = input
    this.broker = broker
    this.handlers = handlers
    this.socket = socket
    this.sasl = new SaslSession(broker.security, shown)
    this.clientHost = plainAddress(socket.remoteAddress)
    this.host = plainAddress(socket.localAddress)
    this.port = socket.localPort ?? 0
    socket.setNoDelay(true)
    socket.setTimeout(broker.limits.idleMs)
    socket.on('timeout', () => this.onIdle())
    socket.on('error', () => this.close())
    socket.on('end', () => this.close())
    socket.on('close', () => this.close())
  }

  /** Ends the connection; answers that are not sent yet are dropped. */
  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    clearTimeout(this.muteTimer)
    this.abort.abort()
    this.socket.destroy()
  }

  private fail(error: unknown): void {
    if (this.isClosed) return
    const code = isStreamError(error) ? error.code : error instanceof KafkaError ? `ERROR_${error.code}` : 'INTERNAL'
    kafkaMetrics.closed.inc({ code })
    const fields = { client: this.clientHost, code }
    const message = `connection of a Kafka client closed: ${error instanceof Error ? error.message : String(error)}`
    if (code === 'INTERNAL') this.broker.logger.error({ ...fields, err: error }, message)
    else this.broker.logger.warn(fields, message)
    // Answers before it are out.
    if (this.isCorked) this.socket.uncork()
    this.close()
  }

  /** Work that nobody waits for: what it throws ends the connection. */
  private orFail(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.fail(error)
    }
  }

  private onIdle(): void {
    // A member that waits for its group, or a fetch for records, is not idle; a client that leaves its answer unread is.
    if (this.inFlight > 0 && !this.isDraining) return
    kafkaMetrics.closed.inc({ code: this.isDraining ? 'UNREAD' : 'IDLE' })
    if (this.isDraining) this.broker.logger.warn({ client: this.clientHost }, 'connection of a Kafka client closed: it does not read')
    this.close()
  }

  /** So many bytes were read into the input's room. */
  received(sizeBytes: number): void {
    this.orFail(() => {
      this.input.received(sizeBytes)
      this.acceptAll()
    })
  }

  /** For sockets that bring their bytes in buffers of their own. */
  receive(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length; ) {
      const room = this.input.room()
      const some = chunk.subarray(from, from + room.length)
      room.set(some)
      from += some.length
      this.received(some.length)
    }
  }

  private acceptAll(): void {
    try {
      for (let frame = this.nextFrame(); frame && !this.isClosed; frame = this.nextFrame()) {
        if (this.sasl.isBare) this.acceptToken(frame)
        else this.accept(frame)
      }
    } catch (error) {
      this.isBroken = true
      // What was asked before is answered, as by Kafka: a producer would not know that its records are in the log.
      if (this.inFlight === 0) this.fail(error)
      else {
        this.tail = this.tail.then(() => this.fail(error))
        clearTimeout(this.muteTimer)
        this.muteTimer = setTimeout(() => this.fail(error), BROKEN_MS)
      }
    }
    this.throttle()
  }

  /** The next whole frame without its length; undefined until it is there. */
  private nextFrame(): Frame | undefined {
    const { input } = this
    const { isBare } = this.sasl
    const headBytes = isBare ? LENGTH_BYTES : HEAD_BYTES
    if (input.sizeBytes < headBytes || this.isMuted || this.isBroken) return undefined
    const sizeBytes = input.int32(0)
    const isProduce = !isBare && input.int16(LENGTH_BYTES) === PRODUCE_KEY
    const { produceBytes, requestBytes, loginBytes } = this.broker.limits
    const limitBytes = this.mustLogIn ? loginBytes : isProduce ? produceBytes : requestBytes
    if (sizeBytes > limitBytes) throw kafkaErrors('KAFKA_REQUEST_TOO_LARGE', { sizeBytes, limitBytes })
    if (sizeBytes < (isBare ? 0 : HEAD_BYTES)) throw kafkaErrors('KAFKA_REQUEST_INVALID', { reason: `a length of ${sizeBytes}` })
    const frameBytes = LENGTH_BYTES + sizeBytes
    if (input.sizeBytes < frameBytes) return undefined
    const frame = input.take(frameBytes, LENGTH_BYTES)
    if (isProduce) return frame
    const bytes = Buffer.from(frame.bytes)
    frame.release()
    return { bytes, release: () => {} }
  }

  private accept({ bytes, release }: Frame): void {
    const request = this.parse(bytes)
    const { isPipelined, api } = request.handler
    kafkaMetrics.requests.inc(api.name)
    this.inFlight++
    this.inFlightBytes += bytes.length
    if (!isPipelined) this.serialInFlight++
    const previous = this.tail
    const work = isPipelined && this.serialInFlight === 0 ? this.run(request) : previous.then(() => this.run(request))
    // Awaited in its turn; until then a failure is nobody's.
    work.catch(() => {})
    this.tail = this.finish(previous, work, request, release)
  }

  /** A token of a login without requests: answered with one, and nothing more is taken until then. */
  private acceptToken({ bytes }: Frame): void {
    this.isMuted = true
    const previous = this.tail
    this.tail = previous
      .then(async () => {
        const token = Buffer.from(await this.sasl.step(bytes))
        const length = Buffer.alloc(LENGTH_BYTES)
        length.writeInt32BE(token.length)
        if (!this.isClosed) await this.send([length, token], undefined)
        this.isMuted = false
        this.acceptAll()
      })
      // A failure has no answer here: the end of the connection is it.
      .catch(() => this.endAfterLogin())
  }

  private async finish(previous: Promise<void>, work: Promise<Uint8Array[]>, request: Request, release: () => void): Promise<void> {
    try {
      await previous
      const parts = await work
      release()
      if (this.isClosed) request.afterAnswer?.()
      const drained = this.isClosed ? undefined : this.send(parts, request.afterAnswer)
      if (drained) await drained
      if (request.isLast) this.endAfterLogin()
      else if (request.throttleMs > 0) this.mute(request.throttleMs)
    } catch (error) {
      this.fail(error)
    }
    this.inFlight--
    this.inFlightBytes -= request.frameBytes
    if (!request.handler.isPipelined) this.serialInFlight--
    this.throttle()
  }

  private get mustLogIn(): boolean {
    return !this.sasl.principal && this.broker.security.isLoginRequired
  }

  /** The answer that says why goes out first. */
  private endAfterLogin(): void {
    this.isMuted = true
    kafkaMetrics.closed.inc({ code: 'KAFKA_LOGIN_FAILED' })
    const { mechanism, user = '', reason } = this.sasl.refused ?? {}
    const as = user === '' ? '' : ` as ${JSON.stringify(user)}`
    this.broker.logger.warn(
      { client: this.clientHost, code: 'KAFKA_LOGIN_FAILED', mechanism, user },
      `connection of a Kafka client closed: its login${as} failed${reason === undefined ? '' : ` (${mechanism}: ${reason})`}`,
    )
    this.socket.end(() => this.close())
  }

  private mute(ms: number): void {
    if (this.isClosed || this.isBroken) return
    this.isMuted = true
    clearTimeout(this.muteTimer)
    const end = () => {
      this.isMuted = false
      this.acceptAll()
    }
    this.muteTimer = setTimeout(() => this.orFail(end), ms)
  }

  private parse(frame: Buffer): Request {
    const body = new WireReader(frame)
    const apiKey = body.int16()
    let version = body.int16()
    const correlationId = body.int32()
    const handler = this.handlers.get(apiKey)
    if (!handler) throw kafkaErrors('KAFKA_API_UNSUPPORTED', { apiKey, version })
    const { versions, flexibleFrom } = handler.api
    let isFallback = false
    if (version < versions[0] || version > versions[1]) {
      if (apiKey !== API_VERSIONS_KEY) throw kafkaErrors('KAFKA_API_UNSUPPORTED', { apiKey, version })
      isFallback = true
      version = 0
    }
    // The client's name has the old form in all header versions. An unknown ApiVersions is not read any further.
    const clientId = isFallback ? '' : (body.string(false) ?? '')
    if (!isFallback && version >= flexibleFrom) skipTags(body)
    const { clientHost, host, port, sasl } = this
    const { security } = this.broker
    const request: Request = {
      handler,
      version,
      correlationId,
      body,
      isFallback,
      frameBytes: frame.length,
      isLast: false,
      afterAnswer: undefined,
      throttleMs: 0,
      context: {
        version,
        clientId,
        clientHost,
        host,
        port,
        signal: this.abort.signal,
        may: (operation, type, name) => security.may(sasl.principal ?? ANONYMOUS, clientHost, operation, type, name),
        sasl,
        client: this.client,
        turns: new Turns(this.broker.limits.turnMs),
        afterAnswer: (callback) => {
          request.afterAnswer = callback
        },
        endAfterAnswer: () => {
          request.isLast = true
        },
      },
    }
    return request
  }

  private async run(request: Request): Promise<Uint8Array[]> {
    const { handler, version, correlationId, context, body, isFallback } = request
    if (this.isClosed) return []
    const { api } = handler
    if (!LOGIN_KEYS.has(api.key) && this.mustLogIn) throw kafkaErrors('KAFKA_LOGIN_NEEDED', { api: api.name })
    const startMs = performance.now()
    let message: unknown = {}
    if (!isFallback) {
      // Bytes behind it are left alone, as in Kafka: librdkafka leaves some behind its Metadata, when it asks for all topics.
      message = api.request(version).decode(body)
    }
    const answered = this.answer(handler, message, context)
    const handledMs = performance.now() - startMs
    let response = answered instanceof Promise ? await answered : answered
    const throttleTimeMs = this.charge(request, message, response, handledMs + context.turns.laterMs)
    if (response === undefined) return []
    if (throttleTimeMs > 0) response = { ...(response as object), throttleTimeMs }
    const writer = new WireWriter()
    writer.int32(correlationId)
    // ApiVersions keeps the old header, so that a client can read it before it knows the broker.
    if (version >= api.flexibleFrom && api.key !== API_VERSIONS_KEY) writer.uvarint(0)
    if (isFallback) {
      // As Kafka: which versions of ApiVersions there are, and no more.
      const apiKeys = [{ apiKey: api.key, minVersion: api.versions[0], maxVersion: api.versions[1] }]
      response = { ...(response as object), apiKeys, errorCode: ERROR.UNSUPPORTED_VERSION }
    }
    api.response(version).encode(writer, response)
    return writer.frame()
  }

  /** The handler's answer to what the client may ask, and errors for the rest. */
  private answer(handler: Handler, message: unknown, context: RequestContext): unknown {
    const { broker } = this
    const { security } = broker
    const principal = this.sasl.principal ?? ANONYMOUS
    const access: Access = {
      version: context.version,
      may: context.may,
      mayWriteAnywhere: () => security.mayWriteAnywhere(principal, this.clientHost),
      topicNameOf: (id) => broker.log.topicName(id),
      topicIdOf: (name) => broker.log.topicId(name),
    }
    const guard = guards[handler.api.key]
    if (!guard) throw kafkaErrors('KAFKA_REQUEST_INVALID', { reason: `nobody may ask for ${handler.api.name}` })
    const guarded = guard(message, access)
    if (!guarded) return handler.handle(message as never, context)
    if (guarded.answer) {
      kafkaMetrics.errors.inc({ api: handler.api.name, code: 'AUTHORIZATION' })
      return guarded.answer
    }
    const answered = handler.handle((guarded.request ?? message) as never, context)
    const { finish } = guarded
    if (!finish) return answered
    return answered instanceof Promise ? answered.then((answer) => answer && finish(answer)) : answered && finish(answered)
  }

  /** Takes what a request used from the client's quotas. Returns how long the client has to wait, ms. */
  private charge(request: Request, message: unknown, response: unknown, handledMs: number): number {
    const { quotas } = this.broker.security
    if (quotas.isEmpty) return 0
    const { key } = request.handler.api
    const user = (this.sasl.principal ?? ANONYMOUS).name
    const { clientId } = request.context
    const nowMs = performance.now()
    const take = (quota: QuotaKey, amount: number) => quotas.take(quota, user, clientId, amount, nowMs)
    let waitMs = take('request_percentage', handledMs)
    if (key === PRODUCE_KEY) waitMs = Math.max(waitMs, take('producer_byte_rate', request.frameBytes))
    if (key === fetchApi.key) waitMs = Math.max(waitMs, take('consumer_byte_rate', fetchedBytes(response as FetchedResponse)))
    if (MUTATION_KEYS.has(key)) waitMs = Math.max(waitMs, take('controller_mutation_rate', topicCount(message as TopicsRequest)))
    if (waitMs > 0) kafkaMetrics.throttled.inc({ user }, waitMs / 1_000)
    request.throttleMs = waitMs
    return waitMs
  }

  /** Resolves when the client has taken enough of what it was sent; undefined if it has by now. */
  private send(parts: Uint8Array[], afterAnswer: (() => void) | undefined): Promise<void> | undefined {
    if (parts.length === 0) return undefined
    const done = afterAnswer && (() => this.orFail(afterAnswer))
    if (parts.some((part) => part.length > PIECE_BYTES)) return this.sendInPieces(parts, done)
    this.cork()
    // Writes end in their order, also where they fail, so the last one speaks for all.
    for (const part of parts) this.socket.write(part, part === parts.at(-1) ? done : undefined)
    this.broker.breathe()
    return this.drained(parts)
  }

  private async sendInPieces(parts: Uint8Array[], afterAnswer: (() => void) | undefined): Promise<void> {
    const { socket, broker } = this
    this.uncork()
    const sizeBytes = sizeOf(parts)
    const pieces = parts.flatMap(inPieces)
    broker.responseBytes += sizeBytes
    for (const piece of pieces) {
      broker.breathe()
      // Also of a connection that was closed meanwhile: then it ends at once.
      socket.write(piece, piece === pieces.at(-1) ? afterAnswer : undefined)
      // Others have their turn.
      await new Promise((resolve) => setImmediate(resolve))
    }
    broker.responseBytes -= sizeBytes
    await this.drained(parts)
  }

  private drained(parts: Uint8Array[]): Promise<void> | undefined {
    const { socket, broker } = this
    if (!socket.writableNeedDrain || socket.destroyed) return undefined
    const sizeBytes = sizeOf(parts)
    broker.responseBytes += sizeBytes
    this.isDraining = true
    return new Promise((resolve) => {
      const end = () => {
        socket.off('drain', end)
        socket.off('close', end)
        this.isDraining = false
        broker.responseBytes -= sizeBytes
        resolve()
      }
      socket.on('drain', end)
      socket.on('close', end)
    })
  }

  /** Answers that are ready together, as those of one group of appends, go out in one write: on loopback that is most of what an answer costs. */
  private cork(): void {
    if (this.isCorked) return
    this.isCorked = true
    this.socket.cork()
    process.nextTick(() => this.uncork())
  }

  private uncork(): void {
    if (!this.isCorked) return
    this.isCorked = false
    this.socket.uncork()
  }

  /** Reads on, or stops reading. */
  private throttle(): void {
    const { requestsInFlight, bytesInFlight } = this.broker.limits
    const isFull = this.inFlight >= requestsInFlight || this.inFlightBytes >= bytesInFlight || this.isMuted || this.isBroken
    if (isFull) this.socket.pause()
    else if (this.socket.isPaused()) this.socket.resume()
  }
}

const sizeOf = (parts: readonly Uint8Array[]): number => parts.reduce((sum, part) => sum + part.length, 0)
const inPieces = (part: Uint8Array): Uint8Array[] =>
  Array.from({ length: Math.ceil(part.length / PIECE_BYTES) }, (_, i) => part.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES))

interface FetchedResponse {
  responses: { partitions: { records: Uint8Array | null }[] }[]
}
const fetchedBytes = ({ responses }: FetchedResponse): number =>
  responses.reduce((sum, { partitions }) => partitions.reduce((part, { records }) => part + (records?.length ?? 0), sum), 0)

interface TopicsRequest {
  topics: readonly { numPartitions?: number; count?: number }[]
}
/** Partitions that are made, or topics that are deleted. */
const topicCount = ({ topics }: TopicsRequest): number =>
  topics.reduce((sum, { numPartitions = 1, count = numPartitions }) => sum + Math.max(1, count), 0)

function skipTags(body: WireReader): void {
  for (let rest = body.uvarint(); rest > 0; rest--) {
    body.uvarint()
    body.skip(body.uvarint())
  }
}

/** As Kafka writes it: IPv4 without the prefix that IPv6 gives it. */
export const plainAddress = (address: string | undefined): string => (address ?? '').replace(/^::ffff:/, '')
