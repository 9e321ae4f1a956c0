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

/** `literal` occurs in `bytes[start … end)`. */
export function containsBytes(bytes: Uint8Array, start: number, end: number, literal: Uint8Array): boolean {
  const last = end - literal.length
  if (literal.length === 0) return true
  const first = literal[0]
  for (let i = start; i <= last; i++) if (bytes[i] === first && equalBytes(bytes, i, literal)) return true
  return false
}

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
