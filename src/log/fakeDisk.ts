// A disk in memory for tests and the simulator: it keeps apart what was synced and what was not, and can lose, tear and refuse.
//
// Invariants
//   1. A file's bytes are durable after `sync`, its name after `syncFolder`: neither brings the other along.
//   2. A sync that fails forgets what it should have written, as Linux does: later syncs succeed and do not bring it back.
//   3. `crashed` gives a disk as it may be after a power cut. What was not synced is kept, dropped or torn in sectors of 512 bytes; each
//      unsynced name is kept or not, in any combination. The same choices give the same disk.
import type { Disk, FileHandle } from './disk.ts'

const SECTOR_BYTES = 512

type Change = { kind: 'write'; position: number; bytes: Uint8Array } | { kind: 'truncate'; sizeBytes: number }

class FakeFile {
  content: Uint8Array
  durable: Uint8Array
  unsynced: Change[] = []

  constructor(content: Uint8Array) {
    this.content = content
    this.durable = content
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

export type DiskCall = 'open' | 'write' | 'read' | 'truncate' | 'sync' | 'syncFolder' | 'makeFolder' | 'rename' | 'unlink' | 'removeFolder'

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
  capacityBytes = Number.POSITIVE_INFINITY
  private readonly root: FakeFolder
  private readonly handles = new Map<FileHandle, { file: FakeFile; path: string }>()
  private lastHandle = 0

  constructor(root = new FakeFolder()) {
    this.root = root
  }

  get openFileCount(): number {
    return this.handles.size
  }

  open(path: string, mode: 'read' | 'create'): FileHandle {
    this.before('open', path)
    const { folder, name } = this.locate(path)
    let file = folder.names.get(name)
    if (file instanceof FakeFolder) throw diskError('EISDIR')
    if (file === undefined) {
      if (mode === 'read') throw diskError('ENOENT')
      file = new FakeFile(new Uint8Array(0))
      this.set(folder, name, file)
    }
    this.handles.set(++this.lastHandle, { file, path })
    return this.lastHandle
  }

  close(handle: FileHandle): void {
    if (!this.handles.delete(handle)) throw diskError('EBADF')
  }

  write(handle: FileHandle, buffers: readonly Uint8Array[], position: number): void {
    const { file, path } = this.handle(handle)
    let error: unknown
    let room = this.capacityBytes - this.usedBytes()
    try {
      this.before('write', path)
    } catch (thrown) {
      // A failed write may have done half of its work.
      error = thrown
      room = Math.min(room, buffers.reduce((sum, buffer) => sum + buffer.length, 0) >> 1)
    }
    for (const buffer of buffers) {
      const growth = Math.max(0, position + buffer.length - file.content.length)
      const bytes = growth <= room ? buffer.slice() : buffer.slice(0, Math.max(0, buffer.length - growth + room))
      this.change(file, { kind: 'write', position, bytes })
      position += bytes.length
      room -= growth
      if (room < 0) throw error ?? diskError('ENOSPC')
    }
    if (error) throw error
  }

  read(handle: FileHandle, target: Uint8Array, at: number, length: number, position: number): number {
    const { file, path } = this.handle(handle)
    this.before('read', path)
    const bytes = file.content.subarray(position, position + length)
    target.set(bytes, at)
    return bytes.length
  }

  size(handle: FileHandle): number {
    return this.handle(handle).file.content.length
  }

  truncate(handle: FileHandle, sizeBytes: number): void {
    const { file, path } = this.handle(handle)
    this.before('truncate', path)
    this.change(file, { kind: 'truncate', sizeBytes })
  }

  sync(handle: FileHandle): void {
    const { file, path } = this.handle(handle)
    const { unsynced } = file
    file.unsynced = []
    this.before('sync', path)
    for (const change of unsynced) file.durable = applyChange(file.durable, change)
  }

  syncFolder(path: string): void {
    this.before('syncFolder', path)
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
    return [...this.folder(path).names.keys()]
  }

  /** The bytes of a file, to look at or to damage. */
  contentOf(path: string): Uint8Array {
    const { folder, name } = this.locate(path)
    const file = folder.names.get(name)
    if (!(file instanceof FakeFile)) throw diskError('ENOENT')
    return file.content
  }

  /** Replaces a file's bytes behind everybody's back; they are durable. */
  overwrite(path: string, content: Uint8Array): void {
    const { folder, name } = this.locate(path)
    const file = folder.names.get(name)
    if (!(file instanceof FakeFile)) throw diskError('ENOENT')
    file.content = content
    file.durable = content
    file.unsynced = []
  }

  /** The disk as it may be after a power cut now. This one stays as it is. */
  crashed(choices: CrashChoices): FakeDisk {
    return new FakeDisk(crashFolder(this.root, choices))
  }

  private change(file: FakeFile, change: Change): void {
    file.content = applyChange(file.content, change)
    file.unsynced.push(change)
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

  private usedBytes(): number {
    const bytesOf = (folder: FakeFolder): number =>
      [...folder.names.values()].reduce((sum, node) => sum + (node instanceof FakeFile ? node.content.length : bytesOf(node)), 0)
    return bytesOf(this.root)
  }
}

function applyNames(names: Map<string, FakeFile | FakeFolder>, change: NameChange): void {
  for (const [name, node] of change) {
    if (node === undefined) names.delete(name)
    else names.set(name, node)
  }
}

function applyChange(content: Uint8Array, change: Change): Uint8Array {
  const sizeBytes = change.kind === 'truncate' ? change.sizeBytes : Math.max(content.length, change.position + change.bytes.length)
  const changed = new Uint8Array(sizeBytes)
  changed.set(content.subarray(0, sizeBytes))
  if (change.kind === 'write') changed.set(change.bytes, change.position)
  return changed
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
  let content = file.durable
  for (const change of file.unsynced) {
    if (change.kind === 'truncate') {
      if (random() < keep) content = applyChange(content, change)
      continue
    }
    for (let from = 0; from < change.bytes.length; ) {
      const position = change.position + from
      const bytes = change.bytes.slice(from, from + SECTOR_BYTES - (position % SECTOR_BYTES))
      // A sector that was lost while a later one or the size was kept reads as it was before, or as zeros.
      if (random() < keep) content = applyChange(content, { kind: 'write', position, bytes })
      else if (random() < keep / 2)
        content = applyChange(content, { kind: 'truncate', sizeBytes: Math.max(content.length, position + bytes.length) })
      from += bytes.length
    }
  }
  return content
}
