// TABLE(TUMBLE | HOP | CUMULATE …) without aggregation: adds window_start, window_end and window_time. Stateless; late rows stay.
import { type Batch, type Column, gather } from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import { engineErrors } from '../errors.ts'
import type { Operator, OperatorContext } from '../operator.ts'
import { WindowShape } from './windows.ts'

export class WindowTvfOperator implements Operator {
  private readonly plan: Plan & { node: 'windowTvf' }
  private readonly context: OperatorContext
  private readonly shape: WindowShape

  constructor(plan: Plan & { node: 'windowTvf' }, context: OperatorContext) {
    this.plan = plan
    this.context = context
    this.shape = new WindowShape(plan.window)
  }

  process(batch: Batch): void {
    const { shape } = this
    const isEvent = this.plan.window.timeAttribute === 'event'
    const column = isEvent ? (batch.columns[this.plan.timeColumn] as Column & { lane: 'f64' }) : undefined
    const rows: number[] = []
    const starts: number[] = []
    const ends: number[] = []
    for (let row = 0; row < batch.rowCount; row++) {
      if (column?.nulls?.[row] === 1) {
        const field = this.plan.input.fields[this.plan.timeColumn]
        this.context.rowFailed(batch, row, engineErrors('ROWTIME_NULL', { column: field.name, table: 'window' }))
        continue
      }
      const slice = shape.sliceStart(shape.clock.toLocal(column?.data[row] ?? batch.processingTimeMs))
      const last = shape.lastWindowEnd(slice)
      for (let end = shape.firstWindowEnd(slice); end <= last; end += shape.intervalMs) {
        rows.push(row)
        starts.push(shape.windowStart(end))
        ends.push(end)
      }
    }
    const rowCount = rows.length
    if (rowCount === 0) return
    const isSame = rowCount === batch.rowCount && shape.kind === 'TUMBLE'
    const picks = Int32Array.from(rows)
    const taken = isSame ? batch.columns : batch.columns.map((input) => gather(input, picks, rowCount))
    const times = (values: Iterable<number>): Column => ({ lane: 'f64', data: Float64Array.from(values) })
    const { kinds, watermarksBefore, arrivals } = batch
    this.context.emit({
      ...batch,
      rowCount,
      columns: [...taken, times(starts), times(ends), times(ends.map((end) => shape.clock.toEpoch(end - 1)))],
      kinds: kinds && picks && Uint8Array.from(picks, (row) => kinds[row]),
      watermarksBefore: watermarksBefore && Float64Array.from(picks, (row) => watermarksBefore[row]),
      arrivals: arrivals && Int32Array.from(picks, (row) => arrivals[row]),
    })
  }

  advance(): void {}
}
