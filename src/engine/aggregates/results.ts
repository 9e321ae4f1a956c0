// Results of aggregates that are made of primitives, as columns.
import { type Arrays, type Column, laneOf, newArrays } from '../../data/index.ts'
import { divideRounded, rescale } from '../expressions/decimal.ts'
import { halves } from '../state/columns.ts'
import type { Cells } from './kernels.ts'
import type { AggregateLayout, Finisher } from './layout.ts'
import { decimalScaleOf, inDecimalRange } from './values.ts'

/** The groups of a result: `groups[0 … count)`, or from … from+count-1. */
export interface GroupRange {
  groups?: Int32Array
  from: number
  count: number
  /** Where the memory of the column comes from; its own unless given. */
  arrays?: Arrays
}

type PrimitiveFinisher = Finisher & { from: 'primitives' }

/** 64-bit integers held in cells. */
const longAt = (words: Int32Array, cell: number): bigint => (BigInt(words[2 * cell + 1]) << 32n) | BigInt(words[2 * cell] >>> 0)

/** The column of one aggregate. */
export function resultColumn(layout: AggregateLayout, finisher: PrimitiveFinisher, cells: Cells, range: GroupRange): Column {
  const { call } = finisher
  if (call.fn === 'COUNT') return countColumn(layout.stride, finisher.countAt, cells.floats, range)
  if (call.fn === 'AVG' && call.type.kind === 'BIGINT' && finisher.value?.arithmetic === 'i64')
    return longAverages(layout, finisher, finisher.value.at, cells, range)
  if (call.fn === 'AVG') return mapped(layout, finisher, cells, range, averageOf(finisher))
  if (finisher.square !== undefined) return mapped(layout, finisher, cells, range, statisticOf(finisher))
  return valueColumn(layout, finisher, cells, range, call.fn.endsWith('SUM0'))
}

/** Counts, which lie in cell `at` of each `stride`. */
export function countColumn(stride: number, at: number, counts: Float64Array, range: GroupRange): Column {
  const { groups, from, count, arrays = newArrays } = range
  const data = arrays.i64(count)
  const words = halves(data)
  for (let i = 0; i < count; i++) writeWhole(words, i, counts[(groups === undefined ? from + i : groups[i]) * stride + at])
  return { lane: 'i64', data }
}

/** A whole number within ± 2^53 as a 64-bit integer. */
function writeWhole(words: Int32Array, i: number, value: number): void {
  words[2 * i] = value
  words[2 * i + 1] = value === (value | 0) ? value >> 31 : Math.floor(value / 4_294_967_296)
}

/** AVG of integers as BIGINT: divided toward zero, as doubles where the sum is exact as one. */
function longAverages(layout: AggregateLayout, { countAt }: PrimitiveFinisher, at: number, cells: Cells, range: GroupRange): Column {
  const { groups, from, count, arrays = newArrays } = range
  const { floats, words } = cells
  const data = arrays.i64(count)
  const nulls = arrays.u8(count)
  const written = halves(data)
  let hasNulls = false
  for (let i = 0; i < count; i++) {
    const base = (groups === undefined ? from + i : groups[i]) * layout.stride
    const n = floats[base + countAt]
    const sum = words[2 * (base + at) + 1] * 4_294_967_296 + (words[2 * (base + at)] >>> 0)
    nulls[i] = n === 0 ? 1 : 0
    if (n === 0) hasNulls = true
    else if (Number.isSafeInteger(sum)) writeWhole(written, i, Math.trunc(sum / n))
    else data[i] = longAt(words, base + at) / BigInt(n)
  }
  return { lane: 'i64', data, nulls: hasNulls ? nulls : undefined }
}

/** SUM, MIN, MAX: what the primitive holds, in the lane of the result; NULL where no value came. */
function valueColumn(layout: AggregateLayout, finisher: PrimitiveFinisher, cells: Cells, range: GroupRange, zeroForNone: boolean): Column {
  const { groups, from, count, arrays = newArrays } = range
  const { stride } = layout
  const { floats, words } = cells
  const value = finisher.value as NonNullable<PrimitiveFinisher['value']>
  const lane = laneOf(finisher.call.type)
  const nulls = arrays.u8(count)
  let hasNulls = false
  for (let i = 0; i < count; i++) {
    const group = groups === undefined ? from + i : groups[i]
    nulls[i] = floats[group * stride + finisher.countAt] === 0 ? 1 : 0
    if (nulls[i] === 1) hasNulls = true
  }
  let column: Column
  if (value.boxed) {
    const boxed = cells.boxed[value.at]
    const zero = finisher.call.type.kind === 'DECIMAL' ? 0n : 0
    const values = new Array<unknown>(count)
    for (let i = 0; i < count; i++) {
      const value = nulls[i] === 1 ? (zeroForNone ? zero : null) : (boxed[groups === undefined ? from + i : groups[i]] ?? null)
      values[i] = value
      nulls[i] = value === null ? 1 : 0
      if (value === null) hasNulls = true
    }
    column = lane === 'i64' ? { lane, data: BigInt64Array.from(values, (v) => (v as bigint | null) ?? 0n) } : { lane: 'any', data: values }
  } else if (value.arithmetic === 'i64') {
    const data = arrays.i64(count)
    const written = halves(data)
    for (let i = 0; i < count; i++) {
      const cell = 2 * ((groups === undefined ? from + i : groups[i]) * stride + value.at)
      written[2 * i] = words[cell]
      written[2 * i + 1] = words[cell + 1]
    }
    column = { lane: 'i64', data }
  } else {
    const data = lane === 'i32' ? arrays.i32(count) : lane === 'u8' ? arrays.u8(count) : arrays.f64(count)
    for (let i = 0; i < count; i++) data[i] = floats[(groups === undefined ? from + i : groups[i]) * stride + value.at]
    column = { lane, data } as Column
  }
  if (hasNulls && !(zeroForNone && !value.boxed)) column.nulls = nulls
  return column
}

/** A column of values computed one by one; `of` gets the group's base cell and its index. */
function mapped(
  layout: AggregateLayout,
  finisher: PrimitiveFinisher,
  cells: Cells,
  { groups, from, count }: GroupRange,
  of: (cells: Cells, base: number, group: number, n: number) => unknown,
): Column {
  const lane = laneOf(finisher.call.type)
  const data =
    lane === 'i32'
      ? new Int32Array(count)
      : lane === 'i64'
        ? new BigInt64Array(count)
        : lane === 'f64'
          ? new Float64Array(count)
          : new Array<unknown>(count)
  let nulls: Uint8Array | undefined
  for (let i = 0; i < count; i++) {
    const group = groups === undefined ? from + i : groups[i]
    const base = group * layout.stride
    const n = cells.floats[base + finisher.countAt]
    const value = n === 0 ? null : of(cells, base, group, n)
    if (value === null) {
      nulls ??= new Uint8Array(count)
      nulls[i] = 1
      if (lane === 'any') (data as unknown[])[i] = null
    } else (data as unknown[])[i] = value
  }
  return { lane: lane === 'any' ? 'any' : lane, data, nulls } as Column
}

/** Integers are divided toward zero, decimals rounded half up, FLOAT is rounded once at the end. */
function averageOf({ call, value }: PrimitiveFinisher) {
  const { at, arithmetic } = value as NonNullable<PrimitiveFinisher['value']>
  const { type, argTypes } = call
  if (arithmetic === 'decimal') {
    const factor = decimalScaleOf(type) - decimalScaleOf(argTypes[0])
    return ({ boxed }: Cells, _base: number, group: number, n: number) => {
      const sum = boxed[at][group] as bigint | null | undefined
      return sum === null || sum === undefined ? null : inDecimalRange(divideRounded(rescale(sum, 0, factor), BigInt(n)))
    }
  }
  if (arithmetic === 'i64')
    return ({ words }: Cells, base: number, _group: number, n: number) => {
      const quotient = longAt(words, base + at) / BigInt(n)
      switch (type.kind) {
        case 'BIGINT':
          return quotient
        case 'INT':
          return Number(BigInt.asIntN(32, quotient))
        case 'SMALLINT':
          return Number(BigInt.asIntN(16, quotient))
        case 'TINYINT':
          return Number(BigInt.asIntN(8, quotient))
        default:
          return Number(quotient)
      }
    }
  const isFloat = type.kind === 'FLOAT'
  return ({ floats }: Cells, base: number, _group: number, n: number) => {
    const mean = (floats[base + at] + 0) / n
    return isFloat ? Math.fround(mean) : mean
  }
}

/**
 * STDDEV and VAR as Flink's planner writes them: (SUM(x*x) - SUM(x)*SUM(x)/n) / (n or n-1), each step in the type of the argument,
 * then POWER(…, 0.5).
 */
function statisticOf({ call, value, square }: PrimitiveFinisher) {
  const sumAt = (value as NonNullable<PrimitiveFinisher['value']>).at
  const { at: squareAt, arithmetic, boxed: isBoxed } = square as NonNullable<PrimitiveFinisher['square']>
  const isSample = !call.fn.endsWith('POP')
  const isDeviation = call.fn.startsWith('STDDEV')
  const denominatorOf = (n: number): number => (isSample ? n - 1 : n)
  const { type } = call
  if (arithmetic === 'decimal') {
    const scale = decimalScaleOf(type)
    // A product of two DECIMAL(38, scale ≥ 6) has 6 digits, and so have its quotients.
    return ({ boxed }: Cells, _base: number, group: number, n: number) => {
      const denominator = denominatorOf(n)
      if (denominator === 0) return null
      const sum = (boxed[sumAt][group] as bigint | undefined) ?? 0n
      const squares = rescale((boxed[squareAt][group] as bigint | undefined) ?? 0n, 2 * scale, 6)
      const mean = divideRounded(rescale(sum * sum, 2 * scale, 6), BigInt(n))
      const variance = divideRounded(squares - mean, BigInt(denominator))
      if (!isDeviation) return inDecimalRange(rescale(variance, 6, scale))
      const root = Math.sqrt(Number(variance) / 1e6)
      return Number.isNaN(root) ? null : inDecimalRange(decimalOf(root, scale))
    }
  }
  if (isBoxed || arithmetic === 'i64')
    return ({ boxed, words }: Cells, base: number, group: number, n: number) => {
      const denominator = denominatorOf(n)
      if (denominator === 0) return null
      const sum = longAt(words, base + sumAt)
      const squares = boxed[squareAt][group] as bigint
      const variance = BigInt.asIntN(64, squares - BigInt.asIntN(64, sum * sum) / BigInt(n)) / BigInt(denominator)
      return isDeviation ? BigInt(Math.trunc(Math.sqrt(Number(variance)) || 0)) : variance
    }
  if (arithmetic === 'f64' || arithmetic === 'f32') {
    const round = arithmetic === 'f32' ? Math.fround : (x: number) => x
    return ({ floats }: Cells, base: number, _group: number, n: number) => {
      const denominator = denominatorOf(n)
      if (denominator === 0) return null
      const sum = floats[base + sumAt]
      const variance = round(round(floats[base + squareAt] - round(round(sum * sum) / n)) / denominator)
      return isDeviation ? round(Math.sqrt(variance)) : variance
    }
  }
  // The product and SUMs wrap in the argument's type; dividing by a count makes a BIGINT.
  const bits = arithmetic === 'i8' ? 24 : arithmetic === 'i16' ? 16 : 0
  return ({ floats }: Cells, base: number, _group: number, n: number) => {
    const denominator = denominatorOf(n)
    if (denominator === 0) return null
    const sum = floats[base + sumAt]
    const product = (Math.imul(sum, sum) << bits) >> bits
    const variance = Math.trunc((floats[base + squareAt] - Math.trunc(product / n)) / denominator)
    const result = isDeviation ? Math.trunc(Math.sqrt(variance)) || 0 : variance
    return (result << bits) >> bits
  }
}

/** A double as unscaled decimal, from its shortest digits. */
function decimalOf(value: number, scale: number): bigint {
  const [digits, exponentText = '0'] = value.toExponential().split('e')
  const [whole, fraction = ''] = digits.split('.')
  const exponent = Number(exponentText) - fraction.length
  return exponent >= -scale
    ? BigInt(whole + fraction) * 10n ** BigInt(exponent + scale)
    : divideRounded(BigInt(whole + fraction), 10n ** BigInt(-exponent - scale))
}
