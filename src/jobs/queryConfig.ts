// What each setting of a query is now, where that comes from, and what a change of it does to the query.
//
//   SET, WITH, ALTER TABLE, hints (`Origins`) + configuration, by hand --> settings with value, default, source, effect of a change
//
// Invariants
//   1. The value is the one in force: of the statement as it was bound, of the job as it runs.
//   2. `change` is what the process would do: from the same signatures of plans by which it decides (`jobStarts.ts`).
//      queryConfig.test.ts and test/queryConfig.test.ts change settings of each kind and look.
//   3. Values of secrets do not leave this file.
import { maskedSql, maskedValue } from '../base/index.ts'
import { identityOptions, type Parallelism, planSignature } from '../engine/index.ts'
import { inputsOf, isOptionUsed, type Plan, somePlan, type TableDef, whyWithoutEffect, withInputs, withStateTtl } from '../sql/index.ts'
import type { CheckpointSettings } from './checkpoints.ts'
import type { Declared, Origins, PlacedHint, Said } from './declarations.ts'
import type { ProjectQuery } from './project.ts'
import { isTopicTable, scannedTables } from './tables.ts'

/** Where a value comes from; `file`, `line` and `column` of what stands in a file, `name` of a flag, a variable or a command. */
export interface SettingSource {
  kind: 'default' | 'SET' | 'WITH' | 'ALTER TABLE' | 'hint' | 'config file' | 'environment' | 'flag' | 'by hand'
  file?: string
  line?: number
  column?: number
  name?: string
}
/**
 * at once: it is taken up while the query runs. restart: the query goes on from a checkpoint, with its state. new plan: a table is computed anew; an
 * INSERT goes on with the state that fits. at its beginning: it counts where the query begins without state. nothing: it has no effect here.
 */
export type ChangeEffect = 'at once' | 'restart' | 'new plan' | 'at its beginning' | 'nothing'
export interface QuerySetting {
  name: string
  /** Whose option it is; absent for what holds for the query. */
  table?: string
  value: string
  /** Absent where there is none: without the setting it is left out. */
  default?: string
  source: SettingSource
  change: ChangeEffect
  /** What people should know of it. */
  note?: string
}
export interface QueryConfig {
  query: string
  file: string
  line: number
  column: number
  sql: string
  /** In how many threads it runs, and why it cannot be in more than one. */
  parallelism: Parallelism
  declared: { kind: Declared['kind']; name: string; file: string; line: number; column: number; sql: string }[]
  /** Functions of Flink's that it calls. */
  builtIns: string[]
  settings: QuerySetting[]
}

export interface ConfigParts {
  query: ProjectQuery
  parallelism: Parallelism
  /** The project's settings as they are at its end: those of jobs are read there. */
  settings: ReadonlyMap<string, Said>
  /** What checkpoints of its job do now, and what they would without a SET. */
  checkpoints: { now: CheckpointSettings; byDefault: CheckpointSettings }
  /** In how many threads it was told to run. */
  byHand: number | undefined
  configured: { parallelism: Configured<number>; timeZone: Configured<string> }
  /** What its sink promises, where that is less than its option says. */
  weakerGuarantee: string | undefined
}
export interface Configured<T> {
  value: T
  source: SettingSource
}

const DEFAULT: SettingSource = { kind: 'default' }
const PARALLELISM = 'parallelism.default'
const TIME_ZONE = 'table.local-time-zone'
const TTL = 'table.exec.state.ttl'
const IDLE = 'table.exec.source.idle-timeout'
const IDLE_OPTION = 'scan.watermark.idle-timeout'
const CHECKPOINTING = 'execution.checkpointing.'

const sourceOf = ({ by, file, position: { line, column } }: Said): SettingSource => ({ kind: by, file, line, column })
const placeOf = ({ file, position: { line, column } }: Declared | Origins) => ({ file, line, column })
/** 'default' says nothing. */
function saidIn(settings: ReadonlyMap<string, Said>, key: string): Said | undefined {
  const said = settings.get(key)
  return said?.value === 'default' ? undefined : said
}
const msText = (ms: number): string =>
  ms > 0 && ms % 60_000 === 0 ? `${ms / 60_000} min` : ms % 1_000 === 0 ? `${ms / 1_000} s` : `${ms} ms`

export function queryConfig(parts: ConfigParts): QueryConfig {
  const { query, parallelism } = parts
  const { origins, id, sql } = query
  return {
    query: id,
    ...placeOf(origins),
    sql: maskedSql(sql),
    parallelism,
    declared: origins.declared.map((one) => ({ kind: one.kind, name: one.name, ...placeOf(one), sql: maskedSql(one.sql) })),
    builtIns: origins.builtIns,
    settings: [...ofStatement(query, parts), ...ofJob(parts), ...ofHints(origins.hints), ...ofTables(query, parts)].map((one) => ({
      ...one,
      value: maskedValue(one.name, one.value),
    })),
  }
}

/** Settings of the statement: its plan has them. */
function ofStatement({ plan, target, origins: { settings } }: ProjectQuery, { configured, settings: last }: ConfigParts): QuerySetting[] {
  const isInsert = target.kind === 'insert'
  const isKeyed = isInsert && target.table.primaryKey !== undefined
  const isWindowed = somePlan(plan, ({ node }) => node === 'windowAggregate')
  const hasWatermark = somePlan(plan, ({ node }) => node === 'watermark')
  const zone = configured.timeZone
  const known: { name: string; default?: string; isUsed: boolean; change: ChangeEffect }[] = [
    { name: TTL, default: '0', isUsed: forgets(plan), change: isCountedTtl(plan) ? 'new plan' : 'restart' },
    { name: IDLE, default: '0', isUsed: hasWatermark, change: 'new plan' },
    { name: 'table.exec.sink.not-null-enforcer', default: 'ERROR', isUsed: isInsert, change: 'new plan' },
    { name: 'table.exec.sink.upsert-materialize', default: 'AUTO', isUsed: isKeyed, change: 'new plan' },
    ...['early', 'late'].flatMap((when) => [
      { name: `table.exec.emit.${when}-fire.enabled`, default: 'false', isUsed: isWindowed, change: 'new plan' as const },
      { name: `table.exec.emit.${when}-fire.delay`, isUsed: isWindowed, change: 'new plan' as const },
    ]),
    { name: 'table.exec.emit.allow-lateness', isUsed: isWindowed, change: 'new plan' },
  ]
  const listed = known.flatMap(({ name, default: otherwise, isUsed, change }): QuerySetting[] => {
    const said = settings.get(name)
    // What nobody has said, and nothing here would use, is no setting of this query.
    if (!said && (!isUsed || otherwise === undefined)) return []
    const common = { name, ...(otherwise !== undefined && { default: otherwise }) }
    if (!isUsed)
      return [{ ...common, value: said!.value, source: sourceOf(said!), change: 'nothing', note: 'nothing in this query uses it' }]
    return [{ ...common, value: said?.value ?? otherwise!, source: said ? sourceOf(said) : DEFAULT, change }]
  })
  const said = saidIn(settings, TIME_ZONE)
  const shown = saidIn(last, TIME_ZONE)?.value ?? zone.value
  const value = said?.value ?? zone.value
  listed.push({
    name: TIME_ZONE,
    value,
    default: 'UTC',
    source: said ? sourceOf(said) : zone.source,
    ...(shown !== value && { note: `its functions show times in ${shown}, which the project sets last` }),
    change: cutsLocalWindows(plan) ? 'new plan' : 'restart',
  })
  const names = new Set([...known.map(({ name }) => name), TIME_ZONE, PARALLELISM])
  for (const [name, said] of settings) {
    if (names.has(name) || name.startsWith(CHECKPOINTING)) continue
    listed.push({ name, value: said.value, source: sourceOf(said), change: 'nothing', note: `no effect here: ${whyWithoutEffect(name)}` })
  }
  return listed
}

/** Settings of the job that runs it: what the project says last counts. */
function ofJob({ settings, checkpoints: { now, byDefault }, byHand, configured, parallelism }: ConfigParts): QuerySetting[] {
  const said = saidIn(settings, PARALLELISM)
  const { reason } = parallelism
  const threads = {
    name: PARALLELISM,
    default: '1',
    change: 'restart' as const,
    ...(reason !== undefined && { note: `it runs in ${parallelism.subtasks}: ${reason}` }),
  }
  const checkpointing = (key: string, of: (settings: CheckpointSettings) => string): QuerySetting => {
    const own = settings.get(`${CHECKPOINTING}${key}`)
    return {
      name: `${CHECKPOINTING}${key}`,
      value: own?.value ?? of(now),
      default: of(byDefault),
      source: own ? sourceOf(own) : DEFAULT,
      change: 'at once',
    }
  }
  return [
    byHand !== undefined
      ? { ...threads, value: String(byHand), source: { kind: 'by hand', name: 'millrace queries rescale' } }
      : said
        ? { ...threads, value: said.value, source: sourceOf(said) }
        : { ...threads, value: String(configured.parallelism.value), source: configured.parallelism.source },
    checkpointing('interval', ({ intervalMs }) => msText(intervalMs)),
    checkpointing('min-pause', ({ minPauseMs }) => msText(minPauseMs)),
    checkpointing('timeout', ({ timeoutMs }) => msText(timeoutMs)),
    checkpointing('num-retained', ({ retained }) => String(retained)),
  ]
}

/** Hints but OPTIONS, which are a table's. */
const ofHints = (hints: readonly PlacedHint[]): QuerySetting[] =>
  hints
    .filter(({ name }) => name !== 'OPTIONS')
    .flatMap((hint): QuerySetting[] => {
      const source = hintSource(hint)
      if (hint.name !== 'STATE_TTL')
        return [{ name: hint.name, value: '', source, change: 'nothing', note: 'no effect here: only STATE_TTL and OPTIONS have one' }]
      return Object.entries(hint.options).map(([table, value]) => ({ name: `STATE_TTL('${table}')`, value, source, change: 'new plan' }))
    })
const hintSource = ({ file, position: { line, column } }: PlacedHint): SettingSource => ({ kind: 'hint', file, line, column })

/** Options of the tables that it reads and of the one that it writes to. */
function ofTables({ plan, target, origins }: ProjectQuery, { weakerGuarantee }: ConfigParts): QuerySetting[] {
  const sources = [...new Map(scannedTables(plan).map((table) => [table.name, table])).values()]
  const idle = origins.settings.get(IDLE)?.value ?? '0'
  const read = sources.flatMap((table) => optionsOf(table, origins, sourceDefaults(table, idle), ofThePlan(table)))
  if (target.kind === 'materializedTable') {
    const { name, options } = target.table
    return [...read, ...optionsOf({ name, options }, origins, {})]
  }
  // One that it reads and writes is listed once.
  if (sources.some(({ name }) => name === target.table.name)) return read
  const written = optionsOf(target.table, origins, sinkDefaults(target.table))
  const guarantee = weakerGuarantee !== undefined && written.find(({ name }) => name === 'sink.delivery-guarantee')
  if (guarantee) guarantee.note = `it writes ${weakerGuarantee}`
  return [...read, ...written]
}

const topicDefaults = (table: TableDef): Record<string, string> => ({
  connector: 'kafka',
  topic: baseName(table.name),
  ...(table.options['value.format'] === undefined && { format: 'json' }),
})
function sourceDefaults(table: TableDef, idle: string): Record<string, string> {
  if (!isTopicTable(table)) return {}
  return {
    ...topicDefaults(table),
    'scan.startup.mode': 'earliest-offset',
    'properties.isolation.level': 'read_committed',
    'millrace.on-error': 'dead-letter',
    ...(table.watermark && { [IDLE_OPTION]: idle }),
  }
}
function sinkDefaults(table: TableDef): Record<string, string> {
  if (isTopicTable(table))
    return { ...topicDefaults(table), 'sink.delivery-guarantee': 'exactly-once', 'properties.compression.type': 'none' }
  return table.options.connector === 'filesystem' ? { format: 'json', 'sink.rolling-policy.file-size': '128 MB' } : {}
}

/** A table that is read in several ways has in its name what is different. */
const baseName = (name: string): string => name.replace(/ OPTIONS\(.*\)$/s, '')

/** Of a source: with another one it is another source, or another plan. */
const ofThePlan = ({ options }: TableDef): ReadonlySet<string> => new Set([...identityOptions(options), IDLE_OPTION])
const ofTheBeginning: ReadonlySet<string> = new Set(['scan.startup.mode', 'millrace.partitions'])

function optionsOf(
  { name: table, options }: Pick<TableDef, 'name' | 'options'>,
  { declared, hints }: Origins,
  defaults: Record<string, string>,
  ofPlan: ReadonlySet<string> = new Set(),
): QuerySetting[] {
  const own = declared.find(({ kind, name }) => name === baseName(table) && kind !== 'view' && kind !== 'function')
  return [...new Set([...Object.keys(defaults), ...Object.keys(options)])].flatMap((name): QuerySetting[] => {
    const value = options[name] ?? defaults[name]
    const hint = hints.findLast((one) => one.name === 'OPTIONS' && one.table === baseName(table) && one.options[name] === value)
    const said = own?.options.get(name)
    // The topic of a table that is read in several ways is written out by who binds it.
    const source = hint ? hintSource(hint) : said?.value === value ? sourceOf(said) : DEFAULT
    const isUsed = isOptionUsed(name)
    return [
      {
        name,
        table,
        value,
        ...(defaults[name] !== undefined && { default: defaults[name] }),
        source,
        // Also where it has no effect: the table is another one.
        change: ofPlan.has(name) ? 'new plan' : ofTheBeginning.has(name) ? 'at its beginning' : 'restart',
        ...(!isUsed && { note: "no effect here: taken so that Flink's declarations run" }),
      },
    ]
  })
}

// ---------------------------------------------------------------- what a change does

const withoutTtl = (plan: Plan): Plan => {
  const { ttlMs: _, ...node } = withInputs(plan, inputsOf(plan).map(withoutTtl)) as Plan & { ttlMs?: unknown }
  return node as Plan
}
const forgets = (plan: Plan): boolean => somePlan(withStateTtl(withoutTtl(plan), 1), (node) => 'ttlMs' in node && node.ttlMs !== undefined)
/** Whether what some operator has remembered under one time to live is no good under another. */
const isCountedTtl = (plan: Plan): boolean => {
  const bare = withoutTtl(plan)
  return planSignature(withStateTtl(bare, 1)) !== planSignature(withStateTtl(bare, 2))
}

/** Windows over TIMESTAMP_LTZ are cut in the zone. */
const cutsLocalWindows = (plan: Plan): boolean =>
  somePlan(plan, (node) => node.node === 'watermark' && node.fields[node.timeColumn].type.kind === 'TIMESTAMP_LTZ') &&
  somePlan(plan, (node) => 'window' in node)
