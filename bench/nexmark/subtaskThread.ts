// The thread of one subtask of a Nexmark query.
import type { Batch } from '../../src/data/index.ts'
import { serveTasks } from '../threads.ts'
import { CsvSink } from './csvSink.ts'
import { hashQuery, planOf, runQuery } from './run.ts'
import type { SubtaskOrder, SubtaskReport } from './subtasks.ts'

const discard = (_batch: Batch): void => {}

serveTasks(({ query, measure, check }: SubtaskOrder, links): (() => SubtaskReport) => {
  const plan = planOf(query)
  const csv = query === 'q10' ? new CsvSink(plan.fields) : undefined
  if (check !== undefined) return () => ({ rowsOut: 0, lateRows: 0, hash: hashQuery(plan, check, links) })
  return () => {
    const { rowsOut, lateRows } = runQuery(plan, measure!, csv === undefined ? discard : (batch) => csv.write(batch), links)
    return { rowsOut, lateRows }
  }
})
