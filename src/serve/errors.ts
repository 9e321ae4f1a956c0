// Errors of the query API.
import { defineErrors, nearestName, type StreamError, spec } from '../base/index.ts'

const listOf = (what: string, names: readonly string[]): string =>
  `${names.length === 1 ? what : what.replace(/y$/, 'ie').replace(/$/, 's')} ${names.map((name) => `"${name}"`).join(', ')}`

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
    hint: (p) =>
      p.nearest
        ? `Did you mean "${p.nearest}"?`
        : '`millrace topics` (GET /v1/topics) lists them; CREATE TABLE or `millrace topics create` makes one.',
  }),
  SERVE_KAFKA_OFF: spec<Record<never, never>>({
    ...user,
    httpStatus: 409,
    message: () => 'there is no Kafka port here',
    hint: () => 'Start with --kafka-port 9092.',
  }),
  SERVE_VERSION_NOT_FOUND: spec<{ query: string; version: number }>({
    ...user,
    httpStatus: 404,
    message: (p) => `no version ${p.version} of "${p.query}" is known`,
    hint: (p) => `GET /v1/queries/${p.query}/history lists those that are.`,
  }),
  SERVE_QUERY_NOT_FOUND: spec<{ query: string; nearest?: string; project?: string; droppedIn?: string }>({
    ...user,
    httpStatus: 404,
    message: (p) =>
      `no query "${p.query}" runs${p.droppedIn ? `: ${p.droppedIn} drops it` : p.project ? `, and a file of the project is wrong: ${p.project}` : ''}`,
    hint: (p) =>
      p.droppedIn
        ? 'Take the DROP out of that file to have it again: it is then computed anew.'
        : p.project
          ? 'Mend the file: `millrace dev` takes it up.'
          : p.nearest
            ? `Did you mean "${p.nearest}"?`
            : '`millrace queries` (GET /v1/queries) lists them: each CREATE MATERIALIZED TABLE and INSERT INTO of the project is one.',
  }),
  SERVE_STATE_NOT_RUNNING: spec<{ query: string; state: string }>({
    ...user,
    httpStatus: 409,
    message: (p) => `"${p.query}" is ${p.state}: no operator holds its state`,
    hint: (p) =>
      `Start it: \`millrace queries start ${p.query}\`. Of its newest checkpoint \`millrace state ${p.query} --data FOLDER\` shows sizes and some keys; rows of it are not shown here, as all of its state would have to be loaded for one key.`,
  }),
  SERVE_STATE_SILENT: spec<{ query: string }>({
    kind: 'external',
    httpStatus: 503,
    retry: 'later',
    message: (p) => `the worker of "${p.query}" does not answer`,
    hint: () => 'It is busy with one step, or is being started again. Ask again in a moment.',
  }),
  SERVE_STATE_KEY: spec<{ key: string }>({
    ...user,
    message: (p) => `a key is a JSON object of its columns, or column=value, and not ${p.key}`,
    hint: () => `Such as key=user=42, or key={"user":42,"city":null}; several columns: repeat it.`,
  }),
  SERVE_FILTER_DECLARED: spec<{ name: string; subject: string }>({
    ...user,
    httpStatus: 409,
    message: (p) => `the filter "${p.name}" of ${p.subject} is declared in millrace.config.ts`,
    hint: () => 'Change it there, or save this one under another name.',
  }),
  SERVE_FILTER_NOT_FOUND: spec<{ name: string; subject: string }>({
    ...user,
    httpStatus: 404,
    message: (p) => `there is no filter "${p.name}" of ${p.subject}`,
    hint: () => 'GET /v1/filters lists them.',
  }),
  SERVE_LETTERS_NONE: spec<{ topic: string; owner: string }>({
    ...user,
    httpStatus: 404,
    message: (p) => `topic "${p.topic}" is not there yet: nothing of "${p.owner}" has been refused`,
    hint: () => 'It is made with the first event that is.',
  }),
  SERVE_TOPIC_INTERNAL: spec<{ topic: string }>({
    ...user,
    httpStatus: 403,
    message: (p) => `topic "${p.topic}" is the server's own`,
    hint: () => 'It can be read, and nothing else. Names that begin with __ are for such topics.',
  }),
  SERVE_TOPIC_IN_USE: spec<{ topic: string; tables: string[]; queries: string[] }>({
    ...user,
    httpStatus: 409,
    message: (p) =>
      `topic "${p.topic}" is declared by ${listOf('table', p.tables)}${p.queries.length > 0 ? ` and used by ${listOf('query', p.queries)}` : ''}`,
    hint: () => 'Take them out of the project first, or say force: queries that read it fail then.',
  }),
  SERVE_DELETE_UNCONFIRMED: spec<{ topic: string; recordCount: number }>({
    ...user,
    message: (p) => `deleting topic "${p.topic}" with its ${p.recordCount} records needs its name once more`,
    hint: (p) => `Add confirm=${encodeURIComponent(p.topic)} (on the command line: --confirm). There is no way back.`,
  }),
  SERVE_PARTITION_NOT_FOUND: spec<{ topic: string; partition: number; partitionCount: number }>({
    ...user,
    httpStatus: 404,
    message: (p) => `topic "${p.topic}" has no partition ${p.partition}`,
    hint: (p) => `Its partitions are 0 to ${p.partitionCount - 1}.`,
  }),
  SERVE_SEEK_INVALID: spec<{ reason: string }>({
    ...user,
    message: (p) => `where to begin is not clear: ${p.reason}`,
    hint: () => 'Use one of from=newest, from=oldest, offset=1000, time=2026-03-01T12:00:00Z (or epoch ms).',
  }),
  SERVE_CURSOR_INVALID: spec<{ topic: string }>({
    ...user,
    message: (p) => `the cursor is not one of topic "${p.topic}"`,
    hint: () => 'Hand back `next` of the page before as it came, or begin without a cursor.',
  }),
  SERVE_BYTES_INVALID: spec<{ encoding: string }>({
    ...user,
    message: (p) => `a key or value is no ${p.encoding}`,
    hint: () => 'Use two hexadecimal digits for each byte, or base64, or leave out `encoding` for text.',
  }),
  SERVE_LETTER_NOT_FOUND: spec<{ topic: string; partition: number; offset: number }>({
    ...user,
    httpStatus: 404,
    message: (p) => `topic "${p.topic}" has no record ${p.partition}/${p.offset}`,
    hint: () => 'GET /v1/topics/{topic}/letters lists the letters; retention may have taken this one.',
  }),
  SERVE_LETTER_REPAIRED: spec<{ topic: string; partition: number; offset: number }>({
    ...user,
    httpStatus: 409,
    message: (p) => `letter ${p.partition}/${p.offset} of topic "${p.topic}" was sent again already`,
    hint: () => 'Say again: true to send it once more; the topic then has the event twice.',
  }),
  SERVE_GROUP_NOT_FOUND: spec<{ group: string; nearest?: string; hasKafka: boolean }>({
    ...user,
    httpStatus: 404,
    message: (p) => (p.hasKafka ? `there is no consumer group "${p.group}"` : 'there are no consumer groups: no Kafka client can connect'),
    hint: (p) =>
      p.hasKafka
        ? p.nearest
          ? `Did you mean "${p.nearest}"?`
          : 'GET /v1/groups lists them; a group begins with the first consumer that names it.'
        : 'Start with --kafka-port 9092.',
  }),
  SERVE_RESET_NOTHING: spec<{ group: string }>({
    ...user,
    message: (p) => `group "${p.group}" has no committed offset among these topics and partitions`,
    hint: () => 'Name topics that it reads: they need not have committed offsets.',
  }),
  SERVE_STATISTICS_LIMIT: spec<{ max: number }>({
    kind: 'user',
    httpStatus: 503,
    retry: 'later',
    message: (p) => `statistics of ${p.max} topics are being computed already`,
    hint: () => 'Try again in a moment.',
  }),
  SERVE_SINCE_INVALID: spec<{ since: string }>({
    ...user,
    message: (p) => `"${p.since}" is neither a length of time nor a point in time`,
    hint: () => 'Write 30m, 2h or 1d for the time until now, 2026-03-01T12:00:00Z for a point, or earliest.',
  }),
  SERVE_DIFF_RUNNING: spec<Record<string, never>>({
    kind: 'user',
    httpStatus: 503,
    retry: 'later',
    message: () => 'another comparison is running',
    hint: () => 'Each reads a part of the log several times: try again when it has ended.',
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

/** @param because  what the project says of it, where that is known */
export function queryNotFound(
  query: string,
  known: readonly { id: string }[],
  because: { project?: string; droppedIn?: string } = {},
): StreamError {
  const ids = known.map(({ id }) => id)
  return serveErrors('SERVE_QUERY_NOT_FOUND', { query, nearest: nearestName(query, ids), ...because })
}
