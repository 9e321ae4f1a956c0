// Views: changes applied per second, look-ups over a million rows, and the time from a change to its push at many WebSocket subscribers.
import { fork } from 'node:child_process'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { benchOptions, numberIn } from '../scripts/options.ts'
import { makeHttpServer } from '../src/base/http/index.ts'
import { type Batch, batchOf, type Field, t } from '../src/data/index.ts'
import { parseFilter, ViewStore } from '../src/views/index.ts'

const fields: Field[] = [
  { name: 'page', type: t.string(false) },
  { name: 'window_start', type: t.timestamp(3, false) },
  { name: 'views', type: t.bigint() },
  { name: 'revenue', type: t.decimal(18, 2) },
]
const encoder = new TextEncoder()

/** A batch as an operator emits it: text as bytes in one arena. */
function pageBatch(rowCount: number, keyCount: number, seed: number, withUpdates: boolean): Batch {
  const starts = new Int32Array(rowCount)
  const ends = new Int32Array(rowCount)
  const windows = new Float64Array(rowCount)
  const views = new BigInt64Array(rowCount)
  const revenue = new BigInt64Array(rowCount)
  const kinds = withUpdates ? new Uint8Array(rowCount) : undefined
  const bytes = new Uint8Array(rowCount * 24)
  let at = 0
  for (let i = 0; i < rowCount; i++) {
    const change = withUpdates ? i >> 1 : i
    const key = ((change + seed) * 2_654_435_761) % keyCount
    starts[i] = at
    at += encoder.encodeInto(`/page/${key}`, bytes.subarray(at)).written
    ends[i] = at
    windows[i] = 1_767_225_600_000
    views[i] = BigInt(i + seed)
    revenue[i] = BigInt(i * 7)
    if (kinds) kinds[i] = i % 2 === 0 ? 1 : 2
  }
  const columns: Batch['columns'] = [
    { lane: 'utf8', bytes, starts, ends },
    { lane: 'f64', data: windows },
    { lane: 'i64', data: views },
    { lane: 'i64', data: revenue },
  ]
  return { rowCount, columns, kinds, watermarkAfter: 0, processingTimeMs: 0 }
}

function report(what: string, figure: string): void {
  console.log(`${what.padEnd(64)} ${figure}`)
}
const perSecond = (count: number, startMs: number): string => `${((count / (performance.now() - startMs)) * 1e-3).toFixed(2)} M/s`

function benchApply(): void {
  for (const [label, primaryKey, keyCount, withUpdates] of [
    ['apply upserts, text key, 10 K keys', [0], 10_000, false],
    ['apply upserts, text key, 1 M keys', [0], 1_000_000, false],
    ['apply -U/+U pairs, text key, 10 K keys', [0], 10_000, true],
    ['apply upserts, two key columns, 10 K keys', [0, 1], 10_000, false],
  ] as const) {
    const store = new ViewStore()
    store.define({ name: 'pages', fields, primaryKey })
    const batches = Array.from({ length: 16 }, (_, i) => pageBatch(4096, keyCount, i * 4096, withUpdates))
    for (const batch of batches) store.apply('pages', batch, { epoch: 1 })
    const startMs = performance.now()
    let count = 0
    while (performance.now() - startMs < 1500)
      for (const batch of batches) {
        store.apply('pages', batch, { epoch: 1 })
        count += batch.rowCount
      }
    report(label, perSecond(count, startMs))
    store.close()
  }
}

function benchScan(): void {
  const store = new ViewStore()
  store.define({ name: 'pages', fields, primaryKey: [0] })
  const rows = Array.from({ length: 1_000_000 }, (_, i) => [`/page/${i}`, 0, BigInt((i * 2_654_435_761) % 1_000_003), BigInt(i)])
  for (let i = 0; i < rows.length; i += 4096) store.apply('pages', batchOf(fields, rows.slice(i, i + 4096)), { epoch: 1 })
  const order = [{ column: 2, descending: true }]
  const timed = (label: string, run: () => unknown, times = 1) => {
    const startMs = performance.now()
    for (let i = 0; i < times; i++) run()
    report(label, `${(((performance.now() - startMs) / times) * 1000).toFixed(1)} us`)
  }
  timed('1 M rows: look-up by key', () => store.get('pages', ['/page/777777']), 100_000)
  timed('1 M rows: ordered page of 100, no index yet', () => store.scan('pages', { order, limit: 100 }))
  store.scan('pages', { order, limit: 100 })
  timed('1 M rows: build the index', () => store.scan('pages', { order, limit: 100 }))
  timed('1 M rows: ordered page of 100 with it', () => store.scan('pages', { order, limit: 100 }), 1000)
  const range = [parseFilter({ name: 'pages', fields }, 'views.lt', '500000')]
  timed('1 M rows: range by the ordered column, 100 rows', () => store.scan('pages', { filters: range, order, limit: 100 }), 1000)
  const batch = pageBatch(4096, 1_000_000, 5, false)
  timed('1 M rows: apply 4096 changes and read the ordered page', () => {
    store.apply('pages', batch, { epoch: 1 })
    store.scan('pages', { order, limit: 100 })
  })
  const startMs = performance.now()
  for (let i = 0; i < 50; i++) {
    store.apply('pages', pageBatch(4096, 1_000_000, i * 4096, false), { epoch: 1 })
    store.scan('pages', { order, limit: 100 })
  }
  report('1 M rows: changes with one index kept up to date', perSecond(50 * 4096, startMs))
  report('1 M rows: resident memory', `${Math.round(process.memoryUsage.rss() / 1e6)} MB`)
  store.close()
}

const PUSH_SECONDS = 5
const nowMs = (): number => performance.timeOrigin + performance.now()

/** In a process of its own: opens the sockets, and notes for each frame how old its newest row is. */
async function subscribe(port: number, subscriberCount: number): Promise<void> {
  const latenciesMs: number[] = []
  let ready = 0
  for (let i = 0; i < subscriberCount; i++) {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(
        'GET /v1/tables/pages/live?order=-at&limit=20 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
      ),
    )
    socket.setNoDelay(true)
    let seen = ''
    socket.on('data', (chunk) => {
      if (ready < subscriberCount) {
        seen += chunk.toString('latin1')
        if (seen.includes('"snapshot"') && ++ready === subscriberCount) process.send?.('ready')
        if (seen.includes('"snapshot"')) seen = ''
        return
      }
      const text = chunk.toString('latin1')
      const at = text.lastIndexOf('"row":["')
      if (at >= 0) latenciesMs.push(nowMs() - Number(text.slice(text.indexOf(',', at) + 1, text.indexOf(']', at))))
    })
    // Not more at once than the server's backlog of connections holds.
    while (i - ready > 200) await delay(5)
  }
  process.once('message', () => {
    latenciesMs.sort((a, b) => a - b)
    const at = (share: number) => latenciesMs[Math.floor((latenciesMs.length - 1) * share)]
    process.send?.({ count: latenciesMs.length, p50: at(0.5), p99: at(0.99), max: at(1) })
    process.exit()
  })
}

async function benchPush(subscriberCount: number): Promise<void> {
  const liveFields: Field[] = [
    { name: 'page', type: t.string(false) },
    { name: 'at', type: t.double() },
  ]
  const writtenMs: number[] = []
  const views = new ViewStore({ onDelivered: (latencyMs) => writtenMs.push(latencyMs) })
  views.define({ name: 'pages', fields: liveFields, primaryKey: [0] })
  const server = await makeHttpServer()
  const { registerTables } = await import('../src/serve/tables.ts')
  const { LiveSockets } = await import('../src/serve/sockets.ts')
  const { noCheckpoints } = await import('../src/serve/checkpoints.ts')
  registerTables(server.app, { views, checkpoints: noCheckpoints }, new LiveSockets())
  const { port } = await server.listen()
  const apply = () =>
    views.apply(
      'pages',
      batchOf(
        liveFields,
        Array.from({ length: 20 }, (_, i) => [`/page/${i}`, nowMs()]),
      ),
      { epoch: 1, originMs: Date.now() },
    )
  apply()
  const clients = fork(import.meta.filename, ['subscribe', String(port), String(subscriberCount)])
  const next = <T>() => new Promise<T>((resolve) => clients.once('message', resolve))
  const startMs = performance.now()
  await next()
  report(`push: ${subscriberCount} subscribers connected, each with its snapshot`, `${Math.round(performance.now() - startMs)} ms`)
  await delay(500)
  writtenMs.length = 0
  const cpu = process.cpuUsage()
  for (let i = 0; i < PUSH_SECONDS * 10; i++) {
    apply()
    await delay(100)
  }
  const { user, system } = process.cpuUsage(cpu)
  await delay(500)
  clients.send('report')
  const { count, p50, p99, max } = await next<{ count: number; p50: number; p99: number; max: number }>()
  report(
    `push: ${subscriberCount} subscribers, 10 deltas/s of 20 rows, ${count} frames`,
    `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, max ${max.toFixed(1)} ms, CPU ${((user + system) / 1e6 / PUSH_SECONDS).toFixed(2)} cores`,
  )
  writtenMs.sort((a, b) => a - b)
  report(
    'push: from a change until the last socket was written to, server alone',
    `p50 ${writtenMs[writtenMs.length >> 1]} ms, p99 ${writtenMs[Math.floor(writtenMs.length * 0.99)]} ms`,
  )
  report('push: resident memory of the server', `${Math.round(process.memoryUsage.rss() / 1e6)} MB`)
  views.close()
  process.exit()
}

if (process.argv[2] === 'subscribe') await subscribe(Number(process.argv[3]), Number(process.argv[4]))
else {
  const values = benchOptions('views', {
    about:
      'Live tables: changes applied, look-ups over a million rows, and the time from a change to its push at many WebSocket subscribers.',
    takes: 'about half a minute',
    options: {
      parts: { value: 'A,B', default: 'apply,scan,push', doc: 'what is measured' },
      subscribers: { value: 'N', default: '1000', doc: 'WebSockets of push' },
    },
    examples: ['', '--parts push --subscribers 200'],
  })
  const isWanted = (name: string): boolean => values.parts.split(',').includes(name)
  if (isWanted('apply')) benchApply()
  if (isWanted('scan')) benchScan()
  if (isWanted('push')) await benchPush(numberIn('subscribers', values.subscribers, 1))
}
