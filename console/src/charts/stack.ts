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

/** Series k becomes the sum of the series 0 to k; nothing counts as 0. */
export function stack(series: readonly (readonly (number | null)[])[]): number[][] {
  const sums: number[][] = []
  for (const values of series) {
    const below = sums.at(-1)
    sums.push(values.map((value, index) => (value ?? 0) + (below?.[index] ?? 0)))
  }
  return sums
}
