// Delegation tokens, as Kafka answers where they are switched off: this broker makes none. Tokens of `millrace token` are passwords (docs/kafka-security.md).
import { handler, type RequestContext } from '../broker.ts'
import { ERROR } from '../errors.ts'
import { createDelegationTokenApi } from '../messages/createDelegationToken.ts'
import { describeDelegationTokenApi } from '../messages/describeDelegationToken.ts'
import { expireDelegationTokenApi } from '../messages/expireDelegationToken.ts'
import { renewDelegationTokenApi } from '../messages/renewDelegationToken.ts'

/** Who has not said who he is may not ask at all. */
const refused = ({ sasl }: RequestContext) => ({
  errorCode: sasl.principal ? ERROR.DELEGATION_TOKEN_AUTH_DISABLED : ERROR.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED,
})

export const createDelegationTokenHandler = () => handler(createDelegationTokenApi, (_, context) => refused(context))
export const renewDelegationTokenHandler = () => handler(renewDelegationTokenApi, (_, context) => refused(context))
export const expireDelegationTokenHandler = () => handler(expireDelegationTokenApi, (_, context) => refused(context))
export const describeDelegationTokenHandler = () => handler(describeDelegationTokenApi, (_, context) => refused(context))
