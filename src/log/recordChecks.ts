// What a partition wants of the records of a batch, each of which is looked at: where the batch is written, or before that in a thread beside
// (hostedLog.ts), when it is a large one.
import type { StreamError } from '../base/index.ts'
import { logErrors } from './errors.ts'
import { ATTRIBUTES_AT, BASE_SEQUENCE_AT, PRODUCER_ID_AT, readInt32, readInt64 } from './recordBatch.ts'
import { RecordIndex, validateBatch } from './recordIndex.ts'

export interface RecordRules {
  topic: string
  /** A client's: our own batches are right but for what compaction needs. */
  isForeign: boolean
  isCompacted: boolean
  /** Which times a client's records may have, epoch ms. */
  earliestMs: number
  latestMs: number
}

/** For looking at batches; what it points to is let go with the next one. */
const scratch = new RecordIndex(1024, true)

/** What is wrong with a batch that is no control batch of ours: header, checksum, records. */
export function checkRecords(bytes: Uint8Array, rules: RecordRules): StreamError | undefined {
  try {
    if (validateBatch(bytes, scratch) > scratch.count) {
      return logErrors('LOG_BATCH_INVALID', { position: ATTRIBUTES_AT, reason: "control batches are the log's to write" })
    }
    // Only our own writers may go without.
    if (rules.isForeign && readInt64(bytes, PRODUCER_ID_AT) >= 0 && readInt32(bytes, BASE_SEQUENCE_AT) < 0) {
      return logErrors('LOG_BATCH_INVALID', { position: BASE_SEQUENCE_AT, reason: 'a producer id without a sequence' })
    }
    return checkKeys(rules) ?? (rules.isForeign ? checkTimestamps(rules) : undefined)
  } catch (error) {
    return error as StreamError
  }
}

/** Compaction would not know what to do with a record that has no key. */
function checkKeys({ isCompacted, topic }: RecordRules): StreamError | undefined {
  if (!isCompacted) return undefined
  const row = scratch.keyStarts.subarray(0, scratch.count).findIndex((start) => start < 0)
  return row < 0 ? undefined : logErrors('LOG_KEY_MISSING', { topic, index: row })
}

function checkTimestamps({ topic, earliestMs, latestMs }: RecordRules): StreamError | undefined {
  for (let row = 0; row < scratch.count; row++) {
    const timestampMs = scratch.timestampsMs[row]
    // -1 is Kafka's "no timestamp".
    if (timestampMs === -1 || (timestampMs >= earliestMs && timestampMs <= latestMs)) continue
    return logErrors('LOG_TIMESTAMP_INVALID', { topic, index: row, timestampMs, earliestMs, latestMs })
  }
  return undefined
}
