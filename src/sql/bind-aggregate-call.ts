// One call of an aggregate: its arguments, what is no value (a separator, JSON behaviours), FILTER.

import { withNullable } from '../data/index.ts'
import { isAggregateFunction, resolveAggregate } from './aggregates.ts'
import type { Expression, FunctionCall, Span } from './ast.ts'
import { bindExpression, functionName, jsonOptions } from './bind-expression.ts'
import { userArguments, userDefinition, userOptions } from './bind-function.ts'
import type { BindContext, Env } from './bind-scope.ts'
import { bindCondition } from './bind-subquery.ts'
import { sqlErrors } from './errors.ts'
import { castExpr, isJson, sameType } from './functions/index.ts'
import type { AggregateCall, Expr } from './plan.ts'

type CallNode = FunctionCall & { span: Span }

interface AggregateContext {
  env: Env
  /** Binds an argument; MATCH_RECOGNIZE has its own way. */
  bindArgument?: (node: Expression) => Expr
  /** Makes a column of an expression. @returns its ordinal */
  columnOf: (expr: Expr) => number
  /** Are there always rows to aggregate? */
  isNeverEmpty: boolean
}

/** Is a call one of an aggregate, ours or the user's? */
export const isAggregateCall = (call: FunctionCall, context: BindContext): boolean =>
  isAggregateFunction(functionName(call)) || userDefinition(call, context, 'aggregate') !== undefined

/** @throws StreamError  SQL_AGGREGATE_ARGUMENTS, SQL_DISTINCT_UNSUPPORTED, SQL_NOT_CONSTANT, SQL_NOT_SUPPORTED */
export function bindAggregateCall(call: CallNode, { env, bindArgument, columnOf, isNeverEmpty }: AggregateContext): AggregateCall {
  const name = functionName(call)
  const { span } = call
  if (call.orderBy !== undefined) {
    throw sqlErrors('SQL_NOT_SUPPORTED', {
      what: `ORDER BY inside ${name}`,
      instead: 'Rows are taken in the order in which they arrive.',
      span: call.orderBy[0].span,
    })
  }
  const [first] = call.args
  const isStar = name === 'COUNT' && call.args.length === 1 && first.type === 'star' && first.qualifier === undefined
  const own = isAggregateFunction(name) ? undefined : userDefinition(call, env.context, 'aggregate')
  if (own) {
    const bound = call.args.map(bindArgument ?? ((node) => bindExpression(node, env)))
    const values = userArguments(own, bound, span)
    const aggregate: AggregateCall = {
      fn: 'USER',
      args: values.map(columnOf),
      distinct: call.distinct,
      type: own.signature!.returns,
      argTypes: values.map((value) => value.type),
      options: userOptions(own),
    }
    if (call.filter !== undefined) aggregate.filter = columnOf(bindCondition(call.filter, env, 'FILTER (WHERE …)'))
    return aggregate
  }
  if (call.args.length === 0 && name === 'COUNT')
    throw sqlErrors('SQL_AGGREGATE_ARGUMENTS', { name, types: '', expected: '* or one value', span })
  // What is constant is no column: LISTAGG's separator, PERCENTILE's share.
  const constantAt = name === 'LISTAGG' || name === 'PERCENTILE' ? 1 : -1
  const nodes = isStar ? [] : call.args.filter((_, i) => i !== constantAt && (name !== 'LISTAGG' || i === 0))
  const args = nodes.map(bindArgument ?? ((node) => bindExpression(node, env)))
  if (args.some((arg) => arg.kind === 'literal' && arg.type.kind === 'NULL')) throw sqlErrors('SQL_NULL_UNTYPED', { where: name, span })
  const {
    fn,
    type: resultType,
    argTypes,
  } = resolveAggregate(
    name,
    args.map((arg) => arg.type),
    {
      shares: name === 'PERCENTILE' && call.args[1]?.type === 'array',
      distinct: call.distinct,
      nonEmpty: isNeverEmpty && call.filter === undefined,
      span,
    },
  )
  // Of no row that passes the filter it is NULL.
  const type = fn === 'ARRAY_AGG' && call.filter !== undefined ? withNullable(resultType, true) : resultType
  const values = args.map((arg, i) => (sameType(arg.type, argTypes[i]) ? arg : castExpr(arg, argTypes[i], false, span)))
  const aggregate: AggregateCall = {
    fn,
    args: values.map(columnOf),
    // The smallest of several equal values is that of one.
    distinct: call.distinct && fn !== 'MIN' && fn !== 'MAX',
    type,
    argTypes: values.map((value) => value.type),
  }
  const options = optionsOf(name, call, env, args.at(-1))
  if (options !== undefined) aggregate.options = options
  if (call.filter !== undefined) aggregate.filter = columnOf(bindCondition(call.filter, env, 'FILTER (WHERE …)'))
  return aggregate
}

/** PERCENTILE's second argument: a number from 0 to 1, or an ARRAY of such. */
function percentilesOf(call: CallNode, env: Env): Record<string, unknown> {
  const node = call.args[1]
  const shares = (node?.type === 'array' ? node.items : node ? [node] : []).map((item) => {
    const { kind, type, ...rest } = bindExpression(item, env)
    const value = (rest as { value?: unknown }).value
    const share = kind === 'literal' ? Number(value) / (type.kind === 'DECIMAL' ? 10 ** type.scale : 1) : Number.NaN
    if (!(share >= 0 && share <= 1))
      throw sqlErrors('SQL_NOT_CONSTANT', {
        what: 'the share of PERCENTILE',
        expected: 'a number from 0 to 1, or an ARRAY of such',
        span: item.span,
      })
    return share
  })
  return { shares }
}

/** `options.raw`: the value of a JSON aggregate is JSON already. */
function optionsOf(name: string, call: CallNode, env: Env, last: Expr | undefined): Record<string, unknown> | undefined {
  if (name === 'JSON_OBJECTAGG' || name === 'JSON_ARRAYAGG')
    return { ...(call.json && jsonOptions(call.json, env)), ...(last && isJson(last) && { raw: true }) }
  if (call.nullTreatment !== undefined && name !== 'ARRAY_AGG') {
    throw sqlErrors('SQL_NOT_SUPPORTED', {
      what: `${name} ${call.nullTreatment}`,
      instead: 'Only ARRAY_AGG lets one choose; FIRST_VALUE and LAST_VALUE leave out NULLs.',
      span: call.span,
    })
  }
  if (call.nullTreatment === 'IGNORE NULLS') return { nullTreatment: call.nullTreatment }
  if (name === 'PERCENTILE') return percentilesOf(call, env)
  if (name !== 'LISTAGG' || call.args.length < 2) return undefined
  const separator = bindExpression(call.args[1], env)
  if (call.args.length > 2 || separator.kind !== 'literal' || typeof separator.value !== 'string') {
    throw sqlErrors('SQL_NOT_CONSTANT', { what: 'the separator of LISTAGG', expected: 'a text literal', span: call.args[1].span })
  }
  return { separator: separator.value }
}
