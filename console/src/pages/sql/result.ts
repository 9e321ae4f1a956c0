// The result of a statement on this side of the wire: a changelog in, rows and the newest changes out. Pure, no network.
//
// Invariants
//   1. With a key, a row is the newest of its key; without one, the rows are a multiset to which +I and +U add and from which -U and -D take.
//   2. Memory is bounded: above the limits the oldest rows and changes go, and `isCut` says so.
//   Held by result.test.ts against a recount of the whole history.
import type { ColumnInfo } from '../../../../src/serve/contract.ts'
import { type Cell, decodeRow, kindsOf } from '../../api/columns.ts'
import { stringifyExact } from '../../api/json.ts'
import type { LiveRow } from '../../api/liveTable.ts'

export type Op = '+I' | '-U' | '+U' | '-D'
export interface Change {
  id: number
  op: Op
  cells: Cell[]
}
/** What is shown of it at one moment; it never changes, so it can be held while the run goes on. */
export interface ResultView {
  columns: ColumnInfo[]
  rows: readonly LiveRow[]
  /** Newest first. */
  changes: readonly Change[]
  /** Those that the server left out among them. */
  changeCount: number
  /** Left out by the server, to keep its rate. */
  skipped: number
  isCut: boolean
}
export const resultLimits = { rows: 5_000, changes: 500 }
const none: ReadonlySet<number> = new Set()

export class Result {
  readonly columns: ColumnInfo[]
  readonly changelog: 'append' | 'retract' | 'upsert'
  changes: Change[] = []
  changeCount = 0
  skipped = 0
  isCut = false
  private readonly limits: typeof resultLimits
  private readonly keyIndexes: number[]
  private readonly kinds
  private readonly rowsByKey = new Map<string, LiveRow[]>()
  private rowCount = 0
  private nextId = 0

  constructor(columns: ColumnInfo[], changelog: 'append' | 'retract' | 'upsert', key: readonly string[], limits = resultLimits) {
    this.columns = columns
    this.changelog = changelog
    this.limits = limits
    this.kinds = kindsOf(columns)
    this.keyIndexes = changelog === 'append' ? [] : key.map((name) => columns.findIndex((column) => column.name === name))
  }

  apply(changes: readonly { op: Op; row: unknown[] }[], nowMs: number): void {
    for (const { op, row } of changes) {
      const cells = decodeRow(row, this.kinds)
      this.changeCount++
      this.changes.unshift({ id: this.nextId++, op, cells })
      const hasKey = this.keyIndexes.length > 0
      const key = stringifyExact(hasKey ? this.keyIndexes.map((index) => row[index]) : row)
      const same = this.rowsByKey.get(key) ?? []
      if (op === '-U' || op === '-D') this.take(key, same)
      else {
        const before = hasKey ? same.pop() : undefined
        if (before) this.rowCount--
        const changed = before ? new Set(cells.flatMap((cell, index) => (cell === before.cells[index] ? [] : index))) : none
        same.push({ key: before?.key ?? String(this.nextId++), cells, changed, changedAtMs: nowMs })
        this.rowsByKey.set(key, same)
        this.rowCount++
      }
    }
    this.changes.length = Math.min(this.changes.length, this.limits.changes)
    for (const [key, same] of this.rowsByKey) {
      if (this.rowCount <= this.limits.rows) break
      this.isCut = true
      while (same.length > 0 && this.rowCount > this.limits.rows) this.take(key, same)
    }
  }

  private take(key: string, same: LiveRow[]): void {
    if (same.pop()) this.rowCount--
    if (same.length === 0) this.rowsByKey.delete(key)
  }

  rows(): LiveRow[] {
    return [...this.rowsByKey.values()].flat()
  }

  view(): ResultView {
    const { columns, skipped, isCut } = this
    return { columns, rows: this.rows(), changes: this.changes.slice(), changeCount: this.changeCount + skipped, skipped, isCut }
  }
}
