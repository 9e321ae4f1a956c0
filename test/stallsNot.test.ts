// What takes long and is no stall; and statements of people who are looking, which may be one and hold up no query.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiError, QuerySummary } from '../src/serve/contract.ts'
import { startServer, untilRows } from './harness.ts'
import { post, projectOf, upTo } from './stalling.ts'

test('slow functions, large steps and a process that sleeps are no stalls', async (t) => {
  const server = await startServer(t, projectOf(t, '1 s'))
  await post(server, 'a', 1, 10)
  await untilRows(server, 'stuck_sums', [['a', ...upTo(10)]])
  // One batch of two and a half seconds.
  await post(server, 'slow', 1, 25)
  await sleep(500)
  process.kill(server.ready.pid, 'SIGSTOP')
  await sleep(3_000)
  process.kill(server.ready.pid, 'SIGCONT')
  await untilRows(server, 'stuck_sums', [['a', ...upTo(10)], ['slow', ...upTo(25)]]) // biome-ignore format: one thought
  // Twelve million pairs of rows in one step, none of which passes.
  const pairs = 'SELECT COUNT(*) FROM notes a JOIN notes b ON a.id * b.id < 0'
  const cross = 'SELECT COUNT(*) FROM notes, UNNEST(ARRAY[1,2,3,4,5,6,7,8,9,10]) AS c (x), UNNEST(ARRAY[1,2,3,4,5,6,7,8,9,10]) AS d (y)'
  await post(server, 'many', 1, 3_500)
  for (const statement of [pairs, cross]) assert.equal((await server.call('/v1/sql', jsonBody({ sql: statement }))).status, 200)
  const queries = await server.get<QuerySummary[]>('/v1/queries')
  assert.deepEqual(queries.map(({ restarts }) => restarts), queries.map(() => 0)) // biome-ignore format: one thought
})

const jsonBody = (body: unknown, signal?: AbortSignal): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
  ...(signal && { signal }),
})

test('a statement of somebody that never ends is ended, by its time or with its reader, and holds up no query', async (t) => {
  const server = await startServer(t, projectOf(t, '2 s'))
  await post(server, 'a', 1, 10)
  await post(server, `${'a'.repeat(40)}!`, 11, 11)
  await untilRows(server, 'counts', [['a', ...upTo(10)], [`${'a'.repeat(40)}!`, 1, 11]]) // biome-ignore format: one thought
  // Java backtracks in it as well.
  const endless = "SELECT id FROM notes WHERE REGEXP(kind, '^(a+)+$')"
  const answer = server.call<ApiError>('/v1/sql', jsonBody({ sql: endless }))
  await post(server, 'b', 1, 3)
  await untilRows(server, 'counts', [['a', ...upTo(10)], [`${'a'.repeat(40)}!`, 1, 11], ['b', ...upTo(3)]]) // biome-ignore format: one thought
  const { status, body } = await answer
  assert.equal(status, 400)
  assert.equal(body.error.code, 'QUERY_STALLED')
  assert.match(body.error.message, /function REGEXP in "the statement"/)
  // A filter over records runs in the main thread.
  const filter = await server.call<ApiError>(`/v1/topics/notes/messages?where=${encodeURIComponent("REGEXP(kind, '^(a+)+$')")}`)
  assert.equal(filter.body.error?.code, 'QUERY_STALLED', JSON.stringify(filter.body).slice(0, 300))
  // Patterns of LIKE do not backtrack.
  const like = `/v1/topics/notes/messages?where=${encodeURIComponent("REPEAT(kind, 99) LIKE '%a%a%a%a%a%a%a%a%a%a%a%b%!'")}`
  assert.equal((await server.call<{ scanned: number }>(like)).status, 200)
  const gone = new AbortController()
  const left = server.call('/v1/sql', jsonBody({ sql: endless }, gone.signal))
  left.catch(() => {})
  await sleep(500)
  gone.abort()
  const queries = await server.get<QuerySummary[]>('/v1/queries')
  assert.deepEqual(queries.map(({ restarts, state }) => [restarts, state]), queries.map(() => [0, 'running'])) // biome-ignore format: one thought
})
