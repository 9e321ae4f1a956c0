// Top-N per key over an input that only inserts: no more than the best `to` rows of each key are kept, by column.
//
// Invariants
//   1. After each batch what has left is exactly the rows of ranks from … to of each partition; rows of equal order rank by arrival.
//   2. With a rank column a rank's change is -U old, +U new; without, rows that fall out are -D and rows that come in +I.
//   3. Rows that fell out give up their memory when they are the majority.
//   1 is held by rank.property.test.ts.
import { type Batch, type Column, DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, valueAt } from '../../data/index.ts'
import type { Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import type { KeyTableSnapshot } from '../state/keyTable.ts'
import { RowStore } from '../state/rowStore.ts'
import { EntryOutput, sameEntries } from './columnRows.ts'
import { KeyedStates, type Row, rowOrder, sortedIndex } from './rows.ts'
import type { TopNSpec } from './topN.ts'

/** A row that is among the best of its key. */
interface Ranked {
  entry: number
  /** Values of the sort columns. */
  sort: Row
}
interface Partition {
  rows: Ranked[]
  /** The rows of ranks from … to before the batch in work; undefined where it has changed nothing. */
  before: Ranked[] | undefined
}
interface Snapshot {
  partitions: unknown
  rows: KeyTableSnapshot
}

export class AppendTopNOperator implements Operator {
  private readonly spec: TopNSpec
  private readonly context: OperatorContext
  private readonly output = new EntryOutput()
  private readonly order: (a: Ranked, b: Ranked) => number
  private readonly partitions: KeyedStates<Partition>
  private rows: RowStore
  private liveCount = 0

  constructor(spec: TopNSpec, context: OperatorContext) {
    this.spec = spec
    this.context = context
    const order = rowOrder(spec.orderBy.map((key, column) => ({ ...key, column })))
    this.order = (a, b) => order(a.sort, b.sort)
    this.partitions = new KeyedStates(spec.input.fields, spec.partitionKeys)
    this.rows = new RowStore(this.rowTypes)
  }

  private get rowTypes() {
    return this.spec.input.fields.map(({ type }) => type)
  }

  process(batch: Batch): void {
    const { from, to } = this.spec
    const keys = this.partitions.keysOf(batch)
    const { states } = this.partitions
    const sortColumns = this.spec.orderBy.map(({ column }) => batch.columns[column])
    const firstEntry = this.rows.count
    const accepted = new Int32Array(batch.rowCount)
    let acceptedCount = 0
    const changed: Partition[] = []
    for (let row = 0; row < batch.rowCount; row++) {
      const partition = (states[keys[row]] ??= { rows: [], before: undefined })
      const { rows } = partition
      const ranked: Ranked = { entry: firstEntry + acceptedCount, sort: sortColumns.map((column) => valueAt(column, row)) }
      const isFull = rows.length >= to
      if (isFull && (to === 0 || this.order(ranked, rows[rows.length - 1]) >= 0)) continue
      if (partition.before === undefined) {
        partition.before = rows.slice(from - 1, to)
        changed.push(partition)
      }
      accepted[acceptedCount++] = row
      rows.splice(sortedIndex(rows, ranked, this.order), 0, ranked)
      if (isFull) rows.pop()
      else this.liveCount++
    }
    this.rows.append(batch.columns, accepted, acceptedCount)
    const columns = this.rows.columns()
    for (const partition of changed) {
      const old = partition.before as Ranked[]
      partition.before = undefined
      const now = partition.rows.slice(from - 1, to)
      if (this.spec.rankColumn) this.putRanks(columns, old, now)
      else this.putDifference(columns, old, now)
    }
    this.output.flush(columns, this.spec.rankColumn, batch.processingTimeMs, this.context)
    if (this.rows.count > 1024 && this.rows.count > 2 * this.liveCount) this.compact()
  }

  private putRanks(columns: readonly Column[], old: readonly Ranked[], now: readonly Ranked[]): void {
    const { from, changelog } = this.spec
    // An input that only inserts leaves no rank empty again.
    for (let i = 0; i < now.length; i++) {
      if (i >= old.length) this.output.put(now[i].entry, INSERT, from + i)
      else if (old[i] !== now[i] && !sameEntries(columns, old[i].entry, now[i].entry)) {
        if (changelog !== 'upsert') this.output.put(old[i].entry, UPDATE_BEFORE, from + i)
        this.output.put(now[i].entry, UPDATE_AFTER, from + i)
      }
    }
  }

  /** Deletions, then insertions; a row that falls out while an equal one comes in changes nothing. */
  private putDifference(columns: readonly Column[], old: readonly Ranked[], now: readonly Ranked[]): void {
    const stays = new Set(old.length === 0 ? [] : now)
    const removed = old.filter((ranked) => !stays.has(ranked))
    const was = new Set(old)
    const added = now.filter((ranked) => {
      if (was.has(ranked)) return false
      const equal = removed.findIndex((other) => this.order(other, ranked) === 0 && sameEntries(columns, other.entry, ranked.entry))
      if (equal >= 0) removed.splice(equal, 1)
      return equal < 0
    })
    for (const { entry } of removed) this.output.put(entry, DELETE)
    for (const { entry } of added) this.output.put(entry, INSERT)
  }

  private compact(): void {
    const kept = new Int32Array(this.liveCount)
    let next = 0
    for (const partition of this.partitions.states)
      for (const ranked of partition?.rows ?? []) {
        kept[next] = ranked.entry
        ranked.entry = next++
      }
    this.rows.keepOnly(kept)
  }

  advance(): void {}

  snapshot(): Snapshot {
    this.compact()
    return {
      partitions: this.partitions.snapshot(({ rows }) => rows.map(({ entry, sort }) => ({ entry, sort }))),
      rows: this.rows.snapshot(),
    }
  }

  restore(state: unknown): void {
    const { partitions, rows } = state as Snapshot
    this.partitions.restore(partitions, (saved) => ({ rows: (saved as Ranked[]).map((ranked) => ({ ...ranked })), before: undefined }))
    this.rows = new RowStore(this.rowTypes, rows)
    this.liveCount = rows.count
  }

  describe(): OperatorStatus {
    // An entry's place and sort values are reckoned at 64 bytes.
    return { stateRows: this.liveCount, stateBytes: this.rows.byteSize + this.partitions.table.byteSize + this.liveCount * 64 }
  }
}
