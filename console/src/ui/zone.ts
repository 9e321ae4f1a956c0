// The zone that processing times are written and read in: UTC, unless somebody chose another for this browser.
//
// Invariant: event time is as the events have it. A TIMESTAMP has no zone, so no choice here moves it: windows, watermarks and cells stay as they are.
import { useSyncExternalStore } from 'react'

const storageKey = 'millrace.zone'
const DAY_MS = 86_400_000
const listeners = new Set<() => void>()

const isZone = (name: string): boolean => {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}
function readZone(): string {
  try {
    const stored = localStorage.getItem(storageKey)
    return stored !== null && isZone(stored) ? stored : 'UTC'
  } catch {
    return 'UTC'
  }
}
let zone = readZone()

export const ownZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone
export const currentZone = (): string => zone

export function chooseZone(next: string): void {
  zone = next
  try {
    if (next === 'UTC') localStorage.removeItem(storageKey)
    else localStorage.setItem(storageKey, next)
  } catch {
    // Storage can be forbidden: the choice then lasts as long as the page.
  }
  for (const listener of listeners) listener()
}

export const useZone = (): string =>
  useSyncExternalStore((listener) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }, currentZone)

const formats = new Map<string, Intl.DateTimeFormat>()
const formatOf = (name: string): Intl.DateTimeFormat => {
  let format = formats.get(name)
  if (!format) {
    const fields = { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' } as const
    formats.set(name, (format = new Intl.DateTimeFormat('en-US', { timeZone: name, hourCycle: 'h23', calendar: 'iso8601', ...fields })))
  }
  return format
}

/** How far the wall clock of a zone is ahead of UTC at a moment, in ms. */
export function offsetMs(ms: number, name: string): number {
  if (name === 'UTC' || !Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return 0
  const part = Object.fromEntries(
    formatOf(name)
      .formatToParts(ms)
      .map(({ type, value }) => [type, Number(value)]),
  )
  const wallMs = Date.UTC(part.year!, part.month! - 1, part.day, part.hour, part.minute, part.second)
  return wallMs - Math.floor(ms / 1_000) * 1_000
}

/** The moment whose wall clock in a zone reads so; of an hour that comes twice the first, of one that a change of clocks leaves out the one after it. */
export function fromWall(wallMs: number, name: string): number {
  // With the offset of before a change of clocks that may be near, and with that of after it: the day on each side holds every moment that can be meant.
  const [earlier, later] = [wallMs - DAY_MS, wallMs + DAY_MS].map((near) => wallMs - offsetMs(near, name))
  const reads = (ms: number): boolean => offsetMs(ms, name) === wallMs - ms
  return !reads(earlier) && reads(later) ? later : earlier
}

/** `UTC+01:00` of a zone now, `UTC` of UTC. */
export function zoneText(name: string, atMs = Date.now()): string {
  if (name === 'UTC') return 'UTC'
  const minutes = Math.round(offsetMs(atMs, name) / 60_000)
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${name} (UTC${minutes < 0 ? '−' : '+'}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)})`
}
