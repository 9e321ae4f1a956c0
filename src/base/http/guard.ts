// Who may talk to the server. A page open in a browser can reach loopback, so an address alone protects nothing.
//
//   Host    must be a loopback name, an IP address, or a configured name: a rebound DNS name is refused with 421
//   Origin  if sent, must be this server or a configured one, for WebSockets and whatever changes state: else 403
//   token   Authorization: Bearer …; for WebSockets of browsers, which cannot set headers, the subprotocol millrace.token.…
//
// When is a token asked for? If the server listens beyond loopback and was not told to be insecure, or if `auth: 'required'`.
// On loopback the default is none: whoever can connect runs on this machine, and can read the data folder anyway.
// A token that is sent is always checked, also where none is needed.
import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import type { Role, TokenInfo, TokenStore } from '../auth.ts'
import { httpErrors } from './errors.ts'

/** What a route asks for: a role, or nothing. admin has all; a writer may not read, and a reader may not write. */
export type RouteRole = Role | 'public'

export const PROTOCOL = 'millrace'
const TOKEN_PROTOCOL = 'millrace.token.'

export interface GuardOptions {
  hostNames: readonly string[]
  origins: readonly string[]
  isTokenNeeded: boolean
  tokens?: TokenStore
}

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.')) || host === '::ffff:127.0.0.1'

/** The name in a Host header or URL, without port and brackets. */
const hostNameOf = (authority: string): string =>
  authority
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase()

export function makeGuard({ hostNames, origins, isTokenNeeded, tokens }: GuardOptions) {
  const known = new Set(['localhost', ...hostNames.map((name) => name.toLowerCase())])
  const allowedOrigins = new Set(origins.map((origin) => origin.toLowerCase().replace(/\/$/, '')))

  /** @throws StreamError HTTP_HOST_UNKNOWN */
  function checkHost(request: FastifyRequest): void {
    const authority = request.headers.host ?? ''
    const name = hostNameOf(authority)
    if (isIP(name) === 0 && !known.has(name)) throw httpErrors('HTTP_HOST_UNKNOWN', { host: authority.slice(0, 200) })
  }

  const isSameOrigin = (origin: string, request: FastifyRequest): boolean =>
    origin === `http://${request.headers.host}`.toLowerCase() || origin === `https://${request.headers.host}`.toLowerCase()

  /**
   * @returns the origin that may read the answer, if it is another one than ours
   * @throws StreamError HTTP_ORIGIN_FORBIDDEN
   */
  function checkOrigin(request: FastifyRequest): string | undefined {
    const sent = request.headers.origin
    if (sent === undefined) return undefined
    const origin = sent.toLowerCase()
    if (isSameOrigin(origin, request)) return undefined
    if (allowedOrigins.has(origin)) return sent
    const isReading = (request.method === 'GET' || request.method === 'HEAD') && !request.ws
    // A foreign page can send a plain GET, but without CORS headers the browser does not let it read the answer.
    if (!isReading) throw httpErrors('HTTP_ORIGIN_FORBIDDEN', { origin: sent.slice(0, 200) })
    return undefined
  }

  /**
   * @returns who the token speaks for; undefined where none is needed, and there is none, or an unknown one
   * @throws StreamError HTTP_TOKEN_MISSING, HTTP_TOKEN_INVALID, HTTP_ROLE_FORBIDDEN
   */
  function checkToken(request: FastifyRequest, needed: RouteRole): TokenInfo | undefined {
    const token = tokenOf(request)
    if (needed === 'public') return token === undefined ? undefined : tokens?.verify(token)
    if (token === undefined) {
      if (isTokenNeeded) throw httpErrors('HTTP_TOKEN_MISSING', {})
      return undefined
    }
    const info = tokens?.verify(token)
    if (!info) throw httpErrors('HTTP_TOKEN_INVALID', {})
    if (info.role !== 'admin' && info.role !== needed) throw httpErrors('HTTP_ROLE_FORBIDDEN', { role: info.role, needed })
    return info
  }

  return { checkHost, checkOrigin, checkToken }
}

function tokenOf(request: FastifyRequest): string | undefined {
  const { authorization } = request.headers
  if (authorization !== undefined) return /^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? ''
  if (!request.ws) return undefined
  const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim())
  return protocols.find((protocol) => protocol.startsWith(TOKEN_PROTOCOL))?.slice(TOKEN_PROTOCOL.length)
}
