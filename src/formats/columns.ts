// Columns being filled by a decoder, row by row, from `out` or by generated code.
import { type Column, type Lane, laneOf, released, type SqlType } from '../data/index.ts'
import type { LayoutTargets } from './json/codegen.ts'
import { out, sideText } from './text.ts'

export class ColumnStore implements LayoutTargets {
  /** The row that is being filled; at the end, the number of rows. */
  row = 0
  data: LayoutTargets['data'] = []
  starts: Int32Array[] = []
  ends: Int32Array[] = []
  nulls: Uint8Array[] = []
  hasNulls: Uint8Array = new Uint8Array(0)
  bigints: BigInt64Array[] = []
  private readonly lanes: Lane[]
  /** 1 for each text column with text in `sideText`; such rows have negative starts: -1 - start. */
  private readonly hasSideText: Uint8Array

  private readonly isLent: boolean
  /** Rows that the arrays have room for. */
  private capacity = -1

  /** @param isLent  the columns of one batch are not used any more when the next one begins: it takes their memory */
  constructor(types: readonly SqlType[], isLent = false) {
    this.isLent = isLent
    this.lanes = types.map(laneOf)
    this.hasSideText = new Uint8Array(types.length)
  }

  /** Makes room for the next batch. */
  begin(rowCount: number): void {
    const { lanes } = this
    sideText.length = 0
    this.row = 0
    this.hasSideText.fill(0)
    this.hasNulls = new Uint8Array(lanes.length)
    if (this.isLent && rowCount <= this.capacity) this.takeBack(rowCount)
    else this.allocate(rowCount)
  }

  private takeBack(rowCount: number): void {
    for (const arrays of [this.nulls, this.starts, this.ends, this.bigints, this.data])
      for (const array of arrays) if (ArrayBuffer.isView(array)) released(new Uint8Array(array.buffer))
    for (const nulls of this.nulls) nulls.fill(0, 0, rowCount)
    // A text that is NULL is empty: what is computed for all rows may look at its limits.
    for (const limits of [this.starts, this.ends]) for (const one of limits) one?.fill(0, 0, rowCount)
    this.lanes.forEach((lane, o) => {
      if (lane === 'any') this.data[o] = new Array(rowCount)
    })
  }

  private allocate(rowCount: number): void {
    this.capacity = rowCount
    this.nulls = this.lanes.map(() => new Uint8Array(rowCount))
    this.lanes.forEach((lane, o) => {
      switch (lane) {
        case 'u8':
          this.data[o] = new Uint8Array(rowCount)
          break
        case 'i32':
          this.data[o] = new Int32Array(rowCount)
          break
        case 'f64':
          this.data[o] = new Float64Array(rowCount)
          break
        case 'i64':
          this.bigints[o] = new BigInt64Array(rowCount)
          this.data[o] = new Int32Array(this.bigints[o].buffer)
          break
        case 'utf8':
          this.starts[o] = new Int32Array(rowCount)
          this.ends[o] = new Int32Array(rowCount)
          break
        case 'any':
          this.data[o] = new Array(rowCount)
          break
      }
    })
  }

  setNull(o: number): void {
    this.nulls[o][this.row] = 1
    this.hasNulls[o] = 1
    if (this.lanes[o] === 'any') this.data[o][this.row] = null as never
  }

  /** Sets column `o` of the current row to the value in `out`. */
  set(o: number): void {
    this.nulls[o][this.row] = 0
    this.put(o, this.row)
  }

  /** As `set`, for a row that is not NULL there. */
  put(o: number, row: number): void {
    switch (this.lanes[o]) {
      case 'u8':
      case 'i32':
      case 'f64':
        this.data[o][row] = out.num
        break
      case 'i64':
        this.bigints[o][row] = out.big
        break
      case 'utf8':
        this.starts[o][row] = out.side ? -1 - out.start : out.start
        this.ends[o][row] = out.end
        if (out.side) this.hasSideText[o] = 1
        break
      case 'any':
        this.data[o][row] = out.value
        break
    }
  }

  /** Forgets the NULLs of a row that failed: its place goes to the next. */
  clearRow(): void {
    for (const nulls of this.nulls) nulls[this.row] = 0
  }

  /** The columns of the batch, whose rows lie in `b[low … high)`. */
  finish(b: Uint8Array, low: number, high: number): Column[] {
    let joined: Uint8Array | undefined
    return this.lanes.map((lane, o): Column => {
      const nulls = this.hasNulls[o] === 1 ? this.nulls[o] : undefined
      if (lane === 'i64') return { lane, data: this.bigints[o], nulls }
      if (lane !== 'utf8') return { lane, data: this.data[o], nulls } as Column
      const starts = this.starts[o]
      const ends = this.ends[o]
      if (this.hasSideText[o] === 0) return { lane, bytes: b, starts, ends, nulls }
      if (joined === undefined) {
        joined = new Uint8Array(high - low + sideText.length)
        joined.set(b.subarray(low, high))
        joined.set(sideText.bytes.subarray(0, sideText.length), high - low)
      }
      for (let row = 0; row < this.row; row++) {
        const isSide = starts[row] < 0
        starts[row] = isSide ? high - low - 1 - starts[row] : starts[row] - low
        ends[row] += isSide ? high - low : -low
      }
      return { lane, bytes: joined, starts, ends, nulls }
    })
  }
}
