import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareCells, decodeCell, timestampMs } from './columns.ts'
import { parseExact, stringifyExact } from './json.ts'

test('whole numbers of any size keep every digit', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const [parsed] = parseExact(`[${value}]`) as [number | bigint]
      expect(BigInt(parsed)).toBe(value)
      expect(typeof parsed).toBe(Number.isSafeInteger(Number(value)) ? 'number' : 'bigint')
      expect(stringifyExact({ n: parsed })).toBe(`{"n":${value}}`)
    }),
  )
})

test('without long numerals it is JSON.parse, and strings are never touched', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value)
      expect(stringifyExact(parseExact(text))).toBe(stringifyExact(JSON.parse(text)))
    }),
  )
  const strings = ['12345678901234567890', 'a "9007199254740993" \\', '\u0000123']
  expect(parseExact(JSON.stringify([...strings, 9007199254740991]))).toEqual([...strings, 9007199254740991])
})

test.each([
  ['9007199254740993', 9007199254740993n],
  ['-9007199254740993', -9007199254740993n],
  ['0.1234567890123456789', '0.1234567890123456789'],
  ['12345678901234567890.25', '12345678901234567890.25'],
  ['0.30000000000000004', 0.30000000000000004],
  ['1.7976931348623157e+308', 1.7976931348623157e308],
])('%s', (text, expected) => {
  expect(parseExact(`{"a":${text}}`)).toEqual({ a: expected })
})

test('bad JSON throws as JSON.parse does', () => {
  expect(() => parseExact('{"a":12345678901234567890')).toThrow(SyntaxError)
})

test('cells: integers as text, decimals in exact order, NULL first, times as UTC', () => {
  expect(decodeCell('42', 'integer')).toBe(42)
  expect(decodeCell('9223372036854775807', 'integer')).toBe(9223372036854775807n)
  expect(decodeCell(null, 'integer')).toBeNull()
  expect(compareCells(9007199254740993n, 9007199254740992, 'integer')).toBe(1)
  expect(compareCells('0.10', '0.1', 'decimal')).toBe(0)
  expect(compareCells('-12345678901234567890.1', '-12345678901234567890.2', 'decimal')).toBe(1)
  expect(compareCells('-0.5', '0', 'decimal')).toBe(-1)
  expect(compareCells(null, -5, 'integer')).toBe(-1)
  expect(timestampMs('2015-09-12 07:35:00.000')).toBe(Date.UTC(2015, 8, 12, 7, 35))
  expect(timestampMs('2015-09-12T07:35:00Z')).toBe(Date.UTC(2015, 8, 12, 7, 35))
  expect(timestampMs(null)).toBeNaN()
})
