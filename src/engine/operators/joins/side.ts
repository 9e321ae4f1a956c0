// One side of a regular join: its rows by join key, with how often each is there and how many partners it has.
import { type Batch, type Column, type Field, type SqlType, valueAt } from '../../../data/index.ts'
import { beat } from '../../progress.ts'
import { Expiry } from '../../state/expiry.ts'
import { grown } from '../../state/growing.ts'
import { KeyTable, type KeyTableSnapshot, pickRows } from '../../state/keyTable.ts'
import { COUNTED_ROWS_MAX, countField, type Held, type StateRow } from '../../state/stateTable.ts'

/** Growable Int32Array. */
class Ints {
  data = new Int32Array(16)
  reserve(length: number): void {
    if (length > this.data.length) this.data = grown(this.data, Math.max(length, this.data.length * 2))
  }
}

export interface SideSnapshot {
  rows: KeyTableSnapshot
  groups: Int32Array
  counts: Int32Array
  matches: Int32Array
  writtenMs?: Float64Array
}

export interface SideOptions {
  types: SqlType[]
  /** Rows may be taken away. */
  retracts: boolean
  ttlMs?: number
  /** Rows know how many partners they have. */
  countsPartners: boolean
}

/** A snapshot of the rows whose group has a place in a table of some groups; -1 for those of others. */
export function pickSide({ rows, groups, counts, matches, writtenMs }: SideSnapshot, types: SqlType[], places: Int32Array): SideSnapshot {
  const own = Int32Array.from(groups.keys()).filter((entry) => places[groups[entry]] >= 0)
  const columns = rows.columns.map(({ column }) => column)
  return {
    rows: pickRows(types, columns, own),
    groups: Int32Array.from(own, (entry) => places[groups[entry]]),
    counts: Int32Array.from(own, (entry) => counts[entry]),
    matches: Int32Array.from(own, (entry) => matches[entry]),
    ...(writtenMs && { writtenMs: Float64Array.from(own, (entry) => writtenMs[entry]) }),
  }
}

/**
 * Rows of one side. Equal rows are one entry with a count, if rows may be taken away; else each row is an entry.
 * Entries of a key form a list in order of arrival; entries whose count is 0 leave their list when it is next walked.
 */
export class JoinSide {
  readonly options: SideOptions
  /** No row ever leaves: all of them are there once, and in their list. */
  readonly onlyGrows: boolean
  rows: KeyTable
  /** By entry. */
  private readonly counts = new Ints()
  private readonly matches = new Ints()
  private readonly groups = new Ints()
  private readonly next = new Ints()
  private readonly linked = new Ints()
  /** By key: entry + 1, 0 for none. */
  private readonly heads = new Ints()
  private readonly tails = new Ints()
  private liveCount = 0
  private readonly expiry: Expiry | undefined
  /** Set before each batch: rows whose time is over are as if they were not there. */
  nowMs = Number.NEGATIVE_INFINITY

  constructor(options: SideOptions) {
    const { types, retracts, ttlMs = 0 } = options
    this.options = options
    this.expiry = ttlMs > 0 ? new Expiry(ttlMs) : undefined
    this.onlyGrows = !retracts && this.expiry === undefined
    this.rows = new KeyTable(types)
  }

  reserveKeys(count: number): void {
    this.heads.reserve(count)
    this.tails.reserve(count)
  }

  /** Entries of the rows at `rows`: existing ones where the side retracts, new ones (with count 0) else. */
  entriesOf(batch: Batch, rows: Int32Array): Int32Array {
    const entries = new Int32Array(rows.length)
    if (this.options.retracts) this.rows.lookup(batch.columns, rows.length, entries, rows)
    else {
      const first = this.rows.append(batch.columns, rows.length, rows)
      for (let i = 0; i < entries.length; i++) entries[i] = first + i
    }
    this.reserve()
    return entries
  }

  private reserve(): void {
    const { count } = this.rows
    this.groups.reserve(count)
    this.next.reserve(count)
    if (this.options.countsPartners) this.matches.reserve(count)
    if (this.onlyGrows) return
    this.counts.reserve(count)
    this.linked.reserve(count)
    this.expiry?.reserve(count)
  }

  /** Adds the rows `rows[0 … count)` with the keys `groups[row]` to a side that only grows and counts no partners. */
  addAll(columns: readonly Column[], groups: Int32Array, rows: Int32Array, count: number): void {
    const first = this.rows.append(columns, count, rows)
    this.reserve()
    const { data: ownGroups } = this.groups
    const { data: next } = this.next
    const { data: heads } = this.heads
    const { data: tails } = this.tails
    for (let i = 0; i < count; i++) {
      const entry = first + i
      const group = groups[rows[i]]
      ownGroups[entry] = group
      next[entry] = 0
      const tail = tails[group]
      if (tail === 0) heads[group] = entry + 1
      else next[tail - 1] = entry + 1
      tails[group] = entry + 1
    }
    this.liveCount += count
  }

  /**
   * Pairs of rows from … rowCount-1 with the entries of their keys `groups[row]`, -1 for none; of a side that only grows.
   *
   * @returns the first row that was not looked at, once there are `pairCountMax` pairs
   */
  pair(groups: Int32Array, from: number, rowCount: number, pairCountMax: number, pairs: Pairs): number {
    const { data: next } = this.next
    const { data: heads } = this.heads
    let row = from
    for (; row < rowCount && pairs.count < pairCountMax; row++) {
      const group = groups[row]
      if (group < 0) continue
      for (let at = heads[group]; at !== 0; at = next[at - 1]) pairs.put(row, at - 1)
    }
    return row
  }

  /** How often the row is there now. */
  private live(entry: number): number {
    if (this.onlyGrows) return 1
    if (this.counts.data[entry] > 0 && this.expiry?.isOver(entry, this.nowMs)) {
      this.counts.data[entry] = 0
      this.liveCount--
    }
    return this.counts.data[entry]
  }

  /** Adds a row, with the number of partners it found. */
  add(entry: number, group: number, matchCount: number): void {
    if (this.options.countsPartners) this.matches.data[entry] = matchCount
    this.groups.data[entry] = group
    if (this.onlyGrows) this.liveCount++
    else {
      if (this.live(entry) === 0) this.liveCount++
      this.counts.data[entry]++
      this.expiry?.write(entry, this.nowMs)
      if (this.linked.data[entry] === 1) return
      this.linked.data[entry] = 1
    }
    this.next.data[entry] = 0
    const tail = this.tails.data[group]
    if (tail === 0) this.heads.data[group] = entry + 1
    else this.next.data[tail - 1] = entry + 1
    this.tails.data[group] = entry + 1
  }

  /** Takes one such row away; false if there is none. */
  remove(entry: number): boolean {
    if (this.onlyGrows || this.live(entry) === 0) return false
    if (--this.counts.data[entry] === 0) this.liveCount--
    return true
  }

  countOf(entry: number): number {
    return this.live(entry)
  }
  changeMatches(entry: number, by: number): number {
    return (this.matches.data[entry] += by)
  }

  /** Appends the live entries of a key to `into`. */
  collect(group: number, into: number[]): void {
    beat()
    const { data: next } = this.next
    let previous = -1
    let at = this.heads.data[group]
    while (at !== 0) {
      const entry = at - 1
      at = next[entry]
      if (this.live(entry) > 0) {
        into.push(entry)
        previous = entry
        continue
      }
      this.linked.data[entry] = 0
      if (previous === -1) this.heads.data[group] = at
      else next[previous] = at
      if (at === 0) this.tails.data[group] = previous + 1
    }
  }

  groupOf(entry: number): number {
    return this.groups.data[entry]
  }
  /** Whether a key has a live entry. */
  hasRows(group: number): boolean {
    for (let at = this.heads.data[group]; at !== 0; at = this.next.data[at - 1]) if (this.live(at - 1) > 0) return true
    return false
  }

  /** All live entries. */
  all(): number[] {
    const entries: number[] = []
    for (let entry = 0; entry < this.rows.count; entry++) if (this.live(entry) > 0) entries.push(entry)
    return entries
  }

  /** The columns of `held`, for rows of these fields. */
  heldFields(fields: readonly Field[]): Field[] {
    const { retracts, countsPartners } = this.options
    return [...fields, ...(retracts ? [countField('copies')] : []), ...(countsPartners ? [countField('partners')] : [])]
  }
  /** The rows of a key to read: as `collect`, but its list stays as it is. */
  held(group: number, rowsMax: number): Held | undefined {
    const { retracts, countsPartners } = this.options
    const rows: StateRow[] = []
    let rowCount = 0
    let at = this.heads.data[group] ?? 0
    for (let walked = 0; at !== 0 && walked < COUNTED_ROWS_MAX; walked++) {
      const entry = at - 1
      at = this.next.data[entry]
      const copies = this.onlyGrows ? 1 : this.counts.data[entry]
      if (copies === 0) continue
      rowCount++
      if (rows.length >= rowsMax) continue
      const values = this.options.types.map((_, i) => valueAt(this.rows.range(i, entry, 1), 0))
      if (retracts) values.push(BigInt(copies))
      if (countsPartners) values.push(BigInt(this.matches.data[entry]))
      rows.push({ values, untilMs: this.expiry?.untilMs(entry) })
    }
    if (rowCount === 0) return undefined
    return at === 0 ? { rows, rowCount } : { rows }
  }

  columns(): Column[] {
    return this.options.types.map((_, i) => this.rows.column(i))
  }

  get isMostlyDead(): boolean {
    if (this.rows.count > 1024 && this.expiry?.isDue(this.nowMs)) this.all()
    return this.rows.count > 1024 && this.liveCount * 2 < this.rows.count
  }
  get rowCount(): number {
    return this.liveCount
  }
  get byteSize(): number {
    const lists = [this.counts, this.matches, this.groups, this.next, this.linked, this.heads, this.tails]
    return lists.reduce((sum, { data }) => sum + data.byteLength, this.rows.byteSize)
  }

  snapshot(): SideSnapshot {
    const { count } = this.rows
    if (this.onlyGrows) {
      const matches = this.options.countsPartners ? this.matches.data.subarray(0, count) : new Int32Array(count)
      return { rows: this.rows.snapshot(), groups: this.groups.data.subarray(0, count), counts: new Int32Array(count).fill(1), matches }
    }
    const live = Int32Array.from(this.all())
    const rows = new KeyTable(this.options.types, live.length)
    rows.append(this.columns(), live.length, live)
    const pick = (ints: Ints) => Int32Array.from(live, (entry) => ints.data[entry])
    const snapshot = { rows: rows.snapshot(), groups: pick(this.groups), counts: pick(this.counts), matches: pick(this.matches) }
    const writtenMs = this.expiry?.snapshot(count)
    return writtenMs ? { ...snapshot, writtenMs: Float64Array.from(live, (entry) => writtenMs[entry]) } : snapshot
  }

  /**
   * Adds rows of a snapshot, of keys that have none here.
   *
   * @param places  the key of each of the snapshot's, below `keyCount`
   */
  restore(snapshot: SideSnapshot, places: Int32Array, keyCount: number): void {
    this.reserveKeys(keyCount)
    const { count, columns } = snapshot.rows
    const batch = { columns: columns.map(({ column }) => column) } as Batch
    const entries = this.entriesOf(
      batch,
      Int32Array.from({ length: count }, (_, i) => i),
    )
    for (let i = 0; i < count; i++) {
      this.add(entries[i], places[snapshot.groups[i]], snapshot.matches[i])
      if (!this.onlyGrows) this.counts.data[entries[i]] = snapshot.counts[i]
      this.expiry?.write(entries[i], snapshot.writtenMs?.[i] ?? Number.NaN)
    }
  }
}

/** Pairs of a row of a batch and an entry of a side. */
export class Pairs {
  count = 0
  rows = new Int32Array(1024)
  entries = new Int32Array(1024)

  put(row: number, entry: number): void {
    if (this.count === this.rows.length) {
      this.rows = grown(this.rows, this.count * 2)
      this.entries = grown(this.entries, this.count * 2)
    }
    this.rows[this.count] = row
    this.entries[this.count++] = entry
  }

  /** Leaves those that are marked 1. */
  keep(marks: Uint8Array): void {
    const { rows, entries, count } = this
    let kept = 0
    for (let i = 0; i < count; i++) {
      if (marks[i] === 0) continue
      rows[kept] = rows[i]
      entries[kept++] = entries[i]
    }
    this.count = kept
  }
}
