import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type SqlType, t } from '../data/index.ts'
import { isLike } from './filter.ts'
import { jsonOf, parseValue, textOf } from './text.ts'

test('JSON of each type', () => {
  const cases: [SqlType, unknown, string][] = [
    [t.bigint(), 9007199254740993n, '9007199254740993'],
    [t.bigint(), -9223372036854775808n, '-9223372036854775808'],
    [t.decimal(18, 2), -5n, '-0.05'],
    [t.decimal(38, 0), 10n ** 37n, `1${'0'.repeat(37)}`],
    [t.boolean(), true, 'true'],
    [t.double(), 1e21, '1e+21'],
    [t.double(), Number.NaN, '"NaN"'],
    [t.double(), -0, '-0'],
    [t.float(), Math.fround(0.1), '0.1'],
    [t.string(), 'a"\n\u2028', '"a\\"\\n\u2028"'],
    [t.bytes(), Uint8Array.of(1, 255), '"Af8="'],
    [t.date(), -1, '"1969-12-31"'],
    [t.time(3), 3_723_004, '"01:02:03.004"'],
    [t.time(0), 3_723_000, '"01:02:03"'],
    [t.timestamp(3), 1_767_225_610_000, '"2026-01-01 00:00:10.000"'],
    [t.timestamp(0), -1000, '"1969-12-31 23:59:59"'],
    [t.timestamp(9), -1n, '"1969-12-31 23:59:59.999999999"'],
    [t.timestampLtz(3), 0, '"1970-01-01 00:00:00.000Z"'],
    [t.timestamp(3), 1e17, '"100000000000000000"'],
    [t.array(t.bigint()), [1n, null], '[1,null]'],
    [t.map(t.string(), t.bigint()), new Map([['a"', 1n]]), '{"a\\"":1}'],
    [t.multiset(t.int()), new Map([[7, 2]]), '{"7":2}'],
    [t.row([{ name: 'x', type: t.decimal(4, 1) }]), [15n], '{"x":1.5}'],
    [t.int(), null, 'null'],
  ]
  for (const [type, value, expected] of cases) assert.equal(jsonOf(type)(value), expected)
  assert.equal(jsonOf(t.map(t.string(), t.bigint()), { numbersAsText: true })(new Map([['a', 1n]])), '{"a":"1"}')
})

test('what is written is read back as the same value', () => {
  const dateMs = fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 })
  const cases: [SqlType, fc.Arbitrary<unknown>][] = [
    [t.bigint(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })],
    [t.decimal(38, 7), fc.bigInt({ min: -(10n ** 38n), max: 10n ** 38n })],
    [t.double(), fc.double()],
    [t.float(), fc.float()],
    [t.date(), dateMs.map((ms) => Math.floor(ms / 86_400_000))],
    [t.time(3), fc.nat(86_399_999)],
    [t.timestamp(3), dateMs],
    [t.timestampLtz(9), fc.tuple(dateMs, fc.nat(999_999)).map(([ms, ns]) => BigInt(ms) * 1_000_000n + BigInt(ns))],
    [t.bytes(), fc.uint8Array()],
    [t.string(), fc.string()],
  ]
  for (const [type, values] of cases)
    fc.assert(
      fc.property(values, (value) => {
        assert.deepEqual(parseValue(type, textOf(type)(value)), value)
      }),
    )
})

test('what means nothing of a type is refused', () => {
  const cases: [SqlType, string][] = [
    [t.int(), '2147483648'],
    [t.int(), '1.5'],
    [t.decimal(5, 2), '1.005'],
    [t.decimal(5, 2), '.'],
    [t.boolean(), 'yes'],
    [t.date(), '2026-02-30'],
    [t.timestamp(3), '2026-01-01 25:00:00'],
    [t.double(), '0x10'],
    [t.bytes(), '***'],
  ]
  for (const [type, text] of cases) assert.equal(parseValue(type, text), undefined, text)
})

test('LIKE equals a regular expression, in linear time', () => {
  const part = fc.constantFrom('a', 'b', '%', '_')
  fc.assert(
    fc.property(fc.array(part), fc.array(fc.constantFrom('a', 'b')), (pattern, text) => {
      const expression = new RegExp(`^${pattern.map((one) => (one === '%' ? '.*' : one === '_' ? '.' : one)).join('')}$`)
      assert.equal(isLike(text.join(''), pattern.join('')), expression.test(text.join('')))
    }),
  )
  assert.equal(isLike('a'.repeat(10_000), '%a%a%a%a%a%b'), false)
})
