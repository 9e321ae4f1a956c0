// What may be SET: which keys have an effect, and which of Flink's are taken without one, so that a script for Flink runs, and why.
//
// A value that would give other answers in Flink than here is refused; so is a key under `table.` that is none of Flink's, as it is a slip of the hand.
// Other keys may be the user's own or of a cluster: they are taken, and said to have no effect.
import { nearestName } from '../base/index.ts'
import type { Span } from './ast.ts'
import { sqlErrors } from './errors.ts'
import { settingMs } from './state-ttl.ts'

const DURATIONS = [
  'table.exec.state.ttl',
  'table.exec.source.idle-timeout',
  'execution.checkpointing.interval',
  'execution.checkpointing.timeout',
  'execution.checkpointing.min-pause',
]

/** Keys with an effect; `parallelism.default` and `execution.checkpointing.*` are read by the jobs. */
const effective: ReadonlySet<string> = new Set([
  ...DURATIONS,
  'table.local-time-zone',
  'table.exec.sink.not-null-enforcer',
  'table.exec.sink.upsert-materialize',
  'table.exec.emit.early-fire.enabled',
  'table.exec.emit.early-fire.delay',
  'table.exec.emit.late-fire.enabled',
  'table.exec.emit.late-fire.delay',
  'table.exec.emit.allow-lateness',
  'parallelism.default',
  'execution.checkpointing.num-retained',
])

/** Keys of which one value is what happens here: another one would give other answers, or none. */
const only: Readonly<Record<string, { values: string[]; instead?: string }>> = {
  'execution.runtime-mode': {
    values: ['streaming', 'automatic'],
    instead: '`millrace sql` and SQL over HTTP answer from what is there now, as a batch would.',
  },
  'table.sql-dialect': { values: ['default'] },
  'table.exec.legacy-cast-behaviour': { values: ['disabled'], instead: 'TRY_CAST gives NULL for what cannot be cast.' },
  'table.exec.sink.type-length-enforcer': { values: ['ignore', 'trim_pad'], instead: 'INSERT cuts texts to the length of their column.' },
  'table.exec.sink.nested-constraint-enforcer': {
    values: ['ignore'],
    instead: 'NOT NULL inside of ROW and ARRAY is not checked; use COALESCE.',
  },
  'table.column-expansion-strategy': { values: [''], instead: 'Name the columns that you want.' },
  'table.dynamic-table-options.enabled': { values: ['true'], instead: 'Leave the hints out.' },
  'execution.checkpointing.mode': { values: ['exactly_once'], instead: "A sink takes 'sink.delivery-guarantee' = 'at-least-once'." },
}

/** Keys of Flink without an effect: the reason, what they begin with, the rest of each. */
const withoutEffect: readonly (readonly [reason: string, prefix: string, names: string])[] = [
  ['rows are always taken in batches, as they come', 'table.exec.mini-batch.', 'enabled allow-latency size'],
  [
    'in several subtasks GROUP BY of plain numbers is always aggregated before its exchange, windows and DISTINCT never are',
    'table.optimizer.',
    'agg-phase-strategy distinct-agg.split.enabled distinct-agg.split.bucket-num incremental-agg-enabled',
  ],
  [
    'all state shares the memory of the process (`memory` in millrace.config.ts), and spills beyond it',
    'table.exec.',
    'resource.external-buffer-memory resource.hash-agg.memory resource.hash-join.memory resource.sort.memory spill-compression.enabled spill-compression.block-size sort.async-merge-enabled sort.max-num-file-handles window-agg.buffer-size-limit rank.topn-cache-size async-state.enabled interval-join.min-cleanup-interval delta-join.cache-enabled delta-join.left.cache-size delta-join.right.cache-size',
  ],
  ['`parallelism.default` says it for the whole query', 'table.exec.', 'resource.default-parallelism'],
  [
    'rows that share a key of the sink are kept in one way, by that key',
    'table.exec.sink.',
    'upsert-materialize-strategy.type upsert-materialize-strategy.adaptive.threshold.high upsert-materialize-strategy.adaptive.threshold.low keyed-shuffle',
  ],
  ['a record has the time at which it was written, or that of a METADATA column', 'table.exec.sink.', 'rowtime-inserter'],
  [
    'nothing here asks other systems or models',
    'table.exec.',
    'async-lookup.buffer-capacity async-lookup.key-ordered-enabled async-lookup.output-mode async-lookup.timeout async-ml-predict.max-concurrent-operations async-ml-predict.output-mode async-ml-predict.timeout async-scalar.buffer-capacity async-scalar.max-attempts async-scalar.max-concurrent-operations async-scalar.retry-delay async-scalar.retry-strategy async-scalar.timeout async-table.max-concurrent-operations async-table.max-retries async-table.retry-delay async-table.retry-strategy async-table.timeout async-vector-search.max-concurrent-operations async-vector-search.output-mode async-vector-search.timeout source.cdc-events-duplicate',
  ],
  [
    'it is for batches',
    'table.exec.',
    'disabled-operators sort.default-limit local-hash-agg.adaptive.enabled local-hash-agg.adaptive.sampling-threshold local-hash-agg.adaptive.distinct-value-rate-threshold operator-fusion-codegen.enabled',
  ],
  [
    'the planner has no such choice: joins are in the order in which they are written, and a topic is read once for all that read it in one query',
    'table.optimizer.',
    'adaptive-broadcast-join.strategy bushy-join-reorder-threshold delta-join.strategy dynamic-filtering.enabled join-reorder-enabled join.broadcast-threshold multi-join.enabled multiple-input-enabled non-deterministic-update.strategy ptf.max-tables reuse-optimize-block-with-digest-enabled reuse-sink-enabled reuse-source-enabled reuse-sub-plan-enabled runtime-filter.enabled runtime-filter.max-build-data-size runtime-filter.min-filter-ratio runtime-filter.min-probe-data-size skewed-join-optimization.skewed-factor skewed-join-optimization.skewed-threshold skewed-join-optimization.strategy source.report-statistics-enabled sql2rel.project-merge.enabled union-all-as-breakpoint-enabled',
  ],
  [
    'there is one way to run it here',
    'table.exec.',
    'deduplicate.insert-update-after-sensitive-enabled deduplicate.mini-batch.compact-changes-enabled simplify-operator-name-enabled uid.format uid.generation unbounded-over.version',
  ],
  [
    'it is of the cluster or of its client',
    'table.',
    'builtin-catalog-name builtin-database-name catalog-modification.listeners display.max-column-width dml-sync generated-code.max-length generated-code.max-members legacy-nested-row-nullability plan.compile.catalog-objects plan.force-recompile plan.restore.catalog-objects resources.download-dir rtas-ctas.atomicity-enabled',
  ],
]
const reasons: ReadonlyMap<string, string> = new Map(
  withoutEffect.flatMap(([reason, prefix, names]) => names.split(' ').map((name) => [`${prefix}${name}`, reason] as const)),
)

const known: readonly string[] = [...effective, ...Object.keys(only), ...reasons.keys()]

/**
 * A key that is misspelled and a value that cannot be used are errors where they are SET, not where a later statement uses them.
 *
 * @throws StreamError SQL_SETTING_INVALID, SQL_SETTING_UNKNOWN
 */
export function checkSetting(key: string, value: string, span: Span): void {
  requireKnown(key, span)
  if (DURATIONS.includes(key)) settingMs(key, value, span)
  if (key === 'table.exec.sink.not-null-enforcer' && !chosen[key].includes(value))
    throw sqlErrors('SQL_SETTING_INVALID', { key, value, expected: "'ERROR' or 'DROP'", span })
  if (key === 'table.exec.sink.upsert-materialize' && !chosen[key].includes(value.toUpperCase()))
    throw sqlErrors('SQL_SETTING_INVALID', { key, value, expected: "'NONE', 'AUTO' or 'FORCE'", span })
  if (key === 'table.local-time-zone' && value !== 'default' && !isTimeZone(value))
    throw sqlErrors('SQL_SETTING_INVALID', { key, value, expected: "a time zone such as 'Europe/Berlin' or 'GMT+01:00'", span })
  const { values, instead } = only[key] ?? {}
  if (values === undefined || values.includes(value.toLowerCase().replaceAll('-', '_'))) return
  throw sqlErrors('SQL_SETTING_INVALID', { key, value, expected: values.map((one) => `'${one}'`).join(' or '), instead, span })
}

/** Keys that change something here, or of which Flink's other values are refused: for who writes them. */
export const settingKeys: readonly string[] = [...effective, ...Object.keys(only)]

const chosen: Readonly<Record<string, readonly string[]>> = {
  'table.exec.sink.not-null-enforcer': ['ERROR', 'DROP'],
  'table.exec.sink.upsert-materialize': ['NONE', 'AUTO', 'FORCE'],
  'table.exec.emit.early-fire.enabled': ['true', 'false'],
  'table.exec.emit.late-fire.enabled': ['true', 'false'],
}
/** The values that a key takes, where it takes one of a few. */
export const settingValues = (key: string): readonly string[] => only[key]?.values.filter(Boolean) ?? chosen[key] ?? []

/** What begins with `table.` is Flink's, or a slip; elsewhere a slip is what differs little from a key with an effect, before its last point or behind it. */
function requireKnown(key: string, span: Span): void {
  if (known.includes(key)) return
  const [family, name] = parted(key)
  const slipOf = [...effective].find((one) => {
    const [ownFamily, ownName] = parted(one)
    if (ownFamily === family) return nearestName(name, [ownName]) !== undefined
    return ownName === name && nearestName(family, [ownFamily]) !== undefined
  })
  const nearest = key.startsWith('table.') ? nearestName(key, known) : slipOf
  if (key.startsWith('table.') || nearest !== undefined) throw sqlErrors('SQL_SETTING_UNKNOWN', { key, nearest, span })
}

function parted(key: string): [family: string, name: string] {
  const at = key.lastIndexOf('.')
  return [key.slice(0, at), key.slice(at + 1)]
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

/** For people: which of these settings change nothing here, and why. */
export function settingNotices(settings: ReadonlyMap<string, string>): string[] {
  return [...settings.keys()].flatMap((key) => {
    const reason = only[key] === undefined ? whyWithoutEffect(key) : undefined
    return reason === undefined ? [] : [`SET '${key}' has no effect here: ${reason}`]
  })
}

/** Why a key that was SET changes nothing; undefined for one that has an effect. */
export function whyWithoutEffect(key: string): string | undefined {
  if (effective.has(key)) return undefined
  return only[key] ? 'no other value is taken' : (reasons.get(key) ?? 'Millrace has no such setting')
}
