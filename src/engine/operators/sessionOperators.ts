// SESSION windows as operators: with aggregation, and as a table function that gives each row the limits of its session.
import {
  type Batch,
  type Column,
  ColumnBuilder,
  type Field,
  gather,
  INSERT,
  isRetraction,
  type SqlType,
  valueAt,
} from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import { Accumulators, type AccumulatorsSnapshot, type AggregateLayout, layoutOf } from '../aggregates/index.ts'
import { engineErrors } from '../errors.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { canonicalText } from '../state/columns.ts'
import { aggregateFields, countField, field, fieldsAt, rowTypeOf, type StateTable } from '../state/stateTable.ts'
import { batchSeeing, constantTimes, ordinals } from './emission.ts'
import { type ClosedSessions, type SessionPayload, SessionWindows } from './sessionWindows.ts'
import { WindowShape } from './windows.ts'

type SessionPlan = Plan & { node: 'windowAggregate' | 'windowTvf' }

/** What both operators do: read the time, report late rows, fire on watermarks or on processing time. */
abstract class SessionOperator implements Operator {
  protected readonly context: OperatorContext
  protected readonly shape: WindowShape
  protected abstract readonly windows: SessionWindows
  protected processingTimeMs = 0
  private readonly plan: SessionPlan
  private readonly keys: number[]

  constructor(plan: SessionPlan, keys: number[], context: OperatorContext) {
    this.plan = plan
    this.keys = keys
    this.context = context
    this.shape = new WindowShape(plan.window)
  }

  protected get keyTypes(): SqlType[] {
    return this.keys.map((key) => this.plan.input.fields[key].type)
  }

  process(batch: Batch): void {
    this.processingTimeMs = batch.processingTimeMs
    const keys = this.keys.map((key) => batch.columns[key])
    const close = (sessions: ClosedSessions) => this.emitClosed(sessions)
    if (this.plan.window.timeAttribute === 'processing') {
      this.windows.advance(batch.processingTimeMs, close)
      const times = new Float64Array(batch.rowCount).fill(this.shape.clock.toLocal(batch.processingTimeMs))
      this.windows.process({ ...batch, watermarksBefore: undefined }, keys, times, close)
      return
    }
    const late = this.windows.process(batch, keys, this.timesOf(batch), close)
    if (late.length > 0) this.context.late(batch, late)
  }

  private timesOf(batch: Batch): Float64Array {
    const column = batch.columns[this.plan.timeColumn] as Column & { lane: 'f64' }
    const { nulls } = column
    const { clock } = this.shape
    if (nulls === undefined && clock.isUtc) return column.data
    const times = new Float64Array(batch.rowCount)
    for (let row = 0; row < batch.rowCount; row++) {
      if (nulls !== undefined && nulls[row] === 1) {
        const field = this.plan.input.fields[this.plan.timeColumn]
        this.context.rowFailed(batch, row, engineErrors('ROWTIME_NULL', { column: field.name, table: 'window' }))
        times[row] = NaN
      } else times[row] = clock.toLocal(column.data[row])
    }
    return times
  }

  advance(watermarkMs: number): void {
    if (this.plan.window.timeAttribute === 'event') this.windows.advance(watermarkMs, (sessions) => this.emitClosed(sessions))
  }

  tick(nowMs: number): void {
    this.processingTimeMs = nowMs
    if (this.plan.window.timeAttribute === 'processing') this.windows.advance(nowMs, (sessions) => this.emitClosed(sessions))
  }

  protected abstract emitClosed(sessions: ClosedSessions): void

  /** Processing-time sessions say nothing about event time. */
  protected emitSeeing(seenMs: Float64Array, columns: Column[]): void {
    const rowCount = seenMs.length
    if (rowCount === 0) return
    const batch = batchSeeing(-Infinity, this.processingTimeMs, rowCount, columns)
    const isEvent = this.plan.window.timeAttribute === 'event'
    this.context.emit(isEvent ? { ...batch, watermarksBefore: seenMs, watermarkAfter: seenMs[rowCount - 1] } : batch)
  }

  snapshot(): unknown {
    return this.windows.snapshot()
  }
  restore(state: unknown, adds = false): void {
    this.windows.restore(state, adds)
  }

  divide(division: Division): (part: number) => unknown {
    return this.windows.divide(division)
  }
  nextDueMs(): number {
    return this.windows.nextDueMs()
  }

  /** What is held of a session, and its columns. */
  protected abstract readonly sessionFields: Field[]
  protected abstract valuesOf(slot: number): unknown[]

  stateTables(): StateTable[] {
    const isEvent = this.plan.window.timeAttribute === 'event'
    const spec = {
      name: 'open sessions',
      key: fieldsAt(this.plan.input.fields, this.keys),
      value: this.sessionFields,
      kept: {
        by: isEvent ? ('eventTime' as const) : ('clock' as const),
        text: `A session is given out and forgotten when ${isEvent ? 'the watermark' : 'the clock'} reaches its end: the last row and the gap.`,
      },
    }
    return [this.windows.stateTable(spec, (slot) => this.valuesOf(slot))]
  }

  describe(): OperatorStatus {
    const openWindows = this.windows.openSessions
      .slice(0, 100)
      .map((window) => ({ ...window, rows: 1, firesAtMs: this.shape.firesAt(window.endMs) }))
    return { stateRows: this.windows.sessionCount, stateBytes: this.windows.byteSize, openWindows }
  }
}

class AccumulatorPayload implements SessionPayload {
  private readonly layout: AggregateLayout
  accumulators: Accumulators

  constructor(layout: AggregateLayout) {
    this.layout = layout
    this.accumulators = new Accumulators(layout)
  }
  add(batch: Batch, rows: Int32Array, slots: Int32Array, count: number): void {
    let slotCount = 0
    for (let i = 0; i < count; i++) slotCount = Math.max(slotCount, slots[i] + 1)
    this.accumulators.reserve(slotCount)
    this.accumulators.update({ columns: batch.columns, rowCount: count, groups: slots, rows, kinds: batch.kinds })
  }
  merge(from: number, into: number): void {
    this.accumulators.merge(this.accumulators, Int32Array.of(from), Int32Array.of(into), 1)
  }
  compact(kept: Int32Array): void {
    const fresh = new Accumulators(this.layout, kept.length)
    fresh.reserve(kept.length)
    fresh.merge(this.accumulators, kept, ordinals(kept.length), kept.length)
    this.accumulators = fresh
  }
  pick(slots: Int32Array): AccumulatorsSnapshot {
    return this.accumulators.pick(slots)
  }
  snapshot(slotCount: number): AccumulatorsSnapshot {
    return this.accumulators.snapshot(slotCount)
  }
  restore(state: unknown, firstSlot: number): void {
    const snapshot = state as AccumulatorsSnapshot
    if (firstSlot === 0) this.accumulators = Accumulators.restore(this.layout, snapshot)
    else this.accumulators.add(snapshot, ordinals(snapshot.groupCount, firstSlot), firstSlot + snapshot.groupCount)
  }
}

/** GROUP BY a session and exactly the keys that sessions are made for. */
export class SessionAggregateOperator extends SessionOperator {
  protected readonly windows: SessionWindows
  private readonly payload: AccumulatorPayload
  private readonly aggregatePlan: Plan & { node: 'windowAggregate' }
  private readonly retracts: boolean

  constructor(plan: Plan & { node: 'windowAggregate' }, context: OperatorContext) {
    super(plan, plan.keys, context)
    this.aggregatePlan = plan
    this.retracts = plan.input.changelog !== 'append'
    this.payload = new AccumulatorPayload(layoutOf(plan.aggregates, this.retracts))
    this.windows = new SessionWindows(this.shape, this.keyTypes, this.payload)
  }

  protected get sessionFields(): Field[] {
    const { aggregates, input, fields, keys } = this.aggregatePlan
    return aggregateFields(aggregates, input.fields, fields.slice(keys.length))
  }
  protected valuesOf(slot: number): unknown[] {
    return this.payload.accumulators.resultsOf(slot)
  }

  protected emitClosed({ slots, owners, starts, ends, seenMs, table }: ClosedSessions): void {
    const { accumulators } = this.payload
    // A session whose rows were all taken back gives no row.
    const kept = ordinals(slots.length).filter((i) => !this.retracts || accumulators.rowCountOf(slots[i]) > 0)
    const rowCount = kept.length
    const pick = (values: Float64Array) => Float64Array.from(kept, (i) => values[i])
    const groups = Int32Array.from(kept, (i) => slots[i])
    const keptOwners = Int32Array.from(kept, (i) => owners[i])
    const times = (of: (i: number) => number): Column => ({ lane: 'f64', data: Float64Array.from(kept, of) })
    const columns = [
      ...table.types.map((_, i) => gather(table.column(i), keptOwners, rowCount)),
      ...this.aggregatePlan.aggregates.map((_, i) => accumulators.column(i, { groups, from: 0, count: rowCount })),
      ...this.aggregatePlan.windowColumns.map((column) => {
        switch (column) {
          case 'start':
            return times((i) => starts[i])
          case 'end':
            return times((i) => ends[i])
          case 'time':
            return times((i) => this.shape.clock.toEpoch(ends[i] - 1))
          default:
            return constantTimes(this.processingTimeMs, rowCount)
        }
      }),
    ]
    this.emitSeeing(pick(seenMs), columns)
  }
}

/** Rows as JS values, by slot. */
class RowPayload implements SessionPayload {
  rows: unknown[][][] = []
  add(batch: Batch, rows: Int32Array, slots: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      const row = batch.columns.map((column) => valueAt(column, rows[i]))
      const ofSession = (this.rows[slots[i]] ??= [])
      if (isRetraction(batch.kinds?.[rows[i]] ?? INSERT)) removeRow(ofSession, row)
      else ofSession.push(row)
    }
  }
  merge(from: number, into: number): void {
    for (const row of this.rows[from]) this.rows[into].push(row)
    this.rows[from] = []
  }
  compact(kept: Int32Array): void {
    this.rows = Array.from(kept, (slot) => this.rows[slot])
  }
  pick(slots: Int32Array): unknown {
    return Array.from(slots, (slot) => this.rows[slot])
  }
  snapshot(): unknown {
    return this.rows
  }
  restore(state: unknown, firstSlot: number): void {
    this.rows = [...this.rows.slice(0, firstSlot), ...(state as unknown[][][]).map((rows) => rows.slice())]
  }
}

function removeRow(rows: unknown[][], row: unknown[]): void {
  const text = canonicalText(row)
  const at = rows.findIndex((other) => canonicalText(other) === text)
  if (at >= 0) rows.splice(at, 1)
}

/** TABLE(SESSION(…)) without aggregation: rows wait until their session closes. */
export class SessionTvfOperator extends SessionOperator {
  protected readonly windows: SessionWindows
  private readonly payload = new RowPayload()
  private readonly fields

  constructor(plan: Plan & { node: 'windowTvf' }, context: OperatorContext) {
    super(plan, plan.window.partitionKeys, context)
    this.fields = plan.fields
    this.windows = new SessionWindows(this.shape, this.keyTypes, this.payload)
  }

  protected get sessionFields(): Field[] {
    return [countField('rows'), field('last_row', rowTypeOf(this.context.inputFields[0]))]
  }
  protected valuesOf(slot: number): unknown[] {
    const rows = this.payload.rows[slot] ?? []
    return [BigInt(rows.length), rows.at(-1) ?? null]
  }

  protected emitClosed({ slots, starts, ends, seenMs }: ClosedSessions): void {
    const builders = this.fields.map((field) => new ColumnBuilder(field.type))
    const seen: number[] = []
    for (let i = 0; i < slots.length; i++) {
      const windowTime = this.shape.clock.toEpoch(ends[i] - 1)
      for (const row of this.payload.rows[slots[i]]) {
        seen.push(seenMs[i])
        const values = [...row, starts[i], ends[i], windowTime]
        builders.forEach((builder, column) => {
          builder.append(values[column])
        })
      }
    }
    this.emitSeeing(
      Float64Array.from(seen),
      builders.map((builder) => builder.finish()),
    )
  }
}
