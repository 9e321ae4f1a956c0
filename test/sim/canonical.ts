// V8 serializes a whole number in one of two ways, by how an earlier run of the code has stored it. So that a seed gives the same files whatever was
// played before it in the process, the simulation has all of them in one way. What is read back is equal.
import { createRequire, syncBuiltinESMExports } from 'node:module'

const v8 = createRequire(import.meta.url)('node:v8') as { serialize(value: unknown): Buffer }
const { serialize } = v8

/** From now on, for all modules. */
export function installCanonicalSerialize(): void {
  v8.serialize = (value) => serialize(canonical(value))
  syncBuiltinESMExports()
}

function canonical(value: unknown): unknown {
  if (typeof value === 'number') return (value | 0) === value && !Object.is(value, -0) ? value | 0 : value
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  if (Array.isArray(value)) {
    // Of a kind that holds anything: one of numbers alone would be written as doubles, or not.
    const array: unknown[] = ['']
    array.length = 0
    for (const one of value) array.push(canonical(one))
    return array
  }
  if (value instanceof Map) return new Map([...value].map(([key, one]) => [canonical(key), canonical(one)]))
  if (value instanceof Set) return new Set([...value].map(canonical))
  const proto = Object.getPrototypeOf(value)
  if (proto !== Object.prototype && proto !== null) return value
  // Without a shape, which would remember what kind of number a field had.
  const object = Object.create(null)
  // Lineages are counted in the process, and what is read back gets new ones.
  for (const [key, one] of Object.entries(value)) object[key] = key === 'lineage' ? 0 : canonical(one)
  return object
}
