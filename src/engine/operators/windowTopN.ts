// Top-N within windows: ranks are given out once, when the window closes.
//
// Invariants
//   1. A window leaves once, when the watermark reaches its last ms, and is forgotten; windows leave in order of their end.
//   2. A row whose window was closed for the watermark it saw is late. Output is append-only.
//   Both are held by rank.property.test.ts.
import { type Batch, batchOf, INSERT, isRetraction, rowAt } from '../../data/index.ts'
import type { Plan, WindowColumns } from '../../sql/index.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { canonicalText } from '../state/columns.ts'
import { fieldsAt, heldOf, listedTable, type StateTable } from '../state/stateTable.ts'
import { isNullAt, type Row, RowOutput, rowOrder, sameRow, sortedIndex, timeAt } from './rows.ts'
import { type ZoneClock, zoneClock } from './timeZone.ts'
import { rankedFields } from './topN.ts'

type WindowTopNPlan = Plan & { node: 'topN' }

interface OpenWindow {
  start: number
  end: number
  partitions: Map<string, Row[]>
}

export class WindowTopNOperator implements Operator {
  private readonly plan: WindowTopNPlan
  private readonly window: WindowColumns
  private readonly clock: ZoneClock
  private readonly context: OperatorContext
  private readonly output: RowOutput
  private readonly order: (a: Row, b: Row) => number
  private readonly retracts: boolean
  private windows = new Map<string, OpenWindow>()
  private watermarkMs = -Infinity

  constructor(plan: WindowTopNPlan, window: WindowColumns, context: OperatorContext) {
    this.plan = plan
    this.window = window
    this.clock = zoneClock(window.timeZone ?? 'UTC')
    this.context = context
    this.output = new RowOutput(plan.fields, context)
    this.order = rowOrder(plan.orderBy)
    this.retracts = plan.input.changelog !== 'append'
  }

  /** The watermark that closes a window, epoch ms. */
  private dueMs(end: number): number {
    return this.clock.toEpochForTimer(end - 1)
  }

  process(batch: Batch): void {
    this.output.processingTimeMs = batch.processingTimeMs
    const startColumn = batch.columns[this.window.start]
    const endColumn = batch.columns[this.window.end]
    const late: number[] = []
    for (let i = 0; i < batch.rowCount; i++) {
      if (isNullAt(endColumn, i)) continue
      const start = timeAt(startColumn, i)
      const end = timeAt(endColumn, i)
      if (this.dueMs(end) <= Math.max(this.watermarkMs, batch.watermarksBefore?.[i] ?? -Infinity)) {
        late.push(i)
        continue
      }
      const id = `${start} ${end}`
      let window = this.windows.get(id)
      if (window === undefined) this.windows.set(id, (window = { start, end, partitions: new Map() }))
      const row = rowAt(batch, i)
      const key = canonicalText(this.plan.partitionKeys.map((column) => row[column]))
      let rows = window.partitions.get(key)
      if (rows === undefined) window.partitions.set(key, (rows = []))
      this.change(rows, row, isRetraction(batch.kinds?.[i] ?? INSERT))
    }
    if (late.length > 0) this.context.late(batch, late)
  }

  private change(rows: Row[], row: Row, removes: boolean): void {
    if (removes) {
      const at = rows.findIndex((other) => sameRow(other, row))
      if (at >= 0) rows.splice(at, 1)
      return
    }
    rows.splice(sortedIndex(rows, row, this.order, this.plan.lastOfTies), 0, row)
    if (!this.retracts && rows.length > this.plan.to) rows.pop()
  }

  advance(watermarkMs: number): void {
    this.output.seenMs = this.watermarkMs
    const { from, to, rankColumn } = this.plan
    const closed = Array.from(this.windows).filter(([, { end }]) => this.dueMs(end) <= watermarkMs)
    closed.sort(([, a], [, b]) => a.end - b.end || a.start - b.start)
    for (const [id, { partitions }] of closed) {
      this.windows.delete(id)
      for (const rows of partitions.values())
        rows.slice(from - 1, to).forEach((row, i) => {
          this.output.put(rankColumn ? [...row, BigInt(from + i)] : row)
        })
    }
    this.watermarkMs = watermarkMs
    this.output.flush()
  }

  snapshot(): unknown {
    return { watermarkMs: this.watermarkMs, windows: this.windows }
  }
  restore(state: unknown, adds = false): void {
    const { watermarkMs, windows } = state as { watermarkMs: number; windows: Map<string, OpenWindow> }
    if (!adds) this.windows = windows
    else
      for (const [id, window] of windows) {
        const known = this.windows.get(id)
        if (known === undefined) this.windows.set(id, window)
        else for (const [key, rows] of window.partitions) known.partitions.set(key, rows)
      }
    this.watermarkMs = adds ? Math.min(this.watermarkMs, watermarkMs) : watermarkMs
  }

  divide(division: Division): (part: number) => unknown {
    const { watermarkMs } = this
    const { input } = this.plan
    // Without keys a window's end says where it is.
    const partitionKeys = this.plan.partitionKeys.length > 0 ? this.plan.partitionKeys : [this.window.end]
    const keyFields = partitionKeys.map((column) => input.fields[column])
    const windows = Array.from(this.windows, ([id, { start, end, partitions }]) => {
      const lists = [...partitions].filter(([, rows]) => rows.length > 0)
      const keys = batchOf(
        keyFields,
        lists.map(([, [row]]) => partitionKeys.map((column) => row[column])),
      )
      const types = keyFields.map(({ type }) => type)
      return { id, start, end, lists, listsOf: division.rows(keys.columns, types, lists.length) }
    })
    return (part) => ({
      watermarkMs,
      windows: new Map(
        windows.flatMap(({ id, start, end, lists, listsOf }) => {
          const own = Array.from(listsOf(part), (at) => lists[at])
          return own.length === 0 ? [] : [[id, { start, end, partitions: new Map(own) }]]
        }),
      ),
    })
  }

  nextDueMs(): number {
    let dueMs = Infinity
    for (const { end } of this.windows.values()) dueMs = Math.min(dueMs, this.dueMs(end))
    return dueMs
  }

  stateTables(): StateTable[] {
    const { windows } = this
    const { input } = this.plan
    const dueMs = (end: number) => this.dueMs(end)
    // A window's limits are columns of its rows.
    const partitionKeys = this.plan.partitionKeys.filter((key) => key !== this.window.start && key !== this.window.end)
    const spec = {
      name: 'ranked rows of open windows',
      key: fieldsAt(input.fields, partitionKeys),
      value: rankedFields(input),
      kept: { by: 'eventTime' as const, text: 'The rows of a window are given out and forgotten when the watermark reaches its end.' },
    }
    const placeCount = Array.from(windows.values()).reduce((sum, { partitions }) => sum + partitions.size, 0)
    return [
      listedTable(spec, placeCount, function* (rowsMax) {
        for (const { end, partitions } of windows.values())
          for (const rows of partitions.values()) {
            const held = heldOf(rows, rowsMax, (row, at) => ({ values: [BigInt(at + 1), ...row], untilMs: dueMs(end) }))
            yield held && { key: partitionKeys.map((key) => rows[0][key]), ...held }
          }
      }),
    ]
  }

  describe(): OperatorStatus {
    const openWindows = Array.from(this.windows.values(), ({ start, end, partitions }) => {
      let rows = 0
      for (const list of partitions.values()) rows += list.length
      return { startMs: start, endMs: end, rows, firesAtMs: this.dueMs(end) }
    }).sort((a, b) => a.endMs - b.endMs)
    const stateRows = openWindows.reduce((sum, { rows }) => sum + rows, 0)
    return { stateRows, stateBytes: stateRows * 64 * this.plan.fields.length, openWindows: openWindows.slice(0, 100) }
  }
}
