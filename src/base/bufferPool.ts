// Buffers for what is received, appended and fetched, used again once it is answered. A new one for each costs more than its reading and sending:
// the kernel has to hand out its pages, and V8 collects the whole heap each time that some 64 MiB of such buffers were made.
//
// Invariants
//   1. A buffer is given back only by who took it, once, when nothing reads it any more; one that is not given back is left to the collector.
//   2. At most IDLE_BYTES_MAX are kept idle. Small ones are not kept: they cost little, and a large one must not wait for a slow client in their stead.

const KEPT_BYTES_MIN = 64 * 1024
const IDLE_BYTES_MAX = 16 * 1024 * 1024

export class BufferPool {
  /** By capacity, a power of two. */
  private readonly idle = new Map<number, Buffer[]>()
  private idleBytes = 0

  /** A buffer with room for `sizeBytes`, as long as that; what is in it is not defined. */
  take(sizeBytes: number): Uint8Array {
    if (sizeBytes < KEPT_BYTES_MIN) return Buffer.allocUnsafeSlow(sizeBytes)
    const capacity = capacityFor(sizeBytes)
    const kept = this.idle.get(capacity)?.pop()
    if (kept) this.idleBytes -= capacity
    return (kept ?? Buffer.allocUnsafeSlow(capacity)).subarray(0, sizeBytes)
  }

  /** Gives back what `take` gave, or any view of it. One of a capacity that `take` never asks for would only be in the way of others. */
  give({ buffer }: Uint8Array): void {
    const { byteLength: capacity } = buffer
    if (capacity < KEPT_BYTES_MIN || this.idleBytes + capacity > IDLE_BYTES_MAX || capacity !== capacityFor(capacity)) return
    this.idleBytes += capacity
    const whole = Buffer.from(buffer as ArrayBuffer)
    const kept = this.idle.get(capacity)
    if (kept) kept.push(whole)
    else this.idle.set(capacity, [whole])
  }
}

const capacityFor = (sizeBytes: number): number => 2 ** Math.ceil(Math.log2(sizeBytes))
