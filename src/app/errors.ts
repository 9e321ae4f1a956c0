// Errors of the command line and of starting up.
import { defineErrors, moduleHint, spec } from '../base/index.ts'

export const appErrors = defineErrors({
  OPTION_INVALID: spec<{ option: string; value: string; expected: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `${p.option} is "${p.value}", expected ${p.expected}`,
    hint: () => 'Run the command with --help to see its options.',
  }),
  CONFIG_INVALID: spec<{ path: string; reason: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `${p.path} cannot be used: ${p.reason}`,
    hint: (p) => moduleHint(p.reason) ?? "It should hold: import { defineConfig } from 'millrace'; export default defineConfig({ … })",
  }),
  FILE_UNUSABLE: spec<{ path: string; reason: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) =>
      p.reason === 'ENOENT'
        ? `${p.path} cannot be opened: it, or its folder, is not there`
        : p.reason === 'EACCES' || p.reason === 'EPERM'
          ? `${p.path} may not be used by this user`
          : `${p.path} cannot be used: ${p.reason}`,
    hint: (p) =>
      p.reason === 'ENOENT'
        ? 'Check how it is spelled, and in which folder you are.'
        : 'Check that its folder exists and that this user may read and write it.',
  }),
  PROJECT_EXISTS: spec<{ folder: string; files: string[] }>({
    kind: 'user',
    httpStatus: 409,
    retry: 'never',
    message: (p) => `"${p.folder}" has ${p.files.join(', ')} already; nothing was written`,
    hint: () => 'Name another folder, or start what is there: `millrace dev FOLDER`.',
  }),
  PROJECT_FILE_NAME: spec<{ name: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `"${p.name}" cannot be the name of a SQL file of the project`,
    hint: () => 'Letters, digits, "_", "-" and "." without a folder, and .sql at the end: orders.sql.',
  }),
  PROJECT_FILE_CHANGED: spec<{ name: string; version: string }>({
    kind: 'user',
    httpStatus: 409,
    retry: 'never',
    message: (p) =>
      p.version === 'none' ? `"${p.name}" is not there (any more)` : `"${p.name}" is not what you have seen: its version is ${p.version}`,
    hint: () => 'Read it again with GET /v1/project/files, and make your change to what it is now.',
  }),
  PROJECT_FILE_LAST: spec<{ name: string }>({
    kind: 'user',
    httpStatus: 409,
    retry: 'never',
    message: (p) => `"${p.name}" is the only SQL file: without it this is no project`,
    hint: () => 'Write another file first, or empty this one.',
  }),
  PROJECT_TEST_NAME: spec<{ name: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `"${p.name}" cannot be the name of a test of the project`,
    hint: () => 'Letters, digits, "_", "-" and "." without a folder, and .test at the end: orders.test.',
  }),
  PROJECT_TEST_CHANGED: spec<{ name: string; version: string }>({
    kind: 'user',
    httpStatus: 409,
    retry: 'never',
    message: (p) =>
      p.version === 'none'
        ? `there is no test "${p.name}" (any more)`
        : `the test "${p.name}" is not what you have seen: its version is ${p.version}`,
    hint: () => 'Read it again with GET /v1/project/tests, or take another name.',
  }),
  PROJECT_TEST_NO_QUERY: spec<{ query: string }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `there is no query "${p.query}"`,
    hint: () => 'GET /v1/queries lists them.',
  }),
  TEST_ENDED: spec<{ file: string }>({
    kind: 'user',
    httpStatus: 422,
    retry: 'never',
    message: (p) => `${p.file}: the process that played it had to be ended`,
    hint: () => 'A function that it calls does not return, in a loop that nothing else can end, or takes all memory. Mend the function.',
  }),
  PROJECT_TEST_ENDED: spec<{ seconds: number; reason: string }>({
    kind: 'user',
    httpStatus: 422,
    retry: 'never',
    message: (p) => `the test ended after ${p.seconds} s without a result${p.reason === '' ? '' : `: ${p.reason}`}`,
    hint: () => 'Run `millrace test` in the project to see what it does.',
  }),
  PROJECT_TEST_SECTION: spec<{ line: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `the line "${p.line}" of the statement would begin a section of the golden file`,
    hint: () => 'Take it out, or put a space before it.',
  }),
  PROJECT_FILE_WRONG: spec<{ file: string; problem: string; next: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => p.problem,
    hint: (p) => p.next,
  }),
  VERIFY_NOTHING: spec<{ what: 'result' | 'event' }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => (p.what === 'result' ? 'the project has no live table, topic or file to compare' : 'there is no event to send'),
    hint: (p) =>
      p.what === 'result'
        ? 'Add a CREATE MATERIALIZED TABLE or an INSERT INTO.'
        : 'Start the project and send it some, or give a folder with <topic>.ndjson files: --events FOLDER.',
  }),
  VERIFY_PATH_ABSOLUTE: spec<{ path: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `a table writes files to "${p.path}", which is outside of the project`,
    hint: () => 'The check runs on copies of the project, and must not write where the real one does: use a relative path.',
  }),
  VERIFY_START_FAILED: spec<{ reason: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `the copy of the project does not run: ${p.reason}`,
    hint: () => 'See whether `millrace start` runs the project itself.',
  }),
  VERIFY_NOT_SETTLED: spec<{ seconds: number; behind: number }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `results still change after ${p.seconds} s; queries are ${p.behind} records behind`,
    hint: () => 'A query on processing time has no end: leave it out. Else send fewer events: --max 5000.',
  }),
  VERSION_UNKNOWN: spec<{ query: string; version: string; known: number[] }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `no version "${p.version}" of "${p.query}" is known`,
    hint: (p) => `Known: ${p.known.join(', ')}; \`millrace history ${p.query}\` says what ran when.`,
  }),
  CRASH_TEST_RUNNING: spec<Record<string, never>>({
    kind: 'user',
    httpStatus: 409,
    retry: 'later',
    message: () => 'a crash test is running',
    hint: () => 'GET /v1/verify/exactly-once says how far it is.',
  }),
  VERIFY_NO_FILES: spec<{ folder: string; topics: string[] }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `"${p.folder}" has no file of events`,
    hint: (p) => `Name them after topics: ${p.topics.map((topic) => `${topic}.ndjson`).join(', ')}.`,
  }),
  SERVER_UNREACHABLE: spec<{ url: string; reason: string }>({
    kind: 'external',
    httpStatus: 503,
    retry: 'later',
    message: (p) => `no Millrace answers at ${p.url}: ${p.reason}`,
    hint: () => 'Start one with `millrace dev FOLDER`, or say where it is with --url or MILLRACE_URL.',
  }),
  SERVER_TOKEN_MISSING: spec<{ url: string }>({
    kind: 'user',
    httpStatus: 401,
    retry: 'never',
    message: (p) => `${p.url} asks for an access token`,
    hint: () => 'Give it with --token or in MILLRACE_TOKEN; `millrace token create` makes one where the server runs.',
  }),
  SERVER_STRANGE: spec<{ url: string; status: number; reason: string }>({
    kind: 'external',
    httpStatus: 502,
    retry: 'never',
    message: (p) => `${p.url} answered HTTP ${p.status} ${p.reason}, not as Millrace does`,
    hint: () => 'Is the address right? Say where Millrace is with --url or MILLRACE_URL.',
  }),
})
