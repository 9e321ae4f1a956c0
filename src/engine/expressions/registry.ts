// What an implementation of a scalar function is, and how one is found by its id.
//
// Invariant: a function gets and gives values as `data/types.ts` says, of exactly the types in its context.
import type { SqlType } from '../../data/index.ts'

/** What is known when a call is compiled: work that depends only on this (a pattern, a format) is done once. */
export interface CallContext {
  fn: string
  argTypes: SqlType[]
  type: SqlType
  options: Record<string, unknown>
  /** The value of each argument that is a literal, else undefined. */
  literals: ({ value: unknown } | undefined)[]
  timeZone: string
  /** In [0, 1). */
  random: () => number
}
// biome-ignore lint/suspicious/noExplicitAny: arguments are as the signature says; the plan has checked them
export type RowFunction = (...args: any[]) => unknown

/**
 * strict: NULL if an argument is NULL, without being called; never NULL otherwise.
 * maybe:  as strict, but may itself give null.
 * called: gets null for NULL, and may give null.
 */
export interface Implementation {
  nulls: 'strict' | 'maybe' | 'called'
  make: (context: CallContext) => RowFunction
}
export type FunctionTable = Record<string, Implementation>

export const strict = (make: Implementation['make']): Implementation => ({ nulls: 'strict', make })
export const maybe = (make: Implementation['make']): Implementation => ({ nulls: 'maybe', make })
export const called = (make: Implementation['make']): Implementation => ({ nulls: 'called', make })
/** A function that depends on nothing but its arguments. */
export const plain = (fn: RowFunction): Implementation => strict(() => fn)
export const plainMaybe = (fn: RowFunction): Implementation => maybe(() => fn)

/**
 * A function of one argument that is made from another: made once where that is a literal, else remembered for the last values.
 *
 * @param make  called with the text, for example of a pattern
 */
export function madeFrom<T>(literal: { value: unknown } | undefined, make: (text: string) => T): (text: string) => T {
  if (literal !== undefined && typeof literal.value === 'string') {
    const made = make(literal.value)
    return () => made
  }
  const remembered = new Map<string, T>()
  return (text) => {
    let made = remembered.get(text)
    if (made === undefined) {
      if (remembered.size >= REMEMBERED_MAX) remembered.clear()
      made = make(text)
      remembered.set(text, made)
    }
    return made
  }
}
const REMEMBERED_MAX = 256
