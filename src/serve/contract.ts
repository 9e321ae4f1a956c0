// Types of the HTTP and WebSocket API: the one file that the console and the typed client import. Types only.

export interface ApiError {
  error: {
    code: string
    message: string
    hint: string
    params?: Record<string, unknown>
    position?: { line: number; column: number; start: number; end: number }
  }
}

/** POST /v1/topics/{topic}/events: 202, or 422 if none was accepted. */
export interface IngestResponse {
  accepted: number
  offsets: { partition: number; first: number; last: number }[]
  /** The first 1,000 of them. */
  rejected: { index: number; rule: string; path: string; message: string }[]
  rejectedCount: number
}

export interface ColumnInfo {
  name: string
  /** Flink's serializable type text, NOT NULL included. */
  type: string
}

/** GET /v1/tables */
export interface TableSummary {
  name: string
  comment?: string
  columns: ColumnInfo[]
  primaryKey: string[]
  rowCount: number
  /** Changes applied since start. */
  changeCount: number
  /** Epoch ms of the newest change; absent if none. */
  updatedAtMs?: number
  subscriberCount: number
}

/** GET /v1/tables/{name}?k=v&v.gte=5&order=-n&limit=100&cursor=… ; rows are arrays in column order. */
export interface TablePage {
  columns: ColumnInfo[]
  rows: unknown[][]
  /** Cursor of the next page, null at the end. */
  next: string | null
  epoch: number
}

/** Frames of the WebSocket /v1/tables/{name}/live?resume=…&order=…&limit=…&filters */
export type LiveFrame =
  | { type: 'snapshot'; columns: ColumnInfo[]; primaryKey: string[]; rows: unknown[][]; resume: string; epoch: number }
  | {
      type: 'delta'
      changes: { op: '+I' | '-U' | '+U' | '-D'; row: unknown[] }[]
      resume: string
      epoch: number /** Server's epoch ms when sent. */
      atMs: number
    }
  | { type: 'reset'; reason: string }
  | { type: 'ping'; atMs: number }
  | ErrorFrame

/** Last frame of any live WebSocket that is refused or ended; a close with code 4000 + HTTP status follows. */
export interface ErrorFrame {
  type: 'error'
  error: ApiError['error']
}

/** GET /v1/topics */
export interface TopicSummary {
  name: string
  partitionCount: number
  recordCount: number
  sizeBytes: number
  columns: ColumnInfo[]
  config: Record<string, string | number>
}
/** GET /v1/topics/{topic}/messages?limit=50&partition=0&offset=… (newest first without offset) */
export interface TopicMessage {
  partition: number
  offset: number
  timestampMs: number
  key: string | null
  /** Parsed JSON where it is JSON, else text. */
  value: unknown
  headers: Record<string, string>
}
/** Frames of the WebSocket /v1/topics/{topic}/live: newest records, conflated to at most `rate` per second. */
export interface TopicFrame {
  type: 'messages'
  messages: TopicMessage[]
  /** Records that were left out to keep the rate. */
  skipped: number
}

/** GET /v1/health */
export interface Health {
  ready: boolean
  live: boolean
  version: string
  uptimeSeconds: number
  parts: Record<string, { state: 'ok' | 'starting' | 'degraded' | 'failed'; detail?: string }>
}

export interface LatencySummary {
  p50Ms: number
  p95Ms: number
  p99Ms: number
  count: number
}

/** GET /v1/stats and, every second, the WebSocket /v1/stats/live */
export interface Stats {
  atMs: number
  uptimeSeconds: number
  rssBytes: number
  heapBytes: number
  cpuShare: number
  version: string
  nodeVersion: string
  dataBytes: number
  eventsIn: { total: number; perSecond: number }
  rejected: { total: number; perSecond: number }
  rowsOut: { total: number; perSecond: number }
  /** From the event's arrival at the front door to the push of the row that it changed; over the last 10 s. */
  latency: LatencySummary
  queries: QuerySummary[]
  topics: { name: string; recordCount: number; perSecond: number }[]
}
export interface QuerySummary {
  id: string
  name: string
  state: 'starting' | 'running' | 'failed' | 'stopped' | 'finished'
  error?: ApiError['error']
  rowsIn: number
  rowsOut: number
  rowsInPerSecond: number
  rowsOutPerSecond: number
  lateRows: number
  /** Epoch ms of event time; absent before the first watermark. */
  watermarkMs?: number
  sql: string
}

/** GET /v1/queries/{id}/why: why a query puts out nothing, or when its next row comes. All times of events and watermarks are epoch ms. */
export interface QueryWhy {
  query: string
  state: QuerySummary['state']
  atMs: number
  /** Rows come out as they should. */
  isHealthy: boolean
  /** One sentence. */
  verdict: string
  /** What to do next. */
  next: string
  /** All that was found, the weightiest first: the verdict is the first of them. */
  findings: WhyFinding[]
  error?: ApiError['error']
  rowsIn: number
  rowsOut: number
  lateRows: number
  failedRows: number
  /** When rows last came in and went out, by the machine's clock. */
  lastInMs?: number
  lastOutMs?: number
  watermarkMs?: number
  sources: WhySource[]
  /** Open windows of all its nodes, soonest first; at most 100. */
  windows: WhyWindow[]
  nodes: WhyNode[]
}
export interface WhyFinding {
  /** Look at this, never at the text: TOPIC_EMPTY, PARTITION_SILENT, WINDOW_OPEN, ROWS_LATE, PREDICATE_DROPS, JOIN_UNMATCHED, … */
  code: string
  fact: string
  next: string
}
export interface WhySource {
  table: string
  topic: string
  recordCount: number
  /** Records that the query has still to read. */
  behind: number
  /** When the newest record was produced. */
  newestMs?: number
  /** Records that could not be decoded; they are in `<topic>.invalid`. */
  undecodedRows: number
  /** Records in `<topic>.invalid`, and the newest of them. */
  invalidCount: number
  lastInvalid?: { rule: string; path: string; message: string }
  partitions: {
    partition: number
    offset: number
    endOffset: number
    newestMs?: number
    /** Absent before its first row, or where the table has no watermark. */
    watermarkMs?: number
    isIdle: boolean
    /** The others wait for this one. */
    holdsBack: boolean
  }[]
}
export interface WhyWindow {
  node: number
  /** As the window's own time zone shows them. */
  startMs: number
  endMs: number
  /** Groups, sessions or rows that it holds. */
  rows: number
  clock: 'event' | 'processing'
  /** The watermark, or the machine's time, that closes it, and how far that is from now; `missingMs` is absent before the first watermark. */
  firesAtMs: number
  missingMs?: number
}
export interface WhyRow {
  op: '+I' | '-U' | '+U' | '-D'
  row: unknown[]
}
export interface WhyNode {
  id: number
  node: string
  /** As EXPLAIN prints it. */
  label: string
  /** Of a scan. */
  table?: string
  predicate?: string
  columns: string[]
  inputs: number[]
  rowsIn: number
  rowsOut: number
  lateRows: number
  failedRows: number
  /** Since the start of the query: time spent in this node alone, ms. */
  busyMs: number
  watermarkMs?: number
  stateRows?: number
  stateBytes?: number
  /** Recent rows that it put out. */
  samples: WhyRow[]
  /** Late rows, in the columns of its input, each with the watermark that it saw. */
  lateSamples: (WhyRow & { watermarkMs?: number; window?: { startMs: number; endMs: number } })[]
  /** Of a join: left and right, with rows that have met no partner. */
  sides?: { rows: number; unmatched: number; samples: unknown[][] }[]
}

/** GET /v1/catalog: what SQL may name. */
export interface CatalogTable {
  name: string
  kind: 'table' | 'view' | 'materialized table'
  /** Of a table that a topic holds. */
  topic?: string
  columns: ColumnInfo[]
}
/** POST /v1/sql/check {sql}: what each statement is, and what is wrong. */
export interface SqlCheck {
  statements: {
    /** query, insert, createTable, createMaterializedTable, … */
    type: string
    /** UTF-16 units from the start of the script. */
    start: number
    end: number
    name?: string
    columns?: ColumnInfo[]
    /** As EXPLAIN prints it. */
    plan?: string
  }[]
  errors: ApiError['error'][]
}
/** POST /v1/sql/complete {sql, offset} */
export interface SqlCompletion {
  label: string
  kind: 'keyword' | 'table' | 'column' | 'function'
}
/** Frames of the WebSocket /v1/sql/live, after its one message {"sql": "SELECT …"}. */
export type PreviewFrame =
  | { type: 'columns'; columns: ColumnInfo[]; changelog: 'append' | 'retract' | 'upsert'; key: string[] }
  | {
      type: 'changes'
      changes: { op: '+I' | '-U' | '+U' | '-D'; row: unknown[] }[]
      /** Changes since the start. */
      rowCount: number
      /** Left out since the frame before, to keep the rate. */
      skipped: number
      atMs: number
      isLast: boolean
    }
  | { type: 'ping'; atMs: number }
  | ErrorFrame

/** GET /v1/project/files */
export interface ProjectFile {
  /** Without its folder. */
  name: string
  text: string
  /** Changes with the text. */
  version: string
  /** Ids of the queries that it declares. */
  queries: string[]
}
/** PUT and DELETE /v1/project/files/{name}?dryRun=true: by query id. */
export interface DeployReport {
  /** Begin, or begin anew because they changed. */
  started: string[]
  kept: string[]
  stopped: string[]
  errors: { file: string; error: ApiError['error'] }[]
}
