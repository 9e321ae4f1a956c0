// One side of a regular join: its rows by join key, with how often each is there and how many partners it has.
import type { Batch, Column, SqlType } from '../../../data/index.ts'
import { Expiry } from '../../state/expiry.ts'
import { KeyTable, type KeyTableSnapshot } from '../../state/keyTable.ts'

/** Growable Int32Array. */
class Ints {
  data = new Int32Array(16)
  reserve(length: number): void {
    if (length <= this.data.length) return
    const larger = new Int32Array(Math.max(length, this.data.length * 2))
    larger.set(this.data)
    this.data = larger
  }
}

export interface SideSnapshot {
  rows: KeyTableSnapshot
  groups: Int32Array
  counts: Int32Array
  matches: Int32Array
  writtenMs?: Float64Array
}

/**
 * Rows of one side. Equal rows are one entry with a count, if rows may be taken away; else each row is an entry.
 * Entries of a key form a list in order of arrival; entries whose count is 0 leave their list when it is next walked.
 */
export class JoinSide {
  readonly types: SqlType[]
  private readonly retracts: boolean
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

  constructor(types: SqlType[], retracts: boolean, ttlMs = 0) {
    this.types = types
    this.expiry = ttlMs > 0 ? new Expiry(ttlMs) : undefined
    this.retracts = retracts
    this.rows = new KeyTable(types)
  }

  reserveKeys(count: number): void {
    this.heads.reserve(count)
    this.tails.reserve(count)
  }

  /** Entries of the rows at `rows`: existing ones where the side retracts, new ones (with count 0) else. */
  entriesOf(batch: Batch, rows: Int32Array): Int32Array {
    const entries = new Int32Array(rows.length)
    if (this.retracts) this.rows.lookup(batch.columns, rows.length, entries, rows)
    else {
      const first = this.rows.append(batch.columns, rows.length, rows)
      for (let i = 0; i < entries.length; i++) entries[i] = first + i
    }
    for (const ints of [this.counts, this.matches, this.groups, this.next, this.linked]) ints.reserve(this.rows.count)
    this.expiry?.reserve(this.rows.count)
    return entries
  }

  /** How often the row is there now. */
  private live(entry: number): number {
    if (this.counts.data[entry] > 0 && this.expiry?.isOver(entry, this.nowMs)) {
      this.counts.data[entry] = 0
      this.liveCount--
    }
    return this.counts.data[entry]
  }

  /** Adds a row, with the number of partners it found. */
  add(entry: number, group: number, matchCount: number): void {
    if (this.live(entry) === 0) this.liveCount++
    this.counts.data[entry]++
    this.expiry?.write(entry, this.nowMs)
    this.matches.data[entry] = matchCount
    this.groups.data[entry] = group
    if (this.linked.data[entry] === 1) return
    this.linked.data[entry] = 1
    this.next.data[entry] = 0
    const tail = this.tails.data[group]
    if (tail === 0) this.heads.data[group] = entry + 1
    else this.next.data[tail - 1] = entry + 1
    this.tails.data[group] = entry + 1
  }

  /** Takes one such row away; false if there is none. */
  remove(entry: number): boolean {
    if (this.live(entry) === 0) return false
    if (--this.counts.data[entry] === 0) this.liveCount--
    return true
  }

  countOf(entry: number): number {
    return this.live(entry)
  }
  matchesOf(entry: number): number {
    return this.matches.data[entry]
  }
  changeMatches(entry: number, by: number): number {
    return (this.matches.data[entry] += by)
  }

  /** Appends the live entries of a key to `into`. */
  collect(group: number, into: number[]): void {
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

  columns(): Column[] {
    return this.types.map((_, i) => this.rows.column(i))
  }

  get isMostlyDead(): boolean {
    if (this.rows.count > 1024 && this.expiry?.isDue(this.nowMs)) this.all()
    return this.rows.count > 1024 && this.liveCount * 2 < this.rows.count
  }
  get rowCount(): number {
    return this.liveCount
  }
  get byteSize(): number {
    return this.rows.byteSize + 5 * 4 * this.counts.data.length
  }

  snapshot(): SideSnapshot {
    const live = Int32Array.from(this.all())
    const rows = new KeyTable(this.types, live.length)
    rows.append(this.columns(), live.length, live)
    const pick = (ints: Ints) => Int32Array.from(live, (entry) => ints.data[entry])
    const snapshot = { rows: rows.snapshot(), groups: pick(this.groups), counts: pick(this.counts), matches: pick(this.matches) }
    const writtenMs = this.expiry?.snapshot(this.rows.count)
    return writtenMs ? { ...snapshot, writtenMs: Float64Array.from(live, (entry) => writtenMs[entry]) } : snapshot
  }

  /** @param newGroup  where the groups of the snapshot are now */
  static restore(
    { types, retracts, ttlMs }: { types: SqlType[]; retracts: boolean; ttlMs?: number },
    snapshot: SideSnapshot,
    groupCount: number,
    newGroup?: Int32Array,
  ): JoinSide {
    const side = new JoinSide(types, retracts, ttlMs)
    side.reserveKeys(groupCount)
    const { count, columns } = snapshot.rows
    const batch = { columns: columns.map(({ column }) => column) } as Batch
    const entries = side.entriesOf(
      batch,
      Int32Array.from({ length: count }, (_, i) => i),
    )
    for (let i = 0; i < count; i++) {
      const group = newGroup === undefined ? snapshot.groups[i] : newGroup[snapshot.groups[i]]
      side.add(entries[i], group, snapshot.matches[i])
      side.counts.data[entries[i]] = snapshot.counts[i]
      if (snapshot.writtenMs) side.expiry?.write(entries[i], snapshot.writtenMs[i])
    }
    return side
  }
}
