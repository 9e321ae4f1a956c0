// The simple pipeline: a file of JSON events, decoded, 10-second windows by user, five aggregates; against JSON.parse alone on the same lines.
//
// npm run bench -- simple [--events 5000000] [--file events.ndjson] [--parallelism 2]
// Each subtask reads every second chunk of the file and exchanges rows by user with the other.
// The check: the counts of all windows add up to the events; for the 5 M events of seed 42 there are 459,076 windows.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { PARALLELISM_MAX } from '../src/engine/index.ts'
import { machineText, perSecond } from './machine.ts'
import { lineChunks, type PipelineReport } from './simple/pipeline.ts'
import { Threads } from './threads.ts'

async function runPipeline(path: string, parallelism: number) {
  const threads = new Threads<{ path: string }, PipelineReport>(new URL('./simple/thread.ts', import.meta.url), parallelism)
  const { reports, wallMs, cpuMs } = await threads.run({ path })
  await threads.close()
  const sum = (of: (report: PipelineReport) => number) => reports.reduce((all, report) => all + of(report), 0)
  return {
    ms: wallMs,
    cpuMs,
    eventCount: sum((report) => report.eventCount),
    windowCount: sum((report) => report.windowCount),
    counted: reports.reduce((all, { counted }) => all + counted, 0n),
    amount: sum((report) => report.amount),
    columns: reports[0].columns,
  }
}

function runJsonParse(path: string) {
  const decoder = new TextDecoder()
  let eventCount = 0
  let amount = 0
  const startedMs = performance.now()
  for (const { bytes, starts, ends, count } of lineChunks(path))
    for (let i = 0; i < count; i++) {
      amount += (JSON.parse(decoder.decode(bytes.subarray(starts[i], ends[i]))) as { amount: number }).amount
      eventCount++
    }
  return { ms: performance.now() - startedMs, eventCount, amount }
}

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    events: { type: 'string', default: '5000000' },
    parallelism: { type: 'string', default: '2' },
    file: { type: 'string' },
    json: { type: 'boolean' },
  },
  allowPositionals: true,
})
const events = Number(values.events)
const parallelism = Number(values.parallelism)
if (!(events > 0) || !Number.isInteger(parallelism) || parallelism < 1 || parallelism > PARALLELISM_MAX) {
  console.error(`--events and --parallelism are whole numbers above 0, the last at most ${PARALLELISM_MAX}.`)
  process.exit(2)
}
const path = values.file ?? join(tmpdir(), `millrace-simple-${events}.ndjson`)
if (!existsSync(path)) {
  console.error(`making ${path} …`)
  spawnSync(process.execPath, [join(import.meta.dirname, 'gen_simple.mjs'), String(events), path, '42'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
const pipeline = await runPipeline(path, parallelism)
const parse = runJsonParse(path)
if (pipeline.counted !== BigInt(pipeline.eventCount)) throw new Error(`counts add up to ${pipeline.counted}, not ${pipeline.eventCount}`)
if (Math.abs(pipeline.amount - parse.amount) > 1e-6 * Math.abs(parse.amount))
  throw new Error(`amounts add up to ${pipeline.amount}, not ${parse.amount}`)
if (!values.file && events === 5_000_000 && pipeline.windowCount !== 459_076) throw new Error(`${pipeline.windowCount} windows, not 459076`)
const megabytes = statSync(path).size / 1e6
if (values.json)
  console.log(
    JSON.stringify({
      bench: 'simple',
      machine: machineText(),
      events,
      parallelism,
      pipelineMs: pipeline.ms,
      pipelineCpuMs: pipeline.cpuMs,
      jsonParseMs: parse.ms,
      windows: pipeline.windowCount,
    }),
  )
else {
  console.log(machineText())
  console.log(
    `${events} events, ${megabytes.toFixed(0)} MB; columns read: ${pipeline.columns.join(', ')}; ${parallelism === 1 ? 'one thread' : `${parallelism} threads`}`,
  )
  console.log(
    `decode + 10 s windows by user   ${perSecond(events, pipeline.ms)}  ${((megabytes / pipeline.ms) * 1_000).toFixed(0)} MB/s  ${pipeline.windowCount} windows, counts and sums right; ${perSecond(events, pipeline.cpuMs)} per CPU second`,
  )
  console.log(`JSON.parse of each line alone   ${perSecond(events, parse.ms)}  ${((megabytes / parse.ms) * 1_000).toFixed(0)} MB/s`)
  console.log(`ratio                           ${(parse.ms / pipeline.ms).toFixed(1)} ×`)
}
