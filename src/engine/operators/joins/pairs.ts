// Judging pairs of rows held as JS values.
import { batchOf, type Field } from '../../../data/index.ts'
import { SAMPLES_MAX } from '../../operator.ts'
import type { Condition } from '../conditions.ts'
import type { Row } from '../rows.ts'

/** Which of the joined rows satisfy the condition; all if there is none. */
export function judge(
  condition: Condition | undefined,
  fields: readonly Field[],
  joined: readonly Row[],
  processingTimeMs: number,
): (i: number) => boolean {
  if (condition === undefined || joined.length === 0) return () => true
  const passed = condition(batchOf(fields, joined as Row[]).columns, joined.length, processingTimeMs)
  return (i) => passed[i] === 1
}

export const nullsFor = (fields: readonly Field[]): Row => fields.map(() => null)

/** Counts rows that left without a partner, and keeps the last few. Since the start: not part of a snapshot. */
export class Unmatched {
  private count = 0
  private samples: Row[] = []

  add(row: Row): void {
    this.count++
    this.samples.push(row)
    if (this.samples.length > SAMPLES_MAX) this.samples.shift()
  }
  /** Counts rows that are not worth a sample. */
  skip(count: number): void {
    this.count += count
  }
  status(): { unmatched: number; samples: Row[] } {
    return { unmatched: this.count, samples: this.samples }
  }
}
