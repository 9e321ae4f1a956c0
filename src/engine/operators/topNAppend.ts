// Top-N per key over an input that only inserts: no more than the best `to` rows of each key are kept, by column.
//
// Invariants
//   1. After each batch what has left is exactly the rows of ranks from … to of each partition; rows of equal order rank by arrival.
//   2. With a rank column a rank's change is -U old, +U new; without, rows that fall out are -D and rows that come in +I.
//   3. Rows that fell out give up their memory when they are the majority.
//   4. With a time to live the rows of one place in the order are forgotten together, so long after the last of them came, by the clock:
//      none of them is taken back, and those behind them move up. Where the order is that of arrival the whole partition is one place.
//   1 is held by rank.property.test.ts, 4 by stateTtl.property.test.ts.
import { type Batch, type Column, DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE } from '../../data/index.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { Expiry, type ExpirySnapshot } from '../state/expiry.ts'
import type { KeyTableSnapshot } from '../state/keyTable.ts'
import { RowStore } from '../state/rowStore.ts'
import { heldOf, keptFor, type StateTable } from '../state/stateTable.ts'
import { type EntryOrder, EntryOutput, entryOrder, sameEntries } from './columnRows.ts'
import { KeyedStates } from './rows.ts'
import { rankedFields, type TopNSpec } from './topN.ts'

interface Partition {
  /** Entries of the row store, in order; while a batch is in work also its rows, as ~row. */
  rows: number[]
  /** The rows of ranks from … to before the batch in work; undefined where it has changed nothing. */
  before: number[] | undefined
  /** Where each change counts: the row of the batch in work that has changed it. */
  arrival: number
  /** With a time to live: no row is over before. */
  dueMs: number
}
interface Snapshot {
  partitions: unknown
  rows: KeyTableSnapshot
  expiry?: ExpirySnapshot
}

export class AppendTopNOperator implements Operator {
  private readonly spec: TopNSpec
  private readonly context: OperatorContext
  private readonly output = new EntryOutput()
  private readonly partitions: KeyedStates<Partition>
  private rows: RowStore
  private liveCount = 0
  private partitionCount = 0
  private readonly expiry: Expiry | undefined

  constructor(spec: TopNSpec, context: OperatorContext) {
    this.spec = spec
    this.context = context
    this.partitions = new KeyedStates(spec.input.fields, spec.partitionKeys)
    this.rows = new RowStore(this.rowTypes)
    this.expiry = spec.ttlMs ? new Expiry(spec.ttlMs) : undefined
  }

  private get rowTypes() {
    return this.spec.input.fields.map(({ type }) => type)
  }

  process(batch: Batch): void {
    const { from, to, rankColumn } = this.spec
    const keys = this.partitions.keysOf(batch)
    const { states } = this.partitions
    const nowMs = batch.processingTimeMs
    const order = this.mixedOrder(batch)
    const changed: Partition[] = []
    const arrivals = this.spec.everyChange ? batch.arrivals : undefined
    for (let row = 0; row < batch.rowCount; row++) {
      let partition = states[keys[row]]
      if (partition === undefined) {
        partition = states[keys[row]] = { rows: [], before: undefined, arrival: -1, dueMs: Infinity }
        this.partitionCount++
      }
      if (partition.dueMs <= nowMs && partition.before === undefined) this.forget(partition, nowMs)
      const { rows } = partition
      const isFull = rows.length >= to
      if (isFull && (to === 0 || order(~row, rows[rows.length - 1]) >= 0)) continue
      if (partition.before === undefined) {
        partition.before = rows.slice(from - 1, to)
        if (arrivals !== undefined) partition.arrival = arrivals[row]
        changed.push(partition)
      }
      insertSorted(rows, ~row, order)
      if (isFull) rows.pop()
      else this.liveCount++
    }
    const first = this.rows.count
    const columns = this.keepAccepted(batch, changed)
    if (this.expiry) this.write(changed, columns, first, nowMs)
    for (const partition of changed) {
      const old = partition.before as number[]
      partition.before = undefined
      if (arrivals !== undefined) this.output.arrival = partition.arrival
      const now = partition.rows.slice(from - 1, to)
      if (rankColumn) this.putRanks(columns, old, now)
      else this.putDifference(columns, old, now)
    }
    this.output.flush(columns, rankColumn, nowMs, this.context)
    if (this.expiry?.isDue(nowMs)) this.sweep(nowMs)
    if (this.rows.count > 1024 && this.rows.count > 2 * this.liveCount) this.compact()
  }

  private forget(partition: Partition, nowMs: number): void {
    const expiry = this.expiry as Expiry
    const left = partition.rows.filter((entry) => !expiry.isOver(entry, nowMs))
    this.liveCount -= partition.rows.length - left.length
    partition.rows = left
    partition.dueMs = this.dueMs(left)
  }
  /** The soonest end of their time; long ago where one counts from its first look. */
  private dueMs(entries: readonly number[]): number {
    const { ttlMs } = this.expiry as Expiry
    let dueMs = Infinity
    for (const entry of entries) {
      const ms = this.expiry?.at(entry) as number
      dueMs = Math.min(dueMs, Number.isNaN(ms) ? -Infinity : ms + ttlMs)
    }
    return dueMs
  }

  /** Writes down when the new rows came, those from entry `first` on, and with each the others of its place in the order. */
  private write(changed: readonly Partition[], columns: readonly Column[], first: number, nowMs: number): void {
    const expiry = this.expiry as Expiry
    const { orderBy, input } = this.spec
    expiry.reserve(this.rows.count)
    const isByArrival = orderBy.length === 0 || (!orderBy[0].descending && input.fields[orderBy[0].column].timeAttribute === 'processing')
    const order = isByArrival ? () => 0 : entryOrder(orderBy, columns, columns)
    for (const partition of changed) {
      const { rows } = partition
      for (let from = 0, to = 1; from < rows.length; from = to++) {
        while (to < rows.length && order(rows[from], rows[to]) === 0) to++
        const place = rows.slice(from, to)
        if (place.some((entry) => entry >= first)) for (const entry of place) expiry.write(entry, nowMs)
      }
      partition.dueMs = this.dueMs(rows)
    }
  }

  /** Rows and partitions whose time is over give up their memory. */
  private sweep(nowMs: number): void {
    const { states } = this.partitions
    states.forEach((partition, key) => {
      if (partition === undefined) return
      if (partition.dueMs <= nowMs) this.forget(partition, nowMs)
      if (partition.rows.length > 0) return
      states[key] = undefined
      this.partitionCount--
    })
    this.partitions.compact(this.partitionCount)
  }

  /** Order of entries and, as ~row, of rows of the batch, which are stored only if they are among the best after it. */
  private mixedOrder(batch: Batch): EntryOrder {
    const { orderBy } = this.spec
    const stored = this.rows.columns()
    const kept = entryOrder(orderBy, stored, stored)
    const keptToNew = entryOrder(orderBy, stored, batch.columns)
    const newToKept = entryOrder(orderBy, batch.columns, stored)
    const fresh = entryOrder(orderBy, batch.columns, batch.columns)
    return (a, b) => (a >= 0 ? (b >= 0 ? kept(a, b) : keptToNew(a, ~b)) : b >= 0 ? newToKept(~a, b) : fresh(~a, ~b))
  }

  /** Stores the rows of the batch that are in a partition; gives the columns of all entries. */
  private keepAccepted(batch: Batch, changed: readonly Partition[]): Column[] {
    const accepted = new Int32Array(batch.rowCount)
    let count = 0
    const first = this.rows.count
    for (const { rows } of changed)
      for (let i = 0; i < rows.length; i++) {
        if (rows[i] >= 0) continue
        accepted[count] = ~rows[i]
        rows[i] = first + count++
      }
    this.rows.append(batch.columns, accepted, count)
    return this.rows.columns()
  }

  private putRanks(columns: readonly Column[], old: readonly number[], now: readonly number[]): void {
    const { from, changelog } = this.spec
    // An input that only inserts leaves no rank empty again.
    for (let i = 0; i < now.length; i++) {
      if (i >= old.length) this.output.put(now[i], INSERT, from + i)
      else if (old[i] !== now[i] && !sameEntries(columns, old[i], now[i])) {
        if (changelog !== 'upsert') this.output.put(old[i], UPDATE_BEFORE, from + i)
        this.output.put(now[i], UPDATE_AFTER, from + i)
      }
    }
  }

  /** Deletions, then insertions; a row that falls out while an equal one comes in changes nothing. */
  private putDifference(columns: readonly Column[], old: readonly number[], now: readonly number[]): void {
    if (old.length === 0) {
      for (const entry of now) this.output.put(entry, INSERT)
      return
    }
    const stays = new Set(now)
    const removed = old.filter((entry) => !stays.has(entry))
    const was = new Set(old)
    const added = now.filter((entry) => {
      if (was.has(entry)) return false
      const equal = removed.findIndex((other) => sameEntries(columns, other, entry))
      if (equal >= 0) removed.splice(equal, 1)
      return equal < 0
    })
    for (const entry of removed) this.output.put(entry, DELETE)
    for (const entry of added) this.output.put(entry, INSERT)
  }

  private compact(): void {
    const { expiry } = this
    const kept = new Int32Array(this.liveCount)
    let next = 0
    for (const partition of this.partitions.states) {
      if (partition === undefined) continue
      const { rows } = partition
      for (let i = 0; i < rows.length; i++) {
        kept[next] = rows[i]
        rows[i] = next++
      }
    }
    this.rows.keepOnly(kept)
    expiry?.restore(expiry.pick(kept), kept.length)
  }

  advance(): void {}

  snapshot(): Snapshot {
    this.compact()
    return {
      partitions: this.partitions.snapshot(({ rows }) => rows.slice()),
      rows: this.rows.snapshot(),
      ...(this.expiry && { expiry: this.expiry.snapshot(this.rows.count) }),
    }
  }

  restore(state: unknown, adds = false): void {
    const { partitions, rows, expiry } = state as Snapshot
    if (!adds) this.rows = new RowStore(this.rowTypes)
    const first = this.rows.add(rows)
    this.expiry?.add(
      expiry,
      Int32Array.from({ length: rows.count }, (_, i) => first + i),
    )
    const read = (saved: unknown): Partition => {
      const entries = (saved as number[]).map((entry) => first + entry)
      return { rows: entries, before: undefined, arrival: -1, dueMs: this.expiry ? this.dueMs(entries) : Infinity }
    }
    this.partitions.restore(partitions, read, adds)
    this.liveCount = (adds ? this.liveCount : 0) + rows.count
    this.partitionCount = this.partitions.states.length
  }

  divide(division: Division): (part: number) => Snapshot {
    const { rows, expiry } = this
    const ofPart = this.partitions.divide(division, (partition) => partition.rows)
    return (part) => {
      const { table, states } = ofPart(part).saved
      const lists = states as number[][]
      const entries = Int32Array.from(lists.flat())
      let next = 0
      return {
        partitions: { table, states: lists.map((list) => list.map(() => next++)) },
        rows: rows.pick(entries),
        ...(expiry && { expiry: expiry.pick(entries) }),
      }
    }
  }

  nextDueMs(): number {
    return Infinity
  }

  stateTables(): StateTable[] {
    const { input, ttlMs, to } = this.spec
    const { text, ...kept } = keptFor(ttlMs, 'A row')
    const spec = {
      name: 'ranked rows',
      value: rankedFields(input),
      kept: { ...kept, text: Number.isFinite(to) ? `Better rows push a row out of the first ${to}. ${text}` : text },
      keyCount: this.partitionCount,
    }
    return [
      this.partitions.stateTable(spec, ({ rows }, _, rowsMax) =>
        heldOf(rows, rowsMax, (entry, at) => ({
          values: [BigInt(at + 1), ...this.rows.rowAt(entry)],
          untilMs: this.expiry?.untilMs(entry),
        })),
      ),
    ]
  }

  describe(): OperatorStatus {
    // A list is reckoned at 64 bytes, a place in it at 8.
    const listBytes = this.partitions.table.count * 64 + this.liveCount * 8
    return { stateRows: this.liveCount, stateBytes: this.rows.byteSize + this.partitions.table.byteSize + listBytes }
  }
}

/** Behind its equals; new rows are mostly near the end. */
function insertSorted(rows: number[], entry: number, order: EntryOrder): void {
  let at = rows.length
  while (at > 0 && order(rows[at - 1], entry) > 0) at--
  rows.splice(at, 0, entry)
}
