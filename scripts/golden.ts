// npm run golden -- FILES: runs golden files and folders in every mode. Exit code 1 if any differs, 2 if a file cannot be read.
import { globSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { parseBytes } from '../src/base/index.ts'
import { spoilReleased } from '../src/data/index.ts'
import { type GoldenOutcome, runGoldenFile, updatedGoldenFile } from '../src/engine/golden/index.ts'
import { PARALLELISM_MAX } from '../src/engine/index.ts'
import { parsedArgs } from './options.ts'

const help = `Usage: npm run golden -- [--update] [--json] [--memory SIZE] [--parallelism N] [FILE or FOLDER ...]

Runs golden files (SQL in, rows out): as written, with a crash before every row, and in three seeded batchings.
Without arguments it runs test/golden.

  --update        rewrite what follows "--- expect" with today's result
  --json          print one JSON object per file instead of text
  --memory SIZE   state may have so much memory (0, 512, 4kb, 1mb), the rest is on the disk: rows must be the same
  --parallelism N   in N subtasks, which read the partitions in turn and exchange rows by key. What is left at the end is compared;
                  the order of changes is not, where a file says it: it is that of one subtask. With several numbers, as 1,2,3,
                  each crash takes the next one: state is dealt out anew.

Examples
  npm run golden
  npm run golden -- test/golden/window
  npm run golden -- --memory 0 test/golden/join
  npm run golden -- --parallelism 2 test/golden/join
  npm run golden -- --parallelism 1,2,3 test/golden/window
  npm run golden -- --update my-case.test`

const { values, positionals } = parsedArgs(help, {
  allowPositionals: true,
  options: {
    update: { type: 'boolean' },
    json: { type: 'boolean' },
    memory: { type: 'string' },
    parallelism: { type: 'string' },
  },
})

const parallelism = values.parallelism?.split(',').map(Number)
if (parallelism?.some((one) => !Number.isInteger(one) || one < 1 || one > PARALLELISM_MAX)) {
  console.error(`--parallelism ${values.parallelism}: a whole number from 1 to ${PARALLELISM_MAX}, or several`)
  process.exit(2)
}
const root = resolve(import.meta.dirname, '..')
const from = process.env.INIT_CWD ?? process.cwd()
let unreadable = 0
const files = (positionals.length > 0 ? positionals : [join(root, 'test/golden')]).flatMap((name) => {
  const path = resolve(from, name)
  try {
    if (!statSync(path).isDirectory()) return [path]
    return globSync('**/*.test', { cwd: path })
      .sort()
      .map((file) => join(path, file))
  } catch (error) {
    console.error(`${name}: ${(error as Error).message}`)
    unreadable++
    return []
  }
})

const memory =
  values.memory === undefined ? undefined : { bytes: parseBytes(values.memory), folder: mkdtempSync(join(tmpdir(), 'millrace-golden-')) }
process.on('exit', () => {
  if (memory) rmSync(memory.folder, { recursive: true, force: true })
})
// Rows that an operator keeps without copying them come out wrong.
spoilReleased(true)

let passed = 0
let failed = 0
/** Files of which something was not compared. */
let unordered = 0
for (const path of files) {
  let outcome: GoldenOutcome
  try {
    if (values.update) writeFileSync(path, updatedGoldenFile(path))
    outcome = runGoldenFile(path, { memory, parallelism })
    if (outcome.isUnordered) unordered++
  } catch (error) {
    console.error(`${relative(from, path)}: ${(error as Error).message}`)
    unreadable++
    continue
  }
  if (outcome.passed) passed++
  else failed++
  if (values.json) console.log(JSON.stringify({ ...outcome, problems: outcome.problems.map(({ mode, lines }) => ({ mode, lines })) }))
  else if (!outcome.passed) {
    console.log(`\n✗ ${relative(from, path)}: ${outcome.summary}`)
    for (const { mode, lines } of outcome.problems) console.log(`  ${mode}\n${lines.map((line) => `    ${line}`).join('\n')}`)
  }
}
console.log(`${passed} passed, ${failed} failed`)
if (unordered > 0)
  console.log(
    `of ${unordered} the order of changes, or what depends on it, was not compared: between keys it depends on the number of subtasks`,
  )
process.exit(unreadable > 0 ? 2 : failed > 0 ? 1 : 0)
