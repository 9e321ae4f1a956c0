// One exchange of a plan, in one subtask: rows and watermarks of this subtask's input go to all, those of all come out here.
//
// input --> split by key --> each subtask | round by round, in the order of subtasks --> out
//
// Where a result depends on the order of rows behind several exchanges (`isOrdered`), rows go with their moment, and come out by it (roundOrder.ts).
//
// Invariants
//   1. Rows of equal keys come out in one subtask; rows of one subtask come out in the order in which they went in, and before the
//      watermark that they cause.
//   2. The watermark that comes out is the minimum over all subtasks that are not idle. A row sees its own subtask's watermark, but no more
//      than the slowest other one has reached: no row is late that was in time where it came from.
//   3. Where rows of one key may come from several subtasks and their order counts (`consolidatesBy`), a round gives what it amounts to.
//   2 makes the result of an event-time query independent of which subtask has read what.
import { type Batch, type BatchMemory, type Column, type Field, t } from '../../data/index.ts'
import type { Operator } from '../operator.ts'
import { decodeMessage } from './codec.ts'
import { consolidated } from './consolidate.ts'
import type { Distribution } from './distribution.ts'
import { partitionRows } from './partition.ts'
import { BEFORE_ROW, RoundOrder, type RoundOutput, type Step } from './roundOrder.ts'
import type { Rounds } from './rounds.ts'

export interface ExchangeOptions {
  /** The same in all subtasks. */
  edge: number
  /** The stage that begins with it: in a round all exchanges of a stage hand on what has come, then the next stage's. */
  stage: number
  /** What comes in has been through no other exchange. */
  isFirst: boolean
  fields: readonly Field[]
  /** `forward`: rows stay where they are, and wait for their stage. */
  distribution: Distribution | { kind: 'forward' }
  /** A round's retractions and insertions are weighed up: what is left comes by the key of these columns, the retraction first. */
  consolidatesBy?: readonly number[]
}

interface ExchangeOutput extends RoundOutput {
  setIdle(isIdle: boolean): void
}

/** What a subtask says of an exchange at the end of a stage. */
export interface EdgeEnd {
  watermarkMs: number
  isIdle: boolean
  /** How its watermark grew in between: moment, watermark, moment, watermark … */
  steps: readonly number[]
}

const momentField: Field = { name: '$moment', type: t.double(false) }

export class ExchangeOperator implements Operator {
  readonly edge: number
  readonly stage: number
  readonly fields: readonly Field[]
  readonly distribution: ExchangeOptions['distribution']
  /** Set before anything else is asked of it, in all exchanges of a query. */
  isOrdered = false
  private steps: number[] = []
  private steppedMs = -Infinity
  private readonly isFirst: boolean
  private readonly wireFields: readonly Field[]
  /** What its input has said last: all subtasks hear of it at the end of the stage. */
  readonly said = { watermarkMs: -Infinity, isIdle: false }
  private readonly consolidatesBy: readonly number[] | undefined
  private readonly rounds: Rounds
  private readonly memory: BatchMemory
  private readonly out: ExchangeOutput
  /** What each subtask has said last. */
  private readonly watermarks: Float64Array
  private readonly idle: Uint8Array
  private targets = new Uint8Array(0)

  constructor(
    { edge, stage, isFirst, fields, distribution, consolidatesBy }: ExchangeOptions,
    rounds: Rounds,
    memory: BatchMemory,
    out: ExchangeOutput,
  ) {
    this.edge = edge
    this.stage = stage
    this.isFirst = isFirst
    this.fields = fields
    this.wireFields = [...fields, momentField]
    this.distribution = distribution
    this.consolidatesBy = consolidatesBy
    this.rounds = rounds
    this.memory = memory
    this.out = out
    this.watermarks = new Float64Array(rounds.parallelism).fill(-Infinity)
    this.idle = new Uint8Array(rounds.parallelism)
    if (distribution.kind === 'forward') this.watermarks.fill(Infinity).fill(-Infinity, rounds.subtask, rounds.subtask + 1)
    rounds.add(edge, this)
  }

  process(given: Batch): void {
    const { rounds, edge, stage, memory } = this
    const { parallelism } = rounds
    const { rowCount } = given
    const mark = memory.mark()
    const batch = this.isOrdered ? this.withMoments(given) : given
    const fields = this.isOrdered ? this.wireFields : this.fields
    const counts = this.countTargets(batch)
    const ends = new Int32Array(parallelism)
    for (let target = 1; target < parallelism; target++) ends[target] = ends[target - 1] + counts[target - 1]
    const firsts = ends.slice()
    const rows = memory.i32(rowCount)
    const { targets } = this
    for (let row = 0; row < rowCount; row++) rows[ends[targets[row]]++] = row
    for (let target = 0; target < parallelism; target++)
      if (counts[target] > 0) rounds.send(target, edge, stage, batch, fields, rows.subarray(firsts[target], ends[target]), counts[target])
    memory.release(mark)
  }

  private withMoments(batch: Batch): Batch {
    const { rounds, isFirst } = this
    const { rowCount, arrivals, watermarksBefore: before } = batch
    const data = this.memory.f64(rowCount)
    for (let row = 0; row < rowCount; row++) {
      data[row] = isFirst && arrivals !== undefined ? rounds.firstMoment + arrivals[row] : rounds.moment
      if (before !== undefined) this.step(data[row] - BEFORE_ROW, before[row])
    }
    return { ...batch, columns: [...batch.columns, { lane: 'f64', data }] }
  }

  private step(moment: number, watermarkMs: number): void {
    if (!(watermarkMs > this.steppedMs)) return
    this.steppedMs = watermarkMs
    if (moment < Infinity) this.steps.push(moment, watermarkMs)
  }

  /** At the end of its input's stage. */
  say(): EdgeEnd {
    const { said, steps } = this
    this.steps = []
    return { ...said, steps }
  }

  /** Number of rows for each subtask; `targets` says which those are. */
  private countTargets(batch: Batch): Int32Array {
    const { rowCount } = batch
    const { parallelism } = this.rounds
    const counts = new Int32Array(parallelism)
    if (this.targets.length < rowCount) this.targets = new Uint8Array(rowCount)
    if (this.distribution.kind !== 'hash') {
      const target = this.distribution.kind === 'forward' ? this.rounds.subtask : 0
      this.targets.fill(target)
      counts[target] = rowCount
      return counts
    }
    const { columns } = this.distribution
    const { targets } = this
    partitionRows(
      columns.map((column) => batch.columns[column]),
      columns.map((column) => this.fields[column].type),
      rowCount,
      parallelism,
      targets,
    )
    for (let row = 0; row < rowCount; row++) counts[targets[row]]++
    return counts
  }

  /** The watermark of this subtask's input. */
  advance(watermarkMs: number): void {
    if (watermarkMs > this.said.watermarkMs) this.said.watermarkMs = watermarkMs
    if (this.isOrdered) this.step(this.rounds.moment, watermarkMs)
    if (watermarkMs === Infinity) this.said.isIdle = false
  }

  idleInput(isIdle: boolean): void {
    this.said.isIdle = isIdle && this.said.watermarkMs < Infinity
  }

  /** What the subtasks have sent in the round, of those that count here; without an end where its query has failed. */
  private received() {
    const received = this.rounds
      .received(this.edge)
      .filter(({ from }) => this.distribution.kind !== 'forward' || from === this.rounds.subtask)
    for (const { from, end } of received) if (end) this.idle[from] = end.isIdle ? 1 : 0
    return received
  }

  /** Its stage is at work: hands on what has come in the round. */
  deliver(): void {
    const { memory, fields } = this
    const received = this.received()
    const { consolidatesBy } = this
    if (consolidatesBy) {
      const mark = memory.mark()
      const all = received.flatMap(({ messages }) => messages.map((message) => decodeMessage(message, fields, memory)))
      if (all.length > 0) for (const batch of consolidated(all, this.fields, consolidatesBy)) this.receive(this.rounds.subtask, batch)
      memory.release(mark)
    }
    for (const { from, messages, end } of received) {
      for (const message of consolidatesBy ? [] : messages) {
        const mark = memory.mark()
        this.receive(from, decodeMessage(message, fields, memory))
        memory.release(mark)
      }
      if (end) this.reach(from, end.watermarkMs)
    }
    this.finish(received)
  }

  private finish(received: ReturnType<ExchangeOperator['received']>): void {
    for (const { from, end } of received) if (end) this.reach(from, end.watermarkMs)
    this.out.setIdle(this.isIdle)
    if (!this.isIdle) this.out.forward(this.lowest(-1))
  }

  private reach(from: number, watermarkMs: number): void {
    if (watermarkMs > this.watermarks[from]) this.watermarks[from] = watermarkMs
  }

  /** The same where rows have moments: the exchanges of a stage hand on together what has come. */
  order(): { rows: RoundOrder; step(): void; finish(): void } {
    const { fields, wireFields, consolidatesBy, memory, out } = this
    const received = this.received()
    const rows = new RoundOrder(fields, consolidatesBy, memory, out, this.rounds.nowMs)
    for (const { from, messages, end } of received) {
      for (const message of messages) {
        const mark = memory.mark()
        const batch = decodeMessage(message, wireFields, memory)
        const moments = batch.columns.pop() as Column & { lane: 'f64' }
        rows.add(from, batch, moments.data)
        memory.release(mark)
      }
      if (end) rows.addSteps(from, end.steps)
    }
    const before = this.watermarks.slice()
    const lowest = (step?: Step) => {
      if (step) this.reach(step.from, step.watermarkMs)
      return this.isIdle ? Infinity : this.lowest(-1)
    }
    rows.begin(lowest)
    this.watermarks.set(before)
    return {
      rows,
      step: () => {
        rows.takeSteps(({ from, watermarkMs }) => this.reach(from, watermarkMs))
        if (!this.isIdle) out.forward(this.lowest(-1))
      },
      finish: () => this.finish(received),
    }
  }

  /** All subtasks are; who has ended is not. */
  get isIdle(): boolean {
    return !this.idle.includes(0)
  }

  private receive(from: number, batch: Batch): void {
    const before = batch.watermarksBefore
    // Rows arrive by the clock of the round: processing time never falls.
    const processingTimeMs = Math.max(batch.processingTimeMs, this.rounds.nowMs)
    if (before === undefined) {
      this.out.emit({ ...batch, processingTimeMs })
      return
    }
    const last = before[batch.rowCount - 1]
    const limit = this.lowest(from)
    const watermarksBefore = last <= limit ? before : limited(before, batch.rowCount, limit, this.memory)
    this.out.emit({ ...batch, watermarksBefore, processingTimeMs })
    // Its own watermark follows, but rows of others may come first: they see no less.
    if (last > this.watermarks[from]) this.watermarks[from] = last
  }

  private lowest(except: number): number {
    let lowest = Infinity
    for (let from = 0; from < this.watermarks.length; from++)
      if (from !== except && this.idle[from] === 0 && this.watermarks[from] < lowest) lowest = this.watermarks[from]
    return lowest
  }

  snapshot(): unknown {
    return { said: { ...this.said }, watermarks: this.watermarks.slice(), idle: this.idle.slice() }
  }
  restore(state: unknown): void {
    const { said, watermarks, idle } = state as { said: ExchangeOperator['said']; watermarks: Float64Array; idle: Uint8Array }
    Object.assign(this.said, said)
    this.steppedMs = said.watermarkMs
    this.watermarks.set(watermarks)
    this.idle.set(idle)
  }

  /** After a restart at another parallelism: everyone has reached what the job had reached. */
  resume(saidMs: number, watermarkMs: number): void {
    this.said.watermarkMs = this.steppedMs = saidMs
    if (this.distribution.kind === 'forward') this.watermarks[this.rounds.subtask] = watermarkMs
    else this.watermarks.fill(watermarkMs)
  }
}

/** Watermarks that rows may see, none above `limitMs`. */
export function limited(watermarksBefore: Float64Array, rowCount: number, limitMs: number, memory: BatchMemory): Float64Array {
  const result = memory.f64(rowCount)
  for (let row = 0; row < rowCount; row++) result[row] = Math.min(watermarksBefore[row], limitMs)
  return result
}
