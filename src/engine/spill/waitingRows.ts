// Rows on their way to state that is on the disk: kept by column, in the order of their arrival, until they are many enough to fetch it for them.
//
// Invariants
//   1. Rows of one input come out in the order in which they came, and behind those of the other input that came before.
//   2. Each sees the watermark that it saw. Its processing time is that of the last row with which it waited.
import type { Batch, Column, SqlType } from '../../data/index.ts'
import { ordinals } from '../operators/emission.ts'
import type { KeyTableSnapshot } from '../state/keyTable.ts'
import { RowStore } from '../state/rowStore.ts'

export interface RunSnapshot {
  input: number
  rows: KeyTableSnapshot
  kinds?: Uint8Array
  watermarks?: Float64Array
  watermarkAfter: number
  processingTimeMs: number
}

/** Rows of one input. */
export class Run {
  readonly input: number
  private readonly rows: RowStore
  private kinds: Uint8Array | undefined
  private watermarks: Float64Array | undefined
  private watermarkAfter = -Infinity
  private processingTimeMs = 0

  constructor(input: number, types: readonly SqlType[], saved?: RunSnapshot) {
    this.input = input
    this.rows = new RowStore(types, saved?.rows)
    if (saved === undefined) return
    this.kinds = saved.kinds?.slice()
    this.watermarks = saved.watermarks?.slice()
    this.watermarkAfter = saved.watermarkAfter
    this.processingTimeMs = saved.processingTimeMs
  }

  get count(): number {
    return this.rows.count
  }
  get byteSize(): number {
    return this.rows.byteSize + this.count * ((this.kinds ? 1 : 0) + (this.watermarks ? 8 : 0))
  }

  add({ rowCount, columns, kinds, watermarksBefore, watermarkAfter, processingTimeMs }: Batch): void {
    const first = this.rows.append(columns, ordinals(rowCount), rowCount)
    if (kinds !== undefined || this.kinds !== undefined) {
      this.kinds = reserved(this.kinds ?? new Uint8Array(0), first + rowCount)
      if (kinds !== undefined) this.kinds.set(kinds.subarray(0, rowCount), first)
    }
    if (watermarksBefore !== undefined || this.watermarks !== undefined) {
      this.watermarks = reserved(this.watermarks ?? new Float64Array(first).fill(-Infinity), first + rowCount)
      const seen = watermarksBefore ?? new Float64Array(rowCount).fill(-Infinity)
      this.watermarks.set(seen.subarray(0, rowCount), first)
    }
    this.watermarkAfter = watermarkAfter
    this.processingTimeMs = processingTimeMs
  }

  /** Of each row, the watermark that it saw. */
  watermarksSeen(): Float64Array {
    return this.watermarks?.subarray(0, this.count) ?? new Float64Array(this.count).fill(-Infinity)
  }

  columns(): Column[] {
    return this.rows.columns()
  }

  /** These rows as a batch of `columns`, which are theirs; they have arrived in the order of their ordinals, behind `earlier` ones of other runs. */
  batch(columns: Column[], rows: Int32Array, earlier = 0): Batch {
    const { kinds, watermarks, watermarkAfter, processingTimeMs } = this
    return {
      rowCount: rows.length,
      columns,
      kinds: kinds && Uint8Array.from(rows, (row) => kinds[row]),
      watermarksBefore: watermarks && Float64Array.from(rows, (row) => watermarks[row]),
      watermarkAfter,
      arrivals: earlier === 0 ? rows : rows.map((row) => row + earlier),
      processingTimeMs,
    }
  }

  snapshot(): RunSnapshot {
    const { input, count, kinds, watermarks, watermarkAfter, processingTimeMs } = this
    return {
      input,
      rows: this.rows.snapshot(),
      ...(kinds && { kinds: kinds.subarray(0, count) }),
      ...(watermarks && { watermarks: watermarks.subarray(0, count) }),
      watermarkAfter,
      processingTimeMs,
    }
  }
}

function reserved<A extends Uint8Array | Float64Array>(array: A, length: number): A {
  if (length <= array.length) return array
  const larger = new (array.constructor as { new (length: number): A })(Math.max(length, array.length * 2))
  larger.set(array as never)
  return larger
}

export class WaitingRows {
  private readonly types: readonly SqlType[][]
  private runs: Run[] = []

  constructor(types: readonly SqlType[][]) {
    this.types = types
  }

  get isEmpty(): boolean {
    return this.runs.length === 0
  }
  get byteSize(): number {
    return this.runs.reduce((sum, run) => sum + run.byteSize, 0)
  }
  get rowCount(): number {
    return this.runs.reduce((sum, { count }) => sum + count, 0)
  }

  add(batch: Batch, input: number): void {
    let run = this.runs.at(-1)
    if (run?.input !== input) this.runs.push((run = new Run(input, this.types[input])))
    run.add(batch)
  }

  /** All that wait; none do afterwards. */
  take(): Run[] {
    return this.runs.splice(0)
  }

  snapshot(): RunSnapshot[] {
    return this.runs.map((run) => run.snapshot())
  }
  restore(runs: readonly RunSnapshot[]): void {
    this.runs = runs.map((run) => new Run(run.input, this.types[run.input], run))
  }
}
