// Where the texts of a project say what: which SET holds for a query, who gave a table its options, which views and functions a query uses.
//
//   statement, bound --> Declarations: what holds now --> what a query uses of it, taken when that is bound
//
// Invariants
//   1. What a query took stays as it was when it was bound, as its plan does: entries are replaced, never changed.
//   2. Nothing of this is in a plan: a query whose text moves to another line is the same query.
import type { TextPosition } from '../base/index.ts'
import {
  type BoundStatement,
  type Catalog,
  functionNameOf,
  type Hint,
  type OptionEntry,
  type QualifiedName,
  type Query,
  type Span,
  type Statement,
  textPosition,
} from '../sql/index.ts'
import type { SqlFile } from './project.ts'

export interface TextPlace {
  /** With its folder: `pipelines/orders.sql`. */
  file: string
  position: TextPosition
}
/** What said a value, and where. */
export interface Said extends TextPlace {
  value: string
  by: 'SET' | 'WITH' | 'ALTER TABLE' | 'hint'
}
export interface Declared extends TextPlace {
  kind: 'table' | 'view' | 'materialized table' | 'function'
  name: string
  /** The statement, and the ALTERs after it. */
  sql: string
  options: ReadonlyMap<string, Said>
}
export interface PlacedHint extends TextPlace {
  name: string
  options: Readonly<Record<string, string>>
  /** What it stands behind; absent behind SELECT. */
  table?: string
}
/** Of one query. */
export interface Origins extends TextPlace {
  /** The settings that hold for its statement, by key. */
  settings: ReadonlyMap<string, Said>
  /** What it reads, writes to and calls, through views too. */
  declared: Declared[]
  hints: PlacedHint[]
  /** Names of the functions that are not declared. */
  builtIns: string[]
}

/** What has a query of its own, with what its names are seen from. */
interface Entry extends Declared {
  query?: Query
  source: SqlFile
  database: string
}
type Fields = Readonly<Record<string, unknown>>

export class Declarations {
  /** Of the session as it is now. */
  settings: ReadonlyMap<string, Said> = new Map()
  private readonly tables = new Map<string, Entry>()
  private readonly functions = new Map<string, Entry>()

  /** Takes up what a statement declares, sets or drops. @param catalog  as it was before the statement */
  take(source: SqlFile, statement: Statement, bound: BoundStatement, catalog: Catalog): void {
    const place = placeOf(source, statement.span)
    const sql = source.text.slice(statement.span.start, statement.span.end)
    const entry = (kind: Declared['kind'], name: string, options: Entry['options'], query?: Query): Entry => ({
      kind,
      name,
      sql,
      options,
      source,
      database: catalog.currentDatabase,
      ...place,
      ...(query && { query }),
    })
    /** Of the options that it has now: those that the statement says, and those that it took over. */
    const optionsOf = (
      now: Readonly<Record<string, string>>,
      said: readonly OptionEntry[],
      by: Said['by'],
      before?: Entry['options'],
    ): Entry['options'] =>
      new Map(
        Object.entries(now).flatMap(([key, value]) => {
          const own = said.findLast((one) => one.key === key)
          const found = own ? { ...placeOf(source, own.span), value, by } : before?.get(key)
          return found ? [[key, found]] : []
        }),
      )
    switch (bound.type) {
      case 'set': {
        const settings = new Map(bound.key === '' ? [] : this.settings)
        if (bound.value === undefined) settings.delete(bound.key)
        else settings.set(bound.key, { ...place, value: bound.value, by: 'SET' })
        this.settings = settings
        break
      }
      case 'createTable': {
        if (statement.type !== 'createTable') break
        const { options, like, query } = statement
        const base = like && this.tables.get(catalog.nameOf(like.table))
        const { name } = bound.table
        this.tables.set(name, entry('table', name, optionsOf(bound.table.options, options, 'WITH', base?.options), query))
        break
      }
      case 'createMaterializedTable': {
        if (statement.type !== 'createMaterializedTable') break
        const { name, options } = bound.table
        this.tables.set(name, entry('materialized table', name, optionsOf(options, statement.options, 'WITH'), statement.query))
        break
      }
      case 'createView':
        if (statement.type === 'createView') {
          const { name, database = catalog.currentDatabase } = bound.view
          this.tables.set(name, { ...entry('view', name, new Map(), statement.query), database })
        }
        break
      case 'alterTable': {
        const before = this.tables.get(bound.from)
        if (statement.type !== 'alterTable' || !before) break
        const said = statement.action.kind === 'set' ? statement.action.options : []
        const { name, options } = bound.table
        this.tables.delete(bound.from)
        this.tables.set(name, {
          ...before,
          name,
          sql: `${before.sql};\n${sql}`,
          options: optionsOf(options, said, 'ALTER TABLE', before.options),
        })
        break
      }
      case 'alterView': {
        const before = this.tables.get(bound.from)
        if (statement.type !== 'alterView' || !before) break
        const { name } = bound.view
        this.tables.delete(bound.from)
        this.tables.set(
          name,
          statement.query ? entry('view', name, new Map(), statement.query) : { ...before, name, sql: `${before.sql};\n${sql}` },
        )
        break
      }
      case 'createFunction':
        this.functions.set(bound.definition.name.toUpperCase(), entry('function', bound.definition.name, new Map()))
        break
      case 'drop':
        if (bound.what === 'FUNCTION') this.functions.delete(bound.name.toUpperCase())
        else this.tables.delete(bound.name)
        break
      case 'dropDatabase':
        for (const name of catalog.namesIn(bound.name)) this.tables.delete(`${bound.name}.${name}`)
        break
      default:
    }
  }

  /** Which declares a table, by its name in full. */
  fileOf(table: string): string | undefined {
    return this.tables.get(table)?.source.name
  }

  /**
   * What the query of a statement uses.
   *
   * @param part    of the statement: an INSERT of a statement set, or all of it
   * @param tables  that its plan reads, and the one that it writes to
   */
  originsOf(source: SqlFile, part: Statement, tables: readonly string[], catalog: Catalog): Origins {
    const declared = new Map<string, Entry>()
    const hints: PlacedHint[] = []
    const builtIns = new Set<string>()
    const seek = (tree: unknown, of: SqlFile, database: string): void => {
      const nameOf = (name: QualifiedName) => catalog.within(database).nameOf(name)
      const common = new Set<string>()
      for (const node of objectsIn(tree))
        for (const { name } of (node.withItems as { name: { name: string } }[] | undefined) ?? []) common.add(name.name)
      const use = (name: QualifiedName): void => {
        const full = nameOf(name)
        const found = this.tables.get(full)
        if (!found || declared.has(full) || (name.parts.length === 1 && common.has(full))) return
        declared.set(full, found)
        if (found.query && found.kind !== 'table') seek(found.query, found.source, found.database)
      }
      for (const node of objectsIn(tree)) {
        const table = referenceOf(node)
        if (table) use(table)
        if (node.type === 'call') {
          const name = functionNameOf(node.name as QualifiedName)
          const own = this.functions.get(name.toUpperCase())
          if (own) declared.set(`function ${own.name}`, own)
          else builtIns.add(name)
        }
        for (const hint of (node.hints as Hint[] | undefined) ?? []) {
          const { name, options, span } = hint
          hints.push({ ...placeOf(of, span), name, options, ...(table && { table: nameOf(table) }) })
        }
      }
    }
    for (const name of tables) {
      const found = this.tables.get(name)
      if (found) declared.set(name, found)
    }
    seek(part, source, catalog.currentDatabase)
    const own = ({ kind, name, sql, options, file, position }: Entry): Declared => ({ kind, name, sql, options, file, position })
    return {
      ...placeOf(source, part.span),
      settings: this.settings,
      declared: [...declared.values()].map(own),
      hints,
      builtIns: [...builtIns].sort(),
    }
  }
}

const placeOf = ({ name, text }: SqlFile, span: Span): TextPlace => ({ file: name, position: textPosition(text, span) })

/** Of FROM t, TABLE t and INSERT INTO t. */
function referenceOf(node: Fields): QualifiedName | undefined {
  switch (node.type) {
    case 'table':
      return node.name as QualifiedName
    case 'tableArgument':
      return node.source as QualifiedName
    case 'insert':
      return node.table as QualifiedName
    default:
      return undefined
  }
}

/** Every node of a tree as written, sub-queries too. */
function* objectsIn(tree: unknown): Generator<Fields> {
  if (typeof tree !== 'object' || tree === null || ArrayBuffer.isView(tree)) return
  if (!Array.isArray(tree)) yield tree as Fields
  for (const inner of Object.values(tree)) yield* objectsIn(inner)
}
