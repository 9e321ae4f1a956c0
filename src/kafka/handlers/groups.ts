// The requests of group members, and those about groups.
import { type Broker, handler } from '../broker.ts'
import { ERROR, KafkaError, kafkaCodeOf } from '../errors.ts'
import type { Assignment } from '../groups/assignors.ts'
import { refusedJoin, refusedSync } from '../groups/classicGroup.ts'
import { LEAVE_FOR_A_WHILE } from '../groups/consumerGroup.ts'
import type { Groups } from '../groups/coordinator.ts'
import { consumerGroupDescribeApi } from '../messages/consumerGroupDescribe.ts'
import { consumerGroupHeartbeatApi } from '../messages/consumerGroupHeartbeat.ts'
import { deleteGroupsApi } from '../messages/deleteGroups.ts'
import { describeGroupsApi } from '../messages/describeGroups.ts'
import { heartbeatApi } from '../messages/heartbeat.ts'
import { joinGroupApi } from '../messages/joinGroup.ts'
import { leaveGroupApi } from '../messages/leaveGroup.ts'
import { listGroupsApi } from '../messages/listGroups.ts'
import { syncGroupApi } from '../messages/syncGroup.ts'
import { answerError } from './partitions.ts'
import { groupTimes } from './resourceConfigs.ts'

const noBytes: Uint8Array = new Uint8Array(0)

export const joinGroupHandler = (broker: Broker, groups: Groups) =>
  handler(joinGroupApi, async (request, { version, clientId, clientHost, signal }) => {
    const { groupId, groupInstanceId: instanceId, memberId, sessionTimeoutMs, protocolType, protocols } = request
    // Version 0 knows one timeout for both.
    const rebalanceTimeoutMs = version === 0 ? sessionTimeoutMs : request.rebalanceTimeoutMs
    const member = { memberId, instanceId, clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs, protocolType, protocols }
    const answer = await groups
      .join(groupId, { ...member, mustKnowId: version >= 4, canSkipAssignment: version >= 9 }, signal)
      .catch((error: unknown) => refusedJoin(answerError(broker, 'JoinGroup', error).errorCode as never, memberId))
    return version < 7 ? { ...answer, protocolName: answer.protocolName ?? '' } : answer
  })

export const syncGroupHandler = (groups: Groups) =>
  handler(syncGroupApi, async (request) => {
    const { groupId, memberId, groupInstanceId, generationId, protocolType, protocolName, assignments } = request
    if (groupId === '') return refusedSync(ERROR.INVALID_GROUP_ID)
    const group = groups.classic(groupId)
    if (!group) return refusedSync(ERROR.UNKNOWN_MEMBER_ID)
    const isOther = (named: string | null, known: string) => named !== null && known !== '' && named !== known
    if (isOther(protocolType, group.protocolType) || isOther(protocolName, group.protocolName)) {
      return refusedSync(ERROR.INCONSISTENT_GROUP_PROTOCOL)
    }
    return group.sync(memberId, groupInstanceId, generationId, assignments)
  })

export const heartbeatHandler = (groups: Groups) =>
  handler(heartbeatApi, ({ groupId, memberId, groupInstanceId, generationId }) => {
    try {
      const group = groups.classic(groupId)
      if (!group) return { errorCode: groupId === '' ? ERROR.INVALID_GROUP_ID : ERROR.UNKNOWN_MEMBER_ID }
      group.heartbeat(memberId, groupInstanceId, generationId)
      return { errorCode: ERROR.NONE }
    } catch (error) {
      return { errorCode: kafkaCodeOf(error).code }
    }
  })

export const leaveGroupHandler = (groups: Groups) =>
  handler(leaveGroupApi, (request, { version }) => {
    const { groupId } = request
    if (groupId === '') return { errorCode: ERROR.INVALID_GROUP_ID }
    const group = groups.classic(groupId)
    const leave = (memberId: string, groupInstanceId: string | null) => {
      try {
        if (!group) throw new KafkaError(ERROR.UNKNOWN_MEMBER_ID, `group ${groupId} has no members`)
        group.leave(memberId, groupInstanceId)
        return { memberId, groupInstanceId, errorCode: ERROR.NONE as number }
      } catch (error) {
        return { memberId, groupInstanceId, errorCode: kafkaCodeOf(error).code as number }
      }
    }
    if (version < 3) return { errorCode: leave(request.memberId, null).errorCode }
    return { members: request.members.map(({ memberId, groupInstanceId }) => leave(memberId, groupInstanceId)) }
  })

export const describeGroupsHandler = (groups: Groups) =>
  handler(describeGroupsApi, ({ groups: wanted }, { version }) => ({
    groups: wanted.map((groupId) => {
      const group = groups.classic(groupId)
      if (!group) {
        const isKnown = !groups.consumer(groupId) && groups.hasOffsets(groupId)
        if (isKnown) return { groupId, groupState: 'Empty' }
        const errorCode = version >= 6 ? ERROR.GROUP_ID_NOT_FOUND : ERROR.NONE
        return { groupId, groupState: 'Dead', errorCode, errorMessage: errorCode ? `group ${groupId} is not a classic group here` : null }
      }
      // While it rebalances, what was chosen and assigned does not hold.
      const isStable = group.state === 'Stable'
      const members = [...group.members.values()].map(({ id, instanceId, clientId, clientHost, protocols, assignment }) => ({
        memberId: id,
        groupInstanceId: instanceId,
        clientId,
        clientHost: `/${clientHost}`,
        memberMetadata: isStable ? (protocols.find(({ name }) => name === group.protocolName)?.metadata ?? noBytes) : noBytes,
        memberAssignment: isStable ? assignment : noBytes,
      }))
      const protocolData = isStable ? group.protocolName : ''
      return { groupId, groupState: group.state, protocolType: group.protocolType, protocolData, members }
    }),
  }))

export const listGroupsHandler = (groups: Groups) =>
  handler(listGroupsApi, ({ statesFilter, typesFilter }) => {
    const isIn = (filter: readonly string[], text: string) =>
      filter.length === 0 || filter.some((one) => one.toLowerCase() === text.toLowerCase())
    return { groups: groups.list().filter(({ groupState, groupType }) => isIn(statesFilter, groupState) && isIn(typesFilter, groupType)) }
  })

export const deleteGroupsHandler = (broker: Broker, groups: Groups) =>
  handler(deleteGroupsApi, async ({ groupsNames }) => ({
    results: await Promise.all(
      groupsNames.map(async (groupId) => {
        try {
          await groups.delete(groupId)
          return { groupId }
        } catch (error) {
          return { groupId, errorCode: answerError(broker, 'DeleteGroups', error).errorCode }
        }
      }),
    ),
  }))

const partitionsOf = (assignment: Assignment) => [...assignment].map(([topicId, partitions]) => ({ topicId, partitions: [...partitions] }))

export const consumerGroupHeartbeatHandler = (broker: Broker, groups: Groups) =>
  handler(consumerGroupHeartbeatApi, async (request, { clientId, clientHost, version }) => {
    try {
      // Since version 1 the member makes its own id.
      const memberId = request.memberId === '' && version === 0 && request.memberEpoch === 0 ? crypto.randomUUID() : request.memberId
      if (memberId === '') throw new KafkaError(ERROR.INVALID_REQUEST, 'no member id')
      checkHeartbeat(request)
      const owned =
        request.topicPartitions && new Map(request.topicPartitions.map(({ topicId, partitions }) => [topicId, new Set(partitions)]))
      const { assignment, ...answer } = await groups.heartbeat(request.groupId, { ...request, memberId, clientId, clientHost, owned })
      const heartbeatIntervalMs = groupTimes(broker, request.groupId).heartbeatMs
      return { ...answer, heartbeatIntervalMs, assignment: assignment && { topicPartitions: partitionsOf(assignment) } }
    } catch (error) {
      return answerError(broker, 'ConsumerGroupHeartbeat', error)
    }
  })

/** What Kafka refuses before it looks at the group. @throws KafkaError INVALID_REQUEST */
function checkHeartbeat(request: {
  groupId: string
  memberEpoch: number
  instanceId: string | null
  rackId: string | null
  rebalanceTimeoutMs: number
  topicPartitions: unknown[] | null
}): void {
  const { memberEpoch, instanceId } = request
  const refuse = (reason: string) => new KafkaError(ERROR.INVALID_REQUEST, reason)
  if (request.groupId.trim() === '') throw refuse('no group id')
  if (instanceId?.trim() === '') throw refuse('an empty instance id')
  if (request.rackId?.trim() === '') throw refuse('an empty rack id')
  if (memberEpoch < LEAVE_FOR_A_WHILE) throw refuse(`member epoch ${memberEpoch}`)
  if (memberEpoch === LEAVE_FOR_A_WHILE && instanceId === null) throw refuse('only a static member leaves for a while')
  if (memberEpoch !== 0) return
  if (request.rebalanceTimeoutMs === -1) throw refuse('a member that joins says how long a rebalance may take')
  if (request.topicPartitions === null) throw refuse('a member that joins says that it owns nothing')
}

export const consumerGroupDescribeHandler = (broker: Broker, groups: Groups) =>
  handler(consumerGroupDescribeApi, ({ groupIds }) => {
    const named = (assignment: Assignment) => ({
      topicPartitions: partitionsOf(assignment).map((one) => ({ ...one, topicName: broker.topic(null, one.topicId)?.name ?? '' })),
    })
    return {
      groups: groupIds.map((groupId) => {
        const group = groups.consumer(groupId)
        if (!group) return { groupId, errorCode: ERROR.GROUP_ID_NOT_FOUND, errorMessage: `Group ${groupId} not found.` }
        const members = [...group.members.values()].map((member) => ({
          memberId: member.id,
          instanceId: member.instanceId,
          rackId: member.rackId,
          memberEpoch: member.epoch,
          clientId: member.clientId,
          clientHost: `/${member.clientHost}`,
          subscribedTopicNames: [...member.topicNames],
          subscribedTopicRegex: member.topicRegex,
          assignment: named(member.assigned),
          targetAssignment: named(member.target),
          memberType: 1,
        }))
        const { state: groupState, epoch: groupEpoch, assignmentEpoch, assignorName } = group
        return { groupId, groupState, groupEpoch, assignmentEpoch, assignorName, members }
      }),
    }
  })
