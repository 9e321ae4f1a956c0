// The log's contract on a real Kafka, and the whole platform over it.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Producer, stringSerializers } from '@platformatic/kafka'
import { logContract } from '../../src/log/contractSuite.ts'
import { type Log, openKafkaLog } from '../../src/log/index.ts'
import { countsSql, makeProject, startServer, until, untilRows } from '../harness.ts'
import { kafkaMissing, type RealKafka, startRealKafka } from './servers/kafka.ts'

if (kafkaMissing) test('the log in a real Kafka', { skip: kafkaMissing }, () => {})
else {
  let kafka: RealKafka
  let log: Log
  before(async () => {
    kafka = await startRealKafka({ 'log.retention.check.interval.ms': 500, 'log.initial.task.delay.ms': 500 })
    log = await openKafkaLog({ bootstrap: [kafka.bootstrap] })
  })
  after(async () => {
    await log.close()
    await kafka.stop()
  })
  logContract('real Kafka', () => ({ log, bootstrap: kafka.bootstrap }), { hasClients: true, hasTransactions: true })
}

test('the platform over a real Kafka: HTTP and Kafka events, SQL, live tables, sinks, a restart', { skip: kafkaMissing }, async (t) => {
  const kafka = await startRealKafka()
  t.after(() => kafka.stop())
  const folder = makeProject(t, {
    'pipelines/counts.sql': `${countsSql}
      CREATE TABLE big (id STRING, n BIGINT) WITH ('connector' = 'kafka', 'topic' = 'big', 'format' = 'json');
      INSERT INTO big SELECT id, n FROM events WHERE n >= 10;`,
  })
  const args = ['--kafka-bootstrap', kafka.bootstrap]
  let server = await startServer(t, folder, args)
  const ts = '2026-01-01 12:00:00.000'
  const answer = await server.post('events', [
    { id: 'h1', page: '/a', n: 1, ts },
    { id: 'h2', page: '/b', n: 20, ts },
  ])
  assert.equal(answer.status, 202, JSON.stringify(answer.body))
  const producer = new Producer({
    clientId: 'shop',
    bootstrapBrokers: [kafka.bootstrap],
    serializers: stringSerializers,
    compression: 'zstd',
  })
  t.after(() => producer.close())
  const send = (id: string, page: string, n: number) =>
    producer.send({ messages: [{ topic: 'events', value: JSON.stringify({ id, page, n, ts }) }] })
  await send('k1', '/a', 30)
  await untilRows(server, 'counts', [
    ['/a', 2, 31],
    ['/b', 1, 20],
  ])
  const big = async () => (await server.messages('big')).map(({ value }) => (value as { id: string }).id)
  await until(async () => (await big()).length === 2, 'the sink has not written')
  assert.deepEqual(await big(), ['h2', 'k1'])
  // Not JSON: a dead letter, in a topic of the cluster.
  await producer.send({ messages: [{ topic: 'events', value: 'no json' }] })
  await until(async () => (await server.call(`/v1/topics/events.invalid/messages`)).status === 200, 'no dead letter')
  assert.equal((await server.running.kill('SIGKILL')).signal, 'SIGKILL')
  await send('k2', '/b', 5)
  server = await startServer(t, folder, args)
  await untilRows(server, 'counts', [
    ['/a', 2, 31],
    ['/b', 2, 25],
  ])
  assert.equal((await server.post('events', [{ id: 'h3', page: '/c', n: 99, ts }])).status, 202)
  // At least once: what was written since the last checkpoint before the crash may come again.
  await until(async () => (await big()).at(-1) === 'h3', 'the sink has not gone on')
  assert.deepEqual([...new Set(await big())], ['h2', 'k1', 'h3'])
  assert.equal((await server.running.kill('SIGTERM')).code, 0)
})
