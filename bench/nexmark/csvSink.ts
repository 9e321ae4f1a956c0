// Sink of q10: rows as lines of CSV, in one buffer for each partition (dt, hm), which are the last two columns and not written.
// A full buffer is thrown away where a file sink would hand it to the disk.
import type { Batch, Column } from '../../src/data/index.ts'

const BUFFER_BYTES = 1 << 20
/** Texts longer than this do not occur; a line has at most this many bytes beside them. */
const LINE_BYTES_MAX = 4096

class Part {
  readonly bytes = new Uint8Array(BUFFER_BYTES)
  at = 0
}

export class CsvSink {
  byteCount = 0
  private readonly parts = new Map<string, Part>()
  private dt: unknown
  private hm: unknown
  private part = new Part()
  /** Times repeat in runs. */
  private timeMs = Number.NaN
  private timeBytes = new Uint8Array(0)

  write({ columns, rowCount }: Batch): void {
    const written = columns.slice(0, -2)
    const [dts, hms] = columns.slice(-2)
    if (dts.lane !== 'any' || hms.lane !== 'any') throw new TypeError('computed texts are in lane any')
    for (let row = 0; row < rowCount; row++) {
      if (dts.data[row] !== this.dt || hms.data[row] !== this.hm) this.turnTo(dts.data[row], hms.data[row])
      const { part } = this
      if (part.at > BUFFER_BYTES - LINE_BYTES_MAX) {
        this.byteCount += part.at
        part.at = 0
      }
      for (let i = 0; i < written.length; i++) {
        if (i > 0) part.bytes[part.at++] = 44
        this.writeValue(part, written[i], row)
      }
      part.bytes[part.at++] = 10
    }
  }

  private turnTo(dt: unknown, hm: unknown): void {
    this.dt = dt
    this.hm = hm
    const key = `${dt} ${hm}`
    let part = this.parts.get(key)
    if (part === undefined) this.parts.set(key, (part = new Part()))
    this.part = part
  }

  private writeValue(part: Part, column: Column, row: number): void {
    if (column.nulls !== undefined && column.nulls[row] === 1) return
    switch (column.lane) {
      case 'i64':
        this.writeDigits(part, Number(column.data[row]))
        return
      case 'f64':
        if (column.data[row] !== this.timeMs) {
          this.timeMs = column.data[row]
          this.timeBytes = Buffer.from(new Date(this.timeMs).toISOString().replace('T', ' ').slice(0, 23), 'latin1')
        }
        for (let i = 0; i < this.timeBytes.length; i++) part.bytes[part.at++] = this.timeBytes[i]
        return
      case 'utf8':
        this.writeText(part, column.bytes, column.starts[row], column.ends[row])
        return
      default:
        throw new TypeError(`no CSV for lane ${column.lane}`)
    }
  }

  private writeDigits(part: Part, value: number): void {
    let size = 1
    for (let limit = 10; limit <= value; limit *= 10) size++
    const { bytes } = part
    let rest = value
    let at = part.at + size - 1
    // What fits into 32 bits is divided as a whole number.
    for (; rest > 0x7fffffff; rest = Math.floor(rest / 10)) bytes[at--] = 48 + (rest % 10)
    for (let small = rest | 0; at >= part.at; at--) {
      const next = (small / 10) | 0
      bytes[at] = 48 + small - next * 10
      small = next
    }
    part.at += size
  }

  /** In quotes where it holds a comma, a quote or a line's end. */
  private writeText(part: Part, bytes: Uint8Array, start: number, end: number): void {
    const { bytes: out } = part
    let { at } = part
    let isPlain = true
    for (let i = start; i < end; i++) {
      const byte = bytes[i]
      out[at++] = byte
      if (byte === 44 || byte === 34 || byte === 10 || byte === 13) isPlain = false
    }
    if (!isPlain) {
      at = part.at
      out[at++] = 34
      for (let i = start; i < end; i++) {
        if (bytes[i] === 34) out[at++] = 34
        out[at++] = bytes[i]
      }
      out[at++] = 34
    }
    part.at = at
  }
}
