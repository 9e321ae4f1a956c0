// Operators without state: EXPAND for grouping sets, UNION ALL.
import { type Batch, type Column, gather } from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import type { Operator, OperatorContext } from '../operator.ts'

/** Each row once for each grouping set, with the keys that are not in the set NULL, and the set's id as last column. */
export class ExpandOperator implements Operator {
  private readonly sets: { nulled: number[]; id: bigint }[]
  private readonly context: OperatorContext

  constructor(plan: Plan & { node: 'expand' }, context: OperatorContext) {
    this.sets = plan.sets
    this.context = context
  }

  process(batch: Batch): void {
    const setCount = this.sets.length
    const rowCount = batch.rowCount * setCount
    if (rowCount === 0) return
    // All sets of a row follow one another, so that watermarks do not fall within the batch.
    const picks = new Int32Array(rowCount)
    const ids = new BigInt64Array(rowCount)
    for (let row = 0, i = 0; row < batch.rowCount; row++)
      for (const { id } of this.sets) {
        picks[i] = row
        ids[i++] = id
      }
    const columns = batch.columns.map((column, index): Column => {
      const taken = gather(column, picks, rowCount)
      const nulledIn = this.sets.flatMap(({ nulled }, set) => (nulled.includes(index) ? [set] : []))
      if (nulledIn.length === 0) return taken
      const nulls = taken.nulls ?? new Uint8Array(rowCount)
      for (const set of nulledIn) for (let i = set; i < rowCount; i += setCount) nulls[i] = 1
      return { ...taken, nulls }
    })
    const { kinds, watermarksBefore, arrivals } = batch
    this.context.emit({
      ...batch,
      rowCount,
      columns: [...columns, { lane: 'i64', data: ids }],
      kinds: kinds && Uint8Array.from(picks, (row) => kinds[row]),
      watermarksBefore: watermarksBefore && Float64Array.from(picks, (row) => watermarksBefore[row]),
      arrivals: arrivals && Int32Array.from(picks, (row) => arrivals[row]),
    })
  }

  advance(): void {}
}

/** Rows go on as they come: of a union, and of scans and VALUES, to which the runtime hands them. */
export class PassOperator implements Operator {
  private readonly context: OperatorContext
  constructor(context: OperatorContext) {
    this.context = context
  }
  process(batch: Batch): void {
    this.context.emit(batch)
  }
  advance(): void {}
}
