// A job in one subtask or several: what the engine's workers and `EngineWorkers` are in the product, in one thread. The subtasks are the product's
// `Job`s over the product's links, rounds and barriers; which of them has its turn, and how often, the seed says.
import type { Batch } from '../../src/data/index.ts'
import { shareLinks } from '../../src/engine/exchange/index.ts'
import { Job, type JobCheckpoint, type JobOptions } from '../../src/engine/job.ts'
import type { JobSpec } from '../../src/engine/protocol.ts'
import { AlignedOutput } from '../../src/jobs/alignedOutput.ts'
import type { OutputBatch } from '../../src/jobs/sinkCommitters.ts'
import type { Random } from './random.ts'
import { Violation, type World } from './world.ts'

/** What a subtask has read: a run of records of one partition. */
export interface Read {
  table: number
  partition: number
  from: number
  to: number
  /** Of the query's starts, the one that read it, and in how many subtasks that ran. */
  run: number
  parallelism: number
  /** How often its state was dealt out to another number of subtasks until then, also where such a start has read nothing. */
  dealt: number
  subtask: number
  /** Behind an exchange rows go round by round, and in a round subtask by subtask. */
  round: number
  /** By partition of the table: the subtask that reads it. */
  owners: readonly number[]
}

export interface SimJobOptions {
  world: World
  /** Whose turn it is, how much fits into the links. */
  random: Random
  spec: JobSpec
  parallelism: number
  dealt: number
  run: number
  nowMs: number
  optionsOf(subtask: number): JobOptions
  changes(batch: Batch): void
  records(batch: OutputBatch): void
  deadLetters(reason: string): void
  failed(error: { code: string; message: string }): void
}

/** What all subtasks have done behind one round, with what they had read. */
export interface Cut {
  checkpoint: JobCheckpoint
  reads: Read[]
}

/** Processing time passes this often, as in a worker; ms. */
const TICK_MS = 50

export class SimJob {
  readonly parallelism: number
  readonly subtasks: Job[] = []
  private readonly options: SimJobOptions
  private readonly output: AlignedOutput
  /** What each has read, and what it had read at its cut. */
  private readonly reads: Read[][]
  private readonly readAtCut: Read[][]
  private readonly owners = new Map<string, number[]>()
  private asked: ((cut: Cut | undefined) => void) | undefined
  private tickedMs = Number.NEGATIVE_INFINITY
  /** A subtask that seldom has its turn. */
  private readonly slow: number | undefined
  /** One that stands still while others are behind their cut. */
  private paused: { subtask: number; untilMs: number } | undefined

  /** @throws CHECKPOINT_DAMAGED, CHECKPOINT_UNREADABLE: what it began is closed */
  constructor(options: SimJobOptions) {
    const { parallelism, spec, optionsOf, nowMs, random, world } = options
    this.options = options
    this.parallelism = parallelism
    this.reads = Array.from({ length: parallelism }, () => [])
    this.readAtCut = this.reads.map(() => [])
    this.output = new AlignedOutput(parallelism, ({ checkpoint }) => {
      world.hit('barrier aligned over subtasks')
      this.answer({ checkpoint, reads: inOrder(this.readAtCut.flat()) })
    })
    const links = parallelism > 1 ? shareLinks(parallelism, random.pick([1024, 1 << 14])) : undefined
    this.slow = parallelism > 1 && random.chance(0.3) ? random.int(0, parallelism - 1) : undefined
    try {
      for (let subtask = 0; subtask < parallelism; subtask++) {
        const own = links ? { ...spec, parallel: { subtask, links } } : spec
        this.subtasks.push(new Job(own, this.portOf(subtask), nowMs, optionsOf(subtask)))
      }
    } catch (error) {
      this.close()
      throw error
    }
    this.subtasks.forEach((job, subtask) => {
      for (const { topic, partition } of job.positions()) {
        const owners = this.owners.get(topic) ?? []
        if (owners[partition] !== undefined) throw new Violation(`${topic} ${partition} is read by two subtasks`)
        owners[partition] = subtask
        this.owners.set(topic, owners)
      }
    })
  }

  private portOf(subtask: number): ConstructorParameters<typeof Job>[1] {
    const { options, output } = this
    const inTurn =
      <A extends unknown[]>(handle: (...args: A) => void) =>
      (...args: A): void => {
        let waits = true
        output.take(subtask, () => {
          waits = false
          handle(...args)
        })
        if (waits) options.world.hit('output behind a cut waited for other subtasks')
      }
    return {
      changes: inTurn((_id: string, batch: Batch) => options.changes(batch)),
      records: inTurn((_id: string, topic: string, partition: number, bytes: Uint8Array, recordCount: number) =>
        options.records({ topic, partition, bytes, recordCount }),
      ),
      deadLetters: ([{ error }]) => options.deadLetters(error.message),
      late: () => {},
      failed: (queryId, error) => {
        this.subtasks.forEach((other, i) => {
          if (i !== subtask) other.failQuery(queryId, error)
        })
        options.failed(error)
      },
    }
  }

  /** Some steps; each may read. It ends when `goesOn` says no. */
  step(nowMs: number, goesOn: () => boolean, onRead: (read: Read) => void): void {
    const { world, random } = this.options
    if (this.parallelism === 1) {
      const turns = world.random.int(1, 3)
      for (let i = 0; i < turns; i++) if (!this.stepSubtask(0, nowMs, goesOn, onRead)) return
      this.subtasks[0].tick(nowMs)
      return
    }
    if (world.nowMs - this.tickedMs >= TICK_MS) {
      this.tickedMs = world.nowMs
      for (const job of this.subtasks) job.tick(nowMs)
    }
    const turns = random.int(1, 4 * this.parallelism)
    for (let i = 0; i < turns; i++) {
      const subtask = random.int(0, this.parallelism - 1)
      if (subtask === this.slow && random.chance(0.8)) continue
      if (subtask === this.paused?.subtask && world.nowMs < this.paused.untilMs) continue
      if (!this.stepSubtask(subtask, nowMs, goesOn, onRead)) return
    }
  }

  /** What a worker does: one step, then the cut if it is due. */
  private stepSubtask(subtask: number, nowMs: number, goesOn: () => boolean, onRead: (read: Read) => void): boolean {
    const job = this.subtasks[subtask]
    const { world, random, run, dealt } = this.options
    const { parallelism } = this
    const before = job.positions()
    job.step(nowMs)
    if (!goesOn()) return false
    job.positions().forEach(({ topic, partition, offset }, at) => {
      const from = before[at].offset
      if (offset === from) return
      const read = {
        ...{ table: Number(topic.slice(1)), partition, from, to: offset },
        ...{ run, parallelism, dealt, subtask, round: job.round, owners: this.owners.get(topic)! },
      }
      this.reads[subtask].push(read)
      onRead(read)
    })
    const due = job.dueCheckpoint()
    if (!due) return true
    world.trace(`subtask ${subtask} makes its cut behind round ${due.round}`)
    this.readAtCut[subtask] = [...this.reads[subtask]]
    this.output.cut(subtask, { checkpoint: job.checkpoint(due.checkpointId), tookMs: 0 })
    if (random.chance(0.5)) this.paused = { subtask: random.int(0, parallelism - 1), untilMs: world.nowMs + random.int(20, 300) }
    return goesOn()
  }

  /**
   * A cut of all subtasks. False if there is none: nothing has happened, or the job has ended.
   *
   * @param onCut  told behind all output that is in it, before any other
   */
  checkpoint(checkpointId: number, onCut: (cut: Cut) => void): boolean | Promise<boolean> {
    const [first] = this.subtasks
    if (this.parallelism === 1) {
      onCut({ checkpoint: first.checkpoint(checkpointId), reads: [...this.reads[0]] })
      return true
    }
    if (!first.announceCheckpoint(checkpointId, false)) return false
    return new Promise((resolve) => {
      this.asked = (cut) => {
        if (cut) onCut(cut)
        resolve(cut !== undefined)
      }
    })
  }

  private answer(answer: Cut | undefined): void {
    const { asked } = this
    this.asked = undefined
    asked?.(answer)
  }

  get hasChanged(): boolean {
    return this.subtasks.some((job) => job.hasChanged)
  }

  settle(isDurable: boolean): void {
    for (const job of this.subtasks) job.settle(isDurable)
  }

  /** All that it has read since its start, in the order in which it goes behind an exchange. */
  get history(): Read[] {
    return inOrder(this.reads.flat())
  }

  positions() {
    return this.subtasks.flatMap((job) => job.positions())
  }

  private countExchanged(): void {
    if (this.parallelism === 1) return
    for (const job of this.subtasks)
      for (const { id } of this.options.spec.queries)
        for (const { node, rowsOut } of job.inspect(id)?.nodes ?? [])
          if (node === 'exchange') this.options.world.hit('rows exchanged', rowsOut)
  }

  /**
   * All that was read has come through: nothing is under way between subtasks, nothing waits for state on the disk.
   *
   * @param delayMs  by which its interval join sends event time on later
   */
  isSettled(queryId: string, delayMs: number): boolean {
    const lastRound = Math.max(0, ...this.reads.flat().map(({ round }) => round))
    if (this.subtasks.some((job) => job.completedRounds < lastRound)) return false
    return this.subtasks.every((job) => {
      const nodes = job.inspect(queryId)?.nodes ?? []
      return nodes.every(({ node, operator, watermarkMs, inputs }) => {
        if (operator?.waitingRows === undefined) return true
        const seenMs = watermarkMs + (node === 'intervalJoin' ? delayMs : 0)
        return operator.waitingRows === 0 && inputs.some((id) => nodes[id].watermarkMs <= seenMs)
      })
    })
  }

  close(): void {
    this.countExchanged()
    for (const job of this.subtasks) job.close()
    // Who handles what is left finds that the job has gone.
    this.output.release()
    this.answer(undefined)
  }
}

/** Of one run. */
const inOrder = (reads: Read[]): Read[] => reads.sort((a, b) => a.round - b.round || a.subtask - b.subtask)
