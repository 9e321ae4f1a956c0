// What the API needs of the rest: wired by the application, so that this folder knows no engine and no files.
import type {
  BoundRecordQuery,
  BoundStatistics,
  DiffOptions,
  QueryCheckpoints,
  QueryConfig,
  QueryInsight,
  RecordQuery,
  SavepointInfo,
  ScriptDiff,
  StateForecast,
  StateReading,
  StateRequest,
} from '../jobs/index.ts'
import type { Log } from '../log/index.ts'
import type { ViewStore } from '../views/index.ts'
import type {
  BackupRun,
  BackupStatus,
  CheckResponse,
  ColumnInfo,
  CrashTest,
  Deploy,
  Health,
  ProcessSetting,
  QueryHistory,
  QueryParity,
  QuerySummary,
  TopicSummary,
} from './contract.ts'
import type { SavedFilters } from './filters.ts'
import type { ConsumerGroups } from './groupsContract.ts'
import type { KafkaUsers } from './kafkaUsers.ts'
import type { ProjectTests } from './projectTests.ts'
import type { RunSql } from './sql.ts'
import type { StatsCollector } from './stats.ts'
import type { Workspace } from './workspace.ts'

export interface ServeDeps {
  views: ViewStore
  log: Pick<Log, 'topics' | 'topic' | 'readMessages' | 'descriptor' | 'createTopic' | 'alterTopic' | 'deleteTopic' | 'appendRecords'>
  /** Columns of the table that declares the topic; empty if none does. */
  topicColumns(topic: string): ColumnInfo[]
  /** How that table says that values are written. */
  topicFormat(topic: string): TopicSummary['format']
  /** Who of the project depends on a topic: tables that declare it; running queries that read it or write to it. */
  topicUsers(topic: string): { tables: string[]; readers: string[]; writers: string[] }
  /** A filter and a select list over a topic's records. @throws StreamError with a position in the text that is wrong */
  bindRecords(topic: string, query: RecordQuery): BoundRecordQuery
  /** What statistics of a topic are computed from. */
  bindStatistics(topic: string): BoundStatistics
  queries(): QuerySummary[]
  /** By the id of a query, or the table that it writes to; each gives the id, undefined if there is none. `by`: who asks for it. */
  control: {
    stop(name: string, by: string): Promise<string | undefined>
    start(name: string, withoutState: boolean, by: string): Promise<string | undefined>
    /** @param parallelism  undefined: as the project says */
    rescale(name: string, parallelism: number | undefined, by: string): Promise<string | undefined>
  }
  /** The file of the project that drops a table. */
  droppedIn(name: string): string | undefined
  /** Of each query: where its rows come from. */
  sourcesOf(): ReadonlyMap<string, { kind: 'table' | 'topic' | 'files' | 'other'; name: string }[]>
  /** A query looked at closely, by its id or the table that it writes to. */
  inspectQuery(name: string): Promise<QueryInsight | undefined>
  /** What an operator of a running query remembers, by the query's id; undefined if its worker does not answer. */
  readState(id: string, request: StateRequest): Promise<StateReading | undefined>
  /** What of a query Flink would refuse or do otherwise, by its id or the table that it writes to. */
  parityOf(name: string): QueryParity | undefined
  /** What a query is, and its settings, by its id or the table that it writes to. */
  configOf(name: string): QueryConfig | undefined
  processConfig(): ProcessSetting[]
  /** Consumer groups, as they are now; undefined where no Kafka client can connect. */
  groups(): Promise<ConsumerGroups | undefined>
  /** Who may log in to the Kafka port; undefined where there is none. */
  kafkaUsers(): KafkaUsers | undefined
  /** The front door, for events that were refused there and are sent again. */
  door: {
    /** What it would say of a body; nothing is stored. */
    check(topic: string, body: Uint8Array): Promise<CheckResponse>
    /** As POST …/events: `text` is its answer. */
    accept(topic: string, body: Uint8Array, client: string): Promise<{ status: number; text: string }>
  }
  /** Writes a line to the process's log that is there whatever the log's level is. */
  audit(line: Record<string, unknown>): void
  checkpoints: CheckpointsApi
  /** Also of queries that do not run any more. */
  history: {
    /** By the id of a query, or the table that it writes to. */
    ofQuery(name: string): Promise<QueryHistory | undefined>
    deploys(countMax: number): Promise<Deploy[]>
    fileOf(query: string, version: number): Promise<{ file: string; text: string } | undefined>
  }
  /** Of the data folder; undefined where there is none. */
  backups?: { status(): BackupStatus; start(folder?: string, keep?: number): BackupRun }
  filters: SavedFilters
  health(): Health
  stats: StatsCollector
  runSql: RunSql
  workspace: Workspace
  diffScript(file: string, sql: string, options: DiffOptions): Promise<ScriptDiff>
  forecastState(file: string, sql: string, options: Pick<DiffOptions, 'sinceMs' | 'signal' | 'mayRunFiles'>): Promise<StateForecast>
  /** Of the project; undefined where there is none. */
  crashTests?: { status(): CrashTest; start(kills: number): CrashTest }
  /** Golden files of the project; undefined where nothing may be edited. */
  projectTests?: ProjectTests
  /** For openapi.json. */
  version: string
}

/** Checkpoints and savepoints, as the API shows them. */
export interface CheckpointsApi {
  /** By the id of a query, or the table that it writes to. */
  ofQuery(name: string): QueryCheckpoints | undefined
  /** @throws StreamError SAVEPOINT_NAME_INVALID, SAVEPOINT_EXISTS, CHECKPOINT_FAILED */
  createSavepoint(name: string): Promise<SavepointInfo>
  savepoints(): SavepointInfo[]
  /** @throws StreamError SAVEPOINT_NOT_FOUND */
  deleteSavepoint(name: string): Promise<void>
  /** What `read` gives for a live table at its next checkpoint, once that is durable. @throws the reason why there is none */
  atNextCheckpoint<T>(table: string, read: () => T): Promise<T>
}
