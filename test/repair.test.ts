// Damage that a real server meets: it starts without a hand, says what is damaged, goes on with all else; `doctor --repair` says what is lost,
// mends it, or takes it from a backup.
import assert from 'node:assert/strict'
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ApiError, TopicMessage } from '../src/serve/contract.ts'
import { countsSql, makeProject, run, startServer, until } from './harness.ts'

const EVENTS = 6_000
const sql = `${countsSql}
CREATE TABLE others (id STRING NOT NULL) WITH ('connector' = 'kafka', 'topic' = 'others', 'format' = 'json');
CREATE TABLE copies (id STRING, page STRING) WITH ('connector' = 'kafka', 'topic' = 'copies', 'format' = 'json');
INSERT INTO copies SELECT id, page FROM events;
`
interface Found {
  what: string
  topic: string
  firstOffset: number
  nextOffset: number
  records: number
  remedy: string
  fallback?: string
  path: string
  toMs?: number
}
async function repair(t: TestContext, data: string, ...args: string[]): Promise<{ code: number | null; found: Found[]; output: string }> {
  const running = run(t, ['doctor', '--repair', '--data', data, '--json', ...args])
  const { code } = await running.exited
  return { code, found: running.lines<Found>().filter(({ what }) => what !== undefined), output: running.output }
}
function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at] ^= 1
  writeFileSync(path, bytes)
}
/** Folder of the topic `name`'s partition 0. */
function partitionOf(data: string, name: string): string {
  const topics = join(data, 'topics')
  const id = readdirSync(topics).find((one) => readFileSync(join(topics, one, 'topic.json'), 'utf8').includes(`"name":"${name}"`))!
  return join(topics, id, '0')
}
const segmentsOf = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.log'))
    .sort()

test('a server starts with a damaged segment, index, torn tail, topic.json and newest checkpoint; doctor mends them', {
  timeout: 240_000,
}, async (t) => {
  const folder = makeProject(t, { 'pipelines/counts.sql': sql })
  const data = join(folder, 'data')
  const server = await startServer(t, folder)
  const patched = await server.call('/v1/topics/events', {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ config: { 'segment.bytes': 65_536 } }),
  })
  assert.equal(patched.status, 200)
  const ts = '2026-01-01 00:00:00.000'
  const counted = async (one: typeof server, count: number) =>
    until(
      async () => (await one.rows('counts')).reduce((sum, row) => sum + Number(row[1]), 0) === count,
      () => `not counted: ${one.running.stderr}`,
    )
  for (let from = 0; from < EVENTS; from += 200) {
    const batch = Array.from({ length: 200 }, (_, i) => ({ id: `e${from + i}`, page: `/p${(from + i) % 7}`, n: 1, ts }))
    assert.equal((await server.post('events', batch)).status, 202)
    // Checkpoints in between: each has data of its own.
    if (from % 2_000 === 0) {
      await counted(server, from + 200)
      await server.call('/v1/savepoints', { method: 'POST', headers: { 'content-type': 'application/json' }, body: `{"name":"s${from}"}` })
    }
  }
  await server.post('others', [{ id: 'here' }])
  await counted(server, EVENTS)
  const backup = run(t, ['backup', join(folder, 'backups'), '--url', server.ready.url, '--json'])
  assert.equal((await backup.exited).code, 0, backup.output)
  const expected = await server.messages('events')
  await server.running.kill('SIGTERM')

  const events = partitionOf(data, 'events')
  const segments = segmentsOf(events)
  assert.ok(segments.length >= 5, `${segments}`)
  const damaged = join(events, segments[2])
  const original = readFileSync(damaged)
  flip(damaged, original.length >> 1)
  flip(join(events, segments[1].replace('.log', '.index')), 40)
  writeFileSync(join(events, segments.at(-1)!), 'half a batch', { flag: 'a' })
  flip(join(partitionOf(data, 'others'), '..', 'topic.json'), 30)
  const [job] = readdirSync(join(data, 'checkpoints'))
  const checkpoints = readdirSync(join(data, 'checkpoints', job))
    .filter((name) => name.startsWith('chk-'))
    .sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)))
  assert.ok(checkpoints.length >= 2)
  flip(join(data, 'checkpoints', job, checkpoints.at(-1)!), 200)

  const again = await startServer(t, folder)
  const { notices, restored } = again.ready as unknown as { notices: string[]; restored: { checkpointId: number }[] }
  assert.ok(
    notices.some((notice) => notice.includes(checkpoints.at(-1)!)),
    `it is said: ${notices}`,
  )
  assert.ok(restored.length > 0 && restored.every(({ checkpointId }) => checkpointId < Number(checkpoints.at(-1)!.slice(4))))
  const health = await again.health()
  assert.equal(health.parts.checkpoints.state, 'degraded')
  const metrics = await (await fetch(`${again.ready.url}/metrics`)).text()
  assert.match(metrics, /millrace_checkpoints_passed_over_total 1/)
  assert.equal((await again.messages('others')).length, 1, 'another topic, of which topic.json was damaged')
  // The records before the damage, the damage itself, and what is behind it.
  const seen = new Map<number, TopicMessage>()
  let next = 0
  let error: ApiError['error'] | undefined
  while (next < EVENTS) {
    const { status, body } = await again.call<{ messages: TopicMessage[] } & ApiError>(
      `/v1/topics/events/messages?partition=0&offset=${next}&limit=100`,
    )
    if (status === 200) {
      for (const message of body.messages) seen.set(message.offset, message)
      next = (body.messages.at(-1)?.offset ?? EVENTS) + 1
    } else {
      error = body.error
      assert.equal(error.code, 'LOG_SEGMENT_DAMAGED')
      assert.match(error.hint, /millrace doctor --repair/)
      next = error.params?.nextOffset as number
    }
  }
  assert.ok(error, 'the damage was met')
  assert.ok(seen.size < EVENTS && seen.size > EVENTS / 2)
  for (const [offset, message] of seen) assert.deepEqual(message, expected[offset])
  assert.equal((await again.post('events', [{ id: 'new', page: '/p', n: 1, ts }])).status, 202, 'the partition goes on')
  const locked = await repair(t, data, '--no-dry-run')
  assert.match(locked.output, /DATA_FOLDER_LOCKED/)
  await again.running.kill('SIGTERM')

  const planned = await repair(t, data)
  assert.equal(planned.code, 1)
  const [range, ...others] = planned.found.filter(({ what }) => what === 'segment')
  assert.deepEqual(others, [], planned.output)
  assert.ok(range.remedy === 'lost' && range.topic === 'events' && range.path === damaged && range.toMs !== undefined, planned.output)
  assert.ok(range.records > 0 && range.records <= 1_000, `${range.records} of a chunk`)

  const other = makeProject(t, { 'pipelines/counts.sql': sql })
  const otherData = join(other, 'data')
  cpSync(data, otherData, { recursive: true })
  // With the backup nothing is lost.
  const restoring = await repair(t, otherData, '--from-backup', join(folder, 'backups'), '--no-dry-run')
  assert.deepEqual(
    restoring.found.filter(({ what }) => what === 'segment').map(({ remedy }) => remedy),
    ['restored'],
    restoring.output,
  )
  assert.deepEqual(readFileSync(join(partitionOf(otherData, 'events'), segments[2])), original)
  const whole = await startServer(t, other)
  assert.deepEqual((await whole.messages('events')).slice(0, EVENTS), expected)
  await whole.running.kill('SIGTERM')

  // Without it an empty batch takes the place of what is damaged, and queries that begin anew read past it.
  assert.equal((await repair(t, data, '--no-dry-run')).code, 0)
  assert.ok(statSync(`${damaged}.damaged`).size === original.length)
  assert.equal((await repair(t, data)).code, 0)
  for (const name of ['checkpoints', 'savepoints']) rmSync(join(data, name), { recursive: true })
  const mended = await startServer(t, folder, ['--allow-dropped-state'])
  const left = expected.filter(({ offset }) => offset < range.firstOffset || offset >= range.nextOffset)
  const read: TopicMessage[] = []
  for (let from = 0; from < EVENTS; ) {
    const { messages } = await mended.get<{ messages: TopicMessage[] }>(`/v1/topics/events/messages?partition=0&offset=${from}&limit=1000`)
    if (messages.length === 0) break
    read.push(...messages)
    from = messages.at(-1)!.offset + 1
  }
  assert.deepEqual(read.slice(0, left.length), left)
  await counted(mended, left.length + 1)
  await mended.running.kill('SIGTERM')
})
