// Transactions as clients see them on the wire.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type BatchOptions, openTransactions, readRecords, TRANSACTIONAL_FLAG } from '../log/index.ts'
import { ERROR } from './errors.ts'
import { addOffsetsToTxnApi } from './messages/addOffsetsToTxn.ts'
import { addPartitionsToTxnApi } from './messages/addPartitionsToTxn.ts'
import { apiVersionsApi } from './messages/apiVersions.ts'
import { describeProducersApi } from './messages/describeProducers.ts'
import { describeTransactionsApi } from './messages/describeTransactions.ts'
import { endTxnApi } from './messages/endTxn.ts'
import { fetchApi } from './messages/fetch.ts'
import { findCoordinatorApi } from './messages/findCoordinator.ts'
import { initProducerIdApi } from './messages/initProducerId.ts'
import { listOffsetsApi } from './messages/listOffsets.ts'
import { listTransactionsApi } from './messages/listTransactions.ts'
import { offsetCommitApi } from './messages/offsetCommit.ts'
import { offsetFetchApi } from './messages/offsetFetch.ts'
import { produceApi } from './messages/produce.ts'
import { txnOffsetCommitApi } from './messages/txnOffsetCommit.ts'
import { writeTxnMarkersApi } from './messages/writeTxnMarkers.ts'
import { batchOf, startTestBroker, type TestClient } from './testClient.ts'

interface Producer {
  producerId: number
  producerEpoch: number
}
const TIMEOUT_MS = 60_000

async function init(client: TestClient, transactionalId: string): Promise<Producer> {
  const { errorCode, producerId, producerEpoch } = await client.call(initProducerIdApi, 5, {
    transactionalId,
    transactionTimeoutMs: TIMEOUT_MS,
  })
  assert.equal(errorCode, 0)
  return { producerId, producerEpoch }
}
/** One batch; its answer's code and offset. */
async function send(client: TestClient, transactionalId: string | null, values: string[], options: BatchOptions, version = 11) {
  const records = batchOf(values, options)
  const topicData = [{ name: 't', partitionData: [{ index: 0, records }] }]
  const { responses } = await client.call(produceApi, version, { transactionalId, acks: -1, timeoutMs: 1_000, topicData })
  const { errorCode, baseOffset } = responses[0].partitionResponses[0]
  return [errorCode, baseOffset]
}
const inTransaction = (producer: Producer, baseSequence: number): BatchOptions => ({
  ...producer,
  baseSequence,
  attributes: TRANSACTIONAL_FLAG,
})
const add = async (client: TestClient, transactionalId: string, producer: Producer, partitions = [0], version = 3) => {
  const request = { transactionalId, ...producer, topics: [{ name: 't', partitions }] }
  const { resultsByTopic } = await client.call(addPartitionsToTxnApi, version, request)
  return resultsByTopic[0].resultsByPartition.map(({ partitionErrorCode }) => partitionErrorCode)
}
const end = (client: TestClient, transactionalId: string, producer: Producer, committed: boolean, version = 4) =>
  client.call(endTxnApi, version, { transactionalId, ...producer, committed })

async function fetchFrom(client: TestClient, offset: number, isolationLevel: number) {
  const topics = [{ topic: 't', partitions: [{ partition: 0, fetchOffset: offset, partitionMaxBytes: 1 << 20 }] }]
  const { responses } = await client.call(fetchApi, 11, { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 20, isolationLevel, topics })
  const { errorCode, records, highWatermark, lastStableOffset, abortedTransactions } = responses[0].partitions[0]
  assert.equal(errorCode, 0)
  const values = [...readRecords(records!, 0, records!.length, offset)].map(({ value }) => String(value))
  return { values, highWatermark, lastStableOffset, abortedTransactions }
}
const latest = async (client: TestClient, isolationLevel: number, timestamp = -1) => {
  const topics = [{ name: 't', partitions: [{ partitionIndex: 0, timestamp }] }]
  return (await client.call(listOffsetsApi, 7, { replicaId: -1, isolationLevel, topics })).topics[0].partitions[0].offset
}

test('a client that adds partitions itself: isolation of fetches and offsets, the list of what was aborted', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('t', { partitionCount: 2 })
  const one = await client()
  const coordinator = await one.call(findCoordinatorApi, 4, { keyType: 1, coordinatorKeys: ['tx'] })
  assert.equal(coordinator.coordinators[0].errorCode, 0)
  const producer = await init(one, 'tx')
  assert.deepEqual(await send(one, 'tx', ['early'], inTransaction(producer, 0)), [ERROR.TRANSACTION_ABORTABLE, -1])
  assert.deepEqual(await send(one, 'tx', ['early'], inTransaction(producer, 0), 9), [ERROR.INVALID_TXN_STATE, -1])
  assert.deepEqual(await send(one, null, ['early'], inTransaction(producer, 0)), [ERROR.INVALID_REQUEST, -1])
  assert.deepEqual(await add(one, 'tx', producer, [0, 7]), [ERROR.OPERATION_NOT_ATTEMPTED, ERROR.UNKNOWN_TOPIC_OR_PARTITION])
  assert.deepEqual(await add(one, 'tx', producer), [0])
  assert.deepEqual(await add(one, 'tx', { ...producer, producerEpoch: 5 }), [ERROR.PRODUCER_FENCED])
  assert.deepEqual(await add(one, 'tx', { ...producer, producerEpoch: 5 }, [0], 1), [ERROR.INVALID_PRODUCER_EPOCH])
  assert.deepEqual(await add(one, 'tx', { ...producer, producerId: 999 }), [ERROR.INVALID_PRODUCER_ID_MAPPING])
  assert.deepEqual(await send(one, 'tx', ['a', 'b'], inTransaction(producer, 0)), [0, 0])
  assert.deepEqual(await send(one, null, ['c'], {}), [0, 2])
  // In a transaction nothing goes beside it, and a producer needs a sequence.
  assert.deepEqual(await send(one, null, ['x'], { ...producer, baseSequence: 2 }, 9), [ERROR.INVALID_TXN_STATE, -1])
  assert.deepEqual(await send(one, 'tx', ['x'], inTransaction(producer, -1)), [ERROR.INVALID_RECORD, -1])

  const open = { highWatermark: 3, lastStableOffset: 0 }
  assert.deepEqual(await fetchFrom(one, 0, 1), { ...open, values: [], abortedTransactions: [] })
  assert.deepEqual(await fetchFrom(one, 0, 0), { ...open, values: ['a', 'b', 'c'], abortedTransactions: null })
  assert.deepEqual([await latest(one, 1), await latest(one, 0)], [0, 3])
  assert.deepEqual([await latest(one, 1, 0), await latest(one, 0, 0)], [-1, 0])

  assert.equal((await end(one, 'tx', producer, false)).errorCode, 0)
  assert.equal((await end(one, 'tx', producer, false)).errorCode, 0)
  assert.equal((await end(one, 'tx', producer, true)).errorCode, ERROR.INVALID_TXN_STATE)
  const aborted = [{ producerId: producer.producerId, firstOffset: 0 }]
  const ended = { highWatermark: 4, lastStableOffset: 4 }
  assert.deepEqual(await fetchFrom(one, 0, 1), { ...ended, values: ['a', 'b', 'c'], abortedTransactions: aborted })
  assert.deepEqual((await fetchFrom(one, 1, 1)).abortedTransactions, aborted)
  assert.deepEqual(await latest(one, 1), 4)

  // The same epoch goes on, and so do its sequences.
  assert.deepEqual(await add(one, 'tx', producer), [0])
  assert.deepEqual(await send(one, 'tx', ['d'], inTransaction(producer, 2)), [0, 4])
  assert.equal((await end(one, 'tx', producer, true)).errorCode, 0)
  assert.deepEqual(await fetchFrom(one, 4, 1), { values: ['d'], highWatermark: 6, lastStableOffset: 6, abortedTransactions: [] })
})

test('a fetch that waits for committed records is answered by the commit', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('t')
  const [one, two] = [await client(), await client()]
  const producer = await init(one, 'tx')
  await add(one, 'tx', producer)
  await send(one, 'tx', ['a'], inTransaction(producer, 0))
  const topics = [{ topic: 't', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }]
  const waiting = two.call(fetchApi, 11, { maxWaitMs: 60_000, minBytes: 1, maxBytes: 1 << 20, isolationLevel: 1, topics })
  await send(one, 'tx', ['b'], inTransaction(producer, 1))
  await end(one, 'tx', producer, true)
  const { records, lastStableOffset } = (await waiting).responses[0].partitions[0]
  assert.deepEqual([[...readRecords(records!)].map(({ value }) => String(value)), lastStableOffset], [['a', 'b'], 3])
})

test('KIP-890: the first batch adds its partition, every end gives the next epoch, a late batch of the last transaction is refused', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('t')
  const one = await client()
  const { finalizedFeatures } = await one.call(apiVersionsApi, 4, { clientSoftwareName: 'test', clientSoftwareVersion: '1' })
  const feature = finalizedFeatures.find(({ name }) => name === 'transaction.version')
  assert.deepEqual(feature, { name: 'transaction.version', maxVersionLevel: 2, minVersionLevel: 2 })
  const first = await init(one, 'tx')
  const batches = ['a', 'b', 'c'].map((value, i) => send(one, 'tx', [value], inTransaction(first, i), 12))
  assert.deepEqual(await Promise.all(batches), [
    [0, 0],
    [0, 1],
    [0, 2],
  ])
  const { errorCode, ...second } = await end(one, 'tx', first, true, 5)
  assert.deepEqual([errorCode, second.producerEpoch, second.producerId], [0, first.producerEpoch + 1, first.producerId])
  const again = await end(one, 'tx', first, true, 5)
  assert.deepEqual([again.errorCode, again.producerEpoch], [0, second.producerEpoch])
  assert.deepEqual(await send(one, 'tx', ['late'], inTransaction(first, 3), 12), [ERROR.INVALID_PRODUCER_EPOCH, -1])
  assert.deepEqual(await send(one, 'tx', ['d'], inTransaction(second, 0), 12), [0, 4])
  const { producerEpoch } = await end(one, 'tx', second, false, 5)
  assert.equal(producerEpoch, second.producerEpoch + 1)
  assert.deepEqual(
    (await log.readMessages('t')).map(({ value }) => String(value)),
    ['a', 'b', 'c'],
  )
  // Somebody else takes over.
  const next = await init(one, 'tx')
  assert.equal((await end(one, 'tx', { ...second, producerEpoch }, false, 5)).errorCode, ERROR.PRODUCER_FENCED)
  assert.equal((await end(one, 'tx', next, true, 5)).errorCode, ERROR.INVALID_TXN_STATE)
})

test('offsets in a transaction count with its commit, are unstable until then, and survive a restart undecided', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-tx-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const offsets = async (client: TestClient, requireStable = false) => {
    const groups = [{ groupId: 'g', topics: [{ name: 't', partitionIndexes: [0, 1] }] }]
    const answer = await client.call(offsetFetchApi, 9, { groups, requireStable })
    return answer.groups[0].topics[0].partitions.map(({ committedOffset, errorCode }) => errorCode || committedOffset)
  }
  const commit = async (client: TestClient, producer: Producer, committedOffset: number, version = 3, more: object = {}) => {
    const topics = [{ name: 't', partitions: [{ partitionIndex: 0, committedOffset }] }]
    const request = { transactionalId: 'tx', groupId: 'g', ...producer, topics, ...more }
    return (await client.call(txnOffsetCommitApi, version, request)).topics[0].partitions[0].errorCode
  }
  const UNSTABLE = ERROR.UNSTABLE_OFFSET_COMMIT
  let producer: Producer | undefined
  await t.test('before the restart', async (inner) => {
    const { log, client } = await startTestBroker(inner, { folder })
    await log.createTopic('t', { partitionCount: 2 })
    const one = await client()
    producer = await init(one, 'tx')
    assert.equal(await commit(one, producer, 5), ERROR.INVALID_TXN_STATE)
    const added = await one.call(addOffsetsToTxnApi, 3, { transactionalId: 'tx', ...producer, groupId: 'g' })
    assert.equal(added.errorCode, 0)
    assert.equal(await commit(one, producer, 5, 3, { memberId: 'nobody', generationId: 1 }), ERROR.ILLEGAL_GENERATION)
    assert.equal(await commit(one, producer, 5), 0)
    assert.deepEqual(
      [await offsets(one), await offsets(one, true)],
      [
        [-1, -1],
        [UNSTABLE, -1],
      ],
    )
    assert.equal((await end(one, 'tx', producer, true)).errorCode, 0)
    assert.deepEqual(await offsets(one, true), [5, -1])
    // Aborted; then one that another commit overtakes.
    assert.equal(await commit(one, producer, 6, 5), 0)
    assert.equal((await end(one, 'tx', producer, false)).errorCode, 0)
    assert.deepEqual(await offsets(one, true), [5, -1])
    assert.equal(await commit(one, producer, 7, 5), 0)
    const topics = [{ name: 't', partitions: [{ partitionIndex: 0, committedOffset: 8 }] }]
    await one.call(offsetCommitApi, 8, { groupId: 'g', topics })
    assert.equal((await end(one, 'tx', producer, true)).errorCode, 0)
    assert.deepEqual(await offsets(one, true), [8, -1])
    assert.equal(await commit(one, producer, 9, 5), 0)
    await openTransactions(log).close()
  })
  await t.test('after it', async (inner) => {
    const { client } = await startTestBroker(inner, { folder })
    const one = await client()
    assert.deepEqual(
      [await offsets(one), await offsets(one, true)],
      [
        [8, -1],
        [UNSTABLE, -1],
      ],
    )
    assert.equal((await end(one, 'tx', producer!, true)).errorCode, 0)
    assert.deepEqual(await offsets(one, true), [9, -1])
    // A new producer of the id never gets an id that another one had.
    const idempotent = await one.call(initProducerIdApi, 4, { transactionalId: null })
    assert.ok(idempotent.producerId > producer!.producerId)
  })
})

test('administrators see transactions and producers, and end one that hangs', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('t')
  const one = await client()
  const producer = await init(one, 'shop-1')
  await init(one, 'other')
  await send(one, 'shop-1', ['a'], inTransaction(producer, 0), 12)
  const list = async (filter: object) =>
    (await one.call(listTransactionsApi, 2, filter)).transactionStates.map(({ transactionalId, transactionState }) => [
      transactionalId,
      transactionState,
    ])
  assert.deepEqual(await list({}), [
    ['shop-1', 'Ongoing'],
    ['other', 'Empty'],
  ])
  assert.deepEqual(await list({ stateFilters: ['Ongoing'] }), [['shop-1', 'Ongoing']])
  assert.deepEqual(await list({ producerIdFilters: [producer.producerId + 1] }), [['other', 'Empty']])
  assert.deepEqual(await list({ durationFilter: 60_000 }), [])
  assert.deepEqual(await list({ transactionalIdPattern: 'shop-.*' }), [['shop-1', 'Ongoing']])
  const wrong = await one.call(listTransactionsApi, 2, { transactionalIdPattern: '(' })
  assert.equal(wrong.errorCode, ERROR.INVALID_REGULAR_EXPRESSION)
  // Nobody's client writes into the log of transactions.
  const internal = { transactionalId: 'other', ...producer, topics: [{ name: '__transaction_state', partitions: [0] }] }
  const { resultsByTopic } = await one.call(addPartitionsToTxnApi, 3, internal)
  assert.equal(resultsByTopic[0].resultsByPartition[0].partitionErrorCode, ERROR.TOPIC_AUTHORIZATION_FAILED)
  const half = await one.call(initProducerIdApi, 4, { transactionalId: 'other', transactionTimeoutMs: TIMEOUT_MS, producerEpoch: 5 })
  assert.deepEqual([half.errorCode, half.producerId, half.producerEpoch], [ERROR.INVALID_REQUEST, -1, -1])
  assert.deepEqual((await one.call(listTransactionsApi, 0, { stateFilters: ['Nonsense'] })).unknownStateFilters, ['Nonsense'])

  const described = await one.call(describeTransactionsApi, 0, { transactionalIds: ['shop-1', 'nobody'] })
  const { transactionStartTimeMs, ...state } = described.transactionStates[0]
  assert.ok(Math.abs(Date.now() - transactionStartTimeMs) < 60_000)
  assert.deepEqual(state, {
    errorCode: 0,
    transactionalId: 'shop-1',
    transactionState: 'Ongoing',
    transactionTimeoutMs: TIMEOUT_MS,
    ...producer,
    topics: [{ topic: 't', partitions: [0] }],
  })
  assert.equal(described.transactionStates[1].errorCode, ERROR.TRANSACTIONAL_ID_NOT_FOUND)

  const producers = async () => {
    const { topics } = await one.call(describeProducersApi, 0, { topics: [{ name: 't', partitionIndexes: [0, 9] }] })
    const [known, unknown] = topics[0].partitions
    assert.equal(unknown.errorCode, ERROR.UNKNOWN_TOPIC_OR_PARTITION)
    return known.activeProducers.map(({ lastTimestamp, ...rest }) => rest)
  }
  const { producerId, producerEpoch } = producer
  const active = { producerId, producerEpoch, lastSequence: 0, coordinatorEpoch: -1, currentTxnStartOffset: 0 }
  assert.deepEqual(await producers(), [active])
  const markers = [{ ...producer, transactionResult: false, coordinatorEpoch: 3, topics: [{ name: 't', partitionIndexes: [0, 9] }] }]
  const written = await one.call(writeTxnMarkersApi, 1, { markers })
  assert.deepEqual(
    written.markers[0].topics[0].partitions.map(({ errorCode }) => errorCode),
    [0, ERROR.UNKNOWN_TOPIC_OR_PARTITION],
  )
  assert.deepEqual(await producers(), [{ ...active, coordinatorEpoch: 3, currentTxnStartOffset: -1 }])
  assert.deepEqual((await fetchFrom(one, 0, 1)).lastStableOffset, 2)
  // Between brokers: several transactions at once, and only a look.
  const transactions = [true, false].map((verifyOnly) => ({
    transactionalId: 'other',
    ...producer,
    producerId: producerId + 1,
    verifyOnly,
    topics: [{ name: 't', partitions: [0] }],
  }))
  const batched = await one.call(addPartitionsToTxnApi, 5, { transactions })
  assert.deepEqual(
    batched.resultsByTransaction.map(({ topicResults }) => topicResults[0].resultsByPartition[0].partitionErrorCode),
    [ERROR.INVALID_TXN_STATE, 0],
  )
})
