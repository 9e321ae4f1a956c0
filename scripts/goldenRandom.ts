// npm run golden:random: random golden cases, written as files, held against themselves, or compared with Flink.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { composedCases, shapedCases } from '../test/random/cases.ts'
import { compareWithFlink, keep, smallest } from '../test/random/flink.ts'
import { brokenLaw, smallestBreaking } from '../test/random/laws.ts'
import { parsedArgs } from './options.ts'

const help = `Usage: npm run golden:random -- [--seed N] [--count N] [--to FOLDER] [--flink RUNNER] [--small] [--shapes]

Random queries over random tables, as golden files; case i is that of seed N + i.

Without --flink each case is held against itself: with a crash before every row, in batches, in several subtasks
and with its state on the disk, the rows must be the same. With --flink each is run on Flink and here.
Cases that differ are written to the folder, with what differed beside them.

  --seed N         the first seed (1)
  --count N        how many cases (100)
  --to FOLDER      where cases that differ are written; with --write all of them, without an expectation
  --write          only write
  --flink RUNNER   a script that runs golden files on Flink: "RUNNER run FILE..." writes what they give into them
  --shapes         queries of fixed shapes (test/randomCases.ts) instead of composed ones
  --small          cases that differ are made small while they still differ

The exit code is 1 if a case differs.

Examples
  npm run golden:random -- --count 500
  npm run golden:random -- --seed 7 --count 200 --to /tmp/cases --write
  npm run golden:random -- --seed 1000 --count 300 --flink ../servers/flink-oracle/run.sh --to /tmp/found --small`

const { values } = parsedArgs(help, {
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '100' },
    to: { type: 'string' },
    write: { type: 'boolean' },
    flink: { type: 'string' },
    small: { type: 'boolean' },
    shapes: { type: 'boolean' },
  },
})
const usage = (problem: string): never => {
  console.error(problem)
  process.exit(2)
}
const [seed, count] = [Number(values.seed), Number(values.count)]
if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(count) || count < 1) usage('--seed and --count are whole numbers')
if (values.write && !values.to) usage('--write needs --to FOLDER')
const at = (path: string) => resolve(process.env.INIT_CWD ?? process.cwd(), path)
const cases = (values.shapes ? shapedCases : composedCases)(seed, count)
let differing = 0
const CASES_PER_JVM = 100

if (values.write) {
  const folder = at(values.to!)
  mkdirSync(folder, { recursive: true })
  for (const { name, text } of cases) writeFileSync(join(folder, `${name}.test`), text)
  console.log(`${cases.length} cases in ${folder}`)
} else if (values.flink) {
  const runner = at(values.flink)
  const counts = new Map<string, number>()
  // What costs is the start of a JVM; what is lost when the run is broken off is one such part.
  for (let done = 0; done < cases.length; done += CASES_PER_JVM) {
    for (let one of await compareWithFlink(runner, cases.slice(done, done + CASES_PER_JVM))) {
      counts.set(one.verdict, (counts.get(one.verdict) ?? 0) + 1)
      if (['same', 'both reject', 'no answer'].includes(one.verdict)) continue
      differing++
      if (values.small) one = await smallest(runner, one)
      console.log(`\n✗ ${one.random.name}: ${one.verdict}\n${one.lines.map((line) => `    ${line}`).join('\n')}`)
      if (values.to) console.log(`    ${keep(at(values.to), one)}`)
    }
    console.log([...counts].map(([verdict, n]) => `${n} ${verdict}`).join(', '))
  }
} else {
  let playedCount = 0
  for (const random of cases) {
    const broken = brokenLaw(random)
    if (!broken) playedCount++
    if (typeof broken !== 'object') continue
    differing++
    const small = values.small ? smallestBreaking(random) : random
    const { mode, lines } = brokenLaw(small) as { mode: string; lines: string[] }
    console.log(`\n✗ ${random.name} ${mode}\n${lines.map((line) => `    ${line}`).join('\n')}`)
    if (values.to) console.log(`    ${keep(at(values.to), { random, verdict: 'rows differ', text: small.text, lines: [mode, ...lines] })}`)
  }
  console.log(`${playedCount} of ${cases.length} cases have the same rows in every mode, ${differing} differ; the others are rejected`)
}
process.exit(differing > 0 ? 1 : 0)
