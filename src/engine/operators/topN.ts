// Top-N per key, updating: ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) between two ranks; also ORDER BY … LIMIT and LIMIT.
// For an input that takes rows back, so that all rows are kept; topNAppend.ts is for the others.
//
// Invariants
//   1. After each batch what has left is exactly the rows of ranks from … to of each partition; rows of equal order rank by arrival.
//   2. With a rank column a rank's change is -U old, +U new; without, rows that fall out are -D and rows that come in +I.
//   3. With a time to live the rows of one place in the order are forgotten together, so long after a row was written there or taken
//      away, by the clock: none of them is taken back, and those behind them move up.
//   1 is held by rank.property.test.ts, 3 by stateTtl.property.test.ts.
import { type Batch, DELETE, INSERT, isRetraction, rowAt, UPDATE_AFTER, UPDATE_BEFORE } from '../../data/index.ts'
import type { Plan, SortKey } from '../../sql/index.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { canonicalText } from '../state/columns.ts'
import { SweepClock } from '../state/expiry.ts'
import { countField, heldOf, keptFor, type StateTable } from '../state/stateTable.ts'
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
  /** How long a row is remembered after it was written; 0 or none: for ever. */
  ttlMs?: number
  /** Each change counts: no batch has two rows of a partition, and each row's changes tell which it was. */
  everyChange?: boolean
}

/** Columns of what is ranked. */
export const rankedFields = ({ fields }: Plan) => [countField('rank'), ...fields]

interface Partition {
  /** Sorted. */
  rows: Row[]
  /** With a time to live: when the rows of a place in the order were last written, by that place's text. */
  writtenMs: Map<string, number>
}

export class TopNOperator implements Operator {
  private readonly spec: TopNSpec
  private readonly output: RowOutput
  private readonly order: (a: Row, b: Row) => number
  private readonly partitions: KeyedStates<Partition>
  private readonly sweeps: SweepClock | undefined
  private liveCount = 0

  constructor(spec: TopNSpec, context: OperatorContext) {
    this.spec = spec
    this.output = new RowOutput(spec.fields, context)
    this.order = rowOrder(spec.orderBy)
    this.partitions = new KeyedStates(spec.input.fields, spec.partitionKeys)
    this.sweeps = spec.ttlMs ? new SweepClock(spec.ttlMs) : undefined
  }

  process(batch: Batch): void {
    const keys = this.partitions.keysOf(batch)
    const { states } = this.partitions
    const { from, to, rankColumn } = this.spec
    const nowMs = batch.processingTimeMs
    const before = new Map<number, { old: Row[]; arrival: number | undefined }>()
    const arrivals = this.spec.everyChange ? batch.arrivals : undefined
    for (let i = 0; i < batch.rowCount; i++) {
      const key = keys[i]
      let partition = states[key]
      if (partition === undefined) {
        states[key] = partition = { rows: [], writtenMs: new Map() }
        this.liveCount++
      }
      if (!before.has(key)) {
        this.forget(partition, nowMs)
        before.set(key, { old: partition.rows.slice(from - 1, to), arrival: arrivals?.[i] })
      }
      this.change(partition, rowAt(batch, i), isRetraction(batch.kinds?.[i] ?? INSERT), nowMs)
    }
    this.output.processingTimeMs = nowMs
    for (const [key, { old, arrival }] of before) {
      const partition = states[key] as Partition
      this.output.arrival = arrival
      this.forget(partition, nowMs)
      const now = partition.rows.slice(from - 1, to)
      if (rankColumn) this.emitRanks(old, now)
      else emitDifference(old, now, (row, kind) => this.output.put(row, kind))
      if (partition.rows.length > 0) continue
      states[key] = undefined
      this.liveCount--
    }
    this.output.flush()
    if (this.sweeps?.isDue(nowMs)) this.sweep(nowMs)
    this.partitions.compact(this.liveCount)
  }

  private placeOf(row: Row): string {
    return canonicalText(this.spec.orderBy.map(({ column }) => row[column]))
  }

  /** Forgets rows whose time is over among the first ones of a partition, until those that count are all good; with `all` everywhere. */
  private forget({ rows, writtenMs }: Partition, nowMs: number, all = false): void {
    const { to, ttlMs } = this.spec
    if (!ttlMs) return
    for (let at = 0; at < rows.length && (all || at < to); ) {
      const place = this.placeOf(rows[at])
      let end = at + 1
      while (end < rows.length && this.order(rows[at], rows[end]) === 0) end++
      const ms = writtenMs.get(place)
      // What comes from a state without times counts from now.
      if (ms === undefined) writtenMs.set(place, nowMs)
      if (ms !== undefined && ms + ttlMs <= nowMs) {
        rows.splice(at, end - at)
        writtenMs.delete(place)
      } else at = end
    }
  }

  private sweep(nowMs: number): void {
    const { states } = this.partitions
    states.forEach((partition, key) => {
      if (partition === undefined) return
      this.forget(partition, nowMs, true)
      if (partition.rows.length > 0) return
      states[key] = undefined
      this.liveCount--
    })
  }

  private change({ rows, writtenMs }: Partition, row: Row, removes: boolean, nowMs: number): void {
    const place = this.spec.ttlMs ? this.placeOf(row) : undefined
    let at = sortedIndex(rows, row, this.order, removes || place !== undefined)
    if (place !== undefined) {
      const end = sortedIndex(rows, row, this.order)
      // What is over does not come back because a new row has its place.
      if ((writtenMs.get(place) ?? nowMs) + (this.spec.ttlMs as number) <= nowMs) rows.splice(at, end - at)
      else if (!removes) at = end
      writtenMs.set(place, nowMs)
    }
    if (!removes) rows.splice(at, 0, row)
    else {
      // Of equal rows the first is as good as any.
      while (at < rows.length && this.order(rows[at], row) === 0 && !sameRow(rows[at], row)) at++
      if (at < rows.length && this.order(rows[at], row) === 0) rows.splice(at, 1)
      if (place !== undefined && !this.hasPlace(rows, row)) writtenMs.delete(place)
    }
  }

  private hasPlace(rows: readonly Row[], row: Row): boolean {
    const at = sortedIndex(rows, row, this.order, true)
    return at < rows.length && this.order(rows[at], row) === 0
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

  /** Without a time to live a partition is its rows alone. */
  private get saved(): (partition: Partition) => unknown {
    return this.spec.ttlMs ? ({ rows, writtenMs }) => ({ rows: rows.slice(), writtenMs: new Map(writtenMs) }) : ({ rows }) => rows.slice()
  }
  snapshot(): unknown {
    return this.partitions.snapshot(this.saved)
  }
  restore(state: unknown, adds = false): void {
    const read = (saved: unknown): Partition => {
      const { rows, writtenMs } = Array.isArray(saved) ? { rows: saved as Row[], writtenMs: [] } : (saved as Partition)
      return { rows: rows.slice(), writtenMs: new Map(writtenMs) }
    }
    this.partitions.restore(state, read, adds)
    this.liveCount = this.partitions.states.length
  }

  divide(division: Division): (part: number) => unknown {
    const dividedKeys = this.partitions.divide(division, this.saved)
    return (part) => dividedKeys(part).saved
  }

  nextDueMs(): number {
    return Infinity
  }

  stateTables(): StateTable[] {
    const { input, ttlMs } = this.spec
    const spec = { name: 'ranked rows', value: rankedFields(input), kept: keptFor(ttlMs, 'A row'), keyCount: this.liveCount }
    return [
      this.partitions.stateTable(spec, ({ rows, writtenMs }, _, rowsMax) =>
        heldOf(rows, rowsMax, (row, at) => {
          const ms = ttlMs ? writtenMs.get(this.placeOf(row)) : undefined
          return { values: [BigInt(at + 1), ...row], ...(ms !== undefined && { untilMs: ms + (ttlMs as number) }) }
        }),
      ),
    ]
  }

  describe(): OperatorStatus {
    let stateRows = 0
    for (const partition of this.partitions.states) stateRows += partition?.rows.length ?? 0
    return { stateRows, stateBytes: stateRows * 64 * this.spec.fields.length }
  }
}
