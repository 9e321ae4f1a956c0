// Starts the real process for tests: a project in a temporary folder, the command line as a user runs it, its one line of JSON.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiError, Health, IngestResponse, TablePage, TopicMessage } from '../src/serve/contract.ts'

const main = resolve(import.meta.dirname, '../src/app/main.ts')
/** Tests run beside each other on few cores: starting may take long. */
const READY_MS_MAX = 40_000
const ANSWER_MS_MAX = 30_000

/** A temporary folder with these files; gone after the test. */
export function makeProject(t: TestContext, files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

/** A topic `events` and a live table of it. */
export const countsSql = `
CREATE TABLE events (
  id   STRING NOT NULL,
  page STRING NOT NULL,
  n    BIGINT,
  ts   TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) WITH ('connector' = 'kafka', 'topic' = 'events', 'format' = 'json');

CREATE MATERIALIZED TABLE counts (PRIMARY KEY (page) NOT ENFORCED)
FRESHNESS = INTERVAL '1' SECOND AS
SELECT page, COUNT(*) AS events, SUM(n) AS total FROM events GROUP BY page;
`

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}
export interface Answer<T> {
  status: number
  headers: Headers
  body: T
}

/** A running command. `ready` is its first line of JSON. */
export class Running {
  readonly child: ChildProcess
  readonly exited: Promise<Exit>
  stdout = ''
  stderr = ''

  constructor(command: string, args: string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
    this.child.stdout?.on('data', (data) => {
      this.stdout += data
    })
    this.child.stderr?.on('data', (data) => {
      this.stderr += data
    })
    this.exited = once(this.child, 'close').then(([code, signal]) => ({ code, signal }) as Exit)
  }

  get output(): string {
    return `${this.stdout}${this.stderr}`
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  /** The JSON lines printed so far. */
  lines<T = Record<string, unknown>>(): T[] {
    return this.stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as T)
  }

  async firstLine<T>(): Promise<T> {
    await until(
      () => this.stdout.includes('\n') || !this.isRunning,
      () => `no line of JSON: ${this.output}`,
      READY_MS_MAX,
    )
    assert.ok(this.isRunning, `the process ended: ${this.output}`)
    return this.lines<T>()[0]
  }

  async kill(signal: NodeJS.Signals): Promise<Exit & { afterMs: number }> {
    const startedMs = performance.now()
    if (this.isRunning) this.child.kill(signal)
    return { ...(await this.exited), afterMs: performance.now() - startedMs }
  }
}

export interface Ready {
  url: string
  port: number
  pid: number
  data: string
  queries: string[]
  errors: { file: string; code: string; message: string; position?: { line: number; column: number } }[]
}

/** `millrace <command> …` by Node itself, without waiting for anything; killed after the test. */
export function run(t: TestContext, args: string[]): Running {
  const running = new Running(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args])
  t.after(() => running.kill('SIGKILL'))
  return running
}

/** A server that answers. */
export class Server {
  readonly running: Running
  readonly ready: Ready

  constructor(running: Running, ready: Ready) {
    this.running = running
    this.ready = ready
  }

  async call<T>(path: string, init?: RequestInit): Promise<Answer<T>> {
    const response = await fetch(new URL(path, this.ready.url), { signal: AbortSignal.timeout(ANSWER_MS_MAX), ...init })
    const text = await response.text()
    try {
      return { status: response.status, headers: response.headers, body: JSON.parse(text) as T }
    } catch (error) {
      throw new Error(`${path}: HTTP ${response.status} without JSON: ${text.slice(0, 300)}`, { cause: error })
    }
  }

  async get<T>(path: string): Promise<T> {
    const { status, body } = await this.call<T>(path)
    if (status !== 200) assert.fail(`${path}: HTTP ${status} ${JSON.stringify(body)}`)
    return body
  }

  /** Posts bytes or text as they are, anything else as NDJSON. */
  post(
    topic: string,
    events: string | Uint8Array<ArrayBuffer> | object[],
    headers: Record<string, string> = {},
  ): Promise<Answer<IngestResponse & ApiError>> {
    const body = Array.isArray(events) ? events.map((event) => JSON.stringify(event)).join('\n') : events
    return this.call(`/v1/topics/${topic}/events`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/x-ndjson', ...headers },
    })
  }

  health(): Promise<Health> {
    return this.get<Health>('/v1/health')
  }

  /** All rows of a table. */
  async rows(table: string): Promise<unknown[][]> {
    const rows: unknown[][] = []
    let cursor: string | null = null
    do {
      const page: TablePage = await this.get(`/v1/tables/${table}?limit=1000${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`)
      rows.push(...page.rows)
      cursor = page.next
    } while (cursor)
    return rows
  }

  /** All records of a topic's partition 0. */
  async messages(topic: string): Promise<TopicMessage[]> {
    const messages: TopicMessage[] = []
    for (;;) {
      const next = (messages.at(-1)?.offset ?? -1) + 1
      const { messages: page } = await this.get<{ messages: TopicMessage[] }>(
        `/v1/topics/${topic}/messages?partition=0&offset=${next}&limit=1000`,
      )
      if (page.length === 0) return messages
      messages.push(...page)
    }
  }
}

/** `millrace start` (or dev) with a free port, ready. It takes Kafka's usual port only where a test says so: tests run beside each other. */
export async function startServer(t: TestContext, folder: string, args: string[] = [], command = 'start'): Promise<Server> {
  const data = args.includes('--data') ? [] : ['--data', join(folder, 'data')]
  const kafka = args.includes('--kafka-port') ? [] : ['--kafka-port', 'none']
  const running = run(t, [command, folder, '--port', '0', '--workers', '1', '--json', ...data, ...kafka, ...args])
  return new Server(running, await running.firstLine<Ready>())
}

/** Waits for a condition, looking every 20 ms. */
export async function until(condition: () => unknown, message: string | (() => string), timeoutMs = 20_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > deadlineMs)
      assert.fail(`${typeof message === 'string' ? message : message()} (waited ${Math.round(timeoutMs / 1_000)} s)`)
    await sleep(20)
  }
}

/** Waits until a table has exactly these rows, in any order. */
export async function untilRows(server: Server, table: string, expected: unknown[][], timeoutMs?: number): Promise<void> {
  const text = (rows: unknown[][]) => JSON.stringify(rows.map((row) => JSON.stringify(row)).sort())
  const wanted = text(expected)
  let last: unknown[][] = []
  await until(
    async () => text((last = await server.rows(table))) === wanted,
    () => `${table} has ${JSON.stringify(last).slice(0, 500)}, expected ${JSON.stringify(expected).slice(0, 500)}`,
    timeoutMs,
  )
}
