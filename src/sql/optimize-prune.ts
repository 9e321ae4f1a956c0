// Column pruning: each node delivers only what is used above it, down to the scan, which then decodes nothing else.
//
// Invariant: `at` says for each ordinal that was asked for where it is in the new rows; the others are gone, or stay only because the node
// itself needs them.
import { columnExpr, columnsOf, mapColumns } from './expr.ts'
import type { AggregateCall, Expr, MatchValue, Plan, SortKey, WindowColumns } from './plan.ts'

type Node<N extends Plan['node']> = Extract<Plan, { node: N }>
type Ordinals = ReadonlySet<number>

interface Pruned {
  plan: Plan
  at: (ordinal: number) => number
}

/** The plan with the same columns, from sources that deliver no more than these need. */
export function prune(plan: Plan): Plan {
  const all = new Set(plan.fields.map((_, i) => i))
  const pruned = pruneNode(plan, all)
  const isSame = pruned.plan.fields.length === plan.fields.length && plan.fields.every((_, i) => pruned.at(i) === i)
  if (isSame) return pruned.plan
  const projections = plan.fields.map((field, i) => columnExpr(pruned.at(i), field.type))
  return { node: 'calc', input: pruned.plan, projections, fields: plan.fields, changelog: plan.changelog }
}

const sortedOrdinals = (ordinals: Iterable<number>): number[] => [...new Set(ordinals)].sort((a, b) => a - b)
const union = (...sets: Iterable<number>[]): Set<number> => new Set(sets.flatMap((set) => [...set]))
const pick = <T>(items: readonly T[], ordinals: readonly number[]): T[] => ordinals.map((ordinal) => items[ordinal])
const remap = (expr: Expr, at: (ordinal: number) => number): Expr => mapColumns(expr, (column) => ({ ...column, index: at(column.index) }))
const sortColumns = (keys: readonly SortKey[]): number[] => keys.map((key) => key.column)
const remapSort = (keys: readonly SortKey[], at: (ordinal: number) => number): SortKey[] =>
  keys.map((key) => ({ ...key, column: at(key.column) }))
const aggregateColumns = (aggregates: readonly AggregateCall[]): number[] =>
  aggregates.flatMap(({ args, filter }) => (filter === undefined ? args : [...args, filter]))
const remapAggregates = (aggregates: readonly AggregateCall[], at: (ordinal: number) => number): AggregateCall[] =>
  aggregates.map((aggregate) => ({
    ...aggregate,
    args: aggregate.args.map(at),
    ...(aggregate.filter !== undefined && { filter: at(aggregate.filter) }),
  }))
/** Where the kept ordinals are now. */
const positions = (kept: readonly number[]) => (ordinal: number) => kept.indexOf(ordinal)

function pruneNode(plan: Plan, needed: Ordinals): Pruned {
  switch (plan.node) {
    case 'scan': {
      const kept = sortedOrdinals(needed)
      const paths = plan.paths && { paths: pick(plan.paths, kept) }
      return { plan: { ...plan, columns: pick(plan.columns, kept), ...paths, fields: pick(plan.fields, kept) }, at: positions(kept) }
    }
    case 'values': {
      const kept = sortedOrdinals(needed)
      return { plan: { ...plan, rows: plan.rows.map((row) => pick(row, kept)), fields: pick(plan.fields, kept) }, at: positions(kept) }
    }
    case 'calc':
      return pruneCalc(plan, needed)
    case 'watermark':
      return passing(plan, needed, union([plan.timeColumn], columnsOf(plan.expression)), (at) => ({
        timeColumn: at(plan.timeColumn),
        expression: remap(plan.expression, at),
      }))
    case 'windowTvf':
      return passing(plan, needed, union([plan.timeColumn], plan.window.partitionKeys), (at) => ({
        timeColumn: at(plan.timeColumn),
        window: { ...plan.window, partitionKeys: plan.window.partitionKeys.map(at) },
      }))
    case 'expand':
      return passing(plan, needed, union(plan.sets.flatMap((set) => set.nulled)), (at) => ({
        sets: plan.sets.map((set) => ({ ...set, nulled: set.nulled.map(at) })),
      }))
    case 'sort':
      return passing(plan, needed, sortColumns(plan.orderBy), (at) => ({ orderBy: remapSort(plan.orderBy, at) }))
    case 'limit':
      return passing(plan, needed, sortColumns(plan.orderBy), (at) => ({ orderBy: remapSort(plan.orderBy, at) }))
    case 'normalize':
      return passing(plan, needed, plan.keys, (at) => ({ keys: plan.keys.map(at) }))
    case 'deduplicate':
      return passing(plan, needed, union(plan.keys, [plan.timeColumn]), (at) => ({
        keys: plan.keys.map(at),
        timeColumn: at(plan.timeColumn),
      }))
    case 'topN':
      return pruneTopN(plan, needed)
    case 'over':
      return pruneOver(plan, needed)
    case 'correlate':
      return pruneCorrelate(plan, needed)
    case 'groupAggregate':
      return pruneGroup(plan, needed)
    case 'windowAggregate':
      return pruneWindow(plan, needed)
    case 'union': {
      const kept = sortedOrdinals(needed)
      const inputs = plan.inputs.map((input) => exactly(pruneNode(input, new Set(kept)), kept))
      return { plan: { ...plan, inputs, fields: pick(plan.fields, kept) }, at: positions(kept) }
    }
    case 'join':
    case 'intervalJoin':
    case 'windowJoin':
    case 'temporalJoin':
      return pruneJoin(plan, needed)
    case 'setOperation':
      return { plan: { ...plan, left: prune(plan.left), right: prune(plan.right) }, at: (ordinal) => ordinal }
    case 'match':
      return { plan: pruneMatch(plan), at: (ordinal) => ordinal }
  }
}

/** Exactly these columns, in this order. */
function exactly({ plan, at }: Pruned, ordinals: readonly number[]): Plan {
  if (plan.fields.length === ordinals.length && ordinals.every((ordinal, i) => at(ordinal) === i)) return plan
  const fields = ordinals.map((ordinal) => plan.fields[at(ordinal)])
  const projections = ordinals.map((ordinal, i) => columnExpr(at(ordinal), fields[i].type))
  return { node: 'calc', input: plan, projections, fields, changelog: plan.changelog }
}

/** A node whose first columns are its input's, unchanged, and which adds its own behind them. */
function passing<P extends Extract<Plan, { input: Plan }>>(
  plan: P,
  needed: Ordinals,
  own: Iterable<number>,
  change: (at: (ordinal: number) => number) => Partial<P>,
): Pruned {
  const width = plan.input.fields.length
  const input = pruneNode(
    plan.input,
    union(
      [...needed].filter((ordinal) => ordinal < width),
      own,
    ),
  )
  const newWidth = input.plan.fields.length
  const at = (ordinal: number): number => (ordinal < width ? input.at(ordinal) : newWidth + ordinal - width)
  const before = plan.fields.slice(0, width)
  const fields = input.plan.fields.map((field, i) => before.find((_, ordinal) => input.at(ordinal) === i) ?? field)
  return { plan: { ...plan, ...change(input.at), input: input.plan, fields: [...fields, ...plan.fields.slice(width)] } as Plan, at }
}

function pruneCalc(plan: Node<'calc'>, needed: Ordinals): Pruned {
  const kept = sortedOrdinals(needed)
  const exprs = pick(plan.projections, kept)
  const reads = union(...exprs.map((expr) => columnsOf(expr)), plan.predicate ? columnsOf(plan.predicate) : [])
  const input = pruneNode(plan.input, reads)
  const projections = exprs.map((expr) => remap(expr, input.at))
  const calc: Plan = {
    ...plan,
    input: input.plan,
    projections,
    fields: pick(plan.fields, kept),
    ...(plan.predicate && { predicate: remap(plan.predicate, input.at) }),
  }
  return { plan: calc, at: positions(kept) }
}

function pruneTopN(plan: Node<'topN'>, needed: Ordinals): Pruned {
  const width = plan.input.fields.length
  const own = union(plan.partitionKeys, sortColumns(plan.orderBy), plan.windowed ? [plan.windowed.start, plan.windowed.end] : [])
  const pruned = passing(plan, needed, own, (at) => ({
    partitionKeys: plan.partitionKeys.map(at),
    orderBy: remapSort(plan.orderBy, at),
    ...(plan.windowed && { windowed: { ...plan.windowed, start: at(plan.windowed.start), end: at(plan.windowed.end) } }),
  }))
  if (!plan.rankColumn || needed.has(width)) return pruned
  return { ...pruned, plan: { ...(pruned.plan as Node<'topN'>), rankColumn: false, fields: pruned.plan.fields.slice(0, -1) } }
}

function pruneOver(plan: Node<'over'>, needed: Ordinals): Pruned {
  const width = plan.input.fields.length
  const kept = plan.aggregates.flatMap((_, i) => (needed.has(width + i) ? [i] : []))
  const aggregates = pick(plan.aggregates, kept)
  const small: Plan = { ...plan, aggregates, fields: [...plan.fields.slice(0, width), ...kept.map((i) => plan.fields[width + i])] }
  const position = (ordinal: number): number => (ordinal < width ? ordinal : width + kept.indexOf(ordinal - width))
  const own = union(plan.partitionKeys, sortColumns(plan.orderBy), aggregateColumns(aggregates))
  const pruned = passing(small, new Set([...needed].map(position)), own, (at) => ({
    partitionKeys: plan.partitionKeys.map(at),
    orderBy: remapSort(plan.orderBy, at),
    aggregates: remapAggregates(aggregates, at),
  }))
  return { plan: pruned.plan, at: (ordinal) => pruned.at(position(ordinal)) }
}

function pruneCorrelate(plan: Node<'correlate'>, needed: Ordinals): Pruned {
  const width = plan.input.fields.length
  const ofCondition = plan.condition ? [...columnsOf(plan.condition)].filter((ordinal) => ordinal < width) : []
  return passing(plan, needed, union(...plan.args.map((arg) => columnsOf(arg)), ofCondition), (at) => {
    const args = plan.args.map((arg) => remap(arg, at))
    if (!plan.condition) return { args }
    // The function's columns move up by as many as the input lost.
    const kept = new Set(
      [...needed, ...ofCondition, ...plan.args.flatMap((arg) => [...columnsOf(arg)])].filter((ordinal) => ordinal < width),
    )
    const newWidth = Math.max(-1, ...[...kept].map(at)) + 1
    return { args, condition: remap(plan.condition, (ordinal) => (ordinal < width ? at(ordinal) : newWidth + ordinal - width)) }
  })
}

function pruneGroup(plan: Node<'groupAggregate'>, needed: Ordinals): Pruned {
  const keyCount = plan.keys.length
  const kept = plan.aggregates.flatMap((_, i) => (needed.has(keyCount + i) ? [i] : []))
  const aggregates = pick(plan.aggregates, kept)
  const input = pruneNode(plan.input, union(plan.keys, aggregateColumns(aggregates)))
  const fields = [...plan.fields.slice(0, keyCount), ...kept.map((i) => plan.fields[keyCount + i])]
  return {
    plan: { ...plan, input: input.plan, keys: plan.keys.map(input.at), aggregates: remapAggregates(aggregates, input.at), fields },
    at: (ordinal) => (ordinal < keyCount ? ordinal : keyCount + kept.indexOf(ordinal - keyCount)),
  }
}

function pruneWindow(plan: Node<'windowAggregate'>, needed: Ordinals): Pruned {
  const keyCount = plan.keys.length
  const first = keyCount + plan.aggregates.length
  const keptAggregates = plan.aggregates.flatMap((_, i) => (needed.has(keyCount + i) ? [i] : []))
  const keptColumns = plan.windowColumns.flatMap((_, i) => (needed.has(first + i) ? [i] : []))
  const kept = [...plan.keys.map((_, i) => i), ...keptAggregates.map((i) => keyCount + i), ...keptColumns.map((i) => first + i)]
  const aggregates = pick(plan.aggregates, keptAggregates)
  const { attached, window } = plan
  const own = attached ? [attached.start, attached.end] : window.partitionKeys
  const input = pruneNode(plan.input, union(plan.keys, aggregateColumns(aggregates), [plan.timeColumn], own))
  const pruned: Plan = {
    ...plan,
    input: input.plan,
    keys: plan.keys.map(input.at),
    timeColumn: input.at(plan.timeColumn),
    window: attached ? { ...window, partitionKeys: [] } : { ...window, partitionKeys: window.partitionKeys.map(input.at) },
    ...(attached && { attached: { start: input.at(attached.start), end: input.at(attached.end) } }),
    aggregates: remapAggregates(aggregates, input.at),
    windowColumns: pick(plan.windowColumns, keptColumns),
    fields: pick(plan.fields, kept),
  }
  return { plan: pruned, at: positions(kept) }
}

function pruneJoin(plan: Node<'join' | 'intervalJoin' | 'windowJoin' | 'temporalJoin'>, needed: Ordinals): Pruned {
  const width = plan.left.fields.length
  const own: number[] = [...plan.leftKeys, ...plan.rightKeys.map((key) => width + key)]
  if (plan.condition) own.push(...columnsOf(plan.condition))
  if (plan.node === 'intervalJoin' || plan.node === 'temporalJoin') own.push(plan.leftTime)
  if ((plan.node === 'intervalJoin' || plan.node === 'temporalJoin') && plan.rightTime >= 0) own.push(width + plan.rightTime)
  if (plan.node === 'windowJoin')
    own.push(plan.leftWindow.start, plan.leftWindow.end, width + plan.rightWindow.start, width + plan.rightWindow.end)
  if (plan.node === 'temporalJoin' && plan.leftStays !== undefined) own.push(plan.leftStays)
  // Of a versioned table the key tells which rows follow one another.
  if (plan.node === 'temporalJoin' && plan.right.upsertKey) own.push(...plan.right.upsertKey.map((key) => width + key))
  const all = union(needed, own)
  const left = pruneNode(plan.left, new Set([...all].filter((ordinal) => ordinal < width)))
  const right = pruneNode(plan.right, new Set([...all].filter((ordinal) => ordinal >= width).map((ordinal) => ordinal - width)))
  const newWidth = left.plan.fields.length
  const at = (ordinal: number): number => (ordinal < width ? left.at(ordinal) : newWidth + right.at(ordinal - width))
  const isSemi = plan.kind === 'SEMI' || plan.kind === 'ANTI'
  const fields = (isSemi ? left.plan.fields : [...left.plan.fields, ...right.plan.fields]).slice()
  plan.fields.forEach((field, ordinal) => {
    const position = at(ordinal)
    if (position >= 0 && all.has(ordinal)) fields[position] = field
  })
  const common = {
    left: left.plan,
    right: right.plan,
    leftKeys: plan.leftKeys.map(left.at),
    rightKeys: plan.rightKeys.map(right.at),
    fields,
    ...(plan.condition && { condition: remap(plan.condition, at) }),
  }
  switch (plan.node) {
    case 'join':
      return { plan: { ...plan, ...common }, at }
    case 'windowJoin': {
      const side = (window: WindowColumns, to: (ordinal: number) => number) => ({
        ...window,
        start: to(window.start),
        end: to(window.end),
      })
      return { plan: { ...plan, ...common, leftWindow: side(plan.leftWindow, left.at), rightWindow: side(plan.rightWindow, right.at) }, at }
    }
    default:
      return {
        plan: {
          ...plan,
          ...common,
          leftTime: left.at(plan.leftTime),
          rightTime: plan.rightTime < 0 ? -1 : right.at(plan.rightTime),
          ...(plan.node === 'temporalJoin' && plan.leftStays !== undefined && { leftStays: left.at(plan.leftStays) }),
        } as Plan,
        at,
      }
  }
}

/** The pattern keeps all its measures, and reads only the columns that these and its conditions name. */
function pruneMatch(plan: Node<'match'>): Plan {
  const { partitionKeys, orderBy, define, measures } = plan.spec
  const columnsOfValue = (value: MatchValue): number[] =>
    value.kind === 'time' ? [] : value.kind === 'row' ? [value.column] : aggregateColumns([value.call])
  const values = [...define.flatMap((one) => one?.values ?? []), ...measures.values]
  const input = pruneNode(plan.input, union(partitionKeys, sortColumns(orderBy), values.flatMap(columnsOfValue)))
  const moved = (value: MatchValue): MatchValue =>
    value.kind === 'time'
      ? value
      : value.kind === 'row'
        ? { ...value, column: input.at(value.column) }
        : { ...value, call: remapAggregates([value.call], input.at)[0] }
  const spec = {
    ...plan.spec,
    partitionKeys: partitionKeys.map(input.at),
    orderBy: remapSort(orderBy, input.at),
    define: define.map((one) => one && { ...one, values: one.values.map(moved) }),
    measures: { ...measures, values: measures.values.map(moved) },
  }
  return { ...plan, input: input.plan, spec }
}
