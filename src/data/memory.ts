// Memory of batches, used again and again: a batch lives until the call that handed it on has returned, so its arrays go to the next one.
//
//   const mark = memory.mark()
//   emit(makeBatch(memory))         what is taken behind the mark ...
//   memory.release(mark)            ... is free again, in the reverse order: a stack, as deep as the operators that call one another
//
// Invariants
//   1. Memory that was taken is no other's until it is released; who keeps rows beyond the call that brought them copies them.
//   2. What is taken holds anything: whoever takes it writes every row that counts.
//   3. Arrays may be longer than asked for.
//   1 is checked where `spoilReleased` is set, as in the golden tests: released memory is overwritten, so that rows that were kept come out wrong.
//
// Why: fresh arrays for each batch cost as much as the simple operators themselves. They come zeroed from malloc, for which all threads
// of the process queue, they are cold in the caches, and V8 answers their sum with full collections.

/** Where arrays come from. */
export interface Arrays {
  u8(length: number): Uint8Array
  i32(length: number): Int32Array
  i64(length: number): BigInt64Array
  f64(length: number): Float64Array
}

/** Arrays of their own, zeroed and exactly as long as asked for: for rows that stay. */
export const newArrays: Arrays = {
  u8: (length) => new Uint8Array(length),
  i32: (length) => new Int32Array(length),
  i64: (length) => new BigInt64Array(length),
  f64: (length) => new Float64Array(length),
}

interface Slot {
  sizeBytes: number
  u8: Uint8Array
  i32: Int32Array
  i64: BigInt64Array
  f64: Float64Array
}

function newSlot(sizeBytes: number): Slot {
  const buffer = new ArrayBuffer(sizeBytes)
  return {
    sizeBytes,
    u8: new Uint8Array(buffer),
    i32: new Int32Array(buffer),
    i64: new BigInt64Array(buffer),
    f64: new Float64Array(buffer),
  }
}

const SLOT_BYTES_MIN = 1 << 12
/** Larger arrays are rare, and not worth holding on to. */
const SLOT_BYTES_MAX = 1 << 18
/** No value that a test has, in any lane. */
const SPOILED = 0xd5

let isSpoiling = false
/** For tests: whether released memory is overwritten, in all of this thread. */
export function spoilReleased(isOn: boolean): void {
  isSpoiling = isOn
}

/** What every owner of memory that is used again does when it gets it back. */
export function released(bytes: Uint8Array): void {
  if (isSpoiling) bytes.fill(SPOILED)
}

export class BatchMemory implements Arrays {
  private readonly slots: Slot[] = []
  private used = 0

  mark(): number {
    return this.used
  }

  /** Gives back all that was taken since the mark. */
  release(mark: number): void {
    if (isSpoiling) for (let at = mark; at < this.used; at++) released(this.slots[at].u8)
    this.used = mark
  }

  u8(length: number): Uint8Array {
    return this.slot(length).u8
  }
  i32(length: number): Int32Array {
    return this.slot(4 * length).i32
  }
  i64(length: number): BigInt64Array {
    return this.slot(8 * length).i64
  }
  f64(length: number): Float64Array {
    return this.slot(8 * length).f64
  }

  private slot(sizeBytes: number): Slot {
    if (sizeBytes > SLOT_BYTES_MAX) return newSlot(Math.ceil(sizeBytes / 8) * 8)
    const at = this.used++
    const slot = this.slots[at]
    if (slot !== undefined && slot.sizeBytes >= sizeBytes) return slot
    let size = SLOT_BYTES_MIN
    while (size < sizeBytes) size *= 2
    return (this.slots[at] = newSlot(size))
  }
}
