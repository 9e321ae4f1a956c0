// Takes a backup: copies what is new since the last one into a folder of backups. Synchronous: a thread of its own runs it in a server.
//
//   pinned files --> known from the last backup?  yes: nothing is read
//                            no: read, hashed, written beside --> synced, named by its hash --> folders synced --> manifest by one rename
//
// Invariants
//   1. Until its manifest is renamed into place a backup does not count, and nothing of older ones was changed.
//   2. A file is taken as known only if it is the same inode with the same size and time of change: a data folder that was restored, and then
//      went another way, is read anew.
import { randomUUID } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { makeFolders, toStreamError } from '../../base/index.ts'
import { checkedLine, inspectSegment, type PinnedFile, type PinnedPartition, realDisk, replaceFile } from '../../log/index.ts'
import { version } from '../version.ts'
import { backupErrors } from './errors.ts'
import {
  type BackupSummary,
  backupIds,
  contentPath,
  FORMAT,
  type Manifest,
  manifestFolder,
  type OnProgress,
  openRepository,
  readBackup,
  readHashed,
  type StoredFile,
} from './repository.ts'

/** What is to be copied, and of which moment it is. */
export interface BackupSource {
  dataFolder: string
  /** Where the files are: the data folder itself if nobody runs on it, else its pin. */
  root: string
  files: PinnedFile[]
  partitions: PinnedPartition[]
  checkpoints: Manifest['checkpoints']
  createdMs: number
}

/** @throws BACKUP_FOLDER_STRANGE, BACKUP_FAILED, DATA_FOLDER_LOCKED: another backup into the folder is running */
export function takeBackup(source: BackupSource, folder: string, onProgress: OnProgress = () => {}): BackupSummary {
  const startedMs = performance.now()
  const close = openRepository(folder)
  try {
    const known = knownFiles(folder)
    const totalBytes = source.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const copy = { bytes: 0, files: 0 }
    const files: StoredFile[] = []
    const folders = new Set<string>()
    let doneBytes = 0
    for (const pinned of source.files) {
      const from = join(source.root, pinned.path)
      const { ino: inode, mtimeMs: modifiedMs, mode } = statSync(from)
      const before = known.get(pinned.path)
      const isKnown =
        before?.inode === inode &&
        before.modifiedMs === modifiedMs &&
        before.sizeBytes === pinned.sizeBytes &&
        isStored(folder, before.sha256, before.sizeBytes)
      if (isKnown) {
        files.push(before)
        doneBytes += pinned.sizeBytes
      } else {
        const damage = inspectSegment(source.root, pinned)
        const stored = store(folder, from, pinned.sizeBytes, (bytes) => onProgress({ doneBytes: (doneBytes += bytes), totalBytes }))
        if (stored.isNew) {
          folders.add(dirname(contentPath(folder, stored.sha256)))
          copy.bytes += stored.sizeBytes
          copy.files++
        }
        const { sha256, sizeBytes } = stored
        files.push({ path: pinned.path, sizeBytes, sha256, mode: mode & 0o777, inode, modifiedMs, ...(damage !== undefined && { damage }) })
      }
      onProgress({ doneBytes, totalBytes })
    }
    for (const touched of folders) realDisk.syncFolder(touched)
    realDisk.syncFolder(join(folder, 'files'))
    const { dataFolder, partitions, checkpoints, createdMs } = source
    const manifest: Manifest = {
      format: FORMAT,
      id: newId(folder, createdMs),
      createdMs,
      durationMs: Math.round(performance.now() - startedMs),
      version,
      dataFolder,
      sizeBytes: totalBytes,
      copiedBytes: copy.bytes,
      copiedFiles: copy.files,
      partitions,
      checkpoints,
      damaged: files.flatMap(({ damage }) => damage ?? []),
      files,
    }
    replaceFile(realDisk, manifestFolder(folder), `${manifest.id}.json`, checkedLine(manifest))
    const { partitions: _partitions, ...rest } = manifest
    return { ...rest, files: files.length }
  } catch (error) {
    const { code, message } = toStreamError(error)
    if (code !== 'INTERNAL') throw error
    throw backupErrors('BACKUP_FAILED', { folder, reason: message }, { cause: error })
  } finally {
    close()
  }
}

/** Files of the newest backup that can be read, by path. */
function knownFiles(folder: string): Map<string, StoredFile> {
  for (const id of backupIds(folder).toReversed()) {
    try {
      return new Map(readBackup(folder, id).files.map((file) => [file.path, file]))
    } catch {
      // An older one says less, and that is enough.
    }
  }
  return new Map()
}

const isStored = (folder: string, sha256: string, sizeBytes: number): boolean => {
  const path = contentPath(folder, sha256)
  return existsSync(path) && statSync(path).size === sizeBytes
}

function store(folder: string, from: string, sizeBytes: number, onBytes: (bytes: number) => void) {
  const temporary = join(folder, 'files', `${randomUUID()}.new`)
  const file = openSync(temporary, 'wx', 0o600)
  try {
    let read: ReturnType<typeof readHashed>
    try {
      read = readHashed(from, sizeBytes, (bytes) => {
        for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
        onBytes(bytes.length)
      })
      if (read.sizeBytes < sizeBytes) throw new Error(`${from} has only ${read.sizeBytes} of ${sizeBytes} bytes`)
      const isNew = !isStored(folder, read.sha256, read.sizeBytes)
      if (!isNew) rmSync(temporary)
      else {
        fsyncSync(file)
        makeFolders(dirname(contentPath(folder, read.sha256)))
        renameSync(temporary, contentPath(folder, read.sha256))
      }
      return { ...read, isNew }
    } finally {
      closeSync(file)
    }
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

/** By time, so that they sort; two within a second get a number. */
function newId(folder: string, createdMs: number): string {
  const id = new Date(createdMs).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')
  const used = new Set(backupIds(folder))
  // A clock that was set back must not make the newest backup look old.
  const last = backupIds(folder).at(-1) ?? ''
  const base = id > last.slice(0, id.length) ? id : last.slice(0, id.length) || id
  for (let n = 1; ; n++) {
    const name = n === 1 ? base : `${base}-${String(n).padStart(3, '0')}`
    if (!used.has(name) && name > last) return name
  }
}
