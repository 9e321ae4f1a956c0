// JSON inside of JSON is not quoted again where a JSON function stands there; as in Flink that holds too where it stands in a query below, as
// long as nothing but projections and filters is between.
import { mapExpr } from './expr.ts'
import { isJson } from './functions/index.ts'
import type { AggregateCall, Expr, Plan } from './plan.ts'
import { inputsOf, withInputs } from './plan-tree.ts'

export function markJson(plan: Plan): Plan {
  const node = withInputs(plan, inputsOf(plan).map(markJson))
  if (node.node === 'calc') {
    const marked = (expr: Expr): Expr => mapExpr(expr, (one) => withJsonArguments(one, node.input))
    return { ...node, projections: node.projections.map(marked), ...(node.predicate && { predicate: marked(node.predicate) }) }
  }
  if (node.node !== 'groupAggregate' && node.node !== 'windowAggregate') return node
  return { ...node, aggregates: node.aggregates.map((aggregate) => withJsonValue(aggregate, node.input)) }
}

function withJsonArguments(expr: Expr, input: Plan): Expr {
  if (expr.kind !== 'call') return expr
  if (expr.fn === 'JSON_STRING') return makesJson(expr.args[0], input) ? expr.args[0] : expr
  if (expr.fn !== 'JSON_OBJECT' && expr.fn !== 'JSON_ARRAY') return expr
  const raw = expr.args.flatMap((arg, i) => (makesJson(arg, input) ? [i] : []))
  return raw.length === 0 ? expr : { ...expr, options: { ...expr.options, raw } }
}

function withJsonValue(aggregate: AggregateCall, input: Plan): AggregateCall {
  const isAggregate = aggregate.fn === 'JSON_OBJECTAGG' || aggregate.fn === 'JSON_ARRAYAGG'
  const value = aggregate.args.at(-1)
  if (!isAggregate || value === undefined || !makesJsonAt(value, input)) return aggregate
  return { ...aggregate, options: { ...aggregate.options, raw: true } }
}

const makesJson = (expr: Expr, input: Plan): boolean => (expr.kind === 'column' ? makesJsonAt(expr.index, input) : isJson(expr))
function makesJsonAt(ordinal: number, plan: Plan): boolean {
  return plan.node === 'calc' && makesJson(plan.projections[ordinal], plan.input)
}
