// The golden files that pass must go on passing, in every mode. `test/golden/PASSING.txt` only grows; `npm run golden` runs all.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { spoilReleased } from '../src/data/index.ts'
import { goldenModes, parseGoldenFile, play, rowText, runGoldenFile } from '../src/engine/golden/index.ts'

// Rows that an operator keeps without copying them come out wrong.
spoilReleased(true)

const folder = join(import.meta.dirname, 'golden')
const passing = readFileSync(join(folder, 'PASSING.txt'), 'utf8').trim().split('\n')

for (const name of passing)
  test(`golden: ${name}`, () => {
    const { problems } = runGoldenFile(join(folder, name))
    assert.equal(problems.map(({ mode, lines }) => `${mode}\n${lines.join('\n')}`).join('\n'), '')
  })

const example = (rows: string, more = '') => `-- Sums.
--- input t
{"ts":"2026-01-01 00:00:01.000","k":1,"v":9007199254740993}
{"ts":"2026-01-01 00:00:02.000","k":1,"v":1}
{"ts":"2026-01-01 00:00:30.000","k":2,"v":1}
@crash
{"ts":"2026-01-01 00:00:03.000","k":3,"v":1}
--- sql
CREATE TABLE t (ts TIMESTAMP(3), k INT, v BIGINT, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND);
SELECT k, SUM(v) AS s FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k;
--- expect
-- columns: k INT, s BIGINT
-- changelog: append-only
${rows}
${more}`

/** Problems of a golden file given as text. */
async function problemsOf(text: string): Promise<string[]> {
  const { mkdtempSync, rmSync, writeFileSync } = await import('node:fs')
  const { tmpdir } = await import('node:os')
  const temporary = mkdtempSync(join(tmpdir(), 'millrace-golden-'))
  try {
    writeFileSync(join(temporary, 'a.test'), text)
    return runGoldenFile(join(temporary, 'a.test')).problems.flatMap(({ lines }) => lines)
  } finally {
    rmSync(temporary, { recursive: true })
  }
}

const late = '--- late\n{"ts":"2026-01-01 00:00:03.000","k":3,"v":1}'

test('golden files can fail: a digit beyond 2^53, a missing row, a late row, a column, an update', async () => {
  assert.deepEqual(await problemsOf(example('[1, 9007199254740994]\n[2, 1]', late)), [])
  assert.equal((await problemsOf(example('[1, 9007199254740995]\n[2, 1]', late))).length, 2 * goldenModes.length)
  assert.equal((await problemsOf(example('[1, 9007199254740994]', late))).length, goldenModes.length)
  assert.equal((await problemsOf(example('[1, 9007199254740994]\n[2, 1]', '--- late'))).length, goldenModes.length)
  assert.equal(
    (await problemsOf(example('[1, 9007199254740994]\n[2, 1]', late).replace('k INT, s', 'k BIGINT, s'))).length,
    2 * goldenModes.length,
  )
  const updating = example('[1, 9007199254740994]\n[2, 1]\n[3, 1]').replace(/SELECT k.*;/, 'SELECT k, SUM(v) AS s FROM t GROUP BY k;')
  assert.ok((await problemsOf(updating)).some((line) => line.includes('expected only inserts')))
})

test('the crash mode restores from a snapshot before every row', () => {
  const file = parseGoldenFile('a.test', example('[1, 9007199254740994]\n[2, 1]'))
  const result = play(file, { kind: 'crash-before-every-row' })
  // Before each of the four rows but the first, once more for the file's own @crash, and before the end.
  assert.equal(result.restoreCount, 5)
  assert.deepEqual(result.rows.map(rowText).sort(), ['[1, 9007199254740994]', '[2, 1]'])
})

test('an instruction that is none is refused with its line', () => {
  assert.throws(
    () => parseGoldenFile('a.test', example('[1, 1]').replace('@crash', '@crush')),
    (error: { code?: string; params?: { line?: number } }) => error.code === 'GOLDEN_FILE_INVALID' && error.params?.line === 6,
  )
})
