// Nexmark: each of the 22 queries over generated events, generator included, in as many threads as Flink has task slots.
//
// As with Flink's parallelism, each subtask makes its part of the events and exchanges rows by key with the others. Rates are events per second; the best of the passes counts, the first one warms up. --check compares the results with the slow
// model's (bench/nexmark/expected.json) before it measures.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { benchOptions } from '../scripts/options.ts'
import type { Batch } from '../src/data/index.ts'
import { PARALLELISM_MAX } from '../src/engine/index.ts'
import { machineText } from './machine.ts'
import { CsvSink } from './nexmark/csvSink.ts'
import { leafNames, NexmarkGenerator } from './nexmark/generator.ts'
import type { ExpectedRun } from './nexmark/model.ts'
import { BATCH_ROWS, hashQuery, planOf, queryNames, type RunResult, runQuery } from './nexmark/run.ts'
import { Subtasks } from './nexmark/subtasks.ts'

/**
 * Flink 2.2.1, events/s in thousands: the better of its defaults and its tuned settings for each query. One JVM, parallelism 2 on two
 * cores, 2 GB heap, generator in the process, blackhole sinks, wall clock, quiet machine, November 2026, 10 M/s of event time.
 */
const FLINK_THOUSANDS: Record<string, number> = {
  ...{ q0: 1230, q1: 1580, q2: 1540, q3: 831, q4: 250, q5: 408, q7: 176, q8: 945, q9: 141, q10: 438, q11: 422 },
  ...{ q12: 752, q13: 1100, q14: 1480, q15: 360, q16: 187, q17: 511, q18: 218, q19: 319, q20: 340, q21: 520, q22: 915 },
}

const values = benchOptions('nexmark', {
  about: 'Nexmark: each of the 22 queries over generated events, generator included.',
  takes: 'about five minutes',
  options: {
    queries: { value: 'q1,q5', default: queryNames.join(), doc: 'which' },
    events: { value: 'N', default: '1000000', doc: 'events of each' },
    rate: { value: 'N', default: '10000000', doc: 'of event time, events per second' },
    parallelism: { value: 'N', default: '2', doc: 'subtasks' },
    passes: { value: 'N', default: '3', doc: 'of which the best counts' },
    check: { doc: "compare results with the slow model's first (bench/nexmark/expected.json)" },
    json: { doc: 'one line of JSON instead of text' },
  },
  examples: ['', '--queries q1,q5 --events 200000 --passes 1'],
})
const wanted = values.queries.split(',')
const unknown = wanted.filter((name) => !queryNames.includes(name))
const [events, rate, passes, parallelism] = [values.events, values.rate, values.passes, values.parallelism].map(Number)
const isParallelismFit = Number.isInteger(parallelism) && parallelism <= PARALLELISM_MAX
if (
  unknown.length > 0 ||
  !isParallelismFit ||
  ![events, rate, passes, parallelism].every((number) => number > 0 && Number.isFinite(number))
) {
  console.error(
    unknown.length > 0
      ? `There is no query ${unknown.join(', ')}. Known: ${queryNames.join(', ')} (q6 is an error in every engine).`
      : `--events, --rate, --passes and --parallelism are numbers above 0, the last a whole one up to ${PARALLELISM_MAX}.`,
  )
  process.exit(2)
}

const discard = (_batch: Batch): void => {}
const perSecond = (ms: number): number => (events / ms) * 1000
const millions = (rate: number): string => (rate / 1e6).toFixed(2).padStart(7)
const subtasks = parallelism > 1 ? new Subtasks(parallelism) : undefined
const geometricMean = (numbers: number[]): number => Math.exp(numbers.reduce((sum, number) => sum + Math.log(number), 0) / numbers.length)

async function check(name: string): Promise<void> {
  const runs = JSON.parse(readFileSync(join(import.meta.dirname, 'nexmark/expected.json'), 'utf8')) as ExpectedRun[]
  const expected = runs.find((run) => run.events === events && run.rate === rate && run.parallelism === parallelism)
  if (expected === undefined)
    throw new Error(`no results of the model for ${events} events at ${rate}/s, ${parallelism} generators; see bench/nexmark/expected.json`)
  const { rows, hash } = subtasks === undefined ? hashQuery(planOf(name), expected).result : await subtasks.check(name, expected)
  const right = expected.results[name]
  if (rows !== right.rows || hash !== right.hash) throw new Error(`${name}: ${rows} rows ${hash}, not ${right.rows} rows ${right.hash}`)
}

function runAlone(name: string): RunResult & { lateRows: number } {
  const plan = planOf(name)
  const csv = name === 'q10' ? new CsvSink(plan.fields) : undefined
  return runQuery(plan, { events, rate }, csv === undefined ? discard : (batch) => csv.write(batch))
}

async function measure(name: string) {
  let wallMs = Infinity
  let cpuMs = Infinity
  let rowsOut = 0
  for (let pass = 0; pass < passes; pass++) {
    const result = subtasks === undefined ? runAlone(name) : await subtasks.measure(name, { events, rate })
    if (result.lateRows > 0) throw new Error(`${name}: ${result.lateRows} rows were late`)
    wallMs = Math.min(wallMs, result.wallMs)
    cpuMs = Math.min(cpuMs, result.cpuMs)
    rowsOut = result.rowsOut
  }
  const flink = FLINK_THOUSANDS[name] * 1000
  return {
    query: name,
    eventsPerSecond: perSecond(wallMs),
    perCpuSecond: perSecond(cpuMs),
    rowsOut,
    flink,
    ratio: perSecond(wallMs) / flink,
  }
}

function measureGenerator(): number {
  let best = Infinity
  for (let pass = 0; pass < passes; pass++) {
    const generator = new NexmarkGenerator({ events, rate })
    const startedMs = performance.now()
    while (generator.next(BATCH_ROWS, [leafNames[0]], 0) !== undefined) {}
    best = Math.min(best, performance.now() - startedMs)
  }
  return perSecond(best)
}

const generatorRate = measureGenerator()
if (!values.json) {
  console.log(machineText())
  console.log(
    `${events} events, ${rate}/s of event time, generator included (alone ${(generatorRate / 1e6).toFixed(2)} M/s), ${parallelism === 1 ? 'one thread' : `${parallelism} threads`}; best of ${passes}.`,
  )
  console.log(
    'Reference: Flink 2.2.1 on two cores of the same kind, the better of default and tuned; it is a constant here, not run now.\n',
  )
  console.log('query  M events/s   per CPU s    rows out   Flink M/s   ratio')
}
const results = []
for (const name of wanted) {
  if (values.check) await check(name)
  const result = await measure(name)
  results.push(result)
  if (!values.json)
    console.log(
      `${name.padEnd(5)}     ${millions(result.eventsPerSecond)}     ${millions(result.perCpuSecond)}  ${String(result.rowsOut).padStart(10)}     ${millions(result.flink)}  ${result.ratio.toFixed(1).padStart(5)} ×${values.check ? '  result right' : ''}`,
    )
}
const mean = geometricMean(results.map(({ eventsPerSecond }) => eventsPerSecond))
const meanPerCpu = geometricMean(results.map(({ perCpuSecond }) => perCpuSecond))
const meanRatio = geometricMean(results.map(({ ratio }) => ratio))
if (values.json)
  console.log(
    JSON.stringify({
      bench: 'nexmark',
      machine: machineText(),
      parallelism,
      events,
      rate,
      generatorRate,
      results,
      mean,
      meanPerCpu,
      meanRatio,
    }),
  )
else
  console.log(
    `mean      ${millions(mean)}     ${millions(meanPerCpu)}                                    ${meanRatio.toFixed(1).padStart(5)} ×  (geometric)`,
  )
await subtasks?.close()
