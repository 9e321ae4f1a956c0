// The login of one connection.
//
//   SaslHandshake(mechanism) --> SaslAuthenticate(token) … --> logged in; any failure ends the connection, a little later
//   SaslHandshake of version 0 --> bare tokens, without the header of a request, until then
//
// Invariants
//   1. A failure says nothing about whether the user exists, and is answered only after a pause: guessing is slow.
//   2. A login counts more than the certificate that the client has shown.
//   3. Logging in again is only for the same user (KIP-368).
import { setTimeout as sleep } from 'node:timers/promises'
import { ERROR, KafkaError } from '../errors.ts'
import { kafkaMetrics } from '../limits.ts'
import { type Mechanism, mechanismNames, ScramExchange } from './scram.ts'
import type { Principal, Security } from './security.ts'

const FAILURE_MS = 100
/** Characters of a user's name in the log. */
const USER_SHOWN = 100
const PLAIN = 'PLAIN'

export class SaslSession {
  /** What comes next is a token and no request. */
  isBare = false
  /** The newest login that failed, for the log. The user is as the client has it, empty where it did not come to that. */
  refused: { mechanism: string; user: string; reason: string } | undefined
  private readonly security: Security
  private readonly shown: Principal | undefined
  private loggedIn: Principal | undefined
  private mechanism: string | undefined
  private exchange: ScramExchange | undefined
  private claimedUser = ''

  /** @param shown  who the client is by its certificate */
  constructor(security: Security, shown?: Principal) {
    this.security = security
    this.shown = shown
  }

  get principal(): Principal | undefined {
    return this.loggedIn ?? this.shown
  }

  get mechanisms(): string[] {
    return [PLAIN, ...mechanismNames]
  }

  /** @throws KafkaError UNSUPPORTED_SASL_MECHANISM, ILLEGAL_SASL_STATE */
  begin(mechanism: string, isBare: boolean): void {
    if (this.mechanism !== undefined || (isBare && this.loggedIn))
      throw new KafkaError(ERROR.ILLEGAL_SASL_STATE, 'a login has begun already')
    if (!this.mechanisms.includes(mechanism)) {
      throw new KafkaError(ERROR.UNSUPPORTED_SASL_MECHANISM, `mechanism ${mechanism.slice(0, 40)} is none of ${this.mechanisms.join(', ')}`)
    }
    this.mechanism = mechanism
    this.isBare = isBare
  }

  /** Takes a token of the client and gives the next one of ours. @throws KafkaError SASL_AUTHENTICATION_FAILED, ILLEGAL_SASL_STATE */
  async step(token: Uint8Array): Promise<Uint8Array> {
    const { mechanism } = this
    if (mechanism === undefined) throw new KafkaError(ERROR.ILLEGAL_SASL_STATE, 'SaslHandshake comes first')
    try {
      return Buffer.from(mechanism === PLAIN ? await this.plain(token) : this.scram(mechanism as Mechanism, token))
    } catch (error) {
      const reason = (error as Error).message
      this.refused = { mechanism, user: (this.exchange?.user ?? this.claimedUser).slice(0, USER_SHOWN), reason }
      this.mechanism = this.exchange = undefined
      kafkaMetrics.logins.inc({ mechanism, result: 'refused' })
      await sleep(FAILURE_MS)
      throw new KafkaError(ERROR.SASL_AUTHENTICATION_FAILED, `Authentication failed: ${reason}`)
    }
  }

  private async plain(token: Uint8Array): Promise<string> {
    const [authorizationId, user, password, ...more] = Buffer.from(token).toString('utf8').split('\0')
    if (password === undefined || more.length > 0) throw new Error('not a PLAIN token')
    this.claimedUser = user
    if (authorizationId !== '' && authorizationId !== user) throw new Error('the authorization id is not the user')
    const principal = await this.security.login(user, password)
    if (!principal) throw new Error('invalid user or password')
    this.finish(principal)
    return ''
  }

  private scram(mechanism: Mechanism, token: Uint8Array): string {
    if (!this.exchange) {
      this.exchange = new ScramExchange(mechanism, (user) => this.security.store.users.get(user)?.get(mechanism))
      return this.exchange.begin(token)
    }
    const answer = this.exchange.finish(token)
    this.finish(this.security.principalOf(this.exchange.user))
    return answer
  }

  private finish(principal: Principal): void {
    if (this.loggedIn && this.loggedIn.name !== principal.name) throw new Error(`this connection is ${this.loggedIn.name}'s`)
    kafkaMetrics.logins.inc({ mechanism: this.mechanism ?? '', result: 'accepted' })
    this.loggedIn = principal
    this.mechanism = this.exchange = undefined
    this.isBare = false
  }
}
