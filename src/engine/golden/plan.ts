// What a golden file runs: its own SQL, or a table of the project's pipelines.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { isStreamError, nearestName } from '../../base/index.ts'
import {
  applyStatement,
  type BoundStatement,
  bindStatement,
  Catalog,
  changelogOfTable,
  DEFAULT_DATABASE,
  type FunctionDef,
  type Plan,
  parseScript,
  type Statement,
  type TableDef,
} from '../../sql/index.ts'
import { type GoldenFile, goldenErrors } from './file.ts'

export interface GoldenPlan {
  plan: Plan
  /** Ordinals of the key by which rows replace each other: those of a materialized table, as its live table does, and of a table of upserts. */
  key?: number[]
  /** The session's, in which points in time are shown. */
  timeZone: string
}

/**
 * @throws StreamError GOLDEN_FILE_INVALID with the place, also for SQL of used files; those of the SQL layer for the file's own
 */
export function planOf(file: GoldenFile): GoldenPlan {
  const catalog = new Catalog()
  const used = file.uses.flatMap((use) => usedFiles(file, use))
  const bound: BoundStatement[] = bindUsed(file, catalog, used)
  bound.push(...bindInto(file, catalog, file.sql))
  const tables = catalog.names('table')
  for (const { name, line } of file.inputs)
    if (!tables.includes(name)) {
      const nearest = nearestName(name, tables)
      throw invalid(file, line, `no CREATE TABLE declares "${name}"${nearest ? `; did you mean "${nearest}"?` : ''}`)
    }
  const { timeZone } = catalog
  if (file.target) return { ...targetPlan(file, file.target, bound, catalog), timeZone }
  const last = bound.at(-1)
  if (last?.type !== 'query')
    throw invalid(file, 1, 'the last statement is no query: end with one, or say "--- expect TABLE" for a table of the SQL')
  return { plan: last.query, timeZone }
}

const invalid = (file: GoldenFile, line: number, problem: string) => goldenErrors('GOLDEN_FILE_INVALID', { file: file.path, line, problem })

/** Binds a script; a materialized table that others read is computed again for each, as in a running project. */
function bindInto(file: GoldenFile, catalog: Catalog, text: string): BoundStatement[] {
  // USE holds to the end of its file.
  catalog.currentDatabase = DEFAULT_DATABASE
  return parseScript(text).map((statement) => bindOne(file, catalog, text, statement))
}

function bindOne(file: GoldenFile, catalog: Catalog, text: string, statement: Statement): BoundStatement {
  const bound = bindStatement(statement, text, catalog)
  if (bound.type === 'createFunction') placeFunction(file, bound.definition)
  applyStatement(bound, catalog)
  if (bound.type === 'createMaterializedTable' && statement.type === 'createMaterializedTable') {
    const { start, end } = statement.query.span
    catalog.add({ kind: 'materialized table', table: bound.table, query: text.slice(start, end), database: catalog.currentDatabase })
  }
  return bound
}

interface UsedFile {
  path: string
  text: string
}

/**
 * Statements of the project's files. As in the project, their names say nothing about what needs what: a file whose table is declared in a later
 * one goes on once it is there.
 *
 * @throws StreamError GOLDEN_FILE_INVALID
 */
function bindUsed(file: GoldenFile, catalog: Catalog, used: readonly UsedFile[]): BoundStatement[] {
  const bound: BoundStatement[] = []
  const guarded = ({ path }: UsedFile, work: () => void): void => {
    try {
      work()
    } catch (error) {
      if (!isStreamError(error)) throw error
      throw goldenErrors('GOLDEN_FILE_INVALID', { file: path, line: error.position?.line ?? 1, problem: error.message }, { cause: error })
    }
  }
  let waiting = used.map((one) => ({ one, database: DEFAULT_DATABASE, statements: [] as Statement[] }))
  for (const entry of waiting) guarded(entry.one, () => entry.statements.push(...parseScript(entry.one.text)))
  for (let isMoving = true; waiting.length > 0; ) {
    const mayWait = isMoving
    isMoving = false
    for (const entry of waiting) {
      catalog.currentDatabase = entry.database
      guarded(entry.one, () => {
        try {
          for (let statement = entry.statements[0]; statement; statement = entry.statements[0]) {
            bound.push(bindOne(file, catalog, entry.one.text, statement))
            entry.statements.shift()
            isMoving = true
          }
        } catch (error) {
          // Once a whole round has moved nothing, what is missing will not come.
          if (!mayWait || !isStreamError(error) || !waitsFor.has(error.code)) throw error
        }
      })
      entry.database = catalog.currentDatabase
    }
    waiting = waiting.filter(({ statements }) => statements.length > 0)
  }
  return bound
}
const waitsFor = new Set(['SQL_TABLE_NOT_FOUND', 'SQL_DATABASE_NOT_FOUND', 'SQL_FUNCTION_NOT_FOUND'])

/** The file of a function lies beside the golden file or in a folder above it, as the project's does. */
function placeFunction(file: GoldenFile, definition: FunctionDef): void {
  if (!definition.signature) return
  const [name] = definition.target.split('#')
  for (let folder = dirname(resolve(file.path)); ; folder = dirname(folder)) {
    const path = join(folder, name)
    if (statSync(path, { throwIfNoEntry: false })?.isFile()) {
      definition.file = path
      return
    }
    if (folder === dirname(folder))
      throw invalid(file, 1, `the file "${name}" of function ${definition.name} is neither beside this file nor in a folder above it`)
  }
}

/** Of an INSERT's table that takes upserts; others, as print, take every change as it is. */
const upsertKeyOf = (table: TableDef): number[] | undefined => (changelogOfTable(table) === 'upsert' ? table.primaryKey : undefined)

function targetPlan(
  file: GoldenFile,
  { name, line }: { name: string; line: number },
  bound: BoundStatement[],
  catalog: Catalog,
): Omit<GoldenPlan, 'timeZone'> {
  for (const one of bound) {
    if (one.type === 'createMaterializedTable' && one.table.name === name) return { plan: one.query, key: one.table.primaryKey }
    if (one.type === 'insert' && one.table.name === name) return { plan: one.query, key: upsertKeyOf(one.table) }
    const insert = one.type === 'statementSet' && one.inserts.find(({ table }) => table.name === name)
    if (insert) return { plan: insert.query, key: upsertKeyOf(insert.table) }
  }
  if (!catalog.get(name)) {
    const nearest = nearestName(name, catalog.names())
    throw invalid(file, line, `the SQL has no table or view "${name}"${nearest ? `; did you mean "${nearest}"?` : ''}`)
  }
  const sql = `SELECT * FROM \`${name}\``
  const [query] = bindInto(file, catalog, sql)
  return { plan: (query as BoundStatement & { type: 'query' }).query }
}

/** A file, or the *.sql of a folder: looked for beside the golden file and in the folders above it. */
function usedFiles(file: GoldenFile, { name, line }: { name: string; line: number }): UsedFile[] {
  for (let folder = dirname(resolve(file.path)); ; folder = dirname(folder)) {
    const path = join(folder, name)
    const status = statSync(path, { throwIfNoEntry: false })
    if (name && status?.isFile()) return [{ path, text: readFileSync(path, 'utf8') }]
    if (name && status?.isDirectory())
      return readdirSync(path)
        .filter((sql) => sql.endsWith('.sql'))
        .sort()
        .map((sql) => ({ path: join(path, sql), text: readFileSync(join(path, sql), 'utf8') }))
    if (folder === dirname(folder)) throw invalid(file, line, `"${name}" is neither beside this file nor in a folder above it`)
  }
}
