// Versions in which requests name topics by their ids, and the APIs that tools call to find out what a cluster has.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { ERROR } from './errors.ts'
import { createDelegationTokenApi } from './messages/createDelegationToken.ts'
import { describeClusterApi } from './messages/describeCluster.ts'
import { describeDelegationTokenApi } from './messages/describeDelegationToken.ts'
import { describeGroupsApi } from './messages/describeGroups.ts'
import { describeQuorumApi } from './messages/describeQuorum.ts'
import { fetchApi } from './messages/fetch.ts'
import { listConfigResourcesApi } from './messages/listConfigResources.ts'
import { metadataApi } from './messages/metadata.ts'
import { offsetCommitApi } from './messages/offsetCommit.ts'
import { offsetFetchApi } from './messages/offsetFetch.ts'
import { produceApi } from './messages/produce.ts'
import { batchOf, requestFrame, startTestBroker } from './testClient.ts'

test('produce, fetch, commit and fetch of offsets by topic id; an id that is not known is said to be so, and holds up nothing', async (t) => {
  const { client, log } = await startTestBroker(t)
  const one = await client()
  const { id } = await log.createTopic('orders', { partitionCount: 2 })
  const unknown = randomUUID()
  const partitions = [{ index: 1, records: batchOf(['a', 'b']) }]
  const { responses } = await one.call(produceApi, 13, {
    acks: -1,
    timeoutMs: 1_000,
    topicData: [unknown, id].map((topicId) => ({ topicId, partitionData: partitions })),
  })
  const produced = responses.map(({ topicId, partitionResponses: [{ index, errorCode, baseOffset }] }) => [
    topicId,
    index,
    errorCode,
    baseOffset,
  ])
  assert.deepEqual(produced, [
    [id, 1, 0, 0],
    [unknown, 1, ERROR.UNKNOWN_TOPIC_ID, -1],
  ])
  const wanted = [{ partition: 1, fetchOffset: 0, partitionMaxBytes: 1 << 20 }]
  const fetched = await one.call(fetchApi, 18, { maxWaitMs: 0, minBytes: 1, topics: [{ topicId: id, partitions: wanted }] })
  assert.equal(fetched.responses[0].partitions[0].highWatermark, 2)

  const committed = [{ partitionIndex: 1, committedOffset: 2, committedMetadata: 'm' }]
  const answer = await one.call(offsetCommitApi, 10, {
    groupId: 'g',
    topics: [id, unknown].map((topicId) => ({ topicId, partitions: committed })),
  })
  assert.deepEqual(
    answer.topics.map(({ topicId, partitions: [{ errorCode }] }) => [topicId, errorCode]),
    [
      [id, 0],
      [unknown, ERROR.UNKNOWN_TOPIC_ID],
    ],
  )
  const asked = [unknown, id].map((topicId) => ({ topicId, partitionIndexes: [1] }))
  const { groups } = await one.call(offsetFetchApi, 10, {
    groups: [
      { groupId: 'g', topics: asked },
      { groupId: 'h', topics: null },
      { groupId: 'g', topics: null },
    ],
  })
  const found = groups.map(({ topics }) =>
    topics.map(({ topicId, partitions: [{ committedOffset, errorCode }] }) => [topicId, committedOffset, errorCode]),
  )
  assert.deepEqual(found[1], [])
  assert.ok(found[0].some(([topicId, offset, code]) => topicId === id && offset === 2 && code === 0))
  assert.deepEqual(found[2].at(0), [id, 2, 0])
  await log.deleteTopic('orders')
  const { groups: after } = await one.call(offsetFetchApi, 10, { groups: [{ groupId: 'g', topics: null }] })
  assert.deepEqual(after[0].topics, [])
})

test('a quorum of one, what has settings, and no delegation tokens', async (t) => {
  const { client, log } = await startTestBroker(t)
  const one = await client()
  await log.createTopic('orders', {})
  const quorum = await one.call(describeQuorumApi, 2, {
    topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }],
  })
  const [{ leaderId, currentVoters, errorCode }] = quorum.topics[0].partitions
  assert.deepEqual([errorCode, currentVoters.map(({ replicaId }) => replicaId), quorum.nodes[0].nodeId], [0, [leaderId], leaderId])
  const list = async (version: number, resourceTypes: number[]) => {
    const { configResources, errorCode: code } = await one.call(listConfigResourcesApi, version, { resourceTypes })
    return code || configResources.map(({ resourceName, resourceType }) => [resourceType, resourceName])
  }
  assert.deepEqual(await list(0, []), [])
  const all = (await list(1, [])) as [number, string][]
  assert.ok(all.some(([type, name]) => type === 2 && name === 'orders') && all.some(([type]) => type === 4))
  assert.deepEqual(await list(1, [16, 32]), [])
  assert.equal(await list(1, [3]), ERROR.UNSUPPORTED_VERSION)
  const { errorCode: created } = await one.call(createDelegationTokenApi, 3, { maxLifetimeMs: -1 })
  const { errorCode: described } = await one.call(describeDelegationTokenApi, 3, {})
  assert.deepEqual([created, described], [ERROR.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, ERROR.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED])
})

test('a client is told what it may do, if it asks', async (t) => {
  const { client, log } = await startTestBroker(t)
  const one = await client()
  await log.createTopic('orders', {})
  const operations = (bits: number) => Array.from({ length: 13 }, (_, i) => i).filter((i) => bits & (1 << i))
  const asked = { topics: [{ name: 'orders' }, { name: 'no such' }], includeTopicAuthorizedOperations: true }
  const { topics } = await one.call(metadataApi, 13, asked)
  const known = topics.find(({ name }) => name === 'orders')!
  assert.deepEqual(operations(known.topicAuthorizedOperations), [3, 4, 5, 6, 7, 8, 10, 11])
  const quiet = await one.call(metadataApi, 13, { topics: [{ name: 'orders' }] })
  assert.equal(quiet.topics[0].topicAuthorizedOperations, -(2 ** 31))
  const cluster = await one.call(describeClusterApi, 1, { includeClusterAuthorizedOperations: true })
  assert.deepEqual(operations(cluster.clusterAuthorizedOperations), [5, 7, 8, 9, 10, 11, 12])
  await one.call(offsetCommitApi, 2, {
    groupId: 'g',
    topics: [{ name: 'orders', partitions: [{ partitionIndex: 0, committedOffset: 0, committedMetadata: '' }] }],
  })
  const { groups } = await one.call(describeGroupsApi, 5, { groups: ['g'], includeAuthorizedOperations: true })
  assert.deepEqual(operations(groups[0].authorizedOperations), [3, 6, 8, 10, 11])
})

test('bytes behind a request are left alone, as Kafka does: librdkafka sends some', async (t) => {
  const { client, log } = await startTestBroker(t)
  const one = await client()
  await log.createTopic('orders', {})
  const frame = Buffer.concat([...requestFrame(metadataApi, 12, 7, { topics: null }), Buffer.from([0, 0, 0])])
  frame.writeInt32BE(frame.length - 4, 0)
  const answered = new Promise<Buffer>((resolve) => one.socket.once('data', resolve))
  one.socket.write(frame)
  assert.equal((await answered).readInt32BE(4), 7)
  const { topics } = await one.call(metadataApi, 12, { topics: null })
  assert.ok(topics.some(({ name }) => name === 'orders'))
})
