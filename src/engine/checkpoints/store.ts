// Checkpoints and savepoints on a disk. Synchronous: a thread of its own writes them, the simulator calls it directly.
//
//   write:  data file, sync --> manifest beside its place, sync --> folder, sync --> rename --> folder, sync       the rename is the commit
//
// Invariants
//   1. After a crash at any call a checkpoint is there whole, or not at all. Nothing that a checkpoint points to is ever written again.
//   2. All that is read has its checksums checked: it is what was written, or CHECKPOINT_DAMAGED. A read that the disk refuses is tried again
//      before it counts as damage; one that the system refuses says nothing of the bytes (CHECKPOINT_UNREADABLE).
//   3. A failure before the rename leaves nothing behind that counts. A failure at or after it is undone, or said to be CHECKPOINT_UNCERTAIN.
//   4. The data files that a checkpoint points into have at most twice the bytes that it needs of them: before they have more, those that
//      are mostly garbage are emptied into its own.
//   1 and 2 are held by store.property.test.ts, which crashes at every call of the disk.
import assert from 'node:assert'
import { toStreamError } from '../../base/index.ts'
import { checkedLine, type Disk, errorCodeOf, readAgain, readLine, realDisk } from '../../log/index.ts'
import { spillErrors } from '../spill/errors.ts'
import { adoptable } from '../state/growing.ts'
import { checkpointErrors } from './errors.ts'
import { CHUNK_FIELDS, FORMAT, type Manifest, partKeysOf, type QueryState, type StoredPart } from './manifest.ts'
import { CHUNK_BYTES, checksumsOf, type PartUpdate } from './stateTracker.ts'

export interface WriteRequest {
  /** Where the manifest goes: `checkpointFolder` of a job. */
  folder: string
  id: number
  job: string
  createdMs: number
  queries: QueryState[]
  updates: PartUpdate[]
  /** The checkpoint that the updates are relative to: the newest in the folder. */
  base: Manifest | undefined
}

const MANIFEST = /^chk-(\d+)$/
const DATA = /^data-(\d+)$/
const dataName = (id: number | string): string => `data-${id}`
export const manifestName = (id: number): string => `chk-${id}`
/** Chunks are gathered into writes of this size. */
const WRITE_BYTES = 4 * 1024 * 1024
/** Old data files are emptied when a checkpoint points into more bytes than this many times its state. */
const DISK_SHARE_MAX = 2

export class CheckpointStore {
  readonly disk: Disk
  private readonly root: string
  /** Those of which this process knows that their names are on the disk. */
  private readonly durableFolders = new Set<string>()

  /** @param dataFolder  which exists */
  constructor(dataFolder: string, disk: Disk = realDisk) {
    this.disk = disk
    this.root = dataFolder
  }

  get checkpointsFolder(): string {
    return `${this.root}/checkpoints`
  }
  get savepointsFolder(): string {
    return `${this.root}/savepoints`
  }
  folderOf(job: string): string {
    return `${this.checkpointsFolder}/${job}`
  }

  /** Jobs that have a folder. */
  jobs(folder = this.checkpointsFolder): string[] {
    return this.names(folder).sort()
  }

  /** Ids of the checkpoints in a job's folder, ascending. */
  ids(folder: string): number[] {
    return this.names(folder)
      .map((name) => MANIFEST.exec(name)?.[1])
      .filter((id) => id !== undefined)
      .map(Number)
      .sort((a, b) => a - b)
  }

  /** The highest id that was used in any job, so that the next one is new. */
  lastId(): number {
    const folders = [this.checkpointsFolder, ...this.savepoints().map((name) => `${this.savepointsFolder}/${name}`)]
    const files = folders.flatMap((folder) => this.jobs(folder).flatMap((job) => this.names(`${folder}/${job}`)))
    return files.reduce((last, name) => Math.max(last, Number(/^(?:chk|data)-(\d+)/.exec(name)?.[1] ?? 0)), 0)
  }

  /** Whether a manifest is there, damaged or not. */
  has(path: string): boolean {
    return this.exists(path.slice(0, path.lastIndexOf('/')), path)
  }

  /** @throws CHECKPOINT_DAMAGED, CHECKPOINT_UNREADABLE, CHECKPOINT_NOT_FOUND, CHECKPOINT_FORMAT */
  read(folder: string, id: number): Manifest {
    const path = `${folder}/${manifestName(id)}`
    let manifest: Manifest
    try {
      manifest = readAgain(() => readLine<Manifest>(this.disk, path), unreadable(path))
    } catch (error) {
      if (isUnreadable(error)) throw error
      if (errorCodeOf(error) === 'ENOENT') throw checkpointErrors('CHECKPOINT_NOT_FOUND', { path })
      throw checkpointErrors('CHECKPOINT_DAMAGED', { path, reason: (error as Error).message }, { cause: error })
    }
    if (manifest.format > FORMAT) throw checkpointErrors('CHECKPOINT_FORMAT', { path, format: manifest.format, known: FORMAT })
    return manifest
  }

  /**
   * Makes durable that the checkpoints of a folder are there: who wrote the newest may have been killed before it did, and what is done from
   * now on counts on it.
   *
   * @throws CHECKPOINT_UNREADABLE
   */
  confirm(folder: string): void {
    try {
      this.disk.syncFolder(folder)
    } catch (error) {
      throw unreadable(folder)(error)
    }
  }

  /** Reads parts of a checkpoint; close it afterwards. */
  openParts(folder: string, manifest: Manifest): PartReader {
    return new PartReader(this.disk, folder, manifest)
  }

  /**
   * Writes a checkpoint. When it returns, that is durable.
   *
   * @throws CHECKPOINT_FAILED     it is not there, and will not be
   * @throws SPILL_DAMAGED         the same, and there can be no other: state that is on the disk is not what it was
   * @throws CHECKPOINT_UNCERTAIN  nobody knows
   */
  write(request: WriteRequest): Manifest {
    const { folder, id } = request
    const path = `${folder}/${manifestName(id)}`
    let manifest: Manifest
    try {
      this.makeFolder(this.checkpointsFolder, this.root)
      this.makeFolder(folder, this.checkpointsFolder)
      manifest = this.writeData(request)
      this.writeFile(`${path}.new`, [checkedLine(manifest)])
      this.disk.syncFolder(folder)
    } catch (error) {
      for (const left of [`${folder}/${dataName(id)}`, `${path}.new`]) this.attempt(() => this.disk.unlink(left))
      if (errorCodeOf(error) === 'SPILL_DAMAGED') throw error
      throw checkpointErrors('CHECKPOINT_FAILED', { path, reason: (error as Error).message }, { cause: error })
    }
    try {
      this.disk.rename(`${path}.new`, path)
      this.disk.syncFolder(folder)
    } catch (error) {
      const reason = (error as Error).message
      const isUndone = this.attempt(() => {
        for (const name of [path, `${path}.new`]) if (this.exists(folder, name)) this.disk.unlink(name)
        this.disk.syncFolder(folder)
      })
      throw checkpointErrors(isUndone ? 'CHECKPOINT_FAILED' : 'CHECKPOINT_UNCERTAIN', { path, reason }, { cause: error })
    }
    return manifest
  }

  /** Removes all but the newest checkpoints of a folder, and data that none of them needs. What cannot be removed now is left for the next time. */
  prune(folder: string, retained: number): void {
    this.attempt(() => {
      const ids = this.ids(folder)
      for (const id of ids.slice(0, Math.max(0, ids.length - retained))) this.disk.unlink(`${folder}/${manifestName(id)}`)
      // Their names go first: a manifest never points to what is not there.
      this.disk.syncFolder(folder)
      const needed = new Set<string>()
      for (const id of this.ids(folder)) for (const file of Object.keys(this.read(folder, id).dataBytes)) needed.add(dataName(file))
      for (const name of this.names(folder)) {
        if ((DATA.test(name) && !needed.has(name)) || name.endsWith('.new')) this.disk.unlink(`${folder}/${name}`)
      }
    })
  }

  /** Removes a folder with all that is in it, of a job or of a savepoint. */
  remove(folder: string): void {
    for (const name of this.names(folder)) {
      if (this.isFolder(`${folder}/${name}`)) this.remove(`${folder}/${name}`)
      else this.disk.unlink(`${folder}/${name}`)
    }
    this.disk.removeFolder(folder)
    this.durableFolders.delete(folder)
  }

  savepoints(): string[] {
    return this.names(this.savepointsFolder)
      .filter((name) => !name.endsWith('.new') && !name.endsWith('.deleted'))
      .sort()
  }

  /**
   * Copies checkpoints into a savepoint, which needs no other file. There all at once or not at all.
   *
   * @throws SAVEPOINT_NAME_INVALID, SAVEPOINT_EXISTS, CHECKPOINT_DAMAGED, CHECKPOINT_FAILED
   */
  writeSavepoint(name: string, checkpoints: { folder: string; manifest: Manifest }[]): void {
    if (!/^[a-zA-Z0-9][\w.-]{0,99}$/.test(name) || /\.(new|deleted)$/.test(name)) throw checkpointErrors('SAVEPOINT_NAME_INVALID', { name })
    if (this.savepoints().includes(name)) throw checkpointErrors('SAVEPOINT_EXISTS', { name })
    const folder = `${this.savepointsFolder}/${name}`
    const temporary = `${folder}.new`
    try {
      this.makeFolder(this.savepointsFolder, this.root)
      if (this.exists(this.savepointsFolder, temporary)) this.remove(temporary)
      this.disk.makeFolder(temporary)
      for (const { folder: source, manifest } of checkpoints) {
        const target = `${temporary}/${manifest.job}`
        this.disk.makeFolder(target)
        const copy = this.copyParts(source, manifest, target)
        this.writeFile(`${target}/${manifestName(manifest.id)}`, [checkedLine(copy)])
        this.disk.syncFolder(target)
      }
      this.disk.syncFolder(temporary)
      this.disk.rename(temporary, folder)
      this.disk.syncFolder(this.savepointsFolder)
    } catch (error) {
      this.attempt(() => this.remove(temporary))
      const known = toStreamError(error)
      if (known.code === 'CHECKPOINT_DAMAGED') throw known
      throw checkpointErrors('CHECKPOINT_FAILED', { path: folder, reason: known.message }, { cause: error })
    }
  }

  /** @throws SAVEPOINT_NOT_FOUND */
  deleteSavepoint(name: string): void {
    if (!this.savepoints().includes(name)) throw checkpointErrors('SAVEPOINT_NOT_FOUND', { name, known: this.savepoints() })
    const folder = `${this.savepointsFolder}/${name}`
    // Under another name first: half of a savepoint is never taken for a whole one.
    this.disk.rename(folder, `${folder}.deleted`)
    this.disk.syncFolder(this.savepointsFolder)
    this.remove(`${folder}.deleted`)
  }

  private writeData(request: WriteRequest): Manifest {
    const { folder, id, job, createdMs, queries, updates, base } = request
    const out = new DataWriter(this.disk, `${folder}/${dataName(id)}`, id)
    const parts: Record<string, StoredPart> = {}
    const updated = new Map(updates.map((update) => [update.key, update]))
    const reader = base && this.openParts(folder, base)
    const sources = new SourceFiles(this.disk)
    try {
      for (const key of queries.flatMap(partKeysOf)) {
        const update = updated.get(key)
        const before = base?.parts[key]
        if (update) parts[key] = merge(update, before, out, sources)
        else {
          assert(before, `part ${key} is neither new nor in the checkpoint before`)
          parts[key] = before
        }
      }
      if (reader && base) this.emptyOldFiles(parts, base, id, reader, out)
      out.finish()
    } finally {
      out.close()
      sources.close()
      reader?.close()
    }
    const dataBytes: Record<string, number> = {}
    let fullBytes = 0
    for (const { sizeBytes, chunks } of Object.values(parts)) {
      fullBytes += sizeBytes
      for (let at = 0; at < chunks.length; at += CHUNK_FIELDS)
        dataBytes[chunks[at]] ??= chunks[at] === id ? out.sizeBytes : (base?.dataBytes[chunks[at]] ?? 0)
    }
    return { format: FORMAT, id, job, createdMs, fullBytes, writtenBytes: out.sizeBytes, queries, parts, dataBytes }
  }

  /** Moves what is still needed of files that are mostly garbage into the new one. */
  private emptyOldFiles(parts: Record<string, StoredPart>, base: Manifest, id: number, reader: PartReader, out: DataWriter): void {
    const live = new Map<number, number>()
    for (const { sizeBytes, chunks } of Object.values(parts))
      for (let i = 0; i * CHUNK_FIELDS < chunks.length; i++) {
        const file = chunks[i * CHUNK_FIELDS]
        live.set(file, (live.get(file) ?? 0) + Math.min(CHUNK_BYTES, sizeBytes - i * CHUNK_BYTES))
      }
    const stateBytes = [...live.values()].reduce((sum, bytes) => sum + bytes, 0)
    const old = [...live].filter(([file]) => file !== id).map(([file, bytes]) => ({ file, bytes, sizeBytes: base.dataBytes[file] }))
    let diskBytes = old.reduce((sum, { sizeBytes }) => sum + sizeBytes, out.sizeBytes)
    const emptied = new Set<number>()
    for (const { file, bytes, sizeBytes } of old.toSorted((a, b) => a.bytes / a.sizeBytes - b.bytes / b.sizeBytes)) {
      if (diskBytes <= stateBytes * DISK_SHARE_MAX) break
      emptied.add(file)
      diskBytes += bytes - sizeBytes
    }
    if (emptied.size === 0) return
    for (const [key, part] of Object.entries(parts)) {
      if (!part.chunks.some((value, at) => at % CHUNK_FIELDS === 0 && emptied.has(value))) continue
      const chunks = part.chunks.slice()
      for (let at = 0; at < chunks.length; at += CHUNK_FIELDS) {
        if (!emptied.has(chunks[at])) continue
        const position = out.add(reader.readChunk(part, at / CHUNK_FIELDS))
        chunks[at] = id
        chunks[at + 1] = position
      }
      parts[key] = { ...part, chunks }
    }
  }

  private copyParts(source: string, manifest: Manifest, target: string): Manifest {
    const { id } = manifest
    const out = new DataWriter(this.disk, `${target}/${dataName(id)}`, id)
    const reader = this.openParts(source, manifest)
    const parts: Record<string, StoredPart> = {}
    try {
      for (const [key, part] of Object.entries(manifest.parts)) {
        const chunks = part.chunks.slice()
        for (let at = 0; at < chunks.length; at += CHUNK_FIELDS) {
          chunks[at + 1] = out.add(reader.readChunk(part, at / CHUNK_FIELDS))
          chunks[at] = id
        }
        parts[key] = { ...part, chunks }
      }
      out.finish()
    } finally {
      out.close()
      reader.close()
    }
    return { ...manifest, parts, writtenBytes: out.sizeBytes, dataBytes: out.sizeBytes > 0 ? { [id]: out.sizeBytes } : {} }
  }

  private writeFile(path: string, buffers: readonly Uint8Array[]): void {
    const file = this.disk.open(path, 'create')
    try {
      this.disk.truncate(file, 0)
      this.disk.write(file, buffers, 0)
      this.disk.sync(file)
    } finally {
      this.disk.close(file)
    }
  }

  private makeFolder(folder: string, parent: string): void {
    if (this.durableFolders.has(folder)) return
    if (!this.exists(parent, folder)) this.disk.makeFolder(folder)
    // Also of one that is there: whoever made it may have been killed, or refused, before its name was durable.
    this.disk.syncFolder(parent)
    this.durableFolders.add(folder)
  }

  private exists(parent: string, path: string): boolean {
    return this.names(parent).includes(path.slice(path.lastIndexOf('/') + 1))
  }

  private isFolder(path: string): boolean {
    try {
      this.disk.list(path)
      return true
    } catch {
      return false
    }
  }

  private names(folder: string): string[] {
    try {
      return this.disk.list(folder)
    } catch (error) {
      if (errorCodeOf(error) === 'ENOENT') return []
      throw error
    }
  }

  private attempt(work: () => void): boolean {
    try {
      work()
      return true
    } catch {
      return false
    }
  }
}

/** The part with its new chunks in the new file and the others where they are: those that have both checksums that they had. */
function merge(update: PartUpdate, before: StoredPart | undefined, out: DataWriter, sources: SourceFiles): StoredPart {
  const { key, type, sizeBytes, from, bytes, source } = update
  const chunks: number[] = []
  for (let i = 0; i * CHUNK_BYTES < sizeBytes; i++) {
    const start = i * CHUNK_BYTES
    const end = Math.min(sizeBytes, start + CHUNK_BYTES)
    const known = before && Math.min(before.sizeBytes, start + CHUNK_BYTES) === end ? i * CHUNK_FIELDS : undefined
    if (end <= from) {
      assert(before && known !== undefined, `chunk ${i} of ${key} is not in the checkpoint before`)
      chunks.push(...before.chunks.slice(known, known + CHUNK_FIELDS))
      continue
    }
    const chunk = source ? undefined : bytes.subarray(start - from, end - from)
    const [a, b] = chunk ? checksumsOf(chunk) : source!.checksums.subarray(2 * i, 2 * i + 2)
    if (before && known !== undefined && before.chunks[known + 2] === a && before.chunks[known + 3] === b)
      chunks.push(before.chunks[known], before.chunks[known + 1], a, b)
    else chunks.push(out.id, out.add(chunk ?? sources.read(source!, i, end - start, a, b)), a, b)
  }
  return { type, sizeBytes, chunks }
}

/** Files of state that is on the disk already: what a checkpoint takes from them is checked like all that is read. */
class SourceFiles {
  private readonly disk: Disk
  private readonly files = new Map<string, number>()

  constructor(disk: Disk) {
    this.disk = disk
  }

  read({ path, position }: { path: string; position: number }, index: number, size: number, a: number, b: number): Uint8Array {
    let file = this.files.get(path)
    if (file === undefined) {
      // Parts of one file come one after another.
      this.close()
      this.files.set(path, (file = this.disk.open(path, 'read')))
    }
    const bytes = new Uint8Array(size)
    const count = this.disk.read(file, bytes, 0, size, position + index * CHUNK_BYTES)
    const [actualA, actualB] = checksumsOf(bytes)
    if (count < size || actualA !== a || actualB !== b)
      throw spillErrors('SPILL_DAMAGED', { path, reason: `wrong checksum at ${position + index * CHUNK_BYTES}` })
    return bytes
  }

  close(): void {
    for (const file of this.files.values()) this.disk.close(file)
    this.files.clear()
  }
}

/** A data file on its way: made with the first byte. */
class DataWriter {
  sizeBytes = 0
  readonly id: number
  private readonly disk: Disk
  private readonly path: string
  private file: number | undefined
  private waiting: Uint8Array[] = []
  private waitingBytes = 0

  constructor(disk: Disk, path: string, id: number) {
    this.disk = disk
    this.path = path
    this.id = id
  }

  /** Returns where in the file the bytes are. */
  add(bytes: Uint8Array): number {
    const position = this.sizeBytes
    this.waiting.push(bytes)
    this.waitingBytes += bytes.length
    this.sizeBytes += bytes.length
    if (this.waitingBytes >= WRITE_BYTES) this.flush()
    return position
  }

  private flush(): void {
    if (this.waitingBytes === 0) return
    if (this.file === undefined) {
      this.file = this.disk.open(this.path, 'create')
      this.disk.truncate(this.file, 0)
    }
    this.disk.write(this.file, this.waiting, this.sizeBytes - this.waitingBytes)
    this.waiting = []
    this.waitingBytes = 0
  }

  finish(): void {
    this.flush()
    if (this.file !== undefined) this.disk.sync(this.file)
  }

  close(): void {
    if (this.file !== undefined) this.disk.close(this.file)
    this.file = undefined
  }
}

/** So many chunks are read at once: they are still in the processor's cache when they are checked. */
const READ_CHUNKS = 16

/** Whether chunk `index` lies in the file where the one before it ends: only the last of a part is smaller than the others. */
function isBehind(chunks: readonly number[], index: number): boolean {
  const at = index * CHUNK_FIELDS
  return chunks[at] === chunks[at - CHUNK_FIELDS] && chunks[at + 1] === chunks[at + 1 - CHUNK_FIELDS] + CHUNK_BYTES
}

const isUnreadable = (error: unknown): boolean => errorCodeOf(error) === 'CHECKPOINT_UNREADABLE'

const unreadable = (path: string) => (error: unknown) =>
  checkpointErrors('CHECKPOINT_UNREADABLE', { path, reason: (error as Error).message }, { cause: error })

export class PartReader {
  private readonly disk: Disk
  private readonly folder: string
  private readonly manifest: Manifest
  private readonly files = new Map<number, number>()

  constructor(disk: Disk, folder: string, manifest: Manifest) {
    this.disk = disk
    this.folder = folder
    this.manifest = manifest
  }

  /** The bytes of a part, in memory of their own that state can take over. @throws CHECKPOINT_DAMAGED, CHECKPOINT_UNREADABLE */
  read(key: string): Uint8Array {
    const part = this.manifest.parts[key]
    if (!part) throw this.damaged(`it has no part ${key}`)
    const bytes = adoptable(part.sizeBytes)
    const count = part.chunks.length / CHUNK_FIELDS
    for (let from = 0, to = 1; from < count; from = to++) {
      while (to < count && to - from < READ_CHUNKS && isBehind(part.chunks, to)) to++
      this.readChunks(part, from, to, bytes, from * CHUNK_BYTES)
    }
    return bytes
  }

  readChunk(part: StoredPart, index: number): Uint8Array {
    const bytes = new Uint8Array(Math.min(CHUNK_BYTES, part.sizeBytes - index * CHUNK_BYTES))
    this.readChunks(part, index, index + 1, bytes, 0)
    return bytes
  }

  /** Chunks from … to-1, which lie one behind the other. */
  private readChunks({ chunks, sizeBytes }: StoredPart, from: number, to: number, target: Uint8Array, at: number): void {
    const [id, position] = chunks.slice(from * CHUNK_FIELDS, from * CHUNK_FIELDS + 2)
    const size = Math.min(to * CHUNK_BYTES, sizeBytes) - from * CHUNK_BYTES
    const name = dataName(id)
    let count: number
    try {
      const path = `${this.folder}/${name}`
      count = readAgain(() => {
        let file = this.files.get(id)
        if (file === undefined) this.files.set(id, (file = this.disk.open(path, 'read')))
        return this.disk.read(file, target, at, size, position)
      }, unreadable(path))
    } catch (error) {
      if (isUnreadable(error)) throw error
      throw this.damaged(`${name} cannot be read: ${(error as Error).message}`)
    }
    if (count < size) throw this.damaged(`${name} ends at ${position + count}`)
    for (let i = from; i < to; i++) {
      const start = (i - from) * CHUNK_BYTES
      const [a, b] = checksumsOf(target.subarray(at + start, at + Math.min(size, start + CHUNK_BYTES)))
      if (a !== chunks[i * CHUNK_FIELDS + 2] || b !== chunks[i * CHUNK_FIELDS + 3])
        throw this.damaged(`the checksum of ${name} at ${position + start} is wrong`)
    }
  }

  private damaged(reason: string) {
    return checkpointErrors('CHECKPOINT_DAMAGED', { path: `${this.folder}/${manifestName(this.manifest.id)}`, reason })
  }

  close(): void {
    for (const file of this.files.values()) this.disk.close(file)
    this.files.clear()
  }
}
