// OVER ordered by a plain column: a row that comes between others changes the results of those after it.
//
// Invariant: after each batch what has left is each row with the aggregates over the rows of its key up to it (RANGE: and its equals).
// A key that a batch touches is worked through anew: the cost is that of all its rows. With a time to live a key that got no row for so
// long, by the clock, is as if it had never been.
import { type Batch, INSERT, isRetraction, rowAt } from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { SweepClock } from '../state/expiry.ts'
import { heldOf, keptFor, type StateTable } from '../state/stateTable.ts'
import { FrameAggregates, type FrameStep } from './overRows.ts'
import { emitDifference, KeyedStates, type Row, RowOutput, rowOrder, sameRow, sortedIndex } from './rows.ts'

interface KeyState {
  rows: Row[]
  /** What has left for these rows, in their order. */
  results: Row[]
  /** With a time to live: when it last got a row; undefined where nobody knows. */
  writtenMs?: number
}

export class UpdatingOverOperator implements Operator {
  private readonly plan: Plan & { node: 'over' }
  private readonly output: RowOutput
  private readonly order: (a: Row, b: Row) => number
  private readonly keys: KeyedStates<KeyState>
  private readonly sweeps: SweepClock | undefined
  private liveCount = 0

  constructor(plan: Plan & { node: 'over' }, context: OperatorContext) {
    this.plan = plan
    this.output = new RowOutput(plan.fields, context)
    this.order = rowOrder(plan.orderBy)
    this.keys = new KeyedStates(plan.input.fields, plan.partitionKeys)
    this.sweeps = plan.ttlMs ? new SweepClock(plan.ttlMs) : undefined
  }

  process(batch: Batch): void {
    this.output.processingTimeMs = batch.processingTimeMs
    const keys = this.keys.keysOf(batch)
    const { states } = this.keys
    const touched = new Set<number>()
    for (let i = 0; i < batch.rowCount; i++) {
      let state = states[keys[i]]
      if (state === undefined || this.isOver(state, batch.processingTimeMs)) {
        if (state === undefined) this.liveCount++
        states[keys[i]] = state = { rows: [], results: [] }
      }
      if (this.sweeps) state.writtenMs = batch.processingTimeMs
      touched.add(keys[i])
      this.change(state.rows, rowAt(batch, i), isRetraction(batch.kinds?.[i] ?? INSERT))
    }
    for (const key of touched) {
      const state = states[key] as KeyState
      const results = this.resultsOf(state.rows)
      emitDifference(state.results, results, (row, kind) => this.output.put(row, kind))
      state.results = results
      if (state.rows.length > 0) continue
      states[key] = undefined
      this.liveCount--
    }
    this.output.flush()
    if (this.sweeps?.isDue(batch.processingTimeMs)) this.sweep(batch.processingTimeMs)
    this.keys.compact(this.liveCount)
  }

  private isOver(state: KeyState, nowMs: number): boolean {
    if (!this.plan.ttlMs) return false
    state.writtenMs ??= nowMs
    return state.writtenMs + this.plan.ttlMs <= nowMs
  }
  private sweep(nowMs: number): void {
    const { states } = this.keys
    states.forEach((state, key) => {
      if (state === undefined || !this.isOver(state, nowMs)) return
      states[key] = undefined
      this.liveCount--
    })
  }

  private change(rows: Row[], row: Row, removes: boolean): void {
    if (!removes) {
      rows.splice(sortedIndex(rows, row, this.order), 0, row)
      return
    }
    const at = rows.findIndex((other) => sameRow(other, row))
    if (at >= 0) rows.splice(at, 1)
  }

  private resultsOf(rows: Row[]): Row[] {
    const frames = new FrameAggregates(this.plan.input.fields, this.plan.aggregates, false)
    const isRange = this.plan.frame.unit === 'RANGE'
    let pending: FrameStep['results'] = []
    let [rank, denseRank] = [0, 0]
    const steps = rows.map((row, i): FrameStep => {
      if (i === 0 || this.order(rows[i - 1], row) !== 0) {
        rank = i + 1
        denseRank++
      }
      pending.push({ row, previous: rows.slice(Math.max(0, i - frames.previousCountMax), i).reverse(), rank, denseRank })
      const isLastPeer = !isRange || i + 1 === rows.length || this.order(row, rows[i + 1]) !== 0
      const results = isLastPeer ? pending : []
      if (isLastPeer) pending = []
      return { key: 0, row, leaves: false, results }
    })
    const results: Row[] = []
    frames.run(steps, 1, (row) => results.push(row))
    return results
  }

  advance(): void {}

  snapshot(): unknown {
    return this.keys.snapshot()
  }
  restore(state: unknown, adds = false): void {
    // Rows that come without a time to live do not move the time that was written with one.
    this.keys.restore(state, (saved) => (this.sweeps ? (saved as KeyState) : { ...(saved as KeyState), writtenMs: undefined }), adds)
    this.liveCount = this.keys.states.length
  }
  divide(division: Division): (part: number) => unknown {
    const dividedKeys = this.keys.divide(division)
    return (part) => dividedKeys(part).saved
  }

  nextDueMs(): number {
    return Infinity
  }

  /** The rows as they have left: with their results. */
  stateTables(): StateTable[] {
    const { fields, ttlMs } = this.plan
    const spec = { name: 'rows with their results', value: fields, kept: keptFor(ttlMs), keyCount: this.liveCount }
    return [
      this.keys.stateTable(spec, ({ results, writtenMs }, _, rowsMax) =>
        heldOf(results, rowsMax, (values) => ({ values, ...(ttlMs && writtenMs !== undefined && { untilMs: writtenMs + ttlMs }) })),
      ),
    ]
  }

  describe(): OperatorStatus {
    let stateRows = 0
    for (const state of this.keys.states) stateRows += state?.rows.length ?? 0
    return { stateRows, stateBytes: stateRows * 128 * this.plan.fields.length }
  }
}
