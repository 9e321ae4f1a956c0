import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BrowsedRecord, PartitionInfo, TopicInfo } from '../log/index.ts'
import { type SliceOptions, slicesOf } from './slices.ts'

/** Partition 0 holds offsets 10 to 19 at as many seconds, of which those from 18 on are of an open transaction; partition 1 is empty. */
const partitions = [
  { partition: 0, startOffset: 10, endOffset: 20, lastStableOffset: 18 },
  { partition: 1, startOffset: 3, endOffset: 3, lastStableOffset: 3 },
] as PartitionInfo[]
const log = {
  topic: () => ({ partitions }) as TopicInfo,
  readMessages: async (_topic: string, { partition, fromTimeMs = 0 }: { partition?: number; fromTimeMs?: number }) => {
    const offset = Math.max(10, Math.ceil(fromTimeMs / 1_000))
    return partition === 0 && offset < 18 ? [{ offset } as BrowsedRecord] : []
  },
}
const sliceOf = async (options: SliceOptions) => {
  const { start, stop } = (await slicesOf(log, ['t'], options)).get('t')!
  return [start[0], stop[0], start[1], stop[1]]
}

test('a slice ends before an open transaction, and lies within what a partition holds', async () => {
  assert.deepEqual(await sliceOf({}), [10, 18, 3, 3])
  assert.deepEqual(await sliceOf({ newest: 3 }), [15, 18, 3, 3])
  assert.deepEqual(await sliceOf({ newest: 300 }), [10, 18, 3, 3])
  assert.deepEqual(await sliceOf({ sinceMs: 11_500, untilMs: 14_000 }), [12, 14, 3, 3])
  assert.deepEqual(await sliceOf({ sinceMs: 14_000, untilMs: 12_000 }), [12, 12, 3, 3])
  assert.deepEqual(await sliceOf({ sinceMs: 99_000 }), [18, 18, 3, 3])
  assert.deepEqual(await sliceOf({ offset: 0, endOffset: 12 }), [10, 12, 3, 3])
  assert.deepEqual(await sliceOf({ offset: 19, endOffset: 99 }), [18, 18, 3, 3])
  assert.deepEqual(await sliceOf({ partition: 1 }), [10, 10, 3, 3])
})

test('an open slice begins where it does and has no end but one that is said; of partitions that are not read nothing is', async () => {
  const max = Number.MAX_SAFE_INTEGER
  assert.deepEqual(await sliceOf({ isOpen: true, sinceMs: 12_000 }), [12, max, 3, max])
  assert.deepEqual(await sliceOf({ isOpen: true, newest: 2 }), [16, max, 3, max])
  assert.deepEqual(await sliceOf({ isOpen: true, untilMs: 14_000 }), [10, 14, 3, 3])
  assert.deepEqual(await sliceOf({ isOpen: true, offset: 11, endOffset: 13 }), [11, 13, 3, 3])
  assert.deepEqual(await sliceOf({ isOpen: true, partition: 0 }), [10, max, 3, 3])
})
