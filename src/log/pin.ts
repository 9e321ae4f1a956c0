// All files of a data folder as they are at one moment, kept by hard links in a folder beside them: what retention, compaction, checkpoints
// or the deletion of a topic take away meanwhile stays there until the pin is removed.
//
// Invariants
//   1. A pinned file's first `sizeBytes` never change: files are replaced by a rename, or appended to.
//   2. Of the segment that grows only what is durable counts.
//   3. All partitions are pinned between two commits of the writer thread: together they are what a power cut at that moment would have left.
import { linkSync, lstatSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ignoreMissing } from './disk.ts'

export interface PinnedFile {
  /** Below the data folder, with "/". */
  path: string
  sizeBytes: number
}
export interface PinnedPartition {
  topic: string
  partition: number
  startOffset: number
  endOffset: number
}
export interface PinnedLog {
  files: PinnedFile[]
  partitions: PinnedPartition[]
}

/** Half of something: what is written beside its place, what compaction prepares, what is being deleted, what a repair has put aside. */
const PASSING = /\.(new|compacting|deleted|damaged)$/

/**
 * Finds the files below `path` of a data folder; with `target` each gets a hard link at the same path there.
 *
 * @param limits  by path: so many bytes of the file count
 */
export function pinFiles(dataFolder: string, path: string, target?: string, limits: ReadonlyMap<string, number> = new Map()): PinnedFile[] {
  const files: PinnedFile[] = []
  const visit = (at: string): void => {
    const from = join(dataFolder, at)
    const stat = lstatSync(from)
    if (stat.isDirectory()) {
      if (target !== undefined) mkdirSync(join(target, at), { recursive: true })
      // What is gone by the time it is looked at is gone.
      for (const name of readdirSync(from)) if (!PASSING.test(name)) ignoreMissing(() => visit(`${at}/${name}`))
    } else if (stat.isFile()) {
      if (target !== undefined) linkSync(from, join(target, at))
      files.push({ path: at, sizeBytes: Math.min(stat.size, limits.get(at) ?? stat.size) })
    }
  }
  ignoreMissing(() => visit(path))
  return files
}
