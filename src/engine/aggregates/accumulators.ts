// The accumulators of all aggregates of one aggregation, by group index.
//
// Invariants
//   1. A group to which nothing was added, and one that was reset, is all zeros; group indices come from a KeyTable.
//   2. `merge` leaves its source as it was.
//   3. DISTINCT forwards a value when its count leaves 0, and takes it away when the count returns to 0.
import { type Arrays, type Column, ColumnBuilder, type laneOf, t, valueAt } from '../../data/index.ts'
import { halves } from '../state/columns.ts'
import { adopted, grown } from '../state/growing.ts'
import { KeyTable, type KeyTableSnapshot } from '../state/keyTable.ts'
import { type ArgumentInput, argumentInput, type Cells, mergeCells, updateCells } from './kernels.ts'
import type { AggregateLayout, DistinctSlot, ObjectSlot } from './layout.ts'
import { countColumn, type GroupRange, resultColumn } from './results.ts'

/** Rows to add: `groups[i]` is the group of row `rows[i]`, or of row i if there is no selection. */
export interface AggregateRows {
  columns: readonly Column[]
  rowCount: number
  groups: Int32Array
  rows?: Int32Array
  kinds?: Uint8Array
}

/** Shares memory with the accumulators: it holds until their next change. */
export interface AccumulatorsSnapshot {
  groupCount: number
  cells: Float64Array
  boxed: unknown[][]
  objects: unknown[][]
  distincts: { table: KeyTableSnapshot; marks: Float64Array | Int32Array; inners: AccumulatorsSnapshot[]; tallies?: Float64Array }[]
}

export class Accumulators {
  private readonly layout: AggregateLayout
  private readonly cells: Cells
  private capacity: number
  private readonly objects: GroupObjects[]
  private readonly distincts: DistinctValues[]

  constructor(layout: AggregateLayout, expected = 16) {
    this.layout = layout
    this.capacity = Math.max(expected, 16)
    const floats = new Float64Array(this.capacity * layout.stride)
    this.cells = { floats, words: new Int32Array(floats.buffer), boxed: Array.from({ length: layout.boxedCount }, () => []) }
    this.objects = layout.objects.map((slot) => new GroupObjects(slot))
    this.distincts = layout.distincts.map((slot) => new DistinctValues(slot, layout.retracts))
  }

  get byteSize(): number {
    const boxed = this.cells.boxed.reduce((sum, values) => sum + values.length * 32, this.cells.floats.byteLength)
    return this.objects.reduce((sum, objects) => sum + objects.byteSize, boxed) + this.distincts.reduce((sum, d) => sum + d.byteSize, 0)
  }

  /** Makes room for groups below `groupCount`. */
  reserve(groupCount: number): void {
    for (const distinct of this.distincts) distinct.reserveGroups(groupCount)
    if (groupCount <= this.capacity) return
    while (this.capacity < groupCount) this.capacity *= 2
    this.setCells(grown(this.cells.floats, this.capacity * this.layout.stride))
  }

  private setCells(floats: Float64Array): void {
    this.cells.floats = floats
    this.cells.words = halves(floats)
  }

  /** Adds rows, or takes them away where their kind says so. Groups must be reserved. */
  update(input: AggregateRows): void {
    const { columns, groups, rowCount, rows } = input
    const kinds = this.layout.retracts ? input.kinds : undefined
    if (rowCount === 0) return
    updateCells(this.layout, this.cells, this.argumentInputs(columns, rowCount, rows), { groups, rowCount, rows, kinds })
    for (const objects of this.objects) objects.update({ ...input, kinds })
    for (const distinct of this.distincts) distinct.update({ ...input, kinds })
  }

  private argumentInputs(columns: readonly Column[], rowCount: number, rows: Int32Array | undefined): (ArgumentInput | undefined)[] {
    const inputs: (ArgumentInput | undefined)[] = []
    const texts = (column: Column) => {
      const values: unknown[] = []
      for (let i = 0; i < rowCount; i++) {
        const row = rows === undefined ? i : rows[i]
        values[row] = valueAt(column, row)
      }
      return values
    }
    for (const { arg, argLane, filter, op } of this.layout.primitives) {
      // COUNT needs only the NULLs of its argument.
      if (arg >= 0) {
        const column = columns[arg]
        const known = inputs[arg]
        if (op === 'count' && column.lane === 'utf8') inputs[arg] ??= { data: [], words: emptyWords, nulls: column.nulls }
        else if (known === undefined || (known.data.length === 0 && column.lane === 'utf8'))
          inputs[arg] = argumentInput(inLane(column, argLane, rowCount), texts)
      }
      if (filter >= 0) inputs[filter] ??= argumentInput(inLane(columns[filter], 'u8', rowCount), texts)
    }
    return inputs
  }

  /** Adds groups `from[i]` of `source` to groups `into[i]` of this. */
  merge(source: Accumulators, from: Int32Array, into: Int32Array, count: number): void {
    mergeCells(this.layout, this.cells, source.cells, { from, into, count })
    this.objects.forEach((objects, i) => {
      objects.merge(source.objects[i], from, into, count)
    })
    this.distincts.forEach((distinct, i) => {
      distinct.merge(source.distincts[i], from, into, count)
    })
  }

  /** The cells of groups 0 … count-1, one column of 64-bit words for each; of a mergeable layout. */
  cellColumns(count: number, memory: Arrays): Column[] {
    const { stride } = this.layout
    const { words } = this.cells
    return Array.from({ length: stride }, (_, cell) => {
      const data = memory.i64(count)
      copyCells(words, cell, stride, halves(data), 0, 1, count)
      return { lane: 'i64', data }
    })
  }

  /** Merges groups that `cellColumns` gave into groups `into[i]` of this. */
  mergeColumns(columns: readonly Column[], into: Int32Array, count: number): void {
    const { stride } = this.layout
    const floats = new Float64Array(count * stride)
    const words = halves(floats)
    for (const [cell, column] of columns.entries())
      copyCells(halves((column as Column & { lane: 'i64' }).data), 0, 1, words, cell, stride, count)
    mergeCells(
      this.layout,
      this.cells,
      { floats, words, boxed: [] },
      { from: Int32Array.from({ length: count }, (_, i) => i), into, count },
    )
  }

  /** Forgets groups 0 … count-1; of a mergeable layout. */
  clear(count: number): void {
    this.cells.floats.fill(0, 0, count * this.layout.stride)
  }

  /** Number of rows in a group; only where the layout retracts. */
  rowCountOf(group: number): number {
    return this.cells.floats[group * this.layout.stride + this.layout.rowCountAt]
  }

  /** A snapshot of these groups alone, in their order, with memory of its own. */
  pick(groups: Int32Array): AccumulatorsSnapshot {
    const picked = new Accumulators(this.layout, groups.length)
    picked.reserve(groups.length)
    picked.merge(this, groups, Int32Array.from(groups.keys()), groups.length)
    return picked.snapshot(groups.length)
  }

  /** Forgets what a group has accumulated. */
  reset(group: number): void {
    const { stride } = this.layout
    this.cells.floats.fill(0, group * stride, (group + 1) * stride)
    for (const boxed of this.cells.boxed) boxed[group] = undefined
    for (const objects of this.objects) objects.states[group] = undefined
    for (const distinct of this.distincts) distinct.reset(group)
  }

  /** Result column of aggregate `index` for the given groups. */
  column(index: number, range: GroupRange): Column {
    const finisher = this.layout.finishers[index]
    switch (finisher.from) {
      case 'primitives':
        return resultColumn(this.layout, finisher, this.cells, range)
      case 'object':
        return this.objects[finisher.object].column(finisher.call.type, range)
      default:
        return this.distincts[finisher.distinct].column(finisher.member, range)
    }
  }

  /** What the aggregates of one group are now. */
  resultsOf(group: number): unknown[] {
    const range = { groups: Int32Array.of(group), from: 0, count: 1 }
    return this.layout.finishers.map((_, i) => valueAt(this.column(i, range), 0))
  }

  get resultCount(): number {
    return this.layout.finishers.length
  }

  snapshot(groupCount: number): AccumulatorsSnapshot {
    return {
      groupCount,
      cells: this.cells.floats.subarray(0, groupCount * this.layout.stride),
      boxed: this.cells.boxed.map((values) => values.slice()),
      objects: this.objects.map((objects) => objects.saved()),
      distincts: this.distincts.map((distinct) => distinct.snapshot(groupCount)),
    }
  }

  /** Adds the groups of a snapshot to groups `into[i]` of this, which are below `groupCount`. */
  add(snapshot: AccumulatorsSnapshot, into: Int32Array, groupCount: number): void {
    this.reserve(groupCount)
    this.merge(Accumulators.restore(this.layout, snapshot), Int32Array.from(into.keys()), into, into.length)
  }

  static restore(layout: AggregateLayout, snapshot: AccumulatorsSnapshot): Accumulators {
    const restored = new Accumulators(layout)
    restored.capacity = Math.max(restored.capacity, snapshot.groupCount)
    restored.setCells(adopted(snapshot.cells, restored.capacity * layout.stride))
    restored.cells.boxed = snapshot.boxed.map((values) => values.slice())
    // Objects change in place: the snapshot stays as it is.
    restored.objects.forEach((objects, i) => {
      objects.restore(snapshot.objects[i])
    })
    restored.distincts.forEach((distinct, i) => {
      distinct.restore(snapshot.distincts[i])
    })
    return restored
  }
}

/** Copies 64-bit cells, given by halves so that the bits of a NaN stay, between layouts of different strides. */
function copyCells(
  from: Int32Array,
  fromAt: number,
  fromStride: number,
  to: Int32Array,
  toAt: number,
  toStride: number,
  count: number,
): void {
  for (let i = 0; i < count; i++) {
    const source = 2 * (fromAt + i * fromStride)
    const target = 2 * (toAt + i * toStride)
    to[target] = from[source]
    to[target + 1] = from[source + 1]
  }
}

const emptyWords = new Int32Array(0)

/** Untyped NULL literals come in lane `any`: here they get the lane that the loop reads. */
function inLane(column: Column, lane: Column['lane'], rowCount: number): Column {
  if (column.lane !== 'any' || lane === 'any' || lane === 'utf8') return column
  const type = lane === 'u8' ? t.boolean() : lane === 'i32' ? t.int() : lane === 'i64' ? t.bigint() : t.double()
  const builder = new ColumnBuilder(type, rowCount)
  for (let row = 0; row < column.data.length; row++) builder.append(valueAt(column, row))
  return builder.finish()
}

/** Whether FILTER lets a row pass. */
const passes = (filter: Column | undefined, row: number): boolean => filter === undefined || valueAt(filter, row) === true

class GroupObjects {
  private readonly slot: ObjectSlot
  states: unknown[] = []

  constructor(slot: ObjectSlot) {
    this.slot = slot
  }

  get byteSize(): number {
    let values = 0
    for (const state of this.states) if (state !== undefined) values += 1 + this.slot.spec.size(state)
    return values * 64
  }

  saved(): unknown[] {
    const { spec } = this.slot
    return spec.saved === undefined ? this.states.slice() : this.states.map((state) => state && spec.saved?.(state))
  }

  restore(saved: readonly unknown[]): void {
    const { spec } = this.slot
    this.states = structuredClone(saved).map((state) => (state && spec.restored ? spec.restored(state) : state))
  }

  private stateOf(group: number): unknown {
    let state = this.states[group]
    if (state === undefined) state = this.states[group] = this.slot.spec.create()
    return state
  }

  update({ columns, rowCount, groups, rows, kinds }: AggregateRows): void {
    const { spec, args, filter } = this.slot
    const filterColumn = filter === -1 ? undefined : columns[filter]
    const argColumns = args.map((arg) => columns[arg])
    for (let i = 0; i < rowCount; i++) {
      const row = rows === undefined ? i : rows[i]
      if (!passes(filterColumn, row)) continue
      const values = argColumns.map((column) => valueAt(column, row))
      const state = this.stateOf(groups[i])
      if (kinds !== undefined && (kinds[row] & 1) === 1) spec.remove(state, values)
      else spec.add(state, values)
    }
  }

  merge(source: GroupObjects, from: Int32Array, into: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      const state = source.states[from[i]]
      if (state === undefined) continue
      const { spec } = this.slot
      if (this.states[into[i]] === undefined && spec.copy) this.states[into[i]] = spec.copy(state)
      else spec.merge(this.stateOf(into[i]), state)
    }
  }

  column(type: Parameters<typeof laneOf>[0], { groups, from, count }: GroupRange): Column {
    const builder = new ColumnBuilder(type, count)
    const { spec } = this.slot
    for (let i = 0; i < count; i++) builder.append(spec.result(this.states[groups === undefined ? from + i : groups[i]] ?? spec.create()))
    return builder.finish()
  }
}

/**
 * The values of each group, with which aggregates have seen them, and the aggregates over the values that are there.
 *
 * One row:  value is looked up --> aggregates whose FILTER it passes and that have not seen it --> forwarded to these
 */
class DistinctValues {
  private readonly slot: DistinctSlot
  private table: KeyTable
  /** Of each value: how often each aggregate has it, where rows may be taken away; else a bit for each aggregate that has seen it. */
  private counts: Float64Array = new Float64Array(0)
  private seen: Int32Array = new Int32Array(0)
  private readonly counted: boolean
  /** Values that no aggregate has any more. */
  private deadCount = 0
  /** The aggregates over the values; none where `tallies` says it all. */
  private inners: Accumulators[]
  /** Where all aggregates are COUNT and no row is taken away: the count of each aggregate for each group, those of a group side by side. */
  private tallies: Float64Array | undefined

  constructor(slot: DistinctSlot, retracts: boolean) {
    this.slot = slot
    this.counted = retracts
    this.table = new KeyTable(this.keyTypes)
    const onlyCounts = !retracts && slot.members.every(({ inner }) => inner.finishers[0].call.fn === 'COUNT')
    this.tallies = onlyCounts ? new Float64Array(16 * slot.members.length) : undefined
    this.inners = onlyCounts ? [] : slot.members.map(({ inner }) => new Accumulators(inner))
  }

  reserveGroups(groupCount: number): void {
    for (const inner of this.inners) inner.reserve(groupCount)
    const cells = groupCount * this.slot.members.length
    if (this.tallies !== undefined && cells > this.tallies.length) this.tallies = grown(this.tallies, cells * 2)
  }

  reset(group: number): void {
    const { length } = this.slot.members
    this.tallies?.fill(0, group * length, (group + 1) * length)
    for (const inner of this.inners) inner.reset(group)
  }

  column(member: number, range: GroupRange): Column {
    if (this.tallies === undefined) return this.inners[member].column(0, range)
    return countColumn(this.slot.members.length, member, this.tallies, range)
  }

  private get keyTypes() {
    return [t.int(false), ...this.slot.types]
  }

  get byteSize(): number {
    const own = this.table.byteSize + this.counts.byteLength + this.seen.byteLength + (this.tallies?.byteLength ?? 0)
    return this.inners.reduce((sum, inner) => sum + inner.byteSize, own)
  }

  update({ columns, rowCount, groups, rows, kinds }: AggregateRows): void {
    const { args, members } = this.slot
    const selected = new Int32Array(rowCount)
    const masks = new Int32Array(rowCount)
    const count = this.selectRows(columns, rowCount, rows, selected, masks)
    if (count === 0) return
    let lastRow = 0
    let lastGroup = 0
    for (let i = 0; i < rowCount; i++) {
      const row = rows === undefined ? i : rows[i]
      if (row > lastRow) lastRow = row
      if (groups[i] > lastGroup) lastGroup = groups[i]
    }
    const groupByRow = new Int32Array(lastRow + 1)
    for (let i = 0; i < rowCount; i++) groupByRow[rows === undefined ? i : rows[i]] = groups[i]
    const values = args.map((arg) => columns[arg])
    const entries = this.lookup([{ lane: 'i32', data: groupByRow }, ...values], count, selected)
    if (this.tallies !== undefined) {
      this.reserveGroups(lastGroup + 1)
      this.tally(entries, masks, selected, count, groupByRow, values[0]?.nulls)
      return
    }
    for (let i = 0; i < count; i++) {
      const removes = kinds !== undefined && (kinds[selected[i]] & 1) === 1
      masks[i] = this.counted ? this.countMask(entries[i], masks[i], removes ? -1 : 1) : this.seeMask(entries[i], masks[i])
    }
    for (let member = 0; member < members.length; member++) {
      const forwarded = new Int32Array(count)
      const forwardedGroups = new Int32Array(count)
      let taken = 0
      for (let i = 0; i < count; i++) {
        if (((masks[i] >>> member) & 1) === 0) continue
        forwarded[taken] = selected[i]
        forwardedGroups[taken++] = groupByRow[selected[i]]
      }
      this.inners[member].reserve(lastGroup + 1)
      this.inners[member].update({ columns: values, rowCount: taken, groups: forwardedGroups, rows: forwarded, kinds })
    }
    if (this.deadCount > 1024 && this.deadCount * 2 > this.table.count) this.compact()
  }

  /** Counts values for the aggregates in `masks[i]` that have not seen them; as COUNT does, not NULLs. */
  private tally(
    entries: Int32Array,
    masks: Int32Array,
    rows: Int32Array,
    count: number,
    groupByRow: Int32Array,
    nulls: Uint8Array | undefined,
  ): void {
    const { seen } = this
    const tallies = this.tallies as Float64Array
    const { length } = this.slot.members
    for (let i = 0; i < count; i++) {
      const entry = entries[i]
      const before = seen[entry]
      let fresh = masks[i] & ~before
      if (fresh === 0) continue
      seen[entry] = before | fresh
      const row = rows[i]
      if (nulls !== undefined && nulls[row] === 1) continue
      for (let at = groupByRow[row] * length; fresh !== 0; at++, fresh >>>= 1) if ((fresh & 1) === 1) tallies[at]++
    }
  }

  /** Rows that any aggregate wants, and by which aggregates. */
  private selectRows(
    columns: readonly Column[],
    rowCount: number,
    rows: Int32Array | undefined,
    selected: Int32Array,
    masks: Int32Array,
  ): number {
    const { members } = this.slot
    for (let member = 0; member < members.length; member++) {
      const { filter } = members[member]
      const bit = 1 << member
      if (filter === -1) {
        for (let i = 0; i < rowCount; i++) masks[i] |= bit
        continue
      }
      const column = inLane(columns[filter], 'u8', rowCount)
      const { nulls } = column
      const { data } = column as Column & { lane: 'u8' }
      for (let i = 0; i < rowCount; i++) {
        const row = rows === undefined ? i : rows[i]
        if (data[row] === 1 && (nulls === undefined || nulls[row] === 0)) masks[i] |= bit
      }
    }
    let count = 0
    for (let i = 0; i < rowCount; i++) {
      if (masks[i] === 0) continue
      selected[count] = rows === undefined ? i : rows[i]
      masks[count++] = masks[i]
    }
    return count
  }

  private lookup(columns: Column[], count: number, rows?: Int32Array): Int32Array {
    const entries = new Int32Array(count)
    this.table.lookup(columns, count, entries, rows)
    this.reserve(this.table.count)
    return entries
  }

  private reserve(entryCount: number): void {
    const cells = this.counted ? entryCount * this.slot.members.length : entryCount
    const marks = this.counted ? this.counts : this.seen
    if (cells <= marks.length) return
    if (this.counted) this.counts = grown(this.counts, cells * 2)
    else this.seen = grown(this.seen, cells * 2)
  }

  /** Those of the aggregates in `mask` that see the value for the first time. */
  private seeMask(entry: number, mask: number): number {
    const before = this.seen[entry]
    this.seen[entry] = before | mask
    return mask & ~before
  }

  /** Those of the aggregates in `mask` for which the value appeared, or vanished. */
  private countMask(entry: number, mask: number, by: number): number {
    const first = entry * this.slot.members.length
    let changed = 0
    for (let member = 0, rest = mask; rest !== 0; member++, rest >>>= 1) {
      if ((rest & 1) === 0) continue
      const before = this.counts[first + member]
      const after = before + by
      this.counts[first + member] = after
      if (by < 0 ? before > 0 && after <= 0 : before <= 0 && after > 0) changed |= 1 << member
    }
    if (by < 0 && !this.isAlive(entry)) this.deadCount++
    return changed
  }

  private isAlive(entry: number): boolean {
    if (!this.counted) return this.seen[entry] !== 0
    const { length } = this.slot.members
    for (let at = entry * length; at < (entry + 1) * length; at++) if (this.counts[at] !== 0) return true
    return false
  }

  private compact(): void {
    const keep = Uint8Array.from({ length: this.table.count }, (_, entry) => (this.isAlive(entry) ? 1 : 0))
    const { length } = this.slot.members
    const { table, newIndex } = this.table.compacted(keep)
    const { counts } = this
    this.table = table
    this.counts = new Float64Array(Math.max(table.count, 16) * length)
    newIndex.forEach((index, entry) => {
      if (index >= 0) this.counts.set(counts.subarray(entry * length, (entry + 1) * length), index * length)
    })
    this.deadCount = 0
  }

  merge(source: DistinctValues, from: Int32Array, into: Int32Array, count: number): void {
    const { members } = this.slot
    let last = -1
    for (let i = 0; i < count; i++) last = Math.max(last, from[i])
    const target = new Int32Array(last + 1).fill(-1)
    for (let i = 0; i < count; i++) target[from[i]] = into[i]
    const entryCount = source.table.count
    const groupColumn = source.table.column(0) as Column & { lane: 'i32' }
    const rows = new Int32Array(entryCount)
    const groupByRow = new Int32Array(entryCount)
    let taken = 0
    let lastGroup = 0
    for (let entry = 0; entry < entryCount; entry++) {
      const group = target[groupColumn.data[entry]] ?? -1
      if (group < 0 || !source.isAlive(entry)) continue
      rows[taken++] = entry
      groupByRow[entry] = group
      lastGroup = Math.max(lastGroup, group)
    }
    if (taken === 0) return
    const values = this.slot.types.map((_, i) => source.table.column(i + 1))
    const entries = this.lookup([{ lane: 'i32', data: groupByRow }, ...values], taken, rows)
    if (this.tallies !== undefined) {
      const masks = new Int32Array(taken)
      for (let i = 0; i < taken; i++) masks[i] = source.seen[rows[i]]
      this.reserveGroups(lastGroup + 1)
      this.tally(entries, masks, rows, taken, groupByRow, values[0]?.nulls)
      return
    }
    for (let member = 0; member < members.length; member++) {
      const forwarded = new Int32Array(taken)
      const groups = new Int32Array(taken)
      let forwardedCount = 0
      for (let i = 0; i < taken; i++) {
        if (!this.mergeMember(source, rows[i], entries[i], member)) continue
        forwarded[forwardedCount] = rows[i]
        groups[forwardedCount++] = groupByRow[rows[i]]
      }
      this.inners[member].reserve(lastGroup + 1)
      this.inners[member].update({ columns: values, rowCount: forwardedCount, groups, rows: forwarded })
    }
  }

  /** Whether the value appeared for an aggregate. */
  private mergeMember(source: DistinctValues, from: number, into: number, member: number): boolean {
    if (!this.counted) return ((source.seen[from] >>> member) & 1) === 1 && this.seeMask(into, 1 << member) !== 0
    const { length } = this.slot.members
    const before = this.counts[into * length + member]
    const after = before + source.counts[from * length + member]
    this.counts[into * length + member] = after
    return before <= 0 && after > 0
  }

  snapshot(groupCount: number): AccumulatorsSnapshot['distincts'][number] {
    const { count } = this.table
    this.reserveGroups(groupCount)
    return {
      table: this.table.snapshot(),
      marks: this.counted ? this.counts.subarray(0, count * this.slot.members.length) : this.seen.subarray(0, count),
      inners: this.inners.map((inner) => inner.snapshot(groupCount)),
      ...(this.tallies && { tallies: this.tallies.subarray(0, groupCount * this.slot.members.length) }),
    }
  }

  restore({ table, marks, inners, tallies }: AccumulatorsSnapshot['distincts'][number]): void {
    this.table = KeyTable.restore(this.keyTypes, table)
    if (this.counted) this.counts = adopted(marks as Float64Array)
    else this.seen = adopted(marks as Int32Array)
    if (tallies !== undefined) this.tallies = adopted(tallies)
    else if (this.tallies !== undefined) this.tallies = talliesOf(inners)
    else this.inners = this.slot.members.map(({ inner }, member) => Accumulators.restore(inner, inners[member]))
  }
}

/** From a checkpoint of a version that had accumulators for each COUNT: one cell for each group. */
function talliesOf(inners: readonly AccumulatorsSnapshot[]): Float64Array {
  const tallies = new Float64Array(inners[0].groupCount * inners.length)
  inners.forEach(({ cells }, member) => {
    cells.forEach((count, group) => {
      tallies[group * inners.length + member] = count
    })
  })
  return tallies
}
