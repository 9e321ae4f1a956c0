// What must hold, kept beside the product and without any of its code: who wrote what, what was answered, and what was ever seen.
//
//   1. What was acknowledged is there, at the offsets that were told, whole and in its order.
//   2. A value of a writer that promises "once" (idempotent producer, Idempotency-Key) is there at most once; of another at most as often as sent.
//   3. A value whose writer was told "failed" is nowhere. A value that nobody sent is nowhere.
//   4. Batches of one writer are in a partition in the order in which they were sent.
//   5. At an offset there is one value for ever, whoever reads it when; offsets have no gaps, and no end of a partition ever falls.
//   6. After the successor of a paused producer has written, nothing of the paused one comes any more.
//   7. Who reads committed records sees all of a committed transaction and nothing of an aborted one; of one whose end nobody was told, all or nothing.
//   8. Compaction keeps the newest value of each key, retention all from its start on.
import { Violation } from './world.ts'

/** `unknown`: nobody was told how it ended. */
export interface SentTransaction {
  id: string
  outcome: 'open' | 'committed' | 'aborted' | 'unknown'
}

export interface SentBatch {
  writer: string
  topic: string
  /** -1: the door chooses, by key. */
  partition: number
  values: string[]
  /** Stored at most once however often it is sent. */
  once: boolean
  /** `open`: not settled yet; `unknown`: may be there or not. */
  state: 'open' | 'acked' | 'failed' | 'unknown'
  firstOffset: number
  sends: number
  transaction?: SentTransaction
}
/** What a partition holds; markers of transactions are undefined. */
export interface Contents {
  startOffset: number
  endOffset: number
  values: (string | undefined)[]
}

interface Place {
  partition: number
  offset: number
}

export class Model {
  readonly batches: SentBatch[] = []
  /** What the front door said: in which offsets a request's events are. */
  readonly answers: { batch: SentBatch; offsets: { partition: number; first: number; last: number }[] }[] = []
  private readonly byValue = new Map<string, SentBatch>()
  /** By topic and partition: the value at each offset, as far as anybody has seen it. */
  private readonly seen = new Map<string, (string | null | undefined)[]>()
  private readonly ends = new Map<string, Map<string, number>>()
  /** By writer that was replaced: where its successor first was acknowledged, by topic and partition. */
  private readonly replaced = new Map<string, Map<string, number>>()
  /** Where a paused producer's successor is: told with its first acknowledged batch. */
  private readonly successors = new Map<string, string>()

  add(batch: SentBatch): SentBatch {
    this.batches.push(batch)
    for (const value of batch.values) this.byValue.set(value, batch)
    return batch
  }

  replace(writer: string, successor: string): void {
    this.successors.set(successor, writer)
    this.replaced.set(writer, new Map())
  }

  acknowledge(batch: SentBatch, firstOffset: number): void {
    if (batch.state === 'acked' && batch.firstOffset !== firstOffset)
      throw new Violation(`${batch.writer} was told offset ${batch.firstOffset}, and for the same batch ${firstOffset}`)
    batch.state = 'acked'
    batch.firstOffset = firstOffset
    const place = `${batch.topic} ${batch.partition}`
    for (const [i, value] of batch.values.entries())
      this.observe(batch.topic, batch.partition, firstOffset + i, value, `acknowledged to ${batch.writer}`)
    const before = this.successors.get(batch.writer)
    const starts = before === undefined ? undefined : this.replaced.get(before)
    if (starts && !starts.has(place)) starts.set(place, firstOffset)
  }

  /** @param isOurs  the process itself wrote it */
  observe(topic: string, partition: number, offset: number, value: string | null, who: string, isOurs = false): void {
    const place = `${topic} ${partition}`
    let values = this.seen.get(place)
    if (!values) this.seen.set(place, (values = []))
    const had = values[offset]
    if (had !== undefined && had !== value)
      throw new Violation(`two values at ${place} offset ${offset}: ${short(had)}, and ${short(value)} (${who})`)
    if (had === undefined && !isOurs && (value === null || !this.byValue.has(value)))
      throw new Violation(`at ${place} offset ${offset} is ${short(value)}, which nobody sent (${who})`)
    values[offset] = value
  }

  /** @param who  answers to several may overtake each other, answers to one may not */
  end(topic: string, partition: number, endOffset: number, who: string): void {
    const place = `${topic} ${partition}`
    const ends = this.ends.get(place) ?? new Map<string, number>()
    this.ends.set(place, ends)
    const had = who === AT_THE_END ? Math.max(0, ...ends.values()) : (ends.get(who) ?? 0)
    if (endOffset < had) throw new Violation(`the end of ${place} fell from ${had} to ${endOffset} (${who})`)
    ends.set(who, endOffset)
  }

  /** Records that anybody has seen of a partition. */
  seenCount(topic: string, partition: number): number {
    return this.seen.get(`${topic} ${partition}`)?.filter((value) => value !== undefined).length ?? 0
  }

  /** @param partitions  all records of a topic, read when nothing happens any more */
  check(topic: string, partitions: Contents[]): void {
    const places = new Map<string, Place[]>()
    partitions.forEach(({ startOffset, endOffset, values }, partition) => {
      if (values.length !== endOffset - startOffset)
        throw new Violation(`${topic} ${partition} has ${values.length} records between offsets ${startOffset} and ${endOffset}`)
      this.end(topic, partition, endOffset, AT_THE_END)
      values.forEach((value, i) => {
        const offset = startOffset + i
        if (value === undefined) return
        this.observe(topic, partition, offset, value, 'at the end')
        const known = places.get(value)
        if (known) known.push({ partition, offset })
        else places.set(value, [{ partition, offset }])
      })
      const seen = this.seen.get(`${topic} ${partition}`) ?? []
      if (seen.length > endOffset) throw new Violation(`${topic} ${partition} had ${seen.length} records, now it ends at ${endOffset}`)
    })
    for (const batch of this.batches) if (batch.topic === topic) this.checkBatch(batch, places, partitions)
    this.checkOrder(topic, places)
    for (const { batch, offsets } of this.answers) {
      if (batch.topic !== topic) continue
      const told = offsets.flatMap(({ partition, first, last }) =>
        Array.from(
          { length: last - first + 1 },
          (_, i) => partitions[partition].values[first + i - partitions[partition].startOffset] ?? '',
        ),
      )
      if (told.toSorted().join('\n') !== batch.values.toSorted().join('\n'))
        throw new Violation(`${batch.writer} was told offsets ${JSON.stringify(offsets)}, and they hold other events`)
    }
  }

  /** @param visible  by partition: offsets that a reader of committed records has seen, once nothing is open any more */
  checkCommitted(topic: string, partitions: Contents[], visible: ReadonlySet<number>[]): void {
    const places = new Map<string, Place>()
    for (const [partition, { startOffset, values }] of partitions.entries())
      for (const [i, value] of values.entries()) if (value !== undefined) places.set(value, { partition, offset: startOffset + i })
    const unknown = new Map<SentTransaction, { value: string; isVisible: boolean }>()
    for (const { topic: name, writer, values, transaction } of this.batches) {
      if (name !== topic) continue
      for (const value of values) {
        const place = places.get(value)
        const isVisible = place !== undefined && visible[place.partition].has(place.offset)
        const what = `${short(value)} of ${writer}`
        if (!transaction && place && !isVisible) throw new Violation(`${what} has no transaction, and is not visible`)
        if (transaction?.outcome === 'committed' && !isVisible) throw new Violation(`${what} is lost: ${transaction.id} was committed`)
        if ((transaction?.outcome === 'aborted' || transaction?.outcome === 'open') && isVisible)
          throw new Violation(`${what} is visible, and ${transaction.id} was not committed`)
        if (transaction?.outcome !== 'unknown') continue
        const other = unknown.get(transaction)
        if (other && other.isVisible !== isVisible)
          throw new Violation(
            `of ${transaction.id} ${short((isVisible ? { value } : other).value)} is visible, and ${short((isVisible ? other : { value }).value)} is not`,
          )
        unknown.set(transaction, { value, isVisible })
      }
    }
  }

  /** @param records  all that is left in a compacted partition that one idempotent producer has written, all of it acknowledged */
  checkCompacted(
    topic: string,
    records: readonly { offset: number; key: string | null; value: string | null }[],
    keyOf: (value: string) => string,
  ): void {
    const newest = new Map<string, string>()
    for (const batch of this.batches) if (batch.topic === topic) for (const value of batch.values) newest.set(keyOf(value), value)
    const left = new Map(records.map(({ key, value }) => [key, value]))
    for (const [key, value] of newest)
      if (left.get(key) !== value)
        throw new Violation(`${topic} has ${short(left.get(key) ?? null)} as newest of ${key}, sent was ${short(value)}`)
    const values = records.map(({ value }) => value)
    if (new Set(values).size < values.length) throw new Violation(`${topic} has a record twice`)
  }

  private checkBatch(batch: SentBatch, places: Map<string, Place[]>, partitions: Contents[]): void {
    for (const value of batch.values) {
      const found = places.get(value) ?? []
      const what = `${short(value)} of ${batch.writer}`
      if (batch.partition >= 0 && found.some(({ partition }) => partition !== batch.partition))
        throw new Violation(`${what} is in another partition`)
      const isGone = batch.state === 'acked' && batch.partition >= 0 && batch.firstOffset < partitions[batch.partition].startOffset
      if (batch.state === 'acked' && found.length === 0 && !isGone) throw new Violation(`lost: ${what} was acknowledged`)
      if (batch.state === 'failed' && found.length > 0)
        throw new Violation(`${what} is at offset ${found[0].offset}, and its writer was told that it failed`)
      const most = batch.once ? 1 : batch.sends
      if (found.length > most)
        throw new Violation(
          `${what} is there ${found.length} times (offsets ${found.map(({ offset }) => offset)}), sent ${batch.sends} times`,
        )
    }
    const starts = this.replaced.get(batch.writer)
    if (!starts) return
    for (const value of batch.values)
      for (const { partition, offset } of places.get(value) ?? []) {
        const start = starts.get(`${batch.topic} ${partition}`)
        if (start !== undefined && offset > start)
          throw new Violation(`${short(value)} of the replaced ${batch.writer} came behind its successor`)
      }
  }

  /** The first place of each batch, in the order of sending. */
  private checkOrder(topic: string, places: Map<string, Place[]>): void {
    const last = new Map<string, { offset: number; value: string }>()
    for (const batch of this.batches) {
      if (batch.topic !== topic || !batch.once) continue
      for (const value of batch.values) {
        const place = places.get(value)?.[0]
        if (!place) continue
        const key = `${batch.writer} ${place.partition}`
        const before = last.get(key)
        if (before && before.offset > place.offset)
          throw new Violation(
            `${short(value)} at offset ${place.offset} was sent after ${short(before.value)}, which is at ${before.offset}`,
          )
        last.set(key, { offset: place.offset, value })
      }
    }
  }
}

const AT_THE_END = 'at the end'
const short = (value: string | null): string => (/"id":"([^"]*)"/.exec(value ?? '')?.[1] ?? value ?? 'a tombstone').slice(0, 60)
