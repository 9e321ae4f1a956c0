import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { WebSocket } from 'ws'
import { type HttpServer, makeHttpServer } from '../base/http/index.ts'
import { metrics } from '../base/index.ts'
import { t } from '../data/index.ts'
import { batchHeaderOf, type Log, openLog, openReader, partitionOf, readRecords, type TopicConfig } from '../log/index.ts'
import type { IngestAnswer, IngestLimits, TopicSchema } from './contract.ts'
import { registerIngest } from './index.ts'

const schemas: Record<string, TopicSchema> = {
  clicks: {
    fields: [
      { name: 'user', type: t.string(false) },
      { name: 'price', type: t.double() },
      { name: 'n', type: t.bigint() },
      { name: 'ts', type: t.timestamp(3) },
    ],
    keyFields: [],
  },
  keyed: { fields: [{ name: 'user', type: t.string() }], keyFields: ['user'] },
  pairs: {
    fields: [
      { name: 'a', type: t.string() },
      { name: 'b', type: t.int() },
    ],
    keyFields: ['a', 'b'],
  },
  numbered: { fields: [{ name: 'n', type: t.bigint() }], keyFields: ['n'], keyFormat: 'raw' },
  lines: { fields: [{ name: 'n', type: t.bigint() }], keyFields: [], valueFormat: 'csv' },
  numberedAsText: { fields: [{ name: 'n', type: t.bigint() }], keyFields: ['n'] },
}

const folder = mkdtempSync(join(tmpdir(), 'ingest-'))
let log: Log
let server: HttpServer
let port: number
const servers: HttpServer[] = []

async function serve(limits: Partial<IngestLimits> = {}, used: Log = log): Promise<HttpServer> {
  const made = await makeHttpServer({ limits: { webSocketMessageBytes: 16 << 20 } })
  await registerIngest(made.app, {
    log: used,
    topicSchema: (topic) => (Object.hasOwn(schemas, topic) ? schemas[topic] : undefined),
    topicNames: () => Object.keys(schemas),
    limits,
  })
  servers.push(made)
  return made
}

before(async () => {
  log = await openLog({ folder: join(folder, 'log'), durability: 'os' })
  await log.createTopic('keyed', { partitionCount: 4 })
  await log.createTopic('small', { 'max.message.bytes': 4096 })
  schemas.small = { fields: [{ name: 'user', type: t.string() }], keyFields: [] }
  server = await serve()
  ;({ port } = await server.listen())
})
after(async () => {
  for (const each of servers) await each.close()
  await log.close()
  rmSync(folder, { recursive: true })
})

type Body = string | Buffer
async function post(topic: string, body: Body, headers: Record<string, string> = {}, to = server) {
  const {
    statusCode,
    payload,
    headers: got,
  } = await to.app.inject({
    method: 'POST',
    url: `/v1/topics/${topic}/events`,
    headers: { 'content-type': 'application/json', ...headers },
    payload: body,
  })
  const json = JSON.parse(payload) as IngestAnswer & { error?: { code: string; hint: string; params: Record<string, unknown> } }
  return { status: statusCode, json, code: json.error?.code, headers: got }
}
const newest = async (topic: string, limit = 1) =>
  (await log.readMessages(topic, { limit })).map(({ value, headers, ...rest }) => ({
    ...rest,
    value: Buffer.from(value ?? []).toString(),
    headers: Object.fromEntries(headers.map(([name, bytes]) => [name, Buffer.from(bytes ?? []).toString()])),
  }))
const countOf = (topic: string) => log.topic(topic)?.partitions.reduce((sum, { endOffset }) => sum + endOffset, 0) ?? 0
async function metricOf(name: string, labels: Record<string, string>): Promise<number> {
  const found = (await metrics.getSingleMetric(name)!.get()).values
  return found
    .filter((each) => Object.entries(labels).every(([label, value]) => each.labels[label] === value))
    .reduce((sum, { value }) => sum + value, 0)
}

test('one object, an array, lines: stored as they came, with headers', async () => {
  const event = '{ "user":"ana","unknown":{"kept":[1]} }'
  const one = await post('clicks', event, { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' })
  assert.equal(one.status, 202)
  assert.deepEqual(one.json, { accepted: 1, offsets: [{ partition: 0, first: 0, last: 0 }], rejected: [], rejectedCount: 0 })
  const [record] = await newest('clicks')
  assert.equal(record.value, event)
  assert.equal(record.key, null)
  assert.deepEqual(Object.keys(record.headers), ['id', 'ingested_at', 'trace_id', 'source'])
  assert.match(record.headers.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.equal(record.headers.trace_id, '0af7651916cd43dd8448eb211c80319c')
  assert.equal(record.headers.source, 'http')
  assert.ok(Math.abs(Number(record.headers.ingested_at) - Date.now()) < 60_000)
  assert.equal(Number(record.headers.ingested_at), record.timestampMs)

  assert.deepEqual((await post('clicks', '[{"user":"a"},{"user":"b"}]')).json.offsets, [{ partition: 0, first: 1, last: 2 }])
  const lines = await post('clicks', '{"user":"a","id":"mine"}\n{"user":"b","id":7}\n{"user":"c","id":null}\n', {
    'content-type': 'application/x-ndjson',
  })
  assert.equal(lines.json.accepted, 3)
  const ids = (await newest('clicks', 3)).map(({ headers }) => headers.id)
  assert.deepEqual(ids.slice(0, 2), ['mine', '7'])
  assert.match(ids[2], /-7/)
  const many = await post('clicks', Array.from({ length: 100 }, (_, i) => `{"user":"u${i}"}`).join('\n'))
  assert.equal(many.json.accepted, 100)
  const made = (await newest('clicks', 100)).map(({ headers }) => headers.id)
  assert.deepEqual(made, [...new Set(made)].sort())
})

test('batches are compressed in the codec of the table, or of the topic; few events and large ones are not; the records are the same', async () => {
  const codecsIn = (topic: string) => {
    const reader = openReader(log.descriptor(topic), 0, 0)
    const found: [codec: number, records: number][] = []
    for (let run = reader.read(); run; run = reader.read()) {
      for (let at = run.start; at < run.end; at += batchHeaderOf(run.bytes, at).sizeBytes) {
        const batch = run.bytes.subarray(at, at + batchHeaderOf(run.bytes, at).sizeBytes)
        found.push([batchHeaderOf(batch, 0).codec, [...readRecords(batch)].length])
      }
    }
    return found
  }
  const fields = [{ name: 'user', type: t.string() }]
  const events = Array.from({ length: 100 }, (_, i) => JSON.stringify({ user: `user ${i}`, id: i % 7 === 0 ? `mine-${i}` : undefined }))
  const large = JSON.stringify({ user: 'l'.repeat(100_000) })
  const cases: [compression: string | undefined, ofTopic: TopicConfig['compression.type'], codec: number, few: number][] = [
    [undefined, 'producer', 3, 0],
    ['none', 'producer', 0, 0],
    ['gzip', 'producer', 1, 0],
    ['snappy', 'producer', 2, 0],
    ['lz4', 'producer', 3, 0],
    ['zstd', 'producer', 4, 0],
    ['zstd', 'uncompressed', 0, 0],
    ['none', 'lz4', 3, 3],
    [undefined, 'gzip', 1, 1],
  ]
  for (const [i, [compression, ofTopic, codec, few]] of cases.entries()) {
    const topic = `compressed-${i}`
    schemas[topic] = { fields, keyFields: [], ...(compression && { compression }) }
    await log.createTopic(topic, { 'compression.type': ofTopic })
    for (const body of [events, events.slice(0, 7)]) assert.equal((await post(topic, body.join('\n'))).json.accepted, body.length)
    assert.deepEqual(
      codecsIn(topic),
      [
        [codec, 100],
        [few, 7],
      ],
      `${compression}, ${ofTopic}`,
    )
    const stored = await newest(topic, 1_000)
    assert.deepEqual(
      stored.map(({ value }) => value),
      [...events, ...events.slice(0, 7)],
    )
    assert.equal(
      new Set(stored.map(({ headers }) => headers.id)).size,
      106,
      'an id of its own for each, but for one that a client sent twice',
    )
    for (const { headers } of stored) assert.deepEqual(Object.keys(headers), ['id', 'ingested_at', 'trace_id', 'source'])
  }
  schemas['compressed-large'] = { fields, keyFields: [] }
  await post('compressed-large', [...events, large, ...events].join('\n'))
  assert.deepEqual(codecsIn('compressed-large'), [
    [3, 100],
    [0, 101],
  ])
  assert.deepEqual(
    (await newest('compressed-large', 1_000)).map(({ value }) => value),
    [...events, large, ...events],
  )
})

test('an event nearly as large as the largest batch that a topic takes is stored or rejected, compressed or not', async () => {
  const limitBytes = 32_768
  for (const compression of ['lz4', 'none']) {
    const topic = `nearly-${compression}`
    schemas[topic] = { fields: [{ name: 'user', type: t.string() }], keyFields: [], compression }
    await log.createTopic(topic, { 'max.message.bytes': limitBytes })
    for (const headers of [{}, { 'Idempotency-Key': 'one' }] as Record<string, string>[]) {
      const events = Array.from({ length: 40 }, (_, i) => JSON.stringify({ user: 'u'.repeat(limitBytes - 900 + 20 * i) }))
      const { json, status } = await post(topic, events.join('\n'), headers)
      assert.deepEqual([status, json.accepted + json.rejectedCount], [202, 40], JSON.stringify(json))
      assert.ok(json.accepted > 20, `${json.accepted} accepted`)
    }
  }
})

test('keys choose the partition as Kafka does; several key fields are a JSON object', async () => {
  const users = Array.from({ length: 40 }, (_, i) => `user ${i} é"`)
  const { json } = await post('keyed', JSON.stringify(users.map((user) => ({ user }))))
  assert.equal(json.accepted, 40)
  assert.equal(json.offsets.length, 4)
  for (const { key, partition } of await newest('keyed', 40)) {
    assert.ok(users.includes(Buffer.from(key!).toString()))
    assert.equal(partition, partitionOf(key!, 4))
  }
  // Without a key, a batch goes to one partition, the next batch to the next.
  const partitions = []
  for (let i = 0; i < 4; i++) partitions.push((await post('keyed', '[{"user":null},{}]')).json.offsets.map(({ partition }) => partition))
  assert.deepEqual(partitions.flat().sort(), [0, 1, 2, 3])
  await post('pairs', '{"b":1,"a":"x\\"é"}')
  assert.equal(Buffer.from((await newest('pairs'))[0].key!).toString(), '{"a":"x\\"é","b":1}')
  // A key that is declared as raw is what Flink reads and Kafka's LongSerializer writes; one of which nothing is said is its text.
  await post('numbered', '{"n":-9007199254740993}')
  assert.equal(Buffer.from((await newest('numbered'))[0].key!).readBigInt64BE(), -9007199254740993n)
  await post('numberedAsText', '{"n":42}')
  assert.equal(Buffer.from((await newest('numberedAsText'))[0].key!).toString(), '42')
})

const bad: [name: string, body: Body, rule: string, path: string][] = [
  ['malformed', '{"user":"a",}', 'json', ''],
  ['cut off', '{"user":"a"', 'json', ''],
  ['NaN', '{"user":"a","price":NaN}', 'json', 'price'],
  ['wrong type', '{"user":"a","price":"cheap"}', 'type', 'price'],
  ['missing', '{"price":1}', 'required', 'user'],
  ['null', '{"user":null}', 'required', 'user'],
  ['beyond 64 bits', '{"user":"a","n":9223372036854775808}', 'range', 'n'],
  ['no such day', '{"user":"a","ts":"2026-02-30 00:00:00"}', 'type', 'ts'],
  ['invalid UTF-8', Buffer.from([...Buffer.from('{"user":"'), 0xff, ...Buffer.from('"}')]), 'utf8', 'user'],
  ['too deep', `{"user":"a","x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 'depth', 'x'],
  ['no object', '17', 'type', ''],
  ['10 MB', `{"user":"${'x'.repeat(10_000_000)}"}`, 'size', ''],
]
test('each kind of bad event is rejected by its rule and kept in <topic>.invalid', async () => {
  for (const [name, body, rule, path] of bad) {
    const stored = countOf('clicks')
    const answer = await post('clicks', body, { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' })
    assert.equal(answer.status, 422, name)
    assert.equal(answer.json.accepted, 0)
    assert.deepEqual(
      answer.json.rejected.map((each) => [each.index, each.rule, each.path]),
      [[0, rule, path]],
      name,
    )
    assert.equal(countOf('clicks'), stored)
    const raw = Buffer.from(body as string)
    const [letter] = await newest('clicks.invalid')
    assert.equal(letter.value, raw.subarray(0, 65_536).toString())
    assert.deepEqual(
      [
        letter.headers.rule,
        letter.headers.path,
        letter.headers.length,
        letter.headers.source,
        letter.headers.client,
        letter.headers.trace_id,
      ],
      [rule, path, String(raw.length), 'http', '127.0.0.1', '0af7651916cd43dd8448eb211c80319c'],
    )
    assert.equal(letter.headers.message, answer.json.rejected[0].message)
    const { createHash } = await import('node:crypto')
    assert.equal(letter.headers.sha256, createHash('sha256').update(raw).digest('hex'))
  }
})

test('bad events do not take good ones with them; strange ones are accepted', async () => {
  const body = [
    '{"user":"a"}',
    '{"user":1,"price":"x"}',
    '{"__proto__":{"user":"p"},"user":"b"}',
    'garbage',
    '{"user":"future","ts":"9999-12-31T23:59:59.999Z"}',
    '{"user":"past","ts":"0001-01-01 00:00:00"}',
    '{"user":"c","n":"9223372036854775807","constructor":1}',
  ].join('\n')
  const { status, json } = await post('clicks', body)
  assert.equal(status, 202)
  assert.equal(json.accepted, 5)
  assert.deepEqual(
    json.rejected.map(({ index, rule }) => [index, rule]),
    [
      [1, 'type'],
      [3, 'json'],
    ],
  )
  assert.equal(({} as Record<string, unknown>).user, undefined)
  const array = await post('clicks', '[{"user":"a"},{"user":NaN},{"user":"b"},{"user":"c"')
  assert.deepEqual([array.json.accepted, array.json.rejected.map(({ index }) => index)], [2, [1, 3]])
})

test('what is no request for this door: typed errors, nothing stored', async () => {
  const stored = countOf('clicks')
  const undeclared = await post('click', '{}')
  assert.deepEqual(
    [undeclared.status, undeclared.code, undeclared.json.error?.hint],
    [404, 'INGEST_TOPIC_NOT_DECLARED', 'Did you mean "clicks"?'],
  )
  assert.equal((await post('clicks.invalid', '{}')).status, 404)
  const other = await post('lines', '{"n":1}')
  assert.deepEqual([other.status, other.code], [415, 'INGEST_FORMAT'])
  assert.equal((await post('__proto__', '{}')).status, 404)
  for (const empty of ['', ' \n', '[]'])
    assert.deepEqual([(await post('clicks', empty)).status, (await post('clicks', empty)).code], [400, 'INGEST_BODY_EMPTY'], empty)
  const type = await post('clicks', '{}', { 'content-type': 'application/x-www-form-urlencoded' })
  assert.deepEqual([type.status, type.code], [415, 'INGEST_MEDIA_TYPE'])
  const encoding = await post('clicks', '{}', { 'content-encoding': 'br' })
  assert.deepEqual([encoding.status, encoding.code], [415, 'INGEST_CONTENT_ENCODING'])
  const key = await post('clicks', '{}', { 'idempotency-key': 'ä' })
  assert.deepEqual([key.status, key.code], [400, 'INGEST_KEY_INVALID'])
  assert.equal(countOf('clicks'), stored)
})

test('compressed bodies; bombs are cut off at the limit', async () => {
  const body = Buffer.from('{"user":"a"}\n'.repeat(1000))
  for (const [encoding, compress] of [
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const) {
    assert.equal((await post('clicks', compress(body), { 'content-encoding': encoding })).json.accepted, 1000)
    const before413 = await metricOf('millrace_ingest_body_too_large_total', {})
    const bomb = compress(Buffer.alloc(64 << 20, 32))
    assert.ok(bomb.length < 100_000)
    const refused = await post('clicks', bomb, { 'content-encoding': encoding })
    assert.deepEqual([refused.status, refused.code], [413, 'INGEST_BODY_TOO_LARGE'])
    assert.equal((await metricOf('millrace_ingest_body_too_large_total', {})) - before413, 1)
    const damaged = await post('clicks', compress(body).subarray(0, 30), { 'content-encoding': encoding })
    assert.deepEqual([damaged.status, damaged.code], [400, 'INGEST_COMPRESSION_DAMAGED'])
  }
})

test('limits: body size, events in a body, listed rejections, batches', async () => {
  const limited = await serve({ bodyBytes: 10_000, eventCount: 100, rejectedListed: 3 })
  const large = await post('clicks', 'x'.repeat(10_001), {}, limited)
  assert.deepEqual([large.status, large.code], [413, 'INGEST_BODY_TOO_LARGE'])
  const many = await post('clicks', '1\n'.repeat(101), {}, limited)
  assert.deepEqual([many.status, many.code], [413, 'INGEST_EVENTS_TOO_MANY'])
  const rejected = await post('clicks', '1\n'.repeat(100), {}, limited)
  assert.deepEqual([rejected.json.rejectedCount, rejected.json.rejected.length], [100, 3])
  // More than one record batch holds: several, answered as one range.
  const before = countOf('small')
  const split = await post('small', `{"user":"${'y'.repeat(1000)}"}\n`.repeat(20) + `{"user":"${'z'.repeat(4000)}"}`)
  assert.deepEqual(split.json.offsets, [{ partition: 0, first: before, last: before + 19 }])
  assert.deepEqual(
    split.json.rejected.map(({ index, rule }) => [index, rule]),
    [[20, 'size']],
  )
})

test('a large body is taken in slices and keeps its order', async () => {
  const body = Array.from({ length: 30_000 }, (_, i) => `{"user":"u","n":${i}}`).join('\n')
  const [first, second] = await Promise.all([post('clicks', body), post('clicks', '{"user":"meanwhile"}')])
  assert.equal(first.json.accepted, 30_000)
  assert.equal(second.json.accepted, 1)
  assert.deepEqual(
    (await newest('clicks', 30_001)).flatMap(({ value }) => JSON.parse(value).n ?? []),
    Array.from({ length: 30_000 }, (_, i) => i),
  )
})

test('bodies that come in pieces at the same time, with and without their length: none has bytes of another', async () => {
  const before = countOf('clicks')
  const names = Array.from({ length: 24 }, (_, i) => `sender${i}`)
  const send = async (user: string, i: number) => {
    const body = Buffer.from(Array.from({ length: 2_000 + 500 * i }, (_, n) => `{"user":"${user}","n":${n}}`).join('\n'))
    // A stream has no length.
    const pieces = new ReadableStream({
      start(controller) {
        for (let at = 0; at < body.length; at += 50_000) controller.enqueue(body.subarray(at, at + 50_000))
        controller.close()
      },
    })
    const answer = await fetch(`http://127.0.0.1:${port}/v1/topics/clicks/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: i % 2 === 0 ? body : pieces,
      duplex: 'half',
    })
    assert.deepEqual([answer.status, ((await answer.json()) as IngestAnswer).accepted], [202, 2_000 + 500 * i])
  }
  for (let from = 0; from < names.length; from += 8) await Promise.all(names.slice(from, from + 8).map((user, i) => send(user, from + i)))
  const counts = new Map<string, number>()
  for (const { value } of await newest('clicks', countOf('clicks') - before)) {
    const { user, n } = JSON.parse(value)
    if (n === (counts.get(user) ?? 0)) counts.set(user, n + 1)
  }
  assert.deepEqual(
    names.map((user) => counts.get(user)),
    names.map((_, i) => 2_000 + 500 * i),
  )
})

test('a connection that is cut off in the body stores nothing', async () => {
  const stored = countOf('clicks')
  const event = '{"user":"cut"}\n'
  for (const head of [`Content-Length: ${event.length * 3}`, 'Transfer-Encoding: chunked']) {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write(`POST /v1/topics/clicks/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n${head}\r\n\r\n`)
    socket.write(head.startsWith('T') ? `${event.length.toString(16)}\r\n${event}\r\n` : event)
    await sleep(20)
    socket.destroy()
  }
  await sleep(50)
  assert.equal(countOf('clicks'), stored)
  // The door has taken back what it had set aside.
  assert.equal(await metricOf('millrace_ingest_in_flight', {}), 0)
  assert.equal((await post('clicks', event)).status, 202)
})

test('too much at once is refused with 429 and Retry-After, and comes back to normal', async () => {
  let release: () => void = () => {}
  const gate = new Promise<void>((resolve) => (release = resolve))
  const slow = new Proxy(log, {
    get(target, name) {
      if (name === 'append') return (...args: Parameters<Log['append']>) => gate.then(() => target.append(...args))
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const narrow = await serve({ requestsInFlight: 2 }, slow)
  const waiting = [post('clicks', '{"user":"1"}', {}, narrow), post('clicks', '{"user":"2"}', {}, narrow)]
  await sleep(20)
  const stored = countOf('clicks')
  const refused = await post('clicks', '{"user":"3"}', {}, narrow)
  assert.deepEqual([refused.status, refused.code, refused.headers['retry-after']], [429, 'INGEST_OVERLOADED', '1'])
  const wide = await serve({ bytesInFlight: 100 }, slow)
  const held = post('clicks', JSON.stringify({ user: 'x'.repeat(50) }), {}, wide)
  await sleep(20)
  assert.equal((await post('clicks', JSON.stringify({ user: 'x'.repeat(50) }), {}, wide)).status, 429)
  const pending = new Proxy(log, { get: (target, name) => (name === 'pendingBytes' ? 1e9 : Reflect.get(target, name)) })
  assert.equal((await post('clicks', '{"user":"4"}', {}, await serve({}, pending))).status, 429)
  assert.equal(countOf('clicks'), stored)
  release()
  assert.deepEqual(
    (await Promise.all([...waiting, held])).map(({ status }) => status),
    [202, 202, 202],
  )
  assert.equal((await post('clicks', '{"user":"5"}', {}, narrow)).status, 202)
})

test('a WebSocket takes bodies and answers each, in order', async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/topics/clicks/ws`)
  await once(socket, 'open')
  const frames: IngestAnswer[] = []
  socket.on('message', (data) => frames.push(JSON.parse(String(data))))
  for (let i = 0; i < 50; i++) socket.send(JSON.stringify(Array.from({ length: i + 1 }, () => ({ user: 'ws' }))))
  socket.send('{"user":1')
  socket.send('')
  while (frames.length < 52) await sleep(5)
  assert.deepEqual(
    frames.slice(0, 50).map(({ accepted }) => accepted),
    Array.from({ length: 50 }, (_, i) => i + 1),
  )
  assert.equal(frames[50].rejected[0].rule, 'json')
  assert.equal((frames[51] as unknown as { error: { code: string } }).error.code, 'INGEST_BODY_EMPTY')
  assert.equal((await newest('clicks'))[0].headers.source, 'websocket')
  const other = new WebSocket(`ws://127.0.0.1:${port}/v1/topics/nothing/ws`)
  await once(other, 'open')
  other.send('{}')
  const [frame] = await once(other, 'message')
  assert.equal(JSON.parse(String(frame)).error.code, 'INGEST_TOPIC_NOT_DECLARED')
  socket.close()
  other.close()
})

test('metrics count what was accepted and rejected, by topic and rule', async () => {
  const before = await metricOf('millrace_ingest_events_rejected_total', { topic: 'clicks', rule: 'type' })
  const accepted = await metricOf('millrace_ingest_events_accepted_total', { topic: 'clicks' })
  await post('clicks', '{"user":"a"}\n{"user":"a","price":true}')
  assert.equal((await metricOf('millrace_ingest_events_rejected_total', { topic: 'clicks', rule: 'type' })) - before, 1)
  assert.equal((await metricOf('millrace_ingest_events_accepted_total', { topic: 'clicks' })) - accepted, 1)
})
