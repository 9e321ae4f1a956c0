import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CRASH_KEEPS, referenceChanges, runCrashPoint, runSeed } from './run.ts'

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

// All of them: npm run sim -- --crash-points
test('the reference workload crashed after some of the calls that change the disk', async () => {
  const every = Math.ceil((await referenceChanges()) / 12)
  for (let i = 0; i < 12; i++) {
    const point = { afterChanges: i * every + (i % every), keep: CRASH_KEEPS[i % CRASH_KEEPS.length] }
    assert.equal((await runCrashPoint(point)).violation, undefined, JSON.stringify(point))
  }
})
