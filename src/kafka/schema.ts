// Messages declared as data, and codecs made from them: one for each message and version.
//
//   api({ key: 18, name: 'ApiVersions', versions: [0, 4], flexibleFrom: 3, request: { … }, response: { … } })
//   topics: array('0+', { name: string('0-12'), topicId: uuid('13+'), partitions: array('0+', int32()) }, { nullable: '1+' })
//
// A field says in which versions it is there ('0+', '3-12'), in which it may be null, and whether it is a tagged field. Decoding a
// version without the field gives its default; encoding leaves it out.
//
// Invariants
//   1. A decoded message has every field of its declaration.
//   2. Unknown tagged fields are skipped; bytes behind a message are not looked at, those behind a tagged field's are an error.
//   3. From `flexibleFrom` on, lengths are compact and every struct ends with its tagged fields.
import assert from 'node:assert'
import { kafkaErrors } from './errors.ts'
import { WireReader, WireWriter, ZERO_UUID } from './wire.ts'

type Primitive = 'bool' | 'int8' | 'int16' | 'uint16' | 'int32' | 'int64' | 'float64' | 'uuid' | 'string' | 'bytes'

interface Options {
  /** Versions in which it may be null. */
  nullable?: string
  /** Its number as a tagged field. */
  tag?: number
  /** Versions in which it is a tagged field; all, unless said. */
  tagged?: string
  default?: unknown
}
export interface Field<T = unknown> {
  kind: Primitive | 'array' | 'struct'
  versions: string
  options: Options
  fields?: Fields
  element?: Field
  /** For inference only. */
  type?: T
}
export type Fields = Record<string, Field>
type Nullable<T, O> = O extends { nullable: string } ? T | null : T
export type Decoded<F extends Fields> = { [K in keyof F]: F[K] extends Field<infer T> ? T : never }
/** What may be left out gets its default. */
export type Encodable<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer E)[]
    ? readonly Encodable<E>[]
    : T extends object
      ? { readonly [K in keyof T]?: Encodable<T[K]> }
      : T

const primitive =
  <T>(kind: Primitive) =>
  <O extends Options = Record<never, never>>(versions = '0+', options = {} as O): Field<Nullable<T, O>> => ({ kind, versions, options })

export const bool = primitive<boolean>('bool')
export const int8 = primitive<number>('int8')
export const int16 = primitive<number>('int16')
export const uint16 = primitive<number>('uint16')
export const int32 = primitive<number>('int32')
export const int64 = primitive<number>('int64')
export const float64 = primitive<number>('float64')
/** As text: 8-4-4-4-12 hexadecimal digits. */
export const uuid = primitive<string>('uuid')
export const string = primitive<string>('string')
export const bytes = primitive<Uint8Array>('bytes')
/** Record batches one after another; on the wire the same as `bytes`. */
export const records = bytes

type Item<E> = E extends Field<infer T> ? T : E extends Fields ? Decoded<E> : never
export function array<E extends Field | Fields, O extends Options = Record<never, never>>(
  versions: string,
  element: E,
  options = {} as O,
): Field<Nullable<Item<E>[], O>> {
  return { kind: 'array', versions, options, element: isField(element) ? element : struct('0+', element as Fields) }
}
export function struct<F extends Fields, O extends Options = Record<never, never>>(
  versions: string,
  fields: F,
  options = {} as O,
): Field<Nullable<Decoded<F>, O>> {
  return { kind: 'struct', versions, options, fields }
}
const isField = (element: Field | Fields): element is Field => typeof element.kind === 'string'

export interface Codec<T> {
  decode(reader: WireReader): T
  encode(writer: WireWriter, value: Encodable<T>): void
}

/** One API of the protocol. */
export interface Api<Q = unknown, S = unknown> {
  key: number
  name: string
  versions: readonly [min: number, max: number]
  flexibleFrom: number
  fields: { request: Fields; response: Fields }
  request(version: number): Codec<Q>
  response(version: number): Codec<S>
}

export function api<Q extends Fields, S extends Fields>(declared: {
  key: number
  name: string
  versions: readonly [number, number]
  flexibleFrom?: number
  request: Q
  response: S
}): Api<Decoded<Q>, Decoded<S>> {
  const flexibleFrom = declared.flexibleFrom ?? Number.POSITIVE_INFINITY
  return {
    key: declared.key,
    name: declared.name,
    versions: declared.versions,
    flexibleFrom,
    fields: { request: declared.request, response: declared.response },
    request: codecs(declared.request, flexibleFrom),
    response: codecs(declared.response, flexibleFrom),
  }
}

/** Codecs of a message by version, made when first asked for. */
export function codecs<F extends Fields>(fields: F, flexibleFrom: number): (version: number) => Codec<Decoded<F>> {
  const made = new Map<number, Codec<Decoded<F>>>()
  return (version) => {
    let codec = made.get(version)
    if (!codec) {
      const { decode, encode } = compileStruct(fields, version, version >= flexibleFrom)
      codec = { decode: decode as (reader: WireReader) => Decoded<F>, encode }
      made.set(version, codec)
    }
    return codec
  }
}

interface Compiled {
  decode: (reader: WireReader) => unknown
  encode: (writer: WireWriter, value: never) => void
  /** What a value takes at least. */
  bytesMin: number
}

function compileStruct(fields: Fields, version: number, isFlexible: boolean): Compiled {
  const plain: { name: string; codec: Compiled; field: Field }[] = []
  const tagged: { name: string; codec: Compiled; field: Field; tag: number }[] = []
  const absent: { name: string; field: Field }[] = []
  for (const [name, field] of Object.entries(fields)) {
    const { tag, tagged: taggedIn = field.versions } = field.options
    if (!includes(field.versions, version)) absent.push({ name, field })
    else if (tag !== undefined && includes(taggedIn, version)) tagged.push({ name, field, tag, codec: compile(field, version, isFlexible) })
    else plain.push({ name, field, codec: compile(field, version, isFlexible) })
  }
  tagged.sort((a, b) => a.tag - b.tag)
  const decodePlain = decoderOf(plain, [...absent, ...(isFlexible ? tagged : [])])
  const encodePlain = encoderOf(plain)
  return {
    bytesMin: plain.reduce((sum, { codec }) => sum + codec.bytesMin, isFlexible ? 1 : 0),
    decode(reader) {
      const value = decodePlain(reader)
      if (!isFlexible) return value
      for (let rest = reader.uvarint(); rest > 0; rest--) {
        const tag = reader.uvarint()
        const inside = reader.slice(reader.uvarint())
        const known = tagged.find((one) => one.tag === tag)
        if (known) {
          value[known.name] = known.codec.decode(inside)
          assertEnd(inside)
        }
      }
      return value
    },
    encode(writer, value: Record<string, never>) {
      encodePlain(writer, value)
      if (!isFlexible) return
      const present = tagged.filter(({ name, field }) => value[name] !== undefined && !isDefault(value[name], field))
      writer.uvarint(present.length)
      for (const { name, codec, tag } of present) {
        const inside = new WireWriter()
        codec.encode(inside, value[name])
        const encoded = inside.bytes()
        writer.uvarint(tag)
        writer.uvarint(encoded.length)
        writer.raw(encoded)
      }
    },
  }
}

type Named = { name: string; codec: Compiled; field: Field }
const isName = (name: string): boolean => /^[a-zA-Z]\w*$/.test(name)

/**
 * Functions with the fields' names in their text, because a loop over names takes three times as long: each look-up by a name that changes is one
 * in a hash table. The names are those of the declarations in messages/; nothing that a client sends gets into the text.
 */
function decoderOf(
  plain: readonly Named[],
  rest: readonly { name: string; field: Field }[],
): (reader: WireReader) => Record<string, unknown> {
  const parts = plain.map(({ name }, i) => `${name}: codecs[${i}].decode(reader)`)
  const defaults = rest.map(({ name }, i) => `${name}: defaultOf(fields[${i}])`)
  assert([...plain, ...rest].every(({ name }) => isName(name)))
  const make = new Function('codecs', 'fields', 'defaultOf', `return (reader) => ({ ${[...parts, ...defaults].join(', ')} })`)
  const codecs = plain.map(({ codec }) => codec)
  return make(
    codecs,
    rest.map(({ field }) => field),
    defaultOf,
  )
}
function encoderOf(plain: readonly Named[]): (writer: WireWriter, value: Record<string, never>) => void {
  // null as given where it was given, else the default.
  const parts = plain.map(({ name }, i) => `v = value.${name}; codecs[${i}].encode(writer, v === undefined ? defaultOf(fields[${i}]) : v)`)
  const make = new Function('codecs', 'fields', 'defaultOf', `return (writer, value) => { let v; ${parts.join('; ')} }`)
  return make(
    plain.map(({ codec }) => codec),
    plain.map(({ field }) => field),
    defaultOf,
  )
}

function compile(field: Field, version: number, isFlexible: boolean): Compiled {
  const isNullable = field.options.nullable !== undefined && includes(field.options.nullable, version)
  const { kind } = field
  const notNull = <T>(value: T | null): T => {
    if (value === null && !isNullable) throw kafkaErrors('KAFKA_REQUEST_INVALID', { reason: `${kind} is null` })
    return value as T
  }
  switch (kind) {
    case 'bool':
      return { decode: (reader) => reader.bool(), encode: (writer, value) => writer.bool(value), bytesMin: 1 }
    case 'int8':
      return { decode: (reader) => reader.int8(), encode: (writer, value) => writer.int8(value), bytesMin: 1 }
    case 'int16':
      return { decode: (reader) => reader.int16(), encode: (writer, value) => writer.int16(value), bytesMin: 2 }
    case 'uint16':
      return { decode: (reader) => reader.uint16(), encode: (writer, value) => writer.uint16(value), bytesMin: 2 }
    case 'int32':
      return { decode: (reader) => reader.int32(), encode: (writer, value) => writer.int32(value), bytesMin: 4 }
    case 'int64':
      return { decode: (reader) => reader.int64(), encode: (writer, value) => writer.int64(value), bytesMin: 8 }
    case 'float64':
      return { decode: (reader) => reader.float64(), encode: (writer, value) => writer.float64(value), bytesMin: 8 }
    case 'uuid':
      return { decode: (reader) => reader.uuid(), encode: (writer, value) => writer.uuid(value), bytesMin: 16 }
    case 'string':
      return {
        decode: (reader) => notNull(reader.string(isFlexible)),
        encode: (writer, value) => writer.string(value, isFlexible),
        bytesMin: isFlexible ? 1 : 2,
      }
    case 'bytes':
      return {
        decode: (reader) => notNull(reader.byteString(isFlexible)),
        encode: (writer, value) => writer.byteString(value, isFlexible),
        bytesMin: isFlexible ? 1 : 4,
      }
    case 'array': {
      const element = compile(field.element!, version, isFlexible)
      return {
        decode(reader) {
          const count = reader.count(isFlexible, Math.max(1, element.bytesMin))
          if (count < 0) return notNull(null)
          const values: unknown[] = []
          for (let i = 0; i < count; i++) values.push(element.decode(reader))
          return values
        },
        encode(writer, values: never[] | null) {
          writer.count(values === null ? -1 : values.length, isFlexible)
          if (values) for (const value of values) element.encode(writer, value)
        },
        bytesMin: isFlexible ? 1 : 4,
      }
    }
    case 'struct': {
      const inner = compileStruct(field.fields!, version, isFlexible)
      if (!isNullable) return inner
      return {
        decode: (reader) => (reader.int8() < 0 ? null : inner.decode(reader)),
        encode(writer, value: never) {
          writer.int8(value === null ? -1 : 1)
          if (value !== null) inner.encode(writer, value)
        },
        bytesMin: 1,
      }
    }
  }
}

function defaultOf(field: Field): unknown {
  if (field.options.default !== undefined) return field.options.default
  if (field.kind === 'struct') {
    return Object.fromEntries(Object.entries(field.fields!).map(([name, inner]) => [name, defaultOf(inner)]))
  }
  if (field.kind === 'array') return []
  if (field.kind === 'bytes') return new Uint8Array(0)
  return zeros[field.kind]
}
const zeros = { bool: false, int8: 0, int16: 0, uint16: 0, int32: 0, int64: 0, float64: 0, uuid: ZERO_UUID, string: '' }

function isDefault(value: unknown, field: Field): boolean {
  const standard = defaultOf(field)
  if (value instanceof Uint8Array) return standard instanceof Uint8Array && value.length === 0
  if (Array.isArray(value)) return Array.isArray(standard) && value.length === 0
  if (typeof value !== 'object' || value === null) return value === standard
  if (field.kind !== 'struct' || standard === null) return false
  return Object.entries(field.fields!).every(([name, inner]) => {
    const part = (value as Record<string, unknown>)[name]
    return part === undefined || isDefault(part, inner)
  })
}

/** Whether '0+', '3-12' or '7' includes a version. */
export function includes(versions: string, version: number): boolean {
  const [from, to = versions.endsWith('+') ? Number.POSITIVE_INFINITY : from] = versions.replace('+', '').split('-').map(Number)
  return version >= from && version <= to
}

function assertEnd(reader: WireReader): void {
  if (reader.left > 0) throw kafkaErrors('KAFKA_REQUEST_INVALID', { reason: `${reader.left} bytes behind the message` })
}

/** Encodes a message without a frame. */
export function encodeMessage<T>(codec: Codec<T>, value: Encodable<T>): Buffer {
  const writer = new WireWriter()
  codec.encode(writer, value)
  return writer.bytes()
}

/** Decodes a message that must take all of the bytes. @throws KAFKA_REQUEST_INVALID */
export function decodeMessage<T>(codec: Codec<T>, source: Uint8Array): T {
  const reader = new WireReader(source)
  const value = codec.decode(reader)
  assertEnd(reader)
  return value
}
