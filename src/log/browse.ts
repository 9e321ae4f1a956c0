// Records of a topic as people look at them: from an offset or a time on, or the newest.
import type { BrowsedRecord, BrowseOptions, PartitionInfo, TopicDescriptor } from './contract.ts'
import { openReader, readToEnd } from './openReader.ts'
import { readRecords } from './recordIndex.ts'

const READ_BYTES = 256 * 1024
const LIMIT = 100

/**
 * @param partitions  all of the topic: what is in them now is what is looked at
 * @throws            what `readToEnd` throws
 */
export async function browse(descriptor: TopicDescriptor, partitions: PartitionInfo[], options: BrowseOptions): Promise<BrowsedRecord[]> {
  const limit = Math.max(0, options.limit ?? LIMIT)
  if (limit === 0) return []
  const newest = options.fromOffset === undefined && options.fromTimeMs === undefined
  const wanted = options.partition === undefined ? partitions : [partitions[options.partition]]
  const found = (await Promise.all(wanted.map((info) => browsePartition(descriptor, info, options, limit)))).flat()
  // Partitions have no order among them: time gives one. Within a partition it is the offset's.
  if (wanted.length > 1) found.sort((a, b) => a.timestampMs - b.timestampMs || a.partition - b.partition || a.offset - b.offset)
  return newest ? found.slice(Math.max(0, found.length - limit)) : found.slice(0, limit)
}

async function browsePartition(
  descriptor: TopicDescriptor,
  { partition, startOffset, endOffset }: PartitionInfo,
  { fromOffset, fromTimeMs }: BrowseOptions,
  limit: number,
): Promise<BrowsedRecord[]> {
  const found: BrowsedRecord[] = []
  const first = fromOffset === undefined ? Math.max(startOffset, endOffset - limit) : Math.min(Math.max(fromOffset, startOffset), endOffset)
  const reader = openReader(descriptor, partition, first)
  try {
    const from = fromOffset === undefined && fromTimeMs !== undefined ? await reader.seekTime(fromTimeMs) : first
    for await (const run of readToEnd(reader, { startOffset: from, endOffset }, READ_BYTES)) {
      for (const record of readRecords(run.bytes, run.start, run.end, run.fromOffset)) {
        found.push({ partition, ...record })
        if (found.length === limit) return found
      }
    }
    return found
  } finally {
    reader.close()
  }
}
