// Idempotency keys: a request that is sent again with the same key is answered again and stored once, also after a crash.
//
//   begin (in the log, awaited) --> batches, the first record of each marked with the key --> answer, and `end` in the log (not awaited)
//
// Why `begin` first: it says how far the partitions reached before. After a crash at any instant a key without `end` is settled by looking
// for its marks from there on: what is there is kept, what is not is stored when the request comes again. So the answer waits for one sync
// more than without a key, and `end` only spares the search.
//
// Invariants
//   1. A batch of a key is appended only while no batch with that mark and ordinal is in the log.
//   2. The same key with another body is refused as long as the key is remembered.
//   3. At most `idempotencyKeys` are remembered; the oldest finished ones go first, and that is counted.
import { createHash } from 'node:crypto'
import { type Disk, damageTeller, findHeader, indexBatch, type Log, openReader, RecordIndex, readRecords, readToEnd } from '../log/index.ts'
import type { IngestLimits, OffsetRange } from './contract.ts'
import { ingestMetrics } from './errors.ts'
import { MARK_HEADER, type Part } from './intake.ts'

export const IDEMPOTENCY_TOPIC = '__millrace_idempotency'

interface PlannedPart {
  topic: string
  partition: number
  recordCount: number
}
interface Begin {
  kind: 'begin'
  topic: string
  key: string
  hash: string
  atMs: number
  firstPartition: number
  parts: PlannedPart[]
  /** End offsets before anything of the request was appended, in the order of `parts`. */
  from: number[]
}
interface End {
  kind: 'end'
  topic: string
  key: string
  hash: string
  atMs: number
  status: number
  text: string
}

export interface StoredAnswer {
  status: number
  text: string
}
export interface KeyEntry {
  hash: string
  atMs: number
  /** Set once the request is settled. */
  answer?: StoredAnswer
  /** Set while a request with the key is being handled. */
  running?: Promise<StoredAnswer>
  begin?: Begin
  /** Of a request that is not settled: the batches that are in the log, by ordinal. */
  stored: Map<number, OffsetRange>
}

const nameOf = (topic: string, key: string): string => `${topic}\n${key}`
const markName = Buffer.from(MARK_HEADER)

export class KeyStore {
  private readonly log: Log
  private readonly limits: IngestLimits
  private readonly now: () => number
  private readonly disk: Disk | undefined
  /** Oldest first. */
  private readonly entries = new Map<string, KeyEntry>()

  constructor(log: Log, limits: IngestLimits, now: () => number, disk?: Disk) {
    this.log = log
    this.limits = limits
    this.now = now
    this.disk = disk
  }

  /** Reads what is remembered, and looks for the records of requests that were cut off. */
  async start(): Promise<void> {
    if (!this.log.topic(IDEMPOTENCY_TOPIC)) {
      const day = this.limits.idempotencyMs
      await this.log.createTopic(IDEMPOTENCY_TOPIC, {
        partitionCount: 1,
        'retention.ms': day + 3_600_000,
        'segment.ms': 3_600_000,
        'segment.bytes': 8 << 20,
      })
    }
    const oldestMs = this.now() - this.limits.idempotencyMs
    const reader = openReader(this.log.descriptor(IDEMPOTENCY_TOPIC), 0, 0, this.disk)
    try {
      const range = this.log.topic(IDEMPOTENCY_TOPIC)!.partitions[0]
      for await (const run of readToEnd(reader, range, undefined, damageTeller(this.log, IDEMPOTENCY_TOPIC, 0))) {
        for (const { value } of readRecords(run.bytes, run.start, run.end, run.fromOffset)) {
          const note = JSON.parse(Buffer.from(value ?? []).toString()) as Begin | End
          if (note.atMs >= oldestMs) this.recall(note)
        }
      }
    } finally {
      reader.close()
    }
    this.forget()
    await this.findStored([...this.entries.values()].filter((entry) => entry.answer === undefined && entry.begin))
  }

  get(topic: string, key: string): KeyEntry | undefined {
    const entry = this.entries.get(nameOf(topic, key))
    if (entry && entry.running === undefined && entry.atMs < this.now() - this.limits.idempotencyMs) {
      this.entries.delete(nameOf(topic, key))
      return undefined
    }
    return entry
  }

  add(topic: string, key: string, hash: string): KeyEntry {
    const entry: KeyEntry = { hash, atMs: this.now(), stored: new Map() }
    this.entries.set(nameOf(topic, key), entry)
    this.forget()
    return entry
  }

  /** Forgets a key of which nothing is in the log. */
  drop(topic: string, key: string): void {
    this.entries.delete(nameOf(topic, key))
  }

  /** Notes what is about to be appended; it is in the log when this resolves. */
  async begin(entry: KeyEntry, topic: string, key: string, firstPartition: number, parts: readonly Part[]): Promise<void> {
    const plan = parts.map(({ topic: target, partition, recordCount }) => ({ topic: target, partition, recordCount }))
    const from = plan.map((part) => this.log.topic(part.topic)?.partitions[part.partition].endOffset ?? 0)
    const begin: Begin = { kind: 'begin', topic, key, hash: entry.hash, atMs: entry.atMs, firstPartition, parts: plan, from }
    await this.write(begin)
    entry.begin = begin
  }

  /** Remembers the answer; it is noted in the log when there is time. */
  end(entry: KeyEntry, topic: string, key: string, answer: StoredAnswer): void {
    entry.answer = answer
    entry.begin = undefined
    entry.stored.clear()
    this.write({ kind: 'end', topic, key, hash: entry.hash, atMs: entry.atMs, ...answer }).catch(() => ingestMetrics.unnoted.inc())
  }

  private async write(note: Begin | End): Promise<void> {
    const record = { key: Buffer.from(nameOf(note.topic, note.key)), value: Buffer.from(JSON.stringify(note)), timestampMs: this.now() }
    await this.log.appendRecords(IDEMPOTENCY_TOPIC, 0, [record])
  }

  private recall(note: Begin | End): void {
    const name = nameOf(note.topic, note.key)
    let entry = this.entries.get(name)
    if (entry === undefined || entry.hash !== note.hash) {
      entry = { hash: note.hash, atMs: note.atMs, stored: new Map() }
      this.entries.delete(name)
      this.entries.set(name, entry)
    }
    if (note.kind === 'begin') {
      entry.begin = note
      entry.answer = undefined
    } else {
      entry.answer = { status: note.status, text: note.text }
      entry.begin = undefined
    }
  }

  private forget(): void {
    const oldestMs = this.now() - this.limits.idempotencyMs
    let excess = this.entries.size - this.limits.idempotencyKeys
    for (const [name, entry] of this.entries) {
      const isOld = entry.atMs < oldestMs
      if (!isOld && excess <= 0) break
      if (entry.running !== undefined) continue
      this.entries.delete(name)
      excess--
      if (!isOld) ingestMetrics.forgotten.inc()
    }
  }

  /** Looks for the marks of unsettled requests, once through each partition from where the first of them began. */
  private async findStored(entries: readonly KeyEntry[]): Promise<void> {
    const byMark = new Map(entries.map((entry) => [markOf(entry.begin!.topic, entry.begin!.key), entry]))
    const ranges = new Map<string, { topic: string; partition: number; from: number }>()
    for (const { begin } of entries) {
      begin!.parts.forEach(({ topic, partition }, ordinal) => {
        const name = `${topic}/${partition}`
        const from = Math.min(ranges.get(name)?.from ?? Infinity, begin!.from[ordinal])
        ranges.set(name, { topic, partition, from })
      })
    }
    for (const { topic, partition, from } of ranges.values()) {
      if (this.log.topic(topic)?.partitions[partition]) await this.scan(topic, partition, from, byMark)
    }
  }

  private async scan(topic: string, partition: number, from: number, byMark: Map<string, KeyEntry>): Promise<void> {
    const reader = openReader(this.log.descriptor(topic), partition, from, this.disk)
    const index = new RecordIndex()
    const found = new Int32Array(2)
    try {
      const { startOffset, endOffset } = this.log.topic(topic)!.partitions[partition]
      // A partition that ends before `from` was deleted and made again: nothing of the request is in it.
      if (from > endOffset) return
      const range = { startOffset: Math.max(from, startOffset), endOffset }
      for await (const run of readToEnd(reader, range, undefined, damageTeller(this.log, topic, partition))) {
        for (let at = run.start; at < run.end; ) {
          index.reset()
          at = indexBatch(run.bytes, at, index, run.fromOffset)
          for (let row = 0; row < index.count; row++) {
            if (!findHeader(index.bytes, index.headersStarts[row], index.headersEnds[row], markName, found) || found[0] < 0) continue
            const [mark, ordinal] = Buffer.from(index.bytes.subarray(found[0], found[1])).toString().split(':')
            const entry = byMark.get(mark)
            const planned = entry?.begin?.parts[Number(ordinal)]
            if (entry === undefined || planned?.topic !== topic || planned.partition !== partition) continue
            const first = index.offsets[row]
            entry.stored.set(Number(ordinal), { partition, first, last: first + planned.recordCount - 1 })
          }
        }
      }
    } finally {
      reader.close()
    }
  }
}

/** What marks a key's records. */
export const markOf = (topic: string, key: string): string => createHash('sha256').update(nameOf(topic, key)).digest('base64url')
