// All groups of this broker, and their offsets.
//
// Invariants
//   1. A group is of one kind while it has members: classic or of KIP-848. An empty one becomes what the next member speaks.
//   2. Offsets are durable, and so is what classic groups agreed on: after a restart their members go on without a rebalance. Members of
//      KIP-848 live in memory only: they are unknown then, join again, and go on at their committed offsets.
import { randomUUID } from 'node:crypto'
import { isStreamError } from '../../base/index.ts'
import { type Broker, OFFSETS_TOPIC } from '../broker.ts'
import { ERROR, KafkaError } from '../errors.ts'
import { groupTimes } from '../handlers/resourceConfigs.ts'
import { kafkaMetrics } from '../limits.ts'
import { ClassicGroup, type JoinAnswer, type JoinRequest, refusedJoin } from './classicGroup.ts'
import { ConsumerGroup, type HeartbeatRequest, type TopicsView } from './consumerGroup.ts'
import type { GroupRecord } from './groupRecords.ts'
import { type OffsetEntry, Offsets } from './offsets.ts'

export interface ListedGroup {
  groupId: string
  protocolType: string
  groupState: string
  groupType: 'classic' | 'consumer'
}

export class Groups {
  readonly offsets: Offsets
  private readonly broker: Broker
  private readonly groups = new Map<string, ClassicGroup | ConsumerGroup>()
  private readonly topics: TopicsView

  constructor(broker: Broker) {
    this.broker = broker
    this.offsets = new Offsets(broker.log, broker.transactions, broker.disk)
    for (const [id, saved] of this.offsets.savedGroups) this.put(this.newClassic(id, saved))
    this.offsets.savedGroups.clear()
    this.topics = {
      // Internal topics are not meant by an expression, only by their names.
      names: () =>
        broker.log
          .topics()
          .map(({ name }) => name)
          .filter((name) => !broker.isInternal(name)),
      topic: (name) => {
        const topic = name === OFFSETS_TOPIC ? undefined : broker.log.topic(name)
        return topic && { id: topic.id, partitionCount: topic.partitions.length }
      },
    }
  }

  /** The group if it is of the classic kind and in memory. */
  classic(id: string): ClassicGroup | undefined {
    const group = this.groups.get(id)
    return group instanceof ClassicGroup ? group : undefined
  }
  consumer(id: string): ConsumerGroup | undefined {
    const group = this.groups.get(id)
    return group instanceof ConsumerGroup ? group : undefined
  }
  hasOffsets(id: string): boolean {
    return !this.offsets.of(id).next().done
  }

  async join(id: string, request: JoinRequest, signal: AbortSignal): Promise<JoinAnswer> {
    const { sessionMinMs, sessionMaxMs, memberBytes } = this.broker.limits
    const refuse = (code: JoinAnswer['errorCode']) => refusedJoin(code, request.memberId)
    if (id === '') return refuse(ERROR.INVALID_GROUP_ID)
    if (request.sessionTimeoutMs < sessionMinMs || request.sessionTimeoutMs > sessionMaxMs) return refuse(ERROR.INVALID_SESSION_TIMEOUT)
    if (request.protocols.reduce((sum, { metadata }) => sum + metadata.length, 0) > memberBytes)
      return refuse(ERROR.INCONSISTENT_GROUP_PROTOCOL)
    let group = this.groups.get(id)
    if (group && !group.isEmpty && !(group instanceof ClassicGroup)) return refuse(ERROR.INCONSISTENT_GROUP_PROTOCOL)
    if (!(group instanceof ClassicGroup)) {
      if (request.memberId !== '') return refuse(ERROR.UNKNOWN_MEMBER_ID)
      group = this.put(this.newClassic(id))
    }
    return (group as ClassicGroup).join(request, signal)
  }

  heartbeat(id: string, request: HeartbeatRequest): ReturnType<ConsumerGroup['heartbeat']> {
    if (id === '') throw new KafkaError(ERROR.INVALID_REQUEST, 'no group id')
    let group = this.groups.get(id)
    if (group && !group.isEmpty && !(group instanceof ConsumerGroup)) {
      throw new KafkaError(ERROR.GROUP_ID_NOT_FOUND, `group ${id} has members of the classic protocol`)
    }
    if (!(group instanceof ConsumerGroup)) {
      if (request.memberEpoch !== 0) throw new KafkaError(ERROR.UNKNOWN_MEMBER_ID, `member ${request.memberId} is not known`)
      const { broker } = this
      const limits = {
        groupMembers: broker.limits.groupMembers,
        // As it is set now: a member's next heartbeat follows.
        get consumerSessionMs() {
          return groupTimes(broker, id).sessionMs
        },
      }
      group = this.put(new ConsumerGroup(id, limits, this.topics))
    }
    return (group as ConsumerGroup).heartbeat(request)
  }

  /** @throws KafkaError if this member may not commit now */
  checkCommit(id: string, memberId: string, instanceId: string | null, generationOrEpoch: number): void {
    if (id === '' && generationOrEpoch >= 0) throw new KafkaError(ERROR.INVALID_GROUP_ID, 'no group id')
    const group = this.groups.get(id)
    if (group instanceof ClassicGroup) group.checkCommit(memberId, instanceId, generationOrEpoch)
    else if (group) group.checkEpoch(memberId, generationOrEpoch)
    // A group that is not in memory, as after a restart: its members have to join again first.
    else if (generationOrEpoch >= 0) throw new KafkaError(ERROR.ILLEGAL_GENERATION, `group ${id} has no members`)
  }

  commit(id: string, entries: readonly OffsetEntry[]): Promise<void> {
    return this.offsets.commit(id, entries)
  }

  list(): ListedGroup[] {
    const listed = new Map<string, ListedGroup>()
    for (const groupId of this.offsets.groupIds()) {
      listed.set(groupId, { groupId, protocolType: '', groupState: 'Empty', groupType: 'classic' })
    }
    for (const [groupId, group] of this.groups) {
      const isClassic = group instanceof ClassicGroup
      const protocolType = isClassic ? group.protocolType : 'consumer'
      listed.set(groupId, { groupId, protocolType, groupState: group.state, groupType: isClassic ? 'classic' : 'consumer' })
    }
    return [...listed.values()]
  }

  /** @throws KafkaError NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND; the log's errors */
  async delete(id: string): Promise<void> {
    const group = this.groups.get(id)
    if (group && !group.isEmpty) throw new KafkaError(ERROR.NON_EMPTY_GROUP, `group ${id} has members`)
    if (!group && !this.hasOffsets(id)) throw new KafkaError(ERROR.GROUP_ID_NOT_FOUND, `group ${id} does not exist`)
    // Who joins from now on is in a group of the same name, whose records come behind these. Whatever the group is now, it may have been classic.
    this.drop(id)
    await Promise.all([this.offsets.deleteGroup(id), this.offsets.saveGroup(id, null)])
  }

  close(): void {
    for (const group of this.groups.values()) group.close()
  }

  private newClassic(id: string, saved?: GroupRecord): ClassicGroup {
    const save = async (record: GroupRecord | null): Promise<boolean> => {
      // Of a group with neither members nor offsets there is nothing to know.
      const isKnown = (record?.members.length ?? 0) > 0 || this.hasOffsets(id)
      try {
        await this.offsets.saveGroup(id, isKnown ? record : null)
        return true
      } catch (error) {
        const { logger } = this.broker
        logger.error({ err: error, group: id }, `the members of group ${id} could not be saved: ${(error as Error).message}`)
        // A group of many or large members goes on all the same: after a restart they join again, and are not taken for what they were before.
        return record !== null && isStreamError(error) && error.code === 'LOG_BATCH_TOO_LARGE' && save(null)
      }
    }
    const newId = (clientId: string) => `${clientId.slice(0, 200)}-${randomUUID()}`
    return new ClassicGroup(id, { limits: this.broker.limits, newId, save, saved })
  }

  private put<G extends ClassicGroup | ConsumerGroup>(group: G): G {
    if (this.groups.size >= this.broker.limits.groups) {
      for (const [id, known] of this.groups) if (known.isEmpty) this.drop(id)
      if (this.groups.size >= this.broker.limits.groups) {
        throw new KafkaError(ERROR.COORDINATOR_NOT_AVAILABLE, `there are ${this.groups.size} groups with members`)
      }
    }
    this.groups.get(group.id)?.close()
    this.groups.set(group.id, group)
    kafkaMetrics.groups.set(this.groups.size)
    return group
  }

  private drop(id: string): void {
    this.groups.get(id)?.close()
    this.groups.delete(id)
    kafkaMetrics.groups.set(this.groups.size)
  }
}
