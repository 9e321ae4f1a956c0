import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { seededRandom } from '../../base/index.ts'
import { diskError, FakeDisk } from '../fakeDisk.ts'
import { openPartitionReader } from '../reader.ts'
import { BatchBuilder, noHeaders, TRANSACTIONAL_FLAG } from '../recordBatch.ts'
import { readRecords } from '../recordIndex.ts'
import { TestLog } from '../testLog.ts'
import type { Transaction, TransactionRef, Transactions } from './contract.ts'
import { openTransactions } from './coordinator.ts'

const PARTITIONS = 2
const IDS = ['sink-0', 'sink-1']

/** One life of the process ends with the disk's call number `crashAfter`, or when its steps are done. */
const life = fc.record({
  steps: fc.array(fc.constantFrom('row', 'row', 'row', 'checkpoint', 'client'), { maxLength: 30 }),
  crashAfter: fc.nat(250),
})

/** What a checkpoint holds: how far the input was read, and the transaction with its rows. */
interface Checkpoint {
  position: number
  ref: TransactionRef | undefined
}

class Killed extends Error {}

/** The process between two crashes. Input row n goes to partition n % 2 as text "n". */
class Process {
  readonly log: TestLog
  readonly transactions: Transactions

  constructor(disk: FakeDisk) {
    this.log = new TestLog(disk)
    this.transactions = openTransactions(this.log.asLog, { disk, checkMs: 1e9 })
  }

  stop(): Promise<void> {
    this.log.stop()
    return this.transactions.close()
  }
}

const record = (text: string) => [{ key: null, value: Buffer.from(text), timestampMs: 0 }]

function committed(log: TestLog, disk: FakeDisk, partition: number): string[] {
  const reader = openPartitionReader(log.descriptor('t'), partition, 0, disk, 'read_committed')
  const texts: string[] = []
  for (let run = reader.read(); run; run = reader.read()) {
    for (const { value } of readRecords(run.bytes, run.start, run.end, run.fromOffset)) texts.push(String(value))
  }
  reader.close()
  return texts
}

// The model: rows below the position of the newest checkpoint are there, each once, in order; rows behind it never, whatever was appended.
// A client beside it commits every other transaction: those that it was told of are there once, those that it was told are aborted never.
test('a sink that commits with its checkpoints gives each row once, killed at any call of the disk', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 5 }), fc.nat(), async (lives, seed) => {
      const random = seededRandom(seed)
      let disk = new FakeDisk()
      let checkpoint: Checkpoint = { position: 0, ref: undefined }
      const clientCommitted: string[] = []
      const clientAborted: string[] = []
      let clientCount = 0

      const live = async (steps: readonly string[]): Promise<void> => {
        const process = new Process(disk)
        const { log, transactions } = process
        try {
          if (!log.topic('t')) await log.createTopic('t', { partitionCount: PARTITIONS, 'segment.bytes': 1_024 })
          if (checkpoint.ref) await transactions.commit(checkpoint.ref)
          let { position } = checkpoint
          let turn = 0
          // What was not in the checkpoint is aborted by this.
          for (const id of IDS) await transactions.begin(id)
          let open: Transaction = await transactions.begin(IDS[turn])
          for (const step of steps) {
            if (step === 'row') {
              const n = position++
              await open.appendRecords('t', n % PARTITIONS, record(`${n}`))
            } else if (step === 'checkpoint') {
              checkpoint = { position, ref: JSON.parse(JSON.stringify(open.ref)) }
              const { ref } = open
              turn = 1 - turn
              open = await transactions.begin(IDS[turn])
              await transactions.commit(ref)
              assert.equal(await transactions.commit(ref), false)
              check(log)
            } else await clientStep(log, transactions)
          }
          check(log)
        } finally {
          await process.stop()
        }
      }
      const clientStep = async (log: TestLog, transactions: Transactions): Promise<void> => {
        const isCommit = clientCount % 2 === 0
        const text = `client ${clientCount++}`
        const producer = await transactions.initProducerId('client', { timeoutMs: 60_000 })
        const ref = { transactionalId: 'client', ...producer }
        await transactions.addPartitions(ref, [{ topic: 't', partition: 0 }])
        const builder = new BatchBuilder()
        builder.appendRecord(null, Buffer.from(text), 0, text.length, noHeaders, 0)
        transactions.verifyPartitions(ref, [{ topic: 't', partition: 0 }])
        await log.append('t', 0, builder.finish({ ...producer, baseSequence: 0, attributes: TRANSACTIONAL_FLAG }))
        if (!isCommit) clientAborted.push(text)
        await transactions.end(ref, isCommit, { bumpsEpoch: true })
        if (isCommit) clientCommitted.push(text)
      }
      const check = (log: TestLog): void => {
        for (let partition = 0; partition < PARTITIONS; partition++) {
          const texts = committed(log, disk, partition)
          const rows = texts.filter((text) => !text.startsWith('client')).map(Number)
          // All of the newest checkpoint, unless something open holds readers back; and nothing else.
          const expected = Array.from({ length: checkpoint.position }, (_, n) => n).filter((n) => n % PARTITIONS === partition)
          assert.deepEqual(rows, expected.slice(0, rows.length))
          if (partition > 0) continue
          const ofClient = texts.filter((text) => text.startsWith('client'))
          assert.deepEqual(ofClient, [...new Set(ofClient)])
          assert.ok(!ofClient.some((text) => clientAborted.includes(text)))
        }
      }
      for (const { steps, crashAfter } of lives) {
        let calls = 0
        disk.before = (call) => {
          if (call !== 'read' && calls++ >= crashAfter) throw Object.assign(new Killed('killed'), diskError('EIO'))
        }
        await live(steps).catch((error: Error) => {
          if (calls <= crashAfter) throw error
        })
        disk = disk.crashed({ keep: 0.5, random })
      }
      // One more life, undisturbed: now everything is decided.
      const process = new Process(disk)
      try {
        const { log, transactions } = process
        if (!log.topic('t')) return
        if (checkpoint.ref) await transactions.commit(checkpoint.ref)
        for (const id of [...IDS, 'client']) await transactions.forget(id)
        check(log)
        const texts = [0, 1].flatMap((partition) => committed(log, disk, partition))
        assert.equal(texts.filter((text) => !text.startsWith('client')).length, checkpoint.position)
        for (const text of clientCommitted) assert.ok(texts.includes(text), `${text} was committed and is lost`)
        assert.deepEqual(transactions.list(), [])
      } finally {
        await process.stop()
      }
    }),
    { numRuns: 150 },
  )
})
