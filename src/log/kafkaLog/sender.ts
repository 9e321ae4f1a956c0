// Appends to one partition of a real Kafka, in order and once: an idempotent producer of whole batches.
//
//   append --> queue --> up to IN_FLIGHT_MAX on their way --> acknowledged, oldest first
//                 ^-- trouble: wait for what is on its way, then all that is not acknowledged again, with the same sequences
//
// Invariants
//   1. Batches reach the log in the order of `append`. One that is sent twice is in the log once: the broker knows its sequence.
//   2. A batch that Kafka refuses for what it is takes its sequence along: those behind it go on under a new producer id.
//   3. Nothing waits longer than DELIVERY_MS: then it is LOG_REMOTE_UNAVAILABLE, and may be in the log or not.
import type { Connection } from '@platformatic/kafka'
import { crc32c } from '../crc32c.ts'
import { logErrors } from '../errors.ts'
import {
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  CRC_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  readInt32,
  writeInt16,
  writeInt32,
  writeInt64,
} from '../recordBatch.ts'
import { produceBatch } from './batches.ts'
import { type Cluster, CODE, isRetried } from './cluster.ts'

/** What a broker remembers of a producer and partition. */
const IN_FLIGHT_MAX = 5
const DELIVERY_MS = 30_000
const RETRY_PAUSE_MS = 50
const RETRY_PAUSE_MAX_MS = 2_000
const SEQUENCE_END = 2 ** 31

export interface ProducerId {
  id: number
  epoch: number
}
interface Waiting {
  batch: Uint8Array
  recordCount: number
  sinceMs: number
  sequence: number
  resolve(firstOffset: number): void
  reject(error: Error): void
}

export interface SenderOptions {
  cluster: Cluster
  topic: string
  partition: number
  /** A connection to the partition's leader; `fresh` after trouble. */
  connect(fresh: boolean): Promise<Connection>
  /** A producer id; `fresh`: one that nobody had. */
  producer(fresh: boolean): Promise<ProducerId>
}

export class PartitionSender {
  private readonly options: SenderOptions
  /** Not acknowledged, oldest first; the first `sentCount` are on their way. */
  private queue: Waiting[] = []
  private sentCount = 0
  private producer: ProducerId | undefined
  private nextSequence = 0
  private needsNewProducer = false
  private isStuck = false
  private pauseMs = 0
  private pumping: Promise<void> | undefined
  private onSettled: (() => void) | undefined

  constructor(options: SenderOptions) {
    this.options = options
  }

  /** @param batch  of the sender from now on: its header is written to. Resolves to the offset of its first record. */
  append(batch: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      const recordCount = readInt32(batch, RECORD_COUNT_AT)
      this.queue.push({ batch, recordCount, sinceMs: performance.now(), sequence: -1, resolve, reject })
      this.pump()
    })
  }

  /** Refuses everything that waits. */
  stop(error: Error): void {
    for (const { reject } of this.queue.splice(0)) reject(error)
    this.sentCount = 0
  }

  private pump(): void {
    this.pumping ??= this.run().finally(() => {
      this.pumping = undefined
      if (this.sentCount < this.queue.length && this.sentCount < IN_FLIGHT_MAX) this.pump()
    })
  }

  private async run(): Promise<void> {
    while (this.queue.length > 0) {
      if (this.isStuck) {
        // Only when the outcome of all is known can they be sent again in order.
        if (this.sentCount > 0) await new Promise<void>((resolve) => (this.onSettled = resolve))
        await this.recover()
        continue
      }
      if (this.sentCount >= IN_FLIGHT_MAX || this.sentCount >= this.queue.length) return
      try {
        const connection = await this.options.connect(this.pauseMs > 0)
        await this.takeProducer()
        while (!this.isStuck && this.sentCount < Math.min(IN_FLIGHT_MAX, this.queue.length))
          this.send(connection, this.queue[this.sentCount])
      } catch {
        this.isStuck = true
      }
    }
  }

  private async takeProducer(): Promise<void> {
    if (this.producer && !this.needsNewProducer) return
    this.producer = await this.options.producer(this.needsNewProducer)
    this.needsNewProducer = false
    this.nextSequence = 0
    for (const waiting of this.queue) waiting.sequence = -1
  }

  private async recover(): Promise<void> {
    this.pauseMs = Math.min(RETRY_PAUSE_MAX_MS, Math.max(RETRY_PAUSE_MS, this.pauseMs * 2))
    await new Promise((resolve) => setTimeout(resolve, this.pauseMs))
    const nowMs = performance.now()
    while (this.queue.length > 0 && nowMs - this.queue[0].sinceMs > DELIVERY_MS) {
      const { cluster, topic, partition } = this.options
      const reason = `${topic}/${partition} took no records for ${DELIVERY_MS / 1_000} s`
      this.queue.shift()!.reject(logErrors('LOG_REMOTE_UNAVAILABLE', { cluster: cluster.name, reason }))
      this.needsNewProducer = true
    }
    this.isStuck = false
  }

  private send(connection: Connection, waiting: Waiting): void {
    if (waiting.sequence < 0) {
      waiting.sequence = this.nextSequence
      this.nextSequence = (this.nextSequence + waiting.recordCount) % SEQUENCE_END
      stamp(waiting.batch, this.producer!, waiting.sequence)
    }
    this.sentCount++
    const { topic, partition } = this.options
    void produceBatch(connection, topic, partition, waiting.batch).then(
      ({ errorCode, baseOffset }) => this.answered(waiting, errorCode, baseOffset),
      () => this.answered(waiting, undefined, -1),
    )
  }

  /** @param errorCode  undefined: the connection ended before an answer came */
  private answered(waiting: Waiting, errorCode: number | undefined, baseOffset: number): void {
    const at = this.queue.indexOf(waiting)
    if (at < 0) return
    this.sentCount--
    if (errorCode === 0) {
      this.queue.splice(at, 1)
      waiting.resolve(baseOffset)
      if (!this.isStuck) this.pauseMs = 0
    } else {
      // One behind a refused one is out of order: not its own fault.
      const isOwnFault = errorCode !== undefined && at === 0 && !isRetried(errorCode) && !isLostSequence(errorCode)
      if (isOwnFault) {
        this.queue.splice(at, 1)
        waiting.reject(this.refusal(errorCode, waiting))
      }
      if (isOwnFault || (at === 0 && errorCode !== undefined && isLostSequence(errorCode))) this.needsNewProducer = true
      this.isStuck = true
    }
    if (this.isStuck && this.sentCount === 0) {
      this.onSettled?.()
      this.onSettled = undefined
    }
    this.pump()
  }

  private refusal(code: number, { batch }: Waiting): Error {
    const { cluster, topic } = this.options
    if (code === CODE.MESSAGE_TOO_LARGE || code === CODE.RECORD_LIST_TOO_LARGE) {
      return logErrors('LOG_BATCH_TOO_LARGE', { topic, sizeBytes: batch.length, limitBytes: -1 })
    }
    if (code === CODE.INVALID_RECORD || code === CODE.CORRUPT_MESSAGE) {
      return logErrors('LOG_BATCH_INVALID', { position: 0, reason: 'the cluster refused it' })
    }
    return logErrors('LOG_REMOTE_REFUSED', { cluster: cluster.name, topic, code, reason: 'the append was refused' })
  }
}

const isLostSequence = (code: number): boolean =>
  code === CODE.OUT_OF_ORDER_SEQUENCE_NUMBER || code === CODE.UNKNOWN_PRODUCER_ID || code === CODE.INVALID_PRODUCER_EPOCH

/** Writes who sends a batch and its sequence into the header, and the checksum anew. */
export function stamp(batch: Uint8Array, { id, epoch }: ProducerId, sequence: number): void {
  writeInt64(batch, PRODUCER_ID_AT, id)
  writeInt16(batch, PRODUCER_EPOCH_AT, epoch)
  writeInt32(batch, BASE_SEQUENCE_AT, sequence)
  writeInt32(batch, CRC_AT, crc32c(batch.subarray(ATTRIBUTES_AT)))
}
