// Lines of CSV against a slow encoder: values to text by `formatValue`, quoted by a rule of one line.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { batchOf, type Column, type Field, type SqlType, t } from '../data/index.ts'
import { CsvSplitter, makeCsvChecker } from '../formats/index.ts'
import { makeCsvEncoder } from './csvEncoder.ts'
import { formatValue } from './expressions/index.ts'

const text = fc.oneof(
  fc.constantFrom(
    '',
    ' a',
    'a ',
    'N',
    '0',
    ' x',
    'x ',
    'tab\there',
    'é',
    '€,',
    '12345678,',
    'abcdefgh"ij',
    'line\nend',
    'cr\rcr',
    'a;b',
    'plain text',
  ),
  fc.string({ unit: fc.constantFrom('a', 'b', ',', '"', ';', '\n', '\u0001', ' ', 'ß', '🎉', 'z'), maxLength: 12 }),
)
const values = {
  text,
  utf8: text,
  long: fc.oneof(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.bigInt({ min: -5n, max: 5n }),
    fc.constantFrom(2n ** 31n, 2n ** 32n, -(2n ** 32n), 2n ** 53n),
  ),
  int: fc.oneof(fc.integer(), fc.integer({ min: -9, max: 9 })),
  double: fc.oneof(
    fc.double(),
    fc.integer({ min: -99_999, max: 99_999 }).map((n) => n / 100),
    fc.integer({ min: 0, max: 2 ** 40 }).map((n) => n / 1000),
    fc.constantFrom(0, -0, 1e21, 0.01, 21474836.47, 21474836.48),
  ),
  time: fc.constantFrom(0, 1, 1_700_000_000_123, 1_700_000_000_000, -1),
  isTrue: fc.boolean(),
  price: fc.bigInt({ min: -9_999n, max: 9_999n }),
}
const fields: Field[] = [
  { name: 'text', type: t.string() },
  { name: 'utf8', type: t.string() },
  { name: 'long', type: t.bigint() },
  { name: 'int', type: t.int() },
  { name: 'double', type: t.double() },
  { name: 'time', type: t.timestamp(3) },
  { name: 'isTrue', type: t.boolean() },
  { name: 'price', type: t.decimal(10, 2) },
]
const row = fc.tuple(...Object.values(values).map((arbitrary) => fc.option(arbitrary as fc.Arbitrary<unknown>, { freq: 6 })))
const options = fc.record({
  'field-delimiter': fc.constantFrom(',', ';', '\\t', '-', '€'),
  'csv.quote-character': fc.constantFrom('"', "'", undefined),
  'null-literal': fc.constantFrom('', 'N', '0', 'null'),
  'csv.escape-character': fc.constantFrom(undefined, '\\', 'z'),
})

/** A quote that is not given is none. */
const withoutQuotes = (given: Record<string, string>): Record<string, string> =>
  given['csv.quote-character'] === undefined ? { ...given, 'disable-quote-character': 'TRUE' } : given

/** The same texts as a decoder gives them: in one memory, where they are not side by side. */
function asUtf8(column: Column): Column {
  if (column.lane !== 'any') throw new TypeError('texts are in lane any')
  const parts = column.data.map((value) => Buffer.from(String(value ?? '')))
  const starts = new Int32Array(parts.length)
  const ends = new Int32Array(parts.length)
  let at = 3
  parts.forEach((part, i) => {
    starts[i] = at
    ends[i] = at + part.length
    at = ends[i] + 1
  })
  const bytes = new Uint8Array(at + 3)
  parts.forEach((part, i) => {
    bytes.set(part, starts[i])
  })
  return { lane: 'utf8', bytes, starts, ends, nulls: Uint8Array.from(column.data, (value) => (value === null ? 1 : 0)) }
}

test('lines are those of an encoder of one value at a time', () => {
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 6 }), options, (rows, given) => {
      const batch = batchOf(fields, rows)
      const columns = batch.columns.map((column, c) => (c === 1 ? asUtf8(column) : column))
      const { bytes, starts, ends } = makeCsvEncoder(
        fields,
        withoutQuotes(given as Record<string, string>),
      )({ columns, rowCount: rows.length })
      const delimiter = given['field-delimiter'] === '\\t' ? '\t' : given['field-delimiter']
      const quote = given['csv.quote-character'] ?? ''
      const nullText = given['null-literal']
      const escaper = given['csv.escape-character']
      const quoted = (plain: string) => {
        const hasSpecial = [delimiter, quote, ...(escaper ? [escaper] : [])].some((one) => plain.includes(one))
        const needsQuotes = plain === nullText || /[\r\n]|^\s|\s$/.test(plain) || hasSpecial
        const escaped = escaper ? plain.replaceAll(escaper, escaper + escaper) : plain
        return quote !== '' && needsQuotes ? quote + escaped.replaceAll(quote, quote + quote) + quote : plain
      }
      const lines = rows.map((each) =>
        each
          .map((value, c) => {
            if (value === null) return nullText
            const text = String(formatValue(value, fields[c].type))
            return quoted(fields[c].type.kind === 'TIMESTAMP' ? text.replace('.000', '') : text)
          })
          .join(delimiter),
      )
      assert.deepEqual(
        lines.map((_, i) => Buffer.from(bytes.subarray(starts[i], ends[i])).toString()),
        lines,
      )
      assert.equal(Buffer.from(bytes).toString(), lines.map((line) => `${line}\n`).join(''))
    }),
    { numRuns: 2_000 },
  )
})

test('what is written, line by line, the front door cuts into the same records and lets in', () => {
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 6 }), options, fc.constantFrom('\n', '\r\n'), (rows, given, lineBreak) => {
      fc.pre(given['csv.quote-character'] !== undefined && given['field-delimiter'] !== '€')
      const { bytes, starts, ends } = makeCsvEncoder(
        fields,
        given as Record<string, string>,
      )({ columns: batchOf(fields, rows).columns, rowCount: rows.length })
      const records = rows.map((_, i) => Buffer.from(bytes.subarray(starts[i], ends[i])).toString())
      const body = Buffer.from(records.join(lineBreak))
      const cut = new CsvSplitter(given as Record<string, string>).split(body, 'csv', 100)
      const events = Array.from({ length: cut.count }, (_, i) => body.subarray(cut.starts[i], cut.ends[i]).toString())
      assert.deepEqual(events, records)
      const checker = makeCsvChecker(fields, given as Record<string, string>, [])
      checker.begin(body)
      for (let i = 0; i < cut.count; i++) assert.equal(checker.check(cut.starts[i], cut.ends[i]), undefined, events[i])
    }),
    { numRuns: 2_000 },
  )
})

test('values of other types are written as Flink 2.1.1 writes them', () => {
  const cases: [SqlType, unknown, string][] = [
    [t.timestamp(0), 1_767_268_800_000, '2026-01-01 12:00:00'],
    [t.timestamp(3), 1_767_268_800_120, '2026-01-01 12:00:00.12'],
    [t.timestamp(6), 1_767_268_800_123_456_000n, '2026-01-01 12:00:00.123456'],
    [t.timestampLtz(3), 1_767_268_800_000, '2026-01-01 12:00:00Z'],
    [t.timestampLtz(3), 1_767_268_800_500, '2026-01-01 12:00:00.5Z'],
    [t.time(), 45_240_000, '12:34:00'],
    [t.date(), 20_454, '2026-01-01'],
    [t.double(), Number.NaN, 'NaN'],
    [t.double(), Infinity, 'Infinity'],
    [t.float(), Math.fround(12345.678), '12345.678'],
    [t.array(t.float()), [Math.fround(0.1)], '0.1'],
    [t.bytes(), Uint8Array.of(10, 255, 0), 'Cv8A'],
    [t.boolean(), true, 'true'],
    [t.array(t.int()), [1, 2], '1;2'],
    [t.array(t.double()), [1.5, null], '1.5;'],
    [t.array(t.string()), ['a', 'b;c'], 'a;b;c'],
    [t.array(t.timestamp(3)), [1_767_268_800_000], '2026-01-01 12:00:00'],
    [t.array(t.bytes()), [Uint8Array.of(10)], 'Cg=='],
    [t.row([{ name: 'i', type: t.int() }, { name: 's', type: t.string() }]), [1, 'x,y'], '"1;x,y"'], // biome-ignore format: one thought
  ]
  for (const [type, value, expected] of cases) {
    const one: Field[] = [{ name: 'x', type }]
    const { bytes } = makeCsvEncoder(one, {})(batchOf(one, [[value]]))
    assert.equal(Buffer.from(bytes).toString(), `${expected}\n`)
  }
})

test('the escape character escapes itself, in quotes that are doubled all the same, as Flink 2.1.1 writes it', () => {
  const cases = [
    ['a\\b', '"a\\\\b"'],
    ['a"b', '"a""b"'],
    ['\\', '"\\\\"'],
    ['x\\"y', '"x\\\\""y"'],
    ['plain', 'plain'],
  ]
  const one: Field[] = [{ name: 'x', type: t.string() }]
  const { bytes } = makeCsvEncoder(one, { 'csv.escape-character': '\\' })(
    batchOf(
      one,
      cases.map(([text]) => [text]),
    ),
  )
  assert.equal(Buffer.from(bytes).toString(), cases.map(([, line]) => `${line}\n`).join(''))
})
