// Operator state as named runs of bytes, and back.
//
//   what `snapshot()` gave --> typed arrays of some size, each a part under the path where it stood   `groups.table.columns.0.column.bytes`
//                         `--> all the rest, with a mark where each array was                          the part `` (v8.serialize)
//
// Invariants
//   1. `joinParts(splitState(x))` equals `structuredClone(x)`, for everything that can be cloned.
//   2. The bytes of parts are the operator's own memory: they hold until its next step, so they are copied, hashed or written before that.
//   3. Elements with an `id` stand under it, not under their index: a window that closes renames none of the others.
//   1 is held by stateParts.property.test.ts.
import { deserialize, serialize } from 'node:v8'

const arrayTypes = {
  Uint8Array,
  Int32Array,
  Uint32Array,
  Float64Array,
  BigInt64Array,
} as const
export type ArrayTypeName = keyof typeof arrayTypes

export interface StatePart {
  name: string
  /** `value`: the rest. */
  type: ArrayTypeName | 'value'
  bytes: Uint8Array
  /** Parts with the same number hold memory to which is only appended: what was there before has not changed. */
  lineage?: number
  /** Where the bytes are, if not in `bytes`: in a file that does not change. */
  stored?: { path: string; position: number; sizeBytes: number; checksums: Uint32Array }
}

/** State whose bytes are in a file: a checkpoint takes them from there. */
export class StoredState {
  readonly path: string
  /** `checksums`: two for each chunk, as in `PartUpdate`. */
  readonly parts: readonly { name: string; type: StatePart['type']; sizeBytes: number; position: number; checksums: Uint32Array }[]

  constructor(path: string, parts: StoredState['parts']) {
    this.path = path
    this.parts = parts
  }
  get sizeBytes(): number {
    return this.parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  }
}

/** What a `StoredState` has become in a checkpoint: read part by part, when somebody asks. */
export interface UnreadState {
  parts: { name: string; type: StatePart['type'] }[]
  read(name: string): Uint8Array
}

/** Smaller ones are written with the rest. */
const PART_BYTES_MIN = 256
/** Lists longer than this hold rows, not parts of an operator. */
const LIST_LENGTH_MAX = 4096
const DEPTH_MAX = 12
/** No state of an operator has such a key. */
const MARK = '\u0000part'
const STORED_MARK = '\u0000stored'
const NO_BYTES = new Uint8Array(0)

export function splitState(state: unknown): StatePart[] {
  const parts: StatePart[] = []
  const walk = (value: unknown, path: string, depth: number, lineage: number | undefined): unknown => {
    if (typeof value !== 'object' || value === null || depth > DEPTH_MAX) return value
    if (ArrayBuffer.isView(value)) {
      const type = value.constructor.name as ArrayTypeName
      if (!Object.hasOwn(arrayTypes, type)) return value
      const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
      // A view of a large buffer would be serialized whole.
      if (value.byteLength < PART_BYTES_MIN) return (value as Uint8Array).slice()
      parts.push({ name: path, type, bytes, lineage })
      return { [MARK]: path }
    }
    if (value instanceof StoredState) {
      for (const { name, type, ...stored } of value.parts)
        parts.push({ name: `${path}/${name}`, type, bytes: NO_BYTES, stored: { path: value.path, ...stored } })
      return { [STORED_MARK]: path, parts: value.parts.map(({ name, type }) => ({ name, type })) }
    }
    if (Array.isArray(value)) {
      if (value.length > LIST_LENGTH_MAX) return value
      return value.map((element, i) => walk(element, `${path}.${idOf(element) ?? i}`, depth + 1, lineage))
    }
    if (Object.getPrototypeOf(value) !== Object.prototype) return value
    const own = (value as { lineage?: unknown }).lineage
    const inner = typeof own === 'number' ? own : lineage
    return Object.fromEntries(
      Object.entries(value).map(([key, element]) => [key, walk(element, path === '' ? key : `${path}.${key}`, depth + 1, inner)]),
    )
  }
  const rest = walk(state, '', 0, undefined)
  parts.push({ name: '', type: 'value', bytes: serialize(rest) })
  return parts
}

function idOf(element: unknown): string | undefined {
  const id = typeof element === 'object' && element !== null ? (element as { id?: unknown }).id : undefined
  return typeof id === 'number' || typeof id === 'string' ? `[${id}]` : undefined
}

/** @param read  the bytes of a part, alone in their buffer */
export function joinParts(parts: readonly { name: string; type: StatePart['type'] }[], read: (name: string) => Uint8Array): unknown {
  const types = new Map(parts.map(({ name, type }) => [name, type]))
  const walk = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value
    if (Array.isArray(value)) return value.length > LIST_LENGTH_MAX ? value : value.map(walk)
    if (Object.getPrototypeOf(value) !== Object.prototype) return value
    const stored = (value as Record<string, unknown>)[STORED_MARK]
    if (typeof stored === 'string') {
      const { parts } = value as unknown as UnreadState
      return { parts, read: (name) => read(`${stored}/${name}`) } satisfies UnreadState
    }
    const name = (value as Record<string, unknown>)[MARK]
    if (typeof name !== 'string') return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, walk(element)]))
    const bytes = read(name)
    const Type = arrayTypes[types.get(name) as ArrayTypeName]
    return new Type(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength / Type.BYTES_PER_ELEMENT)
  }
  return walk(deserialize(read('')))
}
