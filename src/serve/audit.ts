// Audit lines: who did what that cannot be taken back, in the process's log.
import type { FastifyRequest } from 'fastify'
import type { ServeDeps } from './deps.ts'

/** Writes an audit line about a request: by the token it came with, or `anonymous` where none is needed. */
export const auditOf =
  ({ audit }: Pick<ServeDeps, 'audit'>, request: FastifyRequest) =>
  (action: string, details: Record<string, unknown>): void => {
    const { caller } = request
    const by = caller ? { id: caller.id, name: caller.name, role: caller.role } : 'anonymous'
    audit({ audit: action, by, from: request.ip, request: request.id, ...details })
  }
