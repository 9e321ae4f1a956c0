// OffsetCommit, OffsetFetch, OffsetDelete.
import { type Broker, handler } from '../broker.ts'
import { ERROR, KafkaError, kafkaCodeOf } from '../errors.ts'
import { ClassicGroup } from '../groups/classicGroup.ts'
import { CONSUMER_PROTOCOL } from '../groups/consumerProtocol.ts'
import type { Groups } from '../groups/coordinator.ts'
import type { OffsetEntry } from '../groups/offsets.ts'
import { offsetCommitApi } from '../messages/offsetCommit.ts'
import { offsetDeleteApi } from '../messages/offsetDelete.ts'
import { offsetFetchApi } from '../messages/offsetFetch.ts'
import { answerError, partitionOf } from './partitions.ts'

interface WantedOffsets {
  name: string
  partitions: { partitionIndex: number; committedOffset: number; committedLeaderEpoch: number; committedMetadata: string | null }[]
}

/**
 * The offsets that a request may commit, and the answer with the errors of the others.
 *
 * @param check  throws what refuses them all
 */
export function entriesOf(broker: Broker, api: string, topics: readonly WantedOffsets[], check: () => void) {
  const entries: OffsetEntry[] = []
  const commitMs = broker.now()
  const answers = topics.map(({ name, partitions }) => {
    const topic = broker.log.topic(name)
    return {
      name,
      partitions: partitions.map(({ partitionIndex, committedOffset, committedLeaderEpoch, committedMetadata }) => {
        try {
          partitionOf(topic, partitionIndex)
          check()
          const metadata = committedMetadata ?? ''
          if (Buffer.byteLength(metadata) > broker.limits.offsetMetadataBytes) {
            throw new KafkaError(ERROR.OFFSET_METADATA_TOO_LARGE, `more than ${broker.limits.offsetMetadataBytes} bytes of metadata`)
          }
          if (!Number.isSafeInteger(committedOffset)) throw new KafkaError(ERROR.OFFSET_OUT_OF_RANGE, `offset ${committedOffset}`)
          const committed = { offset: committedOffset, leaderEpoch: committedLeaderEpoch, metadata, commitMs }
          entries.push({ topic: name, partition: partitionIndex, committed })
          return { partitionIndex, errorCode: ERROR.NONE as number }
        } catch (error) {
          return { partitionIndex, errorCode: answerError(broker, api, error).errorCode }
        }
      }),
    }
  })
  return { entries, answers }
}

export const offsetCommitHandler = (broker: Broker, groups: Groups) =>
  handler(offsetCommitApi, async ({ groupId, memberId, groupInstanceId, generationIdOrMemberEpoch, topics }, { version }) => {
    const { entries, answers } = entriesOf(broker, 'OffsetCommit', topics, () => {
      try {
        const codeOfUnknown = version < 9 ? ERROR.ILLEGAL_GENERATION : ERROR.GROUP_ID_NOT_FOUND
        groups.checkCommit(groupId, memberId, groupInstanceId, generationIdOrMemberEpoch, codeOfUnknown)
      } catch (error) {
        // Only members that speak version 9 know what a stale epoch is.
        const isStale = error instanceof KafkaError && error.code === ERROR.STALE_MEMBER_EPOCH
        throw isStale && version < 9 ? new KafkaError(ERROR.UNKNOWN_MEMBER_ID, error.message) : error
      }
    })
    try {
      await groups.commit(groupId, entries)
    } catch (error) {
      answerError(broker, 'OffsetCommit', error)
      // Nothing that a client may take for good: it looks for the coordinator and tries again.
      for (const { partitions } of answers) for (const one of partitions) one.errorCode ||= ERROR.COORDINATOR_NOT_AVAILABLE
    }
    return { topics: answers }
  })

type WantedTopics = { name: string; partitionIndexes: number[] }[] | null

function offsetsOf(groups: Groups, groupId: string, wanted: WantedTopics, requireStable: boolean) {
  let asked = wanted
  if (!asked) {
    const all = new Map<string, number[]>()
    for (const { topic, partition } of groups.offsets.of(groupId)) {
      const partitions = all.get(topic)
      if (partitions) partitions.push(partition)
      else all.set(topic, [partition])
    }
    asked = [...all].map(([name, partitionIndexes]) => ({ name, partitionIndexes }))
  }
  return asked.map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map((partitionIndex) => {
      if (requireStable && groups.offsets.isUnstable(groupId, name, partitionIndex)) {
        return { partitionIndex, committedOffset: -1, metadata: '', errorCode: ERROR.UNSTABLE_OFFSET_COMMIT }
      }
      const found = groups.offsets.get(groupId, name, partitionIndex)
      const { offset = -1, leaderEpoch = -1, metadata = '' } = found ?? {}
      return { partitionIndex, committedOffset: offset, committedLeaderEpoch: leaderEpoch, metadata }
    }),
  }))
}

export const offsetFetchHandler = (groups: Groups) =>
  handler(offsetFetchApi, ({ groupId, topics, groups: wanted, requireStable }, { version }) => {
    if (version < 8) return { topics: offsetsOf(groups, groupId, topics, requireStable) }
    return {
      groups: wanted.map(({ groupId: id, memberId, memberEpoch, topics: some }) => {
        try {
          if (memberId !== null && memberEpoch >= 0) groups.consumer(id)?.checkEpoch(memberId, memberEpoch)
          return { groupId: id, topics: offsetsOf(groups, id, some, requireStable) }
        } catch (error) {
          return { groupId: id, errorCode: kafkaCodeOf(error).code }
        }
      }),
    }
  })

export const offsetDeleteHandler = (broker: Broker, groups: Groups) =>
  handler(offsetDeleteApi, async ({ groupId, topics }) => {
    const known = groups.get(groupId)
    if (!known && !groups.hasOffsets(groupId)) return { errorCode: ERROR.GROUP_ID_NOT_FOUND }
    // Nobody knows what members that are no consumers read.
    const isOther = known instanceof ClassicGroup && known.members.size > 0 && known.protocolType !== CONSUMER_PROTOCOL
    if (isOther) return { errorCode: ERROR.NON_EMPTY_GROUP }
    const entries: OffsetEntry[] = []
    const answers = topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => {
        if (groups.isSubscribed(groupId, name)) return { partitionIndex, errorCode: ERROR.GROUP_SUBSCRIBED_TO_TOPIC }
        if (!broker.log.partition(name, partitionIndex)) return { partitionIndex, errorCode: ERROR.UNKNOWN_TOPIC_OR_PARTITION }
        entries.push({ topic: name, partition: partitionIndex, committed: null })
        return { partitionIndex }
      }),
    }))
    try {
      await groups.commit(groupId, entries)
      return { topics: answers }
    } catch (error) {
      return { errorCode: answerError(broker, 'OffsetDelete', error).errorCode }
    }
  })
