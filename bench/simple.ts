// The simple pipeline: a file of JSON events, decoded, 10-second windows by user, five aggregates, CSV files; against JSON.parse alone, or Flink.
//
// Each subtask reads every second chunk of the file and exchanges rows by user with the other. The CSV files are synced and renamed in the time
// that counts. With --against flink the same statements run on a Flink in its benchmark setting (once before: test/compat/servers/flink.sh setup),
// by turns with ours, each with all cores; the best pass of each counts, the first ones warm up.
// The check, of every pass: the counts of all windows add up to the events; for the 5 M events of seed 42 there are 459,076 windows; what Flink
// has written are the same rows, sums within rounding.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { benchOptions } from '../scripts/options.ts'
import { finishFiles, PARALLELISM_MAX } from '../src/engine/index.ts'
import { realDisk } from '../src/log/index.ts'
import { flinkMissing, startFlink } from '../test/compat/servers/flink.ts'
import { machineText, perSecond } from './machine.ts'
import { lineChunks, type PipelineReport, type PipelineTask, statements } from './simple/pipeline.ts'
import { Threads } from './threads.ts'

/** By window and user: count, sum, average, least and largest amount. */
type Result = Map<string, number[]>

/** Reads what a run has written, and forgets it. */
function takeResult(folder: string): Result {
  const result: Result = new Map()
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name)
    if (name.split('/').some((part) => part.startsWith('.')) || !statSync(path).isFile()) continue
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      if (line === '') continue
      const [window, user, ...numbers] = line.split(',')
      // Flink writes no digits of a second's fraction where there are none.
      const key = `${window.replaceAll('"', '').replace(/\.000$/, '')} ${user}`
      if (result.has(key)) throw new Error(`${key} is there twice`)
      result.set(key, numbers.map(Number))
    }
  }
  rmSync(folder, { recursive: true })
  return result
}

function checkCounts(who: string, result: Result, eventCount: number, windowCount: number | undefined): void {
  let counted = 0
  for (const [count] of result.values()) counted += count
  if (counted !== eventCount) throw new Error(`${who}: counts add up to ${counted}, not ${eventCount}`)
  if (windowCount !== undefined && result.size !== windowCount) throw new Error(`${who}: ${result.size} windows, not ${windowCount}`)
}

const isNear = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-9 * Math.abs(b)

function checkEqual(ours: Result, theirs: Result): void {
  for (const [key, values] of theirs) {
    const own = ours.get(key)
    if (own === undefined || own.length !== values.length || !own.every((value, i) => isNear(value, values[i])))
      throw new Error(`${key}: Flink has ${values.join()}, Millrace ${own?.join()}`)
  }
}

function sumsByJsonParse(path: string) {
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

const values = benchOptions('simple', {
  about: 'A file of JSON events, decoded, 10-second windows by user, five aggregates, CSV files; against JSON.parse alone, or Flink.',
  takes: 'about half a minute, against Flink five minutes',
  options: {
    events: { value: 'N', default: '5000000', doc: 'events in the file' },
    file: { value: 'FILE', doc: 'where they are (made in the folder for temporary files unless it is there)' },
    parallelism: { value: 'N', default: '2', doc: 'subtasks' },
    passes: { value: 'N', default: '3', doc: 'of which the best counts' },
    against: { value: 'flink', doc: 'the same statements on a Flink, by turns (once before: test/compat/servers/flink.sh setup)' },
    'all-columns': { doc: 'decode those that the query does not read, too' },
    json: { doc: 'one line of JSON instead of text' },
  },
  examples: ['', '--events 1000000 --passes 1', '--against flink'],
})
const [events, parallelism, passes] = [values.events, values.parallelism, values.passes].map(Number)
const refuse = (message: string): never => {
  console.error(message)
  process.exit(2)
}
if (![events, parallelism, passes].every((number) => Number.isInteger(number) && number > 0) || parallelism > PARALLELISM_MAX)
  refuse(`--events, --parallelism and --passes are whole numbers above 0, --parallelism at most ${PARALLELISM_MAX}.`)
if (values.against !== undefined && values.against !== 'flink') refuse(`--against ${values.against} is not known; there is flink.`)
if (values.against && flinkMissing) refuse(`There is ${flinkMissing}.`)

const path = values.file ?? join(tmpdir(), `millrace-simple-${events}.ndjson`)
if (!existsSync(path)) {
  console.error(`making ${path} …`)
  spawnSync(process.execPath, [join(import.meta.dirname, 'gen_simple.mjs'), String(events), path, '42'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
const windowCount = !values.file && events === 5_000_000 ? 459_076 : undefined
const newFolder = () => mkdtempSync(join(tmpdir(), 'millrace-simple-'))
const megabytes = statSync(path).size / 1e6
const say = (text: string) => values.json || console.log(text)
say(machineText())

const threads = new Threads<PipelineTask, PipelineReport>(new URL('./simple/thread.ts', import.meta.url), parallelism)
const flink = values.against ? await startFlink('benchmark') : undefined
const ours = { ms: Infinity, cpuMs: Infinity, columns: [] as string[], eventCount: 0 }
let flinkMs = Infinity
let result: Result = new Map()
try {
  for (let pass = 0; pass < passes; pass++) {
    const folder = newFolder()
    const { reports, wallMs, cpuMs } = await threads.run({ path, folder, allColumns: values['all-columns'] })
    const finishedMs = performance.now()
    for (const { files } of reports) if (files) await finishFiles(realDisk, files)
    ours.ms = Math.min(ours.ms, wallMs + performance.now() - finishedMs)
    ours.cpuMs = Math.min(ours.cpuMs, cpuMs)
    ours.columns = reports[0].columns
    ours.eventCount = reports.reduce((sum, { eventCount }) => sum + eventCount, 0)
    result = takeResult(folder)
    checkCounts('Millrace', result, ours.eventCount, windowCount)
    if (flink === undefined) continue
    const theirFolder = newFolder()
    const source = `WITH ('connector' = 'filesystem', 'path' = '${path}', 'format' = 'json')`
    const sink = `WITH ('connector' = 'filesystem', 'path' = '${theirFolder}', 'format' = 'csv')`
    const [job] = await flink.submit(statements(source, sink))
    flinkMs = Math.min(flinkMs, await flink.finish(job))
    const theirs = takeResult(theirFolder)
    checkCounts('Flink', theirs, ours.eventCount, windowCount)
    checkEqual(result, theirs)
  }
} finally {
  await threads.close()
  await flink?.stop()
}
const parse = flink === undefined ? sumsByJsonParse(path) : undefined
if (parse) {
  let amount = 0
  for (const [, sum] of result.values()) amount += sum
  if (parse.eventCount !== ours.eventCount || Math.abs(amount - parse.amount) > 1e-6 * Math.abs(parse.amount))
    throw new Error(`amounts of ${ours.eventCount} add up to ${amount}, not ${parse.amount} of ${parse.eventCount}`)
}
if (values.json)
  console.log(
    JSON.stringify({
      bench: 'simple',
      machine: machineText(),
      events: ours.eventCount,
      parallelism,
      pipelineMs: ours.ms,
      pipelineCpuMs: ours.cpuMs,
      columns: ours.columns,
      windows: result.size,
      ...(parse && { jsonParseMs: parse.ms }),
      ...(flink && { flinkMs }),
    }),
  )
else {
  const rate = (ms: number) => `${perSecond(ours.eventCount, ms).padEnd(10)} ${((megabytes / ms) * 1_000).toFixed(0).padStart(5)} MB/s`
  const inThreads = parallelism === 1 ? 'one thread' : `${parallelism} threads`
  console.log(`${ours.eventCount} events, ${megabytes.toFixed(0)} MB; best of ${passes}; ${result.size} windows, counts and sums right`)
  console.log(
    `Millrace, ${inThreads}, columns decoded: ${ours.columns.join(', ')}; ${perSecond(ours.eventCount, ours.cpuMs)} per CPU second`,
  )
  console.log(`                                ${rate(ours.ms)}`)
  if (flink) console.log(`Flink, parallelism 2            ${rate(flinkMs)}  the same rows`)
  if (parse) console.log(`JSON.parse of each line alone   ${rate(parse.ms)}`)
  console.log(`ratio                           ${((parse?.ms ?? flinkMs) / ours.ms).toFixed(2)} ×`)
}
