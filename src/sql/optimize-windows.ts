// Windows as a property of rows: which columns are the start, end and time of which window, and what follows from it.
//
//   groupAggregate by window_start, window_end        becomes a windowAggregate, which emits once per window
//   … directly over the window function               takes its place ("detached"): no row is copied into each of its windows
//   … over rows that had windows before (a cascade)   uses the windows that are there ("attached")
import type { Field } from '../data/index.ts'
import { columnsOfPlan, fieldFor, project } from './bind-plan.ts'
import { sqlErrors } from './errors.ts'
import { columnExpr, columnsOf, conjuncts, isCall, mapColumns } from './expr.ts'
import type { AggregateCall, Expr, Plan, PlanWindow, WindowColumns } from './plan.ts'
import { inputsOf, withInputs } from './plan-tree.ts'

/** Ordinals of the window's columns, where they are still there. */
export interface Windows {
  window: PlanWindow
  start?: number
  end?: number
  time?: number
}

type Node<N extends Plan['node']> = Extract<Plan, { node: N }>

export function windowsOf(plan: Plan): Windows | undefined {
  switch (plan.node) {
    case 'windowTvf': {
      const first = plan.input.fields.length
      return { window: plan.window, start: first, end: first + 1, time: first + 2 }
    }
    case 'windowAggregate': {
      const first = plan.fields.length - plan.windowColumns.length
      const at = (column: 'start' | 'end' | 'time'): number | undefined => {
        const i = plan.windowColumns.indexOf(column)
        return i < 0 ? undefined : first + i
      }
      return { window: plan.window, start: at('start'), end: at('end'), time: at('time') }
    }
    case 'calc': {
      const sources = plan.projections.map((expr) => (expr.kind === 'column' ? expr.index : -1))
      return moved(windowsOf(plan.input), (ordinal) => sources.indexOf(ordinal))
    }
    case 'groupAggregate': {
      const windows = windowsOf(plan.input)
      return isWindowed(plan.keys, windows) ? moved(windows, (ordinal) => plan.keys.indexOf(ordinal)) : undefined
    }
    case 'over':
    case 'topN':
    case 'deduplicate':
    case 'correlate':
      return windowsOf(plan.input)
    // In a set without one of the window's columns that is NULL: such rows are in no window.
    case 'expand':
      return moved(windowsOf(plan.input), (ordinal) => (plan.sets.some(({ nulled }) => nulled.includes(ordinal)) ? -1 : ordinal))
    case 'union': {
      const [first, ...rest] = plan.inputs.map(windowsOf)
      return rest.every((other) => JSON.stringify(other) === JSON.stringify(first)) ? first : undefined
    }
    case 'windowJoin':
    case 'intervalJoin':
    case 'temporalJoin':
      return windowsOf(plan.left)
    case 'join':
      return windowJoinKeys(plan) ? windowsOf(plan.left) : undefined
    default:
      return undefined
  }
}

function moved(windows: Windows | undefined, to: (ordinal: number) => number): Windows | undefined {
  if (windows === undefined) return undefined
  const result: Windows = { window: windows.window }
  for (const name of ['start', 'end', 'time'] as const) {
    const from = windows[name]
    const ordinal = from === undefined ? -1 : to(from)
    if (ordinal >= 0) result[name] = ordinal
  }
  return result
}

/** Do these keys hold both ends of the window? */
export function isWindowed(keys: readonly number[], windows: Windows | undefined): windows is Windows & { start: number; end: number } {
  return windows?.start !== undefined && windows.end !== undefined && keys.includes(windows.start) && keys.includes(windows.end)
}

/** Where the plan of what works window by window keeps them. */
export const windowColumns = ({ window: { timeZone }, start, end }: Windows & { start: number; end: number }): WindowColumns => ({
  start,
  end,
  ...(timeZone !== 'UTC' && { timeZone }),
})

/** Both sides have the same windows, and the condition compares start with start and end with end. */
export function windowJoinKeys(join: Node<'join'>): { left: WindowColumns; right: WindowColumns } | undefined {
  const left = windowsOf(join.left)
  const right = windowsOf(join.right)
  if (left?.start === undefined || left.end === undefined || right?.start === undefined || right.end === undefined) return undefined
  const width = join.left.fields.length
  const pairs = [...conjuncts(join.condition).map(columnPair), ...join.leftKeys.map((key, i) => [key, width + join.rightKeys[i]] as const)]
  const compares = (a: number, b: number): boolean => pairs.some((pair) => pair?.[0] === a && pair[1] === width + b)
  if (!compares(left.start, right.start) || !compares(left.end, right.end)) return undefined
  return {
    left: windowColumns({ ...left, start: left.start, end: left.end }),
    right: windowColumns({ ...right, start: right.start, end: right.end }),
  }
}

/** `a = b` between two columns, the smaller ordinal first. */
function columnPair(expr: Expr): readonly [number, number] | undefined {
  if (!isCall(expr, 'EQUALS')) return undefined
  const [a, b] = expr.args
  if (a.kind !== 'column' || b.kind !== 'column') return undefined
  return a.index < b.index ? [a.index, b.index] : [b.index, a.index]
}

/** What keeps the last row of each key gives out each of them: a versioned table is made of them, and a window may close between two. */
export function withEveryVersion(plan: Plan): Plan {
  if (plan.node === 'normalize') return { ...plan, everyVersion: true }
  if (plan.node === 'deduplicate' && plan.keep === 'last') return { ...plan, everyVersion: true }
  return passesVersions.has(plan.node) ? withInputs(plan, inputsOf(plan).map(withEveryVersion)) : plan
}
const passesVersions: ReadonlySet<Plan['node']> = new Set(['calc', 'windowTvf', 'correlate', 'expand', 'union'])

/**
 * The time attribute that a column was, or was computed from, before a join, a GROUP BY or a calculation made an ordinary one of it.
 * The older windows and FOR SYSTEM_TIME AS OF take it, as in Flink, where what is computed from such a time has its type.
 */
export function pastTimeOf(plan: Plan, ordinal: number): Field['timeAttribute'] {
  const { timeAttribute } = plan.fields[ordinal]
  if (timeAttribute !== undefined) return timeAttribute
  switch (plan.node) {
    case 'calc':
      return pastTimeOfExpr(plan.projections[ordinal], plan.input)
    case 'groupAggregate':
    case 'windowAggregate':
      return ordinal < plan.keys.length
        ? pastTimeOf(plan.input, plan.keys[ordinal])
        : pastTimeOfAggregate(plan.aggregates[ordinal - plan.keys.length], plan.input)
    case 'over': {
      const width = plan.input.fields.length
      return ordinal < width ? pastTimeOf(plan.input, ordinal) : pastTimeOfAggregate(plan.aggregates[ordinal - width], plan.input)
    }
    case 'union':
      return plan.inputs.map((input) => pastTimeOf(input, ordinal)).find((time) => time !== undefined)
    default: {
      // The others pass on the columns of their inputs, the left one's first; what they add is no time.
      let first = 0
      for (const input of plan.node === 'match' ? [] : inputsOf(plan)) {
        if (ordinal < first + input.fields.length) return pastTimeOf(input, ordinal - first)
        first += input.fields.length
      }
      return undefined
    }
  }
}

/** MIN, MAX and LAG give one of their argument's values. */
function pastTimeOfAggregate(call: AggregateCall | undefined, input: Plan): Field['timeAttribute'] {
  return call && ['MIN', 'MAX', 'LAG'].includes(call.fn) ? pastTimeOf(input, call.args[0]) : undefined
}

const keepsTime: ReadonlySet<string> = new Set(['PLUS_INTERVAL', 'MINUS_INTERVAL', 'FLOOR', 'CEIL', 'CASE', 'COALESCE'])

function pastTimeOfExpr(expr: Expr, input: Plan): Field['timeAttribute'] {
  if (expr.kind === 'column') return pastTimeOf(input, expr.index)
  if (expr.kind !== 'call' || !keepsTime.has(expr.fn) || !['TIMESTAMP', 'TIMESTAMP_LTZ'].includes(expr.type.kind)) return undefined
  const args = expr.args.filter(({ type }) => type.kind === expr.type.kind)
  return args.map((arg) => pastTimeOfExpr(arg, input)).find((time) => time !== undefined)
}

// ---------------------------------------------------------------- window aggregates

/** The window aggregate that a GROUP BY over windows is, with the same columns; undefined if it is none. */
export function windowAggregateOf(node: Node<'groupAggregate'>): Plan | undefined {
  const windows = windowsOf(node.input)
  if (!isWindowed(node.keys, windows)) return undefined
  const isWindowColumn = (ordinal: number): boolean => ordinal === windows.start || ordinal === windows.end || ordinal === windows.time
  const keys = node.keys.filter((key) => !isWindowColumn(key))
  const reads = node.aggregates.flatMap(({ args, filter }) => (filter === undefined ? args : [...args, filter]))
  const source = detachedFor(node, keys, reads) ?? attached(node.input, windows)
  // Rows may be in windows of any size, and so may the older HOP in GROUP BY; an aggregation of them not, as in Flink.
  const { kind, sizeMs, stepMs } = source.window
  if (isOverFunction(node.input) && kind === 'HOP' && stepMs !== undefined && sizeMs % stepMs !== 0)
    throw sqlErrors('SQL_WINDOW_ARGUMENTS', {
      fn: kind,
      reason: 'the size must be a multiple of the slide',
      expected: 'HOP(TABLE t, DESCRIPTOR(ts), slide, size [, offset])',
      span: node.span,
    })
  const aggregates = node.aggregates.map((aggregate) => ({
    ...aggregate,
    args: aggregate.args.map(source.at),
    ...(aggregate.filter !== undefined && { filter: source.at(aggregate.filter) }),
  }))
  const hasTime = windows.time !== undefined && node.keys.includes(windows.time)
  const windowColumns: Node<'windowAggregate'>['windowColumns'] = hasTime ? ['start', 'end', 'time'] : ['start', 'end']
  const columnAt = { start: windows.start, end: windows.end, time: windows.time, proctime: undefined }
  const fieldOfKey = (ordinal: number): Field => node.fields[node.keys.indexOf(ordinal)]
  const fields = [
    ...keys.map(fieldOfKey),
    ...node.fields.slice(node.keys.length),
    ...windowColumns.map((column): Field => fieldOfKey(columnAt[column]!)),
  ]
  const aggregate: Plan = {
    node: 'windowAggregate',
    input: withEveryVersion(source.plan),
    window: source.window,
    timeColumn: source.timeColumn,
    ...(source.attached && { attached: source.attached }),
    keys: keys.map(source.at),
    aggregates,
    windowColumns,
    fields,
    changelog: 'append',
    ...(node.span && { span: node.span }),
  }
  // Back to the order of the GROUP BY.
  const position = node.fields.map((_, i) => {
    if (i >= node.keys.length) return keys.length + i - node.keys.length
    const column = windowColumns.findIndex((one) => columnAt[one] === node.keys[i])
    return column >= 0 ? keys.length + aggregates.length + column : keys.indexOf(node.keys[i])
  })
  const plan = project(
    aggregate,
    position.map((ordinal) => columnExpr(ordinal, fields[ordinal].type)),
    node.fields.map((field) => field.name),
  )
  return { ...plan, fields: node.fields }
}

const isOverFunction = (plan: Plan): boolean =>
  plan.node === 'windowTvf' || ((plan.node === 'calc' || plan.node === 'expand') && isOverFunction(plan.input))

interface AggregateSource {
  plan: Plan
  window: PlanWindow
  timeColumn: number
  attached?: { start: number; end: number }
  /** Where a column of the former input is. */
  at: (ordinal: number) => number
}

function attached(plan: Plan, { window, start, end, time }: Windows & { start: number; end: number }): AggregateSource {
  return { plan, window, timeColumn: time ?? end, attached: { start, end }, at: (ordinal) => ordinal }
}

function detachedFor(node: Node<'groupAggregate'>, keys: readonly number[], reads: readonly number[]): AggregateSource | undefined {
  const source = detached(node.input)
  if (source === undefined || [...keys, ...reads].some((ordinal) => source.at(ordinal) < 0)) return undefined
  if (source.window.kind !== 'SESSION') return source
  // Sessions are those of their partition: only if that is the group, too, the aggregate can make them itself.
  const own = keys.map(source.at)
  const { partitionKeys } = source.window
  const isSame = own.length === partitionKeys.length && own.every((key) => partitionKeys.includes(key))
  return isSame ? { ...source, window: { ...source.window, partitionKeys: own } } : undefined
}

/** The rows without their windows, if nothing between the window function and here looks at these; `at` is -1 for the window's columns. */
function detached(plan: Plan): AggregateSource | undefined {
  switch (plan.node) {
    case 'windowTvf': {
      const width = plan.input.fields.length
      return { plan: plan.input, window: plan.window, timeColumn: plan.timeColumn, at: (ordinal) => (ordinal < width ? ordinal : -1) }
    }
    case 'calc':
      return detachedCalc(plan)
    case 'expand':
      return detachedExpand(plan)
    default:
      return undefined
  }
}

function detachedCalc(plan: Node<'calc'>): AggregateSource | undefined {
  const source = detached(plan.input)
  if (source === undefined) return undefined
  const readsWindow = (expr: Expr): boolean => [...columnsOf(expr)].some((ordinal) => source.at(ordinal) < 0)
  if (plan.predicate !== undefined && readsWindow(plan.predicate)) return undefined
  const isDropped = plan.projections.map(readsWindow)
  if (plan.projections.some((expr, i) => isDropped[i] && expr.kind !== 'column')) return undefined
  const toSource = (expr: Expr): Expr => mapColumns(expr, (column) => ({ ...column, index: source.at(column.index) }))
  const kept = plan.projections.flatMap((_, i) => (isDropped[i] ? [] : [i]))
  const exprs = kept.map((i) => toSource(plan.projections[i]))
  const fields = kept.map((i) => plan.fields[i])
  // The time column and the keys of sessions must stay, whether they are selected or not.
  const ordinalOf = (ordinal: number): number => {
    const found = exprs.findIndex((expr) => expr.kind === 'column' && expr.index === ordinal)
    if (found >= 0) return found
    const expr = columnExpr(ordinal, source.plan.fields[ordinal].type)
    fields.push(fieldFor(source.plan.fields[ordinal].name, expr, source.plan))
    return exprs.push(expr) - 1
  }
  const timeColumn = ordinalOf(source.timeColumn)
  const partitionKeys = source.window.partitionKeys.map(ordinalOf)
  const calc: Plan = {
    node: 'calc',
    input: source.plan,
    projections: exprs,
    fields,
    changelog: 'append',
    ...(plan.predicate && { predicate: toSource(plan.predicate) }),
  }
  return { plan: calc, window: { ...source.window, partitionKeys }, timeColumn, at: (ordinal) => kept.indexOf(ordinal) }
}

function detachedExpand(plan: Node<'expand'>): AggregateSource | undefined {
  const source = detached(plan.input)
  if (source === undefined) return undefined
  const nulled = plan.sets.map((set) => set.nulled.map(source.at))
  const needed = [source.timeColumn, ...source.window.partitionKeys]
  if (nulled.some((set) => set.some((ordinal) => ordinal < 0 || needed.includes(ordinal)))) return undefined
  const width = source.plan.fields.length
  const idColumn = plan.fields.length - 1
  const fields = columnsOfPlan(source.plan).map((_, i): Field => {
    const before = plan.input.fields.findIndex((__, ordinal) => source.at(ordinal) === i)
    return before < 0 ? source.plan.fields[i] : plan.fields[before]
  })
  const expand: Plan = {
    ...plan,
    input: source.plan,
    sets: plan.sets.map((set, i) => ({ ...set, nulled: nulled[i] })),
    fields: [...fields, plan.fields[idColumn]],
  }
  return { ...source, plan: expand, at: (ordinal) => (ordinal === idColumn ? width : source.at(ordinal)) }
}
