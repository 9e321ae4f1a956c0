// Days and the proleptic Gregorian calendar, without Date objects; and time zones.
//
// @source days from civil and back: Howard Hinnant's algorithms, exact for all years
import { expressionErrors, shown } from './errors.ts'

export const DAY_MS = 86_400_000
export const HOUR_MS = 3_600_000
export const MINUTE_MS = 60_000
export const SECOND_MS = 1000

/** Days since 1970-01-01; month from 1. */
export function daysOf(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

export interface CivilDate {
  year: number
  month: number
  day: number
}
export function civilOf(days: number): CivilDate {
  const z = days + 719_468
  const era = Math.floor(z / 146_097)
  const dayOfEra = z - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const monthIndex = Math.floor((5 * dayOfYear + 2) / 153)
  const month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day: dayOfYear - Math.floor((153 * monthIndex + 2) / 5) + 1 }
}

/** The first day of the Gregorian calendar, 1582-10-15: before it java.util's calendar, with which Flink reads and writes text in some functions, is the Julian one. */
const GREGORIAN_FROM_DAYS = -141_427
/** Day -719470 is March 1 of the Julian year 0. */
const JULIAN_DAYS = 719_470

/** As `daysOf`, by java.util's calendar; days that this calendar left out are those of the Julian one. */
export function javaDaysOf(year: number, month: number, day: number): number {
  const days = daysOf(year, month, 1) + day - 1
  if (days >= GREGORIAN_FROM_DAYS) return days
  const y = month <= 2 ? year - 1 : year
  return 365 * y + Math.floor(y / 4) + Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1 - JULIAN_DAYS
}

/** As `civilOf`, by java.util's calendar. */
export function javaCivilOf(days: number): CivilDate {
  if (days >= GREGORIAN_FROM_DAYS) return civilOf(days)
  const z = days + JULIAN_DAYS
  const y = Math.floor((4 * z + 3) / 1461)
  const dayOfYear = z - 365 * y - Math.floor(y / 4)
  const monthIndex = Math.floor((5 * dayOfYear + 2) / 153)
  const month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
  return { year: y + (month <= 2 ? 1 : 0), month, day: dayOfYear - Math.floor((153 * monthIndex + 2) / 5) + 1 }
}

export const isLeapYear = (year: number): boolean => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
export const daysInMonth = (year: number, month: number): number => (month === 2 && isLeapYear(year) ? 29 : MONTH_DAYS[month - 1])
/** 0 is Sunday. */
export const weekdayOf = (days: number): number => (((days + 4) % 7) + 7) % 7
export const dayOfYearOf = (days: number): number => days - daysOf(civilOf(days).year, 1, 1) + 1

/** Adds months; a day that the month does not have becomes its last one. */
export function addMonths(days: number, months: number): number {
  const { year, month, day } = civilOf(days)
  const index = year * 12 + month - 1 + months
  const newYear = Math.floor(index / 12)
  const newMonth = index - newYear * 12 + 1
  return daysOf(newYear, newMonth, Math.min(day, daysInMonth(newYear, newMonth)))
}

export const floorMod = (value: number, size: number): number => value - Math.floor(value / size) * size

const two = (value: number): string => (value < 10 ? `0${value}` : String(value))
export function dateText(days: number): string {
  const { year, month, day } = civilOf(days)
  const yearText = year < 0 ? `-${String(-year).padStart(4, '0')}` : String(year).padStart(4, '0')
  return `${yearText}-${two(month)}-${two(day)}`
}
/** `HH:mm:ss`, with as many digits of the fraction as asked for. */
export function timeText(timeMs: number, digits = 0): string {
  const hours = Math.floor(timeMs / HOUR_MS)
  const text = `${two(hours)}:${two(Math.floor(timeMs / MINUTE_MS) % 60)}:${two(Math.floor(timeMs / SECOND_MS) % 60)}`
  return digits === 0
    ? text
    : `${text}.${String(timeMs % 1000)
        .padStart(3, '0')
        .padEnd(digits, '0')
        .slice(0, digits)}`
}
export function timestampText(epochMs: number, digits: number): string {
  const days = Math.floor(epochMs / DAY_MS)
  return `${dateText(days)} ${timeText(epochMs - days * DAY_MS, digits)}`
}
const NS_PER_MS = 1_000_000n
/** `epochNs` with up to 9 digits. */
export function timestampTextNs(epochNs: bigint, digits: number): string {
  const nsOfMs = BigInt.asIntN(64, ((epochNs % NS_PER_MS) + NS_PER_MS) % NS_PER_MS)
  const epochMs = Number((epochNs - nsOfMs) / NS_PER_MS)
  const text = timestampText(epochMs, 3)
  if (digits <= 3) return timestampText(epochMs, digits)
  return (text + nsOfMs.toString().padStart(6, '0')).slice(0, text.length + digits - 3)
}
export const floorNsToMs = (epochNs: bigint): number => Number((epochNs - (((epochNs % NS_PER_MS) + NS_PER_MS) % NS_PER_MS)) / NS_PER_MS)

// ---------------------------------------------------------------- time zones

const fixedZone = /^(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d{2}))?(?::?(\d{2}))?$/
const utcNames = new Set(['UTC', 'GMT', 'Z', 'UT', 'Etc/UTC', 'Etc/GMT'])
/** No zone changes its offset within a quarter of an hour of the clock. */
const OFFSET_BUCKET_MS = 900_000
const OFFSETS_REMEMBERED_MAX = 65_536

export interface Zone {
  /** What to add to UTC to get local time, at an instant. */
  offsetMs: (epochMs: number) => number
  /** The same in java.util: before 1900 a zone has the offset that is its standard time now. */
  javaOffsetMs: (epochMs: number) => number
  /** The instant of a local time; in a gap after it, in an overlap the first of the two. */
  toUtc: (localMs: number) => number
  /** As `toUtc`, but in an overlap the second: what java.util.Calendar takes, so SimpleDateFormat. */
  toUtcLater: (localMs: number) => number
}
const zones = new Map<string, Zone>()
const fixed = (offsetMs: number): Zone => {
  const toUtc = (localMs: number) => localMs - offsetMs
  return { offsetMs: () => offsetMs, javaOffsetMs: () => offsetMs, toUtc, toUtcLater: toUtc }
}

/** @throws StreamError EXPRESSION_ARGUMENT_INVALID for an unknown zone */
export function zoneOf(name: string): Zone {
  let zone = zones.get(name)
  if (zone === undefined) {
    zone = makeZone(name)
    zones.set(name, zone)
  }
  return zone
}

const YEAR_1900_MS = -2_208_988_800_000
/** 2026, whose clocks stand for those of today. */
const [JANUARY_MS, JULY_MS] = [1_767_225_600_000, 1_782_864_000_000]

function makeZone(name: string): Zone {
  if (utcNames.has(name)) return fixed(0)
  const match = fixedZone.exec(name)
  if (match !== null) {
    const [, sign, hours, minutes = '0', seconds = '0'] = match
    const size = Number(hours) * HOUR_MS + Number(minutes) * MINUTE_MS + Number(seconds) * SECOND_MS
    return fixed(sign === '-' ? -size : size)
  }
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      calendar: 'gregory',
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  } catch {
    throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn: 'time zone', reason: `'${shown(name)}' is not known` })
  }
  const remembered = new Map<number, number>()
  const offsetMs = (epochMs: number): number => {
    const bucket = Math.floor(epochMs / OFFSET_BUCKET_MS)
    let offset = remembered.get(bucket)
    if (offset === undefined) {
      if (remembered.size >= OFFSETS_REMEMBERED_MAX) remembered.clear()
      offset = offsetAt(format, bucket * OFFSET_BUCKET_MS)
      remembered.set(bucket, offset)
    }
    return offset
  }
  const toUtc = (localMs: number): number => {
    // Offsets a day before and after bound every change; the earlier offset wins in gaps and overlaps.
    const before = offsetMs(localMs - DAY_MS)
    const after = offsetMs(localMs + DAY_MS)
    if (offsetMs(localMs - before) === before) return localMs - before
    return offsetMs(localMs - after) === after ? localMs - after : localMs - before
  }
  let standardMs: number | undefined
  const standard = (): number => (standardMs ??= Math.min(offsetMs(JANUARY_MS), offsetMs(JULY_MS)))
  const javaOffsetMs = (epochMs: number): number => (epochMs < YEAR_1900_MS ? standard() : offsetMs(epochMs))
  const toUtcLater = (localMs: number): number => {
    if (localMs < YEAR_1900_MS + DAY_MS && localMs - standard() < YEAR_1900_MS) return localMs - standard()
    const after = offsetMs(localMs + DAY_MS)
    return offsetMs(localMs - after) === after ? localMs - after : toUtc(localMs)
  }
  return { offsetMs, javaOffsetMs, toUtc, toUtcLater }
}

function offsetAt(format: Intl.DateTimeFormat, epochMs: number): number {
  const parts = Object.fromEntries(format.formatToParts(epochMs).map(({ type, value }) => [type, value]))
  const year = parts.era === 'BC' ? 1 - Number(parts.year) : Number(parts.year)
  const days = daysOf(year, Number(parts.month), Number(parts.day))
  return days * DAY_MS + Number(parts.hour) * HOUR_MS + Number(parts.minute) * MINUTE_MS + Number(parts.second) * SECOND_MS - epochMs
}
