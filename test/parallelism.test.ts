// Queries in several threads on the real process: the same rows, and what becomes of their state when the number of threads changes.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { QuerySummary, QueryWhy } from '../src/serve/contract.ts'
import { makeProject, startServer, until, untilRows } from './harness.ts'

const sql = (threads: number) => `SET 'parallelism.default' = '${threads}';
CREATE TABLE orders (customer STRING NOT NULL, amount INT) WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json', 'millrace.partitions' = '2', 'key.fields' = 'customer');
CREATE MATERIALIZED TABLE totals (PRIMARY KEY (customer) NOT ENFORCED) AS SELECT customer, SUM(amount) AS total FROM orders GROUP BY customer;
CREATE TABLE sums (customer STRING, total INT, PRIMARY KEY (customer) NOT ENFORCED) WITH ('connector' = 'upsert-kafka', 'topic' = 'sums', 'key.format' = 'json', 'value.format' = 'json');
INSERT INTO sums SELECT customer, SUM(amount) FROM orders GROUP BY customer;`

test('another number of threads: a table is computed anew, a sink is not written twice unasked', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, { 'pipelines/orders.sql': sql(2) })
  let server = await startServer(t, folder)
  const post = async (from: number, to: number) => {
    const events = Array.from({ length: to - from }, (_, i) => `{"customer":"c${(from + i) % 20}","amount":1}`)
    assert.equal((await server.post('orders', events.join('\n'))).status, 202)
  }
  const rows = (count: number) => Array.from({ length: 20 }, (_, i) => [`c${i}`, count / 20])
  const why = (query: string) => server.get<QueryWhy>(`/v1/queries/${query}/why`)
  await post(0, 200)
  await untilRows(server, 'totals', rows(200))
  assert.equal((await why('totals')).subtasks.length, 2)

  // The same number: it goes on.
  await server.running.kill('SIGTERM')
  server = await startServer(t, folder)
  assert.deepEqual(server.ready.errors, [])
  await post(200, 400)
  await untilRows(server, 'totals', rows(400))

  await server.running.kill('SIGTERM')
  writeFileSync(join(folder, 'pipelines/orders.sql'), sql(1))
  server = await startServer(t, folder)
  await post(400, 600)
  await untilRows(server, 'totals', rows(600))
  await until(async () => (await why('insert_into_sums')).state === 'failed', 'the sink is written to again')
  const failed = (await server.get<QuerySummary[]>('/v1/queries')).find(({ id }) => id === 'insert_into_sums')
  assert.equal(failed?.error?.code, 'STATE_NOT_RESTORED')

  // Back again, and it goes on where it was.
  await server.running.kill('SIGTERM')
  writeFileSync(join(folder, 'pipelines/orders.sql'), sql(2))
  server = await startServer(t, folder)
  await post(600, 800)
  await untilRows(server, 'totals', rows(800))
  await until(async () => (await why('insert_into_sums')).rowsIn >= 800, 'the sink does not go on')
})
