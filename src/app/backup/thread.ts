// The thread that copies a backup, so that the server's own goes on.
import { parentPort, workerData } from 'node:worker_threads'
import { type ErrorBody, toStreamError } from '../../base/index.ts'
import { type BackupProgress, type BackupSummary, pruneBackups } from './repository.ts'
import { type BackupSource, takeBackup } from './write.ts'

export interface BackupOrder {
  source: BackupSource
  folder: string
  /** Older ones than so many newest are removed afterwards. */
  keep?: number
}
export type FromBackup =
  | { type: 'progress'; progress: BackupProgress }
  | { type: 'done'; backup: BackupSummary; removed: string[] }
  | { type: 'failed'; error: ErrorBody; httpStatus: number }

const PROGRESS_MS = 100

const send = (message: FromBackup) => parentPort?.postMessage(message)
const { source, folder, keep } = workerData as BackupOrder
let toldMs = 0
try {
  const backup = takeBackup(source, folder, (progress) => {
    if (performance.now() - toldMs < PROGRESS_MS) return
    toldMs = performance.now()
    send({ type: 'progress', progress })
  })
  // Of what is damaged by now, an older backup may have the only good copy.
  const removed = keep === undefined || backup.damaged.length > 0 ? [] : pruneBackups(folder, keep, false).removed
  send({ type: 'done', backup, removed })
} catch (error) {
  const failure = toStreamError(error)
  send({ type: 'failed', error: failure.toJSON(), httpStatus: failure.httpStatus })
}
