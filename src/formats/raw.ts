// Flink's format raw: a record's bytes are the one column's value: text (checked; UTF-8 unless 'raw.charset' says otherwise), bytes, or a
// boolean or number in binary, big-endian unless 'raw.endianness' says otherwise.
import type { StreamError } from '../base/index.ts'
import { laneOf, type RowField } from '../data/index.ts'
import { isLittleEndian, rawCharset } from './charset.ts'
import { ColumnStore } from './columns.ts'
import { formatErrors, type RowFailure, rowError } from './errors.ts'
import { failureOf, scanCodePoint } from './json/scan.ts'
import { formatOptions } from './options.ts'
import type { RowDecoder } from './rows.ts'
import { out, reserveSide, sideText } from './text.ts'

const sizes: Record<string, number> = { BOOLEAN: 1, TINYINT: 1, SMALLINT: 2, INT: 4, BIGINT: 8, FLOAT: 4, DOUBLE: 8 }

/**
 * A decoder of raw records into one column; with no field (nothing of the value is read) into none.
 *
 * @param options  the table's options
 * @throws StreamError  FORMAT_COLUMNS, FORMAT_OPTION
 */
export function makeRawDecoder(fields: readonly RowField[], options: Readonly<Record<string, string>> = {}): RowDecoder {
  if (fields.length > 1) throw notOneColumn()
  const types = fields.map((field) => field.type)
  const store = new ColumnStore(types)
  const read = fields.length === 0 ? () => undefined : rawReader(fields[0], options)
  return {
    decode(bytes, starts, ends, count, onError: (index: number, error: StreamError) => void) {
      store.begin(count)
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      const rows = new Int32Array(count)
      let low = bytes.length
      let high = 0
      for (let index = 0; index < count; index++) {
        low = Math.min(low, starts[index])
        high = Math.max(high, ends[index])
        const failure = read(bytes, view, starts[index], ends[index])
        if (failure) {
          onError(index, rowError('raw', failure))
          continue
        }
        if (fields.length > 0) store.set(0)
        rows[store.row++] = index
      }
      const rowCount = store.row
      return {
        columns: store.finish(bytes, Math.min(low, high), high),
        rowCount,
        rows: rowCount === count ? undefined : rows.subarray(0, rowCount),
      }
    },
  }
}

export const notOneColumn = () => formatErrors('FORMAT_COLUMNS', { format: 'raw', message: 'the table must have one physical column' })

export type RawReader = (b: Uint8Array, view: DataView, s: number, e: number) => RowFailure | undefined

/** Reads one value into `out`. @throws StreamError FORMAT_COLUMNS, FORMAT_OPTION */
export function rawReader({ name, type }: RowField, tableOptions: Readonly<Record<string, string>>): RawReader {
  const { kind } = type
  const options = formatOptions('raw', tableOptions)
  const charset = rawCharset(options)
  const isLittle = isLittleEndian(options)
  if (laneOf(type) === 'utf8' && charset) {
    return (b, _, s, e) => {
      const bytes = b.subarray(s, e)
      if (!charset.isText(bytes)) return { rule: 'type', path: name, message: `the bytes are no text in ${options.text('charset')}` }
      const text = charset.decode(bytes)
      const size = Buffer.byteLength(text)
      reserveSide(size)
      Buffer.from(sideText.bytes.buffer).write(text, sideText.length)
      out.side = true
      out.start = sideText.length
      out.end = sideText.length += size
    }
  }
  if (laneOf(type) === 'utf8') {
    return (b, _, s, e) => {
      for (let p = s; p < e; ) {
        p = b[p] < 128 ? p + 1 : scanCodePoint(b, p, e)
        if (p < 0) return { ...failureOf(p, s), path: name }
      }
      out.side = false
      out.start = s
      out.end = e
    }
  }
  if (kind === 'BINARY' || kind === 'VARBINARY') {
    return (b, _, s, e) => {
      out.value = new Uint8Array(b.subarray(s, e))
    }
  }
  const size = sizes[kind]
  if (size === undefined)
    throw formatErrors('FORMAT_COLUMNS', { format: 'raw', message: `column ${name} is ${kind}, which raw cannot hold` })
  return (_, view, s, e) => {
    if (e - s !== size) return { rule: 'type', path: name, message: `${e - s} bytes are not ${kind}` }
    if (kind === 'BIGINT') out.big = view.getBigInt64(s, isLittle)
    else if (kind === 'DOUBLE') out.num = view.getFloat64(s, isLittle)
    else if (kind === 'FLOAT') out.num = view.getFloat32(s, isLittle)
    else if (kind === 'BOOLEAN') out.num = view.getInt8(s) === 0 ? 0 : 1
    else out.num = size === 1 ? view.getInt8(s) : size === 2 ? view.getInt16(s, isLittle) : view.getInt32(s, isLittle)
  }
}
