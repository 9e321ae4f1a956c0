// /v1/health, /v1/queries, /v1/queries/:id/why, /v1/stats: how the process is.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { auditOf, byOf, roleOf } from './audit.ts'
import type { ServeDeps } from './deps.ts'
import { queryNotFound } from './errors.ts'
import { Access, Health, NoQuery, QueryParams, QuerySummary, QueryWhy, Stats } from './schemas.ts'
import type { LiveSocket, LiveSockets } from './sockets.ts'
import { upgradeRequired } from './tables.ts'
import { explainWhy } from './why.ts'

const STATS_MS = 1_000
const Rescale = Type.Object({ parallelism: Type.Optional(Type.Integer({ minimum: 1, maximum: 128 })) }, { additionalProperties: false })
const StartQuery = Type.Object({
  withoutState: Type.Optional(
    Type.Boolean({
      description: 'A table is computed again from the beginning of its topics; what an INSERT has written is written once more.',
    }),
  ),
})

export function registerStatus(app: FastifyInstance, deps: ServeDeps, sockets: LiveSockets): void {
  const { health, queries, control, inspectQuery, droppedIn, log, stats } = deps
  const watchers = new Set<LiveSocket>()
  const timer = setInterval(() => {
    if (watchers.size === 0) return
    const frame = Buffer.from(JSON.stringify(stats.current()))
    // A newer frame follows in a second: one who is slow misses some.
    for (const socket of watchers) if (socket.bufferedBytes() === 0) socket.send(frame)
  }, STATS_MS).unref()
  app.addHook('onClose', async () => clearInterval(timer))
  const notFound = (id: string) => queryNotFound(id, queries(), { project: health().parts.project?.detail, droppedIn: droppedIn(id) })

  app.get(
    '/v1/health',
    {
      config: { role: 'public' },
      schema: { summary: 'Whether the process is ready: 200, else 503.', querystring: NoQuery, response: { 200: Health, 503: Health } },
    },
    (_, reply) => {
      const body = health()
      reply.code(body.ready ? 200 : 503).send(body)
    },
  )
  app.get(
    '/v1/access',
    {
      config: { role: 'public' },
      schema: { summary: 'What the token of the request may do.', querystring: NoQuery, response: { 200: Access } },
    },
    (request) => {
      const { caller, server } = request
      return { isTokenNeeded: server.isTokenNeeded, role: roleOf(request), ...(caller && { name: caller.name }) }
    },
  )
  app.get(
    '/v1/queries',
    { schema: { summary: 'All queries and how they run.', querystring: NoQuery, response: { 200: Type.Array(QuerySummary) } } },
    () => queries(),
  )
  app.get<{ Params: { id: string } }>(
    '/v1/queries/:id/why',
    {
      schema: {
        summary: 'Why a query puts out nothing, or when its next row comes: the verdict, then the facts.',
        params: QueryParams,
        querystring: NoQuery,
        response: { 200: QueryWhy },
      },
    },
    async ({ params: { id } }) => {
      const insight = await inspectQuery(id)
      if (insight) return explainWhy(insight, log, Date.now())
      throw notFound(id)
    },
  )
  for (const action of ['stop', 'start'] as const)
    app.post<{ Params: { id: string } }>(
      `/v1/queries/:id/${action}`,
      {
        config: { role: 'admin' },
        schema: {
          summary:
            action === 'stop'
              ? 'Takes a checkpoint and stops a query; it stays so, also over restarts of the process, and its rows stay readable.'
              : 'Starts a query that is stopped or failed, from its checkpoint; `withoutState`: begins it anew, also one that runs.',
          params: QueryParams,
          ...(action === 'start' && { body: StartQuery }),
          querystring: NoQuery,
          response: { 200: QuerySummary },
        },
      },
      async (request) => {
        const { params, body } = request
        const { withoutState = false } = (body ?? {}) as Static<typeof StartQuery>
        const by = byOf(request)
        const id = await (action === 'stop' ? control.stop(params.id, by) : control.start(params.id, withoutState, by))
        if (id !== undefined)
          auditOf(deps, request)(action === 'stop' ? 'query stopped' : 'query started', {
            query: id,
            ...(withoutState && { withoutState }),
          })
        const found = queries().find((query) => query.id === id)
        if (found) return found
        throw notFound(params.id)
      },
    )
  app.post<{ Params: { id: string }; Body: Static<typeof Rescale> }>(
    '/v1/queries/:id/rescale',
    {
      config: { role: 'admin' },
      schema: {
        summary:
          'Has a query run in another number of threads, from its checkpoint and over restarts; without a number, as the project says.',
        params: QueryParams,
        body: Rescale,
        querystring: NoQuery,
        response: { 200: QuerySummary },
      },
    },
    async (request) => {
      const { params, body } = request
      const id = await control.rescale(params.id, body.parallelism, byOf(request))
      if (id !== undefined) auditOf(deps, request)('query rescaled', { query: id, parallelism: body.parallelism ?? 'as the project says' })
      const found = queries().find((query) => query.id === id)
      if (found) return found
      throw notFound(params.id)
    },
  )
  app.get('/v1/stats', { schema: { summary: 'Figures of the process.', querystring: NoQuery, response: { 200: Stats } } }, () =>
    stats.current(),
  )
  app.route({
    method: 'GET',
    url: '/v1/stats/live',
    attachValidation: true,
    schema: { summary: 'WebSocket: the figures, every second.', querystring: NoQuery, response: { 101: Stats } },
    handler: (request) => {
      throw upgradeRequired(request)
    },
    wsHandler: (webSocket, request) =>
      sockets.open(webSocket, request, (socket) => {
        watchers.add(socket)
        socket.send(Buffer.from(JSON.stringify(stats.current())))
        return () => watchers.delete(socket)
      }),
  })
}
