// What SQL says of passwords leaves a real process nowhere but to those who may edit it.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ApiError, ProjectFile } from '../src/serve/contract.ts'
import { makeProject, run, startServer, until } from './harness.ts'

const secret = (n: number) => `geheim${n}`
const orders = `
CREATE TABLE orders (k STRING, n BIGINT) WITH (
  'connector' = 'kafka', 'topic' = 'orders', 'format' = 'json',
  'properties.sasl.jaas.config' = 'PlainLoginModule required password="${secret(1)}";', 'properties.ssl.key.password' /* of it */ = '${secret(2)}'
);
SET 'execution.checkpointing.interval' = '1 s';
CREATE MATERIALIZED TABLE pairs AS
SELECT a.k, COUNT(*) AS n FROM orders /*+ OPTIONS('properties.ssl.key.password' = '${secret(3)}') */ a JOIN orders b ON a.k = b.k GROUP BY a.k;
INSERT INTO orders /*+ OPTIONS('properties.ssl.key.password' = '${secret(4)}') */ SELECT 'x', 1 FROM orders WHERE FALSE;
`

test('secrets of SQL are masked in every answer and in what the process prints; administrators have the files as they are', async (t) => {
  const folder = makeProject(t, { 'pipelines/orders.sql': orders, 'tests/o.test': `-- o\n--- sql\n${orders}` })
  const data = join(folder, 'data')
  const tokens: Record<string, string> = {}
  for (const role of ['reader', 'admin']) {
    const made = run(t, ['token', 'create', '--role', role, '--data', data, '--json'])
    await made.exited
    tokens[role] = made.lines<{ token: string }>()[0].token
  }
  const server = await startServer(t, folder, ['--host', '0.0.0.0', '--kafka-port', '0'], 'dev')
  const url = `http://127.0.0.1:${server.ready.port}`
  const ask = async (role: string, path: string, body?: unknown) => {
    const headers = { authorization: `Bearer ${tokens[role]}`, 'content-type': 'application/json' }
    const response = await fetch(`${url}${path}`, { headers, ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }) })
    return { status: response.status, text: await response.text() }
  }
  assert.deepEqual(server.ready.errors, [])
  const sql = (statement: string) => ['/v1/sql', { sql: statement }] as const
  // An edit with a mistake, of which errors tell.
  writeFileSync(join(folder, 'pipelines/wrong.sql'), `SET 'x.password' '${secret(5)}';`)
  await until(() => server.running.stdout.includes('"reloaded"'), 'the edit is not seen')
  const asked: [string, unknown?][] = [
    ['/v1/queries'],
    ['/v1/queries/pairs/history'],
    ['/v1/queries/pairs/history/1'],
    ['/v1/queries/pairs/config'],
    ['/v1/queries/pairs/why'],
    ['/v1/queries/pairs/graph'],
    ['/v1/queries/pairs/state'],
    ['/v1/queries/pairs/parity'],
    ['/v1/lineage'],
    ['/v1/health'],
    ['/v1/attention'],
    ['/v1/deploys'],
    ['/v1/catalog'],
    ['/v1/project/files'],
    ['/v1/project/tests'],
    ['/v1/topics/orders'],
    ['/v1/topics/__millrace_history/messages'],
    ['/metrics'],
    ['/v1/queries/diff', { file: 'orders.sql', sql: orders }],
    ['/v1/queries/forecast', { file: 'orders.sql', sql: orders }],
    sql('SHOW CREATE TABLE orders') as never,
    sql('SHOW CREATE MATERIALIZED TABLE pairs') as never,
    sql('SET') as never,
    sql("EXPLAIN SELECT a.k FROM orders /*+ OPTIONS('properties.ssl.key.password' = 'x') */ a JOIN orders b ON a.k = b.k") as never,
  ]
  for (const [path, body] of asked) {
    const { text, status } = await ask('reader', path, body)
    assert.doesNotMatch(text, /geheim/, `${path} ${JSON.stringify(body)}`)
    assert.ok(status < 500, `${path}: ${status} ${text}`)
  }
  assert.equal(
    (JSON.parse((await ask('reader', '/v1/topics/__millrace_history/messages')).text) as ApiError).error.code,
    'SERVE_TOPIC_INTERNAL',
  )
  const [file] = JSON.parse((await ask('admin', '/v1/project/files')).text) as ProjectFile[]
  assert.equal(file.text, orders)
  assert.match((await ask('admin', '/v1/queries/pairs/history/1')).text, /geheim2/)
  const { rows } = JSON.parse((await ask('admin', '/v1/sql', { sql: 'SHOW CREATE TABLE orders' })).text) as { rows: unknown[][] }
  assert.match(String(rows[0][0]), /geheim1[\s\S]*geheim2/)
  assert.match((await ask('reader', '/v1/sql', { sql: 'SHOW CREATE TABLE orders' })).text, /'properties.sasl.jaas.config' = '••••••'/)
  assert.doesNotMatch(server.running.output, /geheim/)
})

test('the line that an error shows has its secrets masked, and its carets where they belong', async (t) => {
  const wrong = `CREATE TABLE t (k STRING) WITH ('properties.ssl.key.password' = '${secret(1)}', 'formt' = 'json');`
  const folder = makeProject(t, { 'pipelines/a.sql': wrong, 'pipelines/b.sql': `SET 'a.token' = '${secret(2)} ;` })
  const running = run(t, ['start', folder, '--port', '0', '--kafka-port', 'none', '--data', join(folder, 'data')])
  await until(
    () => running.stdout.includes('Ctrl-C') || !running.isRunning,
    () => running.output,
    40_000,
  )
  assert.doesNotMatch(running.output, /geheim/)
  const at = wrong.indexOf("'formt'")
  const lines = running.stderr.split('\n')
  const line = lines.findIndex((one) => one.includes("'•••••••', 'formt'"))
  assert.ok(line > 0, running.stderr)
  assert.equal(lines[line + 1].indexOf('^'), '  1 | '.length + at)
})
