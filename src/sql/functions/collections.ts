// Signatures of ARRAY_*, MAP_* and their relatives.
import type { SqlType } from '../../data/index.ts'
import { t, withNullable } from '../../data/index.ts'
import type { Expr } from '../plan.ts'
import type { AnySpec, CallInfo } from './signature.ts'
import { anyNullable, argType, badArguments, brought, call, fn, forceNullable, ifArgs, overload, p, withOptional } from './signature.ts'
import { commonType } from './typing.ts'

const elementOf = (type: SqlType): SqlType => (type as { element: SqlType }).element
const mapOf = (arg: Expr) => arg.type as Extract<SqlType, { kind: 'MAP' }>

/** (array, element of its type); `result` gets both. */
const withElement = (name: string, result: (array: Expr, element: Expr) => SqlType): AnySpec => ({
  name,
  resolve(args, info) {
    const [array, element] = args
    const common = args.length === 2 && array.type.kind === 'ARRAY' ? commonType([elementOf(array.type), element.type]) : undefined
    if (common === undefined) throw badArguments(name, args, info, `${name}(ARRAY, element)`)
    // The element becomes one of the array, never the other way.
    if (common.kind !== elementOf(array.type).kind) throw badArguments(name, args, info, `${name}(ARRAY, an element of its type)`)
    const nullable = elementOf(array.type).nullable
    const wide = brought(array, t.array(withNullable(common, nullable)))
    const resolved = [wide, brought(element, common)]
    return call(name, resolved, result(resolved[0], resolved[1]), info)
  },
})

/** All arguments brought to one ARRAY or MAP type. */
const common = (name: string, kind: 'ARRAY' | 'MAP', argCountMin: number, argCountMax: number): AnySpec => ({
  name,
  resolve(args, info) {
    const type = args.every((arg) => arg.type.kind === kind || arg.type.kind === 'NULL')
      ? commonType(args.map((arg) => arg.type))
      : undefined
    if (type?.kind !== kind || args.length < argCountMin || args.length > argCountMax)
      throw badArguments(name, args, info, `${kind}s of one type`)
    return call(name, args.map((arg) => brought(arg, type)), type, info) // biome-ignore format: short
  },
})

function resolveMapFromArrays(args: Expr[], info: CallInfo): Expr {
  const [keys, values] = args
  if (args.length !== 2 || keys.type.kind !== 'ARRAY' || values.type.kind !== 'ARRAY') {
    throw badArguments('MAP_FROM_ARRAYS', args, info, 'MAP_FROM_ARRAYS(ARRAY, ARRAY)')
  }
  return call('MAP_FROM_ARRAYS', args, t.map(keys.type.element, values.type.element, anyNullable(args)), info)
}

const extended = (array: Expr, element: Expr): SqlType => {
  const type = elementOf(array.type)
  // A quirk of Flink's: the array may be NULL where the element may.
  return t.array(withNullable(type, type.nullable || element.type.nullable), array.type.nullable || element.type.nullable)
}

export const collectionSpecs: AnySpec[] = [
  {
    name: 'CARDINALITY',
    resolve: (args, info) => {
      if (args.length !== 1 || !['ARRAY', 'MAP'].includes(args[0].type.kind))
        throw badArguments('CARDINALITY', args, info, 'an ARRAY or a MAP')
      return call('CARDINALITY', args, t.int(args[0].type.nullable), info)
    },
  },
  fn('ELEMENT', overload(p.array), ([array]) => withNullable(elementOf(array.type), elementOf(array.type).nullable || array.type.nullable)), // biome-ignore format: short
  withElement('ARRAY_CONTAINS', (array) => t.boolean(array.type.nullable)),
  withElement('ARRAY_POSITION', (array, element) => t.int(array.type.nullable || element.type.nullable)),
  withElement('ARRAY_REMOVE', (array) => array.type),
  withElement('ARRAY_APPEND', extended),
  withElement('ARRAY_PREPEND', extended),
  fn('ARRAY_SORT', withOptional(2, p.orderedArray, p.boolean, p.boolean), ifArgs(argType(0))),
  fn('ARRAY_DISTINCT', overload(p.array), ifArgs(argType(0))),
  fn('ARRAY_REVERSE', overload(p.array), ifArgs(argType(0))),
  fn('ARRAY_SLICE', withOptional(1, p.array, p.int32, p.int32), ifArgs(argType(0))),
  fn('ARRAY_JOIN', withOptional(1, p.textArray, p.text, p.text), ifArgs(t.string())),
  fn('ARRAY_MAX', overload(p.orderedArray), forceNullable(([array]) => elementOf(array.type))), // biome-ignore format: short
  fn('ARRAY_MIN', overload(p.orderedArray), forceNullable(([array]) => elementOf(array.type))), // biome-ignore format: short
  common('ARRAY_UNION', 'ARRAY', 2, 2),
  common('ARRAY_EXCEPT', 'ARRAY', 2, 2),
  common('ARRAY_INTERSECT', 'ARRAY', 2, 2),
  common('ARRAY_CONCAT', 'ARRAY', 1, Number.POSITIVE_INFINITY),
  common('MAP_UNION', 'MAP', 1, Number.POSITIVE_INFINITY),
  fn('MAP_KEYS', overload(p.map), ifArgs(([map]) => t.array(mapOf(map).key))), // biome-ignore format: short
  fn('MAP_VALUES', overload(p.map), ifArgs(([map]) => t.array(mapOf(map).value))), // biome-ignore format: short
  fn(
    'MAP_ENTRIES',
    overload(p.map),
    ifArgs(([map]) =>
      t.array(
        t.row([
          { name: 'key', type: mapOf(map).key },
          { name: 'value', type: mapOf(map).value },
        ]),
      ),
    ),
  ),
  { name: 'MAP_FROM_ARRAYS', resolve: resolveMapFromArrays },
]
