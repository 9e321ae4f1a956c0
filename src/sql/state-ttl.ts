// How long state is kept: `table.exec.state.ttl`, and the hint STATE_TTL for one aggregation or the sides of one join.
//
// As in Flink the clock is that of the machine, counted from the last write; what has expired is as if it had never been: no row is
// taken back, and the next one of a key begins anew. Windows, interval joins and patterns forget by event time, without this.
import type { Hint, Span } from './ast.ts'
import { sqlErrors } from './errors.ts'
import type { Plan } from './plan.ts'
import { inputsOf, withInputs } from './plan-tree.ts'

const UNITS_MS: Record<string, number> = {
  ms: 1, milli: 1, millis: 1, millisecond: 1, milliseconds: 1, s: 1000, sec: 1000, secs: 1000, second: 1000, seconds: 1000, min: 60_000, mins: 60_000,
  m: 60_000, minute: 60_000, minutes: 60_000, h: 3_600_000, hour: 3_600_000, hours: 3_600_000, d: 86_400_000, day: 86_400_000, days: 86_400_000,
} // biome-ignore format: a list

/** A duration as Flink writes it: '1 h', '30min', '500' in ms; undefined where it is none. */
const durationOf = (text: string): number | undefined => {
  const match = /^\s*(\d+)\s*([a-z]*)\s*$/i.exec(text)
  const unitMs = UNITS_MS[match?.[2].toLowerCase() || 'ms']
  return match && unitMs !== undefined ? Number(match[1]) * unitMs : undefined
}

/** A duration in ms; 0 for none, and for what is no duration. */
export const durationMs = (text: string | undefined): number => (text === undefined ? 0 : (durationOf(text) ?? 0))

/** @throws StreamError SQL_SETTING_INVALID */
export function settingMs(key: string, text: string, span?: Span): number {
  const ms = durationOf(text)
  if (ms === undefined) throw sqlErrors('SQL_SETTING_INVALID', { key, value: text, expected: "a duration such as '1 h' or '30 min'", span })
  return ms
}

const STATE_TTL = 'STATE_TTL'
/** @throws StreamError SQL_HINT_TABLE where a STATE_TTL hint names what is not there */
export function requireHintedTables(hints: readonly Hint[], tables: readonly string[]): void {
  for (const { name, options, span } of hints)
    for (const table of name === STATE_TTL ? Object.keys(options) : [])
      if (!tables.includes(table)) throw sqlErrors('SQL_HINT_TABLE', { hint: name, table, tables: [...tables], span })
}

/** The durations of STATE_TTL hints, by the table or alias that each names. */
export function stateTtlHints(hints: readonly Hint[]): Map<string, number> {
  const entries = hints
    .filter(({ name }) => name === STATE_TTL)
    .flatMap(({ options, span }) =>
      Object.entries(options).map(([table, text]): [string, number] => [table, settingMs(STATE_TTL, text, span)]),
    )
  return new Map(entries)
}

/** The plan with `table.exec.state.ttl` where no hint says otherwise. */
export function withStateTtl(plan: Plan, ttlMs: number): Plan {
  if (ttlMs <= 0) return plan
  const node = withInputs(plan, inputsOf(plan).map((input) => withStateTtl(input, ttlMs))) // biome-ignore format: one thought
  switch (node.node) {
    case 'groupAggregate':
    case 'deduplicate':
    case 'limit':
    case 'normalize':
    case 'over':
    case 'setOperation':
      return { ttlMs, ...node }
    case 'temporalJoin':
      // On processing time it is a look-up in a table, which forgets nothing.
      return node.rightTime < 0 ? node : { ttlMs, ...node }
    case 'topN':
      // Windows forget by event time.
      return { ...node, ...(!node.windowed && { ttlMs }) }
    case 'join':
      return { ...node, ttlMs: (node.ttlMs ?? [-1, -1]).map((one) => (one < 0 ? ttlMs : one)) as [number, number] }
    default:
      return node
  }
}
