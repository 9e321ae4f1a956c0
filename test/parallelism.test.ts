// Queries in several threads on the real process: the same rows, also when the number of threads changes, by a stop, a kill or a savepoint.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { QueryWhy } from '../src/serve/contract.ts'
import { makeProject, run, startServer, untilRows } from './harness.ts'

const sql = (threads: number) => `SET 'parallelism.default' = '${threads}';
CREATE TABLE orders (customer STRING NOT NULL, amount INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'kafka', 'topic' = 'orders',
  'format' = 'json', 'millrace.partitions' = '2', 'key.fields' = 'customer');
CREATE MATERIALIZED TABLE totals (PRIMARY KEY (customer) NOT ENFORCED) AS
  SELECT customer, SUM(amount) AS total, COUNT(DISTINCT amount) AS amounts FROM orders GROUP BY customer;
CREATE TABLE windows (customer STRING, ends TIMESTAMP(3), n BIGINT) WITH ('connector' = 'kafka', 'topic' = 'windows', 'format' = 'json');
INSERT INTO windows SELECT customer, window_end, COUNT(*) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND))
  GROUP BY customer, window_start, window_end;
CREATE MATERIALIZED TABLE written (PRIMARY KEY (customer) NOT ENFORCED) AS
  SELECT customer, COUNT(*) AS windows, COUNT(DISTINCT ends) AS ends, SUM(n) AS n FROM windows GROUP BY customer;`

const CUSTOMERS = 20

test('another number of threads: state is dealt out anew, and nothing is lost or written twice', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, { 'pipelines/orders.sql': sql(2) })
  let server = await startServer(t, folder)
  let posted = 0
  /** Each second of event time has one order of each customer. */
  const post = async (seconds: number) => {
    const events = Array.from({ length: seconds * CUSTOMERS }, (_, i) => {
      const second = posted + Math.floor(i / CUSTOMERS)
      return JSON.stringify({ customer: `c${i % CUSTOMERS}`, amount: second % 7, ts: new Date(second * 1_000).toISOString().slice(0, -1) })
    })
    assert.equal((await server.post('orders', events.join('\n'))).status, 202)
    posted += seconds
  }
  const expectAll = async () => {
    const total = Array.from({ length: posted }, (_, second) => second % 7).reduce((sum, amount) => sum + amount, 0)
    const customers = Array.from({ length: CUSTOMERS }, (_, i) => `c${i}`)
    await untilRows(server, 'totals', customers.map((customer) => [customer, total, Math.min(7, posted)])) // biome-ignore format: short
    // A window is closed by an order of its end or later.
    const closed = Math.floor((posted - 1) / 10)
    await untilRows(server, 'written', customers.map((customer) => [customer, closed, closed, closed * 10])) // biome-ignore format: short
  }
  const restart = async (threads: number, { signal = 'SIGTERM' as NodeJS.Signals, args = [] as string[] } = {}) => {
    await server.running.kill(signal)
    writeFileSync(join(folder, 'pipelines/orders.sql'), sql(threads))
    server = await startServer(t, folder, args)
    assert.deepEqual(server.ready.errors, [])
    const { restored, notices } = server.ready as unknown as { restored: { query: string }[]; notices: string[] }
    assert.deepEqual(restored.map(({ query }) => query).sort(), ['insert_into_windows', 'totals', 'written'])
    assert.ok(
      notices.some((notice) => notice.startsWith('totals: the state of its ') && notice.endsWith(` is dealt out to ${threads}`)),
      notices.join(),
    )
    assert.equal((await server.get<QueryWhy>('/v1/queries/totals/why')).subtasks.length, threads)
  }
  await post(25)
  await expectAll()
  await restart(1)
  await post(8)
  await expectAll()
  await restart(3)
  await post(14)
  await expectAll()

  // A savepoint in three threads; what comes after it is read again from the log.
  const made = run(t, ['savepoint', 'create', 'three', '--url', server.ready.url])
  assert.equal((await made.exited).code, 0, made.output)
  await post(12)
  await restart(2, { signal: 'SIGKILL' })
  await expectAll()
  await post(5)
  await restart(4, { signal: 'SIGKILL' })
  await expectAll()
  const state = run(t, ['state', 'totals', '--data', join(folder, 'data'), '--savepoint', 'three', '--json'])
  assert.equal((await state.exited).code, 0, state.output)
  const [saved] = state.lines<{ parallelism: number; operators: { stateRows: number; sampleKeys: string[][] }[] }>()
  assert.equal(saved.parallelism, 3)
  assert.deepEqual(
    saved.operators.filter(({ sampleKeys }) => sampleKeys.length > 0).map(({ stateRows }) => stateRows),
    [CUSTOMERS],
  )
})

test('a savepoint starts in another number of threads', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, { 'pipelines/orders.sql': sql(3) })
  let server = await startServer(t, folder)
  const events = Array.from({ length: 100 }, (_, i) => JSON.stringify({ customer: `c${i % 5}`, amount: 1, ts: '2026-01-01T00:00:00' }))
  assert.equal((await server.post('orders', events.join('\n'))).status, 202)
  const rows = Array.from({ length: 5 }, (_, i) => [`c${i}`, 20, 1])
  await untilRows(server, 'totals', rows)
  const made = run(t, ['savepoint', 'create', 'before', '--url', server.ready.url])
  assert.equal((await made.exited).code, 0, made.output)
  await server.running.kill('SIGTERM')
  writeFileSync(join(folder, 'pipelines/orders.sql'), sql(2))
  server = await startServer(t, folder, ['--from-savepoint', 'before'])
  assert.deepEqual(server.ready.errors, [])
  assert.equal((await server.post('orders', events.join('\n'))).status, 202)
  await untilRows(
    server,
    'totals',
    rows.map(([customer]) => [customer, 40, 1]),
  )
})
