// What somebody has decided by hand, about single things with ids: that a query is stopped, or in how many threads it runs; what a filter is called. It stays
// so over restarts of the process, until somebody decides otherwise.
//
// A compacted internal topic for each kind is the truth (key: the id; value: JSON, or none); the newest of each key is in memory.
import { ensureTopic, type Log } from '../log/index.ts'

const RECORDS_MAX = 100_000

export class Marks<T extends object> {
  private readonly log: Pick<Log, 'topic' | 'createTopic' | 'appendRecords' | 'readMessages'>
  private readonly topic: string
  private readonly now: () => number
  private marks: Promise<Map<string, T>> | undefined

  constructor(log: Pick<Log, 'topic' | 'createTopic' | 'appendRecords' | 'readMessages'>, topic: string, now: () => number) {
    this.log = log
    this.topic = topic
    this.now = now
  }

  /** By id. */
  async all(): Promise<ReadonlyMap<string, T>> {
    this.marks ??= this.read()
    try {
      return await this.marks
    } catch (error) {
      this.marks = undefined
      throw error
    }
  }

  /** Durable when it resolves; undefined takes it away. */
  async set(id: string, mark: T | undefined): Promise<void> {
    const marks = (await this.all()) as Map<string, T>
    if (mark === undefined && !marks.has(id)) return
    await ensureTopic(this.log, this.topic, { 'cleanup.policy': 'compact' })
    const value = mark === undefined ? null : Buffer.from(JSON.stringify(mark))
    await this.log.appendRecords(this.topic, 0, [{ key: Buffer.from(id), value, timestampMs: this.now() }])
    if (mark === undefined) marks.delete(id)
    else marks.set(id, mark)
  }

  /** Takes away those of things that are no more. */
  async keepOnly(isPresent: (id: string) => boolean): Promise<void> {
    for (const id of [...(await this.all()).keys()]) if (!isPresent(id)) await this.set(id, undefined)
  }

  private async read(): Promise<Map<string, T>> {
    const marks = new Map<string, T>()
    if (!this.log.topic(this.topic)) return marks
    const records = await this.log.readMessages(this.topic, { newest: true, limit: RECORDS_MAX })
    for (const { key, value } of records.toSorted((a, b) => a.offset - b.offset)) {
      if (key === null) continue
      const id = Buffer.from(key).toString()
      if (value === null) marks.delete(id)
      else marks.set(id, JSON.parse(Buffer.from(value).toString()) as T)
    }
    return marks
  }
}
