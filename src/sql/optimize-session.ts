// The optimized plan of a statement that runs, with what the session's settings say: queries, INSERTs and materialized tables alike.
import type { Span } from './ast.ts'
import type { Catalog } from './catalog.ts'
import { sqlErrors } from './errors.ts'
import { optimize } from './optimize.ts'
import type { Plan } from './plan.ts'
import { settingMs, withStateTtl } from './state-ttl.ts'
import { refuseEmit } from './window-emit.ts'

const durationKeys: ReadonlySet<string> = new Set(['table.exec.state.ttl', 'table.exec.source.idle-timeout'])

/**
 * A value that cannot be used is an error where it is SET, not where a later statement uses it.
 *
 * @throws StreamError SQL_SETTING_INVALID
 */
export function checkSetting(key: string, value: string, span: Span): void {
  if (durationKeys.has(key)) settingMs(key, value, span)
  if (key === 'table.exec.sink.not-null-enforcer' && !['ERROR', 'DROP'].includes(value))
    throw sqlErrors('SQL_SETTING_INVALID', { key, value, expected: "'ERROR' or 'DROP'", span })
  if (key === 'table.local-time-zone' && value !== 'default' && !isTimeZone(value))
    throw sqlErrors('SQL_SETTING_INVALID', { key, value, expected: "a time zone such as 'Europe/Berlin' or 'GMT+01:00'", span })
}

/** Names of three letters that are zones; others, such as PST, mean different things to different systems. */
const SHORT_ZONES: ReadonlySet<string> = new Set(['UTC', 'GMT', 'UCT', 'CET', 'EET', 'MET', 'WET', 'PRC', 'ROC', 'ROK'])

/** Those that Flink takes: an offset only behind GMT. */
function isTimeZone(name: string): boolean {
  if (/^GMT[+-]\d{1,2}(?::?\d{2})?$/.test(name)) return true
  if (/^(?:Z|(?:UTC|UT)?[+-].*)$/.test(name) || (name.length === 3 && !SHORT_ZONES.has(name))) return false
  try {
    return Boolean(new Intl.DateTimeFormat('en', { timeZone: name }))
  } catch {
    return false
  }
}

/** @throws StreamError  what `optimize` throws, SQL_SETTING_INVALID, SQL_NOT_SUPPORTED */
export function optimizeForSession(bound: Plan, { settings }: Catalog, span: Span): Plan {
  const plan = optimize(bound)
  refuseEmit(plan, settings, span)
  const ttl = settings.get('table.exec.state.ttl')
  return ttl === undefined ? plan : withStateTtl(plan, settingMs('table.exec.state.ttl', ttl))
}
