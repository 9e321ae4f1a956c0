// A long run at a steady rate: HTTP batches → durable log (fsync) → windows into a topic and live tables, with checkpoints. What may not grow is
// looked at all the time: resident memory, open files, latencies.
//
//   orders (topic, keeps 2 GiB) ──► totals   (live table by user: all that was ever acknowledged)
//                               ├─► windows  (topic, 5 s by user, exactly once, keeps 256 MiB) ──► counted (live table: what came through)
//                               └─► latest   (live table by user: its newest window, pushed to a WebSocket)
//
// Prints a line for each period and, at the end, how each series rises (least squares, without the first tenth, in which memory fills). The run
// fails if counts or sums differ from what was acknowledged, and for nothing that depends on time.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
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

const values = benchOptions('soak', {
  about: 'A steady rate for long: resident memory, open files and latencies may not grow; counts and sums are checked at the end.',
  takes: 'five minutes',
  options: {
    hours: { value: 'N', doc: 'how long, instead of --minutes' },
    minutes: { value: 'N', default: '5', doc: 'how long' },
    rate: { value: 'N', default: '100000', doc: 'events per second' },
    keys: { value: 'N', default: '10000', doc: 'users' },
    every: { value: 'SECONDS', doc: 'how often a line is printed (15, or 60 from ten minutes on)' },
    json: { doc: 'one line of JSON instead of text' },
  },
  examples: ['', '--hours 1 --rate 50000'],
})
const minutes = values.hours !== undefined ? numberIn('hours', values.hours) * 60 : numberIn('minutes', values.minutes)
const rate = numberIn('rate', values.rate, 1)
const keyCount = numberIn('keys', values.keys, 1)
const everyMs = numberIn('every', values.every ?? (minutes >= 10 ? '60' : '15'), 1) * 1_000
const EVENTS_PER_BATCH = 1_000
const CONNECTIONS = 4
const WINDOW_MS = 5_000
const DELAY_MS = 1_000

const sql = `
CREATE TABLE orders (ts BIGINT NOT NULL, user_id STRING NOT NULL, region STRING, cents BIGINT NOT NULL,
  rt AS TO_TIMESTAMP_LTZ(ts, 3), WATERMARK FOR rt AS rt - INTERVAL '1' SECOND)
WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json', 'key.format' = 'raw', 'key.fields' = 'user_id');
CREATE TABLE windows (user_id STRING, window_end TIMESTAMP_LTZ(3), orders BIGINT, cents BIGINT)
WITH ('connector' = 'kafka', 'topic' = 'windows', 'format' = 'json');
CREATE MATERIALIZED TABLE totals AS SELECT user_id, COUNT(*) AS orders, SUM(cents) AS cents FROM orders GROUP BY user_id;
INSERT INTO windows SELECT user_id, window_end, COUNT(*), SUM(cents)
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(rt), INTERVAL '5' SECOND)) GROUP BY window_start, window_end, user_id;
CREATE MATERIALIZED TABLE counted (PRIMARY KEY (part) NOT ENFORCED) AS
SELECT MOD(CHAR_LENGTH(user_id), 2) AS part, SUM(orders) AS orders, SUM(cents) AS cents FROM windows GROUP BY MOD(CHAR_LENGTH(user_id), 2);
CREATE MATERIALIZED TABLE latest (PRIMARY KEY (user_id) NOT ENFORCED) AS SELECT user_id, window_end, orders, cents FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY window_time DESC) AS place FROM (
    SELECT user_id, window_end, window_time, COUNT(*) AS orders, SUM(cents) AS cents
    FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(rt), INTERVAL '5' SECOND)) GROUP BY window_start, window_end, window_time, user_id)) WHERE place = 1;`

/** With the flags that this process has from `scripts/run.mjs`, as its users start it. */
function startPlatform(folder: string): Promise<{ child: ChildProcess; port: number }> {
  const main = resolve(import.meta.dirname, '../src/app/main.ts')
  const child = spawn(
    process.execPath,
    [...process.execArgv, main, 'start', folder, '--port', '0', '--kafka-port', 'none', '--data', join(folder, 'data'), '--json'],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let complaints = ''
  child.stderr!.on('data', (chunk) => (complaints = (complaints + chunk).slice(-4_000)))
  return new Promise((found, failed) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const { port, errors } = JSON.parse(line) as { port?: number; errors?: { message: string }[] }
      if (errors && errors.length > 0) failed(new Error(errors.map(({ message }) => message).join('; ')))
      else if (port) found({ child, port })
    })
    child.once('exit', (code) => failed(new Error(`the platform ended with ${code}: ${complaints}`)))
  })
}

/** One period. */
interface Sample {
  minute: number
  eventsPerSecond: number
  rssMb: number
  openFiles: number
  ackP99Ms: number
  pushP99Ms: number
  dataMb: number
}

const folder = mkdtempSync(join(tmpdir(), 'millrace-soak-'))
mkdirSync(join(folder, 'pipelines'))
writeFileSync(join(folder, 'pipelines/soak.sql'), sql)
const { child, port } = await startPlatform(folder)
let isWrong = true
try {
  isWrong = !(await run())
} finally {
  child.kill('SIGTERM')
  await new Promise((done) => child.once('exit', done))
  rmSync(folder, { recursive: true, force: true })
}
process.exitCode = isWrong ? 1 : 0

async function run(): Promise<boolean> {
  await keep('orders', 2 * 2 ** 30)
  await keep('windows', 256 * 2 ** 20)
  const bodies = makeBodies(64, EVENTS_PER_BATCH, keyCount)
  let acknowledged = 0
  let acknowledgedCents = 0n
  let ackMs: number[] = []
  let pushMs: number[] = []
  /** By window's end: when the batch that closes it was acknowledged. */
  const closedAt = new Map<number, number>()

  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/tables/latest/live?numbers=string`)
  await new Promise((done, fail) => socket.once('open', done).once('error', fail))
  socket.on('message', (data) => {
    const atMs = performance.now()
    const frame = JSON.parse(String(data)) as LiveFrame
    if (frame.type !== 'delta') return
    for (const { row } of frame.changes) {
      const closedMs = closedAt.get(Date.parse(`${String(row[1]).replace(' ', 'T').replace(/Z?$/, 'Z')}`))
      // Before the acknowledgement: it was faster than the answer.
      if (closedMs !== undefined) pushMs.push(Math.max(0, atMs - closedMs))
    }
  })

  const samples: Sample[] = []
  const startedMs = performance.now()
  const endMs = startedMs + minutes * 60_000
  let periodMs = startedMs
  let periodEvents = 0
  const look = () => {
    const nowMs = performance.now()
    const sample: Sample = {
      minute: Number(((nowMs - startedMs) / 60_000).toFixed(2)),
      eventsPerSecond: Math.round(((acknowledged - periodEvents) / (nowMs - periodMs)) * 1_000),
      rssMb: Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024),
      openFiles: readdirSync(`/proc/${child.pid}/fd`).length,
      ackP99Ms: Number(
        percentile(
          ackMs.sort((a, b) => a - b),
          0.99,
        ).toFixed(1),
      ),
      pushP99Ms: Number(
        percentile(
          pushMs.sort((a, b) => a - b),
          0.99,
        ).toFixed(1),
      ),
      dataMb: Math.round(sizeOf(join(folder, 'data')) / 2 ** 20),
    }
    samples.push(sample)
    if (!values.json)
      console.log(
        `${sample.minute.toFixed(2).padStart(7)} min  ${perSecond(sample.eventsPerSecond, 1_000).padStart(8)}  memory ${sample.rssMb} MB  files ${sample.openFiles}  acknowledged p99 ${sample.ackP99Ms} ms  pushed p99 ${sample.pushP99Ms} ms  disk ${sample.dataMb} MB`,
      )
    ackMs = []
    pushMs = []
    periodMs = nowMs
    periodEvents = acknowledged
    for (const end of closedAt.keys()) if (end < Date.now() - 120_000) closedAt.delete(end)
  }
  const timer = setInterval(look, everyMs)

  const post = async (connection: HttpConnection, body: Body, atMs: number): Promise<void> => {
    const digits = Buffer.from(String(atMs))
    for (const at of body.timesAt) digits.copy(body.bytes, at)
    const sentMs = performance.now()
    for (;;) {
      const answer = await connection.post('/v1/topics/orders/events', 'application/x-ndjson', body.bytes)
      if (answer.status === 202) break
      if (answer.status !== 429) throw new Error(`HTTP ${answer.status}: ${answer.body}`)
      await sleep(Math.max(20, Math.min(answer.retryAfterSeconds * 1_000, 200)))
    }
    const nowMs = performance.now()
    ackMs.push(nowMs - sentMs)
    acknowledged += EVENTS_PER_BATCH
    acknowledgedCents += BigInt(body.cents)
    const closing = Math.floor((atMs - DELAY_MS) / WINDOW_MS) * WINDOW_MS
    if (!closedAt.has(closing)) closedAt.set(closing, nowMs)
  }
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => HttpConnection.open(port)))
  let sent = 0
  let lastMs = 0
  await Promise.all(
    connections.map(async (connection, index) => {
      for (let turn = index; performance.now() < endMs; turn += CONNECTIONS) {
        const dueMs = startedMs + (sent / rate) * 1_000
        sent += EVENTS_PER_BATCH
        if (dueMs > performance.now()) await sleep(dueMs - performance.now())
        // A clock that never falls: nothing is late.
        lastMs = Math.max(lastMs, Date.now())
        await post(connection, bodies[turn % bodies.length], lastMs)
      }
    }),
  )
  clearInterval(timer)
  if (performance.now() - periodMs > everyMs / 2) look()
  const [loaded, loadedCents] = [acknowledged, acknowledgedCents]
  // One batch far ahead closes what is open; its own window stays open.
  await post(connections[0], bodies[0], lastMs + 4 * WINDOW_MS)
  for (const connection of connections) connection.close()

  const deadlineMs = performance.now() + 60_000
  let total = await sums('totals')
  let counted = await sums('counted')
  const isEqual = () =>
    total.orders === BigInt(acknowledged) &&
    total.cents === acknowledgedCents &&
    counted.orders === BigInt(loaded) &&
    counted.cents === loadedCents
  while (!isEqual() && performance.now() < deadlineMs) {
    await sleep(500)
    total = await sums('totals')
    counted = await sums('counted')
  }
  socket.close()
  const rises = Object.fromEntries(
    (['rssMb', 'openFiles', 'ackP99Ms', 'pushP99Ms', 'eventsPerSecond'] as const).map((name) => [name, risePerHour(samples, name)]),
  )
  const result = {
    bench: 'soak',
    machine: machineText(),
    minutes,
    rate,
    keys: keyCount,
    events: loaded,
    series: samples,
    risePerHour: rises,
    counts: isEqual() ? 'equal' : 'differ',
  }
  if (values.json) console.log(JSON.stringify(result))
  else {
    console.log(
      `rises by the hour       memory ${rises.rssMb} MB, files ${rises.openFiles}, acknowledged p99 ${rises.ackP99Ms} ms, pushed p99 ${rises.pushP99Ms} ms`,
    )
    console.log(
      isEqual()
        ? `counts and sums         equal to what was acknowledged: ${loaded} events`
        : `counts and sums DIFFER  acknowledged ${acknowledged} (${acknowledgedCents} cents), totals ${total.orders} (${total.cents}); closed windows ${loaded} (${loadedCents}), counted ${counted.orders} (${counted.cents})`,
    )
  }
  return isEqual()
}

/** So much of a topic stays. */
async function keep(topic: string, bytes: number): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/v1/topics/${topic}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ config: { 'retention.bytes': bytes, 'segment.bytes': 64 * 2 ** 20 } }),
  })
  if (!response.ok) throw new Error(`PATCH ${topic}: HTTP ${response.status} ${await response.text()}`)
}

/** Sums of the columns `orders` and `cents` over a table. */
async function sums(table: string): Promise<{ orders: bigint; cents: bigint }> {
  let [orders, cents] = [0n, 0n]
  let cursor: string | null = ''
  while (cursor !== null) {
    const url: string = `http://127.0.0.1:${port}/v1/tables/${table}?limit=10000&numbers=string${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`
    const page = (await (await fetch(url)).json()) as TablePage
    for (const row of page.rows) {
      orders += BigInt(row[1] as string)
      cents += BigInt(row[2] as string)
    }
    cursor = page.next
  }
  return { orders, cents }
}

function sizeOf(path: string): number {
  try {
    const stat = statSync(path)
    return stat.isDirectory() ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0) : stat.size
  } catch {
    // Retention took it meanwhile.
    return 0
  }
}

/** Of the line that is nearest to a series: how much it rises in an hour. */
function risePerHour(samples: readonly Sample[], name: keyof Sample): number {
  const points = samples.slice(Math.ceil(samples.length / 10)).filter((sample) => Number.isFinite(sample[name]))
  const mean = (of: (sample: Sample) => number) => points.reduce((sum, sample) => sum + of(sample), 0) / points.length
  const [meanX, meanY] = [mean(({ minute }) => minute), mean((sample) => sample[name])]
  const above = points.reduce((sum, sample) => sum + (sample.minute - meanX) * (sample[name] - meanY), 0)
  const below = points.reduce((sum, sample) => sum + (sample.minute - meanX) ** 2, 0)
  return Number(((above / below) * 60).toFixed(2))
}
