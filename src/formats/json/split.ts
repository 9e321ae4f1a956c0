// Cuts the body of a request into its events, without checking them: one JSON object, a JSON array, or NDJSON.
//
// Invariants
//   1. Every byte of the body that is not a blank, a comma or a bracket of the array belongs to exactly one event, so nothing can be lost.
//   2. A malformed event does not take its neighbours with it where one sees where it ends: at a line's end in NDJSON, at a comma outside of texts
//      and brackets in an array. Where one does not, the remainder is one event, which the check then rejects.
import { byteOrderMarkSize, EventSplitter, lineEnd } from '../split.ts'
import { skipSpace, skipValue } from './scan.ts'

export class JsonSplitter extends EventSplitter {
  protected cut(b: Uint8Array, form: 'json' | 'ndjson'): void {
    const start = skipSpace(b, byteOrderMarkSize(b), b.length)
    if (form === 'ndjson') this.lines(b, start)
    else if (b[start] === 91) this.elements(b, start + 1)
    else if (start < b.length) this.objects(b, start)
  }

  /** One object; or lines; or objects of several lines each, one behind the other. */
  private objects(b: Uint8Array, start: number): void {
    const newline = lineEnd(b, start)
    const end = skipValue(b, start, b.length, 0)
    if (end < 0) {
      // Broken within its first line, which ends as an object does: lines. Else the event may well span lines.
      if (newline < b.length && b[lastOf(b, start, newline)] === 125) this.lines(b, start)
      else this.add(start, lastOf(b, start, b.length) + 1)
      return
    }
    if (skipSpace(b, end, b.length) === b.length) this.add(start, end)
    else if (end <= newline) this.lines(b, start)
    else {
      for (let p = start; p < b.length; ) {
        const next = skipValue(b, p, b.length, 0)
        if (!this.add(p, next < 0 ? lastOf(b, p, b.length) + 1 : next) || next < 0) return
        p = skipSpace(b, next, b.length)
      }
    }
  }

  private lines(b: Uint8Array, p: number): void {
    const { length } = b
    while (p < length) {
      const newline = lineEnd(b, p)
      const start = skipSpace(b, p, newline)
      if (start < newline && !this.add(start, lastOf(b, start, newline) + 1)) return
      p = newline + 1
    }
  }

  /** The elements of an array, from behind its bracket. */
  private elements(b: Uint8Array, p: number): void {
    const { length } = b
    p = skipSpace(b, p, length)
    if (b[p] === 93) {
      this.rest(b, p + 1)
      return
    }
    for (;;) {
      const end = elementEnd(b, p)
      if (!this.add(p, Math.max(p, lastOf(b, p, end) + 1))) return
      if (end === length) {
        // The array is not closed. If its last element looks whole, say so with an event of no bytes.
        if (skipValue(b, p, length, 0) > 0) this.add(length, length)
        return
      }
      p = skipSpace(b, end + 1, length)
      if (b[end] === 93) {
        this.rest(b, p)
        return
      }
    }
  }

  /** What follows the array is an event of its own, which the check rejects. */
  private rest(b: Uint8Array, p: number): void {
    const start = skipSpace(b, p, b.length)
    if (start < b.length) this.add(start, lastOf(b, start, b.length) + 1)
  }
}

/** Position of the last byte in `[start, end)` that is no blank; start - 1 if there is none. */
function lastOf(b: Uint8Array, start: number, end: number): number {
  let p = end - 1
  while (p >= start && (b[p] === 32 || b[p] === 10 || b[p] === 13 || b[p] === 9)) p--
  return p
}

/** Position of the comma or bracket that ends the element at `p`; the length if there is none. */
function elementEnd(b: Uint8Array, p: number): number {
  const { length } = b
  let depth = 0
  for (; p < length; p++) {
    switch (b[p]) {
      case 34:
        for (p++; p < length && b[p] !== 34; p++) if (b[p] === 92) p++
        break
      case 123:
      case 91:
        depth++
        break
      case 125:
        depth--
        break
      case 93:
        if (depth <= 0) return p
        depth--
        break
      case 44:
        if (depth <= 0) return p
        break
    }
  }
  return length
}
