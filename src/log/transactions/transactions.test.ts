import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Isolation, Log, RecordInput } from '../contract.ts'
import { openLog } from '../log.ts'
import type { TransactionRef } from './contract.ts'
import { openTransactions, TRANSACTIONS_TOPIC } from './coordinator.ts'
import { decodeValue, encodeKey, encodeValue } from './stateRecords.ts'

const record = (text: string): RecordInput => ({ key: null, value: Buffer.from(text), timestampMs: 0 })
const texts = async (log: Log, topic = 't', isolation: Isolation = 'read_committed') =>
  (await log.readMessages(topic, { fromOffset: 0, limit: 1_000, isolation })).map(({ value }) => Buffer.from(value!).toString())
const code = (expected: string) => ({ code: `LOG_${expected}` })

async function start(t: TestContext, options: { now?: () => number; checkMs?: number } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tx-'))
  let log = await openLog({ folder, durability: 'os' })
  await log.createTopic('t', { partitionCount: 2 })
  let transactions = openTransactions(log, options)
  const stop = async () => {
    await transactions.close()
    await log.close()
  }
  t.after(async () => {
    await stop()
    rmSync(folder, { recursive: true })
  })
  const restart = async () => {
    await stop()
    log = await openLog({ folder, durability: 'os' })
    transactions = openTransactions(log, options)
    return { log, transactions }
  }
  return { log, transactions, restart }
}

test('what a transaction appends is seen when it is committed, in all partitions, and never if it is aborted', async (t) => {
  const { log, transactions } = await start(t)
  assert.equal(openTransactions(log), transactions)
  const one = await transactions.begin('sink-0')
  await log.appendRecords('t', 0, [record('plain 1')])
  await Promise.all([
    one.appendRecords('t', 0, [record('a1'), record('a2')]),
    one.appendRecords('t', 1, [record('b1')]),
    one.appendRecords('t', 0, [record('a3')]),
  ])
  await log.appendRecords('t', 0, [record('plain 2')])
  assert.deepEqual(await texts(log), ['plain 1'])
  assert.deepEqual((await texts(log, 't', 'read_uncommitted')).sort(), ['a1', 'a2', 'a3', 'b1', 'plain 1', 'plain 2'])
  assert.equal(await transactions.commit(one.ref), true)
  assert.deepEqual((await texts(log)).sort(), ['a1', 'a2', 'a3', 'b1', 'plain 1', 'plain 2'])
  assert.equal(await transactions.commit(one.ref), false)
  await assert.rejects(transactions.abort(one.ref), code('TRANSACTION_COMMITTED'))
  const two = await transactions.begin('sink-0')
  await two.appendRecords('t', 0, [record('never')])
  await transactions.abort(two.ref)
  await transactions.abort(two.ref)
  await assert.rejects(transactions.commit(two.ref), code('TRANSACTION_ABORTED'))
  await assert.rejects(two.appendRecords('t', 0, [record('late')]), code('TRANSACTION_FENCED'))
  assert.ok(!(await texts(log)).includes('never'))
  assert.ok((await texts(log, 't', 'read_uncommitted')).includes('never'))
  // Markers and aborted records hide nothing from who looks at the newest.
  assert.equal((await log.readMessages('t', { partition: 0, limit: 1 }))[0].offset, 4)
  assert.deepEqual(transactions.describe('sink-0')?.state, 'CompleteAbort')
})

test('a prepared transaction survives a restart and is committed once; what was not prepared is aborted by the next begin', async (t) => {
  let { log, transactions, restart } = await start(t)
  const prepared = await transactions.begin('sink-0')
  await prepared.appendRecords('t', 0, [record('prepared')])
  const open = await transactions.begin('sink-1')
  await open.appendRecords('t', 0, [record('open')])
  const ref = JSON.parse(JSON.stringify(prepared.ref)) as TransactionRef
  ;({ log, transactions } = await restart())
  assert.deepEqual(await texts(log), [])
  assert.equal(await transactions.commit(ref), true)
  assert.equal(await transactions.commit(ref), false)
  const next = await transactions.begin('sink-1')
  assert.deepEqual(await texts(log), ['prepared'])
  await assert.rejects(transactions.commit(open.ref), code('TRANSACTION_ABORTED'))
  const after = await transactions.begin('sink-0')
  await after.appendRecords('t', 1, [record('after')])
  // The checkpoint that named it is restored once more: it had been committed.
  ;({ log, transactions } = await restart())
  assert.equal(await transactions.commit(ref), false)
  assert.equal(await transactions.commit(next.ref), false)
  await transactions.forget('sink-0')
  await transactions.forget('sink-0')
  await transactions.forget('sink-1')
  assert.deepEqual(transactions.list(), [])
  assert.deepEqual(await texts(log), ['prepared'])
  ;({ log, transactions } = await restart())
  assert.deepEqual(transactions.list(), [])
})

test('who begins under an id fences the one before: it can neither append nor commit', async (t) => {
  const { log, transactions } = await start(t)
  const zombie = await transactions.begin('id')
  await zombie.appendRecords('t', 0, [record('zombie')])
  const next = await transactions.begin('id')
  await next.appendRecords('t', 0, [record('next')])
  await assert.rejects(transactions.commit(zombie.ref), code('TRANSACTION_ABORTED'))
  await assert.rejects(zombie.appendRecords('t', 1, [record('zombie')]), code('TRANSACTION_FENCED'))
  await assert.rejects(zombie.appendRecords('t', 0, [record('zombie')]), code('TRANSACTION_FENCED'))
  await transactions.abort(zombie.ref)
  await transactions.commit(next.ref)
  assert.deepEqual(await texts(log), ['next'])
  // Its batches that are still on their way are refused by the log itself.
  const late = await transactions.begin('id')
  await late.appendRecords('t', 0, [record('late')])
  const inTime = late.appendRecords('t', 0, [record('in time')])
  const nextDone = transactions.begin('id')
  await inTime
  await nextDone
  await assert.rejects(late.appendRecords('t', 0, [record('too late')]), /./)
  assert.deepEqual(await texts(log), ['next'])
})

test('after an append that failed a transaction cannot be committed', async (t) => {
  const { log, transactions } = await start(t)
  const one = await transactions.begin('id')
  await one.appendRecords('t', 0, [record('a')])
  await assert.rejects(one.appendRecords('t', 7, [record('b')]), code('PARTITION_NOT_FOUND'))
  await assert.rejects(one.appendRecords('t', 0, [record('c')]), code('PARTITION_NOT_FOUND'))
  await assert.rejects(transactions.commit(one.ref), code('TRANSACTION_STATE'))
  await transactions.abort(one.ref)
  assert.deepEqual(await texts(log), [])
})

test('clients: epochs, fencing, timeouts and KIP-890, as Kafka has them', async (t) => {
  let nowMs = 1_000_000
  const { log, transactions } = await start(t, { now: () => nowMs, checkMs: 5 })
  const timeoutMs = 60_000
  await assert.rejects(transactions.initProducerId('id', { timeoutMs: 900_001 }), code('TRANSACTION_TIMEOUT_INVALID'))
  await assert.rejects(transactions.initProducerId('id', { timeoutMs: 0 }), code('TRANSACTION_TIMEOUT_INVALID'))
  const first = await transactions.initProducerId('id', { timeoutMs })
  assert.equal(first.producerEpoch, 0)
  const ref = (producer: { producerId: number; producerEpoch: number }) => ({ transactionalId: 'id', ...producer })
  const targets = [{ topic: 't', partition: 0 }]
  await assert.rejects(transactions.end(ref(first), true, { bumpsEpoch: false }), code('TRANSACTION_STATE'))
  await assert.rejects(transactions.addPartitions({ ...ref(first), producerId: 99 }, targets), code('TRANSACTION_UNKNOWN_ID'))
  await assert.rejects(transactions.addPartitions({ ...ref(first), producerEpoch: 1 }, targets), code('TRANSACTION_FENCED'))
  assert.throws(() => transactions.verifyPartitions(ref(first), targets), code('TRANSACTION_STATE'))
  await transactions.addPartitions(ref(first), targets)
  transactions.verifyPartitions(ref(first), targets)
  assert.throws(() => transactions.verifyPartitions(ref(first), [{ topic: 't', partition: 1 }]), code('TRANSACTION_STATE'))
  assert.deepEqual(await transactions.end(ref(first), true, { bumpsEpoch: false }), first)
  assert.deepEqual(await transactions.end(ref(first), true, { bumpsEpoch: false }), first)
  await assert.rejects(transactions.end(ref(first), false, { bumpsEpoch: false }), code('TRANSACTION_STATE'))

  // Version 2: every end gives the next epoch; the same end again gives the same answer.
  await transactions.addPartitions(ref(first), targets)
  const second = await transactions.end(ref(first), true, { bumpsEpoch: true })
  assert.deepEqual(second, { ...first, producerEpoch: 1 })
  assert.deepEqual(await transactions.end(ref(first), true, { bumpsEpoch: true }), second)
  await assert.rejects(transactions.end(ref(first), false, { bumpsEpoch: true }), code('TRANSACTION_STATE'))
  assert.deepEqual(await transactions.end(ref(second), false, { bumpsEpoch: true }), { ...first, producerEpoch: 2 })

  // It asks for a new epoch and says what it had; again if the answer was lost; an older one is fenced.
  const expected = { ...first, producerEpoch: 2 }
  const third = await transactions.initProducerId('id', { timeoutMs, expected })
  assert.deepEqual(third, { ...first, producerEpoch: 3 })
  assert.deepEqual(await transactions.initProducerId('id', { timeoutMs, expected }), third)
  await assert.rejects(transactions.initProducerId('id', { timeoutMs, expected: second }), code('TRANSACTION_FENCED'))

  await transactions.addPartitions(ref(third), targets)
  nowMs += timeoutMs + 1
  while (transactions.describe('id')?.state !== 'CompleteAbort') await sleep(5)
  await assert.rejects(transactions.end(ref(third), true, { bumpsEpoch: false }), code('TRANSACTION_FENCED'))
  assert.equal(transactions.describe('id')?.producerEpoch, 4)
  const producers = await log.describeProducers('t', 0)
  assert.deepEqual(
    producers.map(({ producerId, producerEpoch, transactionStartOffset }) => [producerId, producerEpoch, transactionStartOffset]),
    [[first.producerId, 4, -1]],
  )
  // Nobody used it for a week.
  nowMs += 8 * 24 * 3_600_000
  while (transactions.describe('id')) await sleep(5)
})

const newestState = async (log: Log) => (await log.readMessages(TRANSACTIONS_TOPIC, { limit: 1 }))[0].value!

test('epochs are used up: the producer gets a new id, and the end of its last transaction can be asked for again', async (t) => {
  let { log, transactions, restart } = await start(t)
  const targets = [{ topic: 't', partition: 1 }]
  const first = await transactions.initProducerId('id', { timeoutMs: 1_000 })
  const used = { ...first, producerEpoch: 32_766 }
  // 32,766 transactions later.
  const value = encodeValue({ ...decodeValue('id', await newestState(log)), ...used })
  await log.appendRecords(TRANSACTIONS_TOPIC, 0, [{ key: encodeKey('id'), value, timestampMs: 0 }])
  ;({ log, transactions } = await restart())
  const last = { transactionalId: 'id', ...used }
  await transactions.addPartitions(last, targets)
  const next = await transactions.end(last, true, { bumpsEpoch: true })
  assert.equal(next.producerEpoch, 0)
  assert.notEqual(next.producerId, first.producerId)
  ;({ log, transactions } = await restart())
  assert.deepEqual(await transactions.end(last, true, { bumpsEpoch: true }), next)
  assert.notEqual(await transactions.newProducerId(), next.producerId)
  assert.equal((await log.describeProducers('t', 1))[0].producerEpoch, 32_767)
  assert.ok(log.topic(TRANSACTIONS_TOPIC))
})

test('a disk that fails once while producer ids are reserved does not stop them for good', async (t) => {
  const { log, transactions } = await start(t)
  const { appendRecords } = log
  log.appendRecords = () => Promise.reject(new Error('full'))
  await assert.rejects(transactions.newProducerId(), /full/)
  log.appendRecords = appendRecords
  assert.equal(await transactions.newProducerId(), 0)
})
