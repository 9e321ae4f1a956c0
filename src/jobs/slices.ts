// A part of the log that a query reads instead of all of it: between two times, between two offsets, or the newest records.
import type { SourceSpec } from '../engine/index.ts'
import type { Log } from '../log/index.ts'

/** For each partition of a topic: the first offset that is read, and the one behind the last. */
export type Slice = NonNullable<SourceSpec['slice']>

export interface SliceOptions {
  /** Epoch ms of the log's timestamps: from the first record at or after it … */
  sinceMs?: number
  /** … to before the first one at or after this. */
  untilMs?: number
  /** Only this one of each topic; from others nothing is read. */
  partition?: number
  /** First offset, and the one behind the last, in every partition that is read. */
  offset?: number
  endOffset?: number
  /** At most so many of the newest of each partition. */
  newest?: number
  /** It has no end but one that is said: what arrives later is read, too. */
  isOpen?: boolean
}

/**
 * The slice of each topic, up to its present end: that of what is committed, since who reads to the end of an open transaction would wait for it.
 * Bounds beyond what a partition holds are moved to its ends.
 */
export async function slicesOf(
  log: Pick<Log, 'topic' | 'readMessages'>,
  topics: readonly string[],
  options: SliceOptions,
): Promise<Map<string, Slice>> {
  const { sinceMs, untilMs, partition: wanted, offset = 0, endOffset: wantedEnd = Number.MAX_SAFE_INTEGER, newest } = options
  const isEndless = options.isOpen === true && untilMs === undefined && options.endOffset === undefined
  const slices = new Map<string, Slice>()
  for (const topic of topics) {
    const { partitions } = log.topic(topic)!
    const ends = partitions.map(({ lastStableOffset }) => lastStableOffset)
    const starts = sinceMs === undefined ? partitions.map(({ startOffset }) => startOffset) : await offsetsAt(log, topic, sinceMs, ends)
    const stops = untilMs === undefined ? ends : await offsetsAt(log, topic, untilMs, ends)
    const start: number[] = []
    const stop: number[] = []
    for (const { partition, startOffset } of partitions) {
      const end = wanted !== undefined && wanted !== partition ? 0 : Math.min(stops[partition], wantedEnd)
      stop.push(Math.max(startOffset, end))
      const first = Math.max(starts[partition], offset, startOffset, newest === undefined ? 0 : stop[partition] - newest)
      start.push(Math.min(first, stop[partition]))
    }
    const isRead = (partition: number): boolean => wanted === undefined || wanted === partition
    slices.set(topic, { start, stop: isEndless ? stop.map((end, partition) => (isRead(partition) ? Number.MAX_SAFE_INTEGER : end)) : stop })
  }
  return slices
}

/** The first offset of each partition whose record is of `timeMs` or later; its end if there is none. */
export async function offsetsAt(log: Pick<Log, 'readMessages'>, topic: string, timeMs: number, ends: number[]): Promise<number[]> {
  const first = ends.map((_, partition) => log.readMessages(topic, { partition, fromTimeMs: timeMs, limit: 1 }))
  return (await Promise.all(first)).map(([record], partition) => Math.min(record?.offset ?? ends[partition], ends[partition]))
}
