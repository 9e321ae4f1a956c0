// What a query remembers, asked of the real process over HTTP and on the command line: in one thread and in two, before and after a
// kill; and what is wrong with a question is said with what is right.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiError, OperatorState, QueryState } from '../src/serve/contract.ts'
import { makeProject, run, startServer, until } from './harness.ts'

const sql = `
SET 'execution.checkpointing.interval' = '200 ms';
CREATE TABLE orders (id BIGINT, customer STRING, amount BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
  WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json', 'millrace.partitions' = '2');
CREATE TABLE big (id BIGINT, amount BIGINT) WITH ('connector' = 'kafka', 'topic' = 'big', 'format' = 'json');
CREATE MATERIALIZED TABLE totals AS SELECT customer, COUNT(*) AS orders, SUM(amount) AS total FROM orders GROUP BY customer;
CREATE MATERIALIZED TABLE minutes (PRIMARY KEY (customer, window_end) NOT ENFORCED) AS
  SELECT customer, window_end, SUM(amount) AS total FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
  GROUP BY customer, window_start, window_end;
INSERT INTO big SELECT id, amount FROM orders WHERE amount > 1000000;`

const ORDERS = 3_000
const CUSTOMERS = 300
/** By customer: how many orders, and their sum. */
const expected = (customer: number): [string, number, number] => {
  const own = Array.from({ length: ORDERS }, (_, id) => id).filter((id) => id % CUSTOMERS === customer)
  return [`c${customer}`, own.length, own.reduce((sum, id) => sum + id, 0)]
}
const orders = Array.from({ length: ORDERS }, (_, id) => ({
  id,
  customer: `c${id % CUSTOMERS}`,
  amount: id,
  ts: new Date(1_780_000_000_000 + id).toISOString().slice(0, -1).replace('T', ' '),
}))

for (const [name, threads] of [
  ['in one thread', 1],
  ['in two threads', 2],
] as const)
  test(`what a query remembers, ${name}`, { timeout: 120_000 }, async (t) => {
    const folder = makeProject(t, { 'pipelines/orders.sql': `SET 'parallelism.default' = '${threads}';${sql}` })
    let server = await startServer(t, folder)
    for (let at = 0; at < ORDERS; at += 500) assert.equal((await server.post('orders', orders.slice(at, at + 500))).status, 202)
    const isDone = async () => {
      const { operators } = await server.get<QueryState>('/v1/queries/totals/state')
      const [{ rowsIn, waitingRows, stateRows }] = operators
      return rowsIn >= CUSTOMERS && waitingRows === 0 && stateRows >= CUSTOMERS && (await totalsOf()) === ORDERS
    }
    const totalsOf = async () => (await server.rows('totals')).reduce((sum: number, [, count]: unknown[]) => sum + Number(count), 0)
    await until(isDone, 'not all orders were counted')

    const look = async () => {
      const { operators, query } = await server.get<QueryState>('/v1/queries/totals/state')
      assert.deepEqual(
        [
          query,
          operators.map(({ node, stateRows, tables }) => [
            node,
            stateRows,
            tables.map(({ name, key }) => [name, key.map((one) => one.name)]),
          ]),
        ],
        ['totals', [['groupAggregate', CUSTOMERS, [['groups', ['customer']]]]]],
      )
      const [{ id }] = operators
      const all = await server.get<OperatorState>(`/v1/queries/totals/state/${id}?limit=500`)
      const rows = all.tables[0].entries.map(({ key, rows: [{ values }] }) => [...key, ...values])
      assert.deepEqual(
        new Set(rows.map((row) => JSON.stringify(row))),
        new Set(Array.from({ length: CUSTOMERS }, (_, i) => JSON.stringify(expected(i)))),
      )
      const cut = await server.get<OperatorState>('/v1/queries/totals/state/groupAggregate?limit=7')
      assert.equal(cut.tables[0].entries.length, 7)
      assert.equal(cut.tables[0].keyCount, CUSTOMERS)
      for (const customer of [0, 17, 299])
        for (const key of [`customer=${`c${customer}`}`, JSON.stringify({ customer: `c${customer}` })]) {
          const one = await server.get<OperatorState>(`/v1/queries/totals/state/groupAggregate?key=${encodeURIComponent(key)}`)
          assert.deepEqual(one.tables[0].entries, [{ key: [`c${customer}`], rows: [{ values: expected(customer).slice(1) }], rowCount: 1 }])
        }
      const none = await server.get<OperatorState>('/v1/queries/totals/state/groupAggregate?key=customer%3Dnobody')
      assert.deepEqual([none.tables[0].entries, none.tables[0].kept.by], [[], 'query'])
    }
    await look()
    // From its checkpoint.
    await server.running.kill('SIGKILL')
    server = await startServer(t, folder)
    await until(isDone, 'the state did not come back')
    await look()
  })

test('why a row is still there, a wrong question, and the command line', { timeout: 120_000 }, async (t) => {
  const server = await startServer(t, makeProject(t, { 'pipelines/orders.sql': sql }))
  const millrace = async (...args: string[]) => {
    const running = run(t, ['queries', 'state', ...args, '--url', server.ready.url])
    const { code } = await running.exited
    return { code, stdout: running.stdout, stderr: running.stderr }
  }
  const empty = await millrace('totals', 'groupAggregate')
  assert.match(empty.stdout, /no row has come to it yet/)
  await server.post('orders', orders.slice(0, 400))
  await until(async () => (await server.rows('totals')).length === CUSTOMERS, 'not all came')

  const minutes = await server.get<OperatorState>('/v1/queries/minutes/state/windowAggregate?key=customer%3Dc5')
  const end = Math.floor(1_780_000_000_000 / 60_000) * 60_000 + 60_000
  const text = (ms: number) => new Date(ms).toISOString().slice(0, -1).replace('T', ' ')
  assert.equal(minutes.tables[0].kept.by, 'eventTime')
  assert.deepEqual(minutes.tables[0].entries[0].rows, [{ values: [text(end - 60_000), text(end), 310], untilMs: end - 1 }])

  const wrong = async (path: string) => {
    const response = await fetch(`${server.ready.url}${path}`)
    const { error } = (await response.json()) as ApiError
    return [response.status, error.code, error.hint] as const
  }
  for (const [path, status, code, hint] of [
    ['/v1/queries/nobody/state', 404, 'SERVE_QUERY_NOT_FOUND', /millrace queries/],
    ['/v1/queries/totals/state/77', 404, 'STATE_OPERATOR_UNKNOWN', /\d \(groupAggregate\)/],
    ['/v1/queries/big/state/calc', 404, 'STATE_OPERATOR_UNKNOWN', /one row at a time/],
    ['/v1/queries/totals/state/groupAggregate?key=user%3D1', 400, 'STATE_KEY_COLUMNS', /\(customer\)/],
    ['/v1/queries/totals/state/groupAggregate?key=%7B%7D', 400, 'STATE_KEY_COLUMNS', /\(customer\)/],
    ['/v1/queries/totals/state/groupAggregate?key=ana', 400, 'SERVE_STATE_KEY', /user=42/],
    ['/v1/queries/totals/state/groupAggregate?key=%7Bx', 400, 'SERVE_STATE_KEY', /user=42/],
    ['/v1/queries/totals/state/groupAggregate?limit=0', 400, 'HTTP_REQUEST_INVALID', /openapi/],
  ] as const) {
    const found = await wrong(path)
    assert.deepEqual(found.slice(0, 2), [status, code], path)
    assert.match(found[2], hint)
  }
  assert.deepEqual((await server.get<QueryState>('/v1/queries/big/state')).operators, [])

  const overview = await millrace('totals')
  assert.match(overview.stdout, /groupAggregate +groups +customer +300 /)
  const some = await millrace('totals', 'groupAggregate', '--limit', '2')
  assert.match(some.stdout, /the first 2, 300 entries/)
  const one = await millrace('totals', '--key', 'customer=c7', '--json')
  assert.deepEqual((JSON.parse(one.stdout) as OperatorState).tables[0].entries[0].rows, [{ values: [2, 314] }])
  assert.match((await millrace('minutes', 'windowAggregate', '--key', 'customer=c7')).stdout, /until[\s\S]*watermark \d{4}-/)
  const refused = await millrace('totals', 'groupAggregate', '--key', 'user=1')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /STATE_KEY_COLUMNS[\s\S]*\(customer\)/)
  assert.match((await millrace('big')).stdout, /remembers nothing/)

  const stop = run(t, ['queries', 'stop', 'totals', '--url', server.ready.url])
  assert.equal((await stop.exited).code, 0)
  const stopped = await wrong('/v1/queries/totals/state')
  assert.deepEqual(stopped.slice(0, 2), [409, 'SERVE_STATE_NOT_RUNNING'])
  assert.match(stopped[2], /millrace queries start totals[\s\S]*millrace state totals/)
})
