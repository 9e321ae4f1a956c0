import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type RowField, t, valueAt } from '../data/index.ts'
import { makeCsvDecoder, makeRawDecoder, type RowDecoder } from './index.ts'

function decodeRows(decoder: RowDecoder, lines: (string | Uint8Array)[]): unknown[] {
  const buffers = lines.map((line) => Buffer.from(line as string))
  const ends = Int32Array.from(buffers, (_, i) => buffers.slice(0, i + 1).reduce((sum, buffer) => sum + buffer.length, 0))
  const starts = ends.map((end, i) => end - buffers[i].length)
  const results: unknown[] = new Array(lines.length).fill(undefined)
  const { columns, rowCount, rows } = decoder.decode(Buffer.concat(buffers), starts, ends, lines.length, (index, error) => {
    results[index] = error.code
  })
  for (let row = 0; row < rowCount; row++) results[rows ? rows[row] : row] = columns.map((column) => valueAt(column, row))
  return results
}

const fields: RowField[] = [
  { name: 'id', type: t.bigint(false) },
  { name: 'name', type: t.string() },
  { name: 'price', type: t.decimal(8, 2) },
]

test('CSV: quotes, NULL, wrong numbers of fields, types', () => {
  const lines = ['1,ana,2.5', '2,"a ""b"", c",', ' 3 ,,1', ',x,1', '4,x', '5,x,1,2', '6,"x', '7,"x"y,1', 'x,y,1', '8,é,1\r\n']
  assert.deepEqual(decodeRows(makeCsvDecoder(fields), lines), [
    [1n, 'ana', 250n],
    [2n, 'a "b", c', null],
    [3n, '', 100n],
    'FORMAT_REQUIRED',
    'FORMAT_TYPE',
    'FORMAT_TYPE',
    'FORMAT_TYPE',
    'FORMAT_TYPE',
    'FORMAT_TYPE',
    [8n, 'é', 100n],
  ])
})

test('CSV: options, and only the wanted columns', () => {
  const options = {
    'csv.field-delimiter': ';',
    'csv.quote-character': "'",
    'csv.null-literal': '-',
    'csv.escape-character': '\\',
    'csv.allow-comments': 'true',
  }
  assert.deepEqual(decodeRows(makeCsvDecoder(fields, options, [2, 1]), ["1;'a;b';1", '# note', '2;-;-', '3;a\\;b;2']), [
    [100n, 'a;b'],
    undefined,
    [null, null],
    [200n, 'a;b'],
  ])
  assert.deepEqual(decodeRows(makeCsvDecoder(fields, { 'csv.ignore-parse-errors': 'true' }), ['1,a,x', 'x,a,1', '2']), [
    [1n, 'a', null],
    undefined,
    [2n, null, null],
  ])
  assert.throws(() => makeCsvDecoder(fields, { 'csv.field-delimiter': 'ab' }), { code: 'FORMAT_OPTION' })
  assert.throws(() => makeCsvDecoder([{ name: 'a', type: t.map(t.string(), t.int()) }]), { code: 'FORMAT_COLUMNS' })
})

test('CSV: any text that is quoted is read back; bytes at random give rows or typed errors', () => {
  const decoder = makeCsvDecoder([
    { name: 'a', type: t.string() },
    { name: 'b', type: t.string() },
  ])
  const text = fc.string({ unit: 'binary' })
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text), { minLength: 1 }), (rows) => {
      const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`
      assert.deepEqual(
        decodeRows(
          decoder,
          rows.map(([a, b]) => `${quoted(a)},${quoted(b)}`),
        ),
        rows,
      )
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const [result] = decodeRows(decoder, [bytes])
      assert.ok(Array.isArray(result) || result === 'FORMAT_TYPE' || result === 'FORMAT_UTF8')
    }),
  )
})

test('raw: one column of bytes, text or a big-endian number', () => {
  const raw = (type: RowField['type'], ...bytes: number[]) => decodeRows(makeRawDecoder([{ name: 'x', type }]), [Uint8Array.from(bytes)])[0]
  assert.deepEqual(raw(t.string(), 0xc3, 0xa9), ['é'])
  assert.equal(raw(t.string(), 0xc3), 'FORMAT_UTF8')
  assert.deepEqual(raw(t.bytes(), 0, 255), [Uint8Array.of(0, 255)])
  assert.deepEqual(raw(t.bigint(), 255, 255, 255, 255, 255, 255, 255, 254), [-2n])
  assert.equal(raw(t.int(), 1), 'FORMAT_TYPE')
  assert.deepEqual(decodeRows(makeRawDecoder([]), ['x']), [[]])
  assert.throws(() => makeRawDecoder(fields), { code: 'FORMAT_COLUMNS' })
})

test('CSV: what Flink 2.1.1 reads of odd lines', () => {
  const three = ['a', 'b', 'c'].map((name) => ({ name, type: t.string() }))
  const read = (options: Record<string, string>, ...lines: string[]) => decodeRows(makeCsvDecoder(three, options), lines)
  const abc = ['a', 'b', 'c']
  // Blanks behind a quote, a delimiter at the end, and a byte order mark are no values; a line break without quotes is an error.
  assert.deepEqual(read({}, '"a" ,b,"c"\t', 'a,b,c,', 'a,b,c, ', '\ufeffa,b,c'), [abc, abc, abc, abc])
  assert.deepEqual(read({}, '', 'a,b,c,d', 'a\nb,c,d', '"a\nb",b,c'), ['FORMAT_TYPE', 'FORMAT_TYPE', 'FORMAT_TYPE', ['a\nb', 'b', 'c']])
  assert.deepEqual(read({ 'csv.ignore-parse-errors': 'TRUE' }, '', 'a,b,c,d', 'a'), [undefined, undefined, ['a', null, null]])
  assert.deepEqual(read({ 'csv.escape-character': '\\' }, 'a\\,b\\n,b,c\\\\'), [['a,b\n', 'b', 'c\\']])
  assert.deepEqual(read({ 'csv.escape-character': '"' }, '"a""b",b,c'), [['a"b', 'b', 'c']])
  for (const delimiter of ['\\u0001', '\u0001', '\\1'])
    assert.deepEqual(read({ 'csv.field-delimiter': delimiter }, 'a\u0001b\u0001c'), [abc])
  const wrong: Record<string, string>[] = [
    { 'csv.field-delimiter': '\\' },
    { 'csv.disable-quote-character': 'true', 'csv.quote-character': "'" },
    { 'csv.array-element-delimiter': '||' },
    { 'csv.write-bigdecimal-in-scientific-notation': 'no' },
  ]
  for (const options of wrong) assert.throws(() => makeCsvDecoder(three, options), { code: 'FORMAT_OPTION' })
})

test('CSV: ARRAY and ROW are read as they are written; empty bytes are no NULL', () => {
  const nested: RowField[] = [
    { name: 'n', type: t.array(t.int()) },
    { name: 's', type: t.array(t.string()) },
    { name: 'r', type: t.row([{ name: 'x', type: t.int() }, { name: 'y', type: t.string() }]) }, // biome-ignore format: one thought
    { name: 'b', type: t.bytes() },
  ]
  const read = (options: Record<string, string>, ...lines: string[]) => decodeRows(makeCsvDecoder(nested, options), lines)
  const none = new Uint8Array(0)
  assert.deepEqual(read({}, '1; 2 ;3,a; b,"5;x,y",YQ==', ',,,', ' , , , '), [
    [[1, 2, 3], ['a', ' b'], [5, 'x,y'], Uint8Array.of(97)],
    [[], [], null, none],
    [[], [], null, none],
  ])
  assert.deepEqual(read({}, '1;x,,,', ',,1,', ',,1;2;3,'), ['FORMAT_TYPE', 'FORMAT_TYPE', 'FORMAT_TYPE'])
  assert.deepEqual(read({ 'csv.ignore-parse-errors': 'true' }, '1;x,,1,'), [[[1, null], [], [1, null], none]])
  assert.deepEqual(read({ 'csv.null-literal': '-', 'csv.array-element-delimiter': '|' }, '1|-,a|-|,1|-,-'), [
    [[1, null], ['a', null, ''], [1, null], null],
  ])
  assert.throws(() => makeCsvDecoder([{ name: 'a', type: t.array(t.array(t.int())) }]), { code: 'FORMAT_COLUMNS' })
})

test('raw: the order of bytes and the character set that a table names', () => {
  const raw = (type: RowField['type'], options: Record<string, string>, ...bytes: number[]) =>
    decodeRows(makeRawDecoder([{ name: 'x', type }], options), [Uint8Array.from(bytes)])[0]
  const little = { 'raw.endianness': 'little-endian' }
  assert.deepEqual(raw(t.bigint(), little, 254, 255, 255, 255, 255, 255, 255, 255), [-2n])
  assert.deepEqual(raw(t.double(), little, 0, 0, 0, 0, 0, 0, 240, 63), [1])
  assert.deepEqual(raw(t.smallint(), { 'raw.endianness': 'BIG-ENDIAN' }, 1, 0), [256])
  const text = (charset: string, ...bytes: number[]) => raw(t.string(), { 'raw.charset': charset }, ...bytes)
  assert.deepEqual(text('ISO-8859-1', 0xe9, 0x80), ['é\u0080'])
  assert.deepEqual(text('utf-16le', 0x3d, 0xd8, 0x00, 0xde), ['😀'])
  assert.deepEqual(text('UTF-16', 0xff, 0xfe, 0x41, 0), ['A'])
  assert.deepEqual(text('UTF-16', 0, 0x41), ['A'])
  for (const bytes of [[0x41], [0xd8, 0x3d]]) assert.equal(text('UTF-16BE', ...bytes), 'FORMAT_TYPE')
  assert.equal(text('US-ASCII', 0xe9), 'FORMAT_TYPE')
  const wrong: Record<string, string>[] = [{ 'raw.endianness': 'middle' }, { 'raw.charset': 'nope' }]
  for (const options of wrong) assert.throws(() => makeRawDecoder([{ name: 'x', type: t.string() }], options), { code: 'FORMAT_OPTION' })
})
