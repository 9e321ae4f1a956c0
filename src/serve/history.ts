// /v1/queries/:id/history and /v1/deploys: texts that a query has had, when it started and from where, and why it failed.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { shownTo } from './audit.ts'
import type * as contract from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { queryNotFound, serveErrors } from './errors.ts'
import { count, ErrorInfo, NoQuery, optional, QueryParams, same } from './schemas.ts'

const atMs = Type.Number({ description: 'Epoch ms.' })
const by = optional(
  Type.String({ description: 'Who or what it was: the name of a token, an edit of the files, the start of the process.' }),
)
const version = Type.Integer({ minimum: 1, description: 'Counted for each query.' })
const QueryVersion = Type.Object({
  version,
  atMs,
  by,
  file: Type.String({ description: 'Of the project, without its folder.' }),
  sql: Type.String({ description: "The query's own statement." }),
  isCurrent: Type.Boolean({ description: 'It runs, or would if it had not failed.' }),
})
const History = Type.Object({
  query: Type.String(),
  versions: Type.Array(QueryVersion, { description: 'Newest first, at most 50.' }),
  events: Type.Array(
    Type.Union([
      Type.Object({
        kind: Type.Literal('started'),
        atMs,
        by,
        version,
        checkpointId: optional(count('From which it went on; without one it began at the start of its topics.')),
      }),
      Type.Object({ kind: Type.Literal('stopped'), atMs, by }),
      Type.Object({ kind: Type.Literal('failed'), atMs, error: ErrorInfo }),
    ]),
    { description: 'Newest first, at most 200.' },
  ),
})
const Deploys = Type.Array(
  Type.Object({
    query: Type.String(),
    version,
    atMs,
    by,
    file: Type.String({ description: 'Of the project, without its folder.' }),
    isCurrent: Type.Boolean({ description: 'It runs, or would if it had not failed.' }),
    linesAdded: count('Lines that the version before has not.'),
    linesRemoved: count('Lines of the version before that this one has not.'),
  }),
)
same<Static<typeof Deploys>, contract.Deploy[]>(true)
const DeploysQuery = Type.Object(
  { limit: optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 20, description: 'At most so many.' })) },
  { additionalProperties: false },
)
const VersionParams = Type.Object({ ...QueryParams.properties, version })
const File = Type.Object({ file: Type.String(), text: Type.String() })

same<Static<typeof History>, contract.QueryHistory>(true)

export function registerHistory(app: FastifyInstance, { history, queries }: Pick<ServeDeps, 'history' | 'queries'>): void {
  app.get<{ Params: Static<typeof QueryParams> }>(
    '/v1/queries/:id/history',
    {
      schema: {
        summary: 'Texts that a query has had, its starts and its failures; also of one that does not run any more.',
        params: QueryParams,
        querystring: NoQuery,
        response: { 200: History },
      },
    },
    async ({ params: { id } }) => {
      const found = await history.ofQuery(id)
      if (found) return found
      throw queryNotFound(id, queries())
    },
  )
  app.get<{ Querystring: Static<typeof DeploysQuery> }>(
    '/v1/deploys',
    {
      schema: {
        summary: 'What was deployed last: texts that queries began to run with, the newest first.',
        querystring: DeploysQuery,
        response: { 200: Deploys },
      },
    },
    ({ query: { limit = 20 } }) => history.deploys(limit),
  )
  app.get<{ Params: Static<typeof VersionParams> }>(
    '/v1/queries/:id/history/:version',
    {
      schema: {
        summary:
          'The whole file as it was with a version of a query: deploy it again to go back. Whoever may not deploy sees no secrets in it.',
        params: VersionParams,
        querystring: NoQuery,
        response: { 200: File },
      },
    },
    async (request) => {
      const { id, version } = request.params
      const found = await history.fileOf(id, version)
      if (found) return { ...found, text: shownTo(request, found.text) }
      throw serveErrors('SERVE_VERSION_NOT_FOUND', { query: id, version })
    },
  )
}
