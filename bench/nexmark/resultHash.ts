// A result as its row count and a hash that does not depend on the order of rows: taken-back rows are subtracted.

/** What is left of a changelog. */
export class ResultHash {
  rowCount = 0
  low = 0
  high = 0

  /** @param values  digits for exact numbers, epoch ms for times, null for NULL */
  add(values: readonly unknown[], sign: 1 | -1 = 1): void {
    const text = values.map((value) => (value === null ? '\u0000' : String(value))).join('\u0001')
    this.rowCount += sign
    this.low = (this.low + sign * textHash(text, 0x811c9dc5)) >>> 0
    this.high = (this.high + sign * textHash(text, 0x2545f491)) >>> 0
  }

  /** Adds the rows of another part of the result. */
  merge({ rowCount, low, high }: Pick<ResultHash, 'rowCount' | 'low' | 'high'>): void {
    this.rowCount += rowCount
    this.low = (this.low + low) >>> 0
    this.high = (this.high + high) >>> 0
  }

  get result(): { rows: number; hash: string } {
    return { rows: this.rowCount, hash: this.high.toString(16).padStart(8, '0') + this.low.toString(16).padStart(8, '0') }
  }
}

/** FNV-1a over UTF-16 units, mixed at the end. */
function textHash(text: string, seed: number): number {
  let hash = seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
