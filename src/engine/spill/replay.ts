// What waited, worked through as it came: where the order of rows, or the event time that each sees, counts behind a divided operator.
//
//   moments:    0 row | 1 row | 2 watermark 5 | 3 row | 4 watermark 9        all rows that waited, and between them event time as it went on
//   key group:  its rows, and those watermarks at which it has something to do --> changes, each with its moment
//   all groups: changes by moment --> the next operators, told of each watermark in its place
//
// Invariants
//   1. The next operators get what the operator in memory would give for these rows one by one: in this order, with these watermarks.
//   2. Of one moment changes of one key group stay in their order. Those of a watermark leave by their own time, where they have one: of
//      equal times the order among keys is nobody's, as that of Flink's timers.
//   Held by spill.property.test.ts and by all golden files with state on the disk.
import { type Batch, gatherAll, type SqlType } from '../../data/index.ts'
import type { Operator, OperatorContext } from '../operator.ts'
import { ArrivalOrder } from '../operators/arrivalOrder.ts'
import { ordinals } from '../operators/emission.ts'

export interface ReplayOptions {
  types: readonly SqlType[]
  /** Rows that waited, and the watermark that each saw. */
  rowCount: number
  seenBy(row: number): number
  /** What the operator had come to before, and what it comes to. */
  fromMs: number
  toMs: number
  /** Of the operator: what it gives out may be so much older. */
  delayMs: number
  /** A column of event time in what it gives out at a watermark. */
  timeColumn: number | undefined
  /** As one of several subtasks: what it gives out has the moments of its round. */
  round?: RoundMoments
}

/** Of all that waited. */
export interface RoundMoments {
  ofRows: readonly number[]
  /** How event time went on, each step before the row of this ordinal; instead of what the rows have seen. */
  steps: readonly { row: number; watermarkMs: number; moment: number }[]
  /** Told of the moment before anything is given out. */
  begin(moment: number): void
}

export class Replay {
  /** Event time that has been reached when all is done. */
  readonly toMs: number
  private readonly options: ReplayOptions
  /** Event time went on before the row of this ordinal. */
  private readonly advances: { row: number; watermarkMs: number; moment: number }[] = []
  /** How many of them are before each row. */
  private readonly advancesBefore: Int32Array
  private readonly changes: ArrivalOrder
  /** Of what is given out now. */
  private moment = 0
  private seenMs: number

  constructor(options: ReplayOptions) {
    const { rowCount, fromMs } = options
    this.options = options
    this.changes = new ArrivalOrder(options.types)
    this.seenMs = fromMs
    this.advancesBefore = new Int32Array(rowCount)
    let reachedMs = fromMs
    const reach = (row: number, watermarkMs: number, moment = Infinity) => {
      if (!(watermarkMs > reachedMs)) return
      this.advances.push({ row, watermarkMs, moment })
      reachedMs = watermarkMs
    }
    const reachStep = ({ row, watermarkMs, moment }: RoundMoments['steps'][number]) => reach(row, watermarkMs, moment)
    const steps = options.round?.steps ?? []
    let step = 0
    for (let row = 0; row < rowCount; row++) {
      while (step < steps.length && steps[step].row <= row) reachStep(steps[step++])
      reach(row, options.seenBy(row), options.round?.ofRows[row])
      this.advancesBefore[row] = this.advances.length
    }
    while (step < steps.length) reachStep(steps[step++])
    reach(rowCount, options.toMs)
    this.toMs = reachedMs
  }

  private momentOf(row: number): number {
    return row + this.advancesBefore[row]
  }
  /** Event time as it was behind so many advances. */
  private reachedMs(advances: number): number {
    return advances === 0 ? this.options.fromMs : this.advances[advances - 1].watermarkMs
  }

  /**
   * One key group: its rows one by one, and what is due between them.
   *
   * @param rows     ordinals of its rows, ascending
   * @param process  gives the operator its row of this place among them
   * @param before   called before event time goes on
   */
  play(operator: () => Operator, rows: Int32Array, process: (place: number) => void, before: () => void): void {
    let at = 0
    const advanceTo = (end: number) => {
      while (at < end) {
        const dueMs = (operator().nextDueMs as () => number).call(operator())
        let due = at
        while (due < end && this.advances[due].watermarkMs < dueMs) due++
        at = due
        if (due === end) return
        before()
        this.moment = this.advances[due].row + due
        this.seenMs = this.reachedMs(due)
        operator().advance(this.advances[due].watermarkMs)
        at++
      }
    }
    rows.forEach((row, place) => {
      advanceTo(this.advancesBefore[row])
      this.moment = this.momentOf(row)
      this.seenMs = this.reachedMs(this.advancesBefore[row])
      process(place)
    })
    advanceTo(this.advances.length)
  }

  /** Keeps a copy of what a key group gives out. */
  take(batch: Batch): void {
    const { rowCount, arrivals: rows, watermarksBefore } = batch
    const { delayMs } = this.options
    const arrivals = new Int32Array(rowCount)
    for (let i = 0; i < rowCount; i++) arrivals[i] = rows === undefined ? this.moment : this.momentOf(rows[i])
    const seen = watermarksBefore ?? new Float64Array(rowCount)
    if (watermarksBefore === undefined)
      for (let i = 0; i < rowCount; i++)
        seen[i] = (rows === undefined ? this.seenMs : this.reachedMs(this.advancesBefore[rows[i]])) - delayMs
    this.changes.add({ ...batch, arrivals, watermarksBefore: seen })
  }

  /** All key groups have had their turn. @param forward  tells the next operators how far event time has come */
  flush(context: OperatorContext, forward: (watermarkMs: number) => void): void {
    const { delayMs, timeColumn, round, rowCount } = this.options
    const moments = this.advances.map(({ row }, i) => row + i)
    if (round === undefined) {
      this.changes.flush(context, moments, (i) => forward(this.advances[i].watermarkMs - delayMs), timeColumn)
      return
    }
    const inRound = new Float64Array(rowCount + moments.length)
    for (let row = 0; row < rowCount; row++) inRound[this.momentOf(row)] = round.ofRows[row]
    for (const [i, moment] of moments.entries()) inRound[moment] = this.advances[i].moment
    const reached = (i: number) => {
      round.begin(this.advances[i].moment)
      forward(this.advances[i].watermarkMs - delayMs)
    }
    this.changes.flush(
      { memory: context.memory, emit: (batch) => emitByMoment(batch, inRound, round, context) },
      moments,
      reached,
      timeColumn,
    )
  }
}

/** Rows of one moment go together. */
function emitByMoment(
  batch: Batch,
  inRound: Float64Array,
  round: RoundMoments,
  { emit, memory }: Pick<OperatorContext, 'emit' | 'memory'>,
): void {
  const arrivals = batch.arrivals as Int32Array
  for (let from = 0, to = 0; from < batch.rowCount; from = to) {
    while (to < batch.rowCount && arrivals[to] === arrivals[from]) to++
    const rows = ordinals(to - from, from)
    const mark = memory.mark()
    round.begin(inRound[arrivals[from]])
    emit({
      ...batch,
      rowCount: rows.length,
      columns: gatherAll(batch.columns, rows, rows.length, memory),
      kinds: batch.kinds?.subarray(from, to),
      watermarksBefore: batch.watermarksBefore?.subarray(from, to),
      arrivals: undefined,
    })
    memory.release(mark)
  }
}
