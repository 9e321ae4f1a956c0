// Nexmark queries in several threads: a worker for each subtask, which live on from query to query, as warm as a server's.
import { Worker } from 'node:worker_threads'
import { type SharedLinks, shareLinks } from '../../src/engine/index.ts'
import type { ExpectedRun } from './model.ts'
import { ResultHash } from './resultHash.ts'
import type { RunOptions, RunResult } from './run.ts'

/** One query for a subtask: to be measured, or to be checked. */
export interface SubtaskOrder {
  query: string
  links: SharedLinks
  /** Number of subtasks that are ready; they begin together. */
  gate: SharedArrayBuffer
  measure?: RunOptions
  check?: Omit<ExpectedRun, 'results'>
}
export type SubtaskReport = { rowsOut: number; lateRows: number; hash?: ResultHash } | { error: string }

export class Subtasks {
  private readonly workers: Worker[]

  constructor(parallelism: number) {
    this.workers = Array.from({ length: parallelism }, (_, subtask) => {
      const worker = new Worker(new URL('./subtaskThread.ts', import.meta.url), { workerData: subtask })
      return worker
    })
  }

  /** Wall clock from the moment at which all are ready to the last one's end; CPU time of the whole process. */
  async measure(query: string, options: RunOptions): Promise<RunResult & { lateRows: number }> {
    const cpu = process.cpuUsage()
    const { reports, wallMs } = await this.run({ query, measure: options })
    const { user, system } = process.cpuUsage(cpu)
    const sum = (of: 'rowsOut' | 'lateRows') => reports.reduce((all, report) => all + report[of], 0)
    return { wallMs, cpuMs: (user + system) / 1000, rowsOut: sum('rowsOut'), lateRows: sum('lateRows') }
  }

  async check(query: string, run: Omit<ExpectedRun, 'results'>): Promise<{ rows: number; hash: string }> {
    const { reports } = await this.run({ query, check: run })
    const whole = new ResultHash()
    for (const { hash } of reports) if (hash !== undefined) whole.merge(hash)
    return whole.result
  }

  private async run(order: Pick<SubtaskOrder, 'query' | 'measure' | 'check'>) {
    const links = shareLinks(this.workers.length)
    const gate = new SharedArrayBuffer(8)
    const ready = new Int32Array(gate)
    const reports = this.workers.map(
      (worker) =>
        new Promise<Exclude<SubtaskReport, { error: string }>>((resolve, reject) => {
          worker.once('message', (report: SubtaskReport) => ('error' in report ? reject(new Error(report.error)) : resolve(report)))
          worker.postMessage({ ...order, links, gate } satisfies SubtaskOrder)
        }),
    )
    for (let count = 0; count < this.workers.length; count = Atomics.load(ready, 0)) {
      const changed = Atomics.waitAsync(ready, 0, count)
      if (changed.async) await changed.value
    }
    Atomics.store(ready, 1, 1)
    Atomics.notify(ready, 1)
    const startedMs = performance.now()
    const all = await Promise.all(reports)
    return { reports: all, wallMs: performance.now() - startedMs }
  }

  async close(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.terminate()))
  }
}
