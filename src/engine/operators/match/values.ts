// What conditions and measures read from the rows of a match, and their evaluation.
import { batchOf, type Field, valueAt } from '../../../data/index.ts'
import type { Expr, MatchPlan, MatchValue } from '../../../sql/index.ts'
import { Accumulators, type AggregateLayout, layoutOf } from '../../aggregates/index.ts'
import { compileScalar } from '../../expressions/index.ts'
import type { Row } from '../rows.ts'

/** A row of a match and the variable that took it. */
export interface Taken {
  variable: number
  row: Row
}

/** Computes some expressions over the rows of a match, and the time (epoch ms) at which it is given out. */
export type Evaluate = (taken: readonly Taken[], timeMs: number) => unknown[]

type Read = (taken: readonly Taken[], timeMs: number) => unknown

function compileValues(values: readonly MatchValue[], exprs: readonly Expr[], input: readonly Field[], timeZone: string): Evaluate {
  const reads = values.map((value) => readOf(value, input))
  const fields = values.map((value, i): Field => ({ name: `value${i}`, type: value.kind === 'aggregate' ? value.call.type : value.type }))
  const scalars = exprs.map((expr) => compileScalar(expr, fields, { timeZone }))
  return (taken, timeMs) => {
    const batch = batchOf(fields, [reads.map((read) => read(taken, timeMs))])
    return scalars.map((scalar) => valueAt(scalar(batch), 0))
  }
}

function readOf(value: MatchValue, input: readonly Field[]): Read {
  if (value.kind === 'time') return (_, timeMs) => timeMs
  const { variables } = value
  const isOf = ({ variable }: Taken): boolean => variables === undefined || variables.includes(variable)
  if (value.kind === 'aggregate') {
    const layout: AggregateLayout = layoutOf([value.call], false)
    const groups = (count: number) => new Int32Array(count)
    return (taken) => {
      const rows = taken.filter(isOf).map(({ row }) => row)
      const accumulators = new Accumulators(layout)
      accumulators.reserve(1)
      accumulators.update({ columns: batchOf(input, rows).columns, rowCount: rows.length, groups: groups(rows.length) })
      return valueAt(accumulators.column(0, { from: 0, count: 1 }), 0)
    }
  }
  const { from, offset, column } = value
  return (taken) => {
    let left = offset
    const step = from === 'FIRST' ? 1 : -1
    for (let i = from === 'FIRST' ? 0 : taken.length - 1; i >= 0 && i < taken.length; i += step)
      if (isOf(taken[i]) && left-- === 0) return taken[i].row[column]
    return null
  }
}

export interface MatchExpressions {
  /** Whether a row fits a variable, given the rows taken before it. */
  fits(variable: number, taken: readonly Taken[], row: Row): boolean
  measures: Evaluate
}

export function compileMatch(spec: MatchPlan, input: readonly Field[], timeZone: string): MatchExpressions {
  const conditions = spec.define.map((one) => one && compileValues(one.values, [one.condition], input, timeZone))
  return {
    // A condition that is NULL is not met; a variable without one takes every row.
    fits: (variable, taken, row) => {
      const condition = conditions[variable]
      return condition === undefined || condition([...taken, { variable, row }], Number.NaN)[0] === true
    },
    measures: compileValues(spec.measures.values, spec.measures.exprs, input, timeZone),
  }
}
