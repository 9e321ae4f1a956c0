// Rows kept by column, in order of arrival: what operators hold instead of an object for each row.
//
// Invariants
//   1. An entry never changes; `columns()` handed out before stay valid, for the entries that were there.
//   2. Entries that nobody needs are given up only by `keepOnly`, which renumbers the others.
import { type Column, type SqlType, valueAt } from '../../data/index.ts'
import { KeyTable, type KeyTableSnapshot } from './keyTable.ts'

export class RowStore {
  private readonly types: readonly SqlType[]
  private table: KeyTable

  constructor(types: readonly SqlType[], snapshot?: KeyTableSnapshot) {
    this.types = types
    this.table = snapshot === undefined ? new KeyTable(types) : KeyTable.stored(types, snapshot)
  }

  get count(): number {
    return this.table.count
  }
  get byteSize(): number {
    return this.table.byteSize
  }

  /** Keeps the rows `rows[0 … count)` of the columns, which become the next entries. Returns the first of them. */
  append(columns: readonly Column[], rows: Int32Array, count: number): number {
    return this.table.append(columns, count, rows)
  }

  columns(): Column[] {
    return this.types.map((_, i) => this.table.column(i))
  }

  /** The values of one entry. */
  rowAt(entry: number): unknown[] {
    return this.types.map((_, i) => valueAt(this.table.range(i, entry, 1), 0))
  }

  /** Forgets all entries but these; the one at `entries[i]` becomes entry i. */
  keepOnly(entries: Int32Array): void {
    const table = new KeyTable(this.types, entries.length)
    table.append(this.columns(), entries.length, entries)
    this.table = table
  }

  /** Rows of a snapshot become the next entries. Returns the first of them. */
  add({ columns, count }: KeyTableSnapshot): number {
    return this.table.append(
      columns.map(({ column }) => column),
      count,
    )
  }

  pick(entries: Int32Array): KeyTableSnapshot {
    return this.table.pick(entries)
  }

  snapshot(): KeyTableSnapshot {
    return this.table.snapshot()
  }
}
