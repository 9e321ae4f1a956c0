// Late rows of queries with 'millrace.late-rows.topic', appended to that topic: each as the JSON that the query read of it, with headers
// that say which query dropped it, the watermark that it saw, and the last window that would have taken it.
//
// Invariants
//   1. A query waits until its late rows are durable: while the log says "later" it is tried again, and nothing is dropped.
//   2. A query that goes on from a checkpoint meets the late rows again that it met after it, and one that begins anew all of them: as often as
//      its like is in the topic, from where the topic ended at the checkpoint, a row is not written again.
//   Holds for as many rows as KNOWN_ROWS_MAX; when a topic has more of a query's rows the log line says so, and older ones may come twice.
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { Counter } from 'prom-client'
import { metrics, toStreamError } from '../base/index.ts'
import type { LateRecord } from '../engine/index.ts'
import type { Log, RecordInput } from '../log/index.ts'
import { runsFor } from './recordRuns.ts'

const KNOWN_ROWS_MAX = 500_000
const READ_ROWS = 10_000
const RETRY_PAUSE_MAX_MS = 5_000

const lateRows = new Counter({
  name: 'millrace_late_rows_routed_total',
  help: 'Late rows for a topic of their own, by what became of them: kept, or known from before a restart.',
  labelNames: ['query', 'outcome'],
  registers: [metrics],
})
const bytes = (text: string): Uint8Array => Buffer.from(text)
const timeText = (ms: number): string => (Math.abs(ms) > 8.64e15 ? String(ms) : new Date(ms).toISOString().slice(0, -1).replace('T', ' '))
const keyOf = (value: Uint8Array): string => createHash('sha256').update(value).digest('base64').slice(0, 22)

export class LateRowTopics {
  private readonly log: Log
  private readonly logger: Logger
  private readonly isClosed: () => boolean
  /** By query and topic: its present run, and the rows of earlier ones that it has still to meet. */
  private readonly known = new Map<string, { run: string; rows: Map<string, number> }>()
  /** One batch after the other, so that what a run finds in the topic is all that was before it. */
  private turn: Promise<void> = Promise.resolve()

  constructor(log: Log, logger: Logger, isClosed: () => boolean) {
    this.log = log
    this.logger = logger
    this.isClosed = isClosed
  }

  /**
   * Appends them, but for those that are in the topic already.
   *
   * @param run         another one each time the query begins
   * @param fromOffset  where the topic ended at the checkpoint from which the run goes on
   * @throws StreamError of the log where trying again does not help: a name that no topic can have
   */
  keep(query: string, run: string, topic: string, rows: LateRecord[], fromOffset: number): Promise<void> {
    const done = this.turn.then(() => this.append(query, run, topic, rows, fromOffset))
    this.turn = done.catch(() => {})
    return done
  }

  /** Where the topic ends behind all that was given to `keep` so far. */
  async position(topic: string): Promise<number> {
    const done = this.turn.then(() => this.log.topic(topic)?.partitions[0]?.endOffset ?? 0)
    this.turn = done.then(() => {})
    return done
  }

  private async append(query: string, run: string, topic: string, rows: LateRecord[], from: number): Promise<void> {
    const earlier = await this.earlierRows(query, run, topic, from)
    const fresh = rows.filter(({ value }) => isFresh(earlier, value))
    lateRows.inc({ query, outcome: 'known' }, rows.length - fresh.length)
    if (fresh.length === 0) return
    const records = fresh.map((row) => recordOf(query, row))
    let kept = 0
    for (let pauseMs = 50; !this.isClosed(); pauseMs = Math.min(pauseMs * 2, RETRY_PAUSE_MAX_MS)) {
      try {
        for (const run of await runsFor(this.log, topic, records.slice(kept))) {
          await this.log.appendRecords(topic, 0, run)
          kept += run.length
          lateRows.inc({ query, outcome: 'kept' }, run.length)
        }
        return
      } catch (error) {
        if (toStreamError(error).retry === 'never') throw error
        await sleep(pauseMs)
      }
    }
  }

  /** The rows of earlier runs that this one has still to meet. */
  private async earlierRows(query: string, run: string, topic: string, from: number): Promise<Map<string, number>> {
    const key = `${query} ${topic}`
    let entry = this.known.get(key)
    if (entry?.run !== run) this.known.set(key, (entry = { run, rows: await this.keptRows(query, topic, from) }))
    return entry.rows
  }

  private async keptRows(query: string, topic: string, from: number): Promise<Map<string, number>> {
    const rows = new Map<string, number>()
    const [partition] = this.log.topic(topic)?.partitions ?? []
    if (!partition) return rows
    for (let fromOffset = Math.max(from, partition.startOffset); fromOffset < partition.endOffset; ) {
      const messages = await this.log.readMessages(topic, { partition: 0, fromOffset, limit: READ_ROWS })
      if (messages.length === 0) break
      for (const { value, headers } of messages) {
        const from = headers.find(([name]) => name === 'query')?.[1]
        if (value === null || !from || Buffer.from(from).toString('utf8') !== query) continue
        const key = keyOf(value)
        rows.set(key, (rows.get(key) ?? 0) + 1)
      }
      if (rows.size > KNOWN_ROWS_MAX) {
        this.logger.warn({ query, topic }, `more than ${KNOWN_ROWS_MAX} late rows of ${query} are in ${topic}: some may be written twice`)
        break
      }
      fromOffset = messages.at(-1)!.offset + 1
    }
    return rows
  }
}

/** Whether a row is not one of an earlier run; of those it takes it out. */
function isFresh(earlier: Map<string, number>, value: Uint8Array): boolean {
  const row = keyOf(value)
  const left = earlier.get(row) ?? 0
  if (left > 1) earlier.set(row, left - 1)
  else earlier.delete(row)
  return left === 0
}

function recordOf(query: string, { value, op, watermarkMs, window }: LateRecord): RecordInput {
  const headers: [string, Uint8Array][] = [
    ['query', bytes(query)],
    ['watermark', bytes(timeText(watermarkMs))],
  ]
  if (window) headers.push(['window_start', bytes(timeText(window.startMs))], ['window_end', bytes(timeText(window.endMs))])
  if (op !== '+I') headers.push(['op', bytes(op)])
  return { key: null, value, timestampMs: Date.now(), headers }
}
