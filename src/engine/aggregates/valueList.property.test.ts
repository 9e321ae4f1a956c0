import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ValueList } from './valueList.ts'

const value = fc.constantFrom<unknown>(null, 1, 2, 3, 'a', Number.NaN, 7n)

test('a list of values from which the first of equal ones is taken', () => {
  const steps = fc.array(fc.record({ adds: fc.boolean(), value, count: fc.integer({ min: 1, max: 90 }) }), { maxLength: 60 })
  fc.assert(
    fc.property(steps, fc.array(value, { maxLength: 5 }), (taken, before) => {
      const list = new ValueList((one) => one, before)
      const model = before.slice()
      for (const { adds, value: one, count } of taken) {
        for (let n = 0; n < count; n++) {
          if (adds) {
            model.push(one)
            list.add(one)
          } else {
            const at = model.findIndex((other) => Object.is(other, one))
            if (at >= 0) model.splice(at, 1)
            list.remove(one)
          }
        }
        assert.deepEqual([list.toArray(), list.count, list.first, list.last], [model, model.length, model[0], model.at(-1)])
      }
    }),
    { numRuns: 500 },
  )
})

test('of 100,000 values any is replaced in no time, those at the ends as well', () => {
  const count = 100_000
  const list = new ValueList(
    (one) => one,
    Array.from({ length: count }, (_, i) => i),
  )
  const startedMs = performance.now()
  for (let i = 0; i < count; i++) {
    const one = (i * 7919) % count
    list.remove(one)
    list.add(one)
    list.remove(one)
    list.add(one)
    assert.equal(list.last, one)
  }
  // Searched for, each would take some 0.1 ms: 20 s.
  assert.ok(performance.now() - startedMs < 5_000)
  assert.equal(list.count, count)
})
