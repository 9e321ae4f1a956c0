// A consumer group of the classic protocol: clients elect a leader, the leader assigns.
//
//            join             all joined, or time is over        leader has assigned
//   Empty ----------> Preparing ------------------> Completing -----------------> Stable
//     ^                  ^  ^                            |                           |
//     |  last one left   |  '---- join, leave, silent ---+---------------------------'
//     '------------------'
//
// Invariants
//   1. A join waits until every member has joined again or was given up; an answered join has the new generation.
//   2. Only the leader gets the members' metadata, and only its assignment counts.
//   3. Who is silent for its session timeout, and does not wait for an answer of ours, is removed; a static member that comes back in
//      time gets its place and assignment again without a rebalance.
//   4. Bytes of clients are copied: a view would hold the whole request.
//   5. No member gets an assignment, and no static member its new id, before the group is saved as it is with it: a group that comes back
//      after a restart is the newest one that members know, and goes on without a rebalance.
// Source: Kafka's consumer group protocol; KIP-345 for static members, KIP-394 for the id that must be known before the first join.
import { ERROR, type ErrorCode, KafkaError } from '../errors.ts'
import { CONSUMER_PROTOCOL, subscribedTopics } from './consumerProtocol.ts'
import type { GroupRecord } from './groupRecords.ts'
import { afterSilence } from './silence.ts'

export type ClassicState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

export interface JoinRequest {
  memberId: string
  instanceId: string | null
  clientId: string
  clientHost: string
  sessionTimeoutMs: number
  rebalanceTimeoutMs: number
  protocolType: string
  protocols: { name: string; metadata: Uint8Array }[]
  /** Since version 4 a new member is first told its id. */
  mustKnowId: boolean
  /** Since version 9 a leader can be told to leave the assignment as it is. */
  canSkipAssignment: boolean
}
export interface JoinAnswer {
  errorCode: ErrorCode
  generationId: number
  protocolType: string | null
  protocolName: string | null
  leader: string
  memberId: string
  skipAssignment: boolean
  members: { memberId: string; groupInstanceId: string | null; metadata: Uint8Array }[]
}
export interface SyncAnswer {
  errorCode: ErrorCode
  protocolType: string | null
  protocolName: string | null
  assignment: Uint8Array
}
export interface ClassicMember {
  id: string
  instanceId: string | null
  clientId: string
  clientHost: string
  sessionTimeoutMs: number
  rebalanceTimeoutMs: number
  protocols: { name: string; metadata: Uint8Array }[]
  assignment: Uint8Array
  /** Answers the join or sync that waits. */
  join: ((answer: JoinAnswer) => void) | undefined
  sync: ((answer: SyncAnswer) => void) | undefined
  stopSession: (() => void) | undefined
}

interface GroupLimits {
  groupMembers: number
  firstRebalanceMs: number
}
export interface GroupOptions {
  limits: GroupLimits
  newId: (clientId: string) => string
  /** Epoch ms. */
  now: () => number
  /** Makes durable what comes back after a restart; null: nothing. What failed has been told to whom it matters. @returns whether it is durable */
  save: (record: GroupRecord | null) => Promise<boolean>
  /** As it was saved. */
  saved?: GroupRecord
}
const noBytes: Uint8Array = new Uint8Array(0)

export class ClassicGroup {
  readonly id: string
  state: ClassicState = 'Empty'
  generation = 0
  protocolType = ''
  protocolName = ''
  /** Epoch ms: since when it has no members; undefined if it has some, or never had. */
  emptySinceMs: number | undefined
  readonly members = new Map<string, ClassicMember>()
  private readonly limits: GroupLimits
  private readonly newId: (clientId: string) => string
  private readonly save: GroupOptions['save']
  private readonly now: () => number
  private leader = ''
  /** Ids that were given out and not used yet. */
  private readonly pending = new Map<string, NodeJS.Timeout>()
  private readonly byInstance = new Map<string, string>()
  private timer: NodeJS.Timeout | undefined

  constructor(id: string, { limits, newId, now, save, saved }: GroupOptions) {
    this.id = id
    this.limits = limits
    this.newId = newId
    this.now = now
    this.save = save
    if (saved) this.restore(saved)
  }

  get isEmpty(): boolean {
    return this.members.size === 0 && this.pending.size === 0
  }

  /** @param signal  aborted when the connection is gone: then nobody waits any more */
  join(request: JoinRequest, signal?: AbortSignal): Promise<JoinAnswer> {
    return new Promise((resolve) => {
      const answer = (joined: JoinAnswer) => {
        signal?.removeEventListener('abort', gone)
        resolve(joined)
      }
      const gone = () => {
        for (const member of this.members.values()) {
          if (member.join !== answer) continue
          member.join = undefined
          this.touch(member)
        }
      }
      signal?.addEventListener('abort', gone)
      try {
        this.enter(request, answer)
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error
        answer(refusedJoin(error.code, request.memberId))
      }
    })
  }

  private enter(request: JoinRequest, answer: (answer: JoinAnswer) => void): void {
    const { memberId, instanceId, protocols, protocolType } = request
    if (this.members.size > 0) {
      const isKnown = protocolType === this.protocolType && protocols.some(({ name }) => this.isCommon(name, memberId))
      if (!isKnown) throw new KafkaError(ERROR.INCONSISTENT_GROUP_PROTOCOL, 'no protocol in common with the group')
    } else if (protocolType === '' || protocols.length === 0) throw new KafkaError(ERROR.INCONSISTENT_GROUP_PROTOCOL, 'no protocol')
    if (memberId !== '' && instanceId !== null) this.checkInstance(memberId, instanceId)
    const member = this.members.get(memberId)
    if (memberId === '') this.enterNew(request, answer)
    else if (member) this.enterAgain(member, request, answer)
    else if (this.stopPending(memberId)) this.add(memberId, request, answer)
    else throw new KafkaError(ERROR.UNKNOWN_MEMBER_ID, `member ${memberId} is not known`)
  }

  private enterNew(request: JoinRequest, answer: (answer: JoinAnswer) => void): void {
    const memberId = this.newId(request.instanceId ?? request.clientId)
    const former = request.instanceId === null ? undefined : this.byInstance.get(request.instanceId)
    if (former !== undefined) this.replace(this.members.get(former)!, memberId, request, answer)
    else if (!request.mustKnowId || request.instanceId !== null) this.add(memberId, request, answer)
    else {
      this.checkSize()
      const timer = setTimeout(() => this.stopPending(memberId) && this.completeIfReady(), request.sessionTimeoutMs)
      this.pending.set(memberId, timer.unref())
      answer(refusedJoin(ERROR.MEMBER_ID_REQUIRED, memberId))
    }
  }

  private enterAgain(member: ClassicMember, request: JoinRequest, answer: (answer: JoinAnswer) => void): void {
    const isSame = sameProtocols(member.protocols, request.protocols)
    this.update(member, request)
    // An answer got lost, or a member looks whether anything has changed: it gets what it would have got.
    const isStanding = isSame && (this.state === 'CompletingRebalance' || (this.state === 'Stable' && member.id !== this.leader))
    if (isStanding) {
      this.touch(member)
      answer(this.joined(member))
      return
    }
    member.join?.(refusedJoin(ERROR.REBALANCE_IN_PROGRESS, member.id))
    member.join = answer
    this.touch(member)
    this.rebalance()
  }

  /** A static member came back under a new id. */
  private replace(member: ClassicMember, memberId: string, request: JoinRequest, answer: (answer: JoinAnswer) => void): void {
    const formerId = member.id
    const wasLeader = this.leader === formerId
    const formerMetadata = this.chosenOf(member)
    member.stopSession?.()
    member.join?.(refusedJoin(ERROR.FENCED_INSTANCE_ID, formerId))
    member.sync?.(refusedSync(ERROR.FENCED_INSTANCE_ID))
    this.members.delete(formerId)
    Object.assign(member, { id: memberId, join: undefined, sync: undefined })
    this.members.set(memberId, member)
    this.byInstance.set(request.instanceId!, memberId)
    if (wasLeader) this.leader = memberId
    this.update(member, request)
    // What was chosen would be chosen again: also where nothing else is known of the member any more.
    const isSame = Buffer.compare(formerMetadata, this.chosenOf(member)) === 0 && this.vote() === this.protocolName
    if (this.state === 'Stable' && isSame && (!wasLeader || request.canSkipAssignment)) {
      this.touch(member)
      const joined = { ...this.joined(member), skipAssignment: wasLeader }
      void this.save(this.record()).then((isSaved) => answer(isSaved ? joined : refusedJoin(ERROR.COORDINATOR_NOT_AVAILABLE, '')))
      return
    }
    member.join = answer
    this.touch(member)
    this.rebalance()
  }

  private add(id: string, request: JoinRequest, answer: (answer: JoinAnswer) => void): void {
    this.checkSize()
    if (this.members.size === 0) this.protocolType = request.protocolType
    this.emptySinceMs = undefined
    const { instanceId, clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs } = request
    const waiting = { join: answer, sync: undefined, stopSession: undefined }
    const member: ClassicMember = {
      id,
      instanceId,
      clientId,
      clientHost,
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      protocols: copied(request.protocols),
      assignment: noBytes,
      ...waiting,
    }
    this.members.set(id, member)
    if (instanceId !== null) this.byInstance.set(instanceId, id)
    this.touch(member)
    this.rebalance()
  }

  sync(memberId: string, instanceId: string | null, generation: number, assignments: { memberId: string; assignment: Uint8Array }[]) {
    return new Promise<SyncAnswer>((resolve) => {
      try {
        const member = this.memberOf(memberId, instanceId, generation)
        if (this.state === 'PreparingRebalance') throw new KafkaError(ERROR.REBALANCE_IN_PROGRESS, 'the group rebalances')
        this.touch(member)
        if (this.state === 'Stable') resolve(this.synced(member))
        else {
          member.sync?.(refusedSync(ERROR.REBALANCE_IN_PROGRESS))
          member.sync = resolve
          this.touch(member)
          if (memberId === this.leader) this.assign(assignments)
        }
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error
        resolve(refusedSync(error.code))
      }
    })
  }

  /** @throws KafkaError UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS */
  heartbeat(memberId: string, instanceId: string | null, generation: number): void {
    const member = this.memberOf(memberId, instanceId, generation)
    this.touch(member)
    if (this.state === 'PreparingRebalance') throw new KafkaError(ERROR.REBALANCE_IN_PROGRESS, 'the group rebalances')
  }

  /** @throws KafkaError UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID */
  leave(memberId: string, instanceId: string | null): void {
    if (instanceId === null && this.stopPending(memberId)) {
      this.completeIfReady()
      return
    }
    // An administrator names a static member by its instance alone.
    const known = instanceId === null ? memberId : this.byInstance.get(instanceId)
    const member = known === undefined ? undefined : this.members.get(known)
    if (!member) throw new KafkaError(ERROR.UNKNOWN_MEMBER_ID, `member ${memberId} is not known`)
    if (memberId !== '' && memberId !== member.id)
      throw new KafkaError(ERROR.FENCED_INSTANCE_ID, `instance ${instanceId} is another member`)
    this.remove(member)
  }

  /** Whether a member may commit now; generation -1 without a member is a consumer that assigns itself. @throws KafkaError */
  checkCommit(memberId: string, instanceId: string | null, generation: number): void {
    if (generation < 0 && this.members.size === 0) return
    if (generation >= 0 || memberId !== '' || instanceId !== null) {
      const member = this.memberOf(memberId, instanceId, generation)
      if (this.state === 'CompletingRebalance') throw new KafkaError(ERROR.REBALANCE_IN_PROGRESS, 'the group rebalances')
      this.touch(member)
      return
    }
    throw new KafkaError(ERROR.UNKNOWN_MEMBER_ID, 'the group has members, and this is none of them')
  }

  /** Ends all timers, answers all who wait. */
  close(): void {
    clearTimeout(this.timer)
    for (const timer of this.pending.values()) clearTimeout(timer)
    for (const member of this.members.values()) {
      member.stopSession?.()
      member.join?.(refusedJoin(ERROR.COORDINATOR_NOT_AVAILABLE, member.id))
      member.sync?.(refusedSync(ERROR.COORDINATOR_NOT_AVAILABLE))
    }
    this.state = 'Dead'
  }

  private memberOf(memberId: string, instanceId: string | null, generation: number): ClassicMember {
    if (instanceId !== null) this.checkInstance(memberId, instanceId)
    const member = this.members.get(memberId)
    if (!member) throw new KafkaError(ERROR.UNKNOWN_MEMBER_ID, `member ${memberId} is not known`)
    if (generation !== this.generation) throw new KafkaError(ERROR.ILLEGAL_GENERATION, `generation ${generation}, it is ${this.generation}`)
    return member
  }

  private checkInstance(memberId: string, instanceId: string): void {
    const known = this.byInstance.get(instanceId)
    if (known === undefined) throw new KafkaError(ERROR.UNKNOWN_MEMBER_ID, `instance ${instanceId} is not known`)
    if (known !== memberId) throw new KafkaError(ERROR.FENCED_INSTANCE_ID, `instance ${instanceId} is another member`)
  }

  private checkSize(): void {
    if (this.members.size + this.pending.size < this.limits.groupMembers) return
    throw new KafkaError(ERROR.GROUP_MAX_SIZE_REACHED, `the group has ${this.limits.groupMembers} members`)
  }

  /** Whether all other members know a protocol. */
  private isCommon(name: string, memberId: string): boolean {
    for (const member of this.members.values()) {
      if (member.id !== memberId && !member.protocols.some((protocol) => protocol.name === name)) return false
    }
    return true
  }

  private update(member: ClassicMember, { sessionTimeoutMs, rebalanceTimeoutMs, protocols, clientId, clientHost }: JoinRequest): void {
    Object.assign(member, { sessionTimeoutMs, rebalanceTimeoutMs, clientId, clientHost, protocols: copied(protocols) })
  }

  /** A sign of life. Who waits for an answer of ours is not silent. */
  private touch(member: ClassicMember): void {
    member.stopSession?.()
    member.stopSession = member.join || member.sync ? undefined : afterSilence(member.sessionTimeoutMs, () => this.remove(member))
  }

  /** Whether it was pending. */
  private stopPending(memberId: string): boolean {
    clearTimeout(this.pending.get(memberId))
    return this.pending.delete(memberId)
  }

  private drop(member: ClassicMember): void {
    member.stopSession?.()
    member.join?.(refusedJoin(ERROR.UNKNOWN_MEMBER_ID, member.id))
    member.sync?.(refusedSync(ERROR.UNKNOWN_MEMBER_ID))
    this.members.delete(member.id)
    if (member.instanceId !== null) this.byInstance.delete(member.instanceId)
    if (this.leader === member.id) this.leader = ''
  }

  private remove(member: ClassicMember): void {
    if (this.members.get(member.id) !== member) return
    this.drop(member)
    if (this.state === 'PreparingRebalance') this.completeIfReady()
    else this.rebalance()
  }

  private rebalance(): void {
    if (this.state === 'PreparingRebalance') {
      this.completeIfReady()
      return
    }
    const isFirst = this.state === 'Empty'
    this.state = 'PreparingRebalance'
    for (const member of this.members.values()) {
      member.sync?.(refusedSync(ERROR.REBALANCE_IN_PROGRESS))
      member.sync = undefined
      this.touch(member)
    }
    const waitMs = Math.max(0, ...[...this.members.values()].map(({ rebalanceTimeoutMs }) => rebalanceTimeoutMs))
    const isDelayed = isFirst && this.limits.firstRebalanceMs > 0
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.complete(), isDelayed ? this.limits.firstRebalanceMs : waitMs).unref()
    if (!isDelayed) this.completeIfReady()
  }

  private completeIfReady(): void {
    if (this.state !== 'PreparingRebalance' || this.pending.size > 0) return
    for (const member of this.members.values()) if (!member.join) return
    this.complete()
  }

  private complete(): void {
    clearTimeout(this.timer)
    // Static members keep their place until their session ends.
    for (const member of [...this.members.values()]) if (!member.join && member.instanceId === null) this.drop(member)
    this.generation++
    if (this.members.size === 0) {
      this.state = 'Empty'
      this.protocolName = ''
      this.leader = ''
      this.emptySinceMs = this.now()
      void this.save(this.record())
      return
    }
    const joined = [...this.members.values()].filter((member) => member.join)
    if (joined.length === 0) {
      // Only static members that are away: nobody to lead. Whoever comes starts the next rebalance.
      this.state = 'Stable'
      return
    }
    this.state = 'CompletingRebalance'
    this.protocolName = this.vote()
    if (!joined.some(({ id }) => id === this.leader)) this.leader = joined[0].id
    for (const member of joined) {
      const { join } = member
      member.join = undefined
      member.assignment = noBytes
      this.touch(member)
      join!(this.joined(member))
    }
    const waitMs = Math.max(...joined.map(({ rebalanceTimeoutMs }) => rebalanceTimeoutMs))
    this.timer = setTimeout(() => this.giveUpSync(), waitMs).unref()
  }

  /** Who has not asked for its assignment in time is given up. */
  private giveUpSync(): void {
    if (this.state !== 'CompletingRebalance') return
    for (const member of [...this.members.values()]) if (!member.sync) this.drop(member)
    this.rebalance()
  }

  private assign(assignments: { memberId: string; assignment: Uint8Array }[]): void {
    clearTimeout(this.timer)
    for (const { memberId, assignment } of assignments) {
      const member = this.members.get(memberId)
      if (member) member.assignment = Uint8Array.from(assignment)
    }
    const { generation } = this
    void this.save(this.record()).then((isSaved) => {
      // Meanwhile somebody may have come or gone: then all have been told so.
      if (this.state !== 'CompletingRebalance' || this.generation !== generation) return
      if (isSaved) this.state = 'Stable'
      for (const member of this.members.values()) {
        const { sync } = member
        member.sync = undefined
        this.touch(member)
        sync?.(isSaved ? this.synced(member) : refusedSync(ERROR.COORDINATOR_NOT_AVAILABLE))
      }
      if (!isSaved) this.rebalance()
    })
  }

  /** What comes back after a restart. */
  private record(): GroupRecord {
    const { protocolType, protocolName, generation, leader } = this
    const members = [...this.members.values()].map((member) => ({
      ...member,
      clientHost: `/${member.clientHost}`,
      subscription: this.chosenOf(member),
    }))
    return { protocolType, generation, protocol: protocolName || null, leader: leader || null, stateMs: this.now(), members }
  }

  private restore({ protocolType, generation, protocol, leader, stateMs, members }: GroupRecord): void {
    Object.assign(this, { protocolType, generation, protocolName: protocol ?? '', leader: leader ?? '' })
    for (const { subscription, clientHost, ...known } of members) {
      const protocols = [{ name: this.protocolName, metadata: subscription }]
      const waiting = { join: undefined, sync: undefined, stopSession: undefined }
      const member: ClassicMember = { ...known, clientHost: clientHost.replace(/^\//, ''), protocols, ...waiting }
      this.members.set(member.id, member)
      if (member.instanceId !== null) this.byInstance.set(member.instanceId, member.id)
      // Its session begins anew: nobody could have shown a sign of life.
      this.touch(member)
    }
    if (members.length > 0) this.state = 'Stable'
    else this.emptySinceMs = stateMs
  }

  /** The topics that members subscribe to, as far as they are consumers and say it; undefined: nobody knows. */
  get subscribedTopics(): ReadonlySet<string> | undefined {
    if (this.members.size === 0) return new Set()
    if (this.protocolType !== CONSUMER_PROTOCOL || this.protocolName === '') return undefined
    const all = [...this.members.values()].map((member) => subscribedTopics(this.chosenOf(member)))
    return all.includes(undefined) ? undefined : new Set(all.flatMap((topics) => topics!))
  }

  /** What a member says of itself in the protocol that was chosen. */
  private chosenOf({ protocols }: ClassicMember): Uint8Array {
    return protocols.find(({ name }) => name === this.protocolName)?.metadata ?? noBytes
  }

  /** Of the protocols that all know, the one that most members like best. */
  private vote(): string {
    const members = [...this.members.values()]
    const votes = new Map<string, number>()
    for (const { id, protocols } of members) {
      const best = protocols.find(({ name }) => this.isCommon(name, id))!
      votes.set(best.name, (votes.get(best.name) ?? 0) + 1)
    }
    return [...votes].reduce((most, one) => (one[1] > most[1] ? one : most))[0]
  }

  private joined({ id }: ClassicMember): JoinAnswer {
    const { generation: generationId, protocolType, protocolName, leader } = this
    const members = id === leader ? [...this.members.values()] : []
    return {
      errorCode: ERROR.NONE,
      generationId,
      protocolType,
      protocolName,
      leader,
      memberId: id,
      skipAssignment: false,
      members: members.map((member) => ({
        memberId: member.id,
        groupInstanceId: member.instanceId,
        metadata: this.chosenOf(member),
      })),
    }
  }

  private synced({ assignment }: ClassicMember): SyncAnswer {
    return { errorCode: ERROR.NONE, protocolType: this.protocolType, protocolName: this.protocolName, assignment }
  }
}

const copied = (protocols: JoinRequest['protocols']) =>
  protocols.map(({ name, metadata }) => ({ name, metadata: Uint8Array.from(metadata) }))

const sameProtocols = (a: JoinRequest['protocols'], b: JoinRequest['protocols']): boolean =>
  a.length === b.length && a.every(({ name, metadata }, i) => name === b[i].name && Buffer.compare(metadata, b[i].metadata) === 0)

export const refusedJoin = (errorCode: ErrorCode, memberId: string): JoinAnswer => ({
  errorCode,
  generationId: -1,
  protocolType: null,
  protocolName: null,
  leader: '',
  memberId,
  skipAssignment: false,
  members: [],
})
export const refusedSync = (errorCode: ErrorCode): SyncAnswer => ({
  errorCode,
  protocolType: null,
  protocolName: null,
  assignment: noBytes,
})
