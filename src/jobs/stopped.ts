// Which queries somebody has stopped: they stay so over restarts of the process, until somebody starts them again.
//
// A compacted internal topic is the truth (key: the query's id; value: when it was stopped, or none); the newest of each key is in memory.
import { ensureTopic, type Log } from '../log/index.ts'

const TOPIC = '__millrace_stopped_queries'
const RECORDS_MAX = 100_000

export class StoppedQueries {
  private readonly log: Pick<Log, 'topic' | 'createTopic' | 'appendRecords' | 'readMessages'>
  private readonly now: () => number
  private ids: Promise<Map<string, number>> | undefined

  constructor(log: Pick<Log, 'topic' | 'createTopic' | 'appendRecords' | 'readMessages'>, now: () => number) {
    this.log = log
    this.now = now
  }

  /** By id: when it was stopped, in epoch ms. */
  async all(): Promise<ReadonlyMap<string, number>> {
    this.ids ??= this.read()
    try {
      return await this.ids
    } catch (error) {
      this.ids = undefined
      throw error
    }
  }

  /** Durable when it resolves. */
  async set(id: string, isStopped: boolean): Promise<void> {
    const ids = (await this.all()) as Map<string, number>
    if (ids.has(id) === isStopped) return
    const atMs = this.now()
    await ensureTopic(this.log, TOPIC, { 'cleanup.policy': 'compact' })
    const value = isStopped ? Buffer.from(JSON.stringify({ stoppedMs: atMs })) : null
    await this.log.appendRecords(TOPIC, 0, [{ key: Buffer.from(id), value, timestampMs: atMs }])
    if (isStopped) ids.set(id, atMs)
    else ids.delete(id)
  }

  private async read(): Promise<Map<string, number>> {
    const ids = new Map<string, number>()
    if (!this.log.topic(TOPIC)) return ids
    const records = await this.log.readMessages(TOPIC, { newest: true, limit: RECORDS_MAX })
    for (const { key, value } of records.toSorted((a, b) => a.offset - b.offset)) {
      if (key === null) continue
      const id = Buffer.from(key).toString()
      if (value === null) ids.delete(id)
      else ids.set(id, (JSON.parse(Buffer.from(value).toString()) as { stoppedMs: number }).stoppedMs)
    }
    return ids
  }
}
