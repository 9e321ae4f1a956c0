// The simple pipeline: a file of JSON events, decoded, 10-second windows by user, five aggregates; against JSON.parse alone on the same lines.
//
// npm run bench -- simple [--events 5000000] [--file events.ndjson]
// The check: the counts of all windows add up to the events; for the 5 M events of seed 42 there are 459,076 windows.
import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Batch } from '../src/data/index.ts'
import { Graph } from '../src/engine/index.ts'
import { makeJsonDecoder } from '../src/formats/index.ts'
import { bindScript, Catalog } from '../src/sql/index.ts'
import { machineText, perSecond } from './machine.ts'

const sql = `
CREATE TABLE ev (
  id BIGINT, ts BIGINT, user_id STRING, product_id STRING, event_type STRING, region STRING, amount DOUBLE, url STRING,
  rt AS TO_TIMESTAMP_LTZ(ts, 3), WATERMARK FOR rt AS rt - INTERVAL '2' SECOND);
SELECT window_start, user_id, COUNT(*) AS c, SUM(amount) AS s, AVG(amount) AS a, MIN(amount) AS mi, MAX(amount) AS ma
FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(rt), INTERVAL '10' SECOND)) GROUP BY user_id, window_start, window_end;`

const CHUNK_BYTES = 1 << 20
const NEWLINE = 10

/** Whole lines of a file, chunk by chunk: positions into `bytes`. */
function* lineChunks(path: string): Generator<{ bytes: Uint8Array; starts: Int32Array; ends: Int32Array; count: number }> {
  const file = openSync(path, 'r')
  let rest = Buffer.alloc(0)
  const starts = new Int32Array(1 << 16)
  const ends = new Int32Array(1 << 16)
  for (;;) {
    const bytes = Buffer.allocUnsafeSlow(rest.length + CHUNK_BYTES)
    bytes.set(rest)
    const size = rest.length + readSync(file, bytes, rest.length, CHUNK_BYTES, null)
    let at = 0
    let count = 0
    for (;;) {
      const end = bytes.indexOf(NEWLINE, at)
      if (end < 0 || end >= size) break
      starts[count] = at
      ends[count++] = end
      at = end + 1
    }
    if (count > 0) yield { bytes, starts, ends, count }
    if (size === rest.length) break
    rest = bytes.subarray(at, size)
  }
  closeSync(file)
}

function runPipeline(path: string) {
  const bound = bindScript(sql, new Catalog()).at(-1)
  if (bound?.type !== 'query') throw new Error('the last statement is the query')
  let windowCount = 0
  let counted = 0n
  let amount = 0
  const sink = (batch: Batch) => {
    windowCount += batch.rowCount
    const counts = batch.columns[2].lane === 'i64' ? batch.columns[2].data : new BigInt64Array(0)
    const sums = batch.columns[3].lane === 'f64' ? batch.columns[3].data : new Float64Array(0)
    for (let row = 0; row < batch.rowCount; row++) {
      counted += counts[row]
      amount += sums[row]
    }
  }
  const fail = () => {
    throw new Error('no row may be late or fail')
  }
  const graph = new Graph(bound.query, { timeZone: 'UTC', sink, hooks: { count: () => {}, late: fail, rowFailed: fail } })
  const decoder = makeJsonDecoder(graph.sources[0].fields)
  let eventCount = 0
  const startedMs = performance.now()
  for (const { bytes, starts, ends, count } of lineChunks(path)) {
    const { columns, rowCount } = decoder.decode(bytes, starts, ends, count, (_row, error) => {
      throw error
    })
    eventCount += rowCount
    graph.push(0, 0, { columns, rowCount, watermarkAfter: -Infinity, processingTimeMs: 0 })
  }
  graph.finish()
  return {
    ms: performance.now() - startedMs,
    eventCount,
    windowCount,
    counted,
    amount,
    columns: graph.sources[0].fields.map(({ name }) => name),
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
  options: { events: { type: 'string', default: '5000000' }, file: { type: 'string' }, json: { type: 'boolean' } },
  allowPositionals: true,
})
const events = Number(values.events)
const path = values.file ?? join(tmpdir(), `millrace-simple-${events}.ndjson`)
if (!existsSync(path)) {
  console.error(`making ${path} …`)
  spawnSync(process.execPath, [join(import.meta.dirname, 'gen_simple.mjs'), String(events), path, '42'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
const pipeline = runPipeline(path)
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
      pipelineMs: pipeline.ms,
      jsonParseMs: parse.ms,
      windows: pipeline.windowCount,
    }),
  )
else {
  console.log(machineText())
  console.log(`${events} events, ${megabytes.toFixed(0)} MB; columns read: ${pipeline.columns.join(', ')}; one thread`)
  console.log(
    `decode + 10 s windows by user   ${perSecond(events, pipeline.ms)}  ${((megabytes / pipeline.ms) * 1_000).toFixed(0)} MB/s  ${pipeline.windowCount} windows, counts and sums right`,
  )
  console.log(`JSON.parse of each line alone   ${perSecond(events, parse.ms)}  ${((megabytes / parse.ms) * 1_000).toFixed(0)} MB/s`)
  console.log(`ratio                           ${(parse.ms / pipeline.ms).toFixed(1)} ×`)
}
