// Window joins: rows of the same window (and key) meet when the window closes.
//
// Invariants
//   1. A window is joined once, when the watermark reaches its last ms; then its rows are forgotten. Output is append-only.
//   2. A row whose window was closed for the watermark it saw is late.
import { type Batch, rowAt } from '../../../data/index.ts'
import type { Plan } from '../../../sql/index.ts'
import type { JoinSideStatus, Operator, OperatorContext, OperatorStatus } from '../../operator.ts'
import { canonicalText } from '../../state/columns.ts'
import { type Condition, compileCondition } from '../conditions.ts'
import { isNullAt, type Row, RowOutput, timeAt } from '../rows.ts'
import { judge, nullsFor, Unmatched } from './pairs.ts'

interface OpenWindow {
  start: number
  end: number
  sides: [Row[], Row[]]
}

export class WindowJoinOperator implements Operator {
  private readonly plan: Plan & { node: 'windowJoin' }
  private readonly context: OperatorContext
  private readonly condition: Condition | undefined
  private readonly pairFields
  private readonly output: RowOutput
  private windows = new Map<string, OpenWindow>()
  private watermarkMs = -Infinity
  private readonly unmatched = [new Unmatched(), new Unmatched()]

  constructor(plan: Plan & { node: 'windowJoin' }, context: OperatorContext, timeZone: string) {
    this.plan = plan
    this.context = context
    this.pairFields = [...plan.left.fields, ...plan.right.fields]
    this.condition = compileCondition(plan.condition, this.pairFields, timeZone, (pairs, row, error) =>
      context.rowFailed(pairs, row, error, context.inputFields.flat()),
    )
    this.output = new RowOutput(plan.fields, context)
  }

  process(batch: Batch, input: number): void {
    this.output.processingTimeMs = batch.processingTimeMs
    const { start: startColumn, end: endColumn } = input === 0 ? this.plan.leftWindow : this.plan.rightWindow
    const late: number[] = []
    for (let row = 0; row < batch.rowCount; row++) {
      if (isNullAt(batch.columns[endColumn], row)) continue
      const start = timeAt(batch.columns[startColumn], row)
      const end = timeAt(batch.columns[endColumn], row)
      if (end - 1 <= Math.max(this.watermarkMs, batch.watermarksBefore?.[row] ?? -Infinity)) {
        late.push(row)
        continue
      }
      const id = `${start} ${end}`
      let window = this.windows.get(id)
      if (window === undefined) this.windows.set(id, (window = { start, end, sides: [[], []] }))
      window.sides[input].push(rowAt(batch, row))
    }
    if (late.length > 0) this.context.late(batch, late, this.context.inputFields[input])
  }

  advance(watermarkMs: number): void {
    this.output.seenMs = this.watermarkMs
    const closed = Array.from(this.windows).filter(([, { end }]) => end - 1 <= watermarkMs)
    closed.sort(([, a], [, b]) => a.end - b.end || a.start - b.start)
    for (const [id, window] of closed) {
      this.windows.delete(id)
      this.join(window.sides)
    }
    this.watermarkMs = watermarkMs
    this.output.flush()
  }

  private keyText(row: Row, keys: readonly number[]): string | undefined {
    const values = keys.map((key) => row[key])
    return values.includes(null) ? undefined : canonicalText(values)
  }

  private join([lefts, rights]: [Row[], Row[]]): void {
    const { kind, left, right, leftKeys, rightKeys } = this.plan
    const rightsByKey = Map.groupBy(rights.keys(), (i) => this.keyText(rights[i], rightKeys))
    const pairs: [number, number][] = []
    lefts.forEach((row, l) => {
      const key = this.keyText(row, leftKeys)
      if (key !== undefined) for (const r of rightsByKey.get(key) ?? []) pairs.push([l, r])
    })
    const joined = pairs.map(([l, r]) => [...lefts[l], ...rights[r]])
    const passes = judge(this.condition, this.pairFields, joined, this.output.processingTimeMs)
    const leftMatched = new Uint8Array(lefts.length)
    const rightMatched = new Uint8Array(rights.length)
    const emitsPairs = kind !== 'SEMI' && kind !== 'ANTI'
    pairs.forEach(([l, r], i) => {
      if (!passes(i)) return
      leftMatched[l] = rightMatched[r] = 1
      if (emitsPairs) this.output.put(joined[i])
    })
    lefts.forEach((row, l) => {
      if (leftMatched[l] === 0) this.unmatched[0].add(row)
    })
    rights.forEach((row, r) => {
      if (rightMatched[r] === 0) this.unmatched[1].add(row)
    })
    lefts.forEach((row, l) => {
      if (kind === 'SEMI' ? leftMatched[l] === 1 : kind === 'ANTI' && leftMatched[l] === 0) this.output.put(row)
      else if ((kind === 'LEFT' || kind === 'FULL') && leftMatched[l] === 0) this.output.put([...row, ...nullsFor(right.fields)])
    })
    if (kind !== 'RIGHT' && kind !== 'FULL') return
    rights.forEach((row, r) => {
      if (rightMatched[r] === 0) this.output.put([...nullsFor(left.fields), ...row])
    })
  }

  snapshot(): unknown {
    return { watermarkMs: this.watermarkMs, windows: this.windows }
  }
  restore(state: unknown): void {
    Object.assign(this, state)
  }

  joinSides(): JoinSideStatus[] {
    return this.unmatched.map((unmatched, input) => {
      let rows = 0
      for (const { sides } of this.windows.values()) rows += sides[input].length
      return { rows, ...unmatched.status() }
    })
  }

  describe(): OperatorStatus {
    const openWindows = Array.from(this.windows.values(), ({ start, end, sides }) => ({
      startMs: start,
      endMs: end,
      rows: sides[0].length + sides[1].length,
      firesAtMs: end - 1,
    })).sort((a, b) => a.endMs - b.endMs)
    const stateRows = openWindows.reduce((sum, { rows }) => sum + rows, 0)
    return { stateRows, stateBytes: stateRows * 64 * this.pairFields.length, openWindows: openWindows.slice(0, 100) }
  }
}
