// A user's project: the SQL files of a folder, read and bound into what is to run.
//
// A file that is wrong stops itself, not the others: its error is kept with the file's name and position.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isStreamError, type StreamError, toStreamError } from '../base/index.ts'
import {
  applyStatement,
  type BoundStatement,
  bindStatement,
  Catalog,
  DEFAULT_DATABASE,
  type FunctionDef,
  type MaterializedTableDef,
  type Plan,
  parseScript,
  type Statement,
  type TableDef,
  textPosition,
} from '../sql/index.ts'
import { Declarations, type Origins } from './declarations.ts'
import { jobErrors } from './errors.ts'
import { recordShapeOf } from './recordShape.ts'
import { isTopicTable, scannedTables, withReadings } from './tables.ts'
import { type Declared, requireOwnTopics } from './topicClaims.ts'

export interface SqlFile {
  /** Relative to the project: `pipelines/wiki.sql`. */
  name: string
  text: string
  /** Absolute; where its paths to files of functions begin. */
  folder?: string
}
/** One continuous query of the project. */
export interface ProjectQuery {
  /** Unique in the project: the materialized table's name, or `insert_into_<table>` with a number where there are several. */
  id: string
  file: string
  sql: string
  plan: Plan
  target: { kind: 'materializedTable'; table: MaterializedTableDef } | { kind: 'insert'; table: TableDef }
  /** Where its text says what. */
  origins: Origins
}
export interface FileError {
  file: string
  error: StreamError
}
export interface Project {
  files: SqlFile[]
  catalog: Catalog
  tables: TableDef[]
  queries: ProjectQuery[]
  settings: Map<string, string>
  /** Where the texts say what. */
  declarations: Declarations
  /** What was declared and dropped again, by name. Queries that used a dropped table go on with it as it was, as Flink's jobs do. */
  dropped: Map<string, Dropped>
  errors: FileError[]
}
export interface Dropped {
  what: 'table' | 'materialized table'
  /** Which has the DROP. */
  file: string
}

/**
 * The SQL files of a project, in the order of their names: `pipelines/*.sql` where there is such a folder, else `*.sql`.
 * @throws StreamError PROJECT_NOT_FOUND
 */
export function readProjectFiles(folder: string): SqlFile[] {
  const sub = projectFolder(folder)
  return sqlFilesOf(join(folder, sub)).map((name) => ({
    name: join(sub, name),
    text: readFileSync(join(folder, sub, name), 'utf8'),
    folder: resolve(folder),
  }))
}

/**
 * Where a project's SQL files are, relative to it.
 * @throws StreamError PROJECT_NOT_FOUND
 */
export function projectFolder(folder: string): 'pipelines' | '.' {
  const sub = (['pipelines', '.'] as const).find((candidate) => sqlFilesOf(join(folder, candidate)).length > 0)
  if (sub === undefined) throw jobErrors('PROJECT_NOT_FOUND', { folder })
  return sub
}

const sqlFilesOf = (path: string): string[] =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory()
    ? readdirSync(path)
        .filter((name) => name.endsWith('.sql'))
        .sort()
    : []

/** @param timeZone  of the configuration, unless the project's SQL sets another */
export function bindProject(files: SqlFile[], timeZone = 'UTC'): Project {
  const project: Project = {
    files,
    catalog: new Catalog(timeZone),
    tables: [],
    queries: [],
    settings: new Map(),
    declarations: new Declarations(),
    dropped: new Map(),
    errors: [],
  }
  // A query over a materialized table computes that table's rows itself, from the log; a person's query reads the live rows.
  const catalog = new Catalog(timeZone)
  const errors = new Map<SqlFile, StreamError>()
  const guarded = (file: SqlFile, work: () => void): void => {
    try {
      errors.delete(file)
      work()
    } catch (error) {
      if (!isStreamError(error)) throw error
      errors.set(file, toStreamError(error))
    }
  }
  const waiting = new Map<SqlFile, Statement[]>()
  // USE holds to the end of its file.
  const databases = new Map<SqlFile, string>()
  for (const file of files) guarded(file, () => void waiting.set(file, parseScript(file.text)))
  // The names of files say nothing about what needs what: a file whose table is declared in a later one goes on once it is there.
  for (let isMoving = true; isMoving; ) {
    isMoving = false
    for (const [file, statements] of waiting) {
      for (const one of [project.catalog, catalog]) one.currentDatabase = databases.get(file) ?? DEFAULT_DATABASE
      guarded(file, () => {
        for (let statement = statements[0]; statement; statement = statements[0]) {
          bindInto(project, catalog, file, statement)
          statements.shift()
          isMoving = true
        }
      })
      databases.set(file, catalog.currentDatabase)
      if (!isWaiting(errors.get(file))) waiting.delete(file)
    }
  }
  for (const one of [project.catalog, catalog]) one.currentDatabase = DEFAULT_DATABASE
  project.errors = files.flatMap((file) => {
    const error = errors.get(file)
    return error ? { file: file.name, error } : []
  })
  return project
}

/**
 * Topics that cannot be read or written as they are declared, such as with a format that is not here. All else of their files goes on; without
 * this, whoever sends the first event or reads by SQL would be the first to be told.
 */
export function tableErrors({ tables, declarations }: Project): FileError[] {
  return tables.filter(isTopicTable).flatMap((table) => {
    try {
      recordShapeOf(table)
      return []
    } catch (error) {
      return { file: declarations.fileOf(table.name) ?? '', error: toStreamError(error) }
    }
  })
}

const isWaiting = (error: StreamError | undefined): boolean =>
  error?.code === 'SQL_TABLE_NOT_FOUND' || error?.code === 'SQL_DATABASE_NOT_FOUND' || error?.code === 'SQL_FUNCTION_NOT_FOUND'

function bindInto(project: Project, catalog: Catalog, file: SqlFile, statement: Statement): void {
  const bound = bindStatement(statement, file.text, catalog)
  if (bound.type === 'createFunction') placeFunction(bound.definition, file.folder ?? '.')
  const next = { tables: [...project.tables], queries: [...project.queries], dropped: new Map(project.dropped) }
  project.declarations.take(file, statement, bound, project.catalog)
  add(next, project, file, bound, statement)
  requireOwnTopics(next, textPosition(file.text, statement.span))
  Object.assign(project, next)
  for (const one of [project.catalog, catalog]) applyStatement(bound, one)
  if (bound.type === 'createMaterializedTable' && statement.type === 'createMaterializedTable') {
    const { start, end } = statement.query.span
    catalog.add({ kind: 'materialized table', table: bound.table, query: file.text.slice(start, end), database: catalog.currentDatabase })
  }
}

/**
 * Finds the file of a function, and makes its text a part of the function: an edit starts the queries that call it anew.
 * @throws StreamError FUNCTION_FILE_MISSING
 */
function placeFunction(definition: FunctionDef, folder: string): void {
  if (!definition.signature) return
  const file = resolve(folder, definition.target.split('#')[0])
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) throw jobErrors('FUNCTION_FILE_MISSING', { name: definition.name, file })
  definition.file = file
  definition.version = createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 16)
}

/** Files of functions that a project declares. */
export const functionFilesOf = ({ catalog }: Project): string[] => [
  ...new Set(catalog.functionNames().flatMap((name) => catalog.getFunction(name)?.file ?? [])),
]

/** @param catalog  as it was before the statement */
function add(
  project: Declared,
  { catalog, settings, declarations }: Project,
  file: SqlFile,
  bound: BoundStatement,
  statement: Statement,
): void {
  const sql = file.text.slice(statement.span.start, statement.span.end)
  const originsOf = (part: Statement, plan: Plan, table: { name: string }) =>
    declarations.originsOf(file, part, [...scannedTables(plan).map(({ name }) => name), table.name], catalog)
  const insert = (table: TableDef, query: Plan, part = statement) => {
    const plan = withReadings(query)
    const base = `insert_into_${table.name}`
    const same = project.queries.filter((query) => query.id === base || query.id.startsWith(`${base}_`)).length
    project.queries.push({
      id: same === 0 ? base : `${base}_${same + 1}`,
      file: file.name,
      sql,
      plan,
      target: { kind: 'insert', table },
      origins: originsOf(part, query, table),
    })
  }
  switch (bound.type) {
    case 'createTable':
      project.tables = [...project.tables.filter((table) => table.name !== bound.table.name), bound.table]
      project.dropped.delete(bound.table.name)
      if (bound.insert) insert(bound.table, bound.insert)
      break
    case 'alterTable':
      project.tables = project.tables.map((table) => (table.name === bound.from ? bound.table : table))
      break
    case 'createMaterializedTable':
      if (project.queries.some((query) => query.id === bound.table.name))
        throw jobErrors('TABLE_DEFINED_TWICE', { table: bound.table.name, file: file.name })
      project.dropped.delete(bound.table.name)
      project.queries.push({
        id: bound.table.name,
        file: file.name,
        sql,
        plan: withReadings(bound.query),
        target: { kind: 'materializedTable', table: bound.table },
        origins: originsOf(statement, bound.query, bound.table),
      })
      break
    case 'insert':
      insert(bound.table, bound.query)
      break
    case 'statementSet':
      for (const [i, { table, query }] of bound.inserts.entries())
        insert(table, query, statement.type === 'statementSet' ? statement.inserts[i] : statement)
      break
    case 'query':
      throw jobErrors('PIPELINE_SELECT', { file: file.name })
    case 'set':
      if (bound.key === '') settings.clear()
      else if (bound.value === undefined) settings.delete(bound.key)
      else settings.set(bound.key, bound.value)
      break
    case 'drop':
      drop(bound.name)
      break
    case 'dropDatabase':
      for (const name of catalog.namesIn(bound.name)) drop(`${bound.name}.${name}`)
      break
    default:
  }

  /** A materialized table is its query: that ends. Others go on, with the tables that they were bound to. */
  function drop(name: string): void {
    const what = catalog.get(name)?.kind
    if (what !== 'table' && what !== 'materialized table') return
    project.tables = project.tables.filter((table) => table.name !== name)
    project.queries = project.queries.filter(({ id, target }) => target.kind !== 'materializedTable' || id !== name)
    project.dropped.set(name, { what, file: file.name })
  }
}

/** Tables that a query reads or writes to, and that were dropped since it was declared. */
export const droppedOf = ({ plan, target }: ProjectQuery, dropped: Project['dropped']): { table: string; file: string }[] =>
  [...new Set([...scannedTables(plan), target.table].map(({ name }) => name))].flatMap((table) => {
    const found = dropped.get(table)
    return found ? [{ table, file: found.file }] : []
  })

/** For people: what the project's DROPs end, and what they leave. */
export const dropNotices = ({ dropped, queries }: Project): string[] =>
  [...dropped].map(([name, { what, file }]) => {
    if (what === 'materialized table') return `${file} drops the materialized table ${name}: its query does not run`
    const users = queries.filter((query) => droppedOf(query, dropped).some(({ table }) => table === name)).map(({ id }) => id)
    const rest = users.length > 0 ? `${users.join(', ')} ${users.length === 1 ? 'goes' : 'go'} on with it as it was, and its` : 'its'
    return `${file} drops the table ${name}: ${rest} topic stays, without a front door`
  })
