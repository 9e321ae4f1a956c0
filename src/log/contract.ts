// The log's interface: what the front door, the engine and (later) the Kafka protocol use. A real Kafka will be a second implementation.
//
// A record's bytes are those of Kafka's record batch v2, on disk and everywhere else.

export interface TopicConfig {
  partitionCount: number
  /** Kafka's meaning; -1 is no limit. */
  'retention.ms': number
  'retention.bytes': number
  'segment.bytes': number
  'cleanup.policy': 'delete' | 'compact'
  'max.message.bytes': number
}
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
  sizeBytes: number
}

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
}

/** A record as read back. */
export interface LogRecord extends RecordInput {
  offset: number
  headers: [name: string, value: Uint8Array | null][]
}
