// Expressions of plans: small pure helpers that the binder and the optimizer share.
//
// While a query is being bound, an expression may hold references to a row of an enclosing query. They are calls of OUTER_REFERENCE
// with `options: { level, index }` (level 1 is the query directly around) and never leave the binder: `bind-correlation.ts` turns them
// into columns of a join, or says that it cannot.
import type { SqlType } from '../data/index.ts'
import { t } from '../data/index.ts'
import type { Expr } from './plan.ts'

export type ColumnExpr = Extract<Expr, { kind: 'column' }>
type CallExpr = Extract<Expr, { kind: 'call' }>

export const columnExpr = (index: number, type: SqlType): ColumnExpr => ({ kind: 'column', index, type })
export const literalExpr = (value: unknown, type: SqlType): Expr => ({ kind: 'literal', value, type })
export const isCall = (expr: Expr, fn: string): expr is CallExpr => expr.kind === 'call' && expr.fn === fn
export const isTrueLiteral = (expr: Expr): boolean => expr.kind === 'literal' && expr.value === true

const OUTER_REFERENCE = '$OUTER'
export const outerReference = (level: number, index: number, type: SqlType): Expr => ({
  kind: 'call',
  fn: OUTER_REFERENCE,
  args: [],
  type,
  options: { level, index },
})
export const asOuterReference = (expr: Expr): { level: number; index: number } | undefined =>
  isCall(expr, OUTER_REFERENCE) ? (expr.options as { level: number; index: number }) : undefined
export const hasOuterReference = (expr: Expr): boolean => someExpr(expr, (part) => isCall(part, OUTER_REFERENCE))

/** Rebuilds an expression from the leaves up; parts that do not change are shared. */
export function mapExpr(expr: Expr, change: (part: Expr) => Expr): Expr {
  if (expr.kind !== 'call' || expr.args.length === 0) return change(expr)
  const args = expr.args.map((arg) => mapExpr(arg, change))
  return change(args.every((arg, i) => arg === expr.args[i]) ? expr : { ...expr, args })
}

export const mapColumns = (expr: Expr, change: (column: ColumnExpr) => Expr): Expr =>
  mapExpr(expr, (part) => (part.kind === 'column' ? change(part) : part))

export const shiftColumns = (expr: Expr, by: number): Expr =>
  by === 0 ? expr : mapColumns(expr, (column) => ({ ...column, index: column.index + by }))

export function someExpr(expr: Expr, test: (part: Expr) => boolean): boolean {
  return test(expr) || (expr.kind === 'call' && expr.args.some((arg) => someExpr(arg, test)))
}

/** Ordinals of the columns that an expression reads. */
export function columnsOf(expr: Expr, into = new Set<number>()): Set<number> {
  if (expr.kind === 'column') into.add(expr.index)
  else if (expr.kind === 'call') for (const arg of expr.args) columnsOf(arg, into)
  return into
}

/** The operands of a chain of ANDs; TRUE has none. */
export function conjuncts(expr: Expr | undefined): Expr[] {
  if (expr === undefined || isTrueLiteral(expr)) return []
  return isCall(expr, 'AND') ? expr.args.flatMap(conjuncts) : [expr]
}

export function andAll(exprs: readonly Expr[]): Expr | undefined {
  return exprs.length === 0
    ? undefined
    : exprs.reduce((a, b) => ({ kind: 'call', fn: 'AND', args: [a, b], type: t.boolean(a.type.nullable || b.type.nullable) }))
}

/** Equal for equal expressions: spans do not count. */
export const exprKey = (expr: Expr): string => stableText(expr)

/** Text of a part of a plan, without its spans; different for different values. */
export function stableText(part: unknown): string {
  return JSON.stringify(part, (key, value) => {
    if (key === 'span') return undefined
    if (typeof value === 'bigint') return `${value}n`
    if (value instanceof Uint8Array) return { bytes: [...value] }
    if (value instanceof Map) return { map: [...value] }
    if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0)))
      return { number: Object.is(value, -0) ? '-0' : String(value) }
    return value
  })
}

/** What differs from call to call, or with the time of the call, and what fails where it stands: never moved, merged or evaluated twice. */
const UNSTABLE = new Set([
  'RAND',
  'RAND_INTEGER',
  'UUID',
  'UNIX_TIMESTAMP',
  'PROCTIME',
  'CURRENT_WATERMARK',
  'CURRENT_ROW_TIMESTAMP',
  'REQUIRE_NOT_NULL',
])
export const isStable = (expr: Expr): boolean =>
  !someExpr(expr, (part) => part.kind === 'call' && UNSTABLE.has(part.fn) && (part.fn !== 'UNIX_TIMESTAMP' || part.args.length === 0))

/** A rough cost: how many calls. */
export const callCount = (expr: Expr): number => (expr.kind === 'call' ? 1 + expr.args.reduce((sum, arg) => sum + callCount(arg), 0) : 0)

/** Does a condition reject every row in which all of `columns` are NULL? */
export function rejectsNulls(expr: Expr, columns: (index: number) => boolean): boolean {
  if (expr.kind === 'column') return columns(expr.index)
  if (expr.kind !== 'call') return false
  switch (expr.fn) {
    case 'AND':
      return expr.args.some((arg) => rejectsNulls(arg, columns))
    case 'OR':
      return expr.args.every((arg) => rejectsNulls(arg, columns))
    case 'IS_NOT_NULL':
    case 'IS_TRUE':
    case 'IS_FALSE':
    case 'NOT':
    case 'EQUALS':
    case 'NOT_EQUALS':
    case 'LESS':
    case 'LESS_OR_EQUAL':
    case 'GREATER':
    case 'GREATER_OR_EQUAL':
    case 'LIKE':
    case 'IN':
      return isStrictOver(expr.args[0], columns) || (expr.args.length === 2 && isStrictOver(expr.args[1], columns))
    default:
      return false
  }
}

const STRICT = new Set([
  'CAST',
  'PLUS',
  'MINUS',
  'TIMES',
  'DIVIDE',
  'MOD',
  'UNARY_MINUS',
  'UPPER',
  'LOWER',
  'FIELD',
  'NOT',
  'EQUALS',
  'LESS',
  'GREATER',
])
/** NULL whenever `columns` are NULL. */
function isStrictOver(expr: Expr, columns: (index: number) => boolean): boolean {
  if (expr.kind === 'column') return columns(expr.index)
  return expr.kind === 'call' && STRICT.has(expr.fn) && expr.args.some((arg) => isStrictOver(arg, columns))
}
