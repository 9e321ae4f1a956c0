// Columns to CSV as Flink writes it: values are quoted where they must be; NULL is the null literal, or nothing. Bytes are base64, times have
// no zeros at the end of their fraction, elements of an ARRAY and fields of a ROW are joined by the array element delimiter.
//
// Invariant: a line is what `textOf` of its values gives, joined. Texts that are UTF-8 already, whole numbers, doubles of few digits and
// times go to bytes without becoming a JS string first. Held by csvEncoder.property.test.ts.
import { copyBytes, viewOf } from '../base/index.ts'
import { type Column, type Field, isTextKind, type SqlType, valueAt } from '../data/index.ts'
import { ByteSink, csvDelimiter, csvQuote, floatText, formatOptions } from '../formats/index.ts'
import { formatValue } from './expressions/index.ts'
import type { RecordEncoder } from './recordEncoder.ts'
import { halves } from './state/columns.ts'

const NEWLINE = 10
const TWO_32 = 2 ** 32

/**
 * An encoder of lines, each with its end: all of `bytes` is a CSV file; row i without the end of its line is `bytes[starts[i] … ends[i])`.
 * The bytes hold until its next call.
 *
 * @param options  the table's format options, with or without the prefix `csv.`
 * @throws StreamError FORMAT_OPTION
 */
export function makeCsvEncoder(fields: readonly Field[], options: Readonly<Record<string, string>>): RecordEncoder {
  const csv = formatOptions('csv', options)
  const delimiter = csvDelimiter(csv)
  const nullText = csv.text('null-literal') ?? ''
  const elementDelimiter = csv.text('array-element-delimiter') ?? ';'
  if (elementDelimiter.length !== 1) throw csv.invalid('array-element-delimiter', 'one character')
  csv.flag('write-bigdecimal-in-scientific-notation')
  const sink = new CsvSink(delimiter, csvQuote(csv), nullText, elementDelimiter, csv.text('escape-character') ?? '')
  const delimiterBytes = Buffer.from(delimiter)
  const delimiterByte = delimiterBytes.length === 1 ? delimiterBytes[0] : -1
  const nullBytes = Buffer.from(nullText)
  return ({ columns, rowCount }) => {
    sink.at = 0
    const starts = new Int32Array(rowCount)
    const ends = new Int32Array(rowCount)
    const inputs = fields.map(({ type }, c) => inputOf(columns[c], type, sink.digitsArePlain))
    for (let row = 0; row < rowCount; row++) {
      starts[row] = sink.at
      for (let c = 0; c < inputs.length; c++) {
        const { form, nulls, words, doubles, starts, ends, bytes, view, column, type } = inputs[c]
        if (c > 0) {
          // There is room: each value leaves some.
          if (delimiterByte >= 0) sink.bytes[sink.at++] = delimiterByte
          else sink.raw(delimiterBytes)
        }
        if (nulls !== undefined && nulls[row] === 1) {
          sink.raw(nullBytes)
          continue
        }
        switch (form) {
          case UTF8:
            sink.utf8(bytes, view, starts[row], ends[row])
            break
          case LONG:
            sink.long(words[2 * row], words[2 * row + 1])
            break
          case INT:
            sink.integer(words[row])
            break
          case DOUBLE:
            sink.double(doubles[row])
            break
          case TIME:
            sink.time(doubles[row], type)
            break
          default:
            sink.any(valueAt(column, row), type)
        }
      }
      ends[row] = sink.at
      sink.byte(NEWLINE)
    }
    return { bytes: sink.bytes.subarray(0, sink.at), starts, ends }
  }
}

const ANY = 0
const UTF8 = 1
const LONG = 2
const INT = 3
const DOUBLE = 4
const TIME = 5

/** A column as the loop reads it: one shape for all forms. */
interface Input {
  form: number
  nulls: Uint8Array | undefined
  words: Int32Array
  doubles: Float64Array
  starts: Int32Array
  ends: Int32Array
  bytes: Uint8Array
  view: DataView
  column: Column
  type: SqlType
}
const noWords = new Int32Array(0)
const noDoubles = new Float64Array(0)
const noBytes = new Uint8Array(0)
const noView = viewOf(noBytes)

function inputOf(column: Column, type: SqlType, digitsArePlain: boolean): Input {
  const { nulls } = column
  const [words, doubles, starts, ends] = [noWords, noDoubles, noWords, noWords]
  const input: Input = { form: ANY, nulls, words, doubles, starts, ends, bytes: noBytes, view: noView, column, type }
  if (column.lane === 'utf8' && isTextKind(type.kind)) {
    const { bytes, starts, ends } = column
    return { ...input, form: UTF8, bytes, view: viewOf(bytes), starts, ends }
  }
  if (!digitsArePlain) return input
  if (column.lane === 'i64' && type.kind === 'BIGINT') return { ...input, form: LONG, words: halves(column.data) }
  if (column.lane === 'i32' && (type.kind === 'TINYINT' || type.kind === 'SMALLINT' || type.kind === 'INT'))
    return { ...input, form: INT, words: column.data }
  if (column.lane === 'f64' && (type.kind === 'DOUBLE' || type.kind === 'TIMESTAMP'))
    return { ...input, form: type.kind === 'DOUBLE' ? DOUBLE : TIME, doubles: column.data }
  return input
}

class CsvSink extends ByteSink {
  /** Digits, and what stands between them in numbers and times, are quoted nowhere. */
  readonly digitsArePlain: boolean
  private readonly quote: string
  private readonly nullText: string
  private readonly elementDelimiter: string
  /** As in Flink it escapes itself alone, in quoted texts: quotes are doubled all the same. */
  private readonly escaper: string
  private readonly nullSize: number
  private readonly special: RegExp
  /** Four times the byte that is looked for, in one word; undefined where it is no single byte. */
  private readonly delimiterWord: number | undefined
  private readonly quoteWord: number | undefined
  private timeMs = Number.NaN
  private timeBytes = noBytes
  private timeView = noView

  constructor(delimiter: string, quote: string, nullText: string, elementDelimiter: string, escaper: string) {
    super()
    this.elementDelimiter = elementDelimiter
    this.quote = quote
    this.escaper = escaper === quote ? '' : escaper
    this.nullText = nullText
    this.nullSize = Buffer.byteLength(nullText)
    this.special = new RegExp(`[\\r\\n${[delimiter, quote, escaper].map((text) => text.replace(/[\]\\^-]/g, '\\$&')).join('')}]|^\\s|\\s$`)
    this.digitsArePlain =
      !/[-+\d:. ZEeInfityNa]/.test(delimiter + quote + escaper) && !/[-\d:. Z]/.test(nullText) && !['NaN', 'Infinity'].includes(nullText)
    this.delimiterWord = escaper === '' ? wordOf(delimiter) : undefined
    this.quoteWord = quote === '' ? this.delimiterWord : wordOf(quote)
  }

  any(value: unknown, type: SqlType): void {
    this.string(this.textOf(value === null || value === undefined ? value : this.plainText(value, type)))
  }

  private plainText(value: unknown, type: SqlType): string {
    const joined = (values: readonly unknown[], typeOf: (i: number) => SqlType) =>
      values.map((one, i) => (one === null ? this.nullText : this.plainText(one, typeOf(i)))).join(this.elementDelimiter)
    switch (type.kind) {
      case 'BINARY':
      case 'VARBINARY':
        return Buffer.from(value as Uint8Array).toString('base64')
      case 'ARRAY':
        return joined(value as unknown[], () => type.element)
      case 'ROW':
        return joined(value as unknown[], (i) => type.fields[i].type)
      case 'FLOAT':
        return floatText(value as number)
      default: {
        const formatted = formatValue(value, type)
        const text = typeof formatted === 'object' ? JSON.stringify(formatted) : String(formatted)
        const isTime = type.kind === 'TIMESTAMP' || type.kind === 'TIMESTAMP_LTZ'
        return isTime ? text.replace(/\.?0*(Z?)$/, '$1') : text
      }
    }
  }

  private textOf(plain: string | null | undefined): string {
    const { quote } = this
    if (plain === null || plain === undefined) return this.nullText
    if (quote === '' || !(this.special.test(plain) || plain === this.nullText)) return plain
    const escaped = this.escaper === '' ? plain : plain.replaceAll(this.escaper, this.escaper + this.escaper)
    return `${quote}${escaped.replaceAll(quote, quote + quote)}${quote}`
  }

  private string(text: string): void {
    this.reserve(text.length * 3)
    const start = this.at
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 127) {
        this.at = start + this.bytes.write(text, start)
        return
      }
      this.bytes[this.at++] = unit
    }
  }

  /** UTF-8 of a text that may have to be quoted. */
  utf8(from: Uint8Array, view: DataView, start: number, end: number): void {
    const { delimiterWord, quoteWord } = this
    const size = end - start
    // A space at either end, of which there are many in Unicode, and what may be the null literal.
    const isPlain = size > 0 && size !== this.nullSize && isInk(from[start]) && isInk(from[end - 1])
    if (isPlain && delimiterWord !== undefined && quoteWord !== undefined && !holds(view, start, end, delimiterWord, quoteWord)) {
      this.reserve(size)
      this.at = copyBytes(from, view, start, end, this.bytes, this.view, this.at)
    } else this.string(this.textOf(Buffer.from(from.buffer, from.byteOffset + start, size).toString()))
  }

  /** A 64-bit integer by its halves. */
  long(low: number, high: number): void {
    const value = high * TWO_32 + (low >>> 0)
    if (high === 0 && low >= 0) this.integer(low)
    else if (Number.isSafeInteger(value)) this.ascii(String(value))
    else this.ascii(String((BigInt(high) << 32n) | BigInt(low >>> 0)))
  }

  double(value: number): void {
    // Up to 15 digits are the shortest text of the double nearest to them.
    const hundredths = Math.round(value * 100)
    if (hundredths > 0 && hundredths < 0x7fffffff && hundredths / 100 === value) {
      const whole = (hundredths / 100) | 0
      const rest = hundredths - whole * 100
      this.integer(whole)
      if (rest === 0) return
      this.reserve(3)
      const tenths = (rest / 10) | 0
      this.bytes[this.at++] = 46
      this.bytes[this.at++] = 48 + tenths
      if (rest !== tenths * 10) this.bytes[this.at++] = 48 + rest - tenths * 10
    } else this.ascii(String(value))
  }

  /** A timestamp; the same one often comes many times. */
  time(value: number, type: SqlType): void {
    if (value !== this.timeMs || Number.isNaN(value)) {
      this.timeBytes = Buffer.from(this.plainText(value, type))
      this.timeView = viewOf(this.timeBytes)
      this.timeMs = value
    }
    const { length } = this.timeBytes
    this.reserve(length)
    this.at = copyBytes(this.timeBytes, this.timeView, 0, length, this.bytes, this.view, this.at)
  }
}

const isInk = (byte: number): boolean => byte > 32 && byte < 127
const wordOf = (text: string): number | undefined => {
  const byte = text.length === 1 ? text.charCodeAt(0) : 128
  return byte > 127 ? undefined : Math.imul(byte, 0x01010101)
}

/** Whether a text holds the delimiter, the quote, or any control character below 14, line ends among them. */
function holds(view: DataView, start: number, end: number, delimiterWord: number, quoteWord: number): boolean {
  let at = start
  for (; at + 4 <= end; at += 4) {
    const word = view.getInt32(at)
    const [d, q] = [word ^ delimiterWord, word ^ quoteWord]
    // A byte of these is 0, or below 14, where its highest bit is borrowed.
    if (((((d - 0x01010101) & ~d) | ((q - 0x01010101) & ~q) | ((word - 0x0e0e0e0e) & ~word)) & 0x80808080) !== 0) return true
  }
  for (; at < end; at++) {
    const byte = view.getUint8(at)
    if (byte === (delimiterWord & 127) || byte === (quoteWord & 127) || byte < 14) return true
  }
  return false
}
