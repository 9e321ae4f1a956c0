// Literals: their types and values, as Flink reads them.
import type { SqlType } from '../data/index.ts'
import { t } from '../data/index.ts'
import type { Expression, LiteralValue, Span, TimeUnit } from './ast.ts'
import { sqlErrors } from './errors.ts'
import { literalExpr } from './expr.ts'
import type { Expr } from './plan.ts'

const INT_MAX = 2_147_483_647n
const BIGINT_MAX = 2n ** 63n - 1n
const DAY_MS = 86_400_000
const UNIT_MS: Partial<Record<TimeUnit, number>> = {
  WEEK: 7 * DAY_MS,
  DAY: DAY_MS,
  HOUR: 3_600_000,
  MINUTE: 60_000,
  SECOND: 1_000,
  MILLISECOND: 1,
}
const UNIT_MONTHS: Partial<Record<TimeUnit, number>> = { YEAR: 12, QUARTER: 3, MONTH: 1 }
/** The order in which the parts of an interval text come. */
const TIME_UNITS: readonly TimeUnit[] = ['DAY', 'HOUR', 'MINUTE', 'SECOND']

/** @throws StreamError  SQL_LITERAL_UNREADABLE */
export function bindLiteral(value: LiteralValue, span: Span): Expr {
  switch (value.kind) {
    case 'null':
      return literalExpr(null, t.null())
    case 'boolean':
      return literalExpr(value.value, t.boolean(false))
    case 'number':
      return numberLiteral(value.text, span)
    case 'string':
      return literalExpr(value.value, t.char(value.value.length, false))
    case 'binary':
      return literalExpr(value.value, { kind: 'BINARY', length: value.value.length, nullable: false })
    case 'date':
      return literalExpr(dateOf(value.text, span) / DAY_MS, t.date(false))
    case 'time':
      return timeLiteral(value.text, span)
    case 'timestamp':
      return timestampLiteral(value.text, span)
    case 'interval':
      return intervalLiteral(value, span)
  }
}

/** Exact without an exponent: INT, BIGINT or DECIMAL by the digits; DOUBLE with one. */
function numberLiteral(text: string, span: Span): Expr {
  if (/[eE]/.test(text)) {
    const value = Number(text)
    if (!Number.isFinite(value)) throw invalid(text, 'a DOUBLE of at most 1.7976931348623157E308', span)
    return literalExpr(value, t.double(false))
  }
  const [whole, fraction] = text.split('.')
  if (!fraction) {
    const value = BigInt(whole || '0')
    if (value <= INT_MAX) return literalExpr(Number(value), t.int(false))
    if (value <= BIGINT_MAX) return literalExpr(value, t.bigint(false))
  }
  const precision = Math.max(whole.length + (fraction?.length ?? 0), 1)
  const scale = fraction?.length ?? 0
  const unscaled = BigInt(whole + (fraction ?? ''))
  if (unscaled > BIGINT_MAX)
    throw invalid(
      text,
      `a number whose digits are at most ${BIGINT_MAX}; a longer one is CAST('${text}' AS DECIMAL(${Math.min(precision, 38)}, ${scale}))`,
      span,
    )
  return literalExpr(unscaled, t.decimal(precision, scale, false))
}

const invalid = (text: string, expected: string, span: Span): Error => sqlErrors('SQL_LITERAL_UNREADABLE', { text, expected, span })

/** Epoch ms of the start of a day `yyyy-MM-dd`. */
function dateOf(text: string, span: Span): number {
  const match = /^(\d{4})-(\d{1,2})-(\d{1,2})$/.exec(text.trim())
  if (match !== null) {
    const [year, month, day] = match.slice(1).map(Number)
    const date = new Date(0)
    date.setUTCFullYear(year, month - 1, day)
    if (date.getUTCMonth() === month - 1 && date.getUTCDate() === day) return date.getTime()
  }
  throw invalid(text, "a date like '2026-01-31'", span)
}

/** Milliseconds of the day, and the digits of the fraction as written. */
function timeOf(text: string, expected: string, span: Span): { ms: number; fraction: string } {
  const match = /^(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,9}))?$/.exec(text)
  if (match !== null) {
    const [hour, minute, second] = match.slice(1, 4).map(Number)
    const fraction = match[4] ?? ''
    if (hour < 24 && minute < 60 && second < 60) return { ms: (hour * 3600 + minute * 60 + second) * 1000, fraction }
  }
  throw invalid(text, expected, span)
}
const fractionMs = (fraction: string): number => Number(fraction.padEnd(3, '0').slice(0, 3))

function timeLiteral(text: string, span: Span): Expr {
  const { ms, fraction } = timeOf(text.trim(), "a time like '12:34:56'", span)
  return literalExpr(ms + fractionMs(fraction), t.time(Math.min(fraction.length, 3), false))
}

function timestampLiteral(text: string, span: Span): Expr {
  const expected = "a timestamp like '2026-01-31 12:34:56.789'"
  const [day, time = '00:00:00', ...rest] = text.trim().split(/ +/)
  if (rest.length > 0) throw invalid(text, expected, span)
  const dayMs = dateOf(day, span)
  const { ms, fraction } = timeOf(time, expected, span)
  const type = t.timestamp(fraction.length, false)
  if (fraction.length <= 3) return literalExpr(dayMs + ms + fractionMs(fraction), type)
  return literalExpr(BigInt(dayMs + ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0')), type)
}

function intervalLiteral(value: Extract<LiteralValue, { kind: 'interval' }>, span: Span): Expr {
  const { from, to } = value
  // One of several units, as '1 02:03' DAY TO MINUTE, is no number of any.
  const unit = to === undefined || to === from ? from : undefined
  const written = value.text.trim()
  const sign = (value.negative ? -1 : 1) * (written.startsWith('-') ? -1 : 1)
  const digits = written.replace(/^[+-]/, '')
  const describe = `an interval in ${to ? `${from} TO ${to}` : from}`
  const monthsPerUnit = UNIT_MONTHS[from]
  if (monthsPerUnit !== undefined) {
    const match = (to === 'MONTH' ? /^(\d+)-(\d+)$/ : /^(\d+)$/).exec(digits)
    if (match === null || Number(match[2] ?? 0) > 11) throw invalid(value.text, describe, span)
    checkLeading(match[1], value, span)
    return literalExpr(sign * (Number(match[1]) * monthsPerUnit + Number(match[2] ?? 0)), t.intervalYearMonth(false, unit))
  }
  const ms = to === undefined ? singleUnitMs(digits, from) : rangeMs(digits, from, to)
  if (ms === undefined) throw invalid(value.text, describe, span)
  checkLeading(digits, value, span)
  return literalExpr(sign * ms, t.intervalDayTime(false, unit))
}

/** Two digits unless the unit says more, as in DAY(3). */
function checkLeading(digits: string, { from, precision = 2 }: Extract<LiteralValue, { kind: 'interval' }>, span: Span): void {
  const count = String(Number(/^\d*/.exec(digits)![0])).length
  if (count > precision) throw invalid(digits, `an interval of at most ${precision} digits; write ${from}(${count}) for longer ones`, span)
}

function singleUnitMs(digits: string, unit: TimeUnit): number | undefined {
  const unitMs = UNIT_MS[unit]
  const match = /^(\d+)(?:\.(\d{1,9}))?$/.exec(digits)
  if (unitMs === undefined || match === null || (match[2] !== undefined && unit !== 'SECOND')) return undefined
  return Number(match[1]) * unitMs + fractionMs(match[2] ?? '')
}

/** `1 02:03:04.5` DAY TO SECOND, `02:03` HOUR TO MINUTE, … */
function rangeMs(digits: string, from: TimeUnit, to: TimeUnit): number | undefined {
  const units = TIME_UNITS.slice(TIME_UNITS.indexOf(from), TIME_UNITS.indexOf(to) + 1)
  const pattern = units.map(
    (unit, i) => `${i === 0 ? '' : units[i - 1] === 'DAY' ? ' +' : ':'}(\\d+)${unit === 'SECOND' ? '(?:\\.(\\d{1,9}))?' : ''}`,
  )
  const match = units.length < 2 ? null : new RegExp(`^${pattern.join('')}$`).exec(digits)
  if (match === null || units.some((unit, i) => i > 0 && Number(match[i + 1]) > (unit === 'HOUR' ? 23 : 59))) return undefined
  const whole = units.reduce((sum, unit, i) => sum + Number(match[i + 1]) * UNIT_MS[unit]!, 0)
  return whole + fractionMs(match[units.length + 1] ?? '')
}

/** `-` before a number: the literal itself becomes negative. */
/** The one number that exists only with its sign. */
export const isLeastBigint = ({ operator, operand }: { operator: string; operand: Expression }): boolean =>
  operator === '-' && operand.type === 'literal' && operand.value.kind === 'number' && operand.value.text === String(BIGINT_MAX + 1n)
export const leastBigint = (): Expr => literalExpr(-(2n ** 63n), t.bigint(false))

export function negatedLiteral(expr: Expr): Expr | undefined {
  if (expr.kind !== 'literal') return undefined
  const { value, type } = expr
  if (typeof value === 'number' && isNegatable(type)) return literalExpr(-value, type)
  if (typeof value === 'bigint' && isNegatable(type)) {
    return -value === -(2n ** 31n) && type.kind === 'BIGINT' ? literalExpr(-Number(value), t.int(false)) : literalExpr(-value, type)
  }
  return undefined
}
const isNegatable = (type: SqlType): boolean =>
  ['INT', 'BIGINT', 'DOUBLE', 'DECIMAL', 'INTERVAL_DAY_TIME', 'INTERVAL_YEAR_MONTH'].includes(type.kind)
