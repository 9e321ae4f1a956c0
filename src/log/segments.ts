// The files of a partition, for people who look at it.
import type { TopicDescriptor } from './contract.ts'
import { realDisk } from './disk.ts'
import { listSegments, logPath } from './segmentIndex.ts'

export interface SegmentInfo {
  baseOffset: number
  sizeBytes: number
}

/** The segments of a partition, oldest first; the last one is being written to. One that retention takes meanwhile is left out. A real Kafka tells none. */
export function listPartitionSegments({ cluster, partitions }: TopicDescriptor, partition: number): SegmentInfo[] {
  if (cluster) return []
  const { folder } = partitions[partition]
  return listSegments(realDisk, folder).flatMap((baseOffset) => {
    try {
      const file = realDisk.open(logPath(folder, baseOffset), 'read')
      const sizeBytes = realDisk.size(file)
      realDisk.close(file)
      return [{ baseOffset, sizeBytes }]
    } catch {
      return []
    }
  })
}
