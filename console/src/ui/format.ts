// Values as people read them, in en. Event time is as the events have it; processing time (`formatClock…`) is in the zone that was chosen, UTC unless
// another was. Widths stay steady because digits are tabular.
import { type Cell, type ColumnKind, timestampMs } from '../api/columns.ts'
import { parseMoment } from '../api/range.ts'
import { currentZone, fromWall, offsetMs } from './zone.ts'

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const upTo3 = new Intl.NumberFormat('en-US', { maximumFractionDigits: 3 })
const compact = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 })

export const none = '–'

/** 24132 -> `24,132`; exact for bigints. */
export const formatInteger = (value: number | bigint): string => whole.format(value)

/** 24132 -> `24.1K` */
export const formatCompact = (value: number): string => (Math.abs(value) < 10_000 ? whole.format(value) : compact.format(value))

/** A figure of unknown size: 0.13234 -> `0.132`, 412.6 -> `413`, 24132 -> `24.1K` */
export const formatFigure = (value: number): string =>
  Math.abs(value) < 1_000 ? String(Number(value.toPrecision(3))) : formatCompact(value)

/** A rate per second: three digits that matter. */
export function formatRate(perSecond: number): string {
  if (perSecond >= 10_000) return compact.format(perSecond)
  if (perSecond >= 10 || perSecond === 0) return whole.format(perSecond)
  return perSecond >= 0.05 ? perSecond.toFixed(1) : '<0.1'
}

/** 0.734 ms -> `0.73 ms`, 12345 -> `12.3 s` */
export function formatMs(ms: number): string {
  const { value, unit } = msParts(ms)
  return `${value} ${unit}`
}

export function msParts(ms: number): { value: string; unit: string } {
  if (ms < 10) return { value: ms.toFixed(2), unit: 'ms' }
  if (ms < 100) return { value: ms.toFixed(1), unit: 'ms' }
  if (ms < 1_000) return { value: ms.toFixed(0), unit: 'ms' }
  return { value: (ms / 1_000).toFixed(ms < 10_000 ? 2 : 1), unit: 's' }
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export function bytesParts(bytes: number): { value: string; unit: string } {
  let value = bytes
  let index = 0
  while (value >= 1_024 && index < byteUnits.length - 1) {
    value /= 1_024
    index++
  }
  return { value: index === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1), unit: byteUnits[index]! }
}

export function formatBytes(bytes: number): string {
  const { value, unit } = bytesParts(bytes)
  return `${value} ${unit}`
}

/** 3725 s -> `1 h 02 m`, 65 s -> `1 m 05 s` */
export function formatDuration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds))
  const two = (value: number): string => String(value).padStart(2, '0')
  if (s >= 86_400) return `${Math.floor(s / 86_400)} d ${two(Math.floor((s % 86_400) / 3_600))} h`
  if (s >= 3_600) return `${Math.floor(s / 3_600)} h ${two(Math.floor((s % 3_600) / 60))} m`
  if (s >= 60) return `${Math.floor(s / 60)} m ${two(s % 60)} s`
  return `${s} s`
}

/** A span of time in its largest unit that matters: `4.2 s`, `3 m 05 s`, `11.2 years`. */
export function formatSpan(ms: number): string {
  if (ms < 0) return `−${formatSpan(-ms)}`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  return ms < 365 * 86_400_000 ? formatDuration(ms / 1_000) : `${(ms / (365.25 * 86_400_000)).toFixed(1)} years`
}

/** The same at an axis, whose steps are whole ones: `15 s`, `2 m 30 s`, `3 h`. */
export function formatSpanAxis(ms: number): string {
  if (ms < 0) return `−${formatSpanAxis(-ms)}`
  if (ms === 0) return '0'
  if (ms < 1_000) return `${Number(ms.toPrecision(3))} ms`
  const units = [ms / 86_400_000, (ms / 3_600_000) % 24, (ms / 60_000) % 60, (ms / 1_000) % 60].map(Math.floor)
  return units
    .map((count, i) => (count > 0 ? `${count} ${'dhms'[i]}` : ''))
    .filter(Boolean)
    .slice(0, 2)
    .join(' ')
}

/** How long ago, coarse on purpose: it does not flicker. */
export function formatAge(ms: number): string {
  if (ms < 1_500) return 'now'
  return `${formatDuration(ms / 1_000)} ago`
}

const iso = (ms: number): string => (Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : '')

/** `2015-09-12 07:35:00` (UTC) */
export const formatDateTime = (ms: number): string => iso(ms).slice(0, 19).replace('T', ' ') || none
/** `07:35:00` (UTC) */
export const formatTime = (ms: number): string => iso(ms).slice(11, 19) || none
/** `07:35` (UTC) */
export const formatMinute = (ms: number): string => iso(ms).slice(11, 16) || none
/** `09-12 07:35` (UTC) */
export const formatDayMinute = (ms: number): string => iso(ms).slice(5, 16).replace('T', ' ') || none
/** `2015-09-12` (UTC) */
export const formatDate = (ms: number): string => iso(ms).slice(0, 10) || none

/** The same of processing time, in the zone that was chosen. */
const onClock = (ms: number): number => ms + offsetMs(ms, currentZone())
export const formatClock = (ms: number): string => formatDateTime(onClock(ms))
export const formatClockTime = (ms: number): string => formatTime(onClock(ms))
export const formatClockMinute = (ms: number): string => formatMinute(onClock(ms))
export const formatClockDayMinute = (ms: number): string => formatDayMinute(onClock(ms))
/** With its zone, for where the bar at the top is far. */
export const formatClockZone = (ms: number): string => `${formatClock(ms)} ${currentZone()}`

/** A time of the clock as people write it, in the zone that was chosen, or in UTC where it ends in Z; NaN where it is none. */
export const parseClock = (text: string): number => {
  const ms = parseMoment(text)
  return Number.isNaN(ms) || /Z\s*$/i.test(text) ? ms : fromWall(ms, currentZone())
}
/** The same for the API, which reads what has no zone as UTC; what is no such time goes as it is. */
export const clockForApi = (text: string): string => {
  const ms = parseClock(text)
  return currentZone() === 'UTC' || Number.isNaN(ms) ? text : new Date(ms).toISOString()
}
/** What `clockForApi` made, as it was written. */
export const clockFromApi = (text: string): string => {
  const ms = parseMoment(text)
  return currentZone() === 'UTC' || Number.isNaN(ms) ? text : formatClock(ms)
}

const longDate = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' })
/** `12 September 2015` */
export const formatLongDate = (ms: number): string => longDate.format(ms)

/** 0.1234 -> `12.3 %` */
export const formatShare = (share: number): string => (Number.isFinite(share) ? `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %` : none)

/** +36, −12, 0, with a real minus sign. */
export const formatSigned = (value: number): string =>
  value > 0 ? `+${whole.format(value)}` : value < 0 ? `−${whole.format(-value)}` : '0'

/** A cell as text for the eye: grouped digits, whole seconds where the milliseconds are zero. */
export function formatCell(cell: Cell, kind: ColumnKind): string {
  if (cell === null || cell === undefined) return 'NULL'
  if (typeof cell === 'bigint') return whole.format(cell)
  if (typeof cell === 'number' && kind === 'integer') return whole.format(cell)
  if (typeof cell === 'number' && kind === 'float')
    return Number.isFinite(cell) && Math.abs(cell) >= 1e-3 ? upTo3.format(cell) : String(cell)
  if (kind === 'decimal') return String(cell).replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, ',')
  if (kind === 'timestamp') {
    const ms = timestampMs(cell)
    if (Number.isNaN(ms)) return String(cell)
    return ms % 1_000 === 0 ? formatDateTime(ms) : iso(ms).slice(0, 23).replace('T', ' ')
  }
  if (typeof cell === 'object') return JSON.stringify(cell)
  return String(cell)
}
