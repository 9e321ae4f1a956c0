// What the API needs of whoever coordinates consumer groups. The Kafka port does; this folder does not know it.

export interface GroupState {
  id: string
  /** Kafka's names. */
  state: string
  type: 'classic' | 'consumer'
  protocolType: string
  memberCount: number
}
export interface GroupMemberState {
  id: string
  instanceId: string | null
  clientId: string
  host: string
  assigned: { topic: string; partition: number }[]
}
export interface GroupOffset {
  topic: string
  partition: number
  /** The next record to be read. */
  offset: number
  metadata: string
  committedMs: number
}

export interface ConsumerGroups {
  /** Where Kafka clients connect. */
  readonly port: number
  list(): GroupState[]
  members(id: string): GroupMemberState[]
  /** Committed offsets, in no order. */
  offsets(id: string): GroupOffset[]
  /**
   * Sets committed offsets, durably. A group that does not exist begins with them.
   *
   * @throws StreamError KAFKA_GROUP_ACTIVE while it has members: they would go on where they are, and commit that over it
   */
  commit(id: string, offsets: readonly { topic: string; partition: number; offset: number }[]): Promise<void>
  /** @throws StreamError KAFKA_GROUP_ACTIVE, KAFKA_GROUP_NOT_FOUND */
  delete(id: string): Promise<void>
  /** Forgets the offsets of a deleted topic in all groups. */
  forgetTopic(topic: string): Promise<void>
}
