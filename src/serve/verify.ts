// /v1/verify/exactly-once: the crash test of the project, started, watched, and its certificate.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { CrashTest } from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { NoQuery, same } from './schemas.ts'

const count = Type.Integer({ minimum: 0 })
const Test = Type.Object({
  state: Type.Union([Type.Literal('none'), Type.Literal('running'), Type.Literal('done'), Type.Literal('failed')]),
  lines: Type.Array(Type.String(), { description: 'How far it is; the last ones say why it failed.' }),
  startedMs: Type.Optional(Type.Number()),
  certificate: Type.Optional(
    Type.Object({
      pipeline: Type.String(),
      isExactlyOnce: Type.Boolean(),
      millrace: Type.String(),
      node: Type.String(),
      startedAt: Type.String(),
      seconds: Type.Number(),
      seed: Type.Number(),
      events: Type.Record(Type.String(), count),
      refused: Type.Record(Type.String(), count, { description: 'Of these events: kept as dead letters.' }),
      kills: Type.Array(Type.Object({ cause: Type.String(), afterBatches: count, restored: Type.Boolean() })),
      results: Type.Array(
        Type.Object({
          name: Type.String(),
          kind: Type.String(),
          rows: count,
          rowsWithCrashes: count,
          missingCount: count,
          extraCount: count,
          missing: Type.Array(Type.String()),
          extra: Type.Array(Type.String()),
          sha256: Type.String(),
          note: Type.Optional(Type.String()),
        }),
      ),
    }),
  ),
})
same<Static<typeof Test>, CrashTest>(true)
const Body = Type.Object({ kills: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })) }, { additionalProperties: false })

export function registerVerify(app: FastifyInstance, { crashTests }: Pick<ServeDeps, 'crashTests'>): void {
  if (crashTests === undefined) return
  app.get(
    '/v1/verify/exactly-once',
    { schema: { summary: 'The last crash test: how far it is, then its certificate.', querystring: NoQuery, response: { 200: Test } } },
    () => crashTests.status(),
  )
  app.post<{ Body: Static<typeof Body> }>(
    '/v1/verify/exactly-once',
    {
      config: { role: 'admin' },
      schema: {
        summary: 'Starts a crash test: copies of the project are killed, what runs is only read.',
        body: Body,
        querystring: NoQuery,
        response: { 202: Test },
      },
    },
    (request, reply) => reply.code(202).send(crashTests.start(request.body.kills ?? 10)),
  )
}
