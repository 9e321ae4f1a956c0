// Temporal joins on processing time: a left row meets the present version of its key at once.
//
// Invariants
//   1. Each left row is given out (or found without partner) once, by what the right side holds when its batch comes; output is append-only.
//   2. Of each key of the right side only the newest version is kept; versions that were replaced give up their memory when they are
//      the majority.
import { type Batch, type Column, gather, gatherAll, INSERT, isRetraction, rowAt, UPDATE_BEFORE } from '../../../data/index.ts'
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
import { fieldsAt, keyedTable, oneRow, type StateTable } from '../../state/stateTable.ts'
import { type Condition, compileCondition } from '../conditions.ts'
import { gatherOrNull } from '../emission.ts'
import { Unmatched } from './pairs.ts'

interface Snapshot {
  keys: KeyTableSnapshot
  rows: KeyTableSnapshot
  /** By key. */
  entries: Int32Array
}

export class PresentJoinOperator implements Operator {
  private readonly plan: Plan & { node: 'temporalJoin' }
  private readonly context: OperatorContext
  private readonly condition: Condition | undefined
  private keys: KeyTable
  private rows: RowStore
  /** By key: the entry of its present version, -1 for none. */
  private entries = new Int32Array(16).fill(-1)
  private readonly unmatched = new Unmatched()

  constructor(plan: Plan & { node: 'temporalJoin' }, context: OperatorContext, timeZone: string) {
    this.plan = plan
    this.context = context
    this.condition = compileCondition(plan.condition, [...plan.left.fields, ...plan.right.fields], timeZone, (pairs, row, error) =>
      context.rowFailed(pairs, row, error, context.inputFields.flat()),
    )
    this.keys = new KeyTable(this.keyTypes)
    this.rows = new RowStore(this.rowTypes)
  }

  private get keyTypes() {
    return this.plan.rightKeys.map((key) => this.plan.right.fields[key].type)
  }
  private get rowTypes() {
    return this.plan.right.fields.map(({ type }) => type)
  }

  process(batch: Batch, input: number): void {
    if (input === 1) this.take(batch)
    else this.join(batch)
  }

  private take(batch: Batch): void {
    const { nullSafe } = this.plan
    const keyColumns = this.plan.rightKeys.map((key) => batch.columns[key])
    const keys = new Int32Array(batch.rowCount)
    this.keys.lookup(keyColumns, batch.rowCount, keys)
    this.reserve(this.keys.count)
    const added = new Int32Array(batch.rowCount)
    let addedCount = 0
    const first = this.rows.count
    for (let row = 0; row < batch.rowCount; row++) {
      const kind = batch.kinds === undefined ? INSERT : batch.kinds[row]
      // -U is followed by its +U; a NULL key has no partners.
      if (kind === UPDATE_BEFORE || keyColumns.some(({ nulls }, i) => nulls?.[row] === 1 && !nullSafe?.[i])) continue
      if (isRetraction(kind)) this.entries[keys[row]] = -1
      else {
        this.entries[keys[row]] = first + addedCount
        added[addedCount++] = row
      }
    }
    this.rows.append(batch.columns, added, addedCount)
    if (this.rows.count > 1024 && this.rows.count > 2 * this.keys.count) this.compact()
  }

  private join(batch: Batch): void {
    const { rowCount } = batch
    const { memory } = this.context
    const entryOf = memory.i32(rowCount)
    const keyColumns = this.plan.leftKeys.map((key) => batch.columns[key])
    this.keys.find(keyColumns, rowCount, entryOf)
    for (const [i, { nulls }] of keyColumns.entries())
      if (nulls !== undefined && !this.plan.nullSafe?.[i]) for (let row = 0; row < rowCount; row++) if (nulls[row] === 1) entryOf[row] = -1
    const { entries } = this
    for (let row = 0; row < rowCount; row++) if (entryOf[row] >= 0) entryOf[row] = entries[entryOf[row]]
    const versions = this.rows.columns()
    if (this.condition !== undefined) this.judge(this.condition, batch, entryOf.subarray(0, rowCount), versions)
    const rows = memory.i32(rowCount)
    const found = memory.i32(rowCount)
    const givesMissed = this.plan.kind !== 'INNER'
    let count = 0
    for (let row = 0; row < rowCount; row++) {
      const entry = entryOf[row]
      if (entry < 0 && !givesMissed) continue
      rows[count] = row
      found[count++] = entry
    }
    this.noteMissed(batch, entryOf)
    if (count === 0) return
    const left = count === rowCount ? batch.columns : gatherAll(batch.columns, rows, count, memory)
    this.context.emit({
      rowCount: count,
      columns: [...left, ...gatherOrNull(versions, found.subarray(0, count), memory)],
      watermarkAfter: batch.watermarkAfter,
      processingTimeMs: batch.processingTimeMs,
    })
  }

  /** Counts the rows without partner, and keeps the last ones for `why`. */
  private noteMissed(batch: Batch, entryOf: Int32Array): void {
    const last: number[] = []
    let count = 0
    for (let row = batch.rowCount - 1; row >= 0; row--) if (entryOf[row] < 0 && ++count <= SAMPLES_MAX) last.unshift(row)
    this.unmatched.skip(count - last.length)
    for (const row of last) this.unmatched.add(rowAt(batch, row))
  }

  /** Takes the version from each row with which it does not satisfy the condition. */
  private judge(condition: Condition, batch: Batch, entryOf: Int32Array, versions: Column[]): void {
    const rows = Int32Array.from(entryOf.keys()).filter((row) => entryOf[row] >= 0)
    if (rows.length === 0) return
    const found = rows.map((row) => entryOf[row])
    const pairs = [
      ...batch.columns.map((column) => gather(column, rows, rows.length)),
      ...versions.map((column) => gather(column, found, found.length)),
    ]
    const passed = condition(pairs, rows.length, batch.processingTimeMs)
    rows.forEach((row, i) => {
      if (passed[i] === 0) entryOf[row] = -1
    })
  }

  private reserve(keyCount: number): void {
    if (keyCount <= this.entries.length) return
    const larger = new Int32Array(Math.max(keyCount, this.entries.length * 2)).fill(-1)
    larger.set(this.entries)
    this.entries = larger
  }

  /** Keys without a version are forgotten, too. */
  private compact(): void {
    const keep = Uint8Array.from(this.entries.subarray(0, this.keys.count), (entry) => (entry < 0 ? 0 : 1))
    const kept = this.entries.subarray(0, this.keys.count).filter((entry) => entry >= 0)
    this.keys = this.keys.compacted(keep).table
    this.rows.keepOnly(kept)
    this.entries.fill(-1)
    for (let key = 0; key < kept.length; key++) this.entries[key] = key
  }

  advance(): void {}

  snapshot(): Snapshot {
    this.compact()
    return { keys: this.keys.snapshot(), rows: this.rows.snapshot(), entries: this.entries.slice(0, this.keys.count) }
  }

  restore(state: unknown, adds = false): void {
    const { keys, rows, entries } = state as Snapshot
    if (adds) {
      const first = this.rows.add(rows)
      const places = this.keys.add(keys)
      this.reserve(this.keys.count)
      places.forEach((key, i) => {
        this.entries[key] = first + entries[i]
      })
      return
    }
    this.keys = KeyTable.restore(this.keyTypes, keys)
    this.rows = new RowStore(this.rowTypes, rows)
    this.reserve(keys.count)
    this.entries.set(entries)
  }

  /** Versions have no partner to miss: only left rows do. */
  joinSides(): JoinSideStatus[] {
    return [
      { rows: 0, ...this.unmatched.status() },
      { rows: this.keys.count, unmatched: 0, samples: [] },
    ]
  }

  divide(division: Division): (part: number) => Snapshot {
    this.compact()
    const { keys, rows, entries, keyTypes } = this
    const keysOf = division.rows(
      keyTypes.map((_, k) => keys.column(k)),
      keyTypes,
      keys.count,
    )
    return (part) => {
      const own = keysOf(part)
      const kept = Int32Array.from(own, (key) => entries[key])
      return { keys: keys.pick(own), rows: rows.pick(kept), entries: Int32Array.from(own.keys()) }
    }
  }

  nextDueMs(): number {
    return Infinity
  }

  stateTables(): StateTable[] {
    const { left, right, leftKeys, rightKeys } = this.plan
    const held = (key: number) => (this.entries[key] >= 0 ? oneRow(this.rows.rowAt(this.entries[key])) : undefined)
    const spec = {
      name: 'present versions',
      key: fieldsAt(right.fields, rightKeys),
      keyAlias: fieldsAt(left.fields, leftKeys),
      value: right.fields,
      kept: { by: 'query' as const, text: 'The newest version of a key is kept until another one, or a deletion, takes its place.' },
    }
    return [keyedTable(spec, () => [{ keys: this.keys, held }])]
  }

  describe(): OperatorStatus {
    return { stateRows: this.keys.count, stateBytes: this.keys.byteSize + this.rows.byteSize + this.entries.byteLength }
  }
}
