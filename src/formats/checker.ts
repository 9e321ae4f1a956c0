// What the front door asks of a format: whether an event fits the columns, and the text of a few of its fields.
import type { RowFailure } from './errors.ts'

export interface EventChecker {
  /** Sets the bytes that the next events lie in. */
  begin(bytes: Uint8Array): void
  /** The failure of the event `[start, end)`; undefined if it fits the columns. */
  check(start: number, end: number): RowFailure | undefined
  /**
   * Of the last event that fitted: the text of captured field k is `sources[k][captures[2k] … captures[2k + 1])`: of a text without quotes and
   * escapes, of anything else as JSON has it. The start is -1 where the field is missing or null.
   */
  readonly captures: Int32Array
  readonly sources: Uint8Array[]
}
