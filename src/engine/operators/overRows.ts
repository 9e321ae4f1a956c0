// The arithmetic of OVER: rows enter and leave the frames of their keys, and each row gets the aggregates of its frame.
import { batchOf, type Field, valueAt } from '../../data/index.ts'
import type { AggregateCall } from '../../sql/index.ts'
import { Accumulators, type AccumulatorsSnapshot, type AggregateLayout, layoutOf } from '../aggregates/index.ts'
import { aggregateFields } from '../state/stateTable.ts'
import { ordinals } from './emission.ts'
import type { Row } from './rows.ts'

/** A row enters the frame of its key, or leaves it; with `result` set, the row's aggregates are read after it. */
export interface FrameStep {
  key: number
  row: Row
  leaves: boolean
  /** Rows whose frame is complete after this step, with the rows before each (for LAG, latest first). */
  results: FrameResult[]
}

export interface FrameResult {
  row: Row
  previous: Row[]
  rank: number
  denseRank: number
}

/** ROW_NUMBER counts the rows of its frame. */
const aggregateOf = (call: AggregateCall): AggregateCall =>
  call.fn === 'ROW_NUMBER' ? { ...call, fn: 'COUNT', args: [], argTypes: [] } : call
/** What is read from the order of the rows, not aggregated. */
const byOrder = new Set(['LAG', 'RANK', 'DENSE_RANK'])
const lagOffset = (call: AggregateCall): number => Number(call.options?.offset ?? 1)

export class FrameAggregates {
  private readonly fields: readonly Field[]
  private readonly calls: readonly AggregateCall[]
  private readonly layout: AggregateLayout
  private accumulators: Accumulators
  /** Rows before the present one that LAG looks at. */
  readonly previousCountMax: number

  constructor(fields: readonly Field[], calls: readonly AggregateCall[], rowsLeave: boolean) {
    this.fields = fields
    this.calls = calls
    this.layout = layoutOf(calls.filter(({ fn }) => !byOrder.has(fn)).map(aggregateOf), rowsLeave)
    this.accumulators = new Accumulators(this.layout)
    this.previousCountMax = Math.max(0, ...calls.filter(({ fn }) => fn === 'LAG').map(lagOffset))
  }

  /** Plays the steps; `take` gets each row with its results appended. */
  run(steps: readonly FrameStep[], keyCount: number, take: (row: Row) => void): void {
    if (steps.length === 0) return
    const { columns } = batchOf(
      this.fields,
      steps.map(({ row }) => row),
    )
    const kinds = Uint8Array.from(steps, ({ leaves }) => (leaves ? 3 : 0))
    this.accumulators.reserve(keyCount)
    const groups = new Int32Array(1)
    const rows = new Int32Array(1)
    steps.forEach(({ key, results }, step) => {
      groups[0] = key
      rows[0] = step
      this.accumulators.update({ columns, rowCount: 1, groups, rows, kinds })
      if (results.length === 0) return
      const range = { groups, from: 0, count: 1 }
      const aggregates = this.layout.finishers.map((_, i) => valueAt(this.accumulators.column(i, range), 0))
      for (const result of results) take([...result.row, ...this.resultsOf(result, steps[step].row, aggregates)])
    })
  }

  /** @param last  the newest row of the frame: the row itself, or the last of its peers */
  private resultsOf({ previous, rank, denseRank }: FrameResult, last: Row, aggregates: unknown[]): unknown[] {
    let next = 0
    return this.calls.map((call) => {
      if (call.fn === 'RANK') return BigInt(rank)
      if (call.fn === 'DENSE_RANK') return BigInt(denseRank)
      if (call.fn !== 'LAG') return aggregates[next++]
      const offset = lagOffset(call)
      if (offset === 0) return last[call.args[0]]
      if (offset <= previous.length) return previous[offset - 1][call.args[0]]
      return call.args.length > 1 ? last[call.args[1]] : null
    })
  }

  /** Keeps the accumulators of the keys that have a new index. */
  move(newIndex: Int32Array): void {
    const from = ordinals(newIndex.length).filter((key) => newIndex[key] >= 0)
    const fresh = new Accumulators(this.layout, from.length)
    fresh.reserve(from.length)
    this.accumulators.reserve(newIndex.length)
    fresh.merge(
      this.accumulators,
      from,
      from.map((key) => newIndex[key]),
      from.length,
    )
    this.accumulators = fresh
  }

  /** The columns of `resultsNow`. @param outputs  those of the whole result, one for each call */
  fieldsOf(outputs: readonly Field[]): Field[] {
    const aggregated = this.calls.flatMap((call, i) => (byOrder.has(call.fn) ? [] : [{ call, output: outputs[i] }]))
    return aggregateFields(
      aggregated.map(({ call }) => call),
      this.fields,
      aggregated.map(({ output }) => output),
    )
  }
  /** What is aggregated of a key's frame as it is. */
  resultsNow(key: number): unknown[] {
    return this.accumulators.resultsOf(key)
  }

  /** Forgets what a key has accumulated. */
  reset(key: number): void {
    this.accumulators.reserve(key + 1)
    this.accumulators.reset(key)
  }

  snapshot(keyCount: number): AccumulatorsSnapshot {
    this.accumulators.reserve(keyCount)
    return this.accumulators.snapshot(keyCount)
  }
  pick(keys: Int32Array): AccumulatorsSnapshot {
    return this.accumulators.pick(keys)
  }
  restore(state: AccumulatorsSnapshot): void {
    this.accumulators = Accumulators.restore(this.layout, state)
  }
  add(state: AccumulatorsSnapshot, keys: Int32Array, keyCount: number): void {
    this.accumulators.add(state, keys, keyCount)
  }
  get byteSize(): number {
    return this.accumulators.byteSize
  }
}
