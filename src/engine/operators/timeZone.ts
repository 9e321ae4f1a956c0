// Wall-clock time of a zone: windows over TIMESTAMP_LTZ are cut in the session's zone, not in UTC.
import { zoneOf } from '../expressions/calendar.ts'

const hourMs = 3_600_000

export interface ZoneClock {
  isUtc: boolean
  /** Epoch ms to "local ms": epoch ms of the same wall clock in UTC. */
  toLocal(epochMs: number): number
  /** The moment at which a local time, the last ms of a window, has been reached. */
  toEpochForTimer(localMs: number): number
  /** The moment of a local time; in a repeated hour the earlier one. */
  toEpoch(localMs: number): number
}

const identity = (ms: number): number => ms
const utcClock: ZoneClock = { isUtc: true, toLocal: identity, toEpochForTimer: identity, toEpoch: identity }

/** @throws StreamError EXPRESSION_ARGUMENT_INVALID for an unknown zone */
export function zoneClock(timeZone: string): ZoneClock {
  if (timeZone === 'UTC') return utcClock
  const { offsetMs, toUtc } = zoneOf(timeZone)
  return {
    isUtc: false,
    toLocal: (epochMs) => epochMs + offsetMs(epochMs),
    toEpoch: toUtc,
    // A window's end in the hour that exists twice fires at the second; one in the skipped hour at the jump.
    // Source: Flink's TimeWindowUtil.toEpochMillsForTimer.
    toEpochForTimer: (localMs) => {
      const first = toUtc(localMs)
      const second = toUtc(localMs + hourMs)
      if (second - first > hourMs) return second - hourMs
      if (second === first) return first - (((first % hourMs) + hourMs) % hourMs)
      return first
    },
  }
}
