// Aggregates that keep an object for each group: lists, multisets, JSON, and MIN and MAX of values that may be taken away.
//
// States are structured-clonable, or have a form that is. `remove` is called only where the input retracts; it takes away the first of equal values.
import type { AggregateCall } from '../../sql/index.ts'
import { engineErrors } from '../errors.ts'
import { jsonWriter, type UserFunctionRef, userAggregate } from '../expressions/index.ts'
import { canonicalText } from '../state/columns.ts'
import { ValueList } from './valueList.ts'
import { compareValues } from './values.ts'

// biome-ignore lint/suspicious/noExplicitAny: a list of specs holds states of many types, each seen only by its own spec.
export interface ObjectSpec<S = any> {
  create(): S
  add(state: S, args: unknown[]): void
  remove(state: S, args: unknown[]): void
  merge(into: S, from: S): void
  /** Where it may be that nothing can be merged. */
  copy?(state: S): S
  /** The aggregate's value; of a group to which nothing was added, `create()`'s. */
  result(state: S): unknown
  /** Values held, for the account of memory. */
  size(state: S): number
  /** The state as it is kept in snapshots, where it is not itself structured-clonable, and back. */
  saved?(state: S): unknown
  restored?(saved: unknown): S
}

/** The aggregate's behaviour, or undefined if there is no such aggregate. */
export function objectSpec(call: AggregateCall, retracts: boolean): ObjectSpec | undefined {
  switch (call.fn) {
    case 'MIN':
      return extreme(1)
    case 'MAX':
      return extreme(-1)
    case 'FIRST_VALUE':
      return retracts ? valueList(true, ({ first = null }) => first) : oneValue('first')
    case 'LAST_VALUE':
      return retracts ? valueList(true, ({ last = null }) => last) : oneValue('last')
    case 'ARRAY_AGG': {
      const skipsNull = call.options?.nulls === 'ABSENT' || call.options?.nullTreatment === 'IGNORE NULLS'
      return valueList(skipsNull, (list) => (list.count === 0 ? null : list.toArray()))
    }
    case 'LISTAGG':
      return listAgg(call)
    case 'COLLECT':
      return collect
    case 'JSON_ARRAYAGG': {
      const jsonText = jsonOf(call)
      return valueList(!keepsJsonNull(call, false), (list) => `[${list.toArray().map(jsonText).join(',')}]`)
    }
    case 'JSON_OBJECTAGG':
      return jsonObject(jsonOf(call), keepsJsonNull(call, true))
    case 'SINGLE_VALUE':
      return valueList(false, ({ count, first = null }) => {
        if (count > 1) throw engineErrors('SUBQUERY_ROWS', { rowCount: count })
        return first
      })
    case 'PERCENTILE':
      return percentile(call)
    case 'USER':
      return ofUser(call)
    default:
      return undefined
  }
}

/** How the values are written: text that is JSON already stays as it is. */
const jsonOf = ({ argTypes, options }: AggregateCall): ((value: unknown) => string) =>
  options?.raw ? (value) => (value === null ? 'null' : String(value)) : jsonWriter(argTypes[argTypes.length - 1])

/** JSON_OBJECTAGG keeps NULL unless told otherwise, JSON_ARRAYAGG drops it. */
function keepsJsonNull(call: AggregateCall, byDefault: boolean): boolean {
  const option = String(call.options?.onNull ?? call.options?.nullBehaviour ?? '')
  return option === '' ? byDefault : !option.startsWith('ABSENT')
}

/** Of rows that stay: the first or the last value that is not NULL. */
function oneValue(keeps: 'first' | 'last'): ObjectSpec<unknown[]> {
  const add = (state: unknown[], value: unknown) => {
    if (value !== null && (keeps === 'last' || state.length === 0)) state[0] = value
  }
  return {
    create: () => [],
    add: (state, [value]) => add(state, value),
    remove: () => {},
    merge: (into, [value = null]) => add(into, value),
    result: ([value = null]) => value,
    size: (state) => state.length,
  }
}

function valueList(skipsNull: boolean, result: (list: ValueList) => unknown): ObjectSpec<ValueList> {
  return {
    create: () => new ValueList(mapKey),
    add: (list, [value]) => {
      if (value !== null || !skipsNull) list.add(value)
    },
    remove: (list, [value]) => list.remove(value),
    merge: (into, from) => {
      for (const value of from.toArray()) into.add(value)
    },
    result,
    size: ({ count }) => count,
    saved: (list) => list.toArray(),
    restored: (saved) => new ValueList(mapKey, saved as unknown[]),
  }
}

/** The separator is a second argument; of several values the last one counts, as in Flink. */
function listAgg(call: AggregateCall): ObjectSpec<{ list: ValueList; separator: string }> {
  const separator = typeof call.options?.separator === 'string' ? call.options.separator : ','
  return {
    create: () => ({ list: new ValueList(mapKey), separator }),
    add: (state, [value, between]) => {
      if (value === null) return
      if (typeof between === 'string') state.separator = between
      state.list.add(value)
    },
    remove: ({ list }, [value]) => list.remove(value),
    merge: (into, from) => {
      if (from.list.count > 0) into.separator = from.separator
      for (const value of from.list.toArray()) into.list.add(value)
    },
    result: ({ list, separator: between }) => (list.count === 0 ? null : list.toArray().join(between)),
    size: ({ list }) => list.count,
    saved: ({ list, separator: between }) => ({ list: list.toArray(), separator: between }),
    restored: (saved) => {
      const { list, separator: between } = saved as { list: string[]; separator: string }
      return { list: new ValueList(mapKey, list), separator: between }
    },
  }
}

/** Keys of a Map that are equal as SQL values must be equal for the Map. */
const mapKey = (value: unknown): unknown =>
  typeof value === 'object' || Object.is(value, -0) ? `object ${canonicalText(value)}` : typeof value === 'string' ? `text ${value}` : value

type Counted = Map<unknown, { value: unknown; count: number }>

function addCount(counted: Counted, value: unknown, count: number): void {
  const key = mapKey(value)
  const entry = counted.get(key)
  if (entry === undefined) counted.set(key, { value, count })
  else if (entry.count + count === 0) counted.delete(key)
  else entry.count += count
}

const collect: ObjectSpec<Counted> = {
  create: () => new Map(),
  add: (counted, [value]) => {
    if (value !== null) addCount(counted, value, 1)
  },
  remove: (counted, [value]) => {
    if (value !== null) addCount(counted, value, -1)
  },
  merge: (into, from) => {
    for (const { value, count } of from.values()) addCount(into, value, count)
  },
  result: (counted) => new Map(Array.from(counted.values(), ({ value, count }) => [value, count])),
  size: (counted) => counted.size,
}

function ofUser(call: AggregateCall): ObjectSpec<{ accumulator: unknown }> {
  const aggregate = userAggregate(call.options?.user as UserFunctionRef, call.argTypes, call.type)
  const next = (state: { accumulator: unknown }, accumulator: unknown) => {
    if (accumulator !== undefined) state.accumulator = accumulator
  }
  return {
    create: () => ({ accumulator: aggregate.createAccumulator() }),
    add: (state, args) => next(state, aggregate.accumulate(state.accumulator, ...args)),
    remove: (state, args) => next(state, aggregate.retract!(state.accumulator, ...args)),
    merge: (into, from) => next(into, aggregate.merge!(into.accumulator, from.accumulator)),
    copy: (state) => structuredClone(state),
    result: (state) => aggregate.getValue(state.accumulator),
    size: () => 1,
  }
}

/** Between the two values around the place share × (count - 1), in proportion. The second argument says how often a value counts. */
function percentile(call: AggregateCall): ObjectSpec<Counted> {
  const shares = call.options?.shares as number[]
  const isArray = call.type.kind === 'ARRAY'
  const change = (counted: Counted, [value, frequency = 1]: unknown[], sign: number) => {
    if (value === null || frequency === null || Number(frequency) <= 0) return
    addCount(counted, value, sign * Number(frequency))
  }
  const result = (counted: Counted): unknown => {
    const entries = [...counted.values()].sort((a, b) => compareValues(a.value, b.value))
    const total = entries.reduce((sum, { count }) => sum + count, 0)
    if (total === 0) return null
    const valueAt = (place: number): number => {
      let before = 0
      for (const { value, count } of entries) if ((before += count) > place) return value as number
      return entries[entries.length - 1].value as number
    }
    const values = shares.map((share) => {
      const place = share * (total - 1)
      const [lower, upper] = [valueAt(Math.floor(place)), valueAt(Math.ceil(place))]
      return lower === upper ? lower : (Math.ceil(place) - place) * lower + (place - Math.floor(place)) * upper
    })
    return isArray ? values : values[0]
  }
  return {
    create: () => new Map(),
    add: (counted, args) => change(counted, args, 1),
    remove: (counted, args) => change(counted, args, -1),
    merge: (into, from) => {
      for (const { value, count } of from.values()) addCount(into, value, count)
    },
    result,
    size: (counted) => counted.size,
  }
}

/** MIN (order 1) or MAX (order -1) of values that may be taken away: counts, and a heap in which removed values wait until they come up. */
function extreme(order: 1 | -1): ObjectSpec<{ counted: Counted; heap: unknown[] }> {
  const before = (a: unknown, b: unknown) => order * compareValues(a, b) < 0
  const add = (state: { counted: Counted; heap: unknown[] }, value: unknown, count: number) => {
    const { size } = state.counted
    addCount(state.counted, value, count)
    if (state.counted.size > size) heapPush(state.heap, value, before)
    // Dead values stay in the heap; a heap of mostly dead ones is made anew.
    if (state.heap.length > 64 && state.heap.length > 2 * state.counted.size) {
      state.heap = []
      for (const entry of state.counted.values()) heapPush(state.heap, entry.value, before)
    }
  }
  const isLive = (counted: Counted, value: unknown) => (counted.get(mapKey(value))?.count ?? 0) > 0
  return {
    create: () => ({ counted: new Map(), heap: [] }),
    add: (state, [value]) => {
      if (value !== null) add(state, value, 1)
    },
    remove: (state, [value]) => {
      if (value !== null) add(state, value, -1)
    },
    merge: (into, from) => {
      for (const { value, count } of from.counted.values()) add(into, value, count)
    },
    result: ({ counted, heap }) => {
      while (heap.length > 0 && !isLive(counted, heap[0])) heapPop(heap, before)
      return heap.length === 0 ? null : heap[0]
    },
    size: ({ counted, heap }) => counted.size + heap.length,
  }
}

export function heapPush<T>(heap: T[], value: T, before: (a: T, b: T) => boolean): void {
  let at = heap.push(value) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!before(value, heap[parent])) break
    heap[at] = heap[parent]
    at = parent
  }
  heap[at] = value
}

export function heapPop<T>(heap: T[], before: (a: T, b: T) => boolean): T | undefined {
  const top = heap[0]
  const last = heap.pop()
  if (heap.length === 0 || last === undefined) return top
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++
    if (!before(heap[child], last)) break
    heap[at] = heap[child]
    at = child
  }
  heap[at] = last
  return top
}

/** Keys are sorted by their text, as in Flink; of equal keys the last wins. */
function jsonObject(jsonText: (value: unknown) => string, keepsNull: boolean): ObjectSpec<Map<string, unknown>> {
  return {
    create: () => new Map(),
    add: (entries, [key, value]) => {
      if (key !== null && (value !== null || keepsNull)) entries.set(key as string, value)
    },
    remove: (entries, [key]) => {
      entries.delete(key as string)
    },
    merge: (into, from) => {
      for (const [key, value] of from) into.set(key, value)
    },
    result: (entries) => {
      const sorted = Array.from(entries).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      return `{${sorted.map(([key, value]) => `${JSON.stringify(key)}:${jsonText(value)}`).join(',')}}`
    },
    size: (entries) => entries.size,
  }
}
