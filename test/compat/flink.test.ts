// A Flink job with the Kafka connector that reads from and writes to the real process, exactly once, while that is killed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeProject, startServer, until } from '../harness.ts'
import { flinkMissing, startFlink } from './servers/flink.ts'
import { freePort } from './servers/kafka.ts'

const RESULT_MS_MAX = 180_000
const EVENTS = 3_000

test('a Flink job reads and writes through its Kafka connector exactly once, over kill -9 of the broker', {
  skip: flinkMissing,
}, async (t) => {
  const flink = await startFlink()
  t.after(() => flink.stop())
  const folder = makeProject(t, {
    'pipelines/orders.sql': `
      CREATE TABLE orders (id BIGINT, cents BIGINT) WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json', 'millrace.partitions' = '2');
      CREATE TABLE doubled (id BIGINT, cents BIGINT) WITH ('connector' = 'kafka', 'topic' = 'doubled', 'format' = 'json', 'properties.isolation.level' = 'read_committed');
      CREATE MATERIALIZED TABLE sums (PRIMARY KEY (k) NOT ENFORCED) AS
      SELECT k, COUNT(*) AS orders, COUNT(DISTINCT id) AS ids, SUM(cents) AS cents FROM (SELECT 1 AS k, id, cents FROM doubled) GROUP BY k;`,
  })
  const port = String(await freePort())
  const start = () => startServer(t, folder, ['--kafka-port', port])
  let server = await start()
  assert.deepEqual(server.ready.errors, [])
  const table = (topic: string, more: string) =>
    `CREATE TABLE ${topic} (id BIGINT, cents BIGINT) WITH ('connector' = 'kafka', 'topic' = '${topic}', 'format' = 'json', 'properties.bootstrap.servers' = '127.0.0.1:${port}'${more})`
  await flink.submit([
    table(
      'orders',
      ", 'properties.group.id' = 'flink', 'scan.startup.mode' = 'earliest-offset', 'properties.isolation.level' = 'read_committed'",
    ),
    table(
      'doubled',
      ", 'sink.delivery-guarantee' = 'exactly-once', 'sink.transactional-id-prefix' = 'doubled', 'properties.transaction.timeout.ms' = '60000'",
    ),
    'INSERT INTO doubled SELECT id, cents * 2 FROM orders',
  ])
  const sums = async () => (await server.rows('sums'))[0] ?? [1, 0, 0, 0]
  let sent = 0
  const send = async (count: number) => {
    for (const end = sent + count; sent < end; sent += 100) {
      const events = Array.from({ length: 100 }, (_, i) => ({ id: sent + i, cents: sent + i }))
      assert.equal((await server.post('orders', events)).status, 202)
      await sleep(100)
    }
  }
  await send(EVENTS / 3)
  await until(
    async () => Number((await sums())[1]) > 0,
    () => `nothing came back: ${flink.logs()}`,
    RESULT_MS_MAX,
  )
  for (let round = 0; round < 2; round++) {
    await server.running.kill('SIGKILL')
    await sleep(500)
    server = await start()
    await send(EVENTS / 3)
  }
  let last: unknown[] = []
  const total = EVENTS * (EVENTS - 1)
  await until(
    async () => Number((last = await sums())[2]) >= EVENTS,
    () => `${JSON.stringify(last)} of ${EVENTS}: ${flink.logs()}`,
    RESULT_MS_MAX,
  )
  // Whatever comes twice would come now.
  await sleep(3_000)
  assert.deepEqual((await sums()).map(Number), [1, EVENTS, EVENTS, total])
})
