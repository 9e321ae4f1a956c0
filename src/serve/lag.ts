// How far behind a reader is: in records, and in time.
//
// Lag in time is how long the oldest record that was not read has been there: it grows while a reader stands still, also if nothing new comes.
import type { ServeDeps } from './deps.ts'
import type { ConsumerGroups } from './groupsContract.ts'
import { scanPage } from './scan.ts'

type SomeLog = Pick<ServeDeps['log'], 'topic' | 'descriptor'>

/** When the record at an offset, or the next one behind it, was made; undefined if there is none. */
export async function timeOfOffset(
  log: SomeLog,
  topic: string,
  partition: number,
  offset: number,
  endOffset: number,
): Promise<number | undefined> {
  if (offset < 0 || offset >= endOffset) return undefined
  const range = { partition, start: offset, end: endOffset }
  try {
    const { records } = await scanPage({
      descriptor: log.descriptor(topic),
      ranges: [range],
      direction: 'forward',
      limit: 1,
      scanMax: 1_000,
    })
    return records[0]?.timestampMs
  } catch {
    // Retention took it, or the topic is gone: then nobody waits for it.
    return undefined
  }
}

/** Records that are left to read from an offset on. A committed offset that retention has passed counts from what is still there. */
function recordsLeft(log: SomeLog, topic: string, partition: number, offset: number): { from: number; endOffset: number; lag: number } {
  const { startOffset = 0, endOffset = 0 } = log.topic(topic)?.partitions[partition] ?? {}
  const from = Math.max(offset, startOffset)
  return { from, endOffset, lag: Math.max(0, endOffset - from) }
}

/** What is left to read from an offset on, and since when. */
export async function ageOfOffset(
  log: SomeLog,
  topic: string,
  partition: number,
  offset: number,
): Promise<{ lag: number; lagMs?: number }> {
  const { from, endOffset, lag } = recordsLeft(log, topic, partition, offset)
  if (lag === 0) return { lag }
  const timeMs = await timeOfOffset(log, topic, partition, from, endOffset)
  return { lag, ...(timeMs !== undefined && { lagMs: Math.max(0, Date.now() - timeMs) }) }
}

/** Of all partitions: the records in sum, the longest time. */
export function totalLag(partitions: readonly { lag: number; lagMs?: number }[]): { lag: number; lagMs?: number } {
  const ages = partitions.flatMap(({ lagMs }) => lagMs ?? [])
  return { lag: partitions.reduce((sum, { lag }) => sum + lag, 0), ...(ages.length > 0 && { lagMs: Math.max(...ages) }) }
}

/** What a group has still to read; `lagMs` where it was looked up and something waits. */
export interface GroupLag {
  id: string
  lag: number
  lagMs?: number
}

/** Partitions whose lag in time is looked up at once, one read of a record each: of the groups behind them only the records are counted. */
const AGES_MAX = 500

/** Of all groups that have committed anything. */
export async function lagsOfGroups(log: SomeLog, groups: ConsumerGroups, agesMax = AGES_MAX): Promise<GroupLag[]> {
  let agesLeft = agesMax
  return Promise.all(
    groups.list().map(async ({ id }) => {
      const offsets = groups.offsets(id)
      const withAges = offsets.length <= agesLeft
      if (withAges) agesLeft -= offsets.length
      const partitions = offsets.map(({ topic, partition, offset }) =>
        withAges ? ageOfOffset(log, topic, partition, offset) : { lag: recordsLeft(log, topic, partition, offset).lag },
      )
      return { id, ...totalLag(await Promise.all(partitions)) }
    }),
  )
}

/** The consumer groups that have committed offsets of a topic. */
export async function groupsOfTopic(log: SomeLog, groups: ConsumerGroups, topic: string) {
  const found = []
  for (const { id, state, memberCount } of groups.list()) {
    const committed = groups.offsets(id).filter((one) => one.topic === topic)
    if (committed.length === 0) continue
    const partitions = []
    for (const { partition, offset } of committed) {
      const endOffset = log.topic(topic)?.partitions[partition]?.endOffset ?? offset
      partitions.push({ partition, offset, endOffset, ...(await ageOfOffset(log, topic, partition, offset)) })
    }
    partitions.sort((a, b) => a.partition - b.partition)
    found.push({ id, state, memberCount, partitions, ...totalLag(partitions) })
  }
  return found
}
