// A project with a function that does not return for some texts, beside queries that have nothing to do with it; for tests of stalls.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { QuerySummary } from '../src/serve/contract.ts'
import { makeProject, type Server } from './harness.ts'

/** Of a text that begins with 'stick' it gives nothing, ever; 'slow' takes a while, with which a whole batch takes longer than the time that is given. */
export const sticky = `export function sticky(text: string): string {
  const untilMs = performance.now() + (text.startsWith('stick') ? Infinity : text === 'slow' ? 100 : 0)
  while (performance.now() < untilMs);
  return text
}`
const sql = `
SET 'execution.checkpointing.interval' = '200 ms';
CREATE FUNCTION sticky (text STRING) RETURNS STRING LANGUAGE TYPESCRIPT AS 'functions/sticky.ts';
CREATE TABLE notes (id BIGINT NOT NULL, kind STRING NOT NULL) WITH ('connector' = 'kafka', 'topic' = 'notes', 'format' = 'json');
CREATE TABLE copies (id BIGINT, kind STRING) WITH ('connector' = 'kafka', 'topic' = 'copies', 'format' = 'json');
CREATE TABLE stuck_copies (id BIGINT, kind STRING) WITH ('connector' = 'kafka', 'topic' = 'stuck_copies', 'format' = 'json');
INSERT INTO copies SELECT id, kind FROM notes;
INSERT INTO stuck_copies SELECT id, sticky(kind) FROM notes;
CREATE MATERIALIZED TABLE counts AS SELECT kind, COUNT(*) AS n, SUM(id) AS ids FROM notes GROUP BY kind;`
const other = `
CREATE TABLE copied (id BIGINT, kind STRING) WITH ('connector' = 'kafka', 'topic' = 'copies', 'format' = 'json');
CREATE MATERIALIZED TABLE copied_sums AS SELECT kind, COUNT(*) AS n, SUM(id) AS ids FROM copied GROUP BY kind;
CREATE TABLE stuck_copied (id BIGINT, kind STRING) WITH ('connector' = 'kafka', 'topic' = 'stuck_copies', 'format' = 'json');
CREATE MATERIALIZED TABLE stuck_sums AS SELECT kind, COUNT(*) AS n, SUM(id) AS ids FROM stuck_copied GROUP BY kind;`

export const projectOf = (t: TestContext, stallTimeout: string, parallelism = 1) =>
  makeProject(t, {
    'millrace.config.ts': `export default { stallTimeout: '${stallTimeout}' }`,
    'pipelines/notes.sql': `SET 'parallelism.default' = '${parallelism}';${sql}`,
    'pipelines/other.sql': other,
    'functions/sticky.ts': sticky,
  })
export const queryOf = async (server: Server, id: string) =>
  (await server.get<QuerySummary[]>('/v1/queries')).find((query) => query.id === id)!
export const statesOf = async (server: Server) =>
  Object.fromEntries((await server.get<QuerySummary[]>('/v1/queries')).map(({ id, state }) => [id, state]))
export const running = { counts: 'running', copied_sums: 'running', stuck_sums: 'running', insert_into_copies: 'running' }
export async function post(server: Server, kind: string, from: number, to: number): Promise<void> {
  const events = Array.from({ length: to - from + 1 }, (_, i) => ({ id: from + i, kind }))
  assert.equal((await server.post('notes', events)).status, 202)
}
/** Of ids 1 to `n`: how many, and their sum. */
export const upTo = (n: number) => [n, (n * (n + 1)) / 2]
export async function metric(server: Server, line: string): Promise<number> {
  const text = await (await fetch(new URL('/metrics', server.ready.url))).text()
  return Number(
    text
      .split('\n')
      .find((one) => one.startsWith(line))
      ?.slice(line.length) ?? 0,
  )
}
