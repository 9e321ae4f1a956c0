// What a backup copies: all that the data folder holds as truth, of one moment.
//
//   checkpoints, savepoints, tokens: hard links ─► topics: hard links, between two commits of the log's writer ─► are the checkpoints still those?
//         ^                                                                                                       no: all again
//         └───────────────────────────────────────────────────────────────────────────────────────────────────────────┘
//
// Invariants
//   1. What is copied is what a power cut at the moment of the second step would have left: a start from it is a start after a crash.
//   2. No checkpoint became durable between the two steps. So no transaction of a checkpoint that the backup does not have is committed in it,
//      and none of its checkpoints is ahead of its log.
//   3. A pin that a killed process has left is removed with the next one, and by the next start.
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CheckpointStore } from '../../engine/index.ts'
import { type LocalLog, lockFolder, type PinnedFile, pinFiles, realDisk, redoJournal } from '../../log/index.ts'
import { backupErrors } from './errors.ts'
import type { BackupSource } from './write.ts'

const PIN = 'backup-pin'
/** Made again from the rest, of this process alone, or another's: not part of a backup. What is in the log's journal is in the topics by then. */
const LEFT_OUT = /^(lock.*|topics|journal|catalog|spill|backup-pin|restor(ing|ed)-.*|before-restore-.*|\.doctor-.*)$/
const TRIES_MAX = 50

/** Removes what a process that was killed during a backup has left. */
export const removePin = (dataFolder: string): void => rmSync(join(dataFolder, PIN), { recursive: true, force: true })

/** Pins a data folder that this process runs on. Call `removePin` when it was copied. @throws BACKUP_BUSY */
export async function pinRunning(dataFolder: string, log: LocalLog): Promise<BackupSource> {
  const root = join(dataFolder, PIN)
  const store = new CheckpointStore(dataFolder)
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    removePin(dataFolder)
    mkdirSync(root)
    const before = statesOf(store)
    const files = restOf(dataFolder, root)
    const pinned = await log.pin(root)
    if (statesOf(store) === before) {
      return { dataFolder, root, files: [...files, ...pinned.files], partitions: pinned.partitions, ...about(store) }
    }
    // Not in step with the timer of the checkpoints.
    await sleep(5 + Math.random() * 100)
  }
  removePin(dataFolder)
  throw backupErrors('BACKUP_BUSY', { reason: `checkpoints became durable each of ${TRIES_MAX} times that one was begun` })
}

/**
 * A data folder that nobody runs on; it is locked until `close`.
 *
 * @throws BACKUP_SOURCE_MISSING, DATA_FOLDER_LOCKED, LOG_WRITE_FAILED
 */
export function openStopped(folder: string): { source: BackupSource; close: () => void } {
  const dataFolder = resolve(folder)
  if (!existsSync(join(dataFolder, 'topics'))) throw backupErrors('BACKUP_SOURCE_MISSING', { folder, reason: 'it has no topics' })
  const close = lockFolder(dataFolder)
  try {
    redoJournal(realDisk, dataFolder)
    const files = [...restOf(dataFolder), ...pinFiles(dataFolder, 'topics')]
    const source = { dataFolder, root: dataFolder, files, partitions: [], ...about(new CheckpointStore(dataFolder)) }
    return { source, close }
  } catch (error) {
    close()
    throw error
  }
}

/** All but the topics. */
function restOf(dataFolder: string, target?: string): PinnedFile[] {
  return readdirSync(dataFolder)
    .filter((name) => !LEFT_OUT.test(name))
    .flatMap((name) => pinFiles(dataFolder, name, target))
}

/** Which checkpoints and savepoints there are. */
const statesOf = (store: CheckpointStore): string =>
  JSON.stringify([store.jobs().map((job) => [job, store.ids(store.folderOf(job))]), store.savepoints()])

function about(store: CheckpointStore): Pick<BackupSource, 'checkpoints' | 'createdMs'> {
  const checkpoints = store.jobs().flatMap((job) =>
    store
      .ids(store.folderOf(job))
      .slice(-1)
      .map((id) => ({ job, id })),
  )
  return { checkpoints, createdMs: Date.now() }
}
