// Rows that a query could not read or compute, kept in `<topic>.invalid` beside what the front door rejected.
//
// Never an unbounded queue: above LETTERS_PENDING_MAX the newest are counted and dropped, which the metric and the log line say.
import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import { Counter } from 'prom-client'
import { metrics } from '../base/index.ts'
import type { DeadLetter } from '../engine/index.ts'
import { type Log, lettersTopicOf, type RecordInput } from '../log/index.ts'
import { runsFor } from './recordRuns.ts'

const LETTERS_PENDING_MAX = 10_000
const RAW_BYTES_MAX = 64 * 1024
const letters = new Counter({
  name: 'millrace_query_dead_letters_total',
  help: 'Rows that a query could not read or compute, by what became of them.',
  labelNames: ['outcome'],
  registers: [metrics],
})
const sha256 = (raw: Uint8Array): string => createHash('sha256').update(raw).digest('hex')
const bytes = (text: string): Uint8Array => Buffer.from(text)

export class DeadLetters {
  private readonly log: Log
  private readonly logger: Logger
  private pending = 0
  private turn: Promise<void> = Promise.resolve()
  /** Of each input partition the records that have a letter: reading the log again after a restart, or in another query, adds none twice. */
  private readonly kept = new Map<string, KeptOffsets>()
  /** For each topic: rows without an offset that an earlier run kept, and how often they are still to be met. */
  private readonly keptRows = new Map<string, Map<string, number>>()

  constructor(log: Log, logger: Logger) {
    this.log = log
    this.logger = logger
  }

  async keep(batch: DeadLetter[]): Promise<void> {
    for (const [topic, mine] of Map.groupBy(batch, (letter) => letter.topic)) {
      // One after another: what is known of a partition is read first, once.
      const looked = this.turn.then(() => this.freshOf(mine))
      this.turn = looked.then(
        () => {},
        () => {},
      )
      const fresh = await looked
      if (fresh.length === 0) continue
      if (this.pending + fresh.length > LETTERS_PENDING_MAX) {
        letters.inc({ outcome: 'dropped' }, fresh.length)
        this.logger.warn({ topic }, `${fresh.length} rows that could not be computed were not kept: too many at once`)
        continue
      }
      this.pending += fresh.length
      let kept = 0
      try {
        for (const run of await runsFor(this.log, lettersTopicOf(topic), fresh.map(recordOf))) {
          await this.log.appendRecords(lettersTopicOf(topic), 0, run)
          kept += run.length
        }
      } catch (error) {
        this.logger.error({ topic, reason: (error as Error).message }, 'rows that could not be computed were not kept')
      } finally {
        letters.inc({ outcome: 'kept' }, kept)
        letters.inc({ outcome: 'failed' }, fresh.length - kept)
        this.pending -= fresh.length
      }
    }
  }

  private async freshOf(letters: DeadLetter[]): Promise<DeadLetter[]> {
    const fresh: DeadLetter[] = []
    for (const letter of letters) if (await this.isFresh(letter)) fresh.push(letter)
    return fresh
  }

  private async isFresh({ topic, partition, offset, raw, error }: DeadLetter): Promise<boolean> {
    if (offset < 0) return this.isFreshRow(topic, `${error.code} ${sha256(raw)}`)
    const source = sourceOf(topic, partition)
    let kept = this.kept.get(source)
    if (!kept) this.kept.set(source, (kept = await this.offsetsKept(topic, partition)))
    return kept.add(offset)
  }

  /** A row without an offset was kept by an earlier run as often as its like is in the topic: so often it is not kept again. */
  private async isFreshRow(topic: string, row: string): Promise<boolean> {
    let known = this.keptRows.get(topic)
    if (!known) this.keptRows.set(topic, (known = await this.countKeptRows(topic)))
    const left = known.get(row) ?? 0
    if (left > 0) known.set(row, left - 1)
    return left === 0
  }

  private async countKeptRows(topic: string): Promise<Map<string, number>> {
    const counts = new Map<string, number>()
    if (!this.log.topic(lettersTopicOf(topic))) return counts
    for (const { headers } of await this.log.readMessages(lettersTopicOf(topic), { newest: true, limit: LETTERS_PENDING_MAX })) {
      const text = (name: string) => Buffer.from(headers.find(([header]) => header === name)?.[1] ?? []).toString('utf8')
      if (!text('source').startsWith('query over ')) continue
      const row = `${text('rule')} ${text('sha256')}`
      counts.set(row, (counts.get(row) ?? 0) + 1)
    }
    return counts
  }

  /** What an earlier run kept, from the newest records of the topic of letters. */
  private async offsetsKept(topic: string, partition: number): Promise<KeptOffsets> {
    if (!this.log.topic(lettersTopicOf(topic))) return new KeptOffsets([], true)
    const prefix = `${sourceOf(topic, partition)}/`
    const newest = await this.log.readMessages(lettersTopicOf(topic), { newest: true, limit: LETTERS_PENDING_MAX })
    const sources = newest.map(({ headers }) => Buffer.from(headers.find(([name]) => name === 'source')?.[1] ?? []).toString('utf8'))
    const offsets = sources.flatMap((source) => (source.startsWith(prefix) ? [Number(source.slice(prefix.length))] : []))
    return new KeptOffsets(offsets, newest.length < LETTERS_PENDING_MAX)
  }
}

/**
 * Offsets of one partition whose records have a letter. They do not come in order: keys are decoded before values, and one query reads behind
 * another. Of very many only the newest are known; one that is older than these counts as kept.
 */
class KeptOffsets {
  private offsets: Set<number>
  private floor = -1

  /** @param areAll  there are no others */
  constructor(offsets: readonly number[], areAll: boolean) {
    this.offsets = new Set(offsets)
    if (!areAll && offsets.length > 0) this.floor = offsets.reduce((least, offset) => Math.min(least, offset)) - 1
  }

  /** @returns whether it had none before */
  add(offset: number): boolean {
    if (offset <= this.floor || this.offsets.has(offset)) return false
    this.offsets.add(offset)
    if (this.offsets.size > 2 * LETTERS_PENDING_MAX) {
      const newest = [...this.offsets].sort((a, b) => b - a).slice(0, LETTERS_PENDING_MAX)
      this.offsets = new Set(newest)
      this.floor = newest.at(-1)! - 1
    }
    return true
  }
}

function recordOf({ topic, partition, offset, raw, error }: DeadLetter): RecordInput {
  const nowMs = Date.now()
  return {
    key: null,
    value: raw.subarray(0, RAW_BYTES_MAX),
    timestampMs: nowMs,
    headers: [
      ['rule', bytes(error.code)],
      ['path', bytes(typeof error.params.path === 'string' ? error.params.path : '')],
      ['message', bytes(error.message)],
      ['source', bytes(offset < 0 ? `query over ${topic}` : `${sourceOf(topic, partition)}/${offset}`)],
      ['length', bytes(String(raw.length))],
      ['sha256', bytes(sha256(raw))],
      ['ingested_at', bytes(String(nowMs))],
    ],
  }
}

const sourceOf = (topic: string, partition: number): string => `log:${topic}/${partition}`
