// A Millrace process that a verification starts, feeds, and kills.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { appErrors } from '../errors.ts'

const READY_MS_MAX = 120_000

export interface ChildReady {
  url: string
  restored: { query: string; checkpointId: number }[]
}

export class Child {
  private readonly process: ChildProcess
  private readonly exited: Promise<unknown>
  private stdout = ''
  private stderr = ''

  /** @param fault  where it ends itself: `disk:N`, `cut:N`, `durable:N` or `settled:N`; see the checkpoint writer */
  constructor(project: string, data: string, fault?: string) {
    const args = ['start', project, '--port', '0', '--kafka-port', 'none', '--workers', '1', '--data', data, '--json']
    const env: NodeJS.ProcessEnv = { ...process.env, MILLRACE_FAULT: fault ?? '' }
    if (fault === undefined) delete env.MILLRACE_FAULT
    this.process = spawn(process.execPath, [...process.execArgv, process.argv[1], ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.process.stdout?.on('data', (data) => (this.stdout += data))
    this.process.stderr?.on('data', (data) => (this.stderr += data))
    this.exited = once(this.process, 'close')
  }

  get isRunning(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null
  }

  /** Undefined if a fault ended it before. @throws StreamError VERIFY_START_FAILED */
  async ready(): Promise<ChildReady | undefined> {
    const deadlineMs = performance.now() + READY_MS_MAX
    while (!this.stdout.includes('\n') && this.isRunning && performance.now() < deadlineMs) await sleep(10)
    if (this.stdout.includes('\n')) {
      const line = JSON.parse(this.stdout.slice(0, this.stdout.indexOf('\n'))) as ChildReady & { error?: { message: string } }
      if (!line.error) return line
      throw appErrors('VERIFY_START_FAILED', { reason: line.error.message })
    }
    if (this.process.signalCode === 'SIGKILL') return undefined
    throw appErrors('VERIFY_START_FAILED', { reason: this.stderr.slice(0, 2_000) || 'it gave no sign of life' })
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (this.isRunning) this.process.kill(signal)
    await this.exited
  }
}
