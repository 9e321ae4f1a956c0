// What `why` needs of a running graph: recent rows of each edge, late rows with the watermark and window that they missed, values as plain JSON.
import { type Batch, type Column, changeKindTexts, type Field, rowAt } from '../data/index.ts'
import type { Plan } from '../sql/index.ts'
import { formatValue } from './expressions/index.ts'
import { SAMPLES_MAX } from './operator.ts'
import { WindowShape } from './operators/windows.ts'

/** A row as `why` shows it: values as JSON has them, in the order of the node's columns. */
export interface SampleRow {
  op: '+I' | '-U' | '+U' | '-D'
  row: unknown[]
}

/** Why a row was late: the watermark that it saw, epoch ms, and the last window that would have taken it, in the window's own zone. */
export interface Lateness {
  watermarkMs: number
  window?: { startMs: number; endMs: number }
}
export interface LateSample extends SampleRow, Lateness {}

/** Integers that a double cannot hold become text. */
function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (Array.isArray(value)) return value.map(plainValue)
  if (value !== null && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, plainValue(v)]))
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}

export const plainRow = (row: readonly unknown[], fields: readonly Field[]): unknown[] =>
  row.map((value, i) => plainValue(formatValue(value, fields[i].type)))

const kindOf = (batch: Batch, row: number): SampleRow['op'] => changeKindTexts[(batch.kinds?.[row] ?? 0) as 0]

/** A new look at a busy edge is taken this often: rows are copied out of their batch, which must stay cheap. */
const SAMPLE_PAUSE_MS = 250

/** The last rows that went over an edge, as of up to a quarter of a second ago. */
export class EdgeSamples {
  private rows: { op: SampleRow['op']; row: unknown[] }[] = []
  private takenMs = -Infinity

  take(batch: Batch): void {
    if (this.rows.length === SAMPLES_MAX && batch.processingTimeMs - this.takenMs < SAMPLE_PAUSE_MS) return
    this.takenMs = batch.processingTimeMs
    for (let row = Math.max(0, batch.rowCount - SAMPLES_MAX); row < batch.rowCount; row++) {
      this.rows.push({ op: kindOf(batch, row), row: rowAt(batch, row) })
      if (this.rows.length > SAMPLES_MAX) this.rows.shift()
    }
  }

  status(fields: readonly Field[]): SampleRow[] {
    return this.rows.map(({ op, row }) => ({ op, row: plainRow(row, fields) }))
  }
}

/** Late rows of one operator: how many, and the last few. */
export class LateRows {
  count = 0
  private samples: { batchRow: SampleRow; fields: Field[]; lateness: Lateness }[] = []

  add(batch: Batch, rows: readonly number[], fields: Field[], lateness: readonly Lateness[]): void {
    this.count += rows.length
    for (let i = Math.max(0, rows.length - SAMPLES_MAX); i < rows.length; i++) {
      this.samples.push({ batchRow: { op: kindOf(batch, rows[i]), row: rowAt(batch, rows[i]) }, fields, lateness: lateness[i] })
      if (this.samples.length > SAMPLES_MAX) this.samples.shift()
    }
  }

  status(): LateSample[] {
    return this.samples.map(({ batchRow, fields, lateness }) => ({ op: batchRow.op, row: plainRow(batchRow.row, fields), ...lateness }))
  }
}

/** @param input  which input of the node the batch came from */
export function latenessOf(plan: Plan, batch: Batch, rows: readonly number[], input: number, watermarkMs: number): Lateness[] {
  const windowOf = windowFinder(plan, batch, input)
  return rows.map((row) => {
    const window = windowOf?.(row)
    return { watermarkMs: Math.max(watermarkMs, batch.watermarksBefore?.[row] ?? -Infinity), ...(window && { window }) }
  })
}

function windowFinder(plan: Plan, batch: Batch, input: number): ((row: number) => { startMs: number; endMs: number }) | undefined {
  const timeAt = (column: number, row: number) => (batch.columns[column] as Column & { lane: 'f64' }).data[row]
  const attached = (columns: { start: number; end: number } | undefined) =>
    columns && ((row: number) => ({ startMs: timeAt(columns.start, row), endMs: timeAt(columns.end, row) }))
  switch (plan.node) {
    case 'windowJoin':
      return attached(input === 0 ? plan.leftWindow : plan.rightWindow)
    case 'topN':
      return attached(plan.windowed)
    case 'windowAggregate':
    case 'windowTvf': {
      if (plan.node === 'windowAggregate' && plan.attached) return attached(plan.attached)
      const shape = new WindowShape(plan.window)
      return (row) => {
        const time = shape.clock.toLocal(timeAt(plan.timeColumn, row))
        // Alone, the row would have begun a session of its own.
        if (shape.kind === 'SESSION') return { startMs: time, endMs: time + shape.sizeMs }
        const endMs = shape.lastWindowEnd(shape.sliceStart(time))
        return { startMs: shape.windowStart(endMs), endMs }
      }
    }
    default:
      return undefined
  }
}
