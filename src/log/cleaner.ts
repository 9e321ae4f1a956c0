// When and where compaction runs: beside everything else, in a thread of its own that lives as long as there is something to do.
//
//   timer --> writer thread: what is due? --> cleaner thread: reads sealed segments, writes new ones, syncs --> writer thread: renames
//
// Invariants
//   1. The writer thread only looks at its list of segments and renames files, so appends wait for no compaction.
//   2. At most one compaction runs. What becomes due while it does, and a partition whose compaction failed or made no way, waits for the
//      next round: so a round ends.
import { on } from 'node:events'
import { Worker } from 'node:worker_threads'
import { toStreamError } from '../base/index.ts'
import type { FromCleaner } from './cleanerThread.ts'
import type { CompactionJob } from './compaction.ts'
import type { LogLimits } from './contract.ts'
import { logErrors, reviveLogError } from './errors.ts'
import { logMetrics } from './logMetrics.ts'
import type { CallName, Calls } from './writerMessages.ts'

type Call = <N extends CallName>(name: N, ...args: Calls[N]['args']) => Promise<Calls[N]['result']>

export class Cleaner {
  private readonly call: Call
  private readonly limits: LogLimits
  private readonly timer: NodeJS.Timeout
  private worker: Worker | undefined
  private running: Promise<number> | undefined
  private isStopped = false

  constructor(call: Call, limits: LogLimits) {
    this.call = call
    this.limits = limits
    this.timer = setInterval(() => this.run().catch(() => {}), limits.compactionCheckMs)
    this.timer.unref()
  }

  /** Compacts all that is due. Returns the bytes that this freed. */
  run(): Promise<number> {
    this.running ??= this.clean().finally(() => (this.running = undefined))
    return this.running
  }

  async stop(): Promise<void> {
    this.isStopped = true
    clearInterval(this.timer)
    await this.worker?.terminate()
    await this.running?.catch(() => {})
  }

  private async clean(): Promise<number> {
    const skipped = new Set<string>()
    let freedBytes = 0
    try {
      while (!this.isStopped) {
        const job = await this.call('nextCompaction', this.limits.compactionKeysMax, skipped)
        if (!job) break
        const key = `${job.topic.id} ${job.partition}`
        try {
          const done = await this.work(job)
          freedBytes += done.freedBytes
          if (!done.isFurther) skipped.add(key)
          logMetrics.compactions.inc({ result: 'done' })
        } catch (error) {
          // Tried again with the next round; damage is reported to whoever reads it, and on the next start.
          logMetrics.compactions.inc({ result: toStreamError(error).code })
          skipped.add(key)
        }
      }
    } finally {
      await this.worker?.terminate()
      this.worker = undefined
    }
    return freedBytes
  }

  private async work(job: CompactionJob): Promise<{ freedBytes: number; isFurther: boolean }> {
    const { id } = job.topic
    this.worker ??= new Worker(new URL('./cleanerThread.ts', import.meta.url), { name: 'log-cleaner' })
    const { worker } = this
    worker.postMessage(job)
    // What an idle process waits for is not the cleaner.
    worker.unref()
    let freedBytes = 0
    for await (const [message] of on(worker, 'message', { close: ['exit'] }) as AsyncIterable<[FromCleaner]>) {
      switch (message.kind) {
        case 'segment':
          freedBytes += (await this.call('replaceSegments', id, job.partition, message.segment)) ?? 0
          break
        case 'failed':
          throw reviveLogError(message.error)
        case 'done': {
          const { outcome } = message
          await this.call('finishCompaction', id, job.partition, outcome)
          logMetrics.compactedRecords.inc(Math.max(0, outcome.recordsIn - outcome.recordsOut))
          return { freedBytes, isFurther: outcome.endOffset > job.firstDirtyOffset && outcome.endOffset < job.limitOffset }
        }
      }
    }
    throw logErrors('LOG_WRITER_STOPPED', { reason: 'the cleaner thread ended' })
  }
}
