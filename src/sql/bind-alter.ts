// ALTER TABLE: the declaration as it was written, changed and bound anew. What was bound before keeps the table as it was.
//
// A table remembers its text, CREATE TABLE and the ALTERs after it, and SHOW CREATE TABLE shows that.
import { isStreamError } from '../base/index.ts'
import type { AlterAction, ColumnDefinition, CreateTable, Expression, Identifier, Statement } from './ast.ts'
import { walk } from './ast-walk.ts'
import type { BindContext } from './bind-scope.ts'
import { bindCreateTable, ordinalOf, withColumns } from './bind-table.ts'
import { sqlErrors } from './errors.ts'
import { columnsOf } from './expr.ts'
import { parseScript } from './parse.ts'
import type { BoundStatement, Expr, TableDef } from './plan.ts'

type AlterTable = Extract<Statement, { type: 'alterTable' }>

/** @throws StreamError  SQL_ALTER_INVALID with the reason, SQL_TABLE_NOT_FOUND, SQL_COLUMN_NOT_FOUND, SQL_NAME_TAKEN */
export function alterTable(statement: AlterTable, text: string, context: BindContext): BoundStatement {
  const { catalog } = context
  const name = catalog.nameOf(statement.name)
  const { action, span } = statement
  if (statement.ifExists && catalog.get(name) === undefined) return { type: 'done', message: `There is no table ${name}` }
  const entry = catalog.require(statement.name)
  const invalid = (reason: string) => sqlErrors('SQL_ALTER_INVALID', { table: name, reason, span })
  if (action.kind === 'suspend' || action.kind === 'resume' || action.kind === 'refresh')
    throw sqlErrors('SQL_NOT_SUPPORTED', {
      what: `ALTER MATERIALIZED TABLE … ${action.kind.toUpperCase()}`,
      instead: 'A materialized table is always fresh; take its statement out of the project to stop it.',
      span,
    })
  if (entry.kind !== 'table') throw invalid(`it is a ${entry.kind}`)
  const ddl = `${entry.table.ddl};\n${text.slice(span.start, span.end)}`
  if (action.kind === 'rename') {
    const to = catalog.newNameBeside(statement.name, action.to)
    if (catalog.get(to)) throw sqlErrors('SQL_NAME_TAKEN', { name: to, what: 'table', span: action.to.span })
    return { type: 'alterTable', from: name, table: { ...entry.table, name: to, ddl } }
  }
  const [create, ...alters] = parseScript(entry.table.ddl ?? '')
  if (create?.type !== 'createTable' || create.query) throw invalid('its columns are those of a query')
  // What LIKE took over, with what the ALTERs do to it.
  let { base } = entry.table
  for (const earlier of alters) if (earlier.type === 'alterTable') apply(create, earlier.action)
  apply(create, action)
  try {
    const table = bindCreateTable(create, context, ddl, [], base)
    return { type: 'alterTable', from: name, table: { ...table, name, ...(base && { base: entry.table.base }) } }
  } catch (error) {
    // Its place is in the text of the CREATE TABLE, which is another one.
    if (isStreamError(error)) throw sqlErrors('SQL_ALTER_INVALID', { table: name, reason: error.message, span }, { cause: error })
    throw error
  }

  function apply(table: CreateTable, change: AlterAction): void {
    const taken = () => base?.columns ?? []
    const names = () => [...taken(), ...table.columns.map((column) => ({ name: column.name.name }))].map((column) => column.name)
    /** Of a column of its own. */
    const ownOrdinal = (column: Identifier): number => {
      const at = ordinalOf(column, names()) - taken().length
      if (at < 0) throw invalid(`its column "${column.name}" comes from "${base?.name}" by LIKE, and keeps its place and type`)
      return at
    }
    const insert = (column: ColumnDefinition, at: number): void => {
      const { place } = column
      if (place === 'FIRST' && taken().length > 0) throw invalid(`the columns that it has from "${base?.name}" by LIKE come first`)
      table.columns.splice(place === 'FIRST' ? 0 : place ? 1 + ownOrdinal(place.after) : at, 0, column)
    }
    switch (change.kind) {
      case 'set':
        table.options = [...table.options, ...change.options]
        break
      case 'reset':
        if (change.keys.includes('connector')) throw invalid('a table keeps its connector')
        table.options = table.options.filter(({ key }) => !change.keys.includes(key))
        if (base) base = { ...base, options: without(base.options, change.keys) }
        break
      case 'add':
        if (change.watermark && (table.watermark ?? base?.watermark)) throw invalid('it has a watermark already: MODIFY it')
        if (change.primaryKey && (table.primaryKey ?? base?.primaryKey)) throw invalid('it has a primary key already: MODIFY it')
        for (const column of change.columns) {
          if (names().includes(column.name.name))
            throw sqlErrors('SQL_COLUMN_DUPLICATE', { column: column.name.name, span: column.name.span })
          insert(column, table.columns.length)
        }
        Object.assign(table, declared(change))
        break
      case 'modify':
        if (change.watermark && !(table.watermark ?? base?.watermark)) throw invalid('it has no watermark: ADD one')
        if (change.primaryKey && !(table.primaryKey ?? base?.primaryKey)) throw invalid('it has no primary key: ADD one')
        for (const column of change.columns) {
          const at = ownOrdinal(column.name)
          const [{ comment }] = table.columns.splice(at, 1)
          insert({ ...(comment !== undefined && { comment }), ...column }, at)
        }
        Object.assign(table, declared(change))
        break
      case 'dropColumns':
        for (const dropped of change.names) {
          const at = ordinalOf(dropped, names())
          if (at >= taken().length) table.columns.splice(at - taken().length, 1)
          else base = withoutColumn(base!, at)
        }
        break
      case 'renameColumn':
        ordinalOf(change.from, names())
        if (names().includes(change.to.name)) throw sqlErrors('SQL_COLUMN_DUPLICATE', { column: change.to.name, span: change.to.span })
        // What was written has the old name.
        for (const one of [table.watermark, ...table.columns])
          if (one && 'text' in one && namesOf(one.expression).some(({ name }) => name === change.from.name)) one.text = undefined
        for (const name of namesIn(table)) if (name.name === change.from.name) name.name = change.to.name
        if (base) base = renamedColumn(base, change.from.name, change.to.name)
        break
      case 'dropPrimaryKey': {
        const inline = table.columns.filter((column) => column.kind === 'physical' && column.primaryKey)
        if (!table.primaryKey && !base?.primaryKey && inline.length === 0) throw invalid('it has no primary key')
        // An inline key's name is not kept; one by LIKE has none here.
        const columns = (table.primaryKey ?? inline.map(({ name }) => name)).map(({ name }) => name)
        const own = table.constraint ?? `PK_${(columns.length > 0 ? columns : keyOf(base)).join('_')}`
        if (change.constraint !== undefined && change.constraint !== own)
          throw invalid(`it has no constraint "${change.constraint}": its primary key is "${own}"`)
        table.primaryKey = table.constraint = undefined
        for (const column of inline) Object.assign(column, { primaryKey: false })
        if (base) base = { ...base, primaryKey: undefined }
        break
      }
      case 'dropWatermark':
        if (!(table.watermark ?? base?.watermark)) throw invalid('it has no watermark')
        table.watermark = undefined
        if (base) base = { ...base, watermark: undefined }
        break
      default:
    }
  }

  /** @throws StreamError  SQL_ALTER_INVALID where something else reads the column */
  function withoutColumn(table: TableDef, at: number): TableDef {
    const column = table.columns[at].name
    if (table.watermark?.column === at) throw invalid(`its watermark is on "${column}"`)
    if (table.primaryKey?.includes(at)) throw invalid(`"${column}" is a part of its primary key`)
    try {
      return withColumns(table, table.columns.toSpliced(at, 1))
    } catch (error) {
      if (isStreamError(error)) throw invalid(`another column, or its watermark, is computed from "${column}"`)
      throw error
    }
  }
}

const without = (options: Record<string, string>, keys: readonly string[]): Record<string, string> =>
  Object.fromEntries(Object.entries(options).filter(([key]) => !keys.includes(key)))

/** Expressions name columns by their place: they stay. What was written has the old name. */
function renamedColumn(table: TableDef, from: string, to: string): TableDef {
  const at = table.columns.findIndex((column) => column.name === from)
  const renamed = <T extends { expression: Expr; text?: string }>(one: T): T =>
    columnsOf(one.expression).has(at) ? { ...one, text: undefined } : one
  return {
    ...table,
    columns: table.columns.map((column) => ({
      ...(column.kind === 'computed' ? renamed(column) : column),
      name: column.name === from ? to : column.name,
    })),
    ...(table.watermark && { watermark: renamed(table.watermark) }),
  }
}

const declared = ({ watermark, primaryKey, constraint }: Pick<CreateTable, 'watermark' | 'primaryKey' | 'constraint'>) => ({
  ...(watermark && { watermark }),
  ...(primaryKey && { primaryKey, constraint }),
})

const keyOf = (base: TableDef | undefined): string[] => base?.primaryKey?.map((at) => base.columns[at].name) ?? []

/** Every place of a declaration that names one of its columns. */
function namesIn({ columns, primaryKey = [], partitionedBy, watermark }: CreateTable): Identifier[] {
  const found = [
    ...columns.map((column) => column.name),
    ...primaryKey,
    ...partitionedBy,
    ...(watermark ? [watermark.column.parts[0]] : []),
  ]
  const expressions: Expression[] = columns.flatMap((column) => (column.kind === 'computed' ? [column.expression] : []))
  if (watermark) expressions.push(watermark.expression)
  return [...found, ...expressions.flatMap(namesOf)]
}

/** The columns that an expression names. */
function namesOf(expression: Expression): Identifier[] {
  const found: Identifier[] = []
  walk(expression, (node) => {
    if (node.type === 'column') found.push(node.name.parts[0])
    return true
  })
  return found
}
