// GROUP BY without a window: an updating result, one change per changed group and batch.
//
// One group:  first row --> +I --> rows --> -U old, +U new --> last row taken back --> -D --> forgotten
//
// Invariants
//   1. The changes of one batch turn the result over all rows before it into the result over all rows with it; a group whose result
//      stays the same gives no change. Every retraction carries the whole old row.
//   2. A group without rows has no result row, also without keys: a global aggregate over no rows is empty.
//   3. A retraction for a group without rows is ignored, as in Flink.
//   4. Groups without rows, and expired ones, give up their memory when they are the majority.
//   5. With a time to live a group that got no row for so long, by the clock, is as if it had never been.
//   1 to 3 are held by groupAggregate.property.test.ts.
import { type Arrays, type Batch, type Column, DELETE, gather, INSERT, UPDATE_AFTER, UPDATE_BEFORE } from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import { Accumulators, type AccumulatorsSnapshot, type AggregateLayout, layoutOf } from '../aggregates/index.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { canonicalText, halves } from '../state/columns.ts'
import { Expiry, type ExpirySnapshot } from '../state/expiry.ts'
import { KeyTable, type KeyTableSnapshot } from '../state/keyTable.ts'
import { aggregateFields, countField, fieldsAt, keptFor, keyedTable, oneRow, type StateTable } from '../state/stateTable.ts'
import { batchRowCountMax, ordinals } from './emission.ts'

interface Snapshot {
  table: KeyTableSnapshot
  accumulators: AccumulatorsSnapshot
  expiry?: ExpirySnapshot
}

export class GroupAggregateOperator implements Operator {
  private readonly plan: Plan & { node: 'groupAggregate' }
  private readonly context: OperatorContext
  private readonly layout: AggregateLayout
  /** Its rows are what the first phase gives. */
  private readonly merges: boolean
  private readonly keyTypes
  private table: KeyTable
  private accumulators: Accumulators
  /** Groups that have rows. */
  private liveCount = 0
  /** Number of the batch that last touched a group. */
  private touchedBy = new Int32Array(16)
  private batchNumber = 0
  private readonly expiry: Expiry | undefined

  /** @param merges  it is the second phase, behind a `LocalAggregateOperator` */
  constructor(plan: Plan & { node: 'groupAggregate' }, context: OperatorContext, merges = false) {
    this.plan = plan
    this.merges = merges
    this.context = context
    this.layout = layoutOf(plan.aggregates, plan.input.changelog !== 'append')
    this.keyTypes = plan.keys.map((key) => plan.input.fields[key].type)
    this.table = new KeyTable(this.keyTypes)
    this.accumulators = new Accumulators(this.layout)
    this.expiry = plan.ttlMs ? new Expiry(plan.ttlMs) : undefined
  }

  process(batch: Batch): void {
    let { rowCount } = batch
    if (rowCount === 0) return
    const knownCount = this.table.count
    const groups = new Int32Array(rowCount)
    const keyColumns = this.plan.keys.map((key) => batch.columns[key])
    this.table.lookup(keyColumns, rowCount, groups)
    this.accumulators.reserve(this.table.count)
    const begunAnew = this.expire(groups, knownCount, batch.processingTimeMs)
    let rows: Int32Array | undefined
    if (this.layout.retracts && batch.kinds !== undefined) {
      rows = this.withoutStrayRetractions(batch.kinds, groups, rowCount)
      if (rows !== undefined) {
        rowCount = rows.length
        for (let i = 0; i < rowCount; i++) groups[i] = groups[rows[i]]
      }
    }
    const touched = this.distinctGroups(groups, rowCount)
    const existing = this.layout.retracts
      ? touched.filter((group) => this.accumulators.rowCountOf(group) > 0)
      : touched.filter((group) => group < knownCount && !begunAnew?.has(group))
    const before = this.results(existing)
    if (this.merges) this.accumulators.mergeColumns(batch.columns.slice(this.plan.keys.length), groups, rowCount)
    else this.accumulators.update({ columns: batch.columns, rowCount, groups, rows, kinds: batch.kinds })
    const { arrivals } = batch
    // Where each change counts each row has a group of its own.
    const counts = this.plan.everyChange && arrivals !== undefined
    const arrivalOf = counts
      ? new Map(Array.from(groups.subarray(0, rowCount), (group, i) => [group, arrivals[rows?.[i] ?? i]]))
      : undefined
    this.emitChanges(batch, touched, existing, before, arrivalOf)
    if (this.table.count > 1024 && (this.liveCount * 2 < this.table.count || this.expiry?.isDue(batch.processingTimeMs)))
      this.compact(batch.processingTimeMs)
  }

  /** Forgets the groups of these rows whose time is over, and writes down that all got a row. @returns those that begin anew */
  private expire(groups: Int32Array, knownCount: number, nowMs: number): Set<number> | undefined {
    if (!this.expiry) return undefined
    const begunAnew = new Set<number>()
    this.expiry.reserve(this.table.count)
    for (const group of groups) {
      if (group < knownCount && this.expiry.isOver(group, nowMs)) {
        if (!this.layout.retracts || this.accumulators.rowCountOf(group) > 0) this.liveCount--
        this.accumulators.reset(group)
        begunAnew.add(group)
      }
      this.expiry.write(group, nowMs)
    }
    return begunAnew
  }

  /** Rows without the retractions that meet an empty group; undefined if there are none such. */
  private withoutStrayRetractions(kinds: Uint8Array, groups: Int32Array, rowCount: number): Int32Array | undefined {
    const counts = new Map<number, number>()
    const strays = new Set<number>()
    for (let row = 0; row < rowCount; row++) {
      const group = groups[row]
      const count = counts.get(group) ?? this.accumulators.rowCountOf(group)
      if ((kinds[row] & 1) === 0) counts.set(group, count + 1)
      else if (count > 0) counts.set(group, count - 1)
      else strays.add(row)
    }
    return strays.size === 0 ? undefined : ordinals(rowCount).filter((row) => !strays.has(row))
  }

  /** Groups in order of their first row in the batch. */
  private distinctGroups(groups: Int32Array, rowCount: number): Int32Array {
    if (this.touchedBy.length < this.table.count) {
      const larger = new Int32Array(this.table.count * 2)
      larger.set(this.touchedBy)
      this.touchedBy = larger
    }
    const number = ++this.batchNumber
    const touched = new Int32Array(Math.min(rowCount, this.table.count))
    let count = 0
    for (let i = 0; i < rowCount; i++) {
      const group = groups[i]
      if (this.touchedBy[group] === number) continue
      this.touchedBy[group] = number
      touched[count++] = group
    }
    return touched.subarray(0, count)
  }

  private results(groups: Int32Array): Column[] {
    const range = { groups, from: 0, count: groups.length, arrays: this.context.memory }
    return this.plan.aggregates.map((_, i) => this.accumulators.column(i, range))
  }

  private emitChanges(
    batch: Batch,
    touched: Int32Array,
    existing: Int32Array,
    before: Column[],
    arrivalOf: ReadonlyMap<number, number> | undefined,
  ): void {
    const after = this.results(touched)
    const { retracts } = this.layout
    const withBefore = this.plan.changelog !== 'upsert'
    // One output row: its kind, its group, and where its results are: row r of `after`, or ~r of `before`.
    const kinds = new Uint8Array(touched.length * 2)
    const groups = new Int32Array(touched.length * 2)
    const picks = new Int32Array(touched.length * 2)
    let count = 0
    let inserts = 0
    const put = (kind: number, group: number, pick: number) => {
      kinds[count] = kind
      groups[count] = group
      picks[count++] = pick
    }
    let old = 0
    for (let i = 0; i < touched.length; i++) {
      const group = touched[i]
      const existed = old < existing.length && existing[old] === group
      const exists = !retracts || this.accumulators.rowCountOf(group) > 0
      if (!exists) {
        if (existed) {
          put(DELETE, group, ~old)
          this.liveCount--
        }
        this.accumulators.reset(group)
      } else if (!existed) {
        put(INSERT, group, i)
        inserts++
        this.liveCount++
      } else if (this.expiry || before.some((column, c) => !sameValue(column, old, after[c], i))) {
        // With a time to live what changes nothing is given out, as in Flink: those behind do not forget what is still written here.
        if (withBefore) put(UPDATE_BEFORE, group, ~old)
        put(UPDATE_AFTER, group, i)
      }
      if (existed) old++
    }
    const { memory } = this.context
    for (let from = 0; from < count; from += batchRowCountMax) {
      const rowCount = Math.min(batchRowCountMax, count - from)
      const to = from + rowCount
      const mark = memory.mark()
      const keys = this.keyTypes.map((_, k) => gather(this.table.column(k), groups.subarray(from, to), rowCount, memory))
      const results = after.map((column, c) => pickBetween(before[c], column, picks.subarray(from, to), memory))
      this.context.emit({
        rowCount,
        columns: [...keys, ...results],
        kinds: inserts === count ? undefined : kinds.subarray(from, to),
        watermarkAfter: batch.watermarkAfter,
        arrivals: arrivalOf && Int32Array.from(groups.subarray(from, to), (group) => arrivalOf.get(group) as number),
        processingTimeMs: batch.processingTimeMs,
      })
      memory.release(mark)
    }
  }

  advance(): void {}

  private compact(nowMs: number): void {
    const isLive = (group: number) =>
      (!this.layout.retracts || this.accumulators.rowCountOf(group) > 0) && !this.expiry?.isOver(group, nowMs)
    const keep = Uint8Array.from({ length: this.table.count }, (_, group) => (isLive(group) ? 1 : 0))
    const { table, newIndex } = this.table.compacted(keep)
    const from = ordinals(newIndex.length).filter((group) => newIndex[group] >= 0)
    const fresh = new Accumulators(this.layout, from.length)
    fresh.reserve(from.length)
    fresh.merge(
      this.accumulators,
      from,
      from.map((group) => newIndex[group]),
      from.length,
    )
    this.table = table
    this.accumulators = fresh
    this.expiry?.move(newIndex)
    if (this.expiry) this.liveCount = from.length
    this.touchedBy.fill(0)
  }

  snapshot(): Snapshot {
    const expiry = this.expiry?.snapshot(this.table.count)
    return { table: this.table.snapshot(), accumulators: this.accumulators.snapshot(this.table.count), ...(expiry && { expiry }) }
  }

  restore(state: unknown, adds = false): void {
    const { table, accumulators, expiry } = state as Snapshot
    if (adds) {
      const groups = this.table.add(table)
      this.accumulators.add(accumulators, groups, this.table.count)
      this.expiry?.add(expiry, groups)
    } else {
      this.table = KeyTable.restore(this.keyTypes, table)
      this.accumulators = Accumulators.restore(this.layout, accumulators)
      this.expiry?.restore(expiry, table.count)
    }
    this.liveCount = 0
    for (let group = 0; group < this.table.count; group++)
      if (!this.layout.retracts || this.accumulators.rowCountOf(group) > 0) this.liveCount++
  }

  divide(division: Division): (part: number) => Snapshot {
    const { table, accumulators } = this
    const groupsOf = division.rows(
      this.keyTypes.map((_, k) => table.column(k)),
      this.keyTypes,
      table.count,
    )
    return (part) => {
      const groups = groupsOf(part)
      const expiry = this.expiry?.pick(groups)
      return { table: table.pick(groups), accumulators: accumulators.pick(groups), ...(expiry && { expiry }) }
    }
  }

  nextDueMs(): number {
    return Infinity
  }

  stateTables(): StateTable[] {
    const { plan, layout } = this
    const input = 'firstInput' in plan ? (plan.firstInput as typeof plan.fields) : plan.input.fields
    const aggregates = aggregateFields(plan.aggregates, input, plan.fields.slice(plan.keys.length))
    const spec = {
      name: 'groups',
      key: fieldsAt(plan.input.fields, plan.keys),
      value: layout.retracts ? [countField('rows'), ...aggregates] : aggregates,
      kept: keptFor(plan.ttlMs, 'A group'),
      keyCount: this.liveCount,
    }
    return [keyedTable(spec, () => [{ keys: this.table, held: (group) => this.heldBy(group) }])]
  }

  private heldBy(group: number) {
    const results = this.accumulators.resultsOf(group)
    if (!this.layout.retracts) return oneRow(results, this.expiry?.untilMs(group))
    const rowCount = this.accumulators.rowCountOf(group)
    return rowCount > 0 ? oneRow([BigInt(rowCount), ...results], this.expiry?.untilMs(group)) : undefined
  }

  describe(): OperatorStatus {
    return { stateRows: this.liveCount, stateBytes: this.table.byteSize + this.accumulators.byteSize }
  }
}

function sameValue(a: Column, i: number, b: Column, j: number): boolean {
  const aNull = a.nulls !== undefined && a.nulls[i] === 1
  const bNull = b.nulls !== undefined && b.nulls[j] === 1
  if (aNull || bNull) return aNull === bNull
  if (a.lane === 'utf8' || b.lane === 'utf8') return false
  const left = a.data[i]
  const right = b.data[j]
  if (typeof left !== 'object' || left === null) return Object.is(left, right)
  return right !== null && canonicalText(left) === canonicalText(right)
}

/** Row i is row `picks[i]` of `after`, or row `~picks[i]` of `before`. */
function pickBetween(before: Column, after: Column, picks: Int32Array, arrays: Arrays): Column {
  const count = picks.length
  const nulls = before.nulls || after.nulls ? arrays.u8(count) : undefined
  if (nulls !== undefined)
    for (let i = 0; i < count; i++) {
      const pick = picks[i]
      nulls[i] = (pick >= 0 ? after.nulls?.[pick] : before.nulls?.[~pick]) ?? 0
    }
  switch (after.lane) {
    case 'utf8':
      throw new TypeError('results of aggregates are not in lane utf8')
    case 'any':
      return { lane: 'any', data: pickValues((before as typeof after).data, after.data, picks, new Array<unknown>(count)), nulls }
    case 'i64': {
      const data = arrays.i64(count)
      pickLongs(halves((before as typeof after).data), halves(after.data), picks, halves(data))
      return { lane: 'i64', data, nulls }
    }
    case 'f64':
      return { lane: 'f64', data: pickValues((before as typeof after).data, after.data, picks, arrays.f64(count)), nulls }
    case 'i32':
      return { lane: 'i32', data: pickValues((before as typeof after).data, after.data, picks, arrays.i32(count)), nulls }
    default:
      return { lane: 'u8', data: pickValues((before as typeof after).data, after.data, picks, arrays.u8(count)), nulls }
  }
}

function pickValues<D extends { [i: number]: unknown }>(before: D, after: D, picks: Int32Array, out: D): D {
  for (let i = 0; i < picks.length; i++) {
    const pick = picks[i]
    out[i as keyof D] = pick >= 0 ? after[pick as keyof D] : before[~pick as keyof D]
  }
  return out
}

/** By halves: no BigInt is made, and bits that would be a NaN stay as they are. */
function pickLongs(before: Int32Array, after: Int32Array, picks: Int32Array, out: Int32Array): void {
  for (let i = 0; i < picks.length; i++) {
    const pick = picks[i]
    const from = pick >= 0 ? after : before
    const at = pick >= 0 ? pick : ~pick
    out[2 * i] = from[2 * at]
    out[2 * i + 1] = from[2 * at + 1]
  }
}
