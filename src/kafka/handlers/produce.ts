// Produce: each batch is looked at by its header, and goes to the log as it came. The log's writer checks
// CRC, records and the sequence of its producer.
//
// Invariants
//   1. Appends of one connection reach the log in the order of the requests: nothing is awaited between a request's turn and its appends
//      but the gate, which is first come, first served
//      (and, for a transaction, the coordinator, which takes its requests in order too).
//   2. A transactional batch reaches the log only while its partition belongs to the open transaction of its producer, looked at in the same
//      tick. Since version 12 the first batch adds the partition; before, the client has added it.
//   3. An answer with no error means: durable. Also with acks=0 the request counts as in flight until then.
import { isStreamError } from '../../base/index.ts'
import {
  BATCH_HEADER_BYTES,
  batchHeaderOf,
  growsLarge,
  type LogRecord,
  type ProducerIdAndEpoch,
  readRecords,
  type TopicPartition,
} from '../../log/index.ts'
import { type Broker, handler, type RequestContext } from '../broker.ts'
import { ERROR, KafkaError, kafkaCodeOf } from '../errors.ts'
import { produceApi } from '../messages/produce.ts'
import { answerError, partitionOf } from './partitions.ts'

const CODEC_MAX = 4
const CODEC_ZSTD = 4
/** Since this version a producer may send zstd. */
const ZSTD_VERSION = 7
/** Since this version a client can be told that only this transaction is lost. */
const ABORTABLE_VERSION = 11
/** Since this version the first batch for a partition adds it to the transaction. */
const JOINING_VERSION = 12
/** So many records of a batch are blamed by name: of a compressed one there may be millions. */
const BLAMED_MAX = 1_000
type TopicData = readonly { name: string; partitionData: readonly { index: number; records: Uint8Array | null }[] }[]

interface Answer {
  index: number
  errorCode?: number
  errorMessage?: string
  baseOffset: number
  logAppendTimeMs?: number
  logStartOffset?: number
  recordErrors?: { batchIndex: number; batchIndexErrorMessage: string }[]
}

export const produceHandler = (broker: Broker) =>
  handler(
    produceApi,
    async ({ transactionalId, acks, topicData }, context) => {
      const transaction = transactionOf(broker, transactionalId, topicData, context.version)
      const responses = await together(topicData, async ({ name, partitionData }) => ({
        name,
        partitionResponses: await together(partitionData, ({ index, records }) =>
          produce(broker, name, index, records, acks, transaction, context),
        ),
      }))
      if (acks !== 0) return { responses }
      const failed = responses.flatMap((response) => response.partitionResponses).find(({ errorCode }) => errorCode)
      // There is no answer that could say so; Kafka closes the connection too, and the client looks for the reason in new metadata.
      if (failed) throw new KafkaError(failed.errorCode as never, `acks=0 and ${failed.errorMessage}`)
      return undefined
    },
    true,
  )

/** All of them begin in this tick. Mostly it is one, for which `Promise.all` costs more than the rest of the handler. */
const together = async <T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> =>
  items.length === 1 ? [await work(items[0])] : Promise.all(items.map(work))

async function produce(
  broker: Broker,
  topic: string,
  index: number,
  records: Uint8Array | null,
  acks: number,
  { transactionalId, joined }: RequestTransaction,
  { version }: RequestContext,
): Promise<Answer> {
  try {
    if (acks < -1 || acks > 1) throw new KafkaError(ERROR.INVALID_REQUIRED_ACKS, `acks=${acks}`)
    // Looks at this partition alone; if it is not there, the other way says why.
    if (!broker.log.partition(topic, index)) partitionOf(broker.log.topic(topic), index)
    if (broker.isInternal(topic)) throw new KafkaError(ERROR.INVALID_TOPIC_EXCEPTION, `topic ${topic} is internal`)
    const batch = checkBatch(records, version)
    const { isTransactional, producerId, producerEpoch } = batchHeaderOf(batch, 0)
    if (isTransactional && joined) await joined
    const entry = broker.appendGate.enter(batch.length)
    if (entry) await entry
    try {
      if (isTransactional) {
        if (transactionalId === null) throw new KafkaError(ERROR.INVALID_REQUEST, 'a transactional batch without a transactional id')
        const ref = { transactionalId, producerId, producerEpoch }
        broker.transactions.verifyPartitions(ref, [{ topic, partition: index }])
      }
      const { first, logAppendTimeMs } = await broker.log.append(topic, index, batch, { isForeign: true })
      return { index, baseOffset: first, logAppendTimeMs, logStartOffset: broker.log.partition(topic, index)?.startOffset ?? 0 }
    } finally {
      broker.appendGate.leave(batch.length)
    }
  } catch (error) {
    const answer = answerError(broker, 'Produce', asProduceError(error, version))
    const recordErrors = blamedRecords(error, records).map((batchIndex) => ({ batchIndex, batchIndexErrorMessage: answer.errorMessage }))
    return { index, baseOffset: -1, ...answer, recordErrors }
  }
}

/** Which records of a refused batch are to blame: the client sends the others again without them. */
function blamedRecords(error: unknown, batch: Uint8Array | null): number[] {
  if (!isStreamError(error) || batch === null) return []
  const isKeyMissing = error.code === 'LOG_KEY_MISSING'
  // To open a large one once more would hold others up; then the client takes all of it for refused.
  if (!(isKeyMissing || error.code === 'LOG_TIMESTAMP_INVALID') || growsLarge(batch)) return []
  // The log stops at the first one.
  if (isKeyMissing) return indicesOf(batch, ({ key }) => key === null)
  const { earliestMs, latestMs } = error.params as { earliestMs: number; latestMs: number }
  return indicesOf(batch, ({ timestampMs }) => timestampMs !== -1 && (timestampMs < earliestMs || timestampMs > latestMs))
}
function indicesOf(batch: Uint8Array, isMeant: (record: LogRecord) => boolean): number[] {
  const found: number[] = []
  let index = 0
  for (const record of readRecords(batch, 0, batch.length)) {
    if (isMeant(record) && found.push(index) === BLAMED_MAX) break
    index++
  }
  return found
}

/** Clients know other codes of transactions here than from the coordinator. */
function asProduceError(error: unknown, version: number): unknown {
  const { code, message } = kafkaCodeOf(error)
  if (code === ERROR.PRODUCER_FENCED) return new KafkaError(ERROR.INVALID_PRODUCER_EPOCH, message)
  if (code === ERROR.INVALID_TXN_STATE && version >= ABORTABLE_VERSION) return new KafkaError(ERROR.TRANSACTION_ABORTABLE, message)
  return error
}

interface RequestTransaction {
  transactionalId: string | null
  /** Resolves when the coordinator has all partitions of the request; undefined where the client tells it by itself. */
  joined: Promise<void> | undefined
}

function transactionOf(broker: Broker, transactionalId: string | null, topicData: TopicData, version: number): RequestTransaction {
  if (transactionalId === null || version < JOINING_VERSION) return { transactionalId, joined: undefined }
  const targets: TopicPartition[] = []
  let producer: ProducerIdAndEpoch | undefined
  for (const { name, partitionData } of topicData) {
    const partitionCount = broker.isInternal(name) ? 0 : (broker.log.topic(name)?.partitions.length ?? 0)
    for (const { index, records } of partitionData) {
      const header = records && records.length >= BATCH_HEADER_BYTES ? batchHeaderOf(records, 0) : undefined
      if (!header?.isTransactional || index < 0 || index >= partitionCount) continue
      producer ??= { producerId: header.producerId, producerEpoch: header.producerEpoch }
      targets.push({ topic: name, partition: index })
    }
  }
  const joined = producer && broker.transactions.addPartitions({ transactionalId, ...producer }, targets)
  // Each of its partitions answers with the failure.
  joined?.catch(() => {})
  return { transactionalId, joined }
}

/** What can be said without looking at the records: one batch of magic 2 that a client may send. @throws KafkaError */
function checkBatch(records: Uint8Array | null, version: number): Uint8Array {
  if (records === null || records.length < BATCH_HEADER_BYTES) throw new KafkaError(ERROR.INVALID_RECORD, 'no record batch')
  const { sizeBytes, magic, codec, isControl, isLogAppendTime } = batchHeaderOf(records, 0)
  if (magic !== 2) throw new KafkaError(ERROR.INVALID_RECORD, `record batch of magic ${magic}`)
  if (sizeBytes !== records.length) throw new KafkaError(ERROR.INVALID_RECORD, 'a request has one record batch for each partition')
  if (codec > CODEC_MAX || (codec === CODEC_ZSTD && version < ZSTD_VERSION)) {
    throw new KafkaError(ERROR.UNSUPPORTED_COMPRESSION_TYPE, `compression ${codec}`)
  }
  if (isControl) throw new KafkaError(ERROR.INVALID_RECORD, "control batches are the broker's to write")
  if (isLogAppendTime) throw new KafkaError(ERROR.INVALID_TIMESTAMP, "LogAppendTime is not the client's to set")
  return records
}
