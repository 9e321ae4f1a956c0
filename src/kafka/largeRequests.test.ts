// Requests that name a thousand topics or partitions: what they look at grows with what they name, and not with its square.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { openTransactions } from '../log/index.ts'
import { ERROR } from './errors.ts'
import { Offsets } from './groups/offsets.ts'
import { addPartitionsToTxnApi } from './messages/addPartitionsToTxn.ts'
import { createTopicsApi } from './messages/createTopics.ts'
import { deleteRecordsApi } from './messages/deleteRecords.ts'
import { initProducerIdApi } from './messages/initProducerId.ts'
import { metadataApi } from './messages/metadata.ts'
import { offsetCommitApi } from './messages/offsetCommit.ts'
import { offsetForLeaderEpochApi } from './messages/offsetForLeaderEpoch.ts'
import { startTestBroker } from './testClient.ts'

const COUNT = 100
const each = <T>(make: (i: number) => T): T[] => Array.from({ length: COUNT }, (_, i) => make(i))

test('all topics, and all partitions of one, are looked at once for a request at most', async (t) => {
  // In this thread, where calls can be counted.
  const { client, log } = await startTestBroker(t, { now: Date.now })
  const one = await client()
  await log.createTopic('t', { partitionCount: COUNT })
  await log.createTopic('a.b')
  let looks = 0
  for (const name of ['topics', 'topic'] as const) {
    const look = log[name].bind(log) as (...args: unknown[]) => never
    Object.assign(log, {
      [name]: (...args: unknown[]) => {
        looks++
        return look(...args)
      },
    })
  }
  const looksOf = async (request: Promise<unknown>): Promise<number> => {
    looks = 0
    await request
    return looks
  }
  const topics = [...each((i) => ({ name: `n${i}`, numPartitions: 1, replicationFactor: 1 })), { name: 'a_b', numPartitions: 1 }]
  const creating = one.call(createTopicsApi, 7, { topics, timeoutMs: 1_000, validateOnly: true })
  assert.ok((await looksOf(creating)) <= 1)
  const codes = (await creating).topics.map(({ errorCode }) => errorCode)
  assert.deepEqual(codes, [...each(() => 0), ERROR.INVALID_TOPIC_EXCEPTION])

  const unknown = each(() => ({ topicId: randomUUID(), name: null }))
  assert.equal(await looksOf(one.call(metadataApi, 12, { topics: unknown })), 0)

  const commit = each((partitionIndex) => ({ partitionIndex, committedOffset: 0, committedMetadata: '' }))
  const committing = one.call(offsetCommitApi, 8, {
    groupId: 'g',
    generationIdOrMemberEpoch: -1,
    topics: [{ name: 't', partitions: commit }],
  })
  // And whether the topic of offsets is there.
  assert.ok((await looksOf(committing)) <= 3)
  assert.ok((await committing).topics[0].partitions.every(({ errorCode }) => errorCode === 0))

  const epochs = each((partition) => ({ partition, leaderEpoch: 0 }))
  assert.equal(await looksOf(one.call(offsetForLeaderEpochApi, 4, { topics: [{ topic: 't', partitions: epochs }] })), 1)
  const { producerId, producerEpoch } = await one.call(initProducerIdApi, 5, { transactionalId: 'x', transactionTimeoutMs: 60_000 })
  const added = { transactionalId: 'x', producerId, producerEpoch, topics: [{ name: 't', partitions: each((i) => i) }] }
  // And whether the topic of transactions is there.
  assert.ok((await looksOf(one.call(addPartitionsToTxnApi, 3, added))) <= 3)
  const deletions = each((partitionIndex) => ({ partitionIndex, offset: -1 }))
  assert.equal(await looksOf(one.call(deleteRecordsApi, 2, { topics: [{ name: 't', partitions: deletions }], timeoutMs: 1_000 })), 1)
})

test('whether an offset waits for a transaction is known at once, however many do', { timeout: 20_000 }, async (t) => {
  const { log } = await startTestBroker(t)
  const offsets = new Offsets(log, openTransactions(log))
  const committed = { offset: 1, leaderEpoch: 0, metadata: '', commitMs: 1 }
  const entries = Array.from({ length: 30_000 }, (_, partition) => ({ topic: 't', partition, committed }))
  await offsets.commitInTransaction('g', entries, { producerId: 7, producerEpoch: 0 }, () => {})
  const startMs = performance.now()
  for (const { topic, partition } of entries) assert.ok(offsets.isUnstable('g', topic, partition))
  // A scan of all of them for each takes seconds.
  assert.ok(performance.now() - startMs < 1_000)
  assert.ok(!offsets.isUnstable('other', 't', 0))
  assert.ok(offsets.hasOpenTransaction('g'))
  await offsets.deleteGroup('g')
  assert.ok(!offsets.hasOpenTransaction('g'))
})
