// Nexmark queries in several threads.
import { Threads } from '../threads.ts'
import type { ExpectedRun } from './model.ts'
import { ResultHash } from './resultHash.ts'
import type { RunOptions, RunResult } from './run.ts'

/** One query, to be measured or to be checked. */
export interface SubtaskOrder {
  query: string
  measure?: RunOptions
  check?: Omit<ExpectedRun, 'results'>
}
export interface SubtaskReport {
  rowsOut: number
  lateRows: number
  hash?: ResultHash
}

export class Subtasks {
  private readonly threads: Threads<SubtaskOrder, SubtaskReport>

  constructor(parallelism: number) {
    this.threads = new Threads(new URL('./subtaskThread.ts', import.meta.url), parallelism)
  }

  async measure(query: string, options: RunOptions): Promise<RunResult & { lateRows: number }> {
    const { reports, wallMs, cpuMs } = await this.threads.run({ query, measure: options })
    const sum = (of: 'rowsOut' | 'lateRows') => reports.reduce((all, report) => all + report[of], 0)
    return { wallMs, cpuMs, rowsOut: sum('rowsOut'), lateRows: sum('lateRows') }
  }

  async check(query: string, run: Omit<ExpectedRun, 'results'>): Promise<{ rows: number; hash: string }> {
    const { reports } = await this.threads.run({ query, check: run })
    const whole = new ResultHash()
    for (const { hash } of reports) if (hash !== undefined) whole.merge(hash)
    return whole.result
  }

  close(): Promise<void> {
    return this.threads.close()
  }
}
