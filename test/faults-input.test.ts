// What clients may do to a running platform: strange bodies, cut and slow connections, WebSockets that are never read. One server, the real process.
//
// Whatever they send: a typed answer, the good events in, the bad ones in <topic>.invalid, the process alive and quick for everybody else.
import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, afterEach, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LiveFrame, QuerySummary, Stats } from '../src/serve/contract.ts'
import { makeProject, type Server, startServer, until, untilRows } from './harness.ts'

/** Each test has a topic and a table of its own. */
const topics = ['mixed', 'times', 'big', 'cut', 'slow', 'pushed'] as const
const sqlOf = (topic: string) => `
CREATE TABLE ${topic} (
  id   STRING NOT NULL,
  page STRING NOT NULL,
  n    BIGINT,
  d    DOUBLE,
  ts   TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) WITH ('connector' = 'kafka', 'topic' = '${topic}', 'format' = 'json');
CREATE MATERIALIZED TABLE ${topic}_counts (PRIMARY KEY (page) NOT ENFORCED)
FRESHNESS = INTERVAL '1' SECOND AS
SELECT page, COUNT(*) AS events, SUM(n) AS total FROM ${topic} GROUP BY page;
CREATE MATERIALIZED TABLE ${topic}_minutes (PRIMARY KEY (window_start) NOT ENFORCED)
FRESHNESS = INTERVAL '1' SECOND AS
SELECT window_start, COUNT(*) AS events
FROM TABLE(TUMBLE(TABLE ${topic}, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end;
`

const good = (id: string, page = 'p') => JSON.stringify({ id, page, n: 1, ts: '2026-03-01 00:00:00.000' })

let server: Server
const undo: (() => unknown)[] = []
before(async () => {
  // The helpers of the harness tidy up after a test; this server lives as long as the file.
  const context = { after: (done: () => unknown) => undo.unshift(done) } as never
  const files = Object.fromEntries(topics.map((topic) => [`pipelines/${topic}.sql`, sqlOf(topic)]))
  server = await startServer(context, makeProject(context, files))
  assert.deepEqual(server.ready.errors, [])
})
after(async () => {
  // With all of this behind it the server stops as it should.
  const { code, afterMs } = await server.running.kill('SIGTERM')
  const { stderr } = server.running
  for (const done of undo) await done()
  assert.deepEqual({ code, stderr, inTime: afterMs < 5_000 }, { code: 0, stderr: '', inTime: true })
})
afterEach(async () => {
  assert.ok(server.running.isRunning, server.running.output)
  assert.equal((await server.health()).ready, true)
  const failed = (await server.get<QuerySummary[]>('/v1/queries')).filter(({ state }) => state !== 'running')
  assert.deepEqual(failed, [])
})

test('NaN, __proto__, deep nesting, invalid UTF-8 and huge numbers among good events: each is told apart', async () => {
  const deep = `{"id":"x","page":"deep","more":${'['.repeat(20_000)}${']'.repeat(20_000)}}`
  const invalidUtf8 = Buffer.concat([Buffer.from('{"id":"x","page":"'), Buffer.of(0xc3, 0x28, 0xff), Buffer.from('"}')])
  const surrogate = Buffer.concat([Buffer.from('{"id":"x","page":"'), Buffer.of(0xed, 0xa0, 0x80), Buffer.from('"}')])
  /** Body line, and for a bad one its rule and path. */
  const lines: [line: string | Buffer, rule?: string, path?: string][] = [
    ['{"id":"1","page":"good","n":1,"ts":"2026-03-01 00:00:00.000"}'],
    ['{"id":"x","page":"p","n":NaN}', 'json', 'n'],
    ['{"__proto__":{"polluted":true},"constructor":1,"id":"2","page":"good","n":1,"ts":"2026-03-01 00:00:00.000"}'],
    // Beyond a DOUBLE is infinite, as Flink has it.
    ['{"id":"6","page":"infinite","d":1e999,"ts":"2026-03-01 00:00:00.000"}'],
    [deep, 'depth', 'more'],
    ['{"id":"3","page":"good","n":9007199254740993,"ts":"2026-03-01 00:00:00.000"}'],
    [invalidUtf8, 'utf8', 'page'],
    [surrogate, 'utf8', 'page'],
    ['{"id":"x","page":"p","n":9223372036854775808}', 'range', 'n'],
    ['{"id":"x","page":"p","n":1e400}', 'range', 'n'],
    ['{"id":"x","page":null}', 'required', 'page'],
    ['{"id":"x"}', 'required', 'page'],
    ['{"id":"x","page":"p","ts":"2026-02-30 00:00:00"}', 'type', 'ts'],
    ['{"id":"x","page":', 'json', 'page'],
    ['[]', 'type', ''],
    ['\u0000', 'json', ''],
    ['{"id":"4","page":"good","n":-9223372036854775808,"d":1e-400,"ts":"2026-03-01 00:00:00.000"}'],
    ['{"id":"5","page":"good","n":1,"unknown":{"kept":[1,2,{"a":null}]},"ts":"2026-03-01 00:00:00.000"}'],
  ]
  const bytes = lines.map(([line]) => Buffer.from(line as string))
  const body = new Uint8Array(Buffer.concat(bytes.flatMap((line) => [line, Buffer.from('\n')])))
  const { status, body: answer } = await server.post('mixed', body)
  assert.equal(status, 202)
  const bad = lines.flatMap(([, rule, path], index) => (rule === undefined ? [] : [{ index, rule, path }]))
  assert.deepEqual(
    answer.rejected.map(({ index, rule, path }) => ({ index, rule, path })),
    bad,
  )
  assert.equal(answer.accepted, 6)
  assert.ok(answer.rejected.every(({ message }) => message.length > 5))
  const letters = await server.messages('mixed.invalid')
  assert.equal(letters.length, bad.length)
  for (const [i, { headers, value }] of letters.entries()) {
    const raw = bytes[bad[i].index]
    assert.deepEqual(
      { rule: headers.rule, path: headers.path, length: headers.length, sha256: headers.sha256 },
      { rule: bad[i].rule, path: bad[i].path, length: String(raw.length), sha256: createHash('sha256').update(raw).digest('hex') },
    )
    // JSON.stringify cannot take the deep one.
    // What is no UTF-8 is no JSON either: it is shown as text, with marks.
    if (headers.rule !== 'depth') assert.deepEqual(value, isUtf8(raw) ? parsedOr(raw.toString()) : raw.toString())
  }
  await untilRows(server, 'mixed_counts', [
    ['good', 5, Number(3n + 9007199254740993n - 9223372036854775808n)],
    ['infinite', 1, null],
  ])
  // To the digit, which numbers of JavaScript do not have.
  const exact = await fetch(`${server.ready.url}/v1/tables/mixed_counts`).then((response) => response.text())
  assert.match(exact, new RegExp(`\\["good",5,${3n + 9007199254740993n - 9223372036854775808n}\\]`))
  assert.equal(({} as { polluted?: boolean }).polluted, undefined)
})

test('times before 1970 and far in the future', async () => {
  const at = (id: string, ts: string) => ({ id, page: 'p', n: 1, ts })
  const { body } = await server.post('times', [
    at('a', '1969-12-31 23:59:59.999'),
    at('b', '0001-01-01 00:00:00.000'),
    at('c', '2026-03-01T00:00:30Z'),
    at('d', '2026-03-01 00:02:00.000'),
  ])
  assert.equal(body.accepted, 4, JSON.stringify(body))
  await untilRows(server, 'times_counts', [['p', 4, 4]])
  await untilRows(server, 'times_minutes', [
    ['1969-12-31 23:59:00.000', 1],
    ['2026-03-01 00:00:00.000', 1],
  ])
  // The newest time there is closes all windows; what comes then is late: counted, and never lost in silence.
  assert.equal((await server.post('times', [at('e', '9999-12-31 23:59:59.999')])).body.accepted, 1)
  const lateOf = async () => (await server.get<QuerySummary[]>('/v1/queries')).find(({ name }) => name === 'times_minutes')?.lateRows ?? 0
  await untilRows(server, 'times_minutes', [
    ['1969-12-31 23:59:00.000', 1],
    ['2026-03-01 00:00:00.000', 1],
    ['2026-03-01 00:02:00.000', 1],
  ])
  await until(async () => (await lateOf()) === 1, 'the row of year 1, late after that of 1969, is not counted')
  await server.post('times', [at('f', '2026-03-01 00:05:00.000')])
  await until(async () => (await lateOf()) === 2, 'the late row is not counted')
  await untilRows(server, 'times_counts', [['p', 6, 6]])
})

test('an event of 10 MB, and a body over the limit', async () => {
  const huge = JSON.stringify({ id: 'huge', page: 'x'.repeat(10_000_000) })
  const { status, body } = await server.post('big', `${good('a')}\n${huge}\n${good('b')}`)
  assert.equal(status, 202)
  assert.deepEqual([body.accepted, body.rejected.map(({ index, rule }) => [index, rule])], [2, [[1, 'size']]])
  const [letter] = await server.messages('big.invalid')
  assert.deepEqual([letter.headers.length, String(letter.value).length], [String(huge.length), 65_536])
  const over = await server.post('big', 'x'.repeat(17 * 1024 * 1024))
  assert.equal(over.status, 413)
  assert.match(over.body.error.code, /TOO_LARGE/)
  await untilRows(server, 'big_counts', [['p', 2, 2]])
})

/** JSON's value where it is JSON, as the API shows records. */
function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const head = (topic: string, length: number) =>
  `POST /v1/topics/${topic}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\nContent-Length: ${length}\r\n\r\n`
async function open(): Promise<Socket> {
  const socket = connect(server.ready.port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

test('connections that are cut in mid-body store nothing', async () => {
  const line = `${good('a')}\n`
  for (let i = 0; i < 20; i++) {
    const socket = await open()
    socket.write(head('cut', line.length * 100) + line.repeat(i))
    await sleep(5)
    if (i % 2 === 0) socket.destroy()
    else socket.resetAndDestroy()
  }
  assert.equal((await server.post('cut', line)).status, 202)
  await untilRows(server, 'cut_counts', [['p', 1, 1]])
  assert.equal((await server.messages('cut')).length, 1)
})

test('slow bodies hold nobody up, and are taken when they are whole', async () => {
  const line = `${good('a', 'slow')}\n`
  const slow = await Promise.all(Array.from({ length: 50 }, open))
  const answers = slow.map((socket) => {
    let text = ''
    socket.on('data', (data) => {
      text += data
    })
    return () => text
  })
  for (const socket of slow) socket.write(head('slow', line.length))
  const timesMs: number[] = []
  for (const character of line) {
    for (const socket of slow) socket.write(character)
    const startedMs = performance.now()
    assert.equal((await server.post('slow', good('b', 'quick'))).status, 202)
    timesMs.push(performance.now() - startedMs)
    await sleep(10)
  }
  await until(
    () => answers.every((answer) => answer().startsWith('HTTP/1.1 202')),
    () => answers.map((answer) => answer().slice(0, 100)).join(),
  )
  for (const socket of slow) socket.destroy()
  timesMs.sort((a, b) => a - b)
  assert.ok(timesMs[timesMs.length >> 1] < 250, `the others wait ${timesMs[timesMs.length >> 1]} ms`)
  await untilRows(server, 'slow_counts', [
    ['slow', 50, 50],
    ['quick', line.length, line.length],
  ])
})

test('WebSocket clients that never read cost no memory and slow nobody down', async () => {
  const upgrade = `GET /v1/tables/pushed_counts/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`
  const deaf = await Promise.all(Array.from({ length: 20 }, open))
  for (const socket of deaf) {
    socket.pause()
    socket.write(upgrade)
  }
  const live = new WebSocket(`${server.ready.url.replace('http', 'ws')}/v1/tables/pushed_counts/live`)
  const rows = new Map<string, unknown[]>()
  live.onmessage = ({ data }) => {
    const frame = JSON.parse(data as string) as LiveFrame
    if (frame.type === 'snapshot') for (const row of frame.rows) rows.set(String(row[0]), row)
    if (frame.type === 'delta')
      for (const { op, row } of frame.changes)
        if (op === '+I' || op === '+U') rows.set(String(row[0]), row)
        else if (op === '-D') rows.delete(String(row[0]))
  }
  await once(live, 'open')
  await until(async () => {
    const tables = await server.get<{ name: string; subscriberCount: number }[]>('/v1/tables')
    return tables.find(({ name }) => name === 'pushed_counts')?.subscriberCount === deaf.length + 1
  }, 'not all have subscribed')
  const before = (await server.get<Stats>('/v1/stats')).rssBytes
  // Some 40 MB of changed rows for each of them.
  const pad = 'x'.repeat(200)
  const keyCount = 1_000
  const roundCount = 60
  for (let round = 0; round < roundCount; round++) {
    const events = Array.from({ length: keyCount }, (_, key) => ({
      id: 'a',
      page: `${pad}${key}`,
      n: round,
      ts: '2026-03-01 00:00:00.000',
    }))
    assert.equal((await server.post('pushed', events)).status, 202)
    await sleep(30)
  }
  const total = (roundCount * (roundCount - 1)) / 2
  await until(
    () => rows.size === keyCount && [...rows.values()].every(([, count, sum]) => count === roundCount && sum === total),
    () => `the client that reads has ${rows.size} rows, the first ${JSON.stringify([...rows.values()][0])?.slice(-40)}`,
  )
  const grown = (await server.get<Stats>('/v1/stats')).rssBytes - before
  assert.ok(grown < 250 * 1024 * 1024, `${Math.round(grown / 1024 / 1024)} MiB more for clients that do not read`)
  live.close()
  for (const socket of deaf) socket.destroy()
})
