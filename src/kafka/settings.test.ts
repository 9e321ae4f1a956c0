// Topic settings over the wire: that they are told as Kafka tells them, and that each has its effect.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { BatchBuilder, noHeaders, readRecords, verifyBatch } from '../log/index.ts'
import { ERROR } from './errors.ts'
import { alterConfigsApi } from './messages/alterConfigs.ts'
import { createTopicsApi } from './messages/createTopics.ts'
import { deleteRecordsApi } from './messages/deleteRecords.ts'
import { describeConfigsApi } from './messages/describeConfigs.ts'
import { describeLogDirsApi } from './messages/describeLogDirs.ts'
import { fetchApi } from './messages/fetch.ts'
import { incrementalAlterConfigsApi } from './messages/incrementalAlterConfigs.ts'
import { listOffsetsApi } from './messages/listOffsets.ts'
import { produceApi } from './messages/produce.ts'
import { batchOf, startTestBroker, type TestClient } from './testClient.ts'

const NOW_MS = Date.now()

async function create(client: TestClient, name: string, settings: Record<string, string> = {}): Promise<number> {
  const configs = Object.entries(settings).map(([key, value]) => ({ name: key, value }))
  const { topics } = await client.call(createTopicsApi, 7, { topics: [{ name, numPartitions: 1, replicationFactor: 1, configs }] })
  return topics[0].errorCode
}
async function send(client: TestClient, topic: string, records: Uint8Array) {
  const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }]
  const { responses } = await client.call(produceApi, 9, { acks: -1, timeoutMs: 1_000, topicData })
  return responses[0].partitionResponses[0]
}
function keyedBatch(rows: readonly (readonly [string | null, string])[], timestampMs = NOW_MS): Uint8Array {
  const builder = new BatchBuilder()
  for (const [key, value] of rows) {
    const bytes = Buffer.from(value)
    builder.appendRecord(key === null ? null : Buffer.from(key), bytes, 0, bytes.length, noHeaders, timestampMs)
  }
  return builder.finish()
}
async function describe(client: TestClient, name: string, keys: string[] | null = null) {
  const resources = [{ resourceType: 2, resourceName: name, configurationKeys: keys }]
  const { results } = await client.call(describeConfigsApi, 4, { resources, includeSynonyms: true })
  return results[0].configs
}
const valuesOf = (configs: { name: string; value: string | null }[]) => Object.fromEntries(configs.map(({ name, value }) => [name, value]))

test("defaults are Kafka's, and every setting that is told can be set to what is told", async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  assert.equal(await create(one, 't'), 0)
  const configs = await describe(one, 't')
  // Source: Kafka 4.3's documentation of topic settings. Segments are smaller here, see topicMeta.ts.
  const expected = {
    'cleanup.policy': 'delete',
    'delete.retention.ms': '86400000',
    'max.compaction.lag.ms': '9223372036854775807',
    'max.message.bytes': '1048588',
    'message.timestamp.after.max.ms': '3600000',
    'message.timestamp.before.max.ms': '9223372036854775807',
    'message.timestamp.type': 'CreateTime',
    'min.cleanable.dirty.ratio': '0.5',
    'min.compaction.lag.ms': '0',
    'retention.bytes': '-1',
    'retention.ms': '604800000',
    'segment.ms': '604800000',
  }
  const told = valuesOf(configs)
  for (const [name, value] of Object.entries(expected)) assert.equal(told[name], value, name)
  const operations = configs.map(({ name, value }) => ({ name, configOperation: 0, value }))
  const { responses } = await one.call(incrementalAlterConfigsApi, 1, {
    resources: [{ resourceType: 2, resourceName: 't', configs: operations }],
  })
  assert.deepEqual(responses[0].errorMessage, null)
})

test('wrong names and values are refused with INVALID_CONFIG, and change nothing', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  await create(one, 't')
  const wrong: [string, string][] = [
    ['no.such.setting', '1'],
    ['cleanup.policy', 'shred'],
    ['cleanup.policy', ''],
    ['cleanup.policy', 'delete,'],
    ['retention.ms', 'a week'],
    ['retention.ms', '-2'],
    ['min.cleanable.dirty.ratio', '1.5'],
    ['min.cleanable.dirty.ratio', ''],
    ['message.timestamp.type', 'NoTime'],
    ['delete.retention.ms', '-1'],
    ['max.compaction.lag.ms', '0'],
    ['compression.type', 'brotli'],
    ['retention.ms', '9223372036854775808'],
    ['flush.ms', '9223372036854775808'],
    ['compression.gzip.level', '0'],
    ['preallocate', 'yes'],
    ['leader.replication.throttled.replicas', '0:1,x'],
    ['leader.replication.throttled.replicas', 'none'],
  ]
  for (const [name, value] of wrong) {
    const configs = [{ name, configOperation: 0, value }]
    const { responses } = await one.call(incrementalAlterConfigsApi, 1, { resources: [{ resourceType: 2, resourceName: 't', configs }] })
    assert.equal(responses[0].errorCode, ERROR.INVALID_CONFIG, `${name}=${value}`)
    assert.equal(await create(one, 'u', { [name]: value }), ERROR.INVALID_CONFIG, `${name}=${value}`)
  }
  assert.equal(await create(one, 'u', { 'min.compaction.lag.ms': '10', 'max.compaction.lag.ms': '5' }), ERROR.INVALID_CONFIG)
  assert.ok(
    (await describe(one, 't')).every(({ configSource }) => configSource === 5),
    'all as by default',
  )
})

test('what was set is told as it was set, also if it is the default or has no effect, over a restart, until it is taken back', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const ofTopic = async (client: TestClient) => valuesOf((await describe(client, 't')).filter(({ configSource }) => configSource === 1))
  const change = async (client: TestClient, configs: { name: string; configOperation: number; value: string | null }[]) => {
    const { responses } = await client.call(incrementalAlterConfigsApi, 1, { resources: [{ resourceType: 2, resourceName: 't', configs }] })
    return responses[0].errorCode
  }
  const first = await startTestBroker(t, { folder })
  const one = await first.client()
  assert.equal(await create(one, 't', { 'retention.ms': '604800000', 'flush.ms': '1000', 'min.insync.replicas': '1' }), 0)
  assert.deepEqual(await ofTopic(one), { 'flush.ms': '1000', 'min.insync.replicas': '1', 'retention.ms': '604800000' })
  const more = [
    { name: 'unclean.leader.election.enable', configOperation: 0, value: 'true' },
    { name: 'min.insync.replicas', configOperation: 1, value: null },
    { name: 'retention.ms', configOperation: 0, value: '5000' },
  ]
  assert.equal(await change(one, more), 0)
  for (const value of ['soon', '-1', '']) {
    assert.equal(await change(one, [{ name: 'flush.ms', configOperation: 0, value }]), ERROR.INVALID_CONFIG, value)
  }
  one.end()
  await first.kafka.close()
  await first.log.close()

  const second = await startTestBroker(t, { folder })
  const two = await second.client()
  assert.deepEqual(await ofTopic(two), { 'flush.ms': '1000', 'retention.ms': '5000', 'unclean.leader.election.enable': 'true' })
  assert.equal(await change(two, [{ name: 'retention.ms', configOperation: 1, value: null }]), 0)
  assert.deepEqual(await ofTopic(two), { 'flush.ms': '1000', 'unclean.leader.election.enable': 'true' })
  // AlterConfigs leaves what it names.
  const configs = [{ name: 'preallocate', value: 'true' }]
  const { responses } = await two.call(alterConfigsApi, 2, { resources: [{ resourceType: 2, resourceName: 't', configs }] })
  assert.equal(responses[0].errorCode, 0)
  assert.deepEqual(await ofTopic(two), { preallocate: 'true' })
})

test('changes at once lose none of each other, and what is no change is INVALID_REQUEST', async (t) => {
  const { client } = await startTestBroker(t)
  const clients = await Promise.all(Array.from({ length: 4 }, client))
  await create(clients[0], 't')
  const names = ['flush.ms', 'flush.messages', 'segment.jitter.ms', 'file.delete.delay.ms']
  const alter = async (one: TestClient, configs: { name: string; configOperation: number; value: string | null }[], times = 1) => {
    const resources = Array.from({ length: times }, () => ({ resourceType: 2, resourceName: 't', configs }))
    const { responses } = await one.call(incrementalAlterConfigsApi, 1, { resources })
    return responses[0].errorCode
  }
  await Promise.all(names.map((name, i) => alter(clients[i], [{ name, configOperation: 0, value: '7' }])))
  const replicas = 'leader.replication.throttled.replicas'
  for (const [configOperation, value, expected] of [
    [0, '0:1', '0:1'],
    [2, '1:1, 0:1', '0:1,1:1'],
    [3, '0:1', '1:1'],
  ] as const) {
    assert.equal(await alter(clients[0], [{ name: replicas, configOperation, value }]), 0)
    assert.equal(valuesOf(await describe(clients[0], 't'))[replicas], expected)
  }
  const set = { name: 'flush.ms', configOperation: 0, value: '8' }
  assert.equal(await alter(clients[0], [set, { ...set, configOperation: 1 }]), ERROR.INVALID_REQUEST)
  assert.equal(await alter(clients[0], [{ ...set, value: null }]), ERROR.INVALID_REQUEST)
  assert.equal(await alter(clients[0], [set], 2), ERROR.INVALID_REQUEST)
  const told = valuesOf((await describe(clients[0], 't')).filter(({ configSource }) => configSource === 1))
  assert.deepEqual(told, { ...Object.fromEntries(names.map((name) => [name, '7'])), [replicas]: '1:1' })
})

test('cleanup.policy is a list: values are added and taken away', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  await create(one, 't')
  const change = async (configOperation: number, value: string) => {
    const configs = [{ name: 'cleanup.policy', configOperation, value }]
    const { responses } = await one.call(incrementalAlterConfigsApi, 1, { resources: [{ resourceType: 2, resourceName: 't', configs }] })
    return responses[0].errorCode || valuesOf(await describe(one, 't', ['cleanup.policy']))['cleanup.policy']
  }
  // In the order in which they were named, as Kafka tells them: tools compare the text with what they want.
  assert.equal(await change(2, 'compact'), 'delete,compact')
  assert.equal(await change(2, 'compact'), 'delete,compact')
  assert.equal(await change(3, 'delete'), 'compact')
  assert.equal(await change(3, 'compact'), ERROR.INVALID_CONFIG)
  assert.equal(await change(0, 'delete, compact'), 'delete,compact')
  assert.equal(await change(0, 'compact,delete'), 'compact,delete')
  const { responses } = await one.call(alterConfigsApi, 2, { resources: [{ resourceType: 2, resourceName: 't', configs: [] }] })
  assert.equal(responses[0].errorCode, 0)
  assert.equal(valuesOf(await describe(one, 't'))['cleanup.policy'], 'delete')
})

test('LogAppendTime: the answer and the stored batch have the time of the log', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  await create(one, 't', { 'message.timestamp.type': 'LogAppendTime' })
  const before = Date.now()
  const { errorCode, logAppendTimeMs } = await send(one, 't', batchOf(['a'], {}, 1_000))
  assert.equal(errorCode, 0)
  assert.ok(logAppendTimeMs >= before && logAppendTimeMs <= Date.now(), `${logAppendTimeMs}`)
  const topics = [{ topic: 't', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }]
  const { responses } = await one.call(fetchApi, 11, { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 20, topics })
  const { records } = responses[0].partitions[0]
  verifyBatch(records!, 0, records!.length)
  assert.equal([...readRecords(records!)][0].timestampMs, logAppendTimeMs)
  const asked = { name: 't', partitions: [{ partitionIndex: 0, timestamp: logAppendTimeMs }] }
  const found = await one.call(listOffsetsApi, 7, { topics: [asked] })
  assert.deepEqual([found.topics[0].partitions[0].offset, found.topics[0].partitions[0].timestamp], [0, logAppendTimeMs])
  await create(one, 'u')
  assert.equal((await send(one, 'u', batchOf(['a']))).logAppendTimeMs, -1)
})

test('what a record may not be is answered with its place in the batch', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  await create(one, 'compacted', { 'cleanup.policy': 'compact' })
  const noKey = await send(
    one,
    'compacted',
    keyedBatch([
      ['a', '1'],
      [null, '2'],
      ['b', '3'],
      [null, '4'],
    ]),
  )
  // All of them: the client sends the others again.
  const blamed = ({ recordErrors }: Awaited<ReturnType<typeof send>>) => recordErrors.map(({ batchIndex }) => batchIndex)
  assert.deepEqual([noKey.errorCode, noKey.baseOffset, blamed(noKey)], [ERROR.INVALID_RECORD, -1, [1, 3]])
  // Of very many the first ones.
  const many = await send(one, 'compacted', keyedBatch(Array.from({ length: 1_500 }, () => [null, 'x'] as const)))
  assert.deepEqual([many.recordErrors.length, many.recordErrors.at(-1)?.batchIndex], [1_000, 999])
  assert.equal((await send(one, 'compacted', keyedBatch([['a', '1']]))).errorCode, 0)
  await create(one, 'timely', { 'message.timestamp.before.max.ms': '60000' })
  const old = await send(one, 'timely', keyedBatch([['a', '1']], NOW_MS - 600_000))
  assert.deepEqual([old.errorCode, blamed(old)], [ERROR.INVALID_TIMESTAMP, [0]])
  const ahead = await send(one, 'timely', keyedBatch([['a', '1']], NOW_MS + 2 * 3_600_000))
  assert.equal(ahead.errorCode, ERROR.INVALID_TIMESTAMP)
  await create(one, 'small', { 'max.message.bytes': '500' })
  assert.equal((await send(one, 'small', batchOf(['x'.repeat(600)]))).errorCode, ERROR.MESSAGE_TOO_LARGE)
})

test('DeleteRecords moves the start, DescribeLogDirs tells the sizes', async (t) => {
  const { log, client } = await startTestBroker(t)
  const one = await client()
  await create(one, 't', { 'segment.bytes': '1024' })
  for (let i = 0; i < 10; i++) await send(one, 't', batchOf([`${i}`.padEnd(600)]))
  const remove = async (offset: number, partition = 0) => {
    const topics = [{ name: 't', partitions: [{ partitionIndex: partition, offset }] }]
    const answer = await one.call(deleteRecordsApi, 2, { topics, timeoutMs: 1_000 })
    return answer.topics[0].partitions[0]
  }
  const { lowWatermark } = await remove(4)
  assert.equal(lowWatermark, 4)
  assert.equal((await remove(2)).lowWatermark, 4)
  assert.equal((await remove(11)).errorCode, ERROR.OFFSET_OUT_OF_RANGE)
  assert.equal((await remove(0, 3)).errorCode, ERROR.UNKNOWN_TOPIC_OR_PARTITION)
  const dirs = async () => {
    const { results } = await one.call(describeLogDirsApi, 4, { topics: [{ topic: 't', partitions: [0] }] })
    assert.equal(results[0].errorCode, 0)
    assert.ok(results[0].totalBytes > results[0].usableBytes && results[0].usableBytes > 0)
    return results[0].topics[0].partitions[0].partitionSize
  }
  const before = await dirs()
  assert.equal(before, log.topic('t')!.partitions[0].sizeBytes)
  await log.enforceRetention()
  assert.ok((await dirs()) < before)
  assert.equal((await remove(-1)).lowWatermark, 10)
})
