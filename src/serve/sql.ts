// POST /v1/sql: one statement over what the topics hold now; SHOW, DESCRIBE and EXPLAIN as well. It changes nothing.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { Field } from '../data/index.ts'
import { formatType } from '../data/index.ts'
import type { SliceOptions } from '../jobs/index.ts'
import { formatScript } from '../sql/index.ts'
import { rowJson } from '../views/index.ts'
import { shownTo } from './audit.ts'
import type { SqlSlice } from './contract.ts'
import { timeOf } from './diff.ts'
import { same } from './schemas.ts'

/** Rows are values as `data/types.ts` holds them. Text about the project, as of SHOW, goes through `shown`. */
export type RunSql = (
  sql: string,
  options: { rowsMax: number; signal: AbortSignal; slice?: SliceOptions; shown: (text: string) => string },
) => Promise<{ fields: Field[]; rows: unknown[][] }>

const ROWS_MAX = 10_000
const offset = (description: string) => Type.Optional(Type.Integer({ minimum: 0, description }))
/** A part of the topics, for whoever does not want to read them whole. */
export const SliceBody = Type.Object(
  {
    since: Type.Optional(Type.String({ description: '30m, 2h, 1d, a point in time, or earliest: of the timestamps in the log.' })),
    until: Type.Optional(Type.String({ description: 'As `since`; the end unless said.' })),
    partition: offset('Of each topic only this one.'),
    offset: offset('The first offset that is read.'),
    endOffset: offset('The offset before which reading ends.'),
    newest: Type.Optional(Type.Integer({ minimum: 1, description: 'Of each partition at most so many of the newest records.' })),
  },
  { additionalProperties: false },
)
same<Static<typeof SliceBody>, SqlSlice>(true)

/** @throws StreamError SERVE_SINCE_INVALID */
export function sliceOf({ since, until, ...rest }: SqlSlice): SliceOptions {
  const nowMs = Date.now()
  return {
    ...rest,
    ...(since !== undefined && { sinceMs: timeOf(since, nowMs) }),
    ...(until !== undefined && { untilMs: timeOf(until, nowMs) }),
  }
}

const Body = Type.Object(
  {
    sql: Type.String({ minLength: 1, description: 'One statement, without its semicolon.' }),
    rowsMax: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000, description: `More rows are an error; ${ROWS_MAX} unless said.` })),
    slice: Type.Optional(SliceBody),
    numbers: Type.Optional(Type.Union([Type.Literal('exact'), Type.Literal('string')], { description: 'BIGINT and DECIMAL as text.' })),
  },
  { additionalProperties: false },
)
const Answer = Type.Object({
  columns: Type.Array(Type.Object({ name: Type.String(), type: Type.String() })),
  rows: Type.Array(Type.Array(Type.Unknown())),
})

const FormatBody = Type.Object({ sql: Type.String({ maxLength: 200_000 }) }, { additionalProperties: false })

export function registerSql(app: FastifyInstance, runSql: RunSql): void {
  app.post<{ Body: Static<typeof FormatBody> }>(
    '/v1/sql/format',
    {
      config: { role: 'reader' },
      schema: {
        summary: 'A script laid out: the same tokens and comments. Statements that cannot be read stay as they are.',
        body: FormatBody,
        response: { 200: FormatBody },
      },
    },
    ({ body }) => ({ sql: formatScript(body.sql) }),
  )
  app.post<{ Body: Static<typeof Body> }>(
    '/v1/sql',
    {
      config: { role: 'reader' },
      schema: {
        summary: 'Runs one statement over what the topics hold now: a query ends where they end.',
        body: Body,
        response: { 200: Answer },
      },
    },
    async (request, reply) => {
      const { sql, rowsMax = ROWS_MAX, numbers = 'exact', slice } = request.body
      const gone = new AbortController()
      const onClose = () => gone.abort()
      request.raw.socket.once('close', onClose)
      try {
        const { fields, rows } = await runSql(sql, {
          rowsMax,
          signal: gone.signal,
          shown: (text) => shownTo(request, text),
          ...(slice && { slice: sliceOf(slice) }),
        })
        const columns = fields.map(({ name, type }) => ({ name, type: formatType(type) }))
        const encode = rowJson(fields, { numbersAsText: numbers === 'string' })
        // Text, not objects: an exact numeral beyond 2^53 would not survive JSON.stringify.
        reply.type('application/json').serializer((text: string) => text)
        return `{"columns":${JSON.stringify(columns)},"rows":[${rows.map(encode).join(',')}]}`
      } finally {
        request.raw.socket.off('close', onClose)
      }
    },
  )
}
