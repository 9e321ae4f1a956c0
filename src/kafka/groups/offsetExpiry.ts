// When committed offsets are forgotten, and groups with them.
//
//   the group                       its offsets expire `offsetsRetentionMs` after
//   classic, without members        its last member left, or somebody committed them since
//   classic, stable, of consumers   their commit, where no member subscribes to the topic
//   classic, otherwise              never
//   of KIP-848, or no group at all  their commit, where no member subscribes to the topic
//
// Invariants
//   1. An offset that an open transaction is about to replace, or that is being committed now, stays.
//   2. What expires is deleted by a record, as if a client had deleted it. A group without members and offsets is deleted too.
// Source: Kafka 4.3, OffsetMetadataManager.cleanupExpiredOffsets, ClassicGroup and ConsumerGroup.offsetExpirationCondition. That a commit to a
// group without members prolongs its life is our own: there an administrator's reset of the offsets may be lost within the hour.
import type { Broker } from '../broker.ts'
import { kafkaMetrics } from '../limits.ts'
import { ClassicGroup } from './classicGroup.ts'
import { CONSUMER_PROTOCOL } from './consumerProtocol.ts'
import type { Groups } from './coordinator.ts'
import type { CommittedOffset, OffsetEntry } from './offsets.ts'

/** The time from which the retention of an offset counts; undefined: it stays. */
function startMs(group: ReturnType<Groups['get']>, { commitMs }: CommittedOffset): number | undefined {
  if (!(group instanceof ClassicGroup) || group.protocolType === '') return commitMs
  if (group.isEmpty) return Math.max(group.emptySinceMs ?? 0, commitMs)
  return group.state === 'Stable' && group.protocolType === CONSUMER_PROTOCOL ? commitMs : undefined
}

/**
 * Looks once at all groups.
 *
 * @returns  how many offsets were forgotten. What could not be written is logged, and looked at again the next time.
 */
export async function expireOffsets(broker: Broker, groups: Groups): Promise<number> {
  const { offsetsRetentionMs } = broker.limits
  const nowMs = broker.now()
  let count = 0
  for (const id of groups.ids()) {
    if (groups.offsets.isCommitting(id)) continue
    const group = groups.get(id)
    const expired: OffsetEntry[] = []
    let hasOthers = groups.offsets.hasOpenTransaction(id)
    for (const { topic, partition, committed } of groups.offsets.of(id)) {
      const fromMs = startMs(group, committed)
      const isOver = fromMs !== undefined && nowMs - fromMs >= offsetsRetentionMs
      if (isOver && !groups.isSubscribed(id, topic) && !groups.offsets.isUnstable(id, topic, partition)) {
        expired.push({ topic, partition, committed: null })
      } else hasOthers = true
    }
    try {
      // Both begin in this turn: who joins or commits from now on comes behind them.
      const done = [groups.offsets.commit(id, expired)]
      if (!hasOthers && (group?.isEmpty ?? true)) done.push(groups.forget(id))
      await Promise.all(done)
      count += expired.length
      kafkaMetrics.expiredOffsets.inc(expired.length)
    } catch (error) {
      broker.logger.error({ err: error, group: id }, `expired offsets of group ${id} could not be deleted: ${(error as Error).message}`)
    }
  }
  return count
}
