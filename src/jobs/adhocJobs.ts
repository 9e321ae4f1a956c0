// Queries of people who are looking: each a job of its own, beside the project's, and with functions that may not return in a thread of its own. They
// leave nothing behind.
import type { ErrorBody } from '../base/index.ts'
import type { Batch } from '../data/index.ts'
import { type FromWorker, mayHoldUp, type QueryInspection, type SourceSpec } from '../engine/index.ts'
import type { Log } from '../log/index.ts'
import type { Plan } from '../sql/index.ts'
import { sourceSpecs, withReadings } from './tables.ts'
import type { EngineWorkers } from './workers.ts'

/** A query of a person who is looking: its rows go to a callback, and it leaves nothing behind. */
export interface AdhocOptions {
  /** Read what is in the topics now, then end; else go on until stopped. */
  bounded: boolean
  /** Where its topics are read from, whatever its tables say. */
  startup?: SourceSpec['startup']
  /** By topic: the part that is read. */
  slices?: ReadonlyMap<string, NonNullable<SourceSpec['slice']>>
  onChanges(batch: Batch): void
  onEnd(error?: ErrorBody): void
}

export interface AdhocRun {
  stop(): void
  /** What it does now; undefined before it has begun, and where its worker does not answer. */
  inspect(): Promise<QueryInspection | undefined>
}

const ADHOC = 'adhoc-'
/** Also of one that has ended, whose messages are still on their way. */
export const isAdhoc = (jobId: string): boolean => jobId.startsWith(ADHOC)

export class AdhocJobs {
  private readonly log: Log
  private readonly workers: Pick<EngineWorkers, 'start' | 'stop' | 'inspect'>
  private readonly jobs = new Map<string, AdhocOptions>()
  private count = 0

  constructor(log: Log, workers: Pick<EngineWorkers, 'start' | 'stop' | 'inspect'>) {
    this.log = log
    this.workers = workers
  }

  /** Runs a query beside the project's. */
  run(query: Plan, options: AdhocOptions, timeZone: string): AdhocRun {
    const plan = withReadings(query)
    const jobId = `${ADHOC}${++this.count}`
    const { startup, slices } = options
    const sources = sourceSpecs(this.log, [plan]).map((source) => ({
      ...source,
      startup: startup ?? source.startup,
      slice: slices?.get(source.topic),
    }))
    this.jobs.set(jobId, options)
    const queries = [{ id: jobId, name: jobId, plan, sink: { kind: 'collect' as const } }]
    this.workers.start({ id: jobId, queries, sources, timeZone, bounded: options.bounded }, 1, mayHoldUp(plan))
    return {
      stop: () => {
        this.jobs.delete(jobId)
        this.workers.stop(jobId)
      },
      inspect: () => this.workers.inspect(jobId, jobId),
    }
  }

  has(jobId: string): boolean {
    return this.jobs.has(jobId)
  }

  changes({ jobId, batch }: FromWorker & { type: 'changes' }): void {
    this.jobs.get(jobId)?.onChanges(batch)
  }

  /** Its job has ended; one that is not here is none of ours. */
  end(jobId: string, error?: ErrorBody): void {
    const adhoc = this.jobs.get(jobId)
    this.jobs.delete(jobId)
    adhoc?.onEnd(error)
  }
}
