// What a decoder of rows is, whatever the format.
import type { StreamError } from '../base/index.ts'
import type { Column } from '../data/index.ts'

export interface DecodedRows {
  columns: Column[]
  rowCount: number
  /** Index of each row in the source; absent if all rows are there. */
  rows?: Int32Array
}

export interface RowDecoder {
  /**
   * Decodes the rows `bytes[starts[i] … ends[i])` for i < count, in order. Rows that fail are left out and reported.
   * Text columns may point into `bytes`.
   *
   * @param onError  called for each row that is left out, with FORMAT_… errors; not called where the format's ignore-parse-errors is set
   */
  decode(
    bytes: Uint8Array,
    starts: Int32Array,
    ends: Int32Array,
    count: number,
    onError: (index: number, error: StreamError) => void,
  ): DecodedRows
}
