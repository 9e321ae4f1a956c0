// A consumer group of KIP-848: members say what they subscribe to and what they own, the broker assigns.
//
//   subscriptions or topics change: group epoch + 1, new target assignment
//   a member's way to it:  give up what is not its own any more --> confirm that --> take what others have given up --> stable
//
// Invariants
//   1. A partition is never assigned to a member while another one may still own it: it is free when its owner has confirmed that it is
//      not its own any more, has left, or was fenced.
//   2. A member's epoch grows to the group's only when it owns nothing that the target gives to others.
//   3. A request with an epoch that is not the member's is fenced, but for the one before it whose answer may have been lost.
//   4. Whatever changes is noted as unsaved. Nobody is told of it before it is durable (consumerGroupSaver.ts), so a group that comes back
//      after a restart is the newest one that members know, and they go on in it.
// Source: KIP-848.
import { createHash } from 'node:crypto'
import { ERROR, KafkaError } from '../errors.ts'
import { Pattern } from '../pattern.ts'
import { type Assignment, type Assignor, assignors } from './assignors.ts'
import { type MemberRecord, PART, type SavedConsumerGroup, type Unsaved } from './consumerGroupRecords.ts'
import { afterSilence } from './silence.ts'

export type ConsumerState = 'Empty' | 'Assigning' | 'Reconciling' | 'Stable'

export interface HeartbeatRequest {
  memberId: string
  memberEpoch: number
  instanceId: string | null
  rackId: string | null
  clientId: string
  clientHost: string
  /** -1: as it was. */
  rebalanceTimeoutMs: number
  /** Null: as it was. */
  subscribedTopicNames: readonly string[] | null
  subscribedTopicRegex: string | null
  serverAssignor: string | null
  owned: Assignment | null
}
/**
 * `assigned`: what it may own now; `revoking`: what it was told to give up and has not confirmed yet; `isAway`: a static member that left for a
 * while, nobody else gets what it has.
 */
export interface ConsumerMember extends MemberRecord {
  stopSession: (() => void) | undefined
  revocation: NodeJS.Timeout | undefined
}
/** The topics that there are, as far as the group needs them. */
export interface TopicsView {
  /** Those that an expression may mean. */
  names(): Iterable<string>
  topic(name: string): { id: string; partitionCount: number } | undefined
}
export interface HeartbeatAnswer {
  memberId: string
  memberEpoch: number
  assignment: Assignment | null
}
interface GroupLimits {
  groupMembers: number
  consumerSessionMs: number
}

const LEAVE = -1
export const LEAVE_FOR_A_WHILE = -2
const DEFAULT_ASSIGNOR = 'uniform'

export class ConsumerGroup {
  readonly id: string
  epoch = 0
  assignmentEpoch = 0
  readonly members = new Map<string, ConsumerMember>()
  private readonly limits: GroupLimits
  private readonly topics: TopicsView
  /** Topics and partition counts that the target was made from; undefined after a restart, when only their hash is known. */
  private seen: string | undefined = ''
  topicsHash = 0
  private unsaved: Unsaved = { epochs: false, members: new Map() }
  /** Called when a member is given up, which no request waits for. */
  private readonly onRemoved: () => void
  /** What members subscribe to by expressions, compiled once however many members say the same. */
  private readonly patterns = new Map<string, Pattern>()
  /** All that somebody subscribes to; undefined when that may have changed. */
  private subscribed: { topicNames: ReadonlySet<string>; patterns: readonly Pattern[] } | undefined

  constructor(id: string, limits: GroupLimits, topics: TopicsView, onRemoved = (): void => {}, saved?: SavedConsumerGroup) {
    this.id = id
    this.limits = limits
    this.topics = topics
    this.onRemoved = onRemoved
    if (saved) this.restore(saved)
  }

  get isEmpty(): boolean {
    return this.members.size === 0
  }
  get state(): ConsumerState {
    if (this.isEmpty) return 'Empty'
    if (this.epoch > this.assignmentEpoch) return 'Assigning'
    for (const member of this.members.values()) if (!this.isStable(member)) return 'Reconciling'
    return 'Stable'
  }
  get assignorName(): string {
    const wanted = [...this.members.values()].map(({ serverAssignor }) => serverAssignor).filter((name) => name !== null)
    // The one that most want.
    const counts = wanted.map((name) => [name, wanted.filter((other) => other === name).length] as const)
    return counts.toSorted((a, b) => b[1] - a[1])[0]?.[0] ?? DEFAULT_ASSIGNOR
  }

  /**
   * One heartbeat.
   *
   * @returns  the member, and whether its assignment has to be told
   * @throws   KafkaError with Kafka's codes
   */
  heartbeat(request: HeartbeatRequest): HeartbeatAnswer {
    const { memberEpoch } = request
    if (memberEpoch === LEAVE || memberEpoch === LEAVE_FOR_A_WHILE) return this.leave(request)
    const member = memberEpoch === 0 ? this.enter(request) : this.known(request)
    const before = [...pairs(member.assigned)].join()
    const placesBefore = placesText(member)
    const isChanged = this.update(member, request)
    this.lookAtTopics(isChanged)
    if (request.owned) this.confirm(member, request.owned)
    this.reconcile(member)
    this.touch(member)
    if (placesText(member) !== placesBefore) this.note(member, PART.owned)
    const isToTell = memberEpoch === 0 || request.owned !== null || [...pairs(member.assigned)].join() !== before
    return { memberId: member.id, memberEpoch: member.epoch, assignment: isToTell ? member.assigned : null }
  }

  /** @throws KafkaError UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH */
  checkEpoch(memberId: string, memberEpoch: number): void {
    if (memberEpoch < 0 && this.isEmpty) return
    const member = this.members.get(memberId)
    if (!member) throw new KafkaError(ERROR.UNKNOWN_MEMBER_ID, `member ${memberId} is not known`)
    if (member.epoch !== memberEpoch) throw new KafkaError(ERROR.STALE_MEMBER_EPOCH, `member epoch ${memberEpoch}, it is ${member.epoch}`)
  }

  isSubscribed(topic: string): boolean {
    for (const { topicNames, topicRegex } of this.members.values()) {
      if (topicNames.has(topic) || (topicRegex !== '' && this.patternOf(topicRegex).matches(topic))) return true
    }
    return false
  }

  /** What was noted since it was taken last, to be written as the group is now. */
  takeUnsaved(): Unsaved {
    const { unsaved } = this
    this.unsaved = { epochs: false, members: new Map() }
    return unsaved
  }
  /** It could not be written. */
  putBack({ epochs, members }: Unsaved): void {
    this.unsaved.epochs ||= epochs
    for (const [id, parts] of members) this.note({ id }, parts)
  }
  get isSaved(): boolean {
    return !this.unsaved.epochs && this.unsaved.members.size === 0
  }

  close(): void {
    for (const member of this.members.values()) {
      member.stopSession?.()
      clearTimeout(member.revocation)
    }
  }

  private enter(request: HeartbeatRequest): ConsumerMember {
    const { memberId, instanceId, rackId, clientId, clientHost, subscribedTopicNames, subscribedTopicRegex, owned } = request
    if (subscribedTopicNames === null && subscribedTopicRegex === null) throw invalid('a member that joins subscribes to something')
    if (owned !== null && owned.size > 0) throw invalid('a member that joins owns nothing')
    const known = this.members.get(memberId)
    if (known) {
      this.check(request)
      // It lost its answer, or was fenced and knows: it begins anew.
      Object.assign(known, { assigned: new Map(), revoking: new Map(), epoch: 0, previousEpoch: 0, isAway: false })
      this.note(known, PART.owned)
      return known
    }
    const former = instanceId === null ? undefined : [...this.members.values()].find((member) => member.instanceId === instanceId)
    if (former && !former.isAway)
      throw new KafkaError(ERROR.UNRELEASED_INSTANCE_ID, `instance ${instanceId} is still here as another member`)
    if (!former && this.members.size >= this.limits.groupMembers) {
      throw new KafkaError(ERROR.GROUP_MAX_SIZE_REACHED, `the group has ${this.limits.groupMembers} members`)
    }
    this.check(request)
    const member: ConsumerMember = {
      id: memberId,
      instanceId,
      rackId,
      clientId,
      clientHost,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
      topicNames: new Set(),
      topicRegex: '',
      serverAssignor: null,
      epoch: 0,
      previousEpoch: 0,
      assigned: new Map(),
      revoking: new Map(),
      target: former?.target ?? new Map(),
      isAway: false,
      stopSession: undefined,
      revocation: undefined,
    }
    if (former) {
      this.forget(former)
      // What it subscribed to stays what it was, so that its return alone changes nothing.
      Object.assign(member, { topicNames: former.topicNames, topicRegex: former.topicRegex, serverAssignor: former.serverAssignor })
    }
    this.members.set(memberId, member)
    this.note(member, PART.all)
    return member
  }

  private known(request: HeartbeatRequest): ConsumerMember {
    const { memberId, memberEpoch, instanceId, owned } = request
    const member = this.members.get(memberId)
    if (!member) throw new KafkaError(ERROR.UNKNOWN_MEMBER_ID, `member ${memberId} is not known`)
    if (instanceId !== null && member.instanceId !== instanceId)
      throw new KafkaError(ERROR.FENCED_INSTANCE_ID, `not instance ${instanceId}`)
    if (memberEpoch > member.epoch) throw fenced(memberEpoch, member.epoch)
    if (memberEpoch < member.epoch) {
      const lostAnswer = memberEpoch === member.previousEpoch && owned !== null && contains(member.assigned, owned)
      if (!lostAnswer) throw fenced(memberEpoch, member.epoch)
    }
    this.check(request)
    return member
  }

  private leave({ memberId, memberEpoch, instanceId }: HeartbeatRequest) {
    const member = this.members.get(memberId)
    if (!member) throw new KafkaError(ERROR.UNKNOWN_MEMBER_ID, `member ${memberId} is not known`)
    if (memberEpoch === LEAVE_FOR_A_WHILE && instanceId !== null && member.instanceId === instanceId) {
      member.isAway = true
      this.note(member, PART.owned)
      this.touch(member)
    } else this.remove(member)
    return { memberId, memberEpoch, assignment: null }
  }

  /**
   * Before anything changes: a member that is refused must not stay.
   *
   * @throws KafkaError UNSUPPORTED_ASSIGNOR, INVALID_REGULAR_EXPRESSION
   */
  private check({ subscribedTopicRegex, serverAssignor }: HeartbeatRequest): void {
    if (serverAssignor !== null && !Object.hasOwn(assignors, serverAssignor)) {
      throw new KafkaError(ERROR.UNSUPPORTED_ASSIGNOR, `assignor ${serverAssignor}; there are ${Object.keys(assignors).join(', ')}`)
    }
    if (subscribedTopicRegex) this.patternOf(subscribedTopicRegex)
  }

  /** Takes over what the request says. Returns whether the assignment may change. */
  private update(member: ConsumerMember, request: HeartbeatRequest): boolean {
    const { subscribedTopicNames, subscribedTopicRegex, serverAssignor } = request
    const topicNames = subscribedTopicNames === null ? member.topicNames : new Set(subscribedTopicNames)
    const topicRegex = subscribedTopicRegex ?? member.topicRegex
    const assignor = serverAssignor ?? member.serverAssignor
    const isNew = member.epoch === 0 && !this.isTargeted(member)
    const isSame = topicRegex === member.topicRegex && isSameSet(member.topicNames, topicNames)
    const isChanged = isNew || !isSame || assignor !== member.serverAssignor
    const rebalanceTimeoutMs = request.rebalanceTimeoutMs > 0 ? request.rebalanceTimeoutMs : member.rebalanceTimeoutMs
    const { clientId, clientHost } = request
    const isOther = clientId !== member.clientId || clientHost !== member.clientHost || rebalanceTimeoutMs !== member.rebalanceTimeoutMs
    if (isChanged || isOther) this.note(member, PART.member)
    Object.assign(member, { topicNames, topicRegex, serverAssignor: assignor, clientId, clientHost, rebalanceTimeoutMs })
    return isChanged
  }

  private isTargeted(member: ConsumerMember): boolean {
    return member.target.size > 0
  }

  /** With every heartbeat: topics come, grow and go without a word to the group. */
  private lookAtTopics(isChanged: boolean): void {
    const members = [...this.members.values()]
    if (isChanged || !this.subscribed) {
      const regexes = new Set(members.map(({ topicRegex }) => topicRegex).filter((text) => text !== ''))
      for (const text of this.patterns.keys()) if (!regexes.has(text)) this.patterns.delete(text)
      const topicNames = new Set(members.flatMap((member) => [...member.topicNames]))
      this.subscribed = { topicNames, patterns: [...regexes].map((text) => this.patternOf(text)) }
    }
    const partitionCounts = this.topicsOf(this.subscribed.topicNames, this.subscribed.patterns)
    const seen = [...partitionCounts].sort().join()
    if (!isChanged && seen === this.seen) return
    const isKnown = this.seen === undefined && this.assignmentEpoch === this.epoch && hashOf(seen) === this.topicsHash
    this.seen = seen
    if (!isChanged && isKnown) return
    this.topicsHash = hashOf(seen)
    this.epoch++
    this.unsaved.epochs = true
    const subscribers = members.map((member) => {
      const patterns = member.topicRegex === '' ? [] : [this.patternOf(member.topicRegex)]
      return { id: member.id, topicIds: new Set(this.topicsOf(member.topicNames, patterns).keys()), current: member.target }
    })
    const assignor: Assignor = assignors[this.assignorName]
    const targets = assignor(subscribers, partitionCounts)
    for (const member of this.members.values()) {
      const target = targets.get(member.id)!
      if (!contains(target, member.target) || !contains(member.target, target)) this.note(member, PART.target)
      member.target = target
    }
    this.assignmentEpoch = this.epoch
  }

  /** Partition counts by topic id. */
  private topicsOf(topicNames: ReadonlySet<string>, patterns: readonly Pattern[]): Map<string, number> {
    const found = new Map<string, number>()
    const add = (name: string) => {
      const topic = this.topics.topic(name)
      if (topic) found.set(topic.id, topic.partitionCount)
    }
    for (const name of topicNames) add(name)
    if (patterns.length === 0) return found
    for (const name of this.topics.names()) if (patterns.some((pattern) => pattern.matches(name))) add(name)
    return found
  }

  /** @throws KafkaError INVALID_REGULAR_EXPRESSION */
  private patternOf(text: string): Pattern {
    let pattern = this.patterns.get(text)
    if (!pattern) this.patterns.set(text, (pattern = new Pattern(text)))
    return pattern
  }

  /** The member says what it owns: what it was told to give up and does not own any more is free. */
  private confirm(member: ConsumerMember, owned: Assignment): void {
    for (const [topicId, partition] of [...pairs(member.revoking)]) {
      if (!owned.get(topicId)?.has(partition)) take(member.revoking, topicId, partition)
    }
  }

  private reconcile(member: ConsumerMember): void {
    for (const [topicId, partition] of [...pairs(member.assigned)]) {
      if (member.target.get(topicId)?.has(partition)) continue
      take(member.assigned, topicId, partition)
      give(member.revoking, topicId, partition)
    }
    if (member.revoking.size > 0) {
      this.awaitRevocation(member)
      return
    }
    clearTimeout(member.revocation)
    member.revocation = undefined
    for (const [topicId, partition] of pairs(member.target)) {
      if (member.assigned.get(topicId)?.has(partition) || this.isTaken(topicId, partition, member)) continue
      give(member.assigned, topicId, partition)
    }
    if (member.epoch === this.assignmentEpoch) return
    member.previousEpoch = member.epoch
    member.epoch = this.assignmentEpoch
  }

  private awaitRevocation(member: ConsumerMember): void {
    member.revocation ??= setTimeout(() => this.giveUp(member), Math.max(1, member.rebalanceTimeoutMs)).unref()
  }

  private isTaken(topicId: string, partition: number, member: ConsumerMember): boolean {
    for (const other of this.members.values()) {
      if (other === member) continue
      if (other.assigned.get(topicId)?.has(partition) || other.revoking.get(topicId)?.has(partition)) return true
    }
    return false
  }

  private isStable(member: ConsumerMember): boolean {
    return member.epoch === this.assignmentEpoch && member.revoking.size === 0 && contains(member.assigned, member.target)
  }

  private touch(member: ConsumerMember): void {
    member.stopSession?.()
    member.stopSession = afterSilence(this.limits.consumerSessionMs, () => this.giveUp(member))
  }

  private forget(member: ConsumerMember): void {
    member.stopSession?.()
    clearTimeout(member.revocation)
    this.members.delete(member.id)
    this.note(member, PART.all)
  }

  private giveUp(member: ConsumerMember): void {
    this.remove(member)
    this.onRemoved()
  }

  private remove(member: ConsumerMember): void {
    if (this.members.get(member.id) !== member) return
    this.forget(member)
    this.lookAtTopics(true)
  }

  private note({ id }: { id: string }, parts: number): void {
    this.unsaved.members.set(id, (this.unsaved.members.get(id) ?? 0) | parts)
  }

  private restore({ epoch, assignmentEpoch, topicsHash, members }: SavedConsumerGroup): void {
    Object.assign(this, { epoch, assignmentEpoch, topicsHash, seen: undefined })
    for (const saved of members) {
      const member: ConsumerMember = { ...saved, stopSession: undefined, revocation: undefined }
      this.members.set(member.id, member)
      // Its time begins anew: nobody could have shown a sign of life.
      this.touch(member)
      if (member.revoking.size > 0) this.awaitRevocation(member)
    }
  }
}

/** All of a member that its heartbeats change. */
const placesText = ({ epoch, previousEpoch, assigned, revoking }: ConsumerMember): string =>
  `${epoch} ${previousEpoch} ${[...pairs(assigned)].join()} ${[...pairs(revoking)].join()}`
/** Of 48 bits, which a number holds exactly. */
const hashOf = (text: string): number => createHash('sha256').update(text).digest().readUIntBE(0, 6)

function* pairs(assignment: Assignment): Generator<[topicId: string, partition: number]> {
  for (const [topicId, partitions] of assignment) for (const partition of partitions) yield [topicId, partition]
}
function give(assignment: Assignment, topicId: string, partition: number): void {
  const partitions = assignment.get(topicId)
  if (partitions) partitions.add(partition)
  else assignment.set(topicId, new Set([partition]))
}
function take(assignment: Assignment, topicId: string, partition: number): void {
  const partitions = assignment.get(topicId)
  partitions?.delete(partition)
  if (partitions?.size === 0) assignment.delete(topicId)
}
const contains = (whole: Assignment, part: Assignment): boolean => {
  for (const [topicId, partition] of pairs(part)) if (!whole.get(topicId)?.has(partition)) return false
  return true
}

const invalid = (message: string) => new KafkaError(ERROR.INVALID_REQUEST, message)
const fenced = (epoch: number, known: number) => new KafkaError(ERROR.FENCED_MEMBER_EPOCH, `member epoch ${epoch}, it is ${known}`)

const isSameSet = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  a === b || (a.size === b.size && [...a].every((one) => b.has(one)))
