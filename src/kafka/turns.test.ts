// Requests over very many partitions, in the thread of this test: the event loop goes on before they are answered. In the thread of the log's
// writer a turn of it writes and answers what was appended.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openLog, realDisk } from '../log/index.ts'
import { Broker, type RequestContext } from './broker.ts'
import { Groups } from './groups/coordinator.ts'
import { makeHandlers } from './handlers/index.ts'
import { kafkaLimits } from './limits.ts'
import { alterPartitionReassignmentsApi } from './messages/alterPartitionReassignments.ts'
import { alterReplicaLogDirsApi } from './messages/alterReplicaLogDirs.ts'
import { createTopicsApi } from './messages/createTopics.ts'
import { deleteRecordsApi } from './messages/deleteRecords.ts'
import { describeConfigsApi } from './messages/describeConfigs.ts'
import { describeProducersApi } from './messages/describeProducers.ts'
import { electLeadersApi } from './messages/electLeaders.ts'
import { fetchApi } from './messages/fetch.ts'
import { listOffsetsApi } from './messages/listOffsets.ts'
import { metadataApi } from './messages/metadata.ts'
import { offsetForLeaderEpochApi } from './messages/offsetForLeaderEpoch.ts'
import { produceApi } from './messages/produce.ts'
import { type Api, type Encodable, encodeMessage } from './schema.ts'
import { Security } from './security/security.ts'
import { batchOf, startTestBroker } from './testClient.ts'
import { Turns } from './turns.ts'
import { WireReader } from './wire.ts'

const COUNT = 50_000
/** An error takes longer. */
const ERROR_COUNT = 5_000
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const many = <T>(make: (i: number) => T, count = COUNT): T[] => Array.from({ length: count }, (_, i) => make(i))

async function startBroker(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-turns-'))
  const log = await openLog({ folder, durability: 'os' })
  const security = new Security({ log, disk: realDisk, tokens: undefined, isAlwaysRequired: false, isInsecure: true, superUsers: [] })
  const logger = { warn: () => {}, error: () => {} }
  const broker = new Broker({ log, logger, limits: kafkaLimits, autoCreateTopics: false, now: Date.now, security })
  const handlers = makeHandlers(broker, new Groups(broker))
  t.after(async () => {
    broker.close()
    await log.close()
    rmSync(folder, { recursive: true })
  })
  await log.createTopic('t', { partitionCount: 4 })
  for (let partition = 0; partition < 4; partition++) await log.append('t', partition, batchOf(['a']))
  const handle = async <Q, S>(api: Api<Q, S>, version: number, request: Encodable<Q>): Promise<S> => {
    const context = {
      version,
      clientId: '',
      clientHost: '',
      host: '',
      port: 0,
      signal: new AbortController().signal,
      may: () => true,
      afterAnswer: () => {},
      client: { name: '' },
      sasl: {},
      turns: new Turns(kafkaLimits.turnMs),
    } as unknown as RequestContext
    const message = api.request(version).decode(new WireReader(encodeMessage(api.request(version), request)))
    return (await handlers.get(api.key)!.handle(message as never, context)) as S
  }
  return { log, broker, handle }
}

test('others have their turn before a request over very many partitions is answered', async (t) => {
  const { handle } = await startBroker(t)
  const partitions = many((i) => i % 4)
  const numbered = many((i) => ({ partitionIndex: i % 4 }))
  const some = <T>(list: T[]) => list.slice(0, ERROR_COUNT)
  const requests: [name: string, work: () => Promise<unknown>][] = [
    [
      'ListOffsets',
      () => handle(listOffsetsApi, 7, { topics: [{ name: 't', partitions: numbered.map((one) => ({ ...one, timestamp: -1 })) }] }),
    ],
    ['ListOffsets of topics', () => handle(listOffsetsApi, 7, { topics: many(() => ({ name: 'none', partitions: [{}] }), ERROR_COUNT) })],
    [
      'OffsetForLeaderEpoch',
      () => handle(offsetForLeaderEpochApi, 4, { topics: [{ topic: 't', partitions: partitions.map((partition) => ({ partition })) }] }),
    ],
    ['DescribeProducers', () => handle(describeProducersApi, 0, { topics: [{ name: 'none', partitionIndexes: some(partitions) }] })],
    ['DeleteRecords', () => handle(deleteRecordsApi, 2, { topics: [{ name: 'none', partitions: some(numbered) }] })],
    ['ElectLeaders', () => handle(electLeadersApi, 2, { topicPartitions: [{ topic: 't', partitions: some(partitions) }] })],
    [
      'AlterPartitionReassignments',
      () =>
        handle(alterPartitionReassignmentsApi, 0, {
          topics: [{ name: 't', partitions: numbered.map((one) => ({ ...one, replicas: [1] })) }],
        }),
    ],
    [
      'AlterReplicaLogDirs',
      () => handle(alterReplicaLogDirsApi, 2, { dirs: [{ path: '/none', topics: [{ name: 't', partitions: some(partitions) }] }] }),
    ],
    ['Metadata', () => handle(metadataApi, 9, { topics: many(() => ({ name: 't' })) })],
    [
      'DescribeConfigs',
      () =>
        handle(describeConfigsApi, 4, {
          resources: many(() => ({ resourceType: 2, resourceName: 'none', configurationKeys: null }), ERROR_COUNT),
        }),
    ],
    [
      'Fetch',
      () =>
        handle(fetchApi, 12, {
          maxWaitMs: 0,
          sessionEpoch: -1,
          topics: [{ topic: 't', partitions: partitions.map((partition) => ({ partition, fetchOffset: 1, partitionMaxBytes: 1_000 })) }],
        }),
    ],
  ]
  for (const [name, work] of requests) {
    const done = work()
    const first = await Promise.race([done.then(() => 'the request'), turn().then(() => 'others')])
    assert.equal(first, 'others', name)
    await done
  }
})

test('others have their turn while a fetch begins to wait for very many partitions, and while it reads them', async (t) => {
  const { log, broker, handle } = await startBroker(t)
  const { readers } = broker
  /** Whether the event loop went on between the first and the last call of the reader pool. */
  const hadTurnAtLast = async (name: 'watch' | 'readAll', count: number, work: () => Promise<unknown>, onLast = () => {}) => {
    const call = readers[name].bind(readers) as (...args: unknown[]) => never
    let calls = 0
    let hadTurn = false
    let atLast: boolean | undefined
    Object.assign(readers, {
      [name]: (...args: unknown[]) => {
        if (++calls === 1) {
          void turn().then(() => {
            hadTurn = true
          })
        }
        const given = call(...args)
        if (calls === count) {
          atLast = hadTurn
          onLast()
        }
        return given
      },
    })
    await work()
    return atLast
  }
  const fetch = (fetchOffset: number, count: number) =>
    handle(fetchApi, 12, {
      maxWaitMs: 60_000,
      minBytes: 1,
      maxBytes: 1 << 30,
      sessionEpoch: -1,
      topics: [{ topic: 't', partitions: many((i) => ({ partition: i % 4, fetchOffset, partitionMaxBytes: 1_000 }), count) }],
    })
  const news = () => void log.append('t', 3, batchOf(['c']))
  assert.equal(await hadTurnAtLast('watch', COUNT, () => fetch(1, COUNT), news), true)
  const { responses } = await fetch(0, 64)
  assert.ok(responses[0].partitions.every(({ records }) => records!.length > 0))
  assert.equal(await hadTurnAtLast('readAll', 80, () => fetch(0, 64 * 80)), true)
})

test('a fetch of many partitions gives what has room: of a later piece not even one batch more', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  await one.call(createTopicsApi, 5, { topics: [{ name: 't', numPartitions: 66, replicationFactor: 1 }], timeoutMs: 1_000 })
  const small = batchOf(['a'])
  const large = batchOf(['b'.repeat(10_000)])
  const batches = many((i) => (i === 64 ? large : small), 66)
  const topicData = [{ name: 't', partitionData: batches.map((records, index) => ({ index, records })) }]
  await one.call(produceApi, 9, { acks: -1, timeoutMs: 1_000, topicData })
  const fetch = async (maxBytes: number) => {
    const partitions = many((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1_000 }), 66)
    const { responses } = await one.call(fetchApi, 12, {
      maxWaitMs: 1,
      minBytes: 1,
      maxBytes,
      sessionEpoch: -1,
      topics: [{ topic: 't', partitions }],
    })
    return responses[0].partitions.map(({ records }) => records!.length)
  }
  assert.deepEqual(
    await fetch(64 * small.length + 100),
    many((i) => (i < 64 ? small.length : 0), 66),
  )
  assert.deepEqual(
    (await fetch(1 << 20)).slice(0, 64),
    many(() => small.length, 64),
  )
})
