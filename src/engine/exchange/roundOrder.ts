// What has come for the exchanges of a stage in a round, put into the order in which one subtask alone would have had it: where a result
// depends on the order of rows, or on the watermark that each sees, behind more than one exchange.
//
//   reader:    row 0, 1, 2, 3, watermark 5, row 4 ...       moments: a row's is its place in what its reader has read in the round
//   stage 1:   each subtask: its own rows and ALL watermarks, moment by moment | what it gives out has the moment that caused it
//   stage 2:   rows of all subtasks by moment ...           as if nobody else had worked on them
//
// Invariants
//   1. Rows and watermarks come by moment; of one moment rows come first, then the watermark that they cause, as from one subtask.
//   2. Of one moment rows come in order of their event time where they have one and none is taken back, else subtask by subtask. Of equal times
//      the order among keys is nobody's, as that of Flink's timers.
//   3. A row sees the watermark that it saw, and no more than all subtasks had come to by its moment.
//   Several readers come one after the other: which of two partitions was read first, nobody says.
import { type Batch, type BatchMemory, type Column, type Field, gatherAll, INSERT } from '../../data/index.ts'
import { RowStore } from '../state/rowStore.ts'
import { consolidated } from './consolidate.ts'
import type { ExchangeOperator } from './exchange.ts'
import type { Rounds } from './rounds.ts'

/** Before the first row of a round. */
export const BEFORE_ROWS = -1
/** A moment that no row has: the watermark that a row sees was reached before it. */
export const BEFORE_ROW = 0.5
/** Moments of the next reader's rows are so much later. */
export const READER_MOMENTS = 2 ** 32

/** How far the watermark of a subtask has come at a moment: behind its rows. */
export interface Step {
  from: number
  moment: number
  watermarkMs: number
}

export interface RoundOutput {
  emit(batch: Batch): void
  /** All subtasks have come so far. */
  forward(watermarkMs: number): void
}

/** Of one exchange. */
export class RoundOrder {
  private readonly fields: readonly Field[]
  private readonly consolidatesBy: readonly number[] | undefined
  private readonly memory: BatchMemory
  private readonly out: RoundOutput
  private readonly rows: RowStore
  private columns: Column[] = []
  private readonly kinds: number[] = []
  private readonly seen: number[] = []
  private readonly senders: number[] = []
  private readonly moments: number[] = []
  private order = new Int32Array(0)
  private readonly steps: Step[] = []
  private hasKinds = false
  private processingTimeMs: number
  private rowAt = 0
  private stepAt = 0
  private seenMs = -Infinity

  /** @param nowMs  the clock of the round: processing time never falls */
  constructor(
    fields: readonly Field[],
    consolidatesBy: readonly number[] | undefined,
    memory: BatchMemory,
    out: RoundOutput,
    nowMs: number,
  ) {
    this.processingTimeMs = nowMs
    this.fields = fields
    this.consolidatesBy = consolidatesBy
    this.memory = memory
    this.out = out
    this.rows = new RowStore(fields.map(({ type }) => type))
  }

  /** @param moments  of its rows */
  add(from: number, batch: Batch, moments: Float64Array): void {
    const { rowCount, columns, kinds, watermarksBefore } = batch
    const all = this.memory.i32(rowCount)
    for (let row = 0; row < rowCount; row++) {
      all[row] = row
      this.kinds.push(kinds?.[row] ?? INSERT)
      this.seen.push(watermarksBefore?.[row] ?? -Infinity)
      this.senders.push(from)
      this.moments.push(moments[row])
    }
    this.rows.append(columns, all, rowCount)
    this.hasKinds ||= kinds !== undefined
    this.processingTimeMs = Math.max(this.processingTimeMs, batch.processingTimeMs)
  }

  addSteps(from: number, steps: readonly number[]): void {
    for (let i = 0; i < steps.length; i += 2) this.steps.push({ from, moment: steps[i], watermarkMs: steps[i + 1] })
  }

  /** Everything has come. @param lowest  what all subtasks have come to, given that one has made a step */
  begin(lowest: (step?: Step) => number): void {
    this.columns = this.rows.columns()
    this.steps.sort((a, b) => a.moment - b.moment || a.from - b.from)
    const { moments } = this
    const times = this.hasKinds ? undefined : this.times()
    this.order = new Int32Array(moments.length)
    for (let row = 0; row < moments.length; row++) this.order[row] = row
    if (moments.some((moment, row) => row > 0 && moment <= moments[row - 1]))
      this.order.sort((a, b) => {
        if (moments[a] !== moments[b]) return moments[a] < moments[b] ? -1 : 1
        return (times === undefined ? 0 : times[a] - times[b]) || a - b
      })
    this.limit(lowest)
  }

  private limit(lowest: (step?: Step) => number): void {
    const { steps, moments, seen } = this
    let limitMs = lowest()
    let step = 0
    for (const row of this.order) {
      while (step < steps.length && steps[step].moment < moments[row]) limitMs = lowest(steps[step++])
      seen[row] = Math.min(seen[row], limitMs)
    }
  }

  private times(): Float64Array | undefined {
    const column = this.columns[this.fields.findIndex(({ timeAttribute }) => timeAttribute === 'event')]
    return column?.lane === 'f64' && column.nulls === undefined ? column.data : undefined
  }

  /** Moments of what comes next; undefined where there is nothing. */
  get nextRow(): number | undefined {
    return this.rowAt < this.order.length ? this.moments[this.order[this.rowAt]] : undefined
  }
  get nextStep(): number | undefined {
    return this.steps[this.stepAt]?.moment
  }

  /** Gives the rows before a moment, or those of the next row's own, which go together. */
  giveRows(before: number): void {
    const { order, moments } = this
    const moment = this.nextRow as number
    const isWhole = this.consolidatesBy !== undefined
    let end = this.rowAt + 1
    while (end < order.length && (moments[order[end]] === moment || (!isWhole && moments[order[end]] < before))) end++
    this.give(order.subarray(this.rowAt, end))
    this.rowAt = end
  }

  private give(picks: Int32Array): void {
    const { kinds, seen, senders, memory } = this
    const mark = memory.mark()
    const watermarksBefore = memory.f64(picks.length)
    for (let i = 0; i < picks.length; i++) {
      this.seenMs = Math.max(this.seenMs, seen[picks[i]])
      watermarksBefore[i] = this.seenMs
    }
    const batch: Batch = {
      rowCount: picks.length,
      columns: gatherAll(this.columns, picks, picks.length, memory),
      kinds: this.hasKinds ? Uint8Array.from(picks, (row) => kinds[row]) : undefined,
      watermarksBefore: this.seenMs === -Infinity ? undefined : watermarksBefore,
      watermarkAfter: this.seenMs,
      processingTimeMs: this.processingTimeMs,
    }
    const { consolidatesBy } = this
    const isMixed = consolidatesBy !== undefined && picks.some((row) => senders[row] !== senders[picks[0]])
    for (const one of isMixed ? consolidated([batch], this.fields, consolidatesBy) : [batch]) this.out.emit(one)
    memory.release(mark)
  }

  /** Takes the steps of the next moment. */
  takeSteps(take: (step: Step) => void): void {
    const moment = this.nextStep
    while (this.nextStep === moment && this.stepAt < this.steps.length) take(this.steps[this.stepAt++])
  }
}

/**
 * A stage is at work: its exchanges hand on together what has come in the round.
 *
 * @param how  `oneByOne`: rows of another moment are in another batch, as the next stage asks for it. `stepByStep`: the watermark is told wherever
 *             it grows, not only at the end of the round
 */
export function deliverInOrder(
  exchanges: readonly ExchangeOperator[],
  rounds: Rounds,
  how: { oneByOne: boolean; stepByStep: boolean },
): void {
  const parts = exchanges.map((exchange) => exchange.order())
  const isStepwise = how.stepByStep || parts.length > 1
  for (;;) {
    const rowsAt = parts.map(({ rows }) => rows.nextRow ?? Infinity)
    const stepsAt = parts.map(({ rows }) => (isStepwise ? (rows.nextStep ?? Infinity) : Infinity))
    const part = parts.find(({ rows }, i) => rows.nextRow !== undefined && rowsAt.every((moment) => moment >= rowsAt[i]))
    const stepAt = Math.min(...stepsAt)
    const rowAt = part?.rows.nextRow ?? Infinity
    if (part !== undefined && rowAt <= stepAt) {
      rounds.moment = rowAt
      const others = rowsAt.filter((_, i) => parts[i] !== part)
      part.rows.giveRows(how.oneByOne ? rowAt : Math.min(stepAt, ...others))
    } else if (stepAt < Infinity) {
      rounds.moment = stepAt
      for (const [i, { step }] of parts.entries()) if (stepsAt[i] === stepAt) step()
    } else break
  }
  rounds.moment = Infinity
  for (const { finish } of parts) finish()
}
