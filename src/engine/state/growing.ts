// Arrays of state that grow where they lie, and come from a checkpoint where they lie: nothing is copied, and no memory is held twice.
//
// Invariants
//   1. The new elements are 0; an array handed out before stays valid, for the elements that it had.
//   2. An array that grows here is the only one over its buffer that does, and begins where the buffer begins.
//   3. `adopted` takes memory over at most once, and only memory that was made to be taken: whoever else has it must not use it any more.
//
// How: from a size on, memory is a growable SharedArrayBuffer, for which addresses are reserved and pages come as it grows. Arrays over it have a fixed
// length, which V8 treats as any other (over a resizable ArrayBuffer it would not). Nothing is shared with another thread.

type StateArray = Uint8Array | Int32Array | BigInt64Array | Float64Array

/** Smaller arrays are copied as they grow. */
const IN_PLACE_BYTES_MIN = 1 << 20
/** Addresses, not memory; an array that outgrows them is copied once more. */
const RESERVED_BYTES = 2 ** 31

/** The array with room for `length` elements, which is more than it has. */
export function grown<A extends StateArray>(data: A, length: number): A {
  const Type = data.constructor as new (from: number | SharedArrayBuffer, offset?: number, length?: number) => A
  const sizeBytes = length * data.BYTES_PER_ELEMENT
  const { buffer } = data
  if (buffer instanceof SharedArrayBuffer && buffer.growable && sizeBytes <= buffer.maxByteLength) {
    if (sizeBytes > buffer.byteLength) buffer.grow(sizeBytes)
    return new Type(buffer, 0, length)
  }
  return copyOf(data, length)
}

function copyOf<A extends StateArray>(data: A, length: number): A {
  const Type = data.constructor as new (from: number | SharedArrayBuffer, offset?: number, length?: number) => A
  const sizeBytes = length * data.BYTES_PER_ELEMENT
  const copy = sizeBytes < IN_PLACE_BYTES_MIN ? new Type(length) : new Type(reserved(sizeBytes), 0, length)
  copy.set(data as never)
  return copy
}

const toBeTaken = new WeakSet<ArrayBufferLike>()

/** Memory to fill with state: an array over it that begins where it begins can be `adopted`. */
export function adoptable(sizeBytes: number): Uint8Array {
  const bytes = sizeBytes < IN_PLACE_BYTES_MIN ? new Uint8Array(sizeBytes) : new Uint8Array(reserved(sizeBytes), 0, sizeBytes)
  toBeTaken.add(bytes.buffer)
  return bytes
}

/** The array with room for `length` elements, at least as many as it has: itself if it is to be taken, else a copy. */
export function adopted<A extends StateArray>(data: A, length = data.length): A {
  // A small array may lie amid others in memory that was read at once.
  if (data.byteOffset !== 0) return copyOf(data, length)
  if (!toBeTaken.delete(data.buffer)) return copyOf(data, length)
  return length === data.length ? data : grown(data, length)
}

function reserved(sizeBytes: number): SharedArrayBuffer {
  const maxByteLength = Math.max(RESERVED_BYTES, sizeBytes * 2)
  try {
    return new SharedArrayBuffer(sizeBytes, { maxByteLength })
  } catch {
    // A process whose addresses are limited: then as small arrays grow.
    return new SharedArrayBuffer(sizeBytes)
  }
}
