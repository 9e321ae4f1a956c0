// One run: a world from a seed. Producers write, consumers read, queries compute; disk, network, clock and crashes do what the seed says.
// Then all faults end, what is left is written and read, and everything is compared with the model.
//
// Longer than other files because every fault and every check touches the same run.

import { FakeDisk } from '../../src/log/fakeDisk.ts'
import { Admin } from './admin.ts'
import { installCanonicalSerialize } from './canonical.ts'
import { Consumer, type ConsumerOptions } from './consumer.ts'
import { DiskFaults, type FaultPlan, faultKinds, faultOf, journalSites, siteOf, spillSites } from './faults.ts'
import { type Journaling, journalingOf, referenceJournaling } from './journaling.ts'
import { type Contents, Model } from './model.ts'
import { Network, type NetworkFaults } from './network.ts'
import { rowsOf, writtenValue } from './outputs.ts'
import {
  BASE_MS,
  type Event,
  filter,
  LAST_MS,
  type Pipeline,
  rowText,
  type SinkKind,
  type Taken,
  templates,
  textOfEvent,
} from './pipelines.ts'
import { type CheckpointReads, COMPACTED, FOLDER, SimProcess } from './process.ts'
import { HttpProducer, KafkaProducer } from './producers.ts'
import { Random } from './random.ts'
import { type Scaling, scalingOf } from './scaling.ts'
import { TransactionalProducer, type TransactionPlan } from './transactionalProducer.ts'
import type { Sent } from './wire.ts'
import { installTimers, Violation, World } from './world.ts'

export interface RunResult {
  seed: number
  /** Of the trace: the same for each run of a seed. */
  hash: string
  violation?: string
  hits: Map<string, number>
}

/** In one subtask with all state in memory; or in several, another number after each start, with all state on the disk. */
export type Workload = 'plain' | 'scaled'
/** One crash of a reference workload, and nothing else that goes wrong. */
export interface CrashPoint {
  workload: Workload
  /** Writes, syncs, renames and whatever else changes the disk that come before it. */
  afterChanges: number
  /** Of what was not synced: `kill` leaves all, 0 drops all, in between it is torn and reordered. */
  keep: 'kill' | number
}
export const CRASH_KEEPS: readonly CrashPoint['keep'][] = ['kill', 0, 0.5, 0.9]
const REFERENCE_SEED = 6

/** Longest time of a run on its own clock: beyond it something hangs. */
const UNTIL_MS = 180_000
/** What failed just before the faults ended may be told a moment later. */
const AFTERMATH_MS = 200
const KEYS = ['a', 'b', 'c']
/** Of seeds with several subtasks: one of its queries needs no exchange. */
const FILTER_SHARE = 0.3
/** The clock jumps. */
const ANY_TIME = { 'message.timestamp.after.max.ms': Number.MAX_SAFE_INTEGER }
const OTHER_TOPICS = {
  c0: { ...COMPACTED, partitionCount: 1, ...ANY_TIME },
  r0: { partitionCount: 1, 'segment.bytes': 1024, 'retention.bytes': 2048, ...ANY_TIME },
}
installCanonicalSerialize()

type Writer = KafkaProducer | HttpProducer | TransactionalProducer

interface Scenario {
  pipelines: Pipeline[]
  /** Where each one's rows go. */
  sinks: SinkKind[]
  hasTransactions: boolean
  /** A topic that is compacted and one that keeps little, each with a writer and a reader of its own. */
  hasCleaning: boolean
  /** Batches of those writers, transactions of each producer, and what somebody does with topics of their own. */
  cleanedBatchCount: number
  transactionCount: number
  adminCount: number
  partitionCounts: number[]
  segmentBytes: number
  /** Of the watermark. */
  delayMs: number
  /** How much earlier than the newest an event may be. */
  disorderMs: number
  scaling: Scaling
  faults: FaultPlan
  network: NetworkFaults | undefined
  batchCount: number
}

function scenarioOf(random: Random, scaling: Scaling): Scenario {
  const names = Object.keys(templates)
  const pipelines = Array.from({ length: random.int(1, 2) }, () => templates[random.pick(names)](random))
  // Topics of one partition have it in one subtask.
  if (scaling.parallelisms.some((count) => count > 1) && scaling.random.chance(FILTER_SHARE)) pipelines[0] = filter(random)
  const some = (share: number, value: number) => (random.chance(share) ? value : 0)
  const needsOrder = pipelines.some((pipeline) => pipeline.needsOrder)
  const delayMs = random.pick([500, 1000, 2000])
  const calm = random.chance(0.05)
  return {
    pipelines,
    sinks: pipelines.map(({ isAppendOnly, operator }) => {
      if (operator === 'filter') return scaling.random.pick(['topic', 'topic', 'topic', 'json files', 'csv files'])
      return isAppendOnly
        ? random.pick(['view', 'topic', 'topic', 'upsert topic', 'json files', 'csv files'])
        : random.pick(['view', 'upsert topic'])
    }),
    hasTransactions: !needsOrder && random.chance(0.5),
    hasCleaning: random.chance(0.4),
    cleanedBatchCount: 25,
    transactionCount: 8,
    adminCount: 12,
    partitionCounts: [random.int(1, 3), random.int(1, 2)],
    segmentBytes: random.pick([1024, 4096, 16_384, 1 << 20]),
    delayMs,
    scaling,
    disorderMs: needsOrder ? delayMs : random.pick([0, delayMs, delayMs * 3]),
    faults: {
      sync: calm ? 0 : some(0.4, 0.02),
      io: calm ? 0 : some(0.3, 0.005),
      fullEveryMs: calm ? 0 : some(0.25, 900),
      handlesEveryMs: calm ? 0 : some(0.2, 900),
      failEveryMs: calm ? 0 : some(0.4, 500),
      short: some(0.3, 0.1),
      crashEveryMs: calm ? 0 : some(0.8, random.pick([300, 800, 2_000])),
      clockEveryMs: some(0.25, 700),
      taskPauseEveryMs: calm ? 0 : some(0.5, 300),
    },
    network: random.chance(0.7) ? { reset: some(0.7, 0.01), halfOpen: some(0.5, 0.003), slow: some(0.7, 0.03) } : undefined,
    batchCount: random.int(8, 24),
  }
}

/** What is crashed at every call: small, with each kind of part. */
function referenceScenario(random: Random, scaling: Scaling, workload: Workload): Scenario {
  const none = {
    sync: 0,
    io: 0,
    fullEveryMs: 0,
    handlesEveryMs: 0,
    failEveryMs: 0,
    short: 0,
    crashEveryMs: 0,
    clockEveryMs: 0,
    taskPauseEveryMs: 0,
  }
  const isScaled = workload === 'scaled'
  return {
    pipelines: isScaled
      ? [templates.tumble(random), templates.group(random)]
      : [templates.tumble(random), templates.group(random), templates.cumulate(random)],
    sinks: isScaled ? ['topic', 'view'] : ['topic', 'view', 'json files'],
    hasTransactions: !isScaled,
    hasCleaning: !isScaled,
    cleanedBatchCount: 8,
    transactionCount: 2,
    adminCount: 3,
    partitionCounts: [2, 1],
    segmentBytes: 1024,
    delayMs: 500,
    disorderMs: 0,
    scaling: {
      ...scaling,
      ...(isScaled ? { parallelisms: [2, 3], limitsBytes: [0], keyGroups: 3 } : { parallelisms: [1], limitsBytes: [] }),
    },
    faults: none,
    network: undefined,
    batchCount: 2,
  }
}

export class Simulation {
  readonly world: World
  readonly model = new Model()
  private readonly random: Random
  private readonly scenario: Scenario
  private readonly journaling: Journaling | undefined
  private readonly network: Network
  private healedMs = Number.NEGATIVE_INFINITY
  private readonly faults: DiskFaults
  private readonly admin: Admin
  private process: SimProcess | undefined
  private disk = new FakeDisk()
  private readonly checkpoints = new Map<string, CheckpointReads>()
  private jumpMs = 0
  private idCount = 0
  private eventCount = 0
  private startCount = 0
  private expectsDamage = false
  private cutsPowerNext = false

  private readonly point: CrashPoint | undefined

  /** @param point  plays the reference workload with that crash, instead of what the seed says */
  constructor(seed: number, onLine?: (line: string) => void, point?: CrashPoint) {
    this.random = new Random(seed)
    this.world = new World(this.random, onLine)
    this.point = point
    const scaling = scalingOf(seed)
    this.scenario = point ? referenceScenario(this.random, scaling, point.workload) : scenarioOf(this.random, scaling)
    this.network = new Network(this.world, this.scenario.network)
    this.journaling = point ? referenceJournaling() : journalingOf(seed)
    const moreSites = [...(scaling.limitsBytes.length > 0 ? spillSites : []), ...(this.journaling ? journalSites : [])]
    this.faults = new DiskFaults(this.world, this.scenario.faults, moreSites, scaling.random)
    this.admin = new Admin(this.world, () => this.process?.liveLog, this.scenario.adminCount)
    if (point) this.faults.crashAfterChanges = point.afterChanges
  }

  /** Calls that have changed the disk. */
  get changes(): number {
    return this.faults.changes
  }

  private readonly clock = (): number => BASE_MS + Math.floor(this.world.nowMs) + this.jumpMs
  private readonly newId = (): string => `00000000-0000-4000-8000-${String(++this.idCount).padStart(12, '0')}`

  async run(): Promise<void> {
    const { world, scenario, disk } = this
    const { faults, pipelines, partitionCounts, scaling } = scenario
    world.trace(
      `${pipelines.map(({ operator }) => operator).join(', ')}; ${partitionCounts.join(' and ')} partitions; ${JSON.stringify(faults)}`,
    )
    world.trace(`subtasks: ${scaling.parallelisms}; state in memory: ${scaling.limitsBytes}, in ${scaling.keyGroups} parts`)
    disk.makeFolder(FOLDER)
    disk.syncFolder('')
    // Some meet their first fault while they start.
    if (faults.crashEveryMs > 0 && this.random.chance(0.6)) this.faults.planForFirstStart()
    // As full as that some get to the last file that a first start makes, and no further.
    if (faults.fullEveryMs > 0 && this.random.chance(0.3)) this.fillDisk(8_000)
    await this.startProcess()
    this.planFaults(faults)
    const writers = this.makeWriters()
    const readers = this.makeReaders('reader')
    for (const client of [...writers, ...readers])
      client.start(client.name === 'tx-2' ? this.random.int(200, 1_000) : this.random.next() * 50)
    this.admin.work()
    const quietMs = this.point ? 250 : 1_500 + this.random.int(0, 3_000)
    world.after(quietMs, () => this.heal())
    await world.run(() => world.nowMs > quietMs && writers.every(({ isDone }) => isDone), UNTIL_MS)
    await this.finish(readers)
  }

  /** Counts which kinds of faults met which operators. Nothing of it stays: what is not closed is held by the metrics. */
  end(): void {
    const { hits } = this.world
    for (const kind of faultKinds)
      if ([...hits.keys()].some((what) => what.startsWith(kind)))
        for (const { operator } of this.scenario.pipelines) this.world.hit(faultOf(kind, operator))
    if (this.process?.isDead === false) this.process.die()
  }

  private deps() {
    const { world, network, model, clock } = this
    const endpoint = {
      accept: () => this.process?.accept(),
      post: (request: Parameters<SimProcess['post']>[0]) => this.process?.post(request),
    }
    return { world, network, model, clock, endpoint }
  }

  // ---- the process and its crashes

  private async startProcess(): Promise<void> {
    const { world, disk, scenario, clock, newId } = this
    const start = ++this.startCount
    const retry = (error: unknown, process: SimProcess | undefined) => {
      if (start !== this.startCount) return
      if (error instanceof Violation) throw error
      if (this.faults.plan === undefined) throw new Violation(`it does not start: ${(error as Error).stack}`)
      world.hit('start failed')
      world.trace(`start failed: ${(error as { code?: string }).code}`)
      process?.die()
      this.disk = disk.afterKill()
      world.after(this.random.int(5, 50), () => this.startProcess())
    }
    this.faults.attach(disk, (site) => this.crash(site))
    const tables = scenario.partitionCounts.map((partitionCount) => ({ partitionCount, delayMs: scenario.delayMs }))
    const otherTopics = scenario.hasCleaning ? OTHER_TOPICS : {}
    const mayFail = () => this.faults.plan !== undefined || world.nowMs < this.healedMs + AFTERMATH_MS
    const { pipelines, sinks, segmentBytes, scaling } = scenario
    let process: SimProcess | undefined
    try {
      process = new SimProcess({
        world,
        disk,
        clock,
        newId,
        pipelines,
        sinks,
        tables,
        segmentBytes,
        otherTopics,
        scaling,
        journaling: this.journaling,
        expectsDamage: this.expectsDamage,
        mayFail,
        checkpoints: this.checkpoints,
      })
      this.process = process
      await process.start()
      if (!process.isReady || start !== this.startCount) return
      world.trace('started')
      this.admin.check(process.log)
    } catch (error) {
      retry(error, process)
    }
  }

  /** The process is gone in the middle of what it does; the machine too, or not. */
  private crash(site: string): void {
    const { world, random, disk, process, point } = this
    const isLoss = this.cutsPowerNext
    this.cutsPowerNext = false
    const isPowerCut = point ? point.keep !== 'kill' : isLoss || random.chance(0.6)
    const keep = point ? Number(point.keep) : random.pick(isLoss ? [0, 0.5] : [0, 0.5, 0.9, 1])
    world.hit(`crash at ${site}`)
    world.hit(
      isPowerCut ? `power cut, ${keep === 0 ? 'unsynced dropped' : keep === 1 ? 'unsynced kept' : 'unsynced torn and reordered'}` : 'kill',
    )
    if (isLoss) world.hit('power cut, of what several had left unsynced')
    for (const { operator } of this.scenario.pipelines) world.hit(`crash of ${operator}`)
    world.trace(`crash at ${site}, ${isPowerCut ? `power cut keeping ${keep}` : 'kill'}`)
    const next = isPowerCut ? disk.crashed({ keep, random: random.next }) : undefined
    this.process = undefined
    this.startCount++
    process?.die()
    this.disk = disk.afterKill()
    if (next) this.disk = next
    // The next start may be cut off too.
    if (this.faults.plan && !point && random.chance(0.2)) this.faults.planCrash()
    // What the killed process left in the page cache, the next one takes for durable at its peril.
    if (!isPowerCut && !point && random.chance(0.3))
      world.after(random.int(50, 600), () => {
        if (!this.faults.plan) return
        this.cutsPowerNext = true
        this.faults.planCrash()
      })
    world.after(random.int(5, 150), () => this.startProcess())
  }

  private planFaults(plan: FaultPlan): void {
    const { world, random } = this
    const isOn = () => this.faults.plan !== undefined
    const every = (pauseMs: number, act: () => void) => {
      if (pauseMs === 0) return
      const again = (): void =>
        world.after(pauseMs * (0.3 + random.next() * 1.4), () => {
          if (!isOn()) return
          act()
          again()
        })
      again()
    }
    every(plan.crashEveryMs, () => this.faults.planCrash())
    every(plan.failEveryMs, () => this.faults.planFailure())
    every(plan.fullEveryMs, () => this.fillDisk())
    every(plan.handlesEveryMs, () => {
      const { disk } = this
      disk.openFilesMax = disk.openFileCount + random.int(0, 1)
      world.hit('too many open files')
      world.trace('too many open files')
      world.after(random.int(50, 400), () => {
        disk.openFilesMax = Number.POSITIVE_INFINITY
      })
    })
    every(plan.taskPauseEveryMs, () => this.process?.pauseTask())
    this.planFlips()
    every(plan.clockEveryMs, () => {
      const hour = 3_600_000
      const ms = random.pick([hour, -hour, 24 * hour, -24 * hour])
      this.jumpMs += ms
      world.hit(`clock ${ms > 0 ? '+' : '-'}${Math.abs(ms) === hour ? 'hour' : 'day'}`)
      world.trace(`clock jumps by ${ms / hour} h`)
    })
  }

  /** By chance of the stream of what it is about. */
  private planFlips(): void {
    const { world, scenario } = this
    const { random, limitsBytes } = scenario.scaling
    if (limitsBytes.length === 0 || !random.chance(0.5)) return
    const again = (): void =>
      world.after(200 + random.next() * 800, () => {
        if (this.faults.plan === undefined) return
        this.process?.flipSpilled()
        again()
      })
    again()
  }

  private fillDisk(leftBytesMax = 600): void {
    const { disk, world, random } = this
    disk.capacityBytes = disk.files().reduce((sum, path) => sum + disk.contentOf(path).length, 0) + random.int(0, leftBytesMax)
    world.hit('disk full')
    world.trace('disk full')
    world.after(random.int(50, 400), () => {
      disk.capacityBytes = Number.POSITIVE_INFINITY
      world.trace('disk freed')
    })
  }

  /** No more faults. What they left must not need a hand. */
  private heal(): void {
    this.world.trace('no more faults')
    this.healedMs = this.world.nowMs
    this.faults.end()
    this.network.faults = undefined
    this.disk.capacityBytes = Number.POSITIVE_INFINITY
    this.disk.openFilesMax = Number.POSITIVE_INFINITY
    // A last one, for whatever has been taken for durable until now.
    if (this.scenario.faults.crashEveryMs === 0 || !this.random.chance(0.4)) return
    this.cutsPowerNext = true
    this.faults.crashSoon()
  }

  // ---- writers

  private event(table: number): Event {
    const { random, scenario } = this
    const number = this.eventCount++
    // No two events have one time.
    const atMs = Math.floor(this.eventMs(table) / 1000) * 1000 + (number % 1000)
    const lateMs = scenario.disorderMs > 1000 ? random.int(0, Math.floor(scenario.disorderMs / 1000) - 1) * 1000 : 0
    return {
      id: `e${number}`,
      k: random.pick(KEYS),
      v: random.int(0, 9),
      atMs: atMs - lateMs,
      padBytes: random.chance(0.1) ? random.int(100, 1_500) : 0,
    }
  }
  private readonly eventTimes = [10_000, 10_000]
  private eventMs(table: number): number {
    return (this.eventTimes[table] += this.random.int(0, 700))
  }

  private records(table: number, count = this.random.int(1, 4)): Sent[] {
    return Array.from({ length: count }, () => {
      const event = this.event(table)
      return { key: event.k, value: textOfEvent(event) }
    })
  }

  private makeWriters(): Writer[] {
    const { random, scenario } = this
    const deps = this.deps()
    const batches = (table: number, count: number) =>
      Array.from({ length: count }, () => ({ partition: random.int(0, scenario.partitionCounts[table] - 1), records: this.records(table) }))
    const writers: Writer[] = []
    // Where nothing may be late, one producer writes a table in order; else anybody may.
    const needsOrder = scenario.pipelines.some((pipeline) => pipeline.needsOrder)
    scenario.partitionCounts.forEach((_, table) => {
      const topic = `t${table}`
      writers.push(
        new KafkaProducer(`idem-${table}`, { topic, idempotent: true, retries: true, batches: batches(table, scenario.batchCount) }, deps),
      )
      if (needsOrder) return
      if (random.chance(0.5))
        writers.push(
          new KafkaProducer(`plain-${table}`, { topic, idempotent: false, retries: random.chance(0.5), batches: batches(table, 6) }, deps),
        )
      if (random.chance(0.4)) {
        const paused = new KafkaProducer(
          `paused-${table}`,
          { topic, idempotent: true, retries: true, batches: batches(table, 10), pauseAfter: random.int(1, 6) },
          deps,
        )
        const successor = { topic, idempotent: true, retries: true, batches: batches(table, 6), takesOver: paused }
        writers.push(paused)
        this.world.after(random.int(100, 900), () => {
          const next = new KafkaProducer(`next-${table}`, successor, deps)
          writers.push(next)
          next.start(0)
        })
      }
      if (random.chance(0.5)) {
        const requests = Array.from({ length: 6 }, () => this.records(table))
        // Keys are remembered for a day: a clock that jumps by one forgets them, and says so in the documentation.
        const keyed = scenario.faults.clockEveryMs === 0 && random.chance(0.7)
        writers.push(new HttpProducer(`http-${table}`, { topic, keyed, requests }, deps))
      }
    })
    if (scenario.hasTransactions) {
      const plans = (count: number): TransactionPlan[] =>
        Array.from({ length: count }, () => ({
          isCommit: random.chance(0.6),
          batches: Array.from({ length: random.int(1, 3) }, () => {
            const table = random.int(0, scenario.partitionCounts.length - 1)
            return { topic: `t${table}`, partition: random.int(0, scenario.partitionCounts[table] - 1), records: this.records(table) }
          }),
          pauseMs: random.chance(0.4) ? random.int(50, 800) : 0,
        }))
      const first = new TransactionalProducer('tx-1', { transactionalId: 'tx', transactions: plans(scenario.transactionCount) }, deps)
      writers.push(first)
      if (random.chance(0.6)) {
        const second = new TransactionalProducer(
          'tx-2',
          { transactionalId: 'tx', transactions: plans(scenario.transactionCount >> 1) },
          deps,
        )
        first.rival = second
        second.rival = first
        writers.push(second)
      }
    }
    if (scenario.hasCleaning)
      for (const topic of Object.keys(OTHER_TOPICS)) {
        const batches = Array.from({ length: scenario.cleanedBatchCount }, () => ({ partition: 0, records: this.records(0) }))
        writers.push(new KafkaProducer(`only-${topic}`, { topic, idempotent: true, retries: true, batches }, deps))
      }
    return writers
  }

  /** Of each table one reader of all records and one of the committed ones; of each other topic one. */
  private makeReaders(name: string, isGrouped = true): Consumer[] {
    const { partitionCounts, sinks, hasCleaning } = this.scenario
    const tables = partitionCounts.flatMap((partitionCount, i): ConsumerOptions[] => [
      { topic: `t${i}`, partitionCount, ...(isGrouped && i === 0 && { group: 'group' }) },
      { topic: `t${i}`, partitionCount, isCommitted: true },
    ])
    const outputs = sinks.flatMap((sink, i): ConsumerOptions[] =>
      /topic/.test(sink)
        ? [{ topic: `q${i}`, partitionCount: 2, isCommitted: true, isOutput: true, hasGaps: sink === 'upsert topic' }]
        : [],
    )
    const others = Object.keys(hasCleaning ? OTHER_TOPICS : {}).map(
      (topic): ConsumerOptions => ({ topic, partitionCount: 1, hasGaps: true }),
    )
    const deps = this.deps()
    return [...tables, ...outputs, ...others].map(
      (options) => new Consumer(`${name}-${options.topic}${options.isCommitted ? '-committed' : ''}`, options, deps),
    )
  }

  // ---- the end

  private async finish(readers: Consumer[]): Promise<void> {
    const { world, random, scenario } = this
    const deps = this.deps()
    // The last rows close what is open: their time is far behind all others.
    const closers = scenario.partitionCounts.map((count, table) => {
      const batches = Array.from({ length: count }, (_, partition) => {
        const id = `end-${table}-${partition}`
        return { partition, records: [{ key: 'z', value: textOfEvent({ id, k: 'z', v: 0, atMs: LAST_MS + partition }) }] }
      })
      const closer = new KafkaProducer(`closer-${table}`, { topic: `t${table}`, idempotent: true, retries: true, batches }, deps)
      closer.start(0)
      return closer
    })
    await world.run(() => closers.every(({ isDone }) => isDone), UNTIL_MS)
    await world.run(() => this.process?.isCaughtUp === true, UNTIL_MS)
    await this.lastCheckpoint()
    for (const reader of readers) reader.stopAtEnd()
    await this.untilRead(readers)
    this.check(readers)
    // What a clean stop leaves is what the next start finds.
    const again = !this.point && random.chance(0.5)
    await this.stop()
    if (!again) return
    this.faults.end()
    this.disk = random.chance(0.5) ? this.disk.afterKill() : this.disk.crashed({ keep: 0, random: random.next })
    this.process = undefined
    if (random.chance(0.5)) {
      await this.startWithFlippedBit()
      return
    }
    await this.startProcess()
    const late = this.makeReaders('late', false)
    for (const reader of late) {
      reader.stopAtEnd()
      reader.start(0)
    }
    await this.untilRead(late)
    this.check(late)
    await this.stop()
  }

  /** A worn disk: one bit of one file is another one. All is as before, or it is told; nothing is wrong data. */
  private async startWithFlippedBit(): Promise<void> {
    const { world, random, disk, model } = this
    const files = disk.files().filter((path) => disk.contentOf(path).length > 0)
    // Half of them in a file of any kind, however few files there are of it.
    const byKind = Map.groupBy(files, (file) => siteOf('read', file))
    const path = random.pick(random.chance(0.5) ? files : byKind.get(random.pick([...byKind.keys()]))!)
    const bit = random.int(0, disk.contentOf(path).length * 8 - 1)
    disk.flip(path, bit)
    const site = siteOf('read', path).slice('read '.length)
    world.hit(`bit flipped in ${site}`)
    world.trace(`bit ${bit} of ${path} flipped`)
    this.expectsDamage = true
    await this.startProcess()
    const { process } = this
    if (!process?.isReady) return
    const readers = this.makeReaders('worn', false)
    for (const reader of readers) {
      reader.options.expectsDamage = true
      reader.stopAtEnd()
      reader.start(0)
    }
    // Where damage was told there may be readers that wait for what is gone.
    const patienceMs = world.nowMs + 2_000
    const isTiredOf = () => process.told.length > 0 && world.nowMs > patienceMs
    await this.untilRead(readers, () => isTiredOf() || (process.isCaughtUp && readers.every(({ isDone }) => isDone)))
    this.checkNobodyWaits(process)
    const isTold = process.told.length > 0 || readers.some(({ told }) => told !== undefined)
    if (isTold) world.hit(`damage told of ${site}`)
    if (site === 'output file') return
    // What was seen before is there. (A value that is another one was refused while it was read.)
    for (const { options, records } of readers)
      if (!isTold && options.isCommitted !== true && options.hasGaps !== true)
        for (const [partition, found] of records.entries())
          if (found.length < model.seenCount(options.topic, partition))
            throw new Violation(`of ${options.topic} ${partition} only ${found.length} records are left, and nobody says so`)
    const isOfLog = process.told.some((what) => what !== 'CHECKPOINT_DAMAGED') || readers.some(({ told }) => told !== undefined)
    if (!isOfLog) this.check(readers, process.told.length > 0)
  }

  /** Readers of committed records get to the end, unless a transaction that the coordinator still has open holds them back. */
  private checkNobodyWaits(process: SimProcess): void {
    const held = this.heldBack(process)
    if (held) throw new Violation(`${held.place}: a transaction open since offset ${held.lastStableOffset} has nobody who ends it`)
  }

  private heldBack(process: SimProcess): { place: string; lastStableOffset: number } | undefined {
    for (const { name, partitions } of process.log.topics())
      for (const { partition, lastStableOffset, endOffset } of partitions) {
        const isHeld = process.openTransactions.some(({ partitions }) =>
          partitions.some((one) => one.topic === name && one.partition === partition),
        )
        if (lastStableOffset < endOffset && !isHeld) return { place: `${name} ${partition}`, lastStableOffset }
      }
    return undefined
  }

  /** Also of aborted transactions whose index the disk has refused: it is written with the next look at retention. */
  private get isAtRest(): boolean {
    const { process } = this
    return process?.isCaughtUp === true && !this.heldBack(process)
  }

  private async untilRead(readers: readonly Consumer[], isOver?: () => boolean): Promise<void> {
    const { world } = this
    try {
      await world.run(isOver ?? (() => readers.every(({ isDone }) => isDone) && this.isAtRest), UNTIL_MS)
    } catch (error) {
      const waiting = readers.filter(({ isDone }) => !isDone).map(({ name, positions }) => `${name} at ${positions}`)
      const open = (this.process?.openTransactions ?? []).map(
        (one) => `${one.transactionalId} ${one.state} ${one.producerId}/${one.producerEpoch}`,
      )
      throw error instanceof Violation ? new Violation(`${error.message}; ${waiting.join(', ')}; ${open.join(', ')}`) : error
    }
  }

  /** All that the queries have put out is committed. */
  private async lastCheckpoint(): Promise<void> {
    const { world } = this
    let isDone = false
    /** The process that the attempt is made with: what was asked of one that is cut off is never answered. */
    let asked: typeof this.process
    const attempt = async (): Promise<void> => {
      const { process } = this
      asked = process
      const isWhole = process?.isReady === true && (await process.checkpointAll()) && process.isCaughtUp
      if (process !== this.process) return
      isDone = isWhole
      if (!isDone)
        world.after(20, () => {
          if (asked === this.process) world.background(attempt())
        })
    }
    const isOver = (): boolean => {
      if (this.process?.isReady && asked !== this.process) world.background(attempt())
      return isDone
    }
    await world.run(isOver, UNTIL_MS)
  }

  private async stop(): Promise<void> {
    const { world } = this
    for (;;) {
      const process = this.process!
      let isDone = false
      world.background(process.stop().then(() => (isDone = true)))
      await world.run(() => isDone || this.process !== process, UNTIL_MS)
      if (this.process === process) return
      // It was cut off.
      await world.run(() => this.process?.isReady === true, UNTIL_MS)
    }
  }

  /** @param mayBeDouble  an older checkpoint was taken, because the newest was damaged: then topics and files may have rows twice,
   *                      and those of another interleaving of the partitions */
  private check(readers: Consumer[], mayBeDouble = false): void {
    const { model, scenario, world } = this
    const process = this.process!
    this.checkNobodyWaits(process)
    const { partitionCounts, delayMs } = scenario
    const readerOf = (topic: string, isCommitted = false) =>
      readers.find(({ options }) => options.topic === topic && (options.isCommitted ?? false) === isCommitted)!
    const events = partitionCounts.map((_, table) => {
      const topic = `t${table}`
      const contents = readerOf(topic).records.map(
        (records): Contents => ({
          startOffset: 0,
          endOffset: records.length,
          values: records.map(({ value, isControl }) => (isControl ? undefined : value!)),
        }),
      )
      const visible = readerOf(topic, true).records.map((records) => new Set(records.map(({ offset }) => offset)))
      model.check(topic, contents)
      model.checkCommitted(topic, contents, visible)
      return contents.map(({ values }, partition) =>
        values.map((value, offset) => (value !== undefined && visible[partition].has(offset) ? eventOf(value) : undefined)),
      )
    })
    if (scenario.hasCleaning) {
      model.checkCompacted('c0', readerOf('c0').records[0], (value) => eventOf(value).k)
      const [{ startOffset, endOffset }] = process.log.topic('r0')!.partitions
      const { records, startOffsets } = readerOf('r0')
      // A reader that came too late for some has less than all; what is from the start on has to be there. After a crash the start may be an
      // older one: a segment that the disk refused to remove is there again.
      const from = Math.max(startOffset, startOffsets[0])
      const kept = records[0].filter(({ offset }) => offset >= from)
      model.check('r0', [{ startOffset: from, endOffset, values: kept.map(({ value }) => value!) }])
      if (startOffset > 0) world.hit('retention took records')
    }
    process.queries.forEach(({ pipeline, sink, query }, i) => {
      if (mayBeDouble && sink !== 'view') return
      const taken = process.historyOf(i).flatMap((read): Taken[] => {
        const { table, partition, from, to } = read
        return events[table][partition].slice(from, to).flatMap((event) => (event ? [{ ...read, event }] : []))
      })
      const rows = pipeline.expected(taken, { partitionCounts, delayMs })
      const all = (sink === 'view' ? rows : rows.map((row) => row.map(writtenValue))).map(rowText)
      // An event that its producer sent again without sequences is there twice; where there is a key, its rows fall together.
      const expected = countOf(sink === 'view' || sink === 'upsert topic' ? [...new Set(all)] : all)
      const columns = query.plan.fields.map(({ name }) => name)
      const actual = countOf(
        rowsOf(sink, columns, this.disk, `${FOLDER}/q${i}`, readerOf(`q${i}`, true), () => process.rowsOf(i)).map(rowText),
      )
      world.trace(`${pipeline.operator} into ${sink}: ${actual.size} rows`)
      world.hit(`rows of ${pipeline.operator}`, actual.size)
      world.hit(`rows in ${sink}`, actual.size)
      const missing = [...expected].filter(([row, count]) => (actual.get(row) ?? 0) < count).map(([row]) => row)
      const extra = [...actual].filter(([row, count]) => (expected.get(row) ?? 0) < count).map(([row]) => row)
      if (missing.length + extra.length > 0)
        throw new Violation(
          `${pipeline.operator} into ${sink}: missing ${missing.slice(0, 3).join(' ')}, not expected ${extra.slice(0, 3).join(' ')}`,
        )
    })
  }
}

/** How often each text is there. */
function countOf(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return counts
}

function eventOf(value: string): Event {
  const { id, k, v, ts } = JSON.parse(value)
  return { id, k, v, atMs: Date.parse(`${ts.replace(' ', 'T')}Z`) - BASE_MS }
}

/** Plays one seed. Never throws for what the product does. */
export const runSeed = (seed: number, onLine?: (line: string) => void): Promise<RunResult> => play(new Simulation(seed, onLine), seed)

/** Plays a reference workload with one crash; `seed` of the result is the call. */
export const runCrashPoint = (point: CrashPoint, onLine?: (line: string) => void): Promise<RunResult> =>
  play(new Simulation(REFERENCE_SEED, onLine, point), point.afterChanges)

/** So many calls of a reference workload change the disk. @throws Error if it does not hold without a crash */
export async function referenceChanges(workload: Workload): Promise<number> {
  const simulation = new Simulation(REFERENCE_SEED, undefined, { workload, afterChanges: Number.POSITIVE_INFINITY, keep: 0 })
  const { violation, hits } = await play(simulation, REFERENCE_SEED)
  if (violation !== undefined) throw new Error(violation)
  if (workload === 'scaled' && !(hits.get('call read spill file') && hits.get('barrier aligned over subtasks')))
    throw new Error('the workload has no state on the disk, or one subtask')
  return simulation.changes
}

async function play(simulation: Simulation, seed: number): Promise<RunResult> {
  const { world } = simulation
  const restoreTimers = installTimers(world)
  // A real process would have died of it.
  const onUnhandled = (error: Error) => {
    world.violation ??= new Violation(`a rejection that nobody handles: ${error.stack}`)
  }
  process.on('unhandledRejection', onUnhandled)
  try {
    await simulation.run()
    return { seed, hash: world.traceHash, hits: world.hits }
  } catch (error) {
    const violation = error instanceof Violation ? error.message : `${(error as Error).stack}`
    world.trace(violation)
    return { seed, hash: world.traceHash, hits: world.hits, violation }
  } finally {
    simulation.end()
    restoreTimers()
    process.off('unhandledRejection', onUnhandled)
  }
}
