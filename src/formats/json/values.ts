// Readers of JSON values by SQL type: the general path, which takes every form that Flink's json format takes.
//
// A reader is called at the first byte of a value that is not null, leaves the value in `out` and returns the position behind it,
// or a FAIL_… code. Numbers, booleans and times may come as text, as in Flink; a text column takes the JSON text of anything.
// Stricter than Flink, as data would be lost unseen: 1.5 is no INT, 'yes' is no BOOLEAN, a DECIMAL that does not fit is an error and not NULL.
//
// @source Flink 2.1 JsonToRowDataConverters (rules), JsonFormatOptions (options)
import { inHashOrder, isNumericKind, type Lane, laneOf, readUtf8, type SqlType } from '../../data/index.ts'
import { doubleOfToken, expectedText, makeTextParser, out, reserveSide, sideText, type TimestampForm, typeFailure } from '../text.ts'
import { RowReader } from './object.ts'
import {
  DEPTH_MAX,
  expectColon,
  FAIL_BYTE,
  FAIL_DEPTH,
  FAIL_END,
  FAIL_RANGE,
  FAIL_REQUIRED,
  FAIL_TYPE,
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

/** A scalar that may be a bare token (number, boolean) or text; blanks around text are cut. */
function scalar(type: SqlType, options: ReadOptions): ValueReader {
  const parse = makeTextParser(type, options.timestampForm)
  const isBareToken = type.kind === 'BOOLEAN' || isNumericKind(type.kind) || type.kind.startsWith('INTERVAL')
  return {
    lane: laneOf(type),
    read(b, p, end, depth) {
      const c = b[p]
      if (c !== 34) {
        const next = skipValue(b, p, end, depth)
        if (next < 0) return next
        if (!isBareToken || c === 123 || c === 91) return typeFailure(b, p, next, expectedText(type))
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

function doubleReader(type: SqlType): ValueReader {
  const text = scalar(type, { timestampForm: 'any', failOnMissingField: false, ignoreParseErrors: false })
  const isFloat = type.kind === 'FLOAT'
  return {
    lane: 'f64',
    read(b, p, end, depth) {
      const c = b[p]
      if (c !== 45 && (c - 48) >>> 0 > 9) return text.read(b, p, end, depth)
      const next = scanNumber(b, p, end)
      if (next < 0) return next
      const value = doubleOfToken(b, p, next)
      out.num = isFloat ? Math.fround(value) : value
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

/** With ignore-parse-errors a value of the wrong type is NULL, wherever it stands; broken JSON is not. */
export const isIgnorable = (code: number, { ignoreParseErrors }: ReadOptions): boolean =>
  ignoreParseErrors && (code === FAIL_TYPE || code === FAIL_RANGE || code === FAIL_REQUIRED)

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
            const start = p
            p = p >= end ? failAt(FAIL_END, end) : reader.read(b, p, end, depth + 1)
            const isIgnored = p < 0 && element.nullable && isIgnorable(p, options)
            if (isIgnored) p = skipValue(b, start, end, depth + 1)
            if (p < 0) {
              fail.path = `[${values.length}]${fail.path === '' || fail.path[0] === '[' ? '' : '.'}${fail.path}`
              return p
            }
            values.push(isIgnored ? null : outValue(reader.lane))
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
            const start = p
            p = p >= end ? failAt(FAIL_END, end) : valueReader.read(b, p, end, depth + 1)
            const isIgnored = p < 0 && value.nullable && isIgnorable(p, options)
            if (isIgnored) p = skipValue(b, start, end, depth + 1)
            if (p < 0) {
              fail.path = `${String(name)}${fail.path === '' || fail.path[0] === '[' ? '' : '.'}${fail.path}`
              return p
            }
            map.set(name, isIgnored ? null : outValue(valueReader.lane))
          }
          p = skipSpace(b, p, end)
          if (p >= end) return failAt(FAIL_END, end)
          const c = b[p++]
          if (c === 125) break
          if (c !== 44) return failAt(FAIL_BYTE, p - 1)
          p = skipSpace(b, p, end)
        }
      }
      out.value = inHashOrder(map)
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
  switch (type.kind) {
    case 'INTERVAL_DAY_TIME':
    case 'FLOAT':
    case 'DOUBLE':
      return doubleReader(type)
    case 'CHAR':
    case 'VARCHAR':
      return textReader
    case 'ARRAY':
      return arrayReader(type.element, options)
    case 'MAP':
      return mapReader(type.key, type.value, options)
    case 'MULTISET':
      return mapReader(type.element, { kind: 'INT', nullable: false }, options)
    case 'ROW':
      return new RowReader(type.fields, options)
    default:
      return scalar(type, options)
  }
}
