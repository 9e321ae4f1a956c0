// Columns to JSON: one object per row, each followed by a line break, so the whole is NDJSON and each row can be cut out.
//
// BIGINT and DECIMAL are exact numerals; NaN and the infinities are text; times are text in Flink's SQL format (or ISO-8601) with the digits of
// their precision, or as Flink's formats write them without zeros at the end; bytes are base64; NULL is null. A MAP's keys are written as text, a NULL key as "null"
// unless json.map-null-key.mode says otherwise.
//
// @source Flink 2.1 RowDataToJsonConverters; decimals are always plain (json.encode.decimal-as-plain-number), doubles have JavaScript's digits
import { type Column, decimalText, type RowField, type SqlType } from '../../data/index.ts'
import { ByteSink } from '../byteSink.ts'
import { formatErrors } from '../errors.ts'
import { type FormatOptions, formatOptions } from '../options.ts'

export interface JsonEncodeOptions {
  timestampFormat?: 'SQL' | 'ISO-8601'
  /** Times without zeros at the end of the second's fraction, as in records of Flink. */
  shortFraction?: boolean
  /** Flink's json.encode.ignore-null-fields; in rows within rows, too. */
  ignoreNullFields?: boolean
  /** 'string': BIGINT and DECIMAL as text, for readers whose numbers are doubles. */
  numbers?: 'exact' | 'string'
  /** Flink's json.map-null-key.mode: entries with a NULL key are written under `nullKey`, left out, or an error; LITERAL unless given. */
  nullKeyMode?: 'LITERAL' | 'DROP' | 'FAIL'
  /** 'null' unless given. */
  nullKey?: string
}

/** Flink's json.timestamp-format.standard. @throws StreamError FORMAT_OPTION */
export const timestampFormatOf = (options: FormatOptions): 'SQL' | 'ISO-8601' | undefined => {
  const standard = options.text('timestamp-format.standard')
  if (standard === undefined || standard === 'SQL' || standard === 'ISO-8601') return standard
  throw options.invalid('timestamp-format.standard', 'SQL or ISO-8601')
}

const FLAGS = [
  'decode.json-parser.enabled',
  'encode.decimal-as-plain-number',
  'encode.ignore-null-fields',
  'fail-on-missing-field',
  'ignore-parse-errors',
]

/** Options of the format json, each of which has a value that it may have, whether records are read or written. @throws StreamError FORMAT_OPTION */
export function jsonFormatOptions(tableOptions: Readonly<Record<string, string>>): FormatOptions {
  const options = formatOptions('json', tableOptions)
  for (const name of FLAGS) options.flag(name)
  return options
}

/** How records are written, from a table's options with or without the prefix `json.`. @throws StreamError FORMAT_OPTION */
export function jsonEncodeOptions(tableOptions: Readonly<Record<string, string>>): JsonEncodeOptions {
  const options = jsonFormatOptions(tableOptions)
  return {
    shortFraction: true,
    timestampFormat: timestampFormatOf(options) ?? 'SQL',
    ignoreNullFields: options.flag('encode.ignore-null-fields'),
    nullKeyMode: options.choice('map-null-key.mode', ['LITERAL', 'DROP', 'FAIL']),
    nullKey: options.text('map-null-key.literal'),
  }
}

/** Row i is the JSON object `bytes[starts[i] … ends[i])`; all of `bytes` is NDJSON. */
export interface EncodedRows {
  bytes: Uint8Array
  starts: Int32Array
  ends: Int32Array
}
export type JsonEncoder = (rows: { columns: readonly Column[]; rowCount: number }) => EncodedRows

/** An encoder for columns of these fields, in this order. The result owns its bytes. */
export function makeJsonEncoder(fields: readonly RowField[], options: JsonEncodeOptions = {}): JsonEncoder {
  const names = fields.map(({ name }) => Buffer.from(`${JSON.stringify(name.toWellFormed())}:`))
  const writers = fields.map(({ type }) => makeWriter(type, options))
  const sink = new JsonSink()
  return ({ columns, rowCount }) => {
    sink.at = 0
    const starts = new Int32Array(rowCount)
    const ends = new Int32Array(rowCount)
    for (let row = 0; row < rowCount; row++) {
      starts[row] = sink.at
      sink.byte(123)
      let isFirst = true
      for (let o = 0; o < names.length; o++) {
        const column = columns[o]
        const isNull = column.nulls !== undefined && column.nulls[row] === 1
        if (isNull && options.ignoreNullFields) continue
        if (!isFirst) sink.byte(44)
        isFirst = false
        sink.raw(names[o])
        if (isNull) sink.ascii('null')
        else if (column.lane === 'utf8') sink.utf8Text(column.bytes, column.starts[row], column.ends[row])
        else if (column.lane === 'u8') sink.ascii(column.data[row] === 1 ? 'true' : 'false')
        else writers[o](sink, column.data[row])
      }
      sink.byte(125)
      ends[row] = sink.at
      sink.byte(10)
    }
    return { bytes: sink.take(), starts, ends }
  }
}

class JsonSink extends ByteSink {
  /** Text in UTF-8, quoted. */
  utf8Text(source: Uint8Array, start: number, end: number): void {
    this.reserve((end - start) * 6 + 2)
    const { bytes } = this
    let { at } = this
    bytes[at++] = 34
    for (let i = start; i < end; i++) {
      const c = source[i]
      if (c >= 32 && c !== 34 && c !== 92) {
        bytes[at++] = c
      } else {
        const escaped = escapes[c]
        for (let k = 0; k < escaped.length; k++) bytes[at++] = escaped.charCodeAt(k)
      }
    }
    bytes[at++] = 34
    this.at = at
  }
  /** A JavaScript string, quoted. */
  text(value: string): void {
    for (let i = 0; i < value.length; i++) {
      const c = value.charCodeAt(i)
      if (c < 32 || c > 126 || c === 34 || c === 92) {
        const utf8 = Buffer.from(value)
        this.utf8Text(utf8, 0, utf8.length)
        return
      }
    }
    this.byte(34)
    this.ascii(value)
    this.byte(34)
  }
}

const escapes: Record<number, string> = { 34: '\\"', 92: '\\\\' }
for (let c = 0; c < 32; c++) escapes[c] = JSON.stringify(String.fromCharCode(c)).slice(1, -1)

type Writer = (sink: JsonSink, value: unknown) => void

const pad = (value: number, width: number): string => String(value).padStart(width, '0')

/** yyyy-MM-dd of days since 1970-01-01. */
function dateText(days: number): string {
  const date = new Date(days * 86_400_000)
  return `${pad(date.getUTCFullYear(), 4)}-${pad(date.getUTCMonth() + 1, 2)}-${pad(date.getUTCDate(), 2)}`
}
/** HH:mm:ss, with `precision` digits of the second's fraction. */
function timeText(msOfDay: number, nanos: number, precision: number): string {
  const seconds = Math.floor(msOfDay / 1000)
  const text = `${pad(Math.floor(seconds / 3600), 2)}:${pad(Math.floor(seconds / 60) % 60, 2)}:${pad(seconds % 60, 2)}`
  return precision === 0 ? text : `${text}.${pad((msOfDay % 1000) * 1_000_000 + nanos, 9).slice(0, precision)}`
}

/** The shortest text that is the same FLOAT. */
export function floatText(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return String(short)
  }
  return String(value)
}

function makeWriter(type: SqlType, options: JsonEncodeOptions): Writer {
  const quote = options.numbers === 'string' ? '"' : ''
  switch (type.kind) {
    case 'BOOLEAN':
      return (sink, value) => sink.ascii(value ? 'true' : 'false')
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
    case 'INTERVAL_YEAR_MONTH':
    case 'INTERVAL_DAY_TIME':
      return (sink, value) => sink.integer(value as number)
    case 'BIGINT':
      return (sink, value) => {
        if (quote !== '') sink.byte(34)
        const number = Number(value)
        if (Number.isSafeInteger(number)) sink.integer(number)
        else sink.ascii(String(value))
        if (quote !== '') sink.byte(34)
      }
    case 'FLOAT':
    case 'DOUBLE': {
      const format = type.kind === 'FLOAT' ? floatText : String
      return (sink, value) => {
        if (!Number.isFinite(value)) sink.ascii(`"${value}"`)
        else if (Number.isInteger(value) && (value as number) > 0 && (value as number) < 1e9) sink.integer(value as number)
        else sink.ascii(Object.is(value, -0) ? '-0.0' : format(value as number))
      }
    }
    case 'DECIMAL': {
      const { scale } = type
      return (sink, value) => sink.ascii(quote + decimalText(value as bigint, scale) + quote)
    }
    case 'DATE':
      return (sink, value) => sink.ascii(`"${dateText(value as number)}"`)
    case 'TIME': {
      const shown = shownTime(options)
      const { precision } = type
      return (sink, value) => sink.ascii(`"${shown(timeText(value as number, 0, precision))}"`)
    }
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return timestampWriter(type.precision, type.kind === 'TIMESTAMP_LTZ', options)
    case 'CHAR':
    case 'VARCHAR':
      return (sink, value) => sink.text(value as string)
    case 'BINARY':
    case 'VARBINARY':
      return (sink, value) => sink.ascii(`"${Buffer.from(value as Uint8Array).toString('base64')}"`)
    case 'ARRAY': {
      const element = nullable(makeWriter(type.element, options))
      return (sink, value) => {
        sink.byte(91)
        ;(value as unknown[]).forEach((each, i) => {
          if (i > 0) sink.byte(44)
          element(sink, each)
        })
        sink.byte(93)
      }
    }
    case 'MAP':
      return mapWriter(type.key, makeWriter(type.value, options), options)
    case 'MULTISET':
      return mapWriter(type.element, (sink, count) => sink.integer(count as number), options)
    case 'ROW': {
      const names = type.fields.map(({ name }) => `${JSON.stringify(name.toWellFormed())}:`)
      const writers = type.fields.map((field) => nullable(makeWriter(field.type, options)))
      return (sink, value) => {
        sink.byte(123)
        let isFirst = true
        ;(value as unknown[]).forEach((each, i) => {
          if (each === null && options.ignoreNullFields) return
          if (!isFirst) sink.byte(44)
          isFirst = false
          sink.raw(Buffer.from(names[i]))
          writers[i](sink, each)
        })
        sink.byte(125)
      }
    }
    case 'NULL':
      return (sink) => sink.ascii('null')
  }
}

const nullable =
  (writer: Writer): Writer =>
  (sink, value) =>
    value === null ? sink.ascii('null') : writer(sink, value)

/** What is written of a time with all its digits. */
const shownTime = ({ shortFraction }: JsonEncodeOptions): ((text: string) => string) =>
  shortFraction ? (text) => (text.includes('.') ? text.replace(/\.?0+$/, '') : text) : (text) => text

function timestampWriter(precision: number, isZoned: boolean, options: JsonEncodeOptions): Writer {
  const separator = options.timestampFormat === 'ISO-8601' ? 'T' : ' '
  const zone = isZoned ? 'Z' : ''
  const shown = shownTime(options)
  return (sink, value) => {
    const isNanos = typeof value === 'bigint'
    const nanos = isNanos ? Number(BigInt.asUintN(64, ((value % 1_000_000n) + 1_000_000n) % 1_000_000n)) : 0
    const ms = isNanos ? Number((value - BigInt(nanos)) / 1_000_000n) : (value as number)
    const days = Math.floor(ms / 86_400_000)
    sink.ascii(`"${dateText(days)}${separator}${shown(timeText(ms - days * 86_400_000, nanos, precision))}${zone}"`)
  }
}

/** A key that is no text is written as JSON and that as text. */
function mapWriter(key: SqlType, value: Writer, options: JsonEncodeOptions): Writer {
  const keyWriter = makeWriter(key, { ...options, numbers: 'exact' })
  const scratch = new JsonSink()
  const { nullKeyMode = 'LITERAL', nullKey = 'null' } = options
  const keyText = (each: unknown): string => {
    if (each === null && nullKeyMode === 'FAIL') throw formatErrors('FORMAT_MAP_KEY', {})
    if (each === null) return nullKey
    if (typeof each === 'string') return each
    scratch.at = 0
    keyWriter(scratch, each)
    const text = Buffer.from(scratch.take()).toString()
    return text[0] === '"' ? JSON.parse(text) : text
  }
  const valueWriter = nullable(value)
  return (sink, map) => {
    sink.byte(123)
    let isFirst = true
    for (const [each, item] of map as Map<unknown, unknown>) {
      if (each === null && nullKeyMode === 'DROP') continue
      if (!isFirst) sink.byte(44)
      isFirst = false
      sink.text(keyText(each))
      sink.byte(58)
      valueWriter(sink, item)
    }
    sink.byte(125)
  }
}
