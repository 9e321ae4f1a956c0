// 'connector' = 'filesystem': rows into files of a folder, each there as a whole or not at all, by two-phase commit.
//
//   rows --> .part-<query>-<n>.json.inprogress | checkpoint: synced, pending | durable: renamed to part-<query>-<n>.json
//   parquet: what is pending are staged rows; a child process makes the Parquet file of them before it is renamed (parquet.ts)
//
// Invariants
//   1. A finished file never changes, and has the rows of checkpoints that are durable. Readers that skip names with a dot see nothing else.
//   2. A pending file is in the checkpoint: after a crash it is finished (`finishFiles`), and whatever else the query has begun is removed.
//   3. Numbers go up: no file has the name of an earlier one that is there. Of several subtasks each takes every so manieth.
//   4. Where a query goes back to an older checkpoint, the files of later ones are hidden (`setAside`): their rows come again.
// Names and states are those of Flink's file sink; a file ends with its checkpoint, as Flink's bulk formats do, or when it is large.
import type { Batch } from '../data/index.ts'
import { type Disk, errorCodeOf, ignoreFailure } from '../log/index.ts'
import type { SinkState } from './checkpoints/manifest.ts'
import { finishParquet, parquetColumns, stagedLines } from './parquet.ts'
import type { QuerySpec, SinkSpec } from './protocol.ts'
import { makeRecordEncoder } from './recordEncoder.ts'
import type { Sink } from './sinks.ts'

type FilesSpec = SinkSpec & { kind: 'files' }
type FilesState = SinkState & { kind: 'files' }
const IN_PROGRESS = '.inprogress'

export class FilesSink implements Sink {
  private readonly prefix: string
  private readonly spec: FilesSpec
  private readonly disk: Disk
  private readonly encode: (batch: Batch) => Uint8Array[]
  private current: { name: string; file: number; sizeBytes: number } | undefined
  private nextFile = 0
  private readonly subtask: number
  private readonly parallelism: number
  /** Closed files whose checkpoint is not durable yet; those of the last cut first. */
  private pending: FilesState['pending'] = []
  private cutCount = 0

  constructor(query: QuerySpec, spec: FilesSpec, disk: Disk, subtask: number, parallelism: number) {
    this.subtask = subtask
    this.parallelism = parallelism
    this.prefix = prefixOf(query.id)
    this.spec = spec
    this.disk = disk
    this.nextFile = spec.firstFile + subtask
    this.encode = encoderOf(spec)
  }

  write(batch: Batch): void {
    const lines = this.encode(batch)
    if (lines.length === 0) return
    this.current ??= this.begin()
    const { current } = this
    this.disk.write(current.file, lines, current.sizeBytes)
    current.sizeBytes += lines.reduce((sum, { length }) => sum + length, 0)
    if (current.sizeBytes >= this.spec.fileBytesMax) this.roll()
  }

  flush(): void {}

  private begin() {
    const name = `${this.prefix}${this.nextFile}.${this.spec.format}`
    this.nextFile += this.parallelism
    const file = this.disk.open(`${this.spec.folder}/.${name}${IN_PROGRESS}`, 'create')
    try {
      this.disk.truncate(file, 0)
    } catch (error) {
      ignoreFailure(() => this.disk.close(file))
      throw error
    }
    return { name, file, sizeBytes: 0 }
  }

  private roll(): void {
    if (!this.current) return
    const { name, file } = this.current
    this.current = undefined
    try {
      this.disk.sync(file)
    } finally {
      this.disk.close(file)
    }
    this.pending.push({ from: `.${name}${IN_PROGRESS}`, to: name })
  }

  checkpoint(): FilesState {
    this.roll()
    if (this.pending.length > 0) this.disk.syncFolder(this.spec.folder)
    this.cutCount = this.pending.length
    const { folder, format, fields } = this.spec
    const state: FilesState = { kind: 'files', folder, nextFile: this.nextFile, pending: this.pending.slice() }
    return format === 'parquet' ? { ...state, parquet: parquetColumns(fields) } : state
  }

  settle(isDurable: boolean): void {
    if (isDurable) this.pending.splice(0, this.cutCount)
    this.cutCount = 0
  }

  close(): void {
    if (this.current) this.disk.close(this.current.file)
    this.current = undefined
  }

  restore(state: SinkState): void {
    if (state.kind === 'files') this.nextFile = state.nextFile + this.subtask
  }
}

const prefixOf = (queryId: string): string => `part-${queryId.replace(/[^\w.-]/g, '_')}-`

/** Finishes the pending files of a durable checkpoint; can be repeated. Returns names that are not there any more. @throws PARQUET_FAILED */
export async function finishFiles(disk: Disk, { folder, pending, parquet }: Omit<FilesState, 'kind' | 'nextFile'>): Promise<string[]> {
  if (pending.length === 0) return []
  const names = new Set(disk.list(folder))
  for (const { from, to } of pending) {
    if (parquet) await finishParquet(disk, folder, from, to, parquet)
    else if (names.has(from)) disk.rename(`${folder}/${from}`, `${folder}/${to}`)
  }
  disk.syncFolder(folder)
  return pending.filter(({ from, to }) => !names.has(from) && !names.has(to)).map(({ to }) => to)
}

/** Before a query begins: removes what it has begun and no checkpoint has. */
export function removeUnfinished(disk: Disk, folder: string, queryId: string): void {
  const prefix = `.${prefixOf(queryId)}`
  for (const name of namesIn(disk, folder))
    if (name.startsWith(prefix) && name.endsWith(IN_PROGRESS) && /^\d+\./.test(name.slice(prefix.length))) disk.unlink(`${folder}/${name}`)
}

/**
 * Before a query goes on from a checkpoint: hides finished files of later ones. There are such only where the newest checkpoint is not the one
 * that is used: it is damaged, or a savepoint or a backup is. The rows of these files are written again. Returns their names.
 */
export function setAside(
  disk: Disk,
  queryId: string,
  { folder, nextFile, nextFiles = [nextFile] }: Omit<FilesState, 'kind' | 'pending'>,
): string[] {
  const prefix = prefixOf(queryId)
  const names = namesIn(disk, folder)
  // A subtask that has written less has lower numbers.
  const isLater = (file: number) => file >= nextFile || nextFiles.some((next) => file >= next && (file - next) % nextFiles.length === 0)
  const later = names.filter((name) => name.startsWith(prefix) && isLater(Number.parseInt(name.slice(prefix.length), 10)))
  for (const name of later) {
    let hidden = `.${name}.undone`
    for (let n = 2; names.includes(hidden); n++) hidden = `.${name}~${n}.undone`
    disk.rename(`${folder}/${name}`, `${folder}/${hidden}`)
  }
  if (later.length > 0) disk.syncFolder(folder)
  return later
}

/** The number that a query's next file gets where no checkpoint knows: higher than that of any file there. */
export function nextFileNumber(disk: Disk, folder: string, queryId: string): number {
  const prefix = prefixOf(queryId)
  const numbers = namesIn(disk, folder).map((name) =>
    name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN,
  )
  return numbers.reduce((next, number) => (number >= next ? number + 1 : next), 0)
}

function namesIn(disk: Disk, folder: string): string[] {
  try {
    return disk.list(folder)
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return []
    throw error
  }
}

/** What goes into the file for a batch; rows that a changelog takes away do not come here: the plan is append-only. */
function encoderOf({ fields, format, options }: FilesSpec): (batch: Batch) => Uint8Array[] {
  if (format === 'parquet') return stagedLines(fields)
  const encode = makeRecordEncoder(format, fields, options)
  return (batch) => (batch.rowCount === 0 ? [] : [encode(batch).bytes])
}
