// Numbers and their texts, as Java writes and reads them.
import { type JavaDigits, javaDigits } from './floatingDecimal.ts'

/** From 1e-3 to below 1e7 plain, else with E: 1.0E7. */
function javaText(sign: string, found: JavaDigits): string {
  const { exponent } = found
  const digits = found.digits.replace(/0+$/, '')
  if (exponent >= 7 || exponent < -3) return `${sign}${digits[0]}.${digits.slice(1) || '0'}E${exponent}`
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`
  return `${sign}${digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')}.${digits.slice(exponent + 1) || '0'}`
}

/** @source Java's Double.toString */
export const doubleText = (value: number): string => numberText(value, false)
/** @source Java's Float.toString */
export const floatText = (value: number): string => numberText(value, true)

function numberText(value: number, isFloat: boolean): string {
  if (!Number.isFinite(value)) return String(value)
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  const size = Math.abs(value)
  if (size === 0) return `${sign}0.0`
  // Here the shortest text is Java's, too.
  if (!isFloat && size >= 1e-3 && size < 1e7) return Number.isInteger(value) ? `${value}.0` : String(value)
  return javaText(sign, javaDigits(size, isFloat))
}

/** A number as Java's BigDecimal writes it: the digits stay as they are, only the exponent is made plain where it is small. */
export function bigDecimalText(source: string): string {
  const match = /^(-?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(source)!
  const [, sign, whole, fraction = '', exponentText = '0'] = match
  const scale = fraction.length - Number(exponentText)
  const digits = (whole + fraction).replace(/^0+(?=\d)/, '')
  const isZero = /^0+$/.test(digits)
  const front = isZero ? '' : sign
  if (scale === 0) return front + digits
  const exponent = digits.length - 1 - scale
  if (scale > 0 && exponent >= -6) {
    const padded = digits.padStart(scale + 1, '0')
    return `${front}${padded.slice(0, -scale)}.${padded.slice(-scale)}`
  }
  const mantissa = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits
  return `${front}${mantissa}${exponent === 0 ? '' : `E${exponent < 0 ? '' : '+'}${exponent}`}`
}

const integerPattern = /^ *([+-]?)(\d*)(?:\.\d*)? *$/
/** An integer of that many bits; a fraction is cut, and blanks around it, but no tabs and line breaks. Undefined for other text, and out of range. */
export function parseInteger(text: string, bits: number): bigint | undefined {
  const match = integerPattern.exec(text)
  if (match === null) return undefined
  const [whole, sign, digits] = match
  if (digits === '' && !whole.includes('.')) return undefined
  if (digits.length > 40) return undefined
  const size = BigInt(digits === '' ? '0' : digits)
  const value = sign === '-' ? -size : size
  return BigInt.asIntN(bits, value) === value ? value : undefined
}

const hexadecimalPattern = /^([+-]?)0[xX](?:([\da-fA-F]+)\.?|([\da-fA-F]*)\.([\da-fA-F]+))[pP]([+-]?\d+)[dDfF]?$/
/** `0x1.8p3`: Java's hexadecimal floating point, rounded half to even. */
function parseHexadecimal(text: string): number | undefined {
  const match = hexadecimalPattern.exec(text)
  if (match === null) return undefined
  const [, sign, whole = match[3], , fraction = '', power] = match
  let digits = BigInt(`0x0${whole}${fraction}`)
  let exponent = Math.max(-1e9, Math.min(1e9, Number(power))) - 4 * fraction.length
  // No more than 53 bits, and none below the smallest double.
  const excess = Math.max(digits.toString(2).length - 53, -1074 - exponent)
  if (excess > 0) {
    const size = BigInt(Math.min(excess, digits.toString(2).length + 1))
    const half = 1n << (size - 1n)
    const rest = digits & ((1n << size) - 1n)
    digits >>= size
    if (rest > half || (rest === half && (digits & 1n) === 1n)) digits++
    exponent += excess
  }
  const value = digits === 0n ? 0 : Number(digits) * 2 ** exponent
  return sign === '-' ? -value : value
}

const doublePattern = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[dDfF]?$/
export function parseDouble(text: string): number | undefined {
  const trimmed = text.trim()
  if (doublePattern.test(trimmed)) return Number(trimmed.replace(/[dDfF]$/, ''))
  switch (trimmed) {
    case 'NaN':
    case '+NaN':
    case '-NaN':
      return Number.NaN
    case 'Infinity':
    case '+Infinity':
      return Number.POSITIVE_INFINITY
    case '-Infinity':
      return Number.NEGATIVE_INFINITY
    default:
      return parseHexadecimal(trimmed)
  }
}

const INT_MAX = 2_147_483_647
const LONG_MAX = 9_223_372_036_854_775_807n
/** Toward zero, within the range of INT; NaN is 0. */
export const saturatedInt = (value: number): number =>
  value >= INT_MAX ? INT_MAX : value <= -INT_MAX - 1 ? -INT_MAX - 1 : Math.trunc(value) | 0
export function saturatedLong(value: number): bigint {
  if (Number.isNaN(value)) return 0n
  if (value >= 9.223372036854776e18) return LONG_MAX
  if (value <= -9.223372036854776e18) return -LONG_MAX - 1n
  return BigInt(Math.trunc(value))
}
