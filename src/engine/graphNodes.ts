// The nodes of a running plan: each holds an operator, counts what goes through it, and carries event time to the nodes behind it. What a
// graph is made of, and which invariants hold for it, says graph.ts.
import type { Batch, BatchMemory, SqlType } from '../data/index.ts'
import type { Plan } from '../sql/index.ts'
import { EdgeSamples, LateRows } from './diagnosis.ts'
import { type Distribution, type ExchangeOperator, limited } from './exchange/index.ts'
import { compileCalc } from './expressions/index.ts'
import type { Operator, OperatorContext } from './operator.ts'
import { HeldRows, MeetingUnionOperator } from './operators/arrivalOrder.ts'
import { beat } from './progress.ts'
import { type Rescaling, sharedOut, shareOf } from './spill/share.ts'
import { SpillingOperator } from './spill/spillingOperator.ts'
import type { WatermarkOperator } from './watermark.ts'

/** What a restart needs of one node. `state` is that of its operator: it shares memory with it, and holds until the next push. */
export interface NodeSnapshot {
  signature: string
  node: string
  label: string
  /** Absent if the operator has none. From a checkpoint it is read when asked for. */
  readonly state?: unknown
  hasState: boolean
  watermarkMs: number
  forwardedMs: number
  inputWatermarks: number[]
  rowsIn: number
  rowsOut: number
}

/** Time in nodes behind the one that is at work: not its own. */
let behindMs = 0

export class Node {
  busyMs = 0
  readonly outputs: { node: Node; input: number }[] = []
  readonly inputWatermarks: number[] = []
  operator!: Operator
  /** In force for this node: the minimum over its inputs. */
  watermarkMs = -Infinity
  /** What the next nodes have been told. */
  forwardedMs = -Infinity
  /** Inputs that hold no watermark back for now. All of them: neither does this. */
  readonly idleInputs: boolean[] = []
  isIdle = false
  /** How many exchanges are in front of it, on its longest way. */
  stage = 0
  rowsIn = 0
  rowsOut = 0
  failedRows = 0
  readonly late = new LateRows()
  readonly samples = new EdgeSamples()
  readonly id: number
  readonly plan: Plan
  readonly inputs: Node[]
  /** Where its rows are, of all subtasks; and where those of its first input are. */
  distribution: Distribution = { kind: 'any' }
  inputDistribution: Distribution = { kind: 'any' }

  /** Names the node in checkpoints: `planSignature`, with a number where several are equal and not shared. */
  signature = ''

  /** The table of whose batch each row tells which row it has come of (Batch.arrivals), where the ways of its rows meet again. */
  origin: string | undefined

  /** What comes out of it does so in the order and with the event time that it has from memory. */
  keepsOrder = false

  private readonly memory: BatchMemory

  constructor(id: number, plan: Plan, inputs: Node[], memory: BatchMemory) {
    this.id = id
    this.memory = memory
    this.plan = plan
    this.inputs = inputs
    inputs.forEach((input, index) => {
      input.outputs.push({ node: this, input: index })
      this.inputWatermarks.push(-Infinity)
      this.idleInputs.push(false)
    })
    this.stage = Math.max(0, ...inputs.map(({ stage }) => stage))
  }

  emit(batch: Batch): void {
    if (batch.rowCount === 0) return
    beat()
    this.rowsOut += batch.rowCount
    this.samples.take(batch)
    const mark = this.memory.mark()
    let out = batch
    if (batch.arrivals !== undefined && this.origin === undefined) out = { ...batch, arrivals: undefined }
    if (batch.watermarksBefore === undefined && this.forwardedMs !== -Infinity)
      out = { ...out, watermarksBefore: this.memory.f64(batch.rowCount).fill(this.forwardedMs, 0, batch.rowCount) }
    for (const { node, input } of this.outputs) node.deliver(out, input)
    this.memory.release(mark)
  }

  deliver(batch: Batch, input: number): void {
    this.rowsIn += batch.rowCount
    const before = behindMs
    const startedMs = performance.now()
    beat()
    behindMs = 0
    const mark = this.memory.mark()
    this.operator.process(this.inputs.length > 1 ? this.clamped(batch, input) : batch, input)
    this.memory.release(mark)
    this.took(startedMs, before)
  }

  /** A clock that no operator sees: what it measures is shown, and decides nothing. */
  private took(startedMs: number, before: number): void {
    const tookMs = performance.now() - startedMs
    this.busyMs += tookMs - behindMs
    behindMs = before + tookMs
  }

  advanceInput(watermarkMs: number, input: number): void {
    if (!(watermarkMs > this.inputWatermarks[input])) return
    this.inputWatermarks[input] = watermarkMs
    const lowest = this.inputWatermarks.length === 1 ? watermarkMs : this.lowestInput(-1)
    if (lowest > this.watermarkMs) this.advance(lowest)
  }

  /** As in Flink: the minimum over the inputs that are not idle; -Infinity if all are. */
  private lowestInput(except: number): number {
    let lowest = Infinity
    let any = false
    for (let i = 0; i < this.inputWatermarks.length; i++) {
      if (i === except || this.idleInputs[i] || this.meets(i, except)) continue
      any = true
      lowest = Math.min(lowest, this.inputWatermarks[i])
    }
    return any || except >= 0 ? lowest : -Infinity
  }

  /** Rows of both inputs are put into one order: neither waits for the other's event time. */
  private meets(input: number, other: number): boolean {
    if (!(this.operator instanceof MeetingUnionOperator) || other < 0) return false
    return this.inputs[input].origin !== undefined && this.inputs[input].origin === this.inputs[other].origin
  }

  idleInput(isIdle: boolean, input: number): void {
    if (this.idleInputs[input] === isIdle) return
    this.idleInputs[input] = isIdle
    const lowest = this.lowestInput(-1)
    if (lowest > this.watermarkMs) this.advance(lowest)
    this.setIdle(this.idleInputs.every(Boolean))
  }

  setIdle(isIdle: boolean): void {
    if (this.isIdle === isIdle) return
    this.isIdle = isIdle
    for (const { node, input } of this.outputs) node.idleInput(isIdle, input)
  }

  advance(watermarkMs: number): void {
    this.watermarkMs = watermarkMs
    beat()
    const before = behindMs
    const startedMs = performance.now()
    behindMs = 0
    this.operator.advance(watermarkMs)
    this.took(startedMs, before)
    if (!this.operator.forwardsWatermark) this.forward(this.delayed(watermarkMs))
  }

  private delayed(watermarkMs: number): number {
    return watermarkMs - (this.operator.watermarkDelayMs ?? 0)
  }

  forward(watermarkMs: number): void {
    if (!(watermarkMs > this.forwardedMs)) return
    this.forwardedMs = watermarkMs
    for (const { node, input } of this.outputs) node.advanceInput(watermarkMs, input)
  }

  restore({ watermarkMs, forwardedMs, inputWatermarks, rowsIn, rowsOut, hasState, state }: NodeSnapshot): void {
    Object.assign(this, { watermarkMs, forwardedMs, rowsIn, rowsOut })
    this.inputWatermarks.splice(0, Infinity, ...inputWatermarks)
    beat()
    if (hasState) this.operator.restore?.(state)
  }

  /**
   * From what all subtasks had, when they were another number. Behind an exchange all have come to the same event time; before it, this one comes
   * to what the watermarks of its input say.
   *
   * @param build  an operator of its kind that nobody else has
   */
  restoreShares(saved: readonly NodeSnapshot[], rescaling: Rescaling, build?: () => Operator): void {
    const least = (of: (one: NodeSnapshot) => number) => Math.min(...saved.map(of))
    if (rescaling.subtask === 0)
      for (const { rowsIn, rowsOut } of saved) Object.assign(this, { rowsIn: this.rowsIn + rowsIn, rowsOut: this.rowsOut + rowsOut })
    if (build) this.restoreOperator(saved, rescaling, build)
    this.inputs.forEach(({ forwardedMs }, input) => {
      this.inputWatermarks[input] = forwardedMs
    })
    if (this.inputs.length === 0) this.inputWatermarks[0] = least(({ inputWatermarks }) => inputWatermarks[0])
    this.watermarkMs = Math.max(
      least(({ watermarkMs }) => watermarkMs),
      Math.min(...this.inputWatermarks),
    )
    this.forwardedMs = this.operator.forwardsWatermark ? least(({ forwardedMs }) => forwardedMs) : this.delayed(this.watermarkMs)
  }

  private restoreOperator(saved: readonly NodeSnapshot[], rescaling: Rescaling, build: () => Operator): void {
    const { operator } = this
    let adds = false
    saved.forEach((part, from) => {
      const share = part.hasState ? shareOf(this.plan, this.inputDistribution, from, rescaling) : undefined
      if (share === undefined) return
      beat()
      if (operator instanceof SpillingOperator) operator.restoreShare(part.state, share, adds)
      else operator.restore?.(sharedOut(part.state, share, build), adds)
      adds = true
    })
  }

  /** With several inputs a row cannot see more than the slowest other input has reached. */
  private clamped(batch: Batch, input: number): Batch {
    const before = batch.watermarksBefore
    if (before === undefined) return batch
    const limit = this.lowestInput(input)
    if (batch.rowCount === 0 || before[batch.rowCount - 1] <= limit) return batch
    if (limit === -Infinity) return { ...batch, watermarksBefore: undefined }
    return { ...batch, watermarksBefore: limited(before, batch.rowCount, limit, this.memory) }
  }
}

/** Watermark nodes make watermarks instead of passing them on. */
export class WatermarkNode extends Node {
  declare operator: WatermarkOperator
  declare plan: Plan & { node: 'watermark' }
  /** The ways of its rows meet again where event time decides; or what comes of its rows tells no watermark of their own there. */
  cuts: 'none' | 'late rows' | 'watermarks' = 'none'
  held: HeldRows | undefined
  override deliver(batch: Batch, input: number): void {
    this.setIdle(false)
    super.deliver(batch, input)
    this.follow()
  }
  override emit(batch: Batch): void {
    if (this.cuts !== 'none') this.held = HeldRows.of(batch, this.plan.timeColumn, this.typesOfRows, this.cuts === 'watermarks')
    if (this.held === undefined) super.emit(batch)
  }
  private get typesOfRows(): SqlType[] {
    return this.plan.fields.map(({ type }) => type)
  }
  /** Gives on those of the held rows that arrived in [from, to), and the watermark behind them. */
  giveHeld(from: number, to: number): void {
    const { rows, watermarkMs } = (this.held as HeldRows).part(from, to)
    super.emit(rows)
    if (watermarkMs !== undefined) this.forward(watermarkMs)
  }
  endHeld(): void {
    this.held = undefined
    this.follow()
  }
  override restoreShares(saved: readonly NodeSnapshot[], rescaling: Rescaling): void {
    this.operator.restoreAll(saved.map(({ state }) => state))
    super.restoreShares(saved, rescaling)
    this.forwardedMs = this.operator.currentMs
  }
  /** Says what its operator has come to. */
  follow(): void {
    if (this.held !== undefined) return
    this.forward(this.operator.currentMs)
    this.setIdle(this.operator.isIdle)
  }
  override advance(watermarkMs: number): void {
    if (watermarkMs !== Infinity) return
    super.advance(watermarkMs)
  }
}

/** What comes in goes to all subtasks; what comes out has come from all. Its plan is its input's: rows stay as they are. */
export class ExchangeNode extends Node {
  declare operator: ExchangeOperator
  override advance(watermarkMs: number): void {
    this.watermarkMs = watermarkMs
    this.operator.advance(watermarkMs)
  }
  override idleInput(isIdle: boolean): void {
    this.operator.idleInput(isIdle)
  }
  /** After a restart with other exchanges, or other subtasks. @param watermarkMs  what has come out of it before */
  resume(watermarkMs: number): void {
    const [{ forwardedMs }] = this.inputs
    this.watermarkMs = this.inputWatermarks[0] = forwardedMs
    this.forwardedMs = watermarkMs
    this.operator.resume(forwardedMs, watermarkMs)
  }
}

export class CalcOperator implements Operator {
  private readonly run: ReturnType<typeof compileCalc>
  private readonly context: OperatorContext
  private readonly memory: BatchMemory
  constructor(plan: Plan & { node: 'calc' }, context: OperatorContext, timeZone: string, memory: BatchMemory) {
    this.run = compileCalc(plan, plan.input.fields, { timeZone })
    this.context = context
    this.memory = memory
  }
  process(batch: Batch): void {
    const mark = this.memory.mark()
    const out = this.run(batch, (row, error) => this.context.rowFailed(batch, row, error), this.memory)
    if (out) this.context.emit(out)
    this.memory.release(mark)
  }
  advance(): void {}
}
