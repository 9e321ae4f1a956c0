// How figures went and where they lead to, against slow models.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Stats } from './contract.ts'
import { forecastOf, trendOf } from './forecast.ts'
import { lagsOfGroups } from './lag.ts'
import { MetricHistory } from './metricHistory.ts'

const statsAt = (
  atMs: number,
  events: number,
  rssBytes: number,
  query?: { rowsIn: number; watermarkMs?: number } & Partial<Stats['queries'][number]>,
): Omit<Stats, 'topics'> => ({
  atMs,
  uptimeSeconds: 1,
  rssBytes,
  heapBytes: 1,
  cpuShare: 0.5,
  version: '0',
  nodeVersion: 'v24',
  dataBytes: 1,
  memory: { limitBytes: 100, stateBytes: 10, otherBytes: 5, spilledBytes: 0 },
  eventsIn: { total: events, perSecond: 0 },
  rejected: { total: 0, perSecond: 0 },
  rowsOut: { total: 0, perSecond: 0 },
  latency: { p50Ms: 1, p95Ms: 2, p99Ms: 3, count: 0 },
  queries: query
    ? [
        {
          id: 'q',
          name: 'q',
          state: 'running',
          rowsOut: 0,
          rowsInPerSecond: 0,
          rowsOutPerSecond: 0,
          lateRows: 0,
          failedRows: 0,
          parallelism: 1,
          stateBytes: 7,
          spentMs: { busy: 1, backPressured: 0, idle: 0 },
          restarts: 0,
          parityMarks: 0,
          target: { kind: 'table', name: 'q' },
          droppedTables: [],
          sql: '',
          ...query,
        },
      ]
    : [],
})
const startMs = 1_767_225_600_000

test('steps hold the means of their samples and the growth of totals, over gaps and every tier; nothing is made up', () => {
  const gaps = fc.array(fc.oneof({ weight: 8, arbitrary: fc.constant(5_000) }, fc.integer({ min: 5_000, max: 9_000_000 })), {
    minLength: 1,
    maxLength: 60,
  })
  const range = fc.constantFrom(60_000, 1_500_000, 5 * 3_600_000, 30 * 3_600_000, 7 * 86_400_000)
  fc.assert(
    fc.property(gaps, fc.array(fc.nat(1_000), { minLength: 61, maxLength: 61 }), range, (steps, grown, rangeMs) => {
      const history = new MetricHistory()
      const samples: { atMs: number; rss: number; rate: number | undefined }[] = []
      let atMs = startMs
      let events = 0
      for (const [i, step] of [0, ...steps].entries()) {
        atMs += step
        events += grown[i]
        const rss = 1_024 * (grown[i] + 1)
        history.sample(statsAt(atMs, events, rss))
        samples.push({ atMs, rss, rate: i === 0 ? undefined : grown[i] / (step / 1_000) })
      }
      const { timesMs, stepMs, series, oldestMs } = history.ofProcess(atMs - rangeMs, atMs)
      assert.ok(timesMs.every((ms, i) => i === 0 || ms - timesMs[i - 1] === stepMs))
      assert.ok(oldestMs <= atMs)
      const mean = (values: number[]) => (values.length === 0 ? null : values.reduce((sum, one) => sum + one, 0) / values.length)
      for (const [i, ms] of timesMs.entries()) {
        const inside = samples.filter((one) => one.atMs >= ms && one.atMs < ms + stepMs)
        for (const [found, expected] of [
          [series.rssBytes[i], mean(inside.map(({ rss }) => rss))],
          [series.eventsInPerSecond[i], mean(inside.flatMap(({ rate }) => rate ?? []))],
        ]) {
          if (expected === null) assert.equal(found, null)
          else assert.ok(found !== null && Math.abs(found - expected) <= 1e-3 * Math.max(1, expected), `${found} for ${expected}`)
        }
      }
      // What was measured in the range is in a step, as far back as a week goes.
      const wanted = samples.filter((one) => one.atMs >= atMs - rangeMs && one.atMs > atMs - 6 * 86_400_000)
      for (const one of wanted)
        assert.ok(
          timesMs.some((ms) => one.atMs >= ms && one.atMs < ms + stepMs),
          `${one.atMs} is in no step`,
        )
    }),
    // As old as the finest tier reaches.
    { examples: [[[...Array(7).fill(5_000), 1_760_000, 5_000], Array(61).fill(0), 5 * 3_600_000]] },
  )
})

test('a total that began anew, a clock that goes back, and a query that is gone leave no wrong number', () => {
  const history = new MetricHistory()
  history.sample(statsAt(startMs, 100, 1, { rowsIn: 50, watermarkMs: startMs - 3_000 }))
  history.sample(statsAt(startMs + 5_000, 40, 1, { rowsIn: 60, watermarkMs: startMs }))
  assert.deepEqual(history.ofProcess(startMs, startMs + 5_000).series.eventsInPerSecond, [null, null])
  const own = history.ofQuery('q', startMs, startMs + 5_000)
  assert.deepEqual(
    [own.series.rowsInPerSecond, own.series.watermarkLagMs],
    [
      [null, 2],
      [3_000, 5_000],
    ],
  )
  history.sample(statsAt(startMs + 10_000, 40, 1))
  assert.deepEqual(history.ofQuery('q', startMs, startMs + 10_000).series.stateBytes, [null, null, null])
  history.sample(statsAt(startMs - 3_600_000, 40, 1))
  assert.deepEqual(history.ofProcess(0, startMs + 20_000).timesMs, [startMs - 3_600_000])
})

test('the lag of groups: nothing read is no number, a slow look-up forgets nothing, a group that is gone is forgotten, a query of its name is not', () => {
  const history = new MetricHistory()
  const at = (step: number, groups?: { id: string; lag: number; lagMs?: number }[]) =>
    history.sample(statsAt(startMs + step * 5_000, 0, 1, { rowsIn: 5 }), groups)
  at(0, [
    { id: 'q', lag: 7, lagMs: 900 },
    { id: 'done', lag: 0 },
  ])
  at(1)
  at(2, [{ id: 'q', lag: 9 }])
  const of = (id: string) => history.ofGroup(id, startMs, startMs + 10_000).series
  assert.deepEqual(of('q'), { lagRecords: [7, null, 9], lagMs: [900, null, null] })
  assert.deepEqual(of('done'), { lagRecords: [null, null, null], lagMs: [null, null, null] })
  at(3, [])
  assert.deepEqual(of('q').lagRecords, [null, null, null])
  assert.notDeepEqual(history.ofQuery('q', startMs, startMs + 15_000).series.stateBytes, [null, null, null, null])
})

test('a query that goes on with the counts of its checkpoint is no wave of rows', () => {
  const history = new MetricHistory()
  const at = (atMs: number, rows: number, idleMs: number) =>
    history.sample(statsAt(atMs, 0, 1, { rowsIn: rows, rowsOut: rows, spentMs: { busy: 0, backPressured: 0, idle: idleMs } }))
  at(startMs, 0, 0)
  at(startMs + 5_000, 1_000_000, 4_000)
  at(startMs + 10_000, 1_000_050, 9_000)
  at(startMs + 15_000, 0, 0)
  at(startMs + 20_000, 1_000_040, 2_000)
  const range = [startMs, startMs + 20_000] as const
  assert.deepEqual(history.ofQuery('q', ...range).series.rowsInPerSecond, [null, null, 10, null, null])
  assert.deepEqual(history.ofQuery('q', ...range).series.rowsOutPerSecond, [null, null, 10, null, null])
  assert.deepEqual(history.ofProcess(...range).series.rowsOutPerSecond, [0, null, 10, 0, null])
})

test('six hours are shown in the steps that are kept for six hours', () => {
  const history = new MetricHistory()
  const hours = 3_600_000
  for (let atMs = startMs; atMs <= startMs + 8 * hours; atMs += 5_000) history.sample(statsAt(atMs, 0, 1))
  const toMs = startMs + 8 * hours + 3_000
  assert.deepEqual(
    [0.4, 6, 8].map((back) => history.ofProcess(toMs - back * hours, toMs).stepMs),
    [5_000, 30_000, 300_000],
  )
})

test('a step that comes round in its ring has nothing of the one that was there before', () => {
  const history = new MetricHistory()
  const at = (atMs: number, p99Ms: number) => history.sample({ ...statsAt(atMs, 0, 1), latency: { p50Ms: 1, p95Ms: 2, p99Ms, count: 1 } })
  at(startMs, 100)
  at(startMs + 360 * 5_000, 10)
  assert.equal(history.ofProcess(startMs + 359 * 5_000, startMs + 361 * 5_000).series.latencyP99Ms.at(-1), 10)
})

test('a line that grows is found through noise, a saw that does not is steady, and a limit is reached when it is', () => {
  const times = Array.from({ length: 120 }, (_, i) => startMs + i * 30_000)
  const noise = (i: number) => ((i * 7_919) % 101) - 50
  const growing = times.map((_, i) => 1_000_000 + i * 1_000 + noise(i))
  const trend = trendOf(times, growing)
  assert.ok(trend && Math.abs(trend.bytesPerHour - 120_000) < 2_000, JSON.stringify(trend))
  const saw = times.map((_, i) => 1_000_000 + (i % 10) * 10_000)
  assert.equal(trendOf(times, saw)?.bytesPerHour, 0)
  assert.equal(trendOf(times.slice(0, 5), growing.slice(0, 5)), undefined)
  assert.equal(
    trendOf(
      times,
      times.map(() => null),
    ),
    undefined,
  )

  const hour = 3_600_000
  const at = (used: number, limit: number | undefined, perHour: number) =>
    forecastOf(used, limit, { bytesPerHour: perHour, overMs: hour }, startMs).fullAtMs
  assert.equal(at(100, 300, 100), startMs + 2 * hour)
  assert.equal(at(400, 300, 100), startMs)
  assert.equal(at(100, 300, 0), undefined)
  assert.equal(at(100, 300, -5), undefined)
  assert.equal(at(100, 1e15, 1), undefined)
  assert.equal(at(100, undefined, 10), undefined)
})

test('how far behind a group is counts what is still kept, whether its lag in time is looked up or not', async () => {
  const log = {
    topic: () => ({ partitions: [{ startOffset: 40, endOffset: 50 }] }),
    descriptor: () => assert.fail('gone'),
  } as unknown as Parameters<typeof lagsOfGroups>[0]
  const groups = {
    list: () => [{ id: 'g' }],
    offsets: () => [{ topic: 't', partition: 0, offset: 7 }],
  } as unknown as Parameters<typeof lagsOfGroups>[1]
  for (const agesMax of [0, 1]) assert.deepEqual(await lagsOfGroups(log, groups, agesMax), [{ id: 'g', lag: 10 }])
})
