// What every log must do: the tests of the interface `Log`, for our own files (../kafka/logContract.test.ts) and a real Kafka (test/compat/kafkaLog.test.ts).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'
import { isStreamError } from '../base/index.ts'
import type { Isolation, Log, PartitionReader, RecordInput } from './contract.ts'
import { openReader, readToEnd } from './openReader.ts'
import { BatchBuilder, CRC_AT, noHeaders } from './recordBatch.ts'
import { readRecords } from './recordIndex.ts'

const WAIT_MS = 30_000
/** Not so old that a topic's retention would take it. */
const START_MS = Date.now() - 3_600_000

const record = (text: string, timestampMs = Date.now()): RecordInput => ({ key: null, value: Buffer.from(text), timestampMs })
const textOf = (value: Uint8Array | null) => value && Buffer.from(value).toString()
function batchOf(texts: readonly string[], timestampMs = Date.now()): Uint8Array {
  const builder = new BatchBuilder()
  for (const text of texts) builder.appendRecord(null, Buffer.from(text), 0, Buffer.byteLength(text), noHeaders, timestampMs)
  return builder.finish()
}
const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `${from + i}`)

/** Reads until `count` records have come. */
async function read(reader: PartitionReader, count: number): Promise<{ offset: number; text: string | null }[]> {
  const found: { offset: number; text: string | null }[] = []
  const deadlineMs = performance.now() + WAIT_MS
  while (found.length < count) {
    const run = reader.read()
    if (run) {
      for (const { offset, value } of readRecords(run.bytes, run.start, run.end, run.fromOffset))
        found.push({ offset, text: textOf(value) })
    } else {
      assert.ok(performance.now() < deadlineMs, `only ${found.length} of ${count} records came`)
      await reader.waitForData(1_000)
    }
  }
  return found
}
/** What comes within a time: nothing, if all is well. A run may still come that only moves the reader behind markers. */
async function recordsWithin(reader: PartitionReader, timeMs: number): Promise<(string | null)[]> {
  const found: (string | null)[] = []
  for (const deadlineMs = performance.now() + timeMs; performance.now() < deadlineMs; await reader.waitForData(10)) {
    const run = reader.read()
    if (run) for (const { value } of readRecords(run.bytes, run.start, run.end, run.fromOffset)) found.push(textOf(value))
  }
  return found
}
async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = performance.now() + WAIT_MS
  while (!(await condition())) {
    assert.ok(performance.now() < deadlineMs, what)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

export interface LogUnderTest {
  log: Log
  /** Where Kafka clients reach the same log. */
  bootstrap?: string
}
/** @param use  gives the log, open; called once for each test */
export function logContract(name: string, use: () => LogUnderTest, { hasClients = false, hasTransactions = false } = {}): void {
  let topicCount = 0
  const newName = () => `contract-${process.pid}-${++topicCount}`
  const contract = (title: string, run: (log: Log, bootstrap: string) => Promise<void>) =>
    test(`${name}: ${title}`, () => {
      const { log, bootstrap = '' } = use()
      return run(log, bootstrap)
    })

  contract('topics are made with settings, changed, listed and deleted', async (log) => {
    const topic = newName()
    const made = await log.createTopic(topic, { partitionCount: 2, 'retention.ms': 3_600_000 })
    assert.deepEqual([made.name, made.partitions.length, made.config['retention.ms']], [topic, 2, 3_600_000])
    assert.deepEqual(
      made.partitions.map(({ startOffset, endOffset }) => [startOffset, endOffset]),
      [
        [0, 0],
        [0, 0],
      ],
    )
    await assert.rejects(log.createTopic(topic), { code: 'LOG_TOPIC_EXISTS' })
    await assert.rejects(log.createTopic('no/name'), { code: 'LOG_TOPIC_NAME_INVALID' })
    await assert.rejects(log.createTopic(newName(), { 'retention.ms': 0.5 }), { code: 'LOG_TOPIC_CONFIG_INVALID' })
    const altered = await log.alterTopic(topic, { partitionCount: 3, 'max.message.bytes': 50_000, 'cleanup.policy': 'compact' })
    assert.equal(altered.partitions.length, 3)
    assert.deepEqual([altered.config['max.message.bytes'], altered.config['cleanup.policy']], [50_000, 'compact'])
    await assert.rejects(log.alterTopic(topic, { partitionCount: 1 }), { code: 'LOG_TOPIC_CONFIG_INVALID' })
    assert.ok(log.topics().some((one) => one.name === topic))
    const { id } = log.topic(topic)!
    await log.deleteTopic(topic)
    assert.equal(log.topic(topic), undefined)
    await assert.rejects(log.deleteTopic(topic), { code: 'LOG_TOPIC_NOT_FOUND' })
    const again = await log.createTopic(topic)
    assert.notEqual(again.id, id)
  })

  contract('what is appended is read: keys, headers, nulls, times, in order and by partition', async (log) => {
    const topic = newName()
    await log.createTopic(topic, { partitionCount: 2 })
    const key = Buffer.from('k')
    const rich: RecordInput = {
      key,
      value: null,
      headers: [
        ['h', Buffer.from('v')],
        ['none', null],
      ],
      timestampMs: START_MS,
    }
    assert.deepEqual(await log.appendRecords(topic, 0, [rich, record('two', START_MS + 5)]), { partition: 0, first: 0, last: 1 })
    assert.deepEqual(await log.appendRecords(topic, 0, [record('three', START_MS + 9)]), { partition: 0, first: 2, last: 2 })
    assert.deepEqual(await log.appendRecords(topic, 1, [record('other', START_MS + 7)]), { partition: 1, first: 0, last: 0 })
    assert.deepEqual(
      log.topic(topic)!.partitions.map(({ endOffset }) => endOffset),
      [3, 1],
    )
    const reader = openReader(log.descriptor(topic), 0, 0)
    const found = []
    for await (const run of readToEnd(reader, { startOffset: 0, endOffset: 3 }))
      found.push(...readRecords(run.bytes, run.start, run.end, run.fromOffset))
    reader.close()
    assert.deepEqual(
      found.map(({ offset, timestampMs, value }) => [offset, timestampMs, textOf(value)]),
      [
        [0, START_MS, null],
        [1, START_MS + 5, 'two'],
        [2, START_MS + 9, 'three'],
      ],
    )
    assert.deepEqual(
      found[0].headers.map(([header, value]) => [header, textOf(value)]),
      [
        ['h', 'v'],
        ['none', null],
      ],
    )
    assert.equal(textOf(found[0].key), 'k')
    const texts = async (options: object) => (await log.readMessages(topic, options)).map(({ value }) => textOf(value))
    assert.deepEqual(await texts({}), [null, 'two', 'other', 'three'])
    assert.deepEqual(await texts({ limit: 1 }), ['three'])
    assert.deepEqual(await texts({ partition: 0, fromOffset: 1 }), ['two', 'three'])
    assert.deepEqual(await texts({ fromTimeMs: START_MS + 6 }), ['other', 'three'])
    assert.deepEqual(await texts({ limit: 0 }), [])
  })

  contract('appends that are not awaited keep their order, each batch once', async (log) => {
    const topic = newName()
    await log.createTopic(topic)
    const acks = await Promise.all(Array.from({ length: 300 }, (_, i) => log.append(topic, 0, batchOf([`${2 * i}`, `${2 * i + 1}`]))))
    assert.deepEqual(
      acks.map(({ first, last }) => [first, last]),
      Array.from({ length: 300 }, (_, i) => [2 * i, 2 * i + 1]),
    )
    assert.equal(log.pendingBytes, 0)
    const reader = openReader(log.descriptor(topic), 0, 0)
    assert.deepEqual(
      await read(reader, 600),
      numbered(0, 600).map((text, offset) => ({ offset, text })),
    )
    reader.close()
  })

  contract('a reader waits for records, goes where it is told to, and says when an offset is not there', async (log) => {
    const topic = newName()
    await log.createTopic(topic)
    const reader = openReader(log.descriptor(topic), 0, 0)
    assert.equal(reader.read(), undefined)
    const waited = reader.waitForData(WAIT_MS)
    await log.append(topic, 0, batchOf(['0', '1', '2'], START_MS))
    await log.append(topic, 0, batchOf(['3', '4'], START_MS + 60_000))
    assert.equal(await waited, true)
    assert.equal((await read(reader, 5)).length, 5)
    assert.equal(reader.nextOffset, 5)
    assert.deepEqual(reader.range, { startOffset: 0, endOffset: 5 })
    assert.equal(await reader.waitForData(10), false)
    reader.seek(1)
    // The first batch comes whole; `fromOffset` hides what was not asked for.
    assert.deepEqual(
      (await read(reader, 4)).map(({ offset }) => offset),
      [1, 2, 3, 4],
    )
    assert.equal(await reader.seekTime(START_MS + 1), 3)
    assert.deepEqual(await read(reader, 2), [
      { offset: 3, text: '3' },
      { offset: 4, text: '4' },
    ])
    assert.equal(await reader.seekTime(START_MS + 120_000), 5)
    reader.seek(77)
    await assert.rejects(read(reader, 1), { code: 'LOG_OFFSET_OUT_OF_RANGE' })
    reader.close()
    assert.throws(() => openReader(log.descriptor(topic), 7, 0), { code: 'LOG_PARTITION_NOT_FOUND' })
  })

  contract('a reader in another thread sees each record once', async (log) => {
    const topic = newName()
    await log.createTopic(topic)
    const workerData = { descriptor: log.descriptor(topic), recordCount: 2_000, maxBytes: 5_000 }
    const worker = new Worker(new URL('./testReaderThread.ts', import.meta.url), { workerData })
    const done = new Promise<{ read: number }>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    for (let i = 0; i < 2_000; i += 20) {
      const builder = new BatchBuilder()
      for (let j = i; j < i + 20; j++) builder.appendRecord(null, Uint8Array.of(j % 251), 0, 1, noHeaders, START_MS)
      await log.append(topic, 0, builder.finish())
    }
    assert.equal((await done).read, 2_000)
    await worker.terminate()
  })

  contract('records that were deleted are gone for everybody', async (log) => {
    const topic = newName()
    await log.createTopic(topic)
    await log.append(topic, 0, batchOf(numbered(0, 10)))
    assert.equal(await log.deleteRecords(topic, 0, 4), 4)
    assert.equal(log.topic(topic)!.partitions[0].startOffset, 4)
    assert.deepEqual(
      (await log.readMessages(topic, { fromOffset: 0, partition: 0 })).map(({ offset }) => offset),
      [4, 5, 6, 7, 8, 9],
    )
    const reader = openReader(log.descriptor(topic), 0, 0)
    reader.seek(reader.range.startOffset)
    assert.equal((await read(reader, 6))[0].offset, 4)
    reader.close()
    await assert.rejects(log.deleteRecords(topic, 0, 99), { code: 'LOG_OFFSET_OUT_OF_RANGE' })
  })

  contract('retention takes records that are too old', async (log) => {
    const topic = newName()
    await log.createTopic(topic, { 'retention.ms': 60_000 })
    await log.append(topic, 0, batchOf(['old', 'older'], Date.now() - 3_600_000))
    await until(async () => {
      await log.enforceRetention()
      await log.refresh([topic])
      return log.topic(topic)!.partitions[0].startOffset === 2
    }, 'the old records are still there')
    assert.deepEqual(await log.appendRecords(topic, 0, [record('new')]), { partition: 0, first: 2, last: 2 })
    assert.deepEqual(
      (await log.readMessages(topic)).map(({ value }) => textOf(value)),
      ['new'],
    )
  })

  contract('what cannot be appended is refused with its reason, and what comes behind it is not', async (log) => {
    const topic = newName()
    await log.createTopic(topic, { 'max.message.bytes': 2_000 })
    const codeOf = async (work: Promise<unknown>) => {
      try {
        await work
        return 'none'
      } catch (error) {
        return isStreamError(error) ? error.code : String(error)
      }
    }
    const damaged = batchOf(['damaged'])
    damaged[CRC_AT] ^= 1
    const codes = await Promise.all([
      codeOf(log.append(topic, 0, batchOf(['first']))),
      codeOf(log.append(topic, 0, batchOf(['x'.repeat(3_000)]))),
      codeOf(log.append(topic, 0, damaged)),
      codeOf(log.append(topic, 0, new Uint8Array(7))),
      codeOf(log.append(topic, 0, batchOf(['count']), { recordCount: 2 })),
      codeOf(log.append(topic, 5, batchOf(['partition']))),
      codeOf(log.append(newName(), 0, batchOf(['topic']))),
      codeOf(log.append(topic, 0, batchOf(['second']))),
      codeOf(log.appendRecords(topic, 0, [])),
    ])
    assert.deepEqual(codes, [
      'none',
      'LOG_BATCH_TOO_LARGE',
      'LOG_BATCH_CHECKSUM',
      'LOG_BATCH_INVALID',
      'LOG_BATCH_INVALID',
      'LOG_PARTITION_NOT_FOUND',
      'LOG_TOPIC_NOT_FOUND',
      'none',
      'LOG_BATCH_INVALID',
    ])
    assert.deepEqual(
      (await log.readMessages(topic)).map(({ value }) => textOf(value)),
      ['first', 'second'],
    )
  })

  contract('readers of a topic that is deleted are told', async (log) => {
    const topic = newName()
    await log.createTopic(topic)
    await log.append(topic, 0, batchOf(['one']))
    const reader = openReader(log.descriptor(topic), 0, 0)
    await read(reader, 1)
    const waited = reader.waitForData(WAIT_MS)
    await log.deleteTopic(topic)
    assert.equal(await waited, true)
    await assert.rejects(read(reader, 1), { code: 'LOG_TOPIC_DELETED' })
    reader.close()
  })

  if (!hasClients) return
  contract('groups: a consumer of the log goes on where its group stopped', async (log, bootstrap) => {
    const topic = newName()
    await log.createTopic(topic)
    await log.append(topic, 0, batchOf(numbered(0, 10)))
    const consume = async (count: number) => {
      const settings = { clientId: 'contract', bootstrapBrokers: [bootstrap], groupId: topic, deserializers: stringDeserializers }
      const consumer = new Consumer(settings)
      const stream = await consumer.consume({
        topics: [topic],
        mode: 'committed',
        fallbackMode: 'earliest',
        autocommit: false,
        maxWaitTime: 100,
      })
      const values: string[] = []
      for await (const message of stream) {
        values.push(message.value!)
        await message.commit()
        if (values.length === count) break
      }
      await stream.close()
      await consumer.close(true)
      return values
    }
    assert.deepEqual([...(await consume(4)), ...(await consume(6))], numbered(0, 10))
  })

  if (!hasTransactions) return
  contract('transactions: readers of committed records see all of one at once, or nothing', async (log, bootstrap) => {
    const topic = newName()
    await log.createTopic(topic)
    const settings = { clientId: 'contract', bootstrapBrokers: [bootstrap], serializers: stringSerializers }
    const producer = new Producer({ ...settings, idempotent: true, transactionalId: topic })
    const readers = ['read_committed', 'read_uncommitted'].map((isolation) =>
      openReader(log.descriptor(topic), 0, 0, undefined, isolation as Isolation),
    )
    const [committed, uncommitted] = readers
    const texts = async (reader: PartitionReader, count: number) => (await read(reader, count)).map(({ text }) => text)
    try {
      const send = async (values: string[], isCommit: boolean) => {
        const transaction = await producer.beginTransaction()
        await transaction.send({ messages: values.map((value) => ({ topic, value })) })
        assert.deepEqual(await texts(uncommitted, values.length), values)
        assert.deepEqual(await recordsWithin(committed, 100), [])
        await (isCommit ? transaction.commit() : transaction.abort())
      }
      await send(['a', 'b'], true)
      assert.deepEqual(await texts(committed, 2), ['a', 'b'])
      await send(['gone', 'also gone'], false)
      await send(['c'], true)
      assert.deepEqual(await texts(committed, 1), ['c'])
      await log.refresh([topic])
      const { endOffset, lastStableOffset } = log.topic(topic)!.partitions[0]
      // Five records and three markers.
      assert.deepEqual([endOffset, lastStableOffset], [8, 8])
      assert.deepEqual(
        (await log.readMessages(topic)).map(({ value }) => textOf(value)),
        ['a', 'b', 'c'],
      )
      assert.deepEqual((await log.readMessages(topic, { isolation: 'read_uncommitted' })).map(({ value }) => textOf(value)).length, 5)
    } finally {
      for (const reader of readers) reader.close()
      await producer.close()
    }
  })
}
