// Millrace's Kafka port and a real Kafka, one after the other: Kafka's own perf tools and Java client, on this machine, in this run.
//
//   npm run bench -- kafka [--records 2000000] [--only millrace|kafka] [--parts produce,consume,transactions,latency,memory] [--sizes 100,1024]
//                          [--codecs none,lz4] [--frames 1000000] [--skip-fuzz] [--json]
//
// Transactions: a producer that commits every 100 ms, as a sink of a stream processor would. What is consumed was produced first: without
// `produce` there is no `consume`.
// Millrace acknowledges when a record is on the disk (fdatasync); Kafka, as it comes, when it is in the page cache. Of each producer run the
// steady part counts: its warm-up records do not. CPU is that of the broker's process, all threads. Needs test/compat/servers/kafka.sh setup.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { apiVersionsApi } from '../src/kafka/messages/apiVersions.ts'
import { fetchApi } from '../src/kafka/messages/fetch.ts'
import { requestFrame } from '../src/kafka/testClient.ts'
import { kafkaMissing, kafkaTool, startRealKafka } from '../test/compat/servers/kafka.ts'
import { fuzzDecoder } from './kafkaFuzz.ts'
import { machineText } from './machine.ts'

const { values: options } = parseArgs({
  allowPositionals: true,
  options: {
    records: { type: 'string', default: '2000000' },
    frames: { type: 'string', default: '1000000' },
    only: { type: 'string' },
    parts: { type: 'string', default: 'produce,consume,transactions,latency,memory' },
    sizes: { type: 'string', default: '100,1024' },
    codecs: { type: 'string', default: 'none,lz4' },
    'skip-fuzz': { type: 'boolean' },
    json: { type: 'boolean' },
  },
})
const RECORDS = Number(options.records)
const PARTS = new Set(options.parts.split(','))
const SIZES_BYTES = options.sizes.split(',').map(Number)
const CODECS = options.codecs.split(',')
/** So many records of the sizes above 100 B as bytes make the same work. */
const LARGE_FACTOR = 6
const TRANSACTION_MS = 100
const TOOL_MS_MAX = 600_000
const TICKS_PER_SECOND = 100
const LATENCY_RECORDS = 3_000
const SLOW_CONSUMERS = 200
const IDLE_CONNECTIONS = 1_000

interface Broker {
  name: string
  bootstrap: string
  pid: number
  stop(): Promise<void>
}
type Figures = Record<string, number>

async function startMillrace(): Promise<Broker> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-kafka-'))
  writeFileSync(join(folder, 'empty.sql'), '-- Nothing but the log.\n')
  const args = ['start', folder, '--port', '0', '--kafka-port', '0', '--data', join(folder, 'data'), '--json']
  const child = spawn(process.execPath, [resolve(import.meta.dirname, '../scripts/millrace.mjs'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  const { kafkaPort, pid } = JSON.parse(line) as { kafkaPort?: number; pid: number }
  if (!kafkaPort) throw new Error(`Millrace did not start: ${line}`)
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  return { name: 'Millrace', bootstrap: `127.0.0.1:${kafkaPort}`, pid, stop }
}

async function tool(name: string, args: string[]): Promise<string> {
  const { status, stdout, stderr } = await kafkaTool(`org.apache.kafka.tools.${name}`, args, { timeoutMs: TOOL_MS_MAX, env: { TIER: '4' } })
  if (status !== 0) throw new Error(`${name} ${args.join(' ')}\n${stdout}\n${stderr}`)
  return stdout
}

/** CPU seconds that a process has used, all threads. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}
const residentMb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1024

async function produce(
  { bootstrap, pid }: Broker,
  topic: string,
  sizeBytes: number,
  count: number,
  codec: string,
  more: string[] = [],
): Promise<Figures> {
  const before = cpuSeconds(pid)
  const warmup = Math.floor(count / 5)
  const settings = [`acks=all`, `compression.type=${codec}`]
  const text = await tool('ProducerPerformance', [
    ...['--bootstrap-server', bootstrap, '--topic', topic, '--num-records', `${count}`, '--warmup-records', `${warmup}`],
    ...['--record-size', `${sizeBytes}`, '--throughput', '-1', ...more, '--command-property', ...settings],
  ])
  // "N records sent, R records/sec (M MB/sec), A ms avg latency, X ms max latency, P ms 50th, Q ms 95th, S ms 99th, T ms 99.9th."
  const line = text.trim().split('\n').at(-1)!
  const found = /([\d.]+) records\/sec .*?([\d.]+) ms 50th, .*?([\d.]+) ms 99th/.exec(line)
  if (!found) throw new Error(`ProducerPerformance printed: ${text}`)
  return {
    perSecond: Number(found[1]),
    p50Ms: Number(found[2]),
    p99Ms: Number(found[3]),
    cpuPerMillion: ((cpuSeconds(pid) - before) / count) * 1e6,
  }
}

async function consume({ bootstrap, pid }: Broker, topic: string, count: number): Promise<Figures> {
  const before = cpuSeconds(pid)
  const text = await tool('ConsumerPerformance', [
    ...['--bootstrap-server', bootstrap, '--topic', topic, '--num-records', `${count}`, '--timeout', '60000'],
    ...['--group', `perf-${topic}-${process.pid}`],
  ])
  const columns = text.trim().split('\n').at(-1)!.split(',').map(Number)
  if (!(columns[4] >= count)) throw new Error(`ConsumerPerformance printed: ${text}`)
  return { perSecond: columns[9], cpuPerMillion: ((cpuSeconds(pid) - before) / count) * 1e6 }
}

async function latency({ bootstrap }: Broker): Promise<Figures> {
  const text = await tool('EndToEndLatency', [bootstrap, 'latency', `${LATENCY_RECORDS}`, 'all', '100'])
  const found = /50th = ([\d.]+), 99th = ([\d.]+), 99\.9th = ([\d.]+)/.exec(text)
  if (!found) throw new Error(`EndToEndLatency printed: ${text}`)
  return { p50Ms: Number(found[1]), p99Ms: Number(found[2]), p999Ms: Number(found[3]) }
}

async function open(bootstrap: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: Number(bootstrap.split(':')[1]) })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** Resident memory before, and at most while slow consumers leave 1 MiB answers unread, idle connections are there, and a producer goes on. */
async function memory(broker: Broker): Promise<Figures> {
  const sockets: Socket[] = []
  const beforeMb = residentMb(broker.pid)
  let peakMb = beforeMb
  const timer = setInterval(() => (peakMb = Math.max(peakMb, residentMb(broker.pid))), 100)
  try {
    for (let i = 0; i < IDLE_CONNECTIONS; i++) {
      const socket = await open(broker.bootstrap)
      for (const part of requestFrame(apiVersionsApi, 0, 1, {})) socket.write(part)
      sockets.push(socket)
    }
    for (let i = 0; i < SLOW_CONSUMERS; i++) {
      const socket = await open(broker.bootstrap)
      socket.pause()
      const partition = { partition: 0, currentLeaderEpoch: -1, fetchOffset: 0, partitionMaxBytes: 1 << 20 }
      const request = {
        maxWaitMs: 500,
        minBytes: 1,
        maxBytes: 50 << 20,
        isolationLevel: 0,
        topics: [{ topic: 'warm', partitions: [partition] }],
      }
      for (let id = 0; id < 20; id++) for (const part of requestFrame(fetchApi, 11, id, request as never)) socket.write(part)
      sockets.push(socket)
    }
    const text = await produce(broker, 'beside', 1_000, Math.max(50_000, RECORDS / 10), 'none')
    await sleep(1_000)
    return { beforeMb, peakMb, perSecond: text.perSecond }
  } finally {
    clearInterval(timer)
    for (const socket of sockets) socket.destroy()
  }
}

async function measure(broker: Broker): Promise<Record<string, Figures>> {
  const say = (text: string) => options.json || console.log(`  ${broker.name}: ${text}`)
  const results: Record<string, Figures> = {}
  const makeTopic = (topic: string) =>
    tool('TopicCommand', ['--bootstrap-server', broker.bootstrap, '--create', '--topic', topic, '--partitions', '1'])
  const note = (name: string, figures: Figures) => {
    results[name] = figures
    say(`${name}: ${text(figures)}`)
  }
  for (const topic of ['beside', 'latency', 'warm']) await makeTopic(topic)
  const warmCount = Math.min(RECORDS, 500_000)
  await produce(broker, 'warm', 100, warmCount, 'none')
  await consume(broker, 'warm', warmCount)
  for (const sizeBytes of SIZES_BYTES) {
    const count = sizeBytes > 100 ? Math.round(RECORDS / LARGE_FACTOR) : RECORDS
    for (const codec of PARTS.has('produce') ? CODECS : []) {
      await makeTopic(`p${sizeBytes}-${codec}`)
      note(`produce ${sizeBytes} B ${codec}`, await produce(broker, `p${sizeBytes}-${codec}`, sizeBytes, count, codec))
    }
    for (const codec of PARTS.has('produce') && PARTS.has('consume') ? CODECS : []) {
      note(`consume ${sizeBytes} B ${codec}`, await consume(broker, `p${sizeBytes}-${codec}`, count))
    }
    if (!PARTS.has('transactions')) continue
    const more = ['--transactional-id', `bench-${sizeBytes}`, '--transaction-duration-ms', `${TRANSACTION_MS}`]
    await makeTopic(`t${sizeBytes}`)
    note(`transactions ${sizeBytes} B`, await produce(broker, `t${sizeBytes}`, sizeBytes, count, 'none', more))
  }
  if (PARTS.has('latency')) note('end to end', await latency(broker))
  if (PARTS.has('memory')) note('memory', await memory(broker))
  return results
}

function text(figures: Figures): string {
  const round = (value: number) => (value >= 1_000 ? Math.round(value).toLocaleString('en') : value.toFixed(2))
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${round(value)}`)
    .join(', ')
}

if (kafkaMissing) {
  console.error(kafkaMissing)
  process.exit(2)
}
const all: Record<string, Record<string, Figures>> = {}
for (const [key, start] of [
  ['millrace', startMillrace],
  ['kafka', async () => ({ name: 'Kafka', ...(await startRealKafka()) })],
] as const) {
  if (options.only && options.only !== key) continue
  const broker = await start()
  try {
    all[key] = await measure(broker)
  } finally {
    await broker.stop()
  }
}
if (options.json) console.log(JSON.stringify({ bench: 'kafka', machine: machineText(), results: all }))
else if (all.millrace && all.kafka) {
  const version = /<kafka.version>([^<]+)/.exec(
    readFileSync(resolve(import.meta.dirname, '../test/compat/servers/kafka/pom.xml'), 'utf8'),
  )?.[1]
  console.log(
    `\nMillrace with fdatasync ÷ Kafka ${version} without, acks=all, one partition, clients on the same machine (${machineText()})`,
  )
  for (const [name, ours] of Object.entries(all.millrace)) {
    const theirs = all.kafka[name]
    console.log(
      `  ${name.padEnd(20)} ${Object.keys(ours)
        .map((one) => `${one} ${(ours[one] / theirs[one]).toFixed(2)} ×`)
        .join(', ')}`,
    )
  }
}
if (!options['skip-fuzz']) console.log(`\n${await fuzzDecoder(Number(options.frames))}`)
