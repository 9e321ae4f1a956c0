// The crash test that the console starts: `millrace verify exactly-once` as a process beside this one, over what the topics hold.
//
// Invariants
//   1. One at a time; it ends with the server that started it.
//   2. The log is only read, record by record as it was sent.
import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { bindProject, readProjectFiles } from '../../jobs/index.ts'
import type { Log } from '../../log/index.ts'
import type { CrashTest } from '../../serve/index.ts'
import { appErrors } from '../errors.ts'
import { wrongFile } from '../output.ts'
import { type Certificate, sourceTopics } from './verify.ts'

const RECORDS_MAX = 5_000
const PAGE_RECORDS = 1_000
const LINES_MAX = 200

export class CrashTests {
  private readonly project: string
  private readonly log: Pick<Log, 'topic' | 'readMessages'>
  private now: CrashTest = { state: 'none', lines: [] }
  private child: ChildProcess | undefined

  constructor(project: string, log: Pick<Log, 'topic' | 'readMessages'>) {
    this.project = project
    this.log = log
  }

  status(): CrashTest {
    return this.now
  }

  /** @throws StreamError CRASH_TEST_RUNNING, and those of the project */
  start(kills: number): CrashTest {
    if (this.now.state === 'running') throw appErrors('CRASH_TEST_RUNNING', {})
    const project = bindProject(readProjectFiles(this.project))
    if (project.errors[0]) throw wrongFile(project.errors[0])
    this.now = { state: 'running', lines: [], startedMs: Date.now() }
    void this.run(kills, sourceTopics(project)).catch((error: Error) =>
      this.say({ state: 'failed', lines: [...this.now.lines, error.message] }),
    )
    return this.now
  }

  close(): void {
    this.child?.kill('SIGKILL')
  }

  private say(change: Partial<CrashTest>): void {
    this.now = { ...this.now, ...change }
  }

  private async run(kills: number, topics: string[]): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-crash-test-'))
    try {
      for (const topic of topics) await this.record(topic, join(folder, `${topic}.ndjson`))
      const out = join(folder, 'certificate.json')
      const args = ['verify', 'exactly-once', this.project, '--events', folder, '--kills', String(kills), '--out', out]
      const child = spawn(process.execPath, [...process.execArgv, process.argv[1], ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
      this.child = child
      let rest = ''
      child.stderr.on('data', (data) => {
        const lines = `${rest}${data}`.split('\n')
        rest = lines.pop() ?? ''
        this.say({ lines: [...this.now.lines, ...lines].slice(-LINES_MAX) })
      })
      await new Promise((resolve, reject) => {
        child.once('error', reject)
        child.once('close', resolve)
      })
      if (existsSync(out)) this.say({ state: 'done', certificate: JSON.parse(readFileSync(out, 'utf8')) as Certificate })
      else this.say({ state: 'failed', lines: [...this.now.lines, rest].filter(Boolean) })
    } finally {
      this.child = undefined
      rmSync(folder, { recursive: true, force: true })
    }
  }

  /** The newest records' values, a line each; what has line breaks or is no JSON could not be sent again as it was. */
  private async record(topic: string, path: string): Promise<void> {
    const partitions = this.log.topic(topic)?.partitions ?? []
    if (partitions.every(({ startOffset, endOffset }) => startOffset === endOffset)) return
    const file = createWriteStream(path)
    const perPartition = Math.ceil(RECORDS_MAX / partitions.length)
    for (const { partition, startOffset, endOffset } of partitions)
      for (let offset = Math.max(startOffset, endOffset - perPartition); offset < endOffset; ) {
        const records = await this.log.readMessages(topic, { partition, fromOffset: offset, limit: PAGE_RECORDS })
        if (records.length === 0) break
        for (const { value } of records) {
          const text = value && Buffer.from(value).toString('utf8')
          if (text && !text.includes('\n')) file.write(`${text}\n`)
        }
        offset = records.at(-1)!.offset + 1
      }
    file.end()
    await finished(file)
  }
}
