// Queries: WITH, set operations, VALUES, ORDER BY and LIMIT. A SELECT itself is in `bind-select.ts`.
import type { Field } from '../data/index.ts'
import { formatType } from '../data/index.ts'
import type { Expression, OrderItem, Query, Tail } from './ast.ts'
import { bindExpression } from './bind-expression.ts'
import { bindCommon } from './bind-from.ts'
import { columnsOfPlan, distinctPlan, firstColumns, project, singleRow, uniqueNames, valuesPlan, withoutTime } from './bind-plan.ts'
import type { BindContext, CommonTable, Env } from './bind-scope.ts'
import { emptyScope, scopeOf } from './bind-scope.ts'
import { bindSelect } from './bind-select.ts'
import { sqlErrors } from './errors.ts'
import { castExpr, coerce, leastRestrictive, sameType } from './functions/index.ts'
import { foldCast } from './optimize-constants.ts'
import type { Expr, Plan, SortKey } from './plan.ts'

/**
 * @param outer  names of the enclosing queries, for a sub-query that may use them
 * @param isTop  ORDER BY without LIMIT has a meaning only here; in a sub-query it is dropped, as Flink does
 */
export function bindQuery(query: Query, outerContext: BindContext, outer: Env | undefined, isTop = false): Plan {
  const { context, tables } = withTables(query, outerContext)
  const plan = bindBody(query, context, outer, isTop)
  // What is named has to be right also where nothing reads it.
  for (const table of tables) if (!table.isBound) bindCommon(table)
  return plan
}

function bindBody(query: Query, context: BindContext, outer: Env | undefined, isTop: boolean): Plan {
  switch (query.type) {
    case 'select':
      return bindSelect(query, context, outer, isTop)
    case 'setOperation': {
      const plan = bindSetOperation(query, context, outer, isTop)
      return ordered(query, plan, { context, scope: scopeOf(plan), outer }, isTop)
    }
    case 'values': {
      if (!context.insertsValues) refuseNulls(query)
      const plan = bindValues(query, context, outer)
      return ordered(query, plan, { context, scope: scopeOf(plan), outer }, isTop)
    }
  }
}

function withTables({ withItems }: Tail, outer: BindContext): { context: BindContext; tables: CommonTable[] } {
  const tables: CommonTable[] = []
  let context = outer
  for (const { name, columns, query } of withItems) {
    const table: CommonTable = { name: name.name, query, columns, context, isBound: false }
    tables.push(table)
    context = { ...context, withTables: new Map([...context.withTables, [table.name, table]]) }
  }
  return { context, tables }
}

// ---------------------------------------------------------------- set operations

type SetOperation = Extract<Query, { type: 'setOperation' }>

function bindSetOperation(query: SetOperation, context: BindContext, outer: Env | undefined, isTop: boolean): Plan {
  const { operator, all, span } = query
  const sides = [query.left, query.right].map((side) => bindQuery(side, context, outer))
  if (sides[0].fields.length !== sides[1].fields.length) {
    throw sqlErrors('SQL_COLUMN_COUNT', {
      what: `the right side of ${operator}`,
      actual: sides[1].fields.length,
      expected: sides[0].fields.length,
      span: query.right.span,
    })
  }
  for (const [i, side] of sides.entries()) {
    const untyped = side.fields.find((field) => field.type.kind === 'NULL')
    if (untyped) throw sqlErrors('SQL_NULL_UNTYPED', { where: `${operator}`, span: [query.left, query.right][i].span })
  }
  const common = commonFields(operator, sides, query)
  const names = uniqueNames(common.map(({ name }) => name))
  const fields = isTop ? common.map((field, i) => ({ ...field, name: names[i] })) : common
  const [left, right] = sides.map((side) => coerced(side, fields))
  if (operator === 'UNION') {
    const inputs = [left, right].flatMap((side) => (side.node === 'union' ? side.inputs : [side]))
    const union: Plan = { node: 'union', inputs, fields, changelog: 'append' }
    return all ? union : distinctPlan(union)
  }
  return { node: 'setOperation', operator, all, left, right, fields: fields.map(withoutTime), changelog: 'append', span }
}

/** Names of the left side, types that hold both; a time attribute stays one where both sides have it. */
function commonFields(operator: string, [left, right]: Plan[], { span }: SetOperation): Field[] {
  return left.fields.map((field, i) => {
    const other = right.fields[i]
    const type = leastRestrictive([field.type, other.type])
    if (type === undefined) {
      throw sqlErrors('SQL_TYPES_DIFFER', {
        what: operator,
        column: field.name,
        types: [field, other].map((one) => formatType(one.type)),
        span,
      })
    }
    const isTime = field.timeAttribute !== undefined && field.timeAttribute === other.timeAttribute && sameType(field.type, other.type)
    return isTime ? { ...field, type } : { name: field.name, type }
  })
}

/** The plan with its columns cast to the fields' types. */
function coerced(plan: Plan, fields: readonly Field[]): Plan {
  const columns = columnsOfPlan(plan)
  if (columns.every((column, i) => sameType(column.type, fields[i].type))) return plan
  return project(
    plan,
    columns.map((column, i) => coerce(column, fields[i].type) ?? castExpr(column, fields[i].type, false)),
    fields.map((field) => field.name),
  )
}

// ---------------------------------------------------------------- VALUES

type Values = Extract<Query, { type: 'values' }>

/** @throws StreamError  SQL_NULL_UNTYPED */
function refuseNulls({ rows }: Values): void {
  for (const item of rows.flat())
    if (item.type === 'literal' && item.value.kind === 'null') throw sqlErrors('SQL_NULL_UNTYPED', { where: 'VALUES', span: item.span })
}

function bindValues(query: Values, context: BindContext, outer: Env | undefined): Plan {
  const env: Env = { context, scope: emptyScope, outer }
  const rows = query.rows.map((row) => row.map((item) => bindExpression(item, env)))
  const width = rows[0].length
  rows.forEach((row, i) => {
    if (row.length !== width) {
      throw sqlErrors('SQL_COLUMN_COUNT', {
        what: `row ${i + 1} of VALUES`,
        actual: row.length,
        expected: width,
        span: query.rows[i][0].span,
      })
    }
  })
  const fields = rows[0].map((_, column): Field => {
    const types = rows.map((row) => row[column].type)
    const type = leastRestrictive(types)
    const name = `EXPR$${column}`
    if (type === undefined)
      throw sqlErrors('SQL_TYPES_DIFFER', { what: 'VALUES', column: name, types: types.map(formatType), span: query.span })
    return { name, type }
  })
  const cast = rows.map((row) => row.map((expr, i) => castExpr(expr, fields[i].type, false)))
  const folded = cast.map((row) => row.map(foldCast))
  if (folded.every((row) => row.every((value) => value !== undefined))) {
    return valuesPlan(
      fields,
      folded.map((row) => row.map((value) => value!.value)),
    )
  }
  const names = fields.map((field) => field.name)
  const inputs = cast.map((row) => project(singleRow(), row, names))
  return inputs.length === 1 ? inputs[0] : { node: 'union', inputs, fields, changelog: 'append' }
}

// ---------------------------------------------------------------- ORDER BY, LIMIT

export const rowCount = (node: Expression | undefined): number | undefined =>
  node?.type === 'literal' && node.value.kind === 'number' ? Number(node.value.text) : undefined

export const sortKey = (column: number, { descending, nulls }: OrderItem): SortKey => ({
  column,
  descending,
  // NULL is the smallest value.
  nullsFirst: nulls === undefined ? !descending : nulls === 'FIRST',
})

/** ORDER BY and LIMIT over finished columns: of a set operation, or of a SELECT whose order needs no other columns. */
export function ordered(tail: Tail, plan: Plan, env: Env, isTop: boolean): Plan {
  const width = plan.fields.length
  const extra: Expr[] = []
  const keys = tail.orderBy.map((item) => {
    const expr = ordinalOrExpression(item, plan, env)
    const column = expr.kind === 'column' ? expr.index : width + extra.push(expr) - 1
    return { key: sortKey(column, item), item }
  })
  const input =
    extra.length === 0
      ? plan
      : project(plan, [...columnsOfPlan(plan), ...extra], [...plan.fields.map((field) => field.name), ...extra.map((_, i) => `$order${i}`)])
  return firstColumns(sorted(tail, input, keys, isTop), width)
}

/** `ORDER BY 2` is the second column. @throws StreamError  SQL_COLUMN_NOT_FOUND */
function ordinalOrExpression({ expression }: OrderItem, plan: Plan, env: Env): Expr {
  const ordinal = rowCount(expression)
  if (ordinal === undefined) return bindExpression(expression, env)
  return columnAt(ordinal, plan, expression)
}

export function columnAt(ordinal: number, plan: Plan, { span }: Expression): Expr {
  if (ordinal < 1 || ordinal > plan.fields.length) throw sqlErrors('SQL_COLUMN_NOT_FOUND', { column: `number ${ordinal}`, span })
  return columnsOfPlan(plan)[ordinal - 1]
}

/** @throws StreamError  SQL_SORT_UNSUPPORTED */
export function sorted(tail: Tail, input: Plan, keys: readonly { key: SortKey; item: OrderItem }[], isTop: boolean): Plan {
  for (const { key, item } of keys) {
    const { kind } = input.fields[key.column].type
    if (kind === 'MAP' || kind === 'MULTISET')
      throw sqlErrors('SQL_NOT_SUPPORTED', { what: `ORDER BY of a ${kind}`, instead: 'Order by one of its values.', span: item.span })
  }
  const limit = rowCount(tail.limit)
  const offset = rowCount(tail.offset) ?? 0
  const orderBy = keys.map(({ key }) => key)
  const span = tail.orderBy[0]?.span ?? tail.limit?.span ?? tail.offset?.span
  const at = span && { span }
  if (limit === undefined && offset > 0 && isTop)
    throw sqlErrors('SQL_NOT_SUPPORTED', {
      what: 'OFFSET without LIMIT',
      instead: 'Add LIMIT: an endless table has no last row.',
      span: tail.offset?.span,
    })
  if (limit !== undefined || offset > 0) {
    return {
      node: 'limit',
      input,
      orderBy,
      offset,
      fields: input.fields,
      changelog: 'append',
      ...at,
      ...(limit !== undefined && { limit }),
    }
  }
  if (keys.length === 0 || !isTop) return input
  const [{ key, item }] = keys
  const field = input.fields[key.column]
  if (field.timeAttribute === undefined || key.descending) {
    const { expression } = item
    const column = expression.type === 'column' ? expression.name.parts.at(-1)!.name : field.name
    throw sqlErrors('SQL_SORT_UNSUPPORTED', { column, span: item.span })
  }
  return { node: 'sort', input, orderBy, fields: input.fields, changelog: 'append', ...at }
}
