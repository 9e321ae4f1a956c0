// JSON paths as Flink's SQL/JSON functions take them: `lax $.a.b[0]`, `strict $['a'].*`, `$..a`, `$.b[?(@.c > 6)]`.
//
// lax: what is missing or broken is simply not there. strict, also without a word before the path: it is an error.
import { expressionErrors, shown } from './errors.ts'

export type Json = null | boolean | number | bigint | string | JsonReal | Json[] | { [key: string]: Json }
/** A number that was written with a point or an exponent: 1.50 stays 1.50. */
export class JsonReal {
  readonly value: number
  /** As it was written. */
  readonly source: string
  constructor(value: number, source: string) {
    this.value = value
    this.source = source
  }
}

type Selector =
  | { kind: 'name'; names: string[] }
  /** Several names at the end of a path: one object of those that are there. */
  | { kind: 'members'; names: string[] }
  | { kind: 'index'; indices: number[] }
  | { kind: 'slice'; start?: number; end?: number }
  | { kind: 'all' }
  | { kind: 'filter'; test: Condition }
interface Step {
  selector: Selector
  /** After `..`: on every level below. */
  deep: boolean
}
type Operand = { path: Step[]; fromRoot: boolean } | { literal: Json }
type Condition =
  | { kind: 'or' | 'and'; parts: Condition[] }
  | { kind: 'not'; part: Condition }
  | { kind: 'exists'; operand: Operand }
  | { kind: 'compare'; operator: string; left: Operand; right: Operand }

export interface JsonPath {
  strict: boolean
  steps: Step[]
  /** At most one value can be meant: no wildcard, filter, slice or `..`. */
  single: boolean
}

/** @throws StreamError EXPRESSION_ARGUMENT_INVALID */
export function parseJsonPath(text: string): JsonPath {
  const match = /^\s*(?:(strict|lax)\s+)?(.*)$/is.exec(text)!
  const written = match[2].trim()
  // A path without its root begins there.
  const rooted = /^[\p{L}_]/u.test(written) ? `$.${written}` : written.startsWith('[') ? `$${written}` : written
  const parser = new PathParser(rooted, text)
  const steps = parser.path()
  return { strict: match[1]?.toLowerCase() !== 'lax', steps, single: steps.every(meansOne) }
}

const meansOne = ({ selector, deep }: Step): boolean =>
  !deep &&
  (selector.kind === 'members' ||
    (selector.kind === 'name' && selector.names.length === 1) ||
    (selector.kind === 'index' && selector.indices.length === 1))

class PathParser {
  private at = 0
  private readonly text: string
  private readonly whole: string
  constructor(text: string, whole: string) {
    this.text = text
    this.whole = whole
  }

  path(): Step[] {
    if (this.text[this.at] !== '$') throw this.invalid()
    this.at++
    const steps = this.steps()
    if (this.at < this.text.length) throw this.invalid()
    return steps
  }

  private invalid(): Error {
    return expressionErrors('EXPRESSION_ARGUMENT_INVALID', {
      fn: 'JSON path',
      reason: `'${shown(this.whole)}' is no path, at '${shown(this.text.slice(this.at))}'`,
    })
  }
  private take(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at
    const match = pattern.exec(this.text)
    if (match !== null) this.at = pattern.lastIndex
    return match
  }

  private steps(): Step[] {
    const steps: Step[] = []
    for (;;) {
      const deep = this.take(/\.\.(?=[[\w*])/y) !== null
      if (!deep && this.take(/\s*\[/y) === null) {
        if (this.take(/\.(?=\[)/y) !== null) continue
        if (this.take(/\./y) === null) return withMembers(steps)
        steps.push({ selector: this.afterDot(), deep: false })
      } else if (deep && this.text[this.at] !== '[') steps.push({ selector: this.afterDot(), deep })
      else {
        if (deep) this.at++
        steps.push({ selector: this.bracket(), deep })
      }
    }
  }

  private afterDot(): Selector {
    if (this.take(/\*/y)) return { kind: 'all' }
    const name = this.take(/[^.[\]()\s,'"?@<>=!&|]+/y)
    if (name === null) throw this.invalid()
    return { kind: 'name', names: [name[0]] }
  }

  private bracket(): Selector {
    let selector: Selector
    if (this.take(/\s*\*\s*/y)) selector = { kind: 'all' }
    else if (this.take(/\s*\?\s*\(/y)) {
      selector = { kind: 'filter', test: this.or() }
      if (this.take(/\s*\)\s*/y) === null) throw this.invalid()
    } else {
      const slice = this.take(/\s*(-?\d*)\s*:\s*(-?\d*)\s*(?=\])/y)
      if (slice !== null) {
        const bound = (text: string) => (text === '' ? undefined : Number(text))
        selector = { kind: 'slice', start: bound(slice[1]), end: bound(slice[2]) }
      } else if (/\s*['"]/y.test(this.text.slice(this.at))) selector = { kind: 'name', names: this.list(() => this.quoted()) }
      else selector = { kind: 'index', indices: this.list(() => this.integer()) }
    }
    if (this.take(/\s*\]/y) === null) throw this.invalid()
    return selector
  }

  private list<T>(item: () => T): T[] {
    const items = [item()]
    while (this.take(/\s*,\s*/y)) items.push(item())
    return items
  }
  private integer(): number {
    const match = this.take(/\s*(-?\d+)/y)
    if (match === null) throw this.invalid()
    return Number(match[1])
  }
  private quoted(): string {
    const match = this.take(/\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/sy)
    if (match === null) throw this.invalid()
    return (match[1] ?? match[2]).replace(/\\(.)/gs, '$1')
  }

  private or(): Condition {
    const parts = [this.and()]
    while (this.take(/\s*\|\|/y)) parts.push(this.and())
    return parts.length === 1 ? parts[0] : { kind: 'or', parts }
  }
  private and(): Condition {
    const parts = [this.unary()]
    while (this.take(/\s*&&/y)) parts.push(this.unary())
    return parts.length === 1 ? parts[0] : { kind: 'and', parts }
  }
  private unary(): Condition {
    if (this.take(/\s*!(?!=)/y)) return { kind: 'not', part: this.unary() }
    if (this.take(/\s*\(/y)) {
      const inner = this.or()
      if (this.take(/\s*\)/y) === null) throw this.invalid()
      return inner
    }
    const left = this.operand()
    const operator = this.take(/\s*(==|!=|<=|>=|<|>)/y)
    return operator === null ? { kind: 'exists', operand: left } : { kind: 'compare', operator: operator[1], left, right: this.operand() }
  }
  private operand(): Operand {
    const root = this.take(/\s*([@$])/y)
    if (root !== null) return { path: this.steps(), fromRoot: root[1] === '$' }
    if (/\s*['"]/y.test(this.text.slice(this.at))) return { literal: this.quoted() }
    const word = this.take(/\s*(true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/y)
    if (word === null) throw this.invalid()
    return { literal: JSON.parse(word[1]) as Json }
  }
}

function withMembers(steps: Step[]): Step[] {
  const last = steps.at(-1)
  if (last?.selector.kind === 'name' && last.selector.names.length > 1) last.selector = { kind: 'members', names: last.selector.names }
  return steps
}

const isObject = (value: Json): value is { [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof JsonReal)

/** All values that a path means, in document order. Undefined: a strict path that leads nowhere before a step that can mean several. */
export function evaluatePath({ strict, steps }: JsonPath, root: Json): Json[] | undefined {
  if (strict && leadsNowhere(steps, root)) return undefined
  return valuesOf(steps, root, root)
}

function leadsNowhere(steps: readonly Step[], root: Json): boolean {
  let value = root
  for (const [i, step] of steps.entries()) {
    if (!goesOn(step, value, i === steps.length - 1)) return true
    const [next] = meansOne(step) ? select(step.selector, value, root) : []
    if (next === undefined) return false
    value = next
  }
  return false
}
/** Only what is missing at the end, and a position behind the end of an array, is no error of the step. */
function goesOn({ selector, deep }: Step, value: Json, isLast: boolean): boolean {
  if (deep || selector.kind === 'all') return true
  if (selector.kind === 'filter') return Array.isArray(value) || isObject(value)
  if (selector.kind === 'index' || selector.kind === 'slice') return Array.isArray(value)
  return isObject(value) && (isLast || selector.names.length > 1 || Object.hasOwn(value, selector.names[0]))
}

function valuesOf(steps: readonly Step[], root: Json, start: Json): Json[] {
  let values = [start]
  for (const { selector, deep } of steps) {
    const from = deep ? values.flatMap(descendants).filter((value) => hasMembers(selector, value)) : values
    values = from.flatMap((value) => select(selector, value, root))
  }
  return values
}
/** Behind `..` several names mean objects that have them all. */
const hasMembers = (selector: Selector, value: Json): boolean =>
  selector.kind !== 'members' || (isObject(value) && selector.names.every((name) => Object.hasOwn(value, name)))

function descendants(value: Json): Json[] {
  const children = Array.isArray(value) ? value : isObject(value) ? Object.values(value) : []
  return [value, ...children.flatMap(descendants)]
}

const membersOf = (names: readonly string[], value: Json): [string, Json][] =>
  isObject(value) ? names.filter((name) => Object.hasOwn(value, name)).map((name) => [name, value[name]]) : []

function select(selector: Selector, value: Json, root: Json): Json[] {
  switch (selector.kind) {
    case 'name':
      return membersOf(selector.names, value).map(([, one]) => one)
    case 'members':
      return isObject(value) ? [Object.fromEntries(membersOf(selector.names, value))] : []
    case 'index':
      return Array.isArray(value) ? selector.indices.map((index) => value.at(index)).filter((one) => one !== undefined) : []
    case 'slice':
      return Array.isArray(value) ? value.slice(selector.start, selector.end) : []
    case 'all':
      return Array.isArray(value) ? value : isObject(value) ? Object.values(value) : []
    case 'filter': {
      const candidates = Array.isArray(value) ? value : [value]
      return candidates.filter((one) => holds(selector.test, one, root))
    }
  }
}

function holds(condition: Condition, value: Json, root: Json): boolean {
  switch (condition.kind) {
    case 'or':
      return condition.parts.some((part) => holds(part, value, root))
    case 'and':
      return condition.parts.every((part) => holds(part, value, root))
    case 'not':
      return !holds(condition.part, value, root)
    case 'exists':
      return operandValue(condition.operand, value, root) !== undefined
    case 'compare':
      return compared(condition.operator, operandValue(condition.left, value, root), operandValue(condition.right, value, root))
  }
}

function operandValue(operand: Operand, value: Json, root: Json): Json | undefined {
  if ('literal' in operand) return operand.literal
  return valuesOf(operand.path, root, operand.fromRoot ? root : value)[0]
}

function compared(operator: string, left: Json | undefined, right: Json | undefined): boolean {
  const plain = (value: Json | undefined) => (value instanceof JsonReal ? value.value : value)
  const [a, b] = [plain(left), plain(right)]
  const isNumber = (value: unknown): value is number => typeof value === 'number' || typeof value === 'bigint'
  // biome-ignore lint/suspicious/noDoubleEquals: a number and a bigint of one value are equal
  const equal = isNumber(a) && isNumber(b) ? a == b : a === b
  if (operator === '==') return equal
  if (operator === '!=') return !equal
  if (!(isNumber(a) && isNumber(b)) && !(typeof a === 'string' && typeof b === 'string')) return false
  switch (operator) {
    case '<':
      return a < b
    case '<=':
      return a <= b
    case '>':
      return a > b
    default:
      return a >= b
  }
}
