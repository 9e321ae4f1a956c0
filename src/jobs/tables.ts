// What a table's options mean for who runs queries: its topic, how it is read and written, what its sink promises, where late rows go.
import { resolve } from 'node:path'
import { maskedValue } from '../base/index.ts'
import type { CheckpointStore, SinkSpec, SourceSpec } from '../engine/index.ts'
import { engineErrors, finishFiles, nextFileNumber, parquetProblem, removeUnfinished, setAside } from '../engine/index.ts'
import { ensureFolders, type Log } from '../log/index.ts'
import { inputsOf, type Plan, stableText, type TableDef, withInputs } from '../sql/index.ts'
import { jobErrors } from './errors.ts'
import type { ApplyReport } from './manager.ts'
import type { ProjectQuery } from './project.ts'
import { sinkParts, sourceParts } from './recordShape.ts'
import type { SavedQuery } from './savedStates.ts'

const connectors = ['kafka', 'upsert-kafka', 'print', 'blackhole', 'filesystem']
/** Flink's default of 'sink.rolling-policy.file-size'. */
const FILE_BYTES_MAX = 128 * 1024 * 1024

export const isTopicTable = (table: TableDef): boolean => ['kafka', 'upsert-kafka'].includes(table.options.connector ?? 'kafka')
/** Flink's option; unlike Flink's, the default is the stronger one. @throws StreamError SINK_GUARANTEE_UNKNOWN */
export function isExactlyOnceTopic(table: TableDef): boolean {
  if (!isTopicTable(table)) return false
  const guarantee = table.options['sink.delivery-guarantee'] ?? 'exactly-once'
  if (guarantee !== 'exactly-once' && guarantee !== 'at-least-once')
    throw jobErrors('SINK_GUARANTEE_UNKNOWN', { table: table.name, guarantee })
  return guarantee === 'exactly-once'
}
/** A size as Flink's options have it, such as '128MB'. */
function memoryBytes(text: string | undefined): number | undefined {
  const match = text === undefined ? null : /^\s*(\d+)\s*(b|bytes|k|kb|m|mb|g|gb)?\s*$/i.exec(text)
  if (match === null) return undefined
  return Number(match[1]) * 1024 ** ['b', 'k', 'm', 'g'].indexOf((match[2] ?? 'b')[0].toLowerCase())
}
export const topicOf = (table: TableDef): string => table.options.topic ?? table.name

/** How a table is read: its columns as they were when the query was bound, and its options with those of hints. */
const readOf = (table: TableDef): string => stableText({ ...table, ddl: '' })

/** By the name of each table that a plan of `withReadings` scans, how it is read. What does not agree in this cannot be read together. */
export const readsOf = (plan: Plan): ReadonlyMap<string, string> => new Map(scannedTables(plan).map((table) => [table.name, readOf(table)]))

/**
 * The plan where a table that it reads in several ways, by OPTIONS hints, is several tables over one topic: the one with the fewest options keeps
 * its name, the others have in theirs what is different, such as `clicks OPTIONS('scan.startup.mode'='latest-offset')`.
 */
export function withReadings(plan: Plan): Plan {
  const names = new Map<string, string>()
  for (const [name, tables] of Map.groupBy(scannedTables(plan), ({ name }) => name)) {
    const readings = [...new Map(tables.map((table) => [readOf(table), table]))].sort(
      ([text, { options }], [other, { options: others }]) =>
        Object.keys(options).length - Object.keys(others).length || (text < other ? -1 : 1),
    )
    if (readings.length === 1) continue
    const [[, { options: plain }]] = readings
    for (const [read, { options }] of readings.slice(1)) {
      const hinted = Object.keys(options).filter((key) => options[key] !== plain[key])
      const shown = `${name} OPTIONS(${hinted.sort().map((key) => `'${key}'='${maskedValue(key, options[key])}'`)})`
      // Those that only a secret tells apart are numbered.
      const alike = [...names.values()].filter((one) => one.startsWith(shown)).length
      names.set(read, alike === 0 ? shown : `${shown} ${alike + 1}`)
    }
  }
  const renamed = (node: Plan): Plan => {
    if (node.node !== 'scan') return withInputs(node, inputsOf(node).map(renamed))
    const { table } = node
    const name = names.get(readOf(table))
    return name === undefined ? node : { ...node, table: { ...table, name, options: { ...table.options, topic: topicOf(table) } } }
  }
  return names.size === 0 ? plan : renamed(plan)
}

export const scannedTables = (plan: Plan): TableDef[] => (plan.node === 'scan' ? [plan.table] : inputsOf(plan).flatMap(scannedTables))

/** Columns of a query's result by which its target keeps one row each; undefined if it keeps all. */
export function sinkKeyOf({ target }: Pick<ProjectQuery, 'target'>): number[] | undefined {
  if (target.kind === 'materializedTable') return [...target.table.primaryKey]
  return target.table.options.connector === 'upsert-kafka' ? sinkParts(target.table).key?.columns : undefined
}

/** Where rows are, for people. */
export interface Place {
  kind: 'table' | 'topic' | 'files' | 'other'
  name: string
}

/** Where a query's rows go. */
export const placeOf = ({ target }: ProjectQuery): Place =>
  target.kind === 'materializedTable' ? { kind: 'table', name: target.table.name } : placeOfTable(target.table)

/** Where the rows of a query come from, each place once. */
export function sourcesOf({ plan }: ProjectQuery): Place[] {
  const places = scannedTables(plan).map(placeOfTable)
  return places.filter(({ kind, name }, i) => places.findIndex((other) => other.kind === kind && other.name === name) === i)
}

function placeOfTable(table: TableDef): Place {
  if (isTopicTable(table)) return { kind: 'topic', name: topicOf(table) }
  const { connector = '', path = '' } = table.options
  return connector === 'filesystem' ? { kind: 'files', name: path } : { kind: 'other', name: connector }
}

export const LATE_TOPIC = 'millrace.late-rows.topic'

/** Where late rows of a query go, by source table: what its materialized table says, else what each source says. */
export function lateTopicsOf({ plan, target }: ProjectQuery): Record<string, string> | undefined {
  const own = target.kind === 'materializedTable' ? target.table.options[LATE_TOPIC] : undefined
  const tables = scannedTables(plan)
  const topics: Record<string, string> = {}
  for (const table of tables) {
    const topic = own ?? table.options[LATE_TOPIC]
    if (!topic) continue
    const reader = tables.find((source) => topicOf(source) === topic)
    if (reader) throw jobErrors('LATE_TOPIC_READ', { topic, table: reader.name })
    topics[table.name] = topic
  }
  return Object.keys(topics).length > 0 ? topics : undefined
}

/** What an option says of what it may say, the first unless it is there. @throws StreamError TABLE_OPTION_INVALID */
function choice<Values extends string>({ name, options }: TableDef, option: string, values: readonly [Values, Values]): Values {
  const value = options[option] ?? values[0]
  const found = values.find((one) => one === value)
  if (found !== undefined) return found
  throw jobErrors('TABLE_OPTION_INVALID', { table: name, option, value, expected: values.map((one) => `'${one}'`).join(' or ') })
}

/** How each table that plans of `withReadings` scan is read. @throws StreamError FILES_OPTION, TABLE_OPTION_INVALID and those of formats */
export function sourceSpecs(log: Log, plans: Plan[]): SourceSpec[] {
  const tables = new Map(plans.flatMap(scannedTables).map((table) => [table.name, table]))
  return [...tables.values()].map((table) => {
    if (table.options.connector === 'filesystem') throw jobErrors('FILES_OPTION', { table: table.name, reason: 'it cannot be read yet' })
    const topic = topicOf(table)
    return {
      table: table.name,
      topic,
      descriptor: log.descriptor(topic),
      ...sourceParts(table),
      onError: choice(table, 'millrace.on-error', ['dead-letter', 'fail']),
      startup: choice(table, 'scan.startup.mode', ['earliest-offset', 'latest-offset']),
      isolation: choice(table, 'properties.isolation.level', ['read_committed', 'read_uncommitted']),
    }
  })
}

/** Creates a table's topic where it does not exist yet. */
export async function declareTopic(log: Log, table: TableDef): Promise<void> {
  const { connector = 'kafka' } = table.options
  if (!connectors.includes(connector)) throw engineErrors('CONNECTOR_UNKNOWN', { connector, table: table.name })
  if (connector !== 'kafka' && connector !== 'upsert-kafka') return
  const topic = topicOf(table)
  if (log.topic(topic)) return
  const partitionCount = Number(table.options['millrace.partitions'] ?? 1)
  await log.createTopic(topic, { partitionCount, ...(connector === 'upsert-kafka' && { 'cleanup.policy': 'compact' }) })
}

interface FilesSinkOptions {
  id: string
  plan: Plan
  table: TableDef
  saved: SavedQuery | undefined
  report: ApplyReport
  projectFolder: string
  store: CheckpointStore
}

/** Makes the folder ready: what a durable checkpoint has is finished, all else that the query had begun is removed. */
export async function filesSink({ id, plan, table, saved, report, projectFolder, store }: FilesSinkOptions): Promise<SinkSpec> {
  const fail = (reason: string) => jobErrors('FILES_OPTION', { table: table.name, reason })
  const { path, format = 'json' } = table.options
  if (!path) throw fail("it has no 'path'")
  if (format !== 'json' && format !== 'csv' && format !== 'parquet') throw fail(`the format "${format}" cannot be written`)
  if (table.partitionedBy.length > 0) throw fail('PARTITIONED BY is not supported')
  if (plan.changelog !== 'append') throw jobErrors('SINK_NOT_UPDATABLE', { table: table.name, connector: 'filesystem' })
  const fields = table.columns.filter((column) => column.kind === 'physical').map(({ name, type }) => ({ name, type }))
  const problem = format === 'parquet' ? parquetProblem(fields) : undefined
  if (problem !== undefined) throw fail(problem)
  const folder = resolve(projectFolder, path.replace(/^file:\/\//, ''))
  const { disk } = store
  ensureFolders(disk, folder)
  const state = saved?.state.sink.kind === 'files' ? saved.state.sink : undefined
  const gone = state ? await finishFiles(disk, state) : []
  if (gone.length > 0) report.notices.push(`${id}: files that its checkpoint has are gone from ${folder}: ${gone.join(', ')}`)
  const undone = state ? setAside(disk, id, { ...state, folder }) : []
  if (undone.length > 0)
    report.notices.push(
      `${id} goes back to an older checkpoint: its later files in ${folder} are hidden, their rows come again: ${undone.join(', ')}`,
    )
  removeUnfinished(disk, folder, id)
  const fileBytesMax = memoryBytes(table.options['sink.rolling-policy.file-size']) ?? FILE_BYTES_MAX
  return { kind: 'files', folder, format, fields, options: table.options, fileBytesMax, firstFile: nextFileNumber(disk, folder, id) }
}
