import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runSeed } from './run.ts'

test('a seed gives the same trace each time', async () => {
  for (const seed of [1, 7, 28]) {
    const [first, second] = [await runSeed(seed), await runSeed(seed)]
    assert.equal(first.violation, undefined)
    assert.equal(first.hash, second.hash)
  }
})

test('thirty seeds of mixed faults hold', async () => {
  for (let seed = 1; seed <= 30; seed++) assert.equal((await runSeed(seed)).violation, undefined, `npm run sim -- --seed ${seed}`)
})
