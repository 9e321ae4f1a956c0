// GROUP BY TUMBLE(…) or HOP(…) with `table.exec.emit.*`: results before a window closes, and corrections after it has.
//
// One group of a window:  rows --> early: +I, -U/+U --> the window closes: what has changed --> late rows: -U/+U --> forgotten
//
// Invariants
//   1. When a window is forgotten its last result is the aggregate of all rows that it took, whenever results left before.
//   2. A result that stays the same gives no change. Every retraction carries the whole old row.
//   3. A row counts in those of its windows whose end is less than `latenessMs` behind the watermark that it saw; with none it is late.
//   4. No state stays for a window whose end is `latenessMs` behind the watermark.
//   1 to 4 are held by emittingWindow.property.test.ts, with a restore at any step.
//
// Delays are processing time, from the first row that a group has not shown; a delay of 0 is with the batch.
import { type Batch, type Column, DELETE, gather, INSERT, t, UPDATE_AFTER, UPDATE_BEFORE, valueAt } from '../../data/index.ts'
import type { Plan, WindowEmit } from '../../sql/index.ts'
import { Accumulators, type AccumulatorsSnapshot, type AggregateLayout, layoutOf } from '../aggregates/index.ts'
import { engineErrors } from '../errors.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { canonicalText } from '../state/columns.ts'
import { KeyTable, type KeyTableSnapshot } from '../state/keyTable.ts'
import { aggregateFields, fieldsAt, keyedTable, oneRow, type StateTable, timeField } from '../state/stateTable.ts'
import { type Row, RowOutput } from './rows.ts'
import { WindowShape } from './windows.ts'

type EmittingPlan = Plan & { node: 'windowAggregate'; emit: WindowEmit }

interface OpenWindow {
  /** Local ms. */
  end: number
  isClosed: boolean
  table: KeyTable
  accumulators: Accumulators
  /** What each group has shown, as it left. */
  shown: (Row | undefined)[]
  /** Groups that have changed since, and when they are shown: processing time, Infinity for when the window closes. */
  due: Map<number, number>
  /** Rows of the batch in work. */
  rows: number[]
}

interface Snapshot {
  watermarkMs: number
  windows: {
    end: number
    isClosed: boolean
    table: KeyTableSnapshot
    accumulators: AccumulatorsSnapshot
    shown: OpenWindow['shown']
    due: OpenWindow['due']
  }[]
}

export class EmittingWindowOperator implements Operator {
  private readonly plan: EmittingPlan
  private readonly context: OperatorContext
  private readonly shape: WindowShape
  private readonly layout: AggregateLayout
  private readonly keyTypes
  private readonly output: RowOutput
  private readonly isProcessingTime: boolean
  private windows = new Map<number, OpenWindow>()
  private watermarkMs = -Infinity

  constructor(plan: EmittingPlan, context: OperatorContext) {
    this.plan = plan
    this.context = context
    this.shape = new WindowShape(plan.window)
    this.layout = layoutOf(plan.aggregates, plan.input.changelog !== 'append')
    this.keyTypes = plan.keys.map((key) => plan.input.fields[key]?.type ?? t.null())
    this.output = new RowOutput(plan.fields, context)
    this.isProcessingTime = plan.window.timeAttribute === 'processing'
  }

  process(batch: Batch): void {
    this.output.processingTimeMs = batch.processingTimeMs
    if (this.isProcessingTime) this.fire(batch.processingTimeMs)
    const late: number[] = []
    for (let row = 0; row < batch.rowCount; row++) {
      const seenMs = batch.watermarksBefore?.[row] ?? -Infinity
      if (!this.isProcessingTime && seenMs > this.watermarkMs) {
        this.flush(batch)
        this.fire(seenMs)
      }
      const timeMs = this.timeOf(batch, row)
      if (timeMs !== undefined && !this.put(timeMs, row)) late.push(row)
    }
    this.flush(batch)
    this.output.flush()
    if (late.length > 0) this.context.late(batch, late)
  }

  /** Local ms; undefined for a row without a time. */
  private timeOf(batch: Batch, row: number): number | undefined {
    if (this.isProcessingTime) return this.shape.clock.toLocal(batch.processingTimeMs)
    const time = valueAt(batch.columns[this.plan.timeColumn], row)
    if (time !== null) return this.shape.clock.toLocal(time as number)
    const column = this.context.inputFields[0]?.[this.plan.timeColumn]?.name ?? 'time'
    this.context.rowFailed(batch, row, engineErrors('ROWTIME_NULL', { column, table: 'window' }))
    return undefined
  }

  /** @returns false if all windows of the time are forgotten; a time between two windows lies in none */
  private put(timeMs: number, row: number): boolean {
    const slice = this.shape.sliceStart(timeMs)
    const [first, last] = [this.shape.firstWindowEnd(slice), this.shape.lastWindowEnd(slice)]
    let isTaken = first > last
    for (let end = first; end <= last; end += this.shape.intervalMs) {
      if (this.forgottenAt(end) <= this.watermarkMs) continue
      let window = this.windows.get(end)
      if (window === undefined) this.windows.set(end, (window = this.newWindow(end)))
      window.rows.push(row)
      isTaken = true
    }
    return isTaken
  }

  private forgottenAt(end: number): number {
    return this.shape.firesAt(end) + this.plan.emit.latenessMs
  }

  private newWindow(end: number): OpenWindow {
    const isClosed = this.shape.firesAt(end) <= this.watermarkMs
    return {
      end,
      isClosed,
      table: new KeyTable(this.keyTypes),
      accumulators: new Accumulators(this.layout),
      shown: [],
      due: new Map(),
      rows: [],
    }
  }

  /** Adds the rows that were put aside for each window. */
  private flush(batch: Batch): void {
    const nowMs = batch.processingTimeMs
    for (const window of this.windows.values()) {
      const { table, accumulators, due, isClosed } = window
      const rowCount = window.rows.length
      if (rowCount === 0) continue
      const rows = Int32Array.from(window.rows)
      window.rows = []
      const groups = new Int32Array(rowCount)
      table.lookup(this.plan.keys.map((key) => batch.columns[key]), rowCount, groups, rows) // biome-ignore format: short
      accumulators.reserve(table.count)
      accumulators.update({ columns: batch.columns, rowCount, groups, rows, kinds: batch.kinds })
      const delayMs = isClosed ? (this.plan.emit.lateMs ?? 0) : (this.plan.emit.earlyMs ?? Infinity)
      for (const group of groups) due.set(group, Math.min(due.get(group) ?? Infinity, nowMs + delayMs))
      if (delayMs === 0) this.show(window, [...due.keys()])
    }
  }

  advance(watermarkMs: number): void {
    if (!this.isProcessingTime) this.fire(watermarkMs)
    this.output.flush()
  }

  tick(nowMs: number): void {
    this.output.processingTimeMs = nowMs
    if (this.isProcessingTime) this.fire(nowMs)
    for (const window of this.windows.values()) {
      const ready = [...window.due].flatMap(([group, dueMs]) => (dueMs <= nowMs ? [group] : []))
      this.show(window, ready)
    }
    this.output.flush()
  }

  /** Closes what the watermark has passed, and forgets what it has passed by the lateness. */
  private fire(watermarkMs: number): void {
    if (watermarkMs <= this.watermarkMs) return
    const closing = [...this.windows.values()].filter(({ end }) => this.shape.firesAt(end) <= watermarkMs).sort((a, b) => a.end - b.end)
    for (const window of closing) {
      const isForgotten = this.forgottenAt(window.end) <= watermarkMs
      if (!window.isClosed || isForgotten) this.show(window, [...window.due.keys()])
      window.isClosed = true
      if (isForgotten) this.windows.delete(window.end)
    }
    this.watermarkMs = watermarkMs
    if (!this.isProcessingTime) this.output.seenMs = watermarkMs
  }

  /** What has changed of these groups. */
  private show(window: OpenWindow, list: number[]): void {
    if (list.length === 0) return
    const { table, accumulators, shown, due } = window
    const groups = Int32Array.from(list)
    const count = groups.length
    const columns: Column[] = [
      ...this.keyTypes.map((_, key) => gather(table.column(key), groups, count)),
      ...this.plan.aggregates.map((_, i) => accumulators.column(i, { groups, from: 0, count })),
    ]
    const limits = this.plan.windowColumns.map((column) => this.limitOf(column, window.end))
    for (let i = 0; i < count; i++) {
      const group = groups[i]
      due.delete(group)
      const before = shown[group]
      const isEmpty = this.layout.retracts && accumulators.rowCountOf(group) === 0
      const after = isEmpty ? undefined : [...columns.map((column) => valueAt(column, i)), ...limits]
      shown[group] = after
      if (before === undefined) {
        if (after !== undefined) this.output.put(after, INSERT)
      } else if (after === undefined) this.output.put(before, DELETE)
      else if (canonicalText(before) !== canonicalText(after)) {
        this.output.put(before, UPDATE_BEFORE)
        this.output.put(after, UPDATE_AFTER)
      }
    }
  }

  private limitOf(column: EmittingPlan['windowColumns'][number], end: number): number {
    switch (column) {
      case 'start':
        return this.shape.windowStart(end)
      case 'end':
        return end
      case 'time':
        return this.shape.clock.toEpoch(end - 1)
      default:
        return this.output.processingTimeMs
    }
  }

  snapshot(): Snapshot {
    const windows = Array.from(this.windows.values(), ({ end, isClosed, table, accumulators, shown, due }) => ({
      end,
      isClosed,
      table: table.snapshot(),
      accumulators: accumulators.snapshot(table.count),
      shown: shown.slice(),
      due: new Map(due),
    }))
    return { watermarkMs: this.watermarkMs, windows }
  }

  restore(state: unknown, adds = false): void {
    const { watermarkMs, windows } = state as Snapshot
    this.watermarkMs = adds ? Math.min(this.watermarkMs, watermarkMs) : watermarkMs
    if (!this.isProcessingTime) this.output.seenMs = this.watermarkMs
    for (const { table, accumulators, ...rest } of windows) {
      const known = this.windows.get(rest.end)
      if (known === undefined) {
        this.windows.set(rest.end, {
          ...rest,
          table: KeyTable.restore(this.keyTypes, table),
          accumulators: Accumulators.restore(this.layout, accumulators),
          rows: [],
        })
        continue
      }
      const groups = known.table.add(table)
      known.accumulators.add(accumulators, groups, known.table.count)
      rest.shown.forEach((row, group) => {
        known.shown[groups[group]] = row
      })
      for (const [group, dueMs] of rest.due) known.due.set(groups[group], dueMs)
      known.isClosed &&= rest.isClosed
    }
  }

  divide(division: Division): (part: number) => Snapshot {
    const { watermarkMs, keyTypes } = this
    const windows = Array.from(this.windows.values(), ({ end, isClosed, table, accumulators, shown, due }) => {
      const groupsOf = division.rows(
        keyTypes.map((_, k) => table.column(k)),
        keyTypes,
        table.count,
      )
      const ofPart = (part: number): Snapshot['windows'] => {
        const groups = groupsOf(part)
        if (groups.length === 0) return []
        const dueOf = new Map(Array.from(groups, (group, at) => [at, due.get(group)] as const).filter(([, dueMs]) => dueMs !== undefined))
        return [
          {
            end,
            isClosed,
            table: table.pick(groups),
            accumulators: accumulators.pick(groups),
            shown: Array.from(groups, (group) => shown[group]),
            due: dueOf as Map<number, number>,
          },
        ]
      }
      return ofPart
    })
    return (part) => ({ watermarkMs, windows: windows.flatMap((ofPart) => ofPart(part)) })
  }

  stateTables(): StateTable[] {
    const { plan, layout } = this
    const spec = {
      name: 'open windows',
      key: fieldsAt(plan.input.fields, plan.keys),
      value: [
        ...['window_start', 'window_end'].map(timeField),
        ...aggregateFields(plan.aggregates, plan.input.fields, plan.fields.slice(plan.keys.length)),
      ],
      kept: {
        by: this.isProcessingTime ? ('clock' as const) : ('eventTime' as const),
        text: `A window is forgotten when ${this.isProcessingTime ? 'the clock' : 'the watermark'} has passed its end by the allowed lateness (${plan.emit.latenessMs} ms).`,
      },
    }
    const windows = [...this.windows.values()].sort((a, b) => a.end - b.end)
    const parts = windows.map(({ end, table, accumulators }) => ({
      keys: table,
      held: (group: number) =>
        !this.windows.has(end) || (layout.retracts && accumulators.rowCountOf(group) <= 0)
          ? undefined
          : oneRow([this.shape.windowStart(end), end, ...accumulators.resultsOf(group)], this.forgottenAt(end)),
    }))
    return [keyedTable(spec, () => parts)]
  }

  describe(): OperatorStatus {
    const status = { stateRows: 0, stateBytes: 0, openWindows: [] as NonNullable<OperatorStatus['openWindows']> }
    for (const { end, table, accumulators } of this.windows.values()) {
      status.stateRows += table.count
      status.stateBytes += table.byteSize + accumulators.byteSize
      status.openWindows.push({ startMs: this.shape.windowStart(end), endMs: end, rows: table.count, firesAtMs: this.shape.firesAt(end) })
    }
    status.openWindows.sort((a, b) => a.endMs - b.endMs).splice(100)
    return status
  }
}
