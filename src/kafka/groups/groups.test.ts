import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openLog, openTransactions } from '../../log/index.ts'
import { ERROR } from '../errors.ts'
import { consumerGroupHeartbeatApi } from '../messages/consumerGroupHeartbeat.ts'
import { deleteGroupsApi } from '../messages/deleteGroups.ts'
import { describeGroupsApi } from '../messages/describeGroups.ts'
import { heartbeatApi } from '../messages/heartbeat.ts'
import { joinGroupApi } from '../messages/joinGroup.ts'
import { leaveGroupApi } from '../messages/leaveGroup.ts'
import { listGroupsApi } from '../messages/listGroups.ts'
import { offsetCommitApi } from '../messages/offsetCommit.ts'
import { offsetDeleteApi } from '../messages/offsetDelete.ts'
import { offsetFetchApi } from '../messages/offsetFetch.ts'
import { syncGroupApi } from '../messages/syncGroup.ts'
import { startTestBroker, type TestClient } from '../testClient.ts'
import { Offsets } from './offsets.ts'

const quick = { limits: { sessionMinMs: 50 } }
const protocols = [{ name: 'range', metadata: Buffer.from('subscription') }]
const joining = { groupId: 'g', sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, protocolType: 'consumer', protocols }

/** A member that has joined, with the id that it was given. */
async function enter(client: TestClient, more: object = {}) {
  const first = await client.call(joinGroupApi, 9, { ...joining, memberId: '', ...more })
  if (first.errorCode !== ERROR.MEMBER_ID_REQUIRED) return first
  return client.call(joinGroupApi, 9, { ...joining, memberId: first.memberId, ...more })
}
const sync = (client: TestClient, memberId: string, generationId: number, to: Record<string, string> = {}, more: object = {}) =>
  client.call(syncGroupApi, 5, {
    groupId: 'g',
    memberId,
    generationId,
    assignments: Object.entries(to).map(([id, text]) => ({ memberId: id, assignment: Buffer.from(text) })),
    ...more,
  })
const beat = async (client: TestClient, memberId: string, generationId: number) =>
  (await client.call(heartbeatApi, 4, { groupId: 'g', memberId, generationId })).errorCode
const commit = async (client: TestClient, committedOffset: number, more: object = {}, topic = 'c', version = 8) => {
  const topics = [{ name: topic, partitions: [{ partitionIndex: 0, committedOffset, committedMetadata: 'm' }] }]
  return (await client.call(offsetCommitApi, version, { groupId: 'g', memberId: '', topics, ...more })).topics[0].partitions[0].errorCode
}
const fetched = async (client: TestClient, topic = 'c') => {
  const { groups } = await client.call(offsetFetchApi, 9, { groups: [{ groupId: 'g', topics: [{ name: topic, partitionIndexes: [0] }] }] })
  return groups[0].topics[0].partitions[0].committedOffset
}
async function three(t: TestContext, options: Parameters<typeof startTestBroker>[1] = quick) {
  const broker = await startTestBroker(t, options)
  await broker.log.createTopic('c')
  return { ...broker, clients: [await broker.client(), await broker.client(), await broker.client()] }
}

test('two members: the second joining makes the first join again, the leader assigns, leaving rebalances', async (t) => {
  const { clients } = await three(t)
  const [one, two, other] = clients
  const alone = await enter(one)
  assert.deepEqual([alone.errorCode, alone.generationId, alone.leader, alone.members.length], [0, 1, alone.memberId, 1])
  assert.equal(String((await sync(one, alone.memberId, 1, { [alone.memberId]: 'all' })).assignment), 'all')
  const joined = enter(two)
  while ((await beat(one, alone.memberId, 1)) !== ERROR.REBALANCE_IN_PROGRESS) await sleep(5)
  const again = await one.call(joinGroupApi, 9, { ...joining, memberId: alone.memberId })
  const second = await joined
  assert.deepEqual([again.generationId, second.generationId, again.members.length, second.members.length], [2, 2, 2, 0])
  assert.equal(await beat(one, alone.memberId, 1), ERROR.ILLEGAL_GENERATION)
  const follower = sync(two, second.memberId, 2)
  await sync(one, alone.memberId, 2, { [alone.memberId]: 'half', [second.memberId]: 'rest' })
  assert.equal(String((await follower).assignment), 'rest')
  const described = await other.call(describeGroupsApi, 6, { groups: ['g', 'nope'] })
  assert.deepEqual(
    described.groups.map(({ groupState, errorCode, members }) => [groupState, errorCode, members.length]),
    [
      ['Stable', 0, 2],
      ['Dead', ERROR.GROUP_ID_NOT_FOUND, 0],
    ],
  )
  assert.equal(await commit(two, 5, { memberId: second.memberId, generationIdOrMemberEpoch: 2 }), 0)
  assert.equal(await commit(two, 6, { memberId: second.memberId, generationIdOrMemberEpoch: 1 }), ERROR.ILLEGAL_GENERATION)
  assert.equal(await commit(two, 6, { memberId: 'who', generationIdOrMemberEpoch: 2 }), ERROR.UNKNOWN_MEMBER_ID)
  assert.equal(await commit(other, 6), ERROR.UNKNOWN_MEMBER_ID)
  const left = await one.call(leaveGroupApi, 5, { groupId: 'g', members: [{ memberId: alone.memberId }] })
  assert.equal(left.members[0].errorCode, 0)
  assert.equal(await beat(two, second.memberId, 2), ERROR.REBALANCE_IN_PROGRESS)
  const last = await two.call(joinGroupApi, 9, { ...joining, memberId: second.memberId })
  assert.deepEqual([last.generationId, last.leader], [3, second.memberId])
  assert.equal((await other.call(deleteGroupsApi, 2, { groupsNames: ['g'] })).results[0].errorCode, ERROR.NON_EMPTY_GROUP)
  const strange = await other.call(joinGroupApi, 9, { ...joining, memberId: '', protocols: [{ name: 'other', metadata: Buffer.alloc(0) }] })
  assert.equal(strange.errorCode, ERROR.INCONSISTENT_GROUP_PROTOCOL)
})

test('a silent member is removed, one that does not join again too, and a lost connection counts as silence', async (t) => {
  const { clients } = await three(t)
  const [one, two, three3] = clients
  const silent = await enter(one, { sessionTimeoutMs: 100, rebalanceTimeoutMs: 100 })
  await sync(one, silent.memberId, 1, {})
  await sleep(150)
  assert.equal(await beat(one, silent.memberId, 1), ERROR.UNKNOWN_MEMBER_ID)
  const stays = await enter(two, { sessionTimeoutMs: 5_000, rebalanceTimeoutMs: 200 })
  await sync(two, stays.memberId, stays.generationId, {})
  // It waits for the member that does not come, until the time for a rebalance is over.
  const startMs = performance.now()
  const comes = await enter(three3, { rebalanceTimeoutMs: 200 })
  assert.ok(performance.now() - startMs >= 150)
  assert.deepEqual([comes.errorCode, comes.members.length], [0, 1])
  assert.equal(await beat(two, stays.memberId, stays.generationId), ERROR.UNKNOWN_MEMBER_ID)
})

test('a static member comes back to its assignment without a rebalance, and fences its former self', async (t) => {
  const { clients } = await three(t)
  const [one, two, three3] = clients
  const first = await enter(one, { groupInstanceId: 'i1' })
  await sync(one, first.memberId, 1, { [first.memberId]: 'mine' }, { groupInstanceId: 'i1' })
  const back = await enter(two, { groupInstanceId: 'i1' })
  assert.deepEqual([back.errorCode, back.generationId, back.skipAssignment], [0, 1, true])
  assert.notEqual(back.memberId, first.memberId)
  assert.equal(String((await sync(two, back.memberId, 1)).assignment), 'mine')
  const { errorCode } = await one.call(heartbeatApi, 4, { groupId: 'g', memberId: first.memberId, generationId: 1, groupInstanceId: 'i1' })
  assert.equal(errorCode, ERROR.FENCED_INSTANCE_ID)
  const removed = await three3.call(leaveGroupApi, 5, { groupId: 'g', members: [{ memberId: '', groupInstanceId: 'i1' }] })
  assert.equal(removed.members[0].errorCode, 0)
})

test('committed offsets survive a restart; groups and single offsets can be deleted, and a deleted topic is forgotten', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  await t.test('commit', async (inner) => {
    const { log, clients } = await three(inner, { folder })
    await log.createTopic('d')
    for (const [topic, offset] of [
      ['c', 3],
      ['d', 4],
      ['c', 7],
    ] as const) {
      assert.equal(await commit(clients[0], offset, {}, topic), 0)
    }
    assert.equal(await commit(clients[0], 1, {}, 'nope'), ERROR.UNKNOWN_TOPIC_OR_PARTITION)
    assert.deepEqual([await fetched(clients[0]), await fetched(clients[0], 'nope')], [7, -1])
  })
  await t.test('after a restart', async (inner) => {
    const { client, log } = await startTestBroker(inner, { folder })
    const one = await client()
    assert.deepEqual([await fetched(one), await fetched(one, 'd')], [7, 4])
    const listed = await one.call(listGroupsApi, 5, {})
    assert.deepEqual(
      listed.groups.map(({ groupId, groupState, groupType }) => [groupId, groupState, groupType]),
      [['g', 'Empty', 'classic']],
    )
    // As Kafka: of a group of offsets alone nobody is a member; of one that is not there a version knows that, or only that it is not so now.
    const before = { memberId: 'from before', generationIdOrMemberEpoch: 4 }
    assert.equal(await commit(one, 9, before), ERROR.UNKNOWN_MEMBER_ID)
    assert.equal(await commit(one, 9, { ...before, groupId: 'none' }), ERROR.ILLEGAL_GENERATION)
    assert.equal(await commit(one, 9, { ...before, groupId: 'none' }, 'c', 9), ERROR.GROUP_ID_NOT_FOUND)
    const partitions = [{ partitionIndex: 0 }, { partitionIndex: 9 }]
    const deleted = await one.call(offsetDeleteApi, 0, { groupId: 'g', topics: ['d', 'nope'].map((name) => ({ name, partitions })) })
    assert.equal(deleted.errorCode, 0)
    assert.deepEqual(
      deleted.topics.flatMap((topic) => topic.partitions.map(({ errorCode }) => errorCode)),
      [0, ERROR.UNKNOWN_TOPIC_OR_PARTITION, ERROR.UNKNOWN_TOPIC_OR_PARTITION, ERROR.UNKNOWN_TOPIC_OR_PARTITION],
    )
    assert.deepEqual([await fetched(one), await fetched(one, 'd')], [7, -1])
    assert.ok(log.topic('__consumer_offsets'))
    const gone = await one.call(deleteGroupsApi, 2, { groupsNames: ['g', 'nope'] })
    assert.deepEqual(
      gone.results.map(({ errorCode }) => errorCode),
      [0, ERROR.GROUP_ID_NOT_FOUND],
    )
  })
  await t.test('after another', async (inner) => {
    const { client } = await startTestBroker(inner, { folder })
    assert.equal(await fetched(await client()), -1)
  })
})

test('the topic of offsets is compacted, and then says the same', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-'))
  t.after(() => rmSync(folder, { recursive: true }))
  let log = await openLog({ folder, durability: 'os' })
  const offsets = new Offsets(log, openTransactions(log))
  const committed = (offset: number) => ({ offset, leaderEpoch: 0, metadata: '', commitMs: 1 })
  for (let round = 0; round < 150; round++) {
    const entries = Array.from({ length: 1_000 }, (_, partition) => ({
      topic: 't',
      partition,
      committed: committed(round * 10 + partition),
    }))
    await offsets.commit('g', entries)
  }
  const sizeBytes = () => log.topic('__consumer_offsets')!.partitions[0].sizeBytes
  const beforeBytes = sizeBytes()
  assert.ok((await log.compact()) > 0)
  assert.ok(sizeBytes() < beforeBytes / 2, `${beforeBytes} to ${sizeBytes()}`)
  await log.close()
  log = await openLog({ folder, durability: 'os' })
  const again = new Offsets(log, openTransactions(log))
  assert.equal(again.get('g', 't', 7)?.offset, 1_497)
  assert.equal([...again.of('g')].length, 1_000)
  await log.close()
})

test('a KIP-848 member over the wire: joins, is assigned, leaves; the other protocol is refused meanwhile', async (t) => {
  const { log, clients } = await three(t)
  const [one, two] = clients
  const request = { groupId: 'g', memberId: 'm1', rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['c'], topicPartitions: [] }
  for (const wrong of [
    { groupId: ' ' },
    { rebalanceTimeoutMs: -1 },
    { topicPartitions: null },
    { instanceId: '' },
    { rackId: '' },
    { memberEpoch: -3 },
    { memberEpoch: -2 },
  ]) {
    const { errorCode } = await one.call(consumerGroupHeartbeatApi, 1, { ...request, memberEpoch: 0, ...wrong })
    assert.equal(errorCode, ERROR.INVALID_REQUEST, JSON.stringify(wrong))
  }
  const joined = await one.call(consumerGroupHeartbeatApi, 1, { ...request, memberEpoch: 0 })
  assert.deepEqual([joined.errorCode, joined.memberEpoch, joined.heartbeatIntervalMs], [0, 1, 5_000])
  assert.deepEqual(joined.assignment!.topicPartitions, [{ topicId: log.topic('c')!.id, partitions: [0] }])
  const quiet = await one.call(consumerGroupHeartbeatApi, 1, { groupId: 'g', memberId: 'm1', memberEpoch: 1 })
  assert.deepEqual([quiet.errorCode, quiet.assignment], [0, null])
  assert.equal((await enter(two)).errorCode, ERROR.INCONSISTENT_GROUP_PROTOCOL)
  assert.equal(await commit(one, 2, { memberId: 'm1', generationIdOrMemberEpoch: 1 }), 0)
  assert.equal(await commit(one, 2, { memberId: 'm1', generationIdOrMemberEpoch: 2 }), ERROR.UNKNOWN_MEMBER_ID)
  const left = await one.call(consumerGroupHeartbeatApi, 1, { groupId: 'g', memberId: 'm1', memberEpoch: -1 })
  assert.deepEqual([left.errorCode, left.memberEpoch], [0, -1])
  assert.equal((await enter(two)).errorCode, 0)
  const refused = await one.call(consumerGroupHeartbeatApi, 1, { ...request, memberEpoch: 0 })
  assert.equal(refused.errorCode, ERROR.GROUP_ID_NOT_FOUND)
})
