// ListOffsets and OffsetForLeaderEpoch: where a partition begins and ends, and where a time is.
import type { PartitionInfo, TopicInfo } from '../../log/index.ts'
import { type Broker, handler, LEADER_EPOCH } from '../broker.ts'
import { ERROR, KafkaError } from '../errors.ts'
import { listOffsetsApi } from '../messages/listOffsets.ts'
import { offsetForLeaderEpochApi } from '../messages/offsetForLeaderEpoch.ts'
import { answerError, partitionOf } from './partitions.ts'

const READ_COMMITTED = 1
const LATEST = -1
const EARLIEST = -2
const MAX_TIMESTAMP = -3
const EARLIEST_LOCAL = -4
/** Of tiered storage, which there is none of. */
const LATEST_TIERED = -5
const EARLIEST_PENDING_UPLOAD = -6
/** The version from which a time below 0 has its meaning. */
const SINCE_VERSION: Record<number, number> = {
  [LATEST]: 1,
  [EARLIEST]: 1,
  [MAX_TIMESTAMP]: 7,
  [EARLIEST_LOCAL]: 8,
  [LATEST_TIERED]: 9,
  [EARLIEST_PENDING_UPLOAD]: 11,
}
const nothing = { offset: -1, timestamp: -1, leaderEpoch: -1 }

export const listOffsetsHandler = (broker: Broker) =>
  handler(listOffsetsApi, async ({ isolationLevel, topics }, { version, turns }) => ({
    topics: await turns.map(topics, async ({ name, partitions }) => {
      const found = broker.log.topic(name)
      return {
        name,
        partitions: await turns.all(partitions, async ({ partitionIndex, currentLeaderEpoch, timestamp }) => {
          try {
            broker.checkLeaderEpoch(currentLeaderEpoch)
            const { topic, info } = partitionOf(found, partitionIndex)
            if (timestamp < 0 && !(version >= SINCE_VERSION[timestamp]!)) {
              throw new KafkaError(ERROR.UNSUPPORTED_VERSION, `version ${version} has no time ${timestamp}`)
            }
            return { partitionIndex, ...(await offsetOf(broker, topic, info, timestamp, isolationLevel === READ_COMMITTED)) }
          } catch (error) {
            return { partitionIndex, ...nothing, ...answerError(broker, 'ListOffsets', error) }
          }
        }),
      }
    }),
  }))

async function offsetOf(broker: Broker, topic: TopicInfo, info: PartitionInfo, timestamp: number, isCommitted: boolean) {
  const at = (offset: number) => ({ offset, timestamp: -1, leaderEpoch: LEADER_EPOCH })
  const endOffset = isCommitted ? info.lastStableOffset : info.endOffset
  if (timestamp === LATEST) return at(endOffset)
  if (timestamp === EARLIEST || timestamp === EARLIEST_LOCAL) return at(info.startOffset)
  if (timestamp === LATEST_TIERED || timestamp === EARLIEST_PENDING_UPLOAD) return nothing
  const { partition, startOffset } = info
  const timeMs = timestamp === MAX_TIMESTAMP ? undefined : timestamp
  const found = await broker.readers.findTime({ descriptor: broker.descriptor(topic.name, partition), partition, startOffset, timeMs })
  const isSeen = found && (!isCommitted || found.offset < endOffset)
  return isSeen ? { offset: found.offset, timestamp: found.timestampMs, leaderEpoch: LEADER_EPOCH } : nothing
}

export const offsetForLeaderEpochHandler = (broker: Broker) =>
  handler(offsetForLeaderEpochApi, async ({ topics }, { turns }) => ({
    topics: await turns.map(topics, async ({ topic, partitions }) => {
      const found = broker.log.topic(topic)
      return {
        topic,
        partitions: await turns.map(partitions, ({ partition, currentLeaderEpoch, leaderEpoch }) => {
          try {
            broker.checkLeaderEpoch(currentLeaderEpoch)
            const { info } = partitionOf(found, partition)
            // There has been one leader epoch; of any other nothing is known.
            return leaderEpoch === LEADER_EPOCH ? { partition, leaderEpoch, endOffset: info.endOffset } : { partition }
          } catch (error) {
            return { partition, ...answerError(broker, 'OffsetForLeaderEpoch', error) }
          }
        }),
      }
    }),
  }))
