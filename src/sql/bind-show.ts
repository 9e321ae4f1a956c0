// Statements that answer with text: SHOW, DESCRIBE, SET without arguments.
import { maskedValue } from '../base/index.ts'
import type { Field } from '../data/index.ts'
import { formatType, withNullable } from '../data/index.ts'
import { aggregateFunctionNames } from './aggregates.ts'
import type { QualifiedName, Statement } from './ast.ts'
import { type Catalog, type CatalogEntry, DEFAULT_CATALOG } from './catalog.ts'
import { sqlErrors } from './errors.ts'
import { explainExpr } from './explain.ts'
import { scalarFunctionNames, summaryOf } from './functions/index.ts'
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
    statement.ignoresCase ? 'is' : 's',
  )
  const isNegated = statement.notLike === true
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
    case 'MODULES':
      return oneColumn('module name', [CORE_MODULE])
    case 'FULL MODULES':
      return answer(['module name', 'used'], [[CORE_MODULE, 'TRUE']])
    // Flink has such things; here there are none, and a script that looks for them goes on.
    case 'JARS':
      return oneColumn('jars', [])
    case 'MODELS':
      return oneColumn('model name', [])
    case 'PROCEDURES':
      return oneColumn('procedure name', [])
    case 'DATABASES':
      if (statement.name) requireCatalog(statement.name)
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
        instead: instead[statement.what] ?? 'Use SHOW TABLES, VIEWS, MATERIALIZED TABLES, FUNCTIONS or COLUMNS.',
        span: statement.span,
      })
  }
}

/** All built-in functions are of this module. */
const CORE_MODULE = 'core'
const instead: Record<string, string> = {
  JOBS: '`millrace queries` lists what runs.',
  PARTITIONS: '`millrace topics` shows the partitions of a topic; tables have none of their own.',
  'CREATE CATALOG': 'There is one catalog; SHOW DATABASES lists what is in it.',
  'CREATE FUNCTION': 'Its CREATE FUNCTION stands in the project; SHOW USER FUNCTIONS lists those that there are.',
  'CREATE MODEL': 'There are no models.',
  'CREATE DATABASE': 'SHOW DATABASES lists them: a database has a name and nothing else.',
}

/** @throws StreamError  SQL_OBJECT_NOT_FOUND */
export function requireCatalog({ parts, span }: QualifiedName): void {
  const name = parts.map((part) => part.name).join('.')
  if (name !== DEFAULT_CATALOG) throw sqlErrors('SQL_OBJECT_NOT_FOUND', { what: 'catalog', name, nearest: DEFAULT_CATALOG, span })
}

function ddlOf(entry: CatalogEntry, statement: ShowStatement, catalog: Catalog): string {
  const wanted = statement.what.slice('CREATE '.length).toLowerCase()
  if (entry.kind !== wanted) {
    const { parts, span } = statement.name!
    throw sqlErrors('SQL_OBJECT_KIND', { name: parts.at(-1)!.name, kind: entry.kind, wanted, statement: 'SHOW CREATE', span })
  }
  if (entry.kind !== 'view') return entry.table.ddl ?? ''
  const { name, fields, sql } = entry.view
  return `CREATE VIEW ${catalog.quoted(name)} (${fields.map((field) => `\`${field.name}\``).join(', ')}) AS\n${sql}`
}

/** DESCRIBE: one row per column, as Flink shows them. */
export function describeEntry(entry: CatalogEntry): TextAnswer {
  const names = ['name', 'type', 'null', 'key', 'extras', 'watermark']
  const keyText = (names: readonly string[]): string => `PRI(${names.join(', ')})`
  const row = ({ name, type }: Field, key = '', extras = '', watermark = '', attribute = ''): string[] => [
    name,
    `${summaryOf(formatType(withNullable(type, true)))}${attribute}`,
    type.nullable ? 'TRUE' : 'FALSE',
    key,
    extras,
    watermark,
  ]
  if (entry.kind === 'view')
    return answer(
      names,
      entry.view.fields.map((field) => row(field)),
    )
  if (entry.kind === 'materialized table') {
    const { fields, primaryKey } = entry.table
    const key = keyText(primaryKey.map((ordinal) => fields[ordinal].name))
    return answer(
      names,
      fields.map((field, i) => row(field, primaryKey.includes(i) ? key : '')),
    )
  }
  const { table } = entry
  const key = keyText(table.primaryKey?.map((ordinal) => table.columns[ordinal].name) ?? [])
  const isCommented = table.columns.some(({ comment }) => comment !== undefined)
  return answer(
    isCommented ? [...names, 'comment'] : names,
    table.columns.map((column, i) => {
      const extras =
        column.kind === 'computed'
          ? `AS ${column.text ?? explainExpr(column.expression, table.columns)}`
          : column.kind === 'metadata'
            ? `METADATA${column.key === column.name ? '' : ` FROM '${column.key}'`}${column.virtual ? ' VIRTUAL' : ''}`
            : ''
      const { watermark: declared } = table
      const watermark = declared?.column === i ? (declared.text ?? explainExpr(declared.expression, table.columns)) : ''
      const isProctime = column.kind === 'computed' && column.expression.kind === 'call' && column.expression.fn === 'PROCTIME'
      const attribute = declared?.column === i ? ' *ROWTIME*' : isProctime ? ' *PROCTIME*' : ''
      const cells = row(column, table.primaryKey?.includes(i) ? key : '', extras, watermark, attribute)
      return isCommented ? [...cells, column.comment ?? ''] : cells
    }),
  )
}

export const bindSettings = (catalog: Catalog): TextAnswer =>
  answer(
    ['key', 'value'],
    [...catalog.settings].sort().map(([key, value]) => [key, maskedValue(key, value)]),
  )

/** All that may be called: built-in functions and those that the catalog has. */
export const functionNames = (catalog: Catalog): string[] =>
  [...new Set([...scalarFunctionNames(), ...aggregateFunctionNames(), ...catalog.functionNames()])].sort()
