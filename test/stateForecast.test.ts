// The state that a query would have, before it is deployed: on the real process, over records whose times are spread over the last hour.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StateForecast } from '../src/serve/contract.ts'
import { makeProject, startServer, untilRows } from './harness.ts'

const source = `CREATE TABLE orders (
  at_time TIMESTAMP(3) NOT NULL, customer STRING NOT NULL, city STRING,
  WATERMARK FOR at_time AS at_time
) WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json', 'millrace.partitions' = '2');`
const per = (column: string) =>
  `CREATE MATERIALIZED TABLE per_${column} (PRIMARY KEY (${column}) NOT ENFORCED) AS SELECT ${column}, COUNT(*) AS orders FROM orders GROUP BY ${column};\n`
const minutes = `CREATE MATERIALIZED TABLE minutes (PRIMARY KEY (window_start) NOT ENFORCED) AS
SELECT window_start, COUNT(*) AS orders FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(at_time), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end;\n`
const slow = `export function slow(text: string): string {
  const untilMs = performance.now() + 25
  while (performance.now() < untilMs);
  return text
}`
const COUNT = 6_000
const HOUR_MS = 3_600_000

test('state grows with new keys, and not with old ones or with windows that close; nothing that runs is touched', async (t) => {
  const server = await startServer(t, makeProject(t, { 'pipelines/orders.sql': source, 'pipelines/city.sql': per('city') }))
  const post = <T>(path: string, body: object) =>
    server.call<T>(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const startMs = Date.now() - HOUR_MS
  const messages = Array.from({ length: COUNT }, (_, i) => {
    const timestampMs = Math.floor(startMs + (i * HOUR_MS) / COUNT)
    const at = new Date(timestampMs).toISOString().slice(0, 23).replace('T', ' ')
    return { value: JSON.stringify({ at_time: at, customer: `customer ${i}`, city: `city ${i % 5}` }), partition: i % 2, timestampMs }
  })
  for (let i = 0; i < COUNT; i += 1_000)
    assert.equal((await post('/v1/topics/orders/messages', { messages: messages.slice(i, i + 1_000) })).status, 201)
  const cities = Array.from({ length: 5 }, (_, i) => [`city ${i}`, COUNT / 5])
  await untilRows(server, 'per_city', cities)

  const sql = per('city') + per('customer') + minutes + per('city').replace('per_city', 'copy')
  const { status, body } = await post<StateForecast>('/v1/queries/forecast', { file: 'city.sql', sql, since: '2h' })
  assert.equal(status, 200, JSON.stringify(body))
  assert.equal(body.records, COUNT)
  assert.ok(body.firstMs === messages[0].timestampMs && body.lastMs === messages.at(-1)!.timestampMs, JSON.stringify(body))
  // What stays as it is keeps the state that it has.
  assert.deepEqual(
    body.queries.map(({ query, state, recordsRead }) => [query, state, recordsRead]),
    ['per_customer', 'minutes', 'copy'].map((query) => [query, 'new', COUNT]),
  )
  const [customers, windows, copy] = body.queries
  assert.equal(customers.stateRows, COUNT)
  assert.equal(customers.operators.length, 1)
  // Half of it came in the second half of an hour.
  const perHour = customers.bytesPerHour! / customers.stateBytes
  assert.ok(perHour > 0.7 && perHour < 1.3, `grows by ${perHour} of it an hour`)
  assert.equal(copy.stateRows, 5)
  assert.equal(copy.bytesPerHour, 0)
  assert.ok(windows.stateRows > 0 && windows.stateRows <= 3, `${windows.stateRows} windows are open`)
  assert.equal(windows.bytesPerHour, 0)
  assert.deepEqual(
    (await server.get<{ id: string }[]>('/v1/queries')).map(({ id }) => id),
    ['per_city'],
  )
  await untilRows(server, 'per_city', cities)

  // Of the last minutes alone: too short to say how it grows.
  const { body: short } = await post<StateForecast>('/v1/queries/forecast', { file: 'customer.sql', sql: per('customer'), since: '30s' })
  assert.ok(
    short.queries[0].stateRows === short.records && short.records < 100 && short.queries[0].bytesPerHour === undefined,
    JSON.stringify(short),
  )
  const wrong = await post<{ error: { code: string } }>('/v1/queries/forecast', { file: 'x.sql', sql: per('customr') })
  assert.deepEqual([wrong.status, wrong.body.error.code], [400, 'SQL_COLUMN_NOT_FOUND'])
})

test('a text of many slow queries is measured in the time of one', async (t) => {
  const server = await startServer(t, makeProject(t, { 'pipelines/orders.sql': `${source}\n${per('city')}`, 'functions/slow.ts': slow }))
  const init = (body: object) => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const messages = Array.from({ length: 400 }, (_, i) => ({ value: JSON.stringify({ at_time: '2026-01-01 00:00:00', customer: `c${i}` }) }))
  assert.equal((await server.call('/v1/topics/orders/messages', init({ messages }))).status, 201)
  // Ten seconds for each of eight.
  const queries = Array.from({ length: 8 }, (_, i) => per('customer').replace('per_customer', `slow_${i}`).replace('SELECT customer', 'SELECT slow(customer) AS customer').replace('GROUP BY customer', 'GROUP BY slow(customer)')) // biome-ignore format: one thought
  const sql = `CREATE FUNCTION slow (text STRING) RETURNS STRING LANGUAGE TYPESCRIPT AS 'functions/slow.ts';\n${queries.join('')}`
  const startedMs = performance.now()
  const { status, body } = await server.call<StateForecast>('/v1/queries/forecast', init({ file: 'slow.sql', sql, since: 'earliest' }))
  assert.equal(status, 200, JSON.stringify(body))
  assert.ok(performance.now() - startedMs < 45_000, `${performance.now() - startedMs} ms`)
  assert.equal(body.queries.length, 8)
  assert.ok(body.queries.some(({ recordsRead }) => recordsRead < 400))
})
