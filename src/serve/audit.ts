// Who asks, what they may do, and audit lines: who did what that cannot be taken back, in the process's log.
import type { FastifyRequest } from 'fastify'
import { maskedSql } from '../base/index.ts'
import type { ServeDeps } from './deps.ts'

/** Writes an audit line about a request: by the token it came with, or `anonymous` where none is needed. */
export const auditOf =
  ({ audit }: Pick<ServeDeps, 'audit'>, request: FastifyRequest) =>
  (action: string, details: Record<string, unknown>): void => {
    const { caller } = request
    const by = caller ? { id: caller.id, name: caller.name, role: caller.role } : 'anonymous'
    audit({ audit: action, by, from: request.ip, request: request.id, ...details })
  }

/** What a request may do; without tokens everybody may do all. */
export const roleOf = ({ caller, server }: Pick<FastifyRequest, 'caller' | 'server'>) =>
  caller ? caller.role : server.isTokenNeeded ? null : 'admin'

/** SQL of the project for whoever asks: secrets in it are for those who may edit it. */
export const shownTo = (request: Parameters<typeof roleOf>[0], sql: string): string => (roleOf(request) === 'admin' ? sql : maskedSql(sql))

/** Who a request is of, for people: the name of its token, or its id; where none is needed the address that it came from. */
export const byOf = ({ caller, ip }: Pick<FastifyRequest, 'caller' | 'ip'>): string =>
  caller ? caller.name || `token ${caller.id}` : `anonymous, from ${ip}`
