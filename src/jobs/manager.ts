// Runs a project: its topics, queries and live tables, kept in step with its SQL files.
//
// Invariants
//   1. `apply` compares by query: one whose plan and target are the same as before goes on untouched; one that is gone is stopped.
//   2. A query that starts goes on from the newest checkpoint that has it. If it has changed since, a materialized table is computed anew
//      from the beginning of its topics; any other goes on with the state that fits, and is refused if some does not, unless that is allowed.
//   3. A query that fails keeps its last rows readable, its error is shown, and nothing else stops.
//   4. A worker that dies is replaced; its queries go on from their checkpoint, with a growing pause.
//   5. Queries of a file that start together from the same checkpoint, or all anew, with the same parallelism, are one job: they read their
//      topics together.
//   6. A query that somebody stopped stays so, over restarts too; its rows stay readable, and it goes on from the checkpoint that it was stopped at.
//
// Longer than other files because each part of a query's life touches the same table of what runs: start, output, failure, restart, stop.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ErrorBody, reviveError, type StreamError, toStreamError } from '../base/index.ts'
import type { Batch, Field } from '../data/index.ts'
import type {
  DeadLetter,
  FromWorker,
  JobRestore,
  JobSpec,
  LateRecord,
  Parallelism,
  QueryInspection,
  QuerySpec,
  QueryStatus,
  SourceSpec,
} from '../engine/index.ts'
import {
  engineErrors,
  Memory,
  PARALLELISM_MAX,
  parallelismOf,
  planSignature,
  removeSpilled,
  reviveCheckpointError,
} from '../engine/index.ts'
import { realDisk } from '../log/index.ts'
import { Catalog, type Plan, stableText, type TableDef } from '../sql/index.ts'
import { checkpointSettings, freshName, removeSuperseded } from './checkpointFolders.ts'
import { type CheckpointRecord, Checkpoints } from './checkpoints.ts'
import { CheckpointWriter } from './checkpointWriter.ts'
import { jobErrors } from './errors.ts'
import { Marks } from './marks.ts'
import { showMemory } from './memory.ts'
import { type ParityMark, parityOf } from './parity.ts'
import { dropNotices, droppedOf, type FileError, type Project, type ProjectQuery, type SqlFile } from './project.ts'
import { showQueries } from './queryMetrics.ts'
import { QuerySinks, type SinkOptions } from './querySinks.ts'
import { type SavedQuery, SavedStates, type SavepointInfo, savepointInfo } from './savedStates.ts'
import { persistently, type SinkCommitter } from './sinkCommitters.ts'
import {
  declareTopic,
  isExactlyOnceTopic,
  isTopicTable,
  lateTopicsOf,
  type Place,
  placeOf,
  scannedTables,
  sinkKeyOf,
  sourceSpecs,
  sourcesOf,
  topicOf,
} from './tables.ts'
import { lettersOwnerOf } from './topicClaims.ts'
import { EngineWorkers } from './workers.ts'

export interface ManagerOptions extends SinkOptions {
  dataFolder: string
  /** Queries go on from this savepoint instead of their checkpoints. */
  savepoint?: string
  /** State of changed queries that fits nowhere any more may be dropped. */
  allowsDroppedState: boolean
  /** Phases of checkpoints to stop at, for tests. */
  fault?: string
  workerCount: number
  /** For state of queries, live tables and buffers together. */
  memoryBytes: number
  /** Where no SET 'parallelism.default' says otherwise. */
  parallelism: number
  timeZone: string
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
  onApplied(report: ApplyReport, project: Project): void
  now(): number
}

/** A query of a person who is looking: its rows go to a callback, and it leaves nothing behind. */
export interface AdhocOptions {
  /** Read what is in the topics now, then end; else go on until stopped. */
  bounded: boolean
  /** Where its topics are read from, whatever its tables say. */
  startup?: SourceSpec['startup']
  /** By topic: the part that is read. */
  slices?: ReadonlyMap<string, NonNullable<SourceSpec['slice']>>
  onChanges(batch: Batch): void
  onEnd(error?: ErrorBody): void
}

interface Running {
  query: ProjectQuery
  jobId: string
  parallelism: Parallelism
  state: 'starting' | 'running' | 'failed' | 'stopped'
  error?: ErrorBody
  status?: QueryStatus
  rowsPerSecond: { in: number; out: number }
  /** Absent while it is stopped. */
  sink?: SinkCommitter
  /** Id of the checkpoint from which it went on. */
  restoredFrom: number | undefined
  /** By topic: where late rows were when the checkpoint was taken from which the query goes on. */
  latePositions: Record<string, number>
}

export interface QueryInsight {
  id: string
  state: Running['state']
  error?: ErrorBody
  changelog: Plan['changelog']
  parallelism: Parallelism
  /** Where its late rows are kept, if they are. */
  lateTopics: string[]
  /** Tables of it that were dropped since, and the files that drop them. */
  dropped: { table: string; file: string }[]
  /** Absent if its worker does not answer, or never began it. */
  live?: QueryInspection
}

const ADHOC = 'adhoc-'
const subtasksText = (count: number): string => (count === 1 ? 'one subtask' : `${count} subtasks`)
const RESTART_PAUSE_MAX_MS = 30_000

export interface QueryCheckpoints {
  query: string
  job: string | undefined
  intervalMs: number | undefined
  restoredFrom: number | undefined
  /** Newest first. */
  checkpoints: CheckpointRecord[]
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

/** Queries that start together. */
interface StartGroup {
  specs: QuerySpec[]
  queries: ProjectQuery[]
  saved: Map<string, SavedQuery>
  parallelism: number
}

export class JobManager {
  private readonly options: ManagerOptions
  private readonly workers: EngineWorkers
  /** Of the process: what is in memory, and may be. */
  readonly memory: Memory
  private readonly running = new Map<string, Running>()
  private readonly adhoc = new Map<string, AdhocOptions>()
  private project: Project | undefined
  private jobCount = 0
  private restartCount = 0
  /** How often each query was begun again after a failure. */
  private readonly restarts = new Map<string, number>()
  private readonly stopped: Marks<{ stoppedMs: number }>
  /** In how many threads queries were told to run, one by one; it goes before the project's `parallelism.default`. */
  private readonly scaled: Marks<{ parallelism: number }>
  private scales: ReadonlyMap<string, { parallelism: number }> = new Map()
  /** To begin anew, whatever checkpoints hold. */
  private readonly fresh = new Set<string>()
  private closed = false
  private restartedMs = Number.NEGATIVE_INFINITY
  /** One `apply` at a time: an edit of the project may meet the restart of a job. */
  private applied: Promise<unknown> = Promise.resolve()
  private readonly checkpoints: Checkpoints
  private readonly writer: CheckpointWriter
  private readonly saved: SavedStates
  private readonly sinks: QuerySinks
  private polled: { atMs: number; rows: Map<string, { in: number; out: number }> } = { atMs: 0, rows: new Map() }

  constructor(options: ManagerOptions) {
    this.options = options
    // First: where this throws no thread has been started.
    this.saved = new SavedStates(options.store, options.log, options.savepoint, options.onCheckpointDamaged)
    this.sinks = new QuerySinks(options, this.saved)
    this.stopped = new Marks(options.log, '__millrace_stopped_queries', options.now)
    this.scaled = new Marks(options.log, '__millrace_query_parallelism', options.now)
    const spillFolder = join(options.dataFolder, 'spill')
    removeSpilled(realDisk, spillFolder)
    this.memory = new Memory(Memory.budget(options.memoryBytes, Math.max(options.workerCount, PARALLELISM_MAX)))
    showMemory(this.memory)
    showQueries(this)
    this.workers = new EngineWorkers(
      options.workerCount,
      {
        message: (message) => this.onMessage(message),
        died: (jobs, reason) =>
          void this.restart(jobs, engineErrors('JOB_WORKER_DIED', { job: jobs.map(({ id }) => id).join(', '), reason })),
      },
      { memory: this.memory, folder: spillFolder },
    )
    this.writer = new CheckpointWriter({ dataFolder: options.dataFolder, fault: options.fault })
    const [faultPoint, faultCount] = options.fault?.split(':') ?? []
    let faultsLeft = Number(faultCount)
    this.checkpoints = new Checkpoints({
      writer: this.writer,
      lastId: options.store.lastId(),
      request: (jobId, checkpointId, isLast) => this.workers.tell(jobId, { type: 'checkpoint', jobId, checkpointId, isLast }),
      settled: (jobId, isDurable) => this.workers.tell(jobId, { type: 'checkpointSettled', jobId, isDurable }),
      onUncertain: (jobId, error) => this.restartJob(jobId, error),
      onFailed: (job, error) => options.onCheckpointFailed(job, error),
      onFirst: () => removeSuperseded(options.store, this.checkpoints),
      fault: (point) => {
        if (point === faultPoint && --faultsLeft === 0) process.kill(process.pid, 'SIGKILL')
      },
      now: options.now,
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
    const fates = [...this.running].map(([id, entry]) => ({ id, fate: this.fateOf(entry, project) }))
    const kept = fates.filter(({ fate }) => fate === 'kept').map(({ id }) => id)
    return {
      started: project.queries.filter(({ id }) => !kept.includes(id)).map(({ id }) => id),
      kept,
      stopped: fates.filter(({ fate }) => fate === 'gone').map(({ id }) => id),
      errors: project.errors,
      restored: [],
      notices: [],
    }
  }

  /** @param stoppedByHand  ids of queries that this is about, for the report */
  private async applyAlone(project: Project, stoppedByHand: string[] = []): Promise<ApplyReport> {
    const report: ApplyReport = { started: [], kept: [], stopped: stoppedByHand, errors: [...project.errors], restored: [], notices: [] }
    for (const table of project.tables) await this.guarded(project, report, table.name, () => declareTopic(this.options.log, table))
    const stopped = await this.stopped.all()
    this.scales = await this.scaled.all()
    if (project.errors.length === 0)
      for (const marks of [this.stopped, this.scaled]) await marks.keepOnly((id) => project.queries.some((query) => query.id === id))
    for (const [id, entry] of [...this.running]) {
      const { query, jobId } = entry
      const fate = this.fateOf(entry, project)
      if (fate === 'kept') {
        report.kept.push(id)
        // Its text may have moved, or have other comments.
        entry.query = project.queries.find((next) => next.id === id) ?? query
        continue
      }
      // What it has put out so far is kept, and a changed one goes on from there.
      const goesOn = query.target.kind === 'insert' || (fate === 'changed' && fateOf(query, project) === 'kept')
      if (this.checkpoints.has(jobId) && goesOn) await this.checkpoints.take(jobId, 'change')
      await this.stop(id, fate !== 'gone')
      if (fate === 'gone') report.stopped.push(id)
    }
    this.sinks.dropTables((name) => !this.running.has(name) && !project.queries.some(({ id }) => id === name))
    this.project = project
    report.notices.push(...dropNotices(project))
    const saved = this.saved.find()
    for (const file of project.files) {
      const queries = project.queries.filter((query) => query.file === file.name && !this.running.has(query.id))
      const groups = new Map<string, StartGroup>()
      for (const query of queries)
        await this.guarded(project, report, query.id, async () => {
          // What cannot be read stops this query alone.
          sourceSpecs(this.options.log, [query.plan])
          const parallelism = this.parallelismOf(query)
          if (stopped.has(query.id)) return this.holdStopped(query, parallelism, saved.get(query.id), report)
          const from = this.goesOnFrom(query, saved.get(query.id), report)
          const before = from?.state.parallelism ?? 1
          if (from && before !== parallelism.subtasks)
            report.notices.push(`${query.id}: the state of its ${subtasksText(before)} is dealt out to ${parallelism.subtasks}`)
          const key = `${parallelism.subtasks} ${from ? `${from.folder} ${from.manifest.id} ${from.state.takenAt}` : ''}`
          const group: StartGroup = groups.get(key) ?? { specs: [], queries: [], saved: new Map(), parallelism: parallelism.subtasks }
          group.specs.push(await this.sinks.specOf(query, from, report))
          group.queries.push(query)
          if (from) group.saved.set(query.id, from)
          groups.set(key, group)
          report.started.push(query.id)
          if (from) report.restored.push({ query: query.id, checkpointId: from.state.takenAt })
        })
      for (const group of groups.values()) this.startJob(file.name, group, stopped)
    }
    for (const problem of this.saved.problems()) report.notices.push(problem.message)
    this.options.onApplied(report, project)
    return report
  }

  /** A query that is not to run: its table shows the rows that it had, its outputs are as its checkpoint left them. */
  private async holdStopped(
    query: ProjectQuery,
    parallelism: Parallelism,
    saved: SavedQuery | undefined,
    report: ApplyReport,
  ): Promise<void> {
    const fits = saved && (query.target.kind === 'insert' || planSignature(query.plan) === saved.state.signature)
    await this.sinks.open(query, fits ? saved : undefined, report)
    this.running.set(query.id, {
      query,
      jobId: '',
      parallelism,
      state: 'stopped',
      rowsPerSecond: { in: 0, out: 0 },
      restoredFrom: undefined,
      latePositions: {},
    })
  }

  /**
   * Stops a query with a checkpoint, until `start`. Queries that run in the same job go on from that checkpoint in a job of their own, so that
   * the stopped one's is kept.
   *
   * @returns its id; undefined if there is none of that name
   * @throws StreamError CHECKPOINT_FAILED: it runs on
   */
  stopQuery(name: string): Promise<string | undefined> {
    return this.inTurn(async (project) => {
      const id = idOf(project, name)
      if (id === undefined) return undefined
      const { jobId, state } = this.running.get(id) ?? { jobId: '', state: 'failed' }
      if (state === 'stopped') return id
      if (this.checkpoints.has(jobId)) {
        const { error } = await this.checkpoints.take(jobId, 'stop')
        if (error) throw reviveCheckpointError(error)
      }
      await this.stopped.set(id, { stoppedMs: this.options.now() })
      const mates = [...this.running.values()].filter((one) => one.jobId === jobId)
      for (const mate of mates) this.running.delete(mate.query.id)
      this.workers.stop(jobId)
      await this.checkpoints.remove(jobId, true)
      await this.applyAlone(project, [id])
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
  startQuery(name: string, withoutState: boolean): Promise<string | undefined> {
    return this.inTurn(async (project) => {
      const id = idOf(project, name)
      if (id === undefined) return undefined
      const state = this.running.get(id)?.state
      if ((state === 'running' || state === 'starting') && !withoutState) return id
      await this.stopped.set(id, undefined)
      if (withoutState) this.fresh.add(id)
      if (state === 'stopped') this.running.delete(id)
      else await this.stop(id, !withoutState)
      const { errors } = await this.applyAlone(project)
      // From now on it is this beginning that a restart goes on from.
      const { jobId } = this.running.get(id) ?? { jobId: '' }
      if (withoutState && this.checkpoints.has(jobId)) await this.checkpoints.take(jobId, 'change')
      this.fresh.delete(id)
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
  rescaleQuery(name: string, parallelism: number | undefined): Promise<string | undefined> {
    return this.inTurn(async (project) => {
      const id = idOf(project, name)
      if (id === undefined) return undefined
      const query = project.queries.find((one) => one.id === id)!
      const { reason } = this.divided(query, parallelism ?? 1)
      if (reason !== undefined) throw jobErrors('QUERY_UNDIVIDED', { query: id, reason })
      // Without it, what an INSERT wrote since the one before would be written once more, or all of it.
      const { jobId } = this.running.get(id) ?? { jobId: '' }
      if (this.checkpoints.has(jobId)) {
        const { error } = await this.checkpoints.take(jobId, 'change')
        if (error) throw reviveCheckpointError(error)
      }
      await this.scaled.set(id, parallelism === undefined ? undefined : { parallelism })
      const { errors } = await this.applyAlone(project)
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

  /** The state from which a query goes on; undefined if it begins anew. @throws StreamError STATE_DAMAGED, CHECKPOINT_DAMAGED */
  private goesOnFrom(query: ProjectQuery, saved: SavedQuery | undefined, report: ApplyReport): SavedQuery | undefined {
    const { id, plan, target } = query
    if (this.fresh.has(id)) {
      report.notices.push(`${id} begins anew, as it was told to`)
      return undefined
    }
    if (!saved) {
      // A table's rows are a function of its topics; what was written elsewhere would be written there once more.
      const damage = target.kind === 'insert' && !this.options.allowsDroppedState ? this.saved.damageOf(id) : undefined
      if (damage) throw jobErrors('STATE_DAMAGED', { query: id, reason: damage.message }, { cause: damage })
      return undefined
    }
    const anew = (reason: string) => {
      report.notices.push(`${id} is computed anew from the beginning of its topics: ${reason}`)
      return undefined
    }
    const unfit = this.saved.unfitReason(saved)
    if (unfit !== undefined) return anew(unfit)
    const isSame = planSignature(plan) === saved.state.signature
    if (target.kind === 'materializedTable' && !isSame) return anew('it has changed')
    if (target.kind === 'materializedTable' && saved.state.sink.kind !== 'view') return anew('its rows were not kept')
    for (const lost of this.saved.lostRecords(saved)) report.notices.push(`${id}: ${lost}`)
    return saved
  }

  private async guarded(project: Project, report: ApplyReport, name: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      const file = project.queries.find((query) => query.id === name)?.file ?? project.files[0]?.name ?? ''
      report.errors.push({ file, error: toStreamError(error) })
    }
  }

  private startJob(file: string, { specs, queries, saved, parallelism }: StartGroup, stopped: ReadonlyMap<string, unknown>): void {
    const jobId = `job-${++this.jobCount}`
    const [from] = saved.values()
    const { store, savepoint, allowsDroppedState } = this.options
    // Where a stopped query has its state in the same folder, that stays as it is.
    const isHeld = from?.manifest.queries.some(({ id }) => stopped.has(id))
    const continues = from !== undefined && savepoint === undefined && !isHeld && !this.checkpoints.names().has(from.name)
    const name = continues ? from.name : freshName(file, new Set([...store.jobs(), ...this.checkpoints.names()]))
    const folder = store.folderOf(name)
    const sinks = new Map<string, SinkCommitter>()
    for (const query of queries) {
      const sink = this.sinks.committerOf(query, continues ? saved.get(query.id) : undefined)
      sinks.set(query.id, sink)
      this.running.set(query.id, {
        query,
        sink,
        jobId,
        parallelism: this.parallelismOf(query),
        state: 'starting',
        rowsPerSecond: { in: 0, out: 0 },
        restoredFrom: saved.get(query.id)?.state.takenAt,
        latePositions: saved.get(query.id)?.state.latePositions ?? {},
      })
    }
    const restore: JobRestore | undefined = from && {
      dataFolder: this.options.dataFolder,
      folder: from.folder,
      checkpointId: from.manifest.id,
      queries: [...saved.keys()],
      allowsDropped: allowsDroppedState ? [...saved.keys()] : [],
    }
    const job: JobSpec = {
      id: jobId,
      queries: specs,
      sources: sourceSpecs(
        this.options.log,
        specs.map(({ plan }) => plan),
      ),
      timeZone: this.timeZone,
      ...(restore && { restore }),
    }
    this.workers.start(job, parallelism)
    // Queries of the same checkpoint that start apart have no other state yet.
    const isPresent = ({ id }: { id: string }) => this.project?.queries.some((query) => query.id === id)
    const kept = continues ? { id: from.manifest.id, queries: from.manifest.queries.filter(isPresent) } : undefined
    const carried = new Set(kept?.queries.map(({ id }) => id).filter((id) => !sinks.has(id)))
    const settings = checkpointSettings(queries, this.project?.settings)
    this.checkpoints.add({ jobId, name, folder, sinks, carried, settings, base: kept })
    for (const { id } of queries) this.running.get(id)!.state = 'running'
  }

  private async stop(id: string, goesOn: boolean): Promise<void> {
    const entry = this.running.get(id)
    if (!entry) return
    this.running.delete(id)
    this.workers.removeQuery(entry.jobId, id)
    if (![...this.running.values()].some(({ jobId }) => jobId === entry.jobId)) this.workers.stop(entry.jobId)
    this.sinks.dropTables((name) => name === id)
    await this.checkpoints.removeQuery(entry.jobId, id, goesOn)
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
        // What a person's query cannot read is the topic's affair: the project's queries have said so, or will.
        if (!message.jobId.startsWith(ADHOC)) this.options.onDeadLetters(message.letters)
        return
      case 'late':
        return this.keepLate(message)
      case 'checkpoint':
      case 'checkpointUnneeded':
        this.checkpoints.onMessage(message)
        return
      case 'restored':
        if (message.error) this.fallBack(message.jobId, reviveError(message.error))
        return
      case 'finished':
        this.endAdhoc(message.jobId)
        return
      case 'failed':
        if (this.adhoc.has(message.jobId)) {
          this.workers.stop(message.jobId)
          this.endAdhoc(message.jobId, message.error)
          return
        }
        // Its state could not go to the disk or come back: what it has done since its last checkpoint counts for nothing.
        if (message.error.code.startsWith('SPILL_')) this.restartJob(message.jobId, reviveError(message.error))
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
      else this.restartJob(message.jobId, failure)
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
  runAdhoc(plan: Plan, options: AdhocOptions): () => void {
    const jobId = `${ADHOC}${++this.jobCount}`
    const { startup, slices } = options
    const sources = sourceSpecs(this.options.log, [plan]).map((source) => ({
      ...source,
      startup: startup ?? source.startup,
      slice: slices?.get(source.topic),
    }))
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

  /** In how many subtasks a query is to run. @throws StreamError PARALLELISM_INVALID */
  parallelismOf(query: Pick<ProjectQuery, 'plan' | 'target'> & { id?: string }, project: Project | undefined = this.project): Parallelism {
    const byHand = this.scales.get(query.id ?? '')
    if (byHand) return this.divided(query, byHand.parallelism)
    const setting = project?.settings.get('parallelism.default')
    const wanted = setting === undefined || setting === 'default' ? this.options.parallelism : Number(setting)
    if (!Number.isInteger(wanted) || wanted < 1 || wanted > PARALLELISM_MAX)
      throw jobErrors('PARALLELISM_INVALID', { value: String(setting), max: PARALLELISM_MAX })
    return this.divided(query, wanted)
  }

  private divided(query: Pick<ProjectQuery, 'plan' | 'target'>, wanted: number): Parallelism {
    const partitions = scannedTables(query.plan).map((table) => this.options.log.topic(topicOf(table))?.partitions.length ?? 1)
    return parallelismOf(query.plan, wanted, sinkKeyOf(query), partitions)
  }

  /** Of a query that EXPLAIN shows: into a table or a materialized table that is declared, or as a materialized table of its own. */
  explainedParallelism(plan: Plan, target: string | undefined): Parallelism & { isByHand: boolean } {
    const id = target === undefined || !this.project ? undefined : idOf(this.project, target)
    return { ...this.explained(plan, target, id), isByHand: id !== undefined && this.scales.has(id) }
  }

  private explained(plan: Plan, target: string | undefined, id: string | undefined): Parallelism {
    const entry = target === undefined ? undefined : this.catalog.get(target)
    if (entry?.kind === 'table') return this.parallelismOf({ id, plan, target: { kind: 'insert', table: entry.table } })
    const table =
      entry?.kind === 'materialized table' ? entry.table : { name: '', fields: plan.fields, primaryKey: plan.upsertKey ?? [], options: {} }
    return this.parallelismOf({ id, plan, target: { kind: 'materializedTable', table } })
  }

  private fateOf({ query, jobId, parallelism }: Running, project: Project): 'kept' | 'changed' | 'gone' {
    const fate = fateOf(query, project)
    const next = fate === 'kept' && project.queries.find(({ id }) => id === query.id)
    if (!next) return fate
    // Functions show times in the zone of the job.
    const { timeZone } = project.catalog
    if ((this.workers.specOf(jobId)?.timeZone ?? timeZone) !== timeZone) return 'changed'
    try {
      return this.parallelismOf(next, project).subtasks === parallelism.subtasks ? 'kept' : 'changed'
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

  private async restart(jobs: JobSpec[], reason: StreamError): Promise<void> {
    const error = reason.toJSON()
    const ended = jobs.map((job) => this.checkpoints.remove(job.id, false))
    for (const { id } of jobs.flatMap(({ queries }) => queries)) this.restarts.set(id, (this.restarts.get(id) ?? 0) + 1)
    for (const job of jobs) {
      if (this.adhoc.has(job.id)) this.endAdhoc(job.id, error)
      for (const { id } of job.queries) this.failed(id, job.id, error)
    }
    const nowMs = this.options.now()
    if (nowMs - this.restartedMs > 4 * RESTART_PAUSE_MAX_MS) this.restartCount = 0
    this.restartedMs = nowMs
    await sleep(Math.min(RESTART_PAUSE_MAX_MS, 250 * 2 ** this.restartCount++), undefined, { ref: false })
    await Promise.all(ended)
    await this.startAgain(jobs)
  }

  private async startAgain(jobs: JobSpec[]): Promise<void> {
    if (this.closed) return
    for (const job of jobs) for (const { id } of job.queries) if (this.running.get(id)?.jobId === job.id) this.running.delete(id)
    for (let pauseMs = 250; !this.closed; pauseMs = Math.min(pauseMs * 2, RESTART_PAUSE_MAX_MS)) {
      const again = this.inTurn(async (project) => (await this.applyAlone(project)).errors.slice(project.errors.length))
      const errors = (await again.catch((error: unknown) => [{ file: '', error: toStreamError(error) }])) ?? []
      for (const { file, error } of errors) this.options.onQueryFailed(file, error.toJSON())
      // A checkpoint that cannot be read now may be read later; an older one would give rows twice.
      if (!errors.some(({ error }) => error.retry === 'later')) return
      await sleep(pauseMs, undefined, { ref: false })
    }
  }

  /** Ends a job that runs, and begins it again from what the disk has. */
  private restartJob(jobId: string, reason: StreamError): void {
    const job = this.workers.specOf(jobId)
    this.workers.stop(jobId)
    if (job) void this.restart([job], reason)
  }

  /** A job could not read its checkpoint: an older one, if there is one. */
  private fallBack(jobId: string, error: StreamError): void {
    if (error.code === 'CHECKPOINT_UNREADABLE') {
      this.restartJob(jobId, error)
      return
    }
    const job = this.workers.specOf(jobId)
    this.workers.stop(jobId)
    const ended = this.checkpoints.remove(jobId, false)
    if (!job?.restore) return
    this.saved.markUnusable({ folder: job.restore.folder, id: job.restore.checkpointId }, error)
    this.options.onCheckpointFailed(jobId, error)
    void ended.then(() => this.startAgain([job]))
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
      // One that goes on from a checkpoint counts from what it had done before.
      const before = this.polled.rows.get(`${status.jobId}/${status.queryId}`) ?? { in: status.rowsIn, out: status.rowsOut }
      entry.rowsPerSecond = { in: (status.rowsIn - before.in) / seconds, out: (status.rowsOut - before.out) / seconds }
      rows.set(`${status.jobId}/${status.queryId}`, { in: status.rowsIn, out: status.rowsOut })
    }
    this.polled = { atMs: nowMs, rows }
  }

  /** What of a query Flink would refuse or do otherwise, found by its id or by the table that it writes to. */
  parityOf(name: string): { query: string; marks: ParityMark[] } | undefined {
    const id = this.project && idOf(this.project, name)
    return id === undefined ? undefined : { query: id, marks: parityOf(this.project!).get(id) ?? [] }
  }

  /** All queries with what the last `poll` brought. */
  queries() {
    const parity = this.project && parityOf(this.project)
    return [...this.running.entries()].map(([id, { query, jobId, parallelism, state, error, status, rowsPerSecond }]) => ({
      id,
      name: id,
      state,
      error,
      rowsIn: status?.rowsIn ?? 0,
      rowsOut: status?.rowsOut ?? 0,
      rowsInPerSecond: rowsPerSecond.in,
      rowsOutPerSecond: rowsPerSecond.out,
      lateRows: status?.lateRows ?? 0,
      failedRows: status?.failedRows ?? 0,
      watermarkMs: status && Number.isFinite(status.watermarkMs) ? status.watermarkMs : undefined,
      parallelism: parallelism.subtasks,
      stateBytes: status?.stateBytes ?? 0,
      spentMs: status?.spentMs ?? { busy: 0, backPressured: 0, idle: 0 },
      restarts: this.restarts.get(id) ?? 0,
      checkpointMs: this.checkpoints.status(jobId)?.checkpoints.find((one) => one.state === 'completed')?.startedMs,
      parityMarks: parity?.get(id)?.length ?? 0,
      target: placeOf(query),
      droppedTables: this.droppedOf(query).map(({ table }) => table),
      sql: query.sql,
    }))
  }

  private droppedOf(query: ProjectQuery): { table: string; file: string }[] {
    return droppedOf(query, this.project?.dropped ?? new Map())
  }

  /** The file that drops a table. */
  droppedIn(name: string): string | undefined {
    return this.project?.dropped.get(name)?.file
  }

  /** A query looked at closely, found by its id or by the table that it writes to. */
  async inspect(name: string): Promise<QueryInsight | undefined> {
    const id = this.running.has(name) ? name : `insert_into_${name}`
    const entry = this.running.get(id)
    if (!entry) return undefined
    const { query, jobId, state, error, parallelism } = entry
    const lateTopics = [...new Set(Object.values(lateTopicsOf(query) ?? {}))]
    const dropped = this.droppedOf(query)
    const { changelog } = query.plan
    return { id, state, error, changelog, parallelism, lateTopics, dropped, live: await this.workers.inspect(jobId, id) }
  }

  /** Checkpoints of a query in this run, found by its id or by the table that it writes to. */
  checkpointsOf(name: string): QueryCheckpoints | undefined {
    const id = this.running.has(name) ? name : `insert_into_${name}`
    const entry = this.running.get(id)
    if (!entry) return undefined
    const { job, intervalMs, checkpoints = [] } = this.checkpoints.status(entry.jobId) ?? {}
    return { query: id, job, intervalMs, restoredFrom: entry.restoredFrom, checkpoints }
  }

  /** Why the newest checkpoints of jobs could not be written: each until one of the job succeeds. */
  failingCheckpoints(): ErrorBody[] {
    const jobIds = [...new Set([...this.running.values()].map(({ jobId }) => jobId))]
    return jobIds.flatMap((id) => this.checkpoints.status(id)?.checkpoints.find(({ state }) => state !== 'running')?.error ?? [])
  }

  /** What `read` gives for a live table at its next checkpoint, once that is durable. @throws the reason why there is none */
  atNextCheckpoint<T>(table: string, read: () => T): Promise<T> {
    const jobId = this.running.get(table)?.jobId
    return jobId === undefined ? Promise.resolve(read()) : this.checkpoints.atNextCut(jobId, read)
  }

  /** @throws StreamError SAVEPOINT_NAME_INVALID, SAVEPOINT_EXISTS, CHECKPOINT_FAILED */
  async createSavepoint(name: string): Promise<SavepointInfo> {
    await this.checkpoints.savepoint(name)
    return savepointInfo(this.options.store, name)
  }

  get errors(): FileError[] {
    return this.project?.errors ?? []
  }

  /** Takes a last checkpoint of each job, then ends all. */
  async close(): Promise<void> {
    this.closed = true
    const jobIds = new Set([...this.running.values()].map(({ jobId }) => jobId))
    await Promise.all([...jobIds].filter((id) => this.checkpoints.has(id)).map((id) => this.checkpoints.take(id, 'stop', true)))
    await Promise.all([...jobIds].map((id) => this.checkpoints.remove(id, true)))
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
