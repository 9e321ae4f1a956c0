// Reads records of a topic in the order of time, forward or backward, over one partition or all, through a filter: page by page.
//
//   per partition:  chunk --> those that pass wait --> the one that is next in time leaves     (a merge of sorted runs)
//
// A page ends when it has enough records or bytes, or when enough records were looked at: a filter that matches nothing costs as much as
// any other page, and the caller goes on with `next`, or not. So who waits sees "scanned N of M", and who leaves stops the work.
//
// Invariants
//   1. Page after page, each record between the first position and the end is looked at, and each that passes is given exactly once.
//   2. Within a partition the order is that of offsets; among partitions that of timestamps.
//   3. A page moves on, unless it is at the end: also with a thousand partitions, each gets its turn in every page.
//   4. The thread is given back after each chunk.
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Field } from '../data/index.ts'
import { rowAt } from '../data/index.ts'
import type { BoundRecordQuery } from '../jobs/index.ts'
import { indexBatch, logErrors, openReader, RecordIndex, readHeaders, type TopicDescriptor } from '../log/index.ts'

export interface ScannedRecord {
  partition: number
  offset: number
  timestampMs: number
  key: Uint8Array | null
  value: Uint8Array | null
  headers: [name: string, value: Uint8Array | null][]
  /** What the select list gives; empty without one. */
  row: unknown[]
}

/** What is left to look at in one partition: `[start … end)`. */
export interface Range {
  partition: number
  start: number
  end: number
}

export interface ScanRequest {
  descriptor: TopicDescriptor
  ranges: readonly Range[]
  /** `backward`: the newest first. */
  direction: 'forward' | 'backward'
  query?: BoundRecordQuery
  /** Records of the page. */
  limit: number
  /** Records that are looked at, about. */
  scanMax: number
  signal?: AbortSignal
}

export interface ScanPage {
  records: ScannedRecord[]
  /** What the select list's columns are. */
  fields: Field[]
  /** What is left after this page; empty at the end. */
  rest: Range[]
  /** Records that this page looked at, and those that are left. Offsets that compaction freed count too. */
  scannedCount: number
  remainingCount: number
  undecodedCount: number
  failedCount: number
}

/** A page's values in bytes, about. */
const PAGE_BYTES_MAX = 8 * 1024 * 1024
const CHUNK_RECORDS_MAX = 4_096
const CHUNK_RECORDS_MIN = 64
const READ_BYTES = 256 * 1024
/** Data that is known to be there and does not come for so long: its server does not answer. */
const READ_WAIT_MS = 15_000

const countOf = (ranges: readonly Range[]): number => ranges.reduce((sum, { start, end }) => sum + end - start, 0)

/** One partition of a scan. */
interface Lane {
  partition: number
  start: number
  end: number
  /** Records that passed and have not left, the next one first. */
  waiting: ScannedRecord[]
  isLookedAt: boolean
}

/** @throws the log's errors; an AbortError when `signal` is aborted */
export async function scanPage({ descriptor, ranges, direction, query, limit, scanMax, signal }: ScanRequest): Promise<ScanPage> {
  const isForward = direction === 'forward'
  const lanes: Lane[] = ranges.filter(({ start, end }) => start < end).map((range) => ({ ...range, waiting: [], isLookedAt: false }))
  const page = { records: [] as ScannedRecord[], undecodedCount: 0, failedCount: 0 }
  // However many partitions there are, the first round over all of them fits into the page.
  const perLane = Math.max(CHUNK_RECORDS_MIN, Math.ceil(scanMax / (2 * Math.max(1, lanes.length))))
  const chunkRecords = Math.min(CHUNK_RECORDS_MAX, perLane, query ? Number.POSITIVE_INFINITY : Math.max(1, limit))
  const looked = { count: 0, bytes: 0 }
  const chunk: Chunk = { descriptor, isForward, recordCount: chunkRecords, bytesMax: PAGE_BYTES_MAX / Math.max(1, lanes.length), query }
  while (page.records.length < limit && looked.bytes < PAGE_BYTES_MAX) {
    for (const lane of lanes) {
      while (lane.waiting.length === 0 && lane.start < lane.end && (looked.count < scanMax || !lane.isLookedAt)) {
        lane.isLookedAt = true
        await lookAtChunk(lane, chunk, looked, page)
        await nextTurn()
        signal?.throwIfAborted()
      }
    }
    // One of them could hold the next record and was not looked at: what waits in the others has to wait.
    if (lanes.some(({ waiting, start, end }) => waiting.length === 0 && start < end)) break
    const next = nextInTime(lanes, isForward)
    if (!next) break
    page.records.push(next.waiting.shift()!)
  }
  const rest = lanes.map(restOf(isForward)).filter(({ start, end }) => start < end)
  const remainingCount = countOf(rest)
  return { ...page, fields: query?.fields ?? [], rest, remainingCount, scannedCount: countOf(ranges) - remainingCount }
}

function nextInTime(lanes: readonly Lane[], isForward: boolean): Lane | undefined {
  let best: Lane | undefined
  for (const lane of lanes) {
    if (lane.waiting.length === 0) continue
    const ahead = best === undefined ? 1 : (best.waiting[0].timestampMs - lane.waiting[0].timestampMs) * (isForward ? 1 : -1)
    if (ahead > 0) best = lane
  }
  return best
}

/** What passed and did not leave is looked at again with the next page. */
const restOf =
  (isForward: boolean) =>
  ({ partition, start, end, waiting: [first] }: Lane): Range =>
    isForward ? { partition, start: first?.offset ?? start, end } : { partition, start, end: first ? first.offset + 1 : end }

/** How chunks of a page are read. */
interface Chunk {
  descriptor: TopicDescriptor
  isForward: boolean
  recordCount: number
  /** Bytes of what passes; one record may have more. */
  bytesMax: number
  query: BoundRecordQuery | undefined
}

async function lookAtChunk(
  lane: Lane,
  { descriptor, isForward, recordCount, bytesMax, query }: Chunk,
  looked: { count: number; bytes: number },
  page: { undecodedCount: number; failedCount: number },
): Promise<void> {
  const { partition } = lane
  const from = isForward ? lane.start : Math.max(lane.start, lane.end - recordCount)
  const to = isForward ? Math.min(lane.end, lane.start + recordCount) : lane.end
  let found: ScannedRecord[] = []
  let bytes = 0
  // Where the chunk ends after all, if its records have more bytes than a page may have.
  let cut = isForward ? to : from
  for await (const index of chunkOf(descriptor, partition, from, to)) {
    for (const record of passing(index, partition, query, page)) {
      if (record.offset >= to) break
      found.push(record)
      bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0)
      if (isForward && bytes > bytesMax) cut = record.offset + 1
      while (!isForward && bytes > bytesMax && found.length > 1) {
        const dropped = found.shift()!
        bytes -= (dropped.key?.length ?? 0) + (dropped.value?.length ?? 0)
        cut = dropped.offset + 1
      }
      if (isForward && cut < to) break
    }
    if (isForward && cut < to) break
  }
  if (!isForward) found = found.reverse()
  looked.count += isForward ? cut - from : to - cut
  looked.bytes += bytes
  if (isForward) lane.start = cut
  else lane.end = cut
  lane.waiting = found
}

/** The records of `[from … to)`, and perhaps some behind them, run by run. */
async function* chunkOf(descriptor: TopicDescriptor, partition: number, from: number, to: number): AsyncGenerator<RecordIndex> {
  const reader = openReader(descriptor, partition, from, undefined, 'read_committed')
  try {
    const end = Math.min(to, reader.range.endOffset)
    while (reader.nextOffset < end) {
      const run = reader.read(READ_BYTES)
      if (!run) {
        if (await reader.waitForData(READ_WAIT_MS)) continue
        throw logErrors('LOG_READ_FAILED', {
          path: `${descriptor.topic}/${partition}`,
          reason: `no records came for ${READ_WAIT_MS / 1_000} s`,
        })
      }
      for (let at = run.start; at < run.end; ) {
        // Records that are given away point into it: a new one each time.
        const index = new RecordIndex()
        while (at < run.end) {
          const next = indexBatch(run.bytes, at, index, run.fromOffset)
          if (next === at) break
          at = next
        }
        if (index.count > 0) yield index
      }
    }
  } finally {
    reader.close()
  }
}

function* passing(
  index: RecordIndex,
  partition: number,
  query: BoundRecordQuery | undefined,
  page: { undecodedCount: number; failedCount: number },
): Generator<ScannedRecord> {
  if (!query) {
    for (let i = 0; i < index.count; i++) yield recordAt(index, i, partition)
    return
  }
  const { parts, undecodedCount, failedCount } = query.lens.look(index, partition)
  page.undecodedCount += undecodedCount
  page.failedCount += failedCount
  const rows = parts.flatMap(({ records, batch }) =>
    Array.from({ length: batch.rowCount }, (_, row) => ({ record: records[row], row: rowAt(batch, row) })),
  )
  if (parts.length > 1) rows.sort((a, b) => a.record - b.record)
  // Copies: one record that passes must not hold all the bytes around it.
  for (const { record, row } of rows) yield { ...copied(recordAt(index, record, partition)), row }
}

const copyOf = (bytes: Uint8Array | null): Uint8Array | null => bytes && new Uint8Array(bytes)
const copied = (record: ScannedRecord): ScannedRecord => ({
  ...record,
  key: copyOf(record.key),
  value: copyOf(record.value),
  headers: record.headers.map(([name, value]) => [name, copyOf(value)]),
})

function recordAt(index: RecordIndex, i: number, partition: number): ScannedRecord {
  const { bytes } = index
  const view = (start: number, end: number) => (start < 0 ? null : bytes.subarray(start, end))
  return {
    partition,
    offset: index.offsets[i],
    timestampMs: index.timestampsMs[i],
    key: view(index.keyStarts[i], index.keyEnds[i]),
    value: view(index.valueStarts[i], index.valueEnds[i]),
    headers: readHeaders(bytes, index.headersStarts[i], index.headersEnds[i]),
    row: [],
  }
}

/** Every record of a range, oldest first, run by run: the first `count` of each index. For statistics. */
export async function* scanRuns(
  descriptor: TopicDescriptor,
  { partition, start, end }: Range,
  signal?: AbortSignal,
): AsyncGenerator<{ index: RecordIndex; count: number }> {
  for await (const index of chunkOf(descriptor, partition, start, end)) {
    let { count } = index
    while (count > 0 && index.offsets[count - 1] >= end) count--
    yield { index, count }
    await nextTurn()
    signal?.throwIfAborted()
  }
}
