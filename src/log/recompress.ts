// A batch in another codec: what a topic's `compression.type` asks for, and a producer of ours for whom the builder has none.
import { compress } from './compress.ts'
import type { TopicInfo } from './contract.ts'
import { crc32c } from './crc32c.ts'
import { logErrors } from './errors.ts'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_AT,
  BATCH_PREFIX_BYTES,
  batchHeaderOf,
  COMPRESSION_MASK,
  CRC_AT,
  readInt16,
  verifyBatch,
  writeInt16,
  writeInt32,
} from './recordBatch.ts'
import { codecNames, recordsOf } from './recordIndex.ts'

/** Kafka's numbers for the names that its producers know, and for `uncompressed`, which its topics have for `none`. */
export const codecOf = (name: string): number => (name === 'uncompressed' ? 0 : codecNames.indexOf(name))

/**
 * The batch with its records in a codec; the same one if they are in it already. Control batches stay as they are.
 *
 * @param codec  0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd
 * @throws       LOG_BATCH_INVALID, LOG_BATCH_CHECKSUM, LOG_COMPRESSION_UNSUPPORTED: its records cannot be read
 */
export function recompressed(batch: Uint8Array, codec: number): Uint8Array {
  const had = batchHeaderOf(batch, 0)
  if (had.codec === codec || had.isControl) return batch
  // The new checksum must not hide that the old one was wrong.
  if (verifyBatch(batch, 0, batch.length) !== batch.length)
    throw logErrors('LOG_BATCH_INVALID', { position: 0, reason: 'bytes after the batch' })
  const plain = recordsOf(batch)
  const records = codec === 0 ? plain : compress(plain, codec)
  const changed = new Uint8Array(BATCH_HEADER_BYTES + records.length)
  changed.set(batch.subarray(0, BATCH_HEADER_BYTES))
  changed.set(records, BATCH_HEADER_BYTES)
  writeInt32(changed, BATCH_LENGTH_AT, changed.length - BATCH_PREFIX_BYTES)
  writeInt16(changed, ATTRIBUTES_AT, (readInt16(batch, ATTRIBUTES_AT) & ~COMPRESSION_MASK) | codec)
  writeInt32(changed, CRC_AT, crc32c(changed.subarray(ATTRIBUTES_AT)))
  return changed
}

/**
 * The codec that a topic wants a batch in; undefined: as it is. What the writer would refuse for its size comes to nothing here, before work and
 * memory are spent on it; as with Kafka, a client's batch is measured as it was sent too.
 *
 * @throws LOG_BATCH_TOO_LARGE
 */
export function codecWanted(
  { name, config }: Pick<TopicInfo, 'name' | 'config'>,
  sent: Uint8Array,
  isForeign: boolean,
): number | undefined {
  const { 'compression.type': compression, 'max.message.bytes': limitBytes } = config
  if (compression === 'producer') return undefined
  if (isForeign && sent.length > limitBytes) throw logErrors('LOG_BATCH_TOO_LARGE', { topic: name, sizeBytes: sent.length, limitBytes })
  return codecOf(compression)
}

/** @throws LOG_BATCH_TOO_LARGE */
export function checkSize({ name, config }: Pick<TopicInfo, 'name' | 'config'>, { length: sizeBytes }: Uint8Array): void {
  const { 'max.message.bytes': limitBytes } = config
  if (sizeBytes > limitBytes) throw logErrors('LOG_BATCH_TOO_LARGE', { topic: name, sizeBytes, limitBytes })
}

/** The batch in the topic's codec. @throws LOG_BATCH_TOO_LARGE, and as `recompressed` */
export function asTopicWants(topic: Pick<TopicInfo, 'name' | 'config'>, sent: Uint8Array, isForeign: boolean): Uint8Array {
  const codec = codecWanted(topic, sent, isForeign)
  if (codec === undefined) return sent
  const batch = recompressed(sent, codec)
  checkSize(topic, batch)
  return batch
}
