// Arrays of state that grow where they lie: nothing is copied, and no memory is held twice, while a large state grows.
//
// Invariants
//   1. The new elements are 0; an array handed out before stays valid, for the elements that it had.
//   2. An array that grows here is the only one over its buffer that does, and begins where the buffer begins.
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
  const larger = sizeBytes < IN_PLACE_BYTES_MIN ? new Type(length) : new Type(reserved(sizeBytes), 0, length)
  larger.set(data as never)
  return larger
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
