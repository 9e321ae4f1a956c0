// Expressions to code: logic, comparison and arithmetic inline, every other function as a call of its implementation.
//
// Invariants
//   1. AND, OR, CASE, COALESCE and IF evaluate only what they need, with SQL's three-valued logic.
//   2. Text that is a column of bytes becomes a string only where a function needs one, and once per row.
import type { SqlType } from '../../data/index.ts'
import { isTextKind } from '../../data/index.ts'
import { type Expr, isStable, stableText } from '../../sql/index.ts'
import { emitArithmetic, isNarrowDecimal, scaledLong } from './arithmetic.ts'
import { ByteSet, equalBytes, equalSlices, utf8Of } from './bytes.ts'
import { castOf } from './casts.ts'
import type { KernelBuilder, Rep, Value } from './codegen.ts'
import { defaultCode, longOf, orCode, repOf } from './codegen.ts'
import { compareValues, equalValues } from './compare.ts'
import type { DecimalType } from './decimal.ts'
import { expressionErrors } from './errors.ts'
import { implementations } from './functions.ts'
import { emitLike } from './like.ts'
import type { CallContext, RowFunction } from './registry.ts'
import { emitCharLength, emitFoldedEqual, emitMayMatch, emitSplitIndex } from './slices.ts'
import { currentDateDays, currentTimeMs, localTimestampMs, timesOfDay } from './temporal.ts'

export interface EmitContext {
  builder: KernelBuilder
  /** The 64-bit numbers of the batch are small; see magnitude.ts. */
  narrow: boolean
  timeZone: string
  random: () => number
  /** Calls that stand in several places, by `stableText`: their ordinals among the kernel's shared calls. */
  shared: ReadonlyMap<string, number>
}
type Call = Extract<Expr, { kind: 'call' }>
type Emitter = (expr: Call, context: EmitContext) => Value

const nullValue = (rep: Rep): Value => ({ code: defaultCode[rep], isNull: 'true', safe: true, rep })
const booleanValue = (code: string, isNull = 'false', safe = true): Value => ({ code, isNull, safe, rep: 'boolean' })

export function emit(expr: Expr, context: EmitContext): Value {
  const { builder } = context
  switch (expr.kind) {
    case 'column':
      return builder.column(expr.index, expr.type)
    case 'literal': {
      const rep = repOf(expr.type)
      if (expr.value === null) return nullValue(rep)
      const code = typeof expr.value === 'boolean' ? String(expr.value) : builder.constant(expr.value)
      return { code, isNull: 'false', safe: true, rep }
    }
    default:
      return emitShared(expr, emitters[expr.fn] ?? emitFunction, context)
  }
}

/** A call that stands in several places of a filter and its projection is computed once for a row, where it is first reached. */
function emitShared(expr: Call, emitter: Emitter, context: EmitContext): Value {
  const { builder, shared } = context
  const index = shared.size === 0 ? undefined : shared.get(stableText(expr))
  if (index === undefined) return emitter(expr, context)
  const states = builder.perBatch(`shared${index}`, `shared[${index}].states`)
  const values = builder.perBatch(`values${index}`, `shared[${index}].values`)
  const { result, lines } = builder.nested(() => emitter(expr, context))
  const name = builder.fresh()
  const nullName = builder.fresh('n')
  const found = `${name} = ${result.code}; ${nullName} = false; ${states}[row] = 1; ${values}[row] = ${name}`
  builder.line(`let ${name} = ${defaultCode[result.rep]}, ${nullName} = true
if (${states}[row] === 0) { ${lines.join('\n')}
if (${result.isNull}) ${states}[row] = 2
else { ${found} }
} else if (${states}[row] === 1) { ${name} = ${values}[row]; ${nullName} = false }`)
  return { code: name, isNull: result.isNull === 'false' ? 'false' : nullName, safe: true, rep: result.rep }
}

/** Whether a call is worth remembering: one that makes or reads texts or other objects, by a function. */
export const isShareable = (expr: Call): boolean =>
  (emitters[expr.fn] === undefined || expr.fn === 'REGEXP_EXTRACT') &&
  isStable(expr) &&
  [expr, ...expr.args].some(({ type }) => repOf(type) === 'any')

/** Code that is true exactly where the expression is TRUE; FALSE and NULL are the same. */
export function emitCondition(expr: Expr, context: EmitContext): string {
  if (expr.kind === 'call' && (expr.fn === 'AND' || expr.fn === 'OR')) return emitConditions(flatten(expr), expr.fn === 'AND', context)
  const value = emit(expr, context)
  if (value.isNull === 'true') return 'false'
  if (value.isNull === 'false') return value.code
  return `(!${value.isNull} && ${value.code})`
}

/** The operands of a chain of one operator, however it is nested. */
export function flatten(expr: Call): Expr[] {
  const operands: Expr[] = []
  const open: Expr[] = [expr]
  while (open.length > 0) {
    const next = open.pop()!
    if (next.kind === 'call' && next.fn === expr.fn) for (let i = next.args.length - 1; i >= 0; i--) open.push(next.args[i])
    else operands.push(next)
  }
  return operands
}

function emitConditions(operands: Expr[], all: boolean, context: EmitContext): string {
  const { builder } = context
  const parts: { result: string; lines: string[] }[] = []
  for (const [index, operand] of operands.entries()) {
    // The first operand always runs: what it loads is there for all.
    if (index === 0) parts.push({ result: emitCondition(operand, context), lines: [] })
    else parts.push(builder.nested(() => emitCondition(operand, context)))
  }
  if (parts.every((part) => part.lines.length === 0)) return `(${parts.map((part) => part.result).join(all ? ' && ' : ' || ')})`
  const name = builder.fresh()
  const label = builder.fresh('L')
  const stop = all
    ? (code: string) => `if (!(${code})) break ${label}`
    : (code: string) => `if (${code}) { ${name} = true; break ${label} }`
  builder.line(`let ${name} = false; ${label}: {`)
  for (const part of parts) {
    for (const line of part.lines) builder.line(line)
    builder.line(stop(part.result))
  }
  if (all) builder.line(`${name} = true`)
  builder.line('}')
  return name
}

/** AND and OR: `decisive` is the value that ends the evaluation. */
function emitLogic(expr: Call, context: EmitContext): Value {
  const { builder } = context
  const isAnd = expr.fn === 'AND'
  const operands = flatten(expr)
  const parts = operands.map((operand, index) =>
    index === 0 ? { result: emit(operand, context), lines: [] as string[] } : builder.nested(() => emit(operand, context)),
  )
  if (parts.every((part) => part.lines.length === 0 && part.result.isNull === 'false')) {
    return booleanValue(`(${parts.map((part) => part.result.code).join(isAnd ? ' && ' : ' || ')})`)
  }
  const name = builder.fresh()
  const nullName = builder.fresh('n')
  const label = builder.fresh('L')
  builder.line(`let ${name} = ${isAnd}, ${nullName} = false; ${label}: {`)
  for (const { result, lines } of parts) {
    for (const line of lines) builder.line(line)
    const decided = `{ ${name} = ${!isAnd}; ${nullName} = false; break ${label} }`
    const test = isAnd ? `!(${result.code})` : `${result.code}`
    if (result.isNull === 'true') builder.line(`${nullName} = true`)
    else if (result.isNull === 'false') builder.line(`if (${test}) ${decided}`)
    else builder.line(`if (${result.isNull}) ${nullName} = true; else if (${test}) ${decided}`)
  }
  builder.line('}')
  return booleanValue(`(!${nullName} && ${name})`, nullName)
}

/** Branches of which one is taken: CASE, IF. `args` are when, then, …, otherwise. */
function emitCase(args: readonly Expr[], type: SqlType, context: EmitContext): Value {
  const { builder } = context
  const rep = repOf(type)
  const name = builder.fresh()
  const nullName = builder.fresh('n')
  const label = builder.fresh('L')
  const blocks: string[] = []
  let mayBeNull = false
  const assign = (value: Value): string => {
    if (value.isNull === 'false') return `${name} = ${value.code}; ${nullName} = false`
    mayBeNull = true
    if (value.isNull === 'true') return ''
    return `if (!${value.isNull}) { ${name} = ${value.code}; ${nullName} = false }`
  }
  const { lines } = builder.nested(() => {
    for (let i = 0; i + 1 < args.length; i += 2) {
      const condition = emitCondition(args[i], context)
      const then = builder.nested(() => builder.line(assign(emit(args[i + 1], context))))
      builder.line(`if (${condition}) { ${then.lines.join('\n')}\nbreak ${label} }`)
    }
    builder.line(assign(emit(args[args.length - 1], context)))
  })
  blocks.push(...lines)
  builder.line(`let ${name} = ${defaultCode[rep]}, ${nullName} = true; ${label}: {`)
  for (const line of blocks) builder.line(line)
  builder.line('}')
  return { code: name, isNull: mayBeNull ? nullName : 'false', safe: true, rep }
}

function emitCoalesce(expr: Call, context: EmitContext): Value {
  const { builder } = context
  const rep = repOf(expr.type)
  const first = emit(expr.args[0], context)
  if (first.isNull === 'false' || expr.args.length === 1) return { ...first, utf8: undefined }
  const name = builder.fresh()
  const nullName = builder.fresh('n')
  const label = builder.fresh('L')
  let mayBeNull = true
  builder.line(`let ${name} = ${defaultCode[rep]}, ${nullName} = true; ${label}: {`)
  const take = (value: Value) => {
    const taken = `${name} = ${value.code}; ${nullName} = false`
    if (value.isNull === 'false') builder.line(taken)
    else if (value.isNull !== 'true') builder.line(`if (!${value.isNull}) { ${taken}; break ${label} }`)
    mayBeNull = value.isNull !== 'false'
  }
  take(first)
  for (const arg of expr.args.slice(1)) {
    if (!mayBeNull) break
    const { lines } = builder.nested(() => take(emit(arg, context)))
    for (const line of lines) builder.line(line)
  }
  builder.line('}')
  return { code: name, isNull: mayBeNull ? nullName : 'false', safe: true, rep }
}

/** A call that is NULL if an argument is: `code` gets the arguments' code. */
export function strictCall(
  args: Value[],
  rep: Rep,
  mayBeNull: boolean,
  inline: boolean,
  context: EmitContext,
  code: (codes: string[]) => string,
): Value {
  const isNull = orCode(args.map((arg) => arg.isNull))
  // An argument that fails must fail also where another one is NULL.
  if (isNull !== 'false')
    args = args.map((arg) => (arg.isNull === 'false' && !arg.safe && arg.utf8 === undefined ? context.builder.once(arg) : arg))
  if (isNull === 'true') return nullValue(rep)
  const make = () => code(args.map((arg) => arg.code))
  if (!mayBeNull && inline && args.every((arg) => arg.safe || arg.isNull === 'false')) {
    return { code: make(), isNull, safe: args.every((arg) => arg.safe), rep }
  }
  if (!mayBeNull && isNull === 'false') return { code: make(), isNull, safe: false, rep }
  return context.builder.guarded(isNull, rep, make, mayBeNull)
}

const comparisonCode: Record<string, string> = {
  EQUALS: '===',
  NOT_EQUALS: '!==',
  LESS: '<',
  LESS_OR_EQUAL: '<=',
  GREATER: '>',
  GREATER_OR_EQUAL: '>=',
}
/** Compared by JavaScript's operators: numbers, bigints, texts, booleans. */
const comparedDirectly = (type: SqlType): boolean => repOf(type) !== 'any' || isTextKind(type.kind) || type.kind === 'NULL'

function emitComparison(expr: Call, context: EmitContext): Value {
  const { builder } = context
  const { type } = expr.args[0]
  if (expr.fn === 'EQUALS' && expr.args[1].kind === 'literal') {
    const folded = emitFoldedEqual(expr.args[0], expr.args[1].value, context)
    if (folded !== undefined) return folded
  }
  const [a, b] = expr.args.map((arg) => emit(arg, context))
  const operator = comparisonCode[expr.fn]
  const isNull = orCode([a.isNull, b.isNull])
  if (expr.fn === 'EQUALS' || expr.fn === 'NOT_EQUALS') {
    const bytes = emitBytesEqual(a, b, expr.args, builder)
    if (bytes !== undefined) return booleanValue(expr.fn === 'EQUALS' ? bytes : `!${bytes}`, isNull)
  }
  const integers = [a, b].map((value, i) => asInteger(value, expr.args[i], builder))
  if (integers[0] !== undefined && integers[1] !== undefined)
    return strictCall([integers[0], integers[1]], 'boolean', false, true, context, ([x, y]) => `(${x} ${operator} ${y})`)
  if (comparedDirectly(type)) return strictCall([a, b], 'boolean', false, true, context, ([x, y]) => `(${x} ${operator} ${y})`)
  if (operator === '===' || operator === '!==') {
    const equal = builder.import(equalValues(type))
    return strictCall([a, b], 'boolean', false, false, context, ([x, y]) => `(${operator === '!==' ? '!' : ''}${equal}(${x}, ${y}))`)
  }
  const compare = builder.import(compareValues(type))
  return strictCall([a, b], 'boolean', false, false, context, ([x, y]) => `(${compare}(${x}, ${y}) ${operator} 0)`)
}

/** A 64-bit integer that fits into 32 bits as a number; undefined where it may not. */
function asInteger(value: Value, expr: Expr, builder: KernelBuilder): Value | undefined {
  if (value.integer !== undefined) return { ...value, code: value.integer, rep: 'number', integer: undefined }
  if (expr.kind !== 'literal' || expr.type.kind !== 'BIGINT' || typeof expr.value !== 'bigint') return undefined
  return BigInt.asIntN(32, expr.value) === expr.value ? { ...value, code: builder.constant(Number(expr.value)), rep: 'number' } : undefined
}

/** Text columns compared as bytes, with a literal or with one another. */
function emitBytesEqual(a: Value, b: Value, args: readonly Expr[], builder: KernelBuilder): string | undefined {
  if (a.utf8 === undefined && b.utf8 !== undefined) return emitBytesEqual(b, a, [args[1], args[0]], builder)
  if (a.utf8 === undefined) return undefined
  const i = a.utf8
  if (b.utf8 !== undefined) {
    const j = b.utf8
    return `${builder.import(equalSlices)}(b${i}, s${i}[row], e${i}[row], b${j}, s${j}[row], e${j}[row])`
  }
  const other = args[1]
  if (other.kind !== 'literal' || typeof other.value !== 'string') return undefined
  return bytesEqualLiteral(i, other.value, builder)
}

function emitDistinct(expr: Call, context: EmitContext): Value {
  const { builder } = context
  const [a, b] = expr.args.map((arg) => builder.once(emit(arg, context)))
  const { type } = expr.args[0]
  const equal = comparedDirectly(type) ? `${a.code} === ${b.code}` : `${builder.import(equalValues(type))}(${a.code}, ${b.code})`
  const same = `(${a.isNull} ? ${b.isNull} : !${b.isNull} && ${equal})`
  return booleanValue(expr.fn === 'IS_NOT_DISTINCT_FROM' ? same : `!${same}`)
}

/** Lists up to this length are compared one by one. */
const COMPARED_ONE_BY_ONE_MAX = 8

function emitIn(expr: Call, context: EmitContext): Value {
  const { builder } = context
  const [operand, ...items] = expr.args
  const literals = items.filter((item): item is Extract<Expr, { kind: 'literal' }> => item.kind === 'literal')
  if (literals.length < items.length || !comparedDirectly(operand.type)) return emitInByOne(expr, context)
  const values = [...new Set(literals.map((item) => item.value).filter((value) => value !== null))]
  const hasNull = literals.some((item) => item.value === null)
  const folded =
    values.length === 0 || values.length > COMPARED_ONE_BY_ONE_MAX ? [] : values.map((one) => emitFoldedEqual(operand, one, context))
  if (folded.length > 0 && folded.every((one) => one !== undefined) && !hasNull)
    return { ...folded[0], code: `(${folded.map(({ code }) => code).join(' || ')})` }
  const value = emit(operand, context)
  let found: Value
  if (value.utf8 !== undefined) {
    found = booleanValue(emitBytesIn(value.utf8, values as string[], builder), value.isNull)
  } else if (values.length <= COMPARED_ONE_BY_ONE_MAX) {
    const once = builder.once(value)
    found = strictCall([once], 'boolean', false, true, context, ([x]) => (values.length === 0 ? 'false' : `(${values.map((one) => `${x} === ${builder.constant(one)}`).join(' || ')})`)) // biome-ignore format: one thought
  } else {
    const set = builder.constant(new Set(values))
    found = strictCall([value], 'boolean', false, true, context, ([x]) => `${set}.has(${x})`)
  }
  if (!hasNull) return found
  // Not found in a list that holds NULL: unknown.
  const once = builder.once(found)
  return { ...once, isNull: orCode([once.isNull, `!${once.code}`]) }
}

function emitBytesIn(column: number, texts: string[], builder: KernelBuilder): string {
  const i = column
  if (texts.length > COMPARED_ONE_BY_ONE_MAX) return `${builder.constant(new ByteSet(texts))}.has(b${i}, s${i}[row], e${i}[row])`
  return texts.length === 0 ? 'false' : `(${texts.map((text) => bytesEqualLiteral(i, text, builder)).join(' || ')})`
}

function bytesEqualLiteral(column: number, text: string, builder: KernelBuilder): string {
  const i = column
  const bytes = utf8Of(text)
  return `(e${i}[row] - s${i}[row] === ${builder.constant(bytes.length)} && ${builder.import(equalBytes)}(b${i}, s${i}[row], ${builder.constant(bytes)}))`
}

function emitInByOne(expr: Call, context: EmitContext): Value {
  const [operand, ...items] = expr.args
  const nullable = expr.type
  const equals = items.map((item): Expr => ({ kind: 'call', fn: 'EQUALS', args: [operand, item], type: nullable }))
  if (equals.length === 1) return emit(equals[0], context)
  return emitLogic({ kind: 'call', fn: 'OR', args: equals, type: nullable }, context)
}

function emitTruth(expr: Call, context: EmitContext): Value {
  const value = emit(expr.args[0], context)
  const { isNull } = value
  const { code } = isNull === 'false' || value.safe ? value : context.builder.once(value)
  switch (expr.fn) {
    case 'IS_TRUE':
      return booleanValue(`(!${isNull} && ${code})`)
    case 'IS_NOT_TRUE':
      return booleanValue(`!(!${isNull} && ${code})`)
    case 'IS_FALSE':
      return booleanValue(`(!${isNull} && !${code})`)
    case 'IS_NOT_FALSE':
      return booleanValue(`!(!${isNull} && !${code})`)
    case 'IS_NULL':
    case 'IS_UNKNOWN':
      return keepEvaluation(value, isNull, context)
    default:
      return keepEvaluation(value, isNull === 'false' ? 'true' : isNull === 'true' ? 'false' : `!${isNull}`, context)
  }
}

/** IS NULL needs no value, but an operand that fails must fail. */
function keepEvaluation(value: Value, code: string, { builder }: EmitContext): Value {
  if (!value.safe && value.utf8 === undefined) builder.once(value)
  return booleanValue(code)
}

function emitNot(expr: Call, context: EmitContext): Value {
  const value = emit(expr.args[0], context)
  return { ...value, code: `!${value.code}`, utf8: undefined }
}

function emitCast(expr: Call, context: EmitContext): Value {
  const { builder } = context
  const [arg] = expr.args
  const value = emit(arg, context)
  const cast = castOf(arg.type, expr.type, expr.fn === 'TRY_CAST', context.timeZone)
  const rep = repOf(expr.type)
  if (isNarrowDecimal(expr, context) && repOf(arg.type) === 'bigint') {
    const shift = (expr.type as DecimalType).scale - (arg.type.kind === 'DECIMAL' ? arg.type.scale : 0)
    return strictCall([value], rep, false, true, context, ([x]) => scaledLong(x, shift, builder))
  }
  if (arg.type.kind === 'BIGINT' && expr.type.kind === 'INT' && value.integer !== undefined)
    return { ...value, code: value.integer, rep: 'number', integer: undefined }
  if (arg.type.kind === 'INT' && expr.type.kind === 'BIGINT') return value.isNull === 'true' ? nullValue(rep) : longOf(value)
  if (cast.inline !== undefined) {
    const { inline } = cast
    // Text that fits is still the bytes of its column.
    if (isTextKind(expr.type.kind)) return value
    return strictCall([value], rep, false, true, context, ([x]) => inline(x))
  }
  const fn = builder.import(cast.fn)
  return strictCall([value], rep, cast.mayBeNull, false, context, ([x]) => `${fn}(${x})`)
}

/** HOUR, MINUTE and SECOND of a timestamp in ms: a number of 32 bits; undefined for all else. */
function emitTimeOfDay(expr: Call, context: EmitContext): Value | undefined {
  const [arg] = expr.args
  const { type } = arg
  const isLocal = type.kind === 'TIMESTAMP' || (type.kind === 'TIMESTAMP_LTZ' && context.timeZone === 'UTC')
  const of = timesOfDay[String(expr.options?.unit)]
  if (!isLocal || type.precision > 3 || of === undefined) return undefined
  const { builder } = context
  const name = builder.import(of)
  // Of a column it is computed once for a row, where it is first needed; no such part of a time is 99.
  const known = arg.kind === 'column' ? builder.perRow(`time${arg.index}_${name}`, (key) => `let ${key} = 99`) : undefined
  const number = strictCall([emit(arg, context)], 'number', false, true, context, ([x]) =>
    known === undefined ? `${name}(${x})` : `(${known} !== 99 ? ${known} : (${known} = ${name}(${x})))`,
  )
  return number.isNull === 'true' ? nullValue('bigint') : longOf(number)
}

/** NULL without a string where the text surely does not match. */
function emitRegexpExtract(expr: Call, context: EmitContext): Value {
  const { builder } = context
  const [operand, pattern, group] = expr.args
  const mayMatch = emitMayMatch(operand, pattern.kind === 'literal' ? pattern.value : undefined, context)
  if (mayMatch === undefined || (group !== undefined && group.kind !== 'literal')) return emitFunction(expr, context)
  const name = builder.fresh()
  const nullName = builder.fresh('n')
  const { isNull } = emit(operand, context)
  const { result, lines } = builder.nested(() => emitFunction(expr, context))
  builder.line(`let ${name} = null, ${nullName} = true
if (${isNull === 'false' ? '' : `!${isNull} && `}${mayMatch}) { ${lines.join('\n')}
if (!${result.isNull}) { ${name} = ${result.code}; ${nullName} = false } }`)
  return { code: name, isNull: nullName, safe: true, rep: 'any' }
}

function emitFunction(expr: Call, context: EmitContext): Value {
  const { builder } = context
  const implementation = implementations[expr.fn]
  if (implementation === undefined) throw expressionErrors('EXPRESSION_FUNCTION_UNKNOWN', { fn: expr.fn })
  const fn = builder.import(makeFunction(expr, context))
  const args = expr.args.map((arg) => emit(arg, context))
  const rep = repOf(expr.type)
  if (implementation.nulls !== 'called') {
    return strictCall(args, rep, implementation.nulls === 'maybe', false, context, (codes) => `${fn}(${codes.join(', ')})`)
  }
  const codes = args.map((arg) => (arg.isNull === 'false' ? arg.code : `(${arg.isNull} ? null : ${arg.code})`))
  return builder.guarded('false', rep, () => `${fn}(${codes.join(', ')})`, true)
}

/** The implementation of a call, made for its types, options and literals. */
export function makeFunction(expr: Call, { timeZone, random }: Pick<EmitContext, 'timeZone' | 'random'>): RowFunction {
  const context: CallContext = {
    fn: expr.fn,
    argTypes: expr.args.map((arg) => arg.type),
    type: expr.type,
    options: expr.options ?? {},
    literals: expr.args.map((arg) => (arg.kind === 'literal' ? { value: arg.value } : undefined)),
    timeZone,
    random,
  }
  return implementations[expr.fn].make(context)
}

const NOW = 'batch.processingTimeMs'
const now = (rep: Rep, code: string): Value => ({ code, isNull: 'false', safe: true, rep })
/** Time of day and date of the batch's processing time, computed once for a batch. */
const perBatch =
  (key: string, of: (nowMs: number, timeZone: string) => number): Emitter =>
  (_, { builder, timeZone }) =>
    now('number', builder.perBatch(key, `${builder.import(of)}(${NOW}, ${builder.constant(timeZone)})`))
const instant: Emitter = () => now('number', NOW)

/** The watermark in force for a row; NULL before the first one. */
function emitCurrentWatermark(_: Call, { builder }: EmitContext): Value {
  const before = builder.perBatch('watermarks', 'batch.watermarksBefore')
  const name = builder.once(now('number', `(${before} === undefined ? -Infinity : ${before}[row])`)).code
  return { code: name, isNull: `(${name} === -Infinity)`, safe: true, rep: 'number' }
}

function emitUnixTimestamp(expr: Call, context: EmitContext): Value {
  if (expr.args.length > 0) return emitFunction(expr, context)
  return now('bigint', context.builder.perBatch('nowSeconds', `BigInt(Math.floor(${NOW} / 1000))`))
}

const emitters: Record<string, Emitter> = {
  AND: emitLogic,
  OR: emitLogic,
  NOT: emitNot,
  ...Object.fromEntries(Object.keys(comparisonCode).map((fn) => [fn, emitComparison])),
  IS_DISTINCT_FROM: emitDistinct,
  IS_NOT_DISTINCT_FROM: emitDistinct,
  ...Object.fromEntries(
    ['IS_TRUE', 'IS_NOT_TRUE', 'IS_FALSE', 'IS_NOT_FALSE', 'IS_NULL', 'IS_NOT_NULL', 'IS_UNKNOWN', 'IS_NOT_UNKNOWN'].map((fn) => [
      fn,
      emitTruth,
    ]),
  ),
  CASE: (expr, context) => emitCase(expr.args, expr.type, context),
  IF: (expr, context) => emitCase(expr.args, expr.type, context),
  COALESCE: emitCoalesce,
  IN: emitIn,
  CAST: emitCast,
  TRY_CAST: emitCast,
  SPLIT_INDEX: (expr, context) => emitSplitIndex(expr, context) ?? emitFunction(expr, context),
  EXTRACT: (expr, context) => emitTimeOfDay(expr, context) ?? emitFunction(expr, context),
  CHAR_LENGTH: (expr, context) => emitCharLength(expr, context) ?? emitFunction(expr, context),
  REGEXP_EXTRACT: emitRegexpExtract,
  LIKE: (expr, context) => emitLike(expr, context, emitFunction),
  ...Object.fromEntries(['PLUS', 'MINUS', 'TIMES', 'DIVIDE', 'MOD', 'UNARY_MINUS'].map((fn) => [fn, emitArithmetic])),
  CURRENT_TIMESTAMP: instant,
  NOW: instant,
  CURRENT_ROW_TIMESTAMP: instant,
  PROCTIME: instant,
  LOCALTIMESTAMP: perBatch('localTimestamp', localTimestampMs),
  CURRENT_DATE: perBatch('currentDate', currentDateDays),
  CURRENT_TIME: perBatch('currentTime', currentTimeMs),
  LOCALTIME: perBatch('currentTime', currentTimeMs),
  CURRENT_WATERMARK: emitCurrentWatermark,
  UNIX_TIMESTAMP: emitUnixTimestamp,
  SOURCE_WATERMARK: () => {
    throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn: 'SOURCE_WATERMARK', reason: 'it can stand only in a WATERMARK clause' })
  },
}
