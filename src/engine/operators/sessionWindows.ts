// Sessions per key: which one takes a row, which merge, which close. What is kept in a session is the payload's.
//
// One session:  row --> open [first, last + gap] --> rows that touch it extend it, or merge it with others --> watermark >= end - 1 ms --> given out
//
// Invariants
//   1. Open sessions of a key do not touch: rows exactly one gap apart are one session.
//   2. A row joins only sessions that are open for the watermark it saw, and is late if it joins none and its own session would be closed.
//   3. Sessions are given out once, in order of their end, each with the watermark that was in force before the one that closed it.
//      So how rows are cut into batches changes nothing, although closed sessions leave only at the end of a batch.
//   4. Sessions are numbered by slots; slots of closed and merged sessions are given up together when they are the majority.
//   1 to 3 are held by sessionWindows.property.test.ts.
import type { Batch, Column, SqlType } from '../../data/index.ts'
import { heapPop, heapPush } from '../aggregates/index.ts'
import type { Division } from '../operator.ts'
import { KeyTable, type KeyTableSnapshot } from '../state/keyTable.ts'
import { type Held, heldOf, keyedTable, type StateSpec, type StateTable, timeField } from '../state/stateTable.ts'
import type { WindowShape } from './windows.ts'

/** What sessions hold, by slot. */
export interface SessionPayload {
  /** Row `rows[i]` belongs to slot `slots[i]`. */
  add(batch: Batch, rows: Int32Array, slots: Int32Array, count: number): void
  merge(from: number, into: number): void
  /** Slot `kept[i]` becomes slot i, others are forgotten. */
  compact(kept: Int32Array): void
  snapshot(slotCount: number): unknown
  /** A snapshot of these slots alone, in their order. */
  pick(slots: Int32Array): unknown
  /** @param firstSlot  the snapshot's slot 0 becomes this one */
  restore(state: unknown, firstSlot: number): void
}

/** Sessions that have closed, in order of their end. Times are local ms. */
export interface ClosedSessions {
  slots: Int32Array
  /** Key of each session in `table`. */
  owners: Int32Array
  starts: Float64Array
  ends: Float64Array
  /** The watermark in force before the one that closed it. */
  seenMs: Float64Array
  table: KeyTable
}

interface Session {
  slot: number
  owner: number
  start: number
  end: number
  isOpen: boolean
}

interface Snapshot {
  watermarkMs: number
  table: KeyTableSnapshot
  sessions: Omit<Session, 'isOpen'>[]
  slotCount: number
  payload: unknown
}

const closesFirst = (a: { end: number; session: Session }, b: { end: number; session: Session }): boolean =>
  a.end < b.end || (a.end === b.end && a.session.slot < b.session.slot)

export class SessionWindows {
  private readonly shape: WindowShape
  private readonly payload: SessionPayload
  private readonly keyTypes: SqlType[]
  private table: KeyTable
  /** Open sessions of each key. */
  private byOwner: Session[][] = []
  /** One entry for each session, with the end that it had when the entry was made. */
  private heap: { end: number; session: Session }[] = []
  private openCount = 0
  private slotCount = 0
  private watermarkMs = -Infinity

  constructor(shape: WindowShape, keyTypes: SqlType[], payload: SessionPayload) {
    this.shape = shape
    this.keyTypes = keyTypes
    this.payload = payload
    this.table = new KeyTable(keyTypes)
  }

  /**
   * Takes the rows of a batch, then gives out the sessions that the batch's watermarks have closed.
   *
   * @param times  local ms of each row, NaN for rows to leave out
   * @returns      rows that are late
   */
  process(batch: Batch, keys: readonly Column[], times: ArrayLike<number>, close: (sessions: ClosedSessions) => void): number[] {
    const { rowCount, watermarksBefore } = batch
    const owners = new Int32Array(rowCount)
    this.table.lookup(keys, rowCount, owners)
    while (this.byOwner.length < this.table.count) this.byOwner.push([])
    const rows = new Int32Array(rowCount)
    const slots = new Int32Array(rowCount)
    let count = 0
    const late: number[] = []
    const flush = () => {
      this.payload.add(batch, rows.subarray(0, count), slots.subarray(0, count), count)
      count = 0
    }
    let watermark = this.watermarkMs
    for (let row = 0; row < rowCount; row++) {
      const time = times[row]
      if (Number.isNaN(time)) continue
      if (watermarksBefore !== undefined && watermarksBefore[row] > watermark) watermark = watermarksBefore[row]
      const session = this.sessionFor(owners[row], time, watermark, flush)
      if (session === undefined) {
        late.push(row)
        continue
      }
      rows[count] = row
      slots[count++] = session.slot
    }
    flush()
    if (rowCount > 0 && watermarksBefore !== undefined) this.close(watermark, watermarksBefore.subarray(0, rowCount), close)
    this.watermarkMs = watermark
    return late
  }

  advance(watermarkMs: number, close: (sessions: ClosedSessions) => void): void {
    this.close(watermarkMs, undefined, close)
    this.watermarkMs = Math.max(this.watermarkMs, watermarkMs)
  }

  private isClosed(end: number, watermarkMs: number): boolean {
    return this.shape.firesAt(end) <= watermarkMs
  }

  /** The session of a row at `time`, extended or merged as needed; undefined if the row is late. `flush` runs before sessions merge. */
  private sessionFor(owner: number, time: number, watermarkMs: number, flush: () => void): Session | undefined {
    const ofOwner = this.byOwner[owner]
    let end = time + this.shape.sizeMs
    let start = time
    let found: Session | undefined
    for (let i = 0; i < ofOwner.length; i++) {
      const session = ofOwner[i]
      if (session.start > time + this.shape.sizeMs || session.end < time || this.isClosed(session.end, watermarkMs)) continue
      start = Math.min(start, session.start)
      end = Math.max(end, session.end)
      if (found === undefined) found = session
      else {
        flush()
        this.payload.merge(session.slot, found.slot)
        session.isOpen = false
        this.openCount--
        ofOwner.splice(i--, 1)
      }
    }
    if (found === undefined) {
      if (this.isClosed(end, watermarkMs)) return undefined
      found = { slot: this.slotCount++, owner, start, end, isOpen: true }
      this.openCount++
      ofOwner.push(found)
      heapPush(this.heap, { end, session: found }, closesFirst)
    } else {
      found.start = start
      found.end = end
    }
    return found
  }

  private close(watermarkMs: number, watermarks: Float64Array | undefined, take: (sessions: ClosedSessions) => void): void {
    const closed: Session[] = []
    while (this.heap.length > 0 && this.isClosed(this.heap[0].end, watermarkMs)) {
      const { end, session } = heapPop(this.heap, closesFirst) as { end: number; session: Session }
      if (!session.isOpen) continue
      // It has grown since its entry was made.
      if (session.end > end) heapPush(this.heap, { end: session.end, session }, closesFirst)
      else closed.push(session)
    }
    if (closed.length === 0) return
    for (const session of closed) {
      session.isOpen = false
      const ofOwner = this.byOwner[session.owner]
      ofOwner.splice(ofOwner.indexOf(session), 1)
    }
    this.openCount -= closed.length
    take({
      slots: Int32Array.from(closed, ({ slot }) => slot),
      owners: Int32Array.from(closed, ({ owner }) => owner),
      starts: Float64Array.from(closed, ({ start }) => start),
      ends: Float64Array.from(closed, ({ end }) => end),
      seenMs: this.watermarksBeforeClosing(closed, watermarks),
      table: this.table,
    })
    if (this.slotCount > 1024 && this.openCount * 2 < this.slotCount) this.compact()
  }

  private watermarksBeforeClosing(closed: readonly Session[], watermarks: Float64Array | undefined): Float64Array {
    const seen = new Float64Array(closed.length)
    let at = 0
    let before = this.watermarkMs
    closed.forEach(({ end }, i) => {
      if (watermarks !== undefined)
        for (; at < watermarks.length && !this.isClosed(end, watermarks[at]); at++) before = Math.max(before, watermarks[at])
      seen[i] = before
    })
    return seen
  }

  private compact(): void {
    const open = this.byOwner.flat().sort((a, b) => a.slot - b.slot)
    this.payload.compact(Int32Array.from(open, ({ slot }) => slot))
    const keep = new Uint8Array(this.table.count)
    for (const { owner } of open) keep[owner] = 1
    const { table, newIndex } = this.table.compacted(keep)
    this.table = table
    this.adopt(open.map((session, slot) => ({ ...session, owner: newIndex[session.owner], slot })))
  }

  private adopt(sessions: Omit<Session, 'isOpen'>[]): void {
    this.byOwner = Array.from({ length: this.table.count }, () => [])
    this.heap = []
    this.openCount = this.slotCount = sessions.length
    for (const saved of sessions) {
      const session = { ...saved, isOpen: true }
      this.byOwner[session.owner].push(session)
      heapPush(this.heap, { end: session.end, session }, closesFirst)
    }
  }

  /** @param valuesOf  what a session of a slot holds: `value` are the fields of that */
  stateTable(spec: StateSpec, valuesOf: (slot: number) => unknown[]): StateTable {
    const value = [...['session_start', 'session_end'].map(timeField), ...spec.value]
    const held = (owner: number, rowsMax: number): Held | undefined =>
      heldOf(this.byOwner[owner] ?? [], rowsMax, ({ slot, start, end }) => ({
        values: [start, end, ...valuesOf(slot)],
        untilMs: this.shape.firesAt(end),
      }))
    return keyedTable({ ...spec, value }, () => [{ keys: this.table, held }])
  }

  get openSessions(): { startMs: number; endMs: number }[] {
    return this.heap
      .filter(({ session }) => session.isOpen)
      .map(({ session }) => ({ startMs: session.start, endMs: session.end }))
      .sort((a, b) => a.endMs - b.endMs)
  }

  get byteSize(): number {
    // A session and its heap entry are reckoned at 160 bytes.
    return this.table.byteSize + this.openCount * 160
  }
  get sessionCount(): number {
    return this.openCount
  }

  snapshot(): Snapshot {
    this.compact()
    const sessions = this.byOwner
      .flat()
      .map(({ slot, owner, start, end }) => ({ slot, owner, start, end }))
      .sort((a, b) => a.slot - b.slot)
    return {
      watermarkMs: this.watermarkMs,
      table: this.table.snapshot(),
      sessions,
      slotCount: this.slotCount,
      payload: this.payload.snapshot(this.slotCount),
    }
  }

  divide(division: Division): (part: number) => Snapshot {
    this.compact()
    const { watermarkMs, table, byOwner, payload, keyTypes } = this
    const ownersOf = division.rows(
      keyTypes.map((_, k) => table.column(k)),
      keyTypes,
      table.count,
    )
    return (part) => {
      const owners = ownersOf(part)
      const own = Array.from(owners).flatMap((owner, at) => byOwner[owner].map(({ slot, start, end }) => ({ slot, owner: at, start, end })))
      own.sort((a, b) => a.slot - b.slot)
      return {
        watermarkMs,
        table: table.pick(owners),
        sessions: own.map((session, slot) => ({ ...session, slot })),
        slotCount: own.length,
        payload: payload.pick(Int32Array.from(own, ({ slot }) => slot)),
      }
    }
  }

  /** When the first session closes; it may have grown since. */
  nextDueMs(): number {
    return this.heap.length === 0 ? Infinity : this.shape.firesAt(this.heap[0].end)
  }

  restore(state: unknown, adds = false): void {
    const { watermarkMs, table, sessions, payload } = state as Snapshot
    if (!adds) {
      this.watermarkMs = watermarkMs
      this.table = KeyTable.restore(this.keyTypes, table)
      this.adopt(sessions)
      this.payload.restore(payload, 0)
      return
    }
    this.watermarkMs = Math.min(this.watermarkMs, watermarkMs)
    const known = this.byOwner.flat()
    const owners = this.table.add(table)
    this.payload.restore(payload, known.length)
    this.adopt([...known, ...sessions.map((session) => ({ ...session, owner: owners[session.owner], slot: session.slot + known.length }))])
  }
}
