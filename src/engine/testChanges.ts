// For tests: the rows that a changelog amounts to, however it was cut into batches and in whatever order rows of different keys came.
import { type Batch, isRetraction, rowAt } from '../data/index.ts'

export class ChangeCounts {
  /** By the row's text; rows that were taken back are gone. */
  readonly counts = new Map<string, number>()
  add(batch: Batch): void {
    for (let row = 0; row < batch.rowCount; row++) {
      const text = rowAt(batch, row).map(String).join('|')
      const count = (this.counts.get(text) ?? 0) + (isRetraction(batch.kinds?.[row] ?? 0) ? -1 : 1)
      if (count === 0) this.counts.delete(text)
      else this.counts.set(text, count)
    }
  }
}
