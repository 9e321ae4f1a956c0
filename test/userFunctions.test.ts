// Functions of the user on a real process: scalar, table and aggregate over a topic, rows that fail, an edit of the file, a file that is missing.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { QuerySummary } from '../src/serve/contract.ts'
import { makeProject, startServer, until, untilRows } from './harness.ts'

const sql = `
CREATE FUNCTION shout (text STRING) RETURNS STRING LANGUAGE TYPESCRIPT AS 'functions/shout.ts';
CREATE FUNCTION words (text STRING) RETURNS TABLE (word STRING) LANGUAGE TYPESCRIPT AS 'functions/words.ts#split';
CREATE AGGREGATE FUNCTION longest (text STRING) RETURNS STRING LANGUAGE JAVASCRIPT AS 'functions/longest.js';
CREATE TABLE notes (id BIGINT NOT NULL, text STRING NOT NULL) WITH ('connector' = 'kafka', 'topic' = 'notes', 'format' = 'json');
CREATE MATERIALIZED TABLE loud (PRIMARY KEY (id) NOT ENFORCED) AS SELECT id, shout(text) AS text FROM notes;
CREATE MATERIALIZED TABLE counted AS SELECT word, COUNT(*) AS n FROM notes, LATERAL TABLE(words(text)) GROUP BY word;
CREATE MATERIALIZED TABLE longest_word AS SELECT n, longest(word) AS word FROM counted GROUP BY n;`
const shout = (sign: string) => `export default (text: string): string => {
  if (text === 'bad') throw new Error('not this one')
  return text.toUpperCase() + '${sign}'
}`
const files = {
  'pipelines/notes.sql': sql,
  'functions/shout.ts': shout('!'),
  'functions/words.ts': "export const split = (text: string) => text.split(' ')",
  // Its input is updated, so rows are taken out again.
  'functions/longest.js': `module.exports = { longest: class {
    createAccumulator() { return [] }
    accumulate(all, text) { all.push(text) }
    retract(all, text) { all.splice(all.indexOf(text), 1) }
    getValue(all) { return [...all].sort((a, b) => b.length - a.length || (a < b ? -1 : 1))[0] ?? null }
  } }`,
}

test('functions of the user run in the worker, a failing row stops nothing, and an edit of the file starts their queries anew', async (t) => {
  const folder = makeProject(t, files)
  const server = await startServer(t, folder, [], 'dev')
  assert.deepEqual(server.ready.errors, [])
  await server.post('notes', [{ id: 1, text: 'a bird' }, { id: 2, text: 'bad' }, { id: 3, text: 'a whale' }]) // biome-ignore format: one thought
  const loud = (sign: string) => [[1, `A BIRD${sign}`], [3, `A WHALE${sign}`]] // biome-ignore format: one thought
  await untilRows(server, 'loud', loud('!'))
  await untilRows(server, 'counted', [['a', 2], ['bird', 1], ['bad', 1], ['whale', 1]]) // biome-ignore format: one thought
  await untilRows(server, 'longest_word', [[1, 'whale'], [2, 'a']]) // biome-ignore format: one thought
  writeFileSync(join(folder, 'functions/shout.ts'), shout('?'))
  await untilRows(server, 'loud', loud('?'))
})

test('a function whose file is missing or has no such export is an error that says so', async (t) => {
  const folder = makeProject(t, { ...files, 'functions/words.ts': 'export const splitt = 1' })
  const server = await startServer(t, folder)
  const failed = async () => (await server.get<QuerySummary[]>('/v1/queries')).filter(({ state }) => state === 'failed')
  await until(async () => (await failed()).some(({ id }) => id === 'counted'), 'counted has not failed')
  assert.equal((await failed()).find(({ id }) => id === 'counted')?.error?.code, 'FUNCTION_EXPORT_MISSING')
  // The query of the same file and job that does not call it goes on.
  await server.post('notes', [{ id: 1, text: 'a bird' }])
  await untilRows(server, 'loud', [[1, 'A BIRD!']])
  assert.deepEqual((await failed()).map(({ id }) => id).sort(), ['counted', 'longest_word'])
  await server.running.kill('SIGTERM')
  const missing = makeProject(t, { 'pipelines/notes.sql': sql, 'functions/shout.ts': shout('!') })
  const other = await startServer(t, missing)
  assert.deepEqual(other.ready.errors.map(({ code }) => code), ['FUNCTION_FILE_MISSING']) // biome-ignore format: one thought
})
