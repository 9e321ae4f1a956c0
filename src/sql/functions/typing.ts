// Flink's rules for result types: the least restrictive type of several, and precision and scale of DECIMAL arithmetic.
//
// @source Flink's LogicalTypeMerging and Calcite's leastRestrictive, as seen in the golden cases calc/*
import type { SqlType } from '../../data/index.ts'
import { DECIMAL_PRECISION_MAX, isApproximateKind, isIntegerKind, isNumericKind, isTextKind, t, withNullable } from '../../data/index.ts'

const INTEGER_DIGITS: Record<string, number> = { TINYINT: 3, SMALLINT: 5, INT: 10, BIGINT: 19 }
const INTEGER_ORDER = ['TINYINT', 'SMALLINT', 'INT', 'BIGINT']
/** Fraction digits that a product or quotient keeps when its digits must be cut to 38. */
const SCALE_MIN_WHEN_CUT = 6
/** Fraction digits that a quotient has at least. */
const DIVISION_SCALE_MIN = 6

export interface DecimalSize {
  precision: number
  scale: number
}

export const isBinaryKind = (kind: SqlType['kind']): boolean => kind === 'BINARY' || kind === 'VARBINARY'
export const isIntervalKind = (kind: SqlType['kind']): boolean => kind === 'INTERVAL_DAY_TIME' || kind === 'INTERVAL_YEAR_MONTH'
export const isDatetimeKind = (kind: SqlType['kind']): boolean =>
  kind === 'DATE' || kind === 'TIME' || kind === 'TIMESTAMP' || kind === 'TIMESTAMP_LTZ'

/** Digits of an exact number: INT is DECIMAL(10, 0), BIGINT is DECIMAL(19, 0). */
export function decimalSizeOf(type: SqlType): DecimalSize | undefined {
  if (type.kind === 'DECIMAL') return { precision: type.precision, scale: type.scale }
  const digits = INTEGER_DIGITS[type.kind]
  return digits === undefined ? undefined : { precision: digits, scale: 0 }
}

/** Cuts to 38 digits: the whole part is kept, of the fraction at least 6 digits where it had them. */
function cutDecimal(precision: number, scale: number): DecimalSize {
  if (precision <= DECIMAL_PRECISION_MAX) return { precision, scale }
  const wholeDigits = precision - scale
  const scaleMin = Math.min(scale, SCALE_MIN_WHEN_CUT)
  return { precision: DECIMAL_PRECISION_MAX, scale: Math.max(DECIMAL_PRECISION_MAX - wholeDigits, scaleMin) }
}

export function decimalResult(operator: 'PLUS' | 'MINUS' | 'TIMES' | 'DIVIDE' | 'MOD', a: DecimalSize, b: DecimalSize): DecimalSize {
  switch (operator) {
    case 'TIMES':
      return cutDecimal(a.precision + b.precision + 1, a.scale + b.scale)
    case 'DIVIDE': {
      const scale = Math.max(DIVISION_SCALE_MIN, a.scale + b.precision + 1)
      return cutDecimal(a.precision - a.scale + b.scale + scale, scale)
    }
    case 'MOD': {
      const scale = Math.max(a.scale, b.scale)
      return cutDecimal(Math.min(a.precision - a.scale, b.precision - b.scale) + scale, scale)
    }
    default: {
      const scale = Math.max(a.scale, b.scale)
      return cutDecimal(Math.max(a.precision - a.scale, b.precision - b.scale) + scale + 1, scale)
    }
  }
}

/** Result of ROUND(DECIMAL(p, s), digits); `digits` is undefined where it is no literal. */
export function roundedDecimal({ precision, scale }: DecimalSize, digits: number | undefined): DecimalSize {
  if (digits === undefined || digits >= scale) return { precision, scale }
  if (digits < 0) return { precision: Math.min(DECIMAL_PRECISION_MAX, precision - scale + 1), scale: 0 }
  return { precision: precision - scale + digits + 1, scale: digits }
}

/**
 * The type to which all can be brought without loss, or undefined where there is none. Nullable if one of them is.
 *
 * @example commonType([t.char(1), t.char(3)]) // VARCHAR(3)
 */
export const commonType = (types: readonly SqlType[]): SqlType | undefined => common(types, flinkKind)

/**
 * As `commonType`, for CASE, IF, ARRAY, MAP, VALUES and sets. Of TIMESTAMP and TIMESTAMP_LTZ the first one wins where both have the same number
 * of digits, else the second one.
 *
 * @source Calcite's leastRestrictive, where COALESCE and comparisons have Flink's own rule
 */
export const leastRestrictive = (types: readonly SqlType[]): SqlType | undefined => common(types, calciteKind)

type KindRule = (a: TimestampType, b: TimestampType) => TimestampType['kind']
interface TimestampType {
  kind: 'TIMESTAMP' | 'TIMESTAMP_LTZ'
  precision: number
}
const flinkKind: KindRule = (a, b) => (a.kind === 'TIMESTAMP_LTZ' || b.kind === 'TIMESTAMP_LTZ' ? 'TIMESTAMP_LTZ' : 'TIMESTAMP')
const calciteKind: KindRule = (a, b) => (a.precision === b.precision ? a.kind : b.kind)

function common(types: readonly SqlType[], kindOf: KindRule): SqlType | undefined {
  let result: SqlType | undefined
  let nullable = false
  for (const type of types) {
    nullable ||= type.nullable
    if (type.kind === 'NULL') continue
    result = result === undefined ? type : merge(result, type, kindOf)
    if (result === undefined) return undefined
  }
  return result === undefined ? (types.length > 0 ? t.null() : undefined) : withNullable(result, nullable)
}

function merge(a: SqlType, b: SqlType, kindOf: KindRule): SqlType | undefined {
  const nullable = a.nullable || b.nullable
  if (isNumericKind(a.kind) && isNumericKind(b.kind)) return mergeNumeric(a, b)
  if ((isTextKind(a.kind) && isTextKind(b.kind)) || (isBinaryKind(a.kind) && isBinaryKind(b.kind))) {
    const left = a as { kind: 'CHAR'; length: number }
    const right = b as { kind: 'CHAR'; length: number }
    const varying = isTextKind(a.kind) ? 'VARCHAR' : 'VARBINARY'
    const kind = left.kind === right.kind && left.length === right.length ? left.kind : varying
    return { kind, length: Math.max(left.length, right.length), nullable }
  }
  if (isDatetimeKind(a.kind) && isDatetimeKind(b.kind)) return mergeDatetime(a, b, kindOf)
  if (a.kind !== b.kind) return undefined
  switch (a.kind) {
    case 'ARRAY':
    case 'MULTISET': {
      const element = common([a.element, (b as typeof a).element], kindOf)
      return element && { kind: a.kind, element, nullable }
    }
    case 'MAP': {
      const other = b as typeof a
      const key = common([a.key, other.key], kindOf)
      const value = common([a.value, other.value], kindOf)
      return key && value && { kind: 'MAP', key, value, nullable }
    }
    case 'ROW': {
      const other = b as typeof a
      if (a.fields.length !== other.fields.length) return undefined
      const fields = []
      for (const [index, field] of a.fields.entries()) {
        const type = common([field.type, other.fields[index].type], kindOf)
        if (type === undefined) return undefined
        fields.push({ name: field.name, type })
      }
      return { kind: 'ROW', fields, nullable }
    }
    default:
      return a
  }
}

function mergeNumeric(a: SqlType, b: SqlType): SqlType {
  if (isApproximateKind(a.kind) || isApproximateKind(b.kind)) {
    if (a.kind === 'DECIMAL' || b.kind === 'DECIMAL') return t.double()
    // Of FLOAT and DOUBLE the first one wins: FLOAT + DOUBLE is FLOAT.
    return isApproximateKind(a.kind) ? a : b
  }
  if (isIntegerKind(a.kind) && isIntegerKind(b.kind)) {
    return INTEGER_ORDER.indexOf(a.kind) >= INTEGER_ORDER.indexOf(b.kind) ? a : b
  }
  const left = decimalSizeOf(a)!
  const right = decimalSizeOf(b)!
  const scale = Math.max(left.scale, right.scale)
  const wholeDigits = Math.max(left.precision - left.scale, right.precision - right.scale)
  const { precision } = cutDecimal(wholeDigits + scale, scale)
  return t.decimal(precision, Math.min(scale, Math.max(precision - wholeDigits, 0)))
}

function mergeDatetime(a: SqlType, b: SqlType, kindOf: KindRule): SqlType | undefined {
  if (a.kind === 'TIME' && b.kind === 'TIME') return a.precision >= b.precision ? a : b
  const [left, right] = [timestampOf(a), timestampOf(b)]
  // Of a DATE and a timestamp neither becomes the other unasked.
  if (left === undefined || right === undefined) return a.kind === b.kind ? a : undefined
  return { kind: kindOf(left, right), precision: Math.max(left.precision, right.precision), nullable: true }
}

const timestampOf = (type: SqlType): TimestampType | undefined =>
  type.kind === 'TIMESTAMP' || type.kind === 'TIMESTAMP_LTZ' ? { kind: type.kind, precision: type.precision } : undefined

/** Same type, nullability aside. */
export function sameType(a: SqlType, b: SqlType): boolean {
  if (a.kind !== b.kind) return false
  switch (a.kind) {
    case 'CHAR':
    case 'VARCHAR':
    case 'BINARY':
    case 'VARBINARY':
      return a.length === (b as typeof a).length
    case 'TIME':
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return a.precision === (b as typeof a).precision
    case 'DECIMAL':
      return a.precision === (b as typeof a).precision && a.scale === (b as typeof a).scale
    case 'ARRAY':
    case 'MULTISET':
      return sameType(a.element, (b as typeof a).element)
    case 'MAP':
      return sameType(a.key, (b as typeof a).key) && sameType(a.value, (b as typeof a).value)
    case 'ROW': {
      const other = b as typeof a
      return a.fields.length === other.fields.length && a.fields.every((field, index) => sameType(field.type, other.fields[index].type))
    }
    default:
      return true
  }
}
