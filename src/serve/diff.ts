// POST /v1/queries/diff and /v1/queries/forecast: what would be different if a file had another text, and how much state its queries would hold. They
// change nothing.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { formatType } from '../data/index.ts'
import type { QueryDiff, ScriptDiff } from '../jobs/index.ts'
import { rowJson } from '../views/index.ts'
import { roleOf } from './audit.ts'
import type { StateForecast } from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { serveErrors } from './errors.ts'
import { same } from './schemas.ts'

const TEXT_CHARACTERS_MAX = 10_000

const Body = Type.Object(
  {
    file: Type.String({ minLength: 1, maxLength: 200, description: "A file's name: its text in the project is replaced, if it is there." }),
    sql: Type.String({ minLength: 1, maxLength: 200_000 }),
    since: Type.Optional(Type.String({ description: '30m, 2h, 1d, a point in time, or earliest; 1h unless said.' })),
    numbers: Type.Optional(Type.Literal('string')),
  },
  { additionalProperties: false },
)
const Rows = Type.Array(Type.Array(Type.Unknown()))
const Column = Type.Object({ name: Type.String(), type: Type.String() })
const count = Type.Integer({ minimum: 0 })
const Answer = Type.Object({
  sinceMs: Type.Number(),
  untilMs: Type.Number(),
  records: count,
  queries: Type.Array(
    Type.Object({
      query: Type.String(),
      state: Type.Union([Type.Literal('changed'), Type.Literal('new'), Type.Literal('same plan')]),
      columns: Type.Array(Column),
      oldColumns: Type.Array(Column),
      key: Type.Array(Type.String()),
      counts: Type.Object({ old: count, new: count, same: count, changed: count, onlyOld: count, onlyNew: count }),
      changed: Type.Array(
        Type.Object({ key: Type.Array(Type.Unknown()), before: Type.Array(Type.Unknown()), after: Type.Array(Type.Unknown()) }),
      ),
      onlyOld: Rows,
      onlyNew: Rows,
      first: Type.Optional(
        Type.Object({
          topic: Type.String(),
          partition: count,
          offset: count,
          timestampMs: Type.Number(),
          key: Type.Union([Type.String(), Type.Null()]),
          value: Type.Union([Type.String(), Type.Null()]),
        }),
      ),
    }),
  ),
})

const { numbers: _numbers, ...forecastBody } = Body.properties
const ForecastBody = Type.Object(forecastBody, { additionalProperties: false })
const Forecast = Type.Object({
  firstMs: Type.Number({ description: 'Of the records that were read; 0 if there is none.' }),
  lastMs: Type.Number(),
  records: count,
  queries: Type.Array(
    Type.Object({
      query: Type.String(),
      state: Type.Union([Type.Literal('changed'), Type.Literal('new')]),
      recordsRead: count,
      stateRows: count,
      stateBytes: count,
      bytesPerHour: Type.Optional(Type.Number({ description: '0 where it is steady; absent where the time is too short to say.' })),
      operators: Type.Array(Type.Object({ label: Type.String(), stateRows: count, stateBytes: count })),
    }),
  ),
})
same<Static<typeof Forecast>, StateForecast>(true)

export function registerDiff(app: FastifyInstance, { diffScript, forecastState }: Pick<ServeDeps, 'diffScript' | 'forecastState'>): void {
  let isRunning = false
  /** One at a time, as it costs as much as the queries do; it ends with its client. */
  const alone = async <T>(request: FastifyRequest, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    if (isRunning) throw serveErrors('SERVE_DIFF_RUNNING', {})
    const gone = new AbortController()
    const onClose = () => gone.abort(new Error('the client has gone'))
    request.raw.socket.once('close', onClose)
    isRunning = true
    try {
      return await work(gone.signal)
    } finally {
      isRunning = false
      request.raw.socket.off('close', onClose)
    }
  }
  app.post<{ Body: Static<typeof Body> }>(
    '/v1/queries/diff',
    {
      config: { role: 'reader' },
      schema: {
        summary:
          'A changed file beside what runs: both over the same slice of the log, row by row, with the first record that makes a difference.',
        body: Body,
        response: { 200: Answer },
      },
    },
    async (request, reply) => {
      const { file, sql, since = '1h', numbers } = request.body
      const sinceMs = timeOf(since, Date.now())
      const diff = await alone(request, (signal) => diffScript(file, sql, { sinceMs, signal, mayRunFiles: roleOf(request) === 'admin' }))
      reply.type('application/json').serializer((text: string) => text)
      return diffJson(diff, numbers === 'string')
    },
  )
  app.post<{ Body: Static<typeof ForecastBody> }>(
    '/v1/queries/forecast',
    {
      config: { role: 'reader' },
      schema: {
        summary: 'How much state the queries of a changed file would hold: measured over a slice of the log, in a shadow.',
        body: ForecastBody,
        response: { 200: Forecast },
      },
    },
    (request) => {
      const { file, sql, since = '1h' } = request.body
      const sinceMs = timeOf(since, Date.now())
      return alone(request, (signal) => forecastState(file, sql, { sinceMs, signal, mayRunFiles: roleOf(request) === 'admin' }))
    },
  )
}

const unitsMs: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** @throws StreamError SERVE_SINCE_INVALID */
export function timeOf(since: string, nowMs: number): number {
  if (since === 'earliest') return 0
  const [, amount, unit] = /^(\d+(?:\.\d+)?)\s*([smhd])$/.exec(since.trim()) ?? []
  const ms = unit === undefined ? Date.parse(since) : nowMs - Number(amount) * unitsMs[unit]
  if (!Number.isFinite(ms)) throw serveErrors('SERVE_SINCE_INVALID', { since })
  return ms
}

/** Rows as text: an exact numeral beyond 2^53 would not survive JSON.stringify. */
function diffJson({ queries, ...slice }: ScriptDiff, numbersAsText: boolean): string {
  return `${JSON.stringify(slice).slice(0, -1)},"queries":[${queries.map((query) => queryJson(query, numbersAsText)).join(',')}]}`
}

function queryJson(diff: QueryDiff, numbersAsText: boolean): string {
  const { query, state, fields, oldFields, key, counts, changed, onlyOld, onlyNew, first } = diff
  const columnsOf = (all: typeof fields) => all.map(({ name, type }) => ({ name, type: formatType(type) }))
  const [next, old] = [fields, oldFields].map((all) => rowJson(all, { numbersAsText }))
  const keyText = rowJson(
    key.map((ordinal) => fields[ordinal]),
    { numbersAsText },
  )
  const head = {
    query,
    state,
    columns: columnsOf(fields),
    oldColumns: columnsOf(oldFields),
    key: key.map((ordinal) => fields[ordinal].name),
    counts,
  }
  const text = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString('utf8').slice(0, TEXT_CHARACTERS_MAX))
  const record = first && {
    topic: first.topic,
    partition: first.record.partition,
    offset: first.record.offset,
    timestampMs: first.record.timestampMs,
    key: text(first.record.key),
    value: text(first.record.value),
  }
  const changedText = changed.map((row) => `{"key":${keyText(row.key)},"before":${old(row.before)},"after":${next(row.after)}}`)
  return [
    JSON.stringify(head).slice(0, -1),
    `"changed":[${changedText.join(',')}]`,
    `"onlyOld":[${onlyOld.map(old).join(',')}]`,
    `"onlyNew":[${onlyNew.map(next).join(',')}]${record ? `,"first":${JSON.stringify(record)}` : ''}}`,
  ].join(',')
}
