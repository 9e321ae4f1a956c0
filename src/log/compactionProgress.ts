// How far a partition is compacted, and when there is something to do again.
//
// Invariants
//   1. What is remembered on disk (`compaction`, one line with a checksum) is a hint: without it all is looked at again, and the result is
//      the same. It is written after the segments that it speaks of are named durably.

import { readFile } from './checkedFile.ts'
import type { CompactionOutcome } from './compaction.ts'
import type { TopicConfig } from './contract.ts'
import { crc32c } from './crc32c.ts'
import { type Disk, ignoreFailure } from './disk.ts'
import { BASE_TIMESTAMP_AT, BATCH_HEADER_BYTES, readInt64 } from './recordBatch.ts'
import type { SealedSegment } from './segment.ts'
import { logPath, type SegmentFile } from './segmentIndex.ts'

const FILE = 'compaction'

export class CompactionProgress {
  firstDirtyOffset = 0
  /** When the time of a deletion is over, epoch ms. */
  horizonMs = Number.POSITIVE_INFINITY

  /**
   * The segments to compact, from the first one on, if it is time: enough is dirty, or has waited too long, or a deletion's time is over.
   *
   * @param sealed  those that may be rewritten, oldest first
   */
  due(disk: Disk, folder: string, sealed: readonly SealedSegment[], config: TopicConfig, nowMs: number): SealedSegment[] | undefined {
    const lagMs = config['min.compaction.lag.ms']
    const isYoung = ({ nextOffset, maxTimestampMs }: SealedSegment) =>
      lagMs > 0 && nextOffset > this.firstDirtyOffset && maxTimestampMs > nowMs - lagMs
    const young = sealed.findIndex(isYoung)
    const sources = young < 0 ? [...sealed] : sealed.slice(0, young)
    if (sources.length === 0) return undefined
    if (nowMs >= this.horizonMs) return sources
    const dirty = sources.filter(({ nextOffset }) => nextOffset > this.firstDirtyOffset)
    if (dirty.length === 0) return undefined
    const bytesOf = (some: readonly SealedSegment[]) => some.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    if (bytesOf(dirty) > config['min.cleanable.dirty.ratio'] * bytesOf(sources)) return sources
    const lagMaxMs = config['max.compaction.lag.ms']
    if (lagMaxMs === Number.MAX_SAFE_INTEGER) return undefined
    return nowMs - firstTimestampMs(disk, folder, dirty[0].file) > lagMaxMs ? sources : undefined
  }

  finish(disk: Disk, folder: string, { endOffset, horizonMs }: CompactionOutcome): void {
    this.firstDirtyOffset = endOffset
    this.horizonMs = horizonMs
    ignoreFailure(() => {
      const text = new TextEncoder().encode(JSON.stringify({ firstDirtyOffset: endOffset, horizonMs }))
      const line = new TextEncoder().encode(`${crc32c(text).toString(16).padStart(8, '0')} `)
      const file = disk.open(`${folder}/${FILE}`, 'create')
      try {
        disk.truncate(file, 0)
        disk.write(file, [line, text], 0)
      } finally {
        disk.close(file)
      }
    })
  }

  load(disk: Disk, folder: string): void {
    ignoreFailure(() => {
      const bytes = readFile(disk, `${folder}/${FILE}`)
      const body = bytes.subarray(9)
      if (crc32c(body) !== Number.parseInt(new TextDecoder().decode(bytes.subarray(0, 8)), 16)) return
      const { firstDirtyOffset, horizonMs } = JSON.parse(new TextDecoder().decode(body))
      this.firstDirtyOffset = firstDirtyOffset
      // Infinity is null in JSON.
      this.horizonMs = horizonMs ?? Number.POSITIVE_INFINITY
    })
  }
}

function firstTimestampMs(disk: Disk, folder: string, segment: SegmentFile): number {
  const file = disk.open(logPath(folder, segment), 'read')
  try {
    const header = new Uint8Array(BATCH_HEADER_BYTES)
    const isThere = disk.read(file, header, 0, BATCH_HEADER_BYTES, 0) === BATCH_HEADER_BYTES
    return isThere ? readInt64(header, BASE_TIMESTAMP_AT) : Number.POSITIVE_INFINITY
  } finally {
    disk.close(file)
  }
}
