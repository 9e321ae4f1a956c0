// How far event time has come, and how fast it moves against the clock.
import type { Stats } from '../../../src/serve/contract.ts'

/** The newest watermark of the running queries: how far event time has come. */
export function eventTimeMs(stats: Pick<Stats, 'queries'> | null): number | null {
  const marks = (stats?.queries ?? []).flatMap((query) => (query.watermarkMs === undefined ? [] : [query.watermarkMs]))
  // A source that ended has the largest watermark there is, which is no time of day.
  const sensible = marks.filter((ms) => Math.abs(ms) < 8.64e15)
  return sensible.length > 0 ? Math.max(...sensible) : null
}

const speedSampleCountMin = 8
const speedSampleCountMax = 40

/**
 * How many times faster than the clock event time moves; null until it is known. The median of the last steps from one second to the
 * next, because a replay that starts over jumps by hours in one of them.
 */
export function measuredSpeed(history: readonly Pick<Stats, 'atMs' | 'queries'>[]): number | null {
  const speeds: number[] = []
  const recent = history.slice(-speedSampleCountMax - 1)
  for (let i = 1; i < recent.length; i++) {
    const [before, after] = [recent[i - 1]!, recent[i]!]
    const [from, to] = [eventTimeMs(before), eventTimeMs(after)]
    if (from !== null && to !== null && after.atMs > before.atMs) speeds.push((to - from) / (after.atMs - before.atMs))
  }
  if (speeds.length < speedSampleCountMin) return null
  const median = speeds.sort((left, right) => left - right)[Math.floor(speeds.length / 2)]!
  return median > 0 ? median : null
}
