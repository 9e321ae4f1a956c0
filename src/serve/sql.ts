// POST /v1/sql: one statement over what the topics hold now; SHOW, DESCRIBE and EXPLAIN as well. It changes nothing.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { Field } from '../data/index.ts'
import { formatType } from '../data/index.ts'
import { rowJson } from '../views/index.ts'

/** Rows are values as `data/types.ts` holds them. */
export type RunSql = (sql: string, options: { rowsMax: number; signal: AbortSignal }) => Promise<{ fields: Field[]; rows: unknown[][] }>

const ROWS_MAX = 10_000
const Body = Type.Object(
  {
    sql: Type.String({ minLength: 1, description: 'One statement, without its semicolon.' }),
    rowsMax: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000, description: `More rows are an error; ${ROWS_MAX} unless said.` })),
    numbers: Type.Optional(Type.Union([Type.Literal('exact'), Type.Literal('string')], { description: 'BIGINT and DECIMAL as text.' })),
  },
  { additionalProperties: false },
)
const Answer = Type.Object({
  columns: Type.Array(Type.Object({ name: Type.String(), type: Type.String() })),
  rows: Type.Array(Type.Array(Type.Unknown())),
})

export function registerSql(app: FastifyInstance, runSql: RunSql): void {
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
      const { sql, rowsMax = ROWS_MAX, numbers = 'exact' } = request.body
      const gone = new AbortController()
      const onClose = () => gone.abort()
      request.raw.socket.once('close', onClose)
      try {
        const { fields, rows } = await runSql(sql, { rowsMax, signal: gone.signal })
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
