// The first row of each key by time. By event time it waits for the watermark; by processing time the first arrival leaves at once.
// Both are append-only. The last row of each key is keepLast.ts.
//
// Invariants
//   1. By event time: a row behind the watermark is late; of equal times the first arrival wins; a key gives one row for ever.
//      What a row's own watermark lets out leaves before the row is looked at: batching changes nothing, also for those behind.
//   2. With a time to live a key that gave its row so long ago, by the clock, is as if it had never been. A row that waits for the
//      watermark stays.
//   1 is held by rank.property.test.ts, 2 by stateTtl.property.test.ts.
import { type Batch, rowAt, t, withNullable } from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import { heapPop, heapPush } from '../aggregates/index.ts'
import { engineErrors } from '../errors.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { SweepClock } from '../state/expiry.ts'
import { field, keptFor, oneRow, type StateTable } from '../state/stateTable.ts'
import { isNullAt, KeyedStates, type Row, RowOutput, timeAt } from './rows.ts'

type DeduplicatePlan = Plan & { node: 'deduplicate' }

interface Kept {
  time: number
  row: Row
  /** Keep-first: given out, so the row itself is no longer needed. */
  isOut: boolean
  /** With a time to live: when it was given out; undefined where nobody knows. */
  outMs?: number
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
  private nowMs = -Infinity
  private liveCount = 0
  private readonly sweeps: SweepClock | undefined

  constructor(plan: DeduplicatePlan, context: OperatorContext) {
    this.plan = plan
    this.context = context
    this.output = new RowOutput(plan.fields, context)
    this.keys = new KeyedStates(plan.input.fields, plan.keys)
    this.sweeps = plan.ttlMs ? new SweepClock(plan.ttlMs) : undefined
  }

  process(batch: Batch): void {
    this.nowMs = this.output.processingTimeMs = batch.processingTimeMs
    const keys = this.keys.keysOf(batch)
    this.keepFirst(batch, keys)
    this.output.flush()
    if (this.sweeps?.isDue(this.nowMs)) this.sweep()
  }

  tick(nowMs: number): void {
    this.nowMs = nowMs
  }

  private isOver(kept: Kept): boolean {
    const { ttlMs } = this.plan
    if (!ttlMs || !kept.isOut) return false
    kept.outMs ??= this.nowMs
    return kept.outMs + ttlMs <= this.nowMs
  }

  private sweep(): void {
    const { states } = this.keys
    states.forEach((kept, key) => {
      if (kept === undefined || !this.isOver(kept)) return
      states[key] = undefined
      this.liveCount--
    })
    this.keys.compact(this.liveCount)
  }

  private begin(key: number, kept: Kept): Kept {
    if (this.keys.states[key] === undefined) this.liveCount++
    this.keys.states[key] = kept
    return kept
  }

  private get out(): { isOut: true; outMs?: number } {
    return { isOut: true, ...(this.sweeps && Number.isFinite(this.nowMs) && { outMs: this.nowMs }) }
  }

  private keepFirst(batch: Batch, keys: Int32Array): void {
    const { states } = this.keys
    const timeColumn = batch.columns[this.plan.timeColumn]
    const late: number[] = []
    for (let i = 0; i < batch.rowCount; i++) {
      const known = states[keys[i]]
      const kept = known && this.isOver(known) ? undefined : known
      if (this.plan.processingTime) {
        if (kept !== undefined) continue
        this.begin(keys[i], { time: 0, row: [], ...this.out })
        this.output.put(rowAt(batch, i))
        continue
      }
      if (this.failsOnNull(batch, i)) continue
      const time = timeAt(timeColumn, i)
      this.fire(batch.watermarksBefore?.[i] ?? -Infinity)
      if (time < this.watermarkMs) {
        late.push(i)
        continue
      }
      if (kept !== undefined && (kept.isOut || kept.time <= time)) continue
      const row = rowAt(batch, i)
      const waiting = kept ? Object.assign(kept, { time, row }) : this.begin(keys[i], { time, row, isOut: false })
      heapPush(this.due, { atMs: time, kept: waiting }, soonest)
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
    this.fire(watermarkMs)
    this.output.flush()
  }

  private fire(watermarkMs: number): void {
    // What arrived behind a watermark waits for the next one.
    if (watermarkMs <= this.watermarkMs) return
    this.output.seenMs = this.watermarkMs
    while (this.due.length > 0 && this.due[0].atMs <= watermarkMs) {
      const { atMs, kept } = heapPop(this.due, soonest) as Due
      // An entry whose row was replaced by an earlier one has been passed already.
      if (kept.isOut || kept.time !== atMs) continue
      this.output.put(kept.row)
      Object.assign(kept, { row: [], ...this.out })
    }
    this.watermarkMs = watermarkMs
  }

  snapshot(): unknown {
    return { watermarkMs: this.watermarkMs, keys: this.keys.snapshot() }
  }

  restore(state: unknown, adds = false): void {
    const { watermarkMs, keys } = state as { watermarkMs: number; keys: unknown }
    this.watermarkMs = adds ? Math.min(this.watermarkMs, watermarkMs) : watermarkMs
    const restored = this.keys.restore(keys, (kept) => ({ ...(kept as Kept) }), adds)
    this.liveCount = this.keys.states.length
    for (const key of restored) {
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

  stateTables(): StateTable[] {
    const { input, ttlMs, processingTime } = this.plan
    const value = [field('is_out', t.boolean(false)), ...input.fields.map((one) => ({ ...one, type: withNullable(one.type, true) }))]
    const kept = keptFor(ttlMs, `The key of a row that was given out${processingTime ? '' : ' (one that is not waits for the watermark)'}`)
    return [
      this.keys.stateTable({ name: 'first rows', value, kept, keyCount: this.liveCount }, ({ isOut, row, outMs }) =>
        oneRow([isOut, ...input.fields.map((_, i) => (isOut ? null : row[i]))], isOut && ttlMs ? (outMs ?? NaN) + ttlMs : undefined),
      ),
    ]
  }

  describe(): OperatorStatus {
    const stateRows = this.keys.table.count
    return { stateRows, stateBytes: this.keys.table.byteSize + stateRows * 64 }
  }
}
