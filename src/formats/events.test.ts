import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type RowField, t } from '../data/index.ts'
import { CsvSplitter, type EventChecker, isRawOfLines, makeCsvChecker, makeCsvDecoder, makeRawChecker, RawSplitter } from './index.ts'
import type { BodyForm, EventSplitter } from './split.ts'
import { sideText } from './text.ts'

type Options = Record<string, string>

function cut(splitter: EventSplitter, form: BodyForm, body: string, max = 1000): string[] {
  const bytes = Buffer.from(body)
  const { starts, ends, count } = splitter.split(bytes, form, max)
  return Array.from({ length: count }, (_, i) => bytes.subarray(starts[i], ends[i]).toString())
}
const csv = (body: string, options: Options = {}, max?: number) => cut(new CsvSplitter(options), 'csv', body, max)
const lines = (body: string, max?: number) => cut(new RawSplitter(), 'lines', body, max)

test('a body of CSV is cut at line breaks that are not in quotes; empty lines and comments are no events', () => {
  const escaped = { 'csv.escape-character': '\\' }
  const cases: [body: string, events: string[], options?: Options][] = [
    ['1,a\n2,b\n', ['1,a', '2,b']],
    ['\ufeff1,a\r\n\r\n\n 2 ,b\t\r\n3,c', ['1,a', ' 2 ,b\t', '3,c']],
    ['1,"a\nb"\n2,"c\r\n\n""d"" \n",x\n3,e', ['1,"a\nb"', '2,"c\r\n\n""d"" \n",x', '3,e']],
    ['1,a"b\n2,c"d\n', ['1,a"b', '2,c"d']],
    ['"a" \t\n"b\nc" ,2\n', ['"a" \t', '"b\nc" ,2']],
    ['"a\\"\n",1\n', ['"a\\"\n",1'], escaped],
    ['"a\\",1\n"b",2\n', ['"a\\",1', '"b",2']],
    ['a\\,"b\n2,x",1\n', ['a\\,"b', '2,x",1'], escaped],
    ["1;'a\nb'\n2;\"c\n", ["1;'a\nb'", '2;"c'], { 'csv.field-delimiter': ';', 'csv.quote-character': "'" }],
    ['1,"a\nb"\n', ['1,"a', 'b"'], { 'csv.disable-quote-character': 'true' }],
    ['#it "is\n1,a\n#\n2,#b\n', ['1,a', '2,#b'], { 'csv.allow-comments': 'true' }],
    ['#1,a\n', ['#1,a']],
    ['\t\t"x\n"\ty\n\t\t\n', ['\t\t"x\n"\ty', '\t\t'], { 'csv.field-delimiter': '\\t' }],
    ['', []],
    ['\n\r\n', []],
  ]
  for (const [body, events, options] of cases) assert.deepEqual(csv(body, options), events, JSON.stringify(body))
  assert.equal(csv('1\n2\n3\n', {}, 2).length, 3, 'one more than the limit, and no more')
})

test('a quote that is not closed, or closed in another line with text behind it, takes no other line with it', () => {
  assert.deepEqual(csv('1,"a\n2,b\n3,c\n'), ['1,"a', '2,b', '3,c'])
  assert.deepEqual(csv('1,"a\n2,"b"\n3,"c\nd"\n'), ['1,"a', '2,"b"', '3,"c\nd"'])
  // What is text of a field that is whole never becomes a record.
  assert.deepEqual(csv('1,"a\n2,b\n3",c,"d\n4,e\n'), ['1,"a\n2,b\n3",c,"d', '4,e'])
})

test('cutting is linear, whatever quotes are in the body', () => {
  const bodies = ['"a\n', '"\n', '"""\n', '"",""""\n', ',"\\"\n', ',"\n', 'a"\n', '"\\\n'].map((line) => line.repeat(1 << 19))
  for (const options of [{}, { 'csv.escape-character': '\\' }, { 'csv.escape-character': ',' }] as Options[]) {
    for (const body of bodies) {
      const bytes = Buffer.from(body)
      const fromMs = performance.now()
      new CsvSplitter(options).split(bytes, 'csv', 1 << 20)
      assert.ok(performance.now() - fromMs < 5_000, `${JSON.stringify(body.slice(0, 8))}: ${performance.now() - fromMs} ms`)
    }
  }
})

const fields: RowField[] = [
  { name: 'id', type: t.bigint(false) },
  { name: 'name', type: t.string() },
  { name: 'price', type: t.decimal(8, 2) },
  { name: 'tags', type: t.array(t.int()) },
]
const variants: Options[] = [
  {},
  { 'csv.ignore-parse-errors': 'true' },
  { 'csv.null-literal': 'n', 'csv.escape-character': '\\', 'csv.field-delimiter': ';' },
  { 'csv.disable-quote-character': 'true' },
]

test('the checker refuses what the decoder leaves out, and lets in what it reads', () => {
  const piece = fc.constantFrom('1', '007', '-2.5', 'n', 'é', '"', '""', ',', ';', '\\', ' ', '\n', 'x', '1,a,2', '9;b;1;3')
  for (const options of variants) {
    const checker = makeCsvChecker(fields, options, [])
    const decoder = makeCsvDecoder(fields, options)
    fc.assert(
      fc.property(fc.array(fc.array(piece, { maxLength: 9 }), { minLength: 1, maxLength: 5 }), (records) => {
        const parts = records.map((record) => Buffer.from(record.join('')))
        const bytes = Buffer.concat(parts)
        const ends = Int32Array.from(parts, (_, i) => parts.slice(0, i + 1).reduce((sum, { length }) => sum + length, 0))
        const starts = ends.map((end, i) => end - parts[i].length)
        checker.begin(bytes)
        const passed = parts.flatMap((_, i) => (checker.check(starts[i], ends[i]) === undefined ? [i] : []))
        const { rows, rowCount } = decoder.decode(bytes, starts, ends, parts.length, () => {})
        assert.deepEqual(passed, [...(rows ?? Array.from({ length: rowCount }, (_, i) => i))])
      }),
    )
  }
})

function checked(checker: EventChecker, event: string | Uint8Array) {
  const bytes = Buffer.from(event as string)
  checker.begin(bytes)
  const failure = checker.check(0, bytes.length)
  if (failure) return failure
  return checker.sources.map((source, k) => {
    const [start, end] = checker.captures.subarray(2 * k, 2 * k + 2)
    return start < 0 ? null : Buffer.from(source.subarray(start, end)).toString()
  })
}

test('failures name the column; captured fields are as JSON has them', () => {
  const all: RowField[] = [
    ...fields,
    { name: 'on', type: t.boolean() },
    { name: 'ratio', type: t.double() },
    { name: 'f', type: t.float() },
    { name: 'at', type: t.timestamp(3) },
    { name: 'm', type: t.map(t.string(), t.int()) },
  ]
  const checker = makeCsvChecker(all, {}, ['name', 'id', 'price', 'on', 'ratio', 'f', 'at', 'none'])
  assert.deepEqual(checked(checker, '+007,"a ""b""\n",1.5, , TRUE ,.5,0.1, 2026-01-02 03:04:05 ,what ever'), [
    'a "b"\n',
    '7',
    '1.50',
    'true',
    '0.5',
    '0.1',
    '2026-01-02 03:04:05',
    null,
  ])
  for (let i = 0; i < 100_000; i++) checked(checker, '1,"a ""b""",,,,,,,')
  assert.ok(sideText.bytes.length < 1 << 19, 'the text of earlier events is not kept')
  assert.deepEqual(checked(checker, '8,,,,,,,,'), ['', '8', null, null, null, null, null, null])
  const failures: [event: string | Uint8Array, rule: string, path: string, message: RegExp][] = [
    ['x,a,1,,,,,,', 'type', 'id', /'x' is not BIGINT/],
    [',a,1,,,,,,', 'required', 'id', /NOT NULL/],
    ['1,a', 'type', '', /2 fields instead of 9/],
    ['1,"a', 'type', 'name', /a quote is not closed/],
    ['1,a,1234567.5,,,,,,', 'range', 'price', /DECIMAL\(8, 2\)/],
    [Buffer.from([49, 44, 0xff]), 'utf8', 'name', /at byte 2/],
  ]
  for (const [event, rule, path, message] of failures) {
    const failure = checked(checker, event) as { rule: string; path: string; message: string }
    assert.deepEqual([failure.rule, failure.path], [rule, path], String(event))
    assert.match(failure.message, message)
  }
})

test('raw: lines are records, empty ones too; a body as a whole is one', () => {
  assert.deepEqual(lines('\ufeffa\r\n\n b \n'), ['a', '', ' b '])
  assert.deepEqual(lines('a\r'), ['a\r'])
  assert.equal(lines('1\n2\n3\n', 2).length, 3)
  assert.deepEqual(cut(new RawSplitter(), 'whole', '\ufeffa\r\nb\n'), ['\ufeffa\r\nb\n'])
  const of = (type: RowField['type'], options: Options = {}) => isRawOfLines([{ name: 'v', type }], options)
  assert.deepEqual(
    [of(t.string()), of(t.bytes()), of(t.bigint()), of(t.boolean()), of(t.string(), { 'raw.charset': 'UTF-16' })],
    [true, true, false, false, false],
  )
  assert.ok(of(t.string(), { 'raw.charset': 'ISO-8859-1' }))
})

test('raw: what the decoder refuses is refused; the captured value is as JSON has it', () => {
  const of = (type: RowField['type'], options: Options = {}) => makeRawChecker([{ name: 'v', type }], options, ['id', 'v'])
  assert.deepEqual(checked(of(t.string()), 'é"'), [null, 'é"'])
  assert.deepEqual(checked(of(t.string(), { 'raw.charset': 'ISO-8859-1' }), Buffer.from([0xe9])), [null, 'é'])
  assert.deepEqual(checked(of(t.bytes()), Buffer.from([0, 255])), [null, 'AP8='])
  assert.deepEqual(checked(of(t.bigint()), Buffer.from([255, 255, 255, 255, 255, 255, 255, 254])), [null, '-2'])
  assert.deepEqual(checked(of(t.int(), { 'raw.endianness': 'little-endian' }), Buffer.from([1, 0, 0, 0])), [null, '1'])
  assert.deepEqual(checked(of(t.boolean()), Buffer.from([1])), [null, 'true'])
  assert.deepEqual(checked(of(t.bigint()), '12'), { rule: 'type', path: 'v', message: '2 bytes are not BIGINT' })
  assert.equal((checked(of(t.string()), Buffer.from([97, 0xff])) as { rule: string }).rule, 'utf8')
  assert.throws(() => makeRawChecker(fields, {}, []), { code: 'FORMAT_COLUMNS' })
})
