// Interval joins: right time in [left time + lower, left time + upper]; rows are kept only while partners can still come.
//
// One row:  meets the rows kept on the other side --> is kept until the watermark passes its last possible partner --> padded if it never met one
//
// Invariants
//   1. Output is append-only. A row meets a partner if that was still kept for the watermark the row saw: batching changes nothing.
//   2. Memory is bounded by the rows of one interval (and the watermark's delay).
//   3. The event time of neither side is late in what comes out: the watermark goes on with a delay of the longer part of the interval, as in Flink.
import { type Batch, rowAt, t } from '../../../data/index.ts'
import type { Plan } from '../../../sql/index.ts'
import { heapPop, heapPush } from '../../aggregates/index.ts'
import { engineErrors } from '../../errors.ts'
import type { Division, JoinSideStatus, Operator, OperatorContext, OperatorStatus } from '../../operator.ts'
import { field, fieldsAt, heldOf, type StateTable } from '../../state/stateTable.ts'
import { type Condition, compileCondition } from '../conditions.ts'
import { isNullAt, KeyedStates, type Row, RowOutput, sortedIndex, timeAt } from '../rows.ts'
import { judge, nullsFor, Unmatched } from './pairs.ts'

type IntervalJoinPlan = Plan & { node: 'intervalJoin' }

interface Kept {
  time: number
  row: Row
  matched: boolean
}
interface Expiry {
  atMs: number
  key: number
  kept: Kept
}

const byTime = (a: Kept, b: Kept): number => a.time - b.time
const soonest = (a: Expiry, b: Expiry): boolean => a.atMs < b.atMs

export class IntervalJoinOperator implements Operator {
  private readonly plan: IntervalJoinPlan
  private readonly context: OperatorContext
  private readonly condition: Condition | undefined
  private readonly output: RowOutput
  /** Rows of each side by key, in order of time. */
  private readonly keys: [KeyedStates<Kept[]>, KeyedStates<Kept[]>]
  private expiries: [Expiry[], Expiry[]] = [[], []]
  private watermarkMs = -Infinity
  readonly watermarkDelayMs: number
  private readonly pairFields
  /** Rows that have left without a partner. */
  private readonly unmatched = [new Unmatched(), new Unmatched()]

  constructor(plan: IntervalJoinPlan, context: OperatorContext, timeZone: string) {
    this.plan = plan
    this.context = context
    this.pairFields = [...plan.left.fields, ...plan.right.fields]
    this.watermarkDelayMs = Math.max(0, plan.upperMs, -plan.lowerMs)
    this.condition = compileCondition(plan.condition, this.pairFields, timeZone, (pairs, row, error) =>
      context.rowFailed(pairs, row, error, context.inputFields.flat()),
    )
    this.output = new RowOutput(plan.fields, context)
    this.keys = [new KeyedStates(plan.left.fields, plan.leftKeys), new KeyedStates(plan.right.fields, plan.rightKeys)]
  }

  /** The other side's times that a row at `time` can meet. */
  private partners(input: number, time: number): [number, number] {
    const { lowerMs, upperMs } = this.plan
    return input === 0 ? [time + lowerMs, time + upperMs] : [time - upperMs, time - lowerMs]
  }

  private isOuter(input: number): boolean {
    const { kind } = this.plan
    return kind === 'FULL' || (input === 0 ? kind === 'LEFT' || kind === 'ANTI' : kind === 'RIGHT')
  }

  process(batch: Batch, input: number): void {
    const { plan, output } = this
    output.processingTimeMs = batch.processingTimeMs
    const timeColumn = batch.columns[input === 0 ? plan.leftTime : plan.rightTime]
    const ownKeys = this.keys[input].keysOf(batch, false)
    const otherKeys = this.otherKeysOf(batch, input)
    const other = this.keys[1 - input]
    const candidates: { own: Kept; other: Kept; joined: Row }[] = []
    const arrived: { own: Kept; key: number; watermarkMs: number; candidateEnd: number }[] = []
    for (let row = 0; row < batch.rowCount; row++) {
      if (isNullAt(timeColumn, row)) {
        const field = (input === 0 ? plan.left : plan.right).fields[input === 0 ? plan.leftTime : plan.rightTime]
        this.context.rowFailed(
          batch,
          row,
          engineErrors('ROWTIME_NULL', { column: field.name, table: 'interval join' }),
          this.context.inputFields[input],
        )
        continue
      }
      const watermarkMs = Math.max(this.watermarkMs, batch.watermarksBefore?.[row] ?? -Infinity)
      const own: Kept = { time: timeAt(timeColumn, row), row: rowAt(batch, row), matched: false }
      const [from, to] = this.partners(input, own.time)
      const list = otherKeys[row] < 0 ? [] : (other.states[otherKeys[row]] ?? [])
      for (let i = sortedIndex(list, { time: from, row: [], matched: false }, byTime, true); i < list.length && list[i].time <= to; i++) {
        if (this.partners(1 - input, list[i].time)[1] < watermarkMs) continue
        const joined = input === 0 ? [...own.row, ...list[i].row] : [...list[i].row, ...own.row]
        candidates.push({ own, other: list[i], joined })
      }
      arrived.push({ own, key: ownKeys[row], watermarkMs, candidateEnd: candidates.length })
    }
    const passes = judge(
      this.condition,
      this.pairFields,
      candidates.map(({ joined }) => joined),
      batch.processingTimeMs,
    )
    let at = 0
    for (const { own, key, watermarkMs, candidateEnd } of arrived) {
      output.seenMs = watermarkMs - this.watermarkDelayMs
      for (; at < candidateEnd; at++) if (passes(at)) this.meet(candidates[at].own, candidates[at].other, candidates[at].joined, input)
      const lastPartner = this.partners(input, own.time)[1]
      if (key >= 0 && watermarkMs < lastPartner) this.keep(input, key, own, lastPartner)
      else if (!own.matched) this.pad(input, own)
    }
    output.flush()
  }

  private otherKeysOf(batch: Batch, input: number): Int32Array {
    const columns = (input === 0 ? this.plan.leftKeys : this.plan.rightKeys).map((key) => batch.columns[key])
    const keys = new Int32Array(batch.rowCount)
    this.keys[1 - input].table.find(columns, batch.rowCount, keys)
    for (const column of columns) for (let row = 0; row < batch.rowCount; row++) if (isNullAt(column, row)) keys[row] = -1
    return keys
  }

  private meet(own: Kept, other: Kept, joined: Row, input: number): void {
    const { kind } = this.plan
    const left = input === 0 ? own : other
    if (kind === 'SEMI' && !left.matched) this.output.put(left.row)
    own.matched = other.matched = true
    if (kind !== 'SEMI' && kind !== 'ANTI') this.output.put(joined)
  }

  private pad(input: number, { row }: Kept): void {
    this.unmatched[input].add(row)
    if (!this.isOuter(input)) return
    const { kind, left, right } = this.plan
    if (kind === 'ANTI') this.output.put(row)
    else this.output.put(input === 0 ? [...row, ...nullsFor(right.fields)] : [...nullsFor(left.fields), ...row])
  }

  private keep(input: number, key: number, kept: Kept, lastPartner: number): void {
    const { states } = this.keys[input]
    const list = (states[key] ??= [])
    list.splice(sortedIndex(list, kept, byTime), 0, kept)
    heapPush(this.expiries[input], { atMs: lastPartner, key, kept }, soonest)
  }

  advance(watermarkMs: number): void {
    this.output.seenMs = this.watermarkMs - this.watermarkDelayMs
    for (const input of [0, 1]) {
      const heap = this.expiries[input]
      const keyed = this.keys[input]
      while (heap.length > 0 && heap[0].atMs < watermarkMs) {
        const { key, kept } = heapPop(heap, soonest) as Expiry
        const list = keyed.states[key] as Kept[]
        list.splice(list.indexOf(kept), 1)
        if (list.length === 0) keyed.states[key] = undefined
        if (!kept.matched) this.pad(input, kept)
      }
      const moved = keyed.compact(heap.length)
      if (moved !== undefined) for (const expiry of heap) expiry.key = moved[expiry.key]
    }
    this.watermarkMs = watermarkMs
    this.output.flush()
  }

  snapshot(): unknown {
    const sides = this.keys.map((keyed) => keyed.snapshot())
    this.rebuild()
    return { watermarkMs: this.watermarkMs, sides }
  }

  /** Keys moved while the snapshot was made: the queue of expiries follows. */
  private rebuild(): void {
    this.expiries = [[], []]
    this.keys.forEach(({ states }, input) => {
      states.forEach((list, key) => {
        for (const kept of list ?? []) heapPush(this.expiries[input], { atMs: this.partners(input, kept.time)[1], key, kept }, soonest)
      })
    })
  }

  restore(state: unknown, adds = false): void {
    const { watermarkMs, sides } = state as { watermarkMs: number; sides: [unknown, unknown] }
    this.watermarkMs = adds ? Math.min(this.watermarkMs, watermarkMs) : watermarkMs
    this.keys.forEach((keyed, i) => {
      keyed.restore(sides[i], undefined, adds)
    })
    this.rebuild()
  }

  joinSides(): JoinSideStatus[] {
    return this.expiries.map((kept, input) => ({ rows: kept.length, ...this.unmatched[input].status() }))
  }

  divide(division: Division): (part: number) => unknown {
    const { watermarkMs } = this
    const sides = this.keys.map((keyed) => keyed.divide(division))
    return (part) => ({ watermarkMs, sides: sides.map((ofPart) => ofPart(part).saved) })
  }

  nextDueMs(): number {
    return Math.min(...this.expiries.map((heap) => heap[0]?.atMs ?? Infinity))
  }

  stateTables(): StateTable[] {
    const { left, right, leftKeys, rightKeys } = this.plan
    const keys = [fieldsAt(left.fields, leftKeys), fieldsAt(right.fields, rightKeys)]
    const kept = { by: 'eventTime' as const, text: 'A row is kept until the watermark has passed the last time that a partner can have.' }
    return [left, right].map(({ fields }, input) => ({
      ...this.keys[input].stateTable(
        { name: input === 0 ? 'left rows' : 'right rows', value: [...fields, field('has_partner', t.boolean(false))], kept },
        (list, _, rowsMax) =>
          heldOf(list, rowsMax, ({ row, time, matched }) => ({ values: [...row, matched], untilMs: this.partners(input, time)[1] })),
      ),
      keyAlias: keys[1 - input],
    }))
  }

  describe(): OperatorStatus {
    const stateRows = this.expiries[0].length + this.expiries[1].length
    // A row is reckoned at 64 bytes for each value.
    return { stateRows, stateBytes: stateRows * 64 * this.pairFields.length }
  }
}
