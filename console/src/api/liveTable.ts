// The rows of one live table on this side of the wire: frames in, ordered rows out. Pure, no network.
//
// Invariants
//   1. After any frames, the rows are those of the last snapshot with the later deltas applied by primary key.
//   2. After `reset` the old rows stay on screen (isStale) until a snapshot replaces them; deltas in between are ignored.
//   3. A row object is replaced when it changes and kept when it does not, so a view can skip it by identity.
//   Held by liveTable.test.ts against a model that replays the history from its start.
import type { ColumnInfo, LiveFrame } from '../../../src/serve/contract.ts'
import { type Cell, type ColumnKind, compareCells, decodeRow, kindsOf } from './columns.ts'

export interface LiveRow {
  /** Identity of the row: its primary key as text; a table without a key has one row. */
  key: string
  cells: Cell[]
  /** Cells that the newest change touched; empty for rows of a snapshot. */
  changed: ReadonlySet<number>
  changedAtMs: number
}

/** `-edits` is descending by edits. */
export interface Order {
  column: string
  isDescending: boolean
}

export function parseOrder(text: string | undefined): Order | null {
  if (!text) return null
  return text.startsWith('-') ? { column: text.slice(1), isDescending: true } : { column: text, isDescending: false }
}

const noChange: ReadonlySet<number> = new Set()

export class LiveTable {
  columns: ColumnInfo[] = []
  primaryKey: string[] = []
  kinds: ColumnKind[] = []
  /** Where to go on after a lost connection; null asks for a new snapshot. */
  resume: string | null = null
  isStale = true
  /** Frames that changed something. */
  version = 0
  #rows = new Map<string, LiveRow>()
  #keyIndexes: number[] = []

  /** Applies one frame; returns whether rows may have changed. */
  apply(frame: LiveFrame, nowMs: number): boolean {
    switch (frame.type) {
      case 'snapshot':
        this.columns = frame.columns
        this.primaryKey = frame.primaryKey
        this.kinds = kindsOf(frame.columns)
        this.#keyIndexes = frame.primaryKey.map((name) => frame.columns.findIndex((column) => column.name === name)).filter((i) => i >= 0)
        this.#rows = new Map()
        for (const row of frame.rows) this.#put(row, nowMs, null)
        this.resume = frame.resume
        this.isStale = false
        break
      case 'delta': {
        if (this.resume === null) return false
        const removed = new Map<string, LiveRow>()
        for (const { op, row } of frame.changes) {
          if (op === '+I' || op === '+U') this.#put(row, nowMs, removed)
          else this.#remove(row, removed)
        }
        this.resume = frame.resume
        this.isStale = false
        break
      }
      case 'reset':
        this.resume = null
        this.isStale = true
        break
      default:
        return false
    }
    this.version++
    return true
  }

  /** Rows by the order, then by primary key; at most `limit`. */
  sorted(order: Order | null, limit = Number.POSITIVE_INFINITY): LiveRow[] {
    const rows = [...this.#rows.values()]
    const index = order ? this.columns.findIndex((column) => column.name === order.column) : -1
    const sign = order?.isDescending ? -1 : 1
    rows.sort((left, right) => {
      if (index >= 0) {
        const byColumn = compareCells(left.cells[index], right.cells[index], this.kinds[index]!)
        if (byColumn !== 0) return sign * byColumn
      }
      for (const i of this.#keyIndexes) {
        const byKey = compareCells(left.cells[i], right.cells[i], this.kinds[i]!)
        if (byKey !== 0) return byKey
      }
      return 0
    })
    return rows.length > limit ? rows.slice(0, limit) : rows
  }

  get rowCount(): number {
    return this.#rows.size
  }

  #keyOf(cells: Cell[]): string {
    return JSON.stringify(this.#keyIndexes.map((i) => String(cells[i])))
  }

  /** @param removed  rows that the same delta took away: an update then knows what it changed; null for a snapshot */
  #put(row: unknown[], nowMs: number, removed: Map<string, LiveRow> | null): void {
    const cells = decodeRow(row, this.kinds)
    const key = this.#keyOf(cells)
    if (!removed) {
      this.#rows.set(key, { key, cells, changed: noChange, changedAtMs: 0 })
      return
    }
    const before = this.#rows.get(key) ?? removed.get(key)
    const changed = new Set<number>()
    for (let i = 0; i < cells.length; i++) if (!before || !isSameCell(before.cells[i], cells[i])) changed.add(i)
    if (before && changed.size === 0) this.#rows.set(key, before)
    else this.#rows.set(key, { key, cells, changed, changedAtMs: nowMs })
  }

  #remove(row: unknown[], removed: Map<string, LiveRow>): void {
    const key = this.#keyOf(decodeRow(row, this.kinds))
    const before = this.#rows.get(key)
    if (!before) return
    removed.set(key, before)
    this.#rows.delete(key)
  }
}

function isSameCell(left: Cell, right: Cell): boolean {
  if (left === right) return true
  if (left === null || right === null || typeof left !== 'object' || typeof right !== 'object') return false
  return JSON.stringify(left) === JSON.stringify(right)
}
