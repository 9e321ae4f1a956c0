// Functions that never return, on a real process: their thread is ended, who held it up is told, and what lived beside it is whole.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ApiError, AttentionItem, QueryWhy } from '../src/serve/contract.ts'
import { run, startServer, until, untilRows } from './harness.ts'
import { metric, post, projectOf, queryOf, running, statesOf, sticky, upTo } from './stalling.ts'

for (const parallelism of [1, 2])
  test(`a function that never returns, at parallelism ${parallelism}: its query fails after a few times; the others get each row once`, async (t) => {
    const server = await startServer(t, projectOf(t, '1 s', parallelism))
    assert.deepEqual(server.ready.errors, [])
    await post(server, 'a', 1, 100)
    await untilRows(server, 'stuck_sums', [['a', ...upTo(100)]])
    await post(server, 'stick', 1, 1)
    // Meanwhile others get rows, whenever threads end.
    let last = 100
    const isOver = async () => {
      await post(server, 'a', last + 1, last + 7)
      last += 7
      return (await statesOf(server)).insert_into_stuck_copies === 'failed' && (await stalls()) === 4
    }
    const stalls = () => metric(server, 'millrace_query_stalls_total{query="insert_into_stuck_copies"} ')
    await until(isOver, 'it has not failed for good', 60_000)
    const restarts = async (id: string) => (await queryOf(server, id)).restarts
    // Those of the same file were held up once, before it ran alone.
    assert.deepEqual([await restarts('counts'), await restarts('insert_into_stuck_copies')], [1, 3])
    await untilRows(server, 'counts', [['a', ...upTo(last)], ['stick', 1, 1]]) // biome-ignore format: one thought
    await untilRows(server, 'copied_sums', [['a', ...upTo(last)], ['stick', 1, 1]]) // biome-ignore format: one thought
    await untilRows(server, 'stuck_sums', [['a', ...upTo(100)]])
    assert.deepEqual(await statesOf(server), { ...running, insert_into_stuck_copies: 'failed' })
    const { error } = await queryOf(server, 'insert_into_stuck_copies')
    assert.equal(error?.code, 'QUERY_STALLED')
    assert.match(error!.message, /function sticky in "insert_into_stuck_copies" has not returned/)
    const items = await server.get<AttentionItem[]>('/v1/attention')
    assert.ok(items.some(({ code, fact }) => code === 'QUERY_FAILED' && /sticky/.test(fact)))
  })

test('a query that holds its thread up is stopped at once, and goes on from its checkpoint when its function is mended', async (t) => {
  const folder = projectOf(t, '10 min')
  const server = await startServer(t, folder, [], 'dev')
  const millrace = async (...args: string[]) => {
    const { code } = await run(t, ['queries', ...args, '--url', server.ready.url]).exited
    assert.equal(code, 0)
  }
  await post(server, 'a', 1, 100)
  await untilRows(server, 'stuck_sums', [['a', ...upTo(100)]])
  await post(server, 'stick', 101, 101)
  await until(async () => (await queryOf(server, 'counts')).heldUp !== undefined, 'it is not seen')
  const why = await server.get<QueryWhy>('/v1/queries/counts/why')
  assert.equal(why.findings[0].code, 'HELD_UP')
  assert.match(why.verdict, /Function sticky of insert_into_stuck_copies has not returned/)
  assert.ok((await server.get<AttentionItem[]>('/v1/attention')).some(({ code, fact }) => code === 'QUERY_STALLED' && /sticky/.test(fact)))
  // Nobody waits for its thread: neither who looks at state, nor who wants a savepoint or rows of a checkpoint.
  const name = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"held"}' }
  for (const [path, init] of [
    ['/v1/queries/counts/state'],
    ['/v1/queries/counts/state/groupAggregate'],
    ['/v1/savepoints', name],
    ['/v1/tables/counts?isolation=committed'],
  ] as [string, RequestInit?][]) {
    const startedMs = performance.now()
    const { status, body } = await server.call<ApiError>(path, init)
    assert.deepEqual([status, body.error?.code], [503, 'QUERY_HELD_UP'], path)
    assert.match(body.error.message, /"\w+" has been held up for \d+ s by function sticky in "insert_into_stuck_copies"/)
    assert.match(body.error.hint, /millrace queries stop insert_into_stuck_copies/)
    assert.ok(performance.now() - startedMs < 2_000, `${path}: ${performance.now() - startedMs} ms`)
  }
  assert.deepEqual(await server.get('/v1/savepoints'), [])
  await millrace('stop', 'stuck_copies')
  await post(server, 'a', 102, 110)
  const after = [['a', 109, 5050 + (102 + 110) * 4.5], ['stick', 1, 101]] // biome-ignore format: one thought
  await untilRows(server, 'counts', after)
  await untilRows(server, 'copied_sums', after)
  assert.deepEqual(await statesOf(server), { ...running, insert_into_stuck_copies: 'stopped' })
  // Started as it was it holds its own thread up, and nobody else's; an edit of the function does not wait for it.
  await millrace('start', 'stuck_copies')
  await until(async () => (await queryOf(server, 'insert_into_stuck_copies')).heldUp !== undefined, 'it is not seen again')
  await post(server, 'b', 1, 3)
  await untilRows(server, 'counts', [after[0], ['b', ...upTo(3)], after[1]])
  assert.equal((await queryOf(server, 'counts')).heldUp, undefined)
  writeFileSync(join(folder, 'functions/sticky.ts'), sticky.replace('Infinity', "(text === 'stick!' ? Infinity : 0)"))
  // Each row once, over the two threads that were ended.
  await untilRows(server, 'stuck_sums', [after[0], ['b', ...upTo(3)], after[1]])
  assert.deepEqual(await statesOf(server), { ...running, insert_into_stuck_copies: 'running' })
  // With a thread that is held up a process stops, too.
  await post(server, 'stick!', 111, 111)
  await until(async () => (await queryOf(server, 'insert_into_stuck_copies')).heldUp !== undefined, 'it is not seen at last')
  await server.running.kill('SIGTERM')
})

test('a thread that cannot be ended: its query is not begun again, and the process stops', { timeout: 90_000 }, async (t) => {
  const folder = projectOf(t, '1 s')
  // V8 does not look in this loop, once it is compiled, whether it is to end.
  writeFileSync(
    join(folder, 'functions/sticky.ts'),
    "export function sticky(text: string): string {\n  while (text.startsWith('stick'));\n  return text\n}",
  )
  const server = await startServer(t, folder)
  await post(server, 'a', 1, 100)
  await untilRows(server, 'stuck_sums', [['a', ...upTo(100)]])
  await post(server, 'stick', 1, 1)
  await until(
    async () => (await statesOf(server)).counts === 'running' && (await queryOf(server, 'counts')).restarts === 1,
    'not again',
    30_000,
  )
  await untilRows(server, 'counts', [['a', ...upTo(100)], ['stick', 1, 1]]) // biome-ignore format: one thought
  const { state, restarts, error } = await queryOf(server, 'insert_into_stuck_copies')
  assert.deepEqual([state, restarts, error?.code], ['failed', 0, 'QUERY_STALLED'])
  const { afterMs } = await server.running.kill('SIGTERM')
  assert.ok(afterMs < 30_000)
})
