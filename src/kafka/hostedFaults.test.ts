// What fails in the Kafka port, and what that does to the log, in whose writer's thread it runs.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MessageChannel } from 'node:worker_threads'
import { metrics } from '../base/index.ts'
import { type Durability, type LocalLog, openLog } from '../log/index.ts'
import { HostedKafka, type KafkaServer, kafkaThread } from './index.ts'
import { createPartitionsApi } from './messages/createPartitions.ts'
import { createTopicsApi } from './messages/createTopics.ts'
import { deleteTopicsApi } from './messages/deleteTopics.ts'
import { produceApi } from './messages/produce.ts'
import { batchOf, TestClient } from './testClient.ts'

const faultyThread = new URL('./testFaultyThread.ts', import.meta.url)

interface Started {
  log: LocalLog
  hosted: HostedKafka
  kafka: KafkaServer
  lines: string[]
  /** Codes of the same lines. */
  codes: unknown[]
  open(): Promise<TestClient>
}

/** The log with the topic `t`, and the port. */
async function start(t: TestContext, thread = kafkaThread, durability: Durability = 'os'): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-hosted-'))
  const hosted = new HostedKafka()
  const log = await openLog({ folder, durability, host: { thread, port: hosted.hostPort } })
  const lines: string[] = []
  const codes: unknown[] = []
  const write = ({ code }: { code?: unknown }, message: string) => {
    codes.push(code)
    lines.push(message)
  }
  const clients: TestClient[] = []
  t.after(async () => {
    for (const client of clients) client.end()
    await log.close()
    rmSync(folder, { recursive: true })
  })
  const kafka = await hosted.open({}, { warn: write, error: write }, undefined)
  await log.createTopic('t')
  const open = async () => {
    const client = await TestClient.connect(kafka.port)
    clients.push(client)
    return client
  }
  return { log, hosted, kafka, lines, codes, open }
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isTrue()); tries++) {
    assert.ok(tries < 500, 'it does not come to be so')
    await sleep(20)
  }
}

const create = (client: TestClient, name: string, numPartitions = 1) =>
  client.call(createTopicsApi, 5, { topics: [{ name, numPartitions, replicationFactor: 1 }], timeoutMs: 1_000 })
const send = async (client: TestClient, topic: string, batch: Uint8Array, index = 0) => {
  const topicData = [{ name: topic, partitionData: [{ index, records: batch }] }]
  const { responses } = await client.call(produceApi, 9, { acks: -1, timeoutMs: 1_000, topicData })
  return responses[0].partitionResponses[0]
}
/** The value of a metric, of all its labels or of one. */
async function count(name: string, code?: string): Promise<number> {
  const { values } = await metrics.getSingleMetric(name)!.get()
  return values.filter(({ labels }) => code === undefined || labels.code === code).reduce((sum, { value }) => sum + value, 0)
}

test('an error in the Kafka port that nobody catches is counted and told; the log and the clients go on', async (t) => {
  const { log, lines, open } = await start(t, faultyThread)
  const client = await open()
  const before = await count('millrace_kafka_uncaught_errors_total')
  await create(client, 'in-a-timer')
  await create(client, 'in-a-promise')
  await until(async () => (await count('millrace_kafka_uncaught_errors_total')) === before + 2)
  assert.deepEqual(
    lines.filter((line) => line.includes('planted')),
    Array(2).fill('the Kafka port goes on after an error that nobody caught: planted'),
  )
  assert.equal((await send(client, 't', batchOf(['a']))).baseOffset, 0)
  assert.equal((await log.append('t', 0, batchOf(['b']))).first, 1)
  assert.equal(log.stats().writer?.stopped, undefined)
})

test('a line about an error has its code', async (t) => {
  const { lines, codes, open } = await start(t, faultyThread)
  const client = await open()
  await create(client, 'in-a-promise-with-a-code')
  await until(() => lines.length > 0)
  assert.deepEqual(codes, ['LOG_TOPIC_NOT_FOUND'])
})

test('an error at what a client has sent ends its connection, and no other', async (t) => {
  const { log, lines, open } = await start(t, faultyThread)
  const [client, other] = [await open(), await open()]
  const before = await count('millrace_kafka_connections_refused_total', 'INTERNAL')
  const uncaught = await count('millrace_kafka_uncaught_errors_total')
  await create(client, 'in-a-read')
  other.socket.write(Buffer.alloc(13))
  await other.closed()
  await until(async () => (await count('millrace_kafka_connections_refused_total', 'INTERNAL')) === before + 1)
  assert.deepEqual(lines, ['connection of a Kafka client closed: planted'])
  assert.equal(await count('millrace_kafka_uncaught_errors_total'), uncaught)
  assert.equal((await send(client, 't', batchOf(['a']))).baseOffset, 0)
  assert.equal((await log.append('t', 0, batchOf(['b']))).first, 1)
})

for (const topic of ['in-the-writer', 'in-the-writer-for-a-client']) {
  test(`an error of the log's writer itself ends it, also where a client's request would catch it (${topic})`, async (t) => {
    const { log, hosted, open } = await start(t, faultyThread)
    const client = await open()
    await until(async () => (await count('millrace_kafka_connections')) === 1)
    const refused: Promise<string>[] = []
    const appends = (async () => {
      for (; !log.stats().writer?.stopped; await sleep(1))
        refused.push(
          log.append('t', 0, batchOf(['b'])).then(
            () => '',
            ({ code }) => code,
          ),
        )
    })()
    const waiting = create(client, topic).then(() => send(client, 't', batchOf(['a'])))
    await assert.rejects(waiting, /connection closed/)
    await until(() => log.stats().writer?.stopped !== undefined)
    const stopped = log.stats().writer!.stopped!
    assert.equal(stopped.code, 'LOG_WRITER_STOPPED')
    assert.match(stopped.message, /planted/)
    await assert.rejects(log.append('t', 0, batchOf(['b'])), { code: 'LOG_WRITER_STOPPED' })
    await assert.rejects(hosted.begin('sink-0'), { code: 'LOG_WRITER_STOPPED' })
    await appends
    assert.ok((await Promise.all(refused)).includes('LOG_WRITER_STOPPED'), 'something waited')
    // Nobody is connected any more, and nothing waits.
    for (const name of ['millrace_kafka_connections', 'millrace_log_pending_bytes']) assert.equal(await count(name), 0, name)
  })
}

test('a port that cannot be opened says why, leaves the log alone, and can be opened otherwise', async (t) => {
  const { log, hosted, kafka } = await start(t)
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tls-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const notPem = join(folder, 'not.pem')
  writeFileSync(notPem, 'no certificate')
  const taken = createServer().listen(0, '127.0.0.1')
  t.after(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const silent = { warn: () => {}, error: () => {} }
  const limits = { offsetsRetentionMs: 1, offsetsRetentionCheckMs: 20 }
  await (await kafka.groups()).commit('g', [{ topic: 't', partition: 0, offset: 0 }])
  await kafka.close()
  const refused: [object, string][] = [
    [{ port }, 'KAFKA_PORT_IN_USE'],
    [{ host: '192.0.2.1', insecure: true }, 'KAFKA_ADDRESS_UNAVAILABLE'],
    [{ host: '0.0.0.0' }, 'KAFKA_HOST_NOT_LOOPBACK'],
    [{ tls: { certFile: join(folder, 'none.pem'), keyFile: notPem } }, 'KAFKA_TLS_INVALID'],
    [{ tls: { certFile: notPem, keyFile: notPem } }, 'KAFKA_TLS_INVALID'],
    [{ tls: { certFile: notPem, keyFile: notPem, principalRules: 'RULE:(' } }, 'KAFKA_PRINCIPAL_RULES_INVALID'],
    [{ settings: { 'num.partitions': 'many' } }, 'KAFKA_SETTING_INVALID'],
  ]
  for (const [options, code] of refused) await assert.rejects(hosted.open({ ...options, limits }, silent, undefined), { code })
  // Nobody keeps groups, so that nobody forgets what they committed.
  const offsetsEnd = log.partition('__consumer_offsets', 0)!.endOffset
  await sleep(200)
  assert.equal(log.partition('__consumer_offsets', 0)!.endOffset, offsetsEnd)
  assert.equal((await log.append('t', 0, batchOf(['a']))).first, 0)
  const again = await hosted.open({}, silent, undefined)
  const client = await TestClient.connect(again.port)
  assert.equal((await send(client, 't', batchOf(['b']))).baseOffset, 1)
  client.end()
})

test("what clients send keeps its bytes until it is on the disk, however much comes behind it; with the main side's appends beside it, in order", async (t) => {
  const { log, open } = await start(t)
  await log.createTopic('two', { partitionCount: 2 })
  const rounds = 300
  /** Of many sizes: frames that come whole, in two reads, and across blocks. */
  const batchFor = (who: string, i: number) => batchOf([`${who} ${i} ${who.repeat(1 + ((i * 7_919) % 30_000))}`])
  const producers = await Promise.all(
    ['a', 'b', 'c'].map(async (who, k) => {
      const client = await open()
      return () => Promise.all(Array.from({ length: rounds }, (_, i) => send(client, 'two', batchFor(who, i), k % 2)))
    }),
  )
  const ofMain = () => Promise.all(Array.from({ length: rounds }, (_, i) => log.append('two', i % 2, batchFor('m', i))))
  const [ofA, ofB, ofC] = await Promise.all([...producers.map((produce) => produce()), ofMain().then(() => [])])
  for (const answers of [ofA, ofB, ofC]) {
    assert.ok(answers.every(({ errorCode }) => errorCode === 0))
    const offsets = answers.map(({ baseOffset }) => baseOffset)
    assert.deepEqual(
      offsets,
      offsets.toSorted((x, y) => x - y),
    )
  }
  const seen = new Map<string, number[]>()
  for (const { value } of await log.readMessages('two', { limit: 10 * rounds })) {
    const [who, i, rest] = Buffer.from(value!).toString().split(' ')
    assert.equal(rest, who.repeat(1 + ((Number(i) * 7_919) % 30_000)))
    seen.set(who, [...(seen.get(who) ?? []), Number(i)])
  }
  const all = Array.from({ length: rounds }, (_, i) => i)
  for (const who of ['a', 'b', 'c']) assert.deepEqual(seen.get(who), all)
  assert.deepEqual(
    seen.get('m')?.toSorted((x, y) => x - y),
    all,
  )
})

test('a topic that one side deletes or changes while the other appends to it: each append has its offset or says that the topic is gone', async (t) => {
  const { log, open } = await start(t)
  const [client, admin] = [await open(), await open()]
  const gone = (code: string) => assert.ok(['LOG_TOPIC_DELETED', 'LOG_TOPIC_NOT_FOUND'].includes(code), code)
  for (let round = 0; round < 20; round++) {
    const topic = `r${round}`
    await create(admin, topic)
    await until(() => log.topic(topic) !== undefined)
    const ofClient: Promise<{ errorCode: number }>[] = []
    const ofMain: Promise<unknown>[] = []
    const append = () => {
      ofClient.push(send(client, topic, batchOf(['a'])))
      ofMain.push(log.append(topic, 0, batchOf(['b'])).catch(({ code }) => code))
    }
    for (let i = 0; i < 10; i++) append()
    const more =
      round % 2 === 0
        ? log.alterTopic(topic, { partitionCount: 3, 'retention.ms': 1_000 })
        : admin.call(createPartitionsApi, 1, { topics: [{ name: topic, count: 3, assignments: null }], timeoutMs: 1_000 })
    for (let i = 0; i < 10; i++) append()
    await more
    // The main side learns it by a message.
    await until(() => log.topic(topic)?.partitions.length === 3)
    const newest = send(client, topic, batchOf(['c']), 2)
    assert.equal((await log.append(topic, 2, batchOf(['d']))).partition, 2)
    assert.equal((await newest).errorCode, 0)
    assert.ok((await Promise.all(ofClient)).every(({ errorCode }) => errorCode === 0))
    for (const one of await Promise.all(ofMain)) assert.equal(typeof one, 'object')
    ofClient.length = ofMain.length = 0
    for (let i = 0; i < 10; i++) append()
    const deleting =
      round % 2 === 0
        ? log.deleteTopic(topic)
        : admin.call(deleteTopicsApi, 4, { topicNames: [topic], timeoutMs: 1_000 }).then(() => until(() => log.topic(topic) === undefined))
    for (let i = 0; i < 10; i++) append()
    await deleting
    // 3: UNKNOWN_TOPIC_OR_PARTITION.
    for (const { errorCode } of await Promise.all(ofClient)) assert.ok([0, 3].includes(errorCode), String(errorCode))
    for (const one of await Promise.all(ofMain)) if (typeof one === 'string') gone(one)
    // One of the same name is another one, for both.
    await create(admin, topic)
    await until(() => log.topic(topic) !== undefined)
    assert.equal((await log.append(topic, 0, batchOf(['e']))).first, 0)
    assert.equal((await send(client, topic, batchOf(['f']))).baseOffset, 1)
  }
  assert.equal(log.stats().writer?.stopped, undefined)
})

test('who runs beside the writer cannot append to a log that is closed', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-hosted-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const { port1, port2 } = new MessageChannel()
  const thread = new URL('./testLateAppend.ts', import.meta.url)
  const log = await openLog({ folder, durability: 'os', host: { thread, port: port2 } })
  await log.createTopic('t')
  const said = once(port1, 'message')
  await log.close()
  assert.deepEqual(await said, ['LOG_CLOSED'])
})

test('appends of the main side go on while a client makes and deletes many topics', async (t) => {
  const { log, open } = await start(t, kafkaThread, 'fsync')
  const client = await open()
  const names = Array.from({ length: 60 }, (_, i) => `m${i}`)
  /** How many topics there were when an append was answered. */
  const seen = new Set<number>()
  const appendUntil = async (work: Promise<unknown>) => {
    let isOver = false
    void work.finally(() => (isOver = true))
    while (!isOver) {
      await log.append('t', 0, batchOf(['a']))
      seen.add(log.topics().length)
    }
    await work
  }
  await appendUntil(
    client.call(createTopicsApi, 5, {
      topics: names.map((name) => ({ name, numPartitions: 1, replicationFactor: 1 })),
      timeoutMs: 60_000,
    }),
  )
  assert.equal(log.topics().length, names.length + 1)
  assert.ok(seen.size > 10, `answered beside ${[...seen]} topics`)
  seen.clear()
  await appendUntil(client.call(deleteTopicsApi, 4, { topicNames: names, timeoutMs: 60_000 }))
  assert.equal(log.topics().length, 1)
  assert.ok(seen.size > 10, `answered beside ${[...seen]} topics`)
})
