// Wall-clock time of a zone: windows over TIMESTAMP_LTZ are cut in the session's zone, not in UTC.

/** Offsets change at multiples of a quarter of an hour (UTC), so one look-up serves a quarter. */
const quarterMs = 900_000
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

export function zoneClock(timeZone: string): ZoneClock {
  if (timeZone === 'UTC' || timeZone === 'Etc/UTC' || timeZone === 'Z') return utcClock
  const offsetAt = offsetFunction(timeZone)
  // Java's rule: in a gap the clock is moved on by the gap's length; in an overlap the earlier offset counts.
  const toEpoch = (localMs: number): number => {
    if (!Number.isFinite(localMs)) return localMs
    const before = offsetAt(localMs - 24 * hourMs)
    const after = offsetAt(localMs + 24 * hourMs)
    const early = localMs - before
    const late = localMs - after
    if (before === after || offsetAt(early) === before) return early
    if (offsetAt(late) === after) return late
    return early
  }
  return {
    isUtc: false,
    toLocal: (epochMs) => (Number.isFinite(epochMs) ? epochMs + offsetAt(epochMs) : epochMs),
    toEpoch,
    // A window's end in the hour that exists twice fires at the second; one in the skipped hour at the jump.
    // Source: Flink's TimeWindowUtil.toEpochMillsForTimer.
    toEpochForTimer: (localMs) => {
      const first = toEpoch(localMs)
      const second = toEpoch(localMs + hourMs)
      if (second - first > hourMs) return second - hourMs
      if (second === first) return first - (((first % hourMs) + hourMs) % hourMs)
      return first
    },
  }
}

function offsetFunction(timeZone: string): (epochMs: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    era: 'short',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  const measured = (epochMs: number): number => {
    const parts: Record<string, string> = {}
    for (const { type, value } of format.formatToParts(epochMs)) parts[type] = value
    const year = parts.era === 'BC' ? 1 - Number(parts.year) : Number(parts.year)
    const local = new Date(0)
    local.setUTCFullYear(year, Number(parts.month) - 1, Number(parts.day))
    local.setUTCHours(Number(parts.hour), Number(parts.minute), Number(parts.second), 0)
    return local.getTime() - epochMs
  }
  const known = new Map<number, number>()
  let lastQuarter = NaN
  let lastOffset = 0
  return (epochMs) => {
    const quarter = Math.floor(epochMs / quarterMs)
    if (quarter === lastQuarter) return lastOffset
    let offset = known.get(quarter)
    if (offset === undefined) {
      offset = measured(quarter * quarterMs)
      if (known.size > 100_000) known.clear()
      known.set(quarter, offset)
    }
    lastQuarter = quarter
    lastOffset = offset
    return offset
  }
}
