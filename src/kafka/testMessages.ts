// Messages of any API and version, made from their declarations: for property tests and for fuzzing.
import { readdirSync } from 'node:fs'
import fc from 'fast-check'
import { type Api, type Field, type Fields, includes } from './schema.ts'

/** All APIs that are declared. */
export const apis: Api[] = []
for (const name of readdirSync(new URL('messages', import.meta.url))) {
  for (const exported of Object.values(await import(`./messages/${name}`))) apis.push(exported as Api)
}

const int = (bits: number) => fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
const primitives: Partial<Record<Field['kind'], fc.Arbitrary<unknown>>> = {
  bool: fc.boolean(),
  int8: int(8),
  int16: int(16),
  uint16: fc.nat(65_535),
  int32: fc.oneof(int(32), fc.integer({ min: -2, max: 2 })),
  int64: fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -2, max: 2 })),
  float64: fc.double({ noNaN: true }),
  uuid: fc.uuid(),
  string: fc.oneof(fc.string({ maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 20 })),
  bytes: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 1_100, maxLength: 1_200 })),
}
/** Values of a message; what a version does not have is left out and must come back as its default. */
export function messageOf(fields: Fields, version: number): fc.Arbitrary<Record<string, unknown>> {
  const parts: Record<string, fc.Arbitrary<unknown>> = {}
  for (const [name, field] of Object.entries(fields)) if (includes(field.versions, version)) parts[name] = anyOf(field, version)
  return fc.record(parts, { noNullPrototype: true })
}
function anyOf(field: Field, version: number): fc.Arbitrary<unknown> {
  const value =
    field.kind === 'array'
      ? fc.array(anyOf(field.element!, version), { maxLength: 3 })
      : field.kind === 'struct'
        ? messageOf(field.fields!, version)
        : primitives[field.kind]!
  return field.options.nullable && includes(field.options.nullable, version) ? fc.option(value, { freq: 3 }) : value
}
