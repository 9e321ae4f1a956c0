// InitProducerId: an id and epoch for an idempotent producer. Its sequences are checked by the log's writer.
import { type Broker, handler } from '../broker.ts'
import { ERROR } from '../errors.ts'
import { initProducerIdApi } from '../messages/initProducerId.ts'

export const initProducerIdHandler = (broker: Broker) =>
  handler(initProducerIdApi, ({ transactionalId }) => {
    if (transactionalId !== null) return { errorCode: ERROR.INVALID_REQUEST }
    // Also a producer that asks again because it lost count gets a new id: nothing that it sent before can be taken for what follows.
    return { producerId: broker.newProducerId(), producerEpoch: 0 }
  })
