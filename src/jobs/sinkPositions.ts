// Where each query began to write in its topic: so that a restart, which reads its input again from the start, does not write twice.
//
// An append-only query over the same input gives the same rows for each partition in the same order. So the rows that are in the topic since the query
// began are the first ones that it gives again. Kept in `catalog/sinks.json`; a query whose plan changed begins anew.
// Holds while the query is the topic's only writer and reads one partition; checkpoints will lift both.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Plan } from '../sql/index.ts'

interface Entry {
  planHash: string
  topic: string
  startOffsets: number[]
}

export class SinkPositions {
  private readonly path: string
  private readonly entries: Record<string, Entry>

  /** @param fresh  forget what is known: the topics are empty */
  constructor(path: string, fresh = false) {
    this.path = path
    this.entries = fresh ? {} : read(path)
  }

  /** How many rows of each partition the query has written already, given the topic's present end offsets. */
  async written(queryId: string, plan: Plan, topic: string, endOffsets: number[]): Promise<number[]> {
    const planHash = createHash('sha256')
      .update(JSON.stringify(plan, (_key, value) => (typeof value === 'bigint' ? `${value}n` : value)))
      .digest('hex')
    const entry = this.entries[queryId]
    if (entry && entry.planHash === planHash && entry.topic === topic)
      return endOffsets.map((end, partition) => end - (entry.startOffsets[partition] ?? 0))
    this.entries[queryId] = { planHash, topic, startOffsets: endOffsets }
    mkdirSync(dirname(this.path), { recursive: true })
    writeFileSync(`${this.path}.new`, JSON.stringify(this.entries), { flush: true })
    renameSync(`${this.path}.new`, this.path)
    return endOffsets.map(() => 0)
  }
}

function read(path: string): Record<string, Entry> {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, Entry>
  } catch {
    return {}
  }
}
