// The thread that writes checkpoints: it alone waits for the disk, and nobody waits for it but the next checkpoint. What many jobs wait for at
// once, as when all end, is written first; what is not needed any more is removed when nothing waits, or by the process that comes next.
//
// A fault for tests comes with `workerData.fault`: `disk:17` ends the process at the 17th call of the disk that changes something.
import { parentPort, workerData } from 'node:worker_threads'
import { toStreamError } from '../../base/index.ts'
import { type Disk, realDisk } from '../../log/index.ts'
import type { Manifest } from './manifest.ts'
import { CheckpointStore, type WriteRequest } from './store.ts'

export interface CheckpointWriterData {
  dataFolder: string
  fault?: string
}
export type ToCheckpointWriter = { requestId: number } & (
  | { type: 'write'; request: Omit<WriteRequest, 'base'>; baseId?: number; retained: number }
  | { type: 'savepoint'; name: string; checkpoints: { folder: string; id: number }[] }
)
/** `manifest` without its parts, which only the thread needs. */
export type FromCheckpointWriter = { requestId: number } & (
  | { error: ReturnType<ReturnType<typeof toStreamError>['toJSON']> }
  | { manifest?: Omit<Manifest, 'parts'> }
)

const { dataFolder, fault } = workerData as CheckpointWriterData
const store = new CheckpointStore(dataFolder, faulty(realDisk, fault))
/** By folder: what the next checkpoint is relative to. */
const newest = new Map<string, Manifest>()
/** By folder, how many of its checkpoints stay: older ones go when no checkpoint waits to be written, and before the next of the same folder. */
const unpruned = new Map<string, number>()

function handle(message: ToCheckpointWriter): Omit<Manifest, 'parts'> | undefined {
  if (message.type === 'savepoint') {
    const checkpoints = message.checkpoints.map(({ folder, id }) => ({ folder, manifest: store.read(folder, id) }))
    store.writeSavepoint(message.name, checkpoints)
    return undefined
  }
  const { request, baseId, retained } = message
  const { folder } = request
  prune(folder)
  let base = newest.get(folder)
  if (base?.id !== baseId) base = baseId === undefined ? undefined : store.read(folder, baseId)
  const manifest = store.write({ ...request, base })
  newest.set(folder, manifest)
  unpruned.set(folder, retained)
  const { parts: _parts, ...rest } = manifest
  return rest
}

function prune(folder: string): void {
  const retained = unpruned.get(folder)
  if (retained !== undefined) store.prune(folder, retained)
  unpruned.delete(folder)
}

let isPruning = false
/** One folder at a time: a message that has come meanwhile goes before the next. */
function pruneNext(): void {
  const [folder] = unpruned.keys()
  isPruning = folder !== undefined
  if (folder === undefined) return
  prune(folder)
  setImmediate(pruneNext)
}

parentPort?.on('message', (message: ToCheckpointWriter) => {
  const { requestId } = message
  try {
    parentPort?.postMessage({ requestId, manifest: handle(message) } satisfies FromCheckpointWriter)
  } catch (error) {
    parentPort?.postMessage({ requestId, error: toStreamError(error).toJSON() } satisfies FromCheckpointWriter)
  }
  if (!isPruning) setImmediate(pruneNext)
  isPruning = true
})

function faulty(disk: Disk, fault: string | undefined): Disk {
  const [kind, count] = fault?.split(':') ?? []
  if (kind !== 'disk') return disk
  let left = Number(count)
  const counted =
    <A extends unknown[], R>(call: (...args: A) => R) =>
    (...args: A): R => {
      if (--left === 0) process.kill(process.pid, 'SIGKILL')
      return call(...args)
    }
  const { open, write, sync, syncFolder, makeFolder, rename, unlink } = disk
  return {
    ...disk,
    open: counted(open),
    write: counted(write),
    sync: counted(sync),
    syncFolder: counted(syncFolder),
    makeFolder: counted(makeFolder),
    rename: counted(rename),
    unlink: counted(unlink),
  }
}
