// Regular joins: both sides are kept, each row meets all partners that came before it.
//
// One row of a side:  partners on the other side are found by key --> condition in bulk --> joined rows out --> the row is kept
//
// Invariants
//   1. The changelog that has left is that of the join over the rows that have come; each retraction carries a whole row that was out.
//   2. A row of an outer, SEMI or ANTI side knows how many partners it has: its padded (or own) row goes and comes as that leaves and reaches 0.
//   3. A row with a NULL key has no partners and is not kept, unless the key is null-safe or the join null-aware (NOT IN).
//   1 and 2 are held by joins.property.test.ts.
import { type Batch, type Column, DELETE, gather, gatherAll, INSERT, isRetraction, type SqlType, valueAt } from '../../../data/index.ts'
import type { Plan } from '../../../sql/index.ts'
import {
  type Division,
  type JoinSideStatus,
  type Operator,
  type OperatorContext,
  type OperatorStatus,
  SAMPLES_MAX,
} from '../../operator.ts'
import { canonicalText } from '../../state/columns.ts'
import { KeyTable, type KeyTableSnapshot, pickRows } from '../../state/keyTable.ts'
import { fieldsAt, keptFor, keyedTable, type StateTable } from '../../state/stateTable.ts'
import { type Condition, compileCondition } from '../conditions.ts'
import { batchRowCountMax, gatherOrNull, ordinals } from '../emission.ts'
import { JoinSide, Pairs, pickSide, type SideOptions, type SideSnapshot } from './side.ts'

type JoinPlan = Plan & { node: 'join' }

interface Snapshot {
  keys: KeyTableSnapshot
  sides: [SideSnapshot, SideSnapshot]
  nullKeyGroup: number
}

/** More candidate pairs than this are judged in several steps. */
const pairCountMax = 16_384

/** Stands for a column that nobody looks at. */
const unread: Column = { lane: 'u8', data: new Uint8Array(0) }

/** Rows to emit: row of the batch or entry of the other side, -1 for NULLs. */
class Output {
  count = 0
  own = new Int32Array(1024)
  other = new Int32Array(1024)
  kinds = new Uint8Array(1024)

  put(own: number, other: number, kind: number, times: number): void {
    for (let i = 0; i < times; i++) {
      if (this.count === this.own.length) this.grow()
      this.own[this.count] = own
      this.other[this.count] = other
      this.kinds[this.count++] = kind
    }
  }

  private grow(): void {
    const { own, other, kinds } = this
    this.own = new Int32Array(own.length * 2)
    this.own.set(own)
    this.other = new Int32Array(other.length * 2)
    this.other.set(other)
    this.kinds = new Uint8Array(kinds.length * 2)
    this.kinds.set(kinds)
  }
}

export class RegularJoinOperator implements Operator {
  private readonly plan: JoinPlan
  private readonly context: OperatorContext
  private readonly condition: Condition | undefined
  private readonly types: [SqlType[], SqlType[]]
  private readonly keyColumns: [number[], number[]]
  private readonly retracts: [boolean, boolean]
  private keys: KeyTable
  private sides: [JoinSide, JoinSide]
  /** Null-aware joins keep rows with NULL keys in a list of their own: its key, a group that no key has. */
  private nullKeyGroup = -1
  /** An inner join of sides that only grow: the pairs of a batch are the rows that leave. */
  private readonly isPlain: boolean
  private readonly pairs = new Pairs()
  /** All columns of the pairs that the condition judges, which has got only those that it looks at. */
  private judged: () => Column[] = () => []

  constructor(plan: JoinPlan, context: OperatorContext, timeZone: string) {
    this.plan = plan
    this.context = context
    this.condition = compileCondition(plan.condition, [...plan.left.fields, ...plan.right.fields], timeZone, (pairs, row, error) =>
      context.rowFailed({ ...pairs, columns: this.judged() }, row, error, context.inputFields.flat()),
    )
    this.types = [plan.left.fields.map(({ type }) => type), plan.right.fields.map(({ type }) => type)]
    this.keyColumns = [plan.leftKeys, plan.rightKeys]
    this.retracts = [plan.left.changelog !== 'append', plan.right.changelog !== 'append']
    this.keys = new KeyTable(this.keyTypes)
    this.sides = [new JoinSide(this.sideOptions(0)), new JoinSide(this.sideOptions(1))]
    this.isPlain = plan.kind === 'INNER' && !plan.nullAware && this.sides.every(({ onlyGrows }) => onlyGrows)
  }

  private get keyTypes(): SqlType[] {
    const types = this.plan.leftKeys.map((key) => this.types[0][key])
    // The last key marks the rows with NULL keys.
    return this.plan.nullAware ? [...types, { kind: 'BOOLEAN', nullable: false }] : types
  }

  private sideOptions(input: number): SideOptions {
    return {
      types: this.types[input],
      retracts: this.retracts[input],
      ttlMs: this.plan.ttlMs?.[input],
      countsPartners: this.isOuter(input) || (this.isHalf && input === 0),
    }
  }

  /** Whether rows of this input are padded with NULLs when they have no partner. */
  private isOuter(input: number): boolean {
    const { kind } = this.plan
    return kind === 'FULL' || (input === 0 ? kind === 'LEFT' : kind === 'RIGHT')
  }
  private get isHalf(): boolean {
    return this.plan.kind === 'SEMI' || this.plan.kind === 'ANTI'
  }

  process(batch: Batch, input: number): void {
    const { rowCount } = batch
    if (rowCount === 0) return
    const groups = this.groupsOf(batch, input)
    for (const side of this.sides) {
      side.reserveKeys(this.keys.count)
      side.nowMs = batch.processingTimeMs
    }
    if (this.isPlain) {
      this.processPlain(batch, input, groups)
      return
    }
    const entryOf = this.entriesOf(batch, input, groups)
    const output = new Output()
    let row = 0
    while (row < rowCount) {
      const first = row
      const candidates: number[] = []
      const ends: number[] = []
      for (; row < rowCount && candidates.length < pairCountMax; row++) {
        this.collectCandidates(batch, row, input, groups[row], candidates)
        ends.push(candidates.length)
      }
      const passed = this.passing(batch, input, first, ends, candidates)
      const partners = passed === undefined ? candidates : onlyPassed(candidates, ends, passed)
      for (let i = 0, from = 0; i < ends.length; from = ends[i++])
        this.apply(batch, first + i, input, entryOf[first + i], groups[first + i], partners, from, ends[i], output)
    }
    this.emit(batch, input, output)
    if (this.sides[input].isMostlyDead) this.compact()
  }

  private processPlain(batch: Batch, input: number, groups: Int32Array): void {
    const { rowCount } = batch
    const { pairs } = this
    const other = this.sides[1 - input]
    for (let row = 0; row < rowCount; ) {
      pairs.count = 0
      row = other.pair(groups, row, rowCount, pairCountMax, pairs)
      const passed = this.judge(batch, input, pairs.rows, pairs.entries, pairs.count)
      if (passed !== undefined) pairs.keep(passed)
      for (let from = 0; from < pairs.count; from += batchRowCountMax) {
        const count = Math.min(batchRowCountMax, pairs.count - from)
        this.context.emit({
          rowCount: count,
          columns: this.pairColumns(
            batch,
            input,
            pairs.rows.subarray(from, from + count),
            pairs.entries.subarray(from, from + count),
            count,
          ),
          watermarkAfter: batch.watermarkAfter,
          processingTimeMs: batch.processingTimeMs,
        })
      }
    }
    const kept = this.context.memory.i32(rowCount)
    let count = 0
    for (let row = 0; row < rowCount; row++) if (groups[row] >= 0) kept[count++] = row
    this.sides[input].addAll(batch.columns, groups, kept, count)
  }

  /** Rows of the batch beside entries of the other side, the left one first; only the columns of `wanted`, if that is given. */
  private pairColumns(
    batch: Batch,
    input: number,
    rows: Int32Array,
    entries: Int32Array,
    count: number,
    wanted?: readonly number[],
  ): Column[] {
    const { memory } = this.context
    const other = this.sides[1 - input].columns()
    const [left, right] = input === 0 ? [batch.columns, other] : [other, batch.columns]
    const [leftRows, rightRows] = input === 0 ? [rows, entries] : [entries, rows]
    if (wanted === undefined) return [...gatherAll(left, leftRows, count, memory), ...gatherAll(right, rightRows, count, memory)]
    const columns = new Array<Column>(left.length + right.length).fill(unread)
    for (const at of wanted)
      columns[at] = at < left.length ? gather(left[at], leftRows, count, memory) : gather(right[at - left.length], rightRows, count, memory)
    return columns
  }

  /** Which pairs satisfy the condition; undefined if there is none, or no pair. */
  private judge(batch: Batch, input: number, rows: Int32Array, entries: Int32Array, count: number): Uint8Array | undefined {
    if (this.condition === undefined || count === 0) return undefined
    this.judged = () => this.pairColumns(batch, input, rows, entries, count)
    return this.condition(this.pairColumns(batch, input, rows, entries, count, this.condition.reads), count, batch.processingTimeMs)
  }

  /** Entry of each row that is kept, -1 for others. */
  private entriesOf(batch: Batch, input: number, groups: Int32Array): Int32Array {
    const kept = new Int32Array(batch.rowCount)
    let count = 0
    for (let row = 0; row < batch.rowCount; row++) if (groups[row] >= 0) kept[count++] = row
    const entries = this.sides[input].entriesOf(batch, kept.subarray(0, count))
    if (count === batch.rowCount) return entries
    const entryOf = new Int32Array(batch.rowCount).fill(-1)
    for (let i = 0; i < count; i++) entryOf[kept[i]] = entries[i]
    return entryOf
  }

  /** Key of each row, -1 where a NULL key has no partners. */
  private groupsOf(batch: Batch, input: number): Int32Array {
    const { rowCount } = batch
    const keyColumns = this.keyColumns[input].map((key) => batch.columns[key])
    const groups = this.context.memory.i32(rowCount)
    const marks: Column[] = this.plan.nullAware ? [{ lane: 'u8', data: new Uint8Array(rowCount) }] : []
    this.keys.lookup([...keyColumns, ...marks], rowCount, groups)
    keyColumns.forEach(({ nulls }, i) => {
      if (nulls === undefined || this.plan.nullSafe?.[i]) return
      for (let row = 0; row < rowCount; row++) if (nulls[row] === 1) groups[row] = this.plan.nullAware ? this.groupOfNullKeys() : -1
    })
    return groups
  }

  private groupOfNullKeys(): number {
    if (this.nullKeyGroup === -1) {
      const groups = new Int32Array(1)
      const columns = gatherOrNull(
        this.keyTypes.map((type) => new KeyTable([type]).column(0)),
        Int32Array.of(-1),
      )
      columns[columns.length - 1] = { lane: 'u8', data: Uint8Array.of(1) }
      this.keys.lookup(columns, 1, groups)
      this.nullKeyGroup = groups[0]
    }
    return this.nullKeyGroup
  }

  private collectCandidates(batch: Batch, row: number, input: number, group: number, into: number[]): void {
    if (group < 0) return
    const other = this.sides[1 - input]
    if (!this.plan.nullAware) {
      other.collect(group, into)
      return
    }
    // x NOT IN (…): a pair counts as equal unless two keys are surely different.
    const found: number[] = []
    if (group === this.nullKeyGroup) found.push(...other.all())
    else {
      other.collect(group, into)
      if (this.nullKeyGroup >= 0) other.collect(this.nullKeyGroup, found)
    }
    const columns = other.columns()
    for (const entry of found) {
      const differs = this.keyColumns[input].some((key, i) => {
        const own = valueAt(batch.columns[key], row)
        const theirs = valueAt(columns[this.keyColumns[1 - input][i]], entry)
        return own !== null && theirs !== null && canonicalText(own) !== canonicalText(theirs)
      })
      if (!differs) into.push(entry)
    }
  }

  private passing(batch: Batch, input: number, first: number, ends: number[], candidates: number[]): Uint8Array | undefined {
    if (this.condition === undefined || candidates.length === 0) return undefined
    const rows = new Int32Array(candidates.length)
    for (let i = 0, at = 0; i < ends.length; i++) for (; at < ends[i]; at++) rows[at] = first + i
    return this.judge(batch, input, rows, Int32Array.from(candidates), candidates.length)
  }

  /** One row with its partners, `partners[from … to)`. */
  private apply(
    batch: Batch,
    row: number,
    input: number,
    entry: number,
    group: number,
    partners: readonly number[],
    from: number,
    to: number,
    output: Output,
  ): void {
    const kind = batch.kinds === undefined ? INSERT : batch.kinds[row]
    const removes = isRetraction(kind)
    const own = this.sides[input]
    const other = this.sides[1 - input]
    let matchCount = 0
    for (let i = from; i < to; i++) matchCount += other.countOf(partners[i])
    if (entry >= 0) {
      if (!removes) own.add(entry, group, matchCount)
      else if (!own.remove(entry)) return
    }
    if (this.isHalf && input === 0) {
      if (matchCount > 0 === (this.plan.kind === 'SEMI')) output.put(row, -1, kind, 1)
      return
    }
    const otherKnowsMatches = this.isHalf || this.isOuter(1 - input)
    for (let i = from; i < to; i++) {
      const partner = partners[i]
      const times = other.countOf(partner)
      const matches = otherKnowsMatches ? other.changeMatches(partner, removes ? -1 : 1) : 0
      if (this.isHalf) {
        const turned = removes ? matches === 0 : matches === 1
        if (turned) output.put(-1, partner, removes === (this.plan.kind === 'SEMI') ? DELETE : INSERT, times)
        continue
      }
      const pads = this.isOuter(1 - input)
      if (pads && !removes && matches === 1) output.put(-1, partner, DELETE, times)
      output.put(row, partner, kind, times)
      if (pads && removes && matches === 0) output.put(-1, partner, INSERT, times)
    }
    if (matchCount === 0 && this.isOuter(input)) output.put(row, -1, kind, 1)
  }

  private emit(batch: Batch, input: number, output: Output): void {
    const { memory } = this.context
    for (let from = 0; from < output.count; from += batchRowCountMax) {
      const to = Math.min(output.count, from + batchRowCountMax)
      const rowCount = to - from
      const mark = memory.mark()
      const own = gatherOrNull(batch.columns, output.own.subarray(from, to), memory)
      const other = gatherOrNull(this.sides[1 - input].columns(), output.other.subarray(from, to), memory)
      const kinds = output.kinds.subarray(from, to)
      const columns = this.isHalf ? (input === 0 ? own : other) : input === 0 ? [...own, ...other] : [...other, ...own]
      this.context.emit({
        rowCount,
        columns,
        kinds: batch.kinds === undefined && this.plan.changelog === 'append' ? undefined : kinds,
        watermarkAfter: batch.watermarkAfter,
        processingTimeMs: batch.processingTimeMs,
      })
      memory.release(mark)
    }
  }

  advance(): void {}

  private compact(): void {
    this.restore(this.snapshot())
  }

  snapshot(): Snapshot {
    // Keys that no row has any more are left out.
    const sides = this.sides.map((side) => side.snapshot()) as [SideSnapshot, SideSnapshot]
    const keep = new Uint8Array(this.keys.count)
    for (const { groups } of sides) for (const group of groups) keep[group] = 1
    if (!keep.includes(0)) return { keys: this.keys.snapshot(), sides, nullKeyGroup: this.nullKeyGroup }
    const { table, newIndex } = this.keys.compacted(keep)
    for (const side of sides) side.groups = side.groups.map((group) => newIndex[group])
    return { keys: table.snapshot(), sides, nullKeyGroup: this.nullKeyGroup === -1 ? -1 : newIndex[this.nullKeyGroup] }
  }

  restore(state: unknown, adds = false): void {
    const { keys, sides, nullKeyGroup } = state as Snapshot
    if (adds) {
      const groups = this.keys.add(keys)
      sides.forEach((side, i) => {
        this.sides[i].restore(side, groups, this.keys.count)
      })
      if (nullKeyGroup !== -1) this.nullKeyGroup = groups[nullKeyGroup]
      return
    }
    this.keys = KeyTable.restore(this.keyTypes, keys)
    this.nullKeyGroup = nullKeyGroup
    this.sides = sides.map((side, i) => {
      const restored = new JoinSide(this.sideOptions(i))
      restored.restore(side, ordinals(keys.count), keys.count)
      return restored
    }) as [JoinSide, JoinSide]
  }

  /** Rows for whose key the other side has no row; a condition on top of the keys is not looked at. */
  joinSides(): JoinSideStatus[] {
    return this.sides.map((side, input) => {
      const columns = side.columns()
      const samples: unknown[][] = []
      let unmatched = 0
      for (const entry of side.all()) {
        if (this.sides[1 - input].hasRows(side.groupOf(entry))) continue
        unmatched += side.countOf(entry)
        if (samples.length < SAMPLES_MAX) samples.push(columns.map((column) => valueAt(column, entry)))
      }
      return { rows: side.rowCount, unmatched, samples }
    })
  }

  divide(division: Division): (part: number) => Snapshot {
    const { keys, sides } = this.snapshot()
    const keyColumns = keys.columns.map(({ column }) => column)
    const groupsOf = division.rows(keyColumns, this.keyTypes, keys.count)
    return (part) => {
      const groups = groupsOf(part)
      const places = new Int32Array(keys.count).fill(-1)
      groups.forEach((group, place) => {
        places[group] = place
      })
      return {
        keys: pickRows(this.keyTypes, keyColumns, groups),
        sides: sides.map((side, input) => pickSide(side, this.types[input], places)) as [SideSnapshot, SideSnapshot],
        nullKeyGroup: -1,
      }
    }
  }

  nextDueMs(): number {
    return Infinity
  }

  stateTables(): StateTable[] {
    const { left, right, ttlMs } = this.plan
    const keys = [fieldsAt(left.fields, this.plan.leftKeys), fieldsAt(right.fields, this.plan.rightKeys)]
    return [left, right].map(({ fields }, input) => {
      const spec = {
        name: input === 0 ? 'left rows' : 'right rows',
        key: keys[input],
        keyAlias: keys[1 - input],
        value: this.sides[input].heldFields(fields),
        kept: keptFor(ttlMs?.[input], `A row of the ${input === 0 ? 'left' : 'right'} side`),
      }
      return keyedTable(spec, () => [{ keys: this.keys, held: (key, rowsMax) => this.sides[input].held(key, rowsMax) }])
    })
  }

  describe(): OperatorStatus {
    const [left, right] = this.sides
    return { stateRows: left.rowCount + right.rowCount, stateBytes: left.byteSize + right.byteSize + this.keys.byteSize }
  }
}

/** The candidates that satisfy the condition; `ends` moves up with them. */
function onlyPassed(candidates: readonly number[], ends: number[], passed: Uint8Array): number[] {
  const partners: number[] = []
  for (let i = 0, at = 0; i < ends.length; i++) {
    for (; at < ends[i]; at++) if (passed[at] === 1) partners.push(candidates[at])
    ends[i] = partners.length
  }
  return partners
}
