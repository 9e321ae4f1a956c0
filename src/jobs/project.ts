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
} from '../sql/index.ts'
import { jobErrors } from './errors.ts'

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
  errors: FileError[]
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
  const project: Project = { files, catalog: new Catalog(timeZone), tables: [], queries: [], settings: new Map(), errors: [] }
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

const isWaiting = (error: StreamError | undefined): boolean =>
  error?.code === 'SQL_TABLE_NOT_FOUND' || error?.code === 'SQL_DATABASE_NOT_FOUND' || error?.code === 'SQL_FUNCTION_NOT_FOUND'

function bindInto(project: Project, catalog: Catalog, file: SqlFile, statement: Statement): void {
  const bound = bindStatement(statement, file.text, catalog)
  if (bound.type === 'createFunction') placeFunction(bound.definition, file.folder ?? '.')
  add(project, file, bound, file.text.slice(statement.span.start, statement.span.end))
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

function add(project: Project, file: SqlFile, bound: BoundStatement, sql: string): void {
  const insert = (table: TableDef, plan: Plan) => {
    const base = `insert_into_${table.name}`
    const same = project.queries.filter((query) => query.id === base || query.id.startsWith(`${base}_`)).length
    project.queries.push({ id: same === 0 ? base : `${base}_${same + 1}`, file: file.name, sql, plan, target: { kind: 'insert', table } })
  }
  switch (bound.type) {
    case 'createTable':
      project.tables = [...project.tables.filter((table) => table.name !== bound.table.name), bound.table]
      if (bound.insert) insert(bound.table, bound.insert)
      break
    case 'alterTable':
      project.tables = project.tables.map((table) => (table.name === bound.from ? bound.table : table))
      break
    case 'createMaterializedTable':
      if (project.queries.some((query) => query.id === bound.table.name))
        throw jobErrors('TABLE_DEFINED_TWICE', { table: bound.table.name, file: file.name })
      project.queries.push({
        id: bound.table.name,
        file: file.name,
        sql,
        plan: bound.query,
        target: { kind: 'materializedTable', table: bound.table },
      })
      break
    case 'insert':
      insert(bound.table, bound.query)
      break
    case 'statementSet':
      for (const { table, query } of bound.inserts) insert(table, query)
      break
    case 'query':
      throw jobErrors('PIPELINE_SELECT', { file: file.name })
    case 'set':
      if (bound.value !== undefined) project.settings.set(bound.key, bound.value)
      break
    default:
  }
}
