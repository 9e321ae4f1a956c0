// INSERT INTO: the query's columns brought to the table's, and what a table's connector can take.
import type { Field } from '../data/index.ts'
import { formatType, t, withNullable } from '../data/index.ts'
import type { Statement } from './ast.ts'
import { columnsOfPlan, filter, project } from './bind-plan.ts'
import { bindQuery } from './bind-query.ts'
import type { BindContext } from './bind-scope.ts'
import { ordinalOf, requireUnique } from './bind-table.ts'
import { sqlErrors } from './errors.ts'
import { andAll, literalExpr } from './expr.ts'
import { assignExpr, resolveCall, sameType } from './functions/index.ts'
import { optimizeForSink } from './optimize-session.ts'
import { changelogOfTable } from './optimize-traits.ts'
import type { Expr, Plan, TableDef } from './plan.ts'
import { withHints } from './table-options.ts'

type InsertStatement = Extract<Statement, { type: 'insert' }>

/** Connectors that can only add: a change to a row that was written needs upserts. */
const APPEND_CONNECTORS = ['kafka', 'filesystem', 'http-poll']

/** Columns that INSERT fills, in declared order: physical ones, and metadata that is not virtual. */
const sinkOrdinals = (table: TableDef): number[] =>
  table.columns.flatMap((column, i) => (column.kind === 'computed' || (column.kind === 'metadata' && column.virtual) ? [] : [i]))

/** @throws StreamError  SQL_INSERT_TARGET, SQL_INSERT_TYPE, SQL_INSERT_NULL, SQL_COLUMN_COUNT, SQL_SINK_APPEND_ONLY and those of queries */
export function bindInsert(statement: InsertStatement, context: BindContext): { table: TableDef; query: Plan } {
  const entry = context.catalog.require(statement.table)
  if (entry.kind !== 'table') {
    const table = statement.table.parts.at(-1)!.name
    throw sqlErrors('SQL_INSERT_TARGET', { table, what: entry.kind, span: statement.table.span })
  }
  const table = withHints(entry.table, statement.hints)
  if (statement.overwrite) {
    throw sqlErrors('SQL_NOT_SUPPORTED', { what: 'INSERT OVERWRITE into a stream', instead: 'Use INSERT INTO.', span: statement.span })
  }
  const { query } = statement
  const source = bindQuery(query, { ...context, insertsValues: query.type === 'values' }, undefined, true)
  return { table, query: sinkPlan(table, source, statement, context) }
}

/** The optimized plan whose rows are those of the table. */
export function sinkPlan(
  table: TableDef,
  source: Plan,
  { columns, span, query: text }: Pick<InsertStatement, 'columns' | 'span' | 'query'>,
  context: BindContext,
): Plan {
  const ordinals = sinkOrdinals(table)
  if (table.isDistributed)
    throw sqlErrors('SQL_NOT_SUPPORTED', {
      what: `INSERT into "${table.name}", which is DISTRIBUTED,`,
      instead: "Leave DISTRIBUTED out: a topic's number of partitions is an option of its table.",
      span,
    })
  const names = ordinals.map((ordinal) => table.columns[ordinal].name)
  requireUnique(columns)
  const targets = columns.length > 0 ? columns.map((column) => ordinalOf(column, names)) : ordinals.map((_, i) => i)
  if (source.fields.length !== targets.length) {
    throw sqlErrors('SQL_COLUMN_COUNT', {
      what: `the query for "${table.name}"`,
      actual: source.fields.length,
      expected: targets.length,
      span: text.span,
    })
  }
  const given = columnsOfPlan(source)
  const exprs = ordinals.map((ordinal, i): Expr => {
    const { name: column, type } = table.columns[ordinal]
    const at = targets.indexOf(i)
    if (at < 0) {
      if (!type.nullable) throw sqlErrors('SQL_INSERT_NULL', { table: table.name, column, span })
      return literalExpr(null, type)
    }
    const expr = assignExpr(given[at], type)
    if (expr === undefined) {
      const where = text.type === 'select' && text.items.length === targets.length ? text.items[at].span : text.span
      throw sqlErrors('SQL_INSERT_TYPE', {
        table: table.name,
        column,
        from: formatType(given[at].type),
        to: formatType(withNullable(type, true)),
        span: where,
      })
    }
    return expr
  })
  const required = exprs.flatMap((expr, i) => {
    const { name, type } = table.columns[ordinals[i]]
    return expr.type.nullable && !type.nullable ? [requireNotNull(expr, `${table.name}.${name}`, context)] : []
  })
  // Rows that the target cannot take go before it; the columns stay what they are, and so do the keys.
  const query = filter(source, andAll(required))
  const isSame =
    exprs.every((expr, i) => expr.kind === 'column' && expr.index === i && sameType(expr.type, table.columns[ordinals[i]].type)) &&
    exprs.length === given.length
  const projected =
    isSame && query.node !== 'scan'
      ? ({ ...query, fields: query.fields.map((field, i): Field => ({ ...field, name: names[i] })) } as Plan)
      : project(query, exprs, names)
  const taken = changelogOfTable(table)
  // print, blackhole and formats of changes take each change as it is, as in Flink; only upserts go by the key.
  const key = taken === 'upsert' ? table.primaryKey?.map((column) => ordinals.indexOf(column)) : undefined
  context.logical?.push(projected)
  const plan = optimizeForSink(projected, key, context.catalog, text.span)
  const { connector } = table.options
  if (plan.changelog !== 'append' && APPEND_CONNECTORS.includes(connector) && taken === 'append') {
    throw sqlErrors('SQL_SINK_APPEND_ONLY', { table: table.name, connector, span: text.span })
  }
  return plan
}

const ENFORCER = 'table.exec.sink.not-null-enforcer'

/** A row with NULL for it is an error of the row, or dropped where the session says so. */
function requireNotNull(expr: Expr, column: string, { catalog }: BindContext): Expr {
  if (catalog.settings.get(ENFORCER) === 'DROP') return resolveCall('IS_NOT_NULL', [expr])
  return { kind: 'call', fn: 'REQUIRE_NOT_NULL', args: [expr], type: t.boolean(false), options: { column } }
}
