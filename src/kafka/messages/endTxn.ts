// Commits or aborts a transaction. Since version 5 the answer has the epoch that the producer goes on with (KIP-890).
// Source: Kafka's protocol guide.
import { api, bool, int16, int32, int64, string } from '../schema.ts'

export const endTxnApi = api({
  key: 26,
  name: 'EndTxn',
  versions: [0, 5],
  flexibleFrom: 3,
  request: {
    transactionalId: string(),
    producerId: int64(),
    producerEpoch: int16(),
    committed: bool(),
  },
  response: {
    throttleTimeMs: int32(),
    errorCode: int16(),
    producerId: int64('5+', { default: -1 }),
    producerEpoch: int16('5+', { default: -1 }),
  },
})
