// Behind which operators the order counts in which the key groups of a divided one give out their rows, or the event time that these see.
//
//   GROUP BY k --> ARRAY_AGG(n)      it has the groups' changes in the order of the rows that caused them
//   GROUP BY k --> SUM(n)            whatever the order, the sum is the same: nothing is kept for it
import { isOrderly, type Plan } from '../../sql/index.ts'
import type { Node } from '../graphNodes.ts'
import { SpillingOperator } from './spillingOperator.ts'

/**
 * To a node the order of an input's rows counts, or the event time that each has seen.
 *
 * @param isMixed  rows that it compares may come of different key groups of the input
 */
export function countsOrder(plan: Plan, input: Plan, isMixed: boolean): boolean {
  if (ranksArrivals.has(plan.node) && isMixed && input.changelog === 'append') return true
  switch (plan.node) {
    case 'groupAggregate':
      return plan.aggregates.some(isOrderly)
    case 'windowTvf':
      return plan.window.kind === 'SESSION'
    case 'deduplicate':
      return !plan.processingTime
    case 'topN':
      return plan.windowed !== undefined
    default:
      return decidesByTime.has(plan.node)
  }
}
const decidesByTime: ReadonlySet<Plan['node']> = new Set([
  'windowAggregate',
  'windowJoin',
  'intervalJoin',
  'temporalJoin',
  'over',
  'match',
  'sort',
])
/** Of rows that are equal to them the first or the last one counts. */
const ranksArrivals: ReadonlySet<Plan['node']> = new Set(['topN', 'limit', 'deduplicate', 'normalize'])

/**
 * What comes out of a node does so as from memory, also with state on the disk. Windows need nothing for that: what they give out is of a time
 * that no watermark had reached, and the order of their keys is nobody's.
 */
export function keepOrder(node: Node): void {
  const { plan, operator } = node
  if (node.keepsOrder || windowed.has(plan.node) || (plan.node === 'windowTvf' && plan.window.kind === 'SESSION')) return
  if (plan.node === 'topN' && plan.windowed !== undefined) return
  node.keepsOrder = true
  if (operator instanceof SpillingOperator) operator.keepOrder()
  for (const input of node.inputs) keepOrder(input)
}
const windowed: ReadonlySet<Plan['node']> = new Set(['windowAggregate', 'windowJoin', 'match'])
