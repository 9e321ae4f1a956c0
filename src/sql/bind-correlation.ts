// Correlated sub-queries become joins: what compares inner with outer columns is lifted out of the sub-query, into the condition of the join.
//
//   SELECT … FROM r WHERE r.k = l.k AND r.w > 3     becomes     (r where w > 3) with the condition  r.k = l.k
//   SELECT SUM(w) FROM r WHERE r.k = l.k            becomes     (SUM(w) of r by k) with the condition  k = l.k
//   SELECT SUM(w) FROM r WHERE r.w > l.v            becomes     (SUM(w) of r joined with the different v of l, by v) with the condition  v IS NOT DISTINCT FROM l.v
//
// The last is for all that is no equality, as in Flink: what an aggregate looks at of the outer row becomes its key.
import { t, withNullable } from '../data/index.ts'
import type { Span } from './ast.ts'
import type { Source } from './bind-from.ts'
import { columnsOfPlan, distinctPlan, filter, joinPlan, project } from './bind-plan.ts'
import type { Scope } from './bind-scope.ts'
import { sqlErrors } from './errors.ts'
import {
  andAll,
  asOuterReference,
  columnExpr,
  conjuncts,
  hasOuterReference,
  isCall,
  literalExpr,
  mapColumns,
  mapExpr,
  outerReference,
  shiftColumns,
} from './expr.ts'
import { resolveCall } from './functions/index.ts'
import type { Expr, Plan } from './plan.ts'
import { exprsOf, somePlan } from './plan-tree.ts'

interface Lifted {
  /** Free of outer references. */
  plan: Plan
  /** The sub-query's columns, over the plan's columns and outer references. */
  outputs: Expr[]
  /** What must hold between the plan's columns and the outer row. */
  conditions: Expr[]
  /** A global aggregate: it has a row even where the plan has none, with COUNT 0 and NULL for the others. */
  isTotal: boolean
}

const isCorrelated = (plan: Plan): boolean => somePlan(plan, (node) => exprsOf(node).some(hasOuterReference))

/**
 * @param outer  the rows around, over whose columns the references of level 1 are
 * @throws StreamError  SQL_CORRELATION_UNSUPPORTED
 */
export function liftCorrelation(plan: Plan, outer: Plan, span: Span): Lifted {
  const unsupported = (what: string): Error => sqlErrors('SQL_CORRELATION_UNSUPPORTED', { what, span })
  const lift = (node: Plan): Lifted => {
    if (!isCorrelated(node)) return { plan: node, outputs: columnsOfPlan(node), conditions: [], isTotal: isGlobal(node) }
    switch (node.node) {
      case 'calc':
        return liftCalc(node, lift(node.input))
      case 'join': {
        if (node.kind === 'INNER') return liftJoin(node, lift(node.left), lift(node.right))
        if (node.kind !== 'SEMI' && node.kind !== 'ANTI') throw unsupported(`a ${node.kind} join`)
        return liftMembership(node, lift(node.left), lift(node.right), outer, span)
      }
      case 'groupAggregate':
        return liftAggregate(node, lift(node.input), outer, span)
      default:
        throw unsupported(DESCRIPTIONS[node.node] ?? node.node)
    }
  }
  return lift(plan)
}

const DESCRIPTIONS: Partial<Record<Plan['node'], string>> = {
  limit: 'below a LIMIT',
  over: 'below an OVER window',
  union: 'in a UNION',
  setOperation: 'in INTERSECT or EXCEPT',
  windowTvf: 'below a window function',
  windowAggregate: 'below a window aggregate',
  correlate: 'below UNNEST',
}

const isGlobal = (plan: Plan): boolean =>
  (plan.node === 'groupAggregate' && plan.keys.length === 0) ||
  (plan.node === 'calc' && plan.predicate === undefined && isGlobal(plan.input))

function liftCalc(node: Extract<Plan, { node: 'calc' }>, input: Lifted): Lifted {
  const over = (expr: Expr): Expr => mapColumns(expr, (column) => input.outputs[column.index])
  const conditions = conjuncts(node.predicate).map(over)
  const own = conditions.filter((condition) => !hasOuterReference(condition))
  return {
    plan: filter(input.plan, andAll(own)),
    outputs: node.projections.map(over),
    conditions: [...input.conditions, ...conditions.filter(hasOuterReference)],
    isTotal: input.isTotal && conditions.length === 0,
  }
}

function liftJoin(node: Extract<Plan, { node: 'join' }>, left: Lifted, right: Lifted): Lifted {
  const width = left.plan.fields.length
  const outputs = [...left.outputs, ...right.outputs.map((output) => shiftColumns(output, width))]
  const conditions = conjuncts(node.condition).map((condition) => mapColumns(condition, (column) => outputs[column.index]))
  const own = conditions.filter((condition) => !hasOuterReference(condition))
  return {
    plan: joinPlan('INNER', left.plan, right.plan, andAll(own)),
    outputs,
    conditions: [
      ...left.conditions,
      ...right.conditions.map((condition) => shiftColumns(condition, width)),
      ...conditions.filter(hasOuterReference),
    ],
    isTotal: false,
  }
}

/** EXISTS and IN of a sub-query in a sub-query; where the inner one looks at the outermost row, the rows between are joined with its values. */
function liftMembership(node: Extract<Plan, { node: 'join' }>, left: Lifted, right: Lifted, outer: Plan, span: Span): Lifted {
  const width = left.plan.fields.length
  const merged = [...left.outputs, ...right.outputs.map((output) => shiftColumns(output, width))]
  const conditions = [
    ...conjuncts(node.condition).map((condition) => mapColumns(condition, (column) => merged[column.index])),
    ...right.conditions.map((condition) => shiftColumns(condition, width)),
  ]
  const found = (rows: Plan, over: readonly Expr[]): Plan => joinPlan(node.kind, rows, right.plan, andAll(over))
  if (node.nullAware) {
    const keys = node.leftKeys.flatMap((key) => (left.outputs[key].kind === 'column' ? left.outputs[key].index : []))
    if (conditions.some(hasOuterReference) || keys.length < node.leftKeys.length || right.plan !== node.right)
      throw sqlErrors('SQL_CORRELATION_UNSUPPORTED', { what: 'NOT IN, over columns that can be NULL, by rows further out', span })
    const condition = andAll(conditions)
    const { condition: _, ...join } = node
    const plan: Plan = { ...join, left: left.plan, leftKeys: keys, fields: left.plan.fields, ...(condition && { condition }) }
    return { ...left, plan, isTotal: false }
  }
  if (!conditions.some(hasOuterReference)) return { ...left, plan: found(left.plan, conditions), isTotal: false }
  const values = outerValues([...left.outputs, ...left.conditions, ...conditions], outer, span)
  const added = values.plan.fields.length
  const rows = joinPlan('INNER', left.plan, values.plan, andAll(left.conditions.map((one) => values.over(one, width))))
  const moved = (condition: Expr): Expr =>
    mapColumns(condition, (column) => (column.index < width ? column : columnExpr(column.index + added, column.type)))
  return {
    plan: found(
      rows,
      conditions.map((condition) => values.over(moved(condition), width)),
    ),
    outputs: left.outputs.map((output) => values.over(output, width)),
    conditions: values.conditions(width),
    isTotal: false,
  }
}

/** The inner sides of the equalities become keys of the aggregate; where there is more, the outer values do. */
function liftAggregate(node: Extract<Plan, { node: 'groupAggregate' }>, input: Lifted, outer: Plan, span: Span): Lifted {
  const sides = equalitiesOf(input)
  if (sides === undefined) return liftAggregate(node, withOuterValues(input, outer, span), outer, span)
  const width = input.outputs.length
  const projections = [...input.outputs, ...sides.map(({ inner }) => inner)]
  const names = projections.map((_, i) => node.input.fields[i]?.name ?? `$key${i - width}`)
  const keys = [...node.keys, ...sides.map((_, i) => width + i)]
  const keyFields = sides.map(({ inner }, i) => ({ name: `$key${i}`, type: inner.type }))
  const keyCount = node.keys.length
  const fields = [...node.fields.slice(0, keyCount), ...keyFields, ...node.fields.slice(keyCount)]
  const isGlobalOne = keyCount === 0
  const outputs = node.fields.map((field, i) => {
    const column = columnExpr(i < keyCount ? i : i + sides.length, field.type)
    if (!isGlobalOne || node.aggregates[i].fn !== 'COUNT') return column
    return resolveCall('COALESCE', [{ ...column, type: t.bigint() }, literalExpr(0n, t.bigint(false))])
  })
  return {
    plan: { ...node, input: project(input.plan, projections, names), keys, fields },
    outputs,
    conditions: sides.map(({ fn, inner, outer: value }, i) => resolveCall(fn, [columnExpr(keyCount + i, inner.type), value])),
    isTotal: isGlobalOne,
  }
}

/** The rows that each of the outer values asks for, with these values: one row for each pair. */
export function withOuterValues({ plan, outputs, conditions, isTotal }: Lifted, outer: Plan, span: Span): Lifted {
  const values = outerValues([...outputs, ...conditions], outer, span)
  const width = plan.fields.length
  const over = (expr: Expr): Expr => values.over(expr, width)
  return {
    plan: joinPlan('INNER', plan, values.plan, andAll(conditions.map(over))),
    outputs: outputs.map(over),
    conditions: values.conditions(width),
    isTotal,
  }
}

interface OuterValues {
  /** The different values of the outer columns that the expressions look at. */
  plan: Plan
  /** The expression over these values, whose columns begin at `first`. */
  over(expr: Expr, first: number): Expr
  /** That they are those of the outer row. */
  conditions(first: number): Expr[]
}

function outerValues(exprs: readonly Expr[], outer: Plan, span: Span): OuterValues {
  const references = new Map<number, Expr>()
  for (const expr of exprs)
    mapExpr(expr, (part) => {
      const reference = asOuterReference(part)
      if (reference !== undefined && reference.level > 1)
        throw sqlErrors('SQL_CORRELATION_UNSUPPORTED', { what: 'rows chosen by columns of a query further out, not by = alone', span })
      if (reference !== undefined) references.set(reference.index, part)
      return part
    })
  const indices = [...references.keys()]
  const columns = [...references].map(([index, { type }]) => columnExpr(index, type))
  const names = indices.map((_, i) => `$outer${i}`)
  return {
    plan: distinctPlan(project(outer, columns, names)),
    over: (expr, first) =>
      mapExpr(expr, (part) => {
        const reference = asOuterReference(part)
        return reference ? columnExpr(first + indices.indexOf(reference.index), part.type) : part
      }),
    conditions: (first) =>
      [...references.values()].map((value, i) => resolveCall('IS_NOT_DISTINCT_FROM', [columnExpr(first + i, value.type), value])),
  }
}

/** The conditions, where all are equalities between inner and outer columns, and only inner ones are selected. */
export function equalitiesOf({ outputs, conditions }: Lifted): Sides[] | undefined {
  const sides = conditions.flatMap((condition) => splitEquality(condition) ?? [])
  return sides.length === conditions.length && !outputs.some(hasOuterReference) ? sides : undefined
}

interface Sides {
  fn: 'EQUALS' | 'IS_NOT_DISTINCT_FROM'
  inner: Expr
  outer: Expr
}
/** `inner = outer`, with inner columns on one side and outer ones alone on the other. */
function splitEquality(condition: Expr): Sides | undefined {
  const fn = isCall(condition, 'EQUALS') ? 'EQUALS' : isCall(condition, 'IS_NOT_DISTINCT_FROM') ? 'IS_NOT_DISTINCT_FROM' : undefined
  if (fn === undefined) return undefined
  const [a, b] = (condition as Expr & { args: Expr[] }).args
  const isInner = (expr: Expr): boolean => !hasOuterReference(expr)
  const isOuter = (expr: Expr): boolean => hasOuterReference(expr) && !hasColumn(expr)
  if (isInner(a) && isOuter(b)) return { fn, inner: a, outer: b }
  if (isInner(b) && isOuter(a)) return { fn, inner: b, outer: a }
  return undefined
}
const hasColumn = (expr: Expr): boolean => expr.kind === 'column' || (expr.kind === 'call' && expr.args.some(hasColumn))

/** An expression over inner columns and outer references, as one over the rows of `outer` joined with the inner ones. */
export const overJoined = (expr: Expr, outerWidth: number): Expr =>
  mapExpr(expr, (part) => {
    if (part.kind === 'column') return columnExpr(part.index + outerWidth, part.type)
    const reference = asOuterReference(part)
    if (reference === undefined) return part
    return reference.level === 1 ? columnExpr(reference.index, part.type) : outerReference(reference.level - 1, reference.index, part.type)
  })

/** Computes the outputs below the join, so that an outer join can make them NULL. */
export function materialized(lifted: Lifted, span: Span): Lifted {
  if (lifted.isTotal || lifted.outputs.every((output) => output.kind === 'column')) return lifted
  if (lifted.outputs.some(hasOuterReference))
    throw sqlErrors('SQL_CORRELATION_UNSUPPORTED', { what: 'it selects outer columns in an outer join', span })
  const { plan, outputs } = lifted
  const width = plan.fields.length
  const names = [...plan.fields.map((field) => field.name), ...outputs.map((_, i) => `$output${i}`)]
  return {
    ...lifted,
    plan: project(plan, [...columnsOfPlan(plan), ...outputs], names),
    outputs: outputs.map((output, i) => columnExpr(width + i, output.type)),
  }
}

/** left [LEFT] JOIN LATERAL right: the rows of the result are left's columns, then right's. */
export function lateralJoin(kind: 'INNER' | 'LEFT', left: Plan, right: Source, span: Span): { plan: Plan; rightScope: Scope } {
  const lifted = liftCorrelation(right.plan, left, span)
  const isPlain = lifted.conditions.length === 0 && !lifted.outputs.some(hasOuterReference)
  if (isPlain) return { plan: joinPlan(kind, left, right.plan, undefined), rightScope: right.scope }
  const inner = kind === 'LEFT' ? materialized(lifted, span) : lifted
  const width = left.fields.length
  const condition = andAll(inner.conditions.map((one) => overJoined(one, width)))
  // As in Flink a row for which an aggregate has no rows is dropped, unless the join is an outer one.
  const joined = joinPlan(kind, left, inner.plan, condition)
  const retype = (expr: Expr): Expr => mapColumns(expr, (column) => columnExpr(column.index, joined.fields[column.index].type))
  const outputs = inner.outputs.map((output) => {
    const column = retype(overJoined(output, width))
    return kind === 'LEFT' ? { ...column, type: withNullable(column.type, true) } : column
  })
  const names = [...left.fields, ...right.plan.fields].map((field) => field.name)
  return { plan: project(joined, [...columnsOfPlan(joined).slice(0, width), ...outputs], names), rightScope: right.scope }
}
