// Folders of checkpoints, one for each job, and what the project's settings say of when they are taken.
import type { CheckpointStore } from '../engine/index.ts'
import { durationMs } from '../sql/index.ts'
import type { CheckpointSettings, Checkpoints } from './checkpoints.ts'
import type { ProjectQuery } from './project.ts'
import { isExactlyOnceTopic } from './tables.ts'

const INTERVAL_MS = 10_000
/** Where output becomes visible with the checkpoint. */
const INTERVAL_OUTPUT_MS = 1_000
const TIMEOUT_MS = 600_000
const RETAINED = 3

/** A name for the folder of a job that goes on from none. */
export function freshName(file: string, used: ReadonlySet<string>): string {
  const base =
    file
      .replace(/\.sql$/, '')
      .replace(/^pipelines[/\\]/, '')
      .replace(/[^\w.-]/g, '_') || 'job'
  let name = base
  for (let n = 2; used.has(name); n++) name = `${base}~${n}`
  return name
}

/** The project's `execution.checkpointing.*`. */
export function checkpointSettings(
  queries: readonly ProjectQuery[],
  settings: ReadonlyMap<string, string> | undefined,
): CheckpointSettings {
  const waits = queries.some(({ target }) => target.kind === 'insert' && isExactlyOnceTopic(target.table))
  const setting = (key: string) => settings?.get(`execution.checkpointing.${key}`)
  const ms = (key: string, otherwise: number) => (setting(key) === undefined ? otherwise : durationMs(setting(key)))
  return {
    intervalMs: ms('interval', waits ? INTERVAL_OUTPUT_MS : INTERVAL_MS),
    minPauseMs: ms('min-pause', 0),
    timeoutMs: ms('timeout', TIMEOUT_MS),
    retained: Math.max(1, Math.trunc(Number(setting('num-retained') ?? RETAINED)) || RETAINED),
  }
}

/** Folders of which every query has newer state elsewhere are not needed any more. */
export function removeSuperseded(store: CheckpointStore, checkpoints: Pick<Checkpoints, 'takenAt' | 'names'>): void {
  const takenAt = checkpoints.takenAt()
  const used = checkpoints.names()
  for (const name of store.jobs()) {
    if (used.has(name)) continue
    try {
      const folder = store.folderOf(name)
      const ids = store.ids(folder)
      const queries = ids.flatMap((id) => store.read(folder, id).queries)
      if (queries.every((query) => (takenAt.get(query.id) ?? 0) > query.takenAt)) store.remove(folder)
    } catch {
      // One that cannot be read stays for people to look at.
    }
  }
}
