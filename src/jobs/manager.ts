// Runs a project: its topics, queries and live tables, kept in step with its SQL files.
//
// Invariants
//   1. `apply` compares by query: one whose plan and target are the same as before goes on untouched; one that is gone is stopped.
//   2. A query that starts goes on from the newest checkpoint that has it. If it has changed since, a materialized table is computed anew
//      from the beginning of its topics; any other goes on with the state that fits, and is refused if some does not, unless that is allowed.
//   3. A query that fails keeps its last rows readable, its error is shown, and nothing else stops.
//   4. A worker that dies is replaced; its queries go on from their checkpoint, with a growing pause.
//   5. Queries of a file that start together from the same checkpoint, or all anew, with the same parallelism, are one job: they read their
//      topics together. Those to which a table of one name is another one (altered or declared anew between them, read with a hint) are not.
//   6. Nobody waits for a query that holds its thread up: the thread ends, and its queries go on from their last checkpoint.
//   7. A query that somebody stopped stays so, over restarts too; its rows stay readable, and it goes on from the checkpoint that it was stopped at.
//
// Here is a query's life: kept, changed, stopped, failed, restarted; and who asks. How one starts is in `jobStarts.ts`, how it begins again in
// `jobRestarts.ts`, what can be seen of those that run in `runningQueries.ts`, queries of people who are looking in `adhocJobs.ts`.
// Longer than other files because whoever asks anything of the project's queries asks here, and all that changes one takes its turn with the rest.
import { join } from 'node:path'
import { type ErrorBody, reviveError, type StreamError, toStreamError } from '../base/index.ts'
import type { Batch, Field } from '../data/index.ts'
import type { DeadLetter, FromWorker, LateRecord, Parallelism, StateReading, StateRequest } from '../engine/index.ts'
import { Memory, PARALLELISM_MAX, removeSpilled, reviveCheckpointError } from '../engine/index.ts'
import { realDisk } from '../log/index.ts'
import { Catalog, type Plan, settingNotices, stableText, type TableDef } from '../sql/index.ts'
import { AdhocJobs, type AdhocOptions, type AdhocRun, isAdhoc } from './adhocJobs.ts'
import { checkpointSettings, removeSuperseded } from './checkpointFolders.ts'
import { type CheckpointRecord, Checkpoints } from './checkpoints.ts'
import { CheckpointWriter } from './checkpointWriter.ts'
import { jobErrors } from './errors.ts'
import { JobRestarts } from './jobRestarts.ts'
import { guarded, JobStarts } from './jobStarts.ts'
import { Marks } from './marks.ts'
import { showMemory } from './memory.ts'
import { type ParityMark, parityOf } from './parity.ts'
import { dropNotices, type FileError, type Project, type ProjectQuery, type SqlFile, tableErrors } from './project.ts'
import { type ConfigParts, type QueryConfig, queryConfig } from './queryConfig.ts'
import { showQueries } from './queryMetrics.ts'
import { QuerySinks, type SinkOptions } from './querySinks.ts'
import { type QueryCheckpoints, type QueryInsight, type Running, RunningQueries } from './runningQueries.ts'
import { SavedStates, type SavepointInfo, savepointInfo } from './savedStates.ts'
import { persistently } from './sinkCommitters.ts'
import { declareTopic, isExactlyOnceTopic, isTopicTable, type Place, scannedTables, sourceSpecs, sourcesOf, topicOf } from './tables.ts'
import { lettersOwnerOf } from './topicClaims.ts'
import { APART_THREADS_MAX, EngineWorkers } from './workers.ts'

export interface ManagerOptions extends SinkOptions {
  dataFolder: string
  /** Queries go on from this savepoint instead of their checkpoints. */
  savepoint?: string
  /** State of changed queries that fits nowhere any more may be dropped. */
  allowsDroppedState: boolean
  /** Phases of checkpoints to stop at, for tests. */
  fault?: string
  workerCount: number
  /** A query that holds its thread up for so long fails; 60 s unless said. */
  stallTimeoutMs?: number
  /** For state of queries, live tables and buffers together. */
  memoryBytes: number
  /** Where no SET 'parallelism.default' says otherwise. */
  parallelism: number
  timeZone: string
  /** Where these two come from. */
  origins?: { [K in 'parallelism' | 'timeZone']: ConfigParts['configured'][K]['source'] }
  /** Rows that could not be read or computed. */
  onDeadLetters(letters: DeadLetter[]): void
  /**
   * Late rows of a query for their topic. `run` is another one each time the query begins; from `fromOffset` on the topic may have rows that the
   * query meets again. Until the promise is done, the query waits.
   */
  onLateRows(query: string, run: string, topic: string, rows: LateRecord[], fromOffset: number): Promise<void>
  onPrint(table: string, batch: Batch, fields: Field[]): void
  /** A checkpoint cannot be used: an older one is, if there is one. */
  onCheckpointDamaged(error: StreamError): void
  onQueryFailed(query: string, error: ErrorBody): void
  /** What runs is what the project says now. */
  onApplied(report: ApplyReport, project: Project, cause: Cause | undefined): void
  now(): number
}

/** Who or what had queries begin or stop. */
export interface Cause {
  by: string
  /** It is about this one; others that ran together with it begin again for it. Absent: about all. */
  query?: string
}

export interface ApplyReport {
  started: string[]
  kept: string[]
  stopped: string[]
  errors: FileError[]
  /** Queries that went on from a checkpoint, and its id. */
  restored: { query: string; checkpointId: number }[]
  /** What people should know of how queries started: state that is computed anew, damaged checkpoints, records that were gone. */
  notices: string[]
}

export class JobManager {
  private readonly options: ManagerOptions
  private readonly workers: EngineWorkers
  /** Of the process: what is in memory, and may be. */
  readonly memory: Memory
  private readonly running: RunningQueries
  private readonly starts: JobStarts
  private readonly adhoc: AdhocJobs
  private readonly restarts: JobRestarts
  private project: Project | undefined
  private readonly stopped: Marks<{ stoppedMs: number }>
  /** In how many threads queries were told to run, one by one; it goes before the project's `parallelism.default`. */
  private readonly scaled: Marks<{ parallelism: number }>
  private closed = false
  /** One `apply` at a time: an edit of the project may meet the restart of a job. */
  private applied: Promise<unknown> = Promise.resolve()
  private readonly checkpoints: Checkpoints
  private readonly writer: CheckpointWriter
  private readonly saved: SavedStates
  private readonly sinks: QuerySinks

  constructor(options: ManagerOptions) {
    this.options = options
    // First: where this throws no thread has been started.
    this.saved = new SavedStates(options.store, options.log, options.savepoint, options.onCheckpointDamaged)
    this.sinks = new QuerySinks(options, this.saved)
    this.stopped = new Marks(options.log, '__millrace_stopped_queries', options.now)
    this.scaled = new Marks(options.log, '__millrace_query_parallelism', options.now)
    const spillFolder = join(options.dataFolder, 'spill')
    removeSpilled(realDisk, spillFolder)
    this.memory = new Memory(Memory.budget(options.memoryBytes, Math.max(options.workerCount, PARALLELISM_MAX) + APART_THREADS_MAX))
    showMemory(this.memory)
    showQueries(this)
    this.workers = new EngineWorkers(
      options.workerCount,
      {
        message: (message) => this.onMessage(message),
        died: (jobs, death) => this.restarts.died(jobs, death),
      },
      { memory: this.memory, folder: spillFolder, stallTimeoutMs: options.stallTimeoutMs },
    )
    this.writer = new CheckpointWriter({ dataFolder: options.dataFolder, fault: options.fault })
    const [faultPoint, faultCount] = options.fault?.split(':') ?? []
    let faultsLeft = Number(faultCount)
    this.checkpoints = new Checkpoints({
      writer: this.writer,
      lastId: options.store.lastId(),
      request: (jobId, checkpointId, isLast) => this.workers.tell(jobId, { type: 'checkpoint', jobId, checkpointId, isLast }),
      settled: (jobId, isDurable) => this.workers.tell(jobId, { type: 'checkpointSettled', jobId, isDurable }),
      onUncertain: (jobId, error) => this.restarts.restartJob(jobId, error),
      onFailed: (job, error) => options.onCheckpointFailed(job, error),
      onFirst: () => removeSuperseded(options.store, this.checkpoints),
      fault: (point) => {
        if (point === faultPoint && --faultsLeft === 0) process.kill(process.pid, 'SIGKILL')
      },
      now: options.now,
    })
    this.adhoc = new AdhocJobs(options.log, this.workers)
    this.running = new RunningQueries(this.workers, this.checkpoints, options.now)
    const { workers, checkpoints, saved, sinks, running } = this
    this.restarts = new JobRestarts({
      ...{ options, workers, checkpoints, saved, running, adhoc: this.adhoc },
      failed: (queryId, jobId, error) => this.failed(queryId, jobId, error),
      apply: () => this.inTurn(async (project) => (await this.applyAlone(project)).errors.slice(project.errors.length)),
      isClosed: () => this.closed,
    })
    const isSuspect = (id: string) => this.restarts.isSuspect(id)
    this.starts = new JobStarts({ options, workers, checkpoints, saved, sinks, running, isSuspect })
  }

  /** Makes what runs equal to what the project says. @param by  who asked for it */
  async apply(project: Project, by: string): Promise<ApplyReport> {
    const applied = this.applied.then(() => this.applyAlone(project, { by }))
    this.applied = applied.catch(() => {})
    const report = await applied
    // A query over such a table has told its error already.
    const isTold = ({ error }: FileError) => report.errors.some((told) => told.error.message === error.message)
    return { ...report, errors: [...report.errors, ...tableErrors(project).filter((one) => !isTold(one))] }
  }

  /** What `apply` would do: nothing is changed, and what only a start finds out is not known. */
  preview(project: Project): ApplyReport {
    const fates = [...this.running].map(([id, entry]) => ({ id, fate: this.fateOf(entry, project) }))
    const kept = fates.filter(({ fate }) => fate === 'kept').map(({ id }) => id)
    return {
      started: project.queries.filter(({ id }) => !kept.includes(id)).map(({ id }) => id),
      kept,
      stopped: fates.filter(({ fate }) => fate === 'gone').map(({ id }) => id),
      errors: [...project.errors, ...tableErrors(project)],
      restored: [],
      notices: [],
    }
  }

  /** @param stoppedByHand  ids of queries that this is about, for the report */
  private async applyAlone(project: Project, cause?: Cause, stoppedByHand: string[] = []): Promise<ApplyReport> {
    const report: ApplyReport = { started: [], kept: [], stopped: stoppedByHand, errors: [...project.errors], restored: [], notices: [] }
    for (const table of project.tables) await guarded(project, report, table.name, () => declareTopic(this.options.log, table))
    // A hint of an INSERT may have another topic.
    for (const { id, target } of project.queries)
      if (target.kind === 'insert' && !project.tables.includes(target.table))
        await guarded(project, report, id, () => declareTopic(this.options.log, target.table))
    const stopped = await this.stopped.all()
    this.starts.scales = await this.scaled.all()
    if (project.errors.length === 0)
      for (const marks of [this.stopped, this.scaled]) await marks.keepOnly((id) => project.queries.some((query) => query.id === id))
    for (const [id, entry] of [...this.running]) {
      const { query, jobId } = entry
      // Its thread has been ended for another.
      if (this.running.get(id) !== entry) continue
      const fate = this.fateOf(entry, project)
      if (fate === 'kept') {
        report.kept.push(id)
        // Its text may have moved, or have other comments.
        entry.query = project.queries.find((next) => next.id === id) ?? query
        continue
      }
      // What it has put out so far is kept, and a changed one goes on from there.
      const goesOn = query.target.kind === 'insert' || (fate === 'changed' && fateOf(query, project) === 'kept')
      if (goesOn) await this.takeOrEnd(jobId, 'change')
      await this.stop(id, fate !== 'gone')
      // It is another one now.
      this.restarts.forgive(id)
      if (fate === 'gone') report.stopped.push(id)
    }
    report.kept = report.kept.filter((id) => this.running.has(id))
    this.sinks.dropTables((name) => !this.running.has(name) && !project.queries.some(({ id }) => id === name))
    this.project = project
    report.notices.push(...dropNotices(project), ...settingNotices(project.settings))
    for (const [jobId, entries] of Map.groupBy(this.running.values(), (entry) => entry.jobId))
      this.checkpoints.configure(jobId, this.checkpointSettingsOf(entries))
    await this.starts.start(project, stopped, report)
    for (const problem of this.saved.problems()) report.notices.push(problem.message)
    this.options.onApplied(report, project, cause)
    return report
  }

  /**
   * Stops a query with a checkpoint, until `start`. Queries that run in the same job go on from that checkpoint in a job of their own, so that
   * the stopped one's is kept.
   *
   * @returns its id; undefined if there is none of that name
   * @throws StreamError CHECKPOINT_FAILED: it runs on
   */
  stopQuery(name: string, by: string): Promise<string | undefined> {
    return this.inTurn(async (project) => {
      const id = idOf(project, name)
      if (id === undefined) return undefined
      const { jobId, state } = this.running.get(id) ?? { jobId: '', state: 'failed' }
      if (state === 'stopped') return id
      const { error } = await this.takeOrEnd(jobId, 'stop')
      if (error) throw reviveCheckpointError(error)
      await this.stopped.set(id, { stoppedMs: this.options.now() })
      const mates = [...this.running.values()].filter((one) => one.jobId === jobId)
      for (const mate of mates) this.running.delete(mate.query.id)
      this.workers.stop(jobId)
      await this.checkpoints.remove(jobId, true)
      await this.applyAlone(project, { by, query: id }, [id])
      return id
    })
  }

  /**
   * Starts a query that is stopped or has failed, from its checkpoint.
   *
   * @param withoutState  begins anew instead, also one that runs: a table is computed again from the beginning of its topics, and what an INSERT
   *   wrote is written once more
   * @returns its id; undefined if there is none of that name
   * @throws StreamError  what hinders its start
   */
  startQuery(name: string, withoutState: boolean, by: string): Promise<string | undefined> {
    return this.inTurn(async (project) => {
      const id = idOf(project, name)
      if (id === undefined) return undefined
      const state = this.running.get(id)?.state
      if ((state === 'running' || state === 'starting') && !withoutState) return id
      await this.stopped.set(id, undefined)
      this.restarts.forgive(id)
      if (withoutState) this.starts.fresh.add(id)
      if (state === 'stopped') this.running.delete(id)
      else await this.stop(id, !withoutState)
      const { errors } = await this.applyAlone(project, { by, query: id })
      // From now on it is this beginning that a restart goes on from.
      const { jobId } = this.running.get(id) ?? { jobId: '' }
      if (withoutState) await this.takeOrEnd(jobId, 'change')
      this.starts.fresh.delete(id)
      const { file } = project.queries.find((query) => query.id === id)!
      const problem = errors.slice(project.errors.length).find((one) => one.file === file)
      if (problem && !this.running.has(id)) throw problem.error
      return id
    })
  }

  /**
   * Has a query run in another number of threads from now on, over restarts too: it takes a checkpoint and goes on from there, its state dealt out anew.
   *
   * @param parallelism  undefined: as the project says, from now on
   * @returns its id; undefined if there is none of that name
   * @throws StreamError QUERY_UNDIVIDED; CHECKPOINT_FAILED: it runs on as it did; what hinders its start
   */
  rescaleQuery(name: string, parallelism: number | undefined, by: string): Promise<string | undefined> {
    return this.inTurn(async (project) => {
      const id = idOf(project, name)
      if (id === undefined) return undefined
      const query = project.queries.find((one) => one.id === id)!
      const { reason } = this.starts.divided(query, parallelism ?? 1)
      if (reason !== undefined) throw jobErrors('QUERY_UNDIVIDED', { query: id, reason })
      // Without it, what an INSERT wrote since the one before would be written once more, or all of it.
      const { error } = await this.takeOrEnd(this.running.get(id)?.jobId ?? '', 'change')
      if (error) throw reviveCheckpointError(error)
      await this.scaled.set(id, parallelism === undefined ? undefined : { parallelism })
      const { errors } = await this.applyAlone(project, { by, query: id })
      const problem = errors.slice(project.errors.length).find((one) => one.file === query.file)
      if (problem && !this.running.has(id)) throw problem.error
      return id
    })
  }

  /** Works on the project that is the newest once all that was asked for before is done; undefined while there is none. */
  private inTurn<T>(work: (project: Project) => Promise<T>): Promise<T | undefined> {
    const done = this.applied.then(() => this.project && work(this.project))
    this.applied = done.catch(() => {})
    return done
  }

  /** Checkpoints that were passed over because they are damaged, and are still there. */
  damagedCheckpoints(): StreamError[] {
    return this.saved.problems()
  }

  /**
   * A checkpoint of a job, if it takes any, for somebody who waits: for a thread that is held up nobody does, it ends with all jobs in it. They are begun
   * again, from the checkpoints that they have, by the next `applyAlone`.
   */
  private async takeOrEnd(jobId: string, cause: CheckpointRecord['cause'], isLast = false): Promise<{ error?: ErrorBody }> {
    if (!this.checkpoints.has(jobId)) return {}
    const done = new AbortController()
    const held = this.workers.untilHeldUp(jobId, done.signal).then((holder) => ({ holder, error: undefined }))
    const taken = this.checkpoints.take(jobId, cause, isLast).then(({ error }) => ({ holder: undefined, error }))
    const { holder, error } = await Promise.race([held, taken]).finally(() => done.abort())
    if (holder) await this.restarts.endThread(jobId, holder)
    return { error }
  }

  private async stop(id: string, goesOn: boolean): Promise<void> {
    const entry = this.running.get(id)
    if (!entry) return
    const holder = this.workers.heldUp(entry.jobId)
    if (holder) await this.restarts.endThread(entry.jobId, holder)
    this.running.delete(id)
    this.workers.removeQuery(entry.jobId, id)
    if (![...this.running.values()].some(({ jobId }) => jobId === entry.jobId)) this.workers.stop(entry.jobId)
    this.sinks.dropTables((name) => name === id)
    await this.checkpoints.removeQuery(entry.jobId, id, goesOn)
  }

  private onMessage(message: FromWorker): void | Promise<void> {
    switch (message.type) {
      case 'changes': {
        if (this.adhoc.has(message.jobId)) return this.adhoc.changes(message)
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
        // What a person's query cannot read is the topic's affair: the project's queries have said so, or will.
        if (!isAdhoc(message.jobId)) this.options.onDeadLetters(message.letters)
        return
      case 'late':
        return this.keepLate(message)
      case 'checkpoint':
      case 'checkpointUnneeded':
        this.checkpoints.onMessage(message)
        return
      case 'restored':
        if (message.error) this.restarts.fallBack(message.jobId, reviveError(message.error))
        return
      case 'finished':
        this.adhoc.end(message.jobId)
        return
      case 'failed':
        if (this.adhoc.has(message.jobId)) {
          this.workers.stop(message.jobId)
          this.adhoc.end(message.jobId, message.error)
          return
        }
        // Its state could not go to the disk or come back: what it has done since its last checkpoint counts for nothing.
        if (message.error.code.startsWith('SPILL_')) this.restarts.restartJob(message.jobId, reviveError(message.error))
        else this.failed(message.queryId, message.jobId, message.error)
        return
      default:
    }
  }

  private applyChanges(entry: Running, { queryId, jobId, batch, originMs }: FromWorker & { type: 'changes' }): void {
    try {
      this.sinks.applyChanges(queryId, batch, originMs)
    } catch (error) {
      this.workers.removeQuery(jobId, queryId)
      this.failed(queryId, entry.jobId, toStreamError(error).toJSON())
    }
  }

  /** Appends a query's output; while the log says "later" it is tried again, and the worker waits. */
  private async append(message: FromWorker & { type: 'records' }): Promise<void> {
    const entry = this.running.get(message.queryId)
    const isPresent = () => this.running.get(message.queryId)?.jobId === message.jobId
    if (!entry || !isPresent()) return
    try {
      if (entry.sink?.append) await entry.sink.append(message)
      else {
        const { topic, partition, bytes, recordCount } = message
        await persistently(() => this.options.log.append(topic, partition, bytes, { recordCount }), isPresent)
      }
    } catch (error) {
      const failure = toStreamError(error)
      if (!isPresent()) return
      if (failure.retry === 'never') this.failed(message.queryId, message.jobId, failure.toJSON())
      else this.restarts.restartJob(message.jobId, failure)
    }
  }

  private async keepLate({ queryId, jobId, topic, rows }: FromWorker & { type: 'late' }): Promise<void> {
    if (this.running.get(queryId)?.jobId !== jobId) return
    try {
      await this.options.onLateRows(queryId, jobId, topic, rows, this.running.get(queryId)?.latePositions[topic] ?? 0)
    } catch (error) {
      this.workers.removeQuery(jobId, queryId)
      this.failed(queryId, jobId, toStreamError(error).toJSON())
    }
  }

  /** Runs a query beside the project's. Returns what stops it. */
  runAdhoc(plan: Plan, options: AdhocOptions): AdhocRun {
    return this.adhoc.run(plan, options, this.timeZone)
  }

  /** Of a query that EXPLAIN shows: into a table or a materialized table that is declared, or as a materialized table of its own. */
  explainedParallelism(plan: Plan, target: string | undefined): Parallelism & { isByHand: boolean } {
    const id = target === undefined || !this.project ? undefined : idOf(this.project, target)
    return { ...this.explained(plan, target, id), isByHand: id !== undefined && this.starts.scales.has(id) }
  }

  private explained(plan: Plan, target: string | undefined, id: string | undefined): Parallelism {
    const entry = target === undefined ? undefined : this.catalog.get(target)
    if (entry?.kind === 'table')
      return this.starts.parallelismOf({ id, plan, target: { kind: 'insert', table: entry.table } }, this.project)
    const table =
      entry?.kind === 'materialized table' ? entry.table : { name: '', fields: plan.fields, primaryKey: plan.upsertKey ?? [], options: {} }
    return this.starts.parallelismOf({ id, plan, target: { kind: 'materializedTable', table } }, this.project)
  }

  private fateOf({ query, jobId, parallelism }: Running, project: Project): 'kept' | 'changed' | 'gone' {
    const fate = fateOf(query, project)
    const next = fate === 'kept' && project.queries.find(({ id }) => id === query.id)
    if (!next) return fate
    // Functions show times in the zone of the job.
    const { timeZone } = project.catalog
    if ((this.workers.specOf(jobId)?.timeZone ?? timeZone) !== timeZone) return 'changed'
    try {
      return this.starts.parallelismOf(next, project).subtasks === parallelism.subtasks ? 'kept' : 'changed'
    } catch {
      return 'kept'
    }
  }

  /** The project's `SET 'table.local-time-zone'`, else the configuration's. */
  get timeZone(): string {
    return this.catalog.timeZone
  }

  get configuredTimeZone(): string {
    return this.options.timeZone
  }

  /** A running query of the project, by its id. */
  query(id: string): ProjectQuery | undefined {
    return this.running.get(id)?.query
  }

  /** Topics that plans read, each once. */
  topicsOf(plans: Plan[]): string[] {
    return [...new Set(sourceSpecs(this.options.log, plans).map(({ topic }) => topic))]
  }

  get files(): SqlFile[] {
    return this.project?.files ?? []
  }

  /** Names that SQL typed by a person may use. */
  get catalog(): Catalog {
    return this.project?.catalog ?? new Catalog(this.options.timeZone)
  }

  private failed(queryId: string, jobId: string, error: ErrorBody): void {
    const entry = this.running.get(queryId)
    if (!entry || entry.jobId !== jobId) return
    entry.state = 'failed'
    entry.error = error
    this.options.onQueryFailed(queryId, error)
  }

  /** What the door needs to know of a topic: the columns that its first table declares, or the one marked 'millrace.ingest'. */
  tableOfTopic(topic: string): TableDef | undefined {
    const declared = this.project?.tables ?? []
    // A table over dead letters reads them: what is sent to such a topic would pass for one.
    if (lettersOwnerOf(topic, declared) !== undefined) return undefined
    const tables = declared.filter((table) => isTopicTable(table) && topicOf(table) === topic)
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

  /** Of each running query: where its rows come from. */
  sources(): Map<string, Place[]> {
    return new Map([...this.running].map(([id, { query }]) => [id, sourcesOf(query)]))
  }

  /** What a sink promises after a crash; see docs/exactly-once.md. */
  guaranteeOf(target: string): 'exactly once' | 'at least once' | 'keeps nothing' {
    const entry = this.catalog.get(target)
    if (entry?.kind !== 'table') return 'exactly once'
    const { connector } = entry.table.options
    if (connector === 'blackhole') return 'keeps nothing'
    const isTransaction = this.options.transactions !== undefined && isExactlyOnceTopic(entry.table)
    return isTransaction || connector === 'filesystem' ? 'exactly once' : 'at least once'
  }

  declaredTopics(): string[] {
    return [...new Set((this.project?.tables ?? []).filter(isTopicTable).map(topicOf))]
  }

  /** What of a query Flink would refuse or do otherwise, found by its id or by the table that it writes to. */
  parityOf(name: string): { query: string; marks: ParityMark[] } | undefined {
    const id = this.project && idOf(this.project, name)
    return id === undefined ? undefined : { query: id, marks: parityOf(this.project!).get(id) ?? [] }
  }

  private checkpointSettingsOf(mates: readonly Running[], settings = this.project?.settings) {
    return checkpointSettings(
      mates.map(({ query }) => query),
      settings,
    )
  }

  /** What a query is and its settings with where they come from, found by its id or by the table that it writes to. */
  configOf(name: string): QueryConfig | undefined {
    const id = this.project && idOf(this.project, name)
    const entry = id === undefined ? undefined : this.running.get(id)
    if (id === undefined || !entry) return undefined
    const { query, jobId, parallelism } = entry
    const { origins, timeZone, parallelism: threads, transactions } = this.options
    const mates = [...this.running.values()].filter((one) => one.jobId === jobId)
    return queryConfig({
      query,
      parallelism: { subtasks: parallelism.subtasks, reason: this.starts.divided(query, PARALLELISM_MAX).reason },
      settings: this.project!.declarations.settings,
      checkpoints: {
        now: this.checkpoints.settingsOf(jobId) ?? this.checkpointSettingsOf(mates),
        byDefault: this.checkpointSettingsOf(mates, new Map()),
      },
      byHand: this.starts.scales.get(id)?.parallelism,
      configured: {
        parallelism: { value: threads, source: origins?.parallelism ?? { kind: 'default' } },
        timeZone: { value: timeZone, source: origins?.timeZone ?? { kind: 'default' } },
      },
      weakerGuarantee: transactions ? undefined : 'at least once: the log is a cluster',
    })
  }

  /** Asks the workers for rates, watermarks and counts; call it about once a second. */
  poll(): Promise<void> {
    return this.running.poll()
  }

  /** All queries with what the last `poll` brought. */
  queries() {
    return this.running.summaries(this.project)
  }

  /** A query looked at closely, found by its id or by the table that it writes to. */
  inspect(name: string): Promise<QueryInsight | undefined> {
    return this.running.inspect(name, this.project)
  }

  /** What an operator of a query, by the query's id, remembers. @throws StreamError STATE_OPERATOR_UNKNOWN, STATE_KEY_COLUMNS, STATE_KEY_VALUE */
  readState(id: string, request: StateRequest): Promise<StateReading | undefined> {
    return this.running.readState(id, request)
  }

  /** Checkpoints of a query in this run, found by its id or by the table that it writes to. */
  checkpointsOf(name: string): QueryCheckpoints | undefined {
    return this.running.checkpointsOf(name)
  }

  /** Why the newest checkpoints of jobs could not be written: each until one of the job succeeds. */
  failingCheckpoints(): ErrorBody[] {
    return this.running.failingCheckpoints()
  }

  /** The file that drops a table. */
  droppedIn(name: string): string | undefined {
    return this.project?.dropped.get(name)?.file
  }

  /** What `read` gives for a live table at its next checkpoint, once that is durable. @throws the reason why there is none */
  atNextCheckpoint<T>(table: string, read: () => T): Promise<T> {
    const jobId = this.running.get(table)?.jobId
    return jobId === undefined ? Promise.resolve(read()) : this.running.unlessHeldUp([jobId], () => this.checkpoints.atNextCut(jobId, read))
  }

  /** @throws StreamError SAVEPOINT_NAME_INVALID, SAVEPOINT_EXISTS, CHECKPOINT_FAILED, QUERY_HELD_UP */
  async createSavepoint(name: string): Promise<SavepointInfo> {
    await this.checkpoints.savepoint(name, (jobIds, ask) => this.running.unlessHeldUp(jobIds, ask))
    return savepointInfo(this.options.store, name)
  }

  get errors(): FileError[] {
    return this.project?.errors ?? []
  }

  /** Takes a last checkpoint of each job, then ends all. */
  async close(): Promise<void> {
    this.closed = true
    const jobIds = [...new Set([...this.running.values()].map(({ jobId }) => jobId))]
    await Promise.all(jobIds.map((id) => this.takeOrEnd(id, 'stop', true)))
    await Promise.all(jobIds.map((id) => this.checkpoints.remove(id, true)))
    await this.workers.close()
    await this.writer.close()
  }
}

/** Of a query, by its id or the table that it writes to. */
const idOf = ({ queries }: Project, name: string): string | undefined =>
  [name, `insert_into_${name}`].find((id) => queries.some((query) => query.id === id))

/** What a query is, without its text: comments and where it stands do not matter. */
const identityOf = ({ plan, target }: ProjectQuery): string => stableText([plan, { ...target, table: { ...target.table, ddl: '' } }])

/** What becomes of a running query under another text of the project. While a file is broken its queries go on: an edit in progress takes nothing down. */
function fateOf(query: ProjectQuery, project: Project): 'kept' | 'changed' | 'gone' {
  const next = project.queries.find((candidate) => candidate.id === query.id)
  if (next) return identityOf(next) === identityOf(query) ? 'kept' : 'changed'
  return project.errors.some(({ file }) => file === query.file) ? 'kept' : 'gone'
}
