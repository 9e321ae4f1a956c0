// How queries start: from which state each goes on, which of them are one job, and in how many subtasks.
//
//   query --> stopped by hand: held, with its rows
//         \-> checkpoint that has it, as far as its state fits --> group with the same checkpoint, parallelism and
//                                                                          reading of each table --> one job
//
// The invariants are 2, 5 and 6 of `manager.ts`.
import { toStreamError } from '../base/index.ts'
import type { JobRestore, JobSpec, Parallelism, QuerySpec } from '../engine/index.ts'
import { PARALLELISM_MAX, parallelismOf, planSignature } from '../engine/index.ts'
import { checkpointSettings, freshName } from './checkpointFolders.ts'
import type { Checkpoints } from './checkpoints.ts'
import { jobErrors } from './errors.ts'
import type { ApplyReport, ManagerOptions } from './manager.ts'
import type { Project, ProjectQuery } from './project.ts'
import type { QuerySinks } from './querySinks.ts'
import type { RunningQueries } from './runningQueries.ts'
import type { SavedQuery, SavedStates } from './savedStates.ts'
import type { SinkCommitter } from './sinkCommitters.ts'
import { readsOf, scannedTables, sinkKeyOf, sourceSpecs, topicOf } from './tables.ts'
import type { EngineWorkers } from './workers.ts'

/** Queries that start together. */
interface StartGroup {
  specs: QuerySpec[]
  queries: ProjectQuery[]
  saved: Map<string, SavedQuery>
  parallelism: number
  /** How their tables are read (`readsOf`): a job reads each once, for all of its queries. */
  reads: Map<string, string>
}

interface Parts {
  options: ManagerOptions
  workers: EngineWorkers
  checkpoints: Checkpoints
  saved: SavedStates
  sinks: QuerySinks
  running: RunningQueries
  /** It has held a thread up: it runs alone. */
  isSuspect(id: string): boolean
}

const subtasksText = (count: number): string => (count === 1 ? 'one subtask' : `${count} subtasks`)

/** A table that was altered, dropped and declared again, or read with a hint, is another one under the same name. */
const agree = (reads: ReadonlyMap<string, string> = new Map(), others: ReadonlyMap<string, string>): boolean =>
  [...others].every(([table, read]) => (reads.get(table) ?? read) === read)

export class JobStarts {
  private readonly options: ManagerOptions
  private readonly workers: EngineWorkers
  private readonly checkpoints: Checkpoints
  private readonly saved: SavedStates
  private readonly sinks: QuerySinks
  private readonly running: RunningQueries
  private readonly isSuspect: (id: string) => boolean
  private jobCount = 0
  /** Queries that begin anew, whatever checkpoints hold. */
  readonly fresh = new Set<string>()
  /** In how many threads queries were told to run, one by one; it goes before the project's `parallelism.default`. */
  scales: ReadonlyMap<string, { parallelism: number }> = new Map()

  constructor({ options, workers, checkpoints, saved, sinks, running, isSuspect }: Parts) {
    this.options = options
    this.workers = workers
    this.checkpoints = checkpoints
    this.saved = saved
    this.sinks = sinks
    this.running = running
    this.isSuspect = isSuspect
  }

  /** Starts what the project has and does not run; what hinders a query is in the report. */
  async start(project: Project, stopped: ReadonlyMap<string, unknown>, report: ApplyReport): Promise<void> {
    const saved = this.saved.find()
    for (const file of project.files) {
      const queries = project.queries.filter((query) => query.file === file.name && !this.running.has(query.id))
      const groups = new Map<string, StartGroup>()
      for (const query of queries)
        await guarded(project, report, query.id, async () => {
          // What cannot be read stops this query alone.
          sourceSpecs(this.options.log, [query.plan])
          const reads = readsOf(query.plan)
          const parallelism = this.parallelismOf(query, project)
          if (stopped.has(query.id)) return this.holdStopped(query, parallelism, saved.get(query.id), report)
          const from = this.goesOnFrom(query, saved.get(query.id), report)
          const before = from?.state.parallelism ?? 1
          if (from && before !== parallelism.subtasks)
            report.notices.push(`${query.id}: the state of its ${subtasksText(before)} is dealt out to ${parallelism.subtasks}`)
          let key = `${parallelism.subtasks} ${from ? `${from.folder} ${from.manifest.id} ${from.state.takenAt}` : ''}`
          while (!agree(groups.get(key)?.reads, reads)) key += '+'
          if (this.isSuspect(query.id)) key += ` ${query.id}`
          const group: StartGroup = groups.get(key) ?? {
            specs: [],
            queries: [],
            saved: new Map(),
            parallelism: parallelism.subtasks,
            reads: new Map(),
          }
          group.specs.push(await this.sinks.specOf(query, from, report))
          group.queries.push(query)
          for (const [table, read] of reads) group.reads.set(table, read)
          if (from) group.saved.set(query.id, from)
          groups.set(key, group)
          report.started.push(query.id)
          if (from) report.restored.push({ query: query.id, checkpointId: from.state.takenAt })
        })
      for (const group of groups.values()) this.startJob(file.name, group, project, stopped)
    }
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

  private startJob(
    file: string,
    { specs, queries, saved, parallelism }: StartGroup,
    project: Project,
    stopped: ReadonlyMap<string, unknown>,
  ): void {
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
        parallelism: this.parallelismOf(query, project),
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
      timeZone: project.catalog.timeZone,
      ...(restore && { restore }),
    }
    this.workers.start(job, parallelism, this.isSuspect(queries[0].id))
    // Queries of the same checkpoint that start apart have no other state yet.
    const isPresent = ({ id }: { id: string }) => project.queries.some((query) => query.id === id)
    const kept = continues ? { id: from.manifest.id, queries: from.manifest.queries.filter(isPresent) } : undefined
    const carried = new Set(kept?.queries.map(({ id }) => id).filter((id) => !sinks.has(id)))
    const settings = checkpointSettings(queries, project.settings)
    this.checkpoints.add({ jobId, name, folder, sinks, carried, settings, base: kept })
    for (const { id } of queries) this.running.get(id)!.state = 'running'
  }

  /** In how many subtasks a query is to run. @throws StreamError PARALLELISM_INVALID */
  parallelismOf(query: Pick<ProjectQuery, 'plan' | 'target'> & { id?: string }, project: Project | undefined): Parallelism {
    const byHand = this.scales.get(query.id ?? '')
    if (byHand) return this.divided(query, byHand.parallelism)
    const setting = project?.settings.get('parallelism.default')
    const wanted = setting === undefined || setting === 'default' ? this.options.parallelism : Number(setting)
    if (!Number.isInteger(wanted) || wanted < 1 || wanted > PARALLELISM_MAX)
      throw jobErrors('PARALLELISM_INVALID', { value: String(setting), max: PARALLELISM_MAX })
    return this.divided(query, wanted)
  }

  /** In how many of the subtasks that are wanted it can run. */
  divided(query: Pick<ProjectQuery, 'plan' | 'target'>, wanted: number): Parallelism {
    const partitions = scannedTables(query.plan).map((table) => this.options.log.topic(topicOf(table))?.partitions.length ?? 1)
    return parallelismOf(query.plan, wanted, sinkKeyOf(query), partitions)
  }
}

/** Runs `work`; what it throws is an error of the file that declares the query or table `name`. */
export async function guarded(project: Project, report: ApplyReport, name: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    const file = project.queries.find((query) => query.id === name)?.file ?? project.files[0]?.name ?? ''
    report.errors.push({ file, error: toStreamError(error) })
  }
}
