// What goes between the main thread and an engine worker. Plain data only.
import type { ErrorBody } from '../base/index.ts'
import type { Batch, Field } from '../data/index.ts'
import type { Isolation, TopicDescriptor } from '../log/index.ts'
import type { Plan } from '../sql/index.ts'
import type { Lateness } from './diagnosis.ts'
import type { SharedLinks } from './exchange/index.ts'
import type { NodeStatus } from './graph.ts'
import type { JobCheckpoint } from './job.ts'
import type { StateReading, StateRequest } from './state/readState.ts'

export type RecordFormat = 'json' | 'csv' | 'raw'

/** The value or the key of a record that is written. */
export interface RecordPart {
  format: RecordFormat
  formatOptions: Record<string, string>
  /** Output columns of the query, and the names and types that they have in the record. */
  columns: number[]
  fields: Field[]
}

/** How a table's rows are found and read. */
export interface SourceSpec {
  /** The table's name in plans. */
  table: string
  topic: string
  descriptor: TopicDescriptor
  format: RecordFormat
  formatOptions: Record<string, string>
  /** Columns that are in the record's key and not in its value: ordinals into the table's columns, and their names in the key. */
  key?: { format: RecordFormat; formatOptions: Record<string, string>; columns: number[]; names: string[] }
  onError: 'dead-letter' | 'fail'
  startup: 'earliest-offset' | 'latest-offset'
  isolation: Isolation
  /** Instead of all that a bounded job finds: from `start` up to, and without, `stop`, by partition. */
  slice?: { start: number[]; stop: number[] }
  /** 'upsert-kafka': a record without a value deletes the row of its key. `raw` keys hold the text of the one column `keyColumn`. */
  upsert?: { keyFormat: 'json' | 'raw'; keyColumn: string }
}

export type SinkSpec =
  | { kind: 'view'; name: string }
  /** With `upsert` a retraction is a tombstone. */
  | {
      kind: 'topic'
      table: string
      topic: string
      upsert: boolean
      /** What its batches are compressed in: Kafka's number, 0 is none. */
      codec: number
      /** The topic's max.message.bytes. */
      batchBytesMax: number
      value: RecordPart
      /** Absent: records have no key. */
      key?: RecordPart
      /** Output columns that are the record's own timestamp and headers. */
      timestampColumn?: number
      headersColumn?: number
      partitionCount: number
    }
  /** Rows into files of a folder, which exists. `firstFile`: number of the first, if no checkpoint says. */
  | {
      kind: 'files'
      folder: string
      format: 'json' | 'csv' | 'parquet'
      fields: Field[]
      options: Record<string, string>
      fileBytesMax: number
      firstFile: number
    }
  /** Rows to the caller, for `millrace sql` and previews. */
  | { kind: 'collect' }
  | { kind: 'blackhole' }

export interface QuerySpec {
  id: string
  name: string
  plan: Plan
  sink: SinkSpec
  /** Names it in what its thread tells of its progress, once it has been given to one. */
  number?: number
  /** Columns of its result by which the target keeps one row each; absent if it keeps all. */
  sinkKey?: number[]
  /** By table: the topic for late rows that come from it. */
  lateTopics?: Record<string, string>
}

/** Queries that read their topics together: a topic that several of them use is read and decoded once. */
export interface JobSpec {
  id: string
  queries: QuerySpec[]
  sources: SourceSpec[]
  timeZone: string
  /** Reads what is in the topics when it begins, closes all windows, and ends. */
  bounded?: boolean
  restore?: JobRestore
  /** This is one of several that do the job together; the first is asked for checkpoints. */
  parallel?: { subtask: number; links: SharedLinks }
}

/** How much state a worker may hold, and where the rest goes. */
export interface WorkerSpill {
  /** As `Memory.budget` makes it; `thread` is this worker's place in it. */
  memory: SharedArrayBuffer
  thread: number
  folder: string
}

export interface EngineWorkerData {
  spill: WorkerSpill
  /** As `newProgress` makes it. */
  progress: SharedArrayBuffer
}

/** Where a job goes on. */
export interface JobRestore {
  dataFolder: string
  /** That of the checkpoint's manifest. */
  folder: string
  checkpointId: number
  /** Queries that go on from it; others begin anew. */
  queries: string[]
  /** Those of which state may be dropped that fits nowhere. */
  allowsDropped: string[]
}

export type ToWorker =
  | { type: 'start'; job: JobSpec }
  | { type: 'stop'; jobId: string }
  | { type: 'removeQuery'; jobId: string; queryId: string }
  /** A query has failed in another subtask of the job. */
  | { type: 'failQuery'; jobId: string; queryId: string; error: ErrorBody }
  /** That many rows of output have been taken: the worker may send more. */
  | { type: 'taken'; rows: number }
  /** Take one before the next step; with `isLast` there is none. */
  | { type: 'checkpoint'; jobId: string; checkpointId: number; isLast: boolean }
  /** What became of the last one. */
  | { type: 'checkpointSettled'; jobId: string; isDurable: boolean }
  | { type: 'status'; requestId: number }
  | { type: 'inspect'; requestId: number; jobId: string; queryId: string }
  | { type: 'readState'; requestId: number; jobId: string; queryId: string; request: StateRequest }

export interface DeadLetter {
  topic: string
  partition: number
  offset: number
  raw: Uint8Array
  error: ErrorBody
}

export interface QueryStatus {
  jobId: string
  queryId: string
  state: 'running' | 'failed'
  error?: ErrorBody
  rowsIn: number
  rowsOut: number
  lateRows: number
  failedRows: number
  watermarkMs: number
  /** Nothing that it reads holds the watermark back. */
  isIdle: boolean
  stateBytes: number
  /** Of its job's threads, since they began: Flink's busy, back-pressured and idle time. */
  spentMs: { busy: number; backPressured: number; idle: number }
}

/** One of the subtasks that do a query's job. Times are since its start, in ms: Flink's busy, back-pressured and idle time. */
export interface SubtaskStatus {
  subtask: number
  rowsIn: number
  rowsOut: number
  lateRows: number
  watermarkMs: number
  stateRows: number
  stateBytes: number
  busyMs: number
  backPressuredMs: number
  idleMs: number
}

/** A query looked at closely, as `why` and a live EXPLAIN need it. */
export interface QueryInspection extends QueryStatus {
  nodes: NodeStatus[]
  sources: SourceStatus[]
  /** In their order; what is above is their sum, or the least watermark. */
  subtasks: SubtaskStatus[]
  /** When it last read and put out rows, epoch ms of the machine. */
  lastInMs?: number
  lastOutMs?: number
}
export interface SourceStatus {
  table: string
  topic: string
  startup: SourceSpec['startup']
  /** Records that could not be decoded. */
  undecodedRows: number
  /** `offset` is the next to be read; `endOffset` the one that the next record gets. */
  partitions: { partition: number; offset: number; startOffset: number; endOffset: number }[]
}

/** A row that was dropped for being late, as a record's value. */
export interface LateRecord extends Lateness {
  /** A JSON object. */
  value: Uint8Array
  op: '+I' | '-U' | '+U' | '-D'
}

export type FromWorker =
  | { type: 'ready' }
  /** Changes of a query's result. `originMs`: arrival of the newest input record behind them, epoch ms. */
  | { type: 'changes'; jobId: string; queryId: string; batch: Batch; originMs?: number }
  /** A finished record batch for a topic. */
  | { type: 'records'; jobId: string; queryId: string; topic: string; partition: number; bytes: Uint8Array; recordCount: number }
  /** Follows all output of the steps before it. `tookMs`: how long the job stood still for it. */
  | { type: 'checkpoint'; jobId: string; checkpoint: JobCheckpoint; tookMs: number }
  /** Nothing has happened since the last one that is durable, or the job is not there. */
  | { type: 'checkpointUnneeded'; jobId: string; checkpointId: number }
  /** The job has its state, or that cannot be read: then it has not begun. */
  | { type: 'restored'; jobId: string; error?: ErrorBody }
  | { type: 'deadLetters'; jobId: string; letters: DeadLetter[] }
  | { type: 'late'; jobId: string; queryId: string; topic: string; rows: LateRecord[] }
  | { type: 'inspection'; requestId: number; query?: QueryInspection }
  /** Neither: the query is not there. `httpStatus`: that of the error. */
  | { type: 'stateRead'; requestId: number; reading?: StateReading; error?: ErrorBody; httpStatus?: number }
  /** A bounded job has sent all its rows. */
  | { type: 'finished'; jobId: string }
  | { type: 'failed'; jobId: string; queryId: string; error: ErrorBody }
  | {
      type: 'status'
      requestId: number
      queries: QueryStatus[]
      positions: { jobId: string; topic: string; partition: number; offset: number; endOffset: number }[]
    }
