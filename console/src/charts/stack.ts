// Arithmetic of the charts, apart from their drawing.

/** The next round number: the axis moves seldom. */
export function roundUp(value: number): number {
  if (!(value > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  const step = [1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= value) ?? 10
  return step * power
}

/** The next whole number of its unit of bytes that is round. */
export function roundUpBytes(bytes: number): number {
  const unit = 1_024 ** Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  return Math.max(1, roundUp(bytes / unit)) * unit
}

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
/** What people count time in, in ms: tens below a second, then quarters and halves of a minute, an hour, a day. */
export const durationStepsMs: number[] = [
  ...[0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND_MS),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE_MS),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR_MS),
  ...[1, 2, 5].flatMap((count) => [1, 10, 100, 1_000, 10_000].map((ten) => count * ten * DAY_MS)).sort((a, b) => a - b),
]

/** The next of their multiples: at most five steps are to the top. */
export function roundUpDuration(ms: number): number {
  if (!(ms > 0)) return 1
  const step = durationStepsMs.find((one) => ms <= 5 * one) ?? durationStepsMs.at(-1)!
  return step * Math.ceil(ms / step - 1e-9)
}

/** Series k becomes the sum of the series 0 to k; nothing counts as 0. */
export function stack(series: readonly (readonly (number | null)[])[]): number[][] {
  const sums: number[][] = []
  for (const values of series) {
    const below = sums.at(-1)
    sums.push(values.map((value, index) => (value ?? 0) + (below?.[index] ?? 0)))
  }
  return sums
}

// Written so, each is the number that uPlot knows the digits of: it rounds marks at other steps to whole numbers.
const decimalSteps = Array.from({ length: 22 }, (_, i) => i - 6).flatMap((power) => [1, 2, 5].map((digit) => Number(`${digit}e${power}`)))

/** Steps of an axis that `format` can write: whole ones, if it writes no fractions; else of one digit, as 0.25 would be written 0.3. */
export function stepsFor(format: (value: number) => string): number[] {
  const isWhole = [format(0), format(1)].includes(format(0.5))
  return isWhole ? decimalSteps.filter((step) => step >= 1) : decimalSteps
}
