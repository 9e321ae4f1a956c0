// How the aggregates of one aggregation are laid out: which primitive accumulators they need, and where these lie.
//
// COUNT, SUM, AVG, MIN, MAX, STDDEV and VAR are made of primitives, which aggregates share: AVG(x) is the same sum and count as SUM(x) and COUNT(x).
// Fixed-width primitives of one group lie side by side in 8-byte cells, so that a row touches one or two cache lines;
// decimals and text are boxed, in one array for each primitive. All else (LISTAGG, COLLECT, …) keeps an object per group.
import type { Lane, SqlType } from '../../data/index.ts'
import { laneOf } from '../../data/index.ts'
import type { AggregateCall } from '../../sql/index.ts'
import { engineErrors } from '../errors.ts'
import { type ObjectSpec, objectSpec } from './objects.ts'

/** How a sum is carried: as Flink, in the type of its result. */
export type Arithmetic = 'f64' | 'f32' | 'i8' | 'i16' | 'i32' | 'i64' | 'decimal' | 'any'

export interface Primitive {
  op: 'count' | 'sum' | 'square' | 'min' | 'max'
  arithmetic: Arithmetic
  /** Ordinal of the argument, -1 for COUNT(*). */
  arg: number
  argLane: Lane
  /** Factor exponent of ten for decimals that are summed at a larger scale. */
  scaleUp: number
  /** Ordinal of the FILTER column, -1 for none. */
  filter: number
  boxed: boolean
  /** Cell within a group, or index of the boxed array. */
  at: number
  /** Cell of the count of rows with a value: 0 means that there is no value yet. */
  countAt: number
}

/** How one aggregate is computed from what is kept. */
export type Finisher = { call: AggregateCall } & (
  | { from: 'primitives'; value?: Primitive; square?: Primitive; countAt: number }
  | { from: 'object'; object: number }
  | { from: 'distinct'; distinct: number; member: number }
)

export interface ObjectSlot {
  spec: ObjectSpec
  args: number[]
  filter: number
}
/** Values of the same columns are looked up once, for however many aggregates: COUNT(DISTINCT x), and COUNT(DISTINCT x) FILTER (…). */
export interface DistinctSlot {
  args: number[]
  types: SqlType[]
  /** At most `DISTINCT_MEMBERS_MAX`: each has a bit of a word. */
  members: DistinctMember[]
}
export interface DistinctMember {
  /** The aggregate over values that are seen for the first time; its arguments are the distinct columns. */
  inner: AggregateLayout
  filter: number
}
export const DISTINCT_MEMBERS_MAX = 31

export interface AggregateLayout {
  retracts: boolean
  /** 8-byte cells of one group. */
  stride: number
  boxedCount: number
  primitives: Primitive[]
  objects: ObjectSlot[]
  distincts: DistinctSlot[]
  finishers: Finisher[]
  /** Cell of the number of rows, kept where rows may be taken away: a group with 0 rows is gone. */
  rowCountAt: number
}

const statistics = new Set(['STDDEV_POP', 'STDDEV_SAMP', 'STDDEV', 'VAR_POP', 'VAR_SAMP', 'VARIANCE'])

/** @param retracts  rows may be taken away again */
export function layoutOf(calls: readonly AggregateCall[], retracts: boolean): AggregateLayout {
  const layout: AggregateLayout = {
    retracts,
    stride: 0,
    boxedCount: 0,
    primitives: [],
    objects: [],
    distincts: [],
    finishers: [],
    rowCountAt: -1,
  }
  if (retracts) layout.rowCountAt = primitive(layout, { op: 'count', arithmetic: 'f64', arg: -1, argLane: 'any', filter: -1 }).at
  for (const call of calls) layout.finishers.push(finisherOf(layout, call))
  return layout
}

/** Whether all that is kept for a group are its cells, and groups can be merged. */
export const isMergeable = ({ retracts, boxedCount, objects, distincts }: AggregateLayout): boolean =>
  !retracts && boxedCount === 0 && objects.length === 0 && distincts.length === 0

function primitive(
  layout: AggregateLayout,
  wanted: Pick<Primitive, 'op' | 'arithmetic' | 'arg' | 'argLane' | 'filter'> & { scaleUp?: number },
): Primitive {
  const scaleUp = wanted.scaleUp ?? 0
  const found = layout.primitives.find(
    (p) =>
      p.op === wanted.op &&
      p.arithmetic === wanted.arithmetic &&
      p.arg === wanted.arg &&
      p.filter === wanted.filter &&
      p.scaleUp === scaleUp,
  )
  if (found) return found
  const countAt = wanted.op === 'count' ? -1 : primitive(layout, { ...wanted, op: 'count', arithmetic: 'f64', scaleUp: 0 }).at
  const boxed = wanted.arithmetic === 'decimal' || wanted.arithmetic === 'any' || (wanted.op === 'square' && wanted.arithmetic === 'i64')
  const made: Primitive = { ...wanted, scaleUp, countAt, boxed, at: boxed ? layout.boxedCount++ : layout.stride++ }
  layout.primitives.push(made)
  return made
}

/** How values of this type are summed when the sum has the same type. */
function arithmeticOf(type: SqlType): Arithmetic {
  switch (type.kind) {
    case 'TINYINT':
      return 'i8'
    case 'SMALLINT':
      return 'i16'
    case 'INT':
      return 'i32'
    case 'BIGINT':
      return 'i64'
    case 'FLOAT':
      return 'f32'
    case 'DECIMAL':
      return 'decimal'
    default:
      return 'f64'
  }
}

function finisherOf(layout: AggregateLayout, call: AggregateCall): Finisher {
  const filter = call.filter ?? -1
  if (call.distinct && call.fn !== 'MIN' && call.fn !== 'MAX') {
    const inner = layoutOf([{ ...call, distinct: false, filter: undefined, args: call.args.map((_, i) => i) }], layout.retracts)
    const isSame = ({ args, members }: DistinctSlot) => args.join() === call.args.join() && members.length < DISTINCT_MEMBERS_MAX
    let distinct = layout.distincts.findIndex(isSame)
    if (distinct < 0) distinct = layout.distincts.push({ args: call.args, types: call.argTypes, members: [] }) - 1
    const member = layout.distincts[distinct].members.push({ inner, filter }) - 1
    return { call, from: 'distinct', distinct, member }
  }
  const arg = call.args[0] ?? -1
  const argType = call.argTypes[0]
  const argLane: Lane = argType === undefined ? 'any' : laneOf(argType)
  const source = { arg, argLane, filter }
  const count = () => primitive(layout, { op: 'count', arithmetic: 'f64', ...source }).at
  if (call.fn === 'COUNT') return { call, from: 'primitives', countAt: count() }
  if (call.fn === 'SUM' || call.fn === '$SUM0' || call.fn === 'SUM0') {
    const value = primitive(layout, { op: 'sum', arithmetic: arithmeticOf(argType), ...source })
    return { call, from: 'primitives', value, countAt: value.countAt }
  }
  if (call.fn === 'AVG') {
    // Flink sums integers in BIGINT and floats in DOUBLE.
    const kind = arithmeticOf(argType)
    const arithmetic = kind === 'decimal' ? kind : kind.startsWith('f') ? 'f64' : 'i64'
    const value = primitive(layout, { op: 'sum', arithmetic, ...source })
    return { call, from: 'primitives', value, countAt: value.countAt }
  }
  if (statistics.has(call.fn)) {
    // The argument is first cast to the result's type: a decimal gets its scale.
    const arithmetic = arithmeticOf(argType)
    const scaleUp = call.type.kind === 'DECIMAL' && argType.kind === 'DECIMAL' ? call.type.scale - argType.scale : 0
    const value = primitive(layout, { op: 'sum', arithmetic, scaleUp, ...source })
    const square = primitive(layout, { op: 'square', arithmetic, scaleUp, ...source })
    return { call, from: 'primitives', value, square, countAt: value.countAt }
  }
  if ((call.fn === 'MIN' || call.fn === 'MAX') && !layout.retracts) {
    const arithmetic = argLane === 'i64' ? 'i64' : argLane === 'any' || argLane === 'utf8' ? 'any' : 'f64'
    const value = primitive(layout, { op: call.fn === 'MIN' ? 'min' : 'max', arithmetic, ...source })
    return { call, from: 'primitives', value, countAt: value.countAt }
  }
  const spec = objectSpec(call, layout.retracts)
  if (spec === undefined) throw engineErrors('AGGREGATE_UNKNOWN', { fn: call.fn })
  layout.objects.push({ spec, args: call.args, filter })
  return { call, from: 'object', object: layout.objects.length - 1 }
}
