// CSV rows to columns, with the options of Flink's csv format. A field's place is its ordinal in the table.
//
// Invariants
//   1. A row has as many fields as the table has columns, or it fails (with ignore-parse-errors: missing ones are NULL, more are left out).
//   2. A row that fails takes no place in the columns and is reported once.
//   3. An empty field without quotes is NULL, except in text columns, where it is the empty text. The null literal is NULL anywhere.
import type { StreamError } from '../base/index.ts'
import type { RowField, SqlType } from '../data/index.ts'
import { ColumnStore } from './columns.ts'
import { formatErrors, rowError } from './errors.ts'
import { FAIL_REQUIRED, FAIL_TYPE, fail, failureOf, failValue, scanCodePoint } from './json/scan.ts'
import type { DecodedRows, RowDecoder } from './rows.ts'
import { makeTextParser, out, reserveSide, sideText, type TextParser } from './text.ts'

interface CsvOptions {
  delimiter: number
  /** Byte of the quote; -1: none. */
  quote: number
  /** Byte of the escape character; -1: none. */
  escaper: number
  nullLiteral: Uint8Array | undefined
  allowComments: boolean
  ignoreParseErrors: boolean
}

/** Flink's options, with or without the prefix `csv.`. */
function csvOptions(options: Readonly<Record<string, string>>): CsvOptions {
  const option = (name: string): string | undefined => options[`csv.${name}`] ?? options[name]
  const byte = (name: string, fallback: string): number => {
    const value = option(name) ?? fallback
    const text = value === '\\t' ? '\t' : value
    if (text.length !== 1 || text.charCodeAt(0) > 127)
      throw formatErrors('FORMAT_OPTION', { option: `csv.${name}`, value, expected: 'one ASCII character' })
    return text.charCodeAt(0)
  }
  const flag = (name: string): boolean => {
    const value = option(name) ?? 'false'
    if (value !== 'true' && value !== 'false')
      throw formatErrors('FORMAT_OPTION', { option: `csv.${name}`, value, expected: 'true or false' })
    return value === 'true'
  }
  const nullLiteral = option('null-literal')
  return {
    delimiter: byte('field-delimiter', ','),
    quote: flag('disable-quote-character') ? -1 : byte('quote-character', '"'),
    escaper: option('escape-character') === undefined ? -1 : byte('escape-character', '\\'),
    nullLiteral: nullLiteral === undefined ? undefined : Buffer.from(nullLiteral),
    allowComments: flag('allow-comments'),
    ignoreParseErrors: flag('ignore-parse-errors'),
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
const isText = (type: SqlType): boolean => type.kind === 'CHAR' || type.kind === 'VARCHAR'

class CsvDecoder implements RowDecoder {
  private readonly fields: readonly RowField[]
  private readonly options: CsvOptions
  private readonly store: ColumnStore
  /** By ordinal of the table: column of the store, or -1. */
  private readonly targets: Int32Array
  private readonly parsers: (TextParser | undefined)[]

  constructor(fields: readonly RowField[], options: CsvOptions, wanted: readonly number[]) {
    this.fields = fields
    this.options = options
    this.targets = new Int32Array(fields.length).fill(-1)
    wanted.forEach((ordinal, column) => {
      const { name, type } = fields[ordinal]
      if (structured.has(type.kind))
        throw formatErrors('FORMAT_COLUMNS', { format: 'csv', message: `column ${name} is ${type.kind}, which CSV cannot hold` })
      this.targets[ordinal] = column
    })
    this.store = new ColumnStore(wanted.map((ordinal) => fields[ordinal].type))
    this.parsers = fields.map(({ type }) => (isText(type) ? undefined : makeTextParser(type, 'any')))
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
      const start = starts[index]
      let end = ends[index]
      low = Math.min(low, start)
      high = Math.max(high, end)
      while (end > start && (b[end - 1] === 10 || b[end - 1] === 13)) end--
      if (options.allowComments && b[start] === 35 && start < end) continue
      fail.path = ''
      const code = this.row(b, start, end)
      if (code >= 0) {
        rows[store.row++] = index
        continue
      }
      store.clearRow()
      if (!options.ignoreParseErrors) {
        const failure = failureOf(code, start)
        onError(index, rowError('csv', failure.rule === 'json' ? { ...failure, rule: 'csv' } : failure))
      }
    }
    const rowCount = store.row
    return {
      columns: store.finish(b, Math.min(low, high), high),
      rowCount,
      rows: rowCount === count ? undefined : rows.subarray(0, rowCount),
    }
  }

  private row(b: Uint8Array, p: number, end: number): number {
    const { fields, options } = this
    let ordinal = 0
    for (;;) {
      if (ordinal === fields.length) return options.ignoreParseErrors ? p : failValue(FAIL_TYPE, `more than ${fields.length} fields`)
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
          source[stop++] = b[p + 1]
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
          return failValue(FAIL_TYPE, 'text behind the closing quote')
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

  private value(b: Uint8Array, start: number, end: number, ordinal: number, isQuoted: boolean): number {
    const column = this.targets[ordinal]
    const parser = this.parsers[ordinal]
    const { nullLiteral, ignoreParseErrors } = this.options
    if (!isQuoted && nullLiteral !== undefined && Buffer.compare(b.subarray(start, end), nullLiteral) === 0) return this.setNull(ordinal)
    if (parser === undefined) {
      out.start = start
      out.end = end
    } else {
      while (start < end && b[start] <= 32) start++
      while (end > start && b[end - 1] <= 32) end--
      if (start === end && !isQuoted) return this.setNull(ordinal)
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
