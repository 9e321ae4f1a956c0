// How far behind a reader is: in records, and in time.
//
// Lag in time is how long the oldest record that was not read has been there: it grows while a reader stands still, also if nothing new comes.
import type { ServeDeps } from './deps.ts'
import type { ConsumerGroups } from './groupsContract.ts'
import { scanRuns } from './scan.ts'

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
  try {
    // As many offsets as compaction may have freed: what is there comes first.
    for await (const { index, count } of scanRuns(log.descriptor(topic), { partition, start: offset, end: endOffset }))
      if (count > 0) return index.timestampsMs[0]
    return undefined
  } catch {
    // Retention took it, or the topic is gone: then nobody waits for it.
    return undefined
  }
}

/** One look at the log for many offsets: thousands of groups stand at the same few, and each topic is asked once, and each record's time. */
export class LagLook {
  private readonly log: SomeLog
  private readonly partitions = new Map<string, readonly { startOffset: number; endOffset: number }[]>()
  private readonly times = new Map<string, Promise<number | undefined>>()
  private readonly nowMs = Date.now()

  constructor(log: SomeLog) {
    this.log = log
  }

  /** Records that are left to read from an offset on. A committed offset that retention has passed counts from what is still there. */
  left(topic: string, partition: number, offset: number): { from: number; endOffset: number; lag: number } {
    let partitions = this.partitions.get(topic)
    if (!partitions) this.partitions.set(topic, (partitions = this.log.topic(topic)?.partitions ?? []))
    const { startOffset = 0, endOffset = 0 } = partitions[partition] ?? {}
    const from = Math.max(offset, startOffset)
    return { from, endOffset, lag: Math.max(0, endOffset - from) }
  }

  /** What is left to read from an offset on, and since when. */
  async age(topic: string, partition: number, offset: number): Promise<{ lag: number; lagMs?: number }> {
    const { from, endOffset, lag } = this.left(topic, partition, offset)
    if (lag === 0) return { lag }
    const place = `${topic}/${partition}/${from}`
    let time = this.times.get(place)
    if (!time) this.times.set(place, (time = timeOfOffset(this.log, topic, partition, from, endOffset)))
    const timeMs = await time
    return { lag, ...(timeMs !== undefined && { lagMs: Math.max(0, this.nowMs - timeMs) }) }
  }
}

/** What is left to read from one offset on, and since when. */
export const ageOfOffset = (log: SomeLog, topic: string, partition: number, offset: number): Promise<{ lag: number; lagMs?: number }> =>
  new LagLook(log).age(topic, partition, offset)

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
  const look = new LagLook(log)
  return Promise.all(
    groups.list().map(async ({ id }) => {
      const offsets = groups.offsets(id)
      const withAges = offsets.length <= agesLeft
      if (withAges) agesLeft -= offsets.length
      const partitions = offsets.map(({ topic, partition, offset }) =>
        withAges ? look.age(topic, partition, offset) : { lag: look.left(topic, partition, offset).lag },
      )
      return { id, ...totalLag(await Promise.all(partitions)) }
    }),
  )
}

/** The consumer groups that have committed offsets of a topic; times as those of all groups. */
export async function groupsOfTopic(log: SomeLog, groups: ConsumerGroups, topic: string, agesMax = AGES_MAX) {
  let agesLeft = agesMax
  const look = new LagLook(log)
  return Promise.all(
    groups.list().flatMap(({ id, state, memberCount }) => {
      const committed = groups.offsets(id).filter((one) => one.topic === topic)
      if (committed.length === 0) return []
      const withAges = committed.length <= agesLeft
      if (withAges) agesLeft -= committed.length
      return groupOfTopic(look, withAges, { id, state, memberCount }, committed)
    }),
  )
}

async function groupOfTopic<T>(
  look: LagLook,
  withAges: boolean,
  group: T,
  committed: readonly { topic: string; partition: number; offset: number }[],
) {
  const partitions = await Promise.all(
    committed.map(async ({ topic, partition, offset }) => {
      const { endOffset, lag } = look.left(topic, partition, offset)
      return { partition, offset, endOffset, ...(withAges ? await look.age(topic, partition, offset) : { lag }) }
    }),
  )
  partitions.sort((a, b) => a.partition - b.partition)
  return { ...group, partitions, ...totalLag(partitions as { lag: number; lagMs?: number }[]) }
}

/** For each topic that groups have committed offsets of: how many, and how many records the one furthest behind has still to read. */
export function groupsBehind(log: SomeLog, groups: ConsumerGroups): Map<string, { groups: number; lag: number }> {
  const behind = new Map<string, { groups: number; lag: number }>()
  const look = new LagLook(log)
  for (const { id } of groups.list()) {
    const lags = new Map<string, number>()
    for (const { topic, partition, offset } of groups.offsets(id))
      lags.set(topic, (lags.get(topic) ?? 0) + look.left(topic, partition, offset).lag)
    for (const [topic, lag] of lags) {
      const before = behind.get(topic)
      behind.set(topic, { groups: (before?.groups ?? 0) + 1, lag: Math.max(before?.lag ?? 0, lag) })
    }
  }
  return behind
}
