// SQL/JSON functions.
//
// @source golden cases functions/json_*; the SQL standard's behaviours on EMPTY and on ERROR
import type { SqlType } from '../../data/index.ts'
import { decimalText, isIntegerKind } from '../../data/index.ts'
import { castOf, textOf } from './casts.ts'
import { expressionErrors, shown } from './errors.ts'
import type { Json, JsonPath } from './jsonPath.ts'
import { evaluatePath, JsonReal, parseJsonPath } from './jsonPath.ts'
import { bigDecimalText, doubleText } from './numbers.ts'
import type { CallContext, FunctionTable, RowFunction } from './registry.ts'
import { called, madeFrom, maybe, plain, plainMaybe, strict } from './registry.ts'
import { withoutHalves } from './text.ts'

const needsExactNumbers = /\d[.eE]|\d{16}/
type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown
const exactNumbers: Reviver = (_key, value, { source }) => {
  if (typeof value !== 'number' || source === undefined) return value
  if (/[.eE]/.test(source)) return new JsonReal(value, source)
  return Number.isSafeInteger(value) ? value : BigInt(source)
}

/** Undefined for text that is no JSON. */
export function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text, needsExactNumbers.test(text) ? (exactNumbers as (key: string, value: unknown) => unknown) : undefined) as Json
  } catch {
    return undefined
  }
}
/** Several calls on one row mostly read the same document. */
function rememberingParser(): (text: string) => Json | undefined {
  let lastText: string | undefined
  let last: Json | undefined
  return (text) => {
    if (text === lastText) return last
    last = parseJson(text)
    lastText = text
    return last
  }
}
const parseShared = rememberingParser()

export function jsonText(value: Json): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'bigint') return String(value)
  if (typeof value === 'string') return JSON.stringify(value)
  if (value instanceof JsonReal) return bigDecimalText(value.source)
  if (Array.isArray(value)) return `[${value.map(jsonText).join(',')}]`
  return sortedObjectText(Object.entries(value).map(([key, one]) => [key, jsonText(one)]))
}
const isScalar = (value: Json): boolean => typeof value !== 'object' || value === null || value instanceof JsonReal
const scalarText = (value: Json): string => (typeof value === 'string' ? withoutHalves(value) : jsonText(value))

type Found = { value: Json } | { missing: true } | { error: string }

/** What a path means: one value, a list of values where it can mean several. */
function find(text: string, path: JsonPath): Found {
  const root = parseShared(text)
  if (root === undefined) return path.strict ? { error: `'${shown(text)}' is no JSON` } : { missing: true }
  if (root === null) return { error: 'nothing can be looked for in null' }
  const values = evaluatePath(path, root)
  if (values === undefined) return { error: 'the path leads nowhere' }
  if (!path.single) return { value: values }
  if (values.length > 0) return { value: values[0] }
  return path.strict ? { error: 'the path leads nowhere' } : { missing: true }
}

interface Behaviour {
  kind: string
  argument?: number
}
const behaviourOf = (options: Record<string, unknown>, key: string): Behaviour =>
  (options[key] as Behaviour | undefined) ?? { kind: 'NULL' }

/** What a behaviour gives; `args` are those of the call. */
function fallback(fn: string, behaviour: Behaviour, args: unknown[], reason: string): unknown {
  switch (behaviour.kind) {
    case 'ERROR':
      throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn, reason })
    case 'DEFAULT':
      return args[behaviour.argument!]
    case 'EMPTY ARRAY':
      return '[]'
    case 'EMPTY OBJECT':
      return '{}'
    default:
      return null
  }
}

/** A JSON scalar as a value of the type after RETURNING; undefined where it does not fit. */
function returned(value: Json, type: SqlType): unknown {
  if (type.kind === 'VARCHAR' || type.kind === 'CHAR') return scalarText(value)
  if (type.kind === 'BOOLEAN') return typeof value === 'boolean' ? value : undefined
  if (isIntegerKind(type.kind) && (typeof value === 'number' || typeof value === 'bigint')) {
    const exact = BigInt(value)
    const bits = type.kind === 'BIGINT' ? 64 : 32
    if (BigInt.asIntN(bits, exact) !== exact) return undefined
    return type.kind === 'BIGINT' ? exact : Number(exact)
  }
  if (type.kind === 'DOUBLE' || type.kind === 'FLOAT') {
    if (typeof value === 'number' || typeof value === 'bigint') return Number(value)
    return value instanceof JsonReal ? value.value : undefined
  }
  if (isScalar(value) && value !== null && !isIntegerKind(type.kind)) {
    return castOf({ kind: 'VARCHAR', length: 2_147_483_647, nullable: true }, type, true, 'UTC').fn(scalarText(value)) ?? undefined
  }
  return undefined
}

function jsonValue({ options, literals, type }: CallContext): RowFunction {
  const pathOf = madeFrom(literals[1], parseJsonPath)
  const onEmpty = behaviourOf(options, 'onEmpty')
  const onError = behaviourOf(options, 'onError')
  return (...args) => {
    const [text, pathText] = args
    if (text === null || pathText === null) return null
    const path = pathOf(pathText)
    const found = find(text, path)
    if ('error' in found) return fallback('JSON_VALUE', onError, args, found.error)
    // In lax mode an object or array is as good as nothing, and so is null; in strict mode these are errors.
    if ('missing' in found || (!path.strict && (found.value === null || !isScalar(found.value)))) {
      return fallback('JSON_VALUE', onEmpty, args, 'the path gives nothing')
    }
    if (found.value === null) return fallback('JSON_VALUE', onError, args, 'the path gives null')
    if (!isScalar(found.value)) return fallback('JSON_VALUE', onError, args, 'the path gives an object or array')
    const value = returned(found.value, type)
    return value === undefined ? fallback('JSON_VALUE', onError, args, 'the value does not fit the type of RETURNING') : value
  }
}

function jsonQuery({ options, literals, type }: CallContext): RowFunction {
  const pathOf = madeFrom(literals[1], parseJsonPath)
  const onEmpty = behaviourOf(options, 'onEmpty')
  const onError = behaviourOf(options, 'onError')
  const wrapper = (options.wrapper as string | undefined) ?? 'WITHOUT'
  const result = (value: Json) =>
    type.kind === 'ARRAY' ? (value as Json[]).map((one) => (one === null ? null : scalarText(one))) : jsonText(value)
  const otherwise = (behaviour: Behaviour, reason: string) => {
    const value = fallback('JSON_QUERY', behaviour, [], reason)
    return type.kind === 'ARRAY' && value === '[]' ? [] : value
  }
  return (text: string, pathText: string) => {
    const path = pathOf(pathText)
    const found = find(text, path)
    if ('error' in found) return otherwise(onError, found.error)
    if ('missing' in found) return otherwise(onEmpty, 'the path gives nothing')
    if (found.value === null) return otherwise(path.strict ? onError : onEmpty, 'the path gives null')
    const wrapped = wrapper === 'UNCONDITIONAL' || (wrapper === 'CONDITIONAL' && !Array.isArray(found.value)) ? [found.value] : found.value
    if (isScalar(wrapped) || (type.kind === 'ARRAY' && !Array.isArray(wrapped))) {
      return path.strict ? otherwise(onError, 'the path gives a scalar') : otherwise(onEmpty, 'the path gives a scalar')
    }
    return result(wrapped)
  }
}

function jsonExists({ options, literals }: CallContext): RowFunction {
  const pathOf = madeFrom(literals[1], parseJsonPath)
  const behaviour = (options.onError as Behaviour | undefined)?.kind ?? 'FALSE'
  return (text: string, pathText: string) => {
    const path = pathOf(pathText)
    const found = find(text, path)
    if ('value' in found && !(found.value === null && path.strict)) {
      // Where a path can mean several, the list of them is there, also with none in it.
      return found.value !== null
    }
    if ('missing' in found) return false
    if (behaviour === 'ERROR') {
      throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', {
        fn: 'JSON_EXISTS',
        reason: 'error' in found ? found.error : 'the value is null',
      })
    }
    return behaviour === 'UNKNOWN' ? null : behaviour === 'TRUE'
  }
}

// ---------------------------------------------------------------- values to JSON

/** Writes values of a type as JSON. `raw`: text that already is JSON. */
export function jsonWriter(type: SqlType, timeZone = 'UTC'): (value: unknown) => string {
  const orNull = (write: (value: never) => string) => (value: unknown) => (value === null ? 'null' : write(value as never))
  const text = textOf(type, timeZone)
  switch (type.kind) {
    case 'BOOLEAN':
      return orNull(String)
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
    case 'BIGINT':
      return orNull(String)
    case 'DECIMAL':
      return orNull((value: bigint) => bigDecimalText(decimalText(value, type.scale)))
    case 'FLOAT':
    case 'DOUBLE':
      return orNull((value: number) => (Number.isFinite(value) ? bigDecimalText(doubleText(value)) : JSON.stringify(text(value))))
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ': {
      const isLocal = type.kind === 'TIMESTAMP_LTZ'
      const utcText = textOf(type, 'UTC')
      return orNull(
        (value) =>
          `"${utcText(value)
            .replace(' ', 'T')
            .replace(/\.?0+$/, trimmedFraction)}${isLocal ? 'Z' : ''}"`,
      )
    }
    case 'BINARY':
    case 'VARBINARY':
      return orNull((value: Uint8Array) => JSON.stringify(Buffer.from(value).toString('base64')))
    case 'ARRAY': {
      const element = jsonWriter(type.element, timeZone)
      return orNull((value: unknown[]) => `[${value.map(element).join(',')}]`)
    }
    case 'MAP':
    case 'MULTISET': {
      const [keyType, valueType]: [SqlType, SqlType] =
        type.kind === 'MAP' ? [type.key, type.value] : [type.element, { kind: 'INT', nullable: false }]
      const key = textOf(keyType, timeZone)
      const item = jsonWriter(valueType, timeZone)
      return orNull((value: Map<unknown, unknown>) => sortedObjectText([...value].map(([k, v]) => [k === null ? 'null' : key(k), item(v)])))
    }
    case 'ROW': {
      const fields = type.fields.map((field) => jsonWriter(field.type, timeZone))
      return orNull((value: unknown[]) => sortedObjectText(value.map((one, index) => [type.fields[index].name, fields[index](one)])))
    }
    default:
      return orNull((value) => JSON.stringify(text(value)))
  }
}
/** Zeros at the end go only from a fraction. */
const trimmedFraction = (zeros: string, at: number, text: string): string =>
  text.indexOf('.') >= 0 && at >= text.indexOf('.') ? '' : zeros

/** Flink sorts the keys of every object that it writes. */
const sortedObjectText = (entries: [string, string][]): string =>
  `{${entries
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, value]) => `${JSON.stringify(key)}:${value}`)
    .join(',')}}`

/** Which arguments are JSON already: calls of JSON functions directly inside, as the plan marks them. */
const rawArguments = (options: Record<string, unknown>): Set<number> => new Set((options.raw as number[] | undefined) ?? [])

function jsonObject({ argTypes, options, timeZone }: CallContext): RowFunction {
  const raw = rawArguments(options)
  const writers = argTypes.map((type, index) =>
    raw.has(index) ? (value: unknown) => (value === null ? 'null' : String(value)) : jsonWriter(type, timeZone),
  )
  const absent = options.onNull === 'ABSENT'
  return (...args) => {
    const entries = new Map<string, string>()
    for (let i = 0; i + 1 < args.length; i += 2) {
      if (args[i] === null) throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn: 'JSON_OBJECT', reason: 'a key is NULL' })
      if (args[i + 1] !== null || !absent) entries.set(args[i], writers[i + 1](args[i + 1]))
    }
    return sortedObjectText([...entries])
  }
}

function jsonArray({ argTypes, options, timeZone }: CallContext): RowFunction {
  const raw = rawArguments(options)
  const writers = argTypes.map((type, index) =>
    raw.has(index) ? (value: unknown) => (value === null ? 'null' : String(value)) : jsonWriter(type, timeZone),
  )
  const withNulls = options.onNull === 'NULL'
  return (...args) => {
    const items: string[] = []
    for (const [index, arg] of args.entries()) if (arg !== null || withNulls) items.push(writers[index](arg))
    return `[${items.join(',')}]`
  }
}

/** Everything but plain ASCII is escaped. */
function jsonQuote(text: string): string {
  const escapes: Record<string, string> = {
    '"': '\\"',
    '\\': '\\\\',
    '/': '\\/',
    '\b': '\\b',
    '\f': '\\f',
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
  }
  const body = text.replace(/["\\/]|[^\x20-\x7f]/g, (unit) => escapes[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return `"${body}"`
}
/** Text that is no quoted JSON string stays as it is. */
function jsonUnquote(text: string): string {
  if (!text.startsWith('"') || !text.endsWith('"') || text.length < 2) return text
  const value = parseJson(text)
  return typeof value === 'string' ? withoutHalves(value) : text
}

const isJson = (fits: (value: Json) => boolean) =>
  called(() => (text: string | null) => {
    const value = text === null ? undefined : parseShared(text)
    return value !== undefined && fits(value)
  })

export const jsonFunctions: FunctionTable = {
  IS_JSON_VALUE: isJson(() => true),
  IS_JSON_OBJECT: isJson((value) => !isScalar(value) && !Array.isArray(value)),
  IS_JSON_ARRAY: isJson(Array.isArray),
  IS_JSON_SCALAR: isJson(isScalar),
  JSON_EXISTS: maybe(jsonExists),
  JSON_VALUE: called(jsonValue),
  JSON_QUERY: maybe(jsonQuery),
  JSON_OBJECT: called(jsonObject),
  JSON_ARRAY: called(jsonArray),
  JSON_STRING: strict(({ argTypes: [type], timeZone }) => jsonWriter(type, timeZone)),
  JSON: plainMaybe((text: string) => {
    const value = parseJson(text)
    if (value === undefined) throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn: 'JSON', reason: `'${shown(text)}' is no JSON` })
    return jsonText(value)
  }),
  JSON_QUOTE: plain(jsonQuote),
  JSON_UNQUOTE: plain(jsonUnquote),
}
