// Which partition a key belongs to: murmur2 of its bytes, as Kafka's default partitioner does, so that a topic can move to Kafka.
// Source: Kafka's `Utils.murmur2` and `toPositive`.

/** murmur2 of Kafka's producer: a signed 32-bit integer. */
export function murmur2(bytes: Uint8Array, start = 0, end = bytes.length): number {
  const multiplier = 0x5bd1e995
  const length = end - start
  let hash = 0x9747b28c ^ length
  const words = start + (length & ~3)
  for (let i = start; i < words; i += 4) {
    let word = bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24)
    word = Math.imul(word, multiplier)
    word ^= word >>> 24
    word = Math.imul(word, multiplier)
    hash = Math.imul(hash, multiplier) ^ word
  }
  const rest = length & 3
  if (rest === 3) hash ^= bytes[words + 2] << 16
  if (rest >= 2) hash ^= bytes[words + 1] << 8
  if (rest >= 1) hash = Math.imul(hash ^ bytes[words], multiplier)
  hash ^= hash >>> 13
  hash = Math.imul(hash, multiplier)
  return hash ^ (hash >>> 15)
}

/** Partition of a key, 0 … partitionCount - 1. */
export const partitionOf = (key: Uint8Array, partitionCount: number, start = 0, end = key.length): number =>
  (murmur2(key, start, end) & 0x7fffffff) % partitionCount
