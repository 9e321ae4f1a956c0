// Top-N per key, updating: ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) between two ranks; also ORDER BY … LIMIT and LIMIT.
// For an input that takes rows back, so that all rows are kept; topNAppend.ts is for the others.
//
// Invariants
//   1. After each batch what has left is exactly the rows of ranks from … to of each partition; rows of equal order rank by arrival.
//   2. With a rank column a rank's change is -U old, +U new; without, rows that fall out are -D and rows that come in +I.
//   1 is held by rank.property.test.ts.
import { type Batch, DELETE, INSERT, isRetraction, rowAt, UPDATE_AFTER, UPDATE_BEFORE } from '../../data/index.ts'
import type { Plan, SortKey } from '../../sql/index.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { emitDifference, KeyedStates, type Row, RowOutput, rowOrder, sameRow, sortedIndex } from './rows.ts'

export interface TopNSpec {
  input: Plan
  fields: Plan['fields']
  changelog: Plan['changelog']
  partitionKeys: number[]
  orderBy: SortKey[]
  /** Ranks, from 1; `to` may be Infinity. */
  from: number
  to: number
  rankColumn: boolean
}

export class TopNOperator implements Operator {
  private readonly spec: TopNSpec
  private readonly output: RowOutput
  private readonly order: (a: Row, b: Row) => number
  /** Sorted rows of each partition. */
  private readonly partitions: KeyedStates<Row[]>
  private liveCount = 0

  constructor(spec: TopNSpec, context: OperatorContext) {
    this.spec = spec
    this.output = new RowOutput(spec.fields, context)
    this.order = rowOrder(spec.orderBy)
    this.partitions = new KeyedStates(spec.input.fields, spec.partitionKeys)
  }

  process(batch: Batch): void {
    const keys = this.partitions.keysOf(batch)
    const { states } = this.partitions
    const { from, to } = this.spec
    const before = new Map<number, Row[]>()
    for (let i = 0; i < batch.rowCount; i++) {
      const key = keys[i]
      let rows = states[key]
      if (rows === undefined) {
        states[key] = rows = []
        this.liveCount++
      }
      if (!before.has(key)) before.set(key, rows.slice(from - 1, to))
      this.change(rows, rowAt(batch, i), isRetraction(batch.kinds?.[i] ?? INSERT))
    }
    this.output.processingTimeMs = batch.processingTimeMs
    for (const [key, old] of before) {
      const rows = states[key] as Row[]
      if (this.spec.rankColumn) this.emitRanks(old, rows.slice(from - 1, to))
      else emitDifference(old, rows.slice(from - 1, to), (row, kind) => this.output.put(row, kind))
      if (rows.length > 0) continue
      states[key] = undefined
      this.liveCount--
    }
    this.output.flush()
    this.partitions.compact(this.liveCount)
  }

  private change(rows: Row[], row: Row, removes: boolean): void {
    if (removes) {
      // Of equal rows the first is as good as any.
      for (let at = sortedIndex(rows, row, this.order, true); at < rows.length && this.order(rows[at], row) === 0; at++)
        if (sameRow(rows[at], row)) {
          rows.splice(at, 1)
          return
        }
      return
    }
    rows.splice(sortedIndex(rows, row, this.order), 0, row)
  }

  private emitRanks(old: Row[], now: Row[]): void {
    const { from } = this.spec
    const withBefore = this.spec.changelog !== 'upsert'
    for (let i = 0; i < Math.max(old.length, now.length); i++) {
      const rank = BigInt(from + i)
      if (i >= old.length) this.output.put([...now[i], rank], INSERT)
      else if (i >= now.length) this.output.put([...old[i], rank], DELETE)
      else if (!sameRow(old[i], now[i])) {
        if (withBefore) this.output.put([...old[i], rank], UPDATE_BEFORE)
        this.output.put([...now[i], rank], UPDATE_AFTER)
      }
    }
  }

  advance(): void {}

  snapshot(): unknown {
    return this.partitions.snapshot()
  }
  restore(state: unknown, adds = false): void {
    this.partitions.restore(state, (rows) => (rows as Row[]).slice(), adds)
    this.liveCount = this.partitions.states.length
  }

  divide(division: Division): (part: number) => unknown {
    const dividedKeys = this.partitions.divide(division)
    return (part) => dividedKeys(part).saved
  }

  nextDueMs(): number {
    return Infinity
  }

  describe(): OperatorStatus {
    let stateRows = 0
    for (const rows of this.partitions.states) stateRows += rows?.length ?? 0
    return { stateRows, stateBytes: stateRows * 64 * this.spec.fields.length }
  }
}
