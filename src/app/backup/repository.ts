// A folder with backups of one data folder: what is in it, and how one finds, checks and removes it.
//
//   <folder>/backups/<id>.json          one line, checksum and JSON of a `Manifest`; written last, by one rename: with it a backup is there
//   <folder>/files/<2 digits>/<sha256>  contents of files, each once however many backups have it
//
// Invariants
//   1. A backup whose manifest is there is whole: what it names was synced before. What no manifest names is left from a backup that was cut off.
//   2. A stored file never changes; its name is its SHA-256.
//   3. One process at a time writes to the folder (`lock`).
import { createHash } from 'node:crypto'
import { closeSync, existsSync, openSync, readdirSync, readSync, rmSync, statSync, unlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { makeFolders, toStreamError } from '../../base/index.ts'
import { lockFolder, type PinnedPartition, readLine, realDisk } from '../../log/index.ts'
import { backupErrors } from './errors.ts'

/** Versions of the format. */
export const FORMAT = 1

export interface StoredFile {
  /** Below the data folder, with "/". */
  path: string
  sizeBytes: number
  sha256: string
  /** Permissions. */
  mode: number
  /** Which file it was, so that the next backup need not read what has not changed. */
  inode: number
  modifiedMs: number
  /** What was damaged already when it was copied, for people. */
  damage?: string
}
export interface Manifest {
  format: number
  id: string
  createdMs: number
  durationMs: number
  /** Of the Millrace that made it. */
  version: string
  dataFolder: string
  /** Of all files, and of those that this backup had to copy. */
  sizeBytes: number
  copiedBytes: number
  copiedFiles: number
  /** Ranges of the log, at the moment of the backup; empty where the data folder was not in use. */
  partitions: PinnedPartition[]
  /** The newest checkpoint of each job. */
  checkpoints: { job: string; id: number }[]
  /** Those of its files. */
  damaged: string[]
  files: StoredFile[]
}
export type BackupSummary = Omit<Manifest, 'files' | 'partitions'> & { files: number }
export interface BackupProgress {
  doneBytes: number
  totalBytes: number
}
export type OnProgress = (progress: BackupProgress) => void

export const manifestFolder = (folder: string): string => join(folder, 'backups')
export const contentPath = (folder: string, sha256: string): string => join(folder, 'files', sha256.slice(0, 2), sha256)
const MANIFEST = /^(.+)\.json$/
const READ_BYTES = 1024 * 1024

/** Takes the folder for this process; makes it if it is missing. @throws BACKUP_FOLDER_STRANGE, DATA_FOLDER_LOCKED */
export function openRepository(folder: string): () => void {
  const path = resolve(folder)
  const strangers = existsSync(path) ? readdirSync(path).filter((name) => !/^(lock.*|backups|files)$/.test(name)) : []
  if (strangers.length > 0 && !existsSync(manifestFolder(path))) throw backupErrors('BACKUP_FOLDER_STRANGE', { folder, name: strangers[0] })
  const unlock = lockFolder(path)
  for (const name of ['backups', 'files']) makeFolders(join(path, name))
  realDisk.syncFolder(path)
  return unlock
}

/** Ids of the backups in a folder, oldest first. @throws BACKUP_FOLDER_UNKNOWN */
export function backupIds(folder: string): string[] {
  if (!existsSync(manifestFolder(folder))) throw backupErrors('BACKUP_FOLDER_UNKNOWN', { folder })
  return readdirSync(manifestFolder(folder))
    .flatMap((name) => MANIFEST.exec(name)?.[1] ?? [])
    .sort()
}

/** @param id  default: the newest. @throws BACKUP_FOLDER_UNKNOWN, BACKUP_NOT_FOUND, BACKUP_DAMAGED, BACKUP_FORMAT */
export function readBackup(folder: string, id?: string): Manifest {
  const ids = backupIds(folder)
  const found = id ?? ids.at(-1)
  if (found === undefined || !ids.includes(found)) throw backupErrors('BACKUP_NOT_FOUND', { folder, id: id ?? 'the newest', ids })
  const path = join(manifestFolder(folder), `${found}.json`)
  let manifest: Manifest
  try {
    manifest = readLine<Manifest>(realDisk, path)
  } catch (error) {
    throw backupErrors('BACKUP_DAMAGED', { id: found, problems: [`${path}: ${toStreamError(error).message}`] }, { cause: error })
  }
  if (manifest.format > FORMAT) throw backupErrors('BACKUP_FORMAT', { path, format: manifest.format, known: FORMAT })
  return manifest
}

/** The backups that can be read, oldest first, and what is wrong with the others. */
export function listBackups(folder: string): { backups: BackupSummary[]; problems: string[] } {
  const backups: BackupSummary[] = []
  const problems: string[] = []
  for (const id of backupIds(folder)) {
    try {
      const { files, partitions: _partitions, ...rest } = readBackup(folder, id)
      backups.push({ ...rest, files: files.length })
    } catch (error) {
      problems.push(toStreamError(error).message)
    }
  }
  return { backups, problems }
}

/**
 * Reads the first `sizeBytes` of a file through `take` and hashes them.
 *
 * @returns  SHA-256, and how many bytes there were
 */
export function readHashed(path: string, sizeBytes: number, take: (bytes: Uint8Array) => void): { sha256: string; sizeBytes: number } {
  const hash = createHash('sha256')
  const bytes = Buffer.allocUnsafe(Math.min(READ_BYTES, Math.max(1, sizeBytes)))
  const file = openSync(path, 'r')
  let done = 0
  try {
    while (done < sizeBytes) {
      const count = readSync(file, bytes, 0, Math.min(bytes.length, sizeBytes - done), done)
      if (count === 0) break
      const run = bytes.subarray(0, count)
      hash.update(run)
      take(run)
      done += count
    }
    return { sha256: hash.digest('hex'), sizeBytes: done }
  } finally {
    closeSync(file)
  }
}

/** Reads every byte of a backup. Returns what is wrong with it, one line for each file. */
export function verifyBackup(folder: string, { files }: Manifest, onProgress: OnProgress = () => {}): string[] {
  const problems: string[] = []
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  let doneBytes = 0
  for (const { path, sizeBytes, sha256 } of files) {
    const problem = checkContent(contentPath(folder, sha256), { sizeBytes, sha256 })
    if (problem !== undefined) problems.push(`${path}: ${contentPath(folder, sha256)} ${problem}`)
    doneBytes += sizeBytes
    onProgress({ doneBytes, totalBytes })
  }
  return problems
}

/** What is wrong with a stored file. */
export function checkContent(path: string, { sizeBytes, sha256 }: { sizeBytes: number; sha256: string }): string | undefined {
  if (!existsSync(path)) return 'is missing'
  const actual = readHashed(path, Number.MAX_SAFE_INTEGER, () => {})
  if (actual.sizeBytes !== sizeBytes) return `has ${actual.sizeBytes} bytes, not ${sizeBytes}`
  return actual.sha256 === sha256 ? undefined : `has the SHA-256 ${actual.sha256}`
}

export interface PruneReport {
  kept: string[]
  removed: string[]
  freedBytes: number
}

/**
 * Removes all but the newest backups, and contents that none of those left has.
 *
 * @param dryRun  say so only
 * @throws        BACKUP_DAMAGED: what a manifest that cannot be read needs is not known, so nothing is removed; DATA_FOLDER_LOCKED
 */
export function pruneBackups(folder: string, keep: number, dryRun: boolean): PruneReport {
  backupIds(folder)
  if (dryRun) return prune(folder, keep, true)
  const close = openRepository(folder)
  try {
    return prune(folder, keep, false)
  } finally {
    close()
  }
}

function prune(folder: string, keep: number, dryRun: boolean): PruneReport {
  const ids = backupIds(folder)
  const kept = ids.slice(Math.max(0, ids.length - keep))
  const removed = ids.slice(0, ids.length - kept.length)
  const needed = new Set(kept.flatMap((id) => readBackup(folder, id).files.map(({ sha256 }) => sha256)))
  if (!dryRun) {
    for (const id of removed) unlinkSync(join(manifestFolder(folder), `${id}.json`))
    // Their names go first: a backup that is there is whole.
    realDisk.syncFolder(manifestFolder(folder))
  }
  let freedBytes = 0
  for (const entry of readdirSync(join(folder, 'files'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || needed.has(entry.name)) continue
    const path = join(entry.parentPath, entry.name)
    freedBytes += statSync(path).size
    if (!dryRun) rmSync(path)
  }
  return { kept, removed, freedBytes }
}
