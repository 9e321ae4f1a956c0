// Every touch of a file by the log goes through `Disk`, so that tests and the simulator can lose, tear and refuse writes.
// All calls are synchronous: the writer thread does nothing else, and Node's thread pool, when busy, delayed syncs by seconds.
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writevSync,
} from 'node:fs'
import { dirname } from 'node:path'

/** A number that the disk gave for an open file. */
export type FileHandle = number

/** Errors are Node's system errors: `code` is ENOENT, EEXIST, ENOSPC, EIO, EACCES … */
export interface Disk {
  /** `create`: makes the file if it is missing, for reading and writing. `synced`: for `writeSynced` alone. */
  open(path: string, mode: OpenMode): FileHandle
  close(file: FileHandle): void
  /** Writes all of `buffers` one after another at `position`, or throws; part of them may then be in the file. */
  write(file: FileHandle, buffers: readonly Uint8Array[], position: number): void
  /** Reads up to `length` bytes into `target` at `at`; returns how many, less only at the end of the file. */
  read(file: FileHandle, target: Uint8Array, at: number, length: number, position: number): number
  size(file: FileHandle): number
  /** When its bytes last changed, epoch ms. */
  modifiedMs(file: FileHandle): number
  truncate(file: FileHandle, sizeBytes: number): void
  /** Returns when the file's bytes are on the disk. Its name is durable only after `syncFolder`. */
  sync(file: FileHandle): void
  /**
   * Writes over bytes that the file has, and returns when they are on the disk; if it throws, any part of them may be.
   *
   * @param bytes     of an `alignedBuffer`, from its beginning on; as many as a multiple of 4,096
   * @param position  a multiple of 4,096
   */
  writeSynced(file: FileHandle, bytes: Uint8Array, position: number): void
  syncFolder(path: string): void
  makeFolder(path: string): void
  rename(from: string, to: string): void
  unlink(path: string): void
  removeFolder(path: string): void
  /** Names in a folder, in no order. */
  list(path: string): string[]
}

export type OpenMode = 'read' | 'create' | 'synced'

/** IOV_MAX of Linux and macOS. */
const BUFFERS_PER_WRITE_MAX = 1024

/** Writes all of `buffers` by calls that may take less than they are given (a signal, a nearly full disk): the next one then goes on or says why. */
export function writeAll(
  writev: (file: FileHandle, buffers: Uint8Array[], position: number) => number,
  file: FileHandle,
  buffers: readonly Uint8Array[],
  position: number,
): void {
  for (let from = 0; from < buffers.length; ) {
    let pending: Uint8Array[] = buffers.slice(from, from + BUFFERS_PER_WRITE_MAX)
    from += pending.length
    while (pending.length > 0) {
      let written = writev(file, pending, position)
      position += written
      let skip = 0
      while (skip < pending.length && written >= pending[skip].length) written -= pending[skip++].length
      pending = pending.slice(skip)
      if (written > 0) pending[0] = pending[0].subarray(written)
    }
  }
}

/** Reads up to `length` bytes by calls that may give less than they are asked for. Returns how many: less only at the end of the file. */
export function readAll(
  read: (file: FileHandle, target: Uint8Array, at: number, length: number, position: number) => number,
  file: FileHandle,
  target: Uint8Array,
  at: number,
  length: number,
  position: number,
): number {
  let total = 0
  while (total < length) {
    const count = read(file, target, at + total, length - total, position + total)
    if (count === 0) break
    total += count
  }
  return total
}

// The types of the language's own library have it with the DOM.
declare const WebAssembly: { Memory: new (size: { initial: number }) => { buffer: ArrayBuffer } }

/** Memory that begins at a page, as direct writes want it. */
export function alignedBuffer(sizeBytes: number): Uint8Array {
  const memoryPageBytes = 64 * 1024
  return new Uint8Array(new WebAssembly.Memory({ initial: Math.ceil(sizeBytes / memoryPageBytes) }).buffer, 0, sizeBytes)
}

const flags = {
  read: constants.O_RDONLY,
  create: constants.O_RDWR | constants.O_CREAT,
}

/** Open past the page cache: a write to them returns when it is on the disk. */
const directFiles = new Set<FileHandle>()

/** Past the page cache where the system and its file system can do that: else a write is followed by a sync, which costs somewhat more. */
function openSynced(path: string): FileHandle {
  if (process.platform === 'linux') {
    let file: FileHandle | undefined
    try {
      file = openSync(path, constants.O_RDWR | constants.O_DIRECT | constants.O_DSYNC)
      readSync(file, alignedBuffer(4096), 0, 4096, 0)
      directFiles.add(file)
      return file
    } catch (error) {
      if (file !== undefined) closeSync(file)
      if (errorCodeOf(error) !== 'EINVAL') throw error
    }
  }
  return openSync(path, constants.O_RDWR)
}

export const realDisk: Disk = {
  open: (path, mode) => (mode === 'synced' ? openSynced(path) : openSync(path, flags[mode], 0o644)),
  close(file) {
    directFiles.delete(file)
    closeSync(file)
  },
  write: (file, buffers, position) => writeAll(writevSync, file, buffers, position),
  read: (file, target, at, length, position) => readAll(readSync, file, target, at, length, position),
  size: (file) => fstatSync(file).size,
  modifiedMs: (file) => fstatSync(file).mtimeMs,
  truncate: ftruncateSync,
  sync: fdatasyncSync,
  writeSynced(file, bytes, position) {
    writeAll(writevSync, file, [bytes], position)
    if (!directFiles.has(file)) fdatasyncSync(file)
  },
  syncFolder(path) {
    const folder = openSync(path, constants.O_RDONLY)
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  },
  makeFolder: (path) => mkdirSync(path),
  rename: renameSync,
  unlink: unlinkSync,
  removeFolder: rmdirSync,
  list: (path) => readdirSync(path),
}

export const errorCodeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code

/** A folder in a folder that exists, made if it is missing; durable also if a start that was cut off had made it. Returns its path. */
export function ensureFolder(disk: Disk, parent: string, name: string): string {
  const path = `${parent}/${name}`
  if (!disk.list(parent).includes(name)) disk.makeFolder(path)
  disk.syncFolder(parent)
  return path
}

/** A folder, and those above it, made where they are missing; their names are durable. */
export function ensureFolders(disk: Disk, folder: string): void {
  const parent = dirname(folder)
  let isThere = true
  try {
    disk.list(folder)
  } catch (error) {
    if (errorCodeOf(error) !== 'ENOENT') throw error
    isThere = false
  }
  if (!isThere) {
    ensureFolders(disk, parent)
    disk.makeFolder(folder)
  }
  // Also of one that is there: whoever made it may have been killed before it was durable.
  disk.syncFolder(parent)
}

/** Runs `action`; a missing file is no error. */
export function ignoreMissing(action: () => void): void {
  try {
    action()
  } catch (error) {
    if (errorCodeOf(error) !== 'ENOENT') throw error
  }
}

/** For clean-up whose failure changes nothing. */
export function ignoreFailure(action: () => void): void {
  try {
    action()
  } catch {}
}
