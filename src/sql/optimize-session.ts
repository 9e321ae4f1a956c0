// The optimized plan of a statement that runs, with what the session's settings say: queries, INSERTs and materialized tables alike.
import type { Span } from './ast.ts'
import type { Catalog } from './catalog.ts'
import { optimize } from './optimize.ts'
import type { Plan } from './plan.ts'
import { settingMs, withStateTtl } from './state-ttl.ts'
import { refuseEmit } from './window-emit.ts'

/** @throws StreamError  what `optimize` throws, SQL_SETTING_INVALID, SQL_NOT_SUPPORTED */
export function optimizeForSession(bound: Plan, { settings }: Catalog, span: Span): Plan {
  const plan = optimize(bound)
  refuseEmit(plan, settings, span)
  const ttl = settings.get('table.exec.state.ttl')
  return ttl === undefined ? plan : withStateTtl(plan, settingMs('table.exec.state.ttl', ttl))
}
