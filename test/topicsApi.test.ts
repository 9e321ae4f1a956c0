// Topics over HTTP, with the real log and a declared table: made, changed, deleted; records filtered by SQL, sent, exported; statistics; letters.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { WebSocket } from 'ws'
import { type HttpServer, makeHttpServer } from '../src/base/http/index.ts'
import { createToken, TokenStore } from '../src/base/index.ts'
import { type Ingest, registerIngest } from '../src/ingest/index.ts'
import { bindProject, bindRecordQuery, bindStatistics } from '../src/jobs/index.ts'
import { type Log, openLog } from '../src/log/index.ts'
import type {
  DeadLetterGroups,
  GroupDetail,
  GroupList,
  MessagesPage,
  SavedFilter,
  TopicFrame,
  TopicPartition,
  TopicSetting,
  TopicStatistics,
  TopicSummary,
} from '../src/serve/contract.ts'
import { type ConsumerGroups, noCheckpoints, registerServe, SavedFilters, type ServeDeps, StatsCollector } from '../src/serve/index.ts'
import { Catalog } from '../src/sql/index.ts'
import { ViewStore } from '../src/views/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-topics-'))
const project = bindProject([
  {
    name: 'pipelines/clicks.sql',
    text: `CREATE TABLE clicks (
      page STRING NOT NULL, n BIGINT, ts TIMESTAMP(3), twice AS n * 2,
      arrived TIMESTAMP_LTZ(3) METADATA FROM 'timestamp', WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
    ) WITH ('connector' = 'kafka', 'topic' = 'clicks', 'format' = 'json');`,
  },
])
const [table] = project.tables
const tableOf = (topic: string) => (topic === 'clicks' ? table : undefined)
/** 2^53 + 1: as a JavaScript number it would lose its last digit. */
const large = '9007199254740993'
const audits: Record<string, unknown>[] = []
let log: Log
let ingest: Ingest
let server: HttpServer
let views: ViewStore
let stats: StatsCollector
let registry: ConsumerGroups | undefined
let url: string
const tokens: Record<string, string> = {}

before(async () => {
  log = await openLog({ folder: join(folder, 'data') })
  views = new ViewStore()
  stats = new StatsCollector({
    version: '0',
    eventsIn: () => 0,
    rejected: () => 0,
    rowsOut: () => 0,
    dataBytes: () => 0,
    memory: () => ({ limitBytes: 1, stateBytes: 0, otherBytes: 0, spilledBytes: 0 }),
    queries: () => [],
    topics: () => log.topics(),
  })
  const store = new TokenStore(join(folder, 'tokens.json'))
  for (const role of ['reader', 'writer', 'admin'] as const) tokens[role] = createToken(store, { role, name: `my ${role}` }).token
  server = await makeHttpServer({ auth: 'required', tokens: store })
  ingest = await registerIngest(server.app, {
    log,
    topicSchema: (topic) =>
      tableOf(topic) && {
        fields: table.columns.filter(({ kind }) => kind === 'physical').map(({ name, type }) => ({ name, type })),
        keyFields: [],
      },
    topicNames: () => ['clicks'],
  })
  const deps: ServeDeps = {
    views,
    log,
    topicColumns: (topic) => (tableOf(topic) ? [{ name: 'page', type: 'VARCHAR(2147483647) NOT NULL' }] : []),
    topicFormat: (topic) => (tableOf(topic) ? 'json' : undefined),
    topicUsers: (topic) => ({ tables: tableOf(topic) ? ['clicks'] : [], readers: [], writers: [] }),
    bindRecords: (topic, text) => bindRecordQuery(topic, tableOf(topic), text, 'UTC'),
    bindStatistics: (topic) => bindStatistics(topic, tableOf(topic), 'UTC'),
    kafkaUsers: () => undefined,
    groups: async () => registry,
    door: ingest,
    audit: (line) => audits.push(line),
    queries: () => [],
    droppedIn: () => undefined,
    sourcesOf: () => new Map([['q1', [{ kind: 'topic', name: 'clicks' }]]]),
    inspectQuery: async () => undefined,
    readState: async () => undefined,
    parityOf: () => undefined,
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
    health: () => ({ ready: true, live: true, version: '0', uptimeSeconds: 0, parts: {} }),
    stats,
    diffScript: () => assert.fail('no comparison here'),
    forecastState: () => assert.fail('no forecast here'),
    workspace: { catalog: () => new Catalog(), topicOf: () => undefined, preview: () => assert.fail('no preview here') },
    runSql: async () => ({ fields: [], rows: [] }),
    version: '0',
  }
  registerServe(server.app, deps)
  url = (await server.listen()).url
})
after(async () => {
  await ingest.close()
  await server.close()
  views.close()
  stats.close()
  await log.close()
  rmSync(folder, { recursive: true })
})

interface Answer<T> {
  status: number
  text: string
  headers: Headers
  body: T & { error?: { code: string; hint: string; message: string; position?: { start: number; end: number } } }
}
async function call<T>(method: string, path: string, { role = 'admin', body }: { role?: string; body?: unknown } = {}): Promise<Answer<T>> {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${tokens[role]}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {}
  return { status: response.status, text, headers: response.headers, body: parsed as Answer<T>['body'] }
}
const get = <T>(path: string): Promise<Answer<T>> => call<T>('GET', path, { role: 'reader' })
const params = (query: Record<string, string>): string => String(new URLSearchParams(query))

test('a topic is made, described, changed and deleted, by admins only, and each leaves an audit line', async () => {
  const made = await call<TopicSummary>('POST', '/v1/topics', {
    body: { name: 'orders', partitionCount: 3, config: { 'retention.ms': '60000' } },
  })
  assert.deepEqual([made.status, made.body.partitionCount, made.body.config['retention.ms']], [201, 3, 60_000])
  for (const role of ['reader', 'writer'])
    for (const [method, path] of [
      ['POST', '/v1/topics'],
      ['PATCH', '/v1/topics/orders'],
      ['DELETE', '/v1/topics/orders?confirm=orders'],
    ]) {
      const refused = await call(method, path, { role, body: method === 'DELETE' ? undefined : { name: 'x' } })
      assert.deepEqual([refused.status, refused.body.error?.code], [403, 'HTTP_ROLE_FORBIDDEN'], `${role} ${method}`)
    }
  assert.equal((await call('POST', '/v1/topics', { body: { name: 'orders' } })).body.error?.code, 'LOG_TOPIC_EXISTS')
  assert.equal((await call('POST', '/v1/topics', { body: { name: '__mine' } })).body.error?.code, 'SERVE_TOPIC_INTERNAL')
  assert.equal((await call('POST', '/v1/topics', { body: { name: 'a/b' } })).body.error?.code, 'LOG_TOPIC_NAME_INVALID')

  const altered = await call<TopicSummary>('PATCH', '/v1/topics/orders', {
    body: { partitionCount: 4, config: { 'retention.ms': null, 'segment.ms': 3_600_000 } },
  })
  assert.deepEqual(
    [altered.body.partitionCount, altered.body.config['retention.ms'], altered.body.config['segment.ms']],
    [4, 604_800_000, 3_600_000],
  )
  const wrong = await call('PATCH', '/v1/topics/orders', { body: { config: { 'retention.hours': 3 } } })
  assert.deepEqual([wrong.status, wrong.body.error?.code], [400, 'LOG_TOPIC_CONFIG_INVALID'])
  const { body: settings } = await get<TopicSetting[]>('/v1/topics/orders/settings')
  assert.deepEqual(
    settings.filter(({ isDefault }) => !isDefault).map(({ name, value }) => [name, value]),
    [['segment.ms', 3_600_000]],
  )
  assert.ok(settings.find(({ name }) => name === 'retention.ms')!.description.length > 20)

  for (const query of ['', '?confirm=order']) {
    const refused = await call('DELETE', `/v1/topics/orders${query}`)
    assert.deepEqual([refused.status, refused.body.error?.code], [400, 'SERVE_DELETE_UNCONFIRMED'])
  }
  assert.ok(log.topic('orders'))
  assert.equal((await call('DELETE', '/v1/topics/orders?confirm=orders')).status, 200)
  assert.equal(log.topic('orders'), undefined)
  assert.deepEqual(
    audits.map(({ audit, by, topic }) => [audit, (by as { name: string }).name, topic]),
    [
      ['topic created', 'my admin', 'orders'],
      ['topic changed', 'my admin', 'orders'],
      ['topic deleted', 'my admin', 'orders'],
    ],
  )
})

test('a token says what it may do', async () => {
  assert.deepEqual((await get('/v1/access')).body, { isTokenNeeded: true, role: 'reader', name: 'my reader' })
  const unknown = await fetch(`${url}/v1/access`, { headers: { authorization: 'Bearer mr_nobody' } })
  assert.deepEqual(await unknown.json(), { isTokenNeeded: true, role: null })
})

test('a topic of the project is deleted only by force', async () => {
  await log.createTopic('clicks')
  const refused = await call('DELETE', '/v1/topics/clicks?confirm=clicks')
  assert.deepEqual([refused.status, refused.body.error?.code], [409, 'SERVE_TOPIC_IN_USE'])
  assert.match(refused.body.error!.message, /table "clicks"/)
  assert.equal((await call('DELETE', '/v1/topics/clicks?confirm=clicks&force=true')).status, 200)
})

test('records: filtered by SQL over columns and metadata, with columns chosen, from any place, page by page, to the last digit', async () => {
  // Its records are of 1970: retention must not take them.
  await log.createTopic('clicks', { partitionCount: 2, 'retention.ms': -1 })
  const at = (i: number): string => `2026-01-01 00:00:0${i}.000`
  for (let i = 0; i < 8; i++) {
    const value = i === 5 ? '{"page":7,' : JSON.stringify({ page: `p${i}`, n: i, ts: at(i) }).replace('"n":7', `"n":${large}`)
    await log.appendRecords('clicks', i % 2, [
      {
        key: Buffer.from(`k${i}`),
        value: Buffer.from(value),
        headers: [['source', Buffer.from(i < 4 ? 'http' : 'kafka')]],
        timestampMs: 1_000 * i,
      },
    ])
  }
  const pagesOf = async (query: Record<string, string>) => (await get<MessagesPage>(`/v1/topics/clicks/messages?${params(query)}`)).body
  const keysOf = async (query: Record<string, string>) => (await pagesOf(query)).messages.map(({ key }) => key)

  assert.deepEqual(await keysOf({}), ['k7', 'k6', 'k5', 'k4', 'k3', 'k2', 'k1', 'k0'])
  assert.deepEqual(await keysOf({ from: 'oldest', limit: '3' }), ['k0', 'k1', 'k2'])
  assert.deepEqual(await keysOf({ offset: '2' }), ['k4', 'k5', 'k6', 'k7'])
  assert.deepEqual(await keysOf({ time: '1970-01-01T00:00:05Z' }), ['k5', 'k6', 'k7'])
  assert.deepEqual(await keysOf({ time: '6000', partition: '1' }), ['k7'])
  assert.deepEqual(await keysOf({ where: "n >= 3 AND _headers['source'] = 'http'" }), ['k3'])
  assert.deepEqual(await keysOf({ where: 'twice BETWEEN 4 AND 8', from: 'oldest' }), ['k2', 'k3', 'k4'])
  assert.deepEqual(await keysOf({ where: "arrived < TO_TIMESTAMP_LTZ(2000, 3) OR _key = 'k6'" }), ['k6', 'k1', 'k0'])
  assert.deepEqual(await keysOf({ where: `n = ${large}` }), ['k7'])
  assert.deepEqual(await keysOf({ where: 'page IS NULL' }), ['k5'], 'what does not decode has NULL columns')
  assert.deepEqual(await keysOf({ where: '_value LIKE \'{"page":7%\'' }), ['k5'])
  assert.deepEqual(await keysOf({ where: '_partition = 1 AND _offset > 1 AND _size > 5', from: 'oldest' }), ['k5', 'k7'])

  const { text } = await get(`/v1/topics/clicks/messages?${params({ select: 'page, n * 1 AS n', where: 'n > 5' })}`)
  assert.match(text, new RegExp(`"row":\\["p7",${large}\\]`))
  assert.match(text, /"columns":\[\{"name":"page","type":"VARCHAR\(2147483647\)"\},\{"name":"n","type":"BIGINT"\}\]/)
  assert.match(text, new RegExp(`"value":\\{"page":"p7","n":${large},`))
  const { undecoded, messages } = await pagesOf({ where: 'n IS NULL' })
  assert.deepEqual([undecoded, messages.map(({ encoding }) => encoding)], [1, ['text']])

  const wrong = await get(`/v1/topics/clicks/messages?${params({ where: 'n > 5 AND pag = 1' })}`)
  assert.deepEqual([wrong.status, wrong.body.error?.code, wrong.body.error?.hint], [400, 'SQL_COLUMN_NOT_FOUND', 'Did you mean "page"?'])
  assert.deepEqual([wrong.body.error?.position?.start, wrong.body.error?.position?.end], [10, 13])
  for (const where of ['n', 'EXISTS (SELECT 1)', 'COUNT(*) > 1', 'n > 5; DROP TABLE x'])
    assert.equal((await get(`/v1/topics/clicks/messages?${params({ where })}`)).status, 400, where)
  const failing = await pagesOf({ where: 'CAST(page AS INT) > 0' })
  assert.deepEqual([failing.messages.length, failing.failed], [0, 7])

  // Page by page with progress: a filter that finds little moves on all the same.
  let cursor: string | null = ''
  let scanned = 0
  const found: (string | null)[] = []
  while (cursor !== null) {
    const page: MessagesPage = await pagesOf({ where: "_key IN ('k0', 'k7')", limit: '1', scan: '1', ...(cursor && { cursor }) })
    scanned += page.scanned
    assert.equal(scanned + page.remaining, 8)
    found.push(...page.messages.map(({ key }) => key))
    cursor = page.next
  }
  assert.deepEqual(found, ['k7', 'k0'])
})

test('values as JSON, text or digits; what is no text is shown as digits', async () => {
  await log.createTopic('bytes')
  await log.appendRecords('bytes', 0, [
    { key: Uint8Array.of(0xff, 0x01), value: Uint8Array.of(0xfe, 0x00), timestampMs: 1 },
    { key: null, value: null, timestampMs: 2 },
    { key: null, value: Buffer.from('[1.10]'), timestampMs: 3 },
  ])
  const shown = async (decode: string) => {
    const { text } = await get(`/v1/topics/bytes/messages?from=oldest&decode=${decode}`)
    return [...text.matchAll(/"key":(.*?),"value":(.*?),"encoding":(.*?),/g)].map(([, ...parts]) => parts)
  }
  assert.deepEqual(await shown('auto'), [
    ['"ff01"', '"fe00"', '"hex"'],
    ['null', 'null', 'null'],
    ['null', '[1.10]', '"json"'],
  ])
  assert.deepEqual((await shown('hex'))[2], ['null', '"5b312e31305d"', '"hex"'])
  assert.deepEqual((await shown('text'))[2], ['null', '"[1.10]"', '"text"'])
})

test('records are sent as Kafka clients send them, by writers', async () => {
  await log.createTopic('raw', { partitionCount: 3 })
  const messages = [
    { key: 'a', value: `{"n":${large}}`, headers: { from: 'test' } },
    { key: 'a', value: null },
    { key: null, value: '' },
    { value: '00ff', encoding: 'hex', partition: 2, timestampMs: 42 },
  ]
  assert.equal((await call('POST', '/v1/topics/raw/messages', { role: 'reader', body: { messages } })).status, 403)
  const sent = await call<{ offsets: { partition: number; offset: number }[] }>('POST', '/v1/topics/raw/messages', {
    role: 'writer',
    body: { messages },
  })
  assert.equal(sent.status, 201, sent.text)
  const [first, second, unkeyed, third] = sent.body.offsets
  assert.deepEqual([second, third.partition], [{ partition: first.partition, offset: first.offset + 1 }, 2])
  const { text, body } = await get<MessagesPage>('/v1/topics/raw/messages?from=oldest')
  assert.match(text, new RegExp(`"value":\\{"n":${large}\\},"encoding":"json","headers":\\{"from":"test"\\}`))
  assert.deepEqual(body.messages[0].timestampMs, 42)
  const sentAt = ({ partition, offset }: { partition: number; offset: number }) =>
    body.messages.find((message) => message.partition === partition && message.offset === offset)
  const shown = [second, unkeyed].map((place) => [sentAt(place)?.key, sentAt(place)?.value, sentAt(place)?.encoding])
  assert.deepEqual(
    shown,
    [
      ['a', null, null],
      [null, '', 'text'],
    ],
    'null is no empty text',
  )
  for (const [message, code] of [
    [{ value: 'x', partition: 3 }, 'SERVE_PARTITION_NOT_FOUND'],
    [{ value: 'x1', encoding: 'hex' }, 'SERVE_BYTES_INVALID'],
    [{ value: {} }, 'HTTP_REQUEST_INVALID'],
  ] as const)
    assert.equal((await call('POST', '/v1/topics/raw/messages', { body: { messages: [message] } })).body.error?.code, code)
})

test('exports are streamed, filtered, bounded, and say how much there is', async () => {
  const csv = await get(
    `/v1/topics/clicks/export?${params({ format: 'csv', select: '_key, page, n', where: 'n IS NOT NULL', limit: '2' })}`,
  )
  assert.equal(csv.text, '_key,page,n\r\nk0,p0,0\r\nk1,p1,1\r\n')
  assert.equal(csv.headers.get('millrace-records'), '8')
  const whole = await get('/v1/topics/clicks/export?format=csv&limit=1')
  assert.match(whole.text, /^partition,offset,timestamp,key,value,headers\r\n0,0,1970-01-01T00:00:00\.000Z,k0,"\{""page"":""p0""/)
  const lines = (await get('/v1/topics/clicks/export?from=newest')).text.trim().split('\n')
  assert.deepEqual(lines.map((line) => JSON.parse(line).key).slice(0, 2), ['k7', 'k6'])
  const [selected] = (await get(`/v1/topics/clicks/export?${params({ select: 'n, page', where: `n = ${large}` })}`)).text.split('\n')
  assert.equal(selected, `{"n":${large},"page":"p7"}`)
})

test('partitions: offsets, sizes, times', async () => {
  const { body } = await get<TopicPartition[]>('/v1/topics/clicks/partitions')
  assert.deepEqual(
    body.map(({ partition, startOffset, endOffset, segmentCount, oldestMs, newestMs }) => [
      partition,
      startOffset,
      endOffset,
      segmentCount,
      oldestMs,
      newestMs,
    ]),
    [
      [0, 0, 4, 1, 0, 6_000],
      [1, 0, 4, 1, 1_000, 7_000],
    ],
  )
})

test('statistics are those of a recount', async () => {
  await log.createTopic('measured')
  const { body: empty } = await get<TopicStatistics>('/v1/topics/measured/statistics')
  assert.deepEqual([empty.sampled, empty.total, empty.firstMs, empty.lateness], [0, 0, undefined, undefined])
  const values = ['{"a":1,"b":null}', '{"a":2}', '{"a":null,"c":"x"}', 'no json', null]
  const timesMs = [1_000, 5_000, 2_000, 4_900, 90_000]
  await log.appendRecords(
    'measured',
    0,
    values.map((value, i) => ({
      key: i < 3 ? Buffer.from(`k${i % 2}`) : null,
      value: value === null ? null : Buffer.from(value),
      timestampMs: timesMs[i],
    })),
  )
  const { body } = await get<TopicStatistics>('/v1/topics/measured/statistics')
  assert.deepEqual([body.sampled, body.total, body.tombstones, body.undecoded, body.firstMs, body.lastMs], [5, 5, 1, 1, 1_000, 90_000])
  assert.deepEqual(body.keys, { withKey: 3, unique: 2 })
  assert.deepEqual(body.columns, [
    { name: 'a', type: 'number', nulls: 1 },
    { name: 'c', type: 'string', nulls: 2 },
    { name: 'b', type: '', nulls: 3 },
  ])
  assert.deepEqual([body.sizeBytes.min, body.sizeBytes.p50, body.sizeBytes.max], [0, 9, 20])
  assert.equal(body.lateness!.column, '_timestamp')
  assert.deepEqual(
    body.lateness!.buckets.filter(({ count }) => count > 0),
    [
      { upToMs: 0, count: 3 },
      { upToMs: 100, count: 1 },
      { upToMs: 5_000, count: 1 },
    ],
  )

  const { body: declared } = await get<TopicStatistics>('/v1/topics/clicks/statistics')
  assert.deepEqual([declared.columnsFrom, declared.undecoded, declared.lateness?.column], ['declared', 1, 'ts'])
  assert.deepEqual(
    declared.columns.map(({ name, nulls }) => [name, nulls]),
    [
      ['page', 0],
      ['n', 0],
      ['ts', 0],
    ],
  )
  assert.equal(declared.lateness!.behindWatermark, 0)
  await log.appendRecords('clicks', 0, [
    { key: null, value: Buffer.from('{"page":"late","ts":"2026-01-01 00:00:01.000"}'), timestampMs: 8_000 },
  ])
  const { body: late } = await get<TopicStatistics>('/v1/topics/clicks/statistics')
  assert.deepEqual([late.lateness!.behindWatermark, late.lateness!.maxMs], [1, 5_000])
  const { body: sampled } = await get<TopicStatistics>('/v1/topics/clicks/statistics?sample=1')
  assert.deepEqual([sampled.sampled, sampled.total], [2, 9])
})

test('dead letters by rule; one is edited, checked, sent again through the front door, once', async () => {
  const post = (events: unknown) => call('POST', '/v1/topics/clicks/events', { role: 'writer', body: events })
  await post([{ page: 'ok', n: 1 }, { page: 'p', n: 'many' }, { n: 2 }, { page: 'q', ts: 'never' }])
  const lettersOf = async () => (await get<DeadLetterGroups>('/v1/topics/clicks/letters')).body
  const groups = await lettersOf()
  assert.deepEqual([groups.topic, groups.looked, groups.total], ['clicks', 3, 3])
  assert.deepEqual(new Set(groups.groups.map(({ path }) => path)), new Set(['page', 'n', 'ts']))
  const letter = groups.groups.flatMap(({ letters }) => letters).find(({ value }) => value === '{"page":"p","n":"many"}')!
  assert.ok(letter, JSON.stringify(groups))
  const filtered = (await get<DeadLetterGroups>(`/v1/topics/clicks/letters?where=${encodeURIComponent("_headers['path'] = 'n'")}`)).body
  assert.deepEqual([filtered.looked, filtered.total, filtered.groups.map(({ path }) => path)], [1, 3, ['n']])
  assert.equal(
    (await get<{ error?: { code: string } }>('/v1/topics/clicks/letters?where=nothing')).body.error?.code,
    'SQL_COLUMN_NOT_FOUND',
  )

  const check = (value: string) =>
    call<{ accepted: number; rejected: { rule: string }[] }>('POST', '/v1/topics/clicks/check', { role: 'writer', body: { value } })
  assert.deepEqual([(await check('{"page":"p","n":"more"}')).body.accepted, (await check('{"page":"p","n":5}')).body.accepted], [0, 1])
  const count = () => log.topic('clicks')!.partitions.reduce((sum, { endOffset }) => sum + endOffset, 0)
  const before = count()
  const repair = (value: string, more = {}) =>
    call<{ accepted: number }>('POST', '/v1/topics/clicks/letters/repair', {
      role: 'writer',
      body: { partition: letter.partition, offset: letter.offset, value, ...more },
    })
  // Still wrong: refused as any event, kept as a letter of its own, and the first one stays open.
  assert.equal((await repair('{"page":"p","n":"more"}')).status, 422)
  assert.equal(count(), before)
  assert.equal((await lettersOf()).groups.flatMap(({ letters }) => letters).filter(({ repairedMs }) => repairedMs !== undefined).length, 0)
  assert.equal((await repair('{"page":"p","n":5}')).status, 202)
  assert.equal(count(), before + 1)
  const again = await repair('{"page":"p","n":5}')
  assert.deepEqual([again.status, again.body.error?.code, count()], [409, 'SERVE_LETTER_REPAIRED', before + 1])
  assert.equal((await repair('{"page":"p","n":5}', { again: true })).status, 202)
  const repaired = (await lettersOf()).groups.flatMap(({ letters }) => letters).filter(({ repairedMs }) => repairedMs !== undefined)
  assert.deepEqual(
    repaired.map(({ offset }) => offset),
    [letter.offset],
  )
  assert.equal((await call('POST', '/v1/topics/clicks/letters/repair', { body: { partition: 0, offset: 999, value: '{}' } })).status, 404)
})

test('filters are saved by name, bound before they are kept, and one applies by itself', async () => {
  type Filters = SavedFilter[] & { error?: { code: string } }
  const put = (body: object, role: 'reader' | 'writer' | 'admin' = 'admin') => call<Filters>('PUT', '/v1/filters', { role, body })
  const large = { on: 'messages', subject: 'clicks', name: 'large', where: 'n > 100', isDefault: true }
  assert.deepEqual(
    (await get<Filters>('/v1/filters')).body.map(({ name, isDefault, isDeclared }) => [name, isDefault, isDeclared]),
    [['declared', true, true]],
  )
  for (const role of ['reader', 'writer'] as const) assert.equal((await put(large, role)).status, 403, role)
  assert.deepEqual(
    (await put(large)).body.map(({ name, isDefault }) => [name, isDefault]),
    [
      ['declared', false],
      ['large', true],
    ],
  )
  const second = await put({ ...large, name: 'small', where: 'n < 5' })
  assert.deepEqual(
    second.body.map(({ name, isDefault }) => [name, isDefault]),
    [
      ['declared', false],
      ['large', false],
      ['small', true],
    ],
  )
  for (const [body, code] of [
    [{ ...large, where: 'm > 1' }, 'SQL_COLUMN_NOT_FOUND'],
    [{ ...large, subject: 'nothing' }, 'SERVE_TOPIC_NOT_FOUND'],
    [{ ...large, name: 'declared' }, 'SERVE_FILTER_DECLARED'],
    [{ ...large, on: 'letters', where: "_headers['rule'] = 5 +" }, 'SQL_SYNTAX'],
  ] as const)
    assert.equal((await put(body)).body.error?.code, code)
  // They are of the log, not of the process.
  const again = new SavedFilters(log, [], Date.now)
  assert.deepEqual(
    (await again.list()).map(({ name, where }) => [name, where]),
    [
      ['large', 'n > 100'],
      ['small', 'n < 5'],
    ],
  )
  const remove = (name: string) =>
    call<Filters>('DELETE', '/v1/filters', { role: 'admin', body: { on: 'messages', subject: 'clicks', name } })
  assert.deepEqual(
    (await remove('small')).body.map(({ name, isDefault }) => [name, isDefault]),
    [
      ['declared', true],
      ['large', false],
    ],
  )
  // Two tabs at once: one of theirs applies, not both.
  await Promise.all(['one', 'two'].map((name) => put({ ...large, name, where: 'n > 1' })))
  assert.equal((await get<Filters>('/v1/filters')).body.filter(({ isDefault }) => isDefault).length, 1)
  for (const name of ['one', 'two']) await remove(name)
  assert.equal((await remove('small')).body.error?.code, 'SERVE_FILTER_NOT_FOUND')
  assert.equal((await remove('declared')).body.error?.code, 'SERVE_FILTER_DECLARED')
})

test('a live topic through a filter sends what passes', async () => {
  const query = params({ where: "page LIKE 'live%'", select: 'page' })
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/topics/clicks/live?${query}`, {
    headers: { authorization: `Bearer ${tokens.reader}` },
  })
  const pages: unknown[] = []
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data)) as TopicFrame
    if (frame.type === 'messages') pages.push(...frame.messages.map(({ row }) => row?.[0]))
  })
  await new Promise((resolve) => socket.once('open', resolve))
  const send = (...names: string[]) =>
    call('POST', '/v1/topics/clicks/messages', { body: { messages: names.map((page) => ({ value: JSON.stringify({ page }) })) } })
  for (let i = 0; i < 200 && pages.length < 3; i++) {
    await send(`other${i}`, `live${i}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  socket.close()
  assert.ok(pages.length >= 3)
  assert.ok(pages.every((page) => String(page).startsWith('live')))
  const wrong = new WebSocket(`${url.replace('http', 'ws')}/v1/topics/clicks/live?where=pag`, {
    headers: { authorization: `Bearer ${tokens.reader}` },
  })
  assert.equal(await new Promise((resolve) => wrong.once('close', resolve)), 4400)
})

test('consumer groups without a Kafka port: none, and how to have some', async () => {
  assert.deepEqual((await get('/v1/groups')).body, { kafkaPort: null, groups: [] })
  const { status, body } = await get('/v1/groups/x')
  assert.deepEqual([status, body.error?.code], [404, 'SERVE_GROUP_NOT_FOUND'])
  assert.match(body.error!.hint, /--kafka-port/)
  assert.equal((await call('POST', '/v1/groups/x/reset', { body: { to: 'latest', topics: ['clicks'] } })).status, 404)
})

test('a partition that a member reads and has committed nothing of: how far behind is not known, in the list and in the group', async (t) => {
  const group = { id: 'g', state: 'Stable', type: 'classic' as const, protocolType: 'consumer', memberCount: 1 }
  const assigned = [{ topic: 'clicks', partition: 0 }]
  const offsets: ReturnType<ConsumerGroups['offsets']> = []
  registry = {
    port: 1,
    list: () => [group],
    members: () => [{ id: 'm', instanceId: null, clientId: 'c', host: 'h', assigned }],
    offsets: () => offsets,
    commit: async () => {},
    delete: async () => {},
    forgetTopic: async () => {},
  }
  t.after(() => (registry = undefined))
  const lagsOf = async () => {
    const [listed, { body }] = [(await get<GroupList>('/v1/groups')).body.groups[0]!, await get<GroupDetail>('/v1/groups/g')]
    return [listed.lag, body.lag, body.partitions[0]!.lag]
  }
  assert.deepEqual(await lagsOf(), [0, 0, undefined])
  const { startOffset, endOffset } = log.topic('clicks')!.partitions[0]!
  assert.ok(endOffset > startOffset)
  offsets.push({ topic: 'clicks', partition: 0, offset: startOffset, metadata: '', committedMs: 1 })
  assert.deepEqual(await lagsOf(), Array(3).fill(endOffset - startOffset))
})
