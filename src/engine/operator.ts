// What an operator is: batches and watermarks in, batches out, state that can be saved. Nothing else: no clock, no I/O, no randomness.
//
// The runtime (`job.ts`) calls, for one input after another and never re-entrantly:
//   process(batch, input)   rows; `batch.watermarksBefore` says what each saw, `batch.watermarkAfter` is NOT yet in force for the operator
//   advance(watermarkMs)    the operator's watermark (minimum over its inputs) has grown; `Infinity` at the end of bounded input
//   tick(nowMs)             processing time has passed; only operators on processing time need it
// Output goes to `emit`, at any time within these calls. The runtime forwards the watermark to the next operator after `advance` returns.
import type { Batch, BatchMemory, Column, Field, SqlType } from '../data/index.ts'
import type { StatePart, StateTable } from './state/stateTable.ts'

export type Emit = (batch: Batch) => void

/** Sends keys to parts by their hash: equal keys, of whatever operator, to the same. */
export interface Division {
  /** For each part its rows of these key columns, ascending: columns that stand for those of `requirementsOf`, in that order. */
  rows(columns: readonly Column[], types: readonly SqlType[], count: number): (part: number) => Int32Array
}

/** Divides by some of the key columns alone: those at `places`, in that order. */
export const dividedBy = ({ rows }: Division, places: readonly number[]): Division => ({
  rows: (columns, types, count) =>
    rows(
      places.map((at) => columns[at]),
      places.map((at) => types[at]),
      count,
    ),
})

export interface Operator {
  process(batch: Batch, input: number): void
  advance(watermarkMs: number): void
  tick?(nowMs: number): void
  /** All that a restart needs, structured-clonable (typed arrays, Maps, bigints). The shape is the operator's own and part of the checkpoint format. */
  snapshot?(): unknown
  /**
   * Called before anything else, with what `snapshot` gave, or a part of `divide`.
   *
   * @param adds  there is state from an earlier call, of other keys: this comes beside it, and of the event times that they had come to the
   *              least counts
   */
  restore?(state: unknown, adds?: boolean): void
  /**
   * Its state in parts by key, each as `snapshot` would give it for the rows of these keys; made when asked for, and good until the next
   * call. The operator itself is not used any more afterwards. Absent: all rows meet in one subtask, and in one part.
   */
  divide?(division: Division): (part: number) => unknown
  /** No `advance` or `tick` to an earlier time has anything to do: event time or processing time, as its windows go by. Absent: its state cannot leave memory. */
  nextDueMs?(): number
  /** It tells the next operators itself how far event time has come, later than `advance`. */
  readonly forwardsWatermark?: boolean
  /** What it gives out may be so much older than the watermark: the next operators are told of one that is so much less. */
  readonly watermarkDelayMs?: number
  /** Nothing comes any more. */
  close?(): void
  /** When will something happen without further rows: shown by `why`. */
  describe?(): OperatorStatus
  /** Joins: left and right. It may walk all state: called only when somebody asks `why`. */
  joinSides?(): JoinSideStatus[]
  /** What it remembers, for people to read: see `state/stateTable.ts`. */
  stateTables?(): StateTable[]
  /** The same where it is in parts, of which some may be on the disk; undefined while it is in one. */
  stateParts?(): StatePart[] | undefined
}

export interface JoinSideStatus {
  /** Rows held now. */
  rows: number
  /** Rows that have met no partner: of those held, and where rows leave, of those that left since the start. */
  unmatched: number
  /** Some of the unmatched rows. */
  samples: unknown[][]
}
/** How many rows `why` shows of each kind. */
export const SAMPLES_MAX = 3

export interface OperatorStatus {
  stateRows?: number
  stateBytes?: number
  /** Of these rows' state, what is on the disk. */
  spilledBytes?: number
  /** Rows that wait for state on the disk; absent while all of it is in memory. */
  waitingRows?: number
  /** Open windows, soonest first: limits as the window's zone shows them, groups or rows held, and the watermark (or processing time) that closes it. */
  openWindows?: { startMs: number; endMs: number; rows: number; firesAtMs: number }[]
}

/** What an operator may ask of the runtime; counters are named in Prometheus style without prefix: `late_rows`. */
export interface OperatorContext {
  emit: Emit
  /** For batches and notes that live no longer than the call of `process` in work. */
  memory: BatchMemory
  count(counter: string, n?: number): void
  /** A row that is dropped for being late: counted, sampled and, if asked, routed. `rows` are ordinals into `batch`, whose columns are `fields`, or those of the first input. */
  late(batch: Batch, rows: number[], fields?: Field[]): void
  /** A row whose expression failed (cast, division by zero). Throws in mode 'fail'; else the row is kept as a dead letter and the rest goes on. */
  rowFailed(batch: Batch, row: number, error: Error, fields?: Field[]): void
  inputFields: Field[][]
  outputFields: Field[]
}
