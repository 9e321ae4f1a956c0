// How far behind thousands of groups are costs as many looks at the log as there are places, not as there are groups.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openLog } from '../log/index.ts'
import type { ServeDeps } from './deps.ts'
import type { ConsumerGroups } from './groupsContract.ts'
import { groupsBehind, groupsOfTopic, lagsOfGroups, timeOfOffset } from './lag.ts'

const PARTITIONS = 50
const GROUPS = 400
/** Each topic's partition p has p records; group g has committed offset g % 3 of both. */
function many() {
  const looks = { topic: 0, descriptor: 0 }
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ partition, startOffset: 0, endOffset: partition }))
  const log = {
    topic: () => {
      looks.topic++
      return { partitions }
    },
    descriptor: () => {
      looks.descriptor++
      throw new Error('its files are not here')
    },
  } as unknown as ServeDeps['log']
  const offsets = (id: string) =>
    ['a', 'b'].flatMap((topic) => partitions.map(({ partition }) => ({ topic, partition, offset: Number(id) % 3 })))
  const list = () => Array.from({ length: GROUPS }, (_, i) => ({ id: String(i), state: 'Empty', memberCount: 0 }))
  return { looks, log, groups: { list, offsets } as unknown as ConsumerGroups }
}
/** Of a group that stands at an offset in every partition. */
const lagAt = (offset: number): number => Array.from({ length: PARTITIONS }, (_, end) => Math.max(0, end - offset)).reduce((a, b) => a + b)

test('thousands of offsets ask for each topic once, and for each record once', async () => {
  const { looks, log, groups } = many()
  const lags = await lagsOfGroups(log, groups, Number.POSITIVE_INFINITY)
  assert.deepEqual(
    lags.slice(0, 4),
    [0, 1, 2, 0].map((offset, id) => ({ id: String(id), lag: 2 * lagAt(offset) })),
  )
  assert.equal(looks.topic, 2)
  assert.ok(looks.descriptor <= 3 * 2 * PARTITIONS, `${looks.descriptor} records were read`)
})

test('for all topics the groups are gone through once', () => {
  const { looks, log, groups } = many()
  const behind = { groups: GROUPS, lag: lagAt(0) }
  assert.deepEqual(
    groupsBehind(log, groups),
    new Map([
      ['a', behind],
      ['b', behind],
    ]),
  )
  assert.equal(looks.topic, 2)
})

test('of one topic all groups are told, the times of as many as is bearable', async () => {
  const { looks, log, groups } = many()
  const found = await groupsOfTopic(log, groups, 'a', 3 * PARTITIONS)
  assert.equal(found.length, GROUPS)
  assert.deepEqual(
    [found[4].lag, found[4].partitions.length, found[4].partitions[7]],
    [lagAt(1), PARTITIONS, { partition: 7, offset: 1, endOffset: 7, lag: 6 }],
  )
  assert.equal(looks.topic, 1)
  assert.ok(looks.descriptor <= 3 * PARTITIONS, `${looks.descriptor} records were read`)
})

test('the oldest record has a time also behind thousands of offsets that compaction has freed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-lag-'))
  const log = await openLog({ folder, durability: 'os' })
  try {
    await log.createTopic('t', { 'cleanup.policy': 'compact', 'segment.bytes': 20_000, 'min.cleanable.dirty.ratio': 0 })
    const newestMs = Date.now()
    const key = Buffer.from('k')
    for (let i = 0; i < 30; i++)
      await log.appendRecords(
        't',
        0,
        Array.from({ length: 100 }, (_, j) => ({ key, value: Buffer.from(`${i} ${j}`), timestampMs: newestMs - 3_000 + i * 100 + j })),
      )
    await log.compact()
    const { startOffset, endOffset } = log.partition('t', 0)!
    const [first] = await log.readMessages('t', { fromOffset: 0, limit: 1 })
    assert.ok(first.offset > startOffset + 1_000, `the first record that is left has offset ${first.offset}`)
    assert.equal(await timeOfOffset(log, 't', 0, startOffset, endOffset), first.timestampMs)
  } finally {
    await log.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
