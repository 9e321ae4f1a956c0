// CAST and TRY_CAST: one conversion for each pair of types that `canCast` allows.
//
// Invariant: a conversion gives `undefined` where a value cannot be converted (CAST fails, TRY_CAST gives NULL) and `null` where the
// result is NULL in either case (a DECIMAL with too many digits).
//
// @source Flink 2.1: golden cases calc/cast_*
import type { SqlType } from '../../data/index.ts'
import { decimalText, formatType, inHashOrder, isApproximateKind, isIntegerKind, isTextKind } from '../../data/index.ts'
import { sameType } from '../../sql/index.ts'
import { DAY_MS, dateText, floorMod, floorNsToMs, timestampText, timestampTextNs, timeText, zoneOf } from './calendar.ts'
import type { DecimalType } from './decimal.ts'
import { decimalOfDouble, doubleOfDecimal, fitDecimal, parseDecimal } from './decimal.ts'
import { expressionErrors, shown } from './errors.ts'
import { doubleText, floatText, parseDouble, parseInteger, saturatedInt, saturatedLong } from './numbers.ts'
import { codePointCount, cutCodePoints } from './text.ts'
import { parseDate, parseTime, parseTimestampNs } from './timestamps.ts'

// biome-ignore lint/suspicious/noExplicitAny: values are as the types say
type Convert = (value: any) => unknown
// biome-ignore lint/suspicious/noExplicitAny: values are as the types say
type ToText = (value: any) => string
type LengthType = Extract<SqlType, { length: number }>

export interface Cast {
  /** Where the conversion is a piece of code that cannot fail; `fn` does the same. */
  inline?: (code: string) => string
  fn: Convert
  /** The function may give null. */
  mayBeNull: boolean
}

/** The conversion between two types; `timeZone` is that of the session. */
export function castOf(from: SqlType, to: SqlType, safe: boolean, timeZone: string): Cast {
  const inline = inlineCast(from, to)
  const convert = conversion(from, to, timeZone)
  if (inline !== undefined) return { inline, fn: convert, mayBeNull: false }
  const fn: Convert = (value) => {
    const result = convert(value)
    if (result !== undefined) return result
    if (safe) return null
    throw expressionErrors('EXPRESSION_CAST_FAILED', { value: shownValue(value), to: formatType({ ...to, nullable: true }) })
  }
  return { fn, mayBeNull: safe || to.kind === 'DECIMAL' }
}

const shownValue = (value: unknown): string => shown(value instanceof Uint8Array ? `0x${Buffer.from(value).toString('hex')}` : value)

const INTEGER_BITS: Record<string, number> = { TINYINT: 8, SMALLINT: 16, INT: 32, BIGINT: 64 }

/** Conversions that are one expression: between numbers, mostly. */
function inlineCast(from: SqlType, to: SqlType): ((code: string) => string) | undefined {
  if (sameType(from, to)) return (code) => code
  const widening = INTEGER_BITS[from.kind] <= INTEGER_BITS[to.kind]
  if (isIntegerKind(from.kind)) {
    if (to.kind === 'BIGINT') return (code) => `BigInt(${code})`
    if (isIntegerKind(to.kind)) {
      if (from.kind === 'BIGINT') return (code) => `Number(BigInt.asIntN(${INTEGER_BITS[to.kind]}, ${code}))`
      const shift = 32 - INTEGER_BITS[to.kind]
      return widening ? (code) => code : (code) => `(${code} << ${shift} >> ${shift})`
    }
    if (to.kind === 'DOUBLE') return from.kind === 'BIGINT' ? (code) => `Number(${code})` : (code) => code
    if (to.kind === 'FLOAT') return from.kind === 'BIGINT' ? (code) => `Math.fround(Number(${code}))` : (code) => `Math.fround(${code})`
    if (to.kind === 'BOOLEAN') return from.kind === 'BIGINT' ? (code) => `(${code} !== 0n)` : (code) => `(${code} !== 0)`
    if (to.kind === 'DECIMAL' && to.scale === 0 && INTEGER_DIGITS[from.kind] <= to.precision)
      return from.kind === 'BIGINT' ? (code) => code : (code) => `BigInt(${code})`
  }
  if (isApproximateKind(from.kind)) {
    if (to.kind === 'DOUBLE') return (code) => code
    if (to.kind === 'FLOAT') return (code) => `Math.fround(${code})`
    if (to.kind === 'BOOLEAN') return (code) => `(${code} !== 0)`
  }
  // Text that surely fits stays as it is.
  if (isTextKind(from.kind) && to.kind === 'VARCHAR' && (from as { length: number }).length <= to.length) return (code) => code
  return undefined
}
const INTEGER_DIGITS: Record<string, number> = { TINYINT: 3, SMALLINT: 5, INT: 10, BIGINT: 19 }

function conversion(from: SqlType, to: SqlType, timeZone: string): Convert {
  if (sameType(from, to)) return (value) => value
  if (isTextKind(to.kind)) return toText(from, to as LengthType, timeZone)
  switch (to.kind) {
    case 'BOOLEAN':
      return toBoolean(from)
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
    case 'BIGINT':
      return toInteger(from, INTEGER_BITS[to.kind])
    case 'FLOAT': {
      const double = toDouble(from)
      return (value) => {
        const number = double(value)
        return number === undefined ? undefined : Math.fround(number)
      }
    }
    case 'DOUBLE':
      return toDouble(from)
    case 'DECIMAL':
      return toDecimal(from, to)
    case 'BINARY':
    case 'VARBINARY':
      return toBytes(from, to as LengthType)
    case 'DATE':
    case 'TIME':
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return toDatetime(from, to, timeZone)
    case 'INTERVAL_DAY_TIME':
    case 'INTERVAL_YEAR_MONTH':
      return isTextKind(from.kind) ? (text: string) => parseInteger(text, 64) : (value) => Number(value)
    default:
      return toConstructed(from, to, timeZone)
  }
}

const TRUE_TEXTS = new Set(['true', 't', 'yes', 'y', '1'])
const FALSE_TEXTS = new Set(['false', 'f', 'no', 'n', '0'])

function toBoolean(from: SqlType): Convert {
  if (!isTextKind(from.kind)) return (value: bigint | number) => Number(value) !== 0
  return (text: string) => {
    const lower = text.toLowerCase()
    return TRUE_TEXTS.has(lower) ? true : FALSE_TEXTS.has(lower) ? false : undefined
  }
}

function toInteger(from: SqlType, bits: number): Convert {
  const made = (value: bigint) => (bits === 64 ? BigInt.asIntN(64, value) : Number(BigInt.asIntN(bits, value)))
  if (isTextKind(from.kind)) {
    return (text: string) => {
      const value = parseInteger(text, bits)
      return value === undefined || bits === 64 ? value : Number(value)
    }
  }
  if (from.kind === 'BOOLEAN') return (value: boolean) => (bits === 64 ? (value ? 1n : 0n) : value ? 1 : 0)
  if (from.kind === 'DECIMAL') {
    const unit = 10n ** BigInt(from.scale)
    // Low bits are kept, as of a 64-bit integer.
    return (value: bigint) => made(BigInt.asIntN(64, value / unit))
  }
  if (isApproximateKind(from.kind)) {
    if (bits === 64) return (value: number) => saturatedLong(value)
    const shift = 32 - bits
    return (value: number) => (saturatedInt(value) << shift) >> shift
  }
  return (value: number | bigint) => made(BigInt(value))
}

function toDouble(from: SqlType): (value: unknown) => number | undefined {
  const convert = (value: unknown): number | undefined => {
    if (typeof value === 'string') return parseDouble(value)
    if (from.kind === 'DECIMAL') return doubleOfDecimal(value as bigint, from.scale)
    return Number(value)
  }
  return convert
}

function toDecimal(from: SqlType, to: DecimalType): Convert {
  if (isTextKind(from.kind)) {
    return (text: string) => {
      const parsed = parseDecimal(text)
      // Too many digits are an error of the text; only of a number they make NULL.
      return parsed === undefined ? undefined : (fitDecimal(parsed.scale, to)(parsed.value) ?? undefined)
    }
  }
  if (isApproximateKind(from.kind)) {
    const asDouble = from.kind === 'FLOAT' ? (value: number) => Number(floatText(value)) : (value: number) => value
    return (value: number) => (Number.isFinite(value) ? decimalOfDouble(asDouble(value), to) : undefined)
  }
  const fit = fitDecimal(from.kind === 'DECIMAL' ? from.scale : 0, to)
  return (value: bigint | number | boolean) => fit(typeof value === 'bigint' ? value : BigInt(value))
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

function toBytes(from: SqlType, to: LengthType): Convert {
  // Bytes of a type that may be longer are brought to exactly the length, as Flink does; of one that may not, and of text, only BINARY.
  const isPadded = to.kind === 'BINARY' || (!isTextKind(from.kind) && (from as LengthType).length > to.length)
  return (value: Uint8Array | string) => {
    const bytes = typeof value === 'string' ? encoder.encode(value) : value
    if (bytes.length > to.length) return bytes.slice(0, to.length)
    if (!isPadded || bytes.length === to.length) return bytes
    const padded = new Uint8Array(to.length)
    padded.set(bytes)
    return padded
  }
}

// ---------------------------------------------------------------- to text

function toText(from: SqlType, to: LengthType, timeZone: string): Convert {
  const text = textOf(from, timeZone)
  if (to.kind === 'VARCHAR') {
    if (to.length >= LENGTH_UNCHECKED_MIN) return text
    return (value) => cutCodePoints(text(value), to.length)
  }
  return (value) => {
    const cut = cutCodePoints(text(value), to.length)
    return cut.padEnd(cut.length + to.length - codePointCount(cut), ' ')
  }
}
/** No text in memory reaches this length. */
const LENGTH_UNCHECKED_MIN = 1_000_000_000

/** A value's text, as CAST(x AS STRING) gives it. */
export function textOf(type: SqlType, timeZone: string): ToText {
  switch (type.kind) {
    case 'CHAR':
    case 'VARCHAR':
      return (value) => value
    case 'BOOLEAN':
      return (value: boolean) => (value ? 'TRUE' : 'FALSE')
    case 'FLOAT':
      return floatText
    case 'DOUBLE':
      return doubleText
    case 'DECIMAL':
      return (value: bigint) => decimalText(value, type.scale)
    case 'BINARY':
    case 'VARBINARY':
      return (value: Uint8Array) => decoder.decode(value)
    case 'DATE':
      return dateText
    case 'TIME':
      // Flink's planner knows only TIME(0): its text has no fraction.
      return (value: number) => timeText(value - (value % 1000), 0)
    case 'TIMESTAMP':
      return type.precision <= 3
        ? (value: number) => timestampText(value, type.precision)
        : (value: bigint) => timestampTextNs(value, type.precision)
    case 'TIMESTAMP_LTZ': {
      const zone = zoneOf(timeZone)
      if (type.precision <= 3) return (value: number) => timestampText(value + zone.offsetMs(value), type.precision)
      return (value: bigint) => timestampTextNs(value + BigInt(zone.offsetMs(floorNsToMs(value))) * NS_PER_MS, type.precision)
    }
    case 'INTERVAL_YEAR_MONTH':
      return (value: number) =>
        `${value < 0 ? '-' : '+'}${Math.floor(Math.abs(value) / 12)}-${String(Math.abs(value) % 12).padStart(2, '0')}`
    case 'INTERVAL_DAY_TIME':
      return (value: number) => {
        const size = Math.abs(value)
        return `${value < 0 ? '-' : '+'}${Math.floor(size / DAY_MS)} ${timeText(size % DAY_MS, 3)}`
      }
    case 'ARRAY': {
      const element = textOrNull(type.element, timeZone)
      return (value: unknown[]) => `[${value.map(element).join(', ')}]`
    }
    case 'MAP': {
      const [key, item] = [textOrNull(type.key, timeZone), textOrNull(type.value, timeZone)]
      return (value: Map<unknown, unknown>) => `{${[...value].map(([k, v]) => `${key(k)}=${item(v)}`).join(', ')}}`
    }
    case 'MULTISET': {
      const element = textOrNull(type.element, timeZone)
      return (value: Map<unknown, number>) => `{${[...inHashOrder(value)].map(([k, count]) => `${element(k)}=${count}`).join(', ')}}`
    }
    case 'ROW': {
      const fields = type.fields.map((field) => textOrNull(field.type, timeZone))
      return (value: unknown[]) => `(${value.map((one, index) => fields[index](one)).join(', ')})`
    }
    default:
      return (value: unknown) => String(value)
  }
}
const textOrNull = (type: SqlType, timeZone: string): ((value: unknown) => string) => {
  const text = textOf(type, timeZone)
  return (value) => (value === null ? 'NULL' : text(value))
}

// ---------------------------------------------------------------- dates and times

const NS_PER_MS = 1_000_000n
const precisionOf = (type: SqlType): number => (type as { precision?: number }).precision ?? 0

/** Cuts to a precision: whole milliseconds and less toward 1970, as Flink does; finer digits toward the past. */
function timestampAt(precision: number): (epochNs: bigint) => number | bigint {
  if (precision > 3) {
    const unit = 10n ** BigInt(9 - precision)
    return (epochNs) => epochNs - (((epochNs % unit) + unit) % unit)
  }
  const unit = 10 ** (3 - precision)
  return (epochNs) => Math.trunc(floorNsToMs(epochNs) / unit) * unit + 0
}

function toDatetime(from: SqlType, to: SqlType, timeZone: string): Convert {
  const zone = zoneOf(timeZone)
  const toUtcNs = (localNs: bigint) => {
    const localMs = floorNsToMs(localNs)
    return localNs + BigInt(zone.toUtc(localMs) - localMs) * NS_PER_MS
  }
  if (isTextKind(from.kind)) {
    if (to.kind === 'DATE') return parseDate
    if (to.kind === 'TIME') return parseTime
    const at = timestampAt(precisionOf(to))
    return (text: string) => {
      const localNs = parseTimestampNs(text)
      return localNs === undefined ? undefined : at(to.kind === 'TIMESTAMP_LTZ' ? toUtcNs(localNs) : localNs)
    }
  }
  if (from.kind === 'TIME' && to.kind === 'TIME') return (value) => value
  const local = localNsOf(from, to.kind === 'TIMESTAMP_LTZ' ? 'UTC' : timeZone)
  switch (to.kind) {
    case 'DATE':
      if (from.kind === 'TIMESTAMP_LTZ') return (value) => Math.floor(floorNsToMs(local(value)) / DAY_MS)
      return (value) => Math.trunc(floorNsToMs(local(value)) / DAY_MS) + 0
    case 'TIME':
      return (value) => floorMod(floorNsToMs(local(value)), DAY_MS)
    default: {
      const at = timestampAt(precisionOf(to))
      if (to.kind === 'TIMESTAMP_LTZ' && from.kind !== 'TIMESTAMP_LTZ') return (value) => at(toUtcNs(local(value)))
      // Milliseconds to milliseconds needs no bigint.
      if (from.kind === to.kind && precisionOf(from) <= 3 && precisionOf(to) <= 3) {
        const unit = 10 ** (3 - precisionOf(to))
        return (value: number) => Math.trunc(value / unit) * unit + 0
      }
      return (value) => at(local(value))
    }
  }
}

/** A date or time as local nanoseconds. */
// biome-ignore lint/suspicious/noExplicitAny: values are as the types say
function localNsOf(from: SqlType, timeZone: string): (value: any) => bigint {
  switch (from.kind) {
    case 'DATE':
      return (days: number) => BigInt(days) * BigInt(DAY_MS) * NS_PER_MS
    case 'TIMESTAMP_LTZ': {
      const zone = zoneOf(timeZone)
      const local = (epochNs: bigint) => epochNs + BigInt(zone.offsetMs(floorNsToMs(epochNs))) * NS_PER_MS
      return from.precision <= 3 ? (epochMs: number) => local(BigInt(epochMs) * NS_PER_MS) : local
    }
    case 'TIMESTAMP':
      return from.precision <= 3 ? (epochMs: number) => BigInt(epochMs) * NS_PER_MS : (epochNs: bigint) => epochNs
    default:
      return (epochMs: number) => BigInt(epochMs) * NS_PER_MS
  }
}

// ---------------------------------------------------------------- collections

function toConstructed(from: SqlType, to: SqlType, timeZone: string): Convert {
  const inner = (source: SqlType, target: SqlType): Convert => {
    const convert = conversion(source, target, timeZone)
    return (value) => (value === null ? null : convert(value))
  }
  if (from.kind === 'ARRAY' && to.kind === 'ARRAY') {
    const element = inner(from.element, to.element)
    return (value: unknown[]) => allDefined(value.map(element))
  }
  if (from.kind === 'ROW' && to.kind === 'ROW') {
    const fields = from.fields.map((field, index) => inner(field.type, to.fields[index].type))
    return (value: unknown[]) => allDefined(value.map((one, index) => fields[index](one)))
  }
  if (from.kind === 'MULTISET' && to.kind === 'MULTISET') {
    const element = inner(from.element, to.element)
    return (value: Map<unknown, number>) => new Map([...value].map(([key, count]) => [element(key), count]))
  }
  if (from.kind === 'MAP' && to.kind === 'MAP') {
    const [key, item] = [inner(from.key, to.key), inner(from.value, to.value)]
    return (value: Map<unknown, unknown>) => new Map([...value].map(([k, v]) => [key(k), item(v)]))
  }
  return (value) => value
}
const allDefined = (values: unknown[]): unknown[] | undefined => (values.includes(undefined) ? undefined : values)
