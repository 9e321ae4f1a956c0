// Random pipelines, each with a second way to its result: plain loops over the rows in the order in which they were handed on, written from
// Flink's rules and without the engine's code.
//
// Lateness: a row sees the watermark that the rows before it have caused. A source's watermark is the least over its partitions of
// (greatest event time - delay); one that has sent nothing holds it at minus infinity.
import type { Random } from './random.ts'
import type { Read } from './simJob.ts'

export interface Event {
  id: string
  k: string
  v: number
  /** Event time, ms since BASE_MS. */
  atMs: number
  /** A field that no query reads: some events are longer than a sector. */
  padBytes?: number
}
/** One row as the engine took it: from which table and partition; of several subtasks by which, and in which round. */
export interface Taken extends Omit<Read, 'from' | 'to'> {
  event: Event
}

export interface Pipeline {
  /** What kind of operator it has: what faults are counted by. */
  operator: string
  select: string
  /** The columns by which rows of the result differ. */
  key: string[]
  /** No row is ever taken back: a topic or files can take the result. */
  isAppendOnly: boolean
  /** What has to be declared before it. */
  before?: string
  /** How many of the tables it reads. */
  tableCount: 1 | 2
  /** Only for rows that are never late: what Flink does with late ones depends on its state there. */
  needsOrder: boolean
  /** Of an interval join: how much earlier than what it has seen a row may be that it puts out, in ms. */
  eventTimeDelayMs?: number
  /** The rows of the table at the end. */
  expected(history: readonly Taken[], sources: Sources): Row[]
}
export type Row = (string | number | null)[]

export interface Sources {
  partitionCounts: number[]
  delayMs: number
}

/** The last rows of all have this time and later: it is far behind all others. */
export const LAST_MS = 1_000_000
export const BASE_MS = Date.parse('2026-03-01T00:00:00.000Z')
export const textOfTime = (atMs: number): string => new Date(BASE_MS + atMs).toISOString().slice(0, 23).replace('T', ' ')
export const textOfEvent = ({ id, k, v, atMs, padBytes = 0 }: Event): string =>
  `{"id":"${id}","k":"${k}","v":${v},"ts":"${textOfTime(atMs)}"${padBytes > 0 ? `,"pad":"${'.'.repeat(padBytes)}"` : ''}}`

export const tableSql = (table: number, partitionCount: number, delayMs: number): string =>
  `CREATE TABLE t${table} (id STRING, k STRING, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '${delayMs / 1000}' SECOND)
   WITH ('connector' = 'kafka', 'topic' = 't${table}', 'format' = 'json', 'key.format' = 'raw', 'key.fields' = 'k', 'millrace.partitions' = '${partitionCount}');`

/**
 * The watermark of a table, as rows see it. In one subtask: the least of its partitions. In several each has that of its own partitions, and where
 * rows are exchanged one sees no more than the others have said at the end of the round before (those that come first in a round: of this round).
 */
class Watermark {
  private readonly delayMs: number
  /** By partition: the greatest event time. */
  private readonly greatest: number[]
  /** By subtask: what it has come to, and what it has said of that. */
  private own: number[] = []
  private said: number[] = []
  private owners: readonly number[] = []
  private last: Taken | undefined

  constructor(partitionCount: number, delayMs: number) {
    this.greatest = new Array(partitionCount).fill(Number.NEGATIVE_INFINITY)
    this.delayMs = delayMs
  }

  /** Event time that all have come to. A subtask without a partition holds nothing back. */
  get ms(): number {
    if (this.last === undefined) return Number.NEGATIVE_INFINITY
    return Math.min(...[...new Set(this.owners)].map((subtask) => this.own[subtask])) - this.delayMs
  }

  /** What the row sees; then it counts itself. */
  take(taken: Taken): number {
    const { subtask, partition, event, owners, parallelism, dealt } = taken
    const { last } = this
    if (last && (last.run !== taken.run || last.round !== taken.round || last.subtask !== subtask))
      this.said[last.subtask] = this.own[last.subtask]
    if (last === undefined || last.dealt !== dealt) {
      // Dealt out anew: all have come as far as the slowest had.
      const reached = last === undefined ? Number.NEGATIVE_INFINITY : this.ms + this.delayMs
      this.own = new Array(parallelism).fill(reached)
      this.said = new Array(parallelism).fill(reached)
      this.owners = owners
    }
    this.last = taken
    const others = [...new Set(owners)].filter((other) => other !== subtask).map((other) => this.said[other])
    const seen = Math.min(this.own[subtask], ...others) - this.delayMs
    if (event.atMs > this.greatest[partition]) {
      this.greatest[partition] = event.atMs
      const mine = this.greatest.filter((_, one) => owners[one] === subtask)
      this.own[subtask] = Math.max(this.own[subtask], Math.min(...mine))
    }
    return seen
  }
}

/** Rows of the first table, each with the watermark that it sees. */
function* withWatermarks(history: readonly Taken[], { partitionCounts, delayMs }: Sources): Generator<[Event, number]> {
  const watermark = new Watermark(partitionCounts[0], delayMs)
  for (const taken of history) if (taken.table === 0) yield [taken.event, watermark.take(taken)]
}
function lastWatermark(history: readonly Taken[], { partitionCounts, delayMs }: Sources, table = 0): number {
  const watermark = new Watermark(partitionCounts[table], delayMs)
  for (const taken of history) if (taken.table === table) watermark.take(taken)
  return watermark.ms
}
const eventsOf = (history: readonly Taken[], table: number): Event[] =>
  history.filter((taken) => taken.table === table).map(({ event }) => event)
const grouped = <T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> => Map.groupBy(items, keyOf)

const SECONDS = [1, 2, 5, 10]

type Template = (random: Random) => Pipeline

/** Windows of fixed size: which of them hold a time. */
function fixedWindows(operator: string, tvf: string, sizeMs: number, startsOf: (atMs: number) => number[]): Pipeline {
  return {
    operator,
    isAppendOnly: true,
    tableCount: 1,
    needsOrder: false,
    key: ['window_start', 'k'],
    select: `SELECT window_start, window_end, k, COUNT(*) AS n, SUM(v) AS total, MIN(id) AS least FROM TABLE(${tvf}) GROUP BY window_start, window_end, k`,
    expected(history, sources) {
      const windows = new Map<string, { start: number; k: string; events: Event[] }>()
      for (const [event, watermarkMs] of withWatermarks(history, sources))
        for (const start of startsOf(event.atMs)) {
          if (start + sizeMs - 1 <= watermarkMs) continue
          const key = `${start} ${event.k}`
          const window = windows.get(key) ?? { start, k: event.k, events: [] }
          window.events.push(event)
          windows.set(key, window)
        }
      const endMs = lastWatermark(history, sources)
      return [...windows.values()]
        .filter(({ start }) => start + sizeMs - 1 <= endMs)
        .map(({ start, k, events }) => [textOfTime(start), textOfTime(start + sizeMs), k, events.length, sum(events), least(events)])
    },
  }
}
const sum = (events: readonly Event[]): number => events.reduce((total, { v }) => total + v, 0)
const least = (events: readonly Event[]): string => events.map(({ id }) => id).sort()[0]
const floorTo = (atMs: number, sizeMs: number): number => Math.floor((BASE_MS + atMs) / sizeMs) * sizeMs - BASE_MS

export const templates: Record<string, Template> = {
  tumble: (random) => {
    const seconds = random.pick(SECONDS)
    return fixedWindows('tumble', `TUMBLE(TABLE t0, DESCRIPTOR(ts), INTERVAL '${seconds}' SECOND)`, seconds * 1000, (atMs) => [
      floorTo(atMs, seconds * 1000),
    ])
  },
  hop: (random) => {
    const slide = random.pick([1, 2])
    const count = random.int(2, 4)
    const tvf = `HOP(TABLE t0, DESCRIPTOR(ts), INTERVAL '${slide}' SECOND, INTERVAL '${slide * count}' SECOND)`
    return fixedWindows('hop', tvf, slide * count * 1000, (atMs) =>
      Array.from({ length: count }, (_, i) => floorTo(atMs, slide * 1000) - i * slide * 1000),
    )
  },
  cumulate: (random) => {
    const step = random.pick([1, 2])
    const count = random.int(2, 4)
    const sizeMs = step * count * 1000
    const tvf = `CUMULATE(TABLE t0, DESCRIPTOR(ts), INTERVAL '${step}' SECOND, INTERVAL '${step * count}' SECOND)`
    return {
      operator: 'cumulate',
      isAppendOnly: true,
      tableCount: 1,
      needsOrder: false,
      key: ['window_start', 'window_end', 'k'],
      select: `SELECT window_start, window_end, k, COUNT(*) AS n, SUM(v) AS total FROM TABLE(${tvf}) GROUP BY window_start, window_end, k`,
      expected(history, sources) {
        const windows = new Map<string, { start: number; end: number; k: string; events: Event[] }>()
        for (const [event, watermarkMs] of withWatermarks(history, sources)) {
          const start = floorTo(event.atMs, sizeMs)
          for (let end = start + step * 1000; end <= start + sizeMs; end += step * 1000) {
            if (event.atMs >= end || end - 1 <= watermarkMs) continue
            const key = `${start} ${end} ${event.k}`
            const window = windows.get(key) ?? { start, end, k: event.k, events: [] }
            window.events.push(event)
            windows.set(key, window)
          }
        }
        const endMs = lastWatermark(history, sources)
        return [...windows.values()]
          .filter(({ end }) => end - 1 <= endMs)
          .map(({ start, end, k, events }) => [textOfTime(start), textOfTime(end), k, events.length, sum(events)])
      },
    }
  },
  session: (random) => {
    const gapMs = random.pick([500, 1000, 2000])
    return {
      operator: 'session',
      isAppendOnly: true,
      tableCount: 1,
      needsOrder: false,
      key: ['k', 'window_start'],
      select: `SELECT window_start, window_end, k, COUNT(*) AS n, SUM(v) AS total
        FROM TABLE(SESSION(TABLE t0 PARTITION BY k, DESCRIPTOR(ts), INTERVAL '${gapMs / 1000}' SECOND)) GROUP BY window_start, window_end, k`,
      expected(history, sources) {
        type Session = { start: number; end: number; k: string; events: Event[] }
        let open: Session[] = []
        const closed: Session[] = []
        const close = (watermarkMs: number) => {
          closed.push(...open.filter(({ end }) => end - 1 <= watermarkMs))
          open = open.filter(({ end }) => end - 1 > watermarkMs)
        }
        for (const [event, watermarkMs] of withWatermarks(history, sources)) {
          close(watermarkMs)
          const merged: Session = { start: event.atMs, end: event.atMs + gapMs, k: event.k, events: [event] }
          const touches = (one: Session) => one.k === event.k && one.start <= event.atMs + gapMs && one.end >= event.atMs
          for (const one of open.filter(touches)) {
            merged.start = Math.min(merged.start, one.start)
            merged.end = Math.max(merged.end, one.end)
            merged.events.push(...one.events)
          }
          if (merged.end - 1 <= watermarkMs) continue
          open = [...open.filter((one) => !touches(one)), merged]
        }
        close(lastWatermark(history, sources))
        return closed.map(({ start, end, k, events }) => [textOfTime(start), textOfTime(end), k, events.length, sum(events)])
      },
    }
  },
  group: () => ({
    operator: 'group',
    isAppendOnly: false,
    tableCount: 1,
    needsOrder: false,
    key: ['k'],
    select: `SELECT k, COUNT(*) AS n, SUM(v) AS total, MAX(v) AS most, COUNT(DISTINCT v) AS kinds FROM t0 GROUP BY k`,
    expected: (history) =>
      [...grouped(eventsOf(history, 0), ({ k }) => k)].map(([k, events]) => [
        k,
        events.length,
        sum(events),
        Math.max(...events.map(({ v }) => v)),
        new Set(events.map(({ v }) => v)).size,
      ]),
  }),
  join: () => ({
    operator: 'join',
    isAppendOnly: true,
    tableCount: 2,
    needsOrder: false,
    key: ['a', 'b'],
    select: `SELECT t0.id AS a, t1.id AS b, t0.v + t1.v AS total FROM t0 JOIN t1 ON t0.k = t1.k AND t0.v = t1.v`,
    expected(history) {
      const right = grouped(eventsOf(history, 1), ({ k, v }) => `${k} ${v}`)
      return eventsOf(history, 0).flatMap((a) => (right.get(`${a.k} ${a.v}`) ?? []).map((b) => [a.id, b.id, a.v + b.v]))
    },
  }),
  leftJoin: () => ({
    operator: 'outer join',
    isAppendOnly: false,
    tableCount: 2,
    needsOrder: false,
    key: ['k'],
    select: `SELECT a.k AS k, a.n AS n, b.n AS m FROM (SELECT k, COUNT(*) AS n FROM t0 GROUP BY k) a
      LEFT JOIN (SELECT k, COUNT(*) AS n FROM t1 WHERE v > 5 GROUP BY k) b ON a.k = b.k`,
    expected(history) {
      const right = grouped(
        eventsOf(history, 1).filter(({ v }) => v > 5),
        ({ k }) => k,
      )
      return [...grouped(eventsOf(history, 0), ({ k }) => k)].map(([k, events]) => [k, events.length, right.get(k)?.length ?? null])
    },
  }),
  intervalJoin: (random) => {
    const seconds = random.pick([1, 2, 3])
    return {
      operator: 'interval join',
      isAppendOnly: true,
      tableCount: 2,
      needsOrder: true,
      eventTimeDelayMs: seconds * 1000,
      key: ['a', 'b'],
      select: `SELECT t0.id AS a, t1.id AS b FROM t0 JOIN t1 ON t0.k = t1.k
        AND t0.ts BETWEEN t1.ts - INTERVAL '${seconds}' SECOND AND t1.ts + INTERVAL '1' SECOND`,
      expected(history) {
        const right = grouped(eventsOf(history, 1), ({ k }) => k)
        return eventsOf(history, 0).flatMap((a) =>
          (right.get(a.k) ?? []).filter((b) => a.atMs >= b.atMs - seconds * 1000 && a.atMs <= b.atMs + 1000).map((b) => [a.id, b.id]),
        )
      },
    }
  },
  leftIntervalJoin: (random) => {
    const seconds = random.pick([1, 2])
    return {
      operator: 'left interval join',
      isAppendOnly: true,
      tableCount: 2,
      needsOrder: true,
      eventTimeDelayMs: seconds * 1000,
      key: ['a', 'b'],
      select: `SELECT t0.id AS a, COALESCE(t1.id, 'none') AS b FROM t0 LEFT JOIN t1 ON t0.k = t1.k AND t0.v = t1.v
        AND t1.ts BETWEEN t0.ts - INTERVAL '${seconds}' SECOND AND t0.ts + INTERVAL '${seconds}' SECOND`,
      expected(history) {
        const right = grouped(eventsOf(history, 1), ({ k, v }) => `${k} ${v}`)
        return eventsOf(history, 0).flatMap((a): Row[] => {
          const matches = (right.get(`${a.k} ${a.v}`) ?? []).filter((b) => Math.abs(a.atMs - b.atMs) <= seconds * 1000)
          // Told once none can come any more; the last rows of all have partners.
          if (matches.length === 0) return [[a.id, 'none']]
          return matches.map((b) => [a.id, b.id])
        })
      },
    }
  },
  temporalJoin: () => ({
    operator: 'temporal join',
    isAppendOnly: true,
    tableCount: 2,
    needsOrder: true,
    key: ['id'],
    before: `CREATE VIEW versions AS SELECT ts, k, v, id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS place FROM t1) WHERE place = 1;`,
    select:
      'SELECT t0.id AS id, versions.id AS version, versions.v AS v FROM t0 JOIN versions FOR SYSTEM_TIME AS OF t0.ts ON t0.k = versions.k',
    expected(history, sources) {
      // Only what is newer than all before it of its key is a version.
      const versions = new Map<string, Event[]>()
      for (const event of eventsOf(history, 1)) {
        const known = versions.get(event.k) ?? []
        if ((known.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY) <= event.atMs) known.push(event)
        versions.set(event.k, known)
      }
      const endMs = Math.min(lastWatermark(history, sources, 0), lastWatermark(history, sources, 1))
      return eventsOf(history, 0).flatMap((event): Row[] => {
        const version = versions.get(event.k)?.findLast(({ atMs }) => atMs <= event.atMs)
        return version && event.atMs <= endMs ? [[event.id, version.id, version.v]] : []
      })
    },
  }),
  topN: (random) => {
    const most = random.int(1, 3)
    return {
      operator: 'top-n',
      isAppendOnly: false,
      tableCount: 1,
      needsOrder: false,
      key: ['k', 'place'],
      select: `SELECT k, place, id, v FROM (SELECT k, id, v, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC, id ASC) AS place FROM t0) WHERE place <= ${most}`,
      expected: (history) =>
        [...grouped(eventsOf(history, 0), ({ k }) => k)].flatMap(([k, events]) =>
          events
            .toSorted(byValue)
            .slice(0, most)
            .map(({ id, v }, i) => [k, i + 1, id, v]),
        ),
    }
  },
  windowTopN: (random) => {
    const seconds = random.pick(SECONDS)
    return {
      operator: 'window top-n',
      isAppendOnly: true,
      tableCount: 1,
      needsOrder: false,
      key: ['window_start', 'place'],
      select: `SELECT window_start, place, id, v FROM (SELECT window_start, window_end, id, v,
          ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY v DESC, id ASC) AS place
          FROM TABLE(TUMBLE(TABLE t0, DESCRIPTOR(ts), INTERVAL '${seconds}' SECOND))) WHERE place <= 2`,
      expected(history, sources) {
        const sizeMs = seconds * 1000
        const kept: Event[] = []
        for (const [event, watermarkMs] of withWatermarks(history, sources))
          if (floorTo(event.atMs, sizeMs) + sizeMs - 1 > watermarkMs) kept.push(event)
        const endMs = lastWatermark(history, sources)
        return [...grouped(kept, ({ atMs }) => String(floorTo(atMs, sizeMs)))]
          .filter(([start]) => Number(start) + sizeMs - 1 <= endMs)
          .flatMap(([start, events]) =>
            events
              .toSorted(byValue)
              .slice(0, 2)
              .map(({ id, v }, i) => [textOfTime(Number(start)), i + 1, id, v]),
          )
      },
    }
  },
  deduplicate: () => ({
    operator: 'deduplicate',
    isAppendOnly: false,
    tableCount: 1,
    needsOrder: false,
    key: ['k', 'v'],
    select: `SELECT k, v, id, ts FROM (SELECT k, v, id, ts, ROW_NUMBER() OVER (PARTITION BY k, v ORDER BY ts DESC) AS place FROM t0) WHERE place = 1`,
    expected: (history) =>
      [...grouped(eventsOf(history, 0), ({ k, v }) => `${k} ${v}`)].map(([, events]) => {
        const { k, v, id, atMs } = events.toSorted((a, b) => b.atMs - a.atMs)[0]
        return [k, v, id, textOfTime(atMs)]
      }),
  }),
  keepFirst: () => ({
    operator: 'keep first',
    isAppendOnly: true,
    tableCount: 1,
    needsOrder: true,
    key: ['k', 'v'],
    select: `SELECT k, v, id FROM (SELECT k, v, id, ROW_NUMBER() OVER (PARTITION BY k, v ORDER BY ts ASC) AS place FROM t0) WHERE place = 1`,
    expected(history, sources) {
      const endMs = lastWatermark(history, sources)
      const seen = eventsOf(history, 0).filter(({ atMs }) => atMs <= endMs)
      return [...grouped(seen, ({ k, v }) => `${k} ${v}`)].map(([, events]) => {
        const { k, v, id } = events.toSorted(byTime)[0]
        return [k, v, id]
      })
    },
  }),
  overRange: (random) => {
    const seconds = random.pick([1, 2])
    return {
      operator: 'over range',
      isAppendOnly: true,
      tableCount: 1,
      needsOrder: true,
      key: ['id'],
      select: `SELECT id, COUNT(*) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '${seconds}' SECOND PRECEDING AND CURRENT ROW) AS n,
        MAX(v) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '${seconds}' SECOND PRECEDING AND CURRENT ROW) AS most FROM t0`,
      expected(history, sources) {
        const endMs = lastWatermark(history, sources)
        return [...grouped(eventsOf(history, 0), ({ k }) => k)].flatMap(([, events]) => {
          const done = events.filter(({ atMs }) => atMs <= endMs)
          return done.map(({ id, atMs }): Row => {
            const near = done.filter((other) => other.atMs <= atMs && other.atMs >= atMs - seconds * 1000)
            return [id, near.length, Math.max(...near.map(({ v }) => v))]
          })
        })
      },
    }
  },
  over: () => ({
    operator: 'over',
    isAppendOnly: true,
    tableCount: 1,
    needsOrder: true,
    key: ['id'],
    select: `SELECT id, SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS total FROM t0`,
    expected(history, sources) {
      const endMs = lastWatermark(history, sources)
      return [...grouped(eventsOf(history, 0), ({ k }) => k)].flatMap(([, events]) => {
        const ordered = events.filter(({ atMs }) => atMs <= endMs).sort(byTime)
        return ordered.map(({ id }, i) => [id, sum(ordered.slice(Math.max(0, i - 2), i + 1))])
      })
    },
  }),
  pattern: () => ({
    operator: 'pattern',
    isAppendOnly: true,
    tableCount: 1,
    needsOrder: false,
    key: ['a'],
    select: `SELECT * FROM t0 MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES FIRST(A.id) AS a, LAST(A.id) AS z, B.id AS b
        ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A+ B) DEFINE A AS A.v < 5, B AS B.v >= 5)`,
    expected(history, sources) {
      const kept: Event[] = []
      for (const [event, watermarkMs] of withWatermarks(history, sources)) if (event.atMs > watermarkMs) kept.push(event)
      const endMs = lastWatermark(history, sources)
      return [...grouped(kept, ({ k }) => k)].flatMap(([k, events]) => {
        const rows: Row[] = []
        let low: Event[] = []
        for (const event of events.filter(({ atMs }) => atMs <= endMs).sort(byTime)) {
          if (event.v < 5) low.push(event)
          else {
            if (low.length > 0) rows.push([k, low[0].id, low.at(-1)!.id, event.id])
            low = []
          }
        }
        return rows
      })
    },
  }),
}

/** In subtasks alone: its rows meet nowhere, so what one subtask puts out does not wait for the others. */
export const filter: Template = () => ({
  operator: 'filter',
  isAppendOnly: true,
  tableCount: 1,
  needsOrder: false,
  key: ['id'],
  select: 'SELECT id, k, v FROM t0 WHERE v >= 3',
  expected: (history) =>
    eventsOf(history, 0)
      .filter(({ v }) => v >= 3)
      .map(({ id, k, v }) => [id, k, v]),
})

/** Where the rows of a query go. */
export const sinkKinds = ['view', 'topic', 'upsert topic', 'json files', 'csv files'] as const
export type SinkKind = (typeof sinkKinds)[number]

/** Of a pipeline, the statements with its sink: the table `q<index>`, or the topic, or the folder of that name. */
export function querySql(
  { before = '', key, select }: Pipeline,
  index: number,
  sink: SinkKind,
  columns: readonly [string, string][],
): string {
  const name = `q${index}`
  const primaryKey = `PRIMARY KEY (${key.join(', ')}) NOT ENFORCED`
  if (sink === 'view') return `${before}\nCREATE MATERIALIZED TABLE ${name} (${primaryKey}) AS ${select};`
  const options = {
    topic: `'connector' = 'kafka', 'topic' = '${name}', 'format' = 'json', 'millrace.partitions' = '2'`,
    'upsert topic': `'connector' = 'upsert-kafka', 'topic' = '${name}', 'key.format' = 'json', 'value.format' = 'json', 'millrace.partitions' = '2'`,
    'json files': `'connector' = 'filesystem', 'path' = '${name}', 'format' = 'json', 'sink.rolling-policy.file-size' = '300 b'`,
    'csv files': `'connector' = 'filesystem', 'path' = '${name}', 'format' = 'csv'`,
  }[sink]
  const list = [...columns.map(([column, type]) => `${column} ${type}`), ...(sink === 'upsert topic' ? [primaryKey] : [])]
  return `${before}\nCREATE TABLE ${name} (${list.join(', ')}) WITH (${options});\nINSERT INTO ${name} ${select};`
}

const byValue = (a: Event, b: Event): number => b.v - a.v || (a.id < b.id ? -1 : 1)
const byTime = (a: Event, b: Event): number => a.atMs - b.atMs

/** A row as text, the same whatever it was stored as. */
export const rowText = (row: readonly unknown[]): string => row.map(String).join(' | ')
