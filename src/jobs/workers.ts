// The engine's worker threads: started with the platform, each with its jobs; one that dies takes only its own jobs with it.
// The next job starts it again: so whoever restarts jobs decides how soon, and a worker that cannot start does not spin.
import { Worker } from 'node:worker_threads'
import type { FromWorker, JobSpec, Memory, QueryInspection, QueryStatus, ToWorker, WorkerSpill } from '../engine/index.ts'

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

export class EngineWorkers {
  private readonly slots: Slot[] = []
  private readonly events: WorkerEvents
  private readonly waiting = new Map<number, (message: Answer) => void>()
  private readonly spill: { memory: Memory; folder: string }
  private nextRequestId = 1
  private closing = false

  /** @param spill  the budget of the workers' state, and the folder for what is beyond it */
  constructor(count: number, events: WorkerEvents, spill: { memory: Memory; folder: string }) {
    this.events = events
    this.spill = spill
    for (let i = 0; i < count; i++) this.slots.push({ worker: this.spawn(i), jobs: new Map() })
  }

  private spawn(index: number): Worker {
    const { memory, folder } = this.spill
    const spill: WorkerSpill = { memory: memory.shared, thread: index, folder }
    const worker = new Worker(workerUrl, { name: `engine-${index}`, workerData: { spill } })
    worker.on('message', (message: FromWorker) => {
      if ('requestId' in message) {
        this.waiting.get(message.requestId)?.(message)
        return
      }
      const done = this.events.message(message)
      const rows = rowsOf(message)
      if (rows === 0) return
      const taken = () => worker.postMessage({ type: 'taken', rows } satisfies ToWorker)
      if (done) void done.finally(taken)
      else taken()
    })
    let reason = 'it exited'
    worker.on('error', (error) => {
      reason = error.message
    })
    worker.on('exit', () => {
      memory.clear(index)
      if (this.closing) return
      const slot = this.slots[index]
      const jobs = [...slot.jobs.values()]
      slot.jobs.clear()
      slot.worker = undefined
      if (jobs.length > 0) this.events.died(jobs, reason)
    })
    return worker
  }

  start(job: JobSpec): void {
    const slot = this.slots.reduce((least, candidate) => (candidate.jobs.size < least.jobs.size ? candidate : least))
    slot.jobs.set(job.id, job)
    slot.worker ??= this.spawn(this.slots.indexOf(slot))
    this.post(slot, { type: 'start', job })
  }

  stop(jobId: string): void {
    for (const slot of this.slots) if (slot.jobs.delete(jobId)) this.post(slot, { type: 'stop', jobId })
  }

  specOf(jobId: string): JobSpec | undefined {
    return this.slots.find(({ jobs }) => jobs.has(jobId))?.jobs.get(jobId)
  }

  /** To the worker of a job, if it has one. */
  tell(jobId: string, message: ToWorker): void {
    for (const slot of this.slots) if (slot.jobs.has(jobId)) this.post(slot, message)
  }

  removeQuery(jobId: string, queryId: string): void {
    for (const slot of this.slots) if (slot.jobs.has(jobId)) this.post(slot, { type: 'removeQuery', jobId, queryId })
  }

  /** The state of all queries; a worker that does not answer in `timeoutMs` is left out. */
  async status(timeoutMs = 1_000): Promise<{ queries: QueryStatus[]; positions: (FromWorker & { type: 'status' })['positions'] }> {
    const answers = (
      await Promise.all(
        this.slots.filter(({ worker }) => worker).map((slot) => this.ask(slot, timeoutMs, (requestId) => ({ type: 'status', requestId }))),
      )
    ).filter((answer) => answer?.type === 'status')
    return { queries: answers.flatMap(({ queries }) => queries), positions: answers.flatMap(({ positions }) => positions) }
  }

  /** A query looked at closely; undefined if its worker does not know it, or does not answer in `timeoutMs`. */
  async inspect(jobId: string, queryId: string, timeoutMs = 2_000): Promise<QueryInspection | undefined> {
    const slot = this.slots.find(({ jobs }) => jobs.has(jobId))
    const answer = slot && (await this.ask(slot, timeoutMs, (requestId) => ({ type: 'inspect', requestId, jobId, queryId })))
    return answer?.type === 'inspection' ? answer.query : undefined
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
