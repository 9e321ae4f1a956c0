import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { QuerySummary } from './contract.ts'
import { RollingHistogram, StatsCollector } from './stats.ts'

test('quantiles are those of a sorted list, at most 1/32 too high', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 100_000, noNaN: true }), { minLength: 1, maxLength: 200 }), (values) => {
      const histogram = new RollingHistogram()
      for (const value of values) histogram.record(value, 5_000)
      const { p50Ms, p99Ms, count } = histogram.summary(5_500)
      const sorted = values.toSorted((a, b) => a - b)
      const exact = (share: number) => sorted[Math.ceil(values.length * share) - 1]
      assert.equal(count, values.length)
      for (const [found, expected] of [
        [p50Ms, exact(0.5)],
        [p99Ms, exact(0.99)],
      ])
        assert.ok(found >= expected - 0.001 && found <= expected * (1 + 1 / 32) + 0.001, `${found} for ${expected}`)
    }),
  )
})

test('what is older than ten seconds does not count', () => {
  const histogram = new RollingHistogram()
  histogram.record(100, 1_000)
  histogram.record(1, 8_000)
  assert.deepEqual(
    [histogram.summary(9_000).count, histogram.summary(11_500).count, histogram.summary(30_000)],
    [2, 1, { p50Ms: 0, p95Ms: 0, p99Ms: 0, count: 0 }],
  )
})

test('a timer that is late each time passes over no step, and a query that stops takes nothing from the rate of the others', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_767_225_600_000 })
  let tick = () => {}
  t.mock.method(globalThis, 'setInterval', (each: () => void) => {
    tick = each
    return { unref: () => undefined }
  })
  const query = (id: string, rowsOut: number, busy = 1) => ({ id, rowsOut, spentMs: { busy, backPressured: 0, idle: 0 } }) as QuerySummary
  let queries = [query('a', 0), query('b', 10_000)]
  const stats = new StatsCollector({
    version: '0',
    eventsIn: () => 0,
    rejected: () => 0,
    rowsOut: () => queries.reduce((sum, { rowsOut }) => sum + rowsOut, 0),
    dataBytes: () => 0,
    memory: () => ({ limitBytes: 1, stateBytes: 0, otherBytes: 0, spilledBytes: 0 }),
    queries: () => queries,
    topics: () => [],
  })
  for (let second = 1; second <= 120; second++) {
    queries = [query('a', 100 * second), second < 115 ? query('b', 10_000) : query('b', 0, 0)]
    t.mock.timers.setTime(Date.now() + 1_090)
    tick()
  }
  const { atMs, rowsOut } = stats.current()
  assert.ok(rowsOut.perSecond > 80, `${rowsOut.perSecond} rows/s`)
  const { series } = stats.history.ofProcess(0, atMs)
  assert.ok(series.rssBytes.length > 20 && !series.rssBytes.slice(1).includes(null), JSON.stringify(series.rssBytes))
  stats.close()
})
