// The markers that end a transaction in a partition: control batches of one record, as Kafka writes them.
//
// key: version i16 = 0, type i16 (0 abort, 1 commit); value: version i16 = 0, coordinatorEpoch i32. Always 78 bytes:
//   61 length | 62 attributes | 63 timestampDelta | 64 offsetDelta | 65 keyLength | 66 key | 70 valueLength | 71 value | 77 headerCount
import { BatchBuilder, CONTROL_FLAG, noHeaders, readInt16, readInt32, TRANSACTIONAL_FLAG, writeInt16, writeInt32 } from './recordBatch.ts'

export const MARKER_BYTES = 78
const KEY_AT = 66
const VALUE_AT = 71
const COMMIT = 1

export interface Marker {
  producerId: number
  producerEpoch: number
  isCommit: boolean
  coordinatorEpoch: number
}

export function makeMarker({ producerId, producerEpoch, isCommit, coordinatorEpoch }: Marker, timestampMs: number): Uint8Array {
  const key = new Uint8Array(4)
  writeInt16(key, 2, isCommit ? COMMIT : 0)
  const value = new Uint8Array(6)
  writeInt32(value, 2, coordinatorEpoch)
  const builder = new BatchBuilder(256)
  builder.appendRecord(key, value, 0, value.length, noHeaders, timestampMs)
  return builder.finish({ producerId, producerEpoch, attributes: TRANSACTIONAL_FLAG | CONTROL_FLAG })
}

/** What the control batch at the beginning of `batch` says. */
export const readMarker = (batch: Uint8Array): { isCommit: boolean; coordinatorEpoch: number } => ({
  isCommit: readInt16(batch, KEY_AT + 2) === COMMIT,
  coordinatorEpoch: readInt32(batch, VALUE_AT + 2),
})
