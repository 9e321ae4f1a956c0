// Records of a topic as people look at them: from an offset or a time on, or the newest.
import type { BrowsedRecord, BrowseOptions, PartitionInfo, TopicDescriptor } from './contract.ts'
import { openReader, readToEnd } from './openReader.ts'
import { readRecords } from './recordIndex.ts'

const READ_BYTES = 256 * 1024
const LIMIT = 100
/** How far back the newest records are looked for where there is little else than markers. */
const LOOK_BACK_FACTOR = 8
const LOOK_BACK_MAX = 100_000

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
  { partition, startOffset, endOffset, lastStableOffset }: PartitionInfo,
  { fromOffset, fromTimeMs, isolation = 'read_committed' }: BrowseOptions,
  limit: number,
): Promise<BrowsedRecord[]> {
  const end = isolation === 'read_committed' ? lastStableOffset : endOffset
  const reader = openReader(descriptor, partition, startOffset, undefined, isolation)
  const from = async (first: number, countMax: number): Promise<BrowsedRecord[]> => {
    const found: BrowsedRecord[] = []
    for await (const run of readToEnd(reader, { startOffset: first, endOffset: end }, READ_BYTES)) {
      for (const record of readRecords(run.bytes, run.start, run.end, run.fromOffset)) {
        found.push({ partition, ...record })
        if (found.length === countMax) return found
      }
    }
    return found
  }
  try {
    if (fromOffset !== undefined) return await from(Math.min(Math.max(fromOffset, startOffset), end), limit)
    if (fromTimeMs !== undefined) return await from(await reader.seekTime(fromTimeMs), limit)
    // Markers and aborted records take offsets too: look further back until enough is found.
    for (let lookBack = limit; ; lookBack *= LOOK_BACK_FACTOR) {
      const first = Math.max(startOffset, end - lookBack)
      const found = await from(first, Number.POSITIVE_INFINITY)
      if (found.length >= limit || first === startOffset || lookBack >= LOOK_BACK_MAX) return found.slice(-limit)
    }
  } finally {
    reader.close()
  }
}
