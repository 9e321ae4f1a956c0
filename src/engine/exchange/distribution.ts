// Which rows must meet in one subtask, and where rows are after each node of a plan: what decides where a parallel job exchanges rows.
//
// Invariants
//   1. Rows that a stateful operator compares or groups are in one subtask: rows that are equal in the columns of its requirement.
//   2. NULL is a value like any other here: rows of equal keys go the same way, whether or not they can match.
//   3. It depends on the plan alone: every subtask builds the same exchanges with the same numbers.
import { inputsOf, type Plan } from '../../sql/index.ts'

export type Distribution =
  /** Anywhere. */
  | { kind: 'any' }
  /** All rows in subtask 0. */
  | { kind: 'single' }
  /** By the hash of these columns, in this order. */
  | { kind: 'hash'; columns: number[] }
  /** Every row in every subtask. */
  | { kind: 'replicated' }

const any: Distribution = { kind: 'any' }
const single: Distribution = { kind: 'single' }
const byHash = (columns: readonly number[]): Distribution => (columns.length === 0 ? single : { kind: 'hash', columns: [...columns] })

/** What a node needs of each of its inputs; 'any' for all that looks at one row at a time. */
export function requirementsOf(plan: Plan): Distribution[] {
  switch (plan.node) {
    case 'windowTvf':
      // Sessions are made of several rows.
      return [plan.window.kind === 'SESSION' ? byHash(plan.window.partitionKeys) : any]
    case 'windowAggregate': {
      if (plan.attached !== undefined) return [byHash(plan.keys.length > 0 ? plan.keys : [plan.attached.end])]
      return [byHash(plan.window.kind === 'SESSION' ? plan.keys.filter((key) => plan.window.partitionKeys.includes(key)) : plan.keys)]
    }
    case 'groupAggregate':
    case 'normalize':
    case 'deduplicate':
      return [byHash(plan.keys)]
    case 'topN':
      if (plan.partitionKeys.length === 0 && plan.windowed !== undefined) return [byHash([plan.windowed.end])]
      return [byHash(plan.partitionKeys)]
    case 'over':
      return [byHash(plan.partitionKeys)]
    case 'match':
      return [byHash(plan.spec.partitionKeys)]
    case 'join':
      // NOT IN: a row with a NULL meets the rows of all keys.
      return plan.nullAware ? [single, single] : [byHash(plan.leftKeys), byHash(plan.rightKeys)]
    case 'intervalJoin':
      return [byHash(plan.leftKeys), byHash(plan.rightKeys)]
    case 'windowJoin':
      if (plan.leftKeys.length === 0) return [byHash([plan.leftWindow.end]), byHash([plan.rightWindow.end])]
      return [byHash(plan.leftKeys), byHash(plan.rightKeys)]
    case 'temporalJoin':
      return [byHash(plan.leftKeys), byHash(plan.rightKeys)]
    case 'setOperation':
      return [plan.left, plan.right].map(({ fields }) => byHash(fields.map((_, i) => i)))
    case 'sort':
    case 'limit':
      return [single]
    default:
      return inputsOf(plan).map(() => any)
  }
}

/**
 * Where the exchanges go: for each input the distribution that its rows must be brought into, or undefined where they can stay.
 *
 * @param have  where the inputs' rows are
 */
export function exchangesOf(plan: Plan, have: readonly Distribution[]): (Distribution | undefined)[] {
  const wanted = requirementsOf(plan)
  if (wanted.length === 1) return [satisfies(have[0], wanted[0]) ? undefined : wanted[0]]
  // Two inputs meet key by key: both lie as their keys do, in order, or both in one subtask. Replicated rows are wherever the others are.
  if (have.some(({ kind }) => kind === 'replicated')) return have.map(() => undefined)
  if (have.every(({ kind }) => kind === 'single')) return have.map(() => undefined)
  return wanted.map((want, i) => (sameAs(have[i], want) ? undefined : want))
}

/** The exchange in front of a target that keeps one row of each key, where changes of one key may come from several subtasks. */
export function sinkExchange(key: readonly number[], have: Distribution): Distribution | undefined {
  const wanted = byHash(key)
  return satisfies(have, wanted) ? undefined : wanted
}

function satisfies(have: Distribution, wanted: Distribution): boolean {
  if (wanted.kind === 'any' || have.kind === 'single') return true
  if (have.kind !== 'hash' || wanted.kind !== 'hash') return false
  return have.columns.length > 0 && have.columns.every((column) => wanted.columns.includes(column))
}

function sameAs(have: Distribution, wanted: Distribution): boolean {
  if (wanted.kind === 'any') return true
  if (have.kind !== 'hash' || wanted.kind !== 'hash') return have.kind === wanted.kind
  return have.columns.length === wanted.columns.length && have.columns.every((column, i) => column === wanted.columns[i])
}

/**
 * Where a node's rows are, given where its inputs' are after the exchanges.
 *
 * @param isReplicated  tables of which every subtask reads all
 */
export function distributionOf(plan: Plan, inputs: readonly Distribution[], isReplicated: (table: string) => boolean): Distribution {
  const [first] = inputs
  switch (plan.node) {
    case 'scan':
      return isReplicated(plan.table.name) ? { kind: 'replicated' } : any
    case 'calc':
      return moved(first, (column) => plan.projections.findIndex((expr) => expr.kind === 'column' && expr.index === column))
    case 'groupAggregate':
      return moved(first, (column) => plan.keys.indexOf(column))
    case 'windowAggregate':
      return moved(first, (column) => {
        const key = plan.keys.indexOf(column)
        const window = plan.windowColumns.indexOf('end')
        if (key >= 0 || column !== plan.attached?.end || window < 0) return key
        return plan.keys.length + plan.aggregates.length + window
      })
    case 'watermark':
    case 'windowTvf':
    case 'topN':
    case 'deduplicate':
    case 'normalize':
    case 'over':
    case 'correlate':
      return moved(first, (column) => column)
    case 'match':
      return moved(first, (column) => plan.spec.partitionKeys.indexOf(column))
    case 'join':
    case 'intervalJoin':
    case 'windowJoin':
    case 'temporalJoin': {
      if (inputs.every(({ kind }) => kind === 'single')) return single
      const { kind } = plan
      if (kind === 'FULL') return any
      if (kind === 'RIGHT') return moved(inputs[1], (column) => plan.left.fields.length + column)
      return inputs[0].kind === 'replicated' ? any : moved(inputs[0], (column) => column)
    }
    case 'sort':
    case 'limit':
      return single
    default:
      return inputs.length > 0 && inputs.every(({ kind }) => kind === 'single') ? single : any
  }
}

function moved(from: Distribution, to: (column: number) => number): Distribution {
  if (from.kind !== 'hash') return from
  const columns = from.columns.map(to)
  return columns.includes(-1) ? any : { kind: 'hash', columns }
}
