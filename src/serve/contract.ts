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

/** GET /v1/access: who the token of a request speaks for, and so what it may do. admin may do everything. */
export interface Access {
  isTokenNeeded: boolean
  /** admin where no token is needed; null for none, or one that is unknown. */
  role: 'reader' | 'writer' | 'admin' | null
  name?: string
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
  /** How the table that declares the topic says that values are written: what bodies are that the front door takes. Absent where none does. */
  format?: 'json' | 'csv' | 'raw'
  config: Record<string, string | number>
  /** Running queries and consumer groups that read it; `lag`: records that the group furthest behind has still to read. */
  readers: { queries: number; groups: number; lag: number }
}
/** How bytes are shown: JSON as it was sent, text in UTF-8, or hexadecimal digits. */
export type Encoding = 'json' | 'text' | 'hex'
export interface TopicMessage {
  partition: number
  offset: number
  timestampMs: number
  /** Text, or hexadecimal digits where it is no UTF-8. */
  key: string | null
  /** Parsed JSON where it is JSON, else text, else hexadecimal digits; null is a tombstone, or JSON's null. */
  value: unknown
  /** What `value` is; null for a tombstone. */
  encoding: Encoding | null
  headers: Record<string, string>
  /** Bytes of key and value. */
  sizeBytes: number
  /** With `select`: values of its columns. */
  row?: unknown[]
}
/**
 * GET /v1/topics/{topic}/messages?from=newest|oldest&offset=…&time=…&partition=…&where=…&select=…&limit=50&cursor=…
 *
 * A page looks at a bounded number of records: with a filter it may be empty and yet not the last. "scanned N of M" is the sum of
 * `scanned` so far, of that and `remaining`.
 */
export interface MessagesPage {
  messages: TopicMessage[]
  /** With `select`. */
  columns?: ColumnInfo[]
  scanned: number
  remaining: number
  /** Records that the declared columns do not fit (they were looked at as text), and those for which an expression failed. */
  undecoded: number
  failed: number
  /** Goes on after the last record that was looked at; null at the end. */
  next: string | null
}

/** POST /v1/topics */
export interface NewTopic {
  name: string
  partitionCount?: number
  config?: Record<string, string | number>
}
/** PATCH /v1/topics/{topic}; null sets the default again. */
export interface TopicChange {
  partitionCount?: number
  config?: Record<string, string | number | null>
}
/** GET /v1/topics/{topic}/settings */
export interface TopicSetting {
  name: string
  value: string | number
  default: string | number
  isDefault: boolean
  description: string
}
/** GET /v1/topics/{topic}/partitions */
export interface TopicPartition {
  partition: number
  /** First offset that is kept, and the next one to be given. */
  startOffset: number
  endOffset: number
  sizeBytes: number
  segmentCount: number
  /** When its oldest and newest record were made. */
  oldestMs?: number
  newestMs?: number
}
/** GET /v1/topics/{topic}/consumers: who depends on the topic. */
export interface TopicConsumers {
  /** Tables that declare it. */
  tables: string[]
  /** Queries that write to it. */
  writers: string[]
  queries: { id: string; state: QuerySummary['state']; partitions: ConsumerPartition[]; lag: number; lagMs?: number }[]
  groups: { id: string; state: string; memberCount: number; partitions: ConsumerPartition[]; lag: number; lagMs?: number }[]
}
export interface ConsumerPartition {
  partition: number
  offset: number
  endOffset: number
  lag: number
  /** How long the oldest record that was not read has been there. */
  lagMs?: number
}

/** POST /v1/topics/{topic}/messages: records as a Kafka client would send them, past the front door's checks. */
export interface ProduceRequest {
  messages: {
    key?: string | null
    /** Text, stored as it is: JSON is sent as its text, so that no digit is lost. Null is a tombstone. */
    value: string | null
    /** Of key and value; text unless said. */
    encoding?: 'text' | 'hex' | 'base64'
    headers?: Record<string, string>
    /** By the key unless said, as Kafka's producers do; without key the next one in turn. */
    partition?: number
    timestampMs?: number
  }[]
}
export interface ProduceResponse {
  offsets: { partition: number; offset: number }[]
}

/** GET /v1/topics/{topic}/statistics?sample=100000: exact over the newest records that it says. */
export interface TopicStatistics {
  atMs: number
  /** Records that it is computed from: the newest of each partition, in all `sampled` of `total`. */
  sampled: number
  total: number
  tombstones: number
  firstMs?: number
  lastMs?: number
  keys: { withKey: number; unique: number }
  /** Of key and value together. */
  sizeBytes: SizeSummary
  /** `declared`: of the table that declares the topic. `found`: top-level members of JSON objects, most frequent first. */
  columnsFrom: 'declared' | 'found'
  columns: { name: string; type: string; nulls: number }[]
  /** Records whose value the columns do not fit: in none of the columns' counts. */
  undecoded: number
  /** How far records are behind the newest event time before them in their partition. */
  lateness?: {
    /** The event time column, or `_timestamp` where no table says. */
    column: string
    /** Records behind the declared watermark: a window may have closed without them. Absent without one. */
    behindWatermark?: number
    maxMs: number
    /** Counts of records that are late by at most `upToMs`, and more than the one before; the first is 0: in order. The last has none. */
    buckets: { upToMs: number | null; count: number }[]
    /** Records without event time. */
    without: number
  }
}
export interface SizeSummary {
  min: number
  p50: number
  p90: number
  p99: number
  max: number
  mean: number
  total: number
}

/** GET /v1/topics/{topic}/letters: what was refused for the topic, from `<topic>.invalid`, by rule. */
export interface DeadLetterGroups {
  topic: string
  /** Letters that were looked at, the newest, of all there are. */
  looked: number
  total: number
  groups: { rule: string; path: string; count: number; openCount: number; firstMs: number; lastMs: number; letters: DeadLetter[] }[]
}
export interface DeadLetter {
  partition: number
  offset: number
  timestampMs: number
  rule: string
  path: string
  message: string
  source: string
  /** The event as it came, as text; hexadecimal digits where it is no text. */
  value: string
  encoding: 'text' | 'hex'
  /** Bytes it had; more than are kept of a very long one. */
  length: number
  /** When it was sent again with success. */
  repairedMs?: number
}
/** POST /v1/topics/{topic}/check: what the front door would say, storing nothing. */
export type CheckResponse = Pick<IngestResponse, 'accepted' | 'rejected' | 'rejectedCount'>

/**
 * What people look for again and again, by name: GET, PUT and DELETE /v1/filters. Those of `millrace.config.ts` are there for everybody, and are changed
 * there.
 */
export interface SavedFilter {
  /** Records of a topic, its dead letters, or late rows of a query. */
  on: 'messages' | 'letters' | 'late'
  /** The topic, or the id of the query. */
  subject: string
  name: string
  /** A condition in SQL; of late rows text that they contain. */
  where: string
  /** It applies where nobody has said another. At most one of each subject. */
  isDefault: boolean
  /** In `millrace.config.ts`. */
  isDeclared: boolean
}
/** As it stands in `millrace.config.ts`. */
export type DeclaredFilter = Omit<SavedFilter, 'isDeclared' | 'isDefault'> & { isDefault?: boolean }

/** GET /v1/groups. Without a Kafka port there are none. */
export interface GroupList {
  kafkaPort: number | null
  groups: GroupSummary[]
}
export interface GroupSummary {
  id: string
  /** Kafka's names: Empty, PreparingRebalance, CompletingRebalance, Stable, Assigning, Reconciling, Dead. */
  state: string
  type: 'classic' | 'consumer'
  protocolType: string
  memberCount: number
  topics: string[]
  /** Records of all partitions that are not read yet. */
  lag: number
  /** How long the oldest of them has been there; absent where nothing is left to read. */
  lagMs?: number
}
/** GET /v1/groups/{group} */
export interface GroupDetail extends GroupSummary {
  members: GroupMember[]
  partitions: GroupPartition[]
}
export interface GroupMember {
  id: string
  instanceId?: string
  clientId: string
  host: string
  /** Empty while the group rebalances. */
  assigned: { topic: string; partition: number }[]
}
export interface GroupPartition {
  topic: string
  partition: number
  /** The next record to be read; absent before the first commit. */
  offset?: number
  startOffset: number
  endOffset: number
  /** Absent before the first commit. */
  lag?: number
  lagMs?: number
  committedMs?: number
  metadata?: string
  memberId?: string
}
/** POST /v1/groups/{group}/reset: where the group goes on. A dry run unless `execute`. */
export interface ResetRequest {
  /** `time`: the first record at or after it; epoch ms, or ISO 8601. `shiftBy`: from the committed offset, back if negative. */
  to: 'earliest' | 'latest' | { offset: number } | { time: string } | { shiftBy: number }
  /** All topics with committed offsets unless said. */
  topics?: string[]
  /** Of those topics; all unless said. */
  partitions?: number[]
  execute?: boolean
}
export interface ResetPlan {
  group: string
  executed: boolean
  partitions: {
    topic: string
    partition: number
    /** Absent before the first commit. */
    from?: number
    to: number
    startOffset: number
    endOffset: number
    /** Records that are read again (negative) or skipped. */
    change: number
    /** The target was outside of what the partition holds. */
    isClamped: boolean
  }[]
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

/** One backup in a folder of them. */
export interface BackupInfo {
  id: string
  createdMs: number
  sizeBytes: number
  copiedBytes: number
  files: number
  damaged: string[]
}
export interface BackupRun {
  state: 'running' | 'done' | 'failed'
  folder: string
  startedMs: number
  doneBytes: number
  totalBytes: number
  backup?: BackupInfo
  removed?: string[]
  error?: { code: string; message: string; hint: string }
}
/** `GET /v1/backups`. */
export interface BackupStatus {
  /** What a backup is of, on the machine of the server. */
  dataFolder: string
  folder?: string
  everyMinutes?: number
  keep?: number
  nextMs?: number
  run?: BackupRun
  backups: BackupInfo[]
}

export interface LatencySummary {
  p50Ms: number
  p95Ms: number
  p99Ms: number
  count: number
}

/** One of the threads that run a query. Times are since its start, in ms, as Flink names them: who is back-pressured waits for others to take what it has. */
export interface WhySubtask {
  subtask: number
  rowsIn: number
  rowsOut: number
  lateRows: number
  watermarkMs?: number
  stateRows: number
  stateBytes: number
  busyMs: number
  backPressuredMs: number
  idleMs: number
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
  /** What the disk of the data folder has left; absent where that is not known. */
  diskFreeBytes?: number
  /** The budget for state, live tables and buffers (`--memory`), and what is in it; state beyond it is on the disk. */
  memory: { limitBytes: number; stateBytes: number; otherBytes: number; spilledBytes: number }
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
  /** Rows that could not be read or computed. */
  failedRows: number
  /** Epoch ms of event time; absent before the first watermark. */
  watermarkMs?: number
  /** In how many threads it runs. */
  parallelism: number
  /** What its operators hold in memory. */
  stateBytes: number
  /** Of its threads, since they began: Flink's busy, back-pressured and idle time. */
  spentMs: { busy: number; backPressured: number; idle: number }
  /** How often it was begun again after a failure. */
  restarts: number
  /** When its newest completed checkpoint of this run was begun, in epoch ms. */
  checkpointMs?: number
  /** How many things of its statement and the tables that it reads Flink would refuse or do otherwise: GET /v1/queries/{id}/parity has them. */
  parityMarks: number
  /** Where its rows go: a live table, a topic, the folder of files, or what its connector is called. */
  target: { kind: 'table' | 'topic' | 'files' | 'other'; name: string }
  /** Of those that it reads or writes to: dropped in the project since; it goes on with them as they were. */
  droppedTables: string[]
  /** Its engine thread does not get on: for how long, and where that is known, by which query and in which function. */
  heldUp?: { seconds: number; query?: string; function?: string }
  sql: string
}

/** GET /v1/queries/{id}/parity: what Flink would refuse or do otherwise, as far as the texts of the project show it. */
export interface QueryParity {
  query: string
  marks: {
    message: string
    /** What to write so that both do the same. */
    hint: string
    file: string
    /** What the statement declares. */
    subject: string
    position: NonNullable<ApiError['error']['position']>
  }[]
}

/** Where the value of a setting comes from: of what stands in a file its place, of a flag, a variable or a command its name. */
export interface SettingSource {
  kind: 'default' | 'SET' | 'WITH' | 'ALTER TABLE' | 'hint' | 'config file' | 'environment' | 'flag' | 'by hand'
  file?: string
  line?: number
  column?: number
  name?: string
}
/** GET /v1/queries/{id}/config */
export interface QueryConfig {
  query: string
  /** Where its statement begins. */
  file: string
  line: number
  column: number
  sql: string
  /** In how many threads it runs. `reason`: why it cannot be more than one. */
  parallelism: { subtasks: number; reason?: string }
  /** What it reads, writes to and calls, through views too. */
  declared: {
    kind: 'table' | 'view' | 'materialized table' | 'function'
    name: string
    file: string
    line: number
    column: number
    sql: string
  }[]
  /** Functions of Flink's that it calls. */
  builtIns: string[]
  settings: {
    name: string
    /** Whose option it is; absent for what holds for the query. */
    table?: string
    /** In force now. */
    value: string
    /** Absent where without it nothing is said. */
    default?: string
    source: SettingSource
    /**
     * What a change does. at once: taken up while it runs. restart: it goes on from a checkpoint, with its state. new plan: a table is computed anew, an INSERT
     * goes on with the state that fits. at its beginning: it counts where the query begins without state. nothing: it has no effect here.
     */
    change: 'at once' | 'restart' | 'new plan' | 'at its beginning' | 'nothing'
    note?: string
  }[]
}
/** GET /v1/config: for admins. */
export interface ProcessSetting {
  /** In millrace.config.ts. */
  name: string
  value: string
  default?: string
  source: SettingSource
  flag?: string
  /** Of the environment. */
  variable?: string
  description: string
}

/** GET /v1/stats/history?since=1h&until=… and GET /v1/queries/{id}/stats/history: figures over time, since the process began and for at most a week. */
export interface StatsHistory {
  /** Starts of the steps, ascending, without a gap. */
  timesMs: number[]
  stepMs: number
  /** The first moment that there is anything of. */
  oldestMs: number
  /** By figure, whose name ends in its unit: the mean of each step, of latencies the highest; null where nothing was measured. */
  series: Record<string, (number | null)[]>
}

/** What is used, and when it is full at the growth of the last while. */
export interface Forecast {
  usedBytes: number
  /** Absent where it is not known. */
  limitBytes?: number
  /** Over the last `overMs`; 0 where it is steady. Absent where it was watched too short to say. */
  bytesPerHour?: number
  overMs?: number
  /** Epoch ms; absent where it does not grow, or not within a year. */
  fullAtMs?: number
}
/** GET /v1/forecast */
export interface Forecasts {
  atMs: number
  /** State, live tables and buffers against the budget: state beyond it goes to the disk, which is slower. */
  memory: Forecast
  /** The data folder's disk: without space nothing more is taken. */
  disk: Forecast
  /** State in memory of each query; what it may grow into is shared, the limit is what is free beside it. */
  queries: ({ id: string } & Forecast)[]
}

/** GET /v1/lineage: what comes from where. A query over a live table computes that table's rows itself, so it comes from the table's topics. */
export interface Lineage {
  nodes: {
    /** `kind/name` */
    id: string
    kind: 'topic' | 'query' | 'table' | 'group' | 'files' | 'other'
    name: string
    /** Of a query. */
    state?: QuerySummary['state']
    /** Of a live table: when its newest change came; absent if none did. */
    newestMs?: number
  }[]
  /** `perSecond`: rows of the query at one of its ends; of a topic and a group, what the topic takes. */
  edges: { from: string; to: string; perSecond: number }[]
}

/** GET /v1/attention: what a person should look at, the most urgent first. */
export interface AttentionItem {
  /** Look at this, never at the text: QUERY_FAILED, QUERY_STALLED, CHECKPOINT_FAILED, LETTERS_OPEN, GROUP_BEHIND, MEMORY_NEAR, DISK_NEAR, PART_FAILED. */
  code: string
  tone: 'bad' | 'warn'
  subject: { kind: 'query' | 'topic' | 'group' | 'part'; name: string }
  fact: string
  next: string
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
  /** In how many threads it runs. `reason`: why in one, where more were wanted. */
  parallelism: { subtasks: number; reason?: string }
  subtasks: WhySubtask[]
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
  /** Records behind those, which wait for a transaction to be committed or aborted. */
  undecided: number
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
  /** State that is on the disk, as it did not fit into memory. */
  spilledBytes?: number
  /** Rows that wait for state on the disk. */
  waitingRows?: number
  /** Recent rows that it put out. */
  samples: WhyRow[]
  /** Late rows, in the columns of its input, each with the watermark that it saw. */
  lateSamples: (WhyRow & { watermarkMs?: number; window?: { startMs: number; endMs: number } })[]
  /** Of a join: left and right, with rows that have met no partner. */
  sides?: { rows: number; unmatched: number; samples: unknown[][] }[]
}

/** GET /v1/queries/{id}/state: what its operators remember. */
export interface QueryState {
  query: string
  atMs: number
  /** In memory, and on the disk. */
  stateBytes: number
  spilledBytes: number
  /** For state, live tables and buffers of the whole process. */
  budget: { limitBytes: number; usedBytes: number }
  /** Those that remember something; empty for a query that looks at one row at a time. */
  operators: StateOperator[]
}
export interface StateOperator {
  /** Of its node, as in the query's graph. */
  id: number
  node: string
  label: string
  /** Groups, or rows, that it holds. */
  stateRows: number
  stateBytes: number
  spilledBytes: number
  /** Rows that wait for state on the disk: what is shown does not have them yet. */
  waitingRows: number
  /** Rows that have come to it. */
  rowsIn: number
  /** The event time that it has come to. */
  watermarkMs?: number
  tables: StateTable[]
}
export interface StateTable {
  name: string
  /** Why it is still there. `text` says it in words; `ttlMs`: its time to live. */
  kept: { by: 'ttl' | 'eventTime' | 'clock' | 'query'; text: string; ttlMs?: number }
  key: ColumnInfo[]
  value: ColumnInfo[]
}
/** GET /v1/queries/{id}/state/{operator}?key=…&limit=… */
export interface OperatorState {
  query: string
  atMs: number
  operator: StateOperator
  /** False: nothing indexes the key, and there was more to look through than one look-up may. */
  isComplete: boolean
  /** With a key, those that have such a key. */
  tables: StateEntries[]
}
export interface StateEntries extends StateTable {
  /** Keys that it has; absent where counting them would take all of the disk, and of a look-up. `isAbout`: some hold nothing any more. */
  keyCount?: number
  isAbout?: true
  entries: {
    key: unknown[]
    /** The first of them. `untilMs`: when the row is forgotten if nothing more comes, by the time that `kept.by` names. */
    rows: { values: unknown[]; untilMs?: number }[]
    /** Absent where they are too many to count. */
    rowCount?: number
  }[]
}

/** GET /v1/catalog: what SQL may name. */
export interface CatalogTable {
  name: string
  kind: 'table' | 'view' | 'materialized table'
  /** Of a table that a topic holds. */
  topic?: string
  columns: (ColumnInfo & { quoted?: string })[]
  /** The name as SQL takes it, where that needs backquotes. */
  quoted?: string
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
  /** What Flink would refuse or do otherwise, as far as the text shows it. */
  marks: { message: string; hint: string; position: NonNullable<ApiError['error']['position']> }[]
}
/** Part of POST /v1/sql and POST /v1/project/tests/{name}/draft: which records of the topics are read. */
export interface SqlSlice {
  since?: string
  until?: string
  partition?: number
  offset?: number
  endOffset?: number
  newest?: number
}
/** GET /v1/project/tests */
export interface ProjectTest {
  name: string
  text: string
  version: string
  /** The first line of the file. */
  summary: string
  /** Queries of the project whose results it expects. */
  queries: string[]
}
/** POST /v1/project/tests/{name}/run: played as `millrace test` does. */
export interface TestRun {
  passed: boolean
  seconds: number
  /** Modes that differ alike, and how: a line that begins with - is expected, one with + came. */
  problems: { modes: string[]; lines: string[] }[]
  /** The file or its SQL is wrong: nothing was played. */
  error?: ApiError['error']
}
/** POST /v1/sql/complete {sql, offset} */
export interface SqlCompletions {
  /** Where what they stand for begins, in UTF-16 units: a word, or the quote before it. */
  start: number
  items: SqlCompletion[]
}
export interface SqlCompletion {
  label: string
  kind: 'keyword' | 'table' | 'column' | 'function' | 'type' | 'option' | 'value'
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
  /** Of those started: which go on from state that they had, and from which checkpoint. */
  restored: { query: string; checkpointId: number }[]
  /** What became of state that does not fit, in words. */
  notices: string[]
  errors: { file: string; error: ApiError['error'] }[]
}

/** POST /v1/queries/diff {file, sql, since}: a changed query beside the one that runs, over the same slice of the log. */
export interface ScriptDiff {
  sinceMs: number
  untilMs: number
  /** Records that both have read. */
  records: number
  queries: QueryDiff[]
}
export interface QueryDiff {
  query: string
  state: 'changed' | 'new' | 'same plan'
  columns: ColumnInfo[]
  /** Of the query that runs. */
  oldColumns: ColumnInfo[]
  /** Names of columns by which rows are matched; empty where they are compared as a whole. */
  key: string[]
  counts: { old: number; new: number; same: number; changed: number; onlyOld: number; onlyNew: number }
  /** Up to 100 of each. */
  changed: { key: unknown[]; before: unknown[]; after: unknown[] }[]
  onlyOld: unknown[][]
  onlyNew: unknown[][]
  /** The first record with which the results differ; without it, and with all before it, they are the same. */
  first?: { topic: string; partition: number; offset: number; timestampMs: number; key: string | null; value: string | null }
}

/** POST /v1/queries/forecast {file, sql, since}: the state that the queries of a changed file would hold, measured over a slice of the log. */
export interface StateForecast {
  /** Of the records that were read, epoch ms; 0 if there is none. */
  firstMs: number
  lastMs: number
  records: number
  /** Those whose plan is new: the others go on with the state that they have. */
  queries: {
    query: string
    state: 'changed' | 'new'
    /** Fewer than `records` where it took too long. */
    recordsRead: number
    stateRows: number
    stateBytes: number
    /** 0 where it is steady; absent where the time is too short to say. */
    bytesPerHour?: number
    /** Operators that hold something, the largest first. */
    operators: { label: string; stateRows: number; stateBytes: number }[]
  }[]
}

/** GET /v1/queries/{id}/checkpoints */
export interface QueryCheckpoints {
  query: string
  /** Of the folder of its checkpoints. */
  job?: string
  intervalMs?: number
  /** The checkpoint from which it went on when it started. */
  restoredFrom?: number
  /** Newest first. */
  checkpoints: {
    id: number
    cause: 'interval' | 'read' | 'savepoint' | 'change' | 'stop'
    state: 'running' | 'completed' | 'failed'
    startedMs: number
    /** Until its output was visible. */
    durationMs?: number
    /** How long the queries stood still for it. */
    stallMs?: number
    fullBytes?: number
    writtenBytes?: number
    error?: ApiError['error']
  }[]
}
/** One text that a query has had. */
export interface QueryVersion {
  version: number
  atMs: number
  /** Who or what deployed it; absent where that was not known yet. */
  by?: string
  file: string
  sql: string
  isCurrent: boolean
}
/** GET /v1/deploys: texts that queries began to run with, of all queries, the newest first. */
export interface Deploy {
  query: string
  /** The first is 1. */
  version: number
  atMs: number
  by?: string
  file: string
  isCurrent: boolean
  /** Against the version before. */
  linesAdded: number
  linesRemoved: number
}
/** GET /v1/queries/{id}/history */
export interface QueryHistory {
  query: string
  /** Newest first, as are the events. */
  versions: QueryVersion[]
  events: /** `by`: who or what it was; of those that began again by themselves, and of old ones, absent. */
  (
    | { kind: 'started'; atMs: number; by?: string; version: number; checkpointId?: number }
    | { kind: 'stopped'; atMs: number; by?: string }
    | { kind: 'failed'; atMs: number; error: ApiError['error'] }
  )[]
}
/** GET /v1/savepoints */
export interface SavepointInfo {
  name: string
  createdMs: number
  bytes: number
  queries: string[]
}

/** GET /v1/verify/exactly-once */
export interface CrashTest {
  state: 'none' | 'running' | 'done' | 'failed'
  /** How far it is; the last ones say why it failed. */
  lines: string[]
  startedMs?: number
  certificate?: {
    pipeline: string
    isExactlyOnce: boolean
    millrace: string
    node: string
    startedAt: string
    seconds: number
    seed: number
    /** By topic. */
    events: Record<string, number>
    /** How many of them the front door refused and kept as dead letters: no result has them. By topic; absent: none. */
    refused: Record<string, number>
    kills: { cause: string; afterBatches: number; restored: boolean }[]
    /** Rows without a crash and with crashes; how many are missing or too much, and up to 20 of each; a hash of all. */
    results: {
      name: string
      kind: string
      rows: number
      rowsWithCrashes: number
      missingCount: number
      extraCount: number
      missing: string[]
      extra: string[]
      sha256: string
      /** Why it differs, where something else than a crash is known to do so. */
      note?: string
    }[]
  }
}
