// How jobs begin again: whose thread died, whose checkpoint or state was lost on the way, or whose query held its thread up.
//
//   thread dies, or is ended --> all its jobs fail, told why --> pause, which grows --> the project is applied: each goes on from its checkpoint
//                                   `--> who held it up: alone from now on, and after STALLS_MAX times in STALL_WINDOW_MS, or where its thread did not end, not again by itself
//
// Invariants
//   1. What a job has done since its last durable checkpoint counts for nothing, as after a crash of the process (docs/exactly-once.md).
//   2. Others that lived in the thread begin again at once, however often one of them is at fault.
import { setTimeout as sleep } from 'node:timers/promises'
import { Counter } from 'prom-client'
import { type ErrorBody, metrics, type StreamError, toStreamError } from '../base/index.ts'
import { engineErrors, type JobSpec } from '../engine/index.ts'
import { type AdhocJobs, isAdhoc } from './adhocJobs.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { ManagerOptions } from './manager.ts'
import type { FileError } from './project.ts'
import type { RunningQueries } from './runningQueries.ts'
import type { SavedStates } from './savedStates.ts'
import type { Death, EngineWorkers, Holder } from './workers.ts'

const RESTART_PAUSE_MAX_MS = 30_000
/** So often a query that holds its thread up is begun again. */
const STALLS_MAX = 3
/** One that did not do so for so long begins to count anew. */
const STALL_WINDOW_MS = 30 * 60_000

const stallsTotal = new Counter({
  name: 'millrace_query_stalls_total',
  help: 'How often a query held its engine thread up so long that the thread was ended.',
  labelNames: ['query'],
  registers: [metrics],
})

interface Parts {
  options: ManagerOptions
  workers: EngineWorkers
  checkpoints: Checkpoints
  saved: SavedStates
  running: RunningQueries
  adhoc: AdhocJobs
  failed(queryId: string, jobId: string, error: ErrorBody): void
  /** Starts what does not run; undefined while there is nothing to start. */
  apply(): Promise<FileError[] | undefined>
  isClosed(): boolean
}

export class JobRestarts {
  private readonly parts: Parts
  private restartCount = 0
  private restartedMs = Number.NEGATIVE_INFINITY
  /** Queries that have held a thread up. */
  private readonly stalls = new Map<string, { count: number; lastMs: number }>()

  constructor(parts: Parts) {
    this.parts = parts
  }

  /** It has held a thread up: it is to run alone. */
  isSuspect(queryId: string): boolean {
    return this.stalls.has(queryId)
  }

  /** Somebody has mended it, or says so: it is begun again as often as any. */
  forgive(queryId: string): void {
    const stall = this.stalls.get(queryId)
    if (stall) stall.count = 0
  }

  died(jobs: JobSpec[], { reason, holder, isEndless = false }: Death): void {
    const { query } = holder ?? {}
    const isGivenUp = holder !== undefined && query !== undefined && !isAdhoc(query.jobId) && (this.countStall(query.id) || isEndless)
    const errorOf = (jobId: string, queryId: string): StreamError => {
      if (query?.id === queryId && query.jobId === jobId && holder) return stalled(queryId, holder)
      const why = query ? `${isAdhoc(query.jobId) ? 'a query of somebody' : `"${query.id}"`} in the same thread: ${reason}` : reason
      return engineErrors('JOB_WORKER_DIED', { job: queryId, reason: why })
    }
    void this.restart(jobs, errorOf, isGivenUp ? query?.id : undefined)
  }

  /** Returns whether it was once too often. */
  private countStall(queryId: string): boolean {
    const nowMs = this.parts.options.now()
    const { count, lastMs } = this.stalls.get(queryId) ?? { count: 0, lastMs: nowMs }
    const stall = { count: nowMs - lastMs > STALL_WINDOW_MS ? 1 : count + 1, lastMs: nowMs }
    this.stalls.set(queryId, stall)
    stallsTotal.inc({ query: queryId })
    return stall.count > STALLS_MAX
  }

  /** @param givenUp  a query that is not begun again: it stays failed, with its rows, until somebody starts it or it is edited */
  private async restart(jobs: JobSpec[], errorOf: (jobId: string, queryId: string) => StreamError, givenUp?: string): Promise<void> {
    const { checkpoints, running, adhoc, failed, options } = this.parts
    const ended = jobs.map((job) => checkpoints.remove(job.id, false))
    for (const job of jobs) {
      adhoc.end(job.id, errorOf(job.id, job.id).toJSON())
      for (const { id } of job.queries) {
        if (id !== givenUp) running.countRestart(id)
        failed(id, job.id, errorOf(job.id, id).toJSON())
      }
    }
    const nowMs = options.now()
    if (nowMs - this.restartedMs > 4 * RESTART_PAUSE_MAX_MS) this.restartCount = 0
    this.restartedMs = nowMs
    await sleep(Math.min(RESTART_PAUSE_MAX_MS, 250 * 2 ** this.restartCount++), undefined, { ref: false })
    await Promise.all(ended)
    await this.startAgain(jobs, givenUp)
  }

  private async startAgain(jobs: JobSpec[], givenUp?: string): Promise<void> {
    const { running, options, apply, isClosed } = this.parts
    if (isClosed()) return
    for (const job of jobs) for (const { id } of job.queries) if (running.get(id)?.jobId === job.id && id !== givenUp) running.delete(id)
    for (let pauseMs = 250; !isClosed(); pauseMs = Math.min(pauseMs * 2, RESTART_PAUSE_MAX_MS)) {
      const errors = (await apply().catch((error: unknown) => [{ file: '', error: toStreamError(error) }])) ?? []
      for (const { file, error } of errors) options.onQueryFailed(file, error.toJSON())
      // A checkpoint that cannot be read now may be read later; an older one would give rows twice.
      if (!errors.some(({ error }) => error.retry === 'later')) return
      await sleep(pauseMs, undefined, { ref: false })
    }
  }

  /** Ends a job that runs, and begins it again from what the disk has. */
  restartJob(jobId: string, reason: StreamError): void {
    const { workers } = this.parts
    const job = workers.specOf(jobId)
    workers.stop(jobId)
    if (job) void this.restart([job], () => reason)
  }

  /** A job could not read its checkpoint: an older one, if there is one. */
  fallBack(jobId: string, error: StreamError): void {
    if (error.code === 'CHECKPOINT_UNREADABLE') {
      this.restartJob(jobId, error)
      return
    }
    const { workers, checkpoints, saved, options } = this.parts
    const job = workers.specOf(jobId)
    workers.stop(jobId)
    const ended = checkpoints.remove(jobId, false)
    if (!job?.restore) return
    saved.markUnusable({ folder: job.restore.folder, id: job.restore.checkpointId }, error)
    options.onCheckpointFailed(jobId, error)
    void ended.then(() => this.startAgain([job]))
  }

  /**
   * A job's thread is held up, and somebody waits for the job: the thread ends, and all jobs in it. They are not begun again here: who calls this applies
   * the project next.
   */
  async endThread(jobId: string, holder: Holder): Promise<void> {
    const { workers, checkpoints, running, adhoc } = this.parts
    if (holder.query && !isAdhoc(holder.query.jobId) && !this.stalls.has(holder.query.id))
      this.stalls.set(holder.query.id, { count: 0, lastMs: this.parts.options.now() })
    const jobs = await workers.end(jobId)
    await Promise.all(jobs.map(({ id }) => checkpoints.remove(id, false)))
    for (const job of jobs) {
      adhoc.end(job.id, stalled(job.id, holder).toJSON())
      for (const { id } of job.queries) if (running.get(id)?.jobId === job.id) running.delete(id)
    }
  }
}

const stalled = (query: string, { heldMs, function: fn }: Holder): StreamError =>
  engineErrors('QUERY_STALLED', {
    query: isAdhoc(query) ? 'the statement' : query,
    seconds: Math.round(heldMs / 1_000),
    ...(fn !== undefined && { fn }),
  })
