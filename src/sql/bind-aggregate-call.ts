// One call of an aggregate: its arguments, what is no value (a separator, JSON behaviours), FILTER.

import { resolveAggregate } from './aggregates.ts'
import type { Expression, FunctionCall, Span } from './ast.ts'
import { bindExpression, functionName, jsonOptions } from './bind-expression.ts'
import type { Env } from './bind-scope.ts'
import { bindCondition } from './bind-subquery.ts'
import { sqlErrors } from './errors.ts'
import { castExpr, sameType } from './functions/index.ts'
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
  const isStar = name === 'COUNT' && call.args.length === 1 && call.args[0].type === 'star'
  const nodes = isStar ? [] : name === 'LISTAGG' ? call.args.slice(0, 1) : call.args
  const args = nodes.map(bindArgument ?? ((node) => bindExpression(node, env)))
  const { fn, type, argTypes } = resolveAggregate(
    name,
    args.map((arg) => arg.type),
    { distinct: call.distinct, nonEmpty: isNeverEmpty && call.filter === undefined, span },
  )
  const values = args.map((arg, i) => (sameType(arg.type, argTypes[i]) ? arg : castExpr(arg, argTypes[i], false, span)))
  const aggregate: AggregateCall = {
    fn,
    args: values.map(columnOf),
    // The smallest of several equal values is that of one.
    distinct: call.distinct && fn !== 'MIN' && fn !== 'MAX',
    type,
    argTypes: values.map((value) => value.type),
  }
  const options = optionsOf(name, call, env)
  if (options !== undefined) aggregate.options = options
  if (call.filter !== undefined) aggregate.filter = columnOf(bindCondition(call.filter, env, 'FILTER (WHERE …)'))
  return aggregate
}

function optionsOf(name: string, call: CallNode, env: Env): Record<string, unknown> | undefined {
  if (call.json !== undefined) return jsonOptions(call.json, env)
  if (call.nullTreatment === 'RESPECT NULLS') {
    throw sqlErrors('SQL_NOT_SUPPORTED', {
      what: `${name} RESPECT NULLS`,
      instead: 'FIRST_VALUE and LAST_VALUE leave out NULLs.',
      span: call.span,
    })
  }
  if (name !== 'LISTAGG' || call.args.length < 2) return undefined
  const separator = bindExpression(call.args[1], env)
  if (call.args.length > 2 || separator.kind !== 'literal' || typeof separator.value !== 'string') {
    throw sqlErrors('SQL_NOT_CONSTANT', { what: 'the separator of LISTAGG', expected: 'a text literal', span: call.args[1].span })
  }
  return { separator: separator.value }
}
