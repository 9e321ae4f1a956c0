// Date and time patterns as Java's DateTimeFormatter and SimpleDateFormat have them: to text and back.
import {
  civilOf, DAY_MS, dayOfYearOf, daysInMonth, daysOf, floorMod, HOUR_MS, javaCivilOf, javaDaysOf, MINUTE_MS, SECOND_MS, weekdayOf, type Zone,
} from './calendar.ts' // biome-ignore format: one list
import { expressionErrors, shown } from './errors.ts'

const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']
const ORDINALS = ['1st', '2nd', '3rd', '4th']
const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

/** `section`: where what is optional begins and ends. */
type Token = { letter: string; count: number } | { text: string } | { section: '[' | ']' }
/** strict: DateTimeFormatter's SMART style, all of the text. lenient: SimpleDateFormat, what follows is ignored and values roll over. */
export type DateStyle = 'strict' | 'lenient'
const LETTERS: Record<DateStyle, string> = { strict: 'GyuYQqMLwWdDFEecaHhkKmsSAnNzZXxVO', lenient: 'GyYMLwWDdFEuaHkKhmsSzZX' }

/** @throws StreamError EXPRESSION_ARGUMENT_INVALID for a letter that means nothing */
function tokensOf(pattern: string, style: DateStyle): Token[] {
  const tokens: Token[] = []
  const addText = (text: string) => {
    const last = tokens[tokens.length - 1]
    if (last !== undefined && 'text' in last) last.text += text
    else tokens.push({ text })
  }
  for (let i = 0; i < pattern.length; ) {
    const unit = pattern[i]
    if (unit === "'") {
      if (pattern[i + 1] === "'") {
        addText("'")
        i += 2
        continue
      }
      let text = ''
      for (i++; i < pattern.length && !(pattern[i] === "'" && pattern[i + 1] !== "'"); i++) {
        if (pattern[i] === "'") i++
        text += pattern[i]
      }
      if (i >= pattern.length) throw invalid(pattern, 'a quote is not closed')
      addText(text)
      i++
    } else if (/[A-Za-z]/.test(unit)) {
      if (!LETTERS[style].includes(unit)) throw invalid(pattern, `the letter ${unit} is not known`)
      let count = 1
      while (pattern[i + count] === unit) count++
      tokens.push({ letter: unit, count })
      i += count
    } else {
      if (style === 'strict' && (unit === '[' || unit === ']')) tokens.push({ section: unit })
      else addText(unit)
      i++
    }
  }
  const depths = tokens.flatMap((token) => ('section' in token ? [token.section === '[' ? 1 : -1] : []))
  let depth = 0
  for (const step of depths) if ((depth += step) < 0) throw invalid(pattern, 'a bracket has no partner')
  // What is optional may go on to the end.
  for (; depth > 0; depth--) tokens.push({ section: ']' })
  return tokens
}
const invalid = (pattern: string, reason: string) =>
  expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn: 'date format', reason: `'${shown(pattern)}': ${reason}` })

// ---------------------------------------------------------------- to text

/** What a token needs to know of an instant. */
interface Instant {
  days: number
  timeMs: number
  /** Within the millisecond. */
  ns: number
  offsetMs: number
}
type Part = (instant: Instant) => string

const padded = (value: number, width: number): string => {
  const text = String(Math.abs(value)).padStart(width, '0')
  return value < 0 ? `-${text}` : text
}
const offsetText = (offsetMs: number, colon: string, zero: string): string => {
  if (offsetMs === 0 && zero !== '') return zero
  const size = Math.abs(offsetMs)
  return `${offsetMs < 0 ? '-' : '+'}${padded(Math.floor(size / HOUR_MS), 2)}${colon}${padded(Math.floor(size / MINUTE_MS) % 60, 2)}`
}

function partOf(token: Token, zoneName: string, style: DateStyle): { part: Part; unitMs: number } {
  if ('text' in token) return { part: () => token.text, unitMs: DAY_MS }
  // What is optional is always there to be written.
  if ('section' in token) return { part: () => '', unitMs: DAY_MS }
  const { letter, count } = token
  const ofDay = (part: Part) => ({ part, unitMs: DAY_MS })
  const civil = style === 'lenient' ? javaCivilOf : civilOf
  const ofTime = (unitMs: number, size: number, shift = 0) => ({
    part: ({ timeMs }: Instant) => {
      const value = Math.floor(timeMs / unitMs) % size
      return padded(shift > 0 && value === 0 ? shift : value, count)
    },
    unitMs,
  })
  // A year that is wider than its letters has a sign, so that it can be told from what stands before it.
  const yearText = (year: number): string => {
    if (count === 2) return padded(floorMod(year, 100), 2)
    return `${style === 'strict' && count >= 4 && year >= 10 ** count ? '+' : ''}${padded(year, count)}`
  }
  switch (letter) {
    case 'y':
    case 'u':
      // SimpleDateFormat counts the days from Monday with it.
      if (letter === 'u' && style === 'lenient') return ofDay(({ days }) => padded(((weekdayOf(days) + 6) % 7) + 1, count))
      return ofDay(({ days }) => {
        const { year: ofEra } = civil(days)
        // Of a year before the first SimpleDateFormat writes the year of its era.
        const year = style === 'lenient' && ofEra <= 0 ? 1 - ofEra : ofEra
        return yearText(year)
      })
    case 'M':
    case 'L':
      return ofDay(({ days }) => {
        const { month } = civil(days)
        return count <= 2 ? padded(month, count) : name(MONTHS[month - 1], count)
      })
    case 'G':
      return ofDay(({ days }) => {
        const [short, long] = civil(days).year > 0 ? ['AD', 'Anno Domini'] : ['BC', 'Before Christ']
        return style === 'lenient' || count < 4 ? short : count === 4 ? long : short[0]
      })
    case 'Y':
      return ofDay(({ days }) => yearText(weekOf(days).year))
    case 'w':
      return ofDay(({ days }) => padded(weekOf(days).week, count))
    case 'W':
      return ofDay(({ days }) => {
        const { day } = civil(days)
        return padded(Math.floor((day - 1 + weekdayOf(days - day + 1)) / 7) + 1, count)
      })
    case 'F':
      return ofDay(({ days }) => padded(((civil(days).day - 1) % 7) + 1, count))
    case 'Q':
    case 'q':
      return ofDay(({ days }) => {
        const quarter = Math.ceil(civil(days).month / 3)
        if (count === 3) return `Q${quarter}`
        return count === 4 ? `${ORDINALS[quarter - 1]} quarter` : padded(quarter, count === 5 ? 1 : count)
      })
    case 'd':
      return ofDay(({ days }) => padded(civil(days).day, count))
    case 'D':
      return ofDay(({ days }) => padded(dayOfYearOf(days), count))
    case 'E':
      return ofDay(({ days }) => name(WEEKDAYS[weekdayOf(days)], Math.max(count, 3)))
    case 'e':
    case 'c':
      return ofDay(({ days }) => (count > 2 ? name(WEEKDAYS[weekdayOf(days)], count) : padded(weekdayOf(days) + 1, count)))
    case 'H':
      return ofTime(HOUR_MS, 24)
    case 'k':
      return ofTime(HOUR_MS, 24, 24)
    case 'K':
      return ofTime(HOUR_MS, 12)
    case 'h':
      return ofTime(HOUR_MS, 12, 12)
    case 'a':
      return { part: ({ timeMs }) => (timeMs < 12 * HOUR_MS ? 'AM' : 'PM'), unitMs: HOUR_MS }
    case 'm':
      return ofTime(MINUTE_MS, 60)
    case 's':
      return ofTime(SECOND_MS, 60)
    case 'S':
      if (style === 'lenient') return { part: ({ timeMs }) => padded(timeMs % 1000, count), unitMs: 0 }
      return { part: ({ timeMs, ns }) => fraction(timeMs, ns).padEnd(count, '0').slice(0, count), unitMs: 0 }
    case 'A':
      return { part: ({ timeMs }) => padded(timeMs, count), unitMs: 0 }
    case 'n':
      return { part: ({ timeMs, ns }) => padded((timeMs % 1000) * 1_000_000 + ns, count), unitMs: 0 }
    case 'N':
      return { part: ({ timeMs, ns }) => String(BigInt(timeMs) * 1_000_000n + BigInt(ns)).padStart(count, '0'), unitMs: 0 }
    // Zones change their offset at most at a quarter of an hour.
    case 'Z':
    case 'x':
      return { part: ({ offsetMs }) => offsetText(offsetMs, count === 3 ? ':' : '', ''), unitMs: 15 * MINUTE_MS }
    case 'X':
      return { part: ({ offsetMs }) => offsetText(offsetMs, count === 3 ? ':' : '', 'Z'), unitMs: 15 * MINUTE_MS }
    default:
      return ofDay(() => zoneName)
  }
}
/** Of three letters, whole, or of one. */
const name = (whole: string, count: number): string => (count === 4 ? whole : whole.slice(0, count === 5 ? 1 : 3))
/** Weeks as in the USA: from Sunday to Saturday, week 1 holds January 1. */
function weekOf(days: number): { year: number; week: number } {
  const saturday = days + 6 - weekdayOf(days)
  const { year } = civilOf(saturday)
  return { year, week: Math.floor((saturday - daysOf(year, 1, 1)) / 7) + 1 }
}
const fraction = (timeMs: number, ns: number): string => padded(timeMs % 1000, 3) + padded(ns, 6)

/** Texts remembered for a pattern; rows that follow one another are mostly near in time. */
const REMEMBERED_MAX = 4096

/**
 * Writes local times; texts are remembered by the finest unit that the pattern shows.
 *
 * @returns (local epoch ms, ns within the millisecond, the zone's offset) to text
 */
export function dateFormatter(
  pattern: string,
  zoneName: string,
  style: DateStyle = 'strict',
): (localMs: number, ns?: number, offsetMs?: number) => string {
  const parts = tokensOf(pattern, style).map((token) => partOf(token, zoneName, style))
  const unitMs = Math.min(...parts.map((part) => part.unitMs), DAY_MS)
  const write = (localMs: number, ns: number, offsetMs: number): string => {
    const days = Math.floor(localMs / DAY_MS)
    const instant = { days, timeMs: localMs - days * DAY_MS, ns, offsetMs }
    let text = ''
    for (const { part } of parts) text += part(instant)
    return text
  }
  if (unitMs === 0) return (localMs, ns = 0, offsetMs = 0) => write(localMs, ns, offsetMs)
  const remembered = new Map<number, string>()
  let lastBucket = Number.NaN
  let lastText = ''
  return (localMs, ns = 0, offsetMs = 0) => {
    const bucket = Math.floor(localMs / unitMs)
    if (bucket === lastBucket) return lastText
    let text = remembered.get(bucket)
    if (text === undefined) {
      if (remembered.size >= REMEMBERED_MAX) remembered.clear()
      text = write(bucket * unitMs, ns, offsetMs)
      remembered.set(bucket, text)
    }
    lastBucket = bucket
    lastText = text
    return text
  }
}

// ---------------------------------------------------------------- from text

interface Parsed {
  year: number
  month: number
  day: number
  dayOfYear?: number
  hour: number
  hour12?: number
  pm?: boolean
  minute: number
  second: number
  /** Digits after the second. */
  fraction: string
  offsetMs?: number
}

function groupOf(token: Token, next: Token | undefined, style: DateStyle): string {
  if ('section' in token) return token.section === '[' ? '(?:' : ')?'
  if ('text' in token) return `(${token.text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')})`
  const { letter, count } = token
  const names = (all: string[]) => `(${(count === 3 ? all.map((name) => name.slice(0, 3)) : all).join('|')})`
  const adjacent = next !== undefined && 'letter' in next
  switch (letter) {
    case 'M':
    case 'L':
      if (count > 2) return names(MONTHS)
      break
    case 'E':
      return names(WEEKDAYS)
    case 'a':
      return '(AM|PM|am|pm)'
    case 'X':
    case 'x':
    case 'Z':
      return '(Z|[+-]\\d{2}(?::?\\d{2})?)'
    case 'z':
    case 'V':
    case 'O':
      return '([A-Za-z][\\w/+:-]*)'
    default:
      break
  }
  if (letter === 'u' && style === 'lenient') return '(\\d+)'
  if (style === 'lenient') return adjacent ? `(\\d{${count}})` : letter === 'y' || letter === 'u' ? '(-?\\d+)' : '(\\d+)'
  if (letter === 'y' || letter === 'u') return count === 2 ? '(\\d{2})' : adjacent ? `(\\d{${Math.max(count, 4)}})` : '(\\d{4,9})'
  if (count === 1) return letter === 'D' || letter === 'n' ? '(\\d+)' : '(\\d{1,2})'
  return `(\\d{${count}})`
}

function read(parsed: Parsed, letter: string, count: number, text: string): void {
  const value = Number(text)
  switch (letter) {
    case 'y':
    case 'u':
      parsed.year = count === 2 && text.length === 2 ? 2000 + value : value
      break
    case 'M':
    case 'L':
      parsed.month = count > 2 ? MONTHS.findIndex((name) => name.startsWith(text)) + 1 : value
      break
    case 'd':
      parsed.day = value
      break
    case 'D':
      parsed.dayOfYear = value
      break
    case 'H':
      parsed.hour = value
      break
    case 'k':
      parsed.hour = value === 24 ? 0 : value
      break
    case 'h':
    case 'K':
      parsed.hour12 = value === 12 ? 0 : value
      break
    case 'a':
      parsed.pm = text.toUpperCase() === 'PM'
      break
    case 'm':
      parsed.minute = value
      break
    case 's':
      parsed.second = value
      break
    case 'S':
      parsed.fraction = text
      break
    case 'X':
    case 'x':
    case 'Z': {
      const match = /^([+-])(\d{2}):?(\d{2})?$/.exec(text)
      parsed.offsetMs = match === null ? 0 : (match[1] === '-' ? -1 : 1) * (Number(match[2]) * HOUR_MS + Number(match[3] ?? 0) * MINUTE_MS)
      break
    }
    default:
      break
  }
}

/**
 * Reads text by a pattern.
 *
 * @returns text to local ns since 1970 (UTC ns where the text has an offset and a zone is given); undefined where it does not fit
 */
export function dateParser(pattern: string, style: DateStyle): (text: string, zone?: Zone) => bigint | undefined {
  const tokens = tokensOf(pattern, style)
  const source = tokens.map((token, index) => groupOf(token, tokens[index + 1], style)).join('')
  const groups = tokens.filter((token) => !('section' in token))
  const expression = new RegExp(style === 'strict' ? `^${source}$` : `^\\s*${source}`)
  return (text, zone) => {
    const match = expression.exec(text)
    if (match === null) return undefined
    const parsed: Parsed = { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, fraction: '' }
    for (const [index, token] of groups.entries())
      if ('letter' in token && match[index + 1] !== undefined) read(parsed, token.letter, token.count, match[index + 1])
    const localNs = resolve(parsed, style)
    if (localNs === undefined || zone === undefined) return localNs
    const localMs = Number(localNs / 1_000_000n)
    const toUtc = style === 'lenient' ? zone.toUtcLater : zone.toUtc
    const shiftMs = parsed.offsetMs === undefined ? toUtc(localMs) - localMs : -parsed.offsetMs
    return localNs + BigInt(shiftMs) * 1_000_000n
  }
}

function resolve(parsed: Parsed, style: DateStyle): bigint | undefined {
  const { year, month, minute, second } = parsed
  const hour = parsed.hour12 === undefined ? parsed.hour : parsed.hour12 + (parsed.pm ? 12 : 0)
  let days: number
  if (style === 'strict') {
    if (month < 1 || month > 12 || parsed.day < 1 || parsed.day > 31 || hour > 23 || minute > 59 || second > 59) return undefined
    days = daysOf(year, month, Math.min(parsed.day, daysInMonth(year, month)))
  } else {
    // Months and days beyond their limits roll over.
    const index = year * 12 + month - 1
    days = javaDaysOf(Math.floor(index / 12), floorMod(index, 12) + 1, parsed.day)
  }
  if (parsed.dayOfYear !== undefined) days = daysOf(year, 1, 1) + parsed.dayOfYear - 1
  // SimpleDateFormat reads S as milliseconds, DateTimeFormatter as a fraction.
  const ns = style === 'strict' ? BigInt(parsed.fraction.padEnd(9, '0').slice(0, 9)) : BigInt(parsed.fraction || '0') * 1_000_000n
  const ms = days * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS
  return Number.isSafeInteger(ms) ? BigInt(ms) * 1_000_000n + ns : undefined
}
