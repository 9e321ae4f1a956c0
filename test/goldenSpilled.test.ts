// Golden files with all state that can on the disk: the rows are the same, in every mode.
import assert from 'node:assert/strict'
import { globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { spoilReleased } from '../src/data/index.ts'
import { runGoldenFile } from '../src/engine/golden/index.ts'

const folder = join(import.meta.dirname, 'golden')
/** Its result is which of several keys' changes came first: they come by key group then, see docs/state.md. */
const byOrderOfKeys = new Set(['aggregate/first_last_value_of_updating_input.test'])
/** Its result is whether a row is replaced before or after a watermark: several watermarks are worked through as one then, see docs/state.md. */
const byWatermarkOfChanges = new Set(
  ['between_watermarks', 'grouping_sets', 'in_sessions'].map((name) => `window/updating_input_${name}.test`),
)

test('golden files with a memory budget of nothing', () => {
  spoilReleased(true)
  const spill = mkdtempSync(join(tmpdir(), 'millrace-golden-'))
  try {
    const names = globSync('**/*.test', { cwd: folder }).filter((name) => !byOrderOfKeys.has(name) && !byWatermarkOfChanges.has(name))
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
