// Values as text and back: JSON for responses and frames, plain text for CSV cells, cursors and filters in a URL.
//
// Invariants
//   1. BIGINT and DECIMAL are written as exact numerals, never through a double; with `numbersAsText` as JSON strings.
//   2. parseValue(type, textOf(type)(v)) is v, for every type that can be ordered.
//   3. What JSON cannot say (NaN, infinities, times beyond what Date knows) is written as text, never as invalid JSON.
import { decimalText, type Field, type SqlType } from '../data/index.ts'

export interface EncodeOptions {
  /** BIGINT and DECIMAL as JSON strings, for readers whose numbers are doubles. */
  numbersAsText?: boolean
}
export type ValueEncoder = (value: unknown) => string

const DAY_MS = 86_400_000
const padded = (value: number, width: number): string => String(value).padStart(width, '0')

/** 'yyyy-MM-dd' and 'HH:mm:ss.SSS' of epoch ms; undefined beyond ±8.64e15 ms, where Date ends. */
function dateAndTime(epochMs: number): [date: string, time: string] | undefined {
  const date = new Date(epochMs)
  if (Number.isNaN(date.getTime())) return undefined
  const iso = date.toISOString()
  const cut = iso.indexOf('T')
  const day = iso.slice(0, cut)
  return [iso.charCodeAt(0) === 43 /* + */ ? day.slice(1).replace(/^0+(?=\d{5})/, '') : day, iso.slice(cut + 1, -1)]
}

function timestampText(value: unknown, precision: number): string {
  const isNanos = typeof value === 'bigint'
  const nanosOfMs = isNanos ? Number(((value % 1_000_000n) + 1_000_000n) % 1_000_000n) : 0
  const epochMs = isNanos ? Number((value - BigInt(nanosOfMs)) / 1_000_000n) : (value as number)
  const parts = dateAndTime(epochMs)
  if (!parts) return String(value)
  const seconds = parts[1].slice(0, 8)
  if (precision === 0) return `${parts[0]} ${seconds}`
  return `${parts[0]} ${seconds}.${(parts[1].slice(9) + padded(nanosOfMs, 6)).slice(0, precision)}`
}

function timeText(ms: number, precision: number): string {
  const clock = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, Math.floor(ms / 1000) % 60]
    .map((part) => padded(part, 2))
    .join(':')
  return precision === 0
    ? clock
    : `${clock}.${padded(ms % 1000, 3)
        .padEnd(precision, '0')
        .slice(0, precision)}`
}

function floatText(value: number): string {
  if (Number.isInteger(value) || !Number.isFinite(value)) return doubleText(value)
  // The shortest decimal that is the same 32-bit float: the double's own digits would show its rounding error.
  for (let digits = 6; digits <= 9; digits++) {
    const shorter = Number(value.toPrecision(digits))
    if (Math.fround(shorter) === value) return String(shorter)
  }
  return String(value)
}
const doubleText = (value: number): string => (Object.is(value, -0) ? '-0' : String(value))

/** Plain text of a value that is not NULL; nested values as JSON. */
export function textOf(type: SqlType): ValueEncoder {
  switch (type.kind) {
    case 'CHAR':
    case 'VARCHAR':
      return (value) => value as string
    case 'DECIMAL':
      return (value) => decimalText(value as bigint, type.scale)
    case 'FLOAT':
      return (value) => floatText(value as number)
    case 'DOUBLE':
      return (value) => doubleText(value as number)
    case 'BINARY':
    case 'VARBINARY':
      return (value) => Buffer.from(value as Uint8Array).toString('base64')
    case 'DATE':
      return (value) => dateAndTime((value as number) * DAY_MS)?.[0] ?? String(value)
    case 'TIME':
      return (value) => timeText(value as number, type.precision)
    case 'TIMESTAMP':
      return (value) => timestampText(value, type.precision)
    case 'TIMESTAMP_LTZ':
      return (value) => `${timestampText(value, type.precision)}Z`
    case 'ARRAY':
    case 'MAP':
    case 'MULTISET':
    case 'ROW':
      return jsonOf(type)
    default:
      return String
  }
}

/** Remembers the last value's text: the rows of a window that closes have its times in common. */
function remembered(encode: ValueEncoder): ValueEncoder {
  let lastValue: unknown
  let lastText = ''
  return (value) => {
    if (value !== lastValue) {
      lastText = encode(value)
      lastValue = value
    }
    return lastText
  }
}

/** JSON of a value of this type, `null` for NULL. */
export function jsonOf(type: SqlType, options: EncodeOptions = {}): ValueEncoder {
  const encode = jsonOfValue(type, options)
  return (value) => (value === null || value === undefined ? 'null' : encode(value))
}

function jsonOfValue(type: SqlType, options: EncodeOptions): ValueEncoder {
  const text = (): ValueEncoder => {
    const plain = textOf(type)
    return (value) => `"${plain(value)}"`
  }
  switch (type.kind) {
    case 'CHAR':
    case 'VARCHAR':
      return (value) => JSON.stringify(value as string)
    case 'BIGINT':
    case 'DECIMAL':
      return options.numbersAsText ? text() : textOf(type)
    case 'FLOAT':
    case 'DOUBLE': {
      const plain = textOf(type)
      return (value) => (Number.isFinite(value as number) ? plain(value) : `"${plain(value)}"`)
    }
    case 'BINARY':
    case 'VARBINARY':
    case 'DATE':
    case 'TIME':
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return remembered(text())
    case 'ARRAY': {
      const element = jsonOf(type.element, options)
      return (value) => `[${(value as unknown[]).map(element).join(',')}]`
    }
    case 'MAP':
    case 'MULTISET': {
      const key = textOf(type.kind === 'MAP' ? type.key : type.element)
      const member = type.kind === 'MAP' ? jsonOf(type.value, options) : String
      return (value) => {
        const parts: string[] = []
        for (const [k, v] of value as Map<unknown, unknown>) parts.push(`${JSON.stringify(k === null ? 'null' : key(k))}:${member(v)}`)
        return `{${parts.join(',')}}`
      }
    }
    case 'ROW': {
      const members = type.fields.map((field) => ({ label: `${JSON.stringify(field.name)}:`, encode: jsonOf(field.type, options) }))
      return (value) => `{${members.map((member, i) => member.label + member.encode((value as unknown[])[i])).join(',')}}`
    }
    default:
      return String
  }
}

/** A row as a JSON array in column order. */
export function rowJson(fields: readonly Field[], options: EncodeOptions = {}): (row: readonly unknown[]) => string {
  const encoders = fields.map((field) => jsonOf(field.type, options))
  return (row) => {
    let text = '['
    for (let i = 0; i < encoders.length; i++) text += i === 0 ? encoders[0](row[0]) : `,${encoders[i](row[i])}`
    return `${text}]`
  }
}

const INTEGER_BITS: Partial<Record<SqlType['kind'], bigint>> = { TINYINT: 8n, SMALLINT: 16n, INT: 32n, BIGINT: 64n }

/** What `parseValue` accepts, for the hint of an error. */
export function expectedText(type: SqlType): string {
  switch (type.kind) {
    case 'BOOLEAN':
      return 'true or false'
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
    case 'BIGINT':
      return `a whole number of ${INTEGER_BITS[type.kind]} bits`
    case 'DECIMAL':
      return `a number with at most ${type.scale} digits after the point`
    case 'DATE':
      return 'a date as 2026-01-31'
    case 'TIME':
      return 'a time as 23:59:59'
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return 'a timestamp as 2026-01-31 23:59:59.000'
    case 'BINARY':
    case 'VARBINARY':
      return 'base64'
    default:
      return 'a number'
  }
}

/** The value that a text in a URL means; undefined if it means none of this type. */
export function parseValue(type: SqlType, text: string): unknown {
  switch (type.kind) {
    case 'CHAR':
    case 'VARCHAR':
      return text
    case 'BOOLEAN':
      return text === 'true' ? true : text === 'false' ? false : undefined
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
    case 'BIGINT': {
      if (!/^[+-]?\d{1,20}$/.test(text)) return undefined
      const value = text.startsWith('+') ? BigInt(text.slice(1)) : BigInt(text)
      if (BigInt.asIntN(Number(INTEGER_BITS[type.kind]), value) !== value) return undefined
      return type.kind === 'BIGINT' ? value : Number(value)
    }
    case 'DECIMAL': {
      const match = /^([+-]?)(\d{0,40})(?:\.(\d{0,40}))?$/.exec(text)
      if (!match || (match[2] === '' && !match[3])) return undefined
      const fraction = (match[3] ?? '').replace(/0+$/, '')
      if (fraction.length > type.scale) return undefined
      const unscaled = BigInt(match[2] + fraction.padEnd(type.scale, '0'))
      return match[1] === '-' ? -unscaled : unscaled
    }
    case 'FLOAT':
    case 'DOUBLE': {
      if (text !== 'NaN' && !/^-?Infinity$/.test(text) && !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$/.test(text)) return undefined
      return type.kind === 'FLOAT' ? Math.fround(Number(text)) : Number(text)
    }
    case 'INTERVAL_YEAR_MONTH':
    case 'INTERVAL_DAY_TIME':
      return /^-?\d{1,15}$/.test(text) ? Number(text) : undefined
    case 'BINARY':
    case 'VARBINARY':
      return /^[A-Za-z0-9+/]*={0,2}$/.test(text) ? new Uint8Array(Buffer.from(text, 'base64')) : undefined
    case 'DATE': {
      const epochMs = parseDay(text)
      return epochMs === undefined ? undefined : epochMs / DAY_MS
    }
    case 'TIME': {
      const nanos = parseClock(text)
      return nanos === undefined ? undefined : Number(nanos / 1_000_000n)
    }
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ': {
      const cut = text.search(/[ T]/)
      const dayMs = parseDay(cut < 0 ? text : text.slice(0, cut))
      const clock = parseClock(cut < 0 ? '00:00:00' : text.slice(cut + 1).replace(/Z$/, ''))
      if (dayMs === undefined || clock === undefined) return undefined
      if (type.precision > 3) return BigInt(dayMs) * 1_000_000n + clock
      return dayMs + Number(clock / 1_000_000n)
    }
    default:
      return undefined
  }
}

function parseDay(text: string): number | undefined {
  const match = /^(-\d{6}|\d{4,6})-(\d\d)-(\d\d)$/.exec(text)
  if (!match) return undefined
  const [year, month, day] = match.slice(1).map(Number)
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  // 2026-02-30 would roll over into March.
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() : undefined
}

/** ns of the day */
function parseClock(text: string): bigint | undefined {
  const match = /^([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,9}))?)?$/.exec(text)
  if (!match) return undefined
  const [, hours, minutes, seconds = '0', fraction = ''] = match
  return BigInt(Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'))
}
