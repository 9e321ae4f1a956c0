// In how many subtasks the queries of a seed run, and how much of their state may be in memory. Chosen from a stream of its own: seeds without
// subtasks and without state on the disk are what they were before there was any.
import { Random } from './random.ts'

/** In how many subtasks queries run, and how much of their state may be in memory. */
export interface Scaling {
  /** Of all that is new with it: seeds without it stay as they were. */
  random: Random
  /** Each start of a query has one of these. */
  parallelisms: readonly number[]
  /** Each start of the process has one of these; none: all state is in memory. */
  limitsBytes: readonly number[]
  /** Into how many parts state is divided that does not fit. */
  keyGroups: number
  /** Starts of queries so far, of all processes. */
  runs: number
}

export const SUBTASKS_MAX = 4
/** Of seeds that run queries in several subtasks, and with state on the disk. */
const SUBTASKS_SHARE = 0.4
const SPILL_SHARE = 0.3
const STREAM = 0x5ca1ed

export function scalingOf(seed: number): Scaling {
  const random = new Random(seed ^ STREAM)
  const anyNumber = Array.from({ length: SUBTASKS_MAX }, (_, i) => i + 1)
  const one = [random.int(2, SUBTASKS_MAX)]
  return {
    random,
    parallelisms: random.chance(SUBTASKS_SHARE) ? (random.chance(0.7) ? anyNumber : one) : [1],
    limitsBytes: random.chance(SPILL_SHARE) ? random.pick([[0], [0, 4_000], [0, 4_000, 1e9]]) : [],
    keyGroups: random.pick([3, 3, 7, 128]),
    runs: 0,
  }
}
