import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type RowField, type SqlType, t, valueAt } from '../../data/index.ts'
import { type JsonDecodeOptions, jsonDecodeOptions, makeJsonDecoder } from './decoder.ts'

/** Decodes lines; the result has each line's values, or the code of its error. */
function decodeLines(
  fields: RowField[],
  lines: (string | Uint8Array)[],
  options?: JsonDecodeOptions,
  decoder = makeJsonDecoder(fields, options),
) {
  const buffers = lines.map((line) => Buffer.from(line as string))
  const starts = new Int32Array(lines.length)
  const ends = new Int32Array(lines.length)
  let p = 0
  buffers.forEach((buffer, i) => {
    starts[i] = p
    ends[i] = p + buffer.length
    p = ends[i] + 1
  })
  // Rows lie one behind the other with a byte between: what reads too far changes a neighbour's result.
  const bytes = Buffer.concat(buffers.flatMap((buffer) => [buffer, Buffer.from('9')]))
  const results: unknown[] = new Array(lines.length).fill(undefined)
  const { columns, rowCount, rows } = decoder.decode(bytes, starts, ends, lines.length, (index, error) => {
    assert.equal(results[index], undefined)
    results[index] = error.code
  })
  for (let row = 0; row < rowCount; row++) {
    const index = rows ? rows[row] : row
    assert.equal(results[index], undefined)
    results[index] = columns.map((column) => valueAt(column, row))
  }
  return results
}
const one = (type: SqlType, json: string, options?: JsonDecodeOptions) => {
  const [result] = decodeLines([{ name: 'x', type }], [`{"x":${json}}`], options)
  return Array.isArray(result) ? result[0] : result
}

const ms = Date.UTC
const cases: [SqlType, string, unknown][] = [
  [t.int(), '12', 12],
  [t.int(), '-2147483648', -2147483648],
  [t.int(), '2147483648', 'FORMAT_RANGE'],
  [t.int(), '" 12 "', 12],
  [t.int(), '1.0', 1],
  [t.int(), '1e3', 1000],
  [t.int(), '1.5', 'FORMAT_TYPE'],
  [t.int(), '""', 'FORMAT_TYPE'],
  [t.int(), 'true', 'FORMAT_TYPE'],
  [t.int(), '01', 'FORMAT_SYNTAX'],
  [t.int(), '-', 'FORMAT_SYNTAX'],
  [t.int(), 'NaN', 'FORMAT_SYNTAX'],
  [t.int(), 'null', null],
  [t.int(false), 'null', 'FORMAT_REQUIRED'],
  [t.tinyint(), '128', 'FORMAT_RANGE'],
  [t.smallint(), '-32769', 'FORMAT_RANGE'],
  [t.bigint(), '9223372036854775807', 9223372036854775807n],
  [t.bigint(), '-9223372036854775808', -9223372036854775808n],
  [t.bigint(), '9223372036854775808', 'FORMAT_RANGE'],
  [t.bigint(), '1e999999999', 'FORMAT_RANGE'],
  [t.bigint(), '1e-999999999', 'FORMAT_TYPE'],
  [t.bigint(), '123456789012345678', 123456789012345678n],
  [t.bigint(), '-0', 0n],
  [t.double(), '-0', -0],
  [t.double(), '0.1', 0.1],
  [t.double(), '1e400', Infinity],
  [t.double(), '"NaN"', NaN],
  [t.double(), '"0x10"', 'FORMAT_TYPE'],
  [t.double(), '123456789012345678901234567890.5', 1.2345678901234568e29],
  [t.float(), '0.1', Math.fround(0.1)],
  [t.decimal(10, 2), '1.005', 101n],
  [t.decimal(10, 2), '-1.005', -101n],
  [t.decimal(10, 2), '99999999.99', 9999999999n],
  [t.decimal(10, 2), '99999999.995', 'FORMAT_RANGE'],
  [t.decimal(10, 2), '1e-5', 0n],
  [t.decimal(10, 2), '"12.5"', 1250n],
  [t.decimal(38, 0), '99999999999999999999999999999999999999', 10n ** 38n - 1n],
  [t.decimal(38, 2), '0.00', 0n],
  [t.decimal(2, 2), '0.12', 12n],
  [t.boolean(), 'true', true],
  [t.boolean(), '"False"', false],
  [t.boolean(), '1', 'FORMAT_TYPE'],
  [t.string(), '12.50', '12.50'],
  [t.string(), 'true', 'true'],
  [t.string(), '{"a": [1, "x y"]}', '{"a":[1,"x y"]}'],
  [t.string(), '"a\\u00e9\\ud83d\\ude00\\n"', 'aé😀\n'],
  [t.string(), '"\\ud83d"', 'FORMAT_UTF8'],
  [t.string(), '"\\ud83d\\u0041"', 'FORMAT_UTF8'],
  [t.string(), '"\\x"', 'FORMAT_SYNTAX'],
  [t.string(), '"a\tb"', 'FORMAT_SYNTAX'],
  [t.string(), '"abc', 'FORMAT_SYNTAX'],
  [t.timestamp(3), '"2026-01-01 12:00:00.5"', ms(2026, 0, 1, 12, 0, 0, 500)],
  [t.timestamp(3), '"2026-01-01T12:00:00Z"', ms(2026, 0, 1, 12)],
  [t.timestamp(3), '"1969-12-31 23:59:59.999"', -1],
  [t.timestamp(3), '"2026-02-29 00:00:00"', 'FORMAT_TYPE'],
  [t.timestamp(3), '"2026-01-01"', 'FORMAT_TYPE'],
  [t.timestamp(3), '1700000000000', 'FORMAT_TYPE'],
  [t.timestamp(6), '"2026-01-01 12:00:00.1234567"', BigInt(ms(2026, 0, 1, 12)) * 1_000_000n + 123_456_000n],
  [t.timestampLtz(3), '"2026-01-01T12:00:00+02:00"', ms(2026, 0, 1, 10)],
  [t.timestampLtz(3), '"2026-01-01 12:00:00.001Z"', ms(2026, 0, 1, 12, 0, 0, 1)],
  [t.date(), '"1970-01-02"', 1],
  [t.date(), '"2026-1-2"', 'FORMAT_TYPE'],
  [t.time(), '"12:00:01"', 43_201_000],
  [t.bytes(), '"AQID"', new Uint8Array([1, 2, 3])],
  [t.bytes(), '"*"', 'FORMAT_TYPE'],
  [t.array(t.int()), '[1, null ,3]', [1, null, 3]],
  [t.array(t.int()), '[]', []],
  [t.array(t.int()), '[1,]', 'FORMAT_SYNTAX'],
  [t.array(t.int(false)), '[null]', 'FORMAT_REQUIRED'],
  [t.array(t.int()), '{"a":1}', 'FORMAT_TYPE'],
  [t.map(t.string(), t.bigint()), '{"__proto__":1,"b":null}', new Map([['__proto__', 1n] as [string, bigint | null], ['b', null]])],
  [t.map(t.int(), t.string()), '{"7":"x"}', new Map([[7, 'x']])],
  [t.multiset(t.string()), '{"a":2}', new Map([['a', 2]])],
  [
    t.row([
      { name: 'a', type: t.int() },
      { name: 'b', type: t.array(t.string()) },
    ]),
    '{"b":["x"],"c":{},"a":1}',
    [1, ['x']],
  ],
]
test('each type takes the forms that Flink takes, and refuses the others with a code', () => {
  for (const [type, json, expected] of cases) assert.deepEqual(one(type, json), expected, `${type.kind} ${json}`)
})

test('the timestamp format that a table asks for is taken strictly', () => {
  assert.equal(one(t.timestamp(3), '"2026-01-01T12:00:00"', { timestampFormat: 'SQL' }), 'FORMAT_TYPE')
  assert.equal(one(t.timestamp(3), '"2026-01-01T12:00"', { timestampFormat: 'ISO-8601' }), ms(2026, 0, 1, 12))
  assert.equal(one(t.timestampLtz(3), '"2026-01-01 12:00:00"', { timestampFormat: 'SQL' }), 'FORMAT_TYPE')
  assert.equal(one(t.timestampLtz(3), '"2026-01-01 12:00:00Z"', { timestampFormat: 'SQL' }), ms(2026, 0, 1, 12))
})

test('an error has the path, the rule and what was wrong', () => {
  const type = t.row([{ name: 'items', type: t.array(t.row([{ name: 'n', type: t.int() }])) }])
  const decoder = makeJsonDecoder([{ name: 'order', type }])
  const bytes = Buffer.from('{"order":{"items":[{"n":1},{"n":"x"}]}}')
  let seen: unknown
  decoder.decode(bytes, Int32Array.of(0), Int32Array.of(bytes.length), 1, (_, error) => {
    seen = { code: error.code, ...error.params }
  })
  assert.deepEqual(seen, { code: 'FORMAT_TYPE', format: 'json', rule: 'type', path: 'order.items[1].n', message: "'x' is not INT" })
})

test('missing, duplicate and strange keys; rows that are no object; depth', () => {
  const fields = [
    { name: 'a', type: t.int() },
    { name: '__proto__', type: t.string() },
  ]
  assert.deepEqual(
    decodeLines(fields, [
      '{}',
      '{"a":1,"a":null}',
      '{"a":null,"a":2}',
      '{"\\u0061":3}',
      '{"__proto__":"p","constructor":{}}',
      '[]',
      '',
      'null',
      '{"a":1}x',
      '{"a":1}\r\n',
    ]),
    [
      [null, null],
      [null, null],
      [2, null],
      [3, null],
      [null, 'p'],
      'FORMAT_TYPE',
      'FORMAT_SYNTAX',
      'FORMAT_TYPE',
      'FORMAT_SYNTAX',
      [1, null],
    ],
  )
  const nested = (depth: number) => `{"x":${'['.repeat(depth)}${']'.repeat(depth)}}`
  assert.deepEqual(decodeLines(fields, [nested(63), nested(64), nested(1_000_000)]), [[null, null], 'FORMAT_DEPTH', 'FORMAT_DEPTH'])
  assert.deepEqual(decodeLines([{ name: 'a', type: t.int(false) }], ['{"b":1}']), ['FORMAT_REQUIRED'])
  assert.deepEqual(decodeLines(fields, ['{}'], { failOnMissingField: true }), ['FORMAT_REQUIRED'])
  assert.deepEqual(decodeLines(fields, ['{"a":"x","__proto__":"y"}', '{', '{"a":5}'], { ignoreParseErrors: true }), [
    [null, 'y'],
    undefined,
    [5, null],
  ])
})

test('ignore-parse-errors: what cannot be read is NULL where it stands, in arrays and maps too', () => {
  const fields: RowField[] = [
    { name: 'a', type: t.array(t.int()) },
    { name: 'm', type: t.map(t.string(), t.decimal(4, 2)) },
    { name: 'n', type: t.array(t.int(false)) },
  ]
  const lines = ['{"a":["x",1,[2]],"m":{"k":"NaN","l":1},"n":[1]}', '{"a":[1],"m":{},"n":[1,"x"]}', '{"a":["x" 1]}']
  assert.deepEqual(decodeLines(fields, lines, { ignoreParseErrors: true }), [
    [[null, 1, null], new Map([['k', null], ['l', 100n]] as [string, bigint | null][]), [1]], // biome-ignore format: one thought
    [[1], new Map(), null],
    undefined,
  ])
  assert.deepEqual(decodeLines(fields, lines.slice(0, 1)), ['FORMAT_TYPE'])
})

test('options of the format: flags in any case of letters; what Flink 2.1.1 refuses', () => {
  assert.equal(jsonDecodeOptions({ 'json.ignore-parse-errors': 'TRUE' }).ignoreParseErrors, true)
  const wrong: Record<string, string>[] = [
    { 'json.ignore-parse-errors': 'true', 'json.fail-on-missing-field': 'true' },
    { 'json.ignore-parse-errors': ' true ' },
    { 'json.decode.json-parser.enabled': 'x' },
    { 'json.encode.decimal-as-plain-number': 'ja' },
    { 'json.timestamp-format.standard': 'sql' },
  ]
  for (const options of wrong) assert.throws(() => jsonDecodeOptions(options), { code: 'FORMAT_OPTION' })
})

// The law: whatever the order, blanks, unknown fields and spelling, what was written is read; through any mix of compiled layouts.
interface Spelled {
  text: string
  value: unknown
}
const spelledString = fc.string({ unit: 'binary', maxLength: 30 }).map((value): Spelled => {
  const escaped = JSON.stringify(value)
  return { text: escaped, value }
})
const plainText = fc.stringMatching(/^[a-z0-9_ -]{0,20}$/).map((value): Spelled => ({ text: `"${value}"`, value }))
const spelled: Record<string, [SqlType, fc.Arbitrary<Spelled>]> = {
  int: [t.int(), fc.integer().map((value) => ({ text: String(value), value }))],
  bigint: [
    t.bigint(),
    fc
      .oneof(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.bigInt({ min: -(10n ** 16n), max: 10n ** 16n }),
        fc.bigInt({ min: -99n, max: 99n }),
      )
      .map((value) => ({ text: String(value), value })),
  ],
  double: [
    t.double(),
    fc
      .oneof(
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.integer({ min: -99999, max: 99999 }).map((n) => n / 100),
      )
      .map((value) => ({ text: JSON.stringify(value), value: value === 0 ? 0 : value })),
  ],
  decimal: [
    t.decimal(12, 3),
    fc.bigInt({ min: -(10n ** 12n - 1n), max: 10n ** 12n - 1n }).map((value) => {
      const digits = String(value < 0n ? -value : value).padStart(4, '0')
      return { text: `${value < 0n ? '-' : ''}${digits.slice(0, -3)}.${digits.slice(-3)}`, value }
    }),
  ],
  boolean: [t.boolean(), fc.boolean().map((value) => ({ text: String(value), value }))],
  text: [t.string(), fc.oneof(plainText, spelledString)],
  timestamp: [
    t.timestamp(3),
    fc
      .date({ min: new Date(-1e12), max: new Date(4e12), noInvalidDate: true })
      .map((date) => ({ text: `"${date.toISOString().replace('T', ' ').replace('Z', '')}"`, value: date.getTime() })),
  ],
}
const kinds = Object.keys(spelled)

test('what was written is read: random schemas, orders, blanks, unknown and missing fields, cut into batches', () => {
  const scenario = fc
    .uniqueArray(fc.constantFrom('a', 'bc', 'def', 'price', 'é', 'user_id', '__proto__', ''), { minLength: 1, maxLength: 5 })
    .chain((names) =>
      fc.tuple(
        fc.constant(names),
        fc.array(fc.constantFrom(...kinds), { minLength: names.length, maxLength: names.length }),
        fc.constantFrom(',', ', ', ' ,\n'),
        fc.constantFrom(':', ': '),
      ),
    )
    .chain(([names, types, comma, colon]) => {
      const member = (i: number) =>
        fc.oneof(
          { weight: 8, arbitrary: spelled[types[i]][1] },
          { weight: 1, arbitrary: fc.constant<Spelled>({ text: 'null', value: null }) },
        )
      const values = fc.tuple(...names.map((_, i) => member(i)))
      const shape = fc.record({
        order: fc.shuffledSubarray([...names.keys()], { minLength: 1 }),
        unknown: fc.option(fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.stringify(value))),
      })
      return fc.record({
        fields: fc.constant(names.map((name, i) => ({ name, type: spelled[types[i]][0] }))),
        comma: fc.constant(comma),
        colon: fc.constant(colon),
        shapes: fc.array(shape, { minLength: 1, maxLength: 3 }),
        rows: fc.array(fc.tuple(fc.nat(2), values, fc.boolean()), { minLength: 1, maxLength: 60 }),
        cut: fc.nat(60),
      })
    })
  fc.assert(
    fc.property(scenario, ({ fields, comma, colon, shapes, rows, cut }) => {
      const lines: string[] = []
      const expected: unknown[] = []
      for (const [shapeIndex, values, isBroken] of rows) {
        const { order, unknown } = shapes[shapeIndex % shapes.length]
        const members = order.map((i) => `${JSON.stringify(fields[i].name)}${colon}${values[i].text}`)
        if (unknown !== null) members.splice(1, 0, `"zz"${colon}${unknown}`)
        lines.push(isBroken ? `{${members.join(comma)},}` : `{${members.join(comma)}}`)
        expected.push(isBroken ? 'FORMAT_SYNTAX' : fields.map((_, i) => (order.includes(i) ? values[i].value : null)))
      }
      const decoder = makeJsonDecoder(fields)
      // Many times, so that layouts are compiled.
      for (let round = 0; round < 3; round++) {
        assert.deepEqual(decodeLines(fields, lines, {}, decoder), expected)
        assert.deepEqual(
          [...decodeLines(fields, lines.slice(0, cut), {}, decoder), ...decodeLines(fields, lines.slice(cut), {}, decoder)],
          expected,
        )
      }
    }),
    { numRuns: 300 },
  )
})

test('generated code is only faster: what it decodes, any value for any type, is what a fresh decoder does', () => {
  const types: SqlType[] = [
    t.tinyint(),
    t.smallint(false),
    t.int(),
    t.int(false),
    t.bigint(false),
    t.float(),
    t.double(false),
    t.decimal(18, 4),
    t.decimal(6, 6, false),
    t.decimal(30, 2),
    t.boolean(false),
    t.string(),
    t.string(false),
    t.timestamp(3, false),
    t.timestampLtz(3),
    t.timestamp(9),
    t.date(),
    t.bytes(false),
    t.array(t.int(false)),
    t.row([{ name: 'x', type: t.string(false) }], false),
  ]
  const digits = fc.stringMatching(/^-?[0-9]{1,22}(\.[0-9]{0,12})?([eE]-?[0-9]{1,2})?$/)
  const token = fc.oneof(
    { weight: 2, arbitrary: digits },
    fc.integer({ min: -130, max: 130 }).map(String),
    digits.map((text) => `"${text}"`),
    fc.constantFrom(
      'null',
      'true',
      'false',
      'nul',
      'tru',
      'falsy',
      '-',
      '"',
      '""',
      '-0',
      '0',
      '1.',
      '"2026-01-01 00:00:00.5"',
      '"2026-01-01T00:00:00.123456789Z"',
    ),
    fc.constantFrom(
      '"2026-12-31"',
      '"AQID"',
      '[1,2]',
      '[null]',
      '{"x":"y"}',
      '{"x":null}',
      '"a\\u00e9"',
      '"\\ud800"',
      '"plain text that is longer"',
      '"é"',
      ' 1',
      '1 ',
    ),
    fc.jsonValue({ maxDepth: 1 }).map((value) => JSON.stringify(value)),
  )
  const scenario = fc.array(fc.constantFrom(...types), { minLength: 1, maxLength: 3 }).chain((chosen) =>
    fc.record({
      chosen: fc.constant(chosen),
      rows: fc.array(fc.tuple(...chosen.map(() => token)), { minLength: 1, maxLength: 12 }),
      tail: fc.constantFrom('}', ' }', '}\n', ',"more":"unread"}', ',"more":[1]}'),
    }),
  )
  const usual = [
    '1',
    '1',
    '1',
    '1',
    '1',
    '1.5',
    '1.5',
    '1.5',
    '0.5',
    '1.5',
    'true',
    '"a"',
    '"a"',
    '"2026-01-01 00:00:00"',
    '"2026-01-01 00:00:00"',
    '"2026-01-01 00:00:00"',
    '"2026-01-01"',
    '"AQID"',
    '[1]',
    '{"x":"y"}',
  ]
  fc.assert(
    fc.property(scenario, ({ chosen, rows, tail }) => {
      const fields = chosen.map((type, i) => ({ name: `f${i}`, type }))
      const line = (tokens: string[]) => `{${tokens.map((each, i) => `"f${i}":${each}`).join(',')}${tail}`
      const warmUp = new Array(20).fill(line(chosen.map((type) => usual[types.indexOf(type)])))
      const lines = rows.map(line)
      const decoder = makeJsonDecoder(fields)
      assert.ok(decodeLines(fields, warmUp, {}, decoder).every(Array.isArray))
      assert.deepEqual(
        decodeLines(fields, lines, {}, decoder),
        lines.map((each) => decodeLines(fields, [each])[0]),
      )
    }),
    { numRuns: 2000 },
  )
})

test('doubles and integers of any spelling are those of JSON.parse, on the compiled path too', () => {
  const decoder = makeJsonDecoder([
    { name: 'x', type: t.double() },
    { name: 'y', type: t.string() },
  ])
  const number = fc.stringMatching(/^-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?$/)
  fc.assert(
    fc.property(fc.array(number, { minLength: 1, maxLength: 20 }), (numbers) => {
      const lines = numbers.map((text) => `{"x":${text},"y":${text}}`)
      assert.deepEqual(
        decodeLines([], lines, {}, decoder),
        numbers.map((text) => [JSON.parse(text), text]),
      )
    }),
    { numRuns: 500 },
  )
})

test('mutated bytes: accepted exactly where JSON.parse gives an object, never a crash, neighbours untouched', () => {
  const decoder = makeJsonDecoder([
    { name: 'id', type: t.bigint() },
    { name: 'name', type: t.string() },
    { name: 'tags', type: t.array(t.string()) },
  ])
  const good =
    '{"id":123456789012,"name":"ana b\\u00e9 c","skip":{"a":[1,2.5e3,true,null,"x"]},"tags":["p","é😀"],"z":"plain text of some length"}'
  const bytes = Buffer.from(good)
  const mutation = fc.record({
    at: fc.nat(bytes.length - 1),
    drop: fc.nat(2),
    put: fc.oneof(fc.constantFrom(...'"\\{}[]:,0-.eu \n'.split('').map((c) => c.charCodeAt(0))), fc.nat(255)),
    insert: fc.boolean(),
  })
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let acceptedCount = 0
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), fc.boolean(), (mutations, isCut) => {
      let mutated = bytes
      for (const { at, drop, put, insert } of mutations) {
        const p = Math.min(at, mutated.length)
        mutated = Buffer.concat([
          mutated.subarray(0, p),
          insert ? Buffer.of(put) : Buffer.alloc(0),
          mutated.subarray(Math.min(p + drop, mutated.length)),
        ])
        if (!insert && p < mutated.length) mutated[p] = put
      }
      if (isCut) mutated = mutated.subarray(0, mutations[0].at)
      let parsed: Record<string, unknown> | undefined
      try {
        const text = utf8.decode(mutated)
        const value = JSON.parse(text)
        if (typeof value === 'object' && value !== null && !Array.isArray(value) && JSON.stringify(value).isWellFormed()) parsed = value
      } catch {}
      const results = decodeLines([], [good, mutated, good], {}, decoder)
      const whole = [123456789012n, 'ana bé c', ['p', 'é😀']]
      assert.deepEqual([results[0], results[2]], [whole, whole])
      const result = results[1]
      if (parsed === undefined) {
        assert.equal(typeof result, 'string')
      } else if (Array.isArray(result)) {
        acceptedCount++
        const id = typeof parsed.id === 'number' && Number.isSafeInteger(parsed.id) ? BigInt(parsed.id) : undefined
        if (id !== undefined) assert.equal(result[0], id)
        if (typeof parsed.name === 'string') assert.equal(result[1], parsed.name)
        if (Array.isArray(parsed.tags) && parsed.tags.every((tag) => typeof tag === 'string')) assert.deepEqual(result[2], parsed.tags)
      } else {
        assert.ok(['FORMAT_TYPE', 'FORMAT_RANGE'].includes(String(result)), `${result}: ${mutated}`)
      }
    }),
    { numRuns: 20_000 },
  )
  assert.ok(acceptedCount > 300)
})

test('where columns are lent, a text that is NULL is empty: what is computed for all rows may look at it', () => {
  const decoder = makeJsonDecoder([{ name: 's', type: t.string() }], {}, true)
  for (const json of [`{"s":"${'x'.repeat(200)}"}`, '{"s":null}', '{}']) {
    const bytes = Buffer.from(json)
    const { columns } = decoder.decode(bytes, Int32Array.of(0), Int32Array.of(bytes.length), 1, assert.fail)
    const [column] = columns
    assert.ok(column.lane === 'utf8')
    assert.ok(column.starts[0] >= 0 && column.ends[0] >= column.starts[0] && column.ends[0] <= column.bytes.length, json)
  }
})
