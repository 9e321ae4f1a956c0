// Bytes written one after the other into memory that grows and is used again.
import { viewOf } from '../base/index.ts'

const SPARE_BYTES = 8

export class ByteSink {
  bytes = Buffer.allocUnsafeSlow(16 * 1024)
  /** Of all of `bytes`. */
  view = viewOf(this.bytes)
  at = 0

  take(): Uint8Array {
    return new Uint8Array(this.bytes.subarray(0, this.at))
  }
  /** Room for `size` more bytes, and a few beside. */
  reserve(size: number): void {
    const needed = this.at + size + SPARE_BYTES
    if (needed <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, needed))
    this.bytes.copy(grown, 0, 0, this.at)
    this.bytes = grown
    this.view = viewOf(grown)
  }
  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.at++] = value
  }
  raw(source: Uint8Array): void {
    this.reserve(source.length)
    for (let i = 0; i < source.length; i++) this.bytes[this.at++] = source[i]
  }
  ascii(text: string): void {
    this.reserve(text.length)
    for (let i = 0; i < text.length; i++) this.bytes[this.at++] = text.charCodeAt(i)
  }
  /** A whole number within ± 2^53. */
  integer(value: number): void {
    if (value < 0 || value > 999_999_999) {
      this.ascii(String(value))
      return
    }
    this.reserve(9)
    let digitCount = 1
    for (let power = 10; digitCount < 9 && value >= power; power *= 10) digitCount++
    for (let i = this.at + digitCount - 1; i >= this.at; i--) {
      const rest = (value / 10) | 0
      this.bytes[i] = 48 + value - rest * 10
      value = rest
    }
    this.at += digitCount
  }
}
