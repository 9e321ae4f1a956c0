// Threads that carry out the subtasks of a query: one each, which live on from query to query, as warm as a server's.
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { Links, type SharedLinks, shareLinks } from '../src/engine/index.ts'

interface Order<T> {
  task: T
  links: SharedLinks
  /** Number of threads that are ready, and a word that turns to 1 when all are. */
  gate: SharedArrayBuffer
}
type Answer<R> = { report: R } | { error: string }

/** Gives the same task to all threads. `T` and `R` are structured-clonable. */
export class Threads<T, R> {
  readonly parallelism: number
  private readonly workers: Worker[]

  /** @param script  calls `serveTasks` */
  constructor(script: URL, parallelism: number) {
    this.parallelism = parallelism
    this.workers = Array.from({ length: parallelism }, (_, subtask) => new Worker(script, { workerData: subtask }))
  }

  /** Wall clock from the moment at which all are ready to the last one's end; CPU time of the whole process. @throws Error of a thread */
  async run(task: T): Promise<{ reports: R[]; wallMs: number; cpuMs: number }> {
    const links = shareLinks(this.parallelism)
    const gate = new SharedArrayBuffer(8)
    const ready = new Int32Array(gate)
    const cpu = process.cpuUsage()
    const reports = this.workers.map(
      (worker) =>
        new Promise<R>((resolve, reject) => {
          worker.once('message', (answer: Answer<R>) => ('error' in answer ? reject(new Error(answer.error)) : resolve(answer.report)))
          worker.postMessage({ task, links, gate } satisfies Order<T>)
        }),
    )
    for (let count = 0; count < this.parallelism; count = Atomics.load(ready, 0)) {
      const changed = Atomics.waitAsync(ready, 0, count)
      if (changed.async) await changed.value
    }
    Atomics.store(ready, 1, 1)
    Atomics.notify(ready, 1)
    const startedMs = performance.now()
    const all = await Promise.all(reports)
    const { user, system } = process.cpuUsage(cpu)
    return { reports: all, wallMs: performance.now() - startedMs, cpuMs: (user + system) / 1000 }
  }

  async close(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.terminate()))
  }
}

/** In a thread: `prepare` does what is not measured and gives what is. */
export function serveTasks<T, R>(prepare: (task: T, links: Links) => () => R): void {
  parentPort?.on('message', ({ task, links, gate }: Order<T>) => {
    const ready = new Int32Array(gate)
    let answer: Answer<R>
    try {
      const work = prepare(task, new Links(links, workerData as number))
      Atomics.add(ready, 0, 1)
      Atomics.notify(ready, 0)
      Atomics.wait(ready, 1, 0)
      answer = { report: work() }
    } catch (error) {
      Atomics.add(ready, 0, 1)
      Atomics.notify(ready, 0)
      answer = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
    parentPort?.postMessage(answer)
  })
}
