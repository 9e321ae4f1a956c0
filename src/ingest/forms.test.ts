// Bodies that are no JSON: what is stored of them is what a Kafka producer would have sent.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { WebSocket } from 'ws'
import { type HttpServer, makeHttpServer } from '../base/http/index.ts'
import { metrics } from '../base/index.ts'
import { t } from '../data/index.ts'
import { type Log, openLog, partitionOf } from '../log/index.ts'
import type { IngestAnswer, TopicSchema } from './contract.ts'
import { type Ingest, registerIngest } from './index.ts'

const orderFields = [
  { name: 'id', type: t.bigint(false) },
  { name: 'customer', type: t.string() },
  { name: 'amount', type: t.decimal(10, 2) },
]
const note = [{ name: 'note', type: t.string() }]
const csvOptions = { 'csv.null-literal': 'n/a' }
const schemas: Record<string, TopicSchema> = {
  orders: { fields: orderFields, keyFields: ['customer'], valueFormat: 'csv', formatOptions: csvOptions },
  lenient: { fields: orderFields, keyFields: [], valueFormat: 'csv', formatOptions: { 'csv.ignore-parse-errors': 'true' } },
  pairs: { fields: orderFields, keyFields: ['id', 'customer'], keyNames: ['k', 'c'], valueFormat: 'csv', formatOptions: {} },
  binaryKey: { fields: orderFields, keyFields: ['id'], keyFormat: 'raw', valueFormat: 'csv', formatOptions: {} },
  apart: { fields: orderFields, keyFields: ['id'], keyFormat: 'raw', valueFormat: 'csv', formatOptions: {}, isKeyApart: true },
  lines: { fields: note, keyFields: ['note'], keyFormat: 'raw', valueFormat: 'raw', formatOptions: {} },
  latin: { fields: note, keyFields: [], valueFormat: 'raw', formatOptions: { 'raw.charset': 'ISO-8859-1' } },
  numbers: { fields: [{ name: 'n', type: t.int() }], keyFields: ['n'], keyFormat: 'raw', valueFormat: 'raw', formatOptions: {} },
  blobs: { fields: [{ name: 'b', type: t.bytes() }], keyFields: ['b'], keyFormat: 'raw', valueFormat: 'raw', formatOptions: {} },
  clicks: { fields: note, keyFields: [] },
}

const folder = mkdtempSync(join(tmpdir(), 'forms-'))
let log: Log
let server: HttpServer
let ingest: Ingest
let port: number

before(async () => {
  log = await openLog({ folder, durability: 'os' })
  await log.createTopic('orders', { partitionCount: 4 })
  server = await makeHttpServer()
  ingest = await registerIngest(server.app, {
    log,
    topicSchema: (topic) => (Object.hasOwn(schemas, topic) ? schemas[topic] : undefined),
    topicNames: () => Object.keys(schemas),
  })
  ;({ port } = await server.listen())
})
after(async () => {
  await server.close()
  await log.close()
  rmSync(folder, { recursive: true })
})

async function post(topic: string, type: string, body: string | Buffer, headers: Record<string, string> = {}) {
  const { statusCode, payload } = await server.app.inject({
    method: 'POST',
    url: `/v1/topics/${topic}/events`,
    headers: { 'content-type': type, ...headers },
    payload: body,
  })
  const json = JSON.parse(payload) as IngestAnswer & { error?: { code: string; message: string; hint: string } }
  return { status: statusCode, json, error: json.error }
}
/** Oldest first. */
const stored = async (topic: string, limit = 100) =>
  (await log.readMessages(topic, { limit })).map(({ key, value, headers, partition }) => ({
    key: key && Buffer.from(key),
    value: Buffer.from(value ?? 'none'),
    headers: Object.fromEntries(headers.map(([name, bytes]) => [name, Buffer.from(bytes ?? []).toString()])),
    partition,
  }))
const valuesIn = async (topic: string) => (await stored(topic)).map(({ value }) => value.toString())

test('text/csv: a record a line, bad ones refused by index, rule and column, good ones kept as they came', async () => {
  const body = '\ufeff1,ana,9.50\r\n2,"bo, ""the\nsecond""", 1 \n\nx,cy,1\n3,di\n4,"ed,1\n5,n/a,n/a\n,flo,1\n6,gus,123456789.5\n7,hal,\n'
  const { status, json } = await post('orders', 'Text/CSV; charset="UTF-8"; header=absent', body, {
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  })
  assert.deepEqual([status, json.accepted, json.rejectedCount], [202, 4, 5])
  assert.deepEqual(
    json.rejected.map(({ index, rule, path }) => [index, rule, path]),
    [
      [2, 'type', 'id'],
      [3, 'type', ''],
      [4, 'type', 'customer'],
      [6, 'required', 'id'],
      [7, 'range', 'amount'],
    ],
  )
  const records = await stored('orders')
  assert.deepEqual(records.map(({ key, value }) => [key?.toString(), value.toString()]).sort(), [
    [undefined, '5,n/a,n/a'],
    ['ana', '1,ana,9.50'],
    ['bo, "the\nsecond"', '2,"bo, ""the\nsecond""", 1 '],
    ['hal', '7,hal,'],
  ])
  for (const { key, partition, headers, value } of records) {
    if (key) assert.equal(partition, partitionOf(key, 4))
    assert.deepEqual(Object.keys(headers), ['id', 'ingested_at', 'trace_id', 'source'])
    assert.equal(headers.id, value.toString().split(',')[0], 'the event’s own id, as of JSON')
    assert.deepEqual([headers.trace_id, headers.source], ['0af7651916cd43dd8448eb211c80319c', 'http'])
  }
  const letters = await stored('orders.invalid')
  assert.deepEqual(
    letters.map(({ value, headers }) => [value.toString(), headers.rule, headers.path]),
    [
      ['x,cy,1', 'type', 'id'],
      ['3,di', 'type', ''],
      ['4,"ed,1', 'type', 'customer'],
      [',flo,1', 'required', 'id'],
      ['6,gus,123456789.5', 'range', 'amount'],
    ],
  )
  assert.equal(letters[0].headers.message, json.rejected[0].message)
  const counted = async (name: string) =>
    (await metrics.getSingleMetric(`millrace_ingest_${name}_total`)!.get()).values
      .filter(({ labels }) => labels.topic === 'orders')
      .map(({ labels, value }) => [labels.rule, value])
  assert.deepEqual(await counted('events_accepted'), [[undefined, 4]])
  assert.deepEqual((await counted('events_rejected')).sort(), [
    ['range', 1],
    ['required', 1],
    ['type', 3],
  ])
  assert.equal((await post('orders', 'text/csv', 'x\n')).status, 422)
  assert.equal((await post('orders', 'text/csv', '\n\r\n')).error?.code, 'INGEST_BODY_EMPTY')
})

test('csv.ignore-parse-errors lets in what SQL reads with NULL, and refuses what SQL would leave out', async () => {
  const { json } = await post('lenient', 'text/csv', '1,ana,x\n2\nx,bo,1\n3,cy,1,more\n')
  assert.deepEqual(
    [json.accepted, json.rejected.map(({ index, rule }) => [index, rule])],
    [
      2,
      [
        [2, 'required'],
        [3, 'type'],
      ],
    ],
  )
  assert.deepEqual(await valuesIn('lenient'), ['1,ana,x', '2'])
})

test('keys of CSV are made as those of JSON', async () => {
  await post('pairs', 'text/csv', '+007,"a ""b""",1\n')
  assert.equal((await stored('pairs'))[0].key?.toString(), '{"k":7,"c":"a \\"b\\""}')
  await post('binaryKey', 'text/csv', '-9007199254740993,a,1\n')
  assert.equal((await stored('binaryKey'))[0].key?.readBigInt64BE(), -9007199254740993n)
  const { status, error } = await post('apart', 'text/csv', 'a,1\n')
  assert.deepEqual([status, error?.code], [409, 'INGEST_KEY_APART'])
  assert.match(error!.hint, /millrace topics produce apart --key/)
})

test('raw: text/plain is a record a line, application/octet-stream is one record', async () => {
  assert.equal((await post('lines', 'text/plain;charset=utf-8', 'a\r\n\n é \nlast')).json.accepted, 4)
  assert.equal((await post('lines', 'application/octet-stream', '\ufeffa\r\nb\n')).json.accepted, 1)
  assert.deepEqual(await valuesIn('lines'), ['a', '', ' é ', 'last', '\ufeffa\r\nb\n'])
  for (const { key, value } of await stored('lines')) assert.deepEqual(key, value)
  const bad = await post('lines', 'text/plain', Buffer.from([97, 10, 98, 0xff, 10, 99, 10]))
  assert.deepEqual([bad.json.accepted, bad.json.rejected.map(({ index, rule, path }) => [index, rule, path])], [2, [[1, 'utf8', 'note']]])
  assert.deepEqual((await stored('lines.invalid'))[0].value, Buffer.from([98, 0xff]))

  const latin = Buffer.from('café\n', 'latin1')
  assert.equal((await post('latin', 'text/plain; charset=iso-8859-1', latin)).json.accepted, 1)
  assert.deepEqual((await stored('latin'))[0].value, latin.subarray(0, 4))

  const number = Buffer.from([0, 0, 10, 7])
  assert.equal((await post('numbers', 'application/octet-stream', number)).json.accepted, 1)
  const [{ key, value }] = await stored('numbers')
  assert.deepEqual([key, value], [number, number])
  assert.deepEqual((await post('numbers', 'application/octet-stream', '12345')).json.rejected[0], {
    index: 0,
    rule: 'type',
    path: 'n',
    message: '5 bytes are not INT',
  })
  const zipped = gzipSync(Buffer.from([0, 255, 10]))
  assert.equal((await post('blobs', 'application/octet-stream', zipped, { 'content-encoding': 'gzip' })).json.accepted, 1)
  const [blob] = await stored('blobs')
  assert.deepEqual([blob.key, blob.value], [Buffer.from([0, 255, 10]), Buffer.from([0, 255, 10])])
})

test('a body of another format is refused, and the answer names the right one', async () => {
  const cases: [topic: string, type: string, code: string, hint: RegExp][] = [
    ['orders', 'application/json', 'INGEST_FORMAT', /"text\/csv" \(a record a line, without a header line\)/],
    ['orders', 'application/x-ndjson', 'INGEST_FORMAT', /"text\/csv"/],
    ['lines', 'text/csv', 'INGEST_FORMAT', /"application\/octet-stream" .* or "text\/plain"/],
    ['numbers', 'text/plain', 'INGEST_FORMAT', /^Send it with the Content-Type "application\/octet-stream" \(the body is one record\)\.$/],
    ['clicks', 'text/csv', 'INGEST_FORMAT', /"application\/json" .* or "application\/x-ndjson"/],
    ['orders', 'application/xml', 'INGEST_MEDIA_TYPE', /"text\/csv"/],
    ['orders', 'text/csv; header=present', 'INGEST_MEDIA_PARAMETER', /Leave the header line out/],
    ['orders', 'text/csv; charset=iso-8859-1', 'INGEST_MEDIA_PARAMETER', /Send it in UTF-8/],
    ['latin', 'text/plain;charset=UTF-8', 'INGEST_MEDIA_PARAMETER', /Send it in ISO-8859-1/],
  ]
  for (const [topic, type, code, hint] of cases) {
    const { status, error } = await post(topic, type, '1,a,1\n')
    assert.deepEqual([status, error?.code], [415, code], `${topic}, ${type}`)
    assert.match(error!.hint, hint)
  }
})

test('an Idempotency-Key of CSV stores once', async () => {
  const headers = { 'idempotency-key': 'one' }
  const first = await post('lenient', 'text/csv', '8,a,1\n9,b,2\n', headers)
  const again = await post('lenient', 'text/csv', '8,a,1\n9,b,2\n', headers)
  assert.deepEqual(again.json, first.json)
  assert.equal((await valuesIn('lenient')).filter((value) => value === '8,a,1').length, 1)
})

test('what comes without a type, over a WebSocket or from this process, is of the table’s format; of raw it is one record', async () => {
  const sent = async (topic: string, messages: (string | Buffer)[]) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/topics/${topic}/ws`)
    await once(socket, 'open')
    const frames: (IngestAnswer & { error?: { code: string } })[] = []
    socket.on('message', (data) => frames.push(JSON.parse(String(data))))
    for (const message of messages) socket.send(message)
    while (frames.length < messages.length) await sleep(5)
    socket.close()
    return frames
  }
  const [two, bad] = await sent('lenient', ['10,a,1\n11,b,2', '{"id":1}'])
  assert.deepEqual([two.accepted, bad.accepted, bad.rejected[0].rule], [2, 0, 'required'])
  const frames = await sent('lines', ['x\ny\n', Buffer.from([0xff])])
  assert.deepEqual([frames[0].accepted, frames[1].rejected[0].rule], [1, 'utf8'])
  assert.equal((await valuesIn('lines')).at(-1), 'x\ny\n')
  assert.equal((await sent('apart', ['1,a']))[0].error?.code, 'INGEST_KEY_APART')

  assert.deepEqual(await ingest.check('orders', Buffer.from('12,a,1')), { accepted: 1, rejected: [], rejectedCount: 0 })
  assert.equal((await ingest.check('orders', Buffer.from('{"id":12}'))).rejectedCount, 1)
  assert.equal((await ingest.accept('lines', Buffer.from('mended\n'), '127.0.0.1')).status, 202)
  assert.equal((await valuesIn('lines')).at(-1), 'mended\n')
})
