// MATCH_RECOGNIZE: rows of each partition in order of time, searched for a pattern.
//
// Invariants
//   1. Rows are looked at in order of time, then of the other sort keys, when the watermark has reached them; a row at or behind the
//      watermark is late. Output is append-only.
//   2. What a row's own watermark lets out is searched before the row is taken: how rows are cut into batches changes nothing.
import { type Batch, rowAt, t } from '../../../data/index.ts'
import type { Plan } from '../../../sql/index.ts'
import { heapPop, heapPush } from '../../aggregates/index.ts'
import { engineErrors } from '../../errors.ts'
import type { Division, Operator, OperatorContext, OperatorStatus } from '../../operator.ts'
import { countField, field, heldOf, rowTypeOf, type StateTable, timeField, waitingTable } from '../../state/stateTable.ts'
import { isNullAt, KeyedStates, type Row, RowOutput, rowOrder, timeAt, waitingBeside, waitingOf } from '../rows.ts'
import { Matcher, newRuns, type RunsState, withBegin } from './runs.ts'
import { compileMatch, type MatchExpressions, type Taken } from './values.ts'

interface Waiting {
  key: number
  time: number
  arrival: number
  row: Row
}

export class MatchOperator implements Operator {
  private readonly plan: Plan & { node: 'match' }
  private readonly context: OperatorContext
  private readonly output: RowOutput
  private readonly expressions: MatchExpressions
  private readonly matcher: Matcher
  private readonly keys: KeyedStates<RunsState>
  private readonly timeColumn: number
  private readonly isProcessingTime: boolean
  private readonly leavesFirst: (a: Waiting, b: Waiting) => boolean
  private waiting: Waiting[] = []
  private arrivals = 0
  private watermarkMs = -Infinity
  /** Before this no open match is too old: Infinity without WITHIN. */
  private nextExpiryMs = Infinity

  constructor(plan: Plan & { node: 'match' }, context: OperatorContext, timeZone: string) {
    this.plan = plan
    this.context = context
    this.output = new RowOutput(plan.fields, context)
    const { fields } = plan.input
    this.expressions = compileMatch(plan.spec, fields, timeZone)
    this.matcher = new Matcher(plan.spec, this.expressions)
    this.keys = new KeyedStates(fields, plan.spec.partitionKeys)
    this.timeColumn = plan.spec.orderBy[0].column
    this.isProcessingTime = fields[this.timeColumn].timeAttribute === 'processing'
    const order = rowOrder(plan.spec.orderBy.slice(1))
    this.leavesFirst = (a, b) => {
      const compared = a.time - b.time || order(a.row, b.row)
      return compared < 0 || (compared === 0 && a.arrival < b.arrival)
    }
  }

  process(batch: Batch): void {
    this.output.processingTimeMs = batch.processingTimeMs
    const keys = this.keys.keysOf(batch)
    const column = batch.columns[this.timeColumn]
    const late: number[] = []
    for (let i = 0; i < batch.rowCount; i++) {
      this.keys.states[keys[i]] ??= newRuns()
      if (this.isProcessingTime) {
        this.search(keys[i], rowAt(batch, i), batch.processingTimeMs)
        continue
      }
      this.fire(batch.watermarksBefore?.[i] ?? -Infinity)
      if (isNullAt(column, i)) {
        const { name } = this.plan.input.fields[this.timeColumn]
        this.context.rowFailed(batch, i, engineErrors('ROWTIME_NULL', { column: name, table: 'MATCH_RECOGNIZE' }))
      } else if (timeAt(column, i) <= this.watermarkMs) late.push(i)
      else
        heapPush(this.waiting, { key: keys[i], time: timeAt(column, i), arrival: this.arrivals++, row: rowAt(batch, i) }, this.leavesFirst)
    }
    this.output.flush()
    if (late.length > 0) this.context.late(batch, late)
  }

  advance(watermarkMs: number): void {
    if (!this.isProcessingTime) this.fire(watermarkMs)
    this.output.flush()
  }

  private fire(watermarkMs: number): void {
    if (watermarkMs <= this.watermarkMs) return
    this.output.seenMs = this.watermarkMs
    while (this.waiting.length > 0 && this.waiting[0].time <= watermarkMs) {
      const { key, row, time } = heapPop(this.waiting, this.leavesFirst) as Waiting
      this.search(key, row, time)
    }
    this.watermarkMs = watermarkMs
    if (watermarkMs >= this.nextExpiryMs) this.expireAll(watermarkMs)
  }

  private search(key: number, row: Row, timeMs: number): void {
    for (const taken of this.matcher.next(this.keys.states[key] as RunsState, row, timeMs)) this.emitMatch(taken, timeMs)
    this.nextExpiryMs = Math.min(this.nextExpiryMs, timeMs + (this.plan.spec.withinMs ?? Infinity))
  }

  /** Time alone ends matches that have taken too long, and with them what they held back. */
  private expireAll(timeMs: number): void {
    const withinMs = this.plan.spec.withinMs as number
    this.nextExpiryMs = Infinity
    for (const state of this.keys.states) {
      if (state === undefined) continue
      // At the end of all input: when time would have ended what holds them back, one after another.
      while (timeMs === Infinity && state.complete.length > 0 && state.open[0].startMs < Infinity)
        this.expire(state, state.open[0].startMs + withinMs)
      this.expire(state, timeMs)
      for (const { startMs } of state.open) this.nextExpiryMs = Math.min(this.nextExpiryMs, startMs + withinMs)
    }
  }

  private expire(state: RunsState, timeMs: number): void {
    for (const taken of this.matcher.expire(state, timeMs)) this.emitMatch(taken, timeMs)
  }

  private emitMatch(taken: Taken[], timeMs: number): void {
    const { row } = taken[0]
    this.output.put([...this.plan.spec.partitionKeys.map((column) => row[column]), ...this.expressions.measures(taken, timeMs)])
  }

  snapshot(): unknown {
    const { waiting, arrivals, watermarkMs, nextExpiryMs } = this
    // Every key has a state, so none moves.
    return structuredClone({ waiting, arrivals, watermarkMs, nextExpiryMs, keys: this.keys.snapshot() })
  }

  restore(state: unknown, adds = false): void {
    const { waiting, arrivals, watermarkMs, nextExpiryMs, keys } = state as {
      waiting: Waiting[]
      arrivals: number
      watermarkMs: number
      nextExpiryMs: number
      keys: unknown
    }
    const places = this.keys.restore(keys, undefined, adds)
    this.keys.states.forEach((runs, key, states) => {
      if (runs) states[key] = withBegin(runs)
    })
    if (!adds) {
      Object.assign(this, { waiting, arrivals, watermarkMs, nextExpiryMs })
      return
    }
    this.waiting = waitingBeside(this.waiting, waiting, places, this.leavesFirst)
    this.arrivals = Math.max(this.arrivals, arrivals)
    this.watermarkMs = Math.min(this.watermarkMs, watermarkMs)
    this.nextExpiryMs = Math.min(this.nextExpiryMs, nextExpiryMs)
  }

  divide(division: Division): (part: number) => unknown {
    const { waiting, arrivals, watermarkMs, nextExpiryMs } = this
    const ofPart = this.keys.divide(division)
    return (part) => {
      const { keys, saved } = ofPart(part)
      return { waiting: waitingOf(waiting, keys, this.leavesFirst), arrivals, watermarkMs, nextExpiryMs, keys: saved }
    }
  }

  nextDueMs(): number {
    return Math.min(this.waiting[0]?.time ?? Infinity, this.nextExpiryMs)
  }

  stateTables(): StateTable[] {
    const { spec, input } = this.plan
    const { withinMs } = spec
    const matches = {
      name: 'partial matches',
      value: [
        timeField('began'),
        field('waits_for', t.string()),
        field('taken', t.string(false)),
        countField('rows'),
        field('last_row', rowTypeOf(input.fields)),
      ],
      kept:
        withinMs === undefined
          ? { by: 'query' as const, text: 'A partial match is kept until a row does not fit it: the pattern has no WITHIN.' }
          : {
              by: 'eventTime' as const,
              text: `A partial match is given up ${withinMs} ms after its first row (WITHIN), or when a row does not fit it.`,
            },
    }
    return [
      this.keys.stateTable(matches, ({ open, complete }, _, rowsMax) =>
        heldOf([...open.filter(({ start }) => start < Infinity), ...complete], rowsMax, (run) => ({
          values: [
            run.startMs,
            complete.includes(run) ? 'an earlier match to end' : this.matcher.waitsFor(run),
            run.taken.map(({ variable }) => spec.variables[variable]).join(' '),
            BigInt(run.taken.length),
            run.taken.at(-1)?.row ?? null,
          ],
          ...(withinMs !== undefined && { untilMs: run.startMs + withinMs }),
        })),
      ),
      ...(this.isProcessingTime ? [] : [waitingTable('waiting rows', input.fields, spec.partitionKeys, () => this.waiting)]),
    ]
  }

  describe(): OperatorStatus {
    let stateRows = this.waiting.length
    for (const state of this.keys.states) for (const { taken } of state?.open ?? []) stateRows += taken.length
    return { stateRows, stateBytes: stateRows * 64 * this.plan.input.fields.length }
  }
}
