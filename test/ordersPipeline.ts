// A project whose results depend on every event once, and on no time but the events': windows, sessions, a join and a Top-N, into topics,
// live tables and files. Started, fed and read by tests that kill it, or restore it.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Ready, Running, Server, until } from './harness.ts'

export const BATCH_EVENTS = 40
const main = resolve(import.meta.dirname, '../src/app/main.ts')

export const sql = `
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

export async function start(t: TestContext, folder: string, fault?: string): Promise<Server | undefined> {
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
export async function post(server: Server, batch: number): Promise<boolean> {
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
export async function resultsOf(server: Server, folder: string, eventCount: number): Promise<Record<string, string[]>> {
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
