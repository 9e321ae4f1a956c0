// Exactly once, on real processes: a platform that is killed again and again, at random and at each phase of a checkpoint, gives what one
// gives that was never killed. Windows, sessions, a join and a Top-N; into topics, live tables and files.
//
// Events have ordered times, so nothing depends on when they come: lost and double rows are all that can differ.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeProject, type Ready, Running, Server, until } from './harness.ts'

/** `.ci/run` has 50. */
const KILLS = Number(process.env.MILLRACE_TEST_KILLS ?? 15)
const BATCH_EVENTS = 40
const main = resolve(import.meta.dirname, '../src/app/main.ts')

const sql = `
SET 'execution.checkpointing.interval' = '150 ms';
CREATE TABLE orders (id STRING NOT NULL, customer STRING NOT NULL, amount INT NOT NULL, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json');
CREATE TABLE sums (customer STRING, window_end TIMESTAMP(3), orders BIGINT, total INT) WITH ('connector' = 'kafka', 'topic' = 'sums', 'format' = 'json');
CREATE TABLE visits (customer STRING, began TIMESTAMP(3), ended TIMESTAMP(3), orders BIGINT) WITH ('connector' = 'kafka', 'topic' = 'visits', 'format' = 'json');
CREATE TABLE pairs (a STRING, b STRING) WITH ('connector' = 'kafka', 'topic' = 'pairs', 'format' = 'json');
CREATE TABLE spenders (customer STRING NOT NULL, total INT NOT NULL, PRIMARY KEY (customer) NOT ENFORCED)
WITH ('connector' = 'upsert-kafka', 'topic' = 'spenders', 'key.format' = 'raw', 'value.format' = 'json');
CREATE TABLE archive (id STRING, customer STRING, amount INT) WITH ('connector' = 'filesystem', 'path' = 'archive', 'format' = 'csv');
INSERT INTO archive SELECT id, customer, amount FROM orders WHERE amount > 2;
INSERT INTO sums SELECT customer, window_end, COUNT(*), SUM(amount)
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, customer;
INSERT INTO visits SELECT customer, window_start, window_end, COUNT(*)
FROM TABLE(SESSION(TABLE orders PARTITION BY customer, DESCRIPTOR(ts), INTERVAL '3' SECOND)) GROUP BY window_start, window_end, customer;
INSERT INTO pairs SELECT a.id, b.id FROM orders a JOIN orders b ON a.customer = b.customer AND a.amount = b.amount AND a.id <> b.id
AND b.ts BETWEEN a.ts - INTERVAL '2' SECOND AND a.ts + INTERVAL '2' SECOND;
INSERT INTO spenders SELECT customer, SUM(amount) FROM orders GROUP BY customer;
CREATE MATERIALIZED TABLE totals AS SELECT customer, COUNT(*) AS orders, SUM(amount) AS total FROM orders GROUP BY customer;
CREATE MATERIALIZED TABLE best (PRIMARY KEY (customer, place) NOT ENFORCED) AS SELECT customer, place, id, amount FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY amount DESC, id) AS place FROM orders) WHERE place <= 3;
CREATE MATERIALIZED TABLE relayed AS SELECT customer, COUNT(*) AS windows, SUM(total) AS total FROM sums GROUP BY customer;
`
const topics = ['sums', 'visits', 'pairs']
const tables = ['totals', 'best', 'relayed']

/** The events of a batch: the same for the same number. */
const batchOf = (batch: number) =>
  Array.from({ length: BATCH_EVENTS }, (_, i) => {
    const n = batch * BATCH_EVENTS + i
    const customer = `c${(n * n) % 11}`
    return {
      id: `o${n}`,
      customer,
      amount: ((n * 31) >> 2) % 5,
      ts: new Date(1_767_225_600_000 + n * 400).toISOString().slice(0, -1).replace('T', ' '),
    }
  })

async function start(t: TestContext, folder: string, fault?: string): Promise<Server | undefined> {
  const args = [
    '--disable-warning=ExperimentalWarning',
    main,
    'start',
    folder,
    '--port',
    '0',
    '--kafka-port',
    'none',
    '--workers',
    '1',
    '--json',
  ]
  const env = { ...process.env, ...(fault !== undefined && { MILLRACE_FAULT: fault }) }
  const running = new Running(process.execPath, [...args, '--data', join(folder, 'data')], { env })
  t.after(() => running.kill('SIGKILL'))
  await until(
    () => running.stdout.includes('\n') || !running.isRunning,
    () => `not ready: ${running.output}`,
    60_000,
  )
  // A fault may end it before it is ready.
  return running.stdout.includes('\n') ? new Server(running, running.lines<Ready>()[0]) : undefined
}

/** Posts a batch until it is acknowledged or the process is gone. */
async function post(server: Server, batch: number): Promise<boolean> {
  while (server.running.isRunning) {
    try {
      const { status } = await server.post('orders', batchOf(batch), { 'idempotency-key': `batch-${batch}` })
      if (status === 202) return true
    } catch {
      await sleep(5)
    }
  }
  return false
}

const finishedLines = (folder: string): string[] =>
  (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').trimEnd().split('\n'))

/** What topics, tables and files hold when everything has been read. */
async function resultsOf(server: Server, folder: string, eventCount: number): Promise<Record<string, string[]>> {
  const last = eventCount - 1
  const results: Record<string, string[]> = {}
  let before = ''
  await until(
    async () => {
      for (const topic of topics) results[topic] = (await server.messages(topic)).map(({ value }) => JSON.stringify(value)).sort()
      for (const table of tables) results[table] = (await server.rows(table)).map((row) => JSON.stringify(row)).sort()
      // An upsert topic is what is left of it.
      results.spenders = [
        ...new Map((await server.messages('spenders')).map(({ key, value }) => [key, JSON.stringify(value)])).values(),
      ].sort()
      results.archive = finishedLines(join(folder, 'archive')).sort()
      const orders = results.totals.reduce((sum, row) => sum + JSON.parse(row)[1], 0)
      const now = JSON.stringify(results)
      const isSettled = orders === last + 1 && now === before
      before = now
      if (!isSettled) await sleep(700)
      return isSettled
    },
    () => `not all is there: ${before.slice(0, 1_000)}; ${server.running.stderr}`,
    60_000,
  )
  return results
}

test(`${KILLS} kills, at random and in each phase of a checkpoint: nothing is lost, nothing is double`, {
  timeout: 1_200_000,
}, async (t) => {
  const folder = makeProject(t, { 'pipelines/orders.sql': sql })
  // A seeded choice of when: at a call of the checkpoints' disk, between its phases, or any time.
  let state = 20_260_101
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % below
  }
  let batch = 0
  let restoredCount = 0
  const causes: Record<string, number> = {}
  for (let kill = 0; kill < KILLS; kill++) {
    const fault = [undefined, `disk:${1 + random(45)}`, `cut:${1 + random(3)}`, `durable:${1 + random(3)}`, `settled:${1 + random(3)}`][
      kill % 5
    ]
    const server = await start(t, folder, fault)
    if (server) {
      restoredCount += (server.ready as unknown as { restored: unknown[] }).restored.length > 0 ? 1 : 0
      const until = performance.now() + 250 + random(500)
      const isLeft = () => server.running.isRunning && (fault === undefined ? performance.now() < until : performance.now() < until + 4_000)
      while (isLeft()) {
        if (await post(server, batch)) batch++
        await sleep(20 + random(60))
      }
    }
    const cause = server?.running.isRunning ? 'random' : (fault?.split(':')[0] ?? 'random')
    causes[cause] = (causes[cause] ?? 0) + 1
    await server?.running.kill('SIGKILL')
    if (server && server.running.stderr !== '') t.diagnostic(server.running.stderr.slice(0, 2_000))
  }
  const last = await start(t, folder)
  assert.ok(last)
  // The one that was on its way when the process ended, and one more.
  for (let i = 0; i < 2; i++) if (await post(last, batch)) batch++
  const results = await resultsOf(last, folder, batch * BATCH_EVENTS)
  await last.running.kill('SIGTERM')

  const plain = makeProject(t, { 'pipelines/orders.sql': sql })
  const reference = await start(t, plain)
  assert.ok(reference)
  for (let i = 0; i < batch; i++) await post(reference, i)
  const expected = await resultsOf(reference, plain, batch * BATCH_EVENTS)
  for (const name of Object.keys(expected)) assert.deepEqual(results[name], expected[name], name)
  assert.ok(expected.sums.length > 20 && expected.pairs.length > 5 && expected.archive.length > 100 && expected.visits.length > 5)
  assert.ok(restoredCount >= Math.floor(KILLS / 2), `only ${restoredCount} of ${KILLS} starts went on from a checkpoint`)
  t.diagnostic(`${batch * BATCH_EVENTS} events, ${restoredCount} starts from a checkpoint, kills by cause ${JSON.stringify(causes)}`)
})
