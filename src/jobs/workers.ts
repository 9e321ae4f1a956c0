// The engine's worker threads: started with the platform, each with its jobs; one that dies takes only its own jobs with it.
// The next job starts it again: so whoever restarts jobs decides how soon, and a worker that cannot start does not spin.
//
//   a job in one thread:   worker --> events
//   in several:            worker 0 --.
//                          worker 1 --+--> one job again: cuts are joined, status is summed, a failure is told to the others
//
// Invariants
//   1. Of a job in several threads, what comes behind a subtask's cut waits until all have made theirs (alignedOutput.ts).
//   2. Where one subtask's thread dies, its job ends in all threads.
import { Worker } from 'node:worker_threads'
import { reviveError } from '../base/index.ts'
import {
  type FromWorker,
  type JobSpec,
  type Memory,
  type QueryInspection,
  type QueryStatus,
  type SharedLinks,
  type StateReading,
  type StateRequest,
  shareLinks,
  type ToWorker,
  type WorkerSpill,
} from '../engine/index.ts'
import { AlignedOutput, type SubtaskCut } from './alignedOutput.ts'
import { sumInspections, sumReadings, sumStatus } from './subtasks.ts'

export interface WorkerEvents {
  /** When the promise is done the rows count as taken: the worker may send more. */
  message(message: FromWorker): void | Promise<void>
  died(jobs: JobSpec[], reason: string): void
}

/** What a worker says to a question with a `requestId`. */
type Answer = FromWorker & { requestId: number }

const workerUrl = new URL('../engine/worker.ts', import.meta.url)

interface Slot {
  /** Absent after its death. */
  worker: Worker | undefined
  jobs: Map<string, JobSpec>
}

/** A job in several threads. */
interface ParallelJob {
  /** By subtask. */
  slots: Slot[]
  output: AlignedOutput
}

export class EngineWorkers {
  private readonly slots: Slot[] = []
  private readonly parallel = new Map<string, ParallelJob>()
  private readonly events: WorkerEvents
  private readonly waiting = new Map<number, (message: Answer) => void>()
  private readonly spill: { memory: Memory; folder: string }
  private nextRequestId = 1
  private closing = false

  /** @param spill  the budget of the workers' state, and the folder for what is beyond it */
  constructor(count: number, events: WorkerEvents, spill: { memory: Memory; folder: string }) {
    this.events = events
    this.spill = spill
    for (let i = 0; i < count; i++) this.addSlot()
  }

  private addSlot(): Slot {
    const slot: Slot = { worker: undefined, jobs: new Map() }
    this.slots.push(slot)
    slot.worker = this.spawn(slot)
    return slot
  }

  private spawn(slot: Slot): Worker {
    const { memory, folder } = this.spill
    const index = this.slots.indexOf(slot)
    const spill: WorkerSpill = { memory: memory.shared, thread: index, folder }
    const worker = new Worker(workerUrl, { name: `engine-${index}`, workerData: { spill } })
    worker.on('message', (message: FromWorker) => {
      if ('requestId' in message) {
        this.waiting.get(message.requestId)?.(message)
        return
      }
      this.inTurn(slot, message, () => {
        const done = this.events.message(message)
        const rows = rowsOf(message)
        if (rows === 0) return
        const taken = () => worker.postMessage({ type: 'taken', rows } satisfies ToWorker)
        if (done) void done.finally(taken)
        else taken()
      })
    })
    let reason = 'it exited'
    worker.on('error', (error) => {
      reason = error.message
    })
    worker.on('exit', () => {
      memory.clear(index)
      if (this.closing) return
      const jobs = [...slot.jobs.values()]
      slot.jobs.clear()
      slot.worker = undefined
      // Their other subtasks wait for what never comes.
      for (const { id } of jobs) this.stop(id)
      if (jobs.length > 0) this.events.died(jobs, reason)
    })
    return worker
  }

  /** Hands a message on: at once, or if it is one subtask's, when its turn among those of its job has come. */
  private inTurn(slot: Slot, message: FromWorker, handle: () => void): void {
    const job = 'jobId' in message ? this.parallel.get(message.jobId) : undefined
    if (!job) {
      handle()
      return
    }
    const subtask = job.slots.indexOf(slot)
    if (message.type === 'failed')
      for (const other of job.slots)
        if (other !== slot) this.post(other, { type: 'failQuery', jobId: message.jobId, queryId: message.queryId, error: message.error })
    if (message.type === 'checkpoint') job.output.cut(subtask, message)
    else job.output.take(subtask, handle)
  }

  start(job: JobSpec, parallelism = 1): void {
    while (this.slots.length < parallelism) this.addSlot()
    const slots = this.slots.toSorted((a, b) => a.jobs.size - b.jobs.size).slice(0, parallelism)
    const links: SharedLinks | undefined = parallelism > 1 ? shareLinks(parallelism) : undefined
    if (links) {
      const onCut = (cut: SubtaskCut) => void this.events.message({ type: 'checkpoint', jobId: job.id, ...cut })
      this.parallel.set(job.id, { slots, output: new AlignedOutput(parallelism, onCut) })
    }
    slots.forEach((slot, subtask) => {
      const spec = links ? { ...job, parallel: { subtask, links } } : job
      slot.jobs.set(job.id, spec)
      slot.worker ??= this.spawn(slot)
      this.post(slot, { type: 'start', job: spec })
    })
  }

  stop(jobId: string): void {
    for (const slot of this.slots) if (slot.jobs.delete(jobId)) this.post(slot, { type: 'stop', jobId })
    const job = this.parallel.get(jobId)
    this.parallel.delete(jobId)
    // Who handles what is left finds that the job has gone; the rows count as taken.
    job?.output.release()
  }

  specOf(jobId: string): JobSpec | undefined {
    return this.slots.find(({ jobs }) => jobs.has(jobId))?.jobs.get(jobId)
  }

  /** How many subtasks a job has. */
  parallelismOf(jobId: string): number {
    return this.parallel.get(jobId)?.slots.length ?? 1
  }

  /** To the workers of a job, if it has any. */
  tell(jobId: string, message: ToWorker): void {
    for (const slot of this.slots) if (slot.jobs.has(jobId)) this.post(slot, message)
  }

  removeQuery(jobId: string, queryId: string): void {
    this.tell(jobId, { type: 'removeQuery', jobId, queryId })
  }

  /** The state of all queries; a worker that does not answer in `timeoutMs` is left out. */
  async status(timeoutMs = 1_000): Promise<{ queries: QueryStatus[]; positions: (FromWorker & { type: 'status' })['positions'] }> {
    const answers = (
      await Promise.all(
        this.slots.filter(({ worker }) => worker).map((slot) => this.ask(slot, timeoutMs, (requestId) => ({ type: 'status', requestId }))),
      )
    ).filter((answer) => answer?.type === 'status')
    return { queries: sumStatus(answers.flatMap(({ queries }) => queries)), positions: answers.flatMap(({ positions }) => positions) }
  }

  /** A query looked at closely; undefined if its workers do not know it, or do not answer in `timeoutMs`. */
  async inspect(jobId: string, queryId: string, timeoutMs = 2_000): Promise<QueryInspection | undefined> {
    const slots = this.parallel.get(jobId)?.slots ?? this.slots.filter(({ jobs }) => jobs.has(jobId))
    const answers = await Promise.all(
      slots.map((slot) => this.ask(slot, timeoutMs, (requestId) => ({ type: 'inspect', requestId, jobId, queryId }))),
    )
    return sumInspections(answers.flatMap((answer) => (answer?.type === 'inspection' && answer.query ? [answer.query] : [])))
  }

  /**
   * What an operator remembers, of all subtasks: asked of each, as each has keys of its own.
   *
   * @returns undefined if its workers do not know the query, or one does not answer in `timeoutMs`
   * @throws  StreamError STATE_OPERATOR_UNKNOWN, STATE_KEY_COLUMNS, STATE_KEY_VALUE, SPILL_DAMAGED
   */
  async readState(jobId: string, queryId: string, request: StateRequest, timeoutMs = 15_000): Promise<StateReading | undefined> {
    const slots = this.parallel.get(jobId)?.slots ?? this.slots.filter(({ jobs }) => jobs.has(jobId))
    const answers = await Promise.all(
      slots.map((slot) => this.ask(slot, timeoutMs, (requestId) => ({ type: 'readState', requestId, jobId, queryId, request }))),
    )
    const readings = answers.map((answer) => {
      if (answer?.type !== 'stateRead') return undefined
      if (answer.error) throw reviveError(answer.error, answer.httpStatus)
      return answer.reading
    })
    const known = readings.filter((reading) => reading !== undefined)
    return known.length === slots.length && known.length > 0 ? sumReadings(known, request.limit) : undefined
  }

  private ask(slot: Slot, timeoutMs: number, question: (requestId: number) => ToWorker): Promise<Answer | undefined> {
    const requestId = this.nextRequestId++
    return new Promise((resolve) => {
      const finish = (answer: Answer | undefined) => {
        clearTimeout(timer)
        this.waiting.delete(requestId)
        resolve(answer)
      }
      const timer = setTimeout(finish, timeoutMs, undefined)
      this.waiting.set(requestId, finish)
      this.post(slot, question(requestId))
    })
  }

  async close(): Promise<void> {
    this.closing = true
    await Promise.all(this.slots.map(({ worker }) => worker?.terminate()))
  }

  private post(slot: Slot, message: ToWorker): void {
    slot.worker?.postMessage(message)
  }
}

/** How many rows a message brings that the worker counts until they are taken. */
function rowsOf(message: FromWorker): number {
  switch (message.type) {
    case 'changes':
      return message.batch.rowCount
    case 'records':
      return message.recordCount
    case 'late':
      return message.rows.length
    default:
      return 0
  }
}
