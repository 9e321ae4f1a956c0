// The last row of each key by time, updating: -U old, +U new.
//
// Invariants
//   1. A row replaces what is kept if its time is not smaller, so of equal times the last arrival wins. No row is late.
//   2. One batch gives at most one change for each key; a key whose row stays equal gives none. Below a temporal join or a window each version
//      counts: there every change is given, with the watermark that its row saw. With a time to live an equal row is given too, as in Flink:
//      those behind do not forget what is still written here. What is older than what is kept does not count as written.
//   3. Rows that were replaced give up their memory when they are the majority; with a time to live also keys whose time is over.
//   1 is held by rank.property.test.ts.
import { type Batch, type Column, INSERT, UPDATE_AFTER, UPDATE_BEFORE } from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import { engineErrors } from '../errors.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { Expiry, type ExpirySnapshot } from '../state/expiry.ts'
import { KeyTable, type KeyTableSnapshot } from '../state/keyTable.ts'
import { RowStore } from '../state/rowStore.ts'
import { fieldsAt, keptFor, keyedTable, oneRow, type StateTable } from '../state/stateTable.ts'
import { EntryOutput, sameEntries } from './columnRows.ts'
import { isNullAt } from './rows.ts'

type DeduplicatePlan = Plan & { node: 'deduplicate' }

interface Snapshot {
  keys: KeyTableSnapshot
  rows: KeyTableSnapshot
  /** By key. */
  entries: Int32Array
  times: Float64Array
  expiry?: ExpirySnapshot
}

export class KeepLastOperator implements Operator {
  private readonly plan: DeduplicatePlan
  private readonly context: OperatorContext
  private readonly output = new EntryOutput()
  private readonly keyTypes
  private keys: KeyTable
  private rows: RowStore
  /** By key: the entry that is kept, -1 for none; its time; the row of the batch in work that replaces it, -1 for none. */
  private entries = new Int32Array(16).fill(-1)
  private times = new Float64Array(16)
  private replacing = new Int32Array(16).fill(-1)
  private readonly expiry: Expiry | undefined

  constructor(plan: DeduplicatePlan, context: OperatorContext) {
    this.plan = plan
    this.context = context
    this.keyTypes = plan.keys.map((key) => plan.input.fields[key].type)
    this.keys = new KeyTable(this.keyTypes)
    this.rows = new RowStore(this.rowTypes)
    this.expiry = plan.ttlMs ? new Expiry(plan.ttlMs) : undefined
  }

  private get rowTypes() {
    return this.plan.input.fields.map(({ type }) => type)
  }

  process(batch: Batch): void {
    const { rowCount } = batch
    const keys = new Int32Array(rowCount)
    this.keys.lookup(
      this.plan.keys.map((key) => batch.columns[key]),
      rowCount,
      keys,
    )
    this.reserve(this.keys.count)
    this.expire(keys, batch.processingTimeMs)
    const changed = new Int32Array(rowCount)
    for (let from = 0; from < rowCount; ) {
      const done = this.plan.processingTime
        ? this.replaceAll(keys, rowCount, changed, from)
        : this.replaceByTime(batch, keys, changed, from)
      this.give(batch, changed, done.count)
      from = done.to
    }
    this.output.flush(this.rows.columns(), false, batch.processingTimeMs, this.context)
    if (this.keys.count > 1024 && this.expiry?.isDue(batch.processingTimeMs)) this.forgetExpired(batch.processingTimeMs)
    if (this.rows.count > 1024 && this.rows.count > 2 * this.keys.count) this.compact()
  }

  /** Puts the rows in `replacing` in the place of those that were kept. */
  private give(batch: Batch, changed: Int32Array, changedCount: number): void {
    const replacements = new Int32Array(changedCount)
    for (let i = 0; i < changedCount; i++) replacements[i] = this.replacing[changed[i]]
    const first = this.rows.append(batch.columns, replacements, changedCount)
    const columns = this.rows.columns()
    const withBefore = this.plan.changelog !== 'upsert'
    const seen = this.plan.everyVersion ? batch.watermarksBefore : undefined
    const arrivals = this.plan.everyVersion ? batch.arrivals : undefined
    for (let i = 0; i < changedCount; i++) {
      const key = changed[i]
      const old = this.entries[key]
      this.entries[key] = first + i
      this.replacing[key] = -1
      this.expiry?.write(key, batch.processingTimeMs)
      this.output.seenMs = seen === undefined ? Number.NEGATIVE_INFINITY : seen[replacements[i]]
      if (arrivals !== undefined) this.output.arrival = arrivals[replacements[i]]
      if (old < 0) this.output.put(first + i, INSERT)
      else if (this.expiry || !sameEntries(columns, old, first + i)) {
        if (withBefore) this.output.put(old, UPDATE_BEFORE)
        this.output.put(first + i, UPDATE_AFTER)
      }
    }
  }

  private expire(keys: Int32Array, nowMs: number): void {
    if (!this.expiry) return
    this.expiry.reserve(this.keys.count)
    for (const key of keys) if (this.entries[key] >= 0 && this.expiry.isOver(key, nowMs)) this.entries[key] = -1
  }

  /** Keys whose time is over give up their memory, and then their rows. */
  private forgetExpired(nowMs: number): void {
    const { expiry } = this
    const keep = Uint8Array.from({ length: this.keys.count }, (_, key) => (expiry?.isOver(key, nowMs) ? 0 : 1))
    const { table, newIndex } = this.keys.compacted(keep)
    const { entries, times } = this
    this.keys = table
    this.entries = new Int32Array(Math.max(16, table.count)).fill(-1)
    this.times = new Float64Array(this.entries.length)
    this.replacing = new Int32Array(this.entries.length).fill(-1)
    newIndex.forEach((to, from) => {
      if (to < 0) return
      this.entries[to] = entries[from]
      this.times[to] = times[from]
    })
    expiry?.move(newIndex)
  }

  /** Keys that get another row, in order of their first one. */
  private replaceAll(keys: Int32Array, rowCount: number, changed: Int32Array, from: number): { count: number; to: number } {
    let count = 0
    for (let row = from; row < rowCount; row++) {
      const key = keys[row]
      const isNew = this.replacing[key] < 0
      if (this.plan.everyVersion && !isNew) return { count, to: row }
      if (isNew) changed[count++] = key
      this.replacing[key] = row
    }
    return { count, to: rowCount }
  }

  /** Keys that get another row. Where each version counts it ends before a key that would get a second one. */
  private replaceByTime(batch: Batch, keys: Int32Array, changed: Int32Array, from: number): { count: number; to: number } {
    const { everyVersion } = this.plan
    const timeColumn = batch.columns[this.plan.timeColumn] as Column & { lane: 'f64' }
    const { data } = timeColumn
    let count = 0
    for (let row = from; row < batch.rowCount; row++) {
      if (isNullAt(timeColumn, row)) {
        const column = this.plan.input.fields[this.plan.timeColumn].name
        this.context.rowFailed(batch, row, engineErrors('ROWTIME_NULL', { column, table: 'deduplication' }))
        continue
      }
      const key = keys[row]
      const isNew = this.replacing[key] < 0
      if ((!isNew || this.entries[key] >= 0) && data[row] < this.times[key]) continue
      if (everyVersion && !isNew) return { count, to: row }
      if (isNew) changed[count++] = key
      this.replacing[key] = row
      this.times[key] = data[row]
    }
    return { count, to: batch.rowCount }
  }

  private reserve(keyCount: number): void {
    const known = this.entries.length
    if (keyCount <= known) return
    const capacity = Math.max(keyCount, known * 2)
    const { entries, times } = this
    this.entries = new Int32Array(capacity).fill(-1)
    this.entries.set(entries)
    this.times = new Float64Array(capacity)
    this.times.set(times)
    this.replacing = new Int32Array(capacity).fill(-1)
  }

  /** A key without a row has had only rows that failed: it keeps -1. */
  private compact(): void {
    const kept = this.entries.subarray(0, this.keys.count).filter((entry) => entry >= 0)
    this.rows.keepOnly(kept)
    for (let key = 0, next = 0; key < this.keys.count; key++) if (this.entries[key] >= 0) this.entries[key] = next++
  }

  advance(): void {}

  snapshot(): Snapshot {
    const { count } = this.keys
    return {
      keys: this.keys.snapshot(),
      rows: this.rows.snapshot(),
      entries: this.entries.subarray(0, count),
      times: this.times.subarray(0, count),
      ...(this.expiry && { expiry: this.expiry.snapshot(count) }),
    }
  }

  restore(state: unknown, adds = false): void {
    const { keys, rows, entries, times, expiry } = state as Snapshot
    if (adds) {
      const first = this.rows.add(rows)
      const places = this.keys.add(keys)
      this.reserve(this.keys.count)
      places.forEach((key, i) => {
        this.entries[key] = entries[i] < 0 ? -1 : first + entries[i]
        this.times[key] = times[i]
      })
      this.expiry?.add(expiry, places)
      return
    }
    this.expiry?.restore(expiry, keys.count)
    this.keys = KeyTable.restore(this.keyTypes, keys)
    this.rows = new RowStore(this.rowTypes, rows)
    this.reserve(keys.count)
    this.entries.set(entries)
    this.times.set(times)
  }

  divide(division: Division): (part: number) => Snapshot {
    const { keys, rows, entries, times, keyTypes } = this
    const keysOf = division.rows(
      keyTypes.map((_, k) => keys.column(k)),
      keyTypes,
      keys.count,
    )
    return (part) => {
      const own = keysOf(part)
      const kept = Int32Array.from(own, (key) => entries[key]).filter((entry) => entry >= 0)
      let next = 0
      return {
        keys: keys.pick(own),
        rows: rows.pick(kept),
        entries: Int32Array.from(own, (key) => (entries[key] >= 0 ? next++ : -1)),
        times: Float64Array.from(own, (key) => times[key]),
        ...(this.expiry && { expiry: this.expiry.pick(own) }),
      }
    }
  }

  nextDueMs(): number {
    return Infinity
  }

  stateTables(): StateTable[] {
    const { input, keys, ttlMs } = this.plan
    const held = (key: number) =>
      this.entries[key] < 0 ? undefined : oneRow(this.rows.rowAt(this.entries[key]), this.expiry?.untilMs(key))
    const spec = { name: 'last rows', key: fieldsAt(input.fields, keys), value: input.fields, kept: keptFor(ttlMs) }
    return [keyedTable(spec, () => [{ keys: this.keys, held }])]
  }

  describe(): OperatorStatus {
    return { stateRows: this.keys.count, stateBytes: this.keys.byteSize + this.rows.byteSize + this.entries.length * 16 }
  }
}
