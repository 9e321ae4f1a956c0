// A reader of one partition, whichever log it is in.
import { isStreamError, type StreamError } from '../base/index.ts'
import type { Isolation, Log, PartitionReader, ReadResult, TopicDescriptor } from './contract.ts'
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
 * As `reader.read`, past what is damaged: for topics of our own, which a start reads and must not fail for. Each damage is told.
 *
 * @throws what `PartitionReader.read` throws, but LOG_SEGMENT_DAMAGED
 */
export function readPastDamage(reader: PartitionReader, onDamage: (error: StreamError) => void, maxBytes?: number): ReadResult | undefined {
  for (;;) {
    try {
      return reader.read(maxBytes)
    } catch (error) {
      if (!isStreamError(error) || error.code !== 'LOG_SEGMENT_DAMAGED') throw error
      onDamage(error)
      reader.seek(error.params.nextOffset as number)
    }
  }
}

/** Tells a log what was found damaged in a partition while it was read. */
export const damageTeller =
  (log: Pick<Log, 'noteDamage'>, topic: string, partition: number) =>
  ({ message, params }: StreamError): void => {
    const { path, position, firstOffset: offset } = params as { path: string; position: number; firstOffset: number }
    log.noteDamage?.({ topic, partition, path, kind: 'damaged', cutBytes: 0, position, offset, reason: message })
  }

/**
 * All runs from `startOffset` to `endOffset`, both known to be in the partition.
 *
 * @param onDamage  what is damaged is told and passed over; absent: it is thrown
 * @throws LOG_READ_FAILED and what `PartitionReader.read` throws
 */
export async function* readToEnd(
  reader: PartitionReader,
  { startOffset, endOffset }: { startOffset: number; endOffset: number },
  maxBytes?: number,
  onDamage?: (error: StreamError) => void,
): AsyncGenerator<ReadResult> {
  reader.seek(startOffset)
  while (reader.nextOffset < endOffset) {
    const run = onDamage ? readPastDamage(reader, onDamage, maxBytes) : reader.read(maxBytes)
    if (run) yield run
    else if (reader.nextOffset >= endOffset) return
    else if (!(await reader.waitForData(READ_WAIT_MS))) {
      const reason = `no records came for ${READ_WAIT_MS / 1_000} s`
      throw logErrors('LOG_READ_FAILED', { path: `offset ${reader.nextOffset}`, reason })
    }
  }
}
