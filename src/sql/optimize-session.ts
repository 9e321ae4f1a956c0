// The optimized plan of a statement that runs, with what the session's settings say: queries, INSERTs and materialized tables alike.
import { withNullable } from '../data/index.ts'
import type { Span } from './ast.ts'
import { columnsOfPlan, project, withoutTime } from './bind-plan.ts'
import type { Catalog } from './catalog.ts'
import { columnExpr } from './expr.ts'
import { resolveCall } from './functions/index.ts'
import { optimize } from './optimize.ts'
import { uniqueKeysOf } from './optimize-traits.ts'
import type { Expr, Plan } from './plan.ts'
import { settingMs, withStateTtl } from './state-ttl.ts'
import { refuseEmit } from './window-emit.ts'

const MATERIALIZE = 'table.exec.sink.upsert-materialize'

/**
 * The plan of what writes to a table with a key. Where that is not a key of the query several rows may share it: the last one that came counts, and where
 * it leaves the one before it does again, as with Flink's upsert materializer. `table.exec.sink.upsert-materialize` says NONE, AUTO or FORCE.
 *
 * @param key  ordinals of the plan's columns; undefined for a table without
 * @throws StreamError  as `optimizeForSession`
 */
export function optimizeForSink(bound: Plan, key: readonly number[] | undefined, catalog: Catalog, span: Span): Plan {
  const plan = optimizeForSession(bound, catalog, span)
  const mode = catalog.settings.get(MATERIALIZE)?.toUpperCase() ?? 'AUTO'
  if (key === undefined || plan.changelog === 'append' || mode === 'NONE') return plan
  const isKeyed = uniqueKeysOf(plan).some((own) => own.every((column) => key.includes(column)))
  return isKeyed && mode === 'AUTO' ? plan : optimizeForSession(lastOfKey(bound, key), catalog, span)
}

function lastOfKey(plan: Plan, key: readonly number[]): Plan {
  const columns = columnsOfPlan(plan)
  const names = plan.fields.map(({ name }) => name)
  const row = resolveCall('ROW', columns)
  const fields = [...key.map((column) => plan.fields[column]), { name: '$row', type: withNullable(row.type, true) }].map(withoutTime)
  const aggregate: Plan = {
    node: 'groupAggregate',
    input: project(
      plan,
      [...key.map((column) => columns[column]), row],
      fields.map(({ name }) => name),
    ),
    keys: key.map((_, i) => i),
    aggregates: [{ fn: 'LAST_VALUE', args: [key.length], distinct: false, type: fields[key.length].type, argTypes: [row.type] }],
    fields,
    changelog: 'retract',
  }
  const last = columnExpr(key.length, fields[key.length].type)
  const exprs = columns.map(({ type }, index): Expr => {
    if (key.includes(index)) return columnExpr(key.indexOf(index), type)
    return { kind: 'call', fn: 'FIELD', args: [last], type, options: { index } }
  })
  return project(aggregate, exprs, names)
}

/** @throws StreamError  what `optimize` throws, SQL_SETTING_INVALID, SQL_NOT_SUPPORTED */
export function optimizeForSession(bound: Plan, { settings }: Catalog, span: Span): Plan {
  const plan = optimize(bound)
  refuseEmit(plan, settings, span)
  const ttl = settings.get('table.exec.state.ttl')
  return ttl === undefined ? plan : withStateTtl(plan, settingMs('table.exec.state.ttl', ttl))
}
