// Mathematical functions.
import { randomUUID } from 'node:crypto'
import type { SqlType } from '../../data/index.ts'
import { isApproximateKind } from '../../data/index.ts'
import { compareValues } from './compare.ts'
import { divideRounded, parseDecimal, powerOfTen } from './decimal.ts'
import { expressionErrors } from './errors.ts'
import type { CallContext, FunctionTable, RowFunction } from './registry.ts'
import { plain, strict } from './registry.ts'

type Rounding = (value: bigint, unit: bigint) => bigint
const halfUp: Rounding = divideRounded
const down: Rounding = (value, unit) => value / unit
/** Digits beyond these change no number. */
const ROUND_DIGITS_MAX = 400

/** ROUND and TRUNCATE: to digits after the point, or before it where negative. */
function rounded(round: Rounding): (context: CallContext) => RowFunction {
  return ({ argTypes: [type], type: resultType }) => {
    if (type.kind === 'DECIMAL') {
      const { scale } = resultType as Extract<SqlType, { kind: 'DECIMAL' }>
      return (value: bigint, digits = 0) => {
        if (digits >= type.scale) return value * powerOfTen(scale - type.scale)
        const kept = Math.max(digits, -ROUND_DIGITS_MAX)
        // In units of the last digit that is kept, then to the result's scale.
        const units = round(value, powerOfTen(type.scale - kept))
        return scale >= kept ? units * powerOfTen(scale - kept) : units
      }
    }
    if (isApproximateKind(type.kind)) {
      const toType = type.kind === 'FLOAT' ? Math.fround : (value: number) => value
      return (value: number, digits = 0) => toType(roundDouble(value, digits, round))
    }
    if (type.kind === 'BIGINT') {
      return (value: bigint, digits = 0) => {
        if (digits >= 0) return value
        const unit = powerOfTen(Math.min(-digits, ROUND_DIGITS_MAX))
        return BigInt.asIntN(64, round(value, unit) * unit)
      }
    }
    const bits = type.kind === 'TINYINT' ? 8 : type.kind === 'SMALLINT' ? 16 : 32
    return (value: number, digits = 0) => {
      if (digits >= 0) return value
      const unit = powerOfTen(Math.min(-digits, ROUND_DIGITS_MAX))
      return Number(BigInt.asIntN(bits, round(BigInt(value), unit) * unit))
    }
  }
}

/** By the number's shortest text, as BigDecimal.valueOf does: 1234.565 is exactly that. */
function roundDouble(value: number, digits: number, round: Rounding): number {
  if (!Number.isFinite(value) || Number.isInteger(value) && digits >= 0) return value // biome-ignore format: one thought
  const parsed = parseDecimal(String(value))!
  if (digits >= parsed.scale) return value
  const kept = Math.max(digits, -ROUND_DIGITS_MAX)
  const units = round(parsed.value, powerOfTen(parsed.scale - kept))
  return Number(`${units}e${-kept}`)
}

function sign(type: SqlType): RowFunction {
  if (type.kind === 'DECIMAL') {
    const unit = powerOfTen(type.scale)
    return (value: bigint) => (value > 0n ? unit : value < 0n ? -unit : 0n)
  }
  if (type.kind === 'BIGINT') return (value: bigint) => (value > 0n ? 1n : value < 0n ? -1n : 0n)
  return Math.sign
}

function absolute(type: SqlType): RowFunction {
  switch (type.kind) {
    case 'DECIMAL':
      return (value: bigint) => (value < 0n ? -value : value)
    case 'BIGINT':
      return (value: bigint) => BigInt.asIntN(64, value < 0n ? -value : value)
    case 'TINYINT':
      return (value: number) => (Math.abs(value) << 24) >> 24
    case 'SMALLINT':
      return (value: number) => (Math.abs(value) << 16) >> 16
    case 'INT':
      return (value: number) => Math.abs(value) | 0
    default:
      return Math.abs
  }
}

/** CEIL and FLOOR of numbers; of dates and times see temporal.ts. */
export function wholeNumber(up: boolean, type: SqlType): RowFunction {
  if (type.kind === 'DECIMAL') {
    const unit = powerOfTen(type.scale)
    return (value: bigint) => {
      const cut = value / unit
      const rest = value - cut * unit
      return rest === 0n || rest > 0n !== up ? cut : up ? cut + 1n : cut - 1n
    }
  }
  if (isApproximateKind(type.kind)) return up ? Math.ceil : Math.floor
  return (value) => value
}

/** @source java.util.Random: a seeded sequence gives the same numbers as in Flink */
class JavaRandom {
  private state: bigint
  constructor(seed: bigint) {
    this.state = (seed ^ 0x5deece66dn) & ((1n << 48n) - 1n)
  }
  private next(bits: bigint): bigint {
    this.state = (this.state * 0x5deece66dn + 0xbn) & ((1n << 48n) - 1n)
    return BigInt.asIntN(32, this.state >> (48n - bits))
  }
  nextDouble(): number {
    return Number((this.next(26n) << 27n) + this.next(27n)) * 2 ** -53
  }
  nextInt(bound: number): number {
    const size = BigInt(bound)
    if ((size & -size) === size) return Number((size * this.next(31n)) >> 31n)
    for (;;) {
      const bits = this.next(31n)
      const value = bits % size
      if (bits - value + (size - 1n) < 1n << 31n) return Number(value)
    }
  }
}

function checkBound(bound: number): number {
  if (bound > 0) return bound
  throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn: 'RAND_INTEGER', reason: 'the bound must be positive' })
}
/** One sequence for each seed of a call. */
function seeded(): (seed: number) => JavaRandom {
  const sequences = new Map<number, JavaRandom>()
  return (seed) => {
    let sequence = sequences.get(seed)
    if (sequence === undefined) sequences.set(seed, (sequence = new JavaRandom(BigInt(seed))))
    return sequence
  }
}

/** Version 4, from the given source of randomness; without one, from the system's. */
function uuid(random: () => number): () => string {
  if (random === Math.random) return randomUUID
  return () => {
    const hex = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16))
    hex[12] = '4'
    hex[16] = '89ab'[Math.floor(random() * 4)]
    const text = hex.join('')
    return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join('-')
  }
}

/** GREATEST and LEAST: NULL if one is NULL. */
function extreme(wanted: 1 | -1): (context: CallContext) => RowFunction {
  return ({ type }) => {
    const compare = compareValues(type)
    return (...values) => values.reduce((best, value) => (Math.sign(compare(value, best)) === wanted ? value : best))
  }
}

const doubles: Record<string, (value: number) => number> = {
  SQRT: Math.sqrt,
  EXP: Math.exp,
  LN: Math.log,
  LOG10: Math.log10,
  LOG2: Math.log2,
  SIN: Math.sin,
  COS: Math.cos,
  TAN: Math.tan,
  COT: (value) => 1 / Math.tan(value),
  ASIN: Math.asin,
  ACOS: Math.acos,
  ATAN: Math.atan,
  SINH: Math.sinh,
  COSH: Math.cosh,
  TANH: Math.tanh,
  DEGREES: (value) => (value * 180) / Math.PI,
  RADIANS: (value) => (value / 180) * Math.PI,
}

export const mathFunctions: FunctionTable = {
  ...Object.fromEntries(Object.entries(doubles).map(([name, fn]) => [name, plain(fn)])),
  POWER: plain((base: number, exponent: number) => base ** exponent),
  ATAN2: plain(Math.atan2),
  LOG: plain((a: number, b?: number) => (b === undefined ? Math.log(a) : Math.log(b) / Math.log(a))),
  ABS: strict(({ argTypes }) => absolute(argTypes[0])),
  SIGN: strict(({ argTypes }) => sign(argTypes[0])),
  ROUND: strict(rounded(halfUp)),
  TRUNCATE: strict(rounded(down)),
  PI: plain(() => Math.PI),
  E: plain(() => Math.E),
  RAND: strict(({ random }) => {
    const sequenceOf = seeded()
    return (seed?: number) => (seed === undefined ? random() : sequenceOf(seed).nextDouble())
  }),
  RAND_INTEGER: strict(({ random }) => {
    const sequenceOf = seeded()
    return (a: number, b?: number) => (b === undefined ? Math.floor(random() * checkBound(a)) : sequenceOf(a).nextInt(checkBound(b)))
  }),
  UUID: strict(({ random }) => uuid(random)),
  GREATEST: strict(extreme(1)),
  LEAST: strict(extreme(-1)),
}
