// What a benchmark was measured on, printed with every figure.
import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, totalmem } from 'node:os'

export function machineText(): string {
  const kernel = execFileSync('uname', ['-sr'], { encoding: 'utf8' }).trim()
  return `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${kernel}, Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`
}

export const perSecond = (count: number, ms: number): string => {
  const rate = (count / ms) * 1_000
  return rate >= 1e6 ? `${(rate / 1e6).toFixed(2)} M/s` : rate >= 1e3 ? `${(rate / 1e3).toFixed(0)} K/s` : `${rate.toFixed(0)} /s`
}

export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted.length === 0 ? Number.NaN : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
}
