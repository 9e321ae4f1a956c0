// EXPLAIN with what the engine makes of a plan: which steps keep all their state in memory, and which need all rows in one subtask.
//
// Invariant: a step is said to stay in memory if and only if `SpillingOperator.around` gives no operator that spills. Held by explain.test.ts.
import { type ExplainedPlan, explainLogicalPlan, explainNode, explainPlan, inputsOf, type Plan } from '../sql/index.ts'
import { requirementsOf } from './exchange/distribution.ts'
import { divisionKeysOf } from './spill/division.ts'

const stateless: ReadonlySet<Plan['node']> = new Set(['scan', 'values', 'calc', 'watermark', 'expand', 'union', 'correlate'])

/** The plan as it is written and as it runs, one node per line, and below a line for each step with such a limit. */
export function explainText({ logical, query }: ExplainedPlan): string {
  const plans = `== Logical Plan ==\n${explainLogicalPlan(logical)}\n\n== Optimized Plan ==\n${explainPlan(query)}`
  return [plans, ...limitsOf(query)].join('\n\n')
}

/** Such a limit of each step that has one, all in one paragraph; none if no step has one. */
export function limitsOf(plan: Plan): string[] {
  const notes = [...new Set(notesOf(plan))]
  return notes.length === 0 ? [] : [notes.join('\n')]
}

const notesOf = (plan: Plan): string[] => [...inputsOf(plan).flatMap(notesOf), ...noteOf(plan)]

function noteOf(plan: Plan): string[] {
  if (stateless.has(plan.node) || (plan.node === 'windowTvf' && plan.window.kind !== 'SESSION')) return []
  const isDivided = staysWhole(plan) === undefined && divisionKeysOf(plan) !== undefined
  if (isDivided) return []
  const meets = requirementsOf(plan).some(({ kind }) => kind === 'single') ? ' and all its rows meet in one subtask' : ''
  return [`${explainNode(plan)}: its state stays in memory${meets}, as ${staysWhole(plan) ?? reasonOf(plan)}`]
}

/** Why state that could be divided by key is not. */
function staysWhole(plan: Plan): string | undefined {
  if (plan.node !== 'windowAggregate') return undefined
  if (plan.emit) return 'it shows results before its windows close, or after'
  const { kind, partitionKeys } = plan.window
  const isOfItsKeys = partitionKeys.length === plan.keys.length && plan.keys.every((key) => partitionKeys.includes(key))
  return kind === 'SESSION' && !plan.attached && !isOfItsKeys ? 'its sessions are of other keys than its groups' : undefined
}

function reasonOf(plan: Plan): string {
  switch (plan.node) {
    case 'groupAggregate':
      return 'it has no GROUP BY'
    case 'windowAggregate':
      return 'it has no key beside the window'
    case 'limit':
    case 'sort':
      return 'it orders or counts the rows of all keys'
    case 'join':
      return plan.nullAware ? 'NOT IN compares each row with all' : 'it has no equality of columns'
    case 'intervalJoin':
    case 'windowJoin':
    case 'temporalJoin':
      return 'it has no equality of columns'
    default:
      return 'it has no PARTITION BY'
  }
}
