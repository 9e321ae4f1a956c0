// The first row of each key by time. By event time it waits for the watermark; by processing time the first arrival leaves at once.
// Both are append-only. The last row of each key is keepLast.ts.
//
// Invariants
//   1. By event time: a row behind the watermark is late; of equal times the first arrival wins; a key gives one row for ever.
//   This is held by rank.property.test.ts.
import { type Batch, rowAt } from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import { heapPop, heapPush } from '../aggregates/index.ts'
import { engineErrors } from '../errors.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { isNullAt, KeyedStates, type Row, RowOutput, timeAt } from './rows.ts'

type DeduplicatePlan = Plan & { node: 'deduplicate' }

interface Kept {
  time: number
  row: Row
  /** Keep-first: given out, so the row itself is no longer needed. */
  isOut: boolean
}
interface Due {
  atMs: number
  kept: Kept
}
const soonest = (a: Due, b: Due): boolean => a.atMs < b.atMs

export class DeduplicateOperator implements Operator {
  private readonly plan: DeduplicatePlan
  private readonly context: OperatorContext
  private readonly output: RowOutput
  private readonly keys: KeyedStates<Kept>
  private due: Due[] = []
  private watermarkMs = -Infinity

  constructor(plan: DeduplicatePlan, context: OperatorContext) {
    this.plan = plan
    this.context = context
    this.output = new RowOutput(plan.fields, context)
    this.keys = new KeyedStates(plan.input.fields, plan.keys)
  }

  process(batch: Batch): void {
    this.output.processingTimeMs = batch.processingTimeMs
    const keys = this.keys.keysOf(batch)
    this.keepFirst(batch, keys)
    this.output.flush()
  }

  private keepFirst(batch: Batch, keys: Int32Array): void {
    const { states } = this.keys
    const timeColumn = batch.columns[this.plan.timeColumn]
    const late: number[] = []
    for (let i = 0; i < batch.rowCount; i++) {
      const kept = states[keys[i]]
      if (this.plan.processingTime) {
        if (kept !== undefined) continue
        states[keys[i]] = { time: 0, row: [], isOut: true }
        this.output.put(rowAt(batch, i))
        continue
      }
      if (this.failsOnNull(batch, i)) continue
      const time = timeAt(timeColumn, i)
      const watermarkMs = Math.max(this.watermarkMs, batch.watermarksBefore?.[i] ?? -Infinity)
      if (time < watermarkMs) {
        late.push(i)
        continue
      }
      if (kept !== undefined && (kept.isOut || kept.time <= time)) continue
      const row = rowAt(batch, i)
      if (kept !== undefined) Object.assign(kept, { time, row })
      else states[keys[i]] = { time, row, isOut: false }
      heapPush(this.due, { atMs: time, kept: states[keys[i]] as Kept }, soonest)
    }
    if (late.length > 0) this.context.late(batch, late)
  }

  private failsOnNull(batch: Batch, row: number): boolean {
    if (!isNullAt(batch.columns[this.plan.timeColumn], row)) return false
    const column = this.plan.input.fields[this.plan.timeColumn].name
    this.context.rowFailed(batch, row, engineErrors('ROWTIME_NULL', { column, table: 'deduplication' }))
    return true
  }

  advance(watermarkMs: number): void {
    this.output.seenMs = this.watermarkMs
    while (this.due.length > 0 && this.due[0].atMs <= watermarkMs) {
      const { atMs, kept } = heapPop(this.due, soonest) as Due
      // An entry whose row was replaced by an earlier one has been passed already.
      if (kept.isOut || kept.time !== atMs) continue
      this.output.put(kept.row)
      kept.isOut = true
      kept.row = []
    }
    this.watermarkMs = watermarkMs
    this.output.flush()
  }

  snapshot(): unknown {
    return { watermarkMs: this.watermarkMs, keys: this.keys.snapshot() }
  }

  restore(state: unknown, adds = false): void {
    const { watermarkMs, keys } = state as { watermarkMs: number; keys: unknown }
    this.watermarkMs = adds ? Math.min(this.watermarkMs, watermarkMs) : watermarkMs
    for (const key of this.keys.restore(keys, (kept) => ({ ...(kept as Kept) }), adds)) {
      const kept = this.keys.states[key]
      if (kept !== undefined && !kept.isOut) heapPush(this.due, { atMs: kept.time, kept }, soonest)
    }
  }

  divide(division: Division): (part: number) => unknown {
    const { watermarkMs } = this
    const ofPart = this.keys.divide(division)
    return (part) => ({ watermarkMs, keys: ofPart(part).saved })
  }

  nextDueMs(): number {
    return this.due[0]?.atMs ?? Infinity
  }

  describe(): OperatorStatus {
    const stateRows = this.keys.table.count
    return { stateRows, stateBytes: this.keys.table.byteSize + stateRows * 64 }
  }
}
