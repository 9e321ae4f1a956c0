// Filters and orders as a URL says them: `k=v&v.gte=5&name.like=a%25&order=-n,+k`. Parsed against the columns' types, compiled to a predicate.
//
// Invariants
//   1. A comparison with NULL holds for no row (SQL's three values, cut to two); `.null=true` finds NULLs.
//   2. All filters must hold. A filter repeated on one column must hold each time; for `in`, values are separated by commas.
//   3. Matching a pattern takes time linear in text x pattern: no regular expression is made from what a client sends.

import { nearestName } from '../base/index.ts'
import type { Field } from '../data/index.ts'
import { formatType, isTextKind } from '../data/index.ts'
import { viewErrors } from './errors.ts'
import { isOrderable, type Row } from './keys.ts'
import { compareValues, type Order } from './order.ts'
import { expectedText, parseValue } from './text.ts'

const operators = ['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'like', 'contains', 'null'] as const
export type Operator = (typeof operators)[number]

export interface Filter {
  column: number
  operator: Operator
  /** A value of the column's type; an array of them for `in`; text for like and contains; a boolean for null. */
  value: unknown
}

/** What filters and orders need to know of a table. */
export interface TableShape {
  name: string
  fields: readonly Field[]
}

function columnOf(table: TableShape, column: string): number {
  const index = table.fields.findIndex((field) => field.name === column)
  if (index >= 0) return index
  const nearest = nearestName(
    column,
    table.fields.map((field) => field.name),
  )
  throw viewErrors('VIEW_COLUMN_NOT_FOUND', { column, table: table.name, nearest })
}

/**
 * One parameter of a URL as a filter. A column whose name itself has a dot is found first by its whole name.
 *
 * @throws StreamError VIEW_COLUMN_NOT_FOUND, VIEW_FILTER_INVALID, VIEW_OPERATOR_UNSUPPORTED, VIEW_VALUE_INVALID
 * @example parseFilter(table, 'v.gte', '5') // { column: 1, operator: 'gte', value: 5n }
 */
export function parseFilter(table: TableShape, parameter: string, text: string): Filter {
  const dot = table.fields.some((field) => field.name === parameter) ? -1 : parameter.lastIndexOf('.')
  const operatorText = dot < 0 ? 'eq' : parameter.slice(dot + 1)
  const operator = operators.find((known) => known === operatorText)
  if (!operator) {
    const nearest = nearestName(operatorText, operators)
    throw viewErrors('VIEW_FILTER_INVALID', { parameter, nearest: nearest && `${parameter.slice(0, dot)}.${nearest}` })
  }
  const column = columnOf(table, dot < 0 ? parameter : parameter.slice(0, dot))
  const { name, type } = table.fields[column]
  const invalid = (value: string, expected: string) =>
    viewErrors('VIEW_VALUE_INVALID', { column: name, value, type: formatType(type), expected })
  if (operator === 'null') {
    if (text !== 'true' && text !== 'false') throw invalid(text, 'true or false')
    return { column, operator, value: text === 'true' }
  }
  if (operator === 'like' || operator === 'contains' ? !isTextKind(type.kind) : !isOrderable(type))
    throw viewErrors('VIEW_OPERATOR_UNSUPPORTED', { column: name, operator, type: formatType(type) })
  const parse = (valueText: string): unknown => {
    const value = parseValue(type, valueText)
    if (value === undefined) throw invalid(valueText, expectedText(type))
    return value
  }
  return { column, operator, value: operator === 'in' ? text.split(',').map(parse) : parse(text) }
}

/**
 * `-n,+k` or `-n,k`; a `+` in a URL may arrive as a blank.
 *
 * @throws StreamError VIEW_COLUMN_NOT_FOUND, VIEW_OPERATOR_UNSUPPORTED
 */
export function parseOrder(table: TableShape, text: string): Order {
  const order: { column: number; descending: boolean }[] = []
  for (const part of text.split(',')) {
    const name = part.replace(/^[-+ ]/, '')
    const column = columnOf(table, name)
    const { type } = table.fields[column]
    if (!isOrderable(type)) throw viewErrors('VIEW_OPERATOR_UNSUPPORTED', { column: name, operator: 'order', type: formatType(type) })
    if (!order.some((known) => known.column === column)) order.push({ column, descending: part.startsWith('-') })
  }
  return order
}

export type Predicate = (row: Row) => boolean

/** Undefined where there is nothing to test. */
export function compileFilters(filters: readonly Filter[]): Predicate | undefined {
  if (filters.length === 0) return undefined
  const tests = filters.map(compileFilter)
  if (tests.length === 1) return tests[0]
  return (row) => {
    for (const holds of tests) if (!holds(row)) return false
    return true
  }
}

function compileFilter({ column, operator, value }: Filter): Predicate {
  const compared =
    (holds: (order: number) => boolean): Predicate =>
    (row) =>
      row[column] !== null && holds(compareValues(row[column], value))
  switch (operator) {
    case 'eq':
      return typeof value === 'object' || Number.isNaN(value) ? compared((order) => order === 0) : (row) => row[column] === value
    case 'ne':
      return compared((order) => order !== 0)
    case 'gt':
      return compared((order) => order > 0)
    case 'gte':
      return compared((order) => order >= 0)
    case 'lt':
      return compared((order) => order < 0)
    case 'lte':
      return compared((order) => order <= 0)
    case 'in': {
      const values = value as unknown[]
      if (values.some((one) => typeof one === 'object'))
        return (row) => row[column] !== null && values.some((one) => compareValues(row[column], one) === 0)
      const set = new Set(values)
      return (row) => set.has(row[column])
    }
    case 'like':
      return (row) => row[column] !== null && isLike(row[column] as string, value as string)
    case 'contains':
      return (row) => row[column] !== null && (row[column] as string).includes(value as string)
    case 'null':
      return (row) => (row[column] === null) === value
  }
}

/** SQL's LIKE without escapes: % is any text, _ any one UTF-16 unit. */
export function isLike(text: string, pattern: string): boolean {
  let textAt = 0
  let patternAt = 0
  let percentAt = -1
  let retryAt = 0
  while (textAt < text.length) {
    if (pattern[patternAt] === '%') {
      percentAt = patternAt++
      retryAt = textAt
    } else if (patternAt < pattern.length && (pattern[patternAt] === '_' || pattern[patternAt] === text[textAt])) {
      patternAt++
      textAt++
    } else if (percentAt >= 0) {
      // Let the last % take one more.
      patternAt = percentAt + 1
      textAt = ++retryAt
    } else return false
  }
  while (pattern[patternAt] === '%') patternAt++
  return patternAt === pattern.length
}
