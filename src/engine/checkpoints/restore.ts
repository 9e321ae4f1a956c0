// What a job needs of a checkpoint to go on from it: read query by query, so that the bytes of one are gone before the next.
import { type Disk, realDisk } from '../../log/index.ts'
import type { NodeSnapshot } from '../graphNodes.ts'
import type { JobOptions } from '../job.ts'
import type { JobRestore } from '../protocol.ts'
import { type Manifest, msOf, partKey, type QueryState } from './manifest.ts'
import { joinParts } from './stateParts.ts'
import { CheckpointStore, type PartReader } from './store.ts'

/** @throws StreamError CHECKPOINT_DAMAGED, CHECKPOINT_NOT_FOUND, CHECKPOINT_FORMAT; `load` throws CHECKPOINT_DAMAGED */
export function restoreOptions(restore: JobRestore, disk: Disk = realDisk, subtask = 0, parallelism = 1): JobOptions {
  const store = new CheckpointStore(restore.dataFolder, disk)
  const manifest = store.read(restore.folder, restore.checkpointId)
  return {
    disk,
    load: (queryId) => {
      const state = restore.queries.includes(queryId) ? manifest.queries.find(({ id }) => id === queryId) : undefined
      if (!state) return undefined
      const reader = store.openParts(restore.folder, manifest)
      const close = () => reader.close()
      try {
        const { parallelism: saved = 1 } = state
        return {
          state,
          // Its own state is read now. That of all subtasks may be more than there is room for: operator by operator, when it is asked for.
          ...(saved === parallelism
            ? { parts: [readNodes(state, reader, subtask).map((node) => ({ ...node }))] }
            : {
                parts: Array.from({ length: saved }, (_, one) => readNodes(state, reader, one)),
                rescaling: { subtask, parallelism, savedParallelism: saved },
              }),
          allowsDropped: restore.allowsDropped.includes(queryId),
          close,
        }
      } catch (error) {
        close()
        throw error
      }
    },
  }
}

/** What one of a query's subtasks had. Its state is read when it is asked for. @throws then: StreamError CHECKPOINT_DAMAGED, CHECKPOINT_UNREADABLE */
export function readNodes(query: QueryState, reader: PartReader, subtask = 0): NodeSnapshot[] {
  const mine = query.operators.filter((operator) => (operator.subtask ?? 0) === subtask)
  return mine.map(({ signature, node, label, parts, rowsIn, rowsOut, subtask, ...times }) => ({
    signature,
    node,
    label,
    rowsIn,
    rowsOut,
    watermarkMs: msOf(times.watermarkMs),
    forwardedMs: msOf(times.forwardedMs),
    inputWatermarks: times.inputWatermarks.map(msOf),
    hasState: parts.length > 0,
    get state() {
      return parts.length === 0 ? undefined : joinParts(parts, (name) => reader.read(partKey(query.id, signature, name, subtask)))
    },
  }))
}

/** Reads all of a checkpoint's bytes. @throws StreamError CHECKPOINT_DAMAGED */
export function verifyCheckpoint(store: CheckpointStore, folder: string, manifest: Manifest): void {
  const reader = store.openParts(folder, manifest)
  try {
    for (const key of Object.keys(manifest.parts)) reader.read(key)
  } finally {
    reader.close()
  }
}
