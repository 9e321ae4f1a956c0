// Makes plan nodes. `changelog` and `upsertKey` are filled by `optimize-traits.ts`, when the tree is whole.
import type { Field } from '../data/index.ts'
import { withNullable } from '../data/index.ts'
import { columnExpr, isTrueLiteral } from './expr.ts'
import type { Expr, Plan, TableDef } from './plan.ts'

export const columnsOfPlan = (plan: Plan): Expr[] => plan.fields.map((field, i) => columnExpr(i, field.type))

/** The field that an expression over a plan's rows gives: plain columns and PROCTIME() are time attributes still. */
export function fieldFor(name: string, expr: Expr, input: Plan): Field {
  const field: Field = { name, type: expr.type }
  const timeAttribute =
    expr.kind === 'column'
      ? input.fields[expr.index].timeAttribute
      : expr.kind === 'call' && expr.fn === 'PROCTIME'
        ? 'processing'
        : undefined
  if (timeAttribute !== undefined) field.timeAttribute = timeAttribute
  return field
}

export const withoutTime = (field: Field): Field => (field.timeAttribute ? { name: field.name, type: field.type } : field)

export function project(input: Plan, projections: Expr[], names: readonly string[], predicate?: Expr): Plan {
  const fields = projections.map((expr, i) => fieldFor(names[i], expr, input))
  return { node: 'calc', input, projections, fields, changelog: 'append', ...(predicate && { predicate }) }
}

export function filter(input: Plan, predicate: Expr | undefined): Plan {
  if (predicate === undefined || isTrueLiteral(predicate)) return input
  return { node: 'calc', input, predicate, projections: columnsOfPlan(input), fields: input.fields, changelog: 'append' }
}

/** The plan with more columns behind its own. */
export function appendColumns(
  input: Plan,
  exprs: readonly Expr[],
  name: (i: number) => string = (i) => `$f${input.fields.length + i}`,
): Plan {
  if (exprs.length === 0) return input
  const names = [...input.fields.map((field) => field.name), ...exprs.map((_, i) => name(i))]
  return project(input, [...columnsOfPlan(input), ...exprs], names)
}

/** The first `count` columns. */
export const firstColumns = (input: Plan, count: number): Plan =>
  count === input.fields.length
    ? input
    : project(
        input,
        columnsOfPlan(input).slice(0, count),
        input.fields.map((field) => field.name),
      )

export const renamed = (plan: Plan, names: readonly string[]): Plan =>
  names.length === 0 || plan.fields.every((field, i) => field.name === names[i]) ? plan : project(plan, columnsOfPlan(plan), names)

export const valuesPlan = (fields: Field[], rows: unknown[][]): Plan => ({ node: 'values', fields, rows, changelog: 'append' })

/** One row without columns: what SELECT without FROM reads. */
export const singleRow = (): Plan => valuesPlan([], [[]])

/** Collects expressions over a plan's rows as columns; equal ones share a column. */
export class ColumnCollector {
  readonly exprs: Expr[] = []
  private readonly ordinals = new Map<string, number>()
  private readonly keyOf: (expr: Expr) => string

  constructor(keyOf: (expr: Expr) => string) {
    this.keyOf = keyOf
  }

  /** @returns the column's ordinal */
  add(expr: Expr): number {
    const key = this.keyOf(expr)
    let ordinal = this.ordinals.get(key)
    if (ordinal === undefined) {
      ordinal = this.exprs.push(expr) - 1
      this.ordinals.set(key, ordinal)
    }
    return ordinal
  }
}

/** Fields of a join: the side that may be missing is nullable. */
export function joinFields(kind: 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' | 'SEMI' | 'ANTI', left: Plan, right: Plan): Field[] {
  if (kind === 'SEMI' || kind === 'ANTI') return left.fields
  const outer = (fields: Field[], missing: boolean): Field[] =>
    missing ? fields.map((field) => ({ ...field, type: withNullable(field.type, true) })) : fields
  return [...outer(left.fields, kind === 'RIGHT' || kind === 'FULL'), ...outer(right.fields, kind === 'LEFT' || kind === 'FULL')]
}

export function joinPlan(
  kind: 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' | 'SEMI' | 'ANTI',
  left: Plan,
  right: Plan,
  condition: Expr | undefined,
): Plan {
  return {
    node: 'join',
    kind,
    left,
    right,
    leftKeys: [],
    rightKeys: [],
    fields: joinFields(kind, left, right),
    changelog: 'append',
    ...(condition && { condition }),
  }
}

/** Physical and metadata columns: what a connector delivers and, but for virtual ones, takes. */
export const storedOrdinals = (table: TableDef): number[] => table.columns.flatMap((column, i) => (column.kind === 'computed' ? [] : [i]))

export function distinctPlan(input: Plan): Plan {
  return {
    node: 'groupAggregate',
    input,
    keys: input.fields.map((_, i) => i),
    aggregates: [],
    fields: input.fields.map(withoutTime),
    changelog: 'append',
  }
}

/** `k`, `k` becomes `k`, `k0`: as Calcite makes names unique. */
export function uniqueNames(names: readonly string[]): string[] {
  const used = new Set<string>()
  return names.map((name) => {
    let unique = name
    for (let i = 0; used.has(unique); i++) unique = `${name}${i}`
    used.add(unique)
    return unique
  })
}
