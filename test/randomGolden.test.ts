// Random queries over random rows: with a crash before every row, however they are batched, in any number of subtasks and with their state on
// the disk, the rows are the same. RANDOM_SEED=7 RANDOM_COUNT=1000 plays others; `npm run golden:random` also compares with Flink.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { composedCases, shapedCases } from './random/cases.ts'
import { brokenLaw } from './random/laws.ts'

const seed = Number(process.env.RANDOM_SEED ?? 1)
const count = Number(process.env.RANDOM_COUNT ?? 60)

test(`twice ${count} random queries give the same rows in every mode, seed ${seed}`, () => {
  let rejectedCount = 0
  for (const random of [...composedCases(seed, count), ...shapedCases(seed, count)]) {
    const broken = brokenLaw(random)
    if (broken === 'rejected') rejectedCount++
    else assert.equal(broken, undefined, `${random.name} ${broken?.mode}\n${broken?.lines.join('\n')}\n${random.text}`)
  }
  assert.ok(rejectedCount < count / 5, `${rejectedCount} of twice ${count} cases are rejected: they show little`)
})
