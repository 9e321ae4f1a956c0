// Kafka users for people: what the HTTP API shows and changes, without the protocol's messages.
import { randomBytes } from 'node:crypto'
import { kafkaErrors } from '../errors.ts'
import { type Mechanism, mechanismNames, newCredential } from './scram.ts'
import type { Security } from './security.ts'

const PASSWORD_BYTES = 24
const PASSWORD_LENGTH_MIN = 8

type User = { name: string; mechanisms: Mechanism[] }
/** What people ask and change, wherever the users are. */
export interface UsersForPeople extends Pick<UserAdmin, 'create' | 'delete'> {
  list(): User[] | Promise<User[]>
}

export class UserAdmin {
  private readonly security: Security

  constructor(security: Security) {
    this.security = security
  }

  list(): User[] {
    return [...this.security.store.users].map(([name, credentials]) => ({ name, mechanisms: [...credentials.keys()].sort() }))
  }

  /**
   * Makes a user, or gives one another password, for both SCRAM mechanisms; PLAIN takes the same password.
   *
   * @param password  made and returned if it is absent
   * @throws          KAFKA_USER_INVALID; the log's errors
   */
  async create(name: string, password = randomBytes(PASSWORD_BYTES).toString('base64url')): Promise<{ password: string }> {
    if (!/^[^\0\s,:*]{1,200}$/.test(name))
      throw kafkaErrors('KAFKA_USER_INVALID', { reason: 'a name has 1 to 200 characters, none of them a space, ",", ":" or "*"' })
    if (password.length < PASSWORD_LENGTH_MIN)
      throw kafkaErrors('KAFKA_USER_INVALID', { reason: `a password has ${PASSWORD_LENGTH_MIN} characters or more` })
    if (password.includes('\0')) throw kafkaErrors('KAFKA_USER_INVALID', { reason: 'a password has no zero byte' })
    const credentials = await Promise.all(mechanismNames.map((mechanism) => newCredential(mechanism, password)))
    await this.security.store.write(mechanismNames.map((mechanism, i) => ({ key: ['user', name, mechanism], value: credentials[i] })))
    return { password }
  }

  /** @throws KAFKA_USER_NOT_FOUND; the log's errors */
  async delete(name: string): Promise<void> {
    const credentials = this.security.store.users.get(name)
    if (!credentials) throw kafkaErrors('KAFKA_USER_NOT_FOUND', { user: name })
    await this.security.store.write([...credentials.keys()].map((mechanism) => ({ key: ['user', name, mechanism], value: null })))
  }
}
