// + - * / % and unary minus as inline code: integers wrap, FLOAT is rounded, DECIMAL is exact and NULL beyond its digits.
import type { SqlType } from '../../data/index.ts'
import type { Expr } from '../../sql/index.ts'
import type { KernelBuilder, Value } from './codegen.ts'
import { longOf, repOf } from './codegen.ts'
import { decimalDivide, decimalModulo, fitDecimal, powerOfTen } from './decimal.ts'
import type { EmitContext } from './emit.ts'
import { emit, strictCall } from './emit.ts'
import { divisionByZero } from './errors.ts'
import { magnitudeOf } from './magnitude.ts'

type Call = Extract<Expr, { kind: 'call' }>
type DecimalType = Extract<SqlType, { kind: 'DECIMAL' }>
type Operator = 'PLUS' | 'MINUS' | 'TIMES' | 'DIVIDE' | 'MOD'

/** Brings an integer of the type's width back into its range, as two's complement does. */
function wrapped(type: SqlType, code: string): string {
  switch (type.kind) {
    case 'TINYINT':
      return `(${code} << 24 >> 24)`
    case 'SMALLINT':
      return `(${code} << 16 >> 16)`
    case 'BIGINT':
      return `BigInt.asIntN(64, ${code})`
    case 'FLOAT':
      return `Math.fround(${code})`
    case 'INT':
    case 'INTERVAL_YEAR_MONTH':
      return `(${code} | 0)`
    default:
      return `(${code})`
  }
}

const signs: Record<Operator, string> = { PLUS: '+', MINUS: '-', TIMES: '*', DIVIDE: '/', MOD: '%' }

export function emitArithmetic(expr: Call, context: EmitContext): Value {
  const { type } = expr
  const rep = repOf(type)
  if (expr.fn === 'UNARY_MINUS') return emitMinus(expr, context)
  const operator = expr.fn as Operator
  if (type.kind === 'DECIMAL') return emitDecimal(operator, expr, type, context)
  const { builder } = context
  const [a, right] = expr.args.map((arg) => emit(arg, context))
  let b = right
  const integer = rep === 'bigint' || type.kind === 'TINYINT' || type.kind === 'SMALLINT' || type.kind === 'INT'
  if (integer && (operator === 'DIVIDE' || operator === 'MOD')) {
    const small = rep === 'bigint' && operator === 'MOD' ? emitSmallModulo(expr, a, context) : undefined
    if (small !== undefined) return small
    const [, divisor] = expr.args
    const zero = rep === 'bigint' ? '0n' : '0'
    const surelyNotZero = divisor.kind === 'literal' && divisor.value !== null && Number(divisor.value) !== 0
    if (!surelyNotZero && b.isNull !== 'true') b = builder.once(b)
    const stop = surelyNotZero ? '' : `${b.code} === ${zero} ? ${builder.import(divisionByZero)}() : `
    return strictCall([a, b], rep, false, surelyNotZero, context, ([x, y]) => `(${stop}${wrapped(type, `${x} ${signs[operator]} ${y}`)})`)
  }
  if (operator === 'TIMES' && type.kind === 'INT') {
    return strictCall([a, b], rep, false, true, context, ([x, y]) => `Math.imul(${x}, ${y})`)
  }
  return strictCall([a, b], rep, false, true, context, ([x, y]) => wrapped(type, `${x} ${signs[operator]} ${y}`))
}

const HALF = 2 ** 32
/** The high half of integers that are exact as doubles. */
const EXACT_HIGH = 2 ** 21

/** Rest of the 64-bit integer at `row`, by its halves, divided by a number of at most 31 bits; its sign is the dividend's. */
function smallModulo(words: Int32Array, row: number, by: number): number {
  const [low, high] = [words[2 * row], words[2 * row + 1]]
  if (high === low >> 31) return (low % by) | 0
  if (high < -EXACT_HIGH || high >= EXACT_HIGH) return Number(((BigInt(high) << 32n) | BigInt(low >>> 0)) % BigInt(by))
  const value = high * HALF + (low >>> 0)
  // Below 2^53 the quotient is never rounded to a whole number that it does not reach.
  return value - Math.trunc(value / by) * by
}

/** MOD of a BIGINT by a literal of 32 bits, without a BigInt; undefined where it is not of that form. */
function emitSmallModulo(expr: Call, dividend: Value, { builder }: EmitContext): Value | undefined {
  const [left, divisor] = expr.args
  const by = divisor.kind === 'literal' && divisor.value !== null ? Number(divisor.value) : 0
  if (by === 0 || Math.abs(by) > 0x7fffffff) return undefined
  const rest = (code: string): Value => longOf({ code, isNull: dividend.isNull, safe: true, rep: 'number' })
  if (dividend.integer !== undefined && dividend.safe) return rest(`(${dividend.integer} % ${builder.constant(by)} | 0)`)
  if (left.kind !== 'column' || builder.shapes[left.index].lane !== 'i64') return undefined
  return rest(`${builder.import(smallModulo)}(${builder.words(left.index)}, row, ${builder.constant(by)})`)
}

function emitMinus(expr: Call, context: EmitContext): Value {
  const value = emit(expr.args[0], context)
  const { type } = expr
  const rep = repOf(type)
  // 0 - x instead of -x where -0 must not appear.
  const negated = (x: string) => (type.kind === 'INTERVAL_DAY_TIME' ? `(0 - ${x})` : wrapped(type, `-${x}`))
  return strictCall([value], rep, false, true, context, ([x]) => negated(x))
}

/** Whether a decimal of more than 18 digits is sure to fit into 64 bits here, with all steps that lead to it. */
export const isNarrowDecimal = (expr: Expr, { builder, narrow }: EmitContext): boolean =>
  narrow && expr.type.kind === 'DECIMAL' && magnitudeOf(expr, builder.shapes) !== undefined

/** A 64-bit number with more digits behind its point: the hint makes it a 64-bit multiplication. */
export const scaledLong = (code: string, shift: number, builder: KernelBuilder): string =>
  shift === 0 ? code : `BigInt.asIntN(64, ${code} * ${builder.constant(powerOfTen(shift))})`

function emitDecimal(operator: Operator, expr: Call, type: DecimalType, context: EmitContext): Value {
  const { builder } = context
  const [left, right] = expr.args.map((arg) => arg.type as DecimalType)
  const args = expr.args.map((arg) => emit(arg, context))
  const call = (fn: unknown, mayBeNull: boolean) => {
    const name = builder.import(fn)
    return strictCall(args, 'bigint', mayBeNull, false, context, ([x, y]) => `${name}(${x}, ${y})`)
  }
  if (operator === 'DIVIDE') return call(decimalDivide(left, right, type), true)
  if (operator === 'MOD') return call(decimalModulo(left, right, type), true)
  const exactScale = operator === 'TIMES' ? left.scale + right.scale : Math.max(left.scale, right.scale)
  const scaled = (code: string, scale: number) =>
    operator === 'TIMES' || scale === exactScale ? code : `${code} * ${builder.constant(powerOfTen(exactScale - scale))}`
  const exact = (x: string, y: string) => `${scaled(x, left.scale)} ${signs[operator]} ${scaled(y, right.scale)}`
  if (isNarrowDecimal(expr, context))
    return strictCall(args, 'bigint', false, true, context, ([x, y]) => `BigInt.asIntN(64, ${exact(x, y)})`)
  const wholeDigits = decimalWholeDigits(operator, left, right)
  if (exactScale === type.scale && wholeDigits + exactScale <= type.precision) {
    // Fits surely. Up to 18 digits the hint makes it a 64-bit addition.
    const hint = (code: string) => (type.precision <= 18 ? `BigInt.asIntN(64, ${code})` : `(${code})`)
    return strictCall(args, 'bigint', false, true, context, ([x, y]) => hint(exact(x, y)))
  }
  const fit = builder.import(fitDecimal(exactScale, type))
  return strictCall(args, 'bigint', true, false, context, ([x, y]) => `${fit}(${exact(x, y)})`)
}

/** Digits before the point that the exact result can have. */
function decimalWholeDigits(operator: Operator, left: DecimalType, right: DecimalType): number {
  const whole = (type: DecimalType) => type.precision - type.scale
  return operator === 'TIMES' ? whole(left) + whole(right) : Math.max(whole(left), whole(right)) + 1
}
