// What each query does, in the process's metrics: as of the last poll, about a second old.
import { Counter, Gauge } from 'prom-client'
import { metrics } from '../base/index.ts'
import type { JobManager } from './manager.ts'

type Summary = ReturnType<JobManager['queries']>[number]
let shown: Pick<JobManager, 'queries'> | undefined

const SPENT = ['busy', 'backPressured', 'idle'] as const

function declare(kind: typeof Counter | typeof Gauge, name: string, help: string, read: (query: Summary) => number | undefined): void {
  new kind({
    name,
    help,
    labelNames: ['query'],
    registers: [metrics],
    collect() {
      // Also a counter is what the query says: it begins at zero when the query does.
      this.reset()
      for (const query of shown?.queries() ?? []) {
        const value = read(query)
        if (value !== undefined) this.inc({ query: query.id }, value)
      }
    },
  })
}

declare(Counter, 'millrace_query_rows_in_total', 'Rows that a query has read.', ({ rowsIn }) => rowsIn)
declare(Counter, 'millrace_query_rows_out_total', 'Rows that a query has put out.', ({ rowsOut }) => rowsOut)
declare(Counter, 'millrace_query_late_rows_total', 'Rows that came too late for a query.', ({ lateRows }) => lateRows)
declare(Counter, 'millrace_query_failed_rows_total', 'Rows that a query could not read or compute.', ({ failedRows }) => failedRows)
declare(Counter, 'millrace_query_restarts_total', 'How often a query was begun again after a failure.', ({ restarts }) => restarts)
declare(Gauge, 'millrace_query_up', '1 while a query runs, 0 when it is stopped or has failed.', ({ state }) => Number(state === 'running'))
declare(Gauge, 'millrace_query_state_bytes', 'What the operators of a query hold in memory.', ({ stateBytes }) => stateBytes)
declare(Gauge, 'millrace_query_threads', 'In how many threads a query runs.', ({ parallelism }) => parallelism)
declare(Gauge, 'millrace_query_watermark_timestamp_seconds', 'The watermark of a query, in event time.', ({ watermarkMs }) =>
  watermarkMs === undefined || Math.abs(watermarkMs) > 8.64e15 ? undefined : watermarkMs / 1_000,
)
declare(Gauge, 'millrace_query_checkpoint_timestamp_seconds', 'When the newest checkpoint of a query was begun.', ({ checkpointMs }) =>
  checkpointMs === undefined ? undefined : checkpointMs / 1_000,
)
new Counter({
  name: 'millrace_query_time_seconds_total',
  help: 'Time of the threads that run a query: busy, back-pressured (they wait for what takes their rows) or idle.',
  labelNames: ['query', 'activity'],
  registers: [metrics],
  collect() {
    this.reset()
    for (const { id, spentMs } of shown?.queries() ?? [])
      for (const activity of SPENT) this.inc({ query: id, activity }, spentMs[activity] / 1_000)
  },
})

/** The queries that the metrics show from now on. */
export function showQueries(manager: Pick<JobManager, 'queries'>): void {
  shown = manager
}
