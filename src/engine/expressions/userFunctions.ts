// Functions of the user, written in TypeScript or JavaScript: loading their modules, and values to and from them.
//
// A function is found by its file, export and version (a hash of the file), so that an edited file is a new function and a query that uses
// it starts anew. A worker imports modules before it begins a job; tests, where one process plays one state of the files, require them.
// What a function sees: BIGINT as bigint, DECIMAL as exact text, TIMESTAMP as Date, DATE and TIME as text, ROW as an object, MAP as Map.
//
// Invariant: what a function throws or gives back wrongly is an error of the row, with the function's name.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { isStreamError, nearestName, type StreamError, toStreamError } from '../../base/index.ts'
import type { SqlType } from '../../data/index.ts'
import { enterFunction, functionMark, leaveFunction } from '../progress.ts'
import { expressionErrors, shown } from './errors.ts'
import { backtracking } from './patterns.ts'
import type { CallContext, RowFunction } from './registry.ts'
import { formatValue, parseValue } from './values.ts'

export interface UserFunctionRef {
  name: string
  /** Absolute. */
  file: string
  /** Absent: the export of the function's name, else the default one. */
  exportName?: string
  version: string
}

/** What the file of an aggregate exports: an object of these, or a class without arguments. Accumulators must be structured-clonable. */
export interface UserAggregate {
  createAccumulator(): unknown
  /** Changes the accumulator, or returns the next one. */
  accumulate(accumulator: unknown, ...args: unknown[]): unknown
  /** Takes a row away again; needed where the input updates rows. */
  retract?(accumulator: unknown, ...args: unknown[]): unknown
  /** Brings another accumulator in; needed for windows that share parts, and sessions. */
  merge?(accumulator: unknown, other: unknown): unknown
  getValue(accumulator: unknown): unknown
}

const loaded = new Map<string, unknown>()
/** Why the others are not. */
const unloadable = new Map<string, StreamError>()
const keyOf = ({ file, exportName = '', name, version }: UserFunctionRef): string => [file, exportName, name, version].join('\0')

/** All functions of the user that a plan calls. */
export function userFunctionsOf(plan: unknown): UserFunctionRef[] {
  const found = new Map<string, UserFunctionRef>()
  const visit = (part: unknown): void => {
    if (typeof part !== 'object' || part === null || ArrayBuffer.isView(part)) return
    const { options } = part as { options?: { user?: UserFunctionRef } }
    if (options?.user?.file) found.set(keyOf(options.user), options.user)
    for (const child of Object.values(part)) visit(child)
  }
  visit(plan)
  return [...found.values()]
}

/** Whether a plan calls what may never return: functions of the user, and patterns that backtrack. */
export function mayHoldUp(plan: unknown): boolean {
  if (typeof plan !== 'object' || plan === null || ArrayBuffer.isView(plan)) return false
  const { kind, fn, options } = plan as { kind?: unknown; fn?: unknown; options?: { user?: unknown } }
  if (options?.user || (kind === 'call' && typeof fn === 'string' && backtracking.has(fn))) return true
  return Object.values(plan).some(mayHoldUp)
}

/** Loads what is not loaded yet. Why one cannot be is kept for the queries that call it (`checkUserFunctions`): others of their job do without. */
export async function loadUserFunctions(refs: readonly UserFunctionRef[]): Promise<void> {
  for (const ref of refs) {
    const key = keyOf(ref)
    if (loaded.has(key)) continue
    const url = `${pathToFileURL(ref.file).href}?version=${ref.version}`
    try {
      const exports = await import(url).catch((error: Error) => Promise.reject(unreadable(ref, error)))
      loaded.set(key, exportOf(ref, exports))
      unloadable.delete(key)
    } catch (error) {
      unloadable.set(key, toStreamError(error))
    }
  }
}

/** @throws StreamError  FUNCTION_FILE_UNREADABLE, FUNCTION_EXPORT_MISSING, if one that the plan calls could not be loaded */
export function checkUserFunctions(plan: unknown): void {
  for (const ref of userFunctionsOf(plan)) found(ref)
}

/** As `loadUserFunctions`, at once, and without seeing a file that has changed since this process first read it. */
export function loadUserFunctionsNow(refs: readonly UserFunctionRef[]): void {
  for (const ref of refs) {
    if (loaded.has(keyOf(ref))) continue
    let exports: Record<string, unknown>
    try {
      exports = createRequire(import.meta.url)(ref.file)
    } catch (error) {
      throw unreadable(ref, error as Error)
    }
    loaded.set(keyOf(ref), exportOf(ref, exports))
  }
}

const unreadable = ({ name, file }: UserFunctionRef, error: Error) =>
  expressionErrors('FUNCTION_FILE_UNREADABLE', { name, file, reason: error.message }, { cause: error })

function exportOf({ name, file, exportName }: UserFunctionRef, exports: Record<string, unknown>): unknown {
  const names = Object.keys(exports).filter((key) => key !== '__esModule')
  const own = exportName ?? names.find((key) => key.toUpperCase() === name.toUpperCase()) ?? 'default'
  const found = exports[own]
  if (typeof found === 'function' || (typeof found === 'object' && found !== null)) return found
  throw expressionErrors('FUNCTION_EXPORT_MISSING', { name, file, export: own, exports: names, nearest: nearestName(own, names) })
}

function found(ref: UserFunctionRef): unknown {
  const value = loaded.get(keyOf(ref))
  if (value === undefined) throw unloadable.get(keyOf(ref)) ?? expressionErrors('FUNCTION_NOT_LOADED', { name: ref.name })
  return value
}

/** A scalar function; one that gives a table has the type ARRAY<ROW<…>>. */
export function userFunction({ argTypes, type, options }: CallContext): RowFunction {
  const ref = options.user as UserFunctionRef
  const fn = found(ref)
  if (typeof fn !== 'function') throw expressionErrors('FUNCTION_SHAPE', { name: ref.name, expected: 'a function' })
  const inputs = argTypes.map(toUser)
  const output = fromUser(type)
  const mark = functionMark(ref.name)
  return (...args) => guarded(ref, mark, () => output(fn(...args.map((arg, i) => inputs[i](arg)))))
}

/** An aggregate, its arguments and its value brought over. */
export function userAggregate(ref: UserFunctionRef, argTypes: SqlType[], type: SqlType): UserAggregate {
  const exported = found(ref)
  const mark = functionMark(ref.name)
  const aggregate = (typeof exported === 'function' ? new (exported as new () => UserAggregate)() : exported) as UserAggregate
  for (const method of ['createAccumulator', 'accumulate', 'getValue'] as const)
    if (typeof aggregate[method] !== 'function')
      throw expressionErrors('FUNCTION_SHAPE', { name: ref.name, expected: `a method ${method}` })
  const inputs = argTypes.map(toUser)
  const output = fromUser(type)
  const converted = (args: unknown[]) => args.map((arg, i) => inputs[i](arg))
  const optional = <M extends 'retract' | 'merge'>(method: M): NonNullable<UserAggregate[M]> => {
    if (typeof aggregate[method] !== 'function')
      throw expressionErrors('FUNCTION_SHAPE', { name: ref.name, expected: `a method ${method}` })
    return aggregate[method].bind(aggregate) as NonNullable<UserAggregate[M]>
  }
  return {
    createAccumulator: () => guarded(ref, mark, () => aggregate.createAccumulator()),
    accumulate: (state, ...args) => guarded(ref, mark, () => aggregate.accumulate(state, ...converted(args))),
    retract: (state, ...args) => guarded(ref, mark, () => optional('retract')(state, ...converted(args))),
    merge: (state, other) => guarded(ref, mark, () => optional('merge')(state, other)),
    getValue: (state) => guarded(ref, mark, () => output(aggregate.getValue(state))),
  }
}

function guarded<T>(ref: UserFunctionRef, mark: number, work: () => T): T {
  enterFunction(mark)
  try {
    return work()
  } catch (error) {
    if (isStreamError(error)) throw error
    throw expressionErrors('FUNCTION_FAILED', { name: ref.name, reason: shown((error as Error)?.message ?? error) }, { cause: error })
  } finally {
    leaveFunction()
  }
}

type Convert = (value: unknown) => unknown
/** Of one array, and rows of one call: a generator may have no end. */
const ELEMENTS_MAX = 1_000_000

function toUser(type: SqlType): Convert {
  const convert = toUserNotNull(type)
  return (value) => (value === null || value === undefined ? null : convert(value))
}

function toUserNotNull(type: SqlType): Convert {
  switch (type.kind) {
    case 'DECIMAL':
    case 'DATE':
    case 'TIME':
      return (value) => formatValue(value, type)
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return (value) => new Date(typeof value === 'bigint' ? Number(value / 1_000_000n) : (value as number))
    case 'ARRAY': {
      const element = toUser(type.element)
      return (value) => (value as unknown[]).map(element)
    }
    case 'MAP': {
      const [key, item] = [toUser(type.key), toUser(type.value)]
      return (value) => new Map(Array.from(value as Map<unknown, unknown>, ([k, v]) => [key(k), item(v)]))
    }
    case 'ROW': {
      const fields = type.fields.map(({ name, type: fieldType }) => ({ name, convert: toUser(fieldType) }))
      return (value) => Object.fromEntries(fields.map(({ name, convert }, i) => [name, convert((value as unknown[])[i])]))
    }
    default:
      return (value) => value
  }
}

function fromUser(type: SqlType): Convert {
  const convert = fromUserNotNull(type)
  return (value) => (value === null || value === undefined ? null : convert(value))
}

function fromUserNotNull(type: SqlType): Convert {
  const wrong = (value: unknown) =>
    new TypeError(`it gave ${shown(typeof value === 'object' ? JSON.stringify(value) : value)}, which is no ${type.kind}`)
  switch (type.kind) {
    case 'BOOLEAN':
      return (value) => {
        if (typeof value !== 'boolean') throw wrong(value)
        return value
      }
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT': {
      const limit = { TINYINT: 127, SMALLINT: 32_767, INT: 2_147_483_647 }[type.kind]
      return (value) => {
        if (!Number.isInteger(value) || (value as number) > limit || (value as number) < -limit - 1) throw wrong(value)
        return value
      }
    }
    case 'BIGINT':
      return (value) => {
        if (typeof value === 'bigint' && BigInt.asIntN(64, value) === value) return value
        if (!Number.isSafeInteger(value)) throw wrong(value)
        return BigInt(value as number)
      }
    case 'FLOAT':
    case 'DOUBLE':
      return (value) => {
        if (typeof value !== 'number') throw wrong(value)
        return type.kind === 'FLOAT' ? Math.fround(value) : value
      }
    case 'CHAR':
    case 'VARCHAR':
      return (value) => {
        if (typeof value !== 'string') throw wrong(value)
        return value
      }
    case 'BINARY':
    case 'VARBINARY':
      return (value) => {
        if (!(value instanceof Uint8Array)) throw wrong(value)
        return value
      }
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return (value) => {
        if (!(value instanceof Date)) return parseValue(value, type)
        const ms = value.getTime()
        if (Number.isNaN(ms)) throw wrong(value)
        return type.precision > 3 ? BigInt(ms) * 1_000_000n : ms
      }
    case 'ARRAY': {
      const element = fromUser(type.element)
      return (value) => {
        if (typeof value !== 'object' || !(Symbol.iterator in (value as object))) throw wrong(value)
        const elements: unknown[] = []
        for (const one of value as Iterable<unknown>) {
          if (elements.length === ELEMENTS_MAX) throw new RangeError(`it gave more than ${ELEMENTS_MAX} rows or elements at once`)
          elements.push(element(one))
        }
        return elements
      }
    }
    case 'MAP': {
      const [key, item] = [fromUser(type.key), fromUser(type.value)]
      return (value) => {
        const entries = value instanceof Map ? [...value] : Object.entries(value as object)
        return new Map(entries.map(([k, v]) => [key(k), item(v)]))
      }
    }
    case 'ROW': {
      const fields = type.fields.map(({ name, type: fieldType }) => ({ name, convert: fromUser(fieldType) }))
      return (value) => {
        if (Array.isArray(value)) return fields.map(({ convert }, i) => convert(value[i]))
        // A table of one column may give its values as they are.
        if (fields.length === 1 && (typeof value !== 'object' || value instanceof Date)) return [fields[0].convert(value)]
        return fields.map(({ name, convert }) => convert((value as Record<string, unknown>)[name]))
      }
    }
    default:
      // DECIMAL, DATE, TIME, INTERVAL: as in golden files.
      return (value) => parseValue(value, type)
  }
}
