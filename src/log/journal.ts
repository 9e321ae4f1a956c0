// The commit journal: makes small groups durable in one sync over bytes that were written before, instead of one for each partition's file, which
// also has to grow. The files get the same bytes without a sync, and are synced later, many groups at once.
//
//   group --> segment files (page cache) --> `journal`, synced --> answered ...... files synced in the background --> room for newer blocks
//                                                 |
//                                                 `-- crash --> redo: its bytes are written to the files again, before they are opened
//
// Invariants
//   1. A block stays until each file that it has bytes of was synced after it was written. So a start finds all that was acknowledged in the
//      files, or in the journal.
//   2. What the journal says of a position of a file stays true: only acknowledged bytes are in it, and those never change. A block that could
//      not be written for certain makes the journal stale: nothing more goes into it, a partition that had to refuse what is in it takes nothing
//      more until the journal is gone durably, and a new one is made later.
//   3. After a sync of a file that failed, in whatever thread, a later one says nothing of the bytes before it: they are written again first, from
//      the journal and from what is about to go into it.
//   4. A file goes through the journal only where nothing but its end has changed since it was last synced: that something was cut off it, the
//      journal does not say. The partition sees to that.
//   5. The file is there only while a log runs that has used it, or after one that ended without syncing all: a start redoes and removes it.
//   All are held by journal.property.test.ts, with a crash at any call of the disk.
import { alignedBuffer, type Disk, type FileHandle, ignoreFailure, ignoreMissing } from './disk.ts'
import { type Block, blockBytes, decodeBlock, encodeBlock, type JournalEntry, PAGE_BYTES } from './journalBlock.ts'
import { journalPath, redoFile } from './journalRedo.ts'
import type { JournalBackground, JournalDone } from './journalTask.ts'

export interface JournalOptions {
  /** A multiple of 4,096. */
  sizeBytes: number
  /** Larger groups are synced in their files. */
  groupBytesMax: number
  /** The file is made after so many groups that would have gone into it: a log that lives shortly has none. */
  groupsBefore: number
  /** Files are synced in the background each time that so many bytes have gone into the journal. */
  syncBytes: number
  background: JournalBackground
  /** A whole number below 2^48, another one each time. */
  newId: () => number
}

/** A file that has bytes of blocks, and was not synced since. */
interface DirtyFile {
  firstSequence: number
  lastSequence: number
  /** A sync failed: what it should have written may be nowhere but in the journal. */
  isLost: boolean
  /** Synced here while the background had something to do: its sync may have failed before, and not be told yet. */
  isUnsure: boolean
}

export class Journal {
  /** Blocks written, and times that it began anew at its beginning. */
  blockCount = 0
  lapCount = 0
  private readonly disk: Disk
  private readonly folder: string
  private readonly path: string
  private readonly options: JournalOptions
  private readonly pending: () => readonly JournalEntry[]
  private readonly buffer: Uint8Array
  /** `absent` until enough groups have gone by, `making` in the background, `open`, and `stale` until it could be removed. */
  private state: 'absent' | 'making' | 'open' | 'stale' = 'absent'
  private file: FileHandle | undefined
  private id = 0
  private sequence = 0
  /** Where the next block goes. */
  private head = 0
  /** Those that may be needed, oldest first. */
  private blocks: { sequence: number; position: number; sizeBytes: number }[] = []
  private readonly dirty = new Map<string, DirtyFile>()
  private groupsLeft: number
  private unsyncedBytes = 0
  private syncingCount = 0

  /** @param pending  what files have of groups that are not durable yet */
  constructor(disk: Disk, folder: string, options: JournalOptions, pending: () => readonly JournalEntry[]) {
    this.disk = disk
    this.folder = folder
    this.path = journalPath(folder)
    this.options = options
    this.pending = pending
    this.groupsLeft = options.groupsBefore
    this.buffer = alignedBuffer(options.groupBytesMax + PAGE_BYTES)
  }

  /** What can be durable only through the journal so far. */
  get dirtyPaths(): string[] {
    return [...this.dirty.keys()]
  }

  /** A file's name here: below the data folder. */
  nameOf(path: string): string {
    return path.slice(this.folder.length + 1)
  }

  /** Makes bytes durable that their files have, unsynced. False: they are not, and the files are to be synced. */
  write(entries: readonly JournalEntry[]): boolean {
    this.tend()
    const sizeBytes = blockBytes(entries)
    if (entries.length === 0 || sizeBytes > Math.min(this.buffer.length, this.options.sizeBytes)) return false
    const { disk, file } = this
    if (file === undefined || this.state !== 'open') {
      this.makeSoon()
      return false
    }
    let position = this.placeOf(sizeBytes)
    if (position === undefined) {
      ignoreFailure(() => this.syncFiles())
      position = this.placeOf(sizeBytes)
      if (position === undefined) return false
    }
    const sequence = this.sequence + 1
    const neededSequence = this.blocks[0]?.sequence ?? sequence
    try {
      disk.writeSynced(file, encodeBlock(this.buffer, { id: this.id, sequence, neededSequence }, entries), position)
    } catch {
      this.state = 'stale'
      // It may be there all the same.
      ignoreFailure(() => disk.writeSynced(file, this.buffer.subarray(0, PAGE_BYTES).fill(0), position))
      return false
    }
    if (position < this.head) this.lapCount++
    this.blockCount++
    this.sequence = sequence
    this.head = position + sizeBytes
    this.blocks.push({ sequence, position, sizeBytes })
    for (const { path } of entries) {
      const known = this.dirty.get(path)
      if (known) {
        known.lastSequence = sequence
        known.isUnsure = false
      } else this.dirty.set(path, { firstSequence: sequence, lastSequence: sequence, isLost: false, isUnsure: false })
    }
    this.unsyncedBytes += sizeBytes
    this.syncInBackground()
    return true
  }

  /** Syncs a file by `sync`, so that nothing of it is in the journal alone. @throws the disk's error */
  sync(path: string, sync: () => void): void {
    this.look()
    const file = this.dirty.get(path)
    try {
      if (file?.isLost) this.redo(path, file)
      sync()
      this.dirty.delete(path)
    } catch (error) {
      if (file) file.isLost = true
      throw error
    }
  }

  /**
   * To be called before a partition goes on whose disk has failed: what the journal has of the file is in it, and nothing that was refused can
   * come out of the journal any more.
   *
   * @throws the disk's error
   */
  restore(path: string): void {
    const file = this.dirty.get(path)
    if (file) this.redo(path, file)
    if (this.state === 'stale') this.remove()
  }

  /** Syncs all files that have bytes in the journal. @throws the disk's error; then some may still have */
  syncFiles(): void {
    this.look()
    for (const [path, file] of this.dirty) {
      if (file.isLost) this.redo(path, file)
      else if (!file.isUnsure || this.syncingCount === 0) this.syncFile(path, file)
    }
  }

  /** The same, and nothing of them is needed in the journal any more, whatever the background still has to tell. */
  private empty(): void {
    this.look()
    if (this.syncingCount > 0) for (const file of this.dirty.values()) file.isLost = true
    this.syncFiles()
  }

  /** A folder of the log is gone, durably. */
  forget(folder: string): void {
    const prefix = `${this.nameOf(folder)}/`
    for (const path of this.dirty.keys()) if (path.startsWith(prefix)) this.dirty.delete(path)
  }

  /** Removes the file, unless some of it is needed: then the next start redoes it. */
  close(): void {
    this.options.background.close()
    ignoreFailure(() => this.empty())
    if (this.dirty.size === 0 && this.state !== 'absent') ignoreFailure(() => this.remove())
    this.closeFile()
  }

  /** What was done in the background, and what could not be done before. */
  private tend(): void {
    this.look()
    for (const [path, file] of this.dirty) if (file.isLost) ignoreFailure(() => this.redo(path, file))
    if (this.state === 'stale') ignoreFailure(() => this.remove())
  }

  private look(): void {
    if (this.state !== 'making' && this.syncingCount === 0) return
    for (const done of this.options.background.done()) {
      if (done.kind === 'made') this.noteMade(done.error)
      else this.noteSynced(done)
    }
  }

  private makeSoon(): void {
    if (this.state !== 'absent' || this.groupsLeft-- > 0) return
    this.state = 'making'
    this.options.background.start({ kind: 'make', path: this.path, sizeBytes: this.options.sizeBytes })
  }

  private noteMade(error: string | undefined): void {
    this.state = 'absent'
    this.groupsLeft = this.options.groupsBefore
    // On a full disk half of a file is of no use to anybody.
    if (error !== undefined) {
      ignoreFailure(() => this.disk.unlink(this.path))
      return
    }
    ignoreFailure(() => {
      this.file = this.disk.open(this.path, 'synced')
      this.state = 'open'
      this.id = this.options.newId()
      // The sequence goes on: what the background says of an older file is known by it.
      this.head = 0
    })
  }

  private noteSynced({ path: fullPath, sequence, error }: JournalDone & { kind: 'synced' }): void {
    this.syncingCount--
    const path = this.nameOf(fullPath)
    const file = this.dirty.get(path)
    if (!file) return
    if (error === 'ENOENT') this.dirty.delete(path)
    else if (error !== undefined) file.isLost = true
    else if (file.isLost) return
    else if (file.isUnsure || file.lastSequence <= sequence) this.dirty.delete(path)
    else file.firstSequence = Math.max(file.firstSequence, sequence + 1)
  }

  private syncInBackground(): void {
    if (this.unsyncedBytes < this.options.syncBytes || this.syncingCount > 0) return
    const paths = [...this.dirty.keys()].map((path) => `${this.folder}/${path}`)
    this.unsyncedBytes = 0
    this.syncingCount = paths.length
    this.options.background.start({ kind: 'sync', paths, sequence: this.sequence })
  }

  /** Where a block of so many bytes can go; undefined: all is needed. */
  private placeOf(sizeBytes: number): number | undefined {
    let needed = Number.POSITIVE_INFINITY
    for (const { firstSequence } of this.dirty.values()) needed = Math.min(needed, firstSequence)
    const { head, blocks } = this
    const over = blocks.findIndex(({ sequence }) => sequence >= needed)
    blocks.splice(0, over < 0 ? blocks.length : over)
    const [first] = blocks
    const isWrapped = first !== undefined && head <= first.position
    if (head + sizeBytes <= (isWrapped ? first.position : this.options.sizeBytes)) return head
    if (isWrapped || sizeBytes > (first?.position ?? this.options.sizeBytes)) return undefined
    return 0
  }

  private syncFile(path: string, file: DirtyFile): void {
    const { disk } = this
    try {
      const handle = disk.open(`${this.folder}/${path}`, 'read')
      try {
        disk.sync(handle)
      } catch (error) {
        file.isLost = true
        throw error
      } finally {
        disk.close(handle)
      }
      file.isUnsure = this.syncingCount > 0
    } catch (error) {
      ignoreMissing(() => {
        throw error
      })
    }
    if (!file.isUnsure) this.dirty.delete(path)
  }

  /** Writes to a file again what is in the journal alone, and syncs it. */
  private redo(path: string, file: DirtyFile): void {
    file.isLost = true
    const blocks = this.blocks.filter(({ sequence }) => sequence >= file.firstSequence).map((block) => this.read(block))
    const pending = this.pending().map(({ buffers, ...entry }) => ({ ...entry, bytes: Buffer.concat(buffers) }))
    ignoreMissing(() => redoFile(this.disk, this.folder, path, [...blocks, { entries: pending }]))
    this.dirty.delete(path)
  }

  private read({ position, sizeBytes, sequence }: Journal['blocks'][number]): Block {
    const bytes = new Uint8Array(sizeBytes)
    const file = this.disk.open(this.path, 'read')
    try {
      this.disk.read(file, bytes, 0, sizeBytes, position)
    } finally {
      this.disk.close(file)
    }
    const block = decodeBlock(bytes, 0)
    if (block?.id !== this.id || block.sequence !== sequence) throw new Error(`block ${sequence} of ${this.path} is damaged`)
    return block
  }

  /** Removes the file durably, once nothing of it is needed; another is made later. @throws the disk's error */
  private remove(): void {
    this.empty()
    this.closeFile()
    ignoreMissing(() => this.disk.unlink(this.path))
    this.disk.syncFolder(this.folder)
    this.state = 'absent'
    this.groupsLeft = this.options.groupsBefore
    this.blocks = []
  }

  private closeFile(): void {
    const { file } = this
    this.file = undefined
    if (file !== undefined) ignoreFailure(() => this.disk.close(file))
  }
}
