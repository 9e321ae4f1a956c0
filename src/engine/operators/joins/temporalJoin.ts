// Temporal joins: left row with the version of the right row that was valid at the left row's time.
//
// Left rows wait until the watermark reaches their time, then meet the latest version that is not later than they are.
// On processing time, where they do not wait, the join is presentJoin.ts.
//
// Invariants
//   1. Each left row is given out (or found without partner) once. What was given out for a row that the left side takes back leaves
//      again (givenRows.ts); of a left side that only inserts nothing is kept, nor of such a part of a union (`leftStays`).
//   2. Of the versions of a key before the watermark only the latest is kept.
//   3. With a time to live a key to which nothing has happened for so long, by the clock, is as if it had never been: its versions, and its
//      left rows that wait (retention.ts).
//   1 and 2 are held by joins.property.test.ts, 3 by stateTtl.property.test.ts.
import { type Batch, batchOf, type Column, DELETE, INSERT, isRetraction, rowAt, t, UPDATE_BEFORE } from '../../../data/index.ts'
import { type Plan, takesBack } from '../../../sql/index.ts'
import { heapPop, heapPush } from '../../aggregates/index.ts'
import { engineErrors } from '../../errors.ts'
import type { Division, JoinSideStatus, Operator, OperatorContext, OperatorStatus } from '../../operator.ts'
import { field, fieldsAt, heldOf, keptFor, type StateTable, timeField, waitingTable } from '../../state/stateTable.ts'
import { type Condition, compileCondition } from '../conditions.ts'
import { ordinals } from '../emission.ts'
import { isNullAt, KeyedStates, type Row, RowOutput, sortedIndex, timeAt } from '../rows.ts'
import { GivenRows, type LeftRow } from './givenRows.ts'
import { judge, nullsFor, Unmatched } from './pairs.ts'
import { Retention, type RetentionSnapshot } from './retention.ts'

interface Version {
  time: number
  row: Row
  isDeleted: boolean
}

interface Snapshot {
  waiting: LeftRow[]
  arrivals: number
  watermarkMs: number
  versions: unknown
  given?: LeftRow[]
  retention?: RetentionSnapshot
  nowMs?: number
}

const byTime = (a: Version, b: Version): number => a.time - b.time
const first = (a: LeftRow, b: LeftRow): boolean => a.time < b.time || (a.time === b.time && a.arrival < b.arrival)

const withoutKey = ({ key: _, ...left }: LeftRow): LeftRow => left

/** The time of a left row whose time was computed (LAG, CASE) and is NULL: no version is as old. */
const BEFORE_ALL_MS = -8_640_000_000_000_000

export class TemporalJoinOperator implements Operator {
  private readonly plan: Plan & { node: 'temporalJoin' }
  private readonly context: OperatorContext
  private readonly condition: Condition | undefined
  private readonly pairFields
  private readonly output: RowOutput
  private readonly versions: KeyedStates<Version[]>
  private waiting: LeftRow[] = []
  private arrivals = 0
  private watermarkMs = -Infinity
  /** Keys whose versions have grown since they were last thinned out. */
  private grown = new Set<number>()
  private readonly unmatched = new Unmatched()
  private readonly retention: Retention | undefined
  /** Where the left side takes rows back. */
  private readonly given: GivenRows | undefined
  private nowMs = -Infinity
  /** Keys that have been forgotten, and have a number still. */
  private deadCount = 0

  constructor(plan: Plan & { node: 'temporalJoin' }, context: OperatorContext, timeZone: string) {
    this.plan = plan
    this.context = context
    this.pairFields = [...plan.left.fields, ...plan.right.fields]
    this.condition = compileCondition(plan.condition, this.pairFields, timeZone, (pairs, row, error) =>
      context.rowFailed(pairs, row, error, context.inputFields.flat()),
    )
    this.output = new RowOutput(plan.fields, context)
    this.versions = new KeyedStates(plan.right.fields, plan.rightKeys)
    this.retention = plan.ttlMs ? new Retention(plan.ttlMs) : undefined
    this.given = takesBack(plan.left) ? new GivenRows() : undefined
  }

  tick(nowMs: number): void {
    if (this.retention === undefined) return
    this.nowMs = nowMs
    this.retention.begin(nowMs)
    const over = new Set(this.retention.takeOver(nowMs))
    if (over.size === 0) return
    for (const key of over) {
      this.versions.states[key] = undefined
      this.grown.delete(key)
      this.given?.forget(key)
    }
    this.waiting = this.waiting.filter(({ key }) => !over.has(key as number)).sort((a, b) => (first(a, b) ? -1 : 1))
    this.deadCount += over.size
    if (this.deadCount > 1024 && this.deadCount * 2 > this.versions.table.count) this.forgetDead()
  }

  private forgetDead(): void {
    const newIndex = this.versions.forgetDead()
    this.deadCount = 0
    if (newIndex === undefined) return
    this.retention?.move(newIndex)
    this.given?.move(newIndex)
    for (const one of this.waiting) if (one.key !== undefined) one.key = newIndex[one.key]
    this.findGrown()
  }

  /** Keys of left rows, which have a state from now on. */
  private leftKeysOf(columns: readonly Column[], count: number): Int32Array {
    const keys = new Int32Array(count)
    this.versions.table.lookup(columns, count, keys)
    for (const key of keys) this.versions.states[key] ??= []
    return keys
  }

  process(batch: Batch, input: number): void {
    this.output.processingTimeMs = batch.processingTimeMs
    this.tick(batch.processingTimeMs)
    const { leftKeys } = this.plan
    const lefts =
      input === 0 && (this.retention || this.given)
        ? this.leftKeysOf(
            leftKeys.map((key) => batch.columns[key]),
            batch.rowCount,
          )
        : undefined
    const keys = input === 1 ? this.versions.keysOf(batch, this.plan.nullSafe !== undefined) : undefined
    const { fields } = input === 0 ? this.plan.left : this.plan.right
    const timeOrdinal = input === 0 ? this.plan.leftTime : this.plan.rightTime
    const { name, timeAttribute } = fields[timeOrdinal]
    const timeColumn = batch.columns[timeOrdinal]
    for (let row = 0; row < batch.rowCount; row++) {
      // What the row's watermark closes comes first: so batching changes nothing.
      const seen = batch.watermarksBefore?.[row] ?? -Infinity
      this.fire(seen)
      const isTimeless = isNullAt(timeColumn, row)
      const time = isTimeless ? BEFORE_ALL_MS : timeAt(timeColumn, row)
      if (isTimeless && timeAttribute !== undefined) {
        this.context.rowFailed(batch, row, engineErrors('ROWTIME_NULL', { column: name, table: 'temporal join' }), fields)
      } else if (keys !== undefined) this.addVersion(batch, row, keys[row], time)
      else if (this.given !== undefined && isRetraction(batch.kinds?.[row] ?? INSERT))
        this.takeBack(rowAt(batch, row), time, lefts?.[row] as number)
      else this.addLeft(rowAt(batch, row), time, lefts?.[row])
    }
    this.output.flush()
  }

  private addLeft(row: Row, time: number, key: number | undefined): void {
    const left: LeftRow = { time, arrival: this.arrivals++, row, ...(key !== undefined && { key }) }
    heapPush(this.waiting, left, first)
    if (key === undefined) return
    // A row before it in its batch may have let go of the key.
    this.versions.states[key] ??= []
    if (!this.stays(row)) this.given?.add(key, left)
    this.retention?.add(key, time, true, this.nowMs)
    this.letGo(key)
  }

  private stays(row: Row): boolean {
    return this.plan.leftStays !== undefined && row[this.plan.leftStays] === true
  }

  private takeBack(row: Row, time: number, key: number): void {
    this.retention?.add(key, time, false, this.nowMs)
    const left = this.given?.take(key, row)
    if (left?.given !== undefined) {
      this.output.seenMs = this.watermarkMs
      this.output.put(left.given, DELETE)
    } else if (left !== undefined) left.isGone = true
    this.letGo(key)
  }

  /** Of keys of left rows nothing is kept but these, unless a time to live counts from them. */
  private letGo(key: number): void {
    if (this.retention !== undefined || this.given?.has(key) || this.versions.states[key]?.length !== 0) return
    this.versions.states[key] = undefined
  }

  private addVersion(batch: Batch, row: number, key: number, time: number): void {
    const kind = batch.kinds?.[row] ?? 0
    // -U is followed by its +U.
    if (key < 0 || kind === UPDATE_BEFORE) return
    this.retention?.add(key, time, false, this.nowMs)
    const version: Version = { time, row: rowAt(batch, row), isDeleted: isRetraction(kind) }
    const list = (this.versions.states[key] ??= [])
    const at = sortedIndex(list, version, byTime)
    // Of two versions of one time the later arrival counts.
    if (at > 0 && list[at - 1].time === time) list[at - 1] = version
    else list.splice(at, 0, version)
    if (list.length > 1) this.grown.add(key)
  }

  advance(watermarkMs: number): void {
    this.fire(watermarkMs)
    this.output.flush()
  }

  private fire(watermarkMs: number): void {
    if (watermarkMs <= this.watermarkMs) return
    this.output.seenMs = this.watermarkMs
    const due: LeftRow[] = []
    while (this.waiting.length > 0 && this.waiting[0].time <= watermarkMs) {
      const left = heapPop(this.waiting, first) as LeftRow
      if (!left.isGone) due.push(left)
    }
    this.join(due)
    for (const key of this.grown) {
      const list = this.versions.states[key] as Version[]
      const keepFrom = sortedIndex(list, { time: watermarkMs, row: [], isDeleted: false }, byTime) - 1
      if (keepFrom > 0) list.splice(0, keepFrom)
      if (list.length <= 1) this.grown.delete(key)
    }
    this.retention?.advance(watermarkMs, this.nowMs, (key) => (this.versions.states[key]?.length ?? 0) > 0)
    this.watermarkMs = watermarkMs
  }

  private join(lefts: LeftRow[]): void {
    if (lefts.length === 0) return
    const { kind, left, right, leftKeys } = this.plan
    const found = lefts.map(({ row, time }) => this.versionFor(row, time, leftKeys, left.fields))
    const joined = lefts.flatMap(({ row }, i) => (found[i] === undefined ? [] : [[...row, ...(found[i] as Row)]]))
    const passes = judge(this.condition, this.pairFields, joined, this.output.processingTimeMs)
    let at = 0
    lefts.forEach((one, i) => {
      const { row } = one
      const pair = found[i] === undefined ? -1 : at++
      if (pair >= 0 && passes(pair)) {
        this.give(one, joined[pair])
        return
      }
      this.unmatched.add(row)
      if (kind === 'LEFT') this.give(one, [...row, ...nullsFor(right.fields)])
      else if (this.given !== undefined && !this.stays(row)) {
        this.given.drop(one.key as number, one)
        this.letGo(one.key as number)
      }
    })
  }

  private give(left: LeftRow, row: Row): void {
    this.output.put(row)
    if (this.given !== undefined && !this.stays(left.row)) left.given = row
  }

  private versionFor(row: Row, time: number, keys: readonly number[], fields: Plan['fields']): Row | undefined {
    if (keys.some((key, i) => row[key] === null && !this.plan.nullSafe?.[i])) return undefined
    const index = this.versions.indexOf(
      keys.map((key) => row[key]),
      keys.map((key) => fields[key]),
    )
    const list = index < 0 ? undefined : this.versions.states[index]
    if (list === undefined) return undefined
    const at = sortedIndex(list, { time, row: [], isDeleted: false }, byTime) - 1
    return at < 0 || list[at].isDeleted ? undefined : list[at].row
  }

  snapshot(): Snapshot {
    this.forgetDead()
    const { arrivals, watermarkMs } = this
    const versions = this.versions.snapshot()
    this.findGrown()
    const retention = this.retention?.pick(ordinals(this.versions.table.count))
    const given = this.given?.given().map(withoutKey)
    return {
      waiting: this.stillWaiting().map(withoutKey),
      arrivals,
      watermarkMs,
      versions,
      ...(given && { given }),
      ...(retention && { retention, nowMs: this.nowMs }),
    }
  }

  private stillWaiting(): LeftRow[] {
    return this.given === undefined ? this.waiting : this.waiting.filter(({ isGone }) => !isGone).sort((a, b) => (first(a, b) ? -1 : 1))
  }

  private findGrown(): void {
    this.grown.clear()
    this.versions.states.forEach((list, key) => {
      if (list !== undefined && list.length > 1) this.grown.add(key)
    })
  }

  restore(state: unknown, adds = false): void {
    const saved = state as Snapshot
    const { arrivals, watermarkMs, retention, nowMs = -Infinity } = saved
    const waiting = saved.waiting.map(withoutKey)
    if (adds) {
      this.waiting = [...this.waiting, ...waiting].sort((a, b) => (first(a, b) ? -1 : 1))
      this.arrivals = Math.max(this.arrivals, arrivals)
      this.watermarkMs = Math.min(this.watermarkMs, watermarkMs)
    } else Object.assign(this, { waiting: waiting.slice(), arrivals, watermarkMs })
    const keys = this.versions.restore(saved.versions, undefined, adds)
    this.findGrown()
    if (this.retention === undefined && this.given === undefined) return
    this.nowMs = Math.max(this.nowMs, nowMs)
    const lefts = [...(saved.given ?? []).map(withoutKey), ...waiting]
    const of = this.leftKeysOf(this.leftKeyColumns(lefts), lefts.length)
    this.retention?.restore(retention, keys)
    // Keys that have only left rows, in a state without times.
    if (retention === undefined) {
      const known = new Set(keys)
      this.retention?.restore(
        undefined,
        Int32Array.from(new Set(of)).filter((key) => !known.has(key)),
      )
    }
    lefts.forEach((left, i) => {
      if (left.given === undefined) this.retention?.wait(of[i], left.time)
      left.key = of[i]
      if (!this.stays(left.row)) this.given?.add(of[i], left)
      else this.letGo(of[i])
    })
  }

  private leftKeyColumns(lefts: readonly LeftRow[]): Column[] {
    const { leftKeys, left } = this.plan
    return batchOf(
      leftKeys.map((key) => left.fields[key]),
      lefts.map(({ row }) => leftKeys.map((key) => row[key])),
    ).columns
  }

  /** Versions have no partner to miss: only left rows do. */
  joinSides(): JoinSideStatus[] {
    return [
      { rows: this.waiting.length, ...this.unmatched.status() },
      { rows: this.versionCount, unmatched: 0, samples: [] },
    ]
  }

  private get versionCount(): number {
    return this.versions.states.reduce((sum, list) => sum + (list?.length ?? 0), 0)
  }

  divide(division: Division): (part: number) => Snapshot {
    this.forgetDead()
    const { arrivals, watermarkMs } = this
    const waiting = this.stillWaiting()
    const given = this.given?.given() ?? []
    const { leftKeys, left } = this.plan
    const types = leftKeys.map((key) => left.fields[key].type)
    const waitingAt = division.rows(this.leftKeyColumns(waiting), types, waiting.length)
    const givenAt = division.rows(this.leftKeyColumns(given), types, given.length)
    const ofPart = this.versions.divide(division)
    return (part) => {
      const own = Array.from(waitingAt(part), (at) => withoutKey(waiting[at])).sort((a, b) => (first(a, b) ? -1 : 1))
      const ownGiven = Array.from(givenAt(part), (at) => withoutKey(given[at])).sort((a, b) => a.arrival - b.arrival)
      const { keys, saved } = ofPart(part)
      const retention = this.retention?.pick(keys)
      return {
        waiting: own,
        arrivals,
        watermarkMs,
        versions: saved,
        ...(this.given && { given: ownGiven }),
        ...(retention && { retention, nowMs: this.nowMs }),
      }
    }
  }

  nextDueMs(): number {
    return this.waiting[0]?.time ?? Infinity
  }

  /** The first table's rows are the right side's: its key divides as the left side's does. */
  stateTables(): StateTable[] {
    const { left, right, leftKeys, rightKeys, ttlMs } = this.plan
    const { text, ...kept } = keptFor(ttlMs, 'The newest version')
    const versions = {
      name: 'versions',
      value: [timeField('valid_from'), field('is_deleted', t.boolean(false)), ...right.fields],
      kept: { ...kept, text: `A version is forgotten when the watermark has passed the next one of its key. ${text}` },
    }
    const keys = [fieldsAt(left.fields, leftKeys), fieldsAt(right.fields, rightKeys)]
    const given = {
      name: 'left rows given out',
      value: this.pairFields,
      kept: { ...kept, text: `The left side may take them back. ${keptFor(ttlMs, 'A row').text}` },
    }
    return [
      {
        ...this.versions.stateTable(versions, (list, key, rowsMax) =>
          heldOf(list, rowsMax, ({ time, row, isDeleted }) => ({
            values: [time, isDeleted, ...row],
            untilMs: this.retention?.untilMs(key),
          })),
        ),
        keyAlias: keys[0],
      },
      { ...waitingTable('left rows that wait', left.fields, leftKeys, () => this.waiting), keyAlias: keys[1] },
      ...(this.given
        ? [
            {
              ...this.versions.stateTable(given, (_, key, rowsMax) =>
                heldOf(this.given?.ofKey(key) ?? [], rowsMax, (one) => ({
                  values: one.given as Row,
                  untilMs: this.retention?.untilMs(key),
                })),
              ),
              keyAlias: keys[0],
            },
          ]
        : []),
    ]
  }

  describe(): OperatorStatus {
    // Those that wait to be given out are among those that may be taken back, but for those that stay.
    const waiting = this.given === undefined ? this.waiting : this.waiting.filter(({ row }) => this.stays(row))
    const stateRows = this.versionCount + waiting.length + (this.given?.count ?? 0)
    return { stateRows, stateBytes: stateRows * 64 * this.pairFields.length }
  }
}
