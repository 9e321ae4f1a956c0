// Cuts the body of a request into its events, without checking them: what is common to all formats.

/** What a body is, whatever its Content-Type is called: JSON as one value or by lines; CSV; a record a line; a record as a whole. */
export type BodyForm = 'json' | 'ndjson' | 'csv' | 'lines' | 'whole'

/** Event i is `bytes[starts[i] … ends[i])`. One of no bytes in JSON stands for something missing, as between two commas: it is rejected. */
export interface SplitEvents {
  starts: Int32Array
  ends: Int32Array
  count: number
}

export abstract class EventSplitter {
  private starts = new Int32Array(1024)
  private ends = new Int32Array(1024)
  private count = 0
  private limit = 0

  /**
   * The events of a body. The arrays are the splitter's own: valid until the next call.
   *
   * @param form           one that the format has
   * @param eventCountMax  beyond it splitting stops: `count` is then eventCountMax + 1
   */
  split(b: Uint8Array, form: BodyForm, eventCountMax: number): SplitEvents {
    this.count = 0
    this.limit = eventCountMax + 1
    this.cut(b, form)
    return { starts: this.starts, ends: this.ends, count: this.count }
  }

  /** Calls `add` for each event, until it returns false. */
  protected abstract cut(b: Uint8Array, form: BodyForm): void

  protected add(start: number, end: number): boolean {
    const { count } = this
    if (count === this.limit) return false
    if (count === this.starts.length) {
      const starts = new Int32Array(count * 2)
      starts.set(this.starts)
      this.starts = starts
      const ends = new Int32Array(count * 2)
      ends.set(this.ends)
      this.ends = ends
    }
    this.starts[count] = start
    this.ends[count] = end
    this.count++
    return true
  }
}

/** Bytes of UTF-8's mark at the beginning of a text `[start, end)`, which is no part of it: 3 or 0. */
export const byteOrderMarkSize = (b: Uint8Array, start = 0, end = b.length): number =>
  start + 3 <= end && b[start] === 0xef && b[start + 1] === 0xbb && b[start + 2] === 0xbf ? 3 : 0

/** Position of the next line break at or after `p`, or the length. Native search: lines are long. */
export function lineEnd(b: Uint8Array, p: number): number {
  const at = b.indexOf(10, p)
  return at < 0 ? b.length : at
}

/** Where the text of a line ends whose line break is at `newline`: a CR before it belongs to it. */
export const textEnd = (b: Uint8Array, start: number, newline: number): number =>
  newline > start && newline < b.length && b[newline - 1] === 13 ? newline - 1 : newline
