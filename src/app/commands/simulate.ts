// millrace simulate website: endless events of a made-up website, posted to a server or written to a file, with their ground truth beside them.
import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StreamError } from '../../base/index.ts'
import { call, type Target } from '../client.ts'
import { appErrors } from '../errors.ts'
import { Website, type WebsiteOptions } from '../simulators/website.ts'

export interface SimulateOptions extends WebsiteOptions {
  target?: Target
  topic: string
  /** Writes events here instead of posting them; `-` is standard output. */
  out?: string
  /** Where the ground truth goes. */
  truth: string
  /** Seconds of event time for each second; Infinity is as fast as it goes. */
  speed: number
  /** Ends after so many lines. */
  events: number
  signal: AbortSignal
  progress: (line: string) => void
}

export interface SimulateSummary {
  lines: number
  accepted: number
  rejected: number
  seconds: number
}

const TICK_MS = 50
const BATCH_LINES = 1_000

/** The declaration that a pipeline needs to read the events. */
export const websiteTable = `CREATE TABLE website_events (
  event_id    STRING NOT NULL,
  event_time  TIMESTAMP(3) NOT NULL,
  event_type  STRING NOT NULL,
  session_id  STRING NOT NULL,
  user_id     STRING NOT NULL,
  url         STRING,
  referrer    STRING,
  device      STRING,
  country     STRING,
  status      INT,
  duration_ms INT,
  amount      DECIMAL(10, 2),
  product_id  STRING,
  name        STRING,
  WATERMARK FOR event_time AS event_time - INTERVAL '30' SECOND
) WITH ('connector' = 'kafka', 'topic' = 'website_events', 'format' = 'json', 'key.format' = 'raw', 'key.fields' = 'user_id');`

/**
 * Until `signal` is aborted or `events` lines are sent. At the end the truth speaks of exactly the lines that were sent.
 *
 * @throws StreamError SERVER_UNREACHABLE and what the server says; Error of the file system
 */
export async function simulateWebsite(options: SimulateOptions): Promise<SimulateSummary> {
  const { target, topic, out, speed, signal } = options
  const site = new Website(options)
  await using truth = await open(options.truth, 'w')
  await using file = out === undefined || out === '-' ? undefined : await open(out, 'w')
  const summary: SimulateSummary = { lines: 0, accepted: 0, rejected: 0, seconds: 0 }
  const startedMs = performance.now()
  let reportedMs = startedMs
  const firstMs = site.nextMs
  while (!signal.aborted && summary.lines < options.events) {
    const dueMs = speed === Infinity ? Infinity : firstMs + (performance.now() - startedMs) * speed
    const lines: Buffer[] = []
    while (lines.length < BATCH_LINES && summary.lines + lines.length < options.events && site.nextMs <= dueMs) lines.push(site.next().line)
    if (lines.length > 0) await deliver(lines)
    await writeTruth()
    const nowMs = performance.now()
    summary.seconds = (nowMs - startedMs) / 1_000
    if (nowMs - reportedMs >= 1_000) {
      reportedMs = nowMs
      options.progress(
        `${summary.lines} sent, ${summary.accepted} accepted, ${summary.rejected} rejected, event time ${new Date(site.nextMs).toISOString()}`,
      )
    }
    if (lines.length < BATCH_LINES) await sleep(TICK_MS, undefined, { signal }).catch(() => {})
  }
  site.finish()
  await writeTruth()
  return summary

  async function writeTruth(): Promise<void> {
    const lines = site.takeTruth()
    if (lines.length > 0) await truth.appendFile(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  }

  async function deliver(lines: Buffer[]): Promise<void> {
    const body = Buffer.concat(lines.flatMap((line) => [line, newline]))
    if (file) await file.appendFile(body)
    else if (out === '-') await print(body)
    else if (target) await post(target, body)
    summary.lines += lines.length
  }

  /** A batch that is refused for being too fast, or as the server is away, is sent again under the same key: nothing is lost or doubled. */
  async function post(to: Target, body: Buffer): Promise<void> {
    const headers = { 'content-type': 'application/x-ndjson', 'idempotency-key': crypto.randomUUID() }
    for (let attempt = 0; ; attempt++) {
      try {
        const response = await call(to, `/v1/topics/${encodeURIComponent(topic)}/events`, {
          method: 'POST',
          headers,
          body: new Uint8Array(body),
        })
        const answer = (await response.json()) as { accepted: number; rejectedCount: number }
        summary.accepted += answer.accepted
        summary.rejected += answer.rejectedCount
        return
      } catch (error) {
        const { code, httpStatus, params } = error as Partial<StreamError>
        const status = Number(params?.status ?? httpStatus ?? 0)
        if (status === 422) {
          summary.rejected += body.toString('latin1').split('\n').length - 1
          return
        }
        const isTemporary = code === 'SERVER_UNREACHABLE' ? summary.lines > 0 : status === 429 || status >= 500
        if (!isTemporary || attempt > 20 || signal.aborted) throw error
        options.progress(`sending again: ${(error as Error).message}`)
        await sleep(Math.min(5_000, 50 * 2 ** attempt), undefined, { signal }).catch(() => {})
      }
    }
  }
}

const newline = Buffer.from('\n')
const print = (data: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    process.stdout.write(data, (error) => (error ? reject(error) : resolve()))
  })

/** The command's flags, as text. */
export interface SimulateFlags {
  topic: string
  out?: string
  truth: string
  seed: string
  start?: string
  rate: string
  speed: string
  events?: string
  late: string
  duplicates: string
  malformed: string
  bots: string
  anomalies: string
  clocksAhead?: boolean
  ddl?: boolean
  json?: boolean
}

/** @throws StreamError OPTION_INVALID, SERVER_UNREACHABLE and what the server says */
export async function simulate(what: string, flags: SimulateFlags, target: Target, signal: AbortSignal): Promise<void> {
  if (what !== 'website') throw appErrors('OPTION_INVALID', { option: 'simulate', value: what, expected: '"website"' })
  if (flags.ddl) {
    console.log(websiteTable)
    return
  }
  const number = (option: string, text: string, min: number, max = Infinity): number => {
    const value = Number(text)
    if (text.trim() === '' || !(value >= min && value <= max))
      throw appErrors('OPTION_INVALID', { option, value: text, expected: `a number from ${min}${max === Infinity ? '' : ` to ${max}`}` })
    return value
  }
  const startMs = flags.start === undefined ? Date.now() : Date.parse(flags.start)
  if (Number.isNaN(startMs))
    throw appErrors('OPTION_INVALID', { option: '--start', value: flags.start ?? '', expected: 'a time such as 2026-03-01T00:00:00Z' })
  const summary = await simulateWebsite({
    target,
    topic: flags.topic,
    out: flags.out,
    truth: flags.truth,
    seed: number('--seed', flags.seed, 0),
    startMs,
    eventsPerSecond: number('--rate', flags.rate, 0.001),
    speed: flags.speed === 'max' ? Infinity : number('--speed', flags.speed, 0.001),
    events: flags.events === undefined ? Infinity : number('--events', flags.events, 1),
    lateShare: number('--late', flags.late, 0, 1),
    duplicateShare: number('--duplicates', flags.duplicates, 0, 1),
    malformedShare: number('--malformed', flags.malformed, 0, 1),
    botShare: number('--bots', flags.bots, 0, 0.95),
    anomaliesPerDay: number('--anomalies', flags.anomalies, 0),
    clocksAhead: flags.clocksAhead ?? false,
    signal,
    progress: (line) => {
      if (!flags.json) process.stderr.write(`${line}\n`)
    },
  })
  if (flags.json) console.log(JSON.stringify(summary))
  else
    process.stderr.write(
      `${summary.lines} events in ${summary.seconds.toFixed(1)} s, ${summary.accepted} accepted, ${summary.rejected} rejected; the truth is in ${flags.truth}\n`,
    )
}
