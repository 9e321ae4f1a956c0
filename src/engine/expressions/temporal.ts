// Date and time functions.
//
// Before 1970 with a time of day, EXTRACT and FLOOR and CEIL to MONTH and more cut toward 1970, as Flink does: see the golden cases
// functions/quirk_*.
import type { SqlType } from '../../data/index.ts'
import {
  addMonths, civilOf, DAY_MS, dayOfYearOf, daysOf, floorMod, floorNsToMs, HOUR_MS, MINUTE_MS, SECOND_MS, weekdayOf, zoneOf,
} from './calendar.ts' // biome-ignore format: one list
import { dateFormatter, dateParser } from './dateFormat.ts'
import { expressionErrors, shown } from './errors.ts'
import { wholeNumber } from './math.ts'
import type { CallContext, FunctionTable, RowFunction } from './registry.ts'
import { called, madeFrom, maybe, plainMaybe, strict } from './registry.ts'
import { parseDate, parseTimestampNs, parseTimestampRollingNs } from './timestamps.ts'

const NS_PER_MS = 1_000_000n
const WEEK_MS = 7 * DAY_MS
/** True for timestamps that are bigint ns. */
const isNs = (type: SqlType): boolean => (type.kind === 'TIMESTAMP' || type.kind === 'TIMESTAMP_LTZ') && type.precision > 3

const localMsAt = (nowMs: number, timeZone: string): number => nowMs + zoneOf(timeZone).offsetMs(nowMs)
export const localTimestampMs = localMsAt
export const currentDateDays = (nowMs: number, timeZone: string): number => Math.floor(localMsAt(nowMs, timeZone) / DAY_MS)
export const currentTimeMs = (nowMs: number, timeZone: string): number => {
  // CURRENT_TIME has no fraction.
  const timeMs = floorMod(localMsAt(nowMs, timeZone), DAY_MS)
  return timeMs - (timeMs % SECOND_MS)
}

const unknownUnit = (fn: string, unit: unknown) =>
  expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn, reason: `the unit ${shown(unit)} cannot be used here` })

/** Local ms of a value of a date or time type; ns within the ms beside it. */
// biome-ignore lint/suspicious/noExplicitAny: values are as the type says
function localReader(type: SqlType, timeZone: string): (value: any) => { ms: number; ns: number } {
  if (type.kind === 'DATE') return (days: number) => ({ ms: days * DAY_MS, ns: 0 })
  const zone = type.kind === 'TIMESTAMP_LTZ' ? zoneOf(timeZone) : zoneOf('UTC')
  if (!isNs(type)) return (ms: number) => ({ ms: ms + zone.offsetMs(ms), ns: 0 })
  return (value: bigint) => {
    const ms = floorNsToMs(value)
    return { ms: ms + zone.offsetMs(ms), ns: Number(value - BigInt(ms) * NS_PER_MS) }
  }
}

// ---------------------------------------------------------------- EXTRACT

/** Week of ISO 8601: the first one has the year's first Thursday. */
function isoWeekOf(days: number): { year: number; week: number } {
  const weekday = (weekdayOf(days) + 6) % 7
  const thursday = days - weekday + 3
  const { year } = civilOf(thursday)
  return { year, week: Math.floor((thursday - daysOf(year, 1, 1)) / 7) + 1 }
}
const century = (year: number, size: number): number =>
  year > 0 ? Math.floor((year + size - 1) / size) : -Math.floor((size - 1 - year) / size)

const dateUnits: Record<string, (days: number) => number> = {
  YEAR: (days) => civilOf(days).year,
  QUARTER: (days) => Math.ceil(civilOf(days).month / 3),
  MONTH: (days) => civilOf(days).month,
  WEEK: (days) => isoWeekOf(days).week,
  DAY: (days) => civilOf(days).day,
  DOY: dayOfYearOf,
  DOW: (days) => weekdayOf(days) + 1,
  ISODOW: (days) => ((weekdayOf(days) + 6) % 7) + 1,
  ISOYEAR: (days) => isoWeekOf(days).year,
  DECADE: (days) => Math.floor(civilOf(days).year / 10),
  CENTURY: (days) => century(civilOf(days).year, 100),
  MILLENNIUM: (days) => century(civilOf(days).year, 1000),
}
const timeUnits: Record<string, (ms: number, ns: number) => number> = {
  HOUR: (ms) => Math.trunc((ms % DAY_MS) / HOUR_MS),
  MINUTE: (ms) => Math.trunc((ms % HOUR_MS) / MINUTE_MS),
  SECOND: (ms) => Math.trunc((ms % MINUTE_MS) / SECOND_MS),
  MILLISECOND: (ms) => ms % SECOND_MS,
  MICROSECOND: (ms, ns) => (ms % SECOND_MS) * 1000 + Math.floor(ns / 1000),
  NANOSECOND: (ms, ns) => (ms % SECOND_MS) * 1_000_000 + ns,
  EPOCH: (ms) => Math.trunc(ms / SECOND_MS),
}

/** Units of the time of day, in 32 bits, of local ms. As `timeUnits`, without the rest of a division, which is a call for doubles. */
export const timesOfDay: Record<string, (ms: number) => number> = {
  HOUR: (ms) => ((ms - Math.trunc(ms / DAY_MS) * DAY_MS) / HOUR_MS) | 0,
  MINUTE: (ms) => ((ms - Math.trunc(ms / HOUR_MS) * HOUR_MS) / MINUTE_MS) | 0,
  SECOND: (ms) => ((ms - Math.trunc(ms / MINUTE_MS) * MINUTE_MS) / SECOND_MS) | 0,
}

function extract({ options, argTypes: [type], timeZone }: CallContext): RowFunction {
  const unit = String(options.unit)
  if (type.kind === 'INTERVAL_YEAR_MONTH') {
    const units: Record<string, (months: number) => number> = {
      YEAR: (months) => Math.trunc(months / 12),
      // Of the months beside whole years, as those of a year are counted: the second quarter begins with four.
      QUARTER: (months) => Math.trunc(((months % 12) - 1) / 3) + 1,
      MONTH: (months) => months % 12,
    }
    const of = units[unit]
    if (of === undefined) throw unknownUnit('EXTRACT', unit)
    return (months: number) => BigInt(of(months))
  }
  if (type.kind === 'INTERVAL_DAY_TIME' && unit === 'DAY') return (ms: number) => BigInt(Math.trunc(ms / DAY_MS))
  const ofTime = timeUnits[unit]
  const ofDate = dateUnits[unit]
  // The instant itself, not the local time, is what EPOCH counts.
  const local = localReader(type, unit === 'EPOCH' ? 'UTC' : timeZone)
  if (ofTime !== undefined) {
    return (value) => {
      const { ms, ns } = local(value)
      return BigInt(ofTime(ms, ns))
    }
  }
  if (ofDate === undefined || type.kind === 'TIME' || type.kind === 'INTERVAL_DAY_TIME') throw unknownUnit('EXTRACT', unit)
  if (type.kind === 'DATE') return (days: number) => BigInt(ofDate(days))
  return (value) => BigInt(ofDate(Math.trunc(local(value).ms / DAY_MS)))
}

// ---------------------------------------------------------------- FLOOR and CEIL

const fixedUnits: Record<string, number> = { DAY: DAY_MS, HOUR: HOUR_MS, MINUTE: MINUTE_MS, SECOND: SECOND_MS, MILLISECOND: 1 }
/** Months in a unit, and the year from which they are counted. */
const monthUnits: Record<string, [months: number, firstYear: number]> = {
  MONTH: [1, 0],
  QUARTER: [3, 0],
  YEAR: [12, 0],
  DECADE: [120, 0],
  CENTURY: [1200, 1],
  MILLENNIUM: [12_000, 1],
}

function floorDays(days: number, unit: string, up: boolean): number {
  if (unit === 'WEEK') {
    const sunday = days - weekdayOf(days)
    return up && sunday < days ? sunday + 7 : sunday
  }
  const [months, firstYear] = monthUnits[unit]
  const { year, month } = civilOf(days)
  const index = (year - firstYear) * 12 + month - 1
  const start = Math.floor(index / months) * months + firstYear * 12
  const floored = daysOf(Math.floor(start / 12), floorMod(start, 12) + 1, 1)
  if (!up) return floored
  // As Flink: the first day of a quarter, but of the year's first, and of a decade and more is not its own ceiling.
  const isPushed = unit === 'QUARTER' ? month > 1 : months > 12
  return floored < days || isPushed ? addMonths(floored, months) : floored
}

function floorTo(up: boolean): (context: CallContext) => RowFunction {
  return ({ options, argTypes: [type], timeZone, fn }) => {
    const unit = options.unit as string | undefined
    if (unit === undefined) return wholeNumber(up, type)
    const size = fixedUnits[unit]
    if (size === undefined && unit !== 'WEEK' && monthUnits[unit] === undefined) throw unknownUnit(fn, unit)
    if (type.kind === 'DATE') return size !== undefined ? (days: number) => days : (days: number) => floorDays(days, unit, up)
    const cut = up ? Math.ceil : Math.floor
    const atLocal = (ms: number): number =>
      size === undefined ? floorDays(Math.trunc(ms / DAY_MS), unit, up) * DAY_MS : cut(ms / size) * size + 0
    if (type.kind === 'TIME') return (ms: number) => (size === undefined ? 0 : floorMod(atLocal(ms), DAY_MS))
    const zone = zoneOf(type.kind === 'TIMESTAMP_LTZ' ? timeZone : 'UTC')
    // An hour and less begin and end in one offset from UTC: of the hour that the clocks show twice, in the one that is meant.
    const isWithinOffset = size !== undefined && size <= HOUR_MS
    const at = (ms: number): number => {
      const offsetMs = zone.offsetMs(ms)
      const local = atLocal(ms + offsetMs)
      return isWithinOffset ? local - offsetMs : zone.toUtc(local)
    }
    if (!isNs(type)) return at
    return (value: bigint) => {
      const ms = floorNsToMs(value)
      // What is below the millisecond pushes no ceiling up, as in Flink.
      return BigInt(at(ms)) * NS_PER_MS
    }
  }
}

// ---------------------------------------------------------------- arithmetic

// biome-ignore lint/suspicious/noExplicitAny: values are as the type says
type Adder = (value: any, amount: number) => unknown

/** Adds months or ms to a value of the type. */
function adder(type: SqlType, timeZone: string, months: boolean): Adder {
  const zone = zoneOf(type.kind === 'TIMESTAMP_LTZ' ? timeZone : 'UTC')
  const moved = (ms: number, amount: number): number => {
    if (!months) return ms + amount
    const local = ms + zone.offsetMs(ms)
    const days = Math.floor(local / DAY_MS)
    return zone.toUtc(addMonths(days, amount) * DAY_MS + local - days * DAY_MS)
  }
  switch (type.kind) {
    case 'DATE':
      return months ? (days: number, amount) => addMonths(days, amount) : (days: number, amount) => days + Math.trunc(amount / DAY_MS)
    case 'TIME':
      return months ? (ms: number) => ms : (ms: number, amount) => floorMod(ms + amount, DAY_MS)
    default:
      if (!isNs(type)) return moved
      return (value: bigint, amount) => {
        const ms = floorNsToMs(value)
        return value + BigInt(moved(ms, amount) - ms) * NS_PER_MS
      }
  }
}

function intervalArithmetic(sign: 1 | -1): (context: CallContext) => RowFunction {
  return ({ argTypes: [type, interval], timeZone }) => {
    const add = adder(type, timeZone, interval.kind === 'INTERVAL_YEAR_MONTH')
    return (value, amount: number) => add(value, sign * amount)
  }
}

const addUnits: Record<string, number> = { SECOND: SECOND_MS, MINUTE: MINUTE_MS, HOUR: HOUR_MS, DAY: DAY_MS, WEEK: WEEK_MS, MILLISECOND: 1 }
/** Beyond 270,000 years a time is no exact number of milliseconds any more. */
const ADDED_MONTHS_MAX = 270_000 * 12
const ADDED_MS_MAX = 270_000 * 365 * DAY_MS
function timestampAdd({ options, argTypes: [, type], timeZone }: CallContext): RowFunction {
  const unit = String(options.unit).replace('SQL_TSI_', '')
  const months = monthUnits[unit]?.[0]
  const size = months ?? addUnits[unit]
  if (size === undefined) throw unknownUnit('TIMESTAMPADD', unit)
  const add = adder(type, timeZone, months !== undefined)
  const max = months === undefined ? ADDED_MS_MAX : ADDED_MONTHS_MAX
  return (count: bigint, value) => {
    const amount = Number(count) * size
    if (Math.abs(amount) > max)
      throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn: 'TIMESTAMPADD', reason: `${count} ${unit} is more than 270000 years` })
    return add(value, amount)
  }
}

/** Whole months between two days, negative if `from` is later; the last of a month counts as any later day. */
function monthsBetween(from: number, to: number): number {
  if (to < from) return -monthsBetween(to, from)
  let months = Math.trunc((to - from) / 31)
  for (;;) {
    if (addMonths(from, months) >= to) return months
    if (addMonths(from, months + 1) > to) return months
    months++
  }
}

const fractionUnits: Record<string, bigint> = { MILLISECOND: 1000n, MICROSECOND: 1_000_000n, NANOSECOND: 1_000_000_000n }

function timestampDiff({ options, argTypes, timeZone }: CallContext): RowFunction {
  const unit = String(options.unit).replace('SQL_TSI_', '')
  const months = monthUnits[unit]?.[0]
  const size = addUnits[unit]
  // Between points in time the clocks may have changed: only whole months are counted by what they show.
  const zone = months === undefined && argTypes.every(({ kind }) => kind === 'TIMESTAMP_LTZ') ? 'UTC' : timeZone
  const [from, to] = argTypes.map((type) => localReader(type, zone))
  if (months === undefined) {
    // biome-ignore lint/suspicious/noExplicitAny: values are as the types say
    const diffMs = (a: any, b: any): number => to(b).ms - from(a).ms
    // Below the second Flink counts whole ones, and wraps.
    const perSecond = fractionUnits[unit]
    const wrapped = (a: unknown, b: unknown, bits: number) => BigInt.asIntN(bits, BigInt(Math.trunc(diffMs(a, b) / SECOND_MS)) * perSecond)
    if (unit === 'NANOSECOND') return (a, b) => wrapped(a, b, 64)
    if (perSecond !== undefined) return (a, b) => Number(wrapped(a, b, 32))
    if (size === undefined) throw unknownUnit('TIMESTAMPDIFF', unit)
    return (a, b) => Math.trunc(diffMs(a, b) / size) | 0
  }
  return (a, b) => Math.trunc(monthsOf(from(a).ms, to(b).ms) / months) | 0
}

/** Whole months from one local time to another; back in time an incomplete day counts as one more. @source Calcite's DateTimeUtils.subtractMonths */
function monthsOf(fromMs: number, toMs: number): number {
  const [fromDays, toDays] = [Math.floor(fromMs / DAY_MS), Math.floor(toMs / DAY_MS)]
  const whole = monthsBetween(fromDays, toDays)
  return addMonths(fromDays, whole) === toDays && floorMod(toMs, DAY_MS) < floorMod(fromMs, DAY_MS) ? whole - 1 : whole
}

/** (later - earlier) unit: months, or ms. */
function minusDates({ argTypes: [pointType], type, timeZone }: CallContext): RowFunction {
  const inMonths = type.kind === 'INTERVAL_YEAR_MONTH'
  const local = localReader(pointType, inMonths ? timeZone : 'UTC')
  return inMonths ? (a, b) => monthsOf(local(b).ms, local(a).ms) : (a, b) => local(a).ms - local(b).ms
}

/** Periods may be given end first; periods that only touch overlap. */
/** Each period is brought into order by CASE WHEN start <= end, which takes NULL for no: one with a NULL may still be known not to overlap. */
function overlaps<T extends number | bigint>(start1: T | null, end1: T | null, start2: T | null, end2: T | null): boolean | null {
  const ordered = (start: T | null, end: T | null) => (start !== null && end !== null && start <= end ? [start, end] : [end, start])
  const reaches = (end: T | null, start: T | null) => (end === null || start === null ? null : end >= start)
  const [from1, to1] = ordered(start1, end1)
  const [from2, to2] = ordered(start2, end2)
  const [first, second] = [reaches(to1, from2), reaches(to2, from1)]
  return first === false || second === false ? false : first === null || second === null ? null : true
}

// ---------------------------------------------------------------- text

const DEFAULT_FORMAT = 'yyyy-MM-dd HH:mm:ss'
const LONG_MIN = -(2n ** 63n)

function dateFormat({ argTypes: [type], literals, timeZone }: CallContext): RowFunction {
  const formatter = madeFrom(literals[1], (pattern) => dateFormatter(pattern, type.kind === 'TIMESTAMP_LTZ' ? timeZone : 'UTC'))
  if (type.kind === 'CHAR' || type.kind === 'VARCHAR') {
    const ofText = madeFrom(literals[1], (pattern) => dateFormatter(pattern, 'UTC', 'lenient'))
    return (text: string, pattern: string) => {
      const localNs = dateParserDefault(text)
      return localNs === undefined ? null : ofText(pattern)(floorNsToMs(localNs))
    }
  }
  // The usual case makes no object for a row.
  if (type.kind === 'TIMESTAMP' && !isNs(type)) return (ms: number, pattern: string) => formatter(pattern)(ms)
  const local = localReader(type, timeZone)
  const zone = zoneOf(type.kind === 'TIMESTAMP_LTZ' ? timeZone : 'UTC')
  return (value, pattern: string) => {
    const { ms, ns } = local(value)
    return formatter(pattern)(ms, ns, zone.offsetMs(zone.toUtc(ms)))
  }
}

/** By the format; text that does not fit is read in SQL's own form, with days that roll over. */
function toTimestamp({ literals, argTypes }: CallContext): RowFunction {
  const toMs = (ns: bigint | undefined) => (ns === undefined ? null : floorNsToMs(ns))
  if (argTypes.length === 1) return (text: string) => toMs(parseTimestampNs(text))
  const parser = madeFrom(literals[1], (pattern) => dateParser(pattern, 'strict'))
  return (text: string, pattern: string) => toMs(parser(pattern)(text) ?? parseTimestampRollingNs(text))
}

function toTimestampLtz({ argTypes: [type], literals }: CallContext): RowFunction {
  if (type.kind === 'CHAR' || type.kind === 'VARCHAR') {
    const parser = madeFrom(literals[1], (pattern) => dateParser(pattern, 'strict'))
    return (text: string, pattern?: string, zoneName = 'UTC') => {
      const zone = zoneOf(zoneName)
      const ns = pattern === undefined ? undefined : parser(pattern)(text, zone)
      if (ns !== undefined) return floorNsToMs(ns)
      const localNs = pattern === undefined ? parseTimestampNs(text) : parseTimestampRollingNs(text)
      return localNs === undefined ? null : zone.toUtc(floorNsToMs(localNs))
    }
  }
  return (value: number | bigint, precision = 3) => {
    if (precision !== 0 && precision !== 3) {
      throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn: 'TO_TIMESTAMP_LTZ', reason: `precision ${precision} is neither 0 nor 3` })
    }
    const ms = Math.trunc(Number(value) * (precision === 0 ? 1000 : 1))
    // The range of a Java Instant at ms is wider than that of Date; beyond it nothing is a time.
    return Math.abs(ms) <= TIME_MS_MAX ? ms : null
  }
}
const TIME_MS_MAX = 253_402_300_799_999
/** Beyond it time zones have no offsets. */
const DATE_MS_MAX = 8.64e15

function toDate({ argTypes, literals }: CallContext): RowFunction {
  if (argTypes.length === 1) return (text: string) => parseDate(text) ?? null
  const parser = madeFrom(literals[1], (pattern) => dateParser(pattern, 'lenient'))
  return (text: string, pattern: string) => {
    const ns = parser(pattern)(text)
    return ns === undefined ? null : Math.floor(floorNsToMs(ns) / DAY_MS)
  }
}

/** Seconds since 1970; the smallest BIGINT for text that does not fit. */
function unixTimestamp({ literals, timeZone }: CallContext): RowFunction {
  const zone = zoneOf(timeZone)
  const parser = madeFrom(literals[1], (pattern) => dateParser(pattern, 'lenient'))
  return (text: string, pattern = DEFAULT_FORMAT) => {
    const ns = parser(pattern)(text, zone)
    return ns === undefined ? LONG_MIN : BigInt(Math.floor(floorNsToMs(ns) / SECOND_MS))
  }
}

function fromUnixtime({ literals, timeZone }: CallContext): RowFunction {
  const zone = zoneOf(timeZone)
  const formatter = madeFrom(literals[1], (pattern) => dateFormatter(pattern, timeZone, 'lenient'))
  return (seconds: bigint, pattern = DEFAULT_FORMAT) => {
    // Beyond the range of 64 bits the milliseconds wrap.
    const ms = Number(BigInt.asIntN(64, seconds * 1000n))
    if (Math.abs(ms) > DATE_MS_MAX) return null
    const offsetMs = zone.javaOffsetMs(ms)
    return formatter(pattern)(ms + offsetMs, 0, offsetMs)
  }
}

function convertTz(text: string, from: string, to: string): string | null {
  const ns = dateParserDefault(text, zoneOf(from))
  if (ns === undefined) return null
  const ms = floorNsToMs(ns)
  return dateFormatterDefault(ms + zoneOf(to).javaOffsetMs(ms))
}
const dateParserDefault = dateParser(DEFAULT_FORMAT, 'lenient')
const dateFormatterDefault = dateFormatter(DEFAULT_FORMAT, 'UTC', 'lenient')

export const temporalFunctions: FunctionTable = {
  EXTRACT: strict(extract),
  FLOOR: strict(floorTo(false)),
  CEIL: strict(floorTo(true)),
  PLUS_INTERVAL: strict(intervalArithmetic(1)),
  MINUS_INTERVAL: strict(intervalArithmetic(-1)),
  TIMES_INTERVAL: strict(() => (interval: number, factor: number) => Math.trunc(interval * factor) + 0),
  DIVIDE_INTERVAL: strict(() => (interval: number, divisor: number) => Math.trunc(interval / divisor) + 0),
  MINUS_DATES: strict(minusDates),
  TIMESTAMPADD: strict(timestampAdd),
  TIMESTAMPDIFF: strict(timestampDiff),
  OVERLAPS: called(() => overlaps),
  DATE_FORMAT: maybe(dateFormat),
  TO_TIMESTAMP: maybe(toTimestamp),
  TO_TIMESTAMP_LTZ: maybe(toTimestampLtz),
  TO_DATE: maybe(toDate),
  UNIX_TIMESTAMP: strict(unixTimestamp),
  FROM_UNIXTIME: maybe(fromUnixtime),
  CONVERT_TZ: plainMaybe(convertTz),
}
