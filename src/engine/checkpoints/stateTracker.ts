// What of a job's state the last checkpoint has already: so that only chunks that changed are copied and written.
//
// Invariants
//   1. A chunk counts as unchanged if both of its checksums (CRC32C and CRC32, 64 bits together) are as they were, or if it lies in memory
//      to which was only appended since.
//   2. What a checkpoint brought counts only after `settle(true)`: one that failed leaves the tracker as it was before.
//   3. All that `update` returns is a copy: the operators may go on.
import { createRequire } from 'node:module'
import { crc32 as zlibCrc32 } from 'node:zlib'
import { crc32c } from '../../log/index.ts'
import type { StatePart } from './stateParts.ts'

export const CHUNK_BYTES = 64 * 1024

/** One part of the state as of a checkpoint: the checksums of all its chunks, and the bytes of those that the checkpoint before has not. */
export interface PartUpdate {
  /** `<query>/<operator>/<name>` */
  key: string
  type: StatePart['type']
  sizeBytes: number
  /** Two for each chunk: CRC32C, CRC32. */
  checksums: Uint32Array
  /** Chunks that are new, ascending, and their bytes one behind the other. */
  freshIndexes: number[]
  fresh: Uint8Array
  /** Where the bytes of the whole part are, if not in `fresh`: in a file that stays until the checkpoint has settled. */
  source?: { path: string; position: number }
}

const crc32: (bytes: Uint8Array) => number = (() => {
  try {
    return createRequire(import.meta.url)('@node-rs/crc32').crc32 as (bytes: Uint8Array) => number
  } catch {
    return zlibCrc32
  }
})()

export const checksumsOf = (bytes: Uint8Array): [crc32c: number, crc32: number] => [crc32c(bytes), crc32(bytes)]
/** Two for each chunk. */
export function chunksChecksums(bytes: Uint8Array): Uint32Array {
  const checksums = new Uint32Array(chunkCountOf(bytes.length) * 2)
  for (let i = 0; 2 * i < checksums.length; i++) checksums.set(checksumsOf(bytes.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES)), 2 * i)
  return checksums
}
export const chunkCountOf = (sizeBytes: number): number => Math.ceil(sizeBytes / CHUNK_BYTES)

interface Known {
  sizeBytes: number
  checksums: Uint32Array
  lineage?: number
}

export class StateTracker {
  private known = new Map<string, Known>()
  private next = new Map<string, Known>()

  /** What is in the checkpoint from which the job was restored, if the next one is written beside it. */
  seed(parts: Iterable<{ key: string; sizeBytes: number; checksums: Uint32Array }>): void {
    for (const { key, sizeBytes, checksums } of parts) this.known.set(key, { sizeBytes, checksums })
  }

  update(key: string, part: Omit<StatePart, 'name'>): PartUpdate {
    const { type, bytes, lineage } = part
    const before = this.known.get(key)
    if (part.stored) return this.updateStored(key, type, part.stored, before)
    const chunkCount = chunkCountOf(bytes.length)
    const checksums = new Uint32Array(chunkCount * 2)
    const stableBytes = lineage !== undefined && before?.lineage === lineage ? before.sizeBytes : 0
    const freshIndexes: number[] = []
    for (let i = 0; i < chunkCount; i++) {
      const from = i * CHUNK_BYTES
      const to = Math.min(bytes.length, from + CHUNK_BYTES)
      if (to <= stableBytes && (to - from === CHUNK_BYTES || bytes.length === stableBytes)) {
        checksums[2 * i] = before!.checksums[2 * i]
        checksums[2 * i + 1] = before!.checksums[2 * i + 1]
        continue
      }
      const chunk = bytes.subarray(from, to)
      const [a, b] = checksumsOf(chunk)
      checksums[2 * i] = a
      checksums[2 * i + 1] = b
      const sameSize = before !== undefined && Math.min(before.sizeBytes - from, CHUNK_BYTES) === chunk.length
      if (sameSize && before.checksums[2 * i] === a && before.checksums[2 * i + 1] === b) continue
      freshIndexes.push(i)
    }
    this.next.set(key, { sizeBytes: bytes.length, checksums, lineage })
    return { key, type, sizeBytes: bytes.length, checksums, freshIndexes, fresh: copyChunks(bytes, freshIndexes) }
  }

  /** Its checksums are known: nothing is read. */
  private updateStored(
    key: string,
    type: StatePart['type'],
    { path, position, sizeBytes, checksums }: NonNullable<StatePart['stored']>,
    before: Known | undefined,
  ): PartUpdate {
    const freshIndexes: number[] = []
    for (let i = 0; 2 * i < checksums.length; i++) {
      const isSame =
        before !== undefined &&
        Math.min(CHUNK_BYTES, sizeBytes - i * CHUNK_BYTES) === Math.min(CHUNK_BYTES, before.sizeBytes - i * CHUNK_BYTES) &&
        checksums[2 * i] === before.checksums[2 * i] &&
        checksums[2 * i + 1] === before.checksums[2 * i + 1]
      if (!isSame) freshIndexes.push(i)
    }
    this.next.set(key, { sizeBytes, checksums })
    return { key, type, sizeBytes, checksums, freshIndexes, fresh: new Uint8Array(0), source: { path, position } }
  }

  /** The checkpoint of the updates since the last call is durable, or it failed. */
  settle(isDurable: boolean): void {
    if (isDurable) this.known = this.next
    this.next = new Map()
  }
}

/** A part of which nothing was there before. */
export function wholePart(key: string, bytes: Uint8Array): PartUpdate {
  return { ...new StateTracker().update(key, { type: 'value', bytes }) }
}

function copyChunks(bytes: Uint8Array, indexes: readonly number[]): Uint8Array {
  const last = indexes.at(-1)
  if (last === undefined) return new Uint8Array(0)
  const lastBytes = Math.min(bytes.length - last * CHUNK_BYTES, CHUNK_BYTES)
  const copy = new Uint8Array((indexes.length - 1) * CHUNK_BYTES + lastBytes)
  let at = 0
  for (let i = 0; i < indexes.length; ) {
    let run = 1
    while (indexes[i + run] === indexes[i] + run) run++
    const chunks = bytes.subarray(indexes[i] * CHUNK_BYTES, (indexes[i] + run) * CHUNK_BYTES)
    copy.set(chunks, at)
    at += chunks.length
    i += run
  }
  return copy
}
