// What has been declared: tables, views, materialized tables, functions and settings, in memory.
//
// Tables, views and materialized tables of a database share one namespace, as in Flink; names are case-sensitive. There is one catalog. What is
// in its default database has its own name everywhere, so that `default_catalog.default_database.t` is `t`; table `t` of a database `shop`
// is `shop.t`, here and wherever a table's name is used: as its topic, in paths, as the name of a query. Functions belong to no database.

import { nearestName } from '../base/index.ts'
import type { RowField, SqlType } from '../data/index.ts'
import type { QualifiedName } from './ast.ts'
import { sqlErrors } from './errors.ts'
import type { BoundStatement, MaterializedTableDef, TableDef, ViewDef } from './plan.ts'

/** A function of the user. Without `signature` it is one for Flink alone. */
export interface FunctionDef {
  name: string
  /** As written: a class for Flink, else a file with perhaps `#export`. */
  target: string
  language: string
  signature?: {
    kind: 'scalar' | 'table' | 'aggregate'
    params: RowField[]
    /** Of a table function ARRAY<ROW<…>>. */
    returns: SqlType
  }
  /** Where it is, and which text it has: set by who knows the project's folder. */
  file?: string
  version?: string
}
export type CatalogEntry =
  | { kind: 'table'; table: TableDef }
  | { kind: 'view'; view: ViewDef }
  /** With `query`, the text of its SELECT, it is read as a view is: its rows are computed again. */
  | { kind: 'materialized table'; table: MaterializedTableDef; query?: string; database?: string }

export const DEFAULT_CATALOG = 'default_catalog'
export const DEFAULT_DATABASE = 'default_database'

/** A database's name without Flink's default catalog. */
const databaseName = ({ parts }: QualifiedName): string =>
  parts
    .slice(parts.length > 1 && parts[0].name === DEFAULT_CATALOG ? 1 : 0)
    .map((part) => part.name)
    .join('.')

/** A function's name: whatever catalog and database stand before it, as it is in none. */
export const functionNameOf = ({ parts }: QualifiedName): string => parts.at(-1)!.name

const nameOf = (entry: CatalogEntry): string => (entry.kind === 'view' ? entry.view.name : entry.table.name)

export class Catalog {
  private readonly entries = new Map<string, CatalogEntry>()
  private readonly functions = new Map<string, FunctionDef>()
  /** SET 'key' = 'value'. */
  readonly settings = new Map<string, string>()

  private readonly defaultTimeZone: string

  /** @param defaultTimeZone  IANA name of the session's zone unless SET 'table.local-time-zone' chooses one */
  constructor(defaultTimeZone = 'UTC') {
    this.defaultTimeZone = defaultTimeZone
  }

  /** IANA name of the session's zone. */
  get timeZone(): string {
    const zone = this.settings.get('table.local-time-zone')
    return zone === undefined || zone === 'default' ? this.defaultTimeZone : zone
  }

  private readonly databases = new Set([DEFAULT_DATABASE])
  /** What plain names are in: USE. */
  currentDatabase = DEFAULT_DATABASE

  /** What a table, view or materialized table is called, whether or not there is one. */
  nameOf({ parts }: QualifiedName): string {
    const names = parts.map((part) => part.name)
    if (names.length === 1) names.unshift(this.currentDatabase)
    if (names.length > 2 && names[0] === DEFAULT_CATALOG) names.shift()
    if (names.length === 2 && names[0] === DEFAULT_DATABASE) names.shift()
    return names.join('.')
  }

  /**
   * What a new one will be called. A dot in its own name must not make it one of another database.
   * @throws StreamError  SQL_DATABASE_NOT_FOUND, SQL_NAME_TAKEN by a database
   */
  newNameOf(name: QualifiedName): string {
    const database = name.parts.length > 1 ? this.databaseOf({ ...name, parts: name.parts.slice(0, -1) }) : this.currentDatabase
    const full = this.nameOf(name)
    const [first] = full.split('.', 1)
    if (database === DEFAULT_DATABASE && first !== full && this.databases.has(first))
      throw sqlErrors('SQL_NAME_TAKEN', { name: first, what: 'database', span: name.span })
    return full
  }

  /**
   * What is renamed will be called: with a plain name it stays in its database.
   * @throws StreamError  as `newNameOf`
   */
  newNameBeside({ parts }: QualifiedName, to: QualifiedName): string {
    return this.newNameOf(to.parts.length > 1 ? to : { ...to, parts: [...parts.slice(0, -1), ...to.parts] })
  }

  /** @throws StreamError  SQL_DATABASE_NOT_FOUND with the nearest name */
  databaseOf(name: QualifiedName): string {
    const database = databaseName(name)
    if (this.databases.has(database)) return database
    throw sqlErrors('SQL_DATABASE_NOT_FOUND', { database, nearest: nearestName(database, this.databases), span: name.span })
  }
  hasDatabase(database: string): boolean {
    return this.databases.has(database)
  }
  databaseNames(): string[] {
    return [...this.databases]
  }
  addDatabase(database: string): void {
    this.databases.add(database)
  }
  /** With all that is in it. */
  dropDatabase(database: string): void {
    for (const name of this.namesIn(database)) this.entries.delete(`${database}.${name}`)
    this.databases.delete(database)
  }

  /** How it is written in SQL, wherever it stands. */
  quoted(name: string): string {
    const [first] = name.split('.', 1)
    const parts = first !== name && this.databases.has(first) ? [first, name.slice(first.length + 1)] : [name]
    return parts.map((part) => `\`${part.replaceAll('`', '``')}\``).join('.')
  }

  /** Names of what is in a database, without its name. */
  namesIn(database: string, ...kinds: CatalogEntry['kind'][]): string[] {
    const names = this.names(...kinds)
    if (database !== DEFAULT_DATABASE)
      return names.filter((name) => name.startsWith(`${database}.`)).map((name) => name.slice(database.length + 1))
    return names.filter((name) => !name.includes('.') || !this.databases.has(name.slice(0, name.indexOf('.'))))
  }

  /** The same declarations, seen from another database. */
  within(database: string): Catalog {
    const seen: Catalog = Object.create(this)
    seen.currentDatabase = database
    return seen
  }

  get(name: string): CatalogEntry | undefined {
    return this.entries.get(name)
  }

  /** @throws StreamError  SQL_TABLE_NOT_FOUND with the nearest name */
  require(name: QualifiedName): CatalogEntry {
    const table = this.nameOf(name)
    const entry = this.entries.get(table)
    if (entry === undefined) throw sqlErrors('SQL_TABLE_NOT_FOUND', { table, nearest: nearestName(table, this.names()), span: name.span })
    return entry
  }

  /** Adds or replaces: whether a name may be taken again was decided when the statement was bound. */
  add(entry: CatalogEntry): void {
    this.entries.set(nameOf(entry), entry)
  }

  /** @returns false if there was none */
  drop(name: string): boolean {
    return this.entries.delete(name)
  }

  /** Names in the order of declaration, of all kinds or of some. */
  names(...kinds: CatalogEntry['kind'][]): string[] {
    return [...this.entries.values()].filter((entry) => kinds.length === 0 || kinds.includes(entry.kind)).map(nameOf)
  }

  getFunction(name: string): FunctionDef | undefined {
    return this.functions.get(name.toUpperCase())
  }
  addFunction(definition: FunctionDef): void {
    this.functions.set(definition.name.toUpperCase(), definition)
  }
  dropFunction(name: string): boolean {
    return this.functions.delete(name.toUpperCase())
  }
  functionNames(): string[] {
    return [...this.functions.values()].map((one) => one.name)
  }

  /** A copy that can go its own way: definitions are never changed in place, so they are shared. */
  clone(): Catalog {
    const copy = new Catalog(this.defaultTimeZone)
    for (const [name, entry] of this.entries) copy.entries.set(name, entry)
    for (const [name, definition] of this.functions) copy.functions.set(name, definition)
    for (const [key, value] of this.settings) copy.settings.set(key, value)
    for (const database of this.databases) copy.databases.add(database)
    copy.currentDatabase = this.currentDatabase
    return copy
  }
}

/** Puts what a bound statement declares, drops or sets into the catalog; statements that only run are left alone. */
export function applyStatement(bound: BoundStatement, catalog: Catalog): void {
  switch (bound.type) {
    case 'createTable':
      catalog.add({ kind: 'table', table: bound.table })
      break
    case 'createView':
      catalog.add({ kind: 'view', view: bound.view })
      break
    case 'createMaterializedTable':
      catalog.add({ kind: 'materialized table', table: bound.table })
      break
    case 'alterTable':
      if (bound.from !== bound.table.name) catalog.drop(bound.from)
      catalog.add({ kind: 'table', table: bound.table })
      break
    case 'alterView':
      catalog.drop(bound.from)
      catalog.add({ kind: 'view', view: bound.view })
      break
    case 'createFunction':
      catalog.addFunction(bound.definition)
      break
    case 'drop':
      if (bound.what === 'FUNCTION') catalog.dropFunction(bound.name)
      else catalog.drop(bound.name)
      break
    case 'createDatabase':
      catalog.addDatabase(bound.name)
      break
    case 'dropDatabase':
      catalog.dropDatabase(bound.name)
      break
    case 'use':
      catalog.currentDatabase = bound.database
      break
    case 'set':
      if (bound.key === '') catalog.settings.clear()
      else if (bound.value === undefined) catalog.settings.delete(bound.key)
      else catalog.settings.set(bound.key, bound.value)
      break
  }
}
