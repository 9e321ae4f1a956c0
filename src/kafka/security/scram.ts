// SCRAM as a server speaks it: what is stored instead of a password, and the exchange that proves it.
//
//   client: n,,n=user,r=nonce --> server: r=nonce+ours,s=salt,i=iterations --> client: c=biws,r=…,p=proof --> server: v=signature
//
// Invariants
//   1. The password is never here, unless it is salted at once: what is stored proves a password and cannot be used to log in.
//   2. A user who does not exist gets a salt too, the same each time, and fails at the proof: the exchange does not tell who exists.
// Source: RFC 5802, RFC 7677, KIP-84.
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

export const mechanisms = { 'SCRAM-SHA-256': { number: 1, hash: 'sha256' }, 'SCRAM-SHA-512': { number: 2, hash: 'sha512' } } as const
export type Mechanism = keyof typeof mechanisms
export const mechanismNames = Object.keys(mechanisms) as Mechanism[]

/** What AlterUserScramCredentials takes, as with Kafka. */
export const ITERATIONS_MIN = 4_096
export const ITERATIONS_MAX = 16_384
const NONCE_BYTES = 24
const SALT_BYTES = 24

/** All binary parts in base64. */
export interface Credential {
  salt: string
  storedKey: string
  serverKey: string
  iterations: number
}

const hmac = (mechanism: Mechanism, key: Uint8Array, text: string | Uint8Array) =>
  createHmac(mechanisms[mechanism].hash, key).update(text).digest()
const hashed = (mechanism: Mechanism, bytes: Uint8Array) => createHash(mechanisms[mechanism].hash).update(bytes).digest()

export function credentialOf(mechanism: Mechanism, salt: Uint8Array, saltedPassword: Uint8Array, iterations: number): Credential {
  return {
    salt: Buffer.from(salt).toString('base64'),
    storedKey: hashed(mechanism, hmac(mechanism, saltedPassword, 'Client Key')).toString('base64'),
    serverKey: hmac(mechanism, saltedPassword, 'Server Key').toString('base64'),
    iterations,
  }
}

const derive = promisify(pbkdf2)
function saltPassword(mechanism: Mechanism, password: string, salt: Uint8Array, iterations: number): Promise<Buffer> {
  const { hash } = mechanisms[mechanism]
  return derive(password.normalize('NFKC'), salt, iterations, hash === 'sha256' ? 32 : 64, hash)
}

/** A new credential of a password. */
export async function newCredential(mechanism: Mechanism, password: string, iterations = ITERATIONS_MIN): Promise<Credential> {
  const salt = randomBytes(SALT_BYTES)
  return credentialOf(mechanism, salt, await saltPassword(mechanism, password, salt, iterations), iterations)
}

/** Whether a password that came in clear, as PLAIN sends it, is the one of the credential. */
export async function isPassword(mechanism: Mechanism, { salt, storedKey, iterations }: Credential, password: string): Promise<boolean> {
  const salted = await saltPassword(mechanism, password, Buffer.from(salt, 'base64'), iterations)
  return timingSafeEqual(
    Buffer.from(credentialOf(mechanism, salted, salted, iterations).storedKey, 'base64'),
    Buffer.from(storedKey, 'base64'),
  )
}

/** For the salts of users who do not exist. */
const decoyKey = randomBytes(32)

/** One exchange. Each step throws an Error whose text may be told to the client. */
export class ScramExchange {
  user = ''
  private readonly mechanism: Mechanism
  private readonly find: (user: string) => Credential | undefined
  private credential: Credential | undefined
  private header = ''
  private nonce = ''
  private messages = ''

  constructor(mechanism: Mechanism, find: (user: string) => Credential | undefined) {
    this.mechanism = mechanism
    this.find = find
  }

  /** Answers the client's first message. */
  begin(bytes: Uint8Array): string {
    const message = Buffer.from(bytes).toString('utf8')
    const [, header, bare, name, clientNonce] = /^([ny],(?:a=[^,]*)?,)(n=([^,]*),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)$/.exec(message) ?? []
    if (bare === undefined) throw new Error('not a first SCRAM message')
    this.user = name.replaceAll('=2C', ',').replaceAll('=3D', '=')
    const authorized = /a=([^,]*)/.exec(header)?.[1].replaceAll('=2C', ',').replaceAll('=3D', '=')
    if (authorized && authorized !== this.user) throw new Error('the authorization id is not the user')
    this.header = header
    this.credential = this.find(this.user)
    const { salt, iterations } = this.credential ?? {
      salt: hmac(this.mechanism, decoyKey, this.user).subarray(0, SALT_BYTES).toString('base64'),
      iterations: ITERATIONS_MIN,
    }
    this.nonce = clientNonce + randomBytes(NONCE_BYTES).toString('base64url')
    const answer = `r=${this.nonce},s=${salt},i=${iterations}`
    this.messages = `${bare},${answer}`
    return answer
  }

  /** Checks the proof and answers with ours. */
  finish(bytes: Uint8Array): string {
    const message = Buffer.from(bytes).toString('utf8')
    const [, body, binding, nonce, proofText] = /^(c=([A-Za-z0-9+/=]+),r=([^,]+)(?:,[^p].*)?),p=([A-Za-z0-9+/=]+)$/.exec(message) ?? []
    if (body === undefined) throw new Error('not a final SCRAM message')
    const { mechanism, credential } = this
    // Older librdkafka puts its own nonce before the whole one; the proof covers what it sent. Kafka lets it through too.
    const isBound = Buffer.from(binding, 'base64').toString() === this.header && nonce.endsWith(this.nonce)
    const storedKey = Buffer.from(credential?.storedKey ?? '', 'base64')
    const text = `${this.messages},${body}`
    const signature = hmac(mechanism, storedKey, text)
    const proof = Buffer.from(proofText, 'base64')
    const clientKey = signature.map((byte, i) => byte ^ proof[i])
    const isProven =
      proof.length === signature.length && credential !== undefined && timingSafeEqual(hashed(mechanism, clientKey), storedKey)
    if (!isBound || !isProven) throw new Error('invalid user or password')
    return `v=${hmac(mechanism, Buffer.from(credential.serverKey, 'base64'), text).toString('base64')}`
  }
}
