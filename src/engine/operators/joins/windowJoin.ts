// Window joins: rows of the same window (and key) meet when the window closes.
//
// One window: rows of both sides are kept by column --> it closes --> right rows by key, left rows look theirs up --> condition in bulk --> out
//
// Invariants
//   1. A window is joined once, when the watermark reaches its last ms; then its rows are forgotten. Output is append-only.
//   2. A row whose window was closed for the watermark it saw is late.
//   3. A row with a NULL key has no partners.
//   1 to 3 are held by joins.property.test.ts.
import { type Batch, type Column, gather, rowAt } from '../../../data/index.ts'
import type { Plan } from '../../../sql/index.ts'
import {
  type Division,
  type JoinSideStatus,
  type Operator,
  type OperatorContext,
  type OperatorStatus,
  SAMPLES_MAX,
} from '../../operator.ts'
import { KeyTable, type KeyTableSnapshot } from '../../state/keyTable.ts'
import { RowStore } from '../../state/rowStore.ts'
import { fieldsAt, listedTable, oneRow, type StateTable } from '../../state/stateTable.ts'
import { type Condition, compileCondition } from '../conditions.ts'
import { batchRowCountMax, batchSeeing, gatherOrNull } from '../emission.ts'
import { isNullAt, timeAt } from '../rows.ts'
import { type ZoneClock, zoneClock } from '../timeZone.ts'
import { Unmatched } from './pairs.ts'

interface OpenWindow {
  start: number
  end: number
  sides: [RowStore, RowStore]
}
interface Snapshot {
  watermarkMs: number
  windows: { start: number; end: number; sides: KeyTableSnapshot[] }[]
}

/** More candidate pairs than this are judged in several steps. */
const PAIRS_MAX = 16_384

/** Right rows by key: those of group g are `rows[starts[g] … starts[g + 1])`, in order of arrival. */
interface KeyedRows {
  rows: Int32Array
  starts: Int32Array
}

export class WindowJoinOperator implements Operator {
  private readonly plan: Plan & { node: 'windowJoin' }
  private readonly context: OperatorContext
  private readonly condition: Condition | undefined
  private readonly clock: ZoneClock
  private windows = new Map<string, OpenWindow>()
  private watermarkMs = -Infinity
  private processingTimeMs = 0
  private readonly unmatched = [new Unmatched(), new Unmatched()]

  constructor(plan: Plan & { node: 'windowJoin' }, context: OperatorContext, timeZone: string) {
    this.plan = plan
    this.context = context
    this.clock = zoneClock(plan.leftWindow.timeZone ?? 'UTC')
    this.condition = compileCondition(plan.condition, [...plan.left.fields, ...plan.right.fields], timeZone, (pairs, row, error) =>
      context.rowFailed(pairs, row, error, context.inputFields.flat()),
    )
  }

  /** The watermark that closes a window, epoch ms. Both sides have windows of one zone. */
  private dueMs(end: number): number {
    return this.clock.toEpochForTimer(end - 1)
  }

  private newWindow(start: number, end: number, sides: KeyTableSnapshot[] = []): OpenWindow {
    const store = (input: number) =>
      new RowStore(
        (input === 0 ? this.plan.left : this.plan.right).fields.map(({ type }) => type),
        sides[input],
      )
    return { start, end, sides: [store(0), store(1)] }
  }

  process(batch: Batch, input: number): void {
    this.processingTimeMs = batch.processingTimeMs
    const { start: startColumn, end: endColumn } = input === 0 ? this.plan.leftWindow : this.plan.rightWindow
    const starts = batch.columns[startColumn]
    const ends = batch.columns[endColumn]
    const late: number[] = []
    // Rows of one window come in runs.
    const run = new Int32Array(batch.rowCount)
    let runLength = 0
    let window: OpenWindow | undefined
    const keep = () => {
      if (runLength > 0) window?.sides[input].append(batch.columns, run, runLength)
      runLength = 0
    }
    for (let row = 0; row < batch.rowCount; row++) {
      if (isNullAt(ends, row)) continue
      const start = timeAt(starts, row)
      const end = timeAt(ends, row)
      if (this.dueMs(end) <= Math.max(this.watermarkMs, batch.watermarksBefore?.[row] ?? -Infinity)) {
        late.push(row)
        continue
      }
      if (window === undefined || window.start !== start || window.end !== end) {
        keep()
        const id = `${start} ${end}`
        window = this.windows.get(id)
        if (window === undefined) this.windows.set(id, (window = this.newWindow(start, end)))
      }
      run[runLength++] = row
    }
    keep()
    if (late.length > 0) this.context.late(batch, late, this.context.inputFields[input])
  }

  advance(watermarkMs: number): void {
    const closed = Array.from(this.windows).filter(([, { end }]) => this.dueMs(end) <= watermarkMs)
    closed.sort(([, a], [, b]) => a.end - b.end || a.start - b.start)
    for (const [id, window] of closed) {
      this.windows.delete(id)
      this.join(window.sides)
    }
    this.watermarkMs = watermarkMs
  }

  private join([left, right]: [RowStore, RowStore]): void {
    const { kind } = this.plan
    const columns: [Column[], Column[]] = [left.columns(), right.columns()]
    const { groupOf, partners } = this.matchKeys(left.count, right.count, columns)
    const matched: [Uint8Array, Uint8Array] = [new Uint8Array(left.count), new Uint8Array(right.count)]
    const lefts = new Int32Array(PAIRS_MAX)
    const rights = new Int32Array(PAIRS_MAX)
    let count = 0
    for (let row = 0; row < left.count; row++) {
      const group = groupOf[row]
      if (group < 0) continue
      for (let at = partners.starts[group]; at < partners.starts[group + 1]; at++) {
        lefts[count] = row
        rights[count++] = partners.rows[at]
        if (count < PAIRS_MAX) continue
        this.meet(columns, lefts, rights, count, matched)
        count = 0
      }
    }
    this.meet(columns, lefts, rights, count, matched)
    this.countUnmatched(columns, matched)
    if (kind === 'SEMI' || kind === 'ANTI') this.emitSide(columns[0], rowsWhere(matched[0], kind === 'SEMI' ? 1 : 0))
    if (kind === 'LEFT' || kind === 'FULL') this.emitPairs(columns, rowsWhere(matched[0], 0), undefined)
    if (kind === 'RIGHT' || kind === 'FULL') this.emitPairs(columns, undefined, rowsWhere(matched[1], 0))
  }

  /** Group of each left row, -1 where it has no partner, and the right rows of each group. Without keys all are of one group. */
  private matchKeys(leftCount: number, rightCount: number, [leftColumns, rightColumns]: [Column[], Column[]]) {
    const { leftKeys, rightKeys, left } = this.plan
    const table = new KeyTable(
      leftKeys.map((key) => left.fields[key].type),
      rightCount,
    )
    const rightGroups = new Int32Array(rightCount)
    const groupOf = new Int32Array(leftCount)
    const keysOf = (keys: number[], columns: Column[]) => keys.map((key) => columns[key])
    table.lookup(keysOf(rightKeys, rightColumns), rightCount, rightGroups)
    table.find(keysOf(leftKeys, leftColumns), leftCount, groupOf)
    withoutNulls(keysOf(rightKeys, rightColumns), rightGroups)
    withoutNulls(keysOf(leftKeys, leftColumns), groupOf)
    return { groupOf, partners: keyedRows(rightGroups, table.count) }
  }

  private meet(
    columns: [Column[], Column[]],
    lefts: Int32Array,
    rights: Int32Array,
    count: number,
    matched: [Uint8Array, Uint8Array],
  ): void {
    let passedCount = count
    if (this.condition !== undefined && count > 0) {
      const pairs = [
        ...columns[0].map((column) => gather(column, lefts, count)),
        ...columns[1].map((column) => gather(column, rights, count)),
      ]
      const passed = this.condition(pairs, count, this.processingTimeMs)
      passedCount = 0
      for (let i = 0; i < count; i++) {
        if (passed[i] === 0) continue
        lefts[passedCount] = lefts[i]
        rights[passedCount++] = rights[i]
      }
    }
    for (let i = 0; i < passedCount; i++) matched[0][lefts[i]] = matched[1][rights[i]] = 1
    const { kind } = this.plan
    if (kind !== 'SEMI' && kind !== 'ANTI') this.emitPairs(columns, lefts.subarray(0, passedCount), rights.subarray(0, passedCount))
  }

  /** Rows side by side; NULLs where a side is absent. */
  private emitPairs([left, right]: [Column[], Column[]], lefts: Int32Array | undefined, rights: Int32Array | undefined): void {
    const total = lefts?.length ?? rights?.length ?? 0
    for (let from = 0; from < total; from += batchRowCountMax) {
      const to = Math.min(total, from + batchRowCountMax)
      const none = new Int32Array(to - from).fill(-1)
      this.emit(
        [...gatherOrNull(left, lefts?.subarray(from, to) ?? none), ...gatherOrNull(right, rights?.subarray(from, to) ?? none)],
        to - from,
      )
    }
  }

  private emitSide(columns: Column[], rows: Int32Array): void {
    for (let from = 0; from < rows.length; from += batchRowCountMax) {
      const part = rows.subarray(from, from + batchRowCountMax)
      this.emit(
        columns.map((column) => gather(column, part, part.length)),
        part.length,
      )
    }
  }

  private emit(columns: Column[], rowCount: number): void {
    this.context.emit(batchSeeing(this.watermarkMs, this.processingTimeMs, rowCount, columns))
  }

  private countUnmatched(columns: [Column[], Column[]], matched: [Uint8Array, Uint8Array]): void {
    matched.forEach((marks, side) => {
      const rows = rowsWhere(marks, 0)
      const sampled = Math.min(rows.length, SAMPLES_MAX)
      this.unmatched[side].skip(rows.length - sampled)
      for (const row of rows.subarray(rows.length - sampled)) this.unmatched[side].add(rowAt({ columns: columns[side] } as Batch, row))
    })
  }

  snapshot(): Snapshot {
    const windows = Array.from(this.windows.values(), ({ start, end, sides }) => ({
      start,
      end,
      sides: sides.map((side) => side.snapshot()),
    }))
    return { watermarkMs: this.watermarkMs, windows }
  }

  restore(state: unknown, adds = false): void {
    const { watermarkMs, windows } = state as Snapshot
    this.watermarkMs = adds ? Math.min(this.watermarkMs, watermarkMs) : watermarkMs
    for (const { start, end, sides } of windows) {
      const known = this.windows.get(`${start} ${end}`)
      if (known === undefined) this.windows.set(`${start} ${end}`, this.newWindow(start, end, sides))
      else for (const side of [0, 1]) known.sides[side].add(sides[side])
    }
  }

  joinSides(): JoinSideStatus[] {
    return this.unmatched.map((unmatched, input) => {
      let rows = 0
      for (const { sides } of this.windows.values()) rows += sides[input].count
      return { rows, ...unmatched.status() }
    })
  }

  divide(division: Division): (part: number) => Snapshot {
    const { watermarkMs } = this
    const { left, right, leftWindow, rightWindow } = this.plan
    // Without keys a window's end says where it is.
    const [leftKeys, rightKeys] =
      this.plan.leftKeys.length > 0 ? [this.plan.leftKeys, this.plan.rightKeys] : [[leftWindow.end], [rightWindow.end]]
    const windows = Array.from(this.windows.values(), ({ start, end, sides }) => {
      const rowsOf = sides.map((side, input) => {
        const keys = input === 0 ? leftKeys : rightKeys
        const columns = side.columns()
        const types = keys.map((key) => (input === 0 ? left : right).fields[key].type)
        return division.rows(
          keys.map((key) => columns[key]),
          types,
          side.count,
        )
      })
      return { start, end, sides, rowsOf }
    })
    return (part) => ({
      watermarkMs,
      windows: windows
        .map(({ start, end, sides, rowsOf }) => ({ start, end, sides: sides.map((side, input) => side.pick(rowsOf[input](part))) }))
        .filter(({ sides }) => sides.some(({ count }) => count > 0)),
    })
  }

  nextDueMs(): number {
    let dueMs = Infinity
    for (const { end } of this.windows.values()) dueMs = Math.min(dueMs, this.dueMs(end))
    return dueMs
  }

  /** Keys are looked for when a window closes: until then its rows are in order of arrival. */
  stateTables(): StateTable[] {
    const { windows } = this
    const keys = [this.plan.leftKeys, this.plan.rightKeys]
    const fields = [this.plan.left.fields, this.plan.right.fields]
    const kept = { by: 'eventTime' as const, text: 'The rows of a window meet, and are forgotten, when the watermark reaches its end.' }
    return [0, 1].map((input) => {
      const spec = {
        name: `${input === 0 ? 'left' : 'right'} rows of open windows`,
        key: fieldsAt(fields[input], keys[input]),
        keyAlias: fieldsAt(fields[1 - input], keys[1 - input]),
        value: fields[input],
        kept,
      }
      const rowCount = Array.from(windows.values()).reduce((sum, { sides }) => sum + sides[input].count, 0)
      const dueMs = (end: number) => this.dueMs(end)
      return listedTable(spec, rowCount, function* () {
        for (const { end, sides } of windows.values())
          for (let entry = 0; entry < sides[input].count; entry++) {
            const row = sides[input].rowAt(entry)
            yield { key: keys[input].map((key) => row[key]), ...oneRow(row, dueMs(end)) }
          }
      })
    })
  }

  describe(): OperatorStatus {
    let stateBytes = 0
    const openWindows = Array.from(this.windows.values(), ({ start, end, sides: [left, right] }) => {
      stateBytes += left.byteSize + right.byteSize
      return { startMs: start, endMs: end, rows: left.count + right.count, firesAtMs: this.dueMs(end) }
    }).sort((a, b) => a.endMs - b.endMs)
    const stateRows = openWindows.reduce((sum, { rows }) => sum + rows, 0)
    return { stateRows, stateBytes, openWindows: openWindows.slice(0, 100) }
  }
}

/** Takes the group from each row that has a NULL in its key. */
function withoutNulls(columns: readonly Column[], groups: Int32Array): void {
  for (const column of columns) for (let row = 0; row < groups.length; row++) if (isNullAt(column, row)) groups[row] = -1
}

function keyedRows(groups: Int32Array, groupCount: number): KeyedRows {
  const starts = new Int32Array(groupCount + 1)
  for (let row = 0; row < groups.length; row++) if (groups[row] >= 0) starts[groups[row] + 1]++
  for (let group = 0; group < groupCount; group++) starts[group + 1] += starts[group]
  const next = starts.slice()
  const rows = new Int32Array(groups.length)
  for (let row = 0; row < groups.length; row++) if (groups[row] >= 0) rows[next[groups[row]]++] = row
  return { rows, starts }
}

function rowsWhere(marks: Uint8Array, mark: number): Int32Array {
  const rows = new Int32Array(marks.length)
  let count = 0
  for (let row = 0; row < marks.length; row++) if (marks[row] === mark) rows[count++] = row
  return rows.subarray(0, count)
}
