// Names: which columns an expression may use, and what a written name means.
//
//   env of a query ──outer──> env of the query around it ──outer──> …
//
// A name that the own tables do not have is looked for in the enclosing queries; what is found there becomes an outer reference.

import { nearestName } from '../base/index.ts'
import type { Field, SqlType } from '../data/index.ts'
import type { Expression, Identifier, QualifiedName, Query, Span } from './ast.ts'
import type { Catalog } from './catalog.ts'
import { sqlErrors } from './errors.ts'
import { asOuterReference, columnExpr, mapExpr, outerReference } from './expr.ts'
import { resolveCall } from './functions/index.ts'
import type { Expr, Plan } from './plan.ts'

export interface CommonTable {
  name: string
  query: Query
  columns: Identifier[]
  context: BindContext
  /** Has it been read? */
  isBound: boolean
}
/** What does not change while one statement is bound, but for the WITH tables that a query adds. */
export interface BindContext {
  catalog: Catalog
  /** IANA name: windows over TIMESTAMP_LTZ are computed in it. */
  timeZone: string
  withTables: ReadonlyMap<string, CommonTable>
  /** STATE_TTL of the SELECT around: ms by table or alias. */
  stateTtl?: ReadonlyMap<string, number>
  /** The query is the VALUES of an INSERT, whose target gives a NULL its type. */
  insertsValues?: boolean
  /** Where given, the plan of each query of the statement as it is bound, before it is optimized, is added to it. */
  logical?: Plan[]
}

export interface ScopeColumn {
  name: string
  /** Ordinal into the rows of the plan that the scope describes. */
  index: number
  type: SqlType
}
export interface ScopeTable {
  /** Alias, else the table's name; undefined for a sub-query without alias. */
  name?: string
  columns: ScopeColumn[]
}
export interface Scope {
  tables: ScopeTable[]
  /** Columns that USING or NATURAL merged: a plain name means these; `*` puts them first. */
  common: { name: string; expr: Expr; hidden: ReadonlySet<number> }[]
}

export type SubqueryNode = Extract<Expression, { query?: Query }>
/** All that gives meaning to an expression. */
export interface Env {
  context: BindContext
  scope: Scope
  outer?: Env
  /** Asked first, for each node that is no name: grouped queries answer for aggregates and keys, MATCH_RECOGNIZE for LAST(a.x). */
  intercept?: (node: Expression, env: Env) => Expr | undefined
  /** Of QUALIFY: what the select list has under the name of a column. */
  alias?: (column: Expression) => Expr | undefined
  /** From an expression over the scope's rows to one over the present rows, where these differ: after GROUP BY. */
  lower?: (expr: Expr, span: Span) => Expr
  /** Turns a sub-query into a column; where it is missing, sub-queries are refused. */
  subquery?: (node: SubqueryNode, env: Env) => Expr
}

export const emptyScope: Scope = { tables: [], common: [] }

/** A scope over the rows of a plan, all of them columns of one table. */
export function scopeOf(plan: Plan, name?: string): Scope {
  return { tables: [tableOf(plan.fields, name)], common: [] }
}
export const tableOf = (fields: readonly Field[], name?: string, offset = 0): ScopeTable => ({
  name,
  columns: fields.map((field, i) => ({ name: field.name, index: offset + i, type: field.type })),
})

/** The two scopes side by side, as the rows of a join are. */
export function joinScopes(left: Scope, right: Scope, leftWidth: number): Scope {
  const shift = (expr: Expr): Expr => mapExpr(expr, (part) => (part.kind === 'column' ? { ...part, index: part.index + leftWidth } : part))
  return {
    tables: [
      ...left.tables,
      ...right.tables.map((table) => ({
        ...table,
        columns: table.columns.map((column) => ({ ...column, index: column.index + leftWidth })),
      })),
    ],
    common: [
      ...left.common,
      ...right.common.map(({ name, expr, hidden }) => ({
        name,
        expr: shift(expr),
        hidden: new Set([...hidden].map((index) => index + leftWidth)),
      })),
    ],
  }
}

/** The scope with the types of the plan's fields, which a join may have made nullable. */
export const retyped = (scope: Scope, fields: readonly Field[]): Scope => ({
  tables: scope.tables.map((table) => ({
    ...table,
    columns: table.columns.map((column) => ({ ...column, type: fields[column.index].type })),
  })),
  common: scope.common,
})

const join = (name: QualifiedName): string => name.parts.map((part) => part.name).join('.')

/**
 * What a written name means.
 *
 * @throws StreamError  SQL_COLUMN_NOT_FOUND, SQL_COLUMN_AMBIGUOUS
 */
export function bindColumn(name: QualifiedName, env: Env): Expr {
  const found = findColumn(name, env)
  if (found !== undefined) return found
  throw columnNotFound(name, env)
}

/** `a.id` is a column of the table `a`, of an enclosing query's too, before it is the field of a ROW. */
const findColumn = (name: QualifiedName, env: Env): Expr | undefined => findIn(name, env, ofTable) ?? findIn(name, env, unqualified)

type Finder = (name: QualifiedName, scope: Scope) => Expr | undefined

function findIn(name: QualifiedName, env: Env, find: Finder): Expr | undefined {
  const local = find(name, env.scope)
  if (local !== undefined) return env.lower ? env.lower(local, name.span) : local
  if (env.outer === undefined) return undefined
  const outer = findIn(name, env.outer, find)
  if (outer === undefined) return undefined
  return mapExpr(outer, (part) => {
    if (part.kind === 'column') return outerReference(1, part.index, part.type)
    const reference = asOuterReference(part)
    return reference ? outerReference(reference.level + 1, reference.index, part.type) : part
  })
}

/** The meaning of a name among the scope's own columns. */
export const findLocal: Finder = (name, scope) => ofTable(name, scope) ?? unqualified(name, scope)

function ofTable(name: QualifiedName, scope: Scope): Expr | undefined {
  const { parts, span } = name
  // `catalog.database.table.column`, `table.column.field`: the longest prefix that names a table wins.
  for (let prefix = Math.min(parts.length - 1, 3); prefix >= 1; prefix--) {
    const tables = scope.tables.filter((table) => table.name === parts[prefix - 1].name)
    const found = tables.flatMap((table) => foundIn(table, parts[prefix], span))
    if (found.length > 1) throw sqlErrors('SQL_COLUMN_AMBIGUOUS', { column: join(name), tables: tables.map((table) => table.name!), span })
    if (found.length === 1) return fieldsOf(found[0], parts.slice(prefix + 1), span)
  }
  return undefined
}

function unqualified({ parts, span }: QualifiedName, scope: Scope): Expr | undefined {
  const [first] = parts
  const common = scope.common.find((one) => one.name === first.name)
  if (common !== undefined) return fieldsOf(common.expr, parts.slice(1), span)
  const matches = scope.tables.flatMap((table) => foundIn(table, first, span).map((expr) => ({ table, expr })))
  if (matches.length > 1) {
    const tables = matches.map(({ table }) => table.name ?? '(sub-query)')
    throw sqlErrors('SQL_COLUMN_AMBIGUOUS', { column: first.name, tables, span: first.span })
  }
  if (matches.length === 0) return undefined
  return fieldsOf(matches[0].expr, parts.slice(1), span)
}

/** Columns of that name; where there is none, the field of that name within the ROWs of the table, as in Flink. */
function foundIn({ name: table, columns }: ScopeTable, name: Identifier, span: Span): Expr[] {
  const own = columns.filter((column) => column.name === name.name)
  if (own.length > 0) return own.map(({ index, type }) => columnExpr(index, type))
  const way = wayTo(name, columns, table)
  if (way === undefined) return []
  const { index, type } = columns[way[0]]
  return [fieldAt(columnExpr(index, type), way.slice(1), span)]
}

/** Ordinals that lead to the field of that name, through ROWs that the text does not name; the shortest way counts. */
function wayTo(name: Identifier, fields: readonly Field[], table = '(a ROW)'): number[] | undefined {
  const ways = waysTo(name.name, fields).sort((a, b) => a.length - b.length)
  if (ways.length > 1 && ways[0].length === ways[1].length)
    throw sqlErrors('SQL_COLUMN_AMBIGUOUS', { column: name.name, tables: [table, table], span: name.span })
  return ways[0]
}

function waysTo(name: string, fields: readonly Field[]): number[][] {
  const index = fields.findIndex((field) => field.name === name)
  if (index >= 0) return [[index]]
  return fields.flatMap(({ type }, i) => (type.kind === 'ROW' ? waysTo(name, type.fields).map((way) => [i, ...way]) : []))
}

const fieldAt = (expr: Expr, way: readonly number[], span: Span): Expr =>
  way.reduce((row, index) => resolveCall('FIELD', [row], { span, options: { index } }), expr)

const fieldNames = ({ type }: Expr): string[] => (type.kind === 'ROW' ? type.fields.map((field) => field.name) : [])

function fieldNotFound(row: Expr, { name, span }: Identifier): Error {
  const fields = fieldNames(row)
  return sqlErrors('SQL_FIELD_NOT_FOUND', { field: name, fields, nearest: nearestName(name, fields), span })
}

/** `a.b.c` where `a` is a column of type ROW; a ROW on the way may be left out. */
function fieldsOf(expr: Expr, path: readonly Identifier[], span: Span): Expr {
  return path.reduce((row, part) => {
    const way = wayTo(part, row.type.kind === 'ROW' ? row.type.fields : [])
    if (way === undefined) throw fieldNotFound(row, part)
    return fieldAt(row, way, span)
  }, expr)
}

/** `(row).name`: a field of a value that is no name, one of its own. */
export function fieldOf(row: Expr, name: Identifier, span: Span): Expr {
  const index = fieldNames(row).indexOf(name.name)
  if (index < 0) throw fieldNotFound(row, name)
  return fieldAt(row, [index], span)
}

function columnNotFound(name: QualifiedName, env: Env): Error {
  const { parts } = name
  const scopes: Scope[] = []
  for (let one: Env | undefined = env; one !== undefined; one = one.outer) scopes.push(one.scope)
  const tables = scopes.flatMap((scope) => scope.tables)
  const named = parts.length > 1 ? tables.find((table) => table.name === parts[0].name) : undefined
  if (named !== undefined) {
    const names = named.columns.map((column) => column.name)
    const column = parts[1].name
    return sqlErrors('SQL_COLUMN_NOT_FOUND', { column, table: named.name, nearest: nearestName(column, names), span: parts[1].span })
  }
  const column = parts[0].name
  if (parts.length > 1) {
    const nearest = nearestName(
      column,
      tables.flatMap((table) => table.name ?? []),
    )
    return sqlErrors('SQL_COLUMN_NOT_FOUND', { column: join(name), nearest: nearest && `${nearest}.${parts[1].name}`, span: name.span })
  }
  const nearest = nearestName(
    column,
    tables.flatMap((table) => table.columns.map((one) => one.name)),
  )
  const table = tables.length === 1 ? tables[0].name : undefined
  return sqlErrors('SQL_COLUMN_NOT_FOUND', { column, table, nearest, span: parts[0].span })
}
