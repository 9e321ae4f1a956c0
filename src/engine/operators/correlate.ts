// CROSS JOIN UNNEST and LEFT JOIN UNNEST: one row for each element of an array, map or multiset. Stateless.
import { type Batch, type Column, ColumnBuilder, type Field, type SqlType, t, valueAt } from '../../data/index.ts'
import type { Expr, Plan } from '../../sql/index.ts'
import { engineErrors } from '../errors.ts'
import { compileCalc } from '../expressions/index.ts'
import type { Operator, OperatorContext } from '../operator.ts'
import { beat } from '../progress.ts'
import { type Condition, compileCondition } from './conditions.ts'
import { batchRowCountMax, gatherOrNull, ordinals } from './emission.ts'

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
    let chunk = new Chunk(0, false)
    for (let row = 0; row < batch.rowCount; row++) {
      beat()
      let number = 0
      for (const element of elementsOf(valueAt(collection, row), type)) {
        if (chunk.picks.length === batchRowCountMax) chunk = this.emitChunk(batch, chunk, row, true)
        chunk.picks.push(row)
        chunk.elements.push(element)
        chunk.numbers.push(++number)
      }
    }
    if (batch.rowCount > 0) this.emitChunk(batch, chunk, batch.rowCount - 1, false)
  }

  /** Hands on what a chunk has. @param isOpen  the last of its rows has more elements. Returns the next one, which begins with that row. */
  private emitChunk(batch: Batch, chunk: Chunk, lastRow: number, isOpen: boolean): Chunk {
    beat()
    const { picks, elements, numbers } = chunk
    const columnsFor = (chosen: number[]): Column[] => [
      ...gatherOrNull(
        batch.columns,
        Int32Array.from(chosen, (i) => picks[i]),
      ),
      ...this.plan.outputFields.map((field, column) => {
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
    const hasKept = kept.length > 0 && picks[kept[kept.length - 1]] === lastRow
    const next = new Chunk(lastRow, hasKept || (chunk.firstRow === lastRow && chunk.hasKept))
    if (this.plan.kind === 'LEFT') kept = padded(chunk, isOpen ? lastRow - 1 : lastRow, kept)
    if (kept.length === 0) return next
    const { kinds, watermarksBefore, arrivals } = batch
    this.context.emit({
      ...batch,
      rowCount: kept.length,
      columns: columnsFor(kept),
      kinds: kinds && Uint8Array.from(kept, (i) => kinds[picks[i]]),
      watermarksBefore: watermarksBefore && Float64Array.from(kept, (i) => watermarksBefore[picks[i]]),
      // Rows that are still to come may not find that time has passed.
      watermarkAfter: isOpen ? (watermarksBefore?.[lastRow] ?? -Infinity) : batch.watermarkAfter,
      arrivals: arrivals && Int32Array.from(kept, (i) => arrivals[picks[i]]),
    })
    return next
  }

  advance(): void {}
}

/** Elements of some rows of a batch, one after the other: however many a row has, so many are in memory as rows at once. */
class Chunk {
  /** Rows of the batch, which may repeat. */
  readonly picks: number[] = []
  readonly elements: (unknown[] | undefined)[] = []
  /** Within their row, from 1. */
  readonly numbers: number[] = []
  /** The first row that it is about, and whether a chunk before has kept an element of that. */
  readonly firstRow: number
  readonly hasKept: boolean

  constructor(firstRow: number, hasKept: boolean) {
    this.firstRow = firstRow
    this.hasKept = hasKept
  }
}

/** Adds, for each row up to `lastRow` without an element, itself without one; in order of rows. */
function padded({ picks, elements, firstRow, hasKept }: Chunk, lastRow: number, kept: number[]): number[] {
  const result: number[] = []
  let at = 0
  for (let row = firstRow; row <= lastRow; row++) {
    const from = at
    while (at < kept.length && picks[kept[at]] === row) result.push(kept[at++])
    if (at > from || (row === firstRow && hasKept)) continue
    result.push(picks.push(row) - 1)
    elements.push(undefined)
  }
  // Those of a row that has more are there, and it is not over.
  return [...result, ...kept.slice(at)]
}

/** Elements of a collection as rows of its columns. Elements that are ROWs are spread; a NULL among them is no row. */
function* elementsOf(value: unknown, type: SqlType): Generator<unknown[]> {
  if (value === null || value === undefined) return
  if (type.kind === 'MAP') for (const [key, entry] of value as Map<unknown, unknown>) yield [key, entry]
  if (type.kind !== 'ARRAY' && type.kind !== 'MULTISET') return
  const isRow = type.element.kind === 'ROW'
  const rowOf = (one: unknown): unknown[] => (isRow ? (one as unknown[]) : [one])
  if (type.kind === 'ARRAY') {
    for (const one of value as unknown[]) if (!isRow || one !== null) yield rowOf(one)
  } else
    for (const [one, count] of value as Map<unknown, number>) if (!isRow || one !== null) for (let i = 0; i < count; i++) yield rowOf(one)
}
