// Errors of the query API.
import { defineErrors, spec } from '../base/index.ts'

const user = { kind: 'user', httpStatus: 400, retry: 'never' } as const

export const serveErrors = defineErrors({
  SERVE_PARAMETER_UNKNOWN: spec<{ parameter: string; nearest?: string }>({
    ...user,
    message: (p) => `"${p.parameter}" is neither a column nor a parameter of this route`,
    hint: (p) => (p.nearest ? `Did you mean "${p.nearest}"?` : 'GET /v1/openapi.json lists the parameters, GET /v1/tables the columns.'),
  }),
  SERVE_TOPIC_NOT_FOUND: spec<{ topic: string; nearest?: string }>({
    ...user,
    httpStatus: 404,
    message: (p) => `topic "${p.topic}" does not exist`,
    hint: (p) => (p.nearest ? `Did you mean "${p.nearest}"?` : 'GET /v1/topics lists the topics; CREATE TABLE makes one.'),
  }),
  SERVE_QUERY_NOT_FOUND: spec<{ query: string; nearest?: string; project?: string }>({
    ...user,
    httpStatus: 404,
    message: (p) => `no query "${p.query}" runs${p.project ? `, and a file of the project is wrong: ${p.project}` : ''}`,
    hint: (p) =>
      p.project
        ? 'Mend the file: `millrace dev` takes it up.'
        : p.nearest
          ? `Did you mean "${p.nearest}"?`
          : 'GET /v1/queries lists them: each CREATE MATERIALIZED TABLE and INSERT INTO of the project is one.',
  }),
  SERVE_OFFSET_NEEDS_PARTITION: spec<{ topic: string; partitionCount: number }>({
    ...user,
    message: (p) => `topic "${p.topic}" has ${p.partitionCount} partitions, and an offset belongs to one of them`,
    hint: () => 'Add partition=…',
  }),
  SERVE_PREVIEW_MESSAGE: spec<{ sizeMax: number }>({
    ...user,
    message: () => 'the first message of this WebSocket is not a statement',
    hint: (p) => `Send {"sql": "SELECT …"} as text, with up to ${p.sizeMax} characters.`,
  }),
  SERVE_PREVIEW_SILENT: spec<{ seconds: number }>({
    ...user,
    httpStatus: 408,
    message: (p) => `no statement came within ${p.seconds} seconds`,
    hint: () => 'Send {"sql": "SELECT …"} as soon as the WebSocket is open.',
  }),
  SERVE_EXPORTS_LIMIT: spec<{ max: number }>({
    kind: 'user',
    httpStatus: 503,
    retry: 'later',
    message: (p) => `${p.max} exports are running already`,
    hint: () => 'Try again when one has ended, or read pages with limit and cursor.',
  }),
})
