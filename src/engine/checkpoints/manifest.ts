// What a checkpoint is on disk: one manifest, which names runs of bytes in data files that it may share with older checkpoints.
//
//   <data folder>/checkpoints/<job>/chk-<id>     one line: checksum, JSON of a `Manifest`. Its rename into place is the commit.
//   <data folder>/checkpoints/<job>/data-<id>    chunks of state that were new in checkpoint <id>
//   <data folder>/savepoints/<name>/<job>/…      the same, with all chunks in one data file: it needs nothing else
//
// The JSON is a format: FORMAT counts its versions. Names in it are part of it (operators by signature, their state by path).
import type { ParquetColumn } from '../parquet.ts'
import type { StatePart } from './stateParts.ts'

export const FORMAT = 1
/** Where the bytes of a part are: for each chunk of CHUNK_BYTES the data file's id, the position in it, CRC32C and CRC32. */
export interface StoredPart {
  type: StatePart['type']
  sizeBytes: number
  chunks: number[]
}
export const CHUNK_FIELDS = 4

export interface InputState {
  table: string
  topic: string
  topicId: string
  /** By partition: the next offset to be read. */
  positions: number[]
  /** Whose turn it is among the partitions. */
  turn: number
}

export interface OperatorState {
  /** What the operator computes, over what; see `Graph`. */
  signature: string
  node: string
  /** As EXPLAIN prints it: for people. */
  label: string
  stateRows: number
  /** Which of the query's subtasks it is of; absent if there is one. */
  subtask?: number
  /** First and last key group whose keys this part of the operator's state has. */
  keyGroups: [first: number, last: number]
  /** Names of its parts; none if it has no state. */
  parts: { name: string; type: StatePart['type'] }[]
  /** Event time that it has seen: JSON has no infinities, null is -Infinity, 'end' is Infinity. */
  watermarkMs: JsonMs
  forwardedMs: JsonMs
  inputWatermarks: JsonMs[]
  rowsIn: number
  rowsOut: number
}
export type JsonMs = number | null | 'end'
export const jsonMs = (ms: number): JsonMs => (ms === -Infinity ? null : ms === Infinity ? 'end' : ms)
export const msOf = (json: JsonMs): number => (json === null ? -Infinity : json === 'end' ? Infinity : json)

/** What a sink must do once the checkpoint is durable, again after a crash; see `docs/exactly-once.md`. */
export type SinkState =
  | { kind: 'none' }
  | { kind: 'view'; name: string; epoch: number; segments: ViewSegment[] }
  | { kind: 'transaction'; topic: string; refs: { transactionalId: string; producerId: number; producerEpoch: number }[] }
  /** `parquet`: pending files are staged, and these are their columns. */
  /** `nextFile` is above all numbers that were taken; of several subtasks `nextFiles` says what each would take next: those in between are others'. */
  | {
      kind: 'files'
      folder: string
      nextFile: number
      nextFiles?: number[]
      pending: { from: string; to: string }[]
      parquet?: ParquetColumn[]
    }

/** Rows of a view: all of them (`full`) or those that changed since the segment before. */
export interface ViewSegment {
  kind: 'full' | 'delta'
  rows: number
  /** Keys of its parts. */
  parts: string[]
}

export interface QueryState {
  id: string
  /** The checkpoint that saw it: an older one than the manifest's if the query has failed since. */
  takenAt: number
  /** Of the whole plan. */
  signature: string
  /** How many subtasks have its state; absent for one. */
  parallelism?: number
  inputs: InputState[]
  operators: OperatorState[]
  sink: SinkState
  /** By topic: where late rows would go next, which tells those that are known already. */
  latePositions: Record<string, number>
  counters: { rowsIn: number; rowsOut: number; lateRows: number; failedRows: number }
}

export interface Manifest {
  format: number
  id: number
  job: string
  createdMs: number
  /** Of the state now, and of what this checkpoint wrote. */
  fullBytes: number
  writtenBytes: number
  queries: QueryState[]
  parts: Record<string, StoredPart>
  /** Bytes of each data file that `parts` point into. */
  dataBytes: Record<string, number>
}

/** Keys of all parts that a query of a manifest has. */
export function partKeysOf(query: QueryState): string[] {
  const own = query.operators.flatMap(({ signature, parts, subtask }) =>
    parts.map(({ name }) => partKey(query.id, signature, name, subtask)),
  )
  return query.sink.kind === 'view' ? [...own, ...query.sink.segments.flatMap(({ parts }) => parts)] : own
}
export const partKey = (query: string, operator: string, name: string, subtask?: number): string =>
  `${query}/${operator}${subtask === undefined ? '' : `@${subtask}`}/${name}`
