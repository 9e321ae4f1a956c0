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

/** A number that the disk gave for an open file. */
export type FileHandle = number

/** Errors are Node's system errors: `code` is ENOENT, EEXIST, ENOSPC, EIO, EACCES … */
export interface Disk {
  /** `create`: makes the file if it is missing, for reading and writing. */
  open(path: string, mode: 'read' | 'create'): FileHandle
  close(file: FileHandle): void
  /** Writes all of `buffers` one after another at `position`, or throws; part of them may then be in the file. */
  write(file: FileHandle, buffers: readonly Uint8Array[], position: number): void
  /** Reads up to `length` bytes into `target` at `at`; returns how many, less only at the end of the file. */
  read(file: FileHandle, target: Uint8Array, at: number, length: number, position: number): number
  size(file: FileHandle): number
  truncate(file: FileHandle, sizeBytes: number): void
  /** Returns when the file's bytes are on the disk. Its name is durable only after `syncFolder`. */
  sync(file: FileHandle): void
  syncFolder(path: string): void
  makeFolder(path: string): void
  rename(from: string, to: string): void
  unlink(path: string): void
  removeFolder(path: string): void
  /** Names in a folder, in no order. */
  list(path: string): string[]
}

/** IOV_MAX of Linux and macOS. */
const BUFFERS_PER_WRITE_MAX = 1024

const flags = {
  read: constants.O_RDONLY,
  create: constants.O_RDWR | constants.O_CREAT,
}

export const realDisk: Disk = {
  open: (path, mode) => openSync(path, flags[mode], 0o644),
  close: closeSync,
  write(file, buffers, position) {
    for (let from = 0; from < buffers.length; ) {
      const part = buffers.slice(from, from + BUFFERS_PER_WRITE_MAX)
      from += part.length
      let pending: Uint8Array[] = part
      while (pending.length > 0) {
        let written = writevSync(file, pending, position)
        position += written
        // A short write (a signal, a nearly full disk): go on behind what was taken; the next call then says why.
        let skip = 0
        while (skip < pending.length && written >= pending[skip].length) written -= pending[skip++].length
        pending = pending.slice(skip)
        if (written > 0) pending[0] = pending[0].subarray(written)
      }
    }
  },
  read(file, target, at, length, position) {
    let total = 0
    while (total < length) {
      const count = readSync(file, target, at + total, length - total, position + total)
      if (count === 0) break
      total += count
    }
    return total
  },
  size: (file) => fstatSync(file).size,
  truncate: ftruncateSync,
  sync: fdatasyncSync,
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
