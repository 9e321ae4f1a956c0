// CSV rows to columns, with the options of Flink's csv format. A field's place is its ordinal in the table.
//
// Invariants
//   1. A row has as many fields as the table has columns, or it fails (with ignore-parse-errors missing ones are NULL); one delimiter more at
//      its end is no field.
//   2. A row that fails takes no place in the columns and is reported once.
//   3. An empty field without quotes is NULL, except that it is the empty text, no bytes, or an ARRAY without elements. The null literal is NULL
//      anywhere, unless it stands in quotes.
//   4. Elements of an ARRAY and fields of a ROW are split by the array element delimiter, after the quotes and escapes of the whole are gone.
import type { StreamError } from '../base/index.ts'
import { laneOf, type RowField, readUtf8, type SqlType } from '../data/index.ts'
import { ColumnStore } from './columns.ts'
import { formatErrors, type RowFailure, rowError } from './errors.ts'
import { FAIL_REQUIRED, FAIL_TYPE, fail, failureOf, failValue, scanCodePoint } from './json/scan.ts'
import { outValue } from './json/values.ts'
import { type FormatOptions, formatOptions } from './options.ts'
import type { DecodedRows, RowDecoder } from './rows.ts'
import { byteOrderMarkSize } from './split.ts'
import { makeTextParser, out, reserveSide, sideText, type TextParser } from './text.ts'

export interface CsvOptions {
  delimiter: number
  /** Byte of the quote; -1: none. */
  quote: number
  /** Byte of the escape character; -1: none. */
  escaper: number
  elementDelimiter: number
  nullLiteral: Uint8Array | undefined
  allowComments: boolean
  ignoreParseErrors: boolean
}

const escapes: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

/** What `csv.field-delimiter` names: one character, which may be written as in Java, `\\t` or `\\u0001`. @throws StreamError FORMAT_OPTION */
export function csvDelimiter(options: FormatOptions): string {
  const text = (options.text('field-delimiter') ?? ',').replace(/\\(?:u+([\da-fA-F]{4})|([0-3]?[0-7]{1,2})|(.))/gs, (_, hex, octal, one) =>
    hex ? String.fromCharCode(Number.parseInt(hex, 16)) : octal ? String.fromCharCode(Number.parseInt(octal, 8)) : (escapes[one] ?? one),
  )
  if (text.length !== 1 || text === '\\') throw options.invalid('field-delimiter', 'one character')
  return text
}

/** The quote, '' for none. @throws StreamError FORMAT_OPTION */
export function csvQuote(options: FormatOptions): string {
  const quote = options.text('quote-character')
  if (!options.flag('disable-quote-character')) return quote ?? '"'
  if (quote !== undefined) throw options.invalid('quote-character', "one of this and 'csv.disable-quote-character'")
  return ''
}

/** @throws StreamError FORMAT_OPTION */
export function csvOptions(tableOptions: Readonly<Record<string, string>>): CsvOptions {
  const options = formatOptions('csv', tableOptions)
  const byteOf = (name: string, text: string): number => {
    if (text.length !== 1 || text.charCodeAt(0) > 127) throw options.invalid(name, 'one ASCII character')
    return text.charCodeAt(0)
  }
  const quoteText = csvQuote(options)
  const quote = quoteText === '' && options.text('quote-character') === undefined ? -1 : byteOf('quote-character', quoteText)
  const escapeText = options.text('escape-character')
  const escaper = escapeText === undefined ? -1 : byteOf('escape-character', escapeText)
  const nullLiteral = options.text('null-literal')
  options.flag('write-bigdecimal-in-scientific-notation')
  return {
    delimiter: byteOf('field-delimiter', csvDelimiter(options)),
    quote,
    // A quote that escapes a quote is two of them, as without it.
    escaper: escaper === quote ? -1 : escaper,
    elementDelimiter: byteOf('array-element-delimiter', options.text('array-element-delimiter') ?? ';'),
    nullLiteral: nullLiteral === undefined ? undefined : Buffer.from(nullLiteral),
    allowComments: options.flag('allow-comments'),
    ignoreParseErrors: options.flag('ignore-parse-errors'),
  }
}

/**
 * A decoder of CSV rows, one record each.
 *
 * @param fields   all physical columns of the table, in declared order
 * @param options  the table's options
 * @param wanted   ordinals into `fields` of the columns to decode, in the order asked for; all if absent
 * @throws StreamError  FORMAT_OPTION; FORMAT_COLUMNS for a wanted column of a type that CSV cannot hold
 */
export function makeCsvDecoder(
  fields: readonly RowField[],
  options: Readonly<Record<string, string>> = {},
  wanted: readonly number[] = fields.map((_, i) => i),
): RowDecoder {
  return new CsvDecoder(fields, csvOptions(options), wanted)
}

const structured = new Set<SqlType['kind']>(['ARRAY', 'MAP', 'MULTISET', 'ROW', 'NULL'])
/** Whether CSV can hold it. */
export const isHeld = (type: SqlType): boolean => {
  if (type.kind === 'ARRAY') return !structured.has(type.element.kind)
  if (type.kind === 'ROW') return type.fields.every((field) => !structured.has(field.type.kind))
  return !structured.has(type.kind)
}
const isBytes = ({ kind }: SqlType): boolean => kind === 'BINARY' || kind === 'VARBINARY'
const LINE_BREAK = 'a line break without quotes around it'
/** What `\\n` and the like stand for, by the byte behind the escape character. */
const escapedBytes: Record<number, number> = { 48: 0, 110: 10, 114: 13, 116: 9 }

/** Without blanks at both ends. */
export function trimmed(b: Uint8Array, start: number, end: number): [start: number, end: number] {
  while (start < end && b[start] <= 32) start++
  while (end > start && b[end - 1] <= 32) end--
  return [start, end]
}
/** Why the row that begins at `start` is none. */
export function csvFailure(code: number, start: number): RowFailure {
  const failure = failureOf(code, start)
  return failure.rule === 'json' ? { ...failure, rule: 'csv' } : failure
}
const isText = (type: SqlType): boolean => type.kind === 'CHAR' || type.kind === 'VARCHAR'

export class CsvDecoder implements RowDecoder {
  protected readonly fields: readonly RowField[]
  private readonly options: CsvOptions
  protected readonly store: ColumnStore
  /** By ordinal of the table: column of the store, or -1. */
  protected readonly targets: Int32Array
  private readonly parsers: (TextParser | undefined)[]

  constructor(fields: readonly RowField[], options: CsvOptions, wanted: readonly number[]) {
    this.fields = fields
    this.options = options
    this.targets = new Int32Array(fields.length).fill(-1)
    wanted.forEach((ordinal, column) => {
      const { name, type } = fields[ordinal]
      if (!isHeld(type)) {
        const inside = type.kind === 'ARRAY' || type.kind === 'ROW' ? ' of others' : ''
        throw formatErrors('FORMAT_COLUMNS', { format: 'csv', message: `column ${name} is ${type.kind}${inside}, which CSV cannot hold` })
      }
      this.targets[ordinal] = column
    })
    this.store = new ColumnStore(wanted.map((ordinal) => fields[ordinal].type))
    this.parsers = fields.map(({ type }) => this.parserOf(type))
  }

  /** None for text, whose bytes are its value. */
  private parserOf(type: SqlType): TextParser | undefined {
    if (type.kind === 'ARRAY') return this.partsParser(() => this.partParser(type.element))
    if (type.kind === 'ROW') {
      const parts = type.fields.map((field) => this.partParser(field.type))
      return this.partsParser((i) => parts[i], parts.length)
    }
    return isText(type) ? undefined : makeTextParser(type, 'any')
  }

  /** Of an element or a nested field, which may be NULL: leaves it in `out.value`. */
  private partParser(type: SqlType): TextParser {
    const { nullLiteral, ignoreParseErrors } = this.options
    const parser = this.parserOf(type)
    const lane = laneOf(type)
    const isNullIfEmpty = parser !== undefined && !isBytes(type)
    return (b, s, e) => {
      const isLiteral = nullLiteral !== undefined && Buffer.compare(b.subarray(s, e), nullLiteral) === 0
      if (parser !== undefined && !isLiteral) [s, e] = trimmed(b, s, e)
      const isNull = isLiteral || (s === e && isNullIfEmpty)
      const code = isNull ? 0 : parser ? parser(b, s, e) : 0
      if (code < 0 && !(ignoreParseErrors && type.nullable)) return code
      if ((isNull || code < 0) && !type.nullable) return failValue(FAIL_REQUIRED, 'NULL in an element or a field that is NOT NULL')
      out.value = isNull || code < 0 ? null : parser ? outValue(lane) : readUtf8(b, s, e)
      return 0
    }
  }

  /** Parts with the element delimiter between them; of a ROW as many as it has fields. */
  private partsParser(parserOf: (index: number) => TextParser, count?: number): TextParser {
    const { elementDelimiter, ignoreParseErrors } = this.options
    const one = count === undefined ? parserOf(0) : undefined
    return (b, s, e) => {
      const values: unknown[] = []
      for (let p = s; count !== undefined || s < e; ) {
        let stop = p
        while (stop < e && b[stop] !== elementDelimiter) stop++
        if (values.length === count) return failValue(FAIL_TYPE, `more than ${count} fields in a ROW`)
        const code = (one ?? parserOf(values.length))(b, p, stop)
        if (code < 0) return code
        values.push(out.value)
        if (stop >= e) break
        p = stop + 1
      }
      if (count !== undefined && values.length < count && !ignoreParseErrors)
        return failValue(FAIL_TYPE, `${values.length} fields in a ROW instead of ${count}`)
      while (count !== undefined && values.length < count) values.push(null)
      out.value = values
      return 0
    }
  }

  decode(
    b: Uint8Array,
    starts: Int32Array,
    ends: Int32Array,
    count: number,
    onError: (index: number, error: StreamError) => void,
  ): DecodedRows {
    const { store, options } = this
    store.begin(count)
    const rows = new Int32Array(count)
    let low = b.length
    let high = 0
    for (let index = 0; index < count; index++) {
      let start = starts[index]
      let end = ends[index]
      low = Math.min(low, start)
      high = Math.max(high, end)
      start += byteOrderMarkSize(b, start, end)
      while (end > start && (b[end - 1] === 10 || b[end - 1] === 13)) end--
      if (options.allowComments && b[start] === 35 && start < end) continue
      const code = this.row(b, start, end)
      if (code >= 0) {
        rows[store.row++] = index
        continue
      }
      store.clearRow()
      if (!options.ignoreParseErrors) onError(index, rowError('csv', csvFailure(code, start)))
    }
    const rowCount = store.row
    return {
      columns: store.finish(b, Math.min(low, high), high),
      rowCount,
      rows: rowCount === count ? undefined : rows.subarray(0, rowCount),
    }
  }

  /** Reads one row into the store's current one; negative if it is none. */
  protected row(b: Uint8Array, p: number, end: number): number {
    const { fields, options } = this
    let ordinal = 0
    fail.path = ''
    if (p >= end) return failValue(FAIL_TYPE, 'an empty line')
    for (;;) {
      if (ordinal === fields.length) {
        while (p < end && b[p] <= 32) p++
        return p < end ? failValue(FAIL_TYPE, `more than ${fields.length} fields`) : end
      }
      p = this.field(b, p, end, ordinal)
      if (p < 0) {
        fail.path = fields[ordinal].name
        return p
      }
      ordinal++
      if (p >= end) break
      p++
    }
    if (ordinal < fields.length && !options.ignoreParseErrors) return failValue(FAIL_TYPE, `${ordinal} fields instead of ${fields.length}`)
    for (; ordinal < fields.length; ordinal++) {
      const code = this.setNull(ordinal)
      if (code < 0) return code
    }
    return end
  }

  /** Reads the field at `p`; position of the delimiter behind it, or the end. */
  private field(b: Uint8Array, p: number, end: number, ordinal: number): number {
    const { delimiter, quote, escaper } = this.options
    let start = p
    let stop: number
    let source = b
    const isQuoted = p < end && b[p] === quote
    if (!isQuoted && escaper < 0) {
      while (p < end && b[p] !== delimiter) {
        if (b[p] === 10 || b[p] === 13) return failValue(FAIL_TYPE, LINE_BREAK)
        if (b[p] < 128) p++
        else {
          p = scanCodePoint(b, p, end)
          if (p < 0) return p
        }
      }
      stop = p
      out.side = false
    } else {
      // Written without quotes and escapes beside the source.
      reserveSide(end - p)
      source = sideText.bytes
      start = stop = sideText.length
      out.side = true
      let isOpen = isQuoted
      if (isQuoted) p++
      for (; p < end; ) {
        const c = b[p]
        if (c === escaper && p + 1 < end) {
          source[stop++] = escapedBytes[b[p + 1]] ?? b[p + 1]
          p += 2
        } else if (isOpen && c === quote) {
          if (b[p + 1] === quote && p + 1 < end) {
            source[stop++] = quote
            p += 2
          } else {
            isOpen = false
            p++
          }
        } else if (!isOpen && c === delimiter) {
          break
        } else if (!isOpen && isQuoted) {
          if (c !== 32 && c !== 9) return failValue(FAIL_TYPE, 'text behind the closing quote')
          p++
        } else if (!isOpen && (c === 10 || c === 13)) {
          return failValue(FAIL_TYPE, LINE_BREAK)
        } else {
          const next = c < 128 ? p + 1 : scanCodePoint(b, p, end)
          if (next < 0) return next
          while (p < next) source[stop++] = b[p++]
        }
      }
      if (isOpen) return failValue(FAIL_TYPE, 'a quote is not closed')
      sideText.length = stop
    }
    const code = this.value(source, start, stop, ordinal, isQuoted)
    return code < 0 ? code : p
  }

  protected value(b: Uint8Array, start: number, end: number, ordinal: number, isQuoted: boolean): number {
    const column = this.targets[ordinal]
    const parser = this.parsers[ordinal]
    const { nullLiteral, ignoreParseErrors } = this.options
    if (!isQuoted && nullLiteral !== undefined && Buffer.compare(b.subarray(start, end), nullLiteral) === 0) return this.setNull(ordinal)
    if (parser === undefined) {
      out.start = start
      out.end = end
    } else {
      const { type } = this.fields[ordinal]
      const [first, behind] = trimmed(b, start, end)
      // Elements may be texts, whose blanks are theirs.
      if (first === behind || (type.kind !== 'ARRAY' && type.kind !== 'ROW')) [start, end] = [first, behind]
      if (start === end && (type.kind === 'ROW' || !isQuoted) && type.kind !== 'ARRAY' && !isBytes(type)) return this.setNull(ordinal)
      if (column < 0) return 0
      const code = parser(b, start, end)
      if (code < 0) return ignoreParseErrors ? this.setNull(ordinal) : code
    }
    if (column >= 0) this.store.set(column)
    return 0
  }

  private setNull(ordinal: number): number {
    const column = this.targets[ordinal]
    if (column < 0) return 0
    if (!this.fields[ordinal].type.nullable) return failValue(FAIL_REQUIRED, 'NULL in a column that is NOT NULL')
    this.store.setNull(column)
    return 0
  }
}
