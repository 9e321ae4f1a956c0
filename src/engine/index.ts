// Runs plans: operators, event time, state. Sees batches and watermarks; time and I/O are given to it.
export { checkpointErrors, reviveCheckpointError } from './checkpoints/errors.ts'
export type { Manifest, QueryState, SinkState, StoredPart, ViewSegment } from './checkpoints/manifest.ts'
export { type JsonMs, msOf, partKey } from './checkpoints/manifest.ts'
export { mergeCheckpoints } from './checkpoints/merge.ts'
export { readNodes, restoreOptions, verifyCheckpoint } from './checkpoints/restore.ts'
export { type PartUpdate, wholePart } from './checkpoints/stateTracker.ts'
export { CheckpointStore, type PartReader, type WriteRequest } from './checkpoints/store.ts'
export type { CheckpointWriterData, FromCheckpointWriter, ToCheckpointWriter } from './checkpoints/writer.ts'
export type { Lateness, LateSample, SampleRow } from './diagnosis.ts'
export { engineErrors } from './errors.ts'
export {
  emptyNote,
  Links,
  PARALLELISM_MAX,
  type Parallelism,
  parallelismOf,
  type RoundNote,
  Rounds,
  type SharedLinks,
  shareLinks,
} from './exchange/index.ts'
export { explainText } from './explain.ts'
export { formatValue, mayHoldUp } from './expressions/index.ts'
export { finishFiles, nextFileNumber, removeUnfinished, setAside } from './fileSink.ts'
export { Graph, type GraphHooks, identityOptions, type NodeStatus, planSignature } from './graph.ts'
export { Job, type JobCheckpoint, type JobPort } from './job.ts'
export type { JoinSideStatus, OperatorStatus } from './operator.ts'
export { rowOrder } from './operators/rows.ts'
export { parquetProblem } from './parquet.ts'
export { newProgress, type Progress, readProgress, shareProgress } from './progress.ts'
export type * from './protocol.ts'
export { type LensTable, lensFields, RecordLens, recordFields, sizeOf } from './recordLens.ts'
export { metadataTypes } from './source.ts'
export { Memory, type MemoryUse } from './spill/memory.ts'
export { removeSpilled } from './spill/spillFiles.ts'
export type { StateReading, StateRequest, StateTableInfo, StateTableReading } from './state/readState.ts'
