// Fields of ROW columns read as columns of their own, where a source can deliver them so.
//
//   calc(FIELD(r, 1), …) over [watermark over] [calc over] scan(r)   -->   calc(column, …) over … scan(leaf r.1)
//
// Invariants
//   1. A leaf is NULL where a row around it is; a ROW column that something reads as a whole stays as it is.
//   2. A scan's `paths` are as long as its `columns`.
//   3. Scans of one table below watermarks become equal ones, so that a runtime that shares equal parts reads the table once.
import type { Field, SqlType } from '../data/index.ts'
import { columnExpr, columnsOf, exprKey, isStable, mapColumns } from './expr.ts'
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
export const readLeaves = (plan: Plan): Plan => annotate(mergeCalcs(shareSources(scanLeaves(mergeCalcs(prune(lowerFields(plan)))))))

// ---------------------------------------------------------------- one watermark for all scans of a table

interface Chain {
  watermark: Node<'watermark'>
  scan: Node<'scan'>
  /** Columns of the watermark's input over those of the scan. */
  projections: Expr[]
}

/** A watermark over columns of one scan, as all watermarks of a table are. */
function chainOf(plan: Plan): Chain | undefined {
  if (plan.node !== 'watermark') return undefined
  const { input } = plan
  if (input.node === 'scan') return { watermark: plan, scan: input, projections: input.fields.map(({ type }, i) => columnExpr(i, type)) }
  if (input.node !== 'calc' || input.predicate !== undefined || input.input.node !== 'scan' || !input.projections.every(isStable))
    return undefined
  return { watermark: plan, scan: input.input, projections: input.projections }
}

/** Scans of one table deliver the columns of all of them, so that reading, computed columns and watermark are done once. */
function shareSources(plan: Plan): Plan {
  const chains: Chain[] = []
  const collect = (node: Plan): void => {
    const chain = chainOf(node)
    if (chain !== undefined) chains.push(chain)
    else inputsOf(node).forEach(collect)
  }
  collect(plan)
  const replaced = new Map<Plan, Plan>()
  for (const mine of Map.groupBy(chains, ({ scan }) => scan.table.name).values()) if (mine.length > 1) unite(mine, replaced)
  const rebuild = (node: Plan): Plan => replaced.get(node) ?? withInputs(node, inputsOf(node).map(rebuild))
  return replaced.size === 0 ? plan : rebuild(plan)
}

function unite(chains: readonly Chain[], replaced: Map<Plan, Plan>): void {
  const leafKey = ({ columns, paths }: Node<'scan'>, i: number): string => [columns[i], ...(paths?.[i] ?? [])].join('.')
  const leaves = new Map<string, { column: number; path: number[]; field: Field }>()
  for (const { scan } of chains)
    scan.columns.forEach((column, i) => {
      leaves.set(leafKey(scan, i), { column, path: scan.paths?.[i] ?? [], field: scan.fields[i] })
    })
  const keys = [...leaves.keys()]
  const all = [...leaves.values()]
  const scan: Node<'scan'> = {
    ...chains[0].scan,
    columns: all.map(({ column }) => column),
    paths: all.map(({ path }) => path),
    fields: all.map(({ field }) => field),
  }
  // Each chain's columns over the united scan, equal ones once.
  const columns = new Map<string, { expr: Expr; field: Field }>()
  const keysOf = chains.map((chain) =>
    chain.projections.map((projection, i) => {
      const expr = mapColumns(projection, (column) => ({ ...column, index: keys.indexOf(leafKey(chain.scan, column.index)) }))
      const key = exprKey(expr)
      if (!columns.has(key)) columns.set(key, { expr, field: chain.watermark.fields[i] })
      return key
    }),
  )
  const order = [...columns.keys()]
  const fields = [...columns.values()].map(({ field }) => field)
  const projections = [...columns.values()].map(({ expr }) => expr)
  const moved = (chain: number) => (expr: Expr) =>
    mapColumns(expr, (column) => ({ ...column, index: order.indexOf(keysOf[chain][column.index]) }))
  const timeOf = (chain: number) => order.indexOf(keysOf[chain][chains[chain].watermark.timeColumn])
  const expressions = chains.map(({ watermark }, i) => moved(i)(watermark.expression))
  // A table has one watermark; a plan that says otherwise stays as it is.
  if (chains.some((_, i) => timeOf(i) !== timeOf(0) || exprKey(expressions[i]) !== exprKey(expressions[0]))) return
  const input: Plan = { node: 'calc', input: scan, projections, fields, changelog: scan.changelog }
  const shared: Plan = { ...chains[0].watermark, input, timeColumn: timeOf(0), expression: expressions[0], fields }
  chains.forEach(({ watermark }, i) => {
    const picked = watermark.fields.map(({ type }, column) => columnExpr(order.indexOf(keysOf[i][column]), type))
    replaced.set(watermark, { node: 'calc', input: shared, projections: picked, fields: watermark.fields, changelog: watermark.changelog })
  })
}

// ---------------------------------------------------------------- fields as columns

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
