// DROP in a project that runs: what ends, what goes on, and who says so. Dead letters as a table.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ApiError, QuerySummary, QueryWhy } from '../src/serve/contract.ts'
import { makeProject, startServer, until, untilRows } from './harness.ts'

const orders = "CREATE TABLE orders (k STRING NOT NULL) WITH ('connector' = 'kafka', 'topic' = 'orders');"
const sql = `${orders}
CREATE TABLE copies (k STRING NOT NULL) WITH ('connector' = 'kafka', 'topic' = 'copies');
CREATE TABLE refused (v STRING) WITH ('connector' = 'kafka', 'topic' = 'orders.invalid', 'format' = 'raw');
INSERT INTO copies SELECT k FROM orders;
CREATE MATERIALIZED TABLE counts AS SELECT k, COUNT(*) AS n FROM orders GROUP BY k;
CREATE MATERIALIZED TABLE bad AS SELECT v, COUNT(*) AS n FROM refused GROUP BY v;`

test('a dropped table leaves its queries as they are, a dropped materialized table ends; why and the list of queries tell', async (t) => {
  const folder = makeProject(t, { 'pipelines/shop.sql': sql })
  const server = await startServer(t, folder, [], 'dev')
  await server.post('orders', [{ k: 'a' }, { x: 1 }])
  await untilRows(server, 'counts', [['a', 1]])
  await untilRows(server, 'bad', [['{"x":1}', 1]])
  // Nobody puts a letter there but the server.
  assert.equal((await server.post('orders.invalid', [{ v: 'x' }])).body.error?.code, 'INGEST_TOPIC_NOT_DECLARED')

  writeFileSync(join(folder, 'pipelines/shop.sql'), `${sql}\nDROP TABLE orders;\nDROP MATERIALIZED TABLE counts;`)
  const reloaded = () =>
    server.running.lines<{ reloaded?: { started: string[]; stopped: string[]; kept: string[]; notices: string[] } }>().at(-1)?.reloaded
  await until(reloaded, 'the edit is taken up')
  assert.deepEqual(reloaded()!.stopped, ['counts'])
  assert.deepEqual(reloaded()!.kept.sort(), ['bad', 'insert_into_copies'])
  assert.equal(reloaded()!.notices.length, 2)

  const queries = await server.get<QuerySummary[]>('/v1/queries')
  assert.deepEqual(queries.map(({ id, state, droppedTables }) => [id, state, droppedTables]).sort(), [
    ['bad', 'running', []],
    ['insert_into_copies', 'running', ['orders']],
  ])
  const why = await server.get<QueryWhy>('/v1/queries/copies/why')
  const found = why.findings.find(({ code }) => code === 'TABLE_DROPPED')
  assert.match(found?.fact ?? JSON.stringify(why.findings), /"orders" was dropped in pipelines\/shop.sql/)
  const gone = await server.call<ApiError>('/v1/queries/counts/why')
  assert.equal(gone.status, 404)
  assert.match(gone.body.error.message, /pipelines\/shop.sql drops it/)
  assert.equal((await server.call('/v1/tables/counts')).status, 404)
  assert.equal((await server.post('orders', [{ k: 'b' }])).body.error?.code, 'INGEST_TOPIC_NOT_DECLARED')

  writeFileSync(join(folder, 'pipelines/shop.sql'), sql)
  await until(() => reloaded()!.started.includes('counts'), 'the table is there again')
  await untilRows(server, 'counts', [['a', 1]])
  assert.equal((await server.post('orders', [{ k: 'b' }])).status, 202)
  await until(async () => (await server.messages('copies')).length === 2, 'the kept query goes on')
})
