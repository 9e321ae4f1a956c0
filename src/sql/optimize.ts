// From the plan as bound to the plan that runs:
//
//   push filters down, merge calcs  ->  choose operators (windows, ranks, joins)  ->  prune columns  ->  traits
import { physicalJoin, physicalTemporalJoin } from './optimize-joins.ts'
import { prune } from './optimize-prune.ts'
import { mergeCalcs, pushDown } from './optimize-pushdown.ts'
import { checkOver, rankedCalc } from './optimize-rank.ts'
import { annotate, annotateNode } from './optimize-traits.ts'
import { windowAggregateOf } from './optimize-windows.ts'
import type { Plan } from './plan.ts'
import { inputsOf, withInputs } from './plan-tree.ts'

/**
 * @returns a plan with the same fields, and with traits
 * @throws StreamError  for what a stream cannot compute: SQL_UPDATING_INPUT, SQL_OVER_UNSUPPORTED, SQL_RANK_UNSUPPORTED, SQL_TEMPORAL_JOIN, …
 */
export function optimize(bound: Plan): Plan {
  const physical = chooseOperators(mergeCalcs(pushDown(bound)))
  const plan = annotate(mergeCalcs(prune(mergeCalcs(physical))))
  return { ...plan, fields: plan.fields.map((field, i) => ({ ...field, name: bound.fields[i].name, type: bound.fields[i].type })) } as Plan
}

function chooseOperators(plan: Plan): Plan {
  if (plan.node === 'calc' && plan.input.node === 'over') {
    const over = { ...plan.input, input: chooseOperators(plan.input.input) }
    const ranked = rankedCalc(plan, over)
    if (ranked !== undefined) return ranked
    checkOver(over)
    return annotateNode({ ...plan, input: annotateNode(over) })
  }
  const node = withInputs(plan, inputsOf(plan).map(chooseOperators))
  switch (node.node) {
    case 'groupAggregate': {
      const windowed = windowAggregateOf(node)
      return windowed === undefined ? annotateNode(node) : annotate(windowed)
    }
    case 'join':
      return physicalJoin(node)
    case 'temporalJoin':
      return physicalTemporalJoin(node)
    case 'over':
      checkOver(node)
      return annotateNode(node)
    default:
      return annotateNode(node)
  }
}
