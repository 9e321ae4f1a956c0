// The engine's worker threads: started with the platform, each with its jobs; one that dies takes only its own jobs with it.
import { Worker } from 'node:worker_threads'
import type { FromWorker, JobSpec, QueryStatus, ToWorker } from '../engine/index.ts'

export interface WorkerEvents {
  /** When the promise is done the rows count as taken: the worker may send more. */
  message(message: FromWorker): void | Promise<void>
  died(jobs: JobSpec[], reason: string): void
}

const workerUrl = new URL('../engine/worker.ts', import.meta.url)

interface Slot {
  worker: Worker
  jobs: Map<string, JobSpec>
}

export class EngineWorkers {
  private readonly slots: Slot[] = []
  private readonly events: WorkerEvents
  private readonly waiting = new Map<number, (message: FromWorker & { type: 'status' }) => void>()
  private nextRequestId = 1
  private closing = false

  constructor(count: number, events: WorkerEvents) {
    this.events = events
    for (let i = 0; i < count; i++) this.slots.push({ worker: this.spawn(i), jobs: new Map() })
  }

  private spawn(index: number): Worker {
    const worker = new Worker(workerUrl, { name: `engine-${index}` })
    worker.on('message', (message: FromWorker) => {
      if (message.type === 'status') {
        this.waiting.get(message.requestId)?.(message)
        return
      }
      const done = this.events.message(message)
      const rows = message.type === 'changes' ? message.batch.rowCount : message.type === 'records' ? message.recordCount : 0
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
      if (this.closing) return
      const slot = this.slots[index]
      const jobs = [...slot.jobs.values()]
      slot.jobs.clear()
      slot.worker = this.spawn(index)
      this.events.died(jobs, reason)
    })
    return worker
  }

  start(job: JobSpec): void {
    const slot = this.slots.reduce((least, candidate) => (candidate.jobs.size < least.jobs.size ? candidate : least))
    slot.jobs.set(job.id, job)
    this.post(slot, { type: 'start', job })
  }

  stop(jobId: string): void {
    for (const slot of this.slots) if (slot.jobs.delete(jobId)) this.post(slot, { type: 'stop', jobId })
  }

  removeQuery(jobId: string, queryId: string): void {
    for (const slot of this.slots) if (slot.jobs.has(jobId)) this.post(slot, { type: 'removeQuery', jobId, queryId })
  }

  /** The state of all queries; a worker that does not answer in `timeoutMs` is left out. */
  async status(timeoutMs = 1_000): Promise<{ queries: QueryStatus[]; positions: (FromWorker & { type: 'status' })['positions'] }> {
    const answers = await Promise.all(
      this.slots.map((slot) => {
        const requestId = this.nextRequestId++
        return new Promise<(FromWorker & { type: 'status' }) | undefined>((resolve) => {
          const timer = setTimeout(() => finish(undefined), timeoutMs)
          const finish = (message: (FromWorker & { type: 'status' }) | undefined) => {
            clearTimeout(timer)
            this.waiting.delete(requestId)
            resolve(message)
          }
          this.waiting.set(requestId, finish)
          this.post(slot, { type: 'status', requestId })
        })
      }),
    )
    return { queries: answers.flatMap((answer) => answer?.queries ?? []), positions: answers.flatMap((answer) => answer?.positions ?? []) }
  }

  async close(): Promise<void> {
    this.closing = true
    await Promise.all(this.slots.map(({ worker }) => worker.terminate()))
  }

  private post(slot: Slot, message: ToWorker): void {
    slot.worker.postMessage(message)
  }
}
