// Numbers and their texts, as Java writes and reads them.

/** Digits and exponent of a shortest text such as 1.25e-7. */
function scientific(text: string): { sign: string; digits: string; exponent: number } {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(text)!
  const [, sign, whole, fraction = '', exponentText = '0'] = match
  const all = whole + fraction
  const firstDigit = all.search(/[1-9]/)
  const digits = all.slice(firstDigit).replace(/0+$/, '') || '0'
  return { sign, digits, exponent: Number(exponentText) + whole.length - 1 - firstDigit }
}

/** From 1e-3 to below 1e7 plain, else with E: 1.0E7. */
function javaText(shortest: string): string {
  const { sign, digits, exponent } = scientific(shortest)
  if (exponent >= 7 || exponent < -3) return `${sign}${digits[0]}.${digits.slice(1) || '0'}E${exponent}`
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`
  return `${sign}${digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')}.${digits.slice(exponent + 1) || '0'}`
}

/** @source Java's Double.toString */
export function doubleText(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  return javaText(String(value))
}

/** The shortest text that reads back as the same 32-bit float. @source Java's Float.toString */
export function floatText(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  // Below a power of two floats lie twice as dense; Java then asks for a text within a quarter of the distance above it.
  const isPowerOfTwo = Number.isInteger(Math.log2(Math.abs(value)))
  const toleranceMax = isPowerOfTwo ? Math.abs(value) * 2 ** -25 : Number.POSITIVE_INFINITY
  for (let digits = 1; digits < 9; digits++) {
    const text = value.toExponential(digits - 1)
    if (Math.fround(Number(text)) === value && Math.abs(Number(text) - value) <= toleranceMax) return javaText(text)
  }
  return javaText(value.toExponential(8))
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

const integerPattern = /^[ \t\r\n]*([+-]?)(\d*)(?:\.\d*)?[ \t\r\n]*$/
/** An integer of that many bits; a fraction is cut. Undefined for other text, and out of range. */
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
      return undefined
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
