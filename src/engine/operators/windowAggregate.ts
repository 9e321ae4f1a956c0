// GROUP BY a TUMBLE, HOP or CUMULATE window and keys, or a window that the input already has.
//
// One slice:  first row --> rows --> the last window that holds it fires --> dropped
// One window: a slice of it gets a row --> pending --> watermark >= end - 1 ms --> slices merged, emitted once
//
// Invariants
//   1. A window is emitted once; windows leave in order of their end. Output is append-only.
//   2. No state stays for a slice that no open window holds.
//   3. A row counts in exactly those of its windows that are open when it arrives, judged by the watermark it saw: how rows are cut into
//      batches changes nothing. A row that no window takes changes nothing and is reported by `context.late`.
//   4. Within one pass over a batch, all rows between two firings are added slice by slice in bulk.
//   1 to 3 are held by windowAggregate.property.test.ts, with a restore at any step.
//
// A window over windows (`attached`) has one slice per window end; the window's start is one more key.
// Unlike Flink 2.1, windows with an offset are never lost when a watermark passes between multiples of the size.
import { type Batch, type Column, t, valueAt } from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import { Accumulators, type AccumulatorsSnapshot, type AggregateLayout, layoutOf } from '../aggregates/index.ts'
import { engineErrors } from '../errors.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { KeyTable, type KeyTableSnapshot } from '../state/keyTable.ts'
import { aggregateFields, fieldsAt, type Held, keyedTable, oneRow, type StateTable, timeField } from '../state/stateTable.ts'
import { batchSeeing, constantTimes, eachGroupChunk, ordinals } from './emission.ts'
import { WindowShape } from './windows.ts'

interface Slice {
  /** Local ms; of an attached window, its end. */
  id: number
  table: KeyTable
  accumulators: Accumulators
  /** Rows of the batch in work that go to this slice. */
  rows: Int32Array
  rowCount: number
}

interface Snapshot {
  watermarkMs: number
  seenMs: number
  processingTimeMs: number
  pendingEnds: number[]
  slices: { id: number; table: KeyTableSnapshot; accumulators: AccumulatorsSnapshot }[]
}

type WindowAggregatePlan = Plan & { node: 'windowAggregate' }

const noRows = new Int32Array(0)

export class WindowAggregateOperator implements Operator {
  private readonly plan: WindowAggregatePlan
  private readonly context: OperatorContext
  private readonly shape: WindowShape
  private readonly layout: AggregateLayout
  private readonly keys: number[]
  private readonly keyTypes
  private readonly slices = new Map<number, Slice>()
  /** Ends of windows that will fire, ascending, local ms. */
  private pendingEnds: number[] = []
  /** When the first of them fires, epoch ms. */
  private nextFireMs = Infinity
  private watermarkMs = -Infinity
  /** The watermark that the last row saw: what is emitted between two `advance` carries it. */
  private seenMs = -Infinity
  private processingTimeMs = 0
  private expectedGroups = 16

  constructor(plan: WindowAggregatePlan, context: OperatorContext) {
    this.plan = plan
    this.context = context
    this.shape = new WindowShape(plan.window)
    this.layout = layoutOf(plan.aggregates, plan.input.changelog !== 'append')
    this.keys = plan.attached ? [...plan.keys, plan.attached.start] : plan.keys
    this.keyTypes = this.keys.map((key) => plan.input.fields[key]?.type ?? t.timestamp(3, false))
  }

  process(batch: Batch): void {
    this.processingTimeMs = batch.processingTimeMs
    if (batch.rowCount === 0) return
    if (this.isProcessingTime) {
      if (batch.processingTimeMs >= this.nextFireMs) this.fire(batch.processingTimeMs)
      const slice = this.sliceAt(this.shape.sliceStart(this.shape.clock.toLocal(batch.processingTimeMs)), -Infinity)
      slice.rows = ordinals(batch.rowCount)
      slice.rowCount = batch.rowCount
      this.flush(batch)
    } else this.processByTime(batch)
    const { watermarksBefore } = batch
    if (watermarksBefore !== undefined) this.seenMs = Math.max(this.seenMs, watermarksBefore[batch.rowCount - 1])
  }

  advance(watermarkMs: number): void {
    if (!this.isProcessingTime) this.fire(watermarkMs)
    this.watermarkMs = watermarkMs
    this.seenMs = Math.max(this.seenMs, watermarkMs)
  }

  tick(nowMs: number): void {
    this.processingTimeMs = nowMs
    if (this.isProcessingTime) this.fire(nowMs)
  }

  private get isProcessingTime(): boolean {
    return this.plan.window.timeAttribute === 'processing'
  }

  private processByTime(batch: Batch): void {
    const { attached } = this.plan
    const timeColumn = batch.columns[attached ? attached.end : this.plan.timeColumn] as Column & { lane: 'f64' }
    const times = timeColumn.data
    const { nulls } = timeColumn
    const { clock } = this.shape
    const isUtc = clock.isUtc || attached !== undefined
    const { watermarksBefore, rowCount } = batch
    let watermark = this.watermarkMs
    let late: number[] | undefined
    // The slice of the last row: rows come in runs. It takes times in [lowMs, highMs), until a window fires.
    let slice: Slice | undefined
    let lowMs = Infinity
    let highMs = -Infinity
    for (let row = 0; row < rowCount; row++) {
      if (nulls !== undefined && nulls[row] === 1) {
        const column = this.context.inputFields[0]?.[this.plan.timeColumn]?.name ?? 'time'
        this.context.rowFailed(batch, row, engineErrors('ROWTIME_NULL', { column, table: 'window' }))
        continue
      }
      if (watermarksBefore !== undefined && watermarksBefore[row] > watermark) {
        if (watermarksBefore[row] >= this.nextFireMs) {
          this.flush(batch)
          this.seenMs = Math.max(this.seenMs, watermark)
          this.fire(watermarksBefore[row])
          slice = undefined
        }
        watermark = watermarksBefore[row]
      }
      const timeMs = isUtc ? times[row] : clock.toLocal(times[row])
      if (slice === undefined || timeMs < lowMs || timeMs >= highMs) {
        const id = attached ? timeMs : this.shape.sliceStart(timeMs)
        if (this.shape.firesAt(this.lastEnd(id)) <= watermark) {
          late ??= []
          late.push(row)
          slice = undefined
          continue
        }
        slice = this.sliceAt(id, watermark)
        if (slice.rows.length < rowCount) slice.rows = new Int32Array(rowCount)
        lowMs = id
        highMs = attached ? id + 1 : id + this.shape.sliceMs
      }
      slice.rows[slice.rowCount++] = row
    }
    this.flush(batch)
    if (late !== undefined) this.context.late(batch, late)
  }

  private firstEnd(id: number): number {
    return this.plan.attached ? id : this.shape.firstWindowEnd(id)
  }
  private lastEnd(id: number): number {
    return this.plan.attached ? id : this.shape.lastWindowEnd(id)
  }

  private sliceAt(id: number, watermarkMs: number): Slice {
    let slice = this.slices.get(id)
    if (slice === undefined) {
      slice = this.newSlice(id)
      this.slices.set(id, slice)
      const last = this.lastEnd(id)
      for (let end = this.firstEnd(id); end <= last; end += this.shape.intervalMs)
        if (this.shape.firesAt(end) > watermarkMs) this.addPending(end)
    }
    return slice
  }

  private newSlice(id: number): Slice {
    const table = new KeyTable(this.keyTypes, this.expectedGroups)
    return { id, table, accumulators: new Accumulators(this.layout, this.expectedGroups), rows: noRows, rowCount: 0 }
  }

  private addPending(end: number): void {
    let at = this.pendingEnds.length
    while (at > 0 && this.pendingEnds[at - 1] > end) at--
    if (at > 0 && this.pendingEnds[at - 1] === end) return
    this.pendingEnds.splice(at, 0, end)
    if (at === 0) this.nextFireMs = this.shape.firesAt(end)
  }

  /** Adds the rows that were put aside for each slice. */
  private flush(batch: Batch): void {
    for (const slice of this.slices.values()) {
      const { rowCount, table, accumulators } = slice
      if (rowCount === 0) continue
      const rows = rowCount === batch.rowCount ? undefined : slice.rows
      const groups = new Int32Array(rowCount)
      table.lookup(
        this.keys.map((key) => batch.columns[key]),
        rowCount,
        groups,
        rows,
      )
      accumulators.reserve(table.count)
      accumulators.update({ columns: batch.columns, rowCount, groups, rows, kinds: batch.kinds })
      slice.rowCount = 0
    }
  }

  private fire(watermarkMs: number): void {
    while (this.pendingEnds.length > 0 && watermarkMs >= this.nextFireMs) {
      const end = this.pendingEnds.shift() as number
      this.nextFireMs = this.pendingEnds.length === 0 ? Infinity : this.shape.firesAt(this.pendingEnds[0])
      this.fireWindow(end)
    }
  }

  private fireWindow(end: number): void {
    if (this.plan.attached || this.shape.kind === 'TUMBLE') {
      const id = this.plan.attached ? end : end - this.shape.sizeMs
      this.emitWindow(this.slices.get(id) as Slice, end)
      this.drop(id)
    } else if (this.shape.kind === 'CUMULATE') this.fireCumulate(end)
    else this.fireHop(end)
  }

  /** Slices are merged into the first of the largest window, once each. */
  private fireCumulate(end: number): void {
    const start = this.shape.windowStart(end)
    let whole = this.slices.get(start)
    for (let id = start + this.shape.sliceMs; id < end; id += this.shape.sliceMs) {
      const slice = this.slices.get(id)
      if (slice === undefined) continue
      if (whole === undefined) {
        whole = { ...slice, id: start }
        this.slices.set(start, whole)
      } else this.mergeSlice(whole, slice)
      this.slices.delete(id)
    }
    if (whole === undefined) return
    this.emitWindow(whole, end)
    if (end === this.shape.lastWindowEnd(start)) this.drop(start)
  }

  private fireHop(end: number): void {
    const slices: Slice[] = []
    const start = end - this.shape.sizeMs
    for (let id = start; id < end; id += this.shape.sliceMs) {
      const slice = this.slices.get(id)
      if (slice !== undefined) slices.push(slice)
    }
    // LISTAGG and ARRAY_AGG show the order in which slices are merged: in Flink the table function takes the newest first.
    // FIRST_VALUE and LAST_VALUE, which Flink has only in the older windows, go by time.
    const goesByTime = this.plan.groupWindow || this.plan.aggregates.some(({ fn }) => fn === 'FIRST_VALUE' || fn === 'LAST_VALUE')
    if (!goesByTime) slices.reverse()
    if (slices.length > 0) {
      let whole = slices[0]
      if (slices.length > 1) {
        whole = this.newSlice(start)
        for (const slice of slices) this.mergeSlice(whole, slice)
      }
      this.emitWindow(whole, end)
    }
    for (let id = start; id < start + this.shape.intervalMs; id += this.shape.sliceMs) this.drop(id)
  }

  private mergeSlice(into: Slice, from: Slice): void {
    const { count } = from.table
    const groups = new Int32Array(count)
    into.table.lookup(
      this.keyTypes.map((_, key) => from.table.column(key)),
      count,
      groups,
    )
    into.accumulators.reserve(into.table.count)
    into.accumulators.merge(from.accumulators, ordinals(count), groups, count)
  }

  private drop(id: number): void {
    const slice = this.slices.get(id)
    if (slice === undefined) return
    this.expectedGroups = Math.max(16, slice.table.count)
    this.slices.delete(id)
  }

  private emitWindow({ table, accumulators }: Slice, end: number): void {
    const { attached, windowColumns, keys } = this.plan
    eachGroupChunk(table, accumulators, this.layout.retracts, (keyColumns, results, rowCount) => {
      const windows = windowColumns.map((column) => {
        switch (column) {
          case 'start':
            return attached ? keyColumns[keys.length] : constantTimes(this.shape.windowStart(end), rowCount)
          case 'end':
            return constantTimes(end, rowCount)
          case 'time':
            return constantTimes(this.shape.clock.toEpoch(end - 1), rowCount)
          default:
            return constantTimes(this.processingTimeMs, rowCount)
        }
      })
      const columns = [...keyColumns.slice(0, keys.length), ...results, ...windows]
      this.context.emit(batchSeeing(this.seenMs, this.processingTimeMs, rowCount, columns))
    })
  }

  snapshot(): Snapshot {
    const { watermarkMs, seenMs, processingTimeMs, pendingEnds } = this
    const slices = Array.from(this.slices.values(), ({ id, table, accumulators }) => ({
      id,
      table: table.snapshot(),
      accumulators: accumulators.snapshot(table.count),
    }))
    return { watermarkMs, seenMs, processingTimeMs, pendingEnds: pendingEnds.slice(), slices }
  }

  restore(state: unknown, adds = false): void {
    const { watermarkMs, seenMs, processingTimeMs, pendingEnds, slices } = state as Snapshot
    this.watermarkMs = adds ? Math.min(this.watermarkMs, watermarkMs) : watermarkMs
    this.seenMs = adds ? Math.min(this.seenMs, seenMs) : seenMs
    this.processingTimeMs = Math.max(this.processingTimeMs, processingTimeMs)
    for (const { id, table, accumulators } of slices) {
      const known = this.slices.get(id)
      if (known !== undefined) {
        const groups = known.table.add(table)
        known.accumulators.add(accumulators, groups, known.table.count)
        continue
      }
      this.slices.set(id, {
        id,
        table: KeyTable.restore(this.keyTypes, table),
        accumulators: Accumulators.restore(this.layout, accumulators),
        rows: noRows,
        rowCount: 0,
      })
    }
    for (const end of pendingEnds) this.addPending(end)
  }

  divide(division: Division): (part: number) => Snapshot {
    const { watermarkMs, seenMs, processingTimeMs, pendingEnds } = this
    const { keys, attached } = this.plan
    const keyTypes = this.keyTypes.slice(0, keys.length)
    const slices = Array.from(this.slices.values(), (slice) => {
      const { count } = slice.table
      // Without keys a window's end says where it is.
      const groupsOf =
        keys.length === 0 && attached
          ? division.rows([constantTimes(slice.id, count)], [this.context.inputFields[0][attached.end].type], count)
          : division.rows(
              keyTypes.map((_, k) => slice.table.column(k)),
              keyTypes,
              count,
            )
      return { ...slice, groupsOf }
    })
    return (part) => {
      const own = slices.map(({ groupsOf, ...slice }) => ({ ...slice, groups: groupsOf(part) })).filter(({ groups }) => groups.length > 0)
      return {
        watermarkMs,
        seenMs,
        processingTimeMs,
        pendingEnds: pendingEnds.filter((end) => own.some(({ id }) => this.firstEnd(id) <= end && end <= this.lastEnd(id))),
        slices: own.map(({ id, table, accumulators, groups }) => ({
          id,
          table: table.pick(groups),
          accumulators: accumulators.pick(groups),
        })),
      }
    }
  }

  nextDueMs(): number {
    return this.nextFireMs
  }

  /** Windows that overlap share slices, which are what is held: a row is added once, in however many windows it lies. */
  stateTables(): StateTable[] {
    const { plan, shape } = this
    const isWhole = plan.attached !== undefined || shape.kind === 'TUMBLE'
    const times = isWhole ? ['window_start', 'window_end'] : ['slice_start', 'last_window_end']
    const spec = {
      name: isWhole ? 'open windows' : 'slices of open windows',
      key: fieldsAt(plan.input.fields, plan.keys),
      value: [...times.map(timeField), ...aggregateFields(plan.aggregates, plan.input.fields, plan.fields.slice(plan.keys.length))],
      kept: {
        by: this.isProcessingTime ? ('clock' as const) : ('eventTime' as const),
        text: `${isWhole ? 'A window is given out and forgotten' : 'A slice is forgotten with the last window that it lies in,'} when ${this.isProcessingTime ? 'the clock' : 'the watermark'} reaches its end.`,
      },
    }
    const slices = Array.from(this.slices.values()).sort((a, b) => a.id - b.id)
    const parts = slices.map((slice) => ({
      keys: slice.table,
      held: (group: number) => (this.slices.get(slice.id) === slice ? this.heldBy(slice, group) : undefined),
    }))
    return [keyedTable(spec, () => parts)]
  }

  private heldBy({ id, table, accumulators }: Slice, group: number): Held | undefined {
    if (this.layout.retracts && accumulators.rowCountOf(group) <= 0) return undefined
    const end = this.lastEnd(id)
    const start = this.plan.attached ? valueAt(table.range(this.plan.keys.length, group, 1), 0) : id
    return oneRow([start, end, ...accumulators.resultsOf(group)], this.shape.firesAt(end))
  }

  describe(): OperatorStatus {
    const status: Required<Omit<OperatorStatus, 'spilledBytes' | 'waitingRows'>> = { stateRows: 0, stateBytes: 0, openWindows: [] }
    for (const { table, accumulators } of this.slices.values()) {
      status.stateRows += table.count
      status.stateBytes += table.byteSize + accumulators.byteSize
    }
    for (const end of this.pendingEnds.slice(0, 100)) {
      const start = this.shape.windowStart(end)
      let rows = 0
      for (const { id, table } of this.slices.values()) if (this.plan.attached ? id === end : id >= start && id < end) rows += table.count
      status.openWindows.push({ startMs: start, endMs: end, rows, firesAtMs: this.shape.firesAt(end) })
    }
    return status
  }
}
