// How much state the queries of a text would hold, before they are deployed: each is run over the newest part of the log, in a shadow, and what its
// operators hold at the end is measured. It is run over the second half of that time, too: what only the whole has is what the first half has left.
//
//   log [since ───── middle ───── now)    state(since … now) − state(middle … now) = what half of the time adds
//
// Invariants
//   1. Nothing that runs is touched: no topic is written, no live table changes.
//   2. A query whose state does not grow, as of windows that close or keys that come back, is said to grow by nothing, not by the share of its records.
//   3. It ends: after READ_MS_MAX, however many queries the text has, each with what was read by then, and with how much of the records that was.
//      What is left of the time is shared by those that are not measured yet.
import { setTimeout as sleep } from 'node:timers/promises'
import { toStreamError } from '../base/index.ts'
import type { Log } from '../log/index.ts'
import { rowText } from './adhoc.ts'
import { changedQueries, type DiffOptions, timesOf } from './diff.ts'
import type { JobManager } from './manager.ts'
import { type Slice, slicesOf } from './slices.ts'

const READ_MS_MAX = 15_000
const LOOK_MS = 40
/** Of a shorter time nothing is said about the next hours. */
const SPAN_MS_MIN = 60_000
const HOUR_MS = 3_600_000

export interface QueryStateForecast {
  query: string
  state: 'changed' | 'new'
  /** Read by it, of `records`. */
  recordsRead: number
  stateRows: number
  stateBytes: number
  /** 0 where it is steady; undefined where the time is too short, or not all was read. */
  bytesPerHour?: number
  /** Operators that hold something, the largest first. */
  operators: { label: string; stateRows: number; stateBytes: number }[]
}
export interface StateForecast {
  /** Times of the first and the last record; both 0 where there is none. */
  firstMs: number
  lastMs: number
  records: number
  /** Those whose plan is new: the others go on with the state that they have. */
  queries: QueryStateForecast[]
}

/**
 * Measures the state that the queries of a new text of a file would have after the records since a time.
 *
 * @param sinceMs  epoch ms of the log's timestamps
 * @throws as `changedQueries`
 */
export async function forecastState(
  manager: JobManager,
  log: Pick<Log, 'topic' | 'readMessages'>,
  fileName: string,
  text: string,
  { sinceMs, signal, mayRunFiles }: Pick<DiffOptions, 'sinceMs' | 'signal' | 'mayRunFiles'>,
): Promise<StateForecast> {
  const queries = changedQueries(manager, fileName, text, { mayRunFiles }).filter(
    ({ next, now }) => !now || rowText([now.plan]) !== rowText([next.plan]),
  )
  const plans = queries.map(({ next }) => next.plan)
  const topics = manager.topicsOf(plans)
  const whole = await slicesOf(log, topics, { sinceMs })
  const records = countOf(whole)
  const [firstMs, endMs] = records === 0 ? [0, 1] : await timesOf(log, whole)
  const spanMs = endMs - firstMs
  const half = spanMs < SPAN_MS_MIN ? undefined : await slicesOf(log, topics, { sinceMs: firstMs + spanMs / 2 })
  const found: QueryStateForecast[] = []
  const endsMs = performance.now() + READ_MS_MAX
  const runs = half ? 2 : 1
  for (const [i, { next, now }] of queries.entries()) {
    const share = (runsLeft: number) => (endsMs - performance.now()) / ((queries.length - i - 1) * runs + runsLeft)
    const all = await stateAfter(manager, next.plan, whole, share(runs), signal)
    const newer = half && all.isWhole ? await stateAfter(manager, next.plan, half, share(1), signal) : undefined
    const { recordsRead, stateRows, stateBytes, operators } = all
    const growth = newer?.isWhole ? { bytesPerHour: Math.max(0, stateBytes - newer.stateBytes) / (spanMs / 2 / HOUR_MS) } : {}
    found.push({ query: next.id, state: now ? 'changed' : 'new', recordsRead, stateRows, stateBytes, operators, ...growth })
  }
  return { firstMs, lastMs: endMs - 1, records, queries: found }
}

const countOf = (slices: ReadonlyMap<string, Slice>): number =>
  [...slices.values()].reduce((sum, { start, stop }) => sum + stop.reduce((all, end, i) => all + end - start[i], 0), 0)

interface Measured extends Pick<QueryStateForecast, 'recordsRead' | 'stateRows' | 'stateBytes' | 'operators'> {
  isWhole: boolean
}

/** What a plan holds once it has read a slice. Its input has no end there, so nothing is put out and forgotten only because the slice ends. */
async function stateAfter(
  manager: JobManager,
  plan: Parameters<JobManager['runAdhoc']>[0],
  slices: ReadonlyMap<string, Slice>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Measured> {
  const none: Measured = { recordsRead: 0, stateRows: 0, stateBytes: 0, operators: [], isWhole: false }
  if (timeoutMs <= 0) return none
  const open = new Map([...slices].map(([topic, { start, stop }]) => [topic, { start, stop: stop.map(() => Number.MAX_SAFE_INTEGER) }]))
  let failure: Error | undefined
  const { stop, inspect } = manager.runAdhoc(plan, {
    bounded: false,
    startup: 'earliest-offset',
    slices: open,
    onChanges: () => {},
    onEnd: (error) => (failure = error && toStreamError(error)),
  })
  try {
    const untilMs = performance.now() + timeoutMs
    for (;;) {
      await sleep(LOOK_MS, undefined, { signal })
      if (failure) throw failure
      const seen = await inspect()
      const isLate = performance.now() > untilMs
      if (!seen) {
        if (isLate) return none
        continue
      }
      if (seen.error) throw toStreamError(seen.error)
      const places = seen.sources.flatMap(({ topic, partitions }) =>
        partitions.map(({ partition, offset }) => {
          const { start, stop: ends } = slices.get(topic)!
          return { read: Math.max(0, Math.min(offset, ends[partition]) - start[partition]), isDone: offset >= ends[partition] }
        }),
      )
      const isWhole = places.every(({ isDone }) => isDone)
      if (!isWhole && !isLate) continue
      const operators = seen.nodes
        .map(({ label, operator: { stateRows = 0, stateBytes = 0 } = {} }) => ({ label, stateRows, stateBytes }))
        .filter(({ stateBytes }) => stateBytes > 0)
        .sort((a, b) => b.stateBytes - a.stateBytes)
      const sum = (of: 'stateRows' | 'stateBytes'): number => operators.reduce((total, one) => total + one[of], 0)
      const recordsRead = places.reduce((total, { read }) => total + read, 0)
      return { recordsRead, stateRows: sum('stateRows'), stateBytes: sum('stateBytes'), operators, isWhole }
    }
  } finally {
    stop()
  }
}
