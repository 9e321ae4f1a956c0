// Operators on changelogs: upserts made whole, INTERSECT and EXCEPT.
import { type Batch, DELETE, gather, INSERT, isRetraction, rowAt, UPDATE_AFTER, UPDATE_BEFORE } from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { Expiry, type ExpirySnapshot } from '../state/expiry.ts'
import { KeyTable, type KeyTableSnapshot } from '../state/keyTable.ts'
import { countField, keptFor, keyedTable, oneRow, type StateTable } from '../state/stateTable.ts'
import { KeyedStates, type Row, RowOutput, sameRow } from './rows.ts'

interface DatedKeys {
  keys: unknown
  expiry?: ExpirySnapshot
}

/**
 * Upserts by key become a whole changelog: -U with the old row before each +U, -D with the whole row; what changes nothing is left out.
 * With a time to live a key that got no change for so long, by the clock, is as if it had never been; and what changes nothing is given out,
 * as in Flink, so that those behind do not forget what is still written here.
 */
export class NormalizeOperator implements Operator {
  private readonly keys: KeyedStates<Row>
  private readonly output: RowOutput
  private readonly expiry: Expiry | undefined
  private readonly everyVersion: boolean
  private readonly plan: Plan & { node: 'normalize' }
  private liveCount = 0

  constructor(plan: Plan & { node: 'normalize' }, context: OperatorContext) {
    this.plan = plan
    this.everyVersion = plan.everyVersion ?? false
    this.keys = new KeyedStates(plan.input.fields, plan.keys)
    this.expiry = plan.ttlMs ? new Expiry(plan.ttlMs) : undefined
    this.output = new RowOutput(plan.fields, context)
  }

  process(batch: Batch): void {
    this.output.processingTimeMs = batch.processingTimeMs
    const keys = this.keys.keysOf(batch)
    const { states } = this.keys
    this.expiry?.reserve(this.keys.table.count)
    for (let i = 0; i < batch.rowCount; i++) {
      this.expire(keys[i], batch.processingTimeMs)
      this.output.seenMs = batch.watermarksBefore?.[i] ?? -Infinity
      if (this.everyVersion) this.output.arrival = batch.arrivals?.[i]
      const kind = batch.kinds?.[i] ?? INSERT
      const old = states[keys[i]]
      if (kind === UPDATE_BEFORE) continue
      if (kind === DELETE) {
        if (old === undefined) continue
        this.output.put(old, DELETE)
        states[keys[i]] = undefined
        this.liveCount--
        continue
      }
      const row = rowAt(batch, i)
      if (old === undefined) {
        this.output.put(row, INSERT)
        this.liveCount++
      } else if (this.expiry || !sameRow(old, row)) {
        this.output.put(old, UPDATE_BEFORE)
        this.output.put(row, UPDATE_AFTER)
      }
      states[keys[i]] = row
    }
    this.output.flush()
    if (this.expiry?.isDue(batch.processingTimeMs)) this.expireAll(batch.processingTimeMs)
    this.moved(this.keys.compact(this.liveCount))
  }

  private expire(key: number, nowMs: number, isWritten = true): void {
    if (!this.expiry) return
    const { states } = this.keys
    if (states[key] !== undefined && this.expiry.isOver(key, nowMs)) {
      states[key] = undefined
      this.liveCount--
    }
    if (isWritten) this.expiry.write(key, nowMs)
  }
  private expireAll(nowMs: number): void {
    for (const key of this.keys.states.keys()) this.expire(key, nowMs, false)
  }
  private moved(newIndex: Int32Array | undefined): void {
    if (newIndex !== undefined) this.expiry?.move(newIndex)
  }

  advance(): void {}

  /** Without a time to live the keys alone. */
  snapshot(): unknown {
    this.moved(this.keys.forgetDead())
    const keys = this.keys.snapshot()
    return this.expiry ? { keys, expiry: this.expiry.snapshot(keys.table.count) } : keys
  }
  restore(state: unknown, adds = false): void {
    const { keys, expiry } = (state as { keys?: unknown }).keys ? (state as DatedKeys) : { keys: state, expiry: undefined }
    const places = this.keys.restore(keys, undefined, adds)
    this.expiry?.add(expiry, places)
    this.liveCount = this.keys.states.length
  }
  divide(division: Division): (part: number) => unknown {
    this.moved(this.keys.forgetDead())
    const ofPart = this.keys.divide(division)
    return (part) => {
      const { keys, saved } = ofPart(part)
      return this.expiry ? { keys: saved, expiry: this.expiry.pick(keys) } : saved
    }
  }

  nextDueMs(): number {
    return Infinity
  }

  stateTables(): StateTable[] {
    const { input, ttlMs } = this.plan
    const spec = { name: 'last rows', value: input.fields, kept: keptFor(ttlMs), keyCount: this.liveCount }
    return [this.keys.stateTable(spec, (row, key) => oneRow(row, this.expiry?.untilMs(key)))]
  }

  describe(): OperatorStatus {
    return { stateRows: this.liveCount, stateBytes: this.keys.table.byteSize + this.liveCount * 64 * this.keys.types.length }
  }
}

/** How often a row is in the result, from how often it is on each side. */
function resultCount({ operator, all }: Plan & { node: 'setOperation' }, left: number, right: number): number {
  if (operator === 'INTERSECT') return all ? Math.min(left, right) : left > 0 && right > 0 ? 1 : 0
  return all ? Math.max(left - right, 0) : left > 0 && right === 0 ? 1 : 0
}

/**
 * INTERSECT and EXCEPT, with and without ALL: counts of each row on both sides. After each batch the result is that over all rows so far. With a
 * time to live a side's copies of a row are forgotten so long after the last of them came or went, by the clock; with ALL both sides' together,
 * after the last of either. What is forgotten is not taken back, neither here nor by its input: a deletion of it is ignored.
 */
export class SetOperationOperator implements Operator {
  private readonly plan: Plan & { node: 'setOperation' }
  private readonly context: OperatorContext
  private readonly types
  private rows: KeyTable
  /** Counts on the left and right side. */
  private counts: [number[], number[]] = [[], []]
  /** Of each side: when it last got a row or lost one. */
  private readonly expiries: [Expiry, Expiry] | undefined
  /** To look for dead rows costs as much as there are rows: it is done once in half as many. */
  private rowsUntilCompacted = 0

  constructor(plan: Plan & { node: 'setOperation' }, context: OperatorContext) {
    this.plan = plan
    this.expiries = plan.ttlMs ? [new Expiry(plan.ttlMs), new Expiry(plan.ttlMs)] : undefined
    this.context = context
    this.types = plan.fields.map(({ type }) => type)
    this.rows = new KeyTable(this.types)
  }

  process(batch: Batch, input: number): void {
    const ids = new Int32Array(batch.rowCount)
    this.rows.lookup(batch.columns, batch.rowCount, ids)
    const [lefts, rights] = this.counts
    while (lefts.length < this.rows.count) {
      lefts.push(0)
      rights.push(0)
    }
    const before = new Map<number, number>()
    for (const id of ids) before.set(id, resultCount(this.plan, lefts[id], rights[id]))
    if (this.expiries) {
      this.expire(ids, input, batch.processingTimeMs)
      // What a row was given out for may be forgotten; that it comes back as what hid it is forgotten has not been said yet.
      for (const [id, count] of before) before.set(id, Math.min(count, resultCount(this.plan, lefts[id], rights[id])))
    }
    const counts = this.counts[input]
    ids.forEach((id, row) => {
      if (!isRetraction(batch.kinds?.[row] ?? INSERT)) counts[id]++
      else if (!this.expiries || counts[id] > 0) counts[id]--
    })
    const picks: number[] = []
    const kinds: number[] = []
    for (const [id, old] of before) {
      const change = resultCount(this.plan, lefts[id], rights[id]) - old
      for (let i = 0; i < Math.abs(change); i++) {
        picks.push(id)
        kinds.push(change > 0 ? INSERT : DELETE)
      }
    }
    if (picks.length > 0)
      this.context.emit({
        rowCount: picks.length,
        columns: this.types.map((_, i) => gather(this.rows.column(i), Int32Array.from(picks), picks.length)),
        kinds: kinds.includes(DELETE) ? Uint8Array.from(kinds) : undefined,
        watermarkAfter: batch.watermarkAfter,
        processingTimeMs: batch.processingTimeMs,
      })
    this.rowsUntilCompacted -= batch.rowCount
    if (this.rows.count <= 1024) return
    if (this.expiries?.[0].isDue(batch.processingTimeMs)) this.sweep(batch.processingTimeMs)
    else if (this.rowsUntilCompacted > 0) return
    this.compactIfMostlyDead()
    this.rowsUntilCompacted = this.rows.count >> 1
  }

  private expire(ids: Int32Array, input: number, nowMs: number): void {
    const expiries = this.expiries as [Expiry, Expiry]
    for (const expiry of expiries) expiry.reserve(this.rows.count)
    for (const side of [0, 1]) for (const id of ids) this.forget(side, id, nowMs)
    for (const expiry of this.plan.all ? expiries : [expiries[input]]) for (const id of ids) expiry.write(id, nowMs)
  }
  private forget(side: number, id: number, nowMs: number): void {
    if (this.counts[side][id] !== 0 && this.expiries?.[side].isOver(id, nowMs)) this.counts[side][id] = 0
  }
  /** What hides a row that is there is forgotten when the row is touched next: only then it can be given out. */
  private sweep(nowMs: number): void {
    const hides = this.plan.operator === 'EXCEPT'
    const [lefts] = this.counts
    for (let id = 0; id < this.rows.count; id++) {
      this.forget(0, id, nowMs)
      if (!hides || lefts[id] === 0) this.forget(1, id, nowMs)
    }
  }

  advance(): void {}

  private compactIfMostlyDead(): void {
    const [lefts, rights] = this.counts
    const keep = Uint8Array.from({ length: this.rows.count }, (_, id) => (lefts[id] === 0 && rights[id] === 0 ? 0 : 1))
    const liveCount = keep.reduce((sum, one) => sum + one, 0)
    if (liveCount * 2 >= this.rows.count) return
    const { table, newIndex } = this.rows.compacted(keep)
    this.rows = table
    this.counts = this.counts.map((counts) => counts.filter((_, id) => newIndex[id] >= 0)) as [number[], number[]]
    for (const expiry of this.expiries ?? []) expiry.move(newIndex)
  }

  snapshot(): unknown {
    const expiries = this.expiries?.map((expiry) => expiry.snapshot(this.rows.count))
    return { rows: this.rows.snapshot(), counts: this.counts, ...(expiries && { expiries }) }
  }
  restore(state: unknown, adds = false): void {
    const { rows, counts, expiries } = state as { rows: KeyTableSnapshot; counts: [number[], number[]]; expiries?: ExpirySnapshot[] }
    if (!adds) {
      this.rows = KeyTable.restore(this.types, rows)
      this.counts = counts
      this.expiries?.forEach((expiry, side) => {
        expiry.restore(expiries?.[side], rows.count)
      })
      return
    }
    const ids = this.rows.add(rows)
    ids.forEach((id, i) => {
      for (const side of [0, 1]) this.counts[side][id] = counts[side][i]
    })
    this.expiries?.forEach((expiry, side) => {
      expiry.add(expiries?.[side], ids)
    })
  }
  divide(division: Division): (part: number) => unknown {
    const { rows, counts, types, expiries } = this
    const idsOf = division.rows(
      types.map((_, i) => rows.column(i)),
      types,
      rows.count,
    )
    return (part) => {
      const ids = idsOf(part)
      const times = expiries?.map((expiry) => expiry.pick(ids))
      return {
        rows: rows.pick(ids),
        counts: counts.map((ofSide) => Array.from(ids, (id) => ofSide[id])),
        ...(times && { expiries: times }),
      }
    }
  }

  nextDueMs(): number {
    return Infinity
  }

  /** Of a side's copies the time to live is that of the later one. */
  stateTables(): StateTable[] {
    const held = (id: number) => {
      const [left, right] = this.counts.map((counts) => counts[id] ?? 0)
      if (left === 0 && right === 0) return undefined
      return oneRow(
        [BigInt(left), BigInt(right)],
        this.expiries && Math.max(...this.expiries.map((expiry) => expiry.untilMs(id) ?? -Infinity)),
      )
    }
    const value = ['left_copies', 'right_copies'].map(countField)
    return [
      keyedTable({ name: 'rows', key: this.plan.fields, value, kept: keptFor(this.plan.ttlMs, 'A row') }, () => [
        { keys: this.rows, held },
      ]),
    ]
  }

  describe(): OperatorStatus {
    return { stateRows: this.rows.count, stateBytes: this.rows.byteSize + this.rows.count * 16 }
  }
}
