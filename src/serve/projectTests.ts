// /v1/project/tests: the golden files of a project, listed, played, written, and drafted from records in the log.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { SliceOptions } from '../jobs/index.ts'
import { shownTo } from './audit.ts'
import type { ProjectTest, TestRun } from './contract.ts'
import { ErrorInfo, NoQuery, same } from './schemas.ts'
import { SliceBody, sliceOf } from './sql.ts'

const TEXT_CHARACTERS_MAX = 1_000_000
/** So many of the newest records make a draft, unless a slice is said. */
const DRAFT_RECORDS = 50

export interface ProjectTests {
  list(): ProjectTest[]
  /** @throws StreamError PROJECT_TEST_NAME, PROJECT_TEST_CHANGED, GOLDEN_FILE_INVALID */
  write(name: string, text: string | null, version: string | null): ProjectTest[]
  /** @throws StreamError PROJECT_TEST_ENDED: the process that played it gave no answer */
  run(name: string): Promise<TestRun>
  /** The text of a test of that name: the statement over records of its topics, with the rows that come now. @throws StreamError of the SQL layer */
  draft(name: string, subject: { sql: string } | { query: string }, slice: SliceOptions): Promise<string>
}

const Tests = Type.Array(
  Type.Object({
    name: Type.String(),
    text: Type.String(),
    version: Type.String(),
    summary: Type.String({ description: 'The first line of the file.' }),
    queries: Type.Array(Type.String(), { description: 'Whose results it expects.' }),
  }),
)
const Run = Type.Object({
  passed: Type.Boolean(),
  seconds: Type.Number(),
  problems: Type.Array(
    Type.Object({
      modes: Type.Array(Type.String(), { description: 'As written, with crashes, in batches: those that differ alike.' }),
      lines: Type.Array(Type.String(), { description: '- what is expected, + what came.' }),
    }),
  ),
  error: Type.Optional(ErrorInfo),
})
same<Static<typeof Tests>, ProjectTest[]>(true)
same<Static<typeof Run>, TestRun>(true)

const Params = Type.Object({ name: Type.String({ maxLength: 200, description: 'Without its folder: `orders.test`.' }) })
// Not a union: what checks requests would make '' of null.
const version = Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Of the file as it was read; null if there was none.' })
const Body = Type.Object({ text: Type.String({ maxLength: TEXT_CHARACTERS_MAX }), version }, { additionalProperties: false })
const GoneBody = Type.Object({ version }, { additionalProperties: false })
const DraftBody = Type.Object(
  {
    sql: Type.Optional(Type.String({ minLength: 1, maxLength: 200_000, description: 'A query over tables of the project …' })),
    query: Type.Optional(Type.String({ minLength: 1, description: '… or the id of a running one.' })),
    slice: Type.Optional(SliceBody),
  },
  { additionalProperties: false },
)
const Draft = Type.Object({ text: Type.String() })

export function registerProjectTests(app: FastifyInstance, tests: ProjectTests | undefined): void {
  if (tests === undefined) return
  const reader = { role: 'reader' } as const
  const admin = { role: 'admin' } as const
  app.get(
    '/v1/project/tests',
    { config: reader, schema: { summary: "The project's golden files, `tests/*.test`.", querystring: NoQuery, response: { 200: Tests } } },
    (request) => tests.list().map((one) => ({ ...one, text: shownTo(request, one.text) })),
  )
  app.post<{ Params: Static<typeof Params> }>(
    '/v1/project/tests/:name/run',
    {
      config: admin,
      schema: {
        summary: 'Plays a golden file in every mode, as `millrace test` does, in a process of its own.',
        params: Params,
        querystring: NoQuery,
        response: { 200: Run },
      },
    },
    ({ params }) => tests.run(params.name),
  )
  app.post<{ Params: Static<typeof Params>; Body: Static<typeof DraftBody> }>(
    '/v1/project/tests/:name/draft',
    {
      config: reader,
      schema: {
        summary: `The text of a test of a query, with records of its topics (the newest ${DRAFT_RECORDS} of each partition unless a slice is said) and today's rows. Nothing is written.`,
        params: Params,
        body: DraftBody,
        querystring: NoQuery,
        response: { 200: Draft },
      },
    },
    async ({ params, body: { sql, query, slice } }) => {
      const subject = query === undefined ? { sql: sql ?? '' } : { query }
      return { text: await tests.draft(params.name, subject, sliceOf(slice ?? { newest: DRAFT_RECORDS })) }
    },
  )
  app.put<{ Params: Static<typeof Params>; Body: Static<typeof Body> }>(
    '/v1/project/tests/:name',
    {
      config: admin,
      schema: { summary: 'Writes a golden file.', params: Params, body: Body, querystring: NoQuery, response: { 200: Tests } },
    },
    ({ params, body }) => tests.write(params.name, body.text, body.version),
  )
  app.delete<{ Params: Static<typeof Params>; Body: Static<typeof GoneBody> }>(
    '/v1/project/tests/:name',
    {
      config: admin,
      schema: { summary: 'Removes a golden file.', params: Params, body: GoneBody, querystring: NoQuery, response: { 200: Tests } },
    },
    ({ params, body }) => tests.write(params.name, null, body.version),
  )
}
