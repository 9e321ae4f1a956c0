// Filters as near to the sources as they can go, and neighbouring calcs as one.
//
// Invariants
//   1. A filter never passes a watermark: rows that it drops still advance event time.
//   2. What differs from call to call (RAND, UUID) stays where it was written.
//   3. A filter above an OVER stays directly above it, where Top-N is recognized.
import { filter, joinFields } from './bind-plan.ts'
import { andAll, callCount, columnExpr, columnsOf, conjuncts, isStable, mapColumns, rejectsNulls } from './expr.ts'
import type { Expr, Plan } from './plan.ts'
import { inputsOf, withInputs } from './plan-tree.ts'

type Node<N extends Plan['node']> = Extract<Plan, { node: N }>

export const pushDown = (plan: Plan): Plan => push(plan, [])

/** The plan's rows for which all conditions hold, each applied as early as possible. */
function push(plan: Plan, conditions: readonly Expr[]): Plan {
  switch (plan.node) {
    case 'calc':
      return pushCalc(plan, conditions)
    case 'union':
      return { ...plan, inputs: plan.inputs.map((input) => push(input, conditions)) }
    case 'join':
      return pushJoin(plan, conditions)
    case 'groupAggregate':
      return pushBelow(plan, conditions, (column) => (column < plan.keys.length && plan.keys.length > 0 ? plan.keys[column] : undefined))
    case 'over':
      return pushBelow(plan, conditions, (column) => (plan.partitionKeys.includes(column) ? column : undefined))
    case 'windowTvf': {
      const { window, input } = plan
      const passes = (column: number): boolean =>
        column < input.fields.length && (window.kind !== 'SESSION' || window.partitionKeys.includes(column))
      return pushBelow(plan, conditions, (column) => (passes(column) ? column : undefined))
    }
    case 'correlate':
      return pushBelow(plan, conditions, (column) => (column < plan.input.fields.length ? column : undefined))
    case 'temporalJoin': {
      const width = plan.left.fields.length
      const [own, rest] = split(conditions, (condition) => isStable(condition) && reads(condition, (column) => column < width))
      return filtered({ ...plan, left: push(plan.left, own), right: push(plan.right, []) }, rest)
    }
    default:
      return filtered(
        withInputs(
          plan,
          inputsOf(plan).map((input) => push(input, [])),
        ),
        conditions,
      )
  }
}

const filtered = (plan: Plan, conditions: readonly Expr[]): Plan => filter(plan, andAll(conditions))
const reads = (expr: Expr, test: (column: number) => boolean): boolean => [...columnsOf(expr)].every(test)

function split<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))]
}

/** Conditions over columns that the node takes from its input as they are go below it. */
function pushBelow<P extends Extract<Plan, { input: Plan }>>(
  plan: P,
  conditions: readonly Expr[],
  toInput: (column: number) => number | undefined,
): Plan {
  const canPass = (condition: Expr): boolean => {
    const columns = [...columnsOf(condition)]
    return columns.length > 0 && isStable(condition) && columns.every((column) => toInput(column) !== undefined)
  }
  const [below, above] = split(conditions, canPass)
  const input = push(
    plan.input,
    below.map((condition) =>
      mapColumns(condition, (column) => columnExpr(toInput(column.index)!, plan.input.fields[toInput(column.index)!].type)),
    ),
  )
  return filtered({ ...plan, input }, above)
}

function pushCalc(plan: Node<'calc'>, conditions: readonly Expr[]): Plan {
  const { projections } = plan
  const [passing, staying] = split(conditions, (condition) => [...columnsOf(condition)].every((column) => isStable(projections[column])))
  const below = passing.map((condition) => mapColumns(condition, (column) => projections[column.index]))
  const own = conjuncts(plan.predicate)
  const [stableOwn, unstableOwn] = split(own, isStable)
  const input = push(plan.input, [...stableOwn, ...below.filter(isStable)])
  const predicate = andAll([...unstableOwn, ...below.filter((condition) => !isStable(condition))])
  const { predicate: _, ...rest } = plan
  return filtered({ ...rest, input, ...(predicate && { predicate }) }, staying)
}

// ---------------------------------------------------------------- joins

function pushJoin(plan: Node<'join'>, conditions: readonly Expr[]): Plan {
  const width = plan.left.fields.length
  const isLeft = (column: number): boolean => column < width
  const isRight = (column: number): boolean => column >= width
  const kind = reducedKind(plan.kind, conditions, isLeft, isRight)
  const [stable, unstable] = split(conditions, isStable)
  const on = conjuncts(plan.condition)
  // Which conditions after the join, and which of ON, may be applied before it, by side.
  const keepsLeft = kind === 'INNER' || kind === 'LEFT' || kind === 'SEMI' || kind === 'ANTI'
  const keepsRight = kind === 'INNER' || kind === 'RIGHT'
  const [afterLeft, others] = split(stable, (condition) => keepsLeft && hasColumns(condition) && reads(condition, isLeft))
  const [afterRight, rest] = split(others, (condition) => keepsRight && hasColumns(condition) && reads(condition, isRight))
  const [onLeft, onOthers] = split(
    on,
    (condition) => (kind === 'INNER' || kind === 'RIGHT' || kind === 'SEMI') && isMovable(condition, isLeft),
  )
  const [onRight, onRest] = split(onOthers, (condition) => kind !== 'RIGHT' && kind !== 'FULL' && isMovable(condition, isRight))
  const [merged, above] = kind === 'INNER' ? [rest, unstable] : [[], [...rest, ...unstable]]
  const toRight = (condition: Expr): Expr => mapColumns(condition, (column) => ({ ...column, index: column.index - width }))
  const left = push(plan.left, [...afterLeft, ...onLeft])
  const right = push(plan.right, [...afterRight, ...onRight].map(toRight))
  const condition = andAll([...onRest, ...merged])
  const { condition: _, ...base } = plan
  const fields = kind === plan.kind ? plan.fields : joinFields(kind, plan.left, plan.right)
  return filtered({ ...base, kind, left, right, fields, ...(condition && { condition }) }, above)
}

const hasColumns = (expr: Expr): boolean => columnsOf(expr).size > 0
const isMovable = (condition: Expr, side: (column: number) => boolean): boolean =>
  hasColumns(condition) && isStable(condition) && reads(condition, side)

/** An outer join whose added rows the conditions reject is none. */
function reducedKind(
  kind: Node<'join'>['kind'],
  conditions: readonly Expr[],
  isLeft: (column: number) => boolean,
  isRight: (column: number) => boolean,
) {
  let result = kind
  for (const condition of conditions) {
    if (rejectsNulls(condition, isRight)) result = result === 'LEFT' ? 'INNER' : result === 'FULL' ? 'RIGHT' : result
    if (rejectsNulls(condition, isLeft)) result = result === 'RIGHT' ? 'INNER' : result === 'FULL' ? 'LEFT' : result
  }
  return result
}

// ---------------------------------------------------------------- neighbouring calcs

/** Calls that may be computed twice rather than in a calc of their own. */
const REPEATED_CALLS_MAX = 2

/** Merges each calc with the calc below it, and drops those that change nothing. */
export function mergeCalcs(plan: Plan): Plan {
  const merged = withInputs(plan, inputsOf(plan).map(mergeCalcs))
  if (merged.node !== 'calc') return merged
  const { input } = merged
  if (input.node === 'calc' && canMerge(merged, input)) return mergeCalcs(mergedCalc(merged, input))
  return isIdentity(merged) ? passThrough(merged) : merged
}

function canMerge(outer: Node<'calc'>, inner: Node<'calc'>): boolean {
  const uses = new Map<number, number>()
  const count = (expr: Expr): void => {
    if (expr.kind === 'column') uses.set(expr.index, (uses.get(expr.index) ?? 0) + 1)
    else if (expr.kind === 'call') expr.args.forEach(count)
  }
  outer.projections.forEach(count)
  if (outer.predicate) count(outer.predicate)
  return inner.projections.every((expr, i) => {
    const used = uses.get(i) ?? 0
    if (!isStable(expr)) return used <= 1 && !(outer.predicate && columnsOf(outer.predicate).has(i))
    return used <= 1 || callCount(expr) <= REPEATED_CALLS_MAX
  })
}

function mergedCalc(outer: Node<'calc'>, inner: Node<'calc'>): Node<'calc'> {
  const over = (expr: Expr): Expr => mapColumns(expr, (column) => inner.projections[column.index])
  const predicate = andAll([...conjuncts(inner.predicate), ...conjuncts(outer.predicate).map(over)])
  const { predicate: _, ...rest } = outer
  return { ...rest, input: inner.input, projections: outer.projections.map(over), ...(predicate && { predicate }) }
}

const isIdentity = ({ projections, predicate, input }: Node<'calc'>): boolean =>
  predicate === undefined &&
  projections.length === input.fields.length &&
  projections.every((expr, i) => expr.kind === 'column' && expr.index === i)

/** The input under the calc's names; a scan keeps its own, which are those of the table. */
function passThrough(calc: Node<'calc'>): Plan {
  const { input } = calc
  const isNamed = calc.fields.every((field, i) => field.name === input.fields[i].name)
  if (isNamed) return input
  if (input.node === 'scan') return calc
  return { ...input, fields: input.fields.map((field, i) => ({ ...field, name: calc.fields[i].name })) } as Plan
}
