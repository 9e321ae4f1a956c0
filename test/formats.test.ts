// Formats of keys and values, metadata columns, and what a Kafka client and HTTP write, through the real process.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Producer } from '@platformatic/kafka'
import { makeProject, type Ready, startServer, until, untilRows } from './harness.ts'

test('key formats, fields of keys, metadata; records by HTTP and by a Kafka client are the same to SQL', async (t) => {
  const folder = makeProject(t, {
    'pipelines/orders.sql': `
      CREATE TABLE orders (
        key_id BIGINT, cents BIGINT, note STRING,
        ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp', kind STRING METADATA FROM 'timestamp-type' VIRTUAL,
        epoch INT METADATA FROM 'leader-epoch' VIRTUAL, p INT METADATA FROM 'partition' VIRTUAL, o BIGINT METADATA FROM 'offset' VIRTUAL,
        topic STRING METADATA VIRTUAL, headers MAP<STRING, BYTES> METADATA
      ) WITH ('connector' = 'kafka', 'topic' = 'orders', 'value.format' = 'json', 'key.format' = 'json', 'key.fields' = 'key_id',
        'key.fields-prefix' = 'key_', 'value.fields-include' = 'EXCEPT_KEY');
      CREATE MATERIALIZED TABLE seen (PRIMARY KEY (o) NOT ENFORCED) AS
      SELECT o, key_id, cents, note, kind, epoch, p, topic, CAST(headers['h'] AS STRING) AS h FROM orders;
      CREATE TABLE lines (id BIGINT, note STRING, ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp', headers MAP<STRING, BYTES> METADATA)
      WITH ('connector' = 'kafka', 'topic' = 'lines', 'format' = 'csv', 'csv.field-delimiter' = ';', 'key.format' = 'raw', 'key.fields' = 'note');
      INSERT INTO lines SELECT key_id, note, TIMESTAMPADD(HOUR, 1, ts), headers FROM orders;
      CREATE TABLE notes (note STRING) WITH ('connector' = 'kafka', 'topic' = 'notes', 'format' = 'raw');
      INSERT INTO notes SELECT note FROM orders;
      CREATE MATERIALIZED TABLE linesRead (PRIMARY KEY (id) NOT ENFORCED) AS SELECT id, MAX(note) AS note, MAX(ts) AS ts FROM lines GROUP BY id;`,
  })
  const server = await startServer(t, folder, ['--kafka-port', '0'])
  assert.deepEqual(server.ready.errors, [])
  const producer = new Producer({
    clientId: 'shop',
    bootstrapBrokers: [`127.0.0.1:${(server.ready as Ready & { kafkaPort: number }).kafkaPort}`],
  })
  t.after(() => producer.close())
  const timestamp = BigInt(Date.UTC(2026, 0, 1))
  const send = (key: string | undefined, value: string) =>
    producer.send({
      messages: [
        {
          topic: 'orders',
          key: key === undefined ? undefined : Buffer.from(key),
          value: Buffer.from(value),
          timestamp,
          headers: new Map([[Buffer.from('h'), Buffer.from('v')]]),
        },
      ],
    })
  await send('{"id":1}', '{"cents":100,"note":"semi;colon"}')
  assert.equal((await server.post('orders', [{ key_id: 2, cents: 200, note: 'posted' }])).status, 202)
  // The key counts, whatever the value says; a key that is none, or missing, is a dead letter.
  await send('{"id":3}', '{"key_id":99,"cents":300,"note":null}')
  await send('{"id":"x"}', '{"cents":1}')
  await send(undefined, '{"cents":1}')
  await untilRows(server, 'seen', [
    [0, 1, 100, 'semi;colon', 'CreateTime', 0, 0, 'orders', 'v'],
    [1, 2, 200, 'posted', 'CreateTime', 0, 0, 'orders', null],
    [2, 3, 300, null, 'CreateTime', 0, 0, 'orders', 'v'],
  ])
  await until(async () => (await server.messages('lines')).length >= 3, 'the CSV lines are not there')
  const [first, , third] = await server.messages('lines')
  assert.deepEqual(
    [first.key, first.value, first.timestampMs, first.headers],
    ['semi;colon', '1;"semi;colon"', Number(timestamp) + 3_600_000, { h: 'v' }],
  )
  assert.deepEqual([third.key, third.value], [null, '3;'])
  await until(async () => (await server.rows('linesRead')).length === 3, 'the CSV lines are not read')
  assert.deepEqual(
    (await server.rows('linesRead')).map(([id, note]) => [id, note]),
    [
      [1, 'semi;colon'],
      [2, 'posted'],
      [3, ''],
    ],
  )
  await until(async () => (await server.messages('notes')).length >= 3, 'the raw records are not there')
  assert.deepEqual(
    (await server.messages('notes')).map(({ value }) => value),
    ['semi;colon', 'posted', null],
  )
  await until(async () => (await server.messages('orders.invalid')).length === 2, 'not two dead letters')
})
