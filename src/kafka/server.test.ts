import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { batchHeaderOf, batchSizeOf, crc32c, encodeHeaders, Lz4BatchBuilder, readRecords, recompressed } from '../log/index.ts'
import { ERROR } from './errors.ts'
import { startKafka } from './index.ts'
import { apiVersionsApi } from './messages/apiVersions.ts'
import { createPartitionsApi } from './messages/createPartitions.ts'
import { createTopicsApi } from './messages/createTopics.ts'
import { deleteRecordsApi } from './messages/deleteRecords.ts'
import { deleteTopicsApi } from './messages/deleteTopics.ts'
import { describeConfigsApi } from './messages/describeConfigs.ts'
import { describeTopicPartitionsApi } from './messages/describeTopicPartitions.ts'
import { fetchApi } from './messages/fetch.ts'
import { incrementalAlterConfigsApi } from './messages/incrementalAlterConfigs.ts'
import { initProducerIdApi } from './messages/initProducerId.ts'
import { listOffsetsApi } from './messages/listOffsets.ts'
import { metadataApi } from './messages/metadata.ts'
import { produceApi } from './messages/produce.ts'
import { connectionsMax } from './server.ts'
import { batchOf, requestFrame, startTestBroker, type TestClient } from './testClient.ts'

const produce = (topic: string, batch: Uint8Array | null, { acks = -1, partition = 0 } = {}) => ({
  acks,
  timeoutMs: 1_000,
  topicData: [{ name: topic, partitionData: [{ index: partition, records: batch }] }],
})
async function send(client: TestClient, topic: string, batch: Uint8Array | null, version = 9, partition = 0) {
  const { responses } = await client.call(produceApi, version, produce(topic, batch, { partition }))
  return responses[0].partitionResponses[0]
}
const fetchOf = (topic: string, offset: number, more: object = {}) => ({
  maxWaitMs: 0,
  minBytes: 1,
  maxBytes: 1 << 20,
  topics: [{ topic, partitions: [{ partition: 0, fetchOffset: offset, partitionMaxBytes: 1 << 20 }] }],
  ...more,
})
const valuesOf = (records: Uint8Array | null, from = 0) =>
  [...readRecords(records!, 0, records!.length, from)].map(({ value }) => Buffer.from(value!).toString())

test('ApiVersions: every version, and one from the future is answered with what is known', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  for (let version = 0; version <= 4; version++) {
    const { errorCode, apiKeys } = await one.call(apiVersionsApi, version, { clientSoftwareName: 'test', clientSoftwareVersion: '1' })
    assert.equal(errorCode, 0)
    const produceRange = apiKeys.find(({ apiKey }) => apiKey === 0)
    assert.deepEqual(produceRange, { apiKey: 0, minVersion: 0, maxVersion: 13 })
  }
  const answered = new Promise<Buffer>((resolve) => one.socket.once('data', resolve))
  one.socket.write(Buffer.from('0000000e00120063000000090004746573', 'hex').subarray(0, 4))
  one.socket.write(Buffer.from('001200630000000900047465' + '7374', 'hex'))
  const bytes = await answered
  assert.equal(bytes.readInt32BE(4), 9)
  assert.equal(bytes.readInt16BE(8), ERROR.UNSUPPORTED_VERSION)
  // The versions of ApiVersions that there are, and no other API.
  assert.equal(bytes.subarray(10).toString('hex'), '00000001' + '0012' + '0000' + '0004')
})

test('what is produced is fetched, by name and by id, and the log has it', async (t) => {
  const { log, client } = await startTestBroker(t)
  const one = await client()
  const { topics } = await one.call(metadataApi, 12, { topics: [{ name: 'clicks' }], allowAutoTopicCreation: true })
  assert.equal(topics[0].errorCode, 0)
  const { topicId } = topics[0]
  for (let version = 3; version <= 12; version++) {
    const { errorCode, baseOffset } = await send(one, 'clicks', batchOf([`a${version}`, `b${version}`]), version)
    assert.deepEqual([errorCode, baseOffset], [0, (version - 3) * 2])
  }
  assert.equal(log.topic('clicks')!.partitions[0].endOffset, 20)
  for (let version = 4; version <= 17; version++) {
    const byId = version >= 13
    const request = fetchOf('clicks', 15)
    if (byId) Object.assign(request.topics[0], { topicId, topic: undefined })
    const { responses } = await one.call(fetchApi, version, request)
    const [{ records, highWatermark, lastStableOffset }] = responses[0].partitions
    assert.deepEqual([highWatermark, lastStableOffset], [20, 20])
    assert.deepEqual(valuesOf(records, 15).slice(0, 2), ['b10', 'a11'])
  }
  // As with Kafka since 4.0: a consumer of version 9 may know zstd, and one that does not says so itself.
  await log.createTopic('packed', { 'compression.type': 'zstd' })
  await send(one, 'packed', batchOf(['x']), 9)
  const { responses } = await one.call(fetchApi, 9, fetchOf('packed', 0))
  const [{ errorCode, records }] = responses[0].partitions
  assert.deepEqual([errorCode, batchHeaderOf(records!, 0).codec], [ERROR.NONE, 4])
})

test('errors are those of Kafka, partition by partition', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  await one.call(createTopicsApi, 5, {
    topics: [{ name: 'c', numPartitions: 2, replicationFactor: 1, configs: [{ name: 'max.message.bytes', value: '200' }] }],
  })
  const code = async (batch: Uint8Array | null, partition = 0, version = 9) => (await send(one, 'c', batch, version, partition)).errorCode
  const broken = (change: (batch: Buffer) => void) => {
    const batch = Buffer.from(batchOf(['x']))
    change(batch)
    return batch
  }
  const microseconds = broken((batch) => {
    batch.writeBigInt64BE(1_700_000_000_000_000n, 27)
    batch.writeBigInt64BE(1_700_000_000_000_000n, 35)
    batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
  })
  assert.equal(await code(batchOf(['x']), 2), ERROR.UNKNOWN_TOPIC_OR_PARTITION)
  assert.equal(await code(null), ERROR.INVALID_RECORD)
  assert.equal(await code(broken((batch) => batch.writeUInt8(1, 16))), ERROR.INVALID_RECORD)
  assert.equal(await code(Buffer.concat([batchOf(['x']), batchOf(['y'])])), ERROR.INVALID_RECORD)
  assert.equal(await code(broken((batch) => batch.writeUInt8(0x99, 65))), ERROR.CORRUPT_MESSAGE)
  assert.equal(await code(broken((batch) => batch.writeInt16BE(5, 21))), ERROR.UNSUPPORTED_COMPRESSION_TYPE)
  assert.equal(
    await code(
      broken((batch) => batch.writeInt16BE(4, 21)),
      0,
      6,
    ),
    ERROR.UNSUPPORTED_COMPRESSION_TYPE,
  )
  // In microseconds: Kafka says of it what it says of a clock that is wrong.
  assert.equal(await code(batchOf(['x'], {}, 2 ** 50 - 1)), ERROR.INVALID_TIMESTAMP)
  assert.equal(await code(microseconds), ERROR.INVALID_TIMESTAMP)
  assert.equal(await code(batchOf(['x'.repeat(300)])), ERROR.MESSAGE_TOO_LARGE)
  assert.equal(await code(batchOf(['x'], { attributes: 0x20 })), ERROR.INVALID_RECORD)
  // Whole by its CRC, and its records cannot be read: it would stop every reader of the topic.
  const unreadable = (codec: number) =>
    broken((batch) => {
      batch.writeInt16BE(codec, 21)
      batch.writeUInt8(0x7f, 61)
      batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
    })
  for (let codec = 0; codec <= 4; codec++) assert.equal(await code(unreadable(codec)), ERROR.INVALID_RECORD, `codec ${codec}`)
  assert.equal(await code(batchOf(['x'])), 0)
  const { responses } = await one.call(produceApi, 9, produce('c', batchOf(['x']), { acks: 2 }))
  assert.equal(responses[0].partitionResponses[0].errorCode, ERROR.INVALID_REQUIRED_ACKS)
  const fetched = await one.call(fetchApi, 12, fetchOf('c', 99))
  assert.equal(fetched.responses[0].partitions[0].errorCode, ERROR.OFFSET_OUT_OF_RANGE)
  const unknown = await one.call(metadataApi, 12, { topics: [{ name: 'nope' }], allowAutoTopicCreation: false })
  assert.equal(unknown.topics[0].errorCode, ERROR.UNKNOWN_TOPIC_OR_PARTITION)
  for (const allowAutoTopicCreation of [true, false]) {
    const badName = await one.call(metadataApi, 12, { topics: [{ name: 'a/b' }], allowAutoTopicCreation })
    assert.equal(badName.topics[0].errorCode, ERROR.INVALID_TOPIC_EXCEPTION)
  }
  const described = await one.call(describeTopicPartitionsApi, 0, { topics: [{ name: 'a/b' }, { name: 'nope' }] })
  assert.deepEqual(
    described.topics.map(({ errorCode }) => errorCode),
    [ERROR.INVALID_TOPIC_EXCEPTION, ERROR.UNKNOWN_TOPIC_OR_PARTITION],
  )
})

test('an idempotent producer: a batch sent again has its old offset, a gap is refused, another epoch fences', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('c')
  const one = await client()
  const { producerId, producerEpoch } = await one.call(initProducerIdApi, 4, { transactionalId: null })
  const other = await one.call(initProducerIdApi, 4, { transactionalId: null })
  assert.equal(other.producerId, producerId + 1)
  const answers = [0, 1, 1, 0, 3].map((baseSequence) =>
    send(one, 'c', batchOf([`${baseSequence}`], { producerId, producerEpoch, baseSequence })),
  )
  assert.deepEqual(
    (await Promise.all(answers)).map(({ errorCode, baseOffset }) => [errorCode, baseOffset]),
    [
      [0, 0],
      [0, 1],
      [0, 1],
      [0, 0],
      [ERROR.OUT_OF_ORDER_SEQUENCE_NUMBER, -1],
    ],
  )
  await send(one, 'c', batchOf(['x'], { producerId, producerEpoch: 1, baseSequence: 0 }))
  const fenced = await send(one, 'c', batchOf(['x'], { producerId, producerEpoch: 0, baseSequence: 2 }))
  assert.equal(fenced.errorCode, ERROR.INVALID_PRODUCER_EPOCH)
  const transactional = await one.call(initProducerIdApi, 4, { transactionalId: 'tx' })
  assert.equal(transactional.errorCode, ERROR.INVALID_TRANSACTION_TIMEOUT)
  const nameless = await one.call(initProducerIdApi, 4, { transactionalId: '', transactionTimeoutMs: 60_000 })
  assert.equal(nameless.errorCode, ERROR.INVALID_REQUEST)
})

test('pipelined requests are answered in order, acks=0 not at all, and a failed one closes the connection', async (t) => {
  const { log, client, lines } = await startTestBroker(t)
  await log.createTopic('c')
  const one = await client()
  const answers: Promise<number>[] = []
  for (let i = 0; i < 200; i++) {
    if (i % 10 === 3)
      for (const part of requestFrame(produceApi, 9, 0, produce('c', batchOf(['silent']), { acks: 0 }))) one.socket.write(part)
    if (i % 7 === 0) answers.push(one.call(metadataApi, 9, { topics: null }).then(() => -1))
    else answers.push(send(one, 'c', batchOf([`${i}`])).then(({ baseOffset }) => baseOffset))
  }
  const offsets = (await Promise.all(answers)).filter((offset) => offset >= 0)
  assert.deepEqual(
    offsets,
    offsets.toSorted((a, b) => a - b),
  )
  assert.equal(log.topic('c')!.partitions[0].endOffset, 20 + offsets.length)
  for (const part of requestFrame(produceApi, 9, 0, produce('missing', batchOf(['x']), { acks: 0 }))) one.socket.write(part)
  await one.closed()
  assert.equal(lines.length, 1)
})

for (const [what, bytes] of [
  ['no API', '0000000c 03e7 0000 00000001 00017800'],
  ['no Metadata', '0000000e 0003 0001 00000001 ffff 7fffffff'],
  ['no frame', '7fffffff 0003 0009'],
]) {
  test(`what was asked before ${what} is answered, what is behind it is not taken`, async (t) => {
    const { log, client, lines } = await startTestBroker(t)
    await log.createTopic('c')
    const one = await client()
    const bad = Buffer.from(bytes.replaceAll(' ', ''), 'hex')
    const append = (id: number) => requestFrame(produceApi, 9, id, produce('c', batchOf([`${id}`])))
    const frames = (id: number) => [...append(id), ...requestFrame(metadataApi, 9, id + 1, { topics: null }), ...append(id + 2)]
    const received: Buffer[] = []
    one.socket.on('data', (chunk: Buffer) => received.push(chunk))
    one.socket.write(Buffer.concat([...frames(1), bad, ...frames(4)]))
    await one.closed()
    const all = Buffer.concat(received)
    const ids: number[] = []
    for (let at = 0; at < all.length; at += 4 + all.readInt32BE(at)) ids.push(all.readInt32BE(at + 4))
    assert.deepEqual(ids, [1, 2, 3])
    assert.equal(log.topic('c')!.partitions[0].endOffset, 2)
    assert.equal(lines.length, 1)
  })
}

test('a request that waits does not keep a connection on which bytes came that are no request', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('c')
  const one = await client()
  const waiting = requestFrame(fetchApi, 12, 1, { ...fetchOf('c', 0), maxWaitMs: 60_000, minBytes: 1 })
  one.socket.write(Buffer.concat([...waiting, Buffer.from('7fffffff00030009', 'hex')]))
  await one.closed()
})

test('a fetch waits for records, but not beyond its time', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('c')
  const [one, two] = [await client(), await client()]
  const startMs = performance.now()
  const empty = await one.call(fetchApi, 12, fetchOf('c', 0, { maxWaitMs: 120 }))
  assert.equal(empty.responses[0].partitions[0].records!.length, 0)
  assert.ok(performance.now() - startMs >= 115)
  const waiting = one.call(fetchApi, 12, fetchOf('c', 0, { maxWaitMs: 20_000 }))
  await sleep(30)
  await send(two, 'c', batchOf(['now']))
  assert.deepEqual(valuesOf((await waiting).responses[0].partitions[0].records), ['now'])
  assert.ok(performance.now() - startMs < 5_000)
})

test('a fetch keeps to its limits, but gives one batch at least', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('c')
  await log.createTopic('d')
  const one = await client()
  const batch = batchOf(['x'.repeat(1_000)])
  for (let i = 0; i < 5; i++) for (const topic of ['c', 'd']) await send(one, topic, Uint8Array.from(batch))
  const sizes = async (maxBytes: number, partitionMaxBytes: number) => {
    const topics = ['c', 'd'].map((topic) => ({ topic, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes }] }))
    const { responses } = await one.call(fetchApi, 12, { maxWaitMs: 0, minBytes: 1, maxBytes, topics })
    return responses.map(({ partitions }) => partitions[0].records!.length / batch.length)
  }
  assert.deepEqual(await sizes(1, 1), [1, 0])
  assert.deepEqual(await sizes(1 << 20, batch.length * 3 + 10), [3, 3])
  assert.deepEqual(await sizes(batch.length * 4, 1 << 20), [4, 0])
  assert.deepEqual(await sizes(batch.length * 7, 1 << 20), [5, 2])
})

test('a fetch that wants more bytes than limits let through does not wait for them', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('c')
  const [one, two] = [await client(), await client()]
  const batch = batchOf(['x'.repeat(100_000)])
  const fetched = async (offset: number, minBytes: number, partitionMaxBytes: number) => {
    const topics = [{ topic: 'c', partitions: [{ partition: 0, fetchOffset: offset, partitionMaxBytes }] }]
    const { responses } = await one.call(fetchApi, 12, { maxWaitMs: 20_000, minBytes, maxBytes: 50 << 20, topics })
    return responses[0].partitions[0].records!.length / batch.length
  }
  const startMs = performance.now()
  // What was just written: the thread that writes the log reads little of it at a time.
  const waiting = fetched(0, 250_000, 1 << 20)
  await sleep(30)
  await Promise.all([1, 2, 3].map(() => send(two, 'c', Uint8Array.from(batch))))
  assert.ok((await waiting) >= 1)
  assert.ok((await fetched(0, 250_000, 250_000)) >= 1)
  assert.ok(performance.now() - startMs < 10_000)
})

test('what HTTP brought in LZ4 comes without it to a client that is not known to read LZ4; what a producer sent comes as it was', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('c')
  const headers = encodeHeaders(
    [
      ['source', Buffer.from('http')],
      ['id', Buffer.from('0123456789')],
      ['trace_id', Buffer.from('x'.repeat(32))],
    ],
    'id',
  )
  const builder = new Lz4BatchBuilder()
  for (let i = 0; i < 30; i++) builder.appendRecord(null, Buffer.from(`a${i}`), 0, `a${i}`.length, headers, 1_000 + i)
  const built = builder.finish().slice()
  const sent = recompressed(batchOf(['b0', 'b1']), 3)
  const [nobody, known] = [await client(), await client()]
  await known.call(apiVersionsApi, 3, { clientSoftwareName: 'librdkafka', clientSoftwareVersion: '2.4.0' })
  for (const batch of [built, sent, built]) await log.append('c', 0, batch.slice())
  const fetched = async (one: TestClient, partitionMaxBytes = 1 << 20, offset = 0) => {
    const topics = [{ topic: 'c', partitions: [{ partition: 0, fetchOffset: offset, partitionMaxBytes }] }]
    const { responses } = await one.call(fetchApi, 12, { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 20, topics })
    const records = responses[0].partitions[0].records!
    const codecs: number[] = []
    for (let at = 0; at < records.length; at += batchSizeOf(records, at)) codecs.push(batchHeaderOf(records, at).codec)
    return { codecs, values: valuesOf(records, offset) }
  }
  const as = Array.from({ length: 30 }, (_, i) => `a${i}`)
  assert.deepEqual(await fetched(known), { codecs: [3, 3, 3], values: [...as, 'b0', 'b1', ...as] })
  assert.deepEqual(await fetched(nobody), { codecs: [0, 3, 0], values: [...as, 'b0', 'b1', ...as] })
  // Without compression they may be more than the client asked for: then the rest comes with the next fetch.
  const limit = recompressed(built, 0).length + sent.length + 10
  assert.ok(built.length * 2 + sent.length <= limit, 'as they are stored all three fit')
  const few = await fetched(nobody, limit)
  assert.deepEqual(few, { codecs: [0, 3], values: [...as, 'b0', 'b1'] })
  assert.deepEqual(await fetched(nobody, 1, 32), { codecs: [0], values: as })
})

test('a fetch session names its partitions once and answers only what is new', async (t) => {
  const { log, client } = await startTestBroker(t)
  for (const topic of ['c', 'd']) await log.createTopic(topic)
  const one = await client()
  const topics = ['c', 'd'].map((topic) => ({ topic, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }))
  const common = { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 20 }
  const first = await one.call(fetchApi, 12, { ...common, sessionEpoch: 0, topics })
  assert.equal(first.responses.length, 2)
  const { sessionId } = first
  assert.notEqual(sessionId, 0)
  const next = (sessionEpoch: number, more: object = {}) =>
    one.call(fetchApi, 12, { ...common, sessionId, sessionEpoch, topics: [], ...more })
  assert.equal((await next(1)).responses.length, 0)
  await send(one, 'd', batchOf(['x']))
  const news = await next(2)
  assert.deepEqual(
    news.responses.map(({ topic }) => topic),
    ['d'],
  )
  assert.equal((await next(2)).errorCode, ERROR.INVALID_FETCH_SESSION_EPOCH)
  const forgetting = await next(3, { forgottenTopicsData: [{ topic: 'd', partitions: [0] }] })
  assert.equal(forgetting.responses.length, 0)
  // What a consumer ends with names nothing: nothing can come, however long it would wait.
  const ended = one.call(fetchApi, 12, { ...common, maxWaitMs: 2 ** 31 - 1, sessionId, sessionEpoch: -1, topics: [] })
  assert.equal((await ended).errorCode, 0)
  const two = await client()
  const stolen = await two.call(fetchApi, 12, { ...common, sessionId, sessionEpoch: 4, topics: [] })
  assert.equal(stolen.errorCode, ERROR.FETCH_SESSION_ID_NOT_FOUND)
})

test('offsets: earliest, latest, by time, of the greatest timestamp; records can be deleted, and stay so', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('c')
  const one = await client()
  for (const timestampMs of [1_000, 5_000, 3_000]) await send(one, 'c', batchOf(['x', 'y'], {}, timestampMs))
  const ask = async (version: number, timestamp: number) => {
    const { topics } = await one.call(listOffsetsApi, version, { topics: [{ name: 'c', partitions: [{ partitionIndex: 0, timestamp }] }] })
    return topics[0].partitions[0]
  }
  const list = async (timestamp: number) => {
    const { offset, timestamp: found, errorCode } = await ask(7, timestamp)
    assert.equal(errorCode, 0)
    return [offset, found]
  }
  // Times below 0 have a meaning from some version on; -7 has none.
  for (const [timestamp, since] of [
    [-3, 7],
    [-4, 8],
    [-5, 9],
    [-6, 11],
    [-7, 12],
  ] as const) {
    for (let version = 1; version <= 11; version++) {
      assert.equal((await ask(version, timestamp)).errorCode, version < since ? ERROR.UNSUPPORTED_VERSION : 0, `${timestamp} v${version}`)
    }
  }
  assert.deepEqual(await list(-1), [6, -1])
  assert.deepEqual(await list(-2), [0, -1])
  assert.deepEqual(await list(-3), [2, 5_000])
  assert.deepEqual(await list(2_000), [2, 5_000])
  assert.deepEqual(await list(6_000), [-1, -1])
  const cut = await one.call(deleteRecordsApi, 2, {
    topics: [
      {
        name: 'c',
        partitions: [
          { partitionIndex: 0, offset: 3 },
          { partitionIndex: 0, offset: 7 },
        ],
      },
    ],
  })
  assert.deepEqual(
    cut.topics[0].partitions.map(({ errorCode, lowWatermark }) => [errorCode, lowWatermark]),
    [
      [0, 3],
      [ERROR.OFFSET_OUT_OF_RANGE, -1],
    ],
  )
  assert.deepEqual(await list(-2), [3, -1])
  assert.deepEqual(await list(0), [3, 5_000])
  const gone = await one.call(fetchApi, 12, fetchOf('c', 2))
  assert.equal(gone.responses[0].partitions[0].errorCode, ERROR.OFFSET_OUT_OF_RANGE)
})

test('topics: created, described, altered, grown, deleted', async (t) => {
  const { log, client } = await startTestBroker(t)
  const one = await client()
  const create = async (name: string, more: object) => {
    const { topics } = await one.call(createTopicsApi, 7, { topics: [{ name, numPartitions: -1, replicationFactor: -1, ...more }] })
    return topics[0].errorCode
  }
  assert.equal(await create('c', { numPartitions: 3, configs: [{ name: 'retention.ms', value: '60000' }] }), 0)
  assert.equal(await create('c', {}), ERROR.TOPIC_ALREADY_EXISTS)
  assert.equal(await create('d', { replicationFactor: 3 }), ERROR.INVALID_REPLICATION_FACTOR)
  assert.equal(await create('d', { numPartitions: 0 }), ERROR.INVALID_PARTITIONS)
  assert.equal(await create('d', { numPartitions: 1_025 }), ERROR.INVALID_PARTITIONS)
  assert.equal(await create('d', { configs: [{ name: 'retention.ms', value: null }] }), ERROR.INVALID_CONFIG)
  assert.equal(await create('__cluster_metadata', {}), ERROR.INVALID_REQUEST)
  assert.equal(await create('d', { configs: [{ name: 'no.such', value: '1' }] }), ERROR.INVALID_CONFIG)
  assert.equal(await create('d', { configs: [{ name: 'compression.type', value: 'brotli' }] }), ERROR.INVALID_CONFIG)
  assert.equal(
    await create('e', {
      configs: [
        { name: 'flush.ms', value: '10' },
        { name: 'retention.ms', value: '9223372036854775807' },
      ],
    }),
    0,
  )
  const describe = async (name: string) => {
    const { results } = await one.call(describeConfigsApi, 4, {
      resources: [{ resourceType: 2, resourceName: name, configurationKeys: null }],
    })
    return Object.fromEntries(results[0].configs.map((config) => [config.name, config.value]))
  }
  assert.equal((await describe('c'))['retention.ms'], '60000')
  const altered = await one.call(incrementalAlterConfigsApi, 1, {
    resources: [
      {
        resourceType: 2,
        resourceName: 'c',
        configs: [
          { name: 'retention.ms', configOperation: 1, value: null },
          { name: 'segment.bytes', configOperation: 0, value: '1000000' },
        ],
      },
      { resourceType: 2, resourceName: 'e', configs: [{ name: 'segment.bytes', configOperation: 0, value: 'many' }] },
    ],
  })
  assert.deepEqual(
    altered.responses.map(({ errorCode }) => errorCode),
    [0, ERROR.INVALID_CONFIG],
  )
  assert.deepEqual([(await describe('c'))['retention.ms'], (await describe('c'))['segment.bytes']], ['604800000', '1000000'])
  const grown = await one.call(createPartitionsApi, 3, {
    topics: [
      { name: 'c', count: 5, assignments: null },
      { name: 'e', count: 1, assignments: null },
    ],
  })
  assert.deepEqual(
    grown.results.map(({ errorCode }) => errorCode),
    [0, ERROR.INVALID_PARTITIONS],
  )
  assert.equal(log.topic('c')!.partitions.length, 5)
  const either = { name: 'c', topicId: log.topicId('e')! }
  const neither = { name: null, topicId: undefined }
  for (const topics of [[either], [neither], [{ name: 'c' }, { name: 'c' }], [{ name: 'e' }, { name: null, topicId: log.topicId('e')! }]]) {
    const { responses } = await one.call(deleteTopicsApi, 6, { topics })
    assert.ok(responses.every(({ errorCode }) => errorCode === ERROR.INVALID_REQUEST))
  }
  const deleted = await one.call(deleteTopicsApi, 5, { topicNames: ['c', 'nope'] })
  assert.deepEqual(
    deleted.responses.map(({ errorCode }) => errorCode),
    [0, ERROR.UNKNOWN_TOPIC_OR_PARTITION],
  )
  assert.equal(log.topic('c'), undefined)
})

test('bytes that are no request end their own connection, with a line in the log, and no other', async (t) => {
  const { kafka, client, lines } = await startTestBroker(t)
  const good = await client()
  const bad = [
    '7fffffff00030009', // 2 GB
    'ffffffff00030009', // a negative length
    '0000000300000000', // shorter than a header
    '474554202f20485454502f312e310d0a', // HTTP
    '16030100c8010000c40303', // TLS
    '0000000c 03e7 0000 00000001 00017800'.replaceAll(' ', ''), // an API that is not known
    '0000000c 0003 0063 00000001 00017800'.replaceAll(' ', ''), // a version that is not known
    '0000000e 0003 0001 00000001 ffff 7fffffff'.replaceAll(' ', ''), // two billion topics
    '00000012 0000 0003 00000001 ffff 7fff ffff 0000'.replaceAll(' ', '') + '0000', // a string beyond the end
  ]
  for (const bytes of bad) {
    const one = await client()
    one.socket.write(Buffer.from(bytes, 'hex'))
    await one.closed()
    assert.equal(lines.length, 1, bytes)
    lines.length = 0
  }
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async (noise) => {
      const socket = connect({ host: '127.0.0.1', port: kafka.port })
      const closed = new Promise((resolve) => socket.once('close', resolve))
      socket.on('error', () => {})
      // Half of it looks like a frame of an API that exists.
      const frame = Buffer.concat([Buffer.from([0, 0, 0, noise.length]), Buffer.from([0, noise[0] % 70]), noise])
      socket.end(noise[0] % 2 === 0 ? frame : noise)
      socket.resume()
      await closed
    }),
    { numRuns: 150 },
  )
  const { errorCode } = await good.call(apiVersionsApi, 0, {})
  assert.equal(errorCode, 0)
})

test('frames arrive whole however they are cut', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('c')
  const one = await client()
  const frames: Uint8Array[] = []
  for (let i = 0; i < 4; i++) frames.push(...requestFrame(produceApi, 9, 0, produce('c', batchOf([`${i}`, 'x'.repeat(300)]), { acks: 0 })))
  const bytes = Buffer.concat(frames)
  one.socket.setNoDelay(true)
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + ((at * 7) % 97)
    one.socket.write(bytes.subarray(at, at + size))
    at += size
    await sleep(0)
  }
  await one.call(apiVersionsApi, 0, {})
  const records = (await log.readMessages('c', { fromOffset: 0 })).map(({ value }) => String(value))
  assert.deepEqual(
    records.filter((_, i) => i % 2 === 0),
    ['0', '1', '2', '3'],
  )
})

test('a client that does not read is not read from either, and costs no more than its answers', async (t) => {
  const { log, client } = await startTestBroker(t, { limits: { fetchBytes: 1 << 20, idleMs: 400 } })
  await log.createTopic('c')
  const [slow, good] = [await client(), await client()]
  for (let i = 0; i < 20; i++) await send(good, 'c', batchOf(['x'.repeat(500_000)]))
  slow.socket.pause()
  const frame = Buffer.concat(requestFrame(fetchApi, 12, 1, fetchOf('c', 0)))
  let sent = 0
  while (slow.socket.write(frame) && sent < 2_000) sent++
  for (let i = 0; i < 4; i++) {
    await sleep(150)
    assert.equal((await good.call(apiVersionsApi, 0, {})).errorCode, 0)
  }
  slow.socket.resume()
  await slow.closed()
})

test('connections leave half of the files that may be open to the log', () => {
  assert.equal(connectionsMax(10_000, 1_024), 512)
  assert.equal(connectionsMax(20_000, 20_000), 11_808)
  assert.equal(connectionsMax(10_000, 1_048_576), 10_000)
  assert.equal(connectionsMax(10_000, Number.POSITIVE_INFINITY), 10_000)
})

test('connections beyond the limit are closed, and a port in use is a typed error', async (t) => {
  const { log, kafka, client } = await startTestBroker(t, { limits: { connections: 2 } })
  const [one, two] = [await client(), await client()]
  for (const each of [one, two]) assert.equal((await each.call(apiVersionsApi, 0, {})).errorCode, 0)
  await (await client()).closed()
  const logger = { warn() {}, error() {} }
  await assert.rejects(startKafka({ log, logger, port: kafka.port }), { code: 'KAFKA_PORT_IN_USE' })
  await assert.rejects(startKafka({ log, logger, host: '0.0.0.0' }), { code: 'KAFKA_HOST_NOT_LOOPBACK' })
})
