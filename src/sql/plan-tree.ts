// Walking plans: inputs and expressions of any node, without knowing which.
import type { Expr, Plan } from './plan.ts'

export function inputsOf(plan: Plan): Plan[] {
  if ('left' in plan) return [plan.left, plan.right]
  if ('inputs' in plan) return plan.inputs
  return 'input' in plan ? [plan.input] : []
}

/** The node over other inputs with the same columns. */
export function withInputs<P extends Plan>(plan: P, inputs: readonly Plan[]): P {
  if (inputsOf(plan).every((input, i) => input === inputs[i])) return plan
  if ('left' in plan) return { ...plan, left: inputs[0], right: inputs[1] }
  if ('inputs' in plan) return { ...plan, inputs: [...inputs] }
  return { ...plan, input: inputs[0] }
}

/** Expressions of the node itself, over its inputs' columns (left before right). */
export function exprsOf(plan: Plan): Expr[] {
  switch (plan.node) {
    case 'calc':
      return plan.predicate ? [...plan.projections, plan.predicate] : plan.projections
    case 'watermark':
      return [plan.expression]
    case 'correlate':
      return plan.condition ? [...plan.args, plan.condition] : plan.args
    case 'join':
    case 'intervalJoin':
    case 'windowJoin':
    case 'temporalJoin':
      return plan.condition ? [plan.condition] : []
    default:
      return []
  }
}

export const somePlan = (plan: Plan, test: (node: Plan) => boolean): boolean =>
  test(plan) || inputsOf(plan).some((input) => somePlan(input, test))

/** The tree with each expression changed; columns stay where they are. */
export function mapPlanExprs(plan: Plan, change: (expr: Expr) => Expr): Plan {
  const node = withInputs(
    plan,
    inputsOf(plan).map((input) => mapPlanExprs(input, change)),
  )
  switch (node.node) {
    case 'calc':
      return { ...node, projections: node.projections.map(change), ...(node.predicate && { predicate: change(node.predicate) }) }
    case 'watermark':
      return { ...node, expression: change(node.expression) }
    case 'correlate':
      return { ...node, args: node.args.map(change), ...(node.condition && { condition: change(node.condition) }) }
    case 'join':
    case 'intervalJoin':
    case 'windowJoin':
    case 'temporalJoin':
      return node.condition ? { ...node, condition: change(node.condition) } : node
    case 'match': {
      const { define, measures } = node.spec
      const changed = define.map((one) => one && { ...one, condition: change(one.condition) })
      return { ...node, spec: { ...node.spec, define: changed, measures: { ...measures, exprs: measures.exprs.map(change) } } }
    }
    default:
      return node
  }
}
