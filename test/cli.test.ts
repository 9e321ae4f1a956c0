// The command line as a new user meets it: each command on a running server, and what it says when it is used wrongly.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { NodeRates } from '../src/app/commands/explain.ts'
import { websiteTable } from '../src/app/commands/simulate.ts'
import { countsSql, makeProject, run, startServer, until, untilRows } from './harness.ts'

const files = { 'pipelines/counts.sql': countsSql }
// 2^53 + 1: as a JavaScript number it would lose its last digit.
const large = '9007199254740993'
const eventLines = `{"id":"a","page":"/","n":2,"ts":"2026-03-01 00:00:00.000"}
{"id":"b","page":"/about","n":${large},"ts":"2026-03-01 00:00:01.000"}
{"id":"c","page":"/","n":3,"ts":"2026-03-01 00:00:02.000"}`

/** Runs a command to its end. */
async function millrace(t: Parameters<typeof run>[0], ...args: string[]) {
  const running = run(t, args)
  const { code } = await running.exited
  return { code, stdout: running.stdout, stderr: running.stderr, json: <T>() => running.lines<T>() }
}
interface Failure {
  error: { code: string; message: string; hint: string; position?: { line: number; column: number } }
}

test('sql: results for people and for programs, errors under their line', { timeout: 120_000 }, async (t) => {
  const server = await startServer(t, makeProject(t, files))
  const at = ['--url', server.ready.url]
  await server.post('events', eventLines)
  await untilRows(server, 'counts', [
    ['/', 2, 5],
    ['/about', 1, Number(large)],
  ])

  const table = await millrace(t, 'sql', 'SELECT page, total FROM counts ORDER BY total DESC', ...at)
  assert.equal(
    table.stdout,
    'page               total\n──────  ────────────────\n/about  9007199254740993\n/                      5\n2 rows\n',
  )
  const several = await millrace(t, 'sql', "SELECT ';' AS a; SELECT id FROM events ORDER BY n LIMIT 1;", '--json', ...at)
  assert.deepEqual(
    several.json<{ rows: unknown[][] }>().map(({ rows }) => rows),
    [[[';']], [['a']]],
  )
  assert.match((await millrace(t, 'sql', 'SELECT total FROM counts', '--json', ...at)).stdout, /9007199254740993[^"]/)
  assert.match(
    (await millrace(t, 'sql', 'EXPLAIN SELECT page, COUNT(*) AS n FROM events GROUP BY page', ...at)).stdout,
    /== Optimized Plan ==\ngroupAggregate.*\n└ /,
  )
  assert.match(
    (await millrace(t, 'sql', 'EXPLAIN INSERT INTO events SELECT * FROM events', ...at)).stdout,
    /^INSERT INTO events: exactly once\n\n== Logical Plan ==/,
  )

  const column = await millrace(t, 'sql', 'SELECT id,\n  pgae\nFROM events', ...at)
  assert.equal(column.code, 1)
  assert.equal(
    column.stderr,
    'error: column "pgae" does not exist in table "events" [SQL_COLUMN_NOT_FOUND]\n  2 |   pgae\n    |   ^^^^\n  Did you mean "page"?\n',
  )
  const syntax = await millrace(t, 'sql', 'SELCT 1', ...at)
  assert.match(syntax.stderr, /^error: found SELCT, expected .*\n {2}1 \| SELCT 1\n {4}\| \^{5}\n {2}Did you mean SELECT/)
  const unknown = await millrace(t, 'sql', 'SELECT * FROM countz', '--json', ...at)
  const [{ error }] = unknown.json<Failure>()
  assert.deepEqual([error.code, error.hint, error.position?.column], ['SQL_TABLE_NOT_FOUND', 'Did you mean "counts"?', 15])
  assert.match((await millrace(t, 'sql', 'DROP TABLE events', ...at)).stderr, /ADHOC_READ_ONLY[\s\S]*SQL files/)

  const doctor = (await millrace(t, 'doctor', '--port', new URL(server.ready.url).port)).stdout
  assert.match(doctor, /✓ port +127\.0\.0\.1:\d+: Millrace \S+ has run there for /)
  assert.doesNotMatch(doctor, /Kafka port|EADDRINUSE/)

  // What steers a terminal is shown, not sent to it.
  await server.post('events', [{ id: 'x', page: '\u001b[31mred\u0007', n: 1, ts: '2026-03-01 00:00:03.000' }])
  await until(async () => (await server.rows('counts')).length === 3, 'three pages')
  const red = await millrace(t, 'sql', "SELECT page FROM counts WHERE page LIKE '%red%'", ...at)
  assert.match(red.stdout, /\\u001b\[31mred\\u0007/)
})

test('explain: what flows through each node of a running query', { timeout: 120_000 }, async (t) => {
  const server = await startServer(t, makeProject(t, files))
  const at = ['--url', server.ready.url]
  const explained = millrace(t, 'explain', 'counts', '--seconds', '4', '--json', ...at)
  // Sent while it looks: rates are of that time.
  await until(async () => (await server.post('events', eventLines)).status === 202, 'nothing is taken')
  const [{ nodes, seconds }] = (await explained).json<{ nodes: NodeRates[]; seconds: number }>()
  assert.ok(seconds >= 4)
  assert.match(nodes[0].label, /^scan events/)
  const root = nodes.at(-1)!
  assert.match(root.label, /^groupAggregate/)
  assert.equal(nodes[0].selectivity, 1)
  assert.equal(root.stateRows, 2)
  assert.ok(root.stateBytes! > 0)
  assert.ok(nodes.every(({ busyShare }) => busyShare >= 0 && busyShare < 1))
  assert.ok(root.samples.some(({ row }) => row[0] === '/about'))
  const text = await millrace(t, 'explain', 'counts', '--seconds', '0.1', ...at)
  assert.match(text.stdout, /^counts \(running\)\n\n\d+ groupAggregate.*\n│ in 0\/s, out 0\/s · .*state 2 rows/)
  assert.match(text.stdout, /\n +└ 0 scan events/)
  const wrong = await millrace(t, 'explain', 'countz', '--json', ...at)
  assert.equal(wrong.json<Failure>()[0].error.code, 'SERVE_QUERY_NOT_FOUND')
  const seconds0 = await millrace(t, 'explain', 'counts', '--seconds', '0', '--json', ...at)
  assert.equal(seconds0.json<Failure>()[0].error.code, 'OPTION_INVALID')
})

test('topics: list, describe, read and follow; rejected events with their reason', { timeout: 120_000 }, async (t) => {
  const server = await startServer(t, makeProject(t, files))
  const at = ['--url', server.ready.url]
  await server.post('events', `${eventLines}\n{"id":"d"}`)

  assert.match(
    (await millrace(t, 'topics', ...at)).stdout,
    /^topic +partitions +records +size +retention\n[\s\S]*events +1 +3 +\d+ B +7 d\n/,
  )
  const listed = (await millrace(t, 'topics', 'list', '--json', ...at)).json<{ name: string; recordCount: number }>()
  assert.deepEqual(
    listed.filter(({ name }) => name.startsWith('events')).map(({ name, recordCount }) => [name, recordCount]),
    [
      ['events', 3],
      ['events.invalid', 1],
    ],
  )
  assert.match((await millrace(t, 'topics', 'describe', 'events', ...at)).stdout, /page +VARCHAR\(2147483647\) NOT NULL/)
  const read = await millrace(t, 'topics', 'read', 'events', '--offset', '1', '--limit', '1', '--json', ...at)
  assert.deepEqual(
    read.json<{ offset: number }>().map(({ offset }) => offset),
    [1],
  )
  assert.match((await millrace(t, 'topics', 'read', 'events.invalid', ...at)).stdout, /\{"id":"d"\}.*\(required page: /)
  assert.match((await millrace(t, 'topics', 'read', 'events', '--offset', '99', ...at)).stderr, /no record from offset 99 on/)

  const follow = run(t, ['topics', 'read', 'events', '--limit', '1', '--follow', '--json', ...at])
  await until(() => follow.lines().length === 1, 'the newest record')
  // The socket opens after the first read.
  await until(async () => {
    await server.post('events', [{ id: 'later', page: '/later', n: 1, ts: '2026-03-01 00:00:09.000' }])
    return follow.stdout.includes('"later"')
  }, 'what arrives while following')
  assert.equal((await follow.kill('SIGINT')).code, 0, follow.output)

  assert.match((await millrace(t, 'topics', 'read', 'event', ...at)).stderr, /topic "event" does not exist.*\n {2}Did you mean "events"\?/)
  assert.match(
    (await millrace(t, 'topics', 'raed', 'events', ...at)).stderr,
    /unknown command 'raed' \(there are list, describe, .*, stats\)/,
  )
})

test('simulate: to a file, to a server; its table is printed', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, { 'pipelines/website.sql': websiteTable })
  const truth = ['--truth', join(folder, 'truth.ndjson')]
  const ddl = await millrace(t, 'simulate', 'website', '--ddl')
  assert.equal(ddl.stdout.trim(), websiteTable)
  const written = await millrace(
    t,
    'simulate',
    'website',
    '--speed',
    'max',
    '--events',
    '500',
    '--out',
    join(folder, 'events.ndjson'),
    ...truth,
  )
  assert.equal(written.code, 0, written.stderr)
  assert.equal(readFileSync(join(folder, 'events.ndjson'), 'utf8').trim().split('\n').length, 500)
  assert.ok(existsSync(join(folder, 'truth.ndjson')))

  const server = await startServer(t, folder)
  const at = ['--url', server.ready.url]
  const posted = await millrace(
    t,
    'simulate',
    'website',
    '--speed',
    'max',
    '--events',
    '2000',
    '--malformed',
    '0.01',
    '--json',
    ...truth,
    ...at,
  )
  const [summary] = posted.json<{ lines: number; accepted: number; rejected: number }>()
  assert.equal(summary.lines, 2000)
  assert.equal(summary.accepted + summary.rejected, 2000)
  assert.ok(summary.rejected > 0)
  const lost = await millrace(t, 'simulate', 'website', '--events', '1', '--topic', 'website', '--speed', 'max', '--json', ...truth, ...at)
  assert.equal(lost.json<Failure>()[0].error.code, 'INGEST_TOPIC_NOT_DECLARED')
  const nowhere = await millrace(t, 'simulate', 'website', '--events', '1', '--out', join(folder, 'none/x'), ...truth)
  assert.match(nowhere.stderr, /none\/x cannot be opened: it, or its folder, is not there \[FILE_UNUSABLE\]/)
})

test('dev takes up each edit, says what is wrong where, and goes on', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, files)
  const path = join(folder, 'pipelines/counts.sql')
  const running = run(t, ['dev', folder, '--port', '0', '--workers', '1', '--data', join(folder, 'data')])
  await until(
    () => running.stdout.includes('Ctrl-C'),
    () => running.output,
    60_000,
  )

  writeFileSync(path, `${countsSql}\nCREATE MATERIALIZED TABLE pages AS SELECT COUNT(DISTINCT page) AS pages FROM events;`)
  await until(
    () => /edited: started pages; 1 unchanged/.test(running.stdout),
    () => running.output,
  )
  writeFileSync(path, `${countsSql}\nCREATE MATERIALIZED TABLE ids (PRIMARY KEY (id) NOT ENFORCED) AS SELECT idd FROM events;`)
  await until(
    () => running.stderr.includes('counts.sql:14:73: column "idd" does not exist') && /\n +\| +\^{3}\n/.test(running.stderr),
    () => running.output,
  )
  writeFileSync(
    path,
    `${countsSql}\nCREATE MATERIALIZED TABLE ids (PRIMARY KEY (id) NOT ENFORCED) AS SELECT id, COUNT(*) AS n FROM events GROUP BY id;`,
  )
  await until(
    () => /started ids; stopped pages; 1 unchanged/.test(running.stdout),
    () => running.output,
  )
  const url = /http:\S+/.exec(running.stdout)![0]
  writeFileSync(join(folder, 'counts.sql'), countsSql)
  assert.equal((await millrace(t, 'promote', join(folder, 'counts.sql'), '--url', url)).code, 0)
  await until(
    () => /changed over the API: stopped ids; 1 unchanged/.test(running.stdout),
    () => running.output,
  )
  assert.equal((await running.kill('SIGINT')).code, 0, running.output)
})

test('doctor and token', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, { ...files, 'pipelines/wrong.sql': 'CREATE VIEW v AS SELECT pgae FROM events;' })
  const data = ['--data', join(folder, 'data')]
  const doctor = await millrace(t, 'doctor', folder, '--port', '0', '--json', ...data)
  assert.equal(doctor.code, 1)
  const findings = doctor.json<{ check: string; state: string; detail: string; next: string }>()
  const problems = findings.filter(({ state }) => state === 'problem').map(({ detail, next }) => [detail.replace(/ \[.*/, ''), next])
  assert.ok(
    problems.some(([detail, next]) => detail.startsWith('pipelines/wrong.sql:1:25: column "pgae"') && next === 'Did you mean "page"?'),
    doctor.stdout,
  )
  assert.match((await millrace(t, 'doctor', folder, '--port', '0', ...data)).stdout, / disk sync +fdatasync p50 .*p99/)

  const [made] = (await millrace(t, 'token', 'create', '--role', 'reader', '--name', 'x', '--json', ...data)).json<{
    token: string
    id: string
  }>()
  assert.match((await millrace(t, 'token', 'list', ...data)).stdout, new RegExp(`${made.id} +reader +x`))
  assert.ok(!(await millrace(t, 'token', 'list', '--json', ...data)).stdout.includes(made.token.slice(20)))
  assert.match((await millrace(t, 'token', 'revoke', made.id, ...data)).stdout, /no longer valid/)
  assert.match((await millrace(t, 'token', 'revoke', made.id, ...data)).stderr, /AUTH_TOKEN_NOT_FOUND[\s\S]*token list/)
  assert.match((await millrace(t, 'token', 'create', '--role', 'king', ...data)).stderr, /AUTH_ROLE_INVALID[\s\S]*reader, writer, admin/)
})

test('wrong use is told what is right, with exit code 1 and no stack', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, files)
  const data = ['--data', join(folder, 'data')]
  const cases: [args: string[], says: RegExp][] = [
    [['sql', 'SELECT 1', '--url', 'http://127.0.0.1:2'], /no Millrace answers at http:\/\/127\.0\.0\.1:2[\s\S]*millrace dev/],
    [['sql', 'SELECT 1', '--url', 'nonsense'], /--url is "nonsense", expected an address/],
    [['sql', '--jsn'], /unknown option '--jsn'[\s\S]*--json/],
    [['topic'], /unknown command 'topic'[\s\S]*topics/],
    [['start', '/nowhere'], /PROJECT_NOT_FOUND[\s\S]*pipelines/],
    [['start', folder, '--port', '99999', ...data], /--port is "99999", expected a whole number from 0 to 65535/],
    [['start', folder, '--durability', 'maybe', ...data], /expected "fsync" or "os"/],
    [['start', folder, 'more', ...data], /too many arguments/],
    [['simulate', 'shop'], /expected "website"/],
    [['simulate', 'website', '--rate', '-3'], /--rate is "-3", expected a number from 0\.001/],
    [['token', 'create'], /required option '--role/],
  ]
  const checked = cases.map(async ([args, says]) => {
    const { code, stderr } = await millrace(t, ...args)
    assert.equal(code, 1, args.join(' '))
    assert.match(stderr, says, args.join(' '))
    assert.doesNotMatch(stderr, /\n\s+at |INTERNAL/, args.join(' '))
  })
  await Promise.all(checked)
  const [{ error }] = (await millrace(t, 'sql', 'SELECT 1', '--url', 'http://127.0.0.1:2', '--json')).json<Failure>()
  assert.equal(error.code, 'SERVER_UNREACHABLE')
})

test('--help of every command shows an example or its options, at once', { timeout: 120_000 }, async (t) => {
  const commands = [
    '',
    'demo',
    'dev',
    'start',
    'sql',
    'topics list',
    'topics read',
    'topics create',
    'topics export',
    'groups reset',
    'kafka-user create',
    'simulate',
    'doctor',
    'token create',
  ]
  const checked = commands.map(async (command) => {
    const { code, stdout } = await millrace(t, ...command.split(' ').filter(Boolean), '--help')
    assert.equal(code, 0, command)
    assert.match(stdout, /^Usage: millrace/)
    if (command) assert.match(stdout, /--json[\s\S]*\nExamples\n {2}millrace /, command)
  })
  await Promise.all(checked)
})
