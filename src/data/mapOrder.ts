// The order in which Flink shows the entries of a map that came from JSON or from text: that of java.util.HashMap over its texts' hashes.
//
// @source OpenJDK's HashMap (spread hash, a table of a power of two that is at most three quarters full), Flink's MurmurHashUtils

const SEED = 42
const TABLE_SIZE_MIN = 16

const mixed = (word: number): number => {
  const k = Math.imul(word, 0xcc9e2d51)
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593)
}
const added = (hash: number, word: number): number => {
  const h = hash ^ mixed(word)
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

/** The hash code of a text in Flink's internal form, 32 bits. */
function textHash(text: string): number {
  const bytes = Buffer.from(text)
  const whole = bytes.length & ~3
  let hash = SEED
  for (let i = 0; i < whole; i += 4) hash = added(hash, bytes.readInt32LE(i))
  for (let i = whole; i < bytes.length; i++) hash = added(hash, bytes.readInt8(i))
  hash ^= bytes.length
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

/** The hash code of a java.lang.String, 32 bits. */
function stringHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}

function ordered<K, V>(map: Map<K, V>, hashOf: (text: string) => number, tableSize: number): Map<K, V> {
  const slots: { slot: number; entry: [K, V] }[] = []
  for (const entry of map) {
    if (typeof entry[0] !== 'string') return map
    const hash = hashOf(entry[0])
    slots.push({ slot: (hash ^ (hash >>> 16)) & (tableSize - 1), entry })
  }
  // A stable sort: in one slot entries stay as they were put.
  return new Map(slots.sort((a, b) => a.slot - b.slot).map(({ entry }) => entry))
}

/** The map with its entries as Flink has those of a map from JSON, and of COLLECT; keys that are no texts stay as they come. */
export function inHashOrder<K, V>(map: Map<K, V>): Map<K, V> {
  if (map.size < 2) return map
  let size = TABLE_SIZE_MIN
  while (map.size > size * 0.75) size *= 2
  return ordered(map, textHash, size)
}

/** The same for a map of java.lang.String whose table was made for so many entries, as that of STR_TO_MAP. */
export function inJavaOrder<V>(map: Map<string, V>, expected: number): Map<string, V> {
  const needed = expected <= 2 ? expected + 1 : Math.ceil(expected / 0.75)
  let size = 1
  while (size < needed) size *= 2
  return ordered(map, stringHash, size)
}
