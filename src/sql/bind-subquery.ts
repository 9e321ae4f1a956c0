// Sub-queries in expressions: IN and EXISTS as conditions become semi and anti joins, scalar ones columns of a left join.
import { formatType, type SqlType, t, withNullable } from '../data/index.ts'
import { resolveAggregate } from './aggregates.ts'
import type { BinaryOperator, Expression, Query, Span } from './ast.ts'
import { equalitiesOf, liftCorrelation, materialized, overJoined, withOuterValues } from './bind-correlation.ts'
import { BINARY, bindExpression } from './bind-expression.ts'
import { appendColumns, columnsOfPlan, distinctPlan, filter, firstColumns, joinPlan, project } from './bind-plan.ts'
import { bindQuery } from './bind-query.ts'
import type { Env, SubqueryNode } from './bind-scope.ts'
import { sqlErrors } from './errors.ts'
import { andAll, columnExpr, isCall, literalExpr, mapColumns } from './expr.ts'
import { castExpr, resolveCall } from './functions/index.ts'
import type { AggregateCall, Expr, Plan } from './plan.ts'

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
  comparison?: Comparison
  span: Span
}

interface Comparison {
  operator: BinaryOperator
  quantifier: 'ANY' | 'ALL'
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
  if (!isIn && !(operator === '<>' && quantifier === 'ALL')) {
    if (node.left.type === 'rowValue')
      throw sqlErrors('SQL_NOT_SUPPORTED', {
        what: `(…) ${operator} ${quantifier} of several columns`,
        instead: 'Compare one column, or use IN or NOT IN.',
        span,
      })
    return { query: node.query, left: rowItems(node.left), negated: false, comparison: { operator, quantifier }, span }
  }
  return { query: node.query, left: rowItems(node.left), negated: !isIn, span }
}

/** Whether there are rows does not depend on their order, nor on how many are taken. */
const withoutOrder = (query: Query): Query =>
  query.offset || (query.limit?.type === 'literal' && query.limit.value.kind === 'number' && Number(query.limit.value.text) < 1)
    ? query
    : { ...query, orderBy: [], limit: undefined }

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
  const lifted = liftCorrelation(sub, stage.plan, span)
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
  if (membership === undefined) throw new Error(`no sub-query: ${node.type}`)
  const found = membership.comparison
    ? comparisonColumn(stage, membership, membership.comparison, env)
    : membershipColumn(stage, membership, env)
  return membership.negated ? resolveCall('NOT', [found], { span: node.span }) : found
}

function scalarColumn(stage: Stage, query: Query, env: Env, span: Span): Expr {
  const sub = bindQuery(query, env.context, env)
  requireColumns(sub, 1, span)
  const lifted = liftCorrelation(hasOneRow(sub) ? sub : singleValue(sub, span), stage.plan, span)
  const outputs = lifted.isTotal ? lifted.outputs : materialized(lifted, span).outputs
  return joinedColumns(stage, lifted.plan, lifted.conditions, outputs)[0]
}

/** Joins one row (or none) to each row of the stage. @returns the new columns */
function joinedColumns(stage: Stage, plan: Plan, conditions: readonly Expr[], outputs: readonly Expr[]): Expr[] {
  const width = stage.plan.fields.length
  const joined = joinPlan('LEFT', stage.plan, plan, andAll(conditions.map((one) => overJoined(one, width))))
  const retype = (expr: Expr): Expr => mapColumns(expr, (column) => columnExpr(column.index, joined.fields[column.index].type))
  // A scalar sub-query may have no row, says its type, also where COUNT makes that 0.
  const totals = outputs.map((output) => retype(overJoined(output, width)))
  const values = totals.map((total) => ({ ...total, type: withNullable(total.type, true) }))
  const names = [...stage.plan.fields.map((field) => field.name), ...values.map((_, i) => `$scalar${width + i}`)]
  stage.plan = project(joined, [...columnsOfPlan(joined).slice(0, width), ...values], names)
  return values.map((value, i) => columnExpr(width + i, value.type))
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
  const pairs = values.map((value, i) => equalTypes(value, columnExpr(stage.plan.fields.length + i, sub.fields[i].type), span))
  const canBeNull = pairs.some(([a, b]) => a.type.nullable || b.type.nullable)
  if (canBeNull && pairs.length > 1) {
    throw sqlErrors('SQL_CORRELATION_UNSUPPORTED', { what: 'IN as a value, over several columns that can be NULL', span })
  }
  const total = canBeNull ? countsColumns(stage, sub, span) : undefined
  const found = markColumn(stage, sub, values, span)
  if (total === undefined) return found
  return threeValued({ value: pairs[0][0], ...total }, found, true, span)
}

interface Counts {
  /** COUNT(*) and COUNT(value) of the sub-query. */
  rows: Expr
  values: Expr
}

/** `decided` is TRUE: the answer is `answer`; else NULL where a value is NULL, else the contrary, as it is where the sub-query has no row. */
function threeValued({ value, rows, values }: Counts & { value: Expr }, decided: Expr, answer: boolean, span: Span): Expr {
  const zero = literalExpr(0n, t.bigint(false))
  const isZero = resolveCall('EQUALS', [resolveCall('COALESCE', [rows, zero]), zero])
  const unknown = resolveCall('OR', [resolveCall('IS_NULL', [value]), resolveCall('LESS', [values, rows])])
  const [yes, no] = [answer, !answer].map((one) => literalExpr(one, t.boolean(false)))
  return resolveCall('CASE', [isZero, no, decided, yes, unknown, literalExpr(null, t.boolean()), no], { span })
}

/** The least or the greatest value of the sub-query decides; of the equalities, both do. */
function decidingOf({ operator, quantifier }: Comparison): ('MIN' | 'MAX')[] {
  if (operator === '=' || operator === '<>') return ['MIN', 'MAX']
  const isLess = operator === '<' || operator === '<='
  return [isLess === (quantifier === 'ANY') ? 'MAX' : 'MIN']
}

/** `left > ALL (query)` and the like as a value: a comparison with MIN or MAX of the query, NULL where one of its NULLs could change it. */
function comparisonColumn(stage: Stage, { query, left, span }: Membership, how: Comparison, env: Env): Expr {
  const value = bindExpression(left[0], env)
  const sub = bindQuery(query, env.context, env)
  requireColumns(sub, 1, span)
  const name = BINARY[how.operator]
  // The type of the comparison is that of MIN and MAX: of texts beside numbers, the greatest number.
  const operands = [value, columnExpr(0, sub.fields[0].type)]
  const comparison = resolveCall(name, operands, { span })
  const [compared, inner] = isCall(comparison, name) ? comparison.args : operands
  const extremes = decidingOf(how).map((fn) => {
    const { type, argTypes, ...aggregate } = resolveAggregate(fn, [inner.type], { distinct: false, nonEmpty: false, span })
    return { ...aggregate, args: [0], distinct: false, type, argTypes }
  })
  const lifted = liftCorrelation(
    aggregated(project(sub, [inner], ['value']), [...countsOf(inner.type), ...extremes], span),
    stage.plan,
    span,
  )
  const [rows, values, ...bounds] = joinedColumns(stage, lifted.plan, lifted.conditions, lifted.outputs)
  const holds = bounds.map((bound) => resolveCall(name, [compared, bound], { span }))
  const isAny = how.quantifier === 'ANY'
  // ANY is decided where it holds for one, ALL where it fails for one.
  const decided = holds.map((one) => resolveCall(isAny ? 'IS_TRUE' : 'IS_FALSE', [one])).reduce((a, b) => resolveCall('OR', [a, b]))
  return threeValued({ value: compared, rows, values }, decided, isAny, span)
}

const countsOf = (type: SqlType): AggregateCall[] => {
  const count = { fn: 'COUNT', distinct: false, type: t.bigint(false) }
  return [
    { ...count, args: [], argTypes: [] },
    { ...count, args: [0], argTypes: [type] },
  ]
}

function aggregated(input: Plan, aggregates: AggregateCall[], span: Span): Plan {
  const fields = aggregates.map(({ fn, type }, i) => ({ name: `${fn}${i}`, type }))
  return { node: 'groupAggregate', input, keys: [], aggregates, fields, changelog: 'append', span }
}

/** COUNT(*) and COUNT(value) of the sub-query, as columns of the stage. */
function countsColumns(stage: Stage, sub: Plan, span: Span): Counts {
  const lifted = liftCorrelation(aggregated(sub, countsOf(sub.fields[0].type), span), stage.plan, span)
  const [rows, values] = joinedColumns(stage, lifted.plan, lifted.conditions, lifted.outputs)
  return { rows, values }
}

/** A column that says whether there is a row of the sub-query with these values. */
function markColumn(stage: Stage, sub: Plan, values: readonly Expr[], span: Span): Expr {
  const width = stage.plan.fields.length
  const direct = liftCorrelation(sub, stage.plan, span)
  const lifted = equalitiesOf(direct) === undefined ? withOuterValues(direct, stage.plan, span) : direct
  const pairs = values.map((value, i) => equalTypes(value, overJoined(lifted.outputs[i], width), span))
  const ofPairs = pairs.map(([a, b]) => ({
    fn: 'EQUALS',
    outer: a,
    inner: mapColumns(b, (column) => columnExpr(column.index - width, column.type)),
  }))
  const ofConditions = (equalitiesOf(lifted) ?? []).map(({ fn, inner, outer }) => ({ fn, inner, outer: overJoined(outer, width) }))
  const sides = [...ofPairs, ...ofConditions]
  const names = [...sides.map((_, i) => `$key${i}`), '$found']
  const keys = project(lifted.plan, [...sides.map(({ inner }) => inner), literalExpr(true, t.boolean(false))], names)
  const condition = andAll(sides.map(({ fn, inner, outer }, i) => resolveCall(fn, [outer, columnExpr(width + i, inner.type)], { span })))
  stage.plan = joinPlan('LEFT', stage.plan, distinctPlan(keys), condition)
  return resolveCall('IS_NOT_NULL', [columnExpr(width + sides.length, t.boolean())])
}
