// SELECT: FROM, WHERE, GROUP BY, HAVING, OVER, QUALIFY, the select list, DISTINCT, ORDER BY, LIMIT, in this order.
import type { Expression, OrderItem, SelectItem, SelectQuery, Span } from './ast.ts'
import { walk } from './ast-walk.ts'
import { bindGroupBy } from './bind-aggregate.ts'
import { bindExpression } from './bind-expression.ts'
import { bindTableRef } from './bind-from.ts'
import { bindOver } from './bind-over.ts'
import { distinctPlan, firstColumns, project, singleRow, uniqueNames } from './bind-plan.ts'
import { columnAt, rowCount, sorted, sortKey } from './bind-query.ts'
import type { BindContext, Env, Scope, ScopeTable } from './bind-scope.ts'
import { emptyScope, findLocal } from './bind-scope.ts'
import type { Stage } from './bind-subquery.ts'
import { applyCondition, stageOf } from './bind-subquery.ts'
import { sqlErrors } from './errors.ts'
import { columnExpr, exprKey } from './expr.ts'
import { resolveCall } from './functions/index.ts'
import type { Expr, Plan } from './plan.ts'
import { requireHintedTables, stateTtlHints } from './state-ttl.ts'

interface Output {
  name: string
  expr: Expr
  /** Of a `*`, which gives each column a name of its own. */
  isOfStar?: true
}

export function bindSelect(query: SelectQuery & { span: Span }, context: BindContext, outer: Env | undefined, isTop: boolean): Plan {
  const stateTtl = stateTtlHints(query.hints)
  const source = query.from ? bindTableRef(query.from, { ...context, stateTtl }, outer) : { plan: singleRow(), scope: emptyScope }
  requireHintedTables(
    query.hints,
    source.scope.tables.flatMap(({ name }) => name ?? []),
  )
  let stage = stageOf(source.plan, { context, scope: source.scope, outer })
  if (query.where) applyCondition(stage, query.where, 'WHERE')
  stage = bindGroupBy(stage, query)
  if (query.having) applyCondition(stage, query.having, 'HAVING')
  stage = bindOver(stage, query)
  if (query.qualify) applyQualify(stage, query.qualify, query.items)
  const outputs = query.items.flatMap((item, i) => bindItem(item, stage.env, i))
  const names = isTop ? uniqueNames(outputs.map((output) => output.name)) : namesOf(outputs)
  const exprs = outputs.map((output) => output.expr)
  const order = query.orderBy.map((item) => bindOrderItem(item, outputs, exprs, stage))
  if (!query.distinct) {
    const extra = exprs.slice(outputs.length).map((_, i) => `$order${i}`)
    const plan = project(stage.plan, exprs, [...names, ...extra])
    return firstColumns(sorted(query, plan, order.map(withKey), isTop), outputs.length)
  }
  const hidden = order.find(({ column }) => column >= outputs.length)
  if (hidden !== undefined) {
    throw sqlErrors('SQL_NOT_SUPPORTED', {
      what: 'ORDER BY of a column that SELECT DISTINCT leaves out',
      instead: 'Add it to the select list.',
      span: hidden.item.span,
    })
  }
  return sorted(query, distinctPlan(project(stage.plan, exprs, names)), order.map(withKey), isTop)
}

/** As they are written: two of one name make that name ambiguous around a sub-query. */
function namesOf(outputs: readonly Output[]): string[] {
  const unique = uniqueNames(outputs.map((output) => output.name))
  return outputs.map(({ name, isOfStar }, i) => (isOfStar ? unique[i] : name))
}

const withKey = ({ column, item }: { column: number; item: OrderItem }) => ({ key: sortKey(column, item), item })

const isOver = (node: Expression): boolean => node.type === 'call' && node.over !== undefined

function anyPart(node: Expression | undefined, is: (node: Expression) => boolean): boolean {
  let found = false
  if (node)
    walk(node, (part) => {
      found ||= is(part)
      return !found
    })
  return found
}

/** QUALIFY reads aliases of the select list, which come before columns of their name. */
function applyQualify(stage: Stage, condition: Expression, items: readonly SelectItem[]): void {
  const { env } = stage
  const aliased = (node: Expression): Expression | undefined =>
    node.type === 'column' && node.name.parts.length === 1
      ? items.find(({ alias }) => alias?.name === node.name.parts[0].name)?.expression
      : undefined
  if (!anyPart(condition, (node) => isOver(node) || anyPart(aliased(node), isOver))) {
    const what = 'QUALIFY without a function with OVER'
    throw sqlErrors('SQL_NOT_SUPPORTED', { what, instead: 'Write the condition in WHERE or HAVING.', span: condition.span })
  }
  stage.env = {
    ...env,
    alias: (node) => {
      const expression = aliased(node)
      return expression && bindExpression(expression, env)
    },
  }
  applyCondition(stage, condition, 'QUALIFY')
  stage.env = env
}

// ---------------------------------------------------------------- the select list

export function bindItem({ expression, alias }: SelectItem, env: Env, index: number): Output[] {
  if (expression.type === 'star') return expandStar(expression, env)
  const expr = bindExpression(expression, env)
  return [{ name: alias?.name ?? naturalName(expression) ?? `EXPR$${index}`, expr }]
}

/** The name of a column without alias: its own, or that of a field of it. What stands in parentheses, as in `(r).x`, has none. */
const naturalName = (node: Expression): string | undefined => (node.type === 'column' ? node.name.parts.at(-1)!.name : undefined)

/** `*`, `t.*`, and `t.row.*` for the fields of a ROW. */
function expandStar(node: Extract<Expression, { type: 'star' }>, env: Env): Output[] {
  const { scope } = env
  const lower = (expr: Expr): Expr => (env.lower ? env.lower(expr, node.span) : expr)
  if (node.qualifier === undefined) {
    for (const table of scope.tables) refuseTwice(table, node.span)
    const columns = starColumns(scope)
    if (columns.length === 0) throw sqlErrors('SQL_EXPRESSION_MISPLACED', { what: '* without FROM', span: node.span })
    return columns.map(({ name, expr }) => ({ name, expr: lower(expr), isOfStar: true }))
  }
  const { parts } = node.qualifier
  const table = scope.tables.find((one) => one.name === parts.at(-1)!.name)
  if (table !== undefined) {
    refuseTwice(table, node.span)
    return table.columns.map(({ name, index, type }) => ({ name, expr: lower(columnExpr(index, type)), isOfStar: true }))
  }
  const row = findLocal(node.qualifier, scope)
  if (row?.type.kind !== 'ROW') {
    throw sqlErrors('SQL_TABLE_NOT_FOUND', { table: parts.map((part) => part.name).join('.'), span: node.qualifier.span })
  }
  const base = lower(row)
  return row.type.fields.map(({ name }, index) => ({ name, expr: resolveCall('FIELD', [base], { span: node.span, options: { index } }) }))
}

/** @throws StreamError  SQL_COLUMN_AMBIGUOUS where a sub-query has two columns of one name */
function refuseTwice({ name, columns }: ScopeTable, span: Span): void {
  const seen = new Set<string>()
  for (const { name: column } of columns) {
    const table = name ?? '(sub-query)'
    if (seen.has(column)) throw sqlErrors('SQL_COLUMN_AMBIGUOUS', { column, tables: [table, table], span })
    seen.add(column)
  }
}

/** Columns that USING merged come first, then the others in the order of the tables. */
function starColumns({ tables, common }: Scope): Output[] {
  const hidden = new Set(common.flatMap((one) => [...one.hidden]))
  const own = tables.flatMap((table) => table.columns.filter((column) => !hidden.has(column.index)))
  return [
    ...common.map(({ name, expr }) => ({ name, expr })),
    ...own.map(({ name, index, type }) => ({ name, expr: columnExpr(index, type) })),
  ]
}

/** An alias or a position of the select list, else an expression over the rows; `exprs` grows by what is not selected. */
function bindOrderItem(item: OrderItem, outputs: readonly Output[], exprs: Expr[], stage: Stage): { column: number; item: OrderItem } {
  const { expression } = item
  const ordinal = rowCount(expression)
  if (ordinal !== undefined) {
    if (ordinal < 1 || ordinal > outputs.length) columnAt(ordinal, project(stage.plan, [], []), expression)
    return { column: ordinal - 1, item }
  }
  if (expression.type === 'column' && expression.name.parts.length === 1) {
    const alias = outputs.findIndex((output) => output.name === expression.name.parts[0].name)
    if (alias >= 0) return { column: alias, item }
  }
  const expr = bindExpression(expression, stage.env)
  const key = exprKey(expr)
  const selected = exprs.findIndex((one) => exprKey(one) === key)
  return { column: selected >= 0 ? selected : exprs.push(expr) - 1, item }
}
