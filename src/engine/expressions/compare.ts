// Equality and order of values of any type, as SQL compares them. NULL inside of collections equals NULL and is the smallest.
import type { SqlType } from '../../data/index.ts'

type AnyEqual = (a: unknown, b: unknown) => boolean
type AnyCompare = (a: unknown, b: unknown) => number

const equals = new WeakMap<SqlType, AnyEqual>()
const compares = new WeakMap<SqlType, AnyCompare>()

/** Equality of two values that are not null; made once for a type. */
export function equalValues(type: SqlType): AnyEqual {
  let equal = equals.get(type)
  if (equal === undefined) {
    equal = makeEqual(type)
    equals.set(type, equal)
  }
  return equal
}
/** Equality where null equals null. */
export function equalOrBothNull(type: SqlType): AnyEqual {
  const equal = equalValues(type)
  return (a, b) => (a === null || b === null ? a === b : equal(a, b))
}

function makeEqual(type: SqlType): AnyEqual {
  switch (type.kind) {
    case 'BINARY':
    case 'VARBINARY':
      return (a, b) => compareBytes(a as Uint8Array, b as Uint8Array) === 0
    case 'ARRAY': {
      const element = equalOrBothNull(type.element)
      return (a, b) => equalLists(a as unknown[], b as unknown[], () => element)
    }
    case 'ROW': {
      const fields = type.fields.map((field) => equalOrBothNull(field.type))
      return (a, b) => equalLists(a as unknown[], b as unknown[], (index) => fields[index])
    }
    case 'MAP': {
      const value = equalOrBothNull(type.value)
      return (a, b) => equalMaps(a as Map<unknown, unknown>, b as Map<unknown, unknown>, equalOrBothNull(type.key), value)
    }
    case 'MULTISET': {
      const element = equalOrBothNull(type.element)
      return (a, b) => equalMaps(a as Map<unknown, unknown>, b as Map<unknown, unknown>, element, (x, y) => x === y)
    }
    default:
      return (a, b) => a === b
  }
}

function equalLists(a: unknown[], b: unknown[], equalAt: (index: number) => AnyEqual): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (!equalAt(i)(a[i], b[i])) return false
  return true
}

function equalMaps(a: Map<unknown, unknown>, b: Map<unknown, unknown>, equalKey: AnyEqual, equalValue: AnyEqual): boolean {
  if (a.size !== b.size) return false
  for (const [key, value] of a) {
    const found = b.has(key) ? [key, b.get(key)] : [...b].find(([other]) => equalKey(key, other))
    if (found === undefined || !equalValue(value, found[1])) return false
  }
  return true
}

/** Order of two values that are not null: negative, 0 or positive. Rows and arrays by their first difference. */
export function compareValues(type: SqlType): AnyCompare {
  let compare = compares.get(type)
  if (compare === undefined) {
    compare = makeCompare(type)
    compares.set(type, compare)
  }
  return compare
}
/** Order where null is the smallest. */
export function compareNullsFirst(type: SqlType): AnyCompare {
  const compare = compareValues(type)
  return (a, b) => (a === null ? (b === null ? 0 : -1) : b === null ? 1 : compare(a, b))
}

function makeCompare(type: SqlType): AnyCompare {
  switch (type.kind) {
    case 'BINARY':
    case 'VARBINARY':
      return (a, b) => compareBytes(a as Uint8Array, b as Uint8Array)
    case 'ARRAY': {
      const element = compareNullsFirst(type.element)
      return (a, b) => compareLists(a as unknown[], b as unknown[], () => element)
    }
    case 'ROW': {
      const fields = type.fields.map((field) => compareNullsFirst(field.type))
      return (a, b) => compareLists(a as unknown[], b as unknown[], (index) => fields[index])
    }
    case 'FLOAT':
    case 'DOUBLE':
      return (a, b) => compareDoubles(a as number, b as number)
    default:
      return (a, b) => ((a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0)
  }
}

/** NaN is the largest, -0 is below 0: a total order, as Java sorts. */
function compareDoubles(a: number, b: number): number {
  if (a < b) return -1
  if (a > b) return 1
  if (a === b) return a === 0 ? (Object.is(a, b) ? 0 : Object.is(a, -0) ? -1 : 1) : 0
  return Number.isNaN(a) ? (Number.isNaN(b) ? 0 : 1) : -1
}

function compareLists(a: unknown[], b: unknown[], compareAt: (index: number) => AnyCompare): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const order = compareAt(i)(a[i], b[i])
    if (order !== 0) return order
  }
  return a.length - b.length
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i] - b[i]
  return a.length - b.length
}
