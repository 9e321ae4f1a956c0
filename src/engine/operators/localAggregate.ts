// The first of two phases of an aggregation: rows of one batch are grouped before the exchange, so that groups travel, not rows.
//
// One batch:  rows --> groups --> one row for each: its keys, then the cells of its accumulators as 64-bit words --> exchange --> merged
//
// Invariants
//   1. It holds nothing between two batches: what went in has gone out when `process` returns.
//   2. Merging what comes out gives the accumulators of the rows that went in; only the order in which floating-point numbers are added differs.
//   1 and 2 are held by parallel.property.test.ts.
import { type Batch, type Column, type Field, t } from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import { Accumulators, type AggregateLayout, isMergeable, layoutOf } from '../aggregates/index.ts'
import type { Operator, OperatorContext } from '../operator.ts'
import { KeyTable } from '../state/keyTable.ts'
import { ordinals } from './emission.ts'

type GroupAggregatePlan = Plan & { node: 'groupAggregate' }

/** Where more than this share of a batch's rows have groups of their own, grouping is left out for some batches. */
const USELESS_SHARE = 0.75
const USELESS_BATCHES = 32

/** Whether an aggregation could be done in two phases: its rows are never taken away, and its accumulators are plain numbers. */
export const isMergeableAggregate = (plan: Plan): plan is GroupAggregatePlan =>
  plan.node === 'groupAggregate' && plan.input.changelog === 'append' && isMergeable(layoutOf(plan.aggregates, false))

/** Whether it is done so: what a batch ends with is enough. */
export const hasLocalPhase = (plan: Plan): plan is GroupAggregatePlan => isMergeableAggregate(plan) && !plan.everyChange

/** What the first phase gives: the keys, then the cells. */
export function localFields(plan: GroupAggregatePlan): Field[] {
  const { stride } = layoutOf(plan.aggregates, false)
  return [
    ...plan.keys.map((key) => plan.input.fields[key]),
    ...Array.from({ length: stride }, (_, i) => ({ name: `$cell${i}`, type: t.bigint() })),
  ]
}

/** The plan of the second phase: over what the first one gives. `firstInput`: what that got, for the names of its columns. */
export const secondPhase = (plan: GroupAggregatePlan): GroupAggregatePlan & { firstInput: Field[] } => ({
  ...plan,
  firstInput: plan.input.fields,
  keys: plan.keys.map((_, k) => k),
  input: { ...plan.input, fields: localFields(plan) },
})

export class LocalAggregateOperator implements Operator {
  private readonly plan: GroupAggregatePlan
  private readonly context: OperatorContext
  private readonly layout: AggregateLayout
  private readonly table: KeyTable
  private readonly accumulators: Accumulators
  private uselessBatches = 0

  constructor(plan: GroupAggregatePlan, context: OperatorContext) {
    this.plan = plan
    this.context = context
    this.layout = layoutOf(plan.aggregates, false)
    this.table = new KeyTable(plan.keys.map((key) => plan.input.fields[key].type))
    this.accumulators = new Accumulators(this.layout)
  }

  process(batch: Batch): void {
    const { rowCount } = batch
    const keyColumns = this.plan.keys.map((key) => batch.columns[key])
    if (this.uselessBatches > 0) {
      this.uselessBatches--
      this.emit(batch, keyColumns, ordinals(rowCount), rowCount)
      return
    }
    const groups = this.context.memory.i32(rowCount)
    this.table.lookup(keyColumns, rowCount, groups)
    const { count } = this.table
    if (rowCount > 64 && count > rowCount * USELESS_SHARE) this.uselessBatches = USELESS_BATCHES
    const keys = keyColumns.map((_, k) => this.table.range(k, 0, count))
    this.emit(batch, keys, groups, count)
    this.table.clear()
  }

  private emit(batch: Batch, keys: readonly Column[], groups: Int32Array, groupCount: number): void {
    const { accumulators, context } = this
    accumulators.reserve(groupCount)
    accumulators.update({ columns: batch.columns, rowCount: batch.rowCount, groups })
    const cells = accumulators.cellColumns(groupCount, context.memory)
    accumulators.clear(groupCount)
    context.emit({
      rowCount: groupCount,
      columns: [...keys, ...cells],
      watermarkAfter: batch.watermarkAfter,
      processingTimeMs: batch.processingTimeMs,
    })
  }

  advance(): void {}
}
