// The process's Prometheus registry. Counters and gauges are declared beside the code that moves them; GET /metrics prints all.
import { Counter, Gauge, Registry } from 'prom-client'

export const metrics = new Registry()

const hotCounters: HotCounter[] = []

/**
 * A counter with one label for what happens thousands of times a second: the sums go to Prometheus when somebody asks for them. `Counter` itself
 * makes a text of the labels each time, 0.7 µs.
 */
export class HotCounter {
  private readonly sums = new Map<string, number>()
  private readonly label: string
  private readonly counter: Counter

  constructor({ name, help, label }: { name: string; help: string; label: string }) {
    this.label = label
    this.counter = new Counter({ name, help, labelNames: [label], registers: [metrics], collect: () => this.flush() })
    hotCounters.push(this)
  }

  /** Hands the sums on. */
  flush(): void {
    for (const [value, sum] of this.sums) this.counter.inc({ [this.label]: value }, sum)
    this.sums.clear()
  }

  inc(labelValue: string, by = 1): void {
    this.sums.set(labelValue, (this.sums.get(labelValue) ?? 0) + by)
  }
}

type Labels = Partial<Record<string, string | number>>
/** What happened to counters and gauges since the last look: plain data, for another thread. */
export interface MetricChanges {
  counts: { name: string; labels: Labels; amount: number }[]
  levels: { name: string; labels: Labels; value: number }[]
}

/**
 * From now on the counters and gauges of this thread count nothing by themselves: another thread shows them. Returns what gives their changes,
 * undefined if there are none.
 */
export function relayMetrics(): () => MetricChanges | undefined {
  const counts = new Map<string, MetricChanges['counts'][number]>()
  const levels = new Map<string, MetricChanges['levels'][number]>()
  const keyOf = (name: string, labels: Labels) => `${name} ${Object.values(labels).join(' ')}`
  for (const metric of metrics.getMetricsAsArray()) {
    const { name } = metric as unknown as { name: string }
    if (metric instanceof Counter) {
      const inc = (first: Labels | number = 1, second = 1): void => {
        const [labels, amount]: [Labels, number] = typeof first === 'number' ? [{}, first] : [first, second]
        const key = keyOf(name, labels)
        const known = counts.get(key)
        if (known) known.amount += amount
        else counts.set(key, { name, labels: { ...labels }, amount })
      }
      Object.assign(metric, { inc })
    }
    if (metric instanceof Gauge) {
      const set = (first: Labels | number, second = 0): void => {
        const [labels, value]: [Labels, number] = typeof first === 'number' ? [{}, first] : [first, second]
        levels.set(keyOf(name, labels), { name, labels: { ...labels }, value })
      }
      Object.assign(metric, { set })
    }
  }
  return () => {
    for (const counter of hotCounters) counter.flush()
    if (counts.size + levels.size === 0) return undefined
    const changes = { counts: [...counts.values()], levels: [...levels.values()] }
    counts.clear()
    levels.clear()
    return changes
  }
}

/** Counts here what was counted in another thread. */
export function applyMetrics({ counts, levels }: MetricChanges): void {
  for (const { name, labels, amount } of counts) (metrics.getSingleMetric(name) as Counter | undefined)?.inc(labels, amount)
  for (const { name, labels, value } of levels) (metrics.getSingleMetric(name) as Gauge | undefined)?.set(labels, value)
}
