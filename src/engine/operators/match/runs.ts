// The matches of one partition that have begun, and which of them are given out.
//
// Flink's CEP, not the SQL standard: rows are strictly contiguous; a greedy loop takes every row that fits and never gives one back;
// also one that is full: what it would take is not for the next variable. A reluctant loop tries both, to go on and to leave. A match is held back while one that began earlier may still become a match,
// unless matches may overlap (NO SKIP).
//
// Where several matches that begin at one row are complete with the same row, one of them is given out. Flink takes the one that its
// java.util.PriorityQueue, ordered by the first row alone, happens to have in front: so runs are kept in such heaps (heap.ts).
import type { MatchPlan } from '../../../sql/index.ts'
import { beat } from '../../progress.ts'
import type { Row } from '../rows.ts'
import { heapAdd, heapFilter, heapPoll } from './heap.ts'
import type { MatchExpressions, Taken } from './values.ts'

/** A match that has begun; the first of all has taken no row, and begins with each. */
interface Run {
  /** Number of its first row within the partition; Infinity for the one that has none. */
  start: number
  startMs: number
  taken: Taken[]
  /** Where in the pattern it is, and the rows taken there. */
  step: number
  count: number
}

export interface RunsState {
  rowNumber: number
  /** A heap by `start`. */
  open: Run[]
  /** Complete, but held back by a run that began earlier: a heap by `start`. */
  complete: Run[]
}

const isBefore = (a: Run, b: Run): boolean => a.start < b.start

export const newRuns = (): RunsState => ({
  rowNumber: 0,
  open: [{ start: Infinity, startMs: Infinity, taken: [], step: 0, count: 0 }],
  complete: [],
})

/** State of before a begin was a run of its own, and its lists were heaps. */
export function withBegin(state: RunsState): RunsState {
  if (state.open.some(({ start }) => start === Infinity)) return state
  const upgraded = { ...newRuns(), rowNumber: state.rowNumber }
  for (const run of state.open) heapAdd(upgraded.open, run, isBefore)
  for (const run of state.complete) heapAdd(upgraded.complete, run, isBefore)
  return upgraded
}

export class Matcher {
  private readonly spec: MatchPlan
  private readonly expressions: MatchExpressions

  constructor(spec: MatchPlan, expressions: MatchExpressions) {
    this.spec = spec
    this.expressions = expressions
  }

  /** Takes the next row of a partition; gives the matches that are out, each as its rows. */
  next(state: RunsState, row: Row, timeMs: number): Taken[][] {
    const out = this.expire(state, timeMs)
    const number = state.rowNumber++
    const open: Run[] = []
    const found: Run[] = []
    for (const run of state.open) {
      beat()
      const isStart = run.start === Infinity
      for (const next of this.successors(isStart ? { ...run, start: number, startMs: timeMs, taken: [] } : run, row)) {
        const isComplete = this.isComplete(next)
        if (!isComplete || this.canGoOn(next)) heapAdd(open, isComplete ? { ...next, taken: next.taken.slice() } : next, isBefore)
        if (isComplete) heapAdd(found, next, isBefore)
      }
      if (isStart) heapAdd(open, run, isBefore)
    }
    state.open = open
    if (this.spec.afterMatch.kind === 'NO SKIP') return [...out, ...found.map(({ taken }) => taken)]
    for (const run of found) heapAdd(state.complete, run, isBefore)
    return [...out, ...this.settle(state)]
  }

  /** Gives up what has taken too long: a match is shorter than the limit. */
  expire(state: RunsState, timeMs: number): Taken[][] {
    const { withinMs } = this.spec
    if (withinMs === undefined) return []
    const left = state.open.filter(({ start, startMs }) => start === Infinity || timeMs - startMs < withinMs)
    if (left.length === state.open.length) return []
    state.open = []
    for (const run of left) heapAdd(state.open, run, isBefore)
    return this.settle(state)
  }

  /** What a run becomes with one more row. */
  private successors(run: Run, row: Row): Run[] {
    const { pattern } = this.spec
    const takes: { step: number; count: number }[] = []
    for (let step = run.step, count = run.count; step < pattern.length; step++, count = 0) {
      const { variable, min, max = Infinity, greedy } = pattern[step]
      const fits = (greedy || count < max) && this.expressions.fits(variable, run.taken, row)
      if (fits && count < max) takes.push({ step, count: count + 1 })
      if (count < min || (fits && greedy)) break
    }
    return takes.map(({ step, count }, i) => {
      // The last one goes on with the list itself, the others with copies.
      const taken = i === takes.length - 1 ? run.taken : run.taken.slice()
      taken.push({ variable: pattern[step].variable, row })
      return { ...run, step, count, taken }
    })
  }

  /** Which variables may take the next row: `B or C`. */
  waitsFor(run: Run): string {
    const names: string[] = []
    for (let { step, count } = run; step < this.spec.pattern.length; step++, count = 0) {
      const { variable, min, max = Infinity } = this.spec.pattern[step]
      if (count < max) names.push(this.spec.variables[variable])
      if (count < min) break
    }
    return names.join(' or ')
  }

  private isComplete({ step, count }: Run): boolean {
    const { pattern } = this.spec
    return count >= pattern[step].min && pattern.slice(step + 1).every(({ min }) => min === 0)
  }

  /** A complete match whose last loops are reluctant may become a longer one. */
  private canGoOn({ step, count }: Run): boolean {
    const { pattern } = this.spec
    return step + 1 < pattern.length || count < (pattern[step].max ?? Infinity)
  }

  /** Gives out complete matches that no open run began before, earliest first, and drops what the skip rule excludes. */
  private settle(state: RunsState): Taken[][] {
    const out: Taken[][] = []
    while (state.complete.length > 0 && state.complete[0].start <= state.open[0].start) {
      const match = heapPoll(state.complete, isBefore)
      out.push(match.taken)
      const keepFrom = this.firstStartAfter(match)
      for (const runs of [state.open, state.complete]) heapFilter(runs, ({ start }) => start >= keepFrom, isBefore)
    }
    return out
  }

  /** The first row at which another match may begin. */
  private firstStartAfter({ start, taken }: Run): number {
    const { afterMatch } = this.spec
    switch (afterMatch.kind) {
      case 'PAST LAST ROW':
        return start + taken.length
      case 'FIRST':
      case 'LAST': {
        const isOf = ({ variable }: Taken) => variable === afterMatch.variable
        const at = afterMatch.kind === 'FIRST' ? taken.findIndex(isOf) : taken.findLastIndex(isOf)
        // Where the variable took no row, or the match's first, nothing more is skipped than the match's own beginning.
        return start + Math.max(at, 1)
      }
      default:
        return start + 1
    }
  }
}
