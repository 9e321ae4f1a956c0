// Operators and conditionals: comparison, logic, arithmetic, CASE and its relatives, constructors and element access.
import type { SqlType } from '../../data/index.ts'
import { formatType, isApproximateKind, isIntegerKind, isNumericKind, isTextKind, t, withNullable } from '../../data/index.ts'
import { DEFAULT_DATABASE } from '../catalog.ts'
import { sqlErrors } from '../errors.ts'
import type { Expr } from '../plan.ts'
import { castExpr } from './casts.ts'
import type { AnySpec, CallInfo } from './signature.ts'
import { anyNullable, badArguments, brought, call, fn, ifArgs, never, overload, p, resolveSpec, variadic } from './signature.ts'
import { commonType, decimalResult, decimalSizeOf, isBinaryKind, isDatetimeKind, isIntervalKind, leastRestrictive } from './typing.ts'

type Arithmetic = 'PLUS' | 'MINUS' | 'TIMES' | 'DIVIDE' | 'MOD'

const booleanOf = (args: readonly Expr[]): SqlType => t.boolean(anyNullable(args))

/** All digits of DECIMALs and integers, which may be more than the 38 that a column can have. */
function allDigits(types: readonly SqlType[]): SqlType {
  const sizes = types.flatMap((type) => decimalSizeOf(type) ?? [])
  const scale = Math.max(...sizes.map((size) => size.scale))
  return t.decimal(Math.max(...sizes.map((size) => size.precision - size.scale)) + scale, scale)
}

/**
 * Types that are compared: numbers, and text with what it can be read as, are brought to one type.
 *
 * @param isRounded  DECIMALs that together need more than 38 digits lose the last ones, as Flink does it for = and <>; else they are compared exactly
 */
export function comparable(args: Expr[], isRounded = false): Expr[] | undefined {
  const types = args.map((arg) => arg.type)
  let common = commonType(types)
  if (common === undefined) {
    const others = types.filter((type) => !isTextKind(type.kind) && type.kind !== 'NULL')
    const readable = others.length < types.length ? commonType(others) : undefined
    // Text beside a number, date or BOOLEAN is read as that.
    if (readable && (isNumericKind(readable.kind) || isDatetimeKind(readable.kind) || readable.kind === 'BOOLEAN')) common = readable
  }
  if (common === undefined) return undefined
  const target = common.kind === 'DECIMAL' && !isRounded ? allDigits(types) : common
  return args.map((arg) => brought(arg, target))
}

const isRow = (expr: Expr): expr is Extract<Expr, { kind: 'call' }> => expr.kind === 'call' && expr.fn === 'ROW'

/** = and <> take no number beside a text: Flink reads neither as the other there, though it does for < and IN. */
function refuseImplicit(name: string, args: readonly Expr[], info: CallInfo): void {
  const isNumberBesideText = args.some((arg) => isNumericKind(arg.type.kind)) && args.some((arg) => isTextKind(arg.type.kind))
  if (isNumberBesideText && (name === 'EQUALS' || name === 'NOT_EQUALS'))
    throw badArguments(name === 'EQUALS' ? '=' : '<>', args, info, 'two values of one kind; a text is not read as a number')
}

/** Text of a column that is no date is equal to none, rather than an error. */
const lenient = (name: string, arg: Expr): Expr =>
  (name === 'EQUALS' || name === 'NOT_EQUALS') &&
  arg.kind === 'call' &&
  arg.fn === 'CAST' &&
  isTextKind(arg.args[0].type.kind) &&
  arg.args[0].kind !== 'literal' &&
  isDatetimeKind(arg.type.kind)
    ? { ...arg, fn: 'TRY_CAST', type: withNullable(arg.type, true) }
    : arg

function resolveComparison(name: string, ordered: boolean, args: Expr[], info: CallInfo): Expr {
  const [left, right] = args
  // (a, b) = (c, d) is a = c AND b = d, also where one of them is NULL.
  if (name === 'EQUALS' && args.length === 2 && isRow(left) && isRow(right) && left.args.length === right.args.length) {
    const pairs = left.args.map((one, i) => resolveComparison(name, ordered, [one, right.args[i]], info))
    return call('AND', pairs, booleanOf(pairs), info)
  }
  refuseImplicit(name, args, info)
  const resolved = args.length === 2 ? comparable(args, name.endsWith('EQUALS'))?.map((arg) => lenient(name, arg)) : undefined
  const unordered = resolved && ['MAP', 'ROW', 'ARRAY', 'MULTISET'].includes(resolved[0].type.kind)
  if (resolved === undefined || (ordered && unordered)) throw badArguments(name, args, info, 'two values of comparable types')
  // Of rows that are written out, a field that may be NULL makes <> one that may be.
  const parts = name === 'NOT_EQUALS' && args.every(isRow) ? args.flatMap((arg) => (isRow(arg) ? arg.args : [])) : resolved
  return call(name, resolved, name.startsWith('IS_') ? t.boolean(false) : booleanOf(parts), info)
}

const comparison = (name: string, ordered: boolean): AnySpec => ({
  name,
  resolve: (args, info) => resolveComparison(name, ordered, args, info),
})

const logical = (name: string): AnySpec => ({
  name,
  resolve(args, info) {
    // Chains are kept flat: ten thousand ORs are one call, not a tree ten thousand levels deep.
    const flat = args.flatMap((arg) => (arg.kind === 'call' && arg.fn === name ? arg.args : [arg]))
    const resolved = flat.map((arg) => (arg.type.kind === 'NULL' ? castExpr(arg, t.boolean(), false) : arg))
    if (resolved.length < 1 || resolved.some((arg) => arg.type.kind !== 'BOOLEAN')) throw badArguments(name, args, info, 'BOOLEAN values')
    return call(name, resolved, booleanOf(resolved), info)
  },
})

function resolveArithmetic(name: Arithmetic, args: Expr[], info: CallInfo): Expr {
  const invalid = () => badArguments(name, args, info, 'two numbers, or a date or time and an interval')
  if (args.length !== 2) throw invalid()
  let [a, b] = args
  if (a.type.kind === 'NULL' && b.type.kind === 'NULL') [a, b] = [castExpr(a, t.int(), false), castExpr(b, t.int(), false)]
  if (a.type.kind === 'NULL') a = castExpr(a, isDatetimeKind(b.type.kind) ? t.intervalDayTime() : b.type, false)
  if (b.type.kind === 'NULL') b = castExpr(b, isDatetimeKind(a.type.kind) ? t.intervalDayTime() : a.type, false)
  const nullable = a.type.nullable || b.type.nullable
  if (isNumericKind(a.type.kind) && isNumericKind(b.type.kind)) return numericArithmetic(name, a, b, nullable, info)
  const left = a.type.kind
  const right = b.type.kind
  if (name === 'PLUS' || name === 'MINUS') {
    if (isDatetimeKind(left) && isIntervalKind(right)) return call(`${name}_INTERVAL`, [a, b], withNullable(a.type, nullable), info)
    if (name === 'PLUS' && isIntervalKind(left) && isDatetimeKind(right)) {
      return call('PLUS_INTERVAL', [b, a], withNullable(b.type, nullable), info)
    }
    if (isIntervalKind(left) && left === right) return call(name, [a, b], withNullable(a.type, nullable), info)
    if (name === 'MINUS' && isDatetimeKind(left) && isDatetimeKind(right))
      throw badArguments('-', args, info, 'a unit after the difference, as in (a - b) DAY, or TIMESTAMPDIFF(SECOND, b, a)')
  }
  if (name === 'TIMES' && isNumericKind(left) && isIntervalKind(right)) return resolveArithmetic(name, [b, a], info)
  if (name === 'TIMES' && isIntervalKind(left) && isIntegerKind(right)) {
    return call('TIMES_INTERVAL', [a, brought(b, t.double())], withNullable(a.type, nullable), info)
  }
  throw invalid()
}

function numericArithmetic(name: Arithmetic, a: Expr, b: Expr, nullable: boolean, info: CallInfo): Expr {
  const approximate = isApproximateKind(a.type.kind) || isApproximateKind(b.type.kind)
  if (!approximate && (a.type.kind === 'DECIMAL' || b.type.kind === 'DECIMAL')) {
    const left = decimalSizeOf(a.type)!
    const right = decimalSizeOf(b.type)!
    const { precision, scale } = decimalResult(name, left, right)
    // Beyond 38 digits the result is NULL; a type that was cut can get there, and a quotient.
    return call(name, [toDecimal(a), toDecimal(b)], t.decimal(precision, scale, nullable), info)
  }
  if (name === 'MOD' && approximate) throw badArguments(name, [a, b], info, 'two exact numbers; CAST(… AS DECIMAL(…)) makes one')
  const common = commonType([a.type, b.type])!
  // MOD(a, b) has the type of b, computed in the wider one.
  const type = name === 'MOD' ? b.type : common
  const computed = call(name, [brought(a, common), brought(b, common)], withNullable(common, nullable), info)
  return brought(computed, type)
}

function toDecimal(expr: Expr): Expr {
  if (expr.type.kind === 'DECIMAL') return expr
  const { precision, scale } = decimalSizeOf(expr.type)!
  return brought(expr, t.decimal(precision, scale))
}

const arithmetic = (name: Arithmetic): AnySpec => ({ name, resolve: (args, info) => resolveArithmetic(name, args, info) })

function resolveCase(args: Expr[], info: CallInfo): Expr {
  if (args.length < 3 || args.length % 2 === 0) throw badArguments('CASE', args, info, 'WHEN … THEN … pairs and an ELSE value')
  const values = args.filter((_, index) => index % 2 === 1 || index === args.length - 1)
  const common = leastRestrictive(values.map((value) => value.type))
  if (common === undefined || common.kind === 'NULL') throw badArguments('CASE', values, info, 'branches of one type')
  const resolved = args.map((arg, index) => {
    if (index % 2 === 1 || index === args.length - 1) return brought(arg, common)
    if (arg.type.kind === 'NULL') return castExpr(arg, t.boolean(), false)
    if (arg.type.kind !== 'BOOLEAN') throw badArguments('CASE', [arg], info, 'BOOLEAN conditions')
    return arg
  })
  return call('CASE', resolved, common, info)
}

function resolveCommon(name: string, args: Expr[], info: CallInfo, nullable: (args: Expr[]) => boolean): Expr {
  let common = args.length > 0 ? commonType(args.map((arg) => arg.type)) : undefined
  if (common !== undefined && isApproximateKind(common.kind)) common = { kind: approximateKind(args), nullable: common.nullable }
  if (common === undefined || common.kind === 'NULL') throw badArguments(name, args, info, 'values of one type')
  const resolved = args.map((arg) => brought(arg, common))
  return call(name, resolved, withNullable(common, nullable(args)), info)
}

/** Here DOUBLE wins over FLOAT; in arithmetic, CASE and IF the first one does. A DECIMAL before a FLOAT is a FLOAT, one behind it makes it a DOUBLE. */
function approximateKind(args: readonly Expr[]): 'FLOAT' | 'DOUBLE' {
  let kind: 'FLOAT' | 'DOUBLE' | undefined
  for (const { type } of args) {
    if (type.kind === 'DOUBLE' || (type.kind === 'DECIMAL' && kind === 'FLOAT')) kind = 'DOUBLE'
    else if (type.kind === 'FLOAT') kind ??= 'FLOAT'
  }
  return kind ?? 'DOUBLE'
}

function resolveIf(args: Expr[], info: CallInfo): Expr {
  const invalid = () => badArguments('IF', args, info, 'IF(BOOLEAN, value, value)')
  if (args.length !== 3) throw invalid()
  const condition = args[0].type.kind === 'NULL' ? castExpr(args[0], t.boolean(), false) : args[0]
  if (condition.type.kind !== 'BOOLEAN') throw invalid()
  const common = leastRestrictive([args[1].type, args[2].type])
  if (common === undefined) throw invalid()
  const resolved = [condition, brought(args[1], common), brought(args[2], common)]
  return call('IF', resolved, withNullable(common, anyNullable(args)), info)
}

function resolveConcat(args: Expr[], info: CallInfo): Expr {
  const kinds = args.map((arg) => (arg.type.kind === 'NULL' ? castExpr(arg, t.string(), false) : arg))
  if (args.length !== 2 || !kinds.every((arg) => isTextKind(arg.type.kind))) {
    throw badArguments('||', args, info, 'two texts; CAST(… AS STRING) makes one')
  }
  const [a, b] = kinds.map((arg) => arg.type as { kind: string; length: number })
  const length = Math.min(a.length + b.length, 2_147_483_647)
  const kind = a.kind === 'CHAR' && b.kind === 'CHAR' ? 'CHAR' : 'VARCHAR'
  return call('CONCAT', kinds, { kind, length, nullable: anyNullable(kinds) }, info)
}

/** Field names of ROW(…) without names, as Calcite gives them. */
function resolveRow(args: Expr[], info: CallInfo): Expr {
  if (args.length === 0) throw badArguments('ROW', args, info, 'at least one value')
  const names = (info.options?.names as string[] | undefined) ?? args.map((_, index) => `EXPR$${index}`)
  const fields = args.map((arg, index) => ({ name: names[index], type: arg.type }))
  return call('ROW', args, t.row(fields, false), { span: info.span })
}

function resolveArray(args: Expr[], info: CallInfo): Expr {
  const element = leastRestrictive(args.map((arg) => arg.type))
  if (element === undefined || element.kind === 'NULL')
    throw badArguments('ARRAY', args, info, 'at least one element, all of one type; CAST(NULL AS …) gives a NULL a type')
  const resolved = args.map((arg) => brought(arg, element))
  return call('ARRAY', resolved, t.array(element, false), info)
}

function resolveMap(given: Expr[], info: CallInfo): Expr {
  // A bare NULL has the type of the first argument, a key's: beside values of another type it needs a CAST.
  const known = given.find((arg) => arg.type.kind !== 'NULL')
  const args = given.map((arg) => (arg.type.kind === 'NULL' && known ? castExpr(arg, known.type, false) : arg))
  const keys = args.filter((_, index) => index % 2 === 0)
  const values = args.filter((_, index) => index % 2 === 1)
  const key = leastRestrictive(keys.map((arg) => arg.type))
  const value = leastRestrictive(values.map((arg) => arg.type))
  if (args.length % 2 === 1 || key === undefined || value === undefined || key.kind === 'NULL') {
    throw badArguments('MAP', args, info, 'pairs of keys of one type and values of one type, at least one')
  }
  const resolved = args.map((arg, index) => brought(arg, index % 2 === 0 ? key : value))
  return call('MAP', resolved, t.map(key, value, false), info)
}

function resolveItem(args: Expr[], info: CallInfo): Expr {
  const [container, index] = args
  const type = container?.type
  if (args.length === 2 && type.kind === 'ARRAY' && isIntegerKind(index.type.kind)) {
    if (index.kind === 'literal' && index.value !== null && Number(index.value) < 1)
      throw badArguments('[ ]', args, info, 'array[position], which counts from 1')
    return call('ITEM', [container, brought(index, t.int())], withNullable(type.element, true), info)
  }
  if (args.length === 2 && type.kind === 'MAP') {
    if (commonType([type.key, index.type])) return call('ITEM', [container, brought(index, type.key)], withNullable(type.value, true), info)
  }
  if (args.length === 2 && type.kind === 'ROW' && index.kind === 'literal' && typeof index.value === 'number') {
    return resolveField([container], { ...info, options: { index: index.value - 1 } })
  }
  if (args.length === 2 && type.kind === 'ROW' && index.kind === 'literal') {
    const named = type.fields.findIndex((field) => field.name === index.value)
    if (named >= 0) return resolveField([container], { ...info, options: { index: named } })
  }
  throw badArguments('[ ]', args, info, 'array[position from 1], map[key] or row[name]')
}

function resolveField(args: Expr[], info: CallInfo): Expr {
  const [row] = args
  const index = info.options?.index as number
  const field = row.type.kind === 'ROW' ? row.type.fields[index] : undefined
  if (field === undefined) throw badArguments('FIELD', args, info, 'a field of a ROW')
  return call('FIELD', args, withNullable(field.type, field.type.nullable || row.type.nullable), info)
}

/** A text is looked for among the texts of the list's values; else texts of the list are read as what is looked for. */
function resolveIn(args: Expr[], info: CallInfo): Expr {
  const [value, ...list] = args
  const isText = ({ type }: Expr): boolean => isTextKind(type.kind)
  const common = commonType(list.map((item) => item.type))
  const isMixed = common === undefined && list.some(isText)
  const items =
    common && isText(value) && !isTextKind(common.kind) ? list.map((item) => castExpr(brought(item, common), t.string(), false)) : list
  const resolved = list.length === 0 || isMixed ? undefined : comparable([value, ...items])
  if (resolved === undefined) throw badArguments('IN', args, info, 'values of one type')
  return call('IN', resolved, booleanOf(resolved), info)
}

function resolveBetween(name: string, args: Expr[], info: CallInfo): Expr {
  const invalid = () => badArguments('BETWEEN', args, info, 'three values of comparable types')
  if (args.length !== 3) throw invalid()
  const [value, low, high] = args
  const resolve = (fnName: string, a: Expr, b: Expr): Expr => {
    const pair = comparable([a, b])
    if (pair === undefined) throw invalid()
    return call(fnName, pair, booleanOf(pair), info)
  }
  const within = (from: Expr, to: Expr): Expr => {
    const both = [resolve('GREATER_OR_EQUAL', value, from), resolve('LESS_OR_EQUAL', value, to)]
    return call('AND', both, booleanOf(both), info)
  }
  if (name === 'BETWEEN') return within(low, high)
  const either = [within(low, high), within(high, low)]
  return call('OR', either, booleanOf(either), info)
}

function resolveNullIf(args: Expr[], info: CallInfo): Expr {
  const equal = args.length === 2 ? comparable(args, true) : undefined
  if (equal === undefined) throw badArguments('NULLIF', args, info, 'two values of comparable types')
  const condition = call('EQUALS', equal, booleanOf(equal), info)
  if (args[0].type.kind === 'NULL') throw badArguments('NULLIF', args, info, 'a value that is no bare NULL')
  const none: Expr = { kind: 'literal', value: null, type: withNullable(args[0].type, true) }
  return call('CASE', [condition, none, args[0]], withNullable(args[0].type, true), info)
}

function resolveOverlaps(args: Expr[], info: CallInfo): Expr {
  const invalid = () => badArguments('OVERLAPS', args, info, '(start, end or interval) OVERLAPS (start, end or interval)')
  if (args.length !== 4 || args.some((arg) => isTextKind(arg.type.kind))) throw invalid()
  const end = (from: Expr, to: Expr) => (isIntervalKind(to.type.kind) ? resolveArithmetic('PLUS', [from, to], info) : to)
  const points = comparable([args[0], end(args[0], args[1]), args[2], end(args[2], args[3])])
  if (points === undefined || !isDatetimeKind(points[0].type.kind)) throw invalid()
  return call('OVERLAPS', points, booleanOf(points), info)
}

/** Known when the query is planned. */
function resolveTypeOf(args: Expr[], info: CallInfo): Expr {
  if (args.length < 1 || args.length > 2) throw badArguments('TYPEOF', args, info, 'TYPEOF(value)')
  const isFull = args[1]?.kind === 'literal' && args[1].value === true
  const text = formatType(args[0].type)
  return { kind: 'literal', value: isFull ? text : summaryOf(text), type: t.string() }
}

/** Flink's summary of a type's text. */
export const summaryOf = (type: string): string =>
  type
    .replaceAll('VARCHAR(2147483647)', 'STRING')
    .replaceAll('VARBINARY(2147483647)', 'BYTES')
    .replace(/TIMESTAMP(\(\d\)) WITH LOCAL TIME ZONE/g, 'TIMESTAMP_LTZ$1')

function resolveUnaryMinus(args: Expr[], info: CallInfo): Expr {
  const [arg] = args
  if (args.length !== 1 || !(isNumericKind(arg.type.kind) || isIntervalKind(arg.type.kind)))
    throw badArguments('-', args, info, 'a number or an interval')
  return call('UNARY_MINUS', args, arg.type, info)
}

const isOrdered = ({ kind }: SqlType): boolean => !['ARRAY', 'MAP', 'MULTISET', 'ROW', 'NULL'].includes(kind) && !isBinaryKind(kind)

/** (later - earlier) unit; a unit of years or months gives months. */
function resolveMinusDates(args: Expr[], info: CallInfo): Expr {
  const [later, earlier] = args
  const unit = info.options?.unit as string
  if (
    commonType([later.type, earlier.type]) === undefined ||
    ![later, earlier].every((arg) => isDatetimeKind(arg.type.kind) && arg.type.kind !== 'TIME')
  )
    throw badArguments('-', args, info, '(a - b) DAY of two dates or two timestamps')
  const nullable = anyNullable(args)
  const type = unit === 'YEAR' || unit === 'MONTH' ? t.intervalYearMonth(nullable, unit) : t.intervalDayTime(nullable, unit)
  return call('MINUS_DATES', comparable(args)!, type, { span: info.span })
}

const truth = (name: string): AnySpec => fn(name, overload(p.boolean), never(t.boolean()))
const likeSpec = (name: string) => fn(name, [overload(p.text, p.text), overload(p.text, p.text, p.text)], ifArgs(t.boolean()))
const like = (name: string): AnySpec => ({
  name,
  resolve(args, info) {
    const unit = args[2]
    if (unit?.kind === 'literal' && typeof unit.value === 'string' && [...unit.value].length !== 1)
      throw sqlErrors('SQL_LITERAL_UNREADABLE', { text: unit.value, expected: 'one character to ESCAPE with', span: info.span })
    return resolveSpec(likeSpec(name), args, info)
  },
})

export const operatorSpecs: AnySpec[] = [
  ...(['PLUS', 'MINUS', 'TIMES', 'DIVIDE', 'MOD'] as const).map(arithmetic),
  { name: 'MINUS_DATES', resolve: resolveMinusDates },
  { name: 'UNARY_MINUS', resolve: resolveUnaryMinus },
  {
    name: 'UNARY_PLUS',
    resolve: (args, info) => {
      if (args.length !== 1 || !(isNumericKind(args[0].type.kind) || isIntervalKind(args[0].type.kind)))
        throw badArguments('+', args, info, 'a number or an interval')
      return args[0]
    },
  },
  ...['EQUALS', 'NOT_EQUALS', 'IS_DISTINCT_FROM', 'IS_NOT_DISTINCT_FROM'].map((name) => comparison(name, false)),
  ...['LESS', 'LESS_OR_EQUAL', 'GREATER', 'GREATER_OR_EQUAL'].map((name) => comparison(name, true)),
  logical('AND'),
  logical('OR'),
  fn('NOT', overload(p.boolean), ifArgs(t.boolean())),
  fn('IS_NULL', overload(p.any), never(t.boolean())),
  fn('IS_NOT_NULL', overload(p.any), never(t.boolean())),
  ...['IS_TRUE', 'IS_NOT_TRUE', 'IS_FALSE', 'IS_NOT_FALSE', 'IS_UNKNOWN', 'IS_NOT_UNKNOWN'].map(truth),
  { name: 'CASE', resolve: resolveCase },
  { name: 'IF', resolve: resolveIf },
  { name: 'COALESCE', resolve: (args, info) => resolveCommon('COALESCE', args, info, (all) => all.every((arg) => arg.type.nullable)) },
  {
    name: 'IFNULL',
    resolve: (args, info) => {
      if (args.length !== 2) throw badArguments('IFNULL', args, info, 'IFNULL(value, replacement)')
      // A value that is never NULL stays as it is; of numbers the type is still the common one.
      if (!args[0].type.nullable && isTextKind(args[0].type.kind) && commonType([args[0].type, args[1].type])) return args[0]
      return resolveCommon('COALESCE', args, info, (all) => all.every((arg) => arg.type.nullable))
    },
  },
  { name: 'NULLIF', resolve: resolveNullIf },
  ...['GREATEST', 'LEAST'].map((name) => ({
    name,
    resolve: (args: Expr[], info: CallInfo) => {
      if (args.some((arg) => !isOrdered(arg.type))) throw badArguments(name, args, info, 'values of one type that has an order')
      return resolveCommon(name, args, info, anyNullable)
    },
  })),
  { name: 'CONCAT_OPERATOR', resolve: resolveConcat },
  like('LIKE'),
  like('SIMILAR'),
  { name: 'IN', resolve: resolveIn },
  { name: 'BETWEEN', resolve: (args, info) => resolveBetween('BETWEEN', args, info) },
  { name: 'BETWEEN_SYMMETRIC', resolve: (args, info) => resolveBetween('BETWEEN_SYMMETRIC', args, info) },
  { name: 'ROW', resolve: resolveRow },
  { name: 'ARRAY', resolve: resolveArray },
  { name: 'MAP', resolve: resolveMap },
  { name: 'ITEM', resolve: resolveItem },
  { name: 'FIELD', resolve: resolveField },
  { name: 'OVERLAPS', resolve: resolveOverlaps },
  { name: 'TYPEOF', resolve: (args, info) => resolveTypeOf(args, info) },
  {
    name: 'CURRENT_DATABASE',
    resolve: (args, info) => {
      if (args.length > 0) throw badArguments('CURRENT_DATABASE', args, info, 'CURRENT_DATABASE()')
      return { kind: 'literal', value: DEFAULT_DATABASE, type: t.string(false) }
    },
  },
]

// CONCAT(a, b, …) as a function joins texts of any number.
export const concatSpecs: AnySpec[] = [
  fn('CONCAT', [variadic(p.text, p.text)], ifArgs(t.string())),
  fn('CONCAT_WS', [variadic(p.text, p.text)], ifArgs(t.string())),
]
