// The halves of sinks that take part in checkpoints: what each has put out up to a cut, and what it does once that is durable.
//
//   barrier (the message of a job's checkpoint) --> cut: what belongs to it --> written, renamed --> settle(true): visible for good
//                                                                          `--> failed         --> settle(false): as if there had been none
import { setImmediate as nextTurn } from 'node:timers/promises'
import { serialize } from 'node:v8'
import { type StreamError, toStreamError } from '../base/index.ts'
import { finishFiles, type PartUpdate, type SinkState, type ViewSegment, wholePart } from '../engine/index.ts'
import type { Disk } from '../log/index.ts'
import type { LiveTables } from './querySinks.ts'

export interface SinkCut {
  state: SinkState
  updates: PartUpdate[]
  latePositions?: Record<string, number>
}

export interface SinkCommitter {
  /** Everything that came before this call is in it, nothing that comes after. `ofWorker`: the state of the sink's half in the worker. */
  cut(checkpointId: number, ofWorker: SinkState | undefined): Promise<SinkCut>
  /** The checkpoint of the last cut is durable, or it failed. Called once for each cut; resolves when the sink has done what follows. */
  settle(isDurable: boolean): Promise<void>
  /** Takes output that is not visible before its checkpoint. @throws StreamError  it is lost: the job must go back to its last checkpoint */
  append?(batch: OutputBatch): Promise<void>
  /** What `settle` tries again and again is left to the next start of the query. */
  giveUp?(): void
  /** After the last `settle`. `isUndone`: what is in no durable checkpoint is undone; else a restart of the query will see to that. */
  close?(isUndone: boolean): Promise<void>
}

/** Finished records for a topic. */
export interface OutputBatch {
  topic: string
  partition: number
  bytes: Uint8Array
  recordCount: number
}

/** Rows of a part: encoding one takes about a millisecond. */
const PART_ROWS = 2_000
/** Deltas are kept until they have as many rows as the table, and at least this many. */
const DELTA_ROWS_MIN = 10_000
/** With so many deltas all rows are written again. */
const SEGMENTS_MAX = 100

/** A live table: all rows now and then, and the rows that changed in between. */
export class ViewCommitter implements SinkCommitter {
  private readonly tables: LiveTables
  private readonly name: string
  private segments: ViewSegment[]
  /** Of the table, as of the last segment. */
  private version: number | undefined
  private next: { segments: ViewSegment[]; version: number } | undefined

  /** @param segments  those of the checkpoint from which the table was restored, if the next one is written beside it */
  constructor(tables: LiveTables, name: string, segments: ViewSegment[] = []) {
    this.tables = tables
    this.name = name
    this.segments = segments
    if (segments.length > 0) this.version = tables.changesSince(name, Number.MAX_SAFE_INTEGER).version
  }

  async cut(checkpointId: number): Promise<SinkCut> {
    const { name } = this
    const epoch = this.tables.epochOf(name)
    let changes = this.tables.changesSince(name, this.version)
    const deltaRows = this.segments.slice(1).reduce((sum, { rows }) => sum + rows, changes.rows.length + changes.deleted.length)
    const isLong = deltaRows > Math.max(DELTA_ROWS_MIN, this.segments[0]?.rows ?? 0) || this.segments.length > SEGMENTS_MAX
    if (!changes.all && isLong) changes = this.tables.changesSince(name, undefined)
    const { all, rows, deleted, version } = changes
    const rowCount = rows.length + deleted.length
    const updates: PartUpdate[] = []
    for (let at = 0; at < rowCount; at += PART_ROWS) {
      // Others have their turn: rows are never changed in place, so these are still those of the cut.
      if (at > 0) await nextTurn()
      const deletedFrom = Math.max(0, at - rows.length)
      const deletedTo = Math.max(0, at + PART_ROWS - rows.length)
      const part = { rows: rows.slice(at, at + PART_ROWS), deleted: deleted.slice(deletedFrom, deletedTo) }
      updates.push(wholePart(`${name}/view/${checkpointId}-${updates.length}`, serialize(part)))
    }
    const segment: ViewSegment = { kind: all ? 'full' : 'delta', rows: rowCount, parts: updates.map(({ key }) => key) }
    const segments = all ? [segment] : rowCount > 0 ? [...this.segments, segment] : this.segments
    this.next = { segments, version }
    return { state: { kind: 'view', name, epoch, segments }, updates }
  }

  async settle(isDurable: boolean): Promise<void> {
    if (isDurable && this.next) Object.assign(this, this.next)
    this.next = undefined
  }
}

/** A sink that the worker has alone: all that is left to do here is to finish its files. */
export class WorkerCommitter implements SinkCommitter {
  private readonly disk: Disk | undefined
  private readonly onRetry: ((error: StreamError) => void) | undefined
  private state: SinkState = { kind: 'none' }
  private isGivenUp = false

  /**
   * @param disk     where its files are, if it writes files
   * @param onRetry  told why files could not be finished: it is tried again until they are
   */
  constructor(disk: Disk | undefined, onRetry?: (error: StreamError) => void) {
    this.disk = disk
    this.onRetry = onRetry
  }

  async cut(_checkpointId: number, ofWorker: SinkState = { kind: 'none' }): Promise<SinkCut> {
    this.state = ofWorker
    return { state: ofWorker, updates: [] }
  }

  async settle(isDurable: boolean): Promise<void> {
    const { state, disk } = this
    if (isDurable && disk && state.kind === 'files')
      await persistently(
        () => finishFiles(disk, state),
        () => !this.isGivenUp,
        this.onRetry,
      )
  }

  giveUp(): void {
    this.isGivenUp = true
  }
}

/** Tries again while the world says "later". */
export async function persistently<T>(
  work: () => Promise<T>,
  goesOn: () => boolean,
  onRetry?: (error: StreamError) => void,
): Promise<T | undefined> {
  for (let pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, 5_000)) {
    try {
      return await work()
    } catch (error) {
      const failure = toStreamError(error)
      if (failure.retry === 'never') throw error
      if (!goesOn()) return undefined
      onRetry?.(failure)
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }
}
