// Checks JSON events against declared columns without making values: what the front door needs, at the decoder's speed.
//
// Same parser and generated code as the decoder, so what passes here decodes. Besides, it finds the text of a few fields (keys, id).
import { type RowField, t } from '../../data/index.ts'
import type { EventChecker } from '../checker.ts'
import type { RowFailure } from '../errors.ts'
import { parseTimestamp, sideText } from '../text.ts'
import { generateChecker, type LayoutChecker, type LayoutHelpers } from './codegen.ts'
import { LayoutCache } from './layouts.ts'
import { ObjectWalker } from './object.ts'
import { FAIL_BYTE, fail, failAt, failureOf, scanned, scanString, skipSpace, skipValue, unescapeInto } from './scan.ts'

/**
 * @param fields    the declared columns; members of other names only have to be well-formed
 * @param captured  names of the fields to capture, declared or not
 */
export function makeJsonChecker(fields: readonly RowField[], captured: readonly string[]): EventChecker {
  const declared = new Set(fields.map((field) => field.name))
  const others = captured.filter((name) => !declared.has(name)).map((name) => ({ name, type: t.string() }))
  return new Checker([...fields, ...others], captured)
}

class CheckWalker extends ObjectWalker implements LayoutHelpers {
  readonly time = new Float64Array(1)
  readonly captures: Int32Array
  /** By field: its capture, or -1. */
  readonly captureOf: Int32Array

  constructor(fields: readonly RowField[], captured: readonly string[]) {
    super(fields, { timestampForm: 'any', failOnMissingField: false, ignoreParseErrors: false })
    this.captureOf = Int32Array.from(fields, ({ name }) => captured.indexOf(name))
    this.captures = new Int32Array(captured.length * 2)
  }

  protected onValue(o: number, start: number, end: number): void {
    const k = this.captureOf[o]
    if (k < 0) return
    this.captures[2 * k] = start
    this.captures[2 * k + 1] = end
  }
  protected onNull(o: number): void {
    const k = this.captureOf[o]
    if (k >= 0) this.captures[2 * k] = -1
  }
  value(b: Uint8Array, p: number, end: number, o: number): number {
    return this.readers[o].read(b, p, end, 1)
  }
  text(b: Uint8Array, _: number, p: number, end: number): number {
    return this.skipText(b, p, end)
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
  big(): void {}
  timestamp(b: Uint8Array, p: number, end: number, isZoned: boolean): number {
    let close = p + 16
    const limit = Math.min(end, p + 36)
    while (close < limit && b[close] !== 34) close++
    return close >= limit || parseTimestamp(b, p, close, isZoned, 'any') < 0 ? -1 : close + 1
  }
}

class Checker implements EventChecker {
  readonly captures: Int32Array
  readonly sources: Uint8Array[]
  private readonly walker: CheckWalker
  private readonly layouts: LayoutCache<LayoutChecker>
  private readonly captureCount: number
  private b = new Uint8Array(0)
  private view: DataView = new DataView(this.b.buffer)
  private isMixed = false
  private recent = 0

  constructor(fields: readonly RowField[], captured: readonly string[]) {
    this.walker = new CheckWalker(fields, captured)
    this.captures = this.walker.captures
    this.captureCount = captured.length
    this.sources = captured.map(() => this.b)
    const { captureOf } = this.walker
    const specs = fields.map(({ type }, o) => ({ type, capture: captureOf[o] }))
    this.layouts = new LayoutCache((layout) => generateChecker(layout, specs))
  }

  begin(bytes: Uint8Array): void {
    this.b = new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length)
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.sources.fill(this.b)
    this.isMixed = false
    sideText.length = 0
  }

  check(start: number, end: number): RowFailure | undefined {
    const { walker, b } = this
    if (this.isMixed) {
      this.sources.fill(b)
      this.isMixed = false
    }
    const { compiled } = this.layouts
    if (compiled.length > 0) {
      if (this.recent >= compiled.length) this.recent = 0
      for (let i = 0, at = this.recent; i < compiled.length; i++) {
        if (compiled[at].code(b, this.view, start, end, walker.captures, walker)) {
          compiled[at].rowCount++
          this.recent = at
          return undefined
        }
        at = at + 1 < compiled.length ? at + 1 : 0
      }
    }
    return this.checkAny(start, end)
  }

  private checkAny(start: number, end: number): RowFailure | undefined {
    const { walker, b } = this
    sideText.length = 0
    fail.path = ''
    let p = walker.walk(b, skipSpace(b, start, end), end, 0)
    if (p >= 0) {
      p = skipSpace(b, p, end)
      if (p < end) {
        fail.path = ''
        p = failAt(FAIL_BYTE, p)
      }
    }
    if (p < 0) return failureOf(p, start)
    for (let k = 0; k < this.captureCount; k++) this.unquote(k)
    this.layouts.learn(walker, b, start, end)
    return undefined
  }

  /** Takes quotes and escapes from a captured token. */
  private unquote(k: number): void {
    const { captures, b } = this
    const start = captures[2 * k]
    if (start < 0 || b[start] !== 34) return
    const from = start + 1
    const to = captures[2 * k + 1] - 1
    captures[2 * k] = from
    captures[2 * k + 1] = to
    if (!b.subarray(from, to).includes(92)) return
    const plain = new Uint8Array(to - from)
    captures[2 * k] = 0
    captures[2 * k + 1] = unescapeInto(b, from, to, plain, 0)
    this.sources[k] = plain
    this.isMixed = true
  }
}
