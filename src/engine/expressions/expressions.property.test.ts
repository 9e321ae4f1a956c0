// Kernels against a tree-walking interpreter that shares no code with them: same rows, same NULLs, same failing rows.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Batch, Column, Field, SqlType } from '../../data/index.ts'
import { batchOf, rowAt, t } from '../../data/index.ts'
import type { Expr } from '../../sql/index.ts'
import { resolveCall } from '../../sql/index.ts'
import { compileCalc } from './index.ts'

// ---------------------------------------------------------------- the model

/** Thrown by the model where a row must fail. */
class RowFails extends Error {}

const intBits: Record<string, number> = { INT: 32, BIGINT: 64 }
function arithmetic(fn: string, a: number | bigint, b: number | bigint, type: SqlType): number | bigint {
  if (type.kind === 'DOUBLE') {
    const [x, y] = [Number(a), Number(b)]
    return fn === 'PLUS' ? x + y : fn === 'MINUS' ? x - y : fn === 'TIMES' ? x * y : fn === 'DIVIDE' ? x / y : x % y
  }
  const [x, y] = [BigInt(a), BigInt(b)]
  if ((fn === 'DIVIDE' || fn === 'MOD') && y === 0n) throw new RowFails()
  const exact = fn === 'PLUS' ? x + y : fn === 'MINUS' ? x - y : fn === 'TIMES' ? x * y : fn === 'DIVIDE' ? x / y : x % y
  if (type.kind === 'DECIMAL') return exact
  const wrapped = BigInt.asIntN(intBits[type.kind], exact)
  return type.kind === 'BIGINT' ? wrapped : Number(wrapped)
}

function likeMatches(text: string, pattern: string): boolean {
  if (pattern === '') return true
  const points = [...text]
  const parts = [...pattern]
  const match = (i: number, j: number): boolean => {
    if (j === parts.length) return i === points.length
    if (parts[j] === '%') return match(i, j + 1) || (i < points.length && match(i + 1, j))
    return i < points.length && (parts[j] === '_' ? points[i] !== '\n' : parts[j] === points[i]) && match(i + 1, j + 1)
  }
  return match(0, 0)
}

type Value = unknown
/** TRUE or not: where only this matters, NULL ends an AND as FALSE does, and what stands behind it is not reached. */
function holds(expr: Expr, row: readonly Value[]): boolean {
  if (expr.kind !== 'call' || (expr.fn !== 'AND' && expr.fn !== 'OR')) return evaluate(expr, row) === true
  return expr.fn === 'AND' ? expr.args.every((arg) => holds(arg, row)) : expr.args.some((arg) => holds(arg, row))
}

function evaluate(expr: Expr, row: readonly Value[]): Value {
  if (expr.kind === 'column') return row[expr.index]
  if (expr.kind === 'literal') return expr.value
  const value = (index: number) => evaluate(expr.args[index], row)
  switch (expr.fn) {
    case 'AND':
    case 'OR': {
      const decisive = expr.fn === 'OR'
      let unknown = false
      for (const arg of expr.args) {
        const one = evaluate(arg, row)
        if (one === decisive) return decisive
        if (one === null) unknown = true
      }
      return unknown ? null : !decisive
    }
    case 'NOT': {
      const one = value(0)
      return one === null ? null : !one
    }
    case 'IS_NULL':
      return value(0) === null
    case 'IS_NOT_NULL':
      return value(0) !== null
    case 'IS_TRUE':
      return value(0) === true
    case 'IS_NOT_FALSE':
      return value(0) !== false
    case 'IS_DISTINCT_FROM':
      return value(0) !== value(1)
    case 'CASE':
      for (let i = 0; i + 1 < expr.args.length; i += 2) if (holds(expr.args[i], row)) return value(i + 1)
      return value(expr.args.length - 1)
    case 'IF':
      return holds(expr.args[0], row) ? value(1) : value(2)
    case 'COALESCE':
      for (const arg of expr.args) {
        const one = evaluate(arg, row)
        if (one !== null) return one
      }
      return null
    case 'IN': {
      const operand = value(0)
      const items = expr.args.slice(1).map((arg) => evaluate(arg, row))
      if (operand === null) return null
      return items.includes(operand) ? true : items.includes(null) ? null : false
    }
    default:
      break
  }
  const args = expr.args.map((_, index) => value(index))
  if (args.includes(null)) return null
  const [a, b] = args as never[]
  switch (expr.fn) {
    case 'EQUALS':
      return a === b
    case 'NOT_EQUALS':
      return a !== b
    case 'LESS':
      return a < b
    case 'GREATER_OR_EQUAL':
      return a >= b
    case 'LIKE':
      return likeMatches(a, b)
    case 'CONCAT':
      return `${a}${b}`
    case 'UPPER':
      return String(a).toUpperCase()
    case 'CHAR_LENGTH':
      return [...String(a)].length
    case 'UNARY_MINUS':
      return expr.type.kind === 'DOUBLE' ? -(a as number) : arithmetic('MINUS', expr.type.kind === 'BIGINT' ? 0n : 0, a, expr.type)
    case 'CAST': {
      const from = expr.args[0].type.kind
      if (from === 'CHAR' || from === 'VARCHAR') return a
      if (expr.type.kind === 'BIGINT') return BigInt(a)
      return Number(a)
    }
    default:
      return arithmetic(expr.fn, a, b, expr.type)
  }
}

// ---------------------------------------------------------------- random expressions

const fields: Field[] = [
  { name: 'i', type: t.int() },
  { name: 'j', type: t.int() },
  { name: 'l', type: t.bigint() },
  { name: 'd', type: t.double() },
  { name: 's', type: t.string() },
  { name: 'u', type: t.string() },
  { name: 'b', type: t.boolean() },
]
const texts = ['', 'a', 'ab', 'ba', 'é', '😀b', 'a\nb', 'view']
const ints = fc.constantFrom(0, 1, -1, 2, 7, 2_147_483_647, -2_147_483_648)
const longs = fc.constantFrom(0n, 1n, -3n, 9_223_372_036_854_775_807n, -9_223_372_036_854_775_808n)
const doubles = fc.constantFrom(0, -0, 1.5, -2, Number.NaN, Number.POSITIVE_INFINITY)
const text = fc.constantFrom(...texts)
const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null, freq: 4 })
const rowArbitrary = fc.tuple(orNull(ints), orNull(ints), orNull(longs), orNull(doubles), orNull(text), orNull(text), orNull(fc.boolean()))

const column = (index: number): Expr => ({ kind: 'column', index, type: fields[index].type })
const literal = (arbitrary: fc.Arbitrary<unknown>, type: (value: unknown) => SqlType): fc.Arbitrary<Expr> =>
  arbitrary.map((value): Expr => ({ kind: 'literal', value, type: { ...type(value), nullable: value === null } }))
const call = (name: string, ...args: Expr[]): Expr => resolveCall(name, args)

const { number, string, boolean } = fc.letrec<{ number: Expr; string: Expr; boolean: Expr }>((tie) => ({
  number: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom(0, 1, 2, 3).map(column),
    literal(orNull(ints), () => t.int()),
    literal(orNull(longs), () => t.bigint()),
    literal(doubles, () => t.double()),
    fc.tuple(fc.constantFrom('PLUS', 'MINUS', 'TIMES', 'DIVIDE', 'MOD'), tie('number'), tie('number')).map(([fn, a, b]) =>
      call(fn === 'MOD' && [a, b].some(({ type }) => type.kind === 'DOUBLE') ? 'TIMES' : fn, a, b),
    ),
    tie('number').map((a) => call('UNARY_MINUS', a)),
    tie('string').map((a) => call('CHAR_LENGTH', a)),
    fc.tuple(tie('boolean'), tie('number'), tie('number')).map(([c, a, b]) => call('CASE', c, a, b)),
    fc.tuple(tie('number'), tie('number')).map(([a, b]) => call('COALESCE', a, b)),
  ),
  string: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom(4, 5).map(column),
    literal(orNull(text), (value) => (value === null ? t.string() : t.char(Math.max(1, [...String(value)].length)))),
    fc.tuple(tie('string'), tie('string')).map(([a, b]) => call('||', a, b)),
    tie('string').map((a) => call('UPPER', a)),
    fc.tuple(tie('boolean'), tie('string'), tie('string')).map(([c, a, b]) => call('CASE', c, a, b)),
    fc.tuple(tie('string'), tie('string')).map(([a, b]) => call('COALESCE', a, b)),
  ),
  boolean: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constant(column(6)),
    literal(orNull(fc.boolean()), () => t.boolean()),
    fc.tuple(fc.constantFrom('AND', 'OR'), tie('boolean'), tie('boolean'), tie('boolean')).map(([fn, ...args]) => call(fn, ...args)),
    tie('boolean').map((a) => call('NOT', a)),
    fc.tuple(fc.constantFrom('IS_NULL', 'IS_NOT_NULL', 'IS_TRUE', 'IS_NOT_FALSE'), tie('boolean')).map(([fn, a]) => call(fn, a)),
    fc.oneof(tie('number'), tie('string')).map((a) => call('IS_NULL', a)),
    fc.tuple(fc.constantFrom('EQUALS', 'NOT_EQUALS', 'LESS', 'GREATER_OR_EQUAL', 'IS_DISTINCT_FROM'), tie('number'), tie('number')).map(([fn, a, b]) => call(fn, a, b)),
    fc.tuple(fc.constantFrom('EQUALS', 'NOT_EQUALS', 'IS_DISTINCT_FROM'), tie('string'), tie('string')).map(([fn, a, b]) => call(fn, a, b)),
    fc.tuple(tie('string'), fc.array(literal(orNull(text), (value) => (value === null ? t.string() : t.char(5))), { minLength: 1, maxLength: 12 })).map(([a, items]) => call('IN', a, ...items)),
    fc.tuple(tie('number'), fc.array(literal(orNull(ints), () => t.int()), { minLength: 1, maxLength: 12 })).map(([a, items]) => call('IN', a, ...items)),
    fc.tuple(tie('string'), fc.constantFrom('a%', '%b', '%a%', '', 'ab', '_b', 'a_%', '%')).map(([a, pattern]) => call('LIKE', a, { kind: 'literal', value: pattern, type: t.char(4, false) })),
  ),
})) // biome-ignore format: one rule a line

// ---------------------------------------------------------------- the law

const encoder = new TextEncoder()
/** The same text as bytes in an arena, as decoders give it. */
function asUtf8(source: Column): Column {
  if (source.lane !== 'any') return source
  const parts = source.data.map((value) => encoder.encode((value as string | null) ?? ''))
  const starts = new Int32Array(parts.length)
  const ends = new Int32Array(parts.length)
  const bytes: number[] = [33]
  for (const [row, part] of parts.entries()) {
    starts[row] = bytes.length
    bytes.push(...part)
    ends[row] = bytes.length
  }
  return { lane: 'utf8', bytes: Uint8Array.from(bytes), starts, ends, nulls: source.nulls }
}

const FAILED = Symbol('failed')
const orFailed = (compute: () => Value): Value | typeof FAILED => {
  try {
    return compute()
  } catch (error) {
    if (error instanceof RowFails) return FAILED
    throw error
  }
}

function check(predicate: Expr | undefined, projections: Expr[], rows: Value[][], utf8: boolean[]): void {
  const plain = batchOf(fields, rows, {
    watermarkAfter: 5,
    processingTimeMs: 9,
    watermarksBefore: Float64Array.from(rows, (_, row) => row),
  })
  const batch: Batch = {
    ...plain,
    columns: plain.columns.map((one, index) => ((index === 4 && utf8[0]) || (index === 5 && utf8[1]) ? asUtf8(one) : one)),
  }
  const failed: number[] = []
  const calc = compileCalc({ predicate, projections }, fields)
  const result = calc(batch, (row) => failed.push(row))
  const expected: Value[][] = []
  const watermarks: number[] = []
  const failing: number[] = []
  for (const [ordinal, row] of rows.entries()) {
    const passes = predicate === undefined ? true : orFailed(() => holds(predicate, row))
    if (passes === FAILED) failing.push(ordinal)
    if (passes !== true) continue
    const values = projections.map((expr) => orFailed(() => evaluate(expr, row)))
    if (values.includes(FAILED)) failing.push(ordinal)
    else {
      expected.push(values)
      watermarks.push(ordinal)
    }
  }
  const actual = result === undefined ? [] : Array.from({ length: result.rowCount }, (_, row) => rowAt(result, row))
  assert.deepEqual(actual, expected)
  assert.deepEqual(result?.watermarksBefore === undefined ? [] : [...result.watermarksBefore], watermarks)
  assert.deepEqual(
    failed.sort((a, b) => a - b),
    failing,
  )
}

const anyExpr = fc.oneof(number, string, boolean)
const lanes = fc.tuple(fc.boolean(), fc.boolean())

test('a projection equals its interpretation', () => {
  fc.assert(
    fc.property(
      fc.array(anyExpr, { minLength: 1, maxLength: 4 }),
      fc.array(rowArbitrary, { minLength: 1, maxLength: 12 }),
      lanes,
      (exprs, rows, utf8) => {
        check(undefined, exprs, rows as Value[][], utf8)
      },
    ),
    { numRuns: 600 },
  )
})

test('a filter with a projection equals its interpretation', () => {
  fc.assert(
    fc.property(
      boolean,
      fc.array(anyExpr, { maxLength: 3 }),
      fc.array(rowArbitrary, { minLength: 1, maxLength: 12 }),
      lanes,
      (predicate, exprs, rows, utf8) => {
        check(predicate, [column(4), column(2), ...exprs], rows as Value[][], utf8)
      },
    ),
    { numRuns: 600 },
  )
})

test('a row that fails after a NULL was written leaves no NULL behind', () => {
  const quotient = call('DIVIDE', column(0), column(1))
  const rows = [
    [4, 0, null, 0, '', '', true],
    [4, 2, 1n, 0, '', '', true],
  ]
  check(undefined, [call('PLUS', column(2), column(2)), quotient], rows, [false, false])
})

test('a chain of ten thousand ORs compiles and runs', () => {
  const operands = Array.from(
    { length: 10_000 },
    (_, i): Expr => call('EQUALS', column(0), { kind: 'literal', value: i, type: t.int(false) }),
  )
  const predicate = operands.reduce((a, b): Expr => ({ kind: 'call', fn: 'OR', args: [a, b], type: t.boolean() }))
  const result = compileCalc({ predicate, projections: [column(0)] }, fields)(
    batchOf(fields, [[9_999, 0, 0n, 0, '', '', true]]),
    assert.fail,
  )
  assert.equal(result?.rowCount, 1)
})
