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
//   3. A thread that does not get on (threadWatch.ts) is ended: after `stallTimeoutMs`, or soon if nobody wants what it is at. Its jobs have died, as
//      with any other death; who held it up is told, and is started alone next time: such threads are beside the others.
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { reviveError } from '../base/index.ts'
import {
  type EngineWorkerData,
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
} from '../engine/index.ts'
import { AlignedOutput, type SubtaskCut } from './alignedOutput.ts'
import { sumInspections, sumReadings, sumStatus } from './subtasks.ts'
import { HELD_MS, LOOK_MS, STALL_TIMEOUT_MS, ThreadWatch } from './threadWatch.ts'

export interface WorkerEvents {
  /** When the promise is done the rows count as taken: the worker may send more. */
  message(message: FromWorker): void | Promise<void>
  died(jobs: JobSpec[], death: Death): void
}

/** Why a thread ended. */
export interface Death {
  reason: string
  /** It was held up, or ended in a function. */
  holder?: Holder
  /** The thread could not be ended: it keeps a core until the process ends. */
  isEndless?: boolean
}

/** Who holds a thread up. */
export interface Holder {
  heldMs: number
  /** Absent if it is not known, or is there no more. */
  query?: { jobId: string; id: string }
  function: string | undefined
}

export interface EngineOptions {
  /** The budget of the workers' state, and the folder for what is beyond it. */
  memory: Memory
  folder: string
  /** A thread that has not got on for so long is ended. */
  stallTimeoutMs?: number
}

/** What a worker says to a question with a `requestId`. */
type Answer = FromWorker & { requestId: number }

/** Beside those for the project's queries. */
export const APART_THREADS_MAX = 8
/** How long the end of a thread is waited for. */
const TERMINATE_MS_MAX = 5_000
const CLOSE_MS_MAX = 1_000
/**
 * Threads that were told to end and have not. V8 looks for that in loops, but leaves it out where it takes a loop for one that calls something
 * (`while (text.startsWith('a'));`). The process cannot exit by itself while there is one: `process.exit` waits for all threads.
 */
const unended = new Set<Worker>()
export const hasUnendedThreads = (): boolean => unended.size > 0

/** Ends a thread; false if it has not ended in time. */
async function terminate(worker: Worker, timeoutMs: number): Promise<boolean> {
  unended.add(worker)
  const ended = worker.terminate().then(() => unended.delete(worker))
  await Promise.race([ended, sleep(timeoutMs, undefined, { ref: false })])
  return !unended.has(worker)
}

const workerUrl = new URL('../engine/worker.ts', import.meta.url)

interface Slot {
  /** Absent after its death. */
  worker: Worker | undefined
  watch: ThreadWatch
  jobs: Map<string, JobSpec>
  /** For jobs that are not to hold up others. */
  isApart: boolean
  isEnding: boolean
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
  private readonly options: Required<EngineOptions>
  private nextRequestId = 1
  private queryCount = 0
  private closing = false
  private lookedMs = performance.now()
  private readonly looking: NodeJS.Timeout

  constructor(count: number, events: WorkerEvents, options: EngineOptions) {
    this.events = events
    this.options = { stallTimeoutMs: STALL_TIMEOUT_MS, ...options }
    for (let i = 0; i < count; i++) this.addSlot(false)
    this.looking = setInterval(() => this.look(), LOOK_MS)
    this.looking.unref()
  }

  private addSlot(isApart: boolean): Slot {
    const slot: Slot = { worker: undefined, watch: new ThreadWatch(), jobs: new Map(), isApart, isEnding: false }
    this.slots.push(slot)
    slot.worker = this.spawn(slot)
    return slot
  }

  private spawn(slot: Slot): Worker {
    const { memory, folder } = this.options
    const index = this.slots.indexOf(slot)
    slot.watch = new ThreadWatch()
    const workerData: EngineWorkerData = { spill: { memory: memory.shared, thread: index, folder }, progress: slot.watch.shared }
    const worker = new Worker(workerUrl, { name: `engine-${index}`, workerData })
    worker.on('message', (message: FromWorker) => {
      // Of one that was given up, and whose jobs go on elsewhere.
      if (slot.worker !== worker) return
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
      if (slot.worker !== worker || this.closing) return
      const holder = this.holderOf(slot)
      const jobs = this.lost(slot)
      if (jobs.length > 0) this.events.died(jobs, { reason, ...(holder.function !== undefined && { holder }) })
    })
    return worker
  }

  /** A thread has gone. Returns the jobs that it had, which have ended in all threads. */
  private lost(slot: Slot): JobSpec[] {
    this.options.memory.clear(this.slots.indexOf(slot))
    const jobs = [...slot.jobs.values()]
    slot.jobs.clear()
    slot.worker = undefined
    // Their other subtasks wait for what never comes.
    for (const { id } of jobs) this.stop(id)
    return jobs
  }

  private holderOf({ watch, jobs }: Slot): Holder {
    const { heldMs, query: number, function: name } = watch.state
    for (const { id: jobId, queries } of jobs.values())
      for (const query of queries)
        if (number !== 0 && query.number === number) return { heldMs, query: { jobId, id: query.id }, function: name }
    return { heldMs, function: name }
  }

  private look(): void {
    const nowMs = performance.now()
    const elapsedMs = nowMs - this.lookedMs
    this.lookedMs = nowMs
    for (const slot of this.slots) {
      if (!slot.worker) continue
      slot.watch.look(elapsedMs)
      const { heldMs, query } = slot.watch.state
      const holder = this.holderOf(slot)
      // What was stopped, and is at work still, is wanted by nobody.
      const limitMs = query !== 0 && holder.query === undefined ? HELD_MS : this.options.stallTimeoutMs
      if (heldMs >= limitMs) void this.giveUp(slot, holder)
    }
  }

  private async giveUp(slot: Slot, holder: Holder): Promise<void> {
    const { jobs, isEndless } = await this.ended(slot)
    const reason = `it did not get on for ${Math.round(holder.heldMs / 1_000)} s`
    if (jobs.length > 0 && !this.closing) this.events.died(jobs, { reason, holder, isEndless })
  }

  /** Ends a thread, whatever it is at. Returns the jobs that it had. */
  private async ended(slot: Slot): Promise<{ jobs: JobSpec[]; isEndless: boolean }> {
    const { worker } = slot
    // From here on nothing that it has sent is taken: its jobs go on from their checkpoints.
    const jobs = this.lost(slot)
    slot.isEnding = true
    // Some loops, and calls of the system that do not return, keep a thread: nothing of it is taken any more.
    const isEndless = worker !== undefined && !(await terminate(worker, TERMINATE_MS_MAX))
    slot.isEnding = false
    this.options.memory.clear(this.slots.indexOf(slot))
    // Those that were given to it meanwhile.
    for (const job of slot.jobs.values()) this.begin(slot, job)
    return { jobs, isEndless }
  }

  /** Who holds up a thread of a job; undefined if nobody does. */
  heldUp(jobId: string): Holder | undefined {
    return this.heldSlots(jobId)
      .map((slot) => this.holderOf(slot))
      .sort((a, b) => b.heldMs - a.heldMs)[0]
  }

  private heldSlots(jobId: string): Slot[] {
    return this.slots.filter(({ worker, jobs, watch }) => worker && jobs.has(jobId) && watch.state.heldMs >= HELD_MS)
  }

  /** Resolves when a thread of a job is held up, or `signal` is aborted. */
  async untilHeldUp(jobId: string, signal: AbortSignal): Promise<Holder | undefined> {
    while (!signal.aborted) {
      const holder = this.heldUp(jobId)
      if (holder) return holder
      await sleep(LOOK_MS, undefined, { signal, ref: false }).catch(() => {})
    }
    return undefined
  }

  /** Ends those threads of a job that are held up, and all jobs in them, which it returns. */
  async end(jobId: string): Promise<JobSpec[]> {
    return (await Promise.all(this.heldSlots(jobId).map((slot) => this.ended(slot)))).flatMap(({ jobs }) => jobs)
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

  /** @param isApart  in threads of its own, as far as there are any left, so that it holds up nobody */
  start(spec: JobSpec, parallelism = 1, isApart = false): void {
    const job = { ...spec, queries: spec.queries.map((query) => ({ ...query, number: ++this.queryCount })) }
    const slots = this.placesFor(parallelism, isApart)
    const links: SharedLinks | undefined = parallelism > 1 ? shareLinks(parallelism) : undefined
    if (links) {
      const onCut = (cut: SubtaskCut) => void this.events.message({ type: 'checkpoint', jobId: job.id, ...cut })
      this.parallel.set(job.id, { slots, output: new AlignedOutput(parallelism, onCut) })
    }
    slots.forEach((slot, subtask) => {
      const spec = links ? { ...job, parallel: { subtask, links } } : job
      slot.jobs.set(job.id, spec)
      if (!slot.isEnding) this.begin(slot, spec)
    })
  }

  private begin(slot: Slot, job: JobSpec): void {
    slot.worker ??= this.spawn(slot)
    this.post(slot, { type: 'start', job })
  }

  private placesFor(count: number, isApart: boolean): Slot[] {
    const places = () => this.slots.filter((slot) => slot.isApart === isApart).toSorted((a, b) => a.jobs.size - b.jobs.size)
    if (!isApart) while (places().length < count) this.addSlot(false)
    else while (places().filter(({ jobs }) => jobs.size === 0).length < count && places().length < APART_THREADS_MAX) this.addSlot(true)
    return places().length < count ? this.placesFor(count, false) : places().slice(0, count)
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
    for (const { jobs } of this.slots) {
      const job = jobs.get(jobId)
      // One that goes on with it all the same is wanted by nobody.
      if (job)
        jobs.set(jobId, { ...job, queries: job.queries.map((query) => (query.id === queryId ? { ...query, number: undefined } : query)) })
    }
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
    clearInterval(this.looking)
    await Promise.all(this.slots.map(({ worker }) => worker && terminate(worker, CLOSE_MS_MAX)))
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
