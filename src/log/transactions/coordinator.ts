// The one transaction coordinator of a log. Its memory is a map that is made on start from the records of `__transaction_state`.
//
// Invariants
//   1. A state is in memory only once its record is durable. An end is decided by the record of PrepareCommit or PrepareAbort: from then on
//      markers are written, again and again and after each restart, until all of them are durable; then the record of the Complete state.
//   2. Requests for one id come one after another. While markers are missing the next ones wait a little, then get LOG_TRANSACTION_CONCURRENT.
//   3. An id never goes back to an epoch: who has an older one can neither append (the log refuses it after the marker, `verifyPartitions`
//      before) nor end anything.
//   4. Before the first request, every transaction that is open in a partition is one whose end this coordinator awaits, or was ended (orphans.ts).
//   5. Between `verifyPartitions` or `addPartitions` and an append in the same tick no marker gets into the log: markers are appended by this
//      thread too, and the log keeps the order of appends.
import type { StreamError } from '../../base/index.ts'
import { isStreamError } from '../../base/index.ts'
import type { BrokerLog, RecordInput } from '../contract.ts'
import { type Disk, realDisk } from '../disk.ts'
import { logErrors } from '../errors.ts'
import { logMetrics } from '../logMetrics.ts'
import { makeMarker } from '../marker.ts'
import { damageTeller, readPastDamage } from '../openReader.ts'
import { openPartitionReader } from '../reader.ts'
import { readRecords } from '../recordIndex.ts'
import type {
  EndOptions,
  InitProducerIdOptions,
  ProducerIdAndEpoch,
  TopicPartition,
  Transaction,
  TransactionInfo,
  TransactionRef,
  Transactions,
} from './contract.ts'
import { heldBack, judge, type OpenInPartition, openIn } from './orphans.ts'
import {
  decodeKey,
  decodeProducerIds,
  decodeValue,
  encodeKey,
  encodeProducerIds,
  encodeValue,
  producerIdsKey,
  type TransactionRecord,
} from './stateRecords.ts'
import { OpenTransaction } from './transaction.ts'

export const TRANSACTIONS_TOPIC = '__transaction_state'
/** The longest that a client may ask for, as Kafka's `transaction.max.timeout.ms`. */
export const TRANSACTION_TIMEOUT_MS_MAX = 15 * 60_000
/** There has been one coordinator. */
const COORDINATOR_EPOCH = 0
const EPOCH_MAX = 2 ** 15 - 1
const PRODUCER_ID_BLOCK = 1_000
const SEGMENT_BYTES = 4 * 1024 * 1024
const CHECK_MS = 1_000
/** An id that does nothing for so long is forgotten, as with Kafka. */
const FORGET_MS = 7 * 24 * 3_600_000
/** How long a request waits for the markers of the end before it. */
const COMPLETION_WAIT_MS = 200
const RETRY_MS_MIN = 100
const RETRY_MS_MAX = 5_000

export interface TransactionsOptions {
  /** Where the log's files are; the real disk unless said. */
  disk?: Disk
  /** Wall clock, epoch ms. */
  now?: () => number
  /** Pause between looks for transactions that timed out. */
  checkMs?: number
}

const opened = new WeakMap<BrokerLog, Coordinator>()

/** Further than any ids that may have been given in what is damaged. */
const PRODUCER_IDS_SKIPPED = 1_000_000_000

/**
 * The coordinator of a log, opened when first asked for: ends that a crash cut off are finished, what a torn tail has left open is ended,
 * timeouts run from then on.
 */
export function openTransactions(log: BrokerLog, options: TransactionsOptions = {}): Transactions {
  let coordinator = opened.get(log)
  if (!coordinator) opened.set(log, (coordinator = new Coordinator(log, options)))
  return coordinator
}

/** One transactional id. */
interface Slot {
  /** Undefined until it is first written, and after it was forgotten. */
  record: TransactionRecord | undefined
  /** Resolves when the last request for it is done. */
  tail: Promise<void>
  /** Resolves when the markers of a decided end are durable, or never will be from here. */
  completing: Promise<void> | undefined
  /** The epoch before the present one, as its holder knows it: it may ask again for what it was answered. -1: none. */
  lastEpoch: number
  /** An append of the transaction with this epoch failed. */
  spoiledEpoch: number
}
type KnownSlot = Slot & { record: TransactionRecord }

class Coordinator implements Transactions {
  private readonly log: BrokerLog
  private readonly disk: Disk
  private readonly now: () => number
  private readonly slots = new Map<string, Slot>()
  private readonly listeners = new Set<(target: TopicPartition, producer: ProducerIdAndEpoch, isCommit: boolean) => void>()
  private readonly timer: NodeJS.Timeout
  private readonly stopped = new AbortController()
  private nextProducerId = 0
  private producerIdsEnd = 0
  private reserving: Promise<void> = Promise.resolve()
  private topicMade: Promise<unknown> | undefined
  /** Until what a crash left open is accounted for. */
  private settling: Promise<void> | undefined

  constructor(log: BrokerLog, { disk = realDisk, now = Date.now, checkMs = CHECK_MS }: TransactionsOptions) {
    this.log = log
    this.disk = disk
    this.now = now
    this.load()
    this.timer = setInterval(() => this.check(), checkMs)
    this.timer.unref()
    const targets = heldBack(log)
    if (targets.length === 0) this.finishPrepared()
    else this.settling = this.settle(targets).finally(() => (this.settling = undefined))
  }

  async begin(transactionalId: string, { timeoutMs = Number.POSITIVE_INFINITY }: { timeoutMs?: number } = {}): Promise<Transaction> {
    const producer = await this.alone(transactionalId, (slot) => this.init(transactionalId, slot, timeoutMs, undefined))
    return new OpenTransaction({ transactionalId, ...producer }, this.log, this)
  }

  commit(ref: TransactionRef): Promise<boolean> {
    return this.alone(ref.transactionalId, async (slot) => {
      const { record } = slot
      if (!record || !isSame(record, ref)) {
        if (record?.lastCommitted && isSame(record.lastCommitted, ref)) return false
        throw logErrors('LOG_TRANSACTION_ABORTED', { ...ref })
      }
      if (record.state !== 'Ongoing') {
        // Nothing was appended. That it was committed has to be known nevertheless, when the next one has begun.
        await this.write(slot, { ...record, state: 'CompleteCommit', producerEpoch: record.producerEpoch + 1, lastCommitted: idOf(record) })
        return false
      }
      if (slot.spoiledEpoch === ref.producerEpoch) throw wrongState(record, 'commit, because an append of it failed')
      await this.decide(slot as KnownSlot, true, { bumpsEpoch: true })
      return true
    })
  }

  abort(ref: TransactionRef): Promise<void> {
    return this.alone(ref.transactionalId, async (slot) => {
      const { record } = slot
      if (record?.lastCommitted && isSame(record.lastCommitted, ref)) throw logErrors('LOG_TRANSACTION_COMMITTED', { ...ref })
      if (record?.state === 'Ongoing' && isSame(record, ref)) await this.decide(slot as KnownSlot, false, { bumpsEpoch: true })
    })
  }

  forget(transactionalId: string): Promise<void> {
    return this.alone(transactionalId, async (slot) => {
      if (slot.record?.state === 'Ongoing') {
        await this.fence(slot as KnownSlot)
        await this.untilCompleted(slot)
      }
      if (slot.record) await this.erase(transactionalId, slot)
    })
  }

  async initProducerId(transactionalId: string, { timeoutMs, expected }: InitProducerIdOptions): Promise<ProducerIdAndEpoch> {
    if (!(timeoutMs > 0 && timeoutMs <= TRANSACTION_TIMEOUT_MS_MAX)) {
      throw logErrors('LOG_TRANSACTION_TIMEOUT_INVALID', { timeoutMs, limitMs: TRANSACTION_TIMEOUT_MS_MAX })
    }
    return this.alone(transactionalId, (slot) => this.init(transactionalId, slot, timeoutMs, expected))
  }

  async newProducerId(): Promise<number> {
    while (this.nextProducerId === this.producerIdsEnd) {
      this.reserving = this.reserving.catch(() => {}).then(() => this.reserve())
      await this.reserving
    }
    return this.nextProducerId++
  }

  reserveProducerIds(end: number): void {
    this.producerIdsEnd = Math.max(this.producerIdsEnd, end)
    this.nextProducerId = Math.max(this.nextProducerId, end)
  }

  addPartitions(ref: TransactionRef, partitions: readonly TopicPartition[]): Promise<void> {
    return this.alone(ref.transactionalId, async (slot) => {
      const { record } = this.holder(slot, ref)
      const isOngoing = record.state === 'Ongoing'
      if (isOngoing && hasAll(record, partitions)) return
      const all = new Map([...(isOngoing ? record.partitions : [])].map(([topic, indexes]) => [topic, new Set(indexes)]))
      /** To ask for a topic is to ask for all of its partitions. */
      const counts = new Map<string, number>()
      for (const { topic, partition } of partitions) {
        const partitionCount = counts.get(topic) ?? this.log.topic(topic)?.partitions.length ?? 0
        counts.set(topic, partitionCount)
        if (partition < 0 || partition >= partitionCount) throw logErrors('LOG_PARTITION_NOT_FOUND', { topic, partition, partitionCount })
        const indexes = all.get(topic)
        if (indexes) indexes.add(partition)
        else all.set(topic, new Set([partition]))
      }
      const startMs = isOngoing ? record.startMs : this.now()
      await this.write(slot, { ...record, state: 'Ongoing', partitions: all, startMs })
      slot.lastEpoch = -1
    })
  }

  verifyPartitions(ref: TransactionRef, partitions: readonly TopicPartition[]): void {
    if (this.settling) throw recovering(ref.transactionalId)
    const { record } = this.holder(this.slots.get(ref.transactionalId), ref)
    if (isPrepared({ record })) throw concurrent(record)
    if (record.state !== 'Ongoing' || !hasAll(record, partitions))
      throw wrongState(record, 'take records of a partition that was not added')
  }

  end(ref: TransactionRef, isCommit: boolean, options: EndOptions): Promise<ProducerIdAndEpoch> {
    return this.alone(ref.transactionalId, async (slot) => {
      const { record } = slot
      const complete = isCommit ? 'CompleteCommit' : 'CompleteAbort'
      if (options.bumpsEpoch && record && isPredecessor(ref, record)) {
        // The answer to the same end did not arrive.
        if (record.state === complete) return idOf(record)
        if (record.state === 'CompleteCommit' || record.state === 'CompleteAbort') throw wrongState(record, isCommit ? 'commit' : 'abort')
      }
      const held = this.holder(slot, ref)
      const { state } = held.record
      if (state !== 'Ongoing') {
        if (!options.bumpsEpoch && state === complete) return idOf(held.record)
        // Nothing was sent: an abort makes sure that nothing can arrive any more.
        if (!options.bumpsEpoch || isCommit) throw wrongState(held.record, isCommit ? 'commit' : 'abort')
      }
      return this.decide(held, isCommit, options)
    })
  }

  async writeMarker(
    { topic, partition }: TopicPartition,
    producer: ProducerIdAndEpoch,
    isCommit: boolean,
    coordinatorEpoch: number,
  ): Promise<void> {
    await this.log.append(topic, partition, makeMarker({ ...producer, isCommit, coordinatorEpoch }, this.now()))
    for (const listener of this.listeners) listener({ topic, partition }, producer, isCommit)
  }

  list(prefix = ''): TransactionInfo[] {
    const infos: TransactionInfo[] = []
    for (const [id, { record }] of this.slots) if (record && id.startsWith(prefix)) infos.push(infoOf(record))
    return infos
  }

  describe(transactionalId: string): TransactionInfo | undefined {
    const record = this.slots.get(transactionalId)?.record
    return record && infoOf(record)
  }

  onMarker(listener: (target: TopicPartition, producer: ProducerIdAndEpoch, isCommit: boolean) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  async close(): Promise<void> {
    clearInterval(this.timer)
    this.stopped.abort()
    opened.delete(this.log)
    await this.settling
    await Promise.all([...this.slots.values()].map((slot) => Promise.all([slot.tail, slot.completing])))
  }

  /** An append of the transaction failed: see `OpenTransaction`. */
  spoil({ transactionalId, producerEpoch }: TransactionRef): void {
    const slot = this.slots.get(transactionalId)
    if (slot) slot.spoiledEpoch = producerEpoch
  }

  /** Accounts for what is open in partitions, again and again until it could; then finishes what was decided. */
  private async settle(targets: readonly TopicPartition[]): Promise<void> {
    for (let pauseMs = RETRY_MS_MIN; !this.stopped.signal.aborted; pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX)) {
      try {
        const open = await openIn(this.log, targets)
        if (this.stopped.signal.aborted) return
        const history = this.historyOf(new Set(open.map(({ producerId }) => producerId)))
        for (const one of open) await this.settleOne(one, history.get(one.producerId) ?? [])
        break
      } catch (error) {
        if (isOver(error)) return
        logMetrics.markerRetries.inc()
        await pause(pauseMs, this.stopped.signal)
      }
    }
    if (!this.stopped.signal.aborted) this.finishPrepared()
  }

  private async settleOne(open: OpenInPartition, history: readonly TransactionRecord[]): Promise<void> {
    const { topic, partition, producerId, producerEpoch, firstOffset } = open
    const slot = [...this.slots.values()].find(({ record }) => record?.producerId === producerId)
    const verdict = judge(open, slot?.record, history)
    if (verdict === 'awaited') return
    if (verdict === 'adopt') {
      const { record } = slot as KnownSlot
      const partitions = new Map([...(record.state === 'Ongoing' ? record.partitions : [])])
      partitions.set(topic, new Set([...(partitions.get(topic) ?? []), partition]))
      const startMs = record.state === 'Ongoing' ? record.startMs : this.now()
      await this.write(slot!, { ...record, state: 'Ongoing', producerEpoch, partitions, startMs })
    } else {
      const isCommit = verdict === 'commit'
      try {
        await this.writeMarker({ topic, partition }, open, isCommit, COORDINATOR_EPOCH)
      } catch (error) {
        if (!isNothingToMark(error)) throw error
      }
    }
    logMetrics.orphanedTransactions.inc({ result: verdict === 'adopt' ? 'awaited' : verdict === 'commit' ? 'committed' : 'aborted' })
    const name = `transaction ${producerId}/${producerEpoch}${slot ? ` of "${slot.record!.transactionalId}"` : ''}`
    const done = { adopt: 'waits for its end again', commit: 'was committed, as had been decided', abort: 'was aborted' }[verdict]
    const reason = `${name}, open since offset ${firstOffset}, had lost its end marker or its state: it ${done}`
    this.log.noteDamage?.({
      topic,
      partition,
      path: TRANSACTIONS_TOPIC,
      kind: 'mended',
      cutBytes: 0,
      position: -1,
      offset: firstOffset,
      reason,
    })
  }

  private finishPrepared(): void {
    for (const slot of this.slots.values()) if (isPrepared(slot)) void this.complete(slot as KnownSlot)
  }

  /** Gives the id its next epoch, or the first one. */
  private async init(id: string, slot: Slot, timeoutMs: number, expected: ProducerIdAndEpoch | undefined): Promise<ProducerIdAndEpoch> {
    if (slot.record?.state === 'Ongoing') {
      if (this.checkExpected(id, slot, expected).isAgain) throw fenced(id, expected!, slot.record)
      await this.fence(slot as KnownSlot)
      await this.untilCompleted(slot)
      // The holder may go on: it is its own transaction that was aborted.
      if (expected) expected = idOf(slot.record)
    }
    const { record } = slot
    const { isAgain } = this.checkExpected(id, slot, expected)
    if (record && isAgain) return idOf(record)
    const isUsedUp = record !== undefined && record.producerEpoch >= EPOCH_MAX - 1
    const next: TransactionRecord = {
      transactionalId: id,
      producerId: !record || isUsedUp ? await this.newProducerId() : record.producerId,
      producerEpoch: !record || isUsedUp ? 0 : record.producerEpoch + 1,
      state: 'Empty',
      timeoutMs,
      partitions: new Map(),
      startMs: -1,
      lastUpdateMs: 0,
      previousProducerId: isUsedUp ? record.producerId : (record?.previousProducerId ?? -1),
      nextProducerId: -1,
      bumpsEpoch: record?.bumpsEpoch ?? false,
      lastCommitted: record?.lastCommitted,
    }
    await this.write(slot, next)
    slot.lastEpoch = expected && record && !isUsedUp ? record.producerEpoch : -1
    return idOf(next)
  }

  /** @throws LOG_TRANSACTION_FENCED if a producer that says what it has does not have what it should */
  private checkExpected(id: string, { record, lastEpoch }: Slot, expected: ProducerIdAndEpoch | undefined): { isAgain: boolean } {
    // As with Kafka, an id that is not known takes whatever a producer believes that it has: some say 0 and 0 at first.
    if (!expected || !record) return { isAgain: false }
    if (record && isSame(record, expected)) return { isAgain: false }
    // It asked before, and the answer did not arrive.
    const isAgain = record.producerId === expected.producerId && lastEpoch === expected.producerEpoch
    const isUsedUp =
      record.previousProducerId === expected.producerId && expected.producerEpoch >= EPOCH_MAX - 1 && record.producerEpoch === 0
    if (!(isAgain || isUsedUp)) throw fenced(id, expected, record)
    return { isAgain: true }
  }

  /** Aborts the open transaction with a higher epoch, so that its holder can do nothing more. */
  private async fence(slot: KnownSlot): Promise<void> {
    const producerEpoch = Math.min(slot.record.producerEpoch + 1, EPOCH_MAX)
    await this.decide(slot, false, { bumpsEpoch: false }, producerEpoch)
  }

  /** Makes the end durable, and tries to write its markers. */
  private async decide(
    slot: KnownSlot,
    isCommit: boolean,
    { bumpsEpoch }: EndOptions,
    producerEpoch = slot.record.producerEpoch + (bumpsEpoch ? 1 : 0),
  ): Promise<ProducerIdAndEpoch> {
    const { record } = slot
    const { partitions, state: was } = record
    const nextProducerId = bumpsEpoch && producerEpoch === EPOCH_MAX ? await this.newProducerId() : -1
    const state = isCommit ? 'PrepareCommit' : 'PrepareAbort'
    await this.write(slot, {
      ...record,
      state,
      producerEpoch,
      nextProducerId,
      bumpsEpoch,
      partitions: was === 'Ongoing' ? partitions : new Map(),
      lastCommitted: isCommit ? idOf(record) : record.lastCommitted,
    })
    slot.lastEpoch = -1
    logMetrics.transactions.inc({ result: isCommit ? 'committed' : 'aborted' })
    await this.complete(slot)
    return nextProducerId < 0 ? { producerId: record.producerId, producerEpoch } : { producerId: nextProducerId, producerEpoch: 0 }
  }

  /** Writes the markers of a decided end. Returns after the first attempt, whose failure is not the caller's: others follow. */
  private async complete(slot: KnownSlot): Promise<void> {
    const first = this.writeMarkers(slot.record)
    slot.completing = this.finish(slot, first).finally(() => (slot.completing = undefined))
    await first.catch(() => {})
  }

  private async finish(slot: KnownSlot, first: Promise<void>): Promise<void> {
    const { record } = slot
    let attempt = first
    for (let pauseMs = RETRY_MS_MIN; ; pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX)) {
      try {
        await attempt
        const isUsedUp = record.nextProducerId >= 0
        await this.write(slot, {
          ...record,
          state: record.state === 'PrepareCommit' ? 'CompleteCommit' : 'CompleteAbort',
          producerId: isUsedUp ? record.nextProducerId : record.producerId,
          producerEpoch: isUsedUp ? 0 : record.producerEpoch,
          previousProducerId: isUsedUp ? record.producerId : record.previousProducerId,
          nextProducerId: -1,
          partitions: new Map(),
          startMs: -1,
        })
        return
      } catch (error) {
        if (this.stopped.signal.aborted || isOver(error)) return
        logMetrics.markerRetries.inc()
        await pause(pauseMs, this.stopped.signal)
        if (this.stopped.signal.aborted) return
        attempt = this.writeMarkers(record)
      }
    }
  }

  private async writeMarkers({ partitions, producerId, producerEpoch, state }: TransactionRecord): Promise<void> {
    const targets = [...partitions].flatMap(([topic, indexes]) => [...indexes].map((partition) => ({ topic, partition })))
    const results = await Promise.allSettled(
      targets.map((target) => this.writeMarker(target, { producerId, producerEpoch }, state === 'PrepareCommit', COORDINATOR_EPOCH)),
    )
    for (const result of results) if (result.status === 'rejected' && !isNothingToMark(result.reason)) throw result.reason
  }

  /** Runs a request for an id after those before it, and after the end that is being written. */
  private async alone<T>(id: string, request: (slot: Slot) => Promise<T>): Promise<T> {
    let slot = this.slots.get(id)
    if (!slot) {
      slot = { record: undefined, tail: Promise.resolve(), completing: undefined, lastEpoch: -1, spoiledEpoch: -1 }
      this.slots.set(id, slot)
    }
    const { tail } = slot
    const { promise, resolve } = Promise.withResolvers<void>()
    slot.tail = promise
    await tail
    try {
      if (this.settling) await Promise.race([this.settling, pause(COMPLETION_WAIT_MS)])
      if (this.settling) throw recovering(id)
      await this.untilCompleted(slot)
      return await request(slot)
    } finally {
      // An id that nobody holds is not kept.
      if (!slot.record && slot.tail === promise && this.slots.get(id) === slot) this.slots.delete(id)
      resolve()
    }
  }

  private async untilCompleted(slot: Slot): Promise<void> {
    if (slot.completing) await Promise.race([slot.completing, pause(COMPLETION_WAIT_MS)])
    if (slot.record && isPrepared(slot)) throw concurrent(slot.record)
  }

  /** The slot, if this producer is the one that holds the id. */
  private holder(slot: Slot | undefined, ref: TransactionRef): KnownSlot {
    if (!slot?.record || slot.record.producerId !== ref.producerId) throw logErrors('LOG_TRANSACTION_UNKNOWN_ID', { ...ref })
    if (slot.record.producerEpoch !== ref.producerEpoch) throw fenced(ref.transactionalId, ref, slot.record)
    return slot as KnownSlot
  }

  /** Aborts what timed out, and forgets ids that nobody uses. */
  private check(): void {
    const nowMs = this.now()
    for (const [id, slot] of this.slots) {
      const { record } = slot
      if (!record) continue
      if (record.state === 'Ongoing' && nowMs - record.startMs > record.timeoutMs) {
        this.alone(id, async () => {
          if (slot.record !== record) return
          logMetrics.transactions.inc({ result: 'timed out' })
          await this.fence(slot as KnownSlot)
        }).catch(() => {})
      } else if (record.state !== 'Ongoing' && !isPrepared(slot) && nowMs - record.lastUpdateMs > FORGET_MS) {
        this.alone(id, async () => {
          if (slot.record === record) await this.erase(id, slot)
        }).catch(() => {})
      }
    }
  }

  private async write(slot: Slot, changed: TransactionRecord): Promise<void> {
    const record = { ...changed, lastUpdateMs: this.now() }
    await this.keep({ key: encodeKey(record.transactionalId), value: encodeValue(record), timestampMs: record.lastUpdateMs })
    slot.record = record
  }

  private async erase(id: string, slot: Slot): Promise<void> {
    await this.keep({ key: encodeKey(id), value: null, timestampMs: this.now() })
    slot.record = undefined
  }

  private async reserve(): Promise<void> {
    if (this.nextProducerId < this.producerIdsEnd) return
    const end = this.producerIdsEnd + PRODUCER_ID_BLOCK
    await this.keep({ key: producerIdsKey(), value: encodeProducerIds(end), timestampMs: this.now() })
    this.producerIdsEnd = end
  }

  private async keep(record: RecordInput): Promise<void> {
    if (!this.log.topic(TRANSACTIONS_TOPIC)) {
      this.topicMade ??= this.log
        .createTopic(TRANSACTIONS_TOPIC, { 'cleanup.policy': 'compact', 'segment.bytes': SEGMENT_BYTES })
        .finally(() => (this.topicMade = undefined))
      await this.topicMade
    }
    await this.log.appendRecords(TRANSACTIONS_TOPIC, 0, [record])
  }

  private load(): void {
    const isDamaged = this.readStates((known, value) => {
      if (known === 'producer ids') this.nextProducerId = this.producerIdsEnd = decodeProducerIds(value!)
      else if (value === null) this.slots.delete(known.transactionalId)
      else {
        const record = decodeValue(known.transactionalId, value)
        const slot: Slot = { record, tail: Promise.resolve(), completing: undefined, lastEpoch: -1, spoiledEpoch: -1 }
        this.slots.set(known.transactionalId, slot)
      }
    })
    // Which ids were given is not known: none may be given twice.
    if (isDamaged) this.nextProducerId = this.producerIdsEnd += PRODUCER_IDS_SKIPPED
  }

  /** What is still there of the states that ids with these producer ids have had, oldest first. */
  private historyOf(producerIds: ReadonlySet<number>): Map<number, TransactionRecord[]> {
    const history = new Map<number, TransactionRecord[]>()
    this.readStates((known, value) => {
      if (known === 'producer ids' || value === null) return
      const record = decodeValue(known.transactionalId, value)
      for (const producerId of new Set([record.producerId, record.previousProducerId, record.lastCommitted?.producerId ?? -1])) {
        if (!producerIds.has(producerId)) continue
        const records = history.get(producerId)
        if (records) records.push(record)
        else history.set(producerId, [record])
      }
    })
    return history
  }

  /** Shows the records of the topic that are known here, oldest first. @returns whether some are damaged; they are told and passed over */
  private readStates(visit: (known: NonNullable<ReturnType<typeof decodeKey>>, value: Uint8Array | null) => void): boolean {
    const topic = this.log.topic(TRANSACTIONS_TOPIC)
    if (!topic) return false
    const reader = openPartitionReader(this.log.descriptor(TRANSACTIONS_TOPIC), 0, topic.partitions[0].startOffset, this.disk)
    let isDamaged = false
    try {
      const tell = damageTeller(this.log, TRANSACTIONS_TOPIC, 0)
      const read = () =>
        readPastDamage(reader, (error) => {
          // Told once: it is read again for the history of what a crash left open.
          if (!this.settling) tell(error)
          isDamaged = true
        })
      for (let run = read(); run; run = read()) {
        for (const { key, value } of readRecords(run.bytes, run.start, run.end, run.fromOffset)) {
          const known = key === null ? undefined : decodeKey(key)
          if (known) visit(known, value)
        }
      }
    } finally {
      reader.close()
    }
    return isDamaged
  }
}

const isPrepared = ({ record }: Pick<Slot, 'record'>): boolean => record?.state === 'PrepareCommit' || record?.state === 'PrepareAbort'

const idOf = ({ producerId, producerEpoch }: ProducerIdAndEpoch): ProducerIdAndEpoch => ({ producerId, producerEpoch })

const isSame = (one: ProducerIdAndEpoch, other: ProducerIdAndEpoch): boolean =>
  one.producerId === other.producerId && one.producerEpoch === other.producerEpoch

/** Whether `ref` is what an end that raised the epoch began with. */
function isPredecessor(ref: ProducerIdAndEpoch, record: TransactionRecord): boolean {
  if (ref.producerId === record.producerId) return ref.producerEpoch === record.producerEpoch - 1
  return ref.producerId === record.previousProducerId && ref.producerEpoch === EPOCH_MAX - 1 && record.producerEpoch === 0
}

function hasAll({ partitions }: TransactionRecord, wanted: readonly TopicPartition[]): boolean {
  return wanted.every(({ topic, partition }) => partitions.get(topic)?.has(partition))
}

/** A topic that is gone needs no marker, and neither does a partition that knows a newer producer. */
const isNothingToMark = (error: unknown): boolean =>
  isStreamError(error) &&
  ['LOG_TOPIC_NOT_FOUND', 'LOG_TOPIC_DELETED', 'LOG_PARTITION_NOT_FOUND', 'LOG_PRODUCER_FENCED'].includes(error.code)

/** The log takes nothing any more: the next start goes on. */
const isOver = (error: unknown): boolean => isStreamError(error) && (error.code === 'LOG_CLOSED' || error.code === 'LOG_WRITER_STOPPED')

const concurrent = ({ transactionalId, state }: TransactionRecord): StreamError =>
  logErrors('LOG_TRANSACTION_CONCURRENT', { transactionalId, state })

const recovering = (transactionalId: string): StreamError => logErrors('LOG_TRANSACTION_CONCURRENT', { transactionalId, state: 'recovery' })

const wrongState = ({ transactionalId, state }: TransactionRecord, wanted: string): StreamError =>
  logErrors('LOG_TRANSACTION_STATE', { transactionalId, state, wanted })

const fenced = (transactionalId: string, { producerEpoch }: ProducerIdAndEpoch, known: ProducerIdAndEpoch | undefined): StreamError =>
  logErrors('LOG_TRANSACTION_FENCED', { transactionalId, producerEpoch, knownEpoch: known?.producerEpoch ?? -1 })

function infoOf({
  transactionalId,
  producerId,
  producerEpoch,
  state,
  timeoutMs,
  startMs,
  lastUpdateMs,
  partitions,
}: TransactionRecord): TransactionInfo {
  const targets = [...partitions].flatMap(([topic, indexes]) => [...indexes].map((partition) => ({ topic, partition })))
  return { transactionalId, producerId, producerEpoch, state, timeoutMs, startMs, lastUpdateMs, partitions: targets }
}

/** Resolves after some time, earlier when `signal` says so. Does not keep Node alive. */
function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    timer.unref()
    signal?.addEventListener('abort', () => resolve(), { once: true })
  })
}
