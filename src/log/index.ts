// The durable, partitioned, replayable log: record batches as Kafka has them, on disk before they are acknowledged, read by any thread.
export type { AbortedTransaction } from './abortedIndex.ts'
export { checkedLine, readAgain, readFile, readLine, replaceFile } from './checkedFile.ts'

import type { KafkaLogOptions, Log } from './contract.ts'

export { growsLarge } from './claimedBytes.ts'
export * from './contract.ts'
export { crc32c } from './crc32c.ts'
export { type Disk, ensureFolder, ensureFolders, errorCodeOf, type FileHandle, ignoreFailure, ignoreMissing, realDisk } from './disk.ts'
export { ensureTopic } from './ensureTopic.ts'
export { logErrors, reviveLogError } from './errors.ts'
export { lockFolder } from './folderLock.ts'
export { HostedLog } from './hostedLog.ts'
export { type DamagedRange, inspectLog, inspectSegment, type SpareBytes } from './inspect.ts'
export { redoJournal } from './journalRedo.ts'
export { openLog } from './log.ts'
export { builtLz4Blocks, Lz4BatchBuilder } from './lz4BatchBuilder.ts'
export { readMarker } from './marker.ts'
export { HISTORY_TOPIC, isSecretTopic, lettersTopicOf, SECURITY_TOPIC } from './ownTopics.ts'

/** The log in a real Kafka. The client library is loaded only by who calls this. @throws LOG_REMOTE_UNAVAILABLE, LOG_REMOTE_REFUSED */
export async function openKafkaLog(options: KafkaLogOptions): Promise<Log> {
  return (await import('./kafkaLog/kafkaLog.ts')).openKafkaLog(options)
}

export { damageTeller, openReader, readPastDamage, readToEnd } from './openReader.ts'
export { murmur2, partitionOf } from './partitioner.ts'
export { type PinnedFile, type PinnedPartition, pinFiles } from './pin.ts'
export { type FilePartitionReader, openPartitionReader, type RecordPlace } from './reader.ts'
export { codecOf, recompressed } from './recompress.ts'
export {
  BATCH_HEADER_BYTES,
  BatchBuilder,
  type BatchOptions,
  batchHeaderOf,
  batchSizeOf,
  encodeHeaders,
  finishedBatch,
  type HeaderTemplate,
  noHeaders,
  RECORD_OVERHEAD_BYTES_MAX,
  TRANSACTIONAL_FLAG,
  verifyBatch,
} from './recordBatch.ts'
export { findHeader, indexBatch, RecordIndex, readHeaders, readRecords, validateBatch } from './recordIndex.ts'
export { listPartitionSegments, type SegmentInfo } from './segments.ts'
export {
  checkDefaults,
  checkTopicConfig,
  checkTopicName,
  damagedTopics,
  defaultTopicConfig,
  followsDefaults,
  PARTITION_COUNT_MAX,
} from './topicMeta.ts'
export * from './transactions/contract.ts'
export { openTransactions, TRANSACTION_TIMEOUT_MS_MAX, TRANSACTIONS_TOPIC } from './transactions/coordinator.ts'
export { SequencedTransaction } from './transactions/transaction.ts'
export { openWriter, type Writer } from './writer.ts'
