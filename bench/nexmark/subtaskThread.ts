// The thread of one subtask: takes orders from subtasks.ts, one after the other.
import { parentPort, workerData } from 'node:worker_threads'
import type { Batch } from '../../src/data/index.ts'
import { Links } from '../../src/engine/index.ts'
import { CsvSink } from './csvSink.ts'
import { hashQuery, planOf, runQuery } from './run.ts'
import type { SubtaskOrder, SubtaskReport } from './subtasks.ts'

const discard = (_batch: Batch): void => {}

function carryOut({ query, links: shared, gate, measure, check }: SubtaskOrder): SubtaskReport {
  const ready = new Int32Array(gate)
  try {
    const plan = planOf(query)
    const links = new Links(shared, workerData as number)
    const csv = query === 'q10' ? new CsvSink() : undefined
    Atomics.add(ready, 0, 1)
    Atomics.notify(ready, 0)
    Atomics.wait(ready, 1, 0)
    if (check !== undefined) return { rowsOut: 0, lateRows: 0, hash: hashQuery(plan, check, links) }
    const { rowsOut, lateRows } = runQuery(plan, measure!, csv === undefined ? discard : (batch) => csv.write(batch), links)
    return { rowsOut, lateRows }
  } catch (error) {
    Atomics.add(ready, 0, 1)
    Atomics.notify(ready, 0)
    return { error: `${query}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}` }
  }
}

parentPort?.on('message', (order: SubtaskOrder) => parentPort?.postMessage(carryOut(order)))
