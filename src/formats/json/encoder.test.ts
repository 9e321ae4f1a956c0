import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { batchOf, inHashOrder, type SqlType, t, valueAt } from '../../data/index.ts'
import { makeJsonDecoder } from './decoder.ts'
import { type JsonEncodeOptions, jsonEncodeOptions, makeJsonEncoder } from './encoder.ts'

const encode = (type: SqlType, value: unknown, options?: JsonEncodeOptions) => {
  const fields = [{ name: 'x', type }]
  const { bytes, starts, ends } = makeJsonEncoder(fields, options)(batchOf(fields, [[value]]))
  assert.equal(bytes[ends[0]], 10)
  return Buffer.from(bytes.subarray(starts[0], ends[0])).toString().slice(5, -1)
}

test('values are written as Flink writes them, numbers exactly', () => {
  const cases: [SqlType, unknown, string][] = [
    [t.bigint(), 9223372036854775807n, '9223372036854775807'],
    [t.bigint(), -1234567890123n, '-1234567890123'],
    [t.int(), 0, '0'],
    [t.int(), 1000000000, '1000000000'],
    [t.int(), -7, '-7'],
    [t.decimal(10, 2), -5n, '-0.05'],
    [t.decimal(38, 0), 10n ** 37n, `1${'0'.repeat(37)}`],
    [t.double(), NaN, '"NaN"'],
    [t.double(), -Infinity, '"-Infinity"'],
    [t.double(), -0, '-0.0'],
    [t.double(), 0.1, '0.1'],
    [t.float(), Math.fround(0.1), '0.1'],
    [t.boolean(), true, 'true'],
    [t.string(), 'a"b\\\u0001é\n', '"a\\"b\\\\\\u0001é\\n"'],
    [t.timestamp(3), -1, '"1969-12-31 23:59:59.999"'],
    [t.timestamp(0), 0, '"1970-01-01 00:00:00"'],
    [t.timestamp(6), -1_000n, '"1969-12-31 23:59:59.999999"'],
    [t.timestampLtz(3), 0, '"1970-01-01 00:00:00.000Z"'],
    [t.date(), -1, '"1969-12-31"'],
    [t.time(), 43_201_000, '"12:00:01"'],
    [t.bytes(), Uint8Array.of(1, 2, 3), '"AQID"'],
    [t.array(t.int()), [1, null], '[1,null]'],
    [t.map(t.string(), t.int()), new Map([['a', 1] as [string, number | null], ['b', null]]), '{"a":1,"b":null}'],
    [t.map(t.timestamp(3), t.int()), new Map([[0, 1]]), '{"1970-01-01 00:00:00.000":1}'],
    [t.multiset(t.int()), new Map([[7, 2]]), '{"7":2}'],
    [
      t.row([
        { name: 'a"', type: t.bigint() },
        { name: 'b', type: t.string() },
      ]),
      [1n, null],
      '{"a\\"":1,"b":null}',
    ],
    [t.int(), null, 'null'],
  ]
  for (const [type, value, expected] of cases) assert.equal(encode(type, value), expected)
  assert.equal(encode(t.bigint(), 12n, { numbers: 'string' }), '"12"')
  assert.equal(encode(t.decimal(4, 1), 12n, { numbers: 'string' }), '"1.2"')
  assert.equal(encode(t.timestampLtz(3), 0, { timestampFormat: 'ISO-8601' }), '"1970-01-01T00:00:00.000Z"')
  for (const [ms, text] of [
    [0, '00:00:00'],
    [120, '00:00:00.12'],
    [600_000, '00:10:00'],
  ] as const) {
    assert.equal(encode(t.timestamp(3), ms, { shortFraction: true }), `"1970-01-01 ${text}"`)
    assert.equal(encode(t.timestampLtz(3), ms, { shortFraction: true, timestampFormat: 'ISO-8601' }), `"1970-01-01T${text}Z"`)
    assert.equal(encode(t.timestamp(6), BigInt(ms) * 1_000_000n, { shortFraction: true }), `"1970-01-01 ${text}"`)
    assert.equal(encode(t.time(3), ms, { shortFraction: true }), `"${text}"`)
  }
  const fields = [
    { name: 'a', type: t.int() },
    { name: 'b', type: t.int() },
  ]
  const { bytes } = makeJsonEncoder(fields, { ignoreNullFields: true })(
    batchOf(fields, [
      [null, 1],
      [2, null],
      [null, null],
    ]),
  )
  assert.equal(Buffer.from(bytes).toString(), '{"b":1}\n{"a":2}\n{}\n')
  const nested = t.row([
    { name: 'x', type: t.int() },
    { name: 'y', type: t.row([{ name: 'z', type: t.int() }]) },
  ])
  assert.equal(encode(nested, [null, [null]], { ignoreNullFields: true }), '{"y":{}}')
  assert.equal(encode(t.array(t.int()), [null, 1], { ignoreNullFields: true }), '[null,1]')
})

const scalars: [SqlType, fc.Arbitrary<unknown>][] = [
  [t.int(), fc.integer()],
  [t.bigint(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })],
  [t.double(), fc.double()],
  [t.float(), fc.float()],
  [t.decimal(38, 7), fc.bigInt({ min: -(10n ** 38n - 1n), max: 10n ** 38n - 1n })],
  [t.decimal(9, 9), fc.bigInt({ min: -(10n ** 9n - 1n), max: 10n ** 9n - 1n })],
  [t.string(), fc.string({ unit: 'binary' })],
  [t.boolean(), fc.boolean()],
  [t.date(), fc.integer({ min: -700_000, max: 2_900_000 })],
  [t.timestamp(3), fc.integer({ min: -60_000_000_000_000, max: 250_000_000_000_000 })],
  [t.timestampLtz(9), fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n })],
  [t.bytes(), fc.uint8Array()],
]
const typed: fc.Arbitrary<[SqlType, fc.Arbitrary<unknown>]> = fc.letrec((tie) => ({
  any: fc.oneof({ depthSize: 'small', withCrossShrink: true }, fc.constantFrom(...scalars), tie('array'), tie('map'), tie('row')),
  array: tie('any').map((each) => {
    const [type, value] = each as [SqlType, fc.Arbitrary<unknown>]
    return [t.array(type), fc.array(fc.option(value), { maxLength: 4 })] as [SqlType, fc.Arbitrary<unknown>]
  }),
  map: tie('any').map((each) => {
    const [type, value] = each as [SqlType, fc.Arbitrary<unknown>]
    const entries = fc.uniqueArray(fc.tuple(fc.string(), fc.option(value)), { selector: ([key]) => key, maxLength: 4 })
    return [t.map(t.string(), type), entries.map((list) => inHashOrder(new Map(list)))] as [SqlType, fc.Arbitrary<unknown>]
  }),
  row: fc.array(tie('any'), { minLength: 1, maxLength: 3 }).map((list) => {
    const members = list as [SqlType, fc.Arbitrary<unknown>][]
    const type = t.row(members.map(([member], i) => ({ name: `f${i}`, type: member })))
    return [type, fc.tuple(...members.map(([, value]) => fc.option(value)))] as [SqlType, fc.Arbitrary<unknown>]
  }),
})).any as fc.Arbitrary<[SqlType, fc.Arbitrary<unknown>]>

test('a NULL key of a MAP is written as the table says, or is an error', () => {
  const map = new Map([['a', 1], [null, 2]] as [string | null, number][]) // biome-ignore format: one thought
  const written = (options: Record<string, string>) => encode(t.map(t.string(), t.int()), map, jsonEncodeOptions(options))
  assert.equal(written({}), '{"a":1,"null":2}')
  assert.equal(written({ 'json.map-null-key.mode': 'literal', 'json.map-null-key.literal': 'nix' }), '{"a":1,"nix":2}')
  assert.equal(written({ 'json.map-null-key.mode': 'DROP' }), '{"a":1}')
  assert.throws(() => written({ 'json.map-null-key.mode': 'FAIL' }), { code: 'FORMAT_MAP_KEY' })
  assert.throws(() => written({ 'json.map-null-key.mode': 'bad' }), { code: 'FORMAT_OPTION' })
})

test('what is encoded is decoded to the same values, of any type', () => {
  const scenario = fc.array(typed, { minLength: 1, maxLength: 4 }).chain((members) =>
    fc.record({
      types: fc.constant(members.map(([type]) => type)),
      rows: fc.array(fc.tuple(...members.map(([, value]) => fc.option(value, { freq: 8 }))), { minLength: 1, maxLength: 12 }),
    }),
  )
  fc.assert(
    fc.property(scenario, ({ types, rows }) => {
      const fields = types.map((type, i) => ({ name: `c${i}`, type }))
      const { bytes, starts, ends } = makeJsonEncoder(fields)(batchOf(fields, rows))
      const decoder = makeJsonDecoder(fields)
      const decoded = decoder.decode(bytes, starts, ends, rows.length, (index, error) => {
        throw new Error(`row ${index}: ${error.message}`)
      })
      assert.equal(decoded.rowCount, rows.length)
      rows.forEach((row, i) => {
        assert.deepEqual(
          decoded.columns.map((column) => valueAt(column, i)),
          row,
        )
        JSON.parse(Buffer.from(bytes.subarray(starts[i], ends[i])).toString())
      })
      // Text columns that point into the source's bytes are written without becoming strings.
      const again = makeJsonEncoder(fields)({ columns: decoded.columns, rowCount: rows.length })
      assert.deepEqual(again.bytes, bytes)
    }),
    { numRuns: 500 },
  )
})
