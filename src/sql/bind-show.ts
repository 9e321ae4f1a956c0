// Statements that answer with text: SHOW, DESCRIBE, SET without arguments.
import type { Field } from '../data/index.ts'
import { formatType, withNullable } from '../data/index.ts'
import { aggregateFunctionNames } from './aggregates.ts'
import type { Statement } from './ast.ts'
import { type Catalog, type CatalogEntry, DEFAULT_CATALOG } from './catalog.ts'
import { sqlErrors } from './errors.ts'
import { explainExpr } from './explain.ts'
import { scalarFunctionNames } from './functions/index.ts'
import type { BoundStatement } from './plan.ts'

type ShowStatement = Extract<Statement, { type: 'show' }>
type TextAnswer = Extract<BoundStatement, { type: 'text' }>

const answer = (columns: string[], rows: string[][]): TextAnswer => ({ type: 'text', columns, rows })
const oneColumn = (column: string, values: readonly string[]): TextAnswer =>
  answer(
    [column],
    values.map((value) => [value]),
  )

/** SQL's LIKE, for names: % and _. */
function likeTest(statement: ShowStatement): (name: string) => boolean {
  const { like } = statement
  if (like === undefined) return () => true
  const pattern = new RegExp(
    `^${like
      .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      .replaceAll('%', '.*')
      .replaceAll('_', '.')}$`,
    's',
  )
  const isNegated = (statement as { notLike?: boolean }).notLike === true
  return (name) => pattern.test(name) !== isNegated
}

/** @throws StreamError  SQL_TABLE_NOT_FOUND, SQL_DATABASE_NOT_FOUND, SQL_NOT_SUPPORTED */
export function bindShow(statement: ShowStatement, catalog: Catalog): TextAnswer {
  const fits = likeTest(statement)
  const listed = (column: string, values: readonly string[]) => oneColumn(column, values.filter(fits))
  const namesOf = (...kinds: CatalogEntry['kind'][]) =>
    catalog.namesIn(statement.name ? catalog.databaseOf(statement.name) : catalog.currentDatabase, ...kinds).sort()
  switch (statement.what) {
    case 'TABLES':
      return listed('table name', namesOf())
    case 'VIEWS':
      return listed('view name', namesOf('view'))
    case 'MATERIALIZED TABLES':
      return listed('materialized table name', namesOf('materialized table'))
    case 'FUNCTIONS':
      return listed('function name', functionNames(catalog))
    case 'USER FUNCTIONS':
      return listed('function name', catalog.functionNames().sort())
    case 'CATALOGS':
      return listed('catalog name', [DEFAULT_CATALOG])
    case 'DATABASES':
      return listed('database name', catalog.databaseNames().sort())
    case 'CURRENT CATALOG':
      return oneColumn('current catalog name', [DEFAULT_CATALOG])
    case 'CURRENT DATABASE':
      return oneColumn('current database name', [catalog.currentDatabase])
    case 'COLUMNS': {
      const described = describeEntry(catalog.require(statement.name!))
      return { ...described, rows: described.rows.filter(([name]) => fits(name)) }
    }
    case 'CREATE TABLE':
    case 'CREATE VIEW':
    case 'CREATE MATERIALIZED TABLE':
      return oneColumn('result', [ddlOf(catalog.require(statement.name!), statement, catalog)])
    default:
      throw sqlErrors('SQL_NOT_SUPPORTED', {
        what: `SHOW ${statement.what}`,
        instead: 'Use SHOW TABLES, VIEWS, MATERIALIZED TABLES, FUNCTIONS or COLUMNS.',
        span: statement.span,
      })
  }
}

function ddlOf(entry: CatalogEntry, statement: ShowStatement, catalog: Catalog): string {
  const wanted = statement.what.slice('CREATE '.length).toLowerCase()
  if (entry.kind !== wanted) {
    const name = statement.name!.parts.at(-1)!.name
    throw sqlErrors('SQL_OBJECT_NOT_FOUND', { what: wanted, name, nearest: undefined, span: statement.name!.span })
  }
  if (entry.kind !== 'view') return entry.table.ddl ?? ''
  const { name, fields, sql } = entry.view
  return `CREATE VIEW ${catalog.quoted(name)} (${fields.map((field) => `\`${field.name}\``).join(', ')}) AS\n${sql}`
}

/** DESCRIBE: one row per column, as Flink shows them. */
export function describeEntry(entry: CatalogEntry): TextAnswer {
  const columns = ['name', 'type', 'null', 'key', 'extras', 'watermark']
  const keyText = (names: readonly string[]): string => `PRI(${names.join(', ')})`
  const row = ({ name, type }: Field, key = '', extras = '', watermark = ''): string[] => [
    name,
    formatType(withNullable(type, true)),
    type.nullable ? 'TRUE' : 'FALSE',
    key,
    extras,
    watermark,
  ]
  if (entry.kind === 'view')
    return answer(
      columns,
      entry.view.fields.map((field) => row(field)),
    )
  if (entry.kind === 'materialized table') {
    const { fields, primaryKey } = entry.table
    const key = keyText(primaryKey.map((ordinal) => fields[ordinal].name))
    return answer(
      columns,
      fields.map((field, i) => row(field, primaryKey.includes(i) ? key : '')),
    )
  }
  const { table } = entry
  const key = keyText(table.primaryKey?.map((ordinal) => table.columns[ordinal].name) ?? [])
  return answer(
    columns,
    table.columns.map((column, i) => {
      const extras =
        column.kind === 'computed'
          ? `AS ${explainExpr(column.expression, table.columns)}`
          : column.kind === 'metadata'
            ? `METADATA FROM '${column.key}'${column.virtual ? ' VIRTUAL' : ''}`
            : ''
      const watermark = table.watermark?.column === i ? explainExpr(table.watermark.expression, table.columns) : ''
      return row(column, table.primaryKey?.includes(i) ? key : '', extras, watermark)
    }),
  )
}

export const bindSettings = (catalog: Catalog): TextAnswer => answer(['key', 'value'], [...catalog.settings].sort())

/** All that may be called: built-in functions and those that the catalog has. */
export const functionNames = (catalog: Catalog): string[] =>
  [...new Set([...scalarFunctionNames(), ...aggregateFunctionNames(), ...catalog.functionNames()])].sort()
