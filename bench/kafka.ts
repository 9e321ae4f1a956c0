// Millrace's Kafka port and a real Kafka by turns: Kafka's own perf tools and Java client, on this machine, in this run.
//
// All of it takes some 30 minutes; a case of a producer 3 to 4, of which at most --warm-seconds for each broker are not measured.
// Millrace acknowledges when a record is on the disk (fdatasync); Kafka, as it comes, when it is in the page cache. `kafka-sync` is Kafka with a
// sync before each answer (log.flush.interval.messages=1), and `millrace-os` Millrace without one.
// All brokers are up all the time, and all tools run in one Java process. Each case first warms up: producers run at one broker after the other
// by turns, until none becomes faster, or for --warm-seconds each; Java and V8 compile what is hot only then. Then turns are measured,
// the brokers' order changing from one to the next, and medians count: a machine that becomes slower meanwhile is slower for all.
// `--warm brokers` starts each tool anew, as who types its command does, and counts all that it sends; `--warm nothing` also starts a broker for
// each turn.
// Transactions: a producer that commits every 100 ms, as a sink of a stream processor would. What is consumed was produced first: without
// `produce` there is no `consume`. Of a warm producer's turn the first fifth does not count for rate and latency.
// CPU is that of the broker's process, all threads. Needs test/compat/servers/kafka.sh setup.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { benchOptions, choiceIn, numberIn } from '../scripts/options.ts'
import { apiVersionsApi } from '../src/kafka/messages/apiVersions.ts'
import { fetchApi } from '../src/kafka/messages/fetch.ts'
import { requestFrame } from '../src/kafka/testClient.ts'
import { kafkaMissing, kafkaTool, startRealKafka, WarmTools } from '../test/compat/servers/kafka.ts'
import { fuzzDecoder } from './kafkaFuzz.ts'
import { machineText } from './machine.ts'

const options = benchOptions('kafka', {
  about:
    "Millrace's Kafka port and a real Kafka by turns, warm: Kafka's own perf tools and Java client. Kafka must be there: test/compat/servers.",
  takes: 'some 30 minutes; a case of a producer 3 to 4',
  options: {
    brokers: { value: 'A,B', default: 'millrace,kafka,kafka-sync', doc: 'these, and millrace-os, which does not sync' },
    parts: { value: 'A,B', default: 'produce,consume,transactions,latency,memory', doc: 'what is measured' },
    sizes: { value: 'N,N', default: '100,1024', doc: 'bytes of records' },
    codecs: { value: 'A,B', default: 'none,lz4', doc: 'none, gzip, snappy, lz4, zstd' },
    turns: { value: 'N', default: '3', doc: 'of each broker, of which the median counts' },
    'turn-seconds': { value: 'N', default: '8', doc: 'length of a turn' },
    warm: {
      value: 'WHAT',
      default: 'all',
      doc: 'all; brokers: tools are started anew; nothing: brokers too, producers and consumers only',
    },
    'warm-seconds': { value: 'N', default: '60', doc: 'for each broker, at most, before it counts' },
    frames: { value: 'N', default: '1000000', doc: 'broken requests that the decoder is given' },
    'skip-fuzz': { doc: 'none of these' },
    json: { doc: 'one line of JSON instead of text' },
  },
  examples: [
    '',
    '--parts produce --sizes 1024 --codecs none',
    '--warm nothing --brokers millrace,kafka --skip-fuzz',
    '--brokers millrace --parts latency --warm-seconds 5 --skip-fuzz',
  ],
})
const TURNS = numberIn('turns', options.turns, 1)
const TURN_S = numberIn('turn-seconds', options['turn-seconds'], 1)
const WARM_S = numberIn('warm-seconds', options['warm-seconds'])
const WARM = choiceIn('warm', options.warm, ['all', 'brokers', 'nothing'])
const PARTS = new Set(options.parts.split(','))
const SIZES_BYTES = options.sizes.split(',').map(Number)
const CODECS = options.codecs.split(',')
const TRANSACTION_MS = 100
/** A turn of the warm-up. */
const WARM_TURN_S = 4
/** Of the first turn, before anything is known. */
const FIRST_BYTES = 10_000_000
/** Of a turn of a second where nothing is warm. */
const COLD_BYTES = 50_000_000
/** A broker is warm when so many turns have not been faster by so much than what was best before. */
const WARM_TURNS = 2
const WARM_GAIN = 1.05
const TICKS_PER_SECOND = 100
const KAFKA_SYNCED = 'Kafka, synced'
const LATENCY_RECORDS = 3_000
const SLOW_CONSUMERS = 200
const BESIDE_RECORDS = 200_000
const IDLE_CONNECTIONS = 1_000

interface Broker {
  /** As `--brokers` has it. */
  key: string
  name: string
  bootstrap: string
  pid: number
  stop(): Promise<void>
}
type Figures = Record<string, number>

async function startMillrace(name: string, durability: 'fsync' | 'os'): Promise<Omit<Broker, 'key'>> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-kafka-'))
  writeFileSync(join(folder, 'empty.sql'), '-- Nothing but the log.\n')
  const args = ['start', folder, '--port', '0', '--kafka-port', '0', '--data', join(folder, 'data'), '--durability', durability, '--json']
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
  return { name, bootstrap: `127.0.0.1:${kafkaPort}`, pid, stop }
}

if (kafkaMissing) {
  console.error(kafkaMissing)
  process.exit(2)
}
const tools = WARM === 'all' ? new WarmTools() : undefined
async function tool(name: string, args: string[]): Promise<string> {
  const className = `org.apache.kafka.tools.${name}`
  if (tools) return tools.run(className, args)
  const { status, stdout, stderr } = await kafkaTool(className, args, { env: { TIER: '4' } })
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
  const warmup = tools ? ['--warmup-records', `${Math.floor(count / 5)}`] : []
  const settings = [`acks=all`, `compression.type=${codec}`]
  const text = await tool('ProducerPerformance', [
    ...['--bootstrap-server', bootstrap, '--topic', topic, '--num-records', `${count}`, ...warmup],
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
    ...['--group', `perf-${topic}-${performance.now()}`],
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
    const text = await produce(broker, 'beside', 1_000, BESIDE_RECORDS, 'none')
    await sleep(1_000)
    return { beforeMb, peakMb, perSecond: text.perSecond }
  } finally {
    clearInterval(timer)
    for (const socket of sockets) socket.destroy()
  }
}

type Results = Record<string, Figures>
interface Case {
  /** Of its topics' names. */
  prefix: string
  sizeBytes: number
  codec: string
  more?: string[]
}

/** Runs the same at each broker, again and again, and gives each one's medians. */
async function byTurns<T>(brokers: readonly T[], turns: number, run: (broker: T) => Promise<Figures>): Promise<Figures[]> {
  const figures = brokers.map((): Figures[] => [])
  for (let turn = 0; turn < turns; turn++) {
    const order = [...brokers.keys()]
    if (turn % 2 === 1) order.reverse()
    for (const i of order) figures[i].push(await run(brokers[i]))
  }
  return figures.map(medians)
}
const medians = (all: readonly Figures[]): Figures =>
  Object.fromEntries(Object.keys(all[0]).map((name) => [name, median(all.map((one) => one[name]))]))
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]

/** The newest topic of each case. */
const topics = new Map<Broker, Map<string, string>>()
function topicsOf(broker: Broker): Map<string, string> {
  const known = topics.get(broker) ?? new Map<string, string>()
  topics.set(broker, known)
  return known
}

/**
 * Produces to a new topic, after the one before has been deleted: the page cache stays small. On a virtual machine pages that the host has to
 * find first cost as much as all that a broker does.
 */
async function produceFresh(broker: Broker, { prefix, sizeBytes, codec, more }: Case, count: number): Promise<Figures> {
  const known = topicsOf(broker)
  const admin = (...args: string[]) => tool('TopicCommand', ['--bootstrap-server', broker.bootstrap, ...args])
  const before = known.get(prefix)
  if (before) await admin('--delete', '--topic', before)
  const topic = `${prefix}-${Math.round(performance.now())}`
  known.set(prefix, topic)
  await admin('--create', '--topic', topic, '--partitions', '1')
  return produce(broker, topic, sizeBytes, count, codec, more)
}

/** Produces by turns until nobody becomes faster. Gives each broker's rate, records/s. */
async function warmUp(brokers: readonly Broker[], one: Case): Promise<number[]> {
  const states = brokers.map(() => ({ best: 0, rate: FIRST_BYTES / one.sizeBytes / WARM_TURN_S, idleTurns: 0, tookMs: 0 }))
  const isDone = ({ idleTurns, tookMs }: (typeof states)[0]) => idleTurns >= WARM_TURNS || tookMs > WARM_S * 1_000
  while (!states.every(isDone)) {
    for (const [i, state] of states.entries()) {
      const startMs = performance.now()
      const { perSecond } = await produceFresh(brokers[i], one, Math.round(state.rate * WARM_TURN_S))
      state.tookMs += performance.now() - startMs
      state.idleTurns = perSecond > state.best * WARM_GAIN ? 0 : state.idleTurns + 1
      state.best = Math.max(state.best, perSecond)
      state.rate = perSecond
    }
  }
  return states.map(({ rate }) => rate)
}

const results: Record<string, Results> = {}

function note(of: readonly { key: string; name?: string }[], what: string, figures: readonly Figures[]): void {
  for (const [i, { key, name = key }] of of.entries()) {
    results[key] = { ...results[key], [what]: figures[i] }
    if (!options.json) console.log(`  ${what}: ${name.padEnd(13)} ${text(figures[i])}`)
  }
}

/** Producers, and consumers of what they have sent, of a broker that was just started and is alone. */
async function measureCold(): Promise<void> {
  const kinds = names.map((key) => ({ key }))
  for (const sizeBytes of SIZES_BYTES) {
    for (const codec of CODECS) {
      const count = Math.round((TURN_S * COLD_BYTES) / sizeBytes)
      const read = new Map<string, Figures[]>(names.map((key) => [key, []]))
      const sent = await byTurns(kinds, TURNS, async ({ key }) => {
        const broker = await start(key)
        try {
          const figures = await produceFresh(broker, { prefix: 'cold', sizeBytes, codec }, count)
          read.get(key)!.push(await consume(broker, topicsOf(broker).get('cold')!, count))
          return figures
        } finally {
          await broker.stop()
        }
      })
      note(kinds, `produce ${sizeBytes} B ${codec}`, sent)
      note(kinds, `consume ${sizeBytes} B ${codec}`, [...read.values()].map(medians))
    }
  }
}

async function measure(brokers: readonly Broker[]): Promise<void> {
  /** A sync changes nothing for who reads. */
  const readers = brokers.filter(({ name }) => name !== KAFKA_SYNCED)
  const makeTopic = async (topic: string) => {
    const args = ['--create', '--topic', topic, '--partitions', '1']
    for (const { bootstrap } of brokers) await tool('TopicCommand', ['--bootstrap-server', bootstrap, ...args])
  }
  const produced = async (name: string, one: Case) => {
    const rates = await warmUp(brokers, one)
    const count = (broker: Broker) => Math.round(rates[brokers.indexOf(broker)] * TURN_S)
    note(brokers, name, await byTurns(brokers, TURNS, (broker) => produceFresh(broker, one, count(broker))))
    return Math.min(...readers.map(count))
  }
  for (const sizeBytes of SIZES_BYTES) {
    const counts = new Map<string, number>()
    for (const codec of PARTS.has('produce') ? CODECS : []) {
      counts.set(codec, await produced(`produce ${sizeBytes} B ${codec}`, { prefix: `p${sizeBytes}-${codec}`, sizeBytes, codec }))
    }
    if (PARTS.has('transactions')) {
      const more = ['--transactional-id', `bench-${sizeBytes}`, '--transaction-duration-ms', `${TRANSACTION_MS}`]
      await produced(`transactions ${sizeBytes} B`, { prefix: `t${sizeBytes}`, sizeBytes, codec: 'none', more })
    }
    if (!PARTS.has('consume')) continue
    for (const [codec, count] of counts) {
      const run = (broker: Broker) => consume(broker, topicsOf(broker).get(`p${sizeBytes}-${codec}`)!, count)
      // The first turn is a warm-up.
      await byTurns(readers, 1, run)
      note(readers, `consume ${sizeBytes} B ${codec}`, await byTurns(readers, TURNS, run))
    }
  }
  if (PARTS.has('latency')) {
    await makeTopic('latency')
    await byTurns(brokers, 1, latency)
    note(brokers, 'end to end', await byTurns(brokers, TURNS, latency))
  }
  if (PARTS.has('memory')) {
    await makeTopic('beside')
    await makeTopic('warm')
    for (const broker of brokers) await produce(broker, 'warm', 1_000, BESIDE_RECORDS, 'none')
    note(brokers, 'memory', await byTurns(brokers, 1, memory))
  }
}

function text(figures: Figures): string {
  const round = (value: number) => (value >= 1_000 ? Math.round(value).toLocaleString('en') : value.toFixed(2))
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${round(value)}`)
    .join(', ')
}

const kafka = async (name: string, settings = {}): Promise<Omit<Broker, 'key'>> => ({
  name,
  ...(await startRealKafka({ 'log.segment.delete.delay.ms': 0, ...settings })),
})
const starts: Record<string, () => Promise<Omit<Broker, 'key'>>> = {
  millrace: () => startMillrace('Millrace', 'fsync'),
  'millrace-os': () => startMillrace('Millrace, no sync', 'os'),
  kafka: () => kafka('Kafka'),
  'kafka-sync': () => kafka(KAFKA_SYNCED, { 'log.flush.interval.messages': 1 }),
}
const names = options.brokers.split(',').map((name) => choiceIn('brokers', name, Object.keys(starts)))
const start = async (key: string): Promise<Broker> => ({ key, ...(await starts[key]()) })
const brokers: Broker[] = []
try {
  if (WARM === 'nothing') await measureCold()
  else {
    for (const name of names) brokers.push(await start(name))
    await measure(brokers)
  }
} finally {
  tools?.end()
  for (const broker of brokers) await broker.stop()
}
if (options.json) console.log(JSON.stringify({ bench: 'kafka', machine: machineText(), warm: WARM, results }))
else if (names.includes('millrace')) {
  console.log(
    `\nMillrace ÷ others, ${WARM} warm, medians of ${TURNS} turns, acks=all, one partition, clients on the same machine (${machineText()})`,
  )
  for (const other of names.filter((name) => name !== 'millrace')) {
    for (const [name, ours] of Object.entries(results.millrace)) {
      const theirs = results[other][name]
      if (!theirs) continue
      const ratios = Object.keys(ours).map((one) => `${one} ${theirs[one] > 0 ? (ours[one] / theirs[one]).toFixed(2) : '–'} ×`)
      console.log(`  ÷ ${other.padEnd(12)} ${name.padEnd(20)} ${ratios.join(', ')}`)
    }
  }
}
if (!options['skip-fuzz']) console.log(`\n${await fuzzDecoder(Number(options.frames))}`)
