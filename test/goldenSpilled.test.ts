// Golden files with all state that can on the disk: the rows are the same, in every mode.
import assert from 'node:assert/strict'
import { globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { spoilReleased } from '../src/data/index.ts'
import { runGoldenFile } from '../src/engine/golden/index.ts'

const folder = join(import.meta.dirname, 'golden')

test('golden files with a memory budget of nothing', () => {
  spoilReleased(true)
  const spill = mkdtempSync(join(tmpdir(), 'millrace-golden-'))
  try {
    const names = globSync('**/*.test', { cwd: folder })
    const failed = names.flatMap((name) => {
      const { passed, problems } = runGoldenFile(join(folder, name), { memory: { bytes: 0, folder: spill } })
      return passed ? [] : [`${name}: ${problems.flatMap(({ mode, lines }) => [mode, ...lines]).join('\n  ')}`]
    })
    assert.deepEqual(failed, [])
  } finally {
    spoilReleased(false)
    rmSync(spill, { recursive: true, force: true })
  }
})
