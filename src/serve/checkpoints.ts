// /v1/queries/:id/checkpoints and /v1/savepoints: what was taken when, how large it was, and what failed.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { CheckpointsApi, ServeDeps } from './deps.ts'
import { queryNotFound } from './errors.ts'
import { NoQuery, QueryParams } from './schemas.ts'

const count = (description: string) => Type.Integer({ minimum: 0, description })
const ms = (description: string) => Type.Number({ description })
const Checkpoint = Type.Object({
  id: count('Higher than that of all before it.'),
  cause: Type.Union(
    [Type.Literal('interval'), Type.Literal('read'), Type.Literal('savepoint'), Type.Literal('change'), Type.Literal('stop')],
    {
      description:
        'Why it was taken: its time had come, somebody reads `isolation=committed`, a savepoint, an edit, the stop of the process.',
    },
  ),
  state: Type.Union([Type.Literal('running'), Type.Literal('completed'), Type.Literal('failed')]),
  startedMs: ms('Epoch ms.'),
  durationMs: Type.Optional(ms('Until its output was visible.')),
  stallMs: Type.Optional(ms('How long the queries stood still for it.')),
  fullBytes: Type.Optional(count('Bytes of the whole state.')),
  writtenBytes: Type.Optional(count('Bytes that this one wrote: what had changed.')),
  error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String(), hint: Type.String() }, { additionalProperties: true })),
})
const QueryCheckpoints = Type.Object({
  query: Type.String(),
  job: Type.Optional(
    Type.String({
      description: 'Its checkpoints are in this folder of `checkpoints/`, with those of the queries that run together with it.',
    }),
  ),
  intervalMs: Type.Optional(count('From the start of one to that of the next; 0: none by itself.')),
  restoredFrom: Type.Optional(count('The checkpoint from which it went on when it started.')),
  checkpoints: Type.Array(Checkpoint, { description: 'Newest first, of this run.' }),
})
const Savepoint = Type.Object({
  name: Type.String(),
  createdMs: ms('Epoch ms, of its oldest part.'),
  bytes: count('Of all state in it.'),
  queries: Type.Array(Type.String()),
})
const Name = Type.Object({ name: Type.String({ description: 'Letters, digits, "-", "_" and ".".' }) })

export function registerCheckpoints(app: FastifyInstance, { checkpoints, queries }: ServeDeps): void {
  app.get<{ Params: { id: string } }>(
    '/v1/queries/:id/checkpoints',
    {
      schema: {
        summary: 'Checkpoints of a query in this run: when, how long, how large, and why one failed.',
        params: QueryParams,
        querystring: NoQuery,
        response: { 200: QueryCheckpoints },
      },
    },
    ({ params: { id } }) => {
      const found = checkpoints.ofQuery(id)
      if (found) return found
      throw queryNotFound(id, queries())
    },
  )
  app.get(
    '/v1/savepoints',
    { schema: { summary: 'All savepoints.', querystring: NoQuery, response: { 200: Type.Array(Savepoint) } } },
    () => checkpoints.savepoints(),
  )
  app.post(
    '/v1/savepoints',
    {
      config: { role: 'admin' },
      schema: { summary: 'Takes a savepoint of all queries.', body: Name, querystring: NoQuery, response: { 201: Savepoint } },
    },
    async (request, reply) => {
      const { name } = request.body as Static<typeof Name>
      return reply.code(201).send(await checkpoints.createSavepoint(name))
    },
  )
  app.delete(
    '/v1/savepoints/:name',
    {
      config: { role: 'admin' },
      schema: { summary: 'Deletes a savepoint.', params: Name, querystring: NoQuery, response: { 204: Type.Null() } },
    },
    async (request, reply) => {
      await checkpoints.deleteSavepoint((request.params as Static<typeof Name>).name)
      return reply.code(204).send(null)
    },
  )
}

/** For a server over live tables whose queries take none. */
export const noCheckpoints: CheckpointsApi = {
  ofQuery: () => undefined,
  createSavepoint: async (name) => ({ name, createdMs: 0, bytes: 0, queries: [] }),
  savepoints: () => [],
  deleteSavepoint: async () => {},
  atNextCheckpoint: async (_table, read) => read(),
}
