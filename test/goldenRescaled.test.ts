// Golden files in another number of subtasks after each crash, of which there is one before every row: the rows are the same.
import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { spoilReleased } from '../src/data/index.ts'
import { runGoldenFile } from '../src/engine/golden/index.ts'

const folder = join(import.meta.dirname, 'golden')

test('golden files whose state is dealt out anew before every row', () => {
  spoilReleased(true)
  try {
    const failed = globSync('**/*.test', { cwd: folder }).flatMap((name) => {
      const { passed, problems } = runGoldenFile(join(folder, name), { parallelism: [1, 2, 3, 1, 4, 2] })
      return passed ? [] : [`${name}: ${problems.flatMap(({ mode, lines }) => [mode, ...lines]).join('\n  ')}`]
    })
    assert.deepEqual(failed, [])
  } finally {
    spoilReleased(false)
  }
})
