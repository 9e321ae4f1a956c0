// ALTER TABLE: the declaration as it was written, changed and bound anew. What was bound before keeps the table as it was.
//
// A table remembers its text, CREATE TABLE and the ALTERs after it, and SHOW CREATE TABLE shows that.
import { isStreamError } from '../base/index.ts'
import type { AlterAction, ColumnDefinition, CreateTable, Expression, Identifier, Statement } from './ast.ts'
import { walk } from './ast-walk.ts'
import type { BindContext } from './bind-scope.ts'
import { bindCreateTable, ordinalOf } from './bind-table.ts'
import { sqlErrors } from './errors.ts'
import { parseScript } from './parse.ts'
import type { BoundStatement } from './plan.ts'

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
  for (const earlier of alters) if (earlier.type === 'alterTable') apply(create, earlier.action)
  apply(create, action)
  try {
    return { type: 'alterTable', from: name, table: { ...bindCreateTable(create, context, ddl), name } }
  } catch (error) {
    // Its place is in the text of the CREATE TABLE, which is another one.
    if (isStreamError(error)) throw sqlErrors('SQL_ALTER_INVALID', { table: name, reason: error.message, span }, { cause: error })
    throw error
  }

  function apply(table: CreateTable, change: AlterAction): void {
    const names = () => table.columns.map((column) => column.name.name)
    switch (change.kind) {
      case 'set':
        table.options = [...table.options, ...change.options]
        break
      case 'reset':
        if (change.keys.includes('connector')) throw invalid('a table keeps its connector')
        table.options = table.options.filter(({ key }) => !change.keys.includes(key))
        break
      case 'add':
        if (change.watermark && table.watermark) throw invalid('it has a watermark already: MODIFY it')
        if (change.primaryKey && table.primaryKey) throw invalid('it has a primary key already: MODIFY it')
        for (const column of change.columns) {
          if (names().includes(column.name.name))
            throw sqlErrors('SQL_COLUMN_DUPLICATE', { column: column.name.name, span: column.name.span })
          insert(table, column, table.columns.length)
        }
        Object.assign(table, declared(change))
        break
      case 'modify':
        if (change.watermark && !table.watermark) throw invalid('it has no watermark: ADD one')
        if (change.primaryKey && !table.primaryKey) throw invalid('it has no primary key: ADD one')
        for (const column of change.columns) {
          const at = ordinalOf(column.name, names())
          table.columns.splice(at, 1)
          insert(table, column, at)
        }
        Object.assign(table, declared(change))
        break
      case 'dropColumns':
        for (const dropped of change.names) table.columns.splice(ordinalOf(dropped, names()), 1)
        break
      case 'renameColumn':
        ordinalOf(change.from, names())
        if (names().includes(change.to.name)) throw sqlErrors('SQL_COLUMN_DUPLICATE', { column: change.to.name, span: change.to.span })
        for (const name of namesIn(table)) if (name.name === change.from.name) name.name = change.to.name
        // What was written may have the old name.
        for (const one of [table.watermark, ...table.columns]) if (one && 'text' in one) one.text = undefined
        break
      case 'dropPrimaryKey': {
        const inline = table.columns.filter((column) => column.kind === 'physical' && column.primaryKey)
        if (!table.primaryKey && inline.length === 0) throw invalid('it has no primary key')
        table.primaryKey = undefined
        for (const column of inline) Object.assign(column, { primaryKey: false })
        break
      }
      case 'dropWatermark':
        if (!table.watermark) throw invalid('it has no watermark')
        table.watermark = undefined
        break
      default:
    }
  }
}

const declared = ({ watermark, primaryKey }: Pick<CreateTable, 'watermark' | 'primaryKey'>) => ({
  ...(watermark && { watermark }),
  ...(primaryKey && { primaryKey }),
})

/** FIRST and AFTER say where; else `at`. */
function insert({ columns }: CreateTable, column: ColumnDefinition, at: number): void {
  const { place } = column
  const index =
    place === 'FIRST'
      ? 0
      : place
        ? 1 + ordinalOf(place.after, columns.map(({ name }) => name.name)) // biome-ignore format: one thought
        : at
  columns.splice(index, 0, column)
}

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
  for (const expression of expressions)
    walk(expression, (node) => {
      if (node.type === 'column') found.push(node.name.parts[0])
      return true
    })
  return found
}
