// Backups by themselves, as millrace.config.ts says: taken, thinned out, reported; one that fails is said and tried again; what they hold restores.
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { BackupStatus, Health } from '../src/serve/contract.ts'
import { countsSql, makeProject, run, startServer, until } from './harness.ts'

const config = (backup: object) => `export default { backup: ${JSON.stringify(backup)} }\n`

test('a schedule takes backups, keeps the newest, says what fails, and goes on by the age of the newest after a restart', {
  timeout: 120_000,
}, async (t) => {
  const folder = makeProject(t, {
    'pipelines/counts.sql': countsSql,
    'millrace.config.ts': config({ folder: '../backups', everyMinutes: 0.01, keep: 2 }),
  })
  const to = join(folder, '../backups')
  t.after(() => rmSync(to, { recursive: true, force: true }))
  const manifests = () => readdirSync(join(to, 'backups')).filter((name) => name.endsWith('.json'))
  // A file is where the folder should be.
  writeFileSync(to, '')
  const server = await startServer(t, folder)
  const status = () => server.get<BackupStatus>('/v1/backups')
  const health = async () => (await server.get<Health>('/v1/health')).parts.backups
  await until(async () => (await status()).run?.state === 'failed', 'no backup has failed', 30_000)
  assert.equal((await health()).state, 'degraded')
  rmSync(to)
  mkdirSync(to)
  const taken = new Set<string>()
  await until(
    async () => {
      for (const { id } of (await status()).backups) taken.add(id)
      return taken.size >= 4
    },
    () => `only ${[...taken]}; ${server.running.output}`,
    60_000,
  )
  await until(async () => (await health()).state === 'ok', 'it is still degraded', 30_000)
  const { nextMs, keep, dataFolder, everyMinutes } = await status()
  assert.deepEqual([keep, everyMinutes, dataFolder], [2, 0.01, join(folder, 'data')])
  assert.ok(nextMs! > 0)
  const metrics = await (await fetch(`${server.ready.url}/metrics`)).text()
  assert.match(metrics, /millrace_backups_total\{outcome="failed"\} [1-9]/)
  assert.match(metrics, /millrace_backups_total\{outcome="done"\} [1-9]/)
  await server.running.kill('SIGTERM')
  assert.ok(manifests().length <= 3, `${manifests()}`)

  // The next start does not begin to count anew: what is due is due by the newest backup.
  writeFileSync(join(folder, 'millrace.config.ts'), config({ folder: '../backups', everyMinutes: 100_000 }))
  const again = await startServer(t, folder)
  const later = await again.get<BackupStatus>('/v1/backups')
  assert.equal(later.nextMs, later.backups[0].createdMs + 100_000 * 60_000)
  await again.running.kill('SIGTERM')
  const restored = run(t, ['restore', to, '--data', join(folder, 'restored'), '--json'])
  assert.equal((await restored.exited).code, 0, restored.output)
})

test('a schedule that cannot be is said', async (t) => {
  for (const [backup, reason] of [
    [{ folder: '../b', everyMinutes: 0 }, /backup\.everyMinutes is 0, expected a number above 0/],
    [{ folder: '../b', keep: 0 }, /backup\.keep is 0, expected a whole number of at least 1/],
    [{ everyMinutes: 5 }, /backup\.folder is undefined/],
  ] as const) {
    const folder = makeProject(t, { 'pipelines/counts.sql': countsSql, 'millrace.config.ts': config(backup) })
    const running = run(t, ['start', folder, '--port', '0', '--kafka-port', 'none'])
    assert.notEqual((await running.exited).code, 0)
    assert.match(running.output, reason)
  }
})
