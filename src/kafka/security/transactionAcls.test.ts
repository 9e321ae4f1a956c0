// What the transaction APIs want of who calls them: WRITE of the transactional id, WRITE of each topic, READ of the group; DESCRIBE to look.
// Source: Kafka's documentation, "Operations and Protocols".
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ERROR } from '../errors.ts'
import { addOffsetsToTxnApi } from '../messages/addOffsetsToTxn.ts'
import { addPartitionsToTxnApi } from '../messages/addPartitionsToTxn.ts'
import { createAclsApi } from '../messages/createAcls.ts'
import { createTopicsApi } from '../messages/createTopics.ts'
import { describeTransactionsApi } from '../messages/describeTransactions.ts'
import { endTxnApi } from '../messages/endTxn.ts'
import { initProducerIdApi } from '../messages/initProducerId.ts'
import { listTransactionsApi } from '../messages/listTransactions.ts'
import { produceApi } from '../messages/produce.ts'
import { saslAuthenticateApi } from '../messages/saslAuthenticate.ts'
import { saslHandshakeApi } from '../messages/saslHandshake.ts'
import { txnOffsetCommitApi } from '../messages/txnOffsetCommit.ts'
import { writeTxnMarkersApi } from '../messages/writeTxnMarkers.ts'
import { batchOf, startTestBroker, type TestClient } from '../testClient.ts'
import { OPERATION, PATTERN, PERMISSION, RESOURCE } from './acls.ts'

const TRANSACTIONAL = 0x10
const GROUP = { groupId: 'g', generationId: -1, memberId: '' }
const { TRANSACTIONAL_ID_AUTHORIZATION_FAILED, TOPIC_AUTHORIZATION_FAILED, GROUP_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED } =
  ERROR

test('transactions need WRITE of their id, WRITE of their topics and READ of their groups; DESCRIBE shows them', async (t) => {
  const { client, kafka } = await startTestBroker(t, { superUsers: ['root'] })
  await kafka.users.create('root', 'root password')
  await kafka.users.create('app', 'app password')
  const login = async (user: string): Promise<TestClient> => {
    const one = await client()
    await one.call(saslHandshakeApi, 1, { mechanism: 'PLAIN' })
    const { errorCode } = await one.call(saslAuthenticateApi, 2, { authBytes: Buffer.from(`\0${user}\0${user} password`) })
    assert.equal(errorCode, 0)
    return one
  }
  const root = await login('root')
  const app = await login('app')
  const allow = async (operation: number, resourceType: number, resourceName: string) => {
    const acl = { resourceType, resourceName, resourcePatternType: PATTERN.literal, principal: 'User:app', host: '*', operation }
    const { results } = await root.call(createAclsApi, 3, { creations: [{ ...acl, permissionType: PERMISSION.allow }] })
    assert.equal(results[0].errorCode, 0)
  }
  const topics = ['mine', 'other'].map((name) => ({ name, numPartitions: 1, replicationFactor: 1 }))
  await root.call(createTopicsApi, 7, { topics })

  const init = () =>
    app.call(initProducerIdApi, 4, { transactionalId: 'tx', transactionTimeoutMs: 60_000, producerId: -1, producerEpoch: -1 })
  // Without any entry everybody may do everything.
  await allow(OPERATION.describe, RESOURCE.transactionalId, 'tx')
  assert.equal((await init()).errorCode, TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
  await allow(OPERATION.write, RESOURCE.transactionalId, 'tx')
  const { producerId, producerEpoch, errorCode } = await init()
  assert.equal(errorCode, 0)
  const producer = { transactionalId: 'tx', producerId, producerEpoch }

  // One topic that it may not write refuses the others too, as with Kafka.
  const add = async (names: string[]) => {
    const { resultsByTopic } = await app.call(addPartitionsToTxnApi, 3, {
      ...producer,
      topics: names.map((name) => ({ name, partitions: [0] })),
    })
    return resultsByTopic.map(({ name, resultsByPartition }) => [name, resultsByPartition[0].partitionErrorCode]).sort()
  }
  assert.deepEqual(await add(['mine']), [['mine', TOPIC_AUTHORIZATION_FAILED]])
  await allow(OPERATION.write, RESOURCE.topic, 'mine')
  assert.deepEqual(await add(['mine', 'other']), [
    ['mine', ERROR.OPERATION_NOT_ATTEMPTED],
    ['other', TOPIC_AUTHORIZATION_FAILED],
  ])
  assert.deepEqual(await add(['mine']), [['mine', 0]])

  const send = async (name: string, transactionalId: string | null) => {
    const records = batchOf(['x'], { attributes: TRANSACTIONAL, producerId, producerEpoch, baseSequence: 0 })
    const request = { transactionalId, acks: -1, timeoutMs: 1_000, topicData: [{ name, partitionData: [{ index: 0, records }] }] }
    return (await app.call(produceApi, 9, request)).responses[0].partitionResponses[0].errorCode
  }
  assert.equal(await send('other', 'tx'), TOPIC_AUTHORIZATION_FAILED)
  assert.equal(await send('mine', 'not mine'), TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
  assert.equal(await send('mine', 'tx'), 0)

  const addOffsets = async () => (await app.call(addOffsetsToTxnApi, 3, { ...producer, groupId: 'g' })).errorCode
  assert.equal(await addOffsets(), GROUP_AUTHORIZATION_FAILED)
  const commitOffsets = async () => {
    const offset = { partitionIndex: 0, committedOffset: 1, committedLeaderEpoch: -1, committedMetadata: '' }
    const request = { ...producer, ...GROUP, topics: [{ name: 'mine', partitions: [offset] }] }
    return (await app.call(txnOffsetCommitApi, 3, request)).topics[0].partitions[0].errorCode
  }
  assert.equal(await commitOffsets(), GROUP_AUTHORIZATION_FAILED)
  await allow(OPERATION.read, RESOURCE.group, 'g')
  assert.equal(await addOffsets(), 0)
  // Committing an offset is reading the topic.
  assert.equal(await commitOffsets(), TOPIC_AUTHORIZATION_FAILED)
  await allow(OPERATION.read, RESOURCE.topic, 'mine')
  assert.equal(await commitOffsets(), 0)

  const end = (transactionalId: string) => app.call(endTxnApi, 3, { ...producer, transactionalId, committed: true })
  assert.equal((await end('not mine')).errorCode, TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
  assert.equal((await end('tx')).errorCode, 0)

  const marker = {
    producerId,
    producerEpoch,
    transactionResult: true,
    coordinatorEpoch: 0,
    topics: [{ name: 'mine', partitionIndexes: [0] }],
  }
  const { markers } = await app.call(writeTxnMarkersApi, 1, { markers: [marker] })
  assert.equal(markers[0].topics[0].partitions[0].errorCode, CLUSTER_AUTHORIZATION_FAILED)

  await root.call(initProducerIdApi, 4, { transactionalId: 'hidden', transactionTimeoutMs: 60_000, producerId: -1, producerEpoch: -1 })
  const { transactionStates } = await app.call(listTransactionsApi, 1, {})
  assert.deepEqual(
    transactionStates.map(({ transactionalId }) => transactionalId),
    ['tx'],
  )
  const described = await app.call(describeTransactionsApi, 0, { transactionalIds: ['tx', 'hidden'] })
  assert.deepEqual(described.transactionStates.map((one) => [one.transactionalId, one.errorCode]).sort(), [
    ['hidden', TRANSACTIONAL_ID_AUTHORIZATION_FAILED],
    ['tx', 0],
  ])
})
