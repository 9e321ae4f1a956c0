// `table.exec.emit.*`: when the older window functions (GROUP BY TUMBLE, HOP) show results before a window closes, and how long after it rows still count.
//
// As in Flink these settings are for the older functions alone; an aggregation over a window function (TUMBLE(TABLE …)) refuses them.
import type { Span } from './ast.ts'
import { sqlErrors } from './errors.ts'
import type { Plan, WindowEmit } from './plan.ts'
import { somePlan } from './plan-tree.ts'
import { settingMs } from './state-ttl.ts'

const KEYS = {
  early: 'table.exec.emit.early-fire.enabled',
  earlyDelay: 'table.exec.emit.early-fire.delay',
  late: 'table.exec.emit.late-fire.enabled',
  lateDelay: 'table.exec.emit.late-fire.delay',
  lateness: 'table.exec.emit.allow-lateness',
}

/**
 * What the session's settings say; undefined where windows emit once.
 *
 * @throws StreamError SQL_SETTING_INVALID
 */
export function windowEmit(settings: ReadonlyMap<string, string>): WindowEmit | undefined {
  const isOn = (key: string): boolean => {
    const value = settings.get(key)?.toLowerCase() ?? 'false'
    if (value !== 'true' && value !== 'false') throw sqlErrors('SQL_SETTING_INVALID', { key, value, expected: 'true or false' })
    return value === 'true'
  }
  const delay = (enabled: string, key: string): number | undefined => {
    if (!isOn(enabled)) return undefined
    const text = settings.get(key)
    if (text === undefined)
      throw sqlErrors('SQL_SETTING_INVALID', { key, value: '', expected: "a duration such as '10 s', as its fire is enabled" })
    return settingMs(key, text)
  }
  const earlyMs = delay(KEYS.early, KEYS.earlyDelay)
  const lateMs = delay(KEYS.late, KEYS.lateDelay)
  // As in Flink the lateness counts only with late-fire.
  const lateness = settings.get(KEYS.lateness) ?? settings.get('table.exec.state.ttl')
  const latenessMs = lateMs === undefined || lateness === undefined ? 0 : settingMs(KEYS.lateness, lateness)
  if (lateMs !== undefined && latenessMs === 0)
    throw sqlErrors('SQL_SETTING_INVALID', {
      key: KEYS.lateness,
      value: lateness ?? '',
      expected: "a duration such as '1 h', as late-fire is enabled",
    })
  if (earlyMs === undefined && lateMs === undefined) return undefined
  return { latenessMs, ...(earlyMs !== undefined && { earlyMs }), ...(lateMs !== undefined && { lateMs }) }
}

/** @throws StreamError SQL_NOT_SUPPORTED for a window aggregate that cannot emit so */
export function refuseEmit(plan: Plan, settings: ReadonlyMap<string, string>, span: Span): void {
  const isEnabled = [KEYS.early, KEYS.late].some((key) => settings.get(key)?.toLowerCase() === 'true')
  if (!isEnabled || !somePlan(plan, (node) => node.node === 'windowAggregate' && node.emit === undefined)) return
  throw sqlErrors('SQL_NOT_SUPPORTED', {
    what: 'early-fire and late-fire of an aggregation over a window function, or over sessions,',
    instead: `RESET '${KEYS.early}' and '${KEYS.late}', or write GROUP BY TUMBLE(time, INTERVAL …) or HOP(…).`,
    span,
  })
}
