// Kernels that avoid strings and BigInts, against the functions and the arithmetic that they stand for.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Batch, batchOf, type Column, type SqlType, t, valueAt } from '../../data/index.ts'
import type { Expr } from '../../sql/index.ts'
import { KeyTable } from '../state/keyTable.ts'
import { compileCalc, compileScalar } from './index.ts'
import { requiredText } from './slices.ts'

const column = (index: number, type: SqlType): Expr => ({ kind: 'column', index, type })
const literal = (value: unknown, type: SqlType): Expr => ({ kind: 'literal', value, type })
const call = (fn: string, args: Expr[], type: SqlType): Expr => ({ kind: 'call', fn, args, type })

/** Texts as bytes, one after the other with a byte between. */
function utf8Batch(texts: (string | null)[]): Batch {
  const parts = texts.map((text) => Buffer.from(`${text ?? '/lost/'}|`))
  let at = 0
  const starts = Int32Array.from(parts, (part) => (at += part.length) - part.length)
  const column: Column = {
    lane: 'utf8',
    bytes: Buffer.concat(parts),
    starts,
    ends: starts.map((start, i) => start + parts[i].length - 1),
    nulls: Uint8Array.from(texts, (text) => (text === null ? 1 : 0)),
  }
  return { rowCount: texts.length, columns: [column], watermarkAfter: 0, processingTimeMs: 0 }
}

const words = fc.constantFrom(
  '',
  '/',
  'a',
  'A',
  'kk',
  'é',
  'É',
  '\u212a',
  'apple',
  'APPLE',
  'Äpple',
  '&id=',
  'id=7',
  '&',
  '😀',
  'i\u0307',
  'İ',
)
const texts = fc.array(fc.option(fc.array(words, { maxLength: 6 }).map((parts) => parts.join(''))), { minLength: 1, maxLength: 20 })
const text = column(0, t.string())
const fields = [{ name: 's', type: t.string() }]

test('functions on bytes give what they give on strings', () => {
  const exprs = [
    ...['/', '&', 'kk', 'é', '😀'].flatMap((by) =>
      [0, 1, 2].map((index) => call('SPLIT_INDEX', [text, literal(by, t.string(false)), literal(index, t.int(false))], t.string())),
    ),
    ...['LOWER', 'UPPER'].flatMap((fn) =>
      ['apple', 'APPLE', 'k', 'KK', 'é', 'i\u0307', ''].flatMap((word) => {
        const folded = call(fn, [text], t.string())
        const other = literal(word, t.string(false))
        return [
          call('EQUALS', [folded, other], t.boolean()),
          call('IN', [folded, other, literal('a', t.string(false))], t.boolean()),
          call('IS_TRUE', [call('EQUALS', [folded, other], t.boolean())], t.boolean(false)),
        ]
      }),
    ),
    call('CHAR_LENGTH', [text], t.int()),
    ...['/', 'k', 'kk', 'apple', 'é', '😀'].flatMap((search) =>
      ['', 'k', '😀é'].map((by) =>
        call('CHAR_LENGTH', [call('REPLACE', [text, literal(search, t.string(false)), literal(by, t.string(false))], t.string())], t.int()),
      ),
    ),
    ...['%kk%', '%apple%', '%é%', '%id=7&%'].map((pattern) => call('LIKE', [text, literal(pattern, t.string(false))], t.boolean())),
    ...['(&|^)id=([^&]*)', 'apple', '(apple|a)', 'appl(e)?', '[a]pple(.*)'].map((pattern) =>
      call('REGEXP_EXTRACT', [text, literal(pattern, t.string(false)), literal(0, t.int(false))], t.string()),
    ),
  ]
  const kernels = exprs.map((expr) => ({ expr, onBytes: compileScalar(expr, fields), onStrings: compileScalar(expr, fields) }))
  fc.assert(
    fc.property(texts, (values) => {
      const bytes = utf8Batch(values)
      const strings = batchOf(
        fields,
        values.map((value) => [value]),
      )
      for (const { expr, onBytes, onStrings } of kernels) {
        const [a, b] = [onBytes(bytes), onStrings(strings)]
        values.forEach((value, row) => {
          assert.equal(valueAt(a, row), valueAt(b, row), `${JSON.stringify(expr)} of ${value}`)
        })
      }
    }),
  )
})

test('a call in several places gives in each what it gives alone', () => {
  const word = (value: string) => literal(value, t.string(false))
  const id = call('REGEXP_EXTRACT', [text, word('(&|^)id=([^&]*)'), literal(2, t.int(false))], t.string())
  const upper = call('UPPER', [text], t.string())
  const repeated = call('REPEAT', [upper, literal(2, t.int(false))], t.string())
  const predicate = call(
    'OR',
    [call('IS_NOT_NULL', [id], t.boolean(false)), call('EQUALS', [call('REVERSE', [upper], t.string()), word('AKK')], t.boolean())],
    t.boolean(),
  )
  const projections = [
    call('CASE', [call('EQUALS', [repeated, word('AA')], t.boolean()), word('two'), id], t.string()),
    id,
    upper,
    repeated,
  ]
  const run = compileCalc({ predicate, projections }, fields)
  const passes = compileScalar(predicate, fields)
  const alone = projections.map((expr) => compileScalar(expr, fields))
  const fail = (_: number, error: Error) => {
    throw error
  }
  fc.assert(
    fc.property(texts, (values) => {
      const batch = utf8Batch(values)
      const passed = passes(batch)
      const rows = values.flatMap((_, row) => (valueAt(passed, row) === true ? [row] : []))
      const expected = rows.map((row) => alone.map((of) => valueAt(of(batch), row)))
      const out = run(batch, fail)
      assert.deepEqual(
        rows.map((_, row) => out!.columns.map((column) => valueAt(column, row))),
        expected,
      )
      assert.equal(out?.rowCount ?? 0, rows.length)
    }),
  )
})

test('pieces of one text, in any order', () => {
  const pieces = [2, 0, 1, 1, 3].map((index) =>
    call(
      'COALESCE',
      [call('SPLIT_INDEX', [text, literal('/', t.string(false)), literal(index, t.int(false))], t.string()), literal('-', t.string(false))],
      t.string(false),
    ),
  )
  const all = call('CONCAT', pieces, t.string(false))
  const run = compileScalar(all, fields)
  fc.assert(
    fc.property(texts, (values) => {
      const out = run(utf8Batch(values))
      values.forEach((value, row) => {
        const parts = value === null || value === '' ? [] : value.split('/')
        assert.equal(valueAt(out, row), [2, 0, 1, 1, 3].map((index) => parts[index] ?? '-').join(''))
      })
    }),
  )
})

test('a piece of a text stays in the bytes of its column', () => {
  const expr = call('SPLIT_INDEX', [text, literal('/', t.string(false)), literal(1, t.int(false))], t.string())
  const out = compileScalar(expr, fields)(utf8Batch(['a/b/c', null, 'x']))
  assert.equal(out.lane, 'utf8')
  assert.deepEqual(
    [0, 1, 2].map((row) => valueAt(out, row)),
    ['b', null, null],
  )
})

test('a text that every match holds', () => {
  const cases: [string, string | undefined][] = [
    ['(&|^)channel_id=([^&]*)', 'channel_id='],
    ['abcd|efgh', undefined],
    ['(abcd)?x', undefined],
    ['abcde*', 'abcd'],
    ['abcd?', undefined],
    ['a{1000,2000}', undefined],
    ['abcd{2}ef', undefined],
    ['(?i)abcd', undefined],
    ['\\Qabcd\\E', undefined],
    ['[abcd]', undefined],
    ['user=(\\d+)', undefined],
    ['user=([0-9]+)&', 'user='],
  ]
  for (const [pattern, expected] of cases) assert.equal(requiredText(pattern), expected, pattern)
})

test('decimals of more than 18 digits: 64 bits where a batch fits, BigInts where it does not, the same values', () => {
  const decimal = (precision: number, scale: number) => t.decimal(precision, scale)
  const wide = call('CAST', [column(0, t.bigint())], decimal(19, 0))
  const product = call('TIMES', [literal(908n, decimal(4, 3)), wide], decimal(24, 3))
  const exprs: { expr: Expr; of: (x: bigint) => bigint | null }[] = [
    { expr: product, of: (x) => 908n * x },
    { expr: call('CAST', [product], decimal(23, 3)), of: (x) => 908n * x },
    { expr: call('MINUS', [product, wide], decimal(25, 3)), of: (x) => 908n * x - 1000n * x },
    { expr: call('CAST', [wide], decimal(22, 3)), of: (x) => 1000n * x },
    { expr: call('TIMES', [wide, wide], decimal(38, 0)), of: (x) => x * x },
  ]
  const isGreater = call('GREATER', [product, literal(10n ** 15n, decimal(24, 3))], t.boolean())
  const numbers = fc.constantFrom(
    null,
    0n,
    1n,
    -1n,
    (1n << 43n) - 1n,
    1n << 43n,
    -(1n << 43n),
    -(1n << 43n) - 1n,
    (1n << 63n) - 1n,
    -(1n << 63n),
  )
  const kernels = exprs.map(({ expr, of }) => ({ of, run: compileScalar(expr, [{ name: 'l', type: t.bigint() }]) }))
  const compare = compileScalar(isGreater, [{ name: 'l', type: t.bigint() }])
  const lanes = new Set<string>()
  fc.assert(
    fc.property(fc.array(numbers, { minLength: 1, maxLength: 4 }), (values) => {
      const batch = batchOf(
        [{ name: 'l', type: t.bigint() }],
        values.map((value) => [value]),
      )
      for (const { of, run } of kernels) {
        const out = run(batch)
        lanes.add(out.lane)
        values.forEach((value, row) => {
          assert.equal(valueAt(out, row), value === null ? null : of(value))
        })
        // As a key it is what it was in the other lane.
        const type = decimal(38, 0)
        const table = new KeyTable([type])
        const [groups, again] = [new Int32Array(values.length), new Int32Array(values.length)]
        table.lookup([out], values.length, groups)
        const boxed: Column = { lane: 'any', data: values.map((_, row) => valueAt(out, row)) }
        table.find([boxed], values.length, again)
        assert.deepEqual(again, groups)
      }
      values.forEach((value, row) => {
        assert.equal(valueAt(compare(batch), row), value === null ? null : 908n * value > 10n ** 15n)
      })
    }),
    { numRuns: 300 },
  )
  assert.deepEqual([...lanes].sort(), ['any', 'i64'])
})

test('small 64-bit integers as numbers of 32 bits: the same values as in 64 bits', () => {
  const bigint = t.bigint()
  const [long, time] = [column(0, bigint), column(1, t.timestamp(3))]
  const n = (value: bigint) => literal(value, t.bigint(false))
  const extract = (unit: string): Expr => ({ kind: 'call', fn: 'EXTRACT', args: [time], type: bigint, options: { unit } })
  const wrapped = (value: bigint) => Number(BigInt.asIntN(32, value))
  type Row = [long: bigint | null, time: number | null]
  const ofLong = (of: (x: bigint) => unknown) => (row: Row) => (row[0] === null ? null : of(row[0]))
  const ofTime = (of: (x: number) => unknown) => (row: Row) => (row[1] === null ? null : of(row[1]))
  const cases: { expr: Expr; of: (row: Row) => unknown }[] = [
    ...[7n, -7n, 10_000n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 40n, 1n].flatMap((by) => {
      const rest = call('MOD', [long, n(by)], bigint)
      return [
        { expr: rest, of: ofLong((x) => x % by) },
        { expr: call('CAST', [rest], t.int()), of: ofLong((x) => wrapped(x % by)) },
        { expr: call('CAST', [call('CAST', [rest], t.int())], bigint), of: ofLong((x) => BigInt(wrapped(x % by))) },
        { expr: call('MOD', [rest, n(5n)], bigint), of: ofLong((x) => (x % by) % 5n) },
        { expr: call('LESS_OR_EQUAL', [rest, n(3n)], t.boolean()), of: ofLong((x) => x % by <= 3n) },
        { expr: call('GREATER', [rest, long], t.boolean()), of: ofLong((x) => x % by > x) },
        { expr: call('IS_NOT_DISTINCT_FROM', [rest, n(0n)], t.boolean()), of: ([x]: Row) => x !== null && x % by === 0n },
      ]
    }),
    ...Object.entries({ HOUR: 3_600_000, MINUTE: 60_000, SECOND: 1_000 }).flatMap(([unit, size]) => {
      // Before 1970 cut toward it, as Flink does.
      const value = (ms: number) => BigInt(Math.trunc(ms / size) % (unit === 'HOUR' ? 24 : 60))
      return [
        { expr: extract(unit), of: ofTime(value) },
        { expr: call('EQUALS', [extract(unit), n(0n)], t.boolean()), of: ofTime((ms) => value(ms) === 0n) },
        { expr: call('GREATER', [extract(unit), n(2n ** 40n)], t.boolean()), of: ofTime(() => false) },
        { expr: call('PLUS', [extract(unit), extract(unit)], bigint), of: ofTime((ms) => 2n * value(ms)) },
      ]
    }),
  ]
  const inputs = [
    { name: 'l', type: bigint },
    { name: 'ts', type: t.timestamp(3) },
  ]
  const longs = fc.oneof(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.bigInt({ min: -(2n ** 54n), max: 2n ** 54n }),
    fc.bigInt({ min: -50_000n, max: 50_000n }),
    fc.constantFrom(
      2n ** 31n,
      -(2n ** 31n),
      2n ** 32n,
      2n ** 53n,
      -(2n ** 53n),
      2n ** 53n - 1n,
      2n ** 31n - 1n,
      (2n ** 31n - 1n) * 4_000_000n,
      (2n ** 31n - 1n) * 4_000_000n - 1n,
      1n - (2n ** 31n - 1n) * 4_000_000n,
    ),
  )
  const times = fc.oneof(
    fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
    fc.integer({ min: -99, max: 99 }).map((hours) => hours * 3_600_000),
    fc.integer({ min: -2, max: 2 }),
  )
  const kernels = cases.map(({ expr, of }) => ({ expr, of, run: compileScalar(expr, inputs) }))
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.option(longs), fc.option(times)), { minLength: 1, maxLength: 4 }), (rows) => {
      const batch = batchOf(inputs, rows)
      for (const { expr, of, run } of kernels) {
        const out = run(batch)
        rows.forEach((row, i) => {
          assert.equal(valueAt(out, i), of(row), `${expr.kind === 'call' ? expr.fn : ''} of ${row}`)
        })
      }
    }),
    { numRuns: 1_000 },
  )
})

test('characters of long texts are counted', () => {
  const without = call('REPLACE', [text, literal('c', t.string(false)), literal('', t.string(false))], t.string())
  const run = compileScalar(call('CHAR_LENGTH', [without], t.int()), fields)
  for (const [value, expected] of [
    ['c'.repeat(5_000), 0],
    ['\u0000b\u007fc'.repeat(1_025), 3 * 1_025],
    [`${'c'.repeat(1_021)}é`, 1],
  ] as const)
    assert.equal(valueAt(run(utf8Batch([value])), 0), expected)
})
