// A real Kafka broker (KRaft, one node) on free loopback ports with a folder of its own, for tests and benchmarks; and Kafka's tools.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const script = resolve(import.meta.dirname, 'kafka.sh')
/** A loaded machine with two cores takes its time. */
const START_MS_MAX = 180_000
const STOP_MS_MAX = 20_000

/** Undefined if it is there, else what to do. */
export const kafkaMissing: string | undefined =
  spawnSync(script, ['lib']).status === 0 ? undefined : 'no Kafka distribution: run test/compat/servers/kafka.sh setup'

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

export interface RealKafka {
  /** host:port */
  bootstrap: string
  pid: number
  stop(): Promise<void>
}

/** @param settings  lines of server.properties beside what one node needs */
export async function startRealKafka(settings: Record<string, string | number> = {}): Promise<RealKafka> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-'))
  const [port, controllerPort] = [await freePort(), await freePort()]
  const bootstrap = `127.0.0.1:${port}`
  const all = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://${bootstrap},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://${bootstrap}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'log.dirs': join(folder, 'data'),
    'num.network.threads': 2,
    'num.io.threads': 4,
    'offsets.topic.num.partitions': 1,
    'offsets.topic.replication.factor': 1,
    'transaction.state.log.num.partitions': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    'auto.create.topics.enable': false,
    ...settings,
  }
  writeFileSync(
    join(folder, 'server.properties'),
    Object.entries(all)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  const { status, stdout, stderr } = spawnSync(script, ['format', folder], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`Kafka's StorageTool: ${stdout}${stderr}`)
  const child = spawn(script, ['broker', folder], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output = `${output}${data}`.slice(-100_000)))
  const exited = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGTERM')
    await Promise.race([exited, sleep(STOP_MS_MAX, undefined, { ref: false })])
    child.kill('SIGKILL')
    await exited
    rmSync(folder, { recursive: true, force: true })
  }
  const deadlineMs = performance.now() + START_MS_MAX
  while (!output.includes('Kafka Server started')) {
    if (child.exitCode !== null || performance.now() > deadlineMs) {
      await stop()
      throw new Error(`Kafka did not start: ${output.slice(-3_000)}`)
    }
    await sleep(100)
  }
  return { bootstrap, pid: child.pid!, stop }
}

export interface ToolOptions {
  input?: string
  timeoutMs?: number
  env?: NodeJS.ProcessEnv
}
export interface ToolResult {
  status: number | null
  stdout: string
  stderr: string
}

/** Kafka's tools in one process that stays: its compiler has done its work after the first runs. */
export class WarmTools {
  private readonly child = spawn(script, ['tool', resolve(import.meta.dirname, 'kafka/Tools.java')], {
    env: { ...process.env, TIER: '4' },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  private output = ''
  private errors = ''
  private changed: () => void = () => {}

  constructor() {
    this.child.stdout.on('data', (data) => {
      this.output += data
      this.changed()
    })
    this.child.stderr.on('data', (data) => (this.errors = `${this.errors}${data}`.slice(-10_000)))
    this.child.on('exit', () => this.changed())
  }

  /** Runs one by its class, when the one before it has ended; gives what it printed. @throws Error with that, if it failed */
  async run(name: string, args: string[]): Promise<string> {
    this.output = ''
    this.child.stdin.write(`${[name, ...args].join('\t')}\n`)
    for (;;) {
      const ended = /\0ended (\d+)\n/.exec(this.output)
      if (ended?.[1] === '0') return this.output.slice(0, ended.index)
      if (ended || this.child.exitCode !== null) throw new Error(`${name} ${args.join(' ')}\n${this.output}\n${this.errors}`)
      await new Promise<void>((resolve) => (this.changed = resolve))
    }
  }

  end(): void {
    this.child.kill()
  }
}

/** Runs one of Kafka's tools by its class, without blocking this process: a server may be in it. */
export async function kafkaTool(
  name: string,
  args: string[],
  { input = '', timeoutMs = 120_000, env }: ToolOptions = {},
): Promise<ToolResult> {
  const child = spawn(script, ['tool', name, ...args], { timeout: timeoutMs, env: { ...process.env, ...env } })
  const result = { stdout: '', stderr: '' }
  child.stdout.on('data', (data) => (result.stdout += data))
  child.stderr.on('data', (data) => (result.stderr += data))
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, ...result }
}
