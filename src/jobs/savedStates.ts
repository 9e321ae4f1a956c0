// What checkpoints (or one savepoint) hold for the queries of a project: which one each goes on from, and whether it can.
import { deserialize } from 'node:v8'
import { Counter } from 'prom-client'
import { metrics, type StreamError, toStreamError } from '../base/index.ts'
import { type CheckpointStore, checkpointErrors, type Manifest, type QueryState, verifyCheckpoint } from '../engine/index.ts'
import type { Log } from '../log/index.ts'

const passedOver = new Counter({
  name: 'millrace_checkpoints_passed_over_total',
  help: 'Checkpoints that could not be used, so that an older one was.',
  registers: [metrics],
})

/** A query in a checkpoint. */
export interface SavedQuery {
  /** The job's name and folder. */
  name: string
  folder: string
  manifest: Manifest
  state: QueryState
}

export class SavedStates {
  private readonly store: CheckpointStore
  private readonly log: Pick<Log, 'topic'>
  private readonly savepoint: string | undefined
  /** Checkpoints that cannot be used, by path. */
  private readonly unusable = new Map<string, StreamError>()
  private readonly onUnusable: (error: StreamError) => void

  /** @throws StreamError SAVEPOINT_NOT_FOUND; CHECKPOINT_DAMAGED: of the savepoint */
  constructor(store: CheckpointStore, log: Pick<Log, 'topic'>, savepoint?: string, onUnusable: (error: StreamError) => void = () => {}) {
    this.onUnusable = onUnusable
    this.store = store
    this.log = log
    this.savepoint = savepoint
    if (savepoint !== undefined && !store.savepoints().includes(savepoint))
      throw checkpointErrors('SAVEPOINT_NOT_FOUND', { name: savepoint, known: store.savepoints() })
    if (savepoint === undefined) return
    // There is no older one: a query that began anew instead would write everything again.
    const root = `${store.savepointsFolder}/${savepoint}`
    for (const job of store.jobs(root)) {
      const ids = store.ids(`${root}/${job}`)
      if (ids.length === 0) throw checkpointErrors('CHECKPOINT_DAMAGED', { path: `${root}/${job}`, reason: 'it has no manifest' })
      for (const id of ids) verifyCheckpoint(store, `${root}/${job}`, store.read(`${root}/${job}`, id))
    }
  }

  /** The newest usable state of each query. @throws StreamError CHECKPOINT_UNREADABLE */
  find(): Map<string, SavedQuery> {
    const found = new Map<string, SavedQuery>()
    const root = this.savepoint === undefined ? this.store.checkpointsFolder : `${this.store.savepointsFolder}/${this.savepoint}`
    for (const name of this.store.jobs(root)) {
      const folder = `${root}/${name}`
      const manifest = this.newestOf(folder)
      for (const state of manifest?.queries ?? []) {
        const other = found.get(state.id)
        if (manifest && (!other || other.state.takenAt < state.takenAt)) found.set(state.id, { name, folder, manifest, state })
      }
    }
    return found
  }

  private newestOf(folder: string): Manifest | undefined {
    for (const id of this.store.ids(folder).toReversed()) {
      const path = `${folder}/chk-${id}`
      if (this.unusable.has(path)) continue
      try {
        const manifest = this.store.read(folder, id)
        const reason = this.aheadOfLog(manifest)
        if (reason === undefined) {
          this.store.confirm(folder)
          return manifest
        }
        this.passOver(path, checkpointErrors('CHECKPOINT_DAMAGED', { path, reason }))
      } catch (error) {
        const failure = toStreamError(error)
        if (failure.code === 'CHECKPOINT_UNREADABLE') throw failure
        this.passOver(path, failure)
      }
    }
    return undefined
  }

  /** With durability `os` a power cut may take records that a checkpoint has seen. */
  private aheadOfLog({ queries }: Manifest): string | undefined {
    for (const { topic, topicId, positions } of queries.flatMap(({ inputs }) => inputs)) {
      const info = this.log.topic(topic)
      if (info?.id !== topicId) continue
      const at = positions.findIndex((position, partition) => position > (info.partitions[partition]?.endOffset ?? 0))
      if (at >= 0) return `it has read ${topic}/${at} up to ${positions[at]}, where the log ends before that`
    }
    return undefined
  }

  /** Why a query cannot go on from its state, if so. */
  unfitReason({ state }: SavedQuery): string | undefined {
    const gone = state.inputs.find(({ topic, topicId }) => this.log.topic(topic)?.id !== topicId)
    return gone && `the topic ${gone.topic} was made anew since`
  }

  /** Records that retention took before the query read them, as text for people. */
  lostRecords({ state }: SavedQuery): string[] {
    return state.inputs.flatMap(({ topic, positions }) =>
      positions.flatMap((position, partition) => {
        const startOffset = this.log.topic(topic)?.partitions[partition]?.startOffset ?? 0
        return position < startOffset ? [`${startOffset - position} records of ${topic}/${partition} were gone before they were read`] : []
      }),
    )
  }

  /** The rows of a live table. @throws StreamError CHECKPOINT_DAMAGED, CHECKPOINT_UNREADABLE */
  viewOf({ folder, manifest, state }: SavedQuery) {
    const { sink } = state
    if (sink.kind !== 'view') return undefined
    const reader = this.store.openParts(folder, manifest)
    try {
      const parts = sink.segments.flatMap((segment) =>
        segment.parts.map((key) => deserialize(reader.read(key)) as { rows: unknown[][]; deleted: unknown[][] }),
      )
      return { epoch: sink.epoch, rows: [] as [], deltas: parts }
    } finally {
      reader.close()
    }
  }

  markUnusable({ folder, id }: { folder: string; id: number }, error: StreamError): void {
    this.passOver(`${folder}/chk-${id}`, error)
  }

  private passOver(path: string, error: StreamError): void {
    this.unusable.set(path, error)
    passedOver.inc()
    this.onUnusable(error)
  }

  /** Why a query that is in no usable checkpoint may have been in one: the damage of one that had it, or of which nobody knows what it had. */
  damageOf(query: string): StreamError | undefined {
    const mayHave = (path: string): boolean => {
      const at = path.lastIndexOf('/chk-')
      try {
        return this.store.read(path.slice(0, at), Number(path.slice(at + 5))).queries.some(({ id }) => id === query)
      } catch {
        return true
      }
    }
    return [...this.unusable].find(([path]) => this.store.has(path) && mayHave(path))?.[1]
  }

  /** Checkpoints that were passed over, for people; those that are still there. */
  problems(): StreamError[] {
    const isThere = (path: string) => this.store.has(path)
    return [...this.unusable].filter(([path]) => isThere(path)).map(([, error]) => error)
  }
}

export interface SavepointInfo {
  name: string
  /** Epoch ms, of its oldest part. */
  createdMs: number
  /** Of all state in it. */
  bytes: number
  queries: string[]
}

/** @throws StreamError SAVEPOINT_NOT_FOUND, CHECKPOINT_DAMAGED */
export function savepointInfo(store: CheckpointStore, name: string): SavepointInfo {
  if (!store.savepoints().includes(name)) throw checkpointErrors('SAVEPOINT_NOT_FOUND', { name, known: store.savepoints() })
  const root = `${store.savepointsFolder}/${name}`
  const manifests = store.jobs(root).flatMap((job) => store.ids(`${root}/${job}`).map((id) => store.read(`${root}/${job}`, id)))
  return {
    name,
    createdMs: manifests.reduce((oldest, { createdMs }) => Math.min(oldest, createdMs), Number.MAX_SAFE_INTEGER),
    bytes: manifests.reduce((sum, { fullBytes }) => sum + fullBytes, 0),
    // A query that went to another job is in the older one too, as it was then.
    queries: [...new Set(manifests.flatMap(({ queries }) => queries.map(({ id }) => id)))],
  }
}
