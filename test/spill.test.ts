// State beyond the memory budget, on a real process: rows are right, the state is on the disk, and a restart goes on from the checkpoint.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { countsSql, makeProject, type Server, startServer, until } from './harness.ts'

const sql = `SET 'execution.checkpointing.interval' = '500 ms';\n${countsSql}`
const KEYS = 40_000
const text = (key: number) => `page-${String(key).padStart(8, '0')}`
const event = (id: string, key: number) => ({ id, page: text(key), n: 1, ts: '2026-03-01 00:00:00.000' })

async function postAll(server: Server, round: number): Promise<void> {
  for (let from = 0; from < KEYS; from += 2_000)
    await server.post(
      'events',
      Array.from({ length: 2_000 }, (_, i) => event(`${round}-${from + i}`, ((from + i) * 7) % KEYS)),
    )
}
async function untilCounts(server: Server, count: number): Promise<void> {
  await until(async () => {
    const found = await Promise.all(
      [0, 1, KEYS >> 1, KEYS - 1].map((key) =>
        server.get<{ rows: unknown[][] }>(`/v1/tables/counts?page=${text(key)}&isolation=committed`),
      ),
    )
    return found.every(({ rows }) => rows[0]?.[1] === count)
  }, `not all pages were counted ${count} times`)
}
const spilledOf = async (server: Server): Promise<number> => {
  const { nodes } = await server.get<{ nodes: { spilledBytes?: number }[] }>('/v1/queries/counts/why')
  return nodes.reduce((sum, { spilledBytes = 0 }) => sum + spilledBytes, 0)
}

test('a query whose state is larger than its memory counts right, and goes on after a restart', async (t) => {
  const folder = makeProject(t, { 'pipelines/counts.sql': sql })
  const spill = join(folder, 'data/spill')
  const server = await startServer(t, folder, ['--memory', '1mb'])
  await postAll(server, 1)
  await untilCounts(server, 1)
  assert.ok((await spilledOf(server)) > 0)
  assert.ok(readdirSync(spill).length > 0)
  const metrics = await (await fetch(`${server.ready.url}/metrics`)).text()
  assert.match(metrics, /millrace_memory_limit_bytes 1048576/)
  assert.match(metrics, /millrace_memory_spilled_bytes [1-9]/)
  server.running.child.kill('SIGKILL')
  await server.running.exited
  writeFileSync(join(spill, 'left-behind'), 'x')
  const again = await startServer(t, folder, ['--memory', '1mb'])
  assert.equal(existsSync(join(spill, 'left-behind')), false)
  await postAll(again, 2)
  await untilCounts(again, 2)
  assert.ok((await spilledOf(again)) > 0)
})
