// What a signature is: overloads of parameters, each of which says to which type an argument is brought, and a rule for the result's type.
//
// Invariant: the arguments of a resolved call have exactly the types that its overload says; a kernel never converts.
import type { SqlType } from '../../data/index.ts'
import { formatType, isApproximateKind, isIntegerKind, isNumericKind, isTextKind, t, withNullable } from '../../data/index.ts'
import type { Span } from '../ast.ts'
import { sqlErrors } from '../errors.ts'
import type { Expr } from '../plan.ts'
import { castExpr } from './casts.ts'
import { isBinaryKind, isDatetimeKind, sameType } from './typing.ts'

export interface CallInfo {
  span?: Span
  options?: Record<string, unknown>
}

/** The type to which an argument is brought, or undefined where it does not fit. */
export interface Param {
  label: string
  target: (type: SqlType, expr: Expr) => SqlType | undefined
}
export interface Overload {
  params: Param[]
  /** How many of the last params may be missing. */
  optional?: number
  /** Any number of further arguments of this kind. */
  rest?: Param
}
/** The arguments are already brought to the overload's types. */
export type ResultRule = (args: Expr[], info: CallInfo) => SqlType
export interface FunctionSpec {
  name: string
  overloads: Overload[]
  result: ResultRule
}
/** Functions whose arguments depend on one another bring their own rule. */
export interface SpecialSpec {
  name: string
  resolve: (args: Expr[], info: CallInfo) => Expr
}
export type AnySpec = FunctionSpec | SpecialSpec

const param = (label: string, fits: (type: SqlType) => boolean, fallback: SqlType, to?: (type: SqlType) => SqlType): Param => ({
  label,
  target: (type) => {
    if (type.kind === 'NULL') return fallback
    if (!fits(type)) return undefined
    return to ? to(type) : type
  },
})

export const p = {
  any: { label: 'ANY', target: (type: SqlType) => type } satisfies Param,
  boolean: param('BOOLEAN', (type) => type.kind === 'BOOLEAN', t.boolean()),
  text: param('STRING', (type) => isTextKind(type.kind), t.string()),
  bytes: param('BYTES', (type) => isBinaryKind(type.kind), t.bytes()),
  numeric: param('NUMERIC', (type) => isNumericKind(type.kind), t.int()),
  exact: param('EXACT NUMERIC', (type) => isNumericKind(type.kind) && !isApproximateKind(type.kind), t.int()),
  /** Any number, brought to DOUBLE. */
  double: param(
    'NUMERIC',
    (type) => isNumericKind(type.kind),
    t.double(),
    () => t.double(),
  ),
  integer: param('INTEGER', (type) => isIntegerKind(type.kind), t.int()),
  /** Any integer, brought to INT. */
  int: param(
    'INTEGER',
    (type) => isIntegerKind(type.kind),
    t.int(),
    () => t.int(),
  ),
  /** An integer that fits into an INT. */
  int32: param(
    'INT',
    (type) => isIntegerKind(type.kind) && type.kind !== 'BIGINT',
    t.int(),
    () => t.int(),
  ),
  /** Any exact number, brought to BIGINT: its fraction is cut off. */
  exactBigint: param(
    'NUMERIC',
    (type) => isNumericKind(type.kind) && !isApproximateKind(type.kind),
    t.bigint(),
    () => t.bigint(),
  ),
  /** Any integer, brought to BIGINT. */
  bigint: param(
    'INTEGER',
    (type) => isIntegerKind(type.kind),
    t.bigint(),
    () => t.bigint(),
  ),
  dateOrTimestamp: param('DATE or TIMESTAMP', (type) => isDatetimeKind(type.kind) && type.kind !== 'TIME', t.timestamp(3)),
  timestamp: param('TIMESTAMP', (type) => type.kind === 'TIMESTAMP' || type.kind === 'TIMESTAMP_LTZ', t.timestamp(3)),
  datetime: param('DATETIME', (type) => isDatetimeKind(type.kind), t.timestamp(3)),
  array: param('ARRAY', (type) => type.kind === 'ARRAY', t.array(t.null())),
  orderedArray: param(
    'ARRAY of values with an order',
    (type) => type.kind === 'ARRAY' && !['ARRAY', 'MAP', 'MULTISET', 'ROW'].includes(type.element.kind),
    t.array(t.null()),
  ),
  textArray: param(
    'ARRAY<STRING>',
    (type) => type.kind === 'ARRAY' && (isTextKind(type.element.kind) || type.element.kind === 'NULL'),
    t.array(t.string()),
  ),
  map: param('MAP', (type) => type.kind === 'MAP', t.map(t.null(), t.null())),
}

export const overload = (...params: Param[]): Overload => ({ params })
export const withOptional = (optional: number, ...params: Param[]): Overload => ({ params, optional })
export const variadic = (rest: Param, ...params: Param[]): Overload => ({ params, rest })

export const anyNullable = (args: readonly Expr[]): boolean => args.some((arg) => arg.type.nullable)

/** Nullable if an argument is. */
export const ifArgs =
  (type: SqlType | ((args: Expr[]) => SqlType)): ResultRule =>
  (args) =>
    withNullable(typeof type === 'function' ? type(args) : type, anyNullable(args))
/** Nullable whatever the arguments are. */
export const forceNullable =
  (type: SqlType | ((args: Expr[]) => SqlType)): ResultRule =>
  (args) =>
    withNullable(typeof type === 'function' ? type(args) : type, true)
export const never =
  (type: SqlType): ResultRule =>
  () =>
    withNullable(type, false)
export const argType =
  (index: number) =>
  (args: Expr[]): SqlType =>
    args[index].type
/** CHAR(n) becomes VARCHAR(n). */
export const varying =
  (index: number) =>
  (args: Expr[]): SqlType => {
    const { type } = args[index]
    return type.kind === 'CHAR' ? { ...type, kind: 'VARCHAR' } : type.kind === 'BINARY' ? { ...type, kind: 'VARBINARY' } : type
  }

export const fn = (name: string, overloads: Overload | Overload[], result: ResultRule): FunctionSpec => ({
  name,
  overloads: Array.isArray(overloads) ? overloads : [overloads],
  result,
})

export function call(name: string, args: Expr[], type: SqlType, info: CallInfo): Expr {
  const expr: Expr = { kind: 'call', fn: name, args, type }
  if (info.options && Object.keys(info.options).length > 0) expr.options = info.options
  if (info.span) expr.span = info.span
  return expr
}

/** The argument with that type; a cast is added only where types differ. Nullability stays the argument's. */
export const brought = (arg: Expr, target: SqlType): Expr =>
  sameType(arg.type, target) ? arg : castExpr(arg, withNullable(target, arg.type.nullable), false)

export function resolveSpec(spec: FunctionSpec, args: Expr[], info: CallInfo): Expr {
  for (const { params, optional = 0, rest } of spec.overloads) {
    if (args.length < params.length - optional || (rest === undefined && args.length > params.length)) continue
    const targets = args.map((arg, index) => (params[index] ?? rest!).target(arg.type, arg))
    if (targets.some((target) => target === undefined)) continue
    const resolved = args.map((arg, index) => brought(arg, targets[index]!))
    return call(spec.name, resolved, spec.result(resolved, info), info)
  }
  throw badArguments(spec.name, args, info, spec.overloads.map((one) => describe(spec.name, one)).join(' or '))
}

function describe(name: string, { params, optional = 0, rest }: Overload): string {
  const labels = params.map((one, index) => (index >= params.length - optional ? `[${one.label}]` : one.label))
  const operator = operatorText(name)
  if (operator) return labels.length === 1 ? `${labels[0]} ${operator}` : labels.slice(0, 2).join(` ${operator} `)
  if (rest) labels.push(`${rest.label} …`)
  return `${name}(${labels.join(', ')})`
}

/** Operators as they are written, and the names of their signatures. */
export const operatorNames: Readonly<Record<string, string>> = {
  '+': 'PLUS',
  '-': 'MINUS',
  '*': 'TIMES',
  '/': 'DIVIDE',
  '=': 'EQUALS',
  '<>': 'NOT_EQUALS',
  '<': 'LESS',
  '<=': 'LESS_OR_EQUAL',
  '>': 'GREATER',
  '>=': 'GREATER_OR_EQUAL',
  LIKE: 'LIKE',
  SIMILAR_TO: 'SIMILAR',
}
const operatorTexts = new Map(Object.entries(operatorNames).map(([text, name]) => [name, text.replace('_', ' ')]))
/** As SQL writes it, where it is an operator. */
const operatorText = (name: string): string | undefined =>
  operatorTexts.get(name) ?? (/^IS_.*(TRUE|FALSE|UNKNOWN|DISTINCT_FROM)$/.test(name) ? name.replaceAll('_', ' ') : undefined)

export const badArguments = (name: string, args: readonly Expr[], info: CallInfo, expected: string): Error =>
  sqlErrors('SQL_ARGUMENTS_INVALID', {
    fn: operatorText(name) ?? name,
    types: args.map((arg) => formatType(arg.type)),
    expected,
    span: info.span,
  })
