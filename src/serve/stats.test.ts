import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RollingHistogram } from './stats.ts'

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
