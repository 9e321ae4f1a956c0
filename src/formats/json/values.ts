// Readers of JSON values by SQL type: the general path, which takes every form that Flink's json format takes.
//
// A reader is called at the first byte of a value that is not null, leaves the value in `out` and returns the position behind it,
// or a FAIL_… code. Numbers, booleans and times may come as text, as in Flink; a text column takes the JSON text of anything.
// Stricter than Flink, as data would be lost unseen: 1.5 is no INT, 'yes' is no BOOLEAN, a DECIMAL that does not fit is an error and not NULL.
//
// @source Flink 2.1 JsonToRowDataConverters (rules), JsonFormatOptions (options)
import { type Lane, laneOf, readUtf8, type SqlType } from '../../data/index.ts'
import {
  doubleOfToken,
  out,
  parseBigint,
  parseBoolean,
  parseDate,
  parseDecimal,
  parseDouble,
  parseInteger,
  parseTime,
  parseTimestamp,
  type TimestampForm,
  typeFailure,
} from '../text.ts'
import { RowReader } from './object.ts'
import {
  DEPTH_MAX,
  expectColon,
  FAIL_BYTE,
  FAIL_DEPTH,
  FAIL_END,
  FAIL_REQUIRED,
  fail,
  failAt,
  failValue,
  isNull,
  scanNumber,
  scanned,
  scanString,
  skipSpace,
  skipValue,
  unescapeInto,
} from './scan.ts'

export interface ReadOptions {
  timestampForm: TimestampForm
  failOnMissingField: boolean
  /** A field that cannot be read is NULL. */
  ignoreParseErrors: boolean
}

export interface ValueReader {
  lane: Lane
  /** `depth` counts the containers around the value. */
  read(b: Uint8Array, p: number, end: number, depth: number): number
}

/** Texts that are not in the source as they are: without their escapes, or compacted. Emptied by the decoder for each batch. */
export const sideText = { bytes: new Uint8Array(1024) as Uint8Array, length: 0 }

/** Room for `size` more bytes of side text. */
function reserveSide(size: number): void {
  const { bytes, length } = sideText
  if (length + size <= bytes.length) return
  sideText.bytes = new Uint8Array(Math.max(bytes.length * 2, length + size))
  sideText.bytes.set(bytes.subarray(0, length))
}

/** The value in `out` as `data/types.ts` defines it. */
export function outValue(lane: Lane): unknown {
  switch (lane) {
    case 'u8':
      return out.num === 1
    case 'i32':
    case 'f64':
      return out.num
    case 'i64':
      return out.big
    case 'utf8':
      return readUtf8(out.side ? sideText.bytes : textSource.bytes, out.start, out.end)
    case 'any':
      return out.value
  }
}
/** The buffer that `out.start` refers to where `out.side` is not set. */
const textSource = { bytes: new Uint8Array(0) as Uint8Array }

/** A parser of the bytes of a value's text. */
type Parse = (b: Uint8Array, s: number, e: number) => number

/** A scalar that may be a bare token (number, boolean) or text; blanks around text are cut. */
function scalar(lane: Lane, parse: Parse, isText: boolean, type: string): ValueReader {
  return {
    lane,
    read(b, p, end, depth) {
      const c = b[p]
      if (c !== 34) {
        const next = skipValue(b, p, end, depth)
        if (next < 0) return next
        if (isText || c === 123 || c === 91) return typeFailure(b, p, next, type)
        const code = parse(b, p, next)
        return code < 0 ? code : next
      }
      const close = scanString(b, p + 1, end)
      if (close < 0) return close
      let source: Uint8Array = b
      let s = p + 1
      let e = close
      if (scanned.escaped) {
        source = new Uint8Array(e - s)
        e = unescapeInto(b, s, e, source, 0)
        s = 0
      }
      while (s < e && source[s] <= 32) s++
      while (e > s && source[e - 1] <= 32) e--
      const code = parse(source, s, e)
      return code < 0 ? code : close + 1
    },
  }
}

const parseNumberToken = (b: Uint8Array, s: number, e: number): number => {
  out.num = doubleOfToken(b, s, e)
  return 0
}

function doubleReader(isFloat: boolean): ValueReader {
  const text = scalar('f64', parseDouble, false, 'a number')
  return {
    lane: 'f64',
    read(b, p, end, depth) {
      const c = b[p]
      let next: number
      if (c === 45 || (c - 48) >>> 0 < 10) {
        next = scanNumber(b, p, end)
        if (next >= 0) parseNumberToken(b, p, next)
      } else {
        next = text.read(b, p, end, depth)
      }
      if (isFloat) out.num = Math.fround(out.num)
      return next
    },
  }
}

const textReader: ValueReader = {
  lane: 'utf8',
  read(b, p, end, depth) {
    textSource.bytes = b
    out.side = false
    if (b[p] === 34) {
      const close = scanString(b, p + 1, end)
      if (close < 0) return close
      out.start = p + 1
      out.end = close
      if (scanned.escaped) {
        reserveSide(close - p)
        out.side = true
        out.start = sideText.length
        out.end = sideText.length = unescapeInto(b, p + 1, close, sideText.bytes, sideText.length)
      }
      return close + 1
    }
    const next = skipValue(b, p, end, depth)
    if (next < 0) return next
    out.start = p
    out.end = next
    if (b[p] === 123 || b[p] === 91) compact(b, p, next)
    return next
  },
}

/** The JSON text `b[s … e)`, well-formed, without blanks between its tokens. */
function compact(b: Uint8Array, s: number, e: number): void {
  reserveSide(e - s)
  const { bytes, length } = sideText
  let at = length
  let isInText = false
  for (let p = s; p < e; p++) {
    const c = b[p]
    if (isInText) {
      if (c === 92) bytes[at++] = b[p++]
      else if (c === 34) isInText = false
    } else if (c === 34) {
      isInText = true
    } else if (c <= 32) {
      continue
    }
    bytes[at++] = b[p]
  }
  if (at - length === e - s) return
  out.side = true
  out.start = length
  out.end = sideText.length = at
}

const base64 = /^[A-Za-z0-9+/]*={0,2}$/
const parseBase64: Parse = (b, s, e) => {
  const text = readUtf8(b, s, e)
  if (!base64.test(text) || text.replace(/=+$/, '').length % 4 === 1) return typeFailure(b, s, e, 'base64')
  out.value = new Uint8Array(Buffer.from(text, 'base64'))
  return 0
}

function timestampReader(precision: number, isZoned: boolean, form: TimestampForm): ValueReader {
  const type = isZoned ? 'a timestamp as text, with zone (of epoch numbers: declare BIGINT, use TO_TIMESTAMP_LTZ)' : 'a timestamp as text'
  const unit = precision > 3 ? 10 ** (9 - precision) : 10 ** (3 - precision)
  const parse: Parse =
    precision > 3
      ? (b, s, e) => {
          const code = parseTimestamp(b, s, e, isZoned, form)
          out.value = BigInt(out.num) * 1_000_000n + BigInt(out.nanos - (out.nanos % unit))
          return code
        }
      : (b, s, e) => {
          const code = parseTimestamp(b, s, e, isZoned, form)
          if (unit > 1) out.num = Math.floor(out.num / unit) * unit
          return code
        }
  return scalar(precision > 3 ? 'any' : 'f64', parse, true, type)
}

function arrayReader(element: SqlType, options: ReadOptions): ValueReader {
  const reader = makeReader(element, options)
  return {
    lane: 'any',
    read(b, p, end, depth) {
      if (b[p] !== 91) return notContainer(b, p, end, depth, 'an array')
      if (depth >= DEPTH_MAX) return failAt(FAIL_DEPTH, p)
      const values: unknown[] = []
      p = skipSpace(b, p + 1, end)
      if (p < end && b[p] === 93) p++
      else {
        for (;;) {
          if (isNull(b, p, end)) {
            if (!element.nullable) {
              fail.path = `[${values.length}]`
              return failValue(FAIL_REQUIRED, 'null in an array whose elements are NOT NULL')
            }
            values.push(null)
            p += 4
          } else {
            p = p >= end ? failAt(FAIL_END, end) : reader.read(b, p, end, depth + 1)
            if (p < 0) {
              fail.path = `[${values.length}]${fail.path === '' || fail.path[0] === '[' ? '' : '.'}${fail.path}`
              return p
            }
            values.push(outValue(reader.lane))
          }
          p = skipSpace(b, p, end)
          if (p >= end) return failAt(FAIL_END, end)
          const c = b[p++]
          if (c === 93) break
          if (c !== 44) return failAt(FAIL_BYTE, p - 1)
          p = skipSpace(b, p, end)
        }
      }
      out.value = values
      return p
    },
  }
}

function mapReader(key: SqlType, value: SqlType, options: ReadOptions): ValueReader {
  const keyReader = makeReader(key, options)
  const valueReader = makeReader(value, options)
  return {
    lane: 'any',
    read(b, p, end, depth) {
      if (b[p] !== 123) return notContainer(b, p, end, depth, 'an object')
      if (depth >= DEPTH_MAX) return failAt(FAIL_DEPTH, p)
      const map = new Map<unknown, unknown>()
      p = skipSpace(b, p + 1, end)
      if (p < end && b[p] === 125) p++
      else {
        for (;;) {
          if (p >= end) return failAt(FAIL_END, end)
          if (b[p] !== 34) return failAt(FAIL_BYTE, p)
          p = keyReader.read(b, p, end, depth + 1)
          if (p < 0) return p
          const name = outValue(keyReader.lane)
          p = expectColon(b, p, end)
          if (p < 0) return p
          if (isNull(b, p, end)) {
            if (!value.nullable) return failValue(FAIL_REQUIRED, 'null in a map whose values are NOT NULL')
            map.set(name, null)
            p += 4
          } else {
            p = p >= end ? failAt(FAIL_END, end) : valueReader.read(b, p, end, depth + 1)
            if (p < 0) {
              fail.path = `${String(name)}${fail.path === '' || fail.path[0] === '[' ? '' : '.'}${fail.path}`
              return p
            }
            map.set(name, outValue(valueReader.lane))
          }
          p = skipSpace(b, p, end)
          if (p >= end) return failAt(FAIL_END, end)
          const c = b[p++]
          if (c === 125) break
          if (c !== 44) return failAt(FAIL_BYTE, p - 1)
          p = skipSpace(b, p, end)
        }
      }
      out.value = map
      return p
    },
  }
}

/** A value of the wrong type; malformed JSON is reported as such. */
export function notContainer(b: Uint8Array, p: number, end: number, depth: number, type: string): number {
  const next = skipValue(b, p, end, depth)
  return next < 0 ? next : typeFailure(b, p, next, type)
}

/** The reader for a type. */
export function makeReader(type: SqlType, options: ReadOptions): ValueReader {
  const lane = laneOf(type)
  switch (type.kind) {
    case 'BOOLEAN':
      return scalar(lane, parseBoolean, false, 'BOOLEAN')
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT': {
      const { kind } = type
      return scalar(lane, (b, s, e) => parseInteger(b, s, e, kind), false, kind)
    }
    case 'INTERVAL_YEAR_MONTH':
      return scalar(lane, (b, s, e) => parseInteger(b, s, e, 'INT'), false, 'a number of months')
    case 'INTERVAL_DAY_TIME':
    case 'FLOAT':
    case 'DOUBLE':
      return doubleReader(type.kind === 'FLOAT')
    case 'BIGINT':
      return scalar(lane, parseBigint, false, 'BIGINT')
    case 'DECIMAL': {
      const { precision, scale } = type
      if (lane === 'i64') return scalar(lane, (b, s, e) => parseDecimal(b, s, e, precision, scale), false, 'DECIMAL')
      const parse: Parse = (b, s, e) => {
        const code = parseDecimal(b, s, e, precision, scale)
        out.value = out.big
        return code
      }
      return scalar(lane, parse, false, 'DECIMAL')
    }
    case 'DATE':
      return scalar(lane, parseDate, true, 'a date as text')
    case 'TIME':
      return scalar(lane, parseTime, true, 'a time as text')
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return timestampReader(type.precision, type.kind === 'TIMESTAMP_LTZ', options.timestampForm)
    case 'CHAR':
    case 'VARCHAR':
      return textReader
    case 'BINARY':
    case 'VARBINARY':
      return scalar(lane, parseBase64, true, 'base64 text')
    case 'ARRAY':
      return arrayReader(type.element, options)
    case 'MAP':
      return mapReader(type.key, type.value, options)
    case 'MULTISET':
      return mapReader(type.element, { kind: 'INT', nullable: false }, options)
    case 'ROW':
      return new RowReader(type.fields, options)
    case 'NULL':
      return { lane, read: (b, p, end, depth) => notContainer(b, p, end, depth, 'NULL') }
  }
}
