import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate as immediately, setTimeout as sleep } from 'node:timers/promises'
import { ERROR } from '../errors.ts'
import { consumerGroupDescribeApi } from '../messages/consumerGroupDescribe.ts'
import { consumerGroupHeartbeatApi } from '../messages/consumerGroupHeartbeat.ts'
import { deleteGroupsApi } from '../messages/deleteGroups.ts'
import { describeGroupsApi } from '../messages/describeGroups.ts'
import { heartbeatApi } from '../messages/heartbeat.ts'
import { joinGroupApi } from '../messages/joinGroup.ts'
import { leaveGroupApi } from '../messages/leaveGroup.ts'
import { listGroupsApi } from '../messages/listGroups.ts'
import { offsetCommitApi } from '../messages/offsetCommit.ts'
import { syncGroupApi } from '../messages/syncGroup.ts'
import { startTestBroker, type TestClient } from '../testClient.ts'
import { groupRecordOf, readGroupRecord } from './groupRecords.ts'

const protocols = ['range', 'sticky'].map((name) => ({ name, metadata: Buffer.from(`${name} of c`) }))
const joining = { groupId: 'g', sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, protocolType: 'consumer', protocols }

const enter = async (client: TestClient, more: object = {}) => {
  const first = await client.call(joinGroupApi, 9, { ...joining, memberId: '', ...more })
  if (first.errorCode !== ERROR.MEMBER_ID_REQUIRED) return first
  return client.call(joinGroupApi, 9, { ...joining, memberId: first.memberId, ...more })
}
const sync = (client: TestClient, memberId: string, generationId: number, to: Record<string, string> = {}, more: object = {}) => {
  const assignments = Object.entries(to).map(([id, text]) => ({ memberId: id, assignment: Buffer.from(text) }))
  return client.call(syncGroupApi, 5, { groupId: 'g', memberId, generationId, assignments, ...more })
}
const beat = async (client: TestClient, memberId: string, generationId: number, more: object = {}) =>
  (await client.call(heartbeatApi, 4, { groupId: 'g', memberId, generationId, ...more })).errorCode
const commit = async (client: TestClient, memberId: string, generationIdOrMemberEpoch: number, groupInstanceId: string | null = null) => {
  const topics = [{ name: 'c', partitions: [{ partitionIndex: 0, committedOffset: 0 }] }]
  const request = { groupId: 'g', memberId, generationIdOrMemberEpoch, groupInstanceId, topics }
  return (await client.call(offsetCommitApi, 8, request)).topics[0].partitions[0].errorCode
}
const describe = async (client: TestClient) => (await client.call(describeGroupsApi, 5, { groups: ['g'] })).groups[0]
const listed = async (client: TestClient) =>
  (await client.call(listGroupsApi, 5, {})).groups.map(({ groupId, groupState }) => [groupId, groupState])

/** One server after another over the same folder, ended as a kill would: nobody leaves. */
function servers(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-groups-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  let last: Awaited<ReturnType<typeof startTestBroker>> | undefined
  return async (limits: Parameters<typeof startTestBroker>[1] = {}) => {
    await last?.kafka.close()
    await last?.log.close()
    last = await startTestBroker(t, { folder, limits: { sessionMinMs: 50 }, ...limits })
    if (!last.log.topic('c')) await last.log.createTopic('c')
    return last
  }
}

test('after a restart members of a classic group go on in their generation, a static one also under a new id', async (t) => {
  const start = servers(t)
  const first = await start()
  const [a, b] = [await first.client(), await first.client()]
  const alone = await enter(a)
  const entering = enter(b, { groupInstanceId: 'i' })
  while ((await beat(a, alone.memberId, 1)) !== ERROR.REBALANCE_IN_PROGRESS);
  const [one, two] = await Promise.all([enter(a, { memberId: alone.memberId }), entering])
  assert.deepEqual([one.generationId, two.generationId, one.leader], [2, 2, one.memberId])
  const waiting = sync(b, two.memberId, 2)
  await sync(a, one.memberId, 2, { [one.memberId]: 'partition 0', [two.memberId]: 'partition 1' })
  assert.equal((await waiting).assignment.toString(), Buffer.from('partition 1').toString())
  const before = await describe(a)
  assert.deepEqual([before.groupState, before.protocolData, before.members.length], ['Stable', 'range', 2])

  const second = await start()
  const [c, d] = [await second.client(), await second.client()]
  assert.deepEqual(await describe(c), before)
  assert.deepEqual(await listed(c), [['g', 'Stable']])
  assert.equal(await beat(c, one.memberId, 2), ERROR.NONE)
  assert.equal(await commit(c, one.memberId, 2), ERROR.NONE)
  assert.equal(await commit(d, two.memberId, 2, 'i'), ERROR.NONE)
  // Whoever was in an older generation, or in none, is none of them.
  assert.equal(await commit(c, one.memberId, 1), ERROR.ILLEGAL_GENERATION)
  assert.equal(await commit(c, 'somebody', 2), ERROR.UNKNOWN_MEMBER_ID)
  const back = await enter(d, { groupInstanceId: 'i' })
  assert.deepEqual([back.errorCode, back.generationId, back.memberId === two.memberId], [ERROR.NONE, 2, false])
  assert.equal(Buffer.from((await sync(d, back.memberId, 2, {}, { groupInstanceId: 'i' })).assignment).toString(), 'partition 1')
  assert.equal(await beat(c, one.memberId, 2), ERROR.NONE)

  const third = await start()
  const e = await third.client()
  assert.equal(await beat(e, two.memberId, 2, { groupInstanceId: 'i' }), ERROR.FENCED_INSTANCE_ID)
  assert.equal(await beat(e, back.memberId, 2, { groupInstanceId: 'i' }), ERROR.NONE)
  await e.call(leaveGroupApi, 4, { groupId: 'g', members: [{ memberId: one.memberId }, { memberId: back.memberId, groupInstanceId: 'i' }] })
  while ((await describe(e)).groupState !== 'Empty') await sleep(10)

  const fourth = await start()
  const f = await fourth.client()
  assert.deepEqual(await listed(f), [['g', 'Empty']])
  assert.equal(await beat(f, one.memberId, 2), ERROR.UNKNOWN_MEMBER_ID)
  assert.equal((await f.call(deleteGroupsApi, 2, { groupsNames: ['g'] })).results[0].errorCode, ERROR.NONE)
  assert.deepEqual(await listed(await (await start()).client()), [])
})

test('a member that does not come back after a restart is given up when its session ends', async (t) => {
  const start = servers(t)
  const a = await (await start()).client()
  const one = await enter(a, { sessionTimeoutMs: 200 })
  await sync(a, one.memberId, 1, { [one.memberId]: 'all' })
  const b = await (await start()).client()
  assert.equal((await describe(b)).members.length, 1)
  while ((await describe(b)).groupState !== 'Empty') await sleep(20)
  // It had no offsets: nothing of it is left.
  assert.deepEqual(await listed(await (await start()).client()), [])
})

test('a group that was deleted does not come back, whatever it was last', async (t) => {
  const start = servers(t)
  const a = await (await start()).client()
  const one = await enter(a)
  await sync(a, one.memberId, 1, { [one.memberId]: 'all' })
  assert.equal(await commit(a, one.memberId, 1), ERROR.NONE)
  await a.call(leaveGroupApi, 4, { groupId: 'g', members: [{ memberId: one.memberId }] })
  const request = { groupId: 'g', memberId: 'm', rebalanceTimeoutMs: 1_000, subscribedTopicNames: ['c'], topicPartitions: [] }
  for (const memberEpoch of [0, -1])
    assert.equal((await a.call(consumerGroupHeartbeatApi, 1, { ...request, memberEpoch })).errorCode, ERROR.NONE)
  assert.equal((await a.call(deleteGroupsApi, 2, { groupsNames: ['g'] })).results[0].errorCode, ERROR.NONE)
  assert.deepEqual(await listed(a), [])
  assert.deepEqual(await listed(await (await start()).client()), [])
})

test('after a restart members of a KIP-848 group go on in their epoch with what they own; one that was away comes back', async (t) => {
  const start = servers(t)
  const first = await start()
  await first.log.createTopic('d', { partitionCount: 4 })
  const a = await first.client()
  const said = { groupId: 'g', rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['d'], topicPartitions: [] }
  const heartbeat = (client: TestClient, memberId: string, memberEpoch: number, more: object = {}) =>
    client.call(consumerGroupHeartbeatApi, 1, { groupId: 'g', memberId, memberEpoch, ...more })
  const [one] = [await heartbeat(a, 'one', 0, said)]
  const joined = await heartbeat(a, 'two', 0, { ...said, instanceId: 'i', rackId: 'r', serverAssignor: 'uniform' })
  assert.deepEqual([one.memberEpoch, joined.memberEpoch, joined.assignment!.topicPartitions], [1, 2, []])
  const { topicPartitions } = (await heartbeat(a, 'one', 1)).assignment!
  assert.equal(topicPartitions[0].partitions.length, 2)

  // Killed while one has to give up two: it still owns them.
  const second = await start()
  const b = await second.client()
  assert.deepEqual((await heartbeat(b, 'two', 2, { instanceId: 'i' })).assignment, null)
  const kept = await heartbeat(b, 'one', 1, { topicPartitions })
  assert.deepEqual([kept.errorCode, kept.memberEpoch], [ERROR.NONE, 2])
  const taken = (await heartbeat(b, 'two', 2, { instanceId: 'i' })).assignment!.topicPartitions
  const all = [...taken[0].partitions, ...topicPartitions[0].partitions].sort()
  assert.deepEqual(all, [0, 1, 2, 3])
  const described = async (client: TestClient) => (await client.call(consumerGroupDescribeApi, 0, { groupIds: ['g'] })).groups[0]
  const before = await described(b)
  assert.deepEqual([before.groupState, before.groupEpoch, before.members.length], ['Stable', 2, 2])

  const third = await start()
  const c = await third.client()
  assert.deepEqual(await described(c), before)
  assert.deepEqual(await listed(c), [['g', 'Stable']])
  for (const [id, instanceId] of [
    ['one', null],
    ['two', 'i'],
  ]) {
    const answer = await heartbeat(c, id!, 2, { instanceId })
    assert.deepEqual([answer.errorCode, answer.memberEpoch, answer.assignment], [ERROR.NONE, 2, null])
  }
  assert.equal(await commit(c, 'one', 2), ERROR.NONE)
  assert.equal(await commit(c, 'one', 1), ERROR.UNKNOWN_MEMBER_ID)
  assert.equal((await heartbeat(c, 'two', -2, { instanceId: 'i' })).errorCode, ERROR.NONE)

  const d = await (await start()).client()
  const back = await heartbeat(d, 'three', 0, { ...said, instanceId: 'i' })
  assert.deepEqual([back.memberEpoch, back.assignment!.topicPartitions], [2, taken])
  assert.equal((await heartbeat(d, 'one', -1)).errorCode, ERROR.NONE)
  assert.equal((await heartbeat(d, 'three', -1, { instanceId: 'i' })).errorCode, ERROR.NONE)

  const e = await (await start()).client()
  const { groupState, groupEpoch, members } = await described(e)
  assert.deepEqual([groupState, groupEpoch, members], ['Empty', 4, []])
  // Empty, it may become one of the other protocol, and is that after a restart.
  const classic = await enter(e)
  await sync(e, classic.memberId, 1, { [classic.memberId]: 'all' })
  const f = await (await start()).client()
  assert.equal(await beat(f, classic.memberId, 1), ERROR.NONE)
  await f.call(leaveGroupApi, 4, { groupId: 'g', members: [{ memberId: classic.memberId }] })
  while ((await describe(f)).groupState !== 'Empty') await sleep(10)
  assert.equal((await heartbeat(f, 'four', 0, said)).errorCode, ERROR.NONE)
  const g = await (await start()).client()
  assert.equal((await heartbeat(g, 'four', 1)).errorCode, ERROR.NONE)
  assert.deepEqual(
    (await described(g)).members.map(({ memberId }) => memberId),
    ['four'],
  )
})

test('a group too large for a record works all the same; its members join again after a restart', async (t) => {
  const start = servers(t)
  const first = await start()
  const a = await first.client()
  const one = await enter(a)
  await sync(a, one.memberId, 1, { [one.memberId]: 'all' })
  const large = { protocols: [{ name: 'range', metadata: Buffer.alloc(1_048_000) }] }
  const again = await a.call(joinGroupApi, 9, { ...joining, memberId: one.memberId, ...large })
  const synced = await sync(a, one.memberId, again.generationId, { [one.memberId]: 'x'.repeat(1_000) })
  assert.deepEqual([synced.errorCode, synced.assignment.length], [ERROR.NONE, 1_000])
  assert.equal(await beat(a, one.memberId, again.generationId), ERROR.NONE)
  assert.ok(first.lines.some((line) => line.includes('group g could not be saved')))
  assert.equal(await beat(await (await start()).client(), one.memberId, 1), ERROR.UNKNOWN_MEMBER_ID)
})

test('what comes back of a group holds nothing else in memory', () => {
  const bytes = Buffer.from('abc')
  const known = { id: 'm', instanceId: null, clientId: 'c', clientHost: '/h', rebalanceTimeoutMs: 1, sessionTimeoutMs: 1 }
  const members = [{ ...known, subscription: bytes, assignment: bytes }]
  const { key, value } = groupRecordOf('g', { protocolType: 'consumer', generation: 1, protocol: 'p', leader: 'm', stateMs: 1, members }, 1)
  const [{ subscription, assignment }] = readGroupRecord(key!, value).value!.members
  assert.deepEqual(
    [subscription, assignment].map((one) => [Buffer.from(one).toString(), one.buffer.byteLength]),
    [
      ['abc', 3],
      ['abc', 3],
    ],
  )
})

test('no session ends by a turn of ours that took longer: what its member sent meanwhile counts first', async (t) => {
  const { client, log } = await startTestBroker(t, { limits: { sessionMinMs: 50, consumerSessionMs: 300 } })
  await log.createTopic('c')
  const [a, b] = [await client(), await client()]
  const one = await enter(a, { sessionTimeoutMs: 300 })
  await sync(a, one.memberId, 1, { [one.memberId]: 'all' })
  const request = { groupId: 'h', memberId: 'm', rebalanceTimeoutMs: 1_000 }
  const joined = { ...request, memberEpoch: 0, subscribedTopicNames: ['c'], topicPartitions: [] }
  assert.equal((await b.call(consumerGroupHeartbeatApi, 1, joined)).errorCode, ERROR.NONE)
  // Where timers are what comes next.
  await immediately()
  const beats = [beat(a, one.memberId, 1), b.call(consumerGroupHeartbeatApi, 1, { ...request, memberEpoch: 1 })] as const
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
  assert.deepEqual([await beats[0], (await beats[1]).errorCode], [ERROR.NONE, ERROR.NONE])
  // Who is silent is given up all the same.
  await sleep(400)
  assert.equal(await beat(a, one.memberId, 1), ERROR.UNKNOWN_MEMBER_ID)
})
