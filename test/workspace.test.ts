// The SQL workspace over HTTP and WebSocket, on the real process: what an editor asks, live previews, and files that are deployed.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { frames } from '../src/app/client.ts'
import type { ApiError, CatalogTable, DeployReport, PreviewFrame, ProjectFile, SqlCheck, SqlCompletions } from '../src/serve/contract.ts'
import { countsSql, makeProject, type Server, startServer, until, untilRows } from './harness.ts'

const event = (id: string, page: string, n = 1) => ({ id, page, n, ts: '2026-03-01 00:00:00.000' })
const json = (body: object, method = 'POST') => ({ method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })
/** What a server that was killed while it wrote has left. */
const unfinished = ['pipelines/.millrace-pages.sql.new', 'tests/.millrace-pages.test.new']
const start = async (t: Parameters<typeof makeProject>[0]) => {
  const folder = makeProject(t, { 'pipelines/counts.sql': countsSql, ...Object.fromEntries(unfinished.map((name) => [name, 'half'])) })
  return { folder, server: await startServer(t, folder) }
}

test('an editor learns what a script is, what is wrong in it and where, and what may come next', async (t) => {
  const { server } = await start(t)
  const check = async (sql: string) => (await server.call<SqlCheck>('/v1/sql/check', json({ sql }))).body
  const good = await check(`${countsSql}\nSELECT page, COUNT(*) AS n FROM events GROUP BY page;`)
  assert.deepEqual(good.errors, [])
  assert.deepEqual(
    good.statements.map(({ type, name }) => [type, name]),
    [
      ['createTable', 'events'],
      ['createMaterializedTable', 'counts'],
      ['query', undefined],
    ],
  )
  assert.deepEqual(
    good.statements[2].columns?.map(({ name, type }) => `${name} ${type}`),
    ['page VARCHAR(2147483647) NOT NULL', 'n BIGINT NOT NULL'],
  )
  assert.match(good.statements[2].plan ?? '', /groupAggregate/)

  // Three wrong statements between good ones: each has its place, and hides no other.
  const text = 'SELECT pgae FROM events;\nSELECT 1;\nSELCT 2;\nSELECT * FROM nowhere'
  const bad = await check(text)
  assert.deepEqual(
    bad.errors.map(({ code, position }) => [code, text.slice(position?.start, position?.end)]).sort(),
    [
      ['SQL_COLUMN_NOT_FOUND', 'pgae'],
      ['SQL_SYNTAX', 'SELCT'],
      ['SQL_TABLE_NOT_FOUND', 'nowhere'],
    ].sort(),
  )
  assert.equal(bad.statements.length, 1)

  const complete = async (sql: string, offset = sql.length) =>
    (await server.call<SqlCompletions>('/v1/sql/complete', json({ sql, offset }))).body.items
  assert.deepEqual((await complete('SELECT pa FROM events', 9))[0], { label: 'page', kind: 'column' })
  assert.ok((await complete('SELECT * FROM ev')).some(({ label, kind }) => label === 'events' && kind === 'table'))
  assert.ok((await complete('SELECT UPP')).some(({ label, kind }) => label === 'UPPER' && kind === 'function'))
  const tables = await server.get<CatalogTable[]>('/v1/catalog')
  assert.deepEqual(
    tables.map(({ name, kind, topic }) => [name, kind, topic]),
    [
      ['events', 'table', 'events'],
      ['counts', 'materialized table', undefined],
    ],
  )
  assert.equal((await server.call<ApiError>('/v1/sql/check', json({ text: '' }))).status, 400)
})

/** Frames of a preview until it is ended or `count` changes came. */
async function preview(server: Server, message: string, count: number, from = 'earliest') {
  const stop = new AbortController()
  const seen: PreviewFrame[] = []
  for await (const frame of frames<PreviewFrame>({ url: server.ready.url }, `/v1/sql/live?from=${from}`, stop.signal, message)) {
    seen.push(frame)
    if (frame.type === 'changes' && frame.rowCount >= count) stop.abort()
  }
  return seen
}

test('a preview: columns, then the changelog with its kinds, past and present; its end leaves nothing behind', {
  timeout: 120_000,
}, async (t) => {
  const { server } = await start(t)
  await server.post('events', [event('a', '/x', 1), event('b', '/x', 2)])
  await untilRows(server, 'counts', [['/x', 2, 3]])
  const sql = 'SELECT page, COUNT(*) AS n FROM events GROUP BY page'
  // Two rows that are read at once are one change.
  const [columns, ...changes] = await preview(server, JSON.stringify({ sql }), 1)
  assert.deepEqual(columns, {
    type: 'columns',
    columns: [
      { name: 'page', type: 'VARCHAR(2147483647) NOT NULL' },
      { name: 'n', type: 'BIGINT NOT NULL' },
    ],
    changelog: 'retract',
    key: ['page'],
  })
  const rows = changes.flatMap((frame) => (frame.type === 'changes' ? frame.changes : []))
  assert.deepEqual(rows, [{ op: '+I', row: ['/x', 2] }])

  // From now on: only what comes after.
  const latest = preview(server, JSON.stringify({ sql: 'SELECT id FROM events' }), 1, 'latest')
  let isDone = false
  void latest.then(() => (isDone = true))
  let sent = 0
  await until(async () => {
    await server.post('events', [event(`late ${sent++}`, '/y')])
    return isDone
  }, 'no row of those sent after the start')
  const late = (await latest).flatMap((frame) => (frame.type === 'changes' ? frame.changes : []))
  assert.match(String(late[0].row[0]), /^late/)

  // From a part of the log on: the newest record there is, and what comes after it.
  const newest = preview(server, JSON.stringify({ sql: "SELECT id FROM events WHERE page <> '/y'", slice: { partition: 0, offset: 1 } }), 2)
  await until(async () => {
    await server.post('events', [event('after', '/z')])
    return Promise.race([newest.then(() => true), sleep(50).then(() => false)])
  }, 'no row after the slice')
  const ids = (await newest).flatMap((frame) => (frame.type === 'changes' ? frame.changes.map(({ row }) => row[0]) : []))
  assert.deepEqual([ids[0], ids[1]], ['b', 'after'])

  for (const [message, code] of [
    [JSON.stringify({ sql: 'SELECT id FROM events', slice: { offset: -1 } }), 'SERVE_PREVIEW_MESSAGE'],
    [JSON.stringify({ sql: 'SELECT id FROM events', slice: { partition: 7 } }), 'ADHOC_SLICE_PARTITION'],
    [JSON.stringify({ sql: 'SELECT x FROM events' }), 'SQL_COLUMN_NOT_FOUND'],
    [JSON.stringify({ sql: 'DROP TABLE events' }), 'ADHOC_READ_ONLY'],
    ['no json', 'SERVE_PREVIEW_MESSAGE'],
  ]) {
    const [frame] = await preview(server, message, 1)
    assert.equal(frame.type === 'error' && frame.error.code, code)
  }
  assert.equal((await server.get<unknown[]>('/v1/queries')).length, 1)
  assert.equal((await server.health()).ready, true)
})

test('a preview of more than can be shown begins with the newest of it, and counts what it left out', { timeout: 120_000 }, async (t) => {
  const { server } = await start(t)
  const total = 6_000
  for (let i = 0; i < total; i += 1_000)
    await server.post(
      'events',
      Array.from({ length: 1_000 }, (_, j) => event(`e${i + j}`, '/x')),
    )
  await untilRows(server, 'counts', [['/x', total, total]])
  const all = (await preview(server, JSON.stringify({ sql: 'SELECT id FROM events' }), total)).filter((frame) => frame.type === 'changes')
  const ids = all.flatMap((frame) => frame.changes.map(({ row }) => row[0]))
  const skipped = all.reduce((sum, frame) => sum + frame.skipped, 0)
  assert.equal(ids.length + skipped, total)
  // What came in the first frames could all go; the rest is at most what the console keeps.
  assert.ok(ids.length >= 5_000 && ids.length < 5_000 + 500 * 30, `${ids.length} rows`)
  assert.equal(ids.at(-1), `e${total - 1}`)
})

test('deploy: a dry run says what would change, a write does it, a stale editor is refused, a removal stops the query', async (t) => {
  const { server, folder } = await start(t)
  const path = join(folder, 'pipelines/pages.sql')
  const put = (name: string, text: string, version: string | null, query = '') =>
    server.call<DeployReport & ApiError>(`/v1/project/files/${name}${query}`, json({ text, version }, 'PUT'))
  const versionOf = async (name: string) =>
    (await server.get<ProjectFile[]>('/v1/project/files')).find((file) => file.name === name)!.version
  const text = 'CREATE MATERIALIZED TABLE pages AS SELECT page, COUNT(*) AS c FROM events GROUP BY page;'

  for (const name of unfinished) assert.equal(existsSync(join(folder, name)), false, name)
  const dry = await put('pages.sql', text, null, '?dryRun=true')
  assert.deepEqual(dry.body, { started: ['pages'], kept: ['counts'], stopped: [], restored: [], notices: [], errors: [] })
  assert.equal(existsSync(path), false)
  const done = await put('pages.sql', text, null)
  assert.deepEqual(done.body, dry.body)
  assert.equal(readFileSync(path, 'utf8'), text)
  await server.post('events', [event('a', '/x', 1)])
  await untilRows(server, 'pages', [['/x', 1]])

  const files = await server.get<ProjectFile[]>('/v1/project/files')
  const pages = files.find(({ name }) => name === 'pages.sql')!
  assert.deepEqual([pages.text, pages.queries], [text, ['pages']])
  assert.equal((await put('pages.sql', 'SELECT', null)).body.error.code, 'PROJECT_FILE_CHANGED')
  assert.equal((await put('pages.sql', `${text} `, 'older')).status, 409)
  assert.equal(readFileSync(path, 'utf8'), text)

  // What is wrong is said before and after; the query that ran goes on.
  const wrong = text.replace('page,', 'pgae,')
  const refused = await put('pages.sql', wrong, pages.version, '?dryRun=true')
  assert.equal(refused.body.errors[0].error.code, 'SQL_COLUMN_NOT_FOUND')
  assert.deepEqual(refused.body.kept.sort(), ['counts', 'pages'])

  // So is a table that nobody reads yet and nobody can; a query over it says it once.
  const avro = `CREATE TABLE orders (id INT) WITH ('connector' = 'kafka', 'format' = 'avro'); ${text}`
  const codesOf = ({ body }: { body: DeployReport }) => body.errors.map(({ error }) => error.code)
  assert.deepEqual(codesOf(await put('pages.sql', avro, pages.version, '?dryRun=true')), ['TABLE_OPTION_INVALID'])
  const unread = await put('pages.sql', avro, pages.version)
  assert.deepEqual([codesOf(unread), unread.body.kept.sort()], [['TABLE_OPTION_INVALID'], ['counts', 'pages']])
  const read = `${avro} CREATE MATERIALIZED TABLE ids AS SELECT id, COUNT(*) AS c FROM orders GROUP BY id;`
  assert.deepEqual(codesOf(await put('pages.sql', read, await versionOf('pages.sql'))), ['TABLE_OPTION_INVALID'])
  await put('pages.sql', text, await versionOf('pages.sql'))

  const again = await put('pages.sql', text.replace('COUNT(*)', 'COUNT(*) + 1'), await versionOf('pages.sql'))
  assert.deepEqual([again.body.started, again.body.kept], [['pages'], ['counts']])
  await untilRows(server, 'pages', [['/x', 2]])

  // Comments and places in the text are no change: it goes on untouched, and its new text is shown.
  const moved = await put('pages.sql', `-- pages\n\n${text.replace('COUNT(*)', '/* all */ COUNT(*) + 1')}`, await versionOf('pages.sql'))
  assert.deepEqual([moved.body.started, moved.body.kept.sort()], [[], ['counts', 'pages']])
  const queries = await server.get<{ id: string; sql: string }[]>('/v1/queries')
  assert.match(queries.find(({ id }) => id === 'pages')!.sql, /all/)
  // The session's zone is one, though no word of the query is another.
  const zoned = await put(
    'pages.sql',
    `SET 'table.local-time-zone' = 'Asia/Tokyo'; ${text.replace('COUNT(*)', 'COUNT(*) + 1')}`,
    await versionOf('pages.sql'),
  )
  assert.deepEqual(zoned.body.started.sort(), ['counts', 'pages'])
  await untilRows(server, 'pages', [['/x', 2]])
  await put('pages.sql', text.replace('COUNT(*)', 'COUNT(*) + 1'), await versionOf('pages.sql'))

  for (const name of ['..%2Fevil.sql', 'evil.txt', '.sql', 'a%20b.sql']) {
    const answer = await put(name, text, null)
    assert.equal(answer.body.error.code, 'PROJECT_FILE_NAME', name)
  }
  const version = await versionOf('pages.sql')
  const gone = await server.call<DeployReport>('/v1/project/files/pages.sql', json({ version }, 'DELETE'))
  assert.deepEqual(gone.body, { started: [], kept: ['counts'], stopped: ['pages'], restored: [], notices: [], errors: [] })
  assert.equal(existsSync(path), false)
  const last = (await server.get<ProjectFile[]>('/v1/project/files'))[0]
  const kept = await server.call<ApiError>('/v1/project/files/counts.sql', json({ version: last.version }, 'DELETE'))
  assert.equal(kept.body.error.code, 'PROJECT_FILE_LAST')
})
