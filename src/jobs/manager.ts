// Runs a project: its topics, queries and live tables, kept in step with its SQL files.
//
// Invariants
//   1. `apply` compares by query: one whose plan and target are the same as before goes on untouched; a changed one starts anew
//      from the beginning of its topics, with an empty live table; one that is gone is stopped.
//   2. A query that fails keeps its last rows readable, its error is shown, and nothing else stops.
//   3. A worker that dies is replaced; its queries start again from the log, with a growing pause.
//   4. What a query has written to a topic before a restart is not written again, where its result is append-only.
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { type ErrorBody, toStreamError } from '../base/index.ts'
import type { Batch, Field } from '../data/index.ts'
import type {
  DeadLetter,
  FromWorker,
  JobSpec,
  LateRecord,
  QueryInspection,
  QuerySpec,
  QueryStatus,
  SinkSpec,
  SourceSpec,
} from '../engine/index.ts'
import { engineErrors } from '../engine/index.ts'
import type { Log } from '../log/index.ts'
import { Catalog, inputsOf, type Plan, type TableDef } from '../sql/index.ts'
import { jobErrors } from './errors.ts'
import type { FileError, Project, ProjectQuery } from './project.ts'
import type { SinkPositions } from './sinkPositions.ts'
import { EngineWorkers } from './workers.ts'

/** Where the changes of materialized tables go: the view store, seen from here. */
export interface LiveTables {
  define(table: { name: string; fields: Field[]; primaryKey: number[]; comment?: string }): void
  drop(name: string): void
  /** Empties it; who watches is told why. */
  restore(name: string, empty: { rows: []; epoch: number }, reason: string): void
  apply(name: string, batch: Batch, meta: { epoch: number; originMs?: number }): void
}

export interface ManagerOptions {
  log: Log
  tables: LiveTables
  sinkPositions: SinkPositions
  workerCount: number
  timeZone: string
  /** Rows that could not be read or computed. */
  onDeadLetters(letters: DeadLetter[]): void
  /** Late rows of a query for their topic. `run` is another one each time the query begins anew. Until the promise is done, the query waits. */
  onLateRows(query: string, run: string, topic: string, rows: LateRecord[]): Promise<void>
  onPrint(table: string, batch: Batch, fields: Field[]): void
  onQueryFailed(query: string, error: ErrorBody): void
  now(): number
}

/** A query of a person who is looking: its rows go to a callback, and it leaves nothing behind. */
export interface AdhocOptions {
  /** Read what is in the topics now, then end; else go on until stopped. */
  bounded: boolean
  /** Where its topics are read from, whatever its tables say. */
  startup?: SourceSpec['startup']
  onChanges(batch: Batch): void
  onEnd(error?: ErrorBody): void
}

interface Running {
  query: ProjectQuery
  jobId: string
  state: 'starting' | 'running' | 'failed' | 'stopped'
  error?: ErrorBody
  status?: QueryStatus
  rowsPerSecond: { in: number; out: number }
}

export interface QueryInsight {
  id: string
  state: Running['state']
  error?: ErrorBody
  changelog: Plan['changelog']
  /** Absent if its worker does not answer, or never began it. */
  live?: QueryInspection
}

const RESTART_PAUSE_MAX_MS = 30_000
const connectors = ['kafka', 'upsert-kafka', 'print', 'blackhole']

export interface ApplyReport {
  started: string[]
  kept: string[]
  stopped: string[]
  errors: FileError[]
}

export class JobManager {
  private readonly options: ManagerOptions
  private readonly workers: EngineWorkers
  private readonly running = new Map<string, Running>()
  private readonly adhoc = new Map<string, AdhocOptions>()
  private project: Project | undefined
  private jobCount = 0
  private epoch = 0
  /** Live tables that are defined. */
  private readonly liveTables = new Set<string>()
  private restartCount = 0
  private closed = false
  private restartedMs = Number.NEGATIVE_INFINITY
  /** One `apply` at a time: an edit of the project may meet the restart of a job. */
  private applied: Promise<unknown> = Promise.resolve()
  private polled: { atMs: number; rows: Map<string, { in: number; out: number }> } = { atMs: 0, rows: new Map() }

  constructor(options: ManagerOptions) {
    this.options = options
    this.workers = new EngineWorkers(options.workerCount, {
      message: (message) => this.onMessage(message),
      died: (jobs, reason) => void this.restart(jobs, reason),
    })
  }

  /** Makes what runs equal to what the project says. */
  apply(project: Project): Promise<ApplyReport> {
    const report = this.applied.then(() => this.applyAlone(project))
    this.applied = report.catch(() => {})
    return report
  }

  /** What `apply` would do: nothing is changed, and what only a start finds out is not known. */
  preview(project: Project): ApplyReport {
    const fates = [...this.running].map(([id, { query }]) => ({ id, fate: fateOf(query, project) }))
    const kept = fates.filter(({ fate }) => fate === 'kept').map(({ id }) => id)
    return {
      started: project.queries.filter(({ id }) => !kept.includes(id)).map(({ id }) => id),
      kept,
      stopped: fates.filter(({ fate }) => fate === 'gone').map(({ id }) => id),
      errors: project.errors,
    }
  }

  private async applyAlone(project: Project): Promise<ApplyReport> {
    const report: ApplyReport = { started: [], kept: [], stopped: [], errors: [...project.errors] }
    for (const table of project.tables) await this.guarded(project, report, table.name, () => this.declareTopic(table))
    for (const [id, { query }] of [...this.running]) {
      const fate = fateOf(query, project)
      if (fate === 'kept') {
        report.kept.push(id)
        continue
      }
      this.stop(id)
      if (fate === 'gone') report.stopped.push(id)
    }
    for (const name of this.liveTables) if (!this.running.has(name) && !project.queries.some(({ id }) => id === name)) this.dropTable(name)
    this.project = project
    for (const file of project.files) {
      const queries = project.queries.filter((query) => query.file === file.name && !this.running.has(query.id))
      if (queries.length === 0) continue
      const specs: QuerySpec[] = []
      for (const query of queries)
        await this.guarded(project, report, query.id, async () => {
          // What cannot be read stops this query alone.
          this.sourcesOf([query.plan])
          specs.push(await this.specOf(query))
          report.started.push(query.id)
        })
      if (specs.length > 0) this.startJob(specs, queries)
    }
    return report
  }

  private async guarded(project: Project, report: ApplyReport, name: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      const file = project.queries.find((query) => query.id === name)?.file ?? project.files[0]?.name ?? ''
      report.errors.push({ file, error: toStreamError(error) })
    }
  }

  private startJob(queries: QuerySpec[], projectQueries: ProjectQuery[]): void {
    const jobId = `job-${++this.jobCount}`
    for (const { id } of queries) {
      const query = projectQueries.find((candidate) => candidate.id === id)!
      this.running.set(id, { query, jobId, state: 'starting', rowsPerSecond: { in: 0, out: 0 } })
    }
    this.workers.start({ id: jobId, queries, sources: this.sourcesOf(queries.map(({ plan }) => plan)), timeZone: this.timeZone })
    for (const { id } of queries) this.running.get(id)!.state = 'running'
  }

  private stop(id: string): void {
    const entry = this.running.get(id)
    if (!entry) return
    this.running.delete(id)
    this.workers.removeQuery(entry.jobId, id)
    if (![...this.running.values()].some(({ jobId }) => jobId === entry.jobId)) this.workers.stop(entry.jobId)
    this.dropTable(id)
  }

  private dropTable(name: string): void {
    if (this.liveTables.delete(name)) this.options.tables.drop(name)
  }

  private async specOf(query: ProjectQuery): Promise<QuerySpec> {
    const lateTopics = lateTopicsOf(query)
    return { id: query.id, name: query.id, plan: query.plan, sink: await this.sinkOf(query), ...(lateTopics && { lateTopics }) }
  }

  private async sinkOf({ id, plan, target }: ProjectQuery): Promise<SinkSpec> {
    if (target.kind === 'materializedTable') {
      const { name, fields, primaryKey, comment } = target.table
      // After the death of its worker a query reads all over again.
      if (this.liveTables.has(name)) this.options.tables.restore(name, { rows: [], epoch: this.epoch }, 'its query starts anew')
      else this.options.tables.define({ name, fields, primaryKey, comment })
      this.liveTables.add(name)
      return { kind: 'view', name }
    }
    const { table } = target
    const { connector = 'kafka' } = table.options
    if (connector === 'blackhole') return { kind: 'blackhole' }
    if (connector === 'print') return { kind: 'collect' }
    const upsert = connector === 'upsert-kafka'
    if (!upsert && plan.changelog !== 'append') throw jobErrors('SINK_NOT_UPDATABLE', { table: table.name, connector })
    if (upsert && !table.primaryKey) throw jobErrors('SINK_KEY_MISSING', { table: table.name })
    const topic = topicOf(table)
    const fields = table.columns.filter((column) => column.kind === 'physical').map(({ name, type }) => ({ name, type }))
    const format = table.options.format ?? table.options['value.format'] ?? 'json'
    if (format !== 'json') throw jobErrors('SINK_FORMAT_UNSUPPORTED', { table: table.name, format })
    const keyFormat = keyFormatOf(table)
    const keyFields = (table.options['key.fields'] ?? '').split(';').filter(Boolean)
    const keyColumns = upsert
      ? table.primaryKey!.map((ordinal) => fields.findIndex(({ name }) => name === table.columns[ordinal].name))
      : keyFields.map((key) => fields.findIndex(({ name }) => name === key))
    const ends = this.options.log.topic(topic)!.partitions.map(({ endOffset }) => endOffset)
    const skip = upsert || plan.changelog !== 'append' ? ends.map(() => 0) : await this.options.sinkPositions.written(id, plan, topic, ends)
    return {
      kind: 'topic',
      table: table.name,
      topic,
      format: 'json',
      keyColumns,
      upsert,
      skip,
      partitionCount: ends.length,
      keyFormat,
      fields,
    }
  }

  private sourcesOf(plans: Plan[]): SourceSpec[] {
    const tables = new Map<string, TableDef>()
    for (const plan of plans) for (const table of scannedTables(plan)) tables.set(table.name, table)
    return [...tables.values()].map((table) => {
      const topic = topicOf(table)
      const format = formatOf(table)
      const upsert =
        table.options.connector === 'upsert-kafka'
          ? ({ keyFormat: keyFormatOf(table), keyColumn: table.columns[table.primaryKey?.[0] ?? 0].name } as const)
          : undefined
      return {
        table: table.name,
        topic,
        upsert,
        descriptor: this.options.log.descriptor(topic),
        format,
        formatOptions: table.options,
        onError: table.options['millrace.on-error'] === 'fail' ? 'fail' : 'dead-letter',
        startup: table.options['scan.startup.mode'] === 'latest-offset' ? 'latest-offset' : 'earliest-offset',
      }
    })
  }

  /** Creates a table's topic where it does not exist yet. */
  private async declareTopic(table: TableDef): Promise<void> {
    const { connector = 'kafka' } = table.options
    if (!connectors.includes(connector)) throw engineErrors('CONNECTOR_UNKNOWN', { connector, table: table.name })
    if (connector !== 'kafka' && connector !== 'upsert-kafka') return
    const topic = topicOf(table)
    if (this.options.log.topic(topic)) return
    const partitionCount = Number(table.options['millrace.partitions'] ?? 1)
    await this.options.log.createTopic(topic, { partitionCount, ...(connector === 'upsert-kafka' && { 'cleanup.policy': 'compact' }) })
  }

  private onMessage(message: FromWorker): void | Promise<void> {
    switch (message.type) {
      case 'changes': {
        const adhoc = this.adhoc.get(message.jobId)
        if (adhoc) return adhoc.onChanges(message.batch)
        const entry = this.running.get(message.queryId)
        if (entry?.jobId !== message.jobId) return
        const { target, plan } = entry.query
        if (target.kind === 'materializedTable') this.applyChanges(entry, message)
        else this.options.onPrint(target.table.name, message.batch, plan.fields)
        return
      }
      case 'records':
        return this.append(message)
      case 'deadLetters':
        this.options.onDeadLetters(message.letters)
        return
      case 'late':
        return this.keepLate(message)
      case 'finished':
        this.endAdhoc(message.jobId)
        return
      case 'failed':
        if (this.adhoc.has(message.jobId)) {
          this.workers.stop(message.jobId)
          this.endAdhoc(message.jobId, message.error)
          return
        }
        this.failed(message.queryId, message.jobId, message.error)
        return
      default:
    }
  }

  private applyChanges(entry: Running, { queryId, jobId, batch, originMs }: FromWorker & { type: 'changes' }): void {
    try {
      this.options.tables.apply(queryId, batch, { epoch: ++this.epoch, originMs })
    } catch (error) {
      this.workers.removeQuery(jobId, queryId)
      this.failed(queryId, entry.jobId, toStreamError(error).toJSON())
    }
  }

  /** Appends a query's output; while the log says "later" it is tried again, and the worker waits. */
  private async append(message: FromWorker & { type: 'records' }): Promise<void> {
    for (let pauseMs = 50; this.running.get(message.queryId)?.jobId === message.jobId; pauseMs = Math.min(pauseMs * 2, 5_000)) {
      try {
        await this.options.log.append(message.topic, message.partition, message.bytes, { recordCount: message.recordCount })
        return
      } catch (error) {
        const failure = toStreamError(error)
        if (failure.retry === 'never') {
          this.failed(message.queryId, message.jobId, failure.toJSON())
          return
        }
        await sleep(pauseMs)
      }
    }
  }

  private async keepLate({ queryId, jobId, topic, rows }: FromWorker & { type: 'late' }): Promise<void> {
    if (this.running.get(queryId)?.jobId !== jobId) return
    try {
      await this.options.onLateRows(queryId, jobId, topic, rows)
    } catch (error) {
      this.workers.removeQuery(jobId, queryId)
      this.failed(queryId, jobId, toStreamError(error).toJSON())
    }
  }

  /** Runs a query beside the project's. Returns what stops it. */
  runAdhoc(plan: Plan, options: AdhocOptions): () => void {
    const jobId = `adhoc-${++this.jobCount}`
    const { startup } = options
    const sources = this.sourcesOf([plan]).map((source) => (startup ? { ...source, startup } : source))
    this.adhoc.set(jobId, options)
    this.workers.start({
      id: jobId,
      queries: [{ id: jobId, name: jobId, plan, sink: { kind: 'collect' } }],
      sources,
      timeZone: this.timeZone,
      bounded: options.bounded,
    })
    return () => {
      this.adhoc.delete(jobId)
      this.workers.stop(jobId)
    }
  }

  private endAdhoc(jobId: string, error?: ErrorBody): void {
    const adhoc = this.adhoc.get(jobId)
    this.adhoc.delete(jobId)
    adhoc?.onEnd(error)
  }

  /** The project's `SET 'table.local-time-zone'`, else the configuration's. */
  get timeZone(): string {
    const zone = this.project?.settings.get('table.local-time-zone')
    return zone === undefined || zone === 'default' ? this.options.timeZone : zone
  }

  /** Names that SQL typed by a person may use. */
  get catalog(): Catalog {
    return this.project?.catalog ?? new Catalog()
  }

  private failed(queryId: string, jobId: string, error: ErrorBody): void {
    const entry = this.running.get(queryId)
    if (!entry || entry.jobId !== jobId) return
    entry.state = 'failed'
    entry.error = error
    this.options.onQueryFailed(queryId, error)
  }

  private async restart(jobs: JobSpec[], reason: string): Promise<void> {
    for (const job of jobs) {
      const error = engineErrors('JOB_WORKER_DIED', { job: job.id, reason }).toJSON()
      if (this.adhoc.has(job.id)) this.endAdhoc(job.id, error)
      for (const { id } of job.queries) this.failed(id, job.id, error)
    }
    const nowMs = this.options.now()
    if (nowMs - this.restartedMs > 4 * RESTART_PAUSE_MAX_MS) this.restartCount = 0
    this.restartedMs = nowMs
    await sleep(Math.min(RESTART_PAUSE_MAX_MS, 250 * 2 ** this.restartCount++), undefined, { ref: false })
    if (this.closed) return
    for (const job of jobs) for (const { id } of job.queries) if (this.running.get(id)?.jobId === job.id) this.running.delete(id)
    const { project } = this
    if (!project) return
    const { errors } = await this.apply(project)
    for (const { file, error } of errors.slice(project.errors.length)) this.options.onQueryFailed(file, error.toJSON())
  }

  /** What the door needs to know of a topic: the columns that its first table declares, or the one marked 'millrace.ingest'. */
  tableOfTopic(topic: string): TableDef | undefined {
    const tables = (this.project?.tables ?? []).filter((table) => isTopicTable(table) && topicOf(table) === topic)
    return tables.find((table) => table.options['millrace.ingest'] === 'true') ?? tables[0]
  }

  /** Where a declared table keeps its rows; undefined for one that is no topic. */
  topicOfTable(name: string): string | undefined {
    const table = this.project?.tables.find((candidate) => candidate.name === name)
    return table && isTopicTable(table) ? topicOf(table) : undefined
  }

  /** Who depends on a topic: tables that declare it, and running queries that read it or write to it, by their ids. */
  usersOf(topic: string): { tables: string[]; readers: string[]; writers: string[] } {
    const declares = (table: TableDef) => isTopicTable(table) && topicOf(table) === topic
    const writesTo = ({ target }: ProjectQuery) => target.kind !== 'materializedTable' && declares(target.table)
    const queries = [...this.running]
    return {
      tables: (this.project?.tables ?? []).filter(declares).map(({ name }) => name),
      readers: queries.filter(([, { query }]) => scannedTables(query.plan).some(declares)).map(([id]) => id),
      writers: queries.filter(([, { query }]) => writesTo(query)).map(([id]) => id),
    }
  }

  declaredTopics(): string[] {
    return [...new Set((this.project?.tables ?? []).filter(isTopicTable).map(topicOf))]
  }

  /** Asks the workers for rates, watermarks and counts; call it about once a second. */
  async poll(): Promise<void> {
    const { queries } = await this.workers.status()
    const nowMs = this.options.now()
    const seconds = Math.max(0.001, (nowMs - this.polled.atMs) / 1_000)
    const rows = new Map<string, { in: number; out: number }>()
    for (const status of queries) {
      const entry = this.running.get(status.queryId)
      if (entry?.jobId !== status.jobId) continue
      entry.status = status
      const before = this.polled.rows.get(`${status.jobId}/${status.queryId}`) ?? { in: 0, out: 0 }
      entry.rowsPerSecond = { in: (status.rowsIn - before.in) / seconds, out: (status.rowsOut - before.out) / seconds }
      rows.set(`${status.jobId}/${status.queryId}`, { in: status.rowsIn, out: status.rowsOut })
    }
    this.polled = { atMs: nowMs, rows }
  }

  /** All queries with what the last `poll` brought. */
  queries() {
    return [...this.running.entries()].map(([id, { query, state, error, status, rowsPerSecond }]) => ({
      id,
      name: id,
      state,
      error,
      rowsIn: status?.rowsIn ?? 0,
      rowsOut: status?.rowsOut ?? 0,
      rowsInPerSecond: rowsPerSecond.in,
      rowsOutPerSecond: rowsPerSecond.out,
      lateRows: status?.lateRows ?? 0,
      watermarkMs: status && Number.isFinite(status.watermarkMs) ? status.watermarkMs : undefined,
      sql: query.sql,
    }))
  }

  /** A query looked at closely, found by its id or by the table that it writes to. */
  async inspect(name: string): Promise<QueryInsight | undefined> {
    const id = this.running.has(name) ? name : `insert_into_${name}`
    const entry = this.running.get(id)
    if (!entry) return undefined
    const { query, jobId, state, error } = entry
    return { id, state, error, changelog: query.plan.changelog, live: await this.workers.inspect(jobId, id) }
  }

  get errors(): FileError[] {
    return this.project?.errors ?? []
  }

  close(): Promise<void> {
    this.closed = true
    return this.workers.close()
  }
}

/** What becomes of a running query under another text of the project. While a file is broken its queries go on: an edit in progress takes nothing down. */
function fateOf(query: ProjectQuery, project: Project): 'kept' | 'changed' | 'gone' {
  const next = project.queries.find((candidate) => candidate.id === query.id)
  if (next) return isDeepStrictEqual([next.plan, next.target], [query.plan, query.target]) ? 'kept' : 'changed'
  return project.errors.some(({ file }) => file === query.file) ? 'kept' : 'gone'
}

const isTopicTable = (table: TableDef): boolean => ['kafka', 'upsert-kafka'].includes(table.options.connector ?? 'kafka')
/** @throws StreamError FORMAT_UNKNOWN */
export function formatOf({ name, options }: TableDef): SourceSpec['format'] {
  const format = options.format ?? options['value.format'] ?? 'json'
  if (format !== 'json' && format !== 'csv' && format !== 'raw') throw engineErrors('FORMAT_UNKNOWN', { format, table: name })
  return format
}
const keyFormatOf = (table: TableDef): 'json' | 'raw' => (table.options['key.format'] === 'raw' ? 'raw' : 'json')
export const topicOf = (table: TableDef): string => table.options.topic ?? table.name

const scannedTables = (plan: Plan): TableDef[] => (plan.node === 'scan' ? [plan.table] : inputsOf(plan).flatMap(scannedTables))

const LATE_TOPIC = 'millrace.late-rows.topic'

/** Where late rows of a query go, by source table: what its materialized table says, else what each source says. */
function lateTopicsOf({ plan, target }: ProjectQuery): Record<string, string> | undefined {
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
