// HTTP batches of 1,000 events → durable log (fsync) → five-minute windows by key → live table → WebSocket, all on this machine.
//
// Event time runs 300 times as fast, so a window closes each second.
//
// The check at the end: counts and sums of all windows equal what was acknowledged. A figure without it would mean nothing.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { benchOptions, numberIn } from '../scripts/options.ts'
import type { LiveFrame, TablePage } from '../src/serve/contract.ts'
import { HttpConnection } from './httpLoad.ts'
import { machineText, percentile, perSecond } from './machine.ts'
import { type Body, makeBodies } from './orders.ts'
import { threadCpuSeconds } from './threadCpu.ts'

const values = benchOptions('pipeline', {
  about:
    'HTTP batches of 1,000 events, durable log, five-minute windows by key, live table, WebSocket. Counts and sums are checked at the end.',
  takes: 'about 80 seconds',
  options: {
    seconds: { value: 'N', default: '60', doc: 'how long events are sent' },
    keys: { value: 'N', default: '10000', doc: 'users' },
    rate: { value: 'N', default: '0', doc: 'events per second; 0: as fast as they are taken' },
    connections: { value: 'N', default: '4', doc: 'that send' },
    json: { doc: 'one line of JSON instead of text' },
  },
  examples: ['', '--seconds 20 --rate 50000'],
})
const seconds = numberIn('seconds', values.seconds, 1)
const keyCount = numberIn('keys', values.keys, 1)
const rate = numberIn('rate', values.rate)
const EVENTS_PER_BATCH = 1_000
const EVENT_TIME_SPEED = 300
const WINDOW_MS = 300_000
const DELAY_MS = 1_000
const firstMs = 1_700_000_100_000 // a window's start

const sql = `
CREATE TABLE orders (
  ts BIGINT NOT NULL, user_id STRING NOT NULL, product_id STRING, region STRING, cents BIGINT NOT NULL,
  rt AS TO_TIMESTAMP_LTZ(ts, 3), WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json', 'key.format' = 'raw', 'key.fields' = 'user_id');
CREATE MATERIALIZED TABLE revenue (PRIMARY KEY (window_start, user_id) NOT ENFORCED) AS
SELECT window_start, window_end, user_id, COUNT(*) AS orders, SUM(cents) AS cents, MIN(cents) AS lowest, MAX(cents) AS highest
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(rt), INTERVAL '5' MINUTES)) GROUP BY window_start, window_end, user_id;`

/** With the flags that this process has from `scripts/run.mjs`, as its users start it. */
function startPlatform(folder: string): Promise<{ child: ChildProcess; port: number }> {
  const main = resolve(import.meta.dirname, '../src/app/main.ts')
  const child = spawn(
    process.execPath,
    [...process.execArgv, main, 'start', folder, '--port', '0', '--data', join(folder, 'data'), '--json'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  return new Promise((found, failed) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const { port } = JSON.parse(line) as { port?: number }
      if (port) found({ child, port })
    })
    child.once('exit', (code) => failed(new Error(`the platform ended with ${code}`)))
  })
}

const folder = mkdtempSync(join(tmpdir(), 'millrace-pipeline-'))
mkdirSync(join(folder, 'pipelines'))
writeFileSync(join(folder, 'pipelines/revenue.sql'), sql)
const { child, port } = await startPlatform(folder)
try {
  await run()
} finally {
  child.kill('SIGTERM')
  await new Promise((done) => child.once('exit', done))
  rmSync(folder, { recursive: true, force: true })
}

/** How long the disk's syncs took, ms, by share: the upper bound of the histogram's bucket. */
function syncTimes(metrics: string): (share: number) => number {
  const buckets = [...metrics.matchAll(/^millrace_log_sync_seconds_bucket\{le="([\d.]+)"\} (\d+)$/gm)].map(([, le, count]) => [
    +le * 1_000,
    +count,
  ])
  const total = Number(/^millrace_log_sync_seconds_count (\d+)$/m.exec(metrics)?.[1])
  return (share) => buckets.find(([, count]) => count >= total * share)?.[0] ?? Number.POSITIVE_INFINITY
}

async function run(): Promise<void> {
  const bodies = makeBodies(64, EVENTS_PER_BATCH, keyCount)
  let acknowledged = 0
  let acknowledgedCents = 0
  let refused = 0
  /** For each window: when the batch that closes it was acknowledged. */
  const closedAt = new Map<number, number>()
  const pushMs: number[] = []
  const pushed = new Map<number, number>()

  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/tables/revenue/live?numbers=string`)
  await new Promise((done, fail) => socket.once('open', done).once('error', fail))
  const waitingRows: { endMs: number; atMs: number }[] = []
  socket.on('message', (data) => {
    const atMs = performance.now()
    const frame = JSON.parse(String(data)) as LiveFrame
    if (frame.type !== 'delta') return
    for (const { row } of frame.changes) waitingRows.push({ endMs: Date.parse(`${String(row[1]).replace(' ', 'T')}Z`), atMs })
  })

  const cpuBefore = threadCpuSeconds(child.pid!)
  const ownCpuBefore = process.cpuUsage()
  const startedMs = performance.now()
  const endMs = startedMs + seconds * 1_000
  let sent = 0
  let eventMs = firstMs
  const connections = await Promise.all(Array.from({ length: Number(values.connections) }, () => HttpConnection.open(port)))
  const ack = (batchMs: number, cents: number) => {
    const nowMs = performance.now()
    acknowledged += EVENTS_PER_BATCH
    acknowledgedCents += cents
    // All batches up to this event time may still be in flight elsewhere; the first acknowledgement beyond the window's end is what closes it.
    const closing = Math.floor((batchMs - DELAY_MS) / WINDOW_MS) * WINDOW_MS
    if (!closedAt.has(closing)) closedAt.set(closing, nowMs)
  }
  const post = async (connection: HttpConnection, body: Body, batchMs: number): Promise<void> => {
    const digits = Buffer.from(String(batchMs))
    for (const at of body.timesAt) digits.copy(body.bytes, at)
    for (;;) {
      const answer = await connection.post('/v1/topics/orders/events', 'application/x-ndjson', body.bytes)
      if (answer.status === 202) return ack(batchMs, body.cents)
      if (answer.status !== 429) throw new Error(`HTTP ${answer.status}: ${answer.body}`)
      refused++
      await sleep(Math.max(20, Math.min(answer.retryAfterSeconds * 1_000, 200)))
    }
  }
  await Promise.all(
    connections.map(async (connection, index) => {
      for (let turn = index; performance.now() < endMs; turn += connections.length) {
        if (rate > 0) {
          const dueMs = startedMs + (sent / rate) * 1_000
          if (dueMs > performance.now()) await sleep(dueMs - performance.now())
        }
        sent += EVENTS_PER_BATCH
        // Times never fall, and stay within the watermark's delay of one another: nothing is late.
        eventMs = Math.max(eventMs, firstMs + Math.floor((performance.now() - startedMs) * EVENT_TIME_SPEED))
        const body = bodies[turn % bodies.length]
        await post(connection, body, eventMs)
      }
    }),
  )
  const loadMs = performance.now() - startedMs
  const loaded = acknowledged
  const ownCpu = process.cpuUsage(ownCpuBefore)
  const microsPerEvent: Record<string, number> = {}
  for (const [name, cpuSeconds] of threadCpuSeconds(child.pid!)) {
    const micros = ((cpuSeconds - (cpuBefore.get(name) ?? 0)) * 1e6) / loaded
    if (micros > 0) microsPerEvent[name] = Number(micros.toFixed(3))
  }
  const platformMicros = Object.values(microsPerEvent).reduce((sum, micros) => sum + micros, 0)
  microsPerEvent['load generator'] = Number(((ownCpu.user + ownCpu.system) / loaded).toFixed(3))
  // One batch far ahead closes what is open; its own window stays open and is not counted.
  const lastMs = eventMs + 2 * WINDOW_MS
  await post(connections[0], bodies[0], lastMs)
  for (const connection of connections) connection.close()
  const lastWindowMs = Math.floor(lastMs / WINDOW_MS) * WINDOW_MS

  let orders = 0n
  let cents = 0n
  const deadlineMs = performance.now() + 60_000
  for (;;) {
    ;[orders, cents] = await totals()
    if (orders === BigInt(loaded) || performance.now() > deadlineMs) break
    await sleep(100)
  }
  const settledMs = performance.now() - startedMs
  await sleep(300)
  socket.close()
  for (const { endMs: windowEndMs, atMs } of waitingRows) {
    // Closed by the last batch, when the load was over.
    if (windowEndMs > eventMs - DELAY_MS) continue
    const acknowledgedMs = closedAt.get(windowEndMs) ?? [...closedAt].filter(([end]) => end >= windowEndMs).map(([, ms]) => ms)[0]
    if (acknowledgedMs === undefined) continue
    pushMs.push(Math.max(0, atMs - acknowledgedMs))
    pushed.set(windowEndMs, (pushed.get(windowEndMs) ?? 0) + 1)
  }
  pushMs.sort((a, b) => a - b)
  const loadedCents = BigInt(acknowledgedCents - bodies[0].cents)
  const rssMb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1024
  const stats = (await (await fetch(`http://127.0.0.1:${port}/v1/stats`)).json()) as { queries: { lateRows: number }[] }
  if (stats.queries.some(({ lateRows }) => lateRows > 0)) throw new Error('rows were late: the load generator sent them out of order')
  if (orders !== BigInt(loaded) || cents !== loadedCents)
    throw new Error(`windows hold ${orders} orders and ${cents} cents; acknowledged were ${loaded} and ${loadedCents}`)
  const syncMs = syncTimes(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
  const result = {
    bench: 'pipeline',
    machine: machineText(),
    seconds: Math.round(loadMs / 1_000),
    events: loaded,
    eventsPerSecond: Math.round((loaded / loadMs) * 1_000),
    refusedBatches: refused,
    keys: keyCount,
    windows: pushed.size,
    rowsPushed: pushMs.length,
    pushMs: { p50: percentile(pushMs, 0.5), p95: percentile(pushMs, 0.95), p99: percentile(pushMs, 0.99) },
    diskSyncMs: { p50: syncMs(0.5), p99: syncMs(0.99) },
    behindMs: Math.round(settledMs - loadMs),
    rssMb: Math.round(rssMb),
    cpuMicrosPerEvent: microsPerEvent,
  }
  if (values.json) console.log(JSON.stringify(result))
  else {
    console.log(result.machine)
    console.log(
      `${result.events} events in batches of ${EVENTS_PER_BATCH}, ${keyCount} keys, ${result.seconds} s, load generator on the same machine, fsync on`,
    )
    console.log(`acknowledged            ${perSecond(loaded, loadMs)}   (${refused} batches refused with 429 and sent again)`)
    console.log(`counts and sums         equal to what was acknowledged, ${result.behindMs} ms after the last batch`)
    console.log(
      `acknowledged → pushed   p50 ${result.pushMs.p50.toFixed(1)} ms, p95 ${result.pushMs.p95.toFixed(1)} ms, p99 ${result.pushMs.p99.toFixed(1)} ms   (${result.rowsPushed} rows of ${result.windows} windows)`,
    )
    console.log(`the disk's own sync     p50 below ${result.diskSyncMs.p50} ms, p99 below ${result.diskSyncMs.p99} ms`)
    console.log(`resident memory         ${result.rssMb} MB`)
    console.log(
      `CPU, µs for each event  platform ${platformMicros.toFixed(2)}: ${Object.entries(microsPerEvent)
        .map(([name, micros]) => `${name} ${micros.toFixed(2)}`)
        .join(', ')}`,
    )
  }

  /** Orders and cents over all closed windows but the one that the last batch opened. */
  async function totals(): Promise<[bigint, bigint]> {
    let [orderSum, centSum] = [0n, 0n]
    let cursor: string | null = ''
    while (cursor !== null) {
      const page = (await (
        await fetch(
          `http://127.0.0.1:${port}/v1/tables/revenue?limit=10000&numbers=string${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`,
        )
      ).json()) as TablePage
      for (const row of page.rows) {
        if (Date.parse(`${String(row[0]).replace(' ', 'T')}Z`) >= lastWindowMs) continue
        orderSum += BigInt(row[3] as string)
        centSum += BigInt(row[4] as string)
      }
      cursor = page.next
    }
    return [orderSum, centSum]
  }
}
