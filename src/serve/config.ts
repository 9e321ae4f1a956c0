// /v1/queries/:id/config and /v1/config: what a query and the process are set to, where each value comes from, what a change of it does.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type * as contract from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { queryNotFound } from './errors.ts'
import { count, NoQuery, optional, QueryParams, same } from './schemas.ts'

const literals = <const T extends readonly string[]>(values: T) =>
  Type.Unsafe<T[number]>(Type.Union(values.map((value) => Type.Literal(value))))
const text = (description: string) => Type.String({ description })

const Source = Type.Object({
  kind: literals(['default', 'SET', 'WITH', 'ALTER TABLE', 'hint', 'config file', 'environment', 'flag', 'by hand']),
  file: optional(text('With its folder, of the project.')),
  line: optional(Type.Integer()),
  column: optional(Type.Integer()),
  name: optional(text('Of a flag, a variable of the environment, or a command.')),
})
const place = { file: Type.String(), line: Type.Integer(), column: Type.Integer() }
const QueryConfig = Type.Object({
  query: Type.String(),
  ...place,
  sql: text('Its statement, as it was deployed.'),
  parallelism: Type.Object({ subtasks: count(), reason: optional(text('Why it cannot be more than one.')) }),
  declared: Type.Array(
    Type.Object({ kind: literals(['table', 'view', 'materialized table', 'function']), name: Type.String(), ...place, sql: Type.String() }),
    { description: 'What it reads, writes to and calls, through views too. Values of secrets are masked.' },
  ),
  builtIns: Type.Array(Type.String(), { description: "Functions of Flink's that it calls." }),
  settings: Type.Array(
    Type.Object({
      name: Type.String(),
      table: optional(text('Whose option it is; absent for what holds for the query.')),
      value: text('In force now. Those of secrets are masked.'),
      default: optional(text('Absent where without it nothing is said.')),
      source: Source,
      change: Type.Unsafe<contract.QueryConfig['settings'][number]['change']>(
        literals(['at once', 'restart', 'new plan', 'at its beginning', 'nothing']),
      ),
      note: optional(Type.String()),
    }),
  ),
})
const ProcessConfig = Type.Array(
  Type.Object({
    name: text('In millrace.config.ts.'),
    value: text('In force since the start of the process. Those of secrets are masked.'),
    default: optional(Type.String()),
    source: Source,
    flag: optional(Type.String()),
    variable: optional(text('Of the environment.')),
    description: Type.String(),
  }),
)

same<Static<typeof QueryConfig>, contract.QueryConfig>(true)
same<Static<typeof ProcessConfig>, contract.ProcessSetting[]>(true)

export function registerConfig(
  app: FastifyInstance,
  { configOf, processConfig, queries }: Pick<ServeDeps, 'configOf' | 'processConfig' | 'queries'>,
): void {
  app.get<{ Params: { id: string } }>(
    '/v1/queries/:id/config',
    {
      schema: {
        summary:
          'A query as it was deployed: its text, what it uses, each setting with its value, default, source, and what a change does.',
        params: QueryParams,
        querystring: NoQuery,
        response: { 200: QueryConfig },
      },
    },
    ({ params: { id } }) => {
      const found = configOf(id)
      if (found) return found
      throw queryNotFound(id, queries())
    },
  )
  app.get(
    '/v1/config',
    {
      config: { role: 'admin' },
      schema: {
        summary: 'What the process was started with, and where each value comes from: flags, environment, millrace.config.ts, defaults.',
        querystring: NoQuery,
        response: { 200: ProcessConfig },
      },
    },
    () => processConfig(),
  )
}
