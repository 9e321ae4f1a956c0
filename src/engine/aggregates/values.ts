// Arithmetic and order on single values that do not fit a 64-bit lane: decimals, text, and what kernels call for them.
import type { SqlType } from '../../data/index.ts'

const decimalLimit = 10n ** 38n

/** A DECIMAL of up to 38 digits, or null where it has more. */
export const inDecimalRange = (value: bigint): bigint | null => (value < decimalLimit && value > -decimalLimit ? value : null)

/**
 * Order of text by code points, which is the order of its UTF-8 bytes; JS compares UTF-16 units, which differ above U+E000.
 *
 * @source Flink's BinaryStringData.compareTo compares bytes
 */
export function compareText(left: string, right: string): number {
  const length = Math.min(left.length, right.length)
  for (let i = 0; i < length; i++) {
    const a = left.charCodeAt(i)
    const b = right.charCodeAt(i)
    if (a === b) continue
    // Surrogates stand for code points above all others.
    const aHigh = a >= 0xd800 && a <= 0xdfff
    const bHigh = b >= 0xd800 && b <= 0xdfff
    return aHigh === bHigh ? a - b : aHigh ? 1 : -1
  }
  return left.length - right.length
}

/**
 * Order of two values that are not NULL, as ORDER BY, Top-N and retractable MIN and MAX see them: NaN is the greatest number, -0.0 is below 0.0.
 *
 * @source Java's Double.compare, which Flink's generated comparators use
 */
export function compareValues(left: unknown, right: unknown): number {
  switch (typeof left) {
    case 'number': {
      const other = right as number
      if (left < other) return -1
      if (left > other) return 1
      if (left === other) return left === 0 ? Number(Object.is(other, -0)) - Number(Object.is(left, -0)) : 0
      return Number(Number.isNaN(left)) - Number(Number.isNaN(other))
    }
    case 'bigint':
      return left < (right as bigint) ? -1 : left > (right as bigint) ? 1 : 0
    case 'string':
      return compareText(left, right as string)
    case 'boolean':
      return Number(left) - Number(right)
    default:
      return compareCompound(left, right)
  }
}

function compareCompound(left: unknown, right: unknown): number {
  if (left instanceof Uint8Array) return Buffer.compare(left, right as Uint8Array)
  if (!Array.isArray(left)) return 0
  const other = right as unknown[]
  for (let i = 0; i < left.length && i < other.length; i++) {
    const order =
      left[i] === null || other[i] === null ? Number(left[i] !== null) - Number(other[i] !== null) : compareValues(left[i], other[i])
    if (order !== 0) return order
  }
  return left.length - other.length
}

/** What generated loops call for boxed accumulators. `undefined` is an accumulator without a value yet. */
export const boxedOperations = {
  /** Overflow gives "no value", from which the next row starts again, as Flink's SUM does. */
  sumDecimal: (sum: bigint | undefined, value: bigint): bigint | undefined =>
    sum === undefined ? value : (inDecimalRange(sum + value) ?? undefined),
  /** With retractions an overflow stays: null. */
  sumDecimalRetracting: (sum: bigint | null | undefined, value: bigint, sign: number): bigint | null =>
    sum === null ? null : inDecimalRange((sum ?? 0n) + (sign < 0 ? -value : value)),
  /** Squares of BIGINT wrap. */
  sumSquareLong: (sum: bigint | undefined, value: bigint, sign: number): bigint => {
    const square = BigInt.asIntN(64, value * value)
    return BigInt.asIntN(64, (sum ?? 0n) + (sign < 0 ? -square : square))
  },
  sumBig: (sum: bigint | undefined, value: bigint, sign: number): bigint => (sum ?? 0n) + (sign < 0 ? -value : value),
  min: (least: unknown, value: unknown): unknown => (least === undefined || compareValues(value, least) < 0 ? value : least),
  max: (greatest: unknown, value: unknown): unknown => (greatest === undefined || compareValues(value, greatest) > 0 ? value : greatest),
}

export const decimalScaleOf = (type: SqlType): number => (type.kind === 'DECIMAL' ? type.scale : 0)
