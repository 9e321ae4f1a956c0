// A disk in memory for tests and the simulator: it keeps apart what was synced and what was not, and can lose, tear, reorder, refuse, take or
// give less than it was asked for, run full or out of file handles, and flip bits.
//
// Invariants
//   1. A file's bytes are durable after `sync`, its name after `syncFolder`: neither brings the other along.
//   2. A sync that fails forgets what it should have written, as Linux does: later syncs succeed and do not bring it back.
//   3. `crashed` gives a disk as it may be after a power cut. What was not synced is kept, dropped or torn in sectors of 512 bytes, each for
//      itself (so a later write may be there without an earlier one); each unsynced name is kept or not, in any combination. The same
//      choices give the same disk.
import { type Disk, type FileHandle, type OpenMode, readAll, writeAll } from './disk.ts'

const SECTOR_BYTES = 512

type Change = { kind: 'write'; position: number; bytes: Uint8Array } | { kind: 'truncate'; sizeBytes: number }

/** Bytes that grow in place. */
class Bytes {
  sizeBytes: number
  private buffer: Uint8Array<ArrayBufferLike>

  constructor(content: Uint8Array = new Uint8Array(0)) {
    this.buffer = content
    this.sizeBytes = content.length
  }

  get view(): Uint8Array {
    return this.buffer.subarray(0, this.sizeBytes)
  }

  apply(change: Change): void {
    if (change.kind === 'truncate') this.resize(change.sizeBytes)
    else {
      this.resize(Math.max(this.sizeBytes, change.position + change.bytes.length))
      this.buffer.set(change.bytes, change.position)
    }
  }

  resize(sizeBytes: number): void {
    if (sizeBytes > this.buffer.length) {
      const grown = new Uint8Array(Math.max(sizeBytes, this.buffer.length * 2))
      grown.set(this.view)
      this.buffer = grown
    } else if (sizeBytes < this.sizeBytes) this.buffer.fill(0, sizeBytes, this.sizeBytes)
    this.sizeBytes = sizeBytes
  }
}

class FakeFile {
  readonly content: Bytes
  readonly durable: Bytes
  unsynced: Change[] = []

  constructor(content: Uint8Array = new Uint8Array(0)) {
    this.content = new Bytes(content.slice())
    this.durable = new Bytes(content.slice())
  }
}
/** Names given (or, without a node, taken away) by one call: they survive a crash together or not at all. */
type NameChange = [name: string, node: FakeFile | FakeFolder | undefined][]

class FakeFolder {
  names: Map<string, FakeFile | FakeFolder>
  durableNames: Map<string, FakeFile | FakeFolder>
  unsynced: NameChange[] = []

  constructor(names = new Map<string, FakeFile | FakeFolder>()) {
    this.names = names
    this.durableNames = new Map(names)
  }
}

export type DiskCall =
  | 'open'
  | 'write'
  | 'read'
  | 'truncate'
  | 'sync'
  | 'syncFolder'
  | 'makeFolder'
  | 'rename'
  | 'unlink'
  | 'removeFolder'
  | 'list'

/** 0 drops all that was not synced, 1 keeps it, in between each sector is kept with that chance. */
export interface CrashChoices {
  keep: number
  /** A number from 0 to 1, as Math.random gives; from a seed. */
  random: () => number
}

export const diskError = (code: string): NodeJS.ErrnoException => Object.assign(new Error(`${code}: fake disk`), { code })

export class FakeDisk implements Disk {
  /** Called before each call that touches the disk; what it throws, the call throws. */
  before: (call: DiskCall, path: string) => void = () => {}
  /** Told of each call that is refused because the disk is full or too much is open. */
  refused: (code: 'ENOSPC' | 'EMFILE', call: DiskCall, path: string) => void = () => {}
  /** How many bytes one call of the system takes or gives, of so many: at least one, at most all. */
  portion: (call: 'write' | 'read', sizeBytes: number, path: string) => number = (_call, sizeBytes) => sizeBytes
  capacityBytes = Number.POSITIVE_INFINITY
  /** When all files were written last. */
  nowMs = 0
  /** Beyond it nothing can be opened, folders neither: EMFILE. */
  openFilesMax = Number.POSITIVE_INFINITY
  private readonly root: FakeFolder
  private readonly handles = new Map<FileHandle, { file: FakeFile; path: string }>()
  private lastHandle = 0
  private isGone = false

  constructor(root = new FakeFolder()) {
    this.root = root
  }

  get openFileCount(): number {
    return this.handles.size
  }
  /** Paths of what is open. */
  get openFiles(): string[] {
    return [...this.handles.values()].map(({ path }) => path)
  }

  open(path: string, mode: OpenMode): FileHandle {
    this.before('open', path)
    this.needHandle('open', path)
    const { folder, name } = this.locate(path)
    let file = folder.names.get(name)
    if (file instanceof FakeFolder) throw diskError('EISDIR')
    if (file === undefined) {
      if (mode !== 'create') throw diskError('ENOENT')
      file = new FakeFile()
      this.set(folder, name, file)
    }
    this.handles.set(++this.lastHandle, { file, path })
    return this.lastHandle
  }

  close(handle: FileHandle): void {
    if (!this.handles.delete(handle)) throw diskError('EBADF')
  }

  write(handle: FileHandle, buffers: readonly Uint8Array[], position: number): void {
    writeAll((file, pending, at) => this.writeSome(file, pending, at), handle, buffers, position)
  }

  read(handle: FileHandle, target: Uint8Array, at: number, length: number, position: number): number {
    return readAll((...call) => this.readSome(...call), handle, target, at, length, position)
  }

  size(handle: FileHandle): number {
    return this.handle(handle).file.content.sizeBytes
  }

  /** It keeps no times. */
  modifiedMs(): number {
    return this.nowMs
  }

  truncate(handle: FileHandle, sizeBytes: number): void {
    const { file, path } = this.handle(handle)
    this.before('truncate', path)
    this.change(file, { kind: 'truncate', sizeBytes })
  }

  sync(handle: FileHandle): void {
    const { file, path } = this.handle(handle)
    const { unsynced } = file
    try {
      this.before('sync', path)
    } finally {
      // Of one that never happened, because the process was killed before it, nothing is forgotten.
      if (!this.isGone) file.unsynced = []
    }
    for (const change of unsynced) file.durable.apply(change)
  }

  writeSynced(handle: FileHandle, bytes: Uint8Array, position: number): void {
    this.write(handle, [bytes], position)
    this.sync(handle)
  }

  syncFolder(path: string): void {
    this.before('syncFolder', path)
    this.needHandle('syncFolder', path)
    const folder = this.folder(path)
    folder.durableNames = new Map(folder.names)
    folder.unsynced = []
  }

  makeFolder(path: string): void {
    this.before('makeFolder', path)
    const { folder, name } = this.locate(path)
    if (folder.names.has(name)) throw diskError('EEXIST')
    this.set(folder, name, new FakeFolder())
  }

  rename(from: string, to: string): void {
    this.before('rename', from)
    const source = this.locate(from)
    const target = this.locate(to)
    const node = source.folder.names.get(source.name)
    if (node === undefined) throw diskError('ENOENT')
    if (source.folder !== target.folder) throw diskError('EXDEV')
    const change: NameChange = [
      [source.name, undefined],
      [target.name, node],
    ]
    applyNames(source.folder.names, change)
    source.folder.unsynced.push(change)
  }

  unlink(path: string): void {
    this.before('unlink', path)
    const { folder, name } = this.locate(path)
    if (!(folder.names.get(name) instanceof FakeFile)) throw diskError('ENOENT')
    this.set(folder, name, undefined)
  }

  removeFolder(path: string): void {
    this.before('removeFolder', path)
    const { folder, name } = this.locate(path)
    const node = folder.names.get(name)
    if (!(node instanceof FakeFolder)) throw diskError('ENOENT')
    if (node.names.size > 0) throw diskError('ENOTEMPTY')
    this.set(folder, name, undefined)
  }

  list(path: string): string[] {
    this.before('list', path)
    this.needHandle('list', path)
    return [...this.folder(path).names.keys()]
  }

  /** The bytes of a file, to look at. */
  contentOf(path: string): Uint8Array {
    return this.file(path).content.view.slice()
  }

  /** Replaces a file's bytes behind everybody's back; they are durable. */
  overwrite(path: string, content: Uint8Array): void {
    const file = this.file(path)
    for (const bytes of [file.content, file.durable]) {
      bytes.resize(0)
      bytes.apply({ kind: 'write', position: 0, bytes: content })
    }
    file.unsynced = []
  }

  /** Flips a bit behind everybody's back, as a worn disk does. */
  flip(path: string, bit: number): void {
    const file = this.file(path)
    for (const bytes of [file.content, file.durable]) if (bit >> 3 < bytes.sizeBytes) bytes.view[bit >> 3] ^= 1 << (bit & 7)
  }

  /** Paths of all files, sorted. */
  files(): string[] {
    const below = (folder: FakeFolder, path: string): string[] =>
      [...folder.names].flatMap(([name, node]) => (node instanceof FakeFile ? `${path}/${name}` : below(node, `${path}/${name}`)))
    return below(this.root, '').sort()
  }

  /** The same disk for the next process, after this one was killed: what was written is there, synced or not. This one refuses every call. */
  afterKill(): FakeDisk {
    this.isGone = true
    this.before = () => {
      throw diskError('EIO')
    }
    return new FakeDisk(this.root)
  }

  /** The disk as it may be after a power cut now. This one stays as it is. */
  crashed(choices: CrashChoices): FakeDisk {
    return new FakeDisk(crashFolder(this.root, choices))
  }

  private writeSome(handle: FileHandle, buffers: Uint8Array[], position: number): number {
    const { file, path } = this.handle(handle)
    if (this.isGone) throw diskError('EIO')
    const wantedBytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0)
    let takenBytes = wantedBytes
    let error: unknown
    try {
      this.before('write', path)
      takenBytes = Math.min(takenBytes, this.portion('write', wantedBytes, path))
      if (position + takenBytes > file.content.sizeBytes) takenBytes = Math.min(takenBytes, this.roomBytes(file, position))
      if (takenBytes <= 0 && wantedBytes > 0) {
        this.refused('ENOSPC', 'write', path)
        error = diskError('ENOSPC')
      }
    } catch (thrown) {
      // A failed write may have done half of its work.
      error = thrown
      takenBytes >>= 1
    }
    let left = takenBytes
    for (const buffer of buffers) {
      // A copy: `slice` of a Buffer is none, and who writes may use its memory again.
      const bytes = new Uint8Array(buffer.subarray(0, Math.max(0, left)))
      if (bytes.length > 0) this.change(file, { kind: 'write', position, bytes })
      position += bytes.length
      left -= bytes.length
    }
    if (error) throw error
    return takenBytes
  }

  private readSome(handle: FileHandle, target: Uint8Array, at: number, length: number, position: number): number {
    const { file, path } = this.handle(handle)
    this.before('read', path)
    const wantedBytes = Math.min(length, Math.max(0, file.content.sizeBytes - position))
    const givenBytes = wantedBytes === 0 ? 0 : this.portion('read', wantedBytes, path)
    target.set(file.content.view.subarray(position, position + givenBytes), at)
    return givenBytes
  }

  private change(file: FakeFile, change: Change): void {
    file.content.apply(change)
    file.unsynced.push(change)
  }

  private needHandle(call: DiskCall, path: string): void {
    if (this.handles.size < this.openFilesMax) return
    this.refused('EMFILE', call, path)
    throw diskError('EMFILE')
  }

  private set(folder: FakeFolder, name: string, node: FakeFile | FakeFolder | undefined): void {
    applyNames(folder.names, [[name, node]])
    folder.unsynced.push([[name, node]])
  }

  private handle(handle: FileHandle): { file: FakeFile; path: string } {
    const found = this.handles.get(handle)
    if (!found) throw diskError('EBADF')
    return found
  }

  private file(path: string): FakeFile {
    const { folder, name } = this.locate(path)
    const file = folder.names.get(name)
    if (!(file instanceof FakeFile)) throw diskError('ENOENT')
    return file
  }

  private folder(path: string): FakeFolder {
    let node: FakeFile | FakeFolder | undefined = this.root
    for (const part of path.split('/').filter(Boolean)) node = node instanceof FakeFolder ? node.names.get(part) : undefined
    if (!(node instanceof FakeFolder)) throw diskError('ENOENT')
    return node
  }

  private locate(path: string): { folder: FakeFolder; name: string } {
    const cut = path.lastIndexOf('/')
    return { folder: this.folder(path.slice(0, cut)), name: path.slice(cut + 1) }
  }

  /** Up to how far behind `position` the file can be written. */
  private roomBytes(file: FakeFile, position: number): number {
    if (this.capacityBytes === Number.POSITIVE_INFINITY) return this.capacityBytes
    const bytesOf = (folder: FakeFolder): number =>
      [...folder.names.values()].reduce((sum, node) => sum + (node instanceof FakeFile ? node.content.sizeBytes : bytesOf(node)), 0)
    return Math.max(0, this.capacityBytes - bytesOf(this.root)) + Math.max(0, file.content.sizeBytes - position)
  }
}

function applyNames(names: Map<string, FakeFile | FakeFolder>, change: NameChange): void {
  for (const [name, node] of change) {
    if (node === undefined) names.delete(name)
    else names.set(name, node)
  }
}

function crashFolder(folder: FakeFolder, choices: CrashChoices): FakeFolder {
  const names = new Map(folder.durableNames)
  const { unsynced } = folder
  for (const change of unsynced) if (choices.random() < choices.keep) applyNames(names, change)
  const crashed = new Map<string, FakeFile | FakeFolder>()
  for (const [name, node] of names) {
    crashed.set(name, node instanceof FakeFolder ? crashFolder(node, choices) : new FakeFile(crashContent(node, choices)))
  }
  return new FakeFolder(crashed)
}

function crashContent(file: FakeFile, { keep, random }: CrashChoices): Uint8Array {
  const content = new Bytes(file.durable.view.slice())
  for (const change of file.unsynced) {
    if (change.kind === 'truncate') {
      if (random() < keep) content.apply(change)
      continue
    }
    for (let from = 0; from < change.bytes.length; ) {
      const position = change.position + from
      const bytes = change.bytes.subarray(from, from + SECTOR_BYTES - (position % SECTOR_BYTES))
      // A sector that was lost while a later one or the size was kept reads as it was before, or as zeros.
      if (random() < keep) content.apply({ kind: 'write', position, bytes })
      else if (random() < keep / 2) content.resize(Math.max(content.sizeBytes, position + bytes.length))
      from += bytes.length
    }
  }
  return content.view
}
