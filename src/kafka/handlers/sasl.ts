// SaslHandshake and SaslAuthenticate: which login, and its steps. A login that fails ends the connection after its answer.
import { type Broker, handler } from '../broker.ts'
import { ERROR } from '../errors.ts'
import { saslAuthenticateApi } from '../messages/saslAuthenticate.ts'
import { saslHandshakeApi } from '../messages/saslHandshake.ts'
import { answerError } from './partitions.ts'

const noBytes = new Uint8Array(0)

export const saslHandshakeHandler = (broker: Broker) =>
  handler(saslHandshakeApi, ({ mechanism }, { version, sasl, endAfterAnswer }) => {
    try {
      sasl.begin(mechanism, version === 0)
      return { errorCode: ERROR.NONE, mechanisms: sasl.mechanisms }
    } catch (error) {
      endAfterAnswer()
      return { errorCode: answerError(broker, 'SaslHandshake', error).errorCode, mechanisms: sasl.mechanisms }
    }
  })

export const saslAuthenticateHandler = (broker: Broker) =>
  handler(saslAuthenticateApi, async ({ authBytes }, { sasl, endAfterAnswer }) => {
    try {
      return { authBytes: await sasl.step(authBytes) }
    } catch (error) {
      endAfterAnswer()
      return { ...answerError(broker, 'SaslAuthenticate', error), authBytes: noBytes }
    }
  })
