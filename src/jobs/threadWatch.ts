// Whether an engine thread gets on: its beats (engine/progress.ts), looked at a few times a second.
//
// Invariants
//   1. Only time in which the main thread was awake and looked counts: a laptop that slept, a process that was stopped or a main thread that was busy
//      itself hold nobody up. Between two looks no more than twice the pause between them is counted.
//   2. A thread that has any beat between two looks gets on, however long its step is. One that has not begun is not held up.
import { newProgress, readProgress } from '../engine/index.ts'

/** How often threads are looked at. */
export const LOOK_MS = 250
/** A thread without a beat for so long is held up: nobody who wants something of it waits, and what nobody wants any more does not go on in it. */
export const HELD_MS = 3_000
/** A query that holds its thread up for so long has failed, unless the configuration says otherwise. */
export const STALL_TIMEOUT_MS = 60_000

/** What holds a thread up. */
export interface HeldUp {
  /** For how long it has not got on. */
  heldMs: number
  /** Number of the query at work; 0 if that is not known. */
  query: number
  /** The function that has not returned, if it is one of the user or a pattern. */
  function: string | undefined
}

export class ThreadWatch {
  /** For the thread, which writes to it. */
  readonly shared: SharedArrayBuffer
  private beats = 0
  private heldMs = 0

  constructor(shared = newProgress()) {
    this.shared = shared
  }

  /** @param elapsedMs  since the last call, by a clock that does not jump */
  look(elapsedMs: number): void {
    const { beats } = readProgress(this.shared)
    this.heldMs = beats === this.beats && beats !== 0 ? this.heldMs + Math.min(elapsedMs, 2 * LOOK_MS) : 0
    this.beats = beats
  }

  /** How it stands since the last look. */
  get state(): HeldUp {
    const { query, function: name } = readProgress(this.shared)
    return { heldMs: this.heldMs, query, function: name }
  }
}
