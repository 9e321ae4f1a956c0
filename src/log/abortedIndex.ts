// The aborted transactions of a partition, in files beside its segments: what a `read_committed` reader needs besides the log itself.
//
//   <offset of the first abort marker in it>.txnindex, up to 4,096 entries of 36 bytes, big-endian, in the order of the markers:
//   0 producerId i64 | 8 firstOffset i64 | 16 lastOffset i64 (the marker) | 24 lastStableOffset i64 (after the marker) | 32 crc u32
//
// Invariants
//   1. An entry is in its file before `lastStableOffset` of the partition moves past the marker: a reader finds all that it needs.
//   2. Entries before a `.producers` snapshot were synced before it, and the snapshot counts them: on start they are there, or it is not used.
//      Entries behind it are made again from the log, so all files can be lost.
//   3. A file of which all transactions ended before the start of the log is deleted. Segments and their files have no part in this, so
//      compaction and retention of segments change nothing here.
import { crc32c } from './crc32c.ts'
import { type Disk, errorCodeOf, type FileHandle, ignoreMissing } from './disk.ts'
import { logErrors } from './errors.ts'
import { readInt64, readUint32, writeInt32, writeInt64 } from './recordBatch.ts'
import { segmentName } from './segmentIndex.ts'

export interface AbortedTransaction {
  producerId: number
  /** Offset of its first record. */
  firstOffset: number
  /** Offset of its abort marker. */
  lastOffset: number
  /** The partition's after the marker: no transaction that ended later began before it. */
  lastStableOffset: number
}
/** One index file as a snapshot remembers it. */
export interface AbortedFile {
  base: number
  count: number
  lastOffset: number
}

const SUFFIX = '.txnindex'
const ENTRY_BYTES = 36
const CRC_AT = 32
const ENTRIES_MAX = 4_096

const pathOf = (folder: string, base: number): string => `${folder}/${segmentName(base)}${SUFFIX}`

function listFiles(disk: Disk, folder: string): number[] {
  const names = disk.list(folder).filter((name) => name.endsWith(SUFFIX))
  return names.map((name) => Number(name.slice(0, -SUFFIX.length))).sort((a, b) => a - b)
}

function encode(base: number, { producerId, firstOffset, lastOffset, lastStableOffset }: AbortedTransaction): Uint8Array {
  const bytes = new Uint8Array(ENTRY_BYTES)
  writeInt64(bytes, 0, producerId)
  writeInt64(bytes, 8, firstOffset)
  writeInt64(bytes, 16, lastOffset)
  writeInt64(bytes, 24, lastStableOffset)
  writeInt32(bytes, CRC_AT, crc32c(bytes.subarray(0, CRC_AT), base >>> 0))
  return bytes
}

/** The entries from number `from` on, up to the first one that is damaged; `isWhole`: there was none. Part of an entry at the end is none yet. */
function readFile(disk: Disk, folder: string, base: number, from = 0): { entries: AbortedTransaction[]; isWhole: boolean } {
  let file: FileHandle
  try {
    file = disk.open(pathOf(folder, base), 'read')
  } catch (error) {
    // Retention took it while somebody looked.
    if (errorCodeOf(error) === 'ENOENT') return { entries: [], isWhole: true }
    throw error
  }
  try {
    const bytes = new Uint8Array(Math.max(0, disk.size(file) - from * ENTRY_BYTES))
    const sizeBytes = disk.read(file, bytes, 0, bytes.length, from * ENTRY_BYTES)
    const entries: AbortedTransaction[] = []
    for (let at = 0; at + ENTRY_BYTES <= sizeBytes; at += ENTRY_BYTES) {
      if (crc32c(bytes.subarray(at, at + CRC_AT), base >>> 0) !== readUint32(bytes, at + CRC_AT)) return { entries, isWhole: false }
      const [producerId, firstOffset, lastOffset, lastStableOffset] = [0, 8, 16, 24].map((field) => readInt64(bytes, at + field))
      entries.push({ producerId, firstOffset, lastOffset, lastStableOffset })
    }
    return { entries, isWhole: true }
  } finally {
    disk.close(file)
  }
}

/** The writing side, of one partition. */
export class AbortedIndex {
  /** How many were ever written since the partition was opened, and those that it had then. */
  totalCount = 0
  files: AbortedFile[] = []
  private readonly disk: Disk
  private readonly folder: string
  private readonly unsynced = new Set<number>()

  constructor(disk: Disk, folder: string) {
    this.disk = disk
    this.folder = folder
  }

  /** Takes over the files as a snapshot lists them. False, and nothing changed, if they do not have what it says. */
  adopt(listed: readonly AbortedFile[], startOffset: number): boolean {
    const { disk, folder } = this
    const present = new Set(listFiles(disk, folder))
    const needed = listed.filter(({ lastOffset }) => lastOffset >= startOffset)
    const isThere = ({ base, count, lastOffset }: AbortedFile) =>
      present.has(base) && readFile(disk, folder, base).entries[count - 1]?.lastOffset === lastOffset
    if (!needed.every(isThere)) return false
    for (const base of present) if (!needed.some((file) => file.base === base)) disk.unlink(pathOf(folder, base))
    for (const { base, count } of needed) this.cut(base, count)
    this.files = needed.map((file) => ({ ...file }))
    this.totalCount = needed.reduce((sum, { count }) => sum + count, 0)
    return true
  }

  /** Removes all files: what they held is read from the log. */
  clear(): void {
    for (const base of listFiles(this.disk, this.folder)) this.disk.unlink(pathOf(this.folder, base))
    this.files = []
    this.totalCount = 0
  }

  /** Writes entries behind the others. @throws the disk's error; then the same call can be repeated */
  write(entries: readonly AbortedTransaction[]): void {
    for (const entry of entries) {
      let last = this.files.at(-1)
      if (!last || last.count === ENTRIES_MAX) last = { base: entry.lastOffset, count: 0, lastOffset: -1 }
      // Written already by a call that failed later.
      if (entry.lastOffset <= last.lastOffset) continue
      const file = this.disk.open(pathOf(this.folder, last.base), 'create')
      try {
        this.disk.write(file, [encode(last.base, entry)], last.count * ENTRY_BYTES)
      } finally {
        this.disk.close(file)
      }
      this.unsynced.add(last.base)
      if (last.count === 0) this.files.push(last)
      last.count++
      last.lastOffset = entry.lastOffset
      this.totalCount++
    }
  }

  /** Makes all entries durable. @throws the disk's error */
  sync(): void {
    if (this.unsynced.size === 0) return
    for (const base of this.unsynced) {
      const file = this.disk.open(pathOf(this.folder, base), 'read')
      try {
        this.disk.sync(file)
      } finally {
        this.disk.close(file)
      }
    }
    this.disk.syncFolder(this.folder)
    this.unsynced.clear()
  }

  /** Deletes files that speak of nothing at or behind `startOffset`. @throws the disk's error */
  forgetBefore(startOffset: number): void {
    while (this.files.length > 0 && this.files[0].lastOffset < startOffset) {
      const { base } = this.files[0]
      ignoreMissing(() => this.disk.unlink(pathOf(this.folder, base)))
      this.unsynced.delete(base)
      this.files.shift()
    }
  }

  private cut(base: number, count: number): void {
    const file = this.disk.open(pathOf(this.folder, base), 'create')
    try {
      if (this.disk.size(file) > count * ENTRY_BYTES) this.disk.truncate(file, count * ENTRY_BYTES)
    } finally {
      this.disk.close(file)
    }
  }
}

/** The reading side, in any thread. Files only grow, so what was read of one stays. */
export class AbortedReader {
  private readonly disk: Disk
  private readonly folder: string
  private known = new Map<number, AbortedTransaction[]>()

  constructor(disk: Disk, folder: string) {
    this.disk = disk
    this.folder = folder
  }

  /**
   * The aborted transactions that may have records in `[fromOffset … toOffset)`, which all must be below the last stable offset.
   *
   * @throws LOG_SEGMENT_DAMAGED if an index file is damaged, and what the disk throws
   */
  between(fromOffset: number, toOffset: number): AbortedTransaction[] {
    const found: AbortedTransaction[] = []
    const all = listFiles(this.disk, this.folder)
    const bases = all.slice(
      Math.max(
        0,
        all.findLastIndex((base) => base <= fromOffset),
      ),
    )
    for (const base of this.known.keys()) if (!bases.includes(base)) this.known.delete(base)
    for (const base of bases) {
      for (const entry of this.entriesOf(base, toOffset)) {
        if (entry.lastOffset >= fromOffset && entry.firstOffset < toOffset) found.push(entry)
        if (entry.lastStableOffset >= toOffset) return found
      }
    }
    return found
  }

  private entriesOf(base: number, toOffset: number): AbortedTransaction[] {
    const known = this.known.get(base) ?? []
    const isEnough = known.length >= ENTRIES_MAX || (known.at(-1)?.lastStableOffset ?? -1) >= toOffset
    if (isEnough) return known
    const { entries, isWhole } = readFile(this.disk, this.folder, base, known.length)
    if (!isWhole && (entries.at(-1)?.lastStableOffset ?? -1) < toOffset) {
      const path = pathOf(this.folder, base)
      const at = { position: (known.length + entries.length) * ENTRY_BYTES, firstOffset: base, nextOffset: toOffset }
      throw logErrors('LOG_SEGMENT_DAMAGED', {
        path,
        ...at,
        reason: 'the index of aborted transactions is damaged; a restart makes it again',
      })
    }
    for (const entry of entries) known.push(entry)
    this.known.set(base, known)
    return known
  }
}
