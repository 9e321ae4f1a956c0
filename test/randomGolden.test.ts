// Random queries over random rows: with a crash before every row, and however they are batched, the rows are the same.
// RANDOM_SEED=7 RANDOM_COUNT=1000 plays others.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { goldenModes, parseGoldenFile, play, rowText } from '../src/engine/golden/index.ts'
import { randomCases } from './randomCases.ts'

const seed = Number(process.env.RANDOM_SEED ?? 1)
const count = Number(process.env.RANDOM_COUNT ?? 57)

test(`${count} random queries give the same rows in every mode, seed ${seed}`, () => {
  let rowCount = 0
  for (const { name, text } of randomCases(seed, count)) {
    const file = parseGoldenFile(name, `${text}--- expect\n`)
    const [written, ...others] = goldenModes.map(({ name: mode, mode: how }) => ({ mode, rows: play(file, how).rows.map(rowText).sort() }))
    rowCount += written.rows.length
    for (const { mode, rows } of others) assert.deepEqual(rows, written.rows, `${mode}:\n${text}`)
  }
  assert.ok(rowCount > count, `only ${rowCount} rows: the cases show little`)
})
