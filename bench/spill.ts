// State larger than memory: throughput and resident memory, with all in memory and with a budget of a quarter.
//
// Events of random keys until there is state of --mb MB, then --events more, each of a key that is there. With the budget first, in a process
// of its own, as without: resident memory is that process's.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { benchOptions, numberIn } from '../scripts/options.ts'
import { Job, Memory } from '../src/engine/index.ts'
import { bindProject } from '../src/jobs/index.ts'
import { BatchBuilder, type Log, noHeaders, openLog } from '../src/log/index.ts'

const flags = benchOptions('spill', {
  about: 'State larger than memory: throughput and resident memory, with all in memory and with a budget of a part of it.',
  takes: 'about three minutes',
  options: {
    mb: { value: 'N', default: '1000', doc: 'size of the state' },
    share: { value: 'N', default: '0.25', doc: 'of the state that may be in memory' },
    query: { value: 'NAME', default: 'sums', doc: 'sums, distinct or last' },
    events: { value: 'N', default: '5000000', doc: 'measured, once the state is there' },
    limit: { value: 'BYTES', doc: 'only one of the two, in this process' },
  },
  examples: ['', '--mb 200 --events 1000000 --query last'],
})
const stateBytes = numberIn('mb', flags.mb, 1) * 1e6
const eventCount = numberIn('events', flags.events, 1)
/** Of one key in memory, with its slots. */
const keyBytes = 67
const keyCount = Math.ceil(stateBytes / keyBytes)
const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`

if (flags.limit === undefined) {
  for (const limit of [Infinity, stateBytes * numberIn('share', flags.share)]) {
    const args = ['--limit', String(limit), '--mb', flags.mb, '--events', flags.events, '--query', flags.query]
    const { status } = spawnSync(process.execPath, [...process.execArgv, import.meta.filename, ...args], { stdio: 'inherit' })
    if (status !== 0) process.exit(status ?? 1)
  }
  process.exit(0)
}

const queries: Record<string, string> = {
  sums: 'SELECT k, COUNT(*), SUM(v) FROM events GROUP BY k',
  distinct: 'SELECT DISTINCT k FROM events',
  last: 'SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY p DESC) AS r FROM events) WHERE r = 1',
}
const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-spill-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const sql = `CREATE TABLE events (k STRING NOT NULL, v BIGINT NOT NULL, p AS PROCTIME()) WITH ('connector' = 'kafka', 'topic' = 'events', 'format' = 'json');
CREATE TABLE results (a STRING, b BIGINT, c BIGINT, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'blackhole');
INSERT INTO results ${queries[flags.query]};`
const { queries: bound, errors } = bindProject([{ name: 'bench.sql', text: sql }])
if (errors.length > 0) throw errors[0].error
const [query] = bound

const BATCH = 20_000
async function append(log: Log, count: number): Promise<void> {
  const builder = new BatchBuilder(BATCH * 48)
  const scratch = Buffer.alloc(64)
  for (let from = 0; from < count; from += BATCH) {
    for (let i = from; i < Math.min(count, from + BATCH); i++) {
      const key = Number((BigInt(i) * 2_654_435_761n) % BigInt(keyCount))
      const size = scratch.write(`{"k":"key-${String(key).padStart(10, '0')}","v":${i % 100}}`, 'latin1')
      builder.appendRecord(null, scratch, 0, size, noHeaders, Date.now())
    }
    await log.append('events', 0, builder.finish())
  }
}

const log = await openLog({ folder, durability: 'os' })
await log.createTopic('events')
const spec = {
  id: 'bench',
  queries: [{ id: query.id, name: query.id, plan: query.plan, sink: { kind: 'blackhole' as const } }],
  sources: [
    {
      table: 'events',
      topic: 'events',
      descriptor: log.descriptor('events'),
      format: 'json' as const,
      formatOptions: {},
      onError: 'fail' as const,
      isolation: 'read_committed' as const,
      startup: 'earliest-offset' as const,
    },
  ],
  timeZone: 'UTC',
}
const fail = (error: Error) => {
  console.error(error)
  process.exit(1)
}
const memory = new Memory(Memory.budget(Number(flags.limit), 1))
const port = {
  changes: () => {},
  records: () => {},
  late: () => {},
  deadLetters: () => {},
  failed: (_id: string, error: Error) => fail(error),
}
const job = new Job(spec, port, Date.now(), { spill: { memory, folder: join(folder, 'spill') } })
let rssMax = 0
function drain(count: number): number {
  const startedMs = performance.now()
  let tickedMs = 0
  while (job.step(Date.now())) {
    if (Date.now() - tickedMs < 100) continue
    tickedMs = Date.now()
    job.tick(tickedMs)
    rssMax = Math.max(rssMax, process.memoryUsage.rss())
  }
  // What waits is worked through when time passes.
  job.tick(Date.now() + 10_000)
  return count / ((performance.now() - startedMs) / 1_000)
}
await append(log, keyCount)
const emptyRss = process.memoryUsage.rss()
const filling = drain(keyCount)
await append(log, eventCount)
const rate = drain(eventCount)
const use = memory.use
const [node] = job.inspect(query.id)!.nodes.filter(({ operator }) => operator?.stateRows)
console.log(
  `${flags.query}, ${use.limitBytes === Infinity ? 'all in memory' : `budget ${mb(use.limitBytes)}`}: ${keyCount.toLocaleString('en')} keys came at ${(filling / 1e6).toFixed(2)} M/s, ` +
    `${eventCount.toLocaleString('en')} events of them at ${(rate / 1e6).toFixed(2)} M/s; state ${mb(use.stateBytes)} in memory, ${mb(use.spilledBytes)} on the disk ` +
    `(${node.operator?.stateRows?.toLocaleString('en')} rows); resident at most ${mb(rssMax)}, ${mb(emptyRss)} before`,
)
job.close()
await log.close()
process.exit(0)
