// DECIMAL as an unscaled bigint: exact, rounded HALF_UP (away from zero), null beyond its digits.
//
// @source Java's BigDecimal as Flink uses it: a quotient has 38 significant digits before it is brought to the result's scale.
import { decimalText, type SqlType } from '../../data/index.ts'
import { divisionByZero } from './errors.ts'

export type DecimalType = Extract<SqlType, { kind: 'DECIMAL' }>

const powers: bigint[] = [1n]
export function powerOfTen(exponent: number): bigint {
  for (let i = powers.length; i <= exponent; i++) powers.push(powers[i - 1] * 10n)
  return powers[exponent]
}

/** `dividend / divisor`, rounded HALF_UP. */
export function divideRounded(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor
  const remainder = dividend % divisor
  if (remainder === 0n) return quotient
  const twice = (remainder < 0n ? -remainder : remainder) * 2n
  const positive = divisor < 0n ? -divisor : divisor
  if (twice < positive) return quotient
  return dividend < 0n === divisor < 0n ? quotient + 1n : quotient - 1n
}

/** Brings an unscaled value from one scale to another. */
export function rescale(value: bigint, from: number, to: number): bigint {
  if (to === from) return value
  return to > from ? value * powerOfTen(to - from) : divideRounded(value, powerOfTen(from - to))
}

/** From a scale to a DECIMAL type; null where it does not fit. */
export function fitDecimal(scale: number, type: DecimalType): (value: bigint) => bigint | null {
  const limit = powerOfTen(type.precision)
  return (value) => {
    const scaled = rescale(value, scale, type.scale)
    return scaled < limit && scaled > -limit ? scaled : null
  }
}

/** Decimal digits of a whole number, sign aside. */
const digitCount = (value: bigint): number => (value < 0n ? -value : value).toString().length
const QUOTIENT_DIGITS = 38

export function decimalDivide(left: DecimalType, right: DecimalType, type: DecimalType): (a: bigint, b: bigint) => bigint | null {
  return (a, b) => {
    if (b === 0n) return divisionByZero()
    if (a === 0n) return 0n
    // Scale so that the quotient has at least 38 digits, then keep 38 of them, rounded.
    const shift = Math.max(0, QUOTIENT_DIGITS + digitCount(b) - digitCount(a) + 1)
    const dividend = a * powerOfTen(shift)
    let scale = left.scale - right.scale + shift
    let quotient = dividend / b
    const surplus = digitCount(quotient) - QUOTIENT_DIGITS
    // Rounded in one step from the exact quotient.
    quotient = surplus > 0 ? divideRounded(dividend, b * powerOfTen(surplus)) : divideRounded(dividend, b)
    if (surplus > 0) scale -= surplus
    const scaled = scale >= 0 ? rescale(quotient, scale, type.scale) : quotient * powerOfTen(type.scale - scale)
    const limit = powerOfTen(type.precision)
    return scaled < limit && scaled > -limit ? scaled : null
  }
}

export function decimalModulo(left: DecimalType, right: DecimalType, type: DecimalType): (a: bigint, b: bigint) => bigint | null {
  const scale = Math.max(left.scale, right.scale)
  const fit = fitDecimal(scale, type)
  return (a, b) => (b === 0n ? divisionByZero() : fit(rescale(a, left.scale, scale) % rescale(b, right.scale, scale)))
}

const decimalPattern = /^\s*([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?\s*$/
/** Beyond this many digits a text is no number that any type holds. */
const EXPONENT_MAX = 400

/**
 * A number's text as an unscaled value at its own scale.
 *
 * @returns undefined where it is no number
 */
export function parseDecimal(text: string): { value: bigint; scale: number } | undefined {
  const match = decimalPattern.exec(text)
  if (match === null) return undefined
  const [, sign, whole, fraction = '', exponentText = '0'] = match
  const exponent = Number(exponentText)
  if ((whole === '' && fraction === '') || Math.abs(exponent) > EXPONENT_MAX) return undefined
  let value = BigInt(`${whole}${fraction}`)
  let scale = fraction.length - exponent
  if (scale < 0) {
    value *= powerOfTen(-scale)
    scale = 0
  }
  return { value: sign === '-' ? -value : value, scale }
}

/** A DOUBLE's shortest text, as a decimal; null for NaN and infinities, and where it does not fit. */
export function decimalOfDouble(value: number, type: DecimalType): bigint | null {
  const parsed = parseDecimal(String(value))
  return parsed === undefined ? null : fitDecimal(parsed.scale, type)(parsed.value)
}

/** Nearest DOUBLE. */
export const doubleOfDecimal = (value: bigint, scale: number): number => (scale === 0 ? Number(value) : Number(decimalText(value, scale)))
