// From the plan as bound to the plan that runs:
//
//   fold constants  ->  push filters down, merge calcs  ->  choose operators (windows, ranks, joins)  ->  prune columns  ->  traits
import type { ColumnExpr } from './expr.ts'
import { columnsOf } from './expr.ts'
import { foldConstants } from './optimize-constants.ts'
import { physicalJoin, physicalTemporalJoin } from './optimize-joins.ts'
import { markJson } from './optimize-json.ts'
import { prune } from './optimize-prune.ts'
import { mergeCalcs, pushDown } from './optimize-pushdown.ts'
import { checkOver, rankedCalc } from './optimize-rank.ts'
import { annotate, annotateNode } from './optimize-traits.ts'
import { windowAggregateOf, withEveryVersion } from './optimize-windows.ts'
import type { AggregateCall, Plan } from './plan.ts'
import { inputsOf, mapPlanExprs, withInputs } from './plan-tree.ts'

/**
 * @returns a plan with the same fields, and with traits
 * @throws StreamError  for what a stream cannot compute: SQL_UPDATING_INPUT, SQL_OVER_UNSUPPORTED, SQL_RANK_UNSUPPORTED, SQL_TEMPORAL_JOIN, …
 */
export function optimize(bound: Plan): Plan {
  const physical = chooseOperators(mergeCalcs(pushDown(mapPlanExprs(markJson(bound), foldConstants))))
  const pruned = mergeCalcs(prune(mergeCalcs(physical)))
  const plan = annotate(absorbCalcs(mapPlanExprs(pruned, foldConstants)))
  return { ...plan, fields: plan.fields.map((field, i) => ({ ...field, name: bound.fields[i].name, type: bound.fields[i].type })) } as Plan
}

/** Aggregates whose result depends on the order of the changes that they see, as those of users may: each change counts, also of rows of one batch. */
const orderly: ReadonlySet<string> = new Set(['FIRST_VALUE', 'LAST_VALUE', 'LISTAGG', 'ARRAY_AGG', 'JSON_ARRAYAGG', 'JSON_OBJECTAGG'])
export const isOrderly = ({ fn, options }: AggregateCall): boolean => orderly.has(fn) || options?.user !== undefined

function withEveryChange(plan: Plan): Plan {
  if (plan.changelog === 'append') return plan
  const node = withInputs(plan, inputsOf(plan).map(withEveryChange))
  switch (node.node) {
    case 'groupAggregate':
    case 'topN':
    case 'limit':
      return { ...node, everyChange: true }
    case 'deduplicate':
      return withEveryVersion(node)
    default:
      return node
  }
}

/** A row that comes and goes makes a session longer, and what the order of changes counts for sees it, also if both are in one batch. */
function overEveryChange(plan: Plan): Plan {
  if (plan.node === 'calc') return { ...plan, input: overEveryChange(plan.input) }
  if (plan.node !== 'windowAggregate' || !(plan.window.kind === 'SESSION' || plan.aggregates.some(isOrderly))) return plan
  return { ...plan, input: withEveryChange(plan.input) }
}

function chooseOperators(plan: Plan): Plan {
  if (plan.node === 'calc' && plan.input.node === 'over') {
    const width = plan.input.input.fields.length
    const read = [...plan.projections, ...(plan.predicate ? [plan.predicate] : [])].flatMap((expr) => [...columnsOf(expr)])
    // What nobody reads need not be computable.
    if (read.every((column) => column < width)) return chooseOperators({ ...plan, input: plan.input.input })
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
      if (windowed !== undefined) return annotate(overEveryChange(annotate(windowed)))
      return annotateNode(node.aggregates.some(isOrderly) ? { ...node, input: withEveryChange(node.input) } : node)
    }
    case 'windowAggregate':
      return annotateNode(overEveryChange({ ...node, input: withEveryVersion(node.input) }))
    case 'union':
      return annotateNode({ ...node, inputs: node.inputs.flatMap((input) => (input.node === 'union' ? input.inputs : [input])) })
    case 'join':
      return physicalJoin(node)
    case 'temporalJoin':
      // Each change of the right side is a version of its own.
      return physicalTemporalJoin({ ...node, right: withEveryChange(node.right) })
    case 'over':
      checkOver(node)
      return annotateNode(node)
    default:
      return annotateNode(node)
  }
}

/** An aggregate takes its columns from below a calc that only picks and orders columns. */
function absorbCalcs(plan: Plan): Plan {
  const node = withInputs(plan, inputsOf(plan).map(absorbCalcs))
  if ((node.node !== 'groupAggregate' && node.node !== 'windowAggregate') || node.input.node !== 'calc') return node
  const { projections, predicate, input } = node.input
  if (predicate !== undefined || !projections.every((expr) => expr.kind === 'column')) return node
  const at = (ordinal: number): number => (projections[ordinal] as ColumnExpr).index
  const aggregates = node.aggregates.map((aggregate) => ({
    ...aggregate,
    args: aggregate.args.map(at),
    ...(aggregate.filter !== undefined && { filter: at(aggregate.filter) }),
  }))
  const keys = node.keys.map(at)
  if (node.node === 'groupAggregate') return { ...node, input, keys, aggregates }
  return {
    ...node,
    input,
    keys,
    aggregates,
    timeColumn: at(node.timeColumn),
    window: { ...node.window, partitionKeys: node.window.partitionKeys.map(at) },
    ...(node.attached && { attached: { start: at(node.attached.start), end: at(node.attached.end) } }),
  }
}
