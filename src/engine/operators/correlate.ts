// CROSS JOIN UNNEST and LEFT JOIN UNNEST: one row for each element of an array, map or multiset. Stateless.
import { type Batch, type Column, ColumnBuilder, type Field, type SqlType, t, valueAt } from '../../data/index.ts'
import type { Expr, Plan } from '../../sql/index.ts'
import { engineErrors } from '../errors.ts'
import { compileCalc } from '../expressions/index.ts'
import type { Operator, OperatorContext } from '../operator.ts'
import { beat } from '../progress.ts'
import { type Condition, compileCondition } from './conditions.ts'
import { gatherOrNull, ordinals } from './emission.ts'

type CorrelatePlan = Plan & { node: 'correlate' }

export class CorrelateOperator implements Operator {
  private readonly plan: CorrelatePlan
  private readonly context: OperatorContext
  private readonly condition: Condition | undefined
  private readonly collectionOf: (batch: Batch) => Column
  private readonly withOrdinality: boolean
  private readonly elementFields: Field[]

  constructor(plan: CorrelatePlan, context: OperatorContext, timeZone: string) {
    if (plan.fn !== 'UNNEST' && plan.fn !== 'UNNEST_WITH_ORDINALITY')
      throw engineErrors('OPERATOR_UNSUPPORTED', { what: `the table function "${plan.fn}"` })
    this.plan = plan
    this.context = context
    this.withOrdinality = plan.fn === 'UNNEST_WITH_ORDINALITY'
    this.elementFields = this.withOrdinality ? plan.outputFields.slice(0, -1) : plan.outputFields
    this.condition = compileCondition(plan.condition, [...plan.input.fields, ...plan.outputFields], timeZone, (pairs, row, error) =>
      context.rowFailed(pairs, row, error, [...plan.input.fields, ...plan.outputFields]),
    )
    const [arg] = plan.args
    if (arg.kind === 'column') this.collectionOf = (batch) => batch.columns[arg.index]
    else {
      const ordinalType = t.int(false)
      const projections: Expr[] = [arg, { kind: 'column', index: plan.input.fields.length, type: ordinalType }]
      const run = compileCalc({ projections }, [...plan.input.fields, { name: 'ordinal', type: ordinalType }], { timeZone })
      // Rows whose argument fails are missing in the result: the ordinal says which are there.
      this.collectionOf = (batch) => {
        const columns: Column[] = [...batch.columns, { lane: 'i32', data: ordinals(batch.rowCount) }]
        const out = run({ ...batch, columns }, (row, error) => context.rowFailed(batch, row, error))
        const values = new Array<unknown>(batch.rowCount).fill(null)
        if (out !== undefined) {
          const rows = (out.columns[1] as Column & { lane: 'i32' }).data
          for (let i = 0; i < out.rowCount; i++) values[rows[i]] = valueAt(out.columns[0], i)
        }
        return { lane: 'any', data: values, nulls: Uint8Array.from(values, (value) => (value === null ? 1 : 0)) }
      }
    }
  }

  process(batch: Batch): void {
    const collection = this.collectionOf(batch)
    const [{ type }] = this.plan.args
    const picks: number[] = []
    const elements: (unknown[] | undefined)[] = []
    for (let row = 0; row < batch.rowCount; row++) {
      beat()
      for (const element of elementsOf(valueAt(collection, row), type)) {
        picks.push(row)
        elements.push(element)
      }
    }
    const numbers = this.numbersOf(picks)
    const columnsFor = (chosen: number[]): Column[] => [
      ...gatherOrNull(
        batch.columns,
        Int32Array.from(chosen, (i) => picks[i]),
      ),
      ...this.plan.outputFields.map((field, column) => {
        beat()
        const builder = new ColumnBuilder(field.type, chosen.length)
        for (const i of chosen) builder.append(column < this.elementFields.length ? elements[i]?.[column] : elements[i] && numbers[i])
        return builder.finish()
      }),
    ]
    let kept = picks.map((_, i) => i)
    if (this.condition !== undefined && kept.length > 0) {
      const passed = this.condition(columnsFor(kept), kept.length, batch.processingTimeMs)
      kept = kept.filter((i) => passed[i] === 1)
    }
    if (this.plan.kind === 'LEFT') kept = this.padded(batch.rowCount, picks, elements, kept)
    if (kept.length === 0) return
    const { kinds, watermarksBefore, arrivals } = batch
    this.context.emit({
      ...batch,
      rowCount: kept.length,
      columns: columnsFor(kept),
      kinds: kinds && Uint8Array.from(kept, (i) => kinds[picks[i]]),
      watermarksBefore: watermarksBefore && Float64Array.from(kept, (i) => watermarksBefore[picks[i]]),
      arrivals: arrivals && Int32Array.from(kept, (i) => arrivals[picks[i]]),
    })
  }

  /** Numbers of elements within their row, from 1. */
  private numbersOf(picks: readonly number[]): number[] {
    const numbers: number[] = []
    picks.forEach((row, i) => {
      numbers.push(i > 0 && picks[i - 1] === row ? numbers[i - 1] + 1 : 1)
    })
    return numbers
  }

  /** Adds, for each row without an element, itself without one; in order of rows. */
  private padded(rowCount: number, picks: number[], elements: (unknown[] | undefined)[], kept: number[]): number[] {
    const result: number[] = []
    let at = 0
    for (let row = 0; row < rowCount; row++) {
      const from = at
      while (at < kept.length && picks[kept[at]] === row) result.push(kept[at++])
      if (at > from) continue
      result.push(picks.push(row) - 1)
      elements.push(undefined)
    }
    return result
  }

  advance(): void {}
}

/** Elements of a collection as rows of its columns. Elements that are ROWs are spread; a NULL among them is no row. */
function elementsOf(value: unknown, type: SqlType): unknown[][] {
  if (value === null || value === undefined) return []
  if (type.kind === 'MAP') return Array.from(value as Map<unknown, unknown>, ([key, entry]) => [key, entry])
  if (type.kind !== 'ARRAY' && type.kind !== 'MULTISET') return []
  const { element } = type
  const elements =
    type.kind === 'ARRAY'
      ? (value as unknown[])
      : Array.from(value as Map<unknown, number>).flatMap(([one, count]) => new Array<unknown>(count).fill(one))
  if (element.kind !== 'ROW') return elements.map((one) => [one])
  return elements.filter((one) => one !== null) as unknown[][]
}
