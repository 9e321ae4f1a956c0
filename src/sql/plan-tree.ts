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
