// Golden files in several subtasks, and in another number of them after each crash, of which there is one before every row: the rows are the same.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { spoilReleased } from '../src/data/index.ts'
import { type PlayOptions, runGoldenFile } from '../src/engine/golden/index.ts'

const folder = join(import.meta.dirname, 'golden')

function playAll(t: TestContext, options: PlayOptions): void {
  spoilReleased(true)
  try {
    const names = globSync('**/*.test', { cwd: folder })
    const ofPartitions = names.filter((name) => readFileSync(join(folder, name), 'utf8').includes('\n@partition '))
    t.diagnostic(
      `${ofPartitions.length} files of several partitions are left out: in which row they see a watermark depends on who reads them`,
    )
    const failed = names.flatMap((name) => {
      if (ofPartitions.includes(name)) return []
      const { passed, problems } = runGoldenFile(join(folder, name), options)
      return passed ? [] : [`${name}: ${problems.flatMap(({ mode, lines }) => [mode, ...lines]).join('\n  ')}`]
    })
    assert.deepEqual(failed, [])
  } finally {
    spoilReleased(false)
  }
}

test('golden files in three subtasks', (t) => playAll(t, { parallelism: 3 }))

test('golden files whose state is dealt out anew before every row', (t) => playAll(t, { parallelism: [1, 2, 3, 1, 4, 2] }))
