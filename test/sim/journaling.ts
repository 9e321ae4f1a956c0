// How the log of a seed uses its commit journal. Chosen from a stream of its own: seeds without one are what they were before there was any.

import type { FakeDisk } from '../../src/log/fakeDisk.ts'
import type { JournalOptions } from '../../src/log/journal.ts'
import { PAGE_BYTES } from '../../src/log/journalBlock.ts'
import { TestBackground } from '../../src/log/testBackground.ts'
import { Random } from './random.ts'
import type { World } from './world.ts'

export interface Journaling {
  random: Random
  options: Pick<JournalOptions, 'sizeBytes' | 'groupBytesMax' | 'syncBytes'>
  /** Each start of the process has one of these. */
  groupsBefore: readonly number[]
  /** Longest time until a task in the background is done. */
  taskMs: number
}

const JOURNAL_SHARE = 0.6
const STREAM = 0x10a41

export function journalingOf(seed: number): Journaling | undefined {
  const random = new Random(seed ^ STREAM)
  if (!random.chance(JOURNAL_SHARE)) return undefined
  // Small, so that there are many laps.
  const pages = random.pick([4, 6, 10, 24])
  const sizeBytes = pages * PAGE_BYTES
  const options = {
    sizeBytes,
    groupBytesMax: random.pick([2_000, 8_000, 64_000]),
    syncBytes: random.pick([1, sizeBytes / 4, sizeBytes / 2, 1e9]),
  }
  return { random, options, groupsBefore: random.pick([[0], [0, 5, 20]]), taskMs: random.pick([0, 10, 200]) }
}

/** What a crash at every call has: from the first group on, with many laps. */
export const referenceJournaling = (): Journaling => ({
  random: new Random(0),
  options: { sizeBytes: 4 * PAGE_BYTES, groupBytesMax: 8_000, syncBytes: PAGE_BYTES },
  groupsBefore: [0],
  taskMs: 5,
})

export function journalOptionsOf({ random, options, groupsBefore, taskMs }: Journaling, world: World, disk: FakeDisk): JournalOptions {
  const background = new TestBackground(disk, (act) => world.after(random.next() * taskMs, act))
  return { ...options, groupsBefore: random.pick(groupsBefore), background, newId: () => random.int(1, 2 ** 31) }
}
