// What runs, by the id of its query, and what can be seen of it: rates, watermarks, checkpoints, the nodes of its plan.
//
// Whoever starts, stops or fails a query changes the table (`manager.ts`, `jobStarts.ts`); here it is only read, and asked of the workers.
import { type ErrorBody, maskedSql, type StreamError } from '../base/index.ts'
import type { Parallelism, QueryInspection, QueryStatus, StateReading, StateRequest } from '../engine/index.ts'
import type { Plan } from '../sql/index.ts'
import type { CheckpointRecord, Checkpoints } from './checkpoints.ts'
import { jobErrors } from './errors.ts'
import { parityOf } from './parity.ts'
import { droppedOf, type Project, type ProjectQuery } from './project.ts'
import type { SinkCommitter } from './sinkCommitters.ts'
import { lateTopicsOf, placeOf } from './tables.ts'
import type { EngineWorkers } from './workers.ts'

export interface Running {
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
  /** Who holds up its thread. */
  heldUp?: HeldBy
  /** Absent if its worker does not answer, or never began it. */
  live?: QueryInspection
}

/** Who holds up the thread of a query, as far as it is known. */
export interface HeldBy {
  seconds: number
  query?: string
  function?: string
}

export interface QueryCheckpoints {
  query: string
  job: string | undefined
  intervalMs: number | undefined
  restoredFrom: number | undefined
  /** Newest first. */
  checkpoints: CheckpointRecord[]
}

export const heldUpError = (query: string, { seconds, query: by, function: fn }: HeldBy): StreamError =>
  jobErrors('QUERY_HELD_UP', { query, seconds, ...(by !== undefined && { by }), ...(fn !== undefined && { fn }) })

const noneDropped: Project['dropped'] = new Map()

export class RunningQueries {
  private readonly table = new Map<string, Running>()
  private readonly workers: Pick<EngineWorkers, 'status' | 'inspect' | 'readState' | 'heldUp' | 'untilHeldUp'>
  private readonly checkpoints: Pick<Checkpoints, 'status'>
  private readonly now: () => number
  /** How often each query was begun again after a failure. */
  private readonly restarts = new Map<string, number>()
  private polled: { atMs: number; rows: Map<string, { in: number; out: number }> } = { atMs: 0, rows: new Map() }

  constructor(
    workers: Pick<EngineWorkers, 'status' | 'inspect' | 'readState' | 'heldUp' | 'untilHeldUp'>,
    checkpoints: Pick<Checkpoints, 'status'>,
    now: () => number,
  ) {
    this.workers = workers
    this.checkpoints = checkpoints
    this.now = now
  }

  get(id: string): Running | undefined {
    return this.table.get(id)
  }
  has(id: string): boolean {
    return this.table.has(id)
  }
  set(id: string, entry: Running): void {
    this.table.set(id, entry)
  }
  delete(id: string): void {
    this.table.delete(id)
  }
  values(): MapIterator<Running> {
    return this.table.values()
  }
  [Symbol.iterator](): MapIterator<[id: string, entry: Running]> {
    return this.table.entries()
  }
  countRestart(id: string): void {
    this.restarts.set(id, (this.restarts.get(id) ?? 0) + 1)
  }

  /** Asks the workers for rates, watermarks and counts; call it about once a second. */
  async poll(): Promise<void> {
    const { queries } = await this.workers.status()
    const nowMs = this.now()
    const seconds = Math.max(0.001, (nowMs - this.polled.atMs) / 1_000)
    const rows = new Map<string, { in: number; out: number }>()
    for (const status of queries) {
      const entry = this.table.get(status.queryId)
      if (entry?.jobId !== status.jobId) continue
      entry.status = status
      // One that goes on from a checkpoint counts from what it had done before.
      const before = this.polled.rows.get(`${status.jobId}/${status.queryId}`) ?? { in: status.rowsIn, out: status.rowsOut }
      entry.rowsPerSecond = { in: (status.rowsIn - before.in) / seconds, out: (status.rowsOut - before.out) / seconds }
      rows.set(`${status.jobId}/${status.queryId}`, { in: status.rowsIn, out: status.rowsOut })
    }
    this.polled = { atMs: nowMs, rows }
  }

  /** All queries with what the last `poll` brought. */
  summaries(project: Project | undefined) {
    const parity = project && parityOf(project)
    return [...this.table.entries()].map(([id, { query, jobId, parallelism, state, error, status, rowsPerSecond }]) => ({
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
      droppedTables: droppedOf(query, project?.dropped ?? noneDropped).map(({ table }) => table),
      heldUp: this.heldBy(jobId),
      sql: maskedSql(query.sql),
    }))
  }

  /** A query looked at closely, found by its id or by the table that it writes to. */
  async inspect(name: string, project: Project | undefined): Promise<QueryInsight | undefined> {
    const id = this.table.has(name) ? name : `insert_into_${name}`
    const entry = this.table.get(id)
    if (!entry) return undefined
    const { query, jobId, state, error, parallelism } = entry
    const lateTopics = [...new Set(Object.values(lateTopicsOf(query) ?? {}))]
    const dropped = droppedOf(query, project?.dropped ?? noneDropped)
    const { changelog } = query.plan
    // Who is known not to answer is not asked.
    const live = this.heldBy(jobId) ? undefined : await this.workers.inspect(jobId, id)
    return { id, state, error, changelog, parallelism, lateTopics, dropped, live, ...(!live && { heldUp: this.heldBy(jobId) }) }
  }

  private heldBy(jobId: string): HeldBy | undefined {
    const holder = this.workers.heldUp(jobId)
    if (!holder) return undefined
    const { heldMs, query, function: fn } = holder
    const by = query && (this.table.has(query.id) ? query.id : 'a statement of somebody who is looking')
    return { seconds: Math.round(heldMs / 1_000), ...(by !== undefined && { query: by }), ...(fn !== undefined && { function: fn }) }
  }

  /**
   * What an operator of a query remembers; undefined if its workers do not know it or do not answer.
   *
   * @throws StreamError those of `EngineWorkers.readState`; QUERY_HELD_UP
   */
  async readState(id: string, request: StateRequest): Promise<StateReading | undefined> {
    const entry = this.table.get(id)
    return entry && this.unlessHeldUp([entry.jobId], () => this.workers.readState(entry.jobId, id, request))
  }

  /**
   * What threads of jobs answer, unless one of them is held up before they have.
   *
   * @throws StreamError QUERY_HELD_UP
   */
  async unlessHeldUp<T>(jobIds: readonly string[], ask: () => Promise<T>): Promise<T> {
    const over = new AbortController()
    const held = jobIds.map(async (jobId) => {
      const holder = await this.workers.untilHeldUp(jobId, over.signal)
      const by = holder && this.heldBy(jobId)
      // Either it was answered, or the thread has gone on since: then its answer comes.
      return by ? Promise.reject(heldUpError(this.queryOf(jobId), by)) : new Promise<never>(() => {})
    })
    try {
      return await Promise.race([ask(), ...held])
    } finally {
      over.abort()
    }
  }

  /** One of those of a job. */
  private queryOf(jobId: string): string {
    return [...this.table].find(([, entry]) => entry.jobId === jobId)?.[0] ?? jobId
  }

  /** Checkpoints of a query in this run, found by its id or by the table that it writes to. */
  checkpointsOf(name: string): QueryCheckpoints | undefined {
    const id = this.table.has(name) ? name : `insert_into_${name}`
    const entry = this.table.get(id)
    if (!entry) return undefined
    const { job, intervalMs, checkpoints = [] } = this.checkpoints.status(entry.jobId) ?? {}
    return { query: id, job, intervalMs, restoredFrom: entry.restoredFrom, checkpoints }
  }

  /** Why the newest checkpoints of jobs could not be written: each until one of the job succeeds. */
  failingCheckpoints(): ErrorBody[] {
    const jobIds = [...new Set([...this.table.values()].map(({ jobId }) => jobId))]
    return jobIds.flatMap((id) => this.checkpoints.status(id)?.checkpoints.find(({ state }) => state !== 'running')?.error ?? [])
  }
}
