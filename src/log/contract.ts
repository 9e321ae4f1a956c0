// The log's interface: what the front door, the engine and the Kafka protocol use. It has two implementations: our own files (`openLog`) and a
// real Kafka (`openKafkaLog`). log/contractSuite.ts holds what both must do.
//
// A record's bytes are those of Kafka's record batch v2, on disk and everywhere else.
import type { StreamError } from '../base/index.ts'
import type { PinnedLog } from './pin.ts'

export interface TopicConfig {
  partitionCount: number
  /** Kafka's meaning; -1 is no limit. */
  'retention.ms': number
  'retention.bytes': number
  'segment.bytes': number
  'segment.ms': number
  /** `compact` keeps the newest record of each key: see compaction.ts. */
  'cleanup.policy': 'delete' | 'compact' | 'compact,delete'
  'max.message.bytes': number
  /** `producer`: batches are kept as their producer compressed them; any other: what comes otherwise is compressed again. */
  'compression.type': 'producer' | 'uncompressed' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
  /** LogAppendTime: the log's clock stands in for the producer's. */
  'message.timestamp.type': 'CreateTime' | 'LogAppendTime'
  /** How far the timestamp of a foreign record may be from the log's clock. */
  'message.timestamp.before.max.ms': number
  'message.timestamp.after.max.ms': number
  /** How long a deletion stays readable after older records of its key are gone. */
  'delete.retention.ms': number
  /** A record is not compacted away before this age, and compaction does not wait longer than that one. */
  'min.compaction.lag.ms': number
  'max.compaction.lag.ms': number
  /** Compaction begins when this share of the bytes was not compacted yet. */
  'min.cleanable.dirty.ratio': number
  /**
   * What Kafka clients have set, as they wrote it: settings that the log has no use for, and those that are what they are by default anyway.
   * Kept for those who ask for what they set; the log looks at none of it.
   */
  clientSettings?: Readonly<Record<string, string>>
  /** The settings that the topic was given; all others are the log's defaults, whatever those become. Missing where a real Kafka keeps them. */
  own?: readonly string[]
}
/** What topics have that were not given it. */
export type TopicDefaults = Partial<Omit<TopicConfig, 'partitionCount' | 'clientSettings' | 'own'>>
export interface TopicInfo {
  name: string
  id: string
  config: TopicConfig
  partitions: PartitionInfo[]
}
export interface PartitionInfo {
  partition: number
  startOffset: number
  /** The next offset to be given; everything below it is durable. */
  endOffset: number
  /** The end for readers of committed records: where the first open transaction begins, else `endOffset`. */
  lastStableOffset: number
  sizeBytes: number
}

/** Kafka's `isolation.level`: whether a reader gets records of open and aborted transactions. Control records it never gets. */
export type Isolation = 'read_committed' | 'read_uncommitted'

/** One record to append. Value and key are bytes as they will be stored; null is Kafka's null. */
export interface RecordInput {
  key: Uint8Array | null
  value: Uint8Array | null
  headers?: [name: string, value: Uint8Array | null][]
  /** Epoch ms, CreateTime. */
  timestampMs: number
}

export interface AppendResult {
  partition: number
  /** Offsets of the first and last record of the batch. */
  first: number
  last: number
  /** The time that the log gave the batch, epoch ms; absent where the producer's counts. */
  logAppendTimeMs?: number
}

/** A record as read back. */
export interface LogRecord extends RecordInput {
  offset: number
  headers: [name: string, value: Uint8Array | null][]
}

/** `fsync`: an acknowledgement means on disk. `os`: it means handed to the operating system, as Kafka does by default. */
export type Durability = 'fsync' | 'os'

export interface LogLimits {
  /** Appends above it are refused with LOG_OVERLOADED. */
  pendingBytesMax: number
  /** Pause between looks for segments that retention lets go. */
  retentionCheckMs: number
  /** Pause between looks for partitions that need compaction. */
  compactionCheckMs: number
  /** Keys that one compaction keeps in memory, 24 to 64 bytes each; a partition with more is compacted in several rounds. */
  compactionKeysMax: number
}

/** What is used of Node's MessagePort: the package's types name none of Node's. */
export interface HostPort {
  postMessage(message: unknown): void
  // biome-ignore lint/suspicious/noExplicitAny: as Node has it
  on(event: 'message', listener: (message: any) => void): unknown
}

export interface LogOptions {
  /** The data folder; made if it is missing. */
  folder: string
  durability?: Durability
  limits?: Partial<LogLimits>
  /** Wall clock, epoch ms; used for retention and segment.ms. */
  clock?: () => number
  /** Who is to run in the thread of the log's writer: the module that starts both there (see `openWriter`), and the port that it is given. */
  host?: { thread: URL; port: HostPort }
}

/** What opening the log found and did about it. Empty after a clean stop. */
export interface RecoveryReport {
  topic: string
  partition: number
  path: string
  /**
   * `cut`: a torn tail was taken off. `damaged`: records that were acknowledged cannot be read. `mended`: metadata was made again from its
   * copy (partition -1), or a transaction that had lost its end marker was ended.
   */
  kind: 'cut' | 'damaged' | 'mended'
  cutBytes: number
  /** Where the good bytes end, and the first offset behind them. */
  position: number
  offset: number
  reason: string
}

export interface LogStats {
  pendingBytes: number
  /** Bytes of all topics on disk. */
  sizeBytes: number
  /** Syncs of the disk so far; how long they took in ms, over the last 1,024. */
  syncCount: number
  syncMsP50: number
  syncMsP99: number
  /** Torn bytes cut off when the log was opened. */
  cutBytes: number
  recovery: RecoveryReport[]
  /** The thread that writes: why it stopped, and for how long it has given no sign while the main thread ran. Missing where the log is not ours. */
  writer?: { stopped: StreamError | undefined; silentMs: number }
  /** Where the newest append met trouble of the disk; one that succeeds ends it. */
  refusing: { topic: string; partition: number; error: StreamError }[]
}

/** How to reach a real Kafka. Plain data: it goes to every thread that reads. */
export interface ClusterOptions {
  /** host:port of some of its brokers. */
  bootstrap: string[]
  /** Options of Node's `tls.connect`; true: its defaults. */
  tls?: boolean | { ca?: string; cert?: string; key?: string; servername?: string; rejectUnauthorized?: boolean }
  sasl?: { mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'; username: string; password: string }
}
export interface KafkaLogOptions extends ClusterOptions {
  /** Appends above it are refused with LOG_OVERLOADED. */
  pendingBytesMax?: number
}

/** Can be sent to any thread: paths and shared memory, no bytes of records. */
export interface TopicDescriptor {
  topic: string
  id: string
  /** Where the topic is, if not in files of ours. */
  cluster?: ClusterOptions
  partitions: PartitionDescriptor[]
}
export interface PartitionDescriptor {
  partition: number
  /** Its files; empty where it is in a cluster. */
  folder: string
  state: SharedArrayBuffer
}

/** Reads one partition, in any thread (`openReader`). Two implementations: the log's files, and a real Kafka. */
export interface PartitionReader {
  /** The next record that a read returns. */
  readonly nextOffset: number
  /** First and next offset of the partition, as far as is known here. */
  readonly range: { startOffset: number; endOffset: number }
  /**
   * The next whole batches: up to `maxBytes`, but at least one. Undefined if there is nothing new here yet. A run may hold no record
   * that anyone should see: then it only moves `nextOffset` on.
   *
   * @param endOffset  batches that begin at or behind it need not come
   * @param allocate   gives a buffer of so many bytes to read into, where the bytes do not come in one already; it may be asked more than once
   * @throws LOG_OFFSET_OUT_OF_RANGE, LOG_SEGMENT_DAMAGED, LOG_TOPIC_DELETED, LOG_READ_FAILED, LOG_REMOTE_UNAVAILABLE
   */
  read(maxBytes?: number, endOffset?: number, allocate?: (sizeBytes: number) => Uint8Array): ReadResult | undefined
  /** Resolves to true when `read` has something to say, to false after `timeoutMs` or once the log is closed. Does not keep Node alive. */
  waitForData(timeoutMs: number): Promise<boolean>
  seek(offset: number): void
  /** Moves to the first record whose timestamp is `timeMs` or later, else to the end. Gives its offset. */
  seekTime(timeMs: number): number | Promise<number>
  close(): void
}

/** A run of whole batches. `bytes` belongs to the caller, and is never written again unless the caller brought it: columns may point into it. */
export interface ReadResult {
  bytes: Uint8Array
  start: number
  end: number
  /** Records below it were not asked for: the first batch may begin earlier. Give it to `indexBatch`. */
  fromOffset: number
  /** Where the next read goes on. */
  nextOffset: number
}

/** One producer of a partition. -1: none. */
export interface ProducerInfo {
  producerId: number
  producerEpoch: number
  lastSequence: number
  lastTimestampMs: number
  coordinatorEpoch: number
  /** Offset of the open transaction's first record. */
  transactionStartOffset: number
}

export interface BrowseOptions {
  /** Default: all partitions. */
  partition?: number
  /** One of these says where to begin; default: the newest records. */
  fromOffset?: number
  fromTimeMs?: number
  newest?: boolean
  /** Records in all; default 100. */
  limit?: number
  /** Default: `read_committed`. */
  isolation?: Isolation
}
export interface BrowsedRecord extends LogRecord {
  partition: number
}

export interface AppendOptions {
  /** How many records the batch has; checked against its header. */
  recordCount?: number
  /** Somebody else made the batch: the writer looks at every record of it, so that no reader meets one that cannot be read. */
  isForeign?: boolean
}

export interface Log {
  /** Bytes that were handed over and are not acknowledged yet. */
  readonly pendingBytes: number
  createTopic(name: string, config?: Partial<TopicConfig>): Promise<TopicInfo>
  deleteTopic(name: string): Promise<void>
  alterTopic(name: string, config: Partial<TopicConfig>): Promise<TopicInfo>
  topics(): TopicInfo[]
  topic(name: string): TopicInfo | undefined
  /**
   * Appends one batch. Its bytes are the log's until the promise is settled: the caller does not change them, nor append them a second time.
   *
   * @throws LOG_TOPIC_NOT_FOUND, LOG_PARTITION_NOT_FOUND, LOG_OVERLOADED, LOG_BATCH_INVALID, LOG_BATCH_CHECKSUM, LOG_BATCH_TOO_LARGE,
   *         LOG_DISK_FULL, LOG_WRITE_FAILED, LOG_SYNC_FAILED, LOG_PARTITION_FAILED, LOG_CLOSED, LOG_WRITER_STOPPED
   */
  append(topic: string, partition: number, batch: Uint8Array, options?: AppendOptions): Promise<AppendResult>
  appendRecords(topic: string, partition: number, records: readonly RecordInput[]): Promise<AppendResult>
  readMessages(topic: string, options?: BrowseOptions): Promise<BrowsedRecord[]>
  descriptor(topic: string): TopicDescriptor
  /**
   * Forgets the records of a partition below `beforeOffset`, durably. Files go with the next look at retention.
   *
   * @returns  the first offset that is left
   * @throws   LOG_TOPIC_NOT_FOUND, LOG_PARTITION_NOT_FOUND, LOG_OFFSET_OUT_OF_RANGE
   */
  deleteRecords(topic: string, partition: number, beforeOffset: number): Promise<number>
  /** Deletes what retention lets go, now. Returns the bytes. */
  enforceRetention(): Promise<number>
  /** Compacts what is due in compacted topics, now. Returns the bytes that this freed. */
  compact(): Promise<number>
  /**
   * Brings topics and offsets up to date with what others did, where the log is not ours alone; names: only these.
   *
   * @throws LOG_REMOTE_UNAVAILABLE
   */
  refresh(names?: readonly string[]): Promise<void>
  stats(): LogStats
  /** Adds to `stats().recovery` what was found damaged after the start; where the log's files are not ours nobody asks. */
  noteDamage?(report: RecoveryReport): void
  /** Writes what is pending, makes it durable, and lets the data folder go. */
  close(): Promise<void>
}

/** What a broker needs of the log on our own disk, in whichever thread it runs. */
export interface BrokerLog
  extends Pick<
    LocalLog,
    | 'folder'
    | 'createTopic'
    | 'alterTopic'
    | 'alterDefaults'
    | 'deleteTopic'
    | 'deleteRecords'
    | 'describeProducers'
    | 'topics'
    | 'topic'
    | 'topicId'
    | 'topicName'
    | 'partition'
    | 'append'
    | 'appendRecords'
    | 'descriptor'
    | 'noteDamage'
  > {}

/** The log on our own disk. */
export interface LocalLog extends Log {
  readonly folder: string
  /** Of a topic by its name, without a look at its partitions; undefined if it is not there. */
  topicId(name: string): string | undefined
  /** The other way round. */
  topicName(id: string): string | undefined
  /** One partition, without a look at the others; undefined if it is not there. */
  partition(topic: string, partition: number): PartitionInfo | undefined
  /** Sets what all topics have that were not given it; durable when it ends. @throws LOG_TOPIC_CONFIG_INVALID */
  alterDefaults(defaults: TopicDefaults): Promise<void>
  /** The idempotent and transactional producers that a partition knows. @throws LOG_TOPIC_NOT_FOUND, LOG_PARTITION_NOT_FOUND */
  describeProducers(topic: string, partition: number): Promise<ProducerInfo[]>
  /** Hard links of all files of the log, as they are at one moment, in a folder of the same disk: for backups. See pin.ts. */
  pin(folder: string): Promise<PinnedLog>
}
