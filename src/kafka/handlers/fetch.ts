// Fetch: slices of the segment files, as they are (but see fetchPlain.ts). A request that finds too little waits for more, at most as long as it says.
//
// Invariants
//   1. A partition's records are whole batches; the first may begin before the offset that was asked for, as with Kafka.
//   2. The first partition that has something gives at least one batch, whatever the limits say; else a large batch would stop a consumer.
//   3. With `read_committed` nothing at or behind the last stable offset is given, and with it goes the list of aborted transactions that the
//      client leaves out.
//   4. Partitions are looked at in the order of the request, so a client that rotates them starves none.
import type { AbortedTransaction, TopicInfo } from '../../log/index.ts'
import { type Broker, handler, type RequestContext } from '../broker.ts'
import { ERROR, KafkaError } from '../errors.ts'
import { fetchApi } from '../messages/fetch.ts'
import type { Read } from '../readerPool.ts'
import { OPERATION, RESOURCE } from '../security/acls.ts'
import { ANONYMOUS } from '../security/security.ts'
import { readsLz4 } from './fetchPlain.ts'
import { FetchSessions, type WantedPartition } from './fetchSessions.ts'
import { answerError, partitionOf } from './partitions.ts'

/** When more than one byte is wanted, how long to let records gather after the first came. */
const GATHER_MS = 5
/** So many partitions are read at once: the question for each goes to another thread, and opens a file there or here. */
const READS_MAX = 64
/** A fetch gets this much even when clients leave many responses unread. */
const FETCH_BYTES_MIN = 64 * 1024
const noRecords: Uint8Array = new Uint8Array(0)

interface FetchedPartition {
  wanted: WantedPartition
  errorCode: number
  highWatermark: number
  lastStableOffset: number
  logStartOffset: number
  aborted: AbortedTransaction[]
  records: Uint8Array
  /** What is to be read for it. */
  read?: Read
  /** More is there than was read: some limit was met, or it has yet to be read. */
  isCut?: boolean
}
const READ_COMMITTED = 1

export const fetchHandler = (broker: Broker) => {
  const sessions = new FetchSessions(broker)
  return handler(fetchApi, async (request, context) => {
    const session = sessions.open(request, context)
    if ('errorCode' in session) return { errorCode: session.errorCode, responses: [] }
    const fetched = await fetchWaiting(broker, session.wanted, request, context)
    context.afterAnswer(() => releaseAll(broker, fetched))
    const answered = session.select(fetched)
    const responses: { topic: string; topicId: string; partitions: object[] }[] = []
    for (const { wanted, errorCode, highWatermark, lastStableOffset, logStartOffset, aborted, records } of answered) {
      let last = responses.at(-1)
      if (!last || last.topic !== wanted.topic || last.topicId !== wanted.topicId) {
        responses.push((last = { topic: wanted.topic, topicId: wanted.topicId, partitions: [] }))
      }
      const abortedTransactions = request.isolationLevel === READ_COMMITTED ? aborted : null
      last.partitions.push({
        partitionIndex: wanted.partition,
        errorCode,
        highWatermark,
        lastStableOffset,
        logStartOffset,
        abortedTransactions,
        records,
      })
    }
    return { sessionId: session.id, responses }
  })
}

interface Limits {
  isolationLevel: number
  maxWaitMs: number
  minBytes: number
  maxBytes: number
}

async function fetchWaiting(
  broker: Broker,
  wanted: readonly WantedPartition[],
  { isolationLevel, maxWaitMs, minBytes, maxBytes }: Limits,
  context: RequestContext,
): Promise<FetchedPartition[]> {
  const deadlineMs = performance.now() + maxWaitMs
  const quotaBytes = broker.security.quotas.fetchBytesMax(context.sasl.principal?.name ?? ANONYMOUS.name, context.clientId)
  /** Nothing was there when it was looked: what is there then was just written. */
  let isNear = false
  for (;;) {
    const room = Math.max(FETCH_BYTES_MIN, Math.floor((broker.limits.responseBytes - broker.responseBytes) / 4))
    const atMost = Math.min(maxBytes, broker.limits.fetchBytes, room, quotaBytes)
    const fetched = await fetchOnce(broker, wanted, atMost, isolationLevel, context, isNear)
    const sizeBytes = fetched.reduce((sum, { records }) => sum + records.length, 0)
    const restMs = deadlineMs - performance.now()
    // Nothing can come for a request that names no partition, such as the one with which a consumer ends its session.
    // Nor does it help to wait where limits leave out what is there.
    const isFull = sizeBytes >= minBytes || (sizeBytes > 0 && fetched.some(({ isCut }) => isCut))
    const isAnswered = wanted.length === 0 || isFull || restMs <= 0 || context.signal.aborted
    if (isAnswered || fetched.some(({ errorCode }) => errorCode !== 0)) return fetched
    releaseAll(broker, fetched)
    await waitForMore(broker, fetched, restMs, context)
    isNear = fetched.every(({ read }) => !read)
    if (minBytes > 1) await pause(Math.min(GATHER_MS, Math.max(0, deadlineMs - performance.now())))
  }
}

function releaseAll(broker: Broker, fetched: readonly FetchedPartition[]): void {
  for (const { records } of fetched) if (records !== noRecords) broker.readers.release(records)
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

async function fetchOnce(
  broker: Broker,
  wanted: readonly WantedPartition[],
  maxBytes: number,
  isolationLevel: number,
  context: RequestContext,
  isNear: boolean,
): Promise<FetchedPartition[]> {
  const topicOf = topicsOf(broker)
  const fetched = await context.turns.map(wanted, (one) => look(broker, topicOf(one), one, isolationLevel, context))
  const reading = fetched.filter(({ read }) => read)
  const pieces = Array.from({ length: Math.ceil(reading.length / READS_MAX) }, (_, i) => reading.slice(i * READS_MAX, (i + 1) * READS_MAX))
  let leftBytes = maxBytes
  await context.turns.map(pieces, async (piece) => {
    if (leftBytes <= 0) return
    const reads = piece.map(({ read }) => read!)
    const outcomes = broker.readers.readAll(reads, leftBytes, isNear)
    for (const [i, outcome] of (outcomes instanceof Promise ? await held(broker, reads, leftBytes, outcomes) : outcomes).entries()) {
      const one = piece[i]
      if (outcome === undefined) continue
      if ('error' in outcome) {
        one.errorCode = answerError(broker, 'Fetch', outcome.error).errorCode
        continue
      }
      const { records, nextOffset, aborted } = outcome
      // The first of each piece gives a batch, whatever the limit says; only that of the first that has something is wanted.
      if (records.length > leftBytes && leftBytes < maxBytes) {
        broker.readers.release(records)
        leftBytes = 0
        continue
      }
      leftBytes -= records.length
      one.records = records
      one.isCut = nextOffset < (one.read!.endOffset ?? one.highWatermark)
      // What was made durable between the look at the offsets and the read.
      one.highWatermark = Math.max(one.highWatermark, nextOffset)
      one.aborted = aborted
    }
  })
  return fetched
}

/** What is being read counts as unread by its client: others that ask meanwhile get less. */
async function held<T>(broker: Broker, reads: readonly Read[], maxBytes: number, outcomes: Promise<T>): Promise<T> {
  const sizeBytes = reads.reduce((sum, read) => Math.min(maxBytes, sum + read.maxBytes), 0)
  broker.responseBytes += sizeBytes
  try {
    return await outcomes
  } finally {
    broker.responseBytes -= sizeBytes
  }
}

/** Where a partition is, and what is to be read of it. */
function look(
  broker: Broker,
  found: TopicInfo | undefined,
  one: WantedPartition,
  isolationLevel: number,
  context: RequestContext,
): FetchedPartition {
  const nothing = { errorCode: 0, highWatermark: -1, lastStableOffset: -1, logStartOffset: -1, records: noRecords }
  const fetched: FetchedPartition = { wanted: one, ...nothing, aborted: [] }
  try {
    broker.checkLeaderEpoch(one.currentLeaderEpoch)
    if (!context.may(OPERATION.read, RESOURCE.topic, found?.name ?? one.topic)) {
      throw new KafkaError(ERROR.TOPIC_AUTHORIZATION_FAILED, 'Topic authorization failed.')
    }
    const { topic, info } = partitionOf(found, one.partition, one.topic === '')
    if (one.fetchOffset < info.startOffset || one.fetchOffset > info.endOffset) {
      const range = `${info.startOffset} to ${info.endOffset}`
      throw new KafkaError(ERROR.OFFSET_OUT_OF_RANGE, `offset ${one.fetchOffset} is not in ${range}`)
    }
    fetched.highWatermark = info.endOffset
    fetched.lastStableOffset = info.lastStableOffset
    fetched.logStartOffset = info.startOffset
    const endOffset = isolationLevel === READ_COMMITTED ? info.lastStableOffset : undefined
    if (one.fetchOffset >= (endOffset ?? info.endOffset)) return fetched
    fetched.isCut = true
    fetched.read = {
      descriptor: broker.descriptor(topic.name, one.partition),
      partition: one.partition,
      offset: one.fetchOffset,
      maxBytes: one.partitionMaxBytes,
      endOffset,
      isPlain: !readsLz4(context.client),
    }
  } catch (error) {
    fetched.errorCode = answerError(broker, 'Fetch', error).errorCode
  }
  return fetched
}

/** What the log says of the topics of a request, each asked once: it tells of all partitions. */
function topicsOf(broker: Broker): (one: WantedPartition) => TopicInfo | undefined {
  const known = new Map<string, TopicInfo | undefined>()
  return ({ topic, topicId }) => {
    const key = topic || topicId
    if (!known.has(key)) known.set(key, topic === '' ? broker.topic(null, topicId) : broker.log.topic(topic))
    return known.get(key)
  }
}

/** Until one of the partitions has more, or the time is over, or the connection gone. */
async function waitForMore(
  broker: Broker,
  fetched: readonly FetchedPartition[],
  restMs: number,
  { signal, turns }: RequestContext,
): Promise<void> {
  const { promise: isOver, resolve } = Promise.withResolvers<void>()
  let isWoken = false
  const wake = () => {
    isWoken = true
    resolve()
  }
  const timer = setTimeout(wake, restMs)
  signal.addEventListener('abort', wake)
  const topicOf = topicsOf(broker)
  const ends = await turns.map(fetched, ({ wanted, highWatermark }) => {
    try {
      const topic = isWoken ? undefined : topicOf(wanted)
      return topic && broker.readers.watch(topic, wanted.partition, highWatermark, wake)
    } catch {
      // Deleted since the turn before: the next look says so.
      wake()
    }
  })
  await isOver
  clearTimeout(timer)
  signal.removeEventListener('abort', wake)
  for (const end of ends) end?.()
}
