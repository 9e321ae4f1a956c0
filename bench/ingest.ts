// The front door on one core: bodies of 1,000 events (NDJSON, 184 bytes each) checked and made into record batches; then the same over HTTP into
// the durable log, sent by a child process over keep-alive sockets.
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { benchOptions, numberIn } from '../scripts/options.ts'
import { makeHttpServer } from '../src/base/http/index.ts'
import { BufferPool } from '../src/base/index.ts'
import { t } from '../src/data/index.ts'
import { ingestLimits } from '../src/ingest/contract.ts'
import { IdSource } from '../src/ingest/enrich.ts'
import { registerIngest, type TopicSchema } from '../src/ingest/index.ts'
import { Intake } from '../src/ingest/intake.ts'
import { openLog } from '../src/log/index.ts'

const EVENTS_PER_BODY = 1_000
const BODY_COUNT = 50

const schemaOf = (keyFields: string[]): TopicSchema => ({
  keyFields,
  fields: [
    { name: 'id', type: t.bigint() },
    { name: 'ts', type: t.bigint() },
    { name: 'user_id', type: t.string() },
    { name: 'product_id', type: t.string() },
    { name: 'event_type', type: t.string() },
    { name: 'region', type: t.string() },
    { name: 'amount', type: t.double() },
    { name: 'url', type: t.string() },
  ],
})

function makeBodies(): Buffer[] {
  let seed = 42
  const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32
  const pick = (list: string[]) => list[Math.floor(random() * list.length)]
  const types = ['view', 'click', 'add_to_cart', 'remove_from_cart', 'purchase', 'search']
  const regions = ['us-east', 'us-west', 'eu-west', 'eu-central', 'ap-south', 'ap-northeast', 'sa-east', 'af-south']
  return Array.from({ length: BODY_COUNT }, (_, body) => {
    const lines = Array.from({ length: EVENTS_PER_BODY }, (_, i) => {
      const user = Math.floor(10000 * random() * random())
      const product = Math.floor(random() * 1000)
      return `{"id":${body * EVENTS_PER_BODY + i},"ts":${1_700_000_000_000 + body * 100 - Math.floor(random() * 2000)},"user_id":"user_${user}","product_id":"prod_${product}","event_type":"${pick(types)}","region":"${pick(regions)}","amount":${(random() * 500).toFixed(2)},"url":"https://shop.example.com/p/${product}?u=${user}"}\n`
    })
    return Buffer.from(lines.join(''))
  })
}

/** The child: keeps one request in flight on each of its connections, reports answers and their times. */
async function generate(port: number, seconds: number, connectionCount: number): Promise<void> {
  const requests = makeBodies().map((body) =>
    Buffer.concat([
      Buffer.from(
        `POST /v1/topics/shop/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: ${body.length}\r\n\r\n`,
      ),
      body,
    ]),
  )
  const latenciesMs: number[] = []
  let accepted = 0
  const endMs = performance.now() + seconds * 1000
  await Promise.all(
    Array.from(
      { length: connectionCount },
      (_, c) =>
        new Promise<void>((resolve, reject) => {
          const socket = connect({ port, host: '127.0.0.1', noDelay: true })
          let sentMs = 0
          let turn = c
          let text = ''
          const send = () => {
            sentMs = performance.now()
            if (sentMs > endMs) {
              socket.end()
              resolve()
            } else socket.write(requests[turn++ % requests.length])
          }
          socket.on('connect', send)
          socket.on('error', reject)
          socket.on('data', (data) => {
            text += data.toString('latin1')
            if (!text.endsWith('}')) return
            const count = /"accepted":(\d+)/.exec(text)
            if (!text.startsWith('HTTP/1.1 202') || !count) return reject(new Error(text.slice(0, 500)))
            accepted += Number(count[1])
            latenciesMs.push(performance.now() - sentMs)
            text = ''
            send()
          })
        }),
    ),
  )
  latenciesMs.sort((a, b) => a - b)
  const quantile = (q: number) => latenciesMs[Math.floor(latenciesMs.length * q)]
  process.send!({ accepted, p50: quantile(0.5), p99: quantile(0.99) })
}

async function benchIntake(name: string, schema: TopicSchema, partitionCount: number, seconds: number): Promise<void> {
  const bodies = makeBodies()
  const buffers = new BufferPool()
  const intake = new Intake(schema, ingestLimits, new IdSource(), buffers)
  const target = { topic: 'shop', partitionCount, batchBytesMax: 1_048_588, codec: 3 }
  let eventCount = 0
  let byteCount = 0
  const run = async (untilMs: number) => {
    eventCount = byteCount = 0
    for (let i = 0; performance.now() < untilMs; i++) {
      const body = bodies[i % bodies.length]
      const context = { nowMs: Date.now(), traceId: '0af7651916cd43dd8448eb211c80319c', source: 'http', client: '127.0.0.1' }
      const taken = await intake.take(body, 'ndjson', target, 0, context)
      if (taken.acceptedCount !== EVENTS_PER_BODY) throw new Error('an event was rejected')
      for (const { bytes } of taken.parts) buffers.give(bytes)
      eventCount += EVENTS_PER_BODY
      byteCount += body.length
    }
  }
  await run(performance.now() + 500)
  const from = performance.now()
  const cpu = process.cpuUsage()
  await run(from + seconds * 1000)
  const { user, system } = process.cpuUsage(cpu)
  const ms = performance.now() - from
  const perCpuSecond = eventCount / ((user + system) / 1e6) / 1000
  console.log(
    `${name.padEnd(34)} ${(eventCount / ms).toFixed(0)} K events/s  ${(byteCount / ms / 1000).toFixed(0)} MB/s  (${perCpuSecond.toFixed(0)} K per CPU second)`,
  )
}

async function benchHttp(seconds: number, connectionCount: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-ingest-'))
  const log = await openLog({ folder })
  const server = await makeHttpServer()
  const schema = schemaOf([])
  await registerIngest(server.app, { log, topicSchema: () => schema, topicNames: () => ['shop'] })
  const { port } = await server.listen()
  const run = (runSeconds: number) =>
    new Promise<{ accepted: number; p50: number; p99: number }>((resolve, reject) => {
      const child = fork(import.meta.filename, ['generate', String(port), String(runSeconds), String(connectionCount)])
      child.once('message', (result) => resolve(result as { accepted: number; p50: number; p99: number }))
      child.once('exit', (code) => code !== 0 && reject(new Error(`the generator ended with ${code}`)))
    })
  await run(1)
  const cpu = process.cpuUsage()
  const from = performance.now()
  const { accepted, p50, p99 } = await run(seconds)
  const ms = performance.now() - from
  const { user, system } = process.cpuUsage(cpu)
  const { syncMsP50, syncMsP99 } = log.stats()
  console.log(
    `HTTP, durable, ${connectionCount} connections        ${(accepted / seconds / 1000).toFixed(0)} K events/s, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms (disk sync p50 ${syncMsP50.toFixed(1)}, p99 ${syncMsP99.toFixed(1)} ms; ${(accepted / ((user + system) / 1e6) / 1000).toFixed(0)} K per CPU second of the server, ${((user + system) / 10 / ms).toFixed(0)} % of a core)`,
  )
  await server.close()
  await log.close()
  rmSync(folder, { recursive: true })
}

if (process.argv[2] === 'generate') await generate(Number(process.argv[3]), Number(process.argv[4]), Number(process.argv[5]))
else {
  const values = benchOptions('ingest', {
    about: 'The front door on one core: bodies of 1,000 events parsed, checked and batched; then the same over HTTP into the durable log.',
    takes: 'about 25 seconds',
    options: {
      seconds: { value: 'N', default: '5', doc: 'for each figure' },
      connections: { value: 'N', default: '8', doc: 'that send over HTTP' },
    },
    examples: ['', '--seconds 20 --connections 2'],
  })
  const seconds = numberIn('seconds', values.seconds, 0.1)
  await benchIntake('check and batch, no key', schemaOf([]), 1, seconds)
  await benchIntake('check and batch, key, 1 partition', schemaOf(['user_id']), 1, seconds)
  await benchIntake('check and batch, key, 8 partitions', schemaOf(['user_id']), 8, seconds)
  await benchHttp(seconds, numberIn('connections', values.connections, 1))
}
