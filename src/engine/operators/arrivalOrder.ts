// Rows that took several ways, put back into the order in which what caused them arrived.
//
//   one source --> way 1 --> waits --.
//          `-----> way 2 --> waits ---`--> as if each row had gone both ways before the next one came
//
// Invariants
//   1. Rows leave in the order of `Batch.arrivals`; of one arrival those that came here first are first.
//   2. Each sees the watermark that it saw. So how a source cuts its rows into batches changes nothing behind here.
import { type Batch, type Column, gatherAll, type SqlType } from '../../data/index.ts'
import type { Operator, OperatorContext } from '../operator.ts'
import { RowStore } from '../state/rowStore.ts'
import { batchRowCountMax, ordinals } from './emission.ts'

export class ArrivalOrder {
  private readonly types: readonly SqlType[]
  private rows: RowStore
  private kinds = new Uint8Array(0)
  private watermarks = new Float64Array(0)
  private arrivals = new Int32Array(0)
  private hasKinds = false
  private processingTimeMs = 0

  constructor(types: readonly SqlType[]) {
    this.types = types
    this.rows = new RowStore(types)
  }

  /** Keeps a copy. @param batch  with arrivals */
  add({ rowCount, columns, kinds, watermarksBefore, arrivals, processingTimeMs }: Batch): void {
    const first = this.rows.append(columns, ordinals(rowCount), rowCount)
    this.reserve(first + rowCount)
    this.hasKinds ||= kinds !== undefined
    for (let row = 0; row < rowCount; row++) {
      this.kinds[first + row] = kinds === undefined ? 0 : kinds[row]
      this.watermarks[first + row] = watermarksBefore === undefined ? -Infinity : watermarksBefore[row]
      this.arrivals[first + row] = (arrivals as Int32Array)[row]
    }
    this.processingTimeMs = processingTimeMs
  }

  private reserve(count: number): void {
    if (count <= this.kinds.length) return
    const { kinds, watermarks, arrivals } = this
    const capacity = Math.max(count, kinds.length * 2)
    this.kinds = new Uint8Array(capacity)
    this.kinds.set(kinds)
    this.watermarks = new Float64Array(capacity)
    this.watermarks.set(watermarks)
    this.arrivals = new Int32Array(capacity)
    this.arrivals.set(arrivals)
  }

  /**
   * Gives all that waits.
   *
   * @param moments  arrivals, ascending, at which event time went on: told by `reached` when all rows up to there have left. Rows of one
   *                 moment leave in order of `timeColumn`, if there is one
   */
  flush(
    context: Pick<OperatorContext, 'emit' | 'memory'>,
    moments: readonly number[] = [],
    reached: (moment: number) => void = () => {},
    timeColumn?: number,
  ): void {
    const { count } = this.rows
    const { kinds, watermarks, arrivals, processingTimeMs, hasKinds } = this
    const columns = this.rows.columns()
    const order = arrivalOrder(arrivals, count)
    this.rows = new RowStore(this.types)
    this.hasKinds = false
    let from = 0
    const give = (to: number) => {
      for (; from < to; from += batchRowCountMax) giveRows(order.subarray(from, Math.min(to, from + batchRowCountMax)))
      from = to
    }
    const giveRows = (picks: Int32Array) => {
      const mark = context.memory.mark()
      const watermarksBefore = Float64Array.from(picks, (row) => watermarks[row])
      context.emit({
        rowCount: picks.length,
        columns: gatherAll(columns, picks, picks.length, context.memory),
        kinds: hasKinds ? Uint8Array.from(picks, (row) => kinds[row]) : undefined,
        watermarksBefore,
        watermarkAfter: watermarksBefore[picks.length - 1],
        arrivals: Int32Array.from(picks, (row) => arrivals[row]),
        processingTimeMs,
      })
      context.memory.release(mark)
    }
    for (const [i, moment] of moments.entries()) {
      let first = from
      while (first < count && arrivals[order[first]] < moment) first++
      let end = first
      while (end < count && arrivals[order[end]] === moment) end++
      if (timeColumn !== undefined && end - first > 1) {
        const { data } = columns[timeColumn] as Column & { lane: 'f64' }
        order.subarray(first, end).sort((a, b) => data[a] - data[b] || a - b)
      }
      give(end)
      reached(i)
    }
    give(count)
  }
}

/** A batch of a source where watermarks are made, until it has come there on all its ways; given on in parts. */
export class HeldRows {
  private readonly batch: Batch
  /** Arrivals of the rows before which event time has to go on, ascending. */
  readonly cuts: readonly number[]

  private constructor(batch: Batch, cuts: readonly number[]) {
    this.batch = batch
    this.cuts = cuts
  }

  /**
   * A copy, where ways that take the whole batch one after the other would not give what its rows would one by one: where a row is late, or
   * begins a session where one has just ended, for a watermark that has grown within the batch. Or wherever it grows (`everyWatermark`).
   */
  static of(batch: Batch, timeColumn: number, types: readonly SqlType[], everyWatermark: boolean): HeldRows | undefined {
    const { rowCount, columns, kinds, watermarksBefore, arrivals } = batch
    const { data: times } = columns[timeColumn] as Column & { lane: 'f64' }
    if (watermarksBefore === undefined || arrivals === undefined) return undefined
    const cuts: number[] = []
    for (let row = 1; row < rowCount; row++)
      if (
        everyWatermark
          ? watermarksBefore[row] > watermarksBefore[row - 1]
          : watermarksBefore[row] > watermarksBefore[0] && times[row] <= watermarksBefore[row] + 1
      )
        cuts.push(arrivals[row])
    if (cuts.length === 0) return undefined
    const rows = new RowStore(types)
    rows.append(columns, ordinals(rowCount), rowCount)
    const copy = {
      ...batch,
      columns: rows.columns(),
      kinds: kinds?.slice(0, rowCount),
      watermarksBefore: watermarksBefore.slice(0, rowCount),
      arrivals: arrivals.slice(0, rowCount),
    }
    return new HeldRows(copy, cuts)
  }

  /** Rows that arrived in [from, to), and the watermark behind them; undefined where that is the whole batch's. */
  part(from: number, to: number): { rows: Batch; watermarkMs: number | undefined } {
    const { batch } = this
    const arrivals = batch.arrivals as Int32Array
    const first = firstFrom(arrivals, from)
    const end = firstFrom(arrivals, to)
    const picks = ordinals(end - first, first)
    const rows: Batch = {
      ...batch,
      rowCount: end - first,
      columns: gatherAll(batch.columns, picks, picks.length),
      kinds: batch.kinds?.subarray(first, end),
      watermarksBefore: batch.watermarksBefore?.subarray(first, end),
      arrivals: arrivals.subarray(first, end),
    }
    return { rows, watermarkMs: end < batch.rowCount ? batch.watermarksBefore?.[end] : undefined }
  }
}

/** The first of the rows, in their order, that arrived at `from` or later. */
function firstFrom(arrivals: Int32Array, from: number): number {
  let low = 0
  let high = arrivals.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (arrivals[middle] < from) low = middle + 1
    else high = middle
  }
  return low
}

/** Stable, by counting: arrivals are ordinals of one batch. */
function arrivalOrder(arrivals: Int32Array, count: number): Int32Array {
  let last = 0
  for (let row = 0; row < count; row++) last = Math.max(last, arrivals[row])
  const next = new Int32Array(last + 2)
  for (let row = 0; row < count; row++) next[arrivals[row] + 1]++
  for (let arrival = 0; arrival <= last; arrival++) next[arrival + 1] += next[arrival]
  const order = new Int32Array(count)
  for (let row = 0; row < count; row++) order[next[arrivals[row]]++] = row
  return order
}

/** UNION ALL of several ways from one source. The runtime says when a batch of the source has gone all of them. */
export class MeetingUnionOperator implements Operator {
  private readonly waiting: ArrivalOrder
  private readonly context: OperatorContext

  constructor(context: OperatorContext) {
    this.context = context
    this.waiting = new ArrivalOrder(context.outputFields.map(({ type }) => type))
  }
  process(batch: Batch): void {
    if (batch.arrivals === undefined) this.context.emit(batch)
    else this.waiting.add(batch)
  }
  /** Rows come before the watermark that they cause. */
  advance(): void {
    this.flush()
  }
  flush(): void {
    this.waiting.flush(this.context)
  }
}
