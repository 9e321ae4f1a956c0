// Dates and times from text in SQL's own forms; other forms go through `dateFormat.ts`.
//
// @source golden cases calc/cast_string_to_datetime, functions/to_timestamp_formats
import { DAY_MS, daysInMonth, daysOf, HOUR_MS, MINUTE_MS, SECOND_MS } from './calendar.ts'

const wholeNumber = /^\s*\d+\s*$/
const YEAR_MAX = 9999

/** yyyy, yyyy-M, yyyy-M-d, with anything after a blank ignored: days since 1970, undefined for other text. */
export function parseDate(text: string): number | undefined {
  const blank = text.indexOf(' ')
  const parts = (blank > 0 ? text.slice(0, blank) : text).split('-')
  if (parts.length > 3 || !parts.every((part) => wholeNumber.test(part))) return undefined
  const [year, month = 1, day = 1] = parts.map(Number)
  if (year < 0 || year > YEAR_MAX || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined
  return daysOf(year, month, day)
}

const timePattern = /^(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?$/
/** H, H:m, H:m:s, H:m:s.SSS: ms of the day, undefined for other text. */
export function parseTime(text: string): number | undefined {
  const match = timePattern.exec(text.trim())
  if (match === null) return undefined
  const [, hour, minute = '0', second = '0', fraction = '0'] = match
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined
  return Number(hour) * HOUR_MS + Number(minute) * MINUTE_MS + Number(second) * SECOND_MS + Number(fraction.padEnd(3, '0').slice(0, 3))
}

const timestampPattern = /^(\d{4})-(\d{1,2})-(\d{1,2})(?: (\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,9}))?)?$/
/**
 * yyyy-M-d, or yyyy-M-d H:m:s with up to 9 digits of a fraction: local ns since 1970.
 * A day up to 31 that the month does not have becomes its last one.
 */
export function parseTimestampNs(text: string): bigint | undefined {
  const match = timestampPattern.exec(text)
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0))
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 24 || minute > 59 || second > 59) return undefined
  // 24:00:00 is the next day's begin.
  if (hour === 24 && (minute > 0 || second > 0 || Number(match[7] ?? 0) > 0)) return undefined
  return epochNs(daysOf(year, month, Math.min(day, daysInMonth(year, month))), hour, minute, second, match[7])
}

/** As `parseTimestampNs`, but days and hours that do not exist roll over: Feb 30 is Mar 2. What Flink tries when a format does not fit. */
export function parseTimestampRollingNs(text: string): bigint | undefined {
  const match = timestampPattern.exec(text.trim())
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0))
  if (month < 1 || month > 12 || day < 1 || day > 31) return undefined
  return epochNs(daysOf(year, month, 1) + day - 1, hour, minute, second, match[7])
}

function epochNs(days: number, hour: number, minute: number, second: number, fraction = ''): bigint {
  const ms = days * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS
  return BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))
}
