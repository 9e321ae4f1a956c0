// The API on real sockets, with the real view store and the real log; only the queries' figures are made up.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { WebSocket } from 'ws'
import { type HttpServer, makeHttpServer } from '../base/http/index.ts'
import { batchOf, type Field, t } from '../data/index.ts'
import { bindRecordQuery, bindStatistics } from '../jobs/index.ts'
import { type Log, openLog } from '../log/index.ts'
import { Catalog } from '../sql/index.ts'
import { ViewStore } from '../views/index.ts'
import { noCheckpoints } from './checkpoints.ts'
import type { AttentionItem, ErrorFrame, Forecasts, Lineage, LiveFrame, StatsHistory, TopicFrame } from './contract.ts'
import { type QuerySummary, registerServe, SavedFilters, type ServeDeps, StatsCollector } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-serve-'))
const fields: Field[] = [
  { name: 'page', type: t.string(false) },
  { name: 'edits', type: t.bigint() },
  { name: 'cost', type: t.decimal(20, 2) },
  { name: 'at', type: t.timestamp(3) },
  { name: 'tags', type: t.map(t.string(), t.bigint()) },
]
const query: QuerySummary = {
  id: 'q1',
  name: 'pages',
  state: 'running',
  rowsIn: 5,
  rowsOut: 3,
  rowsInPerSecond: 0,
  rowsOutPerSecond: 0,
  lateRows: 0,
  failedRows: 0,
  parallelism: 1,
  stateBytes: 0,
  spentMs: { busy: 1, backPressured: 0, idle: 0 },
  restarts: 0,
  parityMarks: 0,
  target: { kind: 'table', name: 'pages' },
  droppedTables: [],
  sql: 'SELECT 1',
}
let log: Log
let views: ViewStore
let server: HttpServer
let stats: StatsCollector
let url: string
let restless: HttpServer
let restlessUrl: string
let isReady = true

before(async () => {
  log = await openLog({ folder: join(folder, 'data') })
  await log.createTopic('clicks', { partitionCount: 2 })
  stats = new StatsCollector({
    version: '0',
    eventsIn: () => 7,
    rejected: () => 1,
    rowsOut: () => 3,
    dataBytes: () => log.stats().sizeBytes,
    memory: () => ({ limitBytes: 1_000, stateBytes: 100, otherBytes: 850, spilledBytes: 0 }),
    queries: () => [query],
    topics: () => log.topics(),
  })
  views = new ViewStore({ onDelivered: stats.recordLatency })
  views.define({ name: 'pages', fields, primaryKey: [0], comment: 'Edits by page' })
  server = await makeHttpServer({ limits: { webSockets: 500 } })
  const deps: ServeDeps = {
    views,
    log,
    topicColumns: () => [{ name: 'user', type: 'VARCHAR(2147483647)' }],
    topicFormat: () => 'json',
    queries: () => [query],
    topicUsers: () => ({ tables: [], readers: [], writers: [] }),
    bindRecords: (topic, text) => bindRecordQuery(topic, undefined, text, 'UTC'),
    bindStatistics: (topic) => bindStatistics(topic, undefined, 'UTC'),
    kafkaUsers: () => undefined,
    groups: async () => undefined,
    door: { check: async () => ({ accepted: 0, rejected: [], rejectedCount: 0 }), accept: async () => ({ status: 422, text: '{}' }) },
    audit: () => {},
    sourcesOf: () => new Map([['q1', [{ kind: 'topic', name: 'clicks' }]]]),
    inspectQuery: async () => undefined,
    readState: async () => undefined,
    droppedIn: () => undefined,
    parityOf: (name) => (name === 'q1' ? { query: 'q1', marks: [] } : undefined),
    configOf: () => undefined,
    processConfig: () => [],
    control: { stop: async () => undefined, start: async () => undefined, rescale: async () => undefined },
    checkpoints: noCheckpoints,
    filters: new SavedFilters(
      log,
      [{ on: 'messages', subject: 'clicks', name: 'declared', where: '_offset > 0', isDefault: true }],
      Date.now,
    ),
    history: { ofQuery: async () => undefined, deploys: async () => [], fileOf: async () => undefined },
    health: () => ({ ready: isReady, live: true, version: '0', uptimeSeconds: 1, parts: { log: { state: isReady ? 'ok' : 'starting' } } }),
    stats,
    diffScript: () => assert.fail('no comparison here'),
    forecastState: () => assert.fail('no forecast here'),
    workspace: { catalog: () => new Catalog(), topicOf: () => undefined, preview: () => assert.fail('no preview here') },
    runSql: async (sql) => ({ fields: fields.slice(0, 2), rows: [[sql, 9007199254740993n]] }),
    version: '0',
  }
  registerServe(server.app, deps)
  // Asks its sockets for a sign of life ten times a second.
  restless = await makeHttpServer()
  registerServe(restless.app, deps, { beatMs: 100 })
  restlessUrl = (await restless.listen()).url
  url = (await server.listen()).url
  const rows = Array.from({ length: 250 }, (_, i) => [`p${i}`, BigInt(i % 10), BigInt(i), 1_767_225_600_000 + i, null])
  views.apply('pages', batchOf(fields, [...rows, ['big', 9007199254740993n, 9007199254740993n, 0, new Map([['a', 9007199254740993n]])]]), {
    epoch: 3,
  })
})
after(async () => {
  await server.close()
  await restless.close()
  views.close()
  stats.close()
  await log.close()
  rmSync(folder, { recursive: true })
})

const read = async (path: string) => {
  const response = await fetch(url + path)
  const text = await response.text()
  let body: { error?: { code: string; hint: string }; rows: unknown[][]; next: string | null } | undefined
  try {
    body = JSON.parse(text)
  } catch {}
  return { status: response.status, text, body, code: body?.error?.code, hint: body?.error?.hint }
}
const rowsOf = async (path: string): Promise<unknown[][]> => (await read(path)).body?.rows ?? []

/** All frames of a live route, as they come. */
function live<F>(path: string, { protocols = [] as string[], at = url } = {}) {
  const socket = new WebSocket(at.replace('http', 'ws') + path, protocols)
  const received: F[] = []
  let bytes = 0
  let pings = 0
  socket.on('message', (data, isBinary) => {
    assert.equal(isBinary, false)
    bytes += (data as Buffer).length
    const frame = JSON.parse(String(data))
    if (frame.type === 'ping') pings++
    else received.push(frame)
  })
  socket.on('error', () => {})
  const closed = new Promise<number>((resolve) => socket.on('close', resolve))
  const until = async (test: (frames: F[]) => boolean, what = 'frame'): Promise<void> => {
    for (let i = 0; i < 400 && !test(received); i++) await delay(5)
    assert.ok(test(received), `no ${what}: ${JSON.stringify(received).slice(0, 300)}`)
  }
  return { socket, received, closed, until, bytes: () => bytes, pings: () => pings }
}

test('tables: list, look-up by key, filters, order, pages', async () => {
  const { body } = await read('/v1/tables')
  const [table] = body as unknown as { name: string; primaryKey: string[]; rowCount: number; comment: string }[]
  assert.deepEqual([table.name, table.primaryKey, table.rowCount, table.comment], ['pages', ['page'], 251, 'Edits by page'])
  assert.deepEqual(await rowsOf('/v1/tables/pages?page=p42'), [['p42', 2, 0.42, '2026-01-01 00:00:00.042', null]])
  assert.deepEqual(await rowsOf('/v1/tables/pages?page=nothing'), [])
  assert.deepEqual(
    (await rowsOf('/v1/tables/pages?edits.gte=9&order=-edits,+cost&limit=3')).map((row) => row[0]),
    ['big', 'p9', 'p19'],
  )
  assert.equal((await rowsOf('/v1/tables/pages?at.lt=2026-01-01%2000:00:00.010&at.gte=2026-01-01')).length, 10)
  assert.equal((await rowsOf('/v1/tables/pages?page.in=p1,p2&edits=1')).length, 1)
  const seen = new Set<unknown>()
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body } = await read(`/v1/tables/pages?order=-edits&limit=40${cursor && `&cursor=${cursor}`}`)
    for (const [page] of body?.rows ?? []) {
      assert.ok(!seen.has(page))
      seen.add(page)
    }
    cursor = body?.next ?? null
  }
  assert.equal(seen.size, 251)
})

test('numbers beyond 2^53 are exact numerals, or text on request', async () => {
  assert.match(
    (await read('/v1/tables/pages?page=big')).text,
    /\["big",9007199254740993,90071992547409\.93,"1970-01-01 00:00:00\.000",\{"a":9007199254740993\}\]/,
  )
  assert.match(
    (await read('/v1/tables/pages?page=big&numbers=string')).text,
    /\["big","9007199254740993","90071992547409\.93",.*\{"a":"9007199254740993"\}\]/,
  )
  assert.equal((await rowsOf('/v1/tables/pages?edits=9007199254740993')).length, 1)
  assert.equal((await rowsOf('/v1/tables/pages?edits=9007199254740992')).length, 0)
})

test('what is wrong in a URL is said with the nearest name', async () => {
  for (const [path, status, expected, hint] of [
    ['/v1/tables/pagess', 404, 'VIEW_NOT_FOUND', /"pages"/],
    ['/v1/tables/pages?edit=1', 400, 'SERVE_PARAMETER_UNKNOWN', /"edits"/],
    ['/v1/tables/pages?limt=1', 400, 'SERVE_PARAMETER_UNKNOWN', /"limit"/],
    ['/v1/tables/pages?isolation=dirty', 400, 'HTTP_REQUEST_INVALID', /openapi/],
    ['/v1/tables/pages?edits=abc', 400, 'VIEW_VALUE_INVALID', /64 bits/],
    ['/v1/tables/pages?edits.above=1', 400, 'VIEW_FILTER_INVALID', /gte/],
    ['/v1/tables/pages?tags=1', 400, 'VIEW_OPERATOR_UNSUPPORTED', /null/],
    ['/v1/tables/pages?order=-edit', 400, 'VIEW_COLUMN_NOT_FOUND', /"edits"/],
    ['/v1/tables/pages?limit=0', 400, 'HTTP_REQUEST_INVALID', /openapi/],
    ['/v1/tables/pages?limit=1000000', 400, 'HTTP_REQUEST_INVALID', /openapi/],
    ['/v1/tables/pages?format=xml', 400, 'HTTP_REQUEST_INVALID', /openapi/],
    ['/v1/tables/pages?cursor=abc', 400, 'VIEW_CURSOR_INVALID', /order/],
    ['/v1/topics/click', 404, 'SERVE_TOPIC_NOT_FOUND', /"clicks"/],
    ['/v1/topics?x=1', 400, 'HTTP_REQUEST_INVALID', /openapi/],
    ['/v1/topics/clicks/messages?offset=1&from=oldest', 400, 'SERVE_SEEK_INVALID', /from=newest/],
    ['/v1/topics/clicks/messages?partition=2', 404, 'SERVE_PARTITION_NOT_FOUND', /0 to 1/],
    ['/v1/topics/clicks/messages?where=nothing%20%3E%201', 400, 'SQL_COLUMN_NOT_FOUND', /./],
    ['/v1/topics/clicks/messages?cursor=e30', 400, 'SERVE_CURSOR_INVALID', /next/],
    ['/v1/tables/pages/live', 426, 'HTTP_UPGRADE_REQUIRED', /ws/],
    ['/v1/tables/constructor', 404, 'VIEW_NOT_FOUND', /./],
    ['/v1/tables/pages?__proto__=1', 400, 'SERVE_PARAMETER_UNKNOWN', /./],
  ] as const) {
    const answer = await read(path)
    assert.deepEqual([path, answer.status, answer.code], [path, status, expected])
    assert.match(answer.hint ?? '', hint)
  }
})

test('exports stream all rows as NDJSON and CSV, as of one moment, and stop when the client leaves', async () => {
  const lines = (await read('/v1/tables/pages?format=ndjson&order=-edits')).text.trim().split('\n')
  assert.equal(lines.length, 251)
  assert.equal(
    lines[0],
    '{"page":"big","edits":9007199254740993,"cost":90071992547409.93,"at":"1970-01-01 00:00:00.000","tags":{"a":9007199254740993}}',
  )
  views.define({ name: 'quotes', fields: fields.slice(0, 2), primaryKey: [0] })
  views.apply(
    'quotes',
    batchOf(fields.slice(0, 2), [
      ['a "b",\n', null],
      ['', 1n],
    ]),
    { epoch: 1 },
  )
  assert.equal((await read('/v1/tables/quotes?format=csv&order=page')).text, 'page,edits\r\n"",1\r\n"a ""b"",\n",\r\n')
  views.define({ name: 'wide', fields: fields.slice(0, 2), primaryKey: [0] })
  for (let i = 0; i < 20; i++)
    views.apply(
      'wide',
      batchOf(
        fields.slice(0, 2),
        Array.from({ length: 5000 }, (_, k) => [`${'x'.repeat(100)}${i * 5000 + k}`, 1n]),
      ),
      { epoch: 1 },
    )
  // Five clients that read nothing: the fifth is refused, and when the others leave there is room again.
  const stalled = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const socket = connect(Number(new URL(url).port), '127.0.0.1')
      socket.write('GET /v1/tables/wide?format=ndjson HTTP/1.1\r\nHost: localhost\r\n\r\n')
      await new Promise((resolve) => socket.once('readable', resolve))
      return socket
    }),
  )
  assert.equal((await read('/v1/tables/wide?format=ndjson')).code, 'SERVE_EXPORTS_LIMIT')
  for (const socket of stalled) socket.destroy()
  await delay(50)
  assert.equal((await read('/v1/tables/wide?format=ndjson')).text.trim().split('\n').length, 100_000)
  views.drop('wide')
  views.drop('quotes')
})

test('a subscription is a snapshot, then deltas, then with its token only what was missed', async () => {
  const first = live<LiveFrame>('/v1/tables/pages/live?edits.gt=8&order=-edits&limit=2&numbers=string', { protocols: ['millrace'] })
  await first.until((frames) => frames.length === 1)
  const [snapshot] = first.received
  assert.ok(snapshot.type === 'snapshot' && first.socket.protocol === 'millrace')
  assert.deepEqual(
    snapshot.rows.map((row) => row[0]),
    ['big', 'p109'],
  )
  assert.deepEqual([snapshot.primaryKey, snapshot.epoch, snapshot.rows[0][1]], [['page'], 3, '9007199254740993'])
  const change = (page: string, edits: bigint, kind = 0) =>
    views.apply('pages', batchOf(fields, [[page, edits, 1n, 0, null]], { kinds: Uint8Array.of(kind) }), { epoch: 4, originMs: Date.now() })
  change('p5', 77n)
  await first.until((frames) => frames.length === 2)
  const delta = first.received[1]
  assert.ok(delta.type === 'delta')
  assert.deepEqual(
    delta.changes.map(({ op, row }) => [op, row[0]]),
    [
      ['-D', 'p109'],
      ['+I', 'p5'],
    ],
  )
  first.socket.close()
  await first.closed
  change('p5', 5n, 2)
  const second = live<LiveFrame>(`/v1/tables/pages/live?edits.gt=8&order=-edits&limit=2&numbers=string&resume=${delta.resume}`)
  await second.until((frames) => frames.some((frame) => frame.type === 'delta' && frame.changes.length > 0))
  assert.ok(second.received.every((frame) => frame.type === 'delta'))
  second.socket.close()
  const third = live<LiveFrame>('/v1/tables/pages/live?limit=1&resume=gone.7')
  await third.until((frames) => frames.length === 2)
  assert.deepEqual(
    third.received.map((frame) => frame.type),
    ['reset', 'snapshot'],
  )
  third.socket.close()
})

test('a browser can read why a live socket is refused: an error frame, then a close with the status', async () => {
  for (const [path, code, closeCode] of [
    ['/v1/tables/nothing/live', 'VIEW_NOT_FOUND', 4404],
    ['/v1/tables/pages/live?edits=x', 'VIEW_VALUE_INVALID', 4400],
    ['/v1/tables/pages/live?limit=0', 'HTTP_REQUEST_INVALID', 4400],
    ['/v1/tables/pages/live?isolation=committed', 'SERVE_PARAMETER_UNKNOWN', 4400],
    ['/v1/topics/nothing/live', 'SERVE_TOPIC_NOT_FOUND', 4404],
    ['/v1/stats/live?x=1', 'HTTP_REQUEST_INVALID', 4400],
  ] as const) {
    const refused = live<ErrorFrame>(path)
    assert.equal(await refused.closed, closeCode, path)
    assert.equal(refused.received[0]?.error.code, code)
  }
})

test('whatever happens on the way, a client ends with the rows of the table: cut connections, resumes, a slow reader', async () => {
  const small: Field[] = [
    { name: 'k', type: t.int(false) },
    { name: 'v', type: t.int() },
    { name: 'text', type: t.string() },
  ]
  const step = fc.record({
    k: fc.nat(30),
    kind: fc.constantFrom(0, 2, 3),
    act: fc.constantFrom('none', 'none', 'cut', 'join', 'pause', 'resume'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      views.define({ name: 'small', fields: small, primaryKey: [0] })
      const rows = new Map<unknown, unknown[]>()
      let token: string | undefined
      const join = () => {
        const client = live<LiveFrame>(`/v1/tables/small/live?interval=0${token ? `&resume=${token}` : ''}`)
        client.received.push = (...frames: LiveFrame[]) => {
          for (const frame of frames) {
            if (frame.type === 'snapshot') rows.clear()
            if (frame.type === 'snapshot') for (const row of frame.rows) rows.set(row[0], row)
            if (frame.type === 'delta')
              for (const { op, row } of frame.changes) {
                assert.equal(rows.has(row[0]), op !== '+I')
                if (op === '-D') rows.delete(row[0])
                else rows.set(row[0], row)
              }
            if ('resume' in frame) token = frame.resume
          }
          return 0
        }
        return client
      }
      let client: ReturnType<typeof join> | undefined = join()
      let value = 0
      for (const { k, kind, act } of steps) {
        views.apply('small', batchOf(small, [[k, value++, 'x'.repeat(20_000)]], { kinds: Uint8Array.of(kind) }), { epoch: value })
        if (act === 'cut') {
          client?.socket.terminate()
          await client?.closed
          client = undefined
        } else if (act === 'join') client ??= join()
        else if (act === 'pause' && client?.socket.readyState === WebSocket.OPEN) client.socket.pause()
        else if (act === 'resume') client?.socket.resume()
        if (value % 4 === 0) await delay(2)
      }
      client ??= join()
      client.socket.resume()
      const expected = views.snapshot('small').rows
      for (let i = 0; i < 400; i++) {
        if (rows.size === expected.length && expected.every((row) => rows.get(row[0])?.[1] === row[1])) break
        await delay(5)
      }
      assert.deepEqual(
        [...rows.values()].sort((a, b) => Number(a[0]) - Number(b[0])),
        expected.sort((a, b) => Number(a[0]) - Number(b[0])),
      )
      client.socket.terminate()
      views.drop('small')
    }),
    { numRuns: 15 },
  )
})

test('a client that does not read costs bounded memory, is told the newest values when it reads, and slows nobody', async () => {
  const wide: Field[] = [
    { name: 'k', type: t.int(false) },
    { name: 'v', type: t.int() },
    { name: 'text', type: t.string() },
  ]
  views.define({ name: 'wide', fields: wide, primaryKey: [0] })
  const slow = live<LiveFrame>('/v1/tables/wide/live?interval=0')
  const fast = live<LiveFrame>('/v1/tables/wide/live?interval=0')
  await slow.until((frames) => frames.length === 1)
  await fast.until((frames) => frames.length === 1)
  slow.socket.pause()
  const last = 40
  const text = 'x'.repeat(20_000)
  const has = (value: number) => (frames: LiveFrame[]) =>
    frames.some((frame) => frame.type === 'delta' && frame.changes.some(({ row }) => row[1] === value))
  for (let i = 1; i <= last; i++) {
    const rows = Array.from({ length: 20 }, (_, k) => [k, i, text])
    views.apply('wide', batchOf(wide, rows), { epoch: i })
    await fast.until(has(i), 'value at the fast client')
  }
  slow.socket.resume()
  await slow.until(has(last), 'last value at the slow client')
  // 16 MB were sent to the fast one; the slow one got what fits in socket buffers, then one row per key.
  assert.ok(slow.bytes() < fast.bytes() / 2, `${slow.bytes()} of ${fast.bytes()}`)
  fast.socket.close()
  slow.socket.close()
  views.drop('wide')
})

test('pings keep a live socket, and a peer that is gone is found', async () => {
  const there = live<LiveFrame>('/v1/tables/pages/live?limit=1', { at: restlessUrl })
  const gone = connect(Number(new URL(restlessUrl).port), '127.0.0.1', () =>
    gone.write(
      'GET /v1/tables/pages/live?limit=1 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    ),
  )
  gone.on('error', () => {})
  gone.resume()
  await new Promise((resolve) => gone.on('close', resolve))
  await there.until(() => there.pings() >= 3)
  assert.equal(there.socket.readyState, WebSocket.OPEN)
  there.socket.close()
})

test('topics: what is there, the newest records, from an offset on, and live with a rate', async () => {
  const encode = (text: string) => new TextEncoder().encode(text)
  const record = (text: string, i: number) => ({
    key: encode('k'),
    value: encode(text),
    timestampMs: 1000 + i,
    headers: [['id', encode(`${i}`)]] as [string, Uint8Array][],
  })
  await log.appendRecords('clicks', 0, [record('{"n":9007199254740993}', 0), record('not json', 1)])
  await log.appendRecords('clicks', 1, [record('[1]', 2)])
  const [topic] = (await read('/v1/topics')).body as unknown as { name: string; recordCount: number; partitionCount: number }[]
  assert.deepEqual([topic.name, topic.recordCount, topic.partitionCount], ['clicks', 3, 2])
  assert.equal(((await read('/v1/topics/clicks')).body as unknown as { name: string }).name, 'clicks')
  const newest = (await read('/v1/topics/clicks/messages')).text
  assert.match(newest, /"value":\{"n":9007199254740993\}/)
  const { messages } = JSON.parse(newest) as TopicFrame
  assert.deepEqual(
    messages.map(({ timestampMs }) => timestampMs),
    [1002, 1001, 1000],
  )
  assert.deepEqual([messages[1].value, messages[1].key, messages[1].headers], ['not json', 'k', { id: '1' }])
  const from = JSON.parse((await read('/v1/topics/clicks/messages?partition=0&offset=1')).text) as TopicFrame
  assert.deepEqual(
    from.messages.map(({ offset }) => offset),
    [1],
  )

  const watcher = live<TopicFrame>('/v1/topics/clicks/live?rate=10')
  await new Promise((resolve) => watcher.socket.on('open', resolve))
  await delay(20)
  for (let i = 0; i < 5; i++)
    await log.appendRecords(
      'clicks',
      i % 2,
      Array.from({ length: 20 }, (_, k) => record('1', 10 + i * 20 + k)),
    )
  const sum = () =>
    watcher.received.reduce((total, frame) => total + (frame.type === 'messages' ? frame.messages.length + frame.skipped : 0), 0)
  await watcher.until(() => sum() >= 100)
  assert.equal(sum(), 100)
  assert.ok(watcher.received.every((frame) => frame.type !== 'messages' || frame.messages.length <= 2))
  watcher.socket.close()
})

test('SQL answers exact numerals', async () => {
  const ask = async (body: object) =>
    (await fetch(`${url}/v1/sql`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })).text()
  assert.match(await ask({ sql: 'SELECT' }), /"rows":\[\["SELECT",9007199254740993\]\]/)
  assert.match(await ask({ sql: 'SELECT', numbers: 'string' }), /"9007199254740993"/)
  assert.match(await ask({ sq: 'SELECT' }), /HTTP_REQUEST_INVALID/)
})

test('health, queries, statistics', async () => {
  assert.equal((await read('/v1/health')).status, 200)
  isReady = false
  assert.equal((await read('/v1/health')).status, 503)
  isReady = true
  assert.deepEqual((await read('/v1/queries')).body, [query])
  views.apply('pages', batchOf(fields, [['p1', 1n, 1n, 0, null]]), { epoch: 5, originMs: Date.now() - 40 })
  await delay(30)
  const current = JSON.parse((await read('/v1/stats')).text)
  assert.ok(current.latency.count >= 1 && current.latency.p99Ms >= 40 && current.latency.p99Ms < 1000)
  assert.deepEqual([current.eventsIn.total, current.topics[0].name], [7, 'clicks'])
  const watcher = live<{ atMs: number }>('/v1/stats/live')
  await watcher.until((frames) => frames.filter(({ atMs }) => atMs).length >= 2)
  watcher.socket.close()
})

const readAs = async <T>(path: string) => JSON.parse((await read(path)).text) as T

test('figures over time, forecasts, parity, and what needs attention', async () => {
  const started = Date.now()
  for (let i = 40; i > 0; i--) stats.history.sample({ ...stats.current(), atMs: started - i * 10_000, dataBytes: 1_000_000 * (50 - i) })
  const history = await readAs<StatsHistory>('/v1/stats/history?since=1h')
  assert.deepEqual([history.stepMs, history.series.memoryUsedBytes.filter((value) => value !== null)[0]], [5_000, 950])
  assert.equal(history.series.eventsInPerSecond.length, history.timesMs.length)
  const past = await readAs<StatsHistory>(`/v1/stats/history?since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z`)
  assert.deepEqual(past.timesMs, [])
  const own = await readAs<StatsHistory>('/v1/queries/pages/stats/history?since=1h')
  assert.ok(own.series.stateBytes.some((bytes) => bytes === 0))
  for (const [path, status, code] of [
    ['/v1/stats/history?since=soon', 400, 'SERVE_SINCE_INVALID'],
    ['/v1/queries/nothing/stats/history', 404, 'SERVE_QUERY_NOT_FOUND'],
    ['/v1/queries/nothing/parity', 404, 'SERVE_QUERY_NOT_FOUND'],
  ] as const) {
    const answer = await read(path)
    assert.deepEqual([path, answer.status, answer.code], [path, status, code])
  }
  assert.deepEqual((await read('/v1/queries/q1/parity')).body, { query: 'q1', marks: [] })
  const forecasts = await readAs<Forecasts>('/v1/forecast')
  assert.deepEqual([forecasts.memory.usedBytes, forecasts.memory.limitBytes, forecasts.memory.fullAtMs], [950, 1_000, undefined])
  // 1 MB every ten seconds is 360 MB an hour.
  assert.ok(Math.abs((forecasts.disk.bytesPerHour ?? 0) - 360e6) < 1e6, JSON.stringify(forecasts.disk))
  assert.deepEqual(
    (await readAs<AttentionItem[]>('/v1/attention')).map(({ code, subject }) => [code, subject.name]),
    [['MEMORY_NEAR', 'memory']],
  )
})

test('lineage: from the topic over the query to the table', async () => {
  const { nodes, edges } = await readAs<Lineage>('/v1/lineage')
  assert.deepEqual(
    new Set(nodes.map(({ id }) => id)),
    new Set(['topic/clicks', 'query/q1', ...views.list().map(({ name }) => `table/${name}`)]),
  )
  assert.deepEqual(
    edges.map(({ from, to }) => [from, to]),
    [
      ['topic/clicks', 'query/q1'],
      ['query/q1', 'table/pages'],
    ],
  )
})

test('openapi.json lists every route, and each reference and path parameter in it resolves', async () => {
  const api = JSON.parse((await read('/v1/openapi.json')).text)
  assert.equal(api.openapi, '3.1.0')
  const listed = Object.entries(api.paths as Record<string, object>).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  )
  // The router's own list, which knows nothing of ours: "│   └── /:name (GET, HEAD)", four columns to each level.
  const routed: string[] = []
  const parents: string[] = []
  for (const [, indent, part, methods] of server.app.printRoutes({ commonPrefix: false }).matchAll(/^(.*)── (\S+) \(([A-Z, ]+)\)$/gm)) {
    const depth = (indent.length - 1) / 4
    parents.splice(depth, parents.length, part)
    for (const method of methods.split(', ')) if (method !== 'HEAD') routed.push(`${method} ${parents.join('').replace(/:(\w+)/g, '{$1}')}`)
  }
  assert.ok(routed.length >= 11)
  assert.deepEqual(listed.sort(), routed.sort())
  const ids = new Set<string>()
  for (const [path, operations] of Object.entries(
    api.paths as Record<string, Record<string, { operationId: string; parameters: { name: string; in: string }[]; responses: object }>>,
  ))
    for (const operation of Object.values(operations)) {
      assert.ok(!ids.has(operation.operationId))
      ids.add(operation.operationId)
      const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      assert.deepEqual(
        operation.parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name),
        names,
      )
      assert.ok(Object.keys(operation.responses).length >= 2)
    }
  for (const [, reference] of JSON.stringify(api).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g))
    assert.ok(api.components.schemas[reference])
})
