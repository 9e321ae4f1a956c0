// The digits that Java 17 writes for a float or a double, which are not always the shortest ones: 2.0E23 is 1.9999999999999998E23,
// and a float of 123456789 is 1.23456792E8.
//
// @source OpenJDK 17's jdk.internal.math.FloatingDecimal.BinaryToASCIIBuffer.dtoa; later releases write the shortest digits
const FRACTION_BITS = 52
const INTEGER_EXPONENT_MAX = 62
/** How many digits of a whole number mean nothing, by the power of two of its last bit. */
const digitsOfPow2 = (power: number): number => Math.floor(power * Math.log10(2))

/** Sign, digits from the first that is not 0, and the exponent of ten of that first digit. */
export interface JavaDigits {
  digits: string
  exponent: number
}

/** @param value  above 0 and finite. @param isFloat  it is a 32-bit float */
export function javaDigits(value: number, isFloat: boolean): JavaDigits {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  const bits = view.getBigUint64(0)
  const exponentBits = Number(bits >> 52n) & 0x7ff
  let fraction = bits & 0xfffffffffffffn
  let binExponent = exponentBits - 1023
  if (exponentBits > 0) fraction |= 1n << 52n
  else {
    const shift = FRACTION_BITS + 1 - fraction.toString(2).length
    fraction <<= BigInt(shift)
    binExponent = -1022 - shift
  }
  // A float's bits below its smallest normal number are fewer.
  const significantBits = isFloat ? Math.min(24, binExponent + 150) : exponentBits > 0 ? 53 : binExponent + 1075
  const tailZeros = trailingZeros(fraction)
  const usedBits = FRACTION_BITS + 1 - tailZeros
  const tinyBits = Math.max(0, usedBits - binExponent - 1)
  if (tinyBits === 0 && binExponent <= INTEGER_EXPONENT_MAX) return wholeDigits(value, Math.max(0, binExponent - significantBits - 1))
  // value = b / s, and half of the distance to the next one is m / s.
  const exponent = Math.floor((Number(fraction) / 2 ** FRACTION_BITS - 1.5) * 0.289529654 + 0.176091259 + binExponent * 0.301029995663981)
  const fives = 5n ** BigInt(Math.max(0, -exponent))
  let twosOfB = Math.max(0, -exponent) + tinyBits + binExponent
  let twosOfS = Math.max(0, exponent) + tinyBits
  let twosOfM = twosOfB - significantBits
  twosOfB -= usedBits - 1
  const common = Math.min(twosOfB, twosOfS)
  twosOfB -= common
  twosOfS -= common
  twosOfM -= common
  if (usedBits === 1) twosOfM -= 1
  if (twosOfM < 0) {
    twosOfB -= twosOfM
    twosOfS -= twosOfM
    twosOfM = 0
  }
  let rest = ((fraction >> BigInt(tailZeros)) * fives) << BigInt(twosOfB)
  const unit = (5n ** BigInt(Math.max(0, exponent))) << BigInt(twosOfS)
  let half = fives << BigInt(twosOfM)
  const ten = unit * 10n
  // Java's long arithmetic takes the upper bound as outside, its big numbers take it as inside. Which it uses, it says by an estimate.
  const isBig = usedBits + twosOfB + bitsOfPow5(Math.max(0, -exponent)) >= 64 || twosOfS + 1 + bitsOfPow5(Math.max(0, exponent) + 1) >= 64
  let digits = ''
  let first = exponent
  let low: boolean
  let high: boolean
  const step = (): number => {
    const digit = Number(rest / unit)
    rest = 10n * (rest % unit)
    half *= 10n
    low = rest < half
    high = isBig ? rest + half >= ten : rest + half > ten
    return digit
  }
  const digit = step()
  if (digit === 0 && !high!) first--
  else digits += digit
  // A text with an exponent always has a second digit, even where one would do.
  if (first < -3 || first >= 8) low = high = false
  while (!low! && !high!) digits += step()
  const isUp = high! && (!low! || compareTwice(rest, ten, digits))
  return isUp ? roundedUp(digits, first) : { digits, exponent: first }
}

const bitsOfPow5 = (power: number): number => (power < 27 ? Math.ceil(power * Math.log2(5)) : power * 3)

function trailingZeros(value: bigint): number {
  let zeros = 0
  while (((value >> BigInt(zeros)) & 1n) === 0n) zeros++
  return zeros
}

/** Both neighbours fit: the nearer one, and of two equally near the one with an even digit. */
function compareTwice(rest: bigint, ten: bigint, digits: string): boolean {
  const twice = rest * 2n
  return twice === ten ? Number(digits.at(-1)) % 2 === 1 : twice > ten
}

function roundedUp(digits: string, exponent: number): JavaDigits {
  const up = String(BigInt(digits) + 1n)
  return { digits: up, exponent: exponent + up.length - digits.length }
}

function wholeDigits(value: number, lastBit: number): JavaDigits {
  let whole = BigInt(value)
  const dropped = digitsOfPow2(lastBit)
  if (dropped > 0) {
    const unit = 10n ** BigInt(dropped)
    whole = (whole + unit / 2n) / unit
  }
  const digits = String(whole)
  return { digits, exponent: digits.length - 1 + dropped }
}
