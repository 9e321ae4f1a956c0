// Helpers of the log's tests: batches of text records, and reading them back as text.
import type { TopicDescriptor } from './contract.ts'
import type { Disk } from './disk.ts'
import type { Partition } from './partition.ts'
import { openPartitionReader } from './reader.ts'
import { BatchBuilder, noHeaders } from './recordBatch.ts'
import { readRecords } from './recordIndex.ts'

export function makeBatch(values: readonly string[], timestampMs = 0): Uint8Array {
  const builder = new BatchBuilder()
  for (const value of values) {
    const bytes = new TextEncoder().encode(value)
    builder.appendRecord(null, bytes, 0, bytes.length, noHeaders, timestampMs)
  }
  return builder.finish()
}

/** All records of a partition from an offset on, as `[offset, text]`. */
export function readTexts(
  descriptor: TopicDescriptor,
  partition: number,
  disk?: Disk,
  fromOffset = 0,
  maxBytes?: number,
): [number, string][] {
  const reader = openPartitionReader(descriptor, partition, fromOffset, disk)
  const texts: [number, string][] = []
  try {
    for (let run = reader.read(maxBytes); run; run = reader.read(maxBytes)) {
      for (const { offset, value } of readRecords(run.bytes, run.start, run.end, run.fromOffset)) {
        texts.push([offset, value === null ? '' : new TextDecoder().decode(value)])
      }
    }
  } finally {
    reader.close()
  }
  return texts
}

export const descriptorOf = (partition: Partition): TopicDescriptor => ({
  topic: 't',
  id: 'id',
  partitions: [{ partition: 0, folder: partition.folder, state: partition.state.shared }],
})
