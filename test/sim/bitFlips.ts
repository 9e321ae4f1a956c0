// Flipped bits, one at a time, in everything that is on the disk: segments, indexes, snapshots, metadata, checkpoints, savepoints. Each is told
// or harmless: what is read and computed is what was written, or an error says what is not there. Wrong data is an assertion that fails.
import assert from 'node:assert/strict'
import { type StreamError, toStreamError } from '../../src/base/index.ts'
import type { Manifest } from '../../src/engine/checkpoints/manifest.ts'
import { restoreOptions } from '../../src/engine/checkpoints/restore.ts'
import { CheckpointStore } from '../../src/engine/checkpoints/store.ts'
import { formatValue } from '../../src/engine/expressions/index.ts'
import { Job, type JobOptions } from '../../src/engine/job.ts'
import { bindProject } from '../../src/jobs/project.ts'
import { SavedStates } from '../../src/jobs/savedStates.ts'
import { ViewCommitter } from '../../src/jobs/sinkCommitters.ts'
import { sourceSpecs } from '../../src/jobs/tables.ts'
import { FakeDisk } from '../../src/log/fakeDisk.ts'
import { inspectLog, openPartitionReader, readRecords } from '../../src/log/index.ts'
import { Append } from '../../src/log/partition.ts'
import { LogStore } from '../../src/log/store.ts'
import { makeBatch } from '../../src/log/testRecords.ts'
import { ViewStore } from '../../src/views/views.ts'
import { isLook } from './faults.ts'
import { Random } from './random.ts'
import { SimLog } from './simLog.ts'
import { World } from './world.ts'

const open = (disk: FakeDisk) => LogStore.open({ disk, folder: '/data', durability: 'fsync' }, 0)
const idOf = (i: number) => `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`

/** Two topics with sealed and growing segments, their indexes and snapshots; and what is in them. */
function makeLog(): { disk: FakeDisk; known: Map<string, string[]> } {
  const disk = new FakeDisk()
  disk.makeFolder('/data')
  disk.syncFolder('/')
  const store = open(disk)
  const known = new Map<string, string[]>()
  for (const [i, name] of ['a', 'b'].entries()) {
    const topic = store.createTopic(name, idOf(i), { partitionCount: 2, 'segment.bytes': 1024 }, 0)
    for (let n = 0; n < 24; n++) {
      const values = [`${name}${n}`.padEnd(50 + n, '.'), `${name}${n}'`]
      const partition = n % 2
      const append = new Append(makeBatch(values))
      store.commit([{ partition: topic.partitions[partition], append }], 0)
      known.set(`${name} ${partition}`, [...(known.get(`${name} ${partition}`) ?? []), ...values])
    }
  }
  store.close()
  return { disk, known }
}

/** Opens the log and reads everything. @returns whether the damage was told; wrong data is an assertion that fails */
function readAll(disk: FakeDisk, known: ReadonlyMap<string, string[]>, what: string): boolean {
  const { isAllRead, isTold } = readValues(disk, known, what)
  if (!isAllRead) assert.ok(isTold, `${what}: records are missing, and nobody says so`)
  return isTold
}

function readValues(disk: FakeDisk, known: ReadonlyMap<string, string[]>, what: string): { isAllRead: boolean; isTold: boolean } {
  let store: LogStore
  try {
    store = open(disk)
  } catch (error) {
    assert.equal((error as StreamError).code, 'LOG_METADATA_DAMAGED', `${what}: ${error}`)
    return { isAllRead: false, isTold: true }
  }
  let isAllRead = true
  let isTold = store.recovery.length > 0
  for (const [place, values] of known) {
    const [name, index] = place.split(' ')
    const partition = Number(index)
    const topic = store.topics.get(name)
    assert.ok(topic, `${what}: topic ${name} is gone`)
    const descriptor = {
      topic: name,
      id: topic.id,
      partitions: topic.partitions.map(({ folder, state }, i) => ({ partition: i, folder, state: state.shared })),
    }
    const reader = openPartitionReader(descriptor, partition, 0, disk)
    const { endOffset } = reader.range
    let count = 0
    while (reader.nextOffset < endOffset) {
      try {
        const run = reader.read()
        if (!run) break
        for (const { offset, value } of readRecords(run.bytes, run.start, run.end, run.fromOffset)) {
          assert.equal(Buffer.from(value!).toString(), values[offset], `${what}: ${place} offset ${offset}`)
          count++
        }
      } catch (error) {
        const { code, params } = toStreamError(error) as StreamError & { params: { nextOffset: number } }
        if (code !== 'LOG_SEGMENT_DAMAGED') throw error
        isTold = true
        assert.ok(params.nextOffset > reader.nextOffset, `${what}: it does not say where to go on`)
        reader.seek(params.nextOffset)
      }
    }
    reader.close()
    if (count < values.filter((value) => value !== undefined).length) isAllRead = false
  }
  store.close()
  return { isAllRead, isTold }
}

/** More than a repair of one file makes: some are not cut off. */
const REPAIR_CALLS_MAX = 12

/** The disk as work leaves it that is killed at one of the calls that change something: none may lose what was there. */
function cutOff(disk: FakeDisk, calls: number, work: () => void): FakeDisk {
  let left = calls
  disk.before = (call) => {
    if (!isLook(call) && left-- === 0) throw new Error('killed')
  }
  try {
    work()
  } catch {
    // What it has done so far stays.
  }
  return disk.afterKill()
}

/**
 * One flipped bit of the log: told or harmless, never wrong data. Then what was told is repaired: nothing but what the repair calls lost is
 * missing, nothing of it is told any more; and with a backup nothing is lost.
 */
function flipLog({ disk, known }: ReturnType<typeof makeLog>, path: string, bit: number, random: Random): boolean {
  const what = `bit ${bit} of ${path}`
  const damaged = disk.crashed({ keep: 1, random: random.next })
  damaged.flip(path, bit)
  const isTold = readAll(damaged, known, what)
  if (!path.endsWith('.log')) return isTold
  for (const hasBackup of [false, true]) {
    let repaired = disk.crashed({ keep: 1, random: random.next })
    repaired.flip(path, bit)
    const spare = (file: string, from: number, to: number) => disk.contentOf(file).subarray(from, to)
    const options = hasBackup ? { spare } : {}
    const ranges = inspectLog('/data', { ...options, disk: repaired })
    if (ranges.length > 0)
      repaired = cutOff(repaired, random.int(0, REPAIR_CALLS_MAX), () => inspectLog('/data', { ...options, disk: repaired, repairs: true }))
    inspectLog('/data', { ...options, disk: repaired, repairs: true })
    const lost = new Map([...known].map(([place, values]) => [place, [...values]]))
    for (const { topic, partition, firstOffset, nextOffset, remedy } of ranges) {
      assert.ok(remedy === 'lost' ? !hasBackup : true, `${what}: the backup has it, and yet it is lost`)
      if (remedy === 'lost') for (let offset = firstOffset; offset < nextOffset; offset++) delete lost.get(`${topic} ${partition}`)![offset]
    }
    // What nobody has confirmed the start cuts off, and says so.
    const { isAllRead, isTold: isStillTold } = readValues(repaired, lost, `${what}, repaired`)
    assert.ok(isAllRead || isStillTold, `${what}: more is lost than the repair says`)
    if (ranges.length > 0) assert.ok(!isStillTold, `${what}: the repair leaves damage: ${JSON.stringify(ranges)}`)
    assert.equal(inspectLog('/data', { disk: repaired }).length, 0, `${what}: damage is left`)
  }
  return isTold
}

const sql = `
CREATE TABLE t0 (id STRING, k STRING, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
  WITH ('connector' = 'kafka', 'topic' = 't0', 'format' = 'json');
CREATE MATERIALIZED TABLE totals (PRIMARY KEY (k) NOT ENFORCED) AS SELECT k, COUNT(*) AS n, SUM(v) AS total, MIN(id) AS least FROM t0 GROUP BY k;
CREATE MATERIALIZED TABLE windows (PRIMARY KEY (window_start, k) NOT ENFORCED) AS
  SELECT window_start, window_end, k, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE t0, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY window_start, window_end, k;
CREATE MATERIALIZED TABLE best (PRIMARY KEY (k, place) NOT ENFORCED) AS SELECT k, place, id, v FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC, id) AS place FROM t0) WHERE place <= 2;`
const project = bindProject([{ name: 'flips.sql', text: sql }])
const BATCHES = 40

/** The log, its readers' views and the job of the project on a disk; `savepoint`: from that instead of the newest checkpoint. */
class Played {
  readonly store: LogStore
  readonly log: SimLog
  readonly views = new ViewStore()
  readonly checkpoints: CheckpointStore
  readonly committers = new Map<string, ViewCommitter>()
  readonly job: Job
  /** What was said of damage. */
  readonly told: string[] = []
  base: Manifest | undefined
  restoredFrom: number | undefined

  /** @throws LOG_METADATA_DAMAGED; CHECKPOINT_DAMAGED of a savepoint */
  constructor(disk: FakeDisk, savepoint?: string) {
    this.store = open(disk)
    this.told.push(...this.store.recovery.map(({ reason }) => reason))
    const clock = () => 0
    const world = new World(new Random(1))
    this.log = new SimLog({
      store: this.store,
      disk,
      folder: '/data',
      world,
      clock,
      newId: () => idOf(9),
      onNoted: (_kind, reason) => this.told.push(reason),
      planCommit: (commit) => commit(),
    })
    this.checkpoints = new CheckpointStore('/data', disk)
    const states = new SavedStates(this.checkpoints, this.log, savepoint, ({ message }) => this.told.push(message))
    const ids = project.queries.map(({ id }) => id)
    for (const { target } of project.queries) if (target.kind === 'materializedTable') this.views.define(target.table)
    let options: JobOptions = { disk }
    for (;;) {
      const saved = states.find().get(ids[0])
      if (!saved) break
      const { folder, manifest } = saved
      try {
        const restore = { dataFolder: '/data', folder, checkpointId: manifest.id, queries: ids, allowsDropped: [] }
        options = restoreOptions(restore, disk)
        for (const id of ids) options.load?.(id)
        const contents = manifest.queries.map((state) => states.viewOf({ ...saved, state })!)
        manifest.queries.forEach(({ id, sink }, i) => {
          this.views.restore(id, contents[i])
          this.committers.set(id, new ViewCommitter(this.views, id, sink.kind === 'view' ? sink.segments : []))
        })
        this.base = manifest
        this.restoredFrom = manifest.id
        break
      } catch (error) {
        options = { disk }
        states.markUnusable({ folder, id: manifest.id }, toStreamError(error))
      }
    }
    if (this.restoredFrom === undefined) for (const id of ids) this.committers.set(id, new ViewCommitter(this.views, id))
    const queries = project.queries.map(({ id, plan }) => ({ id, name: id, plan, sink: { kind: 'view' as const, name: id } }))
    this.job = new Job(
      {
        id: 'job',
        queries,
        sources: sourceSpecs(
          this.log,
          project.queries.map(({ plan }) => plan),
        ),
        timeZone: 'UTC',
      },
      {
        changes: (id, batch) => this.views.apply(id, batch, { epoch: 1 }),
        records: () => {},
        deadLetters: ([{ error }]) => assert.fail(`a row could not be read: ${error.message}`),
        late: () => {},
        failed: (_id, { code, message }) => {
          assert.equal(code, 'LOG_SEGMENT_DAMAGED', message)
          this.told.push(message)
        },
      },
      0,
      options,
    )
  }

  readAll(): void {
    for (let turn = 0; turn < 3 || this.job.step(0); turn++) if (turn < 3) this.job.step(0)
  }

  async checkpoint(id: number): Promise<void> {
    const { queries, updates } = this.job.checkpoint(id)
    const states = []
    for (const state of queries) {
      const cut = await this.committers.get(state.id)!.cut(id)
      states.push({ ...state, sink: cut.state })
      updates.push(...cut.updates)
    }
    const folder = this.checkpoints.folderOf('flips')
    this.base = this.checkpoints.write({ folder, id, job: 'flips', createdMs: id, queries: states, updates, base: this.base })
    this.job.settle(true)
    for (const committer of this.committers.values()) await committer.settle(true)
  }

  rows(): string {
    return JSON.stringify(
      project.queries.map(({ id, plan }) =>
        this.views
          .copy(id, [], [])
          .map((row) => String(row.map((value, i) => formatValue(value, plan.fields[i].type))))
          .sort(),
      ),
    )
  }

  close(): void {
    this.job.close()
    this.views.close()
    this.store.close()
  }
}

/** A log with three checkpoints on the way and a savepoint of the first; then more records. */
async function makeStates(): Promise<{ disk: FakeDisk; expected: string }> {
  const disk = new FakeDisk()
  disk.makeFolder('/data')
  disk.syncFolder('/')
  const setup = open(disk)
  setup.createTopic('t0', idOf(0), { partitionCount: 1, 'segment.bytes': 4096 }, 0)
  setup.close()
  const played = new Played(disk)
  for (let batch = 0; batch < BATCHES; batch++) {
    const rows = Array.from({ length: 6 }, (_, i) => {
      const n = batch * 6 + i
      const ts = new Date(1_767_225_600_000 + n * 300).toISOString().slice(0, 23).replace('T', ' ')
      return JSON.stringify({ id: `e${n}`, k: `k${(n * n) % 13}`, v: (n * 37) % 101, ts })
    })
    const append = new Append(makeBatch(rows))
    played.store.commit([{ partition: played.store.topic('t0').partitions[0], append }], 0)
    played.readAll()
    if (batch % 10 === 9 && batch < 39) await played.checkpoint(batch)
    if (batch === 19) {
      const folder = played.checkpoints.folderOf('flips')
      played.checkpoints.writeSavepoint('before', [{ folder, manifest: played.checkpoints.read(folder, 19) }])
    }
  }
  const expected = played.rows()
  played.close()
  return { disk, expected }
}

/** One flipped bit of checkpoints, savepoints, metadata or the log below them: the queries' tables are the same, or the damage is told. */
function flipStates(
  { disk, expected }: Awaited<ReturnType<typeof makeStates>>,
  path: string,
  bit: number,
  random: Random,
  onOlder: (isThere: boolean) => void,
): boolean {
  const what = `bit ${bit} of ${path}`
  const damaged = disk.crashed({ keep: 1, random: random.next })
  damaged.flip(path, bit)
  let isTold = false
  const isSavepoint = path.startsWith('/data/savepoints')
  let played: Played
  try {
    played = new Played(damaged, isSavepoint ? 'before' : undefined)
  } catch (error) {
    const { code, message } = toStreamError(error)
    assert.ok(code === (isSavepoint ? 'CHECKPOINT_DAMAGED' : 'LOG_METADATA_DAMAGED'), `${what}: ${message}`)
    return true
  }
  played.readAll()
  isTold = played.told.length > 0
  // The newest checkpoint, or an older one; all of them, where they share the damaged bytes. A damaged log may stop the queries, which is told.
  if (path.startsWith('/data/checkpoints') && played.restoredFrom !== 29) {
    assert.ok(isTold, `${what}: the newest checkpoint is not used, and nobody says so`)
    onOlder(played.restoredFrom !== undefined)
  }
  const hasStopped = played.told.length > 0 && path.endsWith('.log')
  if (!hasStopped) assert.equal(played.rows(), expected, `${what}: restored from ${played.restoredFrom}; told: ${played.told}`)
  played.close()
  return isTold
}

export interface FlipReport {
  flips: number
  /** How many were told, by kind of file; the others were harmless. */
  told: Record<string, string>
  /** How often an older checkpoint was used; and how often none was left, because all share the damaged bytes. */
  older: number
  anew: number
}

/** Flips so many bits, one at a time. @throws AssertionError: wrong data, or damage that is not told */
export async function flipBits(flips: number, seed: number, onProgress: (done: number) => void = () => {}): Promise<FlipReport> {
  const random = new Random(seed)
  const log = makeLog()
  const states = await makeStates()
  const filesOf = (disk: FakeDisk) => disk.files().filter((path) => disk.contentOf(path).length > 0)
  const [logFiles, stateFiles] = [filesOf(log.disk), filesOf(states.disk)]
  let [older, anew] = [0, 0]
  const counts = new Map<string, [told: number, all: number]>()
  for (let i = 0; i < flips; i++) {
    const isLog = i % 2 === 0
    const path = random.pick(isLog ? logFiles : stateFiles)
    const bit = random.int(0, (isLog ? log : states).disk.contentOf(path).length * 8 - 1)
    const isTold = isLog
      ? flipLog(log, path, bit, random)
      : flipStates(states, path, bit, random, (isThere) => (isThere ? older++ : anew++))
    const kind = /^\/data\/(checkpoints|savepoints)/.exec(path)?.[1] ?? path.slice(path.lastIndexOf('.') + 1)
    const [told, all] = counts.get(kind) ?? [0, 0]
    counts.set(kind, [told + (isTold ? 1 : 0), all + 1])
    onProgress(i + 1)
  }
  for (const kind of ['log', 'json', 'index', 'checkpoints', 'savepoints']) assert.ok(counts.has(kind), `no bit of ${kind} was flipped`)
  for (const kind of ['log', 'json', 'checkpoints', 'savepoints']) assert.ok(counts.get(kind)![0] > 0, `no damage of ${kind} was told`)
  assert.ok(older > 0, 'no older checkpoint was ever used')
  return { flips, older, anew, told: Object.fromEntries([...counts].map(([kind, [told, all]]) => [kind, `${told} of ${all}`])) }
}
