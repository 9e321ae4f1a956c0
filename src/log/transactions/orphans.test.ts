import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Isolation } from '../contract.ts'
import { FakeDisk } from '../fakeDisk.ts'
import { MARKER_BYTES } from '../marker.ts'
import { openPartitionReader } from '../reader.ts'
import { BatchBuilder, noHeaders, TRANSACTIONAL_FLAG } from '../recordBatch.ts'
import { readRecords } from '../recordIndex.ts'
import { TestLog } from '../testLog.ts'
import type { ProducerIdAndEpoch, TransactionRef, Transactions } from './contract.ts'
import { openTransactions, TRANSACTIONS_TOPIC } from './coordinator.ts'
import { judge } from './orphans.ts'
import type { TransactionRecord } from './stateRecords.ts'

const record = (text: string) => [{ key: null, value: Buffer.from(text), timestampMs: 0 }]

class Process {
  readonly disk: FakeDisk
  readonly log: TestLog
  readonly transactions: Transactions

  constructor(disk: FakeDisk) {
    this.disk = disk
    this.log = new TestLog(disk)
    this.transactions = openTransactions(this.log.asLog, { disk, checkMs: 1e9 })
  }

  /** What a reader of committed records sees of topic t, and whether it gets to the end. */
  read(isolation: Isolation = 'read_committed'): { texts: string[]; isAtEnd: boolean } {
    const { endOffset, lastStableOffset } = this.log.topic('t')!.partitions[0]
    const reader = openPartitionReader(this.log.descriptor('t'), 0, 0, this.disk, isolation)
    const texts: string[] = []
    for (let run = reader.read(); run; run = reader.read())
      for (const { value } of readRecords(run.bytes, run.start, run.end, run.fromOffset)) texts.push(String(value))
    reader.close()
    return { texts, isAtEnd: lastStableOffset === endOffset }
  }

  async stop(): Promise<void> {
    await this.transactions.close()
    this.log.stop()
  }

  /** As a client without and with an epoch of its own for each transaction (KIP-890). */
  async client(producer: ProducerIdAndEpoch, sequence: number, text: string, isCommit: boolean, bumpsEpoch: boolean) {
    const { log, transactions } = this
    const ref = { transactionalId: 'client', ...producer }
    await transactions.addPartitions(ref, [{ topic: 't', partition: 0 }])
    const builder = new BatchBuilder()
    builder.appendRecord(null, Buffer.from(text), 0, text.length, noHeaders, 0)
    await log.append('t', 0, builder.finish({ ...producer, baseSequence: sequence, attributes: TRANSACTIONAL_FLAG }))
    return transactions.end(ref, isCommit, { bumpsEpoch })
  }
}

const logOf = (process: Process, topic: string) => `${process.log.descriptor(topic).partitions[0].folder}/${'0'.repeat(20)}.log`

/** The same disk as a power cut left it: all is there, but for the end of one file. */
function torn(disk: FakeDisk, path: string, size: number): FakeDisk {
  const again = disk.crashed({ keep: 1, random: () => 0 })
  again.overwrite(path, again.contentOf(path).slice(0, size))
  return again
}

const lives: Record<string, { isCommit: boolean; run(process: Process): Promise<TransactionRef | undefined> }> = {
  'a sink commits': {
    isCommit: true,
    async run({ transactions }) {
      const one = await transactions.begin('sink')
      await one.appendRecords('t', 0, record('x'))
      await transactions.commit(one.ref)
      return one.ref
    },
  },
  'a sink aborts': {
    isCommit: false,
    async run({ transactions }) {
      const one = await transactions.begin('sink')
      await one.appendRecords('t', 0, record('x'))
      await transactions.abort(one.ref)
      return undefined
    },
  },
  ...Object.fromEntries(
    [true, false].flatMap((isCommit) =>
      [true, false].map((bumpsEpoch) => [
        `a client ${isCommit ? 'commits' : 'aborts'}${bumpsEpoch ? ', with the next epoch' : ''}`,
        {
          isCommit,
          async run(process: Process) {
            const producer = await process.transactions.initProducerId('client', { timeoutMs: 60_000 })
            await process.client(producer, 0, 'x', isCommit, bumpsEpoch)
            return undefined
          },
        },
      ]),
    ),
  ),
}

for (const [name, { isCommit, run }] of Object.entries(lives)) {
  test(`${name}: its marker, torn at every byte, is written again`, async () => {
    const first = new Process(new FakeDisk())
    await first.log.createTopic('t', {})
    const ref = await run(first)
    await first.stop()
    const path = logOf(first, 't')
    const size = first.disk.contentOf(path).length
    for (let left = size - MARKER_BYTES; left <= size; left++) {
      const process = new Process(torn(first.disk, path, left))
      assert.equal(process.read().isAtEnd, left === size)
      if (ref) assert.equal(await process.transactions.commit(ref), false)
      const [texts, { reports }] = [isCommit ? ['x'] : [], process.log]
      // The first request comes after it.
      await process.transactions.forget('nobody')
      assert.deepEqual(process.read(), { texts, isAtEnd: true }, `${left - size}`)
      assert.match(reports.map(({ reason }) => reason).join(), left === size ? /^$/ : isCommit ? /was committed, as/ : /was aborted$/)
      // And the next transaction is one of its own.
      const next = await process.transactions.begin('sink')
      await next.appendRecords('t', 0, record('y'))
      assert.deepEqual(process.read(), { texts, isAtEnd: false })
      await process.transactions.commit(next.ref)
      assert.deepEqual(process.read(), { texts: [...texts, 'y'], isAtEnd: true })
      await process.stop()
    }
  })
}

test('the states of a transaction, torn at every byte: it is committed with its rows, or known as aborted, and nobody waits', async () => {
  const first = new Process(new FakeDisk())
  await first.log.createTopic('t', {})
  const one = await first.transactions.begin('sink')
  await one.appendRecords('t', 0, record('x'))
  const [marker, states] = [logOf(first, 't'), logOf(first, TRANSACTIONS_TOPIC)]
  const undecided = torn(first.disk, marker, Number.POSITIVE_INFINITY)
  await first.transactions.commit(one.ref)
  await first.stop()
  const outcomes = new Set<string>()
  for (const disk of [first.disk, undecided]) {
    for (let left = disk.contentOf(states).length; left >= 0; left--) {
      const process = new Process(torn(disk, states, left))
      const outcome = await process.transactions.commit(one.ref).then(String, ({ code }) => code)
      await process.transactions.begin('sink')
      const { texts, isAtEnd } = process.read()
      assert.ok(isAtEnd)
      // Only where its marker is there already it may be seen though nobody knows of it.
      if (outcome !== 'LOG_TRANSACTION_ABORTED') assert.deepEqual(texts, ['x'], `${left}`)
      else if (disk === undecided) assert.deepEqual(texts, [], `${left}`)
      outcomes.add(outcome)
      await process.stop()
    }
  }
  assert.deepEqual([...outcomes].sort(), ['LOG_TRANSACTION_ABORTED', 'false', 'true'])
})

const step = fc.constantFrom('sink 0', 'sink 1', 'abort', 'client', 'client aborts', 'plain')

// The model: which texts were committed and which aborted. The ends of both files are lost, each at its own byte.
test('whatever is torn off the log and the states, nothing that was aborted is seen, nothing twice, and readers get to the end', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), fc.nat(), fc.nat(), async (steps, logCut, statesCut) => {
      const first = new Process(new FakeDisk())
      await first.log.createTopic('t', {})
      const { transactions } = first
      const aborted = new Set<string>()
      const refs: { ref: TransactionRef; text: string }[] = []
      let client = await transactions.initProducerId('client', { timeoutMs: 60_000 })
      for (const [i, step] of steps.entries()) {
        const text = `${i}`
        if (step.endsWith('abort') || step.endsWith('aborts')) aborted.add(text)
        if (step === 'plain') await first.log.appendRecords('t', 0, record(text))
        else if (step.startsWith('client')) client = await first.client(client, 0, text, step === 'client', true)
        else {
          const one = await transactions.begin(step)
          await one.appendRecords('t', 0, record(text))
          if (step === 'abort') await transactions.abort(one.ref)
          else {
            await transactions.commit(one.ref)
            refs.push({ ref: one.ref, text })
          }
        }
      }
      await first.stop()
      const [path, states] = [logOf(first, 't'), logOf(first, TRANSACTIONS_TOPIC)]
      let { disk } = first
      disk = torn(disk, path, disk.contentOf(path).length - (logCut % 400))
      if (disk.files().includes(states)) disk = torn(disk, states, disk.contentOf(states).length - (statesCut % 600))
      const process = new Process(disk)
      const newest = refs.at(-1)
      const outcome = newest && (await process.transactions.commit(newest.ref).then(String, ({ code }) => code))
      for (const id of ['sink 0', 'sink 1', 'abort']) await process.transactions.begin(id)
      await process.transactions.initProducerId('client', { timeoutMs: 60_000 })
      const { texts, isAtEnd } = process.read()
      assert.ok(isAtEnd)
      assert.deepEqual(
        texts,
        [...new Set(texts)].sort((a, b) => Number(a) - Number(b)),
      )
      assert.deepEqual(
        texts.filter((text) => aborted.has(text)),
        [],
      )
      const isLeft = newest && process.read('read_uncommitted').texts.includes(newest.text)
      if (isLeft && outcome !== 'LOG_TRANSACTION_ABORTED') assert.ok(texts.includes(newest.text), `${newest.text}: ${outcome}`)
      await process.stop()
    }),
    { numRuns: 300 },
  )
})

test('a client that keeps its epoch: the end of another transaction is not the end of this one', () => {
  const at = (state: TransactionRecord['state'], producerEpoch: number, partition?: number): TransactionRecord => ({
    transactionalId: 'client',
    producerId: 5,
    producerEpoch,
    state,
    timeoutMs: 60_000,
    partitions: new Map(partition === undefined ? [] : [['t', new Set([partition])]]),
    startMs: -1,
    lastUpdateMs: 0,
    previousProducerId: -1,
    nextProducerId: -1,
    bumpsEpoch: false,
    lastCommitted: state.endsWith('Commit') ? { producerId: 5, producerEpoch } : undefined,
  })
  const open = { topic: 't', partition: 0, producerId: 5, producerEpoch: 0, firstOffset: 0 }
  const verdict = (history: TransactionRecord[]) => judge(open, history.at(-1), history)
  assert.equal(verdict([at('Ongoing', 0, 0), at('PrepareCommit', 0, 0), at('CompleteCommit', 0)]), 'commit')
  // What was committed had another partition.
  assert.equal(verdict([at('Ongoing', 0, 1), at('PrepareCommit', 0, 1), at('CompleteCommit', 0)]), 'adopt')
  // The next epoch aborted a transaction of its own; without one, its abort is the fence of this epoch.
  const committed = [at('Ongoing', 0, 0), at('PrepareCommit', 0, 0), at('CompleteCommit', 0)]
  const later = [at('Empty', 1), at('Ongoing', 1, 0), at('PrepareAbort', 1, 0), at('CompleteAbort', 1)]
  assert.equal(verdict([...committed, ...later]), 'commit')
  assert.equal(verdict([at('Ongoing', 0, 0), at('PrepareAbort', 1, 0), at('CompleteAbort', 1)]), 'abort')
})
