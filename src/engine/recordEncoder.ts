// Columns to the bytes of records, in the formats that Flink's Kafka connector writes: json, csv, raw. For values and for keys.
import { type Column, type Field, valueAt } from '../data/index.ts'
import { type EncodedRows, formatOptions, isLittleEndian, jsonEncodeOptions, makeJsonEncoder, rawCharset } from '../formats/index.ts'
import { makeCsvEncoder } from './csvEncoder.ts'
import { engineErrors } from './errors.ts'
import type { RecordFormat } from './protocol.ts'

interface Rows {
  columns: readonly Column[]
  rowCount: number
}
/** Where a row has no bytes, as NULL in the format raw, its start is -1. The bytes may hold only until the next call. */
export type RecordEncoder = (rows: Rows) => EncodedRows

/**
 * @param options  the table's format options, with or without the prefix of the format
 * @throws         StreamError FORMAT_COLUMNS_UNWRITABLE, FORMAT_OPTION
 */
export function makeRecordEncoder(
  format: RecordFormat,
  fields: readonly Field[],
  options: Readonly<Record<string, string>>,
): RecordEncoder {
  if (format === 'json') return makeJsonEncoder(fields, jsonEncodeOptions(options))
  if (format === 'csv') return makeCsvEncoder(fields, options)
  const part = rawBytes(fields, options)
  return (rows) => {
    const starts = new Int32Array(rows.rowCount)
    const ends = new Int32Array(rows.rowCount)
    const parts: Uint8Array[] = []
    let at = 0
    for (let row = 0; row < rows.rowCount; row++) {
      const bytes = part(rows.columns, row)
      starts[row] = bytes === null ? -1 : at
      ends[row] = bytes === null ? -1 : (at += bytes.length)
      if (bytes !== null) parts.push(bytes)
    }
    return { bytes: Buffer.concat(parts), starts, ends }
  }
}

/** The bytes of the one column: text, bytes, or a number or boolean in binary. */
function rawBytes(
  fields: readonly Field[],
  tableOptions: Readonly<Record<string, string>>,
): (columns: readonly Column[], row: number) => Uint8Array | null {
  const options = formatOptions('raw', tableOptions)
  const encode = rawCharset(options)?.encode ?? ((text: string) => Buffer.from(text))
  const isLittle = isLittleEndian(options)
  const unwritable = (reason: string) => engineErrors('FORMAT_COLUMNS_UNWRITABLE', { format: 'raw', reason })
  if (fields.length !== 1) throw unwritable(`it has ${fields.length} columns, and raw writes one`)
  const [{ name, type }] = fields
  const binary = (size: number, write: (bytes: DataView, value: never) => unknown) => (value: unknown) => {
    const bytes = new Uint8Array(size)
    write(new DataView(bytes.buffer), value as never)
    return bytes
  }
  const writers: Partial<Record<Field['type']['kind'], (value: unknown) => Uint8Array>> = {
    CHAR: (value) => encode(String(value)),
    VARCHAR: (value) => encode(String(value)),
    BINARY: (value) => value as Uint8Array,
    VARBINARY: (value) => value as Uint8Array,
    BOOLEAN: binary(1, (bytes, value: boolean) => bytes.setInt8(0, value ? 1 : 0)),
    TINYINT: binary(1, (bytes, value: number) => bytes.setInt8(0, value)),
    SMALLINT: binary(2, (bytes, value: number) => bytes.setInt16(0, value, isLittle)),
    INT: binary(4, (bytes, value: number) => bytes.setInt32(0, value, isLittle)),
    BIGINT: binary(8, (bytes, value: bigint) => bytes.setBigInt64(0, value, isLittle)),
    FLOAT: binary(4, (bytes, value: number) => bytes.setFloat32(0, value, isLittle)),
    DOUBLE: binary(8, (bytes, value: number) => bytes.setFloat64(0, value, isLittle)),
  }
  const write = writers[type.kind]
  if (!write) throw unwritable(`column ${name} is ${type.kind}`)
  return (columns, row) => {
    const value = valueAt(columns[0], row)
    return value === null || value === undefined ? null : write(value)
  }
}
