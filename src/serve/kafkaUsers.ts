// /v1/kafka/users: who may log in to the Kafka port with a password.
//
// Invariant: a password is in an answer only if the server made it, and only once; it is in no log.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { auditOf } from './audit.ts'
import type { ServeDeps } from './deps.ts'
import { serveErrors } from './errors.ts'
import { NoQuery } from './schemas.ts'

interface User {
  name: string
  mechanisms: string[]
}
export interface KafkaUsers {
  list(): User[] | Promise<User[]>
  create(name: string, password?: string): Promise<{ password: string }>
  delete(name: string): Promise<void>
}

const UserSchema = Type.Object({ name: Type.String(), mechanisms: Type.Array(Type.String()) })
const UserParams = Type.Object({ user: Type.String() })
const NewPassword = Type.Object(
  { password: Type.Optional(Type.String({ description: 'Made and returned if it is absent.', minLength: 1, maxLength: 1_000 })) },
  { additionalProperties: false },
)
const role = 'admin'

export function registerKafkaUsers(app: FastifyInstance, deps: ServeDeps): void {
  const nameOf = (request: { params: unknown }): string => (request.params as Static<typeof UserParams>).user
  /** @throws StreamError SERVE_KAFKA_OFF */
  const users = (): KafkaUsers => {
    const found = deps.kafkaUsers()
    if (!found) throw serveErrors('SERVE_KAFKA_OFF', {})
    return found
  }

  app.get(
    '/v1/kafka/users',
    {
      config: { role },
      schema: {
        summary: 'Users of the Kafka port; never their passwords.',
        querystring: NoQuery,
        response: { 200: Type.Array(UserSchema) },
      },
    },
    async () => users().list(),
  )

  app.put(
    '/v1/kafka/users/:user',
    {
      config: { role },
      schema: {
        summary: 'Makes a user of the Kafka port, or gives one another password. With the first one, Kafka clients have to log in.',
        params: UserParams,
        querystring: NoQuery,
        body: NewPassword,
        response: { 200: Type.Object({ name: Type.String(), password: Type.Optional(Type.String()) }) },
      },
    },
    async (request) => {
      const name = nameOf(request)
      const { password: given } = request.body as Static<typeof NewPassword>
      const { password } = await users().create(name, given)
      auditOf(deps, request)('Kafka user set', { user: name })
      return given === undefined ? { name, password } : { name }
    },
  )

  app.delete(
    '/v1/kafka/users/:user',
    {
      config: { role },
      schema: {
        summary: 'Deletes a user of the Kafka port. Connections that are logged in stay.',
        params: UserParams,
        querystring: NoQuery,
        response: { 200: Type.Object({ deleted: Type.String() }) },
      },
    },
    async (request) => {
      const name = nameOf(request)
      await users().delete(name)
      auditOf(deps, request)('Kafka user deleted', { user: name })
      return { deleted: name }
    },
  )
}
