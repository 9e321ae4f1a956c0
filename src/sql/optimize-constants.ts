// Constants: casts of literals are done once, here; comparisons of a value with itself become what Flink makes of them.
import type { SqlType } from '../data/index.ts'
import { decimalText, isApproximateKind, isIntegerKind, t } from '../data/index.ts'
import { exprKey, isStable, literalExpr, mapExpr } from './expr.ts'
import { resolveCall } from './functions/index.ts'
import type { Expr } from './plan.ts'

type Literal = Extract<Expr, { kind: 'literal' }>

const INTEGER_MAX: Record<string, bigint> = { TINYINT: 127n, SMALLINT: 32_767n, INT: 2_147_483_647n, BIGINT: 2n ** 63n - 1n }

export const foldConstants = (expr: Expr): Expr => mapExpr(expr, (part) => foldCast(part) ?? foldSelfComparison(part) ?? part)

/** A cast of a literal between exact numbers, to a floating one, between texts or timestamps, where nothing can be lost. */
export function foldCast(expr: Expr): Literal | undefined {
  if (expr.kind === 'literal') return expr
  if (expr.kind !== 'call' || (expr.fn !== 'CAST' && expr.fn !== 'TRY_CAST')) return undefined
  const operand = foldCast(expr.args[0])
  if (operand === undefined) return undefined
  const { value, type: from } = operand
  const to = expr.type
  if (value === null) return literalExpr(null, to) as Literal
  const folded = convert(value, from, to)
  return folded === undefined ? undefined : (literalExpr(folded, to) as Literal)
}

function convert(value: unknown, from: SqlType, to: SqlType): unknown {
  if (to.kind === 'VARCHAR') return (from.kind === 'CHAR' || from.kind === 'VARCHAR') && from.length <= to.length ? value : undefined
  if (to.kind === 'TIMESTAMP') return from.kind === 'TIMESTAMP' && from.precision <= to.precision && to.precision <= 3 ? value : undefined
  const scale = from.kind === 'DECIMAL' ? from.scale : isIntegerKind(from.kind) ? 0 : undefined
  if (scale === undefined) return undefined
  const unscaled = BigInt(value as number | bigint)
  if (to.kind === 'DECIMAL') {
    if (to.scale < scale) return undefined
    const result = unscaled * 10n ** BigInt(to.scale - scale)
    return absolute(result) < 10n ** BigInt(to.precision) ? result : undefined
  }
  if (scale > 0) return to.kind === 'DOUBLE' ? Number(decimalText(unscaled, scale)) : undefined
  if (to.kind === 'DOUBLE') return Number(unscaled)
  if (to.kind === 'FLOAT') return Math.fround(Number(unscaled))
  if (!isIntegerKind(to.kind) || absolute(unscaled) > INTEGER_MAX[to.kind]) return undefined
  return to.kind === 'BIGINT' ? unscaled : Number(unscaled)
}

const absolute = (value: bigint): bigint => (value < 0n ? -value : value)

/** x = x is TRUE where x is not NULL, also for NaN, which is unequal to itself everywhere else: Flink simplifies it before any row is seen. */
function foldSelfComparison(expr: Expr): Expr | undefined {
  if (expr.kind !== 'call' || expr.args.length !== 2) return undefined
  const [a, b] = expr.args
  if (!isApproximateKind(a.type.kind) || a.kind === 'literal' || exprKey(a) !== exprKey(b) || !isStable(a)) return undefined
  const holds = ['EQUALS', 'LESS_OR_EQUAL', 'GREATER_OR_EQUAL'].includes(expr.fn)
  if (!holds && !['NOT_EQUALS', 'LESS', 'GREATER'].includes(expr.fn)) return undefined
  if (!a.type.nullable) return literalExpr(holds, t.boolean(false))
  const unknown = literalExpr(null, t.boolean())
  return holds ? resolveCall('OR', [resolveCall('IS_NOT_NULL', [a]), unknown]) : resolveCall('AND', [resolveCall('IS_NULL', [a]), unknown])
}
