// A Flink of its own for a test or a benchmark: JobManager, TaskManager and SQL Gateway on loopback, all in one temporary folder.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../harness.ts'
import { freePort } from './kafka.ts'

const script = resolve(import.meta.dirname, 'flink.sh')
/** Why there is none here, or undefined. */
export const flinkMissing = spawnSync(script, ['has']).status === 0 ? undefined : 'no Flink: run test/compat/servers/flink.sh setup'
/** The folder of its jars. */
export const flinkLib = (): string => spawnSync(script, ['lib'], { encoding: 'utf8' }).stdout.trim()
const START_MS_MAX = 180_000

/** What a job's REST page says of it; `timestamps` are epoch ms, 0 for a state that it has not had. */
interface JobStatus {
  state: string
  timestamps: Record<string, number>
}

export interface Flink {
  /** Runs statements in a session of their own, each until it is submitted. @returns the ids of the jobs that they began */
  submit(statements: string[]): Promise<string[]>
  /** Waits for the end of a job. @returns ms from the moment at which all of it ran @throws Error if it did not finish */
  finish(job: string): Promise<number>
  /** Ends of the processes' logs. */
  logs(): string
  stop(): Promise<void>
}

/** @param setting  'benchmark': all that the machine can give to one job; see flink.sh */
export async function startFlink(setting: 'test' | 'benchmark' = 'test'): Promise<Flink> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-flink-'))
  const [restPort, rpcPort, gatewayPort] = [await freePort(), await freePort(), await freePort()]
  const child = spawn(script, ['run', folder, ...[restPort, rpcPort, gatewayPort].map(String)], {
    stdio: 'ignore',
    env: { ...process.env, FLINK_SETTING: setting },
  })
  const exited = once(child, 'exit')
  const [rest, gateway] = [`http://127.0.0.1:${restPort}`, `http://127.0.0.1:${gatewayPort}`]
  const logs = () =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.log'))
      .map((name) => `${name}: ${readFileSync(join(folder, name), 'utf8').slice(-2_000)}`)
      .join('\n')
  const call = async <T>(url: string, body?: object): Promise<T> => {
    const response = await fetch(url, { method: body ? 'POST' : 'GET', body: body && JSON.stringify(body) })
    const json = (await response.json()) as T & { errors?: string[] }
    if (json.errors) throw new Error(json.errors.join('\n').slice(-3_000))
    return json
  }
  const stop = async () => {
    child.kill('SIGTERM')
    await exited
    rmSync(folder, { recursive: true, force: true })
  }
  const isUp = async () => {
    const overview = await call<{ 'slots-available': number }>(`${rest}/overview`)
    return overview['slots-available'] > 0 && (await fetch(`${gateway}/v2/info`)).ok
  }
  try {
    await until(
      () => isUp().catch(() => false),
      () => `Flink is not up: ${logs()}`,
      START_MS_MAX,
    )
  } catch (error) {
    await stop()
    throw error
  }
  return {
    logs,
    stop,
    async submit(statements) {
      const jobs: string[] = []
      const { sessionHandle } = await call<{ sessionHandle: string }>(`${gateway}/v2/sessions`, { properties: {} })
      for (const statement of statements) {
        const operations = `${gateway}/v2/sessions/${sessionHandle}`
        const { operationHandle } = await call<{ operationHandle: string }>(`${operations}/statements`, { statement })
        const result = () =>
          call<{ resultType: string; jobID?: string }>(`${operations}/operations/${operationHandle}/result/0?rowFormat=JSON`)
        let answer = await result()
        for (; answer.resultType === 'NOT_READY'; answer = await result()) await sleep(50)
        if (answer.jobID !== undefined) jobs.push(answer.jobID)
      }
      return jobs
    },
    async finish(job) {
      for (;;) {
        const { state, timestamps } = await call<JobStatus>(`${rest}/jobs/${job}`)
        if (state === 'FINISHED') return timestamps.FINISHED - timestamps.RUNNING
        if (['FAILED', 'CANCELED', 'SUSPENDED'].includes(state)) throw new Error(`the Flink job is ${state}: ${logs()}`)
        await sleep(100)
      }
    },
  }
}
