// Expressions: from the tree as written to typed calls over ordinals.

import { t } from '../data/index.ts'
import { aggregateFunctionNames, isAggregateFunction, isRankingFunction } from './aggregates.ts'
import type { BinaryOperator, Expression, FunctionCall, JsonBehaviour, JsonOptions, QualifiedName, Span, UnaryOperator } from './ast.ts'
import { refuseUserFunction, userCall, userDefinition } from './bind-function.ts'
import { bindLiteral, isLeastBigint, leastBigint, negatedLiteral } from './bind-literal.ts'
import type { Env, SubqueryNode } from './bind-scope.ts'
import { bindColumn, fieldOf } from './bind-scope.ts'
import { sqlErrors } from './errors.ts'
import { literalExpr } from './expr.ts'
import { castExpr, isScalarFunction, meantFunction, resolveCall, scalarFunctionNames } from './functions/index.ts'
import type { Expr } from './plan.ts'

export const BINARY: Record<BinaryOperator, string> = {
  '+': 'PLUS',
  '-': 'MINUS',
  '*': 'TIMES',
  '/': 'DIVIDE',
  '%': 'MOD',
  '||': 'CONCAT_OPERATOR',
  '=': 'EQUALS',
  '<>': 'NOT_EQUALS',
  '<': 'LESS',
  '<=': 'LESS_OR_EQUAL',
  '>': 'GREATER',
  '>=': 'GREATER_OR_EQUAL',
  AND: 'AND',
  OR: 'OR',
  'IS DISTINCT FROM': 'IS_DISTINCT_FROM',
  'IS NOT DISTINCT FROM': 'IS_NOT_DISTINCT_FROM',
  OVERLAPS: 'OVERLAPS',
}
const UNARY: Record<UnaryOperator, string> = {
  '+': 'UNARY_PLUS',
  '-': 'UNARY_MINUS',
  NOT: 'NOT',
  'IS NULL': 'IS_NULL',
  'IS NOT NULL': 'IS_NOT_NULL',
  'IS TRUE': 'IS_TRUE',
  'IS NOT TRUE': 'IS_NOT_TRUE',
  'IS FALSE': 'IS_FALSE',
  'IS NOT FALSE': 'IS_NOT_FALSE',
  'IS UNKNOWN': 'IS_UNKNOWN',
  'IS NOT UNKNOWN': 'IS_NOT_UNKNOWN',
}
/** SIMILAR TO is a word of its own in the text; RLIKE is read, and is no function of Flink's. */
const LIKE = { LIKE: 'LIKE', 'SIMILAR TO': 'SIMILAR', RLIKE: 'RLIKE' } as const

/**
 * Binds one expression.
 *
 * @throws StreamError  SQL_COLUMN_NOT_FOUND and others, with the position of the part that is wrong
 */
export function bindExpression(node: Expression, env: Env): Expr {
  if (node.type === 'column') return env.alias?.(node) ?? (isPi(node.name, env) ? resolveCall('PI', []) : bindColumn(node.name, env))
  return env.intercept?.(node, env) ?? bindNode(node, env)
}

/** PI needs no parentheses, unless a column has this name. */
const isPi = (name: QualifiedName, env: Env): boolean =>
  name.parts.length === 1 &&
  name.parts[0].name.toUpperCase() === 'PI' &&
  !env.scope.tables.some((table) => table.columns.some((column) => column.name === name.parts[0].name))

function bindNode(node: Exclude<Expression, { type: 'column' }>, env: Env): Expr {
  const { span } = node
  const bind = (part: Expression): Expr => bindExpression(part, env)
  switch (node.type) {
    case 'literal':
      return bindLiteral(node.value, span)
    case 'field':
      return fieldOf(bind(node.operand), node.name, span)
    case 'element':
      return resolveCall('ITEM', [bind(node.operand), bind(node.index)], { span })
    case 'unary': {
      if (isLeastBigint(node)) return leastBigint()
      const operand = bind(node.operand)
      return (node.operator === '-' ? negatedLiteral(operand) : undefined) ?? resolveCall(UNARY[node.operator], [operand], { span })
    }
    case 'binary':
      if (node.operator === 'OVERLAPS') return resolveCall('OVERLAPS', [node.left, node.right].flatMap(itemsOf).map(bind), { span })
      return resolveCall(BINARY[node.operator], [bind(node.left), bind(node.right)], { span })
    case 'between': {
      const name = node.symmetric ? 'BETWEEN_SYMMETRIC' : 'BETWEEN'
      return negateIf(node.negated, resolveCall(name, [bind(node.operand), bind(node.low), bind(node.high)], { span }), span)
    }
    case 'like': {
      const args = [node.operand, node.pattern, ...(node.escape ? [node.escape] : [])].map(bind)
      return negateIf(node.negated, resolveCall(LIKE[node.operator], args, { span }), span)
    }
    case 'in':
      if (node.query !== undefined) return bindSubquery(node as SubqueryNode, env)
      return negateIf(node.negated, bindInList(node.left, node.list!, env, span), span)
    case 'exists':
    case 'subquery':
    case 'quantified':
      return bindSubquery(node, env)
    case 'case':
      return bindCase(node, env)
    case 'cast':
      return castExpr(bind(node.operand), node.target.type, node.safe, span)
    case 'call':
      return bindCall(node, env)
    case 'rowValue':
      return resolveCall('ROW', node.items.map(bind), { span })
    case 'array':
      return resolveCall('ARRAY', node.items.map(bind), { span })
    case 'map':
      return resolveCall(
        'MAP',
        node.entries.flatMap(({ key, value }) => [bind(key), bind(value)]),
        { span },
      )
    default:
      throw sqlErrors('SQL_EXPRESSION_MISPLACED', { what: misplaced[node.type], span })
  }
}

const misplaced = {
  star: '*',
  keyword: 'a keyword argument',
  namedArgument: 'a named argument',
  tableArgument: 'a TABLE argument',
  descriptor: 'DESCRIPTOR',
} as const

const itemsOf = (node: Expression): Expression[] => (node.type === 'rowValue' ? node.items : [node])

const negateIf = (negated: boolean, expr: Expr, span: Span): Expr => (negated ? resolveCall('NOT', [expr], { span }) : expr)

function bindSubquery(node: SubqueryNode, env: Env): Expr {
  if (env.subquery === undefined) throw sqlErrors('SQL_SUBQUERY_MISPLACED', { span: node.span })
  return env.subquery(node, env)
}

/** `a IN (1, 2)`; rows `(a, b) IN ((1, 2), (3, 4))` are compared column by column. */
function bindInList(left: Expression, list: readonly Expression[], env: Env, span: Span): Expr {
  if (left.type !== 'rowValue')
    return resolveCall('IN', [bindExpression(left, env), ...list.map((item) => bindExpression(item, env))], { span })
  const columns = left.items.map((item) => bindExpression(item, env))
  const alternatives = list.map((item) => {
    const values = itemsOf(item)
    if (values.length !== columns.length) {
      throw sqlErrors('SQL_COLUMN_COUNT', {
        what: 'the row in the IN list',
        actual: values.length,
        expected: columns.length,
        span: item.span,
      })
    }
    return values.map((value, i) => resolveCall('EQUALS', [columns[i], bindExpression(value, env)], { span: item.span })).reduce(and)
  })
  return alternatives.reduce((a, b) => resolveCall('OR', [a, b], { span }))
}
const and = (a: Expr, b: Expr): Expr => resolveCall('AND', [a, b], {})

function bindCase(node: Extract<Expression, { type: 'case' }>, env: Env): Expr {
  const operand = node.operand && bindExpression(node.operand, env)
  const args = node.branches.flatMap(({ when, then }) => {
    const condition = bindExpression(when, env)
    return [operand ? resolveCall('EQUALS', [operand, condition], { span: when.span }) : condition, bindExpression(then, env)]
  })
  args.push(node.otherwise ? bindExpression(node.otherwise, env) : literalExpr(null, t.null()))
  return resolveCall('CASE', args, { span: node.span })
}

/** Keyword arguments (EXTRACT's unit, TRIM's BOTH) are no values: they become options, under the name of what they say. */
function bindCall(node: FunctionCall & { span: Span }, env: Env): Expr {
  const name = functionName(node)
  if (isAggregateFunction(name) || isRankingFunction(name)) {
    if (node.over === undefined && isRankingFunction(name)) throw sqlErrors('SQL_OVER_MISSING', { name, span: node.span })
    throw sqlErrors('SQL_AGGREGATE_MISPLACED', { name, span: node.span })
  }
  if (!isScalarFunction(name) && !name.startsWith('IS JSON ') && name !== 'MINUS DATES') {
    const own = userDefinition(node, env.context, 'scalar')
    if (own)
      return userCall(
        own,
        node.args.map((arg) => bindExpression(arg, env)),
        node.span,
      )
    refuseUserFunction(node, env.context)
    if (name === 'PARSE_JSON' || name === 'TRY_PARSE_JSON')
      throw sqlErrors('SQL_NOT_SUPPORTED', {
        what: `${name}, and its type VARIANT,`,
        instead: 'Keep the JSON as STRING, and read it with JSON_VALUE, JSON_QUERY and JSON_EXISTS.',
        span: node.name.span,
      })
    refuseWindow(name, node.span)
    const nearest = meantFunction(name, [...scalarFunctionNames(), ...aggregateFunctionNames(), ...env.context.catalog.functionNames()])
    throw sqlErrors('SQL_FUNCTION_NOT_FOUND', { fn: name, nearest, span: node.name.span })
  }
  const beside = node.filter ? 'FILTER' : node.over ? 'OVER' : node.distinct ? 'DISTINCT' : undefined
  if (beside) throw sqlErrors('SQL_AGGREGATE_EXPECTED', { name, beside, span: node.span })
  const options: Record<string, unknown> = {}
  const args: Expr[] = []
  for (const arg of node.args) {
    if (arg.type === 'keyword') options[name === 'TRIM' ? 'trim' : 'unit'] = arg.name
    else args.push(bindExpression(arg, env))
  }
  if (node.json !== undefined) Object.assign(options, jsonOptions(node.json, env))
  return resolveCall(name, args, { span: node.span, options })
}

/** The older window functions mean something only in GROUP BY, and to a query that has them there. */
function refuseWindow(name: string, span: Span): void {
  const [, window, part] = /^(TUMBLE|HOP|SESSION)(_START|_END|_ROWTIME|_PROCTIME)?$/.exec(name) ?? []
  if (window === undefined) return
  if (part !== undefined) throw sqlErrors('SQL_WINDOW_NOT_GROUPED', { fn: name, window, span })
  throw sqlErrors('SQL_WINDOW_ARGUMENTS', {
    fn: name,
    reason: 'a window stands in GROUP BY, and only one',
    expected: `GROUP BY ${name}(…)`,
    span,
  })
}

/** Functions have one namespace: `catalog.database.f` and `f` are the same. */
export const functionName = (call: FunctionCall): string => call.name.parts.at(-1)!.name.toUpperCase()

/** JSON functions' clauses; DEFAULT values become expressions of the plan. */
export function jsonOptions(json: JsonOptions, env: Env): Record<string, unknown> {
  const behaviour = (one: JsonBehaviour | undefined) =>
    one?.kind === 'DEFAULT' ? { kind: one.kind, value: bindExpression(one.value, env) } : one
  const options = { ...json, returning: json.returning?.type, onEmpty: behaviour(json.onEmpty), onError: behaviour(json.onError) }
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
