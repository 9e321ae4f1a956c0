// Figures of the process: rates over the last ten seconds, and how long an event takes from the front door to the push.
//
// Invariants
//   1. Memory does not grow with the number of events: latencies go to fixed buckets, totals to one sample a second.
//   2. A quantile is at most 1/32 above a latency that was recorded.
import type { TopicInfo } from '../log/index.ts'
import type { LatencySummary, QuerySummary, Stats } from './contract.ts'
import type { GroupLag } from './lag.ts'
import { hasFigures, MetricHistory, SAMPLE_MS } from './metricHistory.ts'

const WINDOW_SECONDS = 10
const SUB_BITS = 5
const SUB_COUNT = 1 << SUB_BITS
/** Up to 2^32 us, 71 minutes. */
const BUCKET_COUNT = (33 - SUB_BITS) * SUB_COUNT

/** Values below 32 us have a bucket each; above, 32 buckets to each doubling. */
function bucketOf(microseconds: number): number {
  const value = Math.min(Math.max(Math.round(microseconds), 0), 0xffff_ffff)
  if (value < SUB_COUNT) return value
  const shift = 31 - Math.clz32(value) - SUB_BITS
  return (shift << SUB_BITS) + (value >>> shift)
}
/** The largest value of a bucket, in us. */
function bucketEnd(bucket: number): number {
  if (bucket < 2 * SUB_COUNT) return bucket
  const shift = (bucket >> SUB_BITS) - 1
  return ((bucket & (SUB_COUNT - 1)) + SUB_COUNT + 1) * 2 ** shift - 1
}

/** Quantiles over the last WINDOW_SECONDS: one slot of buckets for each second. */
export class RollingHistogram {
  private readonly slots = Array.from({ length: WINDOW_SECONDS }, () => ({ second: -1, counts: new Uint32Array(BUCKET_COUNT) }))

  record(valueMs: number, nowMs: number): void {
    const second = Math.floor(nowMs / 1000)
    const slot = this.slots[second % WINDOW_SECONDS]
    if (slot.second !== second) {
      slot.second = second
      slot.counts.fill(0)
    }
    slot.counts[bucketOf(valueMs * 1000)]++
  }

  summary(nowMs: number): LatencySummary {
    const oldest = Math.floor(nowMs / 1000) - WINDOW_SECONDS
    const sums = new Float64Array(BUCKET_COUNT)
    let count = 0
    for (const slot of this.slots) {
      if (slot.second <= oldest) continue
      for (let i = 0; i < BUCKET_COUNT; i++) {
        sums[i] += slot.counts[i]
        count += slot.counts[i]
      }
    }
    const quantile = (share: number): number => {
      let left = Math.ceil(count * share)
      if (left === 0) return 0
      let bucket = 0
      while ((left -= sums[bucket]) > 0) bucket++
      return bucketEnd(bucket) / 1000
    }
    return { p50Ms: quantile(0.5), p95Ms: quantile(0.95), p99Ms: quantile(0.99), count }
  }
}

/** Totals since start, read once a second. */
export interface StatsSources {
  version: string
  eventsIn(): number
  rejected(): number
  /** Rows that queries have put out, those before their checkpoints too. */
  rowsOut(): number
  dataBytes(): number
  /** undefined where it is not known. */
  diskFreeBytes?(): number | undefined
  memory(): Stats['memory']
  queries(): QuerySummary[]
  topics(): TopicInfo[]
  /** How far behind consumer groups are; each is a read of a record. */
  groupLags?(): Promise<GroupLag[]>
}

interface Sample {
  atMs: number
  eventsIn: number
  rejected: number
  /** While this process looked. */
  rowsOut: number
  cpuMicroseconds: number
  /** End offsets of each topic, summed. */
  topicEnds: Map<string, number>
}

const cpuNow = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}

export class StatsCollector {
  private readonly latency = new RollingHistogram()
  private readonly sources: StatsSources
  private readonly samples: Sample[] = []
  private readonly timer: NodeJS.Timeout
  private readonly rowsOutSeen = { total: 0, counts: new Map<string, number>() }
  private groupLags: GroupLag[] | undefined
  private isLookingUp = false
  /** How the figures went since the process began. */
  readonly history = new MetricHistory()

  constructor(sources: StatsSources) {
    this.sources = sources
    this.samples.push(this.sample())
    let step = 0
    this.timer = setInterval(() => {
      this.samples.push(this.sample())
      if (this.samples.length > WINDOW_SECONDS) this.samples.shift()
      // By the clock, not by counting: a timer is late by a little each time, and a step would be passed over.
      const now = Math.floor(Date.now() / SAMPLE_MS)
      if (now === step) return
      step = now
      this.history.sample(this.current(), this.groupLags)
      this.lookUpGroups()
    }, 1000).unref()
  }

  /** For the next step: a step waits for no disk. */
  private lookUpGroups(): void {
    this.groupLags = undefined
    if (this.isLookingUp || !this.sources.groupLags) return
    this.isLookingUp = true
    this.sources
      .groupLags()
      .then(
        (lags) => {
          this.groupLags = lags
        },
        // A log that cannot be read says so where it is read: here is no number then.
        () => undefined,
      )
      .finally(() => {
        this.isLookingUp = false
      })
  }

  /** Time from an event's arrival to the push of what it changed: give it to ViewStore as `onDelivered`. */
  readonly recordLatency = (latencyMs: number): void => this.latency.record(latencyMs, Date.now())

  current(): Stats {
    const [first] = this.samples
    const now = this.sample()
    const seconds = Math.max((now.atMs - first.atMs) / 1000, 0.001)
    const rate = (total: number, before: number): number => Math.round(Math.max(0, total - before) / seconds)
    const { rss, heapUsed } = process.memoryUsage()
    const diskFreeBytes = this.sources.diskFreeBytes?.()
    return {
      atMs: now.atMs,
      uptimeSeconds: process.uptime(),
      rssBytes: rss,
      heapBytes: heapUsed,
      cpuShare: Math.min((now.cpuMicroseconds - first.cpuMicroseconds) / (seconds * 1e6), 1024),
      version: this.sources.version,
      nodeVersion: process.version,
      dataBytes: this.sources.dataBytes(),
      ...(diskFreeBytes !== undefined && { diskFreeBytes }),
      memory: this.sources.memory(),
      eventsIn: { total: now.eventsIn, perSecond: rate(now.eventsIn, first.eventsIn) },
      rejected: { total: now.rejected, perSecond: rate(now.rejected, first.rejected) },
      rowsOut: { total: this.sources.rowsOut(), perSecond: rate(now.rowsOut, first.rowsOut) },
      latency: this.latency.summary(now.atMs),
      queries: this.sources.queries(),
      topics: this.sources.topics().map(({ name, partitions }) => ({
        name,
        recordCount: partitions.reduce((sum, { startOffset, endOffset }) => sum + endOffset - startOffset, 0),
        perSecond: rate(now.topicEnds.get(name) ?? 0, first.topicEnds.get(name) ?? 0),
      })),
    }
  }

  /** What queries have put out while this process looked: of one that begins to run, what comes after what its checkpoint had counted. */
  private rowsOut(): number {
    const counts = new Map<string, number>()
    for (const query of this.sources.queries()) {
      if (!hasFigures(query)) continue
      const { id, rowsOut } = query
      this.rowsOutSeen.total += Math.max(0, rowsOut - (this.rowsOutSeen.counts.get(id) ?? rowsOut))
      counts.set(id, rowsOut)
    }
    this.rowsOutSeen.counts = counts
    return this.rowsOutSeen.total
  }

  close(): void {
    clearInterval(this.timer)
  }

  private sample(): Sample {
    const { sources } = this
    return {
      atMs: Date.now(),
      eventsIn: sources.eventsIn(),
      rejected: sources.rejected(),
      rowsOut: this.rowsOut(),
      cpuMicroseconds: cpuNow(),
      topicEnds: new Map(
        sources.topics().map(({ name, partitions }) => [name, partitions.reduce((sum, { endOffset }) => sum + endOffset, 0)]),
      ),
    }
  }
}
