// Settings of a query and of the process, with their sources, on the real process: over HTTP and on the command line; and each does what `change` says.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { DeployReport, ProcessSetting, ProjectFile, QueryConfig } from '../src/serve/contract.ts'
import { makeProject, run, type Server, startServer, until, untilRows } from './harness.ts'

interface Choices {
  set?: string
  source?: string
  sink?: string
}
const sql = ({ set = '', source = '', sink = '' }: Choices = {}) => `SET 'execution.checkpointing.interval' = '300 ms';
CREATE TABLE orders (k STRING NOT NULL, n INT, ts TIMESTAMP_LTZ(3), WATERMARK FOR ts AS ts)
  WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json'${source});
CREATE TABLE sent (k STRING, n INT) WITH ('connector' = 'kafka', 'topic' = 'sent', 'format' = 'json'${sink});
${set}
CREATE MATERIALIZED TABLE totals AS SELECT k, SUM(n) AS total FROM orders GROUP BY k;
CREATE MATERIALIZED TABLE days AS
  SELECT window_start, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' DAY)) GROUP BY window_start, window_end;
INSERT INTO sent SELECT k, n FROM orders;`

const configOf = (server: Server, query: string) => server.get<QueryConfig>(`/v1/queries/${query}/config`)
const settingOf = ({ settings }: QueryConfig, name: string, table?: string) =>
  settings.find((one) => one.name === name && one.table === table)

test('what a change of a setting is said to do is what it does', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, { 'pipelines/orders.sql': sql() })
  const server = await startServer(t, folder)
  await server.post('orders', [{ k: 'a', n: 1, ts: '2026-01-01 00:00:00Z' }])
  await untilRows(server, 'totals', [['a', 1]])
  const deploy = async (choices: Choices): Promise<DeployReport> => {
    const [{ version }] = await server.get<ProjectFile[]>('/v1/project/files')
    const { status, body } = await server.call<DeployReport>('/v1/project/files/orders.sql', {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ text: sql(choices), version }),
    })
    assert.equal(status, 200, JSON.stringify(body))
    assert.deepEqual(body.errors, [])
    return body
  }
  const cases: [query: string, name: string, table: string | undefined, choices: Choices][] = [
    ['totals', 'execution.checkpointing.interval', undefined, { set: "SET 'execution.checkpointing.interval' = '200 ms';" }],
    ['totals', 'table.exec.state.ttl', undefined, { set: "SET 'table.exec.state.ttl' = '1 d';" }],
    ['insert_into_sent', 'table.exec.state.ttl', undefined, { set: "SET 'table.exec.state.ttl' = '1 d';" }],
    ['totals', 'table.exec.source.idle-timeout', undefined, { set: "SET 'table.exec.source.idle-timeout' = '10 s';" }],
    ['totals', 'table.local-time-zone', undefined, { set: "SET 'table.local-time-zone' = 'Asia/Tokyo';" }],
    ['days', 'table.local-time-zone', undefined, { set: "SET 'table.local-time-zone' = 'Asia/Tokyo';" }],
    ['totals', 'table.exec.mini-batch.enabled', undefined, { set: "SET 'table.exec.mini-batch.enabled' = 'true';" }],
    ['totals', 'parallelism.default', undefined, { set: "SET 'parallelism.default' = '2';" }],
    ['totals', 'millrace.on-error', 'orders', { source: ", 'millrace.on-error' = 'fail'" }],
    ['totals', 'scan.startup.mode', 'orders', { source: ", 'scan.startup.mode' = 'latest-offset'" }],
    ['totals', 'properties.isolation.level', 'orders', { source: ", 'properties.isolation.level' = 'read_uncommitted'" }],
    ['totals', 'scan.watermark.idle-timeout', 'orders', { source: ", 'scan.watermark.idle-timeout' = '10 s'" }],
    ['totals', 'scan.parallelism', 'orders', { source: ", 'scan.parallelism' = '2'" }],
    ['insert_into_sent', 'sink.delivery-guarantee', 'sent', { sink: ", 'sink.delivery-guarantee' = 'at-least-once'" }],
  ]
  for (const [query, name, table, choices] of cases) {
    const report = await deploy(choices)
    const setting = settingOf(await configOf(server, query), name, table)
    assert.ok(setting, `${query} has no ${name}`)
    assert.notEqual(setting.source.kind, 'default', name)
    assert.equal(setting.source.file, 'pipelines/orders.sql', name)
    const isKept = report.kept.includes(query)
    const isRestored = report.restored.some((one) => one.query === query)
    const done = isKept ? 'goes on' : isRestored ? 'from a checkpoint' : 'anew'
    const expected = {
      'at once': 'goes on',
      nothing: 'goes on',
      restart: 'from a checkpoint',
      'at its beginning': 'from a checkpoint',
      'new plan': 'anew',
    }[setting.change]
    assert.equal(done, expected, `${query} ${name}: ${setting.change}`)
    await deploy({})
  }
  assert.equal(settingOf(await configOf(server, 'totals'), 'table.exec.state.ttl')?.source.kind, 'default')
  await untilRows(server, 'totals', [['a', 1]])

  // The interval is taken up while the query runs: it takes a checkpoint that it would have taken after an hour.
  const ids = async () => (await server.get<{ checkpoints: { id: number }[] }>('/v1/queries/totals/checkpoints')).checkpoints.length
  await deploy({ set: "SET 'execution.checkpointing.interval' = '1 h';" })
  await server.post('orders', [{ k: 'a', n: 1, ts: '2026-01-01 00:00:00Z' }])
  await untilRows(server, 'totals', [['a', 2]])
  const before = await ids()
  await deploy({ set: "SET 'execution.checkpointing.interval' = '50 ms';" })
  await until(async () => (await ids()) > before, 'no checkpoint at the new interval')
  const { value, default: otherwise } = settingOf(await configOf(server, 'sent'), 'execution.checkpointing.interval')!
  assert.deepEqual([value, otherwise], ['50 ms', '1 s'])
})

const command = async (t: TestContext, ...args: string[]) => {
  const running = run(t, args)
  const { code } = await running.exited
  return { code, stdout: running.stdout, stderr: running.stderr, lines: <T>() => running.lines<T>() }
}

test('the command line shows a query and the process, each value with its source; secrets are masked', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, {
    'pipelines/orders.sql': sql({ set: "SET 'table.exec.state.ttl' = '2 h';" }),
    'millrace.config.ts': "export default { parallelism: 2, timeZone: 'Europe/Berlin', allowedHosts: ['shop.test'] }",
  })
  process.env.MILLRACE_MEMORY = '64mb'
  t.after(() => delete process.env.MILLRACE_MEMORY)
  const server = await startServer(t, folder)
  const url = ['--url', server.ready.url]

  const shown = await command(t, 'queries', 'config', 'totals', '--changed', ...url)
  assert.equal(shown.code, 0, shown.stderr)
  assert.match(shown.stdout, /^totals {2}pipelines\/orders.sql:6:1\n/)
  assert.match(shown.stdout, /orders +table +pipelines\/orders.sql:2:1/)
  assert.match(shown.stdout, /the query +table.exec.state.ttl +2 h +0 +SET pipelines\/orders.sql:5:1 +another plan/)
  assert.match(shown.stdout, /the query +parallelism.default +2 +1 +millrace.config.ts +starts again, keeps state/)
  assert.match(shown.stdout, /the query +table.local-time-zone +Europe\/Berlin +UTC +millrace.config.ts/)
  assert.match(shown.stdout, /orders +topic +orders +WITH pipelines\/orders.sql:3:32/)
  assert.doesNotMatch(shown.stdout, /scan.startup.mode/)
  const [config] = (await command(t, 'queries', 'config', 'sent', '--json', ...url)).lines<QueryConfig>()
  assert.equal(config.query, 'insert_into_sent')
  assert.equal(config.sql, 'INSERT INTO sent SELECT k, n FROM orders')
  const unknown = await command(t, 'queries', 'config', 'total', ...url)
  assert.equal(unknown.code, 1)
  assert.match(unknown.stderr, /SERVE_QUERY_NOT_FOUND.*\n.*totals/)

  // By hand goes before what a file says, and back.
  await command(t, 'queries', 'rescale', 'totals', '1', ...url)
  assert.deepEqual(settingOf(await configOf(server, 'totals'), 'parallelism.default')?.source, {
    kind: 'by hand',
    name: 'millrace queries rescale',
  })

  const process_ = (await command(t, 'config', '--json', ...url)).lines<ProcessSetting>()
  const sourceOf = (name: string) => process_.find((one) => one.name === name)?.source
  assert.deepEqual(sourceOf('port'), { kind: 'flag', name: '--port' })
  assert.deepEqual(sourceOf('memory'), { kind: 'environment', name: 'MILLRACE_MEMORY' })
  assert.deepEqual(sourceOf('timeZone'), { kind: 'config file', file: 'millrace.config.ts' })
  assert.deepEqual(sourceOf('host'), { kind: 'default' })
  assert.match((await command(t, 'config', '--changed', ...url)).stdout, /^dataFolder +\S+\/data +flag --data +--data +MILLRACE_DATA/m)

  const other = makeProject(t, {
    'a.sql': 'CREATE TABLE t (a INT);',
    'millrace.config.ts':
      "export default { kafka: { bootstrap: ['kafka:9092'], sasl: { mechanism: 'PLAIN', username: 'shop', password: 'opensesame' } } }",
  })
  const local = await command(t, 'config', other, '--changed', '--kafka-bootstrap', 'other:9092', '--data', join(other, 'data'))
  assert.match(local.stdout, /kafka.bootstrap +other:9092 +flag --kafka-bootstrap/)
  assert.match(local.stdout, /kafka.sasl.password +•••••• +millrace.config.ts/)
  assert.doesNotMatch(local.stdout, /opensesame/)
})
