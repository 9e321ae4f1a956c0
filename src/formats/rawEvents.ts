// The format raw as the front door takes it: a body is one record, or one of lines is a record each; both are checked as the decoder reads them.
import type { RowField } from '../data/index.ts'
import { rawCharset } from './charset.ts'
import type { EventChecker } from './checker.ts'
import type { RowFailure } from './errors.ts'
import { formatOptions } from './options.ts'
import { notOneColumn, type RawReader, rawReader } from './raw.ts'
import { type BodyForm, byteOrderMarkSize, EventSplitter, lineEnd, textEnd } from './split.ts'
import { out, sideText } from './text.ts'

export class RawSplitter extends EventSplitter {
  /** A line without text is a record without bytes; behind the last line break is no line. */
  protected cut(b: Uint8Array, form: BodyForm): void {
    if (form === 'whole') {
      this.add(0, b.length)
      return
    }
    for (let p = byteOrderMarkSize(b); p < b.length; ) {
      const newline = lineEnd(b, p)
      if (!this.add(p, textEnd(b, p, newline))) return
      p = newline + 1
    }
  }
}

/** Whether values can be lines of a text: a number in binary, or UTF-16, may have the byte of a line break within. @throws StreamError FORMAT_OPTION */
export function isRawOfLines(fields: readonly RowField[], options: Readonly<Record<string, string>>): boolean {
  const charset = rawCharset(formatOptions('raw', options))
  return /^(CHAR|VARCHAR|BINARY|VARBINARY)$/.test(fields[0]?.type.kind ?? '') && (charset?.encode('\n').length ?? 1) === 1
}

/**
 * @param captured  names of the fields to capture; one that is not the column is always missing
 * @throws StreamError  FORMAT_COLUMNS, FORMAT_OPTION
 */
export function makeRawChecker(
  fields: readonly RowField[],
  options: Readonly<Record<string, string>>,
  captured: readonly string[],
): EventChecker {
  if (fields.length !== 1) throw notOneColumn()
  return new RawChecker(fields[0], options, captured)
}

class RawChecker implements EventChecker {
  readonly captures: Int32Array
  readonly sources: Uint8Array[]
  private readonly kind: string
  private readonly read: RawReader
  private readonly capture: number
  private b: Uint8Array = new Uint8Array(0)
  private view: DataView = new DataView(new ArrayBuffer(0))

  constructor(field: RowField, options: Readonly<Record<string, string>>, captured: readonly string[]) {
    this.kind = field.type.kind
    this.read = rawReader(field, options)
    this.capture = captured.indexOf(field.name)
    this.captures = new Int32Array(captured.length * 2).fill(-1)
    this.sources = captured.map(() => this.b)
  }

  begin(bytes: Uint8Array): void {
    this.b = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  check(start: number, end: number): RowFailure | undefined {
    sideText.length = 0
    const failure = this.read(this.b, this.view, start, end)
    if (failure === undefined && this.capture >= 0) this.note(this.capture)
    return failure
  }

  /** The value in `out`, as JSON has it. */
  private note(k: number): void {
    const { kind, captures, sources } = this
    if (kind === 'CHAR' || kind === 'VARCHAR') {
      sources[k] = out.side ? sideText.bytes : this.b
      captures.set([out.start, out.end], 2 * k)
      return
    }
    const isBytes = kind === 'BINARY' || kind === 'VARBINARY'
    const text = isBytes
      ? Buffer.from(out.value as Uint8Array).toString('base64')
      : kind === 'BOOLEAN'
        ? String(out.num !== 0)
        : String(kind === 'BIGINT' ? out.big : out.num)
    sources[k] = Buffer.from(text)
    captures.set([0, sources[k].length], 2 * k)
  }
}
