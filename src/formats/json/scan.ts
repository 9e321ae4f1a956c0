// Scans JSON in UTF-8 bytes: finds where things end and whether they are well-formed. Makes no values.
//
// Every function takes a position and returns the position behind what it read, or a negative FAIL_… code.
//
// Invariants
//   1. Nothing at or beyond `end` is read.
//   2. What is accepted is what RFC 8259 and `JSON.parse` accept, except: text must be valid UTF-8, escapes of surrogates must come in pairs,
//      and nesting is limited to DEPTH_MAX.
//   3. No recursion deeper than DEPTH_MAX, no exception.
import type { RowFailure, RowRule } from '../errors.ts'

/** Levels of objects and arrays, the event itself included. */
export const DEPTH_MAX = 64

export const FAIL_END = -1
export const FAIL_BYTE = -2
export const FAIL_CONTROL = -3
export const FAIL_ESCAPE = -4
export const FAIL_UTF8 = -5
export const FAIL_DEPTH = -6
export const FAIL_NUMBER = -7
export const FAIL_SURROGATE = -8
/** These three have their text in `fail`. */
export const FAIL_TYPE = -9
export const FAIL_RANGE = -10
export const FAIL_REQUIRED = -11

/** Details of the last failure: where (position), in which field, and for type, range and required: what. */
export const fail = { at: 0, path: '', message: '' }
/** Set by `scanString`: the text has escapes. */
export const scanned = { escaped: false }

const scanFacts: Record<number, [RowRule, string]> = {
  [FAIL_END]: ['json', 'the JSON ends too early'],
  [FAIL_BYTE]: ['json', 'unexpected character'],
  [FAIL_CONTROL]: ['json', 'control character in a text'],
  [FAIL_ESCAPE]: ['json', 'invalid escape in a text'],
  [FAIL_UTF8]: ['utf8', 'invalid UTF-8'],
  [FAIL_DEPTH]: ['depth', `more than ${DEPTH_MAX} levels of nesting`],
  [FAIL_NUMBER]: ['json', 'malformed number'],
  [FAIL_SURROGATE]: ['utf8', 'lone surrogate in a text'],
}

/** The failure behind a negative result, for an event that begins at `start`. */
export function failureOf(code: number, start: number): RowFailure {
  const path = fail.path
  const fact = scanFacts[code]
  if (fact) return { rule: fact[0], path, message: `${fact[1]} at byte ${Math.max(fail.at - start, 0)}` }
  return { rule: code === FAIL_TYPE ? 'type' : code === FAIL_RANGE ? 'range' : 'required', path, message: fail.message }
}

/** Notes where scanning failed. */
export function failAt(code: number, p: number): number {
  fail.at = p
  return code
}
/** Notes what is wrong with a value: `code` is FAIL_TYPE, FAIL_RANGE or FAIL_REQUIRED. */
export function failValue(code: number, message: string): number {
  fail.message = message
  return code
}

export function skipSpace(b: Uint8Array, p: number, end: number): number {
  while (p < end) {
    const c = b[p]
    if (c !== 32 && c !== 10 && c !== 13 && c !== 9) break
    p++
  }
  return p
}

/** Position of the quote that ends the text whose first byte is at `p`. */
export function scanString(b: Uint8Array, p: number, end: number): number {
  scanned.escaped = false
  while (p < end) {
    const c = b[p]
    if (c === 34) return p
    if (c === 92) {
      scanned.escaped = true
      p = scanEscape(b, p + 1, end)
      if (p < 0) return p
    } else if (c > 127) {
      p = scanCodePoint(b, p, end)
      if (p < 0) return p
    } else if (c < 32) {
      return failAt(FAIL_CONTROL, p)
    } else {
      p++
    }
  }
  return failAt(FAIL_END, end)
}

/** Position behind the UTF-8 sequence of two to four bytes at `p`. */
export function scanCodePoint(b: Uint8Array, p: number, end: number): number {
  const c = b[p]
  const length = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4
  if (c < 0xc2 || c > 0xf4 || p + length > end) return failAt(FAIL_UTF8, p)
  const second = b[p + 1]
  if ((second & 0xc0) !== 0x80) return failAt(FAIL_UTF8, p)
  if (length === 2) return p + 2
  if ((b[p + 2] & 0xc0) !== 0x80) return failAt(FAIL_UTF8, p)
  if (length === 3) {
    // E0: no overlong forms. ED: no surrogates.
    if ((c === 0xe0 && second < 0xa0) || (c === 0xed && second > 0x9f)) return failAt(FAIL_UTF8, p)
    return p + 3
  }
  if ((b[p + 3] & 0xc0) !== 0x80) return failAt(FAIL_UTF8, p)
  if ((c === 0xf0 && second < 0x90) || (c === 0xf4 && second > 0x8f)) return failAt(FAIL_UTF8, p)
  return p + 4
}

const hexDigits = new Int8Array(256).fill(-1)
for (let i = 0; i < 16; i++) {
  hexDigits['0123456789abcdef'.charCodeAt(i)] = i
  hexDigits['0123456789ABCDEF'.charCodeAt(i)] = i
}

/** The 16-bit number of four hexadecimal digits, or a negative number. */
export function hex4(b: Uint8Array, p: number): number {
  const a = hexDigits[b[p]]
  const c = hexDigits[b[p + 1]]
  const d = hexDigits[b[p + 2]]
  const e = hexDigits[b[p + 3]]
  return (a | c | d | e) < 0 ? -1 : (a << 12) | (c << 8) | (d << 4) | e
}

/** `p` is at the byte behind the backslash. */
function scanEscape(b: Uint8Array, p: number, end: number): number {
  if (p >= end) return failAt(FAIL_END, end)
  switch (b[p]) {
    case 34: // "
    case 47: // /
    case 92: // \
    case 98: // b
    case 102: // f
    case 110: // n
    case 114: // r
    case 116: // t
      return p + 1
    case 117: {
      if (p + 5 > end) return failAt(FAIL_END, end)
      const unit = hex4(b, p + 1)
      if (unit < 0) return failAt(FAIL_ESCAPE, p)
      if (unit < 0xd800 || unit > 0xdfff) return p + 5
      if (unit > 0xdbff || p + 11 > end || b[p + 5] !== 92 || b[p + 6] !== 117) return failAt(FAIL_SURROGATE, p)
      const low = hex4(b, p + 7)
      return low >= 0xdc00 && low <= 0xdfff ? p + 11 : failAt(FAIL_SURROGATE, p)
    }
    default:
      return failAt(FAIL_ESCAPE, p)
  }
}

/** Position behind the number at `p`, in JSON's grammar. */
export function scanNumber(b: Uint8Array, p: number, end: number): number {
  const start = p
  if (p < end && b[p] === 45) p++
  const first = p
  while (p < end && (b[p] - 48) >>> 0 < 10) p++
  if (p === first || (b[first] === 48 && p > first + 1)) return failAt(FAIL_NUMBER, start)
  if (p < end && b[p] === 46) {
    const fraction = ++p
    while (p < end && (b[p] - 48) >>> 0 < 10) p++
    if (p === fraction) return failAt(FAIL_NUMBER, start)
  }
  if (p < end && (b[p] | 32) === 101) {
    p++
    if (p < end && (b[p] === 43 || b[p] === 45)) p++
    const exponent = p
    while (p < end && (b[p] - 48) >>> 0 < 10) p++
    if (p === exponent) return failAt(FAIL_NUMBER, start)
  }
  return p
}

export const isNull = (b: Uint8Array, p: number, end: number): boolean =>
  p + 4 <= end && b[p] === 110 && b[p + 1] === 117 && b[p + 2] === 108 && b[p + 3] === 108
export const isTrue = (b: Uint8Array, p: number, end: number): boolean =>
  p + 4 <= end && b[p] === 116 && b[p + 1] === 114 && b[p + 2] === 117 && b[p + 3] === 101
export const isFalse = (b: Uint8Array, p: number, end: number): boolean =>
  p + 5 <= end && b[p] === 102 && b[p + 1] === 97 && b[p + 2] === 108 && b[p + 3] === 115 && b[p + 4] === 101

/** Position behind the value of any type at `p`; `depth` is the number of containers around it. */
export function skipValue(b: Uint8Array, p: number, end: number, depth: number): number {
  if (p >= end) return failAt(FAIL_END, end)
  const c = b[p]
  if (c === 34) {
    const close = scanString(b, p + 1, end)
    return close < 0 ? close : close + 1
  }
  if (c === 45 || (c - 48) >>> 0 < 10) return scanNumber(b, p, end)
  if (c === 123 || c === 91) return skipContainer(b, p, end, depth + 1)
  if (isNull(b, p, end) || isTrue(b, p, end)) return p + 4
  if (isFalse(b, p, end)) return p + 5
  return failAt(FAIL_BYTE, p)
}

/** `p` is at `{` or `[`. */
function skipContainer(b: Uint8Array, p: number, end: number, depth: number): number {
  if (depth > DEPTH_MAX) return failAt(FAIL_DEPTH, p)
  const isObject = b[p] === 123
  const close = isObject ? 125 : 93
  p = skipSpace(b, p + 1, end)
  if (p < end && b[p] === close) return p + 1
  for (;;) {
    if (isObject) {
      p = skipKey(b, p, end)
      if (p < 0) return p
    }
    p = skipValue(b, p, end, depth)
    if (p < 0) return p
    p = skipSpace(b, p, end)
    if (p >= end) return failAt(FAIL_END, end)
    if (b[p] === close) return p + 1
    if (b[p] !== 44) return failAt(FAIL_BYTE, p)
    p = skipSpace(b, p + 1, end)
  }
}

/** From the quote of a key to the first byte of its value. */
function skipKey(b: Uint8Array, p: number, end: number): number {
  if (p >= end) return failAt(FAIL_END, end)
  if (b[p] !== 34) return failAt(FAIL_BYTE, p)
  p = scanString(b, p + 1, end)
  return p < 0 ? p : expectColon(b, p + 1, end)
}

/** From behind a key's quote to the first byte of its value. */
export function expectColon(b: Uint8Array, p: number, end: number): number {
  p = skipSpace(b, p, end)
  if (p >= end) return failAt(FAIL_END, end)
  if (b[p] !== 58) return failAt(FAIL_BYTE, p)
  return skipSpace(b, p + 1, end)
}

const simpleEscapes = new Uint8Array(128)
for (const [letter, byte] of Object.entries({ b: 8, f: 12, n: 10, r: 13, t: 9, '"': 34, '/': 47, '\\': 92 }))
  simpleEscapes[letter.charCodeAt(0)] = byte

/** Writes the text `b[start … end)`, already scanned, without its escapes to `target` at `at`; returns the position behind it. Never longer than the source. */
export function unescapeInto(b: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  for (let p = start; p < end; ) {
    const c = b[p++]
    if (c !== 92) {
      target[at++] = c
      continue
    }
    const letter = b[p++]
    if (letter !== 117) {
      target[at++] = simpleEscapes[letter]
      continue
    }
    let code = hex4(b, p)
    p += 4
    if (code >= 0xd800 && code <= 0xdbff) {
      code = 0x10000 + ((code - 0xd800) << 10) + (hex4(b, p + 2) - 0xdc00)
      p += 6
    }
    if (code < 0x80) {
      target[at++] = code
    } else if (code < 0x800) {
      target[at++] = 0xc0 | (code >> 6)
      target[at++] = 0x80 | (code & 63)
    } else if (code < 0x10000) {
      target[at++] = 0xe0 | (code >> 12)
      target[at++] = 0x80 | ((code >> 6) & 63)
      target[at++] = 0x80 | (code & 63)
    } else {
      target[at++] = 0xf0 | (code >> 18)
      target[at++] = 0x80 | ((code >> 12) & 63)
      target[at++] = 0x80 | ((code >> 6) & 63)
      target[at++] = 0x80 | (code & 63)
    }
  }
  return at
}
