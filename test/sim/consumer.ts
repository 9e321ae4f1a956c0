// Who reads: consumers of a topic, with all records or the committed ones, and one of a group that commits its offsets.
import { type ClientDeps, ERROR_RETRIABLE, KafkaClient } from './kafkaClient.ts'
import { API, CommittedFilter, type In, Out, type Received, readBatches } from './wire.ts'
import { Violation } from './world.ts'

export interface ConsumerOptions {
  topic: string
  partitionCount: number
  /** Commits its offsets for this group now and then. */
  group?: string
  /** Only what committed transactions have, and what has none. */
  isCommitted?: boolean
  /** Offsets may be missing: compaction or retention takes records. */
  hasGaps?: boolean
  /** A query writes it: what is in it is compared at the end. */
  isOutput?: boolean
  expectsDamage?: boolean
}

const OFFSET_OUT_OF_RANGE = 1
const EARLIEST = -2

export class Consumer extends KafkaClient {
  readonly options: ConsumerOptions
  readonly positions: number[]
  private stopsAtEnd = false
  isDone = false
  /** An error that was told instead of records: only where bytes were changed behind the process's back. */
  told: number | undefined
  /** By partition, what was seen, markers too. */
  readonly records: Received[][]
  /** By partition: where it last went on, because what it wanted was gone. */
  readonly startOffsets: number[]
  private readonly ends: number[]
  /** By partition: what was acknowledged as committed, and what may be. */
  private readonly committed: { acked: number; tried: number }[]
  private turns = 0

  constructor(name: string, options: ConsumerOptions, deps: ClientDeps) {
    super(name, deps)
    this.options = options
    const { partitionCount } = options
    this.positions = new Array(partitionCount).fill(0)
    this.startOffsets = new Array(partitionCount).fill(0)
    this.ends = new Array(partitionCount).fill(Number.POSITIVE_INFINITY)
    this.records = this.positions.map(() => [])
    this.committed = this.positions.map(() => ({ acked: -1, tried: -1 }))
  }

  start(delayMs: number): void {
    this.deps.world.after(delayMs, () => this.poll())
  }

  /** From now on: stops by itself when it has read up to the end that each partition has then. */
  stopAtEnd(): void {
    this.stopsAtEnd = true
    this.ends.fill(Number.POSITIVE_INFINITY)
  }

  private poll(): void {
    if (this.isDone) return
    if (this.options.group && ++this.turns % 4 === 0) {
      if (this.turns % 8 === 0) this.commit()
      else this.fetchOffsets()
      return
    }
    const { world } = this.deps
    const body = new Out()
      .int32(-1)
      .int32(0)
      .int32(0)
      .int32(1 << 20)
      .int8(this.options.isCommitted ? 1 : 0)
      .int32(0)
      .int32(-1)
      .int32(1)
      .string(this.options.topic)
    body.int32(this.positions.length)
    for (const [partition, offset] of this.positions.entries())
      body.int32(partition).int32(-1).int64(offset).int64(-1).int32(world.random.int(1, 5_000))
    body.int32(0).string('')
    const isLast = this.stopsAtEnd
    this.call(API.FETCH, body, (answer) => {
      if (this.isDone) return
      if (answer) this.take(answer, isLast)
      if (this.stopsAtEnd && this.positions.every((position, partition) => position >= this.ends[partition])) this.isDone = true
      else world.after(this.stopsAtEnd ? 3 : world.random.int(5, 60), () => this.poll())
    })
  }

  private take(answer: In, isLast: boolean): void {
    const { model } = this.deps
    answer.int32()
    if (answer.int16() !== 0) return
    answer.int32()
    answer.array(() => {
      const topic = answer.string()
      answer.array(() => {
        const partition = answer.int32()
        const errorCode = answer.int16()
        const endOffset = answer.int64()
        const lastStableOffset = answer.int64()
        answer.int64()
        const aborted = answer.array(() => ({ producerId: answer.int64(), firstOffset: answer.int64() }))
        answer.int32()
        const bytes = answer.bytes(Math.max(0, answer.int32()))
        if (errorCode === 0) {
          model.end(topic, partition, endOffset, this.name)
          if (isLast) this.ends[partition] = endOffset
          const limit = this.options.isCommitted ? lastStableOffset : endOffset
          this.read(partition, limit, bytes, new CommittedFilter(aborted))
        } else if (errorCode === OFFSET_OUT_OF_RANGE && this.options.hasGaps) this.toStart(partition)
        else if (this.options.expectsDamage) {
          this.told = errorCode
          this.isDone = true
        } else if (!ERROR_RETRIABLE.has(errorCode))
          throw new Violation(`${this.name} got error ${errorCode} at ${topic} ${partition} offset ${this.positions[partition]}`)
      })
    })
  }

  private read(partition: number, endOffset: number, bytes: Uint8Array, filter: CommittedFilter): void {
    const { model, world } = this.deps
    const { topic, isCommitted, hasGaps, isOutput } = this.options
    const { records, nextOffset } = readBatches(bytes)
    for (const record of records) {
      const { offset, value, isControl } = record
      const isVisible = isCommitted ? filter.isVisible(record) : true
      if (offset < this.positions[partition]) continue
      if (offset !== this.positions[partition] && !hasGaps)
        throw new Violation(`${this.name} got offset ${offset} of ${topic} ${partition}, wanted ${this.positions[partition]}`)
      if (offset >= endOffset)
        throw new Violation(`${this.name} was shown offset ${offset} of ${topic} ${partition}, the end is ${endOffset}`)
      // A damaged tail was cut off, and the marker of what it has left open is in its place.
      const isEndOfCut = this.options.expectsDamage === true && isControl
      if (!isEndOfCut)
        model.observe(topic, partition, offset, isControl ? `marker ${value}` : value, this.name, isControl || isOutput === true)
      this.positions[partition] = offset + 1
      if (!isVisible) {
        if (!isControl) world.hit('aborted record left out')
        continue
      }
      if (isCommitted && record.isTransactional) world.hit('committed record of a transaction read')
      this.records[partition].push(record)
    }
    // Also behind batches of which compaction has left nothing but their headers.
    if (hasGaps) this.positions[partition] = Math.max(this.positions[partition], nextOffset)
  }

  /** What it wanted to read next is gone: it goes on where the partition begins now. */
  private toStart(partition: number): void {
    const body = new Out().int32(-1).int32(1).string(this.options.topic).int32(1).int32(partition).int64(EARLIEST)
    this.call(API.LIST_OFFSETS, body, (answer) => {
      answer?.array(() => {
        answer.string()
        answer.array(() => {
          answer.int32()
          const errorCode = answer.int16()
          answer.int64()
          const offset = answer.int64()
          if (errorCode !== 0) return
          if (offset < this.positions[partition])
            throw new Violation(`${this.name} was refused offset ${this.positions[partition]}, and the start is ${offset}`)
          this.deps.world.hit('consumer behind retention')
          this.startOffsets[partition] = offset
          this.positions[partition] = offset
        })
      })
    })
  }

  private commit(): void {
    const body = new Out()
      .string(this.options.group!)
      .int32(-1)
      .string('')
      .int64(-1)
      .int32(1)
      .string(this.options.topic)
      .int32(this.positions.length)
    const tried = [...this.positions]
    tried.forEach((offset, partition) => {
      this.committed[partition].tried = offset
      body.int32(partition).int64(offset).string('')
    })
    this.call(API.OFFSET_COMMIT, body, (answer) => {
      answer?.array(() => {
        answer.string()
        answer.array(() => {
          const partition = answer.int32()
          if (answer.int16() === 0) this.committed[partition].acked = tried[partition]
        })
      })
      this.deps.world.after(5, () => this.poll())
    })
  }

  /** What comes back was committed: not older than what was acknowledged, not newer than what was tried. */
  private fetchOffsets(): void {
    const body = new Out().string(this.options.group!).int32(1).string(this.options.topic).int32(this.positions.length)
    for (const partition of this.positions.keys()) body.int32(partition)
    this.call(API.OFFSET_FETCH, body, (answer) => {
      answer?.array(() => {
        answer.string()
        answer.array(() => {
          const partition = answer.int32()
          const offset = answer.int64()
          answer.nullableString()
          if (answer.int16() !== 0) return
          const { acked, tried } = this.committed[partition]
          this.deps.world.hit('committed offset read')
          if (offset < acked || offset > tried)
            throw new Violation(`${this.options.group} had committed ${acked} of ${this.options.topic} ${partition}, and reads ${offset}`)
        })
      })
      this.deps.world.after(5, () => this.poll())
    })
  }
}
