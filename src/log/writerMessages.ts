// What crosses the port between the log's main side and its writer thread.
import type { ErrorBody } from '../base/index.ts'
import type { CompactedSegment, CompactionJob, CompactionOutcome } from './compaction.ts'
import type { Durability, ProducerInfo, RecoveryReport, TopicConfig } from './contract.ts'
import type { PinnedLog } from './pin.ts'

export interface WriterOptions {
  folder: string
  durability: Durability
  nowMs: number
}

/** A topic as the main side knows it; `states[i]` is partition i's shared memory. */
export interface TopicHandle {
  name: string
  id: string
  config: TopicConfig
  folder: string
  states: SharedArrayBuffer[]
}

export interface Calls {
  createTopic: { args: [name: string, id: string, config: Partial<TopicConfig>]; result: TopicHandle }
  alterTopic: { args: [name: string, config: Partial<TopicConfig>]; result: TopicHandle }
  deleteTopic: { args: [name: string]; result: undefined }
  deleteRecords: { args: [name: string, partition: number, beforeOffset: number]; result: number }
  describeProducers: { args: [name: string, partition: number]; result: ProducerInfo[] }
  enforceRetention: { args: []; result: number }
  nextCompaction: { args: [keysMax: number, skipped: ReadonlySet<string>]; result: CompactionJob | undefined }
  replaceSegments: { args: [id: string, partition: number, segment: CompactedSegment]; result: number | undefined }
  finishCompaction: { args: [id: string, partition: number, outcome: CompactionOutcome]; result: undefined }
  pin: { args: [folder: string]; result: PinnedLog }
  close: { args: []; result: undefined }
}
export type CallName = keyof Calls

export type ToWriter =
  /** Item i: `batches[i]` goes to partition `partitions[i]` of topic `topicIds[i]`. */
  | { kind: 'append'; nowMs: number; topicIds: string[]; partitions: number[]; batches: Uint8Array[]; foreign: boolean[] }
  | { kind: 'call'; nowMs: number; id: number; name: CallName; args: unknown[] }

export type FromWriter =
  | { kind: 'ready'; topics: TopicHandle[]; recovery: RecoveryReport[] }
  | { kind: 'failed'; error: ErrorBody }
  /**
   * Answers to the oldest `messageCount` append messages: three numbers an append, first and last offset and LogAppendTime (or NaN); where
   * the first is NaN, the second is the place in `errors`.
   * `syncsMs` has how long each of the disk's syncs took.
   */
  | { kind: 'acks'; messageCount: number; offsets: Float64Array; errors: ErrorBody[]; syncsMs: number[] }
  | { kind: 'reply'; id: number; result?: unknown; error?: ErrorBody }
