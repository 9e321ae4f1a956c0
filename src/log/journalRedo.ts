// What a start does with the commit journal that a crash has left: its bytes go into the segment files again, before these are opened.
//
// Invariants
//   1. Redo can be cut off and repeated: it writes what is there, or should be. The journal is removed, durably, after the files are synced.
//   2. A file that is gone (retention, a deleted topic) stays gone.
//   3. A block that is missing is told. So is one that was begun and is not whole: nobody was answered for it, unless a worn disk has changed it.

import { readFile } from './checkedFile.ts'
import type { RecoveryReport } from './contract.ts'
import { type Disk, errorCodeOf, ignoreMissing } from './disk.ts'
import { writeError } from './errors.ts'
import { type Block, findBlocks } from './journalBlock.ts'

export const journalPath = (dataFolder: string): string => `${dataFolder}/journal`

export interface Redone {
  reports: RecoveryReport[]
  /** Blocks whose bytes were written again. */
  blockCount: number
}

/**
 * Redoes the journal of a data folder, if there is one, and removes it. Nobody may run on the folder.
 *
 * @throws LOG_WRITE_FAILED, LOG_DISK_FULL, DATA_FOLDER_NOT_WRITABLE
 */
export function redoJournal(disk: Disk, dataFolder: string): Redone {
  const path = journalPath(dataFolder)
  try {
    return redo(disk, dataFolder, path)
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return { reports: [], blockCount: 0 }
    throw writeError(error, path)
  }
}

function redo(disk: Disk, dataFolder: string, path: string): Redone {
  const { blocks, torn } = findBlocks(readFile(disk, path))
  const reports: RecoveryReport[] = []
  const report = (kind: RecoveryReport['kind'], position: number, reason: string) =>
    reports.push({ topic: 'journal', partition: -1, path, kind, cutBytes: 0, position, offset: 0, reason })
  const from = blocks.at(-1)?.neededSequence ?? 0
  const needed = blocks.filter(({ sequence }) => sequence >= from)
  for (const [i, { sequence, position }] of needed.entries()) {
    const expected = i > 0 ? needed[i - 1].sequence + 1 : from
    // The oldest make room for the newest: of one that was cut off, they are what it was written over.
    if (sequence !== expected)
      report(i > 0 ? 'damaged' : 'cut', position, `blocks ${expected} to ${sequence - 1} of the commit journal are not whole`)
  }
  if (torn !== undefined) report('cut', torn, 'the newest block of the commit journal is not whole')
  const paths = new Set(needed.flatMap(({ entries }) => entries.map((entry) => entry.path)))
  for (const file of paths) ignoreMissing(() => redoFile(disk, dataFolder, file, needed))
  disk.unlink(path)
  disk.syncFolder(dataFolder)
  return { reports, blockCount: needed.length }
}

/** Writes to a file what blocks, oldest first, have of it, and syncs it. @throws the disk's error, ENOENT if there is no such file */
export function redoFile(disk: Disk, dataFolder: string, path: string, blocks: readonly Pick<Block, 'entries'>[]): void {
  const fullPath = `${dataFolder}/${path}`
  // It must not be made.
  disk.close(disk.open(fullPath, 'read'))
  const file = disk.open(fullPath, 'create')
  try {
    let run: Uint8Array[] = []
    let [start, end] = [0, 0]
    for (const { entries } of blocks) {
      for (const { path: of, position, bytes } of entries) {
        if (of !== path) continue
        if (position !== end) {
          if (run.length > 0) disk.write(file, run, start)
          run = []
          start = position
        }
        run.push(bytes)
        end = position + bytes.length
      }
    }
    if (run.length > 0) disk.write(file, run, start)
    disk.sync(file)
  } finally {
    disk.close(file)
  }
}
