// What `__consumer_offsets` keeps of a group of KIP-848 beside its offsets: its epochs, and of each member what it subscribes to, its target
// and what it owns, in Kafka's own format, as `kafka-dump-log --offsets-decoder` reads them.
//
// Invariants
//   1. Of the records of a change the group's epoch is the first and the epoch of its assignment the last: where a crash lets only some
//      through, the two differ, and the target is made again.
//   2. A member comes back only if what it subscribes to and what it owns are both there: else it was never told anything.
// Source: Kafka 4.3's coordinator records 3 and 5 to 8. The hash of the topics is our own, and is compared with itself only.
import type { RecordInput } from '../../log/index.ts'
import {
  array,
  type Codec,
  codecs,
  type Decoded,
  decodeMessage,
  encodeMessage,
  int8,
  int16,
  int32,
  int64,
  string,
  uuid,
} from '../schema.ts'
import type { Assignment } from './assignors.ts'

const KEY = { group: 3, member: 5, targetEpoch: 6, target: 7, owned: 8 } as const
const inflexible = Number.POSITIVE_INFINITY
const groupKey = codecs({ version: int16(), group: string() }, inflexible)(0)
const memberKey = codecs({ version: int16(), group: string(), member: string() }, inflexible)(0)

const places = array('0+', { topicId: uuid(), partitions: array('0+', int32()) })
const groupFields = { version: int16(), epoch: int32(), topicsHash: int64('0+', { tag: 0 }) }
const memberFields = {
  version: int16(),
  instanceId: string('0+', { nullable: '0+' }),
  rackId: string('0+', { nullable: '0+' }),
  clientId: string(),
  clientHost: string(),
  topicNames: array('0+', string()),
  topicRegex: string('0+', { nullable: '0+' }),
  rebalanceTimeoutMs: int32(),
  serverAssignor: string('0+', { nullable: '0+' }),
}
const ownedFields = { version: int16(), epoch: int32(), previousEpoch: int32(), state: int8(), assigned: places, revoking: places }
const groupValue = codecs(groupFields, 0)(0)
const targetEpochValue = codecs({ version: int16(), epoch: int32() }, 0)(0)
const memberValue = codecs(memberFields, 0)(0)
const targetValue = codecs({ version: int16(), target: places }, 0)(0)
const ownedValue = codecs(ownedFields, 0)(0)

/** Kafka's MemberState. */
const STATE = { stable: 0, unrevoked: 1, unreleased: 2 } as const
/** The epoch of a static member that left for a while. */
const AWAY = -2

/** A member as it is written and comes back. */
export interface MemberRecord {
  id: string
  instanceId: string | null
  rackId: string | null
  clientId: string
  clientHost: string
  topicNames: ReadonlySet<string>
  topicRegex: string
  rebalanceTimeoutMs: number
  serverAssignor: string | null
  epoch: number
  previousEpoch: number
  assigned: Assignment
  revoking: Assignment
  target: Assignment
  isAway: boolean
}
interface GroupEpochs {
  id: string
  epoch: number
  assignmentEpoch: number
  topicsHash: number
}
/** A group as it comes back. */
export interface SavedConsumerGroup extends GroupEpochs {
  members: MemberRecord[]
}

/** What of a member has to be written, as bits. */
export const PART = { member: 1, target: 2, owned: 4, all: 7 } as const
/** What of a group is not durable yet. */
export interface Unsaved {
  epochs: boolean
  /** By member: parts of it. One that is gone is deleted. */
  members: Map<string, number>
}

export function recordsOf(
  group: GroupEpochs & { members: ReadonlyMap<string, MemberRecord> },
  unsaved: Unsaved,
  timestampMs: number,
): RecordInput[] {
  const { id, epoch, assignmentEpoch, topicsHash } = group
  const value = <T>(codec: Codec<T>, of: Parameters<typeof encodeMessage<T>>[1]) => encodeMessage(codec, of)
  const ofGroup = (version: number, bytes: Buffer): RecordInput => ({ key: keyOf(version, id), value: bytes, timestampMs })
  const records: RecordInput[] = []
  if (unsaved.epochs) records.push(ofGroup(KEY.group, value(groupValue, { version: 0, epoch, topicsHash })))
  for (const [memberId, parts] of unsaved.members) {
    const member = group.members.get(memberId)
    const add = (part: number, version: number, encode: (member: MemberRecord) => Buffer) => {
      if (parts & part) records.push({ key: keyOf(version, id, memberId), value: member ? encode(member) : null, timestampMs })
    }
    add(PART.member, KEY.member, (known) => {
      const told = { topicNames: [...known.topicNames], topicRegex: known.topicRegex || null, clientHost: `/${known.clientHost}` }
      return value(memberValue, { ...known, version: 0, ...told })
    })
    add(PART.target, KEY.target, ({ target }) => value(targetValue, { version: 0, target: placesOf(target) }))
    add(PART.owned, KEY.owned, (known) => {
      const [assigned, revoking] = [placesOf(known.assigned), placesOf(known.revoking)]
      return value(ownedValue, {
        ...known,
        version: 0,
        epoch: known.isAway ? AWAY : known.epoch,
        state: stateOf(known),
        assigned,
        revoking,
      })
    })
  }
  if (unsaved.epochs) records.push(ofGroup(KEY.targetEpoch, value(targetEpochValue, { version: 0, epoch: assignmentEpoch })))
  return records
}

/** Deletes what is kept of a group that has no members. */
export function groupTombstones(id: string, timestampMs: number): RecordInput[] {
  return [KEY.targetEpoch, KEY.group].map((version) => ({ key: keyOf(version, id), value: null, timestampMs }))
}

/** Groups as their records tell of them, one after the other. */
export class SavedConsumerGroups {
  private readonly groups = new Map<string, Partial<GroupEpochs> & { members: Map<string, SavedMember> }>()

  /** Takes a record; others are none of ours. Returns the name that it takes for a group of this kind. @throws KAFKA_REQUEST_INVALID: the bytes are none that `recordsOf` wrote */
  add(keyVersion: number, key: Uint8Array, bytes: Uint8Array | null): string | undefined {
    if (!Object.values(KEY).includes(keyVersion as never)) return undefined
    if (keyVersion === KEY.group || keyVersion === KEY.targetEpoch) {
      const { group: groupId } = decodeMessage(groupKey, key)
      const group = this.group(groupId)
      if (keyVersion === KEY.targetEpoch) group.assignmentEpoch = bytes ? decodeMessage(targetEpochValue, bytes).epoch : undefined
      else Object.assign(group, bytes ? decodeMessage(groupValue, bytes) : { epoch: undefined })
      return bytes ? groupId : undefined
    }
    const { group, member: id } = decodeMessage(memberKey, key)
    const { members } = this.group(group)
    const member: SavedMember = members.get(id) ?? {}
    members.set(id, member)
    if (keyVersion === KEY.member) member.member = bytes ? decodeMessage(memberValue, bytes) : undefined
    else if (keyVersion === KEY.target) member.target = bytes ? decodeMessage(targetValue, bytes).target : undefined
    else member.owned = bytes ? decodeMessage(ownedValue, bytes) : undefined
    if (!member.member && !member.target && !member.owned) members.delete(id)
    return undefined
  }

  /** A group of another kind has taken the name. */
  delete(id: string): void {
    this.groups.delete(id)
  }

  clear(): void {
    this.groups.clear()
  }

  *whole(): Generator<SavedConsumerGroup> {
    for (const [id, { epoch, assignmentEpoch = 0, topicsHash = 0, members }] of this.groups) {
      if (epoch === undefined) continue
      const back = [...members].map(([memberId, saved]) => memberOf(memberId, saved)).filter((member) => member !== undefined)
      yield { id, epoch, assignmentEpoch: back.length < members.size ? 0 : assignmentEpoch, topicsHash, members: back }
    }
  }

  private group(id: string) {
    let group = this.groups.get(id)
    if (!group) this.groups.set(id, (group = { members: new Map() }))
    return group
  }
}

type Places = { topicId: string; partitions: number[] }[]
interface SavedMember {
  member?: Decoded<typeof memberFields>
  target?: Places
  owned?: Decoded<typeof ownedFields>
}

function memberOf(id: string, { member, target = [], owned }: SavedMember): MemberRecord | undefined {
  if (!member || !owned) return undefined
  const { version: _, topicNames, topicRegex, clientHost, ...known } = member
  const isAway = owned.epoch === AWAY
  return {
    ...known,
    id,
    clientHost: clientHost.replace(/^\//, ''),
    topicNames: new Set(topicNames),
    topicRegex: topicRegex ?? '',
    epoch: isAway ? owned.previousEpoch : owned.epoch,
    previousEpoch: owned.previousEpoch,
    assigned: assignmentOf(owned.assigned),
    revoking: assignmentOf(owned.revoking),
    target: assignmentOf(target),
    isAway,
  }
}

const keyOf = (version: number, group: string, member?: string): Buffer =>
  member === undefined ? encodeMessage(groupKey, { version, group }) : encodeMessage(memberKey, { version, group, member })
const placesOf = (assignment: Assignment): Places =>
  [...assignment].map(([topicId, partitions]) => ({ topicId, partitions: [...partitions] }))
const assignmentOf = (saved: Places): Assignment => new Map(saved.map(({ topicId, partitions }) => [topicId, new Set(partitions)]))

function stateOf({ assigned, revoking, target }: MemberRecord): number {
  if (revoking.size > 0) return STATE.unrevoked
  const isWhole = [...target].every(([topicId, partitions]) => [...partitions].every((one) => assigned.get(topicId)?.has(one)))
  return isWhole ? STATE.stable : STATE.unreleased
}
