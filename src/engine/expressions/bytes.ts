// Text as bytes: comparisons that make no string.
const encoder = new TextEncoder()
const encoded = new Map<string, Uint8Array>()
const ENCODED_MAX = 4096

/** UTF-8 bytes of a literal; the same array for the same text, so that a kernel holds it once. */
export function utf8Of(text: string): Uint8Array {
  let bytes = encoded.get(text)
  if (bytes === undefined) {
    if (encoded.size >= ENCODED_MAX) encoded.clear()
    bytes = encoder.encode(text)
    encoded.set(text, bytes)
  }
  return bytes
}

/** `bytes` from `start` begin with all of `literal`. */
export function equalBytes(bytes: Uint8Array, start: number, literal: Uint8Array): boolean {
  for (let i = 0; i < literal.length; i++) if (bytes[start + i] !== literal[i]) return false
  return true
}

export function equalSlices(a: Uint8Array, aStart: number, aEnd: number, b: Uint8Array, bStart: number, bEnd: number): boolean {
  const length = aEnd - aStart
  if (bEnd - bStart !== length) return false
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false
  return true
}

/** A text that is looked for in bytes, with how far a byte under its end lets the search go on (Boyer, Moore, Horspool). */
export class Needle {
  readonly bytes: Uint8Array
  readonly skips: Uint8Array

  constructor(bytes: Uint8Array) {
    const { length } = bytes
    this.bytes = bytes
    this.skips = new Uint8Array(256).fill(Math.min(length, 255))
    for (let i = Math.max(0, length - 256); i < length - 1; i++) this.skips[bytes[i]] = length - 1 - i
  }
}
const needles = new WeakMap<Uint8Array, Needle>()
/** The same needle for the same text, as `utf8Of`. */
export function needleOf(text: string): Needle {
  const bytes = utf8Of(text)
  let needle = needles.get(bytes)
  if (needle === undefined) needles.set(bytes, (needle = new Needle(bytes)))
  return needle
}

/** Where the needle occurs first in `bytes[start … end)`, or -1; an empty one at the start. */
export function indexOfBytes(bytes: Uint8Array, start: number, end: number, { bytes: literal, skips }: Needle): number {
  const last = literal.length - 1
  if (last < 0) return start
  const byte = literal[last]
  if (last === 0) {
    for (let i = start; i < end; i++) if (bytes[i] === byte) return i
    return -1
  }
  for (let i = start + last; i < end; ) {
    const found = bytes[i]
    if (found === byte && equalBytes(bytes, i - last, literal)) return i - last
    i += skips[found]
  }
  return -1
}

/** The needle occurs in `bytes[start … end)`. */
export const containsBytes = (bytes: Uint8Array, start: number, end: number, needle: Needle): boolean =>
  indexOfBytes(bytes, start, end, needle) >= 0

/** A set of texts that is asked with bytes. Buckets by length and first and last byte, which tell most words apart. */
export class ByteSet {
  private readonly buckets: (Uint8Array[] | undefined)[]
  private readonly mask: number

  constructor(texts: readonly string[]) {
    let size = 8
    while (size < texts.length * 4) size *= 2
    this.mask = size - 1
    this.buckets = new Array(size).fill(undefined)
    for (const text of texts) {
      const bytes = utf8Of(text)
      const at = this.bucket(bytes, 0, bytes.length)
      const bucket = (this.buckets[at] ??= [])
      bucket.push(bytes)
    }
  }

  has(bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start
    const bucket = this.buckets[this.bucket(bytes, start, end)]
    if (bucket === undefined) return false
    for (const one of bucket) if (one.length === length && equalBytes(bytes, start, one)) return true
    return false
  }

  private bucket(bytes: Uint8Array, start: number, end: number): number {
    if (end <= start) return 0
    return ((end - start) * 31 + bytes[start] * 7 + bytes[end - 1]) & this.mask
  }
}
