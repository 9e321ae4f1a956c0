// Columns to the bytes of records, in the formats that Flink's Kafka connector writes: json, csv, raw. For values and for keys.
import { type Column, type Field, valueAt } from '../data/index.ts'
import { type EncodedRows, type JsonEncodeOptions, jsonDecodeOptions, makeJsonEncoder } from '../formats/index.ts'
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
  if (format === 'json') return makeJsonEncoder(fields, jsonOptions(options))
  if (format === 'csv') return makeCsvEncoder(fields, options)
  const part = rawBytes(fields)
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

/** Flink's options of the format json that concern what is written, with or without the prefix `json.`. */
function jsonOptions(options: Readonly<Record<string, string>>): JsonEncodeOptions {
  const option = (name: string): string | undefined => options[`json.${name}`] ?? options[name]
  return {
    shortFraction: true,
    timestampFormat: jsonDecodeOptions(options).timestampFormat ?? 'SQL',
    ignoreNullFields: option('encode.ignore-null-fields') === 'true',
  }
}

/** The bytes of the one column: text, bytes, or a number or boolean in big-endian binary. */
function rawBytes(fields: readonly Field[]): (columns: readonly Column[], row: number) => Uint8Array | null {
  const unwritable = (reason: string) => engineErrors('FORMAT_COLUMNS_UNWRITABLE', { format: 'raw', reason })
  if (fields.length !== 1) throw unwritable(`it has ${fields.length} columns, and raw writes one`)
  const [{ name, type }] = fields
  const binary = (size: number, write: (bytes: Buffer, value: never) => unknown) => (value: unknown) => {
    const bytes = Buffer.alloc(size)
    write(bytes, value as never)
    return bytes
  }
  const writers: Partial<Record<Field['type']['kind'], (value: unknown) => Uint8Array>> = {
    CHAR: (value) => Buffer.from(String(value)),
    VARCHAR: (value) => Buffer.from(String(value)),
    BINARY: (value) => value as Uint8Array,
    VARBINARY: (value) => value as Uint8Array,
    BOOLEAN: binary(1, (bytes, value: boolean) => bytes.writeInt8(value ? 1 : 0)),
    TINYINT: binary(1, (bytes, value: number) => bytes.writeInt8(value)),
    SMALLINT: binary(2, (bytes, value: number) => bytes.writeInt16BE(value)),
    INT: binary(4, (bytes, value: number) => bytes.writeInt32BE(value)),
    BIGINT: binary(8, (bytes, value: bigint) => bytes.writeBigInt64BE(value)),
    FLOAT: binary(4, (bytes, value: number) => bytes.writeFloatBE(value)),
    DOUBLE: binary(8, (bytes, value: number) => bytes.writeDoubleBE(value)),
  }
  const write = writers[type.kind]
  if (!write) throw unwritable(`column ${name} is ${type.kind}`)
  return (columns, row) => {
    const value = valueAt(columns[0], row)
    return value === null || value === undefined ? null : write(value)
  }
}
