// All groups of this broker, and their offsets.
//
// Invariants
//   1. A group is of one kind while it has members: classic or of KIP-848. An empty one becomes what the next member speaks.
//   2. Offsets are durable, and so is what the members of groups were told: after a restart they go on without a rebalance.
//   3. Groups without members, and what they committed, are forgotten as offsetExpiry.ts says.
import { randomUUID } from 'node:crypto'
import { isStreamError } from '../../base/index.ts'
import { type Broker, OFFSETS_TOPIC } from '../broker.ts'
import { ERROR, type ErrorCode, KafkaError } from '../errors.ts'
import { groupTimes } from '../handlers/resourceConfigs.ts'
import { kafkaMetrics } from '../limits.ts'
import { ClassicGroup, type JoinAnswer, type JoinRequest, refusedJoin } from './classicGroup.ts'
import { ConsumerGroup, type HeartbeatAnswer, type HeartbeatRequest, type TopicsView } from './consumerGroup.ts'
import { groupTombstones, recordsOf, type SavedConsumerGroup } from './consumerGroupRecords.ts'
import { ConsumerGroupSaver } from './consumerGroupSaver.ts'
import { CONSUMER_PROTOCOL } from './consumerProtocol.ts'
import { type GroupRecord, groupRecordOf } from './groupRecords.ts'
import { expireOffsets } from './offsetExpiry.ts'
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
  private readonly savers = new WeakMap<ConsumerGroup, ConsumerGroupSaver>()
  private readonly expiry: NodeJS.Timeout

  constructor(broker: Broker) {
    this.broker = broker
    this.offsets = new Offsets(broker.log, broker.transactions, broker.disk)
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
    const { savedGroups, savedConsumerGroups } = this.offsets
    for (const [id, saved] of savedGroups) this.put(this.newClassic(id, saved))
    for (const saved of savedConsumerGroups.whole()) this.put(this.newConsumer(saved.id, saved))
    savedGroups.clear()
    savedConsumerGroups.clear()
    this.expiry = setInterval(() => void this.expireOffsets(), broker.limits.offsetsRetentionCheckMs).unref()
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
  get(id: string): ClassicGroup | ConsumerGroup | undefined {
    return this.groups.get(id)
  }
  /** All groups, also those of which only offsets are known. */
  ids(): Set<string> {
    return new Set([...this.groups.keys(), ...this.offsets.groupIds()])
  }
  /** Whether a member of the group consumes the topic; also where nobody knows what consumers subscribe to. */
  isSubscribed(id: string, topic: string): boolean {
    const group = this.groups.get(id)
    if (!group) return false
    if (group instanceof ConsumerGroup) return group.isSubscribed(topic)
    return group.subscribedTopics?.has(topic) ?? group.protocolType === CONSUMER_PROTOCOL
  }
  /** See offsetExpiry.ts. */
  expireOffsets(): Promise<number> {
    return expireOffsets(this.broker, this)
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
      if (group) this.forgetLater(id)
      group = this.put(this.newClassic(id))
    }
    return (group as ClassicGroup).join(request, signal)
  }

  /** @throws KafkaError with Kafka's codes */
  async heartbeat(id: string, request: HeartbeatRequest): Promise<HeartbeatAnswer> {
    let group = this.groups.get(id)
    if (group && !group.isEmpty && !(group instanceof ConsumerGroup)) {
      throw new KafkaError(ERROR.GROUP_ID_NOT_FOUND, `group ${id} has members of the classic protocol`)
    }
    if (!(group instanceof ConsumerGroup)) {
      if (request.memberEpoch !== 0) throw new KafkaError(ERROR.UNKNOWN_MEMBER_ID, `member ${request.memberId} is not known`)
      if (group) this.forgetLater(id)
      group = this.put(this.newConsumer(id))
    }
    const consumer = group as ConsumerGroup
    const answer = consumer.heartbeat(request)
    try {
      await this.savers.get(consumer)!.settled()
    } catch (error) {
      this.unsaved(id, error)
      throw new KafkaError(ERROR.COORDINATOR_NOT_AVAILABLE, 'what the group agreed on could not be saved')
    }
    return answer
  }

  /** @throws KafkaError if this member may not commit now */
  checkCommit(id: string, memberId: string, instanceId: string | null, generationOrEpoch: number, codeOfUnknown: ErrorCode): void {
    if (id === '' && generationOrEpoch >= 0) throw new KafkaError(ERROR.INVALID_GROUP_ID, 'no group id')
    const group = this.groups.get(id)
    if (group instanceof ClassicGroup) group.checkCommit(memberId, instanceId, generationOrEpoch)
    else if (group) group.checkEpoch(memberId, generationOrEpoch)
    // A group that is not in memory, as after a restart: its members have to join again first.
    else if (generationOrEpoch >= 0) {
      throw new KafkaError(this.hasOffsets(id) ? ERROR.UNKNOWN_MEMBER_ID : codeOfUnknown, `group ${id} has no members`)
    }
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
      const protocolType = isClassic ? group.protocolType : CONSUMER_PROTOCOL
      listed.set(groupId, { groupId, protocolType, groupState: group.state, groupType: isClassic ? 'classic' : 'consumer' })
    }
    return [...listed.values()]
  }

  /** @throws KafkaError NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND; the log's errors */
  async delete(id: string): Promise<void> {
    const group = this.groups.get(id)
    if (group && !group.isEmpty) throw new KafkaError(ERROR.NON_EMPTY_GROUP, `group ${id} has members`)
    if (!group && !this.hasOffsets(id)) throw new KafkaError(ERROR.GROUP_ID_NOT_FOUND, `group ${id} does not exist`)
    await Promise.all([this.offsets.deleteGroup(id), this.forget(id)])
  }

  /** Forgets a group without members, whatever it was. Who joins from now on is in a group of the same name, whose records come behind. */
  async forget(id: string): Promise<void> {
    const nowMs = this.broker.now()
    const group = this.consumer(id)
    // Members that have just left.
    const left = group ? recordsOf(group, group.takeUnsaved(), nowMs) : []
    this.drop(id)
    await this.offsets.saveRecords([...left, groupRecordOf(id, null, nowMs), ...groupTombstones(id, nowMs)])
  }

  close(): void {
    clearInterval(this.expiry)
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
        this.unsaved(id, error)
        // A group of many or large members goes on all the same: after a restart they join again, and are not taken for what they were before.
        return record !== null && isStreamError(error) && error.code === 'LOG_BATCH_TOO_LARGE' && save(null)
      }
    }
    const newId = (clientId: string) => `${clientId.slice(0, 200)}-${randomUUID()}`
    return new ClassicGroup(id, { limits: this.broker.limits, newId, now: this.broker.now, save, saved })
  }

  private newConsumer(id: string, saved?: SavedConsumerGroup): ConsumerGroup {
    const { broker } = this
    const limits = {
      groupMembers: broker.limits.groupMembers,
      // As it is set now: a member's next heartbeat follows.
      get consumerSessionMs() {
        return groupTimes(broker, id).sessionMs
      },
    }
    // What could not be written is tried again with the next heartbeat.
    const onRemoved = () => void saver.settled()?.catch((error: unknown) => this.unsaved(id, error))
    const group = new ConsumerGroup(id, limits, this.topics, onRemoved, saved)
    const saver = new ConsumerGroupSaver(group, async (unsaved) => {
      // Another one has its name by now.
      if (this.groups.get(id) !== group) return
      const tooLarge = await this.offsets.saveRecords(recordsOf(group, unsaved, broker.now()))
      if (tooLarge.length > 0)
        broker.logger.warn({ group: id }, `members of group ${id} are too large to be saved: after a restart they join again`)
    })
    this.savers.set(group, saver)
    return group
  }

  /** What the group was before its name means one of the other kind: the newest record counts, so this only clears up. */
  private forgetLater(id: string): void {
    this.forget(id).catch((error: unknown) => this.unsaved(id, error))
  }

  private unsaved(id: string, error: unknown): void {
    this.broker.logger.error({ err: error, group: id }, `the members of group ${id} could not be saved: ${(error as Error).message}`)
  }

  private put<G extends ClassicGroup | ConsumerGroup>(group: G): G {
    if (this.groups.size >= this.broker.limits.groups) {
      for (const [id, known] of this.groups) if (known.isEmpty && (known instanceof ClassicGroup || known.isSaved)) this.drop(id)
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
