// Puts a backup in the place of a data folder.
//
//   every byte of the backup is checked ─► copied to restoring-<id>/data, synced ─► RENAME to restored-<id> ─► what is there moves to
//   before-restore-<id>, the new comes in its place ─► restored-<id> is removed
//
// Invariants
//   1. Before the rename the data folder is as it was; after it `finishRestore` completes the work, here or at the next start.
//   2. Nothing is deleted: what was there is in before-restore-<id>, and moving it back undoes all.
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { makeFolders } from '../../base/index.ts'
import { lockFolder, realDisk } from '../../log/index.ts'
import { backupErrors } from './errors.ts'
import { contentPath, type Manifest, type OnProgress, readBackup, readHashed, verifyBackup } from './repository.ts'

/** What stays where it is when a data folder is replaced. */
const STAYS = /^(lock.*|before-restore-.*|restor(ing|ed)-.*)$/
const RESTORED = /^restored-(.+)$/

export interface RestoreReport {
  id: string
  createdMs: number
  dataFolder: string
  files: number
  sizeBytes: number
  /** Where what was there before is now. */
  movedTo?: string
}
export interface RestoreOptions {
  /** Default: the newest. */
  id?: string
  force: boolean
  onProgress?: (phase: 'checking' | 'copying', progress: Parameters<OnProgress>[0]) => void
}

/**
 * @throws BACKUP_NOT_FOUND, BACKUP_DAMAGED, RESTORE_NOT_EMPTY, DATA_FOLDER_LOCKED: and the data folder is as it was
 */
export function restoreBackup(folder: string, data: string, { id, force, onProgress = () => {} }: RestoreOptions): RestoreReport {
  const dataFolder = resolve(data)
  const manifest = readBackup(folder, id)
  const found = existsSync(dataFolder) ? readdirSync(dataFolder).filter((name) => !STAYS.test(name)) : []
  if (found.length > 0 && !force) throw backupErrors('RESTORE_NOT_EMPTY', { folder: dataFolder, names: found })
  const problems = verifyBackup(folder, manifest, (progress) => onProgress('checking', progress))
  if (problems.length > 0) throw backupErrors('BACKUP_DAMAGED', { id: manifest.id, problems })
  const unlock = lockFolder(dataFolder)
  try {
    finishRestore(dataFolder)
    const isReplaced = readdirSync(dataFolder).some((name) => !STAYS.test(name))
    for (const name of readdirSync(dataFolder)) if (name.startsWith('restoring-')) rmSync(join(dataFolder, name), { recursive: true })
    const staged = join(dataFolder, `restoring-${manifest.id}`)
    copyFiles(folder, manifest, join(staged, 'data'), (progress) => onProgress('copying', progress))
    writeFileSync(join(staged, 'names'), JSON.stringify(readdirSync(join(staged, 'data'))), { flush: true })
    realDisk.syncFolder(staged)
    const key = isReplaced ? freeName(dataFolder, manifest.id) : manifest.id
    renameSync(staged, join(dataFolder, `restored-${key}`))
    realDisk.syncFolder(dataFolder)
    finishRestore(dataFolder)
    return {
      id: manifest.id,
      createdMs: manifest.createdMs,
      dataFolder,
      files: manifest.files.length,
      sizeBytes: manifest.sizeBytes,
      ...(isReplaced && { movedTo: join(dataFolder, `before-restore-${key}`) }),
    }
  } finally {
    unlock()
  }
}

/** The second time that a backup is restored must not mix what was there before each. */
function freeName(dataFolder: string, id: string): string {
  for (let n = 1; ; n++) {
    const name = n === 1 ? id : `${id}~${n}`
    if (!existsSync(join(dataFolder, `before-restore-${name}`))) return name
  }
}

/** Completes a restore that was cut off after its rename; the folder is locked by the caller. */
export function finishRestore(dataFolder: string): void {
  for (const name of readdirSync(dataFolder)) {
    const [, key] = RESTORED.exec(name) ?? []
    if (key === undefined) continue
    const restored = join(dataFolder, name)
    const before = join(dataFolder, `before-restore-${key}`)
    const left = new Set(readdirSync(join(restored, 'data')))
    const all = new Set(JSON.parse(readFileSync(join(restored, 'names'), 'utf8')) as string[])
    for (const old of readdirSync(dataFolder)) {
      // A name of the backup that is not in its folder any more has its place already.
      if (STAYS.test(old) || (all.has(old) && !left.has(old))) continue
      mkdirSync(before, { recursive: true })
      renameSync(join(dataFolder, old), join(before, old))
    }
    for (const one of left) renameSync(join(restored, 'data', one), join(dataFolder, one))
    realDisk.syncFolder(dataFolder)
    rmSync(restored, { recursive: true })
  }
}

/** Whether `finishRestore` has something to do. */
export const isRestoreCutOff = (dataFolder: string): boolean =>
  existsSync(dataFolder) && readdirSync(dataFolder).some((name) => RESTORED.test(name))

function copyFiles(folder: string, { files, sizeBytes }: Manifest, target: string, onProgress: OnProgress): void {
  const folders = new Set<string>([target])
  makeFolders(target)
  let doneBytes = 0
  for (const { path, sizeBytes: fileBytes, sha256, mode } of files) {
    const to = join(target, path)
    for (let parent = dirname(to); !folders.has(parent); parent = dirname(parent)) folders.add(parent)
    makeFolders(dirname(to))
    const file = openSync(to, 'wx', mode)
    try {
      const read = readHashed(contentPath(folder, sha256), fileBytes, (bytes) => {
        for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
        onProgress({ doneBytes: (doneBytes += bytes.length), totalBytes: sizeBytes })
      })
      // It was right a moment ago: the disk gives something else now.
      if (read.sha256 !== sha256) throw backupErrors('BACKUP_DAMAGED', { id: '', problems: [`${path} has changed while it was copied`] })
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    chmodSync(to, mode)
  }
  for (const one of folders) realDisk.syncFolder(one)
}
