// npm run golden:random -- --seed 7 --count 100 --to FOLDER: random golden cases as files without an expectation, for Flink to write it.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { randomCases } from '../test/randomCases.ts'

const help = `Usage: npm run golden:random -- --to FOLDER [--seed N] [--count N]

Writes random golden cases, inputs and SQL alone. Run them on Flink, which writes what they give, then here:

  npm run golden:random -- --seed 7 --count 200 --to /tmp/cases
  npm run golden -- /tmp/cases`

const { values } = parseArgs({
  options: { seed: { type: 'string' }, count: { type: 'string' }, to: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
})
if (values.help || !values.to) {
  console.log(help)
  process.exit(values.help ? 0 : 2)
}
const folder = resolve(process.env.INIT_CWD ?? process.cwd(), values.to)
mkdirSync(folder, { recursive: true })
const cases = randomCases(Number(values.seed ?? 1), Number(values.count ?? 100))
for (const { name, text } of cases) writeFileSync(join(folder, `${name}.test`), text)
console.log(`${cases.length} cases in ${folder}`)
