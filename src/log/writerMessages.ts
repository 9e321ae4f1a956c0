// What crosses the port between the log's main side and its writer thread, beside the appends in their ring (appendRing.ts).
import type { ErrorBody } from '../base/index.ts'
import type { CompactedSegment, CompactionJob, CompactionOutcome } from './compaction.ts'
import type { Durability, HostPort, ProducerInfo, RecoveryReport, TopicConfig, TopicDefaults } from './contract.ts'
import type { PinnedLog } from './pin.ts'

export interface WriterOptions {
  folder: string
  durability: Durability
  nowMs: number
  ring: SharedArrayBuffer
  /** For who runs beside the writer in its thread. */
  host?: HostPort
}

/** A topic as the main side knows it; `states[i]` is partition i's shared memory. */
export interface TopicHandle {
  name: string
  id: string
  /** What the ring calls it. */
  number: number
  config: TopicConfig
  folder: string
  states: SharedArrayBuffer[]
}

export interface Calls {
  createTopic: { args: [name: string, id: string, config: Partial<TopicConfig>]; result: TopicHandle }
  alterTopic: { args: [name: string, config: Partial<TopicConfig>]; result: TopicHandle }
  alterDefaults: { args: [defaults: TopicDefaults]; result: TopicHandle[] }
  deleteTopic: { args: [name: string]; result: undefined }
  deleteRecords: { args: [name: string, partition: number, beforeOffset: number]; result: number }
  describeProducers: { args: [name: string, partition: number]; result: ProducerInfo[] }
  enforceRetention: { args: []; result: number }
  nextCompaction: { args: [keysMax: number, skipped: ReadonlySet<string>]; result: CompactionJob | undefined }
  replaceSegments: { args: [id: string, partition: number, segment: CompactedSegment]; result: number | undefined }
  finishCompaction: { args: [id: string, partition: number, outcome: CompactionOutcome]; result: undefined }
  pin: { args: [folder: string]; result: PinnedLog }
  /** Answered at once, by a writer that is not held up. */
  beat: { args: []; result: undefined }
  close: { args: []; result: undefined }
}
export type CallName = keyof Calls

export type ToWriter =
  /** The batch of the next LARGE entry of the ring. */
  | { kind: 'batch'; bytes: Uint8Array }
  /** To be done after the first `afterAppends` entries of the ring. */
  | { kind: 'call'; nowMs: number; afterAppends: number; id: number; name: CallName; args: unknown[] }

export type FromWriter =
  | { kind: 'ready'; topics: TopicHandle[]; recovery: RecoveryReport[] }
  | { kind: 'failed'; error: ErrorBody }
  /** Of the next entries that failed, in their order. */
  | { kind: 'errors'; errors: ErrorBody[] }
  /** A topic that the writer's thread made or changed by itself, or deleted. */
  | { kind: 'topic'; topic: TopicHandle }
  | { kind: 'topicGone'; name: string }
  /** Where the newest append of the writer's thread met trouble of the disk; no error: one went well since. */
  | { kind: 'refusing'; topic: string; partition: number; error: ErrorBody | undefined }
  | { kind: 'damage'; report: RecoveryReport }
  | { kind: 'reply'; id: number; result?: unknown; error?: ErrorBody }
