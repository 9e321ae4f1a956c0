// Who a client is and what it may do.
//
// Invariants
//   1. Beyond loopback nobody is anonymous, unless the server was told to be insecure; on loopback that begins with the first user who has a
//      password. Who is logged in stays logged in as whom he was.
//   2. Secrets are compared in constant time and never written to a log.
import type { TokenInfo, TokenStore } from '../../base/index.ts'
import { type BrokerLog, type Disk, isSecretTopic } from '../../log/index.ts'
import { CLUSTER_NAME, decide, mayWithAny, OPERATION, RESOURCE } from './acls.ts'
import { Quotas } from './quotas.ts'
import { isPassword } from './scram.ts'
import { SecurityStore } from './store.ts'

export interface Principal {
  /** Without `User:`. */
  name: string
  /** May do everything. */
  isSuper: boolean
  /** Of a token: what it allows where no entry denies. */
  role?: TokenInfo['role']
}
export const ANONYMOUS: Principal = { name: 'ANONYMOUS', isSuper: false }
/** The user name of tokens that have no name. */
const TOKEN_USER = 'token'

const allowedTo: Record<TokenInfo['role'], readonly number[]> = {
  reader: [OPERATION.read, OPERATION.describe, OPERATION.describeConfigs],
  writer: [OPERATION.write, OPERATION.describe, OPERATION.idempotentWrite],
  admin: Object.values(OPERATION),
}

export interface SecurityOptions {
  log: BrokerLog
  disk: Disk
  tokens?: TokenStore
  /** Everybody must say who he is, from the start. */
  isAlwaysRequired: boolean
  /** Nobody must, also beyond loopback. */
  isInsecure: boolean
  /** Names of users who may do everything. */
  superUsers: readonly string[]
}

export class Security {
  readonly store: SecurityStore
  readonly quotas: Quotas
  private readonly options: SecurityOptions

  constructor(options: SecurityOptions) {
    this.options = options
    this.store = new SecurityStore(options.log, options.disk)
    this.quotas = new Quotas(this.store.quotas)
  }

  get isLoginRequired(): boolean {
    if (this.options.isInsecure) return false
    return this.options.isAlwaysRequired || this.store.users.size > 0
  }

  principalOf(user: string): Principal {
    return { name: user, isSuper: this.options.superUsers.includes(user) }
  }

  /** Who a name and password of PLAIN speak for: a token, or a user with a SCRAM credential. */
  async login(user: string, password: string): Promise<Principal | undefined> {
    const token = this.options.tokens?.verify(password)
    if (token) {
      const name = token.name || TOKEN_USER
      if (user !== name && user !== TOKEN_USER) return undefined
      return { name, isSuper: token.role === 'admin', role: token.role }
    }
    for (const [mechanism, credential] of this.store.users.get(user) ?? []) {
      if (await isPassword(mechanism, credential, password)) return this.principalOf(user)
    }
    return undefined
  }

  /** Whether a client may do an operation. */
  may({ name, isSuper, role }: Principal, host: string, operation: number, resourceType: number, resourceName = CLUSTER_NAME): boolean {
    const { acls } = this.store
    if (isSuper) return true
    // What SCRAM stores is no password, but helps to guess one; SQL may have some.
    if (resourceType === RESOURCE.topic && isSecretTopic(resourceName)) return operation === OPERATION.describe && this.isOpen
    const decided = decide(acls.values(), { principal: `User:${name}`, host, operation, resourceType, resourceName })
    if (decided !== undefined) return decided
    if (role) return allowedTo[role].includes(operation)
    return this.isOpen
  }

  /** Whether a client may write to any topic at all. */
  mayWriteAnywhere({ name, isSuper, role }: Principal, host: string): boolean {
    if (isSuper || (role ? allowedTo[role].includes(OPERATION.write) : this.isOpen)) return true
    const question = { principal: `User:${name}`, host, operation: OPERATION.write, resourceType: RESOURCE.topic }
    return mayWithAny([...this.store.acls.values()], question)
  }

  /** Nobody has said who may do what. */
  private get isOpen(): boolean {
    return this.store.acls.size === 0
  }
}
