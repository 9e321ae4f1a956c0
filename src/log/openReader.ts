// A reader of one partition, whichever log it is in.
import type { Isolation, PartitionReader, ReadResult, TopicDescriptor } from './contract.ts'
import type { Disk } from './disk.ts'
import { logErrors } from './errors.ts'
import { KafkaPartitionReader } from './kafkaLog/reader.ts'
import { openPartitionReader } from './reader.ts'

/** Data that is known to be there and does not come for so long: who has it does not answer. */
const READ_WAIT_MS = 15_000

/**
 * @param fromOffset  the first record wanted; the first batch returned may begin before it
 * @param disk        where our own log's files are; the real one unless said
 * @param isolation   `read_uncommitted` unless said, as Kafka's clients
 * @throws            LOG_PARTITION_NOT_FOUND
 */
export function openReader(
  descriptor: TopicDescriptor,
  partition: number,
  fromOffset: number,
  disk?: Disk,
  isolation?: Isolation,
): PartitionReader {
  const { cluster, topic, partitions } = descriptor
  if (!cluster) return openPartitionReader(descriptor, partition, fromOffset, disk, isolation)
  const found = partitions[partition]
  if (!found) throw logErrors('LOG_PARTITION_NOT_FOUND', { topic, partition, partitionCount: partitions.length })
  return new KafkaPartitionReader(topic, partition, cluster, found.state, fromOffset, isolation)
}

/**
 * All runs from `startOffset` to `endOffset`, both known to be in the partition.
 *
 * @throws LOG_READ_FAILED and what `PartitionReader.read` throws
 */
export async function* readToEnd(
  reader: PartitionReader,
  { startOffset, endOffset }: { startOffset: number; endOffset: number },
  maxBytes?: number,
): AsyncGenerator<ReadResult> {
  reader.seek(startOffset)
  while (reader.nextOffset < endOffset) {
    const run = reader.read(maxBytes)
    if (run) yield run
    else if (!(await reader.waitForData(READ_WAIT_MS))) {
      const reason = `no records came for ${READ_WAIT_MS / 1_000} s`
      throw logErrors('LOG_READ_FAILED', { path: `offset ${reader.nextOffset}`, reason })
    }
  }
}
