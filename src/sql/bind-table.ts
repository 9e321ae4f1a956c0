// CREATE TABLE: columns, metadata, computed columns, watermark, key, LIKE.

import { nearestName } from '../base/index.ts'
import type { Field, SqlType } from '../data/index.ts'
import { formatType, t, withNullable } from '../data/index.ts'
import type { ColumnDefinition, CreateTable, Identifier, OptionEntry } from './ast.ts'
import { bindExpression } from './bind-expression.ts'
import { valuesPlan } from './bind-plan.ts'
import type { BindContext, Env } from './bind-scope.ts'
import { scopeOf } from './bind-scope.ts'
import type { Catalog } from './catalog.ts'
import { sqlErrors } from './errors.ts'
import { mapColumns } from './expr.ts'
import { castExpr } from './functions/index.ts'
import type { Expr, TableColumn, TableDef } from './plan.ts'
import { requireKnownOptions } from './table-options.ts'

/** Time attributes are epoch milliseconds. */
const TIME_PRECISION_MAX = 3
/** Connectors whose sink finds the row to change by its key. */
const KEYED_CONNECTORS = ['upsert-kafka']

/**
 * @param columnsOfQuery  CREATE TABLE … AS: the columns that the query gives, for a table that declares none
 * @param base            what LIKE takes over, where it was looked up before
 * @throws StreamError  SQL_COLUMN_DUPLICATE, SQL_KEY_INVALID, SQL_KEY_REQUIRED, SQL_WATERMARK_INVALID, SQL_OPTION_UNKNOWN and those of expressions
 */
export function bindCreateTable(
  statement: CreateTable,
  context: BindContext,
  ddl: string,
  columnsOfQuery: readonly Field[] = [],
  base = statement.like && likeTable(statement.like, context.catalog),
): TableDef {
  const definitions = statement.columns
  const declared = new Set(definitions.map((column) => column.name.name))
  requireUnique(definitions.map((column) => column.name))
  const overwritten = base?.columns.findIndex((column) => declared.has(column.name)) ?? -1
  if (base !== undefined && overwritten >= 0) {
    const name = base.columns[overwritten].name
    const definition = definitions.find((column) => column.name.name === name)!
    if (definition.kind === 'physical' || base.columns[overwritten].kind === 'physical') {
      throw sqlErrors('SQL_COLUMN_DUPLICATE', { column: name, span: definition.name.span })
    }
  }
  const inherited = base?.columns.filter((column) => !declared.has(column.name)) ?? []
  const keyNames = keyIdentifiers(statement)
  const isKey = (name: string): boolean => keyNames.some((key) => key.name === name) || inheritedKey(base).includes(name)
  const ofQuery = columnsInOrder(statement, columnsOfQuery)

  // Computed columns see the physical and metadata ones, whether these come before or after.
  const declaredColumns: TableColumn[] = [
    ...inherited.map((column) => (column.kind === 'computed' ? column : { ...column, type: keyType(column.type, isKey(column.name)) })),
    ...definitions
      .filter(({ name }) => !ofQuery.some((field) => field.name === name.name))
      .map((definition) => storedColumn(definition, isKey(definition.name.name))),
    // A column of the query keeps its place, also where it is declared to have another type.
    ...ofQuery.map(({ name, type }): TableColumn => {
      const definition = definitions.find((one) => one.name.name === name)
      if (definition === undefined) return { name, type: keyType(type, isKey(name)), kind: 'physical' }
      if (definition.kind === 'physical') return storedColumn(definition, isKey(name))
      throw sqlErrors('SQL_COLUMN_DUPLICATE', { column: name, span: definition.name.span })
    }),
  ]
  const names = declaredColumns.map((column) => column.name)
  const columns = base === undefined ? declaredColumns : declaredColumns.map((column) => moved(column, base, names))
  definitions.forEach((definition) => {
    if (definition.kind !== 'computed') return
    const expression = bindOverColumns(definition.expression, columns, context, (column) => column.kind !== 'computed')
    columns[names.indexOf(definition.name.name)] = {
      ...named(definition),
      kind: 'computed',
      type: expression.type,
      expression,
      text: definition.text,
    }
  })

  const table: TableDef = {
    name: context.catalog.nameOf(statement.name),
    columns,
    partitionedBy: statement.partitionedBy.map((name) => ordinalOf(name, names)),
    options: { ...base?.options, ...optionsOf(statement.options) },
    ddl,
    ...(base && { base }),
  }
  if (statement.temporary) table.isTemporary = true
  if (statement.comment !== undefined) table.comment = statement.comment
  const primaryKey =
    keyNames.length > 0 ? keyNames.map((name) => keyOrdinal(name, columns)) : inheritedKey(base).map((name) => names.indexOf(name))
  if (primaryKey.length > 0) table.primaryKey = primaryKey
  if (statement.watermark) table.watermark = bindWatermark(statement.watermark, columns, context)
  else if (base?.watermark) {
    const { column, expression, text } = base.watermark
    table.watermark = { column: names.indexOf(base.columns[column].name), expression: movedExpr(expression, base, names), text }
  }
  if (statement.distribution) checkDistribution(statement.distribution, columns)
  if (statement.distribution ?? base?.isDistributed) table.isDistributed = true
  const { connector } = table.options
  requireKnownOptions(connector, statement.options, table.options)
  if (table.primaryKey === undefined && KEYED_CONNECTORS.includes(connector)) {
    throw sqlErrors('SQL_KEY_REQUIRED', { table: table.name, connector, span: statement.name.span })
  }
  return table
}

/** The query's columns as the statement lists them. @throws StreamError  SQL_COLUMN_COUNT, SQL_COLUMN_NOT_FOUND */
function columnsInOrder({ order, query, name }: CreateTable, fields: readonly Field[]): readonly Field[] {
  if (query !== undefined) requireUnique(fields.map((field) => ({ name: field.name, span: query.span })))
  if (order === undefined) return fields
  requireUnique(order)
  if (order.length !== fields.length) {
    const what = `the table "${name.parts.at(-1)?.name}"`
    throw sqlErrors('SQL_COLUMN_COUNT', { what, actual: fields.length, expected: order.length, span: order[0].span })
  }
  const names = fields.map((field) => field.name)
  return order.map((column) => fields[ordinalOf(column, names)])
}

const named = ({ name, comment }: ColumnDefinition) => ({ name: name.name, ...(comment !== undefined && { comment }) })
const keyType = (type: SqlType, isKey: boolean): SqlType => (isKey ? withNullable(type, false) : type)

function storedColumn(definition: ColumnDefinition, isKey: boolean): TableColumn {
  switch (definition.kind) {
    case 'physical':
      return { ...named(definition), kind: 'physical', type: keyType(definition.type.type, isKey) }
    case 'metadata':
      return {
        ...named(definition),
        kind: 'metadata',
        type: definition.type.type,
        key: definition.from ?? definition.name.name,
        virtual: definition.virtual,
      }
    case 'computed': // Bound when all others are known.
      return {
        ...named(definition),
        kind: 'computed',
        type: t.null(),
        expression: { kind: 'literal', value: null, type: t.null() },
        text: definition.text,
      }
  }
}

function keyIdentifiers({ primaryKey, columns }: CreateTable): readonly Identifier[] {
  const inline = columns.flatMap((column) => (column.kind === 'physical' && column.primaryKey ? column.name : []))
  const second = primaryKey ? inline[0] : inline[1]
  if (second) {
    const reason = 'the table has a primary key already; one of several columns is PRIMARY KEY (a, b) NOT ENFORCED'
    throw sqlErrors('SQL_KEY_INVALID', { column: second.name, reason, span: second.span })
  }
  requireUnique(primaryKey ?? [])
  return primaryKey ?? inline
}

function keyOrdinal(name: Identifier, columns: readonly TableColumn[]): number {
  const ordinal = ordinalOf(
    name,
    columns.map((column) => column.name),
  )
  const { kind } = columns[ordinal]
  if (kind !== 'physical') throw sqlErrors('SQL_KEY_INVALID', { column: name.name, reason: `it is a ${kind} column`, span: name.span })
  return ordinal
}

/** @throws StreamError  SQL_COLUMN_NOT_FOUND */
export function ordinalOf({ name, span }: Identifier, names: readonly string[]): number {
  const ordinal = names.indexOf(name)
  if (ordinal < 0) throw sqlErrors('SQL_COLUMN_NOT_FOUND', { column: name, nearest: nearestName(name, names), columns: names, span })
  return ordinal
}

/** @throws StreamError  SQL_COLUMN_DUPLICATE */
export function requireUnique(names: readonly Identifier[]): void {
  const seen = new Set<string>()
  for (const { name, span } of names) {
    if (seen.has(name)) throw sqlErrors('SQL_COLUMN_DUPLICATE', { column: name, span })
    seen.add(name)
  }
}

/** The last of equal keys wins. */
export const optionsOf = (entries: readonly OptionEntry[]): Record<string, string> =>
  Object.fromEntries(entries.map(({ key, value }) => [key, value]))

function bindOverColumns(
  expression: Parameters<typeof bindExpression>[0],
  columns: readonly TableColumn[],
  context: BindContext,
  visible: (column: TableColumn) => boolean,
): Expr {
  const scope = scopeOf(
    valuesPlan(
      columns.map(({ name, type }) => ({ name, type })),
      [],
    ),
  )
  for (const table of scope.tables) table.columns = table.columns.filter((column) => visible(columns[column.index]))
  const env: Env = { context, scope }
  return bindExpression(expression, env)
}

function bindWatermark(
  watermark: NonNullable<CreateTable['watermark']>,
  columns: readonly TableColumn[],
  context: BindContext,
): TableDef['watermark'] {
  const [first, ...path] = watermark.column.parts
  const column = ordinalOf(
    first,
    columns.map((one) => one.name),
  )
  if (path.length > 0) {
    throw sqlErrors('SQL_NOT_SUPPORTED', {
      what: 'a watermark on a field of a ROW',
      instead: 'Add a computed column with the field, and declare the watermark on it.',
      span: watermark.column.span,
    })
  }
  const { type, name } = columns[column]
  const isTime = (one: SqlType): boolean =>
    (one.kind === 'TIMESTAMP' || one.kind === 'TIMESTAMP_LTZ') && one.precision <= TIME_PRECISION_MAX
  if (!isTime(type)) throw sqlErrors('SQL_WATERMARK_INVALID', { column: name, type: formatType(type), span: watermark.column.span })
  const written = bindOverColumns(watermark.expression, columns, context, () => true)
  if (written.type.kind !== type.kind) {
    throw sqlErrors('SQL_WATERMARK_INVALID', { column: name, type: formatType(written.type), span: watermark.expression.span })
  }
  const stored = mapColumns(written, ({ index, ...rest }) => {
    const source = columns[index]
    return source.kind === 'computed' ? source.expression : { index, ...rest }
  })
  return { column, expression: isTime(stored.type) ? stored : castExpr(stored, type, false), text: watermark.text }
}

/** Buckets are those of other connectors: here they are only checked. @throws StreamError  SQL_DISTRIBUTION_INVALID, SQL_COLUMN_NOT_FOUND */
function checkDistribution(
  { columns: keys, bucketCount, span }: NonNullable<CreateTable['distribution']>,
  columns: readonly TableColumn[],
): void {
  const names = columns.map(({ name }) => name)
  for (const key of keys)
    if (columns[ordinalOf(key, names)].kind !== 'physical')
      throw sqlErrors('SQL_DISTRIBUTION_INVALID', { reason: `"${key.name}" is no physical column`, span: key.span })
  if (bucketCount === 0) throw sqlErrors('SQL_DISTRIBUTION_INVALID', { reason: 'there is at least one bucket', span })
}

// ---------------------------------------------------------------- LIKE

type LikeClause = NonNullable<CreateTable['like']>

/** The other table, without what is excluded. */
function likeTable(like: LikeClause, catalog: Catalog): TableDef {
  const entry = catalog.require(like.table)
  if (entry.kind !== 'table') {
    throw sqlErrors('SQL_NOT_SUPPORTED', {
      what: `LIKE a ${entry.kind}`,
      instead: 'Name a table that CREATE TABLE declared.',
      span: like.table.span,
    })
  }
  const { table } = entry
  const mode = (what: string): string =>
    (like.options.find((one) => one.what === what) ?? like.options.find((one) => one.what === 'ALL'))?.mode ?? 'INCLUDING'
  const excluded = (what: string): boolean => mode(what) === 'EXCLUDING'
  const kept = table.columns.filter(
    (column) => !(column.kind === 'computed' && excluded('GENERATED')) && !(column.kind === 'metadata' && excluded('METADATA')),
  )
  return withColumns(
    {
      name: table.name,
      columns: table.columns,
      partitionedBy: [],
      options: excluded('OPTIONS') ? {} : table.options,
      ...(table.isDistributed && !excluded('DISTRIBUTION') && { isDistributed: true as const }),
      ...(!excluded('CONSTRAINTS') && { primaryKey: table.primaryKey }),
      ...(!excluded('WATERMARKS') && { watermark: table.watermark }),
    },
    kept,
  )
}

/** The table with some of its columns. @throws StreamError  SQL_COLUMN_NOT_FOUND where one of these reads another */
export function withColumns(table: TableDef, kept: readonly TableColumn[]): TableDef {
  const names = kept.map((column) => column.name)
  const { primaryKey, watermark, ...result }: TableDef = { ...table, columns: kept.map((column) => moved(column, table, names)) }
  if (primaryKey) Object.assign(result, { primaryKey: primaryKey.map((i) => names.indexOf(table.columns[i].name)) })
  const column = watermark ? names.indexOf(table.columns[watermark.column].name) : -1
  if (watermark && column >= 0)
    Object.assign(result, { watermark: { column, expression: movedExpr(watermark.expression, table, names), text: watermark.text } })
  return result
}

const inheritedKey = (base: TableDef | undefined): string[] => base?.primaryKey?.map((i) => base.columns[i].name) ?? []
/** A column of `from`, in a table whose columns are `names`. */
const moved = (column: TableColumn, from: TableDef, names: readonly string[]): TableColumn =>
  column.kind === 'computed' ? { ...column, expression: movedExpr(column.expression, from, names) } : column
function movedExpr(expr: Expr, from: TableDef, names: readonly string[]): Expr {
  return mapColumns(expr, (column) => {
    const { name } = from.columns[column.index]
    const index = names.indexOf(name)
    // Excluded, but a computed column or the watermark still reads it.
    if (index < 0) throw sqlErrors('SQL_COLUMN_NOT_FOUND', { column: name, table: from.name })
    return { ...column, index }
  })
}
