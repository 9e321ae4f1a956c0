// What consumers of the classic protocol tell each other through the broker: what a member subscribes to, and what the leader assigns to it.
// Source: Kafka's ConsumerProtocolSubscription and ConsumerProtocolAssignment, whose heads are the same in all versions.
import { array, codecs, int16, int32, string } from '../schema.ts'
import { WireReader } from '../wire.ts'

/** Groups whose members say this speak so; others (Kafka Connect's workers, schema registries) have bytes of their own. */
export const CONSUMER_PROTOCOL = 'consumer'

const inflexible = Number.POSITIVE_INFINITY
const subscriptionCodec = codecs({ version: int16(), topics: array('0+', string()) }, inflexible)(0)
const assignmentCodec = codecs(
  { version: int16(), assigned: array('0+', { topic: string(), partitions: array('0+', int32()) }) },
  inflexible,
)(0)

/** The topics that a member subscribes to; undefined where the bytes are another client's own format. */
export function subscribedTopics(metadata: Uint8Array): string[] | undefined {
  try {
    return subscriptionCodec.decode(new WireReader(metadata)).topics
  } catch {
    return undefined
  }
}

/** The partitions that a leader has assigned; none where the bytes are another client's own format. */
export function assignedPartitions(assignment: Uint8Array): { topic: string; partition: number }[] {
  try {
    const { assigned } = assignmentCodec.decode(new WireReader(assignment))
    return assigned.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
  } catch {
    return []
  }
}
