// CAST: which pairs Flink allows, implicit and explicit; NULL literals take the target's type at once.
import type { SqlType, TypeKind } from '../../data/index.ts'
import { formatType, isIntegerKind, isNumericKind, isTextKind, t, withNullable } from '../../data/index.ts'
import type { Span } from '../ast.ts'
import { sqlErrors } from '../errors.ts'
import type { Expr } from '../plan.ts'
import { commonType, isBinaryKind, isDatetimeKind, isIntervalKind, sameType } from './typing.ts'

/** True where `CAST(source AS target)` is allowed. */
export function canCast(source: SqlType, target: SqlType): boolean {
  if (source.kind === 'NULL' || sameType(source, target)) return true
  if (isTextKind(target.kind)) return true
  switch (target.kind) {
    case 'ARRAY':
    case 'MULTISET':
      return source.kind === target.kind && canCast(source.element, target.element)
    case 'MAP':
      return source.kind === 'MAP' && canCast(source.key, target.key) && canCast(source.value, target.value)
    case 'ROW':
      return (
        source.kind === 'ROW' &&
        source.fields.length === target.fields.length &&
        source.fields.every((field, index) => canCast(field.type, target.fields[index].type))
      )
    default:
      return canCastSimple(source.kind, target.kind)
  }
}

function canCastSimple(source: TypeKind, target: TypeKind): boolean {
  if (isTextKind(source)) return target !== 'NULL'
  if (source === target) return true
  if (isBinaryKind(target)) return isBinaryKind(source)
  if (target === 'BOOLEAN') return isNumericKind(source) && source !== 'DECIMAL' ? true : source === 'DECIMAL'
  if (isNumericKind(target)) {
    return isNumericKind(source) || source === 'BOOLEAN' || (isIntervalKind(source) && isIntegerKind(target))
  }
  if (isIntervalKind(target)) return isIntegerKind(source) || source === 'DECIMAL'
  // A DATE has no time of day, a TIME no date.
  if (target === 'DATE') return isDatetimeKind(source) && source !== 'TIME'
  if (target === 'TIME') return isDatetimeKind(source) && source !== 'DATE'
  return isDatetimeKind(target) && isDatetimeKind(source)
}

const UNIT_SIZES: Record<string, number> = { DAY: 86_400_000, HOUR: 3_600_000, MINUTE: 60_000, SECOND: 1_000, YEAR: 12, MONTH: 1 }
const intervalUnitSize = (type: SqlType): number | undefined =>
  type.kind === 'INTERVAL_DAY_TIME' || type.kind === 'INTERVAL_YEAR_MONTH' ? UNIT_SIZES[type.unit ?? ''] : undefined
const withoutUnit = (type: SqlType): SqlType =>
  type.kind === 'INTERVAL_YEAR_MONTH' ? t.intervalYearMonth(type.nullable) : t.intervalDayTime(type.nullable)
const doubleLiteral = (value: number): Expr => ({ kind: 'literal', value, type: t.double(false) })

/**
 * CAST or TRY_CAST.
 *
 * @param safe  TRY_CAST: what cannot be converted is NULL, so the result is nullable
 * @throws StreamError  SQL_CAST_INVALID
 */
export function castExpr(expr: Expr, target: SqlType, safe: boolean, span?: Span): Expr {
  const invalid = () => sqlErrors('SQL_CAST_INVALID', { from: formatType(expr.type), to: formatType(target), span })
  if (!canCast(expr.type, target)) throw invalid()
  const type = withNullable(target, expr.type.nullable || safe)
  if (expr.type.kind === 'NULL' || (expr.kind === 'literal' && expr.value === null))
    return { kind: 'literal', value: null, type: withNullable(type, true) }
  if (sameType(expr.type, type)) {
    const isRenamed = formatType(withNullable(expr.type, type.nullable)) !== formatType(type)
    return isRenamed || (safe && !expr.type.nullable) ? { ...expr, type } : expr
  }
  const unitSize = intervalUnitSize(expr.type) ?? intervalUnitSize(target)
  const isInterval = [expr.type, target].map(({ kind }) => isIntervalKind(kind))
  // A number is one of some unit; an interval in several has none.
  if (unitSize === undefined && isInterval[0] !== isInterval[1] && [expr.type, target].some(({ kind }) => isNumericKind(kind)))
    throw invalid()
  if (unitSize !== undefined && isIntervalKind(expr.type.kind) && isNumericKind(target.kind)) {
    // A number of whole units: CAST(INTERVAL '90' SECOND AS INT) is 90.
    const units: Expr = {
      kind: 'call',
      fn: 'DIVIDE_INTERVAL',
      args: [expr, doubleLiteral(unitSize)],
      type: withoutUnit(expr.type),
    }
    return { kind: 'call', fn: safe ? 'TRY_CAST' : 'CAST', args: [units], type, ...(span && { span }) }
  }
  if (unitSize !== undefined && isNumericKind(expr.type.kind) && isIntervalKind(target.kind)) {
    const units = castExpr(expr, t.double(), safe, span)
    const one: Expr = { kind: 'literal', value: 1, type: withNullable(target, false) }
    return {
      kind: 'call',
      fn: 'TIMES_INTERVAL',
      args: [one, { kind: 'call', fn: 'TIMES', args: [units, doubleLiteral(unitSize)], type: units.type }],
      type,
    }
  }
  const cast: Expr = { kind: 'call', fn: safe ? 'TRY_CAST' : 'CAST', args: [expr], type }
  if (span) cast.span = span
  return cast
}

/**
 * An implicit cast, as for the branches of CASE.
 *
 * @returns undefined where the type does not fit
 */
export function coerce(expr: Expr, target: SqlType): Expr | undefined {
  const from = expr.type
  if (from.kind === 'NULL') return castExpr(expr, target, false)
  if (sameType(from, target)) return expr
  if (isNumericKind(from.kind) && isNumericKind(target.kind)) return castExpr(expr, target, false)
  if ((isTextKind(from.kind) && isTextKind(target.kind)) || (isBinaryKind(from.kind) && isBinaryKind(target.kind)))
    return castExpr(expr, target, false)
  if (isDatetimeKind(from.kind) && isDatetimeKind(target.kind)) return canCast(from, target) ? castExpr(expr, target, false) : undefined
  const common = commonType([from, target])
  return common && sameType(common, target) ? castExpr(expr, target, false) : undefined
}

/** Kinds that INSERT converts without being told to, beside those of one family. @source Flink's LogicalTypeCasts */
const ASSIGNED_FROM: Partial<Record<TypeKind, readonly TypeKind[]>> = {
  SMALLINT: ['TINYINT'],
  INT: ['TINYINT', 'SMALLINT'],
  BIGINT: ['TINYINT', 'SMALLINT', 'INT'],
  FLOAT: ['TINYINT', 'SMALLINT', 'INT', 'BIGINT', 'DECIMAL'],
  DATE: ['TIMESTAMP'],
  TIME: ['TIMESTAMP'],
  TIMESTAMP: ['TIMESTAMP_LTZ'],
  TIMESTAMP_LTZ: ['TIMESTAMP'],
}

function isAssignable(from: SqlType, to: SqlType): boolean {
  if (from.kind === 'NULL') return true
  if (from.kind === 'ROW' && to.kind === 'ROW')
    return from.fields.length === to.fields.length && from.fields.every(({ type }, i) => isAssignable(type, to.fields[i].type))
  if ((from.kind === 'ARRAY' && to.kind === 'ARRAY') || (from.kind === 'MULTISET' && to.kind === 'MULTISET'))
    return isAssignable(from.element, to.element)
  if (from.kind === 'MAP' && to.kind === 'MAP') return isAssignable(from.key, to.key) && isAssignable(from.value, to.value)
  if (from.kind === to.kind) return true
  switch (to.kind) {
    case 'VARCHAR':
      return isTextKind(from.kind)
    case 'VARBINARY':
      return isBinaryKind(from.kind)
    case 'DECIMAL':
    case 'DOUBLE':
      return isNumericKind(from.kind)
    default:
      return ASSIGNED_FROM[to.kind]?.includes(from.kind) ?? false
  }
}

/**
 * The value as INSERT writes it into a column of the type: narrower integers, for example, take a CAST that is written.
 *
 * @returns undefined where the type does not fit
 */
export function assignExpr(expr: Expr, target: SqlType): Expr | undefined {
  if (!isAssignable(expr.type, target)) return undefined
  return sameType(expr.type, target) ? expr : castExpr(expr, target, false)
}
