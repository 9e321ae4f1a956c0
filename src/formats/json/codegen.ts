// Generates decoders and checkers for JSON rows of one layout. The only place of the formats where source text becomes code.
//
// A layout is what a row looked like: the exact bytes before each value (`,"price":` with whatever blanks the sender writes), the field of
// each value, and the bytes behind the last one. Generated code compares those bytes as 32-bit numbers and reads the values between them.
//
// Invariants
//   1. No text of a user is in the source: names are in it only as numbers of their bytes.
//   2. Where generated code accepts a row, the general parser (`object.ts`) accepts it with the same values. Whatever is unusual within a
//      value (escapes, 17 digits, a number as text) goes to the field's general reader; whatever is unusual between values is a miss.
//   3. Nothing behind the buffer is read. Behind the row's end but within the buffer may be: then `p === end` fails, a miss.
//   4. Numbers need no bounds check, as a row's last byte is checked first and is none of a number.
//
// Little-endian machines only (x64, arm64), as Node supports no other that we run on.
import type { SqlType } from '../../data/index.ts'
import { powersOf10 } from '../text.ts'

/** What generated code may call. */
export interface LayoutHelpers {
  /** Reads the value at `p` of a field by its general reader and stores it; position behind it, or negative. */
  value(b: Uint8Array, p: number, end: number, ordinal: number, row: number): number
  /** Continues a text that began at `s` at its first byte that is not plain ASCII; position behind its quote, or negative. */
  text(b: Uint8Array, s: number, p: number, end: number, ordinal: number, row: number): number
  /** Checks and skips a value. */
  skip(b: Uint8Array, p: number, end: number): number
  /** Continues skipping a text at its first byte that is not plain ASCII; position behind its quote, or negative. */
  skipText(b: Uint8Array, p: number, end: number): number
  /** Stores a BIGINT of 16 to 18 digits: ± (high * 10^lowDigits + low). */
  big(ordinal: number, row: number, high: number, low: number, lowDigits: number, negative: number): void
  /** Reads `"yyyy-MM-dd HH:mm:ss.SSS"` with what is behind the quote at `p - 1`; ms in `time[0]`. Position behind the quote, or negative. */
  timestamp(b: Uint8Array, p: number, end: number, isZoned: boolean): number
  time: Float64Array
  /** Whether the text that `skipText` has read has escapes. */
  isEscaped(): boolean
}

export interface LayoutMember {
  /** The bytes before the value: separator, key, colon, blanks. */
  lead: Uint8Array
  /** Ordinal of the field, or -1: skipped. */
  field: number
}
export interface Layout {
  members: LayoutMember[]
  /** From behind the last value to the end of the row. */
  tail: Uint8Array
}

/** Where decoded values go, by field: `data` is the column's array (for BIGINT and DECIMAL its 32-bit words); texts have `starts` and `ends`. */
export interface LayoutTargets {
  data: (Uint8Array | Int32Array | Float64Array | unknown[])[]
  starts: Int32Array[]
  ends: Int32Array[]
  nulls: Uint8Array[]
  /** 1 for each field that has a NULL. */
  hasNulls: Uint8Array
}

/**
 * Decodes rows `index …` of `b` into target rows `row …` until a row does not fit the layout.
 *
 * @returns index of that row, or `count`
 */
export type LayoutDecoder = (
  b: Uint8Array,
  view: DataView,
  starts: Int32Array,
  ends: Int32Array,
  index: number,
  row: number,
  count: number,
  targets: LayoutTargets,
  helpers: LayoutHelpers,
) => number

/** Checks one row; true if it fits. `captures` gets start and end of each captured field's text; -1 for NULL. */
export type LayoutChecker = (
  b: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  captures: Int32Array,
  helpers: LayoutHelpers,
) => boolean

interface FieldSpec {
  type: SqlType
  /** Checker: index of the field's capture, or -1. */
  capture?: number
}

const word = (bytes: Uint8Array, at: number): number => new DataView(bytes.buffer, bytes.byteOffset).getInt32(at, true)
const NULL_WORD = 0x6c6c756e
const TRUE_WORD = 0x65757274
const FALS_WORD = 0x736c6166

/** Code that goes to `miss` unless the bytes at `p` are `bytes`, and moves `p` behind them. */
function matchBytes(bytes: Uint8Array, miss: string): string {
  const { length } = bytes
  const tests: string[] = []
  if (length >= 4) {
    for (let i = 0; i + 4 <= length; i += 4) tests.push(`(view.getInt32(p + ${i}, true) ^ ${word(bytes, i)})`)
    if (length % 4 !== 0) tests.push(`(view.getInt32(p + ${length - 4}, true) ^ ${word(bytes, length - 4)})`)
  } else {
    bytes.forEach((byte, i) => {
      tests.push(`(b[p + ${i}] ^ ${byte})`)
    })
  }
  return `if (p + ${length} > end || (${tests.join(' | ')}) !== 0) ${miss}\np += ${length}\n`
}

/**
 * Code that moves `p` over plain ASCII to the first quote, backslash, control character or byte above 127, four bytes at a time.
 * `x - 0x01010101` has the high bit set in the lowest byte that is 0 in x; a borrow can only set it in bytes above that one. A byte above 127
 * keeps its high bit in at least one of the differences.
 */
const toTextEnd = (miss: string): string => `for (;;) {
if (p > last) ${miss}
v = view.getInt32(p, true)
m = (((v ^ 0x22222222) - 0x01010101) | ((v ^ 0x5c5c5c5c) - 0x01010101) | (v - 0x20202020)) & 0x80808080
if (m !== 0) { p += (31 - Math.clz32(m & (0 - m))) >> 3; break }
p += 4
}
`

/** Code that reads up to 9 digits at `p` into the integer `m`, their count into `n`. */
const nineDigits = (m: string, n: string): string => `${m} = 0; s = p; q = p + 9
while (p < q && (d = (b[p] - 48) | 0) >>> 0 < 10) { ${m} = (Math.imul(${m}, 10) + d) | 0; p++ }
${n} = p - s
`

const sign = `g = 0; c = b[p]; if (c === 45) { g = 1; c = b[++p] }\n`

class Emitter {
  private readonly isCheck: boolean
  private readonly miss: string
  constructor(isCheck: boolean) {
    this.isCheck = isCheck
    this.miss = isCheck ? 'return false' : 'break rows'
  }

  members(layout: Layout, fields: readonly FieldSpec[]): string {
    let code = ''
    for (const { lead, field } of layout.members) {
      code += matchBytes(lead, this.miss)
      code += field < 0 ? this.skip() : this.field(field, fields[field])
    }
    return code + matchBytes(layout.tail, this.miss) + `if (p !== end) ${this.miss}\n`
  }

  private skip(): string {
    return `if (b[p] === 34) {
p++
${toTextEnd(this.miss)}if (b[p] === 34) p++; else { p = H.skipText(b, p, end); if (p < 0) ${this.miss} }
} else { p = H.skip(b, p, end); if (p < 0) ${this.miss} }
`
  }

  /** The value by its general reader. */
  private general(o: number, from: string): string {
    return `p = H.value(b, ${from}, end, ${o}, r); if (p < 0) ${this.miss}`
  }

  private field(o: number, { type, capture = -1 }: FieldSpec): string {
    const begin = capture >= 0 ? 'a = p\n' : ''
    const captured = capture >= 0 ? `K[${2 * capture}] = a; K[${2 * capture + 1}] = p\n` : ''
    const isText = type.kind === 'VARCHAR' || type.kind === 'CHAR'
    const value = begin + this.value(o, type, capture) + (isText ? '' : captured)
    // A null goes to the general parser, which says what is wrong.
    if (!type.nullable) return `if (b[p] === 110) ${this.miss}\n${value}`
    const onNull = this.isCheck ? (capture >= 0 ? `K[${2 * capture}] = -1\n` : '') : `N${o}[r] = 1; A[${o}] = 1\n`
    return `if (b[p] === 110) {
if (p + 4 > end || view.getInt32(p, true) !== ${NULL_WORD}) ${this.miss}
p += 4
${onNull}} else {
${value}}
`
  }

  private value(o: number, type: SqlType, capture: number): string {
    switch (type.kind) {
      case 'CHAR':
      case 'VARCHAR':
        return this.text(o, capture)
      case 'BOOLEAN':
        return `v = p + 5 <= end ? view.getInt32(p, true) : 0
if (v === ${TRUE_WORD}) { p += 4${this.isCheck ? '' : `; D${o}[r] = 1`} }
else if (v === ${FALS_WORD} && b[p + 4] === 101) { p += 5${this.isCheck ? '' : `; D${o}[r] = 0`} }
else { ${this.general(o, 'p')} }
`
      case 'TINYINT':
        return this.integer(o, 127)
      case 'SMALLINT':
        return this.integer(o, 32767)
      case 'INT':
        return this.integer(o, 2147483647)
      case 'BIGINT':
        return this.bigint(o)
      case 'FLOAT':
      case 'DOUBLE':
        return this.double(o, type.kind === 'FLOAT')
      case 'DECIMAL':
        return type.precision <= 18 ? this.decimal(o, type.precision, type.scale) : `${this.general(o, 'p')}\n`
      case 'TIMESTAMP':
      case 'TIMESTAMP_LTZ':
        if (type.precision !== 3) return `${this.general(o, 'p')}\n`
        return `t = b[p] === 34 ? H.timestamp(b, p + 1, end, ${type.kind === 'TIMESTAMP_LTZ'}) : -1
if (t > 0) { p = t${this.isCheck ? '' : `; D${o}[r] = T[0]`} } else { ${this.general(o, 'p')} }
`
      default:
        return `${this.general(o, 'p')}\n`
    }
  }

  private text(o: number, capture: number): string {
    // A captured text with escapes is left to the general parser, which has a place for the text without them.
    const other =
      capture >= 0
        ? `p = H.skipText(b, p, end); if (p < 0 || H.isEscaped()) ${this.miss}`
        : `p = H.skipText(b, p, end); if (p < 0) ${this.miss}`
    const unusual = this.isCheck ? other : `p = H.text(b, s, p, end, ${o}, r); if (p < 0) ${this.miss}`
    const usual = this.isCheck ? 'p++' : `S${o}[r] = s; E${o}[r] = p++`
    const captured = capture >= 0 ? `K[${2 * capture}] = a + 1; K[${2 * capture + 1}] = p - 1\n` : ''
    return `if (b[p] === 34) {
s = ++p
${toTextEnd(this.miss)}if (b[p] === 34) { ${usual} } else { ${unusual} }
${captured}} else { ${capture >= 0 ? this.miss : this.general(o, 'p')} }
`
  }

  /** Digits that are followed by more of a number, none at all, or a leading zero: not the usual case. */
  private readonly unusualInteger = `n === 0 || (n > 1 && c === 48) || (d = b[p]) === 46 || (d | 32) === 101`

  private integer(o: number, max: number): string {
    const store = this.isCheck ? '' : `D${o}[r] = g === 0 ? m : -m`
    const tooBig = max < 1e9 ? ` || m > ${max}` : ''
    return `u = p\n${sign}${nineDigits('m', 'n')}if (${this.unusualInteger} || (n === 9 && (d - 48) >>> 0 < 10)${tooBig}) { ${this.general(o, 'u')} } else { ${store} }
`
  }

  /** Stores the double `x`, a whole number below 2^53, as the 64-bit integer ± x. */
  private store64(o: number): string {
    return `l = x | 0; h = (x * ${2 ** -32}) | 0
if (g !== 0) { l = (0 - l) | 0; h = (~h + (l === 0 ? 1 : 0)) | 0 }
D${o}[2 * r] = l; D${o}[2 * r + 1] = h`
  }

  private bigint(o: number): string {
    const store = this.isCheck ? '' : `if (k > 6) H.big(${o}, r, x, f, k, g); else {\nif (k > 0) x = x * P10[k] + f\n${this.store64(o)}\n}`
    return `u = p\n${sign}${nineDigits('m', 'n')}x = m; k = 0
if (n === 9 && (b[p] - 48) >>> 0 < 10) {
${nineDigits('f', 'k')}n += k
}
if (${this.unusualInteger} || (n === 18 && (d - 48) >>> 0 < 10)) { ${this.general(o, 'u')} } else {
${store}
}
`
  }

  /** Reads a number with up to 9 digits before the point and up to 9 behind: `m`, `n`; `f`, `k`. True for `unusual` in `w`. */
  private readonly fixed = `u = p\n${sign}${nineDigits('m', 'n')}w = n === 0 || (n > 1 && c === 48); k = 0; f = 0
if (b[p] === 46) {
p++
${nineDigits('f', 'k')}if (k === 0) w = true
}
c = b[p]
if ((c | 32) === 101 || c === 46 || (c - 48) >>> 0 < 10) w = true
`

  private double(o: number, isFloat: boolean): string {
    const rounded = isFloat ? 'Math.fround(x)' : 'x'
    const store = this.isCheck ? '' : `x = k > 0 ? (m * P10[k] + f) / P10[k] : m; if (g !== 0) x = -x\nD${o}[r] = ${rounded}`
    return `${this.fixed}if (w || n + k > 15) { ${this.general(o, 'u')} } else { ${store} }
`
  }

  private decimal(o: number, precision: number, scale: number): string {
    const digitMax = Math.min(precision, 15) - scale
    const store = this.isCheck ? '' : `x = (m * P10[k] + f) * P10[${scale} - k]\n${this.store64(o)}`
    return `${this.fixed}if (w || n > ${digitMax} || k > ${scale}) { ${this.general(o, 'u')} } else { ${store} }
`
  }
}

const variables =
  'let a = 0, c = 0, d = 0, f = 0, g = 0, h = 0, k = 0, l = 0, m = 0, n = 0, q = 0, s = 0, t = 0, u = 0, v = 0, w = false, x = 0.5\n'

/** A decoder for rows of this layout. Fields that the layout lacks become NULL; all of them must be nullable. */
export function generateDecoder(layout: Layout, types: readonly SqlType[]): LayoutDecoder {
  const present = new Set(layout.members.map((member) => member.field))
  let head = 'const last = b.length - 4, A = targets.hasNulls, T = H.time\n' + variables
  let missing = ''
  types.forEach((type, o) => {
    if (type.nullable) head += `const N${o} = targets.nulls[${o}]\n`
    if (!present.has(o)) missing += `N${o}[r] = 1; A[${o}] = 1\n`
    else if (type.kind === 'VARCHAR' || type.kind === 'CHAR') head += `const S${o} = targets.starts[${o}], E${o} = targets.ends[${o}]\n`
    else head += `const D${o} = targets.data[${o}]\n`
  })
  const lastByte = layout.tail[layout.tail.length - 1]
  const body = `'use strict'
${head}rows: for (; i < count; i++, r++) {
let p = starts[i]
const end = ends[i]
if (end <= p || b[end - 1] !== ${lastByte}) break
${new Emitter(false).members(
  layout,
  types.map((type) => ({ type })),
)}${missing}}
return i
`
  return build(['b', 'view', 'starts', 'ends', 'i', 'r', 'count', 'targets', 'H'], body) as LayoutDecoder
}

/** A checker for rows of this layout; fields that it lacks must be nullable, and captures of those are -1. */
export function generateChecker(layout: Layout, fields: readonly FieldSpec[]): LayoutChecker {
  const present = new Set(layout.members.map((member) => member.field))
  let head = `const last = b.length - 4, r = 0\n${variables}let p = start\n`
  fields.forEach(({ capture = -1 }, o) => {
    if (capture >= 0 && !present.has(o)) head += `K[${2 * capture}] = -1\n`
  })
  const lastByte = layout.tail[layout.tail.length - 1]
  const body = `'use strict'
${head}if (end <= p || b[end - 1] !== ${lastByte}) return false
${new Emitter(true).members(layout, fields)}return true
`
  return build(['b', 'view', 'start', 'end', 'K', 'H'], body) as LayoutChecker
}

function build(parameters: string[], body: string): unknown {
  const make = new Function('P10', `return function (${parameters.join(', ')}) {\n${body}}`)
  return make(powersOf10)
}
