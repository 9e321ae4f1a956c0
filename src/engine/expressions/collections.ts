// Functions of ARRAY, MAP and ROW. Values inside may be null.
import type { SqlType } from '../../data/index.ts'
import { compareValues, equalOrBothNull } from './compare.ts'
import { expressionErrors } from './errors.ts'
import type { FunctionTable } from './registry.ts'
import { called, maybe, plain, strict } from './registry.ts'

type List = unknown[]
type Dict = Map<unknown, unknown>
const elementOf = (type: SqlType): SqlType => (type as { element: SqlType }).element
/** Types whose values JavaScript's own Set and Map tell apart. */
const isSimple = (type: SqlType): boolean => !['BINARY', 'VARBINARY', 'ARRAY', 'MAP', 'ROW', 'MULTISET'].includes(type.kind)

/** Answers whether a value is in the list. */
function memberOf(list: List, type: SqlType): (value: unknown) => boolean {
  if (isSimple(type)) {
    const set = new Set(list)
    return (value) => set.has(value)
  }
  const equal = equalOrBothNull(type)
  return (value) => list.some((other) => equal(other, value))
}
function distinct(list: List, type: SqlType): List {
  const equal = equalOrBothNull(type)
  if (isSimple(type)) return [...new Set(list)]
  return list.filter((value, index) => list.findIndex((other) => equal(other, value)) === index)
}

function mapGet(type: Extract<SqlType, { kind: 'MAP' }>): (map: Dict, key: unknown) => unknown {
  if (isSimple(type.key)) return (map, key) => map.get(key) ?? null
  const equal = equalOrBothNull(type.key)
  return (map, key) => [...map].find(([other]) => equal(other, key))?.[1] ?? null
}

function mapFromArrays(keys: List, values: List): Dict {
  if (keys.length !== values.length) {
    throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', {
      fn: 'MAP_FROM_ARRAYS',
      reason: `${keys.length} keys and ${values.length} values`,
    })
  }
  return new Map(keys.map((key, index) => [key, values[index]]))
}

function mapOfPairs(...items: List): Dict {
  const map: Dict = new Map()
  for (let i = 0; i + 1 < items.length; i += 2) map.set(items[i], items[i + 1])
  return map
}

function element(list: List): unknown {
  if (list.length > 1)
    throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn: 'ELEMENT', reason: `the array has ${list.length} elements` })
  return list[0] ?? null
}

/** Positions from 1, negative from the end; both ends included. */
function slice(list: List, start: number, end = list.length): List {
  const at = (position: number) => (position < 0 ? Math.max(list.length + position, 0) : position === 0 ? 0 : position - 1)
  const from = at(start)
  const to = end < 0 ? list.length + end : end === 0 ? 0 : Math.min(end, list.length) - 1
  return from > to ? [] : list.slice(from, to + 1)
}

function sorted(type: SqlType): (list: List, ascending?: boolean, nullsFirst?: boolean) => List {
  const compare = compareValues(elementOf(type))
  return (list, ascending = true, nullsFirst = ascending) => {
    const values = list.filter((value) => value !== null).sort((a, b) => (ascending ? compare(a, b) : compare(b, a)))
    const nulls = new Array(list.length - values.length).fill(null)
    return nullsFirst ? [...nulls, ...values] : [...values, ...nulls]
  }
}

function extreme(type: SqlType, wanted: 1 | -1): (list: List) => unknown {
  const compare = compareValues(elementOf(type))
  return (list) => {
    let best: unknown = null
    for (const value of list) if (value !== null && (best === null || Math.sign(compare(value, best)) === wanted)) best = value
    return best
  }
}

export const collectionFunctions: FunctionTable = {
  ARRAY: called(
    () =>
      (...items) =>
        items,
  ),
  ROW: called(
    () =>
      (...items) =>
        items,
  ),
  MAP: called(() => mapOfPairs),
  FIELD: maybe(({ options }) => {
    const index = options.index as number
    return (row: List) => row[index]
  }),
  ITEM: maybe(({ argTypes: [type] }) => {
    if (type.kind === 'MAP') return mapGet(type)
    return (list: List, position: number) => (position >= 1 && position <= list.length ? list[position - 1] : null)
  }),
  CARDINALITY: plain((collection: List | Dict) => (Array.isArray(collection) ? collection.length : collection.size)),
  ELEMENT: maybe(() => element),
  ARRAY_CONTAINS: called(({ argTypes: [type] }) => {
    const equal = equalOrBothNull(elementOf(type))
    return (list: List | null, needle) => (list === null ? null : list.some((value) => equal(value, needle)))
  }),
  ARRAY_POSITION: strict(({ argTypes: [type] }) => {
    const equal = equalOrBothNull(elementOf(type))
    return (list: List, needle) => list.findIndex((value) => equal(value, needle)) + 1
  }),
  ARRAY_REMOVE: called(({ argTypes: [type] }) => {
    const equal = equalOrBothNull(elementOf(type))
    return (list: List | null, needle) => (list === null ? null : list.filter((value) => !equal(value, needle)))
  }),
  ARRAY_APPEND: called(() => (list: List | null, value) => list && [...list, value]),
  ARRAY_PREPEND: called(() => (list: List | null, value) => list && [value, ...list]),
  ARRAY_SORT: strict(({ argTypes: [type] }) => sorted(type)),
  ARRAY_DISTINCT: strict(
    ({ argTypes: [type] }) =>
      (list: List) =>
        distinct(list, elementOf(type)),
  ),
  ARRAY_REVERSE: plain((list: List) => [...list].reverse()),
  ARRAY_SLICE: plain(slice),
  ARRAY_JOIN: plain((list: List, separator: string, forNull?: string) =>
    (forNull === undefined ? list.filter((value) => value !== null) : list.map((value) => value ?? forNull)).join(separator),
  ),
  ARRAY_MAX: maybe(({ argTypes: [type] }) => extreme(type, 1)),
  ARRAY_MIN: maybe(({ argTypes: [type] }) => extreme(type, -1)),
  ARRAY_UNION: strict(
    ({ argTypes: [type] }) =>
      (a: List, b: List) =>
        distinct([...a, ...b], elementOf(type)),
  ),
  ARRAY_CONCAT: plain((...lists: List[]) => lists.flat()),
  ARRAY_INTERSECT: strict(
    ({ argTypes: [type] }) =>
      (a: List, b: List) =>
        distinct(a, elementOf(type)).filter(memberOf(b, elementOf(type))),
  ),
  ARRAY_EXCEPT: strict(({ argTypes: [type] }) => (a: List, b: List) => {
    const isOther = memberOf(b, elementOf(type))
    return distinct(a, elementOf(type)).filter((value) => !isOther(value))
  }),
  MAP_KEYS: plain((map: Dict) => [...map.keys()]),
  MAP_VALUES: plain((map: Dict) => [...map.values()]),
  MAP_ENTRIES: plain((map: Dict) => [...map]),
  MAP_FROM_ARRAYS: plain(mapFromArrays),
  // The newest value of a key, and the maps from the last to the first, as Flink puts them.
  MAP_UNION: plain((...maps: Dict[]) => new Map([...maps.toReversed(), ...maps].flatMap((map) => [...map]))),
}
