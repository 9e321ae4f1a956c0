// npm run bench -- NAME [options]: one benchmark, or all that need nothing but this repository.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { machineText } from './machine.ts'

const benches: Record<string, string> = {
  json: 'JSON decoder: 8 and 3 of 8 fields, against JSON.parse',
  kafka: 'Kafka port against a real Kafka, with and without a sync, warm, by turns: perf tools, latency, CPU, memory, fuzz; 30 minutes',
  log: 'log: appends with fsync, reads',
  spill: 'state of four times its memory budget: throughput and resident memory',
  checkpoint: 'checkpoints: cost at 1 GB of state, time to recover',
  operators: 'operators: windows and group-by on columnar batches',
  windowKeys: 'memory of one window over many distinct keys, and the time of an event as they grow',
  simple: 'JSON file → 10-second windows by key → CSV, in two threads, against JSON.parse or Flink',
  pipeline: 'HTTP batches → durable log → five-minute windows by key → view, with push latency',
  nexmark: 'Nexmark: 22 queries, generator included, in two threads, against Flink',
  demo: 'the demo: start to first live row, resident memory',
  kills: 'kill -9 under load from real clients (kcat must be there): nothing lost, nothing double',
  soak: 'a steady rate for long: memory, open files, latencies; counts checked at the end',
  views: 'views: changes applied, pushes to many subscribers',
  ingest: 'front door: parse, check and batch, without and with HTTP',
}
/** Only when asked for: they take many minutes. */
const long = ['kills', 'soak']
const [name, ...rest] = process.argv.slice(2)
const isHelp = (arg: string | undefined) => arg === '--help' || arg === '-h'
if (isHelp(name)) {
  console.log(
    `Usage: npm run bench -- [NAME] [options]\n\n${Object.entries(benches)
      .map(([key, text]) => `  ${key.padEnd(10)} ${text}`)
      .join(
        '\n',
      )}\n\nWithout a name all but ${long.join(' and ')} run, one after the other. Options of one, their defaults and how long it takes: npm run bench -- NAME --help\n\nExamples\n  npm run bench -- simple --events 1000000\n  npm run bench -- pipeline --seconds 20`,
  )
  process.exit(0)
}
if (name !== undefined && !(name in benches)) {
  console.error(`There is no benchmark "${name}". Known: ${Object.keys(benches).join(', ')}.`)
  process.exit(2)
}
const isAsked = rest.some(isHelp)
if (!isAsked) console.log(machineText())
let failed = 0
for (const bench of name ? [name] : Object.keys(benches).filter((key) => !long.includes(key))) {
  if (!isAsked) console.log(`\n# ${bench}: ${benches[bench]}`)
  // With the flags that users have from `scripts/run.mjs`: they decide on memory and on how often V8 collects.
  const { status } = spawnSync(process.execPath, [...process.execArgv, join(import.meta.dirname, `${bench}.ts`), ...rest], {
    stdio: 'inherit',
  })
  if (status !== 0) failed++
  // Used wrongly.
  if (name !== undefined && status === 2) process.exit(2)
}
process.exit(failed > 0 ? 1 : 0)
