// Partitions that are idle by the clock, on the real process; and a clock that is set back by an hour while queries run: what waits for time to
// pass waits no longer than it would have.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { QuerySummary, QueryWhy } from '../src/serve/contract.ts'
import { makeProject, startServer, until, untilRows } from './harness.ts'

const sql = `
CREATE TABLE hits (page STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'kafka', 'topic' = 'hits', 'format' = 'json',
  'millrace.partitions' = '2', 'key.fields' = 'page', 'scan.watermark.idle-timeout' = '1 s');
CREATE MATERIALIZED TABLE minutes (PRIMARY KEY (page) NOT ENFORCED) AS
  SELECT page, COUNT(*) AS hits FROM TABLE(TUMBLE(TABLE hits, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY page, window_start, window_end;
CREATE MATERIALIZED TABLE pages (PRIMARY KEY (page) NOT ENFORCED) AS SELECT page, COUNT(*) AS hits FROM hits GROUP BY page;`

/** In every thread of the process: an hour less once the file is there. */
const setBack = (flag: string) => `
  import { existsSync } from 'node:fs'
  const { now } = Date
  let isBack = false
  Date.now = () => now() - ((isBack ||= existsSync(${JSON.stringify(flag)})) ? 3_600_000 : 0)`

test('a partition is idle after its timeout, though the clock was set back by an hour', { timeout: 60_000 }, async (t) => {
  const folder = makeProject(t, { 'pipelines/hits.sql': sql })
  const flag = join(folder, 'set-back')
  const before = process.env.NODE_OPTIONS
  process.env.NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(setBack(flag))}`
  const server = await startServer(t, folder).finally(() => {
    if (before === undefined) delete process.env.NODE_OPTIONS
    else process.env.NODE_OPTIONS = before
  })
  const post = async (second: number) => {
    const ts = `2026-01-01 00:0${Math.floor(second / 60)}:${String(second % 60).padStart(2, '0')}`
    assert.equal((await server.post('hits', JSON.stringify({ page: 'a', ts }))).status, 202)
  }
  await post(1)
  await untilRows(server, 'pages', [['a', 1]])
  writeFileSync(flag, '')
  // The other partition has nothing: the window closes when that is idle, and this one is not.
  await until(async () => {
    await post(61)
    return (await server.rows('minutes')).length === 1
  }, 'the window is open still')
})

test('partitions that were idle all wait for one another once they have records: none of these is late', { timeout: 60_000 }, async (t) => {
  const server = await startServer(t, makeProject(t, { 'pipelines/hits.sql': sql }))
  const isIdle = async () => (await server.get<QueryWhy>('/v1/queries/minutes/why')).sources[0].partitions.every((one) => one.isIdle)
  await until(isIdle, 'the partitions are not idle')
  // In the order of time in each of the two partitions.
  const hits = Array.from({ length: 20_000 }, (_, i) => ({ page: `p${i % 8}`, ts: new Date(Date.UTC(2026, 0, 1) + i * 100).toISOString() }))
  const body = hits.map(({ page, ts }) => JSON.stringify({ page, ts: ts.replace('T', ' ').replace('Z', '') })).join('\n')
  assert.equal((await server.post('hits', body)).status, 202)
  await until(
    async () => (await server.get<QuerySummary[]>('/v1/queries')).every(({ rowsIn }) => rowsIn === hits.length),
    'not all is read',
  )
  const minutes = (await server.get<QuerySummary[]>('/v1/queries')).find(({ id }) => id === 'minutes')
  assert.equal(minutes?.lateRows, 0)
})
