// Signatures of JSON functions.
//
// options: onNull 'NULL' | 'ABSENT'; wrapper; onEmpty, onError { kind, value?: Expr }; returning: SqlType.
// The value of DEFAULT … becomes a further argument, and its ordinal takes its place: { kind: 'DEFAULT', argument }.
import type { SqlType } from '../../data/index.ts'
import { isTextKind, t } from '../../data/index.ts'
import type { Expr } from '../plan.ts'
import { castExpr, coerce } from './casts.ts'
import type { AnySpec, CallInfo } from './signature.ts'
import { badArguments, call, fn, forceNullable, ifArgs, never, overload, p, resolveSpec } from './signature.ts'
import { isIntervalKind } from './typing.ts'

/** JSON has a form for it in Flink: no DATE, TIME or INTERVAL, and keys of maps are text. */
export function hasJsonForm(type: SqlType): boolean {
  switch (type.kind) {
    case 'ARRAY':
      return hasJsonForm(type.element)
    case 'MAP':
      return isTextKind(type.key.kind) && hasJsonForm(type.value)
    case 'MULTISET':
      return isTextKind(type.element.kind)
    case 'ROW':
      return type.fields.every((field) => hasJsonForm(field.type))
    default:
      return type.kind !== 'DATE' && type.kind !== 'TIME' && !isIntervalKind(type.kind)
  }
}

function checkJsonForm(name: string, args: readonly Expr[], info: CallInfo): void {
  const without = args.filter((arg) => !hasJsonForm(arg.type))
  if (without.length > 0) throw badArguments(name, without, info, 'values that JSON has a form for; a DATE or TIME as text')
}

interface Behaviour {
  kind: string
  value?: Expr
  argument?: number
}

function textAndPath(name: string, args: Expr[], info: CallInfo): void {
  const fits = args.length === 2 && isTextKind(args[0].type.kind) && isTextKind(args[1].type.kind)
  if (!fits) throw badArguments(name, args, info, `${name}(STRING, path)`)
}

function resolveJsonValue(args: Expr[], info: CallInfo): Expr {
  textAndPath('JSON_VALUE', args, info)
  const returning = (info.options?.returning as SqlType | undefined) ?? t.string()
  const all = [...args]
  const options: Record<string, unknown> = { ...info.options }
  for (const key of ['onEmpty', 'onError']) {
    const behaviour = options[key] as Behaviour | undefined
    if (behaviour?.kind !== 'DEFAULT' || behaviour.value === undefined) continue
    const asText = isTextKind(returning.kind) && !isTextKind(behaviour.value.type.kind)
    const value = asText ? jsonText(behaviour.value) : coerce(behaviour.value, returning)
    if (value === undefined) throw badArguments('JSON_VALUE', [behaviour.value], info, 'a DEFAULT of the type of RETURNING')
    options[key] = { kind: 'DEFAULT', argument: all.length }
    all.push(value)
  }
  return call('JSON_VALUE', all, { ...returning, nullable: true }, { ...info, options })
}

/** A default of another type as text, as JSON writes it. */
function jsonText(expr: Expr): Expr {
  const text = castExpr(expr, t.string(), false)
  return expr.type.kind === 'BOOLEAN' ? call('LOWER', [text], text.type, {}) : text
}

function resolveJsonQuery(args: Expr[], info: CallInfo): Expr {
  textAndPath('JSON_QUERY', args, info)
  const returning = (info.options?.returning as SqlType | undefined) ?? t.string()
  const isPossible = isTextKind(returning.kind) || (returning.kind === 'ARRAY' && isTextKind(returning.element.kind))
  if (!isPossible) throw badArguments('JSON_QUERY', args, info, 'RETURNING STRING or RETURNING ARRAY<STRING>')
  return call('JSON_QUERY', args, { ...returning, nullable: true }, info)
}

function resolveJsonObject(args: Expr[], info: CallInfo): Expr {
  const keysAreText = args.every((arg, index) => index % 2 === 1 || isTextKind(arg.type.kind))
  if (args.length % 2 === 1 || !keysAreText) throw badArguments('JSON_OBJECT', args, info, "pairs: 'key' VALUE value, …")
  if (args.some((arg, index) => index % 2 === 0 && arg.type.nullable))
    throw badArguments('JSON_OBJECT', args, info, "keys that cannot be NULL; COALESCE(key, '') makes one")
  checkJsonForm('JSON_OBJECT', args, info)
  return call('JSON_OBJECT', args, t.string(false), withRaw(args, info))
}

/** `options.raw`: ordinals of arguments that are JSON already, because a JSON function stands there. */
function withRaw(args: readonly Expr[], info: CallInfo): CallInfo {
  const raw = args.flatMap((arg, index) => (isJson(arg) ? [index] : []))
  return raw.length === 0 ? info : { ...info, options: { ...info.options, raw } }
}
const makesJson = new Set(['JSON_OBJECT', 'JSON_ARRAY', 'JSON'])
/** Is it JSON already, because a JSON function stands there? */
export const isJson = (expr: Expr): boolean => expr.kind === 'call' && makesJson.has(expr.fn)

export const jsonSpecs: AnySpec[] = [
  ...['VALUE', 'OBJECT', 'ARRAY', 'SCALAR'].map((what) => fn(`IS_JSON_${what}`, overload(p.text), never(t.boolean()))),
  {
    name: 'JSON_EXISTS',
    resolve: (args, info) => {
      textAndPath('JSON_EXISTS', args, info)
      return call('JSON_EXISTS', args, t.boolean(), info)
    },
  },
  { name: 'JSON_VALUE', resolve: resolveJsonValue },
  { name: 'JSON_QUERY', resolve: resolveJsonQuery },
  { name: 'JSON_OBJECT', resolve: resolveJsonObject },
  {
    name: 'JSON_ARRAY',
    resolve: (args, info) => {
      checkJsonForm('JSON_ARRAY', args, info)
      return call('JSON_ARRAY', args, t.string(false), withRaw(args, info))
    },
  },
  {
    name: 'JSON_STRING',
    resolve: (args, info) => {
      if (args.length === 1 && isJson(args[0])) return args[0]
      checkJsonForm('JSON_STRING', args, info)
      return resolveSpec(fn('JSON_STRING', overload(p.any), ifArgs(t.string())), args, info)
    },
  },
  fn('JSON', overload(p.text), forceNullable(t.string())),
  fn('JSON_QUOTE', overload(p.text), ifArgs(t.string())),
  fn('JSON_UNQUOTE', overload(p.text), ifArgs(t.string())),
]
