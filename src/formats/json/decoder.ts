// JSON rows to columns.
//
//   rows --> generated code of a known layout --(does not fit)--> another layout --(none fits)--> general parser --> column, or an error
//                                                                                                      |
//                                                                        a layout that comes often is compiled
//
// Invariants
//   1. The columns are those of the general parser alone, whatever was compiled (decoder.test.ts compares with JSON.parse).
//   2. A row that fails takes no place in the columns and is reported once; the others are not touched.
//   3. Text columns point into the source's bytes, unless a row of that batch has text with escapes: then into a copy of the rows' bytes.

import type { StreamError } from '../../base/index.ts'
import type { RowField } from '../../data/index.ts'
import { ColumnStore } from '../columns.ts'
import { rowError } from '../errors.ts'
import type { DecodedRows, RowDecoder } from '../rows.ts'
import { out, parseTimestamp, type TimestampForm } from '../text.ts'
import { generateDecoder, type LayoutDecoder, type LayoutHelpers } from './codegen.ts'
import { jsonFormatOptions, timestampFormatOf } from './encoder.ts'
import { LayoutCache } from './layouts.ts'
import { ObjectWalker } from './object.ts'
import { FAIL_BYTE, fail, failAt, failureOf, scanned, scanString, skipSpace, skipValue } from './scan.ts'
import type { ReadOptions } from './values.ts'

export interface JsonDecodeOptions {
  /** Flink's json.timestamp-format.standard, taken strictly; without it both forms are accepted. */
  timestampFormat?: 'SQL' | 'ISO-8601'
  /** Flink's json.fail-on-missing-field. */
  failOnMissingField?: boolean
  /** Flink's json.ignore-parse-errors: a field that cannot be read is NULL, a row that is no JSON object is left out without an error. */
  ignoreParseErrors?: boolean
}

/**
 * A decoder for the given fields, in that order; members of other names are checked and skipped. Keeps what it has learnt: make one per source.
 *
 * @param isLent  nobody uses columns any more when the next ones are decoded: these then take the memory of those, and may be longer
 */
export function makeJsonDecoder(fields: readonly RowField[], options: JsonDecodeOptions = {}, isLent = false): RowDecoder {
  const read: ReadOptions = {
    timestampForm: options.timestampFormat ?? 'any',
    failOnMissingField: options.failOnMissingField ?? false,
    ignoreParseErrors: options.ignoreParseErrors ?? false,
  }
  return new Decoder(fields, read, isLent)
}

/** The decoder's options from a table's: `json.…` or without the prefix, as Flink writes them for key and value formats. @throws StreamError FORMAT_OPTION */
export function jsonDecodeOptions(tableOptions: Readonly<Record<string, string>>): JsonDecodeOptions {
  const options = jsonFormatOptions(tableOptions)
  const [failOnMissingField, ignoreParseErrors] = [options.flag('fail-on-missing-field'), options.flag('ignore-parse-errors')]
  if (failOnMissingField && ignoreParseErrors) throw options.invalid('ignore-parse-errors', "one of this and 'json.fail-on-missing-field'")
  return { timestampFormat: timestampFormatOf(options), failOnMissingField, ignoreParseErrors }
}

/** The general parser, storing what it reads into columns; and what generated code calls. */
class RowWriter extends ObjectWalker implements LayoutHelpers {
  readonly time = new Float64Array(1)
  readonly store: ColumnStore
  private readonly form: TimestampForm

  constructor(fields: readonly RowField[], options: ReadOptions, isLent: boolean) {
    super(fields, options)
    this.store = new ColumnStore(
      fields.map((field) => field.type),
      isLent,
    )
    this.form = options.timestampForm
  }

  protected onNull(o: number): void {
    this.store.setNull(o)
  }

  protected onValue(o: number): void {
    this.store.set(o)
  }

  value(b: Uint8Array, p: number, end: number, o: number, row: number): number {
    const next = this.readers[o].read(b, p, end, 1)
    if (next >= 0) this.store.put(o, row)
    return next
  }

  text(b: Uint8Array, s: number, p: number, end: number, o: number, row: number): number {
    const close = scanString(b, p, end)
    if (close < 0) return close
    if (scanned.escaped) return this.value(b, s - 1, end, o, row)
    this.store.starts[o][row] = s
    this.store.ends[o][row] = close
    return close + 1
  }

  skip(b: Uint8Array, p: number, end: number): number {
    return skipValue(b, p, end, 1)
  }

  skipText(b: Uint8Array, p: number, end: number): number {
    const close = scanString(b, p, end)
    return close < 0 ? close : close + 1
  }

  isEscaped(): boolean {
    return scanned.escaped
  }

  big(o: number, row: number, high: number, low: number, lowDigits: number, negative: number): void {
    const value = BigInt(high) * BigInt(10 ** lowDigits) + BigInt(low)
    this.store.bigints[o][row] = negative !== 0 ? -value : value
  }

  timestamp(b: Uint8Array, p: number, end: number, isZoned: boolean): number {
    let close = p + 16
    const limit = Math.min(end, p + 36)
    while (close < limit && b[close] !== 34) close++
    if (close >= limit || parseTimestamp(b, p, close, isZoned, this.form) < 0) return -1
    this.time[0] = out.num
    return close + 1
  }
}

class Decoder implements RowDecoder {
  private readonly writer: RowWriter
  private readonly options: ReadOptions
  private readonly layouts: LayoutCache<LayoutDecoder>

  constructor(fields: readonly RowField[], options: ReadOptions, isLent: boolean) {
    this.options = options
    this.writer = new RowWriter(fields, options, isLent)
    const types = fields.map((field) => field.type)
    this.layouts = new LayoutCache((layout) => generateDecoder(layout, types))
  }

  decode(
    source: Uint8Array,
    starts: Int32Array,
    ends: Int32Array,
    count: number,
    onError: (index: number, error: StreamError) => void,
  ): DecodedRows {
    const { writer } = this
    // A Buffer is another class to V8 than a Uint8Array: generated code should only ever see one of them.
    const b = new Uint8Array(source.buffer, source.byteOffset, source.length)
    const view = new DataView(source.buffer, source.byteOffset, source.length)
    const { store } = writer
    store.begin(count)
    let rows: Int32Array | undefined
    let row = 0
    let low = b.length
    let high = 0
    for (let index = 0; index < count; ) {
      const reached = this.decodeKnown(b, view, starts, ends, index, row, count)
      if (rows) for (let i = index; i < reached; i++) rows[row + i - index] = i
      row += reached - index
      index = reached
      if (index === count) break
      store.row = row
      if (this.decodeRow(b, starts[index], ends[index])) {
        if (rows) rows[row] = index
        row++
      } else {
        if (rows === undefined) {
          rows = new Int32Array(count)
          for (let i = 0; i < row; i++) rows[i] = i
        }
        store.clearRow()
        if (!this.options.ignoreParseErrors) onError(index, rowError('json', failureOf(this.failCode, starts[index])))
      }
      index++
    }
    for (let i = 0; i < count; i++) {
      if (starts[i] < low) low = starts[i]
      if (ends[i] > high) high = ends[i]
    }
    store.row = row
    return { columns: store.finish(b, Math.min(low, high), high), rowCount: row, rows: rows?.subarray(0, row) }
  }

  /** Index of the first row from `index` on that no compiled layout fits, or `count`. */
  private decodeKnown(
    b: Uint8Array,
    view: DataView,
    starts: Int32Array,
    ends: Int32Array,
    index: number,
    row: number,
    count: number,
  ): number {
    const { writer } = this
    const { compiled } = this.layouts
    let missed = -1
    for (let i = 0; i < compiled.length; i++) {
      if (i === missed) continue
      const layout = compiled[i]
      const reached = layout.code(b, view, starts, ends, index, row, count, writer.store, writer)
      if (reached === index) continue
      layout.rowCount += reached - index
      row += reached - index
      index = reached
      if (index === count) break
      missed = i
      i = -1
    }
    return index
  }

  private failCode = 0

  private decodeRow(b: Uint8Array, start: number, end: number): boolean {
    const { writer } = this
    fail.path = ''
    let p = writer.walk(b, skipSpace(b, start, end), end, 0)
    if (p >= 0) {
      p = skipSpace(b, p, end)
      if (p < end) {
        fail.path = ''
        p = failAt(FAIL_BYTE, p)
      }
    }
    this.failCode = p
    if (p < 0) return false
    this.layouts.learn(writer, b, start, end)
    return true
  }
}
