// Takes checkpoints of running jobs: when, in which order, and what follows from each.
//
//   interval --> worker: cut between two steps --> its message, behind all output --> sinks cut --> written by the writer thread --> sinks settle
//
// Invariants
//   1. A job has one checkpoint at a time; the next begins when the sinks of the last have settled.
//   2. A cut of a sink has what came before the job's message, and nothing that came after.
//   3. Sinks settle with `true` only if the checkpoint is durable, and always once for each cut, unless the job is given up.
//   4. A query that has failed keeps, in later checkpoints of its job, the state that it had in the last one with it.
import { isDeepStrictEqual } from 'node:util'
import { Counter, Gauge, Histogram } from 'prom-client'
import { type ErrorBody, metrics, type StreamError, toStreamError } from '../base/index.ts'
import { checkpointErrors, type FromWorker, type QueryState, reviveCheckpointError } from '../engine/index.ts'
import type { CheckpointWriter } from './checkpointWriter.ts'
import type { SinkCommitter } from './sinkCommitters.ts'

export interface CheckpointSettings {
  /** From the start of one to the start of the next; 0: none but those that somebody asks for. */
  intervalMs: number
  /** From the end of one to the start of the next, at least. */
  minPauseMs: number
  timeoutMs: number
  /** How many are kept. */
  retained: number
}

export interface CheckpointRecord {
  id: number
  cause: 'interval' | 'read' | 'savepoint' | 'change' | 'stop'
  state: 'running' | 'completed' | 'failed'
  startedMs: number
  durationMs?: number
  /** How long the job stood still. */
  stallMs?: number
  /** Bytes of the whole state, and of what this one wrote. */
  fullBytes?: number
  writtenBytes?: number
  error?: ErrorBody
}

interface JobEntry {
  jobId: string
  /** That of its folder. */
  name: string
  folder: string
  sinks: Map<string, SinkCommitter>
  /** Queries that run elsewhere now: their state stays in this folder until they have a newer one there. */
  carried: Set<string>
  settings: CheckpointSettings
  /** The newest in the folder. */
  base?: { id: number; queries: QueryState[] }
  running?: Promise<CheckpointRecord>
  /** When the last one began, needed or not. */
  startedMs: number
  history: CheckpointRecord[]
  timer?: NodeJS.Timeout
  /** Called by the job's answer. */
  answer?: (message: (FromWorker & { type: 'checkpoint' }) | undefined) => void
  readers: { read: () => unknown; resolve: (value: unknown) => void; reject: (error: Error) => void }[]
  isClosed: boolean
}

export interface CheckpointsOptions {
  writer: CheckpointWriter
  /** The highest id that was ever given. */
  lastId: number
  /** Asks a job's worker for a checkpoint; `isLast`: the job ends with it. */
  request(jobId: string, checkpointId: number, isLast: boolean): void
  settled(jobId: string, isDurable: boolean): void
  /** Whether a job's newest checkpoint is on the disk, or what its sinks did after it, is not known, or its state is damaged: it must be started
   *  again from the disk. */
  onUncertain(jobId: string, error: StreamError): void
  onFailed(job: string, error: StreamError): void
  /** A job has its first checkpoint. */
  onFirst(): void
  /** For tests: called at the phases between the calls of the disk. */
  fault(point: string): void
  now(): number
}

const HISTORY_LENGTH = 50
const total = new Counter({
  name: 'millrace_checkpoints_total',
  help: 'Checkpoints, by what became of them.',
  labelNames: ['job', 'outcome'],
  registers: [metrics],
})
const seconds = new Histogram({
  name: 'millrace_checkpoint_duration_seconds',
  help: 'From the cut to the rename, and what sinks do after it.',
  buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  registers: [metrics],
})
const stallSeconds = new Histogram({
  name: 'millrace_checkpoint_stall_seconds',
  help: 'How long a job stood still for a checkpoint.',
  buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2],
  registers: [metrics],
})
const writtenBytes = new Counter({
  name: 'millrace_checkpoint_written_bytes_total',
  help: 'Bytes written by checkpoints.',
  registers: [metrics],
})
const stateBytes = new Gauge({
  name: 'millrace_checkpoint_state_bytes',
  help: 'Bytes of the state in the newest checkpoint of each job.',
  labelNames: ['job'],
  registers: [metrics],
})

export class Checkpoints {
  private readonly options: CheckpointsOptions
  private readonly jobs = new Map<string, JobEntry>()
  private lastId: number
  /** Jobs whose last checkpoint is still on its way. */
  private readonly ending = new Map<string, Promise<unknown>>()

  constructor(options: CheckpointsOptions) {
    this.options = options
    this.lastId = options.lastId
  }

  /** @param base  what the job goes on from, if its checkpoints follow it in the same folder */
  add(job: Pick<JobEntry, 'jobId' | 'name' | 'folder' | 'sinks' | 'settings' | 'base' | 'carried'>): void {
    const entry: JobEntry = { ...job, history: [], readers: [], startedMs: 0, isClosed: false }
    this.jobs.set(job.jobId, entry)
    this.plan(entry, entry.settings.intervalMs)
  }

  settingsOf(jobId: string): CheckpointSettings | undefined {
    return this.jobs.get(jobId)?.settings
  }

  /** Other settings, from now on. */
  configure(jobId: string, settings: CheckpointSettings): void {
    const entry = this.jobs.get(jobId)
    if (!entry || isDeepStrictEqual(entry.settings, settings)) return
    entry.settings = settings
    // What runs, and what somebody waits for, is followed by the next in its turn.
    if (entry.running || entry.readers.length > 0) return
    clearTimeout(entry.timer)
    const elapsedMs = entry.startedMs === 0 ? 0 : Math.max(0, this.options.now() - entry.startedMs)
    this.plan(entry, Math.max(0, settings.intervalMs - elapsedMs))
  }

  /**
   * A query leaves its job. Resolves when its sink is closed.
   *
   * @param goesOn  elsewhere, from the state that it has here
   */
  async removeQuery(jobId: string, queryId: string, goesOn: boolean): Promise<void> {
    const entry = this.jobs.get(jobId)
    if (!entry) {
      await this.ending.get(jobId)
      return
    }
    const sink = entry.sinks.get(queryId)
    entry.sinks.delete(queryId)
    if (goesOn) entry.carried.add(queryId)
    else if (entry.base) entry.base = { ...entry.base, queries: entry.base.queries.filter(({ id }) => id !== queryId) }
    sink?.giveUp?.()
    if (entry.sinks.size === 0) await this.remove(jobId, true)
    else await entry.running
    await sink?.close?.(true)
  }

  /**
   * A job ends. Resolves when a checkpoint that is on its way is on the disk or not, and its sinks are closed.
   *
   * @param isUndone  of its sinks' output what is in no checkpoint; else the job begins again, and sees to it
   */
  async remove(jobId: string, isUndone: boolean): Promise<void> {
    const entry = this.jobs.get(jobId)
    if (!entry) {
      await this.ending.get(jobId)
      return
    }
    this.jobs.delete(jobId)
    const ended = this.end(entry, isUndone).finally(() => this.ending.delete(jobId))
    this.ending.set(jobId, ended)
    await ended
  }

  private async end(entry: JobEntry, isUndone: boolean): Promise<void> {
    entry.isClosed = true
    clearTimeout(entry.timer)
    for (const { reject } of entry.readers.splice(0)) reject(checkpointErrors('CHECKPOINT_BUSY', { job: entry.name }))
    for (const sink of entry.sinks.values()) sink.giveUp?.()
    entry.answer?.(undefined)
    await entry.running
    clearTimeout(entry.timer)
    await Promise.all([...entry.sinks.values()].map((sink) => sink.close?.(isUndone)))
  }

  has(jobId: string): boolean {
    return this.jobs.has(jobId)
  }

  /** Names of the folders that running jobs write to. */
  names(): Set<string> {
    return new Set([...this.jobs.values()].map(({ name }) => name))
  }

  /** When each query that runs was last in a durable checkpoint of its present job: the id of that. */
  takenAt(): Map<string, number> {
    const newest = new Map<string, number>()
    for (const { base } of this.jobs.values())
      for (const { id, takenAt } of base?.queries ?? []) newest.set(id, Math.max(takenAt, newest.get(id) ?? 0))
    return newest
  }

  /** What a job's checkpoints were in this run, newest first. */
  status(jobId: string): { job: string; intervalMs: number; checkpoints: CheckpointRecord[] } | undefined {
    const entry = this.jobs.get(jobId)
    return entry && { job: entry.name, intervalMs: entry.settings.intervalMs, checkpoints: entry.history.map((record) => ({ ...record })) }
  }

  /**
   * Takes a checkpoint of each job, and copies them into a savepoint.
   *
   * @param unlessHeldUp  waits for the threads of these jobs, or throws
   * @throws StreamError SAVEPOINT_NAME_INVALID, SAVEPOINT_EXISTS, CHECKPOINT_FAILED; what `unlessHeldUp` throws
   */
  async savepoint(name: string, unlessHeldUp: <T>(jobIds: readonly string[], ask: () => Promise<T>) => Promise<T>): Promise<void> {
    const jobIds = [...this.jobs.keys()]
    const records = await unlessHeldUp(jobIds, () => Promise.all(jobIds.map((jobId) => this.take(jobId, 'savepoint'))))
    const failed = records.find(({ state }) => state === 'failed')
    if (failed?.error) throw reviveCheckpointError(failed.error)
    const checkpoints = jobIds.flatMap((jobId) => {
      const { folder, base } = this.jobs.get(jobId) ?? {}
      return folder !== undefined && base ? [{ folder, id: base.id }] : []
    })
    await this.options.writer.run({ type: 'savepoint', name, checkpoints })
  }

  /** Takes one now; joins one that has not been cut yet. The record says what became of it. */
  take(jobId: string, cause: CheckpointRecord['cause'], isLast = false): Promise<CheckpointRecord> {
    const entry = this.jobs.get(jobId)
    if (!entry) throw checkpointErrors('CHECKPOINT_BUSY', { job: jobId })
    if (entry.running) return entry.running.then(() => (this.jobs.has(jobId) ? this.take(jobId, cause, isLast) : entry.history[0]))
    clearTimeout(entry.timer)
    entry.running = this.run(entry, cause, isLast).finally(() => {
      entry.running = undefined
      const { intervalMs, minPauseMs } = entry.settings
      // The clock may have been set back meanwhile.
      const elapsedMs = Math.max(0, this.options.now() - entry.startedMs)
      if (entry.readers.length > 0) this.plan(entry, minPauseMs)
      else if (intervalMs > 0) this.plan(entry, Math.max(minPauseMs, intervalMs - elapsedMs))
    })
    return entry.running
  }

  /** What `read` gives at the next cut of a job, once that is durable. @throws the reason, if it failed */
  atNextCut<T>(jobId: string, read: () => T): Promise<T> {
    const entry = this.jobs.get(jobId)
    if (!entry) return Promise.resolve(read())
    return new Promise<T>((resolve, reject) => {
      entry.readers.push({ read, resolve: resolve as (value: unknown) => void, reject })
      if (!entry.running) void this.take(jobId, 'read')
    })
  }

  onMessage(message: FromWorker & { type: 'checkpoint' | 'checkpointUnneeded' }): void {
    const entry = this.jobs.get(message.jobId)
    if (entry?.answer) entry.answer(message.type === 'checkpoint' ? message : undefined)
    // An answer that nobody waits for any more.
    else if (message.type === 'checkpoint') this.options.settled(message.jobId, false)
  }

  private plan(entry: JobEntry, afterMs: number): void {
    if (entry.isClosed || entry.settings.intervalMs === 0) return
    clearTimeout(entry.timer)
    entry.timer = setTimeout(() => void this.take(entry.jobId, entry.readers.length > 0 ? 'read' : 'interval'), afterMs)
    entry.timer.unref()
  }

  private async run(entry: JobEntry, cause: CheckpointRecord['cause'], isLast: boolean): Promise<CheckpointRecord> {
    const startedMs = this.options.now()
    entry.startedMs = startedMs
    const record: CheckpointRecord = { id: ++this.lastId, cause, state: 'running', startedMs }
    entry.history.unshift(record)
    entry.history.splice(HISTORY_LENGTH)
    let readings: { value: unknown; resolve: (value: unknown) => void; reject: (error: Error) => void }[] = []
    const cut = await this.cut(entry, record.id, isLast, () => {
      readings = entry.readers.splice(0).map(({ read, ...waiting }) => ({ ...waiting, value: read() }))
    })
    const fail = (error: StreamError) => {
      Object.assign(record, { state: 'failed', error: error.toJSON(), durationMs: this.options.now() - startedMs })
      total.inc({ job: entry.name, outcome: 'failed' })
      for (const { reject } of readings) reject(error)
      this.options.onFailed(entry.name, error)
    }
    if (cut === 'unneeded') {
      // The newest one has all: this is none.
      entry.history.shift()
      for (const { value, resolve } of readings) resolve(value)
      return entry.history[0] ?? { ...record, state: 'completed', durationMs: 0 }
    }
    if (cut instanceof Error) {
      fail(cut as StreamError)
      return record
    }
    const { message, sinkCuts, sinks } = cut
    record.stallMs = message.tookMs
    stallSeconds.observe(message.tookMs / 1_000)
    this.options.fault('cut')
    let isDurable = false
    try {
      const { queries, updates } = await this.gather(entry, message, sinkCuts)
      const { folder, name, settings, base } = entry
      const request = { folder, id: record.id, job: name, createdMs: startedMs, queries, updates }
      const manifest = (await this.options.writer.run({ type: 'write', request, baseId: base?.id, retained: settings.retained }))!
      isDurable = true
      this.options.fault('durable')
      Object.assign(record, { fullBytes: manifest.fullBytes, writtenBytes: manifest.writtenBytes })
      writtenBytes.inc(manifest.writtenBytes)
      stateBytes.set({ job: name }, manifest.fullBytes)
      const isFirst = base === undefined
      // Queries may have been taken out meanwhile.
      entry.base = { id: record.id, queries: queries.filter(({ id }) => entry.sinks.has(id) || entry.carried.has(id)) }
      this.options.settled(entry.jobId, true)
      await Promise.all(sinks.map((sink) => sink.settle(true)))
      this.options.fault('settled')
      if (isFirst) this.options.onFirst()
    } catch (error) {
      const failure = toStreamError(error)
      if (isDurable || failure.code === 'CHECKPOINT_UNCERTAIN' || failure.code === 'SPILL_DAMAGED') {
        fail(failure)
        // Its sinks stay as they are until the disk has said what it has. (State that was damaged on the disk would fail every checkpoint.)
        this.options.onUncertain(entry.jobId, failure)
        return record
      }
      this.options.settled(entry.jobId, false)
      await Promise.all(sinks.map((sink) => sink.settle(false)))
      fail(failure)
      return record
    }
    const durationMs = this.options.now() - startedMs
    Object.assign(record, { state: 'completed', durationMs })
    total.inc({ job: entry.name, outcome: 'completed' })
    seconds.observe(durationMs / 1_000)
    for (const { value, resolve } of readings) resolve(value)
    return record
  }

  /** The job's answer, with the cuts of its sinks that were made in the same turn. */
  private cut(entry: JobEntry, checkpointId: number, isLast: boolean, atCut: () => void) {
    type Cut = {
      message: FromWorker & { type: 'checkpoint' }
      sinkCuts: Map<string, ReturnType<SinkCommitter['cut']>>
      sinks: SinkCommitter[]
    }
    return new Promise<Cut | 'unneeded' | Error>((resolve) => {
      const { timeoutMs } = entry.settings
      const timer = setTimeout(() => {
        entry.answer = undefined
        resolve(checkpointErrors('CHECKPOINT_TIMEOUT', { timeoutMs }))
      }, timeoutMs)
      timer.unref()
      entry.answer = (message) => {
        clearTimeout(timer)
        entry.answer = undefined
        atCut()
        if (!message) return resolve('unneeded')
        const sinkCuts = new Map(
          [...entry.sinks].map(
            ([queryId, sink]) =>
              [queryId, sink.cut(checkpointId, message.checkpoint.queries.find(({ id }) => id === queryId)?.sink)] as const,
          ),
        )
        // Awaited later: a rejection before that is not an unhandled one.
        for (const sinkCut of sinkCuts.values()) sinkCut.catch(() => {})
        resolve({ message, sinkCuts, sinks: [...entry.sinks.values()] })
      }
      this.options.request(entry.jobId, checkpointId, isLast)
    })
  }

  private async gather(
    entry: JobEntry,
    { checkpoint }: FromWorker & { type: 'checkpoint' },
    sinkCuts: Map<string, ReturnType<SinkCommitter['cut']>>,
  ) {
    const updates = checkpoint.updates
    const queries: QueryState[] = []
    for (const query of checkpoint.queries) {
      const sinkCut = await sinkCuts.get(query.id)
      if (!sinkCut) continue
      queries.push({ ...query, sink: sinkCut.state, latePositions: sinkCut.latePositions ?? {} })
      updates.push(...sinkCut.updates)
    }
    const present = new Set(checkpoint.queries.map(({ id }) => id))
    const takenAt = this.takenAt()
    const isNewest = ({ id, takenAt: here }: QueryState) => here === takenAt.get(id)
    for (const query of entry.base?.queries ?? [])
      if (!present.has(query.id) && (entry.sinks.has(query.id) || (entry.carried.has(query.id) && isNewest(query)))) queries.push(query)
    return { queries, updates }
  }
}
