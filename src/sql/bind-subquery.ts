// Sub-queries in expressions: IN and EXISTS as conditions become semi and anti joins, scalar ones columns of a left join.
import { formatType, t, withNullable } from '../data/index.ts'
import { resolveAggregate } from './aggregates.ts'
import type { BinaryOperator, Expression, Query, Span } from './ast.ts'
import { liftCorrelation, materialized, overJoined } from './bind-correlation.ts'
import { BINARY, bindExpression } from './bind-expression.ts'
import { appendColumns, columnsOfPlan, distinctPlan, filter, firstColumns, joinPlan, project } from './bind-plan.ts'
import { bindQuery } from './bind-query.ts'
import type { Env, SubqueryNode } from './bind-scope.ts'
import { sqlErrors } from './errors.ts'
import { andAll, columnExpr, isCall, literalExpr, mapColumns } from './expr.ts'
import { castExpr, resolveCall } from './functions/index.ts'
import type { Expr, Plan } from './plan.ts'

/** Rows under construction: sub-queries add columns behind those that the names mean. */
export interface Stage {
  plan: Plan
  env: Env
}

/** A stage whose expressions may hold sub-queries. */
export function stageOf(plan: Plan, env: Env): Stage {
  const stage: Stage = { plan, env }
  stage.env = { ...env, subquery: (node, inner) => subqueryColumn(stage, node, inner) }
  return stage
}

/** @throws StreamError  SQL_NOT_BOOLEAN */
export function bindCondition(node: Expression, env: Env, what: string): Expr {
  const expr = bindExpression(node, env)
  if (expr.type.kind === 'NULL') return castExpr(expr, t.boolean(), false)
  if (expr.type.kind !== 'BOOLEAN') throw sqlErrors('SQL_NOT_BOOLEAN', { what, type: formatType(expr.type), span: node.span })
  return expr
}

/** WHERE and HAVING: plain conditions first, then a join for each IN and EXISTS. */
export function applyCondition(stage: Stage, condition: Expression, what: string): void {
  const width = stage.plan.fields.length
  const parts = splitAnd(condition)
  const membership = parts.map(membershipOf)
  const plain = parts.filter((_, i) => membership[i] === undefined).map((part) => bindCondition(part, stage.env, what))
  stage.plan = firstColumns(filter(stage.plan, andAll(plain)), width)
  for (const one of membership) if (one !== undefined) applyMembership(stage, one)
}

/** The parts of a chain of ANDs. */
export const splitAnd = (node: Expression): Expression[] =>
  node.type === 'binary' && node.operator === 'AND' ? [...splitAnd(node.left), ...splitAnd(node.right)] : [node]

interface Membership {
  query: Query
  /** The left side of IN; empty for EXISTS. */
  left: Expression[]
  negated: boolean
  /** Of `left > ALL (query)` and the like, where it is no equality. */
  comparison?: { operator: BinaryOperator; quantifier: 'ANY' | 'ALL' }
  span: Span
}

const rowItems = (node: Expression): Expression[] => (node.type === 'rowValue' ? node.items : [node])

/** IN, NOT IN, EXISTS, NOT EXISTS, = ANY and <> ALL. */
function membershipOf(node: Expression): Membership | undefined {
  const { span } = node
  if (node.type === 'unary' && node.operator === 'NOT') {
    const inner = membershipOf(node.operand)
    return inner && { ...inner, negated: !inner.negated }
  }
  if (node.type === 'exists') return { query: withoutOrder(node.query), left: [], negated: false, span }
  if (node.type === 'in' && node.query !== undefined) return { query: node.query, left: rowItems(node.left), negated: node.negated, span }
  if (node.type !== 'quantified') return undefined
  const isIn = node.operator === '=' && node.quantifier === 'ANY'
  const { operator, quantifier } = node
  if (!isIn && !(operator === '<>' && quantifier === 'ALL'))
    return { query: node.query, left: rowItems(node.left), negated: false, comparison: { operator, quantifier }, span }
  return { query: node.query, left: rowItems(node.left), negated: !isIn, span }
}

/** Whether there are rows does not depend on their order, nor on how many are taken. */
const withoutOrder = (query: Query): Query =>
  query.offset || (query.limit?.type === 'literal' && query.limit.value.kind === 'number' && Number(query.limit.value.text) < 1)
    ? query
    : { ...query, orderBy: [], limit: undefined }

const onlyEquality = (span: Span): Error =>
  sqlErrors('SQL_NOT_SUPPORTED', {
    what: 'ANY and ALL as a value, but for = ANY and <> ALL',
    instead: 'Write it as a condition of WHERE, or compare with (SELECT MIN(…) …) or (SELECT MAX(…) …).',
    span,
  })

function applyMembership(stage: Stage, { query, left, negated, comparison, span }: Membership): void {
  const width = stage.plan.fields.length
  const values = left.map((item) => bindExpression(item, stage.env))
  const sub = bindQuery(query, stage.env.context, stage.env)
  requireColumns(sub, left.length, span)
  // A global aggregate always has a row: EXISTS over it is true.
  if (left.length === 0 && alwaysHasRow(sub)) {
    if (negated) stage.plan = filter(stage.plan, literalExpr(false, t.boolean(false)))
    return
  }
  const lifted = liftCorrelation(sub, span)
  const outer = stage.plan.fields.length
  const lifts = lifted.conditions.map((one) => overJoined(one, outer))
  if (comparison !== undefined) {
    // ANY asks for a row where it holds, ALL for none where it does not; negated, for none where it may, and for one where it fails.
    const holds = resolveCall(BINARY[comparison.operator], [values[0], overJoined(lifted.outputs[0], outer)], { span })
    const isAny = comparison.quantifier === 'ANY'
    const test = isAny ? (negated ? 'IS_NOT_FALSE' : 'IS_TRUE') : negated ? 'IS_FALSE' : 'IS_NOT_TRUE'
    const condition = andAll([resolveCall(test, [holds], { span }), ...lifts])
    stage.plan = firstColumns(joinPlan(isAny === negated ? 'ANTI' : 'SEMI', stage.plan, lifted.plan, condition), width)
    return
  }
  const pairs = values.map((value, i) => equalTypes(value, overJoined(lifted.outputs[i], outer), span))
  const isNullAware = negated && pairs.some(([a, b]) => a.type.nullable || b.type.nullable)
  if (!isNullAware) {
    const condition = andAll([...pairs.map((pair) => resolveCall('EQUALS', pair, { span })), ...lifts])
    stage.plan = firstColumns(joinPlan(negated ? 'ANTI' : 'SEMI', stage.plan, lifted.plan, condition), width)
    return
  }
  // NOT IN with NULLs: the join itself must know which columns are compared so.
  const columnOf = (exprs: Expr[], expr: Expr): number => (expr.kind === 'column' ? expr.index : exprs.push(expr) - 1)
  const leftExprs = columnsOfPlan(stage.plan)
  const rightExprs = columnsOfPlan(lifted.plan)
  const leftKeys = pairs.map(([a]) => columnOf(leftExprs, a))
  const rightKeys = pairs.map(([, b]) =>
    columnOf(
      rightExprs,
      mapColumns(b, (column) => columnExpr(column.index - outer, column.type)),
    ),
  )
  const leftSide = appendColumns(stage.plan, leftExprs.slice(outer))
  const rightSide = appendColumns(lifted.plan, rightExprs.slice(lifted.plan.fields.length))
  const added = leftExprs.length - outer
  const condition = andAll(
    lifts.map((one) => mapColumns(one, (column) => (column.index < outer ? column : columnExpr(column.index + added, column.type)))),
  )
  const plan: Plan = {
    node: 'join',
    kind: 'ANTI',
    left: leftSide,
    right: rightSide,
    leftKeys,
    rightKeys,
    nullAware: true,
    fields: leftSide.fields,
    changelog: 'append',
    ...(condition && { condition }),
  }
  stage.plan = firstColumns(plan, width)
}

/** Both sides of a comparison, cast to one type. */
function equalTypes(a: Expr, b: Expr, span: Span): [Expr, Expr] {
  const equality = resolveCall('EQUALS', [a, b], { span })
  return isCall(equality, 'EQUALS') ? [equality.args[0], equality.args[1]] : [a, b]
}

function requireColumns(plan: Plan, count: number, span: Span): void {
  if (count > 0 && plan.fields.length !== count) {
    throw sqlErrors('SQL_COLUMN_COUNT', { what: 'the sub-query', actual: plan.fields.length, expected: count, span })
  }
}

// ---------------------------------------------------------------- as a value

function subqueryColumn(stage: Stage, node: SubqueryNode, env: Env): Expr {
  if (node.type === 'subquery') return scalarColumn(stage, node.query, env, node.span)
  const membership = membershipOf(node)
  if (membership === undefined || membership.comparison) throw onlyEquality(node.span)
  const found = membershipColumn(stage, membership, env)
  return membership.negated ? resolveCall('NOT', [found], { span: node.span }) : found
}

function scalarColumn(stage: Stage, query: Query, env: Env, span: Span): Expr {
  const sub = bindQuery(query, env.context, env)
  requireColumns(sub, 1, span)
  const lifted = liftCorrelation(hasOneRow(sub) ? sub : singleValue(sub, span), span)
  return joinedColumn(stage, lifted.plan, lifted.conditions, lifted.isTotal ? lifted.outputs[0] : materialized(lifted, span).outputs[0])
}

/** Joins one row (or none) to each row of the stage. @returns the new column */
function joinedColumn(stage: Stage, plan: Plan, conditions: readonly Expr[], output: Expr): Expr {
  const width = stage.plan.fields.length
  const joined = joinPlan('LEFT', stage.plan, plan, andAll(conditions.map((one) => overJoined(one, width))))
  const retype = (expr: Expr): Expr => mapColumns(expr, (column) => columnExpr(column.index, joined.fields[column.index].type))
  // A scalar sub-query may have no row, says its type, also where COUNT makes that 0.
  const total = retype(overJoined(output, width))
  const value = { ...total, type: withNullable(total.type, true) }
  const names = [...stage.plan.fields.map((field) => field.name), `$scalar${width}`]
  stage.plan = project(joined, [...columnsOfPlan(joined).slice(0, width), value], names)
  return columnExpr(width, value.type)
}

/** One row at least, whatever the input has. */
const alwaysHasRow = (plan: Plan): boolean =>
  (plan.node === 'groupAggregate' && plan.keys.length === 0) ||
  (plan.node === 'values' && plan.rows.length > 0) ||
  (plan.node === 'calc' && plan.predicate === undefined && alwaysHasRow(plan.input))

const hasOneRow = (plan: Plan): boolean =>
  (plan.node === 'groupAggregate' && plan.keys.length === 0) ||
  (plan.node === 'values' && plan.rows.length === 1) ||
  (plan.node === 'limit' && plan.limit === 1 && plan.offset === 0) ||
  (plan.node === 'calc' && hasOneRow(plan.input))

function singleValue(plan: Plan, span: Span): Plan {
  const [{ name, type }] = plan.fields
  const { fn, type: resultType, argTypes } = resolveAggregate('SINGLE_VALUE', [type], { distinct: false, nonEmpty: false, span })
  const aggregates = [{ fn, args: [0], distinct: false, type: resultType, argTypes }]
  return { node: 'groupAggregate', input: plan, keys: [], aggregates, fields: [{ name, type: resultType }], changelog: 'append', span }
}

/** IN or EXISTS as a value: TRUE, FALSE, and for IN also NULL. */
function membershipColumn(stage: Stage, { query, left, span }: Membership, env: Env): Expr {
  const values = left.map((item) => bindExpression(item, env))
  const sub = bindQuery(query, env.context, env)
  requireColumns(sub, left.length, span)
  const lifted = liftCorrelation(sub, span)
  const width = stage.plan.fields.length
  const pairs = values.map((value, i) => equalTypes(value, overJoined(lifted.outputs[i], width), span))
  const canBeNull = pairs.some(([a, b]) => a.type.nullable || b.type.nullable)
  if (canBeNull && (lifted.conditions.length > 0 || pairs.length > 1)) {
    throw sqlErrors('SQL_CORRELATION_UNSUPPORTED', { what: 'IN as a value, over columns that can be NULL', span })
  }
  const total = canBeNull ? countsColumns(stage, lifted.plan, lifted.outputs[0]) : undefined
  const found = markColumn(stage, lifted.plan, lifted.conditions, pairs, width, span)
  if (total === undefined) return found
  const isZero = resolveCall('EQUALS', [
    resolveCall('COALESCE', [total.rows, literalExpr(0n, t.bigint(false))]),
    literalExpr(0n, t.bigint(false)),
  ])
  const unknown = resolveCall('OR', [resolveCall('IS_NULL', [pairs[0][0]]), resolveCall('LESS', [total.values, total.rows])])
  const [yes, no] = [true, false].map((value) => literalExpr(value, t.boolean(false)))
  return resolveCall('CASE', [isZero, no, found, yes, unknown, literalExpr(null, t.boolean()), no], { span })
}

/** COUNT(*) and COUNT(value) of the sub-query, as columns of the stage. */
function countsColumns(stage: Stage, plan: Plan, value: Expr): { rows: Expr; values: Expr } {
  const count = { fn: 'COUNT', distinct: false, type: t.bigint(false) }
  const input = project(plan, [value], ['value'])
  const aggregates = [
    { ...count, args: [], argTypes: [] },
    { ...count, args: [0], argTypes: [value.type] },
  ]
  const fields = ['rows', 'values'].map((name) => ({ name, type: t.bigint(false) }))
  const counts: Plan = { node: 'groupAggregate', input, keys: [], aggregates, fields, changelog: 'append' }
  const width = stage.plan.fields.length
  stage.plan = joinPlan('LEFT', stage.plan, counts, undefined)
  return { rows: columnExpr(width, t.bigint()), values: columnExpr(width + 1, t.bigint()) }
}

/** A column that says whether there is a row of the sub-query for which all equalities and conditions hold. */
function markColumn(
  stage: Stage,
  plan: Plan,
  conditions: readonly Expr[],
  pairs: readonly [Expr, Expr][],
  width: number,
  span: Span,
): Expr {
  const inner: Expr[] = pairs.map(([, b]) => mapColumns(b, (column) => columnExpr(column.index - width, column.type)))
  const outer: Expr[] = pairs.map(([a]) => a)
  for (const condition of conditions) {
    const joined = overJoined(condition, width)
    const sides = isCall(joined, 'EQUALS') ? joined.args : []
    const isInner = (expr: Expr): boolean => everyColumn(expr, (index) => index >= width)
    const isOuter = (expr: Expr): boolean => everyColumn(expr, (index) => index < width)
    const [a, b] = sides
    const pair =
      sides.length === 2 && isInner(a) && isOuter(b) ? [a, b] : sides.length === 2 && isInner(b) && isOuter(a) ? [b, a] : undefined
    if (pair === undefined)
      throw sqlErrors('SQL_CORRELATION_UNSUPPORTED', { what: 'EXISTS as a value, with conditions that are not =', span })
    inner.push(mapColumns(pair[0], (column) => columnExpr(column.index - width, column.type)))
    outer.push(pair[1])
  }
  const marked = project(plan, [...inner, literalExpr(true, t.boolean(false))], [...inner.map((_, i) => `$key${i}`), '$found'])
  const now = stage.plan.fields.length
  const condition = andAll(inner.map((expr, i) => resolveCall('EQUALS', [outer[i], columnExpr(now + i, expr.type)], { span })))
  stage.plan = joinPlan('LEFT', stage.plan, distinctPlan(marked), condition)
  return resolveCall('IS_NOT_NULL', [columnExpr(now + inner.length, t.boolean())])
}

const everyColumn = (expr: Expr, test: (index: number) => boolean): boolean =>
  expr.kind === 'column' ? test(expr.index) : expr.kind === 'literal' || expr.args.every((arg) => everyColumn(arg, test))
