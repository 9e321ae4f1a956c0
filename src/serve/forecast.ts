// When something that grows is full, at the growth of the last while: the memory for state, and the disk.
//
// A line is laid through the samples (least squares). State goes up and down with its windows, so a slope counts as growth only where it is clear of
// that noise: more than GROWTH_SIGMAS of its standard error. Else it is steady, and nothing is foretold.
import type { Forecast } from './contract.ts'

/** Less than that says nothing about the next days. */
const SAMPLES_MIN = 10
const WATCHED_MS_MIN = 300_000
const GROWTH_SIGMAS = 3
const HOUR_MS = 3_600_000
/** Beyond that a line means nothing. */
const AHEAD_MS_MAX = 365 * 24 * HOUR_MS

export interface Trend {
  /** Negative where it shrinks, 0 where it is steady. */
  bytesPerHour: number
  /** The time from the first sample to the last. */
  overMs: number
}

/**
 * The growth of a figure.
 *
 * @param timesMs  (samples) epoch ms, ascending
 * @param values   (samples) bytes; null where nothing was measured
 * @returns        undefined where it was watched too short to say
 * @source         ordinary least squares; the standard error of its slope
 */
export function trendOf(timesMs: readonly number[], values: readonly (number | null)[]): Trend | undefined {
  const points = values.flatMap((value, i) => (value === null ? [] : [[timesMs[i], value] as const]))
  const count = points.length
  const overMs = count === 0 ? 0 : points[count - 1][0] - points[0][0]
  if (count < SAMPLES_MIN || overMs < WATCHED_MS_MIN) return undefined
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / count
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / count
  let xx = 0
  let xy = 0
  let yy = 0
  for (const [x, y] of points) {
    xx += (x - meanX) ** 2
    xy += (x - meanX) * (y - meanY)
    yy += (y - meanY) ** 2
  }
  const slope = xy / xx
  const error = Math.sqrt(Math.max(0, yy - slope * xy) / (count - 2) / xx)
  return { bytesPerHour: Math.abs(slope) > GROWTH_SIGMAS * error ? slope * HOUR_MS : 0, overMs }
}

/** @param limitBytes  what there is of it; undefined where that is not known */
export function forecastOf(usedBytes: number, limitBytes: number | undefined, trend: Trend | undefined, nowMs: number): Forecast {
  const aheadMs =
    limitBytes !== undefined && trend && trend.bytesPerHour > 0 ? ((limitBytes - usedBytes) / trend.bytesPerHour) * HOUR_MS : NaN
  return {
    usedBytes,
    ...(limitBytes !== undefined && { limitBytes }),
    ...trend,
    ...(aheadMs <= AHEAD_MS_MAX && { fullAtMs: Math.round(nowMs + Math.max(0, aheadMs)) }),
  }
}
