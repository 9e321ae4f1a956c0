// Golden files of a project over HTTP, on the real process: drafts from the log, what a statement cannot do in one, and no child left behind.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProjectTest, TestRun } from '../src/serve/contract.ts'
import { makeProject, startServer, until } from './harness.ts'

const sql = `CREATE TABLE orders (customer STRING NOT NULL, amount INT) WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json');
CREATE TABLE users (id INT NOT NULL, name STRING, PRIMARY KEY (id) NOT ENFORCED)
  WITH ('connector' = 'upsert-kafka', 'topic' = 'users', 'key.format' = 'json', 'value.format' = 'json');
CREATE TABLE parts (k STRING, n INT) WITH ('connector' = 'kafka', 'topic' = 'parts', 'format' = 'json', 'millrace.partitions' = '3');
CREATE MATERIALIZED TABLE by_k AS SELECT k, SUM(n) AS n FROM parts GROUP BY k;
CREATE MATERIALIZED TABLE totals AS SELECT customer, SUM(amount) AS total FROM orders GROUP BY customer;
CREATE MATERIALIZED TABLE names AS SELECT id, name FROM users;`

test('drafts hold the rows that came, and only those', { timeout: 60_000 }, async (t) => {
  const server = await startServer(t, makeProject(t, { 'pipelines/orders.sql': sql, 'tests/folder.test/notes.txt': 'not a test' }))
  const send = async (method: string, path: string, body: unknown) => {
    const response = await fetch(`${server.ready.url}/v1/project/tests${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    const answer = (await response.json()) as { text?: string; error?: { code: string; message: string } }
    return { status: response.status, ...answer }
  }
  const draft = async (body: unknown) => send('POST', '/a.test/draft', body)
  await server.post(
    'orders',
    Array.from({ length: 250 }, (_, i) => ({ customer: `é${i}`, ...(i % 2 && { amount: i }) })),
  )
  for (const name of ['x', 'y']) await server.post('users', [{ id: 1, name }])

  // An update is its new row, not the old one again.
  const names = await draft({ query: 'names' })
  assert.match(names.text ?? '', /--- input users\n\{"id":1,"name":"x"\}\n\{"id":1,"name":"y"\}\n--- use/, JSON.stringify(names))
  const all = (await draft({ query: 'totals', slice: { since: 'earliest' } })).text ?? ''
  assert.equal(all.match(/^\{/gm)?.length, 200)
  assert.match(all, /^-- a\n-- Of orders only the first 200 rows that were asked for\.\n--- input/)
  assert.match(
    (await draft({ query: 'totals', slice: { newest: 1 } })).text ?? '',
    /^-- a\n--- input orders\n\{"customer":"é249","amount":249\}\n---/,
  )

  // Each partition keeps its rows in their order; a draft of several plays as it is.
  const produced = await server.call('/v1/topics/parts/messages', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [2, 0, 2].map((partition, n) => ({ value: `{"k":"a","n":${n}}`, partition })) }),
  })
  assert.equal(produced.status, 201)
  const parts = (await draft({ query: 'by_k' })).text ?? ''
  assert.match(parts, /--- input parts\n@partition 0\n\{"k":"a","n":1\}\n@partition 2\n\{"k":"a","n":0\}\n\{"k":"a","n":2\}\n---/, parts)
  assert.match(parts, /--- expect by_k\n[\s\S]*\["a", 3\]/, parts)

  // A file of the machine is none of the statement's.
  const sneaky = await draft({ sql: 'SELECT customer FROM orders --\n--- use /etc/passwd\n--- sql\n--' })
  assert.equal(sneaky.error?.code, 'PROJECT_TEST_SECTION', JSON.stringify(sneaky))

  // What takes for ever holds up nobody, and ends with the server.
  const endless = draft({ sql: 'SELECT COUNT(*) FROM orders a, orders b, orders c, orders d, orders e', slice: { newest: 200 } })
  await until(async () => (await server.get<ProjectTest[]>('/v1/project/tests')).length === 0, 'the server is held up')

  assert.equal((await send('PUT', '/a.test', { text: all, version: null })).status, 200)
  const run = (await send('POST', '/a.test/run', {})) as unknown as TestRun
  assert.ok(run.passed, JSON.stringify(run))
  const wrong = all.replace(/^\["é1", 1\]$/m, '["ü1", 1]')
  const [{ version }] = await server.get<ProjectTest[]>('/v1/project/tests')
  assert.equal((await send('PUT', '/a.test', { text: wrong, version })).status, 200)
  assert.equal((await send('PUT', '/a.test', { text: all, version })).error?.code, 'PROJECT_TEST_CHANGED')
  const differs = (await send('POST', '/a.test/run', {})) as unknown as TestRun
  assert.ok(
    differs.problems[0]?.lines.some((line) => line.includes('ü1')),
    JSON.stringify(differs),
  )

  const waiting = send('POST', '/a.test/run', {})
  await server.get('/v1/project/tests')
  await server.running.kill('SIGTERM')
  for (const { error } of await Promise.all([endless, waiting])) assert.match(error?.message ?? '', /the server is stopping/)
})
