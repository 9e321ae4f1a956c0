// Statistics of a topic's newest records: sizes, keys, null shares, times, lateness. Exact over the sample, which they name.
//
// Invariants
//   1. Memory is bounded by the sample: a size for each record, a text of at most KEY_BYTES_MAX for each different key.
//   2. Records of a partition are looked at in offset order, so lateness is what a reader of that partition would see.
import { createHash } from 'node:crypto'
import type { Static } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { type Column, valueAt } from '../data/index.ts'
import type { BoundStatistics } from '../jobs/index.ts'
import type { RecordIndex, TopicInfo } from '../log/index.ts'
import type { SizeSummary, TopicStatistics as TopicStatisticsBody } from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { serveErrors } from './errors.ts'
import { goneSignal } from './messages.ts'
import { type Range, scanRuns } from './scan.ts'
import { TopicParams } from './schemas.ts'
import { findTopic } from './topicNames.ts'
import { StatisticsQuery, TopicStatistics } from './topicSchemas.ts'

const SAMPLE = 100_000
const RUNNING_MAX = 2
/** A longer key is counted by its hash. */
const KEY_BYTES_MAX = 64
/** Of a topic that no table declares. */
const FOUND_COLUMNS_MAX = 200
/** Upper ends of the lateness histogram; what is above the last has a bucket without. */
const LATENESS_MS = [0, 100, 1_000, 5_000, 30_000, 60_000, 300_000, 1_800_000, 3_600_000, 86_400_000]

export function registerStatistics(app: FastifyInstance, deps: ServeDeps): void {
  const { log } = deps
  let runningCount = 0
  app.get<{ Params: Static<typeof TopicParams>; Querystring: Static<typeof StatisticsQuery> }>(
    '/v1/topics/:topic/statistics',
    {
      schema: {
        summary:
          'Statistics of the newest records: unique keys, null shares, sizes, times, lateness. Exact over the records that it names.',
        params: TopicParams,
        querystring: StatisticsQuery,
        response: { 200: TopicStatistics },
      },
    },
    async ({ params: { topic }, query: { sample = SAMPLE } }, reply) => {
      const info = findTopic(log, topic)
      const bound = deps.bindStatistics(topic)
      if (runningCount >= RUNNING_MAX) throw serveErrors('SERVE_STATISTICS_LIMIT', { max: RUNNING_MAX })
      runningCount++
      try {
        const statistics = new Statistics(bound)
        const gone = goneSignal(reply.raw)
        for (const range of newestOf(info, sample)) {
          statistics.beginPartition()
          for await (const { index, count } of scanRuns(log.descriptor(topic), range, gone)) {
            index.count = count
            statistics.add(index, range.partition)
          }
        }
        return statistics.result(info.partitions.reduce((sum, { startOffset, endOffset }) => sum + endOffset - startOffset, 0))
      } finally {
        runningCount--
      }
    },
  )
}

/** The newest records, from each partition its share. */
function newestOf({ partitions }: TopicInfo, sample: number): Range[] {
  const total = partitions.reduce((sum, { startOffset, endOffset }) => sum + endOffset - startOffset, 0)
  const share = Math.min(1, sample / Math.max(1, total))
  return partitions.map(({ partition, startOffset, endOffset }) => ({
    partition,
    start: endOffset - Math.ceil((endOffset - startOffset) * share),
    end: endOffset,
  }))
}

const decoder = new TextDecoder()

class Statistics {
  private readonly bound: BoundStatistics
  private readonly sizes: number[] = []
  private readonly keys = new Set<string>()
  private withKey = 0
  private tombstones = 0
  private undecoded = 0
  private firstMs = Number.POSITIVE_INFINITY
  private lastMs = Number.NEGATIVE_INFINITY
  private readonly nulls: number[]
  /** Of a topic without declared columns: how many objects have a member that is not null, and of which kinds. */
  private readonly found = new Map<string, { count: number; kinds: Set<string> }>()
  private objectCount = 0
  private readonly buckets = new Array<number>(LATENESS_MS.length + 1).fill(0)
  private newestMs = Number.NEGATIVE_INFINITY
  private watermarkMs = Number.NEGATIVE_INFINITY
  private behindWatermark = 0
  private maxLateMs = 0
  private withoutTime = 0

  constructor(bound: BoundStatistics) {
    this.bound = bound
    this.nulls = bound.columns.map(() => 0)
  }

  beginPartition(): void {
    this.newestMs = Number.NEGATIVE_INFINITY
    this.watermarkMs = Number.NEGATIVE_INFINITY
  }

  add(index: RecordIndex, partition: number): void {
    const { lens, columns, hasWatermark } = this.bound
    this.addRecords(index)
    if (columns.length === 0) for (let i = 0; i < index.count; i++) this.addMembers(index, i)
    const { parts, undecodedCount } = lens.look(index, partition)
    this.undecoded += undecodedCount
    const first = hasWatermark ? 2 : 1
    const times: { record: number; timeMs: number | null; watermarkMs: number | null }[] = []
    for (const { records, isDecoded, batch } of parts) {
      if (!isDecoded) continue
      for (let row = 0; row < batch.rowCount; row++) {
        times.push({
          record: records[row],
          timeMs: msOf(batch.columns[0], row),
          watermarkMs: hasWatermark ? msOf(batch.columns[1], row) : null,
        })
      }
      columns.forEach((_, i) => {
        this.nulls[i] += nullCount(batch.columns[first + i], batch.rowCount)
      })
    }
    if (parts.length > 1) times.sort((a, b) => a.record - b.record)
    for (const { timeMs, watermarkMs } of times) this.addTime(timeMs, watermarkMs)
  }

  private addRecords(index: RecordIndex): void {
    const { bytes, keyStarts, keyEnds, valueStarts, valueEnds, timestampsMs } = index
    for (let i = 0; i < index.count; i++) {
      this.sizes.push(keyEnds[i] - keyStarts[i] + valueEnds[i] - valueStarts[i])
      if (valueStarts[i] < 0) this.tombstones++
      if (timestampsMs[i] < this.firstMs) this.firstMs = timestampsMs[i]
      if (timestampsMs[i] > this.lastMs) this.lastMs = timestampsMs[i]
      if (keyStarts[i] < 0) continue
      this.withKey++
      const key = Buffer.from(bytes.buffer, bytes.byteOffset + keyStarts[i], keyEnds[i] - keyStarts[i])
      this.keys.add(key.length > KEY_BYTES_MAX ? `#${createHash('sha256').update(key).digest('base64')}` : key.toString('latin1'))
    }
  }

  private addMembers({ bytes, valueStarts, valueEnds }: RecordIndex, i: number): void {
    if (valueStarts[i] < 0) return
    let value: unknown
    try {
      value = JSON.parse(decoder.decode(bytes.subarray(valueStarts[i], valueEnds[i])))
    } catch {}
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      this.undecoded++
      return
    }
    this.objectCount++
    for (const [name, member] of Object.entries(value)) {
      let entry = this.found.get(name)
      if (!entry) {
        if (this.found.size >= FOUND_COLUMNS_MAX) continue
        this.found.set(name, (entry = { count: 0, kinds: new Set() }))
      }
      if (member === null) continue
      entry.count++
      entry.kinds.add(Array.isArray(member) ? 'array' : typeof member)
    }
  }

  private addTime(timeMs: number | null, watermarkMs: number | null): void {
    if (timeMs === null) {
      this.withoutTime++
      return
    }
    const lateMs = Math.max(0, this.newestMs - timeMs)
    const bucket = LATENESS_MS.findIndex((upToMs) => lateMs <= upToMs)
    this.buckets[bucket < 0 ? LATENESS_MS.length : bucket]++
    if (lateMs > this.maxLateMs) this.maxLateMs = lateMs
    if (timeMs > this.newestMs) this.newestMs = timeMs
    if (timeMs <= this.watermarkMs) this.behindWatermark++
    if (watermarkMs !== null && watermarkMs > this.watermarkMs) this.watermarkMs = watermarkMs
  }

  result(total: number): TopicStatisticsBody {
    const { columns, timeColumn, hasWatermark } = this.bound
    const found = [...this.found].sort((a, b) => b[1].count - a[1].count)
    const timed = this.buckets.reduce((sum, count) => sum + count, 0)
    return {
      atMs: Date.now(),
      sampled: this.sizes.length,
      total,
      tombstones: this.tombstones,
      ...(this.sizes.length > 0 && { firstMs: this.firstMs, lastMs: this.lastMs }),
      keys: { withKey: this.withKey, unique: this.keys.size },
      sizeBytes: summaryOf(this.sizes),
      columnsFrom: columns.length > 0 ? 'declared' : 'found',
      columns:
        columns.length > 0
          ? columns.map((column, i) => ({ ...column, nulls: this.nulls[i] }))
          : found.map(([name, { count, kinds }]) => ({ name, type: [...kinds].sort().join(' | '), nulls: this.objectCount - count })),
      undecoded: this.undecoded,
      ...(timed > 0 && {
        lateness: {
          column: timeColumn,
          ...(hasWatermark && { behindWatermark: this.behindWatermark }),
          maxMs: this.maxLateMs,
          buckets: this.buckets.map((count, i) => ({ upToMs: LATENESS_MS[i] ?? null, count })),
          without: this.withoutTime,
        },
      }),
    }
  }
}

/** Epoch ms of a timestamp; null for NULL, or for one finer than ms, which no watermark can be declared on. */
function msOf(column: Column, row: number): number | null {
  const value = valueAt(column, row)
  return typeof value === 'number' ? value : null
}

function nullCount({ nulls }: Column, rowCount: number): number {
  let count = 0
  if (nulls) for (let row = 0; row < rowCount; row++) count += nulls[row]
  return count
}

/** Nearest-rank percentiles. */
export function summaryOf(values: readonly number[]): SizeSummary {
  if (values.length === 0) return { min: 0, p50: 0, p90: 0, p99: 0, max: 0, mean: 0, total: 0 }
  const sorted = Float64Array.from(values).sort()
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
  const total = sorted.reduce((sum, value) => sum + value, 0)
  return { min: sorted[0], p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1), mean: total / sorted.length, total }
}
