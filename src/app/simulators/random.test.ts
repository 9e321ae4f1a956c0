import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Random, Schedule, Zipf } from './random.ts'

const DRAWS = 100_000
const moments = (draw: () => number): { mean: number; deviation: number } => {
  const values = Float64Array.from({ length: DRAWS }, draw)
  const mean = values.reduce((sum, value) => sum + value, 0) / DRAWS
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / DRAWS
  return { mean, deviation: Math.sqrt(variance) }
}
const near = (actual: number, expected: number, relative: number, what: string) =>
  assert.ok(Math.abs(actual - expected) <= relative * Math.abs(expected), `${what}: ${actual}, expected ${expected} ± ${relative * 100} %`)

test('distributions have the mean and the spread that their parameters say', () => {
  const random = new Random(11)
  const uniform = moments(() => random.next())
  near(uniform.mean, 0.5, 0.01, 'uniform mean')
  near(uniform.deviation, Math.sqrt(1 / 12), 0.01, 'uniform deviation')
  const normal = moments(() => random.normal())
  assert.ok(Math.abs(normal.mean) < 0.015, `normal mean ${normal.mean}`)
  near(normal.deviation, 1, 0.01, 'normal deviation')
  const exponential = moments(() => random.exponential(5))
  near(exponential.mean, 5, 0.02, 'exponential mean')
  near(exponential.deviation, 5, 0.03, 'exponential deviation')
  near(moments(() => random.lognormal(1.3, 0.9)).mean, Math.exp(1.3 + 0.9 ** 2 / 2), 0.03, 'lognormal mean')
  for (const shape of [0.3, 1, 8]) {
    const gamma = moments(() => random.gamma(shape, 2))
    near(gamma.mean, 2 * shape, 0.03, `gamma(${shape}) mean`)
    near(gamma.deviation, 2 * Math.sqrt(shape), 0.04, `gamma(${shape}) deviation`)
  }
})

test('Zipf: the head has its share, and ranks follow 1 / rank^exponent', () => {
  const random = new Random(12)
  const zipf = new Zipf(2_000, 0.9)
  const counts = new Uint32Array(2_000)
  for (let i = 0; i < DRAWS; i++) counts[zipf.sample(random)]++
  const weights = Float64Array.from({ length: 2_000 }, (_, rank) => (rank + 1) ** -0.9)
  const sum = weights.reduce((total, weight) => total + weight, 0)
  near(counts[0], (DRAWS * weights[0]) / sum, 0.05, 'first rank')
  const head = (values: ArrayLike<number>) => Array.from(values).reduce((total, value, rank) => (rank < 20 ? total + value : total), 0)
  near(head(counts), (DRAWS * head(weights)) / sum, 0.02, 'first 20 ranks')
})

test('weighted, hex and chance', () => {
  const random = new Random(13)
  const counts = { a: 0, b: 0, c: 0 }
  const items = [
    ['a', 70],
    ['b', 30],
    ['c', 0],
  ] as const
  for (let i = 0; i < DRAWS; i++) counts[random.weighted(items)]++
  near(counts.a, 0.7 * DRAWS, 0.02, 'weight 70')
  assert.equal(counts.c, 0)
  assert.match(random.hex(6), /^[0-9a-f]{6}$/)
  assert.match(random.hex(13), /^[0-9a-f]{13}$/)
  assert.ok(!random.chance(0) && random.chance(1))
})

test('seeds: the same gives the same, others others, also above 32 bits', () => {
  const draws = (seed: number) => {
    const random = new Random(seed)
    return Array.from({ length: 8 }, () => random.next())
  }
  assert.deepEqual(draws(7), draws(7))
  const firsts = [0, 1, 2, 2 ** 32, 2 ** 32 + 1, 2 ** 33].map((seed) => draws(seed)[0])
  assert.equal(new Set(firsts).size, firsts.length)
})

test('a schedule gives what was put in by time, and of equal times in the order it came', () => {
  // null takes one out, a number puts one in.
  const steps = fc.array(fc.option(fc.integer({ min: 0, max: 5 })), { maxLength: 60 })
  fc.assert(
    fc.property(steps, (history) => {
      const schedule = new Schedule<number>()
      const model: { at: number; id: number }[] = []
      for (const [id, at] of history.entries()) {
        if (at === null) {
          model.sort((a, b) => a.at - b.at || a.id - b.id)
          assert.equal(schedule.pop(), model.shift()?.id)
        } else {
          schedule.push(at, id)
          model.push({ at, id })
        }
        assert.equal(schedule.size, model.length)
        assert.equal(schedule.nextAt, Math.min(...model.map((entry) => entry.at)))
      }
    }),
  )
})
