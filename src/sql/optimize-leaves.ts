// Fields of ROW columns read as columns of their own, where a source can deliver them so.
//
//   calc(FIELD(r, 1), …) over [watermark over] [calc over] scan(r)   -->   calc(column, …) over … scan(leaf r.1)
//
// Invariants
//   1. A leaf is NULL where a row around it is; a ROW column that something reads as a whole stays as it is.
//   2. A scan's `paths` are as long as its `columns`.
import type { Field, SqlType } from '../data/index.ts'
import { columnExpr, columnsOf } from './expr.ts'
import { prune } from './optimize-prune.ts'
import { mergeCalcs } from './optimize-pushdown.ts'
import { annotate } from './optimize-traits.ts'
import type { Expr, Plan } from './plan.ts'
import { exprsOf, inputsOf, withInputs } from './plan-tree.ts'

type Node<N extends Plan['node']> = Extract<Plan, { node: N }>

/**
 * The plan whose scans deliver the fields that it reads of ROW columns, instead of the rows: `paths` of a scan says which.
 * For runtimes whose sources know `paths`; a source that does not must be given the plan as it was.
 */
export const readLeaves = (plan: Plan): Plan => annotate(scanLeaves(mergeCalcs(prune(lowerFields(plan)))))

/** FIELD above a watermark moves below it, so that the row itself need not pass. */
function lowerFields(plan: Plan): Plan {
  const node = withInputs(plan, inputsOf(plan).map(lowerFields))
  if (node.node !== 'calc' || node.input.node !== 'watermark') return node
  const watermark = node.input
  const found = leavesOf(exprsOf(node), watermark.input.fields)
  if (found.length === 0) return node
  const { input } = watermark
  const added = found.map(({ expr, name }): Field => ({ name, type: expr.type }))
  const lower: Plan = {
    node: 'calc',
    input,
    projections: [...input.fields.map(({ type }, i) => columnExpr(i, type)), ...found.map(({ expr }) => expr)],
    fields: [...input.fields, ...added],
    changelog: input.changelog,
  }
  const at = new Map(found.map(({ key, expr }, i) => [key, columnExpr(input.fields.length + i, expr.type)]))
  const over: Plan = { ...watermark, input: lower, fields: [...watermark.fields, ...added] }
  return { ...changed(node, (expr) => at.get(pathKey(expr) ?? '')), input: over }
}

/** A scan below a calc gets the leaves that the calc reads. */
function scanLeaves(plan: Plan): Plan {
  const node = withInputs(plan, inputsOf(plan).map(scanLeaves))
  if (node.node !== 'calc' || node.input.node !== 'scan') return node
  const scan = node.input
  const found = leavesOf(exprsOf(node), scan.fields)
  if (found.length === 0) return node
  const at = new Map(found.map(({ key, expr }, i) => [key, columnExpr(scan.fields.length + i, expr.type)]))
  const calc = changed(node, (expr) => at.get(pathKey(expr) ?? ''))
  const read = new Set(exprsOf(calc).flatMap((expr) => [...columnsOf(expr)]))
  const columns = [...scan.columns, ...found.map(({ column }) => scan.columns[column])]
  const paths = [...scan.columns.map((_, i) => scan.paths?.[i] ?? []), ...found.map(({ path }) => path)]
  const fields = [...scan.fields, ...found.map(({ expr, name }): Field => ({ name, type: expr.type }))]
  const kept = columns.flatMap((_, i) => (read.has(i) ? [i] : []))
  const leaves: Node<'scan'> = {
    ...scan,
    columns: kept.map((i) => columns[i]),
    paths: kept.map((i) => paths[i]),
    fields: kept.map((i) => fields[i]),
  }
  return { ...changed(calc, (expr) => (expr.kind === 'column' ? { ...expr, index: kept.indexOf(expr.index) } : undefined)), input: leaves }
}

interface Leaf {
  key: string
  expr: Expr
  column: number
  /** Ordinals of fields, from the outside in. */
  path: number[]
  name: string
}

/** The longest chains of FIELD over a column. */
function leavesOf(exprs: readonly Expr[], fields: readonly Field[]): Leaf[] {
  const found = new Map<string, Leaf>()
  const visit = (expr: Expr): void => {
    const key = pathKey(expr)
    if (key !== undefined && expr.kind === 'call') {
      const [column, ...path] = key.split('.').map(Number)
      found.set(key, { key, expr, column, path, name: nameOf(fields[column], path) })
    } else if (expr.kind === 'call') expr.args.forEach(visit)
  }
  exprs.forEach(visit)
  return [...found.values()]
}

/** '3.1.0' for FIELD(FIELD(column 3, 1), 0); undefined for what is no such chain. */
function pathKey(expr: Expr): string | undefined {
  if (expr.kind !== 'call' || expr.fn !== 'FIELD') return undefined
  const [base] = expr.args
  const index = expr.options?.index as number
  if (base.kind === 'column') return `${base.index}.${index}`
  const key = pathKey(base)
  return key === undefined ? undefined : `${key}.${index}`
}

function nameOf({ name, type }: Field, path: readonly number[]): string {
  let at: SqlType = type
  return [
    name,
    ...path.map((index) => {
      const field = (at as SqlType & { kind: 'ROW' }).fields[index]
      at = field.type
      return field.name
    }),
  ].join('.')
}

/** The calc with each expression changed from the outside in where `replace` gives another. */
function changed(calc: Node<'calc'>, replace: (expr: Expr) => Expr | undefined): Node<'calc'> {
  const change = (expr: Expr): Expr => {
    const other = replace(expr)
    if (other !== undefined) return other
    return expr.kind === 'call' ? { ...expr, args: expr.args.map(change) } : expr
  }
  return { ...calc, projections: calc.projections.map(change), ...(calc.predicate && { predicate: change(calc.predicate) }) }
}
