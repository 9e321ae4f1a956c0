// OVER: all window functions of one SELECT, which must share one window.
//
// The node is a logical one: `optimize-rank.ts` turns ROW_NUMBER with a filter into Top-N or deduplication, and checks what remains.

import { nearestName } from '../base/index.ts'
import type { Field } from '../data/index.ts'
import { formatType } from '../data/index.ts'
import { aggregateFunctionNames, isRankingFunction, resolveRanking } from './aggregates.ts'
import type { Expression, FrameBound, FunctionCall, Identifier, SelectQuery, Span, WindowSpec } from './ast.ts'
import { walk } from './ast-walk.ts'
import { bindAggregateCall, isAggregateCall } from './bind-aggregate-call.ts'
import { bindExpression, functionName } from './bind-expression.ts'
import { columnsOfPlan, project } from './bind-plan.ts'
import { sortKey } from './bind-query.ts'
import type { Env } from './bind-scope.ts'
import type { Stage } from './bind-subquery.ts'
import { stageOf } from './bind-subquery.ts'
import { sqlErrors } from './errors.ts'
import { columnExpr, exprKey } from './expr.ts'
import { coerce, isScalarFunction } from './functions/index.ts'
import type { AggregateCall, Expr, OverFrame, Plan, SortKey } from './plan.ts'

type CallNode = FunctionCall & { span: Span; over: WindowSpec | Identifier }

function overCalls(query: SelectQuery): CallNode[] {
  const calls: CallNode[] = []
  const nodes: Expression[] = [...query.items, ...query.orderBy].map((item) => item.expression)
  if (query.qualify) nodes.push(query.qualify)
  for (const node of nodes) {
    walk(node, (part) => {
      if (part.type !== 'call' || part.over === undefined) return true
      calls.push(part as CallNode)
      return false
    })
  }
  return calls
}

/**
 * The stage with a column for each function with OVER; the stage itself if there is none.
 *
 * @throws StreamError  SQL_OVER_WINDOWS_DIFFER, SQL_OVER_UNSUPPORTED, SQL_AGGREGATE_ARGUMENTS and others
 */
export function bindOver(stage: Stage, query: SelectQuery): Stage {
  refuseTwice(query.windows)
  const calls = overCalls(query)
  if (calls.length === 0) return stage
  const { env } = stage
  const bound = calls.map((call) => {
    const spec = specOf(call.over, query)
    return { call, spec, window: bindWindowSpec(call, spec, env) }
  })
  const [{ window, spec }] = bound
  const other = bound.find((one) => windowKey(one.window) !== windowKey(window))
  if (other !== undefined) throw sqlErrors('SQL_OVER_WINDOWS_DIFFER', { span: other.call.span })

  // Columns that the node needs and the rows do not have yet are appended.
  const base = stage.plan
  const exprs = columnsOfPlan(base)
  const ordinals = new Map(exprs.map((expr, i) => [exprKey(expr), i]))
  const columnOf = (expr: Expr): number => {
    const key = exprKey(expr)
    if (!ordinals.has(key)) ordinals.set(key, exprs.push(expr) - 1)
    return ordinals.get(key)!
  }
  const partitionKeys = window.partitionBy.map(columnOf)
  const orderBy = window.orderBy.map(({ expr, key }): SortKey => ({ ...key, column: columnOf(expr) }))
  const aggregates = bound.map(({ call, spec: own }) => overAggregate(call, own, env, columnOf))
  const names = exprs.map((_, i) => base.fields[i]?.name ?? `$f${i}`)
  const input = exprs.length === base.fields.length ? base : project(base, exprs, names)
  const isTime = orderBy.length === 1 && input.fields[orderBy[0].column].timeAttribute !== undefined
  const fields: Field[] = [...input.fields, ...aggregates.map(({ fn, type }, i) => ({ name: `$${fn.toLowerCase()}${i}`, type }))]
  const plan: Plan = {
    node: 'over',
    input,
    partitionKeys,
    orderBy,
    frame: { ...window.frame, timeOrdered: isTime },
    aggregates,
    fields,
    changelog: 'append',
    span: spec.span,
  }
  const columns = new Map<Expression, Expr>(
    bound.map(({ call }, i) => [call as Expression, columnExpr(exprs.length + i, aggregates[i].type)]),
  )
  return stageOf(plan, { ...env, intercept: (node, inner) => columns.get(node) ?? env.intercept?.(node, inner) })
}

/** As in Flink, windows of one WINDOW clause differ, and so do their names. */
function refuseTwice(windows: SelectQuery['windows']): void {
  const textOf = ({ spec }: SelectQuery['windows'][number]) => JSON.stringify(spec, (key, value) => (key === 'span' ? undefined : value))
  windows.forEach(({ name, spec }, i) => {
    const before = windows.slice(0, i)
    const refuse = (reason: string, instead: string): Error => sqlErrors('SQL_OVER_UNSUPPORTED', { reason, instead, span: name.span })
    if (before.some((one) => one.name.name === name.name)) throw refuse(`there are two windows ${name.name}`, 'Give one another name.')
    const same = before.find((one) => textOf(one) === textOf({ name, spec }))
    if (same !== undefined) throw refuse(`${name.name} is the same window as ${same.name.name}`, `Use ${same.name.name} for both.`)
  })
}

/** The window of a call, with what a named window adds. */
function specOf(over: WindowSpec | Identifier, query: SelectQuery): WindowSpec {
  const named = ({ name, span }: Identifier): WindowSpec => {
    const window = query.windows.find((one) => one.name.name === name)
    if (window !== undefined) return specOf(window.spec, query)
    const nearest = nearestName(
      name,
      query.windows.map((one) => one.name.name),
    )
    throw sqlErrors('SQL_WINDOW_NAME_NOT_FOUND', { name, nearest, span })
  }
  if ('name' in over) return named(over)
  if (over.base === undefined) return over
  const base = named(over.base)
  const { name } = over.base
  const refuse = (reason: string, instead: string): Error => sqlErrors('SQL_OVER_UNSUPPORTED', { reason, instead, span: over.span })
  if (base.frame !== undefined) throw refuse(`${name} has a frame of its own`, `Use ${name} as it is, or leave its frame out.`)
  if (over.partitionBy.length > 0) throw refuse(`it has a PARTITION BY beside that of ${name}`, 'Leave one of them out.')
  if (over.orderBy.length > 0 && base.orderBy.length > 0)
    throw refuse(`it has an ORDER BY beside that of ${name}`, 'Leave one of them out.')
  return {
    ...over,
    base: undefined,
    partitionBy: base.partitionBy,
    orderBy: over.orderBy.length > 0 ? over.orderBy : base.orderBy,
    frame: over.frame,
  }
}

interface BoundWindow {
  partitionBy: Expr[]
  orderBy: { expr: Expr; key: SortKey }[]
  frame: Omit<OverFrame, 'timeOrdered'>
}
const windowKey = ({ partitionBy, orderBy, frame }: BoundWindow): string =>
  JSON.stringify([partitionBy.map(exprKey), orderBy.map(({ expr, key }) => [exprKey(expr), key]), frame])

function bindWindowSpec(call: CallNode, spec: WindowSpec, env: Env): BoundWindow {
  const partitionBy = spec.partitionBy.map((node) => bindExpression(node, env))
  const orderBy = spec.orderBy.map((item) => ({ expr: bindExpression(item.expression, env), key: sortKey(0, item) }))
  const unsupported = (reason: string, instead: string): Error => sqlErrors('SQL_OVER_UNSUPPORTED', { reason, instead, span: spec.span })
  const { frame } = spec
  if (orderBy.length > 0 && orderBy.every(({ expr }) => expr.kind === 'literal'))
    throw unsupported('its order is the same for all rows', 'Order it by a time attribute, or any column.')
  // Functions that number rows take no frame: they see all rows up to their own.
  if (isRankingFunction(functionName(call))) {
    if (frame !== undefined) throw unsupported(`${functionName(call)} takes no frame`, 'Leave out ROWS and RANGE.')
    // LAG and the ranks may share a window with aggregates that have no frame; ROW_NUMBER tells rows of equal time apart.
    return { partitionBy, orderBy, frame: { unit: functionName(call) === 'ROW_NUMBER' ? 'ROWS' : 'RANGE' } }
  }
  if (frame === undefined) return { partitionBy, orderBy, frame: { unit: 'RANGE' } }
  if (frame.end.kind !== 'CURRENT ROW')
    throw unsupported('it ends after the present row', 'End it with CURRENT ROW: later rows are not known.')
  if (frame.start.kind === 'CURRENT ROW')
    throw unsupported('it begins with the present row', "Begin it with 0 PRECEDING, or with INTERVAL '0' SECOND PRECEDING.")
  const preceding = precedingOf(frame.unit, frame.start, env, unsupported)
  return { partitionBy, orderBy, frame: { unit: frame.unit, ...(preceding !== undefined && { preceding }) } }
}

/** Rows, or milliseconds; undefined for UNBOUNDED. */
function precedingOf(
  unit: 'ROWS' | 'RANGE',
  start: FrameBound,
  env: Env,
  unsupported: (reason: string, instead: string) => Error,
): number | undefined {
  if (start.kind === 'UNBOUNDED PRECEDING') return undefined
  if (start.kind === 'CURRENT ROW') return 0
  if (start.kind !== 'PRECEDING') throw unsupported('it begins after the present row', 'Begin it with … PRECEDING.')
  const value = bindExpression(start.value, env)
  const kind = unit === 'ROWS' ? 'INT' : 'INTERVAL_DAY_TIME'
  if (value.kind !== 'literal' || value.type.kind !== kind || (value.value as number) < 0) {
    throw sqlErrors('SQL_NOT_CONSTANT', {
      what: `the bound of ${unit}`,
      expected: unit === 'ROWS' ? 'a number of rows' : "an interval, such as INTERVAL '1' HOUR",
      span: start.value.span,
    })
  }
  return value.value as number
}

function overAggregate(call: CallNode, spec: WindowSpec, env: Env, columnOf: (expr: Expr) => number): AggregateCall {
  const fn = functionName(call)
  const { span } = call
  if (call.filter)
    throw sqlErrors('SQL_OVER_UNSUPPORTED', {
      reason: 'FILTER and OVER do not go together',
      instead: `Write ${fn}(CASE WHEN … THEN … END) OVER (…).`,
      span: call.filter.span,
    })
  // Flink takes a frame that begins a number of rows before for one that may be empty: its results can be NULL.
  const isNeverEmpty = spec.frame?.start.kind !== 'PRECEDING'
  if (fn === 'JSON_OBJECTAGG' || fn === 'JSON_ARRAYAGG')
    throw sqlErrors('SQL_OVER_UNSUPPORTED', {
      reason: `${fn} is not computed row by row`,
      instead: 'Use it with GROUP BY, or ARRAY_AGG and JSON_STRING.',
      span,
    })
  if (isAggregateCall(call, env.context)) return bindAggregateCall(call, { env, columnOf, isNeverEmpty })
  if (!isRankingFunction(fn)) {
    const { span } = call.name
    if (isScalarFunction(fn)) throw sqlErrors('SQL_AGGREGATE_EXPECTED', { name: fn, beside: 'OVER', span })
    throw sqlErrors('SQL_FUNCTION_NOT_FOUND', { fn, nearest: nearestName(fn, aggregateFunctionNames()), span })
  }
  if (fn === 'LEAD') {
    throw sqlErrors('SQL_OVER_UNSUPPORTED', {
      reason: 'LEAD looks at later rows',
      instead: 'Use LAG with the order turned round, or MATCH_RECOGNIZE.',
      span,
    })
  }
  const args = call.args.map((arg) => bindExpression(arg, env))
  const types = args.map((arg) => arg.type)
  const { type } = resolveRanking(fn, types, span)
  if (fn !== 'LAG') return { fn, args: args.map(columnOf), distinct: false, type, argTypes: types }
  const fallback = args[2] && coerce(args[2], type)
  if (args[2] !== undefined && fallback === undefined) {
    throw sqlErrors('SQL_AGGREGATE_ARGUMENTS', {
      name: fn,
      types: types.map(formatType).join(', '),
      expected: 'a default of the type of the value',
      span,
    })
  }
  const values = fallback ? [args[0], fallback] : [args[0]]
  const argTypes = values.map((value) => value.type)
  return { fn, args: values.map(columnOf), distinct: false, type, argTypes, options: { offset: offsetOf(args[1], call) } }
}

function offsetOf(arg: Expr | undefined, call: CallNode): number {
  if (arg === undefined) return 1
  if (arg.kind === 'literal' && typeof arg.value === 'number' && arg.value >= 0) return arg.value
  throw sqlErrors('SQL_NOT_CONSTANT', { what: 'the offset of LAG', expected: 'a number of rows', span: call.args[1].span })
}
