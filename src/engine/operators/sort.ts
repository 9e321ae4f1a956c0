// ORDER BY the time attribute: rows wait until the watermark reaches their time, then leave in order. By processing time nothing waits:
// the rows of a batch are of one time, and leave in the order of the other sort keys.
//
// Invariants
//   1. Rows leave in order of time, then of the other sort keys, then of arrival. Output is append-only.
//   2. A row is late only if it is not later than the last row that has left: rows behind the watermark can still come through.
//   3. What a row's own watermark lets out leaves before the row is looked at: how rows are cut into batches changes nothing.
import { type Batch, rowAt } from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import { heapPop, heapPush } from '../aggregates/index.ts'
import { engineErrors } from '../errors.ts'
import type { Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { type StateTable, waitingTable } from '../state/stateTable.ts'
import { isNullAt, type Row, RowOutput, rowOrder, timeAt } from './rows.ts'

interface Waiting {
  time: number
  arrival: number
  row: Row
}

export class SortOperator implements Operator {
  private readonly context: OperatorContext
  private readonly output: RowOutput
  private readonly timeColumn: number
  private readonly isProcessingTime: boolean
  private readonly timeName: string
  private readonly leavesFirst: (a: Waiting, b: Waiting) => boolean
  private waiting: Waiting[] = []
  private arrivals = 0
  private watermarkMs = -Infinity
  private lastMs = -Infinity

  constructor(plan: Plan & { node: 'sort' }, context: OperatorContext) {
    const [time, ...rest] = plan.orderBy
    const timeAttribute = time && plan.input.fields[time.column].timeAttribute
    if (timeAttribute === undefined || time.descending)
      throw engineErrors('OPERATOR_UNSUPPORTED', { what: 'ORDER BY of a stream without LIMIT, other than by its time ascending,' })
    this.isProcessingTime = timeAttribute === 'processing'
    this.context = context
    this.output = new RowOutput(plan.fields, context)
    this.timeColumn = time.column
    this.timeName = plan.input.fields[time.column].name
    const order = rowOrder(this.isProcessingTime ? rest : plan.orderBy)
    this.leavesFirst = (a, b) => {
      const compared = order(a.row, b.row)
      return compared < 0 || (compared === 0 && a.arrival < b.arrival)
    }
  }

  process(batch: Batch): void {
    this.output.processingTimeMs = batch.processingTimeMs
    if (this.isProcessingTime) {
      const rows = Array.from({ length: batch.rowCount }, (_, i) => ({ time: 0, arrival: i, row: rowAt(batch, i) }))
      rows.sort((a, b) => (this.leavesFirst(a, b) ? -1 : 1))
      for (const { row } of rows) this.output.put(row)
      this.output.flush()
      return
    }
    const column = batch.columns[this.timeColumn]
    const late: number[] = []
    for (let i = 0; i < batch.rowCount; i++) {
      const seen = batch.watermarksBefore?.[i] ?? -Infinity
      if (seen > this.watermarkMs) this.fire(seen)
      if (isNullAt(column, i)) this.context.rowFailed(batch, i, engineErrors('ROWTIME_NULL', { column: this.timeName, table: 'ORDER BY' }))
      else if (timeAt(column, i) <= this.lastMs) late.push(i)
      else heapPush(this.waiting, { time: timeAt(column, i), arrival: this.arrivals++, row: rowAt(batch, i) }, this.leavesFirst)
    }
    this.output.flush()
    if (late.length > 0) this.context.late(batch, late)
  }

  advance(watermarkMs: number): void {
    if (this.isProcessingTime) return
    this.fire(watermarkMs)
    this.output.flush()
  }

  private fire(watermarkMs: number): void {
    // What arrived behind a watermark waits for the next one.
    if (watermarkMs <= this.watermarkMs) return
    this.output.seenMs = this.watermarkMs
    while (this.waiting.length > 0 && this.waiting[0].time <= watermarkMs) {
      const { time, row } = heapPop(this.waiting, this.leavesFirst) as Waiting
      this.lastMs = time
      this.output.put(row)
    }
    this.watermarkMs = watermarkMs
  }

  snapshot(): unknown {
    const { waiting, arrivals, watermarkMs, lastMs } = this
    return { waiting: waiting.slice(), arrivals, watermarkMs, lastMs }
  }
  restore(state: unknown, adds = false): void {
    // All rows meet in one subtask: the others have nothing.
    if (!adds) Object.assign(this, state)
  }
  stateTables(): StateTable[] {
    return [waitingTable('waiting rows', this.context.inputFields[0], [], () => this.waiting)]
  }

  describe(): OperatorStatus {
    return { stateRows: this.waiting.length, stateBytes: this.waiting.length * 256 }
  }
}
