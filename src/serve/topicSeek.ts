// From the parameters of a request to where a scan begins, and from page to page.
import type { BoundRecordQuery, RecordQuery } from '../jobs/index.ts'
import { openReader, type TopicInfo } from '../log/index.ts'
import type { ServeDeps } from './deps.ts'
import { serveErrors } from './errors.ts'
import type { Range, ScanRequest } from './scan.ts'

export interface Seek {
  from?: 'newest' | 'oldest'
  offset?: number
  time?: string
  partition?: number
}
export type Start = Pick<ScanRequest, 'direction' | 'ranges'>

const TIME_MS_MAX = 8.64e15

/** @throws StreamError SERVE_SEEK_INVALID */
export function parseTimeMs(text: string): number {
  const fail = () => serveErrors('SERVE_SEEK_INVALID', { reason: `"${text}" is no time` })
  if (/^-?\d+$/.test(text)) {
    const ms = Number(text)
    if (Math.abs(ms) > TIME_MS_MAX) throw fail()
    return ms
  }
  const written = text.trim().replace(' ', 'T')
  const hasZone = /T.*(Z|[+-]\d\d:?\d\d)$/i.test(written)
  // A date alone is UTC to Date already; a time without zone would be taken as local.
  const ms = Date.parse(hasZone || !written.includes('T') ? written : `${written}Z`)
  if (Number.isNaN(ms)) throw fail()
  return ms
}

/**
 * What is to be read, and in which direction.
 *
 * @param isOldestFirst  without an offset or a time: whether reading begins at the oldest record
 * @throws StreamError SERVE_SEEK_INVALID, SERVE_PARTITION_NOT_FOUND, the log's errors
 */
export async function startOf(log: ServeDeps['log'], topic: TopicInfo, seek: Seek, isOldestFirst = false): Promise<Start> {
  const { partition: wanted, offset, time, from } = seek
  if ([offset, time, from].filter((one) => one !== undefined).length > 1)
    throw serveErrors('SERVE_SEEK_INVALID', { reason: 'more than one of from, offset and time is there' })
  const { partitions } = topic
  if (wanted !== undefined && !partitions[wanted])
    throw serveErrors('SERVE_PARTITION_NOT_FOUND', { topic: topic.name, partition: wanted, partitionCount: partitions.length })
  const chosen = wanted === undefined ? partitions : [partitions[wanted]]
  const isForward = offset !== undefined || time !== undefined || from === 'oldest' || (from === undefined && isOldestFirst)
  const timeMs = time === undefined ? undefined : parseTimeMs(time)
  const ranges: Range[] = []
  // What is in a transaction that has not ended yet comes later, or never.
  for (const { partition, startOffset, lastStableOffset: endOffset } of chosen) {
    let start = startOffset
    if (offset !== undefined) start = Math.min(Math.max(offset, startOffset), endOffset)
    if (timeMs !== undefined) start = await offsetOfTime(log, topic.name, partition, timeMs)
    ranges.push({ partition, start, end: endOffset })
  }
  return { direction: isForward ? 'forward' : 'backward', ranges }
}

/** The first record at or after a time, else the end. */
export async function offsetOfTime(log: ServeDeps['log'], topic: string, partition: number, timeMs: number): Promise<number> {
  const reader = openReader(log.descriptor(topic), partition, 0)
  try {
    return await reader.seekTime(timeMs)
  } finally {
    reader.close()
  }
}

/** Where the next page begins, as text that a client hands back. */
export function cursorOf(direction: ScanRequest['direction'], rest: readonly Range[]): string | null {
  if (rest.length === 0) return null
  const ranges = rest.map(({ partition, start, end }) => [partition, start, end])
  return Buffer.from(JSON.stringify([direction === 'forward' ? 'f' : 'b', ranges])).toString('base64url')
}

/** @throws StreamError SERVE_CURSOR_INVALID */
export function parseCursor(text: string, { name, partitions }: TopicInfo): Start {
  try {
    const [direction, ranges] = JSON.parse(Buffer.from(text, 'base64url').toString()) as [string, [number, number, number][]]
    if (direction !== 'f' && direction !== 'b') throw new TypeError('no direction')
    const parsed = ranges.map(([partition, start, end]) => {
      if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || !partitions[partition]) throw new TypeError('no range')
      // Retention may have taken some of it since.
      const { startOffset, lastStableOffset: endOffset } = partitions[partition]
      return { partition, start: Math.max(start, startOffset), end: Math.min(end, endOffset) }
    })
    if (new Set(parsed.map(({ partition }) => partition)).size !== parsed.length) throw new TypeError('a partition twice')
    return { direction: direction === 'f' ? 'forward' : 'backward', ranges: parsed }
  } catch (cause) {
    throw serveErrors('SERVE_CURSOR_INVALID', { topic: name }, { cause })
  }
}

/** The filter and the select list of a request; undefined where there is neither. */
export function queryOf(deps: Pick<ServeDeps, 'bindRecords'>, topic: string, { where, select }: RecordQuery): BoundRecordQuery | undefined {
  return where === undefined && select === undefined ? undefined : deps.bindRecords(topic, { where, select })
}
