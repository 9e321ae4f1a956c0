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
  assert.throws(() => makeCsvDecoder([{ name: 'a', type: t.array(t.int()) }]), { code: 'FORMAT_COLUMNS' })
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
