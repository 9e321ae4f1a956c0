// Events of every format through the front door of the real process: what a Kafka client reads and what SQL says of them is what it is for records
// that a Kafka client wrote.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Consumer, Producer } from '@platformatic/kafka'
import type { DeadLetterGroups } from '../src/serve/contract.ts'
import { makeProject, type Ready, startServer, untilRows } from './harness.ts'

const csvRecords = ["1;'ana\nb';9.50", '2;;-', "3; 'x ;0.1"]
const textRecords = ['first', '', ' é "x" ']
const number = Buffer.from([0, 0, 10, 13])

test('CSV, lines and bytes by HTTP are to Kafka clients and to SQL what a Kafka producer sends', async (t) => {
  const folder = makeProject(t, {
    'pipelines/orders.sql': `
      CREATE TABLE orders (id BIGINT NOT NULL, customer STRING, amount DECIMAL(10, 2), o BIGINT METADATA FROM 'offset' VIRTUAL)
      WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'csv', 'csv.field-delimiter' = ';', 'csv.quote-character' = '''',
        'csv.null-literal' = '-', 'key.format' = 'raw', 'key.fields' = 'id');
      CREATE TABLE texts (line STRING, o BIGINT METADATA FROM 'offset' VIRTUAL)
      WITH ('connector' = 'kafka', 'topic' = 'texts', 'format' = 'raw');
      CREATE TABLE numbers (n INT, o BIGINT METADATA FROM 'offset' VIRTUAL)
      WITH ('connector' = 'kafka', 'topic' = 'numbers', 'format' = 'raw');
      CREATE TABLE apart (k STRING, v STRING)
      WITH ('connector' = 'kafka', 'topic' = 'apart', 'value.format' = 'raw', 'key.format' = 'raw', 'key.fields' = 'k', 'value.fields-include' = 'EXCEPT_KEY');
      CREATE MATERIALIZED TABLE ordersRead (PRIMARY KEY (o) NOT ENFORCED) AS SELECT o, id, customer, amount FROM orders;
      CREATE MATERIALIZED TABLE textsRead (PRIMARY KEY (o) NOT ENFORCED) AS SELECT o, line FROM texts;
      CREATE MATERIALIZED TABLE numbersRead (PRIMARY KEY (o) NOT ENFORCED) AS SELECT o, n FROM numbers;`,
  })
  const server = await startServer(t, folder, ['--kafka-port', '0'])
  assert.deepEqual(server.ready.errors, [])
  const bootstrapBrokers = [`127.0.0.1:${(server.ready as Ready & { kafkaPort: number }).kafkaPort}`]

  const producer = new Producer({ clientId: 'shop', bootstrapBrokers })
  t.after(() => producer.close())
  const keyOf = (record: string) => {
    const key = Buffer.alloc(8)
    key.writeBigInt64BE(BigInt(record[0]))
    return key
  }
  await producer.send({
    messages: [
      ...csvRecords.map((record) => ({ topic: 'orders', key: keyOf(record), value: Buffer.from(record) })),
      ...textRecords.map((record) => ({ topic: 'texts', value: Buffer.from(record) })),
      { topic: 'numbers', value: number },
    ],
  })
  const posted = async (topic: string, type: string, body: string | Uint8Array<ArrayBuffer>) => {
    const { status, body: answer } = await server.post(topic, body, { 'content-type': type })
    return [status, answer.accepted, answer.rejected.map(({ index, rule, path }) => `${index} ${rule} ${path}`)]
  }
  assert.deepEqual(await posted('orders', 'text/csv', `${csvRecords.join('\r\n')}\r\nx;y;1\n`), [202, 3, ['3 type id']])
  assert.deepEqual(await posted('texts', 'text/plain', `${textRecords.join('\n')}\n`), [202, 3, []])
  assert.deepEqual(await posted('numbers', 'application/octet-stream', new Uint8Array(number)), [202, 1, []])
  const refused = await server.post('orders', '{"id":1}', { 'content-type': 'application/json' })
  assert.deepEqual([refused.status, refused.body.error.code], [415, 'INGEST_FORMAT'])
  assert.match(refused.body.error.hint, /"text\/csv"/)
  assert.equal((await server.post('apart', 'v', { 'content-type': 'text/plain' })).body.error.code, 'INGEST_KEY_APART')

  const consumer = new Consumer({ clientId: 'reader', groupId: 'readers', bootstrapBrokers })
  const stream = await consumer.consume({ topics: ['orders', 'texts', 'numbers'], mode: 'earliest', maxWaitTime: 100 })
  const read = new Map<string, string[]>()
  let count = 0
  for await (const { topic, key, value } of stream) {
    read.set(topic, [...(read.get(topic) ?? []), `${Buffer.from(key ?? '').toString('hex')} ${Buffer.from(value).toString('hex')}`])
    if (++count === 14) break
  }
  await stream.close()
  await consumer.close(true)
  for (const [topic, records] of read) assert.deepEqual(records.slice(records.length / 2), records.slice(0, records.length / 2), topic)
  assert.deepEqual([...read].map(([topic, { length }]) => [topic, length]).sort(), [
    ['numbers', 2],
    ['orders', 6],
    ['texts', 6],
  ])

  const orders = [
    [1, 'ana\nb', 9.5],
    [2, '', null],
    [3, " 'x ", 0.1],
  ]
  const twice = (rows: unknown[][]) => [...rows, ...rows].map((row, o) => [o, ...row])
  await untilRows(server, 'ordersRead', twice(orders))
  await untilRows(server, 'textsRead', twice(textRecords.map((text) => [text])))
  await untilRows(server, 'numbersRead', twice([[number.readInt32BE()]]))

  // What was refused is a dead letter, and is mended in its own format.
  const { groups } = await server.get<DeadLetterGroups>('/v1/topics/orders/letters')
  const [{ partition, offset, value }] = groups[0].letters
  assert.equal(value, 'x;y;1')
  const repair = (text: string) =>
    server.call('/v1/topics/orders/letters/repair', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ partition, offset, value: text }),
    })
  assert.equal((await repair('y;y;1')).status, 422)
  assert.equal((await repair('4;y;1')).status, 202)
  await untilRows(server, 'ordersRead', [...twice(orders), [6, 4, 'y', 1]])
})
