// Helpers of operators that hold rows as JS values: output by rows, keys of a batch, order of rows, row-by-row watermarks.
import { type Batch, batchOf, type Column, DELETE, type Field, INSERT, laneOf, type SqlType } from '../../data/index.ts'
import type { SortKey } from '../../sql/index.ts'
import { compareValues } from '../aggregates/index.ts'
import type { Division, OperatorContext } from '../operator.ts'
import { canonicalText } from '../state/columns.ts'
import { KeyTable } from '../state/keyTable.ts'
import { fieldsAt, type Held, keyedTable, type StateSpec, type StateTable } from '../state/stateTable.ts'
import { batchRowCountMax, ordinals } from './emission.ts'

export type Row = unknown[]

/** Rows on their way out. `seenMs` is the watermark that the next rows see, `arrival` theirs if they have one. */
export class RowOutput {
  seenMs = -Infinity
  arrival: number | undefined
  processingTimeMs = 0
  private readonly fields: readonly Field[]
  private readonly context: OperatorContext
  private rows: Row[] = []
  private kinds: number[] = []
  private seen: number[] = []
  private arrivals: number[] = []

  constructor(fields: readonly Field[], context: OperatorContext) {
    this.fields = fields
    this.context = context
  }

  put(row: Row, kind: number = INSERT): void {
    this.rows.push(row)
    this.kinds.push(kind)
    this.seen.push(this.seenMs)
    if (this.arrival !== undefined) this.arrivals.push(this.arrival)
    if (this.rows.length >= batchRowCountMax) this.flush()
  }

  flush(): void {
    const { rows, kinds, seen, arrivals } = this
    if (rows.length === 0) return
    this.rows = []
    this.kinds = []
    this.seen = []
    this.arrivals = []
    const columns = this.fields.map((field, i) => columnOfRows(field.type, rows, i))
    this.context.emit({
      rowCount: rows.length,
      columns,
      kinds: kinds.some((kind) => kind !== INSERT) ? Uint8Array.from(kinds) : undefined,
      watermarksBefore: seen[seen.length - 1] === -Infinity ? undefined : Float64Array.from(seen),
      watermarkAfter: seen[seen.length - 1],
      processingTimeMs: this.processingTimeMs,
      ...(arrivals.length > 0 && { arrivals: Int32Array.from(arrivals) }),
    })
  }
}

/** One column of rows; as ColumnBuilder makes it, with one loop for each lane. */
function columnOfRows(type: SqlType, rows: readonly Row[], column: number): Column {
  const count = rows.length
  let nulls: Uint8Array | undefined
  const nullAt = (row: number) => {
    nulls ??= new Uint8Array(count)
    nulls[row] = 1
  }
  const fill = (data: Int32Array | Float64Array | BigInt64Array | Uint8Array | unknown[]) => {
    for (let row = 0; row < count; row++) {
      const value = rows[row][column]
      if (value === null || value === undefined) nullAt(row)
      else data[row] = value as never
    }
    return nulls
  }
  switch (laneOf(type)) {
    case 'i32': {
      const data = new Int32Array(count)
      return { lane: 'i32', data, nulls: fill(data) }
    }
    case 'i64': {
      const data = new BigInt64Array(count)
      return { lane: 'i64', data, nulls: fill(data) }
    }
    case 'f64': {
      const data = new Float64Array(count)
      return { lane: 'f64', data, nulls: fill(data) }
    }
    case 'u8': {
      const data = new Uint8Array(count)
      for (let row = 0; row < count; row++) {
        const value = rows[row][column]
        if (value === null || value === undefined) nullAt(row)
        else data[row] = value ? 1 : 0
      }
      return { lane: 'u8', data, nulls }
    }
    default: {
      const data = new Array<unknown>(count).fill(null)
      return { lane: 'any', data, nulls: fill(data) }
    }
  }
}

/** Keys of rows as dense indices, with a state for each. */
export class KeyedStates<S> {
  readonly types: SqlType[]
  table: KeyTable
  states: (S | undefined)[] = []
  private readonly columns: number[]
  private readonly fields: Field[]

  constructor(fields: readonly Field[], columns: readonly number[]) {
    this.columns = [...columns]
    this.fields = fieldsAt(fields, columns)
    this.types = columns.map((column) => fields[column].type)
    this.table = new KeyTable(this.types)
  }

  /** Key of each row; -1 where `nullsMatch` is false and a key is NULL. */
  keysOf(batch: Batch, nullsMatch = true): Int32Array {
    const keys = new Int32Array(batch.rowCount)
    const columns = this.columns.map((column) => batch.columns[column])
    this.table.lookup(columns, batch.rowCount, keys)
    if (!nullsMatch)
      for (const { nulls } of columns)
        if (nulls !== undefined) for (let row = 0; row < batch.rowCount; row++) if (nulls[row] === 1) keys[row] = -1
    return keys
  }

  /** Key of single values, -1 if it is not known. */
  indexOf(values: Row, fields: readonly Field[]): number {
    const out = new Int32Array(1)
    this.table.find(batchOf(fields, [values]).columns, 1, out)
    return out[0]
  }

  /** The states as a table to read. @param held  the rows of one */
  stateTable(spec: Omit<StateSpec, 'key'>, held: (state: S, key: number, rowsMax: number) => Held | undefined): StateTable {
    const heldBy = (key: number, rowsMax: number) => {
      const state = this.states[key]
      return state === undefined ? undefined : held(state, key, rowsMax)
    }
    return keyedTable({ ...spec, key: this.fields }, () => [{ keys: this.table, held: heldBy }])
  }

  /** Forgets keys without a state, when they are the majority; gives the new index of each old key, or undefined if nothing moved. */
  compact(liveCount: number): Int32Array | undefined {
    if (this.table.count <= 1024 || liveCount * 2 >= this.table.count) return undefined
    return this.forgetDead()
  }

  /** Forgets keys without a state; gives the new index of each old key, or undefined if nothing moved. */
  forgetDead(): Int32Array | undefined {
    if (this.states.length === this.table.count && !this.states.includes(undefined)) return undefined
    const keep = Uint8Array.from({ length: this.table.count }, (_, key) => (this.states[key] === undefined ? 0 : 1))
    const { table, newIndex } = this.table.compacted(keep)
    this.table = table
    const states: S[] = []
    this.states.forEach((state, key) => {
      if (state !== undefined) states[newIndex[key]] = state
    })
    this.states = states
    return newIndex
  }

  /** `of` makes a state plain data. */
  snapshot(of: (state: S) => unknown = (state) => state) {
    this.forgetDead()
    return { table: this.table.snapshot(), states: this.states.map((state) => of(state as S)) }
  }

  /** For each part its keys, and what `snapshot` would give for these alone. */
  divide(division: Division, of: (state: S) => unknown = (state) => state) {
    this.forgetDead()
    const { table, states } = this
    const keysOf = division.rows(
      this.types.map((_, k) => table.column(k)),
      this.types,
      table.count,
    )
    return (part: number) => {
      const keys = keysOf(part)
      return { keys, saved: { table: table.pick(keys), states: Array.from(keys, (key) => of(states[key] as S)) } }
    }
  }

  /** @returns the index of each saved key */
  restore(saved: unknown, of: (state: unknown) => S = (state) => state as S, adds = false): Int32Array {
    const { table, states } = saved as { table: Parameters<typeof KeyTable.restore>[1]; states: unknown[] }
    if (adds) {
      const keys = this.table.add(table)
      states.forEach((state, i) => {
        this.states[keys[i]] = of(state)
      })
      return keys
    }
    this.table = KeyTable.restore(this.types, table)
    this.states = states.map(of)
    return ordinals(table.count)
  }
}

/** What waits for some keys beside what waits for others: saved keys are `keys` now. Sorted, so it is a heap. */
export function waitingBeside<W extends { key: number }>(
  known: readonly W[],
  saved: readonly W[],
  keys: Int32Array,
  leavesFirst: (a: W, b: W) => boolean,
): W[] {
  return [...known, ...saved.map((one) => ({ ...one, key: keys[one.key] }))].sort((a, b) => (leavesFirst(a, b) ? -1 : 1))
}

/** What waits for these keys alone, each with its key's place among them; sorted, so it is a heap. */
export function waitingOf<W extends { key: number }>(waiting: readonly W[], keys: Int32Array, leavesFirst: (a: W, b: W) => boolean): W[] {
  const places = new Map(Array.from(keys, (key, place) => [key, place]))
  return waiting
    .filter(({ key }) => places.has(key))
    .map((one) => ({ ...one, key: places.get(one.key) as number }))
    .sort((a, b) => (leavesFirst(a, b) ? -1 : 1))
}

/** Order of rows by sort keys; 0 for ties. */
export function rowOrder(orderBy: readonly SortKey[]): (a: Row, b: Row) => number {
  return (a, b) => {
    for (const { column, descending, nullsFirst } of orderBy) {
      const left = a[column]
      const right = b[column]
      if (left === null || right === null) {
        if (left === right) continue
        return (left === null) === nullsFirst ? -1 : 1
      }
      const order = compareValues(left, right)
      if (order !== 0) return descending ? -order : order
    }
    return 0
  }
}

/** Where a row belongs in a sorted list: behind its equals, or before them. */
export function sortedIndex<T>(list: readonly T[], row: T, order: (a: T, b: T) => number, beforeEquals = false): number {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >> 1
    const compared = order(list[middle], row)
    if (compared < 0 || (compared === 0 && !beforeEquals)) low = middle + 1
    else high = middle
  }
  return low
}

export const sameRow = (a: Row, b: Row): boolean => {
  for (let i = 0; i < a.length; i++) {
    if (Object.is(a[i], b[i])) continue
    if (typeof a[i] !== 'object' || a[i] === null || b[i] === null || canonicalText(a[i]) !== canonicalText(b[i])) return false
  }
  return true
}

export const isNullAt = (column: Column, row: number): boolean => column.nulls !== undefined && column.nulls[row] === 1

/** Epoch ms of a time column's row, which must not be NULL. */
export const timeAt = (column: Column, row: number): number => (column as Column & { lane: 'f64' }).data[row]

/** Gives what turns one list of rows into another, as multisets: deletions, then insertions. */
export function emitDifference(old: readonly Row[], now: readonly Row[], put: (row: Row, kind: number) => void): void {
  // Most changes leave a common beginning.
  let same = 0
  while (same < old.length && same < now.length && sameRow(old[same], now[same])) same++
  const left = new Map<string, Row[]>()
  for (const row of old.slice(same)) {
    const text = canonicalText(row)
    const equal = left.get(text)
    if (equal === undefined) left.set(text, [row])
    else equal.push(row)
  }
  const added = now.slice(same).filter((row) => left.get(canonicalText(row))?.pop() === undefined)
  for (const rows of left.values()) for (const row of rows) put(row, DELETE)
  for (const row of added) put(row, INSERT)
}
