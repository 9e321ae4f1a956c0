// One materialized table: a changelog's rows by primary key, with point, range and ordered look-ups.
//
// Invariants
//   1. After `apply` the rows are those of the changelog so far, newest value per key. A batch is applied whole or, over the limit, not at all.
//   2. A -U directly before the +U of the same key is one update, so readers never see the row vanish; any other -U is a delete.
//   3. +I and +U put a row in place of what is there; a -D of an unknown key changes nothing.
//   4. A walk over pages by cursor gives each row that keeps its place in the order exactly once, whatever else changes meanwhile.
import type { Batch, Column, Field } from '../data/index.ts'
import { isRetraction, UPDATE_AFTER, UPDATE_BEFORE } from '../data/index.ts'
import { viewErrors } from './errors.ts'
import { compileFilters, type Filter, type Predicate } from './filter.ts'
import { isOrderable, type Key, keyReader, type Row } from './keys.ts'
import { type Compare, compareOrders, compareValues, type Order, sortRows, totalOrder } from './order.ts'
import { KeyedRows } from './rows.ts'
import { parseValue, textOf } from './text.ts'
import type { ViewSnapshot } from './views.ts'

export interface ViewDefinition {
  name: string
  fields: readonly Field[]
  /** Ordinals into `fields`; empty for a table of one row (a global aggregate). */
  primaryKey: readonly number[]
  comment?: string
}

export interface ScanRequest {
  filters?: readonly Filter[]
  order?: Order
  limit: number
  cursor?: string
}
export interface ScanPage {
  rows: Row[]
  /** Cursor of the next page, null at the end. */
  next: string | null
  epoch: number
}

export interface ViewLimits {
  /** Rows of one view. */
  rowsMax: number
  /** Deleted keys remembered, so that readers can catch up without a snapshot. */
  tombstonesMax: number
  /** Different orders of one view for which an index is kept. */
  indexesMax: number
}

/** Below this many rows a sort is cheaper than keeping an index. */
const INDEX_ROWS_MIN = 5_000

export class View {
  readonly definition: ViewDefinition
  rows: KeyedRows
  epoch = 0
  changeCount = 0
  updatedAtMs: number | undefined
  readonly keyOf: (row: readonly unknown[]) => Key
  private readonly limits: ViewLimits
  private readonly orderUses = new Map<string, number>()

  constructor(definition: ViewDefinition, limits: ViewLimits) {
    const { name, fields, primaryKey } = definition
    const invalid = (reason: string) => viewErrors('VIEW_KEY_INVALID', { table: name, reason })
    for (const column of primaryKey) {
      if (!fields[column]) throw invalid(`its key names column ${column} of ${fields.length}`)
      if (!isOrderable(fields[column].type)) throw invalid(`key column "${fields[column].name}" cannot be compared`)
    }
    this.definition = definition
    this.limits = limits
    this.rows = new KeyedRows(limits.tombstonesMax)
    this.keyOf = keyReader(fields, primaryKey)
  }

  /**
   * @throws StreamError VIEW_ROWS_LIMIT, with nothing changed
   */
  apply(batch: Batch, epoch: number, nowMs: number): void {
    const { rowCount, kinds } = batch
    this.epoch = epoch
    if (rowCount === 0) return
    const rows = readRows(batch)
    const { keyOf, rows: target } = this
    if (target.rowCount + rowCount > this.limits.rowsMax) this.checkRoom(rows, kinds)
    target.beginVersion()
    if (kinds === undefined) {
      for (let i = 0; i < rowCount; i++) target.upsert(keyOf(rows[i]), rows[i])
    } else {
      let key = keyOf(rows[0])
      for (let i = 0; i < rowCount; i++) {
        const next = i + 1 < rowCount ? keyOf(rows[i + 1]) : null
        const kind = kinds[i]
        if (!isRetraction(kind)) target.upsert(key, rows[i])
        else if (kind !== UPDATE_BEFORE || i + 1 === rowCount || kinds[i + 1] !== UPDATE_AFTER || next !== key) target.delete(key)
        key = next
      }
    }
    this.changeCount += rowCount
    this.updatedAtMs = nowMs
  }

  /** The row with these values of the primary key columns, in the key's order; O(1). */
  get(key: readonly unknown[]): Row | undefined {
    const row: unknown[] = []
    this.definition.primaryKey.forEach((column, i) => {
      row[column] = key[i]
    })
    return this.rows.entries.get(this.keyOf(row))?.row
  }

  /**
   * Rows that pass all filters, in the order asked for and then by primary key.
   *
   * @throws StreamError VIEW_CURSOR_INVALID
   */
  scan(request: ScanRequest): ScanPage {
    const { filters = [], limit, cursor } = request
    const { epoch } = this
    const single = this.keyFilters(filters)
    const matches = compileFilters(filters)
    if (single !== undefined) {
      const row = this.get(single)
      return { rows: row && (!matches || matches(row)) && cursor === undefined ? [row] : [], next: null, epoch }
    }
    const order = totalOrder(request.order ?? [], this.definition.primaryKey)
    const compare = compareOrders(order)
    const after = cursor === undefined ? undefined : this.decodeCursor(cursor, order)
    const found = this.select(order, compare, filters, matches, limit + 1, after)
    const hasMore = found.length > limit
    if (hasMore) found.length = limit
    return { rows: found, next: hasMore ? this.encodeCursor(found[limit - 1], order) : null, epoch }
  }

  /** All rows that pass the filters, as of now, in order: for exports, which stream them while the view moves on. */
  copy(filters: readonly Filter[], order: Order): Row[] {
    const matches = compileFilters(filters)
    const rows = this.rows.rows()
    const found = matches ? rows.filter(matches) : rows
    return order.length === 0 ? found : sortRows(found, totalOrder(order, this.definition.primaryKey))
  }

  restore({ rows, deltas = [], epoch }: ViewSnapshot): void {
    const restored = new KeyedRows(this.limits.tombstonesMax)
    restored.beginVersion()
    for (const row of rows) restored.upsert(this.keyOf(row), row)
    for (const delta of deltas) {
      for (const row of delta.deleted) restored.delete(this.keyOf(row))
      for (const row of delta.rows) restored.upsert(this.keyOf(row), row)
    }
    this.rows = restored
    this.epoch = epoch
  }

  /** Bytes of memory, from a sample of rows: an estimate. */
  bytesEstimate(): number {
    let sampled = 0
    let bytes = 0
    for (const { row } of this.rows.entries.values()) {
      bytes += 160 + row.length * 16
      for (const value of row) bytes += typeof value === 'string' ? value.length : typeof value === 'object' && value !== null ? 64 : 0
      if (++sampled === 100) break
    }
    return sampled === 0 ? 0 : Math.round((bytes / sampled) * this.rows.rowCount)
  }

  /** Values of the whole primary key, if the filters fix it. */
  private keyFilters(filters: readonly Filter[]): unknown[] | undefined {
    const key: unknown[] = []
    for (const column of this.definition.primaryKey) {
      const filter = filters.find((one) => one.column === column && one.operator === 'eq')
      if (!filter) return undefined
      key.push(filter.value)
    }
    return key
  }

  private select(
    order: Order,
    compare: Compare,
    filters: readonly Filter[],
    matches: Predicate | undefined,
    count: number,
    after: Row | undefined,
  ): Row[] {
    const found: Row[] = []
    const index = this.indexFor(order, after !== undefined)
    if (index) {
      const bounds = rangeOf(order, filters)
      const from = after ? (row: Row) => compare(row, after) > 0 : bounds.from
      index.visit((row) => {
        if (bounds.isPast?.(row)) return false
        if (!matches || matches(row)) found.push(row)
        return found.length < count
      }, from)
      return found
    }
    // Without an index: the best `count` rows seen so far, in order; most rows are refused by one comparison with the last of them.
    for (const { row } of this.rows.entries.values()) {
      if (found.length === count && compare(row, found[count - 1]) >= 0) continue
      if ((matches && !matches(row)) || (after && compare(row, after) <= 0)) continue
      let low = 0
      let high = found.length
      while (low < high) {
        const middle = (low + high) >>> 1
        if (compare(found[middle], row) < 0) low = middle + 1
        else high = middle
      }
      found.splice(low, 0, row)
      if (found.length > count) found.pop()
    }
    return found
  }

  /** An index pays from the second look on; a cursor announces more looks. */
  private indexFor(order: Order, isWalk: boolean) {
    if (this.rows.rowCount < INDEX_ROWS_MIN) return undefined
    if (!this.rows.hasIndex(order)) {
      const text = order.map((part) => (part.descending ? -1 - part.column : part.column)).join()
      const uses = (this.orderUses.get(text) ?? 0) + 1
      if (this.orderUses.size > 100) this.orderUses.clear()
      this.orderUses.set(text, uses)
      if (uses < 3 && !isWalk) return undefined
    }
    return this.rows.ordered(order, this.limits.indexesMax)
  }

  /** Counts the keys that a batch would leave; only near the limit, because it costs a Set. */
  private checkRoom(rows: Row[], kinds: Uint8Array | undefined): void {
    const { entries } = this.rows
    const changed = new Map<Key, boolean>()
    rows.forEach((row, i) => {
      changed.set(this.keyOf(row), !kinds || !isRetraction(kinds[i]))
    })
    let rowCount = entries.size
    for (const [key, alive] of changed) rowCount += Number(alive) - Number(entries.has(key))
    if (rowCount > this.limits.rowsMax) throw viewErrors('VIEW_ROWS_LIMIT', { table: this.definition.name, max: this.limits.rowsMax })
  }

  private encodeCursor(row: Row, order: Order): string {
    const { fields } = this.definition
    const values = order.map(({ column }) => (row[column] === null ? null : textOf(fields[column].type)(row[column])))
    return Buffer.from(JSON.stringify([cursorOrder(order), ...values])).toString('base64url')
  }

  private decodeCursor(cursor: string, order: Order): Row {
    const row: Row = []
    try {
      const [orderText, ...values] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as (string | null)[]
      if (orderText !== cursorOrder(order) || values.length !== order.length) throw new RangeError('another order')
      order.forEach(({ column }, i) => {
        const text = values[i]
        const value = text === null ? null : parseValue(this.definition.fields[column].type, String(text))
        if (value === undefined) throw new RangeError('not a value')
        row[column] = value
      })
    } catch (error) {
      throw viewErrors('VIEW_CURSOR_INVALID', { cursor }, { cause: error })
    }
    return row
  }
}

const cursorOrder = (order: Order): string => order.map(({ column, descending }) => `${descending ? '-' : ''}${column}`).join()

/** Where filters on the first column of an order let a walk begin and end. */
function rangeOf(order: Order, filters: readonly Filter[]): { from?: Predicate; isPast?: Predicate } {
  const [{ column, descending }] = order
  const [first, last] = descending ? (['lte', 'lt'] as const) : (['gte', 'gt'] as const)
  const [endFirst, endLast] = descending ? (['gte', 'gt'] as const) : (['lte', 'lt'] as const)
  const of = (names: readonly string[]) => filters.find((filter) => filter.column === column && names.includes(filter.operator))
  const sign = descending ? -1 : 1
  const begin = of([first, last, 'eq'])
  const end = of([endFirst, endLast, 'eq'])
  return {
    from: begin && ((row) => sign * compareValues(row[column], begin.value) >= 0),
    isPast: end && ((row) => sign * compareValues(row[column], end.value) > 0),
  }
}

/** All rows of a batch as arrays of values, filled column by column: one small loop per column, not one large one per row. */
export function readRows({ rowCount, columns }: Batch): Row[] {
  const rows = new Array<Row>(rowCount)
  for (let i = 0; i < rowCount; i++) rows[i] = new Array<unknown>(columns.length)
  columns.forEach((column, at) => {
    fillColumn(column, at, rows)
  })
  return rows
}

function fillColumn(column: Column, at: number, rows: Row[]): void {
  const { nulls } = column
  switch (column.lane) {
    case 'u8':
      for (let i = 0; i < rows.length; i++) rows[i][at] = column.data[i] === 1
      break
    case 'utf8': {
      const { bytes, starts, ends } = column
      const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      for (let i = 0; i < rows.length; i++) if (!nulls || nulls[i] === 0) rows[i][at] = buffer.toString('utf8', starts[i], ends[i])
      break
    }
    case 'i64': {
      const { data } = column
      for (let i = 0; i < rows.length; i++) rows[i][at] = data[i]
      break
    }
    case 'any': {
      const { data } = column
      for (let i = 0; i < rows.length; i++) rows[i][at] = data[i]
      break
    }
    default: {
      const { data } = column
      for (let i = 0; i < rows.length; i++) rows[i][at] = data[i]
    }
  }
  if (nulls) for (let i = 0; i < rows.length; i++) if (nulls[i] === 1) rows[i][at] = null
}
