// millrace history and rollback on the real process: what ran when is known over a restart, and one can go back.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createToken, TokenStore } from '../src/base/index.ts'
import type { Deploy, QueryHistory } from '../src/serve/contract.ts'
import { makeProject, run, startServer, until, untilRows } from './harness.ts'

const source = `CREATE TABLE orders (customer STRING NOT NULL, amount INT)
  WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json', 'millrace.on-error' = 'fail');`
const totals = (amount: string) =>
  `CREATE MATERIALIZED TABLE totals (PRIMARY KEY (customer) NOT ENFORCED) AS SELECT customer, ${amount} AS total FROM orders GROUP BY customer;`

test('versions, starts and failures over a restart, and the way back', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, { 'pipelines/orders.sql': source, 'pipelines/totals.sql': totals('SUM(amount)') })
  let server = await startServer(t, folder)
  const millrace = async (...args: string[]) => {
    const running = run(t, [...args, '--url', server.ready.url])
    const { code } = await running.exited
    return { code, stdout: running.stdout, stderr: running.stderr }
  }
  const history = async (query = 'totals') => JSON.parse((await millrace('history', query, '--json')).stdout) as QueryHistory
  assert.equal((await server.post('orders', '{"customer":"a","amount":1}\n{"customer":"a","amount":2}')).status, 202)
  await untilRows(server, 'totals', [['a', 3]])
  const first = await history()
  assert.deepEqual(
    first.versions.map(({ version, file, isCurrent }) => ({ version, file, isCurrent })),
    [{ version: 1, file: 'totals.sql', isCurrent: true }],
  )
  assert.equal(first.versions[0].by, 'the start of the process')
  assert.deepEqual(
    first.events.map(({ kind }) => kind),
    ['started'],
  )

  writeFileSync(join(folder, 'totals.sql'), totals('SUM(2 * amount)'))
  const promoted = await millrace('promote', join(folder, 'totals.sql'))
  assert.equal(promoted.code, 0, promoted.stderr)
  await untilRows(server, 'totals', [['a', 6]])
  await server.running.kill('SIGTERM')
  server = await startServer(t, folder)
  await untilRows(server, 'totals', [['a', 6]])
  const second = await history()
  assert.deepEqual(
    second.versions.map(({ version, isCurrent }) => [version, isCurrent]),
    [
      [2, true],
      [1, false],
    ],
  )
  assert.match(second.versions[0].sql, /SUM\(2 \* amount\)/)
  const deploys = await server.get<Deploy[]>('/v1/deploys?limit=5')
  assert.deepEqual(
    deploys.map(({ query, version, isCurrent, linesAdded, linesRemoved }) => [query, version, isCurrent, linesAdded, linesRemoved]),
    [
      ['totals', 2, true, 1, 1],
      ['totals', 1, false, 1, 0],
    ],
  )
  const [restarted] = second.events
  assert.ok(restarted.kind === 'started' && restarted.version === 2 && restarted.checkpointId !== undefined, JSON.stringify(restarted))
  // Who did it is known over the restart.
  assert.equal(second.versions[0].by, 'anonymous, from 127.0.0.1')
  assert.deepEqual(
    second.events.map((event) => 'by' in event && event.by),
    ['the start of the process', 'anonymous, from 127.0.0.1', 'the start of the process'],
  )
  assert.equal(deploys[0].by, 'anonymous, from 127.0.0.1')

  const text = await millrace('history', 'totals')
  assert.match(text.stdout, /Next: millrace rollback totals --to 1 --dry-run/)
  const dry = await millrace('rollback', 'totals', '--to', '1', '--dry-run')
  assert.match(dry.stdout, /would start anew: totals/)
  assert.equal(readFileSync(join(folder, 'pipelines/totals.sql'), 'utf8'), totals('SUM(2 * amount)'))
  const unknown = await millrace('rollback', 'totals', '--to', '7')
  assert.equal(unknown.code, 1)
  assert.match(unknown.stderr, /VERSION_UNKNOWN/)
  const back = await millrace('rollback', 'totals', '--to', '1')
  assert.equal(back.code, 0, back.stderr)
  assert.match(back.stdout, /Undo: millrace rollback totals --to 2/)
  await untilRows(server, 'totals', [['a', 3]])
  assert.deepEqual(
    (await history()).versions.map(({ version, isCurrent }) => [version, isCurrent]),
    [
      [3, true],
      [2, false],
      [1, false],
    ],
  )

  // A record that stops the query: its reason is kept.
  assert.equal((await server.post('orders', '{"customer":"a","amount":2147483647}')).status, 202)
  writeFileSync(join(folder, 'totals.sql'), totals('SUM(amount / (amount - 2147483647))'))
  await millrace('promote', join(folder, 'totals.sql'))
  let failure: QueryHistory['events'][number] | undefined
  await until(async () => (failure = (await history()).events.find(({ kind }) => kind === 'failed')), 'no failure in the history')
  assert.ok(failure?.kind === 'failed' && failure.error.code !== '' && failure.error.hint !== '', JSON.stringify(failure))
  assert.match(String(failure.error.params?.row), /2147483647/)
  assert.equal((await millrace('history', 'nothing')).code, 1)
})

test('who stopped, started, rescaled and deployed a query is kept, by the name of the token; neighbours have it not from them', {
  timeout: 120_000,
}, async (t) => {
  const more = 'CREATE MATERIALIZED TABLE counts AS SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer;'
  const folder = makeProject(t, { 'pipelines/orders.sql': source, 'pipelines/totals.sql': `${totals('SUM(amount)')}\n${more}` })
  const data = join(folder, 'data')
  const { token } = createToken(new TokenStore(join(data, 'auth', 'tokens.json')), { role: 'admin', name: 'ana' })
  const server = await startServer(t, folder, ['--host', '0.0.0.0', '--data', data])
  const url = `http://127.0.0.1:${server.ready.port}`
  const millrace = async (...args: string[]) => {
    const running = run(t, [...args, '--url', url, '--token', token])
    const { code } = await running.exited
    assert.equal(code, 0, running.output)
    return running.stdout
  }
  const doneBy = async (query: string) =>
    (JSON.parse(await millrace('history', query, '--json')) as QueryHistory).events.map((event) => [
      event.kind,
      'by' in event ? event.by : undefined,
    ])
  await millrace('queries', 'stop', 'totals')
  await millrace('queries', 'start', 'totals')
  await millrace('queries', 'rescale', 'totals', '2')
  writeFileSync(join(folder, 'totals.sql'), `${totals('SUM(2 * amount)')}\n${more}`)
  await millrace('promote', join(folder, 'totals.sql'))
  const first = ['started', 'the start of the process']
  assert.deepEqual(await doneBy('totals'), [['started', 'ana'], ['started', 'ana'], ['started', 'ana'], ['stopped', 'ana'], first])
  // It ran in one job with the stopped one, and went on in one of its own.
  assert.deepEqual(await doneBy('counts'), [['started', undefined], first])
  assert.match(await millrace('history', 'totals'), /stopped +ana/)
  for (const action of ['query stopped', 'query started', 'query rescaled', 'project file written'])
    assert.match(server.running.stderr, new RegExp(`"audit":"${action}".*"name":"ana"`))
})
