// Consumer groups for people: what the HTTP API shows and changes, without the protocol's messages.
//
// Invariant: what a person changes of a group is refused while it has members, as Kafka's own tools refuse it.
import { type Broker, LEADER_EPOCH } from '../broker.ts'
import { kafkaErrors } from '../errors.ts'
import { assignedPartitions, CONSUMER_PROTOCOL } from './consumerProtocol.ts'
import type { Groups } from './coordinator.ts'

export interface GroupPlace {
  topic: string
  partition: number
}

/** Entries of offsets and members in a page: what the thread that keeps them tells in one go. */
const PAGE_ENTRIES = 2_000

export type GroupSummary = ReturnType<GroupAdmin['list']>[number]
export interface GroupLook extends GroupSummary {
  members: ReturnType<GroupAdmin['members']>
  offsets: ReturnType<GroupAdmin['offsets']>
}
/** What people ask and change, wherever the groups are. */
export type GroupsForPeople = Pick<GroupAdmin, 'port' | 'list' | 'members' | 'offsets' | 'commit' | 'delete' | 'forgetTopic'>

export class GroupAdmin {
  /** Where Kafka clients connect. */
  readonly port: number
  private readonly broker: Broker
  private readonly groups: Groups

  constructor(broker: Broker, groups: Groups, port: number) {
    this.broker = broker
    this.groups = groups
    this.port = port
  }

  list() {
    return this.groups.list().map(({ groupId: id, groupState: state, groupType: type, protocolType }) => {
      const memberCount = this.groups.classic(id)?.members.size ?? this.groups.consumer(id)?.members.size ?? 0
      return { id, state, type, protocolType, memberCount }
    })
  }

  /** Some of all groups, by name, from the first behind a name on; `next` is what the next page is behind. Groups may come and go meanwhile. */
  page(after?: string): { groups: GroupLook[]; next: string | undefined } {
    const groups: GroupLook[] = []
    const all = this.list()
      .filter(({ id }) => after === undefined || id > after)
      .sort((a, b) => (a.id < b.id ? -1 : 1))
    let entries = 0
    for (const summary of all) {
      if (entries >= PAGE_ENTRIES) return { groups, next: groups.at(-1)?.id }
      const group = { ...summary, members: this.members(summary.id), offsets: this.offsets(summary.id) }
      groups.push(group)
      entries += group.offsets.length + group.members.length + 1
    }
    return { groups, next: undefined }
  }

  members(id: string) {
    const classic = this.groups.classic(id)
    if (classic) {
      return [...classic.members.values()].map(({ id: memberId, instanceId, clientId, clientHost, assignment }) => {
        // While it rebalances, what was assigned does not hold.
        const assigned = classic.state === 'Stable' && classic.protocolType === CONSUMER_PROTOCOL ? assignedPartitions(assignment) : []
        return { id: memberId, instanceId, clientId, host: clientHost, assigned }
      })
    }
    return [...(this.groups.consumer(id)?.members.values() ?? [])].map(({ id: memberId, instanceId, clientId, clientHost, assigned }) => ({
      id: memberId,
      instanceId,
      clientId,
      host: clientHost,
      assigned: [...assigned].flatMap(([topicId, partitions]) => {
        const topic = this.broker.topic(null, topicId)?.name
        return topic === undefined ? [] : [...partitions].map((partition) => ({ topic, partition }))
      }),
    }))
  }

  offsets(id: string) {
    return [...this.groups.offsets.of(id)].map(({ topic, partition, committed: { offset, metadata, commitMs } }) => ({
      topic,
      partition,
      offset,
      metadata,
      committedMs: commitMs,
    }))
  }

  /** @throws StreamError KAFKA_GROUP_ACTIVE; the log's errors */
  async commit(id: string, offsets: readonly (GroupPlace & { offset: number })[]): Promise<void> {
    this.refuseActive(id)
    const committed = { leaderEpoch: LEADER_EPOCH, metadata: '', commitMs: this.broker.now() }
    await this.groups.commit(
      id,
      offsets.map(({ topic, partition, offset }) => ({ topic, partition, committed: { ...committed, offset } })),
    )
  }

  /** @throws StreamError KAFKA_GROUP_ACTIVE, KAFKA_GROUP_NOT_FOUND; the log's errors */
  async delete(id: string): Promise<void> {
    this.refuseActive(id)
    if (!this.list().some((group) => group.id === id)) throw kafkaErrors('KAFKA_GROUP_NOT_FOUND', { group: id })
    await this.groups.delete(id)
  }

  forgetTopic(topic: string): Promise<void> {
    return this.groups.offsets.deleteTopic(topic)
  }

  private refuseActive(id: string): void {
    const memberCount = this.list().find((group) => group.id === id)?.memberCount ?? 0
    if (memberCount > 0) throw kafkaErrors('KAFKA_GROUP_ACTIVE', { group: id, memberCount })
  }
}
