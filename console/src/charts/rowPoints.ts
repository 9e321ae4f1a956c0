// Rows to the points of a time chart. Pure.
//
// Invariants
//   1. Every row is in exactly one point, or is left out and counted: because it has no time, or because there are more points than are drawn.
//   2. A point is the sum of its rows, NULLs left out; of NULLs alone it is null.
//   Held by charts.test.ts.
import { timestampMs } from '../api/columns.ts'
import type { LiveRow } from '../api/liveTable.ts'

export interface RowPoints {
  /** Ascending, epoch ms. */
  timesMs: number[]
  /** Between two of them at least. */
  stepMs: number
  /** By series, then by time. */
  values: (number | null)[][]
  /** Rows without a time. */
  timeless: number
  /** Rows before the oldest point that is drawn. */
  older: number
}

/** More would be less than a pixel each. */
export const POINTS_MAX = 500
const stepsMs = [1_000, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000]

export const numberOf = (cell: unknown): number | null => (cell === null || cell === undefined ? null : Number(cell))

/** By a column of time, as it is. */
export function eventPoints(rows: readonly LiveRow[], timeIndex: number, numeric: readonly number[]): RowPoints {
  const points = pointsOf(rows, numeric, ({ cells }) => timestampMs(cells[timeIndex]))
  const { timesMs } = points
  const gaps = timesMs.slice(1).map((atMs, i) => atMs - timesMs[i]!)
  return { ...points, stepMs: Math.max(1_000, Math.min(...gaps, 3_600_000)) }
}

/** By when each row changed last, in steps that fit the time it took. Rows that were there before have no such time. */
export function arrivalPoints(rows: readonly LiveRow[], numeric: readonly number[]): RowPoints {
  const timesMs = rows.map(({ changedAtMs }) => changedAtMs).filter((ms) => ms > 0)
  const spanMs = timesMs.reduce((most, ms) => Math.max(most, ms), 0) - timesMs.reduce((least, ms) => Math.min(least, ms), Number.MAX_VALUE)
  const stepMs = stepsMs.find((one) => spanMs / one < POINTS_MAX / 2) ?? stepsMs.at(-1)!
  const points = pointsOf(rows, numeric, ({ changedAtMs }) => (changedAtMs > 0 ? Math.floor(changedAtMs / stepMs) * stepMs : Number.NaN))
  return { ...points, stepMs }
}

function pointsOf(rows: readonly LiveRow[], numeric: readonly number[], timeOf: (row: LiveRow) => number): Omit<RowPoints, 'stepMs'> {
  const sums = new Map<number, { count: number; values: (number | null)[] }>()
  let timeless = 0
  for (const row of rows) {
    const atMs = timeOf(row)
    if (Number.isNaN(atMs)) {
      timeless++
      continue
    }
    const before = sums.get(atMs)
    const values = numeric.map((index, i) => {
      const value = numberOf(row.cells[index])
      const sum = before?.values[i] ?? null
      return value === null ? sum : (sum ?? 0) + value
    })
    sums.set(atMs, { count: (before?.count ?? 0) + 1, values })
  }
  const all = [...sums].sort(([a], [b]) => a - b)
  const drawn = all.slice(-POINTS_MAX)
  const older = all.slice(0, all.length - drawn.length).reduce((sum, [, { count }]) => sum + count, 0)
  const values = numeric.map((_, i) => drawn.map(([, { values }]) => values[i]!))
  return { timesMs: drawn.map(([atMs]) => atMs), values, timeless, older }
}
