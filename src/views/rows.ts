// Rows by primary key that remember in which order keys changed last: the heart of views and of their push.
//
//   oldest change <--> … <--> newest change        a doubly linked list through all entries, living and dead
//
// Invariants
//   1. `entries` has exactly the living entries. The list has the living ones and up to `tombstonesMax` dead ones.
//   2. From the newest end the entries' versions never increase. So the changes since version v are the entries from the newest end
//      down to v, each key's newest value once: however far behind a reader is, catching up costs at most the rows there are,
//      and no reader needs a queue of its own. That is what conflation means here.
//   3. An entry is one life of a key: an insert after a delete makes a new entry. Hence +I, +U and -D since v are exact:
//      born after v and alive: +I; born after v and dead: never seen, nothing; born before: +U or -D.
//   4. Changes since v are complete for v >= `floorVersion`; below it a tombstone has been forgotten and the reader needs a snapshot.
//   5. A row array is never changed after it was put in: readers may hold it.
import { randomBytes } from 'node:crypto'
import type { Key, Row } from './keys.ts'
import { type Order, orderText, SortedRows } from './order.ts'

class Entry {
  key: Key
  row: Row
  version: number
  readonly bornVersion: number
  alive = true
  older: Entry
  newer: Entry

  constructor(key: Key, row: Row, version: number) {
    this.key = key
    this.row = row
    this.version = version
    this.bornVersion = version
    this.older = this
    this.newer = this
  }
}

export type { Entry }

export interface Change {
  op: '+I' | '+U' | '-D'
  key: Key
  row: Row
}

interface Index {
  rows: SortedRows
  pins: number
  usedAt: number
}

export class KeyedRows {
  /** Names this instance in resume tokens: after a restart or a restore, old tokens do not fit. */
  readonly id = randomBytes(6).toString('base64url')
  readonly entries = new Map<Key, Entry>()
  version = 0
  floorVersion = 0
  private readonly end = new Entry(null, [], 0)
  private tombstones: Entry[] = []
  private tombstonesFrom = 0
  private readonly tombstonesMax: number
  private readonly indexes = new Map<string, Index>()
  private indexUses = 0
  /** Rows as the indexes know them, for the entries that changed since; absent while there is no index. */
  private unindexed: Map<Entry, Row | undefined> | undefined

  constructor(tombstonesMax: number) {
    this.tombstonesMax = tombstonesMax
  }

  get rowCount(): number {
    return this.entries.size
  }

  /** Changes made after this belong to the next version. */
  beginVersion(): void {
    this.version++
  }

  upsert(key: Key, row: Row): void {
    const entry = this.entries.get(key)
    if (entry === undefined) {
      const born = new Entry(key, row, this.version)
      this.entries.set(key, born)
      this.link(born)
      if (this.unindexed) this.unindexed.set(born, undefined)
      return
    }
    if (this.unindexed && !this.unindexed.has(entry)) this.unindexed.set(entry, entry.row)
    entry.row = row
    entry.version = this.version
    if (entry.newer !== this.end) {
      this.unlink(entry)
      this.link(entry)
    }
  }

  delete(key: Key): boolean {
    const entry = this.entries.get(key)
    if (entry === undefined) return false
    if (this.unindexed && !this.unindexed.has(entry)) this.unindexed.set(entry, entry.row)
    this.entries.delete(key)
    entry.alive = false
    entry.version = this.version
    this.unlink(entry)
    this.link(entry)
    this.tombstones.push(entry)
    if (this.tombstones.length - this.tombstonesFrom > this.tombstonesMax) this.forgetTombstone()
    return true
  }

  /** What a reader at `version` must apply, oldest first; undefined if that is no longer known and it needs a snapshot. */
  changesSince(version: number): Change[] | undefined {
    if (version < this.floorVersion) return undefined
    const changes: Change[] = []
    for (let entry = this.end.older; entry !== this.end && entry.version > version; entry = entry.older) {
      const isNew = entry.bornVersion > version
      if (entry.alive) changes.push({ op: isNew ? '+I' : '+U', key: entry.key, row: entry.row })
      else if (!isNew) changes.push({ op: '-D', key: entry.key, row: entry.row })
    }
    return changes.reverse()
  }

  rows(): Row[] {
    const rows = new Array<Row>(this.entries.size)
    let i = 0
    for (const entry of this.entries.values()) rows[i++] = entry.row
    return rows
  }

  hasIndex(order: Order): boolean {
    return this.indexes.has(orderText(order))
  }

  /**
   * All rows in this order, up to date; built when first asked for, and dropped when `indexesMax` others were used since.
   * Undefined if there are already that many that live queries have pinned.
   */
  ordered(order: Order, indexesMax: number): SortedRows | undefined {
    this.updateIndexes()
    const text = orderText(order)
    let index = this.indexes.get(text)
    if (index === undefined) {
      if (this.indexes.size >= indexesMax && !this.dropIndex()) return undefined
      this.unindexed ??= new Map()
      index = { rows: new SortedRows(order, this.rows()), pins: 0, usedAt: 0 }
      this.indexes.set(text, index)
    }
    index.usedAt = ++this.indexUses
    return index.rows
  }

  /** Keeps the index of an order (which exists) while a live query uses it; `by` is 1 or -1. */
  pin(order: Order, by: 1 | -1): void {
    const index = this.indexes.get(orderText(order))
    if (index) index.pins += by
  }

  private updateIndexes(): void {
    const { unindexed } = this
    if (!unindexed || unindexed.size === 0) return
    for (const { rows } of this.indexes.values()) {
      // All removals first: the old and the new life of a key can be equal in the order.
      for (const row of unindexed.values()) if (row) rows.remove(row)
      for (const entry of unindexed.keys()) if (entry.alive) rows.insert(entry.row)
    }
    unindexed.clear()
  }

  private dropIndex(): boolean {
    let oldest: string | undefined
    for (const [text, index] of this.indexes)
      if (index.pins === 0 && (oldest === undefined || index.usedAt < this.indexes.get(oldest)!.usedAt)) oldest = text
    if (oldest === undefined) return false
    this.indexes.delete(oldest)
    return true
  }

  private link(entry: Entry): void {
    const { end } = this
    const newest = end.older
    entry.older = newest
    entry.newer = end
    newest.newer = entry
    end.older = entry
  }

  private unlink(entry: Entry): void {
    entry.older.newer = entry.newer
    entry.newer.older = entry.older
  }

  private forgetTombstone(): void {
    const entry = this.tombstones[this.tombstonesFrom++]
    this.floorVersion = entry.version
    this.unlink(entry)
    if (this.tombstonesFrom > 1024 && this.tombstonesFrom * 2 > this.tombstones.length) {
      this.tombstones = this.tombstones.slice(this.tombstonesFrom)
      this.tombstonesFrom = 0
    }
  }
}
