// Values from the bytes of their text: numbers, decimals, dates, times. Shared by JSON (tokens and quoted values) and CSV.
//
// Each `parse…` reads `b[s … e)`, puts the value into `out` and returns 0, or returns FAIL_TYPE or FAIL_RANGE with its text in `fail`.
//
// Invariant: the work is bounded by the length of the text, whatever number it writes (`1e999999999`).
import { laneOf, readUtf8, type SqlType } from '../data/index.ts'
import { FAIL_RANGE, FAIL_TYPE, failValue } from './json/scan.ts'

/** Where a parsed value is left: one place, so that no object is made per value. */
export const out = {
  /** Numbers of the lanes u8, i32, f64. */
  num: 0,
  /** Lane i64, and what `types.ts` holds as bigint. */
  big: 0n,
  /** Lane utf8: a range of the source's bytes, or of `sideText` where `side` is set. */
  start: 0,
  end: 0,
  side: false,
  /** Lane any. */
  value: undefined as unknown,
  /** Times: nanoseconds within the millisecond `num`. */
  nanos: 0,
}

/** Texts that are not in the source as they are: without their escapes, or compacted. Emptied by the decoder for each batch. */
export const sideText = { bytes: new Uint8Array(1024) as Uint8Array, length: 0 }

/** Room for `size` more bytes of side text. */
export function reserveSide(size: number): void {
  const { bytes, length } = sideText
  if (length + size <= bytes.length) return
  sideText.bytes = new Uint8Array(Math.max(bytes.length * 2, length + size))
  sideText.bytes.set(bytes.subarray(0, length))
}

/** 10^0 … 10^22: the powers of ten that a double holds exactly. */
export const powersOf10 = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`))
const bigPowersOf10 = Array.from({ length: 40 }, (_, i) => 10n ** BigInt(i))

const integerBounds: Record<string, [min: number, max: number, name: string]> = {
  TINYINT: [-128, 127, 'TINYINT'],
  SMALLINT: [-32768, 32767, 'SMALLINT'],
  INT: [-2147483648, 2147483647, 'INT'],
}
export type SmallIntegerKind = 'TINYINT' | 'SMALLINT' | 'INT'

export const isDigit = (c: number): boolean => (c - 48) >>> 0 < 10

const excerpt = (b: Uint8Array, s: number, e: number): string => {
  const text = readUtf8(b, s, Math.min(e, s + 40))
  return e - s > 40 ? `${text}…` : text
}
export const typeFailure = (b: Uint8Array, s: number, e: number, type: string): number =>
  failValue(FAIL_TYPE, `'${excerpt(b, s, e)}' is not ${type}`)
const rangeFailure = (b: Uint8Array, s: number, e: number, type: string): number =>
  failValue(FAIL_RANGE, `${excerpt(b, s, e)} is outside ${type}`)

/** BIGINT into `out.big`. `1.0` and `1e3` are integers, `1.5` is not. */
export function parseBigint(b: Uint8Array, s: number, e: number): number {
  let p = s
  const negative = b[p] === 45
  if (negative || b[p] === 43) p++
  if (e - p <= 15) {
    let value = 0
    const first = p
    for (; p < e; p++) {
      const d = b[p] - 48
      if (d >>> 0 > 9) break
      value = value * 10 + d
    }
    if (p === e && p > first) {
      out.big = BigInt(negative ? -value : value)
      return 0
    }
  }
  const code = parseScaled(b, s, e, 19, 0, true, 'BIGINT')
  if (code !== 0) return code
  return BigInt.asIntN(64, out.big) === out.big ? 0 : rangeFailure(b, s, e, 'BIGINT')
}

/** TINYINT, SMALLINT or INT into `out.num`. */
export function parseInteger(b: Uint8Array, s: number, e: number, kind: SmallIntegerKind): number {
  const [min, max, name] = integerBounds[kind]
  let p = s
  const negative = b[p] === 45
  if (negative || b[p] === 43) p++
  const first = p
  let value = 0
  if (e - p <= 12) {
    for (; p < e; p++) {
      const d = b[p] - 48
      if (d >>> 0 > 9) break
      value = value * 10 + d
    }
  }
  if (p === e && p > first) {
    if (negative) value = 0 - value
  } else {
    const code = parseScaled(b, s, e, 19, 0, true, name)
    if (code !== 0) return code
    value = Number(out.big)
  }
  if (value < min || value > max) return rangeFailure(b, s, e, name)
  out.num = value
  return 0
}

/** DECIMAL, unscaled, into `out.big`: rounds HALF_UP to the scale; more digits than the precision are out of range. */
export const parseDecimal = (b: Uint8Array, s: number, e: number, precision: number, scale: number): number =>
  parseScaled(b, s, e, precision, scale, false, `DECIMAL(${precision}, ${scale})`)

function parseScaled(b: Uint8Array, s: number, e: number, precision: number, scale: number, isExact: boolean, type: string): number {
  let p = s
  const negative = p < e && b[p] === 45
  if (negative || (p < e && b[p] === 43)) p++
  // Digits are b[first … last) without the point; value = 0.DIGITS * 10^exponent after leading zeros are gone.
  let digits = ''
  let digitCount = 0
  let pointAfter = -1
  let exponent = 0
  let seen = 0
  let mantissa = 0
  const digitMax = precision + 2
  let dropped = false
  for (; p < e; p++) {
    const c = b[p]
    if (c === 46) {
      if (pointAfter >= 0) return typeFailure(b, s, e, type)
      pointAfter = digitCount
      continue
    }
    const d = c - 48
    if (d >>> 0 > 9) break
    seen++
    if (digitCount === 0 && d === 0) {
      if (pointAfter >= 0) exponent--
      continue
    }
    digitCount++
    if (digitCount <= 15) mantissa = mantissa * 10 + d
    if (digitCount <= digitMax) digits += String.fromCharCode(c)
    else if (d !== 0) dropped = true
  }
  if (seen === 0) return typeFailure(b, s, e, type)
  exponent += pointAfter >= 0 ? pointAfter : digitCount
  if (p < e) {
    if ((b[p] | 32) !== 101) return typeFailure(b, s, e, type)
    p++
    const isExponentNegative = b[p] === 45
    if (isExponentNegative || b[p] === 43) p++
    const first = p
    let value = 0
    for (; p < e; p++) {
      const d = b[p] - 48
      if (d >>> 0 > 9) return typeFailure(b, s, e, type)
      value = Math.min(value * 10 + d, 1e9)
    }
    if (p === first) return typeFailure(b, s, e, type)
    exponent += isExponentNegative ? -value : value
  }
  if (digitCount === 0) {
    out.big = 0n
    return 0
  }
  const keep = exponent + scale
  if (keep > precision) return rangeFailure(b, s, e, type)
  if (digitCount <= 15 && keep >= digitCount && keep <= 15) {
    const value = mantissa * powersOf10[keep - digitCount]
    out.big = BigInt(negative ? -value : value)
    return 0
  }
  let value: bigint
  if (keep >= digitCount) {
    value = BigInt(digits) * bigPowersOf10[keep - digitCount]
  } else {
    if (isExact && (dropped || /[1-9]/.test(digits.slice(Math.max(keep, 0))))) return typeFailure(b, s, e, `a whole number (${type})`)
    value = keep > 0 ? BigInt(digits.slice(0, keep)) : 0n
    if (keep >= 0 && digits.charCodeAt(keep) >= 53) value += 1n
    if (value >= bigPowersOf10[precision]) return rangeFailure(b, s, e, type)
  }
  out.big = negative ? -value : value
  return 0
}

/** The double nearest to the JSON number `b[s … e)` (its grammar is already checked), as `JSON.parse` has it. */
export function doubleOfToken(b: Uint8Array, s: number, e: number): number {
  let p = s
  const negative = b[p] === 45
  if (negative) p++
  if (e - p <= 16) {
    let mantissa = 0
    let digitCount = 0
    let point = e
    for (; p < e; p++) {
      const d = b[p] - 48
      if (d >>> 0 < 10) {
        mantissa = mantissa * 10 + d
        digitCount++
      } else if (d === -2) {
        point = p + 1
      } else {
        break
      }
    }
    // Up to 15 digits and one division by an exact power of ten: correctly rounded.
    if (p === e && digitCount <= 15) {
      const value = mantissa / powersOf10[e - point]
      return negative ? -value : value
    }
  }
  return Number(readUtf8(b, s, e))
}

const doubleText = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/

/** FLOAT or DOUBLE from text, `NaN` and `Infinity` included, into `out.num`. */
export function parseDouble(b: Uint8Array, s: number, e: number): number {
  const text = readUtf8(b, s, e)
  if (doubleText.test(text)) out.num = Number(text)
  else if (text === 'NaN') out.num = NaN
  else if (text === 'Infinity' || text === '+Infinity') out.num = Infinity
  else if (text === '-Infinity') out.num = -Infinity
  else return typeFailure(b, s, e, 'a number')
  return 0
}

export function parseBoolean(b: Uint8Array, s: number, e: number): number {
  const text = e - s <= 5 ? readUtf8(b, s, e).toLowerCase() : ''
  if (text !== 'true' && text !== 'false') return typeFailure(b, s, e, 'BOOLEAN')
  out.num = text === 'true' ? 1 : 0
  return 0
}

/** Days since 1970-01-01 of a date of the proleptic Gregorian calendar. */
export function daysOfDate(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = (((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) | 0) + day - 1
  return era * 146097 + yearOfEra * 365 + ((yearOfEra / 4) | 0) - ((yearOfEra / 100) | 0) + dayOfYear - 719468
}
const monthLengths = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
export const daysOfMonth = (year: number, month: number): number =>
  month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : monthLengths[month]

/** Two digits as a number; -1 if they are not. */
const two = (b: Uint8Array, p: number): number => {
  const tens = b[p] - 48
  const ones = b[p + 1] - 48
  return tens >>> 0 < 10 && ones >>> 0 < 10 ? tens * 10 + ones : -1
}

/** Days of `yyyy-MM-dd` at `p`, at least 10 bytes; NaN if it is no date. */
function dateAt(b: Uint8Array, p: number): number {
  const century = two(b, p)
  const yearOfCentury = two(b, p + 2)
  const month = two(b, p + 5)
  const day = two(b, p + 8)
  if ((century | yearOfCentury) < 0 || b[p + 4] !== 45 || b[p + 7] !== 45) return NaN
  const year = century * 100 + yearOfCentury
  if (month < 1 || month > 12 || day < 1 || day > daysOfMonth(year, month)) return NaN
  return daysOfDate(year, month, day)
}

/** DATE `yyyy-MM-dd` into `out.num`. */
export function parseDate(b: Uint8Array, s: number, e: number): number {
  const days = e - s === 10 ? dateAt(b, s) : NaN
  if (Number.isNaN(days)) return typeFailure(b, s, e, 'a date yyyy-MM-dd')
  out.num = days
  return 0
}

/** `HH:mm[:ss[.fffffffff]]` at `p`: ms of the day into `out.num`, the rest into `out.nanos`; position behind it, or -1. */
function timeAt(b: Uint8Array, p: number, e: number): number {
  if (p + 5 > e || b[p + 2] !== 58) return -1
  const hour = two(b, p)
  const minute = two(b, p + 3)
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59) return -1
  let ms = hour * 3_600_000 + minute * 60_000
  let nanos = 0
  p += 5
  if (p + 3 <= e && b[p] === 58) {
    const second = two(b, p + 1)
    if (second < 0 || second > 59) return -1
    ms += second * 1000
    p += 3
    if (p < e && b[p] === 46) {
      const first = ++p
      let fraction = 0
      while (p < e && isDigit(b[p]) && p - first < 9) fraction = fraction * 10 + b[p++] - 48
      if (p === first) return -1
      fraction *= powersOf10[9 - (p - first)]
      ms += Math.floor(fraction / 1e6)
      nanos = fraction % 1e6
    }
  }
  out.num = ms
  out.nanos = nanos
  return p
}

/** TIME `HH:mm:ss[.fff]`, ms of the day, into `out.num`. */
export function parseTime(b: Uint8Array, s: number, e: number): number {
  return timeAt(b, s, e) === e ? 0 : typeFailure(b, s, e, 'a time HH:mm:ss')
}

/** Which text forms a timestamp may have: 'any' takes both of Flink's, and an offset where the type has a zone. */
export type TimestampForm = 'SQL' | 'ISO-8601' | 'any'

/**
 * TIMESTAMP or TIMESTAMP_LTZ: epoch ms into `out.num`, nanoseconds within the ms into `out.nanos`.
 *
 * SQL is `yyyy-MM-dd HH:mm:ss[.fffffffff]`, ISO-8601 has `T`; with a zone both end with `Z`. A form that is given is taken strictly.
 * 'any' also takes a missing or superfluous `Z` (UTC) and, with a zone, `+02:00`.
 */
export function parseTimestamp(b: Uint8Array, s: number, e: number, isZoned: boolean, form: TimestampForm): number {
  const separator = b[s + 10]
  const days = e - s >= 16 ? dateAt(b, s) : NaN
  const isIso = separator === 84
  if (Number.isNaN(days) || (!isIso && separator !== 32) || (form !== 'any' && isIso !== (form === 'ISO-8601'))) {
    return timestampFailure(b, s, e, isZoned, form)
  }
  let p = timeAt(b, s + 11, e)
  if (p < 0 || (!isIso && p < s + 19)) return timestampFailure(b, s, e, isZoned, form)
  let ms = days * 86_400_000 + out.num
  if (form !== 'any') {
    if (isZoned) p = b[p] === 90 && p < e ? p + 1 : -1
  } else if (p < e) {
    if (b[p] === 90) {
      p++
    } else if (isZoned && (b[p] === 43 || b[p] === 45) && p + 6 === e && b[p + 3] === 58) {
      const hours = two(b, p + 1)
      const minutes = two(b, p + 4)
      if (hours < 0 || hours > 18 || minutes < 0 || minutes > 59) return timestampFailure(b, s, e, isZoned, form)
      ms -= (b[p] === 45 ? -1 : 1) * (hours * 3_600_000 + minutes * 60_000)
      p += 6
    }
  }
  if (p !== e) return timestampFailure(b, s, e, isZoned, form)
  out.num = ms
  return 0
}

function timestampFailure(b: Uint8Array, s: number, e: number, isZoned: boolean, form: TimestampForm): number {
  const text = form === 'ISO-8601' ? 'yyyy-MM-ddTHH:mm:ss.SSS' : 'yyyy-MM-dd HH:mm:ss.SSS'
  return typeFailure(b, s, e, `a timestamp ${text}${isZoned ? 'Z' : ''}`)
}

const base64 = /^[A-Za-z0-9+/]*={0,2}$/
const parseBase64: TextParser = (b, s, e) => {
  const text = readUtf8(b, s, e)
  if (!base64.test(text) || text.replace(/=+$/, '').length % 4 === 1) return typeFailure(b, s, e, 'base64')
  out.value = new Uint8Array(Buffer.from(text, 'base64'))
  return 0
}

/** Parses `b[s … e)` into `out`, in the lane of its type; 0, or FAIL_TYPE or FAIL_RANGE. */
export type TextParser = (b: Uint8Array, s: number, e: number) => number

/** What a bare token of the wrong kind is told that it is not. */
export function expectedText(type: SqlType): string {
  switch (type.kind) {
    case 'TIMESTAMP':
      return 'a timestamp as text'
    case 'TIMESTAMP_LTZ':
      return 'a timestamp as text (for epoch numbers declare BIGINT and use TO_TIMESTAMP_LTZ)'
    case 'DATE':
      return 'a date as text'
    case 'TIME':
      return 'a time as text'
    case 'BINARY':
    case 'VARBINARY':
      return 'base64 text'
    default:
      return type.kind
  }
}

function timestampParser(precision: number, isZoned: boolean, form: TimestampForm): TextParser {
  const unit = precision > 3 ? 10 ** (9 - precision) : 10 ** (3 - precision)
  if (precision > 3) {
    return (b, s, e) => {
      const code = parseTimestamp(b, s, e, isZoned, form)
      if (code === 0) out.value = BigInt(out.num) * 1_000_000n + BigInt(out.nanos - (out.nanos % unit))
      return code
    }
  }
  return (b, s, e) => {
    const code = parseTimestamp(b, s, e, isZoned, form)
    if (unit > 1) out.num = Math.floor(out.num / unit) * unit
    return code
  }
}

/** The parser of a type without structure; text and containers have none of their own and fail. */
export function makeTextParser(type: SqlType, form: TimestampForm): TextParser {
  switch (type.kind) {
    case 'BOOLEAN':
      return parseBoolean
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT': {
      const { kind } = type
      return (b, s, e) => parseInteger(b, s, e, kind)
    }
    case 'INTERVAL_YEAR_MONTH':
      return (b, s, e) => parseInteger(b, s, e, 'INT')
    case 'INTERVAL_DAY_TIME':
    case 'DOUBLE':
      return parseDouble
    case 'FLOAT':
      return (b, s, e) => {
        const code = parseDouble(b, s, e)
        out.num = Math.fround(out.num)
        return code
      }
    case 'BIGINT':
      return parseBigint
    case 'DECIMAL': {
      const { precision, scale } = type
      if (laneOf(type) === 'i64') return (b, s, e) => parseDecimal(b, s, e, precision, scale)
      return (b, s, e) => {
        const code = parseDecimal(b, s, e, precision, scale)
        out.value = out.big
        return code
      }
    }
    case 'DATE':
      return parseDate
    case 'TIME': {
      const unitMs = 10 ** (3 - Math.min(type.precision, 3))
      return (b, s, e) => {
        const code = parseTime(b, s, e)
        out.num -= out.num % unitMs
        return code
      }
    }
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return timestampParser(type.precision, type.kind === 'TIMESTAMP_LTZ', form)
    case 'BINARY':
    case 'VARBINARY':
      return parseBase64
    default:
      return (b, s, e) => typeFailure(b, s, e, type.kind)
  }
}
