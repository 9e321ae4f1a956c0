// What a checkpoint takes of a job's state while the job stands still: as little as can be, and no checksum. The thread that writes does the rest.
//
//   key columns, rows (`lineage`)   what was appended since the last durable checkpoint; in shared memory, so not even that is copied
//   everything else                 copied, into memory that the next checkpoint uses again
//
// Invariants
//   1. The bytes of an update do not change until `settle`: they are a copy, or lie in shared memory to which is only appended.
//   2. What is left out of an update (`from`) was in the last durable checkpoint, byte for byte: one that failed leaves the tracker as it was.
//   3. Memory of copies is used again only when its checkpoint has settled.
//   1 and 2 are held by stateParts.property.test.ts.
//
// Why memory is used again: the first touch of fresh memory costs up to twenty times the copy itself.
import { createRequire } from 'node:module'
import { crc32 as zlibCrc32 } from 'node:zlib'
import { crc32c } from '../../log/index.ts'
import { grown } from '../state/growing.ts'
import type { StatePart } from './stateParts.ts'

export const CHUNK_BYTES = 64 * 1024

/** One part of the state as of a checkpoint, without what the checkpoint before has of it. */
export interface PartUpdate {
  /** `<query>/<operator>/<name>` */
  key: string
  type: StatePart['type']
  sizeBytes: number
  /** What lies before is as in the checkpoint before: whole chunks, or all. */
  from: number
  /** The part's bytes from there on. */
  bytes: Uint8Array
  /** Where the bytes of the whole part are, if not in `bytes`: in a file that stays until the checkpoint has settled. Two checksums for each chunk. */
  source?: { path: string; position: number; checksums: Uint32Array }
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
  lineage?: number
}

const NO_BYTES = new Uint8Array(0)

export class StateTracker {
  private known = new Map<string, Known>()
  private next = new Map<string, Known>()
  private readonly copies = new CopyMemory()

  update(key: string, { type, bytes, lineage, stored }: Omit<StatePart, 'name'>): PartUpdate {
    if (stored) {
      const { sizeBytes, ...source } = stored
      return { key, type, sizeBytes, from: 0, bytes: NO_BYTES, source }
    }
    const sizeBytes = bytes.length
    this.next.set(key, { sizeBytes, lineage })
    const from = lineage === undefined ? 0 : this.stableBytes(key, lineage, sizeBytes)
    const rest = bytes.subarray(from)
    const isShared = lineage !== undefined && bytes.buffer instanceof SharedArrayBuffer
    return { key, type, sizeBytes, from, bytes: isShared ? rest : this.copies.copy(rest) }
  }

  /** Of memory to which is only appended: what the last durable checkpoint has of it, in whole chunks. */
  private stableBytes(key: string, lineage: number, sizeBytes: number): number {
    const before = this.known.get(key)
    if (before?.lineage !== lineage) return 0
    return before.sizeBytes === sizeBytes ? sizeBytes : Math.floor(before.sizeBytes / CHUNK_BYTES) * CHUNK_BYTES
  }

  /**
   * The checkpoint of the updates since the last call is durable, or it failed.
   *
   * @param keptBytesMax  how much memory may be held until the next one
   */
  settle(isDurable: boolean, keptBytesMax = Infinity): void {
    if (isDurable) this.known = this.next
    this.next = new Map()
    this.copies.release(keptBytesMax)
  }
}

/** Copies of one checkpoint, one behind the other in shared memory. */
class CopyMemory {
  private memory = NO_BYTES as Uint8Array
  private usedBytes = 0

  copy(bytes: Uint8Array): Uint8Array {
    const at = this.usedBytes
    const end = at + bytes.length
    if (end > this.memory.length) this.memory = grown(this.memory, Math.ceil(end / COPY_BYTES_MIN) * COPY_BYTES_MIN)
    this.usedBytes = Math.ceil(end / 8) * 8
    const copy = this.memory.subarray(at, end)
    copy.set(bytes)
    return copy
  }

  release(keptBytesMax: number): void {
    if (this.memory.length > Math.min(keptBytesMax, Math.max(COPY_BYTES_MIN, 2 * this.usedBytes))) this.memory = NO_BYTES
    this.usedBytes = 0
  }
}
/** From this size on memory grows where it lies, and is shared. */
const COPY_BYTES_MIN = 1 << 20

/** A part of which nothing was there before, in memory of its own. */
export const wholePart = (key: string, bytes: Uint8Array): PartUpdate => ({ key, type: 'value', sizeBytes: bytes.length, from: 0, bytes })
