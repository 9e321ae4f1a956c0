// What `__consumer_offsets` keeps of a classic group beside its offsets: its generation and members, in Kafka's own format, as
// `kafka-console-consumer --formatter org.apache.kafka.tools.consumer.GroupMetadataMessageFormatter` reads them.
// Source: Kafka's GroupMetadataKey (version 2) and GroupMetadataValue (version 3, the one that Kafka 4.3 writes).
import type { RecordInput } from '../../log/index.ts'
import { array, bytes, codecs, type Decoded, decodeMessage, encodeMessage, int16, int32, int64, string } from '../schema.ts'

export const GROUP_KEY_VERSION = 2
const VALUE_VERSION = 3
const keyCodec = codecs({ version: int16(), group: string() }, Number.POSITIVE_INFINITY)(0)
const fields = {
  protocolType: string(),
  generation: int32(),
  protocol: string('0+', { nullable: '0+' }),
  leader: string('0+', { nullable: '0+' }),
  stateMs: int64(),
  members: array('0+', {
    id: string(),
    instanceId: string('0+', { nullable: '0+' }),
    clientId: string(),
    clientHost: string(),
    rebalanceTimeoutMs: int32(),
    sessionTimeoutMs: int32(),
    subscription: bytes(),
    assignment: bytes(),
  }),
}
const valueCodec = codecs({ version: int16(), ...fields }, Number.POSITIVE_INFINITY)(0)

/** A group between two rebalances. */
export type GroupRecord = Decoded<typeof fields>

/** @param value  null: there is nothing to know of the group any more */
export function groupRecordOf(group: string, value: GroupRecord | null, timestampMs: number): RecordInput {
  return {
    key: encodeMessage(keyCodec, { version: GROUP_KEY_VERSION, group }),
    value: value && encodeMessage(valueCodec, { version: VALUE_VERSION, ...value }),
    timestampMs,
  }
}

/** @throws KAFKA_REQUEST_INVALID: the bytes are none that `groupRecordOf` wrote */
export function readGroupRecord(key: Uint8Array, value: Uint8Array | null): { group: string; value: GroupRecord | null } {
  const { group } = decodeMessage(keyCodec, key)
  if (!value) return { group, value: null }
  const record = decodeMessage(valueCodec, value)
  // Views would hold all that was read with them.
  const members = record.members.map((member) => ({
    ...member,
    subscription: Uint8Array.from(member.subscription),
    assignment: Uint8Array.from(member.assignment),
  }))
  return { group, value: { ...record, members } }
}
