// How the figures of the process, of each query and of each consumer group went, from the last half hour in steps of seconds to the last week in steps of half an hour.
//
//   totals and gauges --sample, every 5 s--> 5 s x 30 min | 30 s x 6 h | 5 min x 2 d | 30 min x 7 d
//
// Invariants
//   1. Memory is bounded: 8 KB for each figure, and at most QUERIES_MAX queries and GROUPS_MAX groups have figures.
//   2. A step holds the mean of its samples; of a latency their maximum, so that no coarse step hides a slow second.
//   3. Where nothing was measured there is no number: not 0, and not the one before.
//   4. A clock that goes back by more than a minute begins the history anew: times only ascend.
//   It begins with the process: what was before it is in the metrics that somebody has collected from /metrics.
import type { QuerySummary, Stats } from './contract.ts'
import type { GroupLag } from './lag.ts'

export const SAMPLE_MS = 5_000
/** Step and number of steps, the finest first: one more than the time that a tier is for, whose first step has begun before it. */
const tiers = [
  { stepMs: SAMPLE_MS, count: 361 },
  { stepMs: 30_000, count: 721 },
  { stepMs: 300_000, count: 577 },
  { stepMs: 1_800_000, count: 337 },
] as const
const QUERIES_MAX = 1_000
const GROUPS_MAX = 500
const CLOCK_BACK_MS_MAX = 60_000

export const processMetrics = [
  'eventsInPerSecond',
  'rejectedPerSecond',
  'rowsOutPerSecond',
  'latencyP50Ms',
  'latencyP95Ms',
  'latencyP99Ms',
  'rssBytes',
  'heapBytes',
  'cpuShare',
  'dataBytes',
  'memoryUsedBytes',
  'stateBytes',
  'spilledBytes',
] as const
export const queryMetrics = [
  'rowsInPerSecond',
  'rowsOutPerSecond',
  'lateRowsPerSecond',
  'stateBytes',
  'watermarkLagMs',
  'busyShare',
  'backPressuredShare',
] as const
export const groupMetrics = ['lagRecords', 'lagMs'] as const
export type ProcessMetric = (typeof processMetrics)[number]
export type QueryMetric = (typeof queryMetrics)[number]
type GroupMetric = (typeof groupMetrics)[number]

/** One figure in one tier: a ring of steps, and how many samples the newest of them has. */
interface Ring {
  values: Float32Array
  samples: number
}

class Tier {
  readonly stepMs: number
  readonly count: number
  /** The newest step, in steps since 1970; -1 before the first. */
  newest = -1
  /** The oldest that was measured. */
  oldest = -1
  private readonly rings = new Map<string, Ring>()

  constructor({ stepMs, count }: { stepMs: number; count: number }) {
    this.stepMs = stepMs
    this.count = count
  }

  /** Moves on to the step of `atMs`: what is between has no numbers. */
  moveTo(atMs: number): void {
    const step = Math.max(this.newest, Math.floor(atMs / this.stepMs))
    if (this.newest < 0) this.oldest = step
    else if (step > this.newest)
      for (const ring of this.rings.values()) {
        const steps = Math.min(step - this.newest, this.count)
        for (let i = 0; i < steps; i++) ring.values[(step - i) % this.count] = Number.NaN
        ring.samples = 0
      }
    this.newest = step
    this.oldest = Math.max(this.oldest, step - this.count + 1)
  }

  add(key: string, value: number, isMax: boolean): void {
    let ring = this.rings.get(key)
    if (!ring) this.rings.set(key, (ring = { values: new Float32Array(this.count).fill(Number.NaN), samples: 0 }))
    const index = this.newest % this.count
    const before = ring.values[index]
    ring.samples++
    ring.values[index] = Number.isNaN(before) ? value : isMax ? Math.max(before, value) : before + (value - before) / ring.samples
  }

  read(key: string, from: number, to: number): (number | null)[] {
    const ring = this.rings.get(key)
    return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => {
      const value = ring?.values[(from + i) % this.count]
      return value === undefined || Number.isNaN(value) ? null : value
    })
  }

  forget(isGone: (key: string) => boolean): void {
    for (const key of this.rings.keys()) if (isGone(key)) this.rings.delete(key)
  }
}

export interface MetricSeries<Metric extends string> {
  /** Starts of the steps, ascending, without a gap. */
  timesMs: number[]
  stepMs: number
  /** The first moment that there is anything of. */
  oldestMs: number
  series: Record<Metric, (number | null)[]>
}

/** Of a query or a group: no figure is of both, so they may have the same name. */
const keyOf = (id: string, metric: string): string => `${metric}/${id}`
const idOfKey = (key: string): string => key.slice(key.indexOf('/') + 1)
const isOfGroup = (key: string): boolean => groupMetrics.some((metric) => key.startsWith(`${metric}/`))

export class MetricHistory {
  private tiers = tiers.map((one) => new Tier(one))
  /** The first sample; 0 before it. */
  private startedMs = 0
  private before: { atMs: number; totals: Map<string, number> } = { atMs: 0, totals: new Map() }

  /**
   * Call it every SAMPLE_MS.
   *
   * @param groups  undefined where they were not looked up in time: then theirs stay, with no number of now
   */
  sample(stats: Omit<Stats, 'topics'>, groups?: readonly GroupLag[]): void {
    const { atMs, queries } = stats
    if (atMs < this.before.atMs - CLOCK_BACK_MS_MAX) {
      this.tiers = tiers.map((one) => new Tier(one))
      this.before = { atMs: 0, totals: new Map() }
      this.startedMs = 0
    }
    this.startedMs ||= atMs
    for (const tier of this.tiers) tier.moveTo(atMs)
    const seconds = (atMs - this.before.atMs) / 1_000
    const totals = new Map<string, number>()
    /** What a total grew by for each second; a total that is smaller than before began anew. */
    const rate = (key: string, total: number): number | undefined => {
      const before = this.before.totals.get(key)
      totals.set(key, total)
      return before === undefined || seconds <= 0 || total < before ? undefined : (total - before) / seconds
    }
    const add = (key: string, value: number | undefined, isMax = false): void => {
      if (value !== undefined && Number.isFinite(value)) for (const tier of this.tiers) tier.add(key, value, isMax)
    }
    const process = (metric: ProcessMetric, value: number | undefined, isMax = false): void => add(metric, value, isMax)
    const { latency, memory } = stats
    process('eventsInPerSecond', rate('eventsIn', stats.eventsIn.total))
    process('rejectedPerSecond', rate('rejected', stats.rejected.total))
    if (latency.count > 0) {
      process('latencyP50Ms', latency.p50Ms, true)
      process('latencyP95Ms', latency.p95Ms, true)
      process('latencyP99Ms', latency.p99Ms, true)
    }
    process('rssBytes', stats.rssBytes)
    process('heapBytes', stats.heapBytes)
    process('cpuShare', stats.cpuShare)
    process('dataBytes', stats.dataBytes)
    process('memoryUsedBytes', memory.stateBytes + memory.otherBytes)
    process('stateBytes', memory.stateBytes)
    process('spilledBytes', memory.spilledBytes)
    // The sum of what each put out: the total of all is smaller once one stops, and jumps when one goes on with the counts of its checkpoint.
    const running = queries.filter(hasFigures)
    const rowsOutRates = new Map(running.map(({ id, rowsOut }) => [id, rate(keyOf(id, 'rowsOut'), rowsOut)]))
    const measured = [...rowsOutRates.values()].filter((value) => value !== undefined)
    if (measured.length > 0 || running.length === 0)
      process(
        'rowsOutPerSecond',
        measured.reduce((sum, value) => sum + value, 0),
      )
    const kept = queries.slice(0, QUERIES_MAX)
    for (const query of kept) {
      if (!hasFigures(query)) continue
      const metric = (name: QueryMetric, value: number | undefined): void => add(keyOf(query.id, name), value)
      const total = (name: string, value: number) => rate(keyOf(query.id, name), value)
      metric('rowsInPerSecond', total('rowsIn', query.rowsIn))
      metric('rowsOutPerSecond', rowsOutRates.get(query.id))
      metric('lateRowsPerSecond', total('late', query.lateRows))
      metric('stateBytes', query.state === 'running' ? query.stateBytes : undefined)
      metric('watermarkLagMs', watermarkLagMs(query, atMs))
      const [busy, backPressured, idle] = (['busy', 'backPressured', 'idle'] as const).map((name) => total(name, query.spentMs[name]))
      const spent = (busy ?? 0) + (backPressured ?? 0) + (idle ?? 0)
      if (spent > 0 && busy !== undefined && backPressured !== undefined) {
        metric('busyShare', busy / spent)
        metric('backPressuredShare', backPressured / spent)
      }
    }
    const ids = new Set(kept.map(({ id }) => id))
    const keptGroups = groups?.slice(0, GROUPS_MAX)
    for (const { id, lag, lagMs } of keptGroups ?? []) {
      add(keyOf(id, 'lagRecords'), lag)
      // Who has read all waits for nothing; of many partitions nobody looks up since when.
      add(keyOf(id, 'lagMs'), lag === 0 ? 0 : lagMs)
    }
    const groupIds = keptGroups && new Set(keptGroups.map(({ id }) => id))
    const isGone = (key: string): boolean =>
      key.includes('/') && (isOfGroup(key) ? groupIds !== undefined && !groupIds.has(idOfKey(key)) : !ids.has(idOfKey(key)))
    for (const tier of this.tiers) tier.forget(isGone)
    this.before = { atMs, totals }
  }

  /** Figures of the process between two moments, in the finest steps that reach so far back. */
  ofProcess(fromMs: number, toMs: number): MetricSeries<ProcessMetric> {
    return this.read(fromMs, toMs, processMetrics, (metric) => metric)
  }

  /** Figures of a query; empty ones of a query that there is not. */
  ofQuery(id: string, fromMs: number, toMs: number): MetricSeries<QueryMetric> {
    return this.read(fromMs, toMs, queryMetrics, (metric) => keyOf(id, metric))
  }

  /** How far behind a consumer group was; empty of one that there is not. */
  ofGroup(id: string, fromMs: number, toMs: number): MetricSeries<GroupMetric> {
    return this.read(fromMs, toMs, groupMetrics, (metric) => keyOf(id, metric))
  }

  private read<Metric extends string>(
    fromMs: number,
    toMs: number,
    metrics: readonly Metric[],
    key: (metric: Metric) => string,
  ): MetricSeries<Metric> {
    // Of a process that is younger than the range, the finest steps reach far enough.
    const oldestMs = Math.max(fromMs, this.startedMs)
    const tier = this.tiers.find((one) => one.oldest * one.stepMs <= oldestMs) ?? this.tiers.at(-1)!
    const { stepMs, oldest, newest } = tier
    const from = Math.max(oldest, Math.floor(fromMs / stepMs))
    const to = Math.min(newest, Math.floor(toMs / stepMs))
    const series = Object.fromEntries(metrics.map((metric) => [metric, tier.read(key(metric), from, to)])) as Record<
      Metric,
      (number | null)[]
    >
    return {
      timesMs: Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => (from + i) * stepMs),
      stepMs,
      oldestMs: Math.max(this.startedMs, this.tiers.at(-1)!.oldest * this.tiers.at(-1)!.stepMs),
      series,
    }
  }
}

/** Whether anything was heard of a query since it runs: before that its counts are 0, then those of its checkpoint. */
export const hasFigures = ({ spentMs }: Pick<QuerySummary, 'spentMs'>): boolean => spentMs.busy + spentMs.backPressured + spentMs.idle > 0

/** How far a query's event time is behind the clock; undefined before its first watermark, and once its input has ended. */
export function watermarkLagMs({ state, watermarkMs }: Pick<QuerySummary, 'state' | 'watermarkMs'>, atMs: number): number | undefined {
  return state !== 'running' || watermarkMs === undefined || Math.abs(watermarkMs) > 8.64e15 ? undefined : atMs - watermarkMs
}
