// How large exact numbers can get: what decides whether DECIMAL arithmetic beyond 18 digits can be done in 64 bits.
//
// The type DECIMAL(24, 3) of 0.908 * price says 24 digits; the prices of a batch say much less. A batch whose 64-bit columns are all
// below NARROW_LIMIT is computed by a kernel of its own, without BigInts on the heap; any other batch by the one that is always right.
import type { Batch, Column, SqlType } from '../../data/index.ts'
import type { Expr } from '../../sql/index.ts'
import { halves } from '../state/columns.ts'
import type { ColumnShape } from './codegen.ts'
import { powerOfTen } from './decimal.ts'

const LIMIT_BITS = 43
const NARROW_LIMIT = 1n << BigInt(LIMIT_BITS)
const LONG_LIMIT = 1n << 63n

type DecimalType = Extract<SqlType, { kind: 'DECIMAL' }>
type Magnitude = bigint | undefined

/** Whether a computed value is an exact number that needs BigInts for its type alone. */
export const usesWideDecimals = (expr: Expr): boolean =>
  expr.kind === 'call' && ((expr.type.kind === 'DECIMAL' && expr.type.precision > 18) || expr.args.some(usesWideDecimals))

/** Whether all 64-bit numbers of these columns are below NARROW_LIMIT, sign aside. */
export function isNarrow(batch: Batch, columns: readonly number[]): boolean {
  return columns.every((index) => {
    const column = batch.columns[index]
    return column.lane !== 'i64' || isNarrowColumn(column, batch.rowCount)
  })
}

function isNarrowColumn({ data }: Column & { lane: 'i64' }, rowCount: number): boolean {
  const words = halves(data)
  let outside = 0
  // All bits of the high half above the limit equal its sign.
  for (let at = 1; at < 2 * rowCount; at += 2) outside |= (words[at] >> (LIMIT_BITS - 32)) ^ (words[at] >> 31)
  return outside === 0
}

/**
 * What the unscaled value of an exact number stays below, sign aside, in a narrow batch; undefined where that is not known, where it
 * may be too large for its type (then it is NULL), and where it or a step on the way needs more than 64 bits.
 */
export function magnitudeOf(expr: Expr, shapes: readonly ColumnShape[]): Magnitude {
  const magnitude = stepOf(expr, shapes)
  if (magnitude === undefined || magnitude >= LONG_LIMIT) return undefined
  return expr.type.kind === 'DECIMAL' && magnitude > powerOfTen(expr.type.precision) ? undefined : magnitude
}

function stepOf(expr: Expr, shapes: readonly ColumnShape[]): Magnitude {
  switch (expr.kind) {
    case 'literal':
      return literalMagnitude(expr.value)
    case 'column':
      return columnMagnitude(expr.type, shapes[expr.index])
    default:
      return callMagnitude(expr, shapes)
  }
}

function literalMagnitude(value: unknown): Magnitude {
  if (typeof value === 'bigint') return (value < 0n ? -value : value) + 1n
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(Math.abs(value)) + 1n : undefined
}

function columnMagnitude(type: SqlType, shape: ColumnShape): Magnitude {
  switch (type.kind) {
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
      return (1n << 31n) + 1n
    case 'BIGINT':
    case 'DECIMAL':
      return shape.lane === 'i64' ? NARROW_LIMIT + 1n : undefined
    default:
      return undefined
  }
}

function callMagnitude(expr: Extract<Expr, { kind: 'call' }>, shapes: readonly ColumnShape[]): Magnitude {
  if (expr.type.kind !== 'DECIMAL') return undefined
  const { scale } = expr.type
  const parts = expr.args.map((arg) => {
    const magnitude = magnitudeOf(arg, shapes)
    const from = scaleOf(arg.type)
    return magnitude === undefined || from === undefined ? undefined : { magnitude, from }
  })
  const [a, b] = parts
  switch (expr.fn) {
    case 'CAST':
      return a && a.from <= scale ? a.magnitude * powerOfTen(scale - a.from) : undefined
    case 'UNARY_MINUS':
      return a?.magnitude
    case 'TIMES':
      return a && b && a.from + b.from === scale ? a.magnitude * b.magnitude : undefined
    case 'PLUS':
    case 'MINUS':
      return a && b && Math.max(a.from, b.from) === scale
        ? a.magnitude * powerOfTen(scale - a.from) + b.magnitude * powerOfTen(scale - b.from)
        : undefined
    default:
      return undefined
  }
}

/** Digits behind the point of an exact number. */
function scaleOf(type: SqlType): number | undefined {
  if (type.kind === 'DECIMAL') return (type as DecimalType).scale
  return type.kind === 'TINYINT' || type.kind === 'SMALLINT' || type.kind === 'INT' || type.kind === 'BIGINT' ? 0 : undefined
}
