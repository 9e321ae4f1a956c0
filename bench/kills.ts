// kill -9 again and again while real clients write: an HTTP client with idempotency keys, and kcat (librdkafka) as an idempotent Kafka producer that
// lives through all of it. At the end everything is read back, topics by kcat with isolation.level=read_committed, and compared with what was
// acknowledged: no row lost, none double.
//
// Kills come in turn at a random time and inside of a checkpoint: at one call of its disk, between the cut and the write, after the rename, and
// after the sinks have committed. The expected rows are computed here, from the events, with plain loops.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { benchOptions, numberIn } from '../scripts/options.ts'
import type { TablePage } from '../src/serve/contract.ts'
import { machineText, percentile } from './machine.ts'

const values = benchOptions('kills', {
  about: 'kill -9 again and again while real clients write, kcat among them: nothing may be lost or double. kcat must be there.',
  takes: 'about 40 minutes',
  options: {
    cycles: { value: 'N', default: '500', doc: 'how often it is killed' },
    seed: { value: 'N', default: '1', doc: 'of when and where' },
    json: { doc: 'one line of JSON instead of text' },
  },
  examples: ['', '--cycles 50 --seed 7'],
})
const cycles = numberIn('cycles', values.cycles, 1)
const ORDERS_PER_REQUEST = 50
const CLICKS_EVERY_MS = 10
const CLICKS_AT_ONCE = 20
const WINDOW_MS = 10_000
const firstMs = Date.UTC(2026, 0, 1)
const main = resolve(import.meta.dirname, '../src/app/main.ts')

const sql = `
SET 'execution.checkpointing.interval' = '150 ms';
CREATE TABLE orders (id BIGINT NOT NULL, customer STRING NOT NULL, amount BIGINT NOT NULL, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json');
CREATE TABLE clicks (id BIGINT NOT NULL, page STRING NOT NULL) WITH ('connector' = 'kafka', 'topic' = 'clicks', 'format' = 'json');
CREATE TABLE sums (customer STRING, window_end TIMESTAMP(3), orders BIGINT, total BIGINT) WITH ('connector' = 'kafka', 'topic' = 'sums', 'format' = 'json');
CREATE TABLE relayed (id BIGINT, page STRING) WITH ('connector' = 'kafka', 'topic' = 'relayed', 'format' = 'json');
CREATE TABLE archive (id BIGINT, customer STRING) WITH ('connector' = 'filesystem', 'path' = 'archive', 'format' = 'csv');
INSERT INTO archive SELECT id, customer FROM orders WHERE amount > 90;
INSERT INTO sums SELECT customer, window_end, COUNT(*), SUM(amount)
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, customer;
INSERT INTO relayed SELECT id, page FROM clicks;
CREATE MATERIALIZED TABLE totals AS SELECT customer, COUNT(*) AS orders, SUM(amount) AS total FROM orders GROUP BY customer;
CREATE MATERIALIZED TABLE pages AS SELECT page, COUNT(*) AS clicks, SUM(id) AS ids FROM relayed GROUP BY page;
`

const phases: Record<string, string> = {
  random: 'at a random time',
  disk: "at a call of a checkpoint's disk",
  cut: 'between the cut and the write',
  durable: 'after the rename, before the sinks commit',
  settled: 'after the sinks have committed',
}

const orderOf = (id: number) => ({ id, customer: `c${(id * id) % 97}`, amount: (id * 31) % 100, atMs: firstMs + id * 40 })
const clickOf = (id: number) => ({ id, page: `p${(id * 7) % 13}` })
const textOfTime = (ms: number) => new Date(ms).toISOString().slice(0, -1).replace('T', ' ')
const msOfTime = (text: string) => Date.parse(`${text.replace(' ', 'T')}Z`)

let state = Number(values.seed) >>> 0
/** From 0 up to, and without, `below`. */
const random = (below: number) => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
  return (state >>> 8) % below
}

/** Its process has the flags that this one has from `scripts/run.mjs`, as its users start it. */
class Server {
  readonly process: ChildProcess
  private readonly closed: Promise<unknown>
  private stdout = ''
  stderr = ''

  constructor(port: number, kafkaPort: number, fault: string | undefined) {
    const args = ['start', folder, '--port', String(port), '--kafka-port', String(kafkaPort), '--workers', '1', '--data', data, '--json']
    const env = { ...process.env, ...(fault !== undefined && { MILLRACE_FAULT: fault }) }
    this.process = spawn(process.execPath, [...process.execArgv, main, ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process.stdout!.on('data', (chunk) => (this.stdout += chunk))
    this.process.stderr!.on('data', (chunk) => (this.stderr += chunk))
    this.closed = once(this.process, 'close')
  }

  get isRunning(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null
  }

  /** What it says when it is ready; undefined if it ended before. */
  async ready(): Promise<{ restored: { query: string; checkpointId: number }[] } | undefined> {
    while (!this.stdout.includes('\n') && this.isRunning) await sleep(5)
    return this.stdout.includes('\n') ? JSON.parse(this.stdout.slice(0, this.stdout.indexOf('\n'))) : undefined
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.isRunning) this.process.kill(signal)
    await this.closed
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await new Promise((done) => server.close(done))
  return port
}

const folder = mkdtempSync(join(tmpdir(), 'millrace-kills-'))
const data = join(folder, 'data')
mkdirSync(join(folder, 'pipelines'))
writeFileSync(join(folder, 'pipelines/all.sql'), sql)
let failed = true
try {
  await run()
  failed = false
} finally {
  // What is wrong is there to be looked at.
  if (failed) console.error(`kept: ${folder}`)
  else rmSync(folder, { recursive: true, force: true })
}

async function run(): Promise<void> {
  if (spawnSync('kcat', ['-V']).error) throw new Error('kcat is not here: apt-get install kcat')
  const [port, kafkaPort] = [await freePort(), await freePort()]
  let isOver = false
  let orders = 0
  let clicks = 0

  const makeOrders = async (): Promise<void> => {
    while (!isOver) {
      const lines = Array.from({ length: ORDERS_PER_REQUEST }, (_, i) => orderOf(orders + i)).map(
        ({ id, customer, amount, atMs }) => `{"id":${id},"customer":"${customer}","amount":${amount},"ts":"${textOfTime(atMs)}"}`,
      )
      await postUntilAccepted(port, 'orders', lines.join('\n'), `orders-${orders}`)
      orders += ORDERS_PER_REQUEST
      await sleep(random(10))
    }
  }

  // The topics are there before kcat asks for them.
  const first = new Server(port, kafkaPort, undefined)
  if (!(await first.ready())) throw new Error(`it does not start: ${first.stderr}`)
  const kcatSettings = [
    'enable.idempotence=true',
    'message.timeout.ms=0',
    'linger.ms=5',
    'reconnect.backoff.max.ms=100',
    'retry.backoff.ms=20',
  ]
  const producer = spawn(
    'kcat',
    ['-P', '-E', '-b', `127.0.0.1:${kafkaPort}`, '-t', 'clicks', '-p', '0', ...kcatSettings.flatMap((one) => ['-X', one])],
    {
      stdio: ['pipe', 'ignore', 'pipe'],
    },
  )
  let complaints = ''
  producer.stderr!.on('data', (chunk) => (complaints = (complaints + chunk).slice(-4_000)))
  const producerClosed = once(producer, 'close')
  const makeClicks = async (): Promise<void> => {
    while (!isOver && producer.exitCode === null) {
      const lines = Array.from({ length: CLICKS_AT_ONCE }, (_, i) => JSON.stringify(clickOf(clicks + i)))
      if (!producer.stdin!.write(`${lines.join('\n')}\n`)) await Promise.race([once(producer.stdin!, 'drain'), producerClosed])
      clicks += CLICKS_AT_ONCE
      await sleep(CLICKS_EVERY_MS)
    }
  }
  const writing = Promise.all([makeOrders(), makeClicks()])
  // From here on there is a checkpoint to go on from, with records read.
  while (!offsetsOfCheckpoints().some((offset) => offset > 0)) await sleep(50)
  await first.end('SIGKILL')

  const kills: Record<string, number> = {}
  const restoredFrom: number[] = []
  let anew = 0
  const startedMs = Date.now()
  for (let cycle = 0; cycle < cycles; cycle++) {
    const fault = [undefined, `disk:${1 + random(60)}`, `cut:${1 + random(5)}`, `durable:${1 + random(5)}`, `settled:${1 + random(5)}`][
      cycle % 5
    ]
    const server = new Server(port, kafkaPort, fault)
    const ready = await server.ready()
    if (!ready && server.process.signalCode !== 'SIGKILL') throw new Error(`it does not start: ${server.stderr}`)
    if (ready) {
      if (ready.restored.length === 0) anew++
      else restoredFrom.push(...offsetsOfCheckpoints())
    }
    const endMs = performance.now() + (fault === undefined ? 100 + random(700) : 4_000)
    while (server.isRunning && performance.now() < endMs) await sleep(5)
    const byFault = fault !== undefined && !server.isRunning
    const cause = byFault ? fault.split(':')[0] : 'random'
    kills[cause] = (kills[cause] ?? 0) + 1
    if (!server.isRunning && server.process.signalCode !== 'SIGKILL') throw new Error(`it ended by itself: ${server.stderr}`)
    await server.end('SIGKILL')
    if (producer.exitCode !== null) throw new Error(`kcat gave up: ${complaints}`)
    if (!values.json && (cycle + 1) % 10 === 0) {
      const rate = ((Date.now() - startedMs) / (cycle + 1) / 1_000).toFixed(1)
      console.log(`${cycle + 1} of ${cycles} kills, ${orders} orders and ${clicks} clicks sent, ${rate} s for each`)
    }
  }

  const last = new Server(port, kafkaPort, undefined)
  if (!(await last.ready())) throw new Error(`it does not start: ${last.stderr}`)
  isOver = true
  await writing
  producer.stdin!.end()
  const [code] = await producerClosed
  if (code !== 0) throw new Error(`kcat ended with ${code}: ${complaints}`)
  const results = await settledResults(port, kafkaPort, orders, clicks)
  await last.end('SIGTERM')

  const expected = expectedResults(orders, clicks)
  const wrong = Object.keys(expected).flatMap((name) => difference(name, expected[name], results[name]))
  const offsets = restoredFrom.toSorted((a, b) => a - b)
  const report = {
    bench: 'kills',
    machine: machineText(),
    cycles,
    kills,
    orders,
    clicks,
    rows: Object.fromEntries(Object.entries(results).map(([name, rows]) => [name, rows.length])),
    restored: { starts: cycles - anew, anew, offsets: { least: offsets[0], median: percentile(offsets, 0.5), greatest: offsets.at(-1) } },
    wrong: wrong.length,
    seconds: Math.round((Date.now() - startedMs) / 1_000),
  }
  if (values.json) console.log(JSON.stringify(report))
  else {
    console.log(
      `kills                 ${Object.entries(kills)
        .map(([cause, count]) => `${count} ${phases[cause]}`)
        .join(', ')}`,
    )
    console.log(
      `restores              ${report.restored.starts} from a checkpoint, at offsets ${offsets[0]} to ${offsets.at(-1)}; ${anew} anew`,
    )
    console.log(
      `rows                  ${Object.entries(report.rows)
        .map(([name, count]) => `${name} ${count}`)
        .join(', ')}`,
    )
    console.log(wrong.length === 0 ? `nothing lost, nothing double, in ${report.seconds} s` : wrong.slice(0, 20).join('\n'))
  }
  if (offsets.some((offset) => offset === 0)) throw new Error('a checkpoint that had read nothing was restored')
  if (wrong.length > 0) throw new Error(`${wrong.length} rows are wrong`)
}

async function postUntilAccepted(port: number, topic: string, body: string, key: string): Promise<void> {
  for (;;) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/v1/topics/${topic}/events`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/x-ndjson', 'idempotency-key': key },
        signal: AbortSignal.timeout(10_000),
      })
      const text = await response.text()
      if (response.status === 202) return
      if (response.status < 429) throw Object.assign(new Error(`HTTP ${response.status}: ${text}`), { isFinal: true })
    } catch (error) {
      if ((error as { isFinal?: boolean }).isFinal) throw error
    }
    await sleep(20)
  }
}

/** Records that the newest checkpoint of each job has read. */
function offsetsOfCheckpoints(): number[] {
  const root = join(data, 'checkpoints')
  return (existsSync(root) ? readdirSync(root) : []).flatMap((job) => {
    const ids = readdirSync(join(root, job)).flatMap((name) => (/^chk-\d+$/.test(name) ? [Number(name.slice(4))] : []))
    if (ids.length === 0) return []
    try {
      const line = readFileSync(join(root, job, `chk-${Math.max(...ids)}`), 'utf8')
      const { queries } = JSON.parse(line.slice(9)) as { queries: { inputs: { positions: number[] }[] }[] }
      return [queries.flatMap(({ inputs }) => inputs.flatMap(({ positions }) => positions)).reduce((sum, position) => sum + position, 0)]
    } catch {
      // It has been replaced meanwhile.
      return []
    }
  })
}

type Results = Record<string, string[]>

async function settledResults(port: number, kafkaPort: number, orders: number, clicks: number): Promise<Results> {
  const deadlineMs = performance.now() + 60_000
  let before = ''
  for (;;) {
    const results: Results = {
      orders: committedOf(kafkaPort, 'orders').map((text) => String(JSON.parse(text).id)),
      clicks: committedOf(kafkaPort, 'clicks').map((text) => String(JSON.parse(text).id)),
      sums: committedOf(kafkaPort, 'sums').map((text) => {
        const { customer, window_end, orders: count, total } = JSON.parse(text)
        return `${customer} ${msOfTime(window_end)} ${count} ${total}`
      }),
      relayed: committedOf(kafkaPort, 'relayed').map((text) => String(JSON.parse(text).id)),
      archive: filesOf(join(folder, 'archive')),
      totals: await rowsOf(port, 'totals'),
      pages: await rowsOf(port, 'pages'),
    }
    const now = JSON.stringify(results)
    const isWhole = results.orders.length >= orders && results.relayed.length >= clicks
    if ((isWhole && now === before) || performance.now() > deadlineMs) return results
    before = now
    await sleep(1_000)
  }
}

function committedOf(kafkaPort: number, topic: string): string[] {
  const { stdout, stderr, status } = spawnSync(
    'kcat',
    ['-C', '-b', `127.0.0.1:${kafkaPort}`, '-t', topic, '-o', 'beginning', '-e', '-q', '-X', 'isolation.level=read_committed'],
    { encoding: 'utf8', maxBuffer: 2 ** 30 },
  )
  if (status !== 0) throw new Error(`kcat cannot read ${topic}: ${stderr}`)
  return stdout.split('\n').filter(Boolean)
}

function filesOf(path: string): string[] {
  const names = readdirSync(path).filter((name) => !name.startsWith('.'))
  return names.flatMap((name) => readFileSync(join(path, name), 'utf8').split('\n').filter(Boolean))
}

async function rowsOf(port: number, table: string): Promise<string[]> {
  const page = (await (await fetch(`http://127.0.0.1:${port}/v1/tables/${table}?limit=10000`)).json()) as TablePage
  return page.rows.map((row) => row.join(' '))
}

function expectedResults(orderCount: number, clickCount: number): Results {
  const orders = Array.from({ length: orderCount }, (_, id) => orderOf(id))
  const clicks = Array.from({ length: clickCount }, (_, id) => clickOf(id))
  const watermarkMs = orders.at(-1)!.atMs
  const windows = new Map<string, { count: number; total: number }>()
  for (const { customer, amount, atMs } of orders) {
    const endMs = Math.floor(atMs / WINDOW_MS) * WINDOW_MS + WINDOW_MS
    if (endMs - 1 > watermarkMs) continue
    const window = windows.get(`${customer} ${endMs}`) ?? { count: 0, total: 0 }
    windows.set(`${customer} ${endMs}`, { count: window.count + 1, total: window.total + amount })
  }
  const groups = <T>(items: T[], keyOf: (item: T) => string, amountOf: (item: T) => number) =>
    [...Map.groupBy(items, keyOf)].map(([key, group]) => `${key} ${group.length} ${group.reduce((sum, one) => sum + amountOf(one), 0)}`)
  return {
    orders: orders.map(({ id }) => String(id)),
    clicks: clicks.map(({ id }) => String(id)),
    sums: [...windows].map(([key, { count, total }]) => `${key} ${count} ${total}`),
    relayed: clicks.map(({ id }) => String(id)),
    archive: orders.filter(({ amount }) => amount > 90).map(({ id, customer }) => `${id},${customer}`),
    totals: groups(
      orders,
      ({ customer }) => customer,
      ({ amount }) => amount,
    ),
    pages: groups(
      clicks,
      ({ page }) => page,
      ({ id }) => id,
    ),
  }
}

/** Rows that are missing or too often there. */
function difference(name: string, expected: string[], actual: string[]): string[] {
  const counts = new Map<string, number>()
  for (const row of expected) counts.set(row, (counts.get(row) ?? 0) + 1)
  for (const row of actual) counts.set(row, (counts.get(row) ?? 0) - 1)
  return [...counts].flatMap(([row, count]) =>
    count === 0 ? [] : [`${name}: ${row} ${count > 0 ? 'is lost' : `is there ${-count} times too often`}`],
  )
}
