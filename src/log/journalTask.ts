// What is done for the commit journal beside the writer: making its file, and syncing segment files. By a thread (journalThread.ts), or by a
// simulator when it sees fit.
import { dirname } from 'node:path'
import { type Disk, errorCodeOf } from './disk.ts'

export type JournalTask =
  | { kind: 'make'; path: string; sizeBytes: number }
  /** @property sequence  of the newest block: what older ones have of the files is in the page cache */
  | { kind: 'sync'; paths: string[]; sequence: number }

export type JournalDone = { kind: 'made'; error?: string } | { kind: 'synced'; path: string; sequence: number; error?: string }

/** Does tasks in their order. */
export interface JournalBackground {
  start(task: JournalTask): void
  /** What has been done since the last call; a task's files come one by one. */
  done(): JournalDone[]
  /** Nothing more is wanted of it. */
  close(): void
}

/** So many bytes are written at once: a sync of more would hold up those of appends. */
const PIECE_BYTES = 512 * 1024

export function doTask(disk: Disk, task: JournalTask, tell: (done: JournalDone) => void, rest: () => void = () => {}): void {
  if (task.kind === 'make') tell({ kind: 'made', ...errorOf(() => make(disk, task.path, task.sizeBytes, rest)) })
  else for (const path of task.paths) tell({ kind: 'synced', path, sequence: task.sequence, ...errorOf(() => syncPath(disk, path)) })
}

/** The code of what `action` throws. */
function errorOf(action: () => void): { error?: string } {
  try {
    action()
    return {}
  } catch (error) {
    return { error: errorCodeOf(error) ?? 'UNKNOWN' }
  }
}

function make(disk: Disk, path: string, sizeBytes: number, rest: () => void): void {
  const file = disk.open(path, 'create')
  try {
    const zeros = new Uint8Array(Math.min(PIECE_BYTES, sizeBytes))
    for (let position = 0; position < sizeBytes; position += zeros.length) {
      disk.write(file, [zeros.subarray(0, sizeBytes - position)], position)
      disk.sync(file)
      rest()
    }
  } finally {
    disk.close(file)
  }
  disk.syncFolder(dirname(path))
}

function syncPath(disk: Disk, path: string): void {
  const file = disk.open(path, 'read')
  try {
    disk.sync(file)
  } finally {
    disk.close(file)
  }
}
