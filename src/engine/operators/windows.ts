// Which windows and which slices a time belongs to. All times here are local ms: of the window's zone.
//
// A slice is the longest stretch of time that lies in the same windows: TUMBLE, the window itself; HOP, gcd(size, slide); CUMULATE, the step.
// Rows are aggregated by slice and slices are merged when a window fires, so a row is added once, in however many windows it lies.
import type { PlanWindow } from '../../sql/index.ts'
import { type ZoneClock, zoneClock } from './timeZone.ts'

/** `time` rounded down to a multiple of `unit`, also before 1970. */
const floorTo = (time: number, unit: number): number => Math.floor(time / unit) * unit

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

export class WindowShape {
  readonly kind: PlanWindow['kind']
  readonly sizeMs: number
  /** Distance of two window ends. */
  readonly intervalMs: number
  readonly sliceMs: number
  readonly clock: ZoneClock
  private readonly offsetMs: number

  constructor(window: PlanWindow) {
    this.kind = window.kind
    this.sizeMs = window.sizeMs
    this.offsetMs = window.offsetMs
    this.intervalMs = window.kind === 'TUMBLE' || window.kind === 'SESSION' ? window.sizeMs : (window.stepMs ?? window.sizeMs)
    this.sliceMs = window.kind === 'HOP' ? gcd(window.sizeMs, this.intervalMs) : this.intervalMs
    this.clock = zoneClock(window.timeZone)
  }

  sliceStart(localMs: number): number {
    return floorTo(localMs - this.offsetMs, this.sliceMs) + this.offsetMs
  }

  /** End of the first window that holds the slice; beyond `lastWindowEnd` if none does (HOP with a slide longer than its size). */
  firstWindowEnd(sliceStart: number): number {
    if (this.kind !== 'HOP') return sliceStart + this.intervalMs
    const after = sliceStart + this.sliceMs - this.sizeMs - this.offsetMs
    return Math.ceil(after / this.intervalMs) * this.intervalMs + this.offsetMs + this.sizeMs
  }

  lastWindowEnd(sliceStart: number): number {
    switch (this.kind) {
      case 'HOP':
        return floorTo(sliceStart - this.offsetMs, this.intervalMs) + this.offsetMs + this.sizeMs
      case 'CUMULATE':
        return floorTo(sliceStart - this.offsetMs, this.sizeMs) + this.offsetMs + this.sizeMs
      default:
        return sliceStart + this.sizeMs
    }
  }

  /** Start of the window with this end. */
  windowStart(windowEnd: number): number {
    if (this.kind !== 'CUMULATE') return windowEnd - this.sizeMs
    return floorTo(windowEnd - 1 - this.offsetMs, this.sizeMs) + this.offsetMs
  }

  /** The watermark (or processing time), epoch ms, at which a window with this end fires. */
  firesAt(windowEnd: number): number {
    return this.clock.toEpochForTimer(windowEnd - 1)
  }
}
