// Cost of checkpoints, and time to recover. A GROUP BY of many keys in one job, its checkpoints written by their own thread, as in the platform.
//
// State of --mb MB is built up; then events of random keys (every part of the state changes) or of one key in a hundred are read, in turn
// for --interval seconds without a checkpoint, and for as long with one at the beginning: what one costs, written and all, where they follow
// each other so. Then a process that knows nothing opens the log (with --log-gb GB beside) and goes on from the checkpoint: until its first
// event is processed.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { benchOptions, numberIn } from '../scripts/options.ts'
import { Job, type JobPort, type JobSpec, restoreOptions } from '../src/engine/index.ts'
import { CheckpointWriter } from '../src/jobs/checkpointWriter.ts'
import { bindProject } from '../src/jobs/index.ts'
import { BatchBuilder, type Log, noHeaders, openLog } from '../src/log/index.ts'

const flags = benchOptions('checkpoint', {
  about: 'What checkpoints cost a GROUP BY of many keys, and how long it takes to go on from one.',
  takes: 'about three minutes',
  options: {
    mb: { value: 'N', default: '1000', doc: 'size of the state' },
    interval: { value: 'SECONDS', default: '10', doc: 'of reading, without a checkpoint and with one' },
    rounds: { value: 'N', default: '2', doc: 'of these two' },
    'log-gb': { value: 'N', default: '0', doc: 'size of the log beside, when it goes on' },
    keys: { value: 'HOW', default: 'random,hundredth', doc: 'which keys the events have: of all, or of one in a hundred' },
  },
  examples: ['', '--mb 200 --interval 5', '--log-gb 10'],
})
const intervalMs = numberIn('interval', flags.interval, 0.1) * 1_000
const rounds = numberIn('rounds', flags.rounds, 1)
/** What a checkpoint has of a key: its text and where that begins, its accumulators. The look-up's slots are made again. */
const KEY_BYTES = 46
const keyCount = Math.ceil((numberIn('mb', flags.mb, 1) * 1e6) / KEY_BYTES)
const BATCH = 20_000
/** Each record of the 10 GB beside, so that they are there in seconds. */
const BESIDE_BYTES = 1_000
/** Records have one fixed time: no retention may take them away for it. */
const kept = { 'retention.ms': -1 }

const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-checkpoint-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const sql = `CREATE TABLE events (k STRING NOT NULL, v BIGINT NOT NULL) WITH ('connector' = 'kafka', 'topic' = 'events', 'format' = 'json');
CREATE TABLE sums (k STRING, n BIGINT, s BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO sums SELECT k, COUNT(*), SUM(v) FROM events GROUP BY k;`
const [query] = bindProject([{ name: 'bench.sql', text: sql }]).queries
const port: JobPort = { changes: () => {}, records: () => {}, late: () => {}, deadLetters: () => {}, failed: (_id, error) => fail(error) }
function fail(error: Error): never {
  console.error(error)
  process.exit(1)
}

async function append(log: Log, topic: string, count: number, keyAt: (i: number) => number): Promise<void> {
  const builder = new BatchBuilder(BATCH * 48)
  const scratch = Buffer.alloc(64)
  for (let from = 0; from < count; from += BATCH) {
    const to = Math.min(count, from + BATCH)
    for (let i = from; i < to; i++) {
      const size = scratch.write(`{"k":"key-${String(keyAt(i)).padStart(10, '0')}","v":${i % 100}}`, 'latin1')
      builder.appendRecord(null, scratch, 0, size, noHeaders, 1_767_225_600_000)
    }
    await log.append(topic, 0, builder.finish())
  }
}

const specOf = (log: Log): JobSpec => ({
  id: 'bench',
  queries: [{ id: query.id, name: query.id, plan: query.plan, sink: { kind: 'blackhole' } }],
  sources: [
    {
      table: 'events',
      topic: 'events',
      descriptor: log.descriptor('events'),
      format: 'json',
      formatOptions: {},
      onError: 'fail',
      isolation: 'read_committed',
      startup: 'earliest-offset',
    },
  ],
  timeZone: 'UTC',
})

const jobFolder = join(folder, 'checkpoints', 'bench')
const writer = new CheckpointWriter({ dataFolder: folder })
let newestId: number | undefined

/** One checkpoint, as the platform takes it; resolves when it is durable. */
function checkpoint(
  job: Job,
  id: number,
): { stallMs: number; durable: Promise<{ writtenBytes: number; fullBytes: number; tookMs: number }> } {
  const startedMs = performance.now()
  const { queries, updates } = job.checkpoint(id)
  const stallMs = performance.now() - startedMs
  const request = { folder: jobFolder, id, job: 'bench', createdMs: Date.now(), queries, updates }
  const durable = writer.run({ type: 'write', request, baseId: newestId, retained: 2 }).then((manifest) => {
    job.settle(true)
    newestId = id
    return { writtenBytes: manifest!.writtenBytes, fullBytes: manifest!.fullBytes, tookMs: performance.now() - startedMs }
  })
  return { stallMs, durable }
}

const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`
let lastId = 0

const rowsIn = (job: Job) => job.status()[0].rowsIn

/** Reads for an interval, or what is there; takes a checkpoint at its beginning, if so. Events per second, and per second of this thread's own time. */
async function read(job: Job, forMs: number, withCheckpoint: boolean, notes: string[]): Promise<[perSecond: number, perCpuSecond: number]> {
  const startedMs = performance.now()
  const startedCpu = process.threadCpuUsage()
  const before = rowsIn(job)
  let pending: Promise<void> | undefined
  if (withCheckpoint) {
    const { stallMs, durable } = checkpoint(job, ++lastId)
    pending = durable.then(({ writtenBytes, fullBytes, tookMs }) => {
      notes.push(
        `${mb(writtenBytes)} of ${mb(fullBytes)} written in ${(tookMs / 1_000).toFixed(1)} s, stood still for ${stallMs.toFixed(0)} ms`,
      )
      pending = undefined
    })
  }
  while (performance.now() - startedMs < forMs && job.step(Date.now())) if (pending) await nextTurn()
  const tookMs = performance.now() - startedMs
  const { user, system } = process.threadCpuUsage(startedCpu)
  const count = rowsIn(job) - before
  await pending
  if (forMs < Infinity && tookMs < forMs) console.log(`  all events read after ${(tookMs / 1_000).toFixed(1)} s`)
  return [count / (tookMs / 1e3), count / ((user + system) / 1e6)]
}

/** As many bytes of one batch, again and again. */
async function fill(log: Log, topic: string, bytes: number): Promise<void> {
  const builder = new BatchBuilder(BATCH * 48)
  const record = Buffer.alloc(BESIDE_BYTES, 'x')
  for (let i = 0; i < 1_000; i++) builder.appendRecord(null, record, 0, record.length, noHeaders, 1_767_225_600_000)
  const batch = builder.finish()
  for (let written = 0; written < bytes; written += batch.length) await log.append(topic, 0, new Uint8Array(batch))
}

const log = await openLog({ folder, durability: 'os' })
await log.createTopic('events', kept)
if (Number(flags['log-gb']) > 0) {
  await log.createTopic('beside', kept)
  await fill(log, 'beside', Number(flags['log-gb']) * 1e9)
}
const order = (i: number) => Number((BigInt(i) * 2_654_435_761n) % BigInt(keyCount))
/** In another order than that in which the keys came. */
function random(i: number): number {
  let h = Math.imul(i ^ (i >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return ((h ^ (h >>> 16)) >>> 0) % keyCount
}
await append(log, 'events', keyCount, order)
const job = new Job(specOf(log), port, Date.now())
await read(job, Infinity, false, [])
const first = checkpoint(job, ++lastId)
const { fullBytes, tookMs } = await first.durable
console.log(
  `state: ${keyCount.toLocaleString('en')} keys, ${mb(fullBytes)}; the first checkpoint, of all of it, took ${(tookMs / 1_000).toFixed(1)} s`,
)

/** Enough for an interval, at the speed of a machine with nothing else to do. */
const eventCount = Math.ceil((intervalMs / 1_000) * 2_000_000)
const loads = {
  random: ['events of random keys', random],
  hundredth: ['events of one key in a hundred', (i: number) => i % Math.ceil(keyCount / 100)],
} as const
for (const [load, [name, keyAt]] of Object.entries(loads)) {
  if (!flags.keys.split(',').includes(load)) continue
  const notes: string[] = []
  const sums = { without: [0, 0], with: [0, 0] }
  for (let round = 0; round < rounds; round++)
    // In turn which comes first: the machine's speed changes.
    for (const withCheckpoint of round % 2 === 0 ? [false, true] : [true, false]) {
      await append(log, 'events', eventCount, (i) => keyAt(i + round * 7))
      const rates = await read(job, intervalMs, withCheckpoint, notes)
      rates.forEach((rate, i) => {
        sums[withCheckpoint ? 'with' : 'without'][i] += rate / rounds
      })
    }
  for (const [i, of] of ['a second', "a second of the thread's CPU time"].entries())
    console.log(
      `${name}: ${(sums.without[i] / 1e6).toFixed(2)} M without, ${(sums.with[i] / 1e6).toFixed(2)} M with one every ${flags.interval} s, ${of}: ${((1 - sums.with[i] / sums.without[i]) * 100).toFixed(1)} % less`,
    )
  for (const note of notes) console.log(`  ${note}`)
}
await checkpoint(job, ++lastId).durable
await append(log, 'events', 1_000, order)
job.close()
await log.close()

const startedMs = performance.now()
const again = await openLog({ folder, durability: 'os' })
const openedMs = performance.now()
const spec = specOf(again)
const restore = { dataFolder: folder, folder: jobFolder, checkpointId: newestId!, queries: [query.id], allowsDropped: [] }
const restored = new Job(spec, port, Date.now(), restoreOptions(restore))
const restoredMs = performance.now()
if (!restored.step(Date.now())) throw new Error('nothing to read after the restart')
const doneMs = performance.now()
const [log1, state1, event1] = [openedMs - startedMs, restoredMs - openedMs, doneMs - restoredMs].map((ms) => (ms / 1_000).toFixed(2))
console.log(`recovery: first event after ${((doneMs - startedMs) / 1_000).toFixed(2)} s (log ${log1}, state ${state1}, event ${event1})`)
restored.close()
await again.close()
await writer.close()
process.exit(0)
