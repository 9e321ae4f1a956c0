// What HTTP brought is stored in LZ4 (log/lz4BatchBuilder.ts), which not every client can read: kafka-python and kafkajs need another package
// for it. Who posted it has not asked for LZ4, so a client that is not known to read it gets such batches without compression. What Kafka
// producers sent stays as they sent it, for all clients.
import { batchSizeOf, builtLz4Blocks, recompressed } from '../../log/index.ts'
import type { ClientSoftware } from '../broker.ts'

/** Java's client, librdkafka and what is built on it, franz-go, Sarama, Platformatic's. */
const LZ4_CLIENTS = /^(apache-kafka-java|librdkafka|confluent-kafka|kgo|sarama|platformatic-kafka)/i

export const readsLz4 = ({ name }: ClientSoftware): boolean => LZ4_CLIENTS.test(name)

/**
 * @param records     whole batches
 * @param limitBytes  of the result, unless one batch alone has more: what does not fit is left out at the end
 * @returns           the same bytes, if none of the batches was made by the front door
 * @throws            LOG_BATCH_CHECKSUM, LOG_BATCH_INVALID
 */
export function withoutBuiltLz4(records: Uint8Array, limitBytes: number): Uint8Array {
  const batches: Uint8Array[] = []
  let sizeBytes = 0
  let isChanged = false
  for (let at = 0; at < records.length; ) {
    const end = at + batchSizeOf(records, at)
    let batch = records.subarray(at, end)
    if (builtLz4Blocks(records, at) !== undefined) {
      batch = recompressed(batch, 0)
      isChanged = true
    }
    if (sizeBytes > 0 && sizeBytes + batch.length > limitBytes) break
    batches.push(batch)
    sizeBytes += batch.length
    at = end
  }
  return isChanged ? Buffer.concat(batches) : records
}
