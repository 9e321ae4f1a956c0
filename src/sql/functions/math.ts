// Signatures of mathematical functions.
import type { SqlType } from '../../data/index.ts'
import { t } from '../../data/index.ts'
import type { Expr } from '../plan.ts'
import type { AnySpec, CallInfo, ResultRule } from './signature.ts'
import { argType, fn, forceNullable, ifArgs, never, overload, p, resolveSpec, withOptional } from './signature.ts'
import { roundedDecimal } from './typing.ts'

const oneDouble = [
  'SQRT', 'EXP', 'LN', 'LOG10', 'LOG2', 'SIN', 'COS', 'TAN', 'COT', 'ASIN', 'ACOS', 'ATAN', 'SINH', 'COSH', 'TANH', 'DEGREES', 'RADIANS',
] // biome-ignore format: a list
/** CEIL and FLOOR of a DECIMAL have no fraction. */
const wholeNumber: ResultRule = ifArgs(([arg]) => (arg.type.kind === 'DECIMAL' ? t.decimal(arg.type.precision, 0) : arg.type))

function rounded(args: Expr[]): SqlType {
  const { type } = args[0]
  if (type.kind !== 'DECIMAL') return type
  const digits = args[1] === undefined ? 0 : args[1].kind === 'literal' ? ((args[1].value ?? undefined) as number | undefined) : undefined
  const { precision, scale } = roundedDecimal(type, digits)
  return t.decimal(precision, scale)
}

export const mathSpecs: AnySpec[] = [
  ...oneDouble.map((name) => fn(name, overload(p.double), ifArgs(t.double()))),
  fn('POWER', overload(p.double, p.double), ifArgs(t.double())),
  fn('ATAN2', overload(p.double, p.double), ifArgs(t.double())),
  fn('LOG', [overload(p.double), overload(p.double, p.double)], ifArgs(t.double())),
  fn('ABS', overload(p.numeric), ifArgs(argType(0))),
  fn('SIGN', overload(p.numeric), ifArgs(argType(0))),
  // FLOOR(x TO unit) has the unit in options.unit.
  ...['CEIL', 'FLOOR'].map((name) => ({
    name,
    resolve: (args: Expr[], info: CallInfo) =>
      resolveSpec(fn(name, overload(info.options?.unit ? p.datetime : p.numeric), wholeNumber), args, info),
  })),
  ...['ROUND', 'TRUNCATE'].map((name) => fn(name, withOptional(1, p.numeric, p.int), ifArgs(rounded))),
  fn('PI', overload(), never(t.double())),
  fn('E', overload(), never(t.double())),
  fn('RAND', withOptional(1, p.int), never(t.double())),
  fn('RAND_INTEGER', withOptional(1, p.int, p.int), ifArgs(t.int())),
  fn('UUID', overload(), never(t.char(36))),
  fn('BIN', overload(p.bigint), ifArgs(t.string())),
  fn('HEX', [overload(p.bigint), overload(p.text)], ifArgs(t.string())),
  fn('UNHEX', overload(p.text), forceNullable(t.bytes())),
]
