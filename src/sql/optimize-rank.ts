// ROW_NUMBER with a filter on its number: Top-N, or deduplication where one row is kept by time. And the checks of what stays an OVER.
import { t } from '../data/index.ts'
import { columnsOfPlan, filter, project } from './bind-plan.ts'
import { sqlErrors } from './errors.ts'
import { andAll, conjuncts, literalExpr } from './expr.ts'
import { annotateNode } from './optimize-traits.ts'
import { isWindowed, windowColumns, windowsOf } from './optimize-windows.ts'
import type { Expr, Plan } from './plan.ts'

type Node<N extends Plan['node']> = Extract<Plan, { node: N }>

interface Range {
  from: number
  to: number
}

/**
 * The calc over an OVER as a calc over Top-N or deduplication; undefined where no filter bounds the row number.
 *
 * @param over  its input is physical already
 * @throws StreamError  SQL_RANK_UNSUPPORTED, SQL_OVER_UNSUPPORTED where the number is bounded below only
 */
export function rankedCalc(calc: Node<'calc'>, over: Node<'over'>): Plan | undefined {
  const rankColumn = over.input.fields.length
  if (over.aggregates.length !== 1) return undefined
  const [{ fn }] = over.aggregates
  if (!['ROW_NUMBER', 'RANK', 'DENSE_RANK'].includes(fn)) return undefined
  const range: Range = { from: 1, to: Number.POSITIVE_INFINITY }
  const rest = conjuncts(calc.predicate).filter((part) => !narrowed(part, rankColumn, range))
  if (!Number.isFinite(range.to)) {
    if (rest.length === conjuncts(calc.predicate).length) return undefined
    throw sqlErrors('SQL_OVER_UNSUPPORTED', {
      reason: `the condition on ${fn} has no upper bound`,
      instead: 'Say which rows come last: WHERE rn <= N.',
      span: over.span,
    })
  }
  if (fn !== 'ROW_NUMBER') throw sqlErrors('SQL_RANK_UNSUPPORTED', { fn, span: over.span })
  const ranked = rankPlan(over, range)
  const filtered = filter(ranked, andAll(rest))
  const plan = project(
    filtered === ranked ? ranked : annotateNode(filtered),
    calc.projections,
    calc.fields.map((field) => field.name),
  )
  return annotateNode({ ...plan, fields: calc.fields })
}

/** Takes a bound on the row number out of a condition. @returns false if the condition says something else */
function narrowed(part: Expr, rankColumn: number, range: Range): boolean {
  if (part.kind !== 'call' || part.args.length !== 2) return false
  const [a, b] = part.args
  const isLeft = isColumn(a, rankColumn)
  const value = isLeft ? constantOf(b) : isColumn(b, rankColumn) ? constantOf(a) : undefined
  if (value === undefined) return false
  switch (isLeft ? part.fn : MIRRORED[part.fn]) {
    case 'EQUALS':
      range.from = Math.max(range.from, Math.ceil(value))
      range.to = Math.min(range.to, Math.floor(value))
      return true
    case 'LESS':
      range.to = Math.min(range.to, Math.ceil(value) - 1)
      return true
    case 'LESS_OR_EQUAL':
      range.to = Math.min(range.to, Math.floor(value))
      return true
    case 'GREATER':
      range.from = Math.max(range.from, Math.floor(value) + 1)
      return true
    case 'GREATER_OR_EQUAL':
      range.from = Math.max(range.from, Math.ceil(value))
      return true
    default:
      return false
  }
}

const MIRRORED: Record<string, string> = {
  EQUALS: 'EQUALS',
  LESS: 'GREATER',
  LESS_OR_EQUAL: 'GREATER_OR_EQUAL',
  GREATER: 'LESS',
  GREATER_OR_EQUAL: 'LESS_OR_EQUAL',
}
const uncast = (expr: Expr): Expr => (expr.kind === 'call' && expr.fn === 'CAST' ? uncast(expr.args[0]) : expr)
const isColumn = (expr: Expr, index: number): boolean => {
  const inner = uncast(expr)
  return inner.kind === 'column' && inner.index === index
}
/** A number, under casts; of text in a cast, what it says. */
function constantOf(expr: Expr): number | undefined {
  const inner = uncast(expr)
  if (inner.kind !== 'literal' || inner.value === null) return undefined
  const { type, value } = inner
  if (['INT', 'BIGINT', 'DOUBLE'].includes(type.kind)) return Number(value)
  if (type.kind === 'DECIMAL') return Number(value) / 10 ** type.scale
  const isDigits = (type.kind === 'CHAR' || type.kind === 'VARCHAR') && /^\s*\d+\s*$/.test(String(value))
  return isDigits ? Number(value) : undefined
}

/** The rows with those numbers; fields are those of the OVER. */
function rankPlan(over: Node<'over'>, { from, to }: Range): Plan {
  const { input, partitionKeys, orderBy } = over
  const rank = over.fields[input.fields.length]
  const at = over.span && { span: over.span }
  if (to < 1)
    throw sqlErrors('SQL_OVER_UNSUPPORTED', {
      reason: `no row has a number of ${to} or less`,
      instead: 'Rows are counted from 1.',
      span: over.span,
    })
  if (to < from) {
    // No row has such a number.
    return annotateNode(filter(withRank(input, rank.name, 1), literalExpr(false, t.boolean(false))))
  }
  if (orderBy.length === 0)
    throw sqlErrors('SQL_OVER_UNSUPPORTED', {
      reason: 'ROW_NUMBER() has no ORDER BY',
      instead: 'Say which rows come first: ORDER BY a time attribute, or any column.',
      span: over.span,
    })
  const windows = windowsOf(input)
  const windowed = isWindowed(partitionKeys, windows) ? windowColumns(windows) : undefined
  const time = orderBy.length === 1 ? input.fields[orderBy[0].column].timeAttribute : undefined
  const isFirst = from === 1 && to === 1
  if (isFirst && time !== undefined && windowed === undefined && input.changelog === 'append') {
    const [{ column, descending }] = orderBy
    const plan = annotateNode({
      node: 'deduplicate',
      input,
      keys: partitionKeys,
      timeColumn: column,
      keep: descending ? 'last' : 'first',
      processingTime: time === 'processing',
      fields: input.fields,
      changelog: 'append',
      ...at,
    })
    return withRank(plan, rank.name, 1)
  }
  return annotateNode({
    node: 'topN',
    input,
    partitionKeys,
    orderBy,
    from,
    to,
    rankColumn: true,
    ...(windowed && { windowed }),
    ...(windowed && isFirst && time !== undefined && orderBy[0].descending && { lastOfTies: true }),
    fields: [...input.fields, rank],
    changelog: 'append',
    ...at,
  })
}

const withRank = (input: Plan, name: string, rank: number): Plan =>
  annotateNode(
    project(
      input,
      [...columnsOfPlan(input), literalExpr(BigInt(rank), t.bigint(false))],
      [...input.fields.map((field) => field.name), name],
    ),
  )

/** @throws StreamError  SQL_OVER_UNSUPPORTED for what no stream can compute */
export function checkOver(over: Node<'over'>): void {
  const unsupported = (reason: string, instead: string): Error => sqlErrors('SQL_OVER_UNSUPPORTED', { reason, instead, span: over.span })
  const { orderBy, frame, aggregates } = over
  const ranking = aggregates.find(({ fn }) => ['PERCENT_RANK', 'CUME_DIST', 'NTILE'].includes(fn))
  if (ranking !== undefined) throw unsupported(`${ranking.fn} is not computed row by row`, 'Use ROW_NUMBER(), or COUNT(*) OVER (…).')
  if (orderBy.length === 0) throw unsupported('it has no ORDER BY', 'Order it by a time attribute, or use GROUP BY.')
  if (orderBy.length > 1)
    throw unsupported(
      'it is ordered by several columns',
      'Order it by one column; with ROW_NUMBER and WHERE rn <= N it is a Top-N, which takes several.',
    )
  if (frame.timeOrdered && orderBy[0].descending) throw unsupported('it is ordered by time, latest first', 'Order by time ascending.')
  const isNumber = aggregates.some(({ fn }) => fn === 'ROW_NUMBER')
  if (!frame.timeOrdered && orderBy[0].descending)
    throw unsupported('its order is descending', isNumber ? 'Keep the first ones of it: WHERE rn <= N.' : 'Order it ascending.')
  if (!frame.timeOrdered && isNumber)
    throw unsupported('later rows change the numbers of all', 'Order it by a time attribute, or keep the first ones: WHERE rn <= N.')
  if (!frame.timeOrdered && frame.unit === 'ROWS')
    throw unsupported(
      'ROWS needs an order by time',
      'Order it by a time attribute, or leave out the frame: rows up to the present one in the order.',
    )
  if (!frame.timeOrdered && frame.preceding !== undefined)
    throw unsupported('a bounded frame needs an order by time', 'Order by a time attribute, or begin the frame with UNBOUNDED PRECEDING.')
}
