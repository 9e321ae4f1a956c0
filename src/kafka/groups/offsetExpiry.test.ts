import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { addOffsetsToTxnApi } from '../messages/addOffsetsToTxn.ts'
import { consumerGroupHeartbeatApi } from '../messages/consumerGroupHeartbeat.ts'
import { initProducerIdApi } from '../messages/initProducerId.ts'
import { joinGroupApi } from '../messages/joinGroup.ts'
import { leaveGroupApi } from '../messages/leaveGroup.ts'
import { listGroupsApi } from '../messages/listGroups.ts'
import { offsetCommitApi } from '../messages/offsetCommit.ts'
import { offsetDeleteApi } from '../messages/offsetDelete.ts'
import { offsetFetchApi } from '../messages/offsetFetch.ts'
import { syncGroupApi } from '../messages/syncGroup.ts'
import { txnOffsetCommitApi } from '../messages/txnOffsetCommit.ts'
import { startTestBroker, type TestClient } from '../testClient.ts'

const DAY_MS = 24 * 3600 * 1000

async function commit(client: TestClient, groupId: string, topics: string[], member: object = {}): Promise<void> {
  const wanted = topics.map((name) => ({ name, partitions: [{ partitionIndex: 0, committedOffset: 0 }] }))
  const who = { memberId: '', generationIdOrMemberEpoch: -1, ...member }
  const { topics: answers } = await client.call(offsetCommitApi, 8, { groupId, ...who, topics: wanted })
  for (const { partitions } of answers) assert.equal(partitions[0].errorCode, 0)
}
/** All that is known: groups with their state and the topics of their offsets. */
async function known(client: TestClient): Promise<Record<string, string>> {
  const { groups } = await client.call(listGroupsApi, 5, {})
  const entries = groups.map(async ({ groupId, groupState }) => {
    const [{ topics }] = (await client.call(offsetFetchApi, 8, { groups: [{ groupId, topics: null }] })).groups
    return [groupId, [groupState, ...topics.map(({ name }) => name).sort()].join(' ')] as const
  })
  return Object.fromEntries((await Promise.all(entries)).sort(([a], [b]) => (a < b ? -1 : 1)))
}
/** What a consumer says that it subscribes to, with nothing behind it. */
function subscription(topics: string[]): Buffer {
  const parts = topics.map((topic) => Buffer.concat([Buffer.from([0, topic.length]), Buffer.from(topic)]))
  return Buffer.concat([Buffer.from([0, 1, 0, 0, 0, topics.length]), ...parts, Buffer.from([255, 255, 255, 255, 0, 0, 0, 0])])
}
async function joinClassic(client: TestClient, groupId: string, protocolType: string, metadata: Buffer) {
  const joining = { groupId, sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 60_000, protocolType, protocols: [{ name: 'p', metadata }] }
  const { memberId, generationId } = await client.call(joinGroupApi, 3, { ...joining, memberId: '' })
  await client.call(syncGroupApi, 5, { groupId, memberId, generationId, assignments: [{ memberId, assignment: Buffer.alloc(0) }] })
  return { memberId, generationIdOrMemberEpoch: generationId }
}

test('offsets that nobody needs are forgotten after a week, and groups without members and offsets with them; a restart changes nothing', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-expiry-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  let nowMs = 1_800_000_000_000
  const checkMs = 10
  const start = () => startTestBroker(t, { folder, now: () => nowMs, limits: { offsetsRetentionCheckMs: checkMs } })
  const first = await start()
  for (const topic of ['a', 'b', 'c']) await first.log.createTopic(topic)
  const client = await first.client()
  const isKnown = async (one: TestClient, expected: object) => {
    while (!isDeepStrictEqual(await known(one), expected)) await sleep(checkMs)
    // And it stays so, with the next looks.
    await sleep(5 * checkMs)
    assert.deepEqual(await known(one), expected)
  }

  // On day 0 everybody commits.
  await commit(client, 'alone', ['a', 'b'])
  const left = await joinClassic(client, 'left', 'consumer', subscription(['a']))
  await commit(client, 'left', ['a'], left)
  const stays = await joinClassic(client, 'stays', 'consumer', subscription(['a', 'c']))
  await commit(client, 'stays', ['a', 'b'], stays)
  const worker = await joinClassic(client, 'worker', 'connect', Buffer.from('bytes of its own'))
  await commit(client, 'worker', ['a'], worker)
  const strange = await joinClassic(client, 'strange', 'consumer', Buffer.from([0]))
  await commit(client, 'strange', ['a'], strange)
  const heartbeat = async (memberEpoch: number, more: object = {}) =>
    (await client.call(consumerGroupHeartbeatApi, 1, { groupId: 'new', memberId: 'm', memberEpoch, ...more })).memberEpoch
  const memberEpoch = await heartbeat(0, { rebalanceTimeoutMs: 60_000, subscribedTopicRegex: 'a|d', topicPartitions: [] })
  await commit(client, 'new', ['a', 'b'], { memberId: 'm', generationIdOrMemberEpoch: memberEpoch })
  const transaction = {
    transactionalId: 't',
    ...(await client.call(initProducerIdApi, 4, { transactionalId: 't', transactionTimeoutMs: 900_000 })),
  }
  const open = { transactionalId: 't', producerId: transaction.producerId, producerEpoch: transaction.producerEpoch, groupId: 'open' }
  await commit(client, 'open', ['a'])
  await client.call(addOffsetsToTxnApi, 3, open)
  const inTransaction = { name: 'a', partitions: [{ partitionIndex: 0, committedOffset: 0 }] }
  await client.call(txnOffsetCommitApi, 3, { ...open, topics: [inTransaction] })
  // What an expression means counts as subscribed for an administrator too, and nobody knows what members read that are no consumers.
  const deleting = async (groupId: string, name: string) => {
    const answer = await client.call(offsetDeleteApi, 0, { groupId, topics: [{ name, partitions: [{ partitionIndex: 0 }] }] })
    return answer.errorCode || answer.topics[0].partitions[0].errorCode
  }
  const [NON_EMPTY_GROUP, GROUP_SUBSCRIBED_TO_TOPIC] = [68, 86]
  assert.deepEqual([await deleting('new', 'a'), await deleting('worker', 'a')], [GROUP_SUBSCRIBED_TO_TOPIC, NON_EMPTY_GROUP])

  nowMs += 3 * DAY_MS
  await commit(client, 'alone', ['b'])
  await client.call(leaveGroupApi, 4, { groupId: 'left', members: [{ memberId: left.memberId }] })
  nowMs += 4 * DAY_MS
  const afterWeek = {
    alone: 'Empty b',
    left: 'Empty a',
    new: 'Stable a',
    open: 'Empty a',
    stays: 'Stable a',
    strange: 'Stable a',
    worker: 'Stable a',
  }
  await isKnown(client, afterWeek)

  client.end()
  await first.kafka.close()
  await first.log.close()
  const second = await start()
  const other = await second.client()
  await isKnown(other, afterWeek)
  nowMs += 3 * DAY_MS - 1
  await isKnown(other, afterWeek)
  nowMs++
  const { alone: _, left: __, ...rest } = afterWeek
  await isKnown(other, rest)

  other.end()
  await second.kafka.close()
  await second.log.close()
  assert.deepEqual(await known(await (await start()).client()), rest)
})
