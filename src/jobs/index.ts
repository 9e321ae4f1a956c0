// Projects and their running queries: SQL files in, jobs on worker threads, live tables and topics out.

export type { StateReading, StateRequest } from '../engine/index.ts'
export { type AdhocStatement, adhocSlices, changesOf, prepareAdhoc, rowText, runBounded, startPreview } from './adhoc.ts'
export { type DiffOptions, diffScript, type QueryDiff, type ScriptDiff } from './diff.ts'
export { jobErrors } from './errors.ts'
export { type ApplyReport, type Cause, JobManager } from './manager.ts'
export { Marks } from './marks.ts'
export type { ParityMark } from './parity.ts'
export {
  bindProject,
  type FileError,
  functionFilesOf,
  type Project,
  type ProjectQuery,
  projectFolder,
  readProjectFiles,
  type SqlFile,
  tableErrors,
} from './project.ts'
export type { QueryConfig, SettingSource } from './queryConfig.ts'
export type { LiveTables } from './querySinks.ts'
export { recordShapeOf, sourceParts } from './recordShape.ts'
export { type BoundRecordQuery, type BoundStatistics, bindRecordQuery, bindStatistics, type RecordQuery } from './records.ts'
export { heldUpError, type QueryCheckpoints, type QueryInsight } from './runningQueries.ts'
export { type SavepointInfo, savepointInfo } from './savedStates.ts'
export type { SliceOptions } from './slices.ts'
export { forecastState, type StateForecast } from './stateForecast.ts'
export { scannedTables, topicOf } from './tables.ts'
export { LOOK_MS, ThreadWatch } from './threadWatch.ts'
export { hasUnendedThreads } from './workers.ts'
