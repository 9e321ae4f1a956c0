// OVER ordered by time: each row leaves once, with the aggregates of its frame, when the watermark has reached it.
//
// Invariants
//   1. Rows of a key are worked through in order of time, then arrival. Under RANGE rows of equal time see one another, under ROWS not.
//   2. With UNBOUNDED PRECEDING a row at or behind the watermark is late; with a bounded frame only a row that is not later than the last
//      one worked through for its key, or, of RANGE, than a clean-up of its key that was put off and would have been by now.
//   3. What a row's own watermark lets out is worked through before the row is looked at: batching changes nothing. Output is append-only.
//   4. With a time to live a key without waiting rows is as if it had never been once its clean-up is due: once and a half the time to live
//      behind a row, by the clock, moved only when less than the time to live is left. A key with waiting rows gets another such time.
//   1 to 3 are held by over.property.test.ts, 4 by stateTtl.property.test.ts.
//
// Else keys are kept for ever with an unbounded frame, as in Flink; with a bounded one their last rows are, of RANGE once and a half the
// frame, whatever the time to live.
import { type Batch, rowAt } from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import type { AccumulatorsSnapshot } from '../aggregates/index.ts'
import { heapPop, heapPush } from '../aggregates/index.ts'
import { engineErrors } from '../errors.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { countField, heldOf, type Kept, keptFor, oneRow, type StateTable, timeField, waitingTable } from '../state/stateTable.ts'
import { FrameAggregates, type FrameStep } from './overRows.ts'
import { isNullAt, KeyedStates, type Row, RowOutput, timeAt, waitingBeside, waitingOf } from './rows.ts'

interface Waiting {
  key: number
  time: number
  arrival: number
  row: Row
}
interface KeyState {
  lastMs: number
  /** The watermark at which a key of a bounded RANGE is forgotten. */
  forgetMs?: number
  /** Earlier such times, ascending: in Flink their timers go off all the same, and count as the last time that was worked through. */
  putOffMs?: number[]
  /** Rows in the frame, or that LAG looks at, oldest first. */
  rows: { time: number; row: Row }[]
  /** How many rows, and how many times, were worked through: RANK and DENSE_RANK. */
  rowCount: number
  timeCount: number
  /** With a time to live: rows that wait, and the clock's time at which the key may be forgotten. */
  waitingCount?: number
  cleanupMs?: number
}
interface Cleanup {
  atMs: number
  state: KeyState
  key: number
}
const cleansFirst = (a: Cleanup, b: Cleanup): boolean => a.atMs < b.atMs

const leavesFirst = (a: Waiting, b: Waiting): boolean => a.time < b.time || (a.time === b.time && a.arrival < b.arrival)

export class OverOperator implements Operator {
  private readonly plan: Plan & { node: 'over' }
  private readonly context: OperatorContext
  private readonly output: RowOutput
  private readonly timeColumn: number
  private readonly isProcessingTime: boolean
  private readonly keys: KeyedStates<KeyState>
  private readonly frames: FrameAggregates
  private waiting: Waiting[] = []
  private arrivals = 0
  private watermarkMs = -Infinity
  /** Of a key only the one with the time of its state counts. */
  private cleanups: Cleanup[] = []
  /** Keys of a restored state without times. */
  private readonly undated: number[] = []
  private readonly ttlMs: number
  private liveCount = 0

  constructor(plan: Plan & { node: 'over' }, context: OperatorContext) {
    this.plan = plan
    this.context = context
    this.output = new RowOutput(plan.fields, context)
    this.timeColumn = plan.orderBy[0].column
    this.isProcessingTime = plan.input.fields[this.timeColumn].timeAttribute === 'processing'
    this.keys = new KeyedStates(plan.input.fields, plan.partitionKeys)
    this.frames = new FrameAggregates(plan.input.fields, plan.aggregates, plan.frame.preceding !== undefined)
    const isBoundedRange = plan.frame.unit === 'RANGE' && plan.frame.preceding !== undefined
    this.ttlMs = isBoundedRange ? 0 : (plan.ttlMs ?? 0)
  }

  process(batch: Batch): void {
    this.output.processingTimeMs = batch.processingTimeMs
    this.cleanUp(batch.processingTimeMs)
    const keys = this.keys.keysOf(batch)
    const column = batch.columns[this.timeColumn]
    const late: number[] = []
    for (let i = 0; i < batch.rowCount; i++) {
      const seen = batch.watermarksBefore?.[i] ?? -Infinity
      const state = this.stateOf(keys[i])
      this.scheduleCleanup(state, keys[i], batch.processingTimeMs)
      let time = batch.processingTimeMs
      if (!this.isProcessingTime) {
        if (seen > this.watermarkMs) this.fire(seen)
        if (isNullAt(column, i)) {
          const { name } = this.plan.input.fields[this.timeColumn]
          this.context.rowFailed(batch, i, engineErrors('ROWTIME_NULL', { column: name, table: 'OVER' }))
          continue
        }
        time = timeAt(column, i)
        this.forget(state, keys[i])
        const lateUntilMs = this.plan.frame.preceding === undefined ? this.watermarkMs : this.workedUntil(state)
        if (time <= lateUntilMs) {
          late.push(i)
          continue
        }
        this.keep(state, time)
      }
      heapPush(this.waiting, { key: keys[i], time, arrival: this.arrivals++, row: rowAt(batch, i) }, leavesFirst)
      if (this.ttlMs > 0) state.waitingCount = (state.waitingCount ?? 0) + 1
    }
    if (this.isProcessingTime) this.fire(Infinity)
    this.output.flush()
    if (late.length > 0) this.context.late(batch, late)
  }

  private stateOf(key: number): KeyState {
    const known = this.keys.states[key]
    if (known !== undefined) return known
    this.liveCount++
    return (this.keys.states[key] = { lastMs: -Infinity, rows: [], rowCount: 0, timeCount: 0 })
  }

  /** @source Flink's CleanupState: the longest time is once and a half the shortest */
  private scheduleCleanup(state: KeyState, key: number, nowMs: number): void {
    if (this.ttlMs === 0 || nowMs + this.ttlMs <= (state.cleanupMs ?? -Infinity)) return
    state.cleanupMs = nowMs + Math.trunc(this.ttlMs * 1.5)
    heapPush(this.cleanups, { atMs: state.cleanupMs, state, key }, cleansFirst)
  }

  private cleanUp(nowMs: number): void {
    for (const key of this.undated.splice(0)) this.scheduleCleanup(this.keys.states[key] as KeyState, key, nowMs)
    while (this.cleanups.length > 0 && this.cleanups[0].atMs <= nowMs) {
      const { atMs, state, key } = heapPop(this.cleanups, cleansFirst) as Cleanup
      if (state.cleanupMs !== atMs) continue
      if (state.waitingCount) this.scheduleCleanup(state, key, nowMs)
      else {
        this.frames.reset(key)
        this.keys.states[key] = undefined
        this.liveCount--
      }
    }
    if (this.ttlMs > 0 && this.keys.table.count > 1024 && this.liveCount * 2 < this.keys.table.count) this.forgetDead()
  }

  /** Keys that are forgotten give up their memory, and the others are under other numbers. */
  private forgetDead(): void {
    const newIndex = this.keys.forgetDead()
    if (newIndex === undefined) return
    this.frames.move(newIndex)
    for (const one of this.waiting) one.key = newIndex[one.key]
    this.cleanups = this.cleanups.filter(({ state, atMs }) => state.cleanupMs === atMs)
    for (const one of this.cleanups) one.key = newIndex[one.key]
    this.cleanups = this.cleanups.filter(({ key }) => key >= 0).sort((a, b) => a.atMs - b.atMs)
  }

  tick(nowMs: number): void {
    this.cleanUp(nowMs)
  }

  /** A key whose time is over is as if it had never been: its rows leave, and none is too late for it. */
  private forget(state: KeyState, key: number): void {
    if (state.forgetMs === undefined || state.forgetMs > this.watermarkMs) return
    const steps: FrameStep[] = []
    this.leave(state, key, () => true, steps)
    this.frames.run(steps, this.keys.table.count, (row) => this.output.put(row))
    state.lastMs = -Infinity
    state.forgetMs = undefined
    state.putOffMs = undefined
  }

  private workedUntil(state: KeyState): number {
    while (state.putOffMs !== undefined && state.putOffMs[0] <= this.watermarkMs) {
      state.lastMs = Math.max(state.lastMs, state.putOffMs.shift() as number)
      if (state.putOffMs.length === 0) state.putOffMs = undefined
    }
    return state.lastMs
  }

  /** Once and a half the frame behind a row, moved only when less than the frame is left. @source Flink's RowTimeRangeBoundedPrecedingFunction */
  private keep(state: KeyState, time: number): void {
    const { unit, preceding } = this.plan.frame
    if (unit !== 'RANGE' || preceding === undefined) return
    const { forgetMs } = state
    if (forgetMs !== undefined) {
      if (forgetMs >= time + preceding + 1) return
      state.putOffMs = [...(state.putOffMs ?? []), forgetMs]
    }
    state.forgetMs = time + Math.trunc(preceding * 1.5) + 1
  }

  advance(watermarkMs: number): void {
    if (!this.isProcessingTime) this.fire(watermarkMs)
    this.output.flush()
  }

  private fire(watermarkMs: number): void {
    // What arrived behind a watermark waits for the next one.
    if (!this.isProcessingTime && watermarkMs <= this.watermarkMs) return
    this.output.seenMs = this.watermarkMs
    const steps: FrameStep[] = []
    while (this.waiting.length > 0 && this.waiting[0].time <= watermarkMs) {
      const peers = [heapPop(this.waiting, leavesFirst) as Waiting]
      const [{ time }] = peers
      while (this.waiting.length > 0 && this.waiting[0].time === time) peers.push(heapPop(this.waiting, leavesFirst) as Waiting)
      for (const ofKey of Map.groupBy(peers, ({ key }) => key).values()) this.stepsFor(ofKey, time, steps)
    }
    this.frames.run(steps, this.keys.table.count, (row) => this.output.put(row))
    if (!this.isProcessingTime) this.watermarkMs = watermarkMs
  }

  /** Rows of one key and time. */
  private stepsFor(peers: Waiting[], time: number, steps: FrameStep[]): void {
    const [{ key }] = peers
    const state = this.keys.states[key] as KeyState
    const { unit, preceding } = this.plan.frame
    state.lastMs = time
    if (this.ttlMs > 0) state.waitingCount = (state.waitingCount ?? 0) - peers.length
    const ranks = { rank: state.rowCount + 1, denseRank: ++state.timeCount }
    state.rowCount += peers.length
    // By processing time rows come one by one, however they were batched; only a bounded RANGE looks at the clock.
    if (unit === 'RANGE' && !(this.isProcessingTime && preceding === undefined)) {
      if (preceding !== undefined) this.leave(state, key, (oldest) => oldest.time < time - preceding, steps)
      for (const { row } of peers) {
        steps.push({ key, row, leaves: false, results: [] })
        this.remember(state, time, row)
      }
      // Peers see one another, so for LAG they all stand where the last of them stands.
      const previous = state.rows.map((one) => one.row).reverse()
      previous.shift()
      steps[steps.length - 1].results = peers.map(({ row }) => ({ row, previous, ...ranks }))
      if (preceding === undefined) state.rows.splice(0, state.rows.length - this.frames.previousCountMax)
      return
    }
    for (const { row } of peers) {
      if (preceding !== undefined) this.leave(state, key, () => state.rows.length > preceding, steps)
      const previous = this.frames.previousCountMax > 0 ? state.rows.map((one) => one.row).reverse() : []
      steps.push({ key, row, leaves: false, results: [{ row, previous, ...ranks }] })
      this.remember(state, time, row)
    }
  }

  private leave(state: KeyState, key: number, isOut: (oldest: KeyState['rows'][number]) => boolean, steps: FrameStep[]): void {
    let count = 0
    while (state.rows.length > count && isOut(state.rows[count])) {
      steps.push({ key, row: state.rows[count].row, leaves: true, results: [] })
      if (this.plan.frame.unit === 'ROWS') state.rows.shift()
      else count++
    }
    state.rows.splice(0, count)
  }

  private remember(state: KeyState, time: number, row: Row): void {
    const { previousCountMax } = this.frames
    if (this.plan.frame.preceding === undefined && previousCountMax === 0) return
    state.rows.push({ time, row })
    if (this.plan.frame.unit === 'ROWS' && this.plan.frame.preceding === undefined && state.rows.length > previousCountMax)
      state.rows.shift()
  }

  snapshot(): unknown {
    this.forgetDead()
    const { waiting, arrivals, watermarkMs } = this
    const keys = this.keys.snapshot()
    return { waiting: waiting.slice(), arrivals, watermarkMs, keys, frames: this.frames.snapshot(this.keys.table.count) }
  }

  restore(state: unknown, adds = false): void {
    const { waiting, arrivals, watermarkMs, keys, frames } = state as {
      waiting: Waiting[]
      arrivals: number
      watermarkMs: number
      keys: unknown
      frames: AccumulatorsSnapshot
    }
    const places = this.keys.restore(keys, undefined, adds)
    this.liveCount = this.keys.states.length
    this.schedule(places, waiting)
    if (!adds) {
      Object.assign(this, { waiting, arrivals, watermarkMs })
      this.frames.restore(frames)
      return
    }
    this.waiting = waitingBeside(this.waiting, waiting, places, leavesFirst)
    this.arrivals = Math.max(this.arrivals, arrivals)
    this.watermarkMs = Math.min(this.watermarkMs, watermarkMs)
    this.frames.add(frames, places, this.keys.table.count)
  }

  /** Clean-ups of restored keys; those of a state without times count from the first tick or batch. */
  private schedule(places: Int32Array, waiting: readonly Waiting[]): void {
    if (this.ttlMs === 0) {
      // Rows that come without a time to live do not move it: another one begins anew.
      for (const key of places) Object.assign(this.keys.states[key] as KeyState, { cleanupMs: undefined })
      return
    }
    const waitingCounts = new Map<number, number>()
    for (const { key } of waiting) waitingCounts.set(key, (waitingCounts.get(key) ?? 0) + 1)
    places.forEach((key, saved) => {
      const state = this.keys.states[key] as KeyState
      state.waitingCount = waitingCounts.get(saved) ?? 0
      if (state.cleanupMs === undefined) this.undated.push(key)
      else heapPush(this.cleanups, { atMs: state.cleanupMs, state, key }, cleansFirst)
    })
  }

  divide(division: Division): (part: number) => unknown {
    this.forgetDead()
    const { waiting, arrivals, watermarkMs, frames } = this
    const ofPart = this.keys.divide(division)
    return (part) => {
      const { keys, saved } = ofPart(part)
      return { waiting: waitingOf(waiting, keys, leavesFirst), arrivals, watermarkMs, keys: saved, frames: frames.pick(keys) }
    }
  }

  nextDueMs(): number {
    return this.waiting[0]?.time ?? Infinity
  }

  /** Frames as of the last row that was worked through; then the rows in them, and those that wait for the watermark. */
  stateTables(): StateTable[] {
    const { plan, frames } = this
    const { unit, preceding } = plan.frame
    const kept: Kept =
      preceding === undefined || unit === 'ROWS'
        ? keptFor(this.ttlMs)
        : { by: 'eventTime', text: 'A key is forgotten once and a half the frame behind its last row, by the watermark.' }
    const untilMs = ({ cleanupMs, forgetMs }: KeyState) => (kept.by === 'ttl' ? cleanupMs : forgetMs)
    const ofFrames = {
      name: 'frames',
      value: [timeField('last_time'), countField('rows_so_far'), ...frames.fieldsOf(plan.fields.slice(plan.input.fields.length))],
      kept,
    }
    const ofRows = { name: 'rows in the frame', value: plan.input.fields, kept }
    return [
      this.keys.stateTable(ofFrames, (state, key) =>
        // All its rows wait still: they have no frame yet.
        state.rowCount === 0
          ? undefined
          : oneRow(
              [Number.isFinite(state.lastMs) ? state.lastMs : null, BigInt(state.rowCount), ...frames.resultsNow(key)],
              untilMs(state),
            ),
      ),
      ...(preceding === undefined && frames.previousCountMax === 0
        ? []
        : [this.keys.stateTable(ofRows, ({ rows }, _, rowsMax) => heldOf(rows, rowsMax, ({ row }) => ({ values: row })))]),
      ...(this.isProcessingTime ? [] : [waitingTable('waiting rows', plan.input.fields, plan.partitionKeys, () => this.waiting)]),
    ]
  }

  describe(): OperatorStatus {
    let stateRows = this.waiting.length
    for (const state of this.keys.states) stateRows += state?.rows.length ?? 0
    return { stateRows, stateBytes: stateRows * 64 * this.plan.fields.length + this.frames.byteSize + this.keys.table.byteSize }
  }
}
