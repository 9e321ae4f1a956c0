// In how many subtasks a query runs: as many as are wanted, unless its plan has nothing to do for more than one.
import { inputsOf, type Plan } from '../../sql/index.ts'
import { type Distribution, distributionOf, exchangesOf, sinkExchange } from './distribution.ts'

export interface Parallelism {
  subtasks: number
  /** Why it is one, where more were wanted. */
  reason?: string
}

/** Where rows would be exchanged: 'hash' or 'single', input by input. */
function exchangesIn(plan: Plan, sinkKey: readonly number[] | undefined): Set<Distribution['kind']> {
  const found = new Set<Distribution['kind']>()
  const visit = (node: Plan): Distribution => {
    const have = inputsOf(node).map(visit)
    const wanted = exchangesOf(node, have)
    for (const distribution of wanted) if (distribution) found.add(distribution.kind)
    return distributionOf(
      node,
      have.map((one, i) => wanted[i] ?? one),
      () => false,
    )
  }
  const root = visit(plan)
  const last = sinkKey && sinkExchange(sinkKey, root)
  if (last) found.add(last.kind)
  return found
}

/**
 * @param sinkKey         columns of the result by which its target keeps one row each, if it does
 * @param partitionCounts of the topics that it reads
 */
export function parallelismOf(
  plan: Plan,
  wanted: number,
  sinkKey: readonly number[] | undefined,
  partitionCounts: readonly number[],
): Parallelism {
  if (wanted <= 1 || partitionCounts.length === 0) return { subtasks: 1 }
  const exchanges = exchangesIn(plan, sinkKey)
  if (partitionCounts.some((count) => count > 1) || exchanges.has('hash')) return { subtasks: wanted }
  const why = exchanges.has('single') ? 'all rows meet in one place (no step has a key to divide them by)' : 'no step divides rows by a key'
  return { subtasks: 1, reason: `${why}, and each topic that it reads has one partition` }
}
