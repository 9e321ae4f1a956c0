// One run: a world from a seed. Producers write, consumers read, queries compute; disk, network, clock and crashes do what the seed says.
// Then all faults end, what is left is written and read, and everything is compared with the model.

import { FakeDisk } from '../../src/log/fakeDisk.ts'
import { Admin } from './admin.ts'
import { Consumer, HttpProducer, KafkaProducer } from './clients.ts'
import { DiskFaults, type FaultPlan } from './faults.ts'
import { Model } from './model.ts'
import { Network, type NetworkFaults } from './network.ts'
import { BASE_MS, type Event, type Pipeline, rowText, type Taken, templates, textOfEvent } from './pipelines.ts'
import { FOLDER, type Read, SimProcess } from './process.ts'
import { Random } from './random.ts'
import type { Sent } from './wire.ts'
import { Violation, World } from './world.ts'

export interface RunResult {
  seed: number
  /** Of the trace: the same for each run of a seed. */
  hash: string
  violation?: string
  hits: Map<string, number>
}

/** Longest time of a run on its own clock: beyond it something hangs. */
const UNTIL_MS = 180_000
const FAR_MS = 1_000_000
const KEYS = ['a', 'b', 'c']

interface Scenario {
  pipelines: Pipeline[]
  partitionCounts: number[]
  segmentBytes: number
  /** Of the watermark. */
  delayMs: number
  /** How much earlier than the newest an event may be. */
  disorderMs: number
  faults: FaultPlan
  network: NetworkFaults | undefined
  batchCount: number
}

function scenarioOf(random: Random): Scenario {
  const names = Object.keys(templates)
  const pipelines = Array.from({ length: random.int(1, 2) }, () => templates[random.pick(names)](random))
  const some = (share: number, value: number) => (random.chance(share) ? value : 0)
  const needsOrder = pipelines.some((pipeline) => pipeline.needsOrder)
  const delayMs = random.pick([500, 1000, 2000])
  const calm = random.chance(0.05)
  return {
    pipelines,
    partitionCounts: [random.int(1, 3), random.int(1, 2)],
    segmentBytes: random.pick([1024, 4096, 16_384, 1 << 20]),
    delayMs,
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
    },
    network: random.chance(0.7) ? { reset: some(0.7, 0.01), halfOpen: some(0.5, 0.003), slow: some(0.7, 0.03) } : undefined,
    batchCount: random.int(8, 24),
  }
}

export class Simulation {
  readonly world: World
  readonly model = new Model()
  private readonly random: Random
  private readonly scenario: Scenario
  private readonly network: Network
  private readonly faults: DiskFaults
  private readonly admin: Admin
  private process: SimProcess | undefined
  private disk = new FakeDisk()
  private readonly checkpoints = new Map<string, Read[]>()
  private jumpMs = 0
  private idCount = 0
  private eventCount = 0
  private startCount = 0

  constructor(seed: number, onLine?: (line: string) => void) {
    this.random = new Random(seed)
    this.world = new World(this.random, onLine)
    this.scenario = scenarioOf(this.random)
    this.network = new Network(this.world, this.scenario.network)
    this.faults = new DiskFaults(this.world, this.scenario.faults)
    this.admin = new Admin(this.world, () => this.process?.liveLog)
  }

  private readonly clock = (): number => BASE_MS + Math.floor(this.world.nowMs) + this.jumpMs
  private readonly newId = (): string => `00000000-0000-4000-8000-${String(++this.idCount).padStart(12, '0')}`

  async run(): Promise<void> {
    const { world, scenario, disk } = this
    const { faults, pipelines, partitionCounts } = scenario
    world.trace(
      `${pipelines.map(({ operator }) => operator).join(', ')}; ${partitionCounts.join(' and ')} partitions; ${JSON.stringify(faults)}`,
    )
    disk.makeFolder(FOLDER)
    disk.syncFolder('')
    // Some meet their first fault while they start.
    if (faults.crashEveryMs > 0 && this.random.chance(0.6)) this.faults.planForFirstStart()
    await this.startProcess()
    this.planFaults(faults)
    const writers = this.makeWriters()
    const deps = this.deps()
    const readers = partitionCounts.map((count, i) => new Consumer(`reader-${i}`, `t${i}`, count, i === 0 ? 'group' : undefined, deps))
    for (const client of [...writers, ...readers]) client.start(this.random.next() * 50)
    this.admin.work()
    const quietMs = 1_500 + this.random.int(0, 3_000)
    world.after(quietMs, () => this.heal())
    await world.run(() => world.nowMs > quietMs && writers.every(({ isDone }) => isDone), UNTIL_MS)
    await this.finish(readers)
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
    const mayFail = () => this.faults.plan !== undefined
    const { pipelines, segmentBytes } = scenario
    let process: SimProcess | undefined
    try {
      process = new SimProcess({ world, disk, clock, newId, pipelines, tables, segmentBytes, mayFail, checkpoints: this.checkpoints })
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
    const { world, random, disk, process } = this
    const isPowerCut = random.chance(0.6)
    const keep = random.pick([0, 0.5, 0.9, 1])
    world.hit(`crash at ${site}`)
    world.hit(
      isPowerCut ? `power cut, ${keep === 0 ? 'unsynced dropped' : keep === 1 ? 'unsynced kept' : 'unsynced torn and reordered'}` : 'kill',
    )
    for (const { operator } of this.scenario.pipelines) world.hit(`crash of ${operator}`)
    world.trace(`crash at ${site}, ${isPowerCut ? `power cut keeping ${keep}` : 'kill'}`)
    const next = isPowerCut ? disk.crashed({ keep, random: random.next }) : undefined
    this.process = undefined
    this.startCount++
    process?.die()
    this.disk = disk.afterKill()
    if (next) this.disk = next
    // The next start may be cut off too.
    if (this.faults.plan && random.chance(0.2)) this.faults.planCrash()
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
    every(plan.fullEveryMs, () => {
      const { disk } = this
      disk.capacityBytes = disk.files().reduce((sum, path) => sum + disk.contentOf(path).length, 0) + random.int(0, 600)
      world.hit('disk full')
      world.trace('disk full')
      world.after(random.int(50, 400), () => {
        disk.capacityBytes = Number.POSITIVE_INFINITY
        world.trace('disk freed')
      })
    })
    every(plan.handlesEveryMs, () => {
      const { disk } = this
      disk.openFilesMax = disk.openFileCount + random.int(0, 1)
      world.hit('too many open files')
      world.trace('too many open files')
      world.after(random.int(50, 400), () => {
        disk.openFilesMax = Number.POSITIVE_INFINITY
      })
    })
    every(plan.clockEveryMs, () => {
      const hour = 3_600_000
      const ms = random.pick([hour, -hour, 24 * hour, -24 * hour])
      this.jumpMs += ms
      world.hit(`clock ${ms > 0 ? '+' : '-'}${Math.abs(ms) === hour ? 'hour' : 'day'}`)
      world.trace(`clock jumps by ${ms / hour} h`)
    })
  }

  /** No more faults. What they left must not need a hand. */
  private heal(): void {
    this.world.trace('no more faults')
    this.faults.end()
    this.network.faults = undefined
    this.disk.capacityBytes = Number.POSITIVE_INFINITY
    this.disk.openFilesMax = Number.POSITIVE_INFINITY
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

  private makeWriters(): (KafkaProducer | HttpProducer)[] {
    const { random, scenario } = this
    const deps = this.deps()
    const batches = (table: number, count: number) =>
      Array.from({ length: count }, () => ({ partition: random.int(0, scenario.partitionCounts[table] - 1), records: this.records(table) }))
    const writers: (KafkaProducer | HttpProducer)[] = []
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
    return writers
  }

  // ---- the end

  private async finish(readers: Consumer[]): Promise<void> {
    const { world, random, scenario } = this
    const deps = this.deps()
    // The last rows close what is open: their time is far behind all others.
    const closers = scenario.partitionCounts.map((count, table) => {
      const batches = Array.from({ length: count }, (_, partition) => {
        const id = `end-${table}-${partition}`
        return { partition, records: [{ key: 'z', value: textOfEvent({ id, k: 'z', v: 0, atMs: FAR_MS + partition }) }] }
      })
      const closer = new KafkaProducer(`closer-${table}`, { topic: `t${table}`, idempotent: true, retries: true, batches }, deps)
      closer.start(0)
      return closer
    })
    await world.run(() => closers.every(({ isDone }) => isDone), UNTIL_MS)
    for (const reader of readers) reader.stopAtEnd()
    await world.run(() => readers.every(({ isDone }) => isDone) && this.process?.isCaughtUp === true, UNTIL_MS)
    this.check(readers)
    // What a clean stop leaves is what the next start finds.
    const again = random.chance(0.5)
    await this.process!.stop()
    if (!again) return
    this.disk = random.chance(0.5) ? this.disk.afterKill() : this.disk.crashed({ keep: 0, random: random.next })
    this.process = undefined
    await this.startProcess()
    const late = scenario.partitionCounts.map((count, i) => new Consumer(`late-${i}`, `t${i}`, count, undefined, deps))
    for (const reader of late) {
      reader.stopAtEnd()
      reader.start(0)
    }
    await world.run(() => late.every(({ isDone }) => isDone) && this.process?.isCaughtUp === true, UNTIL_MS)
    this.check(late)
    await this.process!.stop()
  }

  private check(readers: Consumer[]): void {
    const { model, scenario, world } = this
    const process = this.process!
    const partitions = readers.map(({ records }) => records.map((values) => ({ startOffset: 0, endOffset: values.length, values })))
    for (const [i, { topic }] of readers.entries()) model.check(topic, partitions[i])
    const events = readers.map(({ records }) => records.map((values) => values.map(eventOf)))
    process.queries.forEach(({ history, pipeline }, i) => {
      const taken = history.flatMap(({ table, partition, from, to }): Taken[] =>
        events[table][partition].slice(from, to).map((event) => ({ table, partition, event })),
      )
      const { partitionCounts, delayMs } = scenario
      const expected = new Set(pipeline.expected(taken, { partitionCounts, delayMs }).map(rowText))
      const actual = new Set(process.rowsOf(i).map(rowText))
      world.trace(`${pipeline.operator}: ${actual.size} rows`)
      world.hit(`rows of ${pipeline.operator}`, actual.size)
      const missing = [...expected].filter((row) => !actual.has(row))
      const extra = [...actual].filter((row) => !expected.has(row))
      if (missing.length + extra.length > 0)
        throw new Violation(`${pipeline.operator}: missing ${missing.slice(0, 3).join(' ')}, not expected ${extra.slice(0, 3).join(' ')}`)
    })
  }
}

function eventOf(value: string): Event {
  const { id, k, v, ts } = JSON.parse(value)
  return { id, k, v, atMs: Date.parse(`${ts.replace(' ', 'T')}Z`) - BASE_MS }
}

/** Plays one seed. Never throws for what the product does. */
export async function runSeed(seed: number, onLine?: (line: string) => void): Promise<RunResult> {
  const simulation = new Simulation(seed, onLine)
  const { world } = simulation
  try {
    await simulation.run()
    return { seed, hash: world.traceHash, hits: world.hits }
  } catch (error) {
    const violation = error instanceof Violation ? error.message : `${(error as Error).stack}`
    world.trace(violation)
    return { seed, hash: world.traceHash, hits: world.hits, violation }
  }
}
