// CSV as the front door takes it: a body cut into records, and each checked as the decoder reads it.
//
// Invariants
//   1. A record ends at a line break that is not in quotes; without that line break it is an event. Empty lines, and comments where the table allows
//      them, are none.
//   2. A record that is broken does not take others with it: where a quote is never closed, or is closed in another line and has text behind it,
//      the record ends with the line in which that quote opened, and is refused.
//   3. Cutting takes time in proportion to the body, whatever quotes are in it.
//   4. What passes is a row to the decoder; what the decoder leaves out is refused, also with ignore-parse-errors, which makes fields NULL.
import { decimalText, type RowField } from '../data/index.ts'
import type { EventChecker } from './checker.ts'
import { CsvDecoder, type CsvOptions, csvFailure, csvOptions, isHeld, trimmed } from './csv.ts'
import type { RowFailure } from './errors.ts'
import { floatText } from './json/encoder.ts'
import { byteOrderMarkSize, EventSplitter, lineEnd, textEnd } from './split.ts'
import { out, sideText } from './text.ts'

const isBlank = (c: number): boolean => c === 32 || c === 9

export class CsvSplitter extends EventSplitter {
  private readonly options: CsvOptions
  /** Whether a quote may be closed in another line: no more once one was open to the end of the body. */
  private mayBeClosedLater = true

  /** @throws StreamError FORMAT_OPTION */
  constructor(options: Readonly<Record<string, string>>) {
    super()
    this.options = csvOptions(options)
  }

  protected cut(b: Uint8Array): void {
    const { quote, allowComments } = this.options
    const { length } = b
    this.mayBeClosedLater = true
    let quoteAt = -1
    for (let p = byteOrderMarkSize(b); p < length; ) {
      const newline = lineEnd(b, p)
      let end = newline
      if (!(allowComments && b[p] === 35)) {
        if (quoteAt < p) {
          quoteAt = quote < 0 ? -1 : b.indexOf(quote, p)
          if (quoteAt < 0) quoteAt = length
        }
        if (quoteAt < newline) end = this.recordEnd(b, p, newline)
        const stop = textEnd(b, p, end)
        if (stop > p && !this.add(p, stop)) return
      }
      p = end + 1
    }
  }

  /** The line break that ends the record at `p`, whose first line ends at `end`. */
  private recordEnd(b: Uint8Array, p: number, end: number): number {
    const { delimiter, quote, escaper } = this.options
    for (;;) {
      if (p < end && b[p] === quote) {
        const behind = this.behindQuoted(b, p + 1, this.mayBeClosedLater ? b.length : end)
        if (behind < 0) {
          this.mayBeClosedLater = false
          return end
        }
        if (behind > end) {
          let next = behind
          while (next < b.length && b[next] !== delimiter && isBlank(b[next])) next++
          if (next < b.length && b[next] !== delimiter && b[next] !== 10 && b[next] !== 13) return end
          end = lineEnd(b, behind)
        }
        p = behind
      }
      while (p < end && b[p] !== delimiter) p += b[p] === escaper ? 2 : 1
      if (p >= end) return end
      p++
    }
  }

  /** Position behind the quote that closes the field; -1 if none does before `end`. */
  private behindQuoted(b: Uint8Array, p: number, end: number): number {
    const { quote, escaper } = this.options
    for (; p < end; p++) {
      if (b[p] === escaper) p++
      else if (b[p] === quote) {
        if (b[p + 1] !== quote) return p + 1
        p++
      }
    }
    return -1
  }
}

/**
 * @param fields    all physical columns of the table, in declared order
 * @param options   the table's options
 * @param captured  names of the fields to capture; one that is no column is always missing
 * @throws StreamError  FORMAT_OPTION
 */
export const makeCsvChecker = (
  fields: readonly RowField[],
  options: Readonly<Record<string, string>>,
  captured: readonly string[],
): EventChecker => new CsvChecker(fields, options, captured)

class CsvChecker extends CsvDecoder implements EventChecker {
  readonly captures: Int32Array
  readonly sources: Uint8Array[]
  /** By ordinal of the table: its capture, or -1. */
  private readonly captureOf: Int32Array
  private b: Uint8Array = new Uint8Array(0)

  constructor(fields: readonly RowField[], options: Readonly<Record<string, string>>, captured: readonly string[]) {
    // What CSV cannot hold is in no column that can be read: its field is passed over.
    super(
      fields,
      csvOptions(options),
      fields.flatMap(({ type }, ordinal) => (isHeld(type) ? [ordinal] : [])),
    )
    this.captureOf = Int32Array.from(fields, ({ name }) => captured.indexOf(name))
    this.captures = new Int32Array(captured.length * 2)
    this.sources = captured.map(() => this.b)
    // One row, written again for each event.
    this.store.begin(1)
  }

  begin(bytes: Uint8Array): void {
    this.b = bytes
  }

  check(start: number, end: number): RowFailure | undefined {
    const { b, captures } = this
    sideText.length = 0
    captures.fill(-1)
    while (end > start && (b[end - 1] === 10 || b[end - 1] === 13)) end--
    const code = this.row(b, start, end)
    return code < 0 ? csvFailure(code, start) : undefined
  }

  protected override value(b: Uint8Array, start: number, end: number, ordinal: number, isQuoted: boolean): number {
    const code = super.value(b, start, end, ordinal, isQuoted)
    const k = this.captureOf[ordinal]
    const column = this.targets[ordinal]
    if (k < 0 || code < 0 || column < 0 || this.store.nulls[column][0] === 1) return code
    const { type } = this.fields[ordinal]
    const text = numeralOf(this.fields[ordinal])
    if (text !== undefined) {
      this.sources[k] = Buffer.from(text)
      this.captures.set([0, this.sources[k].length], 2 * k)
    } else {
      this.sources[k] = b
      this.captures.set(type.kind === 'CHAR' || type.kind === 'VARCHAR' ? [start, end] : trimmed(b, start, end), 2 * k)
    }
    return code
  }
}

/** The value in `out` as JSON has it; undefined of what is text there. */
function numeralOf({ type }: RowField): string | undefined {
  switch (type.kind) {
    case 'BOOLEAN':
      return out.num === 0 ? 'false' : 'true'
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
      return String(out.num)
    case 'BIGINT':
      return String(out.big)
    case 'DECIMAL':
      return decimalText(out.big, type.scale)
    case 'FLOAT':
      return floatText(out.num)
    case 'DOUBLE':
      return String(out.num)
    default:
      return undefined
  }
}
