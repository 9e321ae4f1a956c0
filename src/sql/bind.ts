// The binder: a statement's tree and a catalog in, a typed and optimized plan out. The catalog itself is changed only by `applyStatement`.

import { isStreamError, nearestName } from '../base/index.ts'
import type { Field } from '../data/index.ts'
import { withNullable } from '../data/index.ts'
import type { Identifier, Query, Span, Statement } from './ast.ts'
import { alterTable } from './bind-alter.ts'
import { createFunction } from './bind-function.ts'
import { bindInsert, sinkPlan } from './bind-insert.ts'
import { renamed } from './bind-plan.ts'
import { bindQuery } from './bind-query.ts'
import type { BindContext } from './bind-scope.ts'
import { bindSettings, bindShow, describeEntry, requireCatalog } from './bind-show.ts'
import { bindCreateTable, optionsOf, ordinalOf, requireUnique } from './bind-table.ts'
import { constantIntervalMs } from './bind-window.ts'
import type { Catalog, CatalogEntry } from './catalog.ts'
import { applyStatement, DEFAULT_CATALOG, DEFAULT_DATABASE, functionNameOf } from './catalog.ts'
import { sqlErrors } from './errors.ts'
import { optimize } from './optimize.ts'
import { optimizeForSession, optimizeForSink } from './optimize-session.ts'
import { parseScript } from './parse.ts'
import type { BoundStatement, ExplainedPlan, MaterializedTableDef, Plan, ViewDef } from './plan.ts'
import { placed } from './positions.ts'
import { checkSetting } from './settings.ts'

export interface BindOptions {
  /** IANA name of the session's time zone; UTC where none is given here or by SET 'table.local-time-zone'. */
  timeZone?: string
}

/**
 * Resolves names and types of one statement, and plans its queries.
 *
 * @param text  the text that the statement's spans point into
 * @throws StreamError  with `position`
 */
export function bindStatement(statement: Statement, text: string, catalog: Catalog, options: BindOptions = {}): BoundStatement {
  const context: BindContext = { catalog, timeZone: options.timeZone ?? catalog.timeZone, withTables: new Map() }
  return placed(text, () => bind(statement, text, context))
}

/**
 * Binds a script; each statement sees what those before it declare. The catalog stays as it is.
 *
 * @throws StreamError  of the first statement that is wrong, with `position`
 */
export function bindScript(text: string, catalog: Catalog, options: BindOptions = {}): BoundStatement[] {
  const own = catalog.clone()
  return parseScript(text).map((statement) => {
    const bound = bindStatement(statement, text, own, options)
    applyStatement(bound, own)
    return bound
  })
}

/** A column that is nothing but NULL has no type; an INSERT gives it that of its target. */
function typed(plan: Plan, span: Span): Plan {
  const untyped = plan.fields.find((field) => field.type.kind === 'NULL')
  if (untyped) throw sqlErrors('SQL_NULL_UNTYPED', { where: `column "${untyped.name}"`, span })
  return plan
}

function bind(statement: Statement, text: string, context: BindContext): BoundStatement {
  const { catalog } = context
  switch (statement.type) {
    case 'query':
      return { type: 'query', query: typed(planQuery(statement.query, context), statement.query.span) }
    case 'insert':
      return { type: 'insert', ...bindInsert(statement, context) }
    case 'statementSet':
      return {
        type: 'statementSet',
        inserts: statement.inserts.flatMap((insert) => (insert.type === 'insert' ? bindInsert(insert, context) : [])),
      }
    case 'explain':
      return { type: 'explain', details: statement.details, plans: explained(statement, text, context) }
    case 'createTable':
      if (statement.replace) return replaceTable(statement, text, context)
      return isTaken(statement, 'table', catalog) ? exists('Table', catalog.nameOf(statement.name)) : createTable(statement, text, context)
    case 'createView':
      return isTaken(statement, 'view', catalog) ? exists('View', catalog.nameOf(statement.name)) : createView(statement, text, context)
    case 'createMaterializedTable':
      return isTaken(statement, 'materialized table', catalog)
        ? exists('Materialized table', catalog.nameOf(statement.name))
        : createMaterializedTable(statement, text, context)
    case 'createFunction':
      return createFunction(statement, catalog)
    case 'drop':
      return drop(statement, catalog)
    case 'describe':
      return describeEntry(catalog.require(statement.name))
    case 'show':
      return bindShow(statement, catalog)
    case 'set':
      if (statement.key === undefined) return bindSettings(catalog)
      if (statement.value !== undefined) checkSetting(statement.key, statement.value, statement.span)
      return { type: 'set', key: statement.key, value: statement.value }
    case 'reset':
      return { type: 'set', key: statement.key ?? '' }
    case 'use':
      return use(statement, catalog)
    case 'createDatabase':
      return createDatabase(statement, catalog)
    case 'alterTable':
      return alterTable(statement, text, context)
    case 'alterView':
      return alterView(statement, text, context)
  }
}

function planQuery(query: Query, context: BindContext): Plan {
  const bound = bindQuery(query, context, undefined, true)
  context.logical?.push(bound)
  return optimizeForSession(bound, context.catalog, query.span)
}

// ---------------------------------------------------------------- CREATE

type Create = Extract<Statement, { type: 'createTable' | 'createView' | 'createMaterializedTable' }>

/** @returns whether IF NOT EXISTS leaves nothing to do  @throws StreamError  SQL_NAME_TAKEN */
function isTaken({ name, ifNotExists }: Create, what: string, catalog: Catalog): boolean {
  const plain = catalog.newNameOf(name)
  const entry = catalog.get(plain)
  if (entry === undefined) return false
  if (!ifNotExists || entry.kind !== what) throw sqlErrors('SQL_NAME_TAKEN', { name: plain, what: entry.kind, span: name.span })
  return true
}

const exists = (what: string, name: string): BoundStatement => ({ type: 'done', message: `${what} ${name} exists` })
const textOf = (node: { span: { start: number; end: number } }, text: string): string => text.slice(node.span.start, node.span.end)

function createTable(statement: Extract<Statement, { type: 'createTable' }>, text: string, context: BindContext): BoundStatement {
  const { query, ifNotExists, span } = statement
  const ddl = textOf(statement, text)
  if (query === undefined) return { type: 'createTable', table: bindCreateTable(statement, context, ddl), ifNotExists }
  const plan = bindQuery(query, context, undefined, true)
  const table = bindCreateTable(statement, context, ddl, plan.fields)
  // By name: the table may have other columns, and these in another order.
  const columns = plan.fields.map(({ name }) => ({ name, span: query.span }))
  return { type: 'createTable', table, ifNotExists, insert: sinkPlan(table, plan, { columns, span, query }, context) }
}

/** @throws StreamError  SQL_TABLE_NOT_FOUND, SQL_NAME_TAKEN where the name is that of something else */
function replaceTable(statement: Extract<Statement, { type: 'createTable' }>, text: string, context: BindContext): BoundStatement {
  const { catalog } = context
  const name = catalog.newNameOf(statement.name)
  const entry = catalog.get(name)
  if (entry === undefined && statement.replace === 'only') {
    const nearest = nearestName(name, catalog.names('table'))
    throw sqlErrors('SQL_TABLE_NOT_FOUND', { table: name, nearest, span: statement.name.span })
  }
  if (entry && entry.kind !== 'table') throw sqlErrors('SQL_NAME_TAKEN', { name, what: entry.kind, span: statement.name.span })
  return createTable(statement, text, context)
}

/** @throws StreamError  SQL_OBJECT_NOT_FOUND, SQL_NAME_TAKEN, and those of queries */
function alterView(statement: Extract<Statement, { type: 'alterView' }>, text: string, context: BindContext): BoundStatement {
  const { catalog } = context
  const from = catalog.nameOf(statement.name)
  const entry = catalog.get(from)
  if (entry?.kind !== 'view') {
    const nearest = nearestName(from, catalog.names('view'))
    throw sqlErrors('SQL_OBJECT_NOT_FOUND', { what: 'view', name: from, nearest, span: statement.name.span })
  }
  const { to, query } = statement
  if (to !== undefined) {
    const name = catalog.newNameBeside(statement.name, to)
    const taken = catalog.get(name)
    if (taken) throw sqlErrors('SQL_NAME_TAKEN', { name, what: taken.kind, span: to.span })
    return { type: 'alterView', from, view: { ...entry.view, name } }
  }
  const bound = bindQuery(query!, context, undefined)
  requireUniqueNames(query!, bound)
  checkView(bound)
  return {
    type: 'alterView',
    from,
    view: { name: from, fields: bound.fields, sql: textOf(query!, text), database: catalog.currentDatabase },
  }
}

function createView(statement: Extract<Statement, { type: 'createView' }>, text: string, context: BindContext): BoundStatement {
  const { columns, query } = statement
  const name = context.catalog.nameOf(statement.name)
  const bound = bindQuery(query, context, undefined)
  checkView(bound)
  if (columns.length === 0) requireUniqueNames(query, bound)
  const fields = renamedFields(bound.fields, columns, `the view "${name}"`)
  const view: ViewDef = { name, fields, sql: textOf(query, text), database: context.catalog.currentDatabase }
  if (statement.temporary) view.isTemporary = true
  return { type: 'createView', view }
}

/** Planned to find what no stream can compute; the plan is made again where the view is used, which may give numbers of rows their bound. */
function checkView(bound: Plan): void {
  try {
    optimize(bound)
  } catch (error) {
    if (!isStreamError(error) || !['SQL_OVER_UNSUPPORTED', 'SQL_RANK_UNSUPPORTED'].includes(error.code)) throw error
  }
}

/** A view has one column of each name. @throws StreamError  SQL_COLUMN_DUPLICATE, at the name where it is written */
function requireUniqueNames(query: Query, { fields }: Plan): void {
  requireUnique(writtenNames(query))
  requireUnique(fields.map(({ name }) => ({ name, span: query.span })))
}

/** The names that a SELECT gives its columns, in so far as they are written in it. */
const writtenNames = (query: Query): Identifier[] =>
  query.type === 'select'
    ? query.items.flatMap(({ alias, expression }) => alias ?? (expression.type === 'column' ? expression.name.parts.at(-1)! : []))
    : []

function renamedFields(fields: readonly Field[], columns: readonly Identifier[], what: string): Field[] {
  requireUnique(columns)
  if (columns.length > 0 && columns.length !== fields.length) {
    throw sqlErrors('SQL_COLUMN_COUNT', { what, actual: columns.length, expected: fields.length, span: columns[0].span })
  }
  return fields.map((field, i) => ({ ...field, name: columns[i]?.name ?? field.name }))
}

function createMaterializedTable(
  statement: Extract<Statement, { type: 'createMaterializedTable' }>,
  text: string,
  context: BindContext,
): BoundStatement {
  const name = context.catalog.nameOf(statement.name)
  const bound = bindQuery(statement.query, context, undefined, true)
  const names = renamedFields(bound.fields, statement.columns, `the materialized table "${name}"`).map((field) => field.name)
  const declared = statement.primaryKey
  requireUnique(declared ?? [])
  const declaredKey = declared?.map((column) => ordinalOf(column, names))
  const query = optimizeForSink(renamed(bound, names), declaredKey, context.catalog, statement.query.span)
  const primaryKey = declaredKey ?? query.upsertKey
  if (primaryKey === undefined) throw sqlErrors('SQL_KEY_MISSING', { table: name, columns: names.slice(0, 1), span: statement.name.span })
  const table: MaterializedTableDef = {
    name,
    fields: query.fields.map(({ name: column, type }, i) => ({
      name: column,
      type: declared && primaryKey.includes(i) ? withNullable(type, false) : type,
    })),
    primaryKey,
    options: optionsOf(statement.options),
    ddl: textOf(statement, text),
  }
  const { freshness } = statement
  if (freshness !== undefined) {
    table.freshnessMs = constantIntervalMs(freshness, context, (reason, span) =>
      sqlErrors('SQL_WINDOW_ARGUMENTS', {
        fn: 'FRESHNESS',
        reason,
        expected: "FRESHNESS = INTERVAL '1' SECOND",
        span: span ?? freshness.span,
      }),
    )
  }
  if (statement.comment !== undefined) table.comment = statement.comment
  return { type: 'createMaterializedTable', table, query }
}

// ---------------------------------------------------------------- DROP

const isTemporaryEntry = (entry: CatalogEntry | undefined): boolean =>
  (entry?.kind === 'table' && entry.table.isTemporary === true) || (entry?.kind === 'view' && entry.view.isTemporary === true)

function drop(statement: Extract<Statement, { type: 'drop' }>, catalog: Catalog): BoundStatement {
  const { what, name, ifExists } = statement
  if (what === 'DATABASE') return dropDatabase(statement, catalog)
  const isFunction = what === 'FUNCTION'
  const plain = isFunction ? functionNameOf(name) : catalog.nameOf(name)
  const kind = what.toLowerCase()
  const found = isFunction ? catalog.getFunction(plain) !== undefined : catalog.get(plain)?.kind === kind
  const other = isFunction ? undefined : catalog.get(plain)?.kind
  if (!found && !ifExists && other !== undefined)
    throw sqlErrors('SQL_OBJECT_KIND', { name: plain, kind: other, wanted: kind, statement: 'DROP', span: name.span })
  if (!found && !ifExists) {
    const names = isFunction ? catalog.functionNames() : catalog.names(kind as 'table')
    throw sqlErrors('SQL_OBJECT_NOT_FOUND', { what: kind, name: plain, nearest: nearestName(plain, names), span: name.span })
  }
  if (!found) return { type: 'done', message: `There is no ${kind} ${plain}` }
  const isTemporary = !isFunction && isTemporaryEntry(catalog.get(plain))
  if (!isFunction && isTemporary !== statement.temporary) {
    // As in Flink: what is permanent is safe from DROP TEMPORARY, and what is temporary is named so.
    if (!isTemporary && ifExists) return { type: 'done', message: `There is no temporary ${kind} ${plain}` }
    const [is, wanted] = isTemporary ? [`temporary ${kind}`, kind] : [kind, `temporary ${kind}`]
    throw sqlErrors('SQL_OBJECT_KIND', { name: plain, kind: is, wanted, statement: 'DROP', span: name.span })
  }
  return { type: 'drop', what, name: plain, ifExists }
}

// ---------------------------------------------------------------- databases

/** @throws StreamError  SQL_DATABASE_NOT_FOUND, SQL_OBJECT_NOT_FOUND for a catalog */
function use({ name, catalog: isCatalog }: Extract<Statement, { type: 'use' }>, catalog: Catalog): BoundStatement {
  if (!isCatalog) return { type: 'use', database: catalog.databaseOf(name) }
  requireCatalog(name)
  return { type: 'use', database: catalog.currentDatabase }
}

/** @throws StreamError  SQL_NAME_TAKEN, SQL_OBJECT_NOT_FOUND for a catalog, SQL_NOT_SUPPORTED for a name with a dot */
function createDatabase({ name, ifNotExists }: Extract<Statement, { type: 'createDatabase' }>, catalog: Catalog): BoundStatement {
  const database = name.parts.at(-1)!.name
  const [first] = name.parts
  if (name.parts.length > 1 && first.name !== DEFAULT_CATALOG)
    throw sqlErrors('SQL_OBJECT_NOT_FOUND', { what: 'catalog', name: first.name, nearest: DEFAULT_CATALOG, span: first.span })
  if (database.includes('.'))
    throw sqlErrors('SQL_NOT_SUPPORTED', { what: 'a dot in the name of a database', instead: 'Write another sign.', span: name.span })
  if (!catalog.hasDatabase(database)) {
    const inside = catalog.names().find((one) => one.startsWith(`${database}.`))
    if (inside !== undefined) throw sqlErrors('SQL_NAME_TAKEN', { name: inside, what: catalog.get(inside)!.kind, span: name.span })
    return { type: 'createDatabase', name: database }
  }
  if (!ifNotExists) throw sqlErrors('SQL_NAME_TAKEN', { name: database, what: 'database', span: name.span })
  return { type: 'done', message: `Database ${database} exists` }
}

/** @throws StreamError  SQL_DATABASE_NOT_FOUND, SQL_DATABASE_IN_USE */
function dropDatabase({ name, ifExists, cascade }: Extract<Statement, { type: 'drop' }>, catalog: Catalog): BoundStatement {
  const plain = name.parts.at(-1)!.name
  if (ifExists && !catalog.hasDatabase(plain)) return { type: 'done', message: `There is no database ${plain}` }
  const database = catalog.databaseOf(name)
  const inUse = (reason: string, instead: string) => sqlErrors('SQL_DATABASE_IN_USE', { database, reason, instead, span: name.span })
  if (database === DEFAULT_DATABASE) throw inUse('it is the default one', 'Drop what is in it.')
  if (database === catalog.currentDatabase) throw inUse('it is the current one', `USE another one first, such as ${DEFAULT_DATABASE}.`)
  const names = catalog.namesIn(database)
  if (names.length > 0 && !cascade)
    throw inUse(`it has ${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}`, 'Drop these first, or write CASCADE.')
  return { type: 'dropDatabase', name: database }
}

// ---------------------------------------------------------------- EXPLAIN

function explained({ statement }: Extract<Statement, { type: 'explain' }>, text: string, context: BindContext): ExplainedPlan[] {
  const logical: Plan[] = []
  const queries = queriesOf(bind(statement, text, { ...context, logical }))
  if (queries.length > 0) return queries.map((one, i) => ({ ...one, logical: logical[i] }))
  throw sqlErrors('SQL_NOT_SUPPORTED', {
    what: 'EXPLAIN of this statement',
    instead: 'Explain a query or an INSERT.',
    span: statement.span,
  })
}

/** The queries that a statement runs, as they are written in it. */
function queriesOf(bound: BoundStatement): { target?: string; query: Plan }[] {
  switch (bound.type) {
    case 'query':
      return [{ query: bound.query }]
    case 'insert':
    case 'createMaterializedTable':
      return [{ target: bound.table.name, query: bound.query }]
    case 'statementSet':
      return bound.inserts.map(({ table, query }) => ({ target: table.name, query }))
    case 'createTable':
      return bound.insert === undefined ? [] : [{ target: bound.table.name, query: bound.insert }]
    default:
      return []
  }
}
