// FROM: tables, views, sub-queries, table functions and joins, as rows with names.
import type { Field, SqlType } from '../data/index.ts'
import { t, withNullable } from '../data/index.ts'
import type { Expression, Hint, QualifiedName, Span, TableAlias, TableRef } from './ast.ts'
import { walk } from './ast-walk.ts'
import { lateralJoin } from './bind-correlation.ts'
import { bindExpression } from './bind-expression.ts'
import { userCall, userDefinition } from './bind-function.ts'
import { bindMatch } from './bind-match.ts'
import { columnsOfPlan, firstColumns, joinFields, joinPlan, project, renamed, singleRow, storedOrdinals, valuesPlan } from './bind-plan.ts'
import { bindQuery } from './bind-query.ts'
import type { BindContext, CommonTable, Env, Scope } from './bind-scope.ts'
import { emptyScope, findLocal, joinScopes, retyped, scopeOf } from './bind-scope.ts'
import { applyCondition, bindCondition, splitAnd, stageOf } from './bind-subquery.ts'
import { bindTemporalJoin } from './bind-temporal.ts'
import { bindWindowFunction } from './bind-window.ts'
import { DEFAULT_DATABASE } from './catalog.ts'
import { sqlErrors } from './errors.ts'
import { andAll, columnExpr, exprKey, hasOuterReference, mapColumns, mapExpr, shiftColumns } from './expr.ts'
import { resolveCall } from './functions/index.ts'
import { changelogOfTable } from './optimize-traits.ts'
import { parseStatement } from './parse.ts'
import type { Expr, MaterializedTableDef, Plan, TableDef, ViewDef } from './plan.ts'
import { inputsOf, withInputs } from './plan-tree.ts'
import { placed } from './positions.ts'
import { settingMs } from './state-ttl.ts'
import { withHints } from './table-options.ts'

/** Rows with the names by which expressions reach them. */
export interface Source {
  plan: Plan
  scope: Scope
}

/** Connector of a scan that reads a materialized table of this server: its changes arrive as upserts by its key. */
const MATERIALIZED_CONNECTOR = 'materialized-table'

/** @param outer  names of the queries around, which sub-queries may use; for LATERAL the tables to the left, too */
export function bindTableRef(ref: TableRef, context: BindContext, outer: Env | undefined): Source {
  switch (ref.type) {
    case 'table': {
      if (ref.systemTime !== undefined) {
        throw sqlErrors('SQL_TEMPORAL_JOIN', {
          reason: 'it belongs to the right side of a join',
          instead: 'Write: … FROM orders JOIN rates FOR SYSTEM_TIME AS OF orders.ts ON …',
          span: ref.systemTime.span,
        })
      }
      return aliased(bindNamed(ref.name, context, ref.hints), ref.alias, ref.name.parts.at(-1)!.name)
    }
    case 'subquery':
      return aliased(
        bindQuery(ref.query, context, outer),
        namedByAlias(ref.alias, ref.query.type === 'values' && ref.query.rows[0].length === 1),
      )
    case 'function':
      if (ref.unnest) return bindUnnest(ref, { plan: singleRow(), scope: emptyScope }, context, outer, 'INNER')
      if (userTable(ref, context)) return bindUnnest(ref, { plan: singleRow(), scope: emptyScope }, context, outer, 'INNER')
      if (ref.call.type !== 'call') throw sqlErrors('SQL_EXPRESSION_MISPLACED', { what: 'this expression', span: ref.call.span })
      return aliased(
        bindWindowFunction(ref.call, context, (source) =>
          'parts' in source ? bindNamed(source, context) : bindQuery(source, context, outer),
        ),
        ref.alias,
      )
    case 'join':
      return bindJoin(ref, context, outer)
    case 'match':
      return aliased(bindMatch(ref, context, bindTableRef(ref.input, context, outer)), ref.alias)
  }
}

/** The one column of UNNEST and VALUES has the name of the alias: `(VALUES 1, 2) AS v` has a column v. */
const namedByAlias = (alias: TableAlias | undefined, isOneColumn: boolean): TableAlias | undefined =>
  alias && isOneColumn && alias.columns.length === 0 ? { ...alias, columns: [alias.name] } : alias

function aliased(plan: Plan, alias: TableAlias | undefined, name?: string): Source {
  if (alias === undefined || alias.columns.length === 0) return { plan, scope: scopeOf(plan, alias?.name.name ?? name) }
  if (alias.columns.length !== plan.fields.length) {
    throw sqlErrors('SQL_COLUMN_COUNT', {
      what: `the alias "${alias.name.name}"`,
      actual: alias.columns.length,
      expected: plan.fields.length,
      span: alias.columns[0].span,
    })
  }
  const result = renamed(
    plan,
    alias.columns.map((column) => column.name),
  )
  return { plan: result, scope: scopeOf(result, alias.name.name) }
}

// ---------------------------------------------------------------- tables and views

/** A table of WITH. @throws StreamError  SQL_COLUMN_COUNT and those of its query */
export function bindCommon(common: CommonTable): Plan {
  common.isBound = true
  const plan = bindQuery(common.query, common.context, undefined)
  if (common.columns.length > 0 && common.columns.length !== plan.fields.length) {
    throw sqlErrors('SQL_COLUMN_COUNT', {
      what: `the WITH table "${common.name}"`,
      actual: common.columns.length,
      expected: plan.fields.length,
      span: common.columns[0].span,
    })
  }
  return renamed(
    plan,
    common.columns.map((column) => column.name),
  )
}

/** @throws StreamError  SQL_TABLE_NOT_FOUND */
function bindNamed(name: QualifiedName, context: BindContext, hints: readonly Hint[] = []): Plan {
  const common = name.parts.length === 1 ? context.withTables.get(name.parts[0].name) : undefined
  if (common !== undefined) return bindCommon(common)
  const entry = context.catalog.require(name)
  switch (entry.kind) {
    case 'table':
      return scanPlan(withHints(entry.table, hints), context)
    case 'materialized table':
      if (entry.query === undefined) return scanPlan(tableOfMaterialized(entry.table), context)
      return bindView({ name: entry.table.name, fields: entry.table.fields, sql: entry.query, database: entry.database }, name, context)
    case 'view':
      return bindView(entry.view, name, context)
  }
}

function bindView({ name, fields, sql, database = DEFAULT_DATABASE }: ViewDef, { span }: QualifiedName, context: BindContext): Plan {
  const statement = parseStatement(sql)
  if (statement.type !== 'query') throw sqlErrors('SQL_OBJECT_NOT_FOUND', { what: 'a query of view', name, span })
  const plan = placed(sql, () =>
    bindQuery(statement.query, { ...context, catalog: context.catalog.within(database), withTables: new Map() }, undefined),
  )
  return renamed(
    pointedAt(plan, span),
    fields.map((field) => field.name),
  )
}

/** What is found wrong when all is planned is shown where the view is named: its own text is another one. */
function pointedAt(plan: Plan, span: Span): Plan {
  const node = withInputs(
    plan,
    inputsOf(plan).map((input) => pointedAt(input, span)),
  )
  return 'span' in node && node.span !== undefined ? { ...node, span } : node
}

const tableOfMaterialized = (table: MaterializedTableDef): TableDef => ({
  name: table.name,
  columns: table.fields.map(({ name, type }) => ({ name, type, kind: 'physical' })),
  primaryKey: table.primaryKey,
  partitionedBy: [],
  options: { ...table.options, connector: MATERIALIZED_CONNECTOR },
})

/** scan, then computed columns, then the watermark; upserts are made whole, so that all above may rely on retractions. */
function scanPlan(table: TableDef, context: BindContext): Plan {
  const plan = sourcePlan(table, context)
  if (changelogOfTable(table) !== 'upsert') return plan
  return { node: 'normalize', input: plan, keys: table.primaryKey ?? [], fields: plan.fields, changelog: 'retract' }
}

function sourcePlan(table: TableDef, context: BindContext): Plan {
  const columns = storedOrdinals(table)
  const position = new Map(columns.map((column, i) => [column, i]))
  const toScan = (expr: Expr): Expr =>
    mapExpr(expr, (part) => (part.kind === 'column' ? { ...part, index: position.get(part.index)! } : part))
  let plan: Plan = {
    node: 'scan',
    table,
    columns,
    fields: columns.map((column) => ({ name: table.columns[column].name, type: table.columns[column].type })),
    changelog: 'append',
  }
  if (columns.length < table.columns.length) {
    const projections = table.columns.map((column, i) =>
      column.kind === 'computed' ? toScan(column.expression) : columnExpr(position.get(i)!, column.type),
    )
    plan = project(
      plan,
      projections,
      table.columns.map((column) => column.name),
    )
  }
  if (table.watermark === undefined) return plan
  const { column: timeColumn } = table.watermark
  const fields = plan.fields.map((field, i): Field => (i === timeColumn ? { ...field, timeAttribute: 'event' } : field))
  const idleTimeoutMs = idleTimeoutOf(table, context)
  return {
    node: 'watermark',
    input: plan,
    timeColumn,
    expression: overComputed(table.watermark.expression, table, timeColumn),
    fields,
    changelog: 'append',
    ...(idleTimeoutMs > 0 && { idleTimeoutMs }),
  }
}

/** The watermark is declared over stored columns; where it repeats the time column's own expression it reads the column. */
function overComputed(expression: Expr, table: TableDef, timeColumn: number): Expr {
  const time = table.columns[timeColumn]
  if (time.kind !== 'computed') return expression
  const key = exprKey(time.expression)
  const replace = (expr: Expr): Expr => {
    if (exprKey(expr) === key) return columnExpr(timeColumn, time.type)
    return expr.kind === 'call' ? { ...expr, args: expr.args.map(replace) } : expr
  }
  return replace(expression)
}

const IDLE_TIMEOUT = 'table.exec.source.idle-timeout'
const idleTimeoutOf = (table: TableDef, context: BindContext): number =>
  settingMs(IDLE_TIMEOUT, table.options['scan.watermark.idle-timeout'] ?? context.catalog.settings.get(IDLE_TIMEOUT) ?? '0')

// ---------------------------------------------------------------- joins

type JoinRef = Extract<TableRef, { type: 'join' }>
type UnnestRef = Extract<TableRef, { type: 'function' }>

function bindJoin(ref: JoinRef, context: BindContext, outer: Env | undefined): Source {
  const left = bindTableRef(ref.left, context, outer)
  const kind = ref.kind === 'CROSS' ? 'INNER' : ref.kind
  const leftEnv: Env = { context, scope: left.scope, outer }
  const { right } = ref
  if (right.type === 'table' && right.systemTime !== undefined) return bindTemporalJoin(ref, right, left, context, outer)
  if (right.type === 'function' && (right.unnest || userTable(right, context))) {
    if (kind !== 'INNER' && kind !== 'LEFT') throw onlyInnerOrLeft('UNNEST', right)
    const source = bindUnnest(right, left, context, outer, kind)
    return withCondition(ref, source, left, kind, context, outer)
  }
  const isLateral = (right.type === 'subquery' || right.type === 'function') && right.lateral
  const other = bindTableRef(right, context, isLateral ? leftEnv : outer)
  if (isLateral) {
    if (kind !== 'INNER' && kind !== 'LEFT') throw onlyInnerOrLeft('LATERAL', right)
    const { plan, rightScope } = lateralJoin(kind, left.plan, other, right.span)
    const source: Source = { plan, scope: retyped(joinScopes(left.scope, rightScope, left.plan.fields.length), plan.fields) }
    return withCondition(ref, source, left, kind, context, outer)
  }
  const scope = joinScopes(left.scope, other.scope, left.plan.fields.length)
  if (ref.natural || ref.using !== undefined) return joinUsing(ref, kind, left, other)
  // What asks a sub-query is a condition above an inner join, as in WHERE.
  const parts = ref.on === undefined ? [] : splitAnd(ref.on)
  const asking = kind === 'INNER' ? parts.filter(hasSubquery) : []
  const bound = parts.filter((part) => !asking.includes(part)).map((part) => bindCondition(part, { context, scope, outer }, ON))
  const condition = bound.length > 0 ? andAll(bound) : undefined
  const sideTtl = ({ scope: { tables } }: Source): number => (tables.length === 1 && context.stateTtl?.get(tables[0].name ?? '')) || -1
  const ttlMs: [number, number] = [sideTtl(left), sideTtl(other)]
  const joined = joinPlan(kind, left.plan, other.plan, condition)
  const plan: Plan = { ...joined, span: ref.span, ...(joined.node === 'join' && Math.max(...ttlMs) > 0 && { ttlMs }) } as Plan
  const stage = stageOf(plan, { context, scope: retyped(scope, plan.fields), outer })
  for (const part of asking) applyCondition(stage, part, ON)
  return { plan: firstColumns(stage.plan, plan.fields.length), scope: stage.env.scope }
}

const ON = 'the condition of the join'
function hasSubquery(node: Expression): boolean {
  let found = false
  walk(node, (one) => {
    found ||= 'query' in one && one.query !== undefined
    return !found
  })
  return found
}

const onlyInnerOrLeft = (what: string, ref: TableRef): Error =>
  sqlErrors('SQL_NOT_SUPPORTED', { what: `RIGHT or FULL JOIN with ${what}`, instead: 'Use INNER, CROSS or LEFT JOIN.', span: ref.span })

/** ON of a join with UNNEST or LATERAL: part of an inner join; an outer one takes only TRUE. */
function withCondition(
  ref: JoinRef,
  source: Source,
  left: Source,
  kind: 'INNER' | 'LEFT',
  context: BindContext,
  outer: Env | undefined,
): Source {
  if (ref.on === undefined) return source
  const condition = bindCondition(ref.on, { context, scope: source.scope, outer }, ON)
  if (condition.kind === 'literal' && condition.value === true) return source
  const { plan } = source
  if (plan.node === 'correlate' && plan.input === left.plan) {
    return { ...source, plan: { ...plan, condition: plan.condition ? resolveCall('AND', [plan.condition, condition]) : condition } }
  }
  if (kind === 'INNER') {
    return {
      ...source,
      plan: { node: 'calc', input: plan, predicate: condition, projections: columnsOfPlan(plan), fields: plan.fields, changelog: 'append' },
    }
  }
  const withJoin = insideJoin(plan, condition)
  if (withJoin !== undefined) return { ...source, plan: withJoin }
  throw sqlErrors('SQL_NOT_SUPPORTED', {
    what: 'LEFT JOIN LATERAL with a condition of its own',
    instead: 'Write the condition into the WHERE of the sub-query, and ON TRUE.',
    span: ref.on.span,
  })
}

/** The condition as part of a join below that only has its columns chosen; undefined where something is computed above it. */
function insideJoin(plan: Plan, condition: Expr): Plan | undefined {
  if (plan.node === 'join') {
    const both = plan.condition ? resolveCall('AND', [plan.condition, condition]) : condition
    return { ...plan, condition: both }
  }
  if (plan.node !== 'calc' || plan.predicate !== undefined || plan.projections.some(({ kind }) => kind !== 'column')) return undefined
  const input = insideJoin(
    plan.input,
    mapColumns(condition, (column) => plan.projections[column.index]),
  )
  return input && { ...plan, input }
}

/** USING (k) and NATURAL: `k` without a table means the merged column. */
function joinUsing(ref: JoinRef, kind: 'INNER' | 'LEFT' | 'RIGHT' | 'FULL', left: Source, right: Source): Source {
  const leftWidth = left.plan.fields.length
  const columnNames = (source: Source): string[] => [
    ...new Set(source.scope.tables.flatMap((table) => table.columns.map((column) => column.name))),
  ]
  const names =
    ref.using ??
    columnNames(left)
      .filter((name) => columnNames(right).includes(name))
      .map((name) => ({ name, span: ref.span }))
  const pairs = names.map((name) => {
    const side = (source: Source): Expr => {
      const found = columnNames(source).includes(name.name) ? findLocal({ parts: [name], span: name.span }, source.scope) : undefined
      if (found === undefined) throw sqlErrors('SQL_COLUMN_NOT_FOUND', { column: name.name, span: name.span })
      return found
    }
    return { name: name.name, left: side(left), right: shiftColumns(side(right), leftWidth), span: name.span }
  })
  const equalities = pairs.map((pair) => resolveCall('EQUALS', [pair.left, pair.right], { span: pair.span }))
  const condition = equalities.length === 0 ? undefined : equalities.reduce((a, b) => resolveCall('AND', [a, b]))
  const plan = joinPlan(kind, left.plan, right.plan, condition)
  const scope = retyped(joinScopes(left.scope, right.scope, leftWidth), plan.fields)
  const typed = (expr: Expr): Expr =>
    mapExpr(expr, (part) => (part.kind === 'column' ? columnExpr(part.index, plan.fields[part.index].type) : part))
  const merged = pairs.map(({ name, left: a, right: b }) => {
    const both = resolveCall('COALESCE', [typed(a), typed(b)])
    // Where one side always has the value, the plain column keeps keys and time attributes.
    const [shown] = [kind === 'RIGHT' ? typed(b) : typed(a)]
    const isPlain = kind !== 'FULL' && exprKey({ ...shown, type: both.type } as Expr) === exprKey(shown)
    const before = scope.common.filter((one) => one.name === name).flatMap((one) => [...one.hidden])
    const hidden = new Set([...before, ...[a, b].flatMap((side) => (side.kind === 'column' ? [side.index] : []))])
    return { name, expr: isPlain ? shown : both, hidden }
  })
  const mergedNames = new Set(merged.map((one) => one.name))
  return { plan, scope: { ...scope, common: [...merged, ...scope.common.filter((one) => !mergedNames.has(one.name))] } }
}

// ---------------------------------------------------------------- UNNEST

/** The table function of the user that stands in FROM. */
const userTable = (ref: UnnestRef, context: BindContext) =>
  ref.call.type === 'call' && !ref.unnest ? userDefinition(ref.call, context, 'table') : undefined

/** UNNEST of an array, map or multiset of the rows to its left. */
function bindUnnest(ref: UnnestRef, left: Source, context: BindContext, outer: Env | undefined, kind: 'INNER' | 'LEFT'): Source {
  const env: Env = { context, scope: left.scope, outer }
  const { span } = ref.call
  const made = userTable(ref, context)
  const given = ref.call.type === 'call' ? ref.call.args.map((arg) => bindExpression(arg, env)) : []
  const args = made ? [userCall(made, given, span)] : given
  const [collection] = args
  const columns = args.length === 1 ? unnestFields(collection.type) : undefined
  if (columns === undefined)
    throw sqlErrors('SQL_ARGUMENTS_INVALID', {
      fn: 'UNNEST',
      types: args.map((arg) => arg.type.kind),
      expected: 'an ARRAY, MAP or MULTISET',
      span,
    })
  if (hasOuterReference(collection)) throw sqlErrors('SQL_CORRELATION_UNSUPPORTED', { what: 'UNNEST of a column of the outer query', span })
  const own = ref.withOrdinality ? [...columns, { name: 'ORDINALITY', type: t.int(false) }] : columns
  const { alias } = ref
  if (alias !== undefined && alias.columns.length > 0 && alias.columns.length !== own.length) {
    throw sqlErrors('SQL_COLUMN_COUNT', {
      what: `the alias "${alias.name.name}"`,
      actual: alias.columns.length,
      expected: own.length,
      span: alias.columns[0].span,
    })
  }
  const names = namedByAlias(alias, ref.unnest && columns.length === 1)?.columns ?? []
  const outputFields = own.map((field, i) => ({ ...field, name: names[i]?.name ?? field.name }))
  const fields = joinFields(kind, left.plan, valuesPlan(outputFields, []))
  const fn = ref.withOrdinality ? 'UNNEST_WITH_ORDINALITY' : 'UNNEST'
  const plan: Plan = { node: 'correlate', kind, input: left.plan, fn, args: [collection], outputFields, fields, changelog: 'append' }
  const unnested = scopeOf(valuesPlan(outputFields, []), alias?.name.name)
  return { plan, scope: retyped(joinScopes(left.scope, unnested, left.plan.fields.length), fields) }
}

function unnestFields(type: SqlType): Field[] | undefined {
  if (type.kind === 'MAP') {
    return [
      { name: 'KEY', type: type.key },
      { name: 'VALUE', type: type.value },
    ]
  }
  if (type.kind !== 'ARRAY' && type.kind !== 'MULTISET') return undefined
  const { element } = type
  if (element.kind !== 'ROW') return [{ name: 'EXPR$0', type: element }]
  return element.fields.map((field) => ({ name: field.name, type: withNullable(field.type, field.type.nullable || element.nullable) }))
}
