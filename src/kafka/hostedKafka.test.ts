import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { BufferPool, metrics } from '../base/index.ts'
import { BatchBuilder, type Disk, type LocalLog, noHeaders, openLog, readRecords, realDisk } from '../log/index.ts'
import { ERROR } from './errors.ts'
import { ReaderThread } from './farReaders.ts'
import { HostedKafka, kafkaThread } from './index.ts'
import { createTopicsApi } from './messages/createTopics.ts'
import { fetchApi } from './messages/fetch.ts'
import { produceApi } from './messages/produce.ts'
import { ReaderPool, Readers, type ReadOutcome, type Run } from './readerPool.ts'
import { batchOf, startTestBroker, TestClient } from './testClient.ts'

const SILENCE_MS = 300

/** The log, and who runs beside its writer. */
async function openHosted(
  t: TestContext,
  thread = kafkaThread,
  durability: 'fsync' | 'os' = 'os',
): Promise<{ log: LocalLog; hosted: HostedKafka; worker: Worker }> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-hosted-'))
  const hosted = new HostedKafka(SILENCE_MS)
  const log = await openLog({ folder, durability, host: { thread, port: hosted.hostPort } })
  const { worker } = log as unknown as { worker: Worker }
  t.after(async () => {
    await worker.terminate()
    await log.close()
    rmSync(folder, { recursive: true })
  })
  return { log, hosted, worker }
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isTrue()); tries++) {
    assert.ok(tries < 500, 'it does not come to be so')
    await sleep(20)
  }
}

const send = async (client: TestClient, topic: string, batch: Uint8Array) => {
  const topicData = [{ name: topic, partitionData: [{ index: 0, records: batch }] }]
  const { responses } = await client.call(produceApi, 9, { acks: -1, timeoutMs: 1_000, topicData })
  return responses[0].partitionResponses[0]
}
async function fetched(client: TestClient, topic: string, offset: number, maxBytes: number): Promise<Uint8Array> {
  const { responses } = await client.call(fetchApi, 11, {
    maxWaitMs: 1_000,
    minBytes: 1,
    maxBytes,
    topics: [{ topic, partitions: [{ partition: 0, fetchOffset: offset, partitionMaxBytes: maxBytes }] }],
  })
  return responses[0].partitions[0].records!
}
const valuesOf = (records: Uint8Array, from = 0): string[] =>
  [...readRecords(records, 0, records.length, from)].map(({ value }) => Buffer.from(value!).toString())

test('the main side sees what clients make, append, count and commit', async (t) => {
  const { log, client, kafka } = await startTestBroker(t)
  const one = await client()
  const requests = async () => {
    const { values } = await metrics.getSingleMetric('millrace_kafka_requests_total')!.get()
    return values.find(({ labels }) => labels.api === 'CreateTopics')?.value ?? 0
  }
  const before = await requests()
  await one.call(createTopicsApi, 5, { topics: [{ name: 't', numPartitions: 2, replicationFactor: 1 }], timeoutMs: 1_000 })
  await until(() => log.topic('t')?.partitions.length === 2)
  assert.equal((await send(one, 't', batchOf(['a', 'b']))).baseOffset, 0)
  assert.equal((await log.append('t', 0, batchOf(['c']))).first, 2)
  assert.deepEqual(valuesOf(await fetched(one, 't', 0, 1 << 20)), ['a', 'b', 'c'])
  await until(async () => (await requests()) === before + 1)
  await (await kafka.groups()).commit('g', [{ topic: 't', partition: 0, offset: 2 }])
  const groups = await kafka.groups()
  assert.deepEqual(
    groups.list().map(({ id }) => groups.offsets(id).map(({ topic, partition, offset }) => [id, topic, partition, offset])),
    [[['g', 't', 0, 2]]],
  )
  await assert.rejects(groups.delete('none'), { code: 'KAFKA_GROUP_NOT_FOUND', httpStatus: 404 })
  await log.deleteTopic('t')
  assert.equal((await send(one, 't', batchOf(['d']))).errorCode, 3)
})

test('of many groups people see each once, also where one is deleted while they look', async (t) => {
  const { hosted } = await openHosted(t)
  const kafka = await hosted.open({}, { warn: () => {}, error: () => {} }, undefined)
  const offsets = Array.from({ length: 600 }, (_, partition) => ({ topic: 't', partition, offset: partition }))
  const ids = ['f', 'b', 'j', 'a', 'c', 'i', 'e', 'd', 'h', 'g']
  const none = await kafka.groups()
  for (const id of ids) await none.commit(id, offsets)
  const asking = hosted as unknown as { ask(name: string, args: unknown[]): Promise<unknown> }
  const { ask } = asking
  let pages = 0
  asking.ask = async (name, args) => {
    const page = await ask.call(hosted, name, args)
    if (name === 'groups' && ++pages === 1) {
      await none.delete(ids[0])
      await none.delete(ids[3])
    }
    return page
  }
  const seen = await kafka.groups()
  const rest = ids.filter((id) => id !== ids[0] && id !== ids[3])
  assert.ok(pages > 1)
  assert.deepEqual(
    rest.filter((id) => seen.offsets(id).length !== 600),
    [],
  )
  const listed = (await kafka.groups()).list().map(({ id }) => id)
  assert.deepEqual(listed.toSorted(), rest.toSorted())
})

test('syncs for Kafka clients are counted where nothing else is appended', async (t) => {
  const { log, hosted } = await openHosted(t, kafkaThread, 'fsync')
  const kafka = await hosted.open({}, { warn: () => {}, error: () => {} }, undefined)
  await log.createTopic('t')
  const one = await TestClient.connect(kafka.port)
  t.after(() => one.end())
  const before = log.stats().syncCount
  for (let i = 0; i < 100; i++) await send(one, 't', batchOf(['a']))
  await until(() => log.stats().syncCount >= before + 100)
})

test('two consumers that read a whole topic side by side get every record once, also what was read ahead for both', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('t', { 'segment.bytes': 3 * 1024 * 1024 })
  const filler = 'x'.repeat(990)
  const count = 12_000
  for (let from = 0; from < count; from += 500)
    await log.append('t', 0, batchOf(Array.from({ length: 500 }, (_, i) => `${String(from + i).padStart(9, '0')} ${filler}`)))
  const readAll = async (one: TestClient) => {
    for (let offset = 0; offset < count; ) {
      const values = valuesOf(await fetched(one, 't', offset, 1 << 20), offset)
      for (const [i, value] of values.entries()) assert.equal(Number(value.slice(0, 9)), offset + i)
      assert.ok(values.length > 0)
      offset += values.length
    }
  }
  const clients = await Promise.all(Array.from({ length: 4 }, client))
  await Promise.all(clients.map(readAll))
})

test('who reads while the thread of far reads starts gets records at once, later ones from that thread', async (t) => {
  const { log } = await openHosted(t)
  await log.createTopic('t')
  await log.append('t', 0, batchOf(['a']))
  const far = new ReaderThread()
  t.after(() => far.close())
  const pool = new ReaderPool(log, realDisk, new BufferPool(), far)
  const read = { descriptor: log.descriptor('t'), partition: 0, offset: 0, maxBytes: 1 << 20, isPlain: false }
  const recordsOf = (outcomes: ReadOutcome[]) => (outcomes[0] as Run).records
  const atOnce = pool.readAll([read], 1 << 20, false)
  assert.ok(!(atOnce instanceof Promise))
  assert.deepEqual(valuesOf(recordsOf(atOnce)), ['a'])
  await until(() => far.isReady)
  const later = pool.readAll([read], 1 << 20, false)
  assert.ok(later instanceof Promise)
  assert.deepEqual(valuesOf(recordsOf(await later)), ['a'])
  pool.close()
})

test('no file stays open for who has stopped reading it', async (t) => {
  const { log } = await openHosted(t)
  await log.createTopic('t')
  await log.append('t', 0, batchOf(['a']))
  let openCount = 0
  const disk: Disk = {
    ...realDisk,
    open(path, mode) {
      openCount++
      return realDisk.open(path, mode)
    },
    close(file) {
      openCount--
      realDisk.close(file)
    },
  }
  const readers = new Readers(disk, new BufferPool(), 50)
  t.after(() => readers.close())
  readers.readAll([{ descriptor: log.descriptor('t'), partition: 0, offset: 0, maxBytes: 1 << 20, isPlain: false }], 1 << 20)
  assert.equal(openCount, 1)
  await until(() => openCount === 0)
})

test('batches that are compressed again keep their order with those that are not', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('t', { 'compression.type': 'gzip' })
  const one = await client()
  const sizes = [200_000, 10, 150_000, 10, 10, 300_000, 10]
  const answers = await Promise.all(sizes.map((size, i) => send(one, 't', batchOf([`${i} ${'y'.repeat(size)}`]))))
  assert.deepEqual(
    answers.map(({ errorCode, baseOffset }) => [errorCode, baseOffset]),
    sizes.map((_, i) => [0, i]),
  )
  const values = valuesOf(await fetched(one, 't', 0, 1 << 20))
  assert.deepEqual(
    values.map((value) => [Number(value.slice(0, 1)), value.length - 2]),
    sizes.map((size, i) => [i, size]),
  )
})

test('a sink of the main side appends in a transaction from memory that it uses again', async (t) => {
  const { log, hosted } = await openHosted(t)
  await log.createTopic('t')
  const transaction = await hosted.begin('sink-0')
  const builder = new BatchBuilder()
  const appends = ['one', 'two', 'three'].map((text) => {
    const value = Buffer.from(text)
    builder.appendRecord(null, value, 0, value.length, noHeaders, 1_700_000_000_000)
    return transaction.append('t', 0, builder)
  })
  await Promise.all(appends)
  assert.deepEqual(await log.readMessages('t'), [])
  assert.deepEqual(
    (await hosted.list('sink-')).map(({ transactionalId, state }) => [transactionalId, state]),
    [['sink-0', 'Ongoing']],
  )
  assert.equal(await hosted.commit(transaction.ref), true)
  assert.equal(await hosted.commit(transaction.ref), false)
  assert.deepEqual(
    (await log.readMessages('t')).map(({ value }) => Buffer.from(value!).toString()),
    ['one', 'two', 'three'],
  )
  await assert.rejects(hosted.commit({ ...transaction.ref, producerEpoch: 99 }), { code: 'LOG_TRANSACTION_ABORTED' })
})

test('an append of the main side does not wait for what the Kafka port has to do', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('t')
  await log.createTopic('other')
  for (let i = 0; i < 20; i++) await log.append('t', 0, batchOf([`${i} ${'z'.repeat(900_000)}`]))
  const one = await client()
  let isOver = false
  const reading = (async () => {
    while (!isOver) await fetched(one, 't', 0, 16 << 20)
  })()
  for (let i = 0; i < 50; i++) assert.equal((await log.append('other', 0, batchOf(['q']))).first, i)
  isOver = true
  await reading
})

test('while a topic of many partitions is made, grows or is deleted, others append, and its name is given once', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('other')
  const [one, two, admin] = [await client(), await client(), await client()]
  let isOver = false
  const answered = { kafka: 0, main: 0 }
  const appending = [
    (async () => {
      for (; !isOver; answered.kafka++) assert.equal((await send(two, 'other', batchOf(['k']))).errorCode, 0)
    })(),
    (async () => {
      for (; !isOver; answered.main++) await log.append('other', 0, batchOf(['m']))
    })(),
  ]
  const during = async <T>(change: () => Promise<T>): Promise<T> => {
    const before = { ...answered }
    const result = await change()
    for (const side of ['kafka', 'main'] as const) assert.ok(answered[side] - before[side] > 3, `${side}: ${answered[side] - before[side]}`)
    return result
  }
  const made = (by: TestClient, numPartitions: number) =>
    by
      .call(createTopicsApi, 5, { topics: [{ name: 'wide', numPartitions, replicationFactor: 1 }], timeoutMs: 60_000 })
      .then(({ topics }) => topics[0].errorCode)
  const byMain = () =>
    log.createTopic('wide', { partitionCount: 400 }).then(
      () => 0,
      ({ code }) => code,
    )
  const results = await during(() => Promise.all([made(one, 400), made(admin, 400), byMain()]))
  assert.equal(results.filter((result) => result === 0).length, 1)
  for (const result of results) assert.ok([0, ERROR.TOPIC_ALREADY_EXISTS, 'LOG_TOPIC_EXISTS'].includes(result), String(result))
  const grown = await during(() => log.alterTopic('wide', { partitionCount: 800 }))
  assert.equal(grown.partitions.length, 800)
  assert.equal((await log.append('wide', 799, batchOf(['x']))).first, 0)
  await during(() => log.deleteTopic('wide'))
  await assert.rejects(log.append('wide', 799, batchOf(['x'])), { code: 'LOG_TOPIC_NOT_FOUND' })
  isOver = true
  await Promise.all(appending)
})

test('if the thread dies, all that waits for it is refused, and the log says so', async (t) => {
  const { log, hosted, worker } = await openHosted(t)
  const kafka = await hosted.open({}, { warn: () => {}, error: () => {} }, undefined)
  await log.createTopic('t')
  const waiting = [hosted.begin('sink-0'), kafka.groups(), log.append('t', 0, batchOf(['a']))]
  const settled = Promise.allSettled(waiting)
  await worker.terminate()
  for (const result of await settled) if (result.status === 'rejected') assert.equal(result.reason.code, 'LOG_WRITER_STOPPED')
  await assert.rejects(kafka.groups(), { code: 'LOG_WRITER_STOPPED' })
  await assert.rejects(hosted.begin('sink-0'), { code: 'LOG_WRITER_STOPPED' })
  assert.equal(log.stats().writer?.stopped?.code, 'LOG_WRITER_STOPPED')
})

test('if the thread hangs, people who ask get an error after a while, sinks wait, and the log says for how long it is silent', async (t) => {
  const { log, hosted } = await openHosted(t, new URL('./testHungThread.ts', import.meta.url))
  const kafka = await hosted.open({}, { warn: () => {}, error: () => {} }, undefined)
  let hasEnded = false
  const end = () => (hasEnded = true)
  hosted.list('sink-').then(end, end)
  await assert.rejects(kafka.groups(), { code: 'KAFKA_PORT_SILENT', httpStatus: 503 })
  assert.ok(!hasEnded)
  await until(() => (log.stats().writer?.silentMs ?? 0) > 500)
})

test('time in which this thread did not run is no silence of the other one', async (t) => {
  const { log, hosted } = await openHosted(t, new URL('./testHungThread.ts', import.meta.url))
  const kafka = await hosted.open({}, { warn: () => {}, error: () => {} }, undefined)
  hosted.list('sink-').catch(() => {})
  await until(() => log.stats().writer!.silentMs > 0)
  let hasEnded = false
  const asked = assert.rejects(kafka.groups(), { code: 'KAFKA_PORT_SILENT' }).then(() => {
    hasEnded = true
  })
  // As if the process were suspended.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4_000)
  await sleep(SILENCE_MS / 2)
  assert.ok(!hasEnded)
  assert.ok(log.stats().writer!.silentMs <= 3_000)
  await asked
})
