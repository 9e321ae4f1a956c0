// Checkpoints as people meet them, on real processes: history, committed reads, savepoints, `millrace state`, changed queries, a damaged file.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { countsSql, makeProject, type Ready, run, type Server, startServer, until, untilRows } from './harness.ts'

interface History {
  query: string
  job: string
  restoredFrom?: number
  checkpoints: { id: number; cause: string; state: string; fullBytes: number; writtenBytes: number; durationMs: number }[]
}
type Started = Ready & { restored: { query: string; checkpointId: number }[]; notices: string[] }

const settings = "SET 'execution.checkpointing.interval' = '200 ms';\n"
const bigSql = `${settings}${countsSql}
CREATE TABLE big (page STRING, total BIGINT) WITH ('connector' = 'kafka', 'topic' = 'big', 'format' = 'json');
CREATE TABLE ends (page STRING, total BIGINT, PRIMARY KEY (page) NOT ENFORCED) WITH ('connector' = 'upsert-kafka', 'topic' = 'ends', 'key.format' = 'raw', 'value.format' = 'json');
INSERT INTO big SELECT page, n FROM events WHERE n > 5;
INSERT INTO ends SELECT page, SUM(n) FROM events GROUP BY page;`
const event = (id: string, page: string, n = 1) => ({ id, page, n, ts: '2026-03-01 00:00:00.000' })
const history = (server: Server, query: string) => server.get<History>(`/v1/queries/${query}/checkpoints`)

/** Posts the event `tick` number `ticks`, and waits for a checkpoint that has it. */
async function untilCheckpoint(server: Server, ticks: number): Promise<void> {
  await server.post('events', [event(`tick-${ticks}`, 'tick')])
  await until(async () => {
    const { rows } = await server.get<{ rows: unknown[][] }>('/v1/tables/counts?page=tick&isolation=committed')
    return rows[0]?.[1] === ticks
  }, 'no checkpoint')
}

async function command<T>(t: TestContext, args: string[]): Promise<T[]> {
  const running = run(t, [...args, '--json'])
  await running.exited
  assert.equal(running.stderr, '')
  return running.lines<T>()
}

test('history, committed reads, and what `millrace state` shows', async (t) => {
  const folder = makeProject(t, { 'pipelines/counts.sql': bigSql })
  const server = await startServer(t, folder)
  await server.post('events', [event('a', 'x'), event('b', 'x', 9), event('c', 'y')])
  await untilRows(server, 'counts', [
    ['x', 2, 10],
    ['y', 1, 1],
  ])
  const { rows } = await server.get<{ rows: unknown[][] }>('/v1/tables/counts?isolation=committed&order=page')
  assert.deepEqual(rows, [
    ['x', 2, 10],
    ['y', 1, 1],
  ])
  // The next one may have begun meanwhile.
  let newest = await history(server, 'counts')
  await until(
    async () => (newest = await history(server, 'counts')).checkpoints[0].state !== 'running',
    'the newest checkpoint does not end',
  )
  const { job, checkpoints } = newest
  assert.equal(job, 'counts')
  assert.equal(checkpoints[0].state, 'completed')
  assert.ok(checkpoints[0].fullBytes > 0 && checkpoints[0].writtenBytes > 0)
  assert.equal((await server.call('/v1/queries/count/checkpoints')).status, 404)
  const metrics = await (await fetch(`${server.ready.url}/metrics`)).text()
  assert.match(metrics, /millrace_checkpoints_total\{job="counts",outcome="completed"\} [1-9]/)
  // What is committed is what a crash leaves.
  await server.running.kill('SIGKILL')
  const list = await command<{ job: string; id: number; queries: string[] }>(t, ['state', '--data', join(folder, 'data'), '--verify'])
  assert.deepEqual([...new Set(list.flatMap(({ queries }) => queries))].sort(), ['counts', 'insert_into_big', 'insert_into_ends'])
  const [state] = await command<{ inputs: { positions: number[] }[]; operators: { stateRows: number; sampleKeys: unknown[][] }[] }>(t, [
    'state',
    'counts',
    '--data',
    join(folder, 'data'),
  ])
  assert.deepEqual(state.inputs[0].positions, [3])
  assert.deepEqual(state.operators.find(({ stateRows }) => stateRows === 2)?.sampleKeys, [['x'], ['y']])
  const text = run(t, ['state', 'counts', '--data', join(folder, 'data')])
  await text.exited
  assert.match(text.stdout, /live table counts/)
})

test('a damaged checkpoint: an older one is used, and that is said; nothing is lost', async (t) => {
  const folder = makeProject(t, { 'pipelines/counts.sql': settings + countsSql })
  const server = await startServer(t, folder)
  for (let ticks = 1; ticks <= 3; ticks++) await untilCheckpoint(server, ticks)
  await server.running.kill('SIGKILL')
  const checkpoints = join(folder, 'data/checkpoints/counts')
  const newest = Math.max(...readdirSync(checkpoints).flatMap((name) => (name.startsWith('data-') ? [Number(name.slice(5))] : [])))
  const path = join(checkpoints, `data-${newest}`)
  const bytes = readFileSync(path)
  bytes[bytes.length >> 1] ^= 4
  writeFileSync(path, bytes)
  const again = await startServer(t, folder)
  // The start may begin with it: the worker that reads its state finds the damage, and the query begins with the one before.
  let restoredFrom: number | undefined
  await until(
    async () => {
      ;({ restoredFrom } = await history(again, 'counts'))
      return restoredFrom !== undefined && restoredFrom < newest
    },
    () => `restored from ${restoredFrom}, and ${newest} is damaged`,
  )
  await untilRows(again, 'counts', [['tick', 3, 3]])
})

test('a changed query: a table is computed anew, an INSERT goes on if its state fits, else it is refused until that is allowed', async (t) => {
  const folder = makeProject(t, { 'pipelines/counts.sql': bigSql })
  const server = await startServer(t, folder)
  await server.post('events', [event('a', 'x', 7), event('b', 'x', 9)])
  await untilRows(server, 'counts', [['x', 2, 16]])
  await untilCheckpoint(server, 1)
  await until(async () => (await server.messages('big')).length === 2, 'no output')
  await server.running.kill('SIGTERM')

  const changed = bigSql
    .replace('COUNT(*) AS events, SUM(n) AS total', 'COUNT(*) AS events, MAX(n) AS total')
    .replace('WHERE n > 5', 'WHERE n > 6')
    .replace('SELECT page, SUM(n) FROM events GROUP BY page', 'SELECT page, MAX(n) FROM events GROUP BY page')
  writeFileSync(join(folder, 'pipelines/counts.sql'), changed)
  const again = await startServer(t, folder)
  const { notices } = again.ready as Started
  assert.ok(
    notices.some((notice) => /counts is computed anew/.test(notice)),
    notices.join('; '),
  )
  await untilRows(again, 'counts', [
    ['x', 2, 9],
    ['tick', 1, 1],
  ])
  // The filter has no state: the query goes on, and writes nothing again.
  await again.post('events', [event('c', 'z', 8)])
  await until(async () => (await again.messages('big')).length >= 3, 'no new output')
  assert.deepEqual(
    (await again.messages('big')).map(({ value }) => (value as { total: number }).total),
    [7, 9, 8],
  )
  const queries = await again.get<{ id: string; state: string; error?: { code: string } }[]>('/v1/queries')
  const ends = queries.find(({ id }) => id === 'insert_into_ends')
  assert.equal(ends?.state, 'failed')
  assert.equal(ends?.error?.code, 'STATE_NOT_RESTORED')
  await again.running.kill('SIGTERM')
  const allowed = await startServer(t, folder, ['--allow-dropped-state'])
  const after = await allowed.get<{ id: string; state: string }[]>('/v1/queries')
  assert.equal(after.find(({ id }) => id === 'insert_into_ends')?.state, 'running')
})

test('savepoints: made while the queries go on, listed, begun from, deleted', async (t) => {
  const folder = makeProject(t, { 'pipelines/counts.sql': settings + countsSql })
  const server = await startServer(t, folder)
  await server.post('events', [event('a', 'x')])
  await untilRows(server, 'counts', [['x', 1, 1]])
  const to = ['--url', server.ready.url]
  const [made] = await command<{ name: string; queries: string[] }>(t, ['savepoint', 'create', 'before', ...to])
  assert.deepEqual(made.queries, ['counts'])
  assert.equal(
    (await server.call('/v1/savepoints', { method: 'POST', body: '{"name":"before"}', headers: { 'content-type': 'application/json' } }))
      .status,
    409,
  )
  assert.equal(
    (await server.call('/v1/savepoints', { method: 'POST', body: '{"name":"../x"}', headers: { 'content-type': 'application/json' } }))
      .status,
    400,
  )
  await server.post('events', [event('b', 'x', 4)])
  await untilRows(server, 'counts', [['x', 2, 5]])
  await untilCheckpoint(server, 1)
  await server.running.kill('SIGTERM')
  const from = await startServer(t, folder, ['--from-savepoint', 'before'])
  await untilRows(from, 'counts', [
    ['x', 2, 5],
    ['tick', 1, 1],
  ])
  const [{ name }] = await command<{ name: string }>(t, ['savepoint', 'list', '--url', from.ready.url])
  assert.equal(name, 'before')
  await command(t, ['savepoint', 'delete', 'before', '--url', from.ready.url])
  assert.deepEqual(readdirSync(join(folder, 'data/savepoints')), [])
  assert.ok(existsSync(join(folder, 'data/checkpoints')))
  // In the folder, where nobody runs: else a server could lose one that it is about to begin from.
  await command(t, ['savepoint', 'create', 'offline', '--url', from.ready.url])
  const inFolder = ['--data', join(folder, 'data')]
  const refused = run(t, ['savepoint', 'delete', 'offline', '--json', ...inFolder])
  assert.equal((await refused.exited).code, 1)
  assert.match(refused.output, /"DATA_FOLDER_LOCKED"/)
  await from.running.kill('SIGTERM')
  assert.deepEqual(
    (await command<{ name: string }>(t, ['savepoint', 'list', ...inFolder])).map((one) => one.name),
    ['offline'],
  )
  await command(t, ['savepoint', 'delete', 'offline', ...inFolder])
  assert.deepEqual(readdirSync(join(folder, 'data/savepoints')), [])
  const missing = run(t, ['start', folder, '--port', '0', '--data', join(folder, 'data'), '--from-savepoint', 'befor', '--json'])
  await missing.exited
  assert.match(missing.output, /SAVEPOINT_NOT_FOUND.*There is none: /)
})
