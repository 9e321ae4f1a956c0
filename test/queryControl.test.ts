// millrace queries stop and start on the real process: a stopped query keeps its rows and its place over restarts and kills, its neighbours go on.
import assert from 'node:assert/strict'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { QuerySummary, QueryWhy } from '../src/serve/contract.ts'
import { makeProject, run, startServer, until, untilRows } from './harness.ts'

const sql = (factor: number) => `
SET 'execution.checkpointing.interval' = '150 ms';
CREATE TABLE orders (customer STRING NOT NULL, amount INT)
  WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json', 'millrace.on-error' = 'fail');
CREATE TABLE big (customer STRING, amount INT) WITH ('connector' = 'kafka', 'topic' = 'big', 'format' = 'json');
CREATE MATERIALIZED TABLE totals AS SELECT customer, SUM(${factor} * amount) AS total FROM orders GROUP BY customer;
CREATE MATERIALIZED TABLE counts AS SELECT customer, COUNT(*) AS orders FROM orders GROUP BY customer;
INSERT INTO big SELECT customer, amount FROM orders WHERE amount > 10;
CREATE TABLE checked (x INT) WITH ('connector' = 'kafka', 'topic' = 'checked', 'format' = 'json');
INSERT INTO checked SELECT amount / (2147483647 - amount) FROM orders;
CREATE MATERIALIZED TABLE checks (PRIMARY KEY (n) NOT ENFORCED) AS SELECT COUNT(*) AS n FROM checked;
CREATE MATERIALIZED TABLE relayed AS SELECT customer, COUNT(*) AS orders FROM big GROUP BY customer;`

test('a query is stopped, stays so, and goes on from where it was', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, { 'pipelines/orders.sql': sql(1) })
  let server = await startServer(t, folder)
  const millrace = async (...args: string[]) => {
    const running = run(t, ['queries', ...args, '--url', server.ready.url])
    const { code } = await running.exited
    return { code, stdout: running.stdout, stderr: running.stderr }
  }
  const done = async (...args: string[]): Promise<QuerySummary> => {
    const { code, stdout, stderr } = await millrace(...args, '--json')
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout) as QuerySummary
  }
  const states = async () => Object.fromEntries((await server.get<QuerySummary[]>('/v1/queries')).map(({ id, state }) => [id, state]))
  const post = async (customer: string, amount: number) =>
    assert.equal((await server.post('orders', JSON.stringify({ customer, amount }))).status, 202)
  const all = {
    totals: 'running',
    counts: 'running',
    insert_into_big: 'running',
    insert_into_checked: 'running',
    checks: 'running',
    relayed: 'running',
  }

  await post('a', 11)
  await untilRows(server, 'relayed', [['a', 1]])
  await untilRows(server, 'totals', [['a', 11]])
  assert.equal((await done('stop', 'totals')).state, 'stopped')
  assert.equal((await done('stop', 'big')).id, 'insert_into_big')
  assert.deepEqual(await states(), { ...all, totals: 'stopped', insert_into_big: 'stopped' })
  await post('a', 20)
  await untilRows(server, 'counts', [['a', 2]])
  await untilRows(server, 'totals', [['a', 11]])

  // Over a stop of the process, and over kills after the neighbours have gone on.
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGKILL'] as const) {
    await server.running.kill(signal)
    server = await startServer(t, folder)
    await post('b', 12)
    assert.deepEqual(await states(), { ...all, totals: 'stopped', insert_into_big: 'stopped' })
    await untilRows(server, 'totals', [['a', 11]])
  }
  await untilRows(server, 'counts', [
    ['a', 2],
    ['b', 3],
  ])
  assert.match((await server.get<QueryWhy>('/v1/queries/totals/why')).verdict, /stopped by hand/)

  // A neighbour that begins anew disturbs nobody.
  await done('start', 'counts', '--without-state', '--savepoint', 'before-anew')
  assert.deepEqual(
    (await server.get<{ name: string }[]>('/v1/savepoints')).map(({ name }) => name),
    ['before-anew'],
  )
  await untilRows(server, 'counts', [
    ['a', 2],
    ['b', 3],
  ])
  assert.deepEqual(await states(), { ...all, totals: 'stopped', insert_into_big: 'stopped' })

  for (const id of ['totals', 'big']) assert.equal((await done('start', id)).state, 'running')
  await untilRows(server, 'totals', [
    ['a', 31],
    ['b', 36],
  ])
  // Each once: it went on from its checkpoint.
  await untilRows(server, 'relayed', [
    ['a', 2],
    ['b', 3],
  ])
  assert.deepEqual(await states(), all)
  const listed = await millrace()
  assert.match(listed.stdout, /totals +running/)

  // One that has failed is started again; another text takes a stopped one along without starting it.
  await done('stop', 'totals')
  writeFileSync(join(folder, 'pipelines/orders.sql'), sql(2))
  await server.running.kill('SIGTERM')
  server = await startServer(t, folder)
  assert.equal((await states()).totals, 'stopped')
  await done('start', 'totals')
  await untilRows(server, 'totals', [
    ['a', 62],
    ['b', 72],
  ])
  assert.equal((await millrace('stop', 'nobody')).code, 1)

  // One that fails while its neighbours go on is started again from its state: what it wrote is not written once more.
  assert.equal((await server.post('orders', JSON.stringify({ customer: 'c', amount: 2_147_483_647 }))).status, 202)
  await until(async () => (await states()).insert_into_checked === 'failed', 'it did not fail')
  await post('a', 13)
  await untilRows(server, 'counts', [
    ['a', 3],
    ['b', 3],
    ['c', 1],
  ])
  for (let again = 0; again < 2; again++) {
    await millrace('start', 'checked')
    await until(async () => (await states()).insert_into_checked === 'failed', 'it did not fail again')
    if (again === 0) {
      await server.running.kill('SIGKILL')
      server = await startServer(t, folder)
      await until(async () => (await states()).insert_into_checked === 'failed', 'it did not fail after the kill')
    }
  }
  await untilRows(server, 'checks', [[5]])

  // What is stopped no more is remembered as such.
  await server.running.kill('SIGKILL')
  server = await startServer(t, folder)
  await until(async () => (await states()).totals === 'running', 'it did not start by itself')
})

const insertSums = 'INSERT INTO sums SELECT customer, SUM(amount) AS total FROM orders GROUP BY customer;'
const sums = `CREATE TABLE sums (customer STRING NOT NULL, total INT, PRIMARY KEY (customer) NOT ENFORCED)
  WITH ('connector' = 'upsert-kafka', 'topic' = 'sums', 'key.format' = 'json', 'value.format' = 'json');
${insertSums}`

test('a query runs in more threads and in fewer, goes on from its state, and stays so over restarts', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, { 'pipelines/orders.sql': `${sql(1)}\n${sums}` })
  let server = await startServer(t, folder)
  const rescale = async (...args: string[]) => {
    const running = run(t, ['queries', 'rescale', ...args, '--url', server.ready.url, '--json'])
    const { code } = await running.exited
    return { code, output: running.output }
  }
  const threadsOf = async (id: string) => (await server.get<QuerySummary[]>('/v1/queries')).find((query) => query.id === id)?.parallelism
  const customers = Array.from({ length: 20 }, (_, i) => `c${i}`)
  const post = () =>
    server.post(
      'orders',
      customers.map((customer) => ({ customer, amount: 1 })),
    )
  const counted = (count: number) => untilRows(server, 'totals', customers.map((customer) => [customer, count]).sort())
  await post()
  await counted(1)
  assert.equal((await rescale('totals', '3')).code, 0)
  assert.equal(await threadsOf('totals'), 3)
  assert.equal(await threadsOf('counts'), 1, 'its neighbour')
  await post()
  await counted(2)
  // EXPLAIN knows of it, as of what the project says.
  const explained = async () => {
    const body = JSON.stringify({ sql: `EXPLAIN ${insertSums.replace(';', '')}` })
    const answer = await server.call<{ rows: [[string]] }>('/v1/sql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    return answer.body.rows[0][0]
  }
  assert.doesNotMatch(await explained(), /subtask/)
  assert.equal((await rescale('sums', '2')).code, 0)
  assert.match(await explained(), /It runs in 2 subtasks, as it was rescaled by hand\.$/)
  await server.running.kill('SIGKILL')
  server = await startServer(t, folder)
  assert.equal(await threadsOf('totals'), 3, 'after a restart')
  await post()
  await counted(3)
  // Without a number: as the project says.
  assert.equal((await rescale('totals')).code, 0)
  assert.equal(await threadsOf('totals'), 1)
  await post()
  await counted(4)

  const refused = await rescale('big', '2')
  assert.equal(refused.code, 1)
  assert.match(refused.output, /QUERY_UNDIVIDED/)
  assert.equal(await threadsOf('insert_into_big'), 1)
  assert.match((await rescale('totals', '0')).output, /parallelism/)

  // Without a checkpoint to go on from it runs on as it did, and is not rescaled behind one's back later.
  const checkpoints = join(folder, 'data/checkpoints')
  renameSync(checkpoints, `${checkpoints}.away`)
  writeFileSync(checkpoints, '')
  await post()
  await counted(5)
  const failed = await rescale('totals', '2')
  assert.match(failed.output, /CHECKPOINT_FAILED/, server.running.output.slice(-3000))
  assert.equal(await threadsOf('totals'), 1)
  rmSync(checkpoints)
  renameSync(`${checkpoints}.away`, checkpoints)
  await server.running.kill('SIGKILL')
  server = await startServer(t, folder)
  assert.equal(await threadsOf('totals'), 1)
  await counted(5)
})
