// A raw Kafka client for tests: one request at a time or many at once, any version, any bytes.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { BatchBuilder, type BatchOptions, type LocalLog, type LogOptions, noHeaders, openLog } from '../log/index.ts'
import { HostedKafka, type KafkaOptions, type KafkaServer, kafkaThread, startKafka } from './index.ts'
import type { Api, Encodable } from './schema.ts'
import { WireReader, WireWriter } from './wire.ts'

export interface TestBroker {
  log: LocalLog
  kafka: KafkaServer
  /** What the server logged. */
  lines: string[]
  client(): Promise<TestClient>
}

/** A server over a log in a temporary folder, both gone when the test ends. */
export async function startTestBroker(
  t: TestContext,
  options: Partial<KafkaOptions> & { folder?: string; limitsOfLog?: LogOptions['limits'] } = {},
): Promise<TestBroker> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'millrace-kafka-'))
  const { limitsOfLog, now, tokens, log: _, logger: __, far: ___, breathe: ____, folder: _____, ...plain } = options
  // A clock of the test's own cannot go to another thread, and tokens that are made there count a second later.
  const hosted = now || tokens ? undefined : new HostedKafka()
  const host = hosted && { thread: kafkaThread, port: hosted.hostPort }
  const log = await openLog({ folder, durability: 'os', limits: limitsOfLog, host })
  const lines: string[] = []
  const write = (_fields: object, message: string) => lines.push(message)
  const logger = { warn: write, error: write }
  const kafka = await (hosted ? hosted.open(plain, logger, undefined) : startKafka({ log, logger, ...options }))
  const clients: TestClient[] = []
  t.after(async () => {
    for (const client of clients) client.end()
    await kafka.close()
    await log.close()
    if (!options.folder) rmSync(folder, { recursive: true })
  })
  const client = async () => {
    const made = await TestClient.connect(kafka.port)
    clients.push(made)
    return made
  }
  return { log, kafka, lines, client }
}

export class TestClient {
  readonly socket: Socket
  isClosed = false
  private received = Buffer.alloc(0)
  private waiting: (() => void)[] = []
  private lastId = 0
  /** By correlation id; answers come in the order of the requests. */
  private readonly expected: {
    id: number
    decode: (body: WireReader) => unknown
    resolve: (value: never) => void
    reject: (e: Error) => void
  }[] = []

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk])
      this.dispatch()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.isClosed = true
      for (const { reject } of this.expected.splice(0)) reject(new Error('connection closed'))
      for (const wake of this.waiting.splice(0)) wake()
    })
  }

  static async connect(port: number): Promise<TestClient> {
    const socket = connect({ host: '127.0.0.1', port })
    await once(socket, 'connect')
    return new TestClient(socket)
  }

  /** Sends a request and gives its answer; rejects if the connection ends first. */
  call<Q, S>(api: Api<Q, S>, version: number, request: Encodable<Q>): Promise<S> {
    if (this.isClosed) return Promise.reject(new Error('connection closed'))
    const id = ++this.lastId
    for (const part of requestFrame(api, version, id, request)) this.socket.write(part)
    const isFlexible = version >= api.flexibleFrom && api.key !== 18
    return new Promise((resolve, reject) => {
      const decode = (body: WireReader) => {
        if (isFlexible) body.skip(1)
        return api.response(version).decode(body)
      }
      this.expected.push({ id, decode, resolve: resolve as (value: never) => void, reject })
    })
  }

  async closed(): Promise<void> {
    if (!this.isClosed) await new Promise<void>((resolve) => this.waiting.push(resolve))
  }

  end(): void {
    this.socket.destroy()
  }

  private dispatch(): void {
    while (this.received.length >= 4 && this.received.length >= 4 + this.received.readInt32BE(0)) {
      const body = new WireReader(this.received.subarray(4, 4 + this.received.readInt32BE(0)))
      this.received = this.received.subarray(4 + this.received.readInt32BE(0))
      const next = this.expected.shift()
      // An answer to bytes that a test sent by itself.
      if (!next) continue
      const { id, decode, resolve, reject } = next
      const answered = body.int32()
      if (answered !== id) reject(new Error(`answer to ${answered}, expected ${id}`))
      else resolve(decode(body) as never)
    }
  }
}

/** A request as it goes over the wire. */
export function requestFrame<Q>(api: Api<Q, unknown>, version: number, correlationId: number, request: Encodable<Q>): Uint8Array[] {
  const writer = new WireWriter()
  writer.int16(api.key)
  writer.int16(version)
  writer.int32(correlationId)
  writer.string('test', false)
  if (version >= api.flexibleFrom) writer.uvarint(0)
  api.request(version).encode(writer, request)
  return writer.frame()
}

/** A batch with these values. */
export function batchOf(values: readonly string[], options: BatchOptions = {}, timestampMs = 1_700_000_000_000): Uint8Array {
  const builder = new BatchBuilder()
  for (const value of values) {
    const bytes = Buffer.from(value)
    builder.appendRecord(null, bytes, 0, bytes.length, noHeaders, timestampMs)
  }
  return builder.finish(options)
}
