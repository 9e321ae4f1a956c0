// Access tokens: made by `millrace token create`, shown once, stored as hashes in `<data>/auth/tokens.json`.
//
// A token is `mr_<id>_<secret>`. The id finds the record; the secret is 256 random bits.
//
// Invariants
//   1. The file holds SHA-256 of each secret, never the secret; it is written whole by one rename, mode 0600.
//   2. A file that cannot be read or understood is an error, never "no tokens".
//   3. What another process (the command line) changes counts here within RELOAD_MS; records are otherwise kept in memory.
//
// Why SHA-256 and not argon2: a slow hash protects secrets that people choose, because those can be guessed. 256 random bits cannot, so a slow
// hash would only make each request slow. The fast one (2 us) needs no cache of verified tokens, which would hold secrets and outlive a revocation.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { defineErrors, spec } from './errors.ts'

export const roles = ['reader', 'writer', 'admin'] as const
/** reader: reads tables, topics, live queries. writer: sends events. admin: everything. */
export type Role = (typeof roles)[number]

export interface TokenInfo {
  id: string
  name: string
  role: Role
  createdAtMs: number
}
interface TokenRecord extends TokenInfo {
  /** SHA-256 of the secret, hex. */
  hash: string
}

export const authErrors = defineErrors({
  AUTH_FILE_INVALID: spec<{ file: string; reason: string }>({
    kind: 'external',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `the token file ${p.file} cannot be used: ${p.reason}`,
    hint: () => 'Restore it from a backup, or delete it and create new tokens with: millrace token create --role reader',
  }),
  AUTH_ROLE_INVALID: spec<{ role: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `"${p.role}" is not a role`,
    hint: () => `Use one of ${roles.join(', ')}.`,
  }),
  AUTH_TOKEN_NOT_FOUND: spec<{ id: string }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `there is no token with id "${p.id}"`,
    hint: () => 'millrace token list shows the ids.',
  }),
})

const RELOAD_MS = 1_000
const tokenForm = /^mr_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/
const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest()
const NO_HASH = Buffer.alloc(32)

export class TokenStore {
  readonly file: string
  private records = new Map<string, TokenRecord>()
  private loadedStamp = ''
  private checkedAtMs = Number.NEGATIVE_INFINITY

  /**
   * @param file  `<data>/auth/tokens.json`; need not exist
   * @throws StreamError AUTH_FILE_INVALID
   */
  constructor(file: string) {
    this.file = file
    this.reload()
  }

  list(): TokenInfo[] {
    this.reload()
    return [...this.records.values()].map(({ hash: _, ...info }) => info)
  }

  /** @throws StreamError AUTH_TOKEN_NOT_FOUND, AUTH_FILE_INVALID */
  revoke(id: string): void {
    this.reload()
    if (!this.records.delete(id)) throw authErrors('AUTH_TOKEN_NOT_FOUND', { id })
    this.save()
  }

  /** Who a token speaks for; undefined if it is unknown, revoked or malformed. */
  verify(token: string): TokenInfo | undefined {
    const nowMs = performance.now()
    if (nowMs - this.checkedAtMs > RELOAD_MS) this.reload()
    const [, id, secret = ''] = tokenForm.exec(token) ?? []
    const record = this.records.get(id)
    // Hashed and compared even if there is no such id, so that the time taken says nothing about ids.
    const isEqual = timingSafeEqual(hashOf(secret), record ? Buffer.from(record.hash, 'hex') : NO_HASH)
    return record && isEqual ? record : undefined
  }

  /** Stores a record; for `createToken`. */
  add(record: TokenRecord): void {
    this.reload()
    this.records.set(record.id, record)
    this.save()
  }

  private reload(): void {
    this.checkedAtMs = performance.now()
    let stamp = ''
    try {
      const { mtimeMs, size, ino } = statSync(this.file)
      stamp = `${mtimeMs} ${size} ${ino}`
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw this.invalid(error)
    }
    if (stamp === this.loadedStamp) return
    if (stamp === '') this.records = new Map()
    else {
      try {
        const { tokens } = JSON.parse(readFileSync(this.file, 'utf8')) as { tokens: TokenRecord[] }
        for (const { id, hash, role } of tokens)
          if (!/^[0-9a-f]{12}$/.test(id) || !/^[0-9a-f]{64}$/.test(hash) || !roles.includes(role))
            throw new TypeError(`token "${id}" is malformed`)
        this.records = new Map(tokens.map((record) => [record.id, record]))
      } catch (error) {
        throw this.invalid(error)
      }
    }
    this.loadedStamp = stamp
  }

  private save(): void {
    const folder = dirname(this.file)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const temporary = `${this.file}.${randomBytes(4).toString('hex')}.tmp`
    const handle = openSync(temporary, 'wx', 0o600)
    try {
      writeSync(handle, `${JSON.stringify({ tokens: [...this.records.values()] }, null, 2)}\n`)
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
    renameSync(temporary, this.file)
    const folderHandle = openSync(folder, 'r')
    fsyncSync(folderHandle)
    closeSync(folderHandle)
    this.loadedStamp = ''
    this.reload()
  }

  private invalid(error: unknown) {
    return authErrors('AUTH_FILE_INVALID', { file: this.file, reason: (error as Error).message }, { cause: error })
  }
}

/**
 * Makes a token and stores its hash.
 *
 * @returns the token's text, which cannot be had again, and what is stored of it
 * @throws StreamError AUTH_ROLE_INVALID, AUTH_FILE_INVALID
 */
export function createToken(store: TokenStore, { role, name }: { role: Role; name: string }): { token: string; info: TokenInfo } {
  if (!roles.includes(role)) throw authErrors('AUTH_ROLE_INVALID', { role })
  const id = randomBytes(6).toString('hex')
  const secret = randomBytes(32).toString('base64url')
  const info = { id, name, role, createdAtMs: Date.now() }
  store.add({ ...info, hash: hashOf(secret).toString('hex') })
  return { token: `mr_${id}_${secret}`, info }
}
