// Sink of q10: rows as lines of CSV, in one buffer for each partition (dt, hm), which are the last two columns and not written.
// A full buffer is thrown away where a file sink would hand it to the disk.
import { type Batch, type Field, gather } from '../../src/data/index.ts'
import { makeCsvEncoder } from '../../src/engine/csvEncoder.ts'

const BUFFER_BYTES = 1 << 20

class Part {
  readonly bytes = new Uint8Array(BUFFER_BYTES)
  at = 0
}

export class CsvSink {
  byteCount = 0
  private readonly encode: ReturnType<typeof makeCsvEncoder>
  private readonly parts = new Map<string, Part>()

  /** @param fields  of the rows, partition columns included */
  constructor(fields: readonly Field[]) {
    this.encode = makeCsvEncoder(fields.slice(0, -2), {})
  }

  write({ columns, rowCount }: Batch): void {
    const written = columns.slice(0, -2)
    const [dts, hms] = columns.slice(-2)
    if (dts.lane !== 'any' || hms.lane !== 'any') throw new TypeError('computed texts are in lane any')
    // Rows of one partition come in runs.
    for (let from = 0; from < rowCount; ) {
      const [dt, hm] = [dts.data[from], hms.data[from]]
      let to = from + 1
      while (to < rowCount && dts.data[to] === dt && hms.data[to] === hm) to++
      const isAll = to - from === rowCount
      const rows = Int32Array.from({ length: isAll ? 0 : to - from }, (_, i) => from + i)
      const run = isAll ? written : written.map((column) => gather(column, rows, rows.length))
      this.append(`${dt} ${hm}`, this.encode({ columns: run, rowCount: to - from }).bytes)
      from = to
    }
  }

  private append(key: string, lines: Uint8Array): void {
    let part = this.parts.get(key)
    if (part === undefined) this.parts.set(key, (part = new Part()))
    if (part.at + lines.length > BUFFER_BYTES) {
      this.byteCount += part.at
      part.at = 0
    }
    part.bytes.set(lines, part.at)
    part.at += lines.length
  }
}
